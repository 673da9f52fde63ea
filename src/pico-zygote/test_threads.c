/* For the test: main answers connections to a socket with what a thread has counted, and who they are. */
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t asked = PTHREAD_COND_INITIALIZER;
static int questions, event;
static unsigned counted;

static void *count(void *argument)
{
    double exact = 0.5;

    (void)argument;
    pthread_mutex_lock(&lock);
    for (;;) {
        while (questions == 0)
            pthread_cond_wait(&asked, &lock);
        questions--;
        exact += 1;
        counted = (unsigned)exact;
        if (write(event, &(uint64_t){1}, sizeof(uint64_t)) < 0)
            exit(1);
    }
}

int main(int argc, char **words)
{
    int listener = argc > 1 ? atoi(words[1]) : -1;
    pthread_t thread;
    sigset_t all, old;
    char *memory = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    memory[0] = 'x';
    madvise(memory, 4096, MADV_DONTFORK);
    event = eventfd(0, EFD_NONBLOCK);
    /* As QEMU makes threads. */
    sigfillset(&all);
    sigdelset(&all, SIGFPE);
    pthread_sigmask(SIG_SETMASK, &all, &old);
    pthread_create(&thread, NULL, count, NULL);
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    for (;;) {
        struct pollfd calls = {.fd = listener, .events = POLLIN}, answers = {.fd = event, .events = POLLIN};
        uint64_t number;
        char text[64];

        if (poll(&calls, 1, -1) < 1)
            continue;
        int connection = accept(listener, NULL, NULL);
        if (connection < 0)
            continue;
        pthread_mutex_lock(&lock);
        questions++;
        pthread_cond_signal(&asked);
        pthread_mutex_unlock(&lock);
        if (poll(&answers, 1, 5000) < 1 || read(event, &number, sizeof number) < 0)
            return 1;
        pthread_mutex_lock(&lock);
        int size =
            snprintf(text, sizeof text, "%u %d %d %c\n", counted, (int)getpid(), pthread_kill(thread, 0), memory[0]);
        pthread_mutex_unlock(&lock);
        if (write(connection, text, (size_t)size) < 0)
            return 1;
        close(connection);
        if (counted == 4)
            execl("/bin/true", "true", NULL);
    }
}
