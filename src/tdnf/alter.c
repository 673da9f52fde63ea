#include "alter.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "given.h"
#include "goals.h"
#include "history.h"
#include "journal.h"
#include "reasons.h"
#include "show.h"
#include "store.h"
#include "transaction.h"

bool is_alter_command(const char *command)
{
    return alter_kind_of(command) != NULL;
}

static bool is_wanted(const struct goal *goal, Id p)
{
    for (int i = 0; i < goal->wanted.count; i++)
        if (goal->wanted.elements[i] == p)
            return true;
    return false;
}

/* Is there an installed package of a name that the plan leaves there? */
static bool is_new_name(const struct context *context, Id p)
{
    const Pool *pool = context->pool;

    for (Id q = pool->installed ? pool->installed->start : 0; pool->installed && q < pool->installed->end; q++)
        if (pool->solvables[q].repo == pool->installed && pool->solvables[q].name == pool->solvables[p].name)
            return false;
    return true;
}

/* What came for others only is marked so; what was asked for is not any more. */
static void keep_reasons(struct context *context, const struct goal *goal, const struct plan *plan)
{
    struct strings names = {0};
    struct failure failure;
    Queue gone;

    queue_init(&gone);
    for (int i = 0; i < plan->remove.count; i++)
        queue_push(&gone, plan->remove.elements[i]);
    for (int i = 0; i < plan->unneeded.count; i++)
        queue_push(&gone, plan->unneeded.elements[i]);
    for (size_t i = 0; i < context->automatic.count; i++) {
        bool stays = true;
        for (int j = 0; j < gone.count; j++)
            stays &= strcmp(name_of(context->pool, gone.elements[j]), context->automatic.at[i]) != 0;
        for (int j = 0; j < goal->wanted.count; j++)
            stays &= strcmp(name_of(context->pool, goal->wanted.elements[j]), context->automatic.at[i]) != 0;
        if (stays)
            add_string(&names, context->automatic.at[i]);
    }
    for (int i = 0; i < plan->install.count; i++) {
        Id p = plan->install.elements[i];
        bool automatic = !is_wanted(goal, p) && is_new_name(context, p);
        for (int j = 0; j < plan->replaced.count; j += 2)
            if (plan->replaced.elements[j] == p)
                automatic &= is_automatic(context, plan->replaced.elements[j + 1]);
        if (automatic)
            add_string(&names, copy_text(name_of(context->pool, p)));
    }
    queue_free(&gone);
    if (!write_automatic(context, &names, &failure))
        warn_of(&failure);
}

static void drop_files(struct context *context, const Queue *incoming)
{
    for (int i = 0; i < incoming->count && !context->config->keepcache; i++)
        if (strcmp(origin_of(context->pool, incoming->elements[i]), "@commandline") != 0)
            unlink(package_path(context, incoming->elements[i], NULL));
    drop_given(context);
}

static int nothing_to_do(struct context *context, const struct goal *goal)
{
    const struct plan none = {0};

    if (goal->wanted.count)
        keep_reasons(context, goal, &none);
    if (json_wanted(context))
        show_plan(context, &none);
    else
        printf("Nothing to do.\n");
    return DONE;
}

/* Show it, ask, fetch, run, write it down. */
static int carry_out(struct context *context, const struct goal *goal, const struct plan *plan)
{
    struct failure failure, another;
    bool changed = false;
    Queue incoming;

    queue_init(&incoming);
    plan_incoming(plan, &incoming);
    show_plan(context, plan);
    if (!ask(context, "Is this ok")) {
        fprintf(stderr, "Operation aborted.\n");
        return FAILED;
    }
    if (!fetch_packages(context, &incoming, context->options.download_only ? context->options.downloaddir : NULL,
                        &failure))
        stop(FAILED, &failure);
    if (context->options.download_only)
        return DONE;
    bool good = run_plan(context, plan, &changed, &failure);
    if (changed && !history_add(context, plan, good, &another))
        warn_of(&another);
    if (changed)
        keep_reasons(context, goal, plan);
    if (good || !changed)
        journal_close(context);
    if (!good)
        stop(FAILED, &failure);
    drop_files(context, &incoming);
    if (!json_wanted(context) && !context->options.quiet)
        printf("Complete!\n");
    return DONE;
}

static void fill_goal(struct fill *fill, const struct alter_kind *kind, const struct journal *left)
{
    const struct strings *words = &fill->context->options.words;

    goal_begin(fill->goal);
    fill->unmatched = (struct strings){0};
    fill->goal->erasing = kind->erasing;
    fill->goal->downgrading = kind->downgrading;
    if (left) {
        journal_jobs(fill->context, left, fill->goal);
        fill->goal->erasing = fill->goal->downgrading = true;
    }
    for (int i = 0; i < fill->given->count; i++) {
        goal_add_package(fill->goal, fill->given->elements[i], SOLVER_INSTALL);
        queue_push(&fill->goal->wanted, fill->given->elements[i]);
    }
    if (words->count == 1)
        kind->all(fill, NULL);
    for (size_t i = 1; i < words->count; i++)
        if (!is_given(words->at[i]))
            kind->one(fill, words->at[i]);
}

int alter_command(struct context *context)
{
    const struct options *options = &context->options;
    const struct alter_kind *kind = alter_kind_of(options->words.at[0]);
    struct goal goal;
    struct journal journal;
    struct plan plan;
    struct failure failure;
    Queue given;

    if (options->words.count == 1 && kind->all == NULL)
        stop_for(USAGE, options->words.at[0], text_of("tdnf %s PACKAGE...", options->words.at[0]), "which package?");
    if (starts_with(kind->name, "up") &&
        (options->security || options->bugfix || options->enhancement || options->newpackage || options->cves.count ||
         options->advisories.count || options->severities.count))
        kind = alter_kind_of(NULL);
    take_lock(context);
    bool left = journal_left(context, &journal);
    if (left)
        warn("a transaction was cut ('%s'): it is finished first", journal.command ? journal.command : "");
    open_packages(context, true, kind->needs_repos || left ? AS_SET : NO_REPOS);
    read_given(context, &given);
    struct fill fill = {.context = context, .goal = &goal, .given = &given};
    fill_goal(&fill, kind, left ? &journal : NULL);
    if (fill.unmatched.count) {
        for (size_t i = 0; i < fill.unmatched.count; i++)
            fprintf(stderr, "No package %s available\n", fill.unmatched.at[i]);
        if (!options->skip_broken)
            stop_for(
                FAILED, fill.unmatched.at[0],
                kind->erasing
                    ? "tdnf list --installed shows what is installed"
                    : "tdnf search WORD, tdnf provides FILE, tdnf repolist; tdnf makecache reads the repositories anew",
                "no package matches");
    }
    while (!solve(context, &goal, &plan, &failure)) {
        /* A file that the short list of the metadata does not have may be in the long one. */
        if (!kind->needs_repos || failure.where || !need_filelists(context))
            stop(FAILED, &failure);
        fill_goal(&fill, kind, left ? &journal : NULL);
    }
    if (plan_is_empty(&plan) && left)
        journal_close(context);
    return plan_is_empty(&plan) ? nothing_to_do(context, &goal) : carry_out(context, &goal, &plan);
}

int alter_exactly(struct context *context, const struct strings *add, const struct strings *drop,
                  const struct strings *automatic)
{
    struct goal goal;
    struct plan plan;
    struct failure failure;

    take_lock(context);
    open_packages(context, true, add->count ? AS_SET : NO_REPOS);
    goal_begin(&goal);
    goal.erasing = goal.downgrading = true;
    for (size_t i = 0; i < add->count; i++) {
        Id p = package_called(context, add->at[i], false);
        if (package_called(context, add->at[i], true))
            continue;
        if (p == 0)
            stop_for(FAILED, add->at[i], "enable the repository that has it, or publish it again",
                     "the package is not to be had any more");
        goal_add_package(&goal, p, SOLVER_INSTALL);
        if (!has_string(automatic, add->at[i]))
            queue_push(&goal.wanted, p);
    }
    for (size_t i = 0; i < drop->count; i++) {
        Id p = package_called(context, drop->at[i], true);
        bool replaced = false;
        for (size_t j = 0; p && j < add->count; j++) {
            Id q = package_called(context, add->at[j], false);
            replaced |= q && context->pool->solvables[q].name == context->pool->solvables[p].name &&
                        !is_installonly(context, p);
        }
        if (p && !replaced)
            goal_add_package(&goal, p, SOLVER_ERASE);
    }
    if (!solve(context, &goal, &plan, &failure))
        stop(FAILED, &failure);
    return plan_is_empty(&plan) ? nothing_to_do(context, &goal) : carry_out(context, &goal, &plan);
}

int mark_command(struct context *context)
{
    const struct strings *words = &context->options.words;
    struct strings names = {0};
    struct failure failure;

    if (words->count < 3 || (strcmp(words->at[1], "install") && strcmp(words->at[1], "remove")))
        stop_for(USAGE, "mark", "tdnf mark install|remove PACKAGE...", "which packages, and as what?");
    take_lock(context);
    open_packages(context, true, NO_REPOS);
    bool remove = strcmp(words->at[1], "remove") == 0;
    for (size_t i = 0; i < context->automatic.count; i++)
        if (remove || !has_string(words, context->automatic.at[i]))
            add_string(&names, context->automatic.at[i]);
    for (size_t i = 2; i < words->count; i++) {
        bool found = false;
        for (Id p = context->pool->installed->start; p < context->pool->installed->end; p++)
            found |= context->pool->solvables[p].repo == context->pool->installed &&
                     strcmp(name_of(context->pool, p), words->at[i]) == 0;
        if (!found)
            stop_for(FAILED, words->at[i], "tdnf list --installed", "no such package is installed");
        if (remove)
            add_string(&names, words->at[i]);
    }
    if (!write_automatic(context, &names, &failure))
        stop(FAILED, &failure);
    return DONE;
}
