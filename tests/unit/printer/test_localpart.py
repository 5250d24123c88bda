"""A file on its way to this computer, under a part name until it is whole."""

from __future__ import annotations

import errno
from pathlib import Path

import pytest

from bambufs.printer import localpart
from bambufs.printer.localpart import LocalPart


@pytest.mark.parametrize("keep", [True, False])
def test_file_that_another_one_has_just_fetched_is_left_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, keep: bool
) -> None:
    """The other one publishes it after we have opened its part, and before we have locked that."""
    target = tmp_path / "x.3mf"
    ours = LocalPart(target, "version", keep=keep)
    ours.path.write_bytes(b"whole")
    lock = localpart._locked

    def published_first(number: int) -> bool:
        ours.path.rename(target)
        return lock(number)

    monkeypatch.setattr(localpart, "_locked", published_first)
    with pytest.raises(OSError, match="Another program") as caught, ours:
        pass
    assert caught.value.errno == errno.EBUSY
    assert [(file.name, file.read_bytes()) for file in tmp_path.iterdir()] == [("x.3mf", b"whole")]
