/* Plans as JSON: one table of fields, each with the verbs that it belongs to and a reader; the writer
 * follows the same order and leaves out what is a default, so that a plan that is printed, read and
 * printed again is the same text.
 *
 * Times are exact: they are written with nine decimals at most (or as "..ns" text where a double could not
 * carry them) and come back to the same nanosecond. Other reals are written with as many digits as it
 * takes. */
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/option.h"
#include "base/real.h"
#include "fault/plan.h"
#include "fault/words.h"

#define DELAY_MAX_NS ((int64_t)86400 * 1000000000) /* a day */
#define PERIOD_MIN_NS 1000                         /* or a plan could hold the run at one instant */
#define SPREAD_NS 10000000                         /* the default of reorder and duplicate */
#define DECIMAL_EXACT_NS ((int64_t)1 << 50) /* below, seconds with nine decimals in a double round back exactly */
#define ID_MAX 0x7fffffff                   /* above are the ids that the engine gives */
#define EFFECT_MAX 65536
#define DRIFT_MAX 500000.0
#define RATE_MAX 1000000000000 /* bytes a second */

struct reading {
    struct error *e;
    size_t number; /* of the directive, from 1; 0: it stands alone */
    uint16_t nodes;
};

static qrt_status refuse(const struct reading *r, qrt_status status, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
static qrt_status refuse(const struct reading *r, qrt_status status, const char *format, ...) {
    char text[ERROR_TEXT_MAX];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    if (r->number) return error_set(r->e, status, "directive %zu: %s", r->number, text);
    return error_set(r->e, status, "directive: %s", text);
}

/* The value as the user wrote it, for a message; cut to a readable length. */
static const char *value_text(const json_t *value, char out[64]) {
    char *text = json_dumps(value, JSON_ENCODE_ANY | JSON_COMPACT | JSON_ENSURE_ASCII | JSON_REAL_PRECISION(10));
    snprintf(out, 64, "%.60s", text ? text : "?");
    free(text);
    return out;
}

/* A user's word for a message, cut where a character ends. */
static const char *word_text(const char *word, char out[64]) {
    size_t size = strlen(word);
    if (size > 60)
        for (size = 60; size && ((unsigned char)word[size] & 0xc0) == 0x80;) size--;
    memcpy(out, word, size);
    out[size] = 0;
    return out;
}

static qrt_status refuse_value(const struct reading *r, qrt_status status, const char *name, const char *wanted,
                               const json_t *value) {
    char text[64];
    return refuse(r, status, "'%s' must be %s, not %s", name, wanted, value_text(value, text));
}

static qrt_status refuse_word(const struct reading *r, const char *what, const char *word, const char *const *known,
                              size_t count) {
    const char *nearest = option_nearest(word, known, count);
    char cut[64], list[160] = "";
    word_text(word, cut);
    if (nearest) return refuse(r, QRT_ENOTFOUND, "%s '%s' is not known; did you mean '%s'?", what, cut, nearest);
    for (size_t i = 0, used = 0; i < count && used < sizeof list; i++)
        used += (size_t)snprintf(list + used, sizeof list - used, "%s%s", i ? ", " : "", known[i]);
    return refuse(r, QRT_ENOTFOUND, "%s '%s' is not known; there are: %s", what, cut, list);
}

/* Readers of values. */

static bool text_whole_ns(const char *text, int64_t *ns) {
    char *end;
    long long v = strtoll(text, &end, 10);
    if (end == text || strcmp(end, "ns") != 0) return false;
    *ns = v;
    return true;
}

static qrt_status read_time(const struct reading *r, const char *name, const json_t *value, int64_t low, int64_t high,
                            int64_t *ns) {
    struct error e;
    if (json_is_integer(value)) {
        json_int_t s = json_integer_value(value);
        *ns = s > FAULT_TIME_MAX_NS / 1000000000    ? INT64_MAX
              : s < -FAULT_TIME_MAX_NS / 1000000000 ? INT64_MIN
                                                    : (int64_t)s * 1000000000;
    } else if (json_is_real(value)) {
        *ns = real_to_ns(json_real_value(value));
    } else if (!json_is_string(value) || (!text_whole_ns(json_string_value(value), ns) &&
                                          option_parse_duration(json_string_value(value), ns, &e))) {
        return refuse_value(r, QRT_ETYPE, name, "seconds, or text with a unit (\"150ms\")", value);
    }
    if (*ns >= low && *ns <= high) return QRT_OK;
    char wanted[96];
    snprintf(wanted, sizeof wanted, "between %.10g and %.10g seconds", (double)low / 1e9, (double)high / 1e9);
    return refuse_value(r, QRT_ERANGE, name, wanted, value);
}

static qrt_status read_real(const struct reading *r, const char *name, const json_t *value, double low, double high,
                            double *out) {
    char wanted[96];
    snprintf(wanted, sizeof wanted, "a number between %.10g and %.10g", low, high);
    if (!json_is_number(value)) return refuse_value(r, QRT_ETYPE, name, wanted, value);
    *out = json_number_value(value);
    return *out >= low && *out <= high ? QRT_OK : refuse_value(r, QRT_ERANGE, name, wanted, value);
}

static qrt_status read_integer(const struct reading *r, const char *name, const json_t *value, int64_t low,
                               int64_t high, int64_t *out) {
    char wanted[96];
    snprintf(wanted, sizeof wanted, "a whole number between %lld and %lld", (long long)low, (long long)high);
    if (!json_is_integer(value)) return refuse_value(r, QRT_ETYPE, name, wanted, value);
    *out = json_integer_value(value);
    return *out >= low && *out <= high ? QRT_OK : refuse_value(r, QRT_ERANGE, name, wanted, value);
}

static qrt_status read_bool(const struct reading *r, const char *name, const json_t *value, bool *out) {
    if (!json_is_boolean(value)) return refuse_value(r, QRT_ETYPE, name, "true or false", value);
    *out = json_is_true(value);
    return QRT_OK;
}

/* The index of a word in a list. */
static qrt_status read_word(const struct reading *r, const char *name, const json_t *value, const char *const *words,
                            size_t count, uint8_t *index) {
    if (!json_is_string(value)) return refuse_value(r, QRT_ETYPE, name, "a word", value);
    const char *word = json_string_value(value);
    for (size_t i = 0; i < count; i++)
        if (!strcmp(word, words[i])) return *index = (uint8_t)i, QRT_OK;
    char what[32];
    snprintf(what, sizeof what, "'%s'", name);
    return refuse_word(r, what, word, words, count);
}

static qrt_status read_id(const struct reading *r, const char *name, const json_t *value, uint16_t *out) {
    int64_t id = 0;
    qrt_status status = read_integer(r, name, value, 1, r->nodes, &id);
    if (!status) *out = (uint16_t)id;
    return status;
}

static qrt_status read_pair(const struct reading *r, const char *name, const json_t *value, const char *wanted) {
    if (json_is_array(value) && json_array_size(value) == 2) return QRT_OK;
    return refuse_value(r, QRT_ETYPE, name, wanted, value);
}

/* {"uniform": [a, b]} and its like; a plain duration is left to the caller. */
static qrt_status read_distribution(const struct reading *r, const char *name, const json_t *value,
                                    struct distribution *d) {
    static const char *const kinds[] = {"constant", "uniform", "normal", "exponential", "pareto"};
    if (json_object_size(value) != 1)
        return refuse_value(r, QRT_ETYPE, name, "a duration or one distribution, as {\"uniform\": [0.01, 0.02]}",
                            value);
    const char *key = json_object_iter_key(json_object_iter((json_t *)(uintptr_t)value));
    const json_t *of = json_object_get(value, key);
    *d = (struct distribution){0};
    for (uint8_t i = 0; i < 5; i++)
        if (!strcmp(key, kinds[i])) d->kind = (uint8_t)(i + 1);
    if (!d->kind) return refuse_word(r, "distribution", key, kinds, 5);
    if (d->kind == DIST_CONSTANT || d->kind == DIST_EXPONENTIAL) return read_time(r, key, of, 0, DELAY_MAX_NS, &d->a);
    qrt_status status = read_pair(r, key, of, "a list of two");
    if (!status) status = read_time(r, key, json_array_get(of, 0), 0, DELAY_MAX_NS, &d->a);
    if (status) return status;
    const json_t *second = json_array_get(of, 1);
    if (d->kind == DIST_PARETO) return read_real(r, "shape of the Pareto distribution", second, 0.01, 1000, &d->shape);
    return read_time(r, key, second, d->kind == DIST_UNIFORM ? d->a : 0, DELAY_MAX_NS, &d->b);
}

/* Which verbs a field belongs to. */

#define VERB(v) (1u << (v))
#define ALL (VERB(FAULT_VERB_MAX + 1) - 2)
#define NODES (VERB(FAULT_CRASH) | VERB(FAULT_RESTART) | VERB(FAULT_PAUSE) | VERB(FAULT_RESUME))
#define DISKS (VERB(FAULT_FILL) | VERB(FAULT_FREE))
#define CLOCKS (VERB(FAULT_SKEW) | VERB(FAULT_SLOW))
#define CHANCES (VERB(FAULT_LOSS) | VERB(FAULT_REORDER) | VERB(FAULT_DUPLICATE) | VERB(FAULT_CORRUPT) | VERB(FAULT_LIE))
#define LINKS (CHANCES | VERB(FAULT_DELAY) | VERB(FAULT_BANDWIDTH))
#define UNDOES (VERB(FAULT_RESTART) | VERB(FAULT_RESUME) | VERB(FAULT_HEAL) | VERB(FAULT_FREE))

/* Readers of fields. */

static qrt_status read_node(const struct reading *r, const json_t *value, struct directive *d) {
    if (json_is_string(value)) {
        if (d->verb == FAULT_PARTITION) return refuse_value(r, QRT_ETYPE, "node", "a node's number", value);
        uint8_t index;
        qrt_status status = read_word(r, "node", value, fault_target_words + 1, FAULT_TARGET_MAX - 1, &index);
        if (status) return status;
        d->target = (uint8_t)(FAULT_LEADER + index);
        bool stands = VERB(d->verb) & (CLOCKS | DISKS);
        if (stands && (d->target == FAULT_LEADER || d->target == FAULT_FOLLOWER))
            return refuse_value(r, QRT_ERANGE, "node", "a number, random, all, majority or minority", value);
        return QRT_OK;
    }
    if (!json_is_integer(value)) {
        return refuse_value(r, QRT_ETYPE, "node", "a number, or leader, follower, random, all, majority or minority",
                            value);
    }
    if (d->verb != FAULT_PARTITION) d->target = FAULT_NODE;
    return read_id(r, "node", value, &d->node);
}

static qrt_status read_disk(const struct reading *r, const json_t *value, struct directive *d) {
    return read_word(r, "disk", value, fault_disk_words, FAULT_DISK_MAX + 1, &d->disk);
}

static qrt_status read_effect(const struct reading *r, const json_t *value, struct directive *d) {
    int64_t effect = -1;
    qrt_status status = read_integer(r, "effect", value, -1, EFFECT_MAX, &effect);
    if (!status) d->effect = (int32_t)effect;
    return status;
}

static qrt_status read_guarded(const struct reading *r, const json_t *value, struct directive *d) {
    return read_bool(r, "guarded", value, &d->guarded);
}

static qrt_status read_group(const struct reading *r, const json_t *group, uint8_t number, struct directive *d) {
    if (!json_is_array(group) || json_array_size(group) == 0)
        return refuse_value(r, QRT_ETYPE, "groups", "a list of lists of node numbers, none empty", group);
    for (size_t i = 0; i < json_array_size(group); i++) {
        uint16_t id;
        qrt_status status = read_id(r, "groups", json_array_get(group, i), &id);
        if (status) return status;
        if (d->group_of[id])
            return refuse(r, QRT_EINVAL, "'groups' must not share nodes, but node %u is there twice", (unsigned)id);
        d->group_of[id] = number;
    }
    return QRT_OK;
}

static qrt_status read_groups(const struct reading *r, const json_t *value, struct directive *d) {
    size_t count = json_array_size(value);
    if (!json_is_array(value) || count == 0)
        return refuse_value(r, QRT_ETYPE, "groups", "a list of lists of node numbers", value);
    if (count > FAULT_GROUPS_MAX)
        return refuse(r, QRT_ERANGE, "'groups' holds at most %d groups, not %zu", FAULT_GROUPS_MAX, count);
    d->group_count = (uint8_t)count;
    qrt_status status = QRT_OK;
    for (uint8_t g = 0; g < count && !status; g++)
        status = read_group(r, json_array_get(value, g), (uint8_t)(g + 1), d);
    return status;
}

static qrt_status read_shape(const struct reading *r, const json_t *value, struct directive *d) {
    uint8_t index;
    qrt_status status = read_word(r, "shape", value, fault_shape_words + 1, FAULT_SHAPE_MAX, &index);
    if (!status) d->shape = (uint8_t)(FAULT_HALVES + index);
    return status;
}

static qrt_status read_one_way(const struct reading *r, const json_t *value, struct directive *d) {
    return read_bool(r, "one_way", value, &d->one_way);
}

static qrt_status read_end(const struct reading *r, const char *name, const json_t *value, uint16_t *out) {
    static const char wanted[] = "a node's number, \"any\", or a client as \"c3\"";
    if (json_is_integer(value)) return read_id(r, name, value, out);
    const char *text = json_is_string(value) ? json_string_value(value) : "";
    if (!strcmp(text, "any")) return *out = 0, QRT_OK;
    char *end = NULL;
    long client = text[0] == 'c' && text[1] >= '1' && text[1] <= '9' ? strtol(text + 1, &end, 10) : 0;
    if (client < 1 || *end) return refuse_value(r, QRT_ETYPE, name, wanted, value);
    if (client >= QRT_CLIENT) return refuse_value(r, QRT_ERANGE, name, "a client up to \"c32767\"", value);
    *out = (uint16_t)(QRT_CLIENT + client);
    return QRT_OK;
}

static qrt_status read_from(const struct reading *r, const json_t *value, struct directive *d) {
    qrt_status status = read_end(r, "from", value, &d->from);
    bool node = d->from && d->from <= QRT_CLIENT;
    if (status || d->verb != FAULT_LIE || node) return status;
    return refuse_value(r, QRT_ERANGE, "from", "the number of the node that lies", value);
}

static qrt_status read_to(const struct reading *r, const json_t *value, struct directive *d) {
    return read_end(r, "to", value, &d->to);
}

static qrt_status read_both(const struct reading *r, const json_t *value, struct directive *d) {
    return read_bool(r, "both", value, &d->both);
}

static qrt_status read_probability(const struct reading *r, const json_t *value, struct directive *d) {
    return read_real(r, "probability", value, 0, 1, &d->probability);
}

static qrt_status read_delay(const struct reading *r, const json_t *value, struct directive *d) {
    if (json_is_object(value)) {
        if (d->verb == FAULT_SLOW) return refuse_value(r, QRT_ETYPE, "delay", "a duration", value);
        return read_distribution(r, "delay", value, &d->delay);
    }
    d->delay.kind = DIST_CONSTANT;
    return read_time(r, "delay", value, 0, DELAY_MAX_NS, &d->delay.a);
}

static qrt_status read_spread(const struct reading *r, const json_t *value, struct directive *d) {
    if (json_is_object(value)) return read_distribution(r, "spread", value, &d->delay);
    d->delay = (struct distribution){.kind = DIST_UNIFORM};
    return read_time(r, "spread", value, 0, DELAY_MAX_NS, &d->delay.b);
}

static qrt_status read_offset(const struct reading *r, const json_t *value, struct directive *d) {
    return read_time(r, "offset", value, -FAULT_TIME_MAX_NS, FAULT_TIME_MAX_NS, &d->offset_ns);
}

static qrt_status read_drift(const struct reading *r, const json_t *value, struct directive *d) {
    return read_real(r, "drift", value, -DRIFT_MAX, DRIFT_MAX, &d->drift_ppm);
}

static qrt_status read_rate(const struct reading *r, const json_t *value, struct directive *d) {
    return read_integer(r, "rate", value, 1, RATE_MAX, &d->rate);
}

static qrt_status read_ident(const struct reading *r, const json_t *value, struct directive *d) {
    int64_t id = 0;
    qrt_status status = read_integer(r, "id", value, 1, ID_MAX, &id);
    if (!status) d->id = (uint32_t)id;
    return status;
}

static qrt_status read_at(const struct reading *r, const json_t *value, struct directive *d) {
    d->timing = FAULT_AT;
    return read_time(r, "at", value, 0, FAULT_TIME_MAX_NS, &d->at);
}

static qrt_status read_after(const struct reading *r, const json_t *value, struct directive *d) {
    d->timing = FAULT_AFTER;
    return read_time(r, "after", value, 0, FAULT_TIME_MAX_NS, &d->at);
}

static qrt_status read_every(const struct reading *r, const json_t *value, struct directive *d) {
    d->timing = FAULT_EVERY;
    qrt_status status = read_time(r, "every", value, PERIOD_MIN_NS, FAULT_TIME_MAX_NS, &d->period);
    d->at = d->period;
    d->until = INT64_MAX;
    return status;
}

static qrt_status read_start(const struct reading *r, const json_t *value, struct directive *d) {
    return read_time(r, "start", value, 0, FAULT_TIME_MAX_NS, &d->at);
}

static qrt_status read_until(const struct reading *r, const json_t *value, struct directive *d) {
    return read_time(r, "until", value, 0, FAULT_TIME_MAX_NS, &d->until);
}

static qrt_status read_during(const struct reading *r, const json_t *value, struct directive *d) {
    d->timing = FAULT_DURING;
    qrt_status status = read_pair(r, "during", value, "a list of two times");
    if (!status) status = read_time(r, "during", json_array_get(value, 0), 0, FAULT_TIME_MAX_NS, &d->at);
    if (!status) status = read_time(r, "during", json_array_get(value, 1), 0, FAULT_TIME_MAX_NS, &d->until);
    if (!status && d->until <= d->at)
        return refuse_value(r, QRT_ERANGE, "during", "two times, the earlier first", value);
    return status;
}

static qrt_status read_for(const struct reading *r, const json_t *value, struct directive *d) {
    return read_time(r, "for", value, 1, FAULT_TIME_MAX_NS, &d->hold);
}

/* The table. */

struct field {
    const char *name;
    uint32_t verbs;    /* that it belongs to */
    uint32_t required; /* by these */
    qrt_status (*read)(const struct reading *r, const json_t *value, struct directive *d);
};

/* In the order in which they are read: what others lean on comes first. */
static const struct field fields[] = {
    {"do", ALL, 0, NULL},
    {"id", ALL, 0, read_ident},
    {"at", ALL, 0, read_at},
    {"after", ALL, 0, read_after},
    {"every", ALL, 0, read_every},
    {"start", ALL, 0, read_start},
    {"until", ALL, 0, read_until},
    {"during", ALL & ~UNDOES, 0, read_during},
    {"for", ALL & ~UNDOES, 0, read_for},
    {"node", NODES | CLOCKS | DISKS | VERB(FAULT_PARTITION), NODES | CLOCKS | DISKS, read_node},
    {"disk", VERB(FAULT_CRASH), 0, read_disk},
    {"effect", VERB(FAULT_CRASH), 0, read_effect},
    {"guarded", VERB(FAULT_CRASH), 0, read_guarded},
    {"groups", VERB(FAULT_PARTITION), 0, read_groups},
    {"shape", VERB(FAULT_PARTITION), 0, read_shape},
    {"one_way", VERB(FAULT_PARTITION), 0, read_one_way},
    {"from", LINKS, VERB(FAULT_LIE), read_from},
    {"to", LINKS, 0, read_to},
    {"both", LINKS & ~VERB(FAULT_LIE), 0, read_both},
    {"probability", CHANCES, CHANCES, read_probability},
    {"delay", VERB(FAULT_DELAY) | VERB(FAULT_SLOW), VERB(FAULT_DELAY) | VERB(FAULT_SLOW), read_delay},
    {"spread", VERB(FAULT_REORDER) | VERB(FAULT_DUPLICATE), 0, read_spread},
    {"rate", VERB(FAULT_BANDWIDTH), VERB(FAULT_BANDWIDTH), read_rate},
    {"offset", VERB(FAULT_SKEW), 0, read_offset},
    {"drift", VERB(FAULT_SKEW), 0, read_drift},
};
#define FIELD_COUNT (sizeof fields / sizeof fields[0])

static const struct field *field_find(const char *name) {
    for (size_t i = 0; i < FIELD_COUNT; i++)
        if (!strcmp(fields[i].name, name)) return &fields[i];
    return NULL;
}

/* Reading a directive. */

static qrt_status read_verb(const struct reading *r, const json_t *object, struct directive *d) {
    const json_t *value = json_object_get(object, "do");
    if (!value) return refuse(r, QRT_EINVAL, "it has no 'do', which says what happens");
    if (!json_is_string(value)) return refuse_value(r, QRT_ETYPE, "do", "a verb", value);
    const char *word = json_string_value(value);
    for (uint8_t i = 0; i < FAULT_VERB_MAX; i++)
        if (!strcmp(word, fault_verb_words[i])) return d->verb = (uint8_t)(i + 1), QRT_OK;
    return refuse_word(r, "verb", word, fault_verb_words, FAULT_VERB_MAX);
}

/* Every field is known, and belongs to the verb. */
static qrt_status check_names(const struct reading *r, json_t *object, const struct directive *d) {
    const char *known[FIELD_COUNT], *name;
    size_t count = 0;
    json_t *value;
    for (size_t i = 0; i < FIELD_COUNT; i++)
        if (fields[i].verbs & VERB(d->verb)) known[count++] = fields[i].name;
    json_object_foreach(object, name, value) {
        const struct field *field = field_find(name);
        if (field && field->verbs & VERB(d->verb)) continue;
        if (field) return refuse(r, QRT_EINVAL, "'%s' has no field '%s'", fault_verb_name(d->verb), name);
        const char *nearest = option_nearest(name, known, count);
        char cut[64];
        word_text(name, cut);
        if (nearest) return refuse(r, QRT_EOPTION, "field '%s' is not known; did you mean '%s'?", cut, nearest);
        return refuse(r, QRT_EOPTION, "field '%s' is not known", cut);
    }
    return QRT_OK;
}

static qrt_status check_timing(const struct reading *r, const json_t *object, struct directive *d, bool now) {
    static const char *const words[] = {"at", "after", "every", "during"};
    const char *found = NULL;
    for (size_t i = 0; i < 4; i++) {
        if (!json_object_get(object, words[i])) continue;
        if (found) return refuse(r, QRT_EINVAL, "it has both '%s' and '%s'", found, words[i]);
        found = words[i];
    }
    if (!found && !now) return refuse(r, QRT_EINVAL, "it has no time: 'at', 'after', 'every' or 'during'");
    if (!found) d->timing = FAULT_AT;
    bool every = d->timing == FAULT_EVERY;
    if (!every && json_object_get(object, "start")) return refuse(r, QRT_EINVAL, "'start' belongs to 'every'");
    if (!every && json_object_get(object, "until"))
        return refuse(r, QRT_EINVAL, "'until' belongs to 'every'; use 'during' or 'for'");
    if (every && d->until < d->at) return refuse(r, QRT_ERANGE, "'until' is before the first time");
    if (d->timing == FAULT_DURING && d->hold) return refuse(r, QRT_EINVAL, "it has both 'during' and 'for'");
    if (every && d->hold >= d->period) return refuse(r, QRT_ERANGE, "'for' must be shorter than 'every'");
    return QRT_OK;
}

static qrt_status check_fields(const struct reading *r, const json_t *object, const struct directive *d) {
    for (size_t i = 0; i < FIELD_COUNT; i++)
        if (fields[i].required & VERB(d->verb) && !json_object_get(object, fields[i].name))
            return refuse(r, QRT_EINVAL, "'%s' needs '%s'", fault_verb_name(d->verb), fields[i].name);
    if (d->verb == FAULT_SKEW && !json_object_get(object, "offset") && !json_object_get(object, "drift"))
        return refuse(r, QRT_EINVAL, "'skew' needs 'offset' or 'drift'");
    if (d->verb != FAULT_PARTITION) return QRT_OK;
    if (d->group_count && d->shape) return refuse(r, QRT_EINVAL, "it has both 'groups' and 'shape'");
    if (!d->group_count && !d->shape) return refuse(r, QRT_EINVAL, "'partition' needs 'groups' or 'shape'");
    if (d->node && d->shape != FAULT_ONE && d->shape != FAULT_BRIDGE)
        return refuse(r, QRT_EINVAL, "'node' belongs to the shapes 'one' and 'bridge'");
    return QRT_OK;
}

static void directive_defaults(struct directive *d) {
    d->effect = -1;
    if (d->verb == FAULT_CRASH) d->disk = QRT_DISK_UNSYNCED_LOST;
    if (d->verb == FAULT_REORDER || d->verb == FAULT_DUPLICATE)
        d->delay = (struct distribution){.kind = DIST_UNIFORM, .b = SPREAD_NS};
}

static qrt_status directive_read(const struct reading *r, json_t *object, bool now, struct directive *d) {
    memset(d, 0, sizeof *d);
    if (!json_is_object(object)) return refuse(r, QRT_ETYPE, "it must be an object: {\"at\": 1.5, \"do\": \"heal\"}");
    qrt_status status = read_verb(r, object, d);
    if (!status) status = check_names(r, object, d);
    directive_defaults(d);
    for (size_t i = 0; i < FIELD_COUNT && !status; i++) {
        const json_t *value = json_object_get(object, fields[i].name);
        if (value && fields[i].read) status = fields[i].read(r, value, d);
    }
    if (!status) status = check_fields(r, object, d);
    if (!status) status = check_timing(r, object, d, now);
    return status;
}

/* Reading a plan. */

static json_t *json_read(struct bytes json, struct error *e) {
    json_error_t error;
    json_t *root = json_loadb(json.size ? (const char *)json.data : "", json.size, JSON_REJECT_DUPLICATES, &error);
    if (!root) error_set(e, QRT_EPARSE, "line %d, column %d: %s", error.line, error.column, error.text);
    return root;
}

static int id_order(const void *a, const void *b) {
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return (x > y) - (x < y);
}

/* Two directives of one id would share their random choices. */
static qrt_status check_ids(const struct plan *p, struct error *e) {
    uint32_t *ids = mem_alloc(p->count * sizeof *ids);
    for (size_t i = 0; i < p->count; i++) ids[i] = p->directives[i].id;
    qsort(ids, p->count, sizeof *ids, id_order);
    qrt_status status = QRT_OK;
    for (size_t i = 1; i < p->count && !status; i++)
        if (ids[i] == ids[i - 1]) status = error_set(e, QRT_EINVAL, "two directives have the id %u", (unsigned)ids[i]);
    free(ids);
    return status;
}

/* The list of directives of a plan, which may also stand alone. */
static qrt_status plan_list(json_t *root, json_t **list, struct error *e) {
    *list = json_is_object(root) ? json_object_get(root, "directives") : root;
    const char *name;
    json_t *value;
    static const char *const known[] = {"directives"};
    if (json_is_object(root)) json_object_foreach(root, name, value) {
            if (!strcmp(name, known[0])) continue;
            char cut[64];
            return error_set(e, QRT_EOPTION, "the plan has no field '%s'%s", word_text(name, cut),
                             option_nearest(name, known, 1) ? "; did you mean 'directives'?" : "");
        }
    if (!json_is_array(*list)) return error_set(e, QRT_ETYPE, "a plan is {\"directives\": [...]}, a list of objects");
    if (json_array_size(*list) > FAULT_DIRECTIVES_MAX)
        return error_set(e, QRT_ERANGE, "a plan holds at most %d directives, not %zu", FAULT_DIRECTIVES_MAX,
                         json_array_size(*list));
    return QRT_OK;
}

qrt_status plan_parse(struct plan *p, struct bytes json, uint16_t nodes, struct error *e) {
    *p = (struct plan){0};
    json_t *root = json_read(json, e), *list;
    if (!root) return QRT_EPARSE;
    struct reading r = {e, 0, nodes && nodes < FAULT_NODES_MAX ? nodes : FAULT_NODES_MAX};
    qrt_status status = plan_list(root, &list, e);
    for (size_t i = 0; !status && i < json_array_size(list); i++) {
        struct directive d;
        r.number = i + 1;
        status = directive_read(&r, json_array_get(list, i), false, &d);
        if (!status) plan_add(p, &d);
    }
    if (!status) status = check_ids(p, e);
    if (status) plan_free(p);
    json_decref(root);
    return status;
}

qrt_status directive_parse(struct directive *d, struct bytes json, uint16_t nodes, struct error *e) {
    memset(d, 0, sizeof *d);
    json_t *root = json_read(json, e);
    if (!root) return QRT_EPARSE;
    struct reading r = {e, 0, nodes && nodes < FAULT_NODES_MAX ? nodes : FAULT_NODES_MAX};
    qrt_status status = directive_read(&r, root, true, d);
    json_decref(root);
    return status;
}

/* Writing. */

static void print_time(struct buffer *out, int64_t ns) {
    if (ns <= -DECIMAL_EXACT_NS || ns >= DECIMAL_EXACT_NS) {
        buffer_printf(out, "\"%lldns\"", (long long)ns);
        return;
    }
    long long size = ns < 0 ? -ns : ns, whole = size / 1000000000, part = size % 1000000000;
    buffer_printf(out, "%s%lld", ns < 0 ? "-" : "", whole);
    if (!part) return;
    int digits = 9;
    for (; part % 10 == 0; part /= 10) digits--;
    buffer_printf(out, ".%0*lld", digits, part);
}

/* The fewest digits that read back to the same double; a comma of the locale becomes the point of JSON. */
static void print_real(struct buffer *out, double v) {
    char text[40] = "";
    for (int digits = 6; digits <= 17; digits++) {
        snprintf(text, sizeof text, "%.*g", digits, v);
        if (strtod(text, NULL) == v) break;
    }
    char *comma = strchr(text, ',');
    if (comma) *comma = '.';
    buffer_printf(out, "%s", text);
}

static void print_field_time(struct buffer *out, const char *name, int64_t ns) {
    buffer_printf(out, ", \"%s\": ", name);
    print_time(out, ns);
}

static void print_distribution(struct buffer *out, const struct distribution *d) {
    static const char *const kinds[] = {"constant", "constant", "uniform", "normal", "exponential", "pareto"};
    bool pair = d->kind == DIST_UNIFORM || d->kind == DIST_NORMAL || d->kind == DIST_PARETO;
    buffer_printf(out, "{\"%s\": %s", kinds[d->kind <= DIST_PARETO ? d->kind : 0], pair ? "[" : "");
    print_time(out, d->a);
    if (pair) buffer_printf(out, ", ");
    if (d->kind == DIST_PARETO)
        print_real(out, d->shape);
    else if (pair)
        print_time(out, d->b);
    buffer_printf(out, pair ? "]}" : "}");
}

static void print_timing(struct buffer *out, const struct directive *d) {
    buffer_printf(out, "{\"id\": %u", (unsigned)d->id);
    if (d->timing == FAULT_EVERY) {
        print_field_time(out, "every", d->period);
        if (d->at != d->period) print_field_time(out, "start", d->at);
        if (d->until != INT64_MAX) print_field_time(out, "until", d->until);
    } else if (d->timing == FAULT_DURING) {
        buffer_printf(out, ", \"during\": [");
        print_time(out, d->at);
        buffer_printf(out, ", ");
        print_time(out, d->until);
        buffer_printf(out, "]");
    } else {
        print_field_time(out, d->timing == FAULT_AFTER ? "after" : "at", d->at);
    }
    if (d->hold) print_field_time(out, "for", d->hold);
    buffer_printf(out, ", \"do\": \"%s\"", fault_verb_name(d->verb));
}

static void print_node(struct buffer *out, const struct directive *d) {
    if (d->node)
        buffer_printf(out, ", \"node\": %u", (unsigned)d->node);
    else if (d->target > FAULT_NODE && d->target <= FAULT_TARGET_MAX)
        buffer_printf(out, ", \"node\": \"%s\"", fault_target_words[d->target - 1]);
}

static void print_groups(struct buffer *out, const struct directive *d) {
    buffer_printf(out, ", \"groups\": [");
    for (unsigned g = 1; g <= d->group_count; g++) {
        const char *separator = g == 1 ? "[" : ", [";
        for (unsigned id = 1; id <= FAULT_NODES_MAX; id++) {
            if (d->group_of[id] != g) continue;
            buffer_printf(out, "%s%u", separator, id);
            separator = ", ";
        }
        buffer_printf(out, "]");
    }
    buffer_printf(out, "]");
}

static void print_end(struct buffer *out, const char *name, uint16_t id) {
    if (id > QRT_CLIENT)
        buffer_printf(out, ", \"%s\": \"c%u\"", name, (unsigned)(id - QRT_CLIENT));
    else if (id)
        buffer_printf(out, ", \"%s\": %u", name, (unsigned)id);
}

static void print_flag(struct buffer *out, const char *name, bool flag) {
    if (flag) buffer_printf(out, ", \"%s\": true", name);
}

static void print_link(struct buffer *out, const struct directive *d) {
    print_end(out, "from", d->from);
    print_end(out, "to", d->to);
    print_flag(out, "both", d->both);
    if (d->verb == FAULT_BANDWIDTH) {
        buffer_printf(out, ", \"rate\": %lld", (long long)d->rate);
        return;
    }
    if (d->verb != FAULT_DELAY) {
        buffer_printf(out, ", \"probability\": ");
        print_real(out, d->probability);
    }
    if (d->verb == FAULT_LOSS || d->verb == FAULT_CORRUPT || d->verb == FAULT_LIE) return;
    buffer_printf(out, ", \"%s\": ", d->verb == FAULT_DELAY ? "delay" : "spread");
    if (d->verb == FAULT_DELAY && d->delay.kind == DIST_CONSTANT)
        print_time(out, d->delay.a);
    else if (d->verb != FAULT_DELAY && d->delay.kind == DIST_UNIFORM && !d->delay.a)
        print_time(out, d->delay.b);
    else
        print_distribution(out, &d->delay);
}

static void print_crash(struct buffer *out, const struct directive *d) {
    if (d->disk <= FAULT_DISK_MAX) buffer_printf(out, ", \"disk\": \"%s\"", fault_disk_words[d->disk]);
    if (d->effect >= 0) buffer_printf(out, ", \"effect\": %d", (int)d->effect);
    print_flag(out, "guarded", d->guarded);
}

static void print_partition(struct buffer *out, const struct directive *d) {
    if (d->shape == FAULT_GROUPS)
        print_groups(out, d);
    else if (d->shape <= FAULT_SHAPE_MAX)
        buffer_printf(out, ", \"shape\": \"%s\"", fault_shape_words[d->shape]);
    print_node(out, d);
    print_flag(out, "one_way", d->one_way);
}

static void print_skew(struct buffer *out, const struct directive *d) {
    print_node(out, d);
    print_field_time(out, "offset", d->offset_ns);
    buffer_printf(out, ", \"drift\": ");
    print_real(out, d->drift_ppm);
}

static void print_directive(struct buffer *out, const struct directive *d) {
    print_timing(out, d);
    uint32_t verb = VERB(d->verb < 32 ? d->verb : 0);
    if (verb & (NODES | DISKS)) print_node(out, d);
    if (d->verb == FAULT_CRASH) print_crash(out, d);
    if (d->verb == FAULT_PARTITION) print_partition(out, d);
    if (verb & LINKS) print_link(out, d);
    if (d->verb == FAULT_SKEW) print_skew(out, d);
    if (d->verb == FAULT_SLOW) {
        print_node(out, d);
        print_field_time(out, "delay", d->delay.a);
    }
    buffer_printf(out, "}");
}

void plan_print(const struct plan *p, struct buffer *out) {
    buffer_printf(out, "{\"directives\": [");
    for (size_t i = 0; i < p->count; i++) {
        buffer_printf(out, i ? ",\n  " : "\n  ");
        print_directive(out, &p->directives[i]);
    }
    buffer_printf(out, p->count ? "\n]}\n" : "]}\n");
}

#undef VERB
#undef ALL
#undef NODES
#undef CLOCKS
#undef DISKS
#undef CHANCES
#undef LINKS
#undef UNDOES
