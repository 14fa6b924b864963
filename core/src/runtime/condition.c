#include "runtime/condition.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/option.h"

static const struct {
    const char *name;
    uint8_t kind;
} words[] = {{"commit", CONDITION_COMMIT},
             {"applied", CONDITION_APPLIED},
             {"term", CONDITION_TERM},
             {"events", CONDITION_EVENTS}};

static bool refers(const char *text, const char *format, uint64_t *value) {
    char digits[19] = "";
    int end = 0;
    if (sscanf(text, format, digits, &end) != 1 || !end || text[end]) return false;
    *value = strtoull(digits, NULL, 10);
    return true;
}

qrt_status condition_parse(struct condition *c, const char *text, struct error *e) {
    char word[32] = "", digits[19] = "";
    uint64_t value;
    int end = 0;
    *c = (struct condition){0};
    if (refers(text, " leader != %18[0-9] %n", &value) && value <= UINT16_MAX) {
        *c = (struct condition){CONDITION_LEADER, (uint16_t)value, 0};
        return QRT_OK;
    }
    if (refers(text, " ticket %18[0-9] %n", &value)) {
        *c = (struct condition){CONDITION_TICKET, 0, value};
        return QRT_OK;
    }
    if (sscanf(text, " %31[a-z] >= %18[0-9] %n", word, digits, &end) == 2 && end && !text[end])
        for (size_t i = 0; i < sizeof words / sizeof *words; i++)
            if (!strcmp(word, words[i].name)) {
                *c = (struct condition){words[i].kind, 0, strtoull(digits, NULL, 10)};
                return QRT_OK;
            }
    if (sscanf(text, " %31[a-z] %n", word, &end) == 1 && end && !text[end]) {
        if (!strcmp(word, "leader")) return c->kind = CONDITION_LEADER, QRT_OK;
        if (!strcmp(word, "idle")) return c->kind = CONDITION_IDLE, QRT_OK;
    }
    return error_set(e, QRT_EPARSE,
                     "'%s' is no condition; there are: leader, leader != N, commit >= N, applied >= N, term >= N, "
                     "events >= N, idle, ticket N",
                     text);
}
