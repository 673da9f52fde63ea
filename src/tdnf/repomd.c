#include "repomd.h"

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include <solv/chksum.h>
#include <solv/dataiterator.h>
#include <solv/repo_repomdxml.h>
#include <solv/solv_xfopen.h>

#include "context.h"

bool is_inside(const char *href)
{
    if (*href == '\0' || *href == '/' || strstr(href, "://"))
        return false;
    for (const char *at = href; at; at = strchr(at, '/'), at = at ? at + 1 : NULL)
        if (starts_with(at, "../") || strcmp(at, "..") == 0)
            return false;
    for (const char *at = href; *at; at++)
        if ((unsigned char)*at < 0x20)
            return false;
    return true;
}

/* The compression has to be one that can be read; it is told by the name. */
static const char *suffix_of(const char *href)
{
    static const char *const known[] = {".xml", ".xml.gz", ".xml.zst", ".xml.xz"};

    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (ends_with(href, known[i]))
            return known[i];
    return NULL;
}

/* The entry that the pool's position is at. */
static bool fill_part(struct repo *repo, struct part *part, const char *type, const char *where,
                      struct failure *failure)
{
    Pool *pool = repo->solv->pool;
    Id checksum_type = 0;

    const char *href = pool_lookup_str(pool, SOLVID_POS, REPOSITORY_REPOMD_LOCATION);
    const char *checksum = pool_lookup_checksum(pool, SOLVID_POS, REPOSITORY_REPOMD_CHECKSUM, &checksum_type);
    if (href == NULL || checksum == NULL || !is_inside(href))
        return fail(failure, where, "its publisher has to make the metadata anew: createrepo_c",
                    "the entry '%s' has no location in the repository, or no digest", type);
    if (checksum_type != REPOKEY_TYPE_SHA256 && checksum_type != REPOKEY_TYPE_SHA512 &&
        checksum_type != REPOKEY_TYPE_SHA384 && checksum_type != REPOKEY_TYPE_SHA224)
        return fail(failure, where, "its publisher has to take sha256: createrepo_c --checksum sha256",
                    "the digest of '%s' is of a kind that is not safe", type);
    const char *suffix = suffix_of(href);
    if (suffix == NULL)
        return fail(failure, where, "gzip, xz, zstd and plain XML are read: createrepo_c --compress-type gz",
                    "the compression of '%s' is not known", href);
    part->href = copy_text(href);
    part->checksum = copy_text(checksum);
    part->checksum_type = checksum_type;
    part->size = (long long)pool_lookup_num(pool, SOLVID_POS, REPOSITORY_REPOMD_SIZE, 0);
    part->path = text_of("%s/repodata/%s-%.16s%s", repo->folder, type, checksum, suffix);
    return true;
}

static bool read_parts(struct repo *repo, const char *where, struct failure *failure)
{
    struct {
        const char *type;
        struct part *part;
    } parts[] = {{"primary", &repo->primary},
                 {"filelists", &repo->filelists},
                 {"other", &repo->other},
                 {"updateinfo", &repo->updateinfo}};
    Dataiterator di;
    bool good = true;

    dataiterator_init(&di, repo->solv->pool, repo->solv, SOLVID_META, REPOSITORY_REPOMD_TYPE, NULL, 0);
    dataiterator_prepend_keyname(&di, REPOSITORY_REPOMD);
    while (good && dataiterator_step(&di)) {
        dataiterator_setpos_parent(&di);
        const char *type = pool_lookup_str(repo->solv->pool, SOLVID_POS, REPOSITORY_REPOMD_TYPE);
        for (size_t i = 0; i < sizeof parts / sizeof *parts && good; i++)
            if (type && strcmp(type, parts[i].type) == 0)
                good = fill_part(repo, parts[i].part, parts[i].type, where, failure);
    }
    dataiterator_free(&di);
    if (good && repo->primary.href == NULL)
        return fail(failure, where, "is this the repository's own folder, with repodata/ in it?",
                    "repomd.xml names no list of packages");
    return good;
}

bool read_repomd(struct repo *repo, char *text, size_t size, const char *where, struct failure *failure)
{
    Pool *pool = pool_create();
    FILE *file = solv_fmemopen(text, size, "r");
    Repo *kept = repo->solv;

    repo->solv = repo_create(pool, "repomd");
    repo->primary = repo->filelists = repo->updateinfo = repo->other = (struct part){0};
    bool good = file && repo_add_repomdxml(repo->solv, file, 0) == 0;
    if (file)
        fclose(file);
    if (good) {
        const char *revision = repo_lookup_str(repo->solv, SOLVID_META, REPOSITORY_REVISION);
        repo->revision = copy_text(revision && !strpbrk(revision, " \n\t") ? revision : "");
        repo->timestamp = (long long)repo_lookup_num(repo->solv, SOLVID_META, REPOSITORY_TIMESTAMP, 0);
        good = read_parts(repo, where, failure);
    } else {
        fail(failure, where, "is this address a repository, and not a page for people?",
             "repomd.xml cannot be read: %s", pool_errstr(pool));
    }
    pool_free(pool);
    repo->solv = kept;
    Chksum *sum = solv_chksum_create(REPOKEY_TYPE_SHA256);
    static const char version[] = "tdnf 1";
    solv_chksum_add(sum, text, (int)size);
    solv_chksum_add(sum, version, sizeof version);
    solv_chksum_free(sum, repo->cookie);
    return good;
}

/* What is remembered is bound to the addresses: whoever names another snapshot begins anew. */
static char *addresses(const struct repo *repo)
{
    char *all = text_of("%s", repo->config->mirrorlist ? repo->config->mirrorlist : "");

    for (size_t i = 0; i < repo->config->baseurls.count; i++)
        all = text_of("%s%s%s", all, *all ? " " : "", repo->config->baseurls.at[i]);
    return masked(all);
}

static char *seen_path(const struct context *context, const struct repo *repo)
{
    return text_of("%s/seen/%s", context->config->persistdir, repo->config->id);
}

static bool all_digits(const char *text)
{
    return *text && strspn(text, "0123456789") == strlen(text) && strlen(text) < 18;
}

bool check_age(const struct context *context, const struct repo *repo, struct failure *failure)
{
    char *text = read_file(seen_path(context, repo), 65536, NULL), revision[64];
    long long timestamp;
    int used = 0;

    if (text == NULL || sscanf(text, "%lld %63s %n", &timestamp, revision, &used) != 2 || used == 0)
        return true;
    text[strcspn(text, "\n")] = '\0';
    if (strcmp(text + used, addresses(repo)) != 0)
        return true;
    bool older = repo->timestamp < timestamp;
    if (all_digits(revision) && all_digits(repo->revision))
        older |= atoll(repo->revision) < atoll(revision);
    if (!older)
        return true;
    time_t then = (time_t)timestamp, now = (time_t)repo->timestamp;
    char before[32], offered[32];
    strftime(before, sizeof before, "%F %T", gmtime(&then));
    strftime(offered, sizeof offered, "%F %T", gmtime(&now));
    return fail(failure, repo->mirrors.urls.count ? repo->mirrors.urls.at[0] : repo->config->id,
                text_of("a mirror may be behind: try again later; if the publisher did go back, remove %s",
                        seen_path(context, repo)),
                "the metadata are older than those that were seen: of %s UTC, before of %s UTC", offered, before);
}

bool remember_age(const struct context *context, const struct repo *repo, struct failure *failure)
{
    char *path = seen_path(context, repo), *folder = text_of("%s/seen", context->config->persistdir);
    char *text = text_of("%lld %s %s\n", repo->timestamp, *repo->revision ? repo->revision : "-", addresses(repo));

    if (geteuid() != 0)
        return true; /* root has its own memory */
    if (!make_directories(folder) || !write_file(path, text, strlen(text)))
        return fail(failure, path, errno == ENOSPC ? "make room" : NULL, "cannot be written: %s", strerror(errno));
    return true;
}
