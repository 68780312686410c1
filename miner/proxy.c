// Proxy: see the header.
#include "miner/proxy.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stddef.h>
#include <string.h>
#include <strings.h>

#include "miner/address.h"

// The host of a URL, without user, port and brackets.
static const char *host_of(const char *url, size_t *len)
{
    const char *at = strstr(url, "://");
    at = at ? at + 3 : url;
    size_t n = strcspn(at, "/?#\\");
    const char *user = memrchr(at, '@', n);
    if (user) {
        n -= (size_t)(user + 1 - at);
        at = user + 1;
    }
    if (n && *at == '[') {
        const char *end = memchr(at, ']', n);
        *len = end ? (size_t)(end - at) - 1 : n - 1;
        return at + 1;
    }
    const char *port = memchr(at, ':', n);
    *len = port ? (size_t)(port - at) : n;
    return at;
}

static bool covers(const char *name, size_t n, const char *host, size_t len)
{
    if (n == 1 && *name == '*') return true;
    if (n && *name == '.') name++, n--;
    if (n == 0 || n > len || strncasecmp(host + len - n, name, n) != 0) return false;
    return n == len || host[len - n - 1] == '.';
}

bool proxy_serves(const char *no_proxy, const char *url)
{
    size_t len;
    const char *host = host_of(url, &len);
    for (const char *at = no_proxy ? no_proxy : ""; *(at += strspn(at, ", "));) {
        size_t n = strcspn(at, ", ");
        if (covers(at, n, host, len)) return false;
        at += n;
    }
    return true;
}

// Any way to write an IPv4 address counts: "127.1", "0x7f000001", "2130706433".
bool proxy_is_special(const char *url)
{
    static const char *const local = "localhost";
    char name[256];
    size_t len;
    const char *host = host_of(url, &len);
    if (len >= sizeof name) return true;
    memcpy(name, host, len);
    name[len] = '\0';
    if (len && name[len - 1] == '.') name[--len] = '\0';
    if (covers(local, strlen(local), name, len)) return true;
    struct sockaddr_in v4 = {.sin_family = AF_INET};
    struct sockaddr_in6 v6 = {.sin6_family = AF_INET6};
    if (inet_aton(name, &v4.sin_addr)) return address_is_special((struct sockaddr *)&v4);
    if (inet_pton(AF_INET6, name, &v6.sin6_addr) == 1) return address_is_special((struct sockaddr *)&v6);
    return false;
}
