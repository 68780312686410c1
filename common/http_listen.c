// Http listen: splits, then asks getaddrinfo.
#include "common/http_listen.h"

#include <arpa/inet.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

enum { HOST_MAX = 256 };

// "HOST:PORT" -> host and port. 0 or -1.
static int split(const char *bind, char host[HOST_MAX], const char **port)
{
    const char *colon = strrchr(bind, ':');
    if (!colon || !colon[1] || strlen(colon + 1) > 5 || colon[1 + strspn(colon + 1, "0123456789")]) return -1;
    size_t len = (size_t)(colon - bind);
    if (len >= 2 && bind[0] == '[' && bind[len - 1] == ']') bind++, len -= 2;
    if (len >= HOST_MAX) return -1;
    memcpy(host, bind, len);
    host[len] = '\0';
    *port = colon + 1;
    return 0;
}

struct addrinfo *http_listen_resolve(const char *bind, const char *default_host, char *err, size_t err_size)
{
    char host[HOST_MAX];
    const char *port;
    if (!strncmp(bind, "http://", 7)) bind += 7;
    if (split(bind, host, &port)) {
        snprintf(err, err_size, "%s is no HOST:PORT", bind);
        return NULL;
    }
    if (!host[0] && default_host) snprintf(host, sizeof host, "%s", default_host);
    bool every = !host[0] || !strcmp(host, "*");
    struct addrinfo hints = {.ai_family = every ? AF_INET : AF_UNSPEC,
                             .ai_socktype = SOCK_STREAM,
                             .ai_flags = AI_PASSIVE | AI_NUMERICSERV},
                    *found = NULL;
    int rc = getaddrinfo(every ? NULL : host, port, &hints, &found);
    if (rc) snprintf(err, err_size, "%s: %s", bind, gai_strerror(rc));
    return rc ? NULL : found;
}

void http_listen_url(const struct addrinfo *address, unsigned port, char *out, size_t size)
{
    char host[INET6_ADDRSTRLEN] = "";
    getnameinfo(address->ai_addr, address->ai_addrlen, host, sizeof host, NULL, 0, NI_NUMERICHOST);
    bool v6 = address->ai_family == AF_INET6;
    snprintf(out, size, "http://%s%s%s:%u", v6 ? "[" : "", host, v6 ? "]" : "", port);
}
