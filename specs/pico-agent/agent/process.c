#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
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
    char cgroup[64];
    bool with_cgroup;
};

enum step { STEP_TERMINAL, STEP_LIMITS, STEP_IDENTITY, STEP_CWD, STEP_PROGRAM };

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
    if (stat(launch->cwd, &status) < 0 && errno == ENOENT && launch->main &&
        !make_directories(launch->cwd, failure))
        return false;
    add_default(launch, "PATH", SEARCH_PATH);
    add_default(launch, "HOME", launch->identity.home);
    add_default(launch, "HOSTNAME", machine.hostname);
    if (launch->tty)
        add_default(launch, "TERM", "xterm");
    launch->with_cgroup = make_cgroup(launch->id, launch->cgroup);
    return true;
}

/* The three descriptors of the child and our ends of them. A terminal has one line for all. */
struct streams {
    int child[3];
    int ours[3];
};

static void close_streams(struct streams *streams)
{
    for (int at = 0; at < 3; at++) {
        if (streams->ours[at] >= 0)
            close(streams->ours[at]);
        if (streams->child[at] >= 0)
            close(streams->child[at]);
    }
}

static bool open_terminal(const struct launch *launch, struct streams *streams, struct failure *failure)
{
    struct winsize size = {.ws_row = (unsigned short)launch->rows, .ws_col = (unsigned short)launch->columns};
    int master = open("/dev/pts/ptmx", O_RDWR | O_NOCTTY | O_CLOEXEC | O_NONBLOCK), slave;
    char name[64];

    if (master < 0)
        return fail(failure, errno, "cannot open a terminal");
    streams->ours[0] = master;
    streams->ours[1] = fcntl(master, F_DUPFD_CLOEXEC, 0);
    if (unlockpt(master) < 0 || ptsname_r(master, name, sizeof name) != 0 || streams->ours[1] < 0)
        return fail(failure, errno, "cannot open a terminal");
    slave = open(name, O_RDWR | O_NOCTTY | O_CLOEXEC);
    if (slave < 0)
        return fail(failure, errno, "cannot open %s", name);
    streams->child[0] = slave;
    ioctl(slave, TIOCSWINSZ, &size);
    if (fchown(slave, launch->identity.uid, (gid_t)-1) < 0)
        return fail(failure, errno, "cannot hand over %s", name);
    /* As in other runtimes, the main terminal is also the console. */
    if (launch->main && write_file("/dev/console", "", failure))
        mount(name, "/dev/console", NULL, MS_BIND, NULL);
    return true;
}

static bool open_pipe(int ends[2], const struct identity *identity, int of_child, struct failure *failure)
{
    if (pipe2(ends, O_CLOEXEC) < 0) {
        ends[0] = ends[1] = -1;
        return fail(failure, errno, "cannot open a pipe");
    }
    fcntl(ends[!of_child], F_SETFL, O_NONBLOCK);
    /* So that the user may open /dev/stdout and the like. */
    if (fchown(ends[of_child], identity->uid, identity->gid) < 0)
        return fail(failure, errno, "cannot hand over a pipe");
    return true;
}

static bool open_pipes(const struct launch *launch, struct streams *streams, struct failure *failure)
{
    for (int at = 0; at < 3; at++) {
        int ends[2];
        if (at == 0 && !launch->input) {
            streams->child[0] = open("/dev/null", O_RDONLY | O_CLOEXEC);
            if (streams->child[0] < 0)
                return fail(failure, errno, "/dev/null");
            continue;
        }
        bool done = open_pipe(ends, &launch->identity, at == 0 ? 0 : 1, failure);
        streams->child[at] = ends[at == 0 ? 0 : 1];
        streams->ours[at] = ends[at == 0 ? 1 : 0];
        if (!done)
            return false;
    }
    return true;
}

static _Noreturn void die(int report, enum step step)
{
    struct report words = {step, errno};

    if (write(report, &words, sizeof words) < 0)
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

static _Noreturn void child(const struct launch *launch, const struct streams *streams, int report)
{
    const struct rlimit files = {.rlim_cur = 1024, .rlim_max = 524288};
    const struct identity *identity = &launch->identity;
    sigset_t none;

    sigemptyset(&none);
    for (int number = 1; number < NSIG; number++)
        signal(number, SIG_DFL);
    sigprocmask(SIG_SETMASK, &none, NULL);
    setsid();
    if (launch->with_cgroup) {
        char path[96];
        snprintf(path, sizeof path, "%s/cgroup.procs", launch->cgroup);
        write_setting(path, "0");
    }
    if (launch->tty && ioctl(streams->child[0], TIOCSCTTY, 0) < 0)
        die(report, STEP_TERMINAL);
    for (int at = 0; at < 3; at++)
        if (dup2(streams->child[launch->tty ? 0 : at], at) < 0)
            die(report, STEP_TERMINAL);
    if (setrlimit(RLIMIT_NOFILE, &files) < 0 && !machine.test)
        die(report, STEP_LIMITS);
    umask(022);
    if (setgroups(identity->group_count, identity->groups) < 0 ||
        setresgid(identity->gid, identity->gid, identity->gid) < 0 ||
        setresuid(identity->uid, identity->uid, identity->uid) < 0)
        die(report, STEP_IDENTITY);
    if (chdir(launch->cwd) < 0)
        die(report, STEP_CWD);
    execute(launch);
    die(report, STEP_PROGRAM);
}

static bool explain(const struct launch *launch, const struct report *report, struct failure *failure)
{
    switch (report->step) {
    case STEP_TERMINAL:
        return fail(failure, report->error, "cannot give the process its terminal");
    case STEP_LIMITS:
        return fail(failure, report->error, "cannot set the limits of the process");
    case STEP_IDENTITY:
        return fail(failure, report->error, "cannot become user %s", launch->user);
    case STEP_CWD:
        return fail(failure, report->error, "working directory %s", launch->cwd);
    case STEP_PROGRAM:
        break;
    }
    return fail(failure, report->error, "cannot start %.300s", launch->arguments[0]);
}

/* Fork, and wait until the child has become the program or says why not. Its pid, or 0. */
static pid_t spawn(const struct launch *launch, const struct streams *streams, struct failure *failure)
{
    int ends[2];
    struct report report;

    if (pipe2(ends, O_CLOEXEC) < 0) {
        fail(failure, errno, "cannot open a pipe");
        return 0;
    }
    pid_t pid = fork();
    if (pid == 0)
        child(launch, streams, ends[1]);
    int error = errno;
    close(ends[1]);
    ssize_t count = -1;
    if (pid < 0)
        fail(failure, error, "cannot start a process");
    else
        while ((count = read(ends[0], &report, sizeof report)) < 0 && errno == EINTR)
            ;
    close(ends[0]);
    if (pid > 0 && count == sizeof report) {
        waitpid(pid, NULL, 0);
        explain(launch, &report, failure);
    }
    return count == 0 ? pid : 0;
}

static void process_ready(struct source *source)
{
    (void)source; /* turn() looks at every process. */
}

static struct process *add_process(const struct launch *launch, const struct streams *streams, pid_t pid)
{
    struct process *process = allocate(NULL, sizeof *process);

    *process = (struct process){
        .next = agent.processes,
        .id = launch->id,
        .pid = pid,
        .main = launch->main,
        .tty = launch->tty,
        .input = {.fd = streams->ours[0], .ready = process_ready},
        .output = {.fd = streams->ours[1], .ready = process_ready},
        .errors = {.fd = streams->ours[2], .ready = process_ready},
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
    struct streams streams = {{-1, -1, -1}, {-1, -1, -1}};
    pid_t pid = 0;

    if (launch->tty ? open_terminal(launch, &streams, failure) : open_pipes(launch, &streams, failure))
        pid = spawn(launch, &streams, failure);
    if (pid == 0) {
        close_streams(&streams);
        remove_cgroup(launch->id);
        return false;
    }
    for (int at = 0; at < 3; at++)
        if (streams.child[at] >= 0)
            close(streams.child[at]);
    struct process *process = add_process(launch, &streams, pid);
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
    remove_cgroup(process->id);
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
