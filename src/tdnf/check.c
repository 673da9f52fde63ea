/* check: is what is installed whole? */
#include <string.h>
#include <solv/evr.h>
#include <solv/solver.h>

#include "journal.h"
#include "json.h"
#include "query.h"

static void add_problem(struct strings *problems, char *text)
{
    if (!has_string(problems, text))
        add_string(problems, text);
}

/* Dependencies of every installed package, by the installed ones alone. */
static void dependencies(struct context *context, struct strings *problems)
{
    Pool *pool = context->pool;

    for (Id p = pool->installed->start; p < pool->installed->end; p++) {
        Solvable *one = pool_id2solvable(pool, p);
        Queue ids;
        if (one->repo != pool->installed)
            continue;
        queue_init(&ids);
        solvable_lookup_deparray(one, SOLVABLE_REQUIRES, &ids, 0);
        for (int i = 0; i < ids.count; i++)
            if (ids.elements[i] != SOLVABLE_PREREQMARKER && !pool_whatprovides_ptr(pool, ids.elements[i])[0] &&
                strncmp(pool_dep2str(pool, ids.elements[i]), "rpmlib(", 7))
                add_problem(problems, text_of("%s requires %s, which nothing provides", nevra_of(pool, p),
                                              pool_dep2str(pool, ids.elements[i])));
        queue_empty(&ids);
        solvable_lookup_deparray(one, SOLVABLE_CONFLICTS, &ids, 0);
        for (int i = 0; i < ids.count; i++) {
            Id other, place;
            FOR_PROVIDES(other, place, ids.elements[i])
            if (other != p && pool->solvables[other].repo == pool->installed)
                add_problem(problems, text_of("%s conflicts with %s", nevra_of(pool, p), nevra_of(pool, other)));
        }
        queue_free(&ids);
    }
}

static void duplicates(struct context *context, struct strings *problems)
{
    Pool *pool = context->pool;
    Queue all;

    queue_init(&all);
    all_packages(context, true, false, &all);
    sort_packages(pool, &all);
    for (int i = 1; i < all.count; i++) {
        Id one = all.elements[i - 1], other = all.elements[i];
        if (pool->solvables[one].name == pool->solvables[other].name &&
            pool->solvables[one].arch == pool->solvables[other].arch && !is_installonly(context, one) &&
            strcmp(name_of(pool, one), "gpg-pubkey"))
            add_problem(problems, text_of("%s is installed beside %s", nevra_of(pool, one), nevra_of(pool, other)));
    }
    queue_free(&all);
}

int check_command(struct context *context)
{
    struct strings problems = {0};
    struct journal journal;

    open_packages(context, true, NO_REPOS);
    if (journal_left(context, &journal))
        add_problem(&problems, text_of("the transaction '%s' was cut: the same command again finishes it",
                                       journal.command ? journal.command : ""));
    dependencies(context, &problems);
    duplicates(context, &problems);
    if (json_wanted(context)) {
        json_open('[');
        for (size_t i = 0; i < problems.count; i++)
            json_string(problems.at[i]);
        json_close(']');
        return problems.count ? FAILED : DONE;
    }
    for (size_t i = 0; i < problems.count; i++)
        printf("%s\n", problems.at[i]);
    if (problems.count)
        stop_for(FAILED, context->config->root, "tdnf distro-sync brings packages and repositories together again",
                 "%zu problems", problems.count);
    printf("Check completed without issues\n");
    return DONE;
}
