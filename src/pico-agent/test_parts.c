/* What can be tested without a machine: frames, records, users, DHCP. Built with the sanitizers; input that lies in a
   block of its exact size, so that every byte read beyond it is found. */
#include <arpa/inet.h>
#include <netinet/ip.h>
#include <netinet/udp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "dhcp.h"
#include "frame.h"
#include "users.h"
#include "util.h"

static int failures;

#define CHECK(condition)                                                                                               \
    do {                                                                                                               \
        if (!(condition)) {                                                                                            \
            printf("%s:%d: %s\n", __FILE__, __LINE__, #condition);                                                     \
            failures++;                                                                                                \
        }                                                                                                              \
    } while (0)

/* -- frames */

static void give(struct decoder *decoder, const char *bytes, size_t size)
{
    while (size > 0) {
        size_t room;
        char *at = decoder_room(decoder, &room);
        size_t part = size < room ? size : room;
        memcpy(at, bytes, part);
        decoder_add(decoder, part);
        bytes += part;
        size -= part;
        if (size > 0)
            abort();
    }
}

static size_t make_frame(char *bytes, uint8_t type, uint16_t process, size_t size, int seed)
{
    encode_header(bytes, type, process, size);
    for (size_t at = 0; at < size; at++)
        bytes[HEADER_SIZE + at] = (char)(at * 7 + (size_t)seed);
    return HEADER_SIZE + size;
}

static void test_torn_frames(void)
{
    static const size_t sizes[] = {0, 1, 7, 8, 9, 4096, 65535, 65536, 3, 65536, 0};
    static struct decoder decoder;
    static char stream[400000];
    size_t total = 0;

    for (size_t at = 0; at < sizeof sizes / sizeof sizes[0]; at++)
        total += make_frame(stream + total, (uint8_t)(at + 1), (uint16_t)(at * 6000), sizes[at], (int)at);
    for (size_t step = 1; step < 70000; step = step * 3 + 1) {
        size_t number = 0;
        decoder_reset(&decoder);
        for (size_t at = 0; at < total; at += step) {
            struct frame frame;
            give(&decoder, stream + at, total - at < step ? total - at : step);
            while (decoder_next(&decoder, &frame) == DECODED_FRAME) {
                CHECK(frame.type == number + 1 && frame.process == number * 6000 && frame.size == sizes[number]);
                CHECK(frame.size == 0 || frame.payload[frame.size - 1] == (char)((frame.size - 1) * 7 + number));
                number++;
            }
        }
        CHECK(number == sizeof sizes / sizeof sizes[0]);
        CHECK(decoder.start == decoder.end);
    }
}

static void test_bad_frames(void)
{
    static const char long_one[] = {1, 0, 1, 0, STDIN, 0, 1, 0}, longest[] = {-1, -1, -1, -1, 1, 0, 0, 0},
                      reserved[] = {0, 0, 0, 0, PING, 1, 0, 0};
    static const char *const bad[] = {long_one, longest, reserved};
    static struct decoder decoder;
    struct frame frame;
    char ping[HEADER_SIZE];

    encode_header(ping, PING, 0, 0);
    for (size_t at = 0; at < 3; at++) {
        decoder_reset(&decoder);
        give(&decoder, ping, sizeof ping);
        give(&decoder, bad[at], HEADER_SIZE);
        CHECK(decoder_next(&decoder, &frame) == DECODED_FRAME && frame.type == PING);
        CHECK(decoder_next(&decoder, &frame) == DECODED_BAD);
        CHECK(decoder_next(&decoder, &frame) == DECODED_BAD);
    }
    decoder_reset(&decoder);
    for (size_t at = 0; at < HEADER_SIZE; at++) {
        CHECK(decoder_next(&decoder, &frame) == DECODED_NONE);
        give(&decoder, ping + at, 1);
    }
    CHECK(decoder_next(&decoder, &frame) == DECODED_FRAME);
}

static void test_random_bytes(void)
{
    static struct decoder decoder;
    unsigned seed = 1;

    for (int round = 0; round < 20000; round++) {
        char bytes[64];
        struct frame frame;
        size_t size = (size_t)rand_r(&seed) % sizeof bytes;
        enum decoded decoded;
        for (size_t at = 0; at < size; at++)
            bytes[at] = (char)(rand_r(&seed) % 4 ? 0 : rand_r(&seed));
        give(&decoder, bytes, size);
        while ((decoded = decoder_next(&decoder, &frame)) == DECODED_FRAME) {
            struct records records = records_of(&frame);
            const char *key, *value;
            if (records_valid(frame.payload, frame.size))
                while (records_next(&records, &key, &value))
                    CHECK(strlen(key) > 0 && value > key);
        }
        if (decoded == DECODED_BAD || round % 50 == 0)
            decoder_reset(&decoder);
    }
}

/* -- records */

static bool valid(const char *text, size_t size)
{
    char *exact = allocate(NULL, size ? size : 1);

    memcpy(exact, text, size);
    bool result = records_valid(exact, size);
    free(exact);
    return result;
}

static void test_records(void)
{
    char text[] = "arg=\0arg=a=b\0key=\xff\xfe";
    struct frame frame = {.size = sizeof text, .payload = text};
    struct records records = records_of(&frame);
    const char *key, *value;

    CHECK(valid(text, sizeof text));
    CHECK(records_next(&records, &key, &value) && !strcmp(key, "arg") && !strcmp(value, ""));
    CHECK(records_next(&records, &key, &value) && !strcmp(key, "arg") && !strcmp(value, "a=b"));
    CHECK(records_next(&records, &key, &value) && !strcmp(key, "key") && !strcmp(value, "\xff\xfe"));
    CHECK(!records_next(&records, &key, &value));
    CHECK(valid("", 0));
    CHECK(!valid("a=b", 3));
    CHECK(!valid("", 1));
    CHECK(!valid("=b", 3));
    CHECK(!valid("ab", 3));
    CHECK(!valid("a=b\0\0", 5));
}

static void test_payload(void)
{
    struct payload payload = {0};
    char *huge = allocate(NULL, 10000);

    payload_add(&payload, "key", "%d", 12);
    CHECK(payload.size == 7 && !memcmp(payload.bytes, "key=12", 7));
    memset(huge, 'x', 9999);
    huge[9999] = '\0';
    payload_add(&payload, "message", "%s", huge);
    CHECK(payload.size <= sizeof payload.bytes && payload.bytes[payload.size - 1] == '\0');
    CHECK(records_valid(payload.bytes, payload.size));
    payload_add(&payload, "more", "%s", huge);
    CHECK(records_valid(payload.bytes, payload.size));
    free(huge);
}

static void test_values(void)
{
    uint64_t number = 0;
    uint8_t bytes[4], mac[6];
    size_t size;

    CHECK(parse_number("0", 9, &number) && number == 0);
    CHECK(parse_number("18446744073709551615", UINT64_MAX, &number) && number == UINT64_MAX);
    CHECK(!parse_number("18446744073709551616", UINT64_MAX, &number));
    CHECK(!parse_number("", 9, &number) && !parse_number("-1", 9, &number) && !parse_number("1 ", 9, &number));
    CHECK(!parse_number("10", 9, &number));
    CHECK(parse_hex("00fFa5", bytes, 4, &size) && size == 3 && bytes[1] == 255 && bytes[2] == 0xa5);
    CHECK(!parse_hex("000", bytes, 4, &size) && !parse_hex("0g", bytes, 4, &size));
    CHECK(!parse_hex("0011223344", bytes, 4, &size));
    CHECK(parse_mac("52:54:00:ab:Cd:ef", mac) && mac[0] == 0x52 && mac[5] == 0xef);
    CHECK(!parse_mac("52:54:00:ab:cd", mac) && !parse_mac("52-54-00-ab-cd-ef", mac) && !parse_mac("", mac));
}

static void test_queue(void)
{
    struct queue queue = {0};
    char bytes[1000];
    size_t added = 0, taken = 0;

    for (int round = 0; round < 2000; round++) {
        size_t size = (size_t)round * 37 % sizeof bytes;
        for (size_t at = 0; at < size; at++)
            bytes[at] = (char)(added++);
        queue_add(&queue, bytes, size);
        for (size_t part = queue.size / 2; part > 0; part--) {
            CHECK(*queue_front(&queue) == (char)taken++);
            queue_drop(&queue, 1);
        }
    }
    CHECK(queue.size == added - taken);
    queue_clear(&queue);
    CHECK(queue.size == 0 && queue.bytes == NULL);
}

/* -- users */

static const char PASSWD[] = "root:x:0:0:root:/root:/bin/sh\n"
                             "# a comment\n"
                             "short:x:5\n"
                             "app:x:1000:1001:An app:/home/app:/bin/sh\n"
                             "odd:x:nan:1:::\n"
                             "1234:x:77:78::/n:/bin/sh\n"
                             "nohome:x:2000:2000:::";
static const char GROUP[] = "root:x:0:\nstaff:x:50:root,app\nwheel:x:10:app\nbroken\napp:x:1001:\nlast:x:60:nohome";

static void test_users(void)
{
    char passwd[] = "/tmp/passwd-XXXXXX", group[] = "/tmp/group-XXXXXX";
    struct identity who;
    struct failure failure;
    int one = mkstemp(passwd), two = mkstemp(group);

    CHECK(write(one, PASSWD, sizeof PASSWD - 1) > 0 && write(two, GROUP, sizeof GROUP - 1) > 0);
    CHECK(resolve_user("", passwd, group, &who, &failure) && who.uid == 0 && who.gid == 0);
    CHECK(!strcmp(who.home, "/root") && who.group_count == 1 && who.groups[0] == 50);
    CHECK(resolve_user("app", passwd, group, &who, &failure) && who.uid == 1000 && who.gid == 1001);
    CHECK(who.group_count == 2 && who.groups[0] == 50 && who.groups[1] == 10 && !strcmp(who.home, "/home/app"));
    CHECK(add_group("staff", group, &who, &failure) && who.group_count == 2);
    CHECK(add_group("999", group, &who, &failure) && who.group_count == 3 && who.groups[2] == 999);
    CHECK(!add_group("none", group, &who, &failure) && !strcmp(failure.code, "ENOENT"));
    CHECK(resolve_user("1000", passwd, group, &who, &failure) && who.gid == 1001 && who.group_count == 2);
    CHECK(resolve_user("app:wheel", passwd, group, &who, &failure) && who.gid == 10 && who.group_count == 0);
    CHECK(resolve_user("app:77", passwd, group, &who, &failure) && who.gid == 77);
    CHECK(resolve_user("4242", passwd, group, &who, &failure) && who.uid == 4242 && who.gid == 0);
    CHECK(!strcmp(who.home, "/"));
    CHECK(resolve_user("4242:4243", passwd, group, &who, &failure) && who.gid == 4243);
    CHECK(resolve_user("1234", passwd, group, &who, &failure) && who.uid == 77);
    CHECK(resolve_user("nohome", passwd, group, &who, &failure) && !strcmp(who.home, "/") && who.groups[0] == 60);
    CHECK(!resolve_user("nobody", passwd, group, &who, &failure));
    CHECK(!strcmp(failure.message, "unknown user nobody: No such file or directory"));
    CHECK(!resolve_user("odd", passwd, group, &who, &failure) && !resolve_user("short", passwd, group, &who, &failure));
    CHECK(!resolve_user("app:none", passwd, group, &who, &failure));
    CHECK(!resolve_user("-1", passwd, group, &who, &failure));
    CHECK(!resolve_user("4294967295", passwd, group, &who, &failure));
    close(one);
    close(two);
    unlink(passwd);
    unlink(group);
    CHECK(resolve_user("0:0", passwd, group, &who, &failure) && who.uid == 0 && !strcmp(who.home, "/root"));
    CHECK(!resolve_user("app", passwd, group, &who, &failure));
}

/* -- DHCP */

static const uint8_t MAC[6] = {0x52, 0x54, 0, 0x12, 0x34, 0x56};
enum { MESSAGE = 28, OPTIONS = 28 + 240 };

/* An answer as a server would give it: our own request turned round, with these options. */
static size_t answer(uint8_t *packet, const uint8_t *options, size_t size)
{
    struct iphdr ip;
    const uint16_t ports[2] = {htons(67), htons(68)};
    uint32_t sum = 0;

    dhcp_build(packet, DHCP_DISCOVER, 0x01020304, MAC, NULL);
    packet[MESSAGE] = 2;
    packet[MESSAGE + 16] = 10, packet[MESSAGE + 17] = 0, packet[MESSAGE + 18] = 2, packet[MESSAGE + 19] = 15;
    memcpy(packet + 20, ports, sizeof ports);
    memcpy(packet + OPTIONS, options, size);
    memcpy(&ip, packet, sizeof ip);
    ip.tot_len = htons((uint16_t)(OPTIONS + size));
    ip.check = 0;
    memcpy(packet, &ip, sizeof ip);
    for (int at = 0; at < 20; at += 2)
        sum += (uint32_t)packet[at] << 8 | packet[at + 1];
    while (sum >> 16)
        sum = (sum & 0xffff) + (sum >> 16);
    packet[10] = (uint8_t)(~sum >> 8);
    packet[11] = (uint8_t)~sum;
    return OPTIONS + size;
}

static int read_exactly(const uint8_t *packet, size_t size, uint32_t id, struct lease *lease)
{
    uint8_t *exact = allocate(NULL, size ? size : 1);

    memcpy(exact, packet, size);
    int type = dhcp_read(exact, size, id, MAC, lease);
    free(exact);
    return type;
}

static void test_dhcp(void)
{
    static const uint8_t options[] = {53, 1, 2, 0, 54, 4, 10, 0, 2, 2, 1, 4, 255, 255, 255, 0,   3,   4,   10,  0,
                                      2,  2, 6, 8, 10, 0, 2,  3, 8, 8, 4, 4, 15,  5,   'l', 'o', 'c', 'a', 'l', 255};
    static const uint8_t wild[] = {53, 1, 5, 15, 6, 'a', '\n', 'b', 'c', 'd', 'e', 6, 3, 1, 2, 3, 255};
    static const uint8_t cut[] = {53, 1, 2, 1, 200, 255};
    uint8_t packet[DHCP_PACKET];
    struct lease lease, offered = {.address = htonl(0x0a00020f), .server = htonl(0x0a000202)};
    size_t size = answer(packet, options, sizeof options);

    CHECK(read_exactly(packet, size, 0x01020304, &lease) == DHCP_OFFER);
    CHECK(lease.address == htonl(0x0a00020f) && lease.mask == htonl(0xffffff00));
    CHECK(lease.gateway == htonl(0x0a000202) && lease.server == htonl(0x0a000202));
    CHECK(lease.dns_count == 2 && lease.dns[1] == htonl(0x08080404) && !strcmp(lease.domain, "local"));
    CHECK(read_exactly(packet, size, 0x01020305, &lease) == 0);
    for (size_t length = 0; length < size; length++)
        CHECK(read_exactly(packet, length, 0x01020304, &lease) == 0);
    for (size_t at = 0; at < 20; at++) {
        packet[at] ^= 0x40;
        CHECK(read_exactly(packet, size, 0x01020304, &lease) == 0);
        packet[at] ^= 0x40;
    }
    packet[MESSAGE + 28] ^= 1;
    CHECK(read_exactly(packet, size, 0x01020304, &lease) == 0);
    size = answer(packet, wild, sizeof wild);
    CHECK(read_exactly(packet, size, 0x01020304, &lease) == DHCP_ACK);
    CHECK(lease.domain[0] == '\0' && lease.dns_count == 0);
    size = answer(packet, cut, sizeof cut);
    CHECK(read_exactly(packet, size, 0x01020304, &lease) == 0);
    CHECK(dhcp_build(packet, DHCP_REQUEST, 7, MAC, &offered) == DHCP_PACKET);
    CHECK(!memcmp(packet + OPTIONS, "\x35\x01\x03", 3) && packet[MESSAGE] == 1);
    CHECK(memmem(packet, sizeof packet, "\x32\x04\x0a\x00\x02\x0f\x36\x04\x0a\x00\x02\x02\xff", 13) != NULL);
}

int main(void)
{
    test_torn_frames();
    test_bad_frames();
    test_random_bytes();
    test_records();
    test_payload();
    test_values();
    test_queue();
    test_users();
    test_dhcp();
    printf("%d checks failed\n", failures);
    return failures != 0;
}
