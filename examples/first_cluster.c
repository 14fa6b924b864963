/* A Raft cluster from C: built, broken, judged. Simulated, in virtual time: every run prints the same.
 *
 *     cc -std=c11 first_cluster.c $(pkg-config --cflags --libs quorate) -o first_cluster
 */
#include <quorate.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SECOND INT64_C(1000000000)

static void must(qrt_status status, const void *handle) {
    if (status == QRT_OK) return;
    fprintf(stderr, "%s: %s\n", qrt_status_name(status), qrt_last_error(handle));
    exit(1);
}

/* A long call comes back with QRT_MORE after about 20 ms of work: the place for progress, signals, other work. */
static uint16_t wait_leader(qrt_cluster *c) {
    int64_t now;
    uint16_t leader;
    qrt_status status;
    must(qrt_cluster_now(c, &now), c);
    while ((status = qrt_cluster_run(c, now + 5 * SECOND, "leader")) == QRT_MORE) continue;
    must(status, c);
    must(qrt_cluster_leader(c, &leader), c);
    return leader;
}

/* Proposes at whoever leads, and waits at most five virtual seconds until it is known how that ended. */
static void propose(qrt_cluster *c, const char *text) {
    int64_t now;
    uint64_t ticket;
    qrt_result result;
    qrt_status status;
    must(qrt_cluster_now(c, &now), c);
    must(qrt_cluster_propose(c, 0, (const uint8_t *)text, strlen(text), &ticket), c);
    while ((status = qrt_cluster_await(c, ticket, now + 5 * SECOND, &result)) == QRT_MORE) continue;
    must(status, c);
    must(result.status, c);
    printf("committed at index %llu in term %llu, after %.3f ms\n", (unsigned long long)result.index,
           (unsigned long long)result.term, (double)result.latency_ns / 1e6);
}

static void crash(qrt_cluster *c, uint16_t node) {
    char directive[64];
    snprintf(directive, sizeof directive, "{\"do\": \"crash\", \"node\": %u}", node);
    must(qrt_cluster_fault(c, directive), c);
}

int main(void) {
    const qrt_option options[] = {{"nodes", "5"}, {"seed", "7"}};
    qrt_cluster *c = NULL;
    qrt_status status;
    uint64_t hash, events;
    must(qrt_cluster_new(&c, "raft", options, 2, NULL), NULL);
    uint16_t old = wait_leader(c);
    propose(c, "x = 1");
    crash(c, old);
    printf("n%u is down, n%u leads\n", old, wait_leader(c));
    propose(c, "x = 2");
    while ((status = qrt_cluster_check(c, 0, 0)) == QRT_MORE) continue; /* 0, 0: the default budget */
    must(status, c);
    must(qrt_cluster_hash(c, &hash, &events), c);
    printf("%llu events, trace hash %016llx\n%s\n", (unsigned long long)events, (unsigned long long)hash,
           qrt_cluster_report(c)); /* each property with its verdict, as JSON */
    qrt_cluster_free(&c);
}
