/* A node's process, started by hand: its main thread. Signals end it (TERM, INT) or make it read its file again (HUP); so
 * does a change of the file. What it has to say to people goes to standard error. */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cluster/hand.h"

#define TICK_MS 20 /* how often the trace is merged */
#define LOOKS 25   /* ticks between two looks at the file */

struct process {
    const char *path;
    struct hand_file *file;
    struct cluster *cluster;
    int signals;
    struct stat about; /* of the file, when it was last read */
    bool quit;
};

static void say(const struct process *p, const char *what) {
    fprintf(stderr, "quorate-node: n%u of %s: %s\n", p->file->config.self, p->file->config.cluster, what);
}

static void say_begun(const struct process *p) {
    const struct hand_config *c = &p->file->config;
    char text[2 * HAND_ENDPOINT_MAX + OPTION_TEXT_MAX];
    struct node_view v;
    p->cluster->class->view(p->cluster->runtime, c->self, &v);
    snprintf(text, sizeof text, "%s, listening on %s, %s, data in %s/n%u, memory beside that at most %llu MiB",
             p->file->protocol, c->nodes[c->self].bind, c->curve ? "keys" : "no keys", c->data, c->self,
             (unsigned long long)(v.memory_budget >> 20));
    say(p, text);
}

/* Blocked before there are threads, so that none of them is interrupted. */
static int take_signals(void) {
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGHUP);
    sigprocmask(SIG_BLOCK, &set, NULL);
    signal(SIGPIPE, SIG_IGN);
    return signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
}

static const char *value_of(const struct hand_file *f, const char *name) {
    for (size_t i = 0; i < f->setting_count; i++)
        if (!strcmp(f->settings[i].name, name)) return f->settings[i].value;
    return NULL;
}

static void add_name(struct buffer *names, bool changed, const char *name) {
    if (changed) buffer_printf(names, "%s%s", names->size ? ", " : "", name);
}

static void add_changed(struct buffer *names, const struct hand_file *one, const struct hand_file *other, bool gone) {
    for (size_t i = 0; i < one->setting_count; i++) {
        const struct hand_setting *s = &one->settings[i];
        const char *value = value_of(other, s->name);
        add_name(names, gone ? !value : !value || strcmp(s->value, value) != 0, s->name);
    }
}

/* What the file says otherwise than the node was started with, beside keys and roles. */
static void names_changed(const struct hand_file *old, const struct hand_file *new, struct buffer *names) {
    add_name(names, strcmp(old->protocol, new->protocol) != 0, "protocol");
    add_name(names, strcmp(old->config.data, new->config.data) != 0, "data");
    add_changed(names, new, old, false);
    add_changed(names, old, new, true);
}

/* With the secret that it has: a reload changes whom it admits, not who it is. */
static void reload(struct process *p) {
    struct hand_file *new = mem_zero(1, sizeof *new);
    struct buffer names = {0};
    struct error e = {0};
    char text[ERROR_TEXT_MAX + 64];
    qrt_status status = hand_file_read(new, p->path, true, &e);
    new->config.self = p->file->config.self;
    new->config.begin = p->file->config.begin;
    memcpy(new->config.public_key, p->file->config.public_key, HAND_KEY_TEXT);
    memcpy(new->config.secret_key, p->file->config.secret_key, HAND_KEY_TEXT);
    if (!status) status = hand_reload(p->cluster->runtime, &new->config, &e);
    if (!status) names_changed(p->file, new, &names);
    if (status)
        snprintf(text, sizeof text, "the cluster file is not taken over: %s", e.text);
    else
        snprintf(text, sizeof text, "the cluster file was read again%s%.400s",
                 names.size ? "; restart the node to take over: " : "", buffer_text(&names));
    say(p, text);
    buffer_free(&names);
    free(new);
}

static bool file_changed(struct process *p) {
    struct stat now;
    if (stat(p->path, &now)) return false; /* between two versions */
    bool changed = now.st_ino != p->about.st_ino || now.st_size != p->about.st_size ||
                   now.st_mtim.tv_sec != p->about.st_mtim.tv_sec || now.st_mtim.tv_nsec != p->about.st_mtim.tv_nsec;
    p->about = now;
    return changed;
}

static void hear_signals(struct process *p) {
    struct signalfd_siginfo one;
    while (read(p->signals, &one, sizeof one) == (ssize_t)sizeof one) {
        if (one.ssi_signo == SIGHUP) {
            stat(p->path, &p->about);
            reload(p);
        } else {
            p->quit = true;
        }
    }
}

static int died(const struct process *p, const struct error *e) {
    char text[ERROR_TEXT_MAX + 96];
    snprintf(text, sizeof text, "%s; mend that, and start the node again: what it had acknowledged is on its disk",
             e->text);
    say(p, text);
    return HAND_FAILED;
}

static int serve(struct process *p) {
    struct error e = {0};
    struct pollfd waits[] = {{p->signals, POLLIN, 0}, {hand_bell(p->cluster->runtime), POLLIN, 0}};
    for (unsigned tick = 1; !p->quit; tick++) {
        poll(waits, 2, TICK_MS);
        hear_signals(p);
        if (tick % LOOKS == 0 && file_changed(p)) reload(p);
        enum hand_state state = hand_tick(p->cluster->runtime, &e);
        if (state == HAND_DEAD) return died(p, &e);
        p->quit = p->quit || state == HAND_STOPS;
    }
    return HAND_FINE;
}

int hand_ended(const struct error *e) {
    if (!e->status) return HAND_FINE;
    fprintf(stderr, "quorate-node: %s\n", e->text);
    bool disk = e->status == QRT_EIO || e->status == QRT_EFULL || e->status == QRT_ECORRUPT;
    return disk || e->status == QRT_EBUSY ? HAND_FAILED : HAND_USAGE;
}

int hand_main(const char *path, uint16_t node, const char *key, uint8_t begin) {
    struct error e = {0};
    struct process p = {.path = path, .file = mem_zero(1, sizeof *p.file), .signals = take_signals()};
    struct hand_config *c = &p.file->config;
    int code = HAND_FINE;
    stat(path, &p.about);
    bool read = !hand_file_read(p.file, path, true, &e) && !hand_identity(p.file, path, node, key, &e);
    if (read) {
        c->begin = begin;
        p.cluster = hand_cluster(p.file, &e);
    }
    if (p.cluster) {
        say_begun(&p);
        code = serve(&p);
    } else {
        code = hand_ended(&e);
        if (!read) code = HAND_USAGE; /* whatever it was that was wrong with file or key */
    }
    cluster_free(p.cluster); /* which ends what is under way and closes the store */
    if (p.cluster && code == HAND_FINE) say(&p, "stopped");
    close(p.signals);
    free(p.file);
    return code;
}
