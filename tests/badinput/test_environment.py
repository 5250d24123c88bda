"""Bad values in the environment and in config.toml."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import bambufs
from bambufs.config.settings import PATH, SETTINGS, SIZE, SWITCH, TEXT, Setting
from tests.badinput.conftest import CODE, Command
from tests.badinput.rows import Row, make_places

ENVIRONMENT: dict[str, list[Row]] = {
    "BAMBU_IP": [Row(text, 2, "address") for text in ("a b", "a\nb", "ftp://1.2.3.4", "é", "\udcff")]
    + [Row("", 2, "BAMBU_IP is not set")],
    "BAMBU_ACCESS_CODE": [Row(text, 2, "no access code") for text in ("", "  ", "\n")]
    + [Row(text, 2, "odd characters") for text in ("é234", "a\tbcd", "12\r\n34", "\udcff123")]
    + [Row("x" * 5000, 2, "too long")],
    "BAMBU_DEVICE_ID": [Row(text, 2, "serial") for text in ("a b", "../x", "é", "01P\n", "x" * 100)],
    "CREDENTIALS_DIRECTORY": [
        Row("{}/credentials-folder", 2, "is a directory"),
        Row("{}/credentials-empty", 2, "is empty"),
    ],
    "XDG_CACHE_HOME": [Row("{}/file", 2, "cannot be used"), Row("/proc", 2, "cannot be used")],
    "HOME": [Row("/dev/null", 2, "/dev/null"), Row("{}/file", 2, "cannot be used")],
    "XDG_CONFIG_HOME": [Row("{}/bad-config", 2, "line 1")],
    "XDG_DATA_HOME": [],  # only setup writes there, after it has logged in
    "NOTIFY_SOCKET": [Row("{}/nowhere", 4, ""), Row("@", 4, ""), Row("x" * 500, 4, "")],
}
"""What the user may have set wrongly; the last one is systemd's, and never in the way."""

CONFIG_FILES: dict[str, tuple[bytes, str]] = {
    "no TOML": (b"garage\n", "line 1"),
    "no UTF-8": (b"[printer.garage]\naddress = \"\xff\"\n", "not text"),
    "a NUL": (b"[printer.garage]\naddress = \"a\0b\"\n", "TOML"),
    "a byte order mark": (b"\xef\xbb\xbf[printer.garage]\naddress = 1\n", "TOML"),
    "UTF-16": ("[printer.garage]\n".encode("utf-16"), "not text"),
    "twice the same": (b"[printer.garage]\n[printer.garage]\n", "TOML"),
    "twice the same key": (b"[printer.garage]\naddress = \"a\"\naddress = \"b\"\n", "TOML"),
    "an unknown table": (b"[printers]\n", "printers"),
    "an unknown key": (b"[printer.garage]\nadress = \"a\"\n", "did you mean address"),
    "a key at the top": (b"ttl = 5\n", "ttl"),
    "a printer without a name": (b"[printer]\naddress = \"a\"\n", "needs a name"),
    "a printer that is no table": (b"printer = 5\n", "must be a table"),
    "a name that is none": (b"[printer.\"a b\"]\naddress = \"a\"\n", "is no name"),
    "no address": (b"[printer.garage]\nttl = 5\n", "no address"),
    "two codes": (b"[printer.garage]\naddress = \"a\"\naccess_code = \"1234\"\naccess_code_file = \"x\"\n", "keep one"),
    "an own key for all": (b"[defaults]\naddress = \"a\"\n", "belongs to one printer"),
    "a number too long": (b"[printer.garage]\naddress = \"a\"\nttl = " + b"9" * 5000 + b"\n", "too long"),
    "deep nesting": (b"[printer.garage]\nttl = " + b"[" * 50_000 + b"]" * 50_000 + b"\n", "too deep"),
    "a date": (b"[printer.garage]\naddress = 2025-06-15\n", "must be a text"),
}
"""Whole files: their content, and words of what is said. The second key is a name of a printer in them."""


@pytest.fixture(autouse=True)
def places(home: Path) -> None:
    make_places(home)
    (home / "credentials-folder" / "access_code").mkdir(parents=True)
    (home / "credentials-empty").mkdir()
    (home / "credentials-empty" / "access_code").touch()
    (home / "bad-config" / "bambufs").mkdir(parents=True)
    (home / "bad-config" / "bambufs" / "config.toml").write_text("nonsense\n")


def write_config(home: Path, content: bytes) -> None:
    file = home / ".config" / "bambufs" / "config.toml"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.touch(0o600)
    file.write_bytes(content)


@pytest.mark.parametrize("name", ENVIRONMENT)
def test_bad_variable(name: str, home: Path, command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    printer, wrong = "-" if name == "BAMBU_IP" else "127.0.0.1", []
    for row in ENVIRONMENT[name]:
        monkeypatch.setenv(name, row.value.replace("{}", str(home)))
        told = command("mount", printer, str(home / "mnt"))
        if told.code != row.code or row.words not in told.sentence:
            wrong.append(f"{row.value[:60]!r}: wanted {row.code} with {row.words!r}, got {told.code}: {told.sentence}")
    assert wrong == []


def test_every_variable_of_ours_has_rows() -> None:
    source = "\n".join(file.read_text() for file in Path(bambufs.__file__).parent.rglob("*.py"))
    ours = set(re.findall(r"\"(BAMBU_[A-Z_]+|XDG_[A-Z_]+|NOTIFY_SOCKET|CREDENTIALS_DIRECTORY|HOME)\"", source))
    assert ours - set(ENVIRONMENT) == set(), "add rows to ENVIRONMENT"


@pytest.mark.parametrize("kind", CONFIG_FILES)
@pytest.mark.parametrize("words", ["mount garage", "config show garage", "check garage"])
def test_bad_config_file(kind: str, words: str, home: Path, command: Command) -> None:
    content, said = CONFIG_FILES[kind]
    write_config(home, content)
    told = command(*words.split())
    assert (told.code, said in told.sentence) == (2, True), told


@pytest.mark.parametrize("setting", SETTINGS.values(), ids=list(SETTINGS))
def test_bad_value_in_config(setting: Setting, home: Path, command: Command) -> None:
    """Each setting with a value of every wrong kind; the sentence tells file, line and key, and never a code."""
    values = ["[]", "{a = 1}", "2025-06-15", "nan" if setting.kind is not TEXT else "1"]
    values += ["1", '"yes"'] if setting.kind is SWITCH else ["true"]
    values += ['""'] if setting.kind in (PATH, SIZE) else []
    for value in values:
        own = "" if setting.key == "address" else 'address = "127.0.0.1"\n'
        write_config(home, f"[printer.garage]\n{own}{setting.key} = {value}\n".encode())
        told = command("mount", "garage", str(home / "mnt"))
        told_where = f"config.toml, line {2 + bool(own)}, {setting.key}" in told.sentence
        is_fine = setting.key == "ttl" and value == "nan"
        assert told.code == 2, (value, told)
        assert told_where or is_fine, (value, told)


def test_config_that_is_a_folder(home: Path, command: Command) -> None:
    (home / ".config/bambufs/config.toml").mkdir(parents=True)
    told = command("mount", "garage", "mnt")
    assert (told.code, "is a directory" in told.sentence) == (2, True)


def test_config_with_a_code_that_others_can_read(home: Path, command: Command) -> None:
    write_config(home, f'[printer.garage]\naddress = "127.0.0.1"\naccess_code = "{CODE}"\n'.encode())
    (home / ".config/bambufs/config.toml").chmod(0o644)
    told = command("mount", "garage", "mnt")
    assert (told.code, "chmod 600" in told.sentence) == (2, True)


