#include "select.h"

#include <string.h>
#include <solv/selection.h>
#include <solv/solver.h>

static int side_flag(enum side side)
{
    return side == INSTALLED_SIDE ? SELECTION_INSTALLED_ONLY : 0;
}

static void keep_side(struct context *context, enum side side, Queue *selection)
{
    Pool *pool = context->pool;
    Queue available;

    if (side != AVAILABLE_SIDE || selection->count == 0)
        return;
    queue_init(&available);
    for (size_t i = 0; i < context->repo_count; i++)
        queue_push2(&available, SOLVER_SOLVABLE_REPO | SOLVER_SETREPO, context->repos[i].solv->repoid);
    for (int i = 1; i < pool->nrepos; i++)
        if (pool->repos[i] && strcmp(pool->repos[i]->name, "@commandline") == 0)
            queue_push2(&available, SOLVER_SOLVABLE_REPO | SOLVER_SETREPO, i);
    selection_filter(pool, selection, &available);
    queue_free(&available);
}

static bool try(struct context *context, const char *word, enum side side, int flags, Queue *selection)
{
    queue_empty(selection);
    selection_make(context->pool, selection, word, flags | side_flag(side));
    keep_side(context, side, selection);
    Queue packages;
    queue_init(&packages);
    selection_solvables(context->pool, selection, &packages);
    bool any = packages.count > 0;
    queue_free(&packages);
    return any;
}

bool select_word(struct context *context, const char *word, enum side side, Queue *selection)
{
    const int names = SELECTION_NAME | SELECTION_CANON | SELECTION_DOTARCH | SELECTION_REL | SELECTION_GLOB;

    if (*word != '/' && try(context, word, side, names, selection))
        return true;
    if (*word == '/') {
        if (try(context, word, side, SELECTION_FILELIST | SELECTION_GLOB, selection))
            return true;
        if (side != INSTALLED_SIDE && need_filelists(context) &&
            try(context, word, side, SELECTION_FILELIST | SELECTION_GLOB, selection))
            return true;
    }
    return try(context, word, side, SELECTION_PROVIDES | SELECTION_REL | SELECTION_GLOB, selection);
}

void packages_in(struct context *context, Queue *selection, Queue *packages)
{
    queue_empty(packages);
    selection_solvables(context->pool, selection, packages);
}

bool select_names(struct context *context, const char *word, enum side side, Queue *packages)
{
    Queue selection;

    queue_init(&selection);
    bool any = try(context, word, side,
                   SELECTION_NAME | SELECTION_CANON | SELECTION_DOTARCH | SELECTION_REL | SELECTION_GLOB, &selection);
    packages_in(context, &selection, packages);
    queue_free(&selection);
    return any;
}
