/* The root file; see root.h. */
#include "store/root.h"

static const char root_magic[8] = "QRTROOT";

qrt_status root_write(struct disk *d, struct store_identity id, const struct root *root, struct error *e) {
    const struct disk_class *disk = d->class;
    uint8_t head[SECTOR_SIZE];
    struct writer w = head_begin(head, root_magic, id);
    write_u8(&w, (uint8_t)root->begin);
    write_u64(&w, root->commit);
    write_u64(&w, root->covered);
    writer_put(&w, root->text, strlen(root->text));
    head_seal(head);
    qrt_status status = disk->create(d, ROOT_TEMPORARY, 0, e);
    if (!status) status = disk->write(d, ROOT_TEMPORARY, 0, bytes_of(head, sizeof head), e);
    if (!status) status = disk->sync(d, ROOT_TEMPORARY, e);
    if (!status) status = disk->rename(d, ROOT_TEMPORARY, ROOT, e);
    return status ? status : disk->sync_folder(d, e);
}

qrt_status root_read(struct disk *d, struct store_identity id, struct root *root, struct error *e) {
    struct buffer file = {0};
    struct reader fields = {0};
    qrt_status status = d->class->read(d, ROOT, &file, e);
    if (!status) status = head_open(&fields, bytes_of(file.data, file.size), root_magic, id, ROOT, e);
    if (!status) {
        *root = (struct root){.begin = (enum root_begin)read_u8(&fields)};
        root->commit = read_u64(&fields);
        root->covered = read_u64(&fields);
        reader_take(&fields, root->text, sizeof root->text - 1);
    }
    buffer_free(&file);
    return status;
}
