/* Where the nodes and the keys of each dialect stand. The dialects that others invented follow their code to
 * the last float:
 *   libketama     floor(share * 40 * servers) digests of "host:port-i", each giving four little-endian words
 *   libmemcached  the same number by way of 160 / 4, and the default port 11211 is left off the name
 *   spymemcached  as libmemcached, the port always written; 40 digests a node when the weights are even
 * A position of 32 bits stands in the upper half of the 64. */
#include <nettle/md5.h>
#include <stdio.h>

#include "base/check.h"
#include "base/hash.h"
#include "ring/ring.h"

static void md5_of(const void *data, size_t size, uint8_t digest[MD5_DIGEST_SIZE]) {
    struct md5_ctx context;
    md5_init(&context);
    md5_update(&context, size, data);
    md5_digest(&context, MD5_DIGEST_SIZE, digest);
}

/* Word w (0..3) of a digest, read as ketama reads it. */
static uint64_t digest_word(const uint8_t *digest, int w) {
    const uint8_t *d = digest + 4 * w;
    uint32_t word = (uint32_t)d[3] << 24 | (uint32_t)d[2] << 16 | (uint32_t)d[1] << 8 | d[0];
    return (uint64_t)word << 32;
}

/* The first 64 bits of a digest as a number, most significant byte first. */
static uint64_t digest_head(const uint8_t *digest) {
    uint64_t head = 0;
    for (int i = 0; i < 8; i++) head = head << 8 | digest[i];
    return head;
}

static uint64_t precision_mask(const struct ring *r) {
    return r->options.bits >= 64 ? UINT64_MAX : ~(UINT64_MAX >> r->options.bits);
}

static bool dialect_is_ketama(int32_t dialect) {
    return dialect >= RING_LIBMEMCACHED;
}

bool ring_weights_relative(const struct ring *r) {
    return dialect_is_ketama(r->options.dialect) && r->options.dialect != RING_LIBMEMCACHED_EVEN;
}

/* Digests of a node in the weighted ketamas; the floats are theirs. */
static size_t ketama_digests(int32_t dialect, double weight, double total, uint32_t nodes) {
    if (dialect == RING_SPYMEMCACHED && weight * (double)nodes == total) return 40; /* even weights: no floats */
    float share = (float)weight / (float)total;
    if (dialect == RING_LIBKETAMA) return (size_t)(float)((double)share * 40.0 * (double)(float)nodes);
    float quarter = share * 160.0f / 4.0f * (float)nodes;
    return (size_t)(float)((double)quarter + 0.0000000001);
}

size_t ring_points_of(const struct ring *r, double weight, double total_weight, uint32_t nodes) {
    if (ring_weights_relative(r)) return 4 * ketama_digests(r->options.dialect, weight, total_weight, nodes);
    double own = r->options.dialect == RING_XXH3 ? 160 : 100;
    if (r->options.vnodes) own = (double)r->options.vnodes;
    double points = own * weight + 0.5;
    if (points >= RING_POINTS_MAX + 1.0) return RING_POINTS_MAX + 1;
    return points < 1 ? 1 : (size_t)points;
}

static void point_append(struct ring *r, uint32_t slot, uint64_t position) {
    r->points = mem_grow(r->points, &r->point_capacity, r->point_count + 1, sizeof *r->points);
    r->points[r->point_count++] = (struct ring_point){position & precision_mask(r), slot};
}

static void append_xxh3(struct ring *r, uint32_t slot, size_t count) {
    const char *name = r->nodes[slot].name;
    size_t length = strlen(name);
    for (size_t i = 0; i < count; i++) point_append(r, slot, hash_bytes(name, length, i));
}

static void append_md5(struct ring *r, uint32_t slot, size_t count) {
    uint8_t digest[MD5_DIGEST_SIZE];
    char text[RING_NAME_MAX + 32];
    for (size_t i = 0; i < count; i++) {
        int length = snprintf(text, sizeof text, "%s%zu", r->nodes[slot].name, i);
        md5_of(text, (size_t)length, digest);
        point_append(r, slot, digest_head(digest));
    }
}

/* libmemcached writes no port where it is memcached's own. */
static int ketama_name_length(const struct ring *r, const char *name) {
    static const char port[] = ":11211";
    size_t length = strlen(name), tail = sizeof port - 1;
    bool drops = r->options.dialect == RING_LIBMEMCACHED || r->options.dialect == RING_LIBMEMCACHED_EVEN;
    if (drops && length > tail && !strcmp(name + length - tail, port)) length -= tail;
    return (int)length;
}

static void append_ketama(struct ring *r, uint32_t slot, size_t digests, int words) {
    const char *name = r->nodes[slot].name;
    int length = ketama_name_length(r, name);
    uint8_t digest[MD5_DIGEST_SIZE];
    char text[RING_NAME_MAX + 32];
    for (size_t i = 0; i < digests; i++) {
        int size = snprintf(text, sizeof text, "%.*s-%zu", length, name, i);
        md5_of(text, (size_t)size, digest);
        for (int w = 0; w < words; w++) point_append(r, slot, digest_word(digest, w));
    }
}

void ring_append_points(struct ring *r, uint32_t slot, double total_weight) {
    size_t points = ring_points_of(r, r->nodes[slot].weight, total_weight, r->node_count);
    switch ((enum ring_dialect)r->options.dialect) {
    case RING_XXH3: append_xxh3(r, slot, points); return;
    case RING_MD5_INDEX: append_md5(r, slot, points); return;
    case RING_LIBMEMCACHED_EVEN: append_ketama(r, slot, points, 1); return;
    case RING_LIBMEMCACHED:
    case RING_LIBKETAMA:
    case RING_SPYMEMCACHED: append_ketama(r, slot, points / 4, 4); return;
    }
    CHECK(false); /* every dialect has its points */
}

uint64_t ring_hash_text(const struct ring *r, struct bytes key) {
    uint64_t hash;
    if (r->options.dialect == RING_XXH3) {
        hash = hash_bytes(key.data, key.size, 0);
    } else {
        uint8_t digest[MD5_DIGEST_SIZE];
        md5_of(key.data, key.size, digest);
        hash = dialect_is_ketama(r->options.dialect) ? digest_word(digest, 0) : digest_head(digest);
    }
    return hash & precision_mask(r);
}

uint64_t ring_hash_number(const struct ring *r, uint64_t key) {
    if (r->options.dialect == RING_XXH3) return hash_bytes(&key, sizeof key, 0) & precision_mask(r);
    char text[24];
    int length = snprintf(text, sizeof text, "%llu", (unsigned long long)key);
    return ring_hash_text(r, bytes_of(text, (size_t)length));
}
