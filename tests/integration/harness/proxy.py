"""Servers that play a broker or store of a kind that cannot be installed here."""

import socket
import threading

from harness.ports import free_port

_CONNACK_BAD_VERSION = bytes([0x20, 0x02, 0x00, 0x01])  # MQTT 3.1.1, section 3.2.2.3


class OldBrokerProxy:
    """Refuses a CONNECT of protocol level 5 and passes every other connection through.

    `answer` is "code": with CONNACK return code 1, as MQTT 3.1.1 demands; or "close": by closing
    the connection without a word, as some brokers do.
    """

    def __init__(self, broker, answer="code"):
        assert answer in ("code", "close")
        self._broker = broker
        self._answer = answer
        self.levels = []  # protocol level of every CONNECT seen
        self.port = free_port()
        self._listener = socket.create_server(("127.0.0.1", self.port))
        self._open = set()
        threading.Thread(target=self._accept, name="proxy", daemon=True).start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        _shut(self._listener)
        for connection in list(self._open):
            _shut(connection)

    def _accept(self):
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client):
        self._open.add(client)
        try:
            first = client.recv(65536)
            if not first:
                return
            level = _protocol_level(first)
            self.levels.append(level)
            if level >= 5:
                if self._answer == "code":
                    client.sendall(_CONNACK_BAD_VERSION)
                return
            self._pass_through(client, first)
        except OSError:
            pass
        finally:
            _shut(client)
            self._open.discard(client)

    def _pass_through(self, client, first):
        with socket.create_connection(("127.0.0.1", self._broker.port)) as broker:
            broker.sendall(first)
            back = threading.Thread(target=_copy, args=(broker, client), daemon=True)
            back.start()
            _copy(client, broker)
            back.join(5)


def _protocol_level(packet):
    """Of a CONNECT (section 3.1): after the fixed header and the protocol name."""
    position = 1
    while packet[position] & 0x80:
        position += 1
    position += 1
    name_length = int.from_bytes(packet[position : position + 2], "big")
    return packet[position + 2 + name_length]


def _copy(source, sink):
    try:
        while data := source.recv(65536):
            sink.sendall(data)
    except OSError:
        pass
    finally:
        _shut(sink)


def _shut(connection):
    try:
        connection.shutdown(socket.SHUT_RDWR)
    except OSError:
        pass
    connection.close()


class SilentServer:
    """Accepts connections, reads, and never says a word."""

    def __init__(self):
        self.port = free_port()
        self.connections = 0
        self._listener = socket.create_server(("127.0.0.1", self.port))
        self._open = []
        threading.Thread(target=self._accept, name="silent", daemon=True).start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        _shut(self._listener)
        for connection in self._open:
            _shut(connection)

    def _accept(self):
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            self.connections += 1
            self._open.append(client)
