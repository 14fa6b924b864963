#include "support/raw_peer.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include <sodium.h>

#include "base/memory.h"

#define GREETING 64
#define COMMAND 4 /* flags of a frame */
#define LONG 2

int raw_connect(const char *endpoint) {
    struct sockaddr_in tcp = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    struct sockaddr_un ipc = {.sun_family = AF_UNIX};
    bool local = !strncmp(endpoint, "ipc://", 6);
    tcp.sin_port = htons((uint16_t)strtoul(strrchr(endpoint, ':') + 1, NULL, 10));
    snprintf(ipc.sun_path, sizeof ipc.sun_path, "%s", endpoint + 6);
    int fd = socket(local ? AF_UNIX : AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    const struct sockaddr *to = local ? (struct sockaddr *)&ipc : (struct sockaddr *)&tcp;
    if (fd < 0 || !connect(fd, to, local ? sizeof ipc : sizeof tcp)) return fd;
    close(fd);
    return -1;
}

static void append(struct raw_peer *p, const void *data, size_t size) {
    p->out = mem_grow(p->out, &p->capacity, p->size + size, 1);
    if (size) memcpy(p->out + p->size, data, size);
    p->size += size;
}

static void append_head(struct raw_peer *p, unsigned flags, size_t size) {
    uint8_t head[9] = {(uint8_t)(flags | (size > 255 ? LONG : 0)), (uint8_t)size};
    for (int i = 0; i < 8 && size > 255; i++) head[8 - i] = (uint8_t)(size >> 8 * i);
    append(p, head, size > 255 ? 9 : 2);
}

bool raw_flush(struct raw_peer *p) {
    size_t sent = 0;
    while (sent < p->size) {
        ssize_t n = send(p->fd, p->out + sent, p->size - sent, MSG_NOSIGNAL);
        if (n <= 0) break;
        sent += (size_t)n;
    }
    bool all = sent == p->size;
    p->size = 0;
    return all;
}

static bool read_all(struct raw_peer *p, void *data, size_t size) {
    return recv(p->fd, data, size, MSG_WAITALL) == (ssize_t)size;
}

/* The body of the next command, up to `most` bytes; its size, or 0. */
static size_t read_command(struct raw_peer *p, uint8_t *body, size_t most) {
    uint8_t head[2];
    if (!read_all(p, head, 2) || head[0] != COMMAND || head[1] > most) return 0;
    return read_all(p, body, head[1]) ? head[1] : 0;
}

/* A nonce is 24 bytes: a prefix, and a number or random bytes. */
static void number_nonce(uint8_t nonce[24], const char *prefix, uint64_t number) {
    memcpy(nonce, prefix, 16);
    for (int i = 0; i < 8; i++) nonce[23 - i] = (uint8_t)(number >> 8 * i);
}

static void long_nonce(uint8_t nonce[24], const char *prefix, const uint8_t rest[16]) {
    memcpy(nonce, prefix, 8);
    memcpy(nonce + 8, rest, 16);
}

static void greet(struct raw_peer *p) {
    uint8_t greeting[GREETING] = {0xff, [9] = 0x7f, [10] = 3, [11] = 1};
    memcpy(greeting + 12, "CURVE", 5);
    append(p, greeting, sizeof greeting);
}

static void say_hello(struct raw_peer *p, const uint8_t server[32]) {
    static const uint8_t zeros[72];
    uint8_t nonce[24], box[80];
    number_nonce(nonce, "CurveZMQHELLO---", ++p->nonce);
    if (crypto_box_easy(box, zeros, 64, nonce, server, p->own_secret)) abort();
    append_head(p, COMMAND, 200);
    append(p, "\5HELLO\1\0", 8);
    append(p, zeros, sizeof zeros);
    append(p, p->own_public, 32);
    append(p, nonce + 16, 8);
    append(p, box, sizeof box);
}

bool raw_hello(struct raw_peer *p, int fd, const uint8_t server[32]) {
    uint8_t greeting[GREETING], body[168], nonce[24], plain[128];
    struct timeval patience = {10, 0};
    *p = (struct raw_peer){.fd = fd};
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
    crypto_box_keypair(p->own_public, p->own_secret);
    greet(p);
    say_hello(p, server);
    if (!raw_flush(p) || !read_all(p, greeting, sizeof greeting)) return false;
    if (read_command(p, body, sizeof body) != sizeof body || memcmp(body, "\7WELCOME", 8)) return false;
    long_nonce(nonce, "WELCOME-", body + 8);
    if (crypto_box_open_easy(plain, body + 24, 144, nonce, server, p->own_secret)) return false;
    memcpy(p->theirs, plain, sizeof p->theirs);
    memcpy(p->cookie, plain + 32, sizeof p->cookie);
    return crypto_box_beforenm(p->common, p->theirs, p->own_secret) == 0;
}

/* Box [C' + S] (C -> S'), behind its nonce: the long-term key's word for the short-term one. */
static bool vouch(const struct raw_peer *p, const uint8_t server[32], const struct raw_key *key, uint8_t out[96]) {
    uint8_t nonce[24], plain[64];
    randombytes_buf(out, 16);
    long_nonce(nonce, "VOUCH---", out);
    memcpy(plain, p->own_public, 32);
    memcpy(plain + 32, server, 32);
    return crypto_box_easy(out + 16, plain, sizeof plain, nonce, p->theirs, key->secret) == 0;
}

bool raw_initiate(struct raw_peer *p, const uint8_t server[32], const struct raw_key *key, const void *properties,
                  size_t size) {
    static const uint8_t type[] = "\x0bSocket-Type\0\0\0\6DEALER";
    uint8_t nonce[24], ready[256], *plain = mem_alloc(128 + sizeof type + size), *box = mem_alloc(256 + size);
    size_t length = 128 + sizeof type - 1 + size;
    memcpy(plain, key->public, 32);
    memcpy(plain + 128, type, sizeof type - 1);
    if (size) memcpy(plain + 128 + sizeof type - 1, properties, size);
    number_nonce(nonce, "CurveZMQINITIATE", ++p->nonce);
    bool sound = vouch(p, server, key, plain + 32) && !crypto_box_easy_afternm(box, plain, length, nonce, p->common);
    append_head(p, COMMAND, 9 + sizeof p->cookie + 8 + length + 16);
    append(p, "\10INITIATE", 9);
    append(p, p->cookie, sizeof p->cookie);
    append(p, nonce + 16, 8);
    append(p, box, length + 16);
    free(plain);
    free(box);
    return sound && raw_flush(p) && read_command(p, ready, sizeof ready) > 6 && !memcmp(ready, "\5READY", 6);
}

bool raw_open(struct raw_peer *p, int fd, const uint8_t server[32], const struct raw_key *key, const void *name,
              size_t name_size) {
    uint8_t property[9 + 4 + 255] = "\10Identity";
    property[12] = (uint8_t)name_size;
    if (name_size) memcpy(property + 13, name, name_size);
    return raw_hello(p, fd, server) && raw_initiate(p, server, key, property, name_size ? 13 + name_size : 0);
}

void raw_frame(struct raw_peer *p, unsigned flags, const void *data, size_t size) {
    uint8_t nonce[24], *plain = mem_alloc(1 + size), *box = mem_alloc(17 + size);
    plain[0] = (uint8_t)flags;
    if (size) memcpy(plain + 1, data, size);
    number_nonce(nonce, "CurveZMQMESSAGEC", ++p->nonce);
    if (crypto_box_easy_afternm(box, plain, 1 + size, nonce, p->common)) abort();
    append_head(p, 0, 8 + 8 + 17 + size);
    append(p, "\7MESSAGE", 8);
    append(p, nonce + 16, 8);
    append(p, box, 17 + size);
    free(plain);
    free(box);
}

bool raw_is_closed(const struct raw_peer *p) {
    uint8_t some[4096];
    ssize_t n;
    while ((n = recv(p->fd, some, sizeof some, MSG_DONTWAIT)) > 0) continue;
    return n == 0 || (errno != EAGAIN && errno != EWOULDBLOCK);
}

void raw_shut(struct raw_peer *p) {
    close(p->fd);
    free(p->out);
    *p = (struct raw_peer){.fd = -1};
}

void raw_reset(struct raw_peer *p) {
    struct linger none = {1, 0};
    setsockopt(p->fd, SOL_SOCKET, SO_LINGER, &none, sizeof none);
    raw_shut(p);
}
