/* Paxos: the rules of the paper one by one on a single node, then clusters: message counts, rivals, roles apart, the
 * mistakes that the checker of consensus must see. Ballots are round << 16 | node. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "cluster/campaign.h"
#include "protocol/paxos.h"
#include "support/steps.h"

#define SECOND INT64_C(1000000000)
#define BALLOT(round, node) ((uint64_t)(round) << 16 | (node))

static void prepare(struct steps *s, uint16_t from, uint64_t instance, uint64_t ballot) {
    struct message m = {.kind = WIRE_PAXOS_PREPARE};
    m.as.paxos_prepare.instance = instance;
    m.as.paxos_prepare.ballot = ballot;
    steps_message(s, from, &m);
}

static void accept_(struct steps *s, uint16_t from, uint64_t instance, uint64_t ballot, const char *value) {
    struct message m = {.kind = WIRE_PAXOS_ACCEPT};
    m.as.paxos_accept.instance = instance;
    m.as.paxos_accept.ballot = ballot;
    m.as.paxos_accept.value = bytes_text(value);
    steps_message(s, from, &m);
}

static void promise(struct steps *s, uint16_t from, uint64_t ballot, uint64_t accepted, const char *value) {
    struct message m = {.kind = WIRE_PAXOS_PROMISE};
    m.as.paxos_promise.instance = 1;
    m.as.paxos_promise.ballot = ballot;
    m.as.paxos_promise.accepted = accepted;
    m.as.paxos_promise.value = bytes_text(value);
    steps_message(s, from, &m);
}

static void accepted(struct steps *s, uint16_t from, uint64_t ballot) {
    struct message m = {.kind = WIRE_PAXOS_ACCEPTED};
    m.as.paxos_accepted.instance = 1;
    m.as.paxos_accepted.ballot = ballot;
    steps_message(s, from, &m);
}

/* Lamport 2001, 2.2, P1a: an acceptor that promised b answers nothing below b, and reports what it accepted last. */
static void test_paxos_an_acceptor_keeps_its_promise(void **unused) {
    (void)unused;
    struct steps *s = steps_new("paxos", 1, 3, NULL, 0);
    prepare(s, 2, 1, BALLOT(5, 2));
    assert_int_equal(steps_sent(s, WIRE_PAXOS_PROMISE, 0).as.paxos_promise.accepted, 0);
    prepare(s, 3, 1, BALLOT(3, 3));
    assert_true(steps_sent(s, WIRE_PAXOS_REFUSE, 0).as.paxos_refuse.promised == BALLOT(5, 2));
    accept_(s, 3, 1, BALLOT(3, 3), "c");
    assert_int_equal(steps_count_sent(s, WIRE_PAXOS_REFUSE), 1);
    assert_int_equal(steps_count(s, FX_PERSIST), 0);
    accept_(s, 2, 1, BALLOT(5, 2), "b");
    assert_int_equal(steps_count_sent(s, WIRE_PAXOS_ACCEPTED), 1);
    prepare(s, 3, 1, BALLOT(7, 3));
    struct message m = steps_sent(s, WIRE_PAXOS_PROMISE, 0);
    assert_true(m.as.paxos_promise.accepted == BALLOT(5, 2));
    assert_true(bytes_equal(m.as.paxos_promise.value, bytes_text("b")));
    accept_(s, 2, 1, BALLOT(5, 2), "b"); /* accepted before, but promised away since */
    assert_int_equal(steps_count_sent(s, WIRE_PAXOS_REFUSE), 1);
    steps_free(s);
}

/* Every answer of an acceptor stands behind its record, and may not overtake the disk. */
static void test_paxos_an_acceptor_writes_before_it_speaks(void **unused) {
    (void)unused;
    struct steps *s = steps_new("paxos", 1, 3, NULL, 0);
    for (int round = 0; round < 2; round++) {
        if (round == 0)
            prepare(s, 2, 1, BALLOT(1, 2));
        else
            accept_(s, 2, 1, BALLOT(1, 2), "b");
        assert_int_equal(steps_count(s, FX_PERSIST), 1);
        assert_true(steps_place(s, FX_PERSIST) < steps_place(s, FX_SEND));
        assert_int_equal(s->out.effects[steps_place(s, FX_SEND)].flags & FX_BEFORE_DURABLE, 0);
    }
    accept_(s, 2, 1, BALLOT(1, 2), "b"); /* the same again: the same answer, and nothing to write */
    assert_int_equal(steps_count(s, FX_PERSIST), 0);
    assert_int_equal(steps_count_sent(s, WIRE_PAXOS_ACCEPTED), 1);
    steps_free(s);
}

/* A promise and an acceptance survive a crash: they are one record. */
static void test_paxos_a_recovered_acceptor_remembers(void **unused) {
    (void)unused;
    struct steps *s = steps_new("paxos", 1, 3, NULL, 0);
    prepare(s, 2, 1, BALLOT(1, 2));
    accept_(s, 2, 1, BALLOT(4, 2), "b");
    struct steps *r = steps_recovered(s, 3);
    prepare(r, 3, 1, BALLOT(3, 3));
    assert_true(steps_sent(r, WIRE_PAXOS_REFUSE, 0).as.paxos_refuse.promised == BALLOT(4, 2));
    prepare(r, 3, 1, BALLOT(5, 3));
    assert_true(steps_sent(r, WIRE_PAXOS_PROMISE, 0).as.paxos_promise.accepted == BALLOT(4, 2));
    steps_free(r);
    steps_free(s);
}

/* A node whose disk was wiped has forgotten what it promised: it answers no ballot, takes no proposal, and tells so. */
static void test_paxos_a_wiped_node_only_learns(void **unused) {
    (void)unused;
    struct steps *s = steps_new("paxos", 1, 3, NULL, 0);
    struct protocol_status status;
    steps_start(s, QRT_START_WIPED);
    struct steps *again = steps_recovered(s, 3); /* its mark is durable: the next start finds it */
    prepare(again, 2, 1, BALLOT(1, 2));
    assert_int_equal(steps_count(again, FX_SEND), 0);
    steps_propose(again, 9, "a");
    assert_int_equal(steps_count(again, FX_REPLY), 1);
    again->protocol->status(again->state, &status);
    assert_int_equal(status.role, QRT_ROLE_RECOVERING);
    steps_free(again);
    steps_free(s);
}

/* P2c: of what a quorum has accepted, the value of the highest ballot is proposed again, not one's own. */
static void test_paxos_a_proposer_adopts_the_highest_ballot(void **unused) {
    (void)unused;
    struct steps *s = steps_new("paxos", 1, 5, NULL, 0);
    steps_propose(s, 9, "mine");
    assert_true(steps_place(s, FX_PERSIST) < steps_place(s, FX_SEND)); /* the ballot is durable before it is spoken */
    assert_int_equal(steps_count_sent(s, WIRE_PAXOS_PREPARE), 4);
    promise(s, 2, BALLOT(1, 1), 0, "");
    promise(s, 2, BALLOT(1, 1), 0, ""); /* twice from one acceptor is once */
    assert_int_equal(steps_count(s, FX_SEND), 0);
    steps_free(s);
    s = steps_new("paxos", 3, 5, NULL, 0);
    steps_propose(s, 9, "mine");
    struct message refuse = {.kind = WIRE_PAXOS_REFUSE};
    refuse.as.paxos_refuse.instance = 1;
    refuse.as.paxos_refuse.ballot = BALLOT(1, 3);
    refuse.as.paxos_refuse.promised = BALLOT(6, 5);
    steps_message(s, 2, &refuse);
    steps_timer(s, PAXOS_TIMER_BALLOT);
    assert_true(steps_sent(s, WIRE_PAXOS_PREPARE, 0).as.paxos_prepare.ballot == BALLOT(7, 3));
    promise(s, 1, BALLOT(7, 3), BALLOT(4, 1), "older");
    promise(s, 2, BALLOT(7, 3), BALLOT(6, 5), "newer");
    promise(s, 4, BALLOT(1, 3), 0, ""); /* for the old ballot: it counts for nothing */
    assert_int_equal(steps_count_sent(s, WIRE_PAXOS_ACCEPT), 0);
    promise(s, 5, BALLOT(7, 3), BALLOT(2, 1), "oldest");
    assert_true(bytes_equal(steps_sent(s, WIRE_PAXOS_ACCEPT, 0).as.paxos_accept.value, bytes_text("newer")));
    steps_free(s);
}

/* A quorum of acceptances decides; everybody who waits at the proposer is told, and all others learn. */
static void test_paxos_a_quorum_decides_and_all_are_told(void **unused) {
    (void)unused;
    struct steps *s = steps_new("paxos", 1, 3, NULL, 0);
    steps_propose(s, 8, "a");
    steps_propose(s, 9, "b"); /* joins */
    promise(s, 2, BALLOT(1, 1), 0, "");
    promise(s, 3, BALLOT(1, 1), 0, "");
    assert_int_equal(steps_count_sent(s, WIRE_PAXOS_ACCEPT), 2);
    accepted(s, 2, BALLOT(1, 1));
    accepted(s, 3, BALLOT(1, 1));
    assert_int_equal(steps_count_sent(s, WIRE_PAXOS_LEARN), 2);
    assert_int_equal(steps_count(s, FX_REPLY), 2);
    const struct effect *reply = &s->out.effects[steps_place(s, FX_REPLY)];
    assert_true(reply->index == 1 && reply->term == BALLOT(1, 1));
    assert_true(bytes_equal(outbox_bytes(&s->out, reply), bytes_text("a")));
    assert_int_equal(steps_count_noted(s, QRT_KIND_DECIDE), 1);
    prepare(s, 2, 1, BALLOT(9, 2)); /* whoever comes later is told */
    assert_int_equal(steps_count_sent(s, WIRE_PAXOS_LEARN), 1);
    steps_free(s);
}

/* Bytes from a peer are validated: impossible instances, ballots and sizes are rejected, and change nothing. */
static void test_paxos_rejects_what_no_peer_can_mean(void **unused) {
    (void)unused;
    struct steps *s = steps_new("paxos", 1, 3, "acceptors=2", 0);
    uint64_t before = s->protocol->fingerprint(s->state);
    const uint64_t instances[] = {0, INSTANCES_MAX + 1, UINT64_MAX};
    const uint64_t ballots[] = {0, BALLOT(0, 1), BALLOT(1, 2), BALLOT(1, 9), UINT64_MAX};
    for (size_t i = 0; i < 8; i++) {
        uint64_t instance = i < 3 ? instances[i] : 1, ballot = i < 3 ? BALLOT(1, 1) : ballots[i - 3];
        prepare(s, 2, instance, ballot);
        assert_int_equal(steps_count_noted(s, QRT_KIND_REJECT), 1);
        accept_(s, 2, instance, ballot, "x");
        assert_int_equal(steps_count_noted(s, QRT_KIND_REJECT), 1);
    }
    promise(s, 2, BALLOT(1, 1), BALLOT(2, 1), "accepted in a later ballot");
    assert_int_equal(steps_count_noted(s, QRT_KIND_REJECT), 1);
    prepare(s, 7, 1, BALLOT(1, 1)); /* a stranger */
    assert_int_equal(steps_count_noted(s, QRT_KIND_REJECT), 1);
    assert_true(s->protocol->fingerprint(s->state) == before);
    steps_free(s);
}

static size_t ballot_messages(struct cluster *c) {
    return steps_traced(c, QRT_KIND_SEND, WIRE_PAXOS_PREPARE, WIRE_PAXOS_ACCEPTED);
}

static void propose_one(struct cluster *c, uint16_t node) {
    struct error e = {0};
    uint64_t ticket;
    qrt_result r;
    if (cluster_propose(c, node, bytes_text("value"), &ticket, &e)) fail_msg("%s", e.text);
    assert_int_equal(cluster_await(c, ticket, c->class->now(c->runtime) + SECOND, 0, &r, &e), QRT_OK);
    assert_int_equal(r.status, QRT_OK);
    assert_true(r.size == 5 && !memcmp(r.data, "value", 5));
    c->class->run(c->runtime, c->class->now(c->runtime) + SECOND / 50, &(struct condition){0}, 0);
}

/* A decision takes 4(n-1) messages where the proposer is an acceptor too, 4n where n acceptors stand apart; learning
 * takes one to each other node. */
static void test_paxos_message_counts(void **unused) {
    (void)unused;
    for (unsigned n = 3; n <= 7; n += 2) {
        char options[100];
        snprintf(options, sizeof options, "nodes=%u jitter=0 retry=1s learn_interval=10s", n);
        struct cluster *c = steps_cluster("paxos", options);
        propose_one(c, 1);
        assert_int_equal(ballot_messages(c), 4 * (n - 1));
        assert_int_equal(steps_traced(c, QRT_KIND_SEND, WIRE_PAXOS_LEARN, WIRE_PAXOS_LEARN), n - 1);
        steps_expect_sound(c);
        cluster_free(c);
        snprintf(options, sizeof options, "nodes=%u acceptors=%u jitter=0 retry=1s learn_interval=10s", n + 2, n);
        c = steps_cluster("paxos", options);
        propose_one(c, 2);
        assert_int_equal(ballot_messages(c), 4 * n);
        assert_int_equal(steps_traced(c, QRT_KIND_SEND, WIRE_PAXOS_LEARN, WIRE_PAXOS_LEARN), n + 1);
        steps_expect_sound(c);
        cluster_free(c);
    }
}

/* A thrifty proposer asks a bare quorum: with itself, floor(n/2) others, twice, and each answers. */
static void test_paxos_a_thrifty_proposer_asks_a_quorum(void **unused) {
    (void)unused;
    struct cluster *c = steps_cluster("paxos", "nodes=5 thrifty=true retry=1s learn_interval=10s");
    propose_one(c, 1);
    assert_int_equal(ballot_messages(c), 4 * 2);
    steps_expect_sound(c);
    cluster_free(c);
}

/* Flexible quorums (Howard and others 2016): with four promises, two acceptances of five decide. */
static void test_paxos_flexible_quorums(void **unused) {
    (void)unused;
    struct steps *s = steps_new("paxos", 1, 5, NULL, 0);
    struct paxos *p = s->state;
    assert_int_equal(quorum_rule_parse("flexible:4,2", 5, &p->quorum, &(struct error){0}), QRT_OK);
    steps_propose(s, 9, "a");
    promise(s, 2, BALLOT(1, 1), 0, "");
    promise(s, 3, BALLOT(1, 1), 0, "");
    promise(s, 4, BALLOT(1, 1), 0, "");
    assert_int_equal(steps_count_sent(s, WIRE_PAXOS_ACCEPT), 0); /* its own is not durable yet */
    promise(s, 5, BALLOT(1, 1), 0, "");
    assert_int_equal(steps_count_sent(s, WIRE_PAXOS_ACCEPT), 4);
    accepted(s, 4, BALLOT(1, 1));
    assert_int_equal(steps_count_noted(s, QRT_KIND_DECIDE), 0);
    accepted(s, 3, BALLOT(1, 1));
    assert_int_equal(steps_count_noted(s, QRT_KIND_DECIDE), 1);
    steps_free(s);
}

/* Rivals at every node: in each instance all of them are told the same value, which one of them proposed. */
static void rivals_agree(const char *options, uint16_t first, uint16_t last) {
    struct cluster *c = steps_cluster("paxos", options);
    struct error e = {0};
    for (int round = 0; round < 20; round++) {
        uint64_t tickets[8];
        char chosen[16] = "";
        uint64_t instance = 0;
        for (uint16_t node = first; node <= last; node++) {
            char value[16];
            snprintf(value, sizeof value, "%d by n%u", round, node);
            assert_int_equal(cluster_propose(c, node, bytes_text(value), &tickets[node], &e), QRT_OK);
        }
        for (uint16_t node = first; node <= last; node++) {
            qrt_result r;
            cluster_await(c, tickets[node], c->class->now(c->runtime) + 5 * SECOND, 0, &r, &e);
            if (r.status) fail_msg("%s", e.text);
            if (!instance) snprintf(chosen, sizeof chosen, "%.*s", (int)r.size, (const char *)r.data);
            if (!instance) instance = r.index;
            if (r.index == instance) assert_true(r.size == strlen(chosen) && !memcmp(r.data, chosen, r.size));
        }
    }
    steps_expect_sound(c);
    cluster_free(c);
}

static void test_paxos_rivals_are_told_one_value(void **unused) {
    (void)unused;
    rivals_agree("nodes=5 seed=1", 1, 5);
    rivals_agree("nodes=7 acceptors=3 seed=2", 1, 4);
    rivals_agree("nodes=5 quorum=flexible:4,2 thrifty=true seed=4", 1, 5);
    rivals_agree("nodes=6 quorum=grid:2x3 seed=5", 1, 6);
    rivals_agree("nodes=6 acceptors=3 proposers=2 thrifty=true seed=3", 1, 2);
}

/* Proposing where nobody proposes is refused in the user's terms. */
static void test_paxos_an_acceptor_apart_takes_no_proposals(void **unused) {
    (void)unused;
    struct cluster *c = steps_cluster("paxos", "nodes=5 acceptors=3");
    struct error e = {0};
    uint64_t ticket;
    qrt_result r;
    assert_int_equal(cluster_propose(c, 4, bytes_text("x"), &ticket, &e), QRT_OK);
    assert_int_equal(cluster_await(c, ticket, SECOND, 0, &r, &e), QRT_OK);
    assert_int_equal(r.status, QRT_ENOTLEADER);
    assert_non_null(strstr(e.text, "n4 takes no proposals"));
    assert_non_null(strstr(e.text, "propose at n1"));
    propose_one(c, 0); /* finds one that does */
    cluster_free(c);
}

/* A clone is equal, and goes its own way. */
static void test_paxos_clones_are_independent(void **unused) {
    (void)unused;
    struct cluster *c = steps_cluster("paxos", "nodes=3 seed=5");
    struct error e = {0};
    uint64_t ticket;
    for (int i = 0; i < 100; i++) propose_one(c, 0);
    assert_int_equal(cluster_propose(c, 1, bytes_text("under way"), &ticket, &e), QRT_OK);
    struct cluster *f = cluster_fork(c, &e);
    assert_true(c->class->fingerprint(c->runtime) == f->class->fingerprint(f->runtime));
    propose_one(f, 2);
    assert_true(c->class->fingerprint(c->runtime) != f->class->fingerprint(f->runtime));
    cluster_free(f);
    propose_one(c, 2);
    steps_expect_sound(c);
    cluster_free(c);
}

static bool caught(const char *bug, uint64_t seed) {
    struct draw_request request = {protocol_find("paxos"), 0, bug, NULL, 10000, false, false};
    struct run_spec spec;
    struct error e = {0};
    spec_draw(&spec, &request, seed);
    struct runner *r = runner_new(&spec, false, &e);
    if (!r) fail_msg("%s", e.text);
    runner_step(r, 0);
    bool seen = false;
    for (size_t i = 0; i < r->result.property_count; i++)
        seen |= !strcmp(r->result.properties[i], "agreement") && (r->result.violated >> i & 1);
    if (!*bug && r->result.verdict != RUN_OK) fail_msg("seed %llu: %s", (unsigned long long)seed, r->result.text);
    runner_free(r, NULL);
    return seen;
}

/* The seeds that are clean without a mistake show each of them as a disagreement, within 1,000. */
static void test_paxos_campaigns_show_the_mistakes(void **unused) {
    (void)unused;
    const struct bug *bugs = protocol_find("paxos")->bugs;
    for (uint64_t seed = 1; seed <= 100; seed++) assert_false(caught("", seed));
    for (size_t i = 0; bugs[i].name; i++) {
        uint64_t seed = 1;
        assert_string_equal(bugs[i].property, "agreement");
        while (seed <= 1000 && !caught(bugs[i].name, seed)) seed++;
        if (seed > 1000) fail_msg("%s: not seen within 1000 seeds", bugs[i].name);
        print_message("%s: seed %llu\n", bugs[i].name, (unsigned long long)seed);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_paxos_an_acceptor_keeps_its_promise),
        cmocka_unit_test(test_paxos_an_acceptor_writes_before_it_speaks),
        cmocka_unit_test(test_paxos_a_recovered_acceptor_remembers),
        cmocka_unit_test(test_paxos_a_wiped_node_only_learns),
        cmocka_unit_test(test_paxos_a_proposer_adopts_the_highest_ballot),
        cmocka_unit_test(test_paxos_a_quorum_decides_and_all_are_told),
        cmocka_unit_test(test_paxos_rejects_what_no_peer_can_mean),
        cmocka_unit_test(test_paxos_message_counts),
        cmocka_unit_test(test_paxos_a_thrifty_proposer_asks_a_quorum),
        cmocka_unit_test(test_paxos_flexible_quorums),
        cmocka_unit_test(test_paxos_rivals_are_told_one_value),
        cmocka_unit_test(test_paxos_an_acceptor_apart_takes_no_proposals),
        cmocka_unit_test(test_paxos_clones_are_independent),
        cmocka_unit_test(test_paxos_campaigns_show_the_mistakes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
