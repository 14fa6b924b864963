"""What a peer's bytes do to a libzmq: ``prove_libzmq.py LIBRARY [EXPECTED]``, with Python 3.10 up.

Loads the library, binds a ROUTER in a process of its own, and speaks ZMTP (RFC 23, 37) to it over a plain
socket, as no well-behaved peer would. Each attack is one that packaging/patches mends. It prints what became
of the process: it survives, aborts, swells (keeps more than four times what it was sent), or tells (answers
with bytes of its memory). With EXPECTED any other end is a failure.

Keys change nothing here: a peer that has one can say the same within CURVE.
"""

from __future__ import annotations

import ctypes
import os
import resource
import signal
import socket
import struct
import sys
import time
from pathlib import Path

ROUTER, RCVHWM, LAST_ENDPOINT, DONTWAIT = 6, 24, 32, 1
HIGH_WATER = 16
READY = b"\x05READY\x0bSocket-Type\x00\x00\x00\x06DEALER"
PING = b"\x04PING\x00\x00"


class Router:
    """A ROUTER in a child process, which takes nothing until it is told to."""

    def __init__(self, library: str) -> None:
        self.swollen = self.told = False
        self.say, take = os.pipe()[::-1]
        hear, tell = os.pipe()
        self.process = os.fork()
        if not self.process:
            os.close(self.say)
            os.close(hear)
            os.dup2(os.open(os.devnull, os.O_WRONLY), 2)  # the assertion's text
            resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
            signal.alarm(60)
            try:
                self.serve(ctypes.CDLL(library), take, tell)
            finally:
                os._exit(3)
        os.close(take)
        os.close(tell)
        self.hear = hear
        self.port = int(os.read(hear, 16))

    @staticmethod
    def serve(zmq: ctypes.CDLL, take: int, tell: int) -> None:
        """The child: for each byte that comes, receives what is there."""
        zmq.zmq_ctx_new.restype = zmq.zmq_socket.restype = ctypes.c_void_p
        context = ctypes.c_void_p(zmq.zmq_ctx_new())
        router = ctypes.c_void_p(zmq.zmq_socket(context, ROUTER))
        zmq.zmq_setsockopt(router, RCVHWM, ctypes.byref(ctypes.c_int(HIGH_WATER)), ctypes.c_size_t(4))
        zmq.zmq_bind(router, b"tcp://127.0.0.1:*")
        text, size = ctypes.create_string_buffer(64), ctypes.c_size_t(64)
        zmq.zmq_getsockopt(router, LAST_ENDPOINT, text, ctypes.byref(size))
        os.write(tell, text.value.rsplit(b":", 1)[1])
        buffer = ctypes.create_string_buffer(256)
        while os.read(take, 1):
            end = time.monotonic() + 0.2
            name = b""
            while time.monotonic() < end:
                size = zmq.zmq_recv(router, buffer, ctypes.c_size_t(256), DONTWAIT)
                if size < 0:
                    time.sleep(0.01)
                name = name or buffer.raw[: max(size, 0)]
            os.write(tell, name or b"-")
        os._exit(0)

    def take(self) -> bytes:
        """Has it receive for a while: the first message's routing id; nothing where the process has ended."""
        try:
            os.write(self.say, b"x")
        except BrokenPipeError:
            return b""
        return os.read(self.hear, 256)

    def end(self) -> str:
        """What became of it."""
        os.close(self.say)
        status = os.waitpid(self.process, 0)[1]
        if os.WIFSIGNALED(status):
            end = signal.Signals(os.WTERMSIG(status))
            return "aborts" if end == signal.SIGABRT else end.name
        if os.WEXITSTATUS(status):
            return "fails"
        return "swells" if self.swollen else "tells" if self.told else "survives"

    def memory(self) -> int:
        """Bytes that it has resident."""
        text = Path(f"/proc/{self.process}/statm").read_text()
        return int(text.split()[1]) * resource.getpagesize()


def frame(body: bytes, flags: int = 0) -> bytes:
    """A short frame, or a long one."""
    if len(body) < 256:
        return bytes((flags, len(body))) + body
    return bytes((flags | 2,)) + struct.pack(">Q", len(body)) + body


def peer(router: Router, identity: bytes = b"", more: bytes = b"") -> socket.socket:
    """A connection whose handshake (NULL) is over."""
    s = socket.create_connection(("127.0.0.1", router.port))
    s.sendall(b"\xff" + bytes(8) + b"\x7f\x03\x01" + b"NULL".ljust(20, b"\0") + bytes(32))
    name = b"\x08Identity" + struct.pack(">I", len(identity)) + identity if identity else b""
    s.sendall(frame(READY + name + more, 4))
    read = b""
    while len(read) < 66 or len(read) < 66 + read[65]:
        some = s.recv(4096)
        if not some:
            break
        read += some
    return s


def reset(s: socket.socket) -> None:
    """Ends a connection as a machine does that goes."""
    s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    s.close()


def ping_of_the_gone(router: Router) -> None:
    """A full queue, PINGs that were read ahead behind it, and a reset (upstream issue 4364)."""
    s = peer(router)
    s.sendall(frame(b"m") * (HIGH_WATER + 4) + frame(PING, 4) * 50)
    time.sleep(0.2)
    reset(s)
    time.sleep(0.2)
    router.take()


def name_of_the_next(router: Router) -> None:
    """A peer calls itself what the ROUTER is going to call the next without a name: a zero and a number.

    Here the number is asked for; who does not know it needs many connections, or luck.
    """
    first = peer(router)
    first.sendall(frame(b"m"))
    zero, number = struct.unpack(">BI", router.take())
    with peer(router, struct.pack(">BI", zero, number + 1)), peer(router), first:
        router.take()


def names_without_end(router: Router) -> None:
    """A handshake with a hundred thousand properties, each of which would be kept with the connection."""
    router.take()
    names = b"".join(b"\x04" + struct.pack(">I", i) + bytes(4) for i in range(100_000))
    before = router.memory()
    with peer(router, more=names):
        time.sleep(0.5)
        router.swollen = router.memory() - before > 4 * len(names)
    router.take()


def short_ping(router: Router) -> None:
    """A PING without its time and context: the answer must not hold what lies behind it in memory."""
    with peer(router) as s:
        s.sendall(frame(PING[:5], 4))
        s.settimeout(1)
        try:
            router.told = len(s.recv(64)) > len(frame(b"\x04PONG", 4))
        except TimeoutError:
            return


ATTACKS = (ping_of_the_gone, name_of_the_next, names_without_end, short_ping)


def main(library: str, expected: str = "") -> None:
    """Each attack on a process of its own."""
    failed = False
    for attack in ATTACKS:
        router = Router(library)
        attack(router)
        what = router.end()
        failed = failed or what != expected
        print(f"{attack.__name__.replace('_', ' ')}: {Path(library).name} {what}")
    if expected and failed:
        sys.exit(f"expected that {library} {expected} each of them")


if __name__ == "__main__":
    main(*sys.argv[1:])
