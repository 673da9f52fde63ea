#include "journal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "goals.h"

enum { MOST = 8 << 20 };
static int file = -1;

static char *path_of(const struct context *context)
{
    return text_of("%s/transaction", context->config->persistdir);
}

bool journal_open(struct context *context, const struct plan *plan, struct failure *failure)
{
    char *text = NULL, *path = path_of(context);
    size_t size = 0;
    Queue incoming;
    FILE *out = open_memstream(&text, &size);

    queue_init(&incoming);
    plan_incoming(plan, &incoming);
    fprintf(out, "command %s\n", context->command_line);
    for (int i = 0; i < incoming.count; i++)
        fprintf(out, "install %s\n", nevra_of(context->pool, incoming.elements[i]));
    for (int i = 0; i < plan->replaced.count; i += 2) {
        char *old = nevra_of(context->pool, plan->replaced.elements[i + 1]);
        if (strcmp(old, nevra_of(context->pool, plan->replaced.elements[i])) != 0)
            fprintf(out, "replace %s\n", old);
    }
    for (int i = 0; i < plan->remove.count; i++)
        fprintf(out, "erase %s\n", nevra_of(context->pool, plan->remove.elements[i]));
    for (int i = 0; i < plan->unneeded.count; i++)
        fprintf(out, "erase %s\n", nevra_of(context->pool, plan->unneeded.elements[i]));
    fclose(out);
    queue_free(&incoming);
    if (!write_file(path, text, size) || (file = open(path, O_WRONLY | O_APPEND | O_CLOEXEC)) < 0)
        return fail(failure, path, errno == ENOSPC ? "make room" : NULL, "cannot be written: %s", strerror(errno));
    free(text);
    return true;
}

void journal_mark(const char *word, const char *nevra)
{
    char *line = text_of("%s %s\n", word, nevra);

    /* On a full disk the packages go on; a line that is missing means work done twice. */
    if (file >= 0 && write(file, line, strlen(line)) > 0)
        fdatasync(file);
    free(line);
}

void journal_close(struct context *context)
{
    if (file >= 0)
        close(file);
    file = -1;
    unlink(path_of(context));
}

bool journal_left(const struct context *context, struct journal *journal)
{
    struct {
        const char *word;
        struct strings *list;
    } lists[] = {{"install ", &journal->install},
                 {"replace ", &journal->replace},
                 {"erase ", &journal->erase},
                 {"begin ", &journal->begun},
                 {"done ", &journal->done}};
    char *text = read_file(path_of(context), MOST, NULL);

    *journal = (struct journal){0};
    if (text == NULL)
        return false;
    for (char *line = strtok(text, "\n"); line; line = strtok(NULL, "\n")) {
        if (starts_with(line, "command "))
            journal->command = copy_text(line + 8);
        for (size_t i = 0; i < sizeof lists / sizeof *lists; i++)
            if (starts_with(line, lists[i].word))
                add_string(lists[i].list, copy_text(line + strlen(lists[i].word)));
    }
    return true;
}

void journal_jobs(struct context *context, const struct journal *journal, struct goal *goal)
{
    for (size_t i = 0; i < journal->install.count; i++) {
        const char *nevra = journal->install.at[i];
        Id offered = package_called(context, nevra, false);
        if (package_called(context, nevra, true) && has_string(&journal->done, nevra))
            continue;
        if (offered)
            goal_add_package(goal, offered, SOLVER_INSTALL | SOLVER_WEAK);
        else
            warn("%s of the transaction that was cut is not to be had any more", nevra);
    }
    for (size_t i = 0; i < journal->erase.count; i++) {
        Id installed = package_called(context, journal->erase.at[i], true);
        if (installed)
            goal_add_package(goal, installed, SOLVER_ERASE);
    }
    for (size_t i = 0; i < journal->replace.count; i++) {
        Id old = package_called(context, journal->replace.at[i], true), q;
        bool doubled = false;
        if (old == 0)
            continue;
        for (q = context->pool->installed->start; q < context->pool->installed->end; q++)
            doubled |= context->pool->solvables[q].repo == context->pool->installed && q != old &&
                       has_string(&journal->install, nevra_of(context->pool, q)) &&
                       context->pool->solvables[q].name == context->pool->solvables[old].name;
        if (doubled)
            goal_add_package(goal, old, SOLVER_ERASE);
    }
}
