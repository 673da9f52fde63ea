/* test-fuzz SECONDS SEED: files of settings from pieces of such files and from noise, under the sanitizers. */
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "config.h"

static const char *const pieces[] = {"[",
                                     "]",
                                     "=",
                                     "\n",
                                     " ",
                                     "\t",
                                     "#",
                                     ";",
                                     "$",
                                     "{",
                                     "}",
                                     "main",
                                     "baseurl",
                                     "http://a",
                                     "${basearch}",
                                     "$releasever",
                                     "\r\n",
                                     "\xef\xbb\xbf",
                                     "1",
                                     "-1",
                                     "48h",
                                     "never",
                                     "99999999999999999999",
                                     "priority",
                                     "gpgcheck",
                                     "enabled",
                                     "\xff",
                                     ","};

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

int main(int argc, char **argv)
{
    time_t end = time(NULL) + (argc > 1 ? atoi(argv[1]) : 2);
    long tries = 0;

    srand(argc > 2 ? (unsigned int)atoi(argv[2]) : 1);
    while (time(NULL) < end) {
        char text[512] = "";
        int count = rand() % 24;
        for (int i = 0; i < count; i++) {
            if (rand() % 8 == 0)
                text[strlen(text)] = (char)(1 + rand() % 255);
            else
                strcat(text, pieces[(size_t)rand() % (sizeof pieces / sizeof *pieces)]);
        }
        try(text);
        tries++;
    }
    printf("%ld texts\n", tries);
    return 0;
}
