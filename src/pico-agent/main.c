/* The first process of a pico machine: it waits for SETUP, makes the container's world, starts processes in it, carries
   their streams, and switches the machine off when the main one ends. */
#include <errno.h>
#include <fcntl.h>
#include <linux/netlink.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "agent.h"
#include "machine.h"
#include "rehearsal.h"

#ifndef AGENT_VERSION
#error "AGENT_VERSION is not set"
#endif

static const uint64_t SECOND = 1000000000, LAST_PATIENCE = 2 * SECOND, PATIENCE = 10 * SECOND,
                      TERMINAL_PAUSE = SECOND / 5;

struct agent agent;

void stop(uint64_t patience)
{
    uint64_t off_at = steady_clock() + (patience ? patience : PATIENCE);

    agent.state = STOPPING;
    if (!agent.off_at || off_at < agent.off_at)
        agent.off_at = off_at;
    kill_all();
}

void give_up(uint16_t process, const char *what, const struct failure *failure)
{
    for (struct port *port = agent.ports; port != NULL; port = port->next)
        send_failure(port, process, what, failure);
    stop(LAST_PATIENCE);
}

static void welcome(struct port *port, const struct frame *frame)
{
    static const char *const states[] = {[WAITING] = "waiting", [SET_UP] = "ready", [STOPPING] = "stopping"};
    struct payload payload = {0};
    struct records records = records_of(frame);
    struct utsname kernel;
    const char *key, *value, *nonce = "";

    while (records_next(&records, &key, &value))
        if (strcmp(key, "nonce") == 0)
            nonce = value;
    uname(&kernel);
    /* Whatever was queued or attached is of an earlier conversation, the end of which may not have been noticed; the
       nonce lets the host find where this one begins. */
    queue_clear(&port->out);
    port_is_gone(port);
    payload_add(&payload, "nonce", "%.64s", nonce);
    payload_add(&payload, "version", "%d", PROTOCOL_VERSION);
    payload_add(&payload, "agent", "%s", AGENT_VERSION);
    payload_add(&payload, "kernel", "%s", kernel.release);
    payload_add(&payload, "clock", "%s", machine.clock);
    payload_add(&payload, "state", "%s", states[agent.state]);
    send_payload(port, WELCOME, 0, &payload);
}

static void set_up(struct port *port, const struct frame *frame)
{
    struct failure failure;
    struct payload answer = {0};

    if (agent.state != WAITING) {
        fail(&failure, EALREADY, "SETUP comes once");
        send_failure(port, 0, "setup", &failure);
    } else if (!machine_setup(frame, &answer, &failure)) {
        give_up(0, "setup", &failure);
    } else {
        agent.state = SET_UP;
        send_payload(port, READY, 0, &answer);
        send_payload(agent.log, READY, 0, &answer);
    }
}

static void run_rehearsal(struct port *port, const struct frame *frame)
{
    struct failure failure;

    if (agent.state != WAITING)
        fail(&failure, 0, "a rehearsal comes before SETUP");
    else if (rehearse(frame, &failure)) {
        send_frame(port, REHEARSED, 0, NULL, 0);
        return;
    }
    send_failure(port, 0, "rehearsal", &failure);
}

static void start(struct port *port, const struct frame *frame)
{
    struct failure failure;
    bool main = false;

    if (agent.state == WAITING)
        fail(&failure, 0, "START comes after SETUP");
    else if (agent.state == STOPPING)
        fail(&failure, ESHUTDOWN, "the machine is going off");
    else if (start_process(port, frame, &main, &failure))
        return;
    if (main)
        give_up(frame->process, "start", &failure);
    else
        send_failure(port, frame->process, "start", &failure);
}

static void shut_down(uint64_t number, uint64_t milliseconds)
{
    if (agent.main == NULL) {
        stop(LAST_PATIENCE);
        return;
    }
    kill(agent.main->pid, (int)number);
    agent.kill_at = steady_clock() + milliseconds * 1000000;
    if (milliseconds == 0)
        kill(agent.main->pid, SIGKILL);
}

/* "12" or "0.250" → milliseconds */
static bool parse_seconds(const char *text, uint64_t *milliseconds)
{
    char whole[16];
    const char *point = strchr(text, '.');
    size_t size = point ? (size_t)(point - text) : strlen(text);
    uint64_t seconds, thousandths = 0;

    if (size >= sizeof whole)
        return false;
    snprintf(whole, sizeof whole, "%.*s", (int)size, text);
    if (!parse_number(whole, 1000000, &seconds))
        return false;
    if (point && (strlen(point) != 4 || !parse_number(point + 1, 999, &thousandths)))
        return false;
    *milliseconds = seconds * 1000 + thousandths;
    return true;
}

/* Frames that hold numbers: all of them, or an error. */
static void handle_numbers(struct port *port, const struct frame *frame)
{
    struct process *process = find_process(frame->process);
    struct records records = records_of(frame);
    struct failure failure;
    const char *key, *value;
    uint64_t number = SIGTERM, rows = 0, columns = 0, bytes = 0, milliseconds = 10000;
    bool good = true;

    while (good && records_next(&records, &key, &value)) {
        if (strcmp(key, "number") == 0 || strcmp(key, "signal") == 0)
            good = parse_number(value, NSIG - 1, &number);
        else if (strcmp(key, "rows") == 0)
            good = parse_number(value, UINT16_MAX, &rows);
        else if (strcmp(key, "columns") == 0)
            good = parse_number(value, UINT16_MAX, &columns);
        else if (strcmp(key, "bytes") == 0)
            good = parse_number(value, UINT32_MAX, &bytes);
        else if (strcmp(key, "seconds") == 0)
            good = parse_seconds(value, &milliseconds);
    }
    if (!good) {
        fail(&failure, 0, "a frame of type %d cannot have %s=%.100s", frame->type, key, value);
        send_failure(port, frame->process, "frame", &failure);
    } else if (frame->type == SHUTDOWN) {
        shut_down(number, milliseconds);
    } else if (process != NULL) {
        /* Of a process that is over nothing is said: the host may not know yet. */
        if (frame->type == SIGNAL && !process->reaped)
            kill(process->pid, (int)number);
        else if (frame->type == RESIZE)
            resize(process, (unsigned)rows, (unsigned)columns);
        else if (frame->type == GRANT && process->port == port)
            process->credit = process->credit + bytes < WINDOW ? process->credit + bytes : WINDOW;
    }
}

static void handle_input(struct port *port, const struct frame *frame)
{
    struct process *process = find_process(frame->process);
    struct failure failure;

    if (process == NULL || process->port != port)
        return;
    if (process->unread.size + frame->size > WINDOW) {
        fail(&failure, 0, "more than %d bytes of STDIN without credit", WINDOW);
        send_failure(port, frame->process, "stdin", &failure);
        port->broken = true;
        return;
    }
    take_input(process, frame);
}

static void handle_attach(struct port *port, const struct frame *frame)
{
    struct process *process = find_process(frame->process);
    struct failure failure;

    if (process == NULL) {
        fail(&failure, ESRCH, "process %u", frame->process);
        send_failure(port, frame->process, "attach", &failure);
    } else {
        attach(process, port);
    }
}

void handle(struct port *port, struct frame *frame)
{
    struct failure failure;

    if (frame->type != STDIN && !records_valid(frame->payload, frame->size)) {
        fail(&failure, 0, "the payload of a frame of type %d is no list of records", frame->type);
        send_failure(port, frame->process, "frame", &failure);
        return;
    }
    switch (frame->type) {
    case HELLO:
        welcome(port, frame);
        break;
    case SETUP:
        set_up(port, frame);
        break;
    case START:
        start(port, frame);
        break;
    case STDIN:
        handle_input(port, frame);
        break;
    case SIGNAL:
    case RESIZE:
    case GRANT:
    case SHUTDOWN:
        handle_numbers(port, frame);
        break;
    case REHEARSE:
        run_rehearsal(port, frame);
        break;
    case PING:
        send_frame(port, PONG, 0, NULL, 0);
        break;
    case ATTACH:
        handle_attach(port, frame);
        break;
    default:
        fail(&failure, 0, "unknown type of frame: %d", frame->type);
        send_failure(port, frame->process, "frame", &failure);
    }
}

/* -- the loop */

static void children_ready(struct source *source)
{
    struct signalfd_siginfo info;

    while (read(source->fd, &info, sizeof info) > 0)
        ;
    reap();
}

/* A port gets its name after it has appeared: the kernel tells when. */
static void events_ready(struct source *source)
{
    char text[4096];

    while (recv(source->fd, text, sizeof text, 0) > 0)
        ;
    scan_ports();
}

void open_sources(void)
{
    static struct source children = {.ready = children_ready}, events = {.ready = events_ready};
    struct sockaddr_nl address = {.nl_family = AF_NETLINK, .nl_groups = 1};
    sigset_t set;

    children.events = events.events = 0;
    signal(SIGPIPE, SIG_IGN);
    sigemptyset(&set);
    sigaddset(&set, SIGCHLD);
    sigprocmask(SIG_BLOCK, &set, NULL);
    agent.epoll = epoll_create1(EPOLL_CLOEXEC);
    children.fd = signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
    watch(&children, EPOLLIN);
    if (machine.test)
        return;
    events.fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_KOBJECT_UEVENT);
    if (bind(events.fd, (const struct sockaddr *)&address, sizeof address) == 0)
        watch(&events, EPOLLIN);
}

static bool over(void)
{
    if (agent.off_at && steady_clock() >= agent.off_at) {
        /* Nobody is waited for any more; the log gets what there is. */
        for (struct process *process = agent.processes; process != NULL; process = process->next)
            process->port = NULL;
        turn();
        return true;
    }
    return agent.state == STOPPING && agent.processes == NULL && ports_empty();
}

static int patience(void)
{
    uint64_t now = steady_clock(), next = 0;

    if (agent.kill_at)
        next = agent.kill_at;
    if (agent.off_at && (!next || agent.off_at < next))
        next = agent.off_at;
    if (terminal_hung() && (!next || now + TERMINAL_PAUSE < next))
        next = now + TERMINAL_PAUSE;
    if (!next)
        return -1;
    return next <= now ? 0 : (int)((next - now) / 1000000) + 1;
}

static void keep_time(void)
{
    if (agent.kill_at && steady_clock() >= agent.kill_at) {
        agent.kill_at = 0;
        agent.off_at = steady_clock() + LAST_PATIENCE;
        if (agent.main != NULL)
            kill(agent.main->pid, SIGKILL);
    }
}

void loop(void)
{
    struct epoll_event event;

    for (;;) {
        turn();
        if (over())
            return;
        int count = epoll_wait(agent.epoll, &event, 1, patience());
        if (count > 0) {
            struct source *source = event.data.ptr;
            source->ready(source);
        }
        keep_time();
    }
}

/* --test FOLDER LOG-FD PORT-FD...: see the tests. */
static void use_test_ports(char **words)
{
    char name[32];

    machine.test = true;
    machine.stage = words[2];
    for (int at = 3; words[at] != NULL; at++) {
        snprintf(name, sizeof name, "photonbuild.%d", at);
        add_port(atoi(words[at]), name, at == 3);
    }
}

int main(int count, char **words)
{
    struct failure failure;
    bool test = count > 4 && strcmp(words[1], "--test") == 0;

    if (count == 2 && strcmp(words[1], "--version") == 0) {
        puts(AGENT_VERSION);
        return 0;
    }
    if (count == 2 && strcmp(words[1], "--rehearse") == 0)
        return rehearse_program();
    if (getpid() != 1) {
        fputs("pico-agent: this is the first process of a pico machine\n", stderr);
        return 2;
    }
    machine.test = test;
    if (!test)
        machine_begin();
    open_sources();
    if (test)
        use_test_ports(words);
    if (!machine_prepare(&failure) || !prepare_main(&failure)) {
        char text[sizeof failure.message + 32];
        snprintf(text, sizeof text, "pico-agent: %s\n", failure.message);
        if (test)
            fputs(text, stderr);
        else
            write_setting("/dev/kmsg", text);
        machine_off();
    }
    scan_ports();
    loop();
    wait_for_host();
    machine_off();
}
