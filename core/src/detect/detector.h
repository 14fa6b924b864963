/* Failure detectors: one interface over all. A detector watches one peer (or one metric), is a pure function
 * of the times and samples it was given, and never looks at a clock.
 *
 *   kind             fed with            suspicion               suspects
 *   timeout          arrivals            elapsed / timeout       after a fixed time, or interval x nodes
 *   polling          pings and answers   elapsed / timeout       when a ping stays unanswered
 *   phi              arrivals            phi, normal             phi >= threshold (8)
 *   phi-exponential  arrivals            phi, exponential        phi > threshold (8)
 *   nfd-s            arrivals, numbered  elapsed / expected      past the freshness point (clocks agree)
 *   nfd-e            arrivals, numbered  elapsed / expected      past the estimated arrival + shift
 *   bertier          arrivals, numbered  elapsed / expected      past the estimated arrival + a learnt margin
 *   threshold        samples             sample / limit          at alpha x parameter + beta; hysteresis
 *   mixture          vectors             failure probability     at a probability
 *
 * What watches arrivals has a deadline: the first nanosecond at which it suspects if nothing more comes. So a
 * protocol sets one timer, and a meter finds every change of opinion exactly, without sampling.
 *
 * Before its first arrival a detector has no opinion (suspicion 0). A watcher that wants a peer that was
 * never heard suspected, observes once when it begins to watch. */
#ifndef DETECT_DETECTOR_H
#define DETECT_DETECTOR_H

#include <stdbool.h>
#include <stdint.h>

#include "base/bytes.h"
#include "base/memory.h"
#include "base/option.h"
#include "detect/mixture.h"
#include "detect/window.h"

/* Saved in files: never renumber. */
enum detector_kind {
    DETECTOR_TIMEOUT = 0,
    DETECTOR_POLLING = 1,
    DETECTOR_PHI = 2,
    DETECTOR_PHI_EXPONENTIAL = 3,
    DETECTOR_NFD_S = 4,
    DETECTOR_NFD_E = 5,
    DETECTOR_BERTIER = 6,
    DETECTOR_THRESHOLD = 7,
    DETECTOR_MIXTURE = 8,
};
enum { DETECTOR_KINDS = 9 };
#define DETECTOR_NEVER INT64_MAX
/* Times that can be observed: from 36 years before zero to 146 after; differences then never overflow. */
#define DETECTOR_TIME_MIN (-(INT64_C(1) << 60))
#define DETECTOR_TIME_MAX (INT64_C(1) << 62)

struct detector_options { /* one struct; each kind has its own table over it */
    int64_t interval_ns, timeout_ns, nodes;
    double threshold;
    int64_t window;
    int64_t deviation_min_ns, pause_ns, first_ns;
    int64_t interval_max_ns, local_pause_ns;
    int64_t shift_ns, origin_ns;
    double gamma, beta, phi;
    double alpha, offset, parameter, hysteresis;
    bool below, learn_late;
};

/* The kinds' names and options, by enum detector_kind. */
extern const char *const detector_names[DETECTOR_KINDS];
extern const struct option_table detector_tables[DETECTOR_KINDS];
/* The kind of a name; QRT_ENOTFOUND names the nearest. */
qrt_status detector_kind_of(const char *name, enum detector_kind *kind, struct error *e);

struct detector {
    enum detector_kind kind;
    struct detector_options options;
    bool started, raised;          /* raised: the opinion of kinds fed with samples */
    int64_t last;                  /* latest arrival (polling: the oldest unanswered ping) */
    int64_t deadline;              /* DETECTOR_NEVER: none */
    int64_t polled, excused;       /* phi-exponential: last poll, and until when a local pause excuses the peer */
    double mean, deviation, level; /* ns, ns; the last sample's suspicion */
    double score_at_threshold;     /* phi: (deadline - mean) / deviation */
    double delay, variation;       /* bertier */
    int64_t expected;              /* bertier: when the next arrival is expected */
    int64_t base, sequence;        /* numbered arrivals: when number 0 came or would have, the greatest number */
    struct mixture *mixture;       /* owned; the kind mixture only */
    struct window window;
    int64_t samples[];
};

/* options must have come through the kind's table (option_set). The mixture is copied; other kinds take NULL.
 * */
qrt_status detector_new(enum detector_kind kind, const struct detector_options *options, const struct mixture *mixture,
                        struct detector **out, struct error *e);
void detector_free(struct detector **d);
struct detector *detector_clone(const struct detector *d);

/* An arrival at `time`, which never runs backwards. `value` is a numbered kind's sequence number (NaN: the
 * next), a threshold's sample, and is not read by the others. Refused input changes nothing. */
qrt_status detector_observe(struct detector *d, int64_t time, double value, struct error *e);
/* A vector sample for the kind mixture. */
qrt_status detector_observe_vector(struct detector *d, int64_t time, const double *sample, size_t size,
                                   struct error *e);
/* A ping leaves; the kind polling only. */
qrt_status detector_ping(struct detector *d, int64_t time, struct error *e);
/* Changes the parameter of a threshold (a number of nodes, a load). */
qrt_status detector_set_parameter(struct detector *d, double parameter, struct error *e);

/* Pure: what it thinks at `now`, which should not be before the last observation (reads as that, if it is).
 * */
double detector_suspicion(const struct detector *d, int64_t now);
static inline bool detector_suspected(const struct detector *d, int64_t now) {
    return d->raised || now >= d->deadline;
}
/* As detector_suspected, but phi-exponential excuses its peer for as long again after polls that came later
 * than the local pause: then it was this node that stood still. */
bool detector_poll(struct detector *d, int64_t now);

/* Arrays at once. values may be NULL. suspicions and suspected (either may be NULL) receive the opinion at
 * each time just before the arrival, of kinds fed with samples the opinion of the sample. On an error the
 * observations before *done were taken. */
qrt_status detector_observe_many(struct detector *d, const int64_t *times, const double *values, size_t count,
                                 double *suspicions, uint8_t *suspected, size_t *done, struct error *e);
void detector_evaluate_many(const struct detector *d, const int64_t *times, size_t count, double *suspicions,
                            uint8_t *suspected);

/* Equal for detectors that will have the same opinions at the same distances from now. */
uint64_t detector_fingerprint(const struct detector *d, int64_t now);
/* Appends the detector as bytes; the kind mixture is not saved (QRT_EUNSUPPORTED). */
qrt_status detector_save(const struct detector *d, struct buffer *out, struct error *e);
qrt_status detector_load(struct bytes saved, struct detector **out, struct error *e);

#endif
