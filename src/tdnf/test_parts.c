/* Files of settings, values, variables, the command line, and JSON: pure, and so tested alone. */
#include <stdlib.h>
#include <string.h>

#include "config.h"
#include "json.h"

static void must(bool good, const char *what)
{
    if (!good) {
        fprintf(stderr, "%s\n", what);
        exit(1);
    }
}

static void test_settings(void)
{
    struct settings settings;
    struct failure failure;
    const char *text =
        "# comment\n[main]\ncachedir = /a\n\n[one] # with one\nbaseurl=http://a\n  http://b\n\thttp://c\n"
        "; comment\nempty=\n[two]\n";

    must(read_settings(&settings, text, "f", &failure), "a good file");
    must(settings.sections.count == 3 && strcmp(settings.sections.at[2], "two") == 0, "sections");
    must(settings.count == 3 && strcmp(settings.at[0].value, "/a") == 0 && settings.at[0].line == 3, "a setting");
    must(strcmp(settings.at[1].value, "http://a\nhttp://b\nhttp://c") == 0, "a value over several lines");
    must(strcmp(settings.at[2].value, "") == 0 && strcmp(settings.at[2].section, "one") == 0, "an empty value");
    free_settings(&settings);
    must(read_settings(&settings, "\xef\xbb\xbf[a]\r\nb=c\r\n", "f", &failure) &&
             strcmp(settings.at[0].value, "c") == 0,
         "line ends of other systems");
    free_settings(&settings);
    must(!read_settings(&settings, "a=b\n", "f", &failure) && strcmp(failure.where, "f:1") == 0, "no section");
    must(!read_settings(&settings, "[a\n", "f", &failure) && !read_settings(&settings, "[]\n", "f", &failure) &&
             !read_settings(&settings, "[a]\n\nword\n", "f", &failure) && strcmp(failure.where, "f:3") == 0,
         "bad lines");
    must(read_settings(&settings, "", "f", &failure) && settings.count == 0, "nothing");
}

static void test_values(void)
{
    bool yes;
    long long number;

    must(bool_of("True", &yes) && yes && bool_of("off", &yes) && !yes && !bool_of("2", &yes) && !bool_of("", &yes),
         "booleans");
    must(time_value("48h", &number) && number == 172800 && time_value("never", &number) && number == -1, "times");
    must(!time_value("1y", &number) && !time_value("-2", &number) && !time_value("99999999999999999999", &number) &&
             !time_value("9999999999999999w", &number),
         "bad times");
    must(size_value("1k", &number) && number == 1024 && size_value("2M", &number) && number == 2 << 20, "sizes");
    must(!size_value("1kk", &number) && !size_value("k", &number), "bad sizes");
}

static const char *lookup(const void *data, const char *name)
{
    return strcmp(name, "basearch") == 0 ? data : NULL;
}

static void test_variables(void)
{
    must(strcmp(replaced("a/$basearch/${basearch}b", lookup, "x"), "a/x/xb") == 0, "variables");
    must(strcmp(replaced("$other/${basearch/$/$$basearch", lookup, "x"), "$other/${basearch/$/$x") == 0,
         "no variables");
}

static void test_masks(void)
{
    must(strcmp(masked("a http://me:se@cret@host/x@y and https://host/"), "a http://host/x@y and https://host/") == 0,
         "passwords");
    must(strcmp(masked("://"), "://") == 0 && strcmp(masked("http://@"), "http://") == 0, "no passwords");
}

static void test_keys(void)
{
    struct config config;
    struct failure failure;

    set_defaults(&config);
    must(config.defaults.gpgcheck && config.defaults.repo_gpgcheck && config.defaults.sslverify,
         "what is safe is the default");
    must(set_main(&config, "installonly_limit", "5", "f:1", &failure) && config.installonly_limit == 5, "a number");
    must(set_main(&config, "proxy", "http://p", "f:1", &failure) && strcmp(config.defaults.proxy, "http://p") == 0,
         "for all");
    must(!set_main(&config, "gpgcheck", "maybe", "f:7", &failure) && strcmp(failure.where, "f:7") == 0,
         "a bad boolean");
    must(set_repo(&config.defaults, "baseurl", "http://a, http://b\nhttp://c", "f:1", &failure) &&
             config.defaults.baseurls.count == 3,
         "a list");
    must(set_repo(&config.defaults, "baseurl", "", "f:1", &failure) && config.defaults.baseurls.count == 0,
         "an empty list");
}

static void test_options(void)
{
    char *argv[] = {"tdnf", "-yq",      "--enablerepo=a,b", "install",        "x",  "--disablerepo",
                    "c",    "--repo=d", "--requires",       "--setopt=a.b=c", "-x", "y",
                    "z",    NULL};
    struct options options = parse_options(13, argv);

    must(options.assume_yes && options.quiet && !options.json, "switches");
    must(options.words.count == 3 && strcmp(options.words.at[0], "install") == 0 &&
             strcmp(options.words.at[2], "z") == 0,
         "words");
    must(options.repo_switches.count == 5 && strcmp(options.repo_switches.at[1], "+b") == 0 &&
             strcmp(options.repo_switches.at[2], "-c") == 0 && strcmp(options.repo_switches.at[3], "-*") == 0,
         "repositories in their order");
    must(strcmp(options.query_kind, "requires") == 0 && options.setopts.count == 1 && options.excludes.count == 1,
         "values");
}

static void test_files(void)
{
    size_t size;

    must(make_directories("made/for/test") && make_directories("made/for/test"), "directories");
    must(write_file("made/for/test/file", "text", 4), "a file");
    must(strcmp(read_file("made/for/test/file", 10, &size), "text") == 0 && size == 4, "is read");
    must(read_file("made/for/test/file", 3, NULL) == NULL && read_file("made/none", 3, NULL) == NULL, "bounds");
    must(names_in("made/for").count == 1 && !make_directories("made/for/test/file"), "names");
    must(remove_tree("made") && remove_tree("made") && read_file("made/for/test/file", 10, NULL) == NULL, "is removed");
}

int main(void)
{
    test_settings();
    test_values();
    test_variables();
    test_masks();
    test_keys();
    test_options();
    test_files();
    json_open('{');
    json_field("a", "\"\\\n\x01");
    json_key("b");
    json_open('[');
    json_number(-1);
    json_bool(1);
    json_string(NULL);
    json_close(']');
    json_close('}');
    return 0;
}
