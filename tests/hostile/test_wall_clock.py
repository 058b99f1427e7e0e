"""A wall clock that jumps, as that of a machine without a battery does when NTP sets it, or when
somebody else sets it. No jump deletes anything, and what is really old still goes."""

import glob

from harness.messages import undecodable
from harness.waiting import wait_until

PAST = "1970-01-01 00:01:00"
PRESENT = "2026-11-30 12:00:00"
FUTURE = "2099-12-31 23:00:00"


class FakeClock:
    """The wall clock of a bridge, which can be set while it runs; its steady clock is the real one."""

    def __init__(self, path, moment):
        libraries = glob.glob("/usr/lib/*/faketime/libfaketimeMT.so.1")
        assert libraries, "libfaketime is missing: scripts/install-deps test"
        self._path = path
        self.settings = {
            "LD_PRELOAD": libraries[0],
            "FAKETIME_TIMESTAMP_FILE": str(path),
            "FAKETIME_NO_CACHE": "1",
            "DONT_FAKE_MONOTONIC": "1",
        }
        self.set(moment)

    def set(self, moment):
        self._path.write_text(f"@{moment}\n")


def kept_and_dropped(bridge):
    accounts = bridge.stat()["accounts"]
    return accounts["dead_lettered"], accounts["dropped"]


def test_no_jump_of_the_clock_drops_a_dead_letter(new_stack, tmp_path):
    clock = FakeClock(tmp_path / "clock", PAST)
    stack = new_stack(DEAD_LETTER_MAX_AGE="30d", **clock.settings)
    stack.start()
    sent = 0
    # Each burial makes the bridge look at its limits, and so does each start.
    for moment in (PAST, PRESENT, FUTURE, PRESENT, PAST, FUTURE):
        clock.set(moment)
        for _ in range(2):
            stack.publisher.send(undecodable())
            sent += 1
            wait_until(
                lambda: sum(kept_and_dropped(stack.bridge)) == sent, 60, "the letter is written"
            )
            assert kept_and_dropped(stack.bridge) == (sent, 0), moment
        stack.bridge.stop()
        stack.bridge.start_subscribed()
        assert kept_and_dropped(stack.bridge) == (sent, 0), moment


def test_a_dead_letter_goes_when_the_bridge_has_run_for_its_time(new_stack, tmp_path):
    clock = FakeClock(tmp_path / "clock", PAST)  # which stands still all the time
    stack = new_stack(DEAD_LETTER_MAX_AGE="4s", **clock.settings)
    stack.start()
    stack.publisher.send(undecodable())
    wait_until(lambda: sum(kept_and_dropped(stack.bridge)) == 1, 60, "the letter is written")
    starts = 0
    while kept_and_dropped(stack.bridge) == (1, 0):
        assert starts < 30, stack.bridge.tail()
        stack.bridge.stop()
        stack.bridge.start_subscribed()
        starts += 1
    assert kept_and_dropped(stack.bridge) == (0, 1)
    assert starts > 1, "the first starts came before its time"
