"""Root: everything that the mount shows: the card's files, and beside them the control folder and the drop folder.

Each verb goes to one of them, by its path or by its handle.
"""

from __future__ import annotations

import errno
from typing import Protocol

from ..errors import PrinterError, os_error
from ..printer import paths
from . import dropfolder
from .attributes import Attributes
from .control import FOLDER, HANDLE_BIT, ControlFolder
from .dropfolder import DropFolder
from .filesystem import FileSystem, Space
from .writeback import Remaining, Tell


class Service(Protocol):
    """Something that runs beside the mount for as long as it lives."""

    def start(self) -> None:
        """Begin; never waits."""

    def wait_ready(self, timeout: float) -> None:
        """Wait until it works, at most ``timeout`` seconds; raises `PrinterError` why it does not."""

    def stop(self) -> None:
        """End, within a few seconds."""


class Root:
    """The verbs of `FileSystem`, with the control folder in them, and the drop folder where one is wanted.

    ``service`` is started and stopped with the mount.
    """

    def __init__(
        self,
        filesystem: FileSystem,
        control: ControlFolder,
        *,
        drop: DropFolder | None = None,
        service: Service | None = None,
    ) -> None:
        self._fs, self._control, self._drop, self._service = filesystem, control, drop, service

    def start(self) -> None:
        """Begin what runs beside the mount. To be called after any fork."""
        self._fs.start()
        if self._service is not None:
            self._service.start()

    def connect(self) -> None:
        """Make sure that the printer lets us in. Raises what stands in the way."""
        self._fs.connect()
        self._fs.look_ahead()

    def is_controllable(self, patience: float) -> bool:
        """Whether the printer answers on its control connection, within ``patience`` seconds."""
        try:
            if self._service is not None:
                self._service.wait_ready(patience)
            return self._service is not None
        except PrinterError:
            return False

    def close(self, tell: Tell = lambda remaining: None) -> Remaining:
        """Let go of everything; no verb may follow. See `FileSystem.close`."""
        if self._service is not None:
            self._service.stop()
        if self._drop is not None:
            self._drop.close()
        return self._fs.close(tell)

    @staticmethod
    def is_live(fh: int | None) -> bool:
        """Whether a handle is on a control file, whose content is made on the spot."""
        return fh is not None and bool(fh & HANDLE_BIT)

    @staticmethod
    def _is_control(path: str | None) -> bool:
        return path is not None and ControlFolder.owns(path)

    def _is_dropped(self, path: str | None) -> bool:
        return path is not None and self._drop is not None and self._drop.owns(path)

    def _at(self, path: str | None, fh: int | None = None) -> FileSystem | DropFolder:
        """Who has the file at ``path``, or behind ``fh``, of those that are not control files."""
        if self._drop is None:
            return self._fs
        is_dropped = bool(fh & dropfolder.HANDLE_BIT) if fh is not None else self._is_dropped(path)
        return self._drop if is_dropped else self._fs

    def _by(self, fh: int) -> FileSystem | DropFolder | ControlFolder:
        """Who has the open file behind ``fh``."""
        return self._control if self.is_live(fh) else self._at(None, fh)

    # --- looking ----------------------------------------------------------------------------------

    def getattr(self, path: str | None, fh: int | None = None) -> Attributes:
        """See `FileSystem.getattr`."""
        if fh is not None and self.is_live(fh):
            return self._control.attributes_of(fh)
        if fh is not None or path is None or not self._is_control(path):
            return self._at(path, fh).getattr(path, fh)
        attributes = self._control.attributes(path)
        if attributes is None:
            raise os_error(errno.ENOENT, path)
        return attributes

    def readdir(self, path: str) -> list[tuple[str, Attributes]]:
        """See `FileSystem.readdir`. The control folder is listed in the root only when asked for."""
        if not self._is_control(path):
            entries = self._at(path).readdir(path)
            return self._with_ours(entries) if path == paths.ROOT else entries
        if path != FOLDER:
            raise os_error(errno.ENOTDIR, path)
        return [(name, self.getattr(paths.join(FOLDER, name))) for name in self._control.names()]

    def _with_ours(self, entries: list[tuple[str, Attributes]]) -> list[tuple[str, Attributes]]:
        """The root's entries with the folders that are not on the card."""
        ours = [FOLDER] if self._control.is_listed else []
        ours += [self._drop.path] if self._drop is not None else []
        kept = [(name, attributes) for name, attributes in entries if f"/{name}" not in ours]
        return kept + [(path[1:], self.getattr(path)) for path in ours]

    def access(self, path: str, mode: int) -> None:
        """See `FileSystem.access`."""
        self.getattr(path)

    def statfs(self) -> Space:
        """See `FileSystem.statfs`."""
        return self._fs.statfs()

    # --- files ------------------------------------------------------------------------------------

    def open(self, path: str, flags: int) -> int:
        """See `FileSystem.open`."""
        return self._control.open(path, flags) if self._is_control(path) else self._at(path).open(path, flags)

    def version_of(self, fh: int) -> tuple[int, int] | None:
        """See `FileSystem.version_of`; only what lies on the card has one."""
        return self._fs.version_of(fh) if self._by(fh) is self._fs else None

    def create(self, path: str, flags: int) -> int:
        """See `FileSystem.create`; the control folder takes no new files."""
        if not self._is_control(path):
            return self._at(path).create(path, flags)
        if self._control.attributes(path) is None:
            raise os_error(errno.EPERM, path)
        return self._control.open(path, flags)

    def read(self, fh: int, size: int, offset: int) -> bytes:
        """See `FileSystem.read`."""
        return self._by(fh).read(fh, size, offset)

    def write(self, fh: int, data: bytes | memoryview, offset: int) -> int:
        """See `FileSystem.write`; on a control file it acts at once."""
        if self.is_live(fh):
            return self._control.write(fh, bytes(data), offset)
        return self._at(None, fh).write(fh, data, offset)

    def truncate(self, path: str | None, length: int, fh: int | None = None) -> None:
        """See `FileSystem.truncate`; a control file needs no emptying."""
        if not self.is_live(fh) and not self._is_control(path):
            self._at(path, fh).truncate(path, length, fh)

    def flush(self, fh: int) -> None:
        """See `FileSystem.flush`."""
        self._by(fh).flush(fh)

    def fsync(self, fh: int) -> None:
        """See `FileSystem.fsync`."""
        if not self.is_live(fh):
            self._at(None, fh).fsync(fh)

    def cut_off(self, fh: int) -> str | None:
        """See `FileSystem.cut_off`."""
        return self._by(fh).cut_off(fh)

    def release(self, fh: int) -> None:
        """See `FileSystem.release`."""
        self._by(fh).release(fh)

    def check_settable(self, path: str) -> None:
        """See `FileSystem.check_settable`."""
        if self._is_control(path):
            self.getattr(path)
        else:
            self._at(path).check_settable(path)

    def utimens(self, path: str | None, mtime: int | None, fh: int | None = None) -> None:
        """See `FileSystem.utimens`; a control file's time is always now."""
        if not self.is_live(fh) and not self._is_control(path):
            self._at(path, fh).utimens(path, mtime, fh)

    # --- names ------------------------------------------------------------------------------------

    def rename(self, old: str, new: str, *, replace: bool = True) -> None:
        """See `FileSystem.rename`."""
        self._refuse_control(old, new)
        there = self._at(new)
        if self._at(old) is not there:
            # With EXDEV, mv copies and deletes. Out of the drop folder that is right; into it, it would delete the file
            # that is being printed.
            raise os_error(errno.EPERM if self._is_dropped(new) else errno.EXDEV, new)
        self._refuse_drop_folder(old, new)
        there.rename(old, new, replace=replace)

    def unlink(self, path: str) -> None:
        """See `FileSystem.unlink`."""
        self._refuse_control(path)
        if self._drop is not None and path == self._drop.path:
            raise os_error(errno.EISDIR, path)
        self._at(path).unlink(path)

    def mkdir(self, path: str) -> None:
        """See `FileSystem.mkdir`; neither the control folder nor the drop folder holds folders."""
        if path == FOLDER or (self._drop is not None and path == self._drop.path):
            raise os_error(errno.EEXIST, path)
        self._refuse_control(path)
        if self._is_dropped(path):
            raise os_error(errno.EPERM, path)
        self._fs.mkdir(path)

    def rmdir(self, path: str) -> None:
        """See `FileSystem.rmdir`."""
        self._refuse_control(path)
        self._refuse_drop_folder(path)
        self._fs.rmdir(path)

    def _refuse_control(self, *touched: str) -> None:
        """The control folder and its files cannot be made, moved or removed."""
        for path in touched:
            if self._is_control(path):
                raise os_error(errno.EPERM, path)

    def _refuse_drop_folder(self, *touched: str) -> None:
        """The drop folder itself cannot be moved or removed."""
        if self._drop is not None and self._drop.path in touched:
            raise os_error(errno.EPERM, self._drop.path)
