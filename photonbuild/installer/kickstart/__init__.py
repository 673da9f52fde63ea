"""Kickstart files: `keys` is the table of all keys, of `kinds` with checks; `parse` makes the frozen data of `model`.

The table feeds the check, the JSON schema and docs/use/kickstart.md.
"""
