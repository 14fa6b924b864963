/* Quorum rules: which sets of nodes may decide, and what such a system of sets stands.
 *
 *   majority        floor(n/2) + 1
 *   two-thirds      floor((2n-1)/3) + 1 = ceil(2n/3), the least Byzantine quorum (so: "byzantine")
 *   all             n
 *   weighted:3,1,1  nodes whose weights sum to more than half (weighted:3,1,1/4: to 4 or more)
 *   flexible:2,4    any 2 to read (elect, phase 1), any 4 to write (phase 2) (Howard and others 2016)
 *   grid:2x3        nodes in rows: a whole row to read, a whole row and a whole column to write (Cheung and
 *                   others 1992)
 *
 * Whatever the rule, a read quorum meets every write quorum; what else must meet is the protocol's to say
 * (enum quorum_need). A set of nodes is a bit set: node number i of the configuration, from 0, is bit i % 64
 * of word i / 64. */
#ifndef PROTOCOL_QUORUM_RULES_H
#define PROTOCOL_QUORUM_RULES_H

#include <stdbool.h>
#include <stdint.h>

#include "base/status.h"
#include "protocol/quorum.h"

enum { QUORUM_NODES_MAX = 128, QUORUM_WORDS = QUORUM_NODES_MAX / 64, QUORUM_WEIGHT_MAX = 1000000 };

enum quorum_kind {
    QUORUM_MAJORITY = 0,
    QUORUM_TWO_THIRDS = 1,
    QUORUM_ALL = 2,
    QUORUM_WEIGHTED = 3,
    QUORUM_FLEXIBLE = 4,
    QUORUM_GRID = 5,
};

enum quorum_phase { QUORUM_READ = 0, QUORUM_WRITE = 1 };

/* What must meet beyond read with write. One vote a term elects one leader only if elections share a voter;
 * writes without a leader are ordered only if two of them share a node. */
enum quorum_need { QUORUM_READS_MEET = 1, QUORUM_WRITES_MEET = 2 };

struct quorum_rule {
    enum quorum_kind kind;
    uint16_t nodes;
    uint16_t size[2];       /* by phase: counted rules */
    uint16_t rows, columns; /* QUORUM_GRID */
    uint32_t threshold;     /* QUORUM_WEIGHTED: this weight or more */
    uint32_t weights[QUORUM_NODES_MAX];
};

/* Reads a rule for n nodes; refused, with the reason, when a read quorum could miss a write quorum. */
qrt_status quorum_rule_parse(const char *text, uint32_t nodes, struct quorum_rule *rule, struct error *e);
/* Refuses, with the reason, a rule whose quorums need not meet where the protocol must have it (enum
 * quorum_need). */
qrt_status quorum_rule_validate(const struct quorum_rule *rule, unsigned needs, struct error *e);
/* A copy of the rule that was given; NULL: a majority of so many nodes. */
struct quorum_rule quorum_rule_or_majority(const struct quorum_rule *given, uint32_t nodes);
/* Does this set of nodes hold a quorum? */
bool quorum_rule_met(const struct quorum_rule *rule, enum quorum_phase phase, const uint64_t members[QUORUM_WORDS]);

/* Whether they hold a quorum to write; of any rule, as checkers take it. */
bool quorum_rule_writes(const void *rule, const uint64_t members[QUORUM_WORDS]);
/* The largest number that a quorum has reached, given the number that each node has: a commit index for match indices. */
uint64_t quorum_rule_reached(const struct quorum_rule *rule, enum quorum_phase phase, const uint64_t *values);
/* How a vote stands, given who granted and who refused. */
enum quorum_result quorum_rule_vote(const struct quorum_rule *rule, enum quorum_phase phase,
                                    const uint64_t granted[QUORUM_WORDS], const uint64_t refused[QUORUM_WORDS]);

/* What a rule stands, whichever nodes it hits. With that many crashed the others still hold a quorum of each
 * phase. With that many liars every two quorums that must meet share an honest node, and the honest hold a
 * quorum: a system of dissemination quorums (Malkhi and Reiter 1998). */
struct quorum_report {
    uint16_t read, write; /* nodes in the smallest quorum */
    uint16_t crashes, liars;
};
struct quorum_report quorum_rule_report(const struct quorum_rule *rule);
/* A sentence for people: "any 3 of 5 nodes: stands 2 crashes and 0 liars". */
void quorum_rule_describe(const struct quorum_rule *rule, char *text, size_t size);

#endif
