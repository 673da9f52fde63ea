/* GRUB's environment block: https://www.gnu.org/software/grub/manual/grub/html_node/Environment-block.html

   1,024 bytes of NAME=VALUE lines that GRUB reads and writes where they lie on the disk. It writes no file system
   structures, so the file is never made anew: it keeps its size and its place. */
#ifndef ENV_H
#define ENV_H

#include <stdbool.h>

enum { ENV_SIZE = 1024 };

struct env {
    char block[ENV_SIZE];
};

/* False with errno; a block that is none is EINVAL. */
bool env_read(struct env *env, const char *path);
/* In place, and on the disk when it returns; false with errno. */
bool env_write(const struct env *env, const char *path);
void env_clear(struct env *env);
bool env_valid(const struct env *env);
/* The value, "" without one, into `value` of ENV_SIZE bytes. */
void env_get(const struct env *env, const char *name, char *value);
/* An empty value removes the variable. False when there is no room; then nothing is changed. */
bool env_set(struct env *env, const char *name, const char *value);

#endif
