# Programs of the tests (tests/native), with the sanitizers. What is parsed gives back no memory on purpose: see util.h.
SANITIZE := -fsanitize=address,undefined -fno-sanitize-recover=all
PURE := ini.c json.c options.c util.c

tests: test-parts fuzz-parts

test-parts: test_parts.c $(PURE) config.c $(wildcard *.h)
	$(CC) -O1 -g $(SANITIZE) $(DEFINES) $(WARNINGS) -o $@ $(filter %.c,$^)

fuzz-parts: test_fuzz.c $(PURE) config.c $(wildcard *.h)
	$(CC) -O1 -g $(SANITIZE) $(DEFINES) $(WARNINGS) -o $@ $(filter %.c,$^)

.PHONY: tests
