/* Frames from arbitrary bytes: refused, or read; and what is read is encoded again to the very same bytes, and described
 * within bounds. The seal is left out, or no input would ever come past it. */
#include <string.h>

#include "base/check.h"
#include "base/memory.h"
#include "wire/wire.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct message m, sealed;
    char line[256];
    if (size > WIRE_FRAME_MAX + 64 || !wire_decode_unsealed(bytes_of(data, size), &m)) return 0;
    CHECK(wire_size(&m) == size);
    uint8_t *again = mem_alloc(size);
    wire_encode(&m, again);
    CHECK(memcmp(again + 8, data + 8, size - 8) == 0);
    wire_seal(again, size, m.id, 1);
    CHECK(wire_decode(bytes_of(again, size), 1, &sealed));
    CHECK(sealed.kind == m.kind && sealed.id == m.id);
    wire_describe(&m, line, sizeof line);
    free(again);
    return 0;
}
