/* Nodes started by hand, on any host: what a cluster file says of them, and the calls by which a node's process and a
 * client of such a cluster are run. The file is read in cluster/hand_file.c; everything here that does something is in
 * runtime/live/, and absent from a build without it. */
#ifndef RUNTIME_HAND_H
#define RUNTIME_HAND_H

#include "base/option.h"
#include "fault/plan.h"

#define HAND_NAME_MAX 64
#define HAND_KEY_TEXT 41 /* a CURVE key in Z85, with its end */
#define HAND_ENDPOINT_MAX 128
#define HAND_CLIENTS_MAX 256

/* Each may do what those before it may. */
enum hand_role {
    HAND_READ = 1,  /* get, status, trace */
    HAND_WRITE = 2, /* put, append, cas, propose, ... */
    HAND_ADMIN = 3, /* fault, stop */
};

enum hand_begin {
    HAND_RECOVER = 0, /* from the data folder, which must have been formatted */
    HAND_LOST = 1,    /* its data is gone: it catches up from the others before it votes */
};

struct hand_node {
    char endpoint[HAND_ENDPOINT_MAX]; /* where others find it */
    char bind[HAND_ENDPOINT_MAX];     /* where it listens */
    char public_key[HAND_KEY_TEXT];
};

struct hand_client {
    char name[HAND_NAME_MAX];
    char public_key[HAND_KEY_TEXT];
    uint8_t role;
};

struct hand_config {
    char cluster[HAND_NAME_MAX];
    uint64_t cluster_id; /* from its name */
    bool curve;          /* there are keys; else everyone who can connect may do everything */
    bool insecure;       /* no keys beyond this host, at the user's own wish */
    uint16_t node_count;
    struct hand_node nodes[FAULT_NODES_MAX + 1]; /* [1..node_count] */
    size_t client_count;
    struct hand_client clients[HAND_CLIENTS_MAX];
    char data[OPTION_TEXT_MAX]; /* absolute; node 2 has data/n2 */
    /* Who runs with it. */
    uint16_t self;            /* a node; 0: a client */
    char name[HAND_NAME_MAX]; /* the client's */
    char public_key[HAND_KEY_TEXT], secret_key[HAND_KEY_TEXT];
    uint8_t begin;
};

static inline const char *hand_role_name(uint8_t role) {
    static const char *const names[] = {"", "read", "write", "admin"};
    return names[role <= HAND_ADMIN ? role : 0];
}

/* ---- keys ---- */

qrt_status hand_key_new(char public_key[HAND_KEY_TEXT], char secret_key[HAND_KEY_TEXT], struct error *e);
/* The public key of a secret one; false: it is none. */
bool hand_key_public(const char *secret_key, char public_key[HAND_KEY_TEXT]);

/* ---- a node's process ---- */

enum hand_state { HAND_RUNS = 1, HAND_STOPS = 2, HAND_DEAD = 3 };

/* The explicit first start of a node's data folder, before it runs for the first time. */
qrt_status hand_format(const struct hand_config *config, struct error *e);
/* Answers what clients asked of the process, merges its trace. HAND_STOPS: an admin says so; HAND_DEAD: e says why. */
enum hand_state hand_tick(void *runtime, struct error *e);
int hand_bell(void *runtime); /* readable when there is something to do */
/* Takes over the keys and roles of a file that was read again; closes the connections of those that went.
 * Refused, and nothing changed, when more than that is different. */
qrt_status hand_reload(void *runtime, const struct hand_config *config, struct error *e);

qrt_status hand_program(char *path, size_t size, struct error *e); /* quorate-node's */

/* ---- a client's side ---- */

/* One question to a node, in JSON, and its answer's text, which lives until the next. seconds: how long it may take. */
const char *hand_ask(void *runtime, uint16_t node, const char *json, struct error *e);

#endif
