// Proxy: which requests go through the operator's proxy.
#ifndef RTM_MINER_PROXY_H
#define RTM_MINER_PROXY_H

#include <stdbool.h>

// Whether url goes through it. no_proxy: hosts that do not, separated by commas or spaces, or NULL: a name
// stands for itself and all below it ("example.org", ".example.org"), "*" for all.
bool proxy_serves(const char *no_proxy, const char *url);
// Whether url itself says that its host is not to be talked to: an address that is special (address.h), or
// localhost. Through a proxy nobody would see its address.
bool proxy_is_special(const char *url);

#endif
