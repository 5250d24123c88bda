"""The tables of what a person may get wrong on the command line: the value, the exit code, and words of the sentence.

Values may hold ``{}``, which stands for the test's folder. What is in there is made by `PLACES`.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from bambufs.cli.parser import make_parser
from tests.badinput.conftest import CODE


class Row(NamedTuple):
    """A bad value, how it ends, and some words of what is said."""

    value: str
    code: int
    words: str


PLACES = {
    "file": b"",
    "empty-code": b"\n",
    "binary-code": b"\xff\xfe\0",
    "two-lines": CODE.encode() + b"\n" + CODE.encode(),
    "long-code": b"x" * 5000,
    "not-pem": b"-----BEGIN CERTIFICATE-----\nnonsense\n-----END CERTIFICATE-----\n",
}
"""Files in the test's folder, readable by their owner alone."""

_LONG = "x" * 300
_MANY = "9" * 5000

_MOMENTS = ("soon", "2025-13-01", "7", "-1d", "7D", "0001-01-01", "9999-12-31T23:59:59+00:00x", "9999999d")

BASE = {
    "mount": ["127.0.0.1", "mnt"],
    "unmount": ["mnt"],
    "print": ["127.0.0.1", "printer:/x.3mf"],
    "status": ["127.0.0.1"],
    "trust": ["127.0.0.1"],
    "config": [],
    "config show": ["127.0.0.1"],
    "config check": [],
    "config example": [],
    "discover": [],
    "check": ["127.0.0.1"],
    "setup": ["--printer=127.0.0.1", "--name=garage", "--mountpoint=new", "--yes", "--no-enable"],
    "ls": ["127.0.0.1", "/"],
    "get": ["127.0.0.1", "/x.3mf", "mnt"],
    "put": ["127.0.0.1", "x.3mf", "/cache"],
    "rm": ["127.0.0.1", "/x.3mf"],
    "mkdir": ["127.0.0.1", "/new"],
    "mv": ["127.0.0.1", "/old", "/new"],
    "timelapse": ["127.0.0.1", "mnt"],
    "clean": ["127.0.0.1", "--keep=1"],
    "recover": ["127.0.0.1"],
    "info": ["127.0.0.1:/x.3mf"],
    "demo": [],
    "simulate": [],
    "completion": ["bash"],
}
"""What else a command needs: with it alone, everything is right."""

PORT = [Row(text, 2, "port") for text in ("0", "-1", "65536")]
PORT += [Row(text, 2, "argument") for text in ("x", "", "9.5", _MANY)]
PLACE = [Row("", 2, "path"), Row("{}/file", 2, "not a directory"), Row("{}/file/below", 2, "not a directory")]
PLACE += [Row(f"{{}}/{_LONG}", 2, "name too long"), Row("/proc/nowhere", 2, "/proc/nowhere")]

OPTIONS: dict[str, list[Row]] = {
    "--serial": [Row(text, 2, "serial") for text in ("a b", "../..", "é", "01P\n", "#", "+")],
    "--access-code-file": [
        Row("{}/nowhere", 2, "no such file"),
        Row("{}", 2, "is a directory"),
        Row("{}/empty-code", 2, "is empty"),
        Row("{}/binary-code", 2, "not text"),
        Row("{}/two-lines", 2, "odd characters"),
        Row("{}/long-code", 2, "too long"),
        Row("{}/file/below", 2, "not a directory"),
        Row("", 2, "path"),
        Row("/dev/null", 2, "chmod 600"),
    ],
    "--ftps-port": PORT,
    "--mqtt-port": PORT,
    "--tls-trust": [Row(text, 2, "--tls-trust") for text in ("maybe", "", "CA", "first-use,ca")]
    + [Row("ca", 2, "tls_ca=FILE")],
    "--cache-dir": PLACE,
    "--log-file": [
        Row("{}", 1, "is a directory"),
        Row("{}/file/below", 1, "file"),
        Row("", 2, "path"),
        Row(f"{{}}/{_LONG}", 1, "too long"),
    ],
    "--ttl": [Row(text, 2, "--ttl") for text in ("-1", "nan", "inf", "86401", "soon", "", "1e999", "5s")],
    "--card-size": [Row(text, 2, "size") for text in ("0", "-1", "big", "", "1e9", _MANY, "32 GiBB", "9999999T")],
    "--uid": [Row(text, 2, "uid") for text in ("me", "", "-1", "4294967295", "1.5", _MANY)],
    "--gid": [Row(text, 2, "gid") for text in ("me", "", "-1", "4294967295")],
    "--umask": [Row(text, 2, "umask") for text in ("9", "-1", "1000", "", "u=rwx")],
    "--drop-folder": [Row(text, 2, "--drop-folder") for text in (".print", "a/b", "/", "a\nb", "a\x1b[2Jb", _LONG)],
    "-o": [
        Row("bogus", 2, "no such option"),
        Row("ro=1", 2, "no such option"),
        Row("uid", 2, "no such option"),
        Row("=", 2, "no such option"),
        Row("RO", 2, "no such option"),
        Row("a\nb", 2, "no such option"),
        Row("uid=me", 2, "number"),
        Row("gid=", 2, "number"),
        Row("umask=999", 2, "umask"),
        Row("sessions=many", 2, "number"),
        Row("sessions=0", 2, "sessions"),
        Row("sessions=17", 2, "sessions"),
        Row("cache_size=big", 2, "size"),
        Row("cache_size=-1", 2, "size"),
        Row("spool_size=much", 2, "size"),
        Row("listing_entries=1", 2, "listing_entries is a number from 1000"),
        Row("listing_entries=all", 2, "number"),
        Row("log_size=1", 2, "at least 10K"),
        Row("log_size=long", 2, "size"),
        Row("tls_ca=", 2, "path"),
        Row("fuse=4", 2, "fuse"),
        Row("fuse=", 2, "fuse"),
        Row("url_template=nothing", 2, "{path}"),
        Row("url_template={path}{path}", 2, "{path}"),
        Row("url_template={path}\x07", 2, "{path}"),
        Row("drop_folder=a/b", 2, "--drop-folder"),
        Row("drop_folder=.x", 2, "--drop-folder"),
        Row("allow_other=no", 2, "no such option"),
        Row("careful=yes", 2, "no such option"),
        Row("write_back=soon", 2, "number"),
        Row("write_back=-1", 2, "--write-back"),
        Row("retry=5", 2, "no such option"),
        Row("nonempty=", 2, "no such option"),
    ],
    "--plate": [Row(text, 2, "plate") for text in ("0", "-1", "1000", "x", "", "1.5", _MANY)],
    "--ams": [Row(text, 2, "ams") for text in ("Z9", "A1,,A2", "A0", "yes,no", _LONG)]
    + [Row("A1\n", 2, "control characters")],
    "--bed-type": [Row(text, 2, "--bed-type") for text in ("lava", "", "AUTO")],
    "--timeout": [Row(text, 2, "--timeout") for text in ("0", "-1", "nan", "inf", "3601", "x", "")],
    "--port": [Row(text, 2, "--port") for text in ("0", "-1", "65536", "x", "", "²")],
    "--family": [Row(text, 2, "--family") for text in ("x1c", "", "ESP32")],
    "--model": [Row(text, 2, "--model") for text in ("x9", "", "X1C")],
    "--card": [Row("{}/nowhere", 2, "no folder"), Row("{}/file", 2, "no folder")],
    "--printer": [Row(text, 2, "address") for text in ("a b", "ftp://x", "é", "a\nb", "@")],
    "--name": [Row(text, 2, "no name for a printer") for text in ("", "a b", "a/b", "é", "-x", "a\n", "[x]")],
    "--mountpoint": [
        Row("{}/file", 5, "no folder"),
        Row("{}", 5, "not empty"),
        Row(f"{{}}/{_LONG}", 5, "too long"),
        Row("{}/file/below", 5, ""),
    ],
    "--write-back": [Row(text, 2, "--write-back") for text in ("-1", "nan", "inf", "86401", "soon", "")],
    "--since": [Row(text, 2, "--since") for text in _MOMENTS],
    "--older-than": [Row(text, 2, "--older-than") for text in _MOMENTS],
    "--keep": [Row(text, 2, "--keep") for text in ("-1", "x", "", "1.5", _MANY)],
    "--thumbnail": [],
    "--export": [],
    "--quirk": [Row(text, 2, "quirk") for text in ("", "bogus", "bogus=1", "rest=maybe", "=")],
    "--rate": [Row(text, 2, "--rate") for text in ("", "fast", "0", "-5", "nan")],
    "--latency": [Row(text, 2, "--latency") for text in ("", "slow", "-1", "nan")],
    "--host": [Row("", 2, "host"), Row("nobody.invalid", 2, ""), Row("1.2.3.4.5", 2, "")],
    "--announce": [Row(text, 2, "--announce") for text in ("", "here", ":1", "host:x", "127.0.0.1:99999")],
    "--speed": [Row(text, 2, "--speed") for text in ("", "fast", "0", "-1", "nan")],
    "--seed": [Row(text, 2, "--seed") for text in ("", "x", "1.5")],
    "--identity-dir": [Row("{}/file", 2, "file"), Row("{}/file/below", 2, "file")],
}
"""By option; each is tried with every command that has it."""

ARGUMENTS: dict[str, list[Row]] = {
    "shell": [Row(text, 2, "choose from") for text in ("tcsh", "", "BASH", "/bin/bash")],
    "PATH": [],  # names on the card are tried on a card, in test_names.py
    "DEST": [],
    "PRINTER": [
        *(Row(text, 2, "address") for text in ("", "a b", "ftp://192.168.1.50", "é", "a\nb", "\udcff", "a/b", "@")),
        Row("-", 2, "BAMBU_IP"),
    ],
    "MOUNTPOINT": [
        Row("{}/nowhere", 5, "mkdir -p"),
        Row("{}/file", 5, "no folder"),
        Row("{}/file/below", 5, "no folder"),
        Row("{}", 5, "not empty"),
        Row("/proc", 5, "mounted"),
        Row(f"{{}}/{_LONG}", 5, "too long"),
        Row("a\nb", 5, "a\\nb does not exist"),
        Row("\udcff", 5, "does not exist"),
    ],
    "FILE": [
        Row("nowhere.3mf", 2, "no file"),
        Row("{}", 2, "folder"),
        Row("", 2, ""),
        Row("printer:", 2, ""),
        Row("printer:/x.txt", 2, ""),
        Row("printer:/../x.3mf", 2, ""),
        Row("printer:a\nb.3mf", 2, "control characters"),
        Row("printer:/" + "x" * 5000 + ".3mf", 2, "longer"),
    ],
}
"""Arguments without an option, by what the help calls them."""

OF_COMMAND: dict[tuple[str, str], list[Row]] = {
    ("trust", "--cache-dir"): [Row("{}/file", 7, "cannot be read"), Row("{}/file/below", 7, "cannot be read")],
    ("simulate", "--serial"): [Row(text, 2, "serial") for text in ("", "a b", "é")],
    ("simulate", "--ftps-port"): [Row(text, 2, "port") for text in ("-1", "65536", "x", "")],
    ("simulate", "--mqtt-port"): [Row(text, 2, "port") for text in ("-1", "65536", "x", "")],
    ("simulate", "--access-code-file"): [
        Row("{}/nowhere", 2, "cannot be read"),
        Row("{}", 2, "cannot be read"),
        Row("{}/empty-code", 2, "no access code"),
        Row("{}/binary-code", 2, "not text"),
    ],
    ("unmount", "MOUNTPOINT"): [
        Row(text, 5, "mounted on") for text in ("{}/nowhere", "{}/file", "/", "/proc", "", "a\nb")
    ],
    ("trust", "PRINTER"): [Row(text, 2, "no certificate") for text in ("stranger", "", "a\nb", "é", "\udcff")],
    ("config show", "PRINTER"): [],
    ("put", "FILE"): [],
    # Nothing is kept here, so that nothing can be asked for wrongly, and nothing is sent.
    ("recover", "FILE"): [],
    ("recover", "--access-code-file"): [Row("", 2, "path")],
    ("recover", "--log-file"): [Row("", 2, "path")],
    ("recover", "--cache-dir"): [*PLACE[:3], Row(f"{{}}/{_LONG}", 1, "name too long"), PLACE[4]],
    ("timelapse", "DEST"): [],
    ("info", "FILE"): [
        Row("nowhere.3mf", 1, "no such file"),
        Row("{}", 2, "is a folder"),
        Row("{}/file", 1, "empty"),
        Row("{}/binary-code", 1, "not a 3MF"),
        Row("{}/file/below", 1, "not a directory"),
        Row("", 2, "is a folder"),
    ],
    ("config check", "PRINTER"): [],
    ("mount", "-o"): [*OPTIONS["-o"], Row("uid=-1", 2, "uid"), Row("gid=4294967295", 2, "gid")],
    ("setup", "-o"): [row for row in OPTIONS["-o"] if row.words in ("no such option", "number", "{path}")],
    ("setup", "--log-file"): [Row("", 2, "path")],
    ("check", "--cache-dir"): [Row("", 2, "path"), Row("{}/file", 1, ""), Row("{}/file/below", 1, "")],
    ("check", "PRINTER"): ARGUMENTS["PRINTER"],
    ("setup", "--cache-dir"): [Row("", 2, "path")],
    ("demo", "MOUNTPOINT"): [Row("{}/file", 1, "file"), Row("{}/file/below", 1, "file")],
}
"""Where a command differs from the others, or for the arguments of one alone."""


def walk(parser: argparse.ArgumentParser | None = None, name: str = "") -> Iterator[tuple[str, argparse.Action]]:
    """Every argument of every command: the command's name, and what it takes."""
    for action in (parser or make_parser())._actions:
        if isinstance(action, argparse._SubParsersAction):
            for word, command in action.choices.items():
                yield from walk(command, f"{name} {word}".strip())
        elif not isinstance(action, argparse._HelpAction | argparse._VersionAction):
            yield name, action


def name_of(action: argparse.Action) -> str:
    """The long option, or what the help calls an argument."""
    return action.option_strings[-1] if action.option_strings else str(action.metavar or action.dest)


def rows_of(command: str, action: argparse.Action) -> list[Row] | None:
    """The bad values for an argument of a command; None when the tables know none."""
    name = name_of(action)
    table = OPTIONS if action.option_strings else ARGUMENTS
    return OF_COMMAND.get((command, name), table.get(name))


def line_with(command: str, action: argparse.Action, value: str) -> list[str]:
    """The command line that gives ``value`` to one argument, and is right otherwise."""
    words = list(BASE[command])
    if action.option_strings:
        option = action.option_strings[-1]
        return [*command.split(), *words, *([f"{option}={value}"] if option.startswith("--") else [option, value])]
    positionals = [other for name, other in walk() if name == command and not other.option_strings]
    place = [other.dest for other in positionals].index(action.dest)
    return [*command.split(), *words[:place], value, *words[place + 1 :]]


def make_places(folder: Path) -> None:
    """The files that the rows name."""
    for name, content in PLACES.items():
        (folder / name).write_bytes(content)
        (folder / name).chmod(0o600)
