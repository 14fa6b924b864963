#include "runtime/options.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define AT(field) offsetof(struct cluster_options, field)
#define HOUR 3600.0

/* clang-format off */
static const struct option_spec specs[] = {
    {"nodes",   OPTION_INTEGER, AT(nodes),   1, FAULT_NODES_MAX, "3", NULL, "how many nodes the cluster has"},
    {"seed",    OPTION_INTEGER, AT(seed),    0, 18446744073709551615.0, "1", NULL, "everything random in a run comes from it"},
    {"runtime", OPTION_CHOICE,  AT(runtime), 0, 0, "sim", "sim|live", "simulated in virtual time, or live in real time"},
    {"transport", OPTION_CHOICE, AT(transport), 0, 0, "inproc", "inproc|ipc|tcp", "live: nodes are threads (inproc), or processes over Unix sockets (ipc) or TCP on this host"},
    {"curve",   OPTION_BOOL,    AT(curve),   0, 0, "true", NULL, "live, ipc and tcp: encrypt, and admit only the keys made for this run"},
    {"machine", OPTION_TEXT,    AT(machine), 0, 0, "kv", NULL, "the replicated state machine: kv, register, counter, lock, or one of your own"},
    {"profile", OPTION_CHOICE,  AT(profile), 0, 0, "lan", "lan|wan", "network figures used where delay and jitter are 0: lan 0.25 ms + 0.1 ms, wan 30 ms + 10 ms"},
    {"delay",   OPTION_DURATION, AT(delay),  0, HOUR, "0", NULL, "one-way delay of a link: its least, or its mean; 0: the profile's"},
    {"jitter",  OPTION_DURATION, AT(jitter), 0, HOUR, "0", NULL, "uniform: added at most; normal: deviation; 0: the profile's"},
    {"delay_kind", OPTION_CHOICE, AT(delay_kind), 0, 0, "uniform", "constant|uniform|normal|exponential|pareto", "how delays are distributed"},
    {"disk",    OPTION_CHOICE,  AT(disk),    0, 0, "sim", "sim|memory|folder", "simulated disk, memory that is durable at once, or files under `data` (live)"},
    {"data",    OPTION_TEXT,    AT(data),    0, 0, "", NULL, "folder of the nodes' data, with disk=folder"},
    {"write",   OPTION_DURATION, AT(write),  0, HOUR, "20us", NULL, "simulated disk: time of a write"},
    {"sync",    OPTION_DURATION, AT(sync),   0, HOUR, "200us", NULL, "simulated disk: time of a sync"},
    {"disk_jitter", OPTION_DURATION, AT(disk_jitter), 0, HOUR, "100us", NULL, "simulated disk: added to each write and sync, uniform"},
    {"record",  OPTION_CHOICE,  AT(record),  0, 0, "all", "all|last|none", "which events of the trace are kept; its hash covers all of them anyway, but for live nodes with none and check=false: these only count theirs, which is the fastest"},
    {"record_last", OPTION_INTEGER, AT(record_last), 64, 1e9, "100000", NULL, "how many events record=last keeps"},
    {"sessions", OPTION_INTEGER, AT(sessions), 1, 1e6, "1024", NULL, "client sessions a node remembers; the least recently used goes first"},
    {"timeout", OPTION_DURATION, AT(timeout), 1e-6, HOUR, "5", NULL, "how long propose, elect and client operations wait"},
    {"client_retry", OPTION_DURATION, AT(client_retry), 1e-6, HOUR, "100ms", NULL, "a client resends to the next node when not answered by then"},
    {"quorum", OPTION_TEXT, AT(quorum), 0, 0, "majority", NULL, "who decides: majority, two-thirds, all, weighted:3,1,1, flexible:2,4 (elect, commit), grid:2x3"},
    {"detector", OPTION_CHOICE, AT(detector), 0, 0, "none", "none|timeout|polling|phi|phi-exponential|nfd-e|bertier", "every node watches every other by heartbeats; what this failure detector suspects is told to the protocol"},
    {"detector_interval", OPTION_DURATION, AT(detector_interval), 1e-6, HOUR, "20ms", NULL, "between two heartbeats (or polls)"},
    {"detector_timeout", OPTION_DURATION, AT(detector_timeout), 0, HOUR, "0", NULL, "timeout, polling: silence that is suspected (0: interval x nodes); nfd-e: margin (0: 2 intervals); phi: acceptable pause"},
    {"detector_threshold", OPTION_REAL, AT(detector_threshold), 1e-3, 1000, "8", NULL, "phi, phi-exponential: the suspicion from which on a peer is suspected"},
    {"capture", OPTION_TEXT,    AT(capture), 0, 0, "", NULL, "folder into which every node writes each of its inputs, for `quorate replay`"},
    {"capture_size", OPTION_SIZE, AT(capture_size), 8388608, 1e12, "1GiB", NULL, "how much of it a node may write; then its capture stops, and the node goes on"},
    {"check",   OPTION_BOOL,    AT(check),   0, 0, "true", NULL, "check every property after every step"},
    {"bug",     OPTION_TEXT,    AT(bug),     0, 0, "", NULL, "switches on one published mistake; `quorate bugs` lists them"},
    {"log", OPTION_TEXT, AT(log), 0, 0, "", NULL, "live: a level (off, error, warn, info, debug), with a place behind a colon: info:run.log, info:logs/; without: QUORATE_LOG, or warn, to standard error"},
    {"metrics", OPTION_INTEGER, AT(metrics), -1, 65535, "-1", NULL, "live: Prometheus metrics on this port of 127.0.0.1 (processes: node i on port + i - 1); 0: the system chooses; -1: none"},
    {0},
};
/* clang-format on */

const struct option_table cluster_option_table = {"cluster", specs};

struct distribution cluster_link_delay(const struct cluster_options *o) {
    static const int64_t delays[] = {250000, 30000000}, jitters[] = {100000, 10000000};
    int64_t delay = o->delay ? o->delay : delays[o->profile];
    int64_t jitter = o->jitter ? o->jitter : jitters[o->profile];
    struct distribution d = {.kind = (uint8_t)(o->delay_kind + 1), .a = delay, .b = jitter, .shape = 2.5};
    if (d.kind == DIST_UNIFORM) d.b = delay + jitter;
    return d;
}

qrt_status options_absolute(char *path, size_t size, struct error *e) {
    char here[OPTION_TEXT_MAX], whole[2 * OPTION_TEXT_MAX];
    if (!*path || *path == '/') return QRT_OK;
    if (!getcwd(here, sizeof here))
        return error_set(e, QRT_EIO, "the current folder is not known: %s", strerror(errno));
    snprintf(whole, sizeof whole, "%s/%s", here, path);
    if (strlen(whole) >= size) return error_set(e, QRT_ERANGE, "the path %s is too long", whole);
    memcpy(path, whole, strlen(whole) + 1);
    return QRT_OK;
}
