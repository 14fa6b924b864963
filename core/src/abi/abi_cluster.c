/* Clusters across the ABI: handles, validation, slices. Nothing is decided here. */
#include "abi/abi_cluster.h"

#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "client/client.h"
#include "cluster/transaction.h"

static void cluster_end(struct handle *h) {
    qrt_cluster *c = (qrt_cluster *)h;
    shrinker_free(c->shrinker);
    if (c->runner)
        runner_free(c->runner, NULL);
    else
        cluster_free(c->cluster);
    own_machine_unref(c->machine);
    own_script_unref(c->script);
    buffer_free(&c->result);
}

qrt_cluster *abi_cluster_wrap(struct cluster *c, struct own_machine *m) {
    qrt_cluster *q = mem_zero(1, sizeof *q);
    handle_init(&q->handle, HANDLE_CLUSTER, cluster_end);
    q->cluster = c;
    q->machine = m;
    return q;
}

QRT_API qrt_status qrt_cluster_new(qrt_cluster **out, const char *protocol, const qrt_option *options, size_t count,
                                   const qrt_machine *machine) {
    struct error e = {0};
    if (!out || (count && !options))
        return last_error_format(
            QRT_EINVAL, "qrt_cluster_new wants a place for the handle, and options when it has a count of them");
    *out = NULL;
    if (machine && !(machine->create && machine->destroy && machine->apply && machine->query && machine->snapshot &&
                     machine->restore))
        return last_error_format(QRT_EINVAL,
                                 "a state machine needs all of create, destroy, apply, query, snapshot, restore");
    struct setting *settings = mem_alloc((count + 1) * sizeof *settings);
    for (size_t i = 0; i < count; i++) settings[i] = (struct setting){options[i].name, options[i].value};
    struct own_machine *own = machine ? own_machine_new(machine) : NULL;
    struct cluster *c = cluster_new(protocol, settings, count, own ? own_machine_class(own) : NULL, &e);
    free(settings);
    if (!c) {
        own_machine_unref(own);
        return last_error_set(&e);
    }
    *out = abi_cluster_wrap(c, own);
    return QRT_OK;
}

QRT_API void qrt_cluster_free(qrt_cluster **c) {
    if (c && *c && handle_free(&(*c)->handle, HANDLE_CLUSTER)) *c = NULL;
}

/* Begins every call: inside, or an early return with the refusal. */
#define ENTER(c)                                                                \
    qrt_status entered = handle_enter(c ? &(c)->handle : NULL, HANDLE_CLUSTER); \
    if (entered) return entered
#define LEAVE(c, status) return handle_leave(&(c)->handle, status)

static qrt_status missing(qrt_cluster *c, const char *what) {
    return handle_leave(&c->handle, error_set(&c->handle.error, QRT_EINVAL, "%s must not be NULL", what));
}

QRT_API qrt_status qrt_cluster_fork(qrt_cluster *c, qrt_cluster **out) {
    ENTER(c);
    if (!out) return missing(c, "out");
    *out = NULL;
    struct cluster *f = cluster_fork(c->cluster, &c->handle.error);
    if (!f) LEAVE(c, c->handle.error.status);
    if (own_script_failed(c->script, &c->handle.error)) {
        cluster_free(f);
        LEAVE(c, c->handle.error.status);
    }
    *out = abi_cluster_wrap(f, own_machine_ref(c->machine));
    (*out)->script = own_script_ref(c->script);
    LEAVE(c, QRT_OK);
}

QRT_API qrt_status qrt_cluster_now(qrt_cluster *c, int64_t *now_ns) {
    ENTER(c);
    if (!now_ns) return missing(c, "now_ns");
    *now_ns = c->cluster->class->now(c->cluster->runtime);
    LEAVE(c, QRT_OK);
}

QRT_API qrt_status qrt_cluster_run(qrt_cluster *c, int64_t until_ns, const char *condition) {
    ENTER(c);
    cluster_check_reset(c->cluster);
    LEAVE(c, cluster_run(c->cluster, until_ns, condition, c->handle.slice_ns, &c->handle.error));
}

QRT_API int64_t qrt_cluster_step(qrt_cluster *c, int64_t count) {
    ENTER(c);
    struct cluster *k = c->cluster;
    if (count < 0)
        LEAVE(c, error_set(&c->handle.error, QRT_ERANGE, "a number of events must not be negative: %lld",
                           (long long)count));
    if (!k->class->step)
        LEAVE(c, error_set(&c->handle.error, QRT_EUNSUPPORTED,
                           "a live cluster runs by itself; step needs runtime=\"sim\""));
    cluster_check_reset(k);
    int64_t done = (int64_t)k->class->step(k->runtime, (uint64_t)count);
    handle_leave(&c->handle, QRT_OK);
    return done;
}

QRT_API qrt_status qrt_cluster_leader(qrt_cluster *c, uint16_t *node) {
    ENTER(c);
    if (!node) return missing(c, "node");
    LEAVE(c, cluster_leader(c->cluster, node, &c->handle.error));
}

QRT_API qrt_status qrt_cluster_size(qrt_cluster *c, uint16_t *nodes) {
    ENTER(c);
    if (!nodes) return missing(c, "nodes");
    *nodes = (uint16_t)c->cluster->config.options.nodes;
    LEAVE(c, QRT_OK);
}

QRT_API const char *qrt_cluster_status(qrt_cluster *c) {
    if (handle_enter(c ? &c->handle : NULL, HANDLE_CLUSTER)) return NULL;
    const char *text = report_status(c->cluster);
    handle_leave(&c->handle, QRT_OK);
    return text;
}

QRT_API const char *qrt_cluster_inspect(qrt_cluster *c, uint16_t node) {
    if (handle_enter(c ? &c->handle : NULL, HANDLE_CLUSTER)) return NULL;
    const char *text = report_inspect(c->cluster, node, &c->handle.error);
    handle_leave(&c->handle, QRT_OK);
    return text;
}

QRT_API const char *qrt_cluster_tracebacks(qrt_cluster *c) {
    if (handle_enter(c ? &c->handle : NULL, HANDLE_CLUSTER)) return NULL;
    const char *text = report_tracebacks(c->cluster);
    handle_leave(&c->handle, QRT_OK);
    return text;
}

QRT_API qrt_status qrt_cluster_fingerprint(qrt_cluster *c, uint64_t *fingerprint) {
    ENTER(c);
    if (!fingerprint) return missing(c, "fingerprint");
    *fingerprint = c->cluster->class->fingerprint(c->cluster->runtime);
    LEAVE(c, own_script_failed(c->script, &c->handle.error) ? c->handle.error.status : QRT_OK);
}

/* ---- proposals and operations ---- */

QRT_API qrt_status qrt_cluster_propose(qrt_cluster *c, uint16_t node, const uint8_t *data, size_t size,
                                       uint64_t *ticket) {
    ENTER(c);
    if (!ticket || (size && !data)) return missing(c, "ticket and data");
    cluster_check_reset(c->cluster);
    if (size > UINT32_MAX)
        LEAVE(c, error_set(&c->handle.error, QRT_ETOOLARGE, "a proposed value holds at most %u bytes, not %zu",
                           COMMAND_VALUE_MAX, size));
    LEAVE(c, cluster_propose(c->cluster, node, bytes_of(data, size), ticket, &c->handle.error));
}

QRT_API qrt_status qrt_cluster_elect(qrt_cluster *c, uint16_t node, uint64_t *ticket) {
    ENTER(c);
    if (!ticket) return missing(c, "ticket");
    cluster_check_reset(c->cluster);
    LEAVE(c, cluster_elect(c->cluster, node, ticket, &c->handle.error));
}

QRT_API qrt_status qrt_cluster_propose_many(qrt_cluster *c, uint16_t node, const uint8_t *data, const uint32_t *sizes,
                                            size_t count, uint64_t *first) {
    ENTER(c);
    uint64_t total = 0;
    for (size_t i = 0; sizes && i < count; i++) total += sizes[i];
    if (!first || (count && !sizes) || (total && !data)) return missing(c, "first, sizes and data");
    cluster_check_reset(c->cluster);
    qrt_status s = QRT_OK;
    *first = c->cluster->proposal_count + 1;
    for (size_t i = 0; i < count && !s; i++) {
        uint64_t ticket;
        s = cluster_propose(c->cluster, node, bytes_of(data, sizes[i]), &ticket, &c->handle.error);
        if (sizes[i]) data += sizes[i];
    }
    LEAVE(c, s);
}

/* The answer's bytes are copied into the handle, where they live until its next call. */
static qrt_status keep_result(qrt_cluster *c, qrt_status s, qrt_result *r) {
    if (s == QRT_OK) {
        buffer_clear(&c->result);
        buffer_append(&c->result, r->data, r->size);
        r->data = (const uint8_t *)buffer_text(&c->result);
    }
    return handle_leave(&c->handle, s);
}

QRT_API qrt_status qrt_cluster_await(qrt_cluster *c, uint64_t ticket, int64_t until_ns, qrt_result *result) {
    ENTER(c);
    if (!result) return missing(c, "result");
    cluster_check_reset(c->cluster);
    return keep_result(c, cluster_await(c->cluster, ticket, until_ns, c->handle.slice_ns, result, &c->handle.error),
                       result);
}

QRT_API qrt_status qrt_cluster_result(qrt_cluster *c, uint64_t ticket, qrt_result *result) {
    ENTER(c);
    if (!result) return missing(c, "result");
    return keep_result(c, cluster_result(c->cluster, ticket, result, &c->handle.error), result);
}

/* ---- transactions ---- */

QRT_API qrt_status qrt_cluster_transact(qrt_cluster *c, uint16_t coordinator, const qrt_participant *participants,
                                        size_t count, uint64_t *ticket) {
    ENTER(c);
    if (!ticket || (count && !participants)) return missing(c, "ticket and participants");
    for (size_t i = 0; i < count; i++)
        if (participants[i].size && !participants[i].work) return missing(c, "a participant's work");
    cluster_check_reset(c->cluster);
    LEAVE(c, cluster_transact(c->cluster, coordinator, participants, count, ticket, &c->handle.error));
}

QRT_API qrt_status qrt_cluster_transaction_await(qrt_cluster *c, uint64_t ticket, int64_t until_ns) {
    ENTER(c);
    cluster_check_reset(c->cluster);
    LEAVE(c, cluster_transaction_await(c->cluster, ticket, until_ns, c->handle.slice_ns, &c->handle.error));
}

QRT_API const char *qrt_cluster_transaction(qrt_cluster *c, uint64_t ticket) {
    if (handle_enter(c ? &c->handle : NULL, HANDLE_CLUSTER)) return NULL;
    const char *text = report_transaction(c->cluster, ticket, &c->handle.error);
    handle_leave(&c->handle, QRT_OK);
    return text;
}

QRT_API qrt_status qrt_client_new(qrt_cluster *c, uint16_t *client) {
    ENTER(c);
    if (!client) return missing(c, "client");
    *client = c->cluster->class->client(c->cluster->runtime, NULL, 0);
    LEAVE(c, QRT_OK);
}

static qrt_status validate(const qrt_command *m, struct error *e) {
    if ((m->key_size && !m->key) || (m->value_size && !m->value) || (m->expected_size && !m->expected))
        return error_set(e, QRT_EINVAL, "a command's key, value or expected value has a size but is NULL");
    if (!command_name(m->operation)) return error_set(e, QRT_EINVAL, "there is no operation number %u", m->operation);
    if (m->key_size > COMMAND_KEY_MAX)
        return error_set(e, QRT_ETOOLARGE, "a key holds at most %u bytes, not %zu", COMMAND_KEY_MAX, m->key_size);
    if (m->value_size > COMMAND_VALUE_MAX || m->expected_size > COMMAND_VALUE_MAX)
        return error_set(e, QRT_ETOOLARGE, "a value holds at most %u bytes, not %zu", COMMAND_VALUE_MAX,
                         m->value_size > m->expected_size ? m->value_size : m->expected_size);
    return QRT_OK;
}

QRT_API qrt_status qrt_client_submit(qrt_cluster *c, uint16_t client, const qrt_command *m, uint64_t *ticket) {
    ENTER(c);
    if (!m || !ticket) return missing(c, "command and ticket");
    cluster_check_reset(c->cluster);
    qrt_status s = validate(m, &c->handle.error);
    if (s) LEAVE(c, s);
    struct command command = {m->operation, m->expected != NULL, bytes_of(m->key, m->key_size),
                              bytes_of(m->value, m->value_size), bytes_of(m->expected, m->expected_size)};
    struct buffer encoded = {0};
    command_encode(&command, &encoded);
    uint8_t kind = command_is_read(m->operation) ? CLIENT_READ : CLIENT_WRITE;
    s = cluster_submit(c->cluster, client, kind, bytes_of(encoded.data, encoded.size), ticket, &c->handle.error);
    buffer_free(&encoded);
    LEAVE(c, s);
}

QRT_API qrt_status qrt_client_submit_raw(qrt_cluster *c, uint16_t client, bool read, const uint8_t *data, size_t size,
                                         uint64_t *ticket) {
    ENTER(c);
    if (!ticket || (size && !data)) return missing(c, "ticket and data");
    cluster_check_reset(c->cluster);
    if (size > COMMAND_VALUE_MAX)
        LEAVE(c, error_set(&c->handle.error, QRT_ETOOLARGE, "a command holds at most %u bytes, not %zu",
                           COMMAND_VALUE_MAX, size));
    LEAVE(c, cluster_submit(c->cluster, client, read ? CLIENT_READ : CLIENT_WRITE, bytes_of(data, size), ticket,
                            &c->handle.error));
}

QRT_API qrt_status qrt_cluster_load(qrt_cluster *c, const char *json) {
    ENTER(c);
    if (!json) return missing(c, "workload_json");
    struct workload w;
    cluster_check_reset(c->cluster);
    workload_standard(&w, c->cluster->config.machine->name);
    qrt_status s = workload_parse(&w, bytes_text(json), &c->handle.error);
    if (!s) s = cluster_load(c->cluster, &w, &c->handle.error);
    LEAVE(c, s);
}

QRT_API qrt_status qrt_cluster_load_stop(qrt_cluster *c) {
    ENTER(c);
    c->cluster->class->stop_clients(c->cluster->runtime);
    LEAVE(c, QRT_OK);
}

QRT_API const char *qrt_cluster_load_report(qrt_cluster *c) {
    if (handle_enter(c ? &c->handle : NULL, HANDLE_CLUSTER)) return NULL;
    const char *text = report_load(c->cluster);
    handle_leave(&c->handle, QRT_OK);
    return text;
}

/* ---- faults ---- */

static qrt_status apply_plan(qrt_cluster *c, struct plan *plan) {
    struct cluster *k = c->cluster;
    cluster_check_reset(k);
    qrt_status status = k->class->fault(k->runtime, plan, &c->handle.error);
    plan_free(plan);
    return handle_leave(&c->handle, status);
}

QRT_API qrt_status qrt_cluster_fault(qrt_cluster *c, const char *json) {
    ENTER(c);
    if (!json) return missing(c, "directive_json");
    struct directive d;
    struct plan plan = {0};
    qrt_status s = directive_parse(&d, bytes_text(json), (uint16_t)c->cluster->config.options.nodes, &c->handle.error);
    if (s) LEAVE(c, s);
    plan_add(&plan, &d);
    return apply_plan(c, &plan);
}

QRT_API qrt_status qrt_cluster_plan(qrt_cluster *c, const char *json) {
    ENTER(c);
    if (!json) return missing(c, "plan_json");
    struct plan plan = {0};
    qrt_status s = plan_parse(&plan, bytes_text(json), (uint16_t)c->cluster->config.options.nodes, &c->handle.error);
    if (s) {
        plan_free(&plan);
        LEAVE(c, s);
    }
    return apply_plan(c, &plan);
}

/* ---- verdicts ---- */

QRT_API qrt_status qrt_cluster_check(qrt_cluster *c, double seconds, size_t memory) {
    ENTER(c);
    LEAVE(c, cluster_check(c->cluster, seconds, memory, c->handle.slice_ns, &c->handle.error));
}

QRT_API const char *qrt_cluster_report(qrt_cluster *c) {
    if (handle_enter(c ? &c->handle : NULL, HANDLE_CLUSTER)) return NULL;
    bool there = c->cluster->report.size > 0;
    if (!there) error_set(&c->handle.error, QRT_EINVAL, "nothing was checked yet; call qrt_cluster_check first");
    handle_leave(&c->handle, QRT_OK);
    return there ? (const char *)c->cluster->report.data : NULL;
}

QRT_API qrt_status qrt_cluster_hash(qrt_cluster *c, uint64_t *hash, uint64_t *events) {
    ENTER(c);
    const struct trace *t = c->cluster->class->trace(c->cluster->runtime);
    if (hash) *hash = trace_hash(t);
    if (events) *events = t->count;
    LEAVE(c, QRT_OK);
}
