/* A run drawn from a seed (swarm: Groce et al. 2012): the configuration first, so that seeds differ in kind and not only
 * in luck. Each draw is a statement of its own: C leaves the order of arguments and initialisers to the compiler. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cluster/runner.h"

#define MS INT64_C(1000000)

static const char *flag(bool on) {
    return on ? "true" : "false";
}

/* what makes a seed's cluster special; one at a time, so that it can still make progress in time */
enum temper {
    TEMPER_PLAIN,
    TEMPER_SLOW_DISK,    /* syncs take a good part of an election timeout: much is lost with a node */
    TEMPER_SMALL_BATCH,  /* entries travel one or two at a time: logs differ for long */
    TEMPER_TORN_VOTE,    /* the plan tells STORY_TORN_VOTE */
    TEMPER_FIGURE_EIGHT, /* the plan tells STORY_FIGURE_EIGHT */
};

/* Within the timing requirement (broadcast time well below the election timeout), or no election could be won in time.
 * bounded: delays are, for a protocol that needs that. */
static void draw_network(struct run_spec *spec, struct random *r, enum temper temper, bool bounded) {
    static const char *const kinds[] = {"constant", "uniform", "exponential", "pareto", "normal"};
    int64_t slowest = spec->election_timeout / 40, sync = random_between(r, 50000, MS);
    if (temper == TEMPER_SMALL_BATCH) {
        slowest = spec->election_timeout / 60;
        sync = random_between(r, spec->election_timeout / 400, spec->election_timeout / 120);
    }
    if (temper == TEMPER_SLOW_DISK) sync = random_between(r, slowest, spec->election_timeout / 12);
    uint64_t kind = random_below(r, 5);
    if (bounded) {
        kind %= 2;
        slowest = spec->election_timeout / 200;
    }
    spec_set(spec, "delay_kind", "%s", kinds[kind]);
    spec_set(spec, "delay", "%lldns", (long long)random_between(r, MS / 10, slowest));
    spec_set(spec, "jitter", "%lldns", (long long)random_between(r, MS / 20, slowest));
    spec_set(spec, "write", "%lldns", (long long)random_between(r, 5000, 100000));
    spec_set(spec, "sync", "%lldns", (long long)sync);
    spec_set(spec, "disk_jitter", "%lldns", (long long)random_between(r, 0, sync / 2));
}

static void draw_raft(struct run_spec *spec, struct random *r, enum temper temper) {
    spec->election_timeout = random_between(r, 60 * MS, 250 * MS);
    spec_set(spec, "election_timeout", "%lldns", (long long)spec->election_timeout);
    bool eight = temper == TEMPER_FIGURE_EIGHT;
    spec_set(spec, "heartbeat_interval", "%lldns",
             (long long)(spec->election_timeout / random_between(r, eight ? 6 : 4, 8)));
    spec_set(spec, "pre_vote", "%s", flag(random_chance(r, 0.4) && !eight));
    spec_set(spec, "check_quorum", "%s", flag(random_chance(r, 0.5)));
    bool small = temper == TEMPER_SMALL_BATCH; /* then snapshots bound how far a log can lag */
    if (small || random_chance(r, 0.5)) {
        spec_set(spec, "snapshot_threshold", "%lld", (long long)random_between(r, 10, small ? 40 : 120));
        spec_set(spec, "snapshot_keep", "%lld", (long long)random_between(r, 0, small ? 12 : 30));
        spec_set(spec, "chunk_size", "%lld", (long long)random_between(r, small ? 1024 : 64, 4096));
    }
    if (small) {
        spec_set(spec, "max_in_flight", "%lld", (long long)random_between(r, 2, 4));
        spec_set(spec, "max_append_bytes", "%lld", (long long)random_between(r, 1, 150));
    }
    if (random_chance(r, 0.2)) spec_set(spec, "sessions", "%lld", (long long)random_between(r, 16, 48));
}

/* Time-outs well above what slow disks and links need, so that most transactions are decided by their votes. */
static void draw_two_phase(struct run_spec *spec, struct random *r, enum temper temper) {
    static const char *const forms[] = {"presumed-nothing", "presumed-abort", "participant-initiated",
                                        "presumed-commit"};
    const char *form = forms[random_below(r, 4)];
    spec_set(spec, "form", "%s", form);
    bool apart = random_chance(r, 0.5);
    int64_t manager = random_between(r, 1, spec->nodes);
    if (apart) spec_set(spec, "manager", "%lld", (long long)manager);
    double refuse = random_unit(r) * 0.15;
    spec_set(spec, "refuse", "%.3f", temper == TEMPER_PLAIN ? refuse : refuse / 2);
    spec_set(spec, "vote_timeout", "%lldns", (long long)random_between(r, 60 * MS, 200 * MS));
    spec_set(spec, "retry_interval", "%lldns", (long long)random_between(r, 20 * MS, 80 * MS));
    spec_set(spec, "cooperative", "%s", flag(random_chance(r, 0.5)));
}

/* Rivals that pause for less time than a message takes meet in the middle of each other's ballots. */
static void draw_paxos(struct run_spec *spec, struct random *r, enum temper temper) {
    (void)temper;
    spec->election_timeout = random_between(r, 60 * MS, 250 * MS);
    int64_t unit = spec->election_timeout / 100;
    spec_set(spec, "thrifty", "%s", flag(random_chance(r, 0.8)));
    spec_set(spec, "retry", "%lldns", (long long)random_between(r, 2 * unit, 20 * unit));
    spec_set(spec, "backoff", "%lldns", (long long)random_between(r, unit / 10, 8 * unit));
    spec_set(spec, "learn_interval", "%lldns", (long long)random_between(r, 10 * unit, 200 * unit));
}

static void add_standing(struct run_spec *spec, uint8_t verb, double probability, int64_t delay_ns, int64_t end) {
    struct directive d = {.verb = verb, .timing = FAULT_DURING, .at = 3 * spec->election_timeout, .effect = -1};
    d.until = end;
    d.probability = probability;
    if (delay_ns) d.delay = (struct distribution){.kind = DIST_UNIFORM, .b = delay_ns};
    plan_add(&spec->plan, &d);
}

/* Whoever leads falls asleep for a moment, again and again: what a quorum accepted meanwhile it decides late. */
static void add_naps(struct run_spec *spec, int64_t period, int64_t length, int64_t end) {
    struct directive d = {.verb = FAULT_PAUSE, .timing = FAULT_EVERY, .target = FAULT_LEADER, .effect = -1};
    d.at = 3 * spec->election_timeout;
    d.period = period;
    d.hold = length < period ? length : period / 2;
    d.until = end - d.hold;
    plan_add(&spec->plan, &d);
}

/* Many proposals at once, messages that are lost or overtake each other all the while, proposers that fall asleep over
 * their ballots: ballots of rivals cross, and each reaches other acceptors. */
static void finish_paxos(struct run_spec *spec, struct random *r, int64_t end, bool drawn) {
    bool rivals = random_chance(r, 0.8), lossy = random_chance(r, 0.2), unruly = random_chance(r, 0.2);
    int64_t haste = random_between(r, 2, 30);
    double lost = (double)random_between(r, 20, 250) / 1000, moved = (double)random_between(r, 50, 500) / 1000;
    int64_t delay = random_between(r, spec->election_timeout / 100, spec->election_timeout / 8);
    bool sleepy = random_chance(r, 0.8);
    int64_t period = random_between(r, spec->election_timeout / 30, spec->election_timeout / 6);
    int64_t nap = random_between(r, spec->election_timeout / 40, spec->election_timeout / 8);
    if (rivals) spec->workload.think_ns /= haste;
    if (drawn && lossy) add_standing(spec, FAULT_LOSS, lost, 0, end);
    if (drawn && sleepy) add_naps(spec, period, nap, end);
    if (drawn && unruly) add_standing(spec, FAULT_REORDER, moved, delay, end);
}

/* Only in synchronous mode is what was acknowledged safe, and histories linearizable. */
static void draw_primary_backup(struct run_spec *spec, struct random *r, enum temper temper) {
    spec->election_timeout = random_between(r, 60 * MS, 250 * MS);
    int64_t heartbeat = spec->election_timeout / random_between(r, 4, 8);
    spec_set(spec, "election_timeout", "%lldns", (long long)spec->election_timeout);
    spec_set(spec, "heartbeat_interval", "%lldns", (long long)heartbeat);
    spec_set(spec, "backup_timeout", "%lldns", (long long)(heartbeat * random_between(r, 2, 6)));
    spec_set(spec, "check_quorum", "%s", flag(random_chance(r, 0.5)));
    if (temper != TEMPER_SMALL_BATCH) return;
    spec_set(spec, "max_in_flight", "%lld", (long long)random_between(r, 2, 40));
    spec_set(spec, "max_append_bytes", "%lld", (long long)random_between(r, 1, 1500));
}

/* The bound on a round stands well above what slow disks and links need: that is its model. */
static void draw_three_phase(struct run_spec *spec, struct random *r, enum temper temper) {
    double refuse = random_unit(r) * 0.15;
    spec_set(spec, "refuse", "%.3f", temper == TEMPER_PLAIN ? refuse : refuse / 2);
    spec_set(spec, "phase_timeout", "%lldns", (long long)random_between(r, 120 * MS, 200 * MS));
}

/* reply_timeout: five times a message there and back, where delays are bounded. */
static void draw_election(struct run_spec *spec, struct random *r, enum temper temper) {
    static const char *const arrangements[] = {"ascending", "descending", "shuffled"};
    (void)temper;
    spec->election_timeout = random_between(r, 60 * MS, 250 * MS);
    spec_set(spec, "reply_timeout", "%lldns", (long long)(spec->election_timeout / 10));
    if (strcmp(spec->protocol, "ring")) return;
    spec_set(spec, "arrangement", "%s", arrangements[random_below(r, 3)]);
    spec_set(spec, "shuffle", "%lld", (long long)random_between(r, 1, 1000));
}

static void draw_floodset(struct run_spec *spec, struct random *r, enum temper temper) {
    (void)temper;
    spec->election_timeout = random_between(r, 60 * MS, 250 * MS);
    int64_t most = spec->nodes > 4 ? 3 : spec->nodes - 1;
    spec_set(spec, "faults", "%lld", (long long)random_between(r, 1, most));
    spec_set(spec, "bound", "%lldns", (long long)(spec->election_timeout / 20)); /* see draw_network */
}

static void draw_benor(struct run_spec *spec, struct random *r, enum temper temper) {
    (void)temper;
    spec->election_timeout = random_between(r, 60 * MS, 250 * MS);
    int64_t unit = spec->election_timeout / 100;
    spec_set(spec, "repeat", "%lldns", (long long)random_between(r, 3 * unit, 20 * unit));
    spec_set(spec, "learn_interval", "%lldns", (long long)random_between(r, 10 * unit, 200 * unit));
}

/* Coins take their time: with a bare majority up, one round in eight decides at worst, so progress is measured over more
 * rounds than a deterministic protocol needs. */
static void finish_benor(struct run_spec *spec, struct random *r, int64_t end, bool drawn) {
    (void)r, (void)end, (void)drawn;
    spec->election_timeout *= 4;
}

/* What else a protocol wants drawn; without a line here its options stay at their defaults. Sets election_timeout, the
 * time in which its run is measured, which need not be an option of it. */
struct swarm {
    const char *protocol;
    void (*draw)(struct run_spec *spec, struct random *r, enum temper temper);
    /* Behind everything else; may be NULL. drawn: the plan is, until `end`, and may be added to. */
    void (*finish)(struct run_spec *spec, struct random *r, int64_t end, bool drawn);
};

/* clang-format off */
static const struct swarm swarms[] = {
    {"raft", draw_raft, NULL},
    {"paxos", draw_paxos, finish_paxos},
    {"primary-backup", draw_primary_backup, NULL},
    {"timestamp", draw_election, NULL},
    {"bully", draw_election, NULL},
    {"ring", draw_election, NULL},
    {"2pc", draw_two_phase, NULL},
    {"3pc", draw_three_phase, NULL},
    {"floodset", draw_floodset, NULL},
    {"benor", draw_benor, finish_benor},
};
/* clang-format on */

static void draw_protocol(struct run_spec *spec, struct random *r, enum temper temper) {
    spec->election_timeout = RUN_TIME_SCALE_NS;
    for (size_t i = 0; i < sizeof swarms / sizeof *swarms; i++)
        if (!strcmp(swarms[i].protocol, spec->protocol)) swarms[i].draw(spec, r, temper);
}

static void finish_protocol(struct run_spec *spec, struct random *r, int64_t end, bool drawn) {
    for (size_t i = 0; i < sizeof swarms / sizeof *swarms; i++)
        if (swarms[i].finish && !strcmp(swarms[i].protocol, spec->protocol)) swarms[i].finish(spec, r, end, drawn);
}

static enum temper draw_temper(struct random *r) {
    static const enum temper tempers[] = {TEMPER_SLOW_DISK,   TEMPER_SLOW_DISK, TEMPER_SMALL_BATCH,
                                          TEMPER_SMALL_BATCH, TEMPER_TORN_VOTE, TEMPER_FIGURE_EIGHT};
    uint64_t at = random_below(r, 10);
    return at < sizeof tempers / sizeof *tempers ? tempers[at] : TEMPER_PLAIN;
}

/* The stories are told best by few nodes, and by a number that one voter joins into two majorities. */
static uint16_t draw_nodes(struct random *r, enum temper temper) {
    bool story = temper == TEMPER_TORN_VOTE || temper == TEMPER_FIGURE_EIGHT;
    uint16_t few = random_chance(r, 0.8) ? 3 : 5, drawn = (uint16_t)random_between(r, 3, 7);
    return story ? few : drawn;
}

static void draw_workload(struct run_spec *spec, const struct protocol *protocol, struct random *r, int64_t duration,
                          enum temper temper) {
    static const uint8_t operations[] = {COMMAND_GET, COMMAND_PUT, COMMAND_CAS, COMMAND_APPEND, COMMAND_DELETE};
    struct workload *w = &spec->workload;
    bool values = protocol->values;
    workload_standard(w, values ? "values" : "kv");
    w->clients = (uint32_t)random_between(r, 4, 16);
    w->operations = 0;
    if (!values) w->mix_count = 0;
    for (size_t i = 0; !values && i < sizeof operations; i++) {
        double weight = random_chance(r, 0.6) || operations[i] <= COMMAND_PUT ? 0.1 + random_unit(r) : 0;
        if (operations[i] == COMMAND_DELETE) weight *= 0.2;
        if (weight <= 0) continue;
        w->mix[w->mix_count].operation = operations[i];
        w->mix[w->mix_count++].weight = weight;
    }
    /* Fewer keys than half the clients make histories that take seconds to judge. */
    w->keys = (uint32_t)random_between(r, w->clients / 2, 2 * w->clients);
    w->value_size = (uint32_t)random_between(r, 8, random_chance(r, 0.1) ? 600 : 40);
    w->timeout_ns = random_between(r, 2, 8) * spec->election_timeout;
    w->retry_ns = random_between(r, spec->election_timeout / 4, 2 * spec->election_timeout);
    /* Every retry is an entry: impatient clients would ask for more than small batches can carry. */
    if (temper == TEMPER_SMALL_BATCH) w->retry_ns += spec->election_timeout;
    w->retry = random_chance(r, 0.8);
    /* About 500 operations a run, whatever the number of clients: some 12,000 events beside the heartbeats. */
    w->think_ns = duration * (int64_t)w->clients / 500;
}

/* Outside of the model, what it does not tolerate is what is wanted most. */
static uint32_t draw_verbs(struct random *r, const struct fault_model *m, bool outside) {
    uint32_t verbs = 1u << FAULT_CRASH | 1u << FAULT_RESTART;
    const struct {
        bool tolerated;
        uint8_t verb;
        double chance;
    } kinds[] = {
        {m->tolerates_pause, FAULT_PAUSE, 0.5},        {m->tolerates_partition, FAULT_PARTITION, 0.7},
        {m->tolerates_loss, FAULT_LOSS, 0.5},          {!m->synchrony, FAULT_DELAY, 0.4},
        {m->tolerates_reorder, FAULT_REORDER, 0.4},    {m->tolerates_duplicates, FAULT_DUPLICATE, 0.4},
        {m->tolerates_corruption, FAULT_CORRUPT, 0.3}, {m->tolerates_skew, FAULT_SKEW, 0.3},
    };
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        bool wanted = kinds[i].tolerated || outside;
        bool drawn = random_chance(r, kinds[i].tolerated ? kinds[i].chance : 0.8);
        if (!drawn || !wanted) continue;
        verbs |= 1u << kinds[i].verb;
        if (kinds[i].verb == FAULT_PAUSE) verbs |= 1u << FAULT_RESUME;
        if (kinds[i].verb == FAULT_PARTITION) verbs |= 1u << FAULT_HEAL;
    }
    return verbs;
}

/* Every verb that the model has room for: what a plan that is drawn by itself may have. */
static uint32_t model_verbs(const struct fault_model *m) {
    uint32_t verbs = 1u << FAULT_CRASH | 1u << FAULT_RESTART;
    const struct {
        bool tolerated;
        uint32_t verbs;
    } kinds[] = {
        {m->tolerates_pause, 1u << FAULT_PAUSE | 1u << FAULT_RESUME},
        {m->tolerates_partition, 1u << FAULT_PARTITION | 1u << FAULT_HEAL},
        {m->tolerates_loss, 1u << FAULT_LOSS},
        {!m->synchrony, 1u << FAULT_DELAY | 1u << FAULT_SLOW | 1u << FAULT_BANDWIDTH},
        {m->tolerates_reorder, 1u << FAULT_REORDER},
        {m->tolerates_duplicates, 1u << FAULT_DUPLICATE},
        {m->tolerates_corruption, 1u << FAULT_CORRUPT},
        {m->tolerates_skew, 1u << FAULT_SKEW},
        {strcmp(m->liars, "0") != 0, 1u << FAULT_LIE},
    };
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
        if (kinds[i].tolerated) verbs |= kinds[i].verbs;
    return verbs;
}

/* How many may be down at a time, where an option says it (fault_model.crashes names it): its default. 0: no option does. */
static uint16_t model_lanes(const struct protocol *p) {
    const struct option_spec *s = p->options.specs;
    if (!p->model->synchrony) return 0;
    for (; s && s->name; s++)
        if (!strcmp(s->name, p->model->crashes)) return (uint16_t)atoi(s->standard);
    return 0;
}

void spec_draw_plan(struct plan *plan, const struct protocol *protocol, uint16_t nodes, uint64_t seed,
                    int64_t duration_ns) {
    const struct fault_model *m = protocol->model;
    struct random r = random_stream(seed, 0, RANDOM_PLAN);
    struct plan_profile profile = {.nodes = nodes,
                                   .start_ns = duration_ns / 10,
                                   .end_ns = duration_ns,
                                   .scale_ns = RUN_TIME_SCALE_NS,
                                   .faults_min = 5,
                                   .faults_max = 20,
                                   .verbs = model_verbs(m),
                                   .effects = true,
                                   .wipes = m->crash_wipes,
                                   .loses_unsynced = m->loses_unsynced,
                                   .lanes = model_lanes(protocol),
                                   .settle_ns = RUN_TIME_SCALE_NS};
    plan_draw(plan, &profile, &r);
}

/* From a stream of its own, so that a seed inside of its model draws what it always drew. */
static uint32_t draw_liar(const struct run_spec *spec, const struct fault_model *m) {
    struct random r = random_stream(spec->seed, 3, RANDOM_CONFIG);
    return !strcmp(m->liars, "0") && random_chance(&r, 0.5) ? 1u << FAULT_LIE : 0;
}

static void draw_plan(struct run_spec *spec, const struct draw_request *request, struct random *r, int64_t duration,
                      enum temper temper) {
    const struct fault_model *m = request->protocol->model;
    struct plan_profile profile = {
        .nodes = spec->nodes,
        .start_ns = 3 * spec->election_timeout,
        .end_ns = duration,
        .scale_ns = spec->election_timeout,
        .faults_min = 6,
        .faults_max = temper == TEMPER_SMALL_BATCH ? 60 : 30,
        .verbs = draw_verbs(r, m, request->outside),
        .effects = random_chance(r, 0.6),
    };
    if (request->outside) profile.verbs |= draw_liar(spec, m);
    if (temper == TEMPER_TORN_VOTE) profile.story = STORY_TORN_VOTE;
    if (temper == TEMPER_FIGURE_EIGHT) profile.story = STORY_FIGURE_EIGHT;
    if (profile.story && m->tolerates_partition && !m->synchrony) {
        profile.verbs |= 1u << FAULT_PARTITION | 1u << FAULT_HEAL | 1u << FAULT_DELAY;
        profile.faults_min = 20;
        profile.effects = profile.effects || temper == TEMPER_TORN_VOTE;
    }
    bool wiping = random_chance(r, 0.4);
    profile.wipes = (wiping || request->damage) && ((m->crash_wipes && !spec_get(spec, "quorum")) || request->outside);
    profile.damages = request->damage;
    profile.unguarded = request->outside;
    profile.loses_unsynced = m->loses_unsynced || request->outside;
    const char *faults = spec_get(spec, "faults");
    if (m->synchrony && faults && !request->outside) { /* who comes back counts until it has listened */
        profile.lanes = (uint16_t)atoi(faults);
        profile.settle_ns = spec->election_timeout;
    }
    struct random stream = random_stream(spec->seed, 0, RANDOM_PLAN);
    plan_draw(&spec->plan, &profile, &stream);
}

/* Opinions, right and wrong, are a protocol's input like any other. From a stream of their own. */
static void draw_detector(struct run_spec *spec) {
    static const char *const kinds[] = {"timeout", "polling", "phi", "phi-exponential", "nfd-e", "bertier"};
    struct random r = random_stream(spec->seed, 1, RANDOM_CONFIG);
    if (!random_chance(&r, 0.1)) return;
    spec_set(spec, "detector", "%s", kinds[random_below(&r, 6)]);
    int64_t interval = spec->election_timeout / random_between(&r, 4, 12);
    spec_set(spec, "detector_interval", "%lldns", (long long)interval);
    if (random_chance(&r, 0.5)) spec_set(spec, "detector_timeout", "%lldns", (long long)(interval * 3 / 2));
}

/* Elections by more than a majority let fewer commit (flexible quorums: Howard and others 2016). Then a wiped member may be
 * needed to elect the leader that it would need to catch up: such seeds wipe none. */
static void draw_quorum(struct run_spec *spec) {
    struct random r = random_stream(spec->seed, 2, RANDOM_CONFIG);
    if (!random_chance(&r, 0.05)) return;
    int64_t n = spec->nodes, elect = random_between(&r, n / 2 + 1, n);
    spec_set(spec, "quorum", "flexible:%lld,%lld", (long long)elect, (long long)(n + 1 - elect));
}

void spec_draw(struct run_spec *spec, const struct draw_request *request, uint64_t seed) {
    *spec = (struct run_spec){.seed = seed, .events_min = request->events_min};
    struct random r = random_stream(seed, 0, RANDOM_CONFIG);
    snprintf(spec->protocol, sizeof spec->protocol, "%s", request->protocol->name);
    enum temper temper = draw_temper(&r);
    uint16_t drawn = draw_nodes(&r, temper);
    spec->nodes = request->nodes ? request->nodes : drawn;
    spec_set(spec, "nodes", "%u", spec->nodes);
    spec_set(spec, "seed", "%llu", (unsigned long long)seed);
    draw_protocol(spec, &r, temper);
    draw_detector(spec);
    if (request->protocol->votes) draw_quorum(spec);
    draw_network(spec, &r, temper, request->protocol->model && request->protocol->model->synchrony);
    if (*request->bug) spec_set(spec, "bug", "%s", request->bug);
    int64_t duration = 30 * spec->election_timeout;
    draw_workload(spec, request->protocol, &r, duration, temper);
    if (request->plan)
        plan_clone(&spec->plan, request->plan);
    else
        draw_plan(spec, request, &r, duration, temper);
    finish_protocol(spec, &r, duration, !request->plan);
}
