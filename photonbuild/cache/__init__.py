"""Shared caches: what other machines have made, by the keys of the store, signed by who made it."""
