"""kill -9 at any moment, again and again, while pictures stream in."""

import pytest

from harness.messages import mixed_messages
from harness.ports import free_port
from harness.stack import TOPIC_FILTER
from harness.waiting import Clockwork, wait_until

RATE = 200  # messages a second


def kill_every(stack, distance, rounds):
    """So many times; the daemon is not waited for in between. `distance` gives the next time."""
    for _ in range(rounds):
        Clockwork(distance()).wait_for_tick()
        assert stack.bridge.running, stack.bridge.tail()
        stack.bridge.kill()
        stack.bridge.launch()


@pytest.mark.time_limit(180)
def test_killed_every_second(lab):
    stack = lab.stack().start()
    stream = stack.stream(mixed_messages(lab.dice), RATE)
    rounds = lab.rounds(10, 200)
    kill_every(stack, lambda: 1.0, rounds)
    stream.stop()
    lab.conclude("kill: once a second", stack, rounds)


def test_killed_while_it_starts(lab):
    stack = lab.stack().start()
    stream = stack.stream(mixed_messages(lab.dice), RATE)
    rounds = lab.rounds(40, 400)
    kill_every(stack, lambda: lab.dice.uniform(0.005, 0.15), rounds)
    stream.stop()
    lab.conclude("kill: at any moment of the start", stack, rounds)


def test_killed_while_live_pictures_go_ahead(lab):
    """More comes in than may leave, so a backlog grows, and what comes in overtakes it."""
    stack = lab.stack(UPLOAD_BANDWIDTH_LIMIT="1MiB", IN_FLIGHT_BYTES="1MiB").start()
    stream = stack.stream(mixed_messages(lab.dice), RATE)
    rounds = lab.rounds(6, 100)
    kill_every(stack, lambda: lab.dice.uniform(0.5, 1.5), rounds)
    stack.bridge.wait_until_subscribed()
    wait_until(lambda: stack.bridge.metric("uploads_live_total") > 0, 15, "some go ahead")
    stream.stop()
    stack.bridge.kill()
    stack.bridge.settings["UPLOAD_BANDWIDTH_LIMIT"] = 0
    stack.bridge.launch()
    lab.conclude("kill: while live pictures go ahead of a backlog", stack, rounds)


@pytest.mark.parametrize("version, qos", [("3.1.1", 1), ("5", 2)])
def test_killed_whatever_the_protocol(lab, version, qos):
    stack = lab.stack(MQTT_VERSION=version, MQTT_QOS=qos).start()
    stream = stack.stream(mixed_messages(lab.dice), RATE, qos=qos)
    rounds = lab.rounds(5, 50)
    kill_every(stack, lambda: lab.dice.uniform(0.3, 0.8), rounds)
    stream.stop()
    lab.conclude(f"kill: MQTT {version} with QoS {qos}", stack, rounds)


def test_killed_and_the_broker_never_comes_back(lab):
    """The daemon alone answers for what it acknowledged."""
    stack = lab.stack()
    messages = mixed_messages(lab.dice)
    rounds = lab.rounds(1, 10)
    for _ in range(rounds):
        mark = stack.broker.mark()
        stack.broker.start()
        stack.bridge.settings["MINIO_URL"] = f"127.0.0.1:{free_port()}"
        stack.bridge.start()
        stack.broker.wait_for_subscription(TOPIC_FILTER, since=mark)
        stack.publisher.send(*(next(messages) for _ in range(200)))
        stack.bridge.wait_until_acknowledged(200)
        stack.bridge.kill()
        stack.broker.kill()
        stack.bridge.settings["MINIO_URL"] = stack.store.address
        stack.bridge.start()
        stack.judge.wait_until_all_stored(30)
        stack.bridge.wait_until_spool_is_empty()
        stack.bridge.kill()
    stack.broker.start()
    stack.bridge.start()
    lab.conclude("kill: of the broker as well, for good", stack, rounds)
