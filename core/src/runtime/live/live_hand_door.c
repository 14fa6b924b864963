/* The door of a node started by hand: who may send what, and the ways back to clients.
 *
 * Who speaks is said by the key (User-Id), never by a field. A node's message must name that node; a client's is given an id
 * of this node's own, its alias, before the host sees it, and gets its own id back in the answer. The alias is a place in a
 * table of the connections and client ids seen last. A place is given to another when its bucket is full, to the least
 * recently used; the answer to who had it before is then lost, and asked for again.
 *
 * Roles: reading wants "read", everything else of a client's "write"; what control wants says live_hand_control.c. A refusal
 * is an answer, with the reason as its data. Without keys everyone may do everything, as the cluster file said.
 *
 * A sender's clock may be ahead of this host's. Its time draws the trace forward (live.h) only by a little, so that a peer
 * with a wrong clock cannot hold this node's timers up. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <zmq.h>

#include "base/hash.h"
#include "runtime/live/live_doorman.h"
#include "runtime/live/live_guard.h"
#include "runtime/live/live_hand.h"
#include "wire/wire.h"

#define BUCKETS 512
#define PLACES 8 /* in a bucket */
#define ROUTE_MAX 255
#define AHEAD_NS INT64_C(20000000)

struct route {
    uint8_t size, id[ROUTE_MAX];
    int fd;          /* the connection that it last came by */
    uint16_t client; /* its own id */
    uint64_t used;   /* 0: free */
};

struct routes {
    uint64_t clock;
    struct route routes[BUCKETS * PLACES];
};

struct parked {
    struct parked *next;
    struct arrival arrival;
    uint8_t frame[];
};

struct caller {    /* of the message in hand */
    uint16_t node; /* 0: a client */
    int64_t key;   /* guard_key; -1: none */
    uint8_t role;
    char name[HAND_NAME_MAX];
    struct bytes route;
    int fd;
};

struct routes *routes_new(void) {
    return mem_zero(1, sizeof(struct routes));
}

/* ---- who is it? ---- */

static bool same_key(const char *a, const char *b) {
    return *b && !memcmp(a, b, HAND_KEY_TEXT);
}

bool hand_knows(struct live *l, const char *public_key, char user[USER_TEXT]) {
    bool known = false;
    pthread_mutex_lock(&l->hand->mutex);
    const struct hand_config *c = l->hand->config;
    for (uint16_t i = 1; i <= c->node_count && !known; i++)
        if ((known = same_key(public_key, c->nodes[i].public_key))) snprintf(user, USER_TEXT, "%s%u", public_key, i);
    for (size_t i = 0; i < c->client_count && !known; i++)
        if ((known = same_key(public_key, c->clients[i].public_key)))
            snprintf(user, USER_TEXT, "%s=%s", public_key, c->clients[i].name);
    pthread_mutex_unlock(&l->hand->mutex);
    return known;
}

/* 0: there is nobody of that name with that key. */
static uint8_t role_of(struct hand *h, const char *name, const char *key) {
    uint8_t role = 0;
    pthread_mutex_lock(&h->mutex);
    for (size_t i = 0; i < h->config->client_count && !role; i++) {
        const struct hand_client *c = &h->config->clients[i];
        if (!strcmp(c->name, name) && same_key(key, c->public_key)) role = c->role;
    }
    pthread_mutex_unlock(&h->mutex);
    return role;
}

static bool is_node(struct hand *h, uint16_t node, const char *key) {
    pthread_mutex_lock(&h->mutex);
    const struct hand_config *c = h->config;
    bool known = node >= 1 && node <= c->node_count && same_key(key, c->nodes[node].public_key);
    pthread_mutex_unlock(&h->mutex);
    return known;
}

/* Who says it, by the name and the key that the doorman let in. The key may have gone since. */
static bool recognize(struct actor *a, const char *user, struct caller *c) {
    const size_t size = HAND_KEY_TEXT - 1;
    struct live *l = a->live;
    char key[HAND_KEY_TEXT] = "";
    memcpy(key, user, size);
    c->key = guard_key(key);
    if (user[size] == '=') {
        snprintf(c->name, sizeof c->name, "%.63s", user + size + 1);
        c->role = role_of(l->hand, c->name, key);
        return c->role != 0;
    }
    c->node = (uint16_t)strtoul(user + size, NULL, 10);
    return c->node != a->id && is_node(l->hand, c->node, key);
}

/* False: nobody that the node knows (any more). */
static bool identify(struct actor *a, zmq_msg_t *m, const struct envelope *head, struct caller *c) {
    struct live *l = a->live;
    if (!l->gates.curve) {
        c->node = head->from < QRT_CLIENT ? head->from : 0;
        c->role = HAND_ADMIN;
        snprintf(c->name, sizeof c->name, "without a key");
        return c->node <= live_node_count(l) && c->node != a->id;
    }
    const char *user = zmq_msg_gets(m, "User-Id");
    if (!user || strlen(user) < HAND_KEY_TEXT) return false;
    bool known = recognize(a, user, c);
    if (!known) doorman_expel(l, c->key);
    return known;
}

/* ---- aliases ---- */

static uint16_t alias_of(struct routes *r, const struct caller *c, uint16_t client) {
    uint64_t hash = hash_bytes(c->route.data, c->route.size, client);
    size_t first = hash % BUCKETS * PLACES, place = first;
    for (size_t i = first; i < first + PLACES; i++) {
        const struct route *at = &r->routes[i];
        if (at->used && at->client == client && bytes_equal(bytes_of(at->id, at->size), c->route)) {
            place = i;
            break;
        }
        if (at->used < r->routes[place].used) place = i;
    }
    struct route *to = &r->routes[place];
    to->used = ++r->clock;
    to->client = client;
    to->fd = c->fd;
    to->size = (uint8_t)c->route.size;
    memcpy(to->id, c->route.data, c->route.size);
    return (uint16_t)(QRT_CLIENT + 1 + place);
}

/* ---- the way back ---- */

/* What leaves by a connection, until libzmq has sent it or dropped it: who asks and reads no answer is not to fill the memory. */
struct leaving {
    atomic_uint_fast64_t *owed;
    size_t size;
    uint8_t data[];
};

/* Any of libzmq's threads. */
static void answer_left(void *data, void *leaving) {
    struct leaving *w = leaving;
    (void)data;
    atomic_fetch_sub(w->owed, w->size);
    free(w);
}

/* Where the body is in the message; NULL: there is no memory, or too much is on its way already. */
static uint8_t *pack(struct live *l, int fd, zmq_msg_t *m, const struct envelope *head, struct bytes body) {
    atomic_uint_fast64_t *owed = &l->owed[fd > 0 && fd < GUARD_DESCRIPTORS ? fd : 0];
    if (atomic_load(owed) > LIVE_LINK_BYTES) return NULL;
    struct leaving *w = mem_alloc(sizeof *w + sizeof *head + body.size);
    w->owed = owed;
    w->size = sizeof *head + body.size;
    memcpy(w->data, head, sizeof *head);
    if (body.size) memcpy(w->data + sizeof *head, body.data, body.size);
    atomic_fetch_add(owed, w->size);
    if (!zmq_msg_init_data(m, w->data, w->size, answer_left, w)) return w->data + sizeof *head;
    answer_left(w->data, w);
    return NULL;
}

/* Takes the message. False: the client has gone, or reads nothing. */
static bool route_message(struct actor *a, struct bytes route, zmq_msg_t *m) {
    if (zmq_send(a->inbox, route.data, route.size, ZMQ_SNDMORE | ZMQ_DONTWAIT) >= 0 &&
        zmq_msg_send(m, a->inbox, ZMQ_DONTWAIT) >= 0)
        return true;
    zmq_msg_close(m);
    return false;
}

static bool route_send(struct actor *a, struct bytes route, int fd, const struct envelope *head, struct bytes body) {
    zmq_msg_t m;
    return pack(a->live, fd, &m, head, body) && route_message(a, route, &m);
}

static bool frame_send(struct actor *a, const struct route *r, struct envelope head, const uint8_t *frame,
                       uint32_t size) {
    zmq_msg_t m;
    head.to = r->client;
    uint8_t *own = pack(a->live, r->fd, &m, &head, bytes_of(frame, size));
    if (!own) return false;
    memcpy(own + WIRE_TO, &r->client, sizeof r->client);
    wire_seal(own, size, wire_id(frame), a->live->cluster_id);
    return route_message(a, bytes_of(r->id, r->size), &m);
}

void hand_reply(struct actor *a, const struct envelope *head, const uint8_t *frame, uint32_t size) {
    size_t place = (size_t)(head->to - QRT_CLIENT - 1);
    struct route *r = place < BUCKETS * PLACES ? &a->live->hand->routes->routes[place] : NULL;
    if (r && r->used && frame_send(a, r, *head, frame, size)) return;
    actor_drop(a, head->from, head->to, QRT_DROP_DOWN, wire_id(frame));
}

void hand_answer(struct live_node *n, const struct order *o) {
    struct envelope head = {n->actor.id, 0, HAND_CONTROL, n->actor.time};
    size_t at = sizeof(int) + 1, size = o->data.size > at ? o->data.data[at - 1] : 0;
    int fd;
    if (o->data.size < at + size) return;
    memcpy(&fd, o->data.data, sizeof fd);
    struct bytes route = bytes_of(o->data.data + at, size);
    struct bytes text = bytes_of(o->data.data + at + size, o->data.size - at - size);
    if (!route_send(&n->actor, route, fd, &head, text)) n->actor.counts.dropped++;
}

/* ---- what comes in ---- */

static void refuse(struct actor *a, const struct caller *c, const struct message *asked, const char *what) {
    struct message m = {.kind = WIRE_CLIENT_REPLY, .from = a->id, .to = asked->from};
    struct envelope head = {a->id, asked->from, 0, live_now(a->live)};
    struct buffer frame = {0};
    char why[ERROR_TEXT_MAX];
    snprintf(why, sizeof why, "%s has the role %s; %s needs write", c->name, hand_role_name(c->role), what);
    m.as.client_reply.number = asked->as.client_request.number;
    m.as.client_reply.status = (uint32_t)(int32_t)QRT_EDENIED;
    m.as.client_reply.data = bytes_text(why);
    if (wire_append(&m, &frame)) {
        wire_seal(frame.data, frame.size, 0, a->live->cluster_id);
        route_send(a, c->route, c->fd, &head, bytes_of(frame.data, frame.size));
    }
    buffer_free(&frame);
}

static bool reads(uint8_t operation) {
    return operation == CLIENT_READ || operation == CLIENT_STALE;
}

/* A client's frame, which gets its alias where it stands. False: it had no right to be here. */
static bool admit_client(struct actor *a, const struct caller *c, struct arrival *in, uint8_t *frame) {
    struct message m;
    uint64_t id = in->frame.size >= WIRE_HEADER ? wire_id(frame) : 0;
    if (!wire_decode(in->frame, a->live->cluster_id, &m) || m.kind != WIRE_CLIENT_REQUEST || m.from != in->from ||
        m.to != a->id || m.from <= QRT_CLIENT)
        return false;
    if (c->role < HAND_WRITE && !reads(m.as.client_request.operation)) {
        refuse(a, c, &m, "what was asked for");
        return false;
    }
    in->from = alias_of(a->live->hand->routes, c, m.from);
    memcpy(frame + WIRE_FROM, &in->from, sizeof in->from);
    wire_seal(frame, in->frame.size, id, a->live->cluster_id);
    return true;
}

static bool admit_node(const struct actor *a, const struct caller *c, const struct arrival *in) {
    uint16_t inside;
    if (in->from != c->node || in->to != a->id || in->frame.size < WIRE_HEADER) return false;
    memcpy(&inside, in->frame.data + WIRE_FROM, sizeof inside);
    return inside == in->from || !wire_is_sealed(in->frame, a->live->cluster_id);
}

static bool take_request(struct live *l, const struct caller *c, struct bytes text) {
    struct hand *h = l->hand;
    uint64_t one = 1;
    if (c->node || text.size > HAND_CONTROL_MAX) return false;
    struct request *r = mem_zero(1, sizeof *r);
    r->role = c->role;
    memcpy(r->name, c->name, sizeof r->name);
    memcpy(r->route, c->route.data, c->route.size);
    r->route_size = c->route.size;
    r->fd = c->fd;
    buffer_append(&r->text, text.data, text.size);
    pthread_mutex_lock(&h->mutex);
    bool room = h->request_count < HAND_WAITING_MAX;
    if (room) {
        *(h->last ? &h->last->next : &h->requests) = r;
        h->last = r;
        h->request_count++;
    }
    pthread_mutex_unlock(&h->mutex);
    if (room) {
        ssize_t n = write(h->bell, &one, sizeof one);
        (void)n;
        return true;
    }
    buffer_free(&r->text);
    free(r);
    return false;
}

/* The next message that is for the host; false: there is none. body: where its bytes are, until the next. */
static bool next_arrival(struct actor *a, zmq_msg_t *route, zmq_msg_t *m, struct arrival *in, size_t *seen) {
    while (*seen < LIVE_BURST) {
        struct envelope head = {0};
        struct caller c = {.key = -1};
        int parts = 1;
        if (zmq_msg_recv(route, a->inbox, ZMQ_DONTWAIT) < 0) return false;
        size_t bytes = 0;
        for (zmq_msg_t *last = route; zmq_msg_more(last); parts++, last = m) {
            if (zmq_msg_recv(m, a->inbox, ZMQ_DONTWAIT) < 0) return false;
            bytes += zmq_msg_size(m);
        }
        ++*seen;
        size_t size = parts == 2 ? zmq_msg_size(m) : 0;
        uint8_t *data = zmq_msg_data(m);
        c.route = bytes_of(zmq_msg_data(route), zmq_msg_size(route));
        c.fd = zmq_msg_get(parts > 1 ? m : route, ZMQ_SRCFD);
        bool sound = size >= sizeof head && c.route.size <= ROUTE_MAX;
        if (sound) memcpy(&head, data, sizeof head);
        sound = sound && identify(a, m, &head, &c);
        doorman_took(a->live, parts > 1 ? m : route, bytes, c.key);
        if (sound) {
            *in = (struct arrival){head.from, head.to, head.sent, bytes_of(data + sizeof head, size - sizeof head)};
            if (head.sent > live_now(a->live) + AHEAD_NS || head.sent < 0 || !c.node) in->sent = 0;
            if (head.kind == HAND_CONTROL && take_request(a->live, &c, in->frame)) continue;
            sound = head.kind == 0 && (c.node ? admit_node(a, &c, in) : admit_client(a, &c, in, data + sizeof head));
        }
        if (sound) return true;
        actor_reject(a, c.node);
    }
    return false;
}

/* ---- while paused ---- */

static void park(struct live_node *n, const struct arrival *in) {
    struct hand *h = n->actor.live->hand;
    if (h->parked_count == HAND_WAITING_MAX || h->parked_bytes + in->frame.size > LIVE_DELAYED_BYTES) {
        n->actor.time = journal_open(&n->actor.journal, n->actor.live, in->sent);
        actor_drop(&n->actor, in->from, in->to, QRT_DROP_FULL, wire_id(in->frame.data));
        journal_close(&n->actor.journal);
        return;
    }
    struct parked *p = mem_alloc(sizeof *p + in->frame.size);
    memcpy(p->frame, in->frame.data, in->frame.size);
    p->next = NULL;
    p->arrival = *in;
    p->arrival.frame = bytes_of(p->frame, in->frame.size);
    *(h->parked_last ? &h->parked_last->next : &h->parked) = p;
    h->parked_last = p;
    h->parked_count++;
    h->parked_bytes += in->frame.size;
}

static struct parked *unpark(struct hand *h) {
    struct parked *p = h->parked;
    if (!p) return NULL;
    h->parked = p->next;
    if (!h->parked) h->parked_last = NULL;
    h->parked_count--;
    h->parked_bytes -= p->arrival.frame.size;
    return p;
}

void hand_unpark(struct hand *h) {
    for (struct parked *p; (p = unpark(h));) free(p);
}

bool hand_park(struct live_node *n) {
    struct arrival in;
    zmq_msg_t route, m;
    size_t seen = 0;
    if (!n->actor.inbox) return false;
    zmq_msg_init(&route);
    zmq_msg_init(&m);
    while (next_arrival(&n->actor, &route, &m, &in, &seen)) park(n, &in);
    zmq_msg_close(&route);
    zmq_msg_close(&m);
    return seen > 0;
}

size_t hand_arrivals(struct actor *a, void (*each)(void *self, const struct arrival *arrival), void *self) {
    struct arrival in;
    zmq_msg_t route, m;
    size_t seen = 0;
    if (!a->inbox) return 0;
    for (struct parked *p; (p = unpark(a->live->hand)); seen++) {
        each(self, &p->arrival);
        free(p);
    }
    zmq_msg_init(&route);
    zmq_msg_init(&m);
    while (next_arrival(a, &route, &m, &in, &seen)) each(self, &in);
    zmq_msg_close(&route);
    zmq_msg_close(&m);
    return seen;
}
