"""Messages by somebody who means harm: each ends as its own object or as a dead letter, and there
is nothing else in the bucket, on the terminal or in the log."""

import hashlib
import json

import pytest

from harness.messages import Message, expectation_of, fields_of, picture_bytes, pictures
from harness.waiting import wait_until

PREFIX = "dead-letters/"
BIDI = "\u202e"

# Each is a name like any other in an object store, and stays exactly that.
HARMLESS_IDS = [
    "..%2f..%2fescape", "%2e%2e/x", "a\\..b\\c", "a/...", "..x/y", "dead-letters/00000000000000000001-0",
    "dead-letters/x.json", ".minio.sys/config", "?versionId=null", "x?uploads", "#fragment", "a&b=c;d",
    "x%0d%0ax-amz-acl:public-read", "${jndi:ldap:x}", "$(reboot)", "`reboot`", "'; DROP TABLE x; --",
    "<script>alert(1)</script>", "{{7*7}}", "%s%n%x", "mtime=1", "12 path=escape", "a\u2028b",
    f"photo{BIDI}gpj.exe", "\u009b31mred", "\u0085", "\ufeffx", "nul", "CON", "x" * 240,
    "a:b|c", "*", "~root", "-rf", "--delete", "..", "a/..",
]  # fmt: skip

# No object can have such a key (docs/messages.md).
IMPOSSIBLE_IDS = [
    "../escape", "a/../../escape", "/etc/passwd", "./x", "a//b", "a\r\nX-Amz-Acl: public-read",
    "${jndi:ldap://x/y}", "a\nb", "\0", "a\0b", "\x1b[2J", "\x7f", "x__XLDIR__/y", "x" * 300, "y/" * 600 + "z",
]  # fmt: skip

# MinIO takes a backslash for a slash here, and refuses this one alone.
REFUSED_BY_THE_STORE = "..\\..\\windows"

TOPICS = [
    "ia/../../x", "ia/%0d%0aX-Amz-Acl: public-read", f"ia/{BIDI}cod.exe", "ia/\"=,;", "ia/" + "t" * 60_000,
    "ia/\u2028\ufeff", "ia/${x}", "ia//", "ia/'`$(x)",
]  # fmt: skip


def hostile_messages():
    """(those that become objects, those that cannot)"""
    good, bad = [], []
    for number, image_id in enumerate(HARMLESS_IDS + IMPOSSIBLE_IDS):
        topic = TOPICS[number % len(TOPICS)]
        body = picture_bytes(300, seed=number)
        payload = json.dumps(fields_of(image_id, body)).encode()
        if image_id in IMPOSSIBLE_IDS:
            bad.append(Message(topic, payload))
        else:
            good.append(Message(topic, payload, expectation_of(topic, image_id, body)))
    hostile_types = json.dumps({"timestamp_ms": "1\r\nX: y", "image": {BIDI: 1}}).encode()
    bad.append(Message("ia/x", hostile_types))
    bad.append(Message("ia/x", b"\x1b]0;title\x07" + b"{" * 1000))
    return good, bad


def is_printed_safely(text):
    return all(line.isprintable() for line in text.split("\n"))


@pytest.mark.parametrize("way", ["one by one", "in batches"])
def test_hostile_messages_become_their_own_object_or_a_dead_letter_and_nothing_else(new_stack, way):
    stack = new_stack(
        own_store=True, TOPIC="ia/#", DEAD_LETTER_PREFIX=PREFIX, UPLOAD_BATCHES=way == "in batches",
        LOGGING_LEVEL="DEBUG",
    )  # fmt: skip
    good, bad = hostile_messages()
    bad.append(Message("ia/x", json.dumps(fields_of(REFUSED_BY_THE_STORE, b"picture")).encode()))
    stack.start()
    stack.publisher.send(*pictures(1))
    stack.assert_exactly_stored()
    # What waits while the store is away is put into archives when it comes back. It is known to be
    # away before: an archive that fails, for whatever reason, is followed by a minute without any.
    stack.store.stop()
    ordinary = pictures(100, size=400)
    stack.publisher.send(ordinary[0])
    wait_until(lambda: stack.bridge.metric("store_reachable") == 0, 10, "the store is away")
    stack.publisher.send(*ordinary[1:50], *good, *bad, *ordinary[50:])
    stack.bridge.wait_until_acknowledged(1 + len(ordinary) + len(good) + len(bad))
    stack.store.start()

    def letters():
        return {key for key in stack.bucket.etags() if key.startswith(PREFIX) and key.endswith(".json")}

    stack.judge.wait_until_all_stored(30)
    wait_until(lambda: len(letters()) == len(bad), 20, lambda: f"{len(bad)} letters: {letters()}")
    assert (stack.bridge.metric("uploads_in_batches_total") > 0) == (way == "in batches")

    verdict = stack.judge.verdict()
    long_topics = {m.expectation.key for m in good if len(m.topic) > 1000}
    assert set(verdict.wrong_metadata) <= long_topics, verdict
    for key in long_topics:
        assert stack.bucket.read(key).metadata["mqtt_topic_bytes"] == "60003"
    assert not verdict.missing and not verdict.differing and not verdict.wrong_content_type, verdict
    assert set(verdict.unexpected) == letters()

    payloads, reasons = set(), []
    for key in letters():
        letter = stack.bucket.read(key)
        payloads.add(letter.sha256)
        reasons.append(letter.metadata["reason"])
        assert all(value.isascii() and value.isprintable() for value in letter.metadata.values())
    assert payloads == {hashlib.sha256(message.payload).hexdigest() for message in bad}
    others = ["not_json", "rejected_by_store", "wrong_type"]
    assert sorted(reasons) == ["bad_key"] * len(IMPOSSIBLE_IDS) + others
    assert stack.bucket_name in bucket_names(stack) and len(bucket_names(stack)) == 1
    assert stack.bridge.stop() == 0
    assert is_printed_safely(stack.bridge.log_path.read_bytes().decode())


def bucket_names(stack):
    status, _, body = stack.store.get("/")
    assert status == 200
    return [part.split("</Name>")[0] for part in body.decode().split("<Name>")[1:]]


@pytest.mark.parametrize("place", ["beside the daemon", "without it"])
def test_the_tools_print_nothing_that_moves_a_cursor(new_stack, place):
    stack = new_stack(TOPIC="ia/#", MINIO_URL="127.0.0.1:9")  # nobody listens on the discard port
    good, bad = hostile_messages()
    stack.broker.start()
    stack.bridge.start_subscribed()
    stack.publisher.send(*good, *bad)
    wait_until(lambda: stack.bridge.metric("dead_letters") == len(bad), 10, "the letters are there")
    if place == "without it":
        assert stack.bridge.stop() == 0
    for group in ("spool", "dead-letter"):
        listed = stack.bridge.run(group, "ls", "--json")
        topics = {json.loads(line)["topic"] for line in listed.stdout.splitlines()}
        assert f"ia/{BIDI}cod.exe" in topics, "the hostile topic is told, and exactly"
        ids = [str(json.loads(line)["id"]) for line in listed.stdout.splitlines()]
        for told in (
            listed.stdout,
            stack.bridge.run(group, "ls").stdout,
            stack.bridge.run(group, "show", *ids).stdout,
            stack.bridge.run(group, "show", *ids, "--json").stdout,
            stack.bridge.run("spool", "verify").stdout,
        ):
            assert told and is_printed_safely(told), repr(told)
    assert is_printed_safely(stack.bridge.log_path.read_bytes().decode())
