/* Entries as bytes. See entries.h. */
#include "protocol/entries.h"

bool entry_take(struct reader *r, struct bytes *raw) {
    *raw = (struct bytes){0};
    if (reader_left(r) < ENTRY_HEADER || r->at[8] > ENTRY_CONFIG) {
        r->failed = true;
        return false;
    }
    uint32_t size;
    memcpy(&size, r->at + 25, sizeof size);
    if (reader_left(r) - ENTRY_HEADER < size) {
        r->failed = true;
        return false;
    }
    *raw = (struct bytes){r->at, ENTRY_HEADER + size};
    r->at += raw->size;
    return true;
}

bool entries_sound(struct bytes encoded, uint32_t count, uint64_t low, uint64_t high) {
    struct reader in = reader_of(encoded);
    for (uint32_t i = 0; i < count; i++) {
        struct bytes raw;
        if (!entry_take(&in, &raw)) return false;
        uint64_t term;
        memcpy(&term, raw.data, sizeof term);
        if (term < low || term > high) return false;
        low = term;
    }
    return in.at == in.end;
}
