/* A cluster of nodes started by hand is a live cluster like others, of which this process runs one node, or none. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "cluster/hand.h"

#define FIXED_MAX 10

static void add(struct setting *list, size_t *count, const char *name, const char *value) {
    list[(*count)++] = (struct setting){name, value};
}

/* Nodes share a seed, so that their fault engines judge alike; a client's draws are its own. */
static uint64_t seed_of(const struct hand_config *c) {
    uint64_t seed = c->cluster_id;
    if (!c->self && getrandom(&seed, sizeof seed, 0) != sizeof seed) seed = c->cluster_id;
    return seed >> 1;
}

struct hand_settings {
    struct setting list[FIXED_MAX + HAND_SETTINGS_MAX];
    char nodes[8], seed[24];
};

/* What the file means, as every cluster's options; how many. It refers to both. */
static size_t settings_of(const struct hand_file *f, struct hand_settings *s) {
    struct setting *settings = s->list;
    size_t count = 0;
    snprintf(s->nodes, sizeof s->nodes, "%u", f->config.node_count);
    snprintf(s->seed, sizeof s->seed, "%llu", (unsigned long long)seed_of(&f->config));
    add(settings, &count, "nodes", s->nodes);
    add(settings, &count, "seed", s->seed);
    add(settings, &count, "runtime", "live");
    add(settings, &count, "transport", "tcp");
    add(settings, &count, "curve", f->config.curve ? "true" : "false");
    add(settings, &count, "disk", "folder");
    add(settings, &count, "data", f->config.data);
    add(settings, &count, "check", "false");
    add(settings, &count, "record", f->config.self ? "last" : "none");
    for (size_t i = 0; i < f->setting_count; i++) add(settings, &count, f->settings[i].name, f->settings[i].value);
    return count;
}

qrt_status hand_check(const struct hand_file *f, struct error *e) {
    struct hand_settings s;
    size_t count = settings_of(f, &s);
    struct cluster *c = cluster_configured(f->protocol, s.list, count, NULL, &(struct cluster_extras){0}, e);
    cluster_free(c);
    return c ? QRT_OK : e->status;
}

struct cluster *hand_cluster(const struct hand_file *f, struct error *e) {
    struct hand_settings s;
    size_t count = settings_of(f, &s);
    return cluster_new_with(f->protocol, s.list, count, NULL, &(struct cluster_extras){.hand = &f->config}, e);
}
