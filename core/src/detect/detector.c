/* Each kind's arithmetic: what an observation does to the estimate and the deadline. */
#include "detect/detector.h"

#include <stdlib.h>

#include "base/check.h"
#include "detect/phi.h"

/* A deadline this far ahead of a time, saturating. */
static int64_t time_after(int64_t time, double ahead) {
    if (!(ahead < 9e18)) return DETECTOR_NEVER;
    int64_t delta = (int64_t)ahead, sum;
    if ((double)delta < ahead) delta++; /* up to the next nanosecond */
    return __builtin_add_overflow(time, delta, &sum) ? DETECTOR_NEVER : sum;
}

static bool kind_numbered(enum detector_kind kind) {
    return kind == DETECTOR_NFD_S || kind == DETECTOR_NFD_E || kind == DETECTOR_BERTIER;
}

static bool kind_sampled(enum detector_kind kind) {
    return kind == DETECTOR_THRESHOLD || kind == DETECTOR_MIXTURE;
}

static double fixed_timeout(const struct detector *d) {
    if (d->options.timeout_ns) return (double)d->options.timeout_ns;
    return (double)d->options.interval_ns * (double)d->options.nodes;
}

static void observe_timeout(struct detector *d, int64_t time) {
    d->last = time;
    d->deadline = time_after(time, fixed_timeout(d));
}

static void interval_learn(struct detector *d, int64_t interval) {
    window_add(&d->window, d->samples, interval < WINDOW_SAMPLE_MAX ? interval : WINDOW_SAMPLE_MAX);
}

/* Akka's: the first arrival puts the expected interval, give or take a quarter, into the window; an interval
 * that ended a suspicion is not learnt, because one long pause would widen the estimate for a whole window.
 */
static void observe_phi(struct detector *d, int64_t time) {
    if (__builtin_expect(!d->started, 0)) {
        interval_learn(d, d->options.first_ns - d->options.first_ns / 4);
        interval_learn(d, d->options.first_ns + d->options.first_ns / 4);
    } else if (time < d->deadline || d->options.learn_late) {
        interval_learn(d, time - d->last);
    }
    double deviation = real_sqrt(window_variance(&d->window)), least = (double)d->options.deviation_min_ns;
    d->mean = window_mean(&d->window) + (double)d->options.pause_ns;
    d->deviation = deviation > least ? deviation : least;
    d->last = time;
    d->deadline = time_after(time, d->mean + d->score_at_threshold * d->deviation);
    if (d->deadline < time) d->deadline = time;
}

/* Cassandra's: the first arrival counts as two intervals; longer intervals than the maximum are not learnt.
 */
static void observe_phi_exponential(struct detector *d, int64_t time) {
    int64_t interval = d->started ? time - d->last : 2 * d->options.interval_ns;
    if (!d->started || interval <= d->options.interval_max_ns) interval_learn(d, interval);
    d->mean = window_mean(&d->window);
    d->last = time;
    /* Suspicion begins above the threshold, not at it. */
    int64_t at = time_after(time, d->options.threshold * 2.30258509299404568402 * d->mean);
    d->deadline = at == DETECTOR_NEVER ? at : at + 1;
}

/* The sequence number of an arrival; fails when it is none. */
static qrt_status number_of(const struct detector *d, double value, int64_t *number, struct error *e) {
    if (value != value) {
        *number = d->started ? d->sequence + 1 : 0;
        return QRT_OK;
    }
    if (!(value >= 0) || value > 1e12 || value != (double)(int64_t)value)
        return error_set(e, QRT_ERANGE, "a heartbeat's number is a whole number from 0 to 1e12, not %g", value);
    *number = (int64_t)value;
    return QRT_OK;
}

/* base + interval * number, or DETECTOR_NEVER beyond all time. */
static int64_t scheduled(const struct detector *d, int64_t base, int64_t number) {
    int64_t ahead, sum;
    if (__builtin_mul_overflow(d->options.interval_ns, number, &ahead)) return DETECTOR_NEVER;
    return __builtin_add_overflow(base, ahead, &sum) ? DETECTOR_NEVER : sum;
}

/* Chen, Toueg and Aguilera (2002), figure 6: heartbeat i is sent at origin + i interval, and from the
 * freshness point origin + i interval + shift on, only heartbeats from i on count. */
static void observe_nfd_s(struct detector *d, int64_t number) {
    int64_t freshness = scheduled(d, d->options.origin_ns, number + 1);
    d->deadline = time_after(freshness, (double)d->options.shift_ns);
}

/* Their section 5.2: the mean of the last arrivals, each less its number of intervals, estimates when number
 * 0 would have come. */
static int64_t arrival_expected(struct detector *d, int64_t time, int64_t number) {
    int64_t zero = scheduled(d, 0, number);
    window_add(&d->window, d->samples, time - d->base - zero);
    double mean = window_mean(&d->window);
    int64_t offset = (int64_t)(mean < 0 ? mean - 0.5 : mean + 0.5), next = scheduled(d, d->base, number + 1), sum;
    return next == DETECTOR_NEVER || __builtin_add_overflow(next, offset, &sum) ? DETECTOR_NEVER : sum;
}

static void observe_nfd_e(struct detector *d, int64_t time, int64_t number) {
    d->deadline = time_after(arrival_expected(d, time, number), (double)d->options.shift_ns);
}

/* Bertier, Marin and Sens (2002): Chen's estimate, and Jacobson's margin over its errors. */
static void observe_bertier(struct detector *d, int64_t time, int64_t number) {
    if (d->started && d->expected != DETECTOR_NEVER) {
        double skipped = (double)d->options.interval_ns * (double)(number - d->sequence - 1);
        double error = (double)(time - d->expected) - skipped - d->delay;
        d->delay += d->options.gamma * error;
        d->variation += d->options.gamma * ((error < 0 ? -error : error) - d->variation);
    }
    double margin = d->options.beta * d->delay + d->options.phi * d->variation;
    d->expected = arrival_expected(d, time, number);
    d->deadline = time_after(d->expected, margin > 0 ? margin : 0);
}

static qrt_status observe_numbered(struct detector *d, int64_t time, double value, struct error *e) {
    int64_t number = 0;
    qrt_status status = number_of(d, value, &number, e);
    if (status) return status;
    if (scheduled(d, time, number + 1) == DETECTOR_NEVER)
        return error_set(e, QRT_ERANGE, "heartbeat %lld at this interval lies beyond all time", (long long)number);
    if (!d->started) d->base = time - scheduled(d, 0, number);
    bool fresh = !d->started || number > d->sequence;
    if (fresh && d->kind == DETECTOR_NFD_S) observe_nfd_s(d, number);
    if (fresh && d->kind == DETECTOR_NFD_E) observe_nfd_e(d, time, number);
    if (fresh && d->kind == DETECTOR_BERTIER) observe_bertier(d, time, number);
    if (fresh) d->sequence = number;
    d->last = time;
    return QRT_OK;
}

/* Raised at the limit; lowered only when the sample is `hysteresis` on the other side of it. */
static qrt_status observe_threshold(struct detector *d, double value, struct error *e) {
    if (value - value != 0)
        return error_set(e, QRT_EINVAL, "a threshold's sample must be a finite number, not %g", value);
    double limit = d->options.alpha * d->options.parameter + d->options.offset;
    double over = d->options.below ? limit - value : value - limit;
    d->raised = d->raised ? over > -d->options.hysteresis : over >= 0;
    d->level = limit > 0 && !d->options.below ? value / limit : 1 + over;
    if (d->options.below && value > 0 && limit > 0) d->level = limit / value;
    return QRT_OK;
}

static qrt_status observe_answer(struct detector *d, int64_t time) {
    d->last = time;
    d->deadline = DETECTOR_NEVER;
    return QRT_OK;
}

/* By kind; time has been found not to run backwards. */
static inline qrt_status observe_dispatch(struct detector *d, int64_t time, double value, struct error *e) {
    switch (d->kind) {
    case DETECTOR_TIMEOUT: observe_timeout(d, time); return QRT_OK;
    case DETECTOR_POLLING: return observe_answer(d, time);
    case DETECTOR_PHI: observe_phi(d, time); return QRT_OK;
    case DETECTOR_PHI_EXPONENTIAL: observe_phi_exponential(d, time); return QRT_OK;
    case DETECTOR_NFD_S:
    case DETECTOR_NFD_E:
    case DETECTOR_BERTIER: return observe_numbered(d, time, value, e);
    case DETECTOR_THRESHOLD: {
        qrt_status status = observe_threshold(d, value, e);
        if (!status) d->last = time;
        return status;
    }
    case DETECTOR_MIXTURE: break;
    }
    return error_set(e, QRT_EINVAL, "a mixture detector observes vectors, not single arrivals");
}

static qrt_status refuse_time(const struct detector *d, int64_t time, struct error *e) {
    if (d->started && time < d->last)
        return error_set(e, QRT_EINVAL, "time runs backwards: %.9f s comes after %.9f s", (double)time * 1e-9,
                         (double)d->last * 1e-9);
    return error_set(e, QRT_ERANGE, "a time of %g s is outside what a detector can observe", (double)time * 1e-9);
}

static inline bool time_sound(const struct detector *d, int64_t time) {
    return time >= (d->started ? d->last : DETECTOR_TIME_MIN) && time <= DETECTOR_TIME_MAX;
}

static inline qrt_status observe_one(struct detector *d, int64_t time, double value, struct error *e) {
    if (__builtin_expect(!time_sound(d, time), 0)) return refuse_time(d, time, e);
    qrt_status status = observe_dispatch(d, time, value, e);
    if (!status) d->started = true;
    return status;
}

qrt_status detector_observe(struct detector *d, int64_t time, double value, struct error *e) {
    return observe_one(d, time, value, e);
}

qrt_status detector_observe_vector(struct detector *d, int64_t time, const double *sample, size_t size,
                                   struct error *e) {
    if (d->kind != DETECTOR_MIXTURE)
        return error_set(e, QRT_EINVAL, "a %s detector observes single values, not vectors", detector_names[d->kind]);
    if (size != d->mixture->dimensions)
        return error_set(e, QRT_EINVAL, "the sample has %zu dimensions and the mixture %u", size,
                         d->mixture->dimensions);
    if (!time_sound(d, time)) return refuse_time(d, time, e);
    double probability;
    qrt_status status = mixture_failure(d->mixture, sample, 1, &probability, e);
    if (status) return status;
    d->level = probability;
    d->raised = probability >= d->options.threshold;
    d->last = time;
    d->started = true;
    return QRT_OK;
}

qrt_status detector_ping(struct detector *d, int64_t time, struct error *e) {
    if (d->kind != DETECTOR_POLLING)
        return error_set(e, QRT_EINVAL, "only a polling detector sends pings; this one is %s", detector_names[d->kind]);
    if (!time_sound(d, time)) return refuse_time(d, time, e);
    d->started = true;
    if (d->deadline != DETECTOR_NEVER) return QRT_OK; /* an older ping is still unanswered: its timer runs */
    d->last = time;
    d->deadline = time_after(time, fixed_timeout(d));
    return QRT_OK;
}

qrt_status detector_set_parameter(struct detector *d, double parameter, struct error *e) {
    if (d->kind != DETECTOR_THRESHOLD || parameter - parameter != 0)
        return error_set(e, QRT_EINVAL, "only a threshold detector has a parameter, and it is a finite number");
    d->options.parameter = parameter;
    return QRT_OK;
}

double detector_suspicion(const struct detector *d, int64_t now) {
    if (!d->started) return 0;
    if (kind_sampled(d->kind)) return d->level;
    double elapsed = now > d->last ? (double)((uint64_t)now - (uint64_t)d->last) : 0;
    if (d->kind == DETECTOR_PHI) return phi_normal(elapsed, d->mean, d->deviation);
    if (d->kind == DETECTOR_PHI_EXPONENTIAL) return phi_exponential(elapsed, d->mean);
    if (d->deadline == DETECTOR_NEVER) return 0;
    if (d->deadline <= d->last) return 1 + elapsed; /* already past due when it came */
    return elapsed / (double)((uint64_t)d->deadline - (uint64_t)d->last);
}

bool detector_poll(struct detector *d, int64_t now) {
    if (d->kind != DETECTOR_PHI_EXPONENTIAL) return detector_suspected(d, now);
    bool paused = now > d->polled && (uint64_t)now - (uint64_t)d->polled > (uint64_t)d->options.local_pause_ns;
    d->polled = now;
    if (paused) d->excused = time_after(now, (double)d->options.local_pause_ns);
    return now >= d->excused && detector_suspected(d, now);
}

/* Normal phi, a chunk at a time: what each arrival finds is set down first, the suspicions are computed
 * after. */
static qrt_status observe_phi_many(struct detector *d, const int64_t *times, size_t count, double *suspicions,
                                   uint8_t *suspected, size_t *done, struct error *e) {
    double elapsed[PHI_CHUNK], means[PHI_CHUNK], deviations[PHI_CHUNK];
    bool blank = !d->started && count; /* the first arrival finds no opinion */
    qrt_status status = QRT_OK;
    size_t first = 0;
    while (!status && first < count) {
        size_t wanted = count - first < PHI_CHUNK ? count - first : PHI_CHUNK, taken = 0;
        for (; taken < wanted; taken++) {
            int64_t time = times[first + taken];
            if (__builtin_expect(!time_sound(d, time), 0)) {
                status = refuse_time(d, time, e);
                break;
            }
            elapsed[taken] = (double)(time - d->last);
            means[taken] = d->mean;
            deviations[taken] = d->started ? d->deviation : 1;
            if (suspected) suspected[first + taken] = time >= d->deadline;
            observe_phi(d, time);
            d->started = true;
        }
        phi_normal_many(elapsed, means, deviations, taken, suspicions + first);
        if (blank && first == 0 && taken) suspicions[0] = 0;
        first += taken;
    }
    *done = first;
    return status;
}

qrt_status detector_observe_many(struct detector *d, const int64_t *times, const double *values, size_t count,
                                 double *suspicions, uint8_t *suspected, size_t *done, struct error *e) {
    bool after = kind_sampled(d->kind);
    double none = kind_numbered(d->kind) ? __builtin_nan("") : 0;
    qrt_status status = QRT_OK;
    size_t i = 0;
    if (d->kind == DETECTOR_PHI && suspicions) return observe_phi_many(d, times, count, suspicions, suspected, done, e);
    for (; i < count; i++) {
        if (suspicions && !after) suspicions[i] = detector_suspicion(d, times[i]);
        if (suspected && !after) suspected[i] = detector_suspected(d, times[i]);
        if ((status = observe_one(d, times[i], values ? values[i] : none, e))) break;
        if (suspicions && after) suspicions[i] = d->level;
        if (suspected && after) suspected[i] = d->raised;
    }
    *done = i;
    return status;
}

void detector_evaluate_many(const struct detector *d, const int64_t *times, size_t count, double *suspicions,
                            uint8_t *suspected) {
    for (size_t i = 0; i < count; i++) {
        if (suspicions) suspicions[i] = detector_suspicion(d, times[i]);
        if (suspected) suspected[i] = detector_suspected(d, times[i]);
    }
}
