/* A node's view on its way from a node by hand to its clients. */
#ifndef RUNTIME_LIVE_HAND_VIEW_H
#define RUNTIME_LIVE_HAND_VIEW_H

#include <jansson.h>

#include "runtime/live/live.h"

/* To be released. nodes: so many there are. */
json_t *view_write(const struct node_view *v, uint16_t nodes);
/* False: what a peer sent is no view; *v is then of no use. */
bool view_read(const json_t *o, struct node_view *v);

#endif
