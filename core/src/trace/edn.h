/* A reader of EDN (github.com/edn-format/edn): one form after another, each as a slice of the text, so that
 * nothing is built that nobody asks for. A form that is malformed anywhere inside is rejected as a whole. */
#ifndef TRACE_EDN_H
#define TRACE_EDN_H

#include <stdbool.h>

#include "base/bytes.h"
#include "base/memory.h"
#include "base/status.h"

enum edn_kind {
    EDN_END = 0, /* no form is left */
    EDN_NIL,
    EDN_ATOM, /* a number, keyword, symbol, character, true, false: its text as written */
    EDN_STRING,
    EDN_HEX,      /* #quorate/hex "00ff": bytes that are no UTF-8 */
    EDN_SEQUENCE, /* a vector or a list */
    EDN_MAP,
    EDN_OTHER, /* a set, or a form with somebody else's tag */
};

struct edn_form {
    enum edn_kind kind;
    struct bytes text; /* the whole form; of EDN_HEX the string after the tag */
};

struct edn_reader {
    struct bytes whole; /* for line and column */
    const uint8_t *at, *end;
};

/* The next form. QRT_OK with EDN_END at the end of the text. */
qrt_status edn_next(struct edn_reader *r, struct edn_form *form, struct error *e);
/* A reader of what is inside of a sequence or map that edn_next has accepted. */
struct edn_reader edn_inside(const struct edn_reader *r, const struct edn_form *form);
/* The form as text: a string's characters, an integer without sign + and suffix N, nil as NULL data,
 * everything else as written. What had to be unescaped is appended to scratch and points there until it
 * grows. */
qrt_status edn_decode(const struct edn_reader *r, const struct edn_form *form, struct buffer *scratch,
                      struct bytes *text, struct error *e);
bool edn_is(const struct edn_form *form, const char *atom);

#endif
