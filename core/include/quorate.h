/* quorate.h - the one public header of Quorate.
 *
 * A user builds a cluster of a fault-tolerance protocol, proposes values to it, breaks it on
 * purpose and gets a verdict; simulated, live over ZeroMQ, or on a history of their own.
 *
 * Conventions
 *  - Every function that can fail returns a qrt_status: QRT_OK (0), QRT_MORE (1: the call came back
 *    after about 20 ms of work and wants to be called again with the same arguments), or a negative error.
 *    qrt_last_error(handle) says in words what happened, why, and what to do.
 *  - Handles are opaque. qrt_x_free(qrt_x **) accepts NULL and nulls the caller's pointer.
 *  - A handle is used by one thread at a time; use from two at once, after qrt_close or after fork(2) is refused.
 *  - Every pointer parameter is borrowed for the length of the call unless its comment says otherwise.
 *    Returned strings belong to the handle and live until its next call, unless a comment says otherwise.
 *  - Times are nanoseconds (int64_t, suffix _ns). Node ids are 1..n; clients are 1..m; 0 is "none".
 */
#ifndef QUORATE_H
#define QUORATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#if defined(QRT_STATIC)
#define QRT_API
#else
#define QRT_API __attribute__((visibility("default")))
#endif

#ifdef __cplusplus
extern "C" {
#endif

/* qrt:declarations begin */

/* --- Status codes ------------------------------------------------------------------------- */

typedef enum qrt_status {
    QRT_OK = 0,
    QRT_MORE = 1,
    /* misuse: the call itself is wrong */
    QRT_EINVAL = -1,       /* an argument makes no sense */
    QRT_EOPTION = -2,      /* no option of that name */
    QRT_ETYPE = -3,        /* an option or field has the wrong type */
    QRT_ERANGE = -4,       /* a value is outside its range */
    QRT_EPARSE = -5,       /* malformed text; the error names line and column */
    QRT_ECLOSED = -6,      /* the handle was closed */
    QRT_EBUSY = -7,        /* the handle is in use on another thread, or inside a callback */
    QRT_EFORKED = -8,      /* the handle was made by another process, before fork(2) */
    QRT_EUNSUPPORTED = -9, /* this build, runtime or protocol cannot do that */
    QRT_ENOTFOUND = -10,   /* no node, key, protocol, file of that name */
    QRT_EDENIED = -11,     /* the key has no right to ask for that */
    /* operating: the cluster could not do it */
    QRT_ENOLEADER = -20,  /* nobody leads, and the error says why */
    QRT_ENOTLEADER = -21, /* this node does not lead */
    QRT_EDOWN = -22,      /* the node is not up */
    QRT_EFAILED = -23,    /* the operation was certainly not executed */
    QRT_EUNKNOWN = -24,   /* the operation may or may not have been executed */
    QRT_ETOOLARGE = -25,  /* the value is larger than the stated limit */
    QRT_ETIMEOUT = -26,   /* the awaited condition did not come true in time */
    QRT_EFULL = -27,      /* a bounded queue or disk is full */
    QRT_ECAS = -28,       /* compare-and-set found another value; nothing was changed */
    QRT_ESESSION = -29,   /* the client session has expired or is unknown */
    /* data: bytes from a peer, a disk or a file */
    QRT_ECORRUPT = -40, /* a checksum or structure is wrong */
    QRT_EFOREIGN = -41, /* the data belongs to another cluster or node */
    QRT_ENEWER = -42,   /* the data was written by a newer version */
    QRT_EIO = -43,      /* reading, writing or syncing failed */
    /* the user's own code, and ours */
    QRT_ESCRIPT = -60, /* a state machine or script raised an error */
    QRT_ENOMEM = -61,
    QRT_EINTERNAL = -62, /* a bug of ours: please report it with the message */
} qrt_status;

/* --- The trace ------------------------------------------------------------------------------ */

/* Every run, of any runtime, makes one stream of events of 48 bytes. The comment of a kind says what its
 * fields hold; a field that is not named is 0. `term` is a term or ballot, `index` an index or instance. */
typedef enum qrt_kind {
    QRT_KIND_SEND = 1,    /* peer: to; detail: message kind; link: message id; value: checksum of the frame */
    QRT_KIND_RECEIVE = 2, /* peer: from; detail: message kind; link: the send's message id */
    QRT_KIND_DROP = 3,    /* node: receiver; peer: sender; detail: qrt_drop; link: message id */
    QRT_KIND_TIMER = 4,   /* index: timer id */
    QRT_KIND_PROPOSE = 5, /* value: hash of the proposed bytes; link: ticket of the proposal */
    QRT_KIND_PERSIST = 6, /* a write begins; link: ticket; index, term: what the record holds; value: checksum */
    QRT_KIND_STORED = 7,  /* that write is durable; link: ticket */
    QRT_KIND_START = 8,   /* detail: qrt_start; term: durable term; index: last index; value: prefix hash there;
                               peer: vote (0 none); link: commit index known from the checkpoint */
    QRT_KIND_CRASH = 9,   /* detail: qrt_disk_fate; link: 1 when it fell between two effects of a step, of which index
                               were carried out */
    QRT_KIND_PAUSE = 10,
    QRT_KIND_RESUME = 11,
    QRT_KIND_FAULT = 12,    /* a directive of the plan took effect; index: its number; detail: its verb */
    QRT_KIND_TERM = 13,     /* the node's current term (or ballot) is now term */
    QRT_KIND_ROLE = 14,     /* detail: qrt_role; term; index: last log index; value: prefix hash of the last entry */
    QRT_KIND_VOTE = 15,     /* a vote of term for peer leaves the node; of a transaction: index: its number; detail:
                               qrt_vote; peer: who decides */
    QRT_KIND_APPEND = 16,   /* one entry enters the log: index, term of the entry; value: prefix hash up to it */
    QRT_KIND_TRUNCATE = 17, /* entries from index on leave the log */
    QRT_KIND_ACK = 18,      /* the node tells peer that its log is durable up to index; term: current term */
    QRT_KIND_COMMIT = 19,   /* commit index advances to index; term: current; value: prefix hash there;
                               detail: 1 when a leader decided it, 0 when learnt */
    QRT_KIND_APPLY = 20, /* index applied; term of the entry; value: prefix hash; link: hash of the machine's reply */
    QRT_KIND_CHECKPOINT = 21, /* a snapshot up to index, term is durable; value: prefix hash there */
    QRT_KIND_RESTORE = 22,    /* the machine was replaced by a peer's snapshot up to index; value: prefix hash */
    QRT_KIND_CAUGHT_UP = 23,  /* a wiped or damaged member has caught up to index and votes again */
    QRT_KIND_INVOKE = 24,     /* node: client; link: operation number */
    QRT_KIND_RETURN = 25,     /* node: client; link: operation number; detail: 0 ok, 1 failed, 2 unknown */
    QRT_KIND_REJECT = 26,     /* bytes from peer were rejected; detail: why (qrt_drop) */
    QRT_KIND_NOTE = 27,       /* a protocol's own remark; detail: its number; see the protocol's page */
    QRT_KIND_RAISE = 28,      /* a user's state machine or script raised an error; the node crashes */
    QRT_KIND_BALLOT = 29,  /* a message of a ballot leaves; detail: qrt_ballot; term: ballot; index: instance; peer: to
                             whom; value: hash of the value that it carries, 0 none */
    QRT_KIND_DECIDE = 30,  /* the node decides; index: instance or transaction; term: ballot, round or epoch; value:
                             hash of what; detail: 0, or a transaction's outcome: 1 commit, 2 abort */
    QRT_KIND_STATE = 31,   /* the node enters a state of an instance or transaction (index); detail: which (of a
                             transaction: qrt_transaction_state; index 0: its roles in ballots, added: 1 proposes,
                             2 accepts, 4 learns); see the protocol's page */
    QRT_KIND_OPINION = 32, /* the node's failure detector changes its mind on peer; detail: 1 suspected, 0 trusted;
                              value: the suspicion in millionths */
    QRT_KIND_LIE = 33,     /* what the node says to peer is false; detail: message kind; link: message id */
    /* The node's disk: detail 1: it is full, and the node takes on nothing new; 0: it has room again. */
    QRT_KIND_ROOM = 34,
} qrt_kind;

/* What a ballot's message asks or says (QRT_KIND_BALLOT). */
typedef enum qrt_ballot {
    QRT_BALLOT_PREPARE = 1, /* 1a, to all acceptors */
    QRT_BALLOT_PROMISE = 2, /* 1b; link: the ballot in which its value was accepted, 0 none */
    QRT_BALLOT_ACCEPT =
        3, /* 2a, to all acceptors; link: the ballot whose value it had to take over, 0: its own choice */
    QRT_BALLOT_ACCEPTED = 4, /* 2b */
    QRT_BALLOT_REFUSE = 5,   /* instead of 1b or 2b; link: the higher ballot that is promised */
} qrt_ballot;

typedef enum qrt_role {
    QRT_ROLE_NONE = 0,
    QRT_ROLE_FOLLOWER = 1,
    QRT_ROLE_PRE_CANDIDATE = 2,
    QRT_ROLE_CANDIDATE = 3,
    QRT_ROLE_LEADER = 4,
    QRT_ROLE_RECOVERING = 5, /* wiped or damaged: neither votes nor counts until caught up */
} qrt_role;

typedef enum qrt_start {
    QRT_START_FORMAT = 1,    /* the explicit first start of an empty store */
    QRT_START_RECOVERED = 2, /* the store holds what was durable */
    QRT_START_WIPED = 3,     /* the store is empty although the member existed before */
    QRT_START_DAMAGED = 4, /* the store holds a part of what was durable; the rest was damaged, and is with the peers */
} qrt_start;

typedef enum qrt_drop {
    QRT_DROP_LOSS = 1,
    QRT_DROP_PARTITION = 2,
    QRT_DROP_DOWN = 3,    /* the receiver is crashed */
    QRT_DROP_CORRUPT = 4, /* checksum or structure wrong */
    QRT_DROP_FOREIGN = 5, /* not addressed to this node or group, or from an impossible sender */
    QRT_DROP_FULL = 6,    /* a bounded queue was full */
    QRT_DROP_DISK = 7,    /* the receiver's disk is full, and the message would make it write what it need not */
} qrt_drop;

typedef enum qrt_disk_fate {
    QRT_DISK_KEPT = 0,          /* everything written survives, synced or not */
    QRT_DISK_UNSYNCED_LOST = 1, /* what was not synced is lost; the last write may be torn */
    QRT_DISK_WIPED = 2,         /* nothing survives */
    QRT_DISK_DAMAGED = 3,       /* as UNSYNCED_LOST, and bits flip in one sector of the log that was synced */
} qrt_disk_fate;

typedef enum qrt_vote { /* a participant's, on a transaction */
                        QRT_VOTE_YES = 1,
                        QRT_VOTE_NO = 2,
                        QRT_VOTE_READ_ONLY = 3, /* it agrees to either outcome, and wants to hear of none */
} qrt_vote;

typedef enum qrt_transaction_state {
    QRT_TRANSACTION_BEGUN = 1,    /* at the node that took it; term: how many take part; value: hash of what it says */
    QRT_TRANSACTION_PREPARED = 2, /* the node has voted yes, and may no longer decide alone; peer: who decides */
    QRT_TRANSACTION_COMMITTED = 3,
    QRT_TRANSACTION_ABORTED = 4,
    QRT_TRANSACTION_BLOCKED = 5,      /* prepared, it asked and found nobody who knew */
    QRT_TRANSACTION_PRECOMMITTED = 6, /* three-phase commit: it knows that all have voted yes */
    QRT_TRANSACTION_TERMINATING = 7,  /* three-phase commit: it takes the place of a silent coordinator */
} qrt_transaction_state;

/* details of QRT_KIND_STATE in primary-backup; term: the view's epoch, index: its version */
typedef enum qrt_view_change {
    QRT_VIEW_GRANTED = 16,   /* value: how many are in sync */
    QRT_BACKUP_REMOVED = 17, /* peer */
    QRT_BACKUP_ADDED = 18,   /* peer */
} qrt_view_change;

typedef struct qrt_event {
    int64_t time; /* ns since the run began */
    uint16_t node, group;
    uint8_t kind;   /* qrt_kind */
    uint8_t detail; /* by kind */
    uint16_t peer;  /* node or client id; clients are QRT_CLIENT + 1, 2, ... */
    uint64_t term, index, link, value;
} qrt_event;

enum { QRT_CLIENT = 0x8000 }; /* node ids from here on are clients */

/* --- The library ---------------------------------------------------------------------------- */

/* Changes when a program compiled against an older header would no longer work. */
QRT_API uint32_t qrt_abi_version(void);
QRT_API const char *qrt_version(void);             /* "0.1.0"; static */
QRT_API const char *qrt_strerror(qrt_status s);    /* "there is no leader"; static */
QRT_API const char *qrt_status_name(qrt_status s); /* "no-leader"; static */
/* The sentence about the last failed call on that handle, of this thread if one of its own failed last; NULL: about the last
 * failed call of this thread that had no handle (constructors, parsers). Never NULL; "" when nothing failed. Lives until the
 * next call. */
QRT_API const char *qrt_last_error(const void *handle);
/* Its status, likewise; for the calls that return text, and NULL on error. QRT_OK when nothing failed. */
QRT_API qrt_status qrt_last_status(const void *handle);

/* Reserves a handle for this thread until it has called qrt_release as often: other threads are refused (QRT_EBUSY) between
 * its calls too. For a call that is made in slices, and for a returned text until it is copied. */
QRT_API qrt_status qrt_hold(void *handle);
QRT_API qrt_status qrt_release(void *handle); /* keeps the handle's last error */
/* Frees all that the handle owns; every later call is refused (QRT_ECLOSED), and qrt_x_free frees the rest. So the pointer may
 * still be on its way into a call on another thread. QRT_EBUSY while somebody is inside; again is harmless; NULL is nothing. */
QRT_API qrt_status qrt_close(void *handle);

/* How much work a long call of that handle does before it comes back with QRT_MORE: 0 looks and comes back at once, less
 * than 0 is the default of 20 ms. A run is the same however it is sliced. For event loops, which must not wait long. */
QRT_API qrt_status qrt_slice(void *handle, int64_t ns);

/* What there is, as JSON text; static or thread-local until the next such call.
 * protocols: [{"name", "summary", "fault_model": {..}, "bugs": [{"name","mistake","property","source"}]}]
 * options:   [{"section","name","type","unit","low","high","default","choices","help"}]; NULL for an unknown protocol
 * machines:  [{"name","summary"}] */
QRT_API const char *qrt_protocols(void);
QRT_API const char *qrt_options(const char *protocol);
QRT_API const char *qrt_machines(void);
QRT_API const char *qrt_kind_name(uint8_t kind);       /* of a trace event; static */
QRT_API const char *qrt_message_name(uint8_t message); /* detail of send and receive; static */
QRT_API const char *qrt_role_name(uint8_t role);

/* --- State machines of your own -------------------------------------------------------------- */

/* Where a callback puts its answer. */
typedef struct qrt_reply qrt_reply;
QRT_API void qrt_reply_put(qrt_reply *r, const uint8_t *data, size_t size); /* appends a copy */
/* The callback failed: text (copied) says how. The node that ran it crashes, and reports it. */
QRT_API void qrt_reply_raise(qrt_reply *r, const char *text);

/* Called on the thread that runs the cluster, and only there. Calling the cluster from a callback is refused
 * (QRT_EBUSY). State machines must be deterministic: same commands, same answers. */
typedef struct qrt_machine {
    const char *name;
    void *context;                     /* handed to every callback */
    uint64_t (*create)(void *context); /* a new machine; returns its id, not 0 */
    void (*destroy)(void *context, uint64_t machine);
    void (*apply)(void *context, uint64_t machine, uint64_t index, const uint8_t *command, size_t size,
                  qrt_reply *reply);
    void (*query)(void *context, uint64_t machine, const uint8_t *command, size_t size, qrt_reply *reply);
    void (*snapshot)(void *context, uint64_t machine, qrt_reply *reply);
    void (*restore)(void *context, uint64_t machine, const uint8_t *snapshot, size_t size, qrt_reply *reply);
} qrt_machine;

/* --- Protocols of your own -------------------------------------------------------------------- */

/* A node of such a protocol, while a callback of it is under way: what it wants done. Effects are bounded (10,000 and
 * 4 MiB a step, 512 KiB a message); what is asked for beyond that, or makes no sense, crashes the node, as
 * qrt_ctx_raise does. Sends, answers and decisions wait until what the node persisted before them is durable. */
typedef struct qrt_ctx qrt_ctx;
QRT_API void qrt_ctx_send(qrt_ctx *x, uint16_t to, const uint8_t *data, size_t size); /* to 0: all others */
/* The same without waiting for the disk: for what is right before it is durable, or for a mistake to be shown. */
QRT_API void qrt_ctx_send_now(qrt_ctx *x, uint16_t to, const uint8_t *data, size_t size);
QRT_API void qrt_ctx_timer(qrt_ctx *x, const char *name, int64_t delay_ns); /* INT64_MAX: clears it */
QRT_API void qrt_ctx_persist(qrt_ctx *x, const uint8_t *data, size_t size); /* replaces what was persisted before */
QRT_API void qrt_ctx_answer(qrt_ctx *x, uint64_t ticket, qrt_status status, uint16_t leader, uint64_t term,
                            uint64_t index, const uint8_t *data, size_t size); /* ends a proposal made at this node */
/* Decides those bytes in an instance or transaction; outcome: 0, or of a transaction 1 commit, 2 abort. */
QRT_API void qrt_ctx_decide(qrt_ctx *x, uint64_t instance, uint64_t ballot, uint8_t outcome, const uint8_t *data,
                            size_t size);
/* An event of the trace for a checker or for people, of a kind that protocols emit (term to caught-up, note, ballot,
 * decide, state; within start also start, which says what came back). Role (peer: who leads), term and commit also set
 * what qrt_cluster_status and conditions see of the node. */
QRT_API void qrt_ctx_note(qrt_ctx *x, uint8_t kind, uint8_t detail, uint16_t peer, uint64_t term, uint64_t index,
                          uint64_t link, uint64_t value);
QRT_API uint64_t qrt_ctx_random(qrt_ctx *x); /* 64 bits of the node's own stream */
QRT_API int64_t qrt_ctx_mono(qrt_ctx *x);    /* the node's clocks, ns: this one never jumps */
QRT_API int64_t qrt_ctx_wall(qrt_ctx *x);
QRT_API void qrt_ctx_raise(qrt_ctx *x, const char *text); /* the node's code failed: it crashes, and reports the text */
QRT_API uint64_t qrt_hash(const uint8_t *data, size_t size); /* as events hold hashes of proposed and decided bytes */

/* Called on the thread that runs the cluster, and only there; calling the cluster from a callback is refused. Nodes
 * must be deterministic: the same calls, the same effects. node: the number that create gave. */
typedef struct qrt_script {
    const char *name;
    const char *judged_by;   /* checkers that judge it, separated by spaces; NULL: "consensus" */
    const char *fault_model; /* NULL, or JSON with fields as in qrt_protocols: what it promises to stand */
    void *context;           /* handed to every callback */
    /* A new node; its number, 0 when it cannot be made. peers: the other members. */
    uint64_t (*create)(void *context, uint16_t id, const uint16_t *peers, size_t count);
    void (*destroy)(void *context, uint64_t node);
    void (*save)(void *context, uint64_t node, qrt_reply *reply); /* its whole state as deterministic bytes */
    void (*load)(void *context, uint64_t node, const uint8_t *state, size_t size, qrt_reply *reply);
    void (*describe)(void *context, uint64_t node, qrt_reply *reply); /* its state as a line for people */
    /* how: qrt_start. stored: what was persisted last and came back, NULL when nothing did. */
    void (*start)(void *context, uint64_t node, qrt_ctx *x, uint8_t how, const uint8_t *stored, size_t size);
    void (*message)(void *context, uint64_t node, qrt_ctx *x, uint16_t from, const uint8_t *data, size_t size);
    void (*timer)(void *context, uint64_t node, qrt_ctx *x, const char *name);
    void (*propose)(void *context, uint64_t node, qrt_ctx *x, uint64_t ticket, const uint8_t *value, size_t size);
    /* With the option detector: it begins or ceases to suspect that peer. NULL: the script does not want to know. */
    void (*opinion)(void *context, uint64_t node, qrt_ctx *x, uint16_t peer, bool suspected, double suspicion);
    /* Live clusters: how an interpreter for one node is started. It calls qrt_node_main with the same script, made from
     * the cargo, which it reads from descriptor 7 (/proc/self/fd/7). Both are copied. NULL: simulated clusters only. */
    const char *const *launch; /* program (looked for in PATH) and arguments, ended by NULL */
    const uint8_t *cargo;
    size_t cargo_size;
} qrt_script;

/* In an interpreter that a live cluster has started: this process is a node that runs that script, on this thread, until
 * its owner ends it. Comes back with an exit code when it cannot be one. */
QRT_API int qrt_node_main(const qrt_script *script);
/* There: why the script cannot even be made, for its owner; the process should end then. */
QRT_API void qrt_node_fail(const char *why);
/* There: what the node's code is about to raise, in full, for qrt_cluster_tracebacks of its owner. */
QRT_API void qrt_node_traceback(const char *text);

/* --- Clusters --------------------------------------------------------------------------------- */

typedef struct qrt_cluster qrt_cluster;

typedef struct qrt_option {
    const char *name, *value; /* both text; see qrt_options */
} qrt_option;

/* A cluster of `protocol` ("raft"), formatted and started. machine: NULL, or a state machine of the caller's own, whose
 * callbacks and context must outlive the cluster (the struct itself is copied). */
QRT_API qrt_status qrt_cluster_new(qrt_cluster **out, const char *protocol, const qrt_option *options, size_t count,
                                   const qrt_machine *machine);
/* The same of a protocol of the caller's own, whose callbacks and context must outlive the cluster (the struct itself is
 * copied). Live, each node is an interpreter of its own (transport ipc or tcp), started as `launch` says. */
QRT_API qrt_status qrt_cluster_new_script(qrt_cluster **out, const qrt_script *script, const qrt_option *options,
                                          size_t count);
QRT_API void qrt_cluster_free(qrt_cluster **c);
/* An independent copy of the whole running cluster, as it is between two events. Simulated clusters only. */
QRT_API qrt_status qrt_cluster_fork(qrt_cluster *c, qrt_cluster **out);

/* ns since the run began: virtual when simulated, real when live. */
QRT_API qrt_status qrt_cluster_now(qrt_cluster *c, int64_t *now_ns);
/* Runs until that time (absolute), or until the condition holds (NULL: none):
 *   "leader", "leader != 3", "commit >= 10", "applied >= 10", "term >= 4", "events >= 1000", "idle", "ticket 7"
 * QRT_MORE: call again with the same arguments. QRT_ETIMEOUT: the time came first; the error says why it may be. */
QRT_API qrt_status qrt_cluster_run(qrt_cluster *c, int64_t until_ns, const char *condition);
/* Carries out `count` events (simulated), fewer when nothing is left to do. How many, or a qrt_status, which is negative. */
QRT_API int64_t qrt_cluster_step(qrt_cluster *c, int64_t count);
/* The present leader's id. QRT_ENOLEADER, with the reason, when there is none. */
QRT_API qrt_status qrt_cluster_leader(qrt_cluster *c, uint16_t *node);
QRT_API qrt_status qrt_cluster_size(qrt_cluster *c, uint16_t *nodes);

/* Everything below that says JSON returns text owned by the handle until its next call, NULL on error.
 * status: {"protocol","runtime","now","leader","reason","nodes":[{"node","up","paused","role","term","leader","first",
 *          "last","commit","applied","sent","received","rejected","persisted","bytes_sent","suspects",
 *          "why_down"}],"counts":{..},"options":{..}}
 *          A node that is a process has "pid", "refused" (strangers), "shut" (connections that made it hold too much),
 *          "unaccepted" (the system had no descriptor), "memory" and "memory_budget" (bytes) too; where there are any:
 *          "metrics_port", and "capture": {"bytes", "lost" (inputs), "why"}.
 * inspect: the protocol's own fields of one node: {"name": "value", ..} */
QRT_API const char *qrt_cluster_status(qrt_cluster *c);
QRT_API const char *qrt_cluster_inspect(qrt_cluster *c, uint16_t node);
/* What the nodes of a live cluster of scripts raised, in full: ["...", ..]. Of a simulated one the caller has it. */
QRT_API const char *qrt_cluster_tracebacks(qrt_cluster *c);
/* Pure state, without absolute time: equal for a fork and its parent as long as both have done the same. */
QRT_API qrt_status qrt_cluster_fingerprint(qrt_cluster *c, uint64_t *fingerprint);

/* --- Proposals and operations --------------------------------------------------------------------- */

/* How a proposal or operation stands or ended. */
typedef struct qrt_result {
    qrt_status status; /* QRT_OK; QRT_ECAS, QRT_ENOTFOUND: executed, with that answer; QRT_EFAILED and others: not
                            executed; QRT_EUNKNOWN: may have been */
    uint16_t node;     /* who proposed it (or the client); by hand: who answered */
    uint16_t leader;
    uint64_t term, index;
    int64_t latency_ns;
    const uint8_t *data; /* the machine's answer; lives until the handle's next call */
    size_t size;
} qrt_result;

/* Proposes bytes (copied) at a node; 0: at the leader, as soon as there is one. The ticket is awaited below. */
QRT_API qrt_status qrt_cluster_propose(qrt_cluster *c, uint16_t node, const uint8_t *data, size_t size,
                                       uint64_t *ticket);
/* Asks a node (0: any that is up) to have a leader elected, of protocols that elect: timestamp, bully, ring. The result's
 * leader and term (epoch) say whom. QRT_EUNSUPPORTED from others. */
QRT_API qrt_status qrt_cluster_elect(qrt_cluster *c, uint16_t node, uint64_t *ticket);
/* `count` values in one crossing: data is their concatenation, sizes their lengths; tickets are first .. first+count-1. */
QRT_API qrt_status qrt_cluster_propose_many(qrt_cluster *c, uint16_t node, const uint8_t *data, const uint32_t *sizes,
                                            size_t count, uint64_t *first);
/* Runs until the ticket has ended or the time has come. QRT_MORE: call again. QRT_OK: *result says how it ended, which
 * may be an error of its own; then qrt_last_error has the sentence for result->status. At the deadline the result is
 * QRT_ENOLEADER (never proposed, with the reason) or QRT_EUNKNOWN. */
QRT_API qrt_status qrt_cluster_await(qrt_cluster *c, uint64_t ticket, int64_t until_ns, qrt_result *result);
/* How it stands now, without running: QRT_MORE while it has not ended. */
QRT_API qrt_status qrt_cluster_result(qrt_cluster *c, uint64_t ticket, qrt_result *result);

/* --- Transactions: protocols of atomic commit ----------------------------------------------------- */

typedef struct qrt_participant {
    uint16_t node;
    uint8_t vote;        /* qrt_vote: what it will vote */
    const uint8_t *work; /* what it is to do; any bytes */
    size_t size;
} qrt_participant;

/* Begins a transaction (all is copied) at `coordinator`; 0: at the first participant. The ticket's answer is "commit" or
 * "abort", its index the transaction. QRT_ENOTFOUND, QRT_EDOWN: a participant is unknown, or not up. */
QRT_API qrt_status qrt_cluster_transact(qrt_cluster *c, uint16_t coordinator, const qrt_participant *participants,
                                        size_t count, uint64_t *ticket);
/* Runs until it is answered or the time has come; when its coordinator dies first, on until every participant that is up has decided.
 * QRT_MORE: call again. The report says how it stands. */
QRT_API qrt_status qrt_cluster_transaction_await(qrt_cluster *c, uint64_t ticket, int64_t until_ns);
/* {"index","coordinator","outcome":"commit"|"abort"|"unknown","why","latency","participants":[{"node","vote","state"}],
 *  "blocked":[{"transaction","name","node","waits_for","since","seconds","lasts"}]}; JSON, as above. */
QRT_API const char *qrt_cluster_transaction(qrt_cluster *c, uint64_t ticket);

/* of the built-in machines; crosses wire and disk */
typedef enum qrt_operation {
    QRT_GET = 1,
    QRT_PUT = 2,
    QRT_DELETE = 3,
    QRT_APPEND = 4,
    QRT_CAS = 5,
    QRT_SCAN =
        6, /* key: lower bound, expected: upper bound, value: limit in decimal; answer: u32 size, bytes, repeated */
    QRT_READ = 7,
    QRT_WRITE = 8,
    QRT_ADD = 9,
    QRT_ACQUIRE = 10,
    QRT_RELEASE = 11,
} qrt_operation;

typedef struct qrt_command {
    uint8_t operation;                     /* qrt_operation */
    const uint8_t *key, *value, *expected; /* expected NULL: must be absent (cas) */
    size_t key_size, value_size, expected_size;
} qrt_command;

/* A client of the cluster: its own id, links and session. One operation at a time. */
QRT_API qrt_status qrt_client_new(qrt_cluster *c, uint16_t *client);
QRT_API qrt_status qrt_client_submit(qrt_cluster *c, uint16_t client, const qrt_command *command, uint64_t *ticket);
/* A user's own machine: command bytes, through the log (read false) or as a linearizable query (read true). */
QRT_API qrt_status qrt_client_submit_raw(qrt_cluster *c, uint16_t client, bool read, const uint8_t *data, size_t size,
                                         uint64_t *ticket);

/* Starts the clients of a workload (JSON; see docs) beside what runs; "idle" is the condition that they are done. */
QRT_API qrt_status qrt_cluster_load(qrt_cluster *c, const char *workload_json);
QRT_API qrt_status qrt_cluster_load_stop(qrt_cluster *c);
/* {"clients","operations","ok","failed","unknown","latency":{"p50","p99","p999","max"},"by_operation":{..}} */
QRT_API const char *qrt_cluster_load_report(qrt_cluster *c);

/* --- Faults ------------------------------------------------------------------------------------- */

/* One directive now: {"do": "crash", "node": 3, "disk": "unsynced"}; see docs for every verb. */
QRT_API qrt_status qrt_cluster_fault(qrt_cluster *c, const char *directive_json);
/* A plan, its times counted from now: {"directives": [{"at": 1.5, "do": ...}, ...]}. */
QRT_API qrt_status qrt_cluster_plan(qrt_cluster *c, const char *plan_json);
/* Whether a file that a user named can be read whole: QRT_EIO says why not (a pipe would block, a device might never end, more
 * than 1 GiB is no plan, run, history or script). */
QRT_API qrt_status qrt_file_check(const char *path);
/* Parses and prints it again in canonical form (thread-local text; NULL: qrt_last_error(NULL)). */
QRT_API const char *qrt_plan_canonical(const char *plan_json, uint16_t nodes);
/* A plan drawn from a seed for a cluster of that protocol and size over that time, inside the protocol's fault model as its
 * options stand by default. */
QRT_API const char *qrt_plan_draw(const char *protocol, uint16_t nodes, uint64_t seed, int64_t duration_ns);

/* --- Verdicts ------------------------------------------------------------------------------------- */

/* Checks everything up to now: the properties of every step and every client history, within a budget of seconds
 * of the processor's time (0: 60) and bytes (0: 256 MiB). QRT_MORE: call again. */
QRT_API qrt_status qrt_cluster_check(qrt_cluster *c, double seconds, size_t memory);
/* Of the last complete check: {"verdict","hash","events","time","properties":[{"name","says","verdict","text","event",
 * "time","node"}],"consistency":{"share","first_inconsistent"},"consensus":{"at"},"history":{..},"counts":{..}}; atomic
 * commit: "transactions":{"begun","committed","aborted","undecided","times_blocked","blocked":[as of a transaction]} */
QRT_API const char *qrt_cluster_report(qrt_cluster *c);

/* --- The trace, read as columns -------------------------------------------------------------------- */

typedef struct qrt_trace qrt_trace; /* an immutable snapshot */

typedef struct qrt_columns {
    size_t count;
    uint64_t first; /* number of the first event that is kept */
    const int64_t *time;
    const uint16_t *node, *group, *peer;
    const uint8_t *kind, *detail;
    const uint64_t *term, *index, *link, *value;
} qrt_columns;

QRT_API qrt_status qrt_cluster_hash(qrt_cluster *c, uint64_t *hash, uint64_t *events);
QRT_API qrt_status qrt_cluster_trace(qrt_cluster *c, qrt_trace **out);
QRT_API void qrt_trace_free(qrt_trace **t);
QRT_API const qrt_columns *qrt_trace_columns(const qrt_trace *t);                    /* lives as long as t */
QRT_API size_t qrt_trace_line(const qrt_trace *t, size_t i, char *out, size_t size); /* one event for people */
/* A space-time diagram (SVG text, owned by t until the next such call) of at most 300 events around what matters: the
 * event of that number, or, with UINT64_MAX, the first violation, else the last election. */
QRT_API const char *qrt_trace_svg(qrt_trace *t, uint64_t around);
/* The same of every event from number `first` to `last`, at most 300. */
QRT_API const char *qrt_trace_svg_between(qrt_trace *t, uint64_t first, uint64_t last);
/* The ballots whose value was asked for or accepted, in the order in which they were first heard of (JSON, owned by t until
 * the next such call): [{"group","instance","ballot","round","node","value","quorum","time"}]. node: the proposer; value: the
 * hash of its bytes (hexadecimal); quorum: the acceptors that accepted it, ascending; time: seconds until enough of them had
 * done so for the value to be chosen, null when they never were. Needs the whole trace recorded. */
QRT_API const char *qrt_trace_ballots(qrt_trace *t);

/* --- Nodes started by hand ----------------------------------------------------------------------------- */

/* A cluster whose nodes run elsewhere, each started by hand (quorate-node run), as a client of it. file: the cluster file;
 * key: the file of the client's secret key, NULL where the cluster has no keys. Then everything of a live cluster that a
 * client can do: leader, status, inspect, propose, clients, loads, conditions, faults; an operation that the key has no right
 * to ends with QRT_EDENIED. Its trace holds the client's own events alone. */
QRT_API qrt_status qrt_connect(qrt_cluster **out, const char *file, const char *key);
/* One question to one node, and its answer, JSON: {"ask": "status"}: {"node"}; {"ask": "trace", "last": 50}: {"events"};
 * {"ask": "stop"}: the node ends once all is on its disk. */
QRT_API const char *qrt_node_ask(qrt_cluster *c, uint16_t node, const char *question_json);
/* Makes keys for the nodes and clients of the file that have none, or new ones for `name` ("n2" is node 2; NULL: nobody).
 * Secrets go to keys/NAME.key beside the file, public keys into it. [{"name","public","file"}]; thread-local. */
QRT_API const char *qrt_keygen(const char *file, const char *name);
QRT_API const char *qrt_node_program(void); /* the path of quorate-node; NULL: it is not there. thread-local */

/* --- Histories -------------------------------------------------------------------------------------- */

typedef struct qrt_history qrt_history;

QRT_API qrt_status qrt_cluster_history(qrt_cluster *c, qrt_history **out); /* a snapshot of what its clients saw */
/* Format recognised: etcd's Jepsen log, EDN, JSON. Errors name line and column. */
QRT_API qrt_status qrt_history_parse(qrt_history **out, const char *text, size_t size);
QRT_API void qrt_history_free(qrt_history **h);
QRT_API size_t qrt_history_count(const qrt_history *h);
QRT_API const char *qrt_history_print(qrt_history *h, const char *format); /* "edn" or "json" */
/* Linearizability. model: "cas-register", "append-kv", "kv", "counter", "lock"; initial: NULL for nil. QRT_MORE: again. */
QRT_API qrt_status qrt_history_check(qrt_history *h, const char *model, const char *initial, double seconds,
                                     size_t memory);
/* {"verdict","seconds","prefix","bad","explanation","key","partitions","states"} */
QRT_API const char *qrt_history_report(qrt_history *h);

/* --- Campaigns --------------------------------------------------------------------------------------- */

typedef struct qrt_campaign qrt_campaign;

/* spec: {"protocol": "raft", "seeds": 1000, "first": 1, "nodes": 0, "bug": "", "plan": {..}, "jobs": 0, "outside": false,
 * "damage": false, "events": 10000}; nodes 0: drawn from 3 to 7; jobs 0: all cores. */
QRT_API qrt_status qrt_campaign_new(qrt_campaign **out, const char *spec_json);
QRT_API void qrt_campaign_free(qrt_campaign **c);
/* QRT_MORE until every seed has run. done and total may be NULL. */
QRT_API qrt_status qrt_campaign_run(qrt_campaign *c, uint64_t *done, uint64_t *total);
/* {"seeds","violations":[{"seed","properties","time","run":{..}}],"stuck":[..],"properties":{name: violations},
 *  "sometimes":{name: seeds},"events","seconds","hash"} */
QRT_API const char *qrt_campaign_report(qrt_campaign *c);

typedef struct qrt_campaign_row {                  /* one seed */
    uint64_t seed, hash, events, faults, violated; /* violated: bit per property of the report */
    double seconds;
    uint16_t nodes, clients;
    uint8_t verdict; /* 0 ok, 1 violated, 2 unknown, 3 stuck */
} qrt_campaign_row;
QRT_API const qrt_campaign_row *qrt_campaign_rows(const qrt_campaign *c, size_t *count); /* in seed order */

/* Runs what a failing run's file says (versions, options, profile, workload, plan, seed, hash), to the end, and leaves
 * the cluster there for inspection. QRT_MORE: call qrt_cluster_replay_run again. */
QRT_API qrt_status qrt_cluster_replay(qrt_cluster **out, const char *run_json);
QRT_API qrt_status qrt_cluster_replay_run(qrt_cluster *c);
/* One seed of a campaign over a script, as its spec (without jobs) draws it: the cluster, which qrt_cluster_replay_run
 * takes to its end. record: keep the trace. */
QRT_API qrt_status qrt_cluster_seed(qrt_cluster **out, const qrt_script *script, const char *spec_json, uint64_t seed,
                                    bool record);
/* How a replay or a seed ended (thread-local text): {"verdict","violated":[names],"properties":[names],"text","time",
 * "events","faults","nodes","hash"} */
QRT_API const char *qrt_cluster_seed_report(qrt_cluster *c);
/* Makes a failing run small: drops directives of its plan, then shortens and plainens what is left, as long as the run fails
 * in the same way (delta debugging; Zeller and Hildebrandt 2002). c: a replay that is at its end, and stays as it is.
 * QRT_MORE: call it again. tries, directives: runs so far, and how many directives are left; both may be NULL. */
QRT_API qrt_status qrt_cluster_shrink(qrt_cluster *c, uint64_t *tries, uint64_t *directives);
/* The smallest run so far as the text of a file: what qrt_cluster_replay takes. It has one more field, "shrunk": {"from",
 * "to","tries"}. Thread-local; NULL before the first qrt_cluster_shrink. */
QRT_API const char *qrt_cluster_shrunk(qrt_cluster *c);
/* The file's text for a campaign seed: what qrt_cluster_replay takes. thread-local. */
QRT_API const char *qrt_campaign_run_file(const char *spec_json, uint64_t seed);

/* --- Captures ------------------------------------------------------------------------------------------ */

/* A cluster with the option `capture` writes every input of every node into that folder. A replay feeds them to the nodes'
 * hosts again, without sockets, and compares what each step did. */
typedef struct qrt_replay qrt_replay;

/* bug: NULL, as it was captured; else the mistake to switch on for the replay ("": none). */
QRT_API qrt_status qrt_replay_new(qrt_replay **out, const char *folder, const char *bug);
QRT_API void qrt_replay_free(qrt_replay **r);
/* How many of the last events its trace keeps: 20,000 where nobody says. Before the first qrt_replay_run. */
QRT_API qrt_status qrt_replay_record(qrt_replay *r, uint64_t events);
/* QRT_MORE until it is done. */
QRT_API qrt_status qrt_replay_run(qrt_replay *r);
/* What the nodes did, as far as it is judged, in the order of the replay: a step that differs is the last. Yours to free. */
QRT_API qrt_status qrt_replay_trace(qrt_replay *r, qrt_trace **out);
/* {"verdict": "ok"|"violated"|"unknown"|"differs", "protocol", "steps", "matched", "uncompared" (cut short by a kill, or
 *  behind a gap or difference), "gaps", "differs": null or {"node", "incarnation", "step", "time", "input", "recorded":
 *  {"state", "events", "died"}, "replayed": {..}}: the first step that does, "nodes": [{"node", "bytes", "gaps", "version",
 *  "incarnations": [{"incarnation", "time", "steps", "matched", "uncompared", "unfinished", "unrecovered", "differs"}]}],
 *  "notes": [{"node", "text"}], "events", "hash" (of the replay's merged trace), "judged_until": null or s, "properties":
 *  [{"name", "says", "verdict", "text", "node"}], "history": null or {"of": "clients"|"nodes", "operations", "ok", "failed",
 *  "unknown", "whole"}: what clients were told, by their own capture or by the nodes', judged as linearizability, "text": all of it in words}. It lives until the next call with r. */
QRT_API const char *qrt_replay_report(qrt_replay *r);

/* --- Comparing protocols ----------------------------------------------------------------------------- */

/* What a protocol costs: JSON in {"protocol", "nodes": 5, "seed": 1, "clients": 4, "operations": 400, "plan": {..},
 * "options": {name: text}}, only protocol required. One run of that load under that plan:
 *   operations, ok, failed, unknown, p50, p99, unavailable (s: the longest time in which no operation succeeded), messages
 *   between nodes, bytes, writes (records), syncs, verdict, hash, and ratios "x/(x+y)" .. "x/(x+v)", where x counts messages
 *   with the coordinator (whoever leads, else who was proposed to last), y those among the others, z and w the steps of
 *   the coordinator and of the others, u and v their writes
 * and one probe of single proposals without faults, where every message takes one delay and disks none:
 *   proposal: {messages, delays, writes}, each a proposal, without what goes on anyway.
 * NULL: see qrt_last_error(NULL). thread-local. */
QRT_API const char *qrt_compare(const char *spec_json);

/* --- Benchmarks -------------------------------------------------------------------------------------- */

typedef struct qrt_bench qrt_bench;
/* name: a group (sim, paxos, store, checkpoint, live, large, place, detect), or one result's. */
QRT_API qrt_status qrt_bench_new(qrt_bench **out, const char *name);
QRT_API void qrt_bench_free(qrt_bench **b);
/* One measurement a call; QRT_MORE until all are made. A SIGINT that the program handles cuts it short within a second, with
 * QRT_MORE, and is then handled as ever; the next call would make the measurement anew. */
QRT_API qrt_status qrt_bench_run(qrt_bench *b);
/* {"results": [{"name","value","unit","baseline","ratio","note"}]} */
QRT_API const char *qrt_bench_report(qrt_bench *b);

/* --- Placement --------------------------------------------------------------------------------------- */

/* Consistent hashing with virtual nodes, on no cluster. Options (names and values as text): dialect (xxh3, md5-index,
 * libmemcached, libmemcached-unweighted, libketama, spymemcached), rule (clockwise, nearest), vnodes, bits, bug.
 * A node is known by its slot, a small number that is its own until it is removed. */
typedef struct qrt_ring qrt_ring;

typedef struct qrt_ring_balance {
    double sigma_over_mu; /* standard deviation over mean of the loads; a load is a share over the fair share */
    double least, most;   /* loads; 1 is fair */
} qrt_ring_balance;

typedef struct qrt_ring_move { /* keys at positions first..last leave one node for another */
    uint64_t first, last;
    uint32_t from, to; /* a slot of the ring before, a slot of the ring after */
} qrt_ring_move;

QRT_API qrt_status qrt_ring_new(qrt_ring **out, const qrt_option *options, size_t count);
QRT_API void qrt_ring_free(qrt_ring **r);
QRT_API qrt_status qrt_ring_clone(qrt_ring *r, qrt_ring **out);
QRT_API const char *qrt_ring_options(void); /* JSON as of qrt_options; thread-local */
/* Adds all `count` nodes or, when one is refused, none. weights (NULL: all 1), zones (NULL: none; "" none). */
QRT_API qrt_status qrt_ring_add(qrt_ring *r, const char *const *nodes, const double *weights, const char *const *zones,
                                size_t count);
QRT_API qrt_status qrt_ring_remove(qrt_ring *r, const char *node);
QRT_API uint32_t qrt_ring_slots(const qrt_ring *r);                  /* slots are below this */
QRT_API const char *qrt_ring_node(const qrt_ring *r, uint32_t slot); /* NULL: a free slot; until it is removed */
QRT_API double qrt_ring_weight(const qrt_ring *r, uint32_t slot);    /* 0: a free slot */
/* A text key's position is its hash in the dialect; a number's is that of its 8 bytes (xxh3) or its decimal text. */
QRT_API qrt_status qrt_ring_lookup(qrt_ring *r, const uint8_t *key, size_t size, uint32_t *slot, uint64_t *position);
QRT_API qrt_status qrt_ring_lookup_many(qrt_ring *r, const uint64_t *keys, size_t count, uint32_t *slots);
/* Key i is the bytes from offsets[i] to offsets[i + 1] of text: count + 1 offsets. */
QRT_API qrt_status qrt_ring_lookup_texts(qrt_ring *r, const uint8_t *text, const int64_t *offsets, size_t count,
                                         uint32_t *slots);
/* The first `count` distinct nodes on the way from a key, in distinct zones while there are any. */
QRT_API qrt_status qrt_ring_replicas(qrt_ring *r, const uint8_t *key, size_t size, uint32_t count, uint32_t *slots);
/* Exact, from the arcs. shares, one a slot, may be NULL. */
QRT_API qrt_status qrt_ring_measure(qrt_ring *r, double *shares, qrt_ring_balance *balance);
/* What changes hands: *moves belongs to `after` until its next qrt_ring_moves. */
QRT_API qrt_status qrt_ring_moves(qrt_ring *before, qrt_ring *after, const qrt_ring_move **moves, size_t *count);
/* Equal for rings that place every key alike, in whatever order their nodes came. */
QRT_API qrt_status qrt_ring_fingerprint(qrt_ring *r, uint64_t *fingerprint);
QRT_API const char *qrt_ring_svg(qrt_ring *r); /* a picture; until the next call */

/* Jump hash: numbered buckets. */
QRT_API qrt_status qrt_jump_many(const uint64_t *keys, size_t count, uint32_t buckets, uint32_t *out);
/* Maglev's table of `size` entries (a prime) from the backends' offsets and skips, or from their names. */
QRT_API qrt_status qrt_maglev_fill(const uint32_t *offsets, const uint32_t *skips, size_t count, uint32_t *table,
                                   uint32_t size);
QRT_API qrt_status qrt_maglev_names(const char *const *names, size_t count, uint32_t *table, uint32_t size);
/* Rendezvous: the index of the winning node for each key. weights may be NULL. */
QRT_API qrt_status qrt_rendezvous_many(const char *const *names, const double *weights, size_t count,
                                       const uint64_t *keys, size_t key_count, uint32_t *out);

/* --- Quorum rules -------------------------------------------------------------------------------------- */

enum { QRT_QUORUM_READS_MEET = 1, QRT_QUORUM_WRITES_MEET = 2 };

typedef struct qrt_quorum {
    uint16_t nodes, read, write; /* nodes in the smallest quorums */
    uint16_t crashes, liars;     /* how many of any it stands */
    char text[256];              /* the same as a sentence */
} qrt_quorum;

/* rule: majority, two-thirds (byzantine), all, weighted:3,1,1, flexible:2,4, grid:2x3. Refused, with the reason, when
 * quorums that must meet (a read and a write one always; more by `needs`) need not. */
QRT_API qrt_status qrt_quorum_rule(const char *rule, uint32_t nodes, uint32_t needs, qrt_quorum *out);
/* Does the set (members[i] not 0: node i, from 0) hold a read (phase 0) or a write (phase 1) quorum? */
QRT_API qrt_status qrt_quorum_met(const char *rule, uint32_t nodes, int phase, const uint8_t *members, bool *met);

/* --- Failure detectors ----------------------------------------------------------------------------------- */

/* On a user's own arrival times, without a cluster. Kinds: timeout, polling, phi, phi-exponential, nfd-s, nfd-e,
 * bertier, threshold (and mixture, made by qrt_detector_of_mixture). */
typedef struct qrt_detector qrt_detector;
typedef struct qrt_mixture qrt_mixture;
typedef struct qrt_meter qrt_meter;

enum { QRT_DETECTOR_KINDS = 9 };
/* Seconds to nanoseconds, rounded; NaN and infinity are refused, naming the first. */
QRT_API qrt_status qrt_seconds_to_ns(const double *seconds, size_t count, int64_t *ns);

QRT_API const char *qrt_detector_kind(uint32_t i); /* NULL past the last */
QRT_API const char *
qrt_detector_options(const char *kind); /* JSON as of qrt_options; NULL: qrt_last_error(NULL); thread-local */
QRT_API qrt_status qrt_detector_new(qrt_detector **out, const char *kind, const qrt_option *options, size_t count);
QRT_API qrt_status qrt_detector_of_mixture(qrt_detector **out, qrt_mixture *m, double threshold); /* m is copied */
QRT_API void qrt_detector_free(qrt_detector **d);
QRT_API qrt_status qrt_detector_clone(qrt_detector *d, qrt_detector **out);
/* An arrival. value: the number of a heartbeat (nfd-s, nfd-e, bertier; NaN: the next), the sample of a threshold. */
QRT_API qrt_status qrt_detector_observe(qrt_detector *d, int64_t time_ns, double value);
QRT_API qrt_status qrt_detector_observe_vector(qrt_detector *d, int64_t time_ns, const double *sample, size_t size);
/* values, suspicions and suspected may be NULL; the latter two receive the opinion just before each arrival (threshold:
 * of the sample). *done arrivals were taken. */
QRT_API qrt_status qrt_detector_observe_many(qrt_detector *d, const int64_t *times_ns, const double *values,
                                             size_t count, double *suspicions, uint8_t *suspected, size_t *done);
QRT_API qrt_status qrt_detector_ping(qrt_detector *d, int64_t time_ns); /* polling: a ping leaves */
QRT_API qrt_status qrt_detector_set_parameter(qrt_detector *d, double parameter);
/* The opinion at a time; a pure function. suspicion, suspected may be NULL. */
QRT_API qrt_status qrt_detector_evaluate(qrt_detector *d, int64_t now_ns, double *suspicion, bool *suspected);
QRT_API qrt_status qrt_detector_evaluate_many(qrt_detector *d, const int64_t *times_ns, size_t count,
                                              double *suspicions, uint8_t *suspected);
/* As evaluate, but a phi-exponential detector notices when it was not asked for long: its own node stood still. */
QRT_API qrt_status qrt_detector_poll(qrt_detector *d, int64_t now_ns, bool *suspected);
QRT_API qrt_status qrt_detector_deadline(qrt_detector *d, int64_t *deadline_ns); /* INT64_MAX: none */
/* phi, phi-exponential: of the intervals in the window, ns. */
QRT_API qrt_status qrt_detector_window(qrt_detector *d, size_t *count, double *mean_ns, double *variance_ns2);
QRT_API qrt_status qrt_detector_fingerprint(qrt_detector *d, int64_t now_ns, uint64_t *fingerprint);
QRT_API qrt_status qrt_detector_save(qrt_detector *d, const uint8_t **data, size_t *size); /* until the next call */
QRT_API qrt_status qrt_detector_load(qrt_detector **out, const uint8_t *data, size_t size);
QRT_API double qrt_phi_normal(double elapsed, double mean, double deviation);
QRT_API double qrt_phi_exponential(double elapsed, double mean);

typedef struct qrt_mixture_info {
    uint32_t components, dimensions, iterations;
    bool diagonal, fitted, converged;
    double log_likelihood; /* mean a sample, of the last expectation step */
    /* of the mixture, until its next fit or set: k; k x d; k x d x d (or k x d) */
    const double *weights, *means, *covariances;
} qrt_mixture_info;

QRT_API qrt_status qrt_mixture_new(qrt_mixture **out, uint32_t components, uint32_t dimensions, bool diagonal);
QRT_API void qrt_mixture_free(qrt_mixture **m);
QRT_API qrt_status qrt_mixture_set(qrt_mixture *m, const double *weights, const double *means,
                                   const double *covariances);
/* Samples are rows of `dimensions` numbers. Starts from k-means, or from the parameters if there are any. */
QRT_API qrt_status qrt_mixture_fit(qrt_mixture *m, const double *samples, size_t count, double regularisation,
                                   double tolerance, uint32_t iterations_max, uint64_t seed);
QRT_API qrt_status qrt_mixture_info_get(qrt_mixture *m, qrt_mixture_info *info);
QRT_API qrt_status qrt_mixture_score(qrt_mixture *m, const double *samples, size_t count, double *scores);
QRT_API qrt_status qrt_mixture_label(qrt_mixture *m, uint32_t component, bool failed);
/* Labels by samples known to be failed (not 0) or sound. */
QRT_API qrt_status qrt_mixture_label_by(qrt_mixture *m, const double *samples, const uint8_t *failed, size_t count);
QRT_API qrt_status qrt_mixture_failed(qrt_mixture *m, uint8_t *failed); /* one a component */
QRT_API qrt_status qrt_mixture_failure(qrt_mixture *m, const double *samples, size_t count, double *probabilities);

typedef struct qrt_quality {                                /* seconds; NaN: not defined, too few mistakes */
    double detection, recurrence, duration, accuracy, rate; /* T_D, T_MR, T_M, P_A, lambda_M */
    uint64_t mistakes;
    bool detected;
} qrt_quality;

/* Trusts from begin_ns on; crash_ns INT64_MAX: the peer never fails. */
QRT_API qrt_status qrt_meter_new(qrt_meter **out, int64_t begin_ns, int64_t crash_ns);
QRT_API void qrt_meter_free(qrt_meter **m);
QRT_API qrt_status qrt_meter_opinion(qrt_meter *m, int64_t time_ns, bool suspected); /* of any detector, in order */
/* Feeds arrivals to a detector and all its changes of opinion, exactly, to the meter. */
QRT_API qrt_status qrt_meter_run(qrt_meter *m, qrt_detector *d, const int64_t *times_ns, const double *values,
                                 size_t count);
QRT_API qrt_status qrt_meter_finish(qrt_meter *m, qrt_detector *d, int64_t end_ns); /* its silence until the end */
QRT_API qrt_status qrt_meter_read(qrt_meter *m, int64_t end_ns, qrt_quality *out);
/* What NFD-S attains with losses and exponential delays (Chen, Toueg and Aguilera, theorem 5). */
QRT_API qrt_status qrt_nfd_quality(double interval, double shift, double loss, double delay_mean, qrt_quality *out);

/* qrt:declarations end */

#ifdef __cplusplus
}
#endif

#endif
