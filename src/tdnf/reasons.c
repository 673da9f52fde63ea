#include "reasons.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { MOST = 4 << 20 };

static char *path_of(const struct context *context)
{
    return text_of("%s/automatic", context->config->persistdir);
}

struct strings read_automatic(const struct context *context)
{
    struct strings names = {0};
    char *text = read_file(path_of(context), MOST, NULL);

    if (text)
        add_words(&names, text);
    free(text);
    return names;
}

bool write_automatic(const struct context *context, const struct strings *names, struct failure *failure)
{
    char *text = NULL, *path = path_of(context);
    struct strings sorted = {0};
    size_t size = 0;

    for (size_t i = 0; i < names->count; i++)
        if (!has_string(&sorted, names->at[i]))
            add_string(&sorted, names->at[i]);
    sort_strings(&sorted);
    FILE *file = open_memstream(&text, &size);
    for (size_t i = 0; i < sorted.count; i++)
        fprintf(file, "%s\n", sorted.at[i]);
    fclose(file);
    bool good = write_file(path, text, size) || fail(failure, path, NULL, "cannot be written: %s", strerror(errno));
    free(text);
    return good;
}
