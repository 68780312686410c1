// Address: which addresses a miner does not talk to, whatever a template, a link or a redirect says: those
// that lead into the operator's own networks or to no single host at all.
#ifndef RTM_MINER_ADDRESS_H
#define RTM_MINER_ADDRESS_H

#include <stdbool.h>
#include <sys/socket.h>

// Whether address is not globally reachable (IANA's special-purpose registries, RFC 6890): private, shared,
// loopback, link-local, multicast, reserved; IPv4 inside IPv6 (mapped, NAT64, 6to4) by the IPv4. Families
// other than the two: true.
bool address_is_special(const struct sockaddr *address);

#endif
