"""Damaged spool files: never a wrong object, never a refusal to start, nothing lost untold."""

import random
import shutil

import pytest

from harness import volumes
from harness.judge import Judge
from harness.messages import picture
from harness.ports import free_port
from harness.waiting import Clockwork, wait_until

PAGE = 4096
ROUNDS = 100
SEED = 20261125


def flip_a_bit(data, dice):
    at, bit = dice.randrange(len(data)), dice.randrange(8)
    data[at] ^= 1 << bit
    return f"bit {bit} of byte {at} flipped"


def flip_a_bit_of_the_trees(data, dice):
    """Most of a file is pictures; this goes for metas, branches and leaves."""
    pages = [p for p in range(0, len(data), PAGE) if p < 2 * PAGE or data[p + 10] in (1, 2)]
    at, bit = dice.choice(pages) + dice.randrange(PAGE), dice.randrange(8)
    data[at] ^= 1 << bit
    return f"bit {bit} of byte {at} flipped"


def zero_a_page(data, dice):
    page = dice.randrange(len(data) // PAGE)
    data[page * PAGE : (page + 1) * PAGE] = bytes(PAGE)
    return f"page {page} zeroed"


def cut(data, dice):
    length = dice.randrange(len(data))
    del data[length:]
    return f"cut to {length} bytes"


def make_rubbish(data, dice):
    start = dice.randrange(len(data) // 2)
    data[start:] = dice.randbytes(len(data) - start)
    return f"rubbish from byte {start}"


class Rot:
    """A spool with pictures that wait, to be damaged again and again."""

    def __init__(self, stack):
        self.stack = stack
        self.bridge = stack.bridge
        self.template = stack.folder / "template"
        self.sent = [picture(size=random.Random(n).randrange(400, 120_000)) for n in range(30)]
        stack.broker.start()
        self.bridge.settings["MINIO_URL"] = f"127.0.0.1:{free_port()}"
        self.bridge.start_ready()
        stack.publisher.send(*self.sent)
        self.bridge.wait_until_acknowledged(len(self.sent))
        self.bridge.kill()
        shutil.copytree(self.bridge.spool_dir, self.template)
        self.bridge.settings["MINIO_URL"] = stack.store.address

    def deliver(self, damage, dice):
        """Damages a copy of the spool, and lets the bridge deliver it into a bucket of its own."""
        shutil.rmtree(self.bridge.spool_dir)
        shutil.copytree(self.template, self.bridge.spool_dir)
        file = self.bridge.spool_dir / "records" / "data.mdb"
        data = bytearray(file.read_bytes())
        what = damage(data, dice)
        file.write_bytes(data)

        bucket_name = self.stack.store.new_bucket()
        self.bridge.settings["BUCKET_NAME"] = bucket_name
        judge = Judge(self.stack.store.bucket(bucket_name))
        for message in self.sent:
            judge.acknowledged(message)
        self.bridge.start()
        self.bridge.wait_until_spool_is_empty()
        self.assert_told(judge, what)
        self.assert_it_goes_on(judge)
        assert self.bridge.stop() == 0

    def assert_told(self, judge, what):
        """Each picture is right, or in the dead letters, or only in the file that was set aside."""
        verdict = judge.verdict()
        one_bit = "flipped" in what
        set_aside = self.account("set_aside")
        untold = len(verdict.missing) - self.account("dead_lettered") - set_aside
        files = self.bridge.metric("spool_set_aside_files")
        assert not verdict.differing and not verdict.unexpected, f"{what}: {verdict}"
        assert not verdict.wrong_metadata, f"{what}: {verdict}"
        # Larger damage may take the accounts along; that it did is then told by the file.
        assert untold <= 0 or (files and not one_bit), f"{what}: {verdict}\n{self.bridge.tail()}"
        assert files or not set_aside
        assert self.account("received") == self.account("stored") + self.account(
            "dead_lettered"
        ) + set_aside, what

    def assert_it_goes_on(self, judge):
        fresh = picture(size=5000)
        self.bridge.wait_until_ready()
        self.stack.publisher.send(fresh)
        wait_until(lambda: fresh.expectation.key in judge.bucket.etags(), 10, "flow goes on")

    def account(self, name):
        return self.bridge.metric("spool_account_messages_total", account=name)


def test_mending_on_a_disk_with_too_little_room_carries_over_what_fits(new_stack):
    stack = new_stack()
    spool = stack.folder / "disk"
    disk = volumes.on_ext4(spool, stack.folder / "disk.img", 24 << 20)
    settings = {"SPOOL_DIR": spool, "SPOOL_MIN_FREE_BYTES": "0", "MQTT_CLIENT_ID": "rot"}
    stack.bridge = stack.new_bridge("bridge", disk, **settings,
                                    MINIO_URL=f"127.0.0.1:{free_port()}")  # fmt: skip
    stack.broker.start()
    stack.bridge.start_ready()
    sent = [picture(size=60_000) for _ in range(140)]  # 11 MB of JSON
    stack.publisher.send(*sent)
    stack.bridge.wait_until_acknowledged(len(sent))
    stack.bridge.kill()

    damage = f'printf x | dd of="$0/records/data.mdb" bs=1 seek={16} conv=notrunc status=none'
    stack.bridge = stack.new_bridge(
        "mended", [*disk, "sh", "-c", damage + '; exec "$@"', spool], **settings
    )
    stack.bridge.start_ready()
    stack.bridge.wait_until_spool_is_empty()
    verdict = stack.judge.verdict()
    set_aside = stack.bridge.metric("spool_account_messages_total", account="set_aside")
    assert "complete=false" in stack.bridge.log_text()
    assert 0 < len(verdict.missing) == set_aside < len(sent), str(verdict)
    assert not verdict.differing and not verdict.unexpected
    stack.publisher.send(picture())
    wait_until(lambda: len(stack.judge.verdict().missing) == set_aside, 10, "flow goes on")


@pytest.fixture
def rot(new_stack):
    # A spool that has lost its notes would come as another client, and the broker would keep pictures
    # for the first one.
    return Rot(new_stack(MQTT_CLIENT_ID="rot"))


@pytest.mark.time_limit(240)
@pytest.mark.parametrize(
    "damage, rounds",
    [(flip_a_bit, ROUNDS // 2), (flip_a_bit_of_the_trees, ROUNDS // 2), (zero_a_page, 10),
     (cut, 6), (make_rubbish, 6)],
)  # fmt: skip
def test_no_damage_is_delivered_or_kept_from_us(rot, damage, rounds):
    dice = random.Random(SEED)
    for _ in range(rounds):
        rot.deliver(damage, dice)


def test_a_crash_in_the_middle_of_mending_is_harmless(rot):
    """Killed again and again at the start, with a spool that needs mending."""
    file = rot.bridge.spool_dir / "records" / "data.mdb"
    data = bytearray(file.read_bytes())
    data[PAGE + 16] ^= 1  # the magic number of one of the two metas
    file.write_bytes(data)
    dice = random.Random(SEED)
    for _ in range(15):
        rot.bridge.launch()
        Clockwork(dice.uniform(0.002, 0.03)).wait_for_tick()
        rot.bridge.kill()
    for message in rot.sent:
        rot.stack.judge.acknowledged(message)
    rot.bridge.start()
    rot.bridge.wait_until_spool_is_empty()
    rot.stack.assert_exactly_stored()
