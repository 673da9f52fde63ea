"""Bad input: one clear error, the exit code of its family, nothing half-written."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.integration.conftest import Checkout


def sources_yaml(checkout: Checkout, name: str, text: str) -> None:
    (checkout.root / "specs" / name / "sources.yaml").write_text(text, encoding="utf-8")


def test_misspelt_key(checkout: Checkout) -> None:
    (checkout.root / "build" / "profiles" / "default.yaml").write_text(
        "name: default\ndescription: x\npakages: [mini]\n", encoding="utf-8"
    )
    done = checkout.run("plan", code=2)
    assert "default.yaml:3" in done.stderr
    assert "pakages" in done.stderr and "packages" in done.stderr


def test_unknown_package_in_profile(checkout: Checkout) -> None:
    profile = checkout.root / "build" / "profiles" / "default.yaml"
    profile.write_text("name: default\ndescription: x\npackages: [mini-sweet]\n", encoding="utf-8")
    done = checkout.run("plan", code=2)
    assert "build/profiles/default.yaml: no spec makes the package 'mini-sweet'" in done.stderr
    assert "did you mean 'mini-suite'" in done.stderr


def test_unknown_build_requirement(checkout: Checkout) -> None:
    checkout.edit("mini", "libmini-devel", "libmimi-devel")
    done = checkout.run("plan", code=3)
    assert "libmimi-devel is neither a package of ours nor one of the seed's" in done.stderr
    assert "did you mean libmini-devel" in done.stderr


def test_cycle_is_a_readable_chain(checkout: Checkout) -> None:
    checkout.edit("libmini", "Source0:", "BuildRequires:  mini-data\nSource0:")
    checkout.edit("mini-data", "BuildArch:      noarch\n", "BuildArch:      noarch\nBuildRequires:  mini\n")
    done = checkout.run("build", code=3)
    assert "libmini → mini-data → mini → libmini" in done.stderr
    assert "mini-data needs mini  (BuildRequires: mini)" in done.stderr


def test_wrong_digest_names_every_provider(checkout: Checkout) -> None:
    (checkout.root / "specs" / "mini" / "there.txt").write_text("bytes\n", encoding="utf-8")
    sources_yaml(
        checkout,
        "mini",
        (
            f"sources:\n  - file: other.txt\n    sha512: {'0' * 128}\n    size: 6\n    providers:\n"
            "      - {type: local, path: there.txt}\n      - {type: local, path: gone.txt}\n"
        ),
    )
    done = checkout.run("sources", "fetch", "mini", code=4)
    assert "local: wrong sha512, wanted 0000000000000000" in done.stderr
    assert "local: no such file: gone.txt" in done.stderr
    assert list((checkout.store / "sources").iterdir()) == []
    assert checkout.leftovers() == []


@pytest.mark.long
def test_no_provider_reachable(checkout: Checkout) -> None:
    sources_yaml(
        checkout,
        "mini",
        (
            f"sources:\n  - file: other.txt\n    sha512: {'0' * 128}\n    providers:\n"
            "      - {type: url, url: 'http://127.0.0.1:9/other.txt'}\n"
        ),
    )
    done = checkout.run("build", "mini", code=4)
    assert "no provider yields other.txt" in done.stderr
    assert "127.0.0.1:9" in done.stderr


def test_offline_refuses_to_fetch(checkout: Checkout) -> None:
    sources_yaml(
        checkout,
        "mini",
        (
            f"sources:\n  - file: other.txt\n    sha512: {'0' * 128}\n    providers:\n"
            "      - {type: url, url: 'http://127.0.0.1:9/other.txt'}\n"
        ),
    )
    assert "run once without --offline" in checkout.run("build", "mini", "--offline", code=4).stderr


def test_spec_that_does_not_parse(checkout: Checkout) -> None:
    checkout.edit("mini", "%files\n", "%if 1\n%files\n")
    for words in (("plan", "mini"), ("build", "mini"), ("build", "mini", "--keep-going")):
        done = checkout.run(*words, code=3)
        assert "specs/mini/mini.spec:26: rpm cannot parse this spec" in done.stderr
        assert "%if" in done.stderr
    done = checkout.run("plan")
    assert "mini-suite 1.0-1.phos1" in done.stdout
    assert "warning: specs/mini/mini.spec:26: rpm cannot parse this spec: error: line 26: Unclosed %if" in done.stderr


def test_spec_that_a_broken_one_is_needed_for(checkout: Checkout) -> None:
    checkout.edit("libmini", "%files\n", "%if 1\n%files\n")
    done = checkout.run("plan", "mini", "mini-tool", code=3)
    assert "error   mini 1.0-1.phos1" in done.stdout
    assert "will    mini-data" in done.stdout
    assert "these specs could not be read, and one of them may make it: libmini" in done.stderr
    done = checkout.run("build", "mini", "mini-tool", "--keep-going", code=3)
    assert "mini-tool" in done.stderr and (checkout.store / "packages" / "mini-tool").exists()


ENDS = {
    "kill -9 -1": "rpm cannot parse this spec: python3 failed with exit code 137",
    "kill -9 $PPID": "signal 9",
    "yes >&2": "it printed while it was parsed: y\ny\ny\ny\ny\n… ",
    "exit 0)%{lua:os.exit(0)}%(true": "exit not permitted",
    "printf '%b' '\\\\033[2Jred' >&2": "\N{REPLACEMENT CHARACTER}[2Jred",
}


@pytest.mark.parametrize("code", ENDS)
def test_spec_that_wants_no_other_to_be_parsed(checkout: Checkout, code: str) -> None:
    checkout.edit("mini", "Name: ", f"%global trick %({code})\nName: ")
    done = checkout.run("plan", "mini-suite", "libmini")
    assert "libmini 1.0-1.phos1" in done.stdout and "mini-suite 1.0-1.phos1" in done.stdout
    assert "specs/mini/mini.spec" in done.stderr and ENDS[code] in done.stderr
    assert "\x1b" not in done.stderr


@pytest.mark.parametrize("code", ["touch /usr/written", "exec 3<>/dev/tcp/127.0.0.1/80", "mkdir /specs/new"])
def test_spec_that_runs_code_at_parse_time(checkout: Checkout, code: str) -> None:
    checkout.edit("mini", "Name: ", f"%global trick %(bash -c '{code}')\nName: ")
    done = checkout.run("plan")
    assert "warning: specs/mini/mini.spec: it printed while it was parsed" in done.stderr
    assert "ead-only file system" in done.stderr or "refused" in done.stderr
    assert not Path("/usr/written").exists()
    assert not (checkout.root / "specs" / "new").exists()
    assert "it printed" not in checkout.run("plan").stderr
    assert "it printed" in checkout.run("plan", "--verbose").stderr


def test_version_that_is_not_there(checkout: Checkout) -> None:
    checkout.edit("mini", "libmini-devel", "libmini-devel >= 99")
    done = checkout.run("build", "mini", code=3)
    assert (
        "mini.spec:7: BuildRequires: libmini-devel >= 99 is not met: ours is libmini-devel = 1.0-1.phos1" in done.stderr
    )


def test_file_that_is_nowhere(checkout: Checkout) -> None:
    checkout.edit("libmini", "Requires:       libmini = ", "Requires:       /no/where /usr/bin/perl libmini = ")
    done = checkout.run("build", "mini", code=6)
    assert "libmini-devel requires /no/where, which nothing in the build root of mini provides" in done.stderr


def test_failing_build_shows_the_end_of_its_log(checkout: Checkout) -> None:
    checkout.edit("mini", "-lmini\n", "-lmini\necho something went wrong; exit 3\n")
    done = checkout.run("build", code=6)
    assert "something went wrong" in done.stderr
    assert f"{checkout.store}/logs/mini.log" in done.stderr
    assert "photonbuild shell mini" in done.stderr
    assert not (checkout.store / "packages" / "mini").exists()
    assert (checkout.store / "failed" / "mini" / "build" / "SOURCES" / "main.c").exists()
    assert checkout.leftovers() == []


def test_build_has_no_network(checkout: Checkout) -> None:
    checkout.edit("mini", "-lmini\n", "-lmini\nbash -c 'exec 3<>/dev/tcp/192.0.2.1/80'\n")
    assert "Network is unreachable" in checkout.run("build", "mini", code=6).stderr


def test_library_leaked_from_the_seed(checkout: Checkout) -> None:
    # The seed has libzstd for its own tools; a program that finds it by its full name must not get away with it.
    checkout.edit("mini", "-lmini\n", "-lmini -Wl,--no-as-needed -l:libzstd.so.1\n")
    done = checkout.run("build", "mini", code=6)
    assert "mini uses libzstd.so.1()(64bit) of the seed" in done.stderr
    assert "BuildRequires" in done.stderr


def test_copy_of_a_seed_binary(checkout: Checkout) -> None:
    checkout.edit("mini", "%files\n", "%files\n%{_bindir}/cat\n")
    nothing_stripped = "%global debug_package %{nil}\n%global __os_install_post %{nil}\n"
    checkout.edit("mini", "Name: ", f"{nothing_stripped}Name: ")
    copied = "install -Dpm 755 /usr/bin/cat %{buildroot}%{_bindir}/cat\n"
    checkout.edit("mini", "%install\n", f"%install\n{copied}")
    done = checkout.run("build", "mini", code=6)
    assert "byte for byte the seed's: /usr/bin/cat" in done.stderr


def test_requirement_that_nothing_provides(checkout: Checkout) -> None:
    checkout.edit("libmini", "Requires:       libmini = ", "Requires:       nowhere-devel\nRequires:       libmini = ")
    done = checkout.run("build", "mini", code=6)
    assert "libmini-devel requires nowhere-devel" in done.stderr
