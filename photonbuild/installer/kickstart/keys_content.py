"""The keys about what else comes into a system: files, scripts, container images, playbooks."""

from __future__ import annotations

from photonbuild.installer.kickstart.kinds import Choice, Either, Field, Flag, Items, Names, Number, Record, Text
from photonbuild.installer.kickstart.values import (
    ABSOLUTE_PATH,
    FILE,
    FOLDER,
    IMAGE,
    LOOKED_UP,
    ONE_LINE,
    VALUE,
    VARIABLE,
)

DOCKER = Record(
    fields=(
        Field(
            name="images",
            kind=Items(
                of=Record(
                    fields=(
                        Field(
                            name="method",
                            kind=Choice(values=("pull", "load")),
                            doc="`pull` fetches `name` at the first start, `load` takes the archive `filename` along.",
                            required=True,
                        ),
                        Field(name="name", kind=IMAGE, doc="What to pull."),
                        Field(
                            name="filename",
                            kind=FILE,
                            doc="An archive as docker save makes it, or an OCI layout in a tar; a file.",
                        ),
                        Field(name="tags", kind=Items(of=IMAGE), doc="More names for it."),
                        Field(name="drop-tag", kind=Flag(), doc="Take the name away that it came with."),
                    )
                )
            ),
            doc="Images, loaded into Docker by a unit at the first start: nothing runs before.",
        ),
    )
)
TAGS = Either(short=ONE_LINE, record=Items(of=ONE_LINE))
PLAYBOOK = Record(
    fields=(
        Field(name="playbook", kind=FILE, doc="A file; looked up as one.", required=True),
        Field(name="verbosity", kind=Number(minimum=0, maximum=6), doc="How much it says.", default=1),
        Field(name="extra-vars", kind=TAGS, doc="Variables, or `@FILE`."),
        Field(name="tags", kind=TAGS, doc="Only these."),
        Field(name="skip-tags", kind=TAGS, doc="Not these."),
        Field(name="logfile", kind=ONE_LINE, instead="what it says is in /var/log/installer.log"),
    )
)
CONTENT: tuple[Field, ...] = (
    Field(
        name="additional_files",
        kind=Items(of=Names(key=ONE_LINE, of=ABSOLUTE_PATH, label="sources")),
        doc="Files to copy, each a mapping of source to destination. " + LOOKED_UP + "; except with https it may "
        "be a folder. A destination that ends in `/` is a folder.",
        example=[{"motd": "/etc/motd"}],
    ),
    Field(
        name="postinstall",
        kind=Items(of=Text()),
        doc="Lines of one script, run in the installed system at the end; a failure fails the installation.",
        example=["#!/bin/sh", "echo installed >/etc/motd"],
    ),
    Field(
        name="postinstallscripts",
        kind=Items(of=FILE),
        doc="Scripts that are run after `postinstall`, in the installed system too. Looked up as files.",
        example=["set-up.sh"],
    ),
    Field(
        name="preinstall",
        kind=Items(of=Text()),
        doc="Lines of one script, run in the live system when the kickstart is checked and before anything is "
        "written. What it exports takes the place of values of the form `$NAME`; with those in place all is checked "
        "once more. A failure ends the installation.",
        example=["#!/bin/sh", "export DISK=$(ls /dev/disk/by-path/*scsi-0:0:0:0)"],
    ),
    Field(
        name="preinstallscripts",
        kind=Items(of=FILE),
        doc="Scripts that are run after `preinstall` in the same way. Looked up as files.",
        example=["find-disk.sh"],
    ),
    Field(
        name="prepkgsinstall",
        kind=Items(of=Text()),
        doc="Lines of one script, run in the live system when the system is copied and before packages are added. "
        "`$POI_ROOT` is where the new system is.",
        example=["#!/bin/sh", "mkdir $POI_ROOT/srv/data"],
    ),
    Field(
        name="prepkgsinstallscripts",
        kind=Items(of=FILE),
        doc="Scripts that are run after `prepkgsinstall` in the same way. Looked up as files.",
        example=["prepare.sh"],
    ),
    Field(
        name="environment",
        kind=Names(key=VARIABLE, of=VALUE, label="variables"),
        doc="Variables for `preinstall`, and for values of the form `$NAME`.",
        example={"SITE": "north"},
    ),
    Field(
        name="search_path",
        kind=Items(of=FOLDER),
        doc="Folders in which files, scripts and lists are looked up: of the live system, or in a form of "
        "`additional_files`. `/mnt/media` is the medium.",
        example=["/mnt/media/files", "https://server.example/files/"],
    ),
    Field(
        name="docker",
        kind=DOCKER,
        doc="Container images.",
        example={"images": [{"method": "load", "filename": "app.tar", "tags": ["app:1"]}]},
    ),
    Field(
        name="ansible",
        kind=Items(of=PLAYBOOK),
        doc="Playbooks, run by the live system on the installed one before `postinstall`. The medium as it is made "
        "here has no ansible-playbook; then an installation stops before anything is written.",
        example=[{"playbook": "harden.yaml"}],
    ),
)
