"""The machine that is installed onto: its facts, and how they are gathered. Nothing here writes to a disk."""
