"""Faults of the broker, and of the way to it."""

import contextlib
import random
import time

import pytest

from harness import mqtt
from harness.laboratory import assert_accounts_add_up
from harness.messages import Message, fields_of, picture
from harness.mqtt import LEVELS, Intruder
from harness.publisher import Stream
from harness.waiting import Clockwork, TimedOut, wait_until
from harness.wire import TO_CLIENT, TO_SERVER, MqttWire, Wire, Witness

FILTER = "ia/rawImage/#"
MEBIBYTE = 1 << 20
KEEPALIVE = 5
QUICK = {
    "RETRY_MAX_DELAY": "200ms",
    "MQTT_KEEPALIVE": f"{KEEPALIVE}s",
    "MQTT_CONNECT_TIMEOUT": "2s",
    "MQTT_CLIENT_ID": "the-bridge",
}
AT_MOST_CONNECTS_PER_SECOND = 20  # some 10 are expected, and hundreds without pauses


@pytest.fixture
def wired(lab):
    """Makes stacks whose bridge reaches the broker over a wire that knows MQTT."""
    with contextlib.ExitStack() as wires:

        def make(**settings):
            stack = lab.stack(**QUICK | settings)
            wire = wires.enter_context(MqttWire(stack.broker.port))
            stack.bridge.settings["BROKER_PORT"] = wire.port
            return stack, wire

        yield make


def endless_pictures(lab, topics=("ia/rawImage/station1/camera1",), sizes=(500, 8000)):
    dice = random.Random(lab.dice.random())  # of its own: the stream runs beside the test
    while True:
        yield picture(topic=dice.choice(topics), size=dice.randrange(*sizes))


def flow_goes_on(stack, messages=10, within=15):
    """The bridge is back by itself, and messages arrive."""
    stack.bridge.wait_until_subscribed(within)
    before = stack.bridge.total("messages_received_total")
    wait_until(
        lambda: stack.bridge.total("messages_received_total") >= before + messages,
        within,
        lambda: f"messages arrive again:\n{stack.bridge.tail()}",
    )


def wait_for_more(stack, metric, before, within=15):
    wait_until(
        lambda: stack.bridge.metric(metric) > before,
        within,
        lambda: f"{metric} grows beyond {before}:\n{stack.bridge.tail()}",
        poll=0.02,
    )


def lost_connections(stack):
    return stack.bridge.metric("broker_connections_lost_total")


@contextlib.contextmanager
def back_again(wire, within=30):
    """Waits at its end until the bridge has logged in anew."""
    before = wire.logins
    yield
    wait_until(lambda: wire.logins > before, within, "the bridge logs in again", poll=0.01)


WILDCARDS = "ia/rawImage/#,+/+/+/camera1,ia/rawImage,other/+,last/place"
TOPICS_OF_WILDCARDS = [
    "ia/rawImage/a/b/c", "ia/rawImage", "x/y/z/camera1", "ia/rawImage/z/camera1", "other/a",
    "last/place",
]  # fmt: skip


@pytest.mark.parametrize("version, qos", [("3.1.1", 0), ("3.1.1", 1), ("5", 0), ("5", 1), ("5", 2)])
def test_restarted_with_its_sessions(lab, wired, version, qos):
    stack, wire = wired(MQTT_VERSION=version, MQTT_QOS=qos, TOPIC=WILDCARDS)
    stack.start()
    messages = endless_pictures(lab, TOPICS_OF_WILDCARDS)
    if qos != 1:
        # At QoS 0 the broker may lose what it took from the publisher. At QoS 2 mosquitto 2.0.11 does
        # too: when the publisher's connection ends between PUBREC and PUBREL, it answers the PUBREL of
        # the next one with PUBCOMP and passes nothing on to anybody.
        witness = Witness(stack.judge)
        wire.rules.append(witness)
        publisher = stack.new_publisher(judged=False)
        stream = Stream(publisher, witness.watch(messages), per_second=100, qos=max(qos, 1))
    else:
        stream = stack.stream(messages, per_second=100, qos=qos)
    rounds = lab.rounds(2, 50)
    for _ in range(rounds):
        flow_goes_on(stack, lab.dice.randrange(5, 50))
        before = stack.bridge.metric("broker_connects_total")
        stack.broker.stop()
        if qos > 0 and lab.dice.random() < 0.3:
            stack.bridge.kill()
            stack.bridge.start()
            before = 0
        stack.broker.start()
        wait_for_more(stack, "broker_connects_total", before)
    flow_goes_on(stack)
    stream.stop()
    assert stack.bridge.metric("broker_sessions_lost_total") == 0
    lab.conclude(f"broker: restarted with its sessions, MQTT {version}, QoS {qos}", stack, rounds)


@pytest.mark.parametrize("version", ["3.1.1", "5"])
@pytest.mark.parametrize("how", ["restarted without sessions", "killed"])
def test_broker_that_forgets_what_it_had_not_delivered(lab, wired, how, version):
    """Judged by what the bridge acknowledged, since the rest is the broker's loss."""
    stack, wire = wired(MQTT_VERSION=version, persistent_broker=how == "killed")
    witness = Witness(stack.judge)
    wire.rules.append(witness)
    stack.start()
    stream = Stream(
        stack.new_publisher(judged=False), witness.watch(endless_pictures(lab)), per_second=150
    )
    rounds = lab.rounds(2, 50)
    for number in range(1, rounds + 1):
        flow_goes_on(stack, lab.dice.randrange(5, 50))
        stack.broker.kill() if how == "killed" else stack.broker.stop()
        stack.broker.start()
        wait_for_more(stack, "broker_sessions_lost_total", number - 1)
        assert stack.bridge.log_text().count("the broker has no session for us any more") == number
        stack.bridge.wait_until_subscribed()
    flow_goes_on(stack)
    stream.stop()
    lab.conclude(f"broker: {how}, MQTT {version}", stack, rounds)


def intrude(dice, stack, **options):
    """Somebody else logs in as the bridge, and leaves at once or stays until it is thrown out."""
    level = dice.choice(list(LEVELS.values()))
    intruder = Intruder(stack.broker.port, "the-bridge", level, **options)
    intruder.leave() if dice.random() < 0.5 else intruder.wait_until_thrown_out()


@pytest.mark.parametrize("version", ["3.1.1", "5"])
def test_session_taken_over(lab, wired, version):
    """mosquitto 2.0.11 says nothing and closes; for others see the code 0x8E below."""
    stack, wire = wired(MQTT_VERSION=version)
    stack.start()
    stream = stack.stream(endless_pictures(lab), per_second=100)
    rounds = lab.rounds(3, 100)
    for _ in range(rounds):
        flow_goes_on(stack, lab.dice.randrange(1, 30))
        with back_again(wire):
            intrude(lab.dice, stack)

    # One that does not give in.
    flow_goes_on(stack)
    connects = stack.bridge.metric("broker_connects_total")
    seconds = lab.size(2, 60)
    begin, intrusions = time.monotonic(), 0
    while time.monotonic() < begin + seconds:
        Intruder(stack.broker.port, "the-bridge").wait_until_thrown_out()
        intrusions += 1
    connects = stack.bridge.metric("broker_connects_total") - connects
    assert intrusions > 1
    assert connects < AT_MOST_CONNECTS_PER_SECOND * seconds, (connects, seconds)
    flow_goes_on(stack)
    stream.stop()
    assert stack.bridge.metric("broker_sessions_lost_total") == 0
    lab.conclude(f"broker: session taken over, MQTT {version}", stack, rounds + intrusions)


@pytest.mark.parametrize("version", ["3.1.1", "5"])
def test_session_deleted(lab, wired, version):
    """By somebody else with a clean start; a retained picture comes with each new subscription."""
    stack, wire = wired(MQTT_VERSION=version)
    witness = Witness(stack.judge)
    wire.rules.append(witness)
    stack.broker.start()
    publisher = stack.new_publisher(judged=False)
    publisher.send(*witness.watch([picture(topic="ia/rawImage/retained")]), retain=True)
    stack.bridge.start_subscribed()
    stream = Stream(publisher, witness.watch(endless_pictures(lab)), per_second=100)
    rounds = lab.rounds(2, 100)
    for number in range(1, rounds + 1):
        flow_goes_on(stack, lab.dice.randrange(1, 30))
        wait_until(lambda: wire.retained == number, 10, "the retained picture came")
        mark = stack.broker.mark()
        intrude(lab.dice, stack, clean=True)
        stack.broker.wait_for_subscription(FILTER, since=mark)
        wait_for_more(stack, "broker_sessions_lost_total", number - 1)
    flow_goes_on(stack)
    wait_until(lambda: wire.retained == rounds + 1, 10, "the retained picture came")
    stream.stop()
    lab.conclude(f"broker: session deleted, MQTT {version}", stack, rounds)


A_LENGTH_THAT_NEVER_COMES = b"\x32\xff\xff\xff\x7f\0\x05ia/ra"
SILENCES = {
    "broker: silent in both directions": lambda wire: wire.pause(),
    "broker: silent towards us": lambda wire: wire.pause(TO_CLIENT),
    "broker: deaf to us": lambda wire: wire.pause(TO_SERVER),
    "broker: a message that never ends": lambda wire: wire.inject(A_LENGTH_THAT_NEVER_COMES),
}


@pytest.mark.time_limit(150)
def test_keep_alive_lost(lab, wired):
    """All at the same time, since each takes long: Paho sends PINGREQ after one interval and waits
    one and a half for the answer."""
    rounds = lab.rounds(1, 20)
    setups = {fault: wired(MQTT_VERSION=lab.dice.choice(list(LEVELS))) for fault in SILENCES}
    streams = [
        stack.start().stream(endless_pictures(lab), per_second=10) for stack, _ in setups.values()
    ]
    for _ in range(rounds):
        for stack, _ in setups.values():
            flow_goes_on(stack)
        lost = {fault: lost_connections(stack) for fault, (stack, _) in setups.items()}
        for fault, (_, wire) in setups.items():
            SILENCES[fault](wire)
        began = time.monotonic()
        for fault, (stack, _) in setups.items():
            left = began + 3 * KEEPALIVE - time.monotonic()
            wait_for_more(stack, "broker_connections_lost_total", lost[fault], left)
        for _, wire in setups.values():
            wire.resume()
    for stream, (fault, (stack, _)) in zip(streams, setups.items()):
        flow_goes_on(stack)
        stream.stop()
        lab.conclude(fault, stack, rounds)


# A word of what each code means by the specification: MQTT 3.1.1, table 3.1; MQTT 5, section 2.4.
REFUSALS = {
    "3.1.1": {
        1: "protocol version", 2: "client identifier", 3: "unavailable",
        4: "username or password", 5: "not authori",
    },
    "5": {
        0x80: "unspecified", 0x81: "malformed", 0x82: "protocol error",
        0x83: "implementation specific", 0x84: "protocol version", 0x85: "client identifier",
        0x86: "username or password", 0x87: "not authori", 0x88: "unavailable", 0x89: "busy",
        0x8A: "banned", 0x8C: "authentication method", 0x90: "topic name", 0x95: "too large",
        0x97: "quota", 0x99: "payload format", 0x9A: "retain", 0x9B: "qos",
        0x9C: "another server", 0x9D: "moved", 0x9F: "connection rate",
    },
}  # fmt: skip
FAREWELLS = {
    0x80: "unspecified", 0x81: "malformed", 0x82: "protocol error",
    0x83: "implementation specific", 0x87: "not authori", 0x89: "busy", 0x8B: "shutting down",
    0x8D: "keep alive", 0x8E: "taken over", 0x8F: "topic filter", 0x90: "topic name",
    0x93: "receive maximum", 0x94: "topic alias", 0x95: "too large", 0x96: "rate too high",
    0x97: "quota", 0x98: "administrative", 0x99: "payload format", 0x9A: "retain", 0x9B: "qos",
    0x9C: "another server", 0x9D: "moved", 0x9E: "shared", 0x9F: "connection rate",
    0xA0: "maximum connect", 0xA1: "subscription id", 0xA2: "wildcard", 0x00: "",
}  # fmt: skip


class Refusals:
    """A rule that answers CONNECT, or SUBSCRIBE, with codes, in turn, as long as there are any."""

    def __init__(self, kind, answer):
        self.codes = []
        self._kind = kind
        self._answer = answer

    def __call__(self, link, direction, packet):
        if direction != TO_SERVER or packet.kind != self._kind or not self.codes:
            return False
        self._answer(link, packet, self.codes[0])
        del self.codes[0]
        return True


def refuse_login(link, _packet, code):
    link.send(TO_CLIENT, mqtt.connack(link.level, code))
    link.end()


def refuse_subscription(link, packet, code):
    link.send(TO_CLIENT, mqtt.suback(link.level, packet.id, code))


def assert_told(text, code, meaning):
    """In a line of the log."""
    lines = [line for line in text.splitlines() if f"code={code} " in line]
    assert any(meaning in line.lower() for line in lines), f"{code:#x} {meaning!r}: {lines}"


@pytest.mark.parametrize("version", ["3.1.1", "5"])
def test_logins_refused(lab, wired, version):
    stack, wire = wired(MQTT_VERSION=version)
    refusals = Refusals(mqtt.CONNECT, refuse_login)
    wire.rules.append(refusals)
    stack.start()
    stream = stack.stream(endless_pictures(lab), per_second=60)
    dice, runs, seconds = lab.dice, 0, 0
    for _ in range(lab.rounds(1, 20)):
        known = sorted(REFUSALS[version])
        codes = dice.sample(known, lab.size(min(8, len(known)), len(known)))
        while codes:
            some, codes = codes[:6], codes[6:]
            flow_goes_on(stack)
            mark = stack.bridge.mark()
            refusals.codes = [code for code in some for _ in range(dice.choice((1, 1, 2)))]
            runs += len(refusals.codes)
            begin = time.monotonic()
            with back_again(wire):
                assert wire.cut() >= 1
            assert not refusals.codes
            seconds += time.monotonic() - begin
            for code in some:
                assert_told(stack.bridge.said_since(mark), code, REFUSALS[version][code])
    assert runs < AT_MOST_CONNECTS_PER_SECOND * seconds, (runs, seconds)
    flow_goes_on(stack)
    stream.stop()
    lab.conclude(f"broker: login refused with each code of MQTT {version}", stack, runs)


def test_dismissed_with_a_reason(lab, wired):
    stack, wire = wired(MQTT_VERSION="5")
    stack.start()
    stream = stack.stream(endless_pictures(lab), per_second=60)
    dice, runs = lab.dice, 0
    for _ in range(lab.rounds(1, 20)):
        for code in dice.sample(sorted(FAREWELLS), lab.size(10, len(FAREWELLS))):
            flow_goes_on(stack, dice.randrange(1, 5))
            mark, closes = stack.bridge.mark(), dice.random() < 0.3
            with back_again(wire):
                assert wire.inject(mqtt.disconnect(code)) >= 1
                if closes:
                    wire.cut()  # and is then not always heard
            if not closes:
                assert_told(stack.bridge.said_since(mark), code, FAREWELLS[code])
            runs += 1
    flow_goes_on(stack)
    stream.stop()
    lab.conclude("broker: DISCONNECT with each code of MQTT 5", stack, runs)


UNKNOWN_ID = b"\xff\xf0"  # the broker's own start at 1


def rubbish(dice):
    """What no broker may send. With MQTT 3.1.1 some of it reads as a message."""
    anything = dice.randbytes(dice.randrange(1, 200))
    return dice.choice(
        [
            anything,
            bytes([dice.randrange(256), len(anything) & 0x7F]) + anything,  # framed at least
            b"\0\0",
            b"\xf0\0",
            b"\x30\xff\xff\xff\xff\x01",  # a length of five bytes
            b"\x30\0",
            b"\x32\x02\0\x05",
            b"\x30\x04\xff\xffab",  # a topic longer than the packet
            b"\x32\x05\0\x03ab\0",
            b"\x36\x07\0\x01a" + UNKNOWN_ID + b"\0x",  # QoS 3
            b"\x30\x05\0\0\0xy",  # no topic
            b"\x32\x09\0\x03a\0b" + UNKNOWN_ID + b"\0x",  # a NUL in the topic
            b"\x32\x09\0\x03\xff\xfe\xfd" + UNKNOWN_ID + b"\0x",
            b"\x32\x0a\0\x03ia/" + UNKNOWN_ID + b"\x7f\x01x",  # properties longer than the packet
            b"\x20\x02\0\0",
            b"\x20\x03\x01\0\0",
            b"\x40\x02" + UNKNOWN_ID,
            b"\x50\x02" + UNKNOWN_ID,
            b"\x62\x02" + UNKNOWN_ID,
            b"\x70\x02" + UNKNOWN_ID,
            b"\x40\0",
            b"\x62\x01\xff",
            b"\x90\x03" + UNKNOWN_ID + b"\0",
            b"\x90\0",
            b"\xb0\x02" + UNKNOWN_ID,
            b"\xd0\0",
            b"\xc0\0",
            b"\xe0\0",
            b"\x10\x0c\0\x04MQTT\x04\x02\0\x3c\0\0",
            b"\x82\x06\0\x01\0\x01#\0",
        ]
    )


@pytest.mark.parametrize("version", ["3.1.1", "5"])
def test_rubbish_in_the_stream(lab, wired, version):
    """Judged by what the bridge acknowledged: it may acknowledge rubbish to the real broker."""
    stack, wire = wired(MQTT_VERSION=version)
    stack.judge.strangers_write = True
    witness = Witness(stack.judge)
    wire.rules.append(witness)
    stack.start()
    stream = Stream(
        stack.new_publisher(judged=False), witness.watch(endless_pictures(lab)), per_second=100
    )
    pid, rounds = stack.bridge.pid, lab.rounds(8, 500)
    for number in range(rounds):
        flow_goes_on(stack)
        lost, received = lost_connections(stack), stack.bridge.total("messages_received_total")
        data = rubbish(lab.dice)
        with back_again(wire):
            assert wire.inject(data) >= 1
            with contextlib.suppress(TimedOut):
                # Some is no harm, some ends the connection, some makes it wait for more bytes.
                wait_until(
                    lambda: lost_connections(stack) > lost
                    or stack.bridge.total("messages_received_total") > received + 20,
                    1,
                    "the end, or the flow goes on",
                )
            wire.cut()
        assert stack.bridge.running, f"{number}: {data!r}\n{stack.bridge.tail()}"
    flow_goes_on(stack)
    stream.stop()
    assert stack.bridge.pid == pid
    lab.conclude(f"broker: rubbish in the stream, MQTT {version}", stack, rounds)


def broken_greeting(dice, level):
    return dice.choice(
        [
            b"",
            dice.randbytes(dice.randrange(1, 100)),
            b"\x20",
            b"\x20\x02\0",
            b"\x20\0",
            mqtt.connack(LEVELS["5"] if level == LEVELS["3.1.1"] else LEVELS["3.1.1"], 0x42),
            b"\x20\x02\xff\xff",
            b"\x20\x04\x01\0\x7f\x11",  # properties longer than the packet
            b"\x20\xff\xff\xff\xff\x01",
            b"\xd0\0",
            b"\x90\x03\0\x01\x01",
            b"\x40\x02" + UNKNOWN_ID,
            b"HTTP/1.1 400 Bad Request\r\n\r\n",
            b"\x15\x03\x01\0\x02\x02\x46",  # an alert of TLS
        ]
    )


@pytest.mark.parametrize("version", ["3.1.1", "5"])
def test_rubbish_instead_of_a_greeting(lab, wired, version):
    stack, wire = wired(MQTT_VERSION=version)

    def answer(link, _packet, rubbish_and_end):
        data, ends = rubbish_and_end
        link.send(TO_CLIENT, data)
        if ends:
            link.end()

    greetings = Refusals(mqtt.CONNECT, answer)
    wire.rules.append(greetings)
    stack.start()
    stream = stack.stream(endless_pictures(lab), per_second=60)
    rounds = lab.rounds(4, 300)
    for _ in range(rounds):
        flow_goes_on(stack)
        ends = lab.dice.random() < 0.8  # else the bridge has to wait
        greetings.codes = [(broken_greeting(lab.dice, LEVELS[version]), ends)]
        with back_again(wire):
            assert wire.cut() >= 1
        assert not greetings.codes
    flow_goes_on(stack)
    stream.stop()
    lab.conclude(f"broker: rubbish instead of CONNACK, MQTT {version}", stack, rounds)


@pytest.mark.parametrize(
    "version, codes",
    [("3.1.1", [0x80]), ("5", [0x80, 0x83, 0x87, 0x8F, 0x97, 0x9E, 0xA1, 0xA2])],
)
def test_subscription_refused_and_granted_later(lab, wired, version, codes):
    """What was granted to the bridge before still holds meanwhile."""
    stack, wire = wired(MQTT_VERSION=version)
    refusals = Refusals(mqtt.SUBSCRIBE, refuse_subscription)
    wire.rules.append(refusals)
    stack.start()
    stream = stack.stream(endless_pictures(lab), per_second=60)
    rounds = lab.rounds(1, 20)
    for _ in range(rounds):
        flow_goes_on(stack)
        stack.bridge.kill()
        mark = stack.bridge.mark()
        lab.dice.shuffle(codes)
        refusals.codes = list(codes)
        stack.bridge.start()
        wait_until(lambda: not refusals.codes, 30, "all codes were sent")
        flow_goes_on(stack)
        wait_until(
            lambda: stack.bridge.said_since(mark).count("subscription refused") == len(codes),
            15,
            "all of them are told",
        )
        told = stack.bridge.said_since(mark)
        for code in codes:
            assert_told(told, code, FAREWELLS[code])
    stream.stop()
    lab.conclude(
        f"broker: subscription refused, then granted, MQTT {version}", stack, rounds * len(codes)
    )


@pytest.mark.parametrize("version, qos", [("3.1.1", 1), ("5", 1), ("5", 2)])
def test_acknowledgements_lost(lab, wired, version, qos):
    """Committed, and the broker does not know it: it sends the same again, with DUP."""
    stack, wire = wired(MQTT_VERSION=version, MQTT_QOS=qos)
    swallowed, swallows = [], []

    def swallow(_link, direction, packet):
        if direction == TO_SERVER and packet.kind in (mqtt.PUBACK, mqtt.PUBREC) and swallows:
            swallowed.append(packet.id)
            return True
        return False

    wire.rules.append(swallow)
    stack.start()
    stream = stack.stream(endless_pictures(lab), per_second=100, qos=qos)
    rounds = lab.rounds(3, 200)
    for _ in range(rounds):
        flow_goes_on(stack)
        enough = len(swallowed) + lab.dice.randrange(1, 15)  # of the 20 that may be in flight
        swallows.append(True)
        wait_until(lambda: len(swallowed) >= enough, 10, "acknowledgements are lost", poll=0.005)
        if lab.dice.random() < 0.5:
            stack.bridge.kill()
            swallows.clear()
            stack.bridge.launch()
        else:
            assert wire.cut() >= 1
            swallows.clear()
    flow_goes_on(stack)
    stream.stop()
    assert wire.duplicates >= len(swallowed) > 0
    lab.conclude(
        f"broker: acknowledgements lost, MQTT {version}, QoS {qos}", stack, len(swallowed)
    )


def test_two_bridges_of_a_group_killed_in_turn(lab, wired):
    stack, wire = wired(TOPIC="$share/bridges/ia/rawImage/#,$share/bridges/other/+")
    stack.start()
    second = stack.new_bridge("second", BROKER_PORT=wire.port, MQTT_CLIENT_ID="second")
    second.start_subscribed()
    messages = endless_pictures(lab, ["ia/rawImage/a", "other/a"])
    stream = stack.stream(messages, per_second=150)
    rounds = lab.rounds(6, 200)
    for _ in range(rounds):
        Clockwork(lab.dice.uniform(0.05, 0.5)).wait_for_tick()
        victim = lab.dice.choice([stack.bridge, second])
        if lab.dice.random() < 0.8:
            victim.kill()
        else:
            assert victim.stop() == 0
        victim.launch()
    stream.stop()
    second.wait_until_subscribed()
    lab.conclude("broker: bridges of a $share group killed in turn", stack, rounds)
    second.wait_until_spool_is_empty()
    for bridge in (stack.bridge, second):
        assert_accounts_add_up(bridge)
        assert bridge.metric("spool_account_messages", account="received") > 0


def kill_while_it_receives(lab, stack, wire, size, kills):
    """Kills the bridge when it has got some part of a message of that size."""
    for _ in range(kills):
        before = {link: link.sent for link in wire.links()}
        part = lab.dice.uniform(0.02, 0.7) * size
        wait_until(
            lambda: any(link.sent - before.get(link, 0) > part for link in wire.links()),
            30,
            "part of it has come",
            poll=0.005,
        )
        stack.bridge.kill()
        stack.bridge.launch()


@pytest.mark.time_limit(180)  # twenty seconds where nothing else runs
def test_a_message_of_64_mebibytes(lab, wired):
    limit = lab.size(66, 100) * MEBIBYTE
    stack, wire = wired(MAX_MESSAGE_BYTES=limit)
    stack.start()
    rounds = lab.rounds(1, 10)
    stream = stack.stream(endless_pictures(lab), per_second=10)
    for number in range(1, rounds + 1):
        flow_goes_on(stack)
        huge = picture(size=48 * MEBIBYTE)
        document = f"{fields_of('huge', b'')} {number}".encode()
        padded = Message("ia/rawImage/a", document.ljust(limit + 1), dead_letter="too_large")
        for message in (huge, padded):
            wire.bytes_per_second = 100 * MEBIBYTE
            mqtt.publish_huge(stack.broker.port, message)
            stack.judge.acknowledged(message)
            kill_while_it_receives(lab, stack, wire, len(message.payload), lab.size(1, 3))
            wire.bytes_per_second = None
            stack.bridge.wait_until_subscribed()
        wait_until(
            lambda: stack.bridge.metric("spool_account_messages", account="dead_lettered")
            >= number,
            20,
            "the other one is a dead letter",
        )
        assert list(stack.bridge.dead_letters()) == ["too_large"]
    stream.stop()
    assert wire.duplicates >= 2 * rounds
    lab.conclude("broker: 64 MiB in a message, killed while it comes", stack, rounds)


def pause_of(lab):
    Clockwork(lab.dice.uniform(0.02, 0.3)).wait_for_tick()


@pytest.mark.time_limit(120)
def test_a_burst_of_tiny_messages(lab, wired):
    """While the store says nothing, with a kill in it."""
    stack, wire = wired()
    with Wire(stack.store.port) as to_store:
        stack.bridge.settings["MINIO_URL"] = f"127.0.0.1:{to_store.port}"
        stack.start()
        count = lab.size(900, 20_000)
        stream = stack.stream(picture(size=lab.dice.randrange(1, 4)) for _ in range(count))
        for change in (to_store.pause, to_store.resume):
            pause_of(lab)
            change()
            stack.bridge.kill()
            stack.bridge.launch()
            wait_until(stack.bridge.is_up, 10, "it is back", poll=0.01)
            if change == to_store.pause:
                wait_until(lambda: stack.bridge.metric("spool_messages") > 0, 10, "they wait")
        pause_of(lab)
        to_store.cut()
        stream.finish()
        lab.conclude("broker: a burst of tiny messages, killed in it", stack, count, within=150)
