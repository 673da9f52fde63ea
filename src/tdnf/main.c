/* tdnf(8): from a command line to an exit code. */
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "alter.h"
#include "cache.h"
#include "history.h"
#include "json.h"
#include "query.h"
#include "updateinfo.h"

static const struct {
    const char *name;
    int (*run)(struct context *context);
} commands[] = {
    {"check", check_command},
    {"check-update", check_update_command},
    {"check-upgrade", check_update_command},
    {"clean", clean_command},
    {"count", count_command},
    {"download", download_command},
    {"history", history_command},
    {"info", list_command},
    {"list", list_command},
    {"makecache", makecache_command},
    {"mark", mark_command},
    {"provides", provides_command},
    {"repolist", repolist_command},
    {"repoquery", repoquery_command},
    {"search", search_command},
    {"updateinfo", updateinfo_command},
    {"whatprovides", provides_command},
};

static int version(const struct options *options)
{
    if (!options->json) {
        printf("tdnf: %s\n", TDNF_VERSION);
        return DONE;
    }
    json_open('{');
    json_field("Name", "tdnf");
    json_field("Version", TDNF_VERSION);
    json_close('}');
    return DONE;
}

static int dispatch(struct context *context)
{
    const char *command = context->options.words.at[0];

    if (is_alter_command(command))
        return alter_command(context);
    for (size_t i = 0; i < sizeof commands / sizeof *commands; i++)
        if (strcmp(commands[i].name, command) == 0)
            return commands[i].run(context);
    stop_for(USAGE, command, "tdnf --help lists the commands", "no such command");
}

int main(int argc, char **argv)
{
    static struct context context;

    signal(SIGPIPE, SIG_DFL);
    open_context(&context, argc, argv);
    if (context.options.version)
        return version(&context.options);
    if (context.options.help || (context.options.words.count && strcmp(context.options.words.at[0], "help") == 0)) {
        fputs(help_text, stdout);
        return DONE;
    }
    if (context.options.words.count == 0) {
        fputs(help_text, stderr);
        return USAGE;
    }
    int code = dispatch(&context);
    /* librpm closes its database in an orderly way. */
    rpmtsFree(context.ts);
    if (fflush(stdout) != 0 && code == DONE)
        stop_for(FAILED, "stdout", NULL, "what was to be said could not be written");
    return code;
}
