#include "command.h"

#include <spawn.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

bool command(const char *const argv[])
{
    pid_t child;
    int status;

    if (posix_spawnp(&child, argv[0], NULL, NULL, (char *const *)argv, environ) != 0)
        return false;
    while (waitpid(child, &status, 0) < 0)
        ;
    return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

void stop(const char *what, const char *where, const char *hint)
{
    fprintf(stderr, "error: %s%s%s\n", where ? where : "", where ? ": " : "", what);
    if (hint)
        fprintf(stderr, "\nhint: %s\n", hint);
    exit(1);
}

void note(const char *format, ...)
{
    va_list list;

    va_start(list, format);
    vfprintf(stderr, format, list);
    va_end(list);
    fputc('\n', stderr);
}
