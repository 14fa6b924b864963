/* How an actor sleeps, and what wakes it.
 *
 *   messages --> inbox --+
 *   orders --> rope -----+--> zmq_msg_recv, which ends with the first message
 *   alarms, departures -----> its timeout
 *
 * To sleep in the inbox itself takes a system call where the inbox's descriptor takes three: one to sleep, and one each to
 * find that a message is there and that no other is. Orders come by another way, so who gives one to a sleeper pulls its
 * rope, a socket whose other end is the inbox: what arrives there is empty.
 *
 * ZeroMQ's timeouts are milliseconds. What is due sooner than SOON_MS, and actors whose inbox has no rope (nodes by hand and
 * their clients, which listen to more than one socket) wait for descriptors. The inbox's tells only of what has come since
 * the inbox was found empty.
 *
 * To wake a thread whose processor has nothing else to do costs the waker 12 microseconds where there is a hypervisor, and the
 * sleeper 30 and more; with one proposal outstanding that was a third of a commit. So an actor looks on for SPIN_NS before it
 * sleeps, which is no more than twice what sleeping at once would cost (Karlin, Manasse, McGeoch and Owicki, "Competitive
 * randomized algorithms for nonuniform problems", 1990). It does so only where the last inputs came closer together than that,
 * and where no other actor has lately been on its processor: one that is being waited for may need it.
 *
 * Invariant: `asleep` is set before the sleeper looks for orders a last time, and an order is pending before its giver looks
 * at `asleep`, so one of them sees the other. */
#include "runtime/live/live_hand.h"
#include "runtime/live/live_share.h"

#include <poll.h>
#include <sched.h>
#include <unistd.h>
#include <zmq.h>

enum {
    SOON_MS = 2,
    PATIENCE_BITS = 20, /* a quarter of an hour */
    SPIN_NS = 50000,
    PACE_MAX_NS = 1000000, /* a longer time between two sleeps counts as that */
    LATELY_NS = 1000000,
    FEW = 2,        /* messages in a burst, */
    FEW_ENOUGH = 4, /* so many times in a row: then none is looked for behind the first, */
    FEW_LOOK = 64,  /* but for one burst in so many */
};

qrt_status actor_rope(struct actor *a, const char *inbox, struct error *e) {
    int none = 0;
    void *s = a->rope = zmq_socket(a->live->context, live_apart(a->live) ? ZMQ_DEALER : ZMQ_PUSH);
    zmq_msg_init(&a->early);
    if (s && !zmq_setsockopt(s, ZMQ_LINGER, &none, sizeof none) && !zmq_connect(s, inbox)) return QRT_OK;
    return error_set(e, QRT_EIO, "actor %u gets no socket for its orders: %s", a->id, zmq_strerror(zmq_errno()));
}

void actor_unrope(struct actor *a) {
    if (!a->rope) return;
    zmq_close(a->rope);
    zmq_msg_close(&a->early);
    a->rope = NULL;
    a->came_early = false;
}

/* Behind the mutex of its orders: givers may be several threads, and a socket is for one at a time. */
void actor_wake(struct actor *a) {
    uint64_t one = 1;
    if (a->rope && atomic_load(&a->asleep)) { /* full: it has been pulled before */
        zmq_send(a->rope, "", 0, ZMQ_DONTWAIT);
        return;
    }
    if (a->live->agent) return;                   /* its bell is its owner's socket, which rings by itself */
    ssize_t n = write(a->bell, &one, sizeof one); /* it fails only when it rings already */
    (void)n;
}

bool actor_pulled(struct actor *a, zmq_msg_t *m) {
    return a->rope && zmq_msg_size(m) == 0 && zmq_msg_get(m, ZMQ_SRCFD) < 0; /* from within this process */
}

bool actor_next(struct actor *a, zmq_msg_t *m) {
    if (a->came_early) {
        a->came_early = false;
        return zmq_msg_move(m, &a->early) == 0;
    }
    a->drained = zmq_msg_recv(m, a->inbox, ZMQ_DONTWAIT) < 0;
    return !a->drained;
}

/* Where few messages come at a time, none is looked for behind the first: the look is a system call, and one that is there
 * nevertheless ends the next sleep before it begins. */
size_t actor_burst_limit(struct actor *a) {
    if (!a->came_early || a->few < FEW_ENOUGH) return LIVE_BURST;
    if (a->few < FEW_LOOK) return 1;
    a->few = FEW_ENOUGH - 1;
    return LIVE_BURST;
}

void actor_burst_was(struct actor *a, size_t count) {
    if (count) a->few = count <= FEW ? a->few + 1 : 0;
}

/* The largest power of two that is not over `ms`, which is at least SOON_MS: so the option changes seldom. */
static void set_patience(struct actor *a, int64_t ms) {
    int patience = 1 << (ms >> PATIENCE_BITS ? PATIENCE_BITS : 63 - __builtin_clzll((unsigned long long)ms));
    if (patience == a->patience) return;
    a->patience = patience;
    zmq_setsockopt(a->inbox, ZMQ_RCVTIMEO, &patience, sizeof patience);
}

/* Called once before each sleep of a thread among threads. */
static void note_pace(struct actor *a, int64_t now) {
    struct pace *p = &a->pace;
    int64_t period = now - atomic_load_explicit(&p->active, memory_order_relaxed);
    int cpu = sched_getcpu();
    p->mean += ((period < PACE_MAX_NS ? period : PACE_MAX_NS) - p->mean) / 8;
    atomic_store_explicit(&p->active, now, memory_order_relaxed);
    if (cpu == p->cpu) return;
    p->cpu = cpu;
    atomic_store_explicit(&a->live->cpus[a->id], cpu, memory_order_relaxed);
}

/* Has no other actor lately been where this one is? Theirs are looked at only where they may have been: each look slows their
 * next write. */
static bool is_alone(const struct actor *a, int64_t now) {
    const struct live *l = a->live;
    for (uint16_t i = 0; i <= live_node_count(l); i++) {
        const struct actor *other = i ? &l->nodes[i].actor : &l->clients.actor;
        if (i == a->id || atomic_load_explicit(&l->cpus[i], memory_order_relaxed) != a->pace.cpu) continue;
        if (now - atomic_load_explicit(&other->pace.active, memory_order_relaxed) < LATELY_NS) return false;
    }
    return true;
}

/* True: something has come, and there is no need to sleep. */
static bool spin(struct actor *a, int64_t now) {
    if (live_apart(a->live) || a->pace.mean > SPIN_NS || !is_alone(a, now)) return false;
    for (int64_t until = now + SPIN_NS; now < until; now = live_now(a->live)) {
        if (atomic_load(&a->orders.pending)) return true;
        a->came_early = zmq_msg_recv(&a->early, a->inbox, ZMQ_DONTWAIT) >= 0;
        if (!a->came_early) continue;
        a->drained = false; /* as behind a sleep */
        return true;
    }
    return false;
}

static void sleep_in_inbox(struct actor *a, int64_t ms) {
    set_patience(a, ms);
    atomic_store(&a->asleep, true);
    if (!atomic_load(&a->orders.pending)) a->came_early = zmq_msg_recv(&a->early, a->inbox, 0) >= 0;
    atomic_store(&a->asleep, false);
    a->drained = false; /* what may be behind that message no descriptor tells any more */
}

static void sleep_by_descriptors(struct actor *a, bool inputs, int64_t next) {
    struct pollfd items[] = {{a->bell, POLLIN, 0}, {a->inbox_signal, POLLIN, 0}};
    uint64_t rings;
    if (a->rope && inputs && !a->drained && (a->came_early = actor_next(a, &a->early))) return;
    if (atomic_load(&a->orders.pending)) return;
    int64_t left = next == NEVER || next == 0 ? 0 : next - live_now(a->live);
    struct timespec wait = {left > 0 ? left / 1000000000 : 0, left > 0 ? left % 1000000000 : 0};
    ppoll(items, inputs || a->live->hand ? 2 : 1, next == NEVER ? NULL : &wait, NULL);
    if (!items[0].revents) return;
    if (a->live->agent) { /* its bell is its owner's socket */
        atomic_store(&a->orders.pending, true);
        return;
    }
    ssize_t n = read(a->bell, &rings, sizeof rings);
    (void)n;
}

void actor_sleep(struct actor *a, bool inputs, int64_t until) {
    if (a->live->remote) {
        remote_sleep(a);
        return;
    }
    int64_t next = until;
    if (a->departures.count && a->departures.keys[0].time < next) next = a->departures.keys[0].time;
    if (inputs && a->alarms.heap.count && a->alarms.heap.keys[0].time < next) next = a->alarms.heap.keys[0].time;
    if ((a->came_early && inputs) || atomic_load(&a->orders.pending)) return;
    int64_t now = live_now(a->live), ms = next == NEVER ? INT64_MAX : next == 0 ? 0 : (next - now) / 1000000;
    if (!live_apart(a->live)) note_pace(a, now);
    if (!a->rope || !inputs || ms < SOON_MS)
        sleep_by_descriptors(a, inputs, next);
    else if (!spin(a, now))
        sleep_in_inbox(a, ms);
}
