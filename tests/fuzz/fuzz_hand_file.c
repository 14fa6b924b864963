/* Cluster files from arbitrary bytes: refused with a reason, or read to something that holds together. */
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "cluster/hand.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static struct hand_file f;
    struct error e = {0};
    if (size > 65536) return 0;
    if (hand_file_parse(&f, bytes_of(data, size), "cluster.toml", true, &e)) {
        CHECK(e.text[0]);
        return 0;
    }
    CHECK(f.config.node_count >= 1 && f.config.node_count <= FAULT_NODES_MAX);
    CHECK(f.config.client_count <= HAND_CLIENTS_MAX && f.config.cluster[0]);
    for (uint16_t i = 1; i <= f.config.node_count; i++)
        CHECK(f.config.nodes[i].endpoint[0] && f.config.nodes[i].bind[0]);
    for (size_t i = 0; i < f.config.client_count; i++) CHECK(f.config.clients[i].role);
    return 0;
}
