/* The quality of service of a failure detector (Chen, Toueg and Aguilera 2002), for any detector over any
 * trace, so that all of them stand in one table:
 *   T_D  from the crash to the beginning of the suspicion that stays
 *   T_MR from one mistake to the next     T_M  how long a mistake lasts
 *   P_A  share of the time before the crash in which the peer was rightly trusted
 *   lambda_M  mistakes a second
 * A mistake is a suspicion of a peer that is up. Sums are integers of nanoseconds: a meter reads the same
 * however a trace is cut into calls. */
#ifndef DETECT_METER_H
#define DETECT_METER_H

#include "detect/detector.h"

struct meter {
    bool begun, suspected, crashed;
    int64_t begin, now, crash; /* crash: DETECTOR_NEVER, none */
    int64_t since;             /* when the present suspicion began */
    int64_t first, last;       /* beginnings of the first and the last mistake */
    int64_t suspected_ns;      /* of all mistakes, up to now or the crash */
    int64_t ended_ns;          /* of the mistakes that ended */
    uint64_t mistakes, ended;
};

/* Undefined means are NaN: T_D without a detection, T_MR below two mistakes, T_M without one that ended.
 * Seconds. */
struct meter_quality {
    double detection, recurrence, duration, accuracy, rate;
    uint64_t mistakes;
    bool detected;
};

/* crash: when the peer fails, or DETECTOR_NEVER. It is trusted from `begin` until an opinion says otherwise.
 * */
void meter_begin(struct meter *m, int64_t begin, int64_t crash);
/* An opinion at a time, in order of time. */
qrt_status meter_opinion(struct meter *m, int64_t time, bool suspected, struct error *e);
struct meter_quality meter_read(struct meter *m, int64_t end);
/* Feeds arrivals to the detector (which goes on from where it is) and its every change of opinion to the
 * meter. The meter must have begun. */
qrt_status meter_run(struct meter *m, struct detector *d, const int64_t *times, const double *values, size_t count,
                     struct error *e);
/* What the detector comes to think between its last arrival and `end`. */
qrt_status meter_finish(struct meter *m, struct detector *d, int64_t end, struct error *e);

/* Their theorem 5: what NFD-S attains with losses and exponentially distributed delays. Seconds. */
qrt_status nfd_quality(double interval, double shift, double loss, double delay_mean, struct meter_quality *out,
                       struct error *e);

#endif
