/* The log of a live cluster, and its metrics: what people and their tools read of a node while it runs. */
#ifndef RUNTIME_LIVE_LOG_H
#define RUNTIME_LIVE_LOG_H

#include "runtime/live/live.h"

enum log_level { LOG_OFF = 0, LOG_ERROR = 1, LOG_WARN = 2, LOG_INFO = 3, LOG_DEBUG = 4 };

/* What the option log says. */
struct log_place {
    enum log_level level;
    char path[OPTION_TEXT_MAX]; /* "": standard error; a folder, or one file for all */
};

struct log {
    enum log_level level;
    int fd;
    uint64_t kinds;            /* of events that make a line; bit by kind */
    atomic_uint_fast64_t lost; /* lines for which there was no room */
};

/* live_log.c */
qrt_status log_parse(const char *text, struct log_place *out, struct error *e);
/* The file of a node (0: of the cluster's process) at that place, "" for standard error. Makes the folder. */
qrt_status log_file(const struct log_place *place, uint16_t node, char *path, size_t size, struct error *e);
/* l->log, to that file. */
qrt_status log_open(struct live *l, const char *path, enum log_level level, struct error *e);
/* By the option log, or else the environment's QUORATE_LOG. node: whose process this is; 0: the cluster's. */
qrt_status log_open_named(struct live *l, uint16_t node, struct error *e);
void log_close(struct live *l);
/* Any thread; l->log may be NULL. */
void log_line(struct log *g, enum log_level level, uint16_t node, const char *format, ...)
    __attribute__((format(printf, 4, 5)));
void log_event(struct log *g, const qrt_event *e);
static inline uint64_t log_kinds(const struct live *l) { /* of events that it has lines for */
    return l->log ? l->log->kinds : 0;
}
static inline void log_see(struct live *l, const qrt_event *e) {
    if (log_kinds(l) >> e->kind & 1) log_event(l->log, e);
}
void log_tap(struct live_node *n); /* its events pass log_see on their way to the journal */
void log_look(struct live_node *n, const struct node_view *v);
void log_flush(struct live_node *n, int64_t began); /* that flush is done: was the disk slow? */

/* live_metrics.c: of the nodes first to last, on that port (0: the system chooses; below: none are wanted) */
qrt_status metrics_start(struct live *l, uint16_t first, uint16_t last, int64_t port, struct error *e);
void metrics_stop(struct live *l);

#endif
