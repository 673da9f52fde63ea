#include "network.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/if_packet.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <net/if_arp.h>
#include <net/route.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <unistd.h>

#include "frame.h"

static const char CARD[] = "eth0";

static struct ifreq request_for(const char *name)
{
    struct ifreq request = {0};

    snprintf(request.ifr_name, sizeof request.ifr_name, "%s", name);
    return request;
}

static int control(unsigned long number, void *argument)
{
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

    if (fd < 0)
        return -1;
    int result = ioctl(fd, number, argument), error = errno;
    close(fd);
    errno = error;
    return result;
}

static bool up(const char *name, struct failure *failure)
{
    struct ifreq request = request_for(name);

    if (control(SIOCGIFFLAGS, &request) < 0)
        return fail(failure, errno, "network interface %s", name);
    request.ifr_flags |= IFF_UP;
    return control(SIOCSIFFLAGS, &request) == 0 || fail(failure, errno, "cannot bring %s up", name);
}

bool loopback_up(struct failure *failure)
{
    return up("lo", failure);
}

bool card_exists(void)
{
    return if_nametoindex(CARD) != 0;
}

bool card_up(struct failure *failure)
{
    return up(CARD, failure);
}

static struct sockaddr internet(in_addr_t address)
{
    struct sockaddr_in in = {.sin_family = AF_INET, .sin_addr.s_addr = address};
    struct sockaddr any;

    memcpy(&any, &in, sizeof any);
    return any;
}

bool card_down(struct failure *failure)
{
    struct ifreq request = request_for(CARD);

    request.ifr_addr = internet(INADDR_ANY);
    if (control(SIOCSIFADDR, &request) < 0)
        return fail(failure, errno, "cannot take the address from %s", CARD);
    request = request_for(CARD);
    if (control(SIOCGIFFLAGS, &request) < 0)
        return fail(failure, errno, "network interface %s", CARD);
    request.ifr_flags &= ~IFF_UP;
    return control(SIOCSIFFLAGS, &request) == 0 || fail(failure, errno, "cannot bring %s down", CARD);
}

bool set_mac(const uint8_t mac[static 6], struct failure *failure)
{
    struct ifreq request = request_for(CARD);

    request.ifr_hwaddr.sa_family = ARPHRD_ETHER;
    memcpy(request.ifr_hwaddr.sa_data, mac, 6);
    return control(SIOCSIFHWADDR, &request) == 0 || fail(failure, errno, "cannot set the address of %s", CARD);
}

bool use_lease(const struct lease *lease, struct failure *failure)
{
    struct ifreq request = request_for(CARD);
    struct rtentry route = {
        .rt_dst = internet(INADDR_ANY),
        .rt_genmask = internet(INADDR_ANY),
        .rt_gateway = internet(lease->gateway),
        .rt_flags = RTF_UP | RTF_GATEWAY,
    };

    request.ifr_addr = internet(lease->address);
    if (control(SIOCSIFADDR, &request) < 0)
        return fail(failure, errno, "cannot set the IP address of %s", CARD);
    request.ifr_netmask = internet(lease->mask);
    if (lease->mask && control(SIOCSIFNETMASK, &request) < 0)
        return fail(failure, errno, "cannot set the network mask of %s", CARD);
    if (lease->gateway && control(SIOCADDRT, &route) < 0)
        return fail(failure, errno, "cannot set the gateway");
    return true;
}

bool parse_cidr(const char *text, in_addr_t *address, in_addr_t *mask)
{
    char dotted[INET_ADDRSTRLEN];
    const char *slash = strchr(text, '/');
    uint64_t bits;
    struct in_addr parsed;

    if (slash == NULL || (size_t)(slash - text) >= sizeof dotted || !parse_number(slash + 1, 32, &bits))
        return false;
    snprintf(dotted, sizeof dotted, "%.*s", (int)(slash - text), text);
    if (inet_pton(AF_INET, dotted, &parsed) != 1)
        return false;
    *address = parsed.s_addr;
    *mask = bits ? htonl(UINT32_MAX << (32 - bits)) : 0;
    return true;
}

int prefix_of(in_addr_t mask)
{
    return __builtin_popcount(mask);
}

/* Send one message and wait for the answer that fits it; its type, 0 when the time is over, -1 on an error. */
static int ask(int fd, const struct sockaddr_ll *everyone, enum dhcp_type type, uint32_t id, const uint8_t *mac,
               const struct lease *offer, uint64_t deadline, struct lease *lease)
{
    uint8_t packet[2048];
    size_t size = dhcp_build(packet, type, id, mac, offer);

    if (sendto(fd, packet, size, 0, (const struct sockaddr *)everyone, sizeof *everyone) < 0 && errno != ENOBUFS)
        return -1;
    for (;;) {
        uint64_t now = steady_clock();
        struct pollfd ready = {.fd = fd, .events = POLLIN};
        if (now >= deadline)
            return 0;
        if (poll(&ready, 1, (int)((deadline - now) / 1000000) + 1) < 0 && errno != EINTR)
            return -1;
        ssize_t got = recv(fd, packet, sizeof packet, MSG_DONTWAIT);
        int answer = got > 0 ? dhcp_read(packet, (size_t)got, id, mac, lease) : 0;
        if (answer == DHCP_NAK || answer == (type == DHCP_DISCOVER ? DHCP_OFFER : DHCP_ACK))
            return answer;
    }
}

static bool converse(int fd, const struct sockaddr_ll *everyone, const uint8_t *mac, int seconds, struct lease *lease,
                     struct failure *failure)
{
    uint64_t end = steady_clock() + (uint64_t)seconds * 1000000000, patience = 500000000;
    struct lease offer;
    uint32_t id;

    if (getrandom(&id, sizeof id, 0) != sizeof id)
        return fail(failure, EIO, "no random number");
    for (; steady_clock() < end; patience *= 2) {
        int answer = ask(fd, everyone, DHCP_DISCOVER, id, mac, NULL, steady_clock() + patience, &offer);
        if (answer == DHCP_OFFER)
            answer = ask(fd, everyone, DHCP_REQUEST, id, mac, &offer, steady_clock() + patience, lease);
        if (answer < 0)
            return fail(failure, errno, "cannot ask for an address");
        if (answer == DHCP_ACK && lease->address != 0)
            return true;
    }
    return fail(failure, ETIMEDOUT, "no address from a DHCP server in %d s", seconds);
}

bool ask_for_lease(int seconds, struct lease *lease, struct failure *failure)
{
    struct ifreq request = request_for(CARD);
    struct sockaddr_ll everyone = {
        .sll_family = AF_PACKET,
        .sll_protocol = htons(ETH_P_IP),
        .sll_ifindex = (int)if_nametoindex(CARD),
        .sll_halen = ETH_ALEN,
        .sll_addr = {255, 255, 255, 255, 255, 255},
    };

    if (control(SIOCGIFHWADDR, &request) < 0)
        return fail(failure, errno, "network interface %s", CARD);
    int fd = socket(AF_PACKET, SOCK_DGRAM | SOCK_CLOEXEC, htons(ETH_P_IP));
    if (fd < 0)
        return fail(failure, errno, "packet socket");
    bool done = bind(fd, (const struct sockaddr *)&everyone, sizeof everyone) == 0
                    ? converse(fd, &everyone, (const uint8_t *)request.ifr_hwaddr.sa_data, seconds, lease, failure)
                    : fail(failure, errno, "packet socket");
    close(fd);
    return done;
}
