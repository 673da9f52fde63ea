"""The agent in a machine, spoken to: frames, what they say, one conversation; see docs/reference/pico-protocol.md."""
