from __future__ import annotations

import pytest

from bambufs.printer.outcome import Phase, PrintOutcome, refusal
from bambufs.printer.state import PrinterState


def said(**keys: object) -> PrinterState:
    return PrinterState().with_report({"print": {"command": "push_status", **keys}}, 0.0)


IDLE = said(gcode_state="IDLE", print_error=0)


def begun(state: PrinterState = IDLE) -> PrintOutcome:
    return PrintOutcome.begin(path="/cache/benchy.3mf", name="benchy", task_id=77, state=state, now=1000.0)


@pytest.mark.parametrize(
    "ours",
    [
        {"subtask_name": "benchy"},
        {"subtask_name": "BENCHY"},
        {"task_id": "77"},
        {"subtask_id": 77},
        {"gcode_file": "benchy.3mf"},
        {"gcode_file": "/sdcard/cache/benchy.3mf"},
    ],
)
def test_started_when_the_printer_runs_our_job(ours: dict[str, object]) -> None:
    outcome = begun().accepted().observed(said(gcode_state="PREPARE", **ours))

    assert (outcome.phase, outcome.is_settled, outcome.is_over) == (Phase.STARTED, True, False)
    assert outcome.sentence == "The printer started benchy."


@pytest.mark.parametrize(
    "other",
    [
        {"gcode_state": "RUNNING", "subtask_name": "vase", "task_id": "5"},
        {"gcode_state": "FINISH", "subtask_name": "benchy"},
        {"gcode_state": "IDLE", "task_id": "77"},
        {"gcode_state": "RUNNING"},
    ],
)
def test_not_started_by_what_is_not_ours_or_does_not_run(other: dict[str, object]) -> None:
    assert begun().accepted().observed(said(**other)).phase is Phase.ACCEPTED


def test_error_that_was_there_before_is_not_taken_for_ours() -> None:
    before = said(gcode_state="FAILED", print_error=0x0500C010, subtask_name="benchy")

    outcome = begun(before).accepted().observed(before)

    assert outcome.phase is Phase.ACCEPTED
    again = outcome.observed(said(gcode_state="FAILED", print_error=0)).observed(before)
    assert again.phase is Phase.FAILED


def test_failure_without_an_error_number_is_told() -> None:
    outcome = begun().accepted().observed(said(gcode_state="FAILED", subtask_name="benchy"))

    assert outcome.sentence == "The print of benchy failed. The printer gives no reason; look at its screen."


def test_running_print_is_followed_to_its_end() -> None:
    running = said(gcode_state="RUNNING", subtask_name="benchy")
    started = begun().observed(running)

    assert started.observed(said(gcode_state="FINISH", subtask_name="benchy")).phase is Phase.FINISHED
    cancelled = started.observed(said(gcode_state="FAILED", subtask_name="benchy", print_error=0x0300400C))
    assert cancelled.sentence == "The print of benchy failed. 0300_400C: The print was cancelled."


CANCELLED = said(gcode_state="FAILED", subtask_name="benchy", print_error=0x0300400C)


def test_stop_before_the_start_is_told_whether_the_answer_or_the_report_comes_first() -> None:
    answered = begun().accepted().stopped()
    reported = begun().accepted().observed(CANCELLED).stopped()

    assert answered.sentence == "The print of benchy failed. It was stopped before it had started."
    assert (answered.observed(CANCELLED).sentence, reported.sentence) == (answered.sentence, answered.sentence)
    assert begun().observed(said(print_error=0x0500C010)).stopped().was_stopped is False


def test_late_report_of_a_stop_is_not_taken_for_the_next_prints() -> None:
    def again(before: PrintOutcome) -> PrintOutcome:
        return PrintOutcome.begin(
            path="/cache/benchy.3mf", name="benchy", task_id=78, state=IDLE, now=1001.0, before=before
        )

    seen = again(begun().accepted().stopped()).accepted().observed(CANCELLED)

    assert seen.phase is Phase.ACCEPTED
    assert seen.observed(CANCELLED) == seen
    assert seen.observed(said(gcode_state="PREPARE", subtask_name="benchy", print_error=0)).phase is Phase.STARTED
    assert again(begun().accepted()).observed(CANCELLED).phase is Phase.FAILED


def test_pause_with_a_reason_shows_in_the_sentence_and_goes_away() -> None:
    started = begun().observed(said(gcode_state="RUNNING", subtask_name="benchy"))

    paused = started.observed(said(gcode_state="PAUSE", subtask_name="benchy", print_error=0x03008004))

    assert (paused.phase, "The filament ran out" in paused.sentence) == (Phase.STARTED, True)
    assert paused.observed(said(gcode_state="RUNNING", subtask_name="benchy", print_error=0)).detail == ""


def test_four_minutes_without_a_start_and_a_late_start_after_all() -> None:
    accepted = begun().accepted()

    assert accepted.at(1240.0) is accepted
    late = accepted.at(1240.1)
    assert (late.phase, late.is_settled) == (Phase.NOT_STARTED, True)
    assert late.observed(said(gcode_state="RUNNING", subtask_name="benchy")).phase is Phase.STARTED


def test_unknown_stays_unknown_but_does_not_block_for_ever() -> None:
    unknown = begun().unanswered()

    assert unknown.at(9999.0).sentence.startswith("Unknown: the printer did not answer")
    assert (unknown.is_pending(1240.0), unknown.is_pending(1240.1)) == (True, False)
    assert unknown.accepted().phase is Phase.ACCEPTED


def test_late_answers_do_not_undo_what_was_seen() -> None:
    started = begun().observed(said(gcode_state="RUNNING", subtask_name="benchy"))

    assert started.accepted() is started
    assert started.refused("no") is started
    assert started.unanswered() is started
    refused = begun().refused("no")
    assert refused.observed(said(gcode_state="RUNNING", subtask_name="benchy")) is refused


@pytest.mark.parametrize(
    ("reason", "error", "sentence"),
    [
        ("mqtt message verify failed", 0, "Developer Mode"),
        ("", 84033543, "Developer Mode"),
        ("busy", 0x05004004, "busy with another job"),
        ("bad url", 0, "Its reason: bad url."),
        ("bad url", 0x12340001, "Its reason: bad url. (1234_0001)"),
        ("", 0, "It gave no reason."),
    ],
)
def test_refusals_in_words(reason: str, error: int, sentence: str) -> None:
    assert sentence in refusal(reason, error)
