/* Histories from arbitrary bytes, in any of their formats: refused with a place and a reason, or read and then written as
 * JSON and read back to exactly the same. */
#include <string.h>

#include "base/check.h"
#include "trace/history.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct history h, again;
    struct error e = {0};
    if (size > 65536) return 0;
    history_init(&h);
    if (history_parse(&h, bytes_of(data, size), &e)) {
        CHECK(e.text[0] && h.count == 0);
        history_free(&h);
        return 0;
    }
    struct buffer once = {0}, twice = {0};
    history_print_json(&h, &once);
    history_init(&again);
    CHECK(history_parse(&again, bytes_of(once.data, once.size), &e) == QRT_OK);
    history_print_json(&again, &twice);
    CHECK(again.count == h.count && once.size == twice.size && memcmp(once.data, twice.data, once.size) == 0);
    history_free(&h);
    history_free(&again);
    buffer_free(&once);
    buffer_free(&twice);
    return 0;
}
