/* EDN forms as slices of their text. See edn.h. */
#include "trace/edn.h"

#include <string.h>

#include "trace/history_text.h"

enum { DEPTH_MAX = 64 }; /* of nested collections; histories need three */

#define FAIL(r, at, ...) history_error(e, (r)->whole, at, __VA_ARGS__)

static bool is_space(uint8_t c) {
    return c == ' ' || c == '\t' || c == '\n' || c == '\r' || c == '\f' || c == ',';
}

static bool is_delimiter(uint8_t c) {
    return is_space(c) || (c && strchr("\";()[]{}", c));
}

static qrt_status form_read(struct edn_reader *r, struct edn_form *form, int depth, struct error *e);

/* Past white space, comments and discarded forms (#_ form). */
static qrt_status space_skip(struct edn_reader *r, int depth, struct error *e) {
    for (;;) {
        while (r->at < r->end && is_space(*r->at)) r->at++;
        if (r->at == r->end) return QRT_OK;
        if (*r->at == ';') {
            while (r->at < r->end && *r->at != '\n') r->at++;
        } else if (r->end - r->at >= 2 && r->at[0] == '#' && r->at[1] == '_') {
            const uint8_t *start = r->at;
            if (depth >= DEPTH_MAX) return FAIL(r, start, "forms are nested more than %d deep", DEPTH_MAX);
            struct edn_form discarded;
            r->at += 2;
            qrt_status status = form_read(r, &discarded, depth + 1, e);
            if (status != QRT_OK) return status;
            if (discarded.kind == EDN_END) return FAIL(r, start, "#_ discards nothing");
        } else {
            return QRT_OK;
        }
    }
}

static qrt_status string_read(struct edn_reader *r, struct error *e) {
    const uint8_t *start = r->at++;
    for (; r->at < r->end; r->at++) {
        if (*r->at == '\\')
            r->at++;
        else if (*r->at == '"') {
            r->at++;
            return QRT_OK;
        }
    }
    r->at = r->end;
    return FAIL(r, start, "the string that begins here is not closed");
}

static void atom_read(struct edn_reader *r) {
    if (r->end - r->at >= 2 && *r->at == '\\') r->at += 2; /* a character, which may be a delimiter: \( */
    while (r->at < r->end && !is_delimiter(*r->at)) r->at++;
}

static qrt_status collection_read(struct edn_reader *r, uint8_t closing, bool map, int depth, struct error *e) {
    const uint8_t *start = r->at++;
    if (depth >= DEPTH_MAX) return FAIL(r, start, "forms are nested more than %d deep", DEPTH_MAX);
    for (size_t count = 0;; count++) {
        qrt_status status = space_skip(r, depth, e);
        if (status != QRT_OK) return status;
        if (r->at == r->end) return FAIL(r, start, "the '%c' that begins here is not closed", *start);
        if (*r->at == closing) {
            if (map && count % 2) return FAIL(r, r->at, "the last key of the map has no value");
            r->at++;
            return QRT_OK;
        }
        struct edn_form inner;
        status = form_read(r, &inner, depth + 1, e);
        if (status != QRT_OK) return status;
    }
}

/* #tag form, or a set. Of the tags we know our own. */
static qrt_status dispatch_read(struct edn_reader *r, struct edn_form *form, int depth, struct error *e) {
    const uint8_t *start = r->at++;
    form->kind = EDN_OTHER;
    if (r->at < r->end && *r->at == '{') return collection_read(r, '}', false, depth, e);
    atom_read(r);
    struct bytes tag = bytes_of(start, (size_t)(r->at - start));
    if (tag.size < 2) return FAIL(r, start, "there is no tag after '#'");
    if (depth >= DEPTH_MAX) return FAIL(r, start, "forms are nested more than %d deep", DEPTH_MAX);
    struct edn_form inner;
    qrt_status status = form_read(r, &inner, depth + 1, e);
    if (status != QRT_OK) return status;
    if (inner.kind == EDN_END) return FAIL(r, start, "nothing follows the tag");
    if (!bytes_equal(tag, bytes_text("#quorate/hex"))) return QRT_OK;
    if (inner.kind != EDN_STRING) return FAIL(r, start, "#quorate/hex wants a string");
    *form = (struct edn_form){EDN_HEX, inner.text};
    return QRT_OK;
}

static qrt_status form_dispatch(struct edn_reader *r, struct edn_form *form, int depth, struct error *e) {
    switch (*r->at) {
    case '"': form->kind = EDN_STRING; return string_read(r, e);
    case '[': form->kind = EDN_SEQUENCE; return collection_read(r, ']', false, depth, e);
    case '(': form->kind = EDN_SEQUENCE; return collection_read(r, ')', false, depth, e);
    case '{': form->kind = EDN_MAP; return collection_read(r, '}', true, depth, e);
    case '#': return dispatch_read(r, form, depth, e);
    case ')':
    case ']':
    case '}': return FAIL(r, r->at, "'%c' closes nothing", *r->at);
    default:
        form->kind = EDN_ATOM;
        atom_read(r);
        return QRT_OK;
    }
}

static qrt_status form_read(struct edn_reader *r, struct edn_form *form, int depth, struct error *e) {
    *form = (struct edn_form){0};
    qrt_status status = space_skip(r, depth, e);
    if (status != QRT_OK || r->at == r->end) return status;
    const uint8_t *start = r->at;
    status = form_dispatch(r, form, depth, e);
    if (status != QRT_OK) return status;
    if (form->kind == EDN_HEX) return QRT_OK;
    form->text = bytes_of(start, (size_t)(r->at - start));
    if (form->kind == EDN_ATOM && edn_is(form, "nil")) form->kind = EDN_NIL;
    return QRT_OK;
}

qrt_status edn_next(struct edn_reader *r, struct edn_form *form, struct error *e) {
    return form_read(r, form, 0, e);
}

struct edn_reader edn_inside(const struct edn_reader *r, const struct edn_form *form) {
    const uint8_t *start = form->text.data;
    return (struct edn_reader){r->whole, start + 1, start + form->text.size - 1};
}

bool edn_is(const struct edn_form *form, const char *atom) {
    return bytes_equal(form->text, bytes_text(atom));
}

static void character_append(struct buffer *out, uint32_t c) {
    uint8_t utf8[4];
    size_t size = c < 0x80 ? 1 : c < 0x800 ? 2 : c < 0x10000 ? 3 : 4;
    static const uint8_t lead[] = {0, 0, 0xc0, 0xe0, 0xf0};
    for (size_t i = size - 1; i > 0; i--, c >>= 6) utf8[i] = (uint8_t)(0x80 | (c & 0x3f));
    utf8[0] = (uint8_t)(lead[size] | c);
    buffer_append(out, utf8, size);
}

/* The four hexadecimal digits of \uXXXX at p; false when they are none. */
static bool unit_parse(const uint8_t *p, const uint8_t *end, uint32_t *unit) {
    *unit = 0;
    if (end - p < 6 || p[0] != '\\' || p[1] != 'u') return false;
    struct buffer two = {0};
    bool good = text_parse_hex(bytes_of(p + 2, 4), &two);
    if (good) *unit = (uint32_t)(two.data[0] << 8 | two.data[1]);
    buffer_free(&two);
    return good;
}

/* One escape at *at, which points to the backslash; a pair of surrogates is one. */
static qrt_status escape_decode(const struct edn_reader *r, const uint8_t **at, const uint8_t *end, struct buffer *out,
                                struct error *e) {
    static const char names[] = "tnrbf\"\\/", meanings[] = "\t\n\r\b\f\"\\/";
    const uint8_t *p = *at;
    const char *name = p[1] ? strchr(names, p[1]) : NULL;
    if (name) {
        buffer_append(out, &meanings[name - names], 1);
        *at += 2;
        return QRT_OK;
    }
    uint32_t unit, low;
    if (!unit_parse(p, end, &unit)) return FAIL(r, p, "there is no such escape in a string");
    *at += 6;
    if (unit >= 0xd800 && unit < 0xdc00 && unit_parse(p + 6, end, &low) && low >= 0xdc00 && low < 0xe000) {
        unit = 0x10000 + ((unit - 0xd800) << 10) + (low - 0xdc00);
        *at += 6;
    } else if (unit >= 0xd800 && unit < 0xe000) {
        return FAIL(r, p, "half a surrogate pair");
    }
    character_append(out, unit);
    return QRT_OK;
}

static qrt_status string_decode(const struct edn_reader *r, struct bytes inner, struct buffer *scratch,
                                struct bytes *text, struct error *e) {
    size_t start = scratch->size;
    const uint8_t *p = inner.data, *end = p + inner.size;
    while (p < end) {
        if (*p != '\\') {
            buffer_append(scratch, p++, 1);
            continue;
        }
        qrt_status status = escape_decode(r, &p, end, scratch, e);
        if (status != QRT_OK) return status;
    }
    *text = bytes_of(buffer_text(scratch) + start, scratch->size - start);
    return QRT_OK;
}

static struct bytes integer_plain(struct bytes text) {
    struct bytes plain = text;
    if (plain.size > 1 && plain.data[plain.size - 1] == 'N') plain.size--;
    if (plain.size > 1 && plain.data[0] == '+') plain = bytes_of(plain.data + 1, plain.size - 1);
    for (uint32_t i = plain.data[0] == '-' && plain.size > 1; i < plain.size; i++)
        if (plain.data[i] < '0' || plain.data[i] > '9') return text;
    return plain;
}

qrt_status edn_decode(const struct edn_reader *r, const struct edn_form *form, struct buffer *scratch,
                      struct bytes *text, struct error *e) {
    *text = (struct bytes){0};
    if (form->kind == EDN_NIL || form->kind == EDN_END) return QRT_OK;
    *text = form->kind == EDN_ATOM ? integer_plain(form->text) : form->text;
    if (form->kind != EDN_STRING && form->kind != EDN_HEX) return QRT_OK;
    struct bytes inner = bytes_of(form->text.data + 1, form->text.size - 2);
    if (form->kind == EDN_STRING) {
        *text = inner;
        bool plain = !inner.size || !memchr(inner.data, '\\', inner.size);
        return plain ? QRT_OK : string_decode(r, inner, scratch, text, e);
    }
    size_t start = scratch->size;
    if (!text_parse_hex(inner, scratch)) return FAIL(r, inner.data, "these are no hexadecimal bytes");
    *text = bytes_of(buffer_text(scratch) + start, scratch->size - start);
    return QRT_OK;
}
