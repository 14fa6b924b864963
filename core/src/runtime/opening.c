/* See opening.h. A protocol that stands no lost disk has no way to take back what was lost: its node halts, and people decide. */
#include "runtime/opening.h"

#include <string.h>

#include "store/record.h"

static qrt_status say_why_not(const struct protocol *protocol, uint16_t members, struct error *e) {
    struct error said = *e;
    const char *advice = strstr(said.text, "; " STORE_ADVICE);
    int size = advice ? (int)(advice - said.text) : (int)strlen(said.text);
    const char *who = members > 1 ? protocol->name : "a single node";
    const char *why = members > 1 ? "does not stand a lost disk" : "has no peers to take it from";
    return error_set(
        e, QRT_ECORRUPT,
        "%.*s; nothing was changed, and nothing is repaired, as %s %s; put back an undamaged copy of this folder", size,
        said.text, who, why);
}

qrt_status opening_store(struct store **out, struct disk *disk, struct store_identity id,
                         const struct protocol *protocol, uint16_t members, uint8_t *how, struct error *e) {
    bool repairs = members > 1 && protocol->model && protocol->model->crash_wipes, wiped = false, damaged = false;
    struct error own;
    if (!e) e = &own;
    qrt_status status =
        repairs ? store_open_repaired(out, disk, id, &wiped, &damaged, e) : store_open(out, disk, id, false, &wiped, e);
    *how = damaged ? QRT_START_DAMAGED : wiped ? QRT_START_WIPED : QRT_START_RECOVERED;
    return status == QRT_ECORRUPT && !repairs ? say_why_not(protocol, members, e) : status;
}
