"""All faults mixed, for as long as asked, with an eye on what grows."""

import random
import time
from dataclasses import dataclass

import pytest

from harness.faults import Cut, Frozen, Killed, OnSlowDisk, Silent, Stopped
from harness.messages import picture, undecodable
from harness.waiting import Clockwork
from harness.wire import TO_CLIENT, TO_SERVER, Wire

BOUNDED_SECONDS = 45
MEBIBYTE = 1 << 20
SETTINGS = {
    "RETRY_MAX_DELAY": "500ms",
    "MQTT_KEEPALIVE": "5s",
    "MQTT_CONNECT_TIMEOUT": "2s",
    "STORE_CONNECT_TIMEOUT": "1s",
    "STORE_STALL_TIMEOUT": "3s",
    "IN_FLIGHT_BYTES": "8MiB",
    "UPLOADER_THREADS": 4,
}


class Mixture:
    """Pictures of many sizes, and now and then what is none."""

    def __init__(self, dice):
        self._dice = random.Random(dice.random())
        self.bytes = 0

    def __iter__(self):
        while True:
            chance = self._dice.random()
            if chance < 0.03:
                message = undecodable()
            elif chance < 0.05:
                message = picture(size=self._dice.randrange(100_000, 2_000_000))
            else:
                message = picture(size=int(self._dice.lognormvariate(8, 1.2)))
            self.bytes += len(message.payload)
            yield message


@dataclass(frozen=True)
class VitalSigns:
    """Of the bridge at a quiet point: connected, nothing under way, the spool empty."""

    private_bytes: int
    handles: int
    threads: int
    spool_file_bytes: int

    @classmethod
    def of(cls, bridge):
        return cls(
            bridge.private_bytes(),
            bridge.open_handles(),
            bridge.threads(),
            bridge.spool_file_bytes(),
        )

    def __str__(self):
        return (
            f"{self.private_bytes / MEBIBYTE:.1f} MiB, {self.handles} handles,"
            f" {self.threads} threads, spool file {self.spool_file_bytes / MEBIBYTE:.1f} MiB"
        )


class Limits:
    """What the first quiet points showed, with allowances."""

    FIRST = 3

    # The heap keeps what a burst took: IN_FLIGHT_BYTES twice, and Paho's buffers.
    MORE_PRIVATE_BYTES = 32 * MEBIBYTE
    # A connection of each uploader, which is kept or not, and one of the status listener.
    MORE_HANDLES = 4 + 1
    # Paho's two end and begin with its client.
    MORE_THREADS = 2

    def __init__(self):
        self._first = []
        self._most_bytes = 0

    def check(self, signs, cycle_bytes):
        """`cycle_bytes`: of the messages of one cycle, which may all have waited at once."""
        self._most_bytes = max(self._most_bytes, cycle_bytes)
        # LMDB's file does not shrink; twice because freed pages are not whole pieces.
        assert signs.spool_file_bytes < 2 * self._most_bytes + 16 * MEBIBYTE, str(signs)
        if len(self._first) < self.FIRST:
            self._first.append(signs)
            return
        for name, more in [
            ("private_bytes", self.MORE_PRIVATE_BYTES),
            ("handles", self.MORE_HANDLES),
            ("threads", self.MORE_THREADS),
        ]:
            first = max(getattr(known, name) for known in self._first)
            assert getattr(signs, name) <= first + more, f"{name} was {first} at first: {signs}"


class Soak:
    def __init__(self, lab, stack, to_broker, to_store):
        self.lab, self.stack, self.dice = lab, stack, lab.dice
        self.mixture = Mixture(lab.dice)
        self.limits = Limits()
        self.count = 0
        bridge, broker, store = stack.bridge, stack.broker, stack.store
        self.outside = [
            Stopped(broker), Frozen(broker),
            Stopped(store), Killed(store), Frozen(store),
            Cut("broker", to_broker), Silent("broker", to_broker),
            Silent("broker", to_broker, TO_CLIENT), Silent("broker", to_broker, TO_SERVER),
            Cut("store", to_store), Silent("store", to_store), Silent("store", to_store, TO_CLIENT),
        ]  # fmt: skip
        self.of_the_bridge = [Killed(bridge), Killed(bridge), Stopped(bridge), OnSlowDisk(bridge)]

    def cycle(self, with_bridge):
        """Some faults, each for some time of its own; then quiet."""
        faults = self.some(self.outside, self.dice.choice((1, 1, 2, 3)))
        if with_bridge:
            faults += self.some(self.of_the_bridge, 1)
        before, began = self.mixture.bytes, time.monotonic()
        stream = self.stack.stream(self.mixture, per_second=80)
        self.play(faults)
        stream.stop()
        over = time.monotonic()
        self.lab.settle(self.stack)
        self.count += len(faults)
        signs = VitalSigns.of(self.stack.bridge)
        print(
            f"{time.strftime('%H:%M:%S')} {', '.join(fault.name for fault in faults)}:"
            f" {over - began:.1f} s, quiet after {time.monotonic() - over:.1f} s; {signs}",
            flush=True,
        )
        self.limits.check(signs, self.mixture.bytes - before)

    def some(self, faults, count):
        """Of different parts."""
        chosen = {}
        for fault in self.dice.sample(faults, len(faults)):
            chosen.setdefault(fault.part, fault)
        return list(chosen.values())[:count]

    def play(self, faults):
        longest = self.lab.size(1.5, 10)
        moments = []
        for fault in faults:
            begin = self.dice.uniform(0.1, 1)
            moments.append((begin, fault.begin))
            moments.append((begin + self.dice.uniform(0.1, longest), fault.end))
        passed = 0
        for moment, act in sorted(moments, key=lambda pair: pair[0]):
            Clockwork(moment - passed).wait_for_tick()
            passed = moment
            act()


@pytest.mark.time_limit(150)
def test_all_faults_mixed(lab, pytestconfig, capfd):
    hours = pytestconfig.getoption("hours")
    seconds = lab.size(BOUNDED_SECONDS, 3600 * hours)
    stack = lab.stack(own_store=True, **SETTINGS)
    stack.store.start()
    stack.bucket.keep_versions()
    with Wire(stack.broker.port) as to_broker, Wire(stack.store.port) as to_store:
        stack.bridge.settings |= {
            "BROKER_PORT": to_broker.port,
            "MINIO_URL": f"127.0.0.1:{to_store.port}",
        }
        stack.start()
        soak = Soak(lab, stack, to_broker, to_store)
        fault = f"soak: all of these mixed, {lab.size(f'{BOUNDED_SECONDS} s', f'{hours:g} h')}"
        end = time.monotonic() + seconds
        try:
            with capfd.disabled():
                while time.monotonic() < end:
                    # A leak shows only in a process that lives.
                    spared = lab.dice.choice(lab.size((0, 1, 3), (0, 1, 5, 30)))
                    while spared and time.monotonic() < end:
                        soak.cycle(with_bridge=False)
                        spared -= 1
                    soak.cycle(with_bridge=True)
        except AssertionError:
            lab.add_row(fault, soak.count, lab.so_far, stored_twice=lab.stored_twice)
            raise
        lab.conclude(fault, stack, soak.count)
