"""Make, read and use OpenPGP keys with gpg(1) and rpmsign(8), in a key ring that is gone afterwards.

Standard library only. The request comes as JSON by standard input, since it may hold a secret key; the answer goes to
standard output. Keys come in it as text, or are with the gpg-agent whose socket is /agent.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import Any

HOME = "/tmp/gnupg"
DATABASE = "/tmp/rpmdb"
AGENT = "/agent"
PASSPHRASE = f"{HOME}/passphrase"
# The lines of gpg's listing (doc/DETAILS) that begin a key, and what their second field says of one that is not valid.
UNUSABLE = {"r": "revoked", "e": "expired", "i": "invalid", "d": "disabled"}
AT_ONCE = 50


def main() -> None:
    request = json.load(sys.stdin)
    actions = {"new": new, "show": show, "sign": sign, "check": check}
    try:
        answer = actions[request["action"]](request)
    except Failed as error:
        answer = {"error": str(error), "detail": error.detail}
    json.dump(answer, sys.stdout)


class Failed(Exception):
    def __init__(self, message: str, detail: str = "") -> None:
        super().__init__(message)
        self.detail = detail


def new(request: dict[str, Any]) -> dict[str, Any]:
    """A new key, without passphrase, that can sign and certify."""
    prepare(request)
    lines = [
        "%no-protection",
        "Key-Type: RSA",
        "Key-Length: 4096",
        "Key-Usage: sign",
        f"Name-Real: {request['name']}",
        *([f"Name-Comment: {request['comment']}"] if request["comment"] else []),
        f"Name-Email: {request['email']}",
        f"Expire-Date: {request['expires']}",
        "%commit",
    ]
    gpg("--gen-key", "-", input="\n".join(lines).encode())
    (key,) = listed(secret=True)
    return {"secret": gpg("--armor", "--export-secret-keys", key["fingerprint"]).decode(), **key}


def show(request: dict[str, Any]) -> dict[str, Any]:
    """What the one key of the request is. With `prove`, something is signed with it."""
    keys = prepare(request)
    if len(keys) != 1:
        raise Failed(f"{len(keys)} keys are in here, and one is expected")
    if request["prove"] and keys[0]["secret_there"] and not keys[0]["unusable"]:
        gpg(*secret_options(request), "--local-user", keys[0]["fingerprint"], "--detach-sign", input=b"proof")
    return keys[0]


def sign(request: dict[str, Any]) -> dict[str, Any]:
    """Sign packages in place, and files by FILE.asc; every signature is checked."""
    (key,) = prepare(request)
    options = signing_options(request)
    for number in range(0, len(request["packages"]), AT_ONCE):
        some = request["packages"][number : number + AT_ONCE]
        macros = {
            "__gpg": "/usr/bin/gpg",
            "_gpg_name": key["fingerprint"],
            "_gpg_path": HOME,
            "_gpg_sign_cmd_extra_args": " ".join(options),
        }
        defines = [word for name, value in macros.items() for word in ("--define", f"{name} {value}")]
        run("rpmsign", *defines, "--addsign", *some, timeout=1800)
    for name in request["files"]:
        gpg(*options, "--local-user", key["fingerprint"], "--armor", "--output", f"{name}.asc", "--detach-sign", name)
    return check(request, ready=True)


def check(request: dict[str, Any], *, ready: bool = False) -> dict[str, Any]:
    """Check the signatures of packages and files by the key of the request; `bad` names those that do not hold."""
    keys = listed() if ready else prepare(request)
    os.makedirs(DATABASE, exist_ok=True)
    public = f"{HOME}/public.asc"
    with open(public, "wb") as handle:
        handle.write(gpg("--armor", "--export", keys[0]["fingerprint"]))
    rpm = ("--dbpath", DATABASE, "--define", "_pkgverify_level all", "--define", "_pkgverify_flags 0x0")
    run("rpmkeys", *rpm, "--import", public)
    bad = {}
    for number in range(0, len(request["packages"]), AT_ONCE):
        some = request["packages"][number : number + AT_ONCE]
        if attempt("rpmkeys", *rpm, "--checksig", *some).returncode:
            for name in some:
                done = attempt("rpmkeys", *rpm, "--checksig", "--verbose", name)
                if done.returncode:
                    bad[name] = (done.stdout + done.stderr).decode(errors="replace")
    for name in request["files"]:
        done = attempt("gpg", "--batch", "--homedir", HOME, "--status-fd", "1", "--verify", f"{name}.asc", name)
        status = done.stdout.decode(errors="replace")
        if done.returncode or f"[GNUPG:] VALIDSIG {keys[0]['fingerprint']} " not in status:
            bad[name] = done.stderr.decode(errors="replace")
    return {"bad": bad}


def prepare(request: dict[str, Any]) -> list[dict[str, Any]]:
    """The key ring with what the request brings; returns its keys."""
    os.makedirs(HOME, mode=0o700)
    with open(f"{HOME}/gpg.conf", "w", encoding="ascii") as handle:
        handle.write("trust-model always\nno-tty\nno-greeting\nno-permission-warning\n")
        if request.get("agent"):
            handle.write("no-autostart\n")
    if request.get("agent"):
        os.symlink(AGENT, f"{HOME}/S.gpg-agent")
    if request.get("passphrase"):
        with open(os.open(PASSPHRASE, os.O_CREAT | os.O_WRONLY, 0o600), "w", encoding="utf-8") as handle:
            handle.write(request["passphrase"])
    if request.get("key"):
        gpg(*secret_options(request), "--import", input=request["key"].encode())
    return listed()


def secret_options(request: dict[str, Any]) -> list[str]:
    if request.get("agent"):
        return []
    return [
        "--pinentry-mode",
        "loopback",
        "--passphrase-file",
        PASSPHRASE if request.get("passphrase") else "/dev/null",
    ]


def signing_options(request: dict[str, Any]) -> list[str]:
    """With the time stopped, a signature has the same bytes each time."""
    return [f"--faked-system-time={request['time']}!", "--digest-algo", "SHA512", "--batch", *secret_options(request)]


def listed(*, secret: bool = False) -> list[dict[str, Any]]:
    """The primary keys of the ring."""
    held = {row[4] for row in rows("--list-secret-keys") if row[0] == "sec"}
    found: list[dict[str, Any]] = []
    for row in rows("--list-secret-keys" if secret else "--list-keys"):
        if row[0] in ("pub", "sec"):
            found.append(
                {
                    "fingerprint": "",
                    "created": int(row[5]),
                    "expires": int(row[6]) if row[6] else None,
                    "unusable": UNUSABLE.get(row[1]),
                    "can_sign": "S" in row[11],
                    "secret_there": row[4] in held,
                    "user_ids": [],
                }
            )
        elif row[0] == "fpr" and not found[-1]["fingerprint"]:
            found[-1]["fingerprint"] = row[9]
        elif row[0] == "uid":
            found[-1]["user_ids"].append(row[9].replace("\\x3a", ":"))
    for key in found:
        key["public"] = gpg("--armor", "--export", key["fingerprint"]).decode()
    return found


def rows(action: str) -> list[list[str]]:
    text = gpg("--with-colons", "--fixed-list-mode", "--with-fingerprint", action).decode(errors="replace")
    return [line.split(":") for line in text.splitlines()]


def gpg(*words: str, input: bytes = b"") -> bytes:
    return run("gpg", "--batch", "--homedir", HOME, *words, input=input)


def run(*argv: str, input: bytes = b"", timeout: float = 300) -> bytes:
    done = attempt(*argv, input=input, timeout=timeout)
    if done.returncode:
        text = (done.stdout + done.stderr).decode(errors="replace").strip()
        raise Failed(f"{argv[0]} failed with exit code {done.returncode}", text[-4000:])
    return done.stdout


def attempt(*argv: str, input: bytes = b"", timeout: float = 300) -> subprocess.CompletedProcess[bytes]:
    env = {**os.environ, "GNUPGHOME": HOME}
    return subprocess.run(argv, input=input, capture_output=True, timeout=timeout, check=False, env=env)


if __name__ == "__main__":
    main()
