/* Cluster files of nodes started by hand: what is read, and what is refused, with its line and why. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "cluster/hand.h"

static struct hand_file file;

static qrt_status parse(const char *text, struct error *e) {
    *e = (struct error){0};
    return hand_file_parse(&file, bytes_text(text), "cluster.toml", true, e);
}

static void refused(const char *text, const char *why) {
    struct error e;
    qrt_status got = parse(text, &e);
    if (got != QRT_EPARSE || !strstr(e.text, why)) fail_msg("%s\ngave %d: %s\nwanted: %s", text, got, e.text, why);
}

#define NODE1 "[cluster]\nname = \"a\"\n[node.1]\nendpoint = \"tcp://127.0.0.1:1\"\n"
#define KEY1 "mvK2TIBAj%UuVBk]LkY.7+X^J][lRta-W4}kSK3k"
#define KEY2 "vC5RbQbC2D)T=})n(0qIs>FfYQ.Zh-n^lFZTd0f]"

/* The parts of TOML that are used, each at least once. */
static void test_reads_a_whole_file(void **state) {
    (void)state;
    struct error e;
    assert_int_equal(
        parse("# first\r\n[cluster]\r\nname = \"orders\" # that one\nprotocol='raft'\ndata = \"/v\\u00e9\\\"\"\n"
              "timeout = 2.5\nsessions = 1_000\n\n[ options ]\nelection_timeout = \"300ms\"\npre_vote = false\n"
              "[node.2]\nendpoint = \"ipc:///run/q/n2\"\nkey = \"" KEY2 "\"\n"
              "[node.1]\nendpoint = \"tcp://db-1.example:7001\"\nbind = \"tcp://0.0.0.0:7001\"\nkey = \"" KEY1 "\"",
              &e),
        QRT_OK);
    assert_string_equal(file.config.cluster, "orders");
    assert_string_equal(file.config.data, "/v\xc3\xa9\"");
    assert_int_equal(file.config.node_count, 2);
    assert_string_equal(file.config.nodes[1].bind, "tcp://0.0.0.0:7001");
    assert_string_equal(file.config.nodes[2].bind, "ipc:///run/q/n2");
    assert_string_equal(file.config.nodes[1].public_key, KEY1);
    assert_true(file.config.curve);
    assert_int_equal(file.setting_count, 4);
    assert_string_equal(file.settings[1].value, "1000");
}

/* TOML that is none, or that is not used here. */
static void test_refuses_malformed_text(void **state) {
    (void)state;
    refused("[cluster\n", "line 1: the table's name has no closing ]");
    refused("\n\nname\n", "line 3: a key is followed by =");
    refused("[cluster]\nname = \"a", "line 2: the text has no closing quote");
    refused("[cluster]\nname = \"a\" b", "line 2: there is something behind the value");
    refused("[cluster]\nname = \"\"\"a", "texts of several lines");
    refused("[cluster]\nname = [1]", "arrays are not used");
    refused("[cluster]\nname = {a=1}", "inline tables are not used");
    refused("[[node]]\n", "arrays of tables are not used");
    refused("[a..b]\n", "a name of letters");
    refused("[cluster]\n\"name\" = 1", "a name of letters");
    refused("[cluster]\nname = 01", "makes no sense");
    refused("[cluster]\nname = 0x1f", "not decimal");
    refused("[cluster]\nname = 2026-11-21", "dates");
    refused("[cluster]\nname = \"\\q\"", "an escape");
    refused("[cluster]\nname = \"\\ud800\"", "an escape");
    refused("[cluster]\nname = \"\xff\"", "UTF-8");
    refused("[cluster]\nname = \"a\x01\"", "control character");
    refused("[cluster]\n[cluster]\n", "line 2: this table was there before");
    refused("a = 1", "line 1: 'a' stands before the first table");
}

static void test_refuses_what_makes_no_sense(void **state) {
    (void)state;
    refused("", "[cluster] has no name");
    refused("[clutser]\n", "line 1: there is no table [clutser]");
    refused("[cluster]\nnodes = 3", "line 2: [cluster] has no 'nodes'");
    refused("[cluster]\nname = 3", "line 2: name is a text");
    refused(NODE1 "[node.3]\nendpoint = \"tcp://h:2\"\n", "[node.2] has no endpoint");
    refused(NODE1 "[node.2]\nendpoint = \"tcp://127.0.0.1:1\"\n", "have the same endpoint");
    refused(NODE1 "[node.129]\n", "numbered from 1 to at most 128");
    refused(NODE1 "[node.x]\n", "numbered from 1");
    refused(NODE1 "bind = \"tcp://h:0\"\n", "is no address");
    refused(NODE1 "bind = \"tcp://0.0.0.0:1\"\n", "without keys");
    refused(NODE1 "[client.a]\n", "[client.a] has no role");
    refused(NODE1 "[client.a b]\n", "closing ]");
    refused(NODE1 "key = \"" KEY1 "\"\n[client.a]\nrole = \"read\"\n", "client a has no key");
    refused(NODE1 "key = \"" KEY1 "\"\n[client.a]\nrole = \"read\"\nkey = \"" KEY1 "\"\n", "have the same key");
    refused(NODE1 "[options]\nnodes = 3\n", "line 6: ");
    refused(NODE1 "[options]\nelection_timeout = \"-1s\"\n", "line 6: ");
}

static void test_insecure_must_be_said(void **state) {
    (void)state;
    struct error e;
    assert_int_equal(parse("[cluster]\nname = \"a\"\ninsecure = true\n[node.1]\nendpoint = \"tcp://10.0.0.1:1\"\n", &e),
                     QRT_OK);
    assert_false(file.config.curve);
}

static size_t read_text(const char *path, char *out, size_t size) {
    FILE *f = fopen(path, "r");
    assert_non_null(f);
    size_t n = fread(out, 1, size - 1, f);
    out[n] = 0;
    fclose(f);
    return n;
}

/* Keys are added where they are missing, one is replaced on demand, and nothing else of the file changes. */
static void test_keygen(void **state) {
    (void)state;
    char folder[] = "/tmp/quorate-keys-XXXXXX", path[64], key[96], text[1024], again[1024];
    struct error e = {0};
    struct buffer made = {0};
    struct stat about;
    assert_non_null(mkdtemp(folder));
    snprintf(path, sizeof path, "%s/c.toml", folder);
    FILE *f = fopen(path, "w");
    fputs(NODE1 "# kept\n[client.bob] # as well\nrole = \"read\"", f);
    fclose(f);
    assert_int_equal(hand_keygen(path, NULL, &made, &e), QRT_OK);
    assert_non_null(strstr(buffer_text(&made), "\"n1\""));
    read_text(path, text, sizeof text);
    assert_non_null(strstr(text, "# kept\n[client.bob] # as well\nkey = \""));
    snprintf(key, sizeof key, "%s/keys/bob.key", folder);
    assert_int_equal(stat(key, &about), 0);
    assert_int_equal(about.st_mode & 0777, 0600);
    assert_int_equal(hand_keygen(path, NULL, &made, &e), QRT_OK);
    assert_int_equal(read_text(path, again, sizeof again), strlen(text));
    assert_string_equal(text, again);
    assert_int_equal(hand_keygen(path, "n1", &made, &e), QRT_OK);
    read_text(path, again, sizeof again);
    assert_int_equal(strlen(again), strlen(text));
    assert_string_not_equal(text, again);
    assert_int_equal(hand_keygen(path, "n2", &made, &e), QRT_ENOTFOUND);
    assert_int_equal(hand_file_read(&file, path, true, &e), QRT_OK);
    assert_int_equal(hand_identity(&file, path, 0, key, &e), QRT_OK);
    assert_string_equal(file.config.name, "bob");
    assert_int_equal(hand_identity(&file, path, 1, key, &e), QRT_EDENIED);
    assert_int_equal(hand_identity(&file, path, 1, NULL, &e), QRT_OK);
    chmod(key, 0640);
    assert_int_equal(hand_identity(&file, path, 0, key, &e), QRT_EDENIED);
    buffer_free(&made);
    snprintf(text, sizeof text, "rm -r %s", folder);
    assert_int_equal(system(text), 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_reads_a_whole_file),
        cmocka_unit_test(test_refuses_malformed_text),
        cmocka_unit_test(test_refuses_what_makes_no_sense),
        cmocka_unit_test(test_insecure_must_be_said),
#ifdef QRT_HAVE_LIVE
        cmocka_unit_test(test_keygen),
#endif
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
