/* A detector's options, birth, copies, fingerprint and saved form. */
#include <stddef.h>
#include <stdlib.h>

#include "base/check.h"
#include "base/hash.h"
#include "detect/detector.h"
#include "detect/phi.h"

/* clang-format off */
#define FIELD(name) offsetof(struct detector_options, name)
#define DURATION(name, field, standard, help) \
    {name, OPTION_DURATION, FIELD(field), 0, 1e6, standard, NULL, help}
#define INTERVAL {"interval", OPTION_DURATION, FIELD(interval_ns), 1e-9, 1e6, "1", NULL, \
    "between two heartbeats"}
#define TIMEOUT  DURATION("timeout", timeout_ns, "0", "silence that is suspected; 0: interval x nodes")
#define NODES    {"nodes", OPTION_INTEGER, FIELD(nodes), 1, 65536, "3", NULL, \
    "nodes, for timeout = interval x nodes"}
#define WINDOW   {"window", OPTION_INTEGER, FIELD(window), 1, WINDOW_MAX, "1000", NULL, \
    "arrivals that are remembered"}
#define PHI      {"threshold", OPTION_REAL, FIELD(threshold), 1e-3, 1e6, "8", NULL, "phi that is suspected"}
#define SHIFT    DURATION("shift", shift_ns, "1", "waited beyond the expected arrival")
#define NUMBER(name, field, standard, help) \
    {name, OPTION_REAL, FIELD(field), -1e300, 1e300, standard, NULL, help}

static const struct option_spec timeout_specs[] = {INTERVAL, TIMEOUT, NODES, {0}};
static const struct option_spec phi_specs[] = {
    PHI, WINDOW,
    {"min_deviation", OPTION_DURATION, FIELD(deviation_min_ns), 1e-9, 1e6, "0.1", NULL,
     "least standard deviation"},
    DURATION("pause", pause_ns, "0", "acceptable pause, added to the mean"),
    {"first_interval", OPTION_DURATION, FIELD(first_ns), 1e-9, 1e5, "1", NULL,
     "the interval expected before any is seen"},
    {"learn_late", OPTION_BOOL, FIELD(learn_late), 0, 1, "false", NULL,
     "learn intervals that ended a suspicion"},
    {0}};
static const struct option_spec exponential_specs[] = {
    INTERVAL, PHI, WINDOW,
    {"max_interval", OPTION_DURATION, FIELD(interval_max_ns), 1e-9, 1e5, "2", NULL,
     "longer intervals are not learnt"},
    DURATION("local_pause", local_pause_ns, "5", "polls farther apart: this node stood still"),
    {0}};
static const struct option_spec nfd_s_specs[] = {
    INTERVAL, SHIFT,
    {"origin", OPTION_DURATION, FIELD(origin_ns), -1e9, 1e9, "0", NULL, "when heartbeat 0 was sent"},
    {0}};
static const struct option_spec nfd_e_specs[] = {INTERVAL, SHIFT, WINDOW, {0}};
static const struct option_spec bertier_specs[] = {
    INTERVAL, WINDOW,
    {"gamma", OPTION_REAL, FIELD(gamma), 0, 1, "0.1", NULL, "weight of the newest error"},
    {"beta", OPTION_REAL, FIELD(beta), 0, 1000, "1", NULL, "share of the mean error in the margin"},
    {"phi", OPTION_REAL, FIELD(phi), 0, 1000, "4", NULL, "share of the mean deviation in the margin"},
    {0}};
static const struct option_spec threshold_specs[] = {
    NUMBER("alpha", alpha, "0", "threshold = alpha x parameter + beta"),
    NUMBER("parameter", parameter, "0", "what alpha multiplies: a number of nodes, a load"),
    NUMBER("beta", offset, "1", "threshold = alpha x parameter + beta"),
    {"hysteresis", OPTION_REAL, FIELD(hysteresis), 0, 1e300, "0", NULL,
     "how far on the other side it must come to lower"},
    {"below", OPTION_BOOL, FIELD(below), 0, 1, "false", NULL, "suspect samples below the threshold"},
    {0}};
static const struct option_spec mixture_specs[] = {
    {"threshold", OPTION_REAL, FIELD(threshold), 0, 1, "0.5", NULL, "failure probability that is suspected"},
    {0}};
#undef FIELD
#undef DURATION
#undef INTERVAL
#undef TIMEOUT
#undef NODES
#undef WINDOW
#undef PHI
#undef SHIFT
#undef NUMBER

const char *const detector_names[DETECTOR_KINDS] = {
    "timeout", "polling", "phi", "phi-exponential", "nfd-s", "nfd-e", "bertier", "threshold", "mixture"};
const struct option_table detector_tables[DETECTOR_KINDS] = {
    {"timeout", timeout_specs},      {"polling", timeout_specs},     {"phi", phi_specs},
    {"phi-exponential", exponential_specs}, {"nfd-s", nfd_s_specs},  {"nfd-e", nfd_e_specs},
    {"bertier", bertier_specs},      {"threshold", threshold_specs}, {"mixture", mixture_specs}};
/* clang-format on */

qrt_status detector_kind_of(const char *name, enum detector_kind *kind, struct error *e) {
    for (int i = 0; i < DETECTOR_KINDS; i++) {
        if (strcmp(detector_names[i], name)) continue;
        *kind = (enum detector_kind)i;
        return QRT_OK;
    }
    const char *nearest = option_nearest(name, detector_names, DETECTOR_KINDS);
    return error_set(e, QRT_ENOTFOUND, "there is no failure detector '%.60s'%s%s%s", name,
                     nearest ? "; did you mean '"
                             : ": there are timeout, polling, phi, phi-exponential, nfd-s, "
                               "nfd-e, bertier, threshold, mixture",
                     nearest ? nearest : "", nearest ? "'?" : "");
}

static bool kind_windowed(enum detector_kind kind) {
    return kind == DETECTOR_PHI || kind == DETECTOR_PHI_EXPONENTIAL || kind == DETECTOR_NFD_E ||
           kind == DETECTOR_BERTIER;
}

static size_t detector_size(const struct detector *d) {
    return sizeof *d + d->window.capacity * sizeof *d->samples;
}

static struct detector *detector_blank(enum detector_kind kind, const struct detector_options *options) {
    size_t capacity = kind_windowed(kind) ? (size_t)options->window : 0;
    struct detector *d = mem_zero(1, sizeof *d + capacity * sizeof *d->samples);
    d->kind = kind;
    d->options = *options;
    d->window.capacity = (uint32_t)capacity;
    d->deadline = d->polled = d->expected = d->base = DETECTOR_NEVER;
    d->excused = INT64_MIN;
    if (kind == DETECTOR_PHI) d->score_at_threshold = phi_normal_inverse(options->threshold);
    return d;
}

/* phi seeds its window with two samples; options that a table cannot judge alone. */
static qrt_status options_validate(enum detector_kind kind, const struct detector_options *options, struct error *e) {
    if (kind == DETECTOR_PHI && options->window < 2)
        return error_set(e, QRT_ERANGE, "a phi detector needs a window of at least 2 intervals, not %lld",
                         (long long)options->window);
    if (kind_windowed(kind) && (options->window < 1 || options->window > WINDOW_MAX))
        return error_set(e, QRT_ERANGE, "a window holds between 1 and %d arrivals, not %lld", WINDOW_MAX,
                         (long long)options->window);
    if (kind == DETECTOR_PHI_EXPONENTIAL && options->interval_max_ns < options->interval_ns)
        return error_set(
            e, QRT_ERANGE,
            "max_interval must not be below interval: with %.6g s and %.6g s no interval would ever be learnt",
            (double)options->interval_max_ns / 1e9, (double)options->interval_ns / 1e9);
    return QRT_OK;
}

qrt_status detector_new(enum detector_kind kind, const struct detector_options *options, const struct mixture *mixture,
                        struct detector **out, struct error *e) {
    qrt_status status = options_validate(kind, options, e);
    if (status) return status;
    if (kind == DETECTOR_MIXTURE && (!mixture || !mixture->fitted))
        return error_set(e, QRT_EINVAL, "a mixture detector needs a fitted mixture");
    *out = detector_blank(kind, options);
    if (kind == DETECTOR_MIXTURE) (*out)->mixture = mixture_clone(mixture);
    return QRT_OK;
}

void detector_free(struct detector **d) {
    if (!d || !*d) return;
    mixture_free(&(*d)->mixture);
    free(*d);
    *d = NULL;
}

struct detector *detector_clone(const struct detector *d) {
    struct detector *copy = mem_copy(d, detector_size(d));
    if (d->mixture) copy->mixture = mixture_clone(d->mixture);
    return copy;
}

/* A time as its distance from now; the two ends of time stay themselves. */
static uint64_t distance(int64_t time, int64_t now) {
    return time == INT64_MAX || time == INT64_MIN ? (uint64_t)time : (uint64_t)time - (uint64_t)now;
}

static uint64_t fold_real(uint64_t hash, double value) {
    uint64_t bits;
    memcpy(&bits, &value, sizeof bits);
    return hash_fold(hash, bits);
}

uint64_t detector_fingerprint(const struct detector *d, int64_t now) {
    uint64_t hash = hash_fold((uint64_t)d->kind, (uint64_t)d->started << 1 | d->raised);
    hash = hash_fold(hash, distance(d->last, d->started ? now : 0));
    hash = hash_fold(hash, distance(d->deadline, now));
    hash = hash_fold(hash, distance(d->polled, now));
    hash = hash_fold(hash, distance(d->excused, now));
    hash = hash_fold(hash, distance(d->expected, now));
    hash = fold_real(fold_real(hash, d->level), d->options.parameter);
    hash = fold_real(fold_real(hash, d->delay), d->variation);
    hash = hash_fold(hash_fold(hash, distance(d->base, now)), (uint64_t)d->sequence);
    const struct window *w = &d->window;
    for (uint32_t i = 0; i < w->count; i++) /* oldest first: where the circle is cut does not matter */
        hash = hash_fold(hash, (uint64_t)d->samples[(w->next + w->capacity - w->count + i) % w->capacity]);
    return d->mixture ? hash_fold(hash, mixture_fingerprint(d->mixture)) : hash;
}

/* --- The saved form: "QDT1", kind, options, scalars, the window oldest first, a checksum --- */

static const char saved_magic[4] = {'Q', 'D', 'T', '1'};

struct saved { /* the scalars; fixed layout, no padding holes: all fields are 8 bytes */
    int64_t kind, started, raised, last, deadline, polled, excused, expected, base, sequence, count;
    double mean, deviation, level, delay, variation;
};

qrt_status detector_save(const struct detector *d, struct buffer *out, struct error *e) {
    if (d->mixture) return error_set(e, QRT_EUNSUPPORTED, "a mixture detector is not saved: save its mixture's arrays");
    const struct window *w = &d->window;
    struct saved s = {d->kind, d->started,  d->raised, d->last, d->deadline,  d->polled, d->excused, d->expected,
                      d->base, d->sequence, w->count,  d->mean, d->deviation, d->level,  d->delay,   d->variation};
    struct detector_options options;
    memset(&options, 0, sizeof options); /* padding must not leak into the bytes */
    memcpy(&options, &d->options, offsetof(struct detector_options, below));
    options.below = d->options.below;
    options.learn_late = d->options.learn_late;
    size_t first = out->size;
    buffer_append(out, saved_magic, sizeof saved_magic);
    buffer_append(out, &s, sizeof s);
    buffer_append(out, &options, sizeof options);
    for (uint32_t i = 0; i < w->count; i++)
        buffer_append(out, &d->samples[(w->next + w->capacity - w->count + i) % w->capacity], sizeof *d->samples);
    uint64_t checksum = hash_bytes(out->data + first, out->size - first, 0);
    buffer_append(out, &checksum, sizeof checksum);
    return QRT_OK;
}

/* Every option within its table's range: bytes from a file are not trusted, checksum or no checksum. */
static bool options_sound(enum detector_kind kind, const struct detector_options *options) {
    for (const struct option_spec *s = detector_tables[kind].specs; s->name; s++) {
        const char *place = (const char *)options + s->offset;
        double value;
        int64_t whole;
        if (s->type == OPTION_BOOL) {
            if (*(const unsigned char *)place > 1) return false;
            continue;
        }
        memcpy(&whole, place, sizeof whole);
        memcpy(&value, place, sizeof value);
        if (s->type != OPTION_REAL) value = s->type == OPTION_DURATION ? (double)whole * 1e-9 : (double)whole;
        if (!(value >= s->low * (s->low > 0 ? 0.999 : 1.001) && value <= s->high * 1.001)) return false;
    }
    return options_validate(kind, options, NULL) == QRT_OK;
}

/* Numbered kinds compute with it from the first arrival on. */
static bool base_sound(const struct saved *s) {
    bool numbered = s->kind == DETECTOR_NFD_S || s->kind == DETECTOR_NFD_E || s->kind == DETECTOR_BERTIER;
    if (!numbered || !s->started) return s->base == DETECTOR_NEVER;
    return s->base >= 2 * DETECTOR_TIME_MIN && s->base <= DETECTOR_TIME_MAX;
}

static bool saved_sound(const struct saved *s) {
    bool flags = (s->started == 0 || s->started == 1) && (s->raised == 0 || s->raised == 1);
    bool finite = s->mean - s->mean == 0 && s->deviation >= 0 && s->deviation < 1e30 && s->level == s->level &&
                  s->delay - s->delay == 0 && s->variation - s->variation == 0;
    bool times = s->last >= DETECTOR_TIME_MIN && s->last <= DETECTOR_TIME_MAX && base_sound(s) &&
                 s->expected >= 4 * DETECTOR_TIME_MIN;
    return flags && finite && times && s->sequence >= 0 && s->sequence <= 1000000000000 && s->count >= 0;
}

static struct detector *scalars_restore(const struct saved *s, const struct detector_options *options) {
    struct detector *d = detector_blank((enum detector_kind)s->kind, options);
    d->started = s->started;
    d->raised = s->raised;
    d->last = s->last;
    d->deadline = s->deadline;
    d->polled = s->polled;
    d->excused = s->excused;
    d->expected = s->expected;
    d->base = s->base;
    d->sequence = s->sequence;
    d->mean = s->mean;
    d->deviation = s->deviation;
    d->level = s->level;
    d->delay = s->delay;
    d->variation = s->variation;
    return d;
}

qrt_status detector_load(struct bytes saved, struct detector **out, struct error *e) {
    struct reader r = reader_of(saved);
    char magic[sizeof saved_magic];
    struct saved s;
    struct detector_options options;
    reader_take(&r, magic, sizeof magic);
    if (r.failed || memcmp(magic, saved_magic, sizeof magic))
        return error_set(e, QRT_ECORRUPT, "these bytes are no saved failure detector");
    reader_take(&r, &s, sizeof s);
    memset(&options, 0, sizeof options);
    bool whole = saved.size > sizeof(uint64_t) && reader_left(&r) >= sizeof options + sizeof(uint64_t);
    uint64_t checksum = 0;
    if (whole) memcpy(&checksum, saved.data + saved.size - sizeof checksum, sizeof checksum);
    if (!whole || checksum != hash_bytes(saved.data, saved.size - sizeof checksum, 0))
        return error_set(e, QRT_ECORRUPT, "the saved failure detector is damaged: its checksum is wrong");
    reader_take(&r, &options, sizeof options);
    bool sound = s.kind >= 0 && s.kind < DETECTOR_MIXTURE && saved_sound(&s) &&
                 options_sound((enum detector_kind)s.kind, &options);
    bool windowed = sound && kind_windowed((enum detector_kind)s.kind);
    sound = sound && s.count <= (windowed ? options.window : 0) && (!windowed || !s.started || s.count > 0) &&
            reader_left(&r) == (size_t)s.count * sizeof(int64_t) + sizeof checksum;
    if (!sound) return error_set(e, QRT_ECORRUPT, "the saved failure detector holds impossible values");
    struct detector *d = scalars_restore(&s, &options);
    for (int64_t i = 0; i < s.count; i++) {
        int64_t sample = read_i64(&r);
        bool interval = s.kind == DETECTOR_PHI || s.kind == DETECTOR_PHI_EXPONENTIAL;
        sound = sound && sample <= (interval ? WINDOW_SAMPLE_MAX : DETECTOR_TIME_MAX) &&
                sample >= (interval ? 0 : -DETECTOR_TIME_MAX);
        if (sound) window_add(&d->window, d->samples, sample);
    }
    if (!sound) {
        detector_free(&d);
        return error_set(e, QRT_ECORRUPT, "the saved failure detector holds an impossible interval");
    }
    *out = d;
    return QRT_OK;
}
