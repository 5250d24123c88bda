"""Bad values for every argument of every command. A new argument without rows in the tables fails here."""

from __future__ import annotations

import argparse
from pathlib import Path

import pytest

from bambufs.cli import main, parser
from bambufs.config.settings import SETTINGS
from tests.badinput.conftest import CODE, EXIT_CODES, REACHED, Command, expect_one_sentence
from tests.badinput.rows import BASE, OPTIONS, line_with, make_places, name_of, rows_of, walk

EVERY = list(walk())
SWITCHES = [(command, action) for command, action in EVERY if action.option_strings and action.nargs == 0]
VALUED = [(command, action) for command, action in EVERY if (command, action) not in SWITCHES]
BAD = [(command, action, row) for command, action in VALUED for row in rows_of(command, action) or ()]

HOSTILE = ("", " ", "\n", "\r\n", "-", "--", "é", "\udcff", "\x1b[2J", "%s%n", "{}{0}", "../../x", "x" * 70_000)
"""Values that upset programs. Some are right for some arguments; none may end in a fault."""

LASTING = {"demo", "simulate"}
"""Commands that go on until Ctrl-C when all is right."""


@pytest.fixture(autouse=True)
def places(home: Path) -> None:
    make_places(home)


_SHARED = {setting.option for setting in SETTINGS.values() if setting.option} | {"-o", "PRINTER"}
_OFTEN = {"mount", "setup"}


def _tried(rows: list[tuple[str, argparse.Action]]) -> list[object]:
    """What many commands share is tried on two of them each time, and on all by `make soak`."""
    return [
        pytest.param(
            command,
            action,
            id=f"{command} {name_of(action)}",
            marks=[pytest.mark.slow] if name_of(action) in _SHARED and command not in _OFTEN else [],
        )
        for command, action in rows
    ]


def _names(rows: list[tuple[str, argparse.Action]]) -> list[str]:
    return [f"{command} {name_of(action)}" for command, action in rows]


# --- the tables are complete --------------------------------------------------------------------------


@pytest.mark.parametrize(("command", "action"), VALUED, ids=_names(VALUED))
def test_every_argument_has_rows_of_bad_input(command: str, action: argparse.Action) -> None:
    assert rows_of(command, action) is not None, f"add rows for {command} {name_of(action)} to tests/badinput/rows.py"


@pytest.mark.parametrize("command", sorted({command for command, _ in EVERY}))
def test_every_command_is_known_to_the_tables(command: str) -> None:
    assert command in BASE, f"say in tests/badinput/rows.py what {command} needs"


@pytest.mark.parametrize("name", sorted(setting.o_name for setting in SETTINGS.values() if setting.o_name))
def test_every_mount_option_has_a_row(name: str) -> None:
    assert any(row.value.partition("=")[0] == name for row in OPTIONS["-o"]), f"add a row for -o {name}"


def test_there_are_200_rows_at_least() -> None:
    assert len(BAD) >= 200


# --- every row ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(("command_name", "action"), _tried(VALUED))
def test_bad_values(command_name: str, action: argparse.Action, home: Path, command: Command) -> None:
    wrong = []
    for row in rows_of(command_name, action) or ():
        told = command(*line_with(command_name, action, row.value.replace("{}", str(home))))
        if told.code != row.code or row.words not in told.sentence:
            wrong.append(f"{row.value[:60]!r}: wanted {row.code} with {row.words!r}, got {told.code}: {told.sentence}")
    assert wrong == []


def test_switch_with_a_value(command: Command) -> None:
    for command_name, action in {name_of(action): (name, action) for name, action in SWITCHES}.values():
        assert command(*command_name.split(), *BASE[command_name], f"{action.option_strings[-1]}=yes").code == 2


def test_option_without_a_value(command: Command) -> None:
    for command_name, action in {name_of(action): (name, action) for name, action in VALUED}.values():
        if action.option_strings:
            assert command(*command_name.split(), *BASE[command_name], action.option_strings[-1]).code == 2


@pytest.mark.parametrize(("command_name", "action"), _tried([row for row in VALUED if row[0] not in LASTING]))
def test_hostile_value_is_no_fault(command_name: str, action: argparse.Action, command: Command) -> None:
    for value in HOSTILE:
        told = command(*line_with(command_name, action, value))
        assert told.code in EXIT_CODES, (value[:20], told)


@pytest.mark.parametrize("words", ["bogus", "mount", "mount a b c", "mount --bogus", "--bogus", "config x", "-"])
def test_wrong_usage(words: str, command: Command) -> None:
    assert command(*words.split()).code == 2


@pytest.mark.parametrize("words", [["--access-code", CODE], [f"--access-code={CODE}"], ["--password", CODE]], ids=str)
def test_access_code_as_an_argument_is_not_repeated(words: list[str], command: Command) -> None:
    assert command("mount", "127.0.0.1", "mnt", *words).code == 2


@pytest.mark.parametrize("command_name", ["mount", "status", "print"])
def test_good_command_line_reaches_the_printer(command_name: str, command: Command) -> None:
    assert command(command_name, *BASE[command_name]).code == REACHED


# --- faults -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("fault", [KeyError(CODE), RecursionError(), MemoryError(), UnicodeError("x")])
def test_fault_ends_in_a_sentence_and_9(
    fault: Exception, home: Path, monkeypatch: pytest.MonkeyPatch, command: Command
) -> None:
    def fail(*things: object, **more: object) -> None:
        raise fault

    monkeypatch.setattr("bambufs.cli.mount.open_filesystem", fail)
    told = command("mount", "127.0.0.1", "mnt")
    kept = home / ".cache/bambufs/faults.log"
    assert told.code == 9
    assert "fault in bambufs itself" in told.sentence
    assert str(kept) in told.sentence
    assert "Traceback" in kept.read_text()
    assert CODE not in kept.read_text()


def test_fault_in_the_parser_ends_in_a_sentence(
    home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(**more: object) -> None:
        raise KeyError("x")

    monkeypatch.setattr(parser, "make_parser", fail)
    assert main(["mount"]) == 9
    expect_one_sentence(capsys.readouterr().err)
