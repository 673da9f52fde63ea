"""What comes into a copied system: packages, files, scripts, container images, playbooks. Pure functions."""

from __future__ import annotations

import shlex
from collections.abc import Sequence

from photonbuild.installer.errors import KickstartError
from photonbuild.installer.kickstart.model import SERVICE_STATES, ContainerImage, Kickstart
from photonbuild.installer.machine.facts import Facts, LocalFile
from photonbuild.installer.plan.steps import Command, Copy, Folder, Step, Write

SCRIPT = "/root/.postinstall"
SHELL = "#!/bin/sh"
ENVIRONMENT = ("env", "-i", "HOME=/root", "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin", "LANG=C.UTF-8")
# Container images that wait for the first start, and the unit that loads them.
IMAGES = "/var/lib/kickstart/images"
UNIT = "kickstart-images.service"
RUNTIME = "docker.service"
UNIT_TEXT = f"""\
[Unit]
Description=Container images of the kickstart
ConditionPathExists={IMAGES}/load
Wants=network-online.target
Requires={RUNTIME}
After=network-online.target {RUNTIME}

[Service]
Type=oneshot
ExecStart={IMAGES}/load
Restart=on-failure
RestartSec=30

[Install]
WantedBy=multi-user.target
"""


def script(lines: Sequence[str], key: str, name: str) -> str:
    """The text of a script; its first line may name what runs it. Raises KickstartError."""
    if any("\0" in line for line in lines):
        raise KickstartError(f"a line of {key} has a zero byte", where=name)
    return "\n".join(lines if lines[0].startswith("#!") else (SHELL, *lines)) + "\n"


def _rpm(root: str, facts: Facts, *words: str) -> tuple[str, ...]:
    return ("rpm", "--root", root, "--install", *words, *(str(path) for path in facts.packages))


def package_check(facts: Facts) -> list[Step]:
    """The live system has the same packages as the one to be installed, so rpm can judge before anything is written."""
    if not facts.packages:
        return []
    argv = _rpm("/", facts, "--test", "--ignoresize")
    reason = "the packages cannot be installed"
    return [Command(title="ask rpm whether the packages can be installed", argv=argv, reason=reason)]


def package_steps(kickstart: Kickstart, facts: Facts) -> list[Step]:
    """Packages, files and units."""
    steps: list[Step] = []
    if facts.packages:
        argv = _rpm(str(facts.paths.target), facts)
        steps.append(Command(title=f"install {len(facts.packages)} packages", argv=argv, reason="rpm failed"))
    for file in facts.additional_files:
        steps.append(Copy(title=f"copy {file.source}", source=file.path, path=file.destination))
    for unit, state in kickstart.services.items():
        verb = SERVICE_STATES[state]
        argv = ("systemctl", f"--root={facts.paths.target}", verb, unit)
        steps.append(Command(title=f"{verb} {unit}", argv=argv))
    return steps


def script_steps(kickstart: Kickstart, facts: Facts) -> list[Step]:
    """prepkgsinstall, in the live system."""
    environment = (*ENVIRONMENT, f"POI_ROOT={facts.paths.target}")
    steps: list[Step] = []
    lines = kickstart.prepkgsinstall.lines
    if lines:
        path = str(facts.paths.work / "prepkgsinstall")
        text = script(lines, "prepkgsinstall", kickstart.name)
        steps.append(Write(title="write the script", path=path, text=text, mode=0o700, secret=True, live=True))
        steps.append(Command(title="run prepkgsinstall", argv=(*environment, path)))
    for file in facts.scripts.get("prepkgsinstall", ()):
        path = str(facts.paths.work / f"prepkgsinstall-{len(steps)}")
        steps.append(Command(title="take the script", argv=("install", "--mode=0700", "--", str(file.path), path)))
        steps.append(Command(title=f"run {file.source}", argv=(*environment, path)))
    return steps


def postinstall_steps(kickstart: Kickstart, facts: Facts) -> list[Step]:
    """postinstall and its scripts, in the new system."""
    chroot = ("chroot", str(facts.paths.target), *ENVIRONMENT)
    steps: list[Step] = []
    lines = kickstart.postinstall.lines
    if lines:
        text = script(lines, "postinstall", kickstart.name)
        steps.append(Write(title="write the script", path=SCRIPT, text=text, mode=0o700, secret=True, temporary=True))
        steps.append(Command(title="run postinstall", argv=(*chroot, SCRIPT)))
    for number, file in enumerate(facts.scripts.get("postinstall", ()), 1):
        path = f"{SCRIPT}-{number}"
        title = f"take {file.source} along"
        steps.append(Copy(title=title, source=file.path, path=path, mode=0o700, temporary=True))
        steps.append(Command(title=f"run {file.source}", argv=(*chroot, path)))
    return steps


def image_steps(kickstart: Kickstart, facts: Facts) -> list[Step]:
    """The archives, and a unit that loads and pulls at the first start. Raises KickstartError without Docker."""
    if not kickstart.images:
        return []
    if not facts.packages and RUNTIME not in facts.units:
        raise KickstartError(
            f"container images need {RUNTIME}, and the system has none", where=f"{kickstart.name}: docker"
        )
    steps: list[Step] = [Folder(title="make a folder for container images", path=IMAGES, mode=0o700)]
    lines = [f"{SHELL} -e"]
    for number, (image, file) in enumerate(zip(kickstart.images, facts.images, strict=True)):
        archive = f"{IMAGES}/{number}.tar"
        if file:
            steps.append(Copy(title=f"take {file.source} along", source=file.path, path=archive, mode=0o600))
        lines += load_lines(image, file, archive)
    lines.append(f"rm -r {IMAGES}")
    text = "\n".join(lines) + "\n"
    return [
        *steps,
        Write(title="write what loads them", path=f"{IMAGES}/load", text=text, mode=0o700),
        Write(title="write its unit", path=f"/etc/systemd/system/{UNIT}", text=UNIT_TEXT),
        Command(title=f"enable {UNIT}", argv=("systemctl", f"--root={facts.paths.target}", "enable", UNIT)),
    ]


def load_lines(image: ContainerImage, file: LocalFile | None, archive: str) -> list[str]:
    """Of a script for sh: what gets one image and gives it its names."""
    if file:
        found = "sed -n 's/^Loaded image\\( ID\\)\\{0,1\\}: //p'"
        lines = [f"name=$(docker load --input {archive} | {found})", 'test -n "$name"']
    else:
        lines = [f"name={shlex.quote(image.name)}", 'docker pull --quiet "$name"']
    lines += [f'docker tag "$name" {shlex.quote(tag)}' for tag in image.tags]
    return [*lines, 'docker rmi "$name"'] if image.drop_tag else lines


def playbook_steps(kickstart: Kickstart, facts: Facts) -> list[Step]:
    """ansible-playbook(1) of the live system, on the new one."""
    steps: list[Step] = []
    for book, file in zip(kickstart.playbooks, facts.playbooks, strict=True):
        argv = ["ansible-playbook", "-c", "chroot", "-i", f"{facts.paths.target},", "-u", "root", str(file.path)]
        argv += [f"-{'v' * book.verbosity}"] if book.verbosity else []
        argv += [word for each in book.extra_vars for word in ("--extra-vars", each)]
        argv += [f"--tags={','.join(book.tags)}"] if book.tags else []
        argv += [f"--skip-tags={','.join(book.skip_tags)}"] if book.skip_tags else []
        steps.append(Command(title=f"run the playbook {file.source}", argv=tuple(argv)))
    return steps
