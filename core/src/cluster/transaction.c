#include "cluster/transaction.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "base/stopwatch.h"
#include "check/atomic.h"
#include "cluster/values.h"
#include "protocol/transaction.h"

#define LISTED_MAX 1000 /* times that somebody was blocked, in one report */
#define LOOK_NS 1000000 /* how often it is looked whether all have decided */

/* ---- beginning one ---- */

static qrt_status check_node(struct cluster *c, uint16_t node, const char *what, struct error *e) {
    struct node_view v;
    if (node < 1 || node > c->config.options.nodes)
        return error_set(e, QRT_ENOTFOUND, "there is no node %u to %s; nodes are 1 to %lld", node, what,
                         (long long)c->config.options.nodes);
    c->class->view(c->runtime, node, &v);
    if (v.up && !v.paused) return QRT_OK;
    return error_set(e, QRT_EDOWN, "n%u is %s and cannot %s: %s it, or leave it out", node, v.up ? "paused" : "down",
                     what, v.up ? "resume" : "restart");
}

static int compare_parts(const void *a, const void *b) {
    const struct transaction_part *x = a, *y = b;
    return (x->node > y->node) - (x->node < y->node);
}

static qrt_status check_parts(struct cluster *c, const struct transaction_part *parts, size_t count, struct error *e) {
    for (size_t i = 0; i < count; i++) {
        qrt_status s = check_node(c, parts[i].node, "take part", e);
        if (s) return s;
        if (i && parts[i].node == parts[i - 1].node)
            return error_set(e, QRT_EINVAL, "n%u is listed twice: a node takes part once", parts[i].node);
        if (parts[i].vote < QRT_VOTE_YES || parts[i].vote > QRT_VOTE_READ_ONLY)
            return error_set(e, QRT_EINVAL, "n%u has no vote of number %u: it is yes, no or read-only", parts[i].node,
                             parts[i].vote);
    }
    return QRT_OK;
}

static qrt_status propose_parts(struct cluster *c, uint16_t coordinator, const struct transaction_part *parts,
                                size_t count, uint64_t *ticket, struct error *e) {
    struct buffer data = {0};
    qrt_status s;
    if (transaction_encode(parts, count, &data) && data.size <= COMMAND_VALUE_MAX)
        s = cluster_propose(c, coordinator, bytes_of(data.data, data.size), ticket, e);
    else
        s = error_set(e, QRT_ETOOLARGE, "what a transaction's participants are to do holds at most %u bytes in all",
                      COMMAND_VALUE_MAX);
    buffer_free(&data);
    return s;
}

qrt_status cluster_transact(struct cluster *c, uint16_t coordinator, const qrt_participant *participants, size_t count,
                            uint64_t *ticket, struct error *e) {
    const char *judges = c->config.protocol->judged_by;
    if (!judges || !text_lists(judges, "atomic-commit"))
        return error_set(e, QRT_EUNSUPPORTED, "%s has no transactions; a cluster of 2pc has", c->config.protocol->name);
    if (c->afar)
        return error_set(
            e, QRT_EUNSUPPORTED,
            "who decided what is read from the nodes' traces, which nodes by hand keep to themselves: propose "
            "instead; all nodes take part, and the answer says commit or abort");
    if (count < 1 || count > TRANSACTION_MEMBERS_MAX)
        return error_set(e, QRT_ERANGE, "a transaction has 1 to %d participants, not %zu", TRANSACTION_MEMBERS_MAX,
                         count);
    struct transaction_part parts[TRANSACTION_MEMBERS_MAX];
    for (size_t i = 0; i < count; i++) {
        const qrt_participant *p = &participants[i];
        if (p->size > COMMAND_VALUE_MAX)
            return error_set(e, QRT_ETOOLARGE, "what n%u is to do holds at most %u bytes, not %zu", p->node,
                             COMMAND_VALUE_MAX, p->size);
        parts[i] = (struct transaction_part){p->node, p->vote, bytes_of(p->work, p->size)};
    }
    qsort(parts, count, sizeof *parts, compare_parts);
    qrt_status s = check_parts(c, parts, count, e);
    if (!s && coordinator) s = check_node(c, coordinator, "coordinate", e);
    return s ? s : propose_parts(c, coordinator ? coordinator : parts[0].node, parts, count, ticket, e);
}

/* ---- looking at one ---- */

struct view { /* of a transaction */
    const struct proposal *proposal;
    struct transaction what;
    qrt_result result;
    uint64_t id; /* 0: not known to have begun */
};

static bool transaction_view(struct cluster *c, uint64_t ticket, struct view *v, struct error *e) {
    uint16_t members[TRANSACTION_MEMBERS_MAX];
    uint16_t n = (uint16_t)c->config.options.nodes;
    for (uint16_t i = 0; i < n; i++) members[i] = (uint16_t)(i + 1);
    *v = (struct view){.proposal = ticket >= 1 && ticket <= c->proposal_count ? &c->proposals[ticket - 1] : NULL};
    if (!v->proposal) {
        error_set(e, QRT_ENOTFOUND, "there is no ticket %llu", (unsigned long long)ticket);
        return false;
    }
    struct bytes data = bytes_of(c->proposal_bytes.data + v->proposal->offset, v->proposal->size);
    if (!transaction_is_listed(data) || !transaction_read(data, members, n, 0, 0, &v->what)) {
        error_set(e, QRT_EINVAL, "ticket %llu is not that of a transaction", (unsigned long long)ticket);
        return false;
    }
    c->class->trace(c->runtime); /* live: merges what its nodes have written, which feeds the checker */
    cluster_result(c, ticket, &v->result, e);
    v->id = v->result.index;
    if (!v->id) v->id = atomic_begun(c->checkers, v->proposal->node, v->what.digest, v->proposal->made);
    return true;
}

static struct atomic_part part_of(struct cluster *c, const struct view *v, uint16_t node) {
    struct atomic_part part = {0};
    if (v->id) atomic_part_of(c->checkers, v->id, node, &part);
    return part;
}

/* All that are up; who has left after a read-only vote decides nothing. */
static bool all_decided(struct cluster *c, const struct view *v) {
    for (uint16_t node = 1; node <= c->config.options.nodes; node++) {
        struct atomic_part part = part_of(c, v, node);
        struct node_view view;
        if (!members_has(&v->what.participants, node - 1u)) continue;
        c->class->view(c->runtime, node, &view);
        if (view.up && part.vote != QRT_VOTE_READ_ONLY && !part.decision) return false;
    }
    return true;
}

/* Who has voted yes and may not decide alone. */
static unsigned waiting(struct cluster *c, const struct view *v) {
    unsigned count = 0;
    for (uint16_t node = 1; node <= c->config.options.nodes; node++) {
        uint8_t state = part_of(c, v, node).state;
        count += state == QRT_TRANSACTION_PREPARED || state == QRT_TRANSACTION_BLOCKED ||
                 state == QRT_TRANSACTION_PRECOMMITTED || state == QRT_TRANSACTION_TERMINATING;
    }
    return count;
}

qrt_status cluster_transaction_await(struct cluster *c, uint64_t ticket, int64_t until, int64_t slice_ns,
                                     struct error *e) {
    int64_t deadline = stopwatch_ns() + slice_ns;
    qrt_result result;
    struct view v;
    struct condition nothing = {0};
    qrt_status s = cluster_await(c, ticket, until, slice_ns, &result, e);
    if (s) return s;
    if (result.status == QRT_EINVAL)
        error_set(e, QRT_EINVAL,
                  "n%u cannot begin that transaction: where participants do, it must take part, and not only read, and "
                  "the option manager must name a node",
                  result.node);
    if (result.status != QRT_EUNKNOWN) return result.status;
    for (;;) {
        int64_t now = c->class->now(c->runtime), next = now + LOOK_NS < until ? now + LOOK_NS : until;
        if (now >= until || !transaction_view(c, ticket, &v, e) || !v.id || all_decided(c, &v)) return QRT_OK;
        s = c->class->run(c->runtime, next, &nothing, slice_ns);
        if (s == QRT_MORE || (slice_ns && stopwatch_ns() >= deadline)) return QRT_MORE;
    }
}

/* ---- reports ---- */

static const char *vote_name(uint8_t vote) {
    static const char *const names[] = {"none", "yes", "no", "read-only"};
    return names[vote & 3];
}

static const char *state_name(const struct atomic_part *part) {
    static const char *const names[] = {"none",    "begun",   "prepared",     "committed",
                                        "aborted", "blocked", "precommitted", "terminating"};
    if (part->decision) return part->decision == 1 ? "committed" : "aborted";
    return names[part->state & 7];
}

static json_t *episode_value(struct cluster *c, const struct atomic_episode *b) {
    bool lasts = b->until == INT64_MAX;
    int64_t until = lasts ? c->class->now(c->runtime) : b->until;
    char name[48];
    snprintf(name, sizeof name, "n%u:%" PRIu64, transaction_node(b->transaction), transaction_sequence(b->transaction));
    return json_pack("{s:I, s:s, s:i, s:i, s:f, s:f, s:b}", "transaction", (json_int_t)b->transaction, "name", name,
                     "node", b->node, "waits_for", b->manager, "since", (double)b->since / 1e9, "seconds",
                     (double)(until - b->since) / 1e9, "lasts", lasts);
}

/* Of one transaction, or, with 0, of all. */
static json_t *blocked_value(struct cluster *c, uint64_t id) {
    json_t *list = json_array();
    struct atomic_episode b;
    for (size_t i = 0; atomic_episode_at(c->checkers, i, &b) && json_array_size(list) < LISTED_MAX; i++)
        if (!id || b.transaction == id) json_array_append_new(list, episode_value(c, &b));
    return list;
}

json_t *report_transactions(struct cluster *c) {
    struct atomic_counts n;
    if (!atomic_counts_of(c->checkers, &n)) return NULL;
    return json_pack("{s:I, s:I, s:I, s:I, s:I, s:o}", "begun", (json_int_t)n.begun, "committed",
                     (json_int_t)n.committed, "aborted", (json_int_t)n.aborted, "undecided", (json_int_t)n.undecided,
                     "times_blocked", (json_int_t)n.episodes, "blocked", blocked_value(c, 0));
}

static json_t *participants_value(struct cluster *c, const struct view *v) {
    json_t *list = json_array();
    for (uint16_t node = 1; node <= c->config.options.nodes; node++) {
        if (!members_has(&v->what.participants, node - 1u)) continue;
        struct atomic_part part = part_of(c, v, node);
        struct node_view view;
        c->class->view(c->runtime, node, &view);
        const char *state = view.up || part.decision ? state_name(&part) : "down";
        json_array_append_new(list,
                              json_pack("{s:i, s:s, s:s}", "node", node, "vote", vote_name(part.vote), "state", state));
    }
    return list;
}

/* Why the outcome is not known, in the user's terms; "" when it is. */
static void say_why(struct cluster *c, const struct view *v, char *out, size_t size) {
    struct node_view node;
    uint16_t taker = v->proposal->node;
    *out = 0;
    if (v->result.status == QRT_OK) return;
    c->class->view(c->runtime, taker, &node);
    const char *how = node.up ? node.paused ? "is paused" : "has not decided yet" : "is down";
    if (node.up && v->result.status != QRT_MORE) how = "was down before it could answer";
    snprintf(out, size, "n%u, which took the transaction, %s; %u of %u participants wait for the decision", taker, how,
             waiting(c, v), members_count(&v->what.participants));
}

const char *report_transaction(struct cluster *c, uint64_t ticket, struct error *e) {
    struct view v;
    if (!transaction_view(c, ticket, &v, e)) return NULL;
    char outcome[16] = "unknown";
    if (v.result.status == QRT_OK)
        snprintf(outcome, sizeof outcome, "%.*s", (int)v.result.size, (const char *)v.result.data);
    char why[ERROR_TEXT_MAX];
    say_why(c, &v, why, sizeof why);
    int64_t latency = v.result.status == QRT_OK ? v.result.latency_ns : c->class->now(c->runtime) - v.proposal->made;
    json_t *root =
        json_pack("{s:I, s:i, s:s, s:s, s:f, s:o, s:o}", "index", (json_int_t)v.id, "coordinator", v.proposal->node,
                  "outcome", outcome, "why", why, "latency", (double)latency / 1e9, "participants",
                  participants_value(c, &v), "blocked", v.id ? blocked_value(c, v.id) : json_array());
    return dump_value(root, &c->text, 15);
}
