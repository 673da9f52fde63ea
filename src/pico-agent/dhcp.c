#include "dhcp.h"

#include <arpa/inet.h>
#include <netinet/ip.h>
#include <netinet/udp.h>
#include <string.h>

enum { CLIENT_PORT = 68, SERVER_PORT = 67, BROADCAST = 0x8000 };
enum option {
    PAD = 0,
    SUBNET_MASK = 1,
    ROUTER = 3,
    NAME_SERVERS = 6,
    DOMAIN_NAME = 15,
    REQUESTED_ADDRESS = 50,
    MESSAGE_TYPE = 53,
    SERVER_ID = 54,
    PARAMETERS = 55,
    END = 255,
};
static const uint8_t COOKIE[4] = {99, 130, 83, 99};

struct message {
    uint8_t op, hardware, hardware_size, hops;
    uint32_t id;
    uint16_t seconds, flags;
    in_addr_t client, yours, server, relay;
    uint8_t hardware_address[16];
    uint8_t unused[192];
    uint8_t cookie[4];
} __attribute__((packed));

static uint16_t checksum(const void *data, size_t size, uint32_t sum)
{
    const uint8_t *bytes = data;

    for (size_t at = 0; at + 1 < size; at += 2)
        sum += (uint32_t)bytes[at] << 8 | bytes[at + 1];
    if (size % 2)
        sum += (uint32_t)bytes[size - 1] << 8;
    while (sum >> 16)
        sum = (sum & 0xffff) + (sum >> 16);
    return htons((uint16_t)~sum);
}

static uint8_t *put(uint8_t *at, enum option option, const void *data, uint8_t size)
{
    *at++ = (uint8_t)option;
    *at++ = size;
    memcpy(at, data, size);
    return at + size;
}

size_t dhcp_build(uint8_t packet[static DHCP_PACKET], enum dhcp_type type, uint32_t id, const uint8_t mac[static 6],
                  const struct lease *lease)
{
    static const uint8_t wanted[] = {SUBNET_MASK, ROUTER, NAME_SERVERS, DOMAIN_NAME};
    struct message message = {.op = 1, .hardware = 1, .hardware_size = 6, .id = htonl(id), .flags = htons(BROADCAST)};
    uint8_t *at = packet + sizeof(struct iphdr) + sizeof(struct udphdr);
    uint8_t kind = (uint8_t)type;

    memset(packet, 0, DHCP_PACKET);
    memcpy(message.hardware_address, mac, 6);
    memcpy(message.cookie, COOKIE, sizeof COOKIE);
    memcpy(at, &message, sizeof message);
    at = put(at + sizeof message, MESSAGE_TYPE, &kind, 1);
    at = put(at, PARAMETERS, wanted, sizeof wanted);
    if (lease != NULL) {
        at = put(at, REQUESTED_ADDRESS, &lease->address, 4);
        at = put(at, SERVER_ID, &lease->server, 4);
    }
    *at = END;
    /* The shortest message that every server takes has 300 bytes; what follows the end is padding. */
    size_t size = DHCP_PACKET;
    struct udphdr udp = {
        .source = htons(CLIENT_PORT),
        .dest = htons(SERVER_PORT),
        .len = htons((uint16_t)(size - sizeof(struct iphdr))),
    };
    struct iphdr ip = {
        .version = 4,
        .ihl = 5,
        .tot_len = htons((uint16_t)size),
        .ttl = 64,
        .protocol = IPPROTO_UDP,
        .daddr = INADDR_BROADCAST,
    };
    ip.check = checksum(&ip, sizeof ip, 0);
    memcpy(packet, &ip, sizeof ip);
    memcpy(packet + sizeof ip, &udp, sizeof udp);
    return size;
}

static void take(struct lease *lease, int *type, uint8_t option, const uint8_t *data, size_t size)
{
    switch (option) {
    case MESSAGE_TYPE:
        if (size == 1)
            *type = data[0];
        break;
    case SUBNET_MASK:
        if (size == 4)
            memcpy(&lease->mask, data, 4);
        break;
    case ROUTER:
        if (size >= 4)
            memcpy(&lease->gateway, data, 4);
        break;
    case SERVER_ID:
        if (size == 4)
            memcpy(&lease->server, data, 4);
        break;
    case NAME_SERVERS:
        for (lease->dns_count = 0; size >= 4 && lease->dns_count < MAX_DNS; data += 4, size -= 4)
            memcpy(&lease->dns[lease->dns_count++], data, 4);
        break;
    case DOMAIN_NAME:
        for (size_t at = 0; at < size && data[at]; at++) {
            /* It goes into a file: nothing but what a name is made of. */
            uint8_t byte = data[at]; /* clang-format off */
            bool plain = (byte >= 'a' && byte <= 'z') || (byte >= 'A' && byte <= 'Z') ||
                         (byte >= '0' && byte <= '9') || byte == '-' || byte == '.'; /* clang-format on */
            if (!plain) {
                lease->domain[0] = '\0';
                break;
            }
            lease->domain[at] = (char)byte;
            lease->domain[at + 1] = '\0';
        }
        break;
    default:
        break;
    }
}

int dhcp_read(const uint8_t *packet, size_t size, uint32_t id, const uint8_t mac[static 6], struct lease *lease)
{
    struct iphdr ip;
    struct udphdr udp;
    struct message message;
    int type = 0;

    *lease = (struct lease){0};
    if (size < sizeof ip)
        return 0;
    memcpy(&ip, packet, sizeof ip);
    size_t head = ip.ihl * 4u, total = ntohs(ip.tot_len);
    if (ip.version != 4 || head < sizeof ip || ip.protocol != IPPROTO_UDP || (ntohs(ip.frag_off) & 0x3fff) != 0)
        return 0;
    if (total > size || total < head + sizeof udp + sizeof message || checksum(packet, head, 0) != 0)
        return 0;
    memcpy(&udp, packet + head, sizeof udp);
    memcpy(&message, packet + head + sizeof udp, sizeof message);
    if (udp.source != htons(SERVER_PORT) || udp.dest != htons(CLIENT_PORT))
        return 0;
    if (message.op != 2 || message.id != htonl(id) || memcmp(message.hardware_address, mac, 6) != 0 ||
        memcmp(message.cookie, COOKIE, sizeof COOKIE) != 0)
        return 0;
    lease->address = message.yours;
    const uint8_t *at = packet + head + sizeof udp + sizeof message, *end = packet + total;
    while (at < end && *at != END) {
        if (*at == PAD) {
            at++;
            continue;
        }
        if (end - at < 2 || at[1] > end - at - 2)
            return 0;
        take(lease, &type, at[0], at + 2, at[1]);
        at += 2 + at[1];
    }
    return type;
}
