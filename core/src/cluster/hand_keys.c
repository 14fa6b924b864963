/* Keys of nodes and clients started by hand. A secret key lies in a file of its own, mode 0600, as TOML:
 *
 *     # The secret key of n2 of orders. Keep it there.
 *     [key]
 *     public = "..."
 *     secret = "..."
 *
 * Whose key it is, the cluster file says. There keygen writes the public keys: each new line behind its table's head, an old one
 * replaced; nothing else of the file changes. File and keys are written beside and renamed, so that a crash leaves the old
 * or the new. */
#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "cluster/hand.h"

#define PATH_MAX_HERE 512

#ifndef QRT_HAVE_LIVE
qrt_status hand_key_new(char public_key[HAND_KEY_TEXT], char secret_key[HAND_KEY_TEXT], struct error *e) {
    *public_key = *secret_key = 0;
    return error_set(e, QRT_EUNSUPPORTED, "this build has no live runtime, and so no keys: build it with libzmq");
}

bool hand_key_public(const char *secret_key, char public_key[HAND_KEY_TEXT]) {
    *public_key = 0;
    return *secret_key == 0;
}
#endif

/* ---- key files ---- */

struct key_file {
    char public_key[HAND_KEY_TEXT], secret_key[HAND_KEY_TEXT];
};

static qrt_status on_key(void *context, const struct toml_item *item, struct error *e) {
    struct key_file *k = context;
    bool public = !strcmp(item->key, "public");
    if (strcmp(item->table, "key")) return error_set(e, QRT_EPARSE, "a key file holds [key], public and secret");
    if (item->type == TOML_TABLE) return QRT_OK;
    if ((!public && strcmp(item->key, "secret")) || item->type != TOML_STRING ||
        strlen(item->text) != HAND_KEY_TEXT - 1)
        return error_set(e, QRT_EPARSE, "a key file holds [key], public and secret, each of 40 characters");
    memcpy(public ? k->public_key : k->secret_key, item->text, HAND_KEY_TEXT);
    return QRT_OK;
}

static qrt_status key_read(const char *path, struct key_file *k, struct error *e) {
    struct stat about;
    struct error own = {0};
    struct buffer text = {0};
    char public[HAND_KEY_TEXT];
    if (stat(path, &about))
        return error_set(e, QRT_EIO,
                         "the key file %.128s cannot be read: %s; bring it here from where `quorate keygen` made it",
                         path, strerror(errno));
    if (file_check(path, TOML_SIZE_MAX, e)) return e->status;
    if (about.st_mode & 077)
        return error_set(e, QRT_EDENIED, "others may read the secret key in %s: chmod 600 it", path);
    qrt_status status = hand_text_read("key", path, &text, e);
    if (status) return status;
    status = toml_read(bytes_of(text.data, text.size), on_key, k, &own);
    buffer_free(&text);
    if (status) return error_set(e, status, "%.128s: %.360s", path, own.text);
    if (*k->secret_key && hand_key_public(k->secret_key, public) && !strcmp(public, k->public_key)) return QRT_OK;
    return error_set(e, QRT_EPARSE, "%s: the public key does not belong to the secret one", path);
}

static qrt_status beside(const char *path, const char *name, char out[PATH_MAX_HERE], struct error *e) {
    const char *slash = strrchr(path, '/');
    int folder = slash ? (int)(slash - path) + 1 : 0;
    int size =
        snprintf(out, PATH_MAX_HERE, "%.*skeys%s%s%s", folder, path, *name ? "/" : "", name, *name ? ".key" : "");
    if (size > 0 && size < PATH_MAX_HERE - 8) return QRT_OK;
    return error_set(e, QRT_ETOOLARGE, "the path of %s is too long", path);
}

/* ---- who runs ---- */

static qrt_status find_client(struct hand_config *c, const char *key, struct error *e) {
    for (size_t i = 0; i < c->client_count; i++)
        if (!strcmp(c->clients[i].public_key, c->public_key)) {
            memcpy(c->name, c->clients[i].name, sizeof c->name);
            return QRT_OK;
        }
    return error_set(e, QRT_EDENIED,
                     "the key in %s is of no client that the cluster file knows: take the file that has it, or make a "
                     "new one with `quorate keygen`",
                     key);
}

qrt_status hand_identity(struct hand_file *f, const char *path, uint16_t node, const char *key, struct error *e) {
    struct hand_config *c = &f->config;
    char name[16], own[PATH_MAX_HERE];
    struct key_file k = {0};
    c->self = node;
    if (node > c->node_count)
        return error_set(e, QRT_ENOTFOUND, "%s has no node %u; nodes are 1 to %u", path, node, c->node_count);
    if (!c->curve && !key) return QRT_OK;
    if (!c->curve) return error_set(e, QRT_EINVAL, "%s has no keys, so none is of use", path);
    if (!node && !key)
        return error_set(e, QRT_EINVAL,
                         "a client of %s needs its key: name its file, keys/NAME.key where `quorate keygen` made it",
                         path);
    snprintf(name, sizeof name, "n%u", node);
    if (!key && beside(path, name, own, e)) return e->status;
    if (key_read(key ? key : own, &k, e)) return e->status;
    memcpy(c->public_key, k.public_key, sizeof k.public_key);
    memcpy(c->secret_key, k.secret_key, sizeof k.secret_key);
    if (!node) return find_client(c, key, e);
    if (!strcmp(c->public_key, c->nodes[node].public_key)) return QRT_OK;
    return error_set(e, QRT_EDENIED, "the key in %s is not that of node %u in %s", key ? key : own, node, path);
}

/* ---- making keys ---- */

static qrt_status write_whole(const char *path, const char *text, size_t size, mode_t mode, struct error *e) {
    char new[PATH_MAX_HERE];
    snprintf(new, sizeof new, "%.500s.new", path);
    int fd = open(new, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, mode);
    bool sound = fd >= 0 && !fchmod(fd, mode) && write(fd, text, size) == (ssize_t)size && !fsync(fd);
    if (fd >= 0) sound = !close(fd) && sound;
    if (sound && !rename(new, path)) return QRT_OK;
    error_set(e, QRT_EIO, "%s cannot be written: %s", path, strerror(errno));
    unlink(new);
    return e->status;
}

static qrt_status key_write(const char *path, const char *cluster, const char *name, struct key_file *k, char *file,
                            struct error *e) {
    char folder[PATH_MAX_HERE], text[512];
    if (hand_key_new(k->public_key, k->secret_key, e) || beside(path, "", folder, e) || beside(path, name, file, e))
        return e->status;
    if (mkdir(folder, 0700) && errno != EEXIST)
        return error_set(e, QRT_EIO, "the folder %s cannot be made: %s", folder, strerror(errno));
    int size = snprintf(text, sizeof text,
                        "# The secret key of %s of %s. Keep it there.\n[key]\npublic = \"%s\"\nsecret = \"%s\"\n", name,
                        cluster, k->public_key, k->secret_key);
    return write_whole(file, text, (size_t)size, 0600, e);
}

struct keygen {
    const char *path, *rotate, *text;
    const struct hand_config *config;
    struct buffer out; /* the cluster file as it will be */
    size_t copied;     /* of the old text */
    char name[HAND_NAME_MAX];
    const char *new; /* the key that stands in the file already: its line is left out */
    struct key_file key;
    json_t *made;
    bool rotated;
};

static const char *present_key(const struct hand_config *c, const char *name, bool node) {
    if (node) return c->nodes[strtoul(name + 1, NULL, 10)].public_key;
    for (size_t i = 0; i < c->client_count; i++)
        if (!strcmp(c->clients[i].name, name)) return c->clients[i].public_key;
    return "";
}

static void copy_until(struct keygen *g, size_t at) {
    buffer_append(&g->out, g->text + g->copied, at - g->copied);
    g->copied = at;
}

/* A table's head: a new key's line goes right behind it. */
static qrt_status on_table(struct keygen *g, const struct toml_item *item, struct error *e) {
    bool node = !strncmp(item->table, "node.", 5), client = !strncmp(item->table, "client.", 7);
    char file[PATH_MAX_HERE];
    g->new = NULL;
    if (!node && !client) return QRT_OK;
    text_format(g->name, sizeof g->name, "%s%s", node ? "n" : "", item->table + (node ? 5 : 7));
    bool wanted = g->rotate && !strcmp(g->rotate, g->name);
    g->rotated = g->rotated || wanted;
    if (!wanted && (g->rotate || *present_key(g->config, g->name, node))) return QRT_OK;
    if (key_write(g->path, g->config->cluster, g->name, &g->key, file, e)) return e->status;
    g->new = g->key.public_key;
    copy_until(g, item->end);
    if (g->out.size && g->out.data[g->out.size - 1] != '\n') buffer_append(&g->out, "\n", 1);
    buffer_printf(&g->out, "key = \"%s\"\n", g->new);
    json_array_append_new(g->made, json_pack("{s:s, s:s, s:s}", "name", g->name, "public", g->new, "file", file));
    return QRT_OK;
}

static qrt_status on_line(void *context, const struct toml_item *item, struct error *e) {
    struct keygen *g = context;
    if (item->type == TOML_TABLE) return on_table(g, item, e);
    if (!g->new || strcmp(item->key, "key")) return QRT_OK;
    copy_until(g, item->at);
    g->copied = item->end;
    return QRT_OK;
}

static qrt_status keygen(struct keygen *g, struct bytes text, struct error *e) {
    qrt_status status = toml_read(text, on_line, g, e);
    if (!status && g->rotate && !g->rotated)
        return error_set(
            e, QRT_ENOTFOUND,
            "%s has neither a node nor a client '%s': add the table [client.NAME] with a role, or [node.N], first",
            g->path, g->rotate);
    if (status || !json_array_size(g->made)) return status;
    copy_until(g, text.size);
    struct stat about;
    mode_t mode = stat(g->path, &about) ? 0644 : about.st_mode & 0777;
    return write_whole(g->path, (char *)g->out.data, g->out.size, mode, e);
}

qrt_status hand_keygen(const char *path, const char *rotate, struct buffer *out, struct error *e) {
    struct hand_file *f = mem_zero(1, sizeof *f);
    struct buffer text = {0};
    qrt_status status = hand_text_read("cluster", path, &text, e);
    struct bytes whole = bytes_of(text.data, text.size);
    if (!status) status = hand_file_parse(f, whole, path, false, e);
    struct keygen g = {.path = path, .rotate = rotate, .text = (char *)text.data, .config = &f->config};
    g.made = json_array();
    if (!status) status = keygen(&g, whole, e);
    char *made = json_dumps(g.made, JSON_INDENT(1));
    buffer_clear(out);
    buffer_append(out, made, strlen(made));
    free(made);
    json_decref(g.made);
    buffer_free(&g.out);
    buffer_free(&text);
    free(f);
    return status;
}
