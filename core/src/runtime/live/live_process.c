/* The nodes' processes, from their owner's side.
 *
 *   handle, director --letter--> node process     (orders; each waits for its answer)
 *   keeper's thread  <--letter-- node process     (what became of them, tickets' answers, a ring of the bell)
 *          |          <--pidfd------ it died: the crash enters the trace, the tickets it held are orphaned
 *          '--starts every process: they die with this thread, and so with the owner, whatever kills it
 *
 * crash is SIGKILL, or the node's own end at an armed effect. A paused node has stopped itself (SIGSTOP) between two
 * inputs; an order to it wakes it, is carried out, and it stops again. restart is a new process over the old folder.
 *
 * Its death shows at a descriptor of the process itself (pidfd) and not only by the end of its letters: what a node or the
 * owner's program has forked may hold the other end of that socket open for as long as it likes.
 *
 * Invariants
 *  1. The keeper never waits for a living node, nor for a thread that does, so a node's letters are always read.
 *  2. A process's `mutex` guards alive, pid and pending; it is held for no letter and no wait but its own condition's.
 *  3. While a process is alive its journal has no other writer; the crash is written when it is dead.
 *  4. It is reaped, and `pid` forgotten, under both its mutexes, so no signal goes to whoever gets its number next. */
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/check.h"
#include "base/stopwatch.h"
#include "runtime/live/live_doorman.h"
#include "runtime/live/live_log.h"
#include "runtime/live/live_share.h"

#define WAKE_NS 1000000 /* a paused process may stop just after it was woken: again */
#define TRACEBACKS_MAX 100
#define UNSTOP_NS INT64_C(1000000000) /* nobody else's business to stop it while it has an order */

extern char **environ;

struct process {
    pthread_mutex_t mutex;
    pthread_cond_t changed;
    pthread_mutex_t writing; /* one letter at a time; taken before mutex */
    bool alive;
    pid_t pid;
    struct order *pending; /* sent, and not yet answered */
    uint64_t numbers;
    bool paused, killed; /* killed: by a plan or script */
    uint8_t fate;        /* of the disk, at the next crash */
    bool guarded;
    int64_t cause; /* time of what kills it */
    size_t told;   /* of the fault log, so far; the orders' threads agree by the director's mutex */
    /* The keeper's own. */
    struct mailbox mail;
    struct share *share;
    int memory, listener;
    int life; /* the process as a descriptor; -1: the kernel has none (Linux before 5.3), or it is down */
};

struct keeper {
    struct live *live;
    pthread_t thread;
    bool running;
    atomic_bool quit;
    int bell;
    char program[OPTION_TEXT_MAX];
    struct process *processes; /* [1..n] */
    pid_t janitor;
    int sweep; /* the end of the janitor's pipe that says that somebody is there */
    int cargo; /* of a script, as a file without a name; -1: the nodes are no interpreters */
    pthread_mutex_t traceback_mutex;
    struct buffer tracebacks; /* of scripts, each with its end */
    size_t traceback_count;
    /* One request at a time: a process to be started. */
    pthread_mutex_t asking, mutex;
    pthread_cond_t answered;
    uint16_t wanted;
    struct error problem;
};

static struct process *process_of(struct live *l, uint16_t node) {
    return &l->keeper->processes[node];
}

const struct share *process_share(const struct live *l, uint16_t node) {
    return l->keeper->processes[node].share;
}

static int open_life(pid_t pid) {
#ifdef SYS_pidfd_open
    return (int)syscall(SYS_pidfd_open, pid, 0);
#else
    (void)pid;
    return -1;
#endif
}

/* With the process's mutex, or from the keeper's thread. By its descriptor, because an owner that ignores SIGCHLD has its
 * children reaped by the kernel, which may give their numbers to others at once. */
static void signal_process(const struct process *p, int number) {
#ifdef SYS_pidfd_send_signal
    if (p->life >= 0 && (!syscall(SYS_pidfd_send_signal, p->life, number, NULL, 0) || errno == ESRCH)) return;
#endif
    if (p->pid > 0) kill(p->pid, number);
}

static void tell_down(struct live *l, uint16_t node, bool down) {
    for (uint16_t i = 1; i <= live_node_count(l); i++)
        atomic_store_explicit(&process_of(l, i)->share->down[node], down, memory_order_relaxed);
}

/* ---- starting (the keeper's thread) ---- */

#define GIVEN 5 /* descriptors, from 3 on; -1: none */

/* log: where its standard error goes; "": where its owner's does. */
static int start_program(const struct keeper *k, pid_t *pid, char *const argv[], const int give[GIVEN],
                         const char *log) {
    posix_spawn_file_actions_t files;
    posix_spawnattr_t attributes;
    sigset_t signals;
    posix_spawn_file_actions_init(&files);
    posix_spawnattr_init(&attributes);
    posix_spawn_file_actions_addopen(&files, 0, "/dev/null", O_RDONLY, 0);
    if (give[GIVEN - 1] < 0) posix_spawn_file_actions_addopen(&files, 1, "/dev/null", O_WRONLY, 0);
    if (*log) posix_spawn_file_actions_addopen(&files, 2, log, O_WRONLY | O_CREAT | O_APPEND, 0640);
    if (*log && give[GIVEN - 1] >= 0) posix_spawn_file_actions_adddup2(&files, 2, 1);
    for (int i = 0; i < GIVEN; i++)
        if (give[i] >= 0) posix_spawn_file_actions_adddup2(&files, give[i], 3 + i);
    sigemptyset(&signals);
    posix_spawnattr_setsigmask(&attributes, &signals);
    sigfillset(&signals);
    posix_spawnattr_setsigdefault(&attributes, &signals);
    posix_spawnattr_setpgroup(&attributes, 0); /* Ctrl-C is the owner's alone */
    posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETPGROUP);
    int number = posix_spawn(pid, k->program, &files, &attributes, argv, environ);
    posix_spawn_file_actions_destroy(&files);
    posix_spawnattr_destroy(&attributes);
    return number;
}

static void start_janitor(struct keeper *k, struct error *e) {
    int ends[2];
    char owner[16];
    if (!*k->live->folder) return;
    if (pipe2(ends, O_CLOEXEC)) {
        error_set(e, QRT_EIO, "no pipe for the janitor: %s", strerror(errno));
        return;
    }
    ends[0] = place_high(ends[0]);
    k->sweep = place_high(ends[1]);
    snprintf(owner, sizeof owner, "%d", (int)getpid());
    char *argv[] = {NODE_PROGRAM, "janitor", k->live->folder, owner, NULL};
    int number = start_program(k, &k->janitor, argv, (int[GIVEN]){ends[0], -1, -1, -1, -1}, "");
    close(ends[0]);
    if (!number) return;
    k->janitor = 0;
    error_set(e, QRT_EIO, "%s cannot be started: %s", k->program, strerror(number));
}

/* NODE_PROGRAM with its arguments; an interpreter's follow. */
static char **node_command(const struct keeper *k, char *number) {
    const struct launch *launch = k->live->config.launch;
    size_t more = 0;
    while (launch && launch->argv[more]) more++;
    char **argv = mem_zero(4 + more, sizeof *argv);
    argv[0] = NODE_PROGRAM;
    argv[1] = launch ? "script" : "node";
    argv[2] = number;
    for (size_t i = 0; i < more; i++) argv[3 + i] = launch->argv[i];
    return argv;
}

static void start_process(struct keeper *k, uint16_t node, struct error *e) {
    struct process *p = &k->processes[node];
    struct share *s = p->share;
    int ends[2];
    char number[8], log[OPTION_TEXT_MAX + 16];
    struct log_place place;
    pid_t pid;
    if (log_parse(k->live->config.options.log, &place, e) || log_file(&place, node, log, sizeof log, e)) return;
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends)) {
        error_set(e, QRT_EIO, "node %u gets no socket: %s", node, strerror(errno));
        return;
    }
    ends[0] = place_high(ends[0]);
    ends[1] = place_high(ends[1]);
    setsockopt(ends[0], SOL_SOCKET, SO_SNDTIMEO, &(struct timeval){0, 10000}, sizeof(struct timeval));
    s->incarnation++;
    atomic_store(&s->begun, false);
    s->in_step = false;
    s->effects = 0;
    s->death = QRT_OK;
    s->death_text[0] = s->traceback[0] = 0;
    snprintf(number, sizeof number, "%u", node);
    char **argv = node_command(k, number);
    int failure = start_program(k, &pid, argv, (int[GIVEN]){ends[1], p->memory, p->listener, k->sweep, k->cargo}, log);
    free(argv);
    close(ends[1]);
    if (failure) {
        close(ends[0]);
        error_set(e, QRT_EIO, "%s cannot be started: %s", k->program, strerror(failure));
        return;
    }
    pthread_mutex_lock(&p->writing);
    pthread_mutex_lock(&p->mutex);
    p->mail = (struct mailbox){.fd = ends[0]};
    p->pid = pid;
    p->life = open_life(pid);
    p->paused = p->killed = p->guarded = false;
    p->fate = QRT_DISK_KEPT;
    p->cause = 0;
    p->told = 0;
    p->alive = true;
    tell_down(k->live, node, false);
    pthread_mutex_unlock(&p->mutex);
    pthread_mutex_unlock(&p->writing);
}

/* ---- ending (the keeper's thread) ---- */

static void settle(struct process *p, struct order *o, qrt_status status, struct bytes data) {
    o->status = status;
    buffer_clear(&o->data);
    if (data.size) buffer_append(&o->data, data.data, data.size);
    o->done = true;
    pthread_cond_broadcast(&p->changed);
}

static void write_crash(struct live *l, uint16_t node, uint8_t fate) {
    struct process *p = process_of(l, node);
    const struct share *s = p->share;
    struct journal *j = &l->nodes[node].actor.journal;
    journal_drain(j);
    int64_t time = journal_open(j, l, p->cause);
    qrt_event e = {time, node, 0, QRT_KIND_CRASH, fate, 0, 0, s->in_step ? s->effects : 0, s->in_step, 0};
    struct trace_sink sink = journal_sink(j);
    sink.event(sink.context, &e, 0);
    if (*l->config.options.capture) capture_bury(l->config.options.capture, node, &e);
    journal_close(j);
    if (fate == QRT_DISK_WIPED) node_wipe(l, node);
    if (fate == QRT_DISK_DAMAGED) node_damage(l, node);
    pthread_mutex_lock(&l->ticket_mutex);
    tickets_orphan(&l->tickets, node, time);
    pthread_mutex_unlock(&l->ticket_mutex);
    log_see(l, &e);
}

static void keep_traceback(struct keeper *k, const struct share *s) {
    size_t size = strnlen(s->traceback, sizeof s->traceback - 1);
    pthread_mutex_lock(&k->traceback_mutex);
    if (size && k->traceback_count < TRACEBACKS_MAX) {
        buffer_append(&k->tracebacks, s->traceback, size);
        buffer_append(&k->tracebacks, "", 1);
        k->traceback_count++;
    }
    pthread_mutex_unlock(&k->traceback_mutex);
}

void process_tracebacks(struct live *l, void (*each)(void *context, const char *text), void *context) {
    struct keeper *k = l->keeper;
    if (!k) return;
    pthread_mutex_lock(&k->traceback_mutex);
    for (size_t at = 0; at < k->tracebacks.size; at += strlen((char *)k->tracebacks.data + at) + 1)
        each(context, (char *)k->tracebacks.data + at);
    pthread_mutex_unlock(&k->traceback_mutex);
}

/* end: of waitid; its si_pid is 0 where another part of the program has taken it, or SIGCHLD is ignored. */
static void say_why(const struct process *p, const siginfo_t *end, char *out, size_t size) {
    if (p->share->death)
        snprintf(out, size, "%s", p->share->death_text);
    else if (p->killed || p->share->in_step)
        out[0] = 0;
    else if (!end->si_pid)
        snprintf(out, size,
                 "its process has ended; how, this program did not leave to be read: it ignores SIGCHLD, or waits for "
                 "every child");
    else if (end->si_code != CLD_EXITED)
        snprintf(out, size, "its process was ended from outside, by signal %d (%s)", end->si_status,
                 strsignal(end->si_status));
    else
        snprintf(out, size, "its process ended by itself, with code %d", end->si_status);
}

static void show_down(struct live *l, uint16_t node, bool crashed, uint8_t fate, const siginfo_t *end) {
    struct process *p = process_of(l, node);
    struct shown *shown = l->nodes[node].shown;
    robust_lock(&shown->mutex);
    struct node_view *v = &shown->view;
    v->up = v->paused = false;
    v->pid = 0;
    v->damage[0] = 0;
    v->status = (struct protocol_status){0};
    if (crashed || !v->why_down[0]) say_why(p, end, v->why_down, sizeof v->why_down);
    if (v->why_down[0] && !p->share->death) log_line(l->log, LOG_WARN, node, "is down: %s", v->why_down);
    shown->counts.crashes += crashed;
    shown->counts.raised += crashed && p->share->death;
    shown->counts.wipes += crashed && fate == QRT_DISK_WIPED;
    shown->lagging = shown->lagging || disk_forgets(fate);
    pthread_mutex_unlock(&shown->mutex);
}

/* Whoever waits for the dead, or writes to it, comes back. */
static void let_go(struct process *p) {
    pthread_mutex_lock(&p->writing);
    pthread_mutex_lock(&p->mutex);
    waitpid(p->pid, NULL, 0); /* it is dead, so this waits for nothing */
    if (p->life >= 0) close(p->life);
    p->alive = false;
    p->pid = 0;
    p->life = -1;
    for (struct order *o = p->pending; o; o = o->next) settle(p, o, QRT_EDOWN, (struct bytes){0});
    p->pending = NULL;
    pthread_cond_broadcast(&p->changed);
    pthread_mutex_unlock(&p->mutex);
    mailbox_free(&p->mail);
    pthread_mutex_unlock(&p->writing);
}

static void bury(struct keeper *k, uint16_t node) {
    struct live *l = k->live;
    struct process *p = &k->processes[node];
    siginfo_t end = {0};
    if (waitid(P_PID, (id_t)p->pid, &end, WEXITED | WNOWAIT)) end = (siginfo_t){0};
    shutdown(p->mail.fd, SHUT_RDWR);
    pthread_mutex_lock(&p->mutex);
    bool crashed = atomic_load(&p->share->begun), planned = p->killed || p->share->in_step;
    uint8_t fate = planned && !p->share->death ? p->fate : QRT_DISK_KEPT;
    bool guarded = p->guarded;
    pthread_mutex_unlock(&p->mutex);
    if (guarded) fate = live_fate_guarded(l, node, fate);
    tell_down(l, node, true);
    keep_traceback(k, p->share);
    if (crashed) write_crash(l, node, fate);
    show_down(l, node, crashed, fate, &end);
    let_go(p);
    live_ring(l);
}

/* ---- letters (the keeper's thread) ---- */

static void on_done(struct process *p, const struct letter *head, struct bytes data) {
    pthread_mutex_lock(&p->mutex);
    for (struct order **at = &p->pending; *at; at = &(*at)->next) {
        struct order *o = *at;
        if (o->number != head->number) continue;
        *at = o->next;
        settle(p, o, (qrt_status)head->status, data);
        break;
    }
    pthread_mutex_unlock(&p->mutex);
}

static void on_answer(struct live *l, const struct letter *head, struct bytes data) {
    struct answer a = {head->ticket, (qrt_status)head->status, head->leader, head->term, head->index, data};
    pthread_mutex_lock(&l->ticket_mutex);
    tickets_answer(&l->tickets, &a, head->time);
    pthread_mutex_unlock(&l->ticket_mutex);
    live_ring(l);
}

/* dead: seen before its last letters are read. */
static void hear(struct keeper *k, uint16_t node, bool dead) {
    struct process *p = &k->processes[node];
    struct letter head;
    struct bytes data;
    do {
        while (letter_next(&p->mail, &head, &data)) {
            if (head.kind == LETTER_DONE) on_done(p, &head, data);
            if (head.kind == LETTER_ANSWER) on_answer(k->live, &head, data);
            if (head.kind == LETTER_RING) live_ring(k->live);
            if (head.kind == LETTER_CROWDED) journal_drain(&k->live->nodes[node].actor.journal);
        }
    } while (!p->mail.closed && poll(&(struct pollfd){p->mail.fd, POLLIN, 0}, 1, 0) > 0);
    if (!p->mail.closed && !dead) return;
    signal_process(p, SIGKILL); /* it closed its socket, or writes nonsense */
    bury(k, node);
}

static void start_wanted(struct keeper *k) {
    pthread_mutex_lock(&k->mutex);
    if (k->wanted) {
        start_process(k, k->wanted, &k->problem);
        k->wanted = 0;
        pthread_cond_broadcast(&k->answered);
    }
    pthread_mutex_unlock(&k->mutex);
}

static void end_all(struct keeper *k) {
    for (uint16_t i = 1; i <= live_node_count(k->live); i++)
        if (k->processes[i].alive) signal_process(&k->processes[i], SIGKILL);
    for (uint16_t i = 1; i <= live_node_count(k->live); i++) {
        struct process *p = &k->processes[i];
        if (p->alive) waitpid(p->pid, NULL, 0);
        if (p->life >= 0) close(p->life);
        if (p->alive && *k->live->config.options.capture) capture_bury(k->live->config.options.capture, i, NULL);
        p->alive = false;
        mailbox_free(&p->mail);
    }
    if (*k->live->folder) place_remove(k->live->folder);
    if (!k->janitor) return;
    kill(k->janitor, SIGKILL);
    waitpid(k->janitor, NULL, 0);
}

static void *keeper_main(void *keeper) {
    struct keeper *k = keeper;
    uint16_t n = live_node_count(k->live), who[FAULT_NODES_MAX + 1];
    struct pollfd waits[2 * FAULT_NODES_MAX + 1]; /* behind the bell, two for each process */
    uint64_t rings;
    pthread_mutex_lock(&k->mutex);
    start_janitor(k, &k->problem);
    k->wanted = 0;
    pthread_cond_broadcast(&k->answered);
    pthread_mutex_unlock(&k->mutex);
    while (!atomic_load(&k->quit)) {
        nfds_t count = 0;
        waits[0] = (struct pollfd){k->bell, POLLIN, 0};
        for (uint16_t i = 1; i <= n; i++)
            if (k->processes[i].alive) {
                who[count++] = i;
                waits[2 * count - 1] = (struct pollfd){k->processes[i].mail.fd, POLLIN, 0};
                waits[2 * count] = (struct pollfd){k->processes[i].life, POLLIN, 0};
            }
        if (poll(waits, 2 * count + 1, -1) < 0) continue;
        for (nfds_t i = 0; i < count; i++)
            if (waits[2 * i + 1].revents || waits[2 * i + 2].revents) hear(k, who[i], waits[2 * i + 2].revents);
        if (waits[0].revents && read(k->bell, &rings, sizeof rings) > 0) start_wanted(k);
    }
    end_all(k);
    return NULL;
}

static void wake_keeper(struct keeper *k) {
    uint64_t one = 1;
    ssize_t n = write(k->bell, &one, sizeof one);
    (void)n;
}

/* ---- orders (any other thread) ---- */

/* Sends it, with its data, and puts it where its answer finds it; false: the process is down. */
static bool order_send(struct process *p, struct order *o, bool answered) {
    struct letter head = {.kind = o->kind,
                          .detail = o->detail,
                          .guarded = o->guarded,
                          .effect = o->effect,
                          .time = o->time,
                          .offset = o->offset,
                          .drift = o->drift,
                          .ticket = o->ticket};
    struct buffer data = o->data; /* what comes back takes its place */
    o->data = (struct buffer){0};
    pthread_mutex_lock(&p->writing);
    pthread_mutex_lock(&p->mutex);
    bool alive = p->alive;
    pid_t pid = p->pid;
    if (alive && answered) {
        head.number = o->number = ++p->numbers;
        o->done = false;
        o->next = p->pending;
        p->pending = o;
    }
    pthread_mutex_unlock(&p->mutex);
    if (alive) letter_send(p->mail.fd, &head, bytes_of(data.data, data.size), pid);
    pthread_mutex_unlock(&p->writing);
    buffer_free(&data);
    if (!alive) o->status = QRT_EDOWN;
    return alive;
}

static void order_await(struct process *p, struct order *o) {
    pthread_mutex_lock(&p->mutex);
    while (!o->done) {
        if (p->paused) signal_process(p, SIGCONT);
        int64_t next = stopwatch_ns() + (p->paused ? WAKE_NS : UNSTOP_NS);
        struct timespec at = {next / 1000000000, next % 1000000000};
        if (pthread_cond_timedwait(&p->changed, &p->mutex, &at) && !o->done && p->alive) signal_process(p, SIGCONT);
    }
    pthread_mutex_unlock(&p->mutex);
}

static void ask(struct process *p, struct order *o) {
    if (order_send(p, o, true)) order_await(p, o);
}

static void kill_process(struct process *p, const struct order *o) {
    pthread_mutex_lock(&p->mutex);
    if (p->alive) {
        p->fate = o->detail;
        p->guarded = o->guarded;
        p->cause = o->time;
        p->killed = true;
        signal_process(p, SIGKILL);
    }
    while (p->alive) pthread_cond_wait(&p->changed, &p->mutex);
    pthread_mutex_unlock(&p->mutex);
}

static void crash(struct process *p, struct order *o) {
    if (o->effect < 0) {
        kill_process(p, o);
        return;
    }
    pthread_mutex_lock(&p->mutex);
    p->fate = o->detail;
    p->guarded = o->guarded;
    p->cause = o->time;
    pthread_mutex_unlock(&p->mutex);
    ask(p, o);
}

/* The clock as it should run, and what the fault engine was told since the last time. */
static void set_clock(struct live *l, uint16_t node, struct order *o) {
    struct process *p = process_of(l, node);
    pthread_mutex_lock(&l->fault_mutex);
    if (p->told < l->fault_log.size) buffer_append(&o->data, l->fault_log.data + p->told, l->fault_log.size - p->told);
    p->told = l->fault_log.size;
    pthread_mutex_unlock(&l->fault_mutex);
    bool alive = order_send(p, o, true);
    if (alive)
        order_await(p, o);
    else
        node_set_clock(&p->share->clock, live_now(l), o->offset, o->drift);
    buffer_free(&o->data);
}

static qrt_status want_process(struct keeper *k, uint16_t node, struct error *e) {
    pthread_mutex_lock(&k->asking);
    pthread_mutex_lock(&k->mutex);
    k->problem = (struct error){0};
    k->wanted = node;
    wake_keeper(k);
    while (k->wanted) pthread_cond_wait(&k->answered, &k->mutex);
    *e = k->problem;
    pthread_mutex_unlock(&k->mutex);
    pthread_mutex_unlock(&k->asking);
    return e->status;
}

/* The process, just started, learns its clock and the faults; then it waits for ORDER_START. */
static qrt_status introduce(struct live *l, uint16_t node, int64_t time, struct error *e) {
    struct order clock = {.kind = ORDER_CLOCK, .time = time};
    const struct share *s = process_share(l, node);
    pthread_mutex_lock(&l->fault_mutex);
    clock.offset = faults_offset(l->faults, node);
    clock.drift = faults_drift(l->faults, node);
    pthread_mutex_unlock(&l->fault_mutex);
    set_clock(l, node, &clock);
    if (!clock.status) return QRT_OK;
    if (s->death) return error_set(e, s->death, "node %u cannot start: %s", node, s->death_text);
    if (l->config.launch)
        return error_set(e, QRT_EIO, "the interpreter %s of node %u ended before it was a node",
                         l->config.launch->argv[0], node);
    return error_set(e, QRT_EIO, "the process of node %u ended at once; is %s of this version?", node,
                     l->keeper->program);
}

static qrt_status process_new(struct live *l, uint16_t node, int64_t time, struct error *e) {
    qrt_status status = want_process(l->keeper, node, e);
    return status ? status : introduce(l, node, time, e);
}

static qrt_status start_result(struct live *l, uint16_t node, struct order *o, struct error *e) {
    struct shown *shown = l->nodes[node].shown;
    qrt_status status = o->status;
    const struct share *s = process_share(l, node);
    if (status == QRT_EDOWN && s->death)
        error_set(e, s->death, "node %u cannot start: %s", node, s->death_text);
    else if (status == QRT_EDOWN)
        error_set(e, QRT_EIO, "the process of node %u ended while it started", node);
    else if (status)
        error_set(e, status, "%s", buffer_text(&o->data));
    buffer_free(&o->data);
    if (!status) return QRT_OK;
    robust_lock(&shown->mutex);
    snprintf(shown->view.why_down, sizeof shown->view.why_down, "%s", e->text);
    pthread_mutex_unlock(&shown->mutex);
    return e->status;
}

static void restart(struct live *l, uint16_t node, struct order *o) {
    struct process *p = process_of(l, node);
    struct error e = {0};
    struct order start = {.kind = ORDER_START, .time = o->time};
    ask(p, o); /* a crash that still waits for its effect is called off */
    if (o->status != QRT_EDOWN) return;
    o->status = process_new(l, node, o->time, &e);
    if (o->status) {
        start.status = o->status;
        buffer_append(&start.data, e.text, strlen(e.text));
    } else {
        ask(p, &start);
    }
    start_result(l, node, &start, &e);
}

static void pause_or_resume(struct process *p, struct order *o) {
    ask(p, o);
    pthread_mutex_lock(&p->mutex);
    if (!o->status) p->paused = o->kind == ORDER_PAUSE;
    pthread_mutex_unlock(&p->mutex);
}

void process_order(struct live *l, uint16_t node, struct order *o) {
    struct process *p = process_of(l, node);
    switch ((enum order_kind)o->kind) {
    case ORDER_CRASH: crash(p, o); break;
    case ORDER_RESTART: restart(l, node, o); break;
    case ORDER_PAUSE:
    case ORDER_RESUME: pause_or_resume(p, o); break;
    case ORDER_CLOCK: set_clock(l, node, o); break;
    case ORDER_INSPECT: ask(p, o); break;
    case ORDER_QUIT:
    case ORDER_PROPOSE:
    case ORDER_CLIENT:
    case ORDER_SUBMIT:
    case ORDER_WITHDRAW:
    case ORDER_STOP:
    case ORDER_LOAD:
    case ORDER_START:
    case ORDER_REPLY:
    case ORDER_REKEY:
    case ORDER_ASK: CHECK(false && "an order for a node's process");
    }
}

void process_give(struct live *l, uint16_t node, struct order *o) {
    if (!order_send(process_of(l, node), o, false)) { /* it died meanwhile: certainly not proposed */
        struct answer a = {.ticket = o->ticket, .status = QRT_ENOTLEADER};
        pthread_mutex_lock(&l->ticket_mutex);
        tickets_answer(&l->tickets, &a, live_now(l));
        pthread_mutex_unlock(&l->ticket_mutex);
        live_ring(l);
    }
    order_free(o);
}

/* ---- beginning and end ---- */

static qrt_status share_new(struct live *l, struct process *p, uint16_t node, const char *secret, struct error *e) {
    size_t options = l->config.protocol->options_size;
    struct share *s = NULL;
    p->memory = place_high(memfd_create("quorate-node", MFD_CLOEXEC));
    if (p->memory >= 0 && !ftruncate(p->memory, sizeof *s))
        s = mmap(NULL, sizeof *s, PROT_READ | PROT_WRITE, MAP_SHARED, p->memory, 0);
    if (!s || s == MAP_FAILED) return error_set(e, QRT_EIO, "node %u gets no shared memory: %s", node, strerror(errno));
    p->share = s;
    CHECK(options <= SHARE_OPTIONS_MAX);
    s->magic = SHARE_MAGIC;
    s->size = sizeof *s;
    snprintf(s->version, sizeof s->version, "%s", qrt_version());
    s->owner = (int32_t)getpid();
    s->node = node;
    s->start = l->nodes[node].start;
    s->epoch = l->epoch;
    s->bugs = l->config.bugs;
    s->options = l->config.options;
    snprintf(s->protocol, sizeof s->protocol, "%s", l->config.protocol->name);
    s->protocol_options_size = (uint32_t)options;
    if (options) memcpy(s->protocol_options, l->config.protocol_options, options);
    s->watch = l->config.watch;
    s->quorum = l->config.quorum;
    s->gates = l->gates;
    snprintf(s->gates.secret_key, sizeof s->gates.secret_key, "%s", secret);
    gate_init(&s->gate, true);
    mutex_init(&s->shown.mutex, true);
    s->shown.view.node = node;
    l->nodes[node].shown = &s->shown;
    s->ring.silent = l->silent;
    journal_init(&l->nodes[node].actor.journal, &s->gate, &s->ring);
    return QRT_OK;
}

static struct keeper *keeper_new(struct live *l) {
    struct keeper *k = mem_zero(1, sizeof *k);
    pthread_condattr_t attributes;
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    k->live = l;
    k->sweep = k->cargo = -1;
    k->bell = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    k->wanted = UINT16_MAX; /* the thread's beginning is the first answer */
    pthread_mutex_init(&k->asking, NULL);
    pthread_mutex_init(&k->mutex, NULL);
    pthread_mutex_init(&k->traceback_mutex, NULL);
    pthread_cond_init(&k->answered, &attributes);
    k->processes = mem_zero((size_t)live_node_count(l) + 1, sizeof *k->processes);
    for (uint16_t i = 0; i <= live_node_count(l); i++) {
        struct process *p = &k->processes[i];
        pthread_mutex_init(&p->mutex, NULL);
        pthread_mutex_init(&p->writing, NULL);
        pthread_cond_init(&p->changed, &attributes);
        p->memory = p->listener = p->mail.fd = p->life = -1;
    }
    pthread_condattr_destroy(&attributes);
    return k;
}

static qrt_status cargo_new(struct live *l, struct error *e) {
    const struct launch *launch = l->config.launch;
    struct keeper *k = l->keeper;
    if (!launch) return QRT_OK;
    k->cargo = place_high(memfd_create("quorate-cargo", MFD_CLOEXEC));
    for (uint32_t at = 0; k->cargo >= 0 && at < launch->cargo.size;) {
        ssize_t n = write(k->cargo, launch->cargo.data + at, launch->cargo.size - at);
        if (n < 0) break;
        at += (uint32_t)n;
        if (at == launch->cargo.size) return QRT_OK;
    }
    if (k->cargo >= 0 && !launch->cargo.size) return QRT_OK;
    return error_set(e, QRT_EIO, "the script finds no memory to be handed on in: %s", strerror(errno));
}

/* Listening sockets, keys, memory; what every process is given. */
static qrt_status prepare(struct live *l, struct error *e) {
    struct keeper *k = l->keeper;
    uint16_t n = live_node_count(l);
    char secrets[FAULT_NODES_MAX + 1][KEY_TEXT] = {{0}};
    l->gates.curve = l->config.options.curve;
    qrt_status status = options_absolute(l->config.options.data, sizeof l->config.options.data, e);
    if (!status) status = cargo_new(l, e);
    if (!status && l->gates.curve) status = gates_keys(&l->gates, n, secrets, e);
    for (uint16_t i = 0; i <= n && !status; i++)
        if ((k->processes[i].listener = place_listen(l, i, e)) < 0) status = e->status;
    if (!status) status = live_disks(l, e);
    for (uint16_t i = 1; i <= n; i++) store_free(&l->nodes[i].host.store); /* the processes open them themselves */
    for (uint16_t i = 1; i <= n && !status; i++) status = share_new(l, &k->processes[i], i, secrets[i], e);
    memcpy(l->gates.secret_key, secrets[0], KEY_TEXT);
    return status;
}

static qrt_status clients_gate(struct live *l, struct error *e) {
    int listener = l->keeper->processes[0].listener;
    l->keeper->processes[0].listener = -1; /* the socket closes it */
    qrt_status status = live_context(l, live_node_count(l) + 16, e);
    if (!status) status = actor_init(&l->clients.actor, l, 0, NULL, NULL, -1, e);
    if (!status) status = actor_bind(&l->clients.actor, listener, e);
    if (status) close(listener);
    return status ? status : actor_connect(&l->clients.actor, e);
}

static qrt_status start_all(struct live *l, struct error *e) {
    uint16_t n = live_node_count(l);
    struct order *starts = mem_zero((size_t)n + 1, sizeof *starts);
    qrt_status status = QRT_OK;
    for (uint16_t i = 1; i <= n && !status; i++) status = want_process(l->keeper, i, e); /* they start side by side */
    for (uint16_t i = 1; i <= n && !status; i++) status = introduce(l, i, 0, e);
    for (uint16_t i = 1; i <= n && !status; i++) {
        starts[i].kind = ORDER_START;
        starts[i].waited = order_send(process_of(l, i), &starts[i], true);
    }
    for (uint16_t i = 1; i <= n; i++) {
        struct error own = {0};
        if (starts[i].waited) order_await(process_of(l, i), &starts[i]);
        if (starts[i].kind && start_result(l, i, &starts[i], &own) && !status) {
            *e = own;
            status = own.status;
        }
    }
    free(starts);
    return status;
}

/* First of all the janitor, then the folder: whoever is killed, and when, leaves nothing behind. */
static qrt_status begin_keeping(struct live *l, struct error *e) {
    struct keeper *k = l->keeper;
    qrt_status status = place_program(k->program, sizeof k->program, e);
    if (!status) status = place_folder(l, e);
    if (!status) status = live_thread(&k->thread, &k->running, keeper_main, k, "qrt-keeper", e);
    if (status) return status;
    pthread_mutex_lock(&k->mutex);
    while (k->wanted) pthread_cond_wait(&k->answered, &k->mutex);
    *e = k->problem;
    pthread_mutex_unlock(&k->mutex);
    return e->status ? e->status : place_make(l, e);
}

qrt_status keeper_start(struct live *l, struct error *e) {
    struct keeper *k = l->keeper = keeper_new(l);
    if (k->bell < 0) return error_set(e, QRT_EIO, "the keeper gets no event descriptor: %s", strerror(errno));
    qrt_status status = begin_keeping(l, e);
    if (!status) status = prepare(l, e);
    if (!status) status = clients_gate(l, e);
    if (!status) status = start_all(l, e);
    if (!status) links_wait(&l->clients.actor, LIVE_LINKS_NS);
    return status;
}

static void process_free(struct live *l, uint16_t node) {
    struct process *p = process_of(l, node);
    if (p->share) journal_free(&l->nodes[node].actor.journal);
    if (p->share) munmap(p->share, sizeof *p->share);
    if (p->memory >= 0) close(p->memory);
    if (p->listener >= 0) close(p->listener);
    pthread_mutex_destroy(&p->mutex);
    pthread_mutex_destroy(&p->writing);
    pthread_cond_destroy(&p->changed);
}

void keeper_stop(struct live *l) {
    struct keeper *k = l->keeper;
    if (!k) return;
    if (k->running) {
        atomic_store(&k->quit, true);
        wake_keeper(k);
        pthread_join(k->thread, NULL);
    } else if (*l->folder) {
        place_remove(l->folder);
    }
    for (uint16_t i = 0; i <= live_node_count(l); i++) process_free(l, i);
    if (k->bell >= 0) close(k->bell);
    if (k->sweep >= 0) close(k->sweep);
    if (k->cargo >= 0) close(k->cargo);
    buffer_free(&k->tracebacks);
    pthread_mutex_destroy(&k->traceback_mutex);
    pthread_mutex_destroy(&k->asking);
    pthread_mutex_destroy(&k->mutex);
    pthread_cond_destroy(&k->answered);
    free(k->processes);
    free(k);
    l->keeper = NULL;
}
