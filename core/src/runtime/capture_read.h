/* A node's capture, read back: its records in order, across segments, each verified. What is not sound is a gap: the rest of
 * its segment is left out, with a sentence that says which file, where and why. Bytes may be anything.
 *
 * A record points into its segment, which stays in memory until every record of it was taken. */
#ifndef RUNTIME_CAPTURE_READ_H
#define RUNTIME_CAPTURE_READ_H

#include "runtime/capture.h"

#define CAPTURE_NONE 0     /* a kind of what was taken out of its order */
#define CAPTURE_GAP 0xffff /* a kind that no file has: here something is missing; body: why, as text */

struct capture_segment; /* one file's bytes */

struct capture_record {
    uint16_t kind;
    uint8_t flags;
    int64_t progress; /* events of an input that has no outcome; -1: not known */
    struct bytes body;
    struct capture_segment *segment;
};

struct capture_reader {
    char folder[OPTION_TEXT_MAX];
    uint16_t node;
    uint64_t identity;
    uint32_t *numbers; /* of segments */
    size_t segment_count, segment_at;
    struct capture_record *records; /* read, not yet taken: [head, count) */
    size_t head, count, capacity;
    uint64_t bytes, gaps;
    char version[32]; /* of the library that wrote it */
};

/* What stands in capture.json, into `about`. */
qrt_status capture_about(const char *folder, struct buffer *about, struct error *e);
void capture_reader_open(struct capture_reader *r, const char *folder, uint16_t node, uint64_t identity);
void capture_reader_close(struct capture_reader *r);
/* The record `ahead` places from here (0: the next), or NULL behind the last one. */
const struct capture_record *capture_peek(struct capture_reader *r, size_t ahead);
void capture_take(struct capture_reader *r);               /* the next one is done with */
void capture_drop(struct capture_reader *r, size_t ahead); /* that one has been dealt with */
/* Takes the bytes of one segment, from the heap, as if they had been a file. For tests and fuzzing as well. */
void capture_load(struct capture_reader *r, uint32_t number, struct buffer *bytes);

/* Bodies; false: malformed. */
struct capture_input {
    int64_t time, mono, wall;
    uint64_t number;
    uint16_t group;
    struct bytes data;
};
struct capture_start {
    int64_t time, mono, wall;
    uint32_t incarnation;
    uint64_t sends, proposals, armed, cluster_id;
    bool bursts;
};
bool capture_read_input(const struct capture_record *r, struct capture_input *out);
bool capture_read_start(const struct capture_record *r, struct capture_start *out);
bool capture_read_checkpoint(const struct capture_record *r, struct store_checkpoint *out, struct bytes *blob);
bool capture_read_record(const struct capture_record *r, struct store_record *out);
bool capture_read_event(const struct capture_record *r, qrt_event *out);
bool capture_read_outcome(const struct capture_record *r, uint64_t *state, uint64_t *events);
bool capture_is_input(uint16_t kind); /* one that an outcome follows */

#endif
