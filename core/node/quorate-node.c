/* quorate-node: one node of a live cluster as a process of its own.
 *
 * By hand, or by systemd, on any host (docs/deploy.md):
 *   quorate-node keygen FILE [NAME]                     keys for whoever has none in the cluster file, or a new one for NAME
 *   quorate-node format FILE ID                         the explicit first start of a node's data
 *   quorate-node run FILE ID [--key KEYFILE] [--lost-data]
 *   quorate-node check FILE                             is the cluster file sound?
 *
 * By the library, for clusters with transport ipc and tcp; of no use by hand:
 *   quorate-node node NUMBER
 *   quorate-node script NUMBER PROGRAM ARGUMENTS...     becomes an interpreter, whose code is the node
 *   quorate-node janitor FOLDER OWNER                   OWNER: process id of the owner
 *   quorate-node echo ENDPOINT                          sends back what comes: the baseline of quorate bench live */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cluster/hand.h"
#include "runtime/live/live_log.h"
#include "runtime/live/live_share.h"

static int usage(void) {
    fprintf(stderr,
            "quorate-node %s\n"
            "  quorate-node keygen FILE [NAME]   keys for whoever has none in the cluster file, or a new one for NAME\n"
            "  quorate-node check FILE           is the cluster file sound?\n"
            "  quorate-node format FILE ID       the first start of node ID: makes its data folder\n"
            "  quorate-node run FILE ID [--key KEYFILE] [--lost-data]\n"
            "See docs/deploy.md. `node`, `script` and `janitor` are for the library, which starts them for live "
            "clusters.\n",
            qrt_version());
    return HAND_USAGE;
}

/* Says what was wrong before how it is said right. */
static int misuse(const char *what, const char *word) {
    fprintf(stderr, "quorate-node: '%s' %s\n", word, what);
    return usage();
}

static uint16_t number_of(const char *text) {
    char *end;
    unsigned long n = strtoul(text, &end, 10);
    return *text && !*end && n <= FAULT_NODES_MAX ? (uint16_t)n : 0;
}

static int keygen(const char *path, const char *name) {
    struct error e = {0};
    struct buffer made = {0};
    if (!hand_keygen(path, name, &made, &e)) puts(buffer_text(&made));
    buffer_free(&made);
    return hand_ended(&e);
}

static qrt_status check_log(const struct hand_file *f, struct error *e) {
    struct log_place place;
    for (size_t i = 0; i < f->setting_count; i++)
        if (!strcmp(f->settings[i].name, "log") && log_parse(f->settings[i].value, &place, e)) return e->status;
    return QRT_OK;
}

static int check(const char *path) {
    struct error e = {0}, found = {0};
    struct hand_file *f = mem_zero(1, sizeof *f);
    if (!hand_file_read(f, path, true, &e) && (hand_check(f, &found) || check_log(f, &found)))
        error_set(&e, found.status, "%.128s: %.380s", path, found.text);
    if (!e.status)
        printf("%s: %s, %s, %u node%s, %zu client%s, %s\n", path, f->config.cluster, f->protocol, f->config.node_count,
               f->config.node_count == 1 ? "" : "s", f->config.client_count, f->config.client_count == 1 ? "" : "s",
               f->config.curve ? "with keys" : "without keys");
    free(f);
    return hand_ended(&e);
}

static int format(const char *path, uint16_t node) {
    struct error e = {0};
    struct hand_file *f = mem_zero(1, sizeof *f);
    if (!hand_file_read(f, path, false, &e)) {
        f->config.self = node;
        if (node > f->config.node_count)
            error_set(&e, QRT_ENOTFOUND, "%s has no node %u; nodes are 1 to %u", path, node, f->config.node_count);
        else if (!hand_format(&f->config, &e))
            printf("%s/n%u is formatted for node %u of %s\n", f->config.data, node, node, f->config.cluster);
    }
    free(f);
    return hand_ended(&e);
}

static int run(int argc, char **argv, uint16_t node) {
    const char *key = NULL;
    uint8_t begin = HAND_RECOVER;
    for (int i = 4; i < argc; i++) {
        if (!strcmp(argv[i], "--lost-data"))
            begin = HAND_LOST;
        else if (!strcmp(argv[i], "--key") && i + 1 < argc)
            key = argv[++i];
        else
            return misuse(strcmp(argv[i], "--key") ? "is no option of run" : "wants a file behind it", argv[i]);
    }
    return hand_main(argv[2], node, key, begin);
}

int main(int argc, char **argv) {
    const char *verb = argc > 1 ? argv[1] : "";
    uint16_t node = argc > 3 ? number_of(argv[3]) : 0;
    if (argc == 3 && !strcmp(verb, "node")) return agent_main(NULL);
    if (argc >= 4 && !strcmp(verb, "script")) return agent_launch(argv + 3);
    if (argc == 4 && !strcmp(verb, "janitor")) return janitor_main(argv[2], atoi(argv[3]));
    if (argc == 3 && !strcmp(verb, "echo")) return bare_main(argv[2]);
    if ((argc == 3 || argc == 4) && !strcmp(verb, "keygen")) return keygen(argv[2], argc == 4 ? argv[3] : NULL);
    if (argc == 3 && !strcmp(verb, "check")) return check(argv[2]);
    bool starts = !strcmp(verb, "format") || !strcmp(verb, "run");
    if (argc >= 4 && starts && !node) return misuse("is no node's id: they count from 1", argv[3]);
    if (argc == 4 && !strcmp(verb, "format")) return format(argv[2], node);
    if (argc >= 4 && !strcmp(verb, "run")) return run(argc, argv, node);
    return usage();
}
