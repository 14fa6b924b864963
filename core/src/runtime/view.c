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

bool view_warning_text(const struct node_view *v, char *out, size_t size) {
    char text[3][ERROR_TEXT_MAX] = {"", "", ""};
    size_t used = 0;
    if (*v->damage) snprintf(text[0], sizeof text[0], "damaged: %s", v->damage);
    view_full_text(v, text[1], sizeof text[1]);
    view_version_text(v, text[2], sizeof text[2]);
    *out = 0;
    for (int i = 0; i < 3; i++) {
        if (!*text[i] || used >= size) continue;
        used += (size_t)snprintf(out + used, size - used, "%s%s", used ? "; " : "", text[i]);
    }
    return *out != 0;
}

void view_damage(const struct host *h, struct node_view *v) {
    v->damage[0] = 0;
    if (!v->up || v->status.role != QRT_ROLE_RECOVERING || !h->store) return;
    snprintf(v->damage, sizeof v->damage, "%s", store_damage(h->store));
}
