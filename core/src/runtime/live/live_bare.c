/* Bare quorum rounds; see live_bare.h. Over tcp a party has a ROUTER to receive and a DEALER to each peer to send, as a live
 * node's process has, and those that answer are processes: quorate-node echo. Else a PULL and PUSHes, as threads have. */
#include "runtime/live/live_bare.h"

#include <dirent.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include <zmq.h>

#include "base/interrupt.h"
#include "base/memory.h"
#include "base/stopwatch.h"
#include "runtime/live/live_share.h"

enum { PARTIES = 3, HELLO = 64, PATIENCE_MS = 20000 };

extern char **environ;

struct party {
    struct bare *bare;
    void *context, *inbox, *out[PARTIES];
    char endpoint[HELLO];
    pthread_t thread;
    bool running;
    pid_t pid;
};

struct bare {
    bool tcp;
    uint32_t size;    /* of a message */
    uint8_t *message; /* that is sent */
    const int *cpus;
    uint64_t rounds; /* begun so far */
    struct party parties[PARTIES];
};

/* ---- processors ---- */

static cpu_set_t cpus_of(int cpu) {
    cpu_set_t set;
    CPU_ZERO(&set);
    for (size_t i = 0, n = (size_t)sysconf(_SC_NPROCESSORS_CONF); i < n && i < CPU_SETSIZE; i++)
        if (cpu < 0 || i == (size_t)cpu) CPU_SET(i, &set);
    return set;
}

static void pin_task(pid_t task, int cpu) {
    cpu_set_t set = cpus_of(cpu);
    sched_setaffinity(task, sizeof set, &set); /* refused: it runs where it may */
}

void live_pin_here(int cpu) {
    pin_task(0, cpu);
}

void live_pin(void *runtime, uint16_t node, int cpu) {
    struct live *l = runtime;
    struct node_view v;
    char folder[32];
    live_class.view(l, node, &v);
    if (!l->keeper) {
        cpu_set_t set = cpus_of(cpu);
        pthread_setaffinity_np(l->nodes[node].actor.thread, sizeof set, &set);
        return;
    }
    snprintf(folder, sizeof folder, "/proc/%d/task", (int)v.pid);
    DIR *tasks = v.pid ? opendir(folder) : NULL;
    for (struct dirent *t; tasks && (t = readdir(tasks));)
        if (t->d_name[0] != '.') pin_task((pid_t)atoi(t->d_name), cpu);
    if (tasks) closedir(tasks);
}

/* ---- parties ---- */

static void *party_socket(struct party *p, int type) {
    int none = 0, patience = PATIENCE_MS;
    void *s = zmq_socket(p->context, type);
    if (s) zmq_setsockopt(s, ZMQ_LINGER, &none, sizeof none);
    if (s && p == p->bare->parties) zmq_setsockopt(s, ZMQ_RCVTIMEO, &patience, sizeof patience);
    return s;
}

static bool party_open(struct bare *b, int i) {
    struct party *p = &b->parties[i];
    size_t size = sizeof p->endpoint;
    char address[HELLO] = "tcp://127.0.0.1:*";
    if (!b->tcp) snprintf(address, sizeof address, "inproc://party-%d", i);
    p->bare = b;
    p->context = b->tcp || i == 0 ? zmq_ctx_new() : b->parties[0].context;
    if (!p->context) return false;
    if (!b->tcp && i == 0) zmq_ctx_set(p->context, ZMQ_IO_THREADS, 0);
    p->inbox = party_socket(p, b->tcp ? ZMQ_ROUTER : ZMQ_PULL);
    return p->inbox && !zmq_bind(p->inbox, address) && !zmq_getsockopt(p->inbox, ZMQ_LAST_ENDPOINT, p->endpoint, &size);
}

static bool party_connect(struct bare *b, int from, int to) {
    struct party *p = &b->parties[from];
    void *s = p->out[to] = party_socket(p, b->tcp ? ZMQ_DEALER : ZMQ_PUSH);
    return s && !zmq_connect(s, b->parties[to].endpoint);
}

static void party_close(struct bare *b, int i) {
    struct party *p = &b->parties[i];
    if (p->pid) {
        kill(p->pid, SIGKILL);
        waitpid(p->pid, NULL, 0);
    }
    for (int k = 0; k < PARTIES; k++)
        if (p->out[k]) zmq_close(p->out[k]);
    if (p->inbox) zmq_close(p->inbox);
    if (p->context && (i == 0 || p->context != b->parties[0].context)) zmq_ctx_term(p->context);
}

static void wait_until(void *inbox, int64_t until) {
    int events = 0, fd = -1;
    size_t size = sizeof events, fd_size = sizeof fd;
    zmq_getsockopt(inbox, ZMQ_FD, &fd, &fd_size);
    if (zmq_getsockopt(inbox, ZMQ_EVENTS, &events, &size) || events & ZMQ_POLLIN) return;
    int64_t left = until - stopwatch_ns();
    if (left <= 0) return;
    ppoll(&(struct pollfd){fd, POLLIN, 0}, 1, &(struct timespec){left / 1000000000, left % 1000000000}, NULL);
}

/* The next message's size, of which the first bytes are put there; -1: none came until then. The sender's routing id is
 * dropped. */
static int receive(struct party *p, uint8_t first[BARE_LEAST], int64_t until) {
    int flags = until == NEVER ? 0 : ZMQ_DONTWAIT;
    uint8_t id[16];
    zmq_msg_t m;
    if (p->bare->tcp && zmq_recv(p->inbox, id, sizeof id, flags) < 0) return -1;
    zmq_msg_init(&m);
    int size = zmq_msg_recv(&m, p->inbox, p->bare->tcp ? 0 : flags);
    if (size > 0) memcpy(first, zmq_msg_data(&m), size < (int)BARE_LEAST ? (size_t)size : BARE_LEAST);
    zmq_msg_close(&m);
    return size;
}

/* Answers what comes, until something shorter comes. */
static void *echo(void *party) {
    struct party *p = party;
    uint8_t first[BARE_LEAST];
    while (receive(p, first, NEVER) >= (int)BARE_LEAST) zmq_send(p->out[0], first, sizeof first, 0);
    return NULL;
}

int bare_main(const char *endpoint) {
    struct bare b = {.tcp = true};
    struct party *p = &b.parties[1];
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() == 1) return 0; /* who wanted it has gone already */
    snprintf(b.parties[0].endpoint, HELLO, "%s", endpoint);
    bool sound = party_open(&b, 1) && party_connect(&b, 1, 0);
    if (sound) zmq_send(p->out[0], p->endpoint, HELLO, 0);
    if (sound) echo(p);
    party_close(&b, 1);
    return !sound;
}

/* Where the process listens. */
static bool hear_hello(struct bare *b, struct party *p) {
    uint8_t first[BARE_LEAST];
    if (receive(&b->parties[0], first, NEVER) != HELLO) return false;
    memcpy(p->endpoint, first, HELLO);
    return p->endpoint[HELLO - 1] == 0;
}

static bool echo_start(struct bare *b, int i) {
    struct party *p = &b->parties[i];
    char program[OPTION_TEXT_MAX];
    char *argv[] = {NODE_PROGRAM, "echo", b->parties[0].endpoint, NULL};
    p->bare = b;
    if (!b->tcp)
        return party_open(b, i) && party_connect(b, 0, i) && party_connect(b, i, 0) &&
               (p->running = pthread_create(&p->thread, NULL, echo, p) == 0);
    if (place_program(program, sizeof program, NULL) || posix_spawn(&p->pid, program, NULL, NULL, argv, environ)) {
        p->pid = 0;
        return false;
    }
    p->context = b->parties[0].context;
    return hear_hello(b, p) && party_connect(b, 0, i);
}

static void send_round(struct party *p, uint64_t number) {
    struct bare *b = p->bare;
    memcpy(b->message, &number, sizeof number);
    for (int i = 1; i < PARTIES; i++) zmq_send(p->out[i], b->message, b->size, 0);
}

/* ---- rounds ---- */

struct drive {
    const struct load_spec *spec;
    uint64_t first; /* answers of earlier rounds are passed over */
    uint32_t sent, done;
    int64_t began;
    int64_t *times;
    bool *answered;
};

static int64_t round_due(const struct drive *d) {
    if (d->sent == d->spec->count || d->sent - d->done >= d->spec->window) return NEVER;
    return d->began + d->sent * d->spec->interval;
}

static bool drive(struct party *p, struct drive *d) {
    uint8_t message[BARE_LEAST];
    uint64_t number;
    d->began = stopwatch_ns();
    while (d->done < d->spec->count) {
        if (interrupt_seen()) return false;
        int64_t now = d->spec->interval ? stopwatch_ns() : NEVER - 1;
        for (int64_t due; (due = round_due(d)) <= now; send_round(p, d->first + d->sent++))
            d->times[d->sent] = d->spec->interval ? due : stopwatch_ns();
        int64_t until = d->spec->interval ? round_due(d) : NEVER;
        int size = receive(p, message, until);
        if (size < 0 && until == NEVER) return false;
        if (size < 0) wait_until(p->inbox, until);
        if (size != (int)BARE_LEAST) continue;
        memcpy(&number, message, sizeof number);
        number -= d->first;
        if (number >= d->spec->count || d->answered[number]) continue;
        d->answered[number] = true;
        d->times[number] = stopwatch_ns() - d->times[number];
        d->done++;
    }
    return true;
}

qrt_status bare_rounds(struct bare *b, const struct load_spec *spec, struct load_report *r, struct error *e) {
    struct drive d = {.spec = spec, .first = b->rounds};
    d.times = mem_zero(spec->count, sizeof *d.times);
    d.answered = mem_zero(spec->count, sizeof *d.answered);
    b->rounds += spec->count;
    if (b->cpus) live_pin_here(b->cpus[0]);
    bool sound = drive(&b->parties[0], &d);
    int number = zmq_errno();
    if (b->cpus) live_pin_here(-1);
    load_summary(r, d.times, d.done, stopwatch_ns() - d.began);
    free(d.times);
    free(d.answered);
    return sound ? QRT_OK : error_set(e, QRT_EIO, "bare ZeroMQ rounds failed: %s", zmq_strerror(number));
}

struct bare *bare_new(bool tcp, uint32_t size, const int *cpus, struct error *e) {
    struct bare *b = mem_zero(1, sizeof *b);
    bool sound = true;
    b->tcp = tcp;
    b->size = size;
    b->message = mem_zero(size, 1);
    b->cpus = cpus;
    for (int i = 0; i < PARTIES && sound; i++) {
        if (cpus)
            live_pin_here(cpus[i]); /* threads and processes inherit it; a context's thread starts with a socket */
        sound = i ? echo_start(b, i) : party_open(b, 0);
    }
    if (cpus) live_pin_here(-1);
    if (sound) return b;
    error_set(e, QRT_EIO, "bare ZeroMQ sockets failed: %s", zmq_strerror(zmq_errno()));
    bare_free(b);
    return NULL;
}

/* Ends an echoing thread. It may lag behind with both queues full: one that is waited for must be listened to. */
static void echo_end(struct bare *b, int i) {
    uint8_t first[BARE_LEAST];
    bool told = false;
    while (pthread_tryjoin_np(b->parties[i].thread, NULL)) {
        told = told || zmq_send(b->parties[0].out[i], "", 1, ZMQ_DONTWAIT) >= 0;
        while (receive(&b->parties[0], first, 0) >= 0) continue;
        nanosleep(&(struct timespec){0, 100000}, NULL);
    }
}

void bare_free(struct bare *b) {
    if (!b) return;
    for (int i = 1; i < PARTIES; i++)
        if (b->parties[i].running) echo_end(b, i);
    for (int i = 1; i < PARTIES; i++) party_close(b, i);
    party_close(b, 0);
    free(b->message);
    free(b);
}
