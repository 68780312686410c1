// needs: common
// bench-static FILE: serves the file's bytes as text/html for any request, on a free port of 127.0.0.1 that
// it prints. Without FILE: says to any request that nothing has changed (304). One thread and no more work
// per request than finding its end, so that it is faster than any client that reads the page. Ends with its
// standard input.
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/buf.h"
#include "common/check.h"

enum { MAX_FD = 4096, EVENTS = 64, BACKLOG = 1024 };

typedef struct {
    unsigned matched; // bytes of the empty line seen so far
    unsigned owed;    // responses to send
    size_t sent;      // bytes of the present one
} peer_t;

static peer_t peers[MAX_FD];
static buf_t response;

static void load(const char *path)
{
    char page[1 << 20];
    FILE *f = fopen(path, "re");
    if (!f) {
        perror(path);
        exit(2);
    }
    size_t len = fread(page, 1, sizeof page, f);
    fclose(f);
    buf_init(&response, 2 << 20);
    CHECK(
        buf_printf(&response,
                   "HTTP/1.1 200 OK\r\nContent-Type: text/html; charset=utf-8\r\nContent-Length: %zu\r\n\r\n",
                   len) == 0);
    CHECK(buf_append(&response, page, len) == 0);
}

static void load_unchanged(void)
{
    buf_init(&response, 1 << 10);
    CHECK(buf_puts(&response,
                   "HTTP/1.1 304 Not Modified\r\nServer: nginx\r\nDate: Tue, 24 Nov 2026 10:00:00 GMT\r\n"
                   "Last-Modified: Tue, 24 Nov 2026 09:00:00 GMT\r\nConnection: keep-alive\r\n"
                   "ETag: \"64a7f1c2-1b2e\"\r\nCache-Control: max-age=60\r\nVary: Accept-Encoding\r\n\r\n") ==
          0);
}

static int listen_anywhere(void)
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof at;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    CHECK(fd >= 0 && bind(fd, (struct sockaddr *)&at, sizeof at) == 0 && listen(fd, BACKLOG) == 0);
    CHECK(getsockname(fd, (struct sockaddr *)&at, &len) == 0);
    printf("%u\n", ntohs(at.sin_port));
    fflush(stdout);
    return fd;
}

static void watch(int epoll, int op, int fd, uint32_t events)
{
    struct epoll_event event = {.events = events, .data.fd = fd};
    CHECK(epoll_ctl(epoll, op, fd, &event) == 0);
}

static void accept_all(int epoll, int listener)
{
    int one = 1;
    for (int fd; (fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0;) {
        if (fd >= MAX_FD) {
            close(fd);
            continue;
        }
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
        peers[fd] = (peer_t){0};
        watch(epoll, EPOLL_CTL_ADD, fd, EPOLLIN);
    }
}

// -1: the peer is gone.
static int send_owed(int epoll, int fd)
{
    peer_t *p = &peers[fd];
    while (p->owed) {
        ssize_t n = send(fd, response.data + p->sent, response.len - p->sent, MSG_NOSIGNAL);
        if (n < 0) {
            if (errno != EAGAIN) return -1;
            watch(epoll, EPOLL_CTL_MOD, fd, EPOLLIN | EPOLLOUT);
            return 0;
        }
        p->sent += (size_t)n;
        if (p->sent < response.len) continue;
        p->sent = 0;
        p->owed--;
    }
    return 0;
}

static int serve(int epoll, int fd, uint32_t events)
{
    char bytes[16384];
    peer_t *p = &peers[fd];
    if (events & EPOLLOUT) watch(epoll, EPOLL_CTL_MOD, fd, EPOLLIN);
    if (events & (EPOLLIN | EPOLLHUP | EPOLLERR)) {
        ssize_t n = recv(fd, bytes, sizeof bytes, 0);
        if (n == 0 || (n < 0 && errno != EAGAIN)) return -1;
        for (ssize_t i = 0; i < n; i++) {
            p->matched = bytes[i] == "\r\n\r\n"[p->matched] ? p->matched + 1 : bytes[i] == '\r';
            if (p->matched < 4) continue;
            p->matched = 0;
            p->owed++;
        }
    }
    return send_owed(epoll, fd);
}

int main(int argc, char **argv)
{
    struct epoll_event events[EVENTS];
    if (argc > 2) {
        fprintf(stderr, "usage: bench-static [FILE]\n");
        return 2;
    }
    if (argc == 2)
        load(argv[1]);
    else
        load_unchanged();
    int epoll = epoll_create1(EPOLL_CLOEXEC), listener = listen_anywhere();
    watch(epoll, EPOLL_CTL_ADD, listener, EPOLLIN);
    watch(epoll, EPOLL_CTL_ADD, STDIN_FILENO, EPOLLIN | EPOLLHUP);
    for (;;) {
        int n = epoll_wait(epoll, events, EVENTS, -1);
        for (int i = 0; i < n; i++) {
            int fd = events[i].data.fd;
            if (fd == STDIN_FILENO) return 0;
            if (fd == listener)
                accept_all(epoll, listener);
            else if (serve(epoll, fd, events[i].events))
                close(fd);
        }
    }
}
