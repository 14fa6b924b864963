/* Quorum rules against brute force over all sets of nodes, and etcd-io/raft's tables of joint majorities. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/memory.h"
#include "protocol/joint.h"
#include "protocol/quorum_rules.h"
#include "support/data.h"

static struct quorum_rule rule_of(const char *text, uint32_t nodes) {
    struct quorum_rule rule;
    struct error e = {0};
    if (quorum_rule_parse(text, nodes, &rule, &e)) fail_msg("%s of %u: %s", text, nodes, e.text);
    return rule;
}

static bool set_met(const struct quorum_rule *rule, enum quorum_phase phase, unsigned set) {
    return quorum_rule_met(rule, phase, (uint64_t[QUORUM_WORDS]){set});
}

/* The two-thirds rule: 2f+1 at 3f+1, stands floor(n/3) crashes and floor((n-1)/3) liars; a majority stands
 * floor((n-1)/2) crashes. */
static void test_quorum_closed_forms(void **state) {
    (void)state;
    for (uint32_t n = 1; n <= QUORUM_NODES_MAX; n++) {
        struct quorum_rule byzantine = rule_of("two-thirds", n), majority = rule_of("majority", n);
        struct quorum_report b = quorum_rule_report(&byzantine), m = quorum_rule_report(&majority);
        assert_int_equal(b.write, (2 * n + 2) / 3);
        assert_int_equal(b.crashes, n / 3);
        assert_int_equal(b.liars, (n - 1) / 3);
        assert_int_equal(m.write, n / 2 + 1);
        assert_int_equal(m.crashes, (n - 1) / 2);
        if (n % 3 == 1) assert_int_equal(b.write, 2 * ((n - 1) / 3) + 1);
        if (n % 2 == 1) assert_int_equal(m.liars, 0);
    }
}

static unsigned bits_of(unsigned set) {
    return (unsigned)__builtin_popcount(set);
}

/* Does every set of `down` nodes leave a quorum of both phases among the others? */
static bool stands_crashes(const struct quorum_rule *rule, unsigned down) {
    unsigned all = (1u << rule->nodes) - 1;
    for (unsigned set = 0; set <= all; set++) {
        if (bits_of(set) != down) continue;
        if (!set_met(rule, QUORUM_READ, all & ~set) || !set_met(rule, QUORUM_WRITE, all & ~set)) return false;
    }
    return true;
}

/* The least number of nodes that a quorum of one phase shares with one of the other. */
static unsigned least_shared(const struct quorum_rule *rule, enum quorum_phase one, enum quorum_phase other) {
    unsigned all = (1u << rule->nodes) - 1, least = 99;
    for (unsigned a = 1; a <= all; a++)
        for (unsigned b = 1; set_met(rule, one, a) && b <= all; b++)
            if (set_met(rule, other, b) && bits_of(a & b) < least) least = bits_of(a & b);
    return least;
}

/* What a report says is what trying every set finds. */
static void test_quorum_reports_are_true(void **state) {
    (void)state;
    static const struct {
        const char *text;
        unsigned nodes;
    } rules[] = {{"majority", 1},
                 {"majority", 4},
                 {"majority", 5},
                 {"majority", 6},
                 {"two-thirds", 4},
                 {"byzantine", 7},
                 {"all", 3},
                 {"weighted:3,1,1", 3},
                 {"weighted:1,1,1,1", 4},
                 {"weighted:5,1,1,1,1", 5},
                 {"weighted:2,2,1,1,1/5", 5},
                 {"flexible:2,4", 5},
                 {"flexible:4,2", 5},
                 {"flexible:1,6", 6},
                 {"grid:2x3", 6},
                 {"grid:1x3", 3},
                 {"grid:2x2", 4},
                 {"grid:3x1", 3}};
    for (size_t i = 0; i < sizeof rules / sizeof *rules; i++) {
        struct quorum_rule rule = rule_of(rules[i].text, rules[i].nodes);
        struct quorum_report report = quorum_rule_report(&rule);
        unsigned crashes = 0, shared = least_shared(&rule, QUORUM_READ, QUORUM_WRITE);
        while (crashes < rule.nodes && stands_crashes(&rule, crashes + 1)) crashes++;
        unsigned liars = shared - 1 < crashes ? shared - 1 : crashes;
        if (!shared || crashes != report.crashes)
            fail_msg("%s: shares %u, stands %u crashes, not %u", rules[i].text, shared, crashes, report.crashes);
        if (rule.kind == QUORUM_WEIGHTED ? report.liars > liars : report.liars != liars)
            fail_msg("%s: stands %u liars, not %u", rules[i].text, liars, report.liars);
        unsigned least[2] = {99, 99};
        for (unsigned set = 1; set < 1u << rule.nodes; set++)
            for (int phase = 0; phase < 2; phase++)
                if (set_met(&rule, (enum quorum_phase)phase, set) && bits_of(set) < least[phase])
                    least[phase] = bits_of(set);
        assert_int_equal(report.read, least[QUORUM_READ]);
        assert_int_equal(report.write, least[QUORUM_WRITE]);
    }
}

/* What need not meet is refused, and the sentence holds the arithmetic. */
static void test_quorum_refuses_what_does_not_meet(void **state) {
    (void)state;
    static const struct {
        const char *text;
        unsigned nodes;
        qrt_status status;
        const char *reason;
    } cases[] = {
        {"flexible:2,3", 5, QRT_EINVAL, "need not meet: 2 + 3 is not more than 5"},
        {"flexible:0,5", 5, QRT_ERANGE, "between 1 and 5"},
        {"flexible:2", 5, QRT_EPARSE, "flexible:R,W"},
        {"weighted:1,1,1,1/2", 4, QRT_EINVAL, "2 x 2 is not more"},
        {"weighted:1,1", 3, QRT_EINVAL, "2 weights for 3 nodes"},
        {"weighted:1,1,1,1", 3, QRT_EINVAL, "more weights"},
        {"weighted:1,0,1", 3, QRT_EPARSE, "whole numbers from 1"},
        {"weighted:1,-1,1", 3, QRT_EPARSE, "whole numbers from 1"},
        {"weighted:1,1,1/9", 3, QRT_ERANGE, "total 3"},
        {"weighted:1,1,1x", 3, QRT_EPARSE, "unexpected"},
        {"grid:2x3", 5, QRT_EINVAL, "holds 6 nodes, and there are 5"},
        {"grid:2", 2, QRT_EPARSE, "ROWSxCOLUMNS"},
        {"grid:0x2", 2, QRT_EPARSE, "ROWSxCOLUMNS"},
        {"majorty", 3, QRT_EINVAL, "there are majority"},
        {"majority", 0, QRT_ERANGE, "not of 0"},
        {"majority", 129, QRT_ERANGE, "not of 129"},
        {"flexible:99999999999999999999,1", 5, QRT_EPARSE, "flexible:R,W"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct quorum_rule rule;
        struct error e = {0};
        qrt_status status = quorum_rule_parse(cases[i].text, cases[i].nodes, &rule, &e);
        if (status != cases[i].status || !strstr(e.text, cases[i].reason))
            fail_msg("%s of %u: %d, %s", cases[i].text, cases[i].nodes, status, e.text);
    }
}

/* Flexible and grid quorums suit Paxos; one vote a term needs elections that meet as well. */
static void test_quorum_needs_are_checked(void **state) {
    (void)state;
    struct error e = {0};
    struct quorum_rule flexible = rule_of("flexible:2,4", 5), grid = rule_of("grid:2x3", 6);
    assert_int_equal(quorum_rule_validate(&flexible, 0, &e), QRT_OK);
    assert_int_equal(quorum_rule_validate(&flexible, QUORUM_WRITES_MEET, &e), QRT_OK);
    assert_int_equal(quorum_rule_validate(&flexible, QUORUM_READS_MEET, &e), QRT_EINVAL);
    assert_non_null(strstr(e.text, "at least 3 are needed"));
    assert_int_equal(quorum_rule_validate(&grid, QUORUM_WRITES_MEET, &e), QRT_OK);
    assert_int_equal(quorum_rule_validate(&grid, QUORUM_READS_MEET, &e), QRT_EINVAL);
    assert_true(least_shared(&grid, QUORUM_WRITE, QUORUM_WRITE) > 0);
    assert_int_equal(least_shared(&grid, QUORUM_READ, QUORUM_READ), 0);
    char text[256];
    struct quorum_rule majority = rule_of("majority", 5);
    quorum_rule_describe(&majority, text, sizeof text);
    assert_string_equal(text, "any 3 of 5 nodes: stands 2 crashes and 0 liars");
}

/* --- etcd-io/raft's tables: `cmd args`, `----`, expected text up to the blank line
 * ------------------------------- */

struct table_case {
    size_t ids[2][16], id_count[2]; /* the two configurations, in the order given */
    bool joint;
    size_t voters[32], voter_count; /* both, ascending and distinct */
    uint64_t acknowledged[32];
    bool known[32];
    uint8_t ballots[32];
};

static void voters_add(struct table_case *c, size_t id) {
    size_t at = 0;
    while (at < c->voter_count && c->voters[at] < id) at++;
    if (at < c->voter_count && c->voters[at] == id) return;
    memmove(&c->voters[at + 1], &c->voters[at], (c->voter_count - at) * sizeof *c->voters);
    c->voters[at] = id;
    c->voter_count++;
}

/* Values come in the order of the first configuration, then the new ids of the second, as ids were given. */
static void values_read(struct table_case *c, const char *text) {
    size_t order[32], count = 0;
    for (int half = 0; half < 2; half++)
        for (size_t i = 0; i < c->id_count[half]; i++) {
            bool seen = false;
            for (size_t j = 0; j < count; j++) seen |= order[j] == c->ids[half][i];
            if (!seen) order[count++] = c->ids[half][i];
        }
    for (size_t i = 0; i < count && *text && *text != ')'; i++) {
        while (*text == '(' || *text == ',' || *text == ' ') text++;
        size_t at = 0;
        while (c->voters[at] != order[i]) at++;
        c->known[at] = *text != '_';
        if (*text >= '0' && *text <= '9') c->acknowledged[at] = strtoull(text, NULL, 10);
        c->ballots[at] = *text == 'y' ? JOINT_YES : *text == 'n' ? JOINT_NO : JOINT_SILENT;
        while (*text && *text != ',' && *text != ')') text++;
    }
}

static void ids_read(struct table_case *c, int half, const char *text) {
    while (*text && *text != ')') {
        char *end;
        unsigned long id = strtoul(text, &end, 10);
        if (end == text) {
            text++;
            continue;
        }
        c->ids[half][c->id_count[half]++] = id;
        voters_add(c, id);
        text = end;
    }
}

static void case_read(struct table_case *c, const char *line) {
    const char *cfg = strstr(line, "cfg=("), *cfgj = strstr(line, "cfgj="), *values = strstr(line, "idx=");
    *c = (struct table_case){.joint = cfgj != NULL};
    if (!values) values = strstr(line, "votes=");
    if (cfg) ids_read(c, 0, cfg + 5);
    if (cfgj && cfgj[5] == '(') ids_read(c, 1, cfgj + 6);
    if (values) values_read(c, strchr(values, '('));
}

static size_t voter_index(const struct table_case *c, size_t id) {
    size_t at = 0;
    while (c->voters[at] != id) at++;
    return at;
}

static uint64_t case_commit(const struct table_case *c, int half) {
    uint64_t acknowledged[16];
    for (size_t i = 0; i < c->id_count[half]; i++) acknowledged[i] = c->acknowledged[voter_index(c, c->ids[half][i])];
    return joint_majority_commit(acknowledged, c->id_count[half]);
}

static enum quorum_result case_vote(const struct table_case *c, int half) {
    uint8_t ballots[16];
    for (size_t i = 0; i < c->id_count[half]; i++) ballots[i] = c->ballots[voter_index(c, c->ids[half][i])];
    return joint_majority_vote(ballots, c->id_count[half]);
}

/* etcd's picture: a bar as long as the number of voters behind this one. */
static void picture_print(const struct table_case *c, struct buffer *out) {
    size_t n = c->voter_count;
    if (!n) {
        buffer_printf(out, "<empty majority quorum>");
        return;
    }
    buffer_printf(out, "%*s    idx\n", (int)n, "");
    for (size_t i = 0; i < n; i++) {
        size_t bar = 0;
        for (size_t j = 0; j < n; j++) bar += c->acknowledged[j] < c->acknowledged[i];
        if (!c->known[i]) bar = 0;
        for (size_t j = 0; j < bar; j++) buffer_printf(out, "x");
        buffer_printf(out, "%s%*s %5llu    (id=%zu)\n", c->known[i] ? ">" : "?", (int)(n - bar), "",
                      (unsigned long long)c->acknowledged[i], c->voters[i]);
    }
}

static void answer_print(const struct table_case *c, bool vote, struct buffer *out) {
    if (vote) {
        enum quorum_result result = joint_vote(case_vote(c, 0), case_vote(c, 1));
        buffer_printf(out, "%s\n",
                      result == QUORUM_WON    ? "VoteWon"
                      : result == QUORUM_LOST ? "VoteLost"
                                              : "VotePending");
        return;
    }
    picture_print(c, out);
    uint64_t index = joint_commit(case_commit(c, 0), case_commit(c, 1));
    if (index == JOINT_UNBOUNDED)
        buffer_printf(out, "∞\n");
    else
        buffer_printf(out, "%llu\n", (unsigned long long)index);
}

static unsigned table_run(const char *name) {
    char relative[128], line[256], command[256];
    snprintf(relative, sizeof relative, "etcd-raft/quorum/%s", name);
    const char *path = data_path(relative);
    if (!path) skip();
    FILE *f = fopen(path, "r");
    unsigned cases = 0;
    while (fgets(command, sizeof command, f)) {
        if (*command == '#' || *command == '\n') continue;
        struct buffer wanted = {0}, got = {0};
        struct table_case c;
        assert_non_null(fgets(line, sizeof line, f));
        assert_string_equal(line, "----\n");
        while (fgets(line, sizeof line, f) && *line != '\n') buffer_append(&wanted, line, strlen(line));
        case_read(&c, command);
        answer_print(&c, !strncmp(command, "vote", 4), &got);
        if (strcmp(buffer_text(&wanted), buffer_text(&got)))
            fail_msg("%s: %swanted\n%sgot\n%s", name, command, buffer_text(&wanted), buffer_text(&got));
        buffer_free(&wanted);
        buffer_free(&got);
        cases++;
    }
    fclose(f);
    return cases;
}

/* All four files, the pictures included. */
static void test_quorum_etcd_tables(void **state) {
    (void)state;
    assert_true(table_run("majority_commit.txt") >= 14);
    assert_true(table_run("majority_vote.txt") >= 15);
    assert_true(table_run("joint_commit.txt") >= 40);
    assert_true(table_run("joint_vote.txt") >= 30);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_quorum_closed_forms),
        cmocka_unit_test(test_quorum_reports_are_true),
        cmocka_unit_test(test_quorum_refuses_what_does_not_meet),
        cmocka_unit_test(test_quorum_needs_are_checked),
        cmocka_unit_test(test_quorum_etcd_tables),
    };
    return cmocka_run_group_tests_name("quorum rules", tests, NULL, NULL);
}
