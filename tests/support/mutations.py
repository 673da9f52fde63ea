"""Damaged variants of good input, the same for the same seed."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence

# What parsers trip over: ends of ranges, signs, other alphabets' digits, escapes, references, half characters.
ODD = (
    b"", b"\0", b"\xff", b"\xc3", b"\xed\xa0\x80", b"-1", b"9" * 40, b"1e999", b"NaN", b"\xd9\xa3", b"\\ud800",
    b"\\u0000", b"&amp;", b"&x;", b"%2e", b"../", b"<!--", b"<![CDATA[", b"*a", b"&a ", b"{", b"[", b"]", b"}", b":",
    b'"', b"'", b"\n", b"\r", b"\t", b"- ", b"? ", b"!!python/object:os.system ", b"null", b"true", b"~", b"|", b">",
    b"#", b"%", b"https://u:p@h/?q",
)  # fmt: skip


def mutations(corpus: Sequence[bytes], seed: int, count: int) -> Iterator[bytes]:
    """`count` texts, each one of `corpus` with one to five pieces cut, doubled, moved or replaced, or bits turned."""
    chance = random.Random(seed)
    for _ in range(count):
        text = bytearray(chance.choice(corpus))
        for _ in range(chance.randint(1, 5)):
            start = chance.randrange(len(text) + 1)
            end = min(len(text), start + chance.choice((0, 1, 2, 8, 40)))
            piece = bytes(text[start:end])
            match chance.randrange(5):
                case 0:
                    text[start:end] = b""
                case 1:
                    text[start:start] = piece * chance.choice((1, 2, 50))
                case 2:
                    text[start:end] = chance.choice(ODD)
                case 3:
                    other = chance.choice(corpus)
                    place = chance.randrange(len(other) + 1)
                    text[start:end] = other[place : place + chance.choice((1, 10, 100))]
                case _:
                    if start < len(text):
                        text[start] ^= 1 << chance.randrange(8)
        yield bytes(text)
