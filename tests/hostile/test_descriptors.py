"""Closed standard descriptors: without care the first files that are opened become descriptors 0, 1
and 2, and the log goes into them. In the spool's file that destroys acknowledged messages."""

import os

import pytest

from harness.messages import pictures, undecodable

CLOSED = ["<&- >&- 2>&-", ">&-", "2>&-", "<&- 2>&-"]


def closing(descriptors):
    """A command that runs its arguments with these descriptors closed."""
    return ["/bin/sh", "-c", f'exec "$0" "$@" {descriptors}']


@pytest.mark.parametrize("closed", CLOSED)
def test_a_bridge_with_closed_standard_descriptors_keeps_every_record(new_stack, closed):
    stack = new_stack(own_store=True, LOGGING_LEVEL="DEBUG")
    stack.bridge.wrapper = closing(closed)
    stack.start()
    stack.publisher.send(*pictures(20))
    stack.assert_exactly_stored()
    # What waits, and what is a dead letter, is read again from the files after a crash.
    stack.store.stop()
    stack.publisher.send(*pictures(200), undecodable(), undecodable())
    stack.bridge.wait_until_acknowledged(222)
    stack.bridge.kill()
    verified = stack.bridge.run("spool", "verify", within=60)
    assert verified.returncode == 0, verified
    stack.store.start()
    stack.bridge.start_subscribed()
    stack.assert_exactly_stored(within=60)
    for descriptor in range(3):
        target = os.readlink(f"/proc/{stack.bridge.pid}/fd/{descriptor}")
        assert not target.startswith(str(stack.folder / "bridge" / "spool")), (descriptor, target)


def test_a_tool_with_closed_standard_descriptors_writes_into_no_file_of_the_spool(new_stack):
    stack = new_stack(own_store=True)
    stack.start()
    stack.store.stop()
    stack.publisher.send(*pictures(20), undecodable())
    stack.bridge.wait_until_acknowledged(21)
    stack.bridge.kill()
    before = stack.bridge.run("spool", "verify", "--json").stdout
    stack.bridge.arguments = ["spool", "ls"]
    for arguments in (["spool", "ls"], ["spool", "verify"], ["spool", "repair"], ["dead-letter", "drop"]):
        stack.bridge.wrapper = closing("<&- >&- 2>&-")
        stack.bridge.arguments = arguments
        stack.bridge.launch()
        assert stack.bridge.wait_for_exit(60) != 0 or arguments == ["spool", "repair"], arguments
    stack.bridge.wrapper = []
    assert stack.bridge.run("spool", "verify", "--json").stdout == before
    stack.bridge.arguments = []
    stack.store.start()
    stack.bridge.start_subscribed()
    stack.assert_exactly_stored(within=60)
