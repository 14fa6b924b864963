/* The clients' side of a capture: what they asked and were told, record by record as it enters their history, and that history
 * read back. Its segments are as those of nodes, clients-<number>.capture, written by the process that has the clients:
 *
 *   invoke    number u64, process u64, time i64, key, value, expected (u32 length and bytes); flags: the function, what is not nil
 *   return    number u64, status i64, time i64, result to the end; flags: outcome, whether the result is not nil
 *
 * An operation is written before its request is sent, and its return before the client goes on. So what a killed process had
 * written lacks no operation that others can have seen, and what has no return is open, as in a live history.
 *
 * Invariant of what is read back: it is the history as the clients had it, up to some record. Where something is missing or
 * damaged it ends. */
#ifndef RUNTIME_CAPTURE_HISTORY_H
#define RUNTIME_CAPTURE_HISTORY_H

#include "runtime/capture_read.h"
#include "trace/history.h"

/* Never NULL, as capture_open; h's operations are written from now on, until capture_history_close. */
struct capture *capture_history_open(const char *folder, int64_t limit, struct history *h);
void capture_history_close(struct capture **c, struct history *h);

struct captured_history {
    struct history history;
    struct capture_reader reader;
    bool ended; /* before its time, why */
    char why[360];
};

void captured_history_open(struct captured_history *c, const char *folder, uint64_t identity);
bool captured_history_there(const struct captured_history *c); /* is there any of it? */
/* Takes up to `records`; true: it is read, as far as it goes. */
bool captured_history_read(struct captured_history *c, size_t records);
void captured_history_close(struct captured_history *c);
/* What a record does to a history; false: it makes no sense there. For fuzzing as well. */
bool captured_history_take(struct history *h, const struct capture_record *r);

#endif
