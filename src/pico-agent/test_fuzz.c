/* What an image wrote (passwd, group) and what comes over the wires (frames, records, DHCP), for libFuzzer; without it
   test-fuzz FILE... tries the inputs that are kept. Input lies in a block of its exact size. */
#include <arpa/inet.h>
#include <netinet/ip.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "dhcp.h"
#include "frame.h"
#include "users.h"
#include "util.h"

enum { PARSERS = 4 };
static const uint8_t MAC[6] = {0x52, 0x54, 0, 1, 2, 3};
static const uint32_t ID = 0x01020304;

static void require(bool good, const char *what)
{
    if (good)
        return;
    fprintf(stderr, "test-fuzz: %s\n", what);
    abort();
}

static void try_frames(char *data, size_t size)
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

static void try_values(char *data, size_t size)
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

/* No fuzzer finds the checksum of a packet's head. */
static void set_checksum(uint8_t *packet, size_t size)
{
    struct iphdr ip;
    uint32_t sum = 0;

    if (size < sizeof ip || (size_t)(packet[0] & 15) * 4 > size)
        return;
    memset(packet + offsetof(struct iphdr, check), 0, sizeof ip.check);
    for (size_t at = 0; at < (size_t)(packet[0] & 15) * 4; at += 2)
        sum += (uint32_t)packet[at] << 8 | packet[at + 1];
    while (sum >> 16)
        sum = (sum & 0xffff) + (sum >> 16);
    ip.check = htons((uint16_t)~sum);
    memcpy(packet + offsetof(struct iphdr, check), &ip.check, sizeof ip.check);
}

static void try_dhcp(char *data, size_t size)
{
    struct lease lease;

    set_checksum((uint8_t *)data, size);
    dhcp_read((const uint8_t *)data, size, ID, MAC, &lease);
    require(lease.dns_count <= MAX_DNS, "more name servers than there is room for");
    require(memchr(lease.domain, '\0', sizeof lease.domain) != NULL, "a domain without an end");
    require(strpbrk(lease.domain, "\n #/") == NULL, "a domain that is no name");
}

static void try_users(char *data, size_t size)
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

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* The first byte says which parser gets the others. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static void (*const parsers[PARSERS])(char *, size_t) = {try_frames, try_values, try_dhcp, try_users};

    if (size == 0)
        return 0;
    char *exact = malloc(size > 1 ? size - 1 : 1);
    if (exact == NULL)
        abort();
    memcpy(exact, data + 1, size - 1);
    parsers[data[0] % PARSERS](exact, size - 1);
    free(exact);
    return 0;
}
