/* Nodes started by hand, across the ABI: a client's cluster, questions to nodes, keys. */
#include <stdlib.h>

#include "abi/abi_cluster.h"
#include "cluster/hand.h"

static _Thread_local struct buffer text;

QRT_API qrt_status qrt_connect(qrt_cluster **out, const char *file, const char *key) {
    struct error e = {0};
    if (!out || !file)
        return last_error_format(QRT_EINVAL, "qrt_connect wants a place for the handle, and a cluster file");
    *out = NULL;
    struct hand_file *f = mem_zero(1, sizeof *f);
    struct cluster *c = NULL;
    if (!hand_file_read(f, file, true, &e) && !hand_identity(f, file, 0, key, &e)) c = hand_cluster(f, &e);
    free(f);
    if (!c) return last_error_set(&e);
    *out = abi_cluster_wrap(c, NULL);
    return QRT_OK;
}

QRT_API const char *qrt_node_ask(qrt_cluster *c, uint16_t node, const char *json) {
    if (handle_enter(c ? &c->handle : NULL, HANDLE_CLUSTER)) return NULL;
    const char *answer = NULL;
    struct error *e = &c->handle.error;
    if (!json)
        error_set(e, QRT_EINVAL, "question_json must not be NULL");
    else if (!c->cluster->afar)
        error_set(e, QRT_EUNSUPPORTED, "only nodes started by hand are asked like this; see qrt_connect");
#ifdef QRT_HAVE_LIVE
    else
        answer = hand_ask(c->cluster->runtime, node, json, e);
#endif
    (void)node;
    handle_leave(&c->handle, QRT_OK);
    return answer;
}

QRT_API const char *qrt_keygen(const char *file, const char *name) {
    struct error e = {0};
    if (!file) {
        last_error_format(QRT_EINVAL, "qrt_keygen wants a cluster file");
        return NULL;
    }
    if (!hand_keygen(file, name, &text, &e)) return buffer_text(&text);
    last_error_set(&e);
    return NULL;
}

QRT_API const char *qrt_node_program(void) {
    struct error e = {0};
    buffer_clear(&text);
    char *path = (char *)buffer_extend(&text, OPTION_TEXT_MAX);
#ifdef QRT_HAVE_LIVE
    if (!hand_program(path, OPTION_TEXT_MAX, &e)) return path;
#else
    (void)path;
    error_set(&e, QRT_EUNSUPPORTED, "this build has no live runtime: build it with -DQUORATE_LIVE=ON and libzmq");
#endif
    last_error_set(&e);
    return NULL;
}
