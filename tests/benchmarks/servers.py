"""The printers that the mounts are compared on, each behind a link of its own."""

from __future__ import annotations

import contextlib
import functools
import tempfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

from bambufs import simulator
from tests.support.ports import port_block
from tests.support.slowlink import Counts, relayed
from tests.support.vsftpd import vsftpd_printer


@dataclass(frozen=True)
class Scale:
    """How much work fits the server: sizes in bytes, numbers of files and of reads."""

    big: int = 24 << 20
    listed: int = 300
    small: int = 50
    copied: int = 500
    reads: int = 32
    film_seconds: int = 20


@dataclass(frozen=True)
class Link:
    """What lies between mount and card: a round trip in seconds, bytes per second each way (0: no limit)."""

    rtt: float
    rate: float

    def limit(self, moved: int) -> float:
        """Return the seconds below which ``moved`` bytes cannot be there, or 0 when nothing has to move."""
        return self.rtt + (moved / self.rate if self.rate else 0.0) if moved else 0.0


@dataclass(frozen=True)
class Site:
    """A running printer as a mount finds it. ``card`` is its storage on this machine's disk."""

    host: str
    port: int
    access_code: str
    serial: str
    card: Path
    counts: Callable[[], Counts] | None


@dataclass(frozen=True)
class Server:
    """A kind of printer, its link, and how much work is fit for it."""

    name: str
    title: str
    link: Link
    scale: Scale
    run: Callable[[Link], AbstractContextManager[Site]]
    patience: float = 240.0
    """Seconds after which a workload is hopeless: without REST, rclone fetches a file anew for each jump in it."""

    def open(self) -> AbstractContextManager[Site]:
        """Run it for the ``with`` block, with an empty card."""
        return self.run(self.link)


@contextlib.contextmanager
def _vsftpd(link: Link) -> Iterator[Site]:
    with vsftpd_printer() as server, contextlib.ExitStack() as stack:
        site = functools.partial(
            Site, port=server.port, access_code=server.access_code, serial=server.serial, card=server.root
        )
        if not link.rtt:
            yield site(host=server.host, counts=None)
            return
        ports = range(server.port, server.passive_ports[-1] + 1)
        relay = stack.enter_context(relayed(ports, rtt=link.rtt, rate=link.rate))
        yield site(host=relay.host, counts=relay.counts)


@contextlib.contextmanager
def _simulated_p1s(link: Link) -> Iterator[Site]:
    with tempfile.TemporaryDirectory(prefix="bambufs-bench-card-") as card, port_block() as ports:
        printer = simulator.Printer(
            model="p1s",
            card=Path(card),
            mqtt=False,
            ftps_port=ports[0],
            quirks={"data_port": ports[1]},
            rate=link.rate,
        )
        with printer, relayed(ports[:2], rtt=link.rtt, rate=0) as relay:
            yield Site(relay.host, ports[0], printer.access_code, printer.serial, printer.card, relay.counts)


_FAR = Scale(big=8 << 20, copied=100)
_SLOW = Scale(big=512 << 10, listed=60, small=10, copied=20, reads=4, film_seconds=2)

SERVERS = {
    server.name: server
    for server in (
        Server("loopback", "vsftpd on this machine", Link(0.0, 0.0), Scale(), _vsftpd),
        Server("wifi", "vsftpd, round trip 8 ms, 12 MB/s", Link(0.008, 12e6), Scale(), _vsftpd),
        Server("far", "vsftpd, round trip 30 ms, 2 MB/s", Link(0.030, 2e6), _FAR, _vsftpd),
        Server("p1s", "simulated P1S, round trip 8 ms, 70 kB/s", Link(0.008, 70e3), _SLOW, _simulated_p1s, 90.0),
    )
}
