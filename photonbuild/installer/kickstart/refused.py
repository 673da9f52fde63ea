"""Published keys at the top of a kickstart that are not supported: why, and what to do instead."""

from __future__ import annotations

ONE_DISK = "one disk is installed onto; name it with the key 'disk' at the top"
SELF_CONTAINED = "name the packages with 'packages', so that all of the kickstart is checked before anything is written"
SCRIPTS_FIRST = "nothing runs before the whole kickstart is checked; write the value itself"
IMAGE_COPY = "the system that the medium starts is copied, packages are added to it"

REFUSED: dict[str, str] = {
    "additional_rpms_path": "name a repository with 'repos' and the packages with 'packages'",
    "ansible": "the medium has no Ansible; use 'postinstall'",
    "arch": "a medium installs the architecture that it has",
    "autopartition": "without 'partitions' one file system takes the whole disk",
    "build_mounts": "it is for building images; an installation mounts only what it needs",
    "disks": ONE_DISK,
    "docker": "container images are not loaded while installing; use 'additional_files' and 'postinstall'",
    "dps": "partitions always have the types of the Discoverable Partitions Specification",
    "environment": SCRIPTS_FIRST,
    "firstboot": "use 'additional_files' and 'services' for a unit of your own",
    "insecure_installation": "it belongs on the kernel command line: insecure_installation=1",
    "insecure_repo": "certificates are always checked; a folder of the medium needs none",
    "install_linux_esx": "there is one kernel, which runs on all supported hypervisors",
    "linux_flavor": "there is one kernel, which runs on all supported hypervisors",
    "linux_flavor_aarch64": "a medium installs the architecture that it has",
    "linux_flavor_x86_64": "there is one kernel, which runs on all supported hypervisors",
    "live": "the installer always installs onto the machine it runs on; 'photonbuild image' makes images",
    "manifest_file": "/var/log/installer.log in the installed system says what was done",
    "no_clean": "the installer leaves nothing behind",
    "no_unmount": "file systems are always unmounted",
    "ostree": IMAGE_COPY,
    "packagelist_file": SELF_CONTAINED,
    "packagelist_files": SELF_CONTAINED,
    "packages_aarch64": "a medium installs the architecture that it has; use 'packages'",
    "packages_x86_64": "a medium installs the architecture that it has; use 'packages'",
    "partition_type": "the partition table is always GPT, for BIOS too",
    "photon_docker_image": "container images are not loaded while installing",
    "photon_release_version": "a medium installs the release that it has",
    "postinstallscripts": "call the script in 'postinstall'; 'additional_files' copies it",
    "preinstall": SCRIPTS_FIRST,
    "preinstallscripts": SCRIPTS_FIRST,
    "prepkgsinstall": IMAGE_COPY,
    "prepkgsinstallscripts": IMAGE_COPY,
    "search_path": "'additional_files' looks where the kickstart came from, or takes a full address",
    "security": "the kernel has neither SELinux nor a FIPS mode",
    "setup_grub_script": "the boot loader is set up by the installer itself",
    "tdnf_cachedir": "tdnf has a folder of its own here, which goes with the live system",
    "type": "there is one set of packages, that of the medium; add to it with 'packages'",
    "ui": "there is no full-screen interface; progress is written to the console",
    "user_grub_cfg_file": "the kernel arguments of the medium's own entry are kept; use 'postinstall' to edit grub.cfg",
}
