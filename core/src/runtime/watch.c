#include "runtime/watch.h"

#include <stdlib.h>

#include "base/check.h"
#include "base/hash.h"
#include "runtime/host.h"
#include "runtime/options.h"

#define TIMER_BEAT 1  /* the next heartbeat is due */
#define TIMER_PEER 16 /* + place of the peer: its detector's deadline */
#define SUSPICION_MAX 1e12

/* By the choices of the option `detector`. */
static const enum detector_kind kinds[] = {DETECTOR_TIMEOUT,         DETECTOR_TIMEOUT, DETECTOR_POLLING, DETECTOR_PHI,
                                           DETECTOR_PHI_EXPONENTIAL, DETECTOR_NFD_E,   DETECTOR_BERTIER};

static bool silence_is_shorter(enum detector_kind kind, const struct cluster_options *o) {
    bool by_silence = kind == DETECTOR_TIMEOUT || kind == DETECTOR_POLLING;
    return by_silence && o->detector_timeout <= o->detector_interval;
}

static qrt_status refuse_silence(const struct cluster_options *o, struct error *e) {
    return error_set(e, QRT_ERANGE,
                     "detector_timeout must be above detector_interval: with %.6g s and %.6g s everybody would be "
                     "suspected before the next heartbeat is due; 0 takes the interval times the nodes",
                     (double)o->detector_timeout / 1e9, (double)o->detector_interval / 1e9);
}

qrt_status watch_configure(struct watch_config *config, const struct cluster_options *o, struct error *e) {
    struct detector *trial = NULL;
    *config = (struct watch_config){.on = o->detector != 0, .kind = kinds[o->detector]};
    if (!config->on) return QRT_OK;
    if (o->detector_timeout && silence_is_shorter(config->kind, o)) return refuse_silence(o, e);
    config->interval_ns = o->detector_interval;
    option_defaults(&detector_tables[config->kind], &config->options);
    config->options.interval_ns = o->detector_interval;
    config->options.nodes = o->nodes;
    config->options.timeout_ns = o->detector_timeout; /* 0: interval x nodes */
    config->options.threshold = o->detector_threshold;
    config->options.shift_ns = o->detector_timeout ? o->detector_timeout : 2 * o->detector_interval;
    /* The standard figures are for heartbeats a second apart; here they go with the interval. */
    config->options.pause_ns = o->detector_timeout;
    config->options.first_ns = o->detector_interval;
    if (config->options.interval_max_ns < o->detector_interval)
        config->options.interval_max_ns = 2 * o->detector_interval;
    config->options.deviation_min_ns = o->detector_interval / 4;
    qrt_status s = detector_new(config->kind, &config->options, NULL, &trial, e);
    detector_free(&trial);
    return s;
}

static struct watched *peer_of(struct host *h, uint16_t node) {
    for (uint16_t i = 0; i < h->watch.count; i++)
        if (h->watch.peers[i].node == node) return &h->watch.peers[i];
    return NULL;
}

static bool polls(const struct host *h) {
    return h->config.watch->kind == DETECTOR_POLLING;
}

static void set_timer(struct host *h, uint32_t id, int64_t delay_ns) {
    h->port->timer(h->runtime, h, WATCH_GROUP, id, delay_ns);
}

static void set_deadline(struct host *h, const struct watched *w) {
    int64_t deadline = w->detector->deadline, left = deadline - h->mono;
    bool waits = !w->suspected && deadline != DETECTOR_NEVER;
    set_timer(h, TIMER_PEER + (uint32_t)(w - h->watch.peers), !waits ? INT64_MAX : left > 1 ? left : 1);
}

static void opine(struct host *h, struct watched *w, bool suspected) {
    double suspicion = detector_suspicion(w->detector, h->mono);
    if (w->suspected == suspected) return;
    w->suspected = suspected;
    if (!(suspicion > 0)) suspicion = 0;
    if (suspicion > SUSPICION_MAX) suspicion = SUSPICION_MAX;
    host_emit(h, 0, QRT_KIND_OPINION, suspected, w->node, 0, 0, 0, (uint64_t)(suspicion * 1e6));
    host_opinion(h, w->node, suspected, suspicion);
}

static void send(struct host *h, uint16_t to, uint64_t number, bool asks) {
    struct instance *in = &h->instances[0];
    struct protocol_status st;
    struct message m = {.kind = WIRE_HEARTBEAT};
    in->protocol->status(in->state, &st);
    m.as.heartbeat = (struct wire_heartbeat){number, st.term, in->applied, h->counts.proposals, st.role, asks};
    outbox_send(&in->service, to, &m, FX_BEFORE_DURABLE, st.term, number); /* it promises nothing */
}

static void beat(struct host *h) {
    struct error e;
    h->watch.sent++;
    for (uint16_t i = 0; i < h->watch.count; i++) {
        if (polls(h)) detector_ping(h->watch.peers[i].detector, h->mono, &e);
        send(h, h->watch.peers[i].node, h->watch.sent, polls(h));
        if (polls(h)) set_deadline(h, &h->watch.peers[i]);
    }
    driver_carry_out(h, &h->instances[0], &h->instances[0].service);
    set_timer(h, TIMER_BEAT, h->config.watch->interval_ns);
}

void watch_start(struct host *h) {
    const struct watch_config *c = h->config.watch;
    struct error e;
    h->watch = (struct watch){0};
    if (!c || !c->on) return;
    h->watch.peers = mem_zero(h->config.member_count, sizeof *h->watch.peers);
    for (uint16_t i = 0; i < h->config.member_count; i++) {
        if (h->config.members[i] == h->config.node) continue;
        struct watched *w = &h->watch.peers[h->watch.count++];
        w->node = h->config.members[i];
        CHECK(detector_new(c->kind, &c->options, NULL, &w->detector, &e) == QRT_OK);
        if (!polls(h)) detector_observe(w->detector, h->mono, 0, &e);
        set_deadline(h, w);
    }
    beat(h);
}

void watch_stop(struct host *h) {
    for (uint16_t i = 0; i < h->watch.count; i++) detector_free(&h->watch.peers[i].detector);
    free(h->watch.peers);
    h->watch = (struct watch){0};
}

/* A restarted peer counts from 1 again, and is a new one to detectors that go by numbers. */
static void begin_anew(struct host *h, struct watched *w) {
    struct error e;
    detector_free(&w->detector);
    CHECK(detector_new(h->config.watch->kind, &h->config.watch->options, NULL, &w->detector, &e) == QRT_OK);
}

void watch_receive(struct host *h, const struct message *m) {
    const struct wire_heartbeat *b = &m->as.heartbeat;
    struct watched *w = peer_of(h, m->from);
    struct error e;
    if (b->asks == 1) { /* whether or not this node watches anybody */
        send(h, m->from, b->number, false);
        driver_carry_out(h, &h->instances[0], &h->instances[0].service);
        return;
    }
    if (!w) return;
    if (b->number < w->number && b->number == 1) begin_anew(h, w);
    bool fresh = b->number > w->number || b->number == 1;
    w->number = b->number;
    if (!fresh || detector_observe(w->detector, h->mono, (double)b->number, &e)) return;
    opine(h, w, false);
    set_deadline(h, w);
}

void watch_timer(struct host *h, uint32_t id) {
    uint32_t place = id - TIMER_PEER;
    if (id == TIMER_BEAT) {
        beat(h);
    } else if (id >= TIMER_PEER && place < h->watch.count) {
        struct watched *w = &h->watch.peers[place];
        bool suspected = detector_poll(w->detector, h->mono);
        if (suspected)
            opine(h, w, true);
        else if (detector_suspected(w->detector, h->mono)) /* excused: it was this node that stood still */
            set_timer(h, id, h->config.watch->interval_ns);
        else
            set_deadline(h, w);
    }
}

void watch_clone(struct watch *to, const struct watch *from) {
    *to = *from;
    to->peers = from->peers ? mem_copy(from->peers, from->count * sizeof *from->peers) : NULL;
    for (uint16_t i = 0; i < to->count; i++) to->peers[i].detector = detector_clone(from->peers[i].detector);
}

uint64_t watch_fingerprint(const struct host *h) {
    uint64_t f = h->watch.sent;
    for (uint16_t i = 0; i < h->watch.count; i++) {
        const struct watched *w = &h->watch.peers[i];
        f = hash_fold(hash_fold(f, (uint64_t)w->node << 1 | w->suspected), w->number);
        f = hash_fold(f, detector_fingerprint(w->detector, h->mono));
    }
    return f;
}

void watch_suspects(const struct host *h, uint64_t suspects[2]) {
    suspects[0] = suspects[1] = 0;
    for (uint16_t i = 0; i < h->watch.count; i++) {
        const struct watched *w = &h->watch.peers[i];
        if (w->suspected && w->node <= 128) suspects[(w->node - 1) / 64] |= UINT64_C(1) << (w->node - 1) % 64;
    }
}
