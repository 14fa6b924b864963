/* The cluster file: TOML that all nodes and clients of a cluster started by hand share; it holds no secret.
 *
 *     [cluster]
 *     name = "orders"              # seals messages and marks data: no two clusters of one name
 *     protocol = "raft"            # default
 *     data = "/var/lib/quorate"    # default: "data" beside the file; node 2 has n2 in it
 *     quorum = "majority"          # and further options of clusters: see file_options
 *
 *     [options]                    # of the protocol: `quorate options raft`
 *     election_timeout = "300ms"
 *
 *     [node.1]                     # 1, 2, ... without gaps
 *     endpoint = "tcp://10.0.0.1:7001"
 *     bind = "tcp://0.0.0.0:7001"  # where it listens; default: the endpoint
 *     key = "..."                  # its public key: `quorate keygen` writes it
 *
 *     [client.alice]
 *     key = "..."
 *     role = "write"               # read, write or admin
 *
 * Parsing only collects; what concerns several lines is checked at the end. Whoever listens beyond this host needs keys. */
#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/hash.h"
#include "cluster/hand.h"

/* The options of clusters that a file may set; the others are of the simulator, or follow from the file. */
static const char *const file_options[] = {
    "machine", "quorum",       "detector", "detector_interval", "detector_timeout", "detector_threshold", "sessions",
    "timeout", "client_retry", "log",      "metrics",           "capture",          "capture_size",       NULL,
};
static const char *const cluster_keys[] = {"name", "protocol", "data", "insecure", NULL};
static const char *const node_keys[] = {"endpoint", "bind", "key", NULL};
static const char *const client_keys[] = {"key", "role", NULL};

static bool listed(const char *const *list, const char *word) {
    for (; *list; list++)
        if (!strcmp(*list, word)) return true;
    return false;
}

static qrt_status unknown(const char *table, const char *key, const char *const *known, struct error *e) {
    size_t count = 0;
    while (known[count]) count++;
    const char *nearest = option_nearest(key, known, count);
    return error_set(e, QRT_EOPTION, "[%s] has no '%s'%s%s%s", table, key, nearest ? "; did you mean '" : "",
                     nearest ? nearest : "", nearest ? "'?" : "");
}

/* ---- single values ---- */

static qrt_status wants(const struct toml_item *item, uint8_t type, const char *what, struct error *e) {
    if (item->type == type) return QRT_OK;
    return error_set(e, QRT_ETYPE, "%s is %s", item->key, what);
}

static qrt_status take_text(const struct toml_item *item, char *out, size_t size, struct error *e) {
    if (wants(item, TOML_STRING, "a text, in quotes", e)) return e->status;
    if (!*item->text) return error_set(e, QRT_EINVAL, "%s must not be empty", item->key);
    if (strlen(item->text) >= size)
        return error_set(e, QRT_ETOOLARGE, "%s holds at most %zu bytes", item->key, size - 1);
    memcpy(out, item->text, strlen(item->text) + 1);
    return QRT_OK;
}

static qrt_status check_name(const char *name, const char *what, struct error *e) {
    bool sound = *name && strlen(name) < HAND_NAME_MAX;
    for (const char *c = name; *c; c++) sound = sound && (isalnum((unsigned char)*c) || *c == '_' || *c == '-');
    if (sound) return QRT_OK;
    return error_set(e, QRT_EINVAL, "%s '%s' is at most %d letters, digits, _ and -", what, name, HAND_NAME_MAX - 1);
}

static qrt_status take_key(const struct toml_item *item, char out[HAND_KEY_TEXT], struct error *e) {
    static const char others[] = ".-:+=^!/*?&<>()[]{}@%$#";
    if (wants(item, TOML_STRING, "a text, in quotes", e)) return e->status;
    bool sound = strlen(item->text) == HAND_KEY_TEXT - 1;
    for (const char *c = item->text; *c; c++) sound = sound && (isalnum((unsigned char)*c) || strchr(others, *c));
    if (!sound) return error_set(e, QRT_EINVAL, "key is no public key: 40 characters as `quorate keygen` writes them");
    memcpy(out, item->text, HAND_KEY_TEXT);
    return QRT_OK;
}

static bool sound_port(const char *text) {
    char *end;
    unsigned long port = *text && isdigit((unsigned char)*text) ? strtoul(text, &end, 10) : 0;
    return port > 0 && port < 65536 && !*end;
}

static qrt_status take_endpoint(const struct toml_item *item, char *out, struct error *e) {
    if (take_text(item, out, HAND_ENDPOINT_MAX, e)) return e->status;
    if (!strncmp(out, "ipc:///", 7) && out[7]) return QRT_OK;
    const char *port = strrchr(out, ':');
    bool tcp = !strncmp(out, "tcp://", 6) && port > out + 6 && sound_port(port + 1) && !strpbrk(out + 6, "/;@ ");
    bool anywhere = !strncmp(out + 6, "*:", 2) || !strncmp(out + 6, "0.0.0.0:", 8) || !strncmp(out + 6, "[::]:", 5);
    if (tcp && anywhere && !strcmp(item->key, "endpoint"))
        return error_set(e, QRT_EINVAL,
                         "endpoint '%s' is where others find the node: give its address, and this as bind", out);
    if (tcp) return QRT_OK;
    return error_set(e, QRT_EINVAL, "%s '%s' is no address: write tcp://HOST:PORT, or ipc:///PATH", item->key, out);
}

/* ---- tables ---- */

static qrt_status add_setting(struct hand_file *f, const struct toml_item *item, struct error *e) {
    if (f->setting_count == HAND_SETTINGS_MAX) return error_set(e, QRT_ETOOLARGE, "there are too many options");
    struct hand_setting *s = &f->settings[f->setting_count];
    if (strlen(item->text) >= sizeof s->value)
        return error_set(e, QRT_ETOOLARGE, "%s holds at most %zu bytes", item->key, sizeof s->value - 1);
    memcpy(s->name, item->key, strlen(item->key) + 1);
    memcpy(s->value, item->text, strlen(item->text) + 1);
    s->line = item->line;
    f->setting_count++;
    return QRT_OK;
}

static qrt_status on_cluster(struct hand_file *f, const struct toml_item *item, struct error *e) {
    struct hand_config *c = &f->config;
    if (!strcmp(item->key, "name"))
        return take_text(item, c->cluster, sizeof c->cluster, e) ? e->status : check_name(c->cluster, "name", e);
    if (!strcmp(item->key, "protocol")) return take_text(item, f->protocol, sizeof f->protocol, e);
    if (!strcmp(item->key, "data")) return take_text(item, c->data, sizeof c->data, e);
    if (!strcmp(item->key, "insecure")) {
        c->insecure = !strcmp(item->text, "true");
        return wants(item, TOML_BOOLEAN, "true or false", e);
    }
    if (listed(file_options, item->key)) return add_setting(f, item, e);
    const char *known[sizeof cluster_keys / sizeof *cluster_keys + sizeof file_options / sizeof *file_options];
    size_t count = 0;
    for (size_t i = 0; cluster_keys[i]; i++) known[count++] = cluster_keys[i];
    for (size_t i = 0; file_options[i]; i++) known[count++] = file_options[i];
    known[count] = NULL;
    return unknown(item->table, item->key, known, e);
}

static struct hand_node *node_named(struct hand_file *f, const char *number, struct error *e) {
    char *end;
    unsigned long id = isdigit((unsigned char)*number) ? strtoul(number, &end, 10) : 0;
    if (!id || id > FAULT_NODES_MAX || *end || *number == '0') {
        error_set(e, QRT_EINVAL, "[node.%s]: nodes are numbered from 1 to at most %d", number, FAULT_NODES_MAX);
        return NULL;
    }
    if (id > f->config.node_count) f->config.node_count = (uint16_t)id;
    return &f->config.nodes[id];
}

static qrt_status on_node(struct hand_file *f, const struct toml_item *item, struct error *e) {
    struct hand_node *n = node_named(f, item->table + 5, e);
    if (!n || item->type == TOML_TABLE) return n ? QRT_OK : e->status;
    if (!strcmp(item->key, "endpoint")) return take_endpoint(item, n->endpoint, e);
    if (!strcmp(item->key, "bind")) return take_endpoint(item, n->bind, e);
    if (!strcmp(item->key, "key")) return take_key(item, n->public_key, e);
    return unknown(item->table, item->key, node_keys, e);
}

static struct hand_client *client_named(struct hand_file *f, const char *name, struct error *e) {
    struct hand_config *c = &f->config;
    for (size_t i = 0; i < c->client_count; i++)
        if (!strcmp(c->clients[i].name, name)) return &c->clients[i];
    if (check_name(name, "the client's name", e)) return NULL;
    if (c->client_count == HAND_CLIENTS_MAX) {
        error_set(e, QRT_ETOOLARGE, "a cluster has at most %d clients with keys", HAND_CLIENTS_MAX);
        return NULL;
    }
    struct hand_client *new = &c->clients[c->client_count++];
    memcpy(new->name, name, strlen(name) + 1);
    return new;
}

static qrt_status on_client(struct hand_file *f, const struct toml_item *item, struct error *e) {
    struct hand_client *c = client_named(f, item->table + 7, e);
    if (!c || item->type == TOML_TABLE) return c ? QRT_OK : e->status;
    if (!strcmp(item->key, "key")) return take_key(item, c->public_key, e);
    if (strcmp(item->key, "role")) return unknown(item->table, item->key, client_keys, e);
    for (uint8_t role = HAND_READ; role <= HAND_ADMIN; role++)
        if (item->type == TOML_STRING && !strcmp(item->text, hand_role_name(role))) {
            c->role = role;
            return QRT_OK;
        }
    return error_set(e, QRT_EINVAL, "role is \"read\", \"write\" or \"admin\"");
}

static qrt_status on_item(void *context, const struct toml_item *item, struct error *e) {
    struct hand_file *f = context;
    if (!*item->table)
        return error_set(e, QRT_EPARSE, "'%s' stands before the first table; begin with [cluster]", item->key);
    if (!strncmp(item->table, "node.", 5)) return on_node(f, item, e);
    if (!strncmp(item->table, "client.", 7)) return on_client(f, item, e);
    bool cluster = !strcmp(item->table, "cluster");
    if (!cluster && strcmp(item->table, "options"))
        return error_set(e, QRT_EOPTION,
                         "there is no table [%s]; there are [cluster], [options], [node.1], [client.NAME]",
                         item->table);
    if (item->type == TOML_TABLE) return QRT_OK;
    return cluster ? on_cluster(f, item, e) : add_setting(f, item, e);
}

/* ---- the whole ---- */

/* Each option by itself, for its line; whether they fit each other is found when the cluster is made. */
static qrt_status check_settings(struct hand_file *f, struct error *e) {
    const struct protocol *p = protocol_named(f->protocol, e);
    struct cluster_options options;
    struct option_table tables[2] = {cluster_option_table, p ? p->options : cluster_option_table};
    if (!p) return e->status;
    void *places[2] = {&options, mem_zero(1, p->options_size + 1)};
    qrt_status status = QRT_OK;
    for (int i = 0; i < 2; i++)
        if (tables[i].specs) option_defaults(&tables[i], places[i]);
    for (size_t i = 0; i < f->setting_count && !status; i++) {
        const struct hand_setting *s = &f->settings[i];
        struct error own = {0};
        bool ours = listed(file_options, s->name);
        int first = ours ? 0 : 1;
        status = option_set(&tables[first], &places[first], tables[first].specs ? 1 : 0, s->name, s->value, &own);
        if (status) error_set(e, status, "line %u: %.480s", s->line, own.text);
    }
    free(places[1]);
    return status;
}

static bool local_only(const char *endpoint) {
    static const char *const hosts[] = {"ipc://", "tcp://127.", "tcp://localhost:", "tcp://[::1]:"};
    for (size_t i = 0; i < sizeof hosts / sizeof *hosts; i++)
        if (!strncmp(endpoint, hosts[i], strlen(hosts[i]))) return true;
    return false;
}

static qrt_status check_nodes(struct hand_file *f, struct error *e) {
    struct hand_config *c = &f->config;
    if (!*c->cluster) return error_set(e, QRT_EINVAL, "[cluster] has no name");
    if (!c->node_count) return error_set(e, QRT_EINVAL, "there is no node: write [node.1], [node.2], ...");
    for (uint16_t i = 1; i <= c->node_count; i++) {
        struct hand_node *n = &c->nodes[i];
        if (!*n->endpoint)
            return error_set(e, QRT_EINVAL, "[node.%u] has no endpoint; nodes are numbered without gaps", i);
        if (!*n->bind) memcpy(n->bind, n->endpoint, sizeof n->bind);
        for (uint16_t k = 1; k < i; k++)
            if (!strcmp(n->endpoint, c->nodes[k].endpoint))
                return error_set(e, QRT_EINVAL, "node %u and node %u have the same endpoint, %s", k, i, n->endpoint);
    }
    for (size_t i = 0; i < c->client_count; i++)
        if (!c->clients[i].role)
            return error_set(e, QRT_EINVAL, "[client.%s] has no role: \"read\", \"write\" or \"admin\"",
                             c->clients[i].name);
    return QRT_OK;
}

static const char *key_at(const struct hand_config *c, size_t i) {
    return i < c->node_count ? c->nodes[i + 1].public_key : c->clients[i - c->node_count].public_key;
}

static void who_at(const struct hand_config *c, size_t i, char out[HAND_NAME_MAX + 16]) {
    if (i < c->node_count)
        snprintf(out, HAND_NAME_MAX + 16, "node %zu", i + 1);
    else
        snprintf(out, HAND_NAME_MAX + 16, "client %s", c->clients[i - c->node_count].name);
}

/* Who is meant must be known by the key alone. */
static qrt_status check_keys(struct hand_file *f, bool needed, struct error *e) {
    struct hand_config *c = &f->config;
    size_t count = c->node_count + c->client_count;
    char one[HAND_NAME_MAX + 16] = "", other[HAND_NAME_MAX + 16];
    for (size_t i = 0; i < count; i++) {
        if (!*key_at(c, i) && !f->keyless++) who_at(c, i, one);
        for (size_t k = 0; k < i && *key_at(c, i); k++) {
            if (strcmp(key_at(c, i), key_at(c, k))) continue;
            who_at(c, k, one);
            who_at(c, i, other);
            return error_set(e, QRT_EINVAL, "%s and %s have the same key", one, other);
        }
    }
    c->curve = f->keyless < count;
    if (!needed) return QRT_OK;
    if (c->curve && f->keyless)
        return error_set(e, QRT_EINVAL, "%s has no key; `quorate keygen` makes those that are missing", one);
    for (uint16_t i = 1; i <= c->node_count && !c->curve && !c->insecure; i++)
        if (!local_only(c->nodes[i].bind))
            return error_set(
                e, QRT_EINVAL,
                "node %u listens on %s, beyond this host, without keys: make them with `quorate keygen`, or say "
                "insecure = true",
                i, c->nodes[i].bind);
    return QRT_OK;
}

/* The file's own paths start where it lies. */
static qrt_status place_data(struct hand_file *f, const char *path, struct error *e) {
    char *real = realpath(path, NULL), *slash = real ? strrchr(real, '/') : NULL;
    char data[OPTION_TEXT_MAX];
    memcpy(data, f->config.data, sizeof data);
    if (slash) *slash = 0;
    int size = *data == '/' ? snprintf(f->config.data, sizeof data, "%s", data)
                            : snprintf(f->config.data, sizeof data, "%s/%s", real ? real : ".", *data ? data : "data");
    free(real);
    if (size >= 0 && (size_t)size < sizeof data) return QRT_OK;
    return error_set(e, QRT_ETOOLARGE, "the data folder's path is too long");
}

qrt_status hand_file_parse(struct hand_file *f, struct bytes text, const char *path, bool keys, struct error *e) {
    struct error own = {0};
    *f = (struct hand_file){.protocol = "raft"};
    qrt_status status = toml_read(text, on_item, f, &own);
    if (!status) status = check_settings(f, &own);
    if (!status) status = check_nodes(f, &own);
    if (!status) status = check_keys(f, keys, &own);
    if (!status) status = place_data(f, path, &own);
    if (status) return error_set(e, QRT_EPARSE, "%.128s: %.380s", path, own.text);
    f->config.cluster_id = hash_bytes(f->config.cluster, strlen(f->config.cluster), 0);
    return QRT_OK;
}

qrt_status hand_text_read(const char *what, const char *path, struct buffer *out, struct error *e) {
    struct error own = {0};
    qrt_status status = file_read(path, TOML_SIZE_MAX, out, &own);
    return status ? error_set(e, status, "the %s file %.400s", what, own.text) : QRT_OK;
}

qrt_status hand_file_read(struct hand_file *f, const char *path, bool keys, struct error *e) {
    struct buffer text = {0};
    qrt_status status = hand_text_read("cluster", path, &text, e);
    if (!status) status = hand_file_parse(f, bytes_of(text.data, text.size), path, keys, e);
    buffer_free(&text);
    return status;
}
