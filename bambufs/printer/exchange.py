"""A request to the printer and the answer to it.

An answer is known by the `sequence_id` that the printer echoes and by a `result`; a `command` may be
missing, and the result's case varies (bambu-rs docs/protocol.md, bambuddy). Not thread-safe: `PrinterLink`
guards it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass

from bambufs.printer import codes
from bambufs.printer.reports import Tree, at, text, tree, whole

PUSHALL: Mapping[str, Mapping[str, object]] = {
    "pushing": {"sequence_id": "0", "command": "pushall", "version": 1, "push_target": 1}
}
GET_VERSION: Mapping[str, Mapping[str, object]] = {"info": {"sequence_id": "0", "command": "get_version"}}


@dataclass(frozen=True)
class Ack:
    """The printer's answer; ``error`` is its `err_code`, 0 when it gave none."""

    result: str
    reason: str = ""
    error: int = 0

    @property
    def is_success(self) -> bool:
        """Whether the printer agreed. That it does what was asked is another matter."""
        return self.result.lower() == "success"

    @property
    def is_unauthorised(self) -> bool:
        """Whether the printer takes no commands from here: Developer Mode is off (bambuddy#2732)."""
        return self.error in codes.NOT_AUTHORISED or "verify failed" in self.reason.lower()


class Exchange:
    """One request, open until it is answered or its connection ends."""

    def __init__(self, payload: Tree, sequence_id: str) -> None:
        self.section = next(iter(payload), "")
        self.sequence_id = sequence_id
        request = tree(payload.get(self.section))
        self.command = text(request.get("command"))
        self.message = encoded({self.section: {**request, "sequence_id": sequence_id}})
        self.ack: Ack | None = None
        self.is_dropped = False

    def __repr__(self) -> str:
        return f"<Exchange {self.sequence_id} {self.section}.{self.command}>"

    @property
    def is_open(self) -> bool:
        """Whether the answer is still to come."""
        return self.ack is None and not self.is_dropped

    def offer(self, message: Tree) -> None:
        """Take ``message`` as the answer if it is."""
        answer = next((tree(part) for part in message.values() if self._is_mine(tree(part))), None)
        if answer is not None and self.is_open:
            error = whole(answer.get("err_code")) or 0
            self.ack = Ack(text(answer.get("result")), text(answer.get("reason")), error)

    def refuse(self) -> None:
        """Take it as refused, since the printer told so by other means than an answer."""
        if self.is_open:
            self.ack = Ack("failed", "mqtt message verify failed", min(codes.NOT_AUTHORISED))

    def _is_mine(self, part: Tree) -> bool:
        same_id = text(part.get("sequence_id")) == self.sequence_id
        return same_id and "result" in part and text(part.get("command")) in ("", self.command)


def encoded(payload: Mapping[str, object]) -> bytes:
    """The payload as it goes out; names keep the very bytes that they have on the card."""
    return json.dumps(payload, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "surrogateescape")


def blames_authorisation(message: Tree) -> bool:
    """Whether a report carries the health message with which a P1S 01.10 refuses instead of answering."""
    entries = at(message, "print", "hms")
    pairs = [(whole(tree(e).get("attr")) or 0, whole(tree(e).get("code")) or 0) for e in _list(entries)]
    return any(codes.hms_code(attr, code) == codes.HMS_NOT_AUTHORISED for attr, code in pairs)


def _list(value: object) -> list[object]:
    return value if isinstance(value, list) else []
