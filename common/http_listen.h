// Http listen: the HOST:PORT of an option, and the address behind it.
#ifndef RTM_COMMON_HTTP_LISTEN_H
#define RTM_COMMON_HTTP_LISTEN_H

#include <netdb.h>
#include <stddef.h>

// "127.0.0.1:7480", "[::1]:7480", "*:7480" (every address), and for convenience a leading "http://" is
// skipped.
// ":7480" stands for default_host, or every address if that is NULL. NULL: *err says why. For freeaddrinfo.
struct addrinfo *http_listen_resolve(const char *bind, const char *default_host, char *err, size_t err_size);
// "http://HOST:PORT" of where a server on that address is reached.
void http_listen_url(const struct addrinfo *address, unsigned port, char *out, size_t size);

#endif
