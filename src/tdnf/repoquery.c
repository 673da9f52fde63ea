/* repoquery: which packages, and what of them. */
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <solv/dataiterator.h>
#include <solv/solver.h>

#include "json.h"
#include "query.h"
#include "select.h"
#include "show.h"
#include "store.h"

struct relation {
    const char *option, *json_name;
    Id key, marker; /* marker: what is before it, or only behind it, as libsolv keeps Requires(pre) */
};

static const struct relation relations[] = {
    {"provides", "Provides", SOLVABLE_PROVIDES, -SOLVABLE_FILEMARKER},
    {"requires", "Requires", SOLVABLE_REQUIRES, 0},
    {"requires-pre", "RequiresPre", SOLVABLE_REQUIRES, SOLVABLE_PREREQMARKER},
    {"obsoletes", "Obsoletes", SOLVABLE_OBSOLETES, 0},
    {"conflicts", "Conflicts", SOLVABLE_CONFLICTS, 0},
    {"recommends", "Recommends", SOLVABLE_RECOMMENDS, 0},
    {"suggests", "Suggests", SOLVABLE_SUGGESTS, 0},
    {"supplements", "Supplements", SOLVABLE_SUPPLEMENTS, 0},
    {"enhances", "Enhances", SOLVABLE_ENHANCES, 0},
};

/* The dependencies of one kind, or of all that "depends" means, as text. */
static struct strings related(struct context *context, Id p, const char *kind)
{
    static const char *const depends[] = {"requires", "recommends", "suggests", "supplements", "enhances"};
    struct strings found = {0};
    Queue ids;

    if (strcmp(kind, "depends") == 0) {
        for (size_t i = 0; i < sizeof depends / sizeof *depends; i++) {
            struct strings some = related(context, p, depends[i]);
            for (size_t j = 0; j < some.count; j++)
                add_string(&found, some.at[j]);
        }
        return found;
    }
    for (size_t i = 0; i < sizeof relations / sizeof *relations; i++) {
        if (strcmp(relations[i].option, kind) != 0)
            continue;
        queue_init(&ids);
        solvable_lookup_deparray(pool_id2solvable(context->pool, p), relations[i].key, &ids, relations[i].marker);
        for (int j = 0; j < ids.count; j++)
            if (ids.elements[j] != SOLVABLE_PREREQMARKER && ids.elements[j] != SOLVABLE_FILEMARKER)
                add_string(&found, copy_text(pool_dep2str(context->pool, ids.elements[j])));
        queue_free(&ids);
    }
    return found;
}

static struct strings files_of(struct context *context, Id p)
{
    struct strings found = {0};
    Dataiterator di;

    dataiterator_init(&di, context->pool, context->pool->solvables[p].repo, p, SOLVABLE_FILELIST, NULL,
                      SEARCH_FILES | SEARCH_COMPLETE_FILELIST);
    while (dataiterator_step(&di))
        add_string(&found, copy_text(di.kv.str));
    dataiterator_free(&di);
    sort_strings(&found);
    return found;
}

static struct strings changes_of(struct context *context, Id p)
{
    struct strings found = {0};
    Dataiterator di;

    dataiterator_init(&di, context->pool, context->pool->solvables[p].repo, p, SOLVABLE_CHANGELOG, NULL, 0);
    while (dataiterator_step(&di)) {
        char day[32];
        dataiterator_setpos(&di);
        time_t then = (time_t)pool_lookup_num(context->pool, SOLVID_POS, SOLVABLE_CHANGELOG_TIME, 0);
        const char *author = pool_lookup_str(context->pool, SOLVID_POS, SOLVABLE_CHANGELOG_AUTHOR);
        const char *text = pool_lookup_str(context->pool, SOLVID_POS, SOLVABLE_CHANGELOG_TEXT);
        strftime(day, sizeof day, "%a %b %d %Y", gmtime(&then));
        add_string(&found, text_of("* %s %s\n%s", day, author ? author : "", text ? text : ""));
    }
    dataiterator_free(&di);
    return found;
}

static char *source_of(struct context *context, Id p)
{
    Solvable *one = pool_id2solvable(context->pool, p);
    const char *name = solvable_lookup_str(one, SOLVABLE_SOURCENAME),
               *evr = solvable_lookup_str(one, SOLVABLE_SOURCEEVR);

    return text_of("%s-%s.%s.rpm", name ? name : name_of(context->pool, p), evr ? evr : evr_of(context->pool, p),
                   solvable_lookup_str(one, SOLVABLE_SOURCEARCH) ? solvable_lookup_str(one, SOLVABLE_SOURCEARCH)
                                                                 : "src");
}

/* One tag of --qf, as dnf names them. */
static const char *tag_of(struct context *context, Id p, const char *tag)
{
    char *evr = copy_text(evr_of(context->pool, p)), *colon = strchr(evr, ':'), *dash = strrchr(evr, '-');

    if (strcmp(tag, "name") == 0)
        return name_of(context->pool, p);
    if (strcmp(tag, "arch") == 0)
        return arch_of(context->pool, p);
    if (strcmp(tag, "evr") == 0)
        return evr;
    if (strcmp(tag, "release") == 0)
        return dash ? dash + 1 : "";
    if (dash)
        *dash = '\0';
    if (strcmp(tag, "version") == 0)
        return colon ? colon + 1 : evr;
    if (strcmp(tag, "epoch") == 0)
        return colon ? copy_part(evr, (size_t)(colon - evr)) : "0";
    if (strcmp(tag, "repoid") == 0 || strcmp(tag, "reponame") == 0)
        return origin_of(context->pool, p);
    if (strcmp(tag, "nevra") == 0)
        return nevra_of(context->pool, p);
    if (strcmp(tag, "summary") == 0)
        return text_field(context, p, SOLVABLE_SUMMARY);
    if (strcmp(tag, "license") == 0)
        return text_field(context, p, SOLVABLE_LICENSE);
    if (strcmp(tag, "url") == 0)
        return text_field(context, p, SOLVABLE_URL);
    if (strcmp(tag, "sourcerpm") == 0)
        return source_of(context, p);
    if (strcmp(tag, "installsize") == 0 || strcmp(tag, "size") == 0)
        return text_of("%llu", solvable_lookup_num(pool_id2solvable(context->pool, p),
                                                   *tag == 'i' ? SOLVABLE_INSTALLSIZE : SOLVABLE_DOWNLOADSIZE, 0));
    return NULL;
}

static void print_format(struct context *context, Id p, const char *format)
{
    for (const char *at = format; *at; at++) {
        const char *end = at[0] == '%' && at[1] == '{' ? strchr(at, '}') : NULL;
        const char *value = end ? tag_of(context, p, copy_part(at + 2, (size_t)(end - at - 2))) : NULL;
        if (value) {
            fputs(value, stdout);
            at = end;
        } else if (at[0] == '\\' && at[1] == 'n') {
            putchar('\n');
            at++;
        } else if (at[0] == '\\' && at[1] == 't') {
            putchar('\t');
            at++;
        } else {
            putchar(*at);
        }
    }
    if (!strstr(format, "\\n"))
        putchar('\n');
}

/* "name", or "name >= version". */
static Id dependency_of(Pool *pool, const char *text)
{
    struct strings words = {0};
    int flags = 0;

    add_words(&words, text);
    if (words.count != 3)
        return pool_str2id(pool, text, 1);
    for (const char *at = words.at[1]; *at; at++)
        flags |= *at == '<' ? REL_LT : *at == '>' ? REL_GT : *at == '=' ? REL_EQ : 0;
    return pool_rel2id(pool, pool_str2id(pool, words.at[0], 1), pool_str2id(pool, words.at[2], 1), flags, 1);
}

static bool has_relation(struct context *context, Id p, Id key, const struct strings *wanted)
{
    Pool *pool = context->pool;

    for (size_t i = 0; i < wanted->count; i++) {
        Id dependency = dependency_of(pool, wanted->at[i]), provider, place;
        if (solvable_matchesdep(pool_id2solvable(context->pool, p), key, dependency, 0))
            return true;
        /* Also what is required by another name that such a package provides. */
        if (key != SOLVABLE_REQUIRES && key != SOLVABLE_RECOMMENDS)
            continue;
        FOR_PROVIDES(provider, place, dependency)
        if (solvable_matchessolvable(pool_id2solvable(context->pool, p), key, provider, 0, 0))
            return true;
    }
    return false;
}

static bool provides_any(struct context *context, Id p, const struct strings *wanted)
{
    for (size_t i = 0; i < wanted->count; i++) {
        Queue selection, packages;
        bool found = false;
        queue_init(&selection);
        queue_init(&packages);
        select_word(context, wanted->at[i], BOTH_SIDES, &selection);
        packages_in(context, &selection, &packages);
        for (int j = 0; j < packages.count; j++)
            found |= packages.elements[j] == p;
        queue_free(&selection);
        queue_free(&packages);
        if (found)
            return true;
    }
    return false;
}

static bool has_file(struct context *context, Id p, const struct strings *wanted)
{
    struct strings files = files_of(context, p);

    for (size_t i = 0; i < files.count; i++)
        if (has_match(wanted, files.at[i]))
            return true;
    return false;
}

static bool is_selected(struct context *context, Id p)
{
    const struct options *options = &context->options;
    const struct strings *const depends = &options->what_depends;

    return (!options->what_provides.count || provides_any(context, p, &options->what_provides)) &&
           (!options->what_requires.count || has_relation(context, p, SOLVABLE_REQUIRES, &options->what_requires)) &&
           (!options->what_obsoletes.count || has_relation(context, p, SOLVABLE_OBSOLETES, &options->what_obsoletes)) &&
           (!options->what_conflicts.count || has_relation(context, p, SOLVABLE_CONFLICTS, &options->what_conflicts)) &&
           (!options->what_recommends.count ||
            has_relation(context, p, SOLVABLE_RECOMMENDS, &options->what_recommends)) &&
           (!depends->count || has_relation(context, p, SOLVABLE_REQUIRES, depends) ||
            has_relation(context, p, SOLVABLE_RECOMMENDS, depends)) &&
           (!options->what_file.count || has_file(context, p, &options->what_file)) &&
           (!options->userinstalled || !is_automatic(context, p));
}

/* What was installed for others, and is needed by none. */
static void unneeded(struct context *context, Queue *packages)
{
    Solver *solver = solver_create(context->pool);
    Queue jobs;

    queue_init(&jobs);
    for (Id p = context->pool->installed->start; p < context->pool->installed->end; p++)
        if (context->pool->solvables[p].repo == context->pool->installed && !is_automatic(context, p))
            queue_push2(&jobs, SOLVER_SOLVABLE | SOLVER_USERINSTALLED, p);
    solver_solve(solver, &jobs);
    solver_get_unneeded(solver, packages, 0);
    solver_free(solver);
}

static void choose(struct context *context, Queue *packages)
{
    const struct options *options = &context->options;
    Queue kept, named;
    const char *last = "";

    if (options->unneeded)
        unneeded(context, packages);
    else if (options->upgrades)
        upgrades(context, packages);
    else
        all_packages(context, options->installed || options->userinstalled || options->duplicates || options->extras,
                     !options->installed && !options->userinstalled && !options->duplicates && !options->extras,
                     packages);
    sort_packages(context->pool, packages);
    if (options->latest)
        keep_newest(context->pool, packages);
    queue_init(&kept);
    queue_init(&named);
    for (size_t i = 1; i < options->words.count; i++) {
        Queue one;
        queue_init(&one);
        select_names(context, options->words.at[i], BOTH_SIDES, &one);
        for (int j = 0; j < one.count; j++)
            queue_push(&named, one.elements[j]);
        queue_free(&one);
    }
    for (int i = 0; i < packages->count; i++) {
        Id p = packages->elements[i];
        bool good = options->words.count == 1;
        for (int j = 0; j < named.count; j++)
            good |= named.elements[j] == p;
        bool same = strcmp(last, name_of(context->pool, p)) == 0 ||
                    (i + 1 < packages->count &&
                     strcmp(name_of(context->pool, packages->elements[i + 1]), name_of(context->pool, p)) == 0);
        last = name_of(context->pool, p);
        if (options->duplicates && (!same || is_installonly(context, p)))
            continue;
        if (options->extras) {
            Queue twin;
            queue_init(&twin);
            select_names(context, nevra_of(context->pool, p), AVAILABLE_SIDE, &twin);
            good &= twin.count == 0;
            queue_free(&twin);
        }
        if (good && is_selected(context, p))
            queue_push(&kept, p);
    }
    queue_free(&named);
    queue_free(packages);
    *packages = kept;
}

static void json_list(const char *key, const struct strings *list)
{
    json_key(key);
    json_open('[');
    for (size_t i = 0; i < list->count; i++)
        json_string(list->at[i]);
    json_close(']');
}

static struct strings details(struct context *context, Id p, const char **key)
{
    const struct options *options = &context->options;

    if (options->query_kind) {
        *key = "Depends";
        for (size_t i = 0; i < sizeof relations / sizeof *relations; i++)
            if (strcmp(relations[i].option, options->query_kind) == 0)
                *key = relations[i].json_name;
        return related(context, p, options->query_kind);
    }
    if (options->list) {
        *key = "Files";
        return files_of(context, p);
    }
    if (options->changelogs) {
        *key = "ChangeLogs";
        return changes_of(context, p);
    }
    return (struct strings){0};
}

static void print_all(struct context *context, const Queue *packages)
{
    const struct options *options = &context->options;
    struct strings lines = {0};

    for (int i = 0; i < packages->count; i++) {
        Id p = packages->elements[i];
        const char *key = NULL;
        struct strings more = details(context, p, &key);
        if (key)
            for (size_t j = 0; j < more.count; j++)
                add_string(&lines, more.at[j]);
        else if (options->query_format)
            print_format(context, p, options->query_format);
        else if (options->location)
            printf("%s\n", is_installed(context->pool, p) ? "" : package_url(context, p));
        else
            add_string(&lines, options->source ? source_of(context, p) : nevra_of(context->pool, p));
    }
    if (!options->changelogs)
        sort_strings(&lines);
    for (size_t i = 0; i < lines.count; i++)
        if (i == 0 || strcmp(lines.at[i], lines.at[i - 1]))
            printf("%s\n", lines.at[i]);
}

int repoquery_command(struct context *context)
{
    const struct options *options = &context->options;
    Queue packages;

    open_packages(context, true, options->installed && !options->extras ? NO_REPOS : AS_SET);
    queue_init(&packages);
    if (options->list || options->what_file.count)
        need_filelists(context);
    struct failure failure;
    for (size_t i = 0; i < context->repo_count && options->changelogs; i++)
        if (!load_other(context, &context->repos[i], &failure))
            stop(FAILED, &failure);
    choose(context, &packages);
    if (options->info) {
        show_info(context, &packages);
    } else if (!json_wanted(context)) {
        print_all(context, &packages);
    } else {
        json_open('[');
        for (int i = 0; i < packages.count; i++) {
            const char *key = NULL;
            struct strings more = details(context, packages.elements[i], &key);
            json_open('{');
            json_field("Nevra", nevra_of(context->pool, packages.elements[i]));
            json_package(context, packages.elements[i]);
            if (key)
                json_list(key, &more);
            if (options->source)
                json_field("Source", source_of(context, packages.elements[i]));
            json_close('}');
        }
        json_close(']');
    }
    return DONE;
}
