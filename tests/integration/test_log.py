"""What the log says, and what it never says."""

import base64
import json
import re

from harness.bridge import LOG_LINE
from harness.messages import Message, fields_of, picture, picture_bytes, pictures
from harness.ports import free_port
from harness.waiting import stays_true, wait_until

TOPIC = "ia/rawImage/a/b"
CANARY = "CanaryInThePayload"


def bad_messages_with_canaries():
    good = fields_of("id", base64.b64decode(CANARY + "=="))

    def changed(**image):
        return json.dumps(good | {"image": good["image"] | image}).encode()

    yield CANARY.encode()
    yield f'{{"{CANARY}": '.encode()
    yield changed(image_bytes=CANARY + "*")
    yield changed(image_bytes=[CANARY])
    yield changed(image_height=CANARY)
    yield changed(image_width={CANARY: CANARY})
    yield json.dumps({"timestamp_ms": CANARY, "image": CANARY}).encode()
    yield json.dumps({CANARY: 1}).encode()


def test_no_payload_and_no_secret_is_in_the_log_even_at_debug(new_stack):
    stack = new_stack(
        own_store=True, LOGGING_LEVEL="DEBUG", MQTT_USERNAME="bridge",
        MQTT_PASSWORD="canary-password",
    )  # fmt: skip
    stack.broker.allow_only("bridge", "canary-password")
    stack.start()
    sender = stack.new_publisher(username="bridge", password="canary-password")
    good = pictures(20)
    bad = [Message(TOPIC, payload) for payload in bad_messages_with_canaries()]
    sender.send(*good, *bad)
    stack.assert_exactly_stored()
    wait_until(lambda: sum(stack.bridge.dead_letters().values()) == len(bad), 10, "dead letters")
    # Failures of every kind are told as well, and none of them tells a secret.
    stack.store.stop()
    stack.store.lock_out()
    stack.store.start()
    sender.send(*pictures(5))
    stack.bridge.wait_for_log(re.compile(r" ERROR "))
    stack.broker.stop()
    stack.broker.allow_only("bridge", "another")
    stack.broker.start()
    stack.bridge.wait_for_log(re.compile(r"not authori[sz]ed|bad user", re.I))
    stack.bridge.stop()
    log = stack.bridge.log_text()
    assert " DEBUG " in log
    assert "canary" not in log.lower()
    assert stack.store.secret_key not in log
    for message in good:
        picture_as_sent = json.loads(message.payload)["image"]["image_bytes"]
        assert picture_as_sent[100:140] not in log


def test_every_line_is_one_event_in_one_form(new_stack):
    stack = new_stack(own_store=True, LOGGING_LEVEL="DEBUG").start()
    forged = "x\r\n2030-01-01T00:00:00.000Z ERROR forged: line"
    fields = fields_of(forged, picture_bytes(100))
    stack.publisher.send(
        picture(),
        picture("id with blank and \"quotes\" = and \\ and ü"),
        Message(TOPIC, json.dumps(fields).encode()),
        Message(TOPIC, b"\x1b[2J\n\n2030-01-01T00:00:00.000Z ERROR forged: line"),
    )
    stack.assert_exactly_stored()
    wait_until(lambda: sum(stack.bridge.dead_letters().values()) == 2, 10, "two dead letters")
    stack.store.stop()
    stack.publisher.send(picture())
    stack.bridge.wait_for_log(re.compile(r" WARNING "))
    stack.broker.stop()
    stack.bridge.stop()
    lines = stack.bridge.log_path.read_bytes().decode().split("\n")
    assert lines.pop() == ""
    assert len(lines) >= 8
    for line in lines:
        assert LOG_LINE.match(line), f"not in the form of a line: {line!r}"
        assert line.isprintable(), f"control characters: {line!r}"
        assert LOG_LINE.match(line).group(2) != "forged"


def test_as_json_every_line_is_one_object(new_stack):
    stack = new_stack(own_store=True, LOGGING_LEVEL="DEBUG", LOG_FORMAT="json").start()
    forged = "x\r\n{\"level\":\"ERROR\"} \u2028 \\ \" \u00fc"
    stack.publisher.send(
        picture(),
        picture("id with blank and \"quotes\" = and \\ and \u00fc"),
        Message("ia/rawImage/\u00e4\u20ac", b"\xff\xfe no JSON"),
        Message(TOPIC, json.dumps(fields_of(forged, picture_bytes(100))).encode()),
    )
    stack.assert_exactly_stored()
    wait_until(lambda: sum(stack.bridge.dead_letters().values()) == 2, 10, "two dead letters")
    stack.store.stop()
    stack.publisher.send(picture())
    wait_until(lambda: '"level":"WARNING","area":"upload"' in stack.bridge.log_text(), 10, "told")
    stack.bridge.stop()

    def object_of(pairs):
        assert len({name for name, _ in pairs}) == len(pairs), f"a name twice: {pairs}"
        return dict(pairs)

    text = stack.bridge.log_path.read_bytes().decode()  # UTF-8, all of it
    lines = [json.loads(line, object_pairs_hook=object_of) for line in text.split("\n")[:-1]]
    assert (lines[0]["message"], lines[-1]["message"]) == ("starting", "stopped")
    for line in lines:
        assert list(line)[:4] == ["time", "level", "area", "message"], line
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", line["time"])
        assert line["level"] in ("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL")
        assert not any(isinstance(value, (dict, list)) for value in line.values()), "facts are flat"
    assert isinstance(lines[0]["pid"], int)
    assert any(line.get("topic") == "ia/rawImage/\u00e4\u20ac" for line in lines)
    session = [line["session_present"] for line in lines if line["message"] == "connected"]
    assert session == [False]


def test_as_json_mistakes_of_the_configuration_are_told_too(new_stack):
    bridge = new_stack().bridge
    run = bridge.run(LOG_FORMAT="json", BROKER_PORT="70000", MQTT_QOS="3", MINIO_SECRET_KEY="canary\t")
    assert run.returncode == 78
    lines = [json.loads(line) for line in run.stderr.splitlines()]
    assert [line["level"] for line in lines] == ["CRITICAL"] * 3
    mistakes = " ".join(line["mistake"] for line in lines)
    assert "BROKER_PORT" in mistakes and "MQTT_QOS" in mistakes and "MINIO_SECRET_KEY" in mistakes
    assert "canary" not in run.stderr
    for_a_person = bridge.run("--check", LOG_FORMAT="json", BROKER_PORT="70000")
    assert for_a_person.stderr.startswith("mqtt-to-blob: BROKER_PORT")


def test_a_dead_letter_is_told_with_reason_and_topic_and_many_are_summed_up(new_stack):
    stack = new_stack().start()
    fields = fields_of("a", b"x")
    kinds = {
        "not_json": b"no",
        "missing_field": b"{}",
        "wrong_type": b"[]",
        "bad_base64": json.dumps(fields_of("a", b"x")).encode().replace(b"eA==", b"eA="),
        "bad_key": json.dumps(fields | {"image": fields["image"] | {"image_id": "/"}}).encode(),
    }
    for reason, payload in kinds.items():
        mark = stack.bridge.mark()
        stack.publisher.send(Message(f"ia/rawImage/camera/{reason}", payload))
        stack.bridge.wait_for_log(
            re.compile(rf" WARNING .* topic=ia/rawImage/camera/{reason} .*reason={reason}\b"),
            since=mark,
        )
    mark = stack.bridge.mark()
    stack.publisher.send(*(Message(TOPIC, b"no") for _ in range(500)))
    wait_until(lambda: stack.bridge.dead_letters()["not_json"] == 501, 10, "the dead letters")
    assert len(stack.bridge.said_since(mark).splitlines()) <= 10


def test_a_lasting_failure_is_summed_up(new_stack):
    stack = new_stack(own_store=True).start()
    stack.publisher.send(picture())
    stack.assert_exactly_stored()
    stack.store.stop()
    mark = stack.bridge.mark()
    stack.publisher.send(*pictures(200))
    stack.bridge.wait_until_acknowledged(201)
    stays_true(lambda: stack.bridge.running, 8, "the daemon runs")
    said = stack.bridge.said_since(mark)
    assert " WARNING " in said or " ERROR " in said, "the failure is not told at all"
    assert len(said.splitlines()) <= 15, said
    mark = stack.bridge.mark()
    stack.store.start()
    stack.assert_exactly_stored()
    said = stack.bridge.said_since(mark)
    assert 1 <= len(said.splitlines()) <= 15, f"the return is told, briefly:\n{said}"


def test_an_absent_broker_is_not_told_at_every_attempt(new_stack):
    stack = new_stack(BROKER_PORT=free_port())
    stack.bridge.start()
    stays_true(lambda: stack.bridge.running, 8, "the daemon runs")
    failures = [line for line in stack.bridge.log_lines() if re.search(" (WARNING|ERROR) ", line)]
    assert 1 <= len(failures) <= 10, failures


def test_the_level_hides_what_is_below_it(new_stack):
    stack = new_stack(LOGGING_LEVEL="ERROR").start()
    stack.publisher.send(picture(), Message(TOPIC, b"bad"))
    stack.assert_exactly_stored()
    stack.bridge.stop()
    assert not re.search(" (DEBUG|INFO|WARNING) ", stack.bridge.log_text())
