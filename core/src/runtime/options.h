/* The options of a cluster, whatever its protocol: sizes, seed, network, disk, recording. The protocol's own options
 * stand in its own table beside this one. */
#ifndef RUNTIME_OPTIONS_H
#define RUNTIME_OPTIONS_H

#include "base/option.h"
#include "fault/plan.h"

enum runtime_kind { RUNTIME_SIM = 0, RUNTIME_LIVE = 1 };
enum transport_kind { TRANSPORT_INPROC = 0, TRANSPORT_IPC = 1, TRANSPORT_TCP = 2 };
enum record_kind { RECORD_ALL = 0, RECORD_LAST = 1, RECORD_NONE = 2 };
enum disk_kind { DISK_SIM = 0, DISK_MEMORY = 1, DISK_FOLDER = 2 };

struct cluster_options {
    int64_t nodes, seed;
    int32_t runtime, transport, profile, record, disk, delay_kind;
    char machine[OPTION_TEXT_MAX], data[OPTION_TEXT_MAX], bug[OPTION_TEXT_MAX];
    int64_t record_last, sessions;
    int64_t delay, jitter, write, sync, disk_jitter, timeout, client_retry;
    bool curve, check;
    char quorum[OPTION_TEXT_MAX];
    int32_t detector;
    int64_t detector_interval, detector_timeout;
    double detector_threshold;
    char capture[OPTION_TEXT_MAX]; /* "": none */
    int64_t capture_size;
    char log[OPTION_TEXT_MAX];
    int64_t metrics;
};

extern const struct option_table cluster_option_table;

/* What frames and stores of this cluster are marked with. */
static inline uint64_t cluster_options_id(const struct cluster_options *o) {
    return (uint64_t)o->seed ^ 0x51554f52;
}

/* Makes a path, of `size` bytes with its end, one that a later chdir does not change; "" stays. QRT_EIO, QRT_ERANGE. */
qrt_status options_absolute(char *path, size_t size, struct error *e);

/* The link's delay as a distribution; a profile's figures stand where delay and jitter were left at 0. */
struct distribution cluster_link_delay(const struct cluster_options *o);

#endif
