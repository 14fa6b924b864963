/* See record.h for the layouts. Checksums are XXH3 (base/hash.h), seeded by cluster and node, so that bytes
 * that strayed in from another store do not verify. */
#include "store/record.h"

#include "base/hash.h"
#include "base/random.h"

enum { RECORD_MAGIC = 0x52, HEAD_CHECK_AT = SECTOR_SIZE - 8 };

_Static_assert(sizeof(struct record_header) == 40, "a record's header is 40 bytes");
_Static_assert(sizeof(struct entry_id) == 32, "a directory entry is 32 bytes");

uint64_t store_seed(struct store_identity id) {
    return hash_fold(hash_fold(0x71756f72756d6c6fu, id.cluster_id), id.node);
}

/* Seeds are folded in behind the hash: XXH3 would derive a secret of its own from a seed for every long
 * input. */
static uint64_t seeded_hash(const void *data, size_t size, uint64_t seed) {
    return hash_fold(hash_bytes(data, size, 0), seed);
}

static uint32_t seal_of(const uint8_t *sector, uint64_t seed, uint32_t place) {
    uint64_t hash = seeded_hash(sector + 4, SECTOR_SIZE - 4, seed + place);
    return (uint32_t)hash ? (uint32_t)hash : 1;
}

void sector_seal(uint8_t *sector, struct sector head, uint64_t seed, uint32_t place) {
    memcpy(sector + 4, &head.left, 4);
    memcpy(sector + 8, &head.commit, 8);
    uint32_t seal = seal_of(sector, seed, place);
    memcpy(sector, &seal, 4);
}

static bool sector_blank(const uint8_t *sector) {
    return sector[0] == 0 && memcmp(sector, sector + 1, SECTOR_SIZE - 1) == 0;
}

enum sector_state sector_check(const uint8_t *sector, struct sector *head, uint64_t seed, uint32_t place) {
    if (sector_blank(sector)) return SECTOR_BLANK;
    uint32_t seal;
    memcpy(&seal, sector, 4);
    if (seal != seal_of(sector, seed, place)) return SECTOR_ROTTEN;
    memcpy(&head->left, sector + 4, 4);
    memcpy(&head->commit, sector + 8, 8);
    return SECTOR_SOUND;
}

static uint64_t record_check(const struct record_header *h, uint64_t seed, uint64_t previous) {
    return seeded_hash(h, offsetof(struct record_header, check), seed ^ previous);
}

void record_seal(struct record_header *h, const struct store_record *r, uint64_t seed, uint64_t previous) {
    *h = (struct record_header){
        .magic = RECORD_MAGIC,
        .version = STORE_VERSION,
        .group = r->group,
        .length = r->data.size,
        .index = r->index,
        .term = r->term,
        .previous = (uint32_t)previous,
        .payload = (uint32_t)seeded_hash(r->data.data, r->data.size, seed),
    };
    h->check = record_check(h, seed, previous);
}

enum record_fault record_read(struct reader *in, struct record_header *h, struct bytes *payload, uint64_t seed,
                              uint64_t previous) {
    if (reader_left(in) < sizeof *h) return RECORD_END;
    reader_take(in, h, sizeof *h);
    if (h->magic == 0) return RECORD_END;
    if (h->magic != RECORD_MAGIC || h->length > reader_left(in)) return RECORD_HEADER;
    if (h->previous != (uint32_t)previous) return RECORD_CHAIN;
    if (h->check != record_check(h, seed, previous)) return RECORD_HEADER;
    *payload = (struct bytes){in->at, h->length};
    in->at += h->length;
    uint32_t sum = (uint32_t)seeded_hash(payload->data, payload->size, seed);
    return sum == h->payload ? RECORD_SOUND : RECORD_PAYLOAD;
}

const char *record_fault_text(enum record_fault fault) {
    switch (fault) {
    case RECORD_SOUND: return "it is sound";
    case RECORD_END: return "it is missing";
    case RECORD_HEADER: return "its header is damaged";
    case RECORD_CHAIN: return "it does not follow the record before it";
    case RECORD_PAYLOAD: return "its payload does not match its checksum";
    }
    return "it is damaged";
}

/* Products that do not wait for each other: a group commit seals hundreds of entries. */
static uint64_t entry_check(const struct entry_id *entry, uint64_t seed, uint64_t file, uint32_t slot) {
    uint64_t a = (entry->index + seed) * 0x9e3779b97f4a7c15u, b = (entry->term + slot) * 0xc2b2ae3d27d4eb4fu;
    uint64_t c = ((uint64_t)entry->length << 32 | entry->sector) * 0x165667b19e3779f9u;
    return hash_fold(a ^ random_rotate(b, 29) ^ random_rotate(c, 47), (file << 16 | entry->group) + c);
}

void entry_seal(struct entry_id *entry, uint64_t seed, uint64_t file, uint32_t slot) {
    uint64_t check = entry_check(entry, seed, file, slot);
    entry->check = (uint32_t)check;
    entry->check_high = (uint16_t)(check >> 32);
}

bool entry_sound(const struct entry_id *entry, uint64_t seed, uint64_t file, uint32_t slot) {
    uint64_t check = entry_check(entry, seed, file, slot);
    return entry->check == (uint32_t)check && entry->check_high == (uint16_t)(check >> 32);
}

struct writer head_begin(uint8_t *head, const char magic[8], struct store_identity id) {
    memset(head, 0, SECTOR_SIZE);
    struct writer w = writer_of(head, HEAD_CHECK_AT);
    writer_put(&w, magic, 8);
    write_u32(&w, STORE_VERSION);
    write_u64(&w, id.cluster_id);
    write_u16(&w, id.node);
    return w;
}

void head_seal(uint8_t *head) {
    uint64_t check = hash_bytes(head, HEAD_CHECK_AT, 0);
    memcpy(head + HEAD_CHECK_AT, &check, 8);
}

qrt_status head_open(struct reader *fields, struct bytes file, const char magic[8], struct store_identity id,
                     const char *name, struct error *e) {
    uint64_t check = 0;
    if (file.size < SECTOR_SIZE)
        return error_set(e, QRT_ECORRUPT, "%s ends at offset %u, inside its head; " STORE_ADVICE, name, file.size);
    memcpy(&check, file.data + HEAD_CHECK_AT, 8);
    if (memcmp(file.data, magic, 8) != 0 || check != hash_bytes(file.data, HEAD_CHECK_AT, 0))
        return error_set(e, QRT_ECORRUPT, "the head of %s (offset 0) is damaged; " STORE_ADVICE, name);
    struct reader r = {file.data + 8, file.data + HEAD_CHECK_AT, false};
    uint32_t version = read_u32(&r);
    uint64_t cluster = read_u64(&r);
    uint16_t node = read_u16(&r);
    if (version > STORE_VERSION)
        return error_set(e, QRT_ENEWER,
                         "%s was written in format %u, and this version of Quorate knows formats "
                         "up to %d; start the node with the newer version",
                         name, version, STORE_VERSION);
    if (cluster != id.cluster_id || node != id.node)
        return error_set(e, QRT_EFOREIGN,
                         "%s belongs to node %u of cluster %016llx, not to node %u of cluster "
                         "%016llx; give each node its own data folder",
                         name, node, (unsigned long long)cluster, id.node, (unsigned long long)id.cluster_id);
    *fields = r;
    return QRT_OK;
}
