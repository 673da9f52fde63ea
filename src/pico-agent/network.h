/* One loopback, one card. */
#ifndef NETWORK_H
#define NETWORK_H

#include "dhcp.h"
#include "util.h"

bool loopback_up(struct failure *failure);
/* The card's own address; false when there is no card. */
bool card_exists(void);
bool set_mac(const uint8_t mac[static 6], struct failure *failure);
bool card_up(struct failure *failure);
/* Down, and without its address. */
bool card_down(struct failure *failure);
/* Ask for a lease until one comes or `seconds` are over. The card is up. */
bool ask_for_lease(int seconds, struct lease *lease, struct failure *failure);
/* Give the card the lease's address, mask and gateway. */
bool use_lease(const struct lease *lease, struct failure *failure);
/* "10.0.2.15/24" */
bool parse_cidr(const char *text, in_addr_t *address, in_addr_t *mask);
int prefix_of(in_addr_t mask);

#endif
