/* The members of a configuration: node ids, ascending. */
#ifndef PROTOCOL_MEMBERS_H
#define PROTOCOL_MEMBERS_H

#include <stdint.h>

/* The place of a node among them, -1 for a stranger. Members are mostly numbered without gaps. count is at least 1. */
static inline int members_slot(const uint16_t *members, uint16_t count, uint16_t node) {
    uint32_t guess = (uint32_t)(node - members[0]);
    if (__builtin_expect(guess < count && members[guess] == node, 1)) return (int)guess;
    for (uint16_t i = 0; i < count; i++)
        if (members[i] == node) return i;
    return -1;
}

#endif
