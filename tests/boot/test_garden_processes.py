"""Garden's processes: exit status, streams, terminal, signals, user, limits, ids, and attaching to them."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from photonbuild.machines.guest import BOX, UID, USER
from tests.support.garden_client import GardenError, Process, StreamError
from tests.support.garden_lab import Lab, refused, until

pytestmark = pytest.mark.boot

Shared = tuple[Lab, str]


def says(process: Process, text: str) -> Callable[[], bool]:
    return lambda: text.encode() in process.stdout


@pytest.mark.parametrize("code", [0, 1, 3, 126, 255])
def test_exit_status(shared: Shared, code: int) -> None:
    lab, handle = shared
    assert lab.sh(handle, f"exit {code}").code == code


def test_arguments_are_no_shell_words(shared: Shared) -> None:
    lab, handle = shared
    words = ["%s|", "a b", "$HOME", "", "*", "ü"]
    with lab.garden.run(handle, {"path": "/bin/printf", "args": words}) as process:
        assert process.wait() == 0
        assert process.stdout.decode() == "a b|$HOME||*|ü|"


def test_path_is_searched(shared: Shared) -> None:
    lab, handle = shared
    with lab.garden.run(handle, {"path": "echo", "args": ["found"]}) as process:
        assert (process.wait(), process.stdout) == (0, b"found\n")


def test_output_and_errors_apart(shared: Shared) -> None:
    lab, handle = shared
    ran = lab.sh(handle, r"echo out; echo err >&2; printf '\377\000\376'; exit 5")
    assert (ran.code, ran.stderr) == (5, "err\n")
    with lab.start(handle, r"printf '\377\000\376'") as process:
        assert (process.wait(), process.stdout, process.stderr) == (0, b"\xff\x00\xfe", b"")


def test_much_output_comes_whole(shared: Shared) -> None:
    lab, handle = shared
    with lab.start(handle, "dd if=/dev/zero bs=65536 count=64; dd if=/dev/zero bs=65536 count=8 >&2") as process:
        assert process.wait(120) == 0
        assert len(process.stdout) == 64 << 16
        assert process.stderr.count(b"\0") == 8 << 16


def test_output_that_nobody_reads_stops_nothing(shared: Shared) -> None:
    lab, handle = shared
    spec = {"path": "/bin/sh", "args": ["-c", "dd if=/dev/zero bs=65536 count=64; exit 6"]}
    with lab.garden.run(handle, spec, streams=()) as process:
        assert process.wait(120) == 6


def test_stdin(shared: Shared) -> None:
    lab, handle = shared
    with lab.start(handle, "cat; echo end") as process:
        process.write("first ü\n")
        until(says(process, "first"))
        process.write("second\n")
        process.close_stdin()
        assert process.wait() == 0
        assert process.stdout.decode() == "first ü\nsecond\nend\n"


def test_much_stdin(shared: Shared) -> None:
    lab, handle = shared
    with lab.start(handle, "wc -c") as process:
        for _ in range(64):
            process.write("0123456789abcdef" * 1024)
        process.close_stdin()
        assert (process.wait(), process.stdout.strip()) == (0, b"1048576")


def test_terminal(shared: Shared) -> None:
    lab, handle = shared
    window = {"window_size": {"columns": 100, "rows": 40}}
    script = "tty; stty size; trap 'stty size; exit 0' WINCH; echo ready; while :; do sleep 0.1; done"
    with lab.start(handle, script, tty=window) as process:
        until(says(process, "ready"))
        process.set_tty(80, 24)
        assert process.wait() == 0
        lines = process.stdout.decode().replace("\r\n", "\n").splitlines()
    assert lines[0].startswith("/dev/") and lines[1:] == ["40 100", "ready", "24 80"]


def test_terminal_control_character(shared: Shared) -> None:
    lab, handle = shared
    with lab.start(
        handle, "trap 'echo interrupted; exit 9' INT; echo ready; while :; do sleep 0.1; done", tty={}
    ) as process:
        until(says(process, "ready"))
        process.write("\x03")
        assert process.wait() == 9
        assert b"interrupted" in process.stdout


def test_no_terminal(shared: Shared) -> None:
    lab, handle = shared
    assert lab.sh(handle, "tty").stdout == "not a tty\n"


def test_signals(shared: Shared) -> None:
    lab, handle = shared
    with lab.start(handle, "trap 'exit 4' TERM; echo ready; while :; do sleep 0.1; done") as process:
        until(says(process, "ready"))
        process.terminate()
        assert process.wait() == 4
    for send, code in ((Process.terminate, 143), (Process.kill, 137)):
        with lab.start(handle, "echo ready; exec sleep 1000") as process:
            until(says(process, "ready"))
            send(process)
            assert process.wait() == code


def test_a_message_that_is_none_does_not_harm(shared: Shared) -> None:
    """The connection may go, the process and the server stay."""
    lab, handle = shared
    with lab.start(handle, "echo ready; exec sleep 1000", id="unharmed") as process:
        until(says(process, "ready"))
        process.signal(99)
        process.send_raw(b'{"process_id": 5}\n]]]\n\xff\xff{"tty": {"window_size": "big"}}\n')
        lab.garden.ping()
    assert "unharmed" in lab.garden.info(handle)["ProcessIDs"]
    with lab.garden.attach(handle, "unharmed") as process:
        process.kill()
        assert process.wait() == 137


def test_user(shared: Shared) -> None:
    lab, handle = shared
    assert lab.out(handle, "id -u; id -g; pwd", user=USER) == f"{UID}\n{UID}\n/home/{USER}"
    assert lab.out(handle, "id -u; id -g", user="1234:5678") == "1234\n5678"
    assert lab.out(handle, "id -u; pwd", user="root") == "0\n/root"
    assert lab.out(handle, "id -u", user="") == "0"
    refused(lambda: lab.start(handle, "true", user="nobody-here"))


def test_a_user_has_no_rights_of_root(shared: Shared) -> None:
    lab, handle = shared
    assert lab.sh(handle, "echo x > /etc/made", user=USER).code != 0
    assert lab.out(handle, "grep CapEff /proc/self/status", user=USER).split()[1].strip("0") == ""


def test_folder(shared: Shared) -> None:
    lab, handle = shared
    assert lab.out(handle, "pwd", dir="/etc") == "/etc"


def test_environment(shared: Shared) -> None:
    lab, handle = shared
    assert lab.out(handle, 'echo "$A|$B"', env=["A=1 2", "B=x=y"]) == "1 2|x=y"
    assert lab.out(handle, "echo $HOME", user=USER) == f"/home/{USER}"


def test_resource_limits(shared: Shared) -> None:
    lab, handle = shared
    limits = {"nofile": 123, "core": 0, "nproc": 456, "stack": 1 << 20, "fsize": 512 * 40}
    assert lab.out(handle, "ulimit -n; ulimit -c; ulimit -s; ulimit -f", rlimits=limits) == "123\n0\n1024\n40"
    assert lab.sh(handle, "dd if=/dev/zero of=/tmp/big bs=512 count=50", rlimits={"fsize": 512 * 40}).code != 0
    assert "456" in lab.out(handle, "grep processes /proc/self/limits", rlimits=limits)


def test_ids(lab: Lab) -> None:
    handle = lab.create()
    with lab.start(handle, "exec sleep 1000", id="mine") as mine, lab.start(handle, "exec sleep 1000") as other:
        assert mine.id == "mine" and other.id not in ("", "mine")
        assert set(lab.garden.info(handle)["ProcessIDs"]) == {"mine", other.id}
        refused(lambda: lab.start(handle, "true", id="mine"))
        refused(lambda: lab.start(handle, "true", id="../../evil"))
        mine.kill()
        assert mine.wait() == 137
        until(lambda: lab.garden.info(handle)["ProcessIDs"] == [other.id])


def test_unknown_executable(shared: Shared) -> None:
    lab, handle = shared
    for path in ("/no/such/program", "no-such-program"):
        error = refused(lambda path=path: lab.garden.run(handle, {"path": path}))  # type: ignore[misc]
        assert error.kind == "ExecutableNotFoundError" and path in error.message
    for path in ("/etc/passwd", "/etc", ""):
        refused(lambda path=path: lab.garden.run(handle, {"path": path}))  # type: ignore[misc]
    assert "no-such-program" not in str(lab.garden.info(handle)["ProcessIDs"])


def test_attach_twice(shared: Shared) -> None:
    lab, handle = shared
    with (
        lab.start(handle, "while read line; do echo got $line; done; exit 8") as first,
        lab.garden.attach(handle, first.id) as second,
        lab.garden.attach(handle, first.id) as third,
    ):
        assert first.id == second.id == third.id
        assert len({first.stream_id, second.stream_id, third.stream_id}) == 3
        first.write("one\n")
        second.write("two\n")
        for process in (first, second, third):
            until(says(process, "got one"))
            until(says(process, "got two"))
        third.close_stdin()
        assert [process.wait() for process in (first, second, third)] == [8, 8, 8]


def test_attach_to_what_is_not_there(shared: Shared) -> None:
    lab, handle = shared
    with lab.start(handle, "true") as process:
        process.wait()
    for pid in (process.id, "nobody"):
        error = refused(lambda pid=pid: lab.garden.attach(handle, pid))  # type: ignore[misc]
        assert (error.status, error.kind, error.process_id) == (404, "ProcessNotFoundError", pid)


def test_stream_that_is_not_there(shared: Shared) -> None:
    lab, handle = shared
    with lab.start(handle, "exec sleep 1000") as process:
        for name in ("Stdout", "Stderr"):
            with pytest.raises(GardenError):
                lab.garden.hijack(name, handle=handle, pid=process.id, streamid="12345")
        process.kill()
        process.wait()


def test_a_process_with_a_root_of_its_own(lab: Lab) -> None:
    """ "Execute process in own root filesystem, different from the other processes in the container." """
    other = f"{BOX}/other"
    lab.guest.ssh(f"rm -rf {other} && cp -a {lab.rootfs} {other} && echo other > {other}/etc/which")
    handle = lab.create(network="10.251.0.1/30")
    mount = {"src_path": BOX, "dst_path": "/mounted"}
    spec = {"image": {"uri": other}, "bind_mounts": [mount]}
    script = "cat /etc/which; ls /mounted; ip -4 -o addr"
    output = lab.out(handle, script, **spec)
    assert output.startswith("other\n") and "rootfs" in output and "10.251.0.1/30" in output
    assert lab.sh(handle, "cat /etc/which").code != 0
    refused(lambda: lab.start(handle, "true", bind_mounts=[mount]))


def test_a_process_with_limits_of_its_own(lab: Lab) -> None:
    handle = lab.create()
    limits = {"memory_limits": {"limit_in_bytes": 32 << 20}}
    assert lab.sh(handle, "exec tail /dev/zero", image={"uri": lab.rootfs}, limits=limits).code == 137
    assert lab.out(handle, "echo alive") == "alive"


def test_a_container_that_goes_ends_its_streams(lab: Lab) -> None:
    handle = lab.create()
    with lab.start(handle, "echo ready; exec sleep 1000") as process:
        until(says(process, "ready"))
        lab.garden.destroy(handle)
        try:
            assert process.wait() == 137
        except StreamError as error:
            assert str(error)
