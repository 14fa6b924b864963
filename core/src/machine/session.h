/* Replicated client sessions: exactly-once replies (Ongaro 2014, section 6.3).
 *
 * The table is part of the replicated state: every node applies the same entries to it in the same order. A
 * session is opened by an entry (its id is that entry's index) and carries one outstanding command at a time: the
 * last sequence number and its cached reply. When the table is full the session used least recently (in log
 * order) is dropped; a command of a session that is not there answers QRT_ESESSION and is not applied. */
#ifndef MACHINE_SESSION_H
#define MACHINE_SESSION_H

#include "base/memory.h"
#include "machine/machine.h"

struct sessions; /* opaque; cloneable */

struct sessions *sessions_new(uint32_t limit);
void sessions_free(struct sessions *s);
struct sessions *sessions_clone(const struct sessions *s);
uint64_t sessions_fingerprint(const struct sessions *s);
void sessions_open(struct sessions *s, uint64_t index); /* idempotent */

enum session_verdict {
    SESSION_FRESH = 1,    /* apply it, then sessions_record */
    SESSION_REPEATED = 2, /* already applied: status and reply are the cached ones */
    SESSION_STALE = 3,    /* older than the last: the client has moved on; ignore */
    SESSION_UNKNOWN = 4,  /* expired or never opened: QRT_ESESSION */
};
enum session_verdict sessions_check(struct sessions *s, uint64_t index, uint64_t session, uint64_t sequence,
                                    qrt_status *status, struct bytes *reply);
void sessions_record(struct sessions *s, uint64_t session, uint64_t sequence, qrt_status status, struct bytes reply);
void sessions_snapshot(const struct sessions *s, struct buffer *out);
bool sessions_restore(struct sessions *s, struct reader *in); /* false: malformed; s is then unchanged */

#endif
