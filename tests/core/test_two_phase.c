/* Two-phase commit: what each form costs, read off the trace and held against the formulas; who is blocked; recovery from a
 * crash between any two effects; the mistakes, caught by their property. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "check/atomic.h"
#include "cluster/campaign.h"
#include "protocol/transaction.h"
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

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_two_phase_coordinator_initiated_commit_costs_what_the_formula_says),
        cmocka_unit_test(test_two_phase_coordinator_initiated_abort_costs_what_the_formula_says),
        cmocka_unit_test(test_two_phase_participant_initiated_commit_costs_what_the_formula_says),
        cmocka_unit_test(test_two_phase_participant_initiated_abort_costs_what_the_page_says),
        cmocka_unit_test(test_two_phase_a_read_only_participant_leaves_after_its_vote),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
