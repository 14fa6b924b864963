/* Run files from arbitrary bytes: refused with a reason, or read and then written and read again to the same text. */
#include <string.h>

#include "base/check.h"
#include "cluster/runner.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static struct run_spec spec, again;
    struct error e = {0};
    if (size > 65536) return 0;
    if (spec_parse(&spec, bytes_of(data, size), &e)) {
        CHECK(e.text[0]);
        return 0;
    }
    struct buffer once = {0}, twice = {0};
    spec_print(&spec, spec.hash, NULL, 0, &once);
    CHECK(spec_parse(&again, bytes_of(once.data, once.size), &e) == QRT_OK);
    spec_print(&again, again.hash, NULL, 0, &twice);
    CHECK(once.size == twice.size && memcmp(once.data, twice.data, once.size) == 0);
    spec_free(&spec);
    spec_free(&again);
    buffer_free(&once);
    buffer_free(&twice);
    return 0;
}
