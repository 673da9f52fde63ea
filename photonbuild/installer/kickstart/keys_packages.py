"""The keys about packages and the repositories that they come from."""

from __future__ import annotations

from photonbuild.installer.kickstart.kinds import Field, Flag, Items, Names, Number, Record, Refused, Text
from photonbuild.installer.kickstart.values import BASEURL, FILE, FOLDER, LOOKED_UP, NAME, PACKAGE

REPO = Record(
    fields=(
        Field(
            name="baseurl",
            kind=BASEURL,
            doc="Folder that holds `repodata/`: `https://…`, `cdrom:/…` or `file:///…`. $releasever and $basearch are "
            "the release and the architecture of the medium.",
            required=True,
        ),
        Field(name="name", kind=Text(), doc="What it is called."),
        Field(
            name="gpgcheck",
            kind=Flag(numbers=True),
            doc="With 1 every package must be signed by a key that is in `gpgkey`. In any case it must have the sha256 "
            "that the metadata say.",
            default=False,
            default_doc="0",
        ),
        Field(name="enabled", kind=Flag(numbers=True), doc="With 0 it is not read.", default=True, default_doc="1"),
        Field(name="gpgkey", kind=FILE, doc="The key, or several with spaces between. " + LOOKED_UP + "."),
        Field(
            name="sslverify",
            kind=Flag(numbers=True),
            doc="With 0 the server's certificate is not checked.",
            default=True,
            default_doc="1",
        ),
        Field(name="priority", kind=Number(minimum=0, maximum=999, digits=True), instead="the newest package is taken"),
        Field(name="metalink", kind=Refused(reason="give one 'baseurl'")),
        Field(name="mirrorlist", kind=Refused(reason="give one 'baseurl'")),
        Field(name="skip_if_unavailable", kind=Refused(reason="a repository that is named must be there")),
    )
)
PACKAGES: tuple[Field, ...] = (
    Field(
        name="packages",
        kind=Items(of=PACKAGE),
        doc="Packages to add to the system, by name or `name=version`, with what they require; those that it has are "
        "left alone.",
        example=["file"],
    ),
    Field(name="additional_packages", kind=Items(of=PACKAGE), doc="More of `packages`.", example=["file"]),
    Field(name="packages_x86_64", kind=Items(of=PACKAGE), doc="More of `packages`.", example=["file"]),
    Field(
        name="packagelist_file",
        kind=FILE,
        doc="A JSON or YAML file with more of `packages` under that key, and under `packages_x86_64`. Looked up as "
        "`additional_files` are.",
        example="packages.json",
    ),
    Field(name="packagelist_files", kind=Items(of=FILE), doc="Several of them.", example=["packages.json"]),
    Field(
        name="additional_rpms_path",
        kind=FOLDER,
        doc="A folder of the medium or of this system: every package file in it is installed.",
        example="cdrom:/rpms",
    ),
    Field(
        name="repos",
        kind=Names(key=NAME, of=REPO, label="repositories"),
        doc="Where the packages of this installation come from. Where the new system takes others from later, a file "
        "in `/etc/yum.repos.d/` says: `additional_files` bring it.",
        example={"mine": {"name": "mine", "baseurl": "https://repo.example.org/mine/", "gpgcheck": 0, "enabled": 1}},
    ),
    Field(
        name="insecure_repo",
        kind=Flag(),
        doc="With true no certificate of a server of `repos` is checked.",
        default=False,
        example=False,
    ),
)
