#include "options.h"

#include <getopt.h>
#include <stdlib.h>
#include <string.h>

const char help_text[] =
    "Usage: tdnf [options] COMMAND [package...]\n"
    "\n"
    "Change the system:\n"
    "  install, reinstall, upgrade (update), downgrade, distro-sync, remove (erase), autoremove\n"
    "  mark install|remove PACKAGE...     as asked for, or as there for others only\n"
    "  history [list|info|undo|redo|rollback] [ID|last]\n"
    "\n"
    "Ask:\n"
    "  list, info [--installed|--available|--upgrades|--extras|--all] [PACKAGE...]\n"
    "  search WORD..., provides NAME|FILE, repoquery [options], repolist [--all], count\n"
    "  check, check-update, updateinfo [--list|--info|--summary] [--security|--cve=CVE]\n"
    "\n"
    "Fetch:\n"
    "  makecache, download [--resolve] [--url] PACKAGE..., clean [all|metadata|packages]\n"
    "\n"
    "Options:\n"
    "  -y, --assumeyes          --assumeno               -q, --quiet              -v, --verbose\n"
    "  -c, --config=FILE        --installroot=FOLDER     --releasever=VERSION     --setopt=[REPO.]KEY=VALUE\n"
    "  --enablerepo=ID          --disablerepo=ID         --repo=ID                -x, --exclude=PACKAGE\n"
    "  -C, --cacheonly          --refresh                --downloadonly           --downloaddir=FOLDER\n"
    "  --alldeps                --best, --nobest         --allowerasing           --skip-broken\n"
    "  --noautoremove           --nogpgcheck             --json                   --debugsolver\n"
    "  --security --bugfix --enhancement --newpackage --advisory=ID --cve=CVE --sec-severity=SEVERITY\n"
    "  -h, --help               --version\n"
    "\n"
    "repoquery: --installed --available --upgrades --extras --duplicates --userinstalled --unneeded --latest-limit\n"
    "  --file=FILE --whatprovides=NAME --whatrequires=NAME --whatobsoletes=NAME --whatconflicts=NAME\n"
    "  --whatdepends=NAME --whatrecommends=NAME; --info --list --location --source --changelogs\n"
    "  --qf=FORMAT --provides --requires --requires-pre --obsoletes --conflicts --recommends --suggests\n"
    "  --supplements --enhances --depends\n";

struct switch_option {
    const char *name;
    size_t offset;
};

#define AT(field) offsetof(struct options, field)
static const struct switch_option switches[] = {
    {"assumeno", AT(assume_no)},
    {"assumeyes", AT(assume_yes)},
    {"quiet", AT(quiet)},
    {"verbose", AT(verbose)},
    {"json", AT(json)},
    {"cacheonly", AT(cache_only)},
    {"refresh", AT(refresh)},
    {"downloadonly", AT(download_only)},
    {"alldeps", AT(all_deps)},
    {"best", AT(best)},
    {"nobest", AT(no_best)},
    {"allowerasing", AT(allow_erasing)},
    {"skip-broken", AT(skip_broken)},
    {"nogpgcheck", AT(no_gpgcheck)},
    {"noautoremove", AT(no_autoremove)},
    {"security", AT(security)},
    {"bugfix", AT(bugfix)},
    {"enhancement", AT(enhancement)},
    {"newpackage", AT(newpackage)},
    {"installed", AT(installed)},
    {"available", AT(available)},
    {"extras", AT(extras)},
    {"duplicates", AT(duplicates)},
    {"upgrades", AT(upgrades)},
    {"updates", AT(upgrades)},
    {"all", AT(all)},
    {"recent", AT(recent)},
    {"userinstalled", AT(userinstalled)},
    {"unneeded", AT(unneeded)},
    {"latest-limit", AT(latest)},
    {"info", AT(info)},
    {"summary", AT(summary)},
    {"list", AT(list)},
    {"location", AT(location)},
    {"changelogs", AT(changelogs)},
    {"source", AT(source)},
    {"resolve", AT(resolve)},
    {"url", AT(url)},
    {"urls", AT(url)},
    {"disableexcludes", AT(disable_excludes)},
    {"reverse", AT(reverse)},
    {"version", AT(version)},
    {"help", AT(help)},
    {"debugsolver", AT(debugsolver)},
};
static const struct switch_option lists[] = {
    {"setopt", AT(setopts)},
    {"exclude", AT(excludes)},
    {"excludepkgs", AT(excludes)},
    {"advisory", AT(advisories)},
    {"cve", AT(cves)},
    {"cves", AT(cves)},
    {"sec-severity", AT(severities)},
    {"secseverity", AT(severities)},
    {"whatprovides", AT(what_provides)},
    {"whatrequires", AT(what_requires)},
    {"whatobsoletes", AT(what_obsoletes)},
    {"whatconflicts", AT(what_conflicts)},
    {"whatdepends", AT(what_depends)},
    {"whatrecommends", AT(what_recommends)},
    {"file", AT(what_file)},
};
static const struct switch_option texts[] = {
    {"config", AT(config)},       {"installroot", AT(installroot)},  {"releasever", AT(releasever)},
    {"forcearch", AT(forcearch)}, {"downloaddir", AT(downloaddir)},  {"destdir", AT(downloaddir)},
    {"qf", AT(query_format)},     {"queryformat", AT(query_format)},
};
static const char *const kinds[] = {"provides",   "requires", "requires-pre", "obsoletes", "conflicts",
                                    "recommends", "suggests", "supplements",  "enhances",  "depends"};
static const char *const repo_options[] = {"enablerepo", "disablerepo", "repo", "repoid"};
enum { SWITCH = 1000, LIST = 2000, TEXT = 3000, KIND = 4000, REPO = 5000, MOST = 100 };
#define COUNT(table) (sizeof table / sizeof *table)

static void add_options(struct option *into, size_t *at, const struct switch_option *from, size_t count, int base)
{
    for (size_t i = 0; i < count; i++)
        into[(*at)++] =
            (struct option){from[i].name, base == SWITCH ? no_argument : required_argument, NULL, base + (int)i};
}

/* What is not known ends the process; getopt_long takes beginnings of names, as dnf does. */
static _Noreturn void no_such_option(char *const *argv, int code)
{
    const char *hint = "tdnf --help lists the options";
    const char *word = optopt && optopt < 256 ? text_of("-%c", optopt) : argv[optind - 1];

    if (code == ':')
        stop_for(USAGE, word, hint, "the option wants a value");
    stop_for(USAGE, word, hint, "no such option, or a value that it does not take");
}

static void take_repo(struct options *options, const char *name, const char *value)
{
    struct strings ids = {0};

    add_words(&ids, value);
    if (starts_with(name, "repo"))
        add_string(&options->repo_switches, copy_text("-*"));
    for (size_t i = 0; i < ids.count; i++)
        add_string(&options->repo_switches, text_of("%c%s", *name == 'd' ? '-' : '+', ids.at[i]));
}

static void take(struct options *options, int code, const char *value)
{
    char *base = (char *)options;

    if (code >= REPO)
        take_repo(options, repo_options[code - REPO], value);
    else if (code >= KIND)
        options->query_kind = copy_text(kinds[code - KIND]);
    else if (code >= TEXT)
        *(char **)(base + texts[code - TEXT].offset) = copy_text(value);
    else if (code >= LIST && lists[code - LIST].offset == AT(setopts))
        add_string(&options->setopts, copy_text(value));
    else if (code >= LIST)
        add_words((struct strings *)(base + lists[code - LIST].offset), value);
    else
        *(bool *)(base + switches[code - SWITCH].offset) = true;
}

struct options parse_options(int argc, char **argv)
{
    static const struct {
        char letter;
        const char *name;
    } letters[] = {{'y', "assumeyes"}, {'q', "quiet"}, {'v', "verbose"}, {'C', "cacheonly"}, {'b', "best"},
                   {'j', "json"},      {'h', "help"},  {'l', "list"},    {'i', "info"},      {'s', "source"}};
    struct option known[MOST] = {0};
    struct options options = {0};
    size_t count = 0;
    int code;

    add_options(known, &count, switches, COUNT(switches), SWITCH);
    add_options(known, &count, lists, COUNT(lists), LIST);
    add_options(known, &count, texts, COUNT(texts), TEXT);
    for (size_t i = 0; i < COUNT(kinds); i++)
        known[count++] = (struct option){kinds[i], no_argument, NULL, KIND + (int)i};
    for (size_t i = 0; i < COUNT(repo_options); i++)
        known[count++] = (struct option){repo_options[i], required_argument, NULL, REPO + (int)i};
    opterr = 0;
    while ((code = getopt_long(argc, argv, ":yqvCbjhlisc:x:d:", known, NULL)) != -1) {
        if (code == '?' || code == ':')
            no_such_option(argv, code);
        if (code == 'c')
            options.config = copy_text(optarg);
        else if (code == 'x')
            add_words(&options.excludes, optarg);
        else if (code >= SWITCH)
            take(&options, code, optarg);
        for (size_t i = 0; i < COUNT(letters); i++)
            for (size_t j = 0; letters[i].letter == code && j < COUNT(switches); j++)
                if (strcmp(letters[i].name, switches[j].name) == 0)
                    take(&options, SWITCH + (int)j, NULL);
    }
    for (; optind < argc; optind++)
        add_string(&options.words, copy_text(argv[optind]));
    return options;
}
