"""Streams: sends a file while it is still being written, so that a progress bar tells the truth.

A file that is written from its start to its end begins its way to the printer once some of it is there, under a part
name, as every upload does. The writer is held back to within `WINDOW` seconds of what has been sent. Whatever does not
fit ends the stream and costs nothing else, since all that is written is in the spool file too: a write elsewhere, a
cut, a writer that pauses, a printer that is lost. Then the file is uploaded when it is closed, as without a stream.
"""

from __future__ import annotations

import io
import logging
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress

from .. import interrupts
from ..errors import CalledOff, ConnectionDropped, Interrupted, again
from ..printer.card import Card
from ..printer.upload import Upload
from .handles import Node
from .spool import SpoolFile
from .transfers import Transfer, Transfers

logger = logging.getLogger(__name__)

WINDOW = 2.0
"""Seconds of sending, at the rate so far, by which a writer may be ahead."""

PAUSE = 4.0
"""Seconds for which the printer is kept waiting for the writer. ESP32 printers break off a STOR after 10 (from the
server that theirs descends from)."""

START_PATIENCE = 5.0
"""Seconds that a writer waits for the stream to begin; after that it goes on, and is held back once it has begun."""

_IMPATIENCE = 0.5
"""The same while somebody else waits for the printer."""

_FAIR_TRIAL = 1.0
"""Seconds before which the rate is not known: what goes out first only fills buffers on the way."""

_LEAST_AHEAD, _MOST_AHEAD = 128 * 1024, 32 << 20
_START, _START_SLOW = 1 << 20, 128 * 1024
"""Bytes after which it is worth a stream; at the rates of the families that is a second or two."""

_BLOCK = 64 * 1024
_LONG = 1e9


class Stream(io.RawIOBase):
    """One file on its way, and the source that its upload reads: it waits for what is not written yet."""

    def __init__(self, spool: SpoolFile, path: str, mtime: int, is_wanted: Callable[[], bool]) -> None:
        self._is_wanted = is_wanted
        self.upload = Upload(self, path, size=-1, mtime=mtime, on_progress=self._sent_so_far)  # type: ignore[arg-type]
        self._content = spool.reader()
        self._condition = threading.Condition()
        self._position = 0
        self._written = self._sent = 0
        self._made = time.monotonic()
        self._began: float | None = None
        self._awaited = 0
        self._is_whole = self._has_ended = False
        self._error: OSError | None = None
        self._transfer: Transfer | None = None

    # --- the upload's side ------------------------------------------------------------------------

    def run(self, card: Card, transfers: Transfers) -> None:
        """Carry out the upload; ends once the file is stored, or cannot be."""
        try:
            with interrupts.watched(lambda: self.upload.is_called_off):
                with transfers.running(self.upload.path, self._written, will_try_again=True) as self._transfer:
                    card.store(self.upload)
        except OSError as error:
            called_off = CalledOff("it was given up", self.upload.path)
            self._error = called_off if self.upload.is_called_off else error
            logger.debug("%s: not stored while it was written: %s", self.upload.path, error)
        except Exception:
            logger.exception("%s: storing failed in an unforeseen way", self.upload.path)
            self._error = ConnectionDropped("storing the file failed; see the log", self.upload.path)
        finally:
            self.end()

    def end(self) -> None:
        """Nothing more of it will be sent."""
        self._content.close()
        with self._condition:
            self._has_ended = True
            self._condition.notify_all()

    def seek(self, offset: int, whence: int = 0, /) -> int:
        """Begin again."""
        self._position = offset
        return offset

    def read(self, size: int = -1, /) -> bytes:
        """The next bytes, as soon as there are ``size`` or the file is whole; raises `CalledOff` after a pause."""
        with self._condition:
            self._await_locked(size)
            self.upload.check()
            end = self._written if size < 0 else min(self._position + size, self._written)
        self._content.seek(self._position)
        block = self._content.read(end - self._position)
        self._position += len(block)
        return block

    def _await_locked(self, size: int) -> None:
        deadline = time.monotonic() + (_IMPATIENCE if self._is_wanted() else PAUSE)
        self._awaited = self._position + size if size >= 0 else sys.maxsize
        self._condition.notify_all()
        try:
            if not interrupts.wait_for(self._condition, lambda: self._has_locked(size), deadline, time.monotonic):
                self.upload.call_off()
        finally:
            self._awaited = 0

    def _has_locked(self, size: int) -> bool:
        return self._is_whole or 0 <= size <= self._written - self._position

    def _sent_so_far(self, sent: int) -> None:
        with self._condition:
            if self._began is None or sent < self._sent:
                self._began = time.monotonic()
            self._sent = sent
            if self._transfer is not None:
                self._transfer.size = self._written
                self._transfer.progress(sent)
            self._condition.notify_all()

    # --- the writer's side ------------------------------------------------------------------------

    def grown(self, size: int) -> None:
        """The file now has ``size`` bytes."""
        with self._condition:
            self._written = size
            self._condition.notify_all()

    def hold_back(self) -> None:
        """Wait until the writer is not too far ahead; no longer than somebody wants to wait."""
        with suppress(Interrupted), self._condition:
            interrupts.wait_for(self._condition, self._is_near_locked, time.monotonic() + _LONG, time.monotonic)

    def _is_near_locked(self) -> bool:
        if self._has_ended or self._written < self._awaited:
            return True  # more is in the network's queue than it should be, but what is not written cannot be sent
        if self._began is None:
            return time.monotonic() - self._made > START_PATIENCE
        return self._written - self._sent <= self._window()

    def _window(self) -> float:
        seconds = max(time.monotonic() - (self._began or 0.0), _FAIR_TRIAL)
        return min(max(WINDOW * self._sent / seconds, _LEAST_AHEAD), _MOST_AHEAD)

    def give_up(self) -> None:
        """It is not wanted any more. Does not wait."""
        self.upload.call_off()
        with self._condition:
            self._condition.notify_all()

    def finish(self, size: int, mtime: int) -> bool:
        """The file is whole: wait until it is stored. False when the stream had ended before.

        Raises why storing failed, `CalledOff`, `Interrupted`.
        """
        with self._condition:
            if self._has_ended or self._written != size or self.upload.is_called_off:
                self.give_up()
                return False
            self.upload.complete(size, mtime)
            if self._transfer is not None:
                self._transfer.size, self._transfer.will_try_again = size, False
            self._is_whole = True
            self._condition.notify_all()
            try:
                interrupts.wait_for(
                    self._condition, lambda: self._has_ended, time.monotonic() + _LONG, time.monotonic
                )
            except Interrupted:
                self.upload.call_off()
                raise
        if self._error is not None:
            raise again(self._error)
        return True


class Streams:
    """Begins a stream for each file that is worth one, one at a time; or for none, unless ``is_on``."""

    def __init__(self, card: Card, transfers: Transfers, *, is_on: bool = True) -> None:
        self._card, self._transfers, self._is_on = card, transfers, is_on

    def wrote(self, node: Node, offset: int, length: int) -> None:
        """``length`` bytes were written to the node at ``offset``. The caller holds io_lock."""
        end = offset + length
        if node.spool is None or offset != node.in_order or end != node.spool.size:
            self.abandon(node)
            return
        node.in_order = end
        stream = node.stream
        if stream is not None:
            stream.grown(end)
        elif self._is_worth_it(node, end):
            self._begin(node, node.spool, end)

    def _begin(self, node: Node, spool: SpoolFile, size: int) -> None:
        stream = Stream(spool, node.path, node.mtime or 0, lambda: self._card.is_store_wanted)
        stream.upload.leaves = node.left_behind
        stream.grown(size)
        work = (self._card, self._transfers)
        try:
            threading.Thread(target=stream.run, args=work, name="bambufs-stream", daemon=True).start()
        except RuntimeError as error:  # no thread is to be had: it is uploaded when it is closed
            logger.debug("%s: not sent while it is written: %s", node.path, error)
            stream.end()
            node.in_order = -1
        else:
            node.stream, node.upload = stream, stream.upload

    def _is_worth_it(self, node: Node, size: int) -> bool:
        least = _START if self._card.family.pipelines else _START_SLOW
        can_start = self._card.renames and not self._card.is_storing
        return self._is_on and size >= least and not node.is_local and can_start

    def hold_back(self, node: Node) -> None:
        """Keep the writer of ``node`` near what has been sent. The caller holds no lock."""
        stream = node.stream
        if stream is not None:
            stream.hold_back()

    def cut(self, node: Node, length: int) -> None:
        """The node was cut to, or extended to, ``length`` bytes. The caller holds io_lock."""
        if length != node.in_order or length == 0:
            self.abandon(node)
            node.in_order = 0 if length == 0 else -1

    def abandon(self, node: Node) -> None:
        """End the stream of ``node``, if there is one: the file goes another way."""
        node.in_order = -1
        stream, node.stream = node.stream, None
        if stream is not None:
            stream.give_up()
            node.upload = None

    def finish(self, node: Node, size: int, mtime: int) -> str | None:
        """Bring the stream of ``node`` to its end; returns the path that the file got.

        None when there is none, or it did not get so far: then the file has to be uploaded. Raises why storing failed.
        """
        stream, node.stream = node.stream, None
        node.in_order = -1
        if stream is None:
            return None
        try:
            return stream.upload.path if stream.finish(size, mtime) else None
        except CalledOff:
            if node.is_removed:
                raise
            return None
        finally:
            node.upload = None
