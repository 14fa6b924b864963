/* What a node's process and its owner share: a piece of memory without a name, and letters over a socket.
 *
 * The memory outlives the process, so what the process has written of its trace is there whatever killed it. The owner
 * writes the configuration before the process begins, and journal, view and clock while none runs; else they are the
 * process's. Both sides are one build: the node refuses memory that another version has laid out. */
#ifndef RUNTIME_LIVE_SHARE_H
#define RUNTIME_LIVE_SHARE_H

#include "runtime/live/live.h"

#define SHARE_MAGIC UINT64_C(0x3145444f4e545251)
#define SHARE_OPTIONS_MAX 4096 /* of a protocol's options */
#define NODE_PROGRAM "quorate-node"
#define TRACEBACK_MAX 16384

struct share {
    uint64_t magic, size;
    char version[32];
    /* configuration */
    int32_t owner; /* its process */
    uint16_t node;
    uint8_t start; /* qrt_start of the first incarnation */
    int64_t epoch;
    uint64_t bugs;
    struct cluster_options options;
    char protocol[64];
    uint32_t protocol_options_size;
    _Alignas(16) uint8_t protocol_options[SHARE_OPTIONS_MAX];
    struct watch_config watch;
    struct quorum_rule quorum;
    struct gates gates;
    /* lives */
    uint32_t incarnation;
    atomic_bool down[FAULT_NODES_MAX + 1]; /* who is, as far as the owner knows */
    atomic_bool begun;                     /* its start is in the trace */
    atomic_uint_fast64_t sends;            /* of all incarnations: message ids go on behind it */
    bool in_step;                          /* it ended itself, behind that many effects */
    uint64_t effects;
    qrt_status death;
    char death_text[ERROR_TEXT_MAX];
    char traceback[TRACEBACK_MAX]; /* what a script raised, in full */
    struct node_clock clock;
    struct shown shown;
    struct gate gate;
    struct ring ring;
};

/* ---- letters: orders one way, what became of them the other ---- */

enum letter_kind {                       /* beyond enum order_kind */
                   LETTER_DONE = 100,    /* of the order `number`: status, data */
                   LETTER_ANSWER = 101,  /* of a ticket */
                   LETTER_RING = 102,    /* something that run() may wait for has happened */
                   LETTER_CROWDED = 103, /* the ring is half full */
};

struct letter {
    uint32_t size; /* of the data behind it */
    uint8_t kind, detail, guarded;
    uint16_t leader;
    int32_t effect, status;
    int64_t time, offset;
    double drift;
    uint64_t number, ticket, term, index;
};

#define LETTER_MAX (64u << 20)

struct mailbox {
    int fd; /* a stream; -1: none */
    struct buffer in;
    size_t at;
    bool closed; /* by the other side, or by nonsense from it */
};

/* live_process.c: what a node was given, while it runs or not */
const struct share *process_share(const struct live *l, uint16_t node);

/* live_control.c */
/* Waits for room, and wakes that process (0: none) meanwhile; false: nobody is there. */
bool letter_send(int fd, struct letter *head, struct bytes data, pid_t wake);
bool bytes_send(int fd, struct bytes data, pid_t wake); /* the same for letters that stand one behind the other */
/* The next letter that has come whole; data lives until the next call. */
bool letter_next(struct mailbox *m, struct letter *head, struct bytes *data);
void mailbox_free(struct mailbox *m);

/* live_place.c: files, descriptors, programs */
qrt_status place_program(char *path, size_t size, struct error *e);
qrt_status place_folder(struct live *l, struct error *e); /* draws its name; place_make makes it, mode 0700 */
qrt_status place_make(struct live *l, struct error *e);
int place_listen(struct live *l, uint16_t id, struct error *e); /* fills l->gates.endpoints[id]; -1: failed */
int place_high(int fd);                                         /* the same file, out of the way of 0..9; closes fd */
void place_remove(const char *folder);
/* Main functions of the node program; they return its exit code. */
int janitor_main(const char *folder, int owner);
int bare_main(const char *endpoint);        /* live_bare.c: sends back what comes, for quorate bench */
int agent_main(const struct protocol *own); /* own: a script; NULL: the built-in one that the owner names */
int agent_launch(char *const argv[]);       /* becomes the interpreter of a script's node */
/* For an interpreter: why it cannot be a node; what its node raises. */
void agent_fail(const char *why);
void agent_traceback(const char *text);

#endif
