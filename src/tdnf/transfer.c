#include "transfer.h"

#include <errno.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "progress.h"

static size_t take(char *bytes, size_t size, size_t count, void *data)
{
    struct transfer *transfer = data;
    size_t left = size * count;

    if (transfer->have + (long long)left > transfer->most) {
        transfer->error = EFBIG;
        return 0;
    }
    while (left) {
        ssize_t wrote = write(transfer->fd, bytes, left);
        if (wrote < 0 && errno == EINTR)
            continue;
        if (wrote < 0) {
            transfer->error = errno;
            return 0;
        }
        bytes += wrote;
        left -= (size_t)wrote;
        transfer->have += wrote;
    }
    progress_bytes((long long)(size * count));
    return size * count;
}

static void set_text(CURL *handle, CURLoption option, const char *text)
{
    if (text)
        curl_easy_setopt(handle, option, text);
}

bool begin_transfer(const struct config *config, const struct repo_config *repo, struct transfer *transfer,
                    CURLM *multi)
{
    CURL *handle = curl_easy_init();

    (void)config;
    if (handle == NULL)
        return false;
    transfer->handle = handle;
    transfer->began = transfer->have;
    curl_easy_setopt(handle, CURLOPT_URL, transfer->url);
    curl_easy_setopt(handle, CURLOPT_PRIVATE, transfer->task);
    curl_easy_setopt(handle, CURLOPT_ERRORBUFFER, transfer->message);
    curl_easy_setopt(handle, CURLOPT_WRITEFUNCTION, take);
    curl_easy_setopt(handle, CURLOPT_WRITEDATA, transfer);
    curl_easy_setopt(handle, CURLOPT_RESUME_FROM_LARGE, (curl_off_t)transfer->have);
    curl_easy_setopt(handle, CURLOPT_FAILONERROR, 1L);
    curl_easy_setopt(handle, CURLOPT_FOLLOWLOCATION, 1L);
    curl_easy_setopt(handle, CURLOPT_MAXREDIRS, 6L);
    curl_easy_setopt(handle, CURLOPT_PROTOCOLS_STR, "http,https,ftp,file");
    curl_easy_setopt(handle, CURLOPT_REDIR_PROTOCOLS_STR,
                     starts_with(transfer->url, "https:") ? "https" : "http,https");
    curl_easy_setopt(handle, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(handle, CURLOPT_CONNECTTIMEOUT, (long)repo->timeout);
    curl_easy_setopt(handle, CURLOPT_LOW_SPEED_LIMIT, (long)repo->minrate);
    curl_easy_setopt(handle, CURLOPT_LOW_SPEED_TIME, (long)repo->timeout);
    curl_easy_setopt(handle, CURLOPT_SSL_VERIFYPEER, repo->sslverify ? 1L : 0L);
    curl_easy_setopt(handle, CURLOPT_SSL_VERIFYHOST, repo->sslverify ? 2L : 0L);
    curl_easy_setopt(handle, CURLOPT_USERAGENT, repo->user_agent ? repo->user_agent : "tdnf/" TDNF_VERSION);
    set_text(handle, CURLOPT_CAINFO, repo->sslcacert);
    set_text(handle, CURLOPT_SSLCERT, repo->sslclientcert);
    set_text(handle, CURLOPT_SSLKEY, repo->sslclientkey);
    if (repo->proxy)
        curl_easy_setopt(handle, CURLOPT_PROXY, strcmp(repo->proxy, "_none_") == 0 ? "" : repo->proxy);
    set_text(handle, CURLOPT_PROXYUSERNAME, repo->proxy_username);
    set_text(handle, CURLOPT_PROXYPASSWORD, repo->proxy_password);
    set_text(handle, CURLOPT_USERNAME, repo->username);
    set_text(handle, CURLOPT_PASSWORD, repo->password);
    return curl_multi_add_handle(multi, handle) == CURLM_OK;
}

void *task_of(CURL *handle)
{
    void *task = NULL;

    curl_easy_getinfo(handle, CURLINFO_PRIVATE, &task);
    return task;
}

static const char *hint_for(CURLcode code, long status)
{
    char year[8];
    time_t now = time(NULL);

    switch (code) {
    case CURLE_COULDNT_RESOLVE_HOST:
        return "is the network up, and the name right? resolvectl status";
    case CURLE_COULDNT_RESOLVE_PROXY:
        return "look at proxy= in the repository's file";
    case CURLE_COULDNT_CONNECT:
    case CURLE_OPERATION_TIMEDOUT:
        return "is the network up, and the server there? more addresses may stand in baseurl=";
    case CURLE_PEER_FAILED_VERIFICATION:
        strftime(year, sizeof year, "%Y", localtime(&now));
        return text_of("a clock that is wrong makes certificates invalid (it says %s); a certificate of one's own: "
                       "sslcacert=FILE",
                       year);
    case CURLE_SSL_CACERT_BADFILE:
        return "look at sslcacert= in the repository's file";
    case CURLE_FILE_COULDNT_READ_FILE:
        return "is the medium mounted, and the path right?";
    default:
        return status == 401 || status == 403 || status == 407
                   ? "look at username= and password= in the repository's file"
               : status == 404
                   ? "look at baseurl= in the repository's file; tdnf --refresh reads the metadata anew"
                   : "the same command again goes on where this one ended; more addresses may stand in baseurl=";
    }
}

enum ending end_transfer(struct transfer *transfer, CURLM *multi, CURLcode code, struct failure *failure)
{
    enum ending ending = AGAIN;
    long status = 0;

    curl_easy_getinfo(transfer->handle, CURLINFO_RESPONSE_CODE, &status);
    close(transfer->fd);
    if (code == CURLE_OK) {
        ending = WHOLE;
    } else if (transfer->error == EFBIG) {
        fail(failure, transfer->url, "the mirror is not up to date or was tampered with: try again later",
             "it is larger than it may be");
        ending = NO_USE;
    } else if (transfer->error) {
        fail(failure, transfer->url, transfer->error == ENOSPC ? "make room, or tdnf clean all" : NULL,
             "cannot be written to the cache: %s", strerror(transfer->error));
        ending = NO_ROOM;
    } else if (transfer->began && (code == CURLE_RANGE_ERROR || code == CURLE_BAD_DOWNLOAD_RESUME || status == 416)) {
        ending = START_AGAIN;
    } else {
        fail(failure, transfer->url, hint_for(code, status), "cannot be downloaded: %s",
             *transfer->message ? transfer->message : curl_easy_strerror(code));
        if (status >= 400 && status < 500 && status != 408 && status != 429)
            ending = NO_USE;
        if (code == CURLE_PEER_FAILED_VERIFICATION || code == CURLE_FILE_COULDNT_READ_FILE ||
            code == CURLE_UNSUPPORTED_PROTOCOL || code == CURLE_SSL_CACERT_BADFILE || code == CURLE_URL_MALFORMAT)
            ending = NO_USE;
    }
    curl_multi_remove_handle(multi, transfer->handle);
    curl_easy_cleanup(transfer->handle);
    transfer->handle = NULL;
    return ending;
}
