/* Messages of DHCP, RFC 2131 and RFC 2132: building and reading, nothing of sockets. */
#ifndef DHCP_H
#define DHCP_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum dhcp_type { DHCP_DISCOVER = 1, DHCP_OFFER = 2, DHCP_REQUEST = 3, DHCP_ACK = 5, DHCP_NAK = 6 };
enum { DHCP_PACKET = 576, MAX_DNS = 4 };

/* Addresses in network byte order, 0 for none. */
struct lease {
    in_addr_t address, mask, gateway, server;
    in_addr_t dns[MAX_DNS];
    size_t dns_count;
    char domain[256];
};

/* A whole IP packet for broadcast; `lease` is what was offered, NULL for DHCP_DISCOVER. Its size. */
size_t dhcp_build(uint8_t packet[static DHCP_PACKET], enum dhcp_type type, uint32_t id, const uint8_t mac[static 6],
                  const struct lease *lease);
/* The type of an answer to `id`, 0 when the packet is something else or damaged; `lease` is filled in. */
int dhcp_read(const uint8_t *packet, size_t size, uint32_t id, const uint8_t mac[static 6], struct lease *lease);

#endif
