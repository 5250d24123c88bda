"""The link against Debian's mosquitto, with an independent client in the printer's part."""

from __future__ import annotations

import contextlib
import json
import logging
import os
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from typing import Any

import paho.mqtt.client as mqtt
import pytest
from paho.mqtt.enums import CallbackAPIVersion, MQTTErrorCode

from bambufs.errors import (
    CertificateRefused,
    ConnectionDropped,
    InvalidName,
    LoginRefused,
    PrinterBusy,
    PrinterError,
    PrinterTimeout,
    PrinterUnreachable,
    PrintRefused,
)
from bambufs.printer.exchange import Exchange
from bambufs.printer.job import PrintJob, build_job
from bambufs.printer.link import LinkTimes, PrinterLink
from bambufs.printer.models import find_model
from bambufs.printer.outcome import Phase
from bambufs.printer.request import parse_request
from bambufs.printer.sliceinfo import Plate
from bambufs.printer.trust import common_name, make_context
from tests.support.mosquitto import Mosquitto, mosquitto_printer
from tests.support.needs import need
from tests.support.threads import Threads
from tests.support.waiting import wait_until

QUICK = LinkTimes(connect=5.0, first_retry=0.05, longest_retry=0.2, poll=0.2)


@pytest.fixture(scope="module")
def shared_broker() -> Iterator[Mosquitto]:
    need("mosquitto")
    with mosquitto_printer() as broker:
        yield broker


@pytest.fixture
def own_broker() -> Iterator[Mosquitto]:
    need("mosquitto")
    with mosquitto_printer() as broker:
        yield broker


class FakePrinter:
    """The printer's side of the conversation: sees every byte that is asked, and answers as told."""

    def __init__(self, broker: Mosquitto) -> None:
        self._topic = f"device/{broker.serial}"
        self.requests: list[bytes] = []
        self.answers: Callable[[dict[str, Any]], list[object]] = lambda _request: []
        self._subscribed = threading.Event()
        self.client = mqtt.Client(CallbackAPIVersion.VERSION2, "the-printer")
        self.client.username_pw_set("bblp", broker.access_code)
        self.client.tls_set(cert_reqs=ssl.CERT_NONE)
        self.client.tls_insecure_set(True)
        self.client.reconnect_delay_set(1, 1)
        self.client.on_connect = lambda client, *_: client.subscribe(f"{self._topic}/request", qos=1)
        self.client.on_subscribe = lambda *_: self._subscribed.set()
        self.client.on_message = self._heard
        self.client.connect(broker.host, broker.port)
        self.client.loop_start()
        assert self._subscribed.wait(10)

    def _heard(self, _client: object, _data: object, message: mqtt.MQTTMessage) -> None:
        self.requests.append(bytes(message.payload))
        for answer in self.answers(json.loads(message.payload)):
            self.say(answer)

    def say(self, message: object) -> None:
        payload = message if isinstance(message, bytes) else json.dumps(message)
        self.client.publish(f"{self._topic}/report", payload, qos=0)

    def report(self, **keys: object) -> None:
        self.say({"print": {"command": "push_status", "msg": 1, **keys}})

    def asked(self, command: str) -> list[dict[str, Any]]:
        """The sections of all requests with that command, in order."""
        sections = [next(iter(json.loads(request).values())) for request in self.requests]
        return [section for section in sections if section["command"] == command]

    def close(self) -> None:
        self.client.disconnect()
        self.client.loop_stop()


@pytest.fixture
def printer(shared_broker: Mosquitto) -> Iterator[FakePrinter]:
    with contextlib.closing(FakePrinter(shared_broker)) as fake:
        fake.answers = idle
        yield fake


def idle(request: dict[str, Any]) -> list[object]:
    """The answers of a printer that has nothing to do."""
    if "pushing" in request:
        return [{"print": {"command": "push_status", "msg": 0, "gcode_state": "IDLE", "print_error": 0, "hms": []}}]
    return []


def answering(result: object, **more: object) -> Callable[[dict[str, Any]], list[object]]:
    """The answers of an idle printer that acknowledges every request so."""

    def answers(request: dict[str, Any]) -> list[object]:
        asked = request.get("print")
        return [{"print": {"sequence_id": asked["sequence_id"], "result": result, **more}}] if asked else idle(request)

    return answers


def link_to(broker: Mosquitto, **changes: Any) -> PrinterLink:
    options: dict[str, Any] = {
        "serial": broker.serial,
        "access_code": broker.access_code,
        "make_context": make_context,
        "check_certificate": lambda _der: None,
        "port": broker.port,
        "times": QUICK,
    } | changes
    return PrinterLink(broker.host, **options)


def link_at(port: int) -> PrinterLink:
    """A link to a port of this machine where no printer is."""
    return PrinterLink(
        "127.0.0.1",
        "01P00A",
        "c",
        make_context=make_context,
        check_certificate=lambda _der: None,
        port=port,
        times=QUICK,
    )


@pytest.fixture
def link(shared_broker: Mosquitto, printer: FakePrinter) -> Iterator[PrinterLink]:
    with link_to(shared_broker) as connected:
        connected.wait_ready(10)
        yield connected


def job_for(name: str = "P1S", line: str = "cache/benchy.gcode.3mf", task_id: int = 1234567) -> PrintJob:
    model = find_model(name)
    assert model
    return build_job(parse_request(line), Plate(1), md5="AB12", model=model, next_task_id=lambda: task_id)


def client_name(link: PrinterLink) -> str:
    """The name under which the broker's log knows the link's connection."""
    assert link._client is not None
    return link._client._client_id.decode()


def phase(link: PrinterLink) -> Phase | None:
    return link.outcome.phase if link.outcome else None


# -- connecting ----------------------------------------------------------------------------------


def test_asks_for_version_and_full_state_once_and_subscribes_to_one_topic(
    shared_broker: Mosquitto, printer: FakePrinter, link: PrinterLink
) -> None:
    link.wait_for(lambda it: it.state.gcode_state == "IDLE", 5)

    assert printer.requests == [
        b'{"info":{"sequence_id":"0","command":"get_version"}}',
        b'{"pushing":{"sequence_id":"0","command":"pushall","version":1,"push_target":1}}',
    ]
    name = client_name(link)
    granted = [line.split()[1:] for line in shared_broker.log.splitlines() if f": {name} 0 " in line]
    assert granted == [[name, "0", f"device/{shared_broker.serial}/report"]]
    assert link.as_status()["connected"] is True
    assert link.as_status()["problem"] is None


def test_reports_are_merged_and_listeners_told(printer: FakePrinter, link: PrinterLink) -> None:
    told = threading.Event()
    remove = link.on_change(told.set)

    printer.report(mc_percent=42)
    printer.say(b"not json")
    printer.report(layer_num=7)

    assert link.wait_for(lambda it: it.state.layer == 7, 5)
    assert (link.state.percent, link.state.gcode_state) == (42, "IDLE")
    assert told.is_set()
    remove()
    told.clear()
    printer.report(layer_num=8)
    assert link.wait_for(lambda it: it.state.layer == 8, 5)
    assert not told.is_set()


def test_listener_that_fails_harms_nobody(printer: FakePrinter, link: PrinterLink) -> None:
    def fail() -> None:
        raise RuntimeError("mine")

    link.on_change(fail)
    printer.report(layer_num=9)

    assert link.wait_for(lambda it: it.state.layer == 9, 5)


def test_leaves_with_a_clean_disconnect(shared_broker: Mosquitto, printer: FakePrinter) -> None:
    with link_to(shared_broker) as link:
        link.wait_ready(10)
        name = client_name(link)

    wait_until(lambda: f"Client {name} disconnected." in shared_broker.log, "the broker to note a clean end")
    assert name


def test_serial_is_learned_from_the_certificate(shared_broker: Mosquitto, printer: FakePrinter) -> None:
    with link_to(shared_broker, serial="", read_serial=common_name) as link:
        link.wait_ready(10)

        assert link.serial == shared_broker.serial


def test_unknown_serial_is_said(shared_broker: Mosquitto) -> None:
    with link_to(shared_broker, serial="") as link, pytest.raises(InvalidName, match="set it as serial"):
        link.wait_ready(0.5)


@pytest.mark.parametrize("serial", ["+", "#", "01P/x", "01P\n", "a" * 65])
def test_serial_that_would_subscribe_to_more_is_refused(serial: str) -> None:
    with pytest.raises(InvalidName):
        PrinterLink("h", serial, "c", make_context=make_context, check_certificate=lambda _der: None)


def test_chain_and_serial_are_checked_against_a_given_authority(
    shared_broker: Mosquitto, printer: FakePrinter, tmp_path: Any
) -> None:
    *_, ca = shared_broker.certificate.write(tmp_path)
    with link_to(shared_broker, make_context=lambda: make_context(ca)) as link:
        link.wait_ready(10)
    with link_to(shared_broker, serial="OTHER", make_context=lambda: make_context(ca)) as stranger:
        with pytest.raises(CertificateRefused, match="is not trusted"):
            stranger.wait_ready(5)


def test_refused_certificate_ends_it_before_the_access_code_is_sent(shared_broker: Mosquitto) -> None:
    seen: list[bytes] = []

    def refuse(der: bytes) -> None:
        seen.append(der)
        raise CertificateRefused("The printer shows another certificate than before.")

    before = shared_broker.log.count("u'bblp'")
    with link_to(shared_broker, check_certificate=refuse) as link:
        with pytest.raises(CertificateRefused):
            link.wait_ready(1)

    assert common_name(seen[0]) == shared_broker.serial
    assert shared_broker.log.count("u'bblp'") == before


# -- what stands in the way, in words --------------------------------------------------------------


def test_wrong_access_code_is_told_at_once(shared_broker: Mosquitto) -> None:
    with link_to(shared_broker, access_code="00000000") as link:
        with pytest.raises(LoginRefused, match="refuses the access code"):
            link.wait_ready(30)
        with pytest.raises(LoginRefused):
            link.request({"print": {"command": "pause"}})


def test_refused_port_is_told() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        with link_at(taken.getsockname()[1]) as link:
            with pytest.raises(PrinterUnreachable, match="LAN mode"):
                link.wait_ready(1)


def test_wrong_serial_shows_as_silence(shared_broker: Mosquitto) -> None:
    times = LinkTimes(first_retry=0.05, poll=0.1, silence=0.2)
    with link_to(shared_broker, serial="01P00WRONG", times=times) as link:
        with pytest.raises(PrinterTimeout, match="reports nothing for the serial number 01P00WRONG"):
            link.wait_ready(1.5)

        assert "01P00WRONG" in str(link.as_status()["problem"])


@contextlib.contextmanager
def slamming_door() -> Iterator[int]:
    """A port where every connection is closed at once."""
    with socket.socket() as door:
        door.bind(("127.0.0.1", 0))
        door.listen()

        def slam() -> None:
            with contextlib.suppress(OSError):
                while True:
                    door.accept()[0].close()

        thread = threading.Thread(target=slam)
        thread.start()
        yield door.getsockname()[1]
        door.shutdown(socket.SHUT_RDWR)
        thread.join()


def test_connection_closed_at_once_is_told_as_too_many() -> None:
    with slamming_door() as port, link_at(port) as link:
        with pytest.raises(PrinterBusy, match="taken by other programs"):
            link.wait_ready(1)


def test_connection_limit_of_the_broker_is_told() -> None:
    need("mosquitto")
    with mosquitto_printer(settings="max_connections 1") as broker, contextlib.closing(FakePrinter(broker)):
        with link_to(broker) as link, pytest.raises(PrinterBusy, match="taken by other programs"):
            link.wait_ready(1)


def test_access_code_is_in_no_log_and_no_repr(
    shared_broker: Mosquitto, printer: FakePrinter, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    with link_to(shared_broker) as link:
        link.wait_ready(10)
        seen = repr(link) + repr(vars(link)) + repr(link.health)

    assert shared_broker.access_code not in seen + caplog.text
    assert "connected" in caplog.text


# -- asking ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("result", ["success", "SUCCESS", "Success"])
def test_ack_is_known_by_sequence_id_and_result_alone(printer: FakePrinter, link: PrinterLink, result: str) -> None:
    printer.answers = answering(result)

    assert link.command("pause").is_success
    assert [request["param"] for request in printer.asked("pause")] == [""]


def test_foreign_answers_are_not_taken(printer: FakePrinter, link: PrinterLink) -> None:
    def answers(request: dict[str, Any]) -> list[object]:
        number = request["print"]["sequence_id"]
        return [
            {"print": {"sequence_id": "1", "result": "fail"}},
            {"print": {"sequence_id": number, "command": "push_status", "mc_percent": 3}},
            {"print": {"sequence_id": number, "command": "resume", "result": "fail"}},
            {"print": {"sequence_id": number, "command": "pause", "result": "success"}},
        ]

    printer.answers = answers

    assert link.command("pause").is_success


def test_refusal_carries_the_printers_reason(printer: FakePrinter, link: PrinterLink) -> None:
    printer.answers = answering("FAIL", reason="not printing")

    with pytest.raises(PrinterError, match=r"refused to stop\. Its reason: not printing"):
        link.command("stop")


@pytest.mark.parametrize(
    "more", [{"err_code": 84033543}, {"reason": "MQTT message verify failed"}, {"err_code": 84033545, "reason": ""}]
)
def test_printer_without_developer_mode_is_told(
    printer: FakePrinter, link: PrinterLink, more: dict[str, object]
) -> None:
    printer.answers = answering("failed", **more)

    with pytest.raises(PrintRefused, match="Developer Mode"):
        link.command("pause")


def test_refusal_by_health_message_alone_is_understood(printer: FakePrinter, link: PrinterLink) -> None:
    hms = {"print": {"command": "push_status", "hms": [{"attr": 0x05000500, "code": 0x00010007}]}}
    printer.answers = lambda _request: [hms]

    with pytest.raises(PrintRefused, match="Developer Mode"):
        link.start_print(job_for())
    assert phase(link) is Phase.REFUSED
    printer.answers = lambda _request: []
    with pytest.raises(PrintRefused, match="Developer Mode"):
        link.request({"print": {"command": "pause"}}, timeout=0.2)


def test_no_answer_is_a_timeout_and_not_a_second_request(printer: FakePrinter, link: PrinterLink) -> None:
    with pytest.raises(PrinterTimeout, match="look at the printer"):
        link.request({"print": {"command": "pause", "param": ""}}, timeout=0.3)

    assert len(printer.asked("pause")) == 1


def test_answers_find_their_requests_when_many_ask_at_once(printer: FakePrinter, link: PrinterLink) -> None:
    waiting: list[str] = []

    def answers(request: dict[str, Any]) -> list[object]:
        waiting.append(request["print"]["sequence_id"])
        return [{"print": {"sequence_id": n, "result": "success", "reason": n}} for n in reversed(waiting)]

    printer.answers = answers
    reasons: list[str] = []
    threads = [threading.Thread(target=lambda: reasons.append(link.command("pause").reason)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)

    assert sorted(reasons) == sorted(waiting)
    assert len(set(reasons)) == 8


def test_only_the_links_thread_writes_to_the_connection(
    printer: FakePrinter, link: PrinterLink, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert link._client is not None
    writers: set[str] = set()
    really_write = link._client.loop_write

    def write() -> MQTTErrorCode:
        writers.add(threading.current_thread().name)
        return really_write()

    monkeypatch.setattr(link._client, "loop_write", write)
    printer.answers = answering("success")

    link.command("pause")

    assert writers == {f"bambufs-link-{link.host}"}


# -- never twice -----------------------------------------------------------------------------------


def test_connection_that_ends_in_the_middle_leaves_it_unknown_and_is_never_repeated(own_broker: Mosquitto) -> None:
    with contextlib.closing(FakePrinter(own_broker)) as printer, link_to(own_broker) as link:
        printer.answers = idle
        link.wait_ready(10)
        printer.answers = lambda _request: []
        trouble: list[BaseException] = []
        asking = threading.Thread(target=lambda: trouble.append(caught(link, job_for())))
        asking.start()
        wait_until(lambda: printer.asked("project_file"), "the request to arrive")

        own_broker.kill()
        asking.join(10)

        assert isinstance(trouble[0], ConnectionDropped)
        assert phase(link) is Phase.UNKNOWN
        assert link.outcome is not None
        assert "Look at the printer" in link.outcome.sentence
        own_broker.start()
        printer.answers = idle
        assert link.wait_for(lambda it: it.health.is_connected, 20)
        wait_until(printer.client.is_connected, "the printer to be back", seconds=20)
        printer.report(gcode_state="IDLE")
        assert link.wait_for(lambda it: it.is_ready, 10)
        assert len(printer.asked("project_file")) == 1


def caught(link: PrinterLink, job: PrintJob) -> BaseException:
    """The error with which a print request ends."""
    try:
        link.start_print(job)
    except PrinterError as error:
        return error
    return AssertionError("no error")


def test_nothing_is_sent_later_when_there_is_no_connection(own_broker: Mosquitto) -> None:
    with contextlib.closing(FakePrinter(own_broker)) as printer, link_to(own_broker) as link:
        printer.answers = idle
        link.wait_ready(10)
        own_broker.kill()
        assert link.wait_for(lambda it: not it.health.is_connected, 10)

        with pytest.raises((PrinterUnreachable, ConnectionDropped)):
            link.start_print(job_for())

        assert link.outcome is None
        own_broker.start()
        assert link.wait_for(lambda it: it.health.is_connected, 20)
        wait_until(lambda: printer.client.is_connected(), "the printer to be back")
        assert printer.asked("project_file") == []


def test_full_state_is_not_asked_again_within_five_minutes(own_broker: Mosquitto) -> None:
    now = 1000.0
    with contextlib.closing(FakePrinter(own_broker)) as printer, link_to(own_broker, clock=lambda: now) as link:
        printer.answers = idle
        link.wait_ready(10)

        own_broker.restart()
        assert link.wait_for(lambda it: it.health.is_connected and it.health.since == 1000.0, 20)
        wait_until(printer.client.is_connected, "the printer to be back", seconds=20)
        now = 1299.0
        printer.report(layer_num=1)
        assert link.wait_for(lambda it: it.state.layer == 1, 10)
        assert len(printer.asked("pushall")) == 1
        now = 1300.0
        wait_until(lambda: len(printer.asked("pushall")) == 2, "the second pushall")


# -- printing --------------------------------------------------------------------------------------

COMMON = (
    '"command":"project_file","param":"Metadata/plate_1.gcode","url":"{url}","file":"benchy.gcode.3mf","md5":"AB12",'
    '"subtask_name":"benchy","project_id":"0","profile_id":"0","task_id":"1234567","subtask_id":"1234567",'
    '"bed_type":"auto","bed_leveling":true,"bed_levelling":true,"flow_cali":false,"vibration_cali":{vibration},'
    '"layer_inspect":false,"timelapse":false,"use_ams":false,"ams_mapping":[-1]'
)
NEWER = (
    ',"ams_mapping2":[{"ams_id":255,"slot_id":0}],"auto_bed_leveling":1,"extrude_cali_flag":0,'
    '"nozzle_offset_cali":0,"cfg":"0"'
)


@pytest.mark.parametrize(
    ("model", "line", "url", "newer"),
    [
        ("X1C", "cache/benchy.gcode.3mf", "file:///sdcard/cache/benchy.gcode.3mf", ""),
        ("P1S", "cache/benchy.gcode.3mf", "file:///sdcard/cache/benchy.gcode.3mf", ""),
        ("A1", "benchy.gcode.3mf", "file:///sdcard/benchy.gcode.3mf", ""),
        ("P2S", "benchy.gcode.3mf", "ftp:///benchy.gcode.3mf", NEWER),
        ("H2D", "Gehäuse/benchy.gcode.3mf", "file:///sdcard/Gehäuse/benchy.gcode.3mf", NEWER),
    ],
)
def test_payload_is_right_to_the_byte(
    printer: FakePrinter, link: PrinterLink, model: str, line: str, url: str, newer: str
) -> None:
    printer.answers = answering("success")

    link.start_print(job_for(model, line))

    request = printer.requests[-1]
    number = json.loads(request)["print"]["sequence_id"]
    vibration = "false" if model == "P2S" else "true"
    body = COMMON.replace("{url}", url).replace("{vibration}", vibration) + newer
    assert request == f'{{"print":{{"sequence_id":"{number}",{body}}}}}'.encode()
    assert number.isdigit()


def test_name_that_is_not_utf8_keeps_its_bytes() -> None:
    job = job_for("X1C", os.fsdecode(b"Geh\xe4use.3mf"))

    assert b'"url":"file:///sdcard/Geh\xe4use.3mf"' in Exchange(job.payload(), "1").message


def test_accepted_is_not_started_until_the_printer_runs_our_job(printer: FakePrinter, link: PrinterLink) -> None:
    printer.answers = answering("success")

    outcome = link.start_print(job_for())

    assert outcome.phase is Phase.ACCEPTED
    assert "accepted benchy and has not started it yet" in outcome.sentence
    printer.report(gcode_state="PREPARE", subtask_name="another")
    printer.report(layer_num=1)
    assert link.wait_for(lambda it: it.state.layer == 1, 5)
    assert phase(link) is Phase.ACCEPTED
    printer.report(subtask_name="benchy")
    assert link.wait_for(lambda it: phase(it) is Phase.STARTED, 5)
    printer.report(gcode_state="RUNNING")
    printer.report(gcode_state="FINISH")
    assert link.wait_for(lambda it: phase(it) is Phase.FINISHED, 5)


def test_start_without_any_answer_counts_as_an_answer(printer: FakePrinter, link: PrinterLink) -> None:
    started = {"print": {"command": "push_status", "gcode_state": "RUNNING", "subtask_name": "benchy"}}
    printer.answers = lambda _request: [started]

    assert link.start_print(job_for(), timeout=10).phase is Phase.STARTED


def test_print_error_after_success_is_told_with_its_meaning(printer: FakePrinter, link: PrinterLink) -> None:
    printer.answers = answering("success")
    link.start_print(job_for())

    printer.report(print_error=0x0500C010)

    assert link.wait_for(lambda it: phase(it) is Phase.FAILED, 5)
    assert link.outcome is not None
    assert "0500_C010: The printer could not read or write its card" in link.outcome.sentence


def test_not_started_within_four_minutes_is_told(shared_broker: Mosquitto, printer: FakePrinter) -> None:
    now = 0.0
    with link_to(shared_broker, clock=lambda: now) as link:
        link.wait_ready(10)
        printer.answers = answering("success")
        link.start_print(job_for())

        now = 240.0
        printer.report(layer_num=0)
        assert link.wait_for(lambda it: it.state.last_report == 240.0, 5)
        assert phase(link) is Phase.ACCEPTED
        now = 240.5
        assert phase(link) is Phase.NOT_STARTED
        assert link.outcome is not None
        assert "has not started benchy within 4 minutes" in link.outcome.sentence


def test_refused_print_is_told_with_the_reason(printer: FakePrinter, link: PrinterLink) -> None:
    printer.answers = answering("fail", reason="file not found")

    with pytest.raises(PrinterError, match=r"refused to print benchy\. Its reason: file not found"):
        link.start_print(job_for())
    assert phase(link) is Phase.REFUSED


def test_print_without_an_answer_is_unknown_and_can_still_start(printer: FakePrinter, link: PrinterLink) -> None:
    with pytest.raises(PrinterTimeout):
        link.start_print(job_for(), timeout=0.3)
    assert phase(link) is Phase.UNKNOWN

    with pytest.raises(PrinterBusy, match="Another request is still open"):
        link.start_print(job_for())
    printer.report(gcode_state="RUNNING", task_id="1234567")

    assert link.wait_for(lambda it: phase(it) is Phase.STARTED, 5)
    assert len(printer.asked("project_file")) == 1


def test_busy_printer_is_not_asked(printer: FakePrinter, link: PrinterLink) -> None:
    printer.report(gcode_state="RUNNING", subtask_name="vase")
    assert link.wait_for(lambda it: it.state.is_active, 5)

    with pytest.raises(PrinterBusy, match=r"at work \(RUNNING: vase\)"):
        link.start_print(job_for())
    assert printer.asked("project_file") == []


def test_two_at_once_is_one_print_and_one_busy(printer: FakePrinter, link: PrinterLink) -> None:
    printer.answers = answering("success")
    ends: list[BaseException] = []
    threads = [threading.Thread(target=lambda: ends.append(caught(link, job_for()))) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)

    assert sorted(type(end).__name__ for end in ends) == ["AssertionError", "PrinterBusy"]
    assert len(printer.asked("project_file")) == 1


def test_silent_printer_is_not_asked(shared_broker: Mosquitto, printer: FakePrinter) -> None:
    now = 0.0
    with link_to(shared_broker, clock=lambda: now) as link:
        link.wait_ready(10)
        now = 31.0

        with pytest.raises(PrinterTimeout, match="not reported its state lately"):
            link.start_print(job_for())
    assert printer.asked("project_file") == []


def test_what_was_said_before_a_reconnect_is_not_enough_to_print(own_broker: Mosquitto) -> None:
    with contextlib.closing(FakePrinter(own_broker)) as printer, link_to(own_broker, clock=lambda: 5.0) as link:
        printer.answers = idle
        link.wait_ready(10)
        own_broker.restart()
        assert link.wait_for(lambda it: it.health.is_connected and not it.is_ready, 20)
        wait_until(printer.client.is_connected, "the printer to be back", seconds=20)
        printer.report(layer_num=3)
        assert link.wait_for(lambda it: it.state.layer == 3, 10)

        assert link.state.is_ready_to_print
        with pytest.raises(PrinterTimeout, match="may be at work"):
            link.start_print(job_for())
        printer.report(gcode_state="IDLE")
        assert link.wait_for(lambda it: it.is_ready, 10)
        printer.answers = answering("success")
        assert link.start_print(job_for()).phase is Phase.ACCEPTED


def test_printer_that_falls_silent_gets_a_new_connection(shared_broker: Mosquitto, printer: FakePrinter) -> None:
    now = 0.0
    with link_to(shared_broker, clock=lambda: now) as link:
        link.wait_ready(10)
        wait_until(lambda: len(printer.asked("pushall")) == 1, "the question for the state")
        name = client_name(link)
        now = 121.0

        assert link.wait_for(lambda it: it.health.is_connected and it.health.since == 121.0, 10)
        wait_until(lambda: len(printer.asked("get_version")) == 2, "the second connection's question")
        wait_until(lambda: f"Client {name} disconnected." in shared_broker.log, "the first one's clean end")
    assert len(printer.asked("pushall")) == 1


def test_attempts_become_rarer_and_are_never_in_step() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        first, second = link_at(taken.getsockname()[1]), link_at(taken.getsockname()[1])
    times = LinkTimes(first_retry=1.0, longest_retry=60.0)
    pauses = []
    for link in (first, second):
        link._times = times
        pauses.append([link._pause() for _ in range(10)])

    for turn, (one, other) in enumerate(zip(*pauses, strict=True)):
        assert min(60.0, 2.0**turn) / 2 <= one <= min(60.0, 2.0**turn)
        assert one != other


def test_stop_frees_who_waits_and_ends_the_thread(shared_broker: Mosquitto, printer: FakePrinter) -> None:
    threads = Threads()
    link = link_to(shared_broker)
    link.start()
    link.wait_ready(10)
    ends: list[BaseException] = []
    asking = threading.Thread(target=lambda: ends.append(caught(link, job_for())))
    asking.start()
    wait_until(lambda: printer.asked("project_file"), "the request to arrive")

    link.stop()
    asking.join(5)

    assert isinstance(ends[0], ConnectionDropped)
    assert threads.named("bambufs-link") == []


def test_pauses_between_connections_double_up_to_a_bound_and_differ_between_mounts() -> None:
    times = LinkTimes(first_retry=1.0, longest_retry=60.0)

    def pauses() -> list[float]:
        link = PrinterLink(
            "127.0.0.1", "", "12345678", make_context=make_context, check_certificate=lambda der: None, times=times
        )
        return [link._pause() for _ in range(9)]

    one, other = pauses(), pauses()

    longest = [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 60.0, 60.0, 60.0]
    assert all(bound / 2 <= pause <= bound for pause, bound in zip(one, longest))
    assert one != other
