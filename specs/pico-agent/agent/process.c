#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

#include "agent.h"
#include "machine.h"
#include "users.h"

enum { CHUNK = 32 << 10, STEP = WINDOW / 8, BACKLOG = 128 << 10, MAX_WORDS = 16384 };
static const char SEARCH_PATH[] = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/* What a new process is, as START says. */
struct launch {
    uint16_t id;
    char **arguments, **environment;
    size_t argument_count, environment_count;
    const char *cwd, *user;
    bool tty, main, input;
    uint64_t rows, columns;
    struct identity identity;
    char terminal[64];
};

enum step { STEP_TERMINAL, STEP_STREAMS, STEP_IDENTITY, STEP_CWD, STEP_PROGRAM };

struct report {
    enum step step;
    int error;
};

struct process *find_process(uint16_t id)
{
    for (struct process *process = agent.processes; process != NULL; process = process->next)
        if (process->id == id)
            return process;
    return NULL;
}

/* -- START */

static void add_word(char ***words, size_t *count, const char *word)
{
    *words = allocate(*words, (*count + 2) * sizeof **words);
    (*words)[(*count)++] = copy_text(word);
    (*words)[*count] = NULL;
}

static void free_words(char **words)
{
    for (char **word = words; word != NULL && *word != NULL; word++)
        free(*word);
    free(words);
}

static const char *variable(const struct launch *launch, const char *name)
{
    size_t size = strlen(name);
    const char *found = NULL;

    for (size_t at = 0; at < launch->environment_count; at++)
        if (strncmp(launch->environment[at], name, size) == 0 && launch->environment[at][size] == '=')
            found = launch->environment[at] + size + 1;
    return found;
}

static void add_default(struct launch *launch, const char *name, const char *value)
{
    char text[600];

    if (variable(launch, name) != NULL)
        return;
    snprintf(text, sizeof text, "%s=%s", name, value);
    add_word(&launch->environment, &launch->environment_count, text);
}

static bool yes(const char *value, bool *result)
{
    *result = strcmp(value, "yes") == 0;
    return *result || strcmp(value, "no") == 0;
}

static bool read_launch(const struct frame *frame, struct launch *launch, struct failure *failure)
{
    struct records records = records_of(frame);
    const char *key, *value;

    while (records_next(&records, &key, &value)) {
        bool good = true;
        if (strcmp(key, "arg") == 0 && (good = launch->argument_count < MAX_WORDS))
            add_word(&launch->arguments, &launch->argument_count, value);
        else if (strcmp(key, "env") == 0 && (good = launch->environment_count < MAX_WORDS && strchr(value, '=')))
            add_word(&launch->environment, &launch->environment_count, value);
        else if (strcmp(key, "cwd") == 0)
            launch->cwd = *value ? value : "/";
        else if (strcmp(key, "user") == 0)
            launch->user = value;
        else if (strcmp(key, "tty") == 0)
            good = yes(value, &launch->tty);
        else if (strcmp(key, "main") == 0)
            good = yes(value, &launch->main);
        else if (strcmp(key, "stdin") == 0)
            good = yes(value, &launch->input);
        else if (strcmp(key, "rows") == 0)
            good = parse_number(value, UINT16_MAX, &launch->rows);
        else if (strcmp(key, "columns") == 0)
            good = parse_number(value, UINT16_MAX, &launch->columns);
        if (!good)
            return fail(failure, 0, "START cannot have %s=%.100s", key, value);
    }
    return true;
}

/* Everything that the image decides: who the user is, where the work is done. */
static bool prepare(const struct frame *frame, struct launch *launch, struct failure *failure)
{
    const char *key, *value;
    struct stat status;

    if (launch->argument_count == 0 || launch->arguments[0][0] == '\0')
        return fail(failure, EINVAL, "no program to start");
    if (launch->cwd[0] != '/')
        return fail(failure, EINVAL, "the working directory %.200s is no absolute path", launch->cwd);
    if (!resolve_user(launch->user, "/etc/passwd", "/etc/group", &launch->identity, failure))
        return false;
    /* The records have been split: a key ends where its value begins. */
    for (const char *at = frame->payload, *end = at + frame->size; at < end; at = value + strlen(value) + 1) {
        key = at;
        value = key + strlen(key) + 1;
        if (strcmp(key, "group") == 0 && !add_group(value, "/etc/group", &launch->identity, failure))
            return false;
    }
    if (launch->main && launch->cwd[1] && stat(launch->cwd, &status) < 0 && errno == ENOENT &&
        !make_directories(launch->cwd, failure))
        return false;
    add_default(launch, "PATH", SEARCH_PATH);
    add_default(launch, "HOME", launch->identity.home);
    add_default(launch, "HOSTNAME", machine.hostname);
    if (launch->tty)
        add_default(launch, "TERM", "xterm");
    return true;
}

/* A child that waits to be told what to become. It shares our memory, root and working directory until then, so there
   is nothing to copy and nothing to tell; the first one waits in the template already. Its ends of the pipes are its
   own. */
struct child {
    pid_t pid;
    int go, report;
    /* Our ends of its stdin, stdout and stderr. */
    int streams[3];
    /* The child's own. */
    int waits_for, reports_to, own[3];
    const struct launch *launch;
};

enum { STACK = 64 << 10 };
static struct child first;

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
    const char *name = launch->arguments[0], *path = variable(launch, "PATH");
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

static bool make_child(struct child *child, uint16_t cgroup, struct failure *failure)
{
    static char stacks[2][STACK] __attribute__((aligned(16)));
    char *stack = stacks[child == &first];

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

bool prepare_main(struct failure *failure)
{
    return make_child(&first, 0, failure);
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

/* Let the child become the program, and wait until it has, or says why not. */
static bool release(struct child *child, struct launch *launch, struct failure *failure)
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

static void process_ready(struct source *source)
{
    (void)source; /* turn() looks at every process. */
}

static struct process *add_process(const struct launch *launch, const struct child *child)
{
    struct process *process = allocate(NULL, sizeof *process);

    *process = (struct process){
        .next = agent.processes,
        .id = launch->id,
        .pid = child->pid,
        .main = launch->main,
        .tty = launch->tty,
        .input = {.fd = child->streams[0], .ready = process_ready},
        .output = {.fd = child->streams[1], .ready = process_ready},
        .errors = {.fd = child->streams[2], .ready = process_ready},
        .credit = WINDOW,
    };
    agent.processes = process;
    if (process->main) {
        agent.main = process;
        agent.had_main = true;
    }
    return process;
}

void send_started(struct process *process, struct port *port)
{
    struct payload payload = {0};

    payload_add(&payload, "pid", "%d", (int)process->pid);
    payload_add(&payload, "tty", "%s", process->tty ? "yes" : "no");
    payload_add(&payload, "main", "%s", process->main ? "yes" : "no");
    send_payload(port, STARTED, process->id, &payload);
}

static bool launch_process(struct launch *launch, struct port *port, struct failure *failure)
{
    struct child other, *child = launch->main ? &first : &other;

    if (!launch->main && !make_child(child, launch->id, failure))
        return false;
    if (!release(child, launch, failure)) {
        if (!launch->main)
            leave_cgroup(launch->id);
        return false;
    }
    struct process *process = add_process(launch, child);
    process->port = port;
    send_started(process, port);
    if (process->main)
        send_started(process, agent.log);
    return true;
}

bool start_process(struct port *port, const struct frame *frame, bool *main, struct failure *failure)
{
    struct launch launch = {.id = frame->process, .cwd = "/", .user = "", .rows = 24, .columns = 80};
    bool done = false;

    if (frame->process == 0)
        fail(failure, 0, "START needs the number of a process other than 0");
    else if (find_process(frame->process) != NULL)
        fail(failure, EEXIST, "process %u", frame->process);
    else if (read_launch(frame, &launch, failure)) {
        *main = launch.main;
        if (launch.main && agent.had_main) {
            *main = false;
            fail(failure, EEXIST, "the main process");
        } else if (prepare(frame, &launch, failure)) {
            done = launch_process(&launch, port, failure);
        }
    }
    free_words(launch.arguments);
    free_words(launch.environment);
    return done;
}

/* -- streams */

static void grant(struct process *process, size_t size)
{
    struct payload payload = {0};

    process->owed += size;
    if (process->owed < STEP)
        return;
    payload_add(&payload, "bytes", "%zu", process->owed);
    process->owed = 0;
    send_payload(process->port, CREDIT, process->id, &payload);
}

void take_input(struct process *process, const struct frame *frame)
{
    if (frame->size == 0)
        process->input_over = true;
    else if (process->input.fd < 0 || process->input_over)
        grant(process, frame->size);
    else
        queue_add(&process->unread, frame->payload, frame->size);
}

static void stop_input(struct process *process)
{
    close_source(&process->input);
    grant(process, process->unread.size);
    queue_clear(&process->unread);
}

static void write_input(struct process *process)
{
    static const char end_of_transmission = 4;

    while (process->input.fd >= 0 && process->unread.size > 0) {
        ssize_t count = write(process->input.fd, queue_front(&process->unread), process->unread.size);
        if (count < 0 && errno == EAGAIN) {
            watch(&process->input, EPOLLOUT);
            return;
        }
        if (count < 0) {
            stop_input(process);
            return;
        }
        queue_drop(&process->unread, (size_t)count);
        grant(process, (size_t)count);
    }
    unwatch(&process->input);
    if (!process->input_over || process->input.fd < 0)
        return;
    /* A terminal has no end of its own: it is typed, as at a keyboard. */
    if (process->tty && write(process->input.fd, &end_of_transmission, 1) < 0 && errno == EAGAIN) {
        watch(&process->input, EPOLLOUT);
        return;
    }
    stop_input(process);
}

static bool may_send(const struct process *process)
{
    if (process->port != NULL && (process->credit == 0 || process->port->out.size >= BACKLOG))
        return false;
    return !process->main || agent.log == NULL || agent.log->out.size < BACKLOG;
}

static void read_output(struct process *process, struct source *source, uint8_t type)
{
    static char chunk[CHUNK];

    while (source->fd >= 0) {
        if (!may_send(process)) {
            unwatch(source);
            return;
        }
        size_t most = process->port != NULL && process->credit < CHUNK ? process->credit : CHUNK;
        ssize_t count = read(source->fd, chunk, most);
        if (count > 0) {
            if (process->port != NULL)
                process->credit -= (size_t)count;
            send_frame(process->port, type, process->id, chunk, (size_t)count);
            if (process->main)
                send_frame(agent.log, type, process->id, chunk, (size_t)count);
            if (process->reaped)
                continue;
        } else if (count < 0 && errno == EIO && process->tty && !process->reaped) {
            /* It has closed its terminal, as many programs do before they exit. Closing ours would be a hangup. */
            process->hung = true;
            unwatch(source);
            return;
        } else if (count == 0 || (errno != EAGAIN && errno != EINTR) || (process->reaped && errno == EAGAIN)) {
            /* Whoever else holds a pipe of a process that is over is not waited for. */
            close_source(source);
            return;
        }
        process->hung = false;
        watch(source, EPOLLIN);
        return;
    }
}

bool terminal_hung(void)
{
    for (struct process *process = agent.processes; process != NULL; process = process->next)
        if (process->hung && !process->reaped)
            return true;
    return false;
}

void attach(struct process *process, struct port *port)
{
    struct payload payload = {0};

    if (process->port != NULL && process->port != port)
        send_frame(process->port, DETACHED, process->id, NULL, 0);
    process->port = port;
    process->credit = WINDOW;
    process->owed = 0;
    send_started(process, port);
    payload_add(&payload, "bytes", "%zu", WINDOW - process->unread.size);
    send_payload(port, CREDIT, process->id, &payload);
}

void port_is_gone(struct port *port)
{
    for (struct process *process = agent.processes; process != NULL; process = process->next) {
        if (process->port != port)
            continue;
        process->port = NULL;
        /* Only main can be attached to again by whoever comes next. */
        if (!process->main)
            process->input_over = true;
    }
}

void resize(struct process *process, unsigned rows, unsigned columns)
{
    struct winsize size = {.ws_row = (unsigned short)rows, .ws_col = (unsigned short)columns};

    if (process->tty && process->output.fd >= 0)
        ioctl(process->output.fd, TIOCSWINSZ, &size);
}

/* -- the end of processes */

void kill_all(void)
{
    kill(-1, SIGKILL);
}

void reap(void)
{
    int status;

    for (pid_t pid; (pid = waitpid(-1, &status, WNOHANG)) > 0;) {
        for (struct process *process = agent.processes; process != NULL; process = process->next) {
            if (process->pid != pid || process->reaped)
                continue;
            process->reaped = true;
            process->status = status;
            /* Nothing outlives the main process. */
            if (process->main)
                kill_all();
        }
    }
}

static void send_exited(const struct process *process, struct port *port)
{
    struct payload payload = {0};

    if (WIFSIGNALED(process->status))
        payload_add(&payload, "signal", "%d", WTERMSIG(process->status));
    else
        payload_add(&payload, "code", "%d", WEXITSTATUS(process->status));
    send_payload(port, EXITED, process->id, &payload);
}

static void finish(struct process *process)
{
    send_exited(process, process->port);
    close_source(&process->input);
    queue_clear(&process->unread);
    if (!process->main)
        leave_cgroup(process->id);
    if (process->main) {
        send_exited(process, agent.log);
        agent.main = NULL;
        stop(0);
    }
}

void turn(void)
{
    for (struct process **at = &agent.processes; *at != NULL;) {
        struct process *process = *at;
        write_input(process);
        read_output(process, &process->output, STDOUT);
        read_output(process, &process->errors, STDERR);
        if (process->reaped && process->output.fd < 0 && process->errors.fd < 0) {
            *at = process->next;
            finish(process);
            free(process);
        } else {
            at = &process->next;
        }
    }
}
