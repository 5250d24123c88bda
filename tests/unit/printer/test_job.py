"""Control text -> request -> job -> payload; the payloads' JSON on the wire is compared in test_link."""

from __future__ import annotations

import errno
import itertools
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bambufs.errors import InvalidJob
from bambufs.printer.dialect import DIALECTS, check_url_template, dialect_of, name_trouble, safe_path
from bambufs.printer.job import PrintJob, build_job, command_payload, new_task_id, parse_command
from bambufs.printer.models import MODELS, Model, find_model, model_of_serial
from bambufs.printer.request import BED_TYPES, PrintRequest, parse_request, parse_requests, resolve
from bambufs.printer.sliceinfo import Filament, Plate
from bambufs.printer.state import Tray

MOUNT = "/home/me/printer"
PLATE = Plate(1, filaments=(Filament(1, "PLA", "#FF0000"), Filament(3, "PETG", "#00FF00")))
TRAYS = (
    Tray(0, "A1", "PLA", "#0000FF", 80),
    Tray(1, "A2", "PLA", "#EE1111", 50),
    Tray(6, "B3", "PETG", "", None),
)


def model(name: str) -> Model:
    found = find_model(name)
    assert found
    return found


def job_for(
    line: str,
    name: str | None = "P1S",
    *,
    trays: Sequence[Tray] | None = (),
    plate: Plate = PLATE,
    url_template: str = "",
) -> PrintJob:
    return build_job(
        parse_request(line),
        plate,
        md5="0123abcd",
        model=model(name) if name else None,
        trays=trays,
        url_template=url_template,
        next_task_id=lambda: 1234567,
    )


def told(line: str) -> str:
    """The sentence with which a line is refused."""
    with pytest.raises(InvalidJob) as caught:
        parse_request(line, [MOUNT])
    assert caught.value.errno == errno.EINVAL
    return caught.value.message


# -- the line --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("line", "path"),
    [
        ("benchy.gcode.3mf", "/benchy.gcode.3mf"),
        ("cache/benchy.gcode.3mf\n", "/cache/benchy.gcode.3mf"),
        ("./cache//benchy.3MF", "/cache/benchy.3MF"),
        ("/cache/../model/benchy.3mf", "/model/benchy.3mf"),
        ("/home/me/printer/cache/benchy.3mf", "/cache/benchy.3mf"),
        ("/home/me/printers/benchy.3mf", "/home/me/printers/benchy.3mf"),
        ("'my  part.gcode.3mf' plate=1", "/my  part.gcode.3mf"),
        (r"my\ part.3mf", "/my part.3mf"),
        ("my  part.gcode.3mf plate=1 use_ams=no", "/my  part.gcode.3mf"),
        ("Tom's benchy.3mf timelapse=yes", "/Tom's benchy.3mf"),
        ("a=b.3mf", "/a=b.3mf"),
        ("plate=2 benchy.3mf", "/benchy.3mf"),
        ("cache/Gehäuse 2.3mf", "/cache/Gehäuse 2.3mf"),
    ],
)
def test_path_is_understood(line: str, path: str) -> None:
    assert parse_request(line, [MOUNT]).path == path


def test_every_option_is_understood() -> None:
    request = parse_request(
        "a.3mf plate=12 use_ams=on ams_mapping=A1,-,B2,5,HT1 timelapse=1 bed_type=textured_plate bed_leveling=off "
        "flow_cali=TRUE vibration_cali=0 layer_inspect=yes"
    )

    assert (request.plate, request.use_ams, request.bed_type) == (12, True, "textured_plate")
    assert request.ams_mapping == (0, -1, 5, 5, 128)
    switches = request.switches
    assert (switches.timelapse, switches.bed_leveling, switches.flow_cali) == (True, False, True)
    assert (switches.vibration_cali, switches.layer_inspect) == (False, True)


def test_line_without_options_leaves_the_choice_open() -> None:
    assert parse_request("a.3mf") == PrintRequest("/a.3mf")


def test_brackets_around_a_mapping_are_fine() -> None:
    assert parse_request("a.3mf ams_mapping=[0,-1,15]").ams_mapping == (0, -1, 15)


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        ("", "Write one sliced file, then its options"),
        ("plate=2", "Write one sliced file"),
        ("a.3mf b.3mf", "write a line for each"),
        ("a.3mf plates=2", "plates= is not known; there are: plate= use_ams= ams_mapping="),
        ("a.3mf plate=0", "plate=0 is not understood: give the number of a plate"),
        ("a.3mf plate=two", "plate=two is not understood"),
        ("a.3mf plate=²", "plate=² is not understood"),
        ("a.3mf use_ams=maybe", "give yes or no (or true, false, on, off, 1, 0)"),
        ("a.3mf bed_type=glass", f"give one of {', '.join(BED_TYPES)}"),
        ("a.3mf ams_mapping=254", "For the external spool write use_ams=no"),
        ("a.3mf ams_mapping=16", "give a tray for each filament"),
        ("a.3mf ams_mapping=", "give a tray for each filament"),
        ("a.3mf ams_mapping=" + "0," * 70, "at most 64 filaments"),
        ("a.3mf plate=1 plate=2", "plate= is given twice"),
        ("a.3mf use_ams=no ams_mapping=0", "contradict each other"),
        ("../secret.3mf", "leads out of the mount"),
        ("cache/../../a.3mf", "leads out of the mount"),
        ("a.gcode", "Bare gcode cannot be started"),
        ("photo.jpg", "does not end in .3mf"),
        ("a\x07.3mf", "control characters"),
        ("a.3mf\nb.3mf", "control characters"),
        ("a" * 5000, "longer than 4096"),
        ("'a", "does not end in .3mf"),
    ],
)
def test_line_is_refused_with_what_is_allowed(line: str, sentence: str) -> None:
    assert sentence in told(line)


def test_several_lines_are_several_requests() -> None:
    text = "# tonight\n\nb.3mf plate=2\r\n a.3mf \n"

    assert [request.path for request in parse_requests(text)] == ["/b.3mf", "/a.3mf"]


@given(st.text(max_size=60))
def test_any_text_is_understood_or_refused(text: str) -> None:
    try:
        path = parse_request(text, [MOUNT]).path
    except InvalidJob:
        return
    assert path.startswith("/")
    assert ".." not in path.split("/")
    assert path.lower().endswith(".3mf")


def test_mount_point_itself_is_the_root() -> None:
    assert resolve(MOUNT, [MOUNT + "/"]) == "/"


# -- the payload -----------------------------------------------------------------------------------

COMMON = {
    "sequence_id": "0",
    "command": "project_file",
    "param": "Metadata/plate_1.gcode",
    "file": "benchy.gcode.3mf",
    "md5": "0123ABCD",
    "subtask_name": "benchy",
    "project_id": "0",
    "profile_id": "0",
    "task_id": "1234567",
    "subtask_id": "1234567",
    "bed_type": "auto",
    "bed_leveling": True,
    "bed_levelling": True,
    "flow_cali": False,
    "vibration_cali": True,
    "layer_inspect": False,
    "timelapse": False,
    "use_ams": False,
    "ams_mapping": [-1, -1, -1],
}
NEWER = {
    "ams_mapping2": [{"ams_id": 255, "slot_id": 0}] * 3,
    "auto_bed_leveling": 1,
    "extrude_cali_flag": 0,
    "nozzle_offset_cali": 0,
    "cfg": "0",
}


@pytest.mark.parametrize(
    ("name", "differs"),
    [
        ("X1C", {"url": "file:///sdcard/cache/benchy.gcode.3mf"}),
        ("P1S", {"url": "file:///sdcard/cache/benchy.gcode.3mf"}),
        ("A1 mini", {"url": "file:///sdcard/cache/benchy.gcode.3mf"}),
        ("P2S", NEWER | {"url": "file:///media/usb0/cache/benchy.gcode.3mf", "vibration_cali": False}),
        ("H2D", NEWER | {"url": "file:///sdcard/cache/benchy.gcode.3mf"}),
        (None, {"url": "file:///sdcard/cache/benchy.gcode.3mf"}),
    ],
)
def test_payload_by_series(name: str | None, differs: dict[str, object]) -> None:
    payload = job_for("cache/benchy.gcode.3mf", name).payload()

    assert payload == {"print": COMMON | differs}


@pytest.mark.parametrize(
    ("name", "url"),
    [
        ("X1E", "file:///sdcard/my part.3mf"),
        ("P1P", "file:///sdcard/my part.3mf"),
        ("A1", "file:///sdcard/my part.3mf"),
        ("P2S", "ftp:///my part.3mf"),
        ("H2S", "ftp:///my part.3mf"),
        (None, "ftp:///my part.3mf"),
    ],
)
def test_url_of_a_file_in_the_root_is_raw(name: str | None, url: str) -> None:
    assert job_for("'my part.3mf'", name).url == url


def test_url_template_overrides_the_table() -> None:
    assert job_for("cache/a.3mf", "P2S", url_template="ftp://{path}").url == "ftp://cache/a.3mf"


@pytest.mark.parametrize("template", ["ftp:///", "{path}{path}", "ftp://{path}\r\n"])
def test_useless_url_template_is_refused(template: str) -> None:
    with pytest.raises(InvalidJob, match="must hold"):
        check_url_template(template)
    assert check_url_template("ftp:///{path}") == "ftp:///{path}"


def test_switches_are_json_booleans_in_every_dialect() -> None:
    line = "a.3mf timelapse=1 bed_leveling=0 flow_cali=1 layer_inspect=1 use_ams=1 ams_mapping=0,0,0"
    for name in ("X1", "P1S", "A1", "P2S", "H2C"):
        request = job_for(line, name).payload()["print"]
        assert isinstance(request, dict)
        keys = ("timelapse", "bed_leveling", "bed_levelling", "flow_cali", "vibration_cali", "layer_inspect", "use_ams")
        assert [type(request[key]) for key in keys] == [bool] * 7


def test_plate_and_options_reach_the_payload() -> None:
    request = job_for("a.3mf bed_type=eng_plate flow_cali=yes", "H2D", plate=Plate(3)).payload("77")["print"]

    assert isinstance(request, dict)
    assert (request["param"], request["bed_type"], request["sequence_id"]) == (
        "Metadata/plate_3.gcode",
        "eng_plate",
        "77",
    )
    assert (request["extrude_cali_flag"], request["nozzle_offset_cali"]) == (1, 1)


@pytest.mark.parametrize("name", ["benchy.3mf", "benchy.gcode.3mf", "benchy.GCODE.3MF"])
def test_subtask_name_has_no_endings(name: str) -> None:
    assert job_for(name).subtask_name == "benchy"


def test_task_ids_are_unique_and_fit_a_p1s() -> None:
    found = [new_task_id() for _ in range(1000)]

    assert len(set(found)) == 1000
    assert all(0 < task_id < 2**31 for task_id in found)


def test_task_id_comes_from_the_injected_source() -> None:
    source = itertools.count(41)
    jobs = [
        build_job(PrintRequest("/a.3mf"), PLATE, md5="", model=None, next_task_id=lambda: next(source)) for _ in "ab"
    ]

    assert [job.task_id for job in jobs] == [41, 42]


# -- the AMS ---------------------------------------------------------------------------------------


def test_filaments_get_the_tray_of_their_material_with_the_nearest_colour() -> None:
    job = job_for("a.3mf", trays=TRAYS)

    assert (job.use_ams, job.ams_mapping) == (True, (1, -1, 6))


def test_without_reported_trays_filament_n_gets_tray_n() -> None:
    assert job_for("a.3mf use_ams=yes", trays=None).ams_mapping == (0, -1, 2)


def test_without_an_ams_the_external_spool_is_used() -> None:
    assert not job_for("a.3mf", trays=()).use_ams
    assert not job_for("a.3mf", trays=None).use_ams
    assert not job_for("a.3mf use_ams=no", trays=TRAYS).use_ams


def test_missing_material_is_refused_with_what_the_ams_holds() -> None:
    with pytest.raises(InvalidJob, match=r"no PETG for filament 3 \(it holds A1 PLA, A2 PLA\).*use_ams=no"):
        job_for("a.3mf", trays=TRAYS[:2])


def test_given_mapping_is_taken_as_it_is_and_switches_the_ams_on() -> None:
    job = job_for("a.3mf ams_mapping=B1,-,A4,9", "H2D", trays=())

    assert (job.use_ams, job.ams_mapping) == (True, (4, -1, 3, 9))
    request = job.payload()["print"]
    assert isinstance(request, dict)
    assert request["ams_mapping2"] == [
        {"ams_id": 1, "slot_id": 0},
        {"ams_id": 255, "slot_id": 255},
        {"ams_id": 0, "slot_id": 3},
        {"ams_id": 2, "slot_id": 1},
    ]


@pytest.mark.parametrize("mapping", ["0", "0,1", "0,1,-", "-,-,2"])
def test_mapping_that_leaves_out_a_used_filament_is_refused(mapping: str) -> None:
    with pytest.raises(InvalidJob, match=r"gives no tray for filament [13] of plate 1"):
        job_for(f"a.3mf ams_mapping={mapping}")


def test_single_tray_unit_is_its_own_number() -> None:
    request = job_for("a.3mf ams_mapping=HT2", "H2S", plate=Plate(1)).payload()["print"]

    assert isinstance(request, dict)
    assert (request["ams_mapping"], request["ams_mapping2"]) == ([129], [{"ams_id": 129, "slot_id": 0}])


# -- names -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "name", "reason", "safe"),
    [
        ("/cache/50% #2?.3mf", "A1", "with # % ? in it", "/cache/50_ _2_.3mf"),
        ("/my part.3mf", "P1S", "with a blank in it", "/my_part.3mf"),
        ("/my prints/a.3mf", "X1C", "with a blank in it", "/my_prints/a.3mf"),
        ("/Gehäuse.3mf", "P1S", "with letters beyond ASCII", "/Gehause.3mf"),
        ("/" + "n" * 120 + ".gcode.3mf", "A1", "longer than 110 bytes", "/" + "n" * 99 + ".gcode.3mf"),
    ],
)
def test_troublesome_name_is_told_with_a_safe_one(path: str, name: str, reason: str, safe: str) -> None:
    trouble = name_trouble(path, model(name))

    assert trouble
    assert (trouble.reason, trouble.safe_path) == (reason, safe)
    assert trouble.sentence.endswith(f"Rename it to {safe} first.")
    assert name_trouble(safe, model(name)) is None


@pytest.mark.parametrize(
    ("path", "name"), [("/my part.3mf", "A1 mini"), ("/Gehäuse.3mf", "X1C"), ("/a-b_(1).3mf", "P1S")]
)
def test_names_that_work_are_left_alone(path: str, name: str) -> None:
    assert name_trouble(path, model(name)) is None
    assert safe_path(path, model(name)) == path


@given(st.text(min_size=1, max_size=150), st.sampled_from(MODELS))
def test_safe_path_is_always_safe(name: str, printer: Model) -> None:
    safe = safe_path("/" + name.replace("/", "") + ".gcode.3mf", printer)

    assert name_trouble(safe, printer) is None
    assert safe.endswith(".gcode.3mf")


# -- models and commands ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("C12", "P1S"),
        ("bl-p001", "X1C"),
        ("Bambu Lab A1 mini", "A1 mini"),
        ("Bambu Lab X1-Carbon", "X1C"),
        ("N2S", "A1"),
    ],
)
def test_models_are_found_by_name_and_code(text: str, name: str) -> None:
    assert model(text).name == name


def test_unknown_models_and_serials_are_none() -> None:
    assert (find_model("Ender 3"), find_model(""), find_model(None), model_of_serial("XYZ1")) == (None,) * 4
    assert dialect_of(None) not in DIALECTS.values()


def test_serial_tells_the_model() -> None:
    found = [model_of_serial(serial) for serial in ("01P00A123", "0309CA", "094ZZ", "22E")]

    assert [entry.name for entry in found if entry] == ["P1S", "A1 mini", "H2D", "P2S"]


def test_every_model_has_a_dialect() -> None:
    assert {entry.series for entry in MODELS} == set(DIALECTS)


@pytest.mark.parametrize("command", ["pause", " Resume\n", "STOP"])
def test_commands(command: str) -> None:
    word = command.strip().lower()

    assert command_payload(command, "5") == {"print": {"sequence_id": "5", "command": word, "param": ""}}


def test_unknown_command_is_refused_with_those_that_exist() -> None:
    with pytest.raises(InvalidJob, match="'explode' is not understood; write one of: pause, resume, stop"):
        parse_command("explode")
