/* Logs and metrics of live nodes as threads, so that ThreadSanitizer sees the thread that answers beside those that publish:
 * what an option may say, lines whose words cannot break their form, pages while nodes die and come back. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <arpa/inet.h>
#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "cluster/cluster.h"
#include "runtime/live/live_log.h"

#define SECOND INT64_C(1000000000)

static char folder[] = "/tmp/quorate-observe-XXXXXX";

/* ---- what the option says ---- */

/* docs/observing.md: a level, a level and a place, or a place alone. */
static void test_log_parse(void **state) {
    (void)state;
    static const struct {
        const char *text, *path;
        int level;
    } sound[] = {{"", "", LOG_WARN},        {"off", "", LOG_OFF},         {"debug", "", LOG_DEBUG},
                 {"info:x", "x", LOG_INFO}, {"logs/", "logs/", LOG_INFO}, {"error:a:b", "a:b", LOG_ERROR}};
    static const char *const unsound[] = {"loud", "info:", ":x", "INFO", "information:x", "x"};
    struct log_place place;
    for (size_t i = 0; i < sizeof sound / sizeof *sound; i++) {
        struct error e = {0};
        assert_int_equal(log_parse(sound[i].text, &place, &e), QRT_OK);
        assert_int_equal(place.level, sound[i].level);
        assert_string_equal(place.path, sound[i].path);
    }
    for (size_t i = 0; i < sizeof unsound / sizeof *unsound; i++) {
        struct error e = {0};
        assert_int_equal(log_parse(unsound[i], &place, &e), QRT_EINVAL);
        assert_non_null(strstr(e.text, unsound[i]));
    }
}

/* ---- lines ---- */

static size_t read_file(const char *path, char *out, size_t size) {
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t n = fd < 0 ? 0 : read(fd, out, size - 1);
    if (fd >= 0) close(fd);
    out[n < 0 ? 0 : n] = 0;
    return n < 0 ? 0 : (size_t)n;
}

/* Words of a peer or a script hold no line's end, and are cut; what is below the level is not written. */
static void test_a_line_stays_a_line(void **state) {
    (void)state;
    static struct live l;
    struct error e = {0};
    char path[64], text[8192], longer[4000];
    memset(longer, 'x', sizeof longer - 1);
    longer[sizeof longer - 1] = 0;
    snprintf(path, sizeof path, "%s/lines.log", folder);
    assert_int_equal(log_open(&l, path, LOG_WARN, &e), QRT_OK);
    log_line(l.log, LOG_ERROR, 3, "stops: %s", "one\ntwo\033[31m");
    log_line(l.log, LOG_INFO, 3, "is not written");
    log_line(l.log, LOG_WARN, 0, "%s", longer);
    log_line(NULL, LOG_ERROR, 3, "nowhere");
    log_close(&l);
    size_t size = read_file(path, text, sizeof text);
    char *second = strchr(text, '\n');
    assert_non_null(second);
    assert_non_null(strstr(text, " error n3 stops: one two [31m\n"));
    assert_non_null(strstr(second, " warn cluster xxx"));
    assert_null(strstr(text, "not written"));
    assert_ptr_equal(strchr(second + 1, '\n'), text + size - 1);
    assert_true(size < 1200);
}

/* A pipe that nobody reads takes some lines; the rest is lost and counted, and nobody waits. */
static void test_a_log_that_nobody_reads(void **state) {
    (void)state;
    static struct live l;
    struct error e = {0};
    int ends[2];
    assert_int_equal(log_open(&l, "", LOG_WARN, &e), QRT_OK);
    assert_int_equal(pipe(ends), 0);
    l.log->fd = ends[1];
    for (int i = 0; i < 20000; i++) log_line(l.log, LOG_WARN, 1, "line %d", i);
    assert_true(atomic_load(&l.log->lost) > 1000);
    assert_true(atomic_load(&l.log->lost) < 20000);
    log_close(&l); /* closes ends[1] */
    close(ends[0]);
}

/* ---- metrics ---- */

static size_t ask(uint16_t port, const char *request, char *out, size_t size) {
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK), .sin_port = htons(port)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    size_t got = 0;
    assert_int_equal(connect(fd, (struct sockaddr *)&to, sizeof to), 0);
    assert_int_equal(send(fd, request, strlen(request), MSG_NOSIGNAL), (ssize_t)strlen(request));
    for (ssize_t n; got < size - 1 && (n = recv(fd, out + got, size - 1 - got, 0)) > 0;) got += (size_t)n;
    out[got] = 0;
    close(fd);
    return got;
}

static void run_for(struct cluster *c, int64_t ns) {
    struct error e = {0};
    assert_int_equal(cluster_run(c, c->class->now(c->runtime) + ns, NULL, 0, &e), QRT_OK);
}

static void fault(struct cluster *c, const char *json) {
    struct plan plan = {0};
    struct directive d;
    struct error e = {0};
    assert_int_equal(directive_parse(&d, bytes_text(json), 3, &e), QRT_OK);
    plan_add(&plan, &d);
    assert_int_equal(c->class->fault(c->runtime, &plan, &e), QRT_OK);
    plan_free(&plan);
}

/* Pages are whole while nodes publish, die and come back; the last one agrees with the view. */
static void test_pages_while_nodes_die(void **state) {
    (void)state;
    static char page[65536], line[64];
    char log[64];
    snprintf(log, sizeof log, "debug:%s/run.log", folder);
    struct setting settings[] = {{"runtime", "live"}, {"nodes", "3"}, {"metrics", "0"}, {"log", log}};
    struct error e = {0};
    struct node_view v;
    struct cluster *c = cluster_new("raft", settings, 4, NULL, &e);
    assert_non_null(c);
    c->class->view(c->runtime, 2, &v);
    assert_true(v.metrics_port > 0);
    for (int i = 0; i < 20; i++) {
        fault(c, i % 2 ? "{\"do\": \"restart\", \"node\": 2}" : "{\"do\": \"crash\", \"node\": 2}");
        size_t size = ask(v.metrics_port, "GET /metrics HTTP/1.0\r\n\r\n", page, sizeof page);
        const char *body = strstr(page, "\r\n\r\n");
        assert_non_null(body);
        assert_non_null(strstr(page, "HTTP/1.0 200 OK"));
        assert_int_equal(page[size - 1], '\n');
        snprintf(line, sizeof line, "Content-Length: %zu\r\n", strlen(body + 4));
        assert_non_null(strstr(page, line));
        run_for(c, SECOND / 100);
    }
    ask(v.metrics_port, "GET /metrics HTTP/1.0\r\n\r\n", page, sizeof page);
    assert_non_null(strstr(page, "quorate_restarts_total{node=\"2\"} 10\n"));
    assert_non_null(strstr(page, "quorate_up{node=\"2\"} 1\n"));
    cluster_free(c);
    snprintf(log, sizeof log, "%s/run.log", folder);
    assert_true(read_file(log, page, sizeof page) > 0);
    assert_non_null(strstr(page, " info n2 crashed; "));
}

static int make_folder(void **state) {
    (void)state;
    return mkdtemp(folder) ? 0 : -1;
}

static int remove_folder(void **state) {
    char path[64];
    (void)state;
    snprintf(path, sizeof path, "%s/lines.log", folder);
    unlink(path);
    snprintf(path, sizeof path, "%s/run.log", folder);
    unlink(path);
    return rmdir(folder);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_log_parse),
        cmocka_unit_test(test_a_line_stays_a_line),
        cmocka_unit_test(test_a_log_that_nobody_reads),
        cmocka_unit_test(test_pages_while_nodes_die),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
