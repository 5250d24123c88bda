"""Blocks of TCP ports that no other test run holds at the same time.

A server with a passive range cannot bind port 0, so each takes a block under a lock that the
kernel frees when the process ends, however it ends: a socket with an abstract name, which like
the ports belongs to this network namespace. The blocks lie below the ports that the kernel
hands out by itself (32768 and up), so a client's own port never stands in the way.
"""

from __future__ import annotations

import contextlib
import random
import socket
from collections.abc import Iterator

_FIRST, _LAST, _SIZE = 20000, 32000, 50


@contextlib.contextmanager
def port_block() -> Iterator[range]:
    """Lend `range(first, first + 50)` of ports that are free on loopback, for the ``with`` block.

    Raises `OSError` when every block is taken.
    """
    blocks = list(range(_FIRST, _LAST, _SIZE))
    random.SystemRandom().shuffle(blocks)
    for first in blocks:
        with _locked(first) as mine:
            ports = range(first, first + _SIZE)
            if mine and all(map(_is_free, ports)):
                yield ports
                return
    raise OSError("no free block of ports on loopback: are old test servers still running?")


@contextlib.contextmanager
def _locked(first: int) -> Iterator[bool]:
    with socket.socket(socket.AF_UNIX) as lock:
        try:
            lock.bind(f"\0bambufs-test-ports-{first}")
        except OSError:
            yield False
        else:
            yield True


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        # As servers do: a connection that is still in TIME_WAIT does not count.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("", port))
        except OSError:
            return False
    return True


def is_listening(host: str, port: int) -> bool:
    """Tell whether somebody listens on ``host``:``port`` without connecting to it.

    Connecting would use up a session, and show in the server's log.
    """
    wanted = f"{int.from_bytes(socket.inet_aton(host), 'little'):08X}:{port:04X}"
    with open("/proc/net/tcp") as table:
        rows = [line.split() for line in table]
    return any(row[1] == wanted and row[3] == "0A" for row in rows)
