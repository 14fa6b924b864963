/* The log of a live cluster: a line for what is worth reading of a node's life.
 *
 *   2026-11-21T15:04:05.123456Z info n3 is leader of term 4
 *   time (UTC)                  level node words
 *
 * Most lines are events of the trace: one table says which kind is which line at which level, so no protocol logs.
 * Counters that grew (refused keys, rejected bytes, full queues) make one line a second at most.
 *
 * Invariants
 *  1. A line is one write(2) to a file opened for appending, so that lines of several processes do not mix.
 *  2. A log that nobody reads stops no node: where a line would wait it is lost, and counted.
 *  3. Words of others (why a node stops) are cut, and hold no control character. */
#include "runtime/live/live_log.h"

#include <fcntl.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "runtime/live/live_share.h"

#define LINE_MAX_BYTES 1024
#define LOOK_TEXT 160
#define LOOK_NS 1000000000
#define SLOW_FLUSH_NS 100000000

static const char *const level_names[] = {"off", "error", "warn", "info", "debug"};

/* ---- where to, and how much ---- */

static int find_level(const char *text, size_t length) {
    for (int i = LOG_OFF; i <= LOG_DEBUG; i++)
        if (strlen(level_names[i]) == length && !memcmp(level_names[i], text, length)) return i;
    return -1;
}

qrt_status log_parse(const char *text, struct log_place *out, struct error *e) {
    *out = (struct log_place){.level = LOG_WARN};
    const char *colon = strchr(text, ':');
    size_t length = colon ? (size_t)(colon - text) : strlen(text);
    int level = find_level(text, length);
    if (!*text) return QRT_OK;
    if (level < 0 && !colon && strchr(text, '/')) { /* a place alone */
        out->level = LOG_INFO;
        snprintf(out->path, sizeof out->path, "%s", text);
        return QRT_OK;
    }
    if (level < 0 || (colon && !colon[1]))
        return error_set(e, QRT_EINVAL,
                         "log=%.60s: it is a level (off, error, warn, info, debug), a level and a place "
                         "(info:run.log), or a folder with its slash (logs/)",
                         text);
    out->level = (enum log_level)level;
    if (colon) snprintf(out->path, sizeof out->path, "%s", colon + 1);
    return QRT_OK;
}

static bool is_folder(const char *path) {
    struct stat about;
    return path[strlen(path) - 1] == '/' || (stat(path, &about) == 0 && S_ISDIR(about.st_mode));
}

qrt_status log_file(const struct log_place *place, uint16_t node, char *path, size_t size, struct error *e) {
    path[0] = 0;
    if (!*place->path) return QRT_OK;
    if (!is_folder(place->path)) {
        snprintf(path, size, "%s", place->path);
        return QRT_OK;
    }
    if (mkdir(place->path, 0700) && errno != EEXIST)
        return error_set(e, QRT_EIO, "the folder for logs, %s, cannot be made: %s", place->path, strerror(errno));
    const char *slash = place->path[strlen(place->path) - 1] == '/' ? "" : "/";
    int length = node ? snprintf(path, size, "%s%sn%u.log", place->path, slash, node)
                      : snprintf(path, size, "%s%scluster.log", place->path, slash);
    if (length > 0 && (size_t)length < size) return QRT_OK;
    return error_set(e, QRT_ERANGE, "the folder for logs has too long a name: %s", place->path);
}

/* ---- lines from events ---- */

static void say_start(const qrt_event *e, char *out, size_t size) {
    unsigned long long term = e->term, index = e->index;
    if (e->detail == QRT_START_FORMAT)
        snprintf(out, size, "started for the first time");
    else if (e->detail == QRT_START_WIPED)
        snprintf(out, size, "started, but its disk is empty: it catches up before it votes");
    else if (e->detail == QRT_START_DAMAGED)
        snprintf(out, size, "started with term %llu and its log to index %llu: it catches up before it votes", term,
                 index);
    else
        snprintf(out, size, "started, and recovered term %llu and its log to index %llu", term, index);
}

static void say_crash(const qrt_event *e, char *out, size_t size) {
    static const char *const fates[] = {"its disk is kept", "what it had not synced is lost", "its disk is wiped",
                                        "its log is damaged"};
    snprintf(out, size, "crashed; %s", fates[e->detail < 4 ? e->detail : 0]);
}

static void say_role(const qrt_event *e, char *out, size_t size) {
    snprintf(out, size, "is %s of term %llu", trace_role_name(e->detail), (unsigned long long)e->term);
}

static void say_opinion(const qrt_event *e, char *out, size_t size) {
    snprintf(out, size, e->detail ? "suspects n%u" : "trusts n%u again", e->peer);
}

#define SAYS(name, format, ...)                                          \
    static void say_##name(const qrt_event *e, char *out, size_t size) { \
        snprintf(out, size, format, __VA_ARGS__);                        \
    }
SAYS(term, "is in term %llu", (unsigned long long)e->term)
SAYS(vote, "votes for n%u in term %llu", e->peer, (unsigned long long)e->term)
SAYS(room, "%s",
     e->detail ? "its disk is full: it refuses proposals, and votes from its log's reserve" : "its disk has room again")
SAYS(truncate, "removes entries from index %llu on", (unsigned long long)e->index)
SAYS(checkpoint, "has saved a snapshot up to index %llu", (unsigned long long)e->index)
SAYS(restore, "took over a peer's snapshot up to index %llu", (unsigned long long)e->index)
SAYS(caught_up, "has caught up to index %llu, and votes again", (unsigned long long)e->index)
SAYS(pause, "%s", e->kind == QRT_KIND_PAUSE ? "is paused" : "goes on")
SAYS(decide, "decides instance %llu", (unsigned long long)e->index)
SAYS(reject, "rejected bytes from n%u (%s)", e->peer, trace_drop_name(e->detail))
SAYS(drop, "lost a message of n%u (%s)", e->peer, trace_drop_name(e->detail))
#undef SAYS

/* The one place that says which event is which line. A role is info where it is settled, else debug. */
static const struct saying {
    uint8_t kind, level;
    void (*say)(const qrt_event *e, char *out, size_t size);
} sayings[] = {
    {QRT_KIND_START, LOG_INFO, say_start},        {QRT_KIND_CRASH, LOG_INFO, say_crash},
    {QRT_KIND_PAUSE, LOG_INFO, say_pause},        {QRT_KIND_RESUME, LOG_INFO, say_pause},
    {QRT_KIND_ROLE, LOG_INFO, say_role},          {QRT_KIND_CAUGHT_UP, LOG_INFO, say_caught_up},
    {QRT_KIND_RESTORE, LOG_INFO, say_restore},    {QRT_KIND_OPINION, LOG_INFO, say_opinion},
    {QRT_KIND_TERM, LOG_DEBUG, say_term},         {QRT_KIND_VOTE, LOG_DEBUG, say_vote},
    {QRT_KIND_TRUNCATE, LOG_DEBUG, say_truncate}, {QRT_KIND_CHECKPOINT, LOG_DEBUG, say_checkpoint},
    {QRT_KIND_DECIDE, LOG_DEBUG, say_decide},     {QRT_KIND_REJECT, LOG_DEBUG, say_reject},
    {QRT_KIND_DROP, LOG_DEBUG, say_drop},         {QRT_KIND_ROOM, LOG_WARN, say_room},
};
enum { SAYINGS = sizeof sayings / sizeof *sayings };

void log_event(struct log *g, const qrt_event *e) {
    char words[256];
    for (size_t i = 0; i < SAYINGS; i++) {
        enum log_level level = (enum log_level)sayings[i].level;
        bool passing =
            e->kind == QRT_KIND_ROLE && (e->detail == QRT_ROLE_CANDIDATE || e->detail == QRT_ROLE_PRE_CANDIDATE);
        if (sayings[i].kind != e->kind) continue;
        sayings[i].say(e, words, sizeof words);
        log_line(g, passing ? LOG_DEBUG : level, e->node, "%s", words);
    }
}

/* ---- writing ---- */

static size_t begin_line(char *out, size_t size, enum log_level level, uint16_t node) {
    struct timespec now;
    struct tm day;
    clock_gettime(CLOCK_REALTIME, &now);
    gmtime_r(&now.tv_sec, &day);
    size_t n = strftime(out, size, "%Y-%m-%dT%H:%M:%S", &day);
    n += (size_t)snprintf(out + n, size - n, ".%06ldZ %s ", now.tv_nsec / 1000, level_names[level]);
    return n + (size_t)(node ? snprintf(out + n, size - n, "n%u ", node) : snprintf(out + n, size - n, "cluster "));
}

void log_line(struct log *g, enum log_level level, uint16_t node, const char *format, ...) {
    char line[LINE_MAX_BYTES];
    if (!g || level > g->level) return;
    size_t at = begin_line(line, sizeof line, level, node);
    va_list arguments;
    va_start(arguments, format);
    int more = vsnprintf(line + at, sizeof line - at - 1, format, arguments);
    va_end(arguments);
    size_t end = more < 0 ? at : at + (size_t)more;
    if (end > sizeof line - 2) end = sizeof line - 2;
    for (size_t i = at; i < end; i++)
        if ((unsigned char)line[i] < ' ' || line[i] == 127) line[i] = ' ';
    line[end++] = '\n';
    struct pollfd room = {g->fd, POLLOUT, 0};
    bool ready = poll(&room, 1, 0) == 1 && room.revents & POLLOUT;
    if (!ready || write(g->fd, line, end) != (ssize_t)end) atomic_fetch_add(&g->lost, 1);
}

qrt_status log_open(struct live *l, const char *path, enum log_level level, struct error *e) {
    struct log *g = mem_zero(1, sizeof *g);
    g->level = level;
    g->fd = 2;
    for (size_t i = 0; i < SAYINGS; i++)
        if (sayings[i].level <= level) g->kinds |= UINT64_C(1) << sayings[i].kind;
    l->log = g;
    if (!*path) return QRT_OK;
    g->fd = place_high(open(path, O_WRONLY | O_CREAT | O_APPEND | O_NONBLOCK | O_CLOEXEC, 0640));
    if (g->fd >= 0) {
        fcntl(g->fd, F_SETFL, O_APPEND); /* only the opening must not wait for a reader */
        return QRT_OK;
    }
    g->fd = 2;
    if (errno == ENXIO)
        return error_set(e, QRT_EIO, "the log %s cannot be written: it is a pipe or socket that nobody reads", path);
    return error_set(e, QRT_EIO, "the log %s cannot be written: %s", path, strerror(errno));
}

qrt_status log_open_named(struct live *l, uint16_t node, struct error *e) {
    struct cluster_options *o = &l->config.options;
    struct log_place place;
    char path[OPTION_TEXT_MAX + 16];
    const char *named = getenv("QUORATE_LOG");
    if (!*o->log && named) snprintf(o->log, sizeof o->log, "%s", named);
    if (log_parse(o->log, &place, e) || options_absolute(place.path, sizeof place.path, e)) return e->status;
    if (*place.path && strlen(place.path) + 16 >= sizeof o->log)
        return error_set(e, QRT_ERANGE, "the place for logs has too long a name: %s", place.path);
    if (log_file(&place, node, path, sizeof path, e)) return e->status;
    if (*place.path) { /* as the nodes' processes read it, wherever they are */
        memcpy(o->log, level_names[place.level], strlen(level_names[place.level]) + 1);
        snprintf(o->log + strlen(o->log), sizeof o->log - strlen(o->log), ":%s", place.path);
    }
    return log_open(l, path, place.level, e);
}

void log_close(struct live *l) {
    if (!l->log) return;
    if (l->log->fd > 2) close(l->log->fd);
    free(l->log);
    l->log = NULL;
}

/* ---- what is no event ---- */

static void tap(void *node, const qrt_event *e, uint64_t number) {
    struct live_node *n = node;
    struct trace_sink journal = journal_sink(&n->actor.journal);
    log_see(n->actor.live, e);
    journal.event(journal.context, e, number);
}

void log_tap(struct live_node *n) {
    const struct log *g = n->actor.live ? n->actor.live->log : NULL; /* no actor: it runs elsewhere */
    if (g && g->kinds) actor_tap(&n->actor, g->kinds, tap, n);
}

/* A line for a counter that has grown since the last look. */
static void look_at(struct live_node *n, uint64_t *seen, uint64_t now, const char *what) {
    if (now > *seen) {
        unsigned long long grown = now - *seen;
        log_line(n->actor.live->log, LOG_WARN, n->actor.id, "%s: %llu more, %llu in all", what, grown,
                 (unsigned long long)now);
    }
    *seen = now;
}

static void look_at_versions(struct live_node *n, const struct node_view *v) {
    char what[LOOK_TEXT];
    if (view_version_text(v, what, sizeof what)) look_at(n, &n->look.other_version, v->counts.other_version, what);
}

static void look_at_peers(struct live_node *n) {
    struct live *l = n->actor.live;
    if (!l->agent) return;
    for (uint16_t i = 1; i <= live_node_count(l); i++) {
        bool down = i != n->actor.id && agent_sees_down(l, i);
        if (down != n->look.down[i]) log_line(l->log, LOG_INFO, n->actor.id, "n%u is %s", i, down ? "down" : "up");
        n->look.down[i] = down;
    }
}

void log_look(struct live_node *n, const struct node_view *v) {
    struct live *l = n->actor.live;
    if (!l->log || n->actor.time - n->look.at < LOOK_NS) return;
    n->look.at = n->actor.time;
    look_at(n, &n->look.refused, v->refused, "connections refused for want of an allowed key");
    look_at(n, &n->look.rejected, v->counts.rejected, "messages rejected");
    look_at_versions(n, v);
    look_at(n, &n->look.full, n->actor.drops[QRT_DROP_FULL], "messages dropped, as their receiver is slow or gone");
    bool uncaptured = *v->why_uncaptured;
    if (uncaptured && !n->look.uncaptured)
        log_line(l->log, LOG_WARN, n->actor.id, "its capture stops: %s", v->why_uncaptured);
    n->look.uncaptured = uncaptured;
    look_at_peers(n);
}

void log_flush(struct live_node *n, int64_t began) {
    int64_t took = live_now(n->actor.live) - began;
    if (took < SLOW_FLUSH_NS) return;
    n->slow_flushes++;
    log_line(n->actor.live->log, LOG_WARN, n->actor.id, "its disk is slow: a sync took %lld ms",
             (long long)(took / 1000000));
}
