/* A frame on its way: its envelope, and the one message of ZeroMQ's that both become. */
#ifndef RUNTIME_LIVE_PARCEL_H
#define RUNTIME_LIVE_PARCEL_H

#include <zmq.h>

#include "runtime/live/live.h"
#include "runtime/live/live_pool.h"

/* large: memory that holds the envelope and the frame, one behind the other; NULL: the frame is somebody's who keeps it. */
struct parcel {
    struct envelope head;
    const uint8_t *frame;
    uint32_t size;
    struct blob *large;
};

/* Of a frame behind OUTBOX_ROOM bytes; the envelope is written there. The caller keeps its reference. */
struct parcel parcel_large(struct envelope head, struct blob *large);
/* The same with another frame of the same size. */
struct parcel parcel_changed(const struct parcel *p, const uint8_t *frame);
/* False: there is no memory. A large frame is not copied; the message has a reference to it. pool: the calling thread's own, for
 * small ones; NULL: none. */
bool parcel_pack(zmq_msg_t *m, const struct parcel *p, struct pool *pool);
/* For later, when the frame may be gone. The caller's reference. */
struct blob *parcel_keep(const struct parcel *p);
struct parcel parcel_kept(struct blob *kept);

#endif
