/* A client as an actor: an id, links, a clock, a session; deterministic like a protocol. It opens a session, sends one
 * operation at a time, resends to the next node or the hinted leader, and records what it asked and was told in a
 * history. A written value is unique, so that histories tell. A manual client (no workload) sends what it is told. */
#ifndef CLIENT_CLIENT_H
#define CLIENT_CLIENT_H

#include "client/workload.h"
#include "protocol/protocol.h"
#include "trace/history.h"

/* wire: CLIENT_REQUEST.operation */
enum client_operation {
    CLIENT_OPEN = 1,  /* open a session: the reply's data is the u64 session id */
    CLIENT_WRITE = 2, /* a command through the log, exactly once: session, sequence */
    CLIENT_READ = 3,  /* a linearizable read (ReadIndex) */
    CLIENT_STALE = 4, /* a read of whatever the asked node has: not linearizable, not in histories */
    CLIENT_RAW = 5,   /* an opaque proposal */
};

struct client_config {
    uint16_t id; /* QRT_CLIENT + number */
    const uint16_t *nodes;
    uint16_t node_count;
    uint64_t seed;
    const struct workload *workload; /* copied; NULL: manual */
    uint64_t operations;             /* this client's share; 0 with a workload: until stopped */
    int64_t timeout_ns, retry_ns;    /* manual clients; a workload has its own */
    uint64_t first;                  /* requests are numbered from here: others may have had its id before */
};

/* What the runtime passes in with each call; now is the client's own clock. */
struct client_io {
    struct outbox *out;
    struct history *history;
    int64_t now;
};

struct client_result { /* of the last manual operation */
    bool done;
    enum history_outcome outcome;
    qrt_status status; /* QRT_OK, QRT_ECAS, ...; QRT_EUNKNOWN, QRT_EFAILED */
    struct bytes data; /* points into the client until its next operation */
    uint64_t term, index;
    int64_t latency_ns;
    uint16_t last_leader; /* hint seen last; 0 none: for the error's reason */
    bool unsent;          /* it failed, and no request of it ever left */
};

struct client;
struct client *client_new(const struct client_config *config);
void client_free(struct client *c);
struct client *client_clone(const struct client *c);
uint64_t client_fingerprint(const struct client *c);
void client_start(struct client *c, struct client_io *io);
void client_message(struct client *c, struct client_io *io, const struct message *m);
void client_timer(struct client *c, struct client_io *io, uint32_t id);
/* QRT_EBUSY while an operation is under way. deadline_ns on the client's clock. */
qrt_status client_submit(struct client *c, struct client_io *io, uint8_t operation, struct bytes command,
                         int64_t deadline_ns);
/* Right behind the call that sent: the request in its outbox has certainly not left. A runtime that never says so is believed
 * to have sent everything. */
void client_unsent(struct client *c);
/* Whoever asked waits no longer: an operation of which nothing has left fails now, others go on. */
void client_withdraw(struct client *c, struct client_io *io);
const struct client_result *client_result(const struct client *c);
void client_stop(struct client *c);       /* finishes what is under way, begins nothing new */
bool client_idle(const struct client *c); /* nothing under way and nothing left to begin */
/* An answer as histories have it: nil, as opposed to "", where it tells no value. function: enum command_operation. */
struct bytes client_told(uint8_t function, qrt_status status, struct bytes data);
void client_report(const struct client *c, uint64_t *ok, uint64_t *failed, uint64_t *unknown);

#endif
