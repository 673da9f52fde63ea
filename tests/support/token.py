"""A PKCS#11 token of SoftHSM with an RSA key, which a gpg-agent of its own finds through gnupg-pkcs11-scd."""

from __future__ import annotations

import os
import subprocess
from dataclasses import dataclass
from pathlib import Path

PIN = "4711"
LIBRARY = "usr/lib/softhsm/libsofthsm2.so"
PINENTRY = f"""#!/bin/sh
echo OK
while read -r word rest; do
    case $word in
        GETPIN) echo "D {PIN}"; echo OK ;;
        BYE) echo OK; exit ;;
        *) echo OK ;;
    esac
done
"""
USER = """\
%no-protection
Key-Type: RSA
Key-Grip: {grip}
Key-Usage: sign
Name-Real: Token
Name-Email: token@mini.invalid
Expire-Date: 1y
%commit
"""


@dataclass(frozen=True)
class Token:
    """`root` has Debian's programs, `folder` is for the token and the home of GnuPG."""

    root: Path
    folder: Path

    @property
    def home(self) -> Path:
        return self.folder / "gnupg"

    def _argv(self, program: str) -> list[str]:
        """A program of the root over the root's own libraries: the agent on the host starts it."""
        loader = self.root / "usr/lib64/ld-linux-x86-64.so.2"
        return [str(loader), "--library-path", str(self.root / "usr/lib/x86_64-linux-gnu"), str(self.root / program)]

    def run(self, program: str, *words: str) -> str:
        env = {**os.environ, "SOFTHSM2_CONF": str(self.folder / "softhsm2.conf"), "OPENSSL_CONF": "/dev/null"}
        argv = [*self._argv(program), *words]
        return subprocess.run(argv, env=env, check=True, capture_output=True, text=True, cwd=self.folder).stdout

    def gpg(self, *words: str, input: str | None = None) -> str:
        env = {**os.environ, "GNUPGHOME": str(self.home)}
        return subprocess.run([*words], env=env, input=input, check=True, capture_output=True, text=True).stdout

    def make(self) -> str:
        """Set all up; the fingerprint of an OpenPGP key whose private part only the token has."""
        (self.folder / "tokens").mkdir()
        (self.folder / "softhsm2.conf").write_text(f"directories.tokendir = {self.folder}/tokens\n")
        library = ["--module", str(self.root / LIBRARY)]
        pins = ["--pin", PIN, "--so-pin", PIN]
        self.run("usr/bin/softhsm2-util", *library, "--init-token", "--free", "--label", "release", *pins)
        request = ["-x509", "-newkey", "rsa:3072", "-nodes", "-subj", "/CN=Token", "-days", "365"]
        self.run("usr/bin/openssl", "req", *request, "-keyout", "key.pem", "-out", "certificate.pem")
        self.run("usr/bin/openssl", "rsa", "-in", "key.pem", "-outform", "DER", "-out", "key.der")
        self.run("usr/bin/openssl", "x509", "-in", "certificate.pem", "-outform", "DER", "-out", "certificate.der")
        tool = [*library, "--login", "--pin", PIN, "--id", "01", "--label", "release"]
        for kind, words in (("privkey", ["--usage-sign"]), ("cert", [])):
            file = self.folder / ("key.der" if kind == "privkey" else "certificate.der")
            self.run("usr/bin/pkcs11-tool", *tool, "--write-object", str(file), "--type", kind, *words)
        for name in ("key.pem", "key.der"):
            (self.folder / name).unlink()
        self._set_up_agent()
        learnt = self.gpg("gpg-connect-agent", "LEARN --sendinfo", "/bye")
        grip = next(line.split()[2] for line in learnt.splitlines() if line.startswith("S KEYPAIRINFO"))
        self.gpg("gpg", "--batch", "--generate-key", input=USER.format(grip=grip))
        listed = self.gpg("gpg", "--batch", "--with-colons", "--list-keys")
        return next(line.split(":")[9] for line in listed.splitlines() if line.startswith("fpr"))

    def _set_up_agent(self) -> None:
        self.home.mkdir(mode=0o700)
        programs = {
            "pinentry": PINENTRY,
            "scd": f"#!/bin/sh\nSOFTHSM2_CONF={self.folder}/softhsm2.conf\nexport SOFTHSM2_CONF\n"
            f'exec {" ".join(self._argv("usr/bin/gnupg-pkcs11-scd"))} "$@"\n',
        }
        for name, text in programs.items():
            (self.folder / name).write_text(text)
            (self.folder / name).chmod(0o755)
        (self.home / "gnupg-pkcs11-scd.conf").write_text(
            f"providers softhsm\nprovider-softhsm-library {self.root / LIBRARY}\n"
        )
        (self.home / "gpg-agent.conf").write_text(
            f"scdaemon-program {self.folder}/scd\npinentry-program {self.folder}/pinentry\n"
        )
