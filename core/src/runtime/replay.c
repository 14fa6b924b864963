/* The replay of a capture. See replay.h. */
#include "runtime/replay.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "base/stopwatch.h"
#include "wire/codec.h"

#define RECORDS_A_LOOK 64                    /* between two looks at the wall's clock */
#define SENDS_MASK ((UINT64_C(1) << 40) - 1) /* of a frame's id; above it is its sender */

/* Which of a node's lives it is. */
static uint32_t life_of(const struct replay_node *n) {
    return (uint32_t)n->count;
}

/* ---- the port: whatever a host wants is known already ---- */

static void port_send(void *runtime, struct host *h, uint16_t to, const uint8_t *frame, uint32_t size) {
    struct replay *r = runtime;
    struct message m;
    bool left = r->tells && r->blind_from == INT64_MAX && r->limit < 0;
    if (to > QRT_CLIENT && left && codec_decode(bytes_of(frame, size), &m) && m.kind == WIRE_CLIENT_REPLY)
        replay_history_reply(&r->history, h->config.node, life_of(r->at), &m, r->last);
}

static void port_timer(void *runtime, struct host *h, uint16_t group, uint32_t id, int64_t delay) {
    (void)runtime, (void)h, (void)group, (void)id, (void)delay;
}

static void port_answer(void *runtime, struct host *h, const struct answer *a) {
    (void)runtime, (void)h, (void)a;
}

static void port_died(void *runtime, struct host *h, qrt_status why, const char *text) {
    (void)runtime, (void)text;
    if (why != QRT_OK) driver_die(h);
}

/* The simulator begins a flush within the step that wants it; a live node between two steps. */
static void port_persist(void *runtime, struct host *h) {
    struct replay *r = runtime;
    struct error e;
    for (size_t i = 1;; i++) {
        const struct capture_record *next = capture_peek(&r->at->reader, i);
        if (next && (next->kind == CAPTURE_EVENT || next->kind == CAPTURE_NONE)) continue;
        if (!next || next->kind != CAPTURE_FLUSH_BEGIN) return;
        capture_drop(&r->at->reader, i);
        host_flush_begin(h, &e);
        return;
    }
}

static const struct host_port port = {port_send, port_timer, port_persist, port_answer, port_died};

/* ---- the trace ---- */

static void enter(struct replay *r, const qrt_event *e) {
    if (r->blind_from != INT64_MAX) return;
    qrt_event lifted = *e;
    if (lifted.time < r->last) lifted.time = r->last; /* of a node whose clock is behind */
    r->last = lifted.time;
    r->hash = capture_fold_event(r->hash, &lifted);
    uint64_t number = r->events++;
    trace_emit(&r->kept, &lifted);
    if (r->sink.event && r->sink.kinds >> e->kind & 1) r->sink.event(r->sink.context, &lifted, number);
}

static void on_event(void *replay, const qrt_event *e, uint64_t number) {
    struct replay *r = replay;
    (void)number;
    r->step_hash = capture_fold_event(r->step_hash, e);
    if (r->limit >= 0 && r->step_events >= (uint64_t)r->limit) return;
    r->step_events++;
    enter(r, e);
    struct message m;
    bool request = e->kind == QRT_KIND_RECEIVE && e->detail == WIRE_CLIENT_REQUEST;
    if (request && r->tells && r->blind_from == INT64_MAX && codec_decode(r->frame, &m))
        replay_history_request(&r->history, e->node, life_of(r->at), &m, r->last);
}

static void go_blind(struct replay *r, int64_t time) {
    if (r->blind_from == INT64_MAX) r->blind_from = time;
}

static void note(struct replay *r, uint16_t node, const char *text, struct bytes more) {
    if (r->note_count == REPLAY_NOTES_MAX) return;
    struct replay_note *n = &r->notes[r->note_count++];
    n->node = node;
    snprintf(n->text, sizeof n->text, "%s%.*s", text, (int)more.size, more.size ? (const char *)more.data : "");
}

/* ---- incarnations ---- */

static struct replay_incarnation *current(struct replay_node *n) {
    static struct replay_incarnation nobody;
    return n->count ? &n->incarnations[n->count - 1] : &nobody;
}

static void node_stop(struct replay_node *n) {
    if (n->begun && n->host.up) host_stop(&n->host);
}

/* What follows of this incarnation cannot be replayed. */
static void node_lose(struct replay *r, struct replay_node *n) {
    n->lost = n->unfollowed = true;
    go_blind(r, n->time);
    node_stop(n);
}

static void gap(struct replay *r, struct replay_node *n, const char *text, struct bytes more) {
    r->gaps++;
    note(r, n->reader.node, text, more);
    node_lose(r, n);
}

/* A snapshot that is being made durable counts: whether it came to that may be known to the next life only. */
static void see_log(struct replay_node *n) {
    struct protocol_status s = {0};
    const struct instance *in = &n->host.instances[0];
    if (n->host.up) in->protocol->status(in->state, &s);
    if (s.last > n->last) n->last = s.last;
    if (in->checkpoint_pending && in->checkpoint.index > n->last) n->last = in->checkpoint.index;
}

/* Behind what a start recovered: none of it is newer than what the node's captured lives had. */
static void see_missing_life(struct replay *r, struct replay_node *n) {
    uint64_t before = n->last;
    bool followed = !n->unfollowed;
    see_log(n);
    n->unfollowed = false;
    if (n->count < 2 || n->last <= before || !followed) return;
    r->gaps++;
    note(r, n->reader.node, "it recovered what none of its captured lives had: it ran without a capture in between",
         (struct bytes){0});
    go_blind(r, n->time);
}

/* How a step that the capture names is called in words. */
static void describe_input(const struct capture_record *record, char *out, size_t size) {
    struct capture_input in;
    struct message m;
    char words[64] = "";
    capture_read_input(record, &in);
    switch (record->kind) {
    case CAPTURE_RECOVERED: snprintf(out, size, "its start"); break;
    case CAPTURE_TIMER: snprintf(out, size, "timer %llu", (unsigned long long)in.number); break;
    case CAPTURE_PROPOSE: snprintf(out, size, "a proposal of %u bytes", in.data.size); break;
    case CAPTURE_FLUSH_END: snprintf(out, size, "the end of a flush"); break;
    case CAPTURE_SAVED: snprintf(out, size, "a checkpoint that is saved"); break;
    default:
        if (!codec_decode(in.data, &m)) {
            snprintf(out, size, "a frame that cannot be read");
            break;
        }
        snprintf(words, sizeof words, "%s", wire_kind_name(m.kind));
        snprintf(out, size, "%s from %s%u", words, m.from > QRT_CLIENT ? "client " : "n",
                 m.from > QRT_CLIENT ? m.from - QRT_CLIENT : m.from);
    }
}

static void differ(struct replay *r, struct replay_node *n, const struct capture_record *input,
                   const struct capture_record *outcome, uint64_t state, uint64_t events, uint64_t replayed) {
    struct replay_incarnation *in = current(n);
    in->differs = true;
    if (!r->first.node) {
        r->first = (struct replay_difference){.node = n->reader.node,
                                              .incarnation = in->number,
                                              .step = in->steps,
                                              .time = n->time,
                                              .recorded_state = state,
                                              .replayed_state = replayed,
                                              .recorded_events = events,
                                              .replayed_events = r->step_hash,
                                              .recorded_dying = outcome->flags & CAPTURE_DYING,
                                              .replayed_dying = n->host.dying};
        describe_input(input, r->first.input, sizeof r->first.input);
    }
    node_lose(r, n);
}

/* The outcome of the input at hand, past what its step met; NULL: a kill came first. */
static const struct capture_record *outcome_of(struct replay_node *n, size_t from) {
    for (size_t i = from;; i++) {
        const struct capture_record *next = capture_peek(&n->reader, i);
        if (!next) return NULL;
        if (next->kind == CAPTURE_OUTCOME) return next;
        qrt_event e;
        bool met = next->kind == CAPTURE_NONE || next->kind == CAPTURE_FLUSH_BEGIN ||
                   (next->kind == CAPTURE_EVENT && capture_read_event(next, &e) && e.kind == QRT_KIND_DROP);
        if (!met) return NULL;
    }
}

/* Behind the step of the input at hand, which has not been taken yet. */
static void compare(struct replay *r, struct replay_node *n) {
    struct replay_incarnation *in = current(n);
    const struct capture_record *outcome = outcome_of(n, 1);
    see_log(n);
    uint64_t state, events;
    if (!outcome) {
        in->unfinished = n->dead = true;
        in->uncompared++;
        return;
    }
    if (outcome->flags & CAPTURE_DISK_FAILED || !capture_read_outcome(outcome, &state, &events)) {
        in->uncompared++;
        return;
    }
    uint64_t replayed = host_state_fingerprint(&n->host);
    bool same = state == replayed && events == r->step_hash && n->host.dying == (outcome->flags & CAPTURE_DYING);
    if (same)
        in->matched++;
    else
        differ(r, n, capture_peek(&n->reader, 0), outcome, state, events, replayed);
}

/* `at`: how far ahead the input stands. */
static void step_begin(struct replay *r, struct replay_node *n, size_t at) {
    int64_t progress = capture_peek(&n->reader, at)->progress;
    r->at = n;
    r->step_events = r->step_hash = 0;
    r->limit = outcome_of(n, at + 1) ? -1 : progress >= 0 ? progress : 0;
    current(n)->steps++;
}

/* ---- starts ---- */

static void give(void *replay, const struct store_visitor *visitor) {
    struct replay *r = replay;
    struct capture_reader *reader = &r->at->reader;
    for (const struct capture_record *next; (next = capture_peek(reader, 0)); capture_take(reader)) {
        struct store_checkpoint c;
        struct store_record record;
        struct bytes blob;
        if (next->kind == CAPTURE_RECOVERED) break;
        if (next->kind == CAPTURE_CHECKPOINT && capture_read_checkpoint(next, &c, &blob)) {
            c.blob = blob_new(blob);
            visitor->checkpoint(visitor->context, &c);
            blob_unref(&c.blob);
        } else if (next->kind == CAPTURE_RECORD && capture_read_record(next, &record)) {
            visitor->record(visitor->context, &record);
        }
    }
    see_missing_life(r, r->at);
    r->step_hash = 0; /* as the writer does when all is recovered */
}

static void node_init(struct replay *r, struct replay_node *n, const struct capture_start *start) {
    const struct runtime_config *c = &r->config;
    struct host_config config = {
        .node = n->reader.node,
        .cluster_id = start->cluster_id,
        .seed = (uint64_t)c->options.seed,
        .members = r->members,
        .member_count = (uint16_t)c->options.nodes,
        .protocol = c->protocol,
        .protocol_options = c->protocol_options,
        .bugs = c->bugs,
        .machine = c->machine,
        .sessions_limit = (uint32_t)c->options.sessions,
        .inline_store = c->options.disk == DISK_MEMORY,
        .bursts = start->bursts,
        .watch = &r->config.watch,
        .quorum = &r->config.quorum,
    };
    host_init(&n->host, &config, NULL, &port, r, &r->trace);
    n->begun = true;
}

/* The place behind the start at which all was recovered; 0: it ended before. */
static size_t recovered_at(struct replay_node *n) {
    for (size_t i = 1;; i++) {
        const struct capture_record *next = capture_peek(&n->reader, i);
        if (!next) return 0;
        if (next->kind == CAPTURE_RECOVERED) return i;
        if (next->kind != CAPTURE_CHECKPOINT && next->kind != CAPTURE_RECORD) return 0;
    }
}

/* A killed node whose owner could not say so any more. */
static void crash_unseen(struct replay *r, struct replay_node *n, int64_t time) {
    if (!n->begun || !n->host.up) return;
    enter(r, &(qrt_event){.time = time, .node = n->reader.node, .kind = QRT_KIND_CRASH, .detail = QRT_DISK_KEPT});
    node_stop(n);
}

/* How many frames it has sent so far. */
static uint64_t sent_by(const struct replay_node *n) {
    return n->begun && n->host.sends > n->sent ? n->host.sends : n->sent;
}

static void on_start(struct replay *r, struct replay_node *n) {
    const struct capture_record *record = capture_peek(&n->reader, 0);
    struct capture_start start;
    struct error e;
    uint64_t sent = sent_by(n);
    uint8_t how = record->flags & (CAPTURE_NEW_HOST - 1);
    bool new_host = record->flags & CAPTURE_NEW_HOST;
    if (!capture_read_start(record, &start) || how < QRT_START_FORMAT || how > QRT_START_DAMAGED) {
        gap(r, n, "a start is malformed", (struct bytes){0});
        return;
    }
    if (start.sends > sent) {
        n->holes = mem_grow(n->holes, &n->hole_capacity, n->hole_count + 1, sizeof *n->holes);
        n->holes[n->hole_count++] = (struct replay_hole){sent, start.sends};
    }
    n->sent = sent;
    n->lost = n->dead = false;
    n->time = start.time;
    if (!n->count && how != QRT_START_FORMAT) r->inherited = true;
    crash_unseen(r, n, start.time);
    n->incarnations = mem_grow(n->incarnations, &n->capacity, n->count + 1, sizeof *n->incarnations);
    n->incarnations[n->count++] = (struct replay_incarnation){.number = start.incarnation + 1, .time = start.time};
    size_t place = recovered_at(n);
    if (!place) {
        current(n)->unrecovered = n->lost = true;
        return;
    }
    if (n->begun && new_host) host_free(&n->host);
    if (!n->begun || new_host) node_init(r, n, &start);
    struct host *h = &n->host;
    store_free(&h->store);
    if (!h->config.inline_store) h->store = store_given_new(give, r);
    h->incarnation = start.incarnation;
    h->sends = start.sends;
    h->counts.proposals = start.proposals;
    h->crash_after = start.armed;
    h->time = start.time;
    h->mono = start.mono;
    h->wall = start.wall;
    step_begin(r, n, place);
    capture_take(&n->reader);
    if (!h->store) r->step_hash = 0;
    if (host_start(h, how, &e)) {
        gap(r, n, "what a start recovered makes no sense: ", bytes_text(e.text));
        return;
    }
    compare(r, n);
}

/* ---- inputs ---- */

static bool is_of_disk(uint16_t kind) {
    return kind == CAPTURE_FLUSH_END || kind == CAPTURE_SAVED;
}

static bool input_sound(const struct replay_node *n, uint16_t kind, const struct capture_input *in) {
    if (is_of_disk(kind) && !n->host.store) return false; /* of a node that keeps nothing */
    if (kind == CAPTURE_TIMER) return in->group < n->host.instance_count || in->group == WATCH_GROUP;
    return in->group < n->host.instance_count;
}

static void carry_out(struct replay_node *n, const struct capture_record *record, const struct capture_input *in) {
    struct host *h = &n->host;
    struct error e;
    switch (record->kind) {
    case CAPTURE_FRAME:
        if (record->flags)
            host_receive_intact(h, in->data);
        else
            host_receive(h, in->data);
        break;
    case CAPTURE_TIMER: host_timer(h, in->group, (uint32_t)in->number); break;
    case CAPTURE_PROPOSE: host_propose(h, in->group, in->data, in->number); break;
    case CAPTURE_ROOM: host_room(h, record->flags & 1); break;
    case CAPTURE_FLUSH_BEGIN: host_flush_begin(h, &e); break;
    case CAPTURE_FLUSH_END: (void)!host_flush_end(h, &e); break;
    case CAPTURE_SAVED: (void)!host_saved(h, &e); break;
    default: break;
    }
}

static bool in_hole(const struct replay_node *n, uint64_t id) {
    for (size_t i = n->hole_count; i-- > 0 && id <= n->holes[i].to;)
        if (id > n->holes[i].above) return true;
    return false;
}

/* The sender of a frame that it has not sent, as far as it was replayed; NULL: it has, or the frame names none. */
static struct replay_node *sender_ahead(struct replay *r, const struct replay_node *n,
                                        const struct capture_record *record, struct bytes frame) {
    if (frame.size < WIRE_HEADER) return NULL;
    uint64_t id = wire_id(frame.data), from = id >> 40;
    if (from < 1 || from > (uint64_t)r->config.options.nodes || from == n->reader.node) return NULL;
    struct replay_node *sender = &r->nodes[from];
    if ((id & SENDS_MASK) <= sent_by(sender) && !in_hole(sender, id & SENDS_MASK)) return NULL;
    return record->flags || wire_is_sealed(frame, n->host.config.cluster_id) ? sender : NULL;
}

static void on_input(struct replay *r, struct replay_node *n) {
    const struct capture_record record = *capture_peek(&n->reader, 0); /* a copy: looking ahead may move it */
    struct capture_input in;
    if (!n->begun || n->dead || !n->host.up || n->host.dying) {
        current(n)->uncompared++;
        return;
    }
    if (!capture_read_input(&record, &in) || !input_sound(n, record.kind, &in)) {
        gap(r, n, "an input is malformed", (struct bytes){0});
        return;
    }
    n->time = n->host.time = in.time;
    n->host.mono = in.mono;
    n->host.wall = in.wall;
    if (record.kind == CAPTURE_FLUSH_BEGIN) {
        r->at = n;
        carry_out(n, &record, &in);
        return;
    }
    step_begin(r, n, 0);
    const struct capture_record *outcome = outcome_of(n, 1);
    bool of_disk = is_of_disk(record.kind);
    bool failed = outcome && outcome->flags & CAPTURE_DISK_FAILED && of_disk;
    if (of_disk) n->host.saving = record.kind == CAPTURE_SAVED ? in.group + 1u : (uint32_t)in.number;
    if (record.kind == CAPTURE_FRAME) r->unsent += sender_ahead(r, n, &record, in.data) != NULL;
    r->frame = in.data;
    if (!failed) carry_out(n, &record, &in);
    r->frame = (struct bytes){0};
    compare(r, n);
}

/* ---- the rest ---- */

static void on_record_of_runtime(struct replay *r, struct replay_node *n, const struct capture_record *record) {
    qrt_event e;
    if (!capture_read_event(record, &e)) return;
    if (e.time > n->time) n->time = e.time;
    if (e.node == n->reader.node && e.kind == QRT_KIND_CRASH) n->dead = true;
    enter(r, &e);
    if (n->dead) node_stop(n);
}

static void on_arm(struct replay_node *n, const struct capture_record *record) {
    if (n->begun && record->body.size == sizeof n->host.crash_after)
        memcpy(&n->host.crash_after, record->body.data, sizeof n->host.crash_after);
}

static void take_one(struct replay *r, struct replay_node *n) {
    const struct capture_record *record = capture_peek(&n->reader, 0);
    bool input = capture_is_input(record->kind) && record->kind != CAPTURE_RECOVERED;
    if (record->kind == CAPTURE_GAP)
        gap(r, n, "", record->body);
    else if (record->kind == CAPTURE_START)
        on_start(r, n);
    else if (n->lost && input)
        current(n)->uncompared++;
    else if (record->kind == CAPTURE_EVENT)
        on_record_of_runtime(r, n, record);
    else if (input || (record->kind == CAPTURE_FLUSH_BEGIN && !n->lost))
        on_input(r, n);
    else if (record->kind == CAPTURE_STOP)
        node_stop(n);
    else if (record->kind == CAPTURE_ARM)
        on_arm(n, record);
    if (capture_peek(&n->reader, 0)) capture_take(&n->reader);
}

/* A record without a time of its own belongs to the one before it. */
static int64_t next_time(struct replay_node *n) {
    const struct capture_record *record = capture_peek(&n->reader, 0);
    struct capture_input in;
    struct capture_start start;
    qrt_event e;
    if (!record) return INT64_MAX;
    int64_t time = n->time;
    if (record->kind == CAPTURE_START && capture_read_start(record, &start)) time = start.time;
    if (record->kind == CAPTURE_EVENT && capture_read_event(record, &e)) time = e.time;
    bool input = capture_is_input(record->kind) && record->kind != CAPTURE_RECOVERED;
    if (input && capture_read_input(record, &in)) time = in.time;
    if (time < n->time) time = n->time;
    return time == INT64_MAX ? time - 1 : time;
}

/* A node that is looked for in vain is dead, or its clock is too far ahead. */
static bool within_patience(struct replay_node *sender, int64_t time) {
    int64_t there = next_time(sender);
    return there <= time || (there != INT64_MAX && (uint64_t)there - (uint64_t)time < REPLAY_PATIENCE);
}

/* Whether the node's next record, at `time`, is a frame whose sender has yet to come to its sending. */
static bool is_early(struct replay *r, struct replay_node *n, int64_t time) {
    const struct capture_record *record = capture_peek(&n->reader, 0);
    struct capture_input in;
    if (n->lost || record->kind != CAPTURE_FRAME || !capture_read_input(record, &in)) return false;
    struct replay_node *sender = sender_ahead(r, n, record, in.data);
    return sender && (wire_id(in.data.data) & SENDS_MASK) > sent_by(sender) && within_patience(sender, time);
}

/* Whose record is next: the earliest that waits for nobody; where all wait, the earliest. NULL: all is done. */
static struct replay_node *next_node(struct replay *r) {
    struct replay_node *least = NULL, *early = NULL;
    int64_t time = INT64_MAX, early_time = INT64_MAX;
    for (uint16_t i = 1; i <= r->config.options.nodes; i++) {
        struct replay_node *n = &r->nodes[i];
        int64_t next = next_time(n);
        if (next >= time) continue;
        if (!is_early(r, n, next)) {
            time = next;
            least = n;
        } else if (next < early_time) {
            early_time = next;
            early = n;
        }
    }
    return least ? least : early;
}

bool replay_run(struct replay *r, int64_t slice_ns) {
    int64_t end = slice_ns ? stopwatch_ns() + slice_ns : INT64_MAX;
    for (uint64_t done = 1;; done++) {
        struct replay_node *least = next_node(r);
        if (!least) return true;
        take_one(r, least);
        if (done % RECORDS_A_LOOK == 0 && stopwatch_ns() >= end) return false;
    }
}

/* Files that lie there and are not read. */
static void note_stranger(struct replay *r, const char *folder, uint16_t node) {
    size_t count;
    char text[96];
    free(capture_segments(folder, node, &count));
    snprintf(text, sizeof text, "its segments are left out: the captured cluster has %d nodes",
             (int)r->config.options.nodes);
    if (count && r->note_count < REPLAY_NOTES_MAX / 2) note(r, node, text, (struct bytes){0});
}

struct replay *replay_new(const struct runtime_config *config, const char *folder, uint64_t identity,
                          struct trace_sink sink) {
    struct replay *r = mem_zero(1, sizeof *r);
    uint16_t nodes = (uint16_t)config->options.nodes;
    r->config = *config;
    r->blind_from = INT64_MAX;
    r->limit = -1;
    trace_init(&r->trace, 0);
    r->trace.sink = (struct trace_sink){UINT64_MAX, on_event, r};
    trace_init(&r->kept, 0);
    r->sink = sink;
    r->last = INT64_MIN;
    r->nodes = mem_zero((size_t)nodes + 1, sizeof *r->nodes);
    for (uint16_t i = 1; i <= nodes; i++) {
        r->members[i - 1] = i;
        r->nodes[i].time = INT64_MIN;
        capture_reader_open(&r->nodes[i].reader, folder, i, identity);
        if (!r->nodes[i].reader.segment_count)
            gap(r, &r->nodes[i], "there is no segment of this node", (struct bytes){0});
    }
    for (uint16_t i = (uint16_t)(nodes + 1); i <= FAULT_NODES_MAX; i++) note_stranger(r, folder, i);
    return r;
}

void replay_free(struct replay *r) {
    if (!r) return;
    for (uint16_t i = 1; i <= r->config.options.nodes; i++) {
        if (r->nodes[i].begun) host_free(&r->nodes[i].host);
        capture_reader_close(&r->nodes[i].reader);
        free(r->nodes[i].incarnations);
        free(r->nodes[i].holes);
    }
    free(r->nodes);
    trace_free(&r->trace);
    trace_free(&r->kept);
    replay_history_free(&r->history);
    free(r);
}
