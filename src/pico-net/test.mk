# Programs of the tests (tests/native), with the sanitizers.
tests: pico-net test-gate

test-gate: test_gate.c gate.c gate.h
	$(CC) -O1 -g -fsanitize=address,undefined -fno-sanitize-recover=all $(OWN) -o $@ test_gate.c gate.c

# What gcc's analyzer says; the compiler's warnings are errors in the build as well. bind() gives a number another file.
analyze:
	$(CC) -O2 -fanalyzer -Wno-analyzer-fd-leak $(OWN) -c -o /dev/null net.c
	$(CC) -O2 -fanalyzer $(OWN) -c -o /dev/null gate.c
	$(CC) -O2 -fanalyzer $(OWN) -c -o /dev/null test_gate.c

.PHONY: tests analyze
