"""Programs that run with the standard library only: the sandbox's first process, and helpers inside the seed."""
