"""UPLOAD_BANDWIDTH_LIMIT: all uploads together, whatever their number and size."""

import hashlib
import random
import threading
import time

from harness.messages import Message, pictures
from harness.waiting import wait_until
from harness.wire import TO_SERVER, Wire

LIMIT = 500_000  # bytes a second
# 100 ms worth and one share; the rest is what this machine may take to wake somebody.
BURST = 60_000 + 40_000


class BodyMeter(Wire):
    """Notes when how many bytes of bodies pass towards the store, without their headers."""

    def __init__(self, server_port):
        self._lock = threading.Lock()
        self._requests = {}  # link -> (the head so far, what of the body is still to come)
        self.marks = []  # (when, bytes)
        super().__init__(server_port)

    @property
    def body_bytes(self):
        with self._lock:
            return sum(count for _, count in self.marks)

    def passing(self, link, direction, data):
        if direction == TO_SERVER:
            with self._lock:
                self.marks.append((time.monotonic(), self._body_bytes_of(link, data)))
        super().passing(link, direction, data)

    def _body_bytes_of(self, link, data):
        count = 0
        head, missing = self._requests.get(link, (b"", 0))
        while data:
            if missing:
                part = min(missing, len(data))
                count += part
                missing -= part
                data = data[part:]
                continue
            head, end, data = (head + data).partition(b"\r\n\r\n")
            if end:
                missing = self._length_of(head)
                head = b""
        self._requests[link] = (head, missing)
        return count

    @staticmethod
    def _length_of(head):
        for line in head.split(b"\r\n"):
            name, _, value = line.partition(b":")
            if name.lower() == b"content-length":
                return int(value)
        return 0


def most_above(marks, rate):
    """By how many bytes the worst stretch of time, of whatever length, exceeds its worth."""
    most = excess = 0.0
    before = marks[0][0]
    for when, count in marks:
        excess = max(0.0, excess - rate * (when - before)) + count
        most = max(most, excess)
        before = when
    return most


def test_a_backlog_takes_as_long_as_the_limit_says_and_no_second_has_more(new_stack, shared_store):
    dice = random.Random(5)
    sizes = [*dice.choices(range(500, 30_000), k=100), *[80_000] * 10, 700_000]
    dice.shuffle(sizes)
    letter = Message("ia/rawImage/a", b"not JSON" * 25_000, dead_letter="not_json")
    messages = [letter, *(pictures(1, size=size)[0] for size in sizes)]
    total = sum(sizes) + len(letter.payload)
    with BodyMeter(shared_store.port) as meter:
        stack = new_stack(
            MINIO_URL=f"127.0.0.1:{meter.port}",
            UPLOADER_THREADS=4,
            UPLOAD_BATCHES="False",  # an archive is longer than its pictures
            UPLOAD_BANDWIDTH_LIMIT="500kB",
            DEAD_LETTER_PREFIX="dead-letters/",
        ).start()
        stack.publisher.send(*messages)
        wait_until(lambda: meter.body_bytes >= total, 30, "all is sent")
        stack.judge.wait_until_all_stored(10)
        digest = hashlib.md5(letter.payload).hexdigest()
        wait_until(lambda: digest in stack.bucket.etags().values(), 10, "the letter is stored")

    assert meter.body_bytes == total
    bodies = [mark for mark in meter.marks if mark[1]]
    took = bodies[-1][0] - bodies[0][0]
    assert total / LIMIT * 0.98 <= took <= total / LIMIT * 1.02 + 0.2, (total, took)
    assert most_above(bodies, LIMIT) <= BURST


def test_many_uploaders_that_wait_for_their_turn_are_no_stall(new_stack):
    stack = new_stack(
        UPLOADER_THREADS=64, UPLOAD_BANDWIDTH_LIMIT="100kB", STORE_STALL_TIMEOUT="1s"
    ).start()
    stack.publisher.send(*pictures(64, size=4_000))
    stack.assert_exactly_stored(20)
    assert stack.bridge.total("upload_refusals_total") == 0
    assert stack.bridge.metric("uploads_total", result="stored") == 64


def test_who_waits_for_a_turn_stops_at_once_and_the_rest_is_sent_later(new_stack):
    stack = new_stack(UPLOAD_BANDWIDTH_LIMIT="1KiB", SHUTDOWN_TIMEOUT="0").start()
    stack.publisher.send(*pictures(8))
    stack.bridge.wait_until_acknowledged(8)
    begin = time.monotonic()
    assert stack.bridge.stop() == 0
    assert time.monotonic() - begin < 4
    stack.bridge.settings["UPLOAD_BANDWIDTH_LIMIT"] = "0"
    stack.bridge.start()
    stack.assert_exactly_stored()
