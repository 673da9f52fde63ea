"""The netboot image's script: what it fetches, with which digests, and what the one that chains it may set."""

from __future__ import annotations

from pathlib import Path

from photonbuild.files import sha256_of
from photonbuild.images.formats import netboot
from photonbuild.images.formats.netboot import NetbootImage
from photonbuild.images.publish import publish
from tests.support.image_requests import ROOT, image_request

DIGESTS = {netboot.KERNEL: "1" * 64, netboot.INITRD: "2" * 64, netboot.ROOT: "3" * 64, netboot.INSTALLER: "4" * 64}
BASE = "phos-1.0-x86_64-netboot"


def script(folder: Path, **changes: object) -> dict[str, list[str]]:
    """The lines of the script by the label that they follow, those before the first by an empty one."""
    request = image_request(folder, "netboot")
    assert isinstance(request.image, NetbootImage)
    image = request.image.model_copy(update=changes)
    digests = {key: value for key, value in DIGESTS.items() if image.installer or key != netboot.INSTALLER}
    found: dict[str, list[str]] = {"": []}
    for line in netboot.ipxe(request, image, digests).splitlines():
        if line.startswith(":"):
            found[line[1:]] = []
        else:
            list(found.values())[-1].append(line)
    return found


def test_each_entry_starts_the_kernel_with_what_to_fetch_and_its_digest(tmp_path: Path) -> None:
    parts = script(tmp_path)
    assert list(parts) == ["", "live", "install", "autologin", "failed"]
    for name in ("live", "install", "autologin"):
        kernel, initrd, boot = parts[name]
        assert kernel.startswith(f"kernel ${{base}}{BASE}.vmlinuz initrd={BASE}.initrd ")
        assert initrd == f"initrd ${{base}}{BASE}.initrd || goto failed" and boot == "boot || goto failed"
        words = kernel.split()
        assert {f"root=live:${{base}}{BASE}.erofs", f"live.sha256={'3' * 64}", "console=ttyS0,115200"} <= set(words)
        assert words[-4:] == ["${args}", "||", "goto", "failed"]
        assert ("installer" in words) is (name == "install")
    installing = parts["install"][0].split()
    wanted = {f"live.medium=${{base}}{BASE}.installer.erofs", f"live.medium.sha256={'4' * 64}", "${ks}"}
    assert wanted <= set(installing)
    assert "systemd.set_credential=login.noauth:yes" in parts["autologin"][0].split()


def test_what_may_be_set_before(tmp_path: Path) -> None:
    head = script(tmp_path)[""]
    assert head[0] == "#!ipxe"
    assert "isset ${base} || set base ${cwduri}" in head
    choosing = head.index("isset ${ks} && set entry install ||")
    going = head.index("isset ${entry} && goto ${entry} ||")
    assert choosing < head.index("isset ${ks} && set ks ks=${ks} || clear ks") < going
    assert head.index("menu Phos 1.0") > going
    assert head[-1] == "choose --default live --timeout 2000 entry && goto ${entry} || exit 1"


def test_without_an_installer_there_is_no_entry_for_it(tmp_path: Path) -> None:
    parts = script(tmp_path, installer=None)
    assert list(parts) == ["", "live", "autologin", "failed"]
    assert not any("install" in line for lines in parts.values() for line in lines if not line.startswith("#"))


def test_the_checksum_file_lists_every_file(tmp_path: Path) -> None:
    (tmp_path / "image.ipxe").write_text("script")
    extras = [tmp_path / f"image{suffix}" for suffix in (netboot.KERNEL, netboot.INSTALLER)]
    for path in extras:
        path.write_text(path.name)
    request = image_request(tmp_path, "netboot")
    result = publish(request, tmp_path / "image.ipxe", seconds={}, extras=extras, listed=True)
    entries = [line.split("  ") for line in result.checksum.read_text().splitlines()]
    lines = {name: digest for digest, name in entries}
    names = [f"{BASE}{suffix}" for suffix in (".ipxe", ".vmlinuz", ".installer.erofs")]
    assert list(lines) == names
    assert all(sha256_of(result.path.parent / name) == digest for name, digest in lines.items())


def test_the_format_says_which_files_it_has() -> None:
    assert netboot.FORMAT.suffix == ".ipxe" and netboot.FORMAT.attachment is None
    assert set(DIGESTS) == set(netboot.FORMAT.extras)
    assert (ROOT / "build/dracut/90netroot/module-setup.sh").is_file()
