#include "hooks.h"

#include <errno.h>
#include <spawn.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static const char FOLDER[] = "/usr/lib/tdnf/transaction.d";

static bool run_hook(const char *path, const char *word, struct failure *failure)
{
    char *argv[] = {(char *)path, (char *)word, NULL};
    posix_spawn_file_actions_t actions;
    pid_t child;
    int status = 0;

    /* The answer for a program is alone on stdout. */
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, STDERR_FILENO, STDOUT_FILENO);
    int error = posix_spawn(&child, path, &actions, NULL, argv, environ);
    posix_spawn_file_actions_destroy(&actions);
    while (error == 0 && waitpid(child, &status, 0) < 0 && errno == EINTR)
        ;
    if (error == 0 && WIFEXITED(status) && WEXITSTATUS(status) == 0)
        return true;
    return fail(failure, path, "what it said is above; without it an update cannot be undone",
                error ? "cannot be run: %s" : "has refused the transaction, nothing was changed", strerror(error));
}

bool run_hooks(const struct config *config, const char *word, struct failure *failure)
{
    if (strcmp(config->root, "/") != 0)
        return true;
    struct strings names = names_in(FOLDER);
    for (size_t i = 0; i < names.count; i++)
        if (!run_hook(text_of("%s/%s", FOLDER, names.at[i]), word, failure))
            return false;
    return true;
}
