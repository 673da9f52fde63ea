"""The filter as a value: what it answers to a call, by a small interpreter of classic BPF."""

from __future__ import annotations

import errno
import struct

import pytest

from photonbuild.sandbox import seccomp


def answer(number: int, first: int = 0, second: int = 0, arch: int = seccomp.X86_64) -> int:
    """What the kernel would answer: 0 for a call that is let through, else an errno."""
    data = struct.pack("iIQQQQQQQ", number, arch, 0, first, second, 0, 0, 0, 0)
    code = [struct.unpack_from("HBBI", seccomp.program(), at) for at in range(0, len(seccomp.program()), 8)]
    value, at = 0, 0
    while True:
        kind, yes, no, operand = code[at]
        at += 1
        if kind == seccomp.LOAD:
            (value,) = struct.unpack_from("I", data, operand)
        elif kind == seccomp.RETURN:
            return 0 if operand == seccomp.ALLOW else operand & 0xFFFF
        else:
            true = {
                seccomp.EQUAL: value == operand,
                seccomp.GREATER_EQUAL: value >= operand,
                seccomp.ANY_BIT: bool(value & operand),
            }[kind]
            at += yes if true else no


@pytest.mark.parametrize("name", sorted(seccomp.REFUSED))
def test_refused_calls(name: str) -> None:
    assert answer(seccomp.REFUSED[name]) == errno.EPERM


@pytest.mark.parametrize("name", sorted(seccomp.ABSENT))
def test_absent_calls(name: str) -> None:
    assert answer(seccomp.ABSENT[name]) == errno.ENOSYS


def test_ordinary_calls_pass() -> None:
    refused = {*seccomp.REFUSED.values(), *seccomp.ABSENT.values()}
    for number in sorted(set(range(470)) - refused):
        assert answer(number) == 0, number


def test_arguments_decide() -> None:
    thread, namespace = 0x003D0F00, 0x10000011
    assert answer(seccomp.CLONE, thread) == 0
    assert answer(seccomp.CLONE, namespace) == errno.EPERM
    assert answer(seccomp.UNSHARE, 0x200) == 0
    assert answer(seccomp.UNSHARE, 0x10020000) == errno.EPERM
    assert answer(seccomp.IOCTL, 1, 0x5401) == 0
    assert answer(seccomp.IOCTL, 1, seccomp.TIOCSTI) == errno.EPERM
    assert answer(seccomp.IOCTL, 1, 0xFFFFFFFF00000000 | seccomp.TIOCSTI) == errno.EPERM


def test_other_architectures() -> None:
    assert answer(11, arch=0x40000003) == errno.EPERM  # i386
    assert answer(seccomp.X32 | 59) == errno.ENOSYS
