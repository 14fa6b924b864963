/* Primary-backup: what a write costs, views and switch-over, what each mode promises, what it refuses. */
#include <jansson.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "protocol/primary.h"
#include "support/campaigns.h"
#include "support/scenario.h"

static struct cluster *primary_backup(const char *options) {
    return scenario_new_of("primary-backup", options);
}

/* One of three nodes, cut off. */
static void isolate(struct cluster *c, uint16_t node) {
    unsigned a = node == 1 ? 2 : 1, b = 6 - node - a;
    scenario_fault(c, "{\"do\": \"partition\", \"groups\": [[%u], [%u, %u]]}", node, a, b);
}

static void take_text(void *context, const char *name, const char *value) {
    const char **wanted = context;
    if (!strcmp(name, wanted[0])) snprintf((char *)(uintptr_t)wanted[1], 64, "%s", value);
}

/* One field of a node's inspection. */
static const char *field_of(struct cluster *c, uint16_t node, const char *name) {
    static char text[64];
    const char *wanted[2] = {name, text};
    text[0] = 0;
    assert_true(c->class->inspect(c->runtime, node, take_text, (void *)wanted));
    return text;
}

static size_t messages_since(struct cluster *c, uint64_t from, uint8_t kind, bool with_entries) {
    const struct trace *t = scenario_trace(c);
    size_t count = 0;
    for (uint64_t i = from; i < t->count; i++) {
        const qrt_event *e = trace_at(t, i);
        if (e->kind != QRT_KIND_SEND || e->detail != kind) continue;
        count += !with_entries || e->index > 0;
    }
    return count;
}

/* PROTOCOLS: 2(n-1) messages a write, off the trace: from the write on, with no heartbeat due before its end. */
static void test_primary_a_write_costs_two_messages_a_backup(void **unused) {
    (void)unused;
    for (int n = 2; n <= 7; n++) {
        char options[96];
        struct error e;
        snprintf(options, sizeof options, "nodes=%d seed=%d election_timeout=20s heartbeat_interval=9s", n, n);
        struct cluster *c = primary_backup(options);
        assert_int_equal(cluster_run(c, 60 * SECOND, "leader", 0, &e), QRT_OK);
        scenario_run(c, 30 * SECOND); /* the first view is complete */
        assert_int_equal(scenario_propose(c, "to have the clients' links up", &e), QRT_OK);
        scenario_run(c, SECOND);
        uint64_t from = scenario_trace(c)->count;
        assert_int_equal(scenario_propose(c, "one write", &e), QRT_OK);
        size_t all = 0;
        for (uint8_t kind = WIRE_REPLICATE_REQUEST; kind <= WIRE_VIEW_REPLY; kind++)
            all += messages_since(c, from, kind, false);
        assert_int_equal(messages_since(c, from, WIRE_REPLICATE_REQUEST, true), n - 1);
        assert_int_equal(all, 2 * (n - 1));
        cluster_free(c);
    }
}

/* Issue: automatic switch-over, the old primary resynchronised; what it had written alone gives way. */
static void test_primary_switches_over_and_takes_the_old_one_back(void **unused) {
    (void)unused;
    struct cluster *c = primary_backup("nodes=3 seed=4 check_quorum=false");
    struct error e;
    uint64_t ticket;
    uint16_t old = scenario_leader(c), new = 0;
    assert_int_equal(scenario_propose(c, "before", &e), QRT_OK);
    isolate(c, old);
    for (int i = 0; i < 3; i++) assert_int_equal(cluster_propose(c, old, bytes_text("alone"), &ticket, &e), QRT_OK);
    scenario_run(c, 2 * SECOND);
    for (uint16_t i = 1; i <= 3; i++)
        if (i != old && scenario_node(c, i).status.role == QRT_ROLE_LEADER) new = i;
    assert_int_not_equal(new, 0);
    assert_true(scenario_node(c, old).status.last > scenario_node(c, old).status.commit); /* fenced */
    uint64_t ticket_new;
    assert_int_equal(cluster_propose(c, new, bytes_text("after"), &ticket_new, &e), QRT_OK);
    scenario_run(c, SECOND);
    scenario_fault(c, "{\"do\": \"heal\"}");
    scenario_run(c, SECOND);
    struct node_view a = scenario_node(c, old), b = scenario_node(c, new);
    assert_int_equal(a.status.role, QRT_ROLE_FOLLOWER);
    assert_int_equal(a.status.applied, b.status.applied);
    assert_int_equal(a.status.last, b.status.last);
    qrt_result r;
    assert_int_equal(cluster_result(c, ticket, &r, &e), QRT_OK);
    assert_int_equal(r.status, QRT_EUNKNOWN); /* never acknowledged, and given up */
    scenario_expect_sound(c, "switch-over");
    cluster_free(c);
}

/* A silent backup leaves the view, by grant of the monitors, and writes go on; back again, it is taken in. */
static void test_primary_removes_and_adds_a_backup(void **unused) {
    (void)unused;
    struct cluster *c = primary_backup("nodes=3 seed=2");
    struct error e;
    uint16_t primary = scenario_leader(c), other = primary == 1 ? 2 : 1;
    scenario_run(c, SECOND);
    assert_string_equal(field_of(c, primary, "in_sync"), "n1 n2 n3");
    scenario_fault(c, "{\"do\": \"crash\", \"node\": %u}", other);
    assert_int_equal(scenario_propose(c, "without it", &e), QRT_OK);
    assert_null(strstr(field_of(c, primary, "in_sync"), other == 1 ? "n1" : "n2"));
    scenario_fault(c, "{\"do\": \"restart\", \"node\": %u}", other);
    scenario_run(c, SECOND);
    assert_string_equal(field_of(c, primary, "in_sync"), "n1 n2 n3");
    scenario_expect_sound(c, "removal");
    cluster_free(c);
}

/* The last view decides who may become the primary: a backup that left it may not, whatever the others do. */
static void test_primary_only_a_member_of_the_last_view_takes_over(void **unused) {
    (void)unused;
    struct cluster *c = primary_backup("nodes=3 seed=6");
    struct error e;
    uint16_t primary = scenario_leader(c), out = primary == 1 ? 2 : 1, in = (uint16_t)(6 - primary - out);
    scenario_fault(c, "{\"do\": \"crash\", \"node\": %u}", out);
    assert_int_equal(scenario_propose(c, "x", &e), QRT_OK);
    scenario_run(c, SECOND);
    scenario_fault(c, "{\"do\": \"crash\", \"node\": %u}", primary);
    scenario_fault(c, "{\"do\": \"pause\", \"node\": %u}", in);
    scenario_fault(c, "{\"do\": \"restart\", \"node\": %u}", out);
    scenario_fault(c, "{\"do\": \"resume\", \"node\": %u}", in);
    assert_int_equal(scenario_leader(c), in); /* a majority is up, and only one of it holds "x" for certain */
    scenario_expect_sound(c, "the last view");
    cluster_free(c);
}

static const struct property *property_of(struct cluster *c, const char *name) {
    size_t count;
    const struct property *p = checkers_properties(c->checkers, &count);
    for (size_t i = 0; i < count; i++)
        if (!strcmp(p[i].name, name)) return &p[i];
    fail_msg("no property %s", name);
    return NULL;
}

/* Issue: "asynchronous: the lost window measured and shown". An isolated primary goes on answering until it hears of
 * its successor; what it answered is lost, counted, and no violation; it applies its new primary's log anew. */
static void test_primary_asynchronous_measures_what_it_loses(void **unused) {
    (void)unused;
    struct cluster *c = primary_backup("nodes=3 seed=5 mode=async check_quorum=false");
    struct error e;
    qrt_result r;
    uint64_t first = 0, ticket = 0;
    uint16_t old = scenario_leader(c);
    assert_int_equal(scenario_propose(c, "before", &e), QRT_OK);
    scenario_run(c, SECOND / 2);
    assert_string_equal(property_of(c, "lost-window")->text, "");
    isolate(c, old);
    for (int i = 0; i < 7; i++) {
        assert_int_equal(cluster_propose(c, old, bytes_text("lost"), &ticket, &e), QRT_OK);
        if (!first) first = ticket;
        scenario_run(c, 10 * MS);
    }
    for (uint64_t t = first; t <= ticket; t++) {
        assert_int_equal(cluster_result(c, t, &r, &e), QRT_OK);
        assert_int_equal(r.status, QRT_OK); /* answered at once */
    }
    scenario_run(c, SECOND);
    scenario_fault(c, "{\"do\": \"heal\"}");
    scenario_run(c, SECOND);
    const struct property *lost = property_of(c, "lost-window");
    assert_int_equal(lost->verdict, VERDICT_OK);
    assert_non_null(strstr(lost->text, "7 answered entries were lost in 1 switch-overs; the widest window: 7 entries"));
    assert_int_equal(property_of(c, "no-acknowledged-write-lost")->verdict, VERDICT_OK);
    assert_int_equal(scenario_node(c, old).status.applied, scenario_node(c, (uint16_t)(old % 3 + 1)).status.applied);
    scenario_expect_sound(c, "asynchronous");
    cluster_free(c);
}

/* With the same story the synchronous primary answers nothing that it then loses. */
static void test_primary_synchronous_answers_nothing_while_isolated(void **unused) {
    (void)unused;
    struct cluster *c = primary_backup("nodes=3 seed=5 check_quorum=false");
    struct error e;
    qrt_result r;
    uint64_t ticket = 0;
    uint16_t old = scenario_leader(c);
    isolate(c, old);
    assert_int_equal(cluster_propose(c, old, bytes_text("unanswered"), &ticket, &e), QRT_OK);
    scenario_run(c, 3 * SECOND);
    assert_int_equal(cluster_result(c, ticket, &r, &e), QRT_MORE);
    scenario_fault(c, "{\"do\": \"heal\"}");
    scenario_run(c, SECOND);
    assert_string_equal(property_of(c, "lost-window")->text, "");
    scenario_expect_sound(c, "synchronous");
    cluster_free(c);
}

/* ---- one instance, by hand ---- */

struct one {
    void *state;
    struct outbox out;
};

static struct one one_new(uint64_t bugs) {
    static const uint16_t members[] = {1, 2, 3};
    static struct primary_options options;
    option_defaults(&protocol_find("primary-backup")->options, &options);
    struct protocol_config config = {
        .node = 1, .members = members, .member_count = 3, .seed = 1, .options = &options, .bugs = bugs};
    struct one o = {.state = protocol_find("primary-backup")->create(&config)};
    o.out.node = 1;
    return o;
}

static void one_free(struct one *o) {
    protocol_find("primary-backup")->destroy(o->state);
    outbox_free(&o->out);
}

static void one_step(struct one *o, const struct event *e) {
    outbox_clear(&o->out);
    protocol_find("primary-backup")->step(o->state, e, &o->out);
}

static void one_start(struct one *o, uint8_t how) {
    struct event e = {.kind = EVENT_START};
    e.as.start.how = how;
    one_step(o, &e);
}

static void one_receive(struct one *o, struct message *m) {
    struct event e = {.kind = EVENT_MESSAGE, .mono = MS};
    m->from = m->from ? m->from : 2;
    m->to = 1;
    e.as.message = m;
    one_step(o, &e);
}

static bool one_rejected(const struct one *o) {
    for (size_t i = 0; i < o->out.count; i++)
        if (o->out.effects[i].kind == FX_NOTE && o->out.effects[i].a == QRT_KIND_REJECT) return true;
    return false;
}

static size_t one_sends(const struct one *o) {
    size_t count = 0;
    for (size_t i = 0; i < o->out.count; i++) count += o->out.effects[i].kind == FX_SEND;
    return count;
}

/* DESIGN: bytes from a peer never crash; they are rejected, counted, and change nothing. */
static void test_primary_rejects_what_no_honest_peer_sends(void **unused) {
    (void)unused;
    const struct protocol *p = protocol_find("primary-backup");
    struct one o = one_new(0);
    one_start(&o, QRT_START_FORMAT);
    struct message bad[] = {
        {.kind = WIRE_REPLICATE_REQUEST}, {.kind = WIRE_REPLICATE_REQUEST},    {.kind = WIRE_REPLICATE_REQUEST},
        {.kind = WIRE_REPLICATE_REPLY},   {.kind = WIRE_EPOCH_REQUEST},        {.kind = WIRE_EPOCH_REPLY},
        {.kind = WIRE_VIEW_REQUEST},      {.kind = WIRE_VIEW_REQUEST},         {.kind = WIRE_VIEW_REPLY},
        {.kind = WIRE_VOTE_REQUEST},      {.kind = WIRE_VIEW_REPLY, .from = 9}};
    bad[1].as.replicate_request = (struct wire_replicate_request){.epoch = 1, .previous_index = 1, .previous_epoch = 2};
    bad[2].as.replicate_request = (struct wire_replicate_request){.epoch = 1, .count = 3};
    bad[3].as.replicate_reply.success = 2;
    bad[4].as.epoch_request = (struct wire_epoch_request){.epoch = 1, .last_epoch = 2};
    bad[5].as.epoch_reply = (struct wire_epoch_reply){.epoch = 1, .in_sync_low = 8}; /* slot 3 of three members */
    bad[6].as.view_request = (struct wire_view_request){.epoch = 1, .version = 1};
    bad[7].as.view_request = (struct wire_view_request){.epoch = 1, .version = 1, .in_sync_low = 1, .in_sync_high = 1};
    bad[8].as.view_reply.epoch = UINT64_MAX;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        uint64_t before = p->fingerprint(o.state);
        one_receive(&o, &bad[i]);
        if (!one_rejected(&o)) fail_msg("message %zu was not rejected", i);
        assert_int_equal(p->fingerprint(o.state), before);
    }
    one_free(&o);
}

/* PacificA 3.2: a monitor promises an epoch to one, tells its view, and accepts no view of an earlier epoch after it;
 * what it says stands behind the record of it. */
static void test_primary_a_monitor_promises_once_and_refuses_older_views(void **unused) {
    (void)unused;
    struct one o = one_new(0);
    one_start(&o, QRT_START_FORMAT);
    struct message ask = {.kind = WIRE_EPOCH_REQUEST}, view = {.kind = WIRE_VIEW_REQUEST};
    ask.as.epoch_request.epoch = 5;
    one_receive(&o, &ask);
    size_t persisted = SIZE_MAX, sent = 0;
    for (size_t i = 0; i < o.out.count; i++) {
        if (o.out.effects[i].kind == FX_PERSIST) persisted = i;
        if (o.out.effects[i].kind == FX_SEND) sent = i;
    }
    assert_true(persisted < sent);
    assert_int_equal(o.out.effects[sent].flags, 0);
    struct primary *p = o.state;
    assert_int_equal(p->epoch, 5);
    assert_int_equal(p->vote, 2);
    ask.from = 3; /* the same epoch, another candidate */
    one_receive(&o, &ask);
    assert_int_equal(p->vote, 2);
    view.as.view_request = (struct wire_view_request){.epoch = 4, .version = 9, .in_sync_low = 3};
    one_receive(&o, &view);
    assert_int_equal(p->view.epoch, 0);
    assert_int_equal(one_sends(&o), 1); /* it is told of epoch 5 */
    view.as.view_request.epoch = 5;
    one_receive(&o, &view);
    assert_int_equal(p->view.version, 9);
    view.as.view_request.version = 8; /* late */
    one_receive(&o, &view);
    assert_int_equal(p->view.version, 9);
    one_free(&o);
}

/* Invariant 4: a wiped member, and one whose records are damaged, takes no part. */
static void test_primary_without_its_disk_is_silent(void **unused) {
    (void)unused;
    for (int damaged = 0; damaged < 2; damaged++) {
        struct one o = one_new(0);
        struct event record = {.kind = EVENT_RECORD};
        record.as.record.data = bytes_text("no record of ours");
        if (damaged) one_step(&o, &record);
        one_start(&o, damaged ? QRT_START_RECOVERED : QRT_START_WIPED);
        assert_int_equal(((struct primary *)o.state)->role, QRT_ROLE_RECOVERING);
        struct message ask = {.kind = WIRE_EPOCH_REQUEST};
        ask.as.epoch_request.epoch = 5;
        one_receive(&o, &ask);
        assert_int_equal(one_sends(&o), 0);
        one_free(&o);
    }
}

/* A detector's verdict on the primary is as good as the timeout. */
static void test_primary_heeds_an_opinion(void **unused) {
    (void)unused;
    struct one o = one_new(0);
    one_start(&o, QRT_START_FORMAT);
    struct message heartbeat = {.kind = WIRE_REPLICATE_REQUEST};
    heartbeat.as.replicate_request.epoch = 1;
    one_receive(&o, &heartbeat);
    struct event opinion = {.kind = EVENT_OPINION, .mono = 2 * MS};
    opinion.as.opinion.peer = 3;
    opinion.as.opinion.suspected = true;
    one_step(&o, &opinion);
    assert_int_equal(((struct primary *)o.state)->role, QRT_ROLE_FOLLOWER); /* n3 is not the primary */
    struct event stand = {.kind = EVENT_TIMER, .mono = 3 * MS};
    stand.as.timer.id = PRIMARY_TIMER_SUSPECT;
    one_step(&o, &stand);
    assert_int_equal(((struct primary *)o.state)->role, QRT_ROLE_FOLLOWER); /* it hears its primary */
    opinion.as.opinion.peer = 2;
    one_step(&o, &opinion);
    assert_int_equal(o.out.effects[0].kind, FX_TIMER);
    assert_int_equal(o.out.effects[0].a, PRIMARY_TIMER_SUSPECT);
    one_step(&o, &stand);
    assert_int_equal(((struct primary *)o.state)->role, QRT_ROLE_PRE_CANDIDATE);
    assert_int_equal(one_sends(&o), 2);
    one_free(&o);
}

/* DESIGN 2: a clone equals its original and goes its own way; a fork of a cluster under load does what it does. */
static void test_primary_forks(void **unused) {
    (void)unused;
    const char *modes[] = {"nodes=3 seed=8", "nodes=3 seed=8 mode=async", "nodes=3 seed=8 mode=semi-sync"};
    for (int i = 0; i < 3; i++) {
        struct cluster *c = primary_backup(modes[i]);
        struct error e;
        scenario_leader(c);
        scenario_load(c, "{\"clients\": 4, \"operations\": 400}");
        scenario_run(c, 50 * MS);
        struct cluster *f = cluster_fork(c, &e);
        assert_int_equal(scenario_fingerprint(c), scenario_fingerprint(f));
        scenario_fault(c, "{\"do\": \"crash\", \"node\": \"leader\"}");
        scenario_fault(f, "{\"do\": \"crash\", \"node\": \"leader\"}");
        scenario_run(c, 2 * SECOND);
        scenario_run(f, 2 * SECOND);
        assert_int_equal(scenario_hash(c), scenario_hash(f));
        assert_int_equal(scenario_fingerprint(c), scenario_fingerprint(f));
        scenario_expect_sound(f, modes[i]);
        cluster_free(c);
        cluster_free(f);
    }
}

/* ---- campaigns ---- */

/* Clean inside the model, every condition met, progress made by any majority. */
static void test_primary_campaign_is_clean(void **unused) {
    (void)unused;
    json_t *report = campaigns_run("{\"protocol\": \"primary-backup\", \"seeds\": 300}");
    campaigns_expect_clean(report);
    json_decref(report);
}

/* BUGS: each mistake is caught by the property that it names. */
static void test_primary_campaign_catches_every_mistake(void **unused) {
    (void)unused;
    if (CAMPAIGNS_ARE_SLOW) skip(); /* 400 seeds a mistake; the clean campaign runs */
    for (const struct bug *b = protocol_find("primary-backup")->bugs; b->name; b++) {
        json_t *report = campaigns_run("{\"protocol\": \"primary-backup\", \"seeds\": 400, \"bug\": \"%s\"}", b->name);
        if (!campaigns_hits(report, b->property)) fail_msg("%s: %s never fired", b->name, b->property);
        json_decref(report);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_primary_a_write_costs_two_messages_a_backup),
        cmocka_unit_test(test_primary_switches_over_and_takes_the_old_one_back),
        cmocka_unit_test(test_primary_removes_and_adds_a_backup),
        cmocka_unit_test(test_primary_only_a_member_of_the_last_view_takes_over),
        cmocka_unit_test(test_primary_asynchronous_measures_what_it_loses),
        cmocka_unit_test(test_primary_synchronous_answers_nothing_while_isolated),
        cmocka_unit_test(test_primary_rejects_what_no_honest_peer_sends),
        cmocka_unit_test(test_primary_a_monitor_promises_once_and_refuses_older_views),
        cmocka_unit_test(test_primary_without_its_disk_is_silent),
        cmocka_unit_test(test_primary_heeds_an_opinion),
        cmocka_unit_test(test_primary_forks),
        cmocka_unit_test(test_primary_campaign_is_clean),
        cmocka_unit_test(test_primary_campaign_catches_every_mistake),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
