"""LocalPart: a file on its way from the printer to this computer, under a part name until it is whole."""

from __future__ import annotations

import errno
import fcntl
import hashlib
import os
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Self

_PREFIX, _SUFFIX = ".bambufs-", ".part"


class LocalPart:
    """What will become ``target``, in a hidden file beside it that the ``with`` block writes to (`file`).

    ``version`` names what is being fetched (its printer, path, size and time): what an earlier try left of the very
    same version is taken up again; what it left of another is deleted. With ``keep`` a try that fails leaves what it
    has for the next one, else nothing.

    Raises `OSError` with EBUSY when somebody else is fetching to the same target, and what the local disk raises.
    """

    file: BinaryIO

    def __init__(self, target: Path, version: str, *, keep: bool) -> None:
        self._target, self._keep = target, keep
        stem = f"{_PREFIX}{_digest(target.name)}-"
        self.path = target.with_name(f"{stem}{_digest(version)}{_SUFFIX}")
        self._stem = stem

    def __enter__(self) -> Self:
        for other in self._target.parent.glob(f"{self._stem}*{_SUFFIX}"):
            if other != self.path:
                _remove_abandoned(other)
        number = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
        self.file = os.fdopen(number, "r+b")
        if not (_locked(number) and self._is_ours()):
            self.file.close()
            raise OSError(errno.EBUSY, "Another program is fetching this file just now", str(self._target))
        if not self._keep:
            self.file.truncate(0)
        return self

    def _is_ours(self) -> bool:
        """Whether what was opened is still the part: whoever had it may just have given it its final name."""
        try:
            return os.path.samestat(os.fstat(self.file.fileno()), self.path.stat())
        except FileNotFoundError:
            return False

    @property
    def size(self) -> int:
        """How many bytes there are."""
        return os.fstat(self.file.fileno()).st_size

    def publish(self, mtime: int) -> None:
        """It is whole: give it its time, and its name. Whatever had the name is replaced."""
        self.file.flush()
        os.fsync(self.file.fileno())
        os.utime(self.file.fileno(), (mtime, mtime))
        self.path.replace(self._target)

    def discard(self) -> None:
        """What there is is of no use."""
        self.path.unlink(missing_ok=True)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with suppress(OSError):
            self.file.flush()
        if error is not None and not (self._keep and self.size):
            self.discard()
        with suppress(OSError):  # what could not be written (a full disk) was told already
            self.file.close()


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()[:10]


def _locked(number: int) -> bool:
    try:
        fcntl.flock(number, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


def _remove_abandoned(part: Path) -> None:
    with suppress(OSError), open(part, "rb") as opened:
        if _locked(opened.fileno()):
            part.unlink()
