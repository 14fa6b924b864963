/* The option table: one list gives C parsing and validation, Python keywords, Lua keys and the help text.
 * A module declares a table of struct option_spec over its own options struct; values are set by name from text
 * ("150ms", "0.15", "true", "majority"), and everything that is wrong with one is said in one sentence. */
#ifndef BASE_OPTION_H
#define BASE_OPTION_H

#include <stddef.h>
#include <stdint.h>

#include "base/memory.h"
#include "base/status.h"

enum option_type {
    OPTION_BOOL = 1,     /* bool; text true/false/1/0/yes/no/on/off */
    OPTION_INTEGER = 2,  /* int64_t */
    OPTION_REAL = 3,     /* double */
    OPTION_DURATION = 4, /* int64_t nanoseconds; text in seconds, or with a unit ns, us, ms, s, min, h */
    OPTION_SIZE = 5,     /* int64_t bytes; text in bytes, or with a unit B, KiB, MiB, GiB */
    OPTION_CHOICE = 6,   /* int32_t, the index into choices ("a|b|c") */
    OPTION_TEXT = 7,     /* char[OPTION_TEXT_MAX] */
};

#define OPTION_TEXT_MAX 256

struct option_spec {
    const char *name;
    enum option_type type;
    size_t offset;        /* into the module's options struct */
    double low, high;     /* inclusive range, in the unit of the text (seconds, bytes, numbers) */
    const char *standard; /* the default, as text */
    const char *choices;  /* OPTION_CHOICE: "a|b|c" */
    const char *help;     /* one line */
};

/* A section is one module's table: "cluster", "network", "raft". Tables end with a NULL name. */
struct option_table {
    const char *section;
    const struct option_spec *specs;
};

/* Fills the struct with every default. */
void option_defaults(const struct option_table *table, void *options);
/* Sets one option in one of `count` tables (options[i] is the struct of tables[i]). QRT_EOPTION names the
 * nearest known option; QRT_ETYPE and QRT_ERANGE say what was expected. */
qrt_status option_set(const struct option_table *tables, void *const *options, size_t count, const char *name,
                      const char *text, struct error *e);
/* Defaults, and then what is given, in its order, of one table; the first that is refused ends it. */
qrt_status option_read(const struct option_table *table, void *options, const qrt_option *given, size_t count,
                       struct error *e);
/* The value of one option as text, in the form that option_set reads back to the same value. */
void option_print(const struct option_spec *spec, const void *options, struct buffer *out);
/* Parses one value of a type; for plan fields and the like. */
qrt_status option_parse_duration(const char *text, int64_t *ns, struct error *e);
/* The known name nearest to `name` by edit distance (case folded), or NULL when nothing is near. */
const char *option_nearest(const char *name, const char *const *known, size_t count);
/* The tables as JSON: [{"section","name","type","unit","low","high","default","choices","help"}, ...]. */
void option_json(const struct option_table *tables, size_t count, struct buffer *out);

#endif
