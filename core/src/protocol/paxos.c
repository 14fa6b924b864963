/* Single-decree Paxos (Lamport, "The part-time parliament" 1998, "Paxos made simple" 2001): life and death, records,
 * dispatch. See paxos.h for the roles, the invariants and the other files. */
#include "protocol/paxos.h"

#include <stdlib.h>

#include "base/check.h"
#include "base/hash.h"

/* on disk; never renumber */
enum paxos_record { RECORD_ACCEPTOR = 1, RECORD_DECISION = 2, RECORD_RECOVERING = 3 };

#define RECORD_ACCEPTOR_SIZE 25u /* kind, instance, promised, accepted; the value follows */
#define RECORD_DECISION_SIZE 17u /* kind, instance, ballot; the value follows */

/* The slot of a member, -1 for a stranger. */
static int slot_of(const struct paxos *p, uint16_t node) {
    return members_slot(p->members, p->count, node);
}

bool paxos_ballot_fits(const struct paxos *p, uint64_t ballot) {
    int slot = slot_of(p, (uint16_t)ballot);
    return slot >= 0 && slot < p->proposers && paxos_round(ballot) >= 1 && paxos_round(ballot) < PAXOS_ROUND_MAX;
}

void paxos_reject(struct paxos *p, const struct message *m) {
    outbox_note(p->out, QRT_KIND_REJECT, QRT_DROP_CORRUPT, m->from, 0, 0, m->id, 0);
}

void paxos_note(struct paxos *p, uint8_t what, uint16_t peer, uint64_t instance, uint64_t ballot, uint64_t link,
                struct bytes value) {
    bool carries = what == QRT_BALLOT_ACCEPT || what == QRT_BALLOT_ACCEPTED || (what == QRT_BALLOT_PROMISE && link);
    outbox_note(p->out, QRT_KIND_BALLOT, what, peer, ballot, instance, link,
                carries ? hash_bytes(value.data, value.size, 0) : 0);
}

/* Records */

uint64_t paxos_save(struct paxos *p, uint64_t instance) {
    const struct decree *i = instances_at(&p->instances, instance);
    struct bytes value = i->accepted ? instances_value(&p->instances, instance) : (struct bytes){0};
    size_t size = RECORD_ACCEPTOR_SIZE + value.size;
    struct writer w = writer_of(outbox_persist(p->out, size, instance, i->promised), size);
    write_u8(&w, RECORD_ACCEPTOR);
    write_u64(&w, instance);
    write_u64(&w, i->promised);
    write_u64(&w, i->accepted);
    writer_put(&w, value.data, value.size);
    return ++p->written;
}

void paxos_save_decision(struct paxos *p, uint64_t instance) {
    const struct decree *i = instances_at(&p->instances, instance);
    struct bytes value = instances_value(&p->instances, instance);
    size_t size = RECORD_DECISION_SIZE + value.size;
    struct writer w = writer_of(outbox_persist(p->out, size, instance, i->decided), size);
    write_u8(&w, RECORD_DECISION);
    write_u64(&w, instance);
    write_u64(&w, i->decided);
    writer_put(&w, value.data, value.size);
    p->written++;
}

static bool replay_acceptor(struct paxos *p, struct reader *in) {
    uint64_t instance = read_u64(in), promised = read_u64(in), accepted = read_u64(in);
    struct bytes value = {in->at, (uint32_t)reader_left(in)};
    if (in->failed || !instances_fits(instance) || value.size > PAXOS_VALUE_MAX ||
        (promised && !paxos_ballot_fits(p, promised)) || (accepted && !paxos_ballot_fits(p, accepted)))
        return false;
    struct decree *i = instances_edit(&p->instances, instance);
    i->promised = promised;
    i->accepted = accepted;
    if (!i->decided) instances_put(&p->instances, instance, value);
    return true;
}

static bool replay_decision(struct paxos *p, struct reader *in) {
    uint64_t instance = read_u64(in), ballot = read_u64(in);
    struct bytes value = {in->at, (uint32_t)reader_left(in)};
    if (in->failed || !instances_fits(instance) || value.size > PAXOS_VALUE_MAX || !paxos_ballot_fits(p, ballot))
        return false;
    instances_decide(&p->instances, instance, ballot, value);
    return true;
}

static void on_record(struct paxos *p, struct bytes data) {
    struct reader in = reader_of(data);
    bool sound = false;
    switch (read_u8(&in)) {
    case RECORD_ACCEPTOR: sound = replay_acceptor(p, &in); break;
    case RECORD_DECISION: sound = replay_decision(p, &in); break;
    case RECORD_RECOVERING: sound = p->recovering = true; break;
    default: break;
    }
    if (sound) return;
    outbox_note(p->out, QRT_KIND_REJECT, QRT_DROP_CORRUPT, 0, 0, 0, 0, 0);
    p->damaged = true;
}

/* Whoever forgot what it promised can never be sure again which ballots it bound: it learns, and that is all. The mark is
 * in a record, because the next start finds a store that is not empty. */
static void on_start(struct paxos *p, uint8_t how) {
    bool forgot = start_forgot(how) || p->damaged;
    if (forgot && !p->recovering) {
        *outbox_persist(p->out, 1, 0, 0) = RECORD_RECOVERING;
        p->written++;
        p->recovering = true;
    }
    p->started = true;
    p->heard = p->instances.known;
    outbox_note(p->out, QRT_KIND_START, how, 0, 0, p->instances.known, p->instances.known, 0);
    outbox_note(p->out, QRT_KIND_STATE, p->roles, 0, 0, 0, 0, 0);
    paxos_start_learning(p);
}

/* Events */

static void on_message(struct paxos *p, const struct message *m) {
    int slot = slot_of(p, m->from);
    if (slot < 0 || slot == p->slot) {
        outbox_note(p->out, QRT_KIND_REJECT, QRT_DROP_FOREIGN, m->from, 0, 0, m->id, 0);
        return;
    }
    switch (m->kind) {
    case WIRE_PAXOS_PREPARE: paxos_on_prepare(p, m); break;
    case WIRE_PAXOS_PROMISE: paxos_on_promise(p, m, slot); break;
    case WIRE_PAXOS_ACCEPT: paxos_on_accept(p, m); break;
    case WIRE_PAXOS_ACCEPTED: paxos_on_accepted(p, m, slot); break;
    case WIRE_PAXOS_REFUSE: paxos_on_refuse(p, m, slot); break;
    case WIRE_PAXOS_LEARN: paxos_on_learn(p, m); break;
    case WIRE_PAXOS_ASK: paxos_on_ask(p, m); break;
    default: outbox_note(p->out, QRT_KIND_REJECT, QRT_DROP_FOREIGN, m->from, 0, 0, m->id, 0); break;
    }
}

static void on_timer(struct paxos *p, uint32_t id) {
    if (id == PAXOS_TIMER_BALLOT) paxos_on_ballot_timer(p);
    if (id == PAXOS_TIMER_LEARN) paxos_on_learn_timer(p);
}

static bool paxos_grows(const struct message *m) {
    return m->kind == WIRE_PAXOS_ACCEPT || m->kind == WIRE_PAXOS_LEARN;
}

static void paxos_step(void *state, const struct event *e, struct outbox *out) {
    struct paxos *p = state;
    p->out = out;
    switch ((enum event_kind)e->kind) {
    case EVENT_MESSAGE: on_message(p, e->as.message); break;
    case EVENT_STORED:
        p->stored++;
        paxos_on_own_record(p);
        break;
    case EVENT_PROPOSE: paxos_on_propose(p, e); break;
    case EVENT_TIMER: on_timer(p, e->as.timer.id); break;
    case EVENT_READ: outbox_reply(out, e->as.read.token, QRT_EUNSUPPORTED, 0); break;
    case EVENT_RECORD: on_record(p, e->as.record.data); break;
    case EVENT_START: on_start(p, e->as.start.how); break;
    case EVENT_CHECKPOINT:
    case EVENT_OPINION:
    case EVENT_LOCAL:
    case EVENT_ROOM: break;
    }
    p->out = NULL;
}

/* Life and death */

static uint16_t count_acceptors(const void *options, uint16_t members) {
    int64_t wanted = ((const struct paxos_options *)options)->acceptors;
    return wanted > 0 && wanted < members ? (uint16_t)wanted : members;
}

static void assign_roles(struct paxos *p) {
    int64_t proposers = p->options.proposers;
    p->first_acceptor = (uint16_t)(p->count - count_acceptors(&p->options, p->count));
    uint16_t most = p->first_acceptor ? p->first_acceptor : p->count;
    p->proposers = proposers > 0 && proposers < most ? (uint16_t)proposers : most;
    p->roles = PAXOS_LEARNER;
    if (p->slot < p->proposers) p->roles |= PAXOS_PROPOSER;
    if (p->slot >= p->first_acceptor) p->roles |= PAXOS_ACCEPTOR;
}

static void *paxos_create(const struct protocol_config *c) {
    CHECK(c->member_count >= 1 && c->member_count <= PAXOS_MEMBERS_MAX);
    struct paxos *p = mem_zero(1, sizeof *p);
    p->node = c->node;
    p->group = c->group;
    p->bugs = c->bugs;
    memcpy(&p->options, c->options, sizeof p->options);
    p->count = c->member_count;
    memcpy(p->members, c->members, c->member_count * sizeof *c->members);
    int slot = slot_of(p, c->node);
    CHECK(slot >= 0);
    p->slot = (uint16_t)slot;
    p->random = random_stream(c->seed, c->node, RANDOM_PROTOCOL);
    assign_roles(p);
    p->quorum = quorum_rule_or_majority(c->quorum, (uint32_t)(p->count - p->first_acceptor));
    return p;
}

static void paxos_destroy(void *state) {
    struct paxos *p = state;
    instances_free(&p->instances);
    buffer_free(&p->proposer.mine);
    buffer_free(&p->proposer.value);
    free(p->waiting);
    free(p);
}

static struct buffer buffer_clone(const struct buffer *from) {
    struct buffer b = {0};
    if (from->size) buffer_append(&b, from->data, from->size);
    return b;
}

static void *paxos_clone(const void *state) {
    const struct paxos *from = state;
    struct paxos *p = mem_copy(from, sizeof *from);
    p->out = NULL;
    instances_clone(&p->instances, &from->instances);
    p->proposer.mine = buffer_clone(&from->proposer.mine);
    p->proposer.value = buffer_clone(&from->proposer.value);
    p->waiting = mem_copy(from->waiting, from->waiting_count * sizeof *from->waiting);
    p->waiting_capacity = from->waiting_count;
    return p;
}

static qrt_status paxos_fits(const void *options, uint16_t members, struct error *e) {
    const struct paxos_options *o = options;
    long long acceptors = o->acceptors, proposers = o->proposers, others = members - acceptors;
    if (acceptors > members)
        return error_set(e, QRT_ERANGE, "acceptors=%lld needs as many nodes, there are %u", acceptors, members);
    long long most = acceptors && others ? others : members;
    if (proposers > most)
        return error_set(e, QRT_ERANGE, "proposers=%lld needs as many nodes that may propose, there are %lld of %u",
                         proposers, most, members);
    return QRT_OK;
}

/* clang-format off */
#define OPTION(name, type, low, high, standard, help) \
    {#name, type, offsetof(struct paxos_options, name), low, high, standard, NULL, help}
static const struct option_spec option_specs[] = {
    OPTION(acceptors, OPTION_INTEGER, 0, PAXOS_MEMBERS_MAX, "0",
           "the last so many nodes accept and do nothing else; 0: all roles together on every node"),
    OPTION(proposers, OPTION_INTEGER, 0, PAXOS_MEMBERS_MAX, "0",
           "only the first so many nodes propose; 0: all that may"),
    OPTION(thrifty, OPTION_BOOL, 0, 1, "false",
           "each phase asks a random bare quorum of acceptors first, and all others only after silence"),
    OPTION(retry, OPTION_DURATION, 0.0001, 3600, "20ms",
           "a proposer that hears no quorum for a random time of once to twice this asks again"),
    OPTION(backoff, OPTION_DURATION, 0.00001, 3600, "5ms",
           "a preempted proposer pauses for a random time up to this, doubled with every ballot that it lost"),
    OPTION(learn_interval, OPTION_DURATION, 0.001, 3600, "100ms",
           "a node asks another for news every random time of once to twice this"),
    OPTION(max_waiting, OPTION_INTEGER, 1, 1048576, "65536",
           "proposals that wait at one node for a decision before it refuses more"),
    {0},
};
#undef OPTION

static const struct bug bugs[] = {
    [PAXOS_ACCEPT_WITHOUT_PROMISE] = {"accept-without-promise",
        "an acceptor accepts a higher ballot without recording it as promised", "agreement", "scylladb#6139"},
    [PAXOS_STALE_PROMISE_COUNTED] = {"stale-promise-counted",
        "a promise for an old ballot counts for the present one", "agreement", "MyPaxos#18"},
    [PAXOS_ONE_BALLOT_VARIABLE] = {"one-ballot-variable",
        "the promised ballot and the accepted one share a variable", "agreement", "arXiv 1906.10917"},
    {0},
};
/* clang-format on */

static const struct fault_model model = {
    .synchrony = false,
    .tolerates_loss = true,
    .tolerates_reorder = true,
    .tolerates_duplicates = true,
    .tolerates_corruption = true,
    .tolerates_partition = true,
    .tolerates_pause = true,
    .tolerates_skew = true,
    .crash_recovers = true,
    .crash_wipes = false,
    .loses_unsynced = true,
    .crashes = "(n-1)/2",
    .liars = "0",
    .assumes = "synced writes survive: a node whose disk was wiped learns, but votes no more; nobody lies",
};

const struct protocol protocol_paxos = {
    .name = "paxos",
    .judged_by = "consensus",
    .votes = true,
    .voters = count_acceptors,
    .sometimes =
        "ballot-preempted value-adopted crashed-in-step unsynced-lost node-paused partition-dropped message-lost "
        "corrupt-rejected sent-to-dead outcome-unknown",
    .leaderless = true,
    .values = true,
    .summary = "single decrees by ballots: proposers, acceptors, learners (Lamport 1998, 2001)",
    .options = {"paxos", option_specs},
    .options_size = sizeof(struct paxos_options),
    .fits = paxos_fits,
    .model = &model,
    .bugs = bugs,
    .create = paxos_create,
    .destroy = paxos_destroy,
    .clone = paxos_clone,
    .fingerprint = paxos_fingerprint,
    .step = paxos_step,
    .grows = paxos_grows,
    .status = paxos_status,
    .entry = paxos_entry,
    .describe = paxos_describe,
    .inspect = paxos_inspect,
    .invariants = paxos_invariants,
};
