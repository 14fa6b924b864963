/* Commands of the built-in machines, one codec for nodes, clients and history checkers.
 *
 * Encoded: u8 operation, then the operation's byte strings as u32 size and bytes, in the order of struct
 * command; a cas that must find nothing ends before its expected value. Every command has one encoding, and
 * nothing follows it. Numbers (register, counter, tokens) are decimal text, so that histories read well. */
#ifndef MACHINE_COMMAND_H
#define MACHINE_COMMAND_H

#include <stdbool.h>
#include <stdint.h>

#include "base/bytes.h"
#include "base/memory.h"

#define COMMAND_KEY_MAX 1024u                                             /* bytes */
#define COMMAND_VALUE_MAX (256u * 1024u)                                  /* bytes: the stated largest value */
#define COMMAND_SIZE_MAX (13u + COMMAND_KEY_MAX + 2u * COMMAND_VALUE_MAX) /* bytes, encoded */
#define COMMAND_SCAN_MAX (512u * 1024u) /* bytes a scan answers at most: go on after its last key */

/* Crosses wire and disk. What comes after the arrow is the answer's bytes; a status beside QRT_OK is named.
 *   get      key -> value; QRT_ENOTFOUND
 *   put      key, value
 *   delete   key; QRT_ENOTFOUND
 *   append   key, value: appended to what is there -> new length as decimal text; QRT_ETOOLARGE, unchanged
 *   cas      key (empty in a register), value, expected; QRT_ECAS -> the value found (no bytes: absent).
 *            has_expected false: must be absent
 *   scan     key: lower bound, value: decimal limit (empty: none), expected: bound above (empty: none)
 *            -> repeated (key blob, value blob)
 *   read     register, counter -> value; QRT_ENOTFOUND from a register never written
 *   write    register: value
 *   add      counter: value = decimal delta -> new value; QRT_ERANGE beyond 64 bits, unchanged
 *   acquire  lock: key = name, value = owner -> fencing token as decimal text; QRT_ECAS: held, be it by the
 *            same -> owner
 *   propose  no machine's: a client proposes value, and is told what was decided
 *   release  lock: key = name, value = owner; QRT_ECAS: held by another -> owner; QRT_ENOTFOUND: free */
enum command_operation {
    COMMAND_GET = 1,
    COMMAND_PUT = 2,
    COMMAND_DELETE = 3,
    COMMAND_APPEND = 4,
    COMMAND_CAS = 5,
    COMMAND_SCAN = 6,
    COMMAND_READ = 7,
    COMMAND_WRITE = 8,
    COMMAND_ADD = 9,
    COMMAND_ACQUIRE = 10,
    COMMAND_RELEASE = 11,
    COMMAND_PROPOSE = 12,
};

struct command {
    uint8_t operation;
    bool has_expected;
    struct bytes key, value, expected;
};

void command_encode(const struct command *c, struct buffer *out);
/* False when the bytes are no command (unknown operation, bad structure, key or value over the limit). */
bool command_decode(struct bytes data, struct command *c);
bool command_is_read(uint8_t operation);
const char *command_name(uint8_t operation); /* "get", ...; NULL for none */
uint8_t command_by_name(const char *name);   /* 0 for none */
/* Decimal text, canonical: no sign but a minus, no leading zeros, no "-0". False when it is anything else. */
bool command_number(struct bytes text, int64_t *number);

#endif
