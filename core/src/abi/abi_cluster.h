/* The cluster handle, for the files of the ABI. */
#ifndef ABI_CLUSTER_H
#define ABI_CLUSTER_H

#include "abi/handle.h"
#include "cluster/cluster.h"
#include "cluster/shrinker.h"

struct own_machine; /* a user's state machine: abi_machine.c */
struct own_script;  /* a user's protocol: abi_script.c */

struct qrt_cluster {
    struct handle handle;
    struct cluster *cluster;
    struct own_machine *machine; /* NULL: a built-in one; shared by forks */
    struct own_script *script;   /* NULL: a built-in protocol; shared by forks */
    struct buffer result;        /* the answer handed out last */
    struct runner *runner;       /* a replay; owns the cluster until the handle is freed */
    struct shrinker *shrinker;   /* of that replay; NULL: not asked for */
};

struct own_machine *own_machine_new(const qrt_machine *m);
struct own_machine *own_machine_ref(struct own_machine *m);
void own_machine_unref(struct own_machine *m);
const struct machine_class *own_machine_class(const struct own_machine *m);
struct own_script *own_script_ref(struct own_script *s);
void own_script_unref(struct own_script *s);
/* Whether a state could not be saved or loaded since the last call; then e says why. NULL: never. */
bool own_script_failed(struct own_script *s, struct error *e);
/* Where callbacks put their answers: abi_machine.c. */
struct qrt_reply {
    struct buffer *out;
    bool raised;
    char text[ERROR_TEXT_MAX];
};
/* Takes the cluster and one reference of the machine. */
qrt_cluster *abi_cluster_wrap(struct cluster *c, struct own_machine *m);
/* A snapshot of that trace, of that cluster. bad: what a diagram shows unless told; UINT64_MAX: a violation, or what it finds. */
qrt_trace *trace_snapshot(const struct trace *from, const struct cluster *c, uint64_t bad);

#endif
