"""The commands and their options."""

from __future__ import annotations

import argparse
from collections.abc import Iterator

import pytest

from bambufs import __version__
from bambufs.cli import main
from bambufs.cli.parser import make_parser
from bambufs.config.settings import SETTINGS


def commands() -> list[str]:
    """Every command there is."""
    actions = [action for action in make_parser()._actions if isinstance(action, argparse._SubParsersAction)]
    return sorted(actions[0].choices)


def outcome(*arguments: str) -> object:
    """The exit code of a command line that ends in the parser."""
    try:
        return main(list(arguments))
    except SystemExit as end:  # as after --help
        return end.code


@pytest.mark.parametrize("command", commands())
def test_help_of_every_command_is_good(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert outcome(command, "--help") == 0
    assert capsys.readouterr().out.startswith(f"usage: bambufs {command}")


def test_help_names_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    assert outcome("--help") == 0
    shown = capsys.readouterr().out
    assert [command for command in commands() if command not in shown] == []


def test_expected_commands_are_there() -> None:
    assert {"mount", "unmount", "print", "status", "trust", "demo", "simulate"} <= set(commands())


def test_version_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    assert outcome("--version") == 0
    assert capsys.readouterr().out == f"bambufs {__version__}\n"


@pytest.mark.parametrize(
    "arguments",
    [
        ["bogus"],
        ["mount"],
        ["mount", "printer", "/mnt", "extra"],
        ["mount", "printer", "/mnt", "--bogus"],
        ["mount", "printer", "/mnt", "--ttl", "soon"],
        ["mount", "printer", "/mnt", "--umask", "9"],
        ["mount", "printer", "/mnt", "--tls-trust", "maybe"],
        ["mount", "printer", "/mnt", "--ftps-port", "x"],
    ],
    ids=" ".join,
)
def test_wrong_usage_ends_with_2(arguments: list[str]) -> None:
    assert outcome(*arguments) == 2


def test_no_command_at_all_shows_the_help(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 2
    told = capsys.readouterr()
    assert "usage: bambufs" in told.out + told.err


def test_access_code_is_no_option() -> None:
    assert outcome("mount", "printer", "/mnt", "--access-code", "12345678") == 2


def test_help_tells_every_exit_code(capsys: pytest.CaptureFixture[str]) -> None:
    outcome("mount", "--help")
    shown = capsys.readouterr().out.partition("exit codes:")[2]
    assert [code for code in "012345678" if f"{code} " not in shown] == []


def actions(parser: argparse.ArgumentParser) -> Iterator[argparse.Action]:
    """Every option and argument of every command."""
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for command in action.choices.values():
                yield from actions(command)
        else:
            yield action


def test_what_is_kept_under_the_name_of_a_setting_is_that_setting() -> None:
    """What the command line says is read by these names, so an option that borrowed one would change the setting."""
    own = [action for action in actions(make_parser()) if action.dest in SETTINGS and action.dest != "mountpoint"]
    borrowed = [action.dest for action in own if action.option_strings != [SETTINGS[action.dest].option]]
    assert own
    assert borrowed == []


def test_every_option_behind_o_is_in_the_help(capsys: pytest.CaptureFixture[str]) -> None:
    outcome("mount", "--help")
    shown = capsys.readouterr().out.partition("options for -o")[2]
    assert [setting.o_name for setting in SETTINGS.values() if setting.o_name and setting.o_name not in shown] == []
