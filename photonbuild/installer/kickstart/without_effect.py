"""Published keys at the top of a kickstart that are accepted and have no effect here, and those that are refused."""

from __future__ import annotations

from photonbuild.installer.kickstart.kinds import Choice, Field, Flag, Items, Text
from photonbuild.installer.kickstart.values import ONE_LINE, PACKAGE

FLAVORS = ("linux", "linux-esx", "linux-aws", "linux-secure", "linux-rt")
ONE_KERNEL = "there is one kernel, which runs on all supported hypervisors; that one is installed"
OTHER_ARCHITECTURE = "it is for another architecture than the medium's, and is passed over"

WITHOUT_EFFECT = (
    Field(name="autopartition", kind=Flag(), instead="without 'partitions' one file system takes the whole disk"),
    Field(
        name="dps",
        kind=Flag(),
        instead="partitions have the types of the Discoverable Partitions Specification in any case",
    ),
    Field(name="install_linux_esx", kind=Flag(), instead=ONE_KERNEL),
    Field(name="linux_flavor", kind=Choice(values=FLAVORS), instead=ONE_KERNEL),
    Field(name="linux_flavor_aarch64", kind=Choice(values=FLAVORS), instead=OTHER_ARCHITECTURE),
    Field(name="linux_flavor_x86_64", kind=Choice(values=FLAVORS), instead=ONE_KERNEL),
    Field(
        name="live",
        kind=Flag(),
        instead="a system never has an entry in the firmware, and makes its machine id at its first start",
    ),
    Field(
        name="manifest_file",
        kind=ONE_LINE,
        instead="/var/log/installer.log in the installed system says what was done, and 'rpm -qa' what it has",
    ),
    Field(name="no_clean", kind=Flag(), instead="what the installer needed for itself is always removed"),
    Field(name="no_unmount", kind=Flag(), instead="file systems are always unmounted at the end"),
    Field(name="packages_aarch64", kind=Items(of=PACKAGE), instead=OTHER_ARCHITECTURE),
    Field(
        name="photon_docker_image",
        kind=ONE_LINE,
        instead="no image is loaded for it; 'docker' with 'images' names those to load",
    ),
    Field(name="photon_release_version", kind=Text(), instead="the release of the medium is installed"),
    Field(name="tdnf_cachedir", kind=ONE_LINE, instead="what is fetched is kept in memory, and goes with it"),
    Field(name="type", kind=ONE_LINE, instead="the system of the medium is installed; 'packages' adds to it"),
    Field(name="ui", kind=Flag(), instead="progress is written to the console, line by line"),
)
REFUSED: dict[str, str] = {
    "build_mounts": "it is for building images; an installation mounts only what it needs",
    "firstboot": "use 'additional_files' and 'services' for a unit of your own",
    "insecure_installation": "it belongs on the kernel command line: insecure_installation=1",
    "setup_grub_script": "the boot loader is set up by the installer itself",
}
