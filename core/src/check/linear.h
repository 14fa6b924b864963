/* Linearizability of a history (Herlihy and Wing 1990), by Wing and Gong's search as improved by Lowe
 * (2017): depth-first over a doubly linked list of calls and returns, with memoised (linearised set, state)
 * pairs, partitioned by key (Horn and Kroening 2015). The search is resumable: it comes back after a slice
 * of work, so that a caller can show progress or give up, and it honours its budget in time and memory
 * exactly: when that is spent the verdict is unknown, with the longest legal prefix found.
 *
 * The first bad event is the first return such that the history up to it is not linearizable, given what the
 * operations that overlap it returned later. */
#ifndef CHECK_LINEAR_H
#define CHECK_LINEAR_H

#include "check/verdict.h"
#include "trace/history.h"

enum linear_model {
    LINEAR_CAS_REGISTER = 1, /* read, write, cas on one register */
    LINEAR_APPEND_KV = 2,    /* get, put, append on keys: partitioned */
    LINEAR_KV = 3,           /* get, put, delete, append, cas on keys: partitioned; absent is a state */
    LINEAR_COUNTER = 4,      /* add, read */
    LINEAR_LOCK = 5,         /* acquire, release on names: partitioned */
};

struct linear_options {
    enum linear_model model;
    struct bytes initial; /* the register's or key's first value; NULL data: nil (absent) */
    double seconds;       /* of the processor's time, for the whole check; <= 0: none */
    size_t memory;        /* bytes for memoised states; 0: 256 MiB */
};

struct linear_result {
    enum verdict verdict;
    size_t bad;         /* violated: first operation whose return no order explains; else SIZE_MAX */
    uint64_t bad_event; /* violated: position of that return among the events; else UINT64_MAX */
    size_t *prefix;     /* the longest legal order found, of the offending (or largest) partition */
    size_t prefix_count;
    struct bytes key;          /* the offending partition's key */
    size_t partitions, states; /* work done */
    double seconds;
    char explanation[512]; /* one or two sentences for people: what was read, what could have been */
};

struct linear; /* a check under way */

/* Keeps what it needs of h (a clone, which shares the text). */
struct linear *linear_new(const struct history *h, const struct linear_options *options);
/* Works for about `slice_ns` of wall time; true when the verdict stands. */
bool linear_step(struct linear *l, int64_t slice_ns);
const struct linear_result *linear_result(const struct linear *l);
void linear_free(struct linear *l);
enum linear_model linear_model_find(const char *name); /* "cas-register", "append-kv", ...; 0 for none */
const char *linear_model_name(enum linear_model model);

#endif
