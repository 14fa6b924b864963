/* The checkers against the shortest sequences of events that break a property, each beside the nearest
 * sequence that is legal. A log is written as a string, one letter an entry: 'a' is an entry of term 1, 'b'
 * of term 2, ...; a capital is another entry of the same term. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/hash.h"
#include "check/check.h"

struct run {
    struct checkers *checkers;
    struct trace_sink sink;
    uint64_t number;
    int64_t time;
};

static const uint16_t members[] = {1, 2, 3};

static struct run run_new(void) {
    struct check_config config = {.members = members, .member_count = 3, .judged_by = "raft"};
    struct run r = {.checkers = checkers_new(&config)};
    r.sink = checkers_sink(r.checkers);
    return r;
}

static void emit(struct run *r, qrt_event e) {
    e.time = r->time;
    if (r->sink.kinds >> e.kind & 1) r->sink.event(r->sink.context, &e, r->number);
    r->number++;
}

static uint64_t prefix(const char *log) {
    return *log ? hash_bytes(log, strlen(log), 0) : 0;
}
static uint64_t term_of(const char *log) {
    size_t size = strlen(log);
    if (!size) return 0;
    char c = log[size - 1];
    return (uint64_t)(c >= 'a' ? c - 'a' : c - 'A') + 1;
}

static void append_(struct run *r, uint16_t node, const char *log) {
    emit(r,
         (qrt_event){
             .kind = QRT_KIND_APPEND, .node = node, .term = term_of(log), .index = strlen(log), .value = prefix(log)});
}
/* Appends the entries of log behind the first `from`. */
static void append_all(struct run *r, uint16_t node, const char *log, size_t from) {
    char part[64];
    for (size_t i = from + 1; i <= strlen(log); i++) {
        snprintf(part, sizeof part, "%.*s", (int)i, log);
        append_(r, node, part);
    }
}
static void truncate_(struct run *r, uint16_t node, uint64_t from) {
    emit(r, (qrt_event){.kind = QRT_KIND_TRUNCATE, .node = node, .index = from});
}
static void term_(struct run *r, uint16_t node, uint64_t term) {
    emit(r, (qrt_event){.kind = QRT_KIND_TERM, .node = node, .term = term});
}
static void role_(struct run *r, uint16_t node, uint8_t role, uint64_t term) {
    emit(r, (qrt_event){.kind = QRT_KIND_ROLE, .node = node, .detail = role, .term = term});
}
static void lead(struct run *r, uint16_t node, uint64_t term) {
    term_(r, node, term);
    role_(r, node, QRT_ROLE_LEADER, term);
}
static void vote(struct run *r, uint16_t node, uint64_t term, uint16_t peer) {
    emit(r, (qrt_event){.kind = QRT_KIND_VOTE, .node = node, .term = term, .peer = peer});
}
static void ack(struct run *r, uint16_t node, uint64_t term, uint64_t index) {
    emit(r, (qrt_event){.kind = QRT_KIND_ACK, .node = node, .term = term, .index = index, .peer = 1});
}
static void commit(struct run *r, uint16_t node, uint64_t term, const char *log, uint8_t decided) {
    emit(r, (qrt_event){.kind = QRT_KIND_COMMIT,
                        .node = node,
                        .term = term,
                        .index = strlen(log),
                        .value = prefix(log),
                        .detail = decided});
}
static void apply_reply(struct run *r, uint16_t node, const char *log, uint64_t reply) {
    emit(r, (qrt_event){.kind = QRT_KIND_APPLY,
                        .node = node,
                        .term = term_of(log),
                        .index = strlen(log),
                        .value = prefix(log),
                        .link = reply});
}
static void apply_(struct run *r, uint16_t node, const char *log) {
    apply_reply(r, node, log, 7);
}
static void restore_(struct run *r, uint16_t node, const char *log) {
    emit(r,
         (qrt_event){
             .kind = QRT_KIND_RESTORE, .node = node, .term = term_of(log), .index = strlen(log), .value = prefix(log)});
}
static void crash(struct run *r, uint16_t node) {
    emit(r, (qrt_event){.kind = QRT_KIND_CRASH, .node = node, .detail = QRT_DISK_UNSYNCED_LOST});
}
static void start_at(struct run *r, uint16_t node, uint8_t how, uint64_t term, uint16_t voted, const char *log,
                     uint64_t commit_index) {
    emit(r, (qrt_event){.kind = QRT_KIND_START,
                        .node = node,
                        .detail = how,
                        .term = term,
                        .peer = voted,
                        .index = strlen(log),
                        .value = prefix(log),
                        .link = commit_index});
}
static void restart(struct run *r, uint16_t node, uint64_t term, uint16_t voted, const char *log) {
    crash(r, node);
    start_at(r, node, QRT_START_RECOVERED, term, voted, log, 0);
}
static void caught_up(struct run *r, uint16_t node, uint64_t index) {
    emit(r, (qrt_event){.kind = QRT_KIND_CAUGHT_UP, .node = node, .index = index});
}

/* Ends the run: exactly these properties, by name and joined by spaces, are violated. */
static void expect(struct run *r, const char *names) {
    char found[512] = "";
    size_t count;
    const struct property *p = checkers_properties(r->checkers, &count);
    for (size_t i = 0; i < count; i++) {
        assert_int_not_equal(p[i].verdict, VERDICT_UNKNOWN);
        if (p[i].verdict == VERDICT_OK) continue;
        assert_true(strlen(p[i].text) > 10);
        assert_true(p[i].event < r->number);
        snprintf(found + strlen(found), sizeof found - strlen(found), "%s%s", *found ? " " : "", p[i].name);
        print_message("    %s: %s\n", p[i].name, p[i].text);
    }
    assert_string_equal(found, names);
    assert_int_equal(checkers_violated(r->checkers), *names != 0);
    checkers_free(r->checkers);
    r->checkers = NULL;
}

/* Figure 3: at most one leader can be elected in a given term. */
static void test_election_safety(void **state) {
    (void)state;
    struct run r = run_new();
    lead(&r, 1, 7);
    lead(&r, 2, 8);
    lead(&r, 1, 9);
    role_(&r, 1, QRT_ROLE_LEADER, 9); /* told twice: the same leader */
    expect(&r, "");
    r = run_new();
    lead(&r, 3, 7);
    lead(&r, 5, 7);
    expect(&r, "election-safety");
    r = run_new();
    lead(&r, 3, 7);
    lead(&r, 1, 8);
    lead(&r, 5, 7); /* late, and out of order */
    expect(&r, "election-safety");
    r = run_new(); /* the vote for itself was lost, and it asked again */
    lead(&r, 3, 7);
    restart(&r, 3, 6, 0, "");
    lead(&r, 3, 7);
    expect(&r, "election-safety");
}

/* Figure 3: a leader never overwrites or deletes entries in its log; it only appends new entries. */
static void test_leader_append_only(void **state) {
    (void)state;
    struct run r = run_new();
    lead(&r, 1, 1);
    append_all(&r, 1, "aaa", 0);
    term_(&r, 1, 2); /* deposed; its new role may be noted later */
    truncate_(&r, 1, 2);
    append_(&r, 1, "ab");
    expect(&r, "");
    r = run_new();
    lead(&r, 1, 1);
    append_all(&r, 1, "aaa", 0);
    truncate_(&r, 1, 2);
    expect(&r, "leader-append-only");
    r = run_new(); /* overwriting, without saying so */
    append_(&r, 1, "a");
    lead(&r, 1, 2);
    append_(&r, 1, "b");
    expect(&r, "leader-append-only");
}

/* Figure 3: if two logs contain an entry with the same index and term, they are identical up to there. */
static void test_log_matching(void **state) {
    (void)state;
    struct run r = run_new();
    append_all(&r, 1, "aab", 0);
    append_all(&r, 2, "aab", 0);
    append_all(&r, 3, "aac", 0);
    truncate_(&r, 3, 3);
    append_(&r, 3, "aab");
    expect(&r, "");
    r = run_new(); /* another entry of term 2 at index 3 */
    append_all(&r, 1, "aab", 0);
    append_all(&r, 2, "aaB", 0);
    expect(&r, "log-matching");
    r = run_new(); /* the same entry, but something else before it */
    append_all(&r, 1, "aab", 0);
    append_all(&r, 2, "cab", 0);
    expect(&r, "log-matching");
    r = run_new(); /* it claims the entry and its hash, over a log that is not the one hashed */
    append_all(&r, 1, "aab", 0);
    append_all(&r, 2, "cd", 0);
    append_(&r, 2, "aab");
    expect(&r, "log-matching");
}

/* Figure 8 of the paper, up to (d1): committing an entry of an older term by counting replicas lets S5,
 * elected for term 5, overwrite it (the `commit-older-term` mistake). With an entry of term 4 on top, (d2),
 * S5 cannot be elected. */
static void test_leader_completeness(void **state) {
    (void)state;
    for (int legal = 0; legal < 2; legal++) {
        struct run r = run_new();
        for (uint16_t n = 1; n <= 5; n++) append_(&r, n, "a");
        lead(&r, 1, 2);
        append_(&r, 1, "ab");
        append_(&r, 2, "ab");
        crash(&r, 1);
        lead(&r, 5, 3);
        append_(&r, 5, "ac");
        crash(&r, 5);
        start_at(&r, 1, QRT_START_RECOVERED, 2, 1, "ab", 0);
        lead(&r, 1, 4);
        append_(&r, 3, "ab");
        if (!legal) commit(&r, 1, 4, "ab", 1);
        start_at(&r, 5, QRT_START_RECOVERED, 3, 5, "ac", 0);
        lead(&r, 5, 5);
        expect(&r, legal ? "" : "leader-completeness");
    }
}

/* The same the other way round: the old leader commits after the newer one, which lacks the entry, was
 * elected. */
static void test_leader_completeness_of_a_late_commit(void **state) {
    (void)state;
    struct run r = run_new();
    append_(&r, 1, "a");
    append_(&r, 2, "a");
    lead(&r, 1, 1);
    lead(&r, 2, 2);
    append_(&r, 2, "ab");
    commit(&r, 1, 1, "a", 1); /* n2 held it: fine */
    expect(&r, "");
    r = run_new();
    append_(&r, 1, "a");
    lead(&r, 1, 1);
    lead(&r, 2, 2);
    crash(&r, 2);
    commit(&r, 1, 1, "a", 1);
    expect(&r, "leader-completeness");
    r = run_new(); /* a leader elected late to an older term need not hold what a newer term committed */
    append_(&r, 1, "a");
    lead(&r, 1, 3);
    append_(&r, 1, "ac");
    commit(&r, 1, 3, "ac", 1);
    append_(&r, 2, "a");
    lead(&r, 2, 2);
    expect(&r, "");
}

/* Figure 3: if a server has applied an entry at an index, no other applies a different one there. */
static void test_state_machine_safety(void **state) {
    (void)state;
    struct run r = run_new();
    append_all(&r, 4, "aaf", 0);
    append_all(&r, 2, "aae", 0);
    commit(&r, 2, 5, "aae", 1);
    commit(&r, 4, 5, "aa", 0);
    expect(&r, "");
    r = run_new(); /* follower-commit-uncapped */
    append_all(&r, 4, "aaf", 0);
    append_all(&r, 2, "aae", 0);
    commit(&r, 2, 5, "aae", 1);
    commit(&r, 4, 6, "aaf", 0);
    expect(&r, "state-machine-safety");
    r = run_new(); /* the second goes further at once: the entries before decide */
    append_all(&r, 4, "aafff", 0);
    append_all(&r, 2, "aae", 0);
    commit(&r, 2, 5, "aae", 1);
    commit(&r, 4, 6, "aafff", 0);
    expect(&r, "state-machine-safety");
    r = run_new();
    append_all(&r, 2, "ae", 0);
    append_all(&r, 4, "af", 0);
    commit(&r, 2, 5, "ae", 1);
    apply_(&r, 2, "a");
    apply_(&r, 4, "a");
    apply_(&r, 4, "af");
    expect(&r, "state-machine-safety");
}

/* Entries are applied in order, once, from where the machine was; a restored snapshot moves it. */
static void test_apply_in_order(void **state) {
    (void)state;
    struct run r = run_new();
    append_all(&r, 1, "aaaa", 0);
    commit(&r, 1, 1, "aaaa", 1);
    apply_(&r, 1, "a");
    apply_(&r, 1, "aa");
    crash(&r, 1);
    start_at(&r, 1, QRT_START_RECOVERED, 1, 0, "aaaa", 1); /* its checkpoint was at 1 */
    apply_(&r, 1, "aa");
    restore_(&r, 2, "aaa");
    append_(&r, 2, "aaaa");
    commit(&r, 2, 1, "aaaa", 0);
    apply_(&r, 2, "aaaa");
    expect(&r, "");
    r = run_new();
    append_all(&r, 1, "aaa", 0);
    commit(&r, 1, 1, "aaa", 1);
    apply_(&r, 1, "a");
    apply_(&r, 1, "aaa");
    expect(&r, "state-machine-safety");
    r = run_new();
    append_all(&r, 1, "aaa", 0);
    commit(&r, 1, 1, "aaa", 1);
    apply_(&r, 1, "a");
    apply_(&r, 1, "a");
    expect(&r, "state-machine-safety");
}

/* A state machine is deterministic: every node's answers an index alike. */
static void test_replies_agree(void **state) {
    (void)state;
    struct run r = run_new();
    for (uint16_t n = 1; n <= 2; n++) {
        append_(&r, n, "a");
        commit(&r, n, 1, "a", n == 1);
    }
    apply_reply(&r, 1, "a", 7);
    apply_reply(&r, 2, "a", 7);
    restart(&r, 2, 1, 0, "a");
    apply_reply(&r, 2, "a", 7);
    struct run other = r;
    other.checkers = checkers_clone(r.checkers);
    other.sink = checkers_sink(other.checkers);
    restart(&other, 1, 1, 0, "a");
    apply_reply(&other, 1, "a", 8);
    expect(&r, "");
    expect(&other, "state-machine-safety");
}

/* A node never drops what it has committed (late-heartbeat-truncates), nor what its leader's term had
 * committed. */
static void test_committed_never_truncated(void **state) {
    (void)state;
    struct run r = run_new();
    append_all(&r, 1, "aaa", 0);
    commit(&r, 1, 1, "aa", 1);
    append_all(&r, 2, "aaa", 0);
    term_(&r, 2, 2);
    truncate_(&r, 2, 3);
    expect(&r, "");
    r = run_new();
    append_all(&r, 1, "aaa", 0);
    append_all(&r, 2, "aaa", 0);
    commit(&r, 2, 1, "aa", 0);
    truncate_(&r, 2, 2);
    expect(&r, "committed-never-truncated");
    r = run_new(); /* n2 has not heard that it is committed, but follows a leader that holds it */
    term_(&r, 1, 1);
    term_(&r, 2, 1);
    append_all(&r, 1, "aaa", 0);
    append_all(&r, 2, "aaa", 0);
    commit(&r, 1, 1, "aa", 1);
    truncate_(&r, 2, 2);
    expect(&r, "committed-never-truncated");
}

/* Seven nodes: n4 holds 'b' of leader n1; n5 leads term 3 without it; n1 leads term 4 and commits it; only
 * then does n4, still in term 2, hear of n5, whose message was delayed. It truncates a committed entry, and
 * may. */
static void test_a_delayed_leader_may_truncate_a_committed_entry(void **state) {
    (void)state;
    struct run r = run_new();
    lead(&r, 1, 2);
    append_(&r, 1, "b");
    append_(&r, 2, "b");
    term_(&r, 4, 2);
    append_(&r, 4, "b");
    ack(&r, 4, 2, 1);
    lead(&r, 5, 3);
    append_(&r, 5, "c");
    lead(&r, 1, 4);
    append_(&r, 1, "bd");
    append_all(&r, 3, "bd", 0);
    append_all(&r, 6, "bd", 0);
    append_(&r, 2, "bd");
    commit(&r, 1, 4, "bd", 1);
    term_(&r, 4, 3);
    truncate_(&r, 4, 1);
    append_(&r, 4, "c");
    expect(&r, "");
}

/* A vote that left the node survives its crash: a node that came back without it must not vote again
 * (vote-before-sync). hashicorp/raft#661: forgetting a vote that never left is no fault. */
static void test_votes_are_durable(void **state) {
    (void)state;
    struct run r = run_new();
    vote(&r, 2, 5, 1);
    restart(&r, 2, 5, 1, "");
    vote(&r, 2, 5, 1);
    vote(&r, 2, 6, 3);
    term_(&r, 2, 8);
    restart(&r, 2, 7, 3, ""); /* a newer term than the vote's is no loss */
    vote(&r, 2, 7, 3);
    expect(&r, "");
    r = run_new(); /* the negative control: no answer had left */
    term_(&r, 2, 5);
    restart(&r, 2, 4, 0, "");
    vote(&r, 2, 5, 3);
    expect(&r, "");
    r = run_new();
    vote(&r, 2, 5, 1);
    restart(&r, 2, 4, 0, "");
    expect(&r, ""); /* it has done no harm yet */
    r = run_new();
    vote(&r, 2, 5, 1);
    restart(&r, 2, 4, 0, "");
    vote(&r, 2, 6, 1);
    expect(&r, "durability");
    r = run_new(); /* split-term-vote-write: the term came back, the vote did not */
    vote(&r, 2, 5, 1);
    restart(&r, 2, 5, 0, "");
    vote(&r, 2, 5, 3);
    expect(&r, "durability");
    r = run_new(); /* step-down-clears-vote: without any crash */
    vote(&r, 2, 5, 1);
    vote(&r, 2, 5, 3);
    expect(&r, "durability");
}

/* What a node told a leader to be in its log is still there after a crash. */
static void test_acknowledged_entries_are_durable(void **state) {
    (void)state;
    struct run r = run_new();
    append_all(&r, 2, "aaaa", 0);
    ack(&r, 2, 1, 3);
    restart(&r, 2, 1, 0, "aaa"); /* the fourth was not synced, nor acknowledged */
    vote(&r, 2, 2, 1);
    ack(&r, 2, 2, 3);
    expect(&r, "");
    r = run_new();
    append_all(&r, 2, "aaaa", 0);
    ack(&r, 2, 1, 3);
    restart(&r, 2, 1, 0, "aa");
    vote(&r, 2, 2, 1);
    expect(&r, "durability");
    r = run_new();
    append_all(&r, 2, "aaaa", 0);
    ack(&r, 2, 1, 3);
    restart(&r, 2, 1, 0, "aa");
    ack(&r, 2, 2, 2);
    expect(&r, "durability");
    r = run_new();
    append_all(&r, 2, "aaaa", 0);
    ack(&r, 2, 1, 3);
    restart(&r, 2, 1, 0, "aa");
    lead(&r, 2, 2);
    expect(&r, "durability");
}

/* An acknowledged entry may be overwritten for a newer leader; and if that is lost in a crash, come back. */
static void test_overwritten_entries_may_come_back(void **state) {
    (void)state;
    struct run r = run_new();
    append_all(&r, 1, "aabbb", 0);
    append_all(&r, 2, "aaaa", 0);
    ack(&r, 2, 1, 4);
    term_(&r, 2, 2);
    truncate_(&r, 2, 3);
    append_all(&r, 2, "aabbb", 2);
    ack(&r, 2, 1, 4); /* held back until now; it speaks of the log before */
    restart(&r, 2, 2, 0, "aaaa");
    vote(&r, 2, 3, 1);
    term_(&r, 2, 3);
    truncate_(&r, 2, 3);
    append_all(&r, 2, "aabbb", 2);
    ack(&r, 2, 3, 5);
    restart(&r, 2, 3, 1, "aabbb");
    vote(&r, 2, 4, 3);
    expect(&r, "");
    r = run_new(); /* but not once the new entries were acknowledged */
    append_all(&r, 1, "aabbb", 0);
    append_all(&r, 2, "aaaa", 0);
    term_(&r, 2, 2);
    truncate_(&r, 2, 3);
    append_all(&r, 2, "aabbb", 2);
    ack(&r, 2, 2, 3);
    restart(&r, 2, 2, 0, "aaaa");
    vote(&r, 2, 3, 1);
    expect(&r, "durability");
}

/* A truncation reached the disk, but the crash came before its event: entries of the newer leader tell the
 * tale. */
static void test_a_truncation_may_be_noted_too_late(void **state) {
    (void)state;
    struct run r = run_new();
    append_all(&r, 1, "aab", 0);
    append_all(&r, 2, "aaaa", 0);
    ack(&r, 2, 1, 4);
    restart(&r, 2, 2, 0, "aab");
    vote(&r, 2, 3, 1);
    expect(&r, "");
}

/* Appends may be lost with an interrupted step: the log is then known by its hash alone until others tell
 * more. */
static void test_unknown_entries_raise_no_alarm(void **state) {
    (void)state;
    struct run r = run_new();
    append_(&r, 2, "a");
    ack(&r, 2, 1, 1);
    restart(&r, 2, 1, 0, "aab");
    vote(&r, 2, 2, 1);
    lead(&r, 2, 3);
    append_(&r, 2, "aabc");
    commit(&r, 2, 3, "aabc", 1);
    role_(&r, 2, QRT_ROLE_FOLLOWER, 3);
    term_(&r, 2, 4);
    truncate_(&r, 2, 5);
    append_all(&r, 1, "aabc", 0);
    commit(&r, 1, 3, "aa", 0);
    apply_(&r, 1, "a");
    apply_(&r, 1, "aa");
    lead(&r, 1, 5);
    expect(&r, "");
}

/* A member whose disk was wiped neither votes nor counts until it has caught up (amnesia-votes). */
static void test_wiped_members_abstain(void **state) {
    (void)state;
    struct run r = run_new();
    append_all(&r, 2, "aaa", 0);
    ack(&r, 2, 1, 3);
    vote(&r, 2, 2, 1);
    crash(&r, 2);
    start_at(&r, 2, QRT_START_WIPED, 0, 0, "", 0);
    role_(&r, 2, QRT_ROLE_RECOVERING, 0);
    term_(&r, 2, 2);
    append_all(&r, 2, "aaa", 0);
    ack(&r, 2, 2, 3); /* it is told that this does not count */
    caught_up(&r, 2, 3);
    vote(&r, 2, 3, 3);
    expect(&r, "");
    r = run_new();
    vote(&r, 2, 2, 1);
    crash(&r, 2);
    start_at(&r, 2, QRT_START_WIPED, 0, 0, "", 0);
    vote(&r, 2, 3, 3);
    expect(&r, "durability");
    r = run_new(); /* having caught up is a promise as well */
    append_all(&r, 2, "aaa", 0);
    caught_up(&r, 2, 3);
    restart(&r, 2, 1, 0, "aa");
    vote(&r, 2, 2, 1);
    expect(&r, "durability");
}

/* etcd-io/raft 76f1249: the commit index stays within the log. */
static void test_commit_in_log(void **state) {
    (void)state;
    struct run r = run_new();
    append_all(&r, 1, "aaa", 0);
    append_all(&r, 2, "aa", 0);
    commit(&r, 1, 1, "aaa", 1);
    commit(&r, 2, 1, "aa", 0);
    expect(&r, "");
    r = run_new();
    append_all(&r, 1, "aaa", 0);
    append_all(&r, 2, "aa", 0);
    commit(&r, 1, 1, "aaa", 1);
    commit(&r, 2, 1, "aaa", 0);
    expect(&r, "commit-in-log");
}

/* hashicorp/raft 163a55f: three of four, not two, are a majority. Judged where the membership is fixed. */
static void test_commit_quorum(void **state) {
    (void)state;
    static const uint16_t four[] = {1, 2, 3, 4};
    struct check_config config = {.members = four, .member_count = 4, .fixed_members = true, .judged_by = "raft"};
    for (int legal = 0; legal < 2; legal++) {
        struct run r = {.checkers = checkers_new(&config)};
        r.sink = checkers_sink(r.checkers);
        for (uint16_t n = 1; n <= 3; n++) append_(&r, n, "a");
        ack(&r, 2, 1, 1);
        if (legal) ack(&r, 3, 1, 1);
        commit(&r, 1, 1, "a", 1);
        expect(&r, legal ? "" : "commit-quorum");
    }
}

/* Terms, commit indices and machines go forward only, but for a crash. */
static void test_monotonic(void **state) {
    (void)state;
    struct run r = run_new();
    term_(&r, 1, 5);
    append_all(&r, 1, "aa", 0);
    commit(&r, 1, 5, "aa", 1);
    restart(&r, 1, 4, 0, "aa");
    term_(&r, 1, 5);
    commit(&r, 1, 5, "a", 0);
    expect(&r, "");
    r = run_new();
    term_(&r, 1, 5);
    term_(&r, 1, 4);
    expect(&r, "monotonic");
    r = run_new();
    append_all(&r, 1, "aa", 0);
    commit(&r, 1, 1, "aa", 1);
    commit(&r, 1, 1, "a", 0);
    expect(&r, "monotonic");
    r = run_new();
    append_all(&r, 1, "aa", 0);
    commit(&r, 1, 1, "aa", 1);
    apply_(&r, 1, "a");
    apply_(&r, 1, "aa");
    restore_(&r, 1, "a");
    expect(&r, "monotonic");
}

/* A snapshot keeps the entries behind it when the log holds its last entry, and replaces the log otherwise.
 * */
static void test_restore(void **state) {
    (void)state;
    struct run r = run_new();
    append_all(&r, 1, "aabb", 0);
    commit(&r, 1, 2, "aabb", 1);
    append_all(&r, 2, "aabb", 0);
    ack(&r, 2, 2, 4);
    restore_(&r, 2, "aab");
    commit(&r, 2, 2, "aabb", 0); /* still in its log */
    append_all(&r, 3, "aaaaa", 0);
    ack(&r, 3, 1, 5);
    term_(&r, 3, 2);
    restore_(&r, 3, "aab");
    append_(&r, 3, "aabb");
    ack(&r, 3, 2, 4);
    restart(&r, 3, 2, 0, "aabb");
    vote(&r, 3, 3, 2);
    expect(&r, "");
    r = run_new();
    append_all(&r, 1, "aab", 0);
    commit(&r, 1, 2, "aab", 1);
    append_all(&r, 2, "aac", 0);
    restore_(&r, 2, "aac");
    expect(&r, "state-machine-safety");
}

/* The driver puts a snapshot into the machine at once, into the log only when it is durable: until then the
 * old log may grow for a newer leader; and a crash then finds the snapshot, or the log as it was. */
static void test_restore_reaches_the_log_later(void **state) {
    (void)state;
    struct run r = run_new();
    append_all(&r, 1, "aabbbb", 0);
    commit(&r, 1, 2, "aabbbb", 1);
    append_all(&r, 2, "aac", 0);
    ack(&r, 2, 3, 3);
    term_(&r, 2, 4);
    truncate_(&r, 2, 3);
    restore_(&r, 2, "aabbb");
    append_all(&r, 2, "aab", 2); /* the old log goes on */
    ack(&r, 2, 4, 3);
    commit(&r, 2, 4, "aab", 0);
    struct run other = r;
    other.checkers = checkers_clone(r.checkers);
    other.sink = checkers_sink(other.checkers);
    commit(&r, 2, 4, "aabbb", 0); /* now the log begins behind the snapshot */
    append_(&r, 2, "aabbbb");
    apply_(&r, 2, "aabbbb");
    truncate_(&r, 2, 6); /* and what is in it is as safe as ever */
    expect(&r, "committed-never-truncated");
    restart(&other, 2, 4, 0, "aab");
    vote(&other, 2, 5, 1);
    expect(&other, "");
    r = run_new(); /* the snapshot overwrote, for a newer leader, what had been acknowledged */
    append_all(&r, 1, "abbb", 0);
    append_all(&r, 2, "acccc", 0);
    ack(&r, 2, 3, 4);
    term_(&r, 2, 4);
    commit(&r, 1, 4, "abbb", 1);
    restore_(&r, 2, "abbb");
    restart(&r, 2, 4, 0, "abbb");
    vote(&r, 2, 5, 1);
    expect(&r, "");
}

/* Logs of different groups have nothing to do with each other; a crash is the whole node's. */
static void test_groups_are_apart(void **state) {
    (void)state;
    struct run r = run_new();
    for (uint16_t g = 0; g < 3; g++) {
        emit(&r,
             (qrt_event){
                 .kind = QRT_KIND_ROLE, .node = (uint16_t)(g + 1), .group = g, .term = 1, .detail = QRT_ROLE_LEADER});
        emit(&r, (qrt_event){.kind = QRT_KIND_APPEND, .node = 1, .group = g, .term = 1, .index = 1, .value = g});
        emit(&r, (qrt_event){.kind = QRT_KIND_COMMIT, .node = 1, .group = g, .term = 1, .index = 1, .value = g});
    }
    crash(&r, 1);
    emit(&r, (qrt_event){.kind = QRT_KIND_TRUNCATE, .node = 1, .group = 0, .index = 2});
    expect(&r, "");
}

/* PROTOCOLS: `consistency` is the share of time in which all values are equal, `consensus` from when on they
 * are. */
static void test_agreement(void **state) {
    (void)state;
    struct run r = run_new();
    struct agreement_measure m;
    checkers_measure(r.checkers, 0, &m);
    assert_true(m.consistent_share > 0.999 && m.first_inconsistent == -1 && m.consensus_at == 0);
    for (uint16_t n = 1; n <= 3; n++) append_all(&r, n, "aa", 0);
    r.time = 100;
    for (uint16_t n = 1; n <= 3; n++) apply_(&r, n, "a"); /* in one instant: never apart */
    checkers_measure(r.checkers, 200, &m);
    assert_true(m.consistent_share > 0.999 && m.first_inconsistent == -1 && m.consensus_at == 0);
    r.time = 200;
    apply_(&r, 1, "aa");
    r.time = 220;
    apply_(&r, 2, "aa");
    checkers_measure(r.checkers, 250, &m);
    assert_true(m.consistent_share == 0.8 && m.first_inconsistent == 200 && m.consensus_at == -1);
    r.time = 300;
    apply_(&r, 3, "aa");
    checkers_measure(r.checkers, 400, &m);
    assert_true(m.consistent_share == 0.75 && m.first_inconsistent == 200 && m.consensus_at == 300);
    r.time = 400; /* its checkpoint was at 1: its machine is back there, then catches up */
    crash(&r, 3);
    r.time = 500;
    start_at(&r, 3, QRT_START_RECOVERED, 1, 0, "aa", 1);
    checkers_measure(r.checkers, 500, &m);
    assert_true(m.consistent_share == 0.8 && m.consensus_at == -1);
    r.time = 1000;
    apply_(&r, 3, "aa");
    checkers_measure(r.checkers, 1000, &m);
    assert_true(m.consistent_share == 0.4 && m.consensus_at == 1000);
    expect(&r, "");
}

/* Beyond its memory a checker says that it does not know; what it had found stays found. */
static void test_memory_budget(void **state) {
    (void)state;
    struct check_config config = {.members = members, .member_count = 3, .memory = 1 << 20, .judged_by = "raft"};
    struct checkers *c = checkers_new(&config);
    struct trace_sink sink = checkers_sink(c);
    qrt_event two[] = {{.kind = QRT_KIND_TERM, .node = 1, .term = 2}, {.kind = QRT_KIND_TERM, .node = 1, .term = 1}};
    for (size_t i = 0; i < 2; i++) sink.event(sink.context, &two[i], i);
    for (uint64_t i = 1; i < 100000; i++) {
        qrt_event e = {.kind = QRT_KIND_APPEND, .node = 1, .term = 1, .index = i, .value = i * 77};
        sink.event(sink.context, &e, i + 1);
    }
    size_t count, unknown = 0;
    const struct property *p = checkers_properties(c, &count);
    for (size_t i = 0; i < count; i++) {
        if (strcmp(p[i].name, "monotonic") == 0)
            assert_int_equal(p[i].verdict, VERDICT_VIOLATED);
        else
            unknown += p[i].verdict == VERDICT_UNKNOWN;
    }
    assert_int_equal(unknown, count - 1);
    checkers_free(c);
    c = checkers_new(&config); /* a nonsensical index, of a script's own making, takes no memory */
    sink = checkers_sink(c);
    qrt_event far = {.kind = QRT_KIND_APPEND, .node = 1, .term = 1, .index = UINT64_MAX, .value = 1};
    sink.event(sink.context, &far, 0);
    assert_int_equal(checkers_properties(c, &count)->verdict, VERDICT_UNKNOWN);
    checkers_free(c);
}

/* fork(): a clone goes its own way, and neither sees what the other does. */
static void test_clone(void **state) {
    (void)state;
    struct run r = run_new();
    append_all(&r, 1, "aab", 0);
    commit(&r, 1, 2, "aab", 1);
    struct run other = r;
    other.checkers = checkers_clone(r.checkers);
    other.sink = checkers_sink(other.checkers);
    append_all(&other, 1, "aabbbbb", 3);
    append_all(&other, 2, "aac", 0);
    commit(&other, 2, 3, "aac", 0);
    append_all(&r, 1, "aabb", 3);
    commit(&r, 1, 2, "aabb", 1);
    append_all(&r, 2, "aabb", 0);
    commit(&r, 2, 2, "aabb", 0);
    expect(&other, "state-machine-safety");
    expect(&r, "");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_election_safety),
        cmocka_unit_test(test_leader_append_only),
        cmocka_unit_test(test_log_matching),
        cmocka_unit_test(test_leader_completeness),
        cmocka_unit_test(test_leader_completeness_of_a_late_commit),
        cmocka_unit_test(test_state_machine_safety),
        cmocka_unit_test(test_apply_in_order),
        cmocka_unit_test(test_replies_agree),
        cmocka_unit_test(test_committed_never_truncated),
        cmocka_unit_test(test_a_delayed_leader_may_truncate_a_committed_entry),
        cmocka_unit_test(test_votes_are_durable),
        cmocka_unit_test(test_acknowledged_entries_are_durable),
        cmocka_unit_test(test_overwritten_entries_may_come_back),
        cmocka_unit_test(test_a_truncation_may_be_noted_too_late),
        cmocka_unit_test(test_unknown_entries_raise_no_alarm),
        cmocka_unit_test(test_wiped_members_abstain),
        cmocka_unit_test(test_commit_in_log),
        cmocka_unit_test(test_commit_quorum),
        cmocka_unit_test(test_monotonic),
        cmocka_unit_test(test_restore),
        cmocka_unit_test(test_restore_reaches_the_log_later),
        cmocka_unit_test(test_groups_are_apart),
        cmocka_unit_test(test_agreement),
        cmocka_unit_test(test_memory_budget),
        cmocka_unit_test(test_clone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
