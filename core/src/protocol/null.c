/* The null protocol: what a runtime costs when the protocol costs nothing. A ping goes round the ring of
 * members, folds its term into the node's state and into itself, and dies when its hops are spent. A proposal
 * of 8 bytes (the number of hops, little-endian; 1 otherwise) starts one. */
#include <inttypes.h>
#include <stdlib.h>

#include "base/check.h"
#include "base/hash.h"
#include "protocol/protocol.h"
#include "protocol/view.h"

struct null {
    uint16_t node, next;
    uint64_t term, seen;
};

static void *null_create(const struct protocol_config *c) {
    struct null *n = mem_zero(1, sizeof *n);
    n->node = c->node;
    n->next = c->members[0];
    for (uint16_t i = 0; i + 1 < c->member_count; i++)
        if (c->members[i] == c->node) n->next = c->members[i + 1];
    return n;
}

static void null_destroy(void *state) {
    free(state);
}

static void *null_clone(const void *state) {
    return mem_copy(state, sizeof(struct null));
}

static uint64_t null_fingerprint(const void *state) {
    const struct null *n = state;
    return hash_fold(hash_fold(n->node, n->term), n->seen);
}

static void forward(struct null *n, struct message *ping, struct outbox *out) {
    outbox_send(out, n->next, ping, 0, ping->as.ping.term, ping->as.ping.hops);
}

static void on_ping(struct null *n, const struct message *m, struct outbox *out) {
    const struct wire_ping *p = &m->as.ping;
    n->seen++;
    n->term = hash_fold(n->term, p->term);
    if (p->hops <= 1 || n->next == n->node) return;
    struct message ping;
    ping.kind = WIRE_PING;
    ping.as.ping = (struct wire_ping){n->term, p->hops - 1, p->a, p->b, p->c};
    forward(n, &ping, out);
}

static void on_propose(struct null *n, const struct event *e, struct outbox *out) {
    struct message ping = {.kind = WIRE_PING};
    ping.as.ping.hops = 1;
    ping.as.ping.term = e->as.propose.token;
    if (e->as.propose.data.size == 8) memcpy(&ping.as.ping.hops, e->as.propose.data.data, 8);
    if (n->next != n->node && ping.as.ping.hops) forward(n, &ping, out);
    outbox_reply(out, e->as.propose.token, QRT_OK, n->node);
}

static void null_step(void *state, const struct event *e, struct outbox *out) {
    struct null *n = state;
    switch ((enum event_kind)e->kind) {
    case EVENT_MESSAGE:
        if (e->as.message->kind == WIRE_PING) on_ping(n, e->as.message, out);
        break;
    case EVENT_PROPOSE: on_propose(n, e, out); break;
    case EVENT_READ: outbox_reply(out, e->as.read.token, QRT_EUNSUPPORTED, 0); break;
    case EVENT_START: outbox_note(out, QRT_KIND_START, e->as.start.how, 0, 0, 0, 0, 0); break;
    case EVENT_RECORD:
    case EVENT_CHECKPOINT:
    case EVENT_TIMER:
    case EVENT_STORED:
    case EVENT_OPINION:
    case EVENT_LOCAL:
    case EVENT_ROOM: break;
    }
}

static void null_status(const void *state, struct protocol_status *s) {
    const struct null *n = state;
    *s = (struct protocol_status){.role = QRT_ROLE_FOLLOWER, .term = n->term, .last = n->seen};
}

static int null_describe(const void *state, char *out, size_t size) {
    const struct null *n = state;
    struct buffer text = {0};
    buffer_printf(&text, "n%u has seen %" PRIu64 " pings", n->node, n->seen);
    return view_finish(&text, out, size);
}

static void null_inspect(const void *state, inspect_fn *field, void *context) {
    const struct null *n = state;
    struct buffer text = {0};
    buffer_printf(&text, "%" PRIu64, n->seen);
    field(context, "seen", buffer_text(&text));
    buffer_free(&text);
}

static bool null_invariants(const void *state, struct error *e) {
    (void)state, (void)e;
    return true;
}

static const struct option_spec option_specs[] = {{0}};
static const struct bug bugs[] = {{0}};

static const struct fault_model model = {
    .tolerates_loss = true,
    .tolerates_reorder = true,
    .tolerates_duplicates = true,
    .tolerates_corruption = true,
    .tolerates_partition = true,
    .tolerates_pause = true,
    .tolerates_skew = true,
    .crash_recovers = true,
    .crash_wipes = true,
    .loses_unsynced = true,
    .crashes = "n",
    .liars = "n",
    .assumes = "it promises nothing",
};

const struct protocol protocol_null = {
    .name = "null",
    .summary = "pings round a ring, for measuring a runtime",
    .options = {"null", option_specs},
    .options_size = 1,
    .model = &model,
    .bugs = bugs,
    .create = null_create,
    .destroy = null_destroy,
    .clone = null_clone,
    .fingerprint = null_fingerprint,
    .step = null_step,
    .status = null_status,
    .describe = null_describe,
    .inspect = null_inspect,
    .invariants = null_invariants,
};
