/* A plan of faults is data: directives, each with a time, a verb and its targets. It is saved as JSON,
 * drawn from a seed, shrunk directive by directive, and means the same in every runtime.
 *
 * JSON: {"directives": [{"at": 1.5, "do": "crash", "node": "leader", "effect": 2}, ...]}, or the list alone
 *   when   "at": s          once, at that time of the run
 *          "after": s       once, that long after the directive before it in the list began (the first: 0)
 *          "every": s       again and again, from "start" (default: every) until "until" (default: for ever)
 *          "during": [s, s] from the first to the second: what stands ends then, and what was done to nodes
 *                           is undone (a crash by a restart, a pause by a resume)
 *          "for": s         beside at, after or every: each firing ends after that long, likewise
 *   do     see below, and enum fault_verb
 *   id     a number, unique in the plan (default: the next): the key of the directive's random choices
 * Times are seconds, or text with a unit ("150ms"). One example of each verb, without its time:
 *
 *   {"do": "crash", "node": 3, "disk": "wiped", "guarded": true}   disk: kept, unsynced (the default), wiped, damaged
 *   {"do": "crash", "node": "leader", "effect": 2}                 dies between two effects of its next step
 *   {"do": "restart", "node": "all"}
 *   {"do": "pause", "node": "follower"}                            or leader, random, all, majority, minority
 *   {"do": "resume", "node": 2}
 *   {"do": "partition", "groups": [[1, 2], [3, 4, 5]], "one_way": true}
 *   {"do": "partition", "shape": "one", "node": 4}                 halves, one, leader, ring, bridge
 *   {"do": "heal"}
 *   {"do": "loss", "from": 1, "to": "any", "both": true, "probability": 0.1}
 *   {"do": "delay", "to": "c3", "delay": {"pareto": ["5ms", 1.5]}} c3: the third client
 *   {"do": "delay", "delay": "20ms"}                               or uniform, normal, exponential, as above
 *   {"do": "reorder", "probability": 0.2, "spread": "20ms"}        up to that, uniformly; or as for delay
 *   {"do": "duplicate", "probability": 0.05, "spread": "20ms"}
 *   {"do": "corrupt", "probability": 0.01}
 *   {"do": "lie", "from": 2, "to": 3, "probability": 0.2}         what a node tells another, or any, is false
 *   {"do": "bandwidth", "from": 1, "both": true, "rate": 125000}    bytes a second, a message at a time
 *   {"do": "skew", "node": 2, "offset": "-80ms", "drift": 200}     drift in parts per million
 *   {"do": "slow", "node": "random", "delay": "2ms"}
 *   {"do": "fill", "node": 2}                                      its disk has no room
 *   {"do": "free", "node": 2}                                      or "all": it has room again */
#ifndef FAULT_PLAN_H
#define FAULT_PLAN_H

#include <stdbool.h>
#include <stdint.h>

#include "base/bytes.h"
#include "base/memory.h"
#include "base/random.h"
#include "base/status.h"

#define FAULT_NODES_MAX 128
#define FAULT_GROUPS_MAX 8
#define FAULT_DIRECTIVES_MAX 65536
/* Ten years: sums of two stay far from overflow. */
#define FAULT_TIME_MAX_NS ((int64_t)1000000000 * 86400 * 3650)

/* These numbers cross trace and files. */
enum fault_verb {
    FAULT_CRASH = 1,      /* node; disk: its fate; effect: after how many effects of its next step it dies */
    FAULT_RESTART = 2,    /* node */
    FAULT_PAUSE = 3,      /* node */
    FAULT_RESUME = 4,     /* node */
    FAULT_PARTITION = 5,  /* groups, or a shape; one_way: the first group's sends to the rest are cut */
    FAULT_HEAL = 6,       /* ends all partitions and link conditions */
    FAULT_LOSS = 7,       /* from, to, probability */
    FAULT_DELAY = 8,      /* from, to; a draw of `delay` comes on top of the link's own */
    FAULT_REORDER = 9,    /* from, to, probability: may overtake and be overtaken, late by a draw of `delay` */
    FAULT_DUPLICATE = 10, /* from, to, probability; the copy is late by a draw of `delay` */
    FAULT_CORRUPT = 11,   /* from, to, probability: one bit of the frame flips */
    FAULT_SKEW = 12,      /* node, offset_ns of its wall clock, drift_ppm of both clocks */
    FAULT_SLOW = 13,      /* node: every step of it is delayed by delay.a */
    FAULT_LIE = 14,       /* from, to, probability: one field of the message is false, under a sound seal; nodes only */
    FAULT_BANDWIDTH = 15, /* from, to, rate: messages leave one after the other, each as long as its bytes take */
    FAULT_FILL = 16, /* node: its disk is full, until it is freed or the directive ends; not by a heal or a restart */
    FAULT_FREE = 17, /* node: ends every fill of it */
};
#define FAULT_VERB_MAX 17

enum fault_timing { FAULT_AT = 1, FAULT_AFTER = 2, FAULT_EVERY = 3, FAULT_DURING = 4 };

/* Who a node directive hits; resolved by the runtime when it fires. */
enum fault_target {
    FAULT_NODE = 1,     /* by id */
    FAULT_LEADER = 2,   /* whoever leads (the highest term, if several); nobody: skipped */
    FAULT_FOLLOWER = 3, /* a random up node that does not lead */
    FAULT_RANDOM = 4,   /* a random node */
    FAULT_ALL = 5,
    FAULT_MAJORITY = 6, /* a random majority */
    FAULT_MINORITY = 7, /* a random minority, at least one where n >= 3 */
};

/* Of a partition. */
enum fault_shape {
    FAULT_GROUPS = 0, /* group_of says it */
    FAULT_HALVES = 1, /* a random split; of an odd number, either part may be the first */
    FAULT_ONE = 2,    /* one node (`node`, or a random one) alone */
    FAULT_SOLO = 3,   /* "leader": whoever leads, alone; nobody: skipped */
    FAULT_RING = 4,   /* everyone sees a majority, no two the same one */
    FAULT_BRIDGE = 5, /* two halves, joined by one node (`node`, or a random one) only */
    FAULT_RUNNER = 6, /* "candidate": whoever stands for election, alone; nobody: skipped */
};

/* A delay: constant a; uniform [a, b]; normal mean a, deviation b, cut at 0; exponential mean a; Pareto with
 * scale a and shape `shape` (heavy tail; cut at 100 a). All from given random bits, deterministic. */
enum distribution_kind { DIST_CONSTANT = 1, DIST_UNIFORM = 2, DIST_NORMAL = 3, DIST_EXPONENTIAL = 4, DIST_PARETO = 5 };

struct distribution {
    uint8_t kind;
    int64_t a, b; /* ns */
    double shape;
};
int64_t distribution_draw(const struct distribution *d, uint64_t bits);

struct directive {
    uint32_t id; /* stable: the key of its random choices; kept when others are removed */
    uint8_t verb, timing, target, disk, shape;
    bool one_way;
    bool guarded;      /* a wipe or damage that would leave more than a minority not caught up keeps the disk instead */
    bool both;         /* link verbs: the other direction too */
    uint16_t node;     /* FAULT_NODE; 0 for none */
    uint16_t from, to; /* link verbs: 0 any */
    int32_t effect;    /* FAULT_CRASH: -1 at once */
    uint8_t group_count;
    uint8_t group_of[FAULT_NODES_MAX + 1]; /* by node id: 1.. group_count, 0 in none (cut from all) */
    int64_t at, until, period;             /* ns; until: end of EVERY (INT64_MAX: never) or of DURING */
    int64_t hold;                          /* ns; "for": a firing of AT, AFTER or EVERY is undone after it; 0: never */
    double probability;
    struct distribution delay;
    int64_t offset_ns;
    double drift_ppm;
    int64_t rate; /* bytes a second */
};

struct plan {
    struct directive *directives;
    size_t count, capacity;
    uint32_t last_id; /* the largest id ever given here */
};

void plan_free(struct plan *p);
void plan_clone(struct plan *to, const struct plan *from);
void plan_add(struct plan *p, const struct directive *d); /* gives it the next free id when d->id is 0 */
static inline bool disk_forgets(uint8_t fate) {           /* its member must catch up before it votes; qrt_disk_fate */
    return fate == QRT_DISK_WIPED || fate == QRT_DISK_DAMAGED;
}
bool directive_is_drawn(const struct directive *d); /* whom it hits is drawn among the nodes */
void plan_absolute(struct plan *p);                 /* turns every FAULT_AFTER into the FAULT_AT that it means */
/* Errors name line and column, or the directive and field, and the nearest known word. nodes 0: not known
 * yet. On an error the plan is empty. A directive alone needs no time: it means now. */
qrt_status plan_parse(struct plan *p, struct bytes json, uint16_t nodes, struct error *e);
qrt_status directive_parse(struct directive *d, struct bytes json, uint16_t nodes, struct error *e);
/* Writes JSON that plan_parse reads back to the same plan. */
void plan_print(const struct plan *p, struct buffer *out);
int directive_describe(const struct directive *d, char *out, size_t size); /* one line for people */
const char *fault_verb_name(uint8_t verb);
/* The verb that undoes it: RESTART, RESUME, or HEAL for what stands; 0 for verbs that are themselves an
 * undoing. */
uint8_t fault_verb_undo(uint8_t verb);

enum plan_story {
    STORY_NONE = 0,
    STORY_TORN_VOTE = 1,    /* two candidates of one term, and a voter between them that dies */
    STORY_FIGURE_EIGHT = 2, /* rival leaders with entries of their own (Ongaro's figure 3.7) */
};

/* What a drawn plan may contain; from a protocol's fault model, narrowed by the seed's swarm. */
struct plan_profile {
    uint16_t nodes;
    int64_t start_ns, end_ns; /* all faults lie between; everything is healed, resumed, restarted at end_ns */
    int64_t scale_ns;         /* a typical election timeout: pauses, partitions and outages are drawn around it */
    uint32_t faults_min, faults_max;
    uint32_t verbs;                      /* bit per enum fault_verb */
    bool wipes, loses_unsynced, effects; /* effects: crashes between effects */
    bool damages;                        /* half of the wipes are damage of the log instead */
    bool unguarded;                      /* wipes may hit more than a minority */
    /* In a synchronous model: crashes only, of at most `lanes` nodes at a time, each of which counts until it has been back
     * for settle_ns. 0: whatever the motifs draw. */
    uint16_t lanes;
    int64_t settle_ns;
    uint8_t story; /* enum plan_story: what the plan begins with, as often as there is room for it */
};
/* The last directives of a drawn plan are a heal, a resume of all and a restart of all at end_ns, whatever
 * the mask. */
void plan_draw(struct plan *p, const struct plan_profile *profile, struct random *random);

#endif
