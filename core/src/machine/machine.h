/* Replicated state machines: deterministic, cloned and fingerprinted like everything in a node.
 *
 * A command is bytes (machine/command.h has the codec of the built-in ones); apply answers with bytes. Bytes that
 * are no command are answered with status QRT_EINVAL and change nothing. A user's own machine, in Python or Lua,
 * stands behind the same table. */
#ifndef MACHINE_MACHINE_H
#define MACHINE_MACHINE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/bytes.h"
#include "base/memory.h"
#include "base/status.h"

struct machine_class {
    const char *name, *summary;
    void *(*create)(void *context); /* context: machine_class.context */
    void (*destroy)(void *state);
    void *(*clone)(const void *state); /* copy-on-write where the state can be large */
    uint64_t (*fingerprint)(const void *state);
    /* Applies the command of log index `index`; the answer is appended to `reply`. The status is part of the
     * answer (QRT_OK, QRT_ECAS, QRT_ENOTFOUND, QRT_EINVAL, QRT_ETOOLARGE); QRT_ESCRIPT means that the user's
     * code raised: the node crashes, error says how. */
    qrt_status (*apply)(void *state, uint64_t index, struct bytes command, struct buffer *reply, struct error *e);
    /* Answers a read without changing anything; same conventions. */
    qrt_status (*query)(const void *state, struct bytes command, struct buffer *reply, struct error *e);
    qrt_status (*snapshot)(const void *state, struct buffer *out, struct error *e);
    /* Replaces the state; bytes come from a peer or a disk: QRT_ECORRUPT leaves the state as it was. */
    qrt_status (*restore)(void *state, struct bytes snapshot, struct error *e);
    /* A clone may be written (snapshot), which never fails, and destroyed on another thread while the state goes on. */
    bool clones_apart;
    void *context;
};

const struct machine_class *machine_find(const char *name); /* "kv", "register", "counter", "lock" */
const struct machine_class *machine_at(size_t i);           /* NULL past the end */

#endif
