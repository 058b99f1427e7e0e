"""Properties of a CONNACK that the broker would not send by itself (MQTT 5, section 3.2.2.3)."""

from harness import mqtt
from harness.wire import TO_CLIENT


def server_keep_alive(seconds):
    return b"\x13" + seconds.to_bytes(2, "big")


def session_expiry(seconds):
    return b"\x11" + seconds.to_bytes(4, "big")


def reason_string(text):
    return b"\x1f" + _text(text)


def server_reference(text):
    return b"\x1c" + _text(text)


def answering(code, *properties):
    """A rule of a MqttWire: each CONNACK has that code and these properties in place of its own."""

    def rule(link, direction, packet):
        if direction != TO_CLIENT or packet.kind != mqtt.CONNACK:
            return False
        session_present = packet.body[0] if code == 0 else 0
        link.logged_in = code == 0
        link.send(TO_CLIENT, mqtt.connack5(session_present, code, b"".join(properties)))
        return True

    return rule


def _text(text):
    data = text.encode()
    return len(data).to_bytes(2, "big") + data
