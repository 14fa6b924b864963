/* How long something took, in real time. For budgets, benchmarks and reports: nothing that a run depends on
 * may ask, and protocols least of all. */
#ifndef BASE_STOPWATCH_H
#define BASE_STOPWATCH_H

#include <stdint.h>

/* Nanoseconds since some fixed moment; never runs backwards. */
int64_t stopwatch_ns(void);

/* Nanoseconds that the calling thread has worked: without what others took of the processor, and without stops of the whole
 * program. A system call. */
int64_t stopwatch_work_ns(void);

#endif
