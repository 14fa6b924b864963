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

bool view_warning_text(const struct node_view *v, char *out, size_t size) {
    char version[ERROR_TEXT_MAX] = "";
    bool other = view_version_text(v, version, sizeof version);
    snprintf(out, size, "%s%s%s%s", *v->damage ? "damaged: " : "", v->damage, *v->damage && other ? "; " : "", version);
    return *out != 0;
}

void view_damage(const struct host *h, struct node_view *v) {
    v->damage[0] = 0;
    if (!v->up || v->status.role != QRT_ROLE_RECOVERING || !h->store) return;
    snprintf(v->damage, sizeof v->damage, "%s", store_damage(h->store));
}
