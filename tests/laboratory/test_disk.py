"""Disks that are full, broken, read-only or slow."""

import itertools
import os
import re
import signal
import subprocess

import pytest

from harness import volumes
from harness.fail_points import damage_a_meta_page
from harness.messages import mixed_messages, picture, pictures
from harness.ports import free_port
from harness.stack import TOPIC_FILTER
from harness.volumes import Injection, LoopDisk
from harness.waiting import stays_true, wait_until

MEBIBYTE = 1 << 20
RATE = 60  # messages a second
FLOOR = "SPOOL_MIN_FREE_BYTES reached"
TAKES_NO_MORE = re.compile(r'takes no more messages.* cause="?([^"\n]*?)"? waiting=')
TAKES_AGAIN = re.compile(r"takes messages again")


def wait_until_it_refuses(bridge, mark, *causes):
    said = bridge.wait_for_log(TAKES_NO_MORE, 20, mark).group(1)
    assert said in causes, said


def wait_until_nothing_moves(bridge):
    counts = []

    def is_still():
        counts.append(bridge.total("messages_acknowledged_total"))
        return len(counts) > 5 and len(set(counts[-5:])) == 1

    wait_until(is_still, 10, "no more acknowledgements", poll=0.1)


def assert_it_stays_alive(bridge, mark):
    """It takes nothing, and says no more than a few lines about it."""
    acknowledged = bridge.total("messages_acknowledged_total")
    stays_true(
        lambda: bridge.total("messages_acknowledged_total") == acknowledged
        and bridge.status_of("/livez") == 200,
        1,
        lambda: bridge.tail(),
    )
    assert len(bridge.said_since(mark).splitlines()) < 60, bridge.tail()


@pytest.mark.parametrize("end", ["the store comes back", "crash, then the store comes back"])
def test_a_disk_filled_by_somebody_else(lab, tmp_path, end):
    """Full while it grows, then while it deletes: no floor is set, and the last byte is taken."""
    rounds = lab.rounds(1, 15)
    with LoopDisk(tmp_path / "disk", tmp_path / "disk.img", 48 * MEBIBYTE) as disk:
        stack = lab.stack(own_store=True, SPOOL_DIR=disk.folder, SPOOL_MIN_FREE_BYTES="0")
        stack.bridge.wrapper = disk.wrapper
        stack.store.start()
        stack.bucket.keep_versions()
        stack.start()
        messages = mixed_messages(lab.dice)
        for _ in range(rounds):
            mark = stack.bridge.mark()
            stack.store.stop()
            before = stack.bridge.total("messages_acknowledged_total")
            stream = stack.stream((next(messages) for _ in range(300)), 5 * RATE)
            stack.bridge.wait_until_acknowledged(before + lab.dice.randint(1, 100))
            volumes.fill(disk.seen_from_here / "somebody-elses-file")
            wait_until_it_refuses(stack.bridge, mark, "no space left on the disk", FLOOR)
            # A message that just goes to the dead letters may still make room for another one.
            wait_until_nothing_moves(stack.bridge)
            assert_it_stays_alive(stack.bridge, mark)
            assert stack.bridge.total("messages_acknowledged_total") < before + 300
            if end.startswith("crash"):
                stack.bridge.kill()
                stack.bridge.start()
            stack.store.start()
            stored = len(stack.bucket.etags())
            # Deletions need some room of their own on a full disk; the other program gives it at
            # last.
            wait_until(lambda: len(stack.bucket.etags()) > stored, 20, "the store gets pictures")
            (disk.seen_from_here / "somebody-elses-file").unlink()
            stream.finish()
            stack.judge.wait_until_all_stored(45)
        lab.conclude(f"disk: full, then {end}", stack, rounds)


def test_the_floor_is_reached_and_left(lab):
    rounds = lab.rounds(2, 15)
    stack = lab.stack(own_store=True, SPOOL_MIN_FREE_BYTES="24MiB")
    spool = stack.folder / "small"
    stack.bridge.wrapper = volumes.on_tmpfs(spool, "32m")
    stack.bridge.settings["SPOOL_DIR"] = spool
    stack.store.start()
    stack.bucket.keep_versions()
    stack.start()
    seen = volumes.seen_by(stack.bridge.pid, spool)
    for _ in range(rounds):
        mark = stack.bridge.mark()
        stack.store.stop()
        stream = stack.stream(pictures(400, size=20_000))  # about 11 MB of JSON
        # Not by the log, which tells of a limit once in a while.
        wait_until(
            lambda: stack.bridge.metric("spool_intake_state", state="at_floor") == 1,
            20,
            stack.bridge.tail,
        )
        assert_it_stays_alive(stack.bridge, mark)
        assert volumes.free_bytes(seen) >= 22 * MEBIBYTE
        assert volumes.free_bytes(seen) <= 28 * MEBIBYTE, "the floor leaves room for more than that"
        stack.store.start()
        stream.finish()
        stack.judge.wait_until_all_stored(45)
        assert stack.bridge.total("spool_intake_open") == 1
        # What had room in freed pages did not make the file grow, though they could not be used at
        # once.
        assert volumes.free_bytes(seen) >= 22 * MEBIBYTE
        # Meanwhile each picture that left made room for the next.
        assert len(stack.bridge.said_since(mark).splitlines()) < 60, stack.bridge.tail()
    lab.conclude("disk: free space down to the floor", stack, rounds)


@pytest.mark.parametrize("syscall", ["fdatasync", "pwrite64"])
def test_the_disk_fails(lab, syscall):
    """What could not be written is not acknowledged, and the database is opened again."""
    stack = lab.stack().start()
    # No dead letters, whose database could meet the failed calls instead.
    stream = stack.stream((picture() for _ in itertools.count()), RATE)
    rounds = lab.rounds(2, 40)
    for _ in range(rounds):
        mark = stack.bridge.mark()
        first = lab.dice.randint(1, 40)
        fault = f"error=EIO:when={first}..{first + lab.dice.randint(0, 3)}"
        with Injection(stack.bridge.pid, {syscall: fault}):
            wait_until_it_refuses(stack.bridge, mark, "disk error")
            stack.bridge.wait_for_log(TAKES_AGAIN, 30, mark)
    stream.stop()
    lab.conclude(f"disk: EIO from {syscall}", stack, rounds)


def test_the_disk_fails_while_it_mends(lab):
    """A failed sync has the spool opened again, which finds damage, and mending it fails too."""
    stack = lab.stack().start()
    # No dead letters, whose database would meet the failed sync first.
    stream = stack.stream((picture() for _ in itertools.count()), RATE)
    rounds = lab.rounds(2, 20)
    for _ in range(rounds):
        mark = stack.bridge.mark()
        faults = {
            "fdatasync": "error=EIO:when=1",
            "fsync": f"error=EIO:when={lab.dice.randint(1, 3)}..4",
        }
        # Stopped, or a sync could fail before the damage is there.
        stack.bridge.send_signal(signal.SIGSTOP)
        with Injection(stack.bridge.pid, faults):
            damage_a_meta_page(stack.bridge.spool_dir / "records" / "data.mdb")
            stack.bridge.send_signal(signal.SIGCONT)
            stack.bridge.wait_for_log(re.compile("cannot be opened again"), 20, mark)
            stack.bridge.wait_for_log(re.compile("was damaged: what can be read"), 20, mark)
            stack.bridge.wait_for_log(TAKES_AGAIN, 20, mark)
    stream.stop()
    lab.conclude("disk: EIO from fsync while a damaged spool is mended", stack, rounds)


def test_the_disk_becomes_read_only_for_a_while(lab):
    stack = lab.stack().start()
    stream = stack.stream(mixed_messages(lab.dice), RATE)
    rounds = lab.rounds(2, 20)
    writing = ["pwrite64", "pwritev", "writev", "fdatasync", "fsync", "ftruncate", "fallocate"]
    for _ in range(rounds):
        mark = stack.bridge.mark()
        with Injection(stack.bridge.pid, dict.fromkeys(writing, "error=EROFS")):
            wait_until_it_refuses(stack.bridge, mark, "disk error")
            assert_it_stays_alive(stack.bridge, mark)
        stack.bridge.wait_for_log(TAKES_AGAIN, 20, mark)
    stream.stop()
    lab.conclude("disk: EROFS for a while", stack, rounds)


def test_the_file_system_breaks_down(lab, tmp_path):
    """ext4 goes read-only when it meets damage, and stays so until it is mounted anew."""
    with LoopDisk(tmp_path / "disk", tmp_path / "disk.img", 256 * MEBIBYTE) as disk:
        stack = lab.stack(SPOOL_DIR=disk.folder)
        stack.bridge.wrapper = disk.wrapper
        stack.start()
        stream = stack.stream(mixed_messages(lab.dice), RATE)
        rounds = lab.rounds(2, 20)
        for _ in range(rounds):
            mark = stack.bridge.mark()
            stack.bridge.wait_until_acknowledged(lab.dice.randint(1, 60))
            disk.break_down()
            wait_until_it_refuses(stack.bridge, mark, "disk error")
            assert_it_stays_alive(stack.bridge, mark)
            assert stack.bridge.stop() == os.EX_OK
            disk.mount_again()
            stack.bridge.start()
        stream.stop()
        lab.conclude("disk: ext4 breaks down and goes read-only", stack, rounds)


@pytest.mark.parametrize("how", ["removed", "moved away"])
def test_the_spool_is_taken_away_while_in_use(lab, how):
    """The store is away as well, so that all is in files that only the daemon still has open."""
    stack = lab.stack(MINIO_URL=f"127.0.0.1:{free_port()}")
    stack.broker.start()
    stack.bridge.start()
    stack.broker.wait_for_subscription(TOPIC_FILTER)
    stream = stack.stream(mixed_messages(lab.dice), RATE)
    spool = stack.bridge.spool_dir
    rounds = lab.rounds(2, 20)
    for number in range(rounds):
        mark = stack.bridge.mark()
        stack.bridge.wait_until_acknowledged(lab.dice.randint(1, 30))
        if how == "removed":
            # The daemon may write it again while rm is still at work.
            wait_until(lambda: subprocess.run(["rm", "-rf", spool]).returncode == 0, 10, "removed")
        else:
            spool.rename(stack.folder / f"moved-{number}")
        stack.bridge.wait_for_log(re.compile("removed or replaced while in use"), 10, mark)
        before = stack.bridge.total("messages_acknowledged_total")
        stack.bridge.wait_until_acknowledged(before + 10)
        stack.bridge.kill()
        stack.bridge.start()
    stream.stop()
    stack.bridge.kill()
    stack.bridge.settings["MINIO_URL"] = stack.store.address
    stack.bridge.start()
    lab.conclude(f"disk: SPOOL_DIR is {how} while in use", stack, rounds)


@pytest.mark.parametrize("milliseconds, count", [(10, 100), (100, 30), (500, 18)])
def test_the_disk_is_slow(lab, milliseconds, count):
    """Against the shortest keep-alive: the broker gives up after 7.5 s without a sign of us."""
    stack = lab.stack(MQTT_KEEPALIVE="5s", MQTT_CLIENT_ID="slow").start()
    stack.bridge.stop()
    # Under strace from its first call on; each commit takes so long, at least.
    stack.bridge.wrapper = volumes.with_slow_disk(milliseconds / 1000)
    stack.bridge.start(within=30)
    rounds = lab.rounds(1, 10)
    stream = stack.stream([next(mixed_messages(lab.dice)) for _ in range(rounds * count)], RATE)
    stream.finish(60 * rounds)
    lab.conclude(f"disk: {milliseconds} ms a sync", stack, rounds * count, within=90 * rounds)
    metrics = stack.bridge.metrics()
    seconds = metrics.value("mqtt_to_blob_spool_commit_seconds_sum")
    commits = metrics.value("mqtt_to_blob_spool_commit_seconds_count")
    assert seconds / commits >= milliseconds / 1000, "the disk was not slow"
    assert metrics.value("mqtt_to_blob_broker_connections_lost_total") == 0
    assert metrics.value("mqtt_to_blob_broker_connects_total") == 1
