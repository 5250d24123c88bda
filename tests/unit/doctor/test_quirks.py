"""The doctor at every quirk of the simulator: each gets the advice that fits it, or none where nothing is amiss."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import pytest

from bambufs.doctor import Verdict
from bambufs.simulator import TABLE, Printer, Quirk
from bambufs.simulator.quirk_table import Value
from tests.unit.doctor.conftest import Examine, StartPrinter
from tests.unit.simulator.plain_client import PlainClient
from tests.unit.simulator.plain_mqtt import PlainMqtt

GOOD, NOTE, BAD = Verdict.GOOD, Verdict.NOTE, Verdict.BAD


class Case(NamedTuple):
    """A quirk's value on a model, and what the doctor says about it."""

    quirk: str
    value: Value
    step: str
    verdict: Verdict
    words: str
    model: str = "x1c"

    @property
    def name(self) -> str:
        return f"{self.quirk}={self.value}-{self.model}"


CASES = (
    Case("tls", "1.3", "encryption", BAD, "update the printer's firmware"),
    Case("max_clients", 1, "connections", NOTE, "one at a time"),
    Case("lost_session", True, "data connection", BAD, "switch the printer off and on"),
    Case("refuse_data", True, "data connection", BAD, "firewall"),
    Case("short_stor", 1000, "writing", BAD, "only 1000 of 65536 bytes arrived"),
    Case("late_226", 1.5, "writing", NOTE, "confirm late"),
    Case("short_retr", 1000, "reading", BAD, "ended it after 1000 of 65536 bytes"),
    Case("short_retr", 1000, "reading", BAD, "ended it after 1000 of 65536 bytes", "p1s"),
    Case("drop_after", 20000, "writing", BAD, "Wi-Fi"),
    Case("drop_after", 20000, "writing", BAD, "Wi-Fi", "p1s"),
    Case("rest", False, "reading from the middle", NOTE, "this printer cannot"),
    Case("refused", "RNFR:550", "renaming", NOTE, "written under their own names"),
    Case("refused", "RNTO:502", "renaming", NOTE, "written under their own names"),
    Case("refused", "STOR:550", "writing", BAD, "write-protected"),
    Case("refused", "MDTM", "dates", NOTE, "remembered on this computer"),
    Case("refused", "DELE", "deleting", BAD, "delete files on its screen"),
    Case("refused", "LIST", "listing", BAD, "is its card"),
    Case("refused", "CWD:550", "listing", BAD, "is its card"),
    Case("refused", "MKD", "folders", NOTE, "does not make or remove folders"),
    Case("refused", "SIZE:500", "writing", GOOD, "taken whole"),
    Case("mdtm_set", False, "dates", NOTE, "remembered on this computer"),
    Case("rename_over", False, "replacing a file", NOTE, "the old file is put aside"),
    Case("rename_over", True, "replacing a file", NOTE, "the old file is put aside", "p1s"),
    Case("utc_offset", 480, "clock", NOTE, "its own local time, 8 hours ahead", "p1s"),
    Case("utc_offset", -210, "clock", NOTE, "its own local time, 3.5 hours behind", "p1s"),
    Case("utc_offset", 480, "clock", GOOD, "the printer's clock is right"),
    Case("clock_error", 6.5 * 86400, "clock", NOTE, "6.5 days ahead"),
    Case("clock_error", -3 * 3600.0 - 400, "clock", NOTE, "3.1 hours back", "p1s"),
    Case("upload_clock_error", -52 * 86400.0, "clock", NOTE, "52.0 days back", "a1mini"),
    Case("card", "absent", "listing", BAD, "is its card"),
    Case("card", "absent", "storage", BAD, "there is no card"),
    Case("card", "denied", "listing", BAD, "is its card", "a1"),
    Case("card", "readonly", "writing", BAD, "write-protected"),
    Case("card", "readonly", "storage", BAD, "is not as it should be"),
    Case("card_size", 1000, "writing", BAD, "old timelapses"),
    Case("card_size", 1000, "writing", BAD, "old timelapses", "p1s"),
    Case("ftps", False, "port", BAD, "for control, is open"),
    Case("ftps", False, "control", GOOD, "the printer is idle"),
    Case("mqtt", False, "control", BAD, "LAN only mode"),
    Case("mqtt", False, "writing", GOOD, "taken whole"),
    Case("developer_mode", False, "Developer Mode", BAD, "to print from here switch on"),
    Case("developer_mode", False, "Developer Mode", NOTE, "do not tell", "p1s"),
)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_advice_fits_the_quirk(case: Case, start: StartPrinter, examine: Examine) -> None:
    printer = start(case.model, quirks={case.quirk: case.value})

    found = examine(printer, visit={"slow_after": 1.0})

    finding = found[case.step]
    assert (finding.verdict, case.words in f"{finding.sentence}. {finding.advice}") == (case.verdict, True), finding
    assert printer.card.joinpath("verify_job").exists()
    if case.value != "DELE":
        assert [name.name for name in printer.card.glob(".bambufs-*")] == [] or case.words == "Wi-Fi"


# Values of quirks that are nothing to speak of, where they cannot be told from the table.
HARMLESS: Mapping[str, Mapping[str, Value]] = {
    "vsftpd": {
        "tls": "1.2+1.3",
        "idle_timeout": 60.0,
        "accept_timeout": 5.0,
        "data_timeout": 5.0,
        "refused": "FEAT,NLST,MLSD,SYST,PWD",
        "restless": 0.1,
        "cache_fifo": 1,
        "pushall_every": 300.0,
        "mqtt_clients": 1,
        "mqtt_linger": 30.0,
        "start_delay": 5.0,
        "error_after_ack": 83935248,
        "prepare_stops_at": 99,
        "passive_ports": "50000-50063",
        "pasv_address": "0.0.0.0",
    },
    "esp32": {
        "max_clients": 0,
        "data_port": -1,
        "block_451": 0,
        "path_limit": 60,
        "one_command_per_read": False,  # not on an X1, which would answer half of what it is asked
    },
}


# None of a printer's own, but of whatever else may answer at its address.
HOSTILE = {"hostile", "hostile_share"}


def harmless(family: str, turn: int) -> dict[str, Value]:
    """Every quirk that is not above, at another value than the family's own; ``turn`` picks among several."""
    known = {case.quirk for case in CASES} | {name for table in HARMLESS.values() for name in table} | HOSTILE
    values = {quirk.name: _other_values(quirk, family) for quirk in TABLE.values() if quirk.name not in known}
    return {**HARMLESS[family], **{name: some[turn % len(some)] for name, some in values.items() if some}}


def _other_values(quirk: Quirk, family: str) -> list[Value]:
    own = quirk.default_of(family)
    if quirk.kind is bool:
        return [not own]
    return [choice for choice in quirk.choices if choice != own]


@pytest.mark.parametrize("turn", range(3))
@pytest.mark.parametrize(("family", "model"), [("vsftpd", "x1c"), ("esp32", "p1s")])
def test_nothing_is_amiss_with_all_the_other_quirks(
    family: str, model: str, turn: int, start: StartPrinter, examine: Examine
) -> None:
    printer = start(model, quirks=harmless(family, turn))
    assert [finding for finding in examine(printer).values() if finding.verdict is BAD] == []


def test_session_that_is_lost_once_is_replaced(start: StartPrinter, examine: Examine) -> None:
    printer = start()
    printer.quirks.once("lost_session", True)
    found = examine(printer)
    assert (found["data connection"].verdict, "second try" in found["data connection"].sentence) == (NOTE, True)
    assert [finding for finding in found.values() if finding.verdict is BAD] == []


def others() -> list[tuple[str, Value]]:
    """Quirks that have come into the simulator since, at a value that may matter: each should get a `Case`."""
    tried = {case.quirk for case in CASES} | set(harmless("vsftpd", 0)) | set(harmless("esp32", 0)) | HOSTILE
    values: dict[type, Value] = {int: 1000, float: 1.0, str: "1"}
    return [(quirk.name, values[quirk.kind]) for quirk in TABLE.values() if quirk.name not in tried]


@pytest.mark.parametrize(("quirk", "value"), [("rest", False), *others()])
def test_visit_comes_to_its_end_at_any_quirk(
    quirk: str, value: Value, start: StartPrinter, examine: Examine
) -> None:
    found = examine(start(quirks={quirk: value}))
    assert "control" in found
    assert [finding for finding in found.values() if finding.verdict is BAD and not finding.advice] == []


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("model", ["x1c", "p1s"])
def test_visit_to_a_hostile_printer_comes_to_its_end(
    model: str, seed: int, start: StartPrinter, examine: Examine
) -> None:
    found = examine(start(model, seed=seed, quirks={"hostile": "all", "hostile_share": 0.3}), visit={"patience": 1.0})
    assert "control" in found
    assert [finding for finding in found.values() if finding.verdict is BAD and not finding.advice] == []


def test_bad_findings_say_what_to_do_and_end_with_a_number(start: StartPrinter, examine: Examine) -> None:
    for case in CASES:
        assert case.verdict is not BAD or case.words
    printer = start(quirks={"card": "readonly", "mqtt": False})
    for finding in examine(printer).values():
        assert (finding.verdict is BAD) == bool(finding.exit_code)
        assert finding.verdict is not BAD or finding.advice


# --- slots that others have ---------------------------------------------------------------------------


@contextmanager
def occupied(printer: Printer) -> Iterator[None]:
    """Another program is logged in."""
    other = PlainClient()
    other.open(printer.host, printer.ftps_port)
    other.sign_in(printer.access_code)
    try:
        yield
    finally:
        other.close()


@pytest.mark.parametrize(
    ("model", "over_limit", "step", "words"),
    [
        ("x1c", "421", "encryption", "all its connections are taken"),
        ("p1s", "hang", "encryption", "accepts the connection and then says nothing"),
        ("p1s", "425", "data connection", "another program may be using the printer"),
    ],
)
def test_printer_that_another_program_uses(
    model: str, over_limit: str, step: str, words: str, start: StartPrinter, examine: Examine
) -> None:
    printer = start(model, quirks={"max_clients": 1, "over_limit": over_limit})
    with occupied(printer):
        finding = examine(printer)[step]
    assert finding.verdict is BAD
    assert words in f"{finding.sentence}. {finding.advice}"


def test_own_mount_is_named_when_it_has_the_slot(start: StartPrinter, examine: Examine) -> None:
    printer = start("p1s")
    with occupied(printer):
        finding = examine(printer, visit={"mounted_on": Path("/home/me/printer")})["encryption"]
    assert "bambufs unmount /home/me/printer" in finding.advice
    assert finding.exit_code == 8


def test_control_is_looked_at_while_files_are_in_use(start: StartPrinter, examine: Examine) -> None:
    printer = start("p1s")
    with occupied(printer):
        found = examine(printer)
    assert (found["files"].verdict, found["control"].verdict) == (Verdict.SKIPPED, GOOD)


@pytest.mark.parametrize(
    ("trouble", "verdict", "words"),
    [(None, NOTE, "uses its only connection, and is well"), ("it is away", BAD, "the mount says: it is away")],
)
def test_mount_of_a_small_printer_is_asked_instead(
    trouble: str | None, verdict: Verdict, words: str, tmp_path: Path, start: StartPrinter, examine: Examine
) -> None:
    (tmp_path / "mnt" / ".bambufs").mkdir(parents=True)
    told = {"model": "P1S", "ftps": {"connected": True, "trouble": trouble}}
    (tmp_path / "mnt" / ".bambufs" / "status.json").write_text(json.dumps(told))
    printer = start("p1s")
    finding = examine(printer, visit={"mounted_on": tmp_path / "mnt"})["login"]
    assert (finding.verdict, words in finding.sentence) == (verdict, True)
    assert printer.log == []


def test_control_slots_that_others_have(start: StartPrinter, examine: Examine) -> None:
    printer = start(quirks={"mqtt_clients": 1})
    with PlainMqtt(printer):
        finding = examine(printer, visit={"patience": 1.0})["control"]
    assert finding.verdict is BAD
    assert "close other programs that watch the printer" in finding.advice


def test_port_that_accepts_and_says_nothing(start: StartPrinter, examine: Examine) -> None:
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        found = examine(start(), ftps_port=silent.getsockname()[1])
    assert found["encryption"].exit_code == 8
    assert found["login"].verdict is Verdict.SKIPPED
