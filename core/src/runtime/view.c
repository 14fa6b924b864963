/* What people are told of a node's view. */
#include <stdio.h>

#include "runtime/runtime.h"
#include "wire/wire.h"

bool view_full_text(const struct node_view *v, char *out, size_t size) {
    if (!v->full) return false;
    snprintf(out, size, "the disk of n%u is full (%.1f MB of its log's reserve left): make room there; it still votes",
             v->node, (double)v->reserve / 1e6);
    return true;
}

bool view_version_text(const struct node_view *v, char *out, size_t size) {
    const struct host_counts *n = &v->counts;
    char who[16] = "a client";
    if (!n->other_version) return false;
    if (n->their_node && n->their_node < QRT_CLIENT) snprintf(who, sizeof who, "n%u", n->their_node);
    snprintf(out, size, "messages of %s are of another version (theirs %u, ours %u): upgrade one of them", who,
             n->their_version, WIRE_VERSION);
    return true;
}
