"""config.toml as it is read: what is taken, and in which words the rest is refused."""

from __future__ import annotations

import os
import tomllib
from pathlib import Path

import pytest

from bambufs.config.example import example
from bambufs.config.file import ConfigFile, config_files, is_good_name, read_files
from bambufs.config.settings import CODE_KEYS, SETTINGS
from bambufs.errors import UsageError

PATH = Path("/home/me/.config/bambufs/config.toml")
CODE = "47281593"


def printer(body: str) -> ConfigFile:
    """A file with one printer, whose table starts on line 2."""
    return ConfigFile.parse(PATH, f"# mine\n[printer.garage]\n{body}")


def test_settings_come_with_their_line() -> None:
    garage = printer('address = "192.168.1.50"\n\nttl = 2.5\n').printers["garage"].settings()
    assert (garage["ttl"].value, garage["ttl"].origin) == (2.5, f"{PATH}, line 5, ttl in [printer.garage]")


@pytest.mark.parametrize(
    ("written", "key", "value"),
    [
        ('serial = "01P00A000000001"', "serial", "01P00A000000001"),
        ("ftps_port = 9990", "ftps_port", 9990),
        ("ttl = 3", "ttl", 3),
        ('card_size = "64G"', "card_size", 64 * 10**9),
        ("cache_size = 500000000", "cache_size", 500_000_000),
        ("read_only = true", "read_only", True),
        ('umask = "077"', "umask", 0o077),
        ('fuse = "2"', "fuse", "fuse2"),
        ('mountpoint = "/mnt/printer"', "mountpoint", Path("/mnt/printer")),
        ('access_code_file = "code"', "access_code_file", PATH.parent / "code"),
    ],
)
def test_value_is_taken(written: str, key: str, value: object) -> None:
    assert printer(written).printers["garage"].settings()[key].value == value


def test_path_may_begin_at_home(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/me")
    settings = printer('mountpoint = "~/printer"').printers["garage"].settings()
    assert settings["mountpoint"].value == Path("/home/me/printer")


@pytest.mark.parametrize(
    ("written", "told"),
    [
        ("ttl = true", "line 3, ttl in [printer.garage]: this must be a number of seconds"),
        ('ttl = "5"', "ttl in [printer.garage]: this must be a number of seconds"),
        ("read_only = 1", "this must be a true or false without quotes"),
        ('read_only = "yes"', "this must be a true or false without quotes"),
        ("sessions = 2.5", "this must be a number"),
        ('card_size = "big"', "is no size"),
        ('umask = "999"', "is no umask"),
        ("umask = 22", "this must be a umask in quotes"),
        ('fuse = "4"', "is no version of libfuse"),
        ('mountpoint = ""', "is no path"),
        ('tls_trust = "maybe"', "this must be one of first-use, ca, none"),
        ("tll = 5", "line 3, tll in [printer.garage]: there is no such setting; did you mean ttl?"),
        ("access_code = 47281593", "access_code in [printer.garage]: this must be a text in quotes"),
        (f'access_code = "{CODE}"\naccess_code_file = "code"', "there is access_code as well; keep one of them"),
    ],
)
def test_what_is_wrong_is_told_with_its_line_and_key(written: str, told: str) -> None:
    with pytest.raises(UsageError) as refused:
        printer(written).printers["garage"].settings()
    assert told in refused.value.message
    assert CODE not in refused.value.message


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("[printer.garage]\naddress = 192.168.1.50\n", "line 2: this is not in the form of TOML"),
        ("[printer.garage]\nttl 5\n", "line 2: this is not in the form of TOML"),
        ("[printer.garage\n", "line 1: this is not in the form of TOML"),
        ("[printer.garage]\nttl = 5\nttl = 6\n", "this is not in the form of TOML"),
        ('x = """', "at its end: this is not in the form of TOML"),
        ("ttl = 5\n", "line 1: ttl does not belong here; write it below [defaults] or [printer.NAME]"),
        ("[printers.garage]\n", "line 1: printers does not belong here; there are [defaults] and [printer.NAME]"),
        ("[printer]\nttl = 5\n", "line 2: a printer needs a name"),
        ("defaults = 5\n", "line 1: defaults must be a table"),
        ('[printer."my garage"]\n', "line 1: 'my garage' is no name for a printer"),
    ],
)
def test_file_that_makes_no_sense_is_told(text: str, told: str) -> None:
    with pytest.raises(UsageError) as refused:
        ConfigFile.parse(PATH, text)
    assert told in refused.value.message


@pytest.mark.parametrize("key", [key for key, setting in SETTINGS.items() if setting.is_own])
def test_defaults_hold_nothing_of_one_printer(key: str) -> None:
    file = ConfigFile.parse(PATH, f"[defaults]\n{key} = {SETTINGS[key].example}\n")
    with pytest.raises(UsageError, match="belongs to one printer"):
        file.defaults.settings()


@pytest.mark.parametrize("name", ["garage", "P1S", "x-1", "a_b", "3d"])
def test_good_name(name: str) -> None:
    assert is_good_name(name)


@pytest.mark.parametrize("name", ["", "-x", "my garage", "a/b", "a.b", "ü", "a\n", "%i"])
def test_bad_name(name: str) -> None:
    assert not is_good_name(name)


# --- on the disk --------------------------------------------------------------------------------------


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "bambufs" / "config.toml"
    path.parent.mkdir()
    path.write_text(f'[printer.garage]\naddress = "192.168.1.50"\naccess_code = "{CODE}"\n')
    path.chmod(0o600)
    return path


def test_file_is_found_where_the_desktop_says(file: Path) -> None:
    found = read_files({"XDG_CONFIG_HOME": str(file.parent.parent)})
    assert [one.path for one in found if one.path == file] == [file]


def test_own_file_comes_before_that_of_the_computer() -> None:
    assert config_files({"HOME": "/home/me"}) == [PATH, Path("/etc/bambufs/config.toml")]


def test_service_without_a_home_has_that_of_the_computer() -> None:
    assert config_files({}) == [Path("/etc/bambufs/config.toml")]


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o622])
def test_code_that_others_can_read_is_refused(file: Path, mode: int) -> None:
    file.chmod(mode)
    with pytest.raises(UsageError, match=f"run: chmod 600 {file}") as refused:
        ConfigFile.read(file)
    assert CODE not in refused.value.message


def test_file_without_a_code_may_be_read_by_all(file: Path) -> None:
    file.write_text("[defaults]\nttl = 2\n")
    file.chmod(0o644)
    assert ConfigFile.read(file) is not None


def test_missing_file_is_none(tmp_path: Path) -> None:
    assert ConfigFile.read(tmp_path / "nope") is None


def test_folder_in_its_place_is_told(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="is a directory"):
        ConfigFile.read(tmp_path)


def test_file_that_is_no_text_is_told(file: Path) -> None:
    file.write_bytes(b"\xff\xfe")
    with pytest.raises(UsageError, match="not text"):
        ConfigFile.read(file)


def test_repr_does_not_show_the_code(file: Path) -> None:
    found = ConfigFile.read(file)
    assert found is not None
    assert CODE not in repr(found) + repr(found.printers["garage"].settings())


# --- the example --------------------------------------------------------------------------------------


def uncommented() -> str:
    """The example with all its settings switched on; of the three ways for the code the first only."""
    lines = []
    for line in example().splitlines():
        key = line.removeprefix("# ").partition(" = ")[0]
        lines.append(line.removeprefix("# ") if key in SETTINGS and key not in CODE_KEYS[1:] else line)
    return "\n".join(lines)


def test_example_changes_nothing() -> None:
    assert tomllib.loads(example()) == {"defaults": {}, "printer": {"garage": {}, "attic": {}}}


def test_example_is_good_when_all_of_it_is_switched_on() -> None:
    file = ConfigFile.parse(PATH, uncommented())
    assert [trouble.message for table in file.tables() for trouble in table.troubles()] == []


def test_example_names_every_setting() -> None:
    assert [key for key in SETTINGS if f"# {key} = " not in example()] == []


def test_every_file_is_read_as_text_in_utf8(file: Path) -> None:
    file.write_text("# Drucker in der Küche\n[printer.kueche]\n", encoding="utf-8")
    assert os.environ.get("PYTHONUTF8") != "0"
    assert ConfigFile.read(file) is not None
