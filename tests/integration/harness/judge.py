"""Compares the bucket with what the broker acknowledged."""

import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

from harness.waiting import TimedOut, wait_until

_READERS = 6


@dataclass(frozen=True)
class Expected:
    """What is kept of an expectation: digests instead of the picture itself."""

    sha256: str
    md5: str
    size: int
    metadata: dict
    content_type: str


@dataclass
class Verdict:
    """Everything that is wrong with the bucket, by key."""

    expected: int = 0
    missing: list = field(default_factory=list)
    unexpected: list = field(default_factory=list)
    differing: dict = field(default_factory=dict)
    wrong_metadata: dict = field(default_factory=dict)
    wrong_content_type: dict = field(default_factory=dict)

    @property
    def is_good(self):
        return not (
            self.missing
            or self.unexpected
            or self.differing
            or self.wrong_metadata
            or self.wrong_content_type
        )

    def __str__(self):
        parts = [f"of {self.expected} expected objects"]
        for name in ("missing", "differing", "wrong_metadata", "wrong_content_type", "unexpected"):
            found = getattr(self, name)
            if found:
                some = dict(list(found.items())[:5]) if isinstance(found, dict) else found[:5]
                parts.append(f"{len(found)} {name}, such as {some!r}")
        return "; ".join(parts)


class Judge:
    """Knows the objects that must be in the bucket. Thread-safe towards publishers."""

    def __init__(self, bucket):
        self.bucket = bucket
        self._lock = threading.Lock()
        self._expected = {}

    def acknowledged(self, message):
        """The broker took it: from now on it counts. A later message with the same key wins."""
        if message.expectation is not None:
            self.expect(message.expectation)

    def expect(self, expectation):
        with self._lock:
            self._expected[expectation.key] = Expected(
                sha256=expectation.sha256,
                md5=expectation.md5,
                size=len(expectation.body),
                metadata=expectation.metadata,
                content_type=expectation.content_type,
            )

    def forget(self):
        with self._lock:
            self._expected.clear()

    @property
    def expected_count(self):
        with self._lock:
            return len(self._expected)

    def verdict(self):
        """Reads every object of the bucket and compares all there is to it."""
        with self._lock:
            expected = dict(self._expected)
        present = set(self.bucket.etags())
        verdict = Verdict(
            expected=len(expected),
            missing=sorted(expected.keys() - present),
            unexpected=sorted(present - expected.keys()),
        )
        keys = sorted(expected.keys() & present)
        with ThreadPoolExecutor(_READERS) as readers:
            for key, stored in zip(keys, readers.map(self.bucket.read, keys)):
                self._compare(verdict, key, expected[key], stored)
        return verdict

    def wait_until_all_stored(self, within):
        """Waits until each expected key has the right ETag, which costs a listing only."""
        state = {}

        def complete():
            etags = self.bucket.etags()
            with self._lock:
                absent = [key for key, e in self._expected.items() if etags.get(key) != e.md5]
                state.update(absent=absent, expected=len(self._expected))
            return not absent

        def describe():
            return (
                f"all stored: {len(state['absent'])} of {state['expected']} absent or different,"
                f" such as {state['absent'][:3]}"
            )

        wait_until(complete, within, describe, poll=0.2)

    def assert_exactly_stored(self, within=20):
        """The bucket holds each acknowledged message, byte for byte, and nothing else."""
        assert self.expected_count > 0, "nothing was acknowledged: this test would prove nothing"
        try:
            self.wait_until_all_stored(within)
        except TimedOut as late:
            raise AssertionError(f"{late}; {self.verdict()}") from None
        verdict = self.verdict()
        assert verdict.is_good, str(verdict)

    @staticmethod
    def _compare(verdict, key, expected, stored):
        if stored is None:
            verdict.missing.append(key)
            return
        if (stored.sha256, stored.size) != (expected.sha256, expected.size):
            verdict.differing[key] = f"{stored.size} bytes, expected {expected.size}"
        if stored.metadata != expected.metadata:
            verdict.wrong_metadata[key] = {
                name: (stored.metadata.get(name), expected.metadata.get(name))
                for name in stored.metadata.keys() | expected.metadata.keys()
                if stored.metadata.get(name) != expected.metadata.get(name)
            }
        if stored.content_type != expected.content_type:
            verdict.wrong_content_type[key] = (stored.content_type, expected.content_type)
