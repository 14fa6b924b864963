/* Waiting in real time for a condition, over what the nodes publish. Answers, elections and idle clients ring a bell; all
 * else is looked at every millisecond. Meanwhile the journals are merged, so that they stay short and the checkers see. */
#include "runtime/live/live_hand.h"

#include <time.h>

#define LOOK_NS 1000000   /* how often a condition that rings no bell is looked at */
#define MERGE_NS 10000000 /* how often the journals are merged */

uint16_t live_leader(struct live *l) {
    uint16_t leader = 0;
    uint64_t term = 0;
    if (l->hand) return hand_leader(l);
    for (uint16_t i = 1; i <= live_node_count(l); i++) {
        struct live_node *n = &l->nodes[i];
        robust_lock(&n->shown->mutex);
        const struct node_view *v = &n->shown->view;
        bool leads = v->up && !v->paused && v->status.role == QRT_ROLE_LEADER;
        if (leads && (!leader || v->status.term > term)) {
            leader = i;
            term = v->status.term;
        }
        pthread_mutex_unlock(&n->shown->mutex);
    }
    return leader;
}

static bool nodes_reached(struct live *l, const struct condition *c) {
    bool any = false, all = true;
    for (uint16_t i = 1; i <= live_node_count(l); i++) {
        struct live_node *n = &l->nodes[i];
        robust_lock(&n->shown->mutex);
        struct protocol_status st = n->shown->view.status;
        bool up = n->shown->view.up;
        pthread_mutex_unlock(&n->shown->mutex);
        if (!up) continue;
        uint64_t value = c->kind == CONDITION_COMMIT ? st.commit : c->kind == CONDITION_TERM ? st.term : st.applied;
        any = any || value >= c->value;
        all = all && value >= c->value;
    }
    return c->kind == CONDITION_APPLIED ? any && all : any;
}

static bool ticket_done(struct live *l, uint64_t ticket) {
    pthread_mutex_lock(&l->ticket_mutex);
    const struct ticket *t = tickets_at(&l->tickets, ticket);
    bool done = !t || t->done;
    pthread_mutex_unlock(&l->ticket_mutex);
    return done;
}

static bool holds(struct live *l, const struct condition *c) {
    uint16_t leader;
    switch ((enum condition_kind)c->kind) {
    case CONDITION_NONE: return false;
    case CONDITION_LEADER: leader = live_leader(l); return leader && leader != c->except;
    case CONDITION_COMMIT:
    case CONDITION_APPLIED:
    case CONDITION_TERM: return nodes_reached(l, c);
    case CONDITION_EVENTS: return live_events(l) >= c->value;
    case CONDITION_IDLE: return atomic_load(&l->clients.busy) == 0;
    case CONDITION_TICKET: return ticket_done(l, c->value);
    }
    return true;
}

static int64_t look_after(const struct condition *c) {
    return c->kind == CONDITION_IDLE || c->kind == CONDITION_TICKET ? MERGE_NS : LOOK_NS;
}

/* Returns the rings heard so far. */
static uint64_t wait_for_ring(struct live *l, uint64_t heard, int64_t until) {
    int64_t at = l->epoch + until;
    struct timespec deadline = {at / 1000000000, at % 1000000000};
    pthread_mutex_lock(&l->bell_mutex);
    if (l->rings == heard) pthread_cond_timedwait(&l->bell, &l->bell_mutex, &deadline);
    heard = l->rings;
    pthread_mutex_unlock(&l->bell_mutex);
    return heard;
}

qrt_status live_run(void *runtime, int64_t until, const struct condition *condition, int64_t slice_ns) {
    struct live *l = runtime;
    bool conditional = condition && condition->kind != CONDITION_NONE;
    int64_t slice_end = slice_ns ? live_now(l) + slice_ns : NEVER;
    for (uint64_t heard = 0;;) {
        if (conditional && holds(l, condition)) return QRT_OK;
        int64_t now = live_now(l), next = now + (conditional ? look_after(condition) : MERGE_NS);
        if (now >= l->merged + MERGE_NS) live_merge(l, false);
        if (now >= until) return conditional ? QRT_ETIMEOUT : QRT_OK;
        if (now >= slice_end) return QRT_MORE;
        if (next > until) next = until;
        if (next > slice_end) next = slice_end;
        if (conditional) {
            heard = wait_for_ring(l, heard, next);
            continue;
        }
        int64_t at = l->epoch + next;
        clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &(struct timespec){at / 1000000000, at % 1000000000}, NULL);
    }
}
