/* A ring as a picture: the circle, each cell in its owner's colour, each point a tick, and the shares beside
 * it. */
#include "ring/picture.h"

#include <stdlib.h>

#include "base/real.h"

enum { PICTURE_SIZE = 420, PICTURE_CELLS_MAX = 4000, PICTURE_NAMES_MAX = 24 };
static const double CENTRE = PICTURE_SIZE / 2.0, RADIUS = 150;

static double turn_fraction(double turn) {
    return turn - (double)(int64_t)turn;
}

/* A position's place: zero is at the top, and positions grow clockwise. */
static void point_print(struct buffer *out, double turn, double radius) {
    double sine = real_cos_turn(turn_fraction(turn + 0.75)), cosine = real_cos_turn(turn_fraction(turn));
    buffer_printf(out, "%.2f %.2f", CENTRE + radius * sine, CENTRE - radius * cosine);
}

/* Hues a golden angle apart: neighbours in number differ. */
static unsigned hue_of(uint32_t slot) {
    return (unsigned)((uint64_t)slot * 137508 / 1000 % 360);
}

static void arc_print(struct buffer *out, const struct ring *r, uint32_t cell) {
    double from = (double)r->bounds[cell ? cell - 1 : r->cell_count - 1] * 0x1p-64;
    double to = (double)r->bounds[cell] * 0x1p-64, length = to - from + (to < from || r->cell_count == 1);
    if (length >= 1) length = 0.9999;
    buffer_printf(out, "<path d=\"M");
    point_print(out, from, RADIUS);
    buffer_printf(out, " A%.0f %.0f 0 %d 1 ", RADIUS, RADIUS, length > 0.5);
    point_print(out, turn_fraction(from + length), RADIUS);
    buffer_printf(out, "\" stroke=\"hsl(%u 65%% 50%%)\"/>\n", hue_of(r->owners[cell]));
}

static void text_print(struct buffer *out, const char *text) {
    for (; *text; text++) {
        if (*text == '<')
            buffer_printf(out, "&lt;");
        else if (*text == '&')
            buffer_printf(out, "&amp;");
        else if ((unsigned char)*text < 32)
            buffer_printf(out, "?");
        else
            buffer_append(out, text, 1);
    }
}

static void names_print(struct buffer *out, const struct ring *r, const double *shares) {
    uint32_t shown = r->node_count < PICTURE_NAMES_MAX ? r->node_count : PICTURE_NAMES_MAX;
    for (uint32_t i = 0; i < shown; i++) {
        uint32_t slot = r->by_name[i];
        buffer_printf(out, "<text x=\"%d\" y=\"%u\" fill=\"hsl(%u 65%% 40%%)\">", PICTURE_SIZE, 30 + 16 * i,
                      hue_of(slot));
        text_print(out, r->nodes[slot].name);
        buffer_printf(out, " %.1f %%</text>\n", 100 * shares[slot]);
    }
    if (shown < r->node_count)
        buffer_printf(out, "<text x=\"%d\" y=\"%u\">and %u more</text>\n", PICTURE_SIZE, 30 + 16 * shown,
                      r->node_count - shown);
}

qrt_status ring_picture(const struct ring *r, struct buffer *out, struct error *e) {
    double *shares = mem_zero(r->slot_count, sizeof *shares);
    struct ring_balance balance;
    qrt_status status = ring_measure(r, shares, &balance, e);
    if (!status) {
        uint32_t cells = r->cell_count < PICTURE_CELLS_MAX ? r->cell_count : PICTURE_CELLS_MAX;
        buffer_printf(out,
                      "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 %d %d\" width=\"%d\" "
                      "font-family=\"sans-serif\" font-size=\"12\">\n<g fill=\"none\" stroke-width=\"22\">\n",
                      PICTURE_SIZE + 180, PICTURE_SIZE, PICTURE_SIZE + 180);
        for (uint32_t i = 0; i < cells; i++) arc_print(out, r, i);
        buffer_printf(out, "</g>\n<text x=\"%.0f\" y=\"%.0f\" text-anchor=\"middle\">%u nodes, %u points</text>\n",
                      CENTRE, CENTRE - 8, r->node_count, r->cell_count);
        buffer_printf(out, "<text x=\"%.0f\" y=\"%.0f\" text-anchor=\"middle\">σ/μ %.3f</text>\n", CENTRE, CENTRE + 10,
                      balance.sigma_over_mu);
        names_print(out, r, shares);
        buffer_printf(out, "</svg>\n");
    }
    free(shares);
    return status;
}
