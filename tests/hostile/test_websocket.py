"""A broker that speaks WebSocket in every legal and illegal way: what is legal is delivered, what
is not ends the connection, says why, and costs neither memory nor a message."""

import threading
import time

import pytest

from harness import mqtt
from harness.messages import pictures
from harness.ports import free_port
from harness.waiting import wait_until
from harness.websocket import (
    CLOSE, CONTINUATION, PING, PONG, TEXT, WebSocketBroker, fragments, frame, frame_head,
)  # fmt: skip

MIB = 1 << 20
ONE_PICTURE_BYTES = 700


class Attack:
    """A bridge whose broker is a script; what the script has acknowledged must be stored."""

    def __init__(self, stack, serve):
        self.stack = stack
        self.bridge = stack.bridge
        self.broker = WebSocketBroker(serve)
        self.bridge.settings |= {
            "MQTT_TRANSPORT": "ws", "MQTT_VERSION": "3.1.1", "BROKER_PORT": self.broker.port,
            "MQTT_WEBSOCKET_PATH": "/the/path?a=b", "RETRY_MAX_DELAY": "300ms",
        }  # fmt: skip
        self._sent = {}
        if not stack.store.running:
            stack.store.start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.broker.__exit__()

    def packets(self, count, size=ONE_PICTURE_BYTES):
        """So many new messages as PUBLISH packets, one behind the other."""
        data = b""
        for message in pictures(count, size=size):
            packet_id = len(self._sent) + 1
            self._sent[packet_id] = message
            data += mqtt.publish(packet_id, message)
        return data

    def stay(self, peer):
        """Until the client leaves; what it acknowledges is expected in the bucket."""
        peer.stay(lambda packet_id: self.stack.judge.acknowledged(self._sent[packet_id]))

    def assert_all_flowed(self, count, within=20):
        wait_until(
            lambda: self.stack.judge.expected_count >= count,
            within,
            lambda: f"{count} acknowledged: {self.stack.judge.expected_count}, {self.broker.faults}\n"
            + self.bridge.tail(),
        )
        self.stack.assert_exactly_stored()
        assert not self.broker.faults

    def wait_for_words(self, *words, within=20):
        def are_there():
            return any(
                all(word in line for word in words) for line in self.bridge.log_text().splitlines()
            )

        wait_until(are_there, within, lambda: f"a line with {words}:\n{self.bridge.tail()}")


@pytest.fixture
def attack(new_stack):
    attacks = []

    def begin(serve):
        """`serve(attack, peer)` is the script."""
        attacks.append(Attack(new_stack(), lambda peer: serve(attacks[-1], peer)))
        return attacks[-1]

    yield begin
    for each in attacks:
        each.__exit__()


# What is legal.


def several_packets_in_one_frame(attack, peer):
    peer.send(frame(attack.packets(10)))


def packets_that_span_frames(attack, peer):
    data = attack.packets(10)
    peer.send(b"".join(frame(data[i : i + 997]) for i in range(0, len(data), 997)))


def pings_in_every_gap(attack, peer):
    peer.send(fragments(attack.packets(10), 7, between=frame(b"are you there?", PING)))


def unasked_pongs_and_empty_frames(attack, peer):
    nothing = frame(b"", fin=False) + frame(b"", CONTINUATION, fin=False) + frame(b"", CONTINUATION)
    peer.send(nothing + frame(b"unasked", PONG) + frame(attack.packets(10)) + nothing)


def frames_in_slow_pieces(attack, peer):
    for byte in frame(attack.packets(2)):
        peer.send(bytes([byte]))


LEGAL = {
    several_packets_in_one_frame: 10,
    packets_that_span_frames: 10,
    pings_in_every_gap: 10,
    unasked_pongs_and_empty_frames: 10,
    frames_in_slow_pieces: 2,
}


@pytest.mark.parametrize("deed", LEGAL, ids=lambda deed: deed.__name__)
def test_legal_framing_is_delivered(attack, deed):
    def serve(here, peer):
        peer.start_session()
        deed(here, peer)
        here.stay(peer)

    here = attack(serve)
    here.bridge.start_subscribed()
    here.assert_all_flowed(LEGAL[deed])
    assert here.broker.accepted == 1


def test_each_ping_is_answered_with_its_own_payload(attack):
    asked = [b"", b"one", bytes(125)]
    answered = []

    def serve(here, peer):
        peer.start_session()
        peer.send(fragments(here.packets(3), 300, between=frame(b"between", PING)))
        peer.send(b"".join(frame(payload, PING) for payload in asked))
        try:
            here.stay(peer)
        finally:
            answered.extend(peer.pongs)

    here = attack(serve)
    here.bridge.start_subscribed()
    here.assert_all_flowed(3)
    assert here.bridge.stop() == 0
    wait_until(lambda: answered[-1:] == [bytes(125)], 10, lambda: f"the last pong: {answered}")
    # A pong may answer the newest of several pings alone (RFC 6455, section 5.5.3).
    assert set(answered) <= {b"between", *asked}


def long_answer(peer):
    peer.send(peer.answer(more="".join(f"X-Filler-{i}: {'x' * 100}\r\n" for i in range(40))))


def answer_in_two_segments(peer):
    data = peer.answer()
    peer.send(data[:40])
    time.sleep(0.2)
    peer.send(data[40:])


def answer_byte_by_byte(peer):
    for byte in peer.answer():
        peer.send(bytes([byte]))
        time.sleep(0.002)


@pytest.mark.parametrize(
    "answer", [long_answer, answer_in_two_segments, answer_byte_by_byte], ids=lambda f: f.__name__
)
def test_an_upgrade_answer_may_come_as(attack, answer):
    requests = []

    def serve(here, peer):
        peer.read_request()
        requests.append((peer.path, peer.headers))
        answer(peer)
        peer.log_in()
        peer.grant_subscription()
        peer.send(frame(here.packets(3)))
        here.stay(peer)

    here = attack(serve)
    here.bridge.start_subscribed()
    here.assert_all_flowed(3)
    path, headers = requests[0]
    assert path == "/the/path?a=b"
    assert headers["host"] == f"127.0.0.1:{here.broker.port}"
    assert headers["sec-websocket-protocol"] == "mqtt"
    assert "sec-websocket-extensions" not in headers


def test_the_farewell_reaches_the_broker_before_the_websocket_is_closed(attack):
    ends = []

    def serve(here, peer):
        peer.start_session()
        packet = peer.read_packet()
        ends.append(packet.kind)
        ends.append(peer.read_packet() or peer.close_code)

    here = attack(serve)
    here.bridge.start_subscribed()
    assert here.bridge.stop() == 0
    wait_until(lambda: ends == [mqtt.DISCONNECT, 1000], 10, lambda: f"DISCONNECT and close: {ends}")


def test_a_proxy_in_the_environment_is_not_for_mqtt(attack):
    def serve(here, peer):
        peer.start_session()
        peer.send(frame(here.packets(2)))
        here.stay(peer)

    here = attack(serve)
    nobody = f"http://127.0.0.1:{free_port()}"
    here.bridge.settings |= {"http_proxy": nobody, "https_proxy": nobody, "no_proxy": "127.0.0.1"}
    here.bridge.start_subscribed()
    here.assert_all_flowed(2)


# What is not.

ILLEGAL = {
    "text": (lambda _: frame(b"\xd0\0", TEXT), "text frame"),
    "masked": (lambda _: frame_head(2, mask=b"abcd") + b"\xb1b", "mask"),
    "reserved bit": (lambda _: frame(b"\xd0\0", reserved=4), "reserved"),
    "reserved opcode": (lambda _: frame(b"\xd0\0", opcode=3), "opcode"),
    "reserved control opcode": (lambda _: frame(b"", opcode=11), "opcode"),
    "ping of 126 bytes": (lambda _: frame(bytes(126), PING), "size"),
    "ping in fragments": (lambda _: frame(b"x", PING, fin=False), "fragment"),
    "continuation of nothing": (lambda _: frame(b"\xd0\0", CONTINUATION), "continuation"),
    "message within a message": (lambda _: frame(b"\xd0", fin=False) + frame(b"\0"), "data frame"),
    "close in the middle of a message": (
        lambda packets: frame(packets[:100], fin=False) + frame(b"\x03\xf3oh\x1b[2Jdear", CLOSE),
        "1011",
    ),
    "close of one byte": (lambda _: frame(b"\x03", CLOSE), "close"),
    "close with an impossible code": (lambda _: frame(b"\x03\xed", CLOSE), "close"),
    "close that says policy": (lambda _: frame(b"\x03\xf0not you", CLOSE), "1008"),
    "end without a close": (lambda _: b"", "without"),
}  # fmt: skip


@pytest.mark.parametrize("data, word", ILLEGAL.values(), ids=ILLEGAL.keys())
def test_what_is_illegal_ends_the_connection_and_is_named(attack, data, word):
    def serve(here, peer):
        peer.start_session()
        if peer.number == 1:
            peer.send(data(here.packets(1)))
            if word == "without":
                return
            while peer.read_packet() is not None:
                pass
            return
        peer.send(frame(here.packets(2)))
        here.stay(peer)

    here = attack(serve)
    here.bridge.start()
    here.assert_all_flowed(2)
    assert here.broker.accepted == 2
    here.wait_for_words("mqtt: connection lost", "WebSocket", word)
    assert "\x1b" not in here.bridge.log_text()


# What does not end.


def endless_fragments(peer, chunk, go_on):
    peer.send(frame(b"", fin=False))
    data = frame(chunk, CONTINUATION, fin=False)
    while go_on():
        peer.send(data)
    peer.send(frame(b"", CONTINUATION))


def endless_frame(peer, chunk, go_on):
    peer.send(frame_head((1 << 63) - 1))
    while go_on():
        peer.send(chunk)


def endless_empty_frames(peer, _chunk, go_on):
    peer.send(frame(b"", fin=False))
    data = frame(b"", CONTINUATION, fin=False) * 10_000
    while go_on():
        peer.send(data)
    peer.send(frame(b"", CONTINUATION))


def endless_empty_messages(peer, _chunk, go_on):
    data = frame(b"") * 10_000
    while go_on():
        peer.send(data)


def endless_pings(peer, _chunk, go_on):
    """Whose answers are not read."""
    peer.socket.settimeout(1)
    data = frame(bytes(125), PING) * 500
    while go_on():
        try:
            peer.send(data)
        except TimeoutError:
            return  # the client has stopped reading, as it may


FLOODS = [endless_fragments, endless_frame, endless_empty_frames, endless_empty_messages, endless_pings]


@pytest.mark.parametrize("flood", FLOODS, ids=lambda flood: flood.__name__)
def test_what_does_not_end_takes_no_memory(attack, flood):
    over = threading.Event()

    def serve(here, peer):
        peer.start_session()
        if peer.number == 1:
            until = time.monotonic() + 2
            flood(peer, mqtt.filler(1 << 16), lambda: time.monotonic() < until)
            over.set()
            return
        peer.send(frame(here.packets(2)))
        here.stay(peer)

    here = attack(serve)
    here.bridge.start_subscribed()
    idle = most = here.bridge.private_bytes()
    while not over.wait(0.1):
        most = max(most, here.bridge.private_bytes())
    assert most - idle < 16 * MIB, f"{idle / MIB:.0f} MiB grew to {most / MIB:.0f}"
    here.assert_all_flowed(2)


def test_a_large_message_in_one_frame_streams_through(attack):
    """The relay's own memory; what Paho and the spool need for it is theirs."""

    def serve(here, peer):
        peer.start_session()
        peer.send(frame(here.packets(1, size=10 * MIB)))
        peer.send(fragments(here.packets(1, size=10 * MIB), 100_000, frame(b"", PING)))
        here.stay(peer)

    here = attack(serve)
    here.bridge.settings["MAX_MESSAGE_BYTES"] = 64 * MIB
    here.bridge.start_subscribed()
    here.assert_all_flowed(2, within=60)


# A refused upgrade.


def http(status, more="", body=""):
    return f"HTTP/1.1 {status}\r\n{more}Content-Length: {len(body)}\r\n\r\n{body}".encode()


REFUSED = {
    "401": (http("401 Unauthorized", "WWW-Authenticate: Basic\r\n"), ["401 Unauthorized"]),
    "403": (http("403 Forbidden"), ["403 Forbidden"]),
    "404": (http("404 Not Found", body="<html>"), ["404 Not Found", "MQTT_WEBSOCKET_PATH", "/the/path"]),
    "302": (
        http("302 Found", "Location: https://portal.example/login?" + "x" * 2000 + "\r\n"),
        ["302 Found", "https://portal.example/login"],
    ),
    "control characters": (
        http("302 Fo\x1b[2Jund", "Location: https://portal.example/\x1b[2J\u202elogin\r\n"), ["302 Fo"],
    ),
    "407": (http("407 Proxy Authentication Required"), ["407 Proxy Authentication"]),
    "426": (http("426 Upgrade Required"), ["426 Upgrade Required"]),
    "502": (http("502 Bad Gateway"), ["502 Bad Gateway"]),
    "200": (http("200 OK", body="<html>" * 100), ["200 OK", "MQTT_WEBSOCKET_PATH"]),
    "200 without an end": (b"HTTP/1.1 200 OK\r\n\r\n" + b"x" * 100_000, ["200 OK"]),
    "no HTTP": (b"SSH-2.0-OpenSSH_9.2\r\n", ["no HTTP", "SSH-2.0-OpenSSH_9.2", "BROKER_PORT"]),
    "MQTT": (b"\x20\x02\x00\x01", ["no HTTP", "BROKER_PORT"]),
    "header of 100 kB": (
        b"HTTP/1.1 101 Switching Protocols\r\n" + b"X: y\r\n" * 20_000, ["head", "8 KiB"],
    ),
    "nothing": (b"", ["closed", "upgrade"]),
}  # fmt: skip


@pytest.mark.parametrize("answer, words", REFUSED.values(), ids=REFUSED.keys())
def test_a_refused_upgrade_is_named(attack, answer, words):
    def serve(here, peer):
        peer.read_request()
        if peer.number == 1:
            peer.send(answer)
            if "without" not in words and answer:
                peer.read_packet()  # until it leaves
            return
        peer.send(peer.answer())
        peer.log_in()
        peer.grant_subscription()
        peer.send(frame(here.packets(2)))
        here.stay(peer)

    here = attack(serve)
    here.bridge.start()
    here.assert_all_flowed(2)
    here.wait_for_words("mqtt: connection refused", *words)
    assert "no answer from the broker" not in here.bridge.log_text()
    assert "\x1b" not in here.bridge.log_text()
    assert max(map(len, here.bridge.log_text().splitlines())) < 1000


ALMOST = {
    "another accept": (dict(accept="c2hhMSBvZiBzb21ldGhpbmcgZWxzZQ=="), "Sec-WebSocket-Accept"),
    "no subprotocol": (dict(protocol=None), "subprotocol"),
    "another subprotocol": (dict(protocol="chat"), "subprotocol"),
    "an extension": (
        dict(more="Sec-WebSocket-Extensions: permessage-deflate\r\n"), "permessage-deflate",
    ),
}  # fmt: skip


@pytest.mark.parametrize("wrong, word", ALMOST.values(), ids=ALMOST.keys())
def test_an_upgrade_that_is_not_what_was_asked_for_is_refused(attack, wrong, word):
    def serve(here, peer):
        peer.read_request()
        peer.send(peer.answer(**wrong))
        peer.read_packet()

    here = attack(serve)
    here.bridge.start()
    here.wait_for_words("mqtt: connection refused", word)
    assert here.bridge.metric("broker_subscribed") == 0


@pytest.mark.parametrize("kind", ["silent", "one byte at a time"])
def test_an_upgrade_that_does_not_end_is_given_up_and_holds_up_no_stop(attack, kind):
    begun = threading.Event()

    def serve(_, peer):
        peer.read_request()
        begun.set()
        data = iter(peer.answer(more="X: " + "y" * 4000 + "\r\n") if kind != "silent" else b"")
        while True:
            for byte in data:
                peer.send(bytes([byte]))
                break
            peer.socket.settimeout(0.2)
            try:
                if not peer.socket.recv(1):
                    return
            except TimeoutError:
                pass

    here = attack(serve)
    here.bridge.settings["MQTT_CONNECT_TIMEOUT"] = "2s"
    here.bridge.start()
    here.wait_for_words("mqtt: connection refused", "MQTT_CONNECT_TIMEOUT", within=10)
    wait_until(lambda: here.broker.accepted == 2, 10, "it tries again")
    begun.clear()
    wait_until(begun.is_set, 10, "the next upgrade is under way")
    before = time.monotonic()
    assert here.bridge.stop() == 0
    assert time.monotonic() - before < 2
