"""Proxies between the bridge and a server, which hold, cut or change what passes."""

import hashlib
import socket
import threading
import time
from collections import Counter

from harness import mqtt
from harness.acceptor import Acceptor, shut

TO_CLIENT, TO_SERVER = "to client", "to server"
_CHUNK = 1 << 16


class Wire(Acceptor):
    """Passes bytes in both directions."""

    def __init__(self, server_port):
        self.accepted = 0  # connections
        self.bytes_per_second = None  # towards the client; None: as fast as it goes
        self._server_port = server_port
        self._open_gates = {TO_CLIENT: threading.Event(), TO_SERVER: threading.Event()}
        self.resume()
        self._links = set()
        super().__init__("wire")

    def __exit__(self, *exception):
        super().__exit__(*exception)
        self.resume()
        self.cut()

    def pause(self, *directions):
        """As a network that lets nothing through any more, and does not say so; not even the end of
        a connection passes. What is under way is held until resume()."""
        for direction in directions or (TO_CLIENT, TO_SERVER):
            self._open_gates[direction].clear()

    def resume(self):
        for gate in self._open_gates.values():
            gate.set()

    def cut(self):
        """Ends all connections, and says how many there were."""
        links = list(self._links)
        for link in links:
            link.end()
        return len(links)

    def links(self):
        return list(self._links)

    # For those that look into it.

    def passing(self, link, direction, data):
        """Forwards what arrived."""
        link.send(direction, data)

    def admit(self, client):
        self.accepted += 1
        try:
            server = socket.create_connection(("127.0.0.1", self._server_port), timeout=5)
            server.settimeout(None)
        except OSError:
            shut(client)
            return
        link = _Link(self, client, server)
        self._links.add(link)
        for direction in (TO_CLIENT, TO_SERVER):
            threading.Thread(target=self._pump, args=(link, direction), daemon=True).start()

    def _pump(self, link, direction):
        while data := link.receive(direction):
            self.wait_at_gate(link, direction)
            if link.ended:
                break  # what was held at the gate is gone, and no rule may take it for said
            try:
                self.passing(link, direction, data)
            except OSError:
                # Its last words may still be under way to us: the other pump ends the link.
                return
        self.wait_at_gate(link, direction)
        link.end()
        self._links.discard(link)

    def wait_at_gate(self, link, direction):
        while not self._open_gates[direction].wait(0.1) and not link.ended:
            pass


class _Link:
    """One connection through a wire."""

    def __init__(self, wire, client, server):
        self.wire = wire
        self.ended = False
        self.level = None  # of MQTT, once the client has said it
        self.logged_in = False
        self.framers = {TO_CLIENT: mqtt.Framer(), TO_SERVER: mqtt.Framer()}
        self.published = {}  # packet id -> digest of the payload that is not acknowledged yet
        self.sent = 0  # bytes towards the client
        self._sockets = {TO_CLIENT: client, TO_SERVER: server}
        self._locks = {TO_CLIENT: threading.Lock(), TO_SERVER: threading.Lock()}

    def receive(self, direction):
        """What goes in that direction; nothing at the end."""
        try:
            return self._sockets[TO_SERVER if direction == TO_CLIENT else TO_CLIENT].recv(_CHUNK)
        except OSError:
            return b""

    def send(self, direction, data):
        """Whole, even if another thread sends something at the same time."""
        with self._locks[direction]:
            for start in range(0, len(data), _CHUNK):
                chunk = data[start : start + _CHUNK]
                self._sockets[direction].sendall(chunk)
                if direction == TO_CLIENT:
                    self.sent += len(chunk)
                    if self.wire.bytes_per_second:
                        time.sleep(len(chunk) / self.wire.bytes_per_second)

    def end(self):
        self.ended = True
        for connection in self._sockets.values():
            shut(connection)


class MqttWire(Wire):
    """Knows packets. Each rule is asked for each packet in turn: rule(link, direction, packet); one
    that returns true has dealt with it, and it does not pass."""

    def __init__(self, server_port):
        self.rules = []
        self.passed = Counter()  # (direction, kind of packet)
        self.duplicates = 0  # PUBLISH with DUP
        self.retained = 0  # PUBLISH with RETAIN
        super().__init__(server_port)

    @property
    def logins(self):
        """How often the server accepted the client."""
        return self.passed[TO_CLIENT, mqtt.CONNACK]

    def inject(self, data):
        """Says something to each client that is logged in, between two packets; to how many."""
        links = [link for link in self._links if link.logged_in]
        for link in links:
            try:
                link.send(TO_CLIENT, data)
            except OSError:
                pass
        return len(links)

    def passing(self, link, direction, data):
        for packet in link.framers[direction].packets(data):
            if packet.kind == mqtt.CONNECT and direction == TO_SERVER:
                link.level = packet.level
            if any(rule(link, direction, packet) for rule in self.rules):
                continue
            self.wait_at_gate(link, direction)
            link.send(direction, packet.raw)
            self._count(link, direction, packet)

    def _count(self, link, direction, packet):
        self.passed[direction, packet.kind] += 1
        if direction == TO_CLIENT and packet.kind == mqtt.CONNACK:
            link.logged_in = True
        if direction == TO_CLIENT and packet.kind == mqtt.PUBLISH:
            self.duplicates += packet.duplicate
            self.retained += packet.retained


class Witness:
    """A rule that tells the judge what the bridge acknowledged, for faults where the broker itself
    loses messages. QoS 0 has no acknowledgement: what was sent to the bridge counts."""

    def __init__(self, judge):
        self._judge = judge
        self._messages = {}  # digest -> message

    def watch(self, messages):
        """Passes messages on to be published; they may be stored, and must be once acknowledged."""
        for message in messages:
            self._messages[_digest(message.payload)] = message
            self._judge.allow(message)
            yield message

    def __call__(self, link, direction, packet):
        if direction == TO_CLIENT and packet.kind == mqtt.PUBLISH:
            digest = _digest(packet.payload(link.level))
            if packet.qos == 0:
                self._take(digest)
            else:
                link.published[packet.id] = digest
        elif direction == TO_SERVER and packet.kind in (mqtt.PUBACK, mqtt.PUBREC):
            self._take(link.published.pop(packet.id, None))
        return False

    def _take(self, digest):
        if digest in self._messages:
            self._judge.acknowledged(self._messages[digest])


def _digest(payload):
    return hashlib.blake2b(payload, digest_size=16).digest()
