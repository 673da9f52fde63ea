#include "packages.h"

#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <solv/evr.h>
#include <solv/knownid.h>
#include <solv/poolarch.h>
#include <solv/repo_rpmdb.h>

#include "reasons.h"
#include "sign.h"

static void read_installed(struct context *context)
{
    Repo *installed = repo_create(context->pool, "@System");

    /* An empty root has no database yet. */
    if (repo_add_rpmdb(installed, NULL, REPO_REUSE_REPODATA | REPO_USE_ROOTDIR) != 0 &&
        (rpmtsInitDB(context->ts, 0644) != 0 ||
         repo_add_rpmdb(installed, NULL, REPO_REUSE_REPODATA | REPO_USE_ROOTDIR) != 0))
        stop_for(FAILED, context->config->root, "rpm --rebuilddb mends a damaged database",
                 "the rpm database cannot be read: %s", pool_errstr(context->pool));
    pool_set_installed(context->pool, installed);
    context->automatic = read_automatic(context);
}

static bool left_out(const struct context *context, Id p, const struct strings *patterns)
{
    const Pool *pool = context->pool;

    if (patterns->count == 0)
        return false;
    char *dotted = text_of("%s.%s", name_of(pool, p), arch_of(pool, p)), *nevra = nevra_of(pool, p);
    bool out = has_match(patterns, name_of(pool, p)) || has_match(patterns, dotted) || has_match(patterns, nevra);

    free(dotted);
    free(nevra);
    return out;
}

static void apply_excludes(struct context *context)
{
    Pool *pool = context->pool;
    bool any = false;
    Id p;

    map_free(&context->excluded);
    map_init(&context->excluded, pool->nsolvables);
    if (context->options.disable_excludes)
        return;
    FOR_POOL_SOLVABLES(p)
    {
        struct repo *repo = repo_of(pool, p);
        if (is_installed(pool, p) || repo == NULL)
            continue;
        const struct repo_config *config = repo->config;
        if (left_out(context, p, &context->options.excludes) || left_out(context, p, &config->excludes) ||
            left_out(context, p, &context->config->defaults.excludes) ||
            (config->includes.count && !left_out(context, p, &config->includes))) {
            MAPSET(&context->excluded, p);
            any = true;
        }
    }
    if (!any)
        return;
    if (pool->considered == NULL) {
        pool->considered = calloc(1, sizeof *pool->considered);
        map_init(pool->considered, pool->nsolvables);
    }
    map_grow(pool->considered, pool->nsolvables);
    map_setall(pool->considered);
    map_subtract(pool->considered, &context->excluded);
}

void index_packages(struct context *context)
{
    apply_excludes(context);
    pool_addfileprovides(context->pool);
    pool_createwhatprovides(context->pool);
}

void open_packages(struct context *context, bool installed, enum freshness freshness)
{
    struct config *config = context->config;
    struct failure failure;

    context->pool = pool_create();
    pool_setdisttype(context->pool, DISTTYPE_RPM);
    pool_setarch(context->pool, config->arch);
    pool_set_rootdir(context->pool, config->root);
    pool_set_flag(context->pool, POOL_FLAG_ADDFILEPROVIDESFILTERED, 1);
    if (installed)
        read_installed(context);
    context->repos = allocate(NULL, (config->repo_count + 1) * sizeof *context->repos);
    if (freshness == NO_REPOS) {
        index_packages(context);
        return;
    }
    if (context->options.cache_only)
        freshness = CACHED;
    else if (context->options.refresh)
        freshness = ANEW;
    for (size_t i = 0; i < config->repo_count; i++) {
        struct repo *repo = &context->repos[context->repo_count];
        if (!config->repos[i].enabled)
            continue;
        *repo = (struct repo){.config = &config->repos[i]};
        if (load_repo(context, repo, freshness, &failure)) {
            context->repo_count++;
            continue;
        }
        if (!config->repos[i].skip_if_unavailable)
            stop(FAILED, &failure);
        warn_of(&failure);
        warn("repository '%s' is left out", config->repos[i].id);
        if (repo->solv)
            repo_free(repo->solv, 0);
    }
    index_packages(context);
}

bool need_filelists(struct context *context)
{
    struct failure failure;
    bool more = false;

    for (size_t i = 0; i < context->repo_count; i++) {
        more |= !context->repos[i].loaded_filelists && context->repos[i].filelists.href;
        if (!load_filelists(context, &context->repos[i], &failure))
            stop(FAILED, &failure);
    }
    if (more)
        index_packages(context);
    return more;
}

Id add_package_file(struct context *context, const char *path, bool fetched)
{
    /* One for files, one for what was fetched. */
    static Repo *both[2];
    static struct repo_config configs[2];
    static struct repo repos[2];
    struct repo_config *config = &configs[fetched];
    struct failure failure;
    bool wanted = fetched ? context->config->defaults.gpgcheck : context->config->localpkg_gpgcheck;
    Header header = read_package(context, NULL, path, wanted, &failure);

    if (header == NULL)
        stop(FAILED, &failure);
    headerFree(header);
    if (both[fetched] == NULL) {
        *config = context->config->defaults;
        config->id = copy_text("@commandline");
        config->gpgcheck = wanted;
        repos[fetched].config = config;
        both[fetched] = repo_create(context->pool, "@commandline");
        both[fetched]->appdata = &repos[fetched];
    }
    Id p = repo_add_rpm(both[fetched], path, REPO_REUSE_REPODATA | RPM_ADD_WITH_SHA256SUM);
    if (p == 0)
        stop_for(FAILED, path, NULL, "the package cannot be read: %s", pool_errstr(context->pool));
    return p;
}

struct repo *repo_of(const Pool *pool, Id p)
{
    return pool->solvables[p].repo->appdata;
}

const char *origin_of(const Pool *pool, Id p)
{
    return pool->solvables[p].repo->name;
}

const char *name_of(const Pool *pool, Id p)
{
    return pool_id2str(pool, pool->solvables[p].name);
}

const char *arch_of(const Pool *pool, Id p)
{
    return pool_id2str(pool, pool->solvables[p].arch);
}

const char *evr_of(const Pool *pool, Id p)
{
    return pool_id2str(pool, pool->solvables[p].evr);
}

char *nevra_of(const Pool *pool, Id p)
{
    return text_of("%s-%s.%s", name_of(pool, p), evr_of(pool, p), arch_of(pool, p));
}

bool is_automatic(const struct context *context, Id p)
{
    return has_string(&context->automatic, name_of(context->pool, p));
}

bool is_installonly(const struct context *context, Id p)
{
    Pool *pool = context->pool;
    Id provider, provider_place;

    if (has_match(&context->config->installonly, name_of(pool, p)))
        return true;
    for (size_t i = 0; i < context->config->installonly.count; i++) {
        Id dependency = pool_str2id(pool, context->config->installonly.at[i], 0);
        if (dependency == 0)
            continue;
        FOR_PROVIDES(provider, provider_place, dependency)
        if (provider == p)
            return true;
    }
    return false;
}

bool is_running_kernel(const struct context *context, Id p)
{
    struct utsname system;
    Dataiterator di;
    bool found = false;

    if (!context->config->protect_running_kernel || strcmp(context->config->root, "/") != 0 || uname(&system) < 0)
        return false;
    char *folder = text_of("/modules/%s/", system.release);
    dataiterator_init(&di, context->pool, pool_id2solvable(context->pool, p)->repo, p, SOLVABLE_FILELIST, folder,
                      SEARCH_SUBSTRING | SEARCH_FILES);
    found = dataiterator_step(&di);
    dataiterator_free(&di);
    free(folder);
    return found;
}

void all_packages(const struct context *context, bool installed, bool available, Queue *queue)
{
    Pool *pool = context->pool;
    Id p;

    FOR_POOL_SOLVABLES(p)
    {
        bool own = is_installed(pool, p);
        if (strncmp(name_of(pool, p), "patch:", 6) == 0)
            continue;
        if (own ? !installed
                : !available || MAPTST(&context->excluded, p) || !pool_installable(pool, pool_id2solvable(pool, p)))
            continue;
        queue_push(queue, p);
    }
}

static int compare(const void *one, const void *other, void *data)
{
    Pool *pool = data;
    Id a = *(const Id *)one, b = *(const Id *)other;
    Solvable *first = pool_id2solvable(pool, a), *second = pool_id2solvable(pool, b);
    int order = strcmp(name_of(pool, a), name_of(pool, b));

    if (order == 0)
        order = pool_evrcmp(pool, second->evr, first->evr, EVRCMP_COMPARE);
    if (order == 0)
        order = strcmp(arch_of(pool, a), arch_of(pool, b));
    if (order == 0)
        order = is_installed(pool, b) - is_installed(pool, a);
    return order ? order : a - b;
}

void sort_packages(Pool *pool, Queue *queue)
{
    solv_sort(queue->elements, (size_t)queue->count, sizeof(Id), compare, pool);
}

void keep_newest(Pool *pool, Queue *queue)
{
    int kept = 0;

    for (int i = 0; i < queue->count; i++) {
        Solvable *this = pool_id2solvable(pool, queue->elements[i]);
        bool first = true;
        for (int j = kept - 1; j >= 0 && first; j--) {
            Solvable *before = pool_id2solvable(pool, queue->elements[j]);
            if (before->name != this->name)
                break;
            first = before->arch != this->arch;
        }
        if (first)
            queue->elements[kept++] = queue->elements[i];
    }
    queue_truncate(queue, kept);
}
