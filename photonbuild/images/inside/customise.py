#!/usr/bin/python3
"""Put accounts, files and the like into an installed root, and run its scripts. Runs in the seed.

Started by rootfs.py beside it as `customise.py REQUEST RESULT` (JSON files) after the packages are installed. The
result is ``{"changed": [paths]}``, all files and links that are other ones than before, or ``{"error": text, "where":
file and line, "detail": text}``. Contents are in /work/content by their SHA-256. Nothing here follows a link of the
root: a path that leads through one is an error.
"""

from __future__ import annotations

import difflib
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

TARGET, LIVE = Path("/target"), Path("/target.live")
CONTENT = Path("/work/content")
SYSUSERS = "/usr/lib/photonbuild/sysusers.py"
SKELETON = TARGET / "etc/skel"
SCRIPT = "tmp/build-script"
MOST_OUTPUT = 8000


class Failure(Exception):
    """What cannot be done: what, who asks for it, and the output of another program."""

    def __init__(self, message: str, *, where: str | None, detail: str | None = None) -> None:
        super().__init__(message)
        self.fields = {"error": message, "where": where, "detail": detail}


def near(name: str, known: Iterable[str]) -> str:
    found = difflib.get_close_matches(name, sorted(known), 1)
    return f", did you mean '{found[0]}'" if found else ""


def inner(path: str, where: str | None, *, parents: bool = False, mode: int = 0o755) -> Path:
    """`path` in the root, whose folders are there and none of them a link that leads out; `parents` are made."""
    target = TARGET / path.lstrip("/")
    for parent in reversed(target.relative_to(TARGET).parents[:-1]):
        folder = TARGET / parent
        if folder.is_symlink():
            real = (folder.parent / os.readlink(folder)) if not os.readlink(folder).startswith("/") else None
            leads = os.path.normpath(real) if real else f"{TARGET}{os.readlink(folder)}"
            if not leads.startswith(f"{TARGET}/") or os.path.islink(leads):
                raise Failure(f"'{path}' leads through the link '/{parent}'", where=where)
            return inner(f"{leads.removeprefix(str(TARGET))}/{target.relative_to(folder)}", where, parents=parents)
        if parents and not folder.exists():
            folder.mkdir(mode=mode)
        elif folder.exists() and not folder.is_dir():
            raise Failure(f"'{path}' leads through the file '/{parent}'", where=where)
    return target


class Names:
    """Ids of the root's own accounts, by name."""

    def __init__(self) -> None:
        self.users, self.groups = read_table("passwd"), read_table("group")

    def ids(self, owner: str, group: str, where: str | None) -> tuple[int, int]:
        for kind, name, known in (("user", owner, self.users), ("group", group, self.groups)):
            if name not in known:
                raise Failure(f"there is no {kind} '{name}' in this image{near(name, known)}", where=where)
        return int(self.users[owner][2]), int(self.groups[group][2])


def read_table(name: str) -> dict[str, list[str]]:
    path = TARGET / "etc" / name
    rows = [line.split(":") for line in path.read_text().splitlines() if line] if path.exists() else []
    return {row[0]: row for row in rows}


def make_accounts(groups: list[dict[str, Any]], users: list[dict[str, Any]]) -> None:
    """Groups and users by sysusers.py, which keeps what is there; then passwords, homes and keys."""
    names = Names()
    lines = []
    for group in groups:
        found = names.groups.get(group["name"])
        if found and int(found[2]) != group["gid"]:
            raise Failure(f"the group '{group['name']}' is a package's, with the id {found[2]}", where=group["where"])
        lines.append(f"g {group['name']} {group['gid']}")
    known = {*names.groups, *(group["name"] for group in groups), *(u["group"] for u in users if u["own_group"])}
    for user in users:
        lines += user_lines(user, names, known)
    done = subprocess.run(
        ["python3", "-I", SYSUSERS, "--root", str(TARGET), "-"],
        input="\n".join(lines) + "\n",
        capture_output=True,
        text=True,
    )
    if done.returncode:
        raise Failure(done.stderr.strip().removeprefix("sysusers: "), where=(users or groups)[0]["where"])
    set_passwords({user["name"]: user["password"] for user in users if user["password"]})
    for user in users:
        make_home(user, Names(), new=user["name"] not in names.users)


def user_lines(user: dict[str, Any], names: Names, known: set[str]) -> list[str]:
    """Lines of sysusers.d(5). An account of a package keeps its id, group, home and comment."""
    name, where = user["name"], user["where"]
    lines = []
    for group in (*user["groups"], user["group"]):
        if group not in known and not (group == user["group"] and name in names.users):
            raise Failure(f"there is no group '{group}' in this image{near(group, known)}", where=where)
    if name in names.users:
        fixed = sorted({"uid", "group", "home", "comment", "shell"} & set(user["said"]))
        if fixed:
            raise Failure(f"the user '{name}' is a package's: '{fixed[0]}' cannot be set", where=where)
    else:
        if not (TARGET / user["shell"].lstrip("/")).exists():
            shells = TARGET / "etc/shells"
            listed = shells.read_text().split() if shells.exists() else []
            raise Failure(
                f"there is no shell '{user['shell']}' in this image{near(user['shell'], listed)}", where=where
            )
        if user["own_group"]:
            lines.append(f"g {name} {user['uid']}")
        words = (shlex.quote(word or "-") for word in (user["comment"], user["home"], user["shell"]))
        lines.append(f"u {name} {user['uid']}:{user['group']} {' '.join(words)}")
    for group in user["groups"]:
        # A group of a package may have no line in gshadow, which sysusers.py then adds.
        lines += [f"g {group} {names.groups[group][2]}"] if group in names.groups else []
        lines.append(f"m {name} {group}")
    return lines


def set_passwords(passwords: dict[str, str]) -> None:
    path = TARGET / "etc/shadow"
    rows = [line.split(":") for line in path.read_text().splitlines() if line]
    for row in rows:
        row[1] = passwords.get(row[0], row[1])
    path.write_text("".join(":".join(row) + "\n" for row in rows))


def make_home(user: dict[str, Any], names: Names, *, new: bool) -> None:
    """A home as useradd(8) makes one, for a new account or one that gets keys."""
    row, where = names.users[user["name"]], user["where"]
    uid, gid = int(row[2]), int(row[3])
    home = inner(row[5], where, parents=True)
    if uid and not home.exists():
        shutil.copytree(SKELETON, home, symlinks=True) if SKELETON.is_dir() else home.mkdir()
        home.chmod(0o700)
        for path in (home, *home.rglob("*")):
            os.chown(path, uid, gid, follow_symlinks=False)
    elif new and home.parent == TARGET / "home":  # made for a file that the settings have in it
        home.chmod(0o700)
        os.chown(home, uid, gid)
    if user["authorized_keys"]:
        folder = home / ".ssh"
        folder.mkdir(mode=0o700, exist_ok=True)
        keys = folder / "authorized_keys"
        keys.write_text("".join(f"{key}\n" for key in user["authorized_keys"]))
        keys.chmod(0o600)
        for path in (folder, keys):
            os.chown(path, uid, gid)


def put(entry: dict[str, Any], names: Names) -> None:
    where = entry["where"]
    path = inner(entry["path"], where, parents=True)
    uid, gid = names.ids(entry["owner"], entry["group"], where)
    kind, folder = entry["kind"], path.is_dir() and not path.is_symlink()
    if kind == "append":
        if not path.is_file() or path.is_symlink():
            raise Failure(f"there is no '{entry['path']}' in this image to add to", where=where)
        with path.open("ab") as handle:
            handle.write((CONTENT / entry["sha256"]).read_bytes())
        return
    if kind == "folder":
        if not folder and path.is_symlink() and inner(f"{entry['path']}/x", where).parent.is_dir():
            return  # /bin and the like: what is below goes where the link leads
        if not folder and os.path.lexists(path):
            raise Failure(f"'{entry['path']}' is a file in this image, and a folder in the tree", where=where)
        if not folder:
            path.mkdir()
        if not folder or entry["mode"]:
            os.chown(path, uid, gid)
            path.chmod(entry["mode"] or 0o755)
        return
    if folder:
        raise Failure(f"'{entry['path']}' is a folder in this image, and would be a {kind}", where=where)
    path.unlink(missing_ok=True)
    if kind == "link":
        path.symlink_to(entry["target"])
        os.chown(path, uid, gid, follow_symlinks=False)
        return
    shutil.copyfile(CONTENT / entry["sha256"], path)
    os.chown(path, uid, gid)
    path.chmod(entry["mode"])


def check_need(need: dict[str, str]) -> None:
    where, name = need["where"], need["name"]
    if need["kind"] == "module":
        check_module(need)
    elif need["kind"] == "locale":
        # As glibc spells them: C.UTF-8 is in C.utf8.
        language, _, charset = name.partition(".")
        folder = TARGET / "usr/lib/locale"
        known = {path.name for path in folder.iterdir()} if folder.is_dir() else set()
        spelt = f"{language}.{charset.replace('-', '').lower()}" if charset else language
        if spelt not in {*known, "C", "POSIX"}:
            raise Failure(f"there is no locale '{name}' in this image (known: {', '.join(sorted(known))})", where=where)
    elif not os.path.lexists(inner(name, where)):
        folder = TARGET / name.lstrip("/")
        known = {path.name for path in folder.parent.iterdir()} if folder.parent.is_dir() else set()
        hint = near(folder.name, known)
        raise Failure(f"{need['why']}: there is no '{name}' in this image{hint}", where=where)


def check_module(need: dict[str, str]) -> None:
    loadable: set[str] = set()
    builtin: set[str] = set()
    for folder in TARGET.glob("usr/lib/modules/*"):
        for file, found in (("modules.dep", loadable), ("modules.builtin", builtin)):
            text = (folder / file).read_text() if (folder / file).exists() else ""
            names = (line.partition(":")[0] for line in text.splitlines())
            found |= {re.sub(r"\.ko(\.\w+)?$", "", name.rpartition("/")[2]).replace("-", "_") for name in names}
    name, where = need["name"], need["where"]
    if name in builtin and need["use"] != "load":
        hint = ": its options are kernel_args, like NAME.OPTION=VALUE" if need["use"] == "options" else ""
        raise Failure(f"'{name}' is built into the kernel, where {need['why']} does not reach it{hint}", where=where)
    if name not in loadable | builtin:
        raise Failure(f"there is no kernel module '{name}' in this image{near(name, loadable | builtin)}", where=where)


def run_script(script: dict[str, str], epoch: str) -> None:
    """Run a program of ``build/`` in the root: as its root, without network, with an environment that is always so."""
    path, where = TARGET / SCRIPT, script["where"]
    shutil.copyfile(CONTENT / script["sha256"], path)
    path.chmod(0o700)
    environment = {
        "PATH": "/usr/sbin:/usr/bin",
        "HOME": "/root",
        "LC_ALL": "C.UTF-8",
        "TZ": "UTC",
        "SOURCE_DATE_EPOCH": epoch,
    }
    done = subprocess.run(
        ["chroot", str(LIVE), f"/{SCRIPT}"],
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env=environment,
    )  # fmt: skip
    output = done.stdout.decode(errors="replace")
    sys.stdout.write(output)
    path.unlink(missing_ok=True)
    if done.returncode:
        raise Failure(
            f"the script '{script['name']}' failed with exit code {done.returncode}",
            where=where,
            detail=output.strip()[-MOST_OUTPUT:] or "(no output)",
        )


def remove(pattern: str, where: str) -> None:
    found = sorted(TARGET.glob(pattern.lstrip("/")))
    if not found:
        raise Failure(f"nothing in this image matches '{pattern}'", where=where)
    for path in found:
        if inner(f"/{path.relative_to(TARGET)}", where) != path:
            raise Failure(f"'{pattern}' leads through a link", where=where)
        shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()


def snapshot() -> dict[str, tuple[object, ...]]:
    """What tells one file or link from another, by path."""
    found: dict[str, tuple[object, ...]] = {}
    for top, folders, names in os.walk(TARGET):
        for name in (*names, *folders):
            path = os.path.join(top, name)
            status = os.lstat(path)
            if name in names or os.path.islink(path):
                kept = (status.st_ino, status.st_mtime_ns, status.st_size, status.st_mode, status.st_uid, status.st_gid)
                found[path.removeprefix(str(TARGET))] = kept
    return found


def customise(request: dict[str, Any], epoch: str) -> list[str]:
    before = snapshot()
    for need in request["needs"]:
        check_need(need)
    if request["groups"] or request["users"]:
        make_accounts(request["groups"], request["users"])
    names = Names()
    for entry in request["entries"]:
        put(entry, names)
    for path, owner, group in request["owners"]:
        os.chown(inner(path, None), *names.ids(owner, group, path), follow_symlinks=False)
    for script in request["scripts"]:
        run_script(script, epoch)
    for entry in request["remove"]:
        remove(entry["pattern"], entry["where"])
    if (request["entries"] or request["scripts"]) and (TARGET / "usr/sbin/ldconfig").exists():
        subprocess.run(["chroot", str(LIVE), "/usr/sbin/ldconfig"], check=True)
    after = snapshot()
    changed = {path for path in before.keys() | after.keys() if before.get(path) != after.get(path)}
    return sorted(path for path in changed if not path.startswith(("/var/cache/", "/var/log/", "/tmp/", "/run/")))


def main(argv: list[str]) -> int:
    with open(argv[0], encoding="utf-8") as handle:
        request = json.load(handle)
    os.umask(0o022)
    try:
        result: dict[str, Any] = {"changed": customise(request["customise"], str(request["epoch"]))}
    except Failure as failure:
        result = failure.fields
    with open(argv[1], "w", encoding="utf-8") as handle:
        json.dump(result, handle)
    return 1 if "error" in result else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
