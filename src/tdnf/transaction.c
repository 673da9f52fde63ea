#include "transaction.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include <rpm/rpmdb.h>
#include <rpm/rpmlib.h>
#include <rpm/rpmps.h>
#include <rpm/rpmte.h>
#include <rpm/rpmts.h>

#include "hooks.h"
#include "journal.h"
#include "sign.h"
#include "store.h"

struct run {
    struct context *context;
    FD_t file;
    int count, total, failures;
    char *first_failure;
    char *current; /* the package that is being installed, its scripts included */
    struct strings ended;
    time_t flushed;
};

enum { TOGETHER = 16, SECONDS = 5 };

static void say(struct run *run, const char *verb, rpmte element)
{
    if (!run->context->options.quiet && !json_wanted(run->context))
        printf("%3d/%d %s %s\n", ++run->count, run->total, verb, rpmteNEVRA(element));
    fflush(stdout);
}

/* Names as in the journal: the epoch that is 0 is not said. */
static char *nevra_of_element(rpmte element)
{
    const char *epoch = rpmteE(element);
    bool has = epoch && strcmp(epoch, "0") != 0;

    return text_of("%s-%s%s%s-%s.%s", rpmteN(element), has ? epoch : "", has ? ":" : "", rpmteV(element),
                   rpmteR(element), rpmteA(element));
}

/* New files have their names before the disk has their bytes: what is noted as done must outlive a power cut. */
static void flush(const struct context *context)
{
    static const char *const places[] = {"/", "/usr", "/boot"};

    for (size_t i = 0; i < sizeof places / sizeof *places; i++) {
        int folder = open(in_root(context->config, places[i]), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (folder >= 0) {
            syncfs(folder);
            close(folder);
        }
    }
}

/* Packages that have ended are noted a few at a time: each needs the disk to have written all that was changed. */
static void note_ended(struct run *run)
{
    flush(run->context);
    for (size_t i = 0; i < run->ended.count; i++)
        journal_mark("done", run->ended.at[i]);
    run->ended.count = 0;
    run->flushed = time(NULL);
}

/* librpm says when the files are there, but not when the scripts after them have ended: the next package says so. */
static void end_current(struct run *run)
{
    if (run->current) {
        add_string(&run->ended, run->current);
        if (run->ended.count >= TOGETHER || time(NULL) - run->flushed >= SECONDS)
            note_ended(run);
    }
    run->current = NULL;
}

static void failed(struct run *run, rpmte element, const char *what)
{
    run->failures++;
    if (run->first_failure == NULL)
        run->first_failure = text_of("%s of %s", what, element ? rpmteNEVRA(element) : "a package");
    warn("%s of %s failed%s%s", what, element ? rpmteNEVRA(element) : "a package", *run->context->rpm_says ? ": " : "",
         run->context->rpm_says);
}

static void *notify(const void *given, const rpmCallbackType what, const rpm_loff_t amount, const rpm_loff_t total,
                    fnpyKey key, rpmCallbackData data)
{
    struct run *run = data;
    rpmte element = (rpmte)(uintptr_t)given;

    (void)total;
    switch (what) {
    case RPMCALLBACK_INST_OPEN_FILE:
        run->file = Fopen(key, "r.ufdio");
        return run->file && !Ferror(run->file) ? run->file : NULL;
    case RPMCALLBACK_INST_CLOSE_FILE:
        if (run->file)
            Fclose(run->file);
        run->file = NULL;
        break;
    case RPMCALLBACK_ELEM_PROGRESS:
        end_current(run);
        break;
    case RPMCALLBACK_INST_START:
        end_current(run);
        say(run, "installing", element);
        run->current = nevra_of_element(element);
        journal_mark("begin", run->current);
        break;
    case RPMCALLBACK_UNINST_START:
        end_current(run);
        say(run, "removing", element);
        break;
    case RPMCALLBACK_UNPACK_ERROR:
    case RPMCALLBACK_CPIO_ERROR:
        failed(run, element, "unpacking");
        break;
    case RPMCALLBACK_SCRIPT_ERROR:
        failed(run, element, amount == RPMTAG_PREIN || amount == RPMTAG_PREUN ? "the script before it" : "a script");
        break;
    default:
        break;
    }
    return NULL;
}

static bool all_checked(const struct context *context, const Queue *incoming)
{
    for (int i = 0; i < incoming->count; i++)
        if (!repo_of(context->pool, incoming->elements[i])->config->gpgcheck)
            return false;
    return true;
}

static bool add_incoming(struct context *context, const struct plan *plan, const Queue *incoming,
                         struct failure *failure)
{
    for (int i = 0; i < incoming->count; i++) {
        Id p = incoming->elements[i];
        const struct repo_config *repo = repo_of(context->pool, p)->config;
        char *path = package_path(context, p, NULL);
        Header header =
            read_package(context, strcmp(repo->id, "@commandline") ? repo : NULL, path, repo->gpgcheck, failure);
        if (header == NULL)
            return false;
        bool again = false, beside = is_installonly(context, p);
        for (int j = 0; j < plan->reinstall.count; j++)
            again |= plan->reinstall.elements[j] == p;
        int bad = again ? rpmtsAddReinstallElement(context->ts, header, path)
                        : rpmtsAddInstallElement(context->ts, header, path, beside ? 0 : 1, NULL);
        headerFree(header);
        if (bad)
            return fail(failure, path, NULL, "librpm does not take the package%s%s", *context->rpm_says ? ": " : "",
                        context->rpm_says);
    }
    return true;
}

static bool add_outgoing(struct context *context, const Queue *packages, struct failure *failure)
{
    for (int i = 0; i < packages->count; i++) {
        Id p = packages->elements[i];
        Repo *installed = context->pool->installed;
        unsigned int record = (unsigned int)installed->rpmdbid[p - installed->start];
        rpmdbMatchIterator found = rpmtsInitIterator(context->ts, RPMDBI_PACKAGES, &record, sizeof record);
        Header header = rpmdbNextIterator(found);
        bool good = header && rpmtsAddEraseElement(context->ts, header, (int)record) == 0;
        rpmdbFreeIterator(found);
        if (!good)
            return fail(failure, nevra_of(context->pool, p), "rpm --rebuilddb mends a damaged database",
                        "the package is not in the rpm database any more");
    }
    return true;
}

static bool problems(struct context *context, const char *what, struct failure *failure)
{
    rpmps list = rpmtsProblems(context->ts);
    rpmpsi iterator = rpmpsInitIterator(list);
    char *all = copy_text(what);
    const char *hint = NULL;
    bool any = false;

    for (rpmProblem one; (one = rpmpsiNext(iterator));) {
        all = text_of("%s\n  - %s", all, rpmProblemString(one));
        any = true;
        switch (rpmProblemGetType(one)) {
        case RPMPROB_DISKSPACE:
        case RPMPROB_DISKNODES:
            hint = "make room: tdnf clean all, tdnf autoremove, journalctl --vacuum-size=50M";
            break;
        case RPMPROB_VERIFY:
            hint = "do not install it until its publisher explains it";
            break;
        case RPMPROB_FILE_CONFLICT:
        case RPMPROB_NEW_FILE_CONFLICT:
            hint = "two packages have the same file: one of them has to go, or be mended by its publisher";
            break;
        default:
            break;
        }
    }
    rpmpsFreeIterator(iterator);
    rpmpsFree(list);
    return !any || fail(failure, strcmp(context->config->root, "/") ? context->config->root : NULL, hint, "%s", all);
}

static void set_up(struct context *context, const struct plan *plan, struct run *run, bool checked)
{
    rpmtsSetNotifyStyle(context->ts, 1);
    rpmtsSetNotifyCallback(context->ts, notify, run);
    rpmtsSetVfyLevel(context->ts, checked ? RPMSIG_SIGNATURE_TYPE | RPMSIG_DIGEST_TYPE : RPMSIG_DIGEST_TYPE);
    /* The answer for a program is alone on stdout. */
    if (json_wanted(context)) {
        FD_t errors = fdDup(STDERR_FILENO);
        rpmtsSetScriptFd(context->ts, errors);
    }
    run->total = rpmtsNElements(context->ts);
    (void)plan;
}

bool run_plan(struct context *context, const struct plan *plan, bool *changed, struct failure *failure)
{
    struct run run = {.context = context, .flushed = time(NULL)};
    Queue incoming;
    rpmprobFilterFlags filter = RPMPROB_FILTER_OLDPACKAGE | RPMPROB_FILTER_REPLACEPKG;

    queue_init(&incoming);
    plan_incoming(plan, &incoming);
    rpmtsEmpty(context->ts);
    if (!add_incoming(context, plan, &incoming, failure) || !add_outgoing(context, &plan->remove, failure) ||
        !add_outgoing(context, &plan->unneeded, failure))
        return false;
    if (!context->config->diskspacecheck)
        filter |= RPMPROB_FILTER_DISKSPACE | RPMPROB_FILTER_DISKNODES;
    set_up(context, plan, &run, all_checked(context, &incoming));
    rpmtsCheck(context->ts);
    if (!problems(context, "the packages do not fit together", failure))
        return false;
    rpmtsClean(context->ts);
    rpmtsOrder(context->ts);
    if (!run_hooks(context->config, "begin", failure) || !journal_open(context, plan, failure))
        return false;
    *context->rpm_says = '\0';
    int result = rpmtsRun(context->ts, NULL, filter);
    flush(context);
    struct failure later = {0};
    if (!run_hooks(context->config, "end", &later))
        warn_of(&later);
    *changed = result <= 0;
    if (result > 0) {
        problems(context, "librpm refuses the transaction, nothing was changed", failure);
        if (failure->what == NULL)
            fail(failure, NULL, NULL, "librpm refuses the transaction, nothing was changed");
        return false;
    }
    if (result < 0 || run.first_failure)
        return result == 0 ||
               fail(failure, run.first_failure, "look at what was said above; the same command again goes on",
                    "not all packages could be changed%s%s", *context->rpm_says ? ": " : "", context->rpm_says);
    return true;
}
