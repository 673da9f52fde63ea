#include "fetch.h"

#include <curl/curl.h>
#include <errno.h>
#include <fcntl.h>
#include <solv/chksum.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "progress.h"
#include "transfer.h"

enum { FEW = 3 };

/* One download on its way. */
struct task {
    struct download *download;
    struct transfer transfer;
    char *part;
    bool *gone; /* mirrors that do not have it */
    size_t start, mirror, tries;
    bool done, failed, fresh; /* fresh: begun at byte 0 after what was there turned out wrong */
    struct failure failure;
};

bool has_checksum(const char *path, int type, const char *checksum)
{
    unsigned char bytes[65536];
    Chksum *sum = solv_chksum_create(type);
    int fd = open(path, O_RDONLY | O_CLOEXEC), size = 0;
    ssize_t got = -1;
    bool same = false;

    if (sum && fd >= 0) {
        while ((got = read(fd, bytes, sizeof bytes)) > 0)
            solv_chksum_add(sum, bytes, (int)got);
        const unsigned char *digest = solv_chksum_get(sum, &size);
        same = got == 0 && strlen(checksum) == 2 * (size_t)size;
        for (int i = 0; same && i < size; i++) {
            char two[3];
            snprintf(two, sizeof two, "%02x", digest[i]);
            same = strncasecmp(two, checksum + 2 * i, 2) == 0;
        }
    }
    if (sum)
        solv_chksum_free(sum, NULL);
    if (fd >= 0)
        close(fd);
    return same;
}

static bool next_mirror(struct task *task)
{
    struct mirrors *mirrors = task->download->mirrors;
    size_t count = mirrors->urls.count;
    size_t most = count * (size_t)(mirrors->repo->retries > 0 ? mirrors->repo->retries : 1);

    while (task->tries < most) {
        task->mirror = (task->start + task->tries++) % count;
        if (!task->gone[task->mirror])
            return true;
    }
    return false;
}

static bool begin(const struct config *config, struct task *task, CURLM *multi)
{
    struct download *download = task->download;
    const char *base = download->mirrors->urls.at[task->mirror];
    struct stat status;
    int flags = O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW | (download->size ? 0 : O_TRUNC);
    int fd = open(task->part, flags, 0644);

    if (fd < 0 || fstat(fd, &status) < 0)
        return fail(&task->failure, task->part, errno == ENOSPC ? "tdnf clean all, or make room" : NULL,
                    "cannot be written: %s", strerror(errno));
    if ((download->size && status.st_size > download->size) || task->fresh) {
        status.st_size = 0;
        if (ftruncate(fd, 0) < 0)
            status.st_size = 0;
    }
    lseek(fd, status.st_size, SEEK_SET);
    /* What is called by an address of its own has no path. */
    char *url =
        *download->path ? text_of("%s%s%s", base, ends_with(base, "/") ? "" : "/", download->path) : copy_text(base);
    task->transfer =
        (struct transfer){.url = url, .fd = fd, .have = status.st_size, .most = download->most, .task = task};
    if (!begin_transfer(config, download->mirrors->repo, &task->transfer, multi))
        return fail(&task->failure, url, NULL, "cannot be fetched");
    return true;
}

/* What has come is checked and gets its name. False: try again; with `final` it is no use. */
static bool accept_file(struct task *task, bool *final)
{
    struct download *download = task->download;
    struct stat status;
    bool known = stat(task->part, &status) == 0;

    if (known && (!download->size || status.st_size == download->size) &&
        (!download->checksum || has_checksum(task->part, download->checksum_type, download->checksum))) {
        if (rename(task->part, download->target) == 0)
            return true;
        *final = true;
        return fail(&task->failure, download->target, NULL, "cannot be written: %s", strerror(errno));
    }
    fail(&task->failure, task->transfer.url, "the mirror is not up to date or was tampered with: try again later",
         "what was downloaded has not the %s that the metadata say",
         known && download->size && status.st_size != download->size ? "size" : "digest");
    unlink(task->part);
    /* The beginning may have been of another file. */
    task->gone[task->mirror] = !task->transfer.began || task->fresh;
    task->fresh = true;
    return false;
}

static void end(const struct config *config, struct task *task, CURLM *multi, CURLcode code)
{
    struct mirrors *mirrors = task->download->mirrors;
    bool final = false;
    enum ending ending = end_transfer(&task->transfer, multi, code, &task->failure);

    if (ending == WHOLE && accept_file(task, &final)) {
        task->done = true;
        progress_done(task->download->label, task->download->size);
        return;
    }
    if (ending == START_AGAIN)
        task->fresh = true;
    else if (mirrors->first == task->mirror)
        mirrors->first = (mirrors->first + 1) % mirrors->urls.count;
    if (ending == START_AGAIN || (ending == WHOLE && !final && !task->gone[task->mirror]))
        task->tries--;
    if (ending == NO_USE)
        task->gone[task->mirror] = true;
    struct failure last = task->failure;
    if (ending != NO_ROOM && !final && next_mirror(task)) {
        if (last.what && mirrors->urls.count > 1)
            warn("%s: %s; trying %s", last.where, last.what, mirrors->urls.at[task->mirror]);
        if (begin(config, task, multi))
            return;
    }
    task->done = task->failed = true;
}

static void run(const struct config *config, CURLM *multi, struct task *tasks, size_t count)
{
    size_t begun = 0, running = 0;
    const size_t most = config->parallel > 0 ? (size_t)config->parallel : FEW;

    for (;;) {
        while (running < most && begun < count) {
            struct task *task = &tasks[begun++];
            task->start = task->download->mirrors->first;
            if (next_mirror(task) && begin(config, task, multi))
                running++;
            else
                task->done = task->failed = true;
        }
        if (running == 0 && begun == count)
            return;
        int active, left;
        curl_multi_perform(multi, &active);
        for (CURLMsg *message; (message = curl_multi_info_read(multi, &left));) {
            struct task *task = task_of(message->easy_handle);
            end(config, task, multi, message->data.result);
            running -= task->done;
        }
        progress_show();
        if (running)
            curl_multi_poll(multi, NULL, 0, 200, NULL);
    }
}

bool fetch_all(const struct config *config, struct download *downloads, size_t count, struct failure *failure)
{
    static bool ready;
    struct task *tasks = allocate(NULL, count * sizeof *tasks);
    bool good = true;

    if (!ready && curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK)
        return fail(failure, NULL, NULL, "libcurl cannot be used");
    ready = true;
    CURLM *multi = curl_multi_init();
    long long bytes = 0;
    for (size_t i = 0; i < count; i++) {
        size_t mirrors = downloads[i].mirrors->urls.count;
        tasks[i] = (struct task){.download = &downloads[i], .part = text_of("%s.part", downloads[i].target)};
        tasks[i].gone = memset(allocate(NULL, mirrors * sizeof(bool)), 0, mirrors * sizeof(bool));
        bytes += downloads[i].size;
    }
    progress_begin(count, bytes);
    run(config, multi, tasks, count);
    progress_end();
    for (size_t i = 0; i < count && good; i++)
        if (tasks[i].failed) {
            *failure = tasks[i].failure;
            if (failure->what == NULL)
                fail(failure, tasks[i].transfer.url, NULL, "no mirror has it");
            good = false;
        }
    curl_multi_cleanup(multi);
    free(tasks);
    return good;
}

char *fetch_text(const struct config *config, const struct repo_config *repo, const char *url, size_t most,
                 size_t *size, struct failure *failure)
{
    struct mirrors mirrors = {.repo = repo};
    char *target = text_of("%s/fetched-%d", config->cachedir, (int)getpid());
    struct download download = {.mirrors = &mirrors, .path = (char *)"", .target = target, .most = (long long)most};

    add_string(&mirrors.urls, copy_text(url));
    if (!make_directories(config->cachedir)) {
        fail(failure, config->cachedir, NULL, "cannot be made: %s", strerror(errno));
        return NULL;
    }
    char *text = fetch_all(config, &download, 1, failure) ? read_file(target, most, size) : NULL;
    unlink(target);
    return text;
}

bool find_mirrors(const struct config *config, const struct repo_config *repo, struct mirrors *mirrors,
                  struct failure *failure)
{
    enum { MOST = 1 << 20 };
    *mirrors = (struct mirrors){.repo = repo};
    for (size_t i = 0; i < repo->baseurls.count; i++)
        add_string(&mirrors->urls, repo->baseurls.at[i]);
    if (repo->mirrorlist == NULL)
        return true;
    char *text = fetch_text(config, repo, repo->mirrorlist, MOST, NULL, failure);
    if (text == NULL)
        return mirrors->urls.count > 0;
    for (char *line = strtok(text, "\r\n"); line; line = strtok(NULL, "\r\n")) {
        line += strspn(line, " \t");
        if (starts_with(line, "http://") || starts_with(line, "https://") || starts_with(line, "ftp://") ||
            starts_with(line, "file://"))
            add_string(&mirrors->urls, copy_part(line, strcspn(line, " \t")));
    }
    return mirrors->urls.count > 0 || fail(failure, repo->mirrorlist, "each line of a mirror list is one address",
                                           "the mirror list has no address");
}
