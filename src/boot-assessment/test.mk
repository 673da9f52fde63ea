# Programs of the tests (tests/native), with the sanitizers.
SANITIZE := -fsanitize=address,undefined -fno-sanitize-recover=all

tests: test-parts test-back

test-parts: test_parts.c env.c network.c $(wildcard *.h)
	$(CC) -O1 -g $(SANITIZE) $(DEFINES) $(WARNINGS) -o $@ $(filter %.c,$^)

# Every step of the way back may be the last one before a power cut.
test-back: test_back.c back.c env.c disk.c $(wildcard *.h)
	$(CC) -O1 -g $(SANITIZE) -DROOT='"root"' $(DEFINES) $(WARNINGS) -o $@ $(filter %.c,$^) \
	    $(foreach call,renameat2 rename unlink pwrite,-Wl,--wrap=$(call))

# What gcc's analyzer says of the parts that need no library but C's; kernels.c is compiled in the build of the package.
analyze: back.analyzed env.analyzed network.analyzed disk.analyzed revert.analyzed command.analyzed trial.analyzed main.analyzed

%.analyzed: %.c $(wildcard *.h)
	$(CC) -O2 -fanalyzer $(DEFINES) $(WARNINGS) -c -o /dev/null $<

.PHONY: tests analyze
