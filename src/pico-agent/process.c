#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "agent.h"
#include "child.h"
#include "machine.h"

enum { CHUNK = 32 << 10, STEP = WINDOW / 8, BACKLOG = 128 << 10, LOG_MOST = 64 << 20 };

/* It waits since before SETUP. */
static struct child first;

struct process *find_process(uint16_t id)
{
    for (struct process *process = agent.processes; process != NULL; process = process->next)
        if (process->id == id)
            return process;
    return NULL;
}

/* -- the beginning of processes */

bool prepare_main(struct failure *failure)
{
    return child_make(&first, true, 0, failure);
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

    if (!launch->main && !child_make(child, false, launch->id, failure))
        return false;
    if (!child_release(child, launch, failure)) {
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
    else if (launch_read(frame, &launch, failure)) {
        *main = launch.main;
        if (launch.main && agent.had_main) {
            *main = false;
            fail(failure, EEXIST, "the main process");
        } else if (launch_complete(frame, &launch, failure)) {
            done = launch_process(&launch, port, failure);
        }
    }
    launch_free(&launch);
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

/* The host keeps the log in a file, which must end somewhere: what main says after that is only for who is attached. */
static void log_output(const struct process *process, uint8_t type, const void *data, size_t size)
{
    static const char note[] = "\npico: the log is full, nothing more is kept\n";
    static size_t logged;

    if (logged > LOG_MOST)
        return;
    logged += HEADER_SIZE + size;
    send_frame(agent.log, type, process->id, data, size);
    if (logged > LOG_MOST)
        send_frame(agent.log, STDERR, process->id, note, sizeof note - 1);
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
                log_output(process, type, chunk, (size_t)count);
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
        machine.rehearsed = process->status == 0;
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
