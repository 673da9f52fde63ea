/* What of the two sides is taken: pure, and so tested and fuzzed alone. */
#ifndef GATE_H
#define GATE_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { DNS = 53 };
#define NO_FRAME ((size_t)-1)
#define BAD_FRAME ((size_t)-2)

/* May the guest speak to this address? Not to this host's loopback, whose other name is 0.0.0.0; but to the resolver. */
bool allowed(const struct sockaddr *address, socklen_t size, struct in_addr resolver);

/* The size of the frame at the beginning of what came; NO_FRAME when it is not whole, BAD_FRAME when it is larger than
   `most`. The frame itself is after 4 bytes. */
size_t next_frame(const uint8_t *bytes, size_t size, size_t most);

#endif
