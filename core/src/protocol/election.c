/* Elections: the part that the protocols share. See election.h. */
#include "protocol/election.h"
#include "protocol/view.h"

#include <inttypes.h>
#include <stdlib.h>

#include "base/check.h"

void election_init(struct election *e, const struct protocol_config *c, int64_t timeout) {
    CHECK(c->member_count >= 1 && c->member_count <= ELECTION_MEMBERS_MAX);
    e->node = c->node;
    e->count = c->member_count;
    e->timeout = timeout;
    memcpy(e->members, c->members, c->member_count * sizeof *c->members);
    int slot = election_slot(e, c->node);
    CHECK(slot >= 0);
    e->slot = (uint16_t)slot;
    e->random = random_stream(c->seed, c->node, RANDOM_PROTOCOL);
}

void election_free(struct election *e) {
    free(e->waiting);
}

void election_clone(struct election *to, const struct election *from) {
    to->out = NULL;
    to->waiting = mem_copy(from->waiting, from->waiting_capacity * sizeof *from->waiting);
}

int election_slot(const struct election *e, uint16_t node) {
    return members_slot(e->members, e->count, node);
}

void election_set_role(struct election *e, uint8_t role, uint64_t epoch) {
    e->role = role;
    outbox_note(e->out, QRT_KIND_ROLE, role, 0, epoch, 0, 0, 0);
}

bool election_start(struct election *e, uint8_t how) {
    bool silent = start_forgot(how) || e->damaged;
    outbox_note(e->out, QRT_KIND_START, how, 0, e->seen, 0, 0, 0);
    election_set_role(e, silent ? QRT_ROLE_RECOVERING : QRT_ROLE_FOLLOWER, e->seen);
    return !silent;
}

void election_wait(struct election *e, uint64_t token) {
    e->waiting = mem_grow(e->waiting, &e->waiting_capacity, e->waiting_count + 1, sizeof *e->waiting);
    e->waiting[e->waiting_count++] = token;
}

static struct bytes digits_of(uint16_t node, char text[8]) {
    size_t size = 0;
    for (uint16_t rest = node; rest || !size; rest /= 10) size++;
    for (size_t i = size; i-- > 0; node /= 10) text[i] = (char)('0' + node % 10);
    return bytes_of(text, size);
}

void election_decide(struct election *e, uint64_t epoch, uint16_t leader) {
    char text[8];
    struct bytes decided = digits_of(leader, text);
    if (epoch > e->seen) e->seen = epoch;
    e->epoch = epoch;
    e->leader = leader;
    outbox_note(e->out, QRT_KIND_DECIDE, 0, 0, epoch, epoch, 0, leader);
    uint8_t role = leader == e->node ? QRT_ROLE_LEADER : QRT_ROLE_FOLLOWER;
    if (role == QRT_ROLE_LEADER || e->role != role) election_set_role(e, role, epoch);
    for (size_t i = 0; i < e->waiting_count; i++)
        outbox_answer(e->out, e->waiting[i], QRT_OK, leader, epoch, epoch, decided);
    e->waiting_count = 0;
}

void election_reject(struct election *e, const struct message *m, uint8_t why) {
    outbox_note(e->out, QRT_KIND_REJECT, why, m->from, 0, 0, m->id, 0);
}

uint64_t election_next_epoch(const struct election *e) {
    return (e->seen / e->count + 1) * e->count + e->slot;
}

void election_persist(struct election *e, uint64_t epoch, uint16_t node) {
    uint8_t *p = outbox_persist(e->out, 10, epoch, epoch);
    memcpy(p, &epoch, 8);
    memcpy(p + 8, &node, 2);
}

bool election_recall(struct election *e, struct bytes data, uint64_t *epoch, uint16_t *node) {
    struct reader in = reader_of(data);
    uint64_t number = read_u64(&in);
    uint16_t who = read_u16(&in);
    if (in.failed || reader_left(&in) || number > ELECTION_NUMBER_MAX || election_slot(e, who) < 0) {
        outbox_note(e->out, QRT_KIND_REJECT, QRT_DROP_CORRUPT, 0, 0, 0, 0, 0);
        e->damaged = true;
        return false;
    }
    *epoch = number;
    *node = who;
    if (number > e->seen) e->seen = number;
    return true;
}

/* ---- looked at from outside ---- */

void election_status(const void *state, struct protocol_status *s) {
    const struct election *e = state;
    *s = (struct protocol_status){.role = e->role, .leader = e->leader, .term = e->epoch};
}

static const char *role_name(uint8_t role) {
    static const char *const names[] = {"starting", "follower", "pre-candidate", "candidate", "leader", "silent"};
    return role < sizeof names / sizeof *names ? names[role] : "?";
}

int election_describe(const void *state, char *out, size_t size) {
    const struct election *e = state;
    struct buffer text = {0};
    buffer_printf(&text, "n%u %s, epoch %" PRIu64, e->node, role_name(e->role), e->epoch);
    if (e->leader && e->leader != e->node) buffer_printf(&text, " of n%u", e->leader);
    return view_finish(&text, out, size);
}

void election_inspect(const void *state, inspect_fn *field, void *context) {
    const struct election *e = state;
    field(context, "role", role_name(e->role));
    view_number(field, context, "epoch", e->epoch);
    view_number(field, context, "leader", e->leader);
    view_number(field, context, "seen", e->seen);
    view_number(field, context, "waiting", e->waiting_count);
}

uint64_t election_fold(const struct election *e) {
    uint64_t f = hash_fold(e->node, (uint64_t)e->leader | (uint64_t)e->role << 16 | (uint64_t)e->damaged << 24);
    f = hash_fold(hash_fold(f, e->seen), e->epoch);
    for (size_t i = 0; i < 4; i++) f = hash_fold(f, e->random.s[i]);
    for (size_t i = 0; i < e->waiting_count; i++) f = hash_fold(f, e->waiting[i]);
    return f;
}

bool election_invariants(const void *state, struct error *error) {
    const struct election *e = state;
    bool sound = e->epoch <= e->seen && (e->role != QRT_ROLE_LEADER || e->leader == e->node) &&
                 (!e->leader || election_slot(e, e->leader) >= 0);
    if (!sound)
        error_set(error, QRT_EINTERNAL, "election, node %u: its leader and epochs do not fit together", e->node);
    return sound;
}
