/* Metrics of live nodes in Prometheus's text format (version 0.0.4), over HTTP on 127.0.0.1.
 *
 *   published views --their mutexes--> page --HTTP/1.0--> whoever asks on this host: GET /metrics
 *
 * One thread answers one connection at a time, within SERVE_NS each, so that nobody can hold it for long. A request is at
 * most REQUEST_MAX bytes; what is no GET of /metrics is told so. There is no library behind this because the one that fits,
 * libmicrohttpd, brings a dozen others (gnutls and its like) into every wheel for what is one page and one verb.
 *
 * The thread reads what nodes publish (struct shown) under its mutex, and nothing else of theirs. */
#include <arpa/inet.h>
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "runtime/live/live_log.h"
#include "runtime/live/live_share.h"

#define REQUEST_MAX 4096
#define BUSY_MS 100
#define SERVE_NS INT64_C(1000000000)
#define BACKLOG 16

struct metrics {
    struct live *live;
    uint16_t first, last; /* nodes */
    int listener, bell;
    pthread_t thread;
    bool running;
};

/* ---- the page ---- */

struct seen { /* one node, copied out of its mutex */
    struct node_view view;
    struct runtime_counts counts;
    struct meters meters;
    int64_t now;
};

static double number_up(const struct seen *s) {
    return s->view.up;
}

static double number_leaderless(const struct seen *s) {
    int64_t since = s->meters.leaderless_since;
    return (double)(s->meters.leaderless + (since ? s->now - since : 0)) / 1e9;
}

static double number_suspects(const struct seen *s) {
    return __builtin_popcountll(s->view.suspects[0]) + __builtin_popcountll(s->view.suspects[1]);
}

#define NUMBERS(X)                                                                                                     \
    X(paused, "gauge", "1 while the node is paused.", s->view.paused)                                                  \
    X(damaged, "gauge", "1 while the node takes from its peers what its disk has lost.", *s->view.damage != 0)         \
    X(leader, "gauge", "1 while the node leads.", s->view.up && s->view.status.role == QRT_ROLE_LEADER)                \
    X(known_leader, "gauge", "Number of the node that leads, as far as this one knows; 0: none.",                      \
      s->view.status.leader)                                                                                           \
    X(term, "gauge", "Current term, epoch or ballot.", s->view.status.term)                                            \
    X(last_index, "gauge", "Index of the last log entry.", s->view.status.last)                                        \
    X(commit_index, "gauge", "Index up to which the log is committed.", s->view.status.commit)                         \
    X(applied_index, "gauge", "Index up to which the state machine has applied.", s->view.status.applied)              \
    X(messages_sent_total, "counter", "Messages sent to nodes and clients.", s->view.counts.sent)                      \
    X(messages_received_total, "counter", "Messages received.", s->view.counts.received)                               \
    X(messages_rejected_total, "counter", "Messages received and rejected as forged, damaged or not for this node.",   \
      s->view.counts.rejected)                                                                                         \
    X(other_version_messages_total, "counter", "Messages rejected because they are of another version.",               \
      s->view.counts.other_version)                                                                                    \
    X(sent_bytes_total, "counter", "Bytes of the messages sent.", s->view.counts.bytes_sent)                           \
    X(refused_connections_total, "counter", "Connections refused for want of an allowed key.", s->view.refused)        \
    X(shut_connections_total, "counter", "Connections shut because they made the node hold too much.", s->view.shut)   \
    X(unaccepted_connections_total, "counter", "Connections for which the system had no descriptor.",                  \
      s->view.unaccepted)                                                                                              \
    X(persisted_records_total, "counter", "Records written to the store.", s->view.counts.persisted)                   \
    X(flushes_total, "counter", "Syncs of the store, each of all that was written before it.", s->view.counts.flushes) \
    X(slow_flushes_total, "counter", "Syncs that took more than 0.1 seconds.", s->meters.slow_flushes)                 \
    X(disk_full, "gauge", "1 while its disk has no room, so that it refuses proposals and only votes.", s->view.full)  \
    X(disk_reserve_bytes, "gauge", "Bytes of its log that can be written without new room.", s->view.reserve)          \
    X(disk_refused_proposals_total, "counter", "Proposals refused because its disk was full.",                         \
      s->view.counts.disk_refused)                                                                                     \
    X(skipped_checkpoints_total, "counter", "Checkpoints left out because its disk was full.", s->view.skipped)        \
    X(applied_entries_total, "counter", "Entries applied to the state machine.", s->view.counts.applied)               \
    X(proposals_total, "counter", "Proposals and writes taken from clients.", s->view.counts.proposals)                \
    X(reads_total, "counter", "Reads taken from clients.", s->view.counts.reads)                                       \
    X(restarts_total, "counter", "How often the node was started again.", s->counts.restarts)

#define NUMBER(name, type, help, value)                 \
    static double number_##name(const struct seen *s) { \
        return (double)(value);                         \
    }
NUMBERS(NUMBER)
#undef NUMBER

static const struct number {
    const char *name, *type, *help;
    double (*of)(const struct seen *s);
} numbers[] = {
    {"up", "gauge", "1 while the node runs, 0 while it is down.", number_up},
#define NUMBER(name, type, help, value) {#name, type, help, number_##name},
    NUMBERS(NUMBER)
#undef NUMBER
        {"leaderless_seconds_total", "counter", "Time during which the node was up and knew no leader.",
         number_leaderless},
    {"suspected_nodes", "gauge", "How many nodes its failure detector suspects.", number_suspects},
};
#undef NUMBERS
enum { NUMBER_COUNT = sizeof numbers / sizeof *numbers };

static void see(const struct metrics *m, struct seen *all) {
    for (uint16_t i = m->first; i <= m->last; i++) {
        struct shown *shown = m->live->nodes[i].shown;
        struct seen *s = &all[i - m->first];
        robust_lock(&shown->mutex);
        s->view = shown->view;
        s->counts = shown->counts;
        s->meters = shown->meters;
        pthread_mutex_unlock(&shown->mutex);
        s->view.refused = atomic_load(&m->live->refused);
        s->now = live_now(m->live);
    }
}

static void put_page(const struct metrics *m, struct buffer *out) {
    size_t count = (size_t)(m->last - m->first) + 1;
    struct seen *all = mem_zero(count, sizeof *all);
    see(m, all);
    buffer_printf(out, "# HELP quorate_info The node's protocol and version; always 1.\n# TYPE quorate_info gauge\n");
    for (size_t i = 0; i < count; i++) {
        buffer_printf(out, "quorate_info{node=\"%zu\",protocol=\"", m->first + i);
        for (const char *c = m->live->config.protocol->name; *c; c++)
            buffer_printf(out, *c == '"' || *c == '\\' ? "\\%c" : "%c", *c == '\n' ? ' ' : *c);
        buffer_printf(out, "\",version=\"%s\"} 1\n", qrt_version());
    }
    for (size_t n = 0; n < NUMBER_COUNT; n++) {
        buffer_printf(out, "# HELP quorate_%s %s\n# TYPE quorate_%s %s\n", numbers[n].name, numbers[n].help,
                      numbers[n].name, numbers[n].type);
        for (size_t i = 0; i < count; i++)
            buffer_printf(out, "quorate_%s{node=\"%zu\"} %.17g\n", numbers[n].name, m->first + i,
                          numbers[n].of(&all[i]));
    }
    buffer_printf(out,
                  "# HELP quorate_messages_dropped_total Messages lost on the way, by why; full: a queue was full.\n"
                  "# TYPE quorate_messages_dropped_total counter\n");
    for (size_t i = 0; i < count; i++)
        for (uint8_t why = QRT_DROP_LOSS; why <= QRT_DROP_DISK; why++)
            buffer_printf(out, "quorate_messages_dropped_total{node=\"%zu\",reason=\"%s\"} %" PRIu64 "\n", m->first + i,
                          trace_drop_name(why), all[i].meters.drops[why]);
    buffer_printf(out,
                  "# HELP quorate_log_lines_lost_total Lines of this process's log for which there was no room.\n"
                  "# TYPE quorate_log_lines_lost_total counter\nquorate_log_lines_lost_total %" PRIu64 "\n",
                  m->live->log ? (uint64_t)atomic_load(&m->live->log->lost) : 0);
    free(all);
}

/* ---- HTTP ---- */

/* Waits for the descriptor, until the deadline or the end. */
static bool wait_for(const struct metrics *m, int fd, short events, int64_t deadline) {
    struct pollfd waits[] = {{fd, events, 0}, {m->bell, POLLIN, 0}};
    int64_t left = deadline - live_now(m->live);
    return left > 0 && poll(waits, 2, (int)(left / 1000000) + 1) > 0 && !waits[1].revents && waits[0].revents;
}

/* The request's head: up to an empty line. False: too long, too slow, or gone. */
static bool read_request(const struct metrics *m, int fd, char *request, int64_t deadline) {
    size_t size = 0;
    while (size < REQUEST_MAX - 1 && wait_for(m, fd, POLLIN, deadline)) {
        ssize_t n = recv(fd, request + size, REQUEST_MAX - 1 - size, MSG_DONTWAIT);
        if (n <= 0) break;
        size += (size_t)n;
        request[size] = 0;
        if (strlen(request) != size) return false; /* no text */
        if (strstr(request, "\r\n\r\n") || strstr(request, "\n\n")) return true;
    }
    return false;
}

static void write_all(const struct metrics *m, int fd, struct bytes data, int64_t deadline) {
    for (uint32_t at = 0; at < data.size && wait_for(m, fd, POLLOUT, deadline);) {
        ssize_t n = send(fd, data.data + at, data.size - at, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (n <= 0) return;
        at += (uint32_t)n;
    }
}

static void answer(const struct metrics *m, const char *request, struct buffer *out) {
    static const char form[] = "HTTP/1.0 %s\r\nContent-Type: text/plain; version=0.0.4; charset=utf-8\r\n"
                               "Content-Length: %zu\r\nConnection: close\r\n\r\n";
    struct buffer page = {0};
    const char *status = "200 OK";
    bool get = !strncmp(request, "GET ", 4), head = !strncmp(request, "HEAD ", 5);
    const char *path = request + (head ? 5 : 4);
    size_t length = get || head ? strcspn(path, " ?\r\n") : 0;
    if (!get && !head)
        status = "405 Method Not Allowed";
    else if (length != 8 || strncmp(path, "/metrics", 8))
        status = "404 Not Found";
    if (*status == '2')
        put_page(m, &page);
    else
        buffer_printf(&page, "%s: here is GET /metrics\n", status);
    buffer_printf(out, form, status, page.size);
    if (!head) buffer_append(out, page.data, page.size);
    buffer_free(&page);
}

static void serve(const struct metrics *m, int fd) {
    char request[REQUEST_MAX];
    struct buffer out = {0};
    int64_t deadline = live_now(m->live) + SERVE_NS;
    if (read_request(m, fd, request, deadline))
        answer(m, request, &out);
    else
        buffer_printf(&out, "HTTP/1.0 400 Bad Request\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
    write_all(m, fd, bytes_of(out.data, out.size), deadline);
    buffer_free(&out);
}

static void *metrics_main(void *metrics) {
    const struct metrics *m = metrics;
    for (;;) {
        struct pollfd waits[] = {{m->listener, POLLIN, 0}, {m->bell, POLLIN, 0}};
        if (poll(waits, 2, -1) < 0) continue;
        if (waits[1].revents) return NULL;
        int fd = accept4(m->listener, NULL, NULL, SOCK_CLOEXEC);
        if (fd < 0) { /* where descriptors have run out, who waits goes on waiting: not in a loop without end */
            poll(waits + 1, 1, BUSY_MS);
            continue;
        }
        serve(m, fd);
        shutdown(fd, SHUT_WR);
        close(fd);
    }
}

/* ---- beginning and end ---- */

static int listen_on(uint16_t port, uint16_t *got) {
    struct sockaddr_in address = {
        .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK), .sin_port = htons(port)};
    socklen_t size = sizeof address;
    int fd = place_high(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    if (fd < 0) return -1;
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &(int){1}, sizeof(int));
    if (!bind(fd, (struct sockaddr *)&address, size) && !listen(fd, BACKLOG) &&
        !getsockname(fd, (struct sockaddr *)&address, &size)) {
        *got = ntohs(address.sin_port);
        return fd;
    }
    close(fd);
    return -1;
}

static void publish_port(const struct metrics *m, uint16_t port) {
    for (uint16_t i = m->first; i <= m->last; i++) {
        struct shown *shown = m->live->nodes[i].shown;
        robust_lock(&shown->mutex);
        shown->meters.port = port;
        pthread_mutex_unlock(&shown->mutex);
    }
}

qrt_status metrics_start(struct live *l, uint16_t first, uint16_t last, int64_t port, struct error *e) {
    uint16_t before = l->nodes[first].shown->meters.port, got = 0;
    if (port < 0) return QRT_OK;
    if (port > 65535) return error_set(e, QRT_ERANGE, "metrics: port %" PRId64 " is none; ports end at 65535", port);
    struct metrics *m = l->metrics = mem_zero(1, sizeof *m);
    m->live = l;
    m->first = first;
    m->last = last;
    m->bell = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    m->listener = !port && before ? listen_on(before, &got) : -1; /* where an earlier incarnation was */
    if (m->listener < 0) m->listener = listen_on((uint16_t)port, &got);
    if (m->listener < 0 || m->bell < 0)
        return error_set(e, QRT_EIO,
                         "metrics: n%u cannot listen on 127.0.0.1:%" PRId64 ": %s; choose another port, or 0", first,
                         port, strerror(errno));
    publish_port(m, got);
    return live_thread(&m->thread, &m->running, metrics_main, m, "qrt-metrics", e);
}

void metrics_stop(struct live *l) {
    struct metrics *m = l->metrics;
    uint64_t one = 1;
    if (!m) return;
    ssize_t n = write(m->bell, &one, sizeof one);
    (void)n;
    if (m->running) pthread_join(m->thread, NULL);
    if (m->listener >= 0) close(m->listener);
    if (m->bell >= 0) close(m->bell);
    free(m);
    l->metrics = NULL;
}
