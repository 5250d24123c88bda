from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bambufs.printer import codes, reports
from bambufs.printer.state import PrinterState, Temperature, Tray

AMS_UNIT = {
    "id": "0",
    "humidity": "5",
    "tray": [
        {"id": "0", "tray_type": "PLA", "tray_color": "76D9F4FF", "remain": 90},
        {"id": "1", "tray_type": "PETG", "tray_color": "fff144ff", "remain": -1},
        {"id": "2"},
    ],
}
FULL = {
    "command": "push_status",
    "msg": 0,
    "sequence_id": "400",
    "gcode_state": "RUNNING",
    "subtask_name": "benchy",
    "gcode_file": "benchy.gcode.3mf",
    "mc_percent": 42,
    "mc_remaining_time": 17,
    "layer_num": 80,
    "total_layer_num": 200,
    "gcode_file_prepare_percent": "99",
    "nozzle_temper": 219.5,
    "nozzle_target_temper": 220,
    "bed_temper": "60.0",
    "bed_target_temper": 60,
    "chamber_temper": 5,
    "print_error": 0,
    "hms": [],
    "ams": {"ams": [AMS_UNIT], "tray_now": "1"},
    "wifi_signal": "-48dBm",
    "sdcard": True,
    "home_flag": 256,
    "task_id": "4711",
    "subtask_id": "0",
}
VERSION = {
    "info": {
        "command": "get_version",
        "module": [
            {"name": "ota", "project_name": "N2S", "sw_ver": "01.05.00.00"},
            {"name": "esp32", "project_name": "N2S", "sw_ver": "01.13.33.99"},
        ],
    }
}


def after(*statuses: dict[str, object], now: float = 100.0) -> PrinterState:
    state = PrinterState()
    for status in statuses:
        state = state.with_report({"print": status}, now)
    return state


def delta(**keys: object) -> dict[str, object]:
    return {"command": "push_status", "msg": 1, **keys}


# -- what it tells -------------------------------------------------------------------------------


def test_job_is_told() -> None:
    assert after(FULL).as_job(101.25) == {
        "state": "RUNNING",
        "name": "benchy",
        "file": "benchy.gcode.3mf",
        "plate": None,
        "percent": 42,
        "layer": 80,
        "total_layers": 200,
        "minutes_left": 17,
        "error": None,
        "stale": False,
        "report_age_seconds": 1.2,
    }


def test_status_is_told_and_is_json() -> None:
    status = after(FULL).with_report(VERSION, 100.0).as_status(100.0)

    assert json.loads(json.dumps(status)) == status
    assert status["temperatures"] == {
        "nozzles": [{"now": 219.5, "target": 220.0}],
        "bed": {"now": 60.0, "target": 60.0},
        "chamber": {"now": None, "target": None},
    }
    assert status["ams"] == [
        {"tray": 0, "name": "A1", "material": "PLA", "color": "#76D9F4", "remaining_percent": 90, "in_use": False},
        {"tray": 1, "name": "A2", "material": "PETG", "color": "#FFF144", "remaining_percent": None, "in_use": True},
    ]
    assert (status["wifi_signal"], status["firmware"], status["model"]) == ("-48dBm", "01.05.00.00", "A1")
    assert (status["storage"], status["developer_mode"], status["ready_to_print"]) == ("ok", None, False)
    assert (status["print_error"], status["hms"]) == (None, [])


def test_nothing_known_is_null_and_not_ready() -> None:
    state = PrinterState()

    status = state.as_status(5.0)

    assert (status["gcode_state"], status["storage"], status["stale"]) == (None, "unknown", True)
    assert status["report_age_seconds"] is None
    assert not state.is_ready_to_print
    assert repr(state) == "<PrinterState unknown ''>"


@pytest.mark.parametrize(
    ("name", "ready", "active"),
    [
        ("IDLE", True, False),
        ("FINISH", True, False),
        ("FAILED", True, False),
        ("PREPARE", False, True),
        ("PAUSE", False, True),
        ("OFFLINE", False, False),
    ],
)
def test_ready_to_print_only_when_nothing_runs(name: str, ready: bool, active: bool) -> None:
    state = after(FULL, delta(gcode_state=name))

    assert (state.is_ready_to_print, state.is_active) == (ready, active)


def test_silence_of_more_than_30_s_is_stale() -> None:
    state = after(FULL, now=100.0)

    assert [state.is_stale(now) for now in (100.0, 130.0, 130.1)] == [False, False, True]


def test_h2_reports_are_unpacked() -> None:
    device = {
        "bed": {"info": {"temp": 4587590}},
        "ctc": {"info": {"temp": 35}},
        "extruder": {"info": [{"id": 0, "temp": 16056565}, {"id": 1, "temp": 47}]},
    }
    state = after({"gcode_state": "RUNNING", "gcode_file": "/data/Metadata/plate_3.gcode", "device": device})

    assert state.nozzles == (Temperature(245.0, 245.0), Temperature(47.0, 0.0))
    assert (state.bed, state.chamber, state.plate) == (Temperature(70.0, 70.0), Temperature(35.0, 0.0), 3)


@pytest.mark.parametrize(("fun", "expected"), [("1AFFF9CFF", False), ("18FFF9CFF", True), ("zz", None), (7, None)])
def test_developer_mode_hint(fun: object, expected: bool | None) -> None:
    assert after(delta(fun=fun)).developer_mode is expected


@pytest.mark.parametrize(
    ("keys", "expected"),
    [
        ({"sdcard": True}, "ok"),
        ({"sdcard": False, "home_flag": 0}, "missing"),
        ({"home_flag": 256}, "ok"),
        ({"home_flag": 0}, "missing"),
        ({"home_flag": 512, "sdcard": True}, "faulty"),
        ({"home_flag": -1066934785, "sdcard": True}, "ok"),
        ({}, "unknown"),
    ],
)
def test_storage(keys: dict[str, object], expected: str) -> None:
    assert after(delta(**keys)).storage == expected


def test_single_tray_unit_has_its_own_name_and_number() -> None:
    unit = {"id": "129", "tray": [{"id": "0", "tray_type": "PA", "tray_color": "junk"}]}

    assert after(delta(ams={"ams": [unit]})).trays == (Tray(129, "HT2", "PA", "", None),)


def test_ams_is_unknown_none_or_there() -> None:
    assert PrinterState().has_ams is None
    assert after(delta(ams={"ams": []})).has_ams is False
    assert after(FULL).has_ams is True


# -- errors in words -----------------------------------------------------------------------------


def test_print_error_is_shown_with_its_meaning() -> None:
    fault = after(FULL, delta(print_error=0x05004003)).print_fault

    assert fault
    assert fault.code == "0500_4003"
    assert "could not read the print file" in fault.meaning


def test_every_error_of_the_table_has_a_sentence() -> None:
    for number in (0x05004003, 0x05004004, 0x0500C010, 0x0502402D, 0x0300400C, 0x0500400E, 0x07008012, 0x07FF8012):
        assert codes.print_error_text(number) == codes.PRINT_ERRORS[number]
    assert "Developer Mode" in codes.print_error_text(84033543)
    assert all(sentence.endswith((".", "?")) for sentence in [*codes.PRINT_ERRORS.values(), *codes.HMS_TEXTS.values()])


def test_unknown_print_error_says_where_to_look() -> None:
    assert codes.print_error_text(0x12345678).startswith(
        "The printer reports error 1234_5678. Its meaning is listed at"
    )


def test_hms_entries_are_shown_with_severity_and_meaning() -> None:
    hms = [{"attr": 0x05000500, "code": 0x00010007}, {"attr": 0x0700ABCD, "code": 0x00020009}, "junk", {}]
    known, unknown = after(FULL, delta(hms=hms)).hms

    assert (known.code, known.severity) == ("HMS_0500_0500_0001_0007", "fatal")
    assert "Developer Mode" in known.meaning
    assert (unknown.code, unknown.severity) == ("HMS_0700_ABCD_0002_0009", "serious")
    assert "The AMS reports HMS_0700_ABCD_0002_0009" in unknown.meaning


# -- merging -------------------------------------------------------------------------------------


def test_delta_changes_only_what_it_names() -> None:
    state = after(FULL, delta(mc_percent=43, layer_num="81"))

    assert (state.percent, state.layer, state.minutes_left, state.subtask_name) == (43, 81, 17, "benchy")


def test_older_states_stay_as_they_were() -> None:
    before = after(FULL)

    before.with_report({"print": delta(ams={"ams": [{"id": "0", "tray": [{"id": "0", "remain": 1}]}]})}, 102.0)

    assert (before.trays[0].remaining, before.last_report) == (90, 100.0)


def test_delta_of_one_tray_keeps_the_others() -> None:
    state = after(FULL, delta(ams={"ams": [{"id": "0", "tray": [{"id": "1", "remain": 70}]}]}))

    assert [(tray.name, tray.material, tray.remaining) for tray in state.trays] == [
        ("A1", "PLA", 90),
        ("A2", "PETG", 70),
    ]


def test_emptied_tray_disappears() -> None:
    state = after(FULL, delta(ams={"ams": [{"id": "0", "tray": [{"id": "1", "state": 9}]}]}))

    assert [tray.name for tray in state.trays] == ["A1"]


def test_full_report_forgets_an_ams_that_was_taken_away() -> None:
    assert after(FULL, FULL | {"ams": {"ams": []}}).trays == ()


def test_hms_list_is_replaced_not_joined() -> None:
    assert after(FULL, delta(hms=[{"attr": 1, "code": 1}]), delta(hms=[])).hms == ()


@pytest.mark.parametrize(
    "echo",
    [
        {"command": "project_file", "result": "success", "subtask_name": "other", "gcode_state": "IDLE"},
        {"sequence_id": "7", "result": "fail", "reason": "busy", "gcode_state": "IDLE"},
        {"command": "pause", "gcode_state": "IDLE"},
    ],
)
def test_answers_to_commands_are_not_merged(echo: dict[str, object]) -> None:
    before = after(FULL)

    assert before.with_report({"print": echo}, 200.0) is before


def test_foreign_messages_change_nothing() -> None:
    before = after(FULL)

    messages: list[dict[str, object]] = [
        {},
        {"system": {"command": "ledctrl"}},
        {"print": "x"},
        {"print": {}},
        {"info": {"module": 3}},
    ]
    for message in messages:
        assert before.with_report(message, 200.0) is before


# -- hostile reports -----------------------------------------------------------------------------


JUNK = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=12),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(["id", "ams", "tray", "x"]), inner, max_size=4)
    ),
    max_leaves=12,
)
KEYS = [*FULL, "device", "fun", "home_flag", "plate_idx"]


@settings(max_examples=200, deadline=None)
@given(st.lists(st.dictionaries(st.sampled_from(KEYS), JUNK, max_size=8), max_size=4), JUNK)
def test_wrong_types_never_break_it(statuses: list[dict[str, object]], version: object) -> None:
    state = after(FULL, *[status | {"command": "push_status"} for status in statuses])
    state = state.with_report({"info": {"command": "get_version", "module": version}}, 101.0)

    assert json.dumps(state.as_status(102.0), allow_nan=False)
    assert isinstance(state.is_ready_to_print, bool)


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b"\xff\xfe",
        b"[1, 2]",
        b"{",
        b"[" * 200_000,
        b'{"a":' * 100_000,
        b'{"print": {"mc_percent": ' + b"9" * 5000 + b"}}",
        b'{"print": "' + b"x" * reports.MAX_BYTES + b'"}',
    ],
    ids=["empty", "not utf-8", "list", "cut", "deep list", "deep object", "long number", "too big"],
)
def test_json_bombs_decode_to_nothing(payload: bytes) -> None:
    assert reports.decode(payload) == {}


def test_depth_length_and_width_are_bounded() -> None:
    deep: object = "end"
    for _ in range(50):
        deep = {"a": deep}
    found = reports.tree(reports.pruned({"deep": deep, "long": "x" * 99_999, "wide": list(range(9999)), "odd": {1: 2}}))

    assert len(str(found["deep"])) < 200
    assert [len(str(found["long"])), len(reports.tree(found)["wide"]), found["odd"]] == [4096, 256, {}]  # type: ignore[arg-type]


def test_what_would_steer_a_terminal_is_replaced() -> None:
    found = reports.decode(rb'{"print": {"subtask_name": "a\nb\u001b[2J\u009b"}}')

    assert found == {"print": {"subtask_name": "a?b?[2J?"}}


def test_halves_of_letters_are_replaced() -> None:
    found = reports.decode(rb'{"print": {"subtask_name": "a\ud800b", "\udfff": 1}}')

    assert found == {"print": {"subtask_name": "a?b", "?": 1}}


def test_many_long_texts_cannot_fill_the_memory() -> None:
    state = after(FULL)
    for turn in range(60):
        state = state.with_report({"print": delta(device={f"{turn}-{i}": "x" * 4096 for i in range(50)})}, 100.0)

    assert len(json.dumps(state.report)) < 2 * reports.MAX_BYTES


def test_many_small_reports_cannot_fill_the_memory() -> None:
    state = after(FULL)
    for turn in range(60):
        junk = {f"{turn}-{i}": {str(j): j for j in range(900)} for i in range(3)}
        state = state.with_report({"print": delta(device=junk)}, 100.0)

    assert reports.is_sane(state.report)


def test_numbers_in_strings_are_read_and_nonsense_is_not() -> None:
    assert [reports.whole(value) for value in ("87", 87.9, True, "x", None, float("nan"), "1e400")] == [
        87,
        87,
        None,
        None,
        None,
        None,
        None,
    ]
