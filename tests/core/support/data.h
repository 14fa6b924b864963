/* Where the published vectors lie: a folder that is no part of the repository. Tests that read it skip,
 * saying so, where it is absent. */
#ifndef TESTS_SUPPORT_DATA_H
#define TESTS_SUPPORT_DATA_H

/* The path of a file under $QUORATE_DATA, else under ../shared/data beside the source folder or one of the
 * working folder's parents; NULL, with a line on stderr, when there is none. Valid until the next call. */
const char *data_path(const char *relative);

#endif
