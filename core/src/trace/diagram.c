/* Rows, not a scale: a run has long silences and bursts of events in one instant, so each instant gets as
 * many rows as it needs and silence none; the clock stands at the left. Events of different nodes share a row
 * when they happen at one instant and their labels do not meet. Where an arrow comes or leaves at the label's side,
 * the label stands below or above it; a message's name stands where it covers the least of other text. */
#include "trace/diagram.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "wire/wire.h"

enum { LEFT = 100, COLUMN = 130, TOP = 44, ROW = 15, NO_COLUMN = -1, NAMED_MAX = 80 };

struct box { /* of a text */
    int left, top, right, bottom;
};

struct diagram {
    const qrt_event *events;
    size_t count;
    const uint16_t *nodes;
    size_t node_count;
    uint64_t highlight;
    int *column; /* of each event; NO_COLUMN: not drawn */
    int *y;
    int *base; /* line of its label */
    int bottom;
    bool named; /* arrows bear their message's name: there are few of them */
    struct buffer *out;
    struct box *texts; /* labels, and the names placed so far */
    size_t text_count, text_capacity;
};

struct look {
    const char *class;
    char label[72];
};

static int column_of(const struct diagram *d, uint16_t node) {
    for (size_t i = 0; i < d->node_count; i++)
        if (d->nodes[i] == node) return (int)i;
    return NO_COLUMN;
}

static int column_x(int column) {
    return LEFT + COLUMN / 4 + column * COLUMN;
}

static void name_print(char *out, size_t size, uint16_t node) {
    if (node > QRT_CLIENT)
        snprintf(out, size, "c%u", node - QRT_CLIENT);
    else
        snprintf(out, size, "n%u", node);
}

/* ---- layout ---- */

static bool is_drawn(const qrt_event *e) {
    switch (e->kind) {
    case QRT_KIND_TIMER:
    case QRT_KIND_PERSIST:
    case QRT_KIND_STORED:
    case QRT_KIND_TERM:
    case QRT_KIND_APPLY:
    case QRT_KIND_BALLOT: return false; /* its message is drawn */
    case QRT_KIND_STATE: return e->index != 0;
    default: return true;
    }
}

/* Entries that one step appends are one mark: is there another behind this one? */
static bool append_continues(const struct diagram *d, size_t i) {
    const qrt_event *e = &d->events[i];
    if (e->kind != QRT_KIND_APPEND || i == d->highlight) return false;
    for (size_t k = i + 1; k < d->count && d->events[k].time == e->time; k++)
        if (d->events[k].node == e->node)
            return d->events[k].kind == QRT_KIND_APPEND && d->events[k].index == e->index + 1 &&
                   d->events[k].term == e->term;
    return false;
}

static uint64_t append_first(const struct diagram *d, size_t i) {
    uint64_t first = d->events[i].index;
    for (size_t k = i; k-- > 0 && d->events[k].time == d->events[i].time;) {
        if (d->events[k].node != d->events[i].node) continue;
        if (!append_continues(d, k)) break;
        first = d->events[k].index;
    }
    return first;
}

static bool has_label(const qrt_event *e) {
    return e->kind != QRT_KIND_SEND && e->kind != QRT_KIND_RECEIVE && e->kind != QRT_KIND_DROP;
}

static void place_events(struct diagram *d) {
    uint8_t *used = mem_zero(d->node_count + 1, 1); /* columns with a label in this row */
    int y = TOP;
    int64_t time = 0;
    bool any = false;
    for (size_t i = 0; i < d->count; i++) {
        const qrt_event *e = &d->events[i];
        d->column[i] = is_drawn(e) || i == d->highlight ? column_of(d, e->node) : NO_COLUMN;
        if (append_continues(d, i)) d->column[i] = NO_COLUMN;
        if (d->column[i] == NO_COLUMN) continue;
        if (!any || e->time != time || (has_label(e) && used[d->column[i]])) {
            y += ROW;
            memset(used, 0, d->node_count);
        }
        if (has_label(e)) used[d->column[i]] = true;
        time = e->time;
        any = true;
        d->y[i] = y;
    }
    d->bottom = y + ROW;
    free(used);
}

/* ---- drawing ---- */

/* The event in one line, as a tooltip. */
static void draw_title(struct diagram *d, const qrt_event *e) {
    char line[256];
    trace_print(e, line, sizeof line);
    buffer_printf(d->out, "<title>");
    for (const char *c = line; *c; c++) {
        if (*c == '<')
            buffer_printf(d->out, "&lt;");
        else if (*c == '&')
            buffer_printf(d->out, "&amp;");
        else
            buffer_append(d->out, c, 1);
    }
    buffer_printf(d->out, "</title>");
}

static void draw_line(struct diagram *d, const char *class, int x, int from, int to) {
    if (to > from)
        buffer_printf(d->out, "<line class=\"qrt-%s\" x1=\"%d\" y1=\"%d\" x2=\"%d\" y2=\"%d\"/>\n", class, x, from, x,
                      to);
}

/* A lifeline changes its look at crashes, starts and changes of role. */
static void draw_lifeline(struct diagram *d, int column) {
    const char *class = "life";
    int x = column_x(column), from = TOP;
    for (size_t i = 0; i < d->count; i++) {
        const qrt_event *e = &d->events[i];
        const char *next = class;
        if (d->column[i] != column) continue;
        if (e->kind == QRT_KIND_CRASH)
            next = "down";
        else if (e->kind == QRT_KIND_START)
            next = "life";
        else if (e->kind == QRT_KIND_ROLE)
            next = e->detail == QRT_ROLE_LEADER ? "lead" : "life";
        if (next == class) continue;
        draw_line(d, class, x, from, d->y[i]);
        class = next;
        from = d->y[i];
    }
    draw_line(d, class, x, from, d->bottom);
}

static void draw_frame(struct diagram *d) {
    int width = LEFT + COLUMN * (int)d->node_count + 20, height = d->bottom + 20;
    buffer_printf(d->out,
                  "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%d\" height=\"%d\" viewBox=\"0 0 %d %d\" "
                  "font-family=\"ui-monospace,Menlo,Consolas,monospace\" font-size=\"10\">\n",
                  width, height, width, height);
    buffer_printf(
        d->out,
        "<style>.qrt-name{fill:#4f86d6;font-size:9px}.qrt-life,.qrt-down,.qrt-lead{stroke:#8b949e;stroke-width:1.5}"
        ".qrt-down{stroke:#d1524f;stroke-dasharray:2 5}.qrt-lead{stroke:#d98a1f;stroke-width:5}"
        ".qrt-text{fill:#737c87}.qrt-head{fill:#737c87;font-size:13px;font-weight:bold}"
        ".qrt-send{stroke:#4f86d6;stroke-width:1;opacity:.75}.qrt-lost{stroke:#d1524f;stroke-width:1}"
        ".qrt-tip{fill:#4f86d6}.qrt-bad{fill:#d1524f}.qrt-good{fill:#3f9d63}.qrt-role{fill:#d98a1f}"
        ".qrt-dot{fill:#8b949e}.qrt-cross{stroke:#d1524f;stroke-width:2.5}"
        ".qrt-band{fill:#d1524f;opacity:.18}</style>\n");
    buffer_printf(d->out, "<text class=\"qrt-text\" x=\"%d\" y=\"%d\" text-anchor=\"end\">seconds</text>\n", LEFT - 14,
                  TOP - 14);
    for (size_t i = 0; i < d->node_count; i++) {
        char name[16];
        name_print(name, sizeof name, d->nodes[i]);
        buffer_printf(d->out, "<text class=\"qrt-head\" x=\"%d\" y=\"%d\" text-anchor=\"middle\">%s</text>\n",
                      column_x((int)i), TOP - 14, name);
    }
}

static void draw_clock(struct diagram *d) {
    int last = -ROW;
    int64_t time = -1;
    for (size_t i = 0; i < d->count; i++) {
        const qrt_event *e = &d->events[i];
        if (d->column[i] == NO_COLUMN || e->time == time || d->y[i] - last < ROW) continue;
        time = e->time;
        last = d->y[i];
        buffer_printf(
            d->out, "<text class=\"qrt-text\" x=\"%d\" y=\"%d\" text-anchor=\"end\">%" PRId64 ".%06" PRId64 "</text>\n",
            LEFT - 14, d->y[i] + 3, time / 1000000000, time / 1000 % 1000000);
    }
}

/* Of a receipt or a drop: the send before it, or SIZE_MAX. */
static size_t send_of(const struct diagram *d, size_t i) {
    for (size_t k = i; k-- > 0;)
        if (d->events[k].kind == QRT_KIND_SEND && d->events[k].link == d->events[i].link && d->column[k] >= 0) return k;
    return SIZE_MAX;
}

/* How much of the texts placed so far a text would cover. */
static int covered(const struct diagram *d, struct box b) {
    int sum = 0;
    for (size_t i = 0; i < d->text_count; i++) {
        const struct box *o = &d->texts[i];
        int width = (b.right < o->right ? b.right : o->right) - (b.left > o->left ? b.left : o->left);
        int height = (b.bottom < o->bottom ? b.bottom : o->bottom) - (b.top > o->top ? b.top : o->top);
        if (width > 0 && height > 0) sum += width * height;
    }
    return sum;
}

static void take_place(struct diagram *d, struct box b) {
    d->texts = mem_grow(d->texts, &d->text_capacity, d->text_count + 1, sizeof *d->texts);
    d->texts[d->text_count++] = b;
}

struct arrow {
    int x1, y1, x2, y2;
};

/* The middle of a text above or below the arrow, so far back from its tip; the text covers the box. */
static struct box name_box(struct arrow a, int width, int back, int half, bool below) {
    int x = a.x2 > a.x1 ? a.x2 - back : a.x2 + back, y = a.y2 - (a.y2 - a.y1) * back / width + (below ? 10 : -3);
    return (struct box){x - half, y - 8, x + half, y + 2};
}

/* Between two lifelines, the last two first, where the arrows of a broadcast have parted; a little to the side, or
 * below the arrow, where other text is there already. */
static struct box name_place(const struct diagram *d, struct arrow a, int half) {
    static const int aside[] = {0, 18, -18};
    int width = a.x2 > a.x1 ? a.x2 - a.x1 : a.x1 - a.x2, least = INT32_MAX;
    struct box best = {0};
    for (int gap = width > COLUMN ? COLUMN / 2 : width / 2; gap < width && least; gap += COLUMN)
        for (int try = 0; try < 6 && least; try++) {
            struct box b = name_box(a, width, gap + aside[try % 3], half, try > 2);
            int cover = covered(d, b);
            if (cover >= least) continue;
            least = cover;
            best = b;
        }
    return best;
}

static void draw_name(struct diagram *d, uint8_t kind, struct arrow a) {
    const char *name = wire_kind_name(kind), *system = strchr(name, '_');
    bool owned = !strncmp(name, "paxos_", 6) || !strncmp(name, "commit_", 7);
    if (!d->named || a.x1 == a.x2) return;
    if (owned) name = system + 1;
    struct box b = name_place(d, a, (int)strlen(name) * 27 / 10);
    take_place(d, b);
    buffer_printf(d->out, "<text class=\"qrt-name\" x=\"%d\" y=\"%d\" text-anchor=\"middle\">", (b.left + b.right) / 2,
                  b.bottom - 2);
    for (const char *c = name; *c; c++) buffer_printf(d->out, "%c", *c == '_' ? ' ' : *c);
    buffer_printf(d->out, "</text>");
}

/* An arrow from its send, or from the edge of the picture that the sender would be beyond, when it is not in
 * it. */
static void draw_message(struct diagram *d, size_t i) {
    const qrt_event *e = &d->events[i];
    int x2 = column_x(d->column[i]), y2 = d->y[i], sender = column_of(d, e->peer);
    size_t send = send_of(d, i);
    int x1 = x2 + (sender != NO_COLUMN && sender < d->column[i] ? -30 : 30), y1 = y2 - 5;
    if (send != SIZE_MAX) {
        x1 = column_x(d->column[send]);
        y1 = d->y[send];
    }
    bool lost = e->kind == QRT_KIND_DROP;
    if (lost) {
        x2 = x1 + (x2 - x1) * 3 / 5;
        y2 = y1 + (y2 - y1) * 3 / 5;
    }
    buffer_printf(d->out, "<g>");
    draw_title(d, e);
    buffer_printf(d->out, "<line class=\"qrt-%s\" x1=\"%d\" y1=\"%d\" x2=\"%d\" y2=\"%d\"/>", lost ? "lost" : "send",
                  x1, y1, x2, y2);
    if (lost)
        buffer_printf(d->out, "<path class=\"qrt-lost\" d=\"M%d %dl8 8m0 -8l-8 8\"/>", x2 - 4, y2 - 4);
    else
        buffer_printf(d->out, "<path class=\"qrt-tip\" d=\"M%d %dl%d -4v8z\"/>", x2, y2, x2 > x1 ? -8 : 8);
    if (send != SIZE_MAX) draw_name(d, d->events[send].detail, (struct arrow){x1, y1, x2, y2});
    buffer_printf(d->out, "</g>\n");
}

/* The message was sent, and the picture does not show what became of it. */
static void draw_stub(struct diagram *d, size_t i) {
    const qrt_event *e = &d->events[i];
    for (size_t k = i + 1; k < d->count; k++) {
        const qrt_event *other = &d->events[k];
        if (other->link == e->link && d->column[k] >= 0 &&
            (other->kind == QRT_KIND_RECEIVE || other->kind == QRT_KIND_DROP))
            return;
    }
    int x = column_x(d->column[i]), receiver = column_of(d, e->peer);
    int way = receiver != NO_COLUMN && receiver < d->column[i] ? -24 : 24;
    buffer_printf(d->out, "<g>");
    draw_title(d, e);
    buffer_printf(d->out, "<line class=\"qrt-send\" stroke-dasharray=\"2 3\" x1=\"%d\" y1=\"%d\" x2=\"%d\" y2=\"%d\"/>",
                  x, d->y[i], x + way, d->y[i] + 4);
    buffer_printf(d->out, "</g>\n");
}

static struct look look_with(const char *class, const char *verb, const char *letter, uint64_t number) {
    struct look k = {.class = class};
    snprintf(k.label, sizeof k.label, "%s %s%" PRIu64, verb, letter, number);
    return k;
}

static struct look append_look(const struct diagram *d, size_t i) {
    struct look k = {.class = "dot"};
    const qrt_event *e = &d->events[i];
    uint64_t first = append_first(d, i);
    if (first == e->index)
        snprintf(k.label, sizeof k.label, "append i%" PRIu64 " t%" PRIu64, e->index, e->term);
    else
        snprintf(k.label, sizeof k.label, "append i%" PRIu64 "-%" PRIu64 " t%" PRIu64, first, e->index, e->term);
    return k;
}

/* What a transaction's, an instance's or a view's event says of it. */
static const char *matter_words(const qrt_event *e) {
    static const char *const votes[] = {"votes", "votes yes", "votes no", "votes read-only"};
    static const char *const outcomes[] = {"decides", "decides: commit", "decides: abort"};
    static const char *const states[] = {"",        "begins",  "prepared",     "committed",
                                         "aborted", "blocked", "precommitted", "terminating"};
    static const char *const views[] = {"view granted", "removes", "adds"};
    if (e->kind == QRT_KIND_VOTE) return votes[e->detail < 4 ? e->detail : 0];
    if (e->kind == QRT_KIND_DECIDE) return outcomes[e->detail < 3 ? e->detail : 0];
    if (e->detail >= QRT_VIEW_GRANTED && e->detail <= QRT_BACKUP_ADDED) return views[e->detail - QRT_VIEW_GRANTED];
    return e->detail < 8 ? states[e->detail] : "state";
}

static struct look matter_look(const qrt_event *e) {
    struct look k = {.class = e->kind == QRT_KIND_DECIDE ? "good" : "dot"};
    bool of_peer = e->kind == QRT_KIND_STATE && e->detail > QRT_VIEW_GRANTED;
    if (of_peer)
        snprintf(k.label, sizeof k.label, "%s n%u", matter_words(e), e->peer);
    else
        snprintf(k.label, sizeof k.label, "%s", matter_words(e));
    if (e->kind == QRT_KIND_STATE && e->detail == QRT_TRANSACTION_BLOCKED) k.class = "bad";
    return k;
}

static struct look event_look(const qrt_event *e) {
    struct look k = {.class = "dot"};
    switch (e->kind) {
    case QRT_KIND_ROLE:
        return look_with(e->detail == QRT_ROLE_LEADER ? "role" : "dot", trace_role_name(e->detail), "t", e->term);
    case QRT_KIND_DECIDE:
    case QRT_KIND_STATE: return matter_look(e);
    case QRT_KIND_OPINION:
        snprintf(k.label, sizeof k.label, "%s n%u", e->detail ? "suspects" : "trusts", e->peer);
        return k;
    case QRT_KIND_NOTE: snprintf(k.label, sizeof k.label, "note %u", e->detail); return k;
    case QRT_KIND_VOTE:
        if (e->index) return matter_look(e);
        snprintf(k.label, sizeof k.label, "votes n%u t%" PRIu64, e->peer, e->term);
        return k;
    case QRT_KIND_COMMIT: return look_with("good", "commit", "i", e->index);
    case QRT_KIND_APPLY: return look_with("good", "apply", "i", e->index);
    case QRT_KIND_TRUNCATE: return look_with("bad", "truncate", "i", e->index);
    case QRT_KIND_ACK: return look_with("dot", "ack", "i", e->index);
    case QRT_KIND_RESTORE:
    case QRT_KIND_CHECKPOINT:
    case QRT_KIND_CAUGHT_UP: return look_with("good", trace_kind_name(e->kind), "i", e->index);
    case QRT_KIND_TERM: return look_with("dot", "term", "t", e->term);
    case QRT_KIND_START: k.class = "good"; break;
    case QRT_KIND_REJECT:
    case QRT_KIND_LIE:
    case QRT_KIND_RAISE: k.class = "bad"; break;
    default: break;
    }
    snprintf(k.label, sizeof k.label, "%s", trace_kind_name(e->kind));
    return k;
}

static struct look look_of(const struct diagram *d, size_t i) {
    return d->events[i].kind == QRT_KIND_APPEND ? append_look(d, i) : event_look(&d->events[i]);
}

/* Where an event's label stands best: below an arrow that comes from the right, above one that leaves to it. */
static int label_base(const struct diagram *d, size_t i) {
    for (size_t k = 0; k < d->count; k++) {
        const qrt_event *e = &d->events[k];
        if (d->column[k] != d->column[i] || d->y[k] != d->y[i] || column_of(d, e->peer) <= d->column[i]) continue;
        if (e->kind == QRT_KIND_RECEIVE) return d->y[i] + 9;
        if (e->kind == QRT_KIND_SEND) return d->y[i] - 1;
    }
    return d->y[i] + 3;
}

static void place_labels(struct diagram *d) {
    for (size_t i = 0; i < d->count; i++) {
        if (d->column[i] == NO_COLUMN || !has_label(&d->events[i])) continue;
        int x = column_x(d->column[i]) + 9, width = (int)strlen(look_of(d, i).label) * 6;
        d->base[i] = label_base(d, i);
        struct box b = {x, d->base[i] - 8, x + width, d->base[i] + 2};
        if (covered(d, b)) d->base[i] = d->y[i] + 3; /* the label of the row before stands lower */
        take_place(d, (struct box){x, d->base[i] - 8, x + width, d->base[i] + 2});
    }
}

static void draw_mark(struct diagram *d, size_t i) {
    const qrt_event *e = &d->events[i];
    struct look k = look_of(d, i);
    int x = column_x(d->column[i]), y = d->y[i];
    buffer_printf(d->out, "<g>");
    draw_title(d, e);
    if (e->kind == QRT_KIND_CRASH)
        buffer_printf(d->out, "<path class=\"qrt-cross\" d=\"M%d %dl10 10m0 -10l-10 10\"/>", x - 5, y - 5);
    else if (e->kind == QRT_KIND_START)
        buffer_printf(d->out, "<path class=\"qrt-good\" d=\"M%d %dh10l-5 8z\"/>", x - 5, y - 4);
    else
        buffer_printf(d->out, "<circle class=\"qrt-%s\" cx=\"%d\" cy=\"%d\" r=\"%s\"/>", k.class, x, y,
                      strcmp(k.class, "dot") == 0 ? "2.5" : "4");
    buffer_printf(d->out, "<text class=\"qrt-text\" x=\"%d\" y=\"%d\">%s</text></g>\n", x + 9, d->base[i], k.label);
}

static void draw_event(struct diagram *d, size_t i) {
    switch (d->events[i].kind) {
    case QRT_KIND_SEND: draw_stub(d, i); break;
    case QRT_KIND_RECEIVE:
    case QRT_KIND_DROP: draw_message(d, i); break;
    default: draw_mark(d, i); break;
    }
}

void diagram_svg(const qrt_event *events, size_t count, const uint16_t *nodes, size_t node_count, uint64_t highlight,
                 struct buffer *out) {
    size_t skip = count > DIAGRAM_MAX ? count - DIAGRAM_MAX : 0;
    if (highlight != DIAGRAM_NONE) highlight = highlight >= skip ? highlight - skip : DIAGRAM_NONE;
    struct diagram d = {.events = events + skip,
                        .count = count - skip,
                        .nodes = nodes,
                        .node_count = node_count,
                        .highlight = highlight,
                        .bottom = TOP,
                        .out = out};
    d.column = mem_alloc(d.count * sizeof *d.column);
    d.y = mem_zero(d.count, sizeof *d.y);
    d.base = mem_zero(d.count, sizeof *d.base);
    size_t arrows = 0;
    for (size_t i = 0; i < d.count; i++) arrows += d.events[i].kind == QRT_KIND_RECEIVE;
    d.named = arrows <= NAMED_MAX;
    place_events(&d);
    draw_frame(&d);
    if (highlight < d.count && d.column[highlight] != NO_COLUMN)
        buffer_printf(out, "<rect class=\"qrt-band\" x=\"0\" y=\"%d\" width=\"%d\" height=\"%d\"/>\n",
                      d.y[highlight] - ROW / 2, LEFT + COLUMN * (int)node_count + 20, ROW);
    draw_clock(&d);
    place_labels(&d);
    for (size_t i = 0; i < node_count; i++) draw_lifeline(&d, (int)i);
    for (size_t i = 0; i < d.count; i++)
        if (d.column[i] != NO_COLUMN) draw_event(&d, i);
    buffer_printf(out, "</svg>\n");
    free(d.column);
    free(d.y);
    free(d.base);
    free(d.texts);
}
