#include "context.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>
#include <rpm/rpmlib.h>
#include <rpm/rpmlog.h>
#include <rpm/rpmmacro.h>

#include "progress.h"

/* librpm's complaints are kept, and become part of ours. */
static int keep_message(rpmlogRec record, rpmlogCallbackData data)
{
    struct context *context = data;

    if (rpmlogRecPriority(record) > RPMLOG_ERR && !context->options.verbose)
        return 0;
    snprintf(context->rpm_says, sizeof context->rpm_says, "%s", rpmlogRecMessage(record));
    context->rpm_says[strcspn(context->rpm_says, "\n")] = '\0';
    if (context->options.verbose)
        fprintf(stderr, "rpm: %s", rpmlogRecMessage(record));
    return 0;
}

/* The command line as the history has it: on one line, without passwords. */
static char *joined(int argc, char **argv)
{
    char *line = copy_text("");

    for (int i = 1; i < argc; i++) {
        char *secret = strstr(argv[i], "password=");
        char *word = secret ? copy_part(argv[i], (size_t)(secret - argv[i]) + strlen("password=")) : masked(argv[i]);
        line = text_of("%s%s%s%s", line, *line ? " " : "", word, secret ? "..." : "");
    }
    for (char *at = line; *at; at++)
        if ((unsigned char)*at < 0x20)
            *at = ' ';
    return line;
}

void open_context(struct context *context, int argc, char **argv)
{
    *context = (struct context){.lock = -1};
    context->command_line = joined(argc, argv);
    context->options = parse_options(argc, argv);
    if (context->options.json)
        errors_as_json();
    if (context->options.version || context->options.help || context->options.words.count == 0)
        return;
    context->config = read_config(&context->options);
    progress_allow(!context->options.quiet && !context->options.json);
    rpmlogSetCallback(keep_message, context);
    if (rpmReadConfigFiles(NULL, NULL) != 0)
        stop_for(FAILED, "/usr/lib/rpm", "is the package rpm installed?", "librpm has no configuration");
    context->ts = rpmtsCreate();
    if (rpmtsSetRootDir(context->ts, context->config->root) != 0)
        stop_for(FAILED, context->config->root, NULL, "cannot be the root of an installation");
    rpmtsSetVSFlags(context->ts, RPMVSF_DEFAULT);
    if (context->options.assume_no)
        context->config->assume_yes = false;
    context->config->assume_yes |= context->options.assume_yes;
}

void take_lock(struct context *context)
{
    char *path = text_of("%s/lock", context->config->persistdir);
    char holder[32] = "";

    if (context->lock >= 0)
        return;
    if (geteuid() != 0)
        stop_for(FAILED, context->config->root, "run it as root: sudo tdnf ...", "only root changes the system");
    if (!make_directories(context->config->persistdir) ||
        (context->lock = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0644)) < 0)
        stop_for(FAILED, path, errno == EROFS ? "the file system is mounted read-only" : NULL, "cannot be locked: %s",
                 strerror(errno));
    if (flock(context->lock, LOCK_EX | LOCK_NB) < 0) {
        if (pread(context->lock, holder, sizeof holder - 1, 0) < 0)
            holder[0] = '\0';
        holder[strcspn(holder, "\n")] = '\0';
        if (context->config->exit_on_lock)
            stop_for(LOCKED, path, "wait for it to end", "tdnf runs already, as process %s", holder);
        fprintf(stderr, "waiting for process %s, which holds %s\n", holder, path);
        while (flock(context->lock, LOCK_EX) < 0 && errno == EINTR)
            ;
    }
    char *own = text_of("%d\n", (int)getpid());
    if (ftruncate(context->lock, 0) < 0 || pwrite(context->lock, own, strlen(own), 0) < 0)
        warn("%s cannot be written: %s", path, strerror(errno));
}

bool ask(struct context *context, const char *question)
{
    char answer[16];

    if (context->options.assume_no)
        return false;
    if (context->config->assume_yes)
        return true;
    fflush(stdout);
    fprintf(stderr, "%s [y/N]: ", question);
    if (fgets(answer, sizeof answer, stdin) == NULL) {
        fprintf(stderr, "\n");
        return false;
    }
    return answer[0] == 'y' || answer[0] == 'Y';
}
