"""A full spool: the broker keeps the rest, and flow resumes by itself."""

import os

import pytest

from harness import volumes
from harness.messages import Message, pictures
from harness.waiting import stays_true, wait_until

MEBIBYTE = 1 << 20


def wait_until_blocked(bridge, sent):
    """The count of acknowledged messages stops below what was sent; returns it."""
    state = {"last": -1, "same": 0}

    def stopped():
        count = bridge.total("messages_acknowledged_total")
        state["same"] = state["same"] + 1 if count == state["last"] and count else 0
        state["last"] = count
        return state["same"] >= 10

    wait_until(stopped, 20, "the bridge stops acknowledging", poll=0.1)
    assert state["last"] < sent, "all of it was acknowledged: the spool did not fill"
    return state["last"]


def test_at_the_spools_limit_the_broker_keeps_the_rest(new_stack):
    stack = new_stack(own_store=True, SPOOL_MAX_BYTES="8MiB").start()
    stack.store.stop()
    messages = pictures(800, size=20_000)  # about 21 MB of JSON
    stack.publisher.send(*messages)
    acknowledged = wait_until_blocked(stack.bridge, len(messages))
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
    wait_until_blocked(stack.bridge, len(messages))
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
    wait_until_blocked(stack.bridge, len(messages))
    stack.broker.stop()
    stack.store.start()
    stack.broker.start()
    stack.assert_exactly_stored(within=30)


def test_free_space_is_left_on_the_file_system(new_stack):
    stack = new_stack(own_store=True)
    spool = stack.folder / "small"
    stack.bridge = stack.new_bridge(
        "bridge", volumes.on_tmpfs(spool, "48m"), SPOOL_DIR=spool, SPOOL_MIN_FREE_BYTES="32MiB"
    )  # fmt: skip
    stack.start()
    stack.store.stop()
    messages = pictures(1000, size=20_000)  # about 27 MB of JSON
    stack.publisher.send(*messages)
    wait_until_blocked(stack.bridge, len(messages))
    seen = volumes.seen_by(stack.bridge.pid, spool)
    assert volumes.free_bytes(seen) >= 30 * MEBIBYTE
    assert volumes.free_bytes(seen) <= 40 * MEBIBYTE, "the floor leaves room for more than that"
    stack.store.start()
    stack.assert_exactly_stored(within=30)
    assert stack.bridge.dead_letters() == {}


@pytest.mark.parametrize("end", ["the store comes back", "crash, then the store comes back"])
def test_a_disk_filled_by_somebody_else_loses_nothing(new_stack, end):
    """No floor is set, and another program takes the last byte."""
    stack = new_stack(own_store=True)
    spool = stack.folder / "disk"
    stack.bridge = stack.new_bridge(
        "bridge", volumes.on_ext4(spool, stack.folder / "disk.img", 48 * MEBIBYTE),
        SPOOL_DIR=spool, SPOOL_MIN_FREE_BYTES="0",
    )  # fmt: skip
    stack.start()
    stack.store.stop()
    stack.publisher.send(*pictures(100, size=20_000))
    stack.bridge.wait_until_acknowledged(100)
    volumes.fill(volumes.seen_by(stack.bridge.pid, spool) / "somebody-elses-file")
    messages = pictures(500, size=20_000)
    stack.publisher.send(*messages)
    wait_until_blocked(stack.bridge, 100 + len(messages))
    assert stack.bridge.status_of("/livez") == 200
    if end.startswith("crash"):
        stack.bridge.kill()
        stack.bridge.start()
    stack.store.start()
    # Deletions need some room of their own on a full disk; the other program gives it at last.
    wait_until(lambda: stack.bucket.etags(), 20, "the store gets pictures")
    (volumes.seen_by(stack.bridge.pid, spool) / "somebody-elses-file").unlink()
    stack.assert_exactly_stored(within=45)
    assert stack.bridge.dead_letters() == {}


@pytest.mark.parametrize("syscall", ["fdatasync", "pwrite64"])
def test_errors_of_the_disk_are_survived(new_stack, syscall):
    """What could not be written is not acknowledged, and the database is opened again."""
    stack = new_stack()
    stack.bridge = stack.new_bridge("bridge", volumes.with_failing_disk(syscall, 40, 60))
    stack.start()
    stack.publisher.send(*pictures(200, size=20_000))
    stack.assert_exactly_stored(within=60)
    assert "commit failed" in stack.bridge.log_text()
    assert stack.bridge.dead_letters() == {}
    stack.bridge.wait_until_spool_is_empty()


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
