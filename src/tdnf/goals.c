#include "goals.h"

#include <stdlib.h>
#include <string.h>
#include <solv/evr.h>

#include "select.h"
#include "updateinfo.h"

static void want(struct fill *fill, Queue *selection)
{
    Queue packages;

    queue_init(&packages);
    packages_in(fill->context, selection, &packages);
    for (int i = 0; i < packages.count; i++)
        queue_push(&fill->goal->wanted, packages.elements[i]);
    queue_free(&packages);
}

static void unmatched(struct fill *fill, const char *word)
{
    add_string(&fill->unmatched, copy_text(word));
}

static void install_one(struct fill *fill, const char *word)
{
    Queue selection;

    queue_init(&selection);
    if (select_word(fill->context, word, BOTH_SIDES, &selection)) {
        goal_add(fill->goal, fill->context, &selection, SOLVER_INSTALL);
        want(fill, &selection);
    } else {
        unmatched(fill, word);
    }
    queue_free(&selection);
}

static void upgrade_one(struct fill *fill, const char *word)
{
    Queue selection, packages;

    queue_init(&selection);
    queue_init(&packages);
    if (select_names(fill->context, word, INSTALLED_SIDE, &packages) ||
        select_names(fill->context, word, AVAILABLE_SIDE, &packages)) {
        select_word(fill->context, word,
                    is_installed(fill->context->pool, packages.elements[0]) ? INSTALLED_SIDE : AVAILABLE_SIDE,
                    &selection);
        goal_add(fill->goal, fill->context, &selection, SOLVER_UPDATE);
    } else {
        unmatched(fill, word);
    }
    queue_free(&packages);
    queue_free(&selection);
}

static void upgrade_all(struct fill *fill, const char *word)
{
    Queue all;

    (void)word;
    queue_init(&all);
    queue_push2(&all, SOLVER_SOLVABLE_ALL, 0);
    goal_add(fill->goal, fill->context, &all, SOLVER_UPDATE);
    queue_free(&all);
}

/* Of what is installed, the next lower version; or what the word says exactly. */
static void downgrade_one(struct fill *fill, const char *word)
{
    Pool *pool = fill->context->pool;
    Queue packages, installed;
    bool found = false;

    queue_init(&packages);
    queue_init(&installed);
    all_packages(fill->context, true, false, &installed);
    select_names(fill->context, word, AVAILABLE_SIDE, &packages);
    sort_packages(pool, &packages);
    for (int i = 0; i < installed.count; i++)
        for (int j = 0; j < packages.count; j++) {
            Solvable *old = pool_id2solvable(pool, installed.elements[i]),
                     *new = pool_id2solvable(pool, packages.elements[j]);
            if (old->name != new->name || old->arch != new->arch ||
                pool_evrcmp(pool, new->evr, old->evr, EVRCMP_COMPARE) >= 0)
                continue;
            goal_add_package(fill->goal, packages.elements[j], SOLVER_INSTALL);
            found = true;
            break;
        }
    if (!found)
        unmatched(fill, word);
    queue_free(&packages);
    queue_free(&installed);
}

Id package_called(struct context *context, const char *nevra, bool installed)
{
    Queue all;
    Id found = 0;

    queue_init(&all);
    all_packages(context, installed, !installed, &all);
    for (int i = 0; i < all.count && !found; i++) {
        char *name = nevra_of(context->pool, all.elements[i]);
        if (strcmp(name, nevra) == 0)
            found = all.elements[i];
        free(name);
    }
    queue_free(&all);
    return found;
}

static void reinstall_one(struct fill *fill, const char *word)
{
    Queue packages;
    bool found = false;

    queue_init(&packages);
    select_names(fill->context, word, INSTALLED_SIDE, &packages);
    for (int i = 0; i < packages.count; i++) {
        Id offered = package_called(fill->context, nevra_of(fill->context->pool, packages.elements[i]), false);
        if (offered)
            goal_add_package(fill->goal, offered, SOLVER_INSTALL);
        found |= offered != 0;
    }
    if (!found)
        unmatched(fill, word);
    queue_free(&packages);
}

static void sync_one(struct fill *fill, const char *word)
{
    Queue selection;

    queue_init(&selection);
    if (select_word(fill->context, word, BOTH_SIDES, &selection))
        goal_add(fill->goal, fill->context, &selection, SOLVER_DISTUPGRADE);
    else
        unmatched(fill, word);
    queue_free(&selection);
}

static void sync_all(struct fill *fill, const char *word)
{
    (void)word;
    queue_push2(&fill->goal->jobs, SOLVER_SOLVABLE_ALL | SOLVER_DISTUPGRADE, 0);
}

static void remove_one(struct fill *fill, const char *word)
{
    Queue selection;
    const struct context *context = fill->context;
    bool clean = context->config->clean_requirements && !context->options.no_autoremove;

    queue_init(&selection);
    if (select_word(fill->context, word, INSTALLED_SIDE, &selection))
        goal_add(fill->goal, context, &selection, SOLVER_ERASE | (clean ? SOLVER_CLEANDEPS : 0));
    else
        unmatched(fill, word);
    queue_free(&selection);
}

static void autoremove_one(struct fill *fill, const char *word)
{
    Queue selection;

    queue_init(&selection);
    if (select_word(fill->context, word, INSTALLED_SIDE, &selection))
        goal_add(fill->goal, fill->context, &selection, SOLVER_ERASE | SOLVER_CLEANDEPS);
    else
        unmatched(fill, word);
    queue_free(&selection);
}

static void autoremove_all(struct fill *fill, const char *word)
{
    (void)word;
    fill->goal->unneeded = true;
}

/* What advisories of the kinds that were asked for would bring; without such an option all. */
static void advised_one(struct fill *fill, const char *word)
{
    Queue packages;

    queue_init(&packages);
    advised_packages(fill->context, &packages);
    for (int i = 0; i < packages.count; i++) {
        const struct strings pattern = {.at = (char *[]){(char *)word}, .count = 1};
        if (word && !has_match(&pattern, name_of(fill->context->pool, packages.elements[i])))
            continue;
        goal_add_package(fill->goal, packages.elements[i], SOLVER_INSTALL);
    }
    queue_free(&packages);
}

const struct alter_kind *alter_kind_of(const char *command)
{
    static const struct alter_kind kinds[] = {
        {"install", install_one, NULL, true, false, false},
        {"reinstall", reinstall_one, NULL, true, false, false},
        {"upgrade", upgrade_one, upgrade_all, true, false, false},
        {"update", upgrade_one, upgrade_all, true, false, false},
        {"upgrade-to", upgrade_one, NULL, true, false, false},
        {"update-to", upgrade_one, NULL, true, false, false},
        {"downgrade", downgrade_one, NULL, true, false, true},
        {"distro-sync", sync_one, sync_all, true, false, true},
        {"remove", remove_one, NULL, false, true, false},
        {"erase", remove_one, NULL, false, true, false},
        {"autoremove", autoremove_one, autoremove_all, false, true, false},
        {"autoerase", autoremove_one, autoremove_all, false, true, false},
    };
    static const struct alter_kind advised = {"upgrade", advised_one, advised_one, true, false, false};

    if (command == NULL)
        return &advised;
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
        if (strcmp(kinds[i].name, command) == 0)
            return &kinds[i];
    return NULL;
}
