"""Refusals of every scope come and go at random before a store, and the bridge is killed now and then.

The dice choose the rules, their order and the pictures. Only the moments differ from run to run.
"""

import itertools
import random
import threading
import time
from collections import Counter, defaultdict
from dataclasses import dataclass, replace

import pytest

from harness.messages import Message, picture
from harness.publisher import Stream
from harness.scripted_store import Answer, ScriptedStore
from harness.waiting import Clockwork, wait_until

CAMERAS = 3
PER_SECOND = 8  # of each camera
REPEATED_KEYS = 6  # of each camera
OTHERS_WITHIN = 30  # seconds: the longest pause of the bridge is 8 s, and the machine may be busy
FLOWS_AGAIN_WITHIN = 15  # seconds after the last rule has gone; a promise of the project
STORED_WITHIN = 150  # seconds; what was refused alone may rest for long
MOST_RULES = 3  # at a time
PROVEN_REFUSALS = 6  # before an ambiguous refusal can make a dead letter

PAGE = b"<html><head><title>No</title></head><body><h1>No</h1></body></html>"
LATER = (("Retry-After", "1"),)
RESET = Answer(manner="reset")
INVALID = Answer(400, "InvalidArgument")
TOO_LARGE = Answer(400, "EntityTooLarge")
NOT_LISTENING = Answer(manner="reset", code="connection refused")

ANSWERS = [
    Answer(403, "AccessDenied"),
    Answer(401, body=PAGE),
    Answer(413, body=PAGE),
    Answer(429, "TooManyRequests"),
    Answer(429, "TooManyRequests", headers=LATER),
    Answer(503, "SlowDown"),
    Answer(503, "SlowDown", headers=LATER),
    Answer(500, "InternalError"),
    Answer(502, body=PAGE),
    Answer(507, "XMinioStorageFull"),
    Answer(302, body=PAGE, headers=(("Location", "/login"),)),
    Answer(404, "NoSuchBucket"),
    Answer(404, "XAdminUserNotFound"),
    INVALID,
    RESET,
]


@dataclass(frozen=True)
class Rule:
    """Which requests are refused, and how."""

    name: str
    answer: Answer
    concerns: object  # of a Request, or of a Sent
    may_be_all: bool = False  # no message is sure to be spared

    def __str__(self):
        pause = " with Retry-After" if self.answer.headers == LATER else ""
        return f"{self.name}: {self.answer.status or ''} {self.answer.name}{pause}"


@dataclass(frozen=True, eq=False)
class Sent:
    """A message; no two of a key have the same size, so that an upload tells which one it is."""

    key: str
    size: int
    message: Message

    is_upload = True

    @property
    def id(self):
        return self.key, self.size


class Deck:
    """Deals each card once before any comes again."""

    def __init__(self, dice, cards):
        self._dice = dice
        self._cards = list(cards)
        self._left = []

    def deal(self):
        self._left = self._left or self._dice.sample(self._cards, len(self._cards))
        return self._left.pop()


class RefusingStore(ScriptedStore):
    """Says what the first rule says that concerns a request, and notes what became of each upload."""

    def __init__(self):
        super().__init__()
        self.rules = []
        self.refused = defaultdict(Counter)  # (key, size) -> (answer, whether of everything) -> count
        self.stored = set()  # (key, size)
        self._puts = {}  # likewise -> number of its last upload in this life of the bridge
        self._numbers = itertools.count(1)
        self._noting = threading.Lock()

    def choose(self, request):
        rule = next((rule for rule in list(self.rules) if rule.concerns(request)), None)
        if rule is None:
            return None
        if request.is_upload:
            with self._noting:
                self.refused[request.key, request.size][rule.answer, rule.name == "everything"] += 1
                self._puts.pop((request.key, request.size), None)
        return rule.answer

    def put(self, request, body, headers):
        etag = super().put(request, body, headers)
        with self._noting:
            self.stored.add((request.key, request.size))
            self._puts[request.key, request.size] = next(self._numbers)
        return etag

    def unsettle(self):
        """The bridge may send again what it has stored, since it was killed."""
        with self._noting:
            self._puts.clear()

    def unsettled(self, history):
        """Of a key, what was sent behind the last one that is stored for good. One that was uploaded
        before its turn is uploaded again in its turn."""
        begin, last_put = 0, 0
        with self._noting:
            for index, sent in enumerate(history):
                if sent.id not in self.stored:
                    break
                if self._puts.get(sent.id, 0) > last_put:
                    begin, last_put = index + 1, self._puts[sent.id]
                elif sent.id in self._puts:
                    break
        return history[begin:]

    def is_concerned(self, sent):
        """Is refused at present, or was once: then it may rest for long."""
        return sent.id in self.refused or any(rule.concerns(sent) for rule in list(self.rules))


class Camera:
    """Has a prefix and a topic of its own. Half of its keys are new, the others repeat."""

    def __init__(self, number, dice, stack):
        self.prefix = f"cam{number}/"
        self.repeated = [f"{self.prefix}again-{i}" for i in range(REPEATED_KEYS)]
        self.sent = defaultdict(list)  # key -> Sent, in order
        self._topic = f"ia/rawImage/station1/camera{number}"
        self._dice = random.Random(dice.random())
        self._publisher = stack.new_publisher()
        self._numbers = itertools.count(1)
        self._ends = threading.Event()
        self._stream = None

    def start(self):
        self.sent = defaultdict(list)
        self._ends.clear()
        self._stream = Stream(self._publisher, self._pictures(), PER_SECOND)

    def stop(self):
        self._ends.set()  # by the source: what it has given is sent
        self._stream.finish()

    def _pictures(self):
        ranges = [(100, 4000), (8000, 60_000), (100_000, 250_000), (500_000, 900_000)]
        while not self._ends.is_set():
            again = self._dice.random() < 0.5
            name = self._dice.choice(self.repeated) if again else f"{self.prefix}{next(self._numbers)}"
            size = self._dice.randrange(*self._dice.choices(ranges, (3, 12, 3, 1))[0])
            history = self.sent[f"{name}.jpg"]
            while size in (earlier.size for earlier in history):
                size += 1
            message = picture(name, self._topic, size)
            history.append(Sent(message.expectation.key, size, message))
            yield message


class Trial:
    """Of a stack with a store that refuses by rules."""

    def __init__(self, lab, stack, makes_dead_letters):
        self.dice = lab.dice
        self.stack = stack
        self.bridge = stack.bridge
        self.store = stack.store
        self.kills = 0
        self.others = 0  # that were waited for
        self._cameras = [Camera(number, lab.dice, stack) for number in range(1, CAMERAS + 1)]
        self._makes_dead_letters = makes_dead_letters
        self._answers = Deck(lab.dice, ANSWERS)
        self._kinds = Deck(lab.dice, [
            self._prefix, self._prefix, self._above, self._above, self._keys, self._keys,
            self._one_in_n, self._everything, self._away,
        ] + ([self._too_large] if makes_dead_letters else []))  # fmt: skip
        self._numbers = itertools.count(1)
        self._rest = {}  # rule -> steps that it has left
        self._began = time.monotonic()

    def run(self, steps):
        """Rules come and go while all cameras send; at last all of them are gone."""
        kill_at = {self.dice.randrange(steps) for _ in range(max(1, steps // 5))}
        for camera in self._cameras:
            camera.start()
        with self.store.saying(self.store.choose, everything=True):
            for step in range(steps):
                self._change_rules()
                if step in kill_at:
                    self._kill_bridge()
                Clockwork(self.dice.uniform(0.3, 2)).wait_for_tick()
                if not any(rule.may_be_all for rule in self._rest):
                    self._others_are_stored()
            for rule in list(self._rest):
                self._end(rule)
            self._flows_again()
            for camera in self._cameras:
                camera.stop()
            self.bridge.wait_until_spool_is_empty(STORED_WITHIN)
            self._say("the spool is empty")
            # The last messages may have been on their way from the broker still.
            wait_until(lambda: not self._lost(), 15,
                       lambda: f"neither stored nor dead letters: {self._lost()}")  # fmt: skip
            self.bridge.wait_until_spool_is_empty(STORED_WITHIN)
        self._tell_the_judge()

    # Rules.

    def _change_rules(self):
        for rule in list(self._rest):
            self._rest[rule] -= 1
            if self._rest[rule] == 0:
                self._end(rule)
        if len(self._rest) < MOST_RULES:
            rule = self._kinds.deal()()
            self._rest[rule] = 1 if rule.may_be_all else self.dice.randint(2, 5)
            self._say(f"begins: {rule}")
            self.store.rules.insert(self.dice.randint(0, len(self.store.rules)), rule)
            if rule.answer is NOT_LISTENING:
                self.store.close()

    def _end(self, rule):
        self._say(f"ends: {rule}")
        del self._rest[rule]
        self.store.rules.remove(rule)
        if rule.answer is NOT_LISTENING:
            self.store.start()

    def _prefix(self):
        prefix = self.dice.choice(self._cameras).prefix + self.dice.choice(["", "", "again-"])
        return self._partial(f"prefix {prefix}", lambda request: request.key.startswith(prefix))

    def _above(self, answer=None):
        limit = self.dice.choice([30_000, 100_000, 200_000, 600_000])
        return self._partial(f"above {limit} bytes", lambda request: request.size > limit, answer)

    def _keys(self, answer=None):
        names = [name for camera in self._cameras for name in camera.repeated]
        keys = {f"{name}.jpg" for name in self.dice.sample(names, self.dice.randint(1, 4))}
        return self._partial(f"keys {sorted(keys)}", lambda request: request.key in keys, answer)

    def _too_large(self):
        return self.dice.choice([self._keys, self._above])(TOO_LARGE)

    def _partial(self, name, concerns, answer=None):
        of_uploads = lambda request: request.is_upload and concerns(request)
        return Rule(name, answer or self._answers.deal(), of_uploads)

    def _one_in_n(self):
        """Each message has an order of its own in which its requests are refused."""
        n, number, asked = self.dice.randint(2, 6), next(self._numbers), Counter()
        seed = self.dice.random()

        def concerns(request):
            asked[request.key, request.size] += 1
            attempt = asked[request.key, request.size]
            return random.Random(f"{seed}/{request.key}/{request.size}/{attempt}").randrange(n) == 0

        return Rule(f"one in {n} ({number})", self._answers.deal(), concerns, may_be_all=True)

    def _everything(self):
        return Rule("everything", self._answers.deal(), lambda request: True, may_be_all=True)

    def _away(self):
        return Rule("everything", NOT_LISTENING, lambda request: True, may_be_all=True)

    # What must hold.

    def _kill_bridge(self):
        self._say("the bridge is killed")
        self.bridge.kill()
        self.store.unsettle()
        self.bridge.start()
        self.kills += 1

    def _others_are_stored(self):
        """Those that no rule concerns, nor an earlier one of their keys; the rules stay meanwhile."""
        others = self._spared()
        self.others += len(others)
        begin = time.monotonic()

        def late():
            # An earlier one of a key may turn out to be uploaded again, and is refused then.
            return [sent.id for sent in self._spared() & others]

        wait_until(
            lambda: not late(),
            OTHERS_WITHIN,
            lambda: f"{len(late())} of {len(others)} that no rule concerns are not stored, such as "
            f"{late()[:3]}, under {list(map(str, self.store.rules))}; {self.bridge.status()['sentence']} "
            f"Of these keys: {self._told(late()[:3])}",
        )
        self._say(f"{len(others)} others were stored within {time.monotonic() - begin:.1f} s")

    def _spared(self):
        spared = set()
        for history in itertools.chain(*(list(camera.sent.values()) for camera in self._cameras)):
            waiting = self.store.unsettled(list(history))
            free = itertools.takewhile(lambda sent: not self.store.is_concerned(sent), waiting)
            spared.update(sent for sent in free if sent.id not in self.store.stored)
        return spared

    def _told(self, ids):
        """size, times refused, whether it was stored, of each message of their keys."""
        return {
            key: [(sent.size, self.store.refused[sent.id].total(), sent.id in self.store.stored)
                  for camera in self._cameras for sent in camera.sent.get(key, ())]
            for key, _ in ids
        }  # fmt: skip

    def _flows_again(self):
        goal, begin = len(self.store.stored) + 20, time.monotonic()
        wait_until(lambda: len(self.store.stored) >= goal, FLOWS_AGAIN_WITHIN, "it flows again")
        self._say(f"it flows again after {time.monotonic() - begin:.1f} s")

    def _lost(self):
        """What was never stored and is no dead letter, though a later one of its key may stand."""
        sent = [each for camera in self._cameras for line in camera.sent.values() for each in line]
        absent = [each for each in sent if each.id not in self.store.stored]
        letters = self._letters() if absent else ()
        return [each.id for each in absent if each.message.payload not in letters]

    def _letters(self):
        return {letter.payload for letter in self.bridge.read_dead_letters()}

    def _tell_the_judge(self):
        """Which messages may be dead letters, and what stands in the bucket then."""
        letters = self._letters()
        judge, etags = self.stack.judge, self.stack.bucket.etags()
        for camera in self._cameras:
            for key, history in camera.sent.items():
                dead = [sent for sent in history if sent.message.payload in letters]
                alive = [sent for sent in history if sent not in dead]
                for sent in dead:
                    assert self._may_be_dead_letter(sent), (sent.id, self.store.refused[sent.id])
                    letter = replace(sent.message, expectation=None, dead_letter="rejected_by_store")
                    judge.acknowledged(letter)
                if dead:
                    # One that was stored before a kill may be refused when it is uploaded again.
                    first = history.index(alive[-1]) if alive else 0
                    standing = [
                        sent for sent in history[first:]
                        if sent in alive or sent.id in self.store.stored
                        and etags.get(key) == sent.message.expectation.md5
                    ]  # fmt: skip
                    judge.forget([key])
                    if standing:
                        judge.expect(standing[-1].message.expectation)
        self._say(f"{len(letters)} dead letters")

    def _may_be_dead_letter(self, sent):
        refused = self.store.refused[sent.id]
        is_proven = refused[INVALID, False] >= PROVEN_REFUSALS or refused[TOO_LARGE, False] > 0
        return self._makes_dead_letters and is_proven

    def _say(self, what):
        print(f"{time.monotonic() - self._began:6.1f} s: {what}", flush=True)


@pytest.mark.parametrize("dead_letter_after", [None, "1s"], ids=["never_dead", "soon_dead"])
@pytest.mark.time_limit(300)
def test_refusals_of_all_scopes_come_and_go(lab, dead_letter_after):
    store = RefusingStore().start()
    stack = lab.stack(
        store=store,
        DEAD_LETTER_AFTER=dead_letter_after,
        RETRY_MAX_DELAY=lab.dice.choice(["500ms", "8s"]),
        IN_FLIGHT_BYTES=lab.dice.choice(["4MiB", "64MiB"]),
    )
    stack.start()
    trial = Trial(lab, stack, makes_dead_letters=dead_letter_after is not None)
    rounds = lab.rounds(1, 20)
    for number in range(rounds):
        if number:
            lab.settle(stack)
        trial.run(steps=lab.size(12, 30))
    assert trial.kills and trial.others and store.said.total(), "no refusal, or nobody beside it"
    lab.conclude(f"store: refusals of all scopes, dead letters {'soon' if dead_letter_after else 'late'}",
                 stack, rounds)  # fmt: skip
    store.close()
