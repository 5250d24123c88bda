"""What the doctor finds at a printer that is not as configured, or has something to say."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from bambufs.config import Config
from bambufs.doctor import Finding, Verdict, Visit, look_at_printer
from bambufs.printer.discovery import Announcement
from bambufs.simulator import Printer
from tests.support.needs import need
from tests.support.ports import port_block
from tests.support.vsftpd import vsftpd_printer
from tests.unit.doctor.conftest import IN_A_HURRY, Examine, StartPrinter

SERIAL = "01S00C000000001"


def told(finding: Finding) -> str:
    return f"{finding.sentence}. {finding.advice}"


@pytest.mark.parametrize("model", ["x1c", "x1e", "p2s", "h2d", "h2s", "p1p", "p1s", "a1", "a1mini"])
def test_nothing_is_amiss_with_a_good_printer(model: str, start: StartPrinter, examine: Examine) -> None:
    found = examine(start(model))
    assert [finding for finding in found.values() if finding.verdict is Verdict.BAD] == []
    assert {"certificate", "login", "reading", "clock", "control", "serial", "firmware"} <= set(found)


def test_wrong_access_code(start: StartPrinter, examine: Examine) -> None:
    found = examine(start(), access_code="wrong", visit={"code_origin": "BAMBU_ACCESS_CODE"})
    assert found["login"].exit_code == 3
    assert "the one tried came from BAMBU_ACCESS_CODE" in found["login"].advice
    assert found["encryption"].verdict is Verdict.GOOD
    assert found["control"].verdict is Verdict.SKIPPED


def test_certificate_that_changed_is_told_before_the_code_is_sent(
    tmp_path: Path, start: StartPrinter, examine: Examine
) -> None:
    printer = start()
    (tmp_path / "cache").mkdir()
    (tmp_path / "cache" / "trust.json").write_text(json.dumps({SERIAL: "AA:BB"}))
    found = examine(printer, serial=SERIAL)
    assert found["certificate"].exit_code == 7
    assert f"bambufs trust {SERIAL}" in found["certificate"].advice
    assert found["login"].verdict is Verdict.SKIPPED
    assert [command for command in printer.log if command.verb == "PASS"] == []


def test_certificate_is_looked_at_and_not_remembered(tmp_path: Path, start: StartPrinter, examine: Examine) -> None:
    assert "it will be remembered at the first mount" in examine(start())["certificate"].sentence
    assert not (tmp_path / "cache" / "trust.json").exists()


def test_remembered_certificate_is_known(tmp_path: Path, start: StartPrinter, examine: Examine) -> None:
    printer = start()
    digest = printer.fingerprint.upper().replace(":", "")
    pairs = ":".join(digest[i : i + 2] for i in range(0, len(digest), 2))
    (tmp_path / "cache").mkdir()
    (tmp_path / "cache" / "trust.json").write_text(json.dumps({SERIAL: pairs}))
    assert "as remembered" in examine(printer, serial=SERIAL)["certificate"].sentence


def test_another_printer_at_the_address(start: StartPrinter, examine: Examine) -> None:
    found = examine(start(), serial="01P00A000000009", visit={"patience": 1.0})
    assert (found["certificate"].verdict, SERIAL in found["certificate"].advice) == (Verdict.BAD, True)


def test_certificate_that_is_not_checked(start: StartPrinter, examine: Examine) -> None:
    assert examine(start(), tls_trust="none")["certificate"].verdict is Verdict.NOTE


def test_name_that_nobody_knows(start: StartPrinter, examine: Examine) -> None:
    found = examine(start(), host="a..b")
    assert (found["address"].exit_code, found["files"].verdict) == (4, Verdict.SKIPPED)


def nobody(examine: Examine, printer: Printer, **options: Any) -> dict[str, Finding]:
    with port_block() as ports:
        return examine(printer, ftps_port=ports[0], mqtt_port=ports[1], serial=SERIAL, **options)


def test_nobody_at_the_address(start: StartPrinter, examine: Examine) -> None:
    found = nobody(examine, start())
    assert found["port"].exit_code == 4
    assert "bambufs discover looks for printers" in found["port"].advice
    assert found["control"].verdict is Verdict.SKIPPED


def test_printer_that_has_got_another_address(start: StartPrinter, examine: Examine) -> None:
    heard = Announcement("x", SERIAL, "192.168.1.77", "C12", -50, "", True)
    found = nobody(examine, start(), visit={"find": lambda: iter([heard])})
    assert f"the printer {SERIAL} is at 192.168.1.77 now" in found["port"].advice


def test_pieces_that_a_repair_of_the_card_has_left(start: StartPrinter, examine: Examine) -> None:
    printer = start()
    (printer.card / "FSCK0000.REC").write_bytes(b"x")
    finding = examine(printer)["storage health"]
    assert (finding.verdict, "format it in the printer" in finding.advice) == (Verdict.NOTE, True)


@pytest.mark.parametrize(
    ("state", "step", "words"),
    [
        ({"wifi_signal": "-81dBm"}, "Wi-Fi", "the printer's signal is weak (-81 dBm)"),
        ({"print_error": 0x05004003}, "messages", "0500_4003"),
        ({"hms": [{"attr": 0x05000100, "code": 0x00030004}]}, "messages", "The card is full"),
        ({"hms": [{"attr": 0x05000500, "code": 0x00010007}]}, "Developer Mode", "it is off"),
    ],
)
def test_what_the_printer_says_itself(
    state: dict[str, Any], step: str, words: str, start: StartPrinter, examine: Examine
) -> None:
    printer = start()
    printer.set_state(**state)
    assert words in told(examine(printer)[step])


def test_nothing_is_written_unless_it_may(start: StartPrinter, examine: Examine) -> None:
    printer = start()
    assert examine(printer, visit={"may_write": False})["writing"].verdict is Verdict.SKIPPED
    assert [command for command in printer.log if command.verb in ("STOR", "MKD", "DELE")] == []


@pytest.mark.parametrize(("model", "verdict"), [("p1s", Verdict.SKIPPED), ("x1c", Verdict.GOOD)])
def test_small_printer_that_prints_is_not_disturbed(
    model: str, verdict: Verdict, start: StartPrinter, examine: Examine
) -> None:
    printer = start(model)
    printer.set_state(gcode_state="RUNNING")
    assert examine(printer)["writing"].verdict is verdict


def test_printer_that_trips_over_commands_sent_together_is_asked_one_thing_at_a_time(
    start: StartPrinter, examine: Examine, caplog: pytest.LogCaptureFixture
) -> None:
    printer = start(quirks={"one_command_per_read": True})
    with caplog.at_level("INFO", logger="bambufs"):
        found = examine(printer, careful=True)
    assert [finding for finding in found.values() if finding.verdict is Verdict.BAD] == []
    assert "sent together" not in caplog.text


def test_visit_that_is_broken_off_leaves_nothing(tmp_path: Path, start: StartPrinter) -> None:
    """Ctrl-C in the middle of the trial: the sessions are closed, and the next mount removes the file."""
    printer = start()
    config = Config(
        printer.host,
        printer.access_code,
        ftps_port=printer.ftps_port,
        mqtt_port=printer.mqtt_port,
        cache_dir=tmp_path / "cache",
    )
    findings = look_at_printer(Visit(config, timeouts=IN_A_HURRY))
    while next(findings).step != "reading":
        pass
    findings.close()  # type: ignore[attr-defined]
    printer.wait_for_sessions(0)
    (left,) = printer.card.glob(".bambufs-*.part")
    (noted,) = (path for path in (config.printer_dir / "parts").iterdir() if path.name.endswith(".part"))
    assert noted.name == left.name


def test_nothing_is_amiss_with_the_real_server(tmp_path: Path) -> None:
    need("vsftpd")
    with vsftpd_printer() as server, port_block() as ports:
        (server.root / "cache").mkdir()
        config = Config(
            server.host,
            server.access_code,
            ftps_port=server.port,
            mqtt_port=ports[0],
            cache_dir=tmp_path / "cache",
        )
        found = {finding.step: finding for finding in look_at_printer(Visit(config, timeouts=IN_A_HURRY))}
        assert list(server.root.glob(".bambufs*")) == []
    wrong = {step for step, finding in found.items() if finding.verdict is not Verdict.GOOD}
    assert wrong == {"control"}, "which has no server here"
