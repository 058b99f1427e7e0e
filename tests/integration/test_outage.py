"""Store, broker and daemon go away and come back, in any order, and nobody lends a hand."""

import itertools
import re
import time

import pytest

from harness.messages import picture, pictures
from harness.ports import free_port
from harness.waiting import stays_true, wait_until

FLOWS_AGAIN_WITHIN = 15  # seconds after the last return; a promise of the project


def endless_pictures():
    return (picture(size=4000) for _ in itertools.count())


def take_down(stack, part):
    if part == "daemon":
        stack.bridge.kill()
    elif part == "broker":
        # Stopped, not killed: mosquitto itself forgets what it acknowledged when it is killed.
        stack.broker.stop()
    else:
        stack.store.kill()


def bring_back(stack, part):
    {"daemon": stack.bridge, "broker": stack.broker, "store": stack.store}[part].start()


def assert_flows_again(stack, since, within=FLOWS_AGAIN_WITHIN):
    """A message sent now is in the bucket in time, counted from the last return."""
    probe = picture()
    stack.publisher.publish(probe)
    left = within - (time.monotonic() - since)
    wait_until(
        lambda: stack.bucket.read(probe.expectation.key),
        left,
        lambda: f"flowing again {within} s after the last return:\n{stack.bridge.tail()}",
    )


ORDERS = [
    pytest.param(down, back, id=f"down {' '.join(down)}, back {' '.join(back)}")
    for down in itertools.permutations(["store", "broker", "daemon"])
    for back in (down, down[::-1])
]


@pytest.mark.parametrize("down, back", ORDERS)
def test_everything_may_be_away_at_once_in_any_order(new_stack, down, back):
    stack = new_stack(own_store=True).start()
    stream = stack.stream(endless_pictures(), per_second=100)
    wait_until(lambda: stack.publisher.acknowledged > 30, 10, "the stream flows")
    for part in down:
        # Some messages pass in between, as far as the broker is there to take them.
        before = stack.publisher.acknowledged
        wait_until(
            lambda: not stack.broker.running or stack.publisher.acknowledged > before + 30,
            10,
            "the stream flows",
        )
        take_down(stack, part)
    for part in back:
        bring_back(stack, part)
    returned = time.monotonic()
    assert_flows_again(stack, returned)
    stream.stop()
    stack.assert_exactly_stored()
    assert stack.bridge.dead_letters() == {}


def test_one_after_the_other_goes_away_again_and_again(new_stack):
    stack = new_stack(own_store=True).start()
    stream = stack.stream(endless_pictures(), per_second=100)
    for part in ["store", "daemon", "broker", "store", "daemon", "store", "broker", "daemon"]:
        take_down(stack, part)
        bring_back(stack, part)
    returned = time.monotonic()
    assert_flows_again(stack, returned)
    stream.stop()
    stack.assert_exactly_stored()


def test_the_backoff_has_a_cap_that_keeps_the_promise_after_a_long_outage(new_stack):
    stack = new_stack(own_store=True).start()
    stack.publisher.send(*pictures(20))
    stack.assert_exactly_stored()
    take_down(stack, "store")
    stack.publisher.send(*pictures(100, size=4000))
    take_down(stack, "broker")
    # Long enough for pauses to have grown to RETRY_MAX_DELAY, 8 s by default.
    stays_true(lambda: stack.bridge.status_of("/livez") == 200, 25, "the daemon lives")
    bring_back(stack, "broker")
    bring_back(stack, "store")
    returned = time.monotonic()
    assert_flows_again(stack, returned)
    stack.assert_exactly_stored(within=FLOWS_AGAIN_WITHIN)


def test_a_daemon_started_before_broker_and_store_works_once_both_come(new_stack):
    stack = new_stack(own_store=True)
    stack.bridge.start()
    stays_true(
        lambda: stack.bridge.running
        and (stack.bridge.status_of("/livez"), stack.bridge.status_of("/readyz")) == (200, 503),
        3,
        lambda: f"up and not ready: {stack.bridge.request('/readyz')}",
    )
    assert stack.bridge.metric("broker_connected") == 0
    assert stack.bridge.metric("store_reachable") == 0
    stack.broker.start()
    stack.broker.wait_for_subscription("ia/rawImage/#", within=FLOWS_AGAIN_WITHIN)
    stack.publisher.send(*pictures(10))
    stack.store.start()
    stack.assert_exactly_stored(within=FLOWS_AGAIN_WITHIN)
    stack.bridge.wait_until_subscribed()
    assert stack.bridge.metric("broker_connected") == 1
    assert stack.bridge.metric("store_reachable") == 1


def test_the_store_may_come_before_the_broker(new_stack):
    stack = new_stack(own_store=True)
    stack.bridge.start()
    stack.store.start()
    wait_until(lambda: stack.bridge.metric("store_reachable") == 1, 15, "the store is seen")
    stack.broker.start()
    stack.bridge.wait_until_subscribed(FLOWS_AGAIN_WITHIN)
    stack.publisher.send(*pictures(10))
    stack.assert_exactly_stored()


def test_a_bucket_that_is_missing_at_the_start_is_made(new_stack):
    stack = new_stack()
    assert not stack.bucket.exists()
    stack.start()
    stack.publisher.send(picture())
    stack.assert_exactly_stored()


def test_a_bucket_that_is_there_already_is_used(new_stack):
    stack = new_stack()
    stack.bucket.create()
    stack.start()
    stack.publisher.send(picture())
    stack.assert_exactly_stored()


def test_a_daemon_started_with_wrong_credentials_goes_on_when_they_are_mended(new_stack):
    stack = new_stack(own_store=True)
    stack.broker.start()
    stack.store.lock_out()
    stack.store.start()
    stack.bridge.start()
    stack.broker.wait_for_subscription("ia/rawImage/#")
    stack.publisher.send(*pictures(10))
    stack.bridge.wait_until_acknowledged(10)
    stack.store.stop()
    stack.store.let_in()
    stack.store.start()
    stack.assert_exactly_stored(within=FLOWS_AGAIN_WITHIN)


@pytest.mark.parametrize("version", ["5", "3.1.1"])
def test_each_refused_login_is_logged_with_its_meaning_until_it_is_mended(new_stack, version):
    stack = new_stack(MQTT_VERSION=version, MQTT_USERNAME="bridge", MQTT_PASSWORD="right-one")
    stack.broker.allow_only("bridge", "another")
    stack.broker.start()
    stack.bridge.start()
    stack.bridge.wait_for_log(
        re.compile(r" (WARNING|ERROR) +\S+: .*(not authori[sz]ed|bad user ?name or password)", re.I)
    )
    assert stack.bridge.status_of("/readyz") == 503
    assert stack.bridge.metric("broker_connected") == 0
    stack.broker.stop()
    stack.broker.allow_only("bridge", "right-one")
    stack.broker.start()
    stack.bridge.wait_until_subscribed(FLOWS_AGAIN_WITHIN)
    sender = stack.new_publisher(username="bridge", password="right-one")
    sender.send(*pictures(5))
    stack.assert_exactly_stored()


def test_the_originals_user_name_is_the_default(new_stack):
    stack = new_stack()
    stack.broker.start()
    stack.bridge.start()
    stack.broker.wait_for_log(re.compile("New client connected .* u'MQTT_TO_BLOB'"))


def test_a_store_that_never_was_there_costs_neither_memory_nor_messages(new_stack):
    nowhere = f"127.0.0.1:{free_port()}"
    stack = new_stack()
    stack.broker.start()
    bridge = stack.new_bridge("lonely", MINIO_URL=nowhere)
    bridge.start()
    stack.broker.wait_for_subscription("ia/rawImage/#")
    sender = stack.new_publisher(judged=False)
    sender.send(*pictures(100, size=50_000))
    bridge.wait_until_acknowledged(100)
    before = bridge.private_bytes()
    sender.send(*pictures(1500, size=50_000))
    bridge.wait_until_acknowledged(1600)
    assert bridge.metric("spool_messages") == 1600
    grown = bridge.private_bytes() - before  # while 100 MB came in
    assert grown < 40 << 20, f"{grown} bytes more"
