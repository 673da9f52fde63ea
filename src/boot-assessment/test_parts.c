/* The environment block and the kernel's tables of routes: pure, and so tested alone. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "env.h"
#include "network.h"

static void must(bool good, const char *what)
{
    if (!good) {
        fprintf(stderr, "%s\n", what);
        exit(1);
    }
}

static void put(const char *path, const char *text, size_t size)
{
    int file = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);

    must(file >= 0 && write(file, text, size) == (ssize_t)size && close(file) == 0, path);
}

static void is(const struct env *env, const char *name, const char *wanted)
{
    char value[ENV_SIZE];

    env_get(env, name, value);
    must(strcmp(value, wanted) == 0, name);
}

static void test_variables(void)
{
    struct env env, before;
    char large[ENV_SIZE];

    env_clear(&env);
    must(env_valid(&env), "an empty block");
    is(&env, "a", "");
    must(env_set(&env, "kernels", "6.12-1 6.11-2") && env_set(&env, "boot_counter", "3"), "two variables");
    is(&env, "kernels", "6.12-1 6.11-2");
    must(env_set(&env, "kernels", "6.13") && env_set(&env, "kernel", "x"),
         "another value, a name that begins the same");
    is(&env, "kernels", "6.13");
    is(&env, "kernel", "x");
    is(&env, "boot_counter", "3");
    must(env_set(&env, "kernels", "") && env_set(&env, "none", ""), "nothing");
    is(&env, "kernels", "");
    must(memcmp(env.block, "# GRUB Environment Block\nboot_counter=3\nkernel=x\n####", 52) == 0, "what GRUB reads");
    memset(large, 'v', sizeof large - 1);
    large[sizeof large - 1] = '\0';
    before = env;
    must(!env_set(&env, "large", large) && memcmp(&before, &env, sizeof env) == 0, "no room, nothing changed");
    large[ENV_SIZE - 49 - strlen("large=\n")] = '\0';
    must(env_set(&env, "large", large) && !env_set(&env, "b", "1"), "exactly the room that there is");
    is(&env, "large", large);
}

static void test_damage(void)
{
    struct env env;

    memset(env.block, 'x', ENV_SIZE);
    is(&env, "x", "");
    memset(env.block, '\n', ENV_SIZE);
    is(&env, "", "");
    memset(env.block, '=', ENV_SIZE);
    env.block[ENV_SIZE - 1] = '\n';
    is(&env, "a", "");
    must(!env_valid(&env), "no block");
}

static void test_files(void)
{
    struct env env;
    struct stat before, after;

    env_clear(&env);
    must(!env_read(&env, "none") && errno == ENOENT, "no file");
    put("short", env.block, ENV_SIZE - 1);
    must(!env_read(&env, "short") && errno == EINVAL, "a short file");
    env_clear(&env);
    put("block", env.block, ENV_SIZE);
    stat("block", &before);
    must(env_set(&env, "a", "b") && env_write(&env, "block"), "written");
    env_clear(&env);
    must(env_read(&env, "block"), "read");
    is(&env, "a", "b");
    stat("block", &after);
    must(before.st_ino == after.st_ino && after.st_size == ENV_SIZE, "in place");
    unlink("link");
    must(symlink("block", "link") == 0 && !env_read(&env, "link") && !env_write(&env, "link"), "no links");
}

static void test_routes(void)
{
    static const char head[] = "Iface\tDestination\tGateway\tFlags\n", way[] = "eth0\t00000000\t0202000A\t0003\n",
                      near[] = "eth0\t0002000A\t00000000\t0001\n";
    static const char reject[] = "00000000000000000000000000000000 00 00000000000000000000000000000000 00 "
                                 "00000000000000000000000000000000 ffffffff 00000001 00000000 00200200       lo\n";
    char other[sizeof reject + 2];

    put("none", head, sizeof head - 1);
    put("near", near, sizeof near - 1);
    put("way", way, sizeof way - 1);
    put("reject", reject, sizeof reject - 1);
    snprintf(other, sizeof other, "%.*seth0\n", (int)sizeof reject - 4, reject);
    put("six", other, strlen(other));
    must(!has_default_route("none", "missing") && !has_default_route("near", "reject"), "no way");
    must(has_default_route("way", "missing"), "IPv4");
    must(has_default_route("near", "six"), "IPv6");
}

int main(void)
{
    test_variables();
    test_damage();
    test_files();
    test_routes();
    return 0;
}
