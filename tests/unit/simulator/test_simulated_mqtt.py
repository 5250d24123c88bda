"""A plain MQTT client meets the quirks of a printer's reports, acknowledgements and prints."""

from __future__ import annotations

import contextlib
import hashlib
import time
from collections.abc import Callable
from typing import Any

import pytest

from bambufs.simulator import Printer, make_3mf
from tests.support.waiting import wait_until
from tests.unit.simulator.plain_client import PlainClient
from tests.unit.simulator.plain_mqtt import PlainMqtt

Start = Callable[..., Printer]
Connect = Callable[..., PlainClient]
CANNOT_PARSE, BUSY, NO_DEVELOPER_MODE = 0x05004003, 0x05004004, 84033543
FAST: dict[str, Any] = {"mqtt": True, "report_interval": 0.05, "speed": 2000.0}
SLOW: dict[str, Any] = FAST | {"speed": 1.0}


@pytest.fixture
def listen(closing: contextlib.ExitStack) -> Callable[..., PlainMqtt]:
    """Connects plain MQTT clients that listen to the reports."""

    def make(printer: Printer, **options: Any) -> PlainMqtt:
        return closing.enter_context(PlainMqtt(printer, **options))

    return make


Listen = Callable[..., PlainMqtt]


def job(url: str = "ftp:///a.gcode.3mf", *, plate: int = 1, **more: Any) -> dict[str, Any]:
    switches = dict.fromkeys(("use_ams", "timelapse", "bed_leveling", "flow_cali"), False)
    asked: dict[str, Any] = {"param": f"Metadata/plate_{plate}.gcode", "url": url, "subtask_name": "a", "md5": ""}
    return asked | switches | more


def with_file(printer: Printer, name: str = "a.gcode.3mf", **options: Any) -> bytes:
    place = printer.card / name
    place.parent.mkdir(parents=True, exist_ok=True)
    return make_3mf(place, **options).read_bytes()


# -- who may connect


def test_the_access_code_opens_the_door(start: Start, listen: Listen) -> None:
    assert listen(start(**SLOW)).connected == "Success"


def test_a_wrong_access_code_is_refused(start: Start, closing: contextlib.ExitStack) -> None:
    client = PlainMqtt(start(**SLOW), code="00000000")
    closing.callback(client.close)

    client.wait(lambda: client.connected, "an answer")

    assert client.connected != "Success"


@pytest.mark.parametrize("topic", ["device/#", "#", "device/01S00C000000001/request", "device/another/report"])
def test_p1_drops_who_subscribes_to_foreign_topics(
    topic: str, start: Start, closing: contextlib.ExitStack
) -> None:
    client = PlainMqtt(start("p1s", **SLOW), topic=topic)
    closing.callback(client.close)

    client.wait(lambda: client.lost, "the connection to be dropped")
    assert not client.is_subscribed


def test_x1_merely_refuses_foreign_topics(start: Start, closing: contextlib.ExitStack) -> None:
    client = PlainMqtt(start("x1c", **SLOW), topic="device/#")
    closing.callback(client.close)
    client.wait(lambda: client.is_subscribed is not None, "an answer to the subscription")

    assert client.is_subscribed is False
    assert not client.lost


def test_a_p1_has_few_slots_and_they_linger(start: Start, listen: Listen, closing: contextlib.ExitStack) -> None:
    printer = start("p1s", **SLOW, quirks={"mqtt_clients": 1, "mqtt_linger": 0.3})
    first = listen(printer)
    with contextlib.suppress(OSError):
        second = PlainMqtt(printer)
        closing.callback(second.close)
        second.wait(lambda: second.lost, "the second client to be dropped")
        assert second.connected is None

    first.close()
    assert printer.mqtt_client_count == 1
    wait_until(lambda: printer.mqtt_client_count == 0, "the slot to be free")

    assert listen(printer).connected == "Success"


@pytest.mark.parametrize("closed", ["mqtt", "ftps"])
def test_either_port_may_be_closed_alone(closed: str, start: Start, listen: Listen, connect: Connect) -> None:
    printer = start(**SLOW, quirks={closed: False})

    with pytest.raises(ConnectionRefusedError):
        listen(printer) if closed == "mqtt" else connect(printer)

    assert connect(printer).lines() == [] if closed == "mqtt" else listen(printer).connected
    printer.quirks[closed] = True
    assert listen(printer).connected
    assert connect(printer).lines() == []


# -- reports


def test_pushall_brings_everything(start: Start, listen: Listen) -> None:
    client = listen(start("p1s", **SLOW))

    client.request("pushing", "pushall")
    full = client.wait_for(lambda body: body.get("msg") == 0, "a full report")

    assert full["gcode_state"] == "IDLE"
    assert full["sdcard"] is True
    assert full["home_flag"] >> 8 & 3 == 1
    assert full["ams"]["ams"][0]["tray"][0]["tray_type"] == "PLA"


def test_p1_reports_changes_only(start: Start, listen: Listen) -> None:
    printer = start("p1s", **SLOW)
    client = listen(printer)
    client.request("pushing", "pushall")
    client.wait_for(lambda body: body.get("msg") == 0, "a full report")

    printer.set_state(nozzle_temper=123.0)
    delta = client.wait_for(lambda body: body.get("nozzle_temper") == 123.0, "the change")

    assert delta["msg"] == 1
    assert "gcode_state" not in delta


def test_x1_always_reports_everything(start: Start, listen: Listen) -> None:
    client = listen(start("x1c", **SLOW))

    client.wait(lambda: len(client.documents) >= 3, "three reports")

    assert all(body["msg"] == 0 and "gcode_state" in body for body in client.reports())


def test_a_second_pushall_too_soon_may_stay_unanswered(start: Start, listen: Listen) -> None:
    client = listen(start("p1s", **SLOW, quirks={"pushall_every": 300.0}))

    client.request("pushing", "pushall")
    client.wait_for(lambda body: body.get("msg") == 0, "a full report")
    client.request("pushing", "pushall")
    client.answer("info", "get_version")

    assert len([body for body in client.reports() if body["msg"] == 0]) == 1


@pytest.mark.parametrize(("model", "names"), [("p1s", ["ota", "esp32"]), ("x1c", ["ota"])])
def test_get_version_names_the_modules(model: str, names: list[str], start: Start, listen: Listen) -> None:
    printer = start(model, **SLOW)

    modules = listen(printer).answer("info", "get_version")["module"]

    assert [module["name"] for module in modules] == names
    assert modules[0]["sn"] == printer.serial


# -- prints


@pytest.mark.parametrize("model", ["p1s", "x1c"])
def test_a_print_runs_through_its_states(model: str, start: Start, listen: Listen) -> None:
    printer = start(model, **FAST)
    with_file(printer)
    client = listen(printer)

    ack = client.answer("print", "project_file", **job(task_id="77"))
    client.wait_for(lambda body: body.get("gcode_state") == "FINISH", "the end of the print")

    assert (ack["command"], ack["result"]) == ("project_file", "success")
    assert [state for state in client.states() if state != "IDLE"] == ["PREPARE", "RUNNING", "FINISH"]
    state = printer.state
    assert (state["mc_percent"], state["layer_num"], state["total_layer_num"]) == (100, 100, 100)
    assert (state["subtask_name"], state["task_id"]) == ("a", "77")
    assert state["gcode_file"] == ("a.gcode.3mf" if model == "p1s" else "/data/Metadata/plate_1.gcode")
    assert printer.jobs[0]["url"] == "ftp:///a.gcode.3mf"
    assert printer.requests[-1].qos == 0


def test_percent_and_layers_grow(start: Start, listen: Listen) -> None:
    printer = start("p1s", **FAST | {"speed": 500.0, "report_interval": 0.02})
    with_file(printer)
    client = listen(printer)

    client.request("print", "project_file", **job())
    client.wait_for(lambda body: body.get("gcode_state") == "FINISH", "the end of the print")

    percents = [body["mc_percent"] for body in client.reports() if "mc_percent" in body]
    assert percents == sorted(percents)
    assert len(set(percents)) > 3


def test_a_print_is_paused_resumed_and_stopped(start: Start, listen: Listen) -> None:
    printer = start("p1s", **FAST | {"speed": 60.0})
    with_file(printer, seconds=100_000)
    client = listen(printer)
    client.request("print", "project_file", **job())

    for command, state in (("", "RUNNING"), ("pause", "PAUSE"), ("resume", "RUNNING"), ("stop", "FAILED")):
        if command:
            assert client.answer("print", command, param="")["result"] == "success"
        wait_until(lambda state=state: printer.state["gcode_state"] == state, state)  # type: ignore[misc]

    assert printer.state["print_error"] == 0x0300400C


def test_a_print_with_timelapse_leaves_a_film(start: Start, listen: Listen) -> None:
    printer = start("p1s", **FAST)
    with_file(printer)

    listen(printer).request("print", "project_file", **job(timelapse=True))

    wait_until(lambda: list(printer.card.glob("timelapse/*.avi")), "the film")


# -- rows 35, 36: acknowledgements and what follows them


@pytest.mark.parametrize(("ack", "shown"), [("success", "success"), ("SUCCESS", "SUCCESS")])
def test_the_case_of_an_ack_varies(ack: str, shown: str, start: Start, listen: Listen) -> None:
    client = listen(start("p1s", **SLOW, quirks={"ack": ack}))

    assert client.answer("print", "gcode_line", param="G28\n")["result"] == shown


def test_a1_mini_leaves_the_command_out(start: Start, listen: Listen) -> None:
    client = listen(start("a1mini", **SLOW))

    assert "command" not in client.answer("print", "gcode_line", param="G28\n")


def test_an_ack_may_be_missing(start: Start, listen: Listen) -> None:
    printer = start("p1s", **FAST, quirks={"ack": "none"})
    with_file(printer)
    client = listen(printer)

    client.request("print", "project_file", **job())
    client.wait_for(lambda body: body.get("gcode_state") == "FINISH", "the end of the print")

    assert not [document for document in client.documents if "result" in document.get("print", {})]


def test_a_print_may_start_late(start: Start, listen: Listen) -> None:
    printer = start("p1p", **FAST, quirks={"start_delay": 0.3})
    with_file(printer)
    client = listen(printer)

    began = time.monotonic()
    client.request("print", "project_file", **job())
    client.wait_for(lambda body: body.get("gcode_state") == "PREPARE", "the start")

    assert time.monotonic() - began >= 0.3


def test_a_print_may_never_start(start: Start, listen: Listen) -> None:
    printer = start("p1s", **FAST)
    printer.quirks.once("never_starts", True)
    with_file(printer)
    client = listen(printer)

    assert client.answer("print", "project_file", **job())["result"] == "success"
    assert client.answer("print", "gcode_line", param="")["result"] == "success"

    assert printer.state["gcode_state"] == "IDLE"
    assert client.answer("print", "project_file", **job())["result"] == "success"
    client.wait_for(lambda body: body.get("gcode_state") == "PREPARE", "the second try to start")


def test_success_may_be_followed_by_an_error(start: Start, listen: Listen) -> None:
    printer = start("p1s", **FAST, quirks={"error_after_ack": 0x0500C010})
    with_file(printer)
    client = listen(printer)

    assert client.answer("print", "project_file", **job())["result"] == "success"
    assert client.wait_for(lambda body: body.get("print_error"), "an error")["print_error"] == 0x0500C010


# -- row 37: Developer Mode


def test_without_developer_mode_control_is_refused_and_reading_works(start: Start, listen: Listen) -> None:
    printer = start("x1c", **SLOW, quirks={"developer_mode": False})
    client = listen(printer)

    for section, command in (("print", "project_file"), ("print", "stop"), ("system", "ledctrl")):
        answer = client.answer(section, command)
        assert (answer["result"], answer["err_code"]) == ("failed", NO_DEVELOPER_MODE)
        assert answer["reason"] == "mqtt message verify failed"
    assert client.answer("info", "get_version")["module"]
    assert int(printer.state["fun"], 16) & 0x20000000


def test_without_developer_mode_a_p1_may_only_show_a_message(start: Start, listen: Listen) -> None:
    printer = start("p1s", **SLOW, quirks={"developer_mode": False, "refusal": "hms"})

    listen(printer).request("print", "project_file")

    wait_until(lambda: printer.state["hms"], "the message")
    assert printer.state["hms"] == [{"attr": 0x05000500, "code": 0x00010007}]


# -- row 38: busy


@pytest.mark.parametrize(("model", "after"), [("p1s", "RUNNING"), ("a1mini", "FAILED")])
def test_a_print_while_one_runs_is_refused_or_worse(model: str, after: str, start: Start, listen: Listen) -> None:
    printer = start(model, **FAST | {"speed": 60.0})
    with_file(printer, seconds=100_000)
    client = listen(printer)
    client.request("print", "project_file", **job())
    wait_until(lambda: printer.state["gcode_state"] == "RUNNING", "the first print")

    assert client.answer("print", "project_file", **job())["result"] == "fail"

    assert (printer.state["gcode_state"], printer.state["print_error"]) == (after, BUSY)


# -- row 39: what is printed at all

URLS = (
    ("p1s", "file:///sdcard/a.gcode.3mf", True),
    ("p1s", "ftp:///a.gcode.3mf", True),
    ("p1s", "ftp:///cache/b c.gcode.3mf", True),
    ("p1s", "file:///mnt/sdcard/a.gcode.3mf", False),
    ("p1s", "ftp://a.gcode.3mf", False),
    ("p1s", "ftp:///cache/b%20c.gcode.3mf", False),
    ("p1s", "ftp:///missing.gcode.3mf", False),
    ("p1s", "ftp:///../card/a.gcode.3mf", False),
    ("x1c", "file:///mnt/sdcard/cache/b c.gcode.3mf", True),
    ("h2d", "ftp:///a.gcode.3mf", True),
    ("h2d", "ftp:///cache/b c.gcode.3mf", False),
    ("h2d", "file:///sdcard/cache/b c.gcode.3mf", True),
    ("h2s", "file:///sdcard/a.gcode.3mf", False),
    ("h2s", "ftp://a.gcode.3mf", False),
    ("p2s", "ftp://a.gcode.3mf", True),
    ("p2s", "file:///media/usb0/a.gcode.3mf", True),
)


@pytest.mark.parametrize(("model", "url", "prints"), URLS)
def test_each_model_has_its_own_forms_of_url(
    model: str, url: str, prints: bool, start: Start, listen: Listen
) -> None:
    printer = start(model, **FAST)
    with_file(printer)
    with_file(printer, "cache/b c.gcode.3mf")
    client = listen(printer)

    client.request("print", "project_file", **job(url))

    wait_until(lambda: printer.state["gcode_state"] != "IDLE", "the outcome")
    assert (printer.state["gcode_state"] != "FAILED", printer.state["print_error"]) == (
        (True, 0) if prints else (False, CANNOT_PARSE)
    )


@pytest.mark.parametrize(
    ("model", "content", "asked"),
    [
        ("p1s", {}, {"plate": 2}),
        ("p1s", {"is_sliced": False}, {}),
        ("p1s", {"md5": "0" * 32}, {}),
        ("p1s", {}, {"md5": "A" * 32}),
        ("p1s", {}, {"param": "Metadata/plate_x.gcode"}),
        ("x1c", {"plates": 2}, {"plate": 3}),
    ],
)
def test_what_cannot_be_read_is_0500_4003(
    model: str, content: dict[str, Any], asked: dict[str, Any], start: Start, listen: Listen
) -> None:
    printer = start(model, **FAST)
    with_file(printer, **content)

    listen(printer).request("print", "project_file", **job(**asked))

    wait_until(lambda: printer.state["print_error"], "the error")
    assert printer.state["print_error"] == CANNOT_PARSE


def test_a_truncated_file_is_0500_4003(start: Start, listen: Listen) -> None:
    printer = start("p1s", **FAST)
    whole = with_file(printer)
    (printer.card / "a.gcode.3mf").write_bytes(whole[:-100])

    listen(printer).request("print", "project_file", **job())

    wait_until(lambda: printer.state["print_error"] == CANNOT_PARSE, "the error")


def test_the_right_md5_is_taken_in_either_case(start: Start, listen: Listen) -> None:
    printer = start("x1c", **FAST)
    digest = hashlib.md5(with_file(printer)).hexdigest().upper()

    listen(printer).request("print", "project_file", **job(md5=digest))

    wait_until(lambda: printer.state["gcode_state"] == "FINISH", "the end of the print")


def test_switches_have_to_be_booleans(start: Start, listen: Listen) -> None:
    printer = start("p1s", **SLOW)
    with_file(printer)

    assert listen(printer).answer("print", "project_file", **job(timelapse=1))["result"] == "fail"


def test_the_external_spool_is_no_ams_slot(start: Start, listen: Listen) -> None:
    printer = start("p1s", **SLOW)
    with_file(printer)

    listen(printer).request("print", "project_file", **job(use_ams=True, ams_mapping=[254]))

    wait_until(lambda: printer.state["print_error"] == 0x07008012, "the error")


# -- what else arrives


NONSENSE = ("", "not json", "[1, 2]", '{"print": 5}', '{"print": {"command": "dance"}}', "[" * 9999)


@pytest.mark.parametrize("text", NONSENSE)
def test_nonsense_is_recorded_and_left_alone(text: str, start: Start, listen: Listen) -> None:
    printer = start("p1s", **SLOW)
    client = listen(printer)

    client.publish(text)

    assert client.answer("info", "get_version")["module"]
    assert printer.requests[0].raw == text.encode()


def test_other_topics_reach_nobody(start: Start, listen: Listen) -> None:
    printer = start("p1s", **SLOW)
    client = listen(printer)

    client.publish('{"print": {"command": "stop"}}', topic=f"device/{printer.serial}/report")
    client.answer("info", "get_version")

    assert [request.command for request in printer.requests] == ["get_version"]


def test_the_light_and_the_speed_follow_commands(start: Start, listen: Listen) -> None:
    printer = start("p1s", **SLOW)
    client = listen(printer)

    client.answer("system", "ledctrl", led_node="chamber_light", led_mode="off")
    client.answer("print", "print_speed", param="4")

    assert printer.state["lights_report"] == [{"node": "chamber_light", "mode": "off"}]
    assert printer.state["spd_lvl"] == 4


def test_gcode_file_is_taken_and_forgotten_by_a_p1(start: Start, listen: Listen) -> None:
    printer = start("p1s", **FAST)

    assert listen(printer).answer("print", "gcode_file", param="/sdcard/x.gcode")["result"] == "success"
    assert printer.state["gcode_state"] == "IDLE"


def test_any_bytes_can_be_published(start: Start, listen: Listen) -> None:
    printer = start("p1s", **SLOW)
    client = listen(printer)

    printer.publish(b'{"print": {"odd": [[[1]]]}}')

    client.wait_for(lambda body: "odd" in body, "the odd document")


def test_a_gate_holds_an_acknowledgement(start: Start, listen: Listen) -> None:
    printer = start("p1s", **SLOW)
    client = listen(printer)

    with printer.hold("gcode_line") as gate:
        sequence = client.request("print", "gcode_line", param="G28\n")
        assert gate.reached.wait(10)
        assert not [document for document in client.documents if "result" in document.get("print", {})]

    client.wait_for(lambda body: body.get("sequence_id") == sequence and "result" in body, "the answer")


def test_a_printer_switched_off_drops_its_clients_and_comes_back(start: Start, listen: Listen) -> None:
    printer = start("p1s", **SLOW)
    client = listen(printer)

    printer.switch_off()
    client.wait(lambda: client.lost, "the connection to go")
    printer.switch_on()

    assert listen(printer).answer("info", "get_version")
