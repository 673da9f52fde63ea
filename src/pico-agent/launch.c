#include "launch.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "machine.h"

enum { MAX_WORDS = 16384 };
static const char SEARCH_PATH[] = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

static void add_word(char ***words, size_t *count, const char *word)
{
    *words = allocate(*words, (*count + 2) * sizeof **words);
    (*words)[(*count)++] = copy_text(word);
    (*words)[*count] = NULL;
}

static void free_words(char **words)
{
    for (char **word = words; word != NULL && *word != NULL; word++)
        free(*word);
    free(words);
}

const char *launch_variable(const struct launch *launch, const char *name)
{
    size_t size = strlen(name);
    const char *found = NULL;

    for (size_t at = 0; at < launch->environment_count; at++)
        if (strncmp(launch->environment[at], name, size) == 0 && launch->environment[at][size] == '=')
            found = launch->environment[at] + size + 1;
    return found;
}

static void add_default(struct launch *launch, const char *name, const char *value)
{
    char text[600];

    if (launch_variable(launch, name) != NULL)
        return;
    snprintf(text, sizeof text, "%s=%s", name, value);
    add_word(&launch->environment, &launch->environment_count, text);
}

static bool yes_or_no(const char *value, bool *result)
{
    *result = strcmp(value, "yes") == 0;
    return *result || strcmp(value, "no") == 0;
}

bool launch_read(const struct frame *frame, struct launch *launch, struct failure *failure)
{
    struct records records = records_of(frame);
    const char *key, *value;

    while (records_next(&records, &key, &value)) {
        bool good = true;
        if (strcmp(key, "arg") == 0 && (good = launch->argument_count < MAX_WORDS))
            add_word(&launch->arguments, &launch->argument_count, value);
        else if (strcmp(key, "env") == 0 && (good = launch->environment_count < MAX_WORDS && strchr(value, '=')))
            add_word(&launch->environment, &launch->environment_count, value);
        else if (strcmp(key, "cwd") == 0)
            launch->cwd = *value ? value : "/";
        else if (strcmp(key, "user") == 0)
            launch->user = value;
        else if (strcmp(key, "tty") == 0)
            good = yes_or_no(value, &launch->tty);
        else if (strcmp(key, "main") == 0)
            good = yes_or_no(value, &launch->main);
        else if (strcmp(key, "stdin") == 0)
            good = yes_or_no(value, &launch->input);
        else if (strcmp(key, "rows") == 0)
            good = parse_number(value, UINT16_MAX, &launch->rows);
        else if (strcmp(key, "columns") == 0)
            good = parse_number(value, UINT16_MAX, &launch->columns);
        if (!good)
            return fail(failure, 0, "START cannot have %s=%.100s", key, value);
    }
    return true;
}

bool launch_complete(const struct frame *frame, struct launch *launch, struct failure *failure)
{
    const char *key, *value;
    struct stat status;

    if (launch->argument_count == 0 || launch->arguments[0][0] == '\0')
        return fail(failure, EINVAL, "no program to start");
    if (launch->cwd[0] != '/')
        return fail(failure, EINVAL, "the working directory %.200s is no absolute path", launch->cwd);
    if (!resolve_user(launch->user, "/etc/passwd", "/etc/group", &launch->identity, failure))
        return false;
    /* The records have been split: a key ends where its value begins. */
    for (const char *at = frame->payload, *end = at + frame->size; at < end; at = value + strlen(value) + 1) {
        key = at;
        value = key + strlen(key) + 1;
        if (strcmp(key, "group") == 0 && !add_group(value, "/etc/group", &launch->identity, failure))
            return false;
    }
    if (launch->main && launch->cwd[1] && stat(launch->cwd, &status) < 0 && errno == ENOENT &&
        !make_directories(launch->cwd, failure))
        return false;
    add_default(launch, "PATH", SEARCH_PATH);
    add_default(launch, "HOME", launch->identity.home);
    add_default(launch, "HOSTNAME", machine.hostname);
    if (launch->tty)
        add_default(launch, "TERM", "xterm");
    return true;
}

void launch_free(struct launch *launch)
{
    free_words(launch->arguments);
    free_words(launch->environment);
}
