/* Frames and records of the protocol, docs/reference/pico-protocol.md. Nothing here reads or writes a descriptor. */
#ifndef FRAME_H
#define FRAME_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    PROTOCOL_VERSION = 1,
    HEADER_SIZE = 8,
    MAX_PAYLOAD = 64 << 10,
    WINDOW = 256 << 10,
};

enum frame_type {
    HELLO = 1,
    SETUP,
    START,
    STDIN,
    SIGNAL,
    RESIZE,
    GRANT,
    SHUTDOWN,
    PING,
    ATTACH,
    REHEARSE,
    WELCOME = 65,
    READY,
    STARTED,
    STDOUT,
    STDERR,
    EXITED,
    ERROR,
    PONG,
    CREDIT,
    DETACHED,
    TIME,
    REHEARSED,
};

struct frame {
    uint8_t type;
    uint16_t process;
    size_t size;
    char *payload;
};

/* Bytes that came in, as far as they are no whole frames yet. */
struct decoder {
    size_t start, end;
    char bytes[2 * (HEADER_SIZE + MAX_PAYLOAD)];
};

enum decoded { DECODED_NONE, DECODED_FRAME, DECODED_BAD };

/* Where the next bytes go; there is always room for one at least after decoder_next has said DECODED_NONE. */
char *decoder_room(struct decoder *decoder, size_t *size);
void decoder_add(struct decoder *decoder, size_t size);
void decoder_reset(struct decoder *decoder);
/* The next whole frame; its payload stays where it is until decoder_room is called. */
enum decoded decoder_next(struct decoder *decoder, struct frame *frame);

void encode_header(char header[static HEADER_SIZE], uint8_t type, uint16_t process, size_t size);

/* Records key=value, each ended by NUL: a walk that splits the payload in place. */
struct records {
    char *at, *end;
};

bool records_valid(const char *payload, size_t size);
struct records records_of(const struct frame *frame);
bool records_next(struct records *records, const char **key, const char **value);

/* A payload being written; too long a record is cut. */
struct payload {
    size_t size;
    char bytes[4096];
};

void payload_add(struct payload *payload, const char *key, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* Decimal digits only, at most `most`. */
bool parse_number(const char *text, uint64_t most, uint64_t *number);
/* Pairs of hexadecimal digits; false if there are more than `room` or something else. */
bool parse_hex(const char *text, uint8_t *bytes, size_t room, size_t *size);
/* Six bytes with colons in between. */
bool parse_mac(const char *text, uint8_t mac[static 6]);

#endif
