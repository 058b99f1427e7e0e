"""Damaged spool files: never a wrong object, never a refusal to start, nothing lost untold."""

import random
import shutil

import pytest

from harness.judge import Judge, Verdict
from harness.messages import picture
from harness.ports import free_port
from harness.small_disk import mend_with_too_little_room
from harness.waiting import Clockwork, wait_until

PAGE = 4096


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

    def __init__(self, lab):
        self.lab = lab
        self.stack = stack = lab.stack(MQTT_CLIENT_ID="rot")
        self.verdict = Verdict()
        self.told = 0
        self.bridge = stack.bridge
        self.template = stack.folder / "template"
        self.sent = [picture(size=random.Random(n).randrange(400, 120_000)) for n in range(30)]
        stack.broker.start()
        self.bridge.settings["MINIO_URL"] = f"127.0.0.1:{free_port()}"
        self.bridge.start_subscribed()
        stack.publisher.send(*self.sent)
        self.bridge.wait_until_acknowledged(len(self.sent))
        self.bridge.kill()
        shutil.copytree(
            self.bridge.spool_dir, self.template, ignore=shutil.ignore_patterns("control")
        )
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
        told = min(len(verdict.missing), int(self.account("dead_lettered") + set_aside))
        self.verdict += verdict
        self.told += told
        untold = len(verdict.missing) - told
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
        self.bridge.wait_until_subscribed()
        self.stack.publisher.send(fresh)
        wait_until(lambda: fresh.expectation.key in judge.bucket.etags(), 10, "flow goes on")

    def account(self, name):
        return self.bridge.metric("spool_account_messages", account=name)


def test_mending_on_a_disk_with_too_little_room_carries_over_what_fits(new_stack):
    stack = new_stack(MQTT_CLIENT_ID="rot")
    sent, _, _ = mend_with_too_little_room(stack)
    verdict = stack.judge.verdict()
    set_aside = stack.bridge.metric("spool_account_messages", account="set_aside")
    assert "complete=false" in stack.bridge.log_text()
    assert 0 < len(verdict.missing) == set_aside < len(sent), str(verdict)
    assert not verdict.differing and not verdict.unexpected
    stack.publisher.send(picture())
    wait_until(lambda: len(stack.judge.verdict().missing) == set_aside, 10, "flow goes on")


def test_a_lost_commit_of_many_messages_on_a_disk_with_too_little_room(new_stack):
    """The damaged meta page may be the only one that knows of them: then they are searched for."""
    stack = new_stack(MQTT_CLIENT_ID="rot")
    sent, _, _ = mend_with_too_little_room(stack, group_commit="True")
    verdict = stack.judge.verdict()
    set_aside = stack.bridge.metric("spool_account_messages", account="set_aside")
    assert len(verdict.missing) == set_aside < len(sent), str(verdict)
    assert not verdict.differing and not verdict.unexpected
    stack.publisher.send(picture())
    wait_until(lambda: len(stack.judge.verdict().missing) == set_aside, 10, "flow goes on")


@pytest.fixture
def rot(lab):
    # A fixed client id, since that has lost its notes would come as another client, and the broker
    # would keep pictures for the first one.
    return Rot(lab)


@pytest.mark.time_limit(240)
@pytest.mark.parametrize(
    "damage, fault, bounded, campaign",
    [
        (flip_a_bit, "rot: a bit flipped anywhere in the file", 50, 1000),
        (flip_a_bit_of_the_trees, "rot: a bit flipped in metas, branches, leaves", 50, 1000),
        (zero_a_page, "rot: a page zeroed", 10, 100),
        (cut, "rot: file cut", 6, 50),
        (make_rubbish, "rot: rubbish from somewhere to the end", 6, 50),
    ],
)
def test_no_damage_is_delivered_or_kept_from_us(rot, damage, fault, bounded, campaign):
    rounds = rot.lab.rounds(bounded, campaign)
    try:
        for _ in range(rounds):
            rot.deliver(damage, rot.lab.dice)
    finally:
        rot.lab.add_row(fault, rounds, rot.verdict, told=rot.told)


def test_a_crash_in_the_middle_of_mending_is_harmless(rot):
    """Killed again and again at the start, with a spool that needs mending."""
    file = rot.bridge.spool_dir / "records" / "data.mdb"
    data = bytearray(file.read_bytes())
    data[PAGE + 16] ^= 1  # the magic number of one of the two metas
    file.write_bytes(data)
    dice = rot.lab.dice
    for _ in range(15):
        rot.bridge.launch()
        Clockwork(dice.uniform(0.002, 0.03)).wait_for_tick()
        rot.bridge.kill()
    for message in rot.sent:
        rot.stack.judge.acknowledged(message)
    rot.bridge.start()
    rot.bridge.wait_until_spool_is_empty()
    rot.stack.assert_exactly_stored()
