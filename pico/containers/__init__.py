"""Containers: run, entered, signalled, listed, collected. Knows nothing of a command line, a terminal or stdout."""
