"""Options that a cloud's DHCP server adds to those of QEMU's: the answers pass through here on their way to the guest.

Options of DHCP: RFC 2132, classless static routes: RFC 3442. QEMU's filter-redirector puts the length of each Ethernet
frame, four bytes, before it. https://www.qemu.org/docs/master/system/invocation.html
"""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
from collections.abc import Iterator, Mapping, Sequence

MAGIC = b"\x63\x82\x53\x63"
PAD, MTU, ROUTES, END = 0, 26, 121, 255
IPV4, UDP, SERVER_PORT, CLIENT_PORT = 0x0800, 17, 67, 68
ETHERNET, BOOTP = 14, 236


def routes(*pairs: tuple[str, str]) -> bytes:
    """Value of option 121: each pair is a host or 0.0.0.0 for the default, and the gateway to it. Pure."""
    value = b""
    for destination, gateway in pairs:
        host = b"" if destination == "0.0.0.0" else socket.inet_aton(destination)
        value += bytes([len(host) * 8]) + host + socket.inet_aton(gateway)
    return value


def with_options(frame: bytes, options: Mapping[int, bytes]) -> bytes:
    """A frame with these options added if it is a DHCP server's answer over IPv4 with room for them; else as it is.

    The length stays: the options take the place of padding. There is no UDP checksum then. Pure.
    """
    if len(frame) < ETHERNET + 20 or struct.unpack_from(">H", frame, 12)[0] != IPV4 or frame[ETHERNET + 9] != UDP:
        return frame
    udp = ETHERNET + (frame[ETHERNET] & 15) * 4
    start = udp + 8 + BOOTP
    if frame[start : start + 4] != MAGIC or struct.unpack_from(">HH", frame, udp) != (SERVER_PORT, CLIENT_PORT):
        return frame
    position = start + 4
    while position + 1 < len(frame) and frame[position] != END:
        position += 1 if frame[position] == PAD else 2 + frame[position + 1]
    added = b"".join(bytes([code, len(value)]) + value for code, value in sorted(options.items())) + bytes([END])
    if position + len(added) > len(frame):
        return frame
    changed = bytearray(frame)
    changed[position : position + len(added)] = added
    changed[udp + 6 : udp + 8] = b"\0\0"
    return bytes(changed)


@contextlib.contextmanager
def inject(options: Mapping[int, bytes]) -> Iterator[Sequence[str]]:
    """Words of QEMU's argv that lead what its user network ``net`` sends to the guest through a thread of ours."""
    with contextlib.ExitStack() as stack:
        listeners = [stack.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(2)]
        thread = threading.Thread(target=_pass_on, args=(*listeners, options), daemon=True)
        thread.start()
        outgoing, incoming = (listener.getsockname()[1] for listener in listeners)
        yield [
            "-chardev", f"socket,id=dhcp-out,host=127.0.0.1,port={outgoing},nodelay=on",
            "-chardev", f"socket,id=dhcp-in,host=127.0.0.1,port={incoming}",
            "-object", "filter-redirector,id=dhcp,netdev=net,queue=tx,outdev=dhcp-out,indev=dhcp-in",
        ]  # fmt: skip
        for listener in listeners:
            # Wakes a thread that still waits for a machine.
            with contextlib.suppress(OSError):
                listener.shutdown(socket.SHUT_RDWR)
    thread.join(timeout=10)


def _pass_on(outgoing: socket.socket, incoming: socket.socket, options: Mapping[int, bytes]) -> None:
    with contextlib.suppress(OSError), outgoing.accept()[0] as source, incoming.accept()[0] as sink:
        sink.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        with source.makefile("rb") as stream:
            while len(head := stream.read(4)) == 4:
                frame = stream.read(struct.unpack(">I", head)[0])
                sink.sendall(head + with_options(frame, options))
