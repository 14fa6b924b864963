/* Where a cluster of processes has its things: the node program, a private folder, listening sockets; and the janitor, a
 * process that removes the folder when its owner could not.
 *
 * The janitor's end of a pipe reads end-of-file when the owner and every node are gone: the nodes have the other end too.
 * It also wakes when the thread that started it ends, in case a child that the owner forked keeps the pipe open. */
#include <arpa/inet.h>
#include <dirent.h>
#include <dlfcn.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "runtime/live/live_share.h"

#define BACKLOG 128
#define BUFFER (256 << 10) /* what the kernel keeps of a connection; it takes twice as much */
#define LEVELS_UP 4        /* how far above the library its program may lie */
#define SWEEPS 100         /* of 20 ms: nodes that are being killed may still make files */

/* ---- the node program ---- */

static bool runnable(const char *path) {
    struct stat about;
    return stat(path, &about) == 0 && S_ISREG(about.st_mode) && access(path, X_OK) == 0;
}

/* In `folder`, or in a bin/ beside it. */
static bool program_in(char *path, size_t size, const char *folder) {
    snprintf(path, size, "%s/" NODE_PROGRAM, folder);
    if (runnable(path)) return true;
    snprintf(path, size, "%s/bin/" NODE_PROGRAM, folder);
    return runnable(path);
}

qrt_status place_program(char *path, size_t size, struct error *e) {
    const char *named = getenv("QUORATE_NODE");
    char folder[OPTION_TEXT_MAX], place[OPTION_TEXT_MAX];
    Dl_info about;
    if (named && *named) {
        snprintf(path, size, "%s", named);
        if (runnable(path)) return QRT_OK;
        return error_set(e, QRT_ENOTFOUND, "QUORATE_NODE names %s, which is no program that can be run", named);
    }
    char *real = dladdr((void *)(uintptr_t)place_program, &about) ? realpath(about.dli_fname, NULL) : NULL;
    if (!real) real = realpath("/proc/self/exe", NULL);
    snprintf(folder, sizeof folder, "%s", real ? real : "");
    free(real);
    snprintf(place, sizeof place, "%s", folder);
    for (int level = 0; level <= LEVELS_UP; level++) {
        char *slash = strrchr(folder, '/');
        if (!slash) break;
        *slash = 0;
        if (program_in(path, size, folder)) return QRT_OK;
    }
    return error_set(
        e, QRT_ENOTFOUND,
        "the program " NODE_PROGRAM " is not beside the library (%s): build it, or name it in QUORATE_NODE", place);
}

qrt_status hand_program(char *path, size_t size, struct error *e) {
    return place_program(path, size, e);
}

/* ---- folders ---- */

static void remove_in(int parent, const char *name) {
    int fd = openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    DIR *d = fd < 0 ? NULL : fdopendir(fd);
    if (!d && fd >= 0) close(fd);
    for (struct dirent *entry; d && (entry = readdir(d));) {
        if (!strcmp(entry->d_name, ".") || !strcmp(entry->d_name, "..")) continue;
        if (unlinkat(fd, entry->d_name, 0)) remove_in(fd, entry->d_name);
    }
    if (d) closedir(d);
    unlinkat(parent, name, AT_REMOVEDIR);
}

void place_remove(const char *folder) {
    remove_in(AT_FDCWD, folder);
}

#define FOLDER_NAME "/quorate-01234567"
/* What a Unix socket's path leaves for the folder above. */
#define SOCKET_BASE_MAX (sizeof((struct sockaddr_un *)0)->sun_path - sizeof FOLDER_NAME "/n128.socket")

static const char *place_base(bool sockets_only) {
    const char *run = getenv("XDG_RUNTIME_DIR"), *temporary = getenv("TMPDIR");
    if (sockets_only && run && *run == '/' && access(run, W_OK) == 0) return run;
    return temporary && *temporary == '/' ? temporary : "/tmp";
}

/* Sockets of ipc, and the nodes' data where the user has named no folder for it. Its name is drawn before it is made, so that
 * there is a janitor of that name first. */
qrt_status place_folder(struct live *l, struct error *e) {
    struct cluster_options *o = &l->config.options;
    bool data = o->disk == DISK_SIM, sockets = o->transport == TRANSPORT_IPC;
    if (!data && !sockets) return QRT_OK;
    const char *base = place_base(!data);
    size_t most = sockets ? SOCKET_BASE_MAX : sizeof l->folder - sizeof FOLDER_NAME "/data";
    uint32_t drawn = 0;
    if (strlen(base) > most)
        return error_set(e, QRT_ERANGE,
                         "the folder for temporary files has too long a name for %s, of %zu bytes and not at most %zu: "
                         "set TMPDIR to another: %.200s",
                         sockets ? "Unix sockets" : "data", strlen(base), most, base);
    if (getrandom(&drawn, sizeof drawn, 0) != sizeof drawn)
        return error_set(e, QRT_EIO, "no random name for the private folder: %s", strerror(errno));
    text_format(l->folder, sizeof l->folder, "%s/quorate-%08" PRIx32, base, drawn);
    if (!data) return QRT_OK;
    o->disk = DISK_FOLDER; /* a simulated disk would die with its process */
    text_format(o->data, sizeof o->data, "%s/data", l->folder);
    return QRT_OK;
}

qrt_status place_make(struct live *l, struct error *e) {
    if (!*l->folder || !mkdir(l->folder, 0700)) return QRT_OK;
    error_set(e, QRT_EIO, "the private folder %s cannot be made: %s; set TMPDIR to a folder that you may write to",
              l->folder, strerror(errno));
    l->folder[0] = 0; /* whose it is, if it is there, is not ours to remove */
    return e->status;
}

/* ---- sockets ---- */

int place_high(int fd) {
    int high = fd < 0 ? -1 : fcntl(fd, F_DUPFD_CLOEXEC, 10);
    if (fd >= 0) close(fd);
    return high;
}

static int listen_tcp(char *endpoint) {
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof address;
    int fd = place_high(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    if (fd < 0) return -1;
    setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &(int){BUFFER}, sizeof(int)); /* accepted sockets inherit it */
    if (!bind(fd, (struct sockaddr *)&address, size) && !listen(fd, BACKLOG) &&
        !getsockname(fd, (struct sockaddr *)&address, &size)) {
        snprintf(endpoint, ENDPOINT_MAX, "tcp://127.0.0.1:%u", ntohs(address.sin_port));
        return fd;
    }
    close(fd);
    return -1;
}

static int listen_ipc(const char *folder, uint16_t id, char *endpoint) {
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    if ((size_t)snprintf(address.sun_path, sizeof address.sun_path, "%s/n%u.socket", folder, id) >=
        sizeof address.sun_path) {
        errno = ENAMETOOLONG;
        return -1;
    }
    int fd = place_high(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    if (fd < 0) return -1;
    if (!bind(fd, (struct sockaddr *)&address, sizeof address) && !listen(fd, BACKLOG)) {
        snprintf(endpoint, ENDPOINT_MAX, "ipc://%s", address.sun_path);
        return fd;
    }
    close(fd);
    return -1;
}

int place_listen(struct live *l, uint16_t id, struct error *e) {
    char *endpoint = l->gates.endpoints[id];
    int fd = l->config.options.transport == TRANSPORT_TCP ? listen_tcp(endpoint) : listen_ipc(l->folder, id, endpoint);
    if (fd < 0) error_set(e, QRT_EIO, "node %u gets no socket to listen on: %s", id, strerror(errno));
    return fd;
}

/* ---- the janitor ---- */

/* Until the pipe's other ends are closed, or the owner's thread has ended. */
static void wait_for_the_end(int owner) {
    sigset_t all;
    sigfillset(&all);
    sigprocmask(SIG_SETMASK, &all, NULL);
    prctl(PR_SET_PDEATHSIG, SIGUSR1);
    int signals = signalfd(-1, &all, SFD_CLOEXEC);
    struct signalfd_siginfo one;
    struct pollfd waits[] = {{3, POLLIN, 0}, {signals, POLLIN, 0}};
    while (getppid() == owner) {
        if (poll(waits, 2, -1) < 0) continue;
        if (waits[0].revents) return;
        if (waits[1].revents && read(signals, &one, sizeof one) < 0) return;
    }
}

int janitor_main(const char *folder, int owner) {
    wait_for_the_end(owner);
    for (int i = 0; i < SWEEPS && (i == 0 || access(folder, F_OK) == 0); i++) {
        if (i) nanosleep(&(struct timespec){0, 20000000}, NULL);
        place_remove(folder);
    }
    return 0;
}
