/* Ctrl-C in the middle of a long piece of work that has no slices: a measurement. The signal goes on to whoever handled it
 * before (Python's and Lua's handlers only note it, and act once the call has returned); here it is seen as well, and the work
 * is cut short. Where nobody handles it, or it is ignored, nothing is changed. */
#ifndef BASE_INTERRUPT_H
#define BASE_INTERRUPT_H

#include <stdbool.h>

void interrupt_watch(void); /* several threads may, each until its interrupt_leave */
void interrupt_leave(void);
bool interrupt_seen(void); /* since the first of those that watch now began; one load of memory */

#endif
