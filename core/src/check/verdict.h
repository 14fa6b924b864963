/* What every check answers. */
#ifndef CHECK_VERDICT_H
#define CHECK_VERDICT_H

enum verdict { VERDICT_OK = 0, VERDICT_VIOLATED = 1, VERDICT_UNKNOWN = 2 };

#endif
