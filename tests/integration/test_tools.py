"""`mqtt-to-blob spool …` and `mqtt-to-blob dead-letter …`, beside the daemon and without it."""

import hashlib
import json
import os
import pathlib
import socket
import stat
import struct

import lmdb
import pytest
from harness.dead_letters import PIECE_BITS, records_in
from harness.judge import Judge
from harness.messages import Message, picture
from harness.ports import free_port
from harness.small_disk import mend_with_too_little_room
from harness.waiting import wait_until

BAD = [
    Message("ia/rawImage/bad", b"no JSON at all"),
    Message("ia/rawImage/bad", b'{"timestamp_ms": 1}'),
    Message("ia/rawImage/bad", b"no JSON either"),
]


class Tools:
    """Runs the tools as a person on site does."""

    def __init__(self, bridge):
        self.bridge = bridge

    def run(self, *arguments, code=0):
        done = self.bridge.run(*arguments, within=30)
        assert done.returncode == code, (arguments, done)
        return done

    def json(self, *arguments, code=0):
        lines = self.run(*arguments, "--json", code=code).stdout.splitlines()
        return [json.loads(line) for line in lines]

    def one(self, *arguments, code=0):
        (document,) = self.json(*arguments, code=code)
        return document


@pytest.fixture(params=["beside the daemon", "without it"])
def waiting(request, new_stack):
    """Five pictures and three bad messages in a spool whose store is away."""
    stack = new_stack()
    stack.broker.start()
    stack.bridge.settings["MINIO_URL"] = f"127.0.0.1:{free_port()}"
    stack.bridge.start_subscribed()
    stack.sent = [picture(size=size) for size in (10, 3_000, 70_000, 200_000, 12_000)]
    stack.publisher.send(*stack.sent, *BAD)
    wait_until(lambda: stack.bridge.metric("dead_letters") == 3, 10, "three dead letters")
    stack.tools = Tools(stack.bridge)
    stack.runs = request.param == "beside the daemon"
    if not stack.runs:
        assert stack.bridge.stop() == 0
    return stack


def test_stat_tells_the_accounts(waiting):
    told = waiting.tools.one("spool", "stat")
    assert told["running"] == waiting.runs
    assert told["accounts"] == {
        "received": 8, "stored": 0, "waiting": 5, "dead_lettered": 3, "set_aside": 0, "dropped": 0,
        "waiting_bytes": told["accounts"]["waiting_bytes"],
    }  # fmt: skip
    assert told["dead_letters"] == {"not_json": 2, "missing_field": 1}
    text = waiting.tools.run("spool", "stat").stdout
    assert "waiting          5 (" in text and "dead letters     2 not_json" in text, text
    if waiting.runs:
        metrics = waiting.bridge.metrics().by_label(
            "mqtt_to_blob_spool_account_messages", "account"
        )
        assert metrics.items() <= told["accounts"].items()


def test_ls_and_show_tell_of_each_message(waiting):
    listed = waiting.tools.json("spool", "ls")
    assert [entry["payload_bytes"] for entry in listed] == [len(m.payload) for m in waiting.sent]
    assert {entry["topic"] for entry in listed} == {waiting.sent[0].topic}
    table = waiting.tools.run("spool", "ls", "--limit", "2").stdout.splitlines()
    assert len(table) == 4 and table[0].split() == ["id", "received", "payload", "qos", "topic"]
    assert table[3] == "… and 3 more"
    number = str(listed[3]["id"])
    assert waiting.tools.one("spool", "show", number) == listed[3]
    assert waiting.sent[3].payload.decode() == waiting.tools.run(
        "spool", "show", number, "--payload"
    ).stdout
    unknown = waiting.tools.run("spool", "show", "777", code=66)
    assert unknown.stderr == "mqtt-to-blob: no message 777 here\n"


def test_verify_reads_everything(waiting):
    assert waiting.tools.one("spool", "verify") == {
        "messages": 5, "dead_letters": 3, "encrypted": {}, "faults": []
    }  # fmt: skip


def test_export_writes_each_message_as_it_came(waiting):
    folder = waiting.folder / "export"
    assert waiting.tools.one("spool", "export", folder) == {"exported": 5, "unreadable": 0}
    index = [json.loads(line) for line in (folder / "index.jsonl").read_text().splitlines()]
    assert [(folder / about["file"]).read_bytes() for about in index] == [
        message.payload for message in waiting.sent
    ]
    assert all(about["intact"] for about in index)
    again = waiting.tools.run("spool", "export", folder, code=74)
    assert "is not empty: give a new folder" in again.stderr
    letters = waiting.folder / "letters"
    waiting.tools.run("dead-letter", "export", letters, "--reason", "missing_field")
    (about,) = [json.loads(line) for line in (letters / "index.jsonl").read_text().splitlines()]
    assert about["reason"] == "missing_field" and "image" in about["detail"]
    assert (letters / about["file"]).read_bytes() == BAD[1].payload


def test_what_is_exported_is_for_the_user_alone(waiting):
    before = os.umask(0)
    try:
        folder = waiting.folder / "new" / "export"
        waiting.tools.run("spool", "export", folder)
        made_before = waiting.folder / "open"
        made_before.mkdir(0o755)
        waiting.tools.run("spool", "export", f"{made_before}/")
    finally:
        os.umask(before)
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    files = [*folder.iterdir(), *made_before.iterdir()]
    assert len(files) == 2 * (5 + 1)
    assert {stat.S_IMODE(file.stat().st_mode) for file in files} == {0o600}


def test_dead_letters_are_listed_by_reason_and_age(waiting):
    def listed(*selection):
        entries = waiting.tools.json("dead-letter", "ls", *selection)
        assert all(entry.pop("age_ms") >= 0 for entry in entries)  # grows from call to call
        return entries

    everything = listed()
    assert [entry["reason"] for entry in everything] == ["not_json", "missing_field", "not_json"]
    some = listed("--reason", "not_json")
    assert some == [everything[0], everything[2]]
    assert listed("--older-than", "1h") == []
    assert listed("--older-than", "0s") == everything
    number = str(everything[1]["id"])
    assert "reason           missing_field" in waiting.tools.run(
        "dead-letter", "show", number
    ).stdout
    payload = waiting.tools.run("dead-letter", "show", number, "--payload").stdout
    assert payload.encode() == BAD[1].payload


def test_drop_takes_only_what_is_named_and_only_when_it_is_meant(waiting):
    asked = waiting.tools.run("dead-letter", "drop", "--all", code=64)
    assert "3 dead letters would be gone for good; with --yes they go" in asked.stderr
    moved = waiting.tools.one("dead-letter", "drop", "--reason", "not_json", "--yes")
    assert moved["moved"] == 2
    accounts = waiting.tools.one("spool", "stat")["accounts"]
    assert (accounts["dead_lettered"], accounts["dropped"], accounts["received"]) == (1, 2, 8)
    (left,) = waiting.tools.json("dead-letter", "ls")
    assert left["reason"] == "missing_field"
    waiting.tools.run("dead-letter", "drop", "777", "--yes", code=66)


def test_replayed_letters_go_the_normal_way(waiting):
    """A bad message stays bad, so it comes back as a dead letter, under a new number."""
    before = [entry["id"] for entry in waiting.tools.json("dead-letter", "ls")]
    assert waiting.tools.one("dead-letter", "replay", "--all")["moved"] == 3
    if not waiting.runs:
        assert waiting.tools.one("spool", "stat")["accounts"]["waiting"] == 8
        waiting.bridge.start_subscribed()
    wait_until(
        lambda: waiting.tools.one("spool", "stat")["accounts"]["dead_lettered"] == 3,
        10,
        "they are dead letters again",
    )
    after = waiting.tools.json("dead-letter", "ls")
    assert [entry["reason"] for entry in after] == ["not_json", "missing_field", "not_json"]
    assert min(entry["id"] for entry in after) > max(before)
    accounts = waiting.tools.one("spool", "stat")["accounts"]
    assert (accounts["received"], accounts["waiting"]) == (8, 5)


def test_a_picture_that_was_refused_for_its_size_is_stored_after_a_replay(new_stack):
    stack = new_stack(MAX_MESSAGE_BYTES="50KiB").start()
    tools = Tools(stack.bridge)
    large = picture(size=60_000)
    stack.publisher.send(large)
    wait_until(lambda: stack.bridge.dead_letters() == {"too_large": 1}, 10, "it is refused")
    assert stack.bridge.stop() == 0
    stack.bridge.settings["MAX_MESSAGE_BYTES"] = "1MiB"
    stack.bridge.start_subscribed()
    assert tools.one("dead-letter", "replay", "--reason", "too_large")["moved"] == 1
    stack.assert_exactly_stored()
    assert tools.json("dead-letter", "ls") == []


def test_repair_needs_the_daemon_stopped(waiting):
    if waiting.runs:
        refused = waiting.tools.run("spool", "repair", code=74)
        assert "is in use by process" in refused.stderr and "stop it first" in refused.stderr
    else:
        assert waiting.tools.one("spool", "repair")["set_aside"] == []


def test_nobody_else_may_use_the_control_socket(waiting):
    control = waiting.bridge.spool_dir / "control"
    if waiting.runs:
        assert stat.S_IMODE(control.stat().st_mode) == 0o600
    else:
        with socket.socket(socket.AF_UNIX) as probe:
            assert probe.connect_ex(str(control)) != 0


def damage(path, dice_bytes):
    data = bytearray(path.read_bytes())
    for at in dice_bytes:
        data[at] ^= 1
    path.write_bytes(data)


def test_verify_and_export_of_a_damaged_spool_change_nothing(new_stack):
    # A commit a message: the picture that is damaged is in a tree that is left.
    stack = new_stack(MQTT_GROUP_COMMIT="False")
    tools = Tools(stack.bridge)
    stack.broker.start()
    stack.bridge.settings["MINIO_URL"] = f"127.0.0.1:{free_port()}"
    stack.bridge.start_subscribed()
    marked = picture(body=b"\xff\xd8\xff" + b"MARK" * 2000)
    stack.publisher.send(picture(size=30_000), marked, picture(size=30_000))
    stack.bridge.wait_until_acknowledged(3)
    stack.bridge.kill()
    file = stack.bridge.spool_dir / "records" / "data.mdb"
    data = file.read_bytes()
    damage(file, [data.index(marked.payload[200:600]), 4096 + 16])  # a picture, and a meta page
    files = {path: path.read_bytes() for path in stack.bridge.spool_dir.rglob("*") if path.is_file()}

    report = tools.one("spool", "verify", code=1)
    assert "records/data.mdb: meta page 1 is damaged" in report["faults"]
    exported = tools.one("spool", "export", stack.folder / "export")
    assert exported["exported"] >= 2
    assert files == {
        path: path.read_bytes() for path in stack.bridge.spool_dir.rglob("*") if path.is_file()
    }

    assert len(tools.one("spool", "repair")["set_aside"]) == 1
    after = tools.one("spool", "verify", code=1)
    assert after["faults"] == ["message 2: its checksum is wrong"]
    told = tools.one("spool", "stat")
    assert told["set_aside_files"] and told["accounts"]["waiting"] == 3


# docs/spool-format.md
PRESENT_VERSION, LATER_VERSION = 1, 3


def change_version(folder, number, version):
    """Of one record, as if another version of the program had written it. Nobody may use the spool."""
    with lmdb.open(str(folder), max_dbs=4) as env:
        database = env.open_db(b"records", integerkey=True, create=False)
        key = struct.pack("=Q", number << PIECE_BITS)
        with env.begin(write=True, db=database) as txn:
            assert txn.put(key, bytes([version]) + txn.get(key)[1:])
    assert records_in(folder)[number][0] == version


@pytest.fixture
def downgraded(new_stack):
    """Three pictures waited, of which a later version has written the second one; then it was started
    with the store in reach."""

    def start(**settings):
        stack = new_stack(**settings)
        stack.tools = Tools(stack.bridge)
        stack.broker.start()
        stack.bridge.settings["MINIO_URL"] = f"127.0.0.1:{free_port()}"
        stack.bridge.start_subscribed()
        stack.sent = [picture(size=size) for size in (3_000, 150_000, 12_000)]
        stack.publisher.send(*stack.sent)
        stack.bridge.wait_until_acknowledged(3)
        assert stack.bridge.stop() == 0
        change_version(stack.bridge.spool_dir / "records", 2, LATER_VERSION)
        stack.unknown = records_in(stack.bridge.spool_dir / "records")[2]
        assert stack.sent[1].payload in stack.unknown
        assert "message 2: " in stack.tools.run("spool", "verify", code=1).stdout
        stack.bridge.settings["MINIO_URL"] = stack.store.address
        stack.bridge.start_subscribed()
        wait_until(lambda: stack.bridge.dead_letters() == {"damaged": 1}, 10, "a dead letter")
        stack.bridge.wait_until_spool_is_empty()
        return stack

    return start


def test_what_a_later_version_wrote_is_kept_until_that_one_is_back(downgraded):
    """docs/operations.md, "Downgrade"."""
    stack = downgraded()
    tools, letters = stack.tools, stack.bridge.spool_dir / "dead-letters"
    assert set(stack.bucket.etags()) == {stack.sent[n].expectation.key for n in (0, 2)}
    (letter,) = tools.json("dead-letter", "ls")
    assert (letter["id"], letter["reason"], letter["readable"]) == (2, "damaged", False)
    refused = tools.run("dead-letter", "replay", "--all", code=1)
    assert "dead letter 2 is damaged and cannot be replayed" in refused.stderr
    assert "0 exported" in tools.run("dead-letter", "export", "letters", code=1).stdout
    (about,) = map(json.loads, (stack.bridge.folder / "letters" / "index.jsonl").read_text().splitlines())
    assert (about["reason"], about["intact"]) == ("damaged", False)
    assert "a later version" in about["detail"]
    assert (stack.bridge.folder / "letters" / about["file"]).read_bytes() == stack.unknown
    assert stack.bridge.stop() == 0
    assert records_in(letters) == {2: stack.unknown}

    # As the later version is one that knows the record, let this one know it.
    change_version(letters, 2, PRESENT_VERSION)
    stack.bridge.start_subscribed()
    assert tools.one("dead-letter", "replay", "--all")["moved"] == 1
    stack.assert_exactly_stored()
    stack.bridge.wait_until_spool_is_empty()
    assert tools.json("dead-letter", "ls") == []
    accounts = tools.one("spool", "stat")["accounts"]
    assert (accounts["received"], accounts["stored"], accounts["dead_lettered"]) == (3, 3, 0)


def test_what_a_later_version_wrote_goes_to_the_bucket_as_it_is_under_a_prefix(downgraded):
    stack = downgraded(DEAD_LETTER_PREFIX="bad/")
    wait_until(lambda: stack.tools.json("dead-letter", "ls") == [], 10, "it leaves the spool")
    (key,) = [key for key in stack.bucket.etags() if key.startswith("bad/")]
    sent = stack.bucket.read(key)
    assert sent.sha256 == hashlib.sha256(stack.unknown).hexdigest()
    assert sent.metadata["reason"] == "damaged"


@pytest.mark.parametrize("group_commit", ["False", "True"])
def test_repair_takes_back_what_a_full_disk_left(new_stack, group_commit):
    stack = new_stack(MQTT_CLIENT_ID="repair")
    sent, spool, disk = mend_with_too_little_room(stack, group_commit)
    left = stack.bridge.metric("spool_account_messages", account="set_aside")
    assert 0 < left < len(sent)
    assert stack.bridge.stop() == 0

    # On another disk there is room for the rest.
    carried = stack.new_bridge("carried", [*disk, "sh", "-c", 'cp -a "$0" "$1"; exit 0', spool,
                                           stack.folder / "roomy"], SPOOL_DIR=spool)  # fmt: skip
    carried.launch()
    carried.wait_for_exit(20)
    stack.bridge = stack.new_bridge("roomy", SPOOL_DIR=stack.folder / "roomy")
    tools = Tools(stack.bridge)
    report = tools.one("spool", "repair")
    assert report["taken_back"] == left and report["unreadable"] == 0, report
    assert tools.one("spool", "stat")["accounts"]["set_aside"] == 0
    assert tools.one("spool", "repair")["taken_back"] == 0
    stack.bridge.start_subscribed()
    stack.assert_exactly_stored(within=30)
    assert pathlib.Path(report_folder(stack)).exists()


def report_folder(stack):
    (folder,) = (stack.folder / "roomy" / "set-aside").glob("*-taken-back-after-*")
    return folder


def test_the_limits_of_the_dead_letters_hold_and_are_told(new_stack):
    stack = new_stack(DEAD_LETTER_MAX_BYTES="1MB", MAX_MESSAGE_BYTES="100KiB").start()
    tools = Tools(stack.bridge)
    judge = Judge(stack.bucket)
    stack.publisher.send(*(picture(size=90_000) for _ in range(20)))  # too large, as JSON
    wait_until(lambda: stack.bridge.dead_letters() == {"too_large": 20}, 10, "all are refused")
    wait_until(lambda: stack.bridge.metric("spool_account_messages", account="dropped") > 0, 10,
               "the oldest go")  # fmt: skip
    stack.bridge.wait_until_spool_is_empty()
    accounts = tools.one("spool", "stat")["accounts"]
    letters = tools.json("dead-letter", "ls")
    assert accounts["dead_lettered"] == len(letters) == stack.bridge.metric("dead_letters")
    assert accounts["dropped"] == 20 - len(letters)
    assert sum(letter["bytes"] for letter in letters) < 1_000_000
    assert [letter["id"] for letter in letters] == list(range(21 - len(letters), 21))
    assert "dead letters were dropped, the oldest first" in stack.bridge.log_text()
    assert judge.bucket.etags() == {}


def test_dead_letters_go_to_the_bucket_under_a_prefix(new_stack):
    stack = new_stack(DEAD_LETTER_PREFIX="bad/").start()
    tools = Tools(stack.bridge)
    good = picture()
    stack.publisher.send(good, *BAD)
    wait_until(lambda: len(stack.bucket.etags()) == 4, 10, lambda: stack.bucket.etags())
    wait_until(lambda: tools.json("dead-letter", "ls") == [], 10, "they leave the spool")
    accounts = tools.one("spool", "stat")["accounts"]
    assert (accounts["received"], accounts["stored"], accounts["dead_lettered"]) == (4, 4, 0)
    keys = sorted(key for key in stack.bucket.etags() if key.startswith("bad/"))
    sent = [stack.bucket.read(key) for key in keys]
    assert [one.sha256 for one in sent] == [hashlib.sha256(m.payload).hexdigest() for m in BAD]
    assert [one.metadata["reason"] for one in sent] == ["not_json", "missing_field", "not_json"]
    assert {one.metadata["mqtt_topic"] for one in sent} == {"ia/rawImage/bad"}
    assert sent[1].metadata["detail"] == "image:%20missing"
