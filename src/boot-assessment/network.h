/* Has the machine a way to other networks? */
#ifndef NETWORK_H
#define NETWORK_H

#include <stdbool.h>

/* By the kernel's tables, /proc/net/route and /proc/net/ipv6_route or files like them. */
bool has_default_route(const char *ipv4, const char *ipv6);

#endif
