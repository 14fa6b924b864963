#include "cluster/cluster.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/stopwatch.h"

#define FULL_PAUSE_NS 50000000 /* before a proposal that met a full disk is made again */

struct trace_sink cluster_sink(struct cluster *c, bool live) {
    const struct protocol *p = c->config.protocol;
    if (!c->checkers) return (struct trace_sink){0};
    struct trace_sink sink = checkers_sink(c->checkers);
    if (!live || !p->bound) return sink;
    c->bounds = bounds_new(p->model, (uint16_t)c->config.options.nodes, p->bound(c->protocol_options), sink);
    return bounds_sink(c->bounds);
}

static const char *judged_by(const struct cluster *c) {
    const struct protocol *p = c->config.protocol;
    return p->judged_as ? p->judged_as(c->protocol_options) : p->judged_by;
}

bool cluster_promises_linearizability(const struct cluster *c) {
    const struct protocol *p = c->config.protocol;
    return !p->values && (!p->judged_as || text_lists(judged_by(c), "linearizability"));
}

static void new_checkers(struct cluster *c) {
    uint16_t members[FAULT_NODES_MAX];
    uint16_t n = (uint16_t)c->config.options.nodes;
    for (uint16_t i = 0; i < n; i++) members[i] = (uint16_t)(i + 1);
    c->checkers = checkers_new(&(struct check_config){.members = members,
                                                      .member_count = n,
                                                      .fixed_members = true,
                                                      .quorum = quorum_rule_writes,
                                                      .rule = &c->config.quorum,
                                                      .rule_size = sizeof c->config.quorum,
                                                      .judged_by = judged_by(c)});
}

/* ---- making one ---- */

static qrt_status find_bug(struct cluster *c, struct error *e) {
    const char *wanted = c->config.options.bug;
    const struct bug *bugs = c->config.protocol->bugs;
    const char *known[64];
    size_t count = 0;
    if (!*wanted) return QRT_OK;
    for (; bugs && bugs[count].name && count < 64; count++) {
        known[count] = bugs[count].name;
        if (!strcmp(wanted, bugs[count].name)) {
            c->config.bugs = 1ull << count;
            return QRT_OK;
        }
    }
    const char *nearest = option_nearest(wanted, known, count);
    return error_set(e, QRT_ENOTFOUND, "%s has no switchable mistake '%s'%s%s%s; `quorate bugs` lists them",
                     c->config.protocol->name, wanted, nearest ? "; did you mean '" : "", nearest ? nearest : "",
                     nearest ? "'?" : "");
}

static qrt_status find_machine(struct cluster *c, const struct machine_class *own, struct error *e) {
    if (own) {
        c->machine = *own;
        snprintf(c->machine_name, sizeof c->machine_name, "%s", own->name ? own->name : "custom");
        c->machine.name = c->machine_name;
        c->config.machine = &c->machine;
        return QRT_OK;
    }
    c->config.machine = machine_find(c->config.options.machine);
    if (c->config.machine) return QRT_OK;
    const char *known[16];
    size_t count = 0;
    for (; count < 16 && machine_at(count); count++) known[count] = machine_at(count)->name;
    const char *nearest = option_nearest(c->config.options.machine, known, count);
    return error_set(e, QRT_ENOTFOUND, "there is no state machine '%s'%s%s%s", c->config.options.machine,
                     nearest ? "; did you mean '" : "; there are kv, register, counter, lock", nearest ? nearest : "",
                     nearest ? "'?" : "");
}

/* Options that are each in range, and whose values do not go together. */
static qrt_status options_fit(const struct cluster *c, struct error *e) {
    const struct cluster_options *o = &c->config.options;
    const struct protocol *p = c->config.protocol;
    bool live = o->runtime == RUNTIME_LIVE;
    if (o->transport && !live)
        return error_set(e, QRT_EINVAL,
                         "transport=ipc and transport=tcp make the nodes of a live cluster processes: they need "
                         "runtime=live");
    if ((*o->log || o->metrics >= 0) && !live)
        return error_set(e, QRT_EINVAL, "log= and metrics= are of live clusters: they need runtime=live");
    if (o->disk == DISK_FOLDER && !*o->data)
        return error_set(e, QRT_EINVAL, "disk=folder needs data=, the folder to put the nodes' data into");
    if (o->disk == DISK_FOLDER && !live)
        return error_set(e, QRT_EINVAL, "disk=folder is of live clusters: it needs runtime=live");
    if (o->disk != DISK_FOLDER && *o->data)
        return error_set(e, QRT_EINVAL, "data= needs disk=folder: without it nothing is kept in that folder");
    return p->fits ? p->fits(c->protocol_options, (uint16_t)o->nodes, e) : QRT_OK;
}

static qrt_status set_options(struct cluster *c, const struct setting *settings, size_t count, struct error *e) {
    struct option_table tables[2] = {cluster_option_table, c->config.protocol->options};
    void *places[2] = {&c->config.options, c->protocol_options};
    for (int i = 0; i < 2; i++)
        if (tables[i].specs) option_defaults(&tables[i], places[i]);
    for (size_t i = 0; i < count; i++) {
        if (!settings[i].name || !settings[i].value)
            return error_set(e, QRT_EINVAL, "option number %zu has no name or no value", i + 1);
        qrt_status s = option_set(tables, places, tables[1].specs ? 2 : 1, settings[i].name, settings[i].value, e);
        if (s) return s;
    }
    return options_fit(c, e);
}

static qrt_status set_quorum(struct cluster *c, struct error *e) {
    const struct protocol *p = c->config.protocol;
    const char *text = c->config.options.quorum;
    uint32_t nodes = (uint32_t)c->config.options.nodes;
    if (!p->votes && strcmp(text, "majority"))
        return error_set(e, QRT_EUNSUPPORTED, "%s takes no rule of quorums: leave quorum=%s out", p->name, text);
    if (p->voters) nodes = p->voters(c->protocol_options, (uint16_t)nodes);
    qrt_status s = quorum_rule_parse(text, nodes, &c->config.quorum, e);
    return s ? s : quorum_rule_validate(&c->config.quorum, p->quorum_needs, e);
}

struct cluster *cluster_new(const char *protocol, const struct setting *settings, size_t count,
                            const struct machine_class *machine, struct error *e) {
    return cluster_new_with(protocol, settings, count, machine, &(struct cluster_extras){0}, e);
}

/* A script's handlers run on the thread that its interpreter lends them, and on no other. */
static qrt_status check_live_script(const struct cluster *c, const struct launch *launch, struct error *e) {
    if (c->config.options.transport == TRANSPORT_INPROC)
        return error_set(e, QRT_EUNSUPPORTED,
                         "the nodes of a live cluster with transport=inproc are threads, and a script is called on no "
                         "thread but yours; use transport=\"tcp\" or \"ipc\", where each node is an interpreter of its "
                         "own, or runtime=\"sim\"");
    if (launch && launch->argv) return QRT_OK;
    return error_set(e, QRT_EUNSUPPORTED,
                     "this script does not say how an interpreter for a node of a live cluster is started "
                     "(qrt_script.launch); use runtime=\"sim\"");
}

struct cluster *cluster_configured(const char *protocol, const struct setting *settings, size_t count,
                                   const struct machine_class *machine, const struct cluster_extras *extras,
                                   struct error *e) {
    struct cluster *c = mem_zero(1, sizeof *c);
    c->config.protocol = extras->protocol ? extras->protocol : protocol_named(protocol ? protocol : "", e);
    if (!c->config.protocol) goto fail;
    c->protocol_options = mem_zero(1, c->config.protocol->options_size);
    c->config.protocol_options = c->protocol_options;
    if (set_options(c, settings, count, e) || find_machine(c, machine, e) || find_bug(c, e)) goto fail;
    if (watch_configure(&c->config.watch, &c->config.options, e) || set_quorum(c, e)) goto fail;
    if (c->config.options.check) new_checkers(c);
    return c;
fail:
    cluster_free(c);
    return NULL;
}

struct cluster *cluster_new_with(const char *protocol, const struct setting *settings, size_t count,
                                 const struct machine_class *machine, const struct cluster_extras *extras,
                                 struct error *e) {
    struct cluster *c = cluster_configured(protocol, settings, count, machine, extras, e);
    if (!c) return NULL;
    c->class = runtime_find((enum runtime_kind)c->config.options.runtime);
    if (!c->class) {
        error_set(e, QRT_EUNSUPPORTED, "this build has no live runtime: build it with -DQUORATE_LIVE=ON and libzmq");
        goto fail;
    }
    if (extras->protocol && c->config.options.runtime == RUNTIME_LIVE && check_live_script(c, extras->launch, e))
        goto fail;
    bool afar = extras->hand && !extras->hand->self;
    if (afar) *c->config.options.capture = 0; /* its nodes' affair */
    if (*c->config.options.capture && cluster_capture(c, extras->protocol || machine, extras->hand, e)) goto fail;
    c->config.launch = extras->launch;
    struct trace_sink sink = cluster_sink(c, c->config.options.runtime == RUNTIME_LIVE && !afar);
    if (extras->wrap) sink = extras->wrap(extras->context, sink);
    c->config.plan = extras->plan;
    c->config.hand = extras->hand;
    c->afar = afar;
    c->runtime = c->class->create(&c->config, sink, e);
    c->config.plan = NULL;
    c->config.hand = NULL;
    if (c->runtime) return c;
fail:
    cluster_free(c);
    return NULL;
}

void cluster_free(struct cluster *c) {
    if (!c) return;
    if (c->runtime) c->class->destroy(c->runtime);
    checkers_free(c->checkers);
    bounds_free(c->bounds);
    linear_free(c->linear);
    free(c->protocol_options);
    free(c->proposals);
    buffer_free(&c->proposal_bytes);
    buffer_free(&c->report);
    buffer_free(&c->text);
    free(c);
}

struct cluster *cluster_fork(struct cluster *c, struct error *e) {
    if (!c->class->clone) {
        error_set(e, QRT_EUNSUPPORTED, "a %s cluster runs in real time and cannot be forked; use runtime=\"sim\"",
                  c->class->name);
        return NULL;
    }
    struct cluster *f = mem_copy(c, sizeof *c);
    f->protocol_options = mem_copy(c->protocol_options, c->config.protocol->options_size);
    f->config.protocol_options = f->protocol_options;
    if (c->config.machine == &c->machine) f->config.machine = &f->machine;
    f->machine.name = f->machine_name;
    f->checkers = c->checkers ? checkers_clone(c->checkers) : NULL;
    f->proposals = mem_copy(c->proposals, c->proposal_count * sizeof *c->proposals);
    f->proposal_capacity = c->proposal_count;
    f->proposal_bytes = f->report = f->text = (struct buffer){0};
    buffer_append(&f->proposal_bytes, c->proposal_bytes.data, c->proposal_bytes.size);
    f->linear = NULL;
    f->runtime = c->class->clone(c->runtime, &f->config, cluster_sink(f, false));
    return f;
}

/* ---- running ---- */

bool cluster_has_leaders(const struct cluster *c) {
    return !c->config.protocol->leaderless || c->config.protocol->elects;
}

/* What stands before the reason of cluster_no_leader, where nobody has asked for a leader. */
static const char *missing(const struct cluster *c) {
    return cluster_has_leaders(c) ? "no leader: " : "";
}

/* The same for who has: some protocols have none. */
static void say_leader_missing(struct cluster *c, char *out, size_t size) {
    char why[ERROR_TEXT_MAX - 192];
    cluster_no_leader(c, why, sizeof why);
    if (cluster_has_leaders(c))
        snprintf(out, size, "no leader: %s", why);
    else
        snprintf(out, size, "no leader: %s needs none; %s", c->config.protocol->name, why);
}

static void describe_timeout(struct cluster *c, const struct condition *condition, const char *text, struct error *e) {
    char why[ERROR_TEXT_MAX - 128];
    if (condition->kind == CONDITION_LEADER) {
        say_leader_missing(c, why, sizeof why);
        error_set(e, QRT_ETIMEOUT, "'%s' did not come true in time; %s", text, why);
    } else if (!c->class->leader(c->runtime)) {
        cluster_no_leader(c, why, sizeof why);
        error_set(e, QRT_ETIMEOUT, "'%s' did not come true in time; %s%s", text, missing(c), why);
    } else {
        error_set(e, QRT_ETIMEOUT, "'%s' did not come true in time, although n%u leads", text,
                  c->class->leader(c->runtime));
    }
}

/* A proposal that was refused, or never reached a leader, has not ended: it is sent on its way as when it is awaited. */
static qrt_status run_ticket(struct cluster *c, uint64_t ticket, int64_t until, int64_t slice_ns, struct error *e) {
    qrt_result result;
    struct error ignored;
    qrt_status s = cluster_await(c, ticket, until, slice_ns, &result, e);
    if (s) return s;
    if (cluster_result(c, ticket, &result, &ignored) == QRT_MORE) return QRT_ETIMEOUT;
    if (e) *e = (struct error){0}; /* how it ended is for cluster_result to say */
    return QRT_OK;
}

qrt_status cluster_run(struct cluster *c, int64_t until, const char *text, int64_t slice_ns, struct error *e) {
    struct condition condition = {0};
    if (text && condition_parse(&condition, text, e)) return e->status;
    qrt_status s = condition.kind == CONDITION_TICKET ? run_ticket(c, condition.value, until, slice_ns, e)
                                                      : c->class->run(c->runtime, until, &condition, slice_ns);
    if (s == QRT_ETIMEOUT) describe_timeout(c, &condition, text, e);
    return s;
}

/* The largest set of up, voting nodes that all reach each other through no partition, by greedy growth from each. */
static uint16_t largest_group(struct cluster *c, const bool *usable, uint16_t n) {
    uint16_t largest = 0;
    for (uint16_t centre = 1; centre <= n; centre++) {
        if (!usable[centre]) continue;
        uint16_t reached = 1;
        for (uint16_t i = 1; i <= n; i++) {
            if (i == centre || !usable[i]) continue;
            if (!c->class->cut(c->runtime, centre, i) && !c->class->cut(c->runtime, i, centre)) reached++;
        }
        if (reached > largest) largest = reached;
    }
    return largest;
}

static bool holds_quorum_to_elect(const struct cluster *c, const bool *usable, uint16_t n) {
    uint64_t set[QUORUM_WORDS] = {0};
    for (uint16_t i = 0; i < n; i++) set[i / 64] |= (uint64_t)usable[i + 1] << i % 64;
    return quorum_rule_met(&c->config.quorum, QUORUM_READ, set);
}

struct census { /* of the nodes, for whoever asks why nobody leads */
    uint16_t up, paused, recovering;
    bool usable[FAULT_NODES_MAX + 1];
    uint64_t term;
    uint16_t followed;            /* by hand: who leads, say those that answer; 0: nobody, or one that answers too */
    char why[ERROR_TEXT_MAX / 2]; /* "; n2: its disk failed": of the first that is not there; "": not known */
};

static void census_take(struct cluster *c, struct census *s) {
    struct node_view v;
    *s = (struct census){0};
    for (uint16_t i = 1; i <= c->config.options.nodes; i++) {
        c->class->view(c->runtime, i, &v);
        if (!v.up && *v.why_down && !*s->why) snprintf(s->why, sizeof s->why, "; n%u: %.200s", i, v.why_down);
        if (!v.up) continue;
        s->up++;
        if (v.paused) s->paused++;
        bool votes = v.status.role != QRT_ROLE_RECOVERING;
        if (!votes) s->recovering++;
        if (*v.damage && !*s->why) snprintf(s->why, sizeof s->why, "; n%u is damaged: %.180s", i, v.damage);
        s->usable[i] = votes && !v.paused;
        if (v.status.term >= s->term) s->followed = v.status.leader;
        if (v.status.term > s->term) s->term = v.status.term;
    }
    if (!c->afar || s->followed > c->config.options.nodes) s->followed = 0;
    if (!s->followed) return;
    c->class->view(c->runtime, s->followed, &v);
    if (v.up) s->followed = 0;
}

void cluster_no_leader(struct cluster *c, char *out, size_t size) {
    const char *there = c->afar ? "answer" : "are up";
    uint16_t n = (uint16_t)c->config.options.nodes, needed = quorum_rule_report(&c->config.quorum).read;
    struct census s;
    census_take(c, &s);
    uint16_t group = largest_group(c, s.usable, n);
    if (s.up < needed)
        snprintf(out, size, "%u of %u nodes %s, %u are needed%s", s.up, n, there, needed, s.why);
    else if (s.up - s.paused < needed)
        snprintf(out, size, "%u of %u nodes %s but %u of them %s paused, %u are needed", s.up, n, there, s.paused,
                 s.paused == 1 ? "is" : "are", needed);
    else if (s.up - s.paused - s.recovering < needed)
        snprintf(out, size, "%u of %u nodes %s but %u of them lost %s data and may not vote yet, %u are needed%s", s.up,
                 n, there, s.recovering, s.recovering == 1 ? "its" : "their", needed, s.why);
    else if (group < needed)
        snprintf(out, size,
                 "%u of %u nodes %s, but no node reaches more than %u of them through the partition, %u are needed",
                 s.up, n, there, group, needed);
    else if (!holds_quorum_to_elect(c, s.usable, n))
        snprintf(out, size, "the %u of %u nodes that %s hold no quorum of quorum=%s", s.up, n, there,
                 c->config.options.quorum);
    else if (s.followed)
        snprintf(out, size, "%u of %u nodes %s and follow n%u, which this client does not reach%s", s.up, n, there,
                 s.followed, s.why);
    else if (c->config.protocol->elects)
        snprintf(out, size, "%u of %u nodes %s and reach each other; one leads once it is asked to elect", s.up, n,
                 there);
    else if (c->config.protocol->leaderless)
        snprintf(out, size, "%u of %u nodes %s and reach each other", s.up, n, there);
    else
        snprintf(out, size, "%u of %u nodes %s and reach each other; an election is under way in term %llu", s.up, n,
                 there, (unsigned long long)s.term);
}

bool cluster_full(struct cluster *c, char *out, size_t size) {
    struct node_view v;
    uint16_t count = 0;
    size_t length = 0;
    char alone[ERROR_TEXT_MAX / 2] = "";
    for (uint16_t i = 1; i <= c->config.options.nodes && length < size; i++) {
        c->class->view(c->runtime, i, &v);
        if (!v.up || !view_full_text(&v, alone, sizeof alone)) continue;
        length += (size_t)snprintf(out + length, size - length, count++ ? ", n%u" : "the disks of n%u", i);
    }
    if (count == 1) snprintf(out, size, "%s", alone);
    if (count > 1 && length < size)
        snprintf(out + length, size - length, " are full: make room there; they still vote");
    return count != 0;
}

/* "; the disk of n1 is full ...", or "" where none is. */
static const char *full_too(struct cluster *c, char *out, size_t size) {
    memcpy(out, "; ", 3);
    return cluster_full(c, out + 2, size - 2) ? out : "";
}

/* Nodes by hand that all know of no such key answer nobody who has it: there is nothing to wait for. */
static bool denied(struct cluster *c, struct error *e) {
    uint16_t who = 0;
    char why[ERROR_TEXT_MAX - 64] = "";
    for (uint16_t i = 1; i <= c->config.options.nodes && c->afar; i++) {
        struct node_view v;
        c->class->view(c->runtime, i, &v);
        if (v.up) return false;
        if (!v.denied || who) continue;
        who = i;
        snprintf(why, sizeof why, "%.400s", v.why_down);
    }
    if (who) error_set(e, QRT_EDENIED, "no node answers; n%u: %s", who, why);
    return who != 0;
}

qrt_status cluster_leader(struct cluster *c, uint16_t *node, struct error *e) {
    *node = c->class->leader(c->runtime);
    if (*node) return QRT_OK;
    char why[ERROR_TEXT_MAX - 64];
    say_leader_missing(c, why, sizeof why);
    return error_set(e, QRT_ENOLEADER, "%s", why);
}

/* ---- proposals and operations ---- */

static struct proposal *add_proposal(struct cluster *c) {
    c->proposals = mem_grow(c->proposals, &c->proposal_capacity, c->proposal_count + 1, sizeof *c->proposals);
    struct proposal *p = &c->proposals[c->proposal_count++];
    *p = (struct proposal){.made = c->class->now(c->runtime), .tried = -1};
    return p;
}

static struct bytes bytes_of_proposal(const struct cluster *c, const struct proposal *p) {
    return bytes_of(c->proposal_bytes.data ? c->proposal_bytes.data + p->offset : NULL, p->size);
}

/* Where a proposal without a node goes: to the leader, or to any that takes it; 0: nowhere yet. */
static uint16_t proposal_target(struct cluster *c) {
    uint16_t leader = c->class->leader(c->runtime);
    if (leader || !c->config.protocol->leaderless) return leader;
    for (uint16_t i = 1; i <= c->config.options.nodes; i++) {
        struct node_view v;
        c->class->view(c->runtime, i, &v);
        bool takes = v.status.role != QRT_ROLE_RECOVERING && v.status.role != QRT_ROLE_NONE;
        if (v.up && !v.paused && takes) return i;
    }
    return 0;
}

qrt_status cluster_propose(struct cluster *c, uint16_t node, struct bytes data, uint64_t *ticket, struct error *e) {
    if (node > c->config.options.nodes)
        return error_set(e, QRT_ENOTFOUND, "there is no node %u; nodes are 1 to %lld", node,
                         (long long)c->config.options.nodes);
    if (node && c->afar)
        return error_set(e, QRT_EUNSUPPORTED, "a client of nodes by hand proposes where they lead: leave the node out");
    if (data.size > COMMAND_VALUE_MAX)
        return error_set(e, QRT_ETOOLARGE, "a proposed value holds at most %u bytes, not %u", COMMAND_VALUE_MAX,
                         data.size);
    if (denied(c, e)) return QRT_EDENIED;
    uint16_t target = node ? node : proposal_target(c);
    uint64_t inner = 0;
    if (target && c->class->propose(c->runtime, target, data, &inner) && node)
        return error_set(e, QRT_EDOWN, "n%u is down or paused and takes no proposals", node);
    struct proposal *p = add_proposal(c);
    p->node = node;
    p->inner = inner;
    p->offset = (uint32_t)c->proposal_bytes.size;
    p->size = data.size;
    buffer_append(&c->proposal_bytes, data.data, data.size);
    *ticket = c->proposal_count;
    return QRT_OK;
}

qrt_status cluster_elect(struct cluster *c, uint16_t node, uint64_t *ticket, struct error *e) {
    if (c->config.protocol->elects) return cluster_propose(c, node, bytes_text("elect"), ticket, e);
    return error_set(e, QRT_EUNSUPPORTED, "%s has no elections to ask for; timestamp, bully and ring have%s",
                     c->config.protocol->name, c->config.protocol->leaderless ? "" : ", here wait for the leader");
}

qrt_status cluster_submit(struct cluster *c, uint16_t client, uint8_t operation, struct bytes command, uint64_t *ticket,
                          struct error *e) {
    uint64_t inner = 0;
    if (denied(c, e)) return QRT_EDENIED;
    qrt_status s = c->class->submit(c->runtime, client, operation, command, &inner);
    if (s == QRT_EBUSY)
        return error_set(e, s, "client %u still waits for its last operation; one at a time", client - QRT_CLIENT);
    if (s == QRT_ENOTFOUND) return error_set(e, s, "there is no client %u; qrt_client_new makes one", client);
    if (s) return error_set(e, s, "client %u cannot send that: %s", client, status_text(s));
    struct proposal *p = add_proposal(c);
    p->inner = inner;
    *ticket = c->proposal_count;
    return QRT_OK;
}

/* Where nobody needs to lead, a node that refuses has lost its data, or has no part in proposing. */
static void say_refusal(const struct ticket *t, bool leaderless, struct error *e) {
    if (leaderless && t->leader)
        error_set(e, t->status, "n%u takes no proposals: it lost its data, or only accepts; propose at n%u", t->node,
                  t->leader);
    else if (leaderless)
        error_set(e, t->status, "n%u takes no proposals: it lost its data, or only accepts", t->node);
    else if (t->leader)
        error_set(e, t->status, "n%u does not lead; it believes that n%u does", t->node, t->leader);
    else
        error_set(e, t->status, "n%u does not lead and knows of no leader", t->node);
}

static void say_result(const struct ticket *t, const struct protocol *p, struct error *e) {
    bool client = t->node > QRT_CLIENT, leaderless = p->leaderless;
    if (t->status == QRT_OK) return;
    if (t->status == QRT_EUNSUPPORTED && client && p->values)
        error_set(e, t->status, "%s decides values and runs no state machine: propose instead", p->name);
    else if (t->status == QRT_EUNKNOWN && client)
        error_set(e, t->status,
                  "the operation of client %u was sent but not answered: it may or may not have been executed",
                  t->node - QRT_CLIENT);
    else if (t->status == QRT_EUNKNOWN)
        error_set(e, t->status,
                  "n%u took the proposal but did not live, or lead, to see it committed: it may or may not be",
                  t->node);
    else if (t->status == QRT_ENOTLEADER)
        say_refusal(t, leaderless, e);
    else if (t->unsent)
        error_set(e, t->status, "the operation of client %u was not sent, and so not executed", t->node - QRT_CLIENT);
    else
        error_set(e, t->status, "%s", status_text(t->status));
}

static void say_unsent(struct cluster *c, const struct ticket *t, struct error *e) {
    char why[ERROR_TEXT_MAX / 2], full[ERROR_TEXT_MAX / 2 - 96];
    uint16_t leader = c->class->leader(c->runtime);
    snprintf(why, sizeof why, "n%u leads, and has not opened a session for it in time", leader);
    if (!leader) cluster_no_leader(c, why, sizeof why);
    error_set(e, t->status, "the operation of client %u was not sent, and so not executed: %s%s", t->node - QRT_CLIENT,
              why, full_too(c, full, sizeof full));
}

/* A client's operation that nobody took, a read without an answer, or one that a node declined. */
static void say_not_executed(struct cluster *c, const struct ticket *t, struct error *e) {
    char why[ERROR_TEXT_MAX - 256] = "";
    uint16_t leader = c->class->leader(c->runtime);
    bool headless = !leader && !c->config.protocol->leaderless;
    char full[ERROR_TEXT_MAX / 2];
    if (headless) cluster_no_leader(c, why, sizeof why);
    error_set(e, t->status, "the operation of client %u was not executed%s%s%s", t->node - QRT_CLIENT,
              headless ? "; no leader: " : ": nobody answered in time, or a node refused", why,
              full_too(c, full, sizeof full));
}

static void say_full(struct cluster *c, const struct ticket *t, struct error *e) {
    char full[ERROR_TEXT_MAX / 2];
    if (cluster_full(c, full, sizeof full)) error_set(e, t->status, "n%u refused: %s", t->node, full);
}

/* What a client is told that was not answered. */
static void say_full_too(struct cluster *c, struct error *e) {
    char full[ERROR_TEXT_MAX / 2];
    size_t length = strlen(e->text);
    snprintf(e->text + length, sizeof e->text - length, "%s", full_too(c, full, sizeof full));
}

static struct proposal *proposal_at(struct cluster *c, uint64_t ticket) {
    return ticket >= 1 && ticket <= c->proposal_count ? &c->proposals[ticket - 1] : NULL;
}

/* A refusal by a node that turned out not to lead, or has no room for it, sends the proposal on its way again. */
static bool refused(const struct proposal *p, const struct ticket *t) {
    return p->node == 0 && t->node < QRT_CLIENT && t->done &&
           (t->status == QRT_ENOTLEADER || t->status == QRT_ENOLEADER || (t->status == QRT_EFULL && !t->leader));
}

qrt_status cluster_result(struct cluster *c, uint64_t ticket, qrt_result *result, struct error *e) {
    struct proposal *p = proposal_at(c, ticket);
    if (!p) return error_set(e, QRT_ENOTFOUND, "there is no ticket %llu", (unsigned long long)ticket);
    struct ticket t;
    struct bytes data;
    *result = (qrt_result){.status = QRT_MORE};
    if (!p->inner || !c->class->ticket(c->runtime, p->inner, &t, &data)) return QRT_MORE;
    if (refused(p, &t)) p->inner = 0;
    if (!p->inner && t.status == QRT_EFULL) p->pause = c->class->now(c->runtime) + FULL_PAUSE_NS;
    if (!t.done || !p->inner) return QRT_MORE;
    /* Live, all that is answered within a burst has the time of its beginning. */
    int64_t latency = t.answered > p->made ? t.answered - p->made : 0;
    uint16_t who = c->afar && t.leader ? t.leader : t.node; /* a client proposed it; people mean the node */
    *result = (qrt_result){t.status, who, t.leader, t.term, t.index, latency, data.data, data.size};
    say_result(&t, c->config.protocol, e);
    if (t.status == QRT_EFULL && !t.leader) say_full(c, &t, e);
    if (t.status == QRT_EUNKNOWN && t.node > QRT_CLIENT && e) say_full_too(c, e);
    if (t.status == QRT_EFAILED && t.node > QRT_CLIENT) say_not_executed(c, &t, e);
    if (t.status == QRT_EINVAL && t.node > QRT_CLIENT)
        error_set(e, t.status, "machine=%s refuses this: it has no such operation, or none with such a value",
                  c->config.machine->name);
    if (t.status == QRT_EDENIED && data.size) /* the node has said why */
        error_set(e, t.status, "%.*s", (int)data.size, (const char *)data.data);
    if (t.unsent && c->afar) say_unsent(c, &t, e);
    return QRT_OK;
}

static void end_unproposed(struct cluster *c, const struct proposal *p, qrt_result *result, struct error *e) {
    char why[ERROR_TEXT_MAX / 2], full[ERROR_TEXT_MAX / 2 - 96];
    int64_t waited = c->class->now(c->runtime) - p->made;
    bool refused = cluster_full(c, full, sizeof full) && c->class->leader(c->runtime);
    *result = (qrt_result){.status = refused ? QRT_EFULL : QRT_ENOLEADER, .latency_ns = waited};
    if (refused) {
        error_set(e, QRT_EFULL, "%s; nothing was proposed", full);
        return;
    }
    cluster_no_leader(c, why, sizeof why);
    error_set(e, QRT_ENOLEADER, "%s%s%s; nothing was proposed", missing(c), why, full_too(c, full, sizeof full));
}

static void end_unanswered(struct cluster *c, const struct proposal *p, qrt_result *result, struct error *e) {
    struct ticket t = {0};
    struct bytes data;
    char why[ERROR_TEXT_MAX / 2] = "", full[ERROR_TEXT_MAX / 2 - 64];
    uint16_t leader = c->class->leader(c->runtime);
    c->class->ticket(c->runtime, p->inner, &t, &data);
    *result = (qrt_result){.status = QRT_EUNKNOWN, .node = t.node, .latency_ns = c->class->now(c->runtime) - p->made};
    if (!leader) cluster_no_leader(c, why, sizeof why);
    const char *and = leader ? "" : "; ", *none = leader ? "" : missing(c), *room = full_too(c, full, sizeof full);
    if (t.node > QRT_CLIENT)
        error_set(e, QRT_EUNKNOWN, "client %u was not answered in time; the operation may still be executed%s%s%s%s",
                  t.node - QRT_CLIENT, and, none, why, room);
    else
        error_set(e, QRT_EUNKNOWN, "n%u has not committed the proposal in time; it still may%s%s%s%s", t.node, and,
                  none, why, room);
}

qrt_status cluster_await(struct cluster *c, uint64_t ticket, int64_t until, int64_t slice_ns, qrt_result *result,
                         struct error *e) {
    int64_t deadline = stopwatch_ns() + slice_ns;
    for (bool ran = false;; ran = true) { /* once at least, however short the slice is */
        qrt_status s = cluster_result(c, ticket, result, e);
        if (s != QRT_MORE) return s;
        struct proposal *p = proposal_at(c, ticket);
        int64_t now = c->class->now(c->runtime);
        bool waits = !p->inner && now < p->pause; /* until somebody may have room */
        uint16_t target = p->inner || waits ? 0 : proposal_target(c);
        bool again = target && p->tried == now;
        p->tried = target ? now : p->tried;
        if (target && !again && c->class->propose(c->runtime, target, bytes_of_proposal(c, p), &p->inner) == QRT_OK)
            continue;
        int64_t left = slice_ns ? deadline - stopwatch_ns() : 0;
        if (slice_ns && left <= 0) {
            if (ran) return QRT_MORE;
            left = 1;
        }
        if (waits) {
            s = c->class->run(c->runtime, p->pause < until ? p->pause : until, NULL, left);
            if (s == QRT_MORE) return s;
            if (p->pause < until) continue;
            end_unproposed(c, p, result, e);
            return QRT_OK;
        }
        bool anyone = !p->inner && (again || c->config.protocol->leaderless); /* then something must happen first */
        struct condition condition = {p->inner ? CONDITION_TICKET : CONDITION_LEADER, 0, p->inner};
        if (anyone) condition = (struct condition){CONDITION_EVENTS, 0, c->class->trace(c->runtime)->count + 64};
        s = c->class->run(c->runtime, until, &condition, left);
        if (s == QRT_MORE) return s;
        if (s != QRT_ETIMEOUT) continue;
        if (p->inner && c->class->withdraw) {
            c->class->withdraw(c->runtime, p->inner);
            s = cluster_result(c, ticket, result, e);
            if (s != QRT_MORE) return s;
        }
        if (p->inner)
            end_unanswered(c, p, result, e);
        else
            end_unproposed(c, p, result, e);
        return QRT_OK;
    }
}

qrt_status cluster_load(struct cluster *c, const struct workload *w, struct error *e) {
    if (c->config.machine == &c->machine)
        return error_set(
            e, QRT_EUNSUPPORTED,
            "workloads speak the built-in machines' commands; use c.client().call() on a machine of your own");
    bool values = !strcmp(w->machine, "values");
    if (!values && c->config.protocol->elects)
        return error_set(e, QRT_EUNSUPPORTED,
                         "%s elects and runs no state machine: give the workload machine=\"values\", "
                         "and each operation asks for an election",
                         c->config.protocol->name);
    if (values != c->config.protocol->values)
        return error_set(e, QRT_EUNSUPPORTED,
                         values ? "%s runs a state machine: a workload of proposals is for protocols that decide values"
                                : "%s decides values and runs no state machine: give the workload machine=\"values\"",
                         c->config.protocol->name);
    c->workload = *w;
    c->loaded = true;
    for (uint32_t i = 0; i < w->clients; i++) {
        uint64_t share = w->operations / w->clients + (i < w->operations % w->clients);
        if (w->operations && !share) continue;
        c->class->client(c->runtime, w, share);
    }
    return QRT_OK;
}

/* ---- verdicts ---- */

enum linear_model cluster_linear_model(const struct cluster *c) {
    if (c->config.machine == &c->machine || !cluster_promises_linearizability(c)) return 0;
    if (!strcmp(c->config.machine->name, "kv")) return LINEAR_KV;
    if (!strcmp(c->config.machine->name, "register")) return LINEAR_CAS_REGISTER;
    if (!strcmp(c->config.machine->name, "counter")) return LINEAR_COUNTER;
    if (!strcmp(c->config.machine->name, "lock")) return LINEAR_LOCK;
    return 0;
}

void cluster_check_reset(struct cluster *c) {
    linear_free(c->linear);
    c->linear = NULL;
}

qrt_status cluster_check(struct cluster *c, double seconds, size_t memory, int64_t slice_ns, struct error *e) {
    (void)e;
    enum linear_model model = cluster_linear_model(c);
    c->class->trace(c->runtime); /* live: merges what its nodes have written, which feeds the checkers */
    bool inherited = c->class->inherited && c->class->inherited(c->runtime);
    if (!model || inherited) { /* no model explains reads of what an earlier cluster wrote */
        report_check(c, NULL);
        return QRT_OK;
    }
    if (!c->linear) {
        struct linear_options options = {.model = model, .seconds = seconds > 0 ? seconds : 60, .memory = memory};
        c->linear = linear_new(c->class->history(c->runtime), &options);
    }
    if (!linear_step(c->linear, slice_ns ? slice_ns : INT64_MAX)) return QRT_MORE;
    report_check(c, linear_result(c->linear));
    cluster_check_reset(c);
    return QRT_OK;
}
