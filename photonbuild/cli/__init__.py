"""The commands: options in, pipeline called, answer out. No logic here."""
