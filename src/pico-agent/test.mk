# Programs of the tests (tests/native), with the sanitizers where they can be.
SANITIZE := -fsanitize=address,undefined -fno-sanitize-recover=all

tests: pico-agent pico-agent-checked test-parts test-fuzz

test-parts: test_parts.c dhcp.c frame.c users.c util.c $(wildcard *.h)
	$(CC) -O1 -g $(SANITIZE) $(DEFINES) $(WARNINGS) -o $@ $(filter %.c,$^)

test-fuzz: test_fuzz.c fuzz_main.c dhcp.c frame.c users.c util.c $(wildcard *.h)
	$(CC) -O1 -g $(SANITIZE) $(DEFINES) $(WARNINGS) -o $@ $(filter %.c,$^)

# By clang: see tests/native/test_fuzz.py.
libfuzzer: test_fuzz.c dhcp.c frame.c users.c util.c $(wildcard *.h)
	$(CLANG) -O1 -g -fsanitize=fuzzer $(SANITIZE) $(DEFINES) -o $@ $(filter %.c,$^)

# It is not static, and slower.
pico-agent-checked: $(PARTS:%=%.c) $(wildcard *.h)
	$(CC) -O1 -g $(SANITIZE) $(DEFINES) $(WARNINGS) -o $@ $(filter %.c,$^)

# What gcc's analyzer says; the compiler's warnings are errors in the build as well.
analyze: $(PARTS:%=%.analyzed) test_parts.analyzed test_fuzz.analyzed

# Descriptors that stay open on purpose: a process's own streams, which its program gets; 0 to 2 of the first process;
# those of a program that ends. A pipe that cannot be moved up is given back with its machine.
child.analyzed: KNOWN := -Wno-analyzer-fd-leak -Wno-analyzer-fd-use-without-check
machine.analyzed rehearsal.analyzed: KNOWN := -Wno-analyzer-fd-leak
# records_valid() has been there: each record has its '='.
frame.analyzed: KNOWN := -Wno-analyzer-null-dereference
# It loses sight of what a loop has filled.
test_parts.analyzed: KNOWN := -Wno-analyzer-use-of-uninitialized-value

%.analyzed: %.c $(wildcard *.h)
	$(CC) -O2 -fanalyzer $(KNOWN) $(DEFINES) $(WARNINGS) -c -o /dev/null $<

.PHONY: tests analyze
