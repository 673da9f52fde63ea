#include "frame.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

char *decoder_room(struct decoder *decoder, size_t *size)
{
    if (decoder->start > 0) {
        memmove(decoder->bytes, decoder->bytes + decoder->start, decoder->end - decoder->start);
        decoder->end -= decoder->start;
        decoder->start = 0;
    }
    *size = sizeof decoder->bytes - decoder->end;
    return decoder->bytes + decoder->end;
}

void decoder_add(struct decoder *decoder, size_t size)
{
    decoder->end += size;
}

void decoder_reset(struct decoder *decoder)
{
    decoder->start = decoder->end = 0;
}

enum decoded decoder_next(struct decoder *decoder, struct frame *frame)
{
    const uint8_t *head = (const uint8_t *)decoder->bytes + decoder->start;
    size_t have = decoder->end - decoder->start;

    if (have < HEADER_SIZE)
        return DECODED_NONE;
    uint32_t size = head[0] | (uint32_t)head[1] << 8 | (uint32_t)head[2] << 16 | (uint32_t)head[3] << 24;
    if (size > MAX_PAYLOAD || head[5] != 0)
        return DECODED_BAD;
    if (have < HEADER_SIZE + size)
        return DECODED_NONE;
    frame->type = head[4];
    frame->process = (uint16_t)(head[6] | head[7] << 8);
    frame->size = size;
    frame->payload = decoder->bytes + decoder->start + HEADER_SIZE;
    decoder->start += HEADER_SIZE + size;
    return DECODED_FRAME;
}

void encode_header(char header[static HEADER_SIZE], uint8_t type, uint16_t process, size_t size)
{
    for (int at = 0; at < 4; at++)
        header[at] = (char)(size >> 8 * at);
    header[4] = (char)type;
    header[5] = 0;
    header[6] = (char)process;
    header[7] = (char)(process >> 8);
}

bool records_valid(const char *payload, size_t size)
{
    if (size > 0 && payload[size - 1] != '\0')
        return false;
    for (const char *at = payload; at < payload + size; at += strlen(at) + 1) {
        const char *equals = strchr(at, '=');
        if (equals == NULL || equals == at)
            return false;
    }
    return true;
}

struct records records_of(const struct frame *frame)
{
    return (struct records){frame->payload, frame->payload + frame->size};
}

bool records_next(struct records *records, const char **key, const char **value)
{
    if (records->at >= records->end)
        return false;
    char *record = records->at;
    records->at += strlen(record) + 1;
    char *equals = strchr(record, '=');
    *equals = '\0';
    *key = record;
    *value = equals + 1;
    return true;
}

void payload_add(struct payload *payload, const char *key, const char *format, ...)
{
    size_t room = sizeof payload->bytes - payload->size;
    int count = snprintf(payload->bytes + payload->size, room, "%s=", key);

    if (count < 0 || (size_t)count + 1 >= room)
        return;
    size_t used = (size_t)count;
    va_list arguments;
    va_start(arguments, format);
    count = vsnprintf(payload->bytes + payload->size + used, room - used, format, arguments);
    va_end(arguments);
    if (count < 0)
        return;
    used += (size_t)count < room - used ? (size_t)count : room - used - 1;
    payload->size += used + 1;
}

bool parse_number(const char *text, uint64_t most, uint64_t *number)
{
    uint64_t value = 0;

    if (*text == '\0')
        return false;
    for (; *text; text++) {
        if (*text < '0' || *text > '9')
            return false;
        uint64_t digit = (uint64_t)(*text - '0');
        if (value > (UINT64_MAX - digit) / 10)
            return false;
        value = value * 10 + digit;
    }
    *number = value;
    return value <= most;
}

static int hex_digit(char digit)
{
    if (digit >= '0' && digit <= '9')
        return digit - '0';
    if (digit >= 'a' && digit <= 'f')
        return digit - 'a' + 10;
    if (digit >= 'A' && digit <= 'F')
        return digit - 'A' + 10;
    return -1;
}

bool parse_hex(const char *text, uint8_t *bytes, size_t room, size_t *size)
{
    *size = 0;
    for (; *text; text += 2) {
        int high = hex_digit(text[0]), low = high < 0 ? -1 : hex_digit(text[1]);
        if (low < 0 || *size == room)
            return false;
        bytes[(*size)++] = (uint8_t)(high << 4 | low);
    }
    return true;
}

bool parse_mac(const char *text, uint8_t mac[static 6])
{
    if (strlen(text) != 17)
        return false;
    for (int at = 0; at < 6; at++, text += 3) {
        int high = hex_digit(text[0]), low = hex_digit(text[1]);
        if (high < 0 || low < 0 || (at < 5 && text[2] != ':'))
            return false;
        mac[at] = (uint8_t)(high << 4 | low);
    }
    return true;
}
