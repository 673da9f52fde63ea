/* Preloaded into a QEMU whose machine is stopped: makes copies of the whole process on request.

   A request is one packet on a listening socket, whose number is in PICO_ZYGOTE, with open files, and for each of these
   device and inode of the one of ours that it stands for; but the last file is none of QEMU's: the copy writes its number
   into it. The copy is in namespaces of its own, has these files in place
   of ours and no others, no capability, a filter of system calls, and the same threads, each where ours stands. Memory is
   shared until it is written: the guest's, QEMU's and the translated code.

   Nothing here calls the C library, since threads stand anywhere in it. See clone(2), rt_sigreturn(2), seccomp(2). */
#include <asm/prctl.h>
#include <asm/unistd.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/audit.h>
#include <linux/capability.h>
#include <linux/close_range.h>
#include <linux/filter.h>
#include <linux/futex.h>
#include <linux/prctl.h>
#include <linux/sched.h>
#include <linux/seccomp.h>
#include <linux/securebits.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/ucontext.h>
#include <time.h>

enum {
    MAX_THREADS = 64,
    MAX_FILES = 256,
    MAX_GIVEN = 32,
    PATIENCE_MS = 2000,
    TRIES = 20,
    CALL = 40,          /* the signal that a request raises */
    PARK = SIGFPE,      /* QEMU lets its threads receive hardly any other */
};
enum step { STEP_REQUEST = 1, STEP_THREADS, STEP_CLONE, STEP_IDS, STEP_FILES, STEP_RIGHTS, STEP_FILTER, STEP_RESTART };

struct request {
    uint32_t unused, count;
    struct {
        uint64_t device, inode;
    } old[MAX_GIVEN];
};

struct reply {
    int32_t error, step;
};

struct parked {
    void *context, *self;
    int *tid;
    uint32_t good;
};

static int listener = -1, proc = -1, timer = -1;
static struct parked parked[MAX_THREADS];
static unsigned arrived, gate;
static enum kind { CLOSED, KEPT, FILE, EVENT, POLL } kinds[MAX_FILES];
static struct stat files[MAX_FILES];
static bool surveyed;

/* -- without the C library */

static long call6(long number, long a, long b, long c, long d, long e, long f)
{
    long result;
    register long r10 __asm__("r10") = d, r8 __asm__("r8") = e, r9 __asm__("r9") = f;

    __asm__ volatile("syscall"
                     : "=a"(result)
                     : "a"(number), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9)
                     : "rcx", "r11", "memory");
    return result;
}
#define call(number, a, b, c, d, e) call6(number, (long)(a), (long)(b), (long)(c), (long)(d), (long)(e), 0)

void *memset(void *target, int value, size_t size)
{
    for (size_t at = 0; at < size; at++)
        ((volatile char *)target)[at] = (char)value;
    return target;
}

static char *decimal(char *end, unsigned value)
{
    do
        *--end = (char)('0' + value % 10);
    while (value /= 10);
    return end;
}

static bool starts_with(const char *text, const char *with)
{
    while (*with != '\0')
        if (*text++ != *with++)
            return false;
    return true;
}

static void rest(long nanoseconds)
{
    long pause[2] = {0, nanoseconds};

    call(__NR_nanosleep, pause, NULL, 0, 0, 0);
}

static void wait_for(unsigned *word, unsigned value)
{
    struct {
        long seconds, nanoseconds;
    } patience = {PATIENCE_MS / 1000, 0};

    call(__NR_futex, word, FUTEX_WAIT_PRIVATE, value, &patience, 0);
}

/* -- what QEMU must do differently */

/* It would keep the guest's memory out of copies. */
__attribute__((visibility("default"))) int madvise(void *address, size_t size, int advice)
{
    long result = advice == MADV_DONTFORK ? 0 : call(__NR_madvise, address, size, advice, 0, 0);

    return result < 0 ? -1 : 0;
}

/* Its rings would be shared between copies. */
__attribute__((visibility("default"))) int io_uring_queue_init(unsigned entries, void *ring, unsigned flags)
{
    (void)entries, (void)ring, (void)flags;
    return -ENOSYS;
}

/* -- threads */

static void *thread_self(void)
{
    void *self;

    __asm__("mov %%fs:0, %0" : "=r"(self));
    return self;
}

/* Does the thread wait in a system call, which then just ended by EINTR? */
static bool at_rest(const ucontext_t *context)
{
    const uint8_t *next = (const uint8_t *)context->uc_mcontext.gregs[REG_RIP];

    return context->uc_mcontext.gregs[REG_RAX] == -EINTR && next[-2] == 0x0f && next[-1] == 0x05;
}

static void note(struct parked *thread, void *context)
{
    thread->context = context;
    thread->self = thread_self();
    thread->tid = NULL;
    /* Where the C library has the thread's number: the kernel clears it there at the thread's end. */
    call(__NR_prctl, PR_GET_TID_ADDRESS, &thread->tid, 0, 0, 0);
    thread->good = at_rest(context) && thread->tid != NULL && *thread->tid == call(__NR_gettid, 0, 0, 0, 0, 0);
}

static void on_park(int number, siginfo_t *info, void *context)
{
    if (info->si_code != SI_TKILL) {
        struct {
            void *handler;
            unsigned long flags;
            void *restorer;
            uint64_t mask;
        } usual = {0};
        call(__NR_rt_sigaction, number, &usual, NULL, 8, 0);
        return; /* and the instruction fails again */
    }
    unsigned generation = __atomic_load_n(&gate, __ATOMIC_ACQUIRE);
    unsigned at = __atomic_fetch_add(&arrived, 1, __ATOMIC_ACQ_REL);
    if (at < MAX_THREADS)
        note(&parked[at], context);
    __atomic_store_n(&parked[at % MAX_THREADS].good, parked[at % MAX_THREADS].good | 2, __ATOMIC_RELEASE);
    while (__atomic_load_n(&gate, __ATOMIC_ACQUIRE) == generation)
        wait_for(&gate, generation);
}

static void release(void)
{
    __atomic_fetch_add(&gate, 1, __ATOMIC_ACQ_REL);
    call(__NR_futex, &gate, FUTEX_WAKE_PRIVATE, MAX_THREADS, 0, 0);
}

/* Stop all other threads; their number, or -1 when not all of them are at rest. */
static int park(void)
{
    struct entry {
        uint64_t inode, next;
        uint16_t size;
        uint8_t type;
        char name[];
    };
    char entries[4096] __attribute__((aligned(8)));
    long own = call(__NR_gettid, 0, 0, 0, 0, 0), process = call(__NR_getpid, 0, 0, 0, 0, 0), size;
    bool good = true;
    int count = 0;

    arrived = 0;
    for (int at = 0; at < MAX_THREADS; at++)
        parked[at].good = 0;
    long folder = call(__NR_openat, proc, "self/task", O_RDONLY | O_DIRECTORY | O_CLOEXEC, 0, 0);
    if (folder < 0)
        return -1;
    while ((size = call(__NR_getdents64, folder, entries, sizeof entries, 0, 0)) > 0) {
        for (long at = 0; at < size;) {
            struct entry *entry = (struct entry *)(entries + at);
            long thread = 0;
            at += entry->size;
            if (entry->name[0] == '.')
                continue;
            for (char *digit = entry->name; *digit != '\0'; digit++)
                thread = thread * 10 + *digit - '0';
            if (thread != own && call(__NR_tgkill, process, thread, PARK, 0, 0) == 0)
                count++;
        }
    }
    call(__NR_close, folder, 0, 0, 0, 0);
    if (count > MAX_THREADS)
        return -1;
    /* All must have arrived, also when one is found busy: who came after the gate was opened would wait for the next. */
    for (int at = 0; at < count; at++) {
        for (int turn = 0; !(__atomic_load_n(&parked[at].good, __ATOMIC_ACQUIRE) & 2); turn++) {
            if (turn > PATIENCE_MS * 10)
                return -1;
            rest(100000);
        }
        good = good && parked[at].good == 3;
    }
    return good ? count : -1;
}

/* A thread that goes on where the parked one stands: the kernel takes its registers from the signal's frame. */
static long restart(const struct parked *thread)
{
    const unsigned long flags = CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD | CLONE_SYSVSEM |
                                CLONE_SETTLS | CLONE_PARENT_SETTID | CLONE_CHILD_CLEARTID;
    long result;
    register void *r10 __asm__("r10") = thread->tid;
    register void *r8 __asm__("r8") = thread->self;

    __asm__ volatile("syscall\n\t"
                     "test %%rax, %%rax\n\t"
                     "jnz 1f\n\t"
                     "mov %[sigreturn], %%eax\n\t"
                     "syscall\n\t"
                     "hlt\n"
                     "1:"
                     : "=a"(result)
                     : "a"((long)__NR_clone), "D"(flags), "S"(thread->context), "d"(thread->tid), "r"(r10),
                       "r"(r8), [sigreturn] "i"(__NR_rt_sigreturn)
                     : "rcx", "r11", "memory", "cc");
    return result;
}

/* -- files */

static void survey(void)
{
    char link[64], path[32] = "self/fd/", number[12];

    for (int fd = 0; fd < MAX_FILES; fd++) {
        char *text = decimal(number + sizeof number, (unsigned)fd), *end = path + 8;
        while (text < number + sizeof number)
            *end++ = *text++;
        *end = '\0';
        kinds[fd] = CLOSED;
        if (fd == listener || fd == proc || call(__NR_fstat, fd, &files[fd], 0, 0, 0) < 0)
            continue;
        long size = call(__NR_readlinkat, proc, path, link, sizeof link - 1, 0);
        link[size > 0 ? size : 0] = '\0';
        kinds[fd] = starts_with(link, "anon_inode:[eventfd]")     ? EVENT
                    : starts_with(link, "anon_inode:[eventpoll]") ? POLL
                    : starts_with(link, "anon_inode:[signalfd]")  ? KEPT
                    : starts_with(link, "/dev/")                  ? KEPT
                                                                  : FILE;
    }
    surveyed = true;
}

static long renew(int fd, long fresh)
{
    if (fresh < 0)
        return fresh;
    long result = fresh == fd ? 0 : call(__NR_dup3, fresh, fd, O_CLOEXEC, 0, 0);
    if (fresh != fd)
        call(__NR_close, fresh, 0, 0, 0, 0);
    return result;
}

/* In the copy: what wakes threads is its own, and the given files stand for ours, wherever QEMU has them. */
static long take_files(const struct request *request, const int *given)
{
    bool taken[MAX_FILES] = {false};
    long result = 0;

    for (int fd = 0; fd < MAX_FILES && result >= 0; fd++) {
        if (kinds[fd] == EVENT)
            result = renew(fd, call(__NR_eventfd2, 0, call(__NR_fcntl, fd, F_GETFL, 0, 0, 0) & O_NONBLOCK, 0, 0, 0));
        else if (kinds[fd] == POLL)
            result = renew(fd, call(__NR_epoll_create1, O_CLOEXEC, 0, 0, 0, 0));
    }
    for (uint32_t at = 0; at + 1 < request->count && result >= 0; at++) {
        bool found = false;
        for (int fd = 0; fd < MAX_FILES && result >= 0; fd++) {
            if (kinds[fd] != FILE || files[fd].st_dev != request->old[at].device ||
                files[fd].st_ino != request->old[at].inode)
                continue;
            call(__NR_fcntl, given[at], F_SETFL, call(__NR_fcntl, fd, F_GETFL, 0, 0, 0), 0, 0);
            result = call(__NR_dup3, given[at], fd, fd > 2 ? O_CLOEXEC : 0, 0, 0);
            taken[fd] = found = true;
        }
        if (!found)
            return -EBADF;
    }
    for (int fd = 0; fd < MAX_FILES; fd++)
        if (kinds[fd] == FILE && !taken[fd])
            call(__NR_close, fd, 0, 0, 0, 0);
    return result;
}

/* The last file is told which process this is, as the caller sees it. */
static long tell(int fd)
{
    char text[16];
    long size = call(__NR_readlinkat, proc, "self", text, sizeof text, 0);

    return size < 0 ? size : call(__NR_pwrite64, fd, text, size, 0, 0);
}

static void close_others(int but)
{
    for (int fd = 0; fd < MAX_FILES; fd++)
        if (kinds[fd] == CLOSED && fd != but)
            call(__NR_close, fd, 0, 0, 0, 0);
    call(__NR_close_range, MAX_FILES, ~0U, 0, 0, 0);
}

/* -- rights */

static long put(const char *path, const char *text, size_t size)
{
    long fd = call(__NR_openat, proc, path, O_WRONLY | O_CLOEXEC, 0, 0);

    if (fd < 0)
        return fd;
    long result = call(__NR_write, fd, text, size, 0, 0);
    call(__NR_close, fd, 0, 0, 0, 0);
    return result;
}

/* Who we are outside is number 0 inside. */
static long map_id(const char *path, unsigned outside)
{
    char text[16] = "0 ", number[12], *at = text + 2;

    for (char *digit = decimal(number + sizeof number, outside); digit < number + sizeof number;)
        *at++ = *digit++;
    *at++ = ' ';
    *at++ = '1';
    return put(path, text, (size_t)(at - text));
}

static long map_ids(unsigned uid, unsigned gid)
{
    long result = put("self/setgroups", "deny", 4);

    if (result >= 0)
        result = map_id("self/uid_map", uid);
    return result < 0 ? result : map_id("self/gid_map", gid);
}

static long drop_rights(void)
{
    struct __user_cap_header_struct header = {_LINUX_CAPABILITY_VERSION_3, 0};
    struct __user_cap_data_struct none[2] = {{0, 0, 0}, {0, 0, 0}};

    call(__NR_sethostname, "machine", 7, 0, 0, 0);
    call(__NR_setsid, 0, 0, 0, 0, 0);
    for (int capability = 0; capability < 64; capability++)
        if (call(__NR_prctl, PR_CAPBSET_DROP, capability, 0, 0, 0) < 0)
            break;
    long result = call(__NR_prctl, PR_SET_SECUREBITS, SECBIT_NOROOT | SECBIT_NOROOT_LOCKED, 0, 0, 0);
    if (result >= 0)
        result = call(__NR_prctl, PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
    return result < 0 ? result : call(__NR_capset, &header, none, 0, 0, 0);
}

/* What a running QEMU has no use for: other programs, other rights, other views of the system, tuning. */ /* clang-format off */
static const uint16_t denied[] = {
    __NR_fork, __NR_vfork, __NR_execve, __NR_execveat, __NR_ptrace, __NR_kcmp, __NR_process_vm_readv,
    __NR_process_vm_writev, __NR_process_madvise, __NR_pidfd_getfd, __NR_unshare, __NR_setns, __NR_mount, __NR_umount2,
    __NR_pivot_root, __NR_chroot, __NR_open_tree, __NR_move_mount, __NR_fsopen, __NR_fsconfig, __NR_fsmount,
    __NR_fspick, __NR_mount_setattr, __NR_swapon, __NR_swapoff, __NR_reboot, __NR_kexec_load, __NR_kexec_file_load,
    __NR_init_module, __NR_finit_module, __NR_delete_module, __NR_bpf, __NR_perf_event_open, __NR_userfaultfd,
    __NR_keyctl, __NR_add_key, __NR_request_key, __NR_setuid, __NR_setgid, __NR_setreuid, __NR_setregid,
    __NR_setresuid, __NR_setresgid, __NR_setgroups, __NR_setfsuid, __NR_setfsgid, __NR_setpgid, __NR_setsid,
    __NR_capset, __NR_personality, __NR_syslog, __NR_acct, __NR_quotactl, __NR_quotactl_fd, __NR_sethostname,
    __NR_setdomainname, __NR_iopl, __NR_ioperm, __NR_modify_ldt, __NR_settimeofday, __NR_clock_settime,
    __NR_adjtimex, __NR_clock_adjtime, __NR_name_to_handle_at, __NR_open_by_handle_at, __NR_lookup_dcookie,
    __NR_uselib, __NR_ustat, __NR_sysfs, __NR__sysctl, __NR_vhangup, __NR_nfsservctl, __NR_io_uring_setup,
    __NR_io_uring_enter, __NR_io_uring_register, __NR_sched_setattr, __NR_sched_setscheduler, __NR_sched_setparam,
    __NR_sched_setaffinity, __NR_setpriority, __NR_ioprio_set, __NR_mbind, __NR_set_mempolicy, __NR_migrate_pages,
    __NR_move_pages,
}; /* clang-format on */
enum { DENIED = sizeof denied / sizeof denied[0], HEAD = 11 };

static struct sock_filter filter[HEAD + 2 * DENIED + 1];

static void make_filter(void)
{
    const struct sock_filter head[HEAD] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, arch)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, AUDIT_ARCH_X86_64, 1, 0),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS),
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        /* The calls of x32. */
        BPF_JUMP(BPF_JMP | BPF_JGE | BPF_K, 0x40000000, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS),
        /* Threads only; clone3, whose flags cannot be seen, is not there. */
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, __NR_clone3, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | ENOSYS),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, __NR_clone, 0, 2 + 0),
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, args[0])),
        BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, CLONE_THREAD, 2 * DENIED, 1),
    };

    for (int at = 0; at < HEAD; at++)
        filter[at] = head[at];
    for (size_t at = 0; at < DENIED; at++) {
        filter[HEAD + 2 * at] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, denied[at], 0, 1);
        filter[HEAD + 2 * at + 1] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM);
    }
    filter[HEAD + 2 * DENIED] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
}

static long close_in(void)
{
    struct sock_fprog program = {.len = sizeof filter / sizeof filter[0], .filter = filter};

    return call(__NR_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program, 0, 0);
}

/* -- requests */

static long answer(int connection, long error, enum step step)
{
    struct reply reply = {(int32_t)-error, step};

    return call(__NR_sendto, connection, &reply, sizeof reply, MSG_NOSIGNAL | MSG_DONTWAIT, 0);
}

/* A packet with files; the number of files, which are as many as it says, or an error. */
static long receive(int connection, struct request *request, int *given)
{
    char control[CMSG_SPACE(MAX_GIVEN * sizeof(int))] __attribute__((aligned(8)));
    struct iovec part = {request, sizeof *request};
    struct msghdr message = {
        .msg_iov = &part, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control};
    struct pollfd ready = {.fd = connection, .events = POLLIN};
    long count = 0;

    if (call(__NR_poll, &ready, 1, PATIENCE_MS, 0, 0) <= 0)
        return -ETIMEDOUT;
    long size = call(__NR_recvmsg, connection, &message, MSG_CMSG_CLOEXEC | MSG_DONTWAIT, 0, 0);
    if (size < 0)
        return size;
    struct cmsghdr *rights = (struct cmsghdr *)control;
    if (message.msg_controllen >= sizeof *rights && rights->cmsg_type == SCM_RIGHTS) {
        count = (long)(rights->cmsg_len - CMSG_LEN(0)) / (long)sizeof(int);
        for (long at = 0; at < count; at++)
            given[at] = ((int *)CMSG_DATA(rights))[at];
    }
    bool good = (size_t)size >= offsetof(struct request, old) && request->count == (uint32_t)count &&
                (size_t)size == offsetof(struct request, old) + (size_t)count * sizeof request->old[0] &&
                !(message.msg_flags & (MSG_TRUNC | MSG_CTRUNC));
    for (long at = 0; !good && at < count; at++)
        call(__NR_close, given[at], 0, 0, 0, 0);
    return good ? count : -EBADMSG;
}

/* In the copy, of which this is the only thread. */
static void become(int connection, const struct request *request, const int *given, int threads, int *tid,
                   const unsigned ids[2])
{
    enum step step = STEP_IDS;
    long result = map_ids(ids[0], ids[1]);

    if (result >= 0) {
        step = STEP_FILES;
        result = request->count == 0 ? -EINVAL : tell(given[request->count - 1]);
        if (result >= 0)
            result = take_files(request, given);
        close_others(connection);
    }
    if (result >= 0) {
        step = STEP_RIGHTS;
        result = drop_rights();
    }
    if (result >= 0) {
        step = STEP_FILTER;
        result = close_in();
    }
    if (result >= 0) {
        step = STEP_RESTART;
        *tid = (int)call(__NR_set_tid_address, tid, 0, 0, 0, 0);
        for (int at = 0; at < threads && result >= 0; at++)
            result = restart(&parked[at]);
    }
    /* Nobody is there any more for whom it would be: it is not. */
    long told = answer(connection, result < 0 ? result : 0, step);
    if (result < 0 || told < 0)
        call(__NR_exit_group, 125, 0, 0, 0, 0);
    call(__NR_close, connection, 0, 0, 0, 0);
}

/* True in the copy. */
static bool serve(int connection)
{
    const unsigned long flags =
        CLONE_NEWUSER | CLONE_NEWPID | CLONE_NEWNS | CLONE_NEWIPC | CLONE_NEWUTS | CLONE_NEWNET | SIGCHLD;
    struct request request;
    int given[MAX_GIVEN], *tid = NULL;
    unsigned ids[2] = {(unsigned)call(__NR_getuid, 0, 0, 0, 0, 0), (unsigned)call(__NR_getgid, 0, 0, 0, 0, 0)};
    long count = receive(connection, &request, given);

    if (count < 0) {
        answer(connection, count, STEP_REQUEST);
        return false;
    }
    call(__NR_prctl, PR_GET_TID_ADDRESS, &tid, 0, 0, 0);
    int threads = tid == NULL ? -1 : park();
    for (int turn = 1; threads < 0 && tid != NULL && turn < TRIES; turn++) {
        release();
        rest(500000);
        threads = park();
    }
    if (threads < 0) {
        answer(connection, -EBUSY, STEP_THREADS);
    } else {
        long child = call(__NR_clone, flags, 0, 0, 0, 0);
        if (child == 0) {
            become(connection, &request, given, threads, tid, ids);
            return true;
        }
        if (child < 0)
            answer(connection, child, STEP_CLONE);
    }
    release();
    for (long at = 0; at < count; at++)
        call(__NR_close, given[at], 0, 0, 0, 0);
    return false;
}

static void on_call(int number, siginfo_t *info, void *context)
{
    const struct itimerspec soon = {.it_value.tv_nsec = 1000000};
    long connection;

    (void)number, (void)info;
    /* In the middle of something: a moment later. */
    if (!at_rest(context)) {
        call(__NR_timer_settime, timer, 0, &soon, NULL, 0);
        return;
    }
    if (!surveyed)
        survey();
    while ((connection = call(__NR_accept4, listener, NULL, NULL, SOCK_CLOEXEC, 0)) >= 0) {
        if (serve((int)connection)) {
            listener = proc = -1;
            return;
        }
        call(__NR_close, connection, 0, 0, 0, 0);
    }
}

__attribute__((naked)) static void restore(void)
{
    __asm__("mov %0, %%eax\n\tsyscall" : : "i"(__NR_rt_sigreturn));
}

static void handle(int number, void (*handler)(int, siginfo_t *, void *))
{
    struct {
        void (*handler)(int, siginfo_t *, void *);
        unsigned long flags;
        void (*restorer)(void);
        uint64_t mask;
    } action = {handler, SA_SIGINFO | 0x04000000 /* SA_RESTORER */, restore, ~0UL};

    call(__NR_rt_sigaction, number, &action, NULL, 8, 0);
}

static int number_of(const char *text)
{
    int value = 0;

    for (; *text >= '0' && *text <= '9'; text++)
        value = value * 10 + *text - '0';
    return value;
}

__attribute__((constructor)) static void begin(int count, char **words, char **environment)
{
    struct {
        void *handler;
        unsigned long flags;
        void *restorer;
        uint64_t mask;
    } ignored = {(void *)1 /* SIG_IGN */, 0, NULL, 0};
    struct sigevent event = {.sigev_notify = SIGEV_THREAD_ID, .sigev_signo = CALL};
    struct f_owner_ex owner = {F_OWNER_TID, 0};

    (void)count, (void)words;
    for (; *environment != NULL; environment++) {
        if (starts_with(*environment, "PICO_ZYGOTE="))
            listener = number_of(*environment + 12);
        if (starts_with(*environment, "PICO_PROC="))
            proc = number_of(*environment + 10);
    }
    if (listener < 0 || proc < 0)
        return;
    make_filter();
    handle(CALL, on_call);
    handle(PARK, on_park);
    /* Copies that have ended leave nothing to be waited for. */
    call(__NR_rt_sigaction, SIGCHLD, &ignored, NULL, 8, 0);
    owner.pid = (int)call(__NR_gettid, 0, 0, 0, 0, 0);
    event._sigev_un._tid = owner.pid;
    call(__NR_timer_create, CLOCK_MONOTONIC, &event, &timer, 0, 0);
    call(__NR_fcntl, listener, F_SETOWN_EX, &owner, 0, 0);
    call(__NR_fcntl, listener, F_SETSIG, CALL, 0, 0);
    call(__NR_fcntl, listener, F_SETFL, call(__NR_fcntl, listener, F_GETFL, 0, 0, 0) | O_NONBLOCK | O_ASYNC, 0, 0);
}
