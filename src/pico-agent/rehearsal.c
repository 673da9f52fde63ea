/* A life of a machine that nobody sees, before the template is frozen: what an emulator has translated once, it need not
   translate again in each of its copies. */
#include "rehearsal.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "agent.h"
#include "machine.h"
#include "world.h"

/* The program's name in the rehearsal's image. */
static const char PROGRAM[] = "/bin/rehearse";
enum { RELEASE_MS = 2000 };

static void say(int fd, uint8_t type, uint16_t process, const struct payload *payload)
{
    char header[HEADER_SIZE];

    encode_header(header, type, process, payload->size);
    if (write(fd, header, sizeof header) < 0 || write(fd, payload->bytes, payload->size) < 0)
        _exit(1);
}

/* What a host would say. */
static void speak(int fd, const char *root, const char *type)
{
    struct payload hello = {0}, setup = {0}, start = {0};

    payload_add(&hello, "nonce", "rehearsal");
    payload_add(&hello, "version", "%d", PROTOCOL_VERSION);
    say(fd, HELLO, 0, &hello);
    payload_add(&setup, "entropy", "%0128d", 0);
    payload_add(&setup, "clock", "%llu", (unsigned long long)wall_clock());
    payload_add(&setup, "hostname", "rehearsal");
    payload_add(&setup, "machine-id", "%032d", 0);
    machine_describe_network(&setup);
    payload_add(&setup, "dns", "10.0.2.3");
    payload_add(&setup, "root", "%s", root);
    payload_add(&setup, "rootfs", "%s", type);
    say(fd, SETUP, 0, &setup);
    payload_add(&start, "arg", "%s", PROGRAM);
    payload_add(&start, "arg", "--rehearse");
    payload_add(&start, "env", "HOSTNAME=rehearsal");
    payload_add(&start, "cwd", "/");
    payload_add(&start, "main", "yes");
    say(fd, START, 1, &start);
}

/* In a process of its own, first of a PID namespace: all mounts and processes are gone with it. */
static _Noreturn void perform(const char *root, const char *type)
{
    struct failure failure;
    int ends[2], log[2];

    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) < 0 ||
        socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, log) < 0)
        _exit(1);
    agent.ports = agent.log = NULL;
    open_sources();
    add_port(log[0], "rehearsal.log", true);
    add_port(ends[0], "rehearsal", false);
    if (!prepare_main(&failure))
        _exit(1);
    speak(ends[1], root, type);
    loop();
    _exit(agent.had_main && machine.rehearsed ? 0 : 1);
}

bool rehearse(const struct frame *frame, struct failure *failure)
{
    struct records records = records_of(frame);
    const char *key, *value, *root = "/dev/vda", *type = "erofs";
    int status = -1;

    while (records_next(&records, &key, &value)) {
        if (strcmp(key, "root") == 0)
            root = value;
        else if (strcmp(key, "rootfs") == 0)
            type = value;
    }
    pid_t pid = (pid_t)syscall(SYS_clone, CLONE_NEWPID | CLONE_NEWNS | CLONE_NEWUTS | SIGCHLD, NULL, NULL, NULL, 0UL);
    if (pid == 0)
        perform(root, type);
    if (pid < 0)
        return fail(failure, errno, "cannot make a process");
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
        ;
    if (!clear_identity_files())
        return fail(failure, errno, "cannot clear the files of the rehearsal");
    if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
        return fail(failure, ECHILD, "the rehearsal ended with status %d", status);
    /* Until the disk is free, pages of this one are kept. */
    for (int turn = 0; !machine.test; turn++) {
        int fd = open(root, O_RDONLY | O_EXCL | O_CLOEXEC);
        if (fd >= 0) {
            close(fd);
            break;
        }
        if (turn == RELEASE_MS)
            return fail(failure, errno, "%s", root);
        nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
    }
    return true;
}

/* What nearly every program does at its beginning and end. */
int rehearse_program(void)
{
    char text[256];
    int ends[2], status;
    DIR *folder = opendir("/");
    struct stat found;

    while (folder != NULL && readdir(folder) != NULL)
        ;
    if (folder != NULL)
        closedir(folder);
    int fd = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
    if (fd < 0 || fstat(fd, &found) < 0 || read(fd, text, sizeof text) < 0)
        return 1;
    char *map = mmap(NULL, 65536, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);
    if (map == MAP_FAILED || mprotect(map, 4096, PROT_READ) < 0)
        return 1;
    map[8192] = map[0];
    munmap(map, 65536);
    close(fd);
    stat("/nothing", &found);
    free(malloc(1 << 20));
    if (pipe(ends) < 0)
        return 1;
    signal(SIGUSR1, SIG_IGN);
    kill(getpid(), SIGUSR1);
    pid_t child = fork();
    if (child == 0) {
        dup2(ends[1], STDOUT_FILENO);
        execl("/proc/self/exe", PROGRAM, "--version", NULL);
        _exit(1);
    }
    close(ends[1]);
    while (read(ends[0], text, sizeof text) > 0)
        ;
    if (child < 0 || waitpid(child, &status, 0) < 0 || status != 0)
        return 1;
    nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
    puts("rehearsed");
    fprintf(stderr, "%ld\n", (long)time(NULL));
    return 0;
}
