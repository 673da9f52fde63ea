/* One transfer by libcurl, into a file. */
#ifndef TRANSFER_H
#define TRANSFER_H

#include <curl/curl.h>

#include "config.h"

struct transfer {
    char *url;
    int fd;
    long long have, most; /* bytes in the file, and how many there may be */
    long long began;      /* the byte that it was resumed at */
    int error;            /* errno of writing */
    void *task;
    CURL *handle;
    char message[CURL_ERROR_SIZE];
};

/* Whole; may work another time; this mirror is of no use; the file is to be begun anew; there is no room on the disk. */
enum ending { WHOLE, AGAIN, NO_USE, START_AGAIN, NO_ROOM };

bool begin_transfer(const struct config *config, const struct repo_config *repo, struct transfer *transfer,
                    CURLM *multi);
enum ending end_transfer(struct transfer *transfer, CURLM *multi, CURLcode code, struct failure *failure);
void *task_of(CURL *handle);

#endif
