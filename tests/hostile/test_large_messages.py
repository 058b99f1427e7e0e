"""Messages of MQTT's maximum, through the container of the README: nobody is killed for memory, and
what comes behind them arrives."""

import base64
import hashlib
import json
import subprocess

import pytest

from harness.memory_limit import MemoryLimit, peak_bytes_of
from harness.messages import fields_of, picture_bytes, pictures
from harness.waiting import wait_until

CONTAINER = 640 << 20  # docker run --memory of the README
MOST = 560 << 20
TOPIC = "ia/rawImage/large"
# MQTT's remaining length, less topic, packet id and (MQTT 5) the length of the properties.
PAYLOAD = 268_435_455 - 2 - len(TOPIC) - 2 - 1
BEHIND = 20


@pytest.fixture
def container():
    with MemoryLimit(CONTAINER) as limit:
        yield limit


def publish_file(stack, path, topic=TOPIC):
    """By another program, which holds no picture in the memory of the test."""
    subprocess.run(
        ["mosquitto_pub", "-h", "127.0.0.1", "-p", str(stack.broker.port), "-t", topic, "-q", "1",
         "-f", path],
        check=True, timeout=60,
    )  # fmt: skip


def start(new_stack, container, **settings):
    stack = new_stack(**settings)
    stack.bridge.wrapper = container.wrapper
    stack.start()
    return stack


def assert_within_the_container(stack):
    assert stack.bridge.running, stack.bridge.tail()
    peak = peak_bytes_of(stack.bridge.pid)
    print(f"peak: {peak >> 20} MiB")
    assert peak < MOST, f"{peak >> 20} MiB"


@pytest.mark.parametrize("count, group_commit", [(1, "True"), (3, "True"), (1, "False")])
def test_messages_of_the_maximum_become_dead_letters_and_pictures_pass(
    new_stack, container, tmp_path, count, group_commit
):
    stack = start(new_stack, container, MQTT_GROUP_COMMIT=group_commit)
    hostile = tmp_path / "hostile"
    with open(hostile, "wb") as file:
        for _ in range(PAYLOAD >> 20):
            file.write(b"x" * (1 << 20))
        file.write(b"x" * (PAYLOAD % (1 << 20)))
    for _ in range(count):
        publish_file(stack, hostile)
    stack.publisher.send(*pictures(BEHIND))
    stack.judge.wait_until_all_stored(60)
    wait_until(
        lambda: stack.bridge.dead_letters() == {"too_large": count}, 60,
        lambda: f"{count} dead letters: {stack.bridge.dead_letters()}",
    )  # fmt: skip
    stack.bridge.wait_until_spool_is_empty()
    assert_within_the_container(stack)
    assert stack.bridge.stop() == 0


def write_large_picture(path, payload_bytes):
    """A picture whose message has so many bytes, and its size and MD5. Written in blocks."""
    head, tail = json.dumps(fields_of("large", b"")).encode().split(b'"image_bytes": "')
    head += b'"image_bytes": "'
    characters = (payload_bytes - len(head) - len(tail)) // 4 * 4
    block = base64.b64encode(picture_bytes(3 << 18, seed=1))  # 1 MiB
    md5 = hashlib.md5()
    with open(path, "wb") as file:
        file.write(head)
        for left in range(characters, 0, -len(block)):
            text = block[:left]
            file.write(text)
            md5.update(base64.b64decode(text))
        file.write(tail)
    return characters // 4 * 3, md5.hexdigest()


def test_a_message_of_the_maximum_becomes_an_object_while_another_one_comes(
    new_stack, container, tmp_path
):
    stack = start(new_stack, container, MAX_MESSAGE_BYTES=268_435_455)
    size, md5 = write_large_picture(tmp_path / "picture", PAYLOAD)
    publish_file(stack, tmp_path / "picture")
    publish_file(stack, tmp_path / "picture")
    stack.publisher.send(*pictures(BEHIND))
    stack.judge.wait_until_all_stored(60)
    wait_until(lambda: stack.bucket.etags().get("large.jpg") == md5, 60, "the large picture is stored")
    stack.bridge.wait_until_spool_is_empty(60)
    assert stack.bridge.dead_letters() == {}
    assert_within_the_container(stack)
    assert stack.bridge.stop() == 0


def test_a_large_dead_letter_is_sent_to_the_bucket_and_read_by_the_tools(
    new_stack, container, tmp_path
):
    stack = start(new_stack, container)
    (tmp_path / "hostile").write_bytes(b"y" * (PAYLOAD >> 20 << 20))
    publish_file(stack, tmp_path / "hostile")
    wait_until(lambda: stack.bridge.dead_letters() == {"too_large": 1}, 60, "a dead letter")
    stack.bridge.wait_until_spool_is_empty()
    shown = stack.bridge.run("dead-letter", "show", "1")
    assert shown.returncode == 0, shown
    exported = stack.bridge.run("dead-letter", "export", tmp_path / "out", "1", within=60)
    assert exported.returncode == 0, exported
    assert_within_the_container(stack)
    stack.bridge.stop()
    stack.bridge.settings["DEAD_LETTER_PREFIX"] = "dead-letters/"
    stack.bridge.start_subscribed()
    wait_until(lambda: stack.bridge.metric("dead_letters") == 0, 60, "it has left")
    assert_within_the_container(stack)
