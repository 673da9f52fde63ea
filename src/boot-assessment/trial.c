#include "trial.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "command.h"
#include "disk.h"
#include "kernels.h"
#include "network.h"
#include "paths.h"

#define NEW STATE "/new"
static const char PROGRAM[] = "/usr/lib/boot-assessment/revert";
static const char TRIES[] = "3";

bool on_trial(const struct env *env)
{
    char kernel[ENV_SIZE];

    env_get(env, FALLBACK, kernel);
    return *kernel != '\0';
}

static void save(const struct env *env)
{
    if (!env_write(env, ENV_FILE))
        stop(strerror(errno), ENV_FILE, NULL);
}

static void set(struct env *env, const char *name, const char *value)
{
    if (!env_set(env, name, value))
        stop("there is no room in GRUB's environment block", ENV_FILE, "remove kernels that are not needed");
}

static void need(bool good, const char *what)
{
    if (!good) {
        command((const char *const[]){"rm", "-rf", NEW, NULL});
        stop(what, STATE, "make room on the root file system; nothing was changed");
    }
}

static void mark(const char *path)
{
    int file = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0644);

    need(file >= 0 && close(file) == 0, "the system cannot be kept");
}

/* /usr by hard links, for rpm replaces files and does not write into them; what is written into is copied: rpm's
   database, and /etc. */
static void keep(void)
{
    static const char *const commands[][6] = {
        {"rm", "-rf", NEW, PREVIOUS, FAILED_TREE}, {"mkdir", "-p", "-m", "0700", NEW},
        {"cp", "-al", "/usr", NEW "/usr"},         {"rm", "-rf", NEW "/usr/local", NEW DATABASE},
        {"cp", "-a", DATABASE, NEW DATABASE},      {"cp", "-a", "/etc", NEW "/etc"},
    };

    for (size_t i = 0; i < sizeof commands / sizeof *commands; i++) {
        const char *argv[7] = {0};
        memcpy(argv, commands[i], sizeof commands[i]);
        need(command(argv), "the system before the update cannot be kept");
    }
    mark(NEW "/usr/" MARK);
    mark(NEW "/etc/" MARK);
    /* What the package client knows: it is told when its update is undone. */
    if (access(CLIENT, F_OK) == 0)
        need(command((const char *const[]){"cp", "-a", CLIENT, NEW "/tdnf", NULL}), "the history cannot be kept");
    if (has_default_route("/proc/net/route", "/proc/net/ipv6_route"))
        mark(NEW "/network");
    unlink(REVERT);
    need(link(PROGRAM, REVERT) == 0, "the system before the update cannot be kept");
    need(rename(NEW, PREVIOUS) == 0, "the system before the update cannot be kept");
    make_visible("/");
}

static bool one_file_system(void)
{
    struct stat root, usr, etc, boot;

    return stat("/", &root) == 0 && stat("/usr", &usr) == 0 && stat("/etc", &etc) == 0 && stat("/boot", &boot) == 0 &&
           root.st_dev == usr.st_dev && root.st_dev == etc.st_dev;
}

/* The version of the kernel that GRUB has loaded, "" where it came from elsewhere. */
static void loaded_kernel(char *version)
{
    char line[4096] = "", *from, *to;
    FILE *file = fopen("/proc/cmdline", "re");

    *version = '\0';
    if (file && fgets(line, sizeof line, file) && (from = strstr(line, MODULES "/")) != NULL) {
        from += strlen(MODULES "/");
        to = strstr(from, "/vmlinuz");
        if (to && to > from && to - from < 256 && memchr(from, ' ', (size_t)(to - from)) == NULL) {
            memcpy(version, from, (size_t)(to - from));
            version[to - from] = '\0';
        }
    }
    if (file)
        fclose(file);
}

/* The kernel that this system is known to start with: the running one, where it is still there. */
static void good_kernel(const struct env *env, char *version)
{
    char running[ENV_SIZE], path[ENV_SIZE + sizeof MODULES "//vmlinuz"];

    env_get(env, GOOD, version);
    loaded_kernel(running);
    snprintf(path, sizeof path, MODULES "/%s/vmlinuz", running);
    if (*running && (*version == '\0' || access(path, R_OK) == 0))
        memcpy(version, running, sizeof running);
}

/* GRUB reads logical volumes and arrays, and does not write to them: it cannot count there. */
static void warn_of_volume(void)
{
    static const char *const kinds[] = {"dm", "md"};
    struct stat about;
    char path[96];

    for (size_t i = 0; stat(ENV_FILE, &about) == 0 && i < sizeof kinds / sizeof *kinds; i++) {
        snprintf(path, sizeof path, "/sys/dev/block/%u:%u/%s", major(about.st_dev), minor(about.st_dev), kinds[i]);
        if (access(path, F_OK) == 0)
            note("warning: /boot is on a volume that GRUB cannot write to: boots are not counted; if this update does "
                 "not "
                 "start, nothing goes back by itself");
    }
}

void trial_begin(struct env *env)
{
    char kernel[ENV_SIZE];

    if (!one_file_system()) {
        note("warning: /usr or /etc is a file system of its own: an update that does not start is not undone");
        return;
    }
    if (!on_trial(env)) {
        good_kernel(env, kernel);
        if (*kernel == '\0') {
            note("warning: GRUB has not loaded this kernel: an update that does not start is not undone");
            return;
        }
        keep();
        set(env, FALLBACK, kernel);
    }
    warn_of_volume();
    set(env, UNDONE, "");
    set(env, COUNTER, TRIES);
    save(env);
}

void list_kernels(struct env *env)
{
    char *versions[MOST_KERNELS], text[ENV_SIZE] = "";
    size_t count = kernels_in(MODULES, versions);

    for (size_t i = 0; i < count && strlen(text) + strlen(versions[i]) < ENV_SIZE / 2; i++) {
        strcat(text, i ? " " : "");
        strcat(text, versions[i]);
    }
    set(env, KERNELS, text);
}

void trial_end(struct env *env)
{
    /* What the list names is there before the list. */
    make_visible("/");
    list_kernels(env);
    save(env);
}

void trial_good(struct env *env)
{
    char kernel[ENV_SIZE];

    loaded_kernel(kernel);
    set(env, GOOD, kernel);
    set(env, FALLBACK, "");
    set(env, COUNTER, "");
    list_kernels(env);
    make_visible("/");
    save(env);
    command((const char *const[]){"rm", "-rf", NEW, PREVIOUS, NULL});
}

void trial_give_up(struct env *env)
{
    if (!on_trial(env))
        stop("no update is on trial, so there is nothing to go back to", NULL,
             "tdnf history undo ID undoes one whose boot was good");
    set(env, COUNTER, "0");
    save(env);
}
