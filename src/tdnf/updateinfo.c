#include "updateinfo.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <solv/dataiterator.h>
#include <solv/evr.h>

#include "json.h"
#include "select.h"
#include "show.h"

/* One package of one advisory, for a package that is installed in a lower version. */
struct advice {
    Id advisory, name, evr, arch;
};

struct advices {
    struct advice *at;
    size_t count;
};

static void read_all(struct context *context)
{
    struct failure failure;
    bool more = false;

    for (size_t i = 0; i < context->repo_count; i++) {
        more |= !context->repos[i].loaded_updateinfo;
        if (!load_updateinfo(context, &context->repos[i], &failure))
            stop(FAILED, &failure);
    }
    if (more)
        index_packages(context);
}

static const char *id_of(const struct context *context, Id advisory)
{
    return name_of(context->pool, advisory) + strlen("patch:");
}

/* All references of a kind, as one text. */
static struct strings references(const struct context *context, Id advisory, const char *kind)
{
    struct strings found = {0};
    Dataiterator di;

    dataiterator_init(&di, context->pool, 0, advisory, UPDATE_REFERENCE, NULL, 0);
    while (dataiterator_step(&di)) {
        dataiterator_setpos(&di);
        const char *type = pool_lookup_str(context->pool, SOLVID_POS, UPDATE_REFERENCE_TYPE);
        const char *id = pool_lookup_str(context->pool, SOLVID_POS, UPDATE_REFERENCE_ID);
        if (type && id && strcasecmp(type, kind) == 0)
            add_string(&found, copy_text(id));
    }
    dataiterator_free(&di);
    return found;
}

static bool is_asked_for(const struct context *context, Id advisory)
{
    const struct options *options = &context->options;
    const char *kind = text_field(context, advisory, SOLVABLE_PATCHCATEGORY);
    const char *severity = text_field(context, advisory, UPDATE_SEVERITY);

    if (options->security || options->bugfix || options->enhancement || options->newpackage) {
        bool good = (options->security && strcmp(kind, "security") == 0) ||
                    (options->bugfix && strcmp(kind, "bugfix") == 0) ||
                    (options->enhancement && strcmp(kind, "enhancement") == 0) ||
                    (options->newpackage && strcmp(kind, "newpackage") == 0);
        if (!good)
            return false;
    }
    if (options->advisories.count && !has_string(&options->advisories, id_of(context, advisory)))
        return false;
    if (options->severities.count) {
        bool good = false;
        for (size_t i = 0; i < options->severities.count; i++)
            good |= strcasecmp(options->severities.at[i], severity) == 0;
        if (!good)
            return false;
    }
    if (options->cves.count) {
        struct strings cves = references(context, advisory, "cve");
        bool good = false;
        for (size_t i = 0; i < cves.count; i++)
            good |= has_string(&options->cves, cves.at[i]);
        return good;
    }
    return true;
}

/* The installed package of this name and architecture that has, or has not, this version yet. */
static bool applies(const struct context *context, const struct advice *advice, bool fixed)
{
    Pool *pool = context->pool;

    for (Id p = pool->installed->start; p < pool->installed->end; p++) {
        const Solvable *one = &pool->solvables[p];
        if (one->repo == pool->installed && one->name == advice->name && one->arch == advice->arch &&
            (pool_evrcmp(pool, one->evr, advice->evr, EVRCMP_COMPARE) >= 0) == fixed)
            return true;
    }
    return false;
}

/* `fixed`: those that are installed in that version, or a later one, instead. */
static struct advices advices(struct context *context, bool fixed, bool all)
{
    Pool *pool = context->pool;
    struct advices found = {0};
    Id advisory;

    read_all(context);
    for (advisory = 2; advisory < pool->nsolvables; advisory++) {
        Dataiterator di;
        if (pool->solvables[advisory].repo == NULL || strncmp(name_of(pool, advisory), "patch:", 6) ||
            !is_asked_for(context, advisory))
            continue;
        dataiterator_init(&di, pool, 0, advisory, UPDATE_COLLECTION, NULL, 0);
        while (dataiterator_step(&di)) {
            dataiterator_setpos(&di);
            struct advice one = {.advisory = advisory,
                                 .name = pool_lookup_id(pool, SOLVID_POS, UPDATE_COLLECTION_NAME),
                                 .evr = pool_lookup_id(pool, SOLVID_POS, UPDATE_COLLECTION_EVR),
                                 .arch = pool_lookup_id(pool, SOLVID_POS, UPDATE_COLLECTION_ARCH)};
            if (one.name && one.evr && one.arch && (all || applies(context, &one, fixed))) {
                found.at = allocate(found.at, (found.count + 1) * sizeof *found.at);
                found.at[found.count++] = one;
            }
        }
        dataiterator_free(&di);
    }
    return found;
}

void advised_packages(struct context *context, Queue *packages)
{
    Pool *pool = context->pool;
    struct advices found = advices(context, false, false);
    Queue available;

    queue_init(&available);
    all_packages(context, false, true, &available);
    sort_packages(pool, &available);
    for (size_t i = 0; i < found.count; i++)
        for (int j = 0; j < available.count; j++) {
            const Solvable *one = &pool->solvables[available.elements[j]];
            if (one->name == found.at[i].name && one->arch == found.at[i].arch && one->evr == found.at[i].evr)
                queue_pushunique(packages, available.elements[j]);
        }
    queue_free(&available);
    sort_packages(pool, packages);
    keep_newest(pool, packages);
}

static void json_advisory(const struct context *context, const struct advices *found, size_t first)
{
    Id advisory = found->at[first].advisory;
    struct strings cves = references(context, advisory, "cve");

    json_open('{');
    json_field("Type", text_field(context, advisory, SOLVABLE_PATCHCATEGORY));
    json_field("UpdateID", id_of(context, advisory));
    json_field("Severity", text_field(context, advisory, UPDATE_SEVERITY));
    json_field("Summary", text_field(context, advisory, SOLVABLE_SUMMARY));
    json_field("Description", text_field(context, advisory, SOLVABLE_DESCRIPTION));
    json_key("CVEs");
    json_open('[');
    for (size_t i = 0; i < cves.count; i++)
        json_string(cves.at[i]);
    json_close(']');
    json_key("Packages");
    json_open('[');
    for (size_t i = first; i < found->count && found->at[i].advisory == advisory; i++)
        json_string(text_of("%s-%s.%s", pool_id2str(context->pool, found->at[i].name),
                            pool_id2str(context->pool, found->at[i].evr),
                            pool_id2str(context->pool, found->at[i].arch)));
    json_close(']');
    json_close('}');
}

static void show_advisory(const struct context *context, const struct advices *found, size_t first)
{
    Id advisory = found->at[first].advisory;
    struct strings cves = references(context, advisory, "cve");

    printf("       Name : %s\n  Update ID : %s\n       Type : %s\n   Severity : %s\n",
           text_field(context, advisory, SOLVABLE_SUMMARY), id_of(context, advisory),
           text_field(context, advisory, SOLVABLE_PATCHCATEGORY), text_field(context, advisory, UPDATE_SEVERITY));
    for (size_t i = 0; i < cves.count; i++)
        printf("        CVE : %s\n", cves.at[i]);
    printf("Description : %s\n", text_field(context, advisory, SOLVABLE_DESCRIPTION));
    for (size_t i = first; i < found->count && found->at[i].advisory == advisory; i++)
        printf("    Package : %s-%s.%s\n", pool_id2str(context->pool, found->at[i].name),
               pool_id2str(context->pool, found->at[i].evr), pool_id2str(context->pool, found->at[i].arch));
    printf("\n");
}

static void show_line(const struct context *context, const struct advice *one)
{
    const char *severity = text_field(context, one->advisory, UPDATE_SEVERITY);
    const char *kind = text_field(context, one->advisory, SOLVABLE_PATCHCATEGORY);

    printf("%-20s %s%s%-14s %s-%s.%s\n", id_of(context, one->advisory), severity, *severity ? "/" : "", kind,
           pool_id2str(context->pool, one->name), pool_id2str(context->pool, one->evr),
           pool_id2str(context->pool, one->arch));
}

static void show_summary(const struct context *context, const struct advices *found)
{
    static const char *const kinds[] = {"security", "bugfix", "enhancement", "newpackage"};

    if (json_wanted(context))
        json_open('{');
    for (size_t k = 0; k < sizeof kinds / sizeof *kinds; k++) {
        long long count = 0;
        for (size_t i = 0; i < found->count; i++)
            count += (i == 0 || found->at[i].advisory != found->at[i - 1].advisory) &&
                     strcmp(text_field(context, found->at[i].advisory, SOLVABLE_PATCHCATEGORY), kinds[k]) == 0;
        if (json_wanted(context))
            json_count(kinds[k], count);
        else
            printf("%lld %s notice(s)\n", count, kinds[k]);
    }
    if (json_wanted(context))
        json_close('}');
}

int updateinfo_command(struct context *context)
{
    struct options *options = &context->options;
    bool summary = options->summary;

    open_packages(context, true, AS_SET);
    for (size_t i = 1; i < options->words.count; i++) {
        const char *word = options->words.at[i];
        if (strcmp(word, "list") == 0)
            options->list = true;
        else if (strcmp(word, "info") == 0)
            options->info = true;
        else if (strcmp(word, "summary") == 0)
            summary = true;
        else
            add_words(&options->advisories, word);
    }
    struct advices found = advices(context, options->installed, options->all);
    if (summary || (!options->list && !options->info)) {
        show_summary(context, &found);
        return DONE;
    }
    if (json_wanted(context))
        json_open('[');
    for (size_t i = 0; i < found.count; i++) {
        bool first = i == 0 || found.at[i].advisory != found.at[i - 1].advisory;
        if (json_wanted(context) && first)
            json_advisory(context, &found, i);
        else if (!json_wanted(context) && options->info && first)
            show_advisory(context, &found, i);
        else if (!json_wanted(context) && !options->info)
            show_line(context, &found.at[i]);
    }
    if (json_wanted(context))
        json_close(']');
    return DONE;
}
