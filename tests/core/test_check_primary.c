/* The checkers of primary-backup and of elections against the shortest sequences of events that break a property, each
 * beside the nearest sequence that is legal. A log is a string, one letter an entry: 'a' is of epoch 1, 'b' of epoch 2. */
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

static struct run run_new(const char *judged_by) {
    static const uint16_t members[] = {1, 2, 3};
    struct check_config config = {.members = members, .member_count = 3, .judged_by = judged_by};
    struct run r = {.checkers = checkers_new(&config)};
    r.sink = checkers_sink(r.checkers);
    return r;
}

static void emit(struct run *r, qrt_event e) {
    e.time = r->time += 1000000;
    if (r->sink.kinds >> e.kind & 1) r->sink.event(r->sink.context, &e, r->number);
    r->number++;
}

/* The names of what is violated, in the registry's order. */
static void expect(struct run *r, const char *violated) {
    char names[256] = "";
    size_t count;
    const struct property *p = checkers_properties(r->checkers, &count);
    for (size_t i = 0; i < count; i++) {
        if (p[i].verdict != VERDICT_VIOLATED) continue;
        if (*names) strcat(names, " ");
        strcat(names, p[i].name);
    }
    assert_string_equal(names, violated);
    checkers_free(r->checkers);
}

static const char *lost_window(struct run *r) {
    size_t count;
    const struct property *p = checkers_properties(r->checkers, &count);
    for (size_t i = 0; i < count; i++)
        if (!strcmp(p[i].name, "lost-window")) return p[i].text;
    return NULL;
}

static uint64_t prefix(const char *log) {
    return *log ? hash_bytes(log, strlen(log), 0) : 0;
}
static void role(struct run *r, uint16_t node, uint8_t is, uint64_t epoch) {
    emit(r, (qrt_event){.kind = QRT_KIND_ROLE, .node = node, .detail = is, .term = epoch});
}
/* The node's log is now this; what differs from before leaves it first. */
static void write_log(struct run *r, uint16_t node, const char *before, const char *log) {
    size_t same = 0;
    char part[32];
    while (before[same] && before[same] == log[same]) same++;
    if (before[same]) emit(r, (qrt_event){.kind = QRT_KIND_TRUNCATE, .node = node, .index = same + 1});
    for (size_t i = same + 1; i <= strlen(log); i++) {
        snprintf(part, sizeof part, "%.*s", (int)i, log);
        emit(r, (qrt_event){.kind = QRT_KIND_APPEND,
                            .node = node,
                            .term = (uint64_t)(log[i - 1] - 'a') + 1,
                            .index = i,
                            .value = prefix(part)});
    }
}
static void commit(struct run *r, uint16_t node, uint64_t epoch, const char *log, uint8_t detail) {
    emit(r, (qrt_event){.kind = QRT_KIND_COMMIT,
                        .node = node,
                        .detail = detail,
                        .term = epoch,
                        .index = strlen(log),
                        .value = prefix(log)});
}
static void apply(struct run *r, uint16_t node, const char *log) {
    emit(r, (qrt_event){.kind = QRT_KIND_APPLY, .node = node, .index = strlen(log), .value = prefix(log)});
}
static void decide(struct run *r, uint16_t node, uint64_t epoch, uint64_t leader) {
    emit(r, (qrt_event){.kind = QRT_KIND_DECIDE, .node = node, .term = epoch, .index = epoch, .value = leader});
}

/* A later primary's log is without what the one before acknowledged (detail 1) or answered early (detail 2). */
static struct run lose(uint8_t detail, const char *kept) {
    struct run r = run_new("primary-backup");
    write_log(&r, 1, "", "aaa");
    write_log(&r, 2, "", kept);
    role(&r, 1, QRT_ROLE_LEADER, 1);
    commit(&r, 1, 1, "aaa", detail);
    char log[32];
    snprintf(log, sizeof log, "%sb", kept);
    write_log(&r, 2, kept, log);
    role(&r, 2, QRT_ROLE_LEADER, 2);
    commit(&r, 2, 2, log, detail);
    return r;
}

/* Issue: no acknowledged write lost. What was only in a log may go; so may nothing that was acknowledged. */
static void test_check_primary_acknowledged_writes(void **unused) {
    (void)unused;
    struct run r = lose(1, "aaa");
    expect(&r, "");
    r = lose(1, "aa");
    expect(&r, "no-acknowledged-write-lost");
    r = lose(1, "");
    expect(&r, "no-acknowledged-write-lost");
}

/* Issue: the lost window is measured, in entries and in time, and no violation. */
static void test_check_primary_lost_window(void **unused) {
    (void)unused;
    struct run r = lose(2, "aaa");
    assert_string_equal(lost_window(&r), "");
    expect(&r, "");
    r = lose(2, "a");
    assert_non_null(strstr(lost_window(&r), "2 answered entries were lost in 1 switch-overs"));
    expect(&r, "");
}

/* The old primary answers on its own while the new one has answered already: that is lost as well. */
static void test_check_primary_late_answers_of_the_old_one(void **unused) {
    (void)unused;
    struct run r = run_new("primary-backup");
    write_log(&r, 1, "", "a");
    write_log(&r, 2, "", "a");
    commit(&r, 1, 1, "a", 2);
    write_log(&r, 2, "a", "ab");
    role(&r, 2, QRT_ROLE_LEADER, 2);
    commit(&r, 2, 2, "ab", 2);
    assert_string_equal(lost_window(&r), "");
    write_log(&r, 1, "a", "aa");
    commit(&r, 1, 1, "aa", 2);
    assert_non_null(strstr(lost_window(&r), "1 answered entries were lost in 1 switch-overs"));
    apply(&r, 1, "a");
    apply(&r, 1, "aa"); /* it was a primary's word, lost or not */
    expect(&r, "");
}

/* A backup applies what a primary has acknowledged, from the first entry on; after a restore from where that is. */
static void test_check_primary_backups_apply_a_prefix(void **unused) {
    (void)unused;
    struct run r = run_new("primary-backup");
    write_log(&r, 1, "", "aa");
    commit(&r, 1, 1, "aa", 1);
    apply(&r, 2, "a");
    apply(&r, 2, "aa");
    emit(&r, (qrt_event){.kind = QRT_KIND_RESTORE, .node = 2});
    apply(&r, 2, "a");
    expect(&r, "");
    r = run_new("primary-backup");
    write_log(&r, 1, "", "aa");
    commit(&r, 1, 1, "aa", 1);
    apply(&r, 2, "aa");
    expect(&r, "backups-prefix");
    r = run_new("primary-backup");
    write_log(&r, 1, "", "aa");
    commit(&r, 1, 1, "a", 1);
    apply(&r, 2, "a");
    apply(&r, 2, "aa");
    expect(&r, "backups-prefix");
}

/* One primary an epoch; one that crashed is not one again in the same epoch. */
static void test_check_primary_one_an_epoch(void **unused) {
    (void)unused;
    struct run r = run_new("primary-backup");
    role(&r, 1, QRT_ROLE_LEADER, 1);
    role(&r, 2, QRT_ROLE_LEADER, 2);
    expect(&r, "");
    r = run_new("primary-backup");
    role(&r, 1, QRT_ROLE_LEADER, 1);
    role(&r, 2, QRT_ROLE_LEADER, 1);
    expect(&r, "one-primary-an-epoch");
    r = run_new("primary-backup");
    role(&r, 1, QRT_ROLE_LEADER, 1);
    emit(&r, (qrt_event){.kind = QRT_KIND_START, .node = 1, .detail = QRT_START_RECOVERED});
    role(&r, 1, QRT_ROLE_LEADER, 1);
    expect(&r, "one-primary-an-epoch");
}

/* An epoch has one leader, whoever says so and whenever. */
static void test_check_election_one_leader_an_epoch(void **unused) {
    (void)unused;
    struct run r = run_new("election");
    decide(&r, 1, 5, 3);
    decide(&r, 2, 4, 2); /* told late */
    role(&r, 3, QRT_ROLE_LEADER, 5);
    expect(&r, "");
    r = run_new("election");
    decide(&r, 1, 5, 3);
    decide(&r, 2, 6, 1);
    decide(&r, 2, 5, 2);
    expect(&r, "one-leader-an-epoch");
    r = run_new("election");
    decide(&r, 1, 5, 3);
    role(&r, 2, QRT_ROLE_LEADER, 5);
    expect(&r, "one-leader-an-epoch");
}

/* At a time: a leader that stepped down, or crashed, is none. */
static void test_check_election_one_leader_at_a_time(void **unused) {
    (void)unused;
    struct run r = run_new("leaders");
    role(&r, 1, QRT_ROLE_LEADER, 1);
    role(&r, 1, QRT_ROLE_CANDIDATE, 1);
    role(&r, 2, QRT_ROLE_LEADER, 2);
    emit(&r, (qrt_event){.kind = QRT_KIND_CRASH, .node = 2});
    role(&r, 3, QRT_ROLE_LEADER, 3);
    role(&r, 3, QRT_ROLE_LEADER, 4); /* the same one again */
    expect(&r, "");
    r = run_new("leaders");
    role(&r, 1, QRT_ROLE_LEADER, 1);
    role(&r, 2, QRT_ROLE_LEADER, 2);
    expect(&r, "one-leader-at-a-time");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_check_primary_acknowledged_writes),
        cmocka_unit_test(test_check_primary_lost_window),
        cmocka_unit_test(test_check_primary_late_answers_of_the_old_one),
        cmocka_unit_test(test_check_primary_backups_apply_a_prefix),
        cmocka_unit_test(test_check_primary_one_an_epoch),
        cmocka_unit_test(test_check_election_one_leader_an_epoch),
        cmocka_unit_test(test_check_election_one_leader_at_a_time),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
