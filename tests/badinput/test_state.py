"""Damaged files of bambufs's own on this computer: it starts without them, or says in one sentence what to do."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from bambufs.cli import main
from bambufs.mount import binding, daemon
from bambufs.simulator import Printer
from tests.badinput.conftest import CODE, Library, expect_one_sentence

NONSENSE = b"\0\xff{nonsense" * 1000

Damage = Callable[[Path], object]


def in_place_of_all(folder: Path) -> None:
    """A file stands where the whole folder should."""
    folder.rmdir()
    folder.touch()


def content(name: str, data: bytes) -> Damage:
    """A file holds what it should not."""
    return lambda folder: (folder / name).write_bytes(data)


def folder_in_place_of(name: str) -> Damage:
    """A folder stands where a file should."""
    return lambda folder: (folder / name / "below").mkdir(parents=True)


def file_in_place_of(name: str) -> Damage:
    """A file stands where a folder should."""
    return lambda folder: (folder / name).write_bytes(b"x")


HEALED: dict[str, Damage] = {
    "times.sqlite: nonsense": content("times.sqlite", NONSENSE),
    "times.sqlite: empty": content("times.sqlite", b""),
    "times.sqlite: cut short": content("times.sqlite", b"SQLite format 3\0" + bytes(100)),
    "times.sqlite-wal: nonsense": content("times.sqlite-wal", NONSENSE),
    "times.sqlite: of another program": content("times.sqlite", b"SQLite format 3\0" + NONSENSE),
    "trust.json: nonsense": content("../trust.json", NONSENSE),
    "trust.json: empty": content("../trust.json", b""),
    "trust.json: torn": content("../trust.json", b'{"01S00C0'),
    "trust.json: a list": content("../trust.json", b"[1, 2]"),
    "trust.json: deep": content("../trust.json", b"[" * 100_000),
    "trust.json: other values": content("../trust.json", b'{"a": {"b": [1]}}'),
    "trust.json.lock: a folder": folder_in_place_of("../trust.json.lock"),
    "lock: content": content("lock", NONSENSE),
    "journal: nonsense": lambda folder: _nested(folder, "journal/x.json", NONSENSE),
    "journal: torn": lambda folder: _nested(folder, "journal/0001.json", b'{"id": "0001", "path": "/x'),
    "spool: a folder in it": folder_in_place_of("spool/odd"),
    "overlay: strange files": lambda folder: _nested(folder, "overlay/.x/y", NONSENSE),
    "blocks: strange files": lambda folder: _nested(folder, "blocks/x", NONSENSE),
    "print: strange files": lambda folder: _nested(folder, "print/x", NONSENSE),
}
"""What a mount gets over by itself: what was remembered is lost, nothing else."""

TOLD: dict[str, tuple[Damage, str]] = {
    "times.sqlite: a folder": (folder_in_place_of("times.sqlite"), "times.sqlite"),
    "trust.json: a folder": (folder_in_place_of("../trust.json"), "trust.json cannot be read"),
    "parts: a file": (file_in_place_of("parts"), "parts"),
    "lock: a folder": (folder_in_place_of("lock"), "cannot be used"),
    "spool: a file": (file_in_place_of("spool"), "spool"),
    "blocks: a file": (file_in_place_of("blocks"), "blocks"),
    "overlay: a file": (file_in_place_of("overlay"), "overlay"),
    "journal: a file": (file_in_place_of("journal"), "journal"),
    "print: a file": (file_in_place_of("print"), "print"),
    "bambufs.log: a folder": (folder_in_place_of("bambufs.log"), "bambufs.log"),
    "the whole folder: a file": (in_place_of_all, "cannot be used"),
}
"""What a person has to look at: the sentence names it."""


def _nested(folder: Path, name: str, data: bytes) -> bool:
    (folder / name).parent.mkdir(parents=True, exist_ok=True)
    return bool((folder / name).write_bytes(data) or True)


@pytest.fixture(scope="module")
def printer(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Printer]:
    with Printer(card=tmp_path_factory.mktemp("card"), access_code=CODE, mqtt=False) as printer:
        yield printer


Mount = Callable[[], int]


@pytest.fixture
def mount(home: Path, printer: Printer, monkeypatch: pytest.MonkeyPatch) -> Mount:
    """Mounts the simulated printer without a kernel; returns the exit code."""
    monkeypatch.setattr(binding, "choose", lambda wanted=None: Library())
    monkeypatch.setattr(daemon, "detach", lambda work, explain: work(lambda: None))
    words = ["mount", printer.host, "mnt", "--ftps-port", str(printer.ftps_port), "--cache-dir", "cache"]
    return lambda: main([*words, "--mqtt-port", "9"])


@pytest.fixture
def folder(home: Path, printer: Printer) -> Path:
    """The printer's folder on this computer."""
    place = home / "cache" / f"{printer.host}_{printer.ftps_port}"
    place.mkdir(parents=True)
    return place


@pytest.mark.parametrize("kind", HEALED)
def test_mount_gets_over_it(kind: str, folder: Path, mount: Mount, capsys: pytest.CaptureFixture[str]) -> None:
    HEALED[kind](folder)
    assert mount() == 0, capsys.readouterr().err
    assert mount() == 0, capsys.readouterr().err


@pytest.mark.parametrize("kind", TOLD)
def test_mount_says_what_is_in_the_way(
    kind: str, folder: Path, mount: Mount, capsys: pytest.CaptureFixture[str]
) -> None:
    damage, words = TOLD[kind]
    damage(folder)
    code, told = mount(), capsys.readouterr().err
    expect_one_sentence(told)
    assert code in (1, 2, 7), told
    assert words in told


def test_lost_files_are_kept(folder: Path, mount: Mount) -> None:
    _nested(folder, "lost+found/2025-06-15 12.00.00 benchy.3mf", b"content")
    mount()
    assert [file.read_bytes() for file in (folder / "lost+found").iterdir()] == [b"content"]


def test_clean_end_leaves_nothing_behind(folder: Path, mount: Mount) -> None:
    mount()
    left = {place.name for place in folder.rglob("*") if place.is_file()}
    assert left <= {"bambufs.log", "lock", "times.sqlite"}, left
    assert os.listdir(folder / "spool") == []


