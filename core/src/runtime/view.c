/* What people are told of a node's view. */
#include <stdio.h>

#include "runtime/runtime.h"
#include "wire/wire.h"

bool view_version_text(const struct node_view *v, char *out, size_t size) {
    const struct host_counts *n = &v->counts;
    char who[16] = "a client";
    if (!n->other_version) return false;
    if (n->their_node && n->their_node < QRT_CLIENT) snprintf(who, sizeof who, "n%u", n->their_node);
    snprintf(out, size, "messages of %s are of another version (theirs %u, ours %u): upgrade one of them", who,
             n->their_version, WIRE_VERSION);
    return true;
}
