"""Access: the way to a printer's sessions for the verbs of `Card`, and how to go on when one breaks."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

from ..errors import ConnectionDropped
from .family import ESP32, Family
from .janitor import Janitor
from .pool import SessionPool
from .session import FtpsSession

logger = logging.getLogger(__name__)

Result = TypeVar("Result")

METADATA_PATIENCE = 20.0
BULK_PATIENCE = 900.0
"""Seconds that a transfer waits for its turn behind others, which are bounded by their own stall time-outs."""


class Access:
    """Lends the sessions of ``pool``. The `janitor` lives from the first one on."""

    def __init__(self, pool: SessionPool[FtpsSession]) -> None:
        self.pool, self.janitor = pool, Janitor(pool.retire)
        self._family: Family | None = None

    @property
    def family(self) -> Family:
        """The printer's family; before the first session the more limited one."""
        return self._family or ESP32

    @contextmanager
    def lend(self, *, bulk: bool = False, patience: float = METADATA_PATIENCE) -> Iterator[FtpsSession]:
        """Lend a session; see `SessionPool.lend`."""
        with self.pool.lend(bulk=bulk, patience=patience) as session:
            self._family = session.family
            session.be_patient(long=bulk)
            self.janitor.start()
            yield session

    def again_once(self, verb: Callable[[], Result]) -> Result:
        """Run a verb that changes nothing, and once more when the connection turned out to be dead."""
        try:
            return verb()
        except ConnectionDropped as lost:
            logger.debug("trying once more: %s", lost)
            return verb()

    def simply(self, verb: Callable[[FtpsSession], None]) -> None:
        """Run ``verb`` on a session."""
        with self.lend() as session:
            verb(session)

    def settle(self, verb: Callable[[], None], is_done: Callable[[], bool]) -> None:
        """Run a verb that changes something; when the connection broke, repeat it unless it took effect."""
        try:
            verb()
        except ConnectionDropped as lost:
            logger.debug("looking whether it happened: %s", lost)
            if not is_done():
                verb()
