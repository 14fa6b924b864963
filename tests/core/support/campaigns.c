#include "support/campaigns.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "cluster/campaign.h"

json_t *campaigns_run(const char *format, ...) {
    char spec[256];
    struct error e = {0};
    va_list args;
    va_start(args, format);
    assert_true(vsnprintf(spec, sizeof spec, format, args) < (int)sizeof spec);
    va_end(args);
    struct campaign *c = campaign_new(bytes_text(spec), &e);
    if (!c) fail_msg("%s: %s", spec, e.text);
    while (campaign_run(c, 20000000, NULL, NULL) == QRT_MORE) continue;
    json_t *report = json_loads(campaign_report(c), 0, NULL);
    assert_non_null(report);
    campaign_free(c);
    return report;
}

static void expect_none(const json_t *report, const char *list) {
    char *text = json_dumps(json_object_get(report, list), JSON_INDENT(1));
    if (json_array_size(json_object_get(report, list))) fail_msg("%s: %.2000s", list, text);
    free(text);
}

void campaigns_expect_clean(const json_t *report) {
    json_t *sometimes = json_object_get(report, "sometimes"), *seeds;
    const char *name;
    expect_none(report, "violations");
    expect_none(report, "stuck");
    assert_string_equal(json_string_value(json_object_get(report, "error")), "");
    assert_true(json_object_size(sometimes) > 0);
    json_object_foreach(sometimes, name, seeds) if (!json_integer_value(seeds)) fail_msg("'%s' never happened", name);
}

json_int_t campaigns_hits(const json_t *report, const char *property) {
    return json_integer_value(json_object_get(json_object_get(report, "properties"), property));
}
