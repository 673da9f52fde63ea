"""The agent in a machine, spoken to: frames, what they say, one conversation; see docs/pico-protocol.md."""
