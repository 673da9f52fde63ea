/* The agent: ports to the host, processes, and the one loop that serves both. */
#ifndef AGENT_H
#define AGENT_H

#include <sys/types.h>

#include "frame.h"
#include "util.h"

enum state { WAITING, SET_UP, STOPPING };

/* Something that epoll(7) watches. `events` are those it is registered for. */
struct source {
    int fd;
    uint32_t events;
    void (*ready)(struct source *source);
};

/* A virtio-serial port. Output is queued; of a port whose host end is closed it is dropped. It is `connected` as soon as
   something has come, and `open` when the kernel says so too. */
struct port {
    struct source source;
    struct port *next;
    char name[32];
    bool log, connected, open, broken;
    struct queue out;
    struct decoder decoder;
};

struct process {
    struct process *next;
    uint16_t id;
    pid_t pid;
    bool main, tty;
    /* The ends of its streams; those of a terminal are two descriptors of its master. -1: closed. */
    struct source input, output, errors;
    struct queue unread;
    bool input_over;
    /* Credit not yet given for stdin, credit left for output. */
    size_t owed, credit;
    struct port *port;
    /* The terminal is open nowhere in the machine, for now. */
    bool hung;
    bool reaped;
    int status;
};

struct agent {
    enum state state;
    int epoll;
    struct port *ports, *log;
    struct process *processes, *main;
    bool had_main;
    /* On the steady clock, 0 for never: when main is killed, when the power goes off whatever is left to send. */
    uint64_t kill_at, off_at;
    uint64_t last_time;
};

extern struct agent agent;

void watch(struct source *source, uint32_t events);
void unwatch(struct source *source);
void close_source(struct source *source);

/* Ports, port.c */
void add_port(int fd, const char *name, bool log);
void scan_ports(void);
void send_frame(struct port *port, uint8_t type, uint16_t process, const void *payload, size_t size);
void send_payload(struct port *port, uint8_t type, uint16_t process, const struct payload *payload);
void send_failure(struct port *port, uint16_t process, const char *what, const struct failure *failure);
void flush_port(struct port *port);
/* Everything has been sent, and the host has it. */
bool ports_empty(void);
void wait_for_host(void);

/* The loop, and what wakes it beside ports and processes; it ends with the machine. main.c */
void open_sources(void);
void loop(void);

/* What the frames ask for, main.c */
void handle(struct port *port, struct frame *frame);
/* Kill everything; the power goes off when all is sent, or after `patience` nanoseconds (0: 10 s). */
void stop(uint64_t patience);
/* An error that ends the machine: to the port that caused it, to all others and to the log. */
void give_up(uint16_t process, const char *what, const struct failure *failure);

/* Processes, process.c */
/* Before SETUP: the child that main will be. */
bool prepare_main(struct failure *failure);
struct process *find_process(uint16_t id);
bool start_process(struct port *port, const struct frame *frame, bool *main, struct failure *failure);
void take_input(struct process *process, const struct frame *frame);
void attach(struct process *process, struct port *port);
void port_is_gone(struct port *port);
void send_started(struct process *process, struct port *port);
void resize(struct process *process, unsigned rows, unsigned columns);
void reap(void);
/* Is there a terminal that must be looked at again, since nothing tells when it is opened? */
bool terminal_hung(void);
/* Move what can be moved; report and forget a process that is over. */
void turn(void);
void kill_all(void);

#endif
