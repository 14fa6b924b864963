/* CHECK(fact): an assertion that stays on in release. It speaks of our own bugs only; bytes from a peer, a
 * disk, a file or a script are validated and rejected with an error instead. */
#ifndef BASE_CHECK_H
#define BASE_CHECK_H

_Noreturn void check_failed(const char *fact, const char *file, int line);

#define CHECK(fact) (__builtin_expect(!(fact), 0) ? check_failed(#fact, __FILE__, __LINE__) : (void)0)

#endif
