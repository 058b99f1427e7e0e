"""No signal ends the bridge without a word."""

import os
import signal

import pytest

from harness.messages import pictures
from harness.waiting import wait_until

# What ends a process by default, may come from outside and is no sign of a fault of ours.
WITHOUT_EFFECT = [
    signal.SIGUSR1, signal.SIGUSR2, signal.SIGALRM, signal.SIGVTALRM, signal.SIGPROF, signal.SIGIO,
    signal.SIGPWR, signal.SIGSTKFLT, signal.SIGXCPU, signal.SIGRTMIN, signal.SIGRTMAX,
]  # fmt: skip
IGNORED = [signal.SIGPIPE, signal.SIGXFSZ]


def lines_with(bridge, text):
    return [line for line in bridge.log_text().splitlines() if text in line]


def assert_flows(stack, count=10):
    stack.publisher.send(*pictures(count))
    stack.assert_exactly_stored()


def test_signals_without_a_meaning_are_logged_and_have_no_effect(new_stack):
    stack = new_stack().start()
    pid = stack.bridge.pid
    for number in [*WITHOUT_EFFECT, *IGNORED]:
        os.kill(pid, number)
    wait_until(
        lambda: len(lines_with(stack.bridge, "signal has no effect")) == len(WITHOUT_EFFECT),
        10, stack.bridge.tail,
    )  # fmt: skip
    for name in ("SIGUSR1", "SIGUSR2", "SIGALRM"):
        assert lines_with(stack.bridge, f"signal has no effect signal={name}"), stack.bridge.tail()
    assert_flows(stack)
    assert stack.bridge.pid == pid
    assert stack.bridge.stop() == 0


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGQUIT])
def test_signals_that_stop_it_are_named(new_stack, number):
    stack = new_stack().start()
    assert stack.bridge.stop(number) == 0
    assert lines_with(stack.bridge, f"main: stopping signal={number.name}"), stack.bridge.tail()


def test_sighup_has_files_read_again(new_stack, tmp_path):
    password, secret_key = tmp_path / "password", tmp_path / "secret-key"
    password.write_text("secret\n")
    stack = new_stack()
    secret_key.write_text(stack.store.secret_key)
    stack.bridge.settings |= {
        "MQTT_PASSWORD_FILE": password,
        "MINIO_SECRET_KEY": None,
        "MINIO_SECRET_KEY_FILE": secret_key,
    }
    stack.start()
    told = "were read again"

    def hang_up(times):
        os.kill(stack.bridge.pid, signal.SIGHUP)
        wait_until(lambda: len(lines_with(stack.bridge, told)) == times, 10, stack.bridge.tail)

    hang_up(1)
    assert not lines_with(stack.bridge, " WARNING "), stack.bridge.tail()
    # A file that cannot be used is told now, and not with the next connection. The old one serves.
    password.write_text("")
    secret_key.unlink()
    hang_up(2)
    assert any(
        "a secret cannot be read again" in line and "MQTT_PASSWORD" in line and str(password) in line
        for line in lines_with(stack.bridge, " WARNING ")
    ), stack.bridge.tail()
    assert any(
        "the store's credentials cannot be read again" in line and str(secret_key) in line
        for line in lines_with(stack.bridge, " WARNING ")
    ), stack.bridge.tail()
    assert_flows(stack)
    # The next key is used at once.
    secret_key.write_text("another-key")
    hang_up(3)
    assert lines_with(stack.bridge, "the store's credentials have changed"), stack.bridge.tail()


def test_sighup_before_a_stop_and_in_a_burst_loses_nothing(new_stack):
    stack = new_stack().start()
    stream = stack.stream(pictures(200), per_second=400)
    while stream.running:
        os.kill(stack.bridge.pid, signal.SIGHUP)
        os.kill(stack.bridge.pid, signal.SIGUSR1)
    stream.finish()
    stack.assert_exactly_stored()
    assert stack.bridge.stop() == 0


def test_a_file_that_may_not_grow_is_an_error_and_no_death(new_stack):
    """SIGXFSZ would end a process that writes beyond the limit of file sizes."""
    stack = new_stack(own_store=True).start()
    stack.store.stop()
    stack.bridge.stop()
    bridge = stack.new_bridge("limited", wrapper=["prlimit", "--fsize=1000000"])
    bridge.start_subscribed()
    for message in pictures(40, size=100_000):
        stack.publisher.publish(message)
    wait_until(lambda: bridge.metric("spool_intake_open") == 0, 20, bridge.tail)
    assert bridge.status_of("/livez") == 200
    bridge.stop()
