"""The command ``pico``: parser, values of options, commands, the caller's terminal. Imports nothing slow."""
