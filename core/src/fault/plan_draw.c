/* Drawing a plan from a random stream. A plan is made of motifs: small stories that have broken protocols
 * before (the leader dies right after its election, a majority loses its unsynced writes at once, a leader
 * sleeps through an election and wakes, a link works one way only). Motifs are weighted; the profile's
 * mask says which verbs they may use.
 *
 * 1. Every fault lies in [start_ns, end_ns] and has an end there; then come a heal, a resume and a restart
 * of all.
 * 2. Between faults_min and faults_max directives are faults, unless the mask allows no fault at all.
 * 3. Wipes are guarded, and hit one node each. */
#include <stdlib.h>

#include "base/check.h"
#include "fault/plan.h"

#define QUANTUM_NS 1000000       /* times of a plan are whole milliseconds, so that people can read them */
#define QUANTUM_FINE_NS 1000     /* or microseconds, where election timeouts are short */
#define SCALE_COARSE_NS 10000000 /* from here on: milliseconds */
#define EFFECTS_DRAWN 9          /* a crash after 0 to 8 effects */
#define VOTE_EFFECTS 4           /* of a step that votes in a new term: the term, the record, the vote, the answer */
#define BURST_MAX 4

struct drawing {
    const struct plan_profile *profile;
    struct random *random;
    struct directive *drawn;
    size_t count, capacity;
    uint32_t left, mask;
    int64_t quantum;
    int64_t centre; /* of a burst; -1: none */
};

/* What motifs are made of. */

static int64_t quantum_floor(const struct drawing *w, int64_t ns) {
    return ns - ns % w->quantum;
}

/* Between low and high tenths of the time scale. */
static int64_t draw_length(struct drawing *w, int64_t low, int64_t high) {
    int64_t ns = quantum_floor(w, w->profile->scale_ns / 10 * random_between(w->random, low, high));
    return ns > w->quantum ? ns : w->quantum;
}

static int64_t draw_moment(struct drawing *w) {
    const struct plan_profile *p = w->profile;
    if (w->centre >= 0) return w->centre + draw_length(w, 0, 15);
    return quantum_floor(w, random_between(w->random, p->start_ns, p->end_ns));
}

/* A probability between low and high thousandths. */
static double draw_probability(struct drawing *w, int64_t low, int64_t high) {
    return (double)random_between(w->random, low, high) / 1000;
}

static uint16_t draw_node(struct drawing *w) {
    return (uint16_t)(1 + random_below(w->random, w->profile->nodes));
}

static struct directive directive_of(uint8_t verb, int64_t at, int64_t hold) {
    return (struct directive){.verb = verb, .timing = FAULT_AT, .at = at, .hold = hold, .effect = -1};
}

/* At a drawn moment, for between low and high tenths of the time scale. As everywhere in this file, each draw is a
 * statement of its own: C leaves the order of arguments and of initialisers to the compiler. */
static struct directive directive_drawn(struct drawing *w, uint8_t verb, int64_t low, int64_t high) {
    int64_t at = draw_moment(w);
    return directive_of(verb, at, draw_length(w, low, high));
}

/* Keeps a directive inside the profile's window; one too many is left out. */
static void put(struct drawing *w, struct directive d) {
    int64_t start = w->profile->start_ns, end = w->profile->end_ns, latest = end - w->quantum;
    if (!w->left) return;
    w->left--;
    if (d.at > latest) d.at = latest;
    if (d.at < start) d.at = start;
    if (d.timing == FAULT_EVERY) {
        if (d.until > end - d.hold) d.until = end - d.hold;
        if (d.until < d.at + d.period) { /* room for one firing only */
            d.timing = FAULT_AT;
            d.until = d.period = 0;
        }
    }
    if (d.at + d.hold > end) d.hold = end - d.at;
    w->drawn = mem_grow(w->drawn, &w->capacity, w->count + 1, sizeof *w->drawn);
    w->drawn[w->count++] = d;
}

/* Again and again: `firings` times, each for `hold`. */
static struct directive repeated(struct directive d, int64_t period, int64_t firings) {
    d.timing = FAULT_EVERY;
    d.period = period;
    d.until = d.at + period * (firings - 1);
    return d;
}

/* Crashes and pauses. */

static struct directive crash_of(struct drawing *w, uint8_t target, int64_t at, int64_t hold) {
    const struct plan_profile *p = w->profile;
    struct directive d = directive_of(FAULT_CRASH, at, hold);
    d.target = target;
    bool single = target == FAULT_LEADER || target == FAULT_FOLLOWER || target == FAULT_RANDOM || target == FAULT_NODE;
    bool wipe = random_chance(w->random, 0.15), lose = random_chance(w->random, 0.75);
    bool between = random_chance(w->random, 0.5);
    int32_t effect = (int32_t)random_below(w->random, EFFECTS_DRAWN);
    if (p->loses_unsynced && lose) d.disk = QRT_DISK_UNSYNCED_LOST;
    if (p->wipes && wipe && single) {
        bool damage = p->damages && random_chance(w->random, 0.5);
        d.disk = damage ? QRT_DISK_DAMAGED : QRT_DISK_WIPED;
        d.guarded = !p->unguarded;
    }
    if (p->effects && between) d.effect = effect;
    return d;
}

static struct directive crash_drawn(struct drawing *w, uint8_t target, int64_t low, int64_t high) {
    int64_t at = draw_moment(w), hold = draw_length(w, low, high);
    return crash_of(w, target, at, hold);
}

static void draw_crash_leader(struct drawing *w) {
    put(w, crash_drawn(w, FAULT_LEADER, 2, 40));
}

static void draw_crash_one(struct drawing *w) {
    uint8_t target = random_chance(w->random, 0.5) ? FAULT_FOLLOWER : FAULT_RANDOM;
    put(w, crash_drawn(w, target, 2, 50));
}

/* What was only in the memory of a quorum is lost. */
static void draw_crash_many(struct drawing *w) {
    static const uint8_t targets[] = {FAULT_MAJORITY, FAULT_MAJORITY, FAULT_ALL, FAULT_MINORITY};
    uint8_t target = targets[random_below(w->random, 4)];
    put(w, crash_drawn(w, target, 2, 25));
}

/* Down, up, and down again before it has found its feet. */
static void draw_crash_twice(struct drawing *w) {
    int64_t at = draw_moment(w), outage = draw_length(w, 1, 8), gap = draw_length(w, 1, 6);
    int64_t outage_second = draw_length(w, 1, 20);
    struct directive first = crash_of(w, FAULT_NODE, at, outage);
    struct directive second = crash_of(w, FAULT_NODE, at + outage + gap, outage_second);
    first.node = second.node = draw_node(w);
    put(w, first);
    put(w, second);
}

/* Every new leader dies shortly after its election. */
static void draw_crash_leaders(struct drawing *w) {
    int64_t at = draw_moment(w), period = draw_length(w, 12, 40);
    int64_t outage = period * random_between(w->random, 3, 9) / 10;
    struct directive d = crash_of(w, FAULT_LEADER, at, quantum_floor(w, outage));
    if (d.hold < w->quantum) return;
    put(w, repeated(d, period, random_between(w->random, 2, 6)));
}

/* Nodes blink: they are back before anybody has missed them, without what was not yet synced. */
static void draw_blink(struct drawing *w) {
    static const uint8_t targets[] = {FAULT_RANDOM, FAULT_RANDOM, FAULT_MAJORITY, FAULT_ALL};
    int64_t at = draw_moment(w);
    struct directive d = crash_of(w, targets[random_below(w->random, 4)], at, 0);
    d.hold = quantum_floor(w, w->profile->scale_ns * random_between(w->random, 2, 10) / 100);
    if (d.hold < w->quantum) d.hold = w->quantum;
    int64_t period = draw_length(w, 2, 8) + d.hold;
    put(w, repeated(d, period, random_between(w->random, 4, 16)));
}

/* The leader dies, and while the others elect the next one, voters die in the middle of the step in which they vote, and
 * come back while the same candidates still ask. */
static void draw_crash_voters(struct drawing *w) {
    struct directive leader = crash_drawn(w, FAULT_LEADER, 20, 50);
    int64_t rounds = random_between(w->random, 1, 4), at = leader.at;
    put(w, leader);
    for (int64_t i = 0; i < rounds; i++) {
        at += draw_length(w, 6, 14);
        struct directive voter = crash_of(w, random_chance(w->random, 0.5) ? FAULT_ALL : FAULT_MAJORITY, at, 0);
        voter.hold = draw_length(w, 1, 3);
        if (w->profile->effects) voter.effect = (int32_t)random_between(w->random, 1, 6);
        put(w, voter);
    }
}

/* Messages take about as long as elections do: several candidates stand in one term, and meet their voters twice. */
static void draw_contest(struct drawing *w) {
    struct directive d = directive_drawn(w, FAULT_DELAY, 40, 120);
    d.delay.kind = DIST_UNIFORM;
    d.delay.a = draw_length(w, 1, 4);
    d.delay.b = draw_length(w, 5, 14);
    put(w, d);
    w->centre = d.at;
    draw_blink(w);
    if (random_chance(w->random, 0.5)) draw_crash_voters(w);
    w->centre = -1;
}

/* Leaders come and go faster than they replicate, each with entries that only it and a few others hold (Ongaro's
 * figure 3.7): cut off, deposed, crashed, elected again. */
static void draw_rival_logs(struct drawing *w) {
    struct directive cut = directive_of(FAULT_PARTITION, draw_moment(w), 0);
    int64_t period = draw_length(w, 16, 34), firings = random_between(w->random, 4, 9);
    static const uint8_t shapes[] = {FAULT_SOLO, FAULT_SOLO, FAULT_SOLO, FAULT_HALVES, FAULT_RUNNER};
    cut.shape = shapes[random_below(w->random, sizeof shapes)];
    cut.hold = quantum_floor(w, period * random_between(w->random, 4, 8) / 10);
    int64_t at = cut.at + draw_length(w, 1, 15), outage = draw_length(w, 2, 9);
    struct directive crash = crash_of(w, FAULT_LEADER, at, outage);
    int64_t beat = quantum_floor(w, period * random_between(w->random, 7, 13) / 10);
    put(w, repeated(cut, period, firings));
    put(w, repeated(crash, beat > crash.hold ? beat : crash.hold + w->quantum, firings));
}

/* Stories: what a plan may begin with (plan_profile.story). They name their cast, and their times are hundredths of
 * the time scale from the story's beginning. */

static int64_t story_time(const struct drawing *w, int64_t hundredths) {
    int64_t ns = quantum_floor(w, w->profile->scale_ns / 100 * hundredths);
    return ns > w->quantum ? ns : w->quantum;
}

static int64_t story_draw(struct drawing *w, int64_t low, int64_t high) {
    return story_time(w, random_between(w->random, low, high));
}

/* The node is silent from `at` to `end`, and forgets what it had not synced. */
static struct directive story_crash(const struct drawing *w, uint16_t node, int64_t at, int64_t end) {
    struct directive d = directive_of(FAULT_CRASH, at, end - at);
    d.target = FAULT_NODE;
    d.node = node;
    if (w->profile->loses_unsynced) d.disk = QRT_DISK_UNSYNCED_LOST;
    return d;
}

static struct directive story_cut(uint16_t node, uint8_t shape, bool one_way, int64_t at, int64_t end) {
    struct directive d = directive_of(FAULT_PARTITION, at, end - at);
    d.shape = shape;
    d.one_way = one_way;
    d.node = node;
    return d;
}

/* Two candidates of one term meet the same voter, and neither hears of the other: the voter, who joins two halves, is
 * down while both stand; what it misses meanwhile may leave its log behind theirs. It comes back, and may die again
 * behind its first vote, before that is synced, and be back while the other candidate still asks. Returns its end. */
static int64_t tell_torn_vote(struct drawing *w, int64_t at) {
    uint16_t voter = draw_node(w);
    int64_t cut = at + story_draw(w, 20, 200), back = cut + story_draw(w, 140, 230);
    int64_t end = back + story_draw(w, 150, 250);
    struct directive all = story_crash(w, 0, cut, cut + story_time(w, 10));
    struct directive again = story_crash(w, voter, back + story_time(w, 2), 0);
    all.target = FAULT_ALL;
    again.hold = story_draw(w, 15, 40); /* longer than a candidate waits before it asks again */
    int32_t effect = (int32_t)random_between(w->random, 1, 6);
    if (w->profile->effects) again.effect = random_chance(w->random, 0.7) ? VOTE_EFFECTS : effect;
    put(w, story_crash(w, voter, at, back));
    put(w, story_cut(voter, FAULT_BRIDGE, false, cut, end));
    put(w, all);
    if (random_chance(w->random, 0.7)) put(w, again);
    return end + story_draw(w, 50, 150);
}

static void silence_others(struct drawing *w, uint16_t first, uint16_t second, int64_t at, int64_t end) {
    for (uint16_t node = 1; node <= w->profile->nodes; node++)
        if (node != first && node != second) put(w, story_crash(w, node, at, end));
}

/* Ongaro's figure 3.7. All others are silent until `first` stands, so it leads; it is cut off with entries that nobody
 * else has. `second` is elected, but nothing that it says as leader gets out. `first` is elected again and spreads its
 * old entries; before it has spread one of its new term it falls silent, and `second` is elected once more. Messages
 * take a fifth of an election timeout, so that each of these moments is wide. Returns its end. */
static int64_t tell_figure_eight(struct drawing *w, int64_t at) {
    uint16_t first = draw_node(w), second = (uint16_t)(first % w->profile->nodes + 1);
    int64_t cut = at + story_draw(w, 320, 400), voters = cut + story_draw(w, 200, 230);
    int64_t mute = voters + story_draw(w, 18, 36), again = voters + story_draw(w, 290, 330);
    int64_t fall = again + story_draw(w, 96, 124);
    struct directive slow = directive_of(FAULT_DELAY, cut, fall - cut);
    slow.delay = (struct distribution){.kind = DIST_CONSTANT, .a = story_time(w, 20)};
    put(w, story_crash(w, second, at, at + story_time(w, 260)));
    silence_others(w, first, second, at, at + story_time(w, 220));
    put(w, slow);
    put(w, story_cut(first, FAULT_ONE, false, cut, again - story_time(w, 25)));
    silence_others(w, first, second, cut, voters);
    put(w, story_crash(w, first, cut + story_time(w, 120), cut + story_time(w, 130)));
    put(w, story_cut(second, FAULT_ONE, true, mute, fall));
    silence_others(w, first, second, mute + story_time(w, 15), again);
    put(w, story_cut(first, FAULT_ONE, true, fall, fall + story_time(w, 300)));
    return fall + story_draw(w, 300, 340);
}

/* One story after the other, while there is room. */
static void draw_stories(struct drawing *w) {
    const struct plan_profile *p = w->profile;
    int64_t at = p->start_ns + story_draw(w, 0, 50), last = p->end_ns - 5 * p->scale_ns;
    while (w->left && at < last) at = p->story == STORY_FIGURE_EIGHT ? tell_figure_eight(w, at) : tell_torn_vote(w, at);
}

/* A leader that sleeps longer than an election timeout wakes up deposed, and does not know. */
static void draw_pause_leader(struct drawing *w) {
    struct directive d = directive_of(FAULT_PAUSE, draw_moment(w), 0);
    d.target = FAULT_LEADER;
    d.hold = draw_length(w, 10, 60);
    put(w, d);
}

static void draw_pause_one(struct drawing *w) {
    static const uint8_t targets[] = {FAULT_FOLLOWER, FAULT_RANDOM, FAULT_MINORITY, FAULT_MAJORITY};
    struct directive d = directive_of(FAULT_PAUSE, draw_moment(w), 0);
    d.target = targets[random_below(w->random, 4)];
    d.hold = draw_length(w, 2, 30);
    put(w, d);
}

/* Partitions. */

static struct directive partition_of(struct drawing *w) {
    static const uint8_t shapes[] = {FAULT_HALVES, FAULT_HALVES, FAULT_ONE,  FAULT_SOLO,
                                     FAULT_SOLO,   FAULT_SOLO,   FAULT_RING, FAULT_BRIDGE};
    struct directive d = directive_of(FAULT_PARTITION, draw_moment(w), 0);
    d.shape = shapes[random_below(w->random, sizeof shapes)];
    d.one_way = random_chance(w->random, 0.3);
    return d;
}

static void draw_partition(struct drawing *w) {
    struct directive d = partition_of(w);
    d.hold = draw_length(w, 8, 80);
    put(w, d);
}

static void draw_flapping(struct drawing *w) {
    struct directive d = partition_of(w);
    int64_t period = draw_length(w, 4, 40);
    d.hold = quantum_floor(w, period * random_between(w->random, 3, 8) / 10);
    if (d.hold < w->quantum) d.hold = w->quantum;
    if (d.hold >= period) period = d.hold + w->quantum;
    put(w, repeated(d, period, random_between(w->random, 3, 12)));
}

/* Links. */

/* All links, or one in one direction or both. */
static struct directive link_of(struct drawing *w, uint8_t verb) {
    struct directive d = directive_drawn(w, verb, 10, 100);
    uint16_t nodes = w->profile->nodes, from = draw_node(w);
    uint16_t to = (uint16_t)((from + random_below(w->random, nodes > 1 ? nodes - 1u : 1u)) % nodes + 1);
    bool all = random_chance(w->random, 0.6), both = random_chance(w->random, 0.5);
    if (all || nodes < 2) return d;
    d.from = from;
    d.to = to;
    d.both = both;
    return d;
}

static void draw_loss(struct drawing *w) {
    struct directive d = link_of(w, FAULT_LOSS);
    d.probability = draw_probability(w, 10, 300);
    put(w, d);
}

static void draw_corrupt(struct drawing *w) {
    struct directive d = link_of(w, FAULT_CORRUPT);
    d.probability = draw_probability(w, 1, 50);
    put(w, d);
}

/* A message of a hundred bytes takes up to a twentieth of the time scale. */
static void draw_bandwidth(struct drawing *w) {
    struct directive d = link_of(w, FAULT_BANDWIDTH);
    d.rate = random_between(w->random, 20, 400) * 100000000000 / w->profile->scale_ns;
    put(w, d);
}

/* A node that tells all others, or one of them, what is false. */
static void draw_lie(struct drawing *w) {
    struct directive d = directive_drawn(w, FAULT_LIE, 20, 150);
    d.from = draw_node(w);
    d.probability = draw_probability(w, 20, 500);
    put(w, d);
}

/* Mostly short, now and then longer than an election timeout. */
static void draw_delay(struct drawing *w) {
    struct directive d = link_of(w, FAULT_DELAY);
    d.delay.kind = (uint8_t)random_between(w->random, DIST_UNIFORM, DIST_PARETO);
    bool heavy = random_chance(w->random, 0.5);
    double shape = (double)random_between(w->random, 11, 25) / 10;
    int64_t a = draw_length(w, 1, 8), b = draw_length(w, 1, 12);
    if (heavy) d.delay.kind = DIST_PARETO;
    /* The longest is 100 a, and links are first-in first-out: what is on its way when a core is healed must not
     * hold up the rest for longer than progress may take. */
    d.delay.a = d.delay.kind == DIST_PARETO ? a / 20 - a / 20 % QUANTUM_FINE_NS + QUANTUM_FINE_NS : a;
    if (d.delay.kind == DIST_UNIFORM) d.delay.b = a + b;
    if (d.delay.kind == DIST_NORMAL) d.delay.b = b;
    if (d.delay.kind == DIST_PARETO) d.delay.shape = shape;
    put(w, d);
}

static void draw_disorder(struct drawing *w, uint8_t verb, int64_t most) {
    struct directive d = link_of(w, verb);
    d.probability = draw_probability(w, 10, most);
    d.delay = (struct distribution){.kind = DIST_UNIFORM, .b = draw_length(w, 1, 15)};
    put(w, d);
}

static void draw_reorder(struct drawing *w) {
    draw_disorder(w, FAULT_REORDER, 500);
}

static void draw_duplicate(struct drawing *w) {
    draw_disorder(w, FAULT_DUPLICATE, 300);
}

/* Clocks. */

static void draw_skew(struct drawing *w) {
    struct directive d = directive_drawn(w, FAULT_SKEW, 20, 150);
    d.target = FAULT_NODE;
    d.node = draw_node(w);
    d.offset_ns = draw_length(w, 1, 60);
    if (random_chance(w->random, 0.5)) d.offset_ns = -d.offset_ns;
    d.drift_ppm = (double)random_between(w->random, -500, 500);
    put(w, d);
}

static void draw_slow(struct drawing *w) {
    struct directive d = directive_drawn(w, FAULT_SLOW, 10, 80);
    d.target = FAULT_NODE;
    d.node = draw_node(w);
    d.delay = (struct distribution){.kind = DIST_CONSTANT, .a = draw_length(w, 1, 10) / 10 + QUANTUM_FINE_NS};
    put(w, d);
}

/* In a synchronous model. */

/* One after the other, each back for a while before the next goes down; half of them in the middle of a step, which is in the
 * middle of a broadcast. */
static void draw_lane(struct drawing *w, uint32_t room) {
    const struct plan_profile *p = w->profile;
    int64_t at = p->start_ns + draw_length(w, 0, 20);
    for (uint32_t i = 0; i < room && at < p->end_ns - p->scale_ns; i++) {
        int64_t outage = draw_length(w, 2, 30);
        struct directive d = crash_of(w, FAULT_NODE, at, outage);
        d.node = draw_node(w);
        put(w, d);
        at += outage + p->settle_ns + draw_length(w, 1, 20);
        at = quantum_floor(w, at) + w->quantum;
    }
}

static void draw_lanes(struct drawing *w) {
    uint16_t lanes = w->profile->lanes;
    for (uint16_t i = 0; i < lanes; i++) draw_lane(w, w->left / (lanes - i) + 1);
    w->left = 0;
}

/* Choosing. */

#define VERB(v) (1u << (v))
#define FAULTS                                                                                                       \
    (VERB(FAULT_VERB_MAX + 1) - 2 - VERB(FAULT_RESTART) - VERB(FAULT_RESUME) - VERB(FAULT_HEAL) - VERB(FAULT_FILL) - \
     VERB(FAULT_FREE))

#define RIVALRY (VERB(FAULT_PARTITION) | VERB(FAULT_CRASH))
#define STORIES (RIVALRY | VERB(FAULT_DELAY))

struct motif {
    uint32_t verb, weight; /* every verb that it needs must be in the mask */
    void (*draw)(struct drawing *w);
};

static const struct motif motifs[] = {
    {VERB(FAULT_CRASH), 12, draw_crash_leader},
    {VERB(FAULT_CRASH), 8, draw_crash_one},
    {VERB(FAULT_CRASH), 8, draw_crash_many},
    {VERB(FAULT_CRASH), 5, draw_crash_twice},
    {VERB(FAULT_CRASH), 6, draw_crash_leaders},
    {VERB(FAULT_PAUSE), 8, draw_pause_leader},
    {VERB(FAULT_PAUSE), 4, draw_pause_one},
    {VERB(FAULT_PARTITION), 16, draw_partition},
    {VERB(FAULT_PARTITION), 6, draw_flapping},
    {VERB(FAULT_LOSS), 8, draw_loss},
    {VERB(FAULT_DELAY), 8, draw_delay},
    {VERB(FAULT_REORDER), 6, draw_reorder},
    {VERB(FAULT_DUPLICATE), 6, draw_duplicate},
    {VERB(FAULT_CORRUPT), 5, draw_corrupt},
    {VERB(FAULT_SKEW), 4, draw_skew},
    {VERB(FAULT_SLOW), 3, draw_slow},
    {VERB(FAULT_LIE), 8, draw_lie},
    {VERB(FAULT_BANDWIDTH), 5, draw_bandwidth},
    {VERB(FAULT_CRASH), 6, draw_blink},
    {VERB(FAULT_CRASH), 8, draw_crash_voters},
    {VERB(FAULT_DELAY) | VERB(FAULT_CRASH), 8, draw_contest},
    {RIVALRY, 8, draw_rival_logs},
};
#define MOTIF_COUNT (sizeof motifs / sizeof motifs[0])

static void draw_motif(struct drawing *w) {
    uint64_t total = 0;
    for (size_t i = 0; i < MOTIF_COUNT; i++)
        total += (motifs[i].verb & w->mask) == motifs[i].verb ? motifs[i].weight : 0;
    uint64_t at = random_below(w->random, total);
    for (size_t i = 0; i < MOTIF_COUNT; i++) {
        uint64_t weight = (motifs[i].verb & w->mask) == motifs[i].verb ? motifs[i].weight : 0;
        if (at < weight) {
            motifs[i].draw(w);
            return;
        }
        at -= weight;
    }
}

/* Several faults at about the same time: where the rare interleavings are. */
static void draw_burst(struct drawing *w) {
    int64_t motif_count = random_between(w->random, 2, BURST_MAX);
    w->centre = draw_moment(w);
    for (int64_t i = 0; i < motif_count; i++) draw_motif(w);
    w->centre = -1;
}

static int time_order(const void *a, const void *b) {
    const struct directive *x = a, *y = b;
    if (x->at != y->at) return x->at < y->at ? -1 : 1;
    return (x->id > y->id) - (x->id < y->id);
}

static void add_endings(struct plan *p, int64_t end_ns) {
    static const uint8_t verbs[] = {FAULT_HEAL, FAULT_RESUME, FAULT_RESTART};
    for (size_t i = 0; i < 3; i++) {
        struct directive d = directive_of(verbs[i], end_ns, 0);
        d.target = verbs[i] == FAULT_HEAL ? 0 : FAULT_ALL;
        plan_add(p, &d);
    }
}

void plan_draw(struct plan *p, const struct plan_profile *profile, struct random *random) {
    CHECK(profile->nodes >= 1 && profile->nodes <= FAULT_NODES_MAX);
    CHECK(profile->start_ns >= 0 && profile->start_ns < profile->end_ns && profile->scale_ns > 0);
    uint32_t most = profile->faults_max > profile->faults_min ? profile->faults_max : profile->faults_min;
    struct drawing w = {.profile = profile, .random = random, .centre = -1};
    w.quantum = profile->scale_ns >= SCALE_COARSE_NS ? QUANTUM_NS : QUANTUM_FINE_NS;
    w.mask = profile->verbs & FAULTS;
    if (profile->nodes < 2) w.mask &= ~VERB(FAULT_PARTITION);
    w.left = (uint32_t)random_between(random, profile->faults_min, most);
    if (profile->story && (w.mask & STORIES) == STORIES && profile->nodes >= 3) draw_stories(&w);
    if (profile->lanes) draw_lanes(&w);
    while (w.left && w.mask) {
        if (random_chance(random, 0.12))
            draw_burst(&w);
        else
            draw_motif(&w);
    }
    for (size_t i = 0; i < w.count; i++) w.drawn[i].id = (uint32_t)i; /* equal times keep the order of drawing */
    if (w.count) qsort(w.drawn, w.count, sizeof *w.drawn, time_order);
    for (size_t i = 0; i < w.count; i++) {
        w.drawn[i].id = 0;
        plan_add(p, &w.drawn[i]);
    }
    free(w.drawn);
    add_endings(p, profile->end_ns);
}

#undef RIVALRY
#undef STORIES
#undef VERB
#undef FAULTS
