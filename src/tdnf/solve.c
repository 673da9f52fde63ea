#include "solve.h"

#include <stdlib.h>
#include <string.h>
#include <solv/evr.h>
#include <solv/policy.h>
#include <solv/problems.h>
#include <solv/solverdebug.h>

static bool contains(const Queue *queue, Id id)
{
    for (int i = 0; i < queue->count; i++)
        if (queue->elements[i] == id)
            return true;
    return false;
}

void goal_begin(struct goal *goal)
{
    *goal = (struct goal){0};
    queue_init(&goal->jobs);
    queue_init(&goal->wanted);
}

void goal_add(struct goal *goal, const struct context *context, Queue *selection, int action)
{
    int flags = 0;

    if ((context->config->best || context->options.best) && !context->options.no_best &&
        (action == SOLVER_INSTALL || action == SOLVER_UPDATE))
        flags |= SOLVER_FORCEBEST;
    if (context->options.skip_broken)
        flags |= SOLVER_WEAK;
    for (int i = 0; i < selection->count; i += 2)
        queue_push2(&goal->jobs, selection->elements[i] | action | flags, selection->elements[i + 1]);
}

void goal_add_package(struct goal *goal, Id p, int action)
{
    queue_push2(&goal->jobs, SOLVER_SOLVABLE | action, p);
}

static void add_standing_jobs(const struct context *context, Queue *jobs)
{
    Pool *pool = context->pool;

    for (size_t i = 0; i < context->config->installonly.count; i++) {
        const char *name = context->config->installonly.at[i];
        Id id = pool_str2id(pool, name, 1);
        queue_push2(jobs, SOLVER_MULTIVERSION | (strchr(name, '(') ? SOLVER_SOLVABLE_PROVIDES : SOLVER_SOLVABLE_NAME),
                    id);
    }
    if (pool->installed == NULL)
        return;
    for (Id p = pool->installed->start; p < pool->installed->end; p++)
        if (pool->solvables[p].repo == pool->installed && !is_automatic(context, p))
            queue_push2(jobs, SOLVER_SOLVABLE | SOLVER_USERINSTALLED, p);
}

static char *problems(Solver *solver)
{
    char *all = copy_text("the packages do not fit together");
    Id count = (Id)solver_problem_count(solver);

    for (Id problem = 1; problem <= count && problem <= 10; problem++) {
        Queue rules;
        queue_init(&rules);
        solver_findallproblemrules(solver, problem, &rules);
        for (int i = 0; i < rules.count && i < 4; i++) {
            Id source, target, dependency;
            SolverRuleinfo type = solver_ruleinfo(solver, rules.elements[i], &source, &target, &dependency);
            if (rules.count > 1 && (type == SOLVER_RULE_JOB || type == SOLVER_RULE_BEST))
                continue;
            all = text_of("%s\n  - %s", all, solver_problemruleinfo2str(solver, type, source, target, dependency));
        }
        queue_free(&rules);
    }
    return all;
}

static void classify(struct context *context, Solver *solver, struct plan *plan)
{
    Pool *pool = context->pool;
    Queue old;

    queue_init(&old);
    for (int i = 0; i < plan->transaction->steps.count; i++) {
        Id p = plan->transaction->steps.elements[i];
        Id type = transaction_type(plan->transaction, p,
                                   SOLVER_TRANSACTION_SHOW_ACTIVE | SOLVER_TRANSACTION_SHOW_OBSOLETES |
                                       SOLVER_TRANSACTION_SHOW_MULTIINSTALL | SOLVER_TRANSACTION_CHANGE_IS_REINSTALL);
        if (is_installed(pool, p)) {
            if (type == SOLVER_TRANSACTION_ERASE) {
                Id info;
                int reason = solver_describe_decision(solver, p, &info);
                bool by_itself = reason == SOLVER_REASON_CLEANDEPS_ERASE;
                queue_push(by_itself ? &plan->unneeded : &plan->remove, p);
            }
            continue;
        }
        queue_push(type == SOLVER_TRANSACTION_UPGRADE     ? &plan->upgrade
                   : type == SOLVER_TRANSACTION_DOWNGRADE ? &plan->downgrade
                   : type == SOLVER_TRANSACTION_REINSTALL || type == SOLVER_TRANSACTION_MULTIREINSTALL
                       ? &plan->reinstall
                       : &plan->install,
                   p);
        transaction_all_obs_pkgs(plan->transaction, p, &old);
        for (int j = 0; j < old.count; j++) {
            queue_push2(&plan->replaced, p, old.elements[j]);
            if (pool->solvables[old.elements[j]].name != pool->solvables[p].name)
                queue_pushunique(&plan->obsoleted, old.elements[j]);
        }
    }
    queue_free(&old);
    Queue *const all[] = {&plan->install, &plan->upgrade,  &plan->downgrade, &plan->reinstall,
                          &plan->remove,  &plan->unneeded, &plan->obsoleted};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        sort_packages(pool, all[i]);
}

/* Of two versions that a cut transaction left, one may go. */
static bool another_stays(const struct context *context, const struct plan *plan, Id gone)
{
    Pool *pool = context->pool;

    for (Id p = pool->installed->start; p < pool->installed->end; p++)
        if (p != gone && pool->solvables[p].repo == pool->installed &&
            pool->solvables[p].name == pool->solvables[gone].name && !contains(&plan->remove, p) &&
            !contains(&plan->unneeded, p))
            return true;
    return false;
}

static bool check_protected(struct context *context, const struct plan *plan, struct failure *failure)
{
    const Queue *const lists[] = {&plan->remove, &plan->unneeded};

    for (size_t l = 0; l < 2; l++)
        for (int i = 0; i < lists[l]->count; i++) {
            Id p = lists[l]->elements[i];
            if (has_match(&context->config->protected, name_of(context->pool, p)) && !is_installonly(context, p) &&
                !another_stays(context, plan, p))
                return fail(failure, nevra_of(context->pool, p),
                            "protected_packages= in tdnf.conf and files in protected.d name what must stay",
                            "this would remove a protected package");
            if (is_running_kernel(context, p))
                return fail(failure, nevra_of(context->pool, p), "start another kernel first",
                            "this would remove the kernel that runs");
        }
    return true;
}

/* Of packages that are installed side by side the oldest go, so that no more stay than installonly_limit; true if there
   are new jobs. */
static bool drop_old_kernels(struct context *context, const struct plan *plan, struct goal *goal)
{
    Pool *pool = context->pool;
    long long limit = context->config->installonly_limit;
    bool more = false;

    for (int i = 0; i < plan->install.count && limit > 0; i++) {
        Id p = plan->install.elements[i];
        Queue installed;
        if (!is_installonly(context, p) || pool->installed == NULL)
            continue;
        queue_init(&installed);
        for (Id q = pool->installed->start; q < pool->installed->end; q++)
            if (pool->solvables[q].repo == pool->installed && pool->solvables[q].name == pool->solvables[p].name)
                queue_push(&installed, q);
        sort_packages(pool, &installed);
        int staying = installed.count + 1;
        for (int j = installed.count - 1; j >= 0 && staying > limit; j--) {
            Id old = installed.elements[j];
            if (is_running_kernel(context, old))
                continue;
            if (!contains(&plan->remove, old)) {
                goal_add_package(goal, old, SOLVER_ERASE);
                /* Without its own job it would not be an update of one that goes. */
                goal_add_package(goal, p, SOLVER_INSTALL);
                more = true;
            }
            staying--;
        }
        queue_free(&installed);
    }
    return more;
}

static Solver *solver_for(struct context *context, const struct goal *goal)
{
    Solver *solver = solver_create(context->pool);

    solver_set_flag(solver, SOLVER_FLAG_ALLOW_VENDORCHANGE, 1);
    solver_set_flag(solver, SOLVER_FLAG_KEEP_ORPHANS, 1);
    solver_set_flag(solver, SOLVER_FLAG_BEST_OBEY_POLICY, 1);
    solver_set_flag(solver, SOLVER_FLAG_YUM_OBSOLETES, 1);
    solver_set_flag(solver, SOLVER_FLAG_INSTALL_ALSO_UPDATES, 1);
    solver_set_flag(solver, SOLVER_FLAG_IGNORE_RECOMMENDED, !context->config->weak_deps);
    solver_set_flag(solver, SOLVER_FLAG_ALLOW_UNINSTALL, goal->erasing || context->options.allow_erasing);
    solver_set_flag(solver, SOLVER_FLAG_ALLOW_DOWNGRADE, goal->downgrading);
    return solver;
}

static bool solve_once(struct context *context, struct goal *goal, struct plan *plan, struct failure *failure)
{
    Solver *solver = solver_for(context, goal);
    Queue jobs, unneeded;

    queue_init_clone(&jobs, &goal->jobs);
    add_standing_jobs(context, &jobs);
    bool good = solver_solve(solver, &jobs) == 0;
    if (good && goal->unneeded) {
        queue_init(&unneeded);
        solver_get_unneeded(solver, &unneeded, 0);
        for (int i = 0; i < unneeded.count; i++)
            queue_push2(&jobs, SOLVER_SOLVABLE | SOLVER_ERASE, unneeded.elements[i]);
        good = unneeded.count == 0 || solver_solve(solver, &jobs) == 0;
        queue_free(&unneeded);
    }
    if (context->options.debugsolver)
        solver_printallsolutions(solver);
    if (good) {
        *plan = (struct plan){.transaction = solver_create_transaction(solver)};
        classify(context, solver, plan);
    } else {
        *failure = (struct failure){.what = problems(solver),
                                    .hint = copy_text("--allowerasing lets others go, --nobest takes older ones, "
                                                      "--skip-broken leaves out what cannot be")};
    }
    solver_free(solver);
    queue_free(&jobs);
    return good;
}

bool solve(struct context *context, struct goal *goal, struct plan *plan, struct failure *failure)
{
    if (!solve_once(context, goal, plan, failure))
        return false;
    if (drop_old_kernels(context, plan, goal)) {
        goal->erasing = true;
        if (!solve_once(context, goal, plan, failure))
            return false;
    }
    return check_protected(context, plan, failure);
}

bool plan_is_empty(const struct plan *plan)
{
    return plan->transaction->steps.count == 0;
}

void plan_incoming(const struct plan *plan, Queue *queue)
{
    const Queue *const lists[] = {&plan->install, &plan->upgrade, &plan->downgrade, &plan->reinstall};

    for (size_t i = 0; i < 4; i++)
        for (int j = 0; j < lists[i]->count; j++)
            queue_push(queue, lists[i]->elements[j]);
}
