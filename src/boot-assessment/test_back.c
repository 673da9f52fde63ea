/* The way back with a power cut before each of its steps: the next boot goes on, and the end is the same. */
#include <fcntl.h>
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "back.h"
#include "env.h"
#include "paths.h"

int __real_renameat2(int from_folder, const char *from, int to_folder, const char *to, unsigned int flags);
int __real_rename(const char *from, const char *to);
int __real_unlink(const char *path);
ssize_t __real_pwrite(int file, const void *bytes, size_t size, off_t at);
int __wrap_renameat2(int from_folder, const char *from, int to_folder, const char *to, unsigned int flags);
int __wrap_rename(const char *from, const char *to);
int __wrap_unlink(const char *path);
ssize_t __wrap_pwrite(int file, const void *bytes, size_t size, off_t at);

static jmp_buf cut;
static int left, steps;

static void step(void)
{
    steps++;
    if (left-- == 0)
        longjmp(cut, 1);
}

int __wrap_renameat2(int from_folder, const char *from, int to_folder, const char *to, unsigned int flags)
{
    step();
    return __real_renameat2(from_folder, from, to_folder, to, flags);
}

int __wrap_rename(const char *from, const char *to)
{
    step();
    return __real_rename(from, to);
}

int __wrap_unlink(const char *path)
{
    step();
    return __real_unlink(path);
}

ssize_t __wrap_pwrite(int file, const void *bytes, size_t size, off_t at)
{
    step();
    return __real_pwrite(file, bytes, size, at);
}

static void must(bool good, const char *what)
{
    if (!good) {
        fprintf(stderr, "%s, cut before step %d\n", what, steps);
        exit(1);
    }
}

static void put(const char *path, const char *text)
{
    FILE *file = fopen(path, "w");

    must(file && fputs(text, file) >= 0 && fclose(file) == 0, path);
}

static bool holds(const char *path, const char *text)
{
    char line[64] = "";
    FILE *file = fopen(path, "r");
    bool good = file && fgets(line, sizeof line, file) && strcmp(line, text) == 0;

    if (file)
        fclose(file);
    return good;
}

/* A system with an update, and the one that was kept before it. */
static void prepare(void)
{
    struct env env;

    must(system("rm -rf root && mkdir -p root/usr/local root/etc root/boot/grub " PREVIOUS "/usr " PREVIOUS "/etc") ==
             0,
         "folders");
    put("root/usr/file", "new");
    put("root/etc/file", "new");
    put("root/usr/local/file", "mine");
    put(PREVIOUS "/usr/file", "old");
    put(PREVIOUS "/etc/file", "old");
    put(PREVIOUS "/usr/" MARK, "");
    put(PREVIOUS "/etc/" MARK, "");
    env_clear(&env);
    must(env_set(&env, FALLBACK, "6.1") && env_set(&env, COUNTER, "0") && env_set(&env, KERNELS, "6.2 6.1"), "block");
    put(ENV_FILE, "");
    must(truncate(ENV_FILE, ENV_SIZE) == 0 && env_write(&env, ENV_FILE), "block");
}

static void check(void)
{
    static const char *const names[] = {KERNELS, COUNTER, FALLBACK, UNDONE}, *const wanted[] = {"6.1", "", "", "1"};
    struct env env;
    char value[ENV_SIZE];

    must(holds("root/usr/file", "old") && holds("root/etc/file", "old"), "the system before");
    must(holds("root/usr/local/file", "mine"), "what is below /usr/local");
    must(holds(FAILED_TREE "/usr/file", "new") && holds(FAILED_TREE "/etc/file", "new"), "the update");
    must(access("root/usr/" MARK, F_OK) < 0 && access("root/etc/" MARK, F_OK) < 0, "no marks");
    must(access(PREVIOUS, F_OK) < 0, "nothing kept");
    must(env_read(&env, ENV_FILE), "block");
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        env_get(&env, names[i], value);
        must(strcmp(value, wanted[i]) == 0, names[i]);
    }
}

/* Before the cut, what GRUB reads leads back here as long as the way is not at its end. */
static void check_cut(void)
{
    struct env env;
    char value[ENV_SIZE];

    must(env_read(&env, ENV_FILE), "block");
    env_get(&env, FALLBACK, value);
    must(strcmp(value, "6.1") == 0, "still on trial");
}

int main(void)
{
    volatile int total;

    left = -1;
    prepare();
    steps = 0;
    must(put_back(), "the way back");
    total = steps;
    check();
    must(total >= 7, "steps");
    for (volatile int at = 0; at < total; at++) {
        left = -1;
        prepare();
        steps = 0;
        left = at;
        if (setjmp(cut) == 0) {
            put_back();
            must(false, "no cut");
        }
        left = -1;
        check_cut();
        must(put_back(), "the second way back");
        check();
    }
    printf("%d steps\n", total);
    return 0;
}
