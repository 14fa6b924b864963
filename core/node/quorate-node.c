/* quorate-node: one node of a live cluster as a process of its own (transport ipc and tcp), or the janitor that removes the
 * private folder of one whose owner was killed. The library starts it; it is of no use by hand.
 *
 *   quorate-node node NUMBER
 *   quorate-node script NUMBER PROGRAM ARGUMENTS...    becomes an interpreter, whose code is the node
 *   quorate-node janitor FOLDER OWNER                  OWNER: process id of the owner
 *   quorate-node echo ENDPOINT                         sends back what comes: the baseline of quorate bench live */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/live/live_share.h"

int main(int argc, char **argv) {
    if (argc == 3 && !strcmp(argv[1], "node")) return agent_main(NULL);
    if (argc >= 4 && !strcmp(argv[1], "script")) return agent_launch(argv + 3);
    if (argc == 4 && !strcmp(argv[1], "janitor")) return janitor_main(argv[2], atoi(argv[3]));
    if (argc == 3 && !strcmp(argv[1], "echo")) return bare_main(argv[2]);
    fprintf(stderr, "quorate-node %s: a live cluster with transport=\"ipc\" or \"tcp\" starts this; see docs/live.md\n",
            qrt_version());
    return 2;
}
