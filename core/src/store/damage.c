/* Damage on purpose: bits of the log flip in a sector that a sync had made durable, as a drive's do. */
#include <string.h>

#include "store/disk.h"
#include "store/record.h"

enum { FLIPS_MAX = 8 };

struct survey { /* of the log's files; with `wanted` counted down, of where that sector stands */
    struct disk *disk;
    struct buffer names, file;
    uint64_t sectors, wanted;
    const char *name;
    uint64_t offset;
};

static void see_file(void *context, const char *name, uint64_t size) {
    struct survey *s = context;
    (void)size;
    if (strncmp(name, "wal-", 4) == 0) buffer_append(&s->names, name, strlen(name) + 1);
}

static bool is_blank(const uint8_t *sector) {
    return sector[0] == 0 && memcmp(sector, sector + 1, SECTOR_SIZE - 1) == 0;
}

/* Counts the sectors that hold something; true: s->wanted was among them. */
static bool look(struct survey *s, bool find) {
    for (size_t at = 0; at < s->names.size; at += strlen((char *)s->names.data + at) + 1) {
        s->name = (char *)s->names.data + at;
        buffer_clear(&s->file);
        if (s->disk->class->read(s->disk, s->name, &s->file, NULL)) continue;
        for (s->offset = 0; s->offset + SECTOR_SIZE <= s->file.size; s->offset += SECTOR_SIZE) {
            if (is_blank(s->file.data + s->offset)) continue;
            if (find && s->wanted-- == 0) return true;
            s->sectors += !find;
        }
    }
    return false;
}

void disk_damage(struct disk *d, struct random *random) {
    struct survey s = {.disk = d};
    d->class->list(d, see_file, &s, NULL);
    look(&s, false);
    if (s.sectors) s.wanted = random_below(random, s.sectors);
    if (s.sectors && look(&s, true)) {
        uint8_t *sector = s.file.data + s.offset;
        uint64_t flips = 1 + random_below(random, FLIPS_MAX);
        for (uint64_t i = 0; i < flips; i++) {
            uint64_t bit = random_below(random, SECTOR_SIZE);
            sector[bit] = (uint8_t)(sector[bit] ^ 1u << random_below(random, 8));
        }
        d->class->write(d, s.name, s.offset, bytes_of(sector, SECTOR_SIZE), NULL);
        d->class->sync(d, s.name, NULL);
    }
    buffer_free(&s.names);
    buffer_free(&s.file);
}
