"""MQTT packets by hand, for what no client library would send."""

import socket
from dataclasses import dataclass, field

LEVELS = {"3.1.1": 4, "5": 5}
CONNECT, CONNACK, PUBLISH, PUBACK, PUBREC = 1, 2, 3, 4, 5
SUBSCRIBE, SUBACK = 8, 9
PINGREQ, DISCONNECT = 12, 14

PINGRESP_PACKET = b"\xd0\0"
NEVER = b"\xff\xff\xff\xff"  # as Session Expiry Interval


@dataclass(frozen=True)
class Packet:
    raw: bytes = field(repr=False)

    @property
    def kind(self):
        return self.raw[0] >> 4

    @property
    def duplicate(self):
        return bool(self.raw[0] & 0x08)

    @property
    def qos(self):
        return self.raw[0] >> 1 & 3

    @property
    def retained(self):
        return bool(self.raw[0] & 0x01)

    @property
    def body(self):
        return memoryview(self.raw)[1 + _length_at(self.raw, 1)[1] :]

    @property
    def level(self):
        """Of a CONNECT (section 3.1): after the protocol name."""
        return self.body[2 + _number(self.body)]

    @property
    def id(self):
        """Of a PUBLISH with QoS 1 or 2, an acknowledgement of one, or a SUBSCRIBE."""
        return _number(self.body[2 + _number(self.body) :] if self.kind == PUBLISH else self.body)

    def filters(self, level):
        """Of a SUBSCRIBE."""
        rest = self.body[2:]
        if level == LEVELS["5"]:
            length, size = _length_at(rest, 0)
            rest = rest[size + length :]
        found = []
        while rest:
            end = 2 + _number(rest)
            found.append(bytes(rest[2:end]).decode())
            rest = rest[end + 1 :]  # its options
        return found

    def payload(self, level):
        """Of a PUBLISH."""
        rest = self.body[2 + _number(self.body) + (2 if self.qos else 0) :]
        if level == LEVELS["5"]:
            length, size = _length_at(rest, 0)
            rest = rest[size + length :]
        return rest


def _number(data):
    return int.from_bytes(data[:2], "big")


def _length_at(data, position):
    """(value, bytes it takes) of a variable byte integer; None where its end is not there yet."""
    value = 0
    for size in range(1, 5):
        if position + size > len(data):
            return None
        byte = data[position + size - 1]
        value |= (byte & 0x7F) << 7 * (size - 1)
        if not byte & 0x80:
            return value, size
    raise ValueError("not a length of MQTT")


class Framer:
    """Cuts a stream of bytes into packets."""

    def __init__(self):
        self._buffer = bytearray()

    def packets(self, data):
        self._buffer += data
        while len(self._buffer) >= 2 and (found := _length_at(self._buffer, 1)):
            end = 1 + found[1] + found[0]
            if len(self._buffer) < end:
                return
            raw = bytes(memoryview(self._buffer)[:end])
            del self._buffer[:end]
            yield Packet(raw)


def _packet(first, body):
    length = len(body)
    head = bytearray([first])
    while True:
        length, low = length >> 7, length & 0x7F
        head.append(low | (0x80 if length else 0))
        if not length:
            return bytes(head) + body


def connack(level, code, session_present=False):
    return _packet(0x20, bytes([session_present, code]) + (b"\0" if level == LEVELS["5"] else b""))


def connack5(session_present, code, properties):
    """Of MQTT 5, with up to 127 bytes of properties."""
    return _packet(0x20, bytes([session_present, code, len(properties)]) + properties)


def disconnect(code):
    """As a server sends it (MQTT 5)."""
    return _packet(0xE0, bytes([code, 0]) if code else b"")


def suback(level, packet_id, *codes):
    properties = b"\0" if level == LEVELS["5"] else b""
    return _packet(0x90, packet_id.to_bytes(2, "big") + properties + bytes(codes))


def publish(packet_id, message):
    """At QoS 1, to a client of MQTT 3.1.1."""
    topic = message.topic.encode()
    head = len(topic).to_bytes(2, "big") + topic + packet_id.to_bytes(2, "big")
    return _packet(0x32, head + message.payload)


def filler(size):
    """A packet of about so many bytes that a client of MQTT 3.1.1 has nothing to do with: UNSUBACK
    for what it never asked."""
    return _packet(0xB0, b"\xff\xff" + bytes(size))


def _connect(client_id, level, clean):
    properties = b""
    if level == LEVELS["5"]:
        # Without it the session would end with the connection.
        properties = b"\0" if clean else b"\x05\x11" + NEVER
    name = client_id.encode()
    return _packet(
        0x10,
        b"\0\x04MQTT" + bytes([level, 0x02 if clean else 0]) + b"\0\x3c" + properties
        + len(name).to_bytes(2, "big") + name,
    )  # fmt: skip


def publish_huge(port, message):
    """At QoS 1, until the broker has taken it. The client library takes 20 s for 100 MiB."""
    with socket.create_connection(("127.0.0.1", port), timeout=60) as connection:
        connection.sendall(_connect("huge", LEVELS["3.1.1"], clean=True))
        assert connection.recv(4) == connack(LEVELS["3.1.1"], 0)
        connection.sendall(publish(1, message))
        assert connection.recv(4) == b"\x40\x02\0\x01"


class Intruder:
    """A client under somebody else's id. It subscribes to nothing and acknowledges nothing, so what
    the broker sends it still belongs to the session; with `clean` it ends the session instead."""

    def __init__(self, port, client_id, level=LEVELS["3.1.1"], clean=False):
        self._socket = socket.create_connection(("127.0.0.1", port), timeout=10)
        self._socket.sendall(_connect(client_id, level, clean))
        answer = self._socket.recv(4)
        assert answer[:1] == b"\x20" and answer[3:4] == b"\0", f"CONNACK {answer!r}"

    def wait_until_thrown_out(self, within=15):
        self._socket.settimeout(within)
        try:
            while self._socket.recv(1 << 16):
                pass
        except ConnectionError:
            pass
        self._socket.close()

    def leave(self):
        try:
            self._socket.sendall(b"\xe0\0")
        except ConnectionError:
            pass  # thrown out before
        self._socket.close()
