"""While a backlog leaves, pictures that come in are seen soon, and every promise holds."""

import pytest

from harness.messages import picture, pictures
from harness.waiting import wait_until

BACKLOG = 200
SIZE = 20_000


@pytest.fixture
def stack(new_stack):
    """The backlog takes 10 s, and a quarter of it fits between spool and store."""
    stack = new_stack(own_store=True, UPLOAD_BANDWIDTH_LIMIT="400KiB", IN_FLIGHT_BYTES="1MiB")
    stack.broker.start()
    stack.bridge.start_subscribed()
    return stack


def leave_backlog(stack, messages):
    """Until the first of them are stored."""
    stack.publisher.send(*messages)
    stack.bridge.wait_until_acknowledged(len(messages))
    stack.store.start()
    wait_until(lambda: stored(stack) > 0, 20, "the backlog begins to leave")


def stored(stack):
    return stack.bridge.metric("uploads_total", result="stored")


def waiting(stack):
    return stack.bridge.metric("spool_messages")


def assert_all_is_well(stack, within):
    stack.bridge.wait_until_spool_is_empty(within)
    stack.assert_exactly_stored(within)


def test_live_pictures_are_stored_ahead_of_the_backlog(stack):
    long_backlog = 2 * BACKLOG  # for 20 s, so that a slow machine has time for three of them
    leave_backlog(stack, list(pictures(long_backlog, size=SIZE)))
    for number in range(3):
        live = picture(f"live/{number}", size=SIZE)
        stack.publisher.send(live)
        wait_until(lambda: live.expectation.key in stack.bucket.etags(), 10, f"live {number} seen")
        assert waiting(stack) > BACKLOG / 3, "the backlog is gone: this proves nothing"
    assert_all_is_well(stack, within=60)
    assert stack.bridge.metric("uploads_live_total") >= 3
    assert stack.bridge.metric("spool_account_messages", account="stored") == long_backlog + 3


def test_with_no_share_they_wait_for_their_turn(stack):
    stack.bridge.settings["UPLOAD_LIVE_SHARE"] = 0
    stack.bridge.stop()
    stack.bridge.start_subscribed()
    leave_backlog(stack, list(pictures(BACKLOG, size=SIZE)))
    live = picture("live", size=SIZE)
    stack.publisher.send(live)
    wait_until(lambda: live.expectation.key in stack.bucket.etags(), 60, "live is seen")
    assert waiting(stack) < BACKLOG / 3
    assert_all_is_well(stack, within=20)
    assert stack.bridge.metric("uploads_live_total") == 0


def test_the_later_of_a_key_stays_though_it_went_ahead(stack):
    keys = [f"same/{number}" for number in range(BACKLOG)]
    leave_backlog(stack, [picture(key, size=SIZE) for key in keys])
    stack.publisher.send(*[picture(key, size=SIZE) for key in keys[::-10]])
    assert_all_is_well(stack, within=60)
    assert stack.bridge.metric("uploads_live_total") > 0


def test_nothing_is_lost_when_the_daemon_is_killed_meanwhile(stack):
    leave_backlog(stack, list(pictures(BACKLOG, size=SIZE)))
    keys = [f"live/{number % 20}" for number in range(90)]
    stream = stack.stream([picture(key, size=SIZE // 2) for key in keys], per_second=15)
    stack.kill_bridge_while(stream, every=1.5)
    assert_all_is_well(stack, within=90)
