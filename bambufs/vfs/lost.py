"""LostFound: where content is kept that could not be stored on the printer. Nothing in it is ever deleted here."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from pathlib import Path

from ..errors import PrinterError
from .spool import SpoolFile, spool_name
from .transfers import Transfers

logger = logging.getLogger(__name__)


class LostFound:
    """The local ``folder``, named in the log and in ``transfers`` with every file that is put there."""

    def __init__(self, folder: Path, transfers: Transfers, clock: Callable[[], float] = time.time) -> None:
        self._folder, self._transfers, self._clock = folder, transfers, clock

    def put(self, path: str, spool: SpoolFile, error: BaseException | None) -> None:
        """Keep ``spool``, which was meant for ``path`` and failed with ``error``; an empty one is not worth it."""
        reason = error.message if isinstance(error, PrinterError) else str(error or "its upload failed")
        if not spool.size:
            logger.error("%s: the empty file was not stored on the printer: %s", path, reason)
            spool.discard()
            return
        kept = self._place(spool_name(path))
        spool.move(kept)
        spool.close()
        logger.error("%s: was not stored on the printer (%s); what was written is kept in %s", path, reason, kept)
        self._transfers.kept(path, str(kept), reason)

    def rescue(self, spool_folder: Path) -> Path:
        """``spool_folder``, there and empty: what was being written when an earlier mount was killed is kept."""
        spool_folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        for file in spool_folder.iterdir():
            kept = self._place(f"unfinished {file.name}")
            file.replace(kept)
            logger.warning("a file was being written when the last mount ended; it is kept in %s", kept)
            self._transfers.kept("?", str(kept), "the last mount was killed while it was being written")
        self._sum_up()
        return spool_folder

    def _sum_up(self) -> None:
        sizes = [file.stat().st_size for file in self._folder.iterdir()] if self._folder.is_dir() else []
        if sizes:
            total = sum(sizes) / 1e6
            logger.info("%d files (%.1f MB) that did not reach the printer are in %s", len(sizes), total, self._folder)

    def _place(self, name: str) -> Path:
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        stamp = time.strftime("%Y-%m-%d %H.%M.%S", time.localtime(self._clock()))
        return self._folder / f"{stamp} {name}"
