/* Shrinking a plan whose run fails to a small one whose run still fails. The caller runs the candidates:
 *
 *     struct shrink *s = shrink_new(&plan);
 *     while (shrink_next(s, &candidate)) shrink_report(s, run_fails(&candidate));
 *     ... shrink_best(s) ...
 *
 * Directives keep their ids, so that what is left makes the same random choices as before. */
#ifndef FAULT_SHRINK_H
#define FAULT_SHRINK_H

#include "fault/plan.h"

struct shrink;

struct shrink *shrink_new(const struct plan *plan); /* a plan that is known to fail; copied */
void shrink_free(struct shrink *s);
/* The next plan to try replaces what *candidate holds (zero it before the first call; the caller frees it
 * after the last). false: the best is final. Every true is answered by one shrink_report. */
bool shrink_next(struct shrink *s, struct plan *candidate);
void shrink_report(struct shrink *s, bool still_fails);
/* The smallest plan so far that fails; it lives as long as s, until the next report. */
const struct plan *shrink_best(const struct shrink *s);
uint32_t shrink_tries(const struct shrink *s);

#endif
