/* Campaigns in tests: run one, look at its report. What goes wrong ends the test with the report's own words. */
#ifndef TESTS_SUPPORT_CAMPAIGNS_H
#define TESTS_SUPPORT_CAMPAIGNS_H

#include <jansson.h>

/* With sanitizers a seed takes ten times as long: a hunt through thousands of them is for the build without. */
#if defined __SANITIZE_ADDRESS__
#define CAMPAIGNS_ARE_SLOW 1
#elif defined __has_feature
#if __has_feature(address_sanitizer)
#define CAMPAIGNS_ARE_SLOW 1
#endif
#endif
#ifndef CAMPAIGNS_ARE_SLOW
#define CAMPAIGNS_ARE_SLOW 0
#endif

/* The report of the campaign of that spec (JSON), run to its end; the caller's, for json_decref. */
json_t *campaigns_run(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* Nothing violated, nobody stuck, no error, and every condition met that such a campaign must meet. */
void campaigns_expect_clean(const json_t *report);
/* How many seeds violated that property. */
json_int_t campaigns_hits(const json_t *report, const char *property);

#endif
