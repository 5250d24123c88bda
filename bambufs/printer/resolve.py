"""From a printer's name to its addresses, within a time limit, and from memory when the name service fails.

`socket.getaddrinfo` waits as long as the system's resolver likes, and cannot be interrupted. So it runs in a thread of
its own. A printer that was found once is looked for at the same addresses when its name is not known any more: home
routers forget names, and the printer is still there.
"""

from __future__ import annotations

import ipaddress
import logging
import socket
import threading
import time
from typing import NamedTuple

from .. import interrupts

logger = logging.getLogger(__name__)


class Address(NamedTuple):
    """An address of a host, as `socket.socket` and `connect` take it."""

    family: int
    place: tuple[str | int | bytes, ...]


class _Query:
    """One question to the resolver, and its answer."""

    def __init__(self, host: str, port: int) -> None:
        self.host, self.port = host, port
        self.found: list[Address] = []
        self.error: OSError | UnicodeError | None = None
        self.is_done = False
        self.changed = threading.Condition()

    def ask(self) -> None:
        """Ask, and wait for the answer."""
        try:
            answers = socket.getaddrinfo(self.host, self.port, type=socket.SOCK_STREAM)
            self.found = [Address(family, place) for family, _, _, _, place in answers]
        except (OSError, UnicodeError) as error:
            self.error = error
        with self.changed:
            self.is_done = True
            self.changed.notify_all()

    def wait(self, seconds: float) -> None:
        """Wait for the answer in another thread; raises `Interrupted`."""
        threading.Thread(target=self.ask, name="bambufs-resolve", daemon=True).start()
        with self.changed:
            interrupts.wait_for(self.changed, lambda: self.is_done, time.monotonic() + seconds, time.monotonic)


_known: dict[tuple[str, int], list[Address]] = {}


def addresses(host: str, port: int, seconds: float) -> list[Address]:
    """The addresses of ``host``, asked for at most ``seconds``; the last ones known when there is no answer.

    Raises `socket.gaierror` for a name that was never found.
    """
    query = _Query(host, port)
    if _is_address(host):
        query.ask()
    else:
        query.wait(seconds)
    if query.found:
        _known[host, port] = query.found
        return query.found
    last = _known.get((host, port))
    if last is None:
        raise query.error or socket.gaierror(socket.EAI_AGAIN, "the name service does not answer")
    logger.info("the name %s is not found just now; trying the address that it had", host)
    return last


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return False
    return True
