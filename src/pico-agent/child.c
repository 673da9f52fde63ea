#include "child.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

#include "machine.h"

enum { STACK = 64 << 10 };

enum step { STEP_TERMINAL, STEP_STREAMS, STEP_IDENTITY, STEP_CWD, STEP_PROGRAM };

struct report {
    enum step step;
    int error;
};

static void close_all(int descriptors[], size_t count)
{
    for (size_t at = 0; at < count; at++) {
        if (descriptors[at] >= 0)
            close(descriptors[at]);
        descriptors[at] = -1;
    }
}

static _Noreturn void die(const struct child *child, enum step step)
{
    struct report words = {step, errno};

    if (write(child->reports_to, &words, sizeof words) < 0)
        _exit(126);
    _exit(127);
}

/* execve(2) along PATH; a file that may not be run is told, unless another one may. */
static void execute(const struct launch *launch)
{
    const char *name = launch->arguments[0], *path = launch_variable(launch, "PATH");
    char file[4096];
    int error = ENOENT;

    if (strchr(name, '/') != NULL) {
        execve(name, launch->arguments, launch->environment);
        return;
    }
    for (const char *end; path != NULL; path = *end ? end + 1 : NULL) {
        end = path + strcspn(path, ":");
        snprintf(file, sizeof file, "%.*s%s%s", (int)(end - path), path, end > path ? "/" : "", name);
        execve(file, launch->arguments, launch->environment);
        if (errno != ENOENT && errno != ENOTDIR)
            error = errno;
    }
    errno = error;
}

static void take_streams(const struct child *child, const struct launch *launch)
{
    int own[3] = {child->own[0], child->own[1], child->own[2]};

    if (launch->tty) {
        own[0] = own[1] = own[2] = open(launch->terminal, O_RDWR | O_CLOEXEC);
        if (own[0] < 0 || ioctl(own[0], TIOCSCTTY, 0) < 0)
            die(child, STEP_TERMINAL);
    } else if (!launch->input) {
        own[0] = open("/dev/null", O_RDONLY | O_CLOEXEC);
    }
    for (int at = 0; at < 3; at++) {
        /* The user may open /dev/stdout and the like, as root may anyway. */
        if (launch->identity.uid && (launch->input || at || launch->tty) &&
            fchown(own[at], launch->identity.uid, launch->tty ? (gid_t)-1 : launch->identity.gid) < 0)
            die(child, STEP_STREAMS);
        if (dup2(own[at], at) < 0)
            die(child, STEP_STREAMS);
    }
}

static int become(void *argument)
{
    const struct rlimit files = {.rlim_cur = 1024, .rlim_max = 524288};
    const struct child *child = argument;
    sigset_t none;
    char word;

    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    signal(SIGPIPE, SIG_DFL);
    setsid();
    setrlimit(RLIMIT_NOFILE, &files);
    while (read(child->waits_for, &word, 1) < 0)
        if (errno != EINTR)
            _exit(127);
    const struct launch *launch = child->launch;
    const struct identity *identity = &launch->identity;
    if (unshare(CLONE_FS) < 0)
        die(child, STEP_STREAMS);
    take_streams(child, launch);
    if (identity->uid || identity->gid || identity->group_count) {
        /* Not by the C library, which would think of threads. */
        if (syscall(SYS_setgroups, identity->group_count, identity->groups) < 0 ||
            syscall(SYS_setresgid, identity->gid, identity->gid, identity->gid) < 0 ||
            syscall(SYS_setresuid, identity->uid, identity->uid, identity->uid) < 0)
            die(child, STEP_IDENTITY);
    }
    if (launch->cwd[1] && chdir(launch->cwd) < 0)
        die(child, STEP_CWD);
    execute(launch);
    die(child, STEP_PROGRAM);
}

static bool make_pipe(int *reading, int *writing)
{
    int ends[2];

    if (pipe2(ends, O_CLOEXEC) < 0)
        return false;
    /* Never one of those that a child puts its own streams on. */
    for (int at = 0; at < 2; at++) {
        while (ends[at] <= STDERR_FILENO) {
            int higher = fcntl(ends[at], F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
            if (higher < 0)
                return false;
            close(ends[at]);
            ends[at] = higher;
        }
    }
    *reading = ends[0];
    *writing = ends[1];
    return true;
}

bool child_make(struct child *child, bool first, uint16_t cgroup, struct failure *failure)
{
    static char stacks[2][STACK] __attribute__((aligned(16)));
    char *stack = stacks[first];

    *child = (struct child){0, -1, -1, {-1, -1, -1}, -1, -1, {-1, -1, -1}, NULL};
    bool done = make_pipe(&child->waits_for, &child->go) && make_pipe(&child->report, &child->reports_to) &&
                make_pipe(&child->own[0], &child->streams[0]);
    for (int at = 1; done && at < 3; at++)
        done = make_pipe(&child->streams[at], &child->own[at]);
    if (done) {
        child->pid = clone(become, stack + STACK, CLONE_VM | CLONE_FS | SIGCHLD, child);
        done = child->pid > 0;
    }
    if (!done)
        fail(failure, errno, "cannot start a process");
    close_all((int[]){child->waits_for, child->reports_to, child->own[0], child->own[1], child->own[2]}, 5);
    if (!done) {
        close_all((int[]){child->go, child->report, child->streams[0], child->streams[1], child->streams[2]}, 5);
        child->pid = 0;
        return false;
    }
    for (int at = 0; at < 3; at++)
        fcntl(child->streams[at], F_SETFL, O_NONBLOCK);
    enter_cgroup(cgroup, child->pid);
    return true;
}

static bool open_terminal(struct launch *launch, struct child *child, struct failure *failure)
{
    struct winsize size = {.ws_row = (unsigned short)launch->rows, .ws_col = (unsigned short)launch->columns};
    int master = open("/dev/pts/ptmx", O_RDWR | O_NOCTTY | O_CLOEXEC | O_NONBLOCK);

    close_all(child->streams, 3);
    if (master < 0)
        return fail(failure, errno, "cannot open a terminal");
    child->streams[0] = master;
    child->streams[1] = fcntl(master, F_DUPFD_CLOEXEC, 0);
    if (unlockpt(master) < 0 || ptsname_r(master, launch->terminal, sizeof launch->terminal) != 0 ||
        child->streams[1] < 0)
        return fail(failure, errno, "cannot open a terminal");
    ioctl(master, TIOCSWINSZ, &size);
    /* As in other runtimes, the main terminal is also the console. */
    if (launch->main && write_file("/dev/console", "", failure))
        mount(launch->terminal, "/dev/console", NULL, MS_BIND, NULL);
    return true;
}

static bool explain(const struct launch *launch, const struct report *report, struct failure *failure)
{
    switch (report->step) {
    case STEP_TERMINAL:
        return fail(failure, report->error, "cannot give the process its terminal");
    case STEP_STREAMS:
        return fail(failure, report->error, "cannot give the process its streams");
    case STEP_IDENTITY:
        return fail(failure, report->error, "cannot become user %s", launch->user);
    case STEP_CWD:
        return fail(failure, report->error, "working directory %s", launch->cwd);
    case STEP_PROGRAM:
        break;
    }
    return fail(failure, report->error, "cannot start %.300s", launch->arguments[0]);
}

bool child_release(struct child *child, struct launch *launch, struct failure *failure)
{
    struct report report;
    ssize_t count;
    bool done = !launch->tty || open_terminal(launch, child, failure);

    child->launch = launch;
    if (done && write(child->go, "", 1) != 1)
        done = fail(failure, errno, "cannot start a process");
    if (done) {
        while ((count = read(child->report, &report, sizeof report)) < 0 && errno == EINTR)
            ;
        done = count == 0 || explain(launch, &report, failure);
    } else {
        kill(child->pid, SIGKILL);
    }
    close_all((int[]){child->go, child->report}, 2);
    if (!done) {
        waitpid(child->pid, NULL, 0);
        close_all(child->streams, 3);
    } else if (!launch->tty && !launch->input) {
        close_all(child->streams, 1);
    }
    return done;
}
