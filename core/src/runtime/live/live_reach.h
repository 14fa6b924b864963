/* How the connections of an actor to nodes by hand stand, as its sockets' monitors tell; and which must be made anew. */
#ifndef RUNTIME_LIVE_REACH_H
#define RUNTIME_LIVE_REACH_H

#include "runtime/live/live.h"

#define REACH_NS INT64_C(2000000000)
#define REACH_LOOK_NS INT64_C(500000000)
#define SLOW_AFTER 5 /* handshakes in a row that failed */
#define SLOW_MS 1000 /* between two tries then; libzmq adds up to as much at random */

enum reach_state {
    REACH_NONE = 0,    /* nothing is known yet */
    REACH_ABSENT = 1,  /* nobody takes the connection */
    REACH_OPEN = 2,    /* both sides have shown their keys */
    REACH_REFUSED = 3, /* the peer does not know our key */
    REACH_STRANGE = 4, /* somebody is there, and cannot show the peer's key */
    REACH_OTHER = 5,   /* the peer is of another cluster (reach_other) */
};

/* By the actor's thread, but for reach_state and reach_why, which are any thread's. */
struct reach *reach_new(void);
void reach_free(struct reach *r); /* after its sockets were closed */
/* The socket to `peer`, before it connects. A monitor that cannot be had costs the reasons, and nothing else. */
void reach_watch(struct actor *a, uint16_t peer);
void reach_leave(struct actor *a, uint16_t peer); /* before the socket is closed */
/* How long a new socket to it waits between two tries, ms; 0: as all do. */
int reach_patience(const struct actor *a, uint16_t peer);
/* A send to it has failed: looks why, and makes the socket anew when none has left for REACH_NS. */
void reach_failed(struct actor *a, uint16_t peer);
void reach_look(struct actor *a, uint16_t peer);
/* Makes the socket anew where it should try more slowly, or as ever again. */
void reach_pace(struct actor *a, uint16_t peer);
/* Looks at all of them every REACH_LOOK_NS, so that no events pile up where nobody sends. When it wants to look again. */
int64_t reach_tick(struct actor *a);
void reach_other(struct actor *a, uint16_t peer, bool other); /* whose cluster it is, as it says itself */
enum reach_state reach_state(const struct actor *a, uint16_t peer);
/* "it does not answer: ..." */
void reach_why(const struct actor *a, uint16_t peer, char *out, size_t size);

#endif
