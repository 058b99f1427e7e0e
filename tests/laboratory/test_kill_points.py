"""SIGKILL at chosen moments: each point of fail_point.hpp, and inside of a commit by strace."""

import base64
import os
import signal
import subprocess

import pytest

from harness import volumes
from harness.bridge import bridge_binary, laboratory_binary
from harness.fail_points import (
    arm,
    damage_a_meta_page,
    die_at,
    points_in_the_header,
    wait_for_death,
)
from harness.messages import Message, mixed_messages, picture, pictures
from harness.ports import free_port
from harness.stack import TOPIC_FILTER
from harness.waiting import wait_until

KEY = base64.b64encode(bytes(range(32))).decode()
PLACE = "ia/rawImage/large"
RATE = 200  # messages a second

# name: (where that is, at which passage at most)
WHILE_RUNNING = {
    "mqtt.arrived": ("in Paho's callback", 60),
    "mqtt.before_ack": ("on disk, before PUBACK", 60),
    "append.before_commit": ("before a commit of messages", 60),
    "append.after_commit": ("after a commit of messages", 60),
    "removal.before_commit": ("before a commit of removals", 20),
    "removal.after_commit": ("after a commit of removals", 20),
    "letter.before_commit": ("before a commit of dead letters", 8),
    "letter.after_commit": ("dead letter on disk, before its removal", 8),
    "pipeline.read": ("record read", 60),
    "pipeline.decoded": ("record decoded", 60),
    "upload.before_put": ("before a PUT", 60),
    "upload.after_put": ("after a PUT, before its removal", 60),
}
WHILE_LARGE_MESSAGES_FLOW = {
    "append.before_part": ("within a large message, before a commit of its parts", 3),
    "append.after_part": ("within a large message, after a commit of its parts", 3),
    "letter.before_part": ("within a large dead letter, before a commit of its parts", 3),
    "letter.after_part": ("within a large dead letter, after a commit of its parts", 3),
}
WHILE_STARTING = {
    "start.locked": ("start: spool locked", 1),
    "start.records_opened": ("start: records opened", 1),
    "start.dead_letters_opened": ("start: dead letters opened", 1),
    "mqtt.before_connect": ("start: before CONNECT", 1),
    "mqtt.before_subscribe": ("start: before SUBSCRIBE", 1),
}
AT_THE_FIRST_START = {
    "start.before_made": ("first start: environment not marked yet", 2),
    "start.before_client_id": ("first start: before the note of the client id", 1),
    "start.after_client_id": ("first start: after the note of the client id", 1),
}
WHILE_MENDING = {
    "mending.before_fill": ("mending: fresh file is empty", 1),
    "mending.filled": ("mending: fresh file is filled", 1),
    "mending.marked": ("mending: fresh file is marked", 1),
    "mending.set_aside": ("mending: damaged file set aside, nothing in its place", 1),
    "mending.renamed": ("mending: fresh file in its place", 1),
}
WHILE_LETTERS_MOVE = {
    "letters.before_note": ("dead letters on their way back, not noted", 3),
    "letters.noted": ("dead letters on their way back, noted", 3),
}
WHILE_STOPPING = {
    "stop.receiver": ("stop: after the receiver", 1),
    "stop.pipeline": ("stop: after the pipeline", 1),
    "stop.spool": ("stop: after the spool", 1),
}


def cases(points):
    return pytest.mark.parametrize(
        "point, place, most", [pytest.param(p, *rest, id=p) for p, rest in points.items()]
    )


def laboratory_stack(lab, **settings):
    return lab.stack(binary=laboratory_binary(), **settings)


def test_each_point_has_a_case():
    chosen = (WHILE_RUNNING, WHILE_LARGE_MESSAGES_FLOW, WHILE_STARTING, AT_THE_FIRST_START,
              WHILE_MENDING, WHILE_LETTERS_MOVE, WHILE_STOPPING)  # fmt: skip
    names = points_in_the_header()
    assert len(names) > 20
    assert sorted(names) == sorted(name for points in chosen for name in points)


@pytest.mark.parametrize(
    "variable, text",
    [
        ("M2B_FAIL_POINT", "mqtt.arived:1"),
        ("M2B_FAIL_POINT", "mqtt.arrived"),
        ("M2B_FAIL_POINT", "mqtt.arrived:0"),
        ("M2B_SABOTAGE", "no_sink"),
    ],
)
def test_a_slip_in_the_variables_does_not_pass_silently(variable, text):
    ended = subprocess.run(
        [laboratory_binary(), "--version"], env={variable: text}, capture_output=True, text=True
    )
    assert ended.returncode == os.EX_USAGE
    assert f"{variable}={text}" in ended.stderr


def test_nothing_of_it_is_in_the_build_that_is_shipped():
    names = [*points_in_the_header(), "M2B_FAIL_POINT", "M2B_SABOTAGE"]

    def found_in(binary):
        content = binary.read_bytes()
        return [name for name in names if name.encode() in content]

    assert found_in(laboratory_binary()) == names, "the search does not find what is there"
    assert found_in(bridge_binary()) == []


@cases(WHILE_RUNNING | WHILE_STARTING)
def test_killed_while_messages_flow(lab, point, place, most):
    stack = laboratory_stack(lab).start()
    stream = stack.stream(mixed_messages(lab.dice), RATE)
    rounds = lab.rounds(2, 20)
    for _ in range(rounds):
        stack.bridge.kill()
        die_at(stack.bridge, point, lab.dice.randint(1, most))
        stack.bridge.start()
    stream.stop()
    lab.conclude(f"kill: {place}", stack, rounds)


@cases(WHILE_LARGE_MESSAGES_FLOW)
def test_killed_while_large_messages_flow(lab, point, place, most):
    """Each is written in several transactions: a picture, and one that is longer than allowed."""
    stack = laboratory_stack(lab, MAX_MESSAGE_BYTES="24MiB").start()
    rounds = lab.rounds(2, 20)
    for _ in range(rounds):
        too_large = Message(PLACE, lab.dice.randbytes(26 << 20), dead_letter="too_large")
        kill_amid(stack, point, lab.dice.randint(1, most), picture(size=15 << 20), too_large)
    stack.publisher.send(*pictures(20))
    lab.conclude(f"kill: {place}", stack, rounds)


@pytest.mark.parametrize("point", ["append.before_part", "append.after_part"])
def test_killed_while_large_messages_are_encrypted(lab, point):
    """Pictures alone, since nobody but the bridge can read encrypted dead letters."""
    stack = laboratory_stack(lab, MAX_MESSAGE_BYTES="24MiB", SPOOL_KEY=KEY).start()
    rounds = lab.rounds(2, 20)
    for _ in range(rounds):
        kill_amid(stack, point, lab.dice.randint(1, 3), *pictures(2, size=15 << 20))
    place, _ = WHILE_LARGE_MESSAGES_FLOW[point]
    lab.conclude(f"kill: {place}, encrypted", stack, rounds)


def kill_amid(stack, point, passage, *messages):
    stack.bridge.kill()
    arm(stack.bridge, point, passage)
    stack.bridge.start()
    stack.publisher.send(*messages, *messages)
    wait_for_death(stack.bridge)
    stack.bridge.start()


@cases(WHILE_STOPPING)
def test_killed_while_it_stops(lab, point, place, most):
    stack = laboratory_stack(lab).start()
    stream = stack.stream(mixed_messages(lab.dice), RATE)
    rounds = lab.rounds(2, 20)
    for _ in range(rounds):
        stack.bridge.kill()
        arm(stack.bridge, point, most)
        stack.bridge.start()
        stack.bridge.wait_until_acknowledged(lab.dice.randint(1, 60))
        stack.bridge.send_signal(signal.SIGTERM)
        wait_for_death(stack.bridge)
        stack.bridge.start()
    stream.stop()
    lab.conclude(f"kill: {place}", stack, rounds)


@cases(AT_THE_FIRST_START)
def test_killed_at_its_first_start(lab, point, place, most):
    """What comes before the first subscription is nobody's, so each round publishes after it."""
    stack = laboratory_stack(lab)
    stack.broker.start()
    rounds = lab.rounds(2, 20)
    for number in range(rounds):
        if number > 0:
            stack.judge.wait_until_all_stored(30)
            stack.bridge.wait_until_spool_is_empty()
            assert stack.bridge.stop() == 0
        stack.bridge.settings["SPOOL_DIR"] = stack.folder / f"spool-{number}"
        die_at(stack.bridge, point, lab.dice.randint(1, most))
        mark = stack.broker.mark()
        stack.bridge.start_subscribed()
        assert len({client for client, _, _ in stack.broker.subscriptions(mark)}) == 1
        stack.bridge.kill()
        stack.publisher.send(*pictures(40))
        stack.bridge.start_subscribed()
        clients = {client for client, _, _ in stack.broker.subscriptions(mark)}
        assert len(clients) == 1, f"it came back as somebody else: {clients}"
    lab.conclude(f"kill: {place}", stack, rounds)


@cases(WHILE_MENDING)
def test_killed_while_it_mends(lab, point, place, most):
    """The store is away, so that the damaged spool is the only place where the messages are."""
    stack = start_without_a_store(lab)
    stream = stack.stream(mixed_messages(lab.dice), RATE)
    rounds = lab.rounds(2, 20)
    for _ in range(rounds):
        stack.bridge.wait_until_acknowledged(lab.dice.randint(1, 60))
        stack.bridge.kill()
        damage_a_meta_page(stack.bridge.spool_dir / "records" / "data.mdb")
        die_at(stack.bridge, point, most)
        stack.bridge.start()
    stream.stop()
    restart_with_the_store(stack)
    lab.conclude(f"kill: {place}", stack, rounds)


@cases(WHILE_LETTERS_MOVE)
def test_killed_while_dead_letters_are_replayed(lab, point, place, most):
    """Those that are no pictures become dead letters again, under other numbers."""
    stack = laboratory_stack(lab).start()
    stream = stack.stream(mixed_messages(lab.dice), RATE)
    rounds = lab.rounds(2, 20)
    for _ in range(rounds):
        wait_until(lambda: stack.bridge.metric("dead_letters") > 0, 20, "there are dead letters")
        stack.bridge.kill()
        arm(stack.bridge, point, lab.dice.randint(1, most))
        stack.bridge.start()
        while stack.bridge.running:
            stack.bridge.run("dead-letter", "replay", "--all")
        wait_for_death(stack.bridge)
        stack.bridge.start()
    stream.stop()
    lab.conclude(f"kill: {place}", stack, rounds)


def start_without_a_store(lab):
    stack = laboratory_stack(lab, MINIO_URL=f"127.0.0.1:{free_port()}")
    stack.broker.start()
    stack.bridge.start()
    stack.broker.wait_for_subscription(TOPIC_FILTER)
    return stack


def restart_with_the_store(stack):
    stack.bridge.kill()
    stack.bridge.settings["MINIO_URL"] = stack.store.address
    stack.bridge.start()


@pytest.mark.parametrize(
    "syscall, place, most",
    [
        ("pwrite64", "in a write of a commit, the file growing", 60),
        ("pwritev,writev", "in a long write of a commit, the file growing", 20),
        ("fdatasync", "in a sync of a commit, the file growing", 30),
    ],
)
def test_killed_inside_of_a_commit(lab, syscall, place, most):
    """Without a store nothing is removed, so that each commit takes new pages."""
    stack = start_without_a_store(lab)
    stream = stack.stream(mixed_messages(lab.dice), RATE)
    file = stack.bridge.spool_dir / "records" / "data.mdb"
    size = file.stat().st_size
    rounds = lab.rounds(2, 20)
    for _ in range(rounds):
        stack.bridge.kill()
        stack.bridge.wrapper = volumes.killed_at(syscall, lab.dice.randint(1, most))
        stack.bridge.launch()
        wait_for_death(stack.bridge)
        stack.bridge.wrapper = []
        stack.bridge.start()
    wait_until(lambda: file.stat().st_size > size, 20, "the file grows")
    stream.stop()
    restart_with_the_store(stack)
    lab.conclude(f"kill: {place}", stack, rounds)
