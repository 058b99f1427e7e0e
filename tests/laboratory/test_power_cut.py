"""Power cuts: whatever the kernel had not yet given to the disk is gone."""

import shutil

import pytest

from harness.bridge import laboratory_binary
from harness.fail_points import damage_a_meta_page, die_at, points_in_the_header
from harness.messages import mixed_messages, picture, pictures
from harness.ports import free_port
from harness.stack import TOPIC_FILTER
from harness.volumes import LoopDisk
from harness.waiting import wait_until

BURST = 80  # messages published in each round, as fast as the broker takes them
DISK = 512 << 20


class Cuts:
    """A stack whose spool is on a disk of its own, and rounds of cuts."""

    def __init__(self, lab, disk, **stack):
        self.dice = lab.dice
        self.disk = disk
        # A fixed client id: what is lost must be lost by the disk, not by the broker's session.
        self.stack = lab.stack(SPOOL_DIR=disk.folder, MQTT_CLIENT_ID="power-cut", **stack)
        self.messages = mixed_messages(lab.dice)
        self.bridge = self.stack.bridge
        self.bridge.wrapper = disk.wrapper
        self.stack.start()

    def burst(self):
        return self.stack.stream([next(self.messages) for _ in range(BURST)])

    def cut_in_mid_stream(self):
        """The store is away half of the time: then what is acknowledged is in the spool alone."""
        self.restart(with_store=self.dice.random() < 0.5)
        stream = self.burst()
        self.bridge.wait_until_acknowledged(self.dice.randint(1, BURST))
        self.cut()
        stream.finish()

    def cut_right_after_an_acknowledgement(self):
        """Of a message that came when the disk was quiet: nothing after it has synced anything."""
        self.restart(with_store=False)
        self.burst().finish()
        self.wait_until_quiet()
        before = self.acknowledged()
        self.stack.publisher.send(picture(size=self.dice.randrange(1000, 5000)))
        wait_until(lambda: self.acknowledged() > before, 20, "acknowledged", poll=0.001)
        self.cut()

    def restart(self, with_store):
        self.bridge.kill()
        self.bridge.settings["MINIO_URL"] = (
            self.stack.store.address if with_store else f"127.0.0.1:{free_port()}"
        )
        self.bridge.start()

    def cut(self):
        self.disk.cut_power()
        self.bridge.kill()
        self.disk.mount_again()

    def rounds(self, count):
        for number in range(count):
            if number % 2 == 0:
                self.cut_in_mid_stream()
            else:
                self.cut_right_after_an_acknowledgement()
        self.restart(with_store=True)

    def acknowledged(self):
        return self.bridge.total("messages_acknowledged_total")

    def wait_until_quiet(self):
        counts = [-1.0, -2.0, -3.0]

        def is_quiet():
            counts.append(self.acknowledged())
            return counts[-1] > 0 and len(set(counts[-3:])) == 1

        wait_until(is_quiet, 20, "the broker has nothing more for us")

    def lost(self):
        """How many messages are lost, once all that there is has been delivered."""
        last = picture()
        self.stack.publisher.send(last)
        key = last.expectation.key
        wait_until(lambda: key in self.stack.bucket.etags(), 30, self.bridge.tail)
        self.bridge.wait_until_spool_is_empty()
        verdict = self.stack.judge.verdict_with_letters(self.bridge.read_dead_letters())
        return len(verdict.missing) + len(verdict.missing_letters)


@pytest.fixture
def disk(tmp_path):
    with LoopDisk(tmp_path / "disk", tmp_path / "disk.img", DISK) as disk:
        yield disk


def test_the_power_is_cut_after_the_first_message_of_a_new_spool(lab, tmp_path):
    """The entries of new files and folders have to be on disk by then, not only their content."""
    stack = lab.stack(MQTT_CLIENT_ID="power-cut")
    stack.broker.start()
    rounds = lab.rounds(4, 40)
    for number in range(rounds):
        with LoopDisk(tmp_path / f"{number}", tmp_path / f"{number}.img", 64 << 20) as disk:
            stack.bridge.wrapper = disk.wrapper
            # Sometimes the daemon has to make the folder as well.
            below = lab.dice.choice(["", "made/by/us"])
            stack.bridge.settings["SPOOL_DIR"] = disk.folder / below
            stack.bridge.settings["MINIO_URL"] = f"127.0.0.1:{free_port()}"
            mark = stack.broker.mark()
            stack.bridge.start()
            stack.broker.wait_for_subscription(TOPIC_FILTER, since=mark)
            count = lab.dice.randint(1, 3)
            stack.publisher.send(*pictures(count))
            stack.bridge.wait_until_acknowledged(count)
            disk.cut_power()
            stack.bridge.kill()
            disk.mount_again()
            stack.bridge.settings["MINIO_URL"] = stack.store.address
            stack.bridge.start()
            stack.judge.wait_until_all_stored(20)
            stack.bridge.wait_until_spool_is_empty()
            if number < rounds - 1:
                stack.bridge.kill()
            else:
                lab.conclude("power cut: after the first message of a new spool", stack, rounds)
                stack.bridge.kill()


@pytest.mark.time_limit(180)
def test_the_power_is_cut_while_a_damaged_spool_is_mended(lab, disk):
    cuts = Cuts(lab, disk, binary=laboratory_binary())
    points = [name for name in points_in_the_header() if name.startswith("mending.")]
    rounds = lab.rounds(len(points), 10 * len(points))
    for number in range(rounds):
        if number % len(points) == 0:  # or the disk would be full of backlog and damaged files
            cuts.restart(with_store=True)
            cuts.bridge.wait_until_spool_is_empty(60)
            shutil.rmtree(disk.seen_from_here / "set-aside", ignore_errors=True)
        cuts.restart(with_store=False)
        cuts.burst().finish()
        cuts.wait_until_quiet()
        cuts.bridge.kill()
        damage_a_meta_page(disk.seen_from_here / "records" / "data.mdb")
        die_at(cuts.bridge, points[number % len(points)], 1)
        cuts.cut()
    cuts.restart(with_store=True)
    lab.conclude("power cut: while a damaged spool is mended", cuts.stack, rounds)


@pytest.mark.time_limit(240)
def test_the_power_is_cut(lab, disk):
    cuts = Cuts(lab, disk)
    rounds = lab.rounds(20, 200)
    cuts.rounds(rounds)
    lab.conclude("power cut: in mid-stream, and right after an acknowledgement", cuts.stack, rounds)


@pytest.mark.parametrize("sabotage", ["no_sync", "no_meta_sync"])
def test_a_daemon_that_syncs_less_would_be_found_out(lab, disk, sabotage):
    """The counter-proof: LMDB without one of its syncs loses messages by the same cuts."""
    cuts = Cuts(lab, disk, binary=laboratory_binary(), M2B_SABOTAGE=sabotage)
    cuts.rounds(lab.rounds(4, 20))
    assert cuts.lost() > 0
