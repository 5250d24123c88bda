"""Where the log goes, and what does not get there."""

from __future__ import annotations

import logging
import stat
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from bambufs import log

CODE = "47281593"
logger = logging.getLogger("bambufs.test")


@pytest.fixture(autouse=True)
def logging_as_before(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Give pytest its handlers back."""
    monkeypatch.setattr(log, "_secrets", set())
    monkeypatch.setattr(threading, "excepthook", threading.excepthook)
    root, own = logging.getLogger(), logging.getLogger("bambufs")
    handlers, levels = list(root.handlers), (root.level, own.level)
    root.handlers.clear()
    yield
    for handler in root.handlers:
        handler.close()
    root.handlers[:] = handlers
    root.setLevel(levels[0])
    own.setLevel(levels[1])


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "state" / "bambufs.log"


def test_message_is_in_the_file(file: Path) -> None:
    log.set_up(file=file)
    logger.info("mounted on %s", "/mnt")
    assert file.read_text().endswith("INFO mounted on /mnt\n")


def test_file_is_for_its_owner_alone(file: Path) -> None:
    log.set_up(file=file)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_message_is_on_standard_error_without_a_file(capsys: pytest.CaptureFixture[str]) -> None:
    log.set_up()
    logger.warning("look here")
    assert "look here" in capsys.readouterr().err


def test_name_that_would_forge_a_line_or_steer_the_terminal_is_spelt_out(file: Path) -> None:
    log.set_up(file=file)
    logger.warning("%s: gone", "a\nERROR b\x1b[2J\r\x9b")
    assert file.read_text().endswith("WARNING a\\x0aERROR b\\x1b[2J\\x0d\\x9b: gone\n")


def test_traceback_keeps_its_lines(file: Path) -> None:
    log.set_up(file=file)
    try:
        raise ValueError("no")
    except ValueError:
        logger.exception("unforeseen")
    assert "unforeseen\nTraceback (most recent call last):\n" in file.read_text()


def test_every_step_is_told_only_when_asked_for(file: Path) -> None:
    log.set_up(file=file)
    logger.debug("a step")
    assert "a step" not in file.read_text()


def test_every_step_is_told_when_asked_for(file: Path) -> None:
    log.set_up(file=file, verbosity=1)
    logger.debug("a step")
    assert "a step" in file.read_text()


def test_libraries_keep_their_steps_for_themselves(file: Path) -> None:
    log.set_up(file=file, verbosity=1)
    logging.getLogger("paho").info("a step of theirs")
    assert "a step of theirs" not in file.read_text()


def test_setting_up_twice_tells_everything_once(file: Path) -> None:
    log.set_up(file=file)
    log.set_up(file=file)
    logger.warning("once")
    assert file.read_text().count("once") == 1


# --- secrets ----------------------------------------------------------------------------------------


def test_secret_in_a_message_is_blotted_out(file: Path) -> None:
    log.keep_secret(CODE)
    log.set_up(file=file)
    logger.warning(f"PASS {CODE}")
    assert CODE not in file.read_text()
    assert "PASS ********" in file.read_text()


def test_secret_in_an_argument_is_blotted_out(file: Path) -> None:
    log.keep_secret(CODE)
    log.set_up(file=file)
    logger.warning("sent %s", {"password": CODE})
    assert CODE not in file.read_text()


def test_secret_in_a_traceback_is_blotted_out(file: Path) -> None:
    log.keep_secret(CODE)
    log.set_up(file=file)
    try:
        raise ValueError(f"PASS {CODE}")
    except ValueError:
        logger.exception("it failed")
    assert CODE not in file.read_text()
    assert "Traceback" in file.read_text()


def test_secret_on_standard_error_is_blotted_out(capsys: pytest.CaptureFixture[str]) -> None:
    log.keep_secret(CODE)
    log.set_up()
    logger.warning("PASS %s", CODE)
    assert CODE not in capsys.readouterr().err


def test_empty_secret_blots_out_nothing(file: Path) -> None:
    log.keep_secret("")
    log.set_up(file=file)
    logger.warning("plain")
    assert "WARNING plain" in file.read_text()


def test_name_that_is_not_utf_8_can_be_logged(file: Path) -> None:
    log.set_up(file=file)
    logger.warning("%s is odd", "/\udcff.3mf")
    assert r"/\udcff.3mf is odd" in file.read_text()


# --- faults -----------------------------------------------------------------------------------------


@pytest.fixture
def faults(tmp_path: Path) -> Path:
    return tmp_path / "cache" / "faults.log"


def fail(what: str = "what happened") -> None:
    """Log a fault as a `except Exception` does."""
    try:
        raise KeyError(what)
    except KeyError:
        logger.exception("getattr failed in an unforeseen way")


def test_traceback_is_kept_off_the_terminal(faults: Path, capsys: pytest.CaptureFixture[str]) -> None:
    log.set_up(faults=faults)
    fail()
    told = capsys.readouterr().err
    assert told.count("\n") == 1
    assert f"getattr failed in an unforeseen way (KeyError; details are in {faults})" in told


def test_traceback_is_kept_in_a_file(faults: Path) -> None:
    log.set_up(faults=faults)
    fail()
    kept = faults.read_text()
    assert "Traceback" in kept
    assert "KeyError: 'what happened'" in kept
    assert stat.S_IMODE(faults.stat().st_mode) == 0o600


def test_traceback_is_shown_to_those_who_want_every_step(faults: Path, capsys: pytest.CaptureFixture[str]) -> None:
    log.set_up(faults=faults, verbosity=1)
    fail()
    assert "Traceback" in capsys.readouterr().err


def test_secret_in_a_kept_traceback_is_blotted_out(faults: Path) -> None:
    log.keep_secret(CODE)
    log.set_up(faults=faults)
    fail(f"PASS {CODE}")
    assert CODE not in faults.read_text()


def test_file_of_faults_stays_bounded(faults: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log, "_LARGEST_FAULTS", 5000)
    log.set_up(faults=faults)
    for _ in range(50):
        fail()
    assert sorted(file.name for file in faults.parent.iterdir()) == ["faults.log", "faults.log.1"]
    assert sum(file.stat().st_size for file in faults.parent.iterdir()) < 12_000


def test_file_of_faults_that_cannot_be_written_is_no_trouble(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "no folder").touch()
    log.set_up(faults=tmp_path / "no folder" / "faults.log")
    fail()
    assert "could not be kept" in capsys.readouterr().err


def test_log_is_rotated(file: Path) -> None:
    log.set_up(file=file, largest=2000)
    for number in range(500):
        logger.warning("line %d of many", number)
    assert sorted(kept.name for kept in file.parent.iterdir()) == ["bambufs.log", "bambufs.log.1", "bambufs.log.2"]
    assert sum(kept.stat().st_size for kept in file.parent.iterdir()) < 7000


def test_fault_of_a_thread_is_logged(file: Path) -> None:
    log.set_up(file=file)
    thread = threading.Thread(target=fail_badly, name="bambufs-list")
    thread.start()
    thread.join()
    assert "the thread bambufs-list ended in an unforeseen way" in file.read_text()


def fail_badly() -> None:
    raise KeyError("in a thread")
