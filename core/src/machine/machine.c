/* The registry of the built-in machines. */
#include "machine/machine.h"

#include <string.h>

#include "machine/machines.h"

static const struct machine_class *const MACHINES[] = {&machine_kv, &machine_register, &machine_counter, &machine_lock};

const struct machine_class *machine_at(size_t i) {
    return i < sizeof MACHINES / sizeof *MACHINES ? MACHINES[i] : NULL;
}

const struct machine_class *machine_find(const char *name) {
    for (size_t i = 0; machine_at(i); i++)
        if (strcmp(machine_at(i)->name, name) == 0) return machine_at(i);
    return NULL;
}
