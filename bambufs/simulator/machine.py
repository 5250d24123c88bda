"""What all parts of one simulated printer share."""

from __future__ import annotations

import random
import ssl
import tempfile
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from bambufs.simulator.card_store import Card
from bambufs.simulator.certificate import Identity
from bambufs.simulator.gates import Gates
from bambufs.simulator.hostile import Hostility, Pieces
from bambufs.simulator.log import CommandLog
from bambufs.simulator.quirks import Quirks
from bambufs.simulator.throttle import Throttle

Tamper = Callable[[bytes], Pieces]
"""Turns what the printer was to send into something else; an iterator may have no end."""

_VERSIONS = {
    "1.2": (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_2),
    "1.3": (ssl.TLSVersion.TLSv1_3, ssl.TLSVersion.TLSv1_3),
    "1.2+1.3": (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3),
}


@dataclass
class Machine:
    """The state of one printer that its servers work on."""

    serial: str
    access_code: str = field(repr=False)
    host: str
    quirks: Quirks
    card: Card
    throttle: Throttle
    identity: Identity
    clock: Callable[[], float]
    latency: float = 0.0
    seed: int = 0
    closing: threading.Event = field(default_factory=threading.Event)
    log: CommandLog = field(default_factory=CommandLog)
    gates: Gates = field(default_factory=Gates)
    reply_tampers: dict[str, Tamper] = field(default_factory=dict)
    data_tampers: dict[str, Tamper] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.random = random.Random(self.seed)
        quirks = self.quirks
        self.hostility = Hostility(
            seed=self.seed,
            kinds=lambda: quirks.text("hostile"),
            share=lambda: quirks.number("hostile_share"),
            closing=self.closing,
        )

    def reply(self, verb: str, honest: bytes) -> Pieces:
        """What goes out in place of a reply: a test's choice, else a hostile printer's."""
        tamper = self.reply_tampers.get(verb)
        return self.hostility.reply(verb, honest) if tamper is None else tamper(honest)

    def data(self, verb: str, honest: bytes) -> Iterator[memoryview]:
        """What goes out in place of a listing or of a file."""
        tamper = self.data_tampers.get(verb)
        if tamper is None:
            tamper = self.hostility.content if verb == "RETR" else self.hostility.listing
        pieces = tamper(honest)
        return map(memoryview, (pieces,) if isinstance(pieces, bytes) else pieces)

    def tampers_with(self, verb: str) -> bool:
        """Whether what ``verb`` sends has to be at hand as a whole."""
        return verb in self.data_tampers or bool(self.quirks.text("hostile"))

    def now(self) -> float:
        """The time by the printer's own clock."""
        return self.clock() + self.quirks.number("clock_error")

    def tls_context(self) -> ssl.SSLContext:
        """A fresh server context. Sessions can only be resumed within the context that made them."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version, context.maximum_version = _VERSIONS[self.quirks.text("tls")]
        with tempfile.TemporaryDirectory(prefix="bambufs-simulator-") as folder:
            path = Path(folder) / "printer.pem"
            self.identity.write(path, with_chain=self.quirks.flag("chain"))
            context.load_cert_chain(path)
        return context
