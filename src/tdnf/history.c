#include "history.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "alter.h"
#include "json.h"
#include "select.h"

enum { MOST = 8 << 20 };

static char *folder_of(const struct context *context)
{
    return text_of("%s/history", context->config->persistdir);
}

static int compare(const void *one, const void *other)
{
    return ((const struct record *)one)->id - ((const struct record *)other)->id;
}

struct record *history_read(const struct context *context, size_t *count)
{
    struct strings names = names_in(folder_of(context));
    struct record *records = allocate(NULL, (names.count + 1) * sizeof *records);

    *count = 0;
    for (size_t i = 0; i < names.count; i++) {
        char *text = NULL;
        if (strspn(names.at[i], "0123456789") == strlen(names.at[i]) && strlen(names.at[i]) < 9)
            text = read_file(text_of("%s/%s", folder_of(context), names.at[i]), MOST, NULL);
        if (text == NULL)
            continue;
        struct record *record = &records[(*count)++];
        *record = (struct record){.id = atoi(names.at[i]), .command = copy_text("")};
        for (char *line = strtok(text, "\n"); line; line = strtok(NULL, "\n")) {
            if (starts_with(line, "time "))
                record->time = atoll(line + 5);
            else if (starts_with(line, "command "))
                record->command = copy_text(line + 8);
            else if (starts_with(line, "status "))
                record->good = strcmp(line + 7, "done") == 0;
            else if (starts_with(line, "automatic "))
                add_string(&record->automatic, copy_text(line + 10));
            else if (starts_with(line, "+ "))
                add_string(&record->added, copy_text(line + 2));
            else if (starts_with(line, "- "))
                add_string(&record->removed, copy_text(line + 2));
        }
        free(text);
    }
    qsort(records, *count, sizeof *records, compare);
    return records;
}

/* With the reason for which it was there, so that it can come back for the same. */
static void write_removed(const struct context *context, Id p, FILE *out)
{
    if (is_automatic(context, p))
        fprintf(out, "automatic %s\n", nevra_of(context->pool, p));
    fprintf(out, "- %s\n", nevra_of(context->pool, p));
}

bool history_add(struct context *context, const struct plan *plan, bool good, struct failure *failure)
{
    char *text = NULL, *folder = folder_of(context);
    size_t size = 0, count;
    struct record *records = history_read(context, &count);
    Queue incoming;
    FILE *out = open_memstream(&text, &size);

    queue_init(&incoming);
    plan_incoming(plan, &incoming);
    fprintf(out, "time %lld\ncommand %s\nstatus %s\n", (long long)time(NULL), context->command_line,
            good ? "done" : "failed");
    for (int i = 0; i < incoming.count; i++)
        fprintf(out, "+ %s\n", nevra_of(context->pool, incoming.elements[i]));
    for (int i = 0; i < plan->replaced.count; i += 2)
        write_removed(context, plan->replaced.elements[i + 1], out);
    for (int i = 0; i < plan->remove.count; i++)
        write_removed(context, plan->remove.elements[i], out);
    for (int i = 0; i < plan->unneeded.count; i++)
        write_removed(context, plan->unneeded.elements[i], out);
    fclose(out);
    char *path = text_of("%s/%d", folder, count ? records[count - 1].id + 1 : 1);
    if (!make_directories(folder) || !write_file(path, text, size))
        return fail(failure, path, NULL, "cannot be written: %s", strerror(errno));
    return true;
}

static void show(const struct context *context, const struct record *record, bool all)
{
    char when[32];
    time_t then = (time_t)record->time;

    if (json_wanted(context)) {
        json_open('{');
        json_count("Id", record->id);
        json_field("CmdLine", record->command);
        json_count("TimeStamp", record->time);
        json_count("AddedCount", (long long)record->added.count);
        json_count("RemovedCount", (long long)record->removed.count);
        const struct strings *const lists[] = {&record->added, &record->removed};
        for (int i = 0; i < 2 && all; i++) {
            json_key(i ? "Removed" : "Added");
            json_open('[');
            for (size_t j = 0; j < lists[i]->count; j++)
                json_string(lists[i]->at[j]);
            json_close(']');
        }
        json_close('}');
        return;
    }
    strftime(when, sizeof when, "%a %b %d %Y %H:%M", localtime(&then));
    printf("%4d %-40s %-21s +%-4zu / -%-4zu%s\n", record->id, record->command, when, record->added.count,
           record->removed.count, record->good ? "" : " failed");
    for (size_t i = 0; i < record->added.count && all; i++)
        printf("     + %s\n", record->added.at[i]);
    for (size_t i = 0; i < record->removed.count && all; i++)
        printf("     - %s\n", record->removed.at[i]);
}

static const struct record *wanted(const struct record *records, size_t count, const char *word)
{
    if (count && strcmp(word, "last") == 0)
        return &records[count - 1];
    for (size_t i = 0; i < count; i++)
        if (strspn(word, "0123456789") == strlen(word) && records[i].id == atoi(word))
            return &records[i];
    stop_for(FAILED, word, "tdnf history lists the transactions", "there is no such transaction");
}

/* Drop a NEVRA that goes both ways: it was there before and is there after. */
static void cancel(struct strings *one, struct strings *other, char *nevra)
{
    for (size_t i = 0; i < other->count; i++)
        if (strcmp(other->at[i], nevra) == 0) {
            other->at[i] = other->at[--other->count];
            return;
        }
    add_string(one, nevra);
}

static int list(struct context *context, const struct record *records, size_t count, bool all, const char *only)
{
    const struct record *one = only ? wanted(records, count, only) : NULL;

    if (json_wanted(context))
        json_open('[');
    else
        printf("ID   %-40s %-21s %s\n", "cmd line", "date/time", "+add  / -rem");
    for (size_t i = 0; i < count; i++)
        if (one == NULL || one == &records[i])
            show(context, &records[i], all);
    if (json_wanted(context))
        json_close(']');
    return DONE;
}

int history_command(struct context *context)
{
    const struct strings *words = &context->options.words;
    const char *verb = words->count > 1 ? words->at[1] : "list";
    size_t count;
    struct record *records = history_read(context, &count);
    struct strings add = {0}, drop = {0}, automatic = {0};

    if (strcmp(verb, "list") == 0 || strcmp(verb, "info") == 0)
        return list(context, records, count, *verb == 'i' || context->options.info,
                    words->count > 2 ? words->at[2] : NULL);
    bool undo = strcmp(verb, "undo") == 0, redo = strcmp(verb, "redo") == 0, back = strcmp(verb, "rollback") == 0;
    if (!undo && !redo && !back)
        stop_for(USAGE, verb, "tdnf history [list|info|undo|redo|rollback] [ID|last]", "no such command of history");
    if (words->count < 3)
        stop_for(USAGE, verb, "tdnf history lists the transactions; 'last' is the last one", "which transaction?");
    const struct record *one = wanted(records, count, words->at[2]);
    for (size_t i = count; i-- > 0;) {
        const struct record *record = &records[i];
        if (back ? record->id <= one->id : record != one)
            continue;
        const struct strings *came = redo ? &record->removed : &record->added,
                             *went = redo ? &record->added : &record->removed;
        for (size_t j = 0; j < record->automatic.count; j++)
            add_string(&automatic, record->automatic.at[j]);
        for (size_t j = 0; j < came->count; j++)
            cancel(&drop, &add, came->at[j]);
        for (size_t j = 0; j < went->count; j++)
            cancel(&add, &drop, went->at[j]);
    }
    return alter_exactly(context, &add, &drop, &automatic);
}
