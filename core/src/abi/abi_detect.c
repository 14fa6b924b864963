/* Failure detectors, mixtures and meters across the ABI. */
#include <stdlib.h>
#include <string.h>

#include "abi/handle.h"
#include "base/real.h"
#include "detect/meter.h"
#include "detect/phi.h"

struct qrt_detector {
    struct handle handle;
    struct detector *detector;
    struct buffer saved;
};

struct qrt_mixture {
    struct handle handle;
    struct mixture *mixture;
};

struct qrt_meter {
    struct handle handle;
    struct meter meter;
};

static void detector_end(struct handle *h) {
    qrt_detector *d = (qrt_detector *)h;
    detector_free(&d->detector);
    buffer_free(&d->saved);
}

static qrt_detector *detector_wrap(struct detector *inner) {
    qrt_detector *d = mem_zero(1, sizeof *d);
    handle_init(&d->handle, HANDLE_DETECTOR, detector_end);
    d->detector = inner;
    return d;
}

static qrt_status detector_enter(qrt_detector *d) {
    return handle_enter(d ? &d->handle : NULL, HANDLE_DETECTOR);
}

static qrt_status mixture_enter(qrt_mixture *m) {
    return handle_enter(m ? &m->handle : NULL, HANDLE_MIXTURE);
}

static qrt_status meter_enter(qrt_meter *m) {
    return handle_enter(m ? &m->handle : NULL, HANDLE_METER);
}

QRT_API qrt_status qrt_seconds_to_ns(const double *seconds, size_t count, int64_t *ns) {
    if (count && (!seconds || !ns)) return last_error_null("seconds and ns");
    for (size_t i = 0; i < count; i++) {
        if (seconds[i] - seconds[i] != 0)
            return last_error_format(QRT_EINVAL, "time %zu is %s", i, seconds[i] != seconds[i] ? "NaN" : "infinite");
        ns[i] = real_to_ns(seconds[i]);
    }
    return QRT_OK;
}

QRT_API const char *qrt_detector_kind(uint32_t i) {
    return i < DETECTOR_KINDS ? detector_names[i] : NULL;
}

QRT_API const char *qrt_detector_options(const char *kind) {
    static _Thread_local struct buffer text;
    enum detector_kind found;
    struct error e = {0};
    if (detector_kind_of(kind ? kind : "", &found, &e)) return last_error_set(&e), NULL;
    buffer_clear(&text);
    option_json(&detector_tables[found], 1, &text);
    return buffer_text(&text);
}

QRT_API qrt_status qrt_detector_new(qrt_detector **out, const char *kind, const qrt_option *options, size_t count) {
    enum detector_kind found;
    struct detector_options set;
    struct detector *inner;
    struct error e = {0};
    if (!out || !kind || (count && !options)) return last_error_null("out, kind and options");
    *out = NULL;
    if (detector_kind_of(kind, &found, &e)) return last_error_set(&e);
    memset(&set, 0, sizeof set);
    if (option_read(&detector_tables[found], &set, options, count, &e)) return last_error_set(&e);
    if (detector_new(found, &set, NULL, &inner, &e)) return last_error_set(&e);
    *out = detector_wrap(inner);
    return QRT_OK;
}

QRT_API qrt_status qrt_detector_of_mixture(qrt_detector **out, qrt_mixture *m, double threshold) {
    struct detector_options options;
    struct detector *inner;
    if (!out) return last_error_null("out");
    *out = NULL;
    if (!(threshold > 0 && threshold <= 1))
        return last_error_format(
            QRT_ERANGE, "a failure probability to suspect at lies above 0 and at most at 1, not at %g", threshold);
    qrt_status status = mixture_enter(m);
    if (status) return status;
    memset(&options, 0, sizeof options);
    options.threshold = threshold;
    status = detector_new(DETECTOR_MIXTURE, &options, m->mixture, &inner, &m->handle.error);
    if (!status) *out = detector_wrap(inner);
    return handle_leave(&m->handle, status);
}

QRT_API void qrt_detector_free(qrt_detector **d) {
    if (d && *d && handle_free(&(*d)->handle, HANDLE_DETECTOR)) *d = NULL;
}

QRT_API qrt_status qrt_detector_clone(qrt_detector *d, qrt_detector **out) {
    if (!out) return handle_null(d, "out");
    *out = NULL;
    qrt_status status = detector_enter(d);
    if (status) return status;
    *out = detector_wrap(detector_clone(d->detector));
    return handle_leave(&d->handle, QRT_OK);
}

QRT_API qrt_status qrt_detector_observe(qrt_detector *d, int64_t time_ns, double value) {
    qrt_status status = detector_enter(d);
    if (status) return status;
    return handle_leave(&d->handle, detector_observe(d->detector, time_ns, value, &d->handle.error));
}

QRT_API qrt_status qrt_detector_observe_vector(qrt_detector *d, int64_t time_ns, const double *sample, size_t size) {
    if (!sample) return handle_null(d, "sample");
    qrt_status status = detector_enter(d);
    if (status) return status;
    return handle_leave(&d->handle, detector_observe_vector(d->detector, time_ns, sample, size, &d->handle.error));
}

QRT_API qrt_status qrt_detector_observe_many(qrt_detector *d, const int64_t *times_ns, const double *values,
                                             size_t count, double *suspicions, uint8_t *suspected, size_t *done) {
    size_t taken = 0;
    if (count && !times_ns) return handle_null(d, "times_ns");
    qrt_status status = detector_enter(d);
    if (status) return status;
    status =
        detector_observe_many(d->detector, times_ns, values, count, suspicions, suspected, &taken, &d->handle.error);
    if (done) *done = taken;
    return handle_leave(&d->handle, status);
}

QRT_API qrt_status qrt_detector_ping(qrt_detector *d, int64_t time_ns) {
    qrt_status status = detector_enter(d);
    if (status) return status;
    return handle_leave(&d->handle, detector_ping(d->detector, time_ns, &d->handle.error));
}

QRT_API qrt_status qrt_detector_set_parameter(qrt_detector *d, double parameter) {
    qrt_status status = detector_enter(d);
    if (status) return status;
    return handle_leave(&d->handle, detector_set_parameter(d->detector, parameter, &d->handle.error));
}

QRT_API qrt_status qrt_detector_evaluate(qrt_detector *d, int64_t now_ns, double *suspicion, bool *suspected) {
    qrt_status status = detector_enter(d);
    if (status) return status;
    if (suspicion) *suspicion = detector_suspicion(d->detector, now_ns);
    if (suspected) *suspected = detector_suspected(d->detector, now_ns);
    return handle_leave(&d->handle, QRT_OK);
}

QRT_API qrt_status qrt_detector_evaluate_many(qrt_detector *d, const int64_t *times_ns, size_t count,
                                              double *suspicions, uint8_t *suspected) {
    if (count && !times_ns) return handle_null(d, "times_ns");
    qrt_status status = detector_enter(d);
    if (status) return status;
    detector_evaluate_many(d->detector, times_ns, count, suspicions, suspected);
    return handle_leave(&d->handle, QRT_OK);
}

QRT_API qrt_status qrt_detector_poll(qrt_detector *d, int64_t now_ns, bool *suspected) {
    if (!suspected) return handle_null(d, "suspected");
    qrt_status status = detector_enter(d);
    if (status) return status;
    *suspected = detector_poll(d->detector, now_ns);
    return handle_leave(&d->handle, QRT_OK);
}

QRT_API qrt_status qrt_detector_deadline(qrt_detector *d, int64_t *deadline_ns) {
    if (!deadline_ns) return handle_null(d, "deadline_ns");
    qrt_status status = detector_enter(d);
    if (status) return status;
    *deadline_ns = d->detector->deadline;
    return handle_leave(&d->handle, QRT_OK);
}

QRT_API qrt_status qrt_detector_window(qrt_detector *d, size_t *count, double *mean_ns, double *variance_ns2) {
    if (!count || !mean_ns || !variance_ns2) return handle_null(d, "count, mean_ns and variance_ns2");
    qrt_status status = detector_enter(d);
    if (status) return status;
    enum detector_kind kind = d->detector->kind;
    const struct window *w = &d->detector->window;
    if (kind != DETECTOR_PHI && kind != DETECTOR_PHI_EXPONENTIAL)
        status = error_set(&d->handle.error, QRT_EINVAL,
                           "only phi detectors have a window of intervals; this one is %s", detector_names[kind]);
    else if (!w->count)
        status = error_set(&d->handle.error, QRT_EINVAL, "the window is empty: nothing was observed yet");
    if (!status) {
        *count = w->count;
        *mean_ns = window_mean(w);
        *variance_ns2 = window_variance(w);
    }
    return handle_leave(&d->handle, status);
}

QRT_API qrt_status qrt_detector_fingerprint(qrt_detector *d, int64_t now_ns, uint64_t *fingerprint) {
    if (!fingerprint) return handle_null(d, "fingerprint");
    qrt_status status = detector_enter(d);
    if (status) return status;
    *fingerprint = detector_fingerprint(d->detector, now_ns);
    return handle_leave(&d->handle, QRT_OK);
}

QRT_API qrt_status qrt_detector_save(qrt_detector *d, const uint8_t **data, size_t *size) {
    if (!data || !size) return handle_null(d, "data and size");
    qrt_status status = detector_enter(d);
    if (status) return status;
    buffer_clear(&d->saved);
    status = detector_save(d->detector, &d->saved, &d->handle.error);
    *data = d->saved.data;
    *size = d->saved.size;
    return handle_leave(&d->handle, status);
}

QRT_API qrt_status qrt_detector_load(qrt_detector **out, const uint8_t *data, size_t size) {
    struct detector *inner;
    struct error e = {0};
    if (!out || (size && !data)) return last_error_null("out and data");
    *out = NULL;
    if (detector_load(bytes_of(data, size < UINT32_MAX ? size : 0), &inner, &e)) return last_error_set(&e);
    *out = detector_wrap(inner);
    return QRT_OK;
}

QRT_API double qrt_phi_normal(double elapsed, double mean, double deviation) {
    return phi_normal(elapsed, mean, deviation);
}

QRT_API double qrt_phi_exponential(double elapsed, double mean) {
    return phi_exponential(elapsed, mean);
}

static void mixture_end(struct handle *h) {
    mixture_free(&((qrt_mixture *)h)->mixture);
}

QRT_API qrt_status qrt_mixture_new(qrt_mixture **out, uint32_t components, uint32_t dimensions, bool diagonal) {
    struct mixture *inner;
    struct error e = {0};
    if (!out) return last_error_null("out");
    *out = NULL;
    if (mixture_new(components, dimensions, diagonal, &inner, &e)) return last_error_set(&e);
    *out = mem_zero(1, sizeof **out);
    handle_init(&(*out)->handle, HANDLE_MIXTURE, mixture_end);
    (*out)->mixture = inner;
    return QRT_OK;
}

QRT_API void qrt_mixture_free(qrt_mixture **m) {
    if (m && *m && handle_free(&(*m)->handle, HANDLE_MIXTURE)) *m = NULL;
}

QRT_API qrt_status qrt_mixture_set(qrt_mixture *m, const double *weights, const double *means,
                                   const double *covariances) {
    if (!weights || !means || !covariances) return handle_null(m, "weights, means and covariances");
    qrt_status status = mixture_enter(m);
    if (status) return status;
    return handle_leave(&m->handle, mixture_set(m->mixture, weights, means, covariances, &m->handle.error));
}

QRT_API qrt_status qrt_mixture_fit(qrt_mixture *m, const double *samples, size_t count, double regularisation,
                                   double tolerance, uint32_t iterations_max, uint64_t seed) {
    struct mixture_fit fit = {regularisation, tolerance, iterations_max, seed};
    if (count && !samples) return handle_null(m, "samples");
    qrt_status status = mixture_enter(m);
    if (status) return status;
    return handle_leave(&m->handle, mixture_train(m->mixture, samples, count, &fit, &m->handle.error));
}

QRT_API qrt_status qrt_mixture_info_get(qrt_mixture *m, qrt_mixture_info *info) {
    if (!info) return handle_null(m, "info");
    qrt_status status = mixture_enter(m);
    if (status) return status;
    const struct mixture *x = m->mixture;
    *info = (qrt_mixture_info){.components = x->components,
                               .dimensions = x->dimensions,
                               .iterations = x->iterations,
                               .diagonal = x->diagonal,
                               .fitted = x->fitted,
                               .converged = x->converged,
                               .log_likelihood = x->log_likelihood,
                               .weights = mixture_weights(x),
                               .means = mixture_means(x),
                               .covariances = mixture_covariances(x)};
    return handle_leave(&m->handle, QRT_OK);
}

QRT_API qrt_status qrt_mixture_score(qrt_mixture *m, const double *samples, size_t count, double *scores) {
    if (count && (!samples || !scores)) return handle_null(m, "samples and scores");
    qrt_status status = mixture_enter(m);
    if (status) return status;
    return handle_leave(&m->handle, mixture_score(m->mixture, samples, count, scores, &m->handle.error));
}

QRT_API qrt_status qrt_mixture_label(qrt_mixture *m, uint32_t component, bool failed) {
    qrt_status status = mixture_enter(m);
    if (status) return status;
    return handle_leave(&m->handle, mixture_label(m->mixture, component, failed, &m->handle.error));
}

QRT_API qrt_status qrt_mixture_label_by(qrt_mixture *m, const double *samples, const uint8_t *failed, size_t count) {
    if (count && (!samples || !failed)) return handle_null(m, "samples and failed");
    qrt_status status = mixture_enter(m);
    if (status) return status;
    return handle_leave(&m->handle, mixture_label_by(m->mixture, samples, failed, count, &m->handle.error));
}

QRT_API qrt_status qrt_mixture_failed(qrt_mixture *m, uint8_t *failed) {
    if (!failed) return handle_null(m, "failed");
    qrt_status status = mixture_enter(m);
    if (status) return status;
    for (uint32_t k = 0; k < m->mixture->components; k++) failed[k] = mixture_failed(m->mixture, k);
    return handle_leave(&m->handle, QRT_OK);
}

QRT_API qrt_status qrt_mixture_failure(qrt_mixture *m, const double *samples, size_t count, double *probabilities) {
    if (count && (!samples || !probabilities)) return handle_null(m, "samples and probabilities");
    qrt_status status = mixture_enter(m);
    if (status) return status;
    return handle_leave(&m->handle, mixture_failure(m->mixture, samples, count, probabilities, &m->handle.error));
}

static void meter_end(struct handle *h) {
    (void)h; /* it owns nothing */
}

QRT_API qrt_status qrt_meter_new(qrt_meter **out, int64_t begin_ns, int64_t crash_ns) {
    if (!out) return last_error_null("out");
    *out = NULL;
    if (begin_ns < DETECTOR_TIME_MIN || begin_ns > DETECTOR_TIME_MAX || crash_ns < begin_ns)
        return last_error_format(QRT_ERANGE,
                                 "a meter begins within a century of time 0, and the crash is not before that");
    *out = mem_zero(1, sizeof **out);
    handle_init(&(*out)->handle, HANDLE_METER, meter_end);
    meter_begin(&(*out)->meter, begin_ns, crash_ns);
    return QRT_OK;
}

QRT_API void qrt_meter_free(qrt_meter **m) {
    if (m && *m && handle_free(&(*m)->handle, HANDLE_METER)) *m = NULL;
}

QRT_API qrt_status qrt_meter_opinion(qrt_meter *m, int64_t time_ns, bool suspected) {
    qrt_status status = meter_enter(m);
    if (status) return status;
    return handle_leave(&m->handle, meter_opinion(&m->meter, time_ns, suspected, &m->handle.error));
}

/* Enters the detector too; a refusal is told by the meter. */
static qrt_status meter_borrow(qrt_meter *m, qrt_detector *d) {
    qrt_status status = detector_enter(d);
    if (status) error_set(&m->handle.error, status, "the detector: %s", qrt_last_error(d));
    return status;
}

QRT_API qrt_status qrt_meter_run(qrt_meter *m, qrt_detector *d, const int64_t *times_ns, const double *values,
                                 size_t count) {
    if (count && !times_ns) return handle_null(m, "times_ns");
    qrt_status status = meter_enter(m);
    if (status) return status;
    status = meter_borrow(m, d);
    if (status) return handle_leave(&m->handle, status);
    status = meter_run(&m->meter, d->detector, times_ns, values, count, &m->handle.error);
    handle_leave(&d->handle, status);
    return handle_leave(&m->handle, status);
}

QRT_API qrt_status qrt_meter_finish(qrt_meter *m, qrt_detector *d, int64_t end_ns) {
    qrt_status status = meter_enter(m);
    if (status) return status;
    status = meter_borrow(m, d);
    if (status) return handle_leave(&m->handle, status);
    status = meter_finish(&m->meter, d->detector, end_ns, &m->handle.error);
    handle_leave(&d->handle, status);
    return handle_leave(&m->handle, status);
}

static void quality_give(const struct meter_quality *q, qrt_quality *out) {
    *out = (qrt_quality){q->detection, q->recurrence, q->duration, q->accuracy, q->rate, q->mistakes, q->detected};
}

QRT_API qrt_status qrt_meter_read(qrt_meter *m, int64_t end_ns, qrt_quality *out) {
    if (!out) return handle_null(m, "out");
    qrt_status status = meter_enter(m);
    if (status) return status;
    struct meter_quality q = meter_read(&m->meter, end_ns < DETECTOR_TIME_MAX ? end_ns : DETECTOR_TIME_MAX);
    quality_give(&q, out);
    return handle_leave(&m->handle, QRT_OK);
}

QRT_API qrt_status qrt_nfd_quality(double interval, double shift, double loss, double delay_mean, qrt_quality *out) {
    struct meter_quality q;
    struct error e = {0};
    if (!out) return last_error_null("out");
    if (nfd_quality(interval, shift, loss, delay_mean, &q, &e)) return last_error_set(&e);
    quality_give(&q, out);
    return QRT_OK;
}
