/* A peer that speaks ZMTP 3.1 with CURVE (RFC 37, 26) over a plain socket, so that it can say what libzmq never would: commands
 * where no command belongs, names that are not its own to give, half of a handshake, frames that end nowhere. */
#ifndef TESTS_SUPPORT_RAW_PEER_H
#define TESTS_SUPPORT_RAW_PEER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum raw_flag { RAW_MORE = 1, RAW_COMMAND = 2 }; /* of a frame, within CURVE */

struct raw_key {
    uint8_t public[32], secret[32];
};

struct raw_peer {
    int fd; /* the caller's, connected; raw_shut and raw_reset close it */
    uint64_t nonce;
    uint8_t own_public[32], own_secret[32]; /* short-term */
    uint8_t theirs[32], common[32];         /* short-term too: from the WELCOME on */
    uint8_t cookie[96];
    uint8_t *out; /* frames that raw_flush sends at once */
    size_t size, capacity;
};

/* A connection to "tcp://127.0.0.1:port" or "ipc://path"; -1: nobody takes it. */
int raw_connect(const char *endpoint);
/* Greeting and HELLO, and waits for the WELCOME. False: the other side has ended it. */
bool raw_hello(struct raw_peer *p, int fd, const uint8_t server[32]);
/* INITIATE as DEALER with these further properties (RFC 23: metadata), and waits for the READY. */
bool raw_initiate(struct raw_peer *p, const uint8_t server[32], const struct raw_key *key, const void *properties,
                  size_t size);
/* The two of them, with a routing id, or none where its size is 0. */
bool raw_open(struct raw_peer *p, int fd, const uint8_t server[32], const struct raw_key *key, const void *name,
              size_t name_size);
/* A frame into the buffer. */
void raw_frame(struct raw_peer *p, unsigned flags, const void *data, size_t size);
bool raw_flush(struct raw_peer *p);
/* Has the other side closed it? Reads what there is. */
bool raw_is_closed(const struct raw_peer *p);
void raw_shut(struct raw_peer *p);
/* Ends the connection as a machine does that goes: what was sent may be lost, and the other side gets a reset. */
void raw_reset(struct raw_peer *p);

#endif
