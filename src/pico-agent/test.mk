# Programs of the tests (tests/native), with the sanitizers where they can be.
SANITIZE := -fsanitize=address,undefined -fno-sanitize-recover=all

tests: pico-agent pico-agent-checked test-parts

test-parts: test_parts.c dhcp.c frame.c users.c util.c $(wildcard *.h)
	$(CC) -O1 -g $(SANITIZE) $(DEFINES) $(WARNINGS) -o $@ $(filter %.c,$^)

# It is not static, and slower.
pico-agent-checked: $(PARTS:%=%.c) $(wildcard *.h)
	$(CC) -O1 -g $(SANITIZE) $(DEFINES) $(WARNINGS) -o $@ $(filter %.c,$^)

# What gcc's analyzer says; the compiler's warnings are errors in the build as well.
analyze: $(PARTS:%=%.analyzed)

%.analyzed: %.c $(wildcard *.h)
	$(CC) -O2 -fanalyzer $(DEFINES) $(WARNINGS) -c -o /dev/null $<

.PHONY: tests analyze
