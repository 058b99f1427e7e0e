"""SPOOL_KEY: what waits on disk cannot be read there without the key, and nothing is lost by it."""

import base64
import json
import os
import signal

import pytest
from cryptography.exceptions import InvalidTag
from harness.dead_letters import read_dead_letters
from harness.messages import Message, picture, pictures
from harness.ports import free_port
from harness.waiting import wait_until

EX_IOERR = 74
TOPIC = "ia/rawImage/canary-topic-5512"
CANARY = b"canary-payload-5512"


def new_key():
    return base64.b64encode(os.urandom(32)).decode()


def bad_message():
    return Message(TOPIC, CANARY + b" is no JSON", dead_letter="not_json")


def on_disk(folder):
    return b"".join(path.read_bytes() for path in folder.rglob("*") if path.is_file())


class KeyFile:
    def __init__(self, path):
        self.path = path

    def write(self, *lines):
        self.path.write_text("".join(line + "\n" for line in lines))


@pytest.fixture
def key_file(tmp_path):
    return KeyFile(tmp_path / "spool-keys")


@pytest.fixture
def encrypted(new_stack, key_file):
    """A stack whose bridge has a key and no store: what is sent waits on disk."""
    stack = new_stack(SPOOL_KEY_FILE=key_file.path, RETRY_MAX_DELAY="500ms")
    stack.keys = [new_key()]
    key_file.write(*stack.keys)
    stack.right_store = stack.bridge.settings["MINIO_URL"]
    stack.bridge.settings["MINIO_URL"] = f"127.0.0.1:{free_port()}"
    stack.broker.start()
    stack.bridge.start_subscribed()
    return stack


def restart(stack, key_file=None, lines=(), store=None):
    """With other keys, or with another store."""
    assert stack.bridge.stop() == 0
    if lines:
        key_file.write(*lines)
    if store:
        stack.bridge.settings["MINIO_URL"] = store
    stack.bridge.start_subscribed()


def test_the_disk_shows_nothing_of_what_waits(encrypted):
    stack = encrypted
    sent = [picture(topic=TOPIC, size=size) for size in (10, 3_000, 100_000)]
    stack.publisher.send(*sent, bad_message())
    wait_until(lambda: stack.bridge.metric("dead_letters") == 1, 10, "the dead letter")
    shown = on_disk(stack.bridge.spool_dir)
    assert TOPIC.encode() not in shown and CANARY not in shown
    for message in sent:
        document = json.loads(message.payload)
        assert document["image"]["image_id"].encode() not in shown
        assert document["image"]["image_bytes"][:40].encode() not in shown
    assert base64.b64decode(stack.keys[0]) not in shown

    restart(stack, store=stack.right_store)
    stack.assert_exactly_stored()
    stack.bridge.stop()
    (letter,) = read_dead_letters(stack.bridge.spool_dir, base64.b64decode(stack.keys[0]))
    assert (letter.topic, letter.payload) == (TOPIC, CANARY + b" is no JSON")
    assert letter.reason == "not_json" and letter.detail and letter.key


def test_keys_change_and_every_message_leaves_with_its_own(encrypted, key_file):
    stack = encrypted
    for turn in range(3):
        stack.publisher.send(*pictures(10), bad_message())
        stack.bridge.wait_until_acknowledged(11)
        stack.keys.insert(0, new_key())
        restart(stack, key_file, stack.keys)
    told = json.loads(stack.bridge.run("spool", "verify", "--json").stdout)
    assert told["messages"] == 30 and told["faults"] == []
    assert sorted(told["encrypted"].values()) == [11, 11, 11]
    restart(stack, store=stack.right_store)
    stack.assert_exactly_stored()

    assert stack.bridge.run("dead-letter", "replay", "--all").returncode == 0
    wait_until(lambda: stack.bridge.metric("dead_letters") == 3, 10, "they are back")
    restart(stack, key_file, ["plain", *stack.keys])
    stack.publisher.send(*pictures(5), bad_message())
    stack.assert_exactly_stored()
    wait_until(lambda: stack.bridge.metric("dead_letters") == 4, 10, "the fourth")
    assert CANARY in on_disk(stack.bridge.spool_dir)


def test_a_missing_key_is_told_and_loses_nothing(encrypted, key_file):
    stack = encrypted
    first = pictures(20)
    stack.publisher.send(*first)
    stack.bridge.wait_until_acknowledged(20)
    restart(stack, key_file, [new_key()], store=stack.right_store)
    new_line = key_file.path.read_text().strip()
    wait_until(lambda: stack.bridge.metric("spool_key_missing") == 1, 10, "it is told")
    (line,) = [line for line in stack.bridge.log_lines() if "not among those of SPOOL_KEY" in line]
    status = stack.bridge.status()
    assert status["sentence"].startswith("A key of the queue is missing"), status["sentence"]
    assert "key_missing" in [warning["id"] for warning in status["warnings"]]

    stack.publisher.send(*pictures(20))
    stack.bridge.wait_until_acknowledged(20)  # of this life: messages are still taken
    assert stack.bridge.metric("spool_messages") == 40
    assert stack.bridge.metric("dead_letters") == 0
    assert stack.bridge.metric("spool_intake_open") == 1
    # A bridge that waits for a key still ends when it is told to, and dies when it is killed.
    stack.bridge.send_signal(signal.SIGKILL)
    stack.bridge.wait_for_exit(5)
    key_file.write(new_line, *stack.keys)
    stack.bridge.start_subscribed()
    stack.assert_exactly_stored()
    assert stack.bridge.metric("spool_key_missing") == 0


def test_without_any_key_it_does_not_start_in_the_clear(encrypted, key_file):
    stack = encrypted
    stack.publisher.send(*pictures(3))
    stack.bridge.wait_until_acknowledged(3)
    assert stack.bridge.stop() == 0
    done = stack.bridge.run(SPOOL_KEY_FILE=None)
    assert done.returncode == EX_IOERR
    assert "is encrypted, with key " in done.stdout + done.stderr
    assert "Set SPOOL_KEY or SPOOL_KEY_FILE" in done.stdout + done.stderr
    key_file.path.unlink()
    done = stack.bridge.run("--check")
    assert done.returncode == 78 and "cannot be read: No such file" in done.stderr
    key_file.write("c2VjcmV0")
    done = stack.bridge.run("--check")
    assert done.returncode == 78 and "line 1 is none" in done.stderr
    assert "c2VjcmV0" not in done.stderr
    key_file.write(*stack.keys)
    stack.bridge.settings["MINIO_URL"] = stack.right_store
    stack.bridge.start_subscribed()
    stack.assert_exactly_stored()


@pytest.mark.parametrize("runs", [True, False], ids=["beside the daemon", "without it"])
def test_the_tools_need_the_key_for_what_it_hides(encrypted, tmp_path, runs):
    stack = encrypted
    sent = pictures(2, topic=TOPIC)
    stack.publisher.send(*sent, bad_message())
    wait_until(lambda: stack.bridge.metric("dead_letters") == 1, 10, "the dead letter")
    if not runs:
        assert stack.bridge.stop() == 0

    def tool(*arguments, code=0, with_key=True):
        changed = {} if with_key else {"SPOOL_KEY_FILE": None}
        done = stack.bridge.run(*arguments, **changed)
        assert done.returncode == code, (arguments, done)
        return done

    assert tool("spool", "show", "1", "--payload").stdout.encode() == sent[0].payload
    assert TOPIC in tool("dead-letter", "show", "3").stdout
    tool("spool", "export", str(tmp_path / "with"))
    assert (tmp_path / "with" / f"{1:020}.json").read_bytes() == sent[0].payload
    assert "3 are encrypted with key" in tool("spool", "verify").stdout

    done = tool("spool", "show", "1", "--payload", code=1, with_key=False)
    assert "message 1 is encrypted with key" in done.stderr and "SPOOL_KEY_FILE" in done.stderr
    done = tool("spool", "export", str(tmp_path / "without"), code=1, with_key=False)
    assert "is encrypted with key" in done.stderr
    done = tool("spool", "verify", with_key=False)
    assert "which is not given: by checksum alone" in done.stdout and "0 faults" in done.stdout
    if runs:
        return
    assert TOPIC not in tool("spool", "ls", with_key=False).stdout
    assert "(encrypted with key" in tool("spool", "ls", with_key=False).stdout
    tool("spool", "repair", with_key=False)
    done = tool("dead-letter", "replay", "--all", code=66, with_key=False)
    assert "Set SPOOL_KEY or SPOOL_KEY_FILE" in done.stderr
    stack.bridge.settings["MINIO_URL"] = stack.right_store
    stack.bridge.start_subscribed()
    stack.assert_exactly_stored()


def test_a_forged_record_is_found_out(encrypted):
    """The checksum is no secret: only the cipher's tag tells what was changed on purpose."""
    stack = encrypted
    stack.publisher.send(bad_message())
    wait_until(lambda: stack.bridge.metric("dead_letters") == 1, 10, "the dead letter")
    assert stack.bridge.stop() == 0
    pages = stack.bridge.spool_dir / "dead-letters" / "data.mdb"
    key = base64.b64decode(stack.keys[0])
    (letter,) = read_dead_letters(stack.bridge.spool_dir, key)
    content = bytearray(pages.read_bytes())
    record_at = content.find(b"\x02\x00\x01\x00" + len(TOPIC).to_bytes(2, "little"))
    content[record_at + 50] ^= 1
    pages.write_bytes(content)
    with pytest.raises(InvalidTag):
        read_dead_letters(stack.bridge.spool_dir, key)
    done = stack.bridge.run("dead-letter", "show", str(letter.id), "--payload")
    assert done.returncode == 1 and "cannot be read" in done.stderr
    assert stack.bridge.run("spool", "verify").returncode == 1


def test_kills_lose_nothing_of_an_encrypted_spool(encrypted):
    stack = encrypted
    stack.bridge.stop()
    stack.bridge.settings["MINIO_URL"] = stack.right_store
    stack.bridge.start_subscribed()
    stream = stack.stream([*pictures(300), *pictures(10, size=300_000)], per_second=80)
    stack.kill_bridge_while(stream, every=0.7)
    stack.assert_exactly_stored(within=30)
