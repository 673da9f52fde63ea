#include "show.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "json.h"
#include "progress.h"
#include "store.h"

const char *text_field(const struct context *context, Id p, Id key)
{
    const char *text = solvable_lookup_str(pool_id2solvable(context->pool, p), key);

    return text ? text : "";
}

void json_package(const struct context *context, Id p)
{
    json_field("Name", name_of(context->pool, p));
    json_field("Arch", arch_of(context->pool, p));
    json_field("Evr", evr_of(context->pool, p));
    json_field("Repo", origin_of(context->pool, p));
}

static long long installed_size(const struct context *context, Id p)
{
    return (long long)solvable_lookup_num(pool_id2solvable(context->pool, p), SOLVABLE_INSTALLSIZE, 0);
}

struct group {
    const char *title, *key;
    const Queue *packages;
};

static void json_plan(const struct context *context, const struct group *groups, size_t count)
{
    json_open('{');
    for (size_t i = 0; i < count; i++) {
        if (groups[i].packages->count == 0)
            continue;
        json_key(groups[i].key);
        json_open('[');
        for (int j = 0; j < groups[i].packages->count; j++) {
            json_open('{');
            json_package(context, groups[i].packages->elements[j]);
            json_count("InstallSize", installed_size(context, groups[i].packages->elements[j]));
            json_close('}');
        }
        json_close(']');
    }
    json_close('}');
}

void show_plan(struct context *context, const struct plan *plan)
{
    const struct group groups[] = {{"Installing", "Install", &plan->install},
                                   {"Upgrading", "Upgrade", &plan->upgrade},
                                   {"Downgrading", "Downgrade", &plan->downgrade},
                                   {"Reinstalling", "Reinstall", &plan->reinstall},
                                   {"Removing", "Remove", &plan->remove},
                                   {"Removing what nobody needs any more", "UnNeeded", &plan->unneeded},
                                   {"Obsoleting", "Obsolete", &plan->obsoleted}};
    const size_t count = sizeof groups / sizeof *groups;
    long long change = 0;
    Queue incoming;

    if (json_wanted(context)) {
        json_plan(context, groups, count);
        return;
    }
    for (size_t i = 0; i < count; i++) {
        if (groups[i].packages->count == 0)
            continue;
        printf("\n%s:\n", groups[i].title);
        for (int j = 0; j < groups[i].packages->count; j++) {
            Id p = groups[i].packages->elements[j];
            printf(" %-30s %-10s %-24s %-16s %10s\n", name_of(context->pool, p), arch_of(context->pool, p),
                   evr_of(context->pool, p), origin_of(context->pool, p), size_text(installed_size(context, p)));
        }
    }
    queue_init(&incoming);
    plan_incoming(plan, &incoming);
    for (int i = 0; i < incoming.count; i++)
        change += installed_size(context, incoming.elements[i]);
    for (int i = 0; i < plan->replaced.count; i += 2)
        change -= installed_size(context, plan->replaced.elements[i + 1]);
    for (int i = 0; i < plan->remove.count; i++)
        change -= installed_size(context, plan->remove.elements[i]);
    for (int i = 0; i < plan->unneeded.count; i++)
        change -= installed_size(context, plan->unneeded.elements[i]);
    printf("\nTotal download size: %s\n", size_text(bytes_to_fetch(context, &incoming)));
    printf("Change of installed size: %s\n", size_text(change));
    queue_free(&incoming);
    fflush(stdout);
}

void show_list(struct context *context, const Queue *packages)
{
    if (json_wanted(context))
        json_open('[');
    for (int i = 0; i < packages->count; i++) {
        Id p = packages->elements[i];
        if (json_wanted(context)) {
            json_open('{');
            json_package(context, p);
            json_close('}');
        } else {
            char *name = text_of("%s.%s", name_of(context->pool, p), arch_of(context->pool, p));
            printf("%-44s %-24s %s\n", name, evr_of(context->pool, p), origin_of(context->pool, p));
            free(name);
        }
    }
    if (json_wanted(context))
        json_close(']');
}

static void info_for_people(const struct context *context, Id p)
{
    char *evr = copy_text(evr_of(context->pool, p)), *colon = strchr(evr, ':'), *dash = strrchr(evr, '-');
    const char *version = colon ? colon + 1 : evr;

    if (colon)
        *colon = '\0';
    if (dash)
        *dash = '\0';
    printf("Name          : %s\nArch          : %s\nEpoch         : %s\nVersion       : %s\nRelease       : %s\n",
           name_of(context->pool, p), arch_of(context->pool, p), colon ? evr : "0", version, dash ? dash + 1 : "");
    printf("Install Size  : %s\nRepo          : %s\nSummary       : %s\nURL           : %s\nLicense       : %s\n",
           size_text(installed_size(context, p)), origin_of(context->pool, p), text_field(context, p, SOLVABLE_SUMMARY),
           text_field(context, p, SOLVABLE_URL), text_field(context, p, SOLVABLE_LICENSE));
    printf("Description   : %s\n\n", text_field(context, p, SOLVABLE_DESCRIPTION));
    free(evr);
}

void show_info(struct context *context, const Queue *packages)
{
    if (json_wanted(context))
        json_open('[');
    for (int i = 0; i < packages->count; i++) {
        Id p = packages->elements[i];
        if (!json_wanted(context)) {
            info_for_people(context, p);
            continue;
        }
        json_open('{');
        json_package(context, p);
        json_field("Url", text_field(context, p, SOLVABLE_URL));
        json_count("InstallSize", installed_size(context, p));
        json_field("Summary", text_field(context, p, SOLVABLE_SUMMARY));
        json_field("License", text_field(context, p, SOLVABLE_LICENSE));
        json_field("Description", text_field(context, p, SOLVABLE_DESCRIPTION));
        json_close('}');
    }
    if (json_wanted(context))
        json_close(']');
}

void show_summaries(struct context *context, const Queue *packages)
{
    if (json_wanted(context))
        json_open('[');
    for (int i = 0; i < packages->count; i++) {
        Id p = packages->elements[i];
        if (json_wanted(context)) {
            json_open('{');
            json_field("Name", name_of(context->pool, p));
            json_field("Summary", text_field(context, p, SOLVABLE_SUMMARY));
            json_close('}');
        } else {
            printf("%s : %s\n", name_of(context->pool, p), text_field(context, p, SOLVABLE_SUMMARY));
        }
    }
    if (json_wanted(context))
        json_close(']');
}
