/* What every protocol needs to be looked at from outside: lines for people, fields for scripts, facts that must hold. Text is
 * made in a buffer, because a protocol has no stdio. */
#ifndef PROTOCOL_VIEW_H
#define PROTOCOL_VIEW_H

#include "protocol/protocol.h"

/* Moves the text to `out`, cut at size and terminated, and frees it. Returns the length that it wrote. */
int view_finish(struct buffer *text, char *out, size_t size);
void view_number(inspect_fn *field, void *context, const char *name, uint64_t value);

/* Inside a function of struct protocol's invariants: returns false, naming the fact, where it does not hold. */
#define VIEW_HOLDS(error, protocol, node, fact)                                                   \
    do {                                                                                          \
        if (!(fact)) {                                                                            \
            error_set(error, QRT_EINTERNAL, protocol ", node %u: %s does not hold", node, #fact); \
            return false;                                                                         \
        }                                                                                         \
    } while (0)

#endif
