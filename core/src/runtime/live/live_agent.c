/* A node's process, from its own side. It runs the same code as a node's thread (live_node.c); what a thread's owner says
 * and sees through memory comes and goes here by letters and by shared memory.
 *
 * Descriptors, given by the owner: 3 the letters' socket, 4 the shared memory, 5 the listening socket, 6 the janitor's pipe
 * (held, never used), 7 the cargo of a script. It dies with the owner's keeper thread, and when the letters' socket is closed.
 *
 * A script's node is an interpreter. The node program becomes it (agent_launch) when it has made sure that it dies with its
 * owner, so that this holds while the interpreter starts; the interpreter then enters agent_main with the script's protocol,
 * and every handler is called on the thread that did. */
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "runtime/live/live_log.h"
#include "runtime/live/live_share.h"

enum { LETTERS = 3, MEMORY = 4, LISTENER = 5, PIPE = 6, CARGO = 7 };
enum { OUT_MAX = 65536 }; /* bytes of letters that wait for the end of a burst */

struct agent {
    struct share *share;
    struct mailbox mail;
    struct buffer out;        /* letters of the burst under way */
    struct fault_action last; /* what the fault engine's copy was told of */
};

static struct share *mapped; /* this process's node; a process is one at most */

static struct live_node *node_of(struct live *l) {
    return &l->nodes[l->agent->share->node];
}

/* ---- letters ---- */

void agent_flush(struct live *l) {
    struct buffer *out = &l->agent->out;
    if (out->size && !bytes_send(l->agent->mail.fd, bytes_of(out->data, out->size), 0)) _exit(0); /* nobody is there */
    buffer_clear(out);
}

static void tell(struct live *l, struct letter *head, struct bytes data) {
    struct buffer *out = &l->agent->out;
    head->size = data.size;
    buffer_append(out, head, sizeof *head);
    if (data.size) buffer_append(out, data.data, data.size);
    if (out->size > OUT_MAX) agent_flush(l);
}

struct order *agent_order(struct live *l, struct actor *a) {
    struct letter head;
    struct bytes data;
    (void)a;
    if (!letter_next(&l->agent->mail, &head, &data)) {
        if (l->agent->mail.closed) _exit(0);
        return NULL;
    }
    struct order *o = mem_zero(1, sizeof *o);
    o->kind = head.kind;
    o->detail = head.detail;
    o->guarded = head.guarded;
    o->effect = head.effect;
    o->time = head.time;
    o->offset = head.offset;
    o->drift = head.drift;
    o->number = head.number;
    o->ticket = head.ticket;
    if (data.size) buffer_append(&o->data, data.data, data.size);
    return o;
}

void agent_end(struct live *l, struct order *o) {
    struct letter head = {.kind = LETTER_DONE, .number = o->number, .status = o->status};
    bool wanted = o->kind == ORDER_INSPECT || o->kind == ORDER_START;
    if (!o->number) return;
    tell(l, &head, bytes_of(o->data.data, wanted ? o->data.size : 0));
    agent_flush(l);
}

void agent_answer(struct live *l, const struct answer *a, int64_t time) {
    struct letter head = {.kind = LETTER_ANSWER,
                          .ticket = a->ticket,
                          .status = a->status,
                          .leader = a->leader,
                          .term = a->term,
                          .index = a->index,
                          .time = time};
    tell(l, &head, a->data);
}

void agent_ring(struct live *l) {
    struct letter head = {.kind = LETTER_RING};
    tell(l, &head, (struct bytes){0});
}

static void on_crowded(void *live) {
    struct letter head = {.kind = LETTER_CROWDED};
    tell(live, &head, (struct bytes){0});
    agent_flush(live);
}

/* ---- what a thread need not do ---- */

void agent_faults(struct live *l, struct bytes log) {
    if (!live_fault_replay(l, &l->agent->last, log)) _exit(1); /* another version's: share_map has let it pass */
}

_Noreturn void agent_die(struct live_node *n) {
    struct share *s = n->actor.live->agent->share;
    agent_flush(n->actor.live); /* what was answered was answered */
    s->effects = n->host.effects_done;
    s->death = n->death;
    snprintf(s->death_text, sizeof s->death_text, "%s", n->death_text);
    s->in_step = true;
    for (;;) kill(getpid(), SIGKILL);
}

/* The owner wakes it until an order that it has sent is done, so an order that comes just before the stop is no loss. Who is
 * woken without one stops again: by the last of those wakings, or from outside. */
void agent_stop(struct live_node *n) {
    struct pollfd wait = {n->actor.live->agent->mail.fd, POLLIN, 0};
    while (poll(&wait, 1, 0) == 0) raise(SIGSTOP);
}

bool agent_sees_down(const struct live *l, uint16_t peer) {
    return atomic_load_explicit(&l->agent->share->down[peer], memory_order_relaxed);
}

static void count_sends(void *context, const qrt_event *e, uint64_t number) {
    struct live *l = context;
    struct trace_sink journal = journal_sink(&node_of(l)->actor.journal);
    if (e->kind == QRT_KIND_SEND)
        atomic_store_explicit(&l->agent->share->sends, e->link & ((UINT64_C(1) << 40) - 1), memory_order_relaxed);
    log_see(l, e);
    journal.event(journal.context, e, number);
}

void agent_begin(struct live_node *n) {
    struct share *s = n->actor.live->agent->share;
    n->host.incarnation = s->incarnation - 1;
    n->host.sends = atomic_load(&s->sends);
    n->host.counts = s->shown.view.counts;
    n->actor.counts = s->shown.counts;
    n->actor.counts.restarts += s->incarnation > 1;
    n->slow_flushes = s->shown.meters.slow_flushes;
    n->late = s->shown.view.late;
    n->late_at = s->shown.view.late_at;
    memcpy(n->actor.drops, s->shown.meters.drops, sizeof n->actor.drops);
    n->look.rejected = n->host.counts.rejected; /* its last life has logged these */
    n->look.other_version = n->host.counts.other_version;
    n->look.full = n->actor.drops[QRT_DROP_FULL];
    s->shown.view.pid = getpid();
    atomic_store(&s->begun, true);
}

/* Letters wake a node that sleeps in its inbox. A letter that comes while the last ones are read makes another pull. */
static void *watch_letters(void *actor) {
    struct actor *a = actor;
    struct pollfd wait = {a->bell, POLLIN, 0};
    pthread_mutex_lock(&a->orders.mutex);
    for (;;) {
        while (atomic_load(&a->orders.pending)) pthread_cond_wait(&a->orders.done, &a->orders.mutex);
        pthread_mutex_unlock(&a->orders.mutex);
        poll(&wait, 1, -1);
        pthread_mutex_lock(&a->orders.mutex);
        atomic_store(&a->orders.pending, true);
        actor_wake(a);
    }
    return NULL;
}

/* ---- beginning ---- */

static struct share *share_map(void) {
    struct stat about;
    if (mapped) return mapped;
    if (fstat(MEMORY, &about) || about.st_size != sizeof(struct share)) return NULL;
    struct share *s = mmap(NULL, sizeof *s, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, MEMORY, 0);
    bool sound = s != MAP_FAILED && s->magic == SHARE_MAGIC && s->size == sizeof *s &&
                 !strncmp(s->version, qrt_version(), sizeof s->version);
    return mapped = sound ? s : NULL;
}

static struct live *live_of(struct agent *agent, const struct protocol *own) {
    const struct share *s = agent->share;
    struct live *l = mem_zero(1, sizeof *l);
    l->agent = agent;
    l->config.options = s->options;
    l->config.protocol = own ? own : protocol_find(s->protocol);
    l->config.protocol_options = s->protocol_options;
    l->config.machine = machine_find(s->options.machine);
    l->config.bugs = s->bugs;
    l->config.watch = s->watch;
    l->config.quorum = s->quorum;
    l->cluster_id = cluster_options_id(&s->options);
    l->epoch = s->epoch;
    l->gates = s->gates;
    l->nodes = mem_zero((size_t)s->options.nodes + 1, sizeof *l->nodes);
    for (uint16_t i = 0; i < s->options.nodes; i++) l->members[i] = (uint16_t)(i + 1);
    pthread_mutex_init(&l->fault_mutex, NULL);
    l->faults = faults_new(NULL, (uint64_t)s->options.seed, (uint16_t)s->options.nodes);
    atomic_store(&l->calm, true);
    bool sound =
        l->config.protocol && l->config.machine && l->config.protocol->options_size == s->protocol_options_size;
    return sound ? l : NULL;
}

static qrt_status plug_in(struct live *l, struct error *e) {
    struct share *s = l->agent->share;
    struct live_node *n = node_of(l);
    n->shown = &s->shown;
    n->clock = &s->clock;
    qrt_status status = live_context(l, live_node_count(l) + 16, e);
    if (!status) status = actor_init(&n->actor, l, s->node, &s->gate, &s->ring, LETTERS, e);
    node_init(n);
    actor_tap(&n->actor, UINT64_C(1) << QRT_KIND_SEND | log_kinds(l), count_sends, l);
    n->actor.journal.crowded = on_crowded;
    n->actor.journal.context = l;
    if (!status) status = actor_bind(&n->actor, LISTENER, e);
    return status ? status : actor_connect(&n->actor, e);
}

/* The first incarnation was told how it starts; a later one sees it by its disk. */
static qrt_status start(struct live_node *n, struct error *e) {
    struct share *s = n->actor.live->agent->share;
    uint8_t how = QRT_START_RECOVERED;
    if (!node_open(n, &how)) return error_set(e, n->death, "%s", n->death_text);
    int64_t port = n->actor.live->config.options.metrics; /* of node 1; the others' follow */
    if (metrics_start(n->actor.live, s->node, s->node, port > 0 ? port + s->node - 1 : port, e)) return e->status;
    bool first = s->incarnation == 1;
    if (first) links_wait(&n->actor, LIVE_LINKS_NS);
    n->start = first ? s->start : how;
    n->wiped = start_forgot(n->start);
    return node_start(n, e);
}

/* Until ORDER_START the node only learns its clock and the faults. False: it cannot start, and has said why. */
static bool begin(struct live *l, struct error *e) {
    struct live_node *n = node_of(l);
    struct pollfd wait = {LETTERS, POLLIN, 0};
    for (;;) {
        struct order *o = agent_order(l, &n->actor);
        if (!o) {
            poll(&wait, 1, -1);
            continue;
        }
        bool starts = o->kind == ORDER_START;
        if (o->kind == ORDER_CLOCK) {
            agent_faults(l, bytes_of(o->data.data, o->data.size));
            node_set_clock(n->clock, live_now(l), o->offset, o->drift);
        }
        if (starts && (e->status || start(n, e))) {
            o->status = e->status;
            buffer_append(&o->data, e->text, strlen(e->text));
        } else if (starts) {
            node_publish(n);
        }
        order_end(&n->actor, o);
        if (starts) return e->status == QRT_OK;
    }
}

/* Dies with the owner's keeper thread; false: that has happened already. */
static bool tie(const struct share *s) {
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    return getppid() == s->owner;
}

static void close_from(unsigned first) { /* what a user's code left open in the owner */
#ifdef SYS_close_range
    syscall(SYS_close_range, first, ~0u, 0);
#else
    (void)first;
#endif
}

/* A script's own processes have no business with them. */
static void keep_given(void) {
    for (int fd = LETTERS; fd <= CARGO; fd++) fcntl(fd, F_SETFD, FD_CLOEXEC); /* one that there is not: no harm */
}

static int refuse(void) {
    fprintf(stderr, NODE_PROGRAM " %s: the library that started it is of another version, or nothing did\n",
            qrt_version());
    return 2;
}

int agent_main(const struct protocol *own) {
    struct agent agent = {.mail = {.fd = LETTERS}};
    struct log_place log;
    struct error e = {0};
    pthread_t watcher;
    bool running;
    agent.share = share_map();
    struct live *l = agent.share ? live_of(&agent, own) : NULL;
    if (!l) return refuse();
    if (!tie(agent.share)) return 0;
    if (!own) close_from(PIPE + 1);
    keep_given();
    if (!log_parse(l->config.options.log, &log, &e)) log_open(l, "", log.level, &e); /* its owner has placed it */
    plug_in(l, &e);
    if (begin(l, &e) && !live_thread(&watcher, &running, watch_letters, &node_of(l)->actor, "qrt-letters", &e))
        node_main(node_of(l));
    return 0;
}

/* ---- interpreters ---- */

int agent_launch(char *const argv[]) {
    char why[ERROR_TEXT_MAX];
    struct share *s = share_map();
    if (!s) return refuse();
    if (!tie(s)) return 0;
    close_from(CARGO + 1);
    execvp(argv[0], argv);
    snprintf(why, sizeof why, "the interpreter %s cannot be started: %s", argv[0], strerror(errno));
    agent_fail(why);
    return 127;
}

void agent_fail(const char *why) {
    struct share *s = share_map();
    if (!s) return;
    s->death = QRT_ESCRIPT;
    snprintf(s->death_text, sizeof s->death_text, "%s", why);
}

void agent_traceback(const char *text) {
    struct share *s = share_map();
    if (s) snprintf(s->traceback, sizeof s->traceback, "%s", text);
}
