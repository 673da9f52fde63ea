"""Namespaces, an overlay and one command: everything that is not ours runs in here."""
