#include "ini.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

static char *trimmed(const char *begin, const char *end)
{
    while (begin < end && isspace((unsigned char)*begin))
        begin++;
    while (end > begin && isspace((unsigned char)end[-1]))
        end--;
    return copy_part(begin, (size_t)(end - begin));
}

static void go_on(struct setting *last, const char *begin, const char *end)
{
    char *more = trimmed(begin, end);
    char *whole = text_of("%s%s%s", last->value, *last->value && *more ? "\n" : "", more);

    free(last->value);
    free(more);
    last->value = whole;
}

static bool read_line(struct settings *settings, const char *begin, const char *end, const char *where, int line,
                      struct failure *failure)
{
    const char *hint = "a line is [section], key=value, or a comment that begins with #";

    if (*begin == '[') {
        const char *close = memchr(begin, ']', (size_t)(end - begin));
        char *rest = close ? trimmed(close + 1, end) : NULL;
        bool good = rest && (*rest == '\0' || *rest == '#' || *rest == ';') && close > begin + 1;
        free(rest);
        if (!good)
            return fail(failure, where, hint, "the name of a section is not closed, or empty");
        add_string(&settings->sections, trimmed(begin + 1, close));
        return true;
    }
    const char *equals = memchr(begin, '=', (size_t)(end - begin));
    if (equals == NULL || equals == begin)
        return fail(failure, where, hint, "neither a section nor a setting");
    if (settings->sections.count == 0)
        return fail(failure, where, "put [main] or the repository's id in brackets before it",
                    "a setting before the first section");
    settings->at = allocate(settings->at, (settings->count + 1) * sizeof *settings->at);
    settings->at[settings->count++] = (struct setting){.section = settings->sections.at[settings->sections.count - 1],
                                                       .key = trimmed(begin, equals),
                                                       .value = trimmed(equals + 1, end),
                                                       .line = line};
    return true;
}

bool read_settings(struct settings *settings, const char *text, const char *name, struct failure *failure)
{
    *settings = (struct settings){0};
    size_t sections = 0;
    int line = 0;

    if (starts_with(text, "\xef\xbb\xbf"))
        text += 3;
    for (const char *begin = text; *begin;) {
        const char *end = begin + strcspn(begin, "\n"), *first = begin;
        line++;
        while (first < end && isspace((unsigned char)*first))
            first++;
        if (first == end || *begin == '#' || *begin == ';') {
            ;
        } else if (first > begin && settings->count && sections == settings->sections.count) {
            if (*first != '#' && *first != ';')
                go_on(&settings->at[settings->count - 1], first, end);
        } else {
            char *where = text_of("%s:%d", name, line);
            bool good = read_line(settings, first, end, where, line, failure);
            free(where);
            if (!good) {
                free_settings(settings);
                return false;
            }
            if (settings->count && settings->at[settings->count - 1].line == line)
                sections = settings->sections.count;
        }
        begin = *end ? end + 1 : end;
    }
    return true;
}

void free_settings(struct settings *settings)
{
    for (size_t i = 0; i < settings->count; i++) {
        free(settings->at[i].key);
        free(settings->at[i].value);
    }
    for (size_t i = 0; i < settings->sections.count; i++)
        free(settings->sections.at[i]);
    free(settings->sections.at);
    free(settings->at);
    *settings = (struct settings){0};
}

bool bool_of(const char *value, bool *into)
{
    static const char *const yes[] = {"1", "yes", "true", "on", "enabled"};
    static const char *const no[] = {"0", "no", "false", "off", "disabled"};

    for (size_t i = 0; i < sizeof yes / sizeof *yes; i++)
        if (strcasecmp(value, yes[i]) == 0 || strcasecmp(value, no[i]) == 0) {
            *into = strcasecmp(value, yes[i]) == 0;
            return true;
        }
    return false;
}

/* A whole number not below zero, and one of the units; false if it is none or too large. */
static bool number_with(const char *value, const char *units, const long long *factors, long long *into)
{
    char *end;

    if (!isdigit((unsigned char)*value))
        return false;
    errno = 0;
    long long number = strtoll(value, &end, 10);
    if (errno)
        return false;
    long long factor = 1;
    if (*end) {
        const char *unit = strchr(units, *end);
        if (unit == NULL || end[1])
            return false;
        factor = factors[unit - units];
    }
    return !__builtin_mul_overflow(number, factor, into);
}

bool size_value(const char *value, long long *into)
{
    static const long long factors[] = {1024, 1024, 1 << 20, 1 << 20, 1 << 30, 1 << 30};

    return number_with(value, "kKmMgG", factors, into);
}

bool time_value(const char *value, long long *into)
{
    static const long long factors[] = {1, 60, 3600, 86400, 604800};

    if (strcasecmp(value, "never") == 0 || strcmp(value, "-1") == 0) {
        *into = -1;
        return true;
    }
    return number_with(value, "smhdw", factors, into);
}

char *replaced(const char *text, const char *(*lookup)(const void *data, const char *name), const void *data)
{
    char *out = copy_text("");

    while (*text) {
        const char *begin = text + 1 + (text[0] == '$' && text[1] == '{'), *end = begin;
        const char *value = NULL;
        if (text[0] == '$') {
            while (isalnum((unsigned char)*end) || *end == '_')
                end++;
            char *name = copy_part(begin, (size_t)(end - begin));
            if (end > begin && (text[1] != '{' || *end == '}'))
                value = lookup(data, name);
            free(name);
        }
        char *longer = value ? text_of("%s%s", out, value) : text_of("%s%c", out, *text);
        text = value ? end + (text[1] == '{') : text + 1;
        free(out);
        out = longer;
    }
    return out;
}
