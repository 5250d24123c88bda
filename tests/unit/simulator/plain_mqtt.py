"""A plain MQTT client on paho: what anybody would write, without any of bambufs in it."""

from __future__ import annotations

import contextlib
import json
import ssl
import threading
from collections.abc import Callable
from typing import Any, Self

from paho.mqtt.client import Client, ConnectFlags, DisconnectFlags, MQTTMessage
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from bambufs.simulator import Printer

TIMEOUT = 10.0
Document = dict[str, Any]


class PlainMqtt:
    """Connected on return; keeps every document that arrives."""

    def __init__(self, printer: Printer, *, code: str | None = None, topic: str | None = None) -> None:
        self._printer = printer
        self._changed = threading.Condition()
        self.documents: list[Document] = []
        self.raw: list[bytes] = []
        self.connected: str | None = None
        self.is_subscribed: bool | None = None
        self.lost = False
        self._topic = topic or f"device/{printer.serial}/report"
        self._sequence = 100
        self._client = self._make_client(printer.access_code if code is None else code)
        self._client.connect(printer.host, printer.mqtt_port)
        self._client.loop_start()

    def __enter__(self) -> Self:
        self.wait(lambda: self.is_subscribed, "the subscription")
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def close(self) -> None:
        self._client.disconnect()
        self._client.loop_stop()

    def request(self, section: str, command: str, *, qos: int = 0, **more: Any) -> str:
        """Publish a request and return its sequence_id."""
        self._sequence += 1
        body = {"sequence_id": str(self._sequence), "command": command} | more
        self.publish(json.dumps({section: body}), qos=qos)
        return str(self._sequence)

    def publish(self, text: str, *, qos: int = 0, topic: str | None = None) -> None:
        self._client.publish(topic or f"device/{self._printer.serial}/request", text, qos=qos)

    def wait(self, is_true: Callable[[], object], what: str) -> None:
        with self._changed:
            assert self._changed.wait_for(is_true, TIMEOUT), f"waited in vain for {what}"

    def wait_for(self, fits: Callable[[Document], object], what: str, *, section: str = "print") -> Document:
        """The first document whose section fits."""

        def found() -> Document | None:
            bodies = (document.get(section) for document in self.documents)
            return next((body for body in bodies if body is not None and fits(body)), None)

        self.wait(found, what)
        body = found()
        assert body is not None
        return body

    def answer(self, section: str, command: str, **more: Any) -> Document:
        """Send a request and return its acknowledgement."""
        sequence = self.request(section, command, **more)
        return self.wait_for(
            lambda body: body.get("sequence_id") == sequence and body.get("command") != "push_status",
            f"an answer to {command}",
            section=section,
        )

    def states(self) -> list[str]:
        """The values of gcode_state that were reported, without repetitions."""
        seen = [body["gcode_state"] for body in self.reports() if "gcode_state" in body]
        return [state for number, state in enumerate(seen) if number == 0 or seen[number - 1] != state]

    def reports(self) -> list[Document]:
        with self._changed:
            bodies = [document.get("print", {}) for document in self.documents]
        return [body for body in bodies if body.get("command") == "push_status"]

    def _make_client(self, code: str) -> Client:
        client = Client(CallbackAPIVersion.VERSION2, clean_session=True, reconnect_on_failure=False)
        client.username_pw_set("bblp", code)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        client.tls_set_context(context)
        client.on_connect = self._on_connect
        client.on_subscribe = self._on_subscribe
        client.on_message = self._on_message
        client.on_disconnect = self._on_disconnect
        return client

    def _on_connect(
        self, client: Client, userdata: object, flags: ConnectFlags, reason: ReasonCode, properties: Properties | None
    ) -> None:
        if not reason.is_failure:
            client.subscribe(self._topic)
        with self._changed:
            self.connected = str(reason)
            self._changed.notify_all()

    def _on_subscribe(
        self, client: Client, userdata: object, mid: int, reasons: list[ReasonCode], properties: Properties | None
    ) -> None:
        with self._changed:
            self.is_subscribed = not any(reason.is_failure for reason in reasons)
            self._changed.notify_all()

    def _on_message(self, client: Client, userdata: object, message: MQTTMessage) -> None:
        with self._changed:
            self.raw.append(bytes(message.payload))
            with contextlib.suppress(ValueError, RecursionError):  # a hostile printer's
                self.documents.append(json.loads(message.payload))
            self._changed.notify_all()

    def _on_disconnect(
        self,
        client: Client,
        userdata: object,
        flags: DisconnectFlags,
        reason: ReasonCode,
        properties: Properties | None,
    ) -> None:
        with self._changed:
            self.lost = True
            self._changed.notify_all()
