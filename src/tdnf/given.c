#include "given.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "fetch.h"
#include "packages.h"

static const long long MOST_OF_A_PACKAGE = 4LL << 30;

static bool is_address(const char *word)
{
    return starts_with(word, "http://") || starts_with(word, "https://") || starts_with(word, "ftp://") ||
           starts_with(word, "file://");
}

bool is_given(const char *word)
{
    return ends_with(word, ".rpm") && (is_address(word) || access(word, F_OK) == 0);
}

static char *folder_of(const struct context *context)
{
    return text_of("%s/@commandline", context->config->cachedir);
}

static char *fetch_package(struct context *context, const char *url, size_t number)
{
    struct mirrors mirrors = {.repo = &context->config->defaults};
    char *base = copy_text(strrchr(url, '/') + 1);
    struct download download = {.mirrors = &mirrors,
                                .path = (char *)"",
                                .target = text_of("%s/%zu-%s", folder_of(context), number, base),
                                .label = context->options.quiet ? NULL : base,
                                .most = MOST_OF_A_PACKAGE};
    struct failure failure = {0};

    if (!make_directories(folder_of(context)))
        stop_for(FAILED, folder_of(context), errno == ENOSPC ? "make room" : NULL, "cannot be made: %s",
                 strerror(errno));
    add_string(&mirrors.urls, copy_text(url));
    if (!fetch_all(context->config, &download, 1, &failure))
        stop(FAILED, &failure);
    return download.target;
}

void read_given(struct context *context, Queue *given)
{
    const struct strings *words = &context->options.words;

    queue_init(given);
    for (size_t i = 1; i < words->count; i++) {
        const char *word = words->at[i];
        if (!is_given(word))
            continue;
        bool fetched = is_address(word);
        queue_push(given, add_package_file(context, fetched ? fetch_package(context, word, i) : word, fetched));
    }
    if (given->count)
        index_packages(context);
}

void drop_given(const struct context *context)
{
    if (!context->config->keepcache)
        remove_tree(folder_of(context));
}
