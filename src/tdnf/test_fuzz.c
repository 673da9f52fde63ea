/* Files of settings, for libFuzzer; without it test-fuzz FILE... tries the inputs that are kept. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "config.h"

static const char *lookup(const void *data, const char *name)
{
    return *name == 'b' ? data : NULL;
}

static void try(char *text)
{
    struct settings settings;
    struct failure failure = {0};
    struct config config;

    if (!read_settings(&settings, text, "f", &failure)) {
        if (failure.what == NULL || failure.where == NULL)
            abort();
        return;
    }
    set_defaults(&config);
    for (size_t i = 0; i < settings.count; i++) {
        char *value = replaced(settings.at[i].value, lookup, "$basearch");
        if (strcmp(settings.at[i].key, "baseurl") == 0 || strcmp(settings.at[i].key, "priority") == 0 ||
            strcmp(settings.at[i].key, "gpgcheck") == 0)
            set_main(&config, settings.at[i].key, value, "f", &failure);
        free(value);
    }
    free_settings(&settings);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *text = malloc(size + 1);

    if (text == NULL)
        abort();
    memcpy(text, data, size);
    text[size] = '\0';
    try(text);
    free(text);
    return 0;
}
