/* The checkers against a toy Raft, written to be small and wild: messages wait in a bag and come in any
 * order, or never; writes become durable one by one; a crash falls between any two effects of a step. Played
 * right it must raise no alarm, however long; with one of the published mistakes switched on, its property
 * must fire. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "base/check.h"
#include "base/hash.h"
#include "base/memory.h"
#include "base/random.h"
#include "check/check.h"

enum { NODES = 5, LOG = 160, BAG = 32, WRITES = 6, EFFECTS = 64, HELD = 256, EVENTS = 4000 };

enum mistake {
    NONE,
    VOTE_BEFORE_SYNC,
    ACK_BEFORE_SYNC,
    STEP_DOWN_CLEARS_VOTE,
    COMMIT_OLDER_TERM,
    HEARTBEAT_TRUNCATES,
    COMMIT_UNCAPPED,
    SMALL_QUORUM,
    AMNESIA_VOTES,
    MISTAKES,
};

static const char *const must_fire[MISTAKES] = {"",
                                                "election-safety",
                                                "durability",
                                                "election-safety",
                                                "leader-completeness",
                                                "committed-never-truncated",
                                                "state-machine-safety",
                                                "commit-quorum",
                                                "durability"};

struct log {
    uint16_t size;
    uint16_t term[LOG + 1];
    uint64_t hash[LOG + 1];
};

struct disk {
    uint16_t term, vote, checkpoint;
    struct log log, restore; /* restore: a snapshot that the log has not been fitted to; size 0: none */
};

enum message_kind { REQUEST, GRANT, ENTRIES, MATCH, SNAPSHOT };

struct message {
    uint8_t kind, from, to, ok;
    uint16_t term, index, index_term, commit;
    struct log log; /* ENTRIES: the sender's log up to what it sends; SNAPSHOT: the prefix */
};

struct effect {
    enum { NOTE, SEND, WRITE } kind;
    bool waits;
    uint64_t barrier;
    qrt_event note;
    struct message *message;
};

struct node {
    struct disk now, durable, writes[WRITES];
    uint64_t issued, done; /* writes */
    uint64_t restoring;    /* the write that holds now.restore */
    uint8_t up, role, votes;
    uint16_t commit, applied, match[NODES + 1], next[NODES + 1];
    struct effect held[HELD];
    size_t held_count;
};

struct world {
    struct random random;
    enum mistake mistake;
    struct node nodes[NODES + 1];
    struct message *bag[BAG];
    size_t bag_count;
    struct effect effects[EFFECTS];
    size_t effect_count;
    struct checkers *checkers;
    struct trace_sink sink;
    uint64_t events;
    bool storm; /* now and then everybody wants to lead, and crashes */
    bool calm;  /* but in every second world leaders last, and logs grow */
};

static uint32_t draw(struct world *w, uint32_t below) {
    return (uint32_t)random_below(&w->random, below);
}

static void emit(struct world *w, uint16_t node, qrt_event e) {
    e.node = node;
    e.time = (int64_t)w->events * 1000;
    if (w->sink.kinds >> e.kind & 1) w->sink.event(w->sink.context, &e, w->events);
    w->events++;
}

/* ---- effects of a step ---- */

static struct effect *effect_add(struct world *w) {
    CHECK(w->effect_count < EFFECTS);
    w->effects[w->effect_count] = (struct effect){0};
    return &w->effects[w->effect_count++];
}
static void note(struct world *w, qrt_event e) {
    effect_add(w)->note = e;
}
static void note_held(struct world *w, qrt_event e, bool waits) {
    struct effect *f = effect_add(w);
    f->note = e;
    f->waits = waits;
}
static struct message *send(struct world *w, uint8_t kind, uint8_t from, uint8_t to, bool waits) {
    struct effect *f = effect_add(w);
    f->kind = SEND;
    f->waits = waits;
    f->message = mem_zero(1, sizeof *f->message);
    f->message->kind = kind;
    f->message->from = from;
    f->message->to = to;
    f->message->term = w->nodes[from].now.term;
    return f->message;
}
static void persist(struct world *w) {
    effect_add(w)->kind = WRITE;
}

static void bag_put(struct world *w, struct message *m) {
    if (w->bag_count == BAG) {
        uint32_t i = draw(w, BAG);
        free(w->bag[i]);
        w->bag[i] = m;
        return;
    }
    w->bag[w->bag_count++] = m;
}

static void carry_out(struct world *w, uint8_t n, struct effect *f);

static void complete_write(struct world *w, uint8_t n) {
    struct node *node = &w->nodes[n];
    if (node->done == node->issued) return;
    node->durable = node->writes[node->done++ % WRITES];
    size_t released = 0;
    while (released < node->held_count && node->held[released].barrier <= node->done)
        carry_out(w, n, &node->held[released++]);
    node->held_count -= released;
    memmove(node->held, node->held + released, node->held_count * sizeof *node->held);
}

static void carry_out(struct world *w, uint8_t n, struct effect *f) {
    struct node *node = &w->nodes[n];
    switch (f->kind) {
    case NOTE: emit(w, n, f->note); break;
    case SEND: bag_put(w, f->message); break;
    case WRITE:
        if (node->issued - node->done == WRITES) complete_write(w, n);
        node->writes[node->issued++ % WRITES] = node->now;
        break;
    }
}

static void crash(struct world *w, uint8_t n) {
    struct node *node = &w->nodes[n];
    if (!node->up) return;
    bool kept = draw(w, 3) == 0;
    emit(w, n, (qrt_event){.kind = QRT_KIND_CRASH});
    if (kept && node->done < node->issued) node->durable = node->writes[(node->issued - 1) % WRITES];
    if (w->mistake == AMNESIA_VOTES && draw(w, 2)) memset(&node->durable, 0, sizeof node->durable);
    for (size_t i = 0; i < node->held_count; i++) free(node->held[i].message);
    node->held_count = 0;
    node->up = false;
    node->issued = node->done = 0;
}

static void finish_step(struct world *w, uint8_t n) {
    struct node *node = &w->nodes[n];
    size_t stop = draw(w, 400) == 0 ? draw(w, (uint32_t)w->effect_count + 1) : SIZE_MAX, i;
    for (i = 0; i < w->effect_count && i < stop; i++) {
        struct effect *f = &w->effects[i];
        f->barrier = node->issued;
        if (f->waits && node->done < node->issued && node->held_count < HELD)
            node->held[node->held_count++] = *f;
        else
            carry_out(w, n, f);
    }
    for (; i < w->effect_count; i++) free(w->effects[i].message);
    w->effect_count = 0;
    if (stop != SIZE_MAX) crash(w, n);
}

/* ---- the protocol ---- */

static uint16_t last_term(const struct log *log) {
    return log->term[log->size];
}

static void step_to(struct world *w, struct node *node, uint16_t term) {
    if (w->mistake == STEP_DOWN_CLEARS_VOTE && term == node->now.term) node->now.vote = 0;
    if (term > node->now.term) {
        node->now.term = term;
        node->now.vote = 0;
        note(w, (qrt_event){.kind = QRT_KIND_TERM, .term = term});
        persist(w);
    }
    if (node->role == QRT_ROLE_FOLLOWER) return;
    node->role = QRT_ROLE_FOLLOWER;
    note(w, (qrt_event){.kind = QRT_KIND_ROLE, .detail = QRT_ROLE_FOLLOWER, .term = term});
}

static void log_add(struct world *w, struct log *log, uint16_t term, uint64_t hash) {
    log->term[++log->size] = term;
    log->hash[log->size] = hash;
    note(w, (qrt_event){.kind = QRT_KIND_APPEND, .term = term, .index = log->size, .value = hash});
}

static void propose(struct world *w, uint8_t n) {
    struct node *node = &w->nodes[n];
    struct log *log = &node->now.log;
    if (node->role != QRT_ROLE_LEADER || log->size >= LOG) return;
    uint64_t hash = hash_fold(hash_fold(log->hash[log->size], node->now.term), draw(w, 1000000));
    log_add(w, log, node->now.term, hash);
    persist(w);
}

static void commit_to(struct world *w, struct node *node, uint16_t index, uint8_t decided) {
    if (index <= node->commit) return;
    node->commit = index;
    note(w, (qrt_event){.kind = QRT_KIND_COMMIT,
                        .term = node->now.term,
                        .index = index,
                        .detail = decided,
                        .value = node->now.log.hash[index]});
}

static void campaign(struct world *w, uint8_t n) {
    struct node *node = &w->nodes[n];
    if (node->role == QRT_ROLE_LEADER || (w->calm && draw(w, 8))) return;
    step_to(w, node, (uint16_t)(node->now.term + 1));
    node->role = QRT_ROLE_CANDIDATE;
    node->now.vote = n;
    node->votes = (uint8_t)(1u << n);
    note(w, (qrt_event){.kind = QRT_KIND_ROLE, .detail = QRT_ROLE_CANDIDATE, .term = node->now.term});
    persist(w);
    note_held(w, (qrt_event){.kind = QRT_KIND_VOTE, .term = node->now.term, .peer = n}, true);
    for (uint8_t to = 1; to <= NODES; to++) {
        if (to == n) continue;
        struct message *m = send(w, REQUEST, n, to, true);
        m->index = node->now.log.size;
        m->index_term = last_term(&node->now.log);
    }
}

static void on_request(struct world *w, uint8_t n, const struct message *m) {
    struct node *node = &w->nodes[n];
    const struct log *log = &node->now.log;
    if (m->term > node->now.term) step_to(w, node, m->term);
    bool fresh = m->index_term > last_term(log) || (m->index_term == last_term(log) && m->index >= log->size);
    if (m->term < node->now.term || !fresh || (node->now.vote && node->now.vote != m->from)) return;
    bool waits = w->mistake != VOTE_BEFORE_SYNC;
    node->now.vote = m->from;
    persist(w);
    note_held(w, (qrt_event){.kind = QRT_KIND_VOTE, .term = m->term, .peer = m->from}, waits);
    send(w, GRANT, n, m->from, waits);
}

static void on_grant(struct world *w, uint8_t n, const struct message *m) {
    struct node *node = &w->nodes[n];
    if (m->term != node->now.term || node->role != QRT_ROLE_CANDIDATE) return;
    node->votes |= (uint8_t)(1u << m->from);
    if (__builtin_popcount(node->votes) <= NODES / 2) return;
    node->role = QRT_ROLE_LEADER;
    for (uint8_t i = 1; i <= NODES; i++) {
        node->match[i] = 0;
        node->next[i] = (uint16_t)(node->now.log.size + 1);
    }
    note(w, (qrt_event){.kind = QRT_KIND_ROLE,
                        .detail = QRT_ROLE_LEADER,
                        .term = node->now.term,
                        .index = node->now.log.size,
                        .value = node->now.log.hash[node->now.log.size]});
    propose(w, n);
}

static void replicate(struct world *w, uint8_t n, uint8_t to) {
    struct node *node = &w->nodes[n];
    if (node->role != QRT_ROLE_LEADER || to == n) return;
    if (node->next[to] <= node->now.checkpoint && node->now.checkpoint && draw(w, 2)) {
        struct message *m = send(w, SNAPSHOT, n, to, true);
        m->log = node->now.log;
        m->log.size = m->index = node->now.checkpoint;
        return;
    }
    struct message *m = send(w, ENTRIES, n, to, false);
    uint16_t count = (uint16_t)draw(w, 4);
    m->index = (uint16_t)(node->next[to] - 1);
    m->index_term = node->now.log.term[m->index];
    m->log = node->now.log;
    if (m->log.size > m->index + count) m->log.size = (uint16_t)(m->index + count);
    m->commit = node->commit;
}

static void acknowledge(struct world *w, uint8_t n, uint8_t to, uint16_t index) {
    struct node *node = &w->nodes[n];
    bool waits = w->mistake != ACK_BEFORE_SYNC;
    note_held(w, (qrt_event){.kind = QRT_KIND_ACK, .term = node->now.term, .index = index, .peer = to}, waits);
    struct message *reply = send(w, MATCH, n, to, waits);
    reply->ok = true;
    reply->index = index;
}

static void log_cut(struct world *w, struct log *log, uint16_t from) {
    log->size = (uint16_t)(from - 1);
    note(w, (qrt_event){.kind = QRT_KIND_TRUNCATE, .index = from});
}

static void on_entries(struct world *w, uint8_t n, const struct message *m) {
    struct node *node = &w->nodes[n];
    struct log *log = &node->now.log;
    if (m->term < node->now.term) return;
    step_to(w, node, m->term);
    if (m->index > log->size || log->term[m->index] != m->index_term) {
        send(w, MATCH, n, m->from, true)->index = m->index;
        return;
    }
    for (uint16_t i = (uint16_t)(m->index + 1); i <= m->log.size; i++) {
        if (i <= log->size && log->term[i] == m->log.term[i]) continue;
        if (i <= log->size) log_cut(w, log, i);
        log_add(w, log, m->log.term[i], m->log.hash[i]);
        persist(w);
    }
    if (w->mistake == HEARTBEAT_TRUNCATES && log->size > m->log.size) log_cut(w, log, (uint16_t)(m->log.size + 1));
    uint16_t known = w->mistake == COMMIT_UNCAPPED ? log->size : m->log.size;
    commit_to(w, node, m->commit < known ? m->commit : known, 0);
    acknowledge(w, n, m->from, m->log.size);
}

/* The machine takes the snapshot at once; the log when it is durable, and may change until then. */
static void on_snapshot(struct world *w, uint8_t n, const struct message *m) {
    struct node *node = &w->nodes[n];
    struct log *log = &node->now.log;
    if (m->term < node->now.term) return;
    step_to(w, node, m->term);
    if (m->index <= node->commit || node->now.restore.size) return;
    if (log->size >= m->index && log->term[m->index] == m->log.term[m->index]) {
        commit_to(w, node, m->index, 0);
        return;
    }
    if (log->size >= m->index) log_cut(w, log, m->index);
    node->now.restore = m->log;
    note(w, (qrt_event){.kind = QRT_KIND_RESTORE,
                        .term = m->log.term[m->index],
                        .index = m->index,
                        .value = m->log.hash[m->index]});
    persist(w);
    node->restoring = node->issued + w->effect_count; /* at the latest: every effect of this step may be a write */
}

static bool fits(const struct disk *d) {
    uint16_t size = d->restore.size;
    return d->log.size >= size && d->log.term[size] == d->restore.term[size];
}

static void fit(struct disk *d) {
    if (!fits(d)) d->log = d->restore;
    d->checkpoint = d->restore.size;
    d->restore.size = 0;
}

static void maybe_restored(struct world *w, uint8_t n) {
    struct node *node = &w->nodes[n];
    uint16_t index = node->now.restore.size;
    if (!index || node->done < node->restoring || !node->up) return;
    if (!fits(&node->now) && node->now.log.size > index) log_cut(w, &node->now.log, (uint16_t)(index + 1));
    fit(&node->now);
    node->applied = index;
    commit_to(w, node, index, 0);
    persist(w);
    for (uint8_t to = 1; to <= NODES; to++)
        if (to != n && node->role == QRT_ROLE_FOLLOWER && draw(w, 4) == 0) acknowledge(w, n, to, index);
    finish_step(w, n);
}

static void on_match(struct world *w, uint8_t n, const struct message *m) {
    struct node *node = &w->nodes[n];
    if (m->term > node->now.term) step_to(w, node, m->term);
    if (node->role != QRT_ROLE_LEADER || m->term != node->now.term) return;
    if (!m->ok) {
        if (node->next[m->from] > m->index && m->index) node->next[m->from] = m->index;
        return;
    }
    if (node->match[m->from] < m->index) node->match[m->from] = m->index;
    node->next[m->from] = (uint16_t)(node->match[m->from] + 1);
    node->match[n] = node->durable.log.size; /* its own count waits for its disk */
    int quorum = w->mistake == SMALL_QUORUM ? NODES / 2 : NODES / 2 + 1;
    for (uint16_t index = m->index; index > node->commit; index--) {
        int holders = 0;
        for (uint8_t i = 1; i <= NODES; i++) holders += node->match[i] >= index;
        bool own = node->now.log.term[index] == node->now.term || w->mistake == COMMIT_OLDER_TERM;
        if (holders < quorum || !own) continue;
        commit_to(w, node, index, 1);
        return;
    }
}

static void apply(struct world *w, uint8_t n) {
    struct node *node = &w->nodes[n];
    if (node->now.restore.size) return;
    uint32_t count = draw(w, 6);
    while (count-- && node->applied < node->commit) {
        const struct log *log = &node->now.log;
        node->applied++;
        note(w, (qrt_event){.kind = QRT_KIND_APPLY,
                            .term = log->term[node->applied],
                            .index = node->applied,
                            .value = log->hash[node->applied],
                            .link = log->hash[node->applied] ^ 1});
    }
    if (draw(w, 8) || node->applied == node->now.checkpoint) return;
    node->now.checkpoint = node->applied;
    note(w,
         (qrt_event){.kind = QRT_KIND_CHECKPOINT, .index = node->applied, .value = node->now.log.hash[node->applied]});
    persist(w);
}

/* ---- the play ---- */

static void restart(struct world *w, uint8_t n) {
    struct node *node = &w->nodes[n];
    if (node->up) return;
    node->now = node->durable;
    if (node->now.restore.size) fit(&node->now);
    node->up = true;
    node->role = QRT_ROLE_FOLLOWER;
    node->commit = node->applied = node->now.checkpoint;
    emit(w, n,
         (qrt_event){.kind = QRT_KIND_START,
                     .detail = QRT_START_RECOVERED,
                     .term = node->now.term,
                     .peer = node->now.vote,
                     .index = node->now.log.size,
                     .value = node->now.log.hash[node->now.log.size],
                     .link = node->now.checkpoint});
}

static void deliver(struct world *w) {
    if (!w->bag_count) return;
    uint32_t i = draw(w, (uint32_t)w->bag_count);
    struct message *m = w->bag[i];
    if (draw(w, 12))
        w->bag[i] = w->bag[--w->bag_count];
    else
        m = mem_copy(m, sizeof *m); /* it will come again */
    uint8_t n = m->to;
    if (w->nodes[n].up && draw(w, 10)) {
        switch ((enum message_kind)m->kind) {
        case REQUEST: on_request(w, n, m); break;
        case GRANT: on_grant(w, n, m); break;
        case ENTRIES: on_entries(w, n, m); break;
        case MATCH: on_match(w, n, m); break;
        case SNAPSHOT: on_snapshot(w, n, m); break;
        }
        finish_step(w, n);
    }
    free(m);
}

static void play(struct world *w) {
    uint8_t n = (uint8_t)(1 + draw(w, NODES));
    uint32_t what = draw(w, 1000);
    if (draw(w, 500) == 0) w->storm = !w->calm && !draw(w, 6);
    if (what < 500) {
        deliver(w);
        return;
    }
    if (!w->nodes[n].up) {
        if (draw(w, w->storm ? 5 : 40) == 0) restart(w, n);
        return;
    }
    if (what < 650) {
        complete_write(w, n);
        maybe_restored(w, n);
        return;
    }
    if (what < (w->storm ? 670 : 652)) {
        crash(w, n);
        return;
    }
    if (what < (w->storm ? 690 : 654))
        campaign(w, n);
    else if (what < 740)
        propose(w, n);
    else if (what < 920)
        replicate(w, n, (uint8_t)(1 + draw(w, NODES)));
    else
        apply(w, n);
    finish_step(w, n);
}

static struct world *world_new(uint64_t seed, enum mistake mistake) {
    static const uint16_t members[] = {1, 2, 3, 4, 5};
    struct check_config config = {
        .members = members, .member_count = NODES, .fixed_members = true, .judged_by = "raft"};
    struct world *w = mem_zero(1, sizeof *w);
    w->random = random_stream(seed, 1, RANDOM_PROTOCOL);
    w->mistake = mistake;
    w->calm = seed % 2 && mistake == NONE;
    w->checkers = checkers_new(&config);
    w->sink = checkers_sink(w->checkers);
    for (uint8_t n = 1; n <= NODES; n++) restart(w, n);
    return w;
}

static void world_free(struct world *w) {
    for (uint8_t n = 1; n <= NODES; n++)
        for (size_t i = 0; i < w->nodes[n].held_count; i++) free(w->nodes[n].held[i].message);
    for (size_t i = 0; i < w->bag_count; i++) free(w->bag[i]);
    checkers_free(w->checkers);
    free(w);
}

static const struct property *violated(const struct checkers *c, const char *name) {
    size_t count;
    const struct property *p = checkers_properties(c, &count);
    for (size_t i = 0; i < count; i++)
        if (p[i].verdict != VERDICT_OK && (!name || strcmp(p[i].name, name) == 0)) return &p[i];
    return NULL;
}

/* A right protocol raises no alarm, whatever happens to its messages, disks and nodes; and the toy really
 * plays. */
static void test_no_false_alarm(void **state) {
    (void)state;
    uint64_t events = 0, committed = 0;
    for (uint64_t seed = 1; seed <= 400; seed++) {
        struct world *w = world_new(seed, NONE);
        while (w->events < EVENTS) play(w);
        const struct property *p = violated(w->checkers, NULL);
        if (p) fail_msg("seed %llu: %s: %s", (unsigned long long)seed, p->name, p->text);
        for (uint8_t n = 1; n <= NODES; n++) committed += w->nodes[n].commit;
        events += w->events;
        world_free(w);
    }
    print_message("    %llu events, %llu entries committed, no alarm\n", (unsigned long long)events,
                  (unsigned long long)committed);
    assert_true(committed > 400 * 5 * 8);
}

/* BUGS.md: each mistake is caught by its named property. */
static void test_mistakes_are_caught(void **state) {
    (void)state;
    for (enum mistake mistake = NONE + 1; mistake < MISTAKES; mistake++) {
        unsigned caught = 0, seeds = 100;
        for (uint64_t seed = 1; seed <= seeds; seed++) {
            struct world *w = world_new(seed, mistake);
            while (w->events < 2 * EVENTS && !violated(w->checkers, must_fire[mistake])) play(w);
            caught += violated(w->checkers, must_fire[mistake]) != NULL;
            world_free(w);
        }
        print_message("    mistake %d: %s in %u of %u seeds\n", mistake, must_fire[mistake], caught, seeds);
        assert_true(caught > 0);
    }
}

static uint64_t properties_digest(const struct checkers *c, int64_t now) {
    size_t count;
    uint64_t digest = 0;
    const struct property *p = checkers_properties(c, &count);
    for (size_t i = 0; i < count; i++)
        digest = hash_fold(digest, hash_bytes(p[i].text, strlen(p[i].text), p[i].event + (uint64_t)p[i].verdict));
    struct agreement_measure m;
    checkers_measure(c, now, &m);
    digest = hash_fold(digest, hash_bytes(&m.consistent_share, sizeof m.consistent_share, 0));
    return hash_fold(digest, hash_fold((uint64_t)m.first_inconsistent, (uint64_t)m.consensus_at));
}

/* A clone made at any point judges the rest as the original does, though both write on. */
static void test_clones_judge_alike(void **state) {
    (void)state;
    for (uint64_t seed = 1; seed <= 40; seed++) {
        struct world *w = world_new(seed, seed & 1 ? COMMIT_OLDER_TERM : HEARTBEAT_TRUNCATES);
        for (uint32_t i = draw(w, 3000); i-- > 0;) play(w);
        struct checkers *original = w->checkers, *copy = checkers_clone(original);
        struct world *twin = mem_copy(w, sizeof *w); /* the same world again: its messages and held effects too */
        for (size_t i = 0; i < w->bag_count; i++) twin->bag[i] = mem_copy(w->bag[i], sizeof *w->bag[i]);
        for (uint8_t n = 1; n <= NODES; n++)
            for (size_t i = 0; i < w->nodes[n].held_count; i++)
                if (w->nodes[n].held[i].message)
                    twin->nodes[n].held[i].message = mem_copy(w->nodes[n].held[i].message, sizeof(struct message));
        twin->checkers = copy;
        twin->sink = checkers_sink(copy);
        for (int i = 0; i < 2000; i++) play(w);
        for (int i = 0; i < 2000; i++) play(twin);
        int64_t now = (int64_t)w->events * 1000;
        if (properties_digest(original, now) != properties_digest(copy, now)) fail_msg("seed %d", (int)seed);
        world_free(w);
        world_free(twin);
    }
}

/* Three nodes, one outstanding proposal: the events of a commit, as the benchmark raft/n3-w1-checked has
 * them. */
static void commit_once(struct trace_sink *sink, uint64_t i, uint64_t hash, uint64_t *number) {
    qrt_event append = {.kind = QRT_KIND_APPEND, .term = 1, .index = i, .value = hash};
    qrt_event ack = {.kind = QRT_KIND_ACK, .term = 1, .index = i, .peer = 1};
    qrt_event commit = {.kind = QRT_KIND_COMMIT, .term = 1, .index = i, .value = hash};
    qrt_event apply = {.kind = QRT_KIND_APPLY, .term = 1, .index = i, .value = hash, .link = 5};
    for (uint16_t n = 1; n <= 3; n++) {
        append.node = n;
        sink->event(sink->context, &append, (*number)++);
        ack.node = n;
        if (n > 1) sink->event(sink->context, &ack, (*number)++);
    }
    for (uint16_t n = 1; n <= 3; n++) {
        commit.node = apply.node = n;
        commit.detail = n == 1;
        commit.time = apply.time = (int64_t)*number * 100;
        sink->event(sink->context, &commit, (*number)++);
        sink->event(sink->context, &apply, (*number)++);
    }
}

/* What checking costs an event, near the start and far from it: it must not grow with the log. Printed, and
 * only judged coarsely: the machine is shared. */
static void test_cost_is_flat(void **state) {
    (void)state;
    static const uint16_t members[] = {1, 2, 3};
    struct check_config config = {.members = members, .member_count = 3, .fixed_members = true, .judged_by = "raft"};
    struct checkers *c = checkers_new(&config);
    struct trace_sink sink = checkers_sink(c);
    uint64_t number = 0, hash = 0, index = 0;
    double first = 0, last = 0;
    for (int block = 0; block < 10; block++) {
        struct timespec a, b;
        uint64_t before = number;
        clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &a);
        for (int i = 0; i < 100000; i++) {
            hash = hash_fold(hash, ++index);
            commit_once(&sink, index, hash, &number);
        }
        clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &b);
        double ns = (double)(b.tv_sec - a.tv_sec) * 1e9 + (double)(b.tv_nsec - a.tv_nsec);
        last = ns / (double)(number - before);
        if (block == 0) first = last;
        print_message("    up to index %7llu: %.1f ns an event, %.0f ns a commit\n", (unsigned long long)index, last,
                      ns / 100000);
    }
    assert_false(checkers_violated(c));
    assert_true(last < 4 * first + 20);
    checkers_free(c);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_no_false_alarm),
        cmocka_unit_test(test_mistakes_are_caught),
        cmocka_unit_test(test_clones_judge_alike),
        cmocka_unit_test(test_cost_is_flat),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
