"""Who has the last word: arguments, environment, the printer's table, [defaults], what is built in."""

from __future__ import annotations

from pathlib import Path

import pytest

from bambufs.config.file import Chosen, ConfigFile
from bambufs.config.resolve import Resolved, resolve
from bambufs.errors import UsageError

MINE, SYSTEM = Path("/home/me/.config/bambufs/config.toml"), Path("/etc/bambufs/config.toml")
CODE = "47281593"

GARAGE = f"""\
[defaults]
ttl = 2
sessions = 2

[printer.garage]
address = "192.168.1.50"
serial = "01P00A000000001"
access_code = "{CODE}"
ttl = 3
mountpoint = "/mnt/garage"
read_only = true
"""


def asked(
    printer: str = "garage",
    *,
    mine: str = GARAGE,
    system: str = "",
    given: dict[str, object] | None = None,
    environment: dict[str, str] | None = None,
) -> Resolved:
    files = [ConfigFile.parse(MINE, mine), ConfigFile.parse(SYSTEM, system)]
    said = {key: Chosen(value, f"--{key}") for key, value in (given or {}).items()}
    return resolve(printer, said, environment or {}, files)


def test_name_stands_for_the_printer() -> None:
    config = asked().config
    assert (config.host, config.serial, config.access_code) == ("192.168.1.50", "01P00A000000001", CODE)


@pytest.mark.parametrize("word", ["192.168.1.50", "01P00A000000001"])
def test_address_and_serial_find_the_printer_too(word: str) -> None:
    assert (asked(word).name, asked(word).config.access_code) == ("garage", CODE)


def test_address_that_two_printers_share_means_neither() -> None:
    both = GARAGE + '[printer.attic]\naddress = "192.168.1.50"\nftps_port = 9990\n'
    assert asked("192.168.1.50", mine=both).name is None


def test_other_address_gets_the_defaults() -> None:
    found = asked("10.0.0.1", environment={"BAMBU_ACCESS_CODE": CODE})
    assert (found.name, found.config.host, found.config.ttl) == (None, "10.0.0.1", 2)


def test_arguments_come_first() -> None:
    found = asked(given={"ttl": 9.0, "serial": "X"}, environment={"BAMBU_DEVICE_ID": "Y"})
    assert (found.config.ttl, found.config.serial, found.chosen["ttl"].origin) == (9.0, "X", "--ttl")


def test_environment_comes_before_the_files() -> None:
    found = asked(environment={"BAMBU_DEVICE_ID": "Y", "BAMBU_ACCESS_CODE": "87654321"})
    assert (found.config.serial, found.config.access_code) == ("Y", "87654321")
    assert found.access_code[1] == "BAMBU_ACCESS_CODE"


def test_table_comes_before_the_defaults() -> None:
    found = asked()
    assert (found.config.ttl, found.chosen["ttl"].origin) == (3, f"{MINE}, line 9, ttl in [printer.garage]")


def test_defaults_come_before_what_is_built_in() -> None:
    found = asked()
    origin = f"{MINE}, line 3, sessions in [defaults]"
    assert (found.config.max_sessions, found.chosen["sessions"].origin) == (2, origin)
    assert (found.config.card_size, found.chosen["card_size"].origin) == (32 * 10**9, "built in")


def test_own_file_comes_before_that_of_the_computer() -> None:
    found = asked(mine="[defaults]\nttl = 7\n", system=GARAGE)
    assert found.config.ttl == 3, "a printer's own table counts more than any defaults"
    assert asked(mine='[printer.garage]\naddress="a"\n', system=GARAGE).config.host == "a"


def test_mount_options_are_told() -> None:
    found = asked(given={"umask": 0o077})
    assert (found.mount.mountpoint, found.mount.umask, found.config.read_only) == (Path("/mnt/garage"), 0o077, True)


def test_address_may_come_from_the_environment() -> None:
    assert asked("-", environment={"BAMBU_IP": "192.168.1.50"}).name == "garage"


def test_missing_address_of_the_environment_is_told() -> None:
    with pytest.raises(UsageError, match="BAMBU_IP is not set"):
        asked("-")


def test_printer_without_an_address_is_told() -> None:
    with pytest.raises(UsageError, match=r"line 1, \[printer.x\]: the printer has no address"):
        asked("x", mine="[printer.x]\n")


def test_no_code_at_all_tells_where_to_put_it() -> None:
    with pytest.raises(UsageError, match="--access-code-file"):
        _ = asked("10.0.0.1").config


def test_code_of_a_file_is_read_when_it_is_asked_for(tmp_path: Path) -> None:
    code = tmp_path / "code"
    mine = f'[printer.x]\naddress = "a"\naccess_code_file = "{code}"\n'
    with pytest.raises(UsageError, match="no such file"):
        _ = asked("x", mine=mine).config
    code.write_text(CODE)
    code.chmod(0o600)
    assert asked("x", mine=mine).config.access_code == CODE


def test_named_file_with_the_code_comes_before_the_environment(tmp_path: Path) -> None:
    code = tmp_path / "code"
    code.write_text(CODE)
    code.chmod(0o600)
    found = asked("10.0.0.1", given={"access_code_file": code}, environment={"BAMBU_ACCESS_CODE": "other"})
    assert found.config.access_code == CODE


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("ttl = -1", "line 4, ttl in [printer.x]: "),
        ("sessions = 99", "line 4, sessions in [printer.x]: "),
        ("ftps_port = 70000", "line 4, ftps_port in [printer.x]: "),
        ('serial = "no serial"', "line 4, serial in [printer.x]: "),
        ('tls_trust = "ca"', "line 4, tls_trust in [printer.x]: "),
        ('drop_folder = "a/b"', "line 4, drop_folder in [printer.x]: "),
    ],
)
def test_value_that_cannot_be_is_told_with_its_line(line: str, told: str) -> None:
    with pytest.raises(UsageError) as refused:
        _ = asked("x", mine=f'[printer.x]\naddress = "a"\naccess_code = "{CODE}"\n{line}\n').config
    assert told in refused.value.message


def test_value_of_the_command_line_is_told_without_a_place() -> None:
    with pytest.raises(UsageError, match=r"^--ttl is a number"):
        _ = asked(given={"ttl": -1.0}).config


def test_repr_does_not_show_the_code() -> None:
    found = asked()
    assert CODE not in repr(found) + repr(found.config)
