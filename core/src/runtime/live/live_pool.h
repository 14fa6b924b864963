/* Memory for small messages: taken by one thread, given back by any. */
#ifndef RUNTIME_LIVE_POOL_H
#define RUNTIME_LIVE_POOL_H

#include <stddef.h>

#define POOL_ROOM 1024 /* bytes of a piece */

struct pool;

struct pool *pool_new(void);
/* By its owner's thread, when it takes no more. What is still under way is freed as it comes back. NULL is allowed. */
void pool_leave(struct pool *p);
/* By its owner's thread: POOL_ROOM bytes, uninitialised. */
void *pool_take(struct pool *p);
/* On any thread, once: the piece comes back. Of the form that zmq_msg_init_data wants; the second argument is not used. */
void pool_give_back(void *piece, void *unused);

#endif
