/* Histories: what clients asked and what they were told, with overlapping operations and unknown outcomes.
 * The input of the linearizability checker, and a file format of its own. */
#ifndef TRACE_HISTORY_H
#define TRACE_HISTORY_H

#include <stdint.h>

#include "base/bytes.h"
#include "base/memory.h"
#include "base/status.h"

enum history_outcome {
    HISTORY_PENDING = 0, /* not answered when the run ended: unknown */
    HISTORY_OK = 1,
    HISTORY_FAILED = 2,  /* certainly not executed: leaves the history */
    HISTORY_UNKNOWN = 3, /* may have taken effect at any time after its invocation, or never */
};

/* What was asked; the same numbers as enum command_operation's, which this layer does not see. */
enum history_function {
    HISTORY_GET = 1,
    HISTORY_PUT = 2,
    HISTORY_DELETE = 3,
    HISTORY_APPEND = 4,
    HISTORY_CAS = 5,
    HISTORY_SCAN = 6,
    HISTORY_READ = 7,
    HISTORY_WRITE = 8,
    HISTORY_ADD = 9,
    HISTORY_ACQUIRE = 10,
    HISTORY_RELEASE = 11,
    HISTORY_PROPOSE = 12,
};

/* One operation. Text is stored in the history's arena; NULL data is nil, different from "". */
struct history_operation {
    uint32_t process; /* client number */
    uint8_t function; /* enum history_function */
    uint8_t outcome;
    int64_t invoke_ns, return_ns;        /* INT64_MAX: open to the end */
    uint64_t invoke_order, return_order; /* positions in the file or run; UINT64_MAX: open */
    struct bytes key;                    /* empty for a plain register */
    struct bytes value;                  /* argument: value put, written, appended, or cas's new value */
    struct bytes expected;               /* cas's expected value */
    struct bytes result;                 /* what a read returned, a failed cas found, an append's length, an add's sum,
                             a token; an empty value has data, nil says that nothing was told or found */
    int32_t status;                      /* qrt_status of the answer */
};

/* Who is told of operations as they enter a history: after each call of history_invoke and history_return. */
struct history_sink {
    void (*invoked)(void *context, size_t number, const struct history_operation *op);
    void (*returned)(void *context, size_t number, const struct history_operation *op, int64_t time_ns);
    void *context;
};

struct history {
    struct history_operation *operations; /* in order of invocation */
    size_t count, capacity;
    uint64_t order; /* next position */
    void *arena;    /* owned text, see history.c */
    struct history_sink sink;
};

void history_init(struct history *h);
void history_free(struct history *h);
/* Shares the text and copies the operations; the two may then grow, and live on two threads, apart. The copy has no sink. */
void history_clone(struct history *to, const struct history *from);
/* Both copy the given bytes. invoke returns the operation's number. */
size_t history_invoke(struct history *h, const struct history_operation *op);
void history_return(struct history *h, size_t number, enum history_outcome outcome, qrt_status status,
                    struct bytes result, int64_t time_ns);
/* Parsers append to h; after an error h is as it was. The format is recognised: etcd's Jepsen log lines, EDN
 * (one map a line, or a vector of maps), JSON (our own export). Errors name line and column. */
qrt_status history_parse(struct history *h, struct bytes text, struct error *e);
/* For Jepsen's tools. Reads back to the same operations; positions and, where the run had none, times are
 * the lines'. */
void history_print_edn(const struct history *h, struct buffer *out);
/* Reads back to exactly the same history. */
void history_print_json(const struct history *h, struct buffer *out);

const char *history_function_name(uint8_t function); /* "get", ...; NULL for none */
uint8_t history_function_find(struct bytes name);    /* 0 for none */

#endif
