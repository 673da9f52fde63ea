#include "gate.h"

#include <arpa/inet.h>
#include <string.h>

bool allowed(const struct sockaddr *address, socklen_t size, struct in_addr resolver)
{
    struct sockaddr_in to;

    if (size < sizeof to)
        return false;
    memcpy(&to, address, sizeof to);
    if (to.sin_family != AF_INET)
        return false;
    uint32_t value = ntohl(to.sin_addr.s_addr);
    if (value >> 24 == 127 || value >> 24 == 0)
        return to.sin_addr.s_addr == resolver.s_addr && value >> 24 == 127 && ntohs(to.sin_port) == DNS;
    return value >> 28 < 14; /* neither many receivers nor all */
}

size_t next_frame(const uint8_t *bytes, size_t size, size_t most)
{
    if (size < 4)
        return NO_FRAME;
    size_t length = (size_t)bytes[0] << 24 | (size_t)bytes[1] << 16 | (size_t)bytes[2] << 8 | bytes[3];
    if (length > most)
        return BAD_FRAME;
    return size - 4 < length ? NO_FRAME : length;
}
