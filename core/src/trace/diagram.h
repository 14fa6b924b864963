/* A space-time diagram: a lifeline for each node and client, time downward, an arrow for each message from
 * its send to its receipt, a cross where it was dropped. Self-contained SVG in colours that read on light and
 * dark. */
#ifndef TRACE_DIAGRAM_H
#define TRACE_DIAGRAM_H

#include "base/memory.h"
#include "trace/trace.h"

#define DIAGRAM_MAX 300 /* events; of more, the last are drawn */
#define DIAGRAM_NONE UINT64_MAX

/* events: in order; those of other nodes than `nodes` (the columns, from left to right) are left out.
 * highlight: the position in `events` of the one that matters, or DIAGRAM_NONE. Appends the SVG to out. */
void diagram_svg(const qrt_event *events, size_t count, const uint16_t *nodes, size_t node_count, uint64_t highlight,
                 struct buffer *out);

#endif
