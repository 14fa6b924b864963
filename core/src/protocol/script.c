/* A user's own protocol: events to callbacks, wishes to effects. See script.h for the invariants. */
#include "protocol/script.h"
#include "protocol/view.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/hash.h"

struct script {
    const struct script_class *class;
    uint64_t own; /* the user's node; 0: its constructor failed */
    uint16_t node, member_count;
    uint16_t *members;
    struct random random;
    char (*timers)[SCRIPT_TIMER_NAME_MAX]; /* id is the place */
    uint32_t timer_count;
    struct buffer stored;
    bool has_stored;
    uint64_t persists; /* records so far */
    uint8_t role;
    uint16_t leader;
    uint64_t term, commit;

    struct outbox *out; /* of the step under way; NULL between steps */
    int64_t mono, wall;
    bool starting, raised;
    size_t start_note; /* while starting: which effect is the automatic START */
};

/* ---- life ---- */

static void *script_create(const struct protocol_config *c) {
    struct script *s = mem_zero(1, sizeof *s);
    s->class = c->context;
    s->node = c->node;
    s->members = mem_copy(c->members, c->member_count * sizeof *c->members);
    s->member_count = c->member_count;
    s->random = random_stream(c->seed, c->node, RANDOM_SCRIPT);
    s->role = QRT_ROLE_FOLLOWER;
    s->own = s->class->create(s->class->context, s->node, s->members, s->member_count);
    return s;
}

static void script_destroy(void *state) {
    struct script *s = state;
    if (s->own) s->class->destroy(s->class->context, s->own);
    buffer_free(&s->stored);
    free(s->members);
    free(s->timers);
    free(s);
}

/* Where it fails, the class has noted why, and whoever asked for the clone throws it away. */
static uint64_t clone_own(const struct script *s) {
    struct buffer saved = {0};
    uint64_t own = s->own ? s->class->create(s->class->context, s->node, s->members, s->member_count) : 0;
    if (own && s->class->save(s->class->context, s->own, &saved))
        s->class->load(s->class->context, own, bytes_of(saved.data, saved.size));
    buffer_free(&saved);
    return own;
}

static void *script_clone(const void *state) {
    const struct script *from = state;
    struct script *s = mem_copy(from, sizeof *from);
    s->members = mem_copy(from->members, from->member_count * sizeof *from->members);
    s->timers = mem_copy(from->timers, from->timer_count * sizeof *from->timers);
    s->stored = (struct buffer){0};
    buffer_append(&s->stored, from->stored.data, from->stored.size);
    s->own = clone_own(from);
    return s;
}

static uint64_t script_fingerprint(const void *state) {
    const struct script *s = state;
    struct buffer saved = {0};
    if (s->own) s->class->save(s->class->context, s->own, &saved);
    uint64_t f = hash_bytes(saved.data, saved.size, s->node);
    buffer_free(&saved);
    for (size_t i = 0; i < 4; i++) f = hash_fold(f, s->random.s[i]);
    f = hash_bytes(s->stored.data, s->stored.size, hash_fold(f, s->has_stored));
    f = hash_fold(hash_fold(f, s->role), s->leader);
    return hash_fold(hash_fold(f, s->term), s->commit);
}

/* ---- what a callback may ask for ---- */

void script_raise(struct script *x, const char *text) {
    if (x->raised) return;
    x->raised = true;
    uint32_t size = (uint32_t)strlen(text), offset = (uint32_t)x->out->arena.size;
    buffer_append(&x->out->arena, text, size);
    struct effect *e = outbox_add(x->out, FX_RAISE);
    e->offset = offset;
    e->size = size;
}

/* Takes the text, of mem_format. */
static void raise_made(struct script *x, char *text) {
    script_raise(x, text);
    free(text);
}

/* Whether one more effect of that many bytes fits the step; raises otherwise. Nothing follows what raised. */
static bool admit(struct script *x, struct bytes data) {
    if (x->raised) return false;
    if (x->out->count >= SCRIPT_EFFECTS_MAX)
        raise_made(
            x, mem_format("one step asked for more than %d effects; is there an endless loop?", SCRIPT_EFFECTS_MAX));
    else if (data.size > SCRIPT_MESSAGE_MAX)
        raise_made(x, mem_format("a message, record or answer has %" PRIu32 " bytes; it may have %u", data.size,
                                 SCRIPT_MESSAGE_MAX));
    else if (x->out->arena.size + data.size > SCRIPT_BYTES_MAX)
        raise_made(x, mem_format("one step sent, persisted and answered more than %u bytes", SCRIPT_BYTES_MAX));
    return !x->raised;
}

static bool is_member(const struct script *x, uint16_t node) {
    for (uint16_t i = 0; i < x->member_count; i++)
        if (x->members[i] == node) return true;
    return false;
}

static void send_one(struct script *x, uint16_t to, struct bytes data, uint8_t flags) {
    if (!admit(x, data)) return;
    struct message m;
    m.kind = WIRE_SCRIPT;
    m.as.script.form = SCRIPT_FORM;
    m.as.script.data = data;
    outbox_send(x->out, to, &m, flags, x->term, 0);
}

void script_send(struct script *x, uint16_t to, struct bytes data, bool before_durable) {
    uint8_t flags = before_durable ? FX_BEFORE_DURABLE : 0;
    if (to != x->node && is_member(x, to)) {
        send_one(x, to, data, flags);
        return;
    }
    if (to)
        raise_made(x, mem_format("n%u cannot send to n%u: it is %s", x->node, to,
                                 to == x->node ? "itself" : "no member of the cluster"));
    for (uint16_t i = 0; !to && i < x->member_count; i++)
        if (x->members[i] != x->node) send_one(x, x->members[i], data, flags);
}

static uint32_t timer_id(struct script *x, const char *name) {
    for (uint32_t i = 0; i < x->timer_count; i++)
        if (!strcmp(x->timers[i], name)) return i;
    if (!*name || strlen(name) >= SCRIPT_TIMER_NAME_MAX) {
        raise_made(x, mem_format("a timer's name has 1 to %d bytes, not '%.40s'", SCRIPT_TIMER_NAME_MAX - 1, name));
        return UINT32_MAX;
    }
    if (x->timer_count == SCRIPT_TIMERS_MAX) {
        raise_made(x, mem_format("a node has at most %d timers; '%s' is one more", SCRIPT_TIMERS_MAX, name));
        return UINT32_MAX;
    }
    x->timers = mem_resize(x->timers, (x->timer_count + 1) * sizeof *x->timers);
    memcpy(x->timers[x->timer_count], name, strlen(name) + 1);
    return x->timer_count++;
}

void script_timer(struct script *x, const char *name, int64_t delay_ns) {
    if (!admit(x, (struct bytes){0})) return;
    if (delay_ns < 0) {
        raise_made(x, mem_format("timer '%.40s' is set to %" PRId64 " ns from now; it cannot ring in the past", name,
                                 delay_ns));
        return;
    }
    uint32_t id = timer_id(x, name);
    if (id != UINT32_MAX) outbox_timer(x->out, id, delay_ns);
}

void script_persist(struct script *x, struct bytes data) {
    if (!admit(x, data)) return;
    buffer_clear(&x->stored);
    buffer_append(&x->stored, data.data, data.size);
    x->has_stored = true;
    uint8_t *place = outbox_persist(x->out, data.size, ++x->persists, 0);
    if (data.size) memcpy(place, data.data, data.size);
}

void script_answer(struct script *x, uint64_t ticket, qrt_status status, uint16_t leader, uint64_t term, uint64_t index,
                   struct bytes data) {
    if (!admit(x, data)) return;
    if (status > 0) {
        raise_made(x, mem_format("a proposal ends with QRT_OK or an error, not with status %d", (int)status));
        return;
    }
    outbox_answer(x->out, ticket, status, leader, term, index, data);
}

#define KINDS(low, high) ((UINT32_MAX >> (31 - (high))) & ~((1u << (low)) - 1))

void script_note(struct script *x, uint8_t kind, uint8_t detail, uint16_t peer, uint64_t term, uint64_t index,
                 uint64_t link, uint64_t value) {
    static const uint32_t allowed = KINDS(QRT_KIND_TERM, QRT_KIND_CAUGHT_UP) | 1u << QRT_KIND_NOTE |
                                    1u << QRT_KIND_BALLOT | 1u << QRT_KIND_DECIDE | 1u << QRT_KIND_STATE;
    static const uint32_t placed = KINDS(QRT_KIND_APPEND, QRT_KIND_TRUNCATE) | 1u << QRT_KIND_APPLY;
    if (!admit(x, (struct bytes){0})) return;
    if (kind == QRT_KIND_START && x->starting) {
        struct effect *e = &x->out->effects[x->start_note];
        e->peer = peer, e->term = term, e->index = index, e->c = link, e->d = value;
        return;
    }
    if (kind == QRT_KIND_ROLE) x->role = detail <= QRT_ROLE_RECOVERING ? detail : QRT_ROLE_FOLLOWER;
    if (kind == QRT_KIND_ROLE) x->leader = peer;
    if (kind == QRT_KIND_ROLE || kind == QRT_KIND_TERM) x->term = term;
    if (kind == QRT_KIND_COMMIT) x->commit = index;
    if (kind > 31 || !(allowed >> kind & 1))
        raise_made(x, mem_format("events of kind %u are not a protocol's to emit", kind));
    else if (placed >> kind & 1 && index == 0)
        raise_made(x, mem_format("an event about a log entry needs its index, which counts from 1"));
    else
        outbox_note(x->out, kind, detail, kind == QRT_KIND_ROLE ? 0 : peer, term, index, link, value);
}

uint64_t script_random(struct script *x) {
    return random_u64(&x->random);
}

int64_t script_mono(const struct script *x) {
    return x->mono;
}

int64_t script_wall(const struct script *x) {
    return x->wall;
}

/* ---- events ---- */

static void on_record(struct script *s, const struct event *e) {
    s->persists++;
    s->has_stored = true;
    buffer_clear(&s->stored);
    buffer_append(&s->stored, e->as.record.data.data, e->as.record.data.size);
}

static void on_start(struct script *s, const struct event *e, struct outbox *out) {
    s->start_note = out->count;
    s->starting = true;
    outbox_note(out, QRT_KIND_START, e->as.start.how, 0, 0, 0, 0, 0);
    struct bytes stored = bytes_of(s->stored.data, s->stored.size);
    if (s->own)
        s->class->start(s->class->context, s->own, s, e->as.start.how, s->has_stored, stored);
    else
        script_raise(s, "its constructor raised an error");
    s->starting = false;
}

static void on_message(struct script *s, const struct message *m, struct outbox *out) {
    if (m->kind != WIRE_SCRIPT || m->as.script.form != SCRIPT_FORM || !is_member(s, m->from))
        outbox_note(out, QRT_KIND_REJECT, QRT_DROP_FOREIGN, m->from, 0, 0, m->id, 0);
    else
        s->class->message(s->class->context, s->own, s, m->from, m->as.script.data);
}

static void on_opinion(struct script *s, const struct event *e) {
    if (!s->class->opinion) return;
    s->class->opinion(s->class->context, s->own, s, e->as.opinion.peer, e->as.opinion.suspected,
                      e->as.opinion.suspicion);
}

static void script_step(void *state, const struct event *e, struct outbox *out) {
    struct script *s = state;
    s->out = out;
    s->mono = e->mono;
    s->wall = e->wall;
    s->raised = false;
    switch ((enum event_kind)e->kind) {
    case EVENT_MESSAGE: on_message(s, e->as.message, out); break;
    case EVENT_TIMER:
        if (e->as.timer.id < s->timer_count) s->class->timer(s->class->context, s->own, s, s->timers[e->as.timer.id]);
        break;
    case EVENT_PROPOSE: s->class->propose(s->class->context, s->own, s, e->as.propose.token, e->as.propose.data); break;
    case EVENT_START: on_start(s, e, out); break;
    case EVENT_RECORD: on_record(s, e); break;
    case EVENT_READ: outbox_reply(out, e->as.read.token, QRT_EUNSUPPORTED, 0); break;
    case EVENT_OPINION: on_opinion(s, e); break;
    case EVENT_CHECKPOINT:
    case EVENT_STORED:
    case EVENT_LOCAL:
    case EVENT_ROOM: break;
    }
    s->out = NULL;
}

/* ---- views ---- */

static void script_status_of(const void *state, struct protocol_status *st) {
    const struct script *s = state;
    *st = (struct protocol_status){
        .role = s->role, .leader = s->leader, .term = s->term, .last = s->persists, .commit = s->commit};
}

static void describe_into(const struct script *s, struct buffer *text) {
    if (s->own) s->class->describe(s->class->context, s->own, text);
}

static int script_describe(const void *state, char *out, size_t size) {
    struct buffer text = {0};
    describe_into(state, &text);
    return view_finish(&text, out, size);
}

static void script_inspect(const void *state, inspect_fn *field, void *context) {
    struct buffer text = {0};
    describe_into(state, &text);
    field(context, "state", buffer_text(&text));
    buffer_free(&text);
}

static bool script_invariants(const void *state, struct error *e) {
    const struct script *s = state;
    if (s->has_stored == (s->persists > 0)) return true;
    error_set(e, QRT_EINTERNAL, "n%u holds a stored value but has persisted %" PRIu64 " records", s->node, s->persists);
    return false;
}

static const struct option_spec option_specs[] = {{0}};
static const struct bug bugs[] = {{0}};

/* What a script's clusters meet where its class says nothing else: everything but lies. */
static const struct fault_model model = {
    .tolerates_loss = true,
    .tolerates_reorder = true,
    .tolerates_duplicates = true,
    .tolerates_corruption = true,
    .tolerates_partition = true,
    .tolerates_pause = true,
    .tolerates_skew = true,
    .crash_recovers = true,
    .loses_unsynced = true,
    .crashes = "(n-1)/2",
    .liars = "0",
    .assumes = "what its author assumed",
};

const struct protocol protocol_script = {
    .name = "script",
    .summary = "a protocol of the user's own, in Python or Lua",
    .judged_by = "",
    .leaderless = true,
    .values = true,
    .options = {"script", option_specs},
    .options_size = 1,
    .model = &model,
    .bugs = bugs,
    .create = script_create,
    .destroy = script_destroy,
    .clone = script_clone,
    .fingerprint = script_fingerprint,
    .step = script_step,
    .status = script_status_of,
    .describe = script_describe,
    .inspect = script_inspect,
    .invariants = script_invariants,
};
