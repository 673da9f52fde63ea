#include "json.h"

#include <stdbool.h>
#include <stdio.h>

enum { DEEPEST = 16 };
static bool filled[DEEPEST];
static int depth;
static bool after_key;

static void begin_value(void)
{
    if (!after_key && depth > 0 && filled[depth])
        putchar(',');
    filled[depth] = true;
    after_key = false;
}

void json_open(char bracket)
{
    begin_value();
    putchar(bracket);
    if (depth + 1 < DEEPEST)
        depth++;
    filled[depth] = false;
}

void json_close(char bracket)
{
    putchar(bracket);
    if (--depth == 0)
        putchar('\n');
}

static void quoted(const char *text)
{
    putchar('"');
    for (const unsigned char *at = (const unsigned char *)text; *at; at++) {
        if (*at == '"' || *at == '\\')
            printf("\\%c", *at);
        else if (*at == '\n')
            fputs("\\n", stdout);
        else if (*at == '\t')
            fputs("\\t", stdout);
        else if (*at < 0x20 || *at == 0x7f)
            printf("\\u%04x", *at);
        else
            putchar(*at);
    }
    putchar('"');
}

void json_key(const char *key)
{
    begin_value();
    quoted(key);
    putchar(':');
    after_key = true;
}

void json_string(const char *text)
{
    begin_value();
    quoted(text ? text : "");
}

void json_number(long long number)
{
    begin_value();
    printf("%lld", number);
}

void json_bool(int value)
{
    begin_value();
    fputs(value ? "true" : "false", stdout);
}

void json_field(const char *key, const char *text)
{
    json_key(key);
    json_string(text);
}

void json_count(const char *key, long long number)
{
    json_key(key);
    json_number(number);
}
