"""Compares the bucket and the dead letters with what the broker acknowledged."""

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


def _digests_of(expectation):
    return Expected(
        sha256=expectation.sha256,
        md5=expectation.md5,
        size=len(expectation.body),
        metadata=expectation.metadata,
        content_type=expectation.content_type,
    )


@dataclass
class Verdict:
    """Everything that is wrong with the bucket, by key, and with the dead letters, by payload."""

    expected: int = 0
    letters: int = 0  # expected, and counted above as well
    missing: list = field(default_factory=list)
    unexpected: list = field(default_factory=list)
    differing: dict = field(default_factory=dict)
    wrong_metadata: dict = field(default_factory=dict)
    wrong_content_type: dict = field(default_factory=dict)
    missing_letters: list = field(default_factory=list)
    unexpected_letters: list = field(default_factory=list)

    @property
    def is_good(self):
        return not (
            self.missing
            or self.unexpected
            or self.differing
            or self.wrong_metadata
            or self.wrong_content_type
            or self.missing_letters
            or self.unexpected_letters
        )

    def __add__(self, other):
        """Of two buckets with keys of their own."""
        return Verdict(
            self.expected + other.expected,
            self.letters + other.letters,
            self.missing + other.missing,
            self.unexpected + other.unexpected,
            self.differing | other.differing,
            self.wrong_metadata | other.wrong_metadata,
            self.wrong_content_type | other.wrong_content_type,
            self.missing_letters + other.missing_letters,
            self.unexpected_letters + other.unexpected_letters,
        )

    def __str__(self):
        parts = [f"of {self.expected} expected messages, {self.letters} of them dead letters"]
        for name in (
            "missing",
            "differing",
            "wrong_metadata",
            "wrong_content_type",
            "unexpected",
            "missing_letters",
            "unexpected_letters",
        ):
            found = getattr(self, name)
            if found:
                some = dict(list(found.items())[:5]) if isinstance(found, dict) else found[:5]
                parts.append(f"{len(found)} {name}, such as {some!r}")
        return "; ".join(parts)


class Judge:
    """Knows the objects that must be in the bucket. Thread-safe towards publishers."""

    def __init__(self, bucket):
        self.bucket = bucket
        self.strangers_write = False  # others send messages as well, which may be dead letters
        self._lock = threading.Lock()
        self._expected = {}
        self._condemned = {}  # payload -> reason, of what must become dead letters
        self._allowed = {}
        self._letters_counted = 0  # in verdicts before the last turn_page()

    def acknowledged(self, message):
        """The broker took it: from now on it counts. A later message with the same key wins."""
        if message.expectation is not None:
            self.expect(message.expectation)
        if message.dead_letter is not None:
            with self._lock:
                self._condemned[message.payload] = message.dead_letter

    def expect(self, expectation):
        expected = _digests_of(expectation)
        with self._lock:
            self._expected[expectation.key] = expected

    def allow(self, message):
        """It may be in the bucket, and must be right then: sent, and perhaps not acknowledged."""
        if message.expectation is not None:
            expected = _digests_of(message.expectation)
            with self._lock:
                self._allowed[message.expectation.key] = expected

    def turn_page(self):
        """What was expected need not be there any more, but may come again: the broker repeats what
        it has no acknowledgement for."""
        with self._lock:
            self._allowed = self._expected
            self._expected = {}
            self._letters_counted = len(self._condemned)

    def forget(self, keys=None):
        """All of it, or the objects that the test itself has deleted."""
        with self._lock:
            for key in list(self._expected) if keys is None else keys:
                self._expected.pop(key, None)
            if keys is None:
                self._letters_counted = len(self._condemned)  # they stay where they are
                self._allowed.clear()

    @property
    def expected_count(self):
        with self._lock:
            return len(self._expected)

    def verdict_with_letters(self, letters):
        """As verdict(), with the dead letters. One that the broker sent twice is there twice."""
        with self._lock:
            condemned = dict(self._condemned)
            fresh = len(condemned) - self._letters_counted
        verdict = self.verdict()
        verdict.expected += fresh
        verdict.letters = fresh
        kept = {letter.payload: letter.reason for letter in letters}
        verdict.missing_letters = [
            payload for payload, reason in condemned.items() if kept.get(payload) != reason
        ]
        if not self.strangers_write:
            verdict.unexpected_letters = [
                payload for payload, reason in kept.items() if condemned.get(payload) != reason
            ]
        return verdict

    def verdict(self):
        """Reads every object of the bucket and compares all there is to it."""
        with self._lock:
            expected = set(self._expected)
            known = self._allowed | self._expected
        present = set(self.bucket.etags())
        verdict = Verdict(
            expected=len(expected),
            missing=sorted(expected - present),
            unexpected=sorted(present - known.keys()),
        )
        keys = sorted(known.keys() & present)
        with ThreadPoolExecutor(_READERS) as readers:
            for key, stored in zip(keys, readers.map(self.bucket.read, keys)):
                self._compare(verdict, key, known[key], stored)
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
