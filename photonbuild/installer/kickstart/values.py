"""Forms of the texts in a kickstart: patterns, and checks that say what is wrong in words."""

from __future__ import annotations

import ipaddress
import re

from photonbuild.installer.kickstart.kinds import Text
from photonbuild.installer.kickstart.urls import redacted

# HOST_NAME_MAX of Linux; IFNAMSIZ with its zero byte is 16.
HOST_NAME_MAX, INTERFACE_NAME_MAX = 64, 15
_CRYPTED = r"[*!]+|!?\$(1|5|6|7|y|2[abxy]|gy)\$[./A-Za-z0-9$=,]+"
_LABEL = r"[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
# What the system needs before it mounts any file system but the root.
_OF_THE_ROOT = ("/bin", "/dev", "/etc", "/lib", "/lib64", "/proc", "/run", "/sbin", "/sys", "/usr")


def _address(value: str) -> str | None:
    try:
        ipaddress.ip_address(value)
    except ValueError:
        return f"an IPv4 or IPv6 address is expected, not '{value}'"
    return None


def _address_or_interface(value: str) -> str | None:
    return _interface(value) if "/" in value else _address(value)


def _netmask(value: str) -> str | None:
    try:
        ipaddress.IPv4Network(f"0.0.0.0/{value}")
    except ValueError:
        return f"a netmask such as 255.255.255.0 is expected, not '{value}'"
    return None


def _interface(value: str) -> str | None:
    try:
        ipaddress.ip_interface(value)
    except ValueError:
        return f"an address with its prefix length is expected (192.0.2.7/24), not '{value}'"
    return None if "/" in value else f"the prefix length is missing: '{value}' (192.0.2.7/24)"


def _mountpoint(value: str) -> str | None:
    if not value.startswith("/"):
        return f"an absolute path is expected, not '{value}'"
    if value != "/" and (value.endswith("/") or any(part in ("", ".", "..") for part in value.split("/")[1:])):
        return f"'{value}' is not a plain path: no '//', '.', '..' and no '/' at its end"
    if any(character.isspace() or not character.isprintable() for character in value):
        return f"white space in '{value}'"
    if "/" + value.split("/")[1] in _OF_THE_ROOT:
        return f"'{value}' cannot be a file system of its own: the system needs it before it mounts any"
    return None


def _absolute(value: str) -> str | None:
    if not value.startswith("/") or ".." in value.split("/"):
        return f"an absolute path without '..' is expected, not '{value}'"
    return None


def _public_key(value: str) -> str | None:
    return "this is a private key; give the public one" if "PRIVATE KEY" in value else None


# Of tdnf(8).
REPOSITORY_VARIABLES = ("releasever", "basearch", "arch")


def _url(value: str) -> str | None:
    rest = re.sub(rf"\$\{{?({'|'.join(REPOSITORY_VARIABLES)})\}}?", "", value)
    if "$" in rest:
        known = ", ".join(f"${name}" for name in REPOSITORY_VARIABLES)
        return f"of variables only {known} are replaced, not '{redacted(value)}'"
    return None


DEVICE = Text(
    pattern=r"/dev/[^\s]+|(SERIAL|WWN)=[^\s]([^\n]*[^\s])?",
    expected="a device such as /dev/sda or /dev/disk/by-id/…, SERIAL=… or WWN=…",
)
ANY_DEVICE = Text(pattern=rf"{DEVICE.pattern}|[A-Za-z0-9_-]+", expected=f"{DEVICE.expected}, or a name in 'disks'")
HOST = Text(
    pattern=rf"(?=.{{1,{HOST_NAME_MAX}}}$){_LABEL}(\.{_LABEL})*",
    expected=f"a host name (letters, digits, '-' and '.', at most {HOST_NAME_MAX})",
)
KEY_LINE = Text(
    pattern=r"(ssh-|ecdsa-|sk-)[a-z0-9@.-]+ [A-Za-z0-9+/=]+( [^\n]*)?|<[^<>\n]*>||(.|\n)*PRIVATE KEY(.|\n)*",
    # A sample may have a word in angle brackets for the key, or nothing.
    expected="one line of a public key file",
    check=_public_key,
    secret=True,
)
PACKAGE = Text(
    pattern=r"[A-Za-z0-9][A-Za-z0-9._+-]*(=[A-Za-z0-9][A-Za-z0-9._+~^:-]*)?",
    expected="a package's name, or name=version",
)
HASH = Text(pattern=_CRYPTED, expected="a crypted password (openssl passwd -6 makes one) or '*'", secret=True)
UNIT = Text(pattern=r"[A-Za-z0-9@._:\\-]+", expected="a unit's name")
NAME = Text(pattern=r"[A-Za-z0-9][A-Za-z0-9._-]*", expected="a name of letters, digits, '.', '_' and '-'")
INTERFACE = Text(
    pattern=rf"[A-Za-z0-9][A-Za-z0-9._-]{{0,{INTERFACE_NAME_MAX - 1}}}",
    expected=f"an interface's name of at most {INTERFACE_NAME_MAX} characters",
)
HOST_OR_NOTHING = Text(pattern=rf"{HOST.pattern}|", expected=HOST.expected)
INTERFACE_GLOB = Text(pattern=r"[A-Za-z0-9._*?\[\]-]+")
MACADDRESS = Text(pattern=r"([0-9A-Fa-f]{2}:){5}[0-9A-Fa-f]{2}", expected="a MAC address (six pairs)")
ADDRESS = Text(check=_address)
INTERFACE_ADDRESS = Text(check=_interface, expected="an address with its prefix length")
BASEURL = Text(
    pattern=r"(https?://[^\s/]+|file:/|cdrom:/)[^\s]*", expected="https://…, cdrom:/… or file:///…", check=_url
)
MOUNTPOINT = Text(check=_mountpoint, expected="an absolute path")
# What begins with - is for mkfs, and may have spaces.
MOUNT_OPTIONS = Text(pattern=r"[^\s]+|-[^\n\x00]+", expected="mount options with commas between them")
MOUNT_OPTION = Text(pattern=r"[^\s-][^\s]*", expected="a mount option")
ABSOLUTE_PATH = Text(check=_absolute)
ONE_LINE = Text(pattern=r"[^\n\x00]+")
# A script, list or archive: see photonbuild.installer.fetch.
FILE = Text(pattern=r"[^\s\x00]([^\n\x00]*[^\s\x00])?", expected="a file's name, path or address")
LOOKED_UP = (
    "A source is `https://…`, `cdrom:/…`, `LABEL=…:/…`, `file:/…`, or a path that is looked up where the "
    "kickstart came from and then in `search_path`"
)
FOLDER = Text(pattern=r"(/|cdrom:/|file:/|LABEL=[^:]+:/|https?://)[^\n\x00]*", expected="a folder: /… or an address")
DISK_ID = Text(pattern=r"[A-Za-z0-9_./:-]+", expected="the name of one of 'disks'")
VARIABLE = Text(pattern=r"[A-Za-z_][A-Za-z0-9_]*", expected="the name of an environment variable")
VALUE = Text(pattern=r"[^\x00]*", secret=True)
# A word of fstab's options.
SUBVOLUME = Text(
    pattern=r"(?!\.\.?$)[^/\s,\\\"'\x00]+", expected="a subvolume's name, without spaces, commas and quotes"
)
OLD_ADDRESS = Text(check=_address_or_interface)
NETMASK = Text(check=_netmask)
IMAGE = Text(pattern=r"[A-Za-z0-9][A-Za-z0-9._/:@-]*", expected="an image's name, as docker pull takes it")
