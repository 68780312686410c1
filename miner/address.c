// Address: tables of prefixes.
#include "miner/address.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdint.h>
#include <string.h>

static const struct {
    uint32_t net;
    int bits;
} special_v4[] = {
    {0x00000000, 8},  // this network
    {0x0a000000, 8},  // private
    {0x64400000, 10}, // shared (carrier NAT)
    {0x7f000000, 8},  // loopback
    {0xa9fe0000, 16}, // link-local, cloud metadata
    {0xac100000, 12}, // private
    {0xc0000000, 24}, // protocol assignments
    {0xc0000200, 24}, // documentation
    {0xc0a80000, 16}, // private
    {0xc6120000, 15}, // benchmarking
    {0xc6336400, 24}, // documentation
    {0xcb007100, 24}, // documentation
    {0xe0000000, 3},  // multicast and reserved, broadcast
};

static bool special_ipv4(uint32_t ip)
{
    for (size_t i = 0; i < sizeof special_v4 / sizeof special_v4[0]; i++)
        if ((ip ^ special_v4[i].net) >> (32 - special_v4[i].bits) == 0) return true;
    return false;
}

static uint32_t ipv4_at(const uint8_t *p)
{
    return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

static bool special_ipv6(const uint8_t ip[16])
{
    static const uint8_t mapped[12] = {[10] = 0xff, 0xff};
    static const uint8_t nat64[12] = {0x00, 0x64, 0xff, 0x9b};
    if (!memcmp(ip, mapped, 12) || !memcmp(ip, nat64, 12)) return special_ipv4(ipv4_at(ip + 12));
    if (ip[0] == 0x20 && ip[1] == 0x02) return special_ipv4(ipv4_at(ip + 2)); // 6to4
    if (ip[0] == 0x20 && ip[1] == 0x01 && ip[2] < 2) return true;             // Teredo and protocol blocks
    if (ip[0] == 0x20 && ip[1] == 0x01 && ip[2] == 0x0d && ip[3] == 0xb8) return true; // documentation
    return ip[0] >> 5 != 1; // only 2000::/3 is global unicast
}

bool address_is_special(const struct sockaddr *address)
{
    if (address->sa_family == AF_INET) {
        struct sockaddr_in v4;
        memcpy(&v4, address, sizeof v4);
        return special_ipv4(ntohl(v4.sin_addr.s_addr));
    }
    if (address->sa_family == AF_INET6) {
        struct sockaddr_in6 v6;
        memcpy(&v6, address, sizeof v6);
        return special_ipv6(v6.sin6_addr.s6_addr);
    }
    return true;
}
