#include "cluster/assumption.h"

#include <string.h>

static const char *crash_breaks(const struct directive *d, const struct fault_model *m) {
    bool returns = d->hold > 0 || d->timing == FAULT_DURING;
    if (disk_forgets(d->disk) && !m->crash_wipes) return "no disk is lost";
    if (disk_forgets(d->disk) && !d->guarded) return "no more than a minority loses its disks before it caught up";
    if (d->disk == QRT_DISK_UNSYNCED_LOST && !m->loses_unsynced) return "a crash loses nothing that was written";
    return returns && !m->crash_recovers ? "a node that crashed stays down" : NULL;
}

const char *directive_breaks(const struct directive *d, const struct fault_model *m) {
    static const char bounded[] = "messages and steps take no longer than a known bound";
    switch ((enum fault_verb)d->verb) {
    case FAULT_CRASH: return crash_breaks(d, m);
    case FAULT_RESTART: return m->crash_recovers ? NULL : "a node that crashed stays down";
    case FAULT_PAUSE: return m->tolerates_pause ? NULL : m->synchrony ? bounded : "no node stops for a while";
    case FAULT_PARTITION: return m->tolerates_partition ? NULL : "every node reaches every other";
    case FAULT_LOSS: return m->tolerates_loss ? NULL : "no message is lost";
    case FAULT_DELAY:
    case FAULT_BANDWIDTH:
    case FAULT_SLOW: return m->synchrony ? bounded : NULL;
    case FAULT_REORDER: return m->tolerates_reorder ? NULL : "links are first-in first-out";
    case FAULT_DUPLICATE: return m->tolerates_duplicates ? NULL : "no message comes twice";
    case FAULT_CORRUPT: return m->tolerates_corruption ? NULL : "no message is damaged";
    case FAULT_SKEW: return m->tolerates_skew ? NULL : "clocks agree";
    case FAULT_LIE: return strcmp(m->liars, "0") ? NULL : "no node lies";
    case FAULT_RESUME:
    case FAULT_FILL: /* whoever has no room refuses, or stops when its reserve is used up too */
    case FAULT_FREE:
    case FAULT_HEAL: return NULL;
    }
    return NULL;
}

struct broken_assumption assumption_broken(const struct plan *plan, const struct fault_model *model) {
    struct broken_assumption first = {0};
    for (size_t i = 0; i < plan->count; i++) {
        const struct directive *d = &plan->directives[i];
        const char *assumes = directive_breaks(d, model);
        if (!assumes || (first.assumes && first.at <= d->at)) continue;
        first = (struct broken_assumption){assumes, d->verb, d->at};
    }
    return first;
}
