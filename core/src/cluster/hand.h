/* Clusters of nodes started by hand: the cluster file that all of them and their clients share, key files, a node's process,
 * a client's cluster. */
#ifndef CLUSTER_HAND_H
#define CLUSTER_HAND_H

#include "base/toml.h"
#include "cluster/cluster.h"
#include "runtime/hand.h"

#define HAND_SETTINGS_MAX 64

struct hand_setting {
    char name[TOML_NAME_MAX], value[OPTION_TEXT_MAX];
    unsigned line;
};

/* What a cluster file says. Some 100 KiB: from the heap. */
struct hand_file {
    struct hand_config config;
    char protocol[HAND_NAME_MAX];
    struct hand_setting settings[HAND_SETTINGS_MAX];
    size_t setting_count;
    size_t keyless; /* nodes and clients without a key */
};

/* path: for messages, and what the file's own paths start from. Everything wrong is said with its line.
 * keys: also refuse a file in which some have keys and others not, or that needs keys and has none. */
qrt_status hand_file_parse(struct hand_file *f, struct bytes text, const char *path, bool keys, struct error *e);
qrt_status hand_file_read(struct hand_file *f, const char *path, bool keys, struct error *e);
/* A whole small file; errors call it "the `what` file". */
qrt_status hand_text_read(const char *what, const char *path, struct buffer *out, struct error *e);

/* Who runs with the file: a node by its id, or (0) the client whose key it is. key: a key file, or NULL: that of the node
 * in keys/ beside the file. Refuses a key file that others may read. */
qrt_status hand_identity(struct hand_file *f, const char *path, uint16_t node, const char *key, struct error *e);

/* Makes a pair for each node and client of the file without a key, and a new one for `rotate` (a client's name or "n2"; NULL:
 * nobody): writes the secret to keys/NAME.key beside the file, mode 0600, and puts the public key into the file.
 * out: JSON [{"name", "public", "file"}]. */
qrt_status hand_keygen(const char *path, const char *rotate, struct buffer *out, struct error *e);

/* Whether its options fit each other, the protocol and the number of nodes: what hand_cluster would refuse, without making it. */
qrt_status hand_check(const struct hand_file *f, struct error *e);

/* A cluster of which this process runs node f->config.self, or is a client of it (self 0). */
struct cluster *hand_cluster(const struct hand_file *f, struct error *e);

/* core/node/run.c */
enum hand_code { HAND_FINE = 0, HAND_USAGE = 2, HAND_FAILED = 4 }; /* what the program ends with */
int hand_ended(
    const struct error *e); /* says it on standard error; the code: of QRT_OK, of a mistake, of disk or address */
/* main() of a node. Runs it until a signal, an admin or its disk ends it. */
int hand_main(const char *path, uint16_t node, const char *key, uint8_t begin);

#endif
