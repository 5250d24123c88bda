"""A visit to a printer: one session, held from step to step, and a control connection beside it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from ..config import Config
from ..errors import CertificateRefused, PrinterError
from ..printer import doors, trust
from ..printer.discovery import Announcement, listen
from ..printer.link import PrinterLink
from ..printer.session import FtpsSession, Timeouts
from . import control, door, storage
from .finding import Finding


@dataclass
class Visit:
    """What the steps share. ``code_origin`` tells where the access code came from, ``mounted_on`` whether we are in.

    ``may_write`` lets a small file be written and read back. ``patience`` is how long the control connection may take,
    in seconds, and after ``slow_after`` a small file counts as slow; ``find`` looks for a printer that is not at its
    address. ``clock`` gives seconds since the epoch.
    """

    config: Config
    code_origin: str = ""
    mounted_on: Path | None = None
    may_write: bool = True
    timeouts: Timeouts = field(default_factory=Timeouts)
    patience: float = 20.0
    slow_after: float = 10.0
    find: Callable[[], Iterator[Announcement]] = lambda: listen(6.0)
    clock: Callable[[], float] = time.time

    session: FtpsSession | None = None
    certificate: bytes = b""
    trouble: PrinterError | None = None
    link: PrinterLink | None = None

    def open_session(self) -> FtpsSession:
        """One more session; its certificate is looked at, and not remembered. Raises as `FtpsSession.open` does."""
        return FtpsSession.open(doors.target(self.config, self._look_at), self.timeouts)

    def open_link(self) -> PrinterLink:
        """The control connection, not yet started."""
        return doors.open_link(self.config, self._look_at)

    @property
    def remembered(self) -> str | None:
        """The fingerprint of the certificate that is remembered for this printer."""
        return doors.trust_store(self.config.cache_dir).fingerprint(self.config.trust_key)

    def _look_at(self, certificate: bytes) -> None:
        self.certificate = certificate
        known = self.remembered
        if self.config.tls_trust == "first-use" and known not in (None, trust.fingerprint(certificate)):
            raise CertificateRefused("the printer shows another certificate than before")

    def close(self) -> None:
        """Leave the printer."""
        if self.link is not None:
            self.link.stop()
        if self.session is not None:
            self.session.quit()


def look_at_printer(visit: Visit) -> Iterator[Finding]:
    """Every step, one after the other; what cannot be looked at is told too."""
    try:
        yield from door.look(visit)
        is_let_in = visit.session is not None
        if is_let_in or door.control_may_answer(visit):
            visit.link = visit.open_link()
            visit.link.start()  # it has the time of the steps on files to make its connection
        yield from storage.look(visit)
        yield from control.look(visit)
    finally:
        visit.close()
