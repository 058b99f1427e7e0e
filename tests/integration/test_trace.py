"""At DEBUG the way of each message can be followed by its id."""

import json

from harness.messages import Message, picture, pictures
from harness.waiting import wait_until

TOPIC = "ia/rawImage/a/b"


def lines_of(bridge):
    return [json.loads(line) for line in bridge.log_lines()]


def way_of(bridge, identity):
    """The lines with that id by what they say; each must come once."""
    lines = [line for line in lines_of(bridge) if line.get("id") == identity]
    said = [line["message"] for line in lines]
    assert len(set(said)) == len(said), f"twice: {said}"
    return {line["message"]: line for line in lines}


def id_by(bridge, message, **facts):
    """The id in the one line that says this with these facts."""

    def found():
        return [
            line["id"]
            for line in lines_of(bridge)
            if line["message"] == message and facts.items() <= line.items()
        ]

    ids = wait_until(found, 10, lambda: f"{message} {facts}:\n{bridge.tail()}")
    assert len(ids) == 1, f"{message} {facts}: {ids}"
    return ids[0]


def wait_for_the_end(bridge, identity):
    wait_until(lambda: "removed" in way_of(bridge, identity), 10, "it is removed from the spool")
    return way_of(bridge, identity)


def traced(new_stack, **settings):
    return new_stack(LOGGING_LEVEL="DEBUG", LOG_FORMAT="json", **settings)


def test_a_picture_from_the_broker_to_the_bucket(new_stack):
    stack = traced(new_stack).start()
    message = picture()
    stack.publisher.send(message)
    stack.assert_exactly_stored()
    key = message.expectation.key
    way = wait_for_the_end(stack.bridge, id_by(stack.bridge, "decoded", key=key))
    assert list(way) in (
        # The acknowledgement has a thread of its own.
        ["received, on disk", "acknowledged", "decoded", "stored", "removed"],
        ["received, on disk", "decoded", "acknowledged", "stored", "removed"],
        ["received, on disk", "decoded", "stored", "acknowledged", "removed"],
        ["received, on disk", "decoded", "stored", "removed", "acknowledged"],
    ), list(way)
    received = way["received, on disk"]
    assert received["topic"] == message.topic
    assert received["bytes"] == len(message.payload)
    assert (received["qos"], received["duplicate"], received["retained"]) == (1, False, False)
    assert way["acknowledged"]["packet_id"] > 0
    assert way["decoded"]["bytes"] == len(message.expectation.body)
    stored = way["stored"]
    assert (stored["key"], stored["attempts"], stored["live"], stored["together"]) == (
        key, 1, False, 1,
    )  # fmt: skip
    assert 0 < stored["milliseconds"] < 10_000
    assert way["removed"]["to"] == "store"


def test_an_acknowledgement_in_the_callback_is_told_as_well(new_stack):
    stack = traced(new_stack, MQTT_GROUP_COMMIT="False").start()
    message = picture()
    stack.publisher.send(message)
    identity = id_by(stack.bridge, "decoded", key=message.expectation.key)
    assert "acknowledged" in wait_for_the_end(stack.bridge, identity)


def test_a_dead_letter_and_its_way_back(new_stack):
    stack = traced(new_stack).start()
    bad = [Message(TOPIC, b"no"), Message(TOPIC, b"no again")]
    stack.publisher.send(*bad)
    # The second one's warning is held back; its line is there all the same.
    for message in bad:
        identity = id_by(stack.bridge, "received, on disk", bytes=len(message.payload))
        way = wait_for_the_end(stack.bridge, identity)
        assert way["message goes to the dead letters"]["reason"] == "not_json"
        assert way["removed"]["to"] == "dead letters"
        assert "acknowledged" in way
        assert "stored" not in way
    assert stack.bridge.run("dead-letter", "replay", str(identity)).returncode == 0
    again = id_by(stack.bridge, "dead letter waits again", dead_letter=identity)
    assert again > identity
    assert wait_for_the_end(stack.bridge, again)["removed"]["to"] == "dead letters"


def test_attempts_that_fail_and_batches(new_stack):
    stack = traced(new_stack, own_store=True, RETRY_MAX_DELAY="200ms").start()
    stack.store.stop()
    messages = pictures(200, size=2000)
    stack.publisher.send(messages[0])  # alone: after a batch that failed there is none for a minute
    wait_until(lambda: stack.bridge.total("upload_refusals_total") > 1, 10, "attempts fail")
    stack.publisher.send(*messages[1:])
    stack.bridge.wait_until_acknowledged(200)
    stack.store.start()
    stack.assert_exactly_stored()
    stack.bridge.wait_until_spool_is_empty()
    stored = [line for line in lines_of(stack.bridge) if line["message"] == "stored"]
    assert {line["key"] for line in stored} >= {m.expectation.key for m in messages}
    assert max(line["together"] for line in stored) >= 8
    failed = [line for line in lines_of(stack.bridge) if line["message"] == "attempt failed"]
    assert failed
    assert all(line["code"] and line["attempts"] >= 1 for line in failed)
    tries = {line["id"]: line["attempts"] for line in stored}
    for line in failed:
        assert tries[line["id"]] > line["attempts"], "the attempts are counted on"


def test_a_picture_that_goes_ahead_of_a_backlog(new_stack):
    # Batches off: the first of them may be on its way for as long as half of the backlog.
    stack = traced(new_stack, own_store=True, UPLOAD_BANDWIDTH_LIMIT="400KiB",
                   IN_FLIGHT_BYTES="1MiB", UPLOAD_BATCHES="False")  # fmt: skip
    stack.broker.start()
    stack.bridge.start_subscribed()
    stack.publisher.send(*pictures(200, size=20_000))
    stack.bridge.wait_until_acknowledged(200)
    stack.store.start()
    wait_until(lambda: stack.bridge.metric("uploads_total", result="stored") > 0, 20, "they leave")
    live = picture()
    stack.publisher.send(live)
    identity = id_by(stack.bridge, "received, on disk", bytes=len(live.payload))
    wait_until(lambda: "stored" in way_of(stack.bridge, identity), 10, "it is stored")
    way = way_of(stack.bridge, identity)
    assert way["decoded"]["live"] and way["stored"]["live"]
    assert "removed" not in way
    stack.assert_exactly_stored()
    assert wait_for_the_end(stack.bridge, identity)["removed"]["to"] == "store"


def test_above_debug_nothing_of_it_is_told(new_stack):
    stack = new_stack(LOG_FORMAT="json").start()
    stack.publisher.send(*pictures(20))
    stack.assert_exactly_stored()
    stack.bridge.wait_until_spool_is_empty()
    assert not [line for line in lines_of(stack.bridge) if "id" in line]
