/* test-fuzz SECONDS SEED: what an image wrote (passwd, group) and what comes over the wires (frames, records, DHCP), from
   good ones with bytes changed, under the sanitizers. Input lies in a block of its exact size. `one` is what libFuzzer
   calls as well, with -DLIBFUZZER. */
#include <arpa/inet.h>
#include <netinet/ip.h>
#include <netinet/udp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "dhcp.h"
#include "frame.h"
#include "users.h"
#include "util.h"

enum { PARSERS = 4, LARGEST = 2048 };
static const uint8_t MAC[6] = {0x52, 0x54, 0, 1, 2, 3};
static const uint32_t ID = 0x01020304;

static void require(bool good, const char *what)
{
    if (good)
        return;
    fprintf(stderr, "test-fuzz: %s\n", what);
    abort();
}

static void try_frames(const char *data, size_t size)
{
    static struct decoder decoder;
    struct frame frame;
    const char *key, *value;

    decoder_reset(&decoder);
    while (size > 0) {
        size_t room;
        char *at = decoder_room(&decoder, &room);
        size_t part = size < room ? size : room;
        require(room > 0, "there is no room for a byte");
        memcpy(at, data, part);
        decoder_add(&decoder, part);
        data += part;
        size -= part;
        enum decoded found;
        while ((found = decoder_next(&decoder, &frame)) == DECODED_FRAME) {
            require(frame.size <= MAX_PAYLOAD, "a frame is larger than the protocol's largest");
            if (!records_valid(frame.payload, frame.size))
                continue;
            for (struct records records = records_of(&frame); records_next(&records, &key, &value);)
                require(*key != '\0' && value > key, "a record without a key");
        }
        if (found == DECODED_BAD)
            return;
    }
}

static void try_values(const char *data, size_t size)
{
    uint8_t bytes[16];
    size_t found;
    uint64_t number;
    char *text = calloc(size + 1, 1);

    if (text == NULL)
        abort();
    memcpy(text, data, size);
    if (parse_number(text, 1000, &number))
        require(number <= 1000, "a number beyond the most");
    if (parse_hex(text, bytes, sizeof bytes, &found))
        require(found <= sizeof bytes && 2 * found == strlen(text), "digits that were not there");
    parse_mac(text, bytes);
    free(text);
}

static void try_dhcp(const char *data, size_t size)
{
    struct lease lease;

    dhcp_read((const uint8_t *)data, size, ID, MAC, &lease);
    require(lease.dns_count <= MAX_DNS, "more name servers than there is room for");
    require(memchr(lease.domain, '\0', sizeof lease.domain) != NULL, "a domain without an end");
    require(strpbrk(lease.domain, "\n #/") == NULL, "a domain that is no name");
}

static void try_users(const char *data, size_t size)
{
    static const char *const users[] = {"", "root", "app", "7", "app:staff", "1000:7", "nobody:"};
    char path[] = "/tmp/test-fuzz-XXXXXX";
    struct identity identity;
    struct failure failure = {0};
    int file = mkstemp(path);

    require(file >= 0 && write(file, data, size) == (ssize_t)size && close(file) == 0, "no file can be written");
    for (size_t at = 0; at < sizeof users / sizeof *users; at++) {
        if (!resolve_user(users[at], path, path, &identity, &failure))
            continue;
        require(identity.group_count <= MAX_GROUPS, "more groups than there is room for");
        require(identity.home[0] == '/' && memchr(identity.home, '\0', sizeof identity.home) != NULL, "no home");
        require(identity.uid != (uid_t)-1 && identity.gid != (gid_t)-1, "an id that means none");
        add_group("staff", path, &identity, &failure);
    }
    unlink(path);
}

/* The first byte says which parser gets the others. */
static void one(const uint8_t *data, size_t size)
{
    static void (*const parsers[PARSERS])(const char *, size_t) = {try_frames, try_values, try_dhcp, try_users};

    if (size == 0)
        return;
    char *exact = malloc(size > 1 ? size - 1 : 1);
    if (exact == NULL)
        abort();
    memcpy(exact, data + 1, size - 1);
    parsers[data[0] % PARSERS](exact, size - 1);
    free(exact);
}

#ifdef LIBFUZZER
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    one(data, size);
    return 0;
}
#else
static const char USERS[] = "root:x:0:0:root:/root:/bin/sh\napp:x:1000:7:An app:/home/app:/bin/sh\n"
                            "nobody:x:65534:65534::/:\nstaff:x:50:app,root\nwheel:x:10:\n7:x:8:app\n";
static const char VALUES[] = "52:54:00:12:34:56";

/* Something good for a parser, after its number. */
static size_t good(uint8_t *input, int parser)
{
    static const char records[] = "image=box\0command=echo\0user=app:staff\0";
    struct lease lease = {.address = htonl(0x0a000203), .server = htonl(0x0a000202)};
    uint8_t packet[DHCP_PACKET];

    *input = (uint8_t)parser;
    switch (parser) {
    case 0:
        for (size_t at = 1, frame = 0; frame < 3; frame++, at += HEADER_SIZE + sizeof records - 1) {
            encode_header((char *)input + at, (uint8_t)(SETUP + frame), 1, sizeof records - 1);
            memcpy(input + at + HEADER_SIZE, records, sizeof records - 1);
        }
        return 1 + 3 * (HEADER_SIZE + sizeof records - 1);
    case 1:
        memcpy(input + 1, VALUES, sizeof VALUES - 1);
        return sizeof VALUES;
    case 2: {
        /* A request turned into an answer: the ports are exchanged, the operation is a reply. */
        size_t size = dhcp_build(packet, DHCP_REQUEST, ID, MAC, &lease);
        struct udphdr *udp = (void *)(packet + sizeof(struct iphdr));
        uint16_t source = udp->source;
        udp->source = udp->dest;
        udp->dest = source;
        packet[sizeof(struct iphdr) + sizeof(struct udphdr)] = 2;
        memcpy(input + 1, packet, size);
        return 1 + size;
    }
    default:
        memcpy(input + 1, USERS, sizeof USERS - 1);
        return sizeof USERS;
    }
}

/* Bytes changed, taken out, or put in twice. The checksum of a packet's head stays right. */
static size_t changed(uint8_t *input, size_t size, int parser)
{
    static const char odd[] = {0, '\n', ':', ',', '=', '/', -1, 127};
    size_t first = parser == 2 ? 1 + sizeof(struct iphdr) : 1;

    for (int count = rand() % 6; count > 0 && size > first + 1; count--) {
        size_t at = first + (size_t)rand() % (size - first);
        size_t part = 1 + (size_t)rand() % 40;
        switch (rand() % 4) {
        case 0:
            input[at] = (uint8_t)rand();
            break;
        case 1:
            input[at] = (uint8_t)odd[(size_t)rand() % sizeof odd];
            break;
        case 2:
            part = part < size - at ? part : size - at;
            memmove(input + at, input + at + part, size - at - part);
            size -= part;
            break;
        default:
            part = part < size - at ? part : size - at;
            if (size + part <= LARGEST) {
                memmove(input + at + part, input + at, size - at);
                size += part;
            }
        }
    }
    return size;
}

int main(int argc, char **argv)
{
    time_t end = time(NULL) + (argc > 1 ? atoi(argv[1]) : 2);
    long tries = 0;
    struct lease lease;

    srand(argc > 2 ? (unsigned int)atoi(argv[2]) : 1);
    uint8_t input[LARGEST];
    size_t size = good(input, 2);
    require(dhcp_read(input + 1, size - 1, ID, MAC, &lease) == DHCP_REQUEST, "the good packet is none");
    while (time(NULL) < end)
        for (int parser = 0; parser < PARSERS; parser++, tries++) {
            size = good(input, parser);
            one(input, changed(input, size, parser));
        }
    printf("%ld inputs\n", tries);
    return 0;
}
#endif
