"""Waits: always for a condition, never for time alone, and never without a deadline."""

import time


class TimedOut(AssertionError):
    """A condition did not come true before its deadline."""


def wait_until(condition, within, what, poll=0.05):
    """Polls until condition() is true, and returns its value."""
    deadline = time.monotonic() + within
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() >= deadline:
            raise TimedOut(f"not within {within} s: {what() if callable(what) else what}")
        time.sleep(poll)


def stays_true(condition, for_seconds, what, poll=0.1):
    """Fails as soon as condition() is false; the only way to see that nothing happens."""
    deadline = time.monotonic() + for_seconds
    while time.monotonic() < deadline:
        assert condition(), f"no longer true: {what() if callable(what) else what}"
        time.sleep(poll)


class Clockwork:
    """Ticks at fixed distances, for tests that do something every second."""

    def __init__(self, period):
        self._period = period
        self._next = time.monotonic() + period

    def wait_for_tick(self):
        time.sleep(max(0.0, self._next - time.monotonic()))
        self._next = time.monotonic() + self._period
