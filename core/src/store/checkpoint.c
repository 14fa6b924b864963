/* Checkpoint files; see checkpoint.h. A head of one sector, then the protocol's meta bytes, then the
 * snapshot. */
#include "store/checkpoint.h"

#include <stdio.h>

#include "base/hash.h"

static const char checkpoint_magic[8] = "QRTCKP\0";

/* ---- names ------------------------------------------------------------------------------- */

void checkpoint_name(char name[CHECKPOINT_NAME_SIZE], const struct checkpoint_file *f) {
    snprintf(name, CHECKPOINT_NAME_SIZE, "checkpoint-%04x-%016llx-%c", f->group, (unsigned long long)f->index,
             f->from_log ? 'l' : 's');
}

bool checkpoint_parse(const char *name, struct checkpoint_file *f) {
    unsigned group = 0;
    unsigned long long index = 0;
    char kind = 0, again[CHECKPOINT_NAME_SIZE];
    if (sscanf(name, "checkpoint-%4x-%16llx-%c", &group, &index, &kind) != 3) return false;
    *f = (struct checkpoint_file){.index = index, .group = (uint16_t)group, .from_log = kind == 'l'};
    checkpoint_name(again, f);
    return strcmp(name, again) == 0; /* exactly as we write it */
}

/* ---- writing ----------------------------------------------------------------------------- */

static void head_fill(uint8_t *head, struct store_identity id, const struct store_checkpoint *c, uint64_t commit) {
    struct writer w = head_begin(head, checkpoint_magic, id);
    write_u16(&w, c->group);
    write_u8(&w, c->from_log);
    write_u8(&w, c->blob != NULL);
    write_u64(&w, c->index);
    write_u64(&w, c->term);
    write_u64(&w, commit);
    write_u32(&w, c->meta.size);
    write_u32(&w, c->blob ? c->blob->size : 0);
    write_u64(&w, hash_bytes(c->meta.data, c->meta.size, 0));
    write_u64(&w, c->blob ? c->blob->hash : 0);
    head_seal(head);
}

qrt_status checkpoint_write(struct disk *disk, struct store_identity id, const struct store_checkpoint *c,
                            uint64_t commit, struct error *e) {
    const char *made = CHECKPOINT_TEMPORARY;
    struct checkpoint_file f = {.index = c->index, .group = c->group, .from_log = c->from_log};
    char name[CHECKPOINT_NAME_SIZE];
    uint8_t head[SECTOR_SIZE];
    head_fill(head, id, c, commit);
    checkpoint_name(name, &f);
    uint64_t blob_at = SECTOR_SIZE + (uint64_t)c->meta.size;
    uint64_t size = blob_at + (c->blob ? c->blob->size : 0);
    qrt_status status = disk->class->create(disk, made, 0, e);
    if (!status && disk->class->reserve) status = disk->class->reserve(disk, made, size, e);
    if (!status) status = disk->class->write(disk, made, 0, bytes_of(head, sizeof head), e);
    if (!status && c->meta.size) status = disk->class->write(disk, made, SECTOR_SIZE, c->meta, e);
    if (!status && c->blob) status = disk->class->write(disk, made, blob_at, blob_bytes(c->blob), e);
    if (!status) status = disk->class->sync(disk, made, e);
    if (!status) status = disk->class->rename(disk, made, name, e);
    return status ? status : disk->class->sync_folder(disk, e);
}

void checkpoint_front(struct buffer *front, struct store_identity id, const struct store_checkpoint *c,
                      uint64_t commit) {
    head_fill(buffer_extend(front, SECTOR_SIZE), id, c, commit);
    buffer_append(front, c->meta.data, c->meta.size);
}

/* ---- reading ----------------------------------------------------------------------------- */

static qrt_status content_read(struct reader fields, struct bytes file, const char *name,
                               const struct checkpoint_file *f, struct checkpoint_loaded *loaded, struct error *e) {
    uint16_t group = read_u16(&fields);
    bool from_log = read_u8(&fields) != 0, has_blob = read_u8(&fields) != 0;
    uint64_t index = read_u64(&fields), term = read_u64(&fields);
    uint64_t commit = read_u64(&fields);
    uint32_t meta_size = read_u32(&fields), blob_size = read_u32(&fields);
    uint64_t meta_hash = read_u64(&fields), blob_hash = read_u64(&fields);
    if (group != f->group || index != f->index || from_log != f->from_log)
        return error_set(e, QRT_ECORRUPT, "the content of %s is of another checkpoint; " STORE_ADVICE, name);
    if ((uint64_t)SECTOR_SIZE + meta_size + blob_size != file.size)
        return error_set(e, QRT_ECORRUPT,
                         "%s is %u bytes long and should be %llu: it was cut off at offset %u or "
                         "grew; " STORE_ADVICE,
                         name, file.size, (unsigned long long)SECTOR_SIZE + meta_size + blob_size, file.size);
    struct bytes meta = {file.data + SECTOR_SIZE, meta_size}, content = {meta.data + meta_size, blob_size};
    if (hash_bytes(meta.data, meta.size, 0) != meta_hash)
        return error_set(e, QRT_ECORRUPT,
                         "%s is damaged between offsets %d and %u: its protocol data does not match "
                         "its checksum; " STORE_ADVICE,
                         name, SECTOR_SIZE, SECTOR_SIZE + meta_size);
    if (has_blob && hash_bytes(content.data, content.size, 0) != blob_hash)
        return error_set(e, QRT_ECORRUPT,
                         "%s is damaged behind offset %u: its snapshot does not match its checksum; " STORE_ADVICE,
                         name, SECTOR_SIZE + meta_size);
    *loaded = (struct checkpoint_loaded){.index = index, .term = term, .commit = commit, .group = group};
    buffer_append(&loaded->meta, meta.data, meta.size);
    loaded->blob = has_blob ? blob_new(content) : NULL;
    return QRT_OK;
}

qrt_status checkpoint_read(struct disk *disk, struct store_identity id, const struct checkpoint_file *f,
                           struct checkpoint_loaded *loaded, struct error *e) {
    char name[CHECKPOINT_NAME_SIZE];
    struct buffer file = {0};
    struct reader fields;
    checkpoint_name(name, f);
    qrt_status status = disk->class->read(disk, name, &file, e);
    struct bytes content = bytes_of(file.data, file.size);
    if (!status) status = head_open(&fields, content, checkpoint_magic, id, name, e);
    if (!status) status = content_read(fields, content, name, f, loaded, e);
    buffer_free(&file);
    return status;
}
