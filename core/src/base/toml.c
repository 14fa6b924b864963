/* See toml.h. A line holds one thing, so the reader goes line by line: a comment, a table's head, or a key and its value. */
#include "base/toml.h"

#include <stdlib.h>
#include <string.h>

struct toml {
    const char *at, *end; /* of the line under way */
    unsigned line;
    char table[TOML_NAME_MAX], key[TOML_NAME_MAX];
    struct buffer text;
    struct buffer names; /* every table and key so far: "table\0" or "table\0key\0", each behind its u32 size */
    unsigned count;
    struct error *e;
};

static qrt_status fail(struct toml *t, const char *what) {
    return error_set(t->e, QRT_EPARSE, "line %u: %s", t->line, what);
}

static void skip_blanks(struct toml *t) {
    while (t->at < t->end && (*t->at == ' ' || *t->at == '\t')) t->at++;
}

/* Nothing but a comment may follow. */
static qrt_status line_end(struct toml *t) {
    skip_blanks(t);
    if (t->at == t->end || *t->at == '#') return QRT_OK;
    return fail(t, "there is something behind the value; only a comment (#) may stand there");
}

static bool is_digit(char c) {
    return c >= '0' && c <= '9';
}

static bool is_bare(char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || is_digit(c) || c == '_' || c == '-';
}

/* A bare name, dotted where it is a table's; behind what out holds. */
static qrt_status read_name(struct toml *t, char *out, bool dotted) {
    size_t size = 0;
    bool open = true; /* a name must follow */
    for (; t->at < t->end && (is_bare(*t->at) || (dotted && *t->at == '.')); t->at++) {
        if (*t->at == '.' && open) break;
        open = *t->at == '.';
        if (size + 1 >= TOML_NAME_MAX) return fail(t, "the name is too long");
        out[size++] = *t->at;
    }
    out[size] = 0;
    if (!open) return QRT_OK;
    return fail(t, "a name of letters, digits, _ and - was expected; quoted names are not used here");
}

/* A table (key NULL) or a key that was not there before. */
static qrt_status note_name(struct toml *t, const char *key) {
    struct buffer *b = &t->names;
    uint32_t size = (uint32_t)(strlen(t->table) + 1 + (key ? strlen(key) + 1 : 0));
    char name[2 * TOML_NAME_MAX];
    memcpy(name, t->table, strlen(t->table) + 1);
    if (key) memcpy(name + strlen(t->table) + 1, key, strlen(key) + 1);
    struct reader r = reader_of(bytes_of(b->data, b->size));
    while (reader_left(&r))
        if (bytes_equal(read_bytes(&r), bytes_of(name, size)))
            return fail(t, key ? "this key was there before" : "this table was there before");
    if (++t->count > TOML_NAMES_MAX) return fail(t, "there are too many tables and keys");
    buffer_append(b, &size, sizeof size);
    buffer_append(b, name, size);
    return QRT_OK;
}

/* ---- values ---- */

static qrt_status add_point(struct toml *t, int digits) {
    uint32_t point = 0;
    for (int i = 0; i < digits; i++) {
        if (t->at == t->end) return fail(t, "an escape \\u in the text is cut short");
        char c = *t->at++;
        uint32_t digit = is_digit(c)              ? (uint32_t)(c - '0')
                         : (c >= 'a' && c <= 'f') ? (uint32_t)(c - 'a' + 10)
                         : (c >= 'A' && c <= 'F') ? (uint32_t)(c - 'A' + 10)
                                                  : 16;
        if (digit > 15) return fail(t, "an escape \\u in the text wants hexadecimal digits");
        point = point << 4 | digit;
    }
    if (!point || point > 0x10ffff || (point >= 0xd800 && point < 0xe000))
        return fail(t, "an escape \\u in the text is no character that a text may hold");
    uint8_t out[4];
    size_t size = point < 0x80 ? 1 : point < 0x800 ? 2 : point < 0x10000 ? 3 : 4;
    static const uint8_t first[] = {0, 0, 0xc0, 0xe0, 0xf0};
    for (size_t i = size; i-- > 1; point >>= 6) out[i] = (uint8_t)(0x80 | (point & 0x3f));
    out[0] = (uint8_t)(first[size] | point);
    buffer_append(&t->text, out, size);
    return QRT_OK;
}

static qrt_status read_escape(struct toml *t) {
    static const char from[] = "btnfr\"\\", to[] = "\b\t\n\f\r\"\\";
    if (t->at == t->end) return fail(t, "the text has no closing quote");
    char c = *t->at++;
    const char *known = strchr(from, c);
    if (c == 'u' || c == 'U') return add_point(t, c == 'u' ? 4 : 8);
    if (!c || !known)
        return fail(t, "an escape in the text is unknown; there are \\\" \\\\ \\b \\t \\n \\f \\r \\u \\U");
    buffer_append(&t->text, &to[known - from], 1);
    return QRT_OK;
}

static qrt_status read_string(struct toml *t) {
    char quote = *t->at++;
    if (t->end - t->at >= 2 && t->at[0] == quote && t->at[1] == quote)
        return fail(t, "texts of several lines are not used here");
    while (t->at < t->end && *t->at != quote) {
        char c = *t->at++;
        if (c == '\\' && quote == '"') {
            if (read_escape(t)) return QRT_EPARSE;
        } else {
            buffer_append(&t->text, &c, 1);
        }
    }
    if (t->at == t->end) return fail(t, "the text has no closing quote");
    t->at++;
    return QRT_OK;
}

/* Digits with single underscores between them; how many there were. */
static size_t read_digits(struct toml *t) {
    size_t count = 0;
    while (t->at < t->end &&
           (is_digit(*t->at) || (*t->at == '_' && count && t->at + 1 < t->end && is_digit(t->at[1])))) {
        if (*t->at != '_') buffer_append(&t->text, t->at, 1);
        count += *t->at++ != '_';
    }
    return count;
}

static qrt_status read_number(struct toml *t, uint8_t *type) {
    static const char sense[] =
        "the value makes no sense; a text stands in quotes, a number is decimal, or it is true or false";
    if (*t->at == '-') buffer_append(&t->text, "-", 1);
    if (*t->at == '-' || *t->at == '+') t->at++;
    bool zero = t->at < t->end && *t->at == '0';
    size_t whole = read_digits(t);
    *type = TOML_INTEGER;
    if (!whole || (zero && whole > 1)) return fail(t, sense);
    if (t->at < t->end && *t->at == '.') {
        *type = TOML_REAL;
        t->at++;
        buffer_append(&t->text, ".", 1);
        if (!read_digits(t)) return fail(t, sense);
    }
    if (t->at < t->end && (*t->at == 'e' || *t->at == 'E')) {
        *type = TOML_REAL;
        t->at++;
        buffer_append(&t->text, "e", 1);
        if (t->at < t->end && (*t->at == '-' || *t->at == '+')) buffer_append(&t->text, t->at++, 1);
        if (!read_digits(t)) return fail(t, sense);
    }
    if (t->at < t->end && (is_bare(*t->at) || *t->at == ':'))
        return fail(t, "dates, times and numbers that are not decimal are not used here");
    if (*type == TOML_INTEGER && whole > 18) return fail(t, "the number is too large");
    return QRT_OK;
}

static bool read_word(struct toml *t, const char *word) {
    size_t size = strlen(word);
    if ((size_t)(t->end - t->at) < size || memcmp(t->at, word, size)) return false;
    if (t->at + size < t->end && is_bare(t->at[size])) return false;
    t->at += size;
    buffer_append(&t->text, word, size);
    return true;
}

static qrt_status read_value(struct toml *t, uint8_t *type) {
    skip_blanks(t);
    buffer_clear(&t->text);
    if (t->at == t->end || *t->at == '#') return fail(t, "the key has no value");
    *type = TOML_STRING;
    if (*t->at == '"' || *t->at == '\'') return read_string(t);
    if (*t->at == '[') return fail(t, "arrays are not used here");
    if (*t->at == '{') return fail(t, "inline tables are not used here");
    *type = TOML_BOOLEAN;
    if (read_word(t, "true") || read_word(t, "false")) return QRT_OK;
    return read_number(t, type);
}

/* ---- lines ---- */

static qrt_status read_head(struct toml *t) {
    t->at++;
    if (t->at < t->end && *t->at == '[') return fail(t, "arrays of tables are not used here");
    skip_blanks(t);
    if (read_name(t, t->table, true)) return QRT_EPARSE;
    skip_blanks(t);
    if (t->at == t->end || *t->at++ != ']') return fail(t, "the table's name has no closing ]");
    if (line_end(t)) return QRT_EPARSE;
    return note_name(t, NULL);
}

static qrt_status read_pair(struct toml *t, uint8_t *type) {
    if (read_name(t, t->key, false)) return QRT_EPARSE;
    skip_blanks(t);
    if (t->at == t->end || *t->at++ != '=') return fail(t, "a key is followed by = and its value");
    if (read_value(t, type) || line_end(t)) return QRT_EPARSE;
    return note_name(t, t->key);
}

/* Characters that no TOML text may hold, and UTF-8 that is none. */
static qrt_status check_line(struct toml *t) {
    const uint8_t *at = (const uint8_t *)t->at, *end = (const uint8_t *)t->end;
    while (at < end) {
        uint8_t c = *at++;
        if ((c < 0x20 && c != '\t') || c == 0x7f) return fail(t, "a control character stands in the line");
        if (c < 0x80) continue;
        int more = c >= 0xf0 ? 3 : c >= 0xe0 ? 2 : 1;
        uint32_t point = c & (more == 3 ? 0x07u : more == 2 ? 0x0fu : 0x1fu);
        bool sound = c >= 0xc2 && c < 0xf5 && end - at >= more;
        for (int i = 0; sound && i < more; i++) {
            sound = (*at & 0xc0) == 0x80;
            point = point << 6 | (*at++ & 0x3fu);
        }
        sound = sound && point >= (more == 3 ? 0x10000u : more == 2 ? 0x800u : 0x80u) && point <= 0x10ffff;
        if (!sound || (point >= 0xd800 && point < 0xe000)) return fail(t, "the line is no UTF-8");
    }
    return QRT_OK;
}

static qrt_status hand_out(struct toml *t, struct toml_item *item, toml_fn *each, void *context) {
    struct error own = {0};
    item->text = buffer_text(&t->text);
    qrt_status status = each(context, item, &own);
    if (status) error_set(t->e, status, "line %u: %.480s", t->line, own.text);
    return status;
}

static qrt_status read_line(struct toml *t, struct toml_item *item, toml_fn *each, void *context) {
    qrt_status status = check_line(t);
    skip_blanks(t);
    if (status || t->at == t->end || *t->at == '#') return status;
    bool head = *t->at == '[';
    item->type = TOML_TABLE;
    status = head ? read_head(t) : read_pair(t, &item->type);
    if (status) return status;
    item->table = t->table;
    item->key = head ? "" : t->key;
    if (head) buffer_clear(&t->text);
    return hand_out(t, item, each, context);
}

qrt_status toml_read(struct bytes text, toml_fn *each, void *context, struct error *e) {
    struct toml t = {.e = e};
    qrt_status status = QRT_OK;
    if (text.size > TOML_SIZE_MAX) return error_set(e, QRT_ETOOLARGE, "a configuration holds at most 1 MiB");
    for (size_t at = 0; at < text.size && !status;) {
        const char *line = (const char *)text.data + at;
        const char *newline = memchr(line, '\n', text.size - at);
        size_t end = newline ? (size_t)(newline - (const char *)text.data) + 1 : text.size;
        struct toml_item item = {.line = ++t.line, .at = at, .end = end};
        t.at = line;
        t.end = newline ? newline : line + (text.size - at);
        if (newline && t.end > t.at && t.end[-1] == '\r') t.end--;
        status = read_line(&t, &item, each, context);
        at = end;
    }
    buffer_free(&t.text);
    buffer_free(&t.names);
    return status;
}
