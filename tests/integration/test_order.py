"""Messages with the same key: the later one's bytes stay."""

import random

import pytest

from harness.messages import picture
from harness.waiting import wait_until

KEYS = 6


def same_keys(count, size=None):
    sizes = random.Random(11)
    for number in range(count):
        yield picture(f"camera/{number % KEYS}", size=size or sizes.choice([300, 5000, 60_000]))


def assert_last_ones_stay(stack, within=20):
    stack.assert_exactly_stored(within)
    stack.bridge.wait_until_spool_is_empty(within)
    stack.assert_exactly_stored(within)
    assert stack.judge.expected_count == KEYS


def test_the_later_of_many_in_quick_succession_stays(new_stack):
    stack = new_stack(UPLOADER_THREADS=8).start()
    stack.publisher.send(*same_keys(600))
    assert_last_ones_stay(stack)


@pytest.mark.parametrize("attempt", range(3))
def test_the_later_stays_over_an_outage_of_the_store(new_stack, attempt):
    stack = new_stack(own_store=True, UPLOADER_THREADS=8).start()
    stream = stack.stream(same_keys(500), per_second=250)
    wait_until(lambda: stack.publisher.acknowledged > 60 + 37 * attempt, 10, "the stream flows")
    stack.store.kill()
    wait_until(lambda: stack.publisher.acknowledged > 300, 10, "the stream flows")
    stack.store.start()
    stream.finish()
    assert_last_ones_stay(stack)


def test_the_later_stays_though_the_daemon_is_killed(new_stack):
    stack = new_stack(UPLOADER_THREADS=8).start()
    stream = stack.stream(same_keys(900), per_second=150)
    stack.kill_bridge_while(stream, every=0.6)
    assert_last_ones_stay(stack, within=30)


def test_the_later_stays_when_both_waited_in_the_spool_over_a_crash(new_stack):
    stack = new_stack(own_store=True, UPLOADER_THREADS=8).start()
    stack.store.stop()
    stack.publisher.send(*same_keys(300, size=3000))
    stack.bridge.wait_until_acknowledged(300)
    stack.bridge.kill()
    stack.bridge.start()
    stack.publisher.send(*same_keys(30, size=3000))
    stack.bridge.wait_until_acknowledged(30)
    stack.store.start()
    assert_last_ones_stay(stack, within=30)


def test_a_late_good_message_wins_over_a_bad_one_with_the_same_id(new_stack):
    stack = new_stack().start()
    for _ in range(20):
        good = picture("mixed", size=500)
        bad = good.payload.replace(b'"image_width": 1203', b'"image_width": "wide"')
        assert bad != good.payload
        stack.publisher.send(good)
        stack.publisher.send(type(good)(good.topic, bad))
    stack.bridge.wait_until_spool_is_empty()
    stack.assert_exactly_stored()
    assert stack.bridge.dead_letters() == {"wrong_type": 20}
