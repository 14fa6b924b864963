#include "protocol/quorum_rules.h"

#include "base/memory.h"

#include <stdlib.h>
#include <string.h>

#include "base/check.h"

static bool set_has(const uint64_t *members, uint32_t node) {
    return members[node / 64] >> (node % 64) & 1;
}

static uint32_t weight_total(const struct quorum_rule *rule) {
    uint32_t total = 0;
    for (uint32_t i = 0; i < rule->nodes; i++) total += rule->weights[i];
    return total;
}

/* The weights in descending order. */
static void weights_sort(const struct quorum_rule *rule, uint32_t sorted[QUORUM_NODES_MAX]) {
    for (uint32_t i = 0; i < rule->nodes; i++) {
        uint32_t j = i;
        for (; j > 0 && sorted[j - 1] < rule->weights[i]; j--) sorted[j] = sorted[j - 1];
        sorted[j] = rule->weights[i];
    }
}

/* Reads a decimal number of at most `high` and moves on; false when there is none. */
static bool number_read(const char **text, uint32_t low, uint32_t high, uint32_t *out) {
    if (**text < '0' || **text > '9') return false;
    char *end;
    unsigned long value = strtoul(*text, &end, 10);
    if (value < low || value > high) return false;
    *text = end;
    *out = (uint32_t)value;
    return true;
}

static qrt_status parse_weighted(const char *text, struct quorum_rule *rule, struct error *e) {
    const char *at = text;
    uint32_t count = 0;
    do {
        if (count == rule->nodes)
            return error_set(e, QRT_EINVAL, "weighted:%s names more weights than there are nodes (%u)", text,
                             rule->nodes);
        if (!number_read(&at, 1, QUORUM_WEIGHT_MAX, &rule->weights[count++]))
            return error_set(e, QRT_EPARSE, "weighted:%s: weights are whole numbers from 1 to %d, with commas between",
                             text, QUORUM_WEIGHT_MAX);
    } while (*at++ == ',');
    at--;
    if (count != rule->nodes)
        return error_set(e, QRT_EINVAL, "weighted:%s names %u weights for %u nodes", text, count, rule->nodes);
    uint32_t total = weight_total(rule);
    rule->threshold = total / 2 + 1;
    if (*at == '/') {
        at++;
        if (!number_read(&at, 1, total, &rule->threshold))
            return error_set(e, QRT_ERANGE,
                             "weighted:%s: behind / stands the weight of a quorum, from 1 to the total %u", text,
                             total);
    }
    if (*at) return error_set(e, QRT_EPARSE, "weighted:%s ends in something unexpected: '%s'", text, at);
    if (2 * (uint64_t)rule->threshold <= total)
        return error_set(e, QRT_EINVAL,
                         "two quorums of weight %u need not meet: the nodes weigh %u, and 2 x %u is not more than that",
                         rule->threshold, total, rule->threshold);
    return QRT_OK;
}

static qrt_status parse_flexible(const char *text, struct quorum_rule *rule, struct error *e) {
    uint32_t read, write, n = rule->nodes;
    const char *at = text;
    bool numbers = number_read(&at, 0, 1000000, &read) && *at++ == ',' && number_read(&at, 0, 1000000, &write);
    if (!numbers || *at)
        return error_set(e, QRT_EPARSE, "flexible:%s should be flexible:R,W, the sizes of a read and a write quorum",
                         text);
    if (!read || !write || read > n || write > n)
        return error_set(e, QRT_ERANGE, "flexible:%s: of %u nodes a quorum has between 1 and %u", text, n, n);
    if (read + write <= n)
        return error_set(e, QRT_EINVAL,
                         "a read quorum of %u and a write quorum of %u of %u nodes need not meet: %u + %u is not "
                         "more than %u",
                         read, write, n, read, write, n);
    rule->size[QUORUM_READ] = (uint16_t)read;
    rule->size[QUORUM_WRITE] = (uint16_t)write;
    return QRT_OK;
}

static qrt_status parse_grid(const char *text, struct quorum_rule *rule, struct error *e) {
    uint32_t rows, columns;
    const char *at = text;
    bool numbers =
        number_read(&at, 1, QUORUM_NODES_MAX, &rows) && *at++ == 'x' && number_read(&at, 1, QUORUM_NODES_MAX, &columns);
    if (!numbers || *at) return error_set(e, QRT_EPARSE, "grid:%s should be grid:ROWSxCOLUMNS, as in grid:2x3", text);
    if (rows * columns != rule->nodes)
        return error_set(e, QRT_EINVAL, "a grid of %u x %u holds %u nodes, and there are %u", rows, columns,
                         rows * columns, rule->nodes);
    rule->rows = (uint16_t)rows;
    rule->columns = (uint16_t)columns;
    return QRT_OK;
}

static qrt_status parse_counted(struct quorum_rule *rule, enum quorum_kind kind, uint32_t size) {
    rule->kind = kind;
    rule->size[QUORUM_READ] = rule->size[QUORUM_WRITE] = (uint16_t)size;
    return QRT_OK;
}

/* The text behind "name:", or NULL when the rule has another name. */
static const char *rule_arguments(const char *text, const char *name) {
    size_t length = strlen(name);
    return !strncmp(text, name, length) && text[length] == ':' ? text + length + 1 : NULL;
}

qrt_status quorum_rule_parse(const char *text, uint32_t nodes, struct quorum_rule *rule, struct error *e) {
    memset(rule, 0, sizeof *rule);
    if (!nodes || nodes > QUORUM_NODES_MAX)
        return error_set(e, QRT_ERANGE, "a quorum is of 1 to %d nodes, not of %u", QUORUM_NODES_MAX, nodes);
    rule->nodes = (uint16_t)nodes;
    if (!strcmp(text, "majority")) return parse_counted(rule, QUORUM_MAJORITY, nodes / 2 + 1);
    if (!strcmp(text, "two-thirds") || !strcmp(text, "byzantine"))
        return parse_counted(rule, QUORUM_TWO_THIRDS, (2 * nodes - 1) / 3 + 1);
    if (!strcmp(text, "all")) return parse_counted(rule, QUORUM_ALL, nodes);
    const char *arguments;
    if ((arguments = rule_arguments(text, "weighted"))) {
        rule->kind = QUORUM_WEIGHTED;
        return parse_weighted(arguments, rule, e);
    }
    if ((arguments = rule_arguments(text, "flexible"))) {
        rule->kind = QUORUM_FLEXIBLE;
        return parse_flexible(arguments, rule, e);
    }
    if ((arguments = rule_arguments(text, "grid"))) {
        rule->kind = QUORUM_GRID;
        return parse_grid(arguments, rule, e);
    }
    return error_set(e, QRT_EINVAL,
                     "there is no quorum rule '%.60s': there are majority, two-thirds (or byzantine), all, "
                     "weighted:W1,W2,..., flexible:READ,WRITE and grid:ROWSxCOLUMNS",
                     text);
}

qrt_status quorum_rule_validate(const struct quorum_rule *rule, unsigned needs, struct error *e) {
    if (rule->kind == QUORUM_GRID && needs & QUORUM_READS_MEET && rule->rows > 1)
        return error_set(e, QRT_EINVAL,
                         "two read quorums of a grid are two rows and do not meet, but here two elections must share "
                         "a voter; use a grid of one row, or another rule");
    if (rule->kind != QUORUM_FLEXIBLE) return QRT_OK; /* all others meet themselves */
    static const struct {
        unsigned need;
        enum quorum_phase phase;
        const char *name, *reason;
    } rows[] = {{QUORUM_READS_MEET, QUORUM_READ, "read", "two elections must share a voter"},
                {QUORUM_WRITES_MEET, QUORUM_WRITE, "write", "two writes must share a node"}};
    for (size_t i = 0; i < 2; i++) {
        uint32_t size = rule->size[rows[i].phase];
        if (needs & rows[i].need && 2 * size <= rule->nodes)
            return error_set(e, QRT_EINVAL,
                             "two %s quorums of %u of %u nodes need not meet, but here %s: at least %u are needed",
                             rows[i].name, size, rule->nodes, rows[i].reason, rule->nodes / 2 + 1);
    }
    return QRT_OK;
}

static bool line_full(const uint64_t *members, uint32_t first, uint32_t step, uint32_t count) {
    for (uint32_t i = 0; i < count; i++)
        if (!set_has(members, first + i * step)) return false;
    return true;
}

static bool grid_met(const struct quorum_rule *rule, enum quorum_phase phase, const uint64_t *members) {
    bool row = false, column = phase == QUORUM_READ;
    for (uint32_t r = 0; r < rule->rows && !row; r++) row = line_full(members, r * rule->columns, 1, rule->columns);
    for (uint32_t c = 0; c < rule->columns && !column; c++) column = line_full(members, c, rule->columns, rule->rows);
    return row && column;
}

bool quorum_rule_met(const struct quorum_rule *rule, enum quorum_phase phase, const uint64_t members[QUORUM_WORDS]) {
    if (rule->kind == QUORUM_GRID) return grid_met(rule, phase, members);
    uint32_t count = 0, weight = 0;
    for (uint32_t i = 0; i < rule->nodes; i++) {
        if (!set_has(members, i)) continue;
        count++;
        weight += rule->weights[i];
    }
    return rule->kind == QUORUM_WEIGHTED ? weight >= rule->threshold : count >= rule->size[phase];
}

bool quorum_rule_writes(const void *rule, const uint64_t members[QUORUM_WORDS]) {
    return quorum_rule_met(rule, QUORUM_WRITE, members);
}

struct quorum_rule quorum_rule_or_majority(const struct quorum_rule *given, uint32_t nodes) {
    struct quorum_rule rule;
    struct error e;
    if (given) return *given;
    CHECK(quorum_rule_parse("majority", nodes, &rule, &e) == QRT_OK);
    return rule;
}

static bool is_counted(const struct quorum_rule *rule) {
    return rule->kind != QUORUM_WEIGHTED && rule->kind != QUORUM_GRID;
}

uint64_t quorum_rule_reached(const struct quorum_rule *rule, enum quorum_phase phase, const uint64_t *values) {
    uint64_t best = 0;
    if (is_counted(rule)) return quorum_reached(values, rule->nodes, rule->size[phase]);
    for (uint32_t i = 0; i < rule->nodes; i++) {
        uint64_t set[QUORUM_WORDS] = {0};
        for (uint32_t k = 0; k < rule->nodes; k++)
            if (values[k] >= values[i]) set[k / 64] |= UINT64_C(1) << k % 64;
        if (values[i] > best && quorum_rule_met(rule, phase, set)) best = values[i];
    }
    return best;
}

enum quorum_result quorum_rule_vote(const struct quorum_rule *rule, enum quorum_phase phase,
                                    const uint64_t granted[QUORUM_WORDS], const uint64_t refused[QUORUM_WORDS]) {
    uint64_t possible[QUORUM_WORDS];
    for (size_t i = 0; i < QUORUM_WORDS; i++) possible[i] = ~refused[i];
    if (quorum_rule_met(rule, phase, granted)) return QUORUM_WON;
    return quorum_rule_met(rule, phase, possible) ? QUORUM_PENDING : QUORUM_LOST;
}

/* Adversaries take the heaviest. Two quorums share at least weight 2T - W; liars that weigh less cannot be
 * all of what is shared. */
static struct quorum_report report_weighted(const struct quorum_rule *rule) {
    uint32_t sorted[QUORUM_NODES_MAX], total = weight_total(rule), shared = 2 * rule->threshold - total;
    weights_sort(rule, sorted);
    struct quorum_report report = {0};
    for (uint32_t gathered = 0; gathered < rule->threshold; gathered += sorted[report.read++]) {}
    report.write = report.read;
    for (uint32_t taken = 0; report.crashes < rule->nodes; report.crashes++) {
        taken += sorted[report.crashes];
        if (total - taken < rule->threshold) break;
        if (taken < shared) report.liars = (uint16_t)(report.crashes + 1);
    }
    return report;
}

/* A node down in each row breaks all rows, one in each column all columns. A row meets a row and a column in
 * one node only (unless it is the whole grid), and that one may lie. */
static struct quorum_report report_grid(const struct quorum_rule *rule) {
    uint16_t shorter = rule->rows < rule->columns ? rule->rows : rule->columns;
    return (struct quorum_report){.read = rule->columns,
                                  .write = (uint16_t)(rule->rows + rule->columns - 1),
                                  .crashes = (uint16_t)(shorter - 1),
                                  .liars = 0};
}

struct quorum_report quorum_rule_report(const struct quorum_rule *rule) {
    if (rule->kind == QUORUM_WEIGHTED) return report_weighted(rule);
    if (rule->kind == QUORUM_GRID) return report_grid(rule);
    uint16_t read = rule->size[QUORUM_READ], write = rule->size[QUORUM_WRITE];
    uint16_t larger = read > write ? read : write, crashes = (uint16_t)(rule->nodes - larger);
    uint16_t spare = (uint16_t)(read + write - rule->nodes - 1); /* shared nodes beyond the one that must be honest */
    return (struct quorum_report){read, write, crashes, spare < crashes ? spare : crashes};
}

void quorum_rule_describe(const struct quorum_rule *rule, char *text, size_t size) {
    struct quorum_report report = quorum_rule_report(rule);
    char sets[128];
    if (rule->kind == QUORUM_WEIGHTED)
        text_format(sets, sizeof sets, "nodes of weight %u or more of %u", rule->threshold, weight_total(rule));
    else if (rule->kind == QUORUM_GRID)
        text_format(sets, sizeof sets, "a row of %u to read, a row and a column of %u x %u to write", rule->columns,
                    rule->rows, rule->columns);
    else if (report.read == report.write)
        text_format(sets, sizeof sets, "any %u of %u nodes", report.read, rule->nodes);
    else
        text_format(sets, sizeof sets, "any %u of %u nodes to read, any %u to write", report.read, rule->nodes,
                    report.write);
    text_format(text, size, "%s: stands %u crash%s and %u liar%s", sets, report.crashes,
                report.crashes == 1 ? "" : "es", report.liars, report.liars == 1 ? "" : "s");
}
