# Programs of the tests (tests/native), with the sanitizers. What is parsed gives back no memory on purpose: see util.h.
SANITIZE := -fsanitize=address,undefined -fno-sanitize-recover=all
PURE := ini.c json.c options.c util.c

tests: test-parts test-fuzz

test-parts: test_parts.c $(PURE) config.c $(wildcard *.h)
	$(CC) -O1 -g $(SANITIZE) $(DEFINES) $(WARNINGS) -o $@ $(filter %.c,$^)

test-fuzz: test_fuzz.c fuzz_main.c $(PURE) config.c $(wildcard *.h)
	$(CC) -O1 -g $(SANITIZE) $(DEFINES) $(WARNINGS) -o $@ $(filter %.c,$^)

# By clang: see tests/native/test_fuzz.py.
libfuzzer: test_fuzz.c $(PURE) config.c $(wildcard *.h)
	$(CLANG) -O1 -g -fsanitize=fuzzer $(SANITIZE) $(DEFINES) -o $@ $(filter %.c,$^)

# What gcc's analyzer says of the parts that need no library but C's; the others are compiled in the build of the package.
analyze: $(PURE:%.c=%.analyzed) config.analyzed config_files.analyzed progress.analyzed test_parts.analyzed

# Of realloc(NULL, n) it thinks that NULL was given back.
util.analyzed: KNOWN := -Wno-analyzer-double-free

%.analyzed: %.c $(wildcard *.h)
	$(CC) -O2 -fanalyzer -Wno-analyzer-malloc-leak $(KNOWN) $(DEFINES) $(WARNINGS) -c -o /dev/null $<

.PHONY: tests analyze
