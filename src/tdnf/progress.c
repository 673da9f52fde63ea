#include "progress.h"

#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "util.h"

enum { WIDTH = 30 };
static bool allowed, terminal;
static size_t files, files_done;
static long long expected, got;
static struct timespec began, shown;

char *size_text(long long bytes)
{
    static const char *const units[] = {"B", "KiB", "MiB", "GiB", "TiB"};
    double value = (double)bytes;
    size_t unit = 0;

    while ((value >= 1024 || value <= -1024) && unit + 1 < sizeof units / sizeof *units) {
        value /= 1024;
        unit++;
    }
    return unit ? text_of("%.1f %s", value, units[unit]) : text_of("%lld B", bytes);
}

void progress_allow(bool allow)
{
    allowed = allow;
    terminal = allow && isatty(STDERR_FILENO);
}

static double seconds_since(const struct timespec *then)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)(now.tv_sec - then->tv_sec) + (double)(now.tv_nsec - then->tv_nsec) / 1e9;
}

void progress_begin(size_t count, long long bytes)
{
    files = count;
    files_done = 0;
    expected = bytes;
    got = 0;
    clock_gettime(CLOCK_MONOTONIC, &began);
    shown = (struct timespec){0};
}

void progress_bytes(long long bytes)
{
    got += bytes;
}

static void bar(void)
{
    double passed = seconds_since(&began);
    long long speed = passed > 0.2 ? (long long)((double)got / passed) : 0;
    int filled = expected > 0 ? (int)((got > expected ? expected : got) * WIDTH / expected) : 0;

    fprintf(stderr, "\r\033[K[%.*s%*s] %zu/%zu  %s", filled, "##############################", WIDTH - filled, "",
            files_done, files, size_text(got));
    if (expected > 0)
        fprintf(stderr, " of %s", size_text(expected));
    if (speed)
        fprintf(stderr, "  %s/s", size_text(speed));
    fflush(stderr);
}

void progress_show(void)
{
    if (!terminal || seconds_since(&shown) < 0.1)
        return;
    clock_gettime(CLOCK_MONOTONIC, &shown);
    bar();
}

void progress_done(const char *label, long long bytes)
{
    files_done++;
    if (!allowed || label == NULL || *label == '\0')
        return;
    fprintf(stderr, "%s%-60s %s\n", terminal ? "\r\033[K" : "", label, bytes ? size_text(bytes) : "");
    if (terminal)
        bar();
}

void progress_end(void)
{
    if (terminal)
        fputs("\r\033[K", stderr);
}
