/* How the reports of this folder write one thing as JSON (jansson). Each gives a new reference. */
#ifndef CLUSTER_VALUES_H
#define CLUSTER_VALUES_H

#include <jansson.h>

#include "base/bytes.h"
#include "base/memory.h"
#include "base/option.h"
#include "check/verdict.h"

/* Bytes of users may be anything; JSON strings are UTF-8: what is not is shown as escapes. */
json_t *text_value(struct bytes b);
json_t *seconds_value(int64_t ns);
json_t *hash_value(uint64_t hash); /* 16 hexadecimal digits: a JSON number would be rounded by others */
/* Every option of a table for which `wanted` is true (NULL: of every one), as text that option_set reads back. */
void add_options(json_t *out, const struct option_table *table, const void *values, bool (*wanted)(const char *name));
/* The text of `root`, which is given away, takes the place of what `out` held; reals with so many digits. The text. */
const char *dump_value(json_t *root, struct buffer *out, int digits);
const char *verdict_name(enum verdict v);
/* One verdict after another: a violation outweighs what is unknown, and that what is in order. */
void worsen(enum verdict *whole, enum verdict one);

#endif
