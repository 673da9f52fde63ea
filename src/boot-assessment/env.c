#include "env.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

static const char SIGNATURE[] = "# GRUB Environment Block\n";

void env_clear(struct env *env)
{
    memset(env->block, '#', ENV_SIZE);
    memcpy(env->block, SIGNATURE, sizeof SIGNATURE - 1);
}

bool env_valid(const struct env *env)
{
    return memcmp(env->block, SIGNATURE, sizeof SIGNATURE - 1) == 0;
}

bool env_read(struct env *env, const char *path)
{
    int file = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);

    if (file < 0)
        return false;
    ssize_t got = read(file, env->block, ENV_SIZE);
    int error = errno;
    close(file);
    errno = got < 0 ? error : EINVAL;
    return got == ENV_SIZE && env_valid(env);
}

bool env_write(const struct env *env, const char *path)
{
    int file = open(path, O_WRONLY | O_CLOEXEC | O_NOFOLLOW);

    if (file < 0)
        return false;
    bool good = pwrite(file, env->block, ENV_SIZE, 0) == ENV_SIZE && fsync(file) == 0;
    int error = errno;
    close(file);
    errno = error;
    return good;
}

/* Where the line of a variable begins, NULL without one; `size` with the line's end. */
static char *find(const struct env *env, const char *name, size_t *size)
{
    const char *at = env->block, *end = env->block + ENV_SIZE;
    size_t length = strlen(name);

    while (at < end) {
        const char *stop = memchr(at, '\n', (size_t)(end - at));
        if (stop == NULL)
            return NULL;
        *size = (size_t)(stop - at) + 1;
        if (*size > length + 1 && memcmp(at, name, length) == 0 && at[length] == '=')
            return (char *)at;
        at = stop + 1;
    }
    return NULL;
}

void env_get(const struct env *env, const char *name, char *value)
{
    size_t size, skip = strlen(name) + 1;
    const char *line = find(env, name, &size);

    *value = '\0';
    if (line) {
        memcpy(value, line + skip, size - skip - 1);
        value[size - skip - 1] = '\0';
    }
}

/* Where the last line ends: the rest is '#' up to the end. */
static size_t used(const struct env *env)
{
    size_t last = 0;

    for (size_t i = 0; i < ENV_SIZE; i++)
        if (env->block[i] == '\n')
            last = i + 1;
    return last;
}

bool env_set(struct env *env, const char *name, const char *value)
{
    struct env made = *env;
    size_t size, length = strlen(name), room = strlen(value);
    char *line = find(&made, name, &size);

    if (line) {
        size_t after = (size_t)(made.block + ENV_SIZE - line) - size;
        memmove(line, line + size, after);
        memset(line + after, '#', size);
    }
    size_t at = used(&made);
    if (room) {
        if (at + length + room + 2 > ENV_SIZE)
            return false;
        memcpy(made.block + at, name, length);
        made.block[at + length] = '=';
        memcpy(made.block + at + length + 1, value, room);
        made.block[at + length + room + 1] = '\n';
    }
    *env = made;
    return true;
}
