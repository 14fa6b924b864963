#include "detect/meter.h"

#include "base/real.h"

void meter_begin(struct meter *m, int64_t begin, int64_t crash) {
    *m = (struct meter){.begun = true, .begin = begin, .now = begin, .crash = crash};
}

static int64_t earlier(int64_t a, int64_t b) {
    return a < b ? a : b;
}

/* Time goes on to `time` under the present opinion; at the crash a standing mistake becomes right. */
static void meter_advance(struct meter *m, int64_t time) {
    int64_t alive_until = earlier(time, m->crash), alive_from = earlier(m->now, m->crash);
    if (m->suspected) m->suspected_ns += alive_until - alive_from;
    m->now = time;
    m->crashed = time >= m->crash;
}

qrt_status meter_opinion(struct meter *m, int64_t time, bool suspected, struct error *e) {
    if (!m->begun) return error_set(e, QRT_EINVAL, "the meter has not begun: say from when the peer is watched");
    if (time < m->now)
        return error_set(e, QRT_EINVAL, "time runs backwards: an opinion of %.9f s comes after one of %.9f s",
                         (double)time * 1e-9, (double)m->now * 1e-9);
    if (time > DETECTOR_TIME_MAX)
        return error_set(e, QRT_ERANGE, "a time of %g s is outside what a meter can measure", (double)time * 1e-9);
    meter_advance(m, time);
    if (suspected == m->suspected) return QRT_OK;
    m->suspected = suspected;
    if (suspected) {
        m->since = time;
        if (m->crashed) return QRT_OK;
        if (!m->mistakes++) m->first = time;
        m->last = time;
    } else if (!m->crashed) {
        m->ended++;
        m->ended_ns += time - m->since;
    }
    return QRT_OK;
}

struct meter_quality meter_read(struct meter *m, int64_t end) {
    struct meter_quality q = {.mistakes = m->mistakes};
    double none = __builtin_nan("");
    if (m->begun && end > m->now) meter_advance(m, end);
    double alive = (double)(earlier(m->now, m->crash) - m->begin) * 1e-9;
    q.detected = m->crashed && m->suspected;
    q.detection = none;
    if (q.detected) q.detection = m->since > m->crash ? (double)(m->since - m->crash) * 1e-9 : 0;
    q.recurrence = m->mistakes > 1 ? (double)(m->last - m->first) * 1e-9 / (double)(m->mistakes - 1) : none;
    q.duration = m->ended ? (double)m->ended_ns * 1e-9 / (double)m->ended : none;
    q.accuracy = alive > 0 ? 1 - (double)m->suspected_ns * 1e-9 / alive : none;
    q.rate = alive > 0 ? (double)m->mistakes / alive : none;
    return q;
}

/* The suspicion, if any, that begins after the meter's time and before `time`. */
static qrt_status lapse(struct meter *m, const struct detector *d, int64_t time, struct error *e) {
    if (m->suspected || d->deadline >= time) return QRT_OK;
    return meter_opinion(m, d->deadline > m->now ? d->deadline : m->now, true, e);
}

qrt_status meter_run(struct meter *m, struct detector *d, const int64_t *times, const double *values, size_t count,
                     struct error *e) {
    for (size_t i = 0; i < count; i++) {
        qrt_status status = lapse(m, d, times[i], e);
        double value = values ? values[i] : __builtin_nan("");
        if (!status) status = detector_observe(d, times[i], value, e);
        if (!status) status = meter_opinion(m, times[i], detector_suspected(d, times[i]), e);
        if (status) return status;
    }
    return QRT_OK;
}

qrt_status meter_finish(struct meter *m, struct detector *d, int64_t end, struct error *e) {
    qrt_status status = lapse(m, d, end, e);
    return status ? status : meter_opinion(m, end, detector_suspected(d, end), e);
}

/* --- Theorem 5
 * ------------------------------------------------------------------------------------------------- */

struct nfd_model {
    double interval, shift, loss, delay_mean;
    int covering; /* heartbeats i..i+covering can make the freshness point i fresh */
};

/* P(heartbeat i+j has not come by x after freshness point i). */
static double nfd_absent(const struct nfd_model *n, int j, double x) {
    double time = n->shift + x - j * n->interval;
    return n->loss + (1 - n->loss) * (time <= 0 ? 1 : real_exp(-time / n->delay_mean));
}

/* P(suspected at x after a freshness point). */
static double nfd_suspects(const struct nfd_model *n, double x) {
    double product = 1;
    for (int j = 0; j <= n->covering; j++) product *= nfd_absent(n, j, x);
    return product;
}

static double nfd_integral(const struct nfd_model *n, double from, double to) { /* Simpson's rule */
    enum { STEPS = 4000 };
    double width = (to - from) / STEPS, sum = nfd_suspects(n, from) + nfd_suspects(n, to);
    for (int i = 1; i < STEPS; i++) sum += (i % 2 ? 4 : 2) * nfd_suspects(n, from + i * width);
    return sum * width / 3;
}

qrt_status nfd_quality(double interval, double shift, double loss, double delay_mean, struct meter_quality *out,
                       struct error *e) {
    bool sound = interval > 0 && interval < 1e9 && shift >= 0 && shift < 1000 * interval && loss >= 0 && loss < 1 &&
                 delay_mean > 0 && delay_mean < 1e9;
    if (!sound)
        return error_set(e, QRT_ERANGE,
                         "an interval and a mean delay must be positive, a shift between 0 and 1000 intervals, a loss "
                         "from 0 to below 1; they are %g, %g, %g, %g",
                         interval, delay_mean, shift, loss);
    struct nfd_model n = {interval, shift, loss, delay_mean, 0};
    while (n.covering * interval < shift) n.covering++;
    double kink = n.covering * interval - shift; /* the last covering heartbeat is sent here */
    double share = nfd_integral(&n, 0, kink) + nfd_integral(&n, kink, interval);
    double begins = (1 - loss) * (1 - real_exp(-(shift + interval) / delay_mean)) * nfd_suspects(&n, 0);
    *out = (struct meter_quality){.detection = interval + shift, /* at most */
                                  .recurrence = interval / begins,
                                  .duration = share / begins,
                                  .accuracy = 1 - share / interval,
                                  .rate = begins / interval};
    return QRT_OK;
}
