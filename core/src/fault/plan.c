/* Plans as plain data: keeping them, naming verbs, and telling a directive in one line. Reading and
 * writing JSON is in plan_json.c, drawing in plan_draw.c. */
#include "fault/plan.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "fault/words.h"

const char *const fault_verb_words[FAULT_VERB_MAX] = {"crash", "restart", "pause",     "resume",    "partition", "heal",
                                                      "loss",  "delay",   "reorder",   "duplicate", "corrupt",   "skew",
                                                      "slow",  "lie",     "bandwidth", "fill",      "free"};
const char *const fault_target_words[FAULT_TARGET_MAX] = {"node", "leader",   "follower", "random",
                                                          "all",  "majority", "minority"};
const char *const fault_shape_words[FAULT_SHAPE_MAX + 1] = {"groups", "halves", "one",      "leader",
                                                            "ring",   "bridge", "candidate"};
const char *const fault_disk_words[FAULT_DISK_MAX + 1] = {"kept", "unsynced", "wiped", "damaged"};

void plan_free(struct plan *p) {
    free(p->directives);
    *p = (struct plan){0};
}

void plan_clone(struct plan *to, const struct plan *from) {
    *to = *from;
    to->directives = mem_copy(from->directives, from->count * sizeof *from->directives);
    to->capacity = from->count;
}

void plan_add(struct plan *p, const struct directive *d) {
    p->directives = mem_grow(p->directives, &p->capacity, p->count + 1, sizeof *p->directives);
    struct directive *added = &p->directives[p->count++];
    *added = *d;
    if (!added->id) {
        CHECK(p->last_id < UINT32_MAX);
        added->id = p->last_id + 1;
    }
    if (added->id > p->last_id) p->last_id = added->id;
}

static int64_t time_add(int64_t a, int64_t b) {
    int64_t sum;
    return __builtin_add_overflow(a, b, &sum) ? INT64_MAX : sum;
}

bool directive_is_drawn(const struct directive *d) {
    return d->target == FAULT_FOLLOWER || d->target == FAULT_RANDOM || d->target == FAULT_MAJORITY ||
           d->target == FAULT_MINORITY;
}

void plan_absolute(struct plan *p) {
    int64_t previous = 0;
    for (size_t i = 0; i < p->count; i++) {
        struct directive *d = &p->directives[i];
        if (d->timing == FAULT_AFTER) {
            d->timing = FAULT_AT;
            d->at = time_add(previous, d->at);
        }
        previous = d->at;
    }
}

const char *fault_verb_name(uint8_t verb) {
    return verb >= 1 && verb <= FAULT_VERB_MAX ? fault_verb_words[verb - 1] : "unknown-fault";
}

uint8_t fault_verb_undo(uint8_t verb) {
    switch (verb) {
    case FAULT_CRASH: return FAULT_RESTART;
    case FAULT_PAUSE: return FAULT_RESUME;
    case FAULT_RESTART:
    case FAULT_RESUME:
    case FAULT_FREE:
    case FAULT_HEAL: return 0;
    case FAULT_FILL: return FAULT_FREE;
    default: return FAULT_HEAL;
    }
}

/* A line under construction; what does not fit is cut off, as snprintf does. */
struct line {
    char *out;
    size_t size;
    int length;
};

static void line_add(struct line *l, const char *format, ...) __attribute__((format(printf, 2, 3)));
static void line_add(struct line *l, const char *format, ...) {
    size_t used = (size_t)l->length < l->size ? (size_t)l->length : l->size;
    va_list args;
    va_start(args, format);
    int n = vsnprintf(l->out ? l->out + used : NULL, l->size - used, format, args);
    va_end(args);
    if (n > 0) l->length += n;
}

/* A duration in the unit that people would use. */
static void line_time(struct line *l, int64_t ns) {
    double v = (double)ns, size = v < 0 ? -v : v;
    if (size == 0)
        line_add(l, "0 s");
    else if (size < 1e3)
        line_add(l, "%g ns", v);
    else if (size < 1e6)
        line_add(l, "%.6g us", v / 1e3);
    else if (size < 1e9)
        line_add(l, "%.6g ms", v / 1e6);
    else
        line_add(l, "%.9g s", v / 1e9);
}

static void line_when(struct line *l, const struct directive *d) {
    line_add(l, "%s",
             d->timing == FAULT_EVERY    ? "every "
             : d->timing == FAULT_DURING ? "from "
             : d->timing == FAULT_AFTER  ? "after "
                                         : "at ");
    line_time(l, d->timing == FAULT_EVERY ? d->period : d->at);
    if (d->timing == FAULT_EVERY) {
        line_add(l, " from ");
        line_time(l, d->at);
    }
    if (d->timing == FAULT_DURING || (d->timing == FAULT_EVERY && d->until != INT64_MAX)) {
        line_add(l, d->timing == FAULT_EVERY ? " until " : " to ");
        line_time(l, d->until);
    }
    if (d->hold) {
        line_add(l, " for ");
        line_time(l, d->hold);
    }
    line_add(l, ": %s", fault_verb_name(d->verb));
}

static void line_end(struct line *l, uint16_t id) {
    if (!id)
        line_add(l, "any");
    else if (id > QRT_CLIENT)
        line_add(l, "client %u", (unsigned)(id - QRT_CLIENT));
    else
        line_add(l, "node %u", (unsigned)id);
}

static void line_target(struct line *l, const struct directive *d) {
    if (d->target == FAULT_NODE)
        line_add(l, " node %u", (unsigned)d->node);
    else if (d->target >= 1 && d->target <= FAULT_TARGET_MAX)
        line_add(l,
                 d->target == FAULT_ALL      ? " %s nodes"
                 : d->target == FAULT_RANDOM ? " a %s node"
                                             : " the %s",
                 fault_target_words[d->target - 1]);
}

static void line_groups(struct line *l, const struct directive *d) {
    for (unsigned g = 1; g <= d->group_count; g++) {
        line_add(l, g == 1 ? " {" : " | {");
        const char *separator = "";
        for (unsigned id = 1; id <= FAULT_NODES_MAX; id++)
            if (d->group_of[id] == g) {
                line_add(l, "%s%u", separator, id);
                separator = " ";
            }
        line_add(l, "}");
    }
}

static void line_delay(struct line *l, const struct distribution *d) {
    static const char *const names[] = {"", "", "uniform", "normal", "exponential", "Pareto"};
    line_add(l, " %s%s", d->kind <= DIST_PARETO ? names[d->kind] : "", d->kind > DIST_CONSTANT ? " " : "");
    line_time(l, d->a);
    if (d->kind == DIST_UNIFORM || d->kind == DIST_NORMAL) {
        line_add(l, d->kind == DIST_UNIFORM ? " to " : " deviation ");
        line_time(l, d->b);
    }
    if (d->kind == DIST_PARETO) line_add(l, " shape %g", d->shape);
}

static void line_link(struct line *l, const struct directive *d) {
    if (d->from || d->to) {
        line_add(l, d->both ? " between " : " from ");
        line_end(l, d->from);
        line_add(l, d->both ? " and " : " to ");
        line_end(l, d->to);
    }
    if (d->verb == FAULT_BANDWIDTH) {
        line_add(l, " of %lld bytes/s", (long long)d->rate);
        return;
    }
    if (d->verb != FAULT_DELAY) line_add(l, " of %g%%", d->probability * 100);
    if (d->verb == FAULT_REORDER || d->verb == FAULT_DUPLICATE) line_add(l, ", late by");
    if (d->verb == FAULT_REORDER || d->verb == FAULT_DUPLICATE || d->verb == FAULT_DELAY) line_delay(l, &d->delay);
}

static void line_what(struct line *l, const struct directive *d) {
    switch (d->verb) {
    case FAULT_CRASH:
        line_target(l, d);
        if (d->effect >= 0) line_add(l, " after %d effects", (int)d->effect);
        if (d->disk <= FAULT_DISK_MAX)
            line_add(l, ", disk %s%s", fault_disk_words[d->disk], d->disk == QRT_DISK_UNSYNCED_LOST ? " lost" : "");
        break;
    case FAULT_RESTART:
    case FAULT_PAUSE:
    case FAULT_FILL:
    case FAULT_FREE:
    case FAULT_RESUME: line_target(l, d); break;
    case FAULT_PARTITION:
        if (d->shape == FAULT_GROUPS)
            line_groups(l, d);
        else if (d->shape <= FAULT_SHAPE_MAX)
            line_add(l, " %s", fault_shape_words[d->shape]);
        if (d->node) line_add(l, " node %u", (unsigned)d->node);
        if (d->one_way) line_add(l, ", one way");
        break;
    case FAULT_HEAL: break;
    case FAULT_SKEW:
        line_target(l, d);
        line_add(l, " by ");
        line_time(l, d->offset_ns);
        line_add(l, ", drift %g ppm", d->drift_ppm);
        break;
    case FAULT_SLOW:
        line_target(l, d);
        line_delay(l, &d->delay);
        line_add(l, " a step");
        break;
    default: line_link(l, d);
    }
}

int directive_describe(const struct directive *d, char *out, size_t size) {
    struct line l = {out, size, 0};
    if (size) out[0] = 0;
    line_when(&l, d);
    line_what(&l, d);
    return l.length;
}
