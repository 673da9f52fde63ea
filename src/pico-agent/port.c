#include <errno.h>
#include <fcntl.h>
#include <dirent.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "agent.h"
#include "machine.h"

static const char PREFIX[] = "photonbuild.";
static const char LOG[] = "photonbuild.log";
static const uint64_t TIME_STEP = 100000000;

void watch(struct source *source, uint32_t events)
{
    struct epoll_event event = {.events = events, .data.ptr = source};

    if (source->fd < 0 || source->events == events)
        return;
    if (epoll_ctl(agent.epoll, source->events ? EPOLL_CTL_MOD : EPOLL_CTL_ADD, source->fd, &event) < 0)
        abort();
    source->events = events;
}

void unwatch(struct source *source)
{
    if (source->events)
        epoll_ctl(agent.epoll, EPOLL_CTL_DEL, source->fd, NULL);
    source->events = 0;
}

void close_source(struct source *source)
{
    if (source->fd < 0)
        return;
    unwatch(source);
    close(source->fd);
    source->fd = -1;
}

/* The host's end is closed: what was on its way is for nobody, and what comes next is a new conversation. */
static void hang_up(struct port *port)
{
    port->connected = port->open = port->broken = false;
    queue_clear(&port->out);
    decoder_reset(&port->decoder);
    port_is_gone(port);
}

void flush_port(struct port *port)
{
    while (port->out.size > 0) {
        ssize_t count = write(port->source.fd, queue_front(&port->out), port->out.size);
        if (count < 0 && errno == EINTR)
            continue;
        if (count < 0 && errno == EAGAIN)
            return;
        if (count <= 0) {
            hang_up(port);
            return;
        }
        queue_drop(&port->out, (size_t)count);
    }
}

static void send_time(struct port *log)
{
    uint64_t now = steady_clock();
    struct payload payload = {0};
    char header[HEADER_SIZE];

    if (agent.last_time && now - agent.last_time < TIME_STEP)
        return;
    agent.last_time = now;
    payload_add(&payload, "clock", "%llu", (unsigned long long)wall_clock());
    encode_header(header, TIME, 0, payload.size);
    queue_add(&log->out, header, sizeof header);
    queue_add(&log->out, payload.bytes, payload.size);
}

void send_frame(struct port *port, uint8_t type, uint16_t process, const void *payload, size_t size)
{
    char header[HEADER_SIZE];

    if (port == NULL || !port->connected)
        return;
    if (port->log)
        send_time(port);
    encode_header(header, type, process, size);
    queue_add(&port->out, header, sizeof header);
    queue_add(&port->out, payload, size);
    flush_port(port);
}

void send_payload(struct port *port, uint8_t type, uint16_t process, const struct payload *payload)
{
    send_frame(port, type, process, payload->bytes, payload->size);
}

void send_failure(struct port *port, uint16_t process, const char *what, const struct failure *failure)
{
    struct payload payload = {0};

    payload_add(&payload, "what", "%s", what);
    payload_add(&payload, "code", "%s", failure->code);
    payload_add(&payload, "message", "%s", failure->message);
    send_payload(port, ERROR, process, &payload);
}

static void serve(struct port *port)
{
    struct frame frame;

    for (;;) {
        enum decoded decoded = decoder_next(&port->decoder, &frame);
        if (decoded == DECODED_NONE)
            return;
        if (decoded == DECODED_BAD) {
            struct failure failure;
            fail(&failure, 0, "not a frame of this protocol: close the connection and begin anew");
            send_failure(port, 0, "frame", &failure);
            port->broken = true;
            return;
        }
        handle(port, &frame);
    }
}

/* Edge-triggered: read until there is no more. (A port without a host is always readable, and reads as ended.) */
static void port_ready(struct source *source)
{
    struct port *port = (struct port *)source;

    while (!port->log) {
        size_t room;
        char *at = decoder_room(&port->decoder, &room);
        ssize_t count = read(source->fd, at, room);
        if (count < 0 && errno == EINTR)
            continue;
        if (count < 0 && errno == EAGAIN) {
            port->connected = port->open = true;
            break;
        }
        /* What the host sends can be here before the kernel knows that it is: then another edge comes. */
        if (count == 0 && port->connected && !port->open && !machine.test)
            return;
        if (count <= 0) {
            hang_up(port);
            if (machine.test)
                unwatch(source);
            return;
        }
        port->connected = true;
        if (port->broken)
            continue;
        decoder_add(&port->decoder, (size_t)count);
        serve(port);
        if (port->broken)
            decoder_reset(&port->decoder);
    }
    flush_port(port);
}

void add_port(int fd, const char *name, bool log)
{
    struct port *port = allocate(NULL, sizeof *port);

    memset(port, 0, offsetof(struct port, decoder));
    decoder_reset(&port->decoder);
    port->source.fd = fd;
    port->source.ready = port_ready;
    port->log = port->connected = log;
    snprintf(port->name, sizeof port->name, "%s", name);
    port->next = agent.ports;
    agent.ports = port;
    if (log)
        agent.log = port;
    fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
    fcntl(fd, F_SETFD, FD_CLOEXEC);
    watch(&port->source, (log ? 0u : (uint32_t)EPOLLIN) | EPOLLOUT | EPOLLET);
}

static bool known(const char *name)
{
    for (struct port *port = agent.ports; port != NULL; port = port->next)
        if (strcmp(port->name, name) == 0)
            return true;
    return false;
}

void scan_ports(void)
{
    /* Kept open: after SETUP these paths lead elsewhere, and a port may be announced late. */
    static int devices = -1, ports = -1;
    char path[600], name[32];

    if (machine.test)
        return;
    if (devices < 0)
        devices = open("/dev", O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (ports < 0)
        ports = open("/own/sys/class/virtio-ports", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int fd = openat(ports, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *folder = fd < 0 ? NULL : fdopendir(fd);
    if (folder == NULL)
        return;
    for (struct dirent *entry; (entry = readdir(folder)) != NULL;) {
        snprintf(path, sizeof path, "%s/name", entry->d_name);
        int attribute = openat(ports, path, O_RDONLY | O_CLOEXEC);
        if (attribute < 0)
            continue;
        ssize_t size = read(attribute, name, sizeof name - 1);
        close(attribute);
        name[size > 0 ? size : 0] = '\0';
        name[strcspn(name, "\n")] = '\0';
        if (strncmp(name, PREFIX, sizeof PREFIX - 1) != 0 || known(name))
            continue;
        int port = openat(devices, entry->d_name, O_RDWR | O_NONBLOCK | O_CLOEXEC);
        if (port >= 0)
            add_port(port, name, strcmp(name, LOG) == 0);
    }
    closedir(folder);
}

bool ports_empty(void)
{
    for (struct port *port = agent.ports; port != NULL; port = port->next)
        if (port->connected && port->out.size > 0)
            return false;
    return true;
}

void wait_for_host(void)
{
    for (struct port *port = agent.ports; port != NULL; port = port->next) {
        struct pollfd writable = {.fd = port->source.fd, .events = POLLOUT};
        if (port->connected)
            poll(&writable, 1, 2000);
    }
}
