"""kill -9, again and again, while pictures stream in."""

import random

import pytest

from harness.messages import picture
from harness.waiting import Clockwork

PICTURES = 6000


def stream_of_pictures(count):
    sizes = random.Random(3)
    return (picture(size=sizes.randrange(10_000, 20_000)) for _ in range(count))


@pytest.mark.time_limit(150)
def test_no_picture_is_lost_when_the_daemon_is_killed_every_second(new_stack):
    stack = new_stack().start()
    stream = stack.stream(stream_of_pictures(PICTURES), per_second=300)
    clock = Clockwork(1.0)
    kills = 0
    while stream.running:
        clock.wait_for_tick()
        stack.bridge.kill()
        stack.bridge.launch()
        kills += 1
    stream.finish()
    stack.bridge.wait_until_ready()  # also while it catches up
    assert kills >= 15
    assert stack.judge.expected_count == PICTURES
    stack.assert_exactly_stored(within=60)
    assert stack.bridge.dead_letters() == {}


def test_no_picture_is_lost_when_the_daemon_is_killed_while_it_starts(new_stack):
    stack = new_stack().start()
    stream = stack.stream(stream_of_pictures(600), per_second=150)
    distances = random.Random(5)
    while stream.running:
        Clockwork(distances.uniform(0.005, 0.15)).wait_for_tick()
        stack.bridge.kill()
        stack.bridge.launch()
    stream.finish()
    stack.bridge.wait_until_ready()
    stack.assert_exactly_stored(within=40)


@pytest.mark.parametrize("version, qos", [("3.1.1", 1), ("5", 2)])
def test_no_picture_is_lost_whatever_the_protocol(new_stack, version, qos):
    stack = new_stack(MQTT_VERSION=version, MQTT_QOS=qos).start()
    stream = stack.stream(stream_of_pictures(1000), per_second=200, qos=qos)
    stack.kill_bridge_while(stream, every=0.7)
    stack.assert_exactly_stored(within=40)


def test_what_was_acknowledged_is_stored_though_the_broker_never_comes_back(new_stack):
    """The daemon alone answers for what it acknowledged."""
    stack = new_stack(own_store=True).start()
    stack.store.stop()
    stack.publisher.send(*stream_of_pictures(200))
    stack.bridge.wait_until_acknowledged(200)
    stack.bridge.kill()
    stack.broker.kill()
    stack.store.start()
    stack.bridge.start()
    stack.assert_exactly_stored(within=30)
