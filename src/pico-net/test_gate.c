/* Which addresses a guest may speak to, and frames that are torn or too large. */
#include <arpa/inet.h>
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "gate.h"

static bool may(const char *address, int port, const char *resolver)
{
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    struct in_addr dns = {0};

    if (inet_pton(AF_INET, address, &to.sin_addr) != 1 || (resolver && inet_pton(AF_INET, resolver, &dns) != 1))
        abort();
    return allowed((struct sockaddr *)&to, sizeof to, dns);
}

static void must(bool good, const char *what)
{
    if (!good) {
        fprintf(stderr, "%s\n", what);
        exit(1);
    }
}

int main(void)
{
    struct sockaddr_in6 six = {.sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT};
    const uint8_t frame[] = {0, 0, 0, 3, 'a', 'b', 'c', 0}, large[] = {0, 1, 0, 1};

    must(may("192.0.2.1", 80, NULL) && may("10.255.255.53", 53, NULL) && may("1.1.1.1", 443, "127.0.0.53"), "outward");
    must(!may("127.0.0.1", 80, NULL) && !may("127.255.0.1", 53, NULL) && !may("0.0.0.0", 22, NULL), "loopback");
    must(may("127.0.0.53", 53, "127.0.0.53") && !may("127.0.0.53", 54, "127.0.0.53"), "the resolver");
    must(!may("127.0.0.1", 53, "127.0.0.53") && !may("0.0.0.0", 53, NULL), "another one");
    must(!may("224.0.0.1", 80, NULL) && !may("255.255.255.255", 80, NULL), "many");
    must(!allowed((struct sockaddr *)&six, sizeof six, (struct in_addr){0}), "IPv6");
    must(!allowed((struct sockaddr *)&six, 4, (struct in_addr){0}), "short");
    must(next_frame(frame, sizeof frame, 9) == 3 && next_frame(frame, 6, 9) == NO_FRAME, "a frame");
    must(next_frame(frame, 3, 9) == NO_FRAME && next_frame(large, 4, 65536) == BAD_FRAME, "no frame");
    return 0;
}
