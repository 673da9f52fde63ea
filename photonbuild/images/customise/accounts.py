"""Accounts of an image's settings: every id is fixed here, so that each build gives the same."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from photonbuild.config.customisation import UserAccount
from photonbuild.config.models import Image
from photonbuild.documents import Document, Problem, fail
from photonbuild.images.customise.customised import GroupSetting, UserSetting

FIRST_ID = 1000
ROOT = "root"
NEW_ONLY = ("uid", "group", "comment", "home")


def accounts(image: Image, document: Document) -> tuple[Sequence[GroupSetting], Sequence[UserSetting]]:
    """The groups and users in the order of the file. Raises ConfigError with every mistake."""
    problems = list(_problems(image, document))
    if problems:
        raise fail(document.name, problems)
    taken = {group.gid for group in image.groups} | {user.uid for user in image.users}
    free = (number for number in range(FIRST_ID, 60000) if number not in taken)
    groups = [
        GroupSetting(
            name=group.name,
            gid=group.gid if group.gid is not None else next(free),
            where=document.where("groups", index),
        )
        for index, group in enumerate(image.groups)
    ]
    users = [
        _user(user, user.uid if user.uid is not None else next(free), document.where("users", index))
        for index, user in enumerate(image.users)
    ]
    return groups, users


def _user(user: UserAccount, uid: int, where: str) -> UserSetting:
    return UserSetting(
        name=user.name,
        uid=uid,
        group=user.group or user.name,
        own_group=user.group is None,
        groups=user.groups,
        comment=user.comment or "",
        home=user.home or f"/home/{user.name}",
        shell=user.shell or "/bin/bash",
        password=user.password,
        authorized_keys=user.authorized_keys,
        said=sorted(user.model_fields_set),
        where=where,
    )


def _problems(image: Image, document: Document) -> Iterator[Problem]:
    for part in ("groups", "users"):
        key, number = {"groups": ("name", "gid"), "users": ("name", "uid")}[part]
        seen: dict[object, int] = {}
        for index, account in enumerate(getattr(image, part)):
            for name in (key, number):
                value = getattr(account, name)
                line = document.line((part, index, name))
                if value is not None and value in seen:
                    yield Problem(line=line, message=f"{name} '{value}' is already given in line {seen[value]}")
                seen.setdefault(value, line)
    own = {group.name for group in image.groups}
    for index, user in enumerate(image.users):
        if user.group is None and user.name in own and user.name != ROOT:
            message = f"user '{user.name}' has a group of its own of that name: set 'group: {user.name}'"
            yield Problem(line=document.line(("users", index, "name")), message=message)
        if user.name == ROOT:
            for name in ("authorized_keys", *NEW_ONLY):
                if name in user.model_fields_set:
                    hint = ": the key of the image does that" if name == "authorized_keys" else ""
                    message = f"'{name}' of root cannot be set here{hint}"
                    yield Problem(line=document.line(("users", index, name), key=True), message=message)
