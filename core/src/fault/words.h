/* The words of a plan, in one place for the reader, the writer and the describer. */
#ifndef FAULT_WORDS_H
#define FAULT_WORDS_H

#include "fault/plan.h"

#define FAULT_TARGET_MAX FAULT_MINORITY
#define FAULT_SHAPE_MAX FAULT_RUNNER
#define FAULT_DISK_MAX QRT_DISK_DAMAGED

extern const char *const fault_verb_words[FAULT_VERB_MAX];       /* verb - 1 */
extern const char *const fault_target_words[FAULT_TARGET_MAX];   /* target - 1 */
extern const char *const fault_shape_words[FAULT_SHAPE_MAX + 1]; /* shape */
extern const char *const fault_disk_words[FAULT_DISK_MAX + 1];   /* qrt_disk_fate */

#endif
