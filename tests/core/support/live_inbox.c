#include "support/live_inbox.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <zmq.h>
#include <cmocka.h>

#include "runtime/live/live_doorman.h"
#include "runtime/live/live_share.h"

static const struct option_spec specs[] = {
    {"election_timeout", OPTION_DURATION, 0, 0.001, 3600, "150ms", NULL, ""},
    {0},
};

const struct option_table inbox_options = {"test", specs};

void inbox_begin(struct inbox *f, int32_t transport, bool curve) {
    struct error e = {0};
    memset(f, 0, sizeof *f);
    struct live *l = &f->live;
    l->config.options.nodes = INBOX_NODES;
    l->config.options.transport = transport;
    f->protocol.options = inbox_options;
    l->config.protocol = &f->protocol;
    l->config.protocol_options = &f->options;
    l->cluster_id = 0xabcdef;
    l->gates.curve = curve;
    if (curve) assert_int_equal(gates_keys(&l->gates, INBOX_NODES, f->secrets, &e), QRT_OK);
    memcpy(l->gates.secret_key, f->secrets[0], KEY_TEXT);
    if (transport == TRANSPORT_IPC) assert_true(!place_folder(l, &e) && !place_make(l, &e));
    int listener = place_listen(l, 0, &e);
    assert_true(listener >= 0);
    for (int i = 1; i <= INBOX_NODES; i++) strcpy(l->gates.endpoints[i], "tcp://127.0.0.1:9");
    assert_int_equal(live_context(l, 16, &e), QRT_OK);
    assert_int_equal(actor_init(&f->actor, l, 0, NULL, NULL, -1, &e), QRT_OK);
    assert_int_equal(actor_bind(&f->actor, listener, &e), QRT_OK);
    assert_int_equal(actor_connect(&f->actor, &e), QRT_OK);
}

void inbox_end(struct inbox *f) {
    doorman_leave(&f->live, f->actor.inbox);
    actor_unplug(&f->actor);
    f->actor.inbox = NULL;
    memset(f->actor.out, 0, (INBOX_NODES + 1) * sizeof *f->actor.out);
    actor_free(&f->actor);
    zmq_ctx_term(f->live.context);
    if (*f->live.folder) place_remove(f->live.folder);
}
