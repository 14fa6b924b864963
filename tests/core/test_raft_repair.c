/* Raft: checkpoints, snapshots in resumable chunks, and members whose disk was wiped. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "support/raft_net.h"

/* A snapshot of the test machine is 316 bytes and a head: four chunks and a bit. */
static const char *const small[] = {"snapshot_threshold", "10", "snapshot_keep", "2", "chunk_size", "80", NULL};

static struct net *cluster(uint16_t count, uint64_t bugs) {
    struct net_setup setup = {.count = count, .seed = 7, .options = small, .bugs = bugs};
    return net_new(&setup);
}

static void finish(struct net *n) {
    assert_string_equal(n->broken, "");
    net_free(n);
}

/* A leader whose log no longer holds what node 3 needs; nothing is under way, and node 3 can be reached
 * again. */
static struct net *lagging(void) {
    struct net *n = cluster(3, 0);
    net_elect(n, 1);
    net_cut(n, 3, true);
    for (int i = 0; i < 30; i++) {
        net_propose(n, 1, "x");
        net_settle(n);
    }
    assert_true(net_raft(n, 1)->log.base > 1);
    net_heal(n);
    return n;
}

/* 5: the log is cut where a checkpoint is durable, but for the tail that slow followers may want. */
static void test_raft_compacts_behind_a_checkpoint(void **state) {
    (void)state;
    struct net *n = lagging();
    struct raft *r = net_raft(n, 1);
    assert_true(r->snapshot != NULL);
    assert_int_equal(r->log.base, r->snapshot->index - 2);
    assert_int_equal(r->log.last, 31);
    net_crash(n, 1, NET_UNSYNCED_LOST);
    net_start(n, 1);
    assert_int_equal(net_raft(n, 1)->log.last, 31);
    assert_int_equal(net_raft(n, 1)->commit, n->nodes[1].checkpoint_index);
    assert_int_equal(net_raft(n, 1)->term, 1);
    assert_int_equal(net_raft(n, 1)->vote, 1); /* though the record of the vote may be gone */
    finish(n);
}

/* 5: a follower too far behind is sent a snapshot, then the entries behind it. */
static void test_raft_sends_a_snapshot_to_a_slow_follower(void **state) {
    (void)state;
    struct net *n = lagging();
    net_timer(n, 1, RAFT_TIMER_HEARTBEAT);
    net_settle(n);
    net_timer(n, 1, RAFT_TIMER_HEARTBEAT);
    net_settle(n);
    assert_int_equal(n->restores, 1);
    assert_int_equal(n->nodes[3].applied, 31);
    finish(n);
}

/* The number of chunks that carry the offset 0, of all that node 1 sends while messages are delivered. */
static int run_transfer(struct net *n, int lose, uint64_t *largest) {
    int from_zero = 0;
    for (int i = 0; i < 400 && n->nodes[3].applied < 31; i++) {
        if (!n->frame_count) net_timer(n, 1, RAFT_TIMER_HEARTBEAT);
        struct message m;
        bool chunk = net_message(n, 0, &m) && m.kind == WIRE_SNAPSHOT_CHUNK && m.as.snapshot_chunk.data.size;
        if (chunk && m.as.snapshot_chunk.offset == 0) from_zero++;
        if (chunk && m.as.snapshot_chunk.offset > *largest) *largest = m.as.snapshot_chunk.offset;
        if (chunk && lose && i % lose == 0)
            net_drop(n, 0);
        else
            net_deliver(n, 0);
    }
    return from_zero;
}

/* A lost chunk is sent again; the transfer goes on where it stood and never begins anew. */
static void test_raft_a_transfer_resumes_at_its_offset(void **state) {
    (void)state;
    struct net *n = lagging();
    uint64_t largest = 0;
    int from_zero = run_transfer(n, 3, &largest);
    assert_int_equal(n->restores, 1);
    assert_true(from_zero <= 2);
    assert_true(largest > 240);
    finish(n);
}

/* A new leader with the same snapshot resumes what the old one began: it asks once, and jumps to the offset.
 * */
static void test_raft_a_transfer_survives_its_leader(void **state) {
    (void)state;
    struct net *n = lagging();
    net_timer(n, 1, RAFT_TIMER_HEARTBEAT);
    while (net_raft(n, 3)->incoming.stream.size < 240) net_deliver(n, 0);
    net_crash(n, 1, NET_UNSYNCED_LOST);
    net_drop_all(n);
    uint64_t before = net_raft(n, 3)->incoming.stream.size;
    assert_true(before >= 240);
    for (int i = 0; i < 5 && net_raft(n, 2)->role != QRT_ROLE_LEADER; i++) {
        net_time_out(n, 2);
        for (int k = 0; k < 2; k++) {
            net_deliver_kind(n, WIRE_VOTE_REQUEST, 0, 0);
            net_deliver_kind(n, WIRE_VOTE_REPLY, 0, 0);
        }
    }
    assert_int_equal(net_raft(n, 3)->incoming.stream.size, before);
    net_settle(n);
    net_timer(n, 2, RAFT_TIMER_HEARTBEAT);
    net_settle(n);
    assert_int_equal(n->restores, 1);
    assert_int_equal(n->nodes[3].applied, 32);
    finish(n);
}

/* A chunk of another snapshot begins anew; one that is not what its checksum says is thrown away at the end.
 * */
static void test_raft_a_different_snapshot_restarts(void **state) {
    (void)state;
    struct net *n = lagging();
    net_timer(n, 1, RAFT_TIMER_HEARTBEAT);
    while (net_raft(n, 3)->incoming.stream.size < 160) net_deliver(n, 0);
    struct message m = {.kind = WIRE_SNAPSHOT_CHUNK};
    m.as.snapshot_chunk = (struct wire_snapshot_chunk){.term = 1, .index = 25, .index_term = 1, .total = 20};
    m.as.snapshot_chunk.data = bytes_text("01234567890123456789");
    net_inject(n, 3, &m, 1);
    assert_int_equal(net_raft(n, 3)->incoming.stream.size, 0);
    assert_int_equal(n->restores, 0);
    uint64_t largest = 0;
    run_transfer(n, 0, &largest);
    assert_int_equal(n->restores, 1);
    assert_int_equal(n->nodes[3].applied, 31);
    finish(n);
}

/* A crash after any number of effects of any step of a transfer leaves a node that comes back and catches up.
 * */
static void test_raft_a_transfer_survives_crashes_anywhere(void **state) {
    (void)state;
    for (int at = 0; at < 40; at++) {
        for (long effects = 0; effects < 6; effects++) {
            struct net *n = lagging();
            net_timer(n, 1, RAFT_TIMER_HEARTBEAT);
            for (int i = 0; i < at && n->frame_count; i++) net_deliver(n, 0);
            n->crash_after = effects;
            if (n->frame_count) net_deliver(n, 0);
            n->crash_after = -1;
            for (uint16_t i = 1; i <= 3; i++) net_start(n, i);
            if (!net_run(n, 2000, net_agreed)) fail_msg("crash at message %d after %ld effects", at, effects);
            finish(n);
        }
    }
}

/* A wiped member neither votes nor stands nor counts until it has caught up; then it does, and its vote of
 * the term that it came back in is spent. */
static void test_raft_a_wiped_member_catches_up_first(void **state) {
    (void)state;
    struct net *n = cluster(3, 0);
    net_elect(n, 1);
    for (int i = 0; i < 5; i++) net_propose(n, 1, "x");
    net_settle(n);
    net_crash(n, 3, NET_WIPED);
    net_start(n, 3);
    struct raft *r = net_raft(n, 3);
    assert_int_equal(r->role, QRT_ROLE_RECOVERING);
    struct message vote = {.kind = WIRE_VOTE_REQUEST};
    vote.as.vote_request = (struct wire_vote_request){.term = 9, .last_index = 99, .last_term = 8};
    net_drop_all(n);
    net_time_out(n, 3);
    assert_int_equal(n->frame_count, 0);
    net_inject(n, 3, &vote, 2);
    struct message answer;
    assert_true(net_message(n, 0, &answer));
    assert_int_equal(answer.as.vote_reply.granted, 0);
    net_drop_all(n);
    assert_true(net_run(n, 1000, net_agreed));
    assert_int_equal(n->caught_up, 1);
    assert_int_equal(r->role, QRT_ROLE_FOLLOWER);
    assert_int_equal(r->vote, 3);
    finish(n);
}

/* Its answers belong to no quorum: with one of three wiped and one down, nothing commits and no read is
 * served. */
static void test_raft_a_recovering_member_does_not_count(void **state) {
    (void)state;
    struct net *n = cluster(3, 0);
    net_elect(n, 1);
    net_settle(n);
    net_crash(n, 2, NET_UNSYNCED_LOST);
    net_crash(n, 3, NET_WIPED);
    net_start(n, 3);
    net_propose(n, 1, "x");
    net_read(n, 1);
    for (int i = 0; i < 4; i++) {
        net_settle(n);
        net_timer(n, 1, RAFT_TIMER_HEARTBEAT);
    }
    net_settle(n);
    assert_true(net_raft(n, 3)->log.last >= 2); /* it stores */
    assert_int_equal(net_raft(n, 1)->commit, 1);
    assert_int_equal(n->reads_served, 0);
    assert_true(net_raft(n, 3)->recovering);
    net_start(n, 2);
    assert_true(net_run(n, 1000, net_agreed));
    finish(n);
}

/* A crash on the way leaves it recovering: the mark is durable. */
static void test_raft_a_recovering_member_stays_so_over_a_crash(void **state) {
    (void)state;
    struct net *n = cluster(3, 0);
    net_elect(n, 1);
    for (int i = 0; i < 30; i++) net_propose(n, 1, "x");
    net_settle(n);
    net_crash(n, 2, NET_UNSYNCED_LOST);
    net_crash(n, 3, NET_WIPED);
    net_start(n, 3);
    for (int i = 0; i < 6; i++) {
        net_settle(n);
        net_timer(n, 1, RAFT_TIMER_HEARTBEAT);
    }
    for (int i = 0; i < 3; i++) {
        net_crash(n, 3, NET_UNSYNCED_LOST);
        net_start(n, 3);
        assert_int_equal(net_raft(n, 3)->role, QRT_ROLE_RECOVERING);
    }
    net_start(n, 2);
    assert_true(net_run(n, 1000, net_agreed));
    assert_true(n->caught_up > 0);
    finish(n);
}

/* An acknowledgement of a lost life may still be on its way when the member comes back. Five nodes; W
 * acknowledges e and is wiped; the answering majority has not seen e. W must not help to elect a leader
 * without e. */
static void test_raft_an_acknowledgement_may_outlive_the_disk(void **state) {
    (void)state;
    struct net *n = cluster(5, 0);
    net_elect(n, 1);
    for (uint16_t i = 3; i <= 5; i++) n->cut[1][i] = true;
    net_propose(n, 1, "e");
    net_deliver_kind(n, WIRE_APPEND_REQUEST, 1, 2);
    assert_int_equal(net_count(n, WIRE_APPEND_REPLY, 2, 1), 1); /* on its way */
    net_crash(n, 2, NET_WIPED);
    net_start(n, 2);
    /* The majority 3, 4, 5 answers, and so may node 1, which leads: its fresh entry stands behind e. */
    net_deliver_kind(n, WIRE_RECOVER_REQUEST, 0, 0);
    net_deliver_kind(n, WIRE_RECOVER_REPLY, 0, 0);
    assert_true(net_raft(n, 2)->recover_target >= 3);
    assert_true(net_raft(n, 2)->recovering);
    net_heal(n);
    assert_true(net_run(n, 1000, net_agreed));
    finish(n);
}

/* The mistake: a wiped member that votes as if it were new elects a leader without what was committed on its
 * word. */
static void test_raft_amnesia_loses_what_was_committed(void **state) {
    (void)state;
    for (int mistaken = 0; mistaken < 2; mistaken++) {
        struct net *n = cluster(3, mistaken ? 1u << RAFT_AMNESIA_VOTES : 0);
        net_elect(n, 1);
        net_settle(n);
        net_cut(n, 3, true);
        net_propose(n, 1, "e");
        net_settle(n);
        assert_int_equal(net_raft(n, 1)->commit, 2);
        net_crash(n, 1, NET_UNSYNCED_LOST);
        net_crash(n, 2, NET_WIPED);
        net_heal(n);
        net_start(n, 2);
        for (int i = 0; i < 4; i++) {
            net_time_out(n, 3);
            net_settle(n);
        }
        assert_int_equal(net_raft(n, 3)->role == QRT_ROLE_LEADER, mistaken);
        assert_string_equal(n->broken, mistaken ? "two histories applied at index 2" : "");
        net_free(n);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_raft_compacts_behind_a_checkpoint),
        cmocka_unit_test(test_raft_sends_a_snapshot_to_a_slow_follower),
        cmocka_unit_test(test_raft_a_transfer_resumes_at_its_offset),
        cmocka_unit_test(test_raft_a_transfer_survives_its_leader),
        cmocka_unit_test(test_raft_a_different_snapshot_restarts),
        cmocka_unit_test(test_raft_a_transfer_survives_crashes_anywhere),
        cmocka_unit_test(test_raft_a_wiped_member_catches_up_first),
        cmocka_unit_test(test_raft_a_recovering_member_does_not_count),
        cmocka_unit_test(test_raft_a_recovering_member_stays_so_over_a_crash),
        cmocka_unit_test(test_raft_an_acknowledgement_may_outlive_the_disk),
        cmocka_unit_test(test_raft_amnesia_loses_what_was_committed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
