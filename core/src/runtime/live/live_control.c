/* Letters between a node's process and its owner: a fixed head, then data, over a stream socket. Writers wait for room
 * (the owner's keeper always reads); readers take what is there. */
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include "runtime/live/live_share.h"

#define READ_AT_ONCE 65536

static bool parts_send(int fd, struct iovec *parts, size_t count, pid_t wake) {
    struct msghdr m = {.msg_iov = parts, .msg_iovlen = count};
    while (m.msg_iovlen) {
        ssize_t n = sendmsg(fd, &m, MSG_NOSIGNAL);
        if (n < 0 && errno == EAGAIN && wake) kill(wake, SIGCONT); /* stopped, with its queue full */
        if (n < 0 && (errno == EINTR || errno == EAGAIN)) continue;
        if (n < 0) return false;
        size_t left = (size_t)n;
        for (; m.msg_iovlen && left >= m.msg_iov->iov_len; m.msg_iovlen--) left -= m.msg_iov++->iov_len;
        if (!m.msg_iovlen) break;
        m.msg_iov->iov_base = (uint8_t *)m.msg_iov->iov_base + left;
        m.msg_iov->iov_len -= left;
    }
    return true;
}

bool bytes_send(int fd, struct bytes data, pid_t wake) {
    return parts_send(fd, &(struct iovec){(void *)(uintptr_t)data.data, data.size}, 1, wake);
}

bool letter_send(int fd, struct letter *head, struct bytes data, pid_t wake) {
    head->size = data.size;
    struct iovec parts[2] = {{head, sizeof *head}, {(void *)(uintptr_t)data.data, data.size}};
    return parts_send(fd, parts, data.size ? 2 : 1, wake);
}

static bool whole(const struct mailbox *m, struct letter *head) {
    size_t left = m->in.size - m->at;
    if (left < sizeof *head) return false;
    memcpy(head, m->in.data + m->at, sizeof *head);
    return head->size <= LETTER_MAX && left - sizeof *head >= head->size;
}

static void read_more(struct mailbox *m) {
    if (m->at) memmove(m->in.data, m->in.data + m->at, m->in.size - m->at);
    m->in.size -= m->at;
    m->at = 0;
    uint8_t *to = buffer_extend(&m->in, READ_AT_ONCE);
    ssize_t n = recv(m->fd, to, READ_AT_ONCE, MSG_DONTWAIT);
    m->in.size -= READ_AT_ONCE - (size_t)(n > 0 ? n : 0);
    if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR)) m->closed = true;
}

bool letter_next(struct mailbox *m, struct letter *head, struct bytes *data) {
    if (!whole(m, head)) {
        if (m->closed) return false;
        read_more(m);
        if (!whole(m, head)) {
            if (m->in.size >= sizeof *head && head->size > LETTER_MAX) m->closed = true;
            return false;
        }
    }
    *data = bytes_of(m->in.data + m->at + sizeof *head, head->size);
    m->at += sizeof *head + head->size;
    return true;
}

void mailbox_free(struct mailbox *m) {
    if (m->fd >= 0) close(m->fd);
    buffer_free(&m->in);
    *m = (struct mailbox){.fd = -1};
}
