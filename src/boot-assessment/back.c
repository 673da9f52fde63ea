#include "back.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "disk.h"
#include "env.h"
#include "paths.h"

static bool bring_back(const char *tree, const char *kept, const char *mark)
{
    if (access(mark, F_OK) < 0)
        return true;
    return renameat2(AT_FDCWD, kept, AT_FDCWD, tree, RENAME_EXCHANGE) == 0;
}

/* What the administrator has below /usr/local is not of any package: it goes with the tree that is in use. */
static void keep_local(void)
{
    if (access(PREVIOUS "/usr/local", F_OK) == 0 && access(ROOT "/usr/local", F_OK) < 0)
        rename(PREVIOUS "/usr/local", ROOT "/usr/local");
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

bool put_back(void)
{
    if (!bring_back(ROOT "/usr", PREVIOUS "/usr", PREVIOUS "/usr/" MARK) ||
        !bring_back(ROOT "/etc", PREVIOUS "/etc", PREVIOUS "/etc/" MARK))
        return false;
    keep_local();
    flush(ROOT "/");
    unlink(ROOT "/usr/" MARK);
    unlink(ROOT "/etc/" MARK);
    if (rename(PREVIOUS, FAILED_TREE) < 0 && errno != ENOENT)
        return false;
    make_visible(ROOT "/");
    return write_env();
}
