"""A full spool: the broker keeps the rest, and flow resumes by itself.

Faults of the disk itself are in the laboratory: test_disk.py.
"""

import os

import pytest

from harness import volumes
from harness.messages import Message, pictures
from harness.waiting import stays_true

MEBIBYTE = 1 << 20


def test_at_the_spools_limit_the_broker_keeps_the_rest(new_stack):
    stack = new_stack(own_store=True, SPOOL_MAX_BYTES="8MiB").start()
    stack.store.stop()
    messages = pictures(800, size=20_000)  # about 21 MB of JSON
    stack.publisher.send(*messages)
    acknowledged = stack.bridge.wait_until_it_takes_no_more(len(messages))
    assert acknowledged > 100, "the limit leaves room for more than that"
    stays_true(
        lambda: stack.bridge.metric("spool_bytes") <= 9 * MEBIBYTE
        and stack.bridge.total("messages_acknowledged_total") == acknowledged,
        3,
        lambda: f"below the limit: {stack.bridge.metric('spool_bytes')}",
    )
    assert stack.bridge.status_of("/livez") == 200
    stack.store.start()
    stack.assert_exactly_stored(within=30)
    assert stack.bridge.dead_letters() == {}


def test_a_full_spool_survives_a_crash(new_stack):
    stack = new_stack(own_store=True, SPOOL_MAX_BYTES="4MiB").start()
    stack.store.stop()
    messages = pictures(400, size=20_000)
    stack.publisher.send(*messages)
    stack.bridge.wait_until_it_takes_no_more(len(messages))
    for _ in range(3):
        stack.bridge.kill()
        stack.bridge.start()
    assert stack.bridge.metric("spool_bytes") <= 5 * MEBIBYTE
    stack.store.start()
    stack.assert_exactly_stored(within=30)


def test_a_full_spool_empties_while_the_broker_is_restarted(new_stack):
    stack = new_stack(own_store=True, SPOOL_MAX_BYTES="4MiB").start()
    stack.store.stop()
    messages = pictures(400, size=20_000)
    stack.publisher.send(*messages)
    stack.bridge.wait_until_it_takes_no_more(len(messages))
    stack.broker.stop()
    stack.store.start()
    stack.broker.start()
    stack.assert_exactly_stored(within=30)


def test_a_disk_that_is_full_at_the_first_start_is_a_clear_error(new_stack):
    """Not SIGBUS, which is what LMDB's map of its lock file gives there. Then it just works."""
    stack = new_stack()
    spool = stack.folder / "disk"
    # Its folders are there, so that it is the database that finds no block.
    fill = 'mkdir "$0/records" "$0/dead-letters"; cat /dev/zero >"$0/file" 2>/dev/null; exec "$@"'
    stack.bridge = stack.new_bridge(
        "bridge", [*volumes.on_tmpfs(spool, "1m"), "sh", "-c", fill, spool], SPOOL_DIR=spool
    )  # fmt: skip
    stack.bridge.launch()
    assert stack.bridge.wait_for_exit(10) == os.EX_IOERR, stack.bridge.tail()
    for fact in ("No space left on device", str(spool), "Make room"):
        assert fact in stack.bridge.log_text()

    stack.bridge = stack.new_bridge(
        "bridge-with-room", volumes.on_tmpfs(spool, "64m"), SPOOL_DIR=spool
    )
    stack.start()
    stack.publisher.send(*pictures(10))
    stack.assert_exactly_stored()


def test_dead_letters_that_cannot_be_written_hold_nobody_up(new_stack):
    """They wait in the spool, counted, and are written once there is room."""
    stack = new_stack()
    spool = stack.folder / "spool"
    letters = spool / "dead-letters"
    stack.bridge = stack.new_bridge("bridge", volumes.on_tmpfs(letters, "256k"), SPOOL_DIR=spool)
    stack.start()
    rubbish = [Message("ia/rawImage/a/b", bytes([i]) * 150_000) for i in range(4)]
    stack.publisher.send(*pictures(20), rubbish[0], *pictures(20), *rubbish[1:], *pictures(20))
    stack.assert_exactly_stored()
    waiting = len(rubbish) - sum(stack.bridge.dead_letters().values())
    assert waiting >= 3, "256 KiB hold one of them at most"
    stays_true(
        lambda: stack.bridge.metric("spool_messages") == waiting, 3, "the rest waits in the spool"
    )
    assert "dead letters cannot be written" in stack.bridge.log_text()
    assert stack.bridge.status_of("/livez") == 200

    volumes.grow_tmpfs(stack.bridge.pid, letters, "64m")
    stack.publisher.send(*pictures(20))
    stack.assert_exactly_stored()
    stack.bridge.wait_until_spool_is_empty(within=45)
    assert stack.bridge.dead_letters() == {"not_json": len(rubbish)}
    assert stack.bridge.metric("dead_letters") == len(rubbish)
