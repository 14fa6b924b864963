/* Two-phase commit: what each form costs, read off the trace and held against the formulas; who is blocked; recovery from a
 * crash between any two effects; the mistakes, caught by their property. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>
#include <cmocka.h>

#include "check/atomic.h"
#include "protocol/transaction.h"
#include "support/campaigns.h"
#include "support/scenario.h"

/* What one transaction has cost, read off the trace. */
struct cost {
    unsigned messages, forced, delays, forced_at_manager, acks;
};

/* A proposal in which `count` nodes from `first` on take part; one of them refuses (0: none), another only reads. */
static struct bytes parts_of(struct buffer *out, uint16_t first, uint16_t count, uint16_t refuser, uint16_t reader) {
    struct transaction_part parts[8];
    for (uint16_t i = 0; i < count; i++) {
        uint16_t node = (uint16_t)(first + i);
        uint8_t vote = node == refuser ? QRT_VOTE_NO : node == reader ? QRT_VOTE_READ_ONLY : QRT_VOTE_YES;
        parts[i] = (struct transaction_part){node, vote, bytes_text("work")};
    }
    buffer_clear(out);
    assert_true(transaction_encode(parts, count, out));
    return bytes_of(out->data, out->size);
}

static uint64_t propose_at(struct cluster *c, uint16_t node, struct bytes data) {
    struct error e = {0};
    uint64_t ticket = 0;
    if (cluster_propose(c, node, data, &ticket, &e)) fail_msg("%s", e.text);
    return ticket;
}

static qrt_result await(struct cluster *c, uint64_t ticket) {
    struct error e = {0};
    qrt_result r = {0};
    assert_int_equal(cluster_await(c, ticket, scenario_now(c) + 5 * SECOND, 0, &r, &e), QRT_OK);
    return r;
}

static void expect_outcome(const qrt_result *r, const char *outcome) {
    assert_int_equal(r->status, QRT_OK);
    assert_int_equal(r->size, strlen(outcome));
    assert_memory_equal(r->data, outcome, r->size);
}

/* Message delays: a node's depth is that of the deepest message that it has received, and a message is one deeper than its
 * sender. Up to the last decision. */
static struct cost cost_of(struct cluster *c, uint64_t id, uint16_t manager) {
    const struct trace *t = scenario_trace(c);
    struct cost cost = {0};
    unsigned depth[16] = {0}, sent[256] = {0};
    uint64_t links[256];
    for (uint64_t i = 0; i < t->count; i++) {
        const qrt_event *e = trace_at(t, i);
        bool ours = e->index == id;
        if (e->kind == QRT_KIND_SEND && ours) {
            links[cost.messages] = e->link;
            sent[cost.messages++] = depth[e->node] + 1;
            cost.acks += e->detail == WIRE_COMMIT_ACK;
            assert_true(cost.messages < 256);
        }
        for (unsigned k = 0; e->kind == QRT_KIND_RECEIVE && k < cost.messages; k++)
            if (links[k] == e->link && sent[k] > depth[e->node]) depth[e->node] = sent[k];
        if (e->kind == QRT_KIND_PERSIST && ours) {
            cost.forced++;
            cost.forced_at_manager += e->node == manager;
        }
        if (e->kind == QRT_KIND_DECIDE && ours && depth[e->node] > cost.delays) cost.delays = depth[e->node];
    }
    return cost;
}

/* One transaction in a cluster of its own, and then peace. */
static struct cost run_one(const char *options, uint16_t taker, uint16_t manager, struct bytes data,
                           const char *outcome) {
    struct cluster *c = scenario_new_of("2pc", options);
    scenario_run(c, 10 * MS); /* the first record reserves numbers, for thousands of transactions */
    qrt_result r = await(c, propose_at(c, taker, data));
    expect_outcome(&r, outcome);
    scenario_run(c, SECOND);
    struct cost cost = cost_of(c, r.index, manager);
    struct atomic_counts counts;
    assert_true(atomic_counts_of(c->checkers, &counts));
    assert_int_equal(counts.undecided, 0);
    scenario_expect_sound(c, options);
    cluster_free(c);
    return cost;
}

#define QUIET "delay_kind=constant delay=1ms jitter=0 disk_jitter=0 "

/* PROTOCOLS: on commit, with N participants beside the coordinator, presumed nothing and presumed abort alike: 4N messages,
 * 2N+1 forced writes (Mohan, Lindsay and Obermarck 1986, table 1). That the coordinator takes part too costs nothing. */
static void test_two_phase_coordinator_initiated_commit_costs_what_the_formula_says(void **unused) {
    (void)unused;
    const char *forms[] = {QUIET "nodes=6 form=presumed-nothing", QUIET "nodes=6 form=presumed-abort"};
    struct buffer data = {0};
    for (int f = 0; f < 2; f++)
        for (uint16_t n = 1; n <= 5; n++)
            for (uint16_t first = 1; first <= 2; first++) {
                struct bytes what = parts_of(&data, first, (uint16_t)(n + 2 - first), 0, 0);
                struct cost cost = run_one(forms[f], 1, 1, what, "commit");
                assert_int_equal(cost.messages, 4 * n);
                assert_int_equal(cost.forced, 2 * n + 1);
                assert_int_equal(cost.forced_at_manager, 1);
                assert_int_equal(cost.delays, 3); /* prepare, vote, decision */
            }
    buffer_free(&data);
}

/* On abort presumed abort forces nothing at the coordinator and wants no acknowledgement; presumed nothing treats an abort as
 * it does a commit. One of N refuses: it needs no decision and, presuming nothing, forces its refusal. */
static void test_two_phase_coordinator_initiated_abort_costs_what_the_formula_says(void **unused) {
    (void)unused;
    struct buffer data = {0};
    for (uint16_t n = 2; n <= 5; n++) {
        struct bytes what = parts_of(&data, 2, n, (uint16_t)(n + 1), 0); /* the refusal comes last */
        struct cost nothing = run_one(QUIET "nodes=6 form=presumed-nothing", 1, 1, what, "abort");
        struct cost presumed = run_one(QUIET "nodes=6 form=presumed-abort", 1, 1, what, "abort");
        assert_int_equal(nothing.messages, 2 * n + 2 * (n - 1));
        assert_int_equal(nothing.acks, n - 1);
        assert_int_equal(nothing.forced, 2 * (n - 1) + 1 + 1);
        assert_int_equal(nothing.forced_at_manager, 1);
        assert_int_equal(presumed.messages, 2 * n + n - 1);
        assert_int_equal(presumed.acks, 0);
        assert_int_equal(presumed.forced, n - 1);
        assert_int_equal(presumed.forced_at_manager, 0);
    }
    buffer_free(&data);
}

/* Presumed commit (the same paper, section 3): on commit 3N messages, N+2 forced writes, no acknowledgement: who collects the
 * votes is forced before they are asked for, and participants do not force the commit. Its abort is presumed nothing's, but
 * that the record of who collects stands for the decision. */
static void test_two_phase_presumed_commit_costs_what_the_formula_says(void **unused) {
    (void)unused;
    struct buffer data = {0};
    for (uint16_t n = 1; n <= 5; n++)
        for (uint16_t first = 1; first <= 2; first++) {
            struct bytes what = parts_of(&data, first, (uint16_t)(n + 2 - first), 0, 0);
            struct cost cost = run_one(QUIET "nodes=6 form=presumed-commit", 1, 1, what, "commit");
            assert_int_equal(cost.messages, 3 * n);
            assert_int_equal(cost.acks, 0);
            assert_int_equal(cost.forced, n + 2);
            assert_int_equal(cost.forced_at_manager, 2);
            assert_int_equal(cost.delays, 3);
        }
    for (uint16_t n = 2; n <= 5; n++) {
        struct bytes what = parts_of(&data, 2, n, (uint16_t)(n + 1), 0);
        struct cost cost = run_one(QUIET "nodes=6 form=presumed-commit", 1, 1, what, "abort");
        assert_int_equal(cost.messages, 2 * n + 2 * (n - 1));
        assert_int_equal(cost.acks, n - 1);
        assert_int_equal(cost.forced, 2 * (n - 1) + 1);
        assert_int_equal(cost.forced_at_manager, 1);
    }
    buffer_free(&data);
}

/* Gray and Lamport 2006, section 2: 3N-1 messages, 4 delays and N+1 forced writes with the manager apart from the N
 * participants; with it beside the participant that begins, 3N-3 messages, one delay fewer, as many forced writes. */
static void test_two_phase_participant_initiated_commit_costs_what_the_formula_says(void **unused) {
    (void)unused;
    struct buffer data = {0};
    for (uint16_t n = 1; n <= 5; n++) {
        struct bytes what = parts_of(&data, 2, n, 0, 0);
        struct cost apart = run_one(QUIET "nodes=6 form=participant-initiated manager=1", 2, 1, what, "commit");
        struct cost beside = run_one(QUIET "nodes=6 form=participant-initiated", 2, 2, what, "commit");
        assert_int_equal(apart.messages, 3 * n - 1);
        assert_int_equal(apart.forced, n + 1);
        assert_int_equal(apart.forced_at_manager, 1);
        assert_int_equal(apart.delays, n > 1 ? 4 : 2);
        assert_int_equal(apart.acks + beside.acks, 0);
        assert_int_equal(beside.messages, 3 * n - 3);
        assert_int_equal(beside.forced, n + 1);
        assert_int_equal(beside.delays, n > 1 ? 3 : 0);
    }
    buffer_free(&data);
}

/* On abort nobody forces the decision, but a manager apart from who begins: a late first message must not begin it anew. */
static void test_two_phase_participant_initiated_abort_costs_what_the_page_says(void **unused) {
    (void)unused;
    struct buffer data = {0};
    for (uint16_t n = 2; n <= 5; n++) {
        struct bytes what = parts_of(&data, 2, n, (uint16_t)(n + 1), 0);
        struct cost apart = run_one(QUIET "nodes=6 form=participant-initiated manager=1", 2, 1, what, "abort");
        struct cost beside = run_one(QUIET "nodes=6 form=participant-initiated", 2, 2, what, "abort");
        assert_int_equal(apart.messages, 1 + 2 * (n - 1) + n - 1);
        assert_int_equal(apart.forced, n - 1 + 1);
        assert_int_equal(beside.messages, 2 * (n - 1) + n - 2);
        assert_int_equal(beside.forced, n - 1);
        assert_int_equal(apart.acks + beside.acks, 0);
    }
    buffer_free(&data);
}

/* A read-only participant leaves after its vote: two messages and no forced write (Mohan et al. 1986, section 3). */
static void test_two_phase_a_read_only_participant_leaves_after_its_vote(void **unused) {
    (void)unused;
    struct buffer data = {0};
    const char *forms[] = {QUIET "nodes=4 form=presumed-nothing", QUIET "nodes=4 form=presumed-abort"};
    for (int f = 0; f < 2; f++) {
        struct cost cost = run_one(forms[f], 1, 1, parts_of(&data, 2, 3, 0, 3), "commit");
        assert_int_equal(cost.messages, 4 * 2 + 2);
        assert_int_equal(cost.forced, 2 * 2 + 1);
        cost = run_one(forms[f], 1, 1, parts_of(&data, 3, 1, 0, 3), "commit");
        assert_int_equal(cost.messages, 2);
        assert_int_equal(cost.forced, 0); /* nobody changed anything */
    }
    buffer_free(&data);
}

/* ---- blocking, recovery ---- */

static struct atomic_counts counts_of(struct cluster *c) {
    struct atomic_counts counts;
    assert_true(atomic_counts_of(c->checkers, &counts));
    return counts;
}

/* The coordinator dies between the last vote and its decision: nobody may decide, and all wait as long as it is away. It is
 * found and named, and no violation (issue: "two-phase commit's blocking"). */
static void test_two_phase_participants_are_blocked_until_their_coordinator_is_back(void **unused) {
    (void)unused;
    struct cluster *c = scenario_new_of("2pc", QUIET "nodes=4 form=presumed-abort");
    struct buffer data = {0};
    scenario_run(c, 10 * MS);
    propose_at(c, 1, parts_of(&data, 2, 3, 0, 0));
    scenario_run(c, 2 * MS); /* asked at 1 ms, the votes arrive after 2.2 ms */
    scenario_fault(c, "{\"do\": \"crash\", \"node\": 1}");
    scenario_run(c, 2 * SECOND);
    struct atomic_counts counts = counts_of(c);
    assert_int_equal(counts.undecided, 3);
    assert_int_equal(counts.blocked, 3);
    scenario_expect_sound(c, "blocked");
    struct atomic_episode b;
    for (size_t i = 0; i < 3; i++) {
        assert_true(atomic_episode_at(c->checkers, i, &b));
        assert_int_equal(b.manager, 1);
        assert_true(b.until == INT64_MAX && b.since < SECOND);
    }
    int64_t back = scenario_now(c);
    scenario_fault(c, "{\"do\": \"restart\", \"node\": 1}");
    scenario_run(c, 200 * MS);
    counts = counts_of(c);
    assert_int_equal(counts.undecided, 0);
    assert_int_equal(counts.aborted, 1); /* it had decided nothing: presumed abort */
    for (size_t i = 0; atomic_episode_at(c->checkers, i, &b); i++)
        assert_true(b.until > back && b.until < back + 100 * MS);
    scenario_expect_sound(c, "released");
    buffer_free(&data);
    cluster_free(c);
}

/* A participant that has heard the decision tells the others, when they may ask it: its option `cooperative`. */
static void test_two_phase_a_participant_that_knows_ends_the_blocking_of_others(void **unused) {
    (void)unused;
    struct buffer data = {0};
    for (int cooperative = 0; cooperative < 2; cooperative++) {
        struct cluster *c =
            scenario_new_of("2pc", cooperative ? QUIET "nodes=4 cooperative=true" : QUIET "nodes=4 cooperative=false");
        scenario_run(c, 10 * MS);
        propose_at(c, 1, parts_of(&data, 2, 3, 0, 0));
        scenario_run(c, 2 * MS);
        scenario_fault(c, "{\"do\": \"partition\", \"groups\": [[1, 2], [3, 4]]}");
        scenario_run(c,
                     50 * MS); /* two votes were lost with the partition: only n2 can hear the abort of the time-out */
        scenario_run(c, 300 * MS);
        scenario_fault(c, "{\"do\": \"crash\", \"node\": 1}");
        scenario_fault(c, "{\"do\": \"heal\"}");
        scenario_run(c, SECOND);
        assert_int_equal(counts_of(c).undecided, cooperative ? 0 : 2);
        scenario_expect_sound(c, "cooperation");
        cluster_free(c);
    }
    buffer_free(&data);
}

static bool node_is_up(struct cluster *c, uint16_t node) {
    return scenario_node(c, node).up;
}

/* One crash, behind the k-th effect of a node's next step after `at`, losing what was not synced; then everybody must come
 * to know the same. Whether the crash fell at all. */
static bool crash_at(const char *options, uint16_t taker, uint16_t node, int effect, int64_t at, uint16_t refuser) {
    struct cluster *c = scenario_new_of("2pc", options);
    struct buffer data = {0};
    scenario_run(c, 10 * MS);
    propose_at(c, taker, parts_of(&data, 2, 3, refuser, 0));
    scenario_run(c, at);
    scenario_fault(c, "{\"do\": \"crash\", \"node\": %u, \"effect\": %d}", node, effect);
    scenario_run(c, 500 * MS);
    bool fell = !node_is_up(c, node);
    if (fell) scenario_fault(c, "{\"do\": \"restart\", \"node\": %u}", node);
    scenario_run(c, SECOND);
    if (counts_of(c).undecided)
        fail_msg("%s: n%u died behind effect %d, and a vote still waits", options, node, effect);
    scenario_expect_sound(c, options);
    buffer_free(&data);
    cluster_free(c);
    return fell;
}

/* Issue: "recovery and inquiry after a crash between any two effects". Each step of each node, in each form, on commit and on
 * abort. */
static void test_two_phase_recovers_from_a_crash_between_any_two_effects(void **unused) {
    (void)unused;
    const char *options[] = {QUIET "nodes=4 form=presumed-nothing", QUIET "nodes=4 form=presumed-abort",
                             QUIET "nodes=4 form=participant-initiated",
                             QUIET "nodes=4 form=participant-initiated manager=1",
                             QUIET "nodes=4 form=presumed-commit"};
    const uint16_t takers[] = {1, 1, 2, 2, 1};
    int fell = 0;
    for (int form = 0; form < 5; form++)
        for (uint16_t node = 1; node <= 3; node++)
            for (int effect = 1; effect <= 9; effect++)
                for (int64_t at = 0; at < 5 * MS; at += MS / 2)
                    for (uint16_t refuser = 0; refuser <= 4; refuser += 4)
                        fell += crash_at(options[form], takers[form], node, effect, at, refuser);
    assert_true(fell > 500);
}

/* The same, killed at every tenth of a millisecond of a transaction's life instead of at an effect. */
static void test_two_phase_recovers_from_a_crash_at_any_time(void **unused) {
    (void)unused;
    struct buffer data = {0};
    const char *options[] = {QUIET "nodes=4 form=presumed-nothing", QUIET "nodes=4 form=presumed-abort",
                             QUIET "nodes=4 form=participant-initiated manager=1",
                             QUIET "nodes=4 form=presumed-commit"};
    for (int form = 0; form < 4; form++)
        for (uint16_t node = 1; node <= 2; node++)
            for (int64_t at = 0; at < 60; at++) {
                struct cluster *c = scenario_new_of("2pc", options[form]);
                scenario_run(c, 10 * MS);
                propose_at(c, form == 2 ? 2 : 1, parts_of(&data, 2, 3, 0, 0));
                scenario_run(c, at * MS / 10);
                scenario_fault(c, "{\"do\": \"crash\", \"node\": %u, \"for\": 0.4}", node);
                scenario_run(c, SECOND);
                if (counts_of(c).undecided)
                    fail_msg("%s: n%u died after %d tenths of a ms", options[form], node, (int)at);
                scenario_expect_sound(c, options[form]);
                cluster_free(c);
            }
    buffer_free(&data);
}

/* ---- what it refuses ---- */

/* A participant-initiated transaction begins with a participant's readiness: one that takes no part cannot begin it. */
static void test_two_phase_refuses_what_it_cannot_begin(void **unused) {
    (void)unused;
    struct buffer data = {0};
    struct cluster *c = scenario_new_of("2pc", "nodes=3 form=participant-initiated");
    qrt_result r = await(c, propose_at(c, 1, parts_of(&data, 2, 2, 0, 0)));
    assert_int_equal(r.status, QRT_EINVAL);
    r = await(c, propose_at(c, 1, parts_of(&data, 1, 2, 0, 1))); /* nor one that only reads */
    assert_int_equal(r.status, QRT_EINVAL);
    struct bytes list = parts_of(&data, 1, 3, 0, 0);
    for (uint32_t cut = 8; cut < list.size; cut++) {
        r = await(c, propose_at(c, 1, bytes_of(list.data, cut)));
        assert_int_equal(r.status, QRT_EINVAL);
    }
    r = await(c, propose_at(c, 1, parts_of(&data, 1, 4, 0, 0))); /* there is no n4 */
    assert_int_equal(r.status, QRT_EINVAL);
    expect_outcome((r = await(c, propose_at(c, 1, bytes_text("opaque"))), &r), "commit");
    scenario_expect_sound(c, "refusals");
    buffer_free(&data);
    cluster_free(c);
}

/* A list is read back as it was written, by each of its members. */
static void test_transaction_lists_read_back(void **unused) {
    (void)unused;
    const uint16_t members[] = {1, 2, 3, 4};
    struct buffer data = {0};
    struct bytes list = parts_of(&data, 2, 3, 3, 4);
    const uint8_t votes[] = {0, QRT_VOTE_YES, QRT_VOTE_NO, QRT_VOTE_READ_ONLY};
    struct transaction what;
    for (uint16_t place = 0; place < 4; place++) {
        assert_true(transaction_read(list, members, 4, place, 1, &what));
        assert_int_equal(what.vote, votes[place]);
        assert_int_equal(what.participants.bits[0], 0xe);
        assert_int_equal(what.writers.bits[0], 0x6);
    }
    assert_true(transaction_read(bytes_text("x"), members, 4, 2, 0, &what));
    assert_int_equal(what.vote, QRT_VOTE_YES);
    assert_true(transaction_read(bytes_text("x"), members, 4, 2, 1, &what));
    assert_int_equal(what.vote, QRT_VOTE_NO);
    struct transaction_part twice[] = {{2, QRT_VOTE_YES, {0}}, {2, QRT_VOTE_YES, {0}}};
    assert_false(transaction_encode(twice, 2, &data));
    assert_false(transaction_encode(twice, 0, &data));
    twice[0].vote = 4;
    assert_false(transaction_encode(twice, 1, &data));
    buffer_free(&data);
}

/* What no sound peer sends is counted and changes nothing. */
static void test_two_phase_rejects_impossible_messages(void **unused) {
    (void)unused;
    const struct protocol *p = protocol_find("2pc");
    const uint16_t members[] = {1, 2, 3};
    void *options = mem_zero(1, p->options_size);
    option_defaults(&p->options, options);
    struct protocol_config config = {.node = 1, .members = members, .member_count = 3, .seed = 1, .options = options};
    void *state = p->create(&config);
    struct outbox out = {.node = 1};
    struct event start = {.kind = EVENT_START};
    start.as.start.how = QRT_START_FORMAT;
    p->step(state, &start, &out);
    uint64_t before = p->fingerprint(state), mine = transaction_number(1, 7), theirs = transaction_number(2, 1);
    struct message bad[] = {
        {.kind = WIRE_COMMIT_VOTE, .from = 2, .as.commit_vote = {mine, QRT_VOTE_YES}},       /* never begun */
        {.kind = WIRE_COMMIT_VOTE, .from = 2, .as.commit_vote = {mine, 9}},                  /* no vote */
        {.kind = WIRE_COMMIT_VOTE, .from = 2, .as.commit_vote = {theirs, QRT_VOTE_YES}},     /* not decided here */
        {.kind = WIRE_COMMIT_DECISION, .from = 2, .as.commit_decision = {theirs, 1}},        /* never voted */
        {.kind = WIRE_COMMIT_DECISION, .from = 2, .as.commit_decision = {theirs, 3}},        /* no outcome */
        {.kind = WIRE_COMMIT_DECISION, .from = 2, .as.commit_decision = {mine, 1}},          /* its own */
        {.kind = WIRE_COMMIT_PREPARE, .from = 3, .as.commit_prepare = {theirs, 0, {0}}},     /* not its coordinator */
        {.kind = WIRE_COMMIT_PREPARE, .from = 2, .as.commit_prepare = {theirs, 2, {0}}},     /* settled before begun */
        {.kind = WIRE_COMMIT_PREPARE, .from = 2, .as.commit_prepare = {2ull << 48, 0, {0}}}, /* no sequence */
        {.kind = WIRE_COMMIT_BEGIN, .from = 2, .as.commit_begin = {theirs, {0}}},            /* another form */
        {.kind = WIRE_COMMIT_INQUIRY, .from = 2, .as.commit_inquiry = {transaction_number(9, 1)}}, /* no n9 */
        {.kind = WIRE_COMMIT_ACK, .from = 2, .as.commit_ack = {theirs}},
        {.kind = WIRE_COMMIT_ACK, .from = 9, .as.commit_ack = {mine}},
        {.kind = WIRE_VOTE_REQUEST, .from = 2},
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct event e = {.kind = EVENT_MESSAGE};
        e.as.message = &bad[i];
        outbox_clear(&out);
        p->step(state, &e, &out);
        if (out.count != 1 || out.effects[0].a != QRT_KIND_REJECT) fail_msg("message %zu was not rejected", i);
        assert_int_equal(p->fingerprint(state), before);
    }
    outbox_free(&out);
    p->destroy(state);
    free(options);
}

/* Another participant asks before this one was asked to vote: it ends the transaction, and its abort is forced before it is
 * told, so that its vote can never be yes; not after a crash either. */
static void test_two_phase_who_is_asked_before_it_has_voted_never_votes_yes(void **unused) {
    (void)unused;
    const struct protocol *p = protocol_find("2pc");
    const uint16_t members[] = {1, 2, 3};
    void *options = mem_zero(1, p->options_size), *state;
    struct buffer data = {0}, record = {0};
    struct outbox out = {.node = 3};
    option_defaults(&p->options, options);
    struct protocol_config config = {.node = 3, .members = members, .member_count = 3, .seed = 1, .options = options};
    struct message inquiry = {.kind = WIRE_COMMIT_INQUIRY, .from = 2, .as.commit_inquiry = {transaction_number(1, 5)}};
    struct message prepare = {.kind = WIRE_COMMIT_PREPARE, .from = 1};
    prepare.as.commit_prepare.transaction = transaction_number(1, 5);
    prepare.as.commit_prepare.data = parts_of(&data, 1, 3, 0, 0);
    for (int life = 0; life < 2; life++) {
        struct event start = {.kind = EVENT_START}, e = {.kind = EVENT_RECORD};
        state = p->create(&config);
        e.as.record.data = bytes_of(record.data, record.size);
        if (life) p->step(state, &e, &out);
        start.as.start.how = life ? QRT_START_RECOVERED : QRT_START_FORMAT;
        p->step(state, &start, &out);
        e.kind = EVENT_MESSAGE;
        e.as.message = &inquiry;
        outbox_clear(&out);
        if (!life) p->step(state, &e, &out);
        size_t at = 0;
        if (!life) { /* the record, and then the answer */
            while (at < out.count && out.effects[at].kind != FX_SEND) at++;
            assert_int_equal(out.effects[0].kind, FX_PERSIST);
            assert_true(at < out.count && out.effects[at].peer == 2);
            buffer_append(&record, outbox_bytes(&out, &out.effects[0]).data, out.effects[0].size);
        }
        e.as.message = &prepare;
        outbox_clear(&out);
        p->step(state, &e, &out);
        assert_int_equal(out.count, 2);
        assert_int_equal(out.effects[0].a, QRT_KIND_VOTE);
        assert_int_equal(out.effects[0].b, QRT_VOTE_NO);
        assert_int_equal(out.effects[1].kind, FX_SEND);
        p->destroy(state);
    }
    outbox_free(&out);
    buffer_free(&data);
    buffer_free(&record);
    free(options);
}

/* Presumed commit: a participant that is told of an abort before it was asked to vote remembers that, durably, before it
 * acknowledges; for its coordinator then forgets, and would presume a commit if the question came and found a yes. */
static void test_two_phase_presumed_commit_remembers_an_abort_that_came_too_soon(void **unused) {
    (void)unused;
    const struct protocol *p = protocol_find("2pc");
    const uint16_t members[] = {1, 2, 3};
    void *options = mem_zero(1, p->options_size), *state;
    struct buffer data = {0};
    struct outbox out = {.node = 3};
    struct error error = {0};
    option_defaults(&p->options, options);
    assert_int_equal(option_set(&p->options, &options, 1, "form", "presumed-commit", &error), QRT_OK);
    struct protocol_config config = {.node = 3, .members = members, .member_count = 3, .seed = 1, .options = options};
    struct message told = {
        .kind = WIRE_COMMIT_DECISION, .from = 1, .as.commit_decision = {transaction_number(1, 5), 2}};
    struct message prepare = {.kind = WIRE_COMMIT_PREPARE, .from = 1};
    prepare.as.commit_prepare.transaction = transaction_number(1, 5);
    prepare.as.commit_prepare.data = parts_of(&data, 1, 3, 0, 0);
    struct event start = {.kind = EVENT_START}, e = {.kind = EVENT_MESSAGE};
    start.as.start.how = QRT_START_FORMAT;
    state = p->create(&config);
    p->step(state, &start, &out);
    outbox_clear(&out);
    e.as.message = &told;
    p->step(state, &e, &out);
    assert_int_equal(out.effects[0].kind, FX_PERSIST);
    assert_int_equal(out.effects[out.count - 1].kind, FX_SEND);
    outbox_clear(&out);
    e.as.message = &prepare;
    p->step(state, &e, &out);
    assert_int_equal(out.count, 2);
    assert_int_equal(out.effects[0].b, QRT_VOTE_NO);
    p->destroy(state);
    outbox_free(&out);
    buffer_free(&data);
    free(options);
}

/* ---- campaigns ---- */

/* Default seeds are clean, all come to decide once healed, and every named condition was met. */
static void test_two_phase_campaign_is_clean_and_exercises_everything(void **unused) {
    (void)unused;
    json_t *report = campaigns_run("{\"protocol\": \"2pc\", \"seeds\": 150, \"first\": 1, \"jobs\": 1}");
    campaigns_expect_clean(report);
    json_decref(report);
}

/* BUGS: each mistake is caught by atomicity within 1,000 seeds, in the median within 100. */
static void test_two_phase_mistakes_are_caught_by_atomicity(void **unused) {
    (void)unused;
    const char *bugs[] = {"commit-before-decision-durable", "refuse-after-yes"};
    for (int i = 0; i < 2; i++) {
        json_t *report = campaigns_run("{\"protocol\": \"2pc\", \"seeds\": 60, \"jobs\": 1, \"bug\": \"%s\"}", bugs[i]);
        if (!campaigns_hits(report, "atomicity")) fail_msg("%s was not caught in 60 seeds", bugs[i]);
        json_decref(report);
    }
}

/* A fork goes on as its parent does. */
static void test_two_phase_forks_alike(void **unused) {
    (void)unused;
    struct error e;
    struct cluster *c = scenario_new_of("2pc", "nodes=5 seed=4 refuse=0.2");
    struct workload w;
    workload_standard(&w, "values");
    w.operations = 200;
    assert_int_equal(cluster_load(c, &w, &e), QRT_OK);
    scenario_run(c, 20 * MS);
    scenario_fault(c, "{\"do\": \"crash\", \"node\": 2, \"for\": 0.3}");
    scenario_run(c, 5 * MS);
    struct cluster *f = cluster_fork(c, &e);
    scenario_run(c, SECOND);
    scenario_run(f, SECOND);
    assert_int_equal(scenario_fingerprint(c), scenario_fingerprint(f));
    assert_int_equal(scenario_hash(c), scenario_hash(f));
    scenario_expect_sound(c, "parent");
    scenario_expect_sound(f, "fork");
    cluster_free(c);
    cluster_free(f);
}

/* The state's own consistency, after every event of a run with crashes and lost messages. */
static void test_two_phase_keeps_its_invariants(void **unused) {
    (void)unused;
    const char *options[] = {"nodes=5 seed=9 refuse=0.2 form=presumed-nothing",
                             "nodes=5 seed=9 refuse=0.2 form=presumed-abort",
                             "nodes=5 seed=9 refuse=0.2 form=participant-initiated",
                             "nodes=5 seed=9 refuse=0.2 form=participant-initiated manager=2",
                             "nodes=5 seed=9 refuse=0.2 form=presumed-commit"};
    for (size_t i = 0; i < sizeof options / sizeof *options; i++) {
        struct cluster *c = scenario_new_of("2pc", options[i]);
        scenario_load(c, "{\"machine\": \"values\", \"operations\": 300}");
        scenario_plan(c, "[{\"every\": 0.031, \"do\": \"crash\", \"node\": \"random\", \"effect\": 3, \"for\": 0.03},"
                         " {\"during\": [0, 2], \"do\": \"duplicate\", \"probability\": 0.2, \"spread\": \"5ms\"}]");
        scenario_step_soundly(c, 20000);
        assert_true(counts_of(c).committed > 50 && counts_of(c).aborted > 5);
        scenario_expect_sound(c, options[i]);
        cluster_free(c);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_two_phase_coordinator_initiated_commit_costs_what_the_formula_says),
        cmocka_unit_test(test_two_phase_coordinator_initiated_abort_costs_what_the_formula_says),
        cmocka_unit_test(test_two_phase_presumed_commit_costs_what_the_formula_says),
        cmocka_unit_test(test_two_phase_participant_initiated_commit_costs_what_the_formula_says),
        cmocka_unit_test(test_two_phase_participant_initiated_abort_costs_what_the_page_says),
        cmocka_unit_test(test_two_phase_a_read_only_participant_leaves_after_its_vote),
        cmocka_unit_test(test_two_phase_participants_are_blocked_until_their_coordinator_is_back),
        cmocka_unit_test(test_two_phase_a_participant_that_knows_ends_the_blocking_of_others),
        cmocka_unit_test(test_two_phase_recovers_from_a_crash_between_any_two_effects),
        cmocka_unit_test(test_two_phase_recovers_from_a_crash_at_any_time),
        cmocka_unit_test(test_two_phase_refuses_what_it_cannot_begin),
        cmocka_unit_test(test_transaction_lists_read_back),
        cmocka_unit_test(test_two_phase_rejects_impossible_messages),
        cmocka_unit_test(test_two_phase_who_is_asked_before_it_has_voted_never_votes_yes),
        cmocka_unit_test(test_two_phase_presumed_commit_remembers_an_abort_that_came_too_soon),
        cmocka_unit_test(test_two_phase_campaign_is_clean_and_exercises_everything),
        cmocka_unit_test(test_two_phase_mistakes_are_caught_by_atomicity),
        cmocka_unit_test(test_two_phase_forks_alike),
        cmocka_unit_test(test_two_phase_keeps_its_invariants),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
