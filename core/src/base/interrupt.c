#include "base/interrupt.h"

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stddef.h>

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static unsigned watchers;
static bool installed;
static struct sigaction before;
static atomic_bool seen;

static void on_interrupt(int number, siginfo_t *info, void *context) {
    atomic_store(&seen, true);
    if (before.sa_flags & SA_SIGINFO)
        before.sa_sigaction(number, info, context);
    else
        before.sa_handler(number);
}

static bool is_handled(const struct sigaction *a) {
    return a->sa_flags & SA_SIGINFO || (a->sa_handler != SIG_DFL && a->sa_handler != SIG_IGN);
}

void interrupt_watch(void) {
    pthread_mutex_lock(&mutex);
    if (watchers++ == 0) {
        atomic_store(&seen, false);
        struct sigaction ours;
        if (!sigaction(SIGINT, NULL, &before) && is_handled(&before)) {
            ours = before;
            ours.sa_flags |= SA_SIGINFO;
            ours.sa_sigaction = on_interrupt;
            installed = !sigaction(SIGINT, &ours, NULL);
        }
    }
    pthread_mutex_unlock(&mutex);
}

/* A handler that has put another one in its place (Lua's does) has its way. */
void interrupt_leave(void) {
    struct sigaction now;
    pthread_mutex_lock(&mutex);
    if (--watchers == 0 && installed) {
        installed = false;
        bool ours = !sigaction(SIGINT, NULL, &now) && now.sa_flags & SA_SIGINFO && now.sa_sigaction == on_interrupt;
        if (ours) sigaction(SIGINT, &before, NULL);
    }
    pthread_mutex_unlock(&mutex);
}

bool interrupt_seen(void) {
    return atomic_load_explicit(&seen, memory_order_relaxed);
}
