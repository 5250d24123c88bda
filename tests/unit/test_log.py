"""Where the log goes, and what does not get there."""

from __future__ import annotations

import logging
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from bambufs import log

CODE = "47281593"
logger = logging.getLogger("bambufs.test")


@pytest.fixture(autouse=True)
def logging_as_before() -> Iterator[None]:
    """Give pytest its handlers back."""
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
    log.set_up(file=file, secrets=(CODE,))
    logger.warning(f"PASS {CODE}")
    assert CODE not in file.read_text()
    assert "PASS ********" in file.read_text()


def test_secret_in_an_argument_is_blotted_out(file: Path) -> None:
    log.set_up(file=file, secrets=(CODE,))
    logger.warning("sent %s", {"password": CODE})
    assert CODE not in file.read_text()


def test_secret_in_a_traceback_is_blotted_out(file: Path) -> None:
    log.set_up(file=file, secrets=(CODE,))
    try:
        raise ValueError(f"PASS {CODE}")
    except ValueError:
        logger.exception("it failed")
    assert CODE not in file.read_text()
    assert "Traceback" in file.read_text()


def test_secret_on_standard_error_is_blotted_out(capsys: pytest.CaptureFixture[str]) -> None:
    log.set_up(secrets=(CODE,))
    logger.warning("PASS %s", CODE)
    assert CODE not in capsys.readouterr().err


def test_empty_secret_blots_out_nothing(file: Path) -> None:
    log.set_up(file=file, secrets=("",))
    logger.warning("plain")
    assert "WARNING plain" in file.read_text()


def test_name_that_is_not_utf_8_can_be_logged(file: Path) -> None:
    log.set_up(file=file)
    logger.warning("%s is odd", "/\udcff.3mf")
    assert r"/\udcff.3mf is odd" in file.read_text()
