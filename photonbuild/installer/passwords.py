"""Crypted passwords and the line of /etc/shadow that holds one. Python 3.13 has no crypt module any more.

SHA-512 crypt follows its public specification, Ulrich Drepper's "Unix crypt using SHA-256 and SHA-512".
"""

from __future__ import annotations

import hashlib
import secrets

ALPHABET = "./0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
ROUNDS = 5000
NEVER = 99999


def sha512_crypt(password: str, salt: str = "") -> str:
    """`password` as $6$salt$hash, with a random salt unless one is given."""
    salt = (salt or "".join(secrets.choice(ALPHABET) for _ in range(16)))[:16]
    secret, salted = password.encode(), salt.encode()
    other = hashlib.sha512(secret + salted + secret).digest()
    start = hashlib.sha512(secret + salted + _repeated(other, len(secret)))
    length = len(secret)
    while length:
        start.update(other if length & 1 else secret)
        length >>= 1
    digest = start.digest()
    key = _repeated(hashlib.sha512(secret * len(secret)).digest(), len(secret))
    salts = _repeated(hashlib.sha512(salted * (16 + digest[0])).digest(), len(salted))
    for number in range(ROUNDS):
        step = hashlib.sha512(key if number & 1 else digest)
        step.update(salts if number % 3 else b"")
        step.update(key if number % 7 else b"")
        step.update(digest if number & 1 else key)
        digest = step.digest()
    return f"$6${salt}${_encoded(digest)}"


def _repeated(digest: bytes, length: int) -> bytes:
    return (digest * (length // len(digest) + 1))[:length]


def _encoded(digest: bytes) -> str:
    """Base 64 of crypt(5): three bytes at a time, in the order that the specification prescribes."""
    text, order = "", [0, 21, 42]
    for _ in range(21):
        value = digest[order[0]] << 16 | digest[order[1]] << 8 | digest[order[2]]
        text += "".join(ALPHABET[value >> shift & 63] for shift in (0, 6, 12, 18))
        order = [(index + 22) % 63 for index in order]
    return text + ALPHABET[digest[63] & 63] + ALPHABET[digest[63] >> 6]


def aging(age: int) -> tuple[str | None, str | None]:
    """Date of the last change, and most days of a password, of shadow(5); None for what stays as it is.

    `age`: days until the password expires, 0 for a new one at the first log-in, -1 for never.
    """
    if age == 0:
        return "0", None
    return None, str(age if age > 0 else NEVER)


def shadow(text: str, *, password: str | None, age: int | None, today: int) -> str:
    """/etc/shadow with root's password set; `today` in days since 1970. Without one the account's line stays as it is.

    `age`: see `aging`. PAM heeds it for whoever comes with a key as well, so that an account without a password must
    have none.
    """
    lines = []
    for line in text.splitlines():
        entry = line.split(":")
        if entry[0] == "root":
            entry += [""] * (9 - len(entry))
            if password is not None:
                entry[1], entry[2] = password, str(today)
            if password is not None and age is not None:
                changed, most = aging(age)
                entry[2], entry[4] = changed or entry[2], most or entry[4]
        lines.append(":".join(entry))
    return "\n".join(lines) + "\n"
