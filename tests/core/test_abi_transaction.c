/* Transactions through the ABI: a user's whole way, and every misuse with a reason. */
#include <jansson.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "quorate.h"

#define SECOND INT64_C(1000000000)

static qrt_cluster *make(const char *protocol) {
    qrt_option options[] = {{"nodes", "3"}, {"seed", "5"}};
    qrt_cluster *c = NULL;
    assert_int_equal(qrt_cluster_new(&c, protocol, options, 2, NULL), QRT_OK);
    return c;
}

static void expect(qrt_cluster *c, qrt_status got, qrt_status wanted, const char *says) {
    if (got != wanted) fail_msg("%s, not %s: %s", qrt_status_name(got), qrt_status_name(wanted), qrt_last_error(c));
    if (!strstr(qrt_last_error(c), says)) fail_msg("'%s' does not say '%s'", qrt_last_error(c), says);
}

static qrt_status await(qrt_cluster *c, uint64_t ticket) {
    qrt_status s;
    int64_t now = 0;
    assert_int_equal(qrt_cluster_now(c, &now), QRT_OK);
    while ((s = qrt_cluster_transaction_await(c, ticket, now + SECOND)) == QRT_MORE) continue;
    return s;
}

static void test_abi_transaction_commits_and_is_reported(void **unused) {
    (void)unused;
    const char *protocols[] = {"2pc", "3pc"};
    for (int i = 0; i < 2; i++) {
        qrt_cluster *c = make(protocols[i]);
        const uint8_t work[] = {0, 1, 255};
        qrt_participant parts[] = {
            {3, QRT_VOTE_YES, work, sizeof work}, {1, QRT_VOTE_READ_ONLY, NULL, 0}, {2, QRT_VOTE_YES, work, 1}};
        uint64_t ticket = 0;
        expect(c, qrt_cluster_transact(c, 2, parts, 3, &ticket), QRT_OK, "");
        expect(c, await(c, ticket), QRT_OK, "");
        json_t *report = json_loads(qrt_cluster_transaction(c, ticket), 0, NULL),
               *nodes = json_object_get(report, "participants");
        assert_string_equal(json_string_value(json_object_get(report, "outcome")), "commit");
        assert_int_equal(json_integer_value(json_object_get(report, "coordinator")), 2);
        assert_int_equal(json_array_size(nodes), 3);
        assert_string_equal(json_string_value(json_object_get(json_array_get(nodes, 0), "vote")), "read-only");
        assert_int_equal(json_array_size(json_object_get(report, "blocked")), 0);
        json_decref(report);
        qrt_cluster_free(&c);
    }
}

static void test_abi_transaction_refuses_misuse(void **unused) {
    (void)unused;
    qrt_cluster *c = make("2pc");
    qrt_participant parts[200] = {{1, QRT_VOTE_YES, NULL, 0}, {2, QRT_VOTE_YES, NULL, 0}};
    uint64_t ticket = 0;
    expect(c, qrt_cluster_transact(c, 0, parts, 2, NULL), QRT_EINVAL, "ticket");
    expect(c, qrt_cluster_transact(c, 0, NULL, 2, &ticket), QRT_EINVAL, "participants");
    expect(c, qrt_cluster_transact(c, 0, parts, 0, &ticket), QRT_ERANGE, "1 to 128");
    expect(c, qrt_cluster_transact(c, 0, parts, 200, &ticket), QRT_ERANGE, "not 200");
    expect(c, qrt_cluster_transact(c, 9, parts, 2, &ticket), QRT_ENOTFOUND, "no node 9 to coordinate");
    parts[1].node = 1;
    expect(c, qrt_cluster_transact(c, 0, parts, 2, &ticket), QRT_EINVAL, "n1 is listed twice");
    parts[1].node = 0;
    expect(c, qrt_cluster_transact(c, 0, parts, 2, &ticket), QRT_ENOTFOUND, "no node 0 to take part");
    parts[1] = (qrt_participant){2, 7, NULL, 0};
    expect(c, qrt_cluster_transact(c, 0, parts, 2, &ticket), QRT_EINVAL, "no vote of number 7");
    parts[1] = (qrt_participant){2, QRT_VOTE_YES, NULL, 4};
    expect(c, qrt_cluster_transact(c, 0, parts, 2, &ticket), QRT_EINVAL, "work must not be NULL");
    assert_null(qrt_cluster_transaction(c, 77));
    expect(c, qrt_last_status(c), QRT_ENOTFOUND, "there is no ticket 77");
    expect(c, await(c, 77), QRT_ENOTFOUND, "there is no ticket 77");
    expect(c, qrt_cluster_propose(c, 0, (const uint8_t *)"x", 1, &ticket), QRT_OK, "");
    assert_null(qrt_cluster_transaction(c, ticket));
    expect(c, qrt_last_status(c), QRT_EINVAL, "not that of a transaction");
    qrt_cluster_free(&c);
    assert_int_equal(qrt_cluster_transact(NULL, 0, parts, 1, &ticket), QRT_ECLOSED);
    c = make("raft");
    expect(c, qrt_cluster_transact(c, 0, parts, 1, &ticket), QRT_EUNSUPPORTED, "raft has no transactions");
    qrt_cluster_free(&c);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_abi_transaction_commits_and_is_reported),
        cmocka_unit_test(test_abi_transaction_refuses_misuse),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
