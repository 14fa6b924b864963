#include "base/option.h"

#include <ctype.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/real.h"

static const char *const type_names[] = {"", "bool", "integer", "real", "duration", "size", "choice", "text"};
static const char *const type_units[] = {"", "", "", "", "s", "B", "", ""};

struct unit {
    const char *name;
    double factor;
};
static const struct unit duration_units[] = {{"ns", 1e-9}, {"us", 1e-6}, {"ms", 1e-3}, {"s", 1},
                                             {"min", 60},  {"h", 3600},  {0}};
static const struct unit size_units[] = {{"B", 1}, {"KiB", 1024}, {"MiB", 1048576}, {"GiB", 1073741824.0}, {0}};

/* Reads a finite number and, behind it, one of the units (or none); false when the text is anything else. */
static bool parse_number(const char *text, const struct unit *units, double *out) {
    char *end;
    double v = strtod(text, &end);
    if (end == text || v != v || v - v != 0) return false;
    while (*end == ' ') end++;
    if (*end) {
        const struct unit *u = units;
        while (u && u->name && strcmp(u->name, end) != 0) u++;
        if (!u || !u->name) return false;
        v *= u->factor;
    }
    *out = v;
    return true;
}

static bool parse_bool(const char *text, bool *out) {
    static const char *const yes[] = {"true", "True", "1", "yes", "on"}, *const no[] = {"false", "False", "0", "no",
                                                                                        "off"};
    for (size_t i = 0; i < 5; i++) {
        if (!strcmp(text, yes[i])) return *out = true, true;
        if (!strcmp(text, no[i])) return *out = false, true;
    }
    return false;
}

static int choice_index(const char *choices, const char *text) {
    size_t length = strlen(text);
    int index = 0;
    if (strchr(text, '|')) return -1; /* "one|two" is no choice, though it begins the list */
    for (const char *c = choices; length && c; index++) {
        if (!strncmp(c, text, length) && (c[length] == '|' || !c[length])) return index;
        c = strchr(c, '|');
        if (c) c++;
    }
    return -1;
}

static qrt_status refuse_type(const struct option_spec *s, const char *text, struct error *e) {
    if (s->type == OPTION_CHOICE)
        return error_set(e, QRT_ETYPE, "option '%s' is one of %s, not '%s'", s->name, s->choices, text);
    const char *hint = s->type == OPTION_DURATION ? " (seconds, or with a unit: 150ms)"
                       : s->type == OPTION_SIZE   ? " (bytes, or with a unit: 64KiB)"
                       : s->type == OPTION_BOOL   ? " (true or false)"
                                                  : "";
    const char *type = type_names[s->type], *article = strchr("aeiou", *type) ? "an" : "a";
    return error_set(e, QRT_ETYPE, "option '%s' takes %s %s%s, not '%s'", s->name, article, type, hint, text);
}

static qrt_status set_number(const struct option_spec *s, char *place, const char *text, struct error *e) {
    const struct unit *units = s->type == OPTION_DURATION ? duration_units : s->type == OPTION_SIZE ? size_units : NULL;
    double v;
    if (!parse_number(text, units, &v)) return refuse_type(s, text, e);
    bool whole = s->type == OPTION_INTEGER || s->type == OPTION_SIZE;
    if (whole && v >= -9e15 && v <= 9e15 && v != (double)(int64_t)v) return refuse_type(s, text, e);
    if (v < s->low || v > s->high)
        return error_set(e, QRT_ERANGE, "option '%s' must lie between %.10g and %.10g%s%s, not %s", s->name, s->low,
                         s->high, *type_units[s->type] ? " " : "", type_units[s->type], text);
    if (s->type == OPTION_REAL) {
        memcpy(place, &v, sizeof v);
        return QRT_OK;
    }
    int64_t n;
    if (s->type == OPTION_DURATION)
        n = real_to_ns(v);
    else if (s->type == OPTION_INTEGER && v > 9e15)
        n = (int64_t)strtoull(text, NULL, 10); /* seeds use all 64 bits */
    else
        n = (int64_t)v;
    memcpy(place, &n, sizeof n);
    return QRT_OK;
}

static qrt_status set_value(const struct option_spec *s, void *options, const char *text, struct error *e) {
    char *place = (char *)options + s->offset;
    switch (s->type) {
    case OPTION_BOOL: {
        bool v;
        if (!parse_bool(text, &v)) return refuse_type(s, text, e);
        memcpy(place, &v, sizeof v);
        return QRT_OK;
    }
    case OPTION_CHOICE: {
        int32_t index = choice_index(s->choices, text);
        if (index < 0) return refuse_type(s, text, e);
        memcpy(place, &index, sizeof index);
        return QRT_OK;
    }
    case OPTION_TEXT:
        if (strlen(text) >= OPTION_TEXT_MAX)
            return error_set(e, QRT_ERANGE, "option '%s' holds at most %d bytes, not %zu", s->name, OPTION_TEXT_MAX - 1,
                             strlen(text));
        strcpy(place, text);
        return QRT_OK;
    case OPTION_INTEGER:
    case OPTION_REAL:
    case OPTION_DURATION:
    case OPTION_SIZE: return set_number(s, place, text, e);
    }
    return error_set(e, QRT_EINTERNAL, "option '%s' has no type", s->name);
}

void option_defaults(const struct option_table *table, void *options) {
    struct error e;
    for (const struct option_spec *s = table->specs; s->name; s++)
        if (set_value(s, options, s->standard, &e)) error_set(NULL, QRT_EINTERNAL, "%s", e.text);
}

static size_t edit_distance(const char *a, const char *b) {
    size_t n = strlen(b), row[64];
    if (n >= 64 || strlen(a) >= 64) return 64;
    for (size_t j = 0; j <= n; j++) row[j] = j;
    for (size_t i = 1; a[i - 1]; i++) {
        size_t diagonal = row[0];
        row[0] = i;
        for (size_t j = 1; j <= n; j++) {
            size_t above = row[j], cost = tolower((unsigned char)a[i - 1]) != tolower((unsigned char)b[j - 1]);
            size_t best = diagonal + cost;
            if (above + 1 < best) best = above + 1;
            if (row[j - 1] + 1 < best) best = row[j - 1] + 1;
            row[j] = best;
            diagonal = above;
        }
    }
    return row[n];
}

const char *option_nearest(const char *name, const char *const *known, size_t count) {
    const char *nearest = NULL;
    size_t least = strlen(name) / 2 + 2; /* further than half of it is no slip of the finger */
    for (size_t i = 0; i < count; i++) {
        size_t d = edit_distance(name, known[i]);
        if (d < least) {
            least = d;
            nearest = known[i];
        }
    }
    return nearest;
}

#define FEW 12 /* options that an error can list */

qrt_status option_set(const struct option_table *tables, void *const *options, size_t count, const char *name,
                      const char *text, struct error *e) {
    const char *known[256];
    size_t n = 0;
    for (size_t i = 0; i < count; i++)
        for (const struct option_spec *s = tables[i].specs; s->name; s++) {
            if (!strcmp(s->name, name)) return set_value(s, options[i], text, e);
            if (n < 256) known[n++] = s->name;
        }
    const char *nearest = option_nearest(name, known, n);
    if (nearest) return error_set(e, QRT_EOPTION, "there is no option '%s'; did you mean '%s'?", name, nearest);
    if (n > FEW) return error_set(e, QRT_EOPTION, "there is no option '%s'; `quorate options` lists them all", name);
    struct buffer list = {0};
    for (size_t i = 0; i < n; i++) buffer_printf(&list, "%s%s", i ? ", " : "", known[i]);
    error_set(e, QRT_EOPTION, "there is no option '%s'; there are: %s", name, buffer_text(&list));
    buffer_free(&list);
    return QRT_EOPTION;
}

qrt_status option_read(const struct option_table *table, void *options, const qrt_option *given, size_t count,
                       struct error *e) {
    option_defaults(table, options);
    for (size_t i = 0; i < count; i++) {
        if (!given[i].name || !given[i].value)
            return error_set(e, QRT_EINVAL, "option number %zu has no name or no value", i + 1);
        qrt_status s = option_set(table, &options, 1, given[i].name, given[i].value, e);
        if (s) return s;
    }
    return QRT_OK;
}

qrt_status option_parse_duration(const char *text, int64_t *ns, struct error *e) {
    double v;
    if (!parse_number(text, duration_units, &v))
        return error_set(e, QRT_ETYPE, "a duration is a number of seconds, or with a unit (150ms), not '%s'", text);
    *ns = real_to_ns(v);
    return QRT_OK;
}

void option_print(const struct option_spec *s, const void *options, struct buffer *out) {
    const char *place = (const char *)options + s->offset;
    switch (s->type) {
    case OPTION_BOOL: buffer_printf(out, "%s", *(const bool *)(const void *)place ? "true" : "false"); break;
    case OPTION_CHOICE: {
        int32_t index;
        memcpy(&index, place, sizeof index);
        const char *c = s->choices;
        while (index-- > 0) c = strchr(c, '|') + 1;
        buffer_printf(out, "%.*s", (int)strcspn(c, "|"), c);
        break;
    }
    case OPTION_TEXT: buffer_printf(out, "%s", place); break;
    case OPTION_REAL: {
        double v;
        memcpy(&v, place, sizeof v);
        buffer_printf(out, "%.17g", v);
        break;
    }
    case OPTION_INTEGER:
    case OPTION_DURATION:
    case OPTION_SIZE: {
        int64_t n;
        memcpy(&n, place, sizeof n);
        if (s->type == OPTION_INTEGER && n < 0 && s->low >= 0)
            buffer_printf(out, "%llu", (unsigned long long)n);
        else
            buffer_printf(out, s->type == OPTION_DURATION ? "%lldns" : "%lld", (long long)n);
        break;
    }
    }
}

static void json_text(struct buffer *out, const char *s) {
    buffer_append(out, "\"", 1);
    for (; *s; s++)
        if (*s == '"' || *s == '\\')
            buffer_printf(out, "\\%c", *s);
        else
            buffer_append(out, s, 1);
    buffer_append(out, "\"", 1);
}

void option_json(const struct option_table *tables, size_t count, struct buffer *out) {
    const char *separator = "";
    buffer_printf(out, "[");
    for (size_t i = 0; i < count; i++)
        for (const struct option_spec *s = tables[i].specs; s->name; s++) {
            buffer_printf(out, "%s{\"section\": \"%s\", \"name\": \"%s\", \"type\": \"%s\", \"unit\": \"%s\", ",
                          separator, tables[i].section, s->name, type_names[s->type], type_units[s->type]);
            if (s->low < s->high) buffer_printf(out, "\"low\": %.17g, \"high\": %.17g, ", s->low, s->high);
            buffer_printf(out, "\"default\": ");
            json_text(out, s->standard);
            buffer_printf(out, ", \"choices\": ");
            json_text(out, s->choices ? s->choices : "");
            buffer_printf(out, ", \"help\": ");
            json_text(out, s->help);
            buffer_printf(out, "}");
            separator = ",\n ";
        }
    buffer_printf(out, "]");
}
