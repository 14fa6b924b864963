/* The plan's directives, carried out on simulated nodes. */
#include "runtime/sim.h"

#include "base/check.h"

static uint16_t node_count(const struct sim *s) {
    return (uint16_t)s->config.options.nodes;
}

/* A wipe or damage that would leave more than a minority to catch up loses what was unsynced instead. */
uint8_t sim_fate_guarded(struct sim *s, uint16_t node, uint8_t fate) {
    size_t behind = 1;
    if (!disk_forgets(fate)) return fate;
    for (uint16_t i = 1; i <= node_count(s); i++) {
        struct sim_node *n = &s->nodes[i];
        if (n->wiped) n->wiped = !host_caught_up(&n->host);
        if (i != node && n->wiped) behind++;
    }
    return behind <= (size_t)(node_count(s) - 1) / 2 ? fate : QRT_DISK_UNSYNCED_LOST;
}

static void apply_to_node(struct sim *s, uint16_t node, const struct fault_action *a) {
    const struct directive *d = &a->directive;
    struct sim_node *n = &s->nodes[node];
    struct error e = {0};
    faults_hit(s->faults, a, node); /* so that the end of this crash or pause finds it again */
    switch ((enum fault_verb)d->verb) {
    case FAULT_CRASH:
        if (d->effect >= 0 && n->host.up) {
            n->crash_fate = d->disk;
            n->crash_guarded = d->guarded;
            n->host.crash_after = (uint64_t)d->effect;
        } else {
            sim_node_crash(s, node, d->guarded ? sim_fate_guarded(s, node, d->disk) : d->disk);
        }
        break;
    case FAULT_RESTART:
        n->host.crash_after = HOST_NO_CRASH; /* a crash that still waits for its effect is called off */
        sim_node_restart(s, node, &e);       /* what went wrong stays in the node's view */
        break;
    case FAULT_PAUSE: sim_node_pause(s, node); break;
    case FAULT_RESUME: sim_node_resume(s, node); break;
    case FAULT_PARTITION:
    case FAULT_HEAL:
    case FAULT_LOSS:
    case FAULT_DELAY:
    case FAULT_REORDER:
    case FAULT_DUPLICATE:
    case FAULT_CORRUPT:
    case FAULT_SKEW:
    case FAULT_SLOW:
    case FAULT_LIE:
    case FAULT_FILL:
    case FAULT_FREE:
    case FAULT_BANDWIDTH: CHECK(false && "the engine carries out verbs of links, clocks and disks itself");
    }
}

static bool suits(const struct sim *s, uint16_t node, const struct fault_action *a) {
    const struct sim_node *n = &s->nodes[node];
    if (a->directive.verb == FAULT_RESTART) return !n->host.up || n->host.crash_after != HOST_NO_CRASH;
    if (a->directive.verb == FAULT_RESUME) return n->paused;
    return n->host.up;
}

/* `count` distinct nodes that suit the verb, by a keyed shuffle. */
static void hit_some(struct sim *s, const struct fault_action *a, uint16_t count, uint16_t except) {
    uint16_t order[FAULT_NODES_MAX], candidates = 0;
    for (uint16_t i = 1; i <= node_count(s); i++)
        if (i != except && suits(s, i, a)) order[candidates++] = i;
    for (uint16_t k = 0; k < count && k < candidates; k++) {
        uint64_t pick = k + random_scale(random_keyed(a->random, k, 0), (uint64_t)(candidates - k));
        uint16_t node = order[pick];
        order[pick] = order[k];
        apply_to_node(s, node, a);
    }
}

static void act(struct sim *s, const struct fault_action *a) {
    uint16_t n = node_count(s), leader;
    switch ((enum fault_target)a->directive.target) {
    case FAULT_NODE:
        if (a->directive.node >= 1 && a->directive.node <= n) apply_to_node(s, a->directive.node, a);
        break;
    case FAULT_LEADER:
        leader = sim_leader(s);
        if (leader) apply_to_node(s, leader, a);
        break;
    case FAULT_FOLLOWER: hit_some(s, a, 1, sim_leader(s)); break;
    case FAULT_RANDOM: hit_some(s, a, 1, 0); break;
    case FAULT_ALL:
        for (uint16_t i = 1; i <= n; i++)
            if (suits(s, i, a)) apply_to_node(s, i, a);
        break;
    case FAULT_MAJORITY: hit_some(s, a, (uint16_t)(n / 2 + 1), 0); break;
    case FAULT_MINORITY: hit_some(s, a, (uint16_t)(n >= 3 ? (n - 1) / 2 : 0), 0); break;
    }
}

static void refresh_clocks(struct sim *s) {
    for (uint16_t i = 1; i <= node_count(s); i++) {
        struct sim_node *n = &s->nodes[i];
        double drift = faults_drift(s->faults, i);
        n->offset = faults_offset(s->faults, i);
        if (drift == n->drift_ppm) continue;
        sim_clock(s, n); /* rebase: the monotonic clock changes its rate, never its reading */
        n->mono_base = n->host.mono;
        n->mono_at = s->now;
        n->drift_ppm = drift;
    }
}

static void refresh_disks(struct sim *s) {
    for (uint16_t i = 1; i <= node_count(s); i++) sim_node_fill(s, i, faults_full(s->faults, i));
}

void sim_faults_changed(struct sim *s) {
    refresh_clocks(s);
    refresh_disks(s);
    int64_t next = faults_next(s->faults);
    if (next == INT64_MAX) {
        s->fault_queued = NO_TIMER;
        s->fault_order = 0;
        return;
    }
    if (next < s->now) next = s->now;
    if (s->fault_queued == next) return;
    uint32_t slot = slot_take(s);
    slot_at(s, slot)->type = SLOT_FAULT;
    s->fault_queued = next;
    s->fault_order = s->heap.sequence << HEAP_SLOT_BITS | slot;
    sim_schedule(s, next, slot);
}

/* Whoever stands for election, of the highest term; 0: nobody. */
static uint16_t candidate_of(const struct sim *s) {
    uint16_t candidate = 0;
    uint64_t term = 0;
    for (uint16_t i = 1; i <= node_count(s); i++) {
        const struct host *h = &s->nodes[i].host;
        struct protocol_status st;
        if (!h->up || s->nodes[i].paused) continue;
        h->instances[0].protocol->status(h->instances[0].state, &st);
        if (st.role != QRT_ROLE_CANDIDATE || st.term < term) continue;
        candidate = i;
        term = st.term;
    }
    return candidate;
}

void sim_fault_tick(struct sim *s) {
    struct fault_action a;
    s->fault_queued = NO_TIMER;
    while (faults_take(s->faults, s->now, &a)) {
        const struct directive *d = &a.directive;
        uint16_t named = d->shape == FAULT_RUNNER ? candidate_of(s) : sim_leader(s);
        s->counts.faults++;
        qrt_event e = {s->now, d->node, 0, QRT_KIND_FAULT, d->verb, 0, 0, d->id, a.number, 0};
        trace_emit(&s->trace, &e);
        if (d->verb == FAULT_PARTITION && !a.applied)
            faults_partition(s->faults, &a, named);
        else if (!a.applied)
            act(s, &a);
    }
    sim_faults_changed(s);
}
