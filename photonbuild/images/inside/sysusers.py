#!/usr/bin/python3
"""Create the users and groups a package declares, for ``rpm --root`` inside the image sandbox.

rpm 4.20 calls the program named by ``%__systemd_sysusers`` with ``--root DIR --replace FILE -`` and the
package's sysusers.d(5) lines on standard input, before it unpacks the package. Ids must be fixed numbers:
an image has to come out the same whatever order packages are installed in. An existing user or group is
left alone, as sysusers.d(5) asks. No account gets a password.
"""

import os
import shlex
import sys
from pathlib import Path

DATABASES = {"passwd": 0o644, "group": 0o644, "shadow": 0o600, "gshadow": 0o600}


class Accounts:
    """The four account files below a root directory; ``save`` writes them sorted by id."""

    def __init__(self, root: Path, epoch: int) -> None:
        self.root = root
        self.days = epoch // 86400
        self.rows: dict[str, dict[str, list[str]]] = {}
        for name in DATABASES:
            path = root / "etc" / name
            lines = path.read_text().splitlines() if path.exists() else []
            self.rows[name] = {line.split(":")[0]: line.split(":") for line in lines if line}

    def group(self, name: str, gid: int) -> None:
        if name not in self.rows["group"]:
            taken = [row[0] for row in self.rows["group"].values() if row[2] == str(gid)]
            if taken:
                raise ValueError(f"group {name}: id {gid} already belongs to {taken[0]}")
            self.rows["group"][name] = [name, "x", str(gid), ""]
        self.rows["gshadow"].setdefault(name, [name, "*" if name == "root" else "!*", "", ""])

    def user(self, name: str, uid: int, gid: int, gecos: str, home: str, shell: str) -> None:
        if name not in self.rows["passwd"]:
            taken = [row[0] for row in self.rows["passwd"].values() if row[2] == str(uid)]
            if taken:
                raise ValueError(f"user {name}: id {uid} already belongs to {taken[0]}")
            self.rows["passwd"][name] = [name, "x", str(uid), str(gid), gecos, home, shell]
        # root: no password is valid, yet the account is not locked, so a key lets it in
        locked = "*" if name == "root" else "!*"
        self.rows["shadow"].setdefault(name, [name, locked, str(self.days), "", "", "", "", "", ""])

    def member(self, user: str, group: str) -> None:
        if group not in self.rows["group"]:
            raise ValueError(f"member {user}: no group {group}")
        for name in ("group", "gshadow"):
            row = self.rows[name][group]
            row[3] = ",".join(sorted({*filter(None, row[3].split(",")), user}))

    def gid(self, group: str) -> int:
        if group.isdigit():
            return int(group)
        if group not in self.rows["group"]:
            raise ValueError(f"no group {group}")
        return int(self.rows["group"][group][2])

    def save(self) -> None:
        passwd, group = self.rows["passwd"], self.rows["group"]
        last = 1 << 32
        order = {
            "passwd": lambda row: int(row[2]),
            "shadow": lambda row: int(passwd[row[0]][2]) if row[0] in passwd else last,
            "group": lambda row: int(row[2]),
            "gshadow": lambda row: int(group[row[0]][2]) if row[0] in group else last,
        }
        (self.root / "etc").mkdir(exist_ok=True)
        for name, mode in DATABASES.items():
            rows = sorted(self.rows[name].values(), key=lambda row: (order[name](row), row[0]))
            path = self.root / "etc" / name
            path.write_text("".join(":".join(row) + "\n" for row in rows))
            path.chmod(mode)


def number(text: str, what: str) -> int:
    """The fixed id in TEXT; ValueError if the line leaves it to be allocated."""
    if not text.isdigit():
        raise ValueError(f"{what} needs a fixed id, not {text!r}")
    return int(text)


def apply(accounts: Accounts, lines: list[str]) -> None:
    """Apply sysusers.d LINES: groups first, then users, then memberships (``r`` lines mean nothing here)."""
    words = [shlex.split(line) for line in lines if line.strip() and line.lstrip()[0] not in "#;"]
    fields = [[*("" if word == "-" else word for word in row), *[""] * 6] for row in words]
    for kind, name, ident, *_ in fields:
        if kind == "g":
            accounts.group(name, number(ident, f"group {name}"))
    for kind, name, ident, gecos, home, shell, *_ in fields:
        if kind in ("u", "u!"):
            uid, _, group = ident.partition(":")
            if not group:
                accounts.group(name, number(uid, f"user {name}"))
            default = "/bin/bash" if uid == "0" else "/usr/sbin/nologin"
            gid = accounts.gid(group or name)
            accounts.user(name, number(uid, f"user {name}"), gid, gecos, home or "/", shell or default)
    for kind, user, group, *_ in fields:
        if kind == "m":
            accounts.member(user, group)


def main(argv: list[str]) -> int:
    """Read lines from standard input; 1, with one line on stderr, if one cannot be applied."""
    root = Path(argv[argv.index("--root") + 1] if "--root" in argv else "/")
    accounts = Accounts(root, int(os.environ.get("SOURCE_DATE_EPOCH", "0")))
    try:
        apply(accounts, sys.stdin.read().splitlines())
    except ValueError as error:
        print(f"sysusers: {error}", file=sys.stderr)
        return 1
    accounts.save()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
