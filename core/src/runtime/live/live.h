/* The live runtime: a thread or a process a node, real time, ZeroMQ; host, driver, service, protocols are the simulator's.
 *
 *   the handle's thread --order--> node thread 1..n (a host each)  --frames over PUSH/PULL--> node threads, clients
 *          |             --order--> clients' thread (all actors)   --frames-->                node threads
 *          |                              |
 *          |<------ journals, published views, tickets, history --'
 *   director's thread --order--> node threads     (what a plan does at its time)
 *
 * With transport inproc all of these are threads of one process. With ipc and tcp each node is a process of its own that runs
 * the same node code (live_agent.c); the keeper's thread (live_process.c) stands for it here: orders go over a control
 * socket, and journal, view and clock lie in memory that both have mapped (live_share.h).
 *
 * An actor is a thread with an inbox, a socket to each peer, orders, alarms, delayed frames and a journal of its events.
 * Trace time is CLOCK_MONOTONIC since the start, drawn forward where needed so that a receive always stands behind its
 * send (Kulkarni et al. 2014, hybrid clocks, of which one host needs only the physical part).
 *
 * Invariants
 *  1. What belongs to an actor is touched by its thread alone, except behind a mutex: orders, ready events, its view.
 *  2. An actor's events have times above every horizon that was merged before, so the merged trace only grows.
 *  3. Mutexes are taken one at a time, except director before any other.
 *  4. No message is lost in silence: a full queue is counted and traced as a drop.
 */
#ifndef RUNTIME_LIVE_H
#define RUNTIME_LIVE_H

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <zmq.h>

#include "base/heap.h"
#include "fault/faults.h"
#include "runtime/runtime.h"

#define NEVER INT64_MAX
#define LIVE_HIGH_WATER 256 /* messages, on each side of a link */
#define LIVE_BURST 128      /* inputs between two flushes: one group commit */
#define LIVE_LARGE 16384 /* bytes from which on a frame is sent without a copy: smaller ones lose by it (bench large) */

#if defined(__SANITIZE_THREAD__)
#define QUEUE_TRACED 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define QUEUE_TRACED 1
#endif
#endif

#ifdef QUEUE_TRACED
/* ThreadSanitizer cannot see into libzmq's queues; this tells it what they guarantee. */
void __tsan_acquire(void *place);
void __tsan_release(void *place);
#define QUEUE_RELEASE(place) __tsan_release(place)
#define QUEUE_ACQUIRE(place) __tsan_acquire(place)
#else
#define QUEUE_RELEASE(place) ((void)(place))
#define QUEUE_ACQUIRE(place) ((void)(place))
#endif

/* ---- journals ---- */

/* What is shared between a journal's writer and the merging thread. In memory that a process may die in the middle of
 * writing, so its mutex is robust, and each word is sound whatever became of the others. */
struct gate {
    pthread_mutex_t mutex;
    int64_t open;  /* time of the input under way; NEVER: none */
    int64_t floor; /* merged up to here: what comes is later */
    int64_t last;  /* time of the latest input */
};

#define RING_EVENTS 65536 /* a power of two */

/* Events on their way out of a node's process: written by it alone while it lives, taken under the gate's mutex. */
struct ring {
    bool silent;                     /* as the journal's; its owner's word, before the process begins */
    atomic_uint_fast64_t head, tail; /* events taken, events written */
    qrt_event events[RING_EVENTS];
};

struct journal {
    struct gate *gate, own;         /* gate: own, or shared with a process */
    struct ring *ring;              /* NULL: events go by `fresh` and `ready` */
    void (*crowded)(void *context); /* the ring is half full: somebody should take from it */
    void *context;
    bool silent;             /* events are counted, and nothing more */
    const uint64_t *emitted; /* silent: where they are counted; NULL: they come here one by one, */
    uint64_t counted;        /* and how many of these the total has */
    qrt_event *ready;
    size_t ready_count, ready_capacity;
    atomic_uint_fast64_t total;
    /* The actor's own: events of the input under way (silent: their number). */
    qrt_event *fresh;
    size_t fresh_count, fresh_capacity;
    /* The merging thread's own. */
    qrt_event *pulled;
    size_t pulled_count, pulled_capacity, pulled_head;
};

/* ---- addresses and keys ---- */

#define KEY_TEXT 41      /* a CURVE key in Z85, with its end */
#define ENDPOINT_MAX 128 /* "tcp://127.0.0.1:65535", "ipc:///..." */

/* Of a cluster whose nodes are processes; [0] is the owner, with all clients. A process has its own secret key only. */
struct gates {
    bool curve;
    char endpoints[FAULT_NODES_MAX + 1][ENDPOINT_MAX];
    char public_keys[FAULT_NODES_MAX + 1][KEY_TEXT];
    char secret_key[KEY_TEXT];
};

/* ---- orders ---- */

enum order_kind {
    ORDER_QUIT = 1,
    ORDER_CRASH = 2, /* detail: disk fate, guarded or not; effect >= 0: armed */
    ORDER_RESTART = 3,
    ORDER_PAUSE = 4,
    ORDER_RESUME = 5,
    ORDER_CLOCK = 6,     /* offset, drift; to a process, data: what the fault engine was told since */
    ORDER_INSPECT = 7,   /* out: names and values, each with its end */
    ORDER_PROPOSE = 8,   /* ticket, data; waits while the node is paused */
    ORDER_CLIENT = 9,    /* client, workload, operations */
    ORDER_SUBMIT = 10,   /* client, detail: operation, data; ticket comes back */
    ORDER_STOP = 11,     /* the workloads' clients begin nothing new */
    ORDER_START = 12,    /* a process: the incarnation begins; data: why it could not */
    ORDER_WITHDRAW = 13, /* client, ticket: ends the operation if nothing of it was sent */
    ORDER_REPLY = 20,    /* a node by hand: data goes back to a client: live_hand.h */
    ORDER_REKEY = 21,    /* a node by hand: keys have changed */
    ORDER_ASK = 22,      /* the clients of nodes by hand: data goes to node `client` */
    ORDER_LOAD = 40,     /* ticket, data: struct load_spec (live_load.h) */
};

/* On the stack of a thread that waits for it, or on the heap of one that does not. */
struct order {
    struct order *next;
    uint8_t kind, detail;
    bool waited, done, guarded;
    uint16_t client;
    int32_t effect;
    int64_t time; /* of the event that caused it: what it does is later */
    int64_t offset;
    double drift;
    uint64_t number; /* between processes: the answer repeats it; 0: none is wanted */
    uint64_t ticket, operations;
    const struct workload *workload;
    struct buffer data;
    qrt_status status;
};

struct orders {
    pthread_mutex_t mutex;
    pthread_cond_t done;
    struct order *first, *last;
    atomic_bool pending;
};

/* ---- alarms: an actor's timers, by slot ---- */

struct alarm {
    int64_t due, queued;
    uint64_t order; /* of the one live heap entry */
};

struct alarms {
    struct heap heap;
    int64_t rang; /* when what alarm_take last gave was due */
    struct alarm *alarms;
    size_t count, capacity;
};

/* ---- actors ---- */

struct live_link {
    uint64_t sequence; /* messages so far: the key of the fault engine's verdicts */
    int64_t last;      /* when the last one leaves, where something delayed it */
    int64_t free;      /* until then the last one is leaving, where bandwidth is short */
};

struct delayed {
    uint16_t peer;
    uint32_t next_free;
    struct blob *message; /* envelope and frame */
};

struct pace {                   /* live_sleep.c */
    int64_t mean;               /* ns between two sleeps, a moving mean */
    atomic_int_fast64_t active; /* when it last went to sleep, */
    int cpu;                    /* and on which processor */
};

struct actor {
    struct live *live;
    uint16_t id;        /* node; 0: the clients */
    void *inbox, **out; /* sockets; out[0]: to the clients, out[i]: to node i */
    struct pool *pool;  /* live_pool.h: of what it sends */
    int bell;           /* eventfd: there are orders */
    int inbox_signal;   /* readable when something may have come */
    void *rope;         /* live_sleep.c: a socket whose other end is the inbox; NULL: it has none */
    zmq_msg_t early;    /* with a rope: the message that ended a sleep, */
    bool came_early;    /* where this is true */
    bool drained;       /* the inbox was found empty since the last message */
    int patience;       /* ms, its ZMQ_RCVTIMEO; 0: not yet set */
    uint32_t few;       /* bursts in a row that were few messages */
    struct pace pace;
    atomic_bool asleep;  /* in its inbox */
    struct reach *reach; /* of nodes by hand and their clients: how `out` stands, live_reach.h; else NULL */
    pthread_t thread;
    bool running, quit;
    struct orders orders;
    struct journal journal;
    struct trace trace; /* keeps nothing; its sink is the journal */
    int64_t time;       /* of the input under way */
    struct alarms alarms;
    struct heap departures; /* of delayed frames */
    struct delayed *delayed;
    uint64_t delayed_bytes;
    uint32_t delayed_count, delayed_free;
    size_t delayed_capacity;
    struct live_link *links;
    size_t link_count, link_capacity;
    struct runtime_counts counts;
    uint64_t drops[8]; /* by qrt_drop */
    uint64_t departed; /* frames given to ZeroMQ, or delayed to be */
};

struct node_timer {
    uint16_t group;
    uint32_t id;
};

/* What the metrics tell of a node beyond its view. */
struct meters {
    uint64_t drops[8]; /* by qrt_drop */
    uint64_t slow_flushes;
    uint16_t port;                        /* where its metrics are served; 0: nowhere */
    int64_t leaderless, leaderless_since; /* ns that it knew no leader; since: 0, or when that began */
};

/* What the log has said of a node. */
struct look {
    int64_t at;
    uint64_t refused, rejected, full, other_version;
    bool down[FAULT_NODES_MAX + 1], uncaptured;
};

/* What others see of a node. */
struct shown {
    pthread_mutex_t mutex;
    struct node_view view;
    struct runtime_counts counts;
    struct meters meters;
    bool lagging; /* wiped or damaged, and not yet caught up */
};

/* A node's clocks since they were last set: mono runs from mono_base at mono_at, fast by drift_ppm. */
struct node_clock {
    int64_t mono_base, mono_at, offset;
    double drift_ppm;
};

struct live_node {
    struct actor actor;
    struct host host;
    struct node_timer *timers; /* [i] has the alarm i */
    size_t timer_count, timer_capacity;
    bool paused, wiped, flush_wanted;
    bool filled;                          /* a fault: its disk is full */
    int64_t room_at;                      /* when it looks for room again */
    uint8_t start;                        /* qrt_start of the first incarnation */
    struct disk *disk;                    /* while the node is down; else inside its store */
    struct order *waiting, *waiting_last; /* proposals that came while paused */
    struct load *load;                    /* that it makes by itself; NULL: never asked for one */
    struct node_clock *clock, own_clock;
    uint8_t crash_fate;
    bool crash_guarded; /* of an armed crash: a wipe, judged when it dies */
    qrt_status death;
    char death_text[ERROR_TEXT_MAX];
    uint64_t slow_flushes;
    int64_t late, late_at; /* as its view's */
    struct look look;
    struct shown *shown, own_shown;
};

struct live_client {
    struct client *client;
    struct outbox out;
    uint64_t sends, ticket;
    bool manual, idle;
};

struct live_clients {
    struct actor actor;
    struct live_client *clients;
    size_t count, capacity;
    atomic_size_t busy;    /* clients that are not idle */
    pthread_mutex_t mutex; /* over history and counts */
    struct history history;
    struct capture *capture; /* of the history; NULL: none */
    bool uncaptured;         /* it has stopped, and the log has said so */
    struct runtime_counts counts;
};

struct director {
    pthread_t thread;
    bool running;
    atomic_bool quit;
    atomic_int wanted; /* how many wait for the mutex: a plan that is always behind would keep it for itself */
    pthread_mutex_t mutex;
    pthread_cond_t changed;
    struct journal journal;
    struct runtime_counts counts;
};

struct live {
    struct runtime_config config;
    uint16_t members[FAULT_NODES_MAX];
    uint64_t cluster_id;
    int64_t epoch;
    bool silent;             /* nobody keeps, checks or watches the trace: see live_journal.c */
    void *context;           /* ZeroMQ's */
    struct live_node *nodes; /* [1..n] */
    struct live_clients clients;
    struct director director;
    uint16_t client_count; /* as the handle knows it */
    atomic_int *cpus;      /* [actor's id]: its cpu, apart from what changes with every burst */

    pthread_mutex_t fault_mutex;
    struct faults *faults;
    struct buffer fault_log; /* what the engine was told, for its copies in the nodes' processes */
    atomic_bool calm;

    struct keeper *keeper;   /* of the nodes' processes; NULL: nodes are threads */
    struct agent *agent;     /* in a node's process: what ties it to its owner; else NULL */
    struct hand *hand;       /* in the process of a node by hand, of which this is the only one here; else NULL */
    struct remote *remote;   /* a client of nodes by hand, of which none is here; else NULL */
    struct gates gates;      /* ipc, tcp: addresses and keys */
    struct log *log;         /* live_log.h */
    struct metrics *metrics; /* live_metrics.c; NULL: none are wanted */
    struct doorman *doorman;
    atomic_uint_fast64_t refused;    /* connections of strangers */
    atomic_uint_fast64_t shut;       /* connections that made the node hold too much */
    atomic_uint_fast64_t unaccepted; /* connections that the system could not give us */
    atomic_uint_fast64_t *owed;   /* by hand: bytes of answers that have not left, by descriptor (live_hand_door.c) */
    char folder[OPTION_TEXT_MAX]; /* private, removed at the end; "": none */

    pthread_mutex_t wipe_mutex; /* one node decides at a time whether its disk may be wiped */
    pthread_mutex_t ticket_mutex;
    struct tickets tickets;
    struct buffer answer; /* handed out by ticket() */

    pthread_mutex_t bell_mutex; /* run() waits here */
    pthread_cond_t bell;
    uint64_t rings;

    struct trace trace; /* merged; the handle's thread only */
    int64_t merged;
    struct history history; /* handed out by history() */
};

static inline uint16_t live_node_count(const struct live *l) {
    return (uint16_t)l->config.options.nodes;
}

static inline bool live_apart(const struct live *l) { /* are the nodes processes? */
    return l->config.options.transport != TRANSPORT_INPROC;
}

/* A mutex that a process may have died with: what it guards is sound at every instant. */
static inline void robust_lock(pthread_mutex_t *m) {
    if (pthread_mutex_lock(m) == EOWNERDEAD) pthread_mutex_consistent(m);
}

/* live.c */
int64_t live_now(const struct live *l); /* ns since the start */
void live_ring(struct live *l);         /* something that run() may wait for has happened */
void live_condition(pthread_cond_t *c); /* whose waits are by CLOCK_MONOTONIC */
void *live_new(const struct runtime_config *config, struct trace_sink sink, struct error *e);
void live_free(void *runtime);
struct live *live_empty(const struct runtime_config *config,
                        struct trace_sink sink); /* for live_hand.c, live_remote.c */
qrt_status live_thread(pthread_t *thread, bool *running, void *(*body)(void *), void *self, const char *name,
                       struct error *e); /* with no signal to handle */

/* live_journal.c */
void gate_init(struct gate *g, bool shared);
void mutex_init(pthread_mutex_t *m, bool shared);
void journal_init(struct journal *j, struct gate *gate, struct ring *ring); /* NULL, NULL: of a thread */
void journal_drain(struct journal *j);                                      /* the ring's events, before it is full */
void journal_free(struct journal *j);
struct trace_sink journal_sink(struct journal *j);
/* Begins an input: its time, later than `after` and than all that was merged. */
int64_t journal_open(struct journal *j, const struct live *l, int64_t after);
void journal_close(struct journal *j);
/* Merges every event up to now, or up to the input that some actor is at, into l->trace. patient: waits for such. */
void live_merge(struct live *l, bool patient);
uint64_t live_events(struct live *l);

/* live_actor.c, live_sleep.c */
/* gate, ring: of its journal; NULL for a thread's. bell: of its orders, taken; -1: one of its own. */
qrt_status actor_init(struct actor *a, struct live *l, uint16_t id, struct gate *gate, struct ring *ring, int bell,
                      struct error *e);
void actor_free(struct actor *a);
/* Who hears its events of these kinds; of all kinds where the journal wants them, which they are then passed on to. NULL: nobody
 * but the journal. */
void actor_tap(struct actor *a, uint64_t kinds, void (*event)(void *, const qrt_event *, uint64_t), void *context);
/* Thread-safe, among the threads of a process. order_give takes an order from the heap; order_wait returns when it was carried out. */
void order_give(struct actor *a, struct order *o);
void actor_nudge(struct actor *a); /* no order, but the same waking */
void order_wait(struct actor *a, struct order *o);
struct order *order_take(struct actor *a);
void order_end(struct actor *a, struct order *o);
void order_free(struct order *o);
void alarm_set(struct alarms *t, uint32_t slot, int64_t due);
void alarms_clear(struct alarms *t);
int64_t alarm_take(struct alarms *t, int64_t now); /* a slot, or -1 */
/* Sends through the fault engine; within an open input. The frame is copied, or what changed of it. */
void actor_send(struct actor *a, uint16_t from, uint16_t to, const uint8_t *frame, uint32_t size);
/* The same without a copy. The frame lies behind OUTBOX_ROOM bytes, which are written here; the caller keeps its reference,
 * and nobody changes the bytes any more: libzmq has references too, and lets go of them on its own threads. */
void actor_send_large(struct actor *a, uint16_t from, uint16_t to, struct blob *large);
void actor_drop(struct actor *a, uint16_t from, uint16_t to, uint8_t why, uint64_t id);
void actor_depart(struct actor *a); /* sends the delayed frames whose time has come */
struct envelope { /* before each frame, so that a frame stays one message and its bytes stay as a peer sees them */
    uint16_t from, to;
    uint32_t kind; /* 0: a frame; HAND_CONTROL: live_hand.h */
    int64_t sent;
};
struct arrival {
    uint16_t from, to;
    int64_t sent;
    struct bytes frame;
};
/* Calls `each` with up to LIVE_BURST arrivals; returns how many there were. An arrival that its sender had no right to
 * send is rejected and traced. */
size_t actor_arrivals(struct actor *a, void (*each)(void *self, const struct arrival *arrival), void *self);
/* What an actor that has a rope does about its inbox: the next message, if it is there already; is it nothing but a pull of the
 * rope; how many a burst takes, and how many the last one took. */
bool actor_next(struct actor *a, zmq_msg_t *m);
bool actor_pulled(struct actor *a, zmq_msg_t *m);
size_t actor_burst_limit(struct actor *a);
void actor_burst_was(struct actor *a, size_t count);
/* inbox: an endpoint within the process to which the actor's inbox is bound. */
qrt_status actor_rope(struct actor *a, const char *inbox, struct error *e);
void actor_unrope(struct actor *a);
void actor_wake(struct actor *a); /* from the holder of its orders' mutex */
/* Until then (0: only a look), an order, an alarm, a departure, or an arrival where `inputs`. */
void actor_sleep(struct actor *a, bool inputs, int64_t until);
bool live_cut(struct live *l, uint16_t from, uint16_t to);
/* Counts and traces what came from a key that had no right to send it. sender 0: nobody knows. */
void actor_reject(struct actor *a, uint16_t sender);

/* live_socket.c */
#define LISTEN_BY_NAME (-2) /* for actor_bind: no descriptor is given; the endpoint is bound */
qrt_status live_context(struct live *l, int sockets, struct error *e);
qrt_status actor_bind(struct actor *a, int listener, struct error *e); /* listener: taken; -1 for inproc */
qrt_status actor_connect(struct actor *a, struct error *e);
qrt_status actor_connect_to(struct actor *a, uint16_t peer, struct error *e);
void actor_disconnect(struct actor *a, uint16_t peer);
void actor_unplug(struct actor *a);

/* live_links.c: until all links stand, for so long at most; how many do not, which the log says. On the actor's thread, or before
 * that runs. */
#define LIVE_LINKS_NS INT64_C(10000000000)
uint16_t links_wait(struct actor *a, int64_t patience);

/* live_faults.c: the engine, and word of what it was told */
void live_fault_add(struct live *l, const struct plan *plan, int64_t now);
bool live_fault_take(struct live *l, int64_t until, struct fault_action *a, int64_t *due);
void live_fault_hit(struct live *l, const struct fault_action *a, uint16_t node);
void live_fault_partition(struct live *l, const struct fault_action *a, uint16_t leader);
/* Tells a copy of the engine what the first one was told. False: the bytes make no sense. */
bool live_fault_replay(struct live *l, struct fault_action *last, struct bytes log);

/* live_node.c */
extern const struct host_port live_port;
struct store_identity live_identity(const struct live *l, uint16_t node);
void node_init(struct live_node *n);
qrt_status node_start(struct live_node *n, struct error *e); /* the first incarnation, before its thread */
void *node_main(void *node);
void node_input(struct live_node *n, int64_t after); /* begins one, later than `after` */
void node_input_end(struct live_node *n);
void node_set_clock(struct node_clock *c, int64_t now, int64_t offset, double drift_ppm);
int64_t node_mono(const struct node_clock *c, int64_t now);
void node_free(struct live_node *n);
/* live_life.c */
void node_clock(struct live_node *n);
void node_crash(struct live_node *n, uint8_t fate);
void node_wipe(struct live *l, uint16_t node);   /* its folder, while it is down */
void node_damage(struct live *l, uint16_t node); /* likewise: a sector of its log */
/* Opens the node's store from the disk, which it takes. how: qrt_start. What was damaged goes into the log. */
qrt_status node_store(struct live *l, uint16_t node, struct disk *disk, uint8_t *how, struct error *e);
bool node_open(struct live_node *n, uint8_t *how); /* false: n->death says why not */
/* What a guarded crash may do to the disk. fate, answer: qrt_disk_fate. */
uint8_t live_fate_guarded(struct live *l, uint16_t node, uint8_t fate);
void node_crash_guarded(struct live_node *n, uint8_t fate);
void node_restart(struct live_node *n);
/* Makes its disk what the fault engine says; anew: it is another store. */
void node_fill(struct live_node *n, bool anew);
void node_look(struct live_node *n);  /* from time to time: is there room again? */
void node_after(struct live_node *n); /* after every input: did it die? */
void node_publish(struct live_node *n);
qrt_status live_disks(struct live *l, struct error *e); /* opens every node's store */
struct disk *live_disk(struct live *l, uint16_t node, struct error *e);

/* live_clients.c */
void clients_init(struct live_clients *c);
void clients_capture(struct live_clients *c); /* before its thread; where the options want it */
void *clients_main(void *clients);
void clients_free(struct live_clients *c);

/* live_director.c */
void live_order(struct live *l, uint16_t node, struct order *o); /* to a node's thread or process; waits */

/* live_process.c: the nodes' processes, from their owner's side */
qrt_status keeper_start(struct live *l, struct error *e); /* with every node up */
void keeper_stop(struct live *l);
void process_order(struct live *l, uint16_t node, struct order *o); /* as order_wait */
void process_give(struct live *l, uint16_t node, struct order *o);  /* as order_give; its ticket is answered */
void process_tracebacks(struct live *l, void (*each)(void *context, const char *text), void *context);

/* live_agent.c: the same from their own side */
struct order *agent_order(struct live *l, struct actor *a); /* reads what the owner sent; NULL: nothing more */
void agent_end(struct live *l, struct order *o);
void agent_answer(struct live *l, const struct answer *a, int64_t time);
void agent_ring(struct live *l);
void agent_flush(struct live *l); /* what the last three said goes out, at the end of a burst */
bool agent_sees_down(const struct live *l, uint16_t peer);
_Noreturn void agent_die(struct live_node *n); /* at an armed effect, or because its disk failed */
void agent_stop(struct live_node *n);          /* paused, with no order left: until the owner wants something */
void agent_faults(struct live *l, struct bytes log);
void agent_begin(struct live_node *n); /* between host_init and host_start: what outlives an incarnation */

void director_enter(struct live *l); /* locks its mutex, between two of the things that it does */
void director_tick(struct live *l);  /* with that: what was due when it was called */
void *director_main(void *live);

/* live_run.c */
uint16_t live_leader(struct live *l);
qrt_status live_run(void *runtime, int64_t until, const struct condition *condition, int64_t slice_ns);

#endif
