#include "cache.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "select.h"
#include "sign.h"
#include "solve.h"
#include "store.h"

int makecache_command(struct context *context)
{
    if (geteuid() == 0)
        take_lock(context);
    open_packages(context, false, ANEW);
    if (!context->options.quiet)
        printf("Metadata cache created.\n");
    return DONE;
}

int clean_command(struct context *context)
{
    const struct strings *words = &context->options.words;
    const char *what = words->count > 1 ? words->at[1] : "all";
    bool all = strcmp(what, "all") == 0, packages = all || strcmp(what, "packages") == 0;
    bool metadata = all || strcmp(what, "metadata") == 0 || strcmp(what, "expire-cache") == 0;
    bool cached = all || strcmp(what, "dbcache") == 0 || metadata;

    if (!packages && !metadata && !cached)
        stop_for(USAGE, what, "tdnf clean [all|metadata|packages|dbcache|expire-cache]", "this cannot be cleaned");
    if (geteuid() == 0)
        take_lock(context);
    struct strings names = names_in(context->config->cachedir);
    for (size_t i = 0; i < names.count; i++) {
        char *folder = text_of("%s/%s", context->config->cachedir, names.at[i]);
        if ((packages && !remove_tree(text_of("%s/rpms", folder))) ||
            (metadata && !remove_tree(text_of("%s/repodata", folder))) ||
            (cached && !remove_tree(text_of("%s/solvcache", folder))) || (all && !remove_tree(folder)))
            stop_for(FAILED, folder, NULL, "cannot be removed: %s", strerror(errno));
    }
    if (!context->options.quiet)
        printf("Done.\n");
    return DONE;
}

/* What was named, and with --resolve or --alldeps all that it needs. */
static void chosen(struct context *context, Queue *packages)
{
    const struct strings *words = &context->options.words;
    struct failure failure;
    struct goal goal;
    struct plan plan;

    goal_begin(&goal);
    for (size_t i = 1; i < words->count; i++) {
        Queue selection, some;
        queue_init(&selection);
        queue_init(&some);
        if (!select_word(context, words->at[i], AVAILABLE_SIDE, &selection))
            stop_for(FAILED, words->at[i], "tdnf search WORD, tdnf repolist", "no package matches");
        goal_add(&goal, context, &selection, SOLVER_INSTALL);
        packages_in(context, &selection, &some);
        sort_packages(context->pool, &some);
        keep_newest(context->pool, &some);
        for (int j = 0; j < some.count; j++)
            queue_pushunique(packages, some.elements[j]);
        queue_free(&some);
        queue_free(&selection);
    }
    if (!context->options.resolve && !context->options.all_deps)
        return;
    if (!solve(context, &goal, &plan, &failure))
        stop(FAILED, &failure);
    queue_empty(packages);
    plan_incoming(&plan, packages);
}

int download_command(struct context *context)
{
    const char *folder = context->options.downloaddir ? context->options.downloaddir : ".";
    struct failure failure;
    Queue packages;

    if (context->options.words.count < 2)
        stop_for(USAGE, "download", "tdnf download PACKAGE...", "which package?");
    open_packages(context, !context->options.all_deps, AS_SET);
    queue_init(&packages);
    chosen(context, &packages);
    if (context->options.url) {
        for (int i = 0; i < packages.count; i++)
            printf("%s\n", package_url(context, packages.elements[i]));
        return DONE;
    }
    if (!make_directories(folder))
        stop_for(FAILED, folder, NULL, "cannot be made: %s", strerror(errno));
    if (!fetch_packages(context, &packages, folder, &failure))
        stop(FAILED, &failure);
    for (int i = 0; i < packages.count; i++) {
        char *path = package_path(context, packages.elements[i], folder);
        const struct repo_config *repo = repo_of(context->pool, packages.elements[i])->config;
        Header header = read_package(context, repo, path, repo->gpgcheck, &failure);
        if (header == NULL) {
            unlink(path);
            stop(FAILED, &failure);
        }
        headerFree(header);
    }
    return DONE;
}
