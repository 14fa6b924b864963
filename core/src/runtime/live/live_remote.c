/* A client of nodes started by hand: the owner's side of a live cluster whose nodes are all elsewhere.
 *
 * The clients are the same actors on the same thread as in every live cluster; here each node is reached over one DEALER,
 * and answers come back over it. What an owner sees of its nodes in shared memory is asked for: their statuses, every POLL_NS.
 * A node that has not answered for SILENT_NS counts as down, with the reason as far as the connection tells it (live_reach.c).
 * The handle's thread asks single questions by hand_ask; the clients' thread sends them and wakes it with the answer.
 *
 * Requests are numbered from a random number on, so that an answer meant for an earlier client of the same id is known. */
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>
#include <unistd.h>
#include <zmq.h>

#include "runtime/live/live_hand.h"
#include "runtime/live/live_hand_view.h"
#include "runtime/live/live_reach.h"

#define POLL_NS INT64_C(100000000)
#define SILENT_NS INT64_C(1500000000)
#define FIRST_NS INT64_C(1500000000) /* the beginning waits that long for every node's first answer */
#define ASK_NS INT64_C(3000000000)

struct remote {
    struct hand_config *config;
    int64_t polled;
    int64_t heard[FAULT_NODES_MAX + 1];
    atomic_uchar shown[FAULT_NODES_MAX + 1]; /* enum reach_state, once the view has it; open: it has answered */
    uint16_t *proposers;                     /* clients that propose for the handle: one proposal each at a time */
    uint64_t *tickets;
    size_t proposer_count, proposer_capacity, ticket_capacity;
    /* One question at a time. */
    pthread_mutex_t mutex;
    pthread_cond_t changed;
    uint64_t number;
    bool waiting;
    struct buffer text;
};

/* ---- sending ---- */

static bool control_send(struct actor *a, uint16_t node, const char *text, size_t size) {
    struct envelope head = {QRT_CLIENT + 1, node, HAND_CONTROL, 0};
    zmq_msg_t m;
    if (!a->out[node] || zmq_msg_init_size(&m, sizeof head + size)) return false;
    uint8_t *data = zmq_msg_data(&m);
    memcpy(data, &head, sizeof head);
    memcpy(data + sizeof head, text, size);
    if (zmq_msg_send(&m, a->out[node], ZMQ_DONTWAIT) >= 0) return true;
    zmq_msg_close(&m);
    return false;
}

void remote_send(struct actor *a, struct order *o) {
    o->status = control_send(a, o->client, (char *)o->data.data, o->data.size) ? QRT_OK : QRT_EDOWN;
    if (o->status) reach_look(a, o->client); /* for who reads why */
}

static void show_silent(struct actor *a, uint16_t node) {
    struct shown *shown = a->live->nodes[node].shown;
    enum reach_state state = reach_state(a, node);
    struct node_view v = {.node = node, .denied = state == REACH_REFUSED};
    reach_why(a, node, v.why_down, sizeof v.why_down);
    robust_lock(&shown->mutex);
    bool news = shown->view.up;
    shown->view = v;
    pthread_mutex_unlock(&shown->mutex);
    atomic_store(&a->live->remote->shown[node], (uint8_t)(state == REACH_OPEN ? REACH_NONE : state));
    if (news) live_ring(a->live);
}

static void poll_statuses(struct actor *a) {
    static const char ask[] = "{\"number\":0,\"ask\":\"status\"}";
    struct remote *r = a->live->remote;
    int64_t now = live_now(a->live);
    if (now < r->polled + POLL_NS) return;
    r->polled = now;
    for (uint16_t i = 1; i <= live_node_count(a->live); i++) {
        reach_look(a, i);
        reach_pace(a, i);
        if (!control_send(a, i, ask, sizeof ask - 1)) reach_failed(a, i);
        if (!r->heard[i] || now >= r->heard[i] + SILENT_NS) show_silent(a, i);
    }
}

/* ---- answers ---- */

static uint64_t number_at(json_t *o, const char *name) {
    return (uint64_t)json_integer_value(json_object_get(o, name));
}

/* A node's status. False: it is none, or of another cluster's node, which answers questions but takes no requests. */
static bool show(struct actor *a, uint16_t node, const json_t *answer) {
    struct shown *shown = a->live->nodes[node].shown;
    const char *cluster = json_string_value(json_object_get(answer, "cluster"));
    struct node_view v;
    if (!cluster || !view_read(json_object_get(answer, "node"), &v) || v.node != node) return false;
    bool other = strcmp(cluster, a->live->remote->config->cluster) != 0;
    reach_other(a, node, other);
    if (other) show_silent(a, node);
    if (other) return false;
    robust_lock(&shown->mutex);
    bool news = v.up != shown->view.up || v.status.role != shown->view.status.role;
    shown->view = v;
    pthread_mutex_unlock(&shown->mutex);
    atomic_store(&a->live->remote->shown[node], REACH_OPEN);
    if (news) live_ring(a->live);
    return true;
}

/* False: nothing that a node says. */
static bool on_control(struct actor *a, uint16_t node, struct bytes text) {
    struct remote *r = a->live->remote;
    json_t *answer = json_loadb((const char *)text.data, text.size, 0, NULL);
    uint64_t number = number_at(answer, "number");
    bool sound = answer && (number || show(a, node, answer));
    json_decref(answer);
    if (sound) r->heard[node] = live_now(a->live);
    if (!sound || !number) return sound;
    pthread_mutex_lock(&r->mutex);
    if (r->waiting && number == r->number) {
        buffer_clear(&r->text);
        buffer_append(&r->text, text.data, text.size);
        r->waiting = false;
        pthread_cond_signal(&r->changed);
    }
    pthread_mutex_unlock(&r->mutex);
    return true;
}

/* ---- the clients' thread ---- */

void remote_sleep(struct actor *a) {
    zmq_pollitem_t items[FAULT_NODES_MAX + 1] = {{NULL, a->bell, ZMQ_POLLIN, 0}};
    uint16_t n = live_node_count(a->live);
    int64_t next = a->live->remote->polled + POLL_NS, rings;
    for (uint16_t i = 1; i <= n; i++) items[i] = (zmq_pollitem_t){a->out[i], -1, ZMQ_POLLIN, 0};
    if (a->alarms.heap.count && a->alarms.heap.keys[0].time < next) next = a->alarms.heap.keys[0].time;
    int64_t left = next - live_now(a->live);
    if (atomic_load(&a->orders.pending)) return;
    zmq_poll(items, n + 1, left <= 0 ? 0 : (long)(left / 1000000 + 1));
    if (!(items[0].revents & ZMQ_POLLIN)) return;
    ssize_t ignored = read(a->bell, &rings, sizeof rings);
    (void)ignored;
}

/* From that node. False: nothing that a node has to say to a client. */
static bool take(struct actor *a, uint16_t node, struct bytes message, void (*each)(void *, const struct arrival *),
                 void *self) {
    struct envelope head;
    if (message.size < sizeof head) return false;
    memcpy(&head, message.data, sizeof head);
    struct bytes body = bytes_of(message.data + sizeof head, message.size - sizeof head);
    if (head.from != node) return false;
    if (head.kind == HAND_CONTROL) return on_control(a, node, body);
    if (head.kind || body.size < WIRE_HEADER || head.to <= QRT_CLIENT) return false;
    each(self, &(struct arrival){node, head.to, 0, body});
    return true;
}

size_t remote_arrivals(struct actor *a, void (*each)(void *self, const struct arrival *arrival), void *self) {
    size_t count = 0;
    zmq_msg_t m;
    poll_statuses(a);
    zmq_msg_init(&m);
    for (uint16_t i = 1; i <= live_node_count(a->live); i++)
        for (int burst = 0; burst < LIVE_BURST && zmq_msg_recv(&m, a->out[i], ZMQ_DONTWAIT) >= 0; burst++, count++)
            if (zmq_msg_more(&m) || !take(a, i, bytes_of(zmq_msg_data(&m), zmq_msg_size(&m)), each, self))
                actor_reject(a, i);
    zmq_msg_close(&m);
    return count;
}

uint64_t remote_first(struct live *l) {
    uint64_t first;
    if (getrandom(&first, sizeof first, 0) != sizeof first) first = (uint64_t)live_now(l) << 20;
    return first >> 1;
}

/* ---- the handle's thread: questions ---- */

static struct timespec deadline(const struct live *l, int64_t wait) {
    int64_t at = l->epoch + live_now(l) + wait;
    return (struct timespec){at / 1000000000, at % 1000000000};
}

static qrt_status silent(const struct live *l, uint16_t node, struct error *e) {
    char why[ERROR_TEXT_MAX - 16];
    const struct actor *a = &l->clients.actor;
    reach_why(a, node, why, sizeof why);
    return error_set(e, reach_state(a, node) == REACH_REFUSED ? QRT_EDENIED : QRT_EDOWN, "n%u: %s", node, why);
}

static qrt_status ask(struct live *l, uint16_t node, json_t *question, struct error *e) {
    struct remote *r = l->remote;
    struct order o = {.kind = ORDER_ASK, .client = node};
    pthread_mutex_lock(&r->mutex);
    json_object_set_new(question, "number", json_integer((json_int_t)++r->number));
    r->waiting = true;
    pthread_mutex_unlock(&r->mutex);
    char *text = json_dumps(question, JSON_COMPACT);
    buffer_append(&o.data, text, strlen(text));
    free(text);
    if (o.data.size > HAND_CONTROL_MAX)
        o.status = error_set(e, QRT_ETOOLARGE, "a question to a node holds at most %d bytes", HAND_CONTROL_MAX);
    else
        order_wait(&l->clients.actor, &o);
    buffer_free(&o.data);
    if (o.status) return o.status == QRT_ETOOLARGE ? o.status : silent(l, node, e);
    struct timespec until = deadline(l, ASK_NS);
    pthread_mutex_lock(&r->mutex);
    while (r->waiting && !pthread_cond_timedwait(&r->changed, &r->mutex, &until)) continue;
    bool answered = !r->waiting;
    r->waiting = false;
    pthread_mutex_unlock(&r->mutex);
    return answered ? QRT_OK : silent(l, node, e);
}

/* The answer, to be released; NULL: e says why. */
static json_t *ask_json(struct live *l, uint16_t node, json_t *question, struct error *e) {
    struct remote *r = l->remote;
    if (node < 1 || node > live_node_count(l)) {
        error_set(e, QRT_ENOTFOUND, "there is no node %u; nodes are 1 to %u", node, live_node_count(l));
        return NULL;
    }
    if (ask(l, node, question, e)) return NULL;
    json_t *answer = json_loadb((char *)r->text.data, r->text.size, 0, NULL);
    int status = (int)json_integer_value(json_object_get(answer, "status"));
    const char *why = json_string_value(json_object_get(answer, "error"));
    if (json_is_object(answer) && !status) return answer;
    error_set(e, status < 0 ? (qrt_status)status : QRT_ECORRUPT, "n%u: %.480s", node,
              why ? why : "its answer makes no sense");
    json_decref(answer);
    return NULL;
}

const char *hand_ask(void *runtime, uint16_t node, const char *json, struct error *e) {
    struct live *l = runtime;
    if (!l->remote) {
        error_set(e, QRT_EUNSUPPORTED, "only nodes started by hand are asked like that");
        return NULL;
    }
    json_t *question = json_loads(json, 0, NULL);
    json_t *answer = json_is_object(question) ? ask_json(l, node, question, e) : NULL;
    if (!json_is_object(question)) error_set(e, QRT_EPARSE, "a question is a JSON object");
    json_decref(question);
    if (!answer) return NULL;
    char *text = json_dumps(answer, JSON_INDENT(1));
    json_decref(answer);
    buffer_clear(&l->remote->text);
    buffer_append(&l->remote->text, text, strlen(text));
    free(text);
    return buffer_text(&l->remote->text);
}

bool remote_inspect(struct live *l, uint16_t node, inspect_fn *field, void *context) {
    struct error e = {0};
    json_t *question = json_pack("{s:s}", "ask", "inspect"), *answer = ask_json(l, node, question, &e), *value;
    const char *name;
    json_object_foreach(json_object_get(answer, "fields"), name, value) field(context, name, json_string_value(value));
    json_decref(question);
    json_decref(answer);
    return e.status == QRT_OK;
}

/* ---- the handle's thread: faults ---- */

/* Who is drawn among the nodes is drawn here and now, and told by number. */
static qrt_status resolve(struct live *l, const struct directive *d, struct plan *out, struct error *e) {
    uint16_t who[FAULT_NODES_MAX];
    bool up[FAULT_NODES_MAX + 1] = {false};
    if (!directive_is_drawn(d)) {
        plan_add(out, d);
        return QRT_OK;
    }
    if (d->timing != FAULT_AT || d->at)
        return error_set(
            e, QRT_EUNSUPPORTED,
            "nodes by hand carry out a plan each for itself: name a node, \"leader\" or \"all\", or ask at once");
    for (uint16_t i = 1; i <= live_node_count(l); i++) {
        robust_lock(&l->nodes[i].shown->mutex);
        up[i] = l->nodes[i].shown->view.up && !l->nodes[i].shown->view.paused;
        pthread_mutex_unlock(&l->nodes[i].shown->mutex);
    }
    uint16_t count = fault_targets(d, remote_first(l), live_node_count(l), live_leader(l), up, who);
    for (uint16_t i = 0; i < count; i++) {
        struct directive one = *d;
        one.id = 0;
        one.target = FAULT_NODE;
        one.node = who[i];
        plan_add(out, &one);
    }
    return QRT_OK;
}

static bool concerns(const struct plan *p, uint16_t node) {
    for (size_t i = 0; i < p->count; i++)
        if (p->directives[i].target == FAULT_NODE && p->directives[i].node == node) return true;
    return false;
}

/* To every node that answers; it is an error only when a node refuses, one that is named does not answer, or none does. */
static qrt_status tell_all(struct live *l, const struct plan *plan, json_t *question, struct error *e) {
    struct error missed = {0};
    uint16_t told = 0, named = 0;
    for (uint16_t i = 1; i <= live_node_count(l); i++) {
        json_t *answer = ask_json(l, i, question, e);
        told = (uint16_t)(told + (answer != NULL));
        json_decref(answer);
        if (answer) continue;
        if (e->status != QRT_EDOWN && reach_state(&l->clients.actor, i) != REACH_REFUSED) return e->status;
        if (concerns(plan, i) || !missed.status) missed = *e;
        if (concerns(plan, i)) named = i;
    }
    if (!told) return error_set(e, missed.status, "no node was told: %.480s", missed.text);
    if (named) return error_set(e, missed.status, "%.440s; those that answer were told", missed.text);
    *e = (struct error){0};
    return QRT_OK;
}

qrt_status remote_fault(struct live *l, const struct plan *plan, struct error *e) {
    struct plan out = {0};
    struct buffer text = {0};
    struct error ignored;
    if (!e) e = &ignored;
    qrt_status status = QRT_OK;
    for (size_t i = 0; i < plan->count && !status; i++) status = resolve(l, &plan->directives[i], &out, e);
    if (!status) {
        plan_print(&out, &text);
        json_t *question = json_pack("{s:s}", "ask", "fault");
        json_object_set_new(question, "plan", json_loadb((char *)text.data, text.size, 0, NULL));
        status = tell_all(l, &out, question, e);
        json_decref(question);
    }
    buffer_free(&text);
    plan_free(&out);
    return status;
}

/* ---- the handle's thread: proposals ---- */

static bool ticket_open(struct live *l, uint64_t ticket) {
    pthread_mutex_lock(&l->ticket_mutex);
    const struct ticket *t = ticket ? tickets_at(&l->tickets, ticket) : NULL;
    bool open = t && !t->done;
    pthread_mutex_unlock(&l->ticket_mutex);
    return open;
}

/* A client that waits for nothing, or a new one. */
static size_t proposer(struct live *l) {
    struct remote *r = l->remote;
    for (size_t i = 0; i < r->proposer_count; i++)
        if (!ticket_open(l, r->tickets[i])) return i;
    size_t i = r->proposer_count++;
    r->proposers = mem_grow(r->proposers, &r->proposer_capacity, i + 1, sizeof *r->proposers);
    r->tickets = mem_grow(r->tickets, &r->ticket_capacity, i + 1, sizeof *r->tickets);
    r->proposers[i] = live_class.client(l, NULL, 0);
    r->tickets[i] = 0;
    return i;
}

qrt_status remote_propose(struct live *l, struct bytes data, uint64_t *ticket) {
    size_t i = proposer(l);
    qrt_status status = live_class.submit(l, l->remote->proposers[i], CLIENT_RAW, data, ticket);
    if (!status) l->remote->tickets[i] = *ticket;
    return status;
}

/* ---- beginning and end ---- */

static void take_config(struct live *l, const struct hand_config *c) {
    l->gates.curve = c->curve;
    memcpy(l->gates.secret_key, c->secret_key, KEY_TEXT);
    memcpy(l->gates.public_keys[0], c->public_key, KEY_TEXT);
    for (uint16_t i = 1; i <= c->node_count; i++) {
        memcpy(l->gates.public_keys[i], c->nodes[i].public_key, KEY_TEXT);
        memcpy(l->gates.endpoints[i], c->nodes[i].endpoint, ENDPOINT_MAX);
    }
}

/* What can be known at once is: of a node that is not there, once another leads. */
static bool settled(struct live *l) {
    bool led = live_leader(l) != 0, all = true;
    for (uint16_t i = 1; i <= live_node_count(l); i++) {
        uint8_t state = atomic_load(&l->remote->shown[i]);
        all = all &&
              (state == REACH_OPEN || state == REACH_REFUSED || state == REACH_OTHER || (led && state == REACH_ABSENT));
    }
    return all;
}

static qrt_status begin(struct live *l, struct error *e) {
    struct actor *a = &l->clients.actor;
    uint16_t n = live_node_count(l);
    qrt_status status = live_context(l, n + 16, e);
    for (uint16_t i = 1; i <= n; i++) {
        l->nodes[i].actor.id = i;
        journal_init(&l->nodes[i].actor.journal, NULL, NULL);
        node_init(&l->nodes[i]);
    }
    if (!status) status = actor_init(a, l, 0, NULL, NULL, -1, e);
    if (!status) status = actor_connect(a, e);
    if (!status) status = live_thread(&a->thread, &a->running, clients_main, &l->clients, "qrt-clients", e);
    int64_t until = live_now(l) + FIRST_NS;
    while (!status && !settled(l) && live_now(l) < until) nanosleep(&(struct timespec){0, 1000000}, NULL);
    return status;
}

void *remote_new(const struct runtime_config *config, struct trace_sink sink, struct error *e) {
    struct live *l = live_empty(config, sink);
    struct remote *r = l->remote = mem_zero(1, sizeof *r);
    r->config = mem_copy(config->hand, sizeof *config->hand);
    r->polled = -POLL_NS;
    pthread_mutex_init(&r->mutex, NULL);
    live_condition(&r->changed);
    l->config.hand = NULL;
    l->cluster_id = r->config->cluster_id;
    take_config(l, r->config);
    if (!begin(l, e)) return l;
    live_free(l);
    return NULL;
}

void remote_free(struct live *l) {
    struct remote *r = l->remote;
    if (!r) return;
    for (uint16_t i = 1; i <= live_node_count(l); i++) journal_free(&l->nodes[i].actor.journal);
    pthread_mutex_destroy(&r->mutex);
    pthread_cond_destroy(&r->changed);
    buffer_free(&r->text);
    free(r->proposers);
    free(r->tickets);
    free(r->config);
    free(r);
    l->remote = NULL;
}
