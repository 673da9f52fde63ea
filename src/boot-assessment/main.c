/* boot-assessment: the commands. See boot-assessment(8). */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "command.h"
#include "env.h"
#include "paths.h"
#include "trial.h"

static const char HELP[] = "boot-assessment COMMAND\n\n"
                           "  status   what is on trial, and how many tries are left\n"
                           "  begin    keep the system as it is, and count the boots from now on\n"
                           "  end      the packages are changed: which kernels there are\n"
                           "  good     this boot is good: the update stays\n"
                           "  failed   this boot is not: restart, if an update is on trial\n"
                           "  revert   the next boot goes back to the system before the update\n";

static void status(struct env *env)
{
    static const char *const names[] = {KERNELS, GOOD, COUNTER, FALLBACK, UNDONE};
    char value[ENV_SIZE];

    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        env_get(env, names[i], value);
        printf("%s=%s\n", names[i], value);
    }
}

static void failed(struct env *env)
{
    if (!on_trial(env)) {
        note("this boot is not good; no update is on trial, so there is nothing to go back to");
        return;
    }
    note("this boot is not good: restarting");
    if (!command((const char *const[]){"systemctl", "--no-block", "reboot", NULL}))
        stop("the restart was refused", NULL, NULL);
}

static const struct {
    const char *name;
    void (*run)(struct env *env);
} commands[] = {{"status", status},   {"begin", trial_begin}, {"end", trial_end},
                {"good", trial_good}, {"failed", failed},     {"revert", trial_give_up}};

int main(int argc, char **argv)
{
    struct env env;

    if (argc == 2 && strcmp(argv[1], "--version") == 0)
        return printf("boot-assessment %s\n", VERSION) < 0;
    for (size_t i = 0; argc == 2 && i < sizeof commands / sizeof *commands; i++) {
        if (strcmp(argv[1], commands[i].name) != 0)
            continue;
        if (!env_read(&env, ENV_FILE)) {
            /* A live medium, or a machine that another boot loader starts. */
            if (errno == ENOENT)
                return 0;
            stop(strerror(errno), ENV_FILE, "grub-editenv create makes a new one");
        }
        commands[i].run(&env);
        return 0;
    }
    fputs(HELP, argc == 2 && strcmp(argv[1], "--help") == 0 ? stdout : stderr);
    return argc == 2 && strcmp(argv[1], "--help") == 0 ? 0 : 2;
}
