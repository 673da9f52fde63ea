# Programs of the tests (tests/native), with the sanitizers.
SANITIZE := -fsanitize=address,undefined -fno-sanitize-recover=all

tests: test-parts

test-parts: test_parts.c env.c network.c $(wildcard *.h)
	$(CC) -O1 -g $(SANITIZE) $(DEFINES) $(WARNINGS) -o $@ $(filter %.c,$^)

# What gcc's analyzer says of the parts that need no library but C's; kernels.c is compiled in the build of the package.
analyze: env.analyzed network.analyzed disk.analyzed revert.analyzed command.analyzed trial.analyzed main.analyzed

%.analyzed: %.c $(wildcard *.h)
	$(CC) -O2 -fanalyzer $(DEFINES) $(WARNINGS) -c -o /dev/null $<

.PHONY: tests analyze
