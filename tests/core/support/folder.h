/* A folder for one test, on a disk and not in memory; cmocka's set-up and tear-down. */
#ifndef TESTS_SUPPORT_FOLDER_H
#define TESTS_SUPPORT_FOLDER_H

extern char folder[64]; /* its path */

int folder_make(void **state);
int folder_remove(void **state);

#endif
