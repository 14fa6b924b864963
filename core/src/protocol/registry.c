/* The protocols of this build. A new one is a line in the list. */
#include <string.h>

#include "protocol/protocol.h"

#define PROTOCOLS(P)  \
    P(raft)           \
    P(paxos)          \
    P(floodset)       \
    P(benor)          \
    P(primary_backup) \
    P(two_phase)      \
    P(three_phase)    \
    P(timestamp)      \
    P(bully)          \
    P(ring)           \
    P(null)

#define P(name) extern const struct protocol protocol_##name;
PROTOCOLS(P)
#undef P

static const struct protocol *const protocols[] = {
#define P(name) &protocol_##name,
    PROTOCOLS(P)
#undef P
        NULL,
};
#undef PROTOCOLS

const struct protocol *protocol_at(size_t i) {
    return i < sizeof protocols / sizeof *protocols ? protocols[i] : NULL;
}

const struct protocol *protocol_find(const char *name) {
    for (size_t i = 0; protocols[i]; i++)
        if (strcmp(protocols[i]->name, name) == 0) return protocols[i];
    return NULL;
}

const struct protocol *protocol_named(const char *name, struct error *e) {
    const char *known[sizeof protocols / sizeof *protocols];
    size_t count = 0;
    const struct protocol *found = protocol_find(name);
    if (found) return found;
    for (; protocols[count]; count++) known[count] = protocols[count]->name;
    const char *nearest = option_nearest(name, known, count);
    error_set(e, QRT_ENOTFOUND, "there is no protocol '%s'%s%s%s; `quorate protocols` lists them all", name,
              nearest ? "; did you mean '" : "", nearest ? nearest : "", nearest ? "'?" : "");
    return NULL;
}
