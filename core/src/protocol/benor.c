/* Ben-Or's randomised consensus (Ben-Or 1983; Aspnes 2003, section 4), for values rather than bits: asynchronous, without
 * leaders and ballots, standing f < n/2 crashes. Each round has two phases; with q = floor(n/2) + 1 = n - f:
 *
 *   report   tell all the present estimate; wait for q reports. If more than n/2 of them say v, suggest v, else nothing
 *   suggest  tell all the suggestion; wait for q. If f + 1 suggest v, decide v. If any does, v is the next estimate,
 *            else the coin: one of the values reported in this round, drawn at random
 *
 * Two suggestions of a round are never different values, because each stands on a majority of reports; a decided value is
 * suggested by f + 1, so that every quorum of n - f sees it, and it is every estimate of the next round. With two values
 * the coin is Ben-Or's; with more, each toss can only lose values, so one is left with probability 1 (and rounds
 * are counted: the term of a decision).
 *
 * Invariants
 *  1. What a node says in a phase is durable before it is said, and it never says anything else in that phase: a node
 *     that comes back repeats itself.
 *  2. A node works on one instance: the first whose decision it does not know. One that proposed nothing takes for
 *     its estimate the first value that it hears of.
 *  3. What was lost is asked for by repeating what one said oneself: whoever has passed that phase answers with what it
 *     said there, and whoever knows the decision with that. Nothing else is answered. */
#include <inttypes.h>
#include <stdlib.h>

#include "base/check.h"
#include "base/hash.h"
#include "protocol/instances.h"
#include "protocol/members.h"
#include "protocol/protocol.h"
#include "protocol/quorum.h"
#include "protocol/view.h"

#define MEMBERS_MAX 128
#define VALUE_MAX (512u * 1024u)
#define ROUND_MAX 1000000u /* no honest peer comes near */
#define NOTHING UINT16_MAX /* no suggestion */

/* identifies timers in the trace */
enum benor_timer { TIMER_REPEAT = 1, TIMER_LEARN = 2 };

/* on the wire; never renumber */
enum benor_what { REPORT = 1, SUGGEST = 2, DECIDED = 3, ASK = 4 };

/* on disk; never renumber */
enum benor_record { RECORD_SAID = 1, RECORD_DECISION = 2, RECORD_RECOVERING = 3 };

#define RECORD_SAID_SIZE 15u     /* kind, instance, round, what, has; the value follows */
#define RECORD_DECISION_SIZE 13u /* kind, instance, round; the value follows */

/* detail of QRT_KIND_NOTE; index: the instance, term: the round */
enum benor_note { NOTE_COIN = 1 };

struct benor_options {
    int64_t repeat, learn_interval, max_waiting;
};

struct voice {      /* what a member said in a step of the present instance */
    uint32_t step;  /* 2 round + (0 report, 1 suggestion); 0 nothing yet */
    uint16_t value; /* place in the pool; NOTHING */
};

struct benor {
    uint16_t node, slot, count, members[MEMBERS_MAX]; /* ascending */
    struct benor_options options;
    struct random random;
    struct outbox *out;       /* of the step under way */
    bool recovering, damaged; /* a wiped node learns, and never votes again */
    bool asking;              /* a question for a decision is under way, or lost */

    uint64_t instance;               /* being worked on: known + 1 */
    uint32_t step;                   /* where we are, as in voice; 0: no estimate yet */
    uint32_t tosses;                 /* of the coin, in this instance */
    struct buffer pool[MEMBERS_MAX]; /* the values heard of in it; their memory is used again */
    uint16_t pool_count;
    uint16_t *said; /* by step - 2: what we said, a place in the pool or NOTHING */
    size_t said_count, said_capacity;
    struct voice voices[MEMBERS_MAX];      /* by slot: in our step; our own among them once it is durable */
    struct voice ahead[MEMBERS_MAX];       /* by slot: the latest of a later step */
    uint64_t reported[MEMBERS_MAX / 64];   /* places of the values that were reported to us in this round */
    uint64_t written, stored, said_record; /* records of this incarnation; the one behind what we said last */

    struct instances instances;
    uint64_t *waiting; /* tokens of those who wait for the instance's decision */
    size_t waiting_count, waiting_capacity;
    uint64_t rounds_total, decided_here; /* what it took where we worked along, since the start */
};

static uint32_t round_of(uint32_t step) {
    return step / 2;
}
static size_t quorum_of(const struct benor *b) {
    return quorum_majority(b->count);
}
static int slot_of(const struct benor *b, uint16_t node) {
    return members_slot(b->members, b->count, node);
}
static struct bytes value_at(const struct benor *b, uint16_t place) {
    return place == NOTHING ? (struct bytes){0} : bytes_of(b->pool[place].data, b->pool[place].size);
}

/* The value's place in the pool; NOTHING when that is full, which no honest cluster can make it. */
static uint16_t place_of(struct benor *b, struct bytes value) {
    for (uint16_t i = 0; i < b->pool_count; i++)
        if (bytes_equal(value_at(b, i), value)) return i;
    if (b->pool_count == b->count) return NOTHING;
    struct buffer *fresh = &b->pool[b->pool_count];
    buffer_clear(fresh);
    buffer_append(fresh, value.data, value.size);
    return b->pool_count++;
}

/* ---- messages and records ---- */

static void send(struct benor *b, uint16_t to, uint8_t what, uint64_t instance, uint32_t round, bool asks, bool has,
                 struct bytes value) {
    struct message m = {.kind = WIRE_BENOR};
    m.as.benor.instance = instance;
    m.as.benor.known = b->instances.known;
    m.as.benor.round = round;
    m.as.benor.what = what;
    m.as.benor.asks = asks;
    m.as.benor.has = has;
    m.as.benor.value = value;
    outbox_send(b->out, to, &m, 0, round, instance);
}

static void send_said(struct benor *b, uint16_t to, uint32_t step, bool asks) {
    uint16_t place = b->said[step - 2];
    send(b, to, step & 1 ? SUGGEST : REPORT, b->instance, round_of(step), asks, place != NOTHING, value_at(b, place));
}

static void send_decision(struct benor *b, uint16_t to, uint64_t instance) {
    send(b, to, DECIDED, instance, (uint32_t)instances_at(&b->instances, instance)->decided, false, true,
         instances_value(&b->instances, instance));
}

static void save_said(struct benor *b) {
    uint16_t place = b->said[b->step - 2];
    struct bytes value = value_at(b, place);
    size_t size = RECORD_SAID_SIZE + value.size;
    struct writer w = writer_of(outbox_persist(b->out, size, b->instance, round_of(b->step)), size);
    write_u8(&w, RECORD_SAID);
    write_u64(&w, b->instance);
    write_u32(&w, round_of(b->step));
    write_u8(&w, b->step & 1 ? SUGGEST : REPORT);
    write_u8(&w, place != NOTHING);
    writer_put(&w, value.data, value.size);
    b->said_record = ++b->written;
}

static void save_decision(struct benor *b, uint64_t instance, uint32_t round) {
    struct bytes value = instances_value(&b->instances, instance);
    size_t size = RECORD_DECISION_SIZE + value.size;
    struct writer w = writer_of(outbox_persist(b->out, size, instance, round), size);
    write_u8(&w, RECORD_DECISION);
    write_u64(&w, instance);
    write_u32(&w, round);
    writer_put(&w, value.data, value.size);
    b->written++;
}

static void repeat_later(struct benor *b) {
    int64_t t = b->options.repeat;
    outbox_timer(b->out, TIMER_REPEAT, t + (int64_t)random_below(&b->random, (uint64_t)t));
}

/* ---- rounds ---- */

/* Moves to a step and says that there, to all; whoever is known to have passed it is asked. Our own voice is heard when its
 * record is durable. */
static void say(struct benor *b, uint32_t step, uint16_t place) {
    CHECK(step == b->said_count + 2);
    b->said = mem_grow(b->said, &b->said_capacity, b->said_count + 1, sizeof *b->said);
    b->said[b->said_count++] = place;
    b->step = step;
    save_said(b);
    for (uint16_t i = 0; i < b->count; i++) {
        if (b->ahead[i].step == step) b->voices[i] = b->ahead[i];
        if (i != b->slot) send_said(b, b->members[i], step, b->ahead[i].step > step);
    }
    repeat_later(b);
}

static void forget_instance(struct benor *b) {
    b->instance = b->instances.known + 1;
    b->step = b->tosses = 0;
    b->pool_count = 0;
    b->said_count = 0;
    b->said_record = 0;
    memset(b->voices, 0, sizeof b->voices);
    memset(b->ahead, 0, sizeof b->ahead);
    memset(b->reported, 0, sizeof b->reported);
}

static void decide(struct benor *b, uint64_t instance, uint32_t round, struct bytes value, bool announce) {
    if (!instances_decide(&b->instances, instance, round, value)) return;
    struct bytes decided = instances_value(&b->instances, instance);
    outbox_note(b->out, QRT_KIND_DECIDE, 0, 0, round, instance, 0, hash_bytes(decided.data, decided.size, 0));
    for (uint16_t i = 0; announce && i < b->count; i++)
        if (i != b->slot) send_decision(b, b->members[i], instance);
    if (instance == b->instance) {
        for (size_t i = 0; i < b->waiting_count; i++)
            outbox_answer(b->out, b->waiting[i], QRT_OK, b->node, round, instance, decided);
        b->waiting_count = 0;
        if (b->step) b->rounds_total += round;
        if (b->step) b->decided_here++;
        outbox_timer(b->out, TIMER_REPEAT, INT64_MAX);
    }
    save_decision(b, instance, round);
    if (b->instance <= b->instances.known) forget_instance(b);
}

/* How many of the voices of this step say each value; the number of voices. */
static size_t count_voices(const struct benor *b, uint16_t *counts) {
    size_t heard = 0;
    memset(counts, 0, MEMBERS_MAX * sizeof *counts);
    for (uint16_t i = 0; i < b->count; i++) {
        if (b->voices[i].step != b->step) continue;
        heard++;
        if (b->voices[i].value != NOTHING) counts[b->voices[i].value]++;
    }
    return heard;
}

/* The place of the value that most say, by the order of its bytes where two are level; NOTHING: nobody says any. */
static uint16_t loudest(const struct benor *b, const uint16_t *counts) {
    uint16_t best = NOTHING;
    for (uint16_t i = 0; i < b->pool_count; i++) {
        if (!counts[i]) continue;
        bool louder = best == NOTHING || counts[i] > counts[best];
        bool before = !louder && counts[i] == counts[best] && bytes_compare(value_at(b, i), value_at(b, best)) < 0;
        if (louder || before) best = i;
    }
    return best;
}

static bool is_reported(const struct benor *b, uint16_t place) {
    return b->reported[place / 64] >> (place % 64) & 1;
}

static void set_reported(struct benor *b, uint16_t place) {
    b->reported[place / 64] |= UINT64_C(1) << (place % 64);
}

/* The coin: one of the values that were reported to us in this round, our own among them. */
static uint16_t toss(struct benor *b) {
    size_t count = 0;
    uint16_t chosen = NOTHING;
    set_reported(b, b->said[b->step - 3]);
    for (uint16_t i = 0; i < b->pool_count; i++) count += is_reported(b, i);
    uint64_t pick = random_below(&b->random, count);
    for (uint16_t i = 0; i < b->pool_count; i++)
        if (is_reported(b, i) && pick-- == 0) chosen = i;
    b->tosses++;
    outbox_note(b->out, QRT_KIND_NOTE, NOTE_COIN, 0, round_of(b->step), b->instance, count, 0);
    return chosen;
}

static void end_report(struct benor *b, const uint16_t *counts) {
    uint16_t best = loudest(b, counts);
    bool majority = best != NOTHING && 2u * counts[best] > b->count;
    memset(b->reported, 0, sizeof b->reported);
    for (uint16_t i = 0; i < b->pool_count; i++)
        if (counts[i]) set_reported(b, i);
    say(b, b->step + 1, majority ? best : NOTHING);
}

static void end_suggest(struct benor *b, const uint16_t *counts) {
    uint16_t best = loudest(b, counts);
    size_t enough = b->count - quorum_of(b) + 1; /* f + 1 */
    if (best != NOTHING && counts[best] >= enough) {
        decide(b, b->instance, round_of(b->step), value_at(b, best), true);
        return;
    }
    uint32_t next = b->step + 1;
    say(b, next, best != NOTHING ? best : toss(b));
}

/* As far as the voices carry us: a step ends with a quorum, ourselves among it. */
static void advance(struct benor *b) {
    uint16_t counts[MEMBERS_MAX];
    if (!b->step || b->recovering || b->voices[b->slot].step != b->step) return;
    if (count_voices(b, counts) < quorum_of(b)) return;
    if (b->step & 1)
        end_suggest(b, counts);
    else
        end_report(b, counts);
}

/* ---- messages in ---- */

static void reject(struct benor *b, const struct message *m, uint8_t why) {
    outbox_note(b->out, QRT_KIND_REJECT, why, m->from, 0, 0, m->id, 0);
}

static void ask(struct benor *b, uint16_t whom) {
    b->asking = true;
    send(b, whom, ASK, b->instances.known + 1, 0, false, false, (struct bytes){0});
}

/* Somebody is in this very instance: what it says counts, and may wake us. */
static void hear(struct benor *b, const struct wire_benor *v, uint16_t from, int slot) {
    uint32_t step = 2 * v->round + (v->what == SUGGEST);
    uint16_t place = v->has ? place_of(b, v->value) : NOTHING;
    if (b->recovering || (v->has && place == NOTHING)) return;
    if (!b->step && place != NOTHING) say(b, 2, place); /* invariant 2 */
    if (step == b->step)
        b->voices[slot] = (struct voice){step, place};
    else if (step > b->step && step > b->ahead[slot].step)
        b->ahead[slot] = (struct voice){step, place};
    else if (step < b->step && v->asks)
        send_said(b, from, step, false); /* invariant 3 */
    advance(b);
}

static bool is_sound(const struct wire_benor *v) {
    if (!instances_fits(v->instance) || v->known > INSTANCES_MAX || v->has > 1 || v->asks > 1) return false;
    if (v->what < REPORT || v->what > ASK || v->value.size > VALUE_MAX || (!v->has && v->value.size)) return false;
    if (v->what == ASK) return !v->has && !v->round;
    if (v->round < 1 || v->round > ROUND_MAX) return false;
    return v->has || v->what == SUGGEST;
}

static void on_benor(struct benor *b, const struct message *m, int slot) {
    const struct wire_benor *v = &m->as.benor;
    if (!is_sound(v)) {
        reject(b, m, QRT_DROP_CORRUPT);
        return;
    }
    bool question = v->what != DECIDED;
    bool wants = v->asks || v->what == ASK || (v->what == REPORT && v->round == 1); /* others are being told */
    if (!question) {
        b->asking = false;
        decide(b, v->instance, v->round, v->value, false);
    } else if (instances_at(&b->instances, v->instance)->decided) {
        if (wants) send_decision(b, m->from, v->instance);
    } else if (v->what != ASK && v->instance == b->instance) {
        hear(b, v, m->from, slot);
    }
    if (v->known >= b->instance && !b->asking) ask(b, m->from); /* it knows what we are after */
}

static void on_message(struct benor *b, const struct message *m) {
    int slot = slot_of(b, m->from);
    if (slot < 0 || slot == b->slot || m->kind != WIRE_BENOR)
        reject(b, m, QRT_DROP_FOREIGN);
    else
        on_benor(b, m, slot);
}

/* ---- timers ---- */

/* To everyone whom we have not heard of in this step; whoever has passed it answers. */
static void on_repeat_timer(struct benor *b) {
    if (!b->step || b->recovering) return;
    for (uint16_t i = 0; i < b->count; i++)
        if (i != b->slot && b->voices[i].step != b->step) send_said(b, b->members[i], b->step, true);
    repeat_later(b);
}

static void learn_later(struct benor *b) {
    int64_t t = b->options.learn_interval;
    if (b->count > 1) outbox_timer(b->out, TIMER_LEARN, t + (int64_t)random_below(&b->random, (uint64_t)t));
}

static void on_learn_timer(struct benor *b) {
    uint64_t other = random_below(&b->random, b->count - 1u);
    ask(b, b->members[other < b->slot ? other : other + 1]);
    b->asking = false; /* nobody may have news: the next hint may be followed at once */
    learn_later(b);
}

static void on_stored(struct benor *b) {
    b->stored++;
    if (!b->said_record || b->stored < b->said_record) return;
    b->said_record = 0;
    b->voices[b->slot] = (struct voice){b->step, b->said[b->step - 2]};
    advance(b);
}

/* ---- recovery ---- */

static bool replay_said(struct benor *b, struct reader *in) {
    uint64_t instance = read_u64(in);
    uint32_t round = read_u32(in);
    uint8_t what = read_u8(in), has = read_u8(in);
    struct bytes value = {in->at, (uint32_t)reader_left(in)};
    if (in->failed || !instances_fits(instance) || round < 1 || round > ROUND_MAX || value.size > VALUE_MAX ||
        has > 1 || (what != REPORT && what != SUGGEST))
        return false;
    if (instance < b->instance) return true;
    uint32_t step = 2 * round + (what == SUGGEST);
    uint16_t place = has ? place_of(b, value) : NOTHING;
    /* The decision of the instance before stands before it in the log, and so does every step before. */
    if (instance != b->instance || step != b->said_count + 2 || (has && place == NOTHING)) return false;
    b->said = mem_grow(b->said, &b->said_capacity, b->said_count + 1, sizeof *b->said);
    b->said[b->said_count++] = place;
    b->step = step;
    return true;
}

static bool replay_decision(struct benor *b, struct reader *in) {
    uint64_t instance = read_u64(in);
    uint32_t round = read_u32(in);
    struct bytes value = {in->at, (uint32_t)reader_left(in)};
    if (in->failed || !instances_fits(instance) || round < 1 || round > ROUND_MAX || value.size > VALUE_MAX)
        return false;
    instances_decide(&b->instances, instance, round, value);
    if (b->instance <= b->instances.known) forget_instance(b);
    return true;
}

static void on_record(struct benor *b, struct bytes data) {
    struct reader in = reader_of(data);
    bool sound = false;
    switch (read_u8(&in)) {
    case RECORD_SAID: sound = replay_said(b, &in); break;
    case RECORD_DECISION: sound = replay_decision(b, &in); break;
    case RECORD_RECOVERING: sound = b->recovering = true; break;
    default: break;
    }
    if (sound) return;
    outbox_note(b->out, QRT_KIND_REJECT, QRT_DROP_CORRUPT, 0, 0, 0, 0, 0);
    b->damaged = true;
}

/* Whoever forgot what it said might say something else now: it learns, and that is all, also after further starts. */
static void on_start(struct benor *b, uint8_t how) {
    bool forgot = start_forgot(how) || b->damaged;
    if (forgot && !b->recovering) {
        *outbox_persist(b->out, 1, 0, 0) = RECORD_RECOVERING;
        b->written++;
        b->recovering = true;
    }
    outbox_note(b->out, QRT_KIND_START, how, 0, 0, b->instances.known, b->instances.known, 0);
    learn_later(b);
    if (!b->step) return;
    b->voices[b->slot] = (struct voice){b->step, b->said[b->step - 2]};
    on_repeat_timer(b);
}

/* ---- proposals, dispatch ---- */

static qrt_status refusal(const struct benor *b, const struct event *e) {
    if (b->recovering) return QRT_ENOTLEADER;
    if (e->as.propose.data.size > VALUE_MAX) return QRT_ETOOLARGE;
    if (b->waiting_count >= (size_t)b->options.max_waiting || b->instances.known == INSTANCES_MAX) return QRT_EFULL;
    return QRT_OK;
}

static void on_propose(struct benor *b, const struct event *e) {
    qrt_status status = refusal(b, e);
    if (status) {
        outbox_reply(b->out, e->as.propose.token, status, b->members[b->slot ? 0 : b->count - 1]);
        return;
    }
    b->waiting = mem_grow(b->waiting, &b->waiting_capacity, b->waiting_count + 1, sizeof *b->waiting);
    b->waiting[b->waiting_count++] = e->as.propose.token;
    if (!b->step) say(b, 2, place_of(b, e->as.propose.data));
}

static void benor_step(void *state, const struct event *e, struct outbox *out) {
    struct benor *b = state;
    b->out = out;
    switch ((enum event_kind)e->kind) {
    case EVENT_MESSAGE: on_message(b, e->as.message); break;
    case EVENT_STORED: on_stored(b); break;
    case EVENT_PROPOSE: on_propose(b, e); break;
    case EVENT_TIMER:
        if (e->as.timer.id == TIMER_REPEAT) on_repeat_timer(b);
        if (e->as.timer.id == TIMER_LEARN) on_learn_timer(b);
        break;
    case EVENT_READ: outbox_reply(out, e->as.read.token, QRT_EUNSUPPORTED, 0); break;
    case EVENT_RECORD: on_record(b, e->as.record.data); break;
    case EVENT_START: on_start(b, e->as.start.how); break;
    case EVENT_CHECKPOINT:
    case EVENT_OPINION:
    case EVENT_LOCAL:
    case EVENT_ROOM: break;
    }
    b->out = NULL;
}

/* ---- life and death ---- */

static void *benor_create(const struct protocol_config *c) {
    CHECK(c->member_count >= 1 && c->member_count <= MEMBERS_MAX);
    struct benor *b = mem_zero(1, sizeof *b);
    b->node = c->node;
    memcpy(&b->options, c->options, sizeof b->options);
    b->count = c->member_count;
    memcpy(b->members, c->members, c->member_count * sizeof *c->members);
    int slot = slot_of(b, c->node);
    CHECK(slot >= 0);
    b->slot = (uint16_t)slot;
    b->random = random_stream(c->seed, c->node, RANDOM_PROTOCOL);
    forget_instance(b);
    return b;
}

static void benor_destroy(void *state) {
    struct benor *b = state;
    for (size_t i = 0; i < MEMBERS_MAX; i++) buffer_free(&b->pool[i]);
    instances_free(&b->instances);
    free(b->said);
    free(b->waiting);
    free(b);
}

static void *benor_clone(const void *state) {
    const struct benor *from = state;
    struct benor *b = mem_copy(from, sizeof *from);
    b->out = NULL;
    memset(b->pool, 0, sizeof b->pool);
    for (uint16_t i = 0; i < from->pool_count; i++) buffer_append(&b->pool[i], from->pool[i].data, from->pool[i].size);
    instances_clone(&b->instances, &from->instances);
    b->said = mem_copy(from->said, from->said_count * sizeof *from->said);
    b->said_capacity = from->said_count;
    b->waiting = mem_copy(from->waiting, from->waiting_count * sizeof *from->waiting);
    b->waiting_capacity = from->waiting_count;
    return b;
}

static uint64_t fold_voice(uint64_t f, const struct voice *v) {
    return hash_fold(f, (uint64_t)v->step << 16 | v->value);
}

static uint64_t benor_fingerprint(const void *state) {
    const struct benor *b = state;
    uint64_t f = hash_fold(b->node, instances_fingerprint(&b->instances));
    f = hash_fold(f, (uint64_t)b->recovering | (uint64_t)b->asking << 1 | (uint64_t)b->tosses << 8);
    for (size_t i = 0; i < 4; i++) f = hash_fold(f, b->random.s[i]);
    f = hash_fold(hash_fold(f, b->step), b->written - b->stored);
    f = hash_fold(f, b->said_record ? b->said_record - b->stored : 0);
    for (uint16_t i = 0; i < b->pool_count; i++)
        f = hash_bytes(b->pool[i].size ? b->pool[i].data : (const uint8_t *)"", b->pool[i].size, f);
    for (size_t i = 0; i < b->said_count; i++) f = hash_fold(f, b->said[i]);
    for (uint16_t i = 0; i < b->count; i++) f = fold_voice(fold_voice(f, &b->voices[i]), &b->ahead[i]);
    for (size_t i = 0; i < MEMBERS_MAX / 64; i++) f = hash_fold(f, b->reported[i]);
    for (size_t i = 0; i < b->waiting_count; i++) f = hash_fold(f, b->waiting[i]);
    return f;
}

/* ---- looked at from outside ---- */

static void benor_status(const void *state, struct protocol_status *s) {
    const struct benor *b = state;
    *s = (struct protocol_status){
        .role = b->recovering ? QRT_ROLE_RECOVERING
                : b->step     ? QRT_ROLE_CANDIDATE
                              : QRT_ROLE_FOLLOWER,
        .term = round_of(b->step),
        .first = 1,
        .last = b->instances.highest,
        .commit = b->instances.known,
        .applied = b->instances.known,
    };
}

static bool benor_entry(const void *state, uint64_t index, struct entry *entry) {
    const struct benor *b = state;
    const struct decree *d = instances_fits(index) ? instances_at(&b->instances, index) : NULL;
    if (!d || !d->decided) return false;
    *entry = (struct entry){.index = index, .term = d->decided, .kind = ENTRY_OPAQUE};
    entry->data = instances_value(&b->instances, index);
    return true;
}

static int benor_describe(const void *state, char *out, size_t size) {
    const struct benor *b = state;
    struct buffer text = {0};
    buffer_printf(&text, "n%u %s knows %" PRIu64 " decisions", b->node, b->recovering ? "recovering" : "taking part",
                  b->instances.known);
    if (b->step)
        buffer_printf(&text, ", instance %" PRIu64 " in round %" PRIu32 " %s, %u values, %" PRIu32 " tosses",
                      b->instance, round_of(b->step), b->step & 1 ? "suggesting" : "reporting", b->pool_count,
                      b->tosses);
    return view_finish(&text, out, size);
}

static void benor_inspect(const void *state, inspect_fn *field, void *context) {
    const struct benor *b = state;
    field(context, "recovering", b->recovering ? "true" : "false");
    field(context, "phase", !b->step ? "idle" : b->step & 1 ? "suggesting" : "reporting");
    view_number(field, context, "known", b->instances.known);
    view_number(field, context, "instance", b->instance);
    view_number(field, context, "round", round_of(b->step));
    view_number(field, context, "values", b->pool_count);
    view_number(field, context, "tosses", b->tosses);
    view_number(field, context, "waiting", b->waiting_count);
    view_number(field, context, "decided", b->decided_here);
    view_number(field, context, "rounds", b->rounds_total);
}

#define HOLDS(fact) VIEW_HOLDS(e, "benor", b->node, fact)

static bool benor_invariants(const void *state, struct error *e) {
    const struct benor *b = state;
    HOLDS(b->instance == b->instances.known + 1);
    HOLDS(b->pool_count <= b->count);
    HOLDS(b->step ? b->said_count == b->step - 1 : b->said_count == 0);
    HOLDS(b->stored <= b->written);
    HOLDS(b->step || b->waiting_count == 0);
    for (uint16_t i = 0; i < b->count; i++) HOLDS(b->voices[i].step <= b->step);
    return true;
}
#undef HOLDS

/* clang-format off */
#define OPTION(name, type, low, high, standard, help) \
    {#name, type, offsetof(struct benor_options, name), low, high, standard, NULL, help}
static const struct option_spec option_specs[] = {
    OPTION(repeat, OPTION_DURATION, 0.0001, 3600, "20ms",
           "a node that hears no quorum for a random time of once to twice this says what it said again"),
    OPTION(learn_interval, OPTION_DURATION, 0.001, 3600, "100ms",
           "a node asks another for news every random time of once to twice this"),
    OPTION(max_waiting, OPTION_INTEGER, 1, 1048576, "65536",
           "proposals that wait at one node for a decision before it refuses more"),
    {0},
};
#undef OPTION
/* clang-format on */

static const struct bug bugs[] = {{0}};

static const struct fault_model model = {
    .synchrony = false,
    .tolerates_loss = true,
    .tolerates_reorder = true,
    .tolerates_duplicates = true,
    .tolerates_corruption = true,
    .tolerates_partition = true,
    .tolerates_pause = true,
    .tolerates_skew = true,
    .crash_recovers = true,
    .crash_wipes = false,
    .loses_unsynced = true,
    .crashes = "(n-1)/2",
    .liars = "0",
    .assumes =
        "synced writes survive: a node whose disk was wiped learns, but votes no more; nobody lies; the schedule of "
        "messages does not know the coins",
};

const struct protocol protocol_benor = {
    .name = "benor",
    .judged_by = "consensus",
    .sometimes =
        "round-repeated node-returned crashed-in-step unsynced-lost node-paused partition-dropped message-lost "
        "corrupt-rejected sent-to-dead outcome-unknown",
    .leaderless = true,
    .values = true,
    .summary = "randomised consensus without leaders or clocks (Ben-Or 1983)",
    .options = {"benor", option_specs},
    .options_size = sizeof(struct benor_options),
    .model = &model,
    .bugs = bugs,
    .create = benor_create,
    .destroy = benor_destroy,
    .clone = benor_clone,
    .fingerprint = benor_fingerprint,
    .step = benor_step,
    .status = benor_status,
    .entry = benor_entry,
    .describe = benor_describe,
    .inspect = benor_inspect,
    .invariants = benor_invariants,
};
