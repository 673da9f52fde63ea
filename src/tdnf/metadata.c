#include "metadata.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>
#include <solv/chksum.h>
#include <solv/repo_rpmmd.h>
#include <solv/repo_solv.h>
#include <solv/repo_updateinfoxml.h>
#include <solv/repo_write.h>
#include <solv/solv_xfopen.h>

#include "context.h"
#include "repomd.h"
#include "sign.h"

enum { MOST_OF_REPOMD = 4 << 20, MOST_OF_A_SIGNATURE = 64 << 10 };
static const long long MOST_OF_A_PART = 1LL << 30;

static char *kept(const struct repo *repo, const char *name)
{
    return text_of("%s/repodata/%s", repo->folder, name);
}

/* Young enough by metadata_expire, and not of the future. */
static bool is_fresh(const struct repo *repo)
{
    struct stat status;
    time_t now = time(NULL);

    if (stat(kept(repo, "repomd.xml"), &status) < 0 || status.st_mtime > now)
        return false;
    return repo->config->metadata_expire < 0 || now - status.st_mtime < repo->config->metadata_expire;
}

/* "updates: primary", as people are told. */
static char *label_of(const struct repo *repo, const struct part *part)
{
    const char *name = strrchr(part->path, '/') + 1;

    return text_of("%s: %.*s", repo->config->id, (int)strcspn(name, "-"), name);
}

static bool fetch_part(struct context *context, struct repo *repo, struct part *part, struct failure *failure)
{
    struct download download = {.mirrors = &repo->mirrors,
                                .path = part->href,
                                .target = part->path,
                                .checksum = part->checksum,
                                .checksum_type = part->checksum_type,
                                .size = part->size,
                                .most = part->size ? part->size : MOST_OF_A_PART};

    if (access(part->path, R_OK) == 0 && has_checksum(part->path, part->checksum_type, part->checksum))
        return true;
    if (context->options.cache_only)
        return fail(failure, part->path, "run it without --cacheonly", "it is not in the cache");
    if (repo->mirrors.urls.count == 0 && !find_mirrors(context->config, repo->config, &repo->mirrors, failure))
        return false;
    if (!context->options.quiet)
        download.label = label_of(repo, part);
    return fetch_all(context->config, &download, 1, failure);
}

static enum verdict verify(struct context *context, struct repo *repo, const char *text, size_t size,
                           const char *signature, struct failure *failure)
{
    char *armored = read_file(signature, MOST_OF_A_SIGNATURE, NULL);
    char *where =
        text_of("%s/repodata/repomd.xml.asc", repo->mirrors.urls.count ? repo->mirrors.urls.at[0] : repo->config->id);

    if (armored == NULL) {
        fail(failure, where, "tdnf --refresh reads the metadata anew", "the signature cannot be read");
        return REFUSED;
    }
    enum verdict verdict = verify_text(context, repo->config, text, size, armored, where, failure);
    free(armored);
    return verdict;
}

/* Publications change while they are read: the signature that came may be that of the index before, or of the one
   after. Publishers who know of it keep each under the digest of its index, too. */
static bool fetch_own_signature(struct context *context, struct repo *repo, const char *text, size_t size,
                                const char *signature)
{
    Chksum *sum = solv_chksum_create(REPOKEY_TYPE_SHA256);
    struct failure unimportant = {0};

    solv_chksum_add(sum, text, (int)size);
    const unsigned char *digest = solv_chksum_get(sum, NULL);
    char hex[65];
    for (int i = 0; i < 32; i++)
        snprintf(hex + 2 * i, 3, "%02x", digest[i]);
    solv_chksum_free(sum, NULL);
    struct download download = {.mirrors = &repo->mirrors,
                                .path = text_of("repodata/%s-repomd.xml.asc", hex),
                                .target = text_of("%s.own", signature),
                                .most = MOST_OF_A_SIGNATURE};
    return fetch_all(context->config, &download, 1, &unimportant) && rename(download.target, signature) == 0;
}

static bool verify_offered(struct context *context, struct repo *repo, const char *text, size_t size,
                           const char *signature, struct failure *failure)
{
    enum verdict verdict = verify(context, repo, text, size, signature, failure);

    if (verdict == OTHER && fetch_own_signature(context, repo, text, size, signature))
        verdict = verify(context, repo, text, size, signature, failure);
    return verdict == TRUSTED;
}

/* repomd.xml, and its signature, as a mirror offers them now. */
static bool fetch_repomd(struct context *context, struct repo *repo, struct failure *failure)
{
    struct download downloads[] = {{.mirrors = &repo->mirrors,
                                    .path = (char *)"repodata/repomd.xml",
                                    .target = kept(repo, "offered.xml"),
                                    .most = MOST_OF_REPOMD},
                                   {.mirrors = &repo->mirrors,
                                    .path = (char *)"repodata/repomd.xml.asc",
                                    .target = kept(repo, "offered.xml.asc"),
                                    .most = MOST_OF_A_SIGNATURE}};

    if (!fetch_all(context->config, downloads, 1, failure))
        return false;
    if (!repo->config->repo_gpgcheck || fetch_all(context->config, downloads + 1, 1, failure))
        return true;
    if (strstr(failure->what, "404") || strstr(failure->what, "Couldn't open"))
        fail(failure, failure->where,
             "its publisher has to sign them; repo_gpgcheck=0 in the repository's file takes them unsigned",
             "the metadata are not signed");
    return false;
}

/* Files of the cache that repomd.xml does not name any more. */
static void sweep(const struct repo *repo)
{
    struct strings names = names_in(kept(repo, ""));
    const char *const parts[] = {repo->primary.path, repo->filelists.path, repo->updateinfo.path, repo->other.path};

    for (size_t i = 0; i < names.count; i++) {
        char *path = kept(repo, names.at[i]);
        bool used = starts_with(names.at[i], "repomd.xml");
        for (size_t j = 0; j < sizeof parts / sizeof *parts; j++)
            used |= parts[j] && strcmp(parts[j], path) == 0;
        if (!used)
            unlink(path);
        free(path);
    }
}

static bool refresh(struct context *context, struct repo *repo, struct failure *failure)
{
    char *offered = kept(repo, "offered.xml"), *signature = kept(repo, "offered.xml.asc");
    size_t size;

    if (!make_directories(kept(repo, "")) || !make_directories(text_of("%s/solvcache", repo->folder)))
        return fail(failure, repo->folder, errno == ENOSPC ? "make room" : NULL, "cannot be made: %s", strerror(errno));
    if (!find_mirrors(context->config, repo->config, &repo->mirrors, failure) || !fetch_repomd(context, repo, failure))
        return false;
    char *text = read_file(offered, MOST_OF_REPOMD, &size);
    if (text == NULL)
        return fail(failure, offered, NULL, "cannot be read: %s", strerror(errno));
    char *where = text_of("%s/repodata/repomd.xml", repo->mirrors.urls.at[0]);
    if (repo->config->repo_gpgcheck && !verify_offered(context, repo, text, size, signature, failure))
        return false;
    if (!read_repomd(repo, text, size, where, failure) || !check_age(context, repo, failure))
        return false;
    if (!fetch_part(context, repo, &repo->primary, failure))
        return false;
    if (repo->updateinfo.href && !fetch_part(context, repo, &repo->updateinfo, failure))
        return false;
    if (!repo->config->repo_gpgcheck)
        unlink(kept(repo, "repomd.xml.asc"));
    if ((repo->config->repo_gpgcheck && rename(signature, kept(repo, "repomd.xml.asc")) < 0) ||
        rename(offered, kept(repo, "repomd.xml")) < 0)
        return fail(failure, repo->folder, NULL, "cannot be written: %s", strerror(errno));
    sweep(repo);
    return remember_age(context, repo, failure);
}

static bool read_kept(struct context *context, struct repo *repo, struct failure *failure)
{
    size_t size;
    char *path = kept(repo, "repomd.xml"), *text = read_file(path, MOST_OF_REPOMD, &size);

    if (text == NULL)
        return fail(failure, path, "tdnf makecache reads the metadata", "nothing of this repository is in the cache");
    if (repo->config->repo_gpgcheck &&
        verify(context, repo, text, size, kept(repo, "repomd.xml.asc"), failure) != TRUSTED)
        return false;
    return read_repomd(repo, text, size, path, failure);
}

static char *solv_path(const struct repo *repo, const char *kind)
{
    return text_of("%s/solvcache/%s.solv", repo->folder, kind);
}

/* What was read before; its last bytes say of which repomd.xml. */
static bool read_solv(struct repo *repo, const char *kind, int flags)
{
    unsigned char cookie[sizeof repo->cookie];
    FILE *file = fopen(solv_path(repo, kind), "re");
    bool good = file && fseek(file, -(long)sizeof cookie, SEEK_END) == 0 &&
                fread(cookie, sizeof cookie, 1, file) == 1 && memcmp(cookie, repo->cookie, sizeof cookie) == 0;

    if (good) {
        rewind(file);
        good = repo_add_solv(repo->solv, file, flags) == 0;
    }
    if (file)
        fclose(file);
    return good;
}

/* A cache that cannot be written is none; the next one tries again. */
static void write_solv(struct repo *repo, const char *kind, Repodata *data)
{
    char *path = solv_path(repo, kind), *new = text_of("%s.new", path);
    FILE *file = fopen(new, "we");

    if (file == NULL)
        return;
    bool good = data ? repodata_write(data, file) == 0 : repo_write(repo->solv, file) == 0;
    good = good && fwrite(repo->cookie, sizeof repo->cookie, 1, file) == 1;
    if ((fclose(file) == 0) & good)
        rename(new, path);
    else
        unlink(new);
}

static FILE *open_part(struct context *context, struct repo *repo, struct part *part, struct failure *failure)
{
    if (!fetch_part(context, repo, part, failure))
        return NULL;
    FILE *file = solv_xfopen(part->path, "r");
    if (file == NULL)
        fail(failure, part->path, "tdnf clean all, and try again", "cannot be read: %s", strerror(errno));
    return file;
}

static bool not_valid(struct repo *repo, const struct part *part, struct failure *failure)
{
    return fail(failure, text_of("%s: %s", repo->config->id, part->href),
                "its publisher has to make the metadata anew: createrepo_c", "the metadata cannot be read: %s",
                pool_errstr(repo->solv->pool));
}

static bool read_packages(struct context *context, struct repo *repo, struct failure *failure)
{
    repo->solv = repo_create(context->pool, repo->config->id);
    repo->solv->appdata = repo;
    repo->solv->priority = (int)-repo->config->priority;
    repo->solv->subpriority = (int)-repo->config->cost;
    if (read_solv(repo, "packages", 0))
        return true;
    FILE *file = open_part(context, repo, &repo->primary, failure);
    if (file == NULL)
        return false;
    int bad = repo_add_rpmmd(repo->solv, file, NULL, 0);
    fclose(file);
    if (bad)
        return not_valid(repo, &repo->primary, failure);
    write_solv(repo, "packages", NULL);
    return true;
}

bool load_repo(struct context *context, struct repo *repo, enum freshness freshness, struct failure *failure)
{
    repo->folder = text_of("%s/%s", context->config->cachedir, repo->config->id);
    bool good = freshness != CACHED && (freshness == ANEW || !is_fresh(repo)) ? refresh(context, repo, failure)
                                                                              : read_kept(context, repo, failure);
    return good && read_packages(context, repo, failure);
}

static bool load_more(struct context *context, struct repo *repo, struct part *part, const char *kind, bool *loaded,
                      struct failure *failure)
{
    if (*loaded || part->href == NULL)
        return true;
    if (!read_solv(repo, kind, REPO_EXTEND_SOLVABLES | REPO_LOCALPOOL)) {
        FILE *file = open_part(context, repo, part, failure);
        if (file == NULL)
            return false;
        int bad = repo_add_rpmmd(repo->solv, file, NULL, REPO_EXTEND_SOLVABLES | REPO_LOCALPOOL);
        fclose(file);
        if (bad)
            return not_valid(repo, part, failure);
        write_solv(repo, kind, repo_last_repodata(repo->solv));
    }
    return *loaded = true;
}

bool load_filelists(struct context *context, struct repo *repo, struct failure *failure)
{
    return load_more(context, repo, &repo->filelists, "filelists", &repo->loaded_filelists, failure);
}

bool load_other(struct context *context, struct repo *repo, struct failure *failure)
{
    return load_more(context, repo, &repo->other, "other", &repo->loaded_other, failure);
}

bool load_updateinfo(struct context *context, struct repo *repo, struct failure *failure)
{
    if (repo->loaded_updateinfo || repo->updateinfo.href == NULL)
        return true;
    FILE *file = open_part(context, repo, &repo->updateinfo, failure);
    if (file == NULL)
        return false;
    int bad = repo_add_updateinfoxml(repo->solv, file, 0);
    fclose(file);
    if (bad)
        return not_valid(repo, &repo->updateinfo, failure);
    return repo->loaded_updateinfo = true;
}
