/* ThreadSanitizer starts a program to name functions when it first looks for one in its list of suppressions, and again when that
 * has ended: two pipes among a process's descriptors, which are nobody's of the project. */
#ifndef TESTS_SUPPORT_SYMBOLIZER_H
#define TESTS_SUPPORT_SYMBOLIZER_H

#if defined __has_feature
#if __has_feature(thread_sanitizer)
#define SYMBOLIZER_PIPES 2
#endif
#endif
#ifndef SYMBOLIZER_PIPES
#define SYMBOLIZER_PIPES 0
#endif

#endif
