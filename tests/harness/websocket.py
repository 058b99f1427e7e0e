"""A WebSocket broker by hand, frame by frame, for what no library would send (RFC 6455)."""

import base64
import hashlib
import threading

from harness import mqtt
from harness.acceptor import Acceptor, shut

CONTINUATION, TEXT, BINARY = 0, 1, 2
CLOSE, PING, PONG = 8, 9, 10

_GUID = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
_CHUNK = 1 << 16


class WebSocketBroker(Acceptor):
    """Runs `serve(peer)` in a thread of its own for each connection, which ends with it.

    What `serve` raises is kept in `faults`, but for a connection that the other side has ended.
    """

    def __init__(self, serve):
        self.serve = serve
        self.accepted = 0
        self.faults = []
        self._peers = []
        super().__init__("websocket-broker")

    def __exit__(self, *exception):
        super().__exit__(*exception)
        for peer in list(self._peers):
            shut(peer.socket)

    def admit(self, client):
        self.accepted += 1
        peer = WebSocketPeer(client, self.accepted)
        self._peers.append(peer)
        threading.Thread(target=self._run, args=(peer,), daemon=True).start()

    def _run(self, peer):
        try:
            self.serve(peer)
        except OSError:
            pass
        except Exception as fault:  # told by the test, on its own thread
            self.faults.append(fault)
        finally:
            shut(peer.socket)
            self._peers.remove(peer)


class WebSocketPeer:
    """The broker's end of one connection. `number` counts connections from 1."""

    def __init__(self, connection, number):
        self.socket = connection
        self.number = number
        self.path = None  # of the request
        self.headers = {}  # of the request, names in small letters
        self.pongs = []  # payloads
        self.close_code = None  # of the client's close frame
        self._buffer = b""
        self._framer = mqtt.Framer()
        self._packets = []

    # The upgrade.

    def read_request(self):
        while b"\r\n\r\n" not in self._buffer:
            self._receive()
        head, self._buffer = self._buffer.split(b"\r\n\r\n", 1)
        lines = head.decode().split("\r\n")
        self.path = lines[0].split(" ")[1]
        self.headers = {
            name.lower(): value.strip() for name, value in (line.split(":", 1) for line in lines[1:])
        }

    def answer(self, accept=None, protocol="mqtt", more=""):
        """The bytes that accept the upgrade."""
        key = self.headers["sec-websocket-key"]
        accept = accept or base64.b64encode(hashlib.sha1((key + _GUID).encode()).digest()).decode()
        protocol = f"Sec-WebSocket-Protocol: {protocol}\r\n" if protocol else ""
        return (
            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            f"Sec-WebSocket-Accept: {accept}\r\n{protocol}{more}\r\n"
        ).encode()

    def upgrade(self):
        self.read_request()
        self.send(self.answer())

    # Frames.

    def send(self, data):
        self.socket.sendall(data)

    def read_frame(self):
        """(opcode, payload) of the client's next frame, which must be masked."""
        first, second = self._take(2)
        assert second & 0x80, "a client's frame without a mask"
        length = second & 0x7F
        if length == 126:
            length = int.from_bytes(self._take(2), "big")
        elif length == 127:
            length = int.from_bytes(self._take(8), "big")
        mask = self._take(4)
        payload = bytes(byte ^ mask[i % 4] for i, byte in enumerate(self._take(length)))
        return first & 0x0F, payload

    def read_packet(self):
        """The client's next MQTT packet; None when it closes the WebSocket."""
        while not self._packets:
            opcode, payload = self.read_frame()
            if opcode == CLOSE:
                self.close_code = int.from_bytes(payload[:2], "big")
                return None
            if opcode == PONG:
                self.pongs.append(payload)
            else:
                assert opcode in (BINARY, CONTINUATION), opcode
                self._packets += self._framer.packets(payload)
        return self._packets.pop(0)

    def expect(self, kind):
        packet = self.read_packet()
        assert packet is not None and packet.kind == kind, packet
        return packet

    # MQTT 3.1.1, one packet in a frame.

    def log_in(self):
        assert self.expect(mqtt.CONNECT).level == mqtt.LEVELS["3.1.1"]
        self.send(frame(mqtt.connack(mqtt.LEVELS["3.1.1"], 0)))

    def grant_subscription(self):
        packet = self.expect(mqtt.SUBSCRIBE)
        self.send(frame(mqtt.suback(mqtt.LEVELS["3.1.1"], packet.id, 1)))

    def start_session(self):
        """All of it up to a granted subscription."""
        self.upgrade()
        self.log_in()
        self.grant_subscription()

    def stay(self, on_puback=lambda packet_id: None):
        """Answers pings and takes acknowledgements until the client leaves."""
        while (packet := self.read_packet()) is not None:
            if packet.kind == mqtt.PINGREQ:
                self.send(frame(mqtt.PINGRESP_PACKET))
            elif packet.kind == mqtt.PUBACK:
                on_puback(packet.id)

    def _take(self, count):
        while len(self._buffer) < count:
            self._receive()
        taken, self._buffer = self._buffer[:count], self._buffer[count:]
        return taken

    def _receive(self):
        data = self.socket.recv(_CHUNK)
        if not data:
            raise ConnectionError("the client has closed the connection")
        self._buffer += data


def frame_head(length, opcode=BINARY, fin=True, reserved=0, mask=b""):
    """The head of a frame of so many bytes."""
    first = (0x80 if fin else 0) | reserved << 4 | opcode
    masked = 0x80 if mask else 0
    if length < 126:
        size = bytes([masked | length])
    elif length < 1 << 16:
        size = bytes([masked | 126]) + length.to_bytes(2, "big")
    else:
        size = bytes([masked | 127]) + length.to_bytes(8, "big")
    return bytes([first]) + size + mask


def frame(payload, opcode=BINARY, fin=True, reserved=0):
    return frame_head(len(payload), opcode, fin, reserved) + payload


def fragments(payload, size, between=b""):
    """A message in frames of so many bytes each, with something in every gap."""
    starts = range(0, len(payload), size)
    parts = [
        frame(payload[start : start + size], BINARY if not start else CONTINUATION, start == starts[-1])
        for start in starts
    ]
    return between.join(parts)
