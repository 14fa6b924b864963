#include "runtime/condition.h"

#include <stdio.h>
#include <string.h>

#include "base/option.h"

static const struct {
    const char *name;
    uint8_t kind;
} words[] = {{"commit", CONDITION_COMMIT},
             {"applied", CONDITION_APPLIED},
             {"term", CONDITION_TERM},
             {"events", CONDITION_EVENTS}};

qrt_status condition_parse(struct condition *c, const char *text, struct error *e) {
    char word[32] = "";
    unsigned long long value = 0;
    int end = 0;
    *c = (struct condition){0};
    if (sscanf(text, " leader != %llu %n", &value, &end) == 1 && end && !text[end]) {
        *c = (struct condition){CONDITION_LEADER, (uint16_t)value, 0};
        return QRT_OK;
    }
    if (sscanf(text, " ticket %llu %n", &value, &end) == 1 && end && !text[end]) {
        *c = (struct condition){CONDITION_TICKET, 0, value};
        return QRT_OK;
    }
    if (sscanf(text, " %31[a-z] >= %llu %n", word, &value, &end) == 2 && end && !text[end])
        for (size_t i = 0; i < sizeof words / sizeof *words; i++)
            if (!strcmp(word, words[i].name)) {
                *c = (struct condition){words[i].kind, 0, value};
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
