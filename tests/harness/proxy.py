"""Servers that play a broker or store of a kind that cannot be installed here."""

import socket

from harness import mqtt
from harness.acceptor import Acceptor, shut
from harness.wire import TO_CLIENT, TO_SERVER, MqttWire


class OldBrokerProxy(MqttWire):
    """Refuses a CONNECT of protocol level 5 and passes every other connection through.

    `answer` is "code": with CONNACK return code 1, as MQTT 3.1.1 demands; or "close": by closing
    the connection without a word, as some brokers do.
    """

    def __init__(self, broker, answer="code"):
        assert answer in ("code", "close")
        super().__init__(broker.port)
        self.levels = []  # protocol level of every CONNECT seen
        self._answer = answer
        self.rules.append(self._refuse_5)

    def _refuse_5(self, link, direction, packet):
        if direction != TO_SERVER or packet.kind != mqtt.CONNECT:
            return False
        self.levels.append(packet.level)
        if packet.level < mqtt.LEVELS["5"]:
            return False
        if self._answer == "code":
            link.send(TO_CLIENT, mqtt.connack(mqtt.LEVELS["3.1.1"], 1))
        link.end()
        return True


class BlackHole:
    """An address of the loopback where nothing answers a call, as behind a dead router: a listener
    whose queue is full, so that the kernel drops what comes."""

    def __init__(self, address, port):
        self._listener = socket.create_server((address, port), backlog=0)
        self._waiting = []
        while self._fill(address, port):
            pass

    def _fill(self, address, port):
        connection = socket.socket()
        connection.settimeout(0.3)
        self._waiting.append(connection)
        try:
            connection.connect((address, port))
        except TimeoutError:
            return False
        return True

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for connection in [*self._waiting, self._listener]:
            connection.close()


class SilentServer(Acceptor):
    """Accepts connections, reads, and never says a word."""

    def __init__(self):
        self.connections = 0
        self._open = []
        super().__init__("silent")

    def __exit__(self, *exception):
        super().__exit__(*exception)
        for connection in self._open:
            shut(connection)

    def admit(self, client):
        self.connections += 1
        self._open.append(client)
