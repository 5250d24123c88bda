"""The MQTT port of a simulated printer: amqtt's broker behind this module's own TLS door.

The broker runs on an event loop in a thread of its own. This module decides who may connect, and
what may be subscribed to; what requests mean is decided elsewhere.
"""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import hmac
import json
import logging
import socket
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from amqtt.adapters import StreamReaderAdapter, StreamWriterAdapter
from amqtt.broker import Broker
from amqtt.contexts import Action
from amqtt.plugins.base import BaseAuthPlugin, BaseTopicPlugin

from bambufs.simulator.data import open_listener, reserve_port
from bambufs.simulator.desk import Request, read_request
from bambufs.simulator.machine import Machine
from bambufs.simulator.status import Json

logger = logging.getLogger(__name__)

_USER = "bblp"
_LISTENER = "default"
_BACKLOG = 16
_PATIENCE = 10.0

_present: contextvars.ContextVar[asyncio.StreamWriter] = contextvars.ContextVar("present")


class MqttServer:
    """Listens for MQTT clients, hands requests to ``on_request`` and publishes reports to all of them."""

    def __init__(self, machine: Machine, *, port: int, on_request: Callable[[Request], None]) -> None:
        self.machine = machine
        self._on_request = on_request
        self._reserved = reserve_port(machine.host, port)
        self.port: int = self._reserved.getsockname()[1]
        self._turning = threading.RLock()
        self._is_on = False
        self._running: _Running | None = None

    @property
    def client_count(self) -> int:
        """How many slots are taken now."""
        running = self._running
        return running.taken if running is not None else 0

    def start(self) -> None:
        """Begin to take connections, unless the quirks say that the port is closed."""
        with self._turning:
            self._is_on = True
            self.tune()

    def stop(self) -> None:
        """Refuse further connections and end those there are; the port stays reserved."""
        with self._turning:
            self._is_on = False
            self.tune()

    def close(self) -> None:
        self.stop()
        self._reserved.close()

    def tune(self) -> None:
        """Look at the quirks again: whether to listen."""
        with self._turning:
            wanted = self._is_on and self.machine.quirks.flag("mqtt")
            if wanted and self._running is None:
                self._running = _Running(self, open_listener(self.machine.host, self.port, backlog=_BACKLOG))
            elif not wanted and self._running is not None:
                running, self._running = self._running, None
                running.close()

    def drop_clients(self) -> None:
        """Break all MQTT connections."""
        running = self._running
        if running is not None:
            running.drop_clients()

    def publish(self, document: Json) -> None:
        """Send a document on the report topic, to everybody who listens."""
        self.publish_raw(json.dumps(document).encode())

    def publish_raw(self, raw: bytes) -> None:
        """Send any bytes on the report topic."""
        running = self._running
        if running is not None:
            running.publish(self.report_topic, raw)

    @property
    def report_topic(self) -> str:
        return f"device/{self.machine.serial}/report"

    @property
    def request_topic(self) -> str:
        return f"device/{self.machine.serial}/request"

    def take_request(self, raw: bytes, *, qos: int, client: str) -> None:
        """Called by the broker for each message on the request topic."""
        self._on_request(read_request(raw, qos=qos, client=client))


class _Running:
    """The broker while it runs, with its loop and thread."""

    def __init__(self, server: MqttServer, listener: socket.socket) -> None:
        logging.getLogger("amqtt").setLevel(logging.CRITICAL)  # it tells of every client that leaves
        logging.getLogger("transitions").setLevel(logging.CRITICAL)
        self._server = server
        self._listener = listener
        self._writers: set[asyncio.StreamWriter] = set()
        self._loop = asyncio.new_event_loop()
        self._ready = threading.Event()
        self._end: asyncio.Event | None = None
        self._broker: Any = None
        self.taken = 0
        self._thread = threading.Thread(target=self._run, name="mqtt", daemon=True)
        self._thread.start()
        self._ready.wait(_PATIENCE)

    def publish(self, topic: str, data: bytes) -> None:
        with contextlib.suppress(RuntimeError):  # the loop was closed meanwhile
            self._loop.call_soon_threadsafe(self._publish, topic, data)

    def drop_clients(self) -> None:
        with contextlib.suppress(RuntimeError):
            self._loop.call_soon_threadsafe(self._abort_all)

    def close(self) -> None:
        with contextlib.suppress(RuntimeError):
            self._loop.call_soon_threadsafe(self._set_end)
        self._thread.join(_PATIENCE)

    # -- in the loop's thread

    def _run(self) -> None:
        try:
            self._loop.run_until_complete(self._serve())
        finally:
            self._ready.set()
            self._cancel_rest()
            self._loop.close()

    async def _serve(self) -> None:
        self._end = asyncio.Event()
        settings = {
            "listeners": {_LISTENER: {"type": "external"}},
            "plugins": {f"{__name__}.Door": {"server": self._server}, f"{__name__}.Topics": {"server": self._server}},
        }
        self._broker = Broker(settings, self._loop)
        await self._broker.start()
        context = self._server.machine.tls_context()
        listening = await asyncio.start_server(self._connected, sock=self._listener, ssl=context)
        self._ready.set()
        await self._end.wait()
        listening.close()
        self._abort_all()
        with contextlib.suppress(Exception):  # whatever the broker makes of its broken connections
            await asyncio.wait_for(self._broker.shutdown(), _PATIENCE / 2)

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        limit = self._server.machine.quirks.number("mqtt_clients")
        if 0 < limit <= self.taken:
            writer.transport.abort()
            return
        self.taken += 1
        self._writers.add(writer)
        _present.set(writer)
        try:
            adapters = StreamReaderAdapter(reader), StreamWriterAdapter(writer)
            await self._broker.external_connected(*adapters, _LISTENER)
        except Exception:
            # amqtt raises all sorts when a client breaks off; a printer goes on with its other clients
            logger.debug("an MQTT client's conversation ended in an error", exc_info=True)
        finally:
            self._writers.discard(writer)
            writer.transport.abort()
            self._loop.call_later(self._server.machine.quirks.number("mqtt_linger"), self._free_slot)

    def _free_slot(self) -> None:
        self.taken -= 1

    def _publish(self, topic: str, data: bytes) -> None:
        task = self._loop.create_task(self._broker.internal_message_broadcast(topic, data, qos=0))
        task.add_done_callback(lambda done: done.cancelled() or done.exception())

    def _abort_all(self) -> None:
        for writer in list(self._writers):
            writer.transport.abort()

    def _set_end(self) -> None:
        if self._end is not None:
            self._end.set()

    def _cancel_rest(self) -> None:
        tasks = asyncio.all_tasks(self._loop)
        for task in tasks:
            task.cancel()
        if tasks:
            self._loop.run_until_complete(asyncio.gather(*tasks, return_exceptions=True))


class Door(BaseAuthPlugin):  # type: ignore[misc]
    """Lets in the printer's user with its access code."""

    @dataclass
    class Config:
        server: Any

    async def authenticate(self, *, session: Any) -> bool:
        code = self.config.server.machine.access_code
        given = session.password or ""
        return session.username == _USER and hmac.compare_digest(given.encode(), code.encode())


class Topics(BaseTopicPlugin):  # type: ignore[misc]
    """One topic to listen to and one to write to; what happens to others is a quirk."""

    @dataclass
    class Config:
        server: Any

    async def topic_filtering(
        self, *, session: Any = None, topic: str | None = None, action: Action | None = None
    ) -> bool:
        server: MqttServer = self.config.server
        if action == Action.PUBLISH:
            return topic == server.request_topic
        if action == Action.SUBSCRIBE and topic != server.report_topic:
            self._object(server)
            return False
        return topic == server.report_topic

    def _object(self, server: MqttServer) -> None:
        if server.machine.quirks.text("foreign_subscription") == "disconnect":
            _present.get().transport.abort()

    async def on_broker_message_received(self, *, client_id: str, message: Any) -> None:
        server: MqttServer = self.config.server
        if message is not None and message.topic == server.request_topic:
            server.take_request(bytes(message.data), qos=int(message.qos or 0), client=client_id)
