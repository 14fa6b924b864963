/* Reading configuration in TOML 1.0 (https://toml.io/en/v1.0.0), the part that configuration of ours needs: tables with bare
 * names ([cluster], [node.1]), and in them keys with a text, a number or a truth value, and comments. What this reads, any
 * TOML reader reads to the same values. Arrays, inline tables, dates and texts of several lines are refused by name.
 *
 * Hand-written, because Debian 12 has TOML readers for C++ and for Python, but none for C; see docs/design.md. */
#ifndef BASE_TOML_H
#define BASE_TOML_H

#include "base/bytes.h"
#include "base/memory.h"
#include "base/status.h"

#define TOML_NAME_MAX 128 /* of a table's whole name, or a key */
#define TOML_SIZE_MAX (1u << 20)
#define TOML_NAMES_MAX 4096 /* tables and keys */

enum toml_type { TOML_TABLE = 1, TOML_STRING = 2, TOML_INTEGER = 3, TOML_REAL = 4, TOML_BOOLEAN = 5 };

struct toml_item {     /* lives for the call */
    uint8_t type;      /* TOML_TABLE: the table itself begins, without a key */
    const char *table; /* "" before the first; "node.1" */
    const char *key, *text;
    unsigned line;
    size_t at, end; /* its line in the text, with the line's end */
};

typedef qrt_status toml_fn(void *context, const struct toml_item *item, struct error *e);

/* Hands out every table and key in order; ends at the first error, of its own (QRT_EPARSE: "line 3: ...") or of `each`,
 * which is put behind its line likewise. A table or key that comes twice is refused. */
qrt_status toml_read(struct bytes text, toml_fn *each, void *context, struct error *e);

#endif
