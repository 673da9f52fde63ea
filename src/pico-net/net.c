/* The network of one machine: Ethernet frames of its QEMU on one side, sockets of this host on the other.

   pico-net FRAMES [-r RESOLVER] [tcp|udp:GUEST-PORT:SOCKET]...

   QEMU itself has an empty network namespace. FRAMES is the number of a connected stream socket to it, on which each frame
   comes after its length (4 bytes, big-endian); the program ends when it is closed. What the guest wants is done by libslirp
   with sockets that this program makes, and every address goes through `allowed`: nothing of the host's own loopback is
   reached but its RESOLVER, on port 53. Published ports are sockets that the starter has bound already.

   libslirp is that of the root this runs in, without its header: the interface is its version 1, which it keeps.
   https://gitlab.freedesktop.org/slirp/libslirp/-/blob/master/src/libslirp.h */
#include <arpa/inet.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "gate.h"

enum {
    MAX_FRAME = 68 << 10,      /* the largest that QEMU's own end takes */
    ENOUGH = 256 << 10,        /* bytes for QEMU, with which no more is read from sockets */
    MOST = 4 << 20,            /* bytes for QEMU, with which frames are dropped */
    MAX_POLL = 4096,
};

/* -- libslirp, version 1 of its configuration */

typedef struct Slirp Slirp;

struct callbacks {
    ssize_t (*send_packet)(const void *frame, size_t size, void *opaque);
    void (*guest_error)(const char *message, void *opaque);
    int64_t (*clock_get_ns)(void *opaque);
    void *(*timer_new)(void (*callback)(void *), void *its, void *opaque);
    void (*timer_free)(void *timer, void *opaque);
    void (*timer_mod)(void *timer, int64_t milliseconds, void *opaque);
    void (*register_poll_fd)(int fd, void *opaque);
    void (*unregister_poll_fd)(int fd, void *opaque);
    void (*notify)(void *opaque);
};

struct configuration {
    uint32_t version;
    int restricted;
    bool in_enabled;
    struct in_addr vnetwork, vnetmask, vhost;
    bool in6_enabled;
    struct in6_addr vprefix_addr6;
    uint8_t vprefix_len;
    struct in6_addr vhost6;
    const char *vhostname, *tftp_server_name, *tftp_path, *bootfile;
    struct in_addr vdhcp_start, vnameserver;
    struct in6_addr vnameserver6;
    const char **vdnssearch, *vdomainname;
    size_t if_mtu, if_mru;
    bool disable_host_loopback, enable_emu;
};

static struct {
    Slirp *(*new)(const struct configuration *configuration, const struct callbacks *callbacks, void *opaque);
    void (*fill)(Slirp *slirp, uint32_t *timeout, int (*add)(int fd, int events, void *opaque), void *opaque);
    void (*poll)(Slirp *slirp, int failed, int (*events)(int index, void *opaque), void *opaque);
    void (*input)(Slirp *slirp, const uint8_t *frame, int size);
    int (*forward)(Slirp *slirp, int udp, struct in_addr here, int port, struct in_addr there, int guest_port);
} slirp;
enum { SLIRP_IN = 1, SLIRP_OUT = 2, SLIRP_PRI = 4, SLIRP_ERR = 8, SLIRP_HUP = 16 };

static _Noreturn void die(const char *what)
{
    fprintf(stderr, "pico-net: %s\n", what);
    exit(1);
}

static void load(void)
{
    void *library = dlopen("libslirp.so.0", RTLD_NOW);

    if (library == NULL)
        die(dlerror());
    *(void **)&slirp.new = dlsym(library, "slirp_new");
    *(void **)&slirp.fill = dlsym(library, "slirp_pollfds_fill");
    *(void **)&slirp.poll = dlsym(library, "slirp_pollfds_poll");
    *(void **)&slirp.input = dlsym(library, "slirp_input");
    *(void **)&slirp.forward = dlsym(library, "slirp_add_hostfwd");
    if (!slirp.new || !slirp.fill || !slirp.poll || !slirp.input || !slirp.forward)
        die("this libslirp lacks a function");
}

/* -- the only way of the library to addresses: these stand before those of the C library */

static struct in_addr resolver;
/* The socket that the next one to be bound is: published ports were bound by who started us. */
static int bound = -1;

__attribute__((visibility("default"))) int connect(int fd, const struct sockaddr *address, socklen_t size)
{
    if (!allowed(address, size, resolver)) {
        errno = ENETUNREACH;
        return -1;
    }
    return (int)syscall(SYS_connect, fd, address, size);
}

__attribute__((visibility("default"))) ssize_t sendto(int fd, const void *data, size_t size, int flags,
                                                      const struct sockaddr *address, socklen_t address_size)
{
    if (address != NULL && !allowed(address, address_size, resolver)) {
        errno = ENETUNREACH;
        return -1;
    }
    return syscall(SYS_sendto, fd, data, size, flags, address, address_size);
}

__attribute__((visibility("default"))) int bind(int fd, const struct sockaddr *address, socklen_t size)
{
    (void)address, (void)size;
    if (bound < 0) {
        errno = EACCES;
        return -1;
    }
    bool done = dup3(bound, fd, O_CLOEXEC) == fd;
    close(bound);
    bound = -1;
    return done ? 0 : -1;
}

/* It listens since before we were started. */
__attribute__((visibility("default"))) int listen(int fd, int backlog)
{
    (void)fd, (void)backlog;
    return 0;
}

/* -- frames */

static int frames;
static struct {
    size_t start, end;
    uint8_t bytes[MOST + MAX_FRAME + 4];
} out;
static struct {
    size_t size;
    uint8_t bytes[2 * (MAX_FRAME + 4)];
} in;

static void flush(void)
{
    while (out.end > out.start) {
        ssize_t count = send(frames, out.bytes + out.start, out.end - out.start, MSG_DONTWAIT | MSG_NOSIGNAL);
        if (count < 0 && errno == EINTR)
            continue;
        if (count < 0 && errno == EAGAIN)
            break;
        if (count <= 0)
            exit(0);
        out.start += (size_t)count;
    }
    if (out.start > 0) {
        memmove(out.bytes, out.bytes + out.start, out.end - out.start);
        out.end -= out.start;
        out.start = 0;
    }
}

static ssize_t send_packet(const void *frame, size_t size, void *opaque)
{
    uint32_t length = htonl((uint32_t)size);

    (void)opaque;
    if (size > MAX_FRAME || out.end - out.start > MOST)
        return (ssize_t)size;
    flush();
    memcpy(out.bytes + out.end, &length, sizeof length);
    memcpy(out.bytes + out.end + sizeof length, frame, size);
    out.end += sizeof length + size;
    flush();
    return (ssize_t)size;
}

static void receive(Slirp *network)
{
    ssize_t count = recv(frames, in.bytes + in.size, sizeof in.bytes - in.size, MSG_DONTWAIT);
    size_t at = 0, frame;

    if (count == 0 || (count < 0 && errno != EAGAIN && errno != EINTR))
        exit(0);
    in.size += count > 0 ? (size_t)count : 0;
    while ((frame = next_frame(in.bytes + at, in.size - at, MAX_FRAME)) != NO_FRAME) {
        if (frame == BAD_FRAME)
            die("what came from QEMU is no frame");
        if (frame > 0)
            slirp.input(network, in.bytes + at + 4, (int)frame);
        at += 4 + frame;
    }
    memmove(in.bytes, in.bytes + at, in.size - at);
    in.size -= at;
}

/* -- what the library asks for */

static void guest_error(const char *message, void *opaque)
{
    (void)message, (void)opaque;
}

static int64_t clock_get_ns(void *opaque)
{
    struct timespec now;

    (void)opaque;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * INT64_C(1000000000) + now.tv_nsec;
}

/* Timers are for IPv6 only, which is off. */
static void *timer_new(void (*callback)(void *), void *its, void *opaque)
{
    static int none;

    (void)callback, (void)its, (void)opaque;
    return &none;
}

static void timer_free(void *timer, void *opaque)
{
    (void)timer, (void)opaque;
}

static void timer_mod(void *timer, int64_t milliseconds, void *opaque)
{
    (void)timer, (void)milliseconds, (void)opaque;
}

static void poll_fd(int fd, void *opaque)
{
    (void)fd, (void)opaque;
}

static void notify(void *opaque)
{
    (void)opaque;
}

/* -- the loop */

static struct pollfd watched[MAX_POLL];
static int count;

static int add(int fd, int events, void *opaque)
{
    (void)opaque;
    if (count == MAX_POLL)
        return -1;
    watched[count] =
        (struct pollfd){.fd = fd,
                        .events = (short)((events & SLIRP_IN ? POLLIN : 0) | (events & SLIRP_OUT ? POLLOUT : 0) |
                                          (events & SLIRP_PRI ? POLLPRI : 0))};
    return count++;
}

static int events_of(int index, void *opaque)
{
    (void)opaque;
    if (index < 0 || index >= count)
        return 0;
    int found = watched[index].revents;
    return (found & POLLIN ? SLIRP_IN : 0) | (found & POLLOUT ? SLIRP_OUT : 0) | (found & POLLPRI ? SLIRP_PRI : 0) |
           (found & POLLERR ? SLIRP_ERR : 0) | (found & POLLHUP ? SLIRP_HUP : 0);
}

static _Noreturn void serve(Slirp *network)
{
    for (;;) {
        uint32_t timeout = UINT32_MAX;
        bool full = out.end - out.start > ENOUGH;
        watched[0] = (struct pollfd){.fd = frames, .events = (short)(POLLIN | (out.end > out.start ? POLLOUT : 0))};
        count = 1;
        if (!full)
            slirp.fill(network, &timeout, add, NULL);
        int found = poll(watched, (nfds_t)count, timeout > 60000 ? -1 : (int)timeout);
        if (found < 0 && errno != EINTR)
            die(strerror(errno));
        if (watched[0].revents & POLLOUT)
            flush();
        if (watched[0].revents & (POLLIN | POLLHUP | POLLERR))
            receive(network);
        if (!full)
            slirp.poll(network, found < 0, events_of, NULL);
    }
}

/* -- rights: what is not in this list does not exist */ /* clang-format off */
static const uint16_t permitted[] = {
    __NR_read, __NR_write, __NR_readv, __NR_writev, __NR_close, __NR_fstat, __NR_newfstatat, __NR_stat, __NR_lseek,
    __NR_mmap, __NR_munmap, __NR_mremap, __NR_brk, __NR_madvise, __NR_poll, __NR_ppoll, __NR_ioctl,
    __NR_fcntl, __NR_connect, __NR_accept, __NR_accept4, __NR_sendto, __NR_recvfrom, __NR_recvmsg,
    __NR_shutdown, __NR_getsockname, __NR_getpeername, __NR_setsockopt, __NR_getsockopt, __NR_dup3, __NR_futex,
    __NR_clock_gettime, __NR_gettimeofday, __NR_time, __NR_getrandom, __NR_openat, __NR_exit, __NR_exit_group,
    __NR_rt_sigreturn, __NR_rt_sigprocmask, __NR_restart_syscall,
}; /* clang-format on */
enum { PERMITTED = sizeof permitted / sizeof permitted[0], HEAD = 8 };

static void close_in(void)
{
    static struct sock_filter filter[HEAD + 2 * PERMITTED + 1];
    const struct sock_filter head[HEAD] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, arch)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, AUDIT_ARCH_X86_64, 1, 0),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS),
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        /* Sockets of IPv4 only. */
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, __NR_socket, 0, 3),
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, args[0])),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, AF_INET, 2 * PERMITTED, 0),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EAFNOSUPPORT),
    };
    struct sock_fprog program = {.len = sizeof filter / sizeof filter[0], .filter = filter};

    memcpy(filter, head, sizeof head);
    /* Each test lets what is in the list go on to its own RET: the last of them is where a socket goes, too. */
    for (int at = 0; at < PERMITTED; at++) {
        filter[HEAD + 2 * at] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, permitted[at], 0, 1);
        filter[HEAD + 2 * at + 1] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
    }
    filter[HEAD + 2 * PERMITTED] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM);
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 || syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program) < 0)
        die("no filter of system calls");
}

static void publish(Slirp *network, const char *text)
{
    const struct in_addr any = {0}, guest = {htonl(0x0a00020f)};
    char kind[4];
    int port, fd;

    if (sscanf(text, "%3[a-z]:%d:%d", kind, &port, &fd) != 3 || port < 1 || port > 65535 || fd < 0)
        die("not a published port");
    bound = fd;
    if (slirp.forward(network, strcmp(kind, "udp") == 0, any, 1, guest, port) < 0 || bound >= 0)
        die("cannot publish a port");
}

int main(int argc, char **words)
{
    static const struct callbacks callbacks = {
        .send_packet = send_packet,
        .guest_error = guest_error,
        .clock_get_ns = clock_get_ns,
        .timer_new = timer_new,
        .timer_free = timer_free,
        .timer_mod = timer_mod,
        .register_poll_fd = poll_fd,
        .unregister_poll_fd = poll_fd,
        .notify = notify}; /* The addresses are those that QEMU's own user network has. */
    const struct configuration configuration = {.version = 1,
                                                .in_enabled = true,
                                                .vnetwork = {htonl(0x0a000200)},
                                                .vnetmask = {htonl(0xffffff00)},
                                                .vhost = {htonl(0x0a000202)},
                                                .vdhcp_start = {htonl(0x0a00020f)},
                                                .vnameserver = {htonl(0x0a000203)},
                                                .disable_host_loopback = true};
    int at = 2;

    if (argc < 2)
        die("FRAMES [-r RESOLVER] [tcp|udp:GUEST-PORT:SOCKET]...");
    frames = atoi(words[1]);
    if (argc > at + 1 && strcmp(words[at], "-r") == 0) {
        if (inet_pton(AF_INET, words[at + 1], &resolver) != 1)
            die("the resolver has no IPv4 address");
        at += 2;
    }
    signal(SIGPIPE, SIG_IGN);
    load();
    Slirp *network = slirp.new(&configuration, &callbacks, NULL);
    if (network == NULL)
        die("libslirp does not start");
    for (; at < argc; at++)
        publish(network, words[at]);
    close_in();
    serve(network);
}
