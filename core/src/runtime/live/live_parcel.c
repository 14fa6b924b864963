/* Parcels; see live_parcel.h. A large frame is written once, by the protocol's step, and then belongs to all who have a
 * reference: the delayed, their duplicates, libzmq. Nobody writes to it after the first reference was given away. */
#include "runtime/live/live_parcel.h"

#include <string.h>

enum { WITHIN = 33 }; /* bytes that libzmq keeps within the message itself */

_Static_assert(sizeof(struct envelope) == OUTBOX_ROOM, "an envelope takes the room before a frame");

struct parcel parcel_large(struct envelope head, struct blob *large) {
    memcpy(large->data, &head, sizeof head);
    return (struct parcel){head, large->data + OUTBOX_ROOM, large->size - OUTBOX_ROOM, large};
}

struct parcel parcel_changed(const struct parcel *p, const uint8_t *frame) {
    return (struct parcel){p->head, frame, p->size, NULL};
}

/* On a thread of libzmq's, or of the receiver's, when the last of them is done with it. */
static void let_go(void *data, void *large) {
    struct blob *b = large;
    (void)data;
    blob_unref(&b);
}

static bool pack_small(zmq_msg_t *m, size_t size, struct pool *pool) {
    if (!pool || size > POOL_ROOM || size <= WITHIN) return zmq_msg_init_size(m, size) == 0;
    void *room = pool_take(pool);
    if (!zmq_msg_init_data(m, room, size, pool_give_back, NULL)) return true;
    pool_give_back(room, NULL);
    return false;
}

bool parcel_pack(zmq_msg_t *m, const struct parcel *p, struct pool *pool) {
    if (p->large) {
        struct blob *b = blob_ref(p->large);
        if (!zmq_msg_init_data(m, b->data, b->size, let_go, b)) return true;
        blob_unref(&b);
        return false;
    }
    if (!pack_small(m, sizeof p->head + p->size, pool)) return false;
    uint8_t *data = zmq_msg_data(m);
    memcpy(data, &p->head, sizeof p->head);
    memcpy(data + sizeof p->head, p->frame, p->size);
    return true;
}

struct blob *parcel_keep(const struct parcel *p) {
    if (p->large) return blob_ref(p->large);
    struct blob *b = blob_room((uint32_t)sizeof p->head + p->size);
    memcpy(b->data, &p->head, sizeof p->head);
    memcpy(b->data + sizeof p->head, p->frame, p->size);
    return b;
}

struct parcel parcel_kept(struct blob *kept) {
    struct parcel p = {.frame = kept->data + OUTBOX_ROOM, .size = kept->size - OUTBOX_ROOM, .large = kept};
    memcpy(&p.head, kept->data, sizeof p.head);
    return p;
}
