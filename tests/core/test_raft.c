/* Raft, rule by rule: the paper's sections 5.1 to 5.4.2, pre-vote, check-quorum, durability, flow control. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "support/raft_net.h"

static const char *const plain_raft[] = {"pre_vote", "false", "check_quorum", "false", NULL};

static struct net *cluster(uint16_t count, const char *const *options, uint64_t bugs) {
    struct net_setup setup = {.count = count, .seed = 7, .options = options, .bugs = bugs};
    return net_new(&setup);
}

static void finish(struct net *n) {
    assert_string_equal(n->broken, "");
    net_free(n);
}

static struct message append_message(uint64_t term, uint64_t previous, uint64_t previous_term, uint64_t commit) {
    struct message m = {.kind = WIRE_APPEND_REQUEST};
    m.as.append_request.term = term;
    m.as.append_request.previous_index = previous;
    m.as.append_request.previous_term = previous_term;
    m.as.append_request.commit = commit;
    return m;
}

/* Puts `count` entries of a term into the message. */
static void put_entries(struct message *m, struct buffer *b, uint64_t term, uint32_t count) {
    for (uint32_t i = 0; i < count; i++) {
        struct entry e = {.term = term, .kind = ENTRY_OPAQUE, .data = bytes_text("x")};
        entry_encode(buffer_extend(b, entry_size(e.data)), &e);
        m->as.append_request.count++;
    }
    m->as.append_request.entries = bytes_of(b->data, b->size);
}

static struct message vote_message(uint64_t term, uint64_t last_index, uint64_t last_term) {
    struct message m = {.kind = WIRE_VOTE_REQUEST};
    m.as.vote_request.term = term;
    m.as.vote_request.last_index = last_index;
    m.as.vote_request.last_term = last_term;
    return m;
}

/* The newest message that a node has sent. */
static struct message newest(struct net *n) {
    struct message m = {0};
    assert_true(n->frame_count > 0);
    assert_true(net_message(n, n->frame_count - 1, &m));
    return m;
}

/* Only votes are delivered: the new leader's first appends stay under way. */
static void win_election(struct net *n, uint16_t node) {
    for (int tries = 0; tries < 5 && net_raft(n, node)->role != QRT_ROLE_LEADER; tries++) {
        net_time_out(n, node);
        for (int i = 0; i < 2; i++) { /* the pre-vote, then the vote */
            net_deliver_kind(n, WIRE_VOTE_REQUEST, 0, 0);
            net_deliver_kind(n, WIRE_VOTE_REPLY, 0, 0);
        }
    }
    assert_int_equal(net_raft(n, node)->role, QRT_ROLE_LEADER);
}

/* 5.2: a follower that hears nothing for its timeout becomes leader with a majority's votes, and all learn of
 * it. */
static void test_raft_elects_a_leader(void **state) {
    (void)state;
    struct net *n = cluster(5, NULL, 0);
    net_elect(n, 3);
    for (uint16_t i = 1; i <= 5; i++) {
        assert_int_equal(net_raft(n, i)->leader, 3);
        assert_int_equal(net_raft(n, i)->term, 1);
    }
    finish(n);
}

/* A cluster of one is its own majority, once its vote is durable. */
static void test_raft_leads_alone(void **state) {
    (void)state;
    struct net_setup setup = {.count = 1, .seed = 1, .delayed = true};
    struct net *n = net_new(&setup);
    net_time_out(n, 1);
    assert_int_equal(net_raft(n, 1)->role, QRT_ROLE_CANDIDATE);
    net_flush(n, 1);
    assert_int_equal(net_raft(n, 1)->role, QRT_ROLE_LEADER);
    net_propose(n, 1, "x");
    assert_int_equal(n->applied_max, 0);
    net_flush(n, 1);
    assert_int_equal(n->applied_max, 2);
    net_read(n, 1);
    assert_int_equal(n->reads_served, 1);
    finish(n);
}

/* 5.1: a message of an older term is refused, and the answer names the newer one. */
static void test_raft_rejects_stale_term(void **state) {
    (void)state;
    struct net *n = cluster(3, plain_raft, 0);
    struct message newer = append_message(5, 0, 0, 0), older = append_message(4, 0, 0, 0);
    net_inject(n, 1, &newer, 2);
    net_inject(n, 1, &older, 3);
    struct message answer = newest(n);
    assert_int_equal(answer.as.append_reply.success, 0);
    assert_int_equal(answer.as.append_reply.term, 5);
    assert_int_equal(net_raft(n, 1)->leader, 2);
    struct message vote = vote_message(4, 9, 3);
    net_inject(n, 1, &vote, 3);
    assert_int_equal(newest(n).as.vote_reply.granted, 0);
    assert_int_equal(newest(n).as.vote_reply.term, 5);
    finish(n);
}

/* 5.1: a leader or candidate that sees a newer term becomes a follower. */
static void test_raft_steps_down_for_a_newer_term(void **state) {
    (void)state;
    struct net *n = cluster(3, plain_raft, 0);
    net_elect(n, 1);
    struct message m = {.kind = WIRE_APPEND_REPLY};
    m.as.append_reply.term = 9;
    net_inject(n, 1, &m, 2);
    assert_int_equal(net_raft(n, 1)->role, QRT_ROLE_FOLLOWER);
    assert_int_equal(net_raft(n, 1)->term, 9);
    finish(n);
}

/* 5.2: one vote a term, first come, first served; the same candidate may ask again; a restart does not
 * forget. */
static void test_raft_votes_once_a_term(void **state) {
    (void)state;
    struct net *n = cluster(3, plain_raft, 0);
    struct message vote = vote_message(2, 0, 0);
    net_inject(n, 1, &vote, 2);
    assert_int_equal(newest(n).as.vote_reply.granted, 1);
    net_inject(n, 1, &vote, 3);
    assert_int_equal(newest(n).as.vote_reply.granted, 0);
    net_crash(n, 1, NET_UNSYNCED_LOST);
    net_start(n, 1);
    net_inject(n, 1, &vote, 3);
    assert_int_equal(newest(n).as.vote_reply.granted, 0);
    net_inject(n, 1, &vote, 2);
    assert_int_equal(newest(n).as.vote_reply.granted, 1);
    finish(n);
}

/* 5.4.1: no vote for a candidate whose log is behind: by the last term first, then by the length. */
static void test_raft_votes_only_for_a_log_as_far_as_its_own(void **state) {
    (void)state;
    struct net *n = cluster(3, plain_raft, 0);
    struct message m = append_message(3, 0, 0, 0);
    struct buffer b = {0};
    put_entries(&m, &b, 3, 2);
    net_inject(n, 1, &m, 2);
    static const struct {
        uint64_t index, term;
        bool granted;
    } cases[] = {{9, 2, false}, {1, 3, false}, {2, 3, true}, {1, 4, true}};
    for (uint64_t i = 0; i < 4; i++) {
        struct message vote = vote_message(10 + i, cases[i].index, cases[i].term);
        net_inject(n, 1, &vote, 3);
        assert_int_equal(newest(n).as.vote_reply.granted, cases[i].granted);
    }
    buffer_free(&b);
    finish(n);
}

/* 5.3: entries are taken only behind an entry that agrees; the refusal says where to try next. */
static void test_raft_append_needs_an_agreeing_predecessor(void **state) {
    (void)state;
    struct net *n = cluster(3, plain_raft, 0);
    struct message gap = append_message(2, 5, 2, 0);
    net_inject(n, 1, &gap, 2);
    assert_int_equal(newest(n).as.append_reply.success, 0);
    assert_int_equal(newest(n).as.append_reply.refused, 5);
    assert_int_equal(newest(n).as.append_reply.match, 0);
    struct buffer b = {0};
    struct message m = append_message(2, 0, 0, 0);
    put_entries(&m, &b, 1, 3);
    net_inject(n, 1, &m, 2);
    assert_int_equal(newest(n).as.append_reply.match, 3);
    struct message other = append_message(3, 3, 2, 0);
    net_inject(n, 1, &other, 3);
    assert_int_equal(newest(n).as.append_reply.success, 0);
    assert_int_equal(newest(n).as.append_reply.match, 2);
    assert_int_equal(newest(n).as.append_reply.conflict_term, 1);
    assert_int_equal(net_raft(n, 1)->log.last, 3);
    buffer_free(&b);
    finish(n);
}

/* 5.3 and figure 3.1: what conflicts goes, with all behind it; what merely stands behind an old request
 * stays. */
static void test_raft_truncates_conflicts_only(void **state) {
    (void)state;
    for (int mistaken = 0; mistaken < 2; mistaken++) {
        struct net *n = cluster(3, plain_raft, mistaken ? 1u << RAFT_LATE_HEARTBEAT_TRUNCATES : 0);
        struct buffer b = {0}, c = {0};
        struct message m = append_message(2, 0, 0, 0), late = append_message(2, 1, 2, 0);
        put_entries(&m, &b, 2, 5);
        net_inject(n, 1, &m, 2);
        net_inject(n, 1, &late, 2);
        assert_int_equal(net_raft(n, 1)->log.last, mistaken ? 1 : 5);
        net_inject(n, 1, &m, 2);
        assert_int_equal(net_raft(n, 1)->log.last, 5);
        struct message conflict = append_message(3, 2, 2, 0);
        put_entries(&conflict, &c, 3, 1);
        net_inject(n, 1, &conflict, 3);
        assert_int_equal(net_raft(n, 1)->log.last, 3);
        assert_int_equal(net_raft(n, 1)->log.last_term, 3);
        net_crash(n, 1, NET_UNSYNCED_LOST);
        net_start(n, 1);
        assert_int_equal(net_raft(n, 1)->log.last, 3);
        assert_int_equal(net_raft(n, 1)->log.last_term, 3);
        buffer_free(&b);
        buffer_free(&c);
        net_free(n);
    }
}

/* Figure 3.1, AppendEntries 5: a follower commits no further than the last entry that the request vouches
 * for. */
static void test_raft_commit_is_capped_at_the_last_new_entry(void **state) {
    (void)state;
    for (int mistaken = 0; mistaken < 2; mistaken++) {
        struct net *n = cluster(3, plain_raft, mistaken ? 1u << RAFT_FOLLOWER_COMMIT_UNCAPPED : 0);
        struct buffer b = {0};
        struct message m = append_message(2, 0, 0, 0), heartbeat = append_message(3, 1, 2, 9);
        put_entries(&m, &b, 2, 4);
        net_inject(n, 1, &m, 2);
        net_inject(n, 1, &heartbeat, 3);
        assert_int_equal(net_raft(n, 1)->commit, mistaken ? 4 : 1);
        buffer_free(&b);
        net_free(n);
    }
}

/* Figure 8. S1 leads term 1 and replicates index 2 to S2 only; S5 leads term 2 and writes another index 2; S1
 * leads again and replicates its index 2 to a majority, but nothing of its own term; S5 leads again. Returns
 * what broke. */
static void figure_8(struct net *n, uint64_t *committed) {
    net_elect(n, 1);
    for (uint16_t i = 3; i <= 5; i++) net_cut(n, i, true);
    net_propose(n, 1, "a");
    net_settle(n);
    net_crash(n, 1, NET_UNSYNCED_LOST);
    net_heal(n);
    net_cut(n, 2, true);
    win_election(n, 5);
    net_crash(n, 5, NET_UNSYNCED_LOST);
    net_drop_all(n);
    net_heal(n);
    net_start(n, 1);
    win_election(n, 1);
    net_deliver_kind(n, WIRE_APPEND_REQUEST, 1, 3); /* refused */
    net_deliver_kind(n, WIRE_APPEND_REPLY, 3, 1);   /* sends index 2 alone */
    net_deliver_kind(n, WIRE_APPEND_REQUEST, 1, 3);
    for (size_t i = n->frame_count; i-- > 0;)
        if (n->frames[i].to == 2) net_drop(n, i); /* index 3 never reaches S2 */
    net_timer(n, 1, RAFT_TIMER_HEARTBEAT);
    net_deliver_kind(n, WIRE_APPEND_REQUEST, 1, 2); /* S2 confirms index 2 */
    net_deliver_kind(n, WIRE_APPEND_REPLY, 2, 1);
    net_deliver_kind(n, WIRE_APPEND_REPLY, 3, 1);
    *committed = net_raft(n, 1)->commit;
    net_crash(n, 1, NET_UNSYNCED_LOST);
    net_drop_all(n);
    net_start(n, 5);
    net_elect(n, 5);
    net_timer(n, 5, RAFT_TIMER_HEARTBEAT);
    net_settle(n);
}

/* 5.4.2: an entry of an older term is not committed by counting; with the mistake, figure 8 comes true. */
static void test_raft_figure_8(void **state) {
    (void)state;
    static const char *const options[] = {"pre_vote", "false", "check_quorum", "false", "max_append_bytes", "1", NULL};
    uint64_t committed;
    struct net *n = cluster(5, options, 0);
    figure_8(n, &committed);
    assert_int_equal(committed, 0); /* its commit index died with it, and nothing of its own term is committed */
    finish(n);
    n = cluster(5, options, 1u << RAFT_COMMIT_OLDER_TERM);
    figure_8(n, &committed);
    assert_int_equal(committed, 2);
    assert_string_equal(n->broken, "two histories applied at index 2");
    net_free(n);
}

/* 9.6: a member that was cut off does not come back with a raised term, and deposes nobody. */
static void test_raft_pre_vote_keeps_a_cut_off_member_quiet(void **state) {
    (void)state;
    struct net *n = cluster(3, NULL, 0);
    net_elect(n, 1);
    net_cut(n, 3, true);
    for (int i = 0; i < 10; i++) net_time_out(n, 3);
    assert_int_equal(net_raft(n, 3)->role, QRT_ROLE_PRE_CANDIDATE);
    assert_int_equal(net_raft(n, 3)->term, 1);
    net_drop_all(n);
    net_heal(n);
    net_timer(n, 1, RAFT_TIMER_HEARTBEAT);
    net_settle(n);
    assert_int_equal(net_raft(n, 1)->role, QRT_ROLE_LEADER);
    assert_int_equal(net_raft(n, 3)->role, QRT_ROLE_FOLLOWER);
    finish(n);
}

/* 9.6: a pre-vote checks the log, and changes nothing at whoever is asked. */
static void test_raft_pre_vote_checks_the_log(void **state) {
    (void)state;
    struct net *n = cluster(3, NULL, 0);
    net_elect(n, 1);
    net_cut(n, 3, true);
    net_propose(n, 1, "x");
    net_settle(n);
    net_heal(n);
    net_crash(n, 1, NET_UNSYNCED_LOST);
    net_time_out(n, 3);
    net_settle(n);
    assert_int_not_equal(net_raft(n, 3)->role, QRT_ROLE_LEADER);
    assert_int_equal(net_raft(n, 3)->term, 1);
    assert_int_equal(net_raft(n, 2)->term, 1);
    net_elect(n, 2);
    finish(n);
}

/* 6.2: a leader that hears no majority for an election timeout steps down, in its term, and fails what waits.
 * */
static void test_raft_check_quorum_deposes_a_cut_off_leader(void **state) {
    (void)state;
    struct net *n = cluster(3, NULL, 0);
    net_elect(n, 1);
    net_cut(n, 1, true);
    net_read(n, 1);
    net_timer(n, 1, RAFT_TIMER_QUORUM);
    assert_int_equal(net_raft(n, 1)->role, QRT_ROLE_LEADER); /* it heard them in this period */
    net_timer(n, 1, RAFT_TIMER_QUORUM);
    assert_int_equal(net_raft(n, 1)->role, QRT_ROLE_FOLLOWER);
    assert_int_equal(net_raft(n, 1)->term, 1);
    assert_int_equal(net_raft(n, 1)->vote, 1);
    assert_int_equal(n->replies[-QRT_ENOTLEADER], 1);
    finish(n);
}

/* 4.2.3: whoever has just heard a leader ignores a candidate, whatever its term. */
static void test_raft_a_live_leader_is_sticky(void **state) {
    (void)state;
    struct net *n = cluster(3, NULL, 0);
    net_elect(n, 1);
    struct message vote = vote_message(9, 99, 8);
    net_inject(n, 2, &vote, 3);
    net_inject(n, 1, &vote, 3);
    assert_int_equal(n->frame_count, 0);
    assert_int_equal(net_raft(n, 2)->term, 1);
    n->clock += n->options.election_timeout;
    net_inject(n, 2, &vote, 3);
    assert_int_equal(newest(n).as.vote_reply.granted, 1);
    finish(n);
}

/* 5.1 and the durability contract: a vote leaves when it is durable, and a crash before that leaves no trace.
 * */
static void test_raft_a_vote_waits_for_the_disk(void **state) {
    (void)state;
    for (int mistaken = 0; mistaken < 2; mistaken++) {
        struct net_setup setup = {.count = 3, .seed = 7, .options = plain_raft, .delayed = true};
        setup.bugs = mistaken ? 1u << RAFT_VOTE_BEFORE_SYNC : 0;
        struct net *n = net_new(&setup);
        struct message vote = vote_message(2, 0, 0);
        net_inject(n, 1, &vote, 2);
        assert_int_equal(n->frame_count, mistaken);
        assert_int_equal(n->votes_sent, mistaken);
        net_crash(n, 1, NET_UNSYNCED_LOST);
        net_start(n, 1);
        assert_int_equal(net_raft(n, 1)->vote, 0);
        net_inject(n, 1, &vote, 3);
        net_flush(n, 1);
        assert_int_equal(n->votes_sent, mistaken + 1);
        net_free(n);
    }
}

/* 10.2.1: appends go out in parallel with the leader's disk; the leader counts itself when its entry is
 * durable. */
static void test_raft_the_leader_counts_itself_when_stored(void **state) {
    (void)state;
    struct net_setup setup = {.count = 3, .seed = 7, .delayed = true};
    struct net *n = net_new(&setup);
    assert_true(net_run(n, 200, net_has_leader));
    uint16_t leader = net_leader(n), follower = leader == 1 ? 2 : 1, other = (uint16_t)(6 - leader - follower);
    net_crash(n, other, NET_KEPT);
    uint64_t before = net_raft(n, leader)->commit;
    net_propose(n, leader, "x");
    assert_true(net_count(n, WIRE_APPEND_REQUEST, leader, follower) > 0);
    net_settle(n);
    net_flush(n, follower);
    net_settle(n);
    assert_int_equal(net_raft(n, leader)->commit, before);
    net_flush(n, leader);
    assert_int_equal(net_raft(n, leader)->commit, before + 1);
    finish(n);
}

/* Batching: what is proposed while the window is full leaves in one message when it opens. */
static void test_raft_batches_while_the_window_is_full(void **state) {
    (void)state;
    static const char *const options[] = {"max_in_flight", "2", NULL};
    struct net *n = cluster(3, options, 0);
    net_elect(n, 1);
    for (int i = 0; i < 10; i++) net_propose(n, 1, "x");
    assert_int_equal(net_count(n, WIRE_APPEND_REQUEST, 1, 2), 2);
    net_deliver(n, 0);
    net_deliver_kind(n, WIRE_APPEND_REPLY, 2, 1);
    struct message m = newest(n);
    assert_int_equal(m.kind, WIRE_APPEND_REQUEST);
    assert_int_equal(m.as.append_request.count, 8);
    net_settle(n);
    assert_true(net_agreed(n) || net_raft(n, 1)->commit == 11);
    finish(n);
}

/* The window is bounded in bytes too. */
static void test_raft_window_is_bounded_in_bytes(void **state) {
    (void)state;
    static const char *const options[] = {"max_in_flight_bytes", "100", NULL};
    struct net *n = cluster(3, options, 0);
    net_elect(n, 1);
    for (int i = 0; i < 10; i++) net_propose(n, 1, "12345678901234567890"); /* 49 bytes each */
    assert_int_equal(net_count(n, WIRE_APPEND_REQUEST, 1, 2), 3);
    net_settle(n);
    assert_int_equal(net_raft(n, 1)->commit, 11);
    finish(n);
}

/* 5.3: a lost message is found out by what follows it, and sent again. */
static void test_raft_heartbeat_finds_what_was_lost(void **state) {
    (void)state;
    struct net *n = cluster(3, NULL, 0);
    net_elect(n, 1);
    for (int i = 0; i < 100; i++) net_propose(n, 1, "x"); /* more than the window holds */
    net_drop_all(n);
    net_timer(n, 1, RAFT_TIMER_HEARTBEAT);
    net_settle(n);
    assert_int_equal(net_raft(n, 1)->commit, 101);
    finish(n);
}

/* A proposal ends in words: not the leader (and who is), full, too large, or unknown when its entry was
 * replaced. */
static void test_raft_answers_proposals_that_do_not_commit(void **state) {
    (void)state;
    static const char *const options[] = {"max_pending", "3", NULL};
    struct net *n = cluster(3, options, 0);
    net_elect(n, 1);
    net_propose(n, 2, "x");
    assert_int_equal((int64_t)n->last_reply.b, QRT_ENOTLEADER);
    assert_int_equal(n->last_reply.peer, 1);
    net_cut(n, 1, true);
    for (int i = 0; i < 5; i++) net_propose(n, 1, "lost");
    assert_int_equal(n->replies[-QRT_EFULL], 2);
    net_elect(n, 2);
    net_heal(n);
    net_timer(n, 2, RAFT_TIMER_HEARTBEAT);
    net_settle(n);
    assert_int_equal(n->replies[-QRT_EUNKNOWN], 3);
    assert_int_equal(net_raft(n, 1)->role, QRT_ROLE_FOLLOWER);
    finish(n);
}

/* 6.4: a read waits for a round that began after it came; rounds that it did not see do not count. */
static void test_raft_read_waits_for_its_round(void **state) {
    (void)state;
    struct net *n = cluster(3, NULL, 0);
    net_elect(n, 1);
    net_read(n, 2);
    assert_int_equal(n->replies[-QRT_ENOTLEADER], 1);
    net_read(n, 1);
    net_deliver_kind(n, WIRE_APPEND_REQUEST, 0, 0); /* the answers to its round are under way */
    net_read(n, 1);
    assert_int_equal(n->reads_served, 0);
    net_deliver_kind(n, WIRE_APPEND_REPLY, 0, 0);
    assert_int_equal(n->reads_served, 1); /* the second needs a round of its own */
    net_settle(n);
    assert_int_equal(n->reads_served, 2);
    finish(n);
}

/* 6.4: a new leader does not know what is committed before an entry of its own term is. */
static void test_raft_read_waits_for_the_first_commit_of_the_term(void **state) {
    (void)state;
    struct net *n = cluster(3, NULL, 0);
    net_elect(n, 1);
    net_propose(n, 1, "x");
    net_deliver_kind(n, WIRE_APPEND_REQUEST, 0, 0);
    net_deliver_kind(n, WIRE_APPEND_REPLY, 0, 0); /* committed at 1, not known at 2 and 3 */
    net_crash(n, 1, NET_UNSYNCED_LOST);
    win_election(n, 2);
    assert_int_equal(net_raft(n, 2)->commit, 1);
    net_read(n, 2);
    assert_int_equal(n->reads_served, 0);
    net_settle(n);
    assert_int_equal(n->reads_served, 1);
    finish(n);
}

/* A restart finds term, vote and log as they were. */
static void test_raft_restart_brings_the_log_back(void **state) {
    (void)state;
    struct net *n = cluster(3, NULL, 0);
    net_elect(n, 1);
    for (int i = 0; i < 20; i++) net_propose(n, 1, "x");
    net_settle(n);
    uint64_t hash = net_raft(n, 2)->log.last_hash;
    net_crash(n, 2, NET_UNSYNCED_LOST);
    net_start(n, 2);
    assert_int_equal(net_raft(n, 2)->log.last, 21);
    assert_int_equal(net_raft(n, 2)->term, 1);
    assert_int_equal(net_raft(n, 2)->vote, 1);
    assert_true(net_raft(n, 2)->log.last_hash == hash);
    finish(n);
}

/* A clone has its original's fingerprint, goes the same way on the same events, and its own way otherwise. */
static void test_raft_clone_and_fingerprint(void **state) {
    (void)state;
    const struct protocol *raft = protocol_find("raft");
    struct net *n = cluster(3, NULL, 0);
    net_elect(n, 1);
    for (int i = 0; i < 300; i++) net_propose(n, 1, "x");
    net_read(n, 1);
    for (uint16_t i = 1; i <= 3; i++) {
        void *copy = raft->clone(n->nodes[i].state);
        uint64_t before = raft->fingerprint(copy);
        assert_true(before == raft->fingerprint(n->nodes[i].state));
        struct event e = {.kind = EVENT_PROPOSE, .mono = n->clock};
        e.as.propose.kind = ENTRY_OPAQUE;
        e.as.propose.data = bytes_text("y");
        struct outbox a = {.node = i}, b = {.node = i};
        raft->step(n->nodes[i].state, &e, &a);
        raft->step(copy, &e, &b);
        assert_int_equal(a.count, b.count);
        assert_int_equal(a.arena.size, b.arena.size);
        if (a.arena.size) assert_memory_equal(a.arena.data, b.arena.data, a.arena.size);
        assert_true(raft->fingerprint(copy) == raft->fingerprint(n->nodes[i].state));
        if (i == 1) assert_true(raft->fingerprint(copy) != before);
        raft->destroy(copy);
        outbox_free(&a);
        outbox_free(&b);
    }
    finish(n);
}

/* Bytes from peers never crash: messages with any numbers in them, from members and strangers, with the
 * checksum right. (Safety is not asked for: whoever seals such a message lies.) */
static void test_raft_stands_any_message(void **state) {
    (void)state;
    static const uint8_t kinds[] = {1, 10, 11, 12, 13, 14, 15, 16, 17, 99};
    static const uint64_t odd[] = {0, 1, 2, 3, 5, 20, 21, 22, 255, UINT64_C(1) << 55, UINT64_MAX};
    for (uint64_t seed = 1; seed <= 300; seed++) {
        struct net *n = cluster(3, NULL, 1u << RAFT_EVEN_QUORUM); /* a mistake without effect here: no invariants */
        struct random *r = &n->random;
        net_elect(n, 1);
        net_propose(n, 1, "x");
        for (int i = 0; i < 200 && n->nodes[1].up; i++) {
            struct message m = {.kind = kinds[random_below(r, sizeof kinds)]};
            uint64_t *fields = (uint64_t *)(void *)&m.as;
            for (size_t k = 0; k < 7; k++) fields[k] = odd[random_below(r, random_below(r, 2) ? 7 : 11)];
            struct buffer b = {0};
            if (m.kind == WIRE_APPEND_REQUEST) {
                m.as.append_request.entries = (struct bytes){0};
                m.as.append_request.count = 0;
                put_entries(&m, &b, random_below(r, 4), (uint32_t)random_below(r, 4));
                if (random_below(r, 4) == 0) m.as.append_request.count++;
            }
            if (m.kind == WIRE_SNAPSHOT_CHUNK) m.as.snapshot_chunk.data = bytes_text("0123456789012345");
            net_inject(n, (uint16_t)(1 + random_below(r, 3)), &m, (uint16_t)(1 + random_below(r, 4)));
            buffer_free(&b);
            if (random_below(r, 20) == 0) net_fire_next(n);
            net_drop_all(n);
        }
        net_free(n);
    }
}

/* Records from a disk are validated like everything else; a node that finds damage does not vote until told.
 * */
static void test_raft_stands_any_record(void **state) {
    (void)state;
    const struct protocol *raft = protocol_find("raft");
    struct raft_options options;
    net_options(&options, NULL);
    static const uint16_t members[] = {1, 2, 3};
    struct protocol_config config = {.node = 1, .members = members, .member_count = 3, .options = &options};
    for (uint64_t seed = 1; seed <= 2000; seed++) {
        struct random r = random_stream(seed, 0, RANDOM_BENCH);
        void *node = raft->create(&config);
        struct outbox out = {.node = 1};
        uint8_t bytes[64];
        for (size_t i = 0; i < sizeof bytes; i++) bytes[i] = random_below(&r, 3) ? 0 : (uint8_t)random_u64(&r);
        struct event e = {.kind = EVENT_RECORD};
        e.as.record.data = bytes_of(bytes, random_below(&r, sizeof bytes));
        raft->step(node, &e, &out);
        struct event start = {.kind = EVENT_START};
        start.as.start.how = QRT_START_RECOVERED;
        raft->step(node, &start, &out);
        struct error error = {0};
        if (!raft->invariants(node, &error)) fail_msg("seed %llu: %s", (unsigned long long)seed, error.text);
        raft->destroy(node);
        outbox_free(&out);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_raft_elects_a_leader),
        cmocka_unit_test(test_raft_leads_alone),
        cmocka_unit_test(test_raft_rejects_stale_term),
        cmocka_unit_test(test_raft_steps_down_for_a_newer_term),
        cmocka_unit_test(test_raft_votes_once_a_term),
        cmocka_unit_test(test_raft_votes_only_for_a_log_as_far_as_its_own),
        cmocka_unit_test(test_raft_append_needs_an_agreeing_predecessor),
        cmocka_unit_test(test_raft_truncates_conflicts_only),
        cmocka_unit_test(test_raft_commit_is_capped_at_the_last_new_entry),
        cmocka_unit_test(test_raft_figure_8),
        cmocka_unit_test(test_raft_pre_vote_keeps_a_cut_off_member_quiet),
        cmocka_unit_test(test_raft_pre_vote_checks_the_log),
        cmocka_unit_test(test_raft_check_quorum_deposes_a_cut_off_leader),
        cmocka_unit_test(test_raft_a_live_leader_is_sticky),
        cmocka_unit_test(test_raft_a_vote_waits_for_the_disk),
        cmocka_unit_test(test_raft_the_leader_counts_itself_when_stored),
        cmocka_unit_test(test_raft_batches_while_the_window_is_full),
        cmocka_unit_test(test_raft_window_is_bounded_in_bytes),
        cmocka_unit_test(test_raft_heartbeat_finds_what_was_lost),
        cmocka_unit_test(test_raft_answers_proposals_that_do_not_commit),
        cmocka_unit_test(test_raft_read_waits_for_its_round),
        cmocka_unit_test(test_raft_read_waits_for_the_first_commit_of_the_term),
        cmocka_unit_test(test_raft_restart_brings_the_log_back),
        cmocka_unit_test(test_raft_clone_and_fingerprint),
        cmocka_unit_test(test_raft_stands_any_message),
        cmocka_unit_test(test_raft_stands_any_record),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
