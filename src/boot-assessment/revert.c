/* The first process of a boot for which the tries of an update are used up: the kept /usr and /etc come back, then the
   real first process is started from them. Static, and a file of its own beside the kept trees: whatever the update
   did to the C library, this runs.

   A power cut at any point leaves a boot that goes on from there. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <unistd.h>

#include "back.h"

static void say(const char *what, const char *about)
{
    int log = open("/dev/kmsg", O_WRONLY | O_CLOEXEC);

    dprintf(log < 0 ? STDERR_FILENO : log, "boot-assessment: %s%s%s\n", what, about ? ": " : "", about ? about : "");
    if (log >= 0)
        close(log);
}

int main(int argc, char **argv)
{
    (void)argc;
    if (getpid() != 1) {
        fprintf(stderr, "revert: this is the first process of a boot; boot-assessment revert asks for such a boot\n");
        return 2;
    }
    say("the update did not start, going back to the system before it", NULL);
    if (mount(NULL, "/", NULL, MS_REMOUNT, NULL) == 0 && put_back())
        say("the system before the update is back", NULL);
    else
        say("could not go back", strerror(errno));
    mount(NULL, "/", NULL, MS_REMOUNT | MS_RDONLY, NULL);
    execv("/usr/lib/systemd/systemd", argv);
    say("the first process cannot be started", strerror(errno));
    return 1;
}
