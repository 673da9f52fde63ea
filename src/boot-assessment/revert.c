/* The first process of a boot for which the tries of an update are used up: the kept /usr and /etc come back, then the
   real first process is started from them. Static, and a file of its own beside the kept trees: whatever the update
   did to the C library, this runs.

   Each tree comes back by one exchange of names. A tree that was kept has a mark in it, so a power cut at any point
   leaves a boot that goes on from there. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "disk.h"
#include "env.h"
#include "paths.h"

static void say(const char *what, const char *about)
{
    int log = open("/dev/kmsg", O_WRONLY | O_CLOEXEC);

    dprintf(log < 0 ? STDERR_FILENO : log, "boot-assessment: %s%s%s\n", what, about ? ": " : "", about ? about : "");
    if (log >= 0)
        close(log);
}

static bool bring_back(const char *tree, const char *kept, const char *mark)
{
    if (access(mark, F_OK) < 0)
        return true;
    return renameat2(AT_FDCWD, kept, AT_FDCWD, tree, RENAME_EXCHANGE) == 0;
}

/* What the administrator has below /usr/local is not of any package: it goes with the tree that is in use. */
static void keep_local(void)
{
    if (access(PREVIOUS "/usr/local", F_OK) == 0 && access("/usr/local", F_OK) < 0)
        rename(PREVIOUS "/usr/local", "/usr/local");
}

static bool write_env(void)
{
    struct env env;
    char kernel[ENV_SIZE];

    if (!env_read(&env, ENV_FILE))
        return false;
    env_get(&env, FALLBACK, kernel);
    return env_set(&env, FALLBACK, "") && env_set(&env, COUNTER, "") && env_set(&env, KERNELS, kernel) &&
           env_set(&env, UNDONE, "1") && env_write(&env, ENV_FILE);
}

static bool revert(void)
{
    if (mount(NULL, "/", NULL, MS_REMOUNT, NULL) < 0)
        return false;
    if (!bring_back("/usr", PREVIOUS "/usr", PREVIOUS "/usr/" MARK) ||
        !bring_back("/etc", PREVIOUS "/etc", PREVIOUS "/etc/" MARK))
        return false;
    keep_local();
    sync();
    unlink("/usr/" MARK);
    unlink("/etc/" MARK);
    if (rename(PREVIOUS, FAILED_TREE) < 0 && errno != ENOENT)
        return false;
    sync();
    make_visible("/");
    return write_env();
}

int main(int argc, char **argv)
{
    (void)argc;
    if (getpid() != 1) {
        fprintf(stderr, "revert: this is the first process of a boot; boot-assessment revert asks for such a boot\n");
        return 2;
    }
    say("the update did not start, going back to the system before it", NULL);
    if (revert())
        say("the system before the update is back", NULL);
    else
        say("could not go back", strerror(errno));
    mount(NULL, "/", NULL, MS_REMOUNT | MS_RDONLY, NULL);
    execv("/usr/lib/systemd/systemd", argv);
    say("the first process cannot be started", strerror(errno));
    return 1;
}
