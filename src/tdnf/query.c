#include "query.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <solv/dataiterator.h>
#include <solv/evr.h>

#include "json.h"
#include "select.h"
#include "show.h"
#include "updateinfo.h"

void upgrades(struct context *context, Queue *packages)
{
    Pool *pool = context->pool;
    Queue available, installed;

    queue_init(&available);
    queue_init(&installed);
    all_packages(context, false, true, &available);
    all_packages(context, true, false, &installed);
    sort_packages(pool, &available);
    sort_packages(pool, &installed);
    keep_newest(pool, &available);
    keep_newest(pool, &installed);
    for (int i = 0, j = 0; i < available.count; i++) {
        const Solvable *new = &pool->solvables[available.elements[i]];
        while (j < installed.count &&
               strcmp(name_of(pool, installed.elements[j]), name_of(pool, available.elements[i])) < 0)
            j++;
        for (int k = j; k < installed.count && pool->solvables[installed.elements[k]].name == new->name; k++) {
            const Solvable *old = &pool->solvables[installed.elements[k]];
            if (old->arch == new->arch && pool_evrcmp(pool, new->evr, old->evr, EVRCMP_COMPARE) > 0)
                queue_push(packages, available.elements[i]);
        }
    }
    queue_free(&available);
    queue_free(&installed);
}

static bool is_same_installed(const struct context *context, const Queue *others, Id p)
{
    const Pool *pool = context->pool;

    for (int i = 0; i < others->count; i++) {
        const Solvable *one = &pool->solvables[others->elements[i]], *this = &pool->solvables[p];
        if (one->name == this->name && one->evr == this->evr && one->arch == this->arch)
            return true;
    }
    return false;
}

/* Installed, and in no repository. */
static void extras(struct context *context, Queue *packages)
{
    Queue available, installed;

    queue_init(&available);
    queue_init(&installed);
    all_packages(context, false, true, &available);
    all_packages(context, true, false, &installed);
    for (int i = 0; i < installed.count; i++)
        if (!is_same_installed(context, &available, installed.elements[i]))
            queue_push(packages, installed.elements[i]);
    queue_free(&available);
    queue_free(&installed);
}

/* Of a queue only what the words name. */
static void keep_named(struct context *context, const struct strings *words, size_t from, Queue *packages)
{
    Queue named, kept;

    if (words->count <= from)
        return;
    queue_init(&named);
    queue_init(&kept);
    for (size_t i = from; i < words->count; i++) {
        Queue one;
        queue_init(&one);
        select_names(context, words->at[i], BOTH_SIDES, &one);
        for (int j = 0; j < one.count; j++)
            queue_push(&named, one.elements[j]);
        queue_free(&one);
    }
    Map map;
    map_init(&map, context->pool->nsolvables);
    for (int i = 0; i < named.count; i++)
        MAPSET(&map, named.elements[i]);
    for (int i = 0; i < packages->count; i++)
        if (MAPTST(&map, packages->elements[i]))
            queue_push(&kept, packages->elements[i]);
    map_free(&map);
    queue_free(&named);
    queue_free(packages);
    *packages = kept;
}

/* The scope may be a word as well, as dnf has it: list installed, list available. */
static size_t take_scope(struct options *options)
{
    struct {
        const char *word;
        bool *flag;
    } scopes[] = {{"installed", &options->installed}, {"available", &options->available},
                  {"upgrades", &options->upgrades},   {"updates", &options->upgrades},
                  {"extras", &options->extras},       {"all", &options->all}};

    for (size_t i = 0; options->words.count > 1 && i < sizeof scopes / sizeof *scopes; i++)
        if (strcmp(options->words.at[1], scopes[i].word) == 0) {
            *scopes[i].flag = true;
            return 2;
        }
    return 1;
}

int list_command(struct context *context)
{
    struct options *options = &context->options;
    size_t from = take_scope(options);
    Queue packages;

    open_packages(context, true, options->installed ? NO_REPOS : AS_SET);
    queue_init(&packages);
    if (options->upgrades)
        upgrades(context, &packages);
    else if (options->extras)
        extras(context, &packages);
    else
        all_packages(context, !options->available, !options->installed, &packages);
    keep_named(context, &options->words, from, &packages);
    sort_packages(context->pool, &packages);
    if (packages.count == 0 && options->words.count > from && !json_wanted(context))
        stop_for(FAILED, options->words.at[from], "tdnf search WORD looks into summaries, too", "no package matches");
    if (strcmp(options->words.at[0], "info") == 0)
        show_info(context, &packages);
    else
        show_list(context, &packages);
    return DONE;
}

int search_command(struct context *context)
{
    static const Id keys[] = {SOLVABLE_NAME, SOLVABLE_SUMMARY, SOLVABLE_DESCRIPTION};
    const struct strings *words = &context->options.words;
    Queue all, found;

    if (words->count < 2)
        stop_for(USAGE, "search", "tdnf search WORD...", "which word?");
    open_packages(context, true, AS_SET);
    queue_init(&all);
    queue_init(&found);
    all_packages(context, true, true, &all);
    sort_packages(context->pool, &all);
    keep_newest(context->pool, &all);
    for (int i = 0; i < all.count; i++) {
        bool good = true;
        for (size_t w = 1; w < words->count && good; w++) {
            good = false;
            for (size_t k = 0; k < sizeof keys / sizeof *keys; k++)
                good |= strcasestr(text_field(context, all.elements[i], keys[k]), words->at[w]) != NULL;
        }
        if (good)
            queue_push(&found, all.elements[i]);
    }
    if (found.count == 0 && !json_wanted(context))
        stop_for(FAILED, words->at[1], "fewer words find more", "no package matches");
    show_summaries(context, &found);
    return DONE;
}

int provides_command(struct context *context)
{
    const struct strings *words = &context->options.words;
    Queue selection, packages;

    if (words->count < 2)
        stop_for(USAGE, "provides", "tdnf provides NAME|FILE", "what?");
    open_packages(context, true, AS_SET);
    queue_init(&selection);
    queue_init(&packages);
    if (*words->at[1] == '/')
        need_filelists(context);
    select_word(context, words->at[1], BOTH_SIDES, &selection);
    packages_in(context, &selection, &packages);
    sort_packages(context->pool, &packages);
    if (packages.count == 0 && !json_wanted(context))
        stop_for(FAILED, words->at[1], "a file is given with its whole path; globs are understood",
                 "nothing provides it");
    if (json_wanted(context))
        json_open('[');
    for (int i = 0; i < packages.count; i++) {
        Id p = packages.elements[i];
        if (json_wanted(context)) {
            json_open('{');
            json_package(context, p);
            json_field("Summary", text_field(context, p, SOLVABLE_SUMMARY));
            json_close('}');
        } else {
            printf("%s : %s\nRepo\t : %s\n", nevra_of(context->pool, p), text_field(context, p, SOLVABLE_SUMMARY),
                   origin_of(context->pool, p));
        }
    }
    if (json_wanted(context))
        json_close(']');
    return DONE;
}

int check_update_command(struct context *context)
{
    const struct options *options = &context->options;
    Queue packages;

    open_packages(context, true, AS_SET);
    queue_init(&packages);
    if (options->security || options->bugfix || options->enhancement || options->cves.count ||
        options->advisories.count || options->severities.count)
        advised_packages(context, &packages);
    else
        upgrades(context, &packages);
    keep_named(context, &options->words, 1, &packages);
    show_list(context, &packages);
    return packages.count ? UPDATES : DONE;
}

int count_command(struct context *context)
{
    Queue all;

    open_packages(context, true, AS_SET);
    queue_init(&all);
    all_packages(context, true, true, &all);
    if (json_wanted(context))
        printf("%d\n", all.count);
    else
        printf("Package count = %d\n", all.count);
    return DONE;
}

int repolist_command(struct context *context)
{
    const struct options *options = &context->options;
    const char *scope = options->words.count > 1 ? options->words.at[1] : options->all ? "all" : "enabled";

    if (json_wanted(context))
        json_open('[');
    else
        printf("%-20s%-40s%-10s\n", "repo id", "repo name", "status");
    for (size_t i = 0; i < context->config->repo_count; i++) {
        const struct repo_config *repo = &context->config->repos[i];
        if (strcmp(scope, "all") && repo->enabled != (strcmp(scope, "disabled") != 0))
            continue;
        if (json_wanted(context)) {
            json_open('{');
            json_field("Repo", repo->id);
            json_field("RepoName", repo->name);
            json_key("Enabled");
            json_bool(repo->enabled);
            json_close('}');
        } else {
            printf("%-20s%-40s%-10s\n", repo->id, repo->name, repo->enabled ? "enabled" : "disabled");
        }
    }
    if (json_wanted(context))
        json_close(']');
    return DONE;
}
