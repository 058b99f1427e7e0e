"""The store and the line to it: away, slow, full, wrong, rude. Nothing acknowledged is lost."""

import contextlib
import glob
import re
import signal
from dataclasses import replace

import pytest

from harness import service, volumes
from harness.messages import picture
from harness.scripted_store import Answer, ScriptedStore
from harness.stack import Stack
from harness.store import Store
from harness.toxiproxy import Toxiproxy
from harness.waiting import wait_until

QUICK = {
    "RETRY_MAX_DELAY": "500ms",
    "STORE_STALL_TIMEOUT": "1s",
    "STORE_CONNECT_TIMEOUT": "1s",
}
PER_SECOND = 60
DAY = 86400
FLOWS_AGAIN_WITHIN = 15  # seconds after the last return; a promise of the project


def mixed_pictures(dice):
    """Most as cameras send them, some tiny, some of several pieces in the spool."""
    while True:
        ranges = [(10, 300), (4000, 60_000), (200_000, 500_000)]
        yield picture(size=dice.randrange(*dice.choices(ranges, (2, 17, 1))[0]))


def restart(bridge, **settings):
    bridge.stop()
    bridge.settings |= settings
    bridge.start_subscribed()


class Flow:
    """A stream of pictures through a stack, and what the bridge says of its store meanwhile."""

    def __init__(self, lab, stack):
        self.lab = lab
        self.stack = stack
        self.bridge = stack.bridge
        self.runs = 0
        self.deleted = set()  # by the test itself, keys out of the bucket
        if not self.bridge.running:
            stack.start()
        self.dead_letters = self.bridge.dead_letters()
        self._stream = stack.stream(mixed_pictures(lab.dice), PER_SECOND)
        self.wait_until_stored(20)

    def rounds(self, bounded, campaign):
        """Between two, what had been held up is stored."""
        for _ in range(self.lab.rounds(bounded, campaign)):
            self.runs += 1
            yield
            self.wait_until_stored(20 + int(self.bridge.metric("spool_messages")))

    def uploads(self):
        return self.bridge.metric("uploads_total", result="stored")

    def retries(self, *reasons):
        return sum(self.bridge.metric("upload_refusals_total", reason=reason) for reason in reasons)

    def slow_uploads(self):
        """Those that took more than half a second and were stored."""
        count = self.bridge.metric("upload_seconds_count")
        return count - self.bridge.metric("upload_seconds_bucket", le="0.5")

    def wait_until_stored(self, more, within=FLOWS_AGAIN_WITHIN):
        self.wait_for_more(self.uploads, more, within, "stored")

    def wait_for_more(self, count, more, within, what):
        goal = count() + more
        wait_until(lambda: count() >= goal, within,
                   lambda: f"{goal} {what}: {count()}\n{self.bridge.tail(20)}")  # fmt: skip

    def wait_for_failures(self, *reasons, times=None, within=20):
        """The fault is seen by the bridge: so many uploads fail, for one of the reasons."""
        times = times or self.lab.dice.randint(2, 6)
        self.wait_for_more(lambda: self.retries(*reasons), times, within, f"failures by {reasons}")

    def end(self):
        self._stream.stop()

    def conclude(self, fault):
        """By itself and in time: from the end of the fault on, pictures are stored."""
        self.wait_until_stored(20)
        self.end()
        self.stack.judge.forget(self.deleted)
        assert self.runs > 0
        self.lab.conclude(fault, self.stack, self.runs, within=30)
        assert self.bridge.dead_letters() == self.dead_letters


@contextlib.contextmanager
def stack_of_the_module(folder, minio, store, **settings):
    """Started once for many cases; each begins with an empty bucket."""
    point = service.checkpoint()
    stack = Stack(folder, minio, store=store, **QUICK | settings)
    stack.bucket.keep_versions()
    yield stack
    stack.close()
    service.end_since(point)


@pytest.fixture
def new_flow(lab):
    flows = []

    def make(stack):
        flows.append(Flow(lab, stack))
        return flows[-1]

    yield make
    for flow in flows:
        flow.end()  # after a failure too, since others may go on with the stack


# The line to a real MinIO.


@pytest.fixture(scope="module")
def lined_stack(tmp_path_factory, minio, shared_store):
    """Its bridge reaches its store over `line`, one of Toxiproxy's."""
    folder = tmp_path_factory.mktemp("lined")
    line = Toxiproxy(folder / "toxiproxy").start().line_to(shared_store.port)
    with stack_of_the_module(folder, minio, shared_store, MINIO_URL=line.address) as stack:
        stack.line = line
        yield stack.start()


@pytest.fixture
def lined_flow(new_flow, lined_stack):
    lined_stack.start_afresh()
    return new_flow(lined_stack)


def away(flow, line):
    with line.cut():
        flow.wait_for_failures("could_not_connect")


def slow(flow, line):
    with line.toxic("latency", latency=800, jitter=200):
        flow.wait_for_more(flow.slow_uploads, 4, 20, "slow uploads")


def narrow(flow, line):
    # What waits in the kernel's buffers looks like a stall, so it must pass in time.
    with line.toxic("bandwidth", rate=300):
        flow.wait_for_more(flow.slow_uploads, 3, 30, "slow uploads")


def reset_in_mid_body(flow, line):
    # The slicer makes bodies last longer than the time after which the connection is reset.
    with line.toxic("slicer", average_size=4000, size_variation=1000, delay=20_000):
        with line.toxic("reset_peer", "downstream", timeout=30):
            flow.wait_for_failures("connection_reset")


def closed_in_mid_body(flow, line):
    with line.toxic("limit_data", bytes=3000):
        flow.wait_for_failures("connection_reset", "no_answer")


def answer_cut(flow, line):
    # To libcurl the part of a head is a head; without an ETag it is no store's.
    reasons = "connection_reset", "no_answer", "cut_answer", "not_s3"
    with line.toxic("limit_data", "downstream", bytes=40):
        flow.wait_for_failures(*reasons)


def black_hole(flow, line):
    with line.toxic("timeout", timeout=0):
        flow.wait_for_failures("timeout", times=1)


def answers_swallowed(flow, line):
    with line.toxic("timeout", "downstream", timeout=0):
        flow.wait_for_failures("timeout", times=1)


def half_open(flow, line):
    # All those that are open might be well if it were only half of them.
    with line.toxic("timeout", share=0.9, timeout=0):
        flow.wait_for_failures("timeout", times=1)


def dripping(flow, line):
    with line.toxic("slicer", "downstream", average_size=20, delay=40_000):
        with line.toxic("bandwidth", rate=200):
            # A first wave of batches is not confirmed in time, and then each goes alone.
            flow.wait_for_more(flow.slow_uploads, 3, 40, "slow uploads")


LINE_FAULTS = [
    (away, "store: connection refused"),
    (slow, "store: 800 ms of latency"),
    (narrow, "store: 300 KB a second for each connection"),
    (reset_in_mid_body, "store: reset in mid-body"),
    (closed_in_mid_body, "store: closed in mid-body"),
    (answer_cut, "store: answer cut on the line"),
    (black_hole, "store: what is sent vanishes"),
    (answers_swallowed, "store: answers vanish"),
    (half_open, "store: most connections dead without a sign"),
    (dripping, "store: slow drip both ways"),
]
_NAMES = [fault.__name__ for fault, _ in LINE_FAULTS]


@pytest.mark.parametrize("fault, name", LINE_FAULTS, ids=_NAMES)
def test_the_line_to_the_store_fails(lined_flow, lined_stack, fault, name):
    for _ in lined_flow.rounds(1, 15):
        fault(lined_flow, lined_stack.line)
    lined_flow.conclude(name)


def test_the_line_fails_in_one_way_after_the_other(lined_flow, lined_stack):
    faults = [fault for fault, _ in LINE_FAULTS]
    for _ in lined_flow.rounds(2, 60):
        lined_flow.lab.dice.choice(faults)(lined_flow, lined_stack.line)
    lined_flow.conclude("store: faults of the line in random succession")


# A real MinIO with troubles of its own.


@pytest.fixture
def own_flow(lab, new_flow):
    stack = lab.stack(own_store=True, **QUICK)
    stack.store.start()
    stack.bucket.keep_versions()
    return new_flow(stack)


def test_the_store_is_killed_and_comes_back(own_flow):
    store = own_flow.stack.store
    for _ in own_flow.rounds(1, 40):
        store.kill()
        own_flow.wait_for_failures("could_not_connect")
        store.start()
    own_flow.conclude("store: killed and started again")


def test_the_store_is_frozen_and_goes_on(own_flow):
    store = own_flow.stack.store
    for _ in own_flow.rounds(1, 30):
        store.send_signal(signal.SIGSTOP)
        own_flow.wait_for_failures("timeout", times=1)
        store.send_signal(signal.SIGCONT)
    own_flow.conclude("store: frozen for a while")


def test_the_credentials_are_changed_and_changed_back(own_flow):
    """Nothing is dropped, and it is said loudly."""
    store, bridge = own_flow.stack.store, own_flow.bridge
    mark = bridge.mark()
    for _ in own_flow.rounds(1, 10):
        store.kill()
        store.lock_out()
        store.start()
        own_flow.wait_for_failures("SignatureDoesNotMatch")
        bridge.wait_for_log(re.compile(r" ERROR +\S+: .*(Signature|AccessKey|403)"), since=mark)
        assert bridge.metric("store_reachable") == 0
        store.kill()
        store.let_in()
        store.start()
    own_flow.conclude("store: credentials changed and changed back")
    assert bridge.metric("store_reachable") == 1


def test_the_bucket_is_deleted_with_everything_in_it(own_flow):
    """What the deleter found in it is gone by the deleter's will; all else must be there."""
    bucket, bridge = own_flow.stack.bucket, own_flow.bridge
    listed = {}

    def nothing_new_comes():
        before = set(listed)
        listed.update(bucket.etags())
        return before == set(listed)

    def daemon_makes_it_again(since):
        # Frozen meanwhile: MinIO says 200 to an upload that it throws away with the bucket if both
        # meet in the same moment. One that had begun before and ends behind makes the bucket again.
        bridge.send_signal(signal.SIGSTOP)
        wait_until(nothing_new_comes, 10, "no upload ends any more", poll=0.1)
        own_flow.deleted |= bucket.delete_with_all_objects()
        bridge.send_signal(signal.SIGCONT)
        own_flow.wait_until_stored(5)
        return "bucket created" in bridge.said_since(since)

    for _ in own_flow.rounds(2, 40):
        mark = bridge.mark()
        wait_until(lambda: daemon_makes_it_again(mark), 20, "the daemon makes the bucket again")
    own_flow.conclude("store: bucket deleted with everything in it")


def test_the_disk_of_the_store_is_full(lab, new_flow, tmp_path, minio):
    data = tmp_path / "store" / "data"
    store = Store(tmp_path / "store", minio, wrapper=volumes.on_tmpfs(data, "512m")).start()
    stack = lab.stack(store=store, **QUICK)
    flow = new_flow(stack)
    ballast = volumes.seen_by(store.pid, data) / "ballast"
    for _ in flow.rounds(1, 15):
        volumes.fill(ballast)
        flow.wait_for_failures("XMinioStorageFull")
        ballast.unlink()
    flow.conclude("store: its disk full")


# A store that says what it is told to.


@pytest.fixture(scope="module")
def scripted_stack(tmp_path_factory, minio):
    store = ScriptedStore().start()
    with stack_of_the_module(tmp_path_factory.mktemp("scripted"), minio, store) as stack:
        yield stack.start()
    store.close()


@pytest.fixture
def scripted_flow(new_flow, scripted_stack):
    scripted_stack.start_afresh()
    return new_flow(scripted_stack)


PAGE = b"<!DOCTYPE html><html><body><h1>Please log in</h1></body></html>"
BROKEN = "connection_reset", "no_answer", "cut_answer", "not_s3"

# What the store says for a while, the reasons under which the bridge counts it, the row's name.
WRONG_ANSWERS = [
    (Answer(500, "InternalError"), ["InternalError"], "500"),
    (Answer(503, "SlowDown"), ["SlowDown"], "503 SlowDown"),
    (Answer(503, "SlowDown", headers=(("Retry-After", "2"),)), ["SlowDown"], "503, Retry-After"),
    (Answer(429, "TooManyRequests"), ["TooManyRequests"], "429"),
    (Answer(400, "RequestTimeout"), ["RequestTimeout"], "400 RequestTimeout"),
    (Answer(403, "AccessDenied"), ["AccessDenied"], "403 AccessDenied"),
    (Answer(403, "InvalidAccessKeyId"), ["InvalidAccessKeyId"], "403 InvalidAccessKeyId"),
    (Answer(507, "XMinioStorageFull"), ["XMinioStorageFull"], "507"),
    (Answer(502, body=PAGE), ["http_502"], "502 with the page of a proxy"),
    (Answer(302, body=PAGE, headers=(("Location", "/login"),)), ["http_302"], "302 to a login"),
    (Answer(200, body=PAGE), ["not_s3"], "200 of a captive portal"),
    (Answer(manner="none"), BROKEN, "stored, but no answer"),
    (Answer(503, "SlowDown", manner="none"), BROKEN, "closed without an answer"),
    (Answer(manner="half"), BROKEN, "stored, but half an answer"),
    (Answer(manner="raw", body=b"\0\xffno HTTP\r\n"), ["not_http"], "garbage for an answer"),
    (Answer(manner="drip"), ["timeout"], "stored, but the answer drips for ever"),
]
# One of these does not tell whether it is about the object or about the store.
AMBIGUOUS_ANSWERS = [
    (Answer(400, "BadDigest"), ["BadDigest"], "400 BadDigest"),
    (Answer(400, "InvalidArgument"), ["InvalidArgument"], "400 InvalidArgument"),
    (Answer(400, "NeverHeardOf"), ["http_400"], "400 with an unknown code"),
    (Answer(413, body=PAGE), ["http_413"], "413 of a proxy"),
]
ANSWERS = WRONG_ANSWERS + AMBIGUOUS_ANSWERS


@pytest.mark.parametrize("answer, reasons, name", ANSWERS, ids=[name for *_, name in ANSWERS])
def test_the_store_says_for_a_while(scripted_flow, answer, reasons, name):
    flow = scripted_flow
    for _ in flow.rounds(1, 20):
        with flow.stack.store.saying(answer):
            flow.wait_for_failures(*reasons, times=1 if answer.manner == "drip" else None)
    flow.conclude(f"store: {name}")


@pytest.mark.parametrize(
    "manner, name",
    [
        ("closing", "store: connection closed behind each answer without a word"),
        ("continuing", "store: 100 Continue though nobody asked"),
    ],
)
def test_the_store_is_odd_but_right(scripted_flow, manner, name):
    flow, store = scripted_flow, scripted_flow.stack.store
    for _ in flow.rounds(1, 10):
        connections = store.connections
        with store.saying(Answer(manner=manner)):
            flow.wait_for_more(lambda: store.said[manner], 40, 15, "answers")
        if manner == "closing":
            assert store.connections >= connections + 30
    flow.conclude(name)


def test_the_store_says_something_else_each_time(scripted_flow):
    """Every second request goes wrong, each in its own way."""
    flow, dice = scripted_flow, scripted_flow.lab.dice
    answers = [answer for answer, *_ in WRONG_ANSWERS if answer.manner != "drip"]

    def choose(_):
        return dice.choice(answers) if dice.random() < 0.5 else None

    for _ in flow.rounds(1, 20):
        with flow.stack.store.saying(choose) as said:
            before = said.total()
            flow.wait_for_more(said.total, 40, 60, "wrong answers")
            assert said.total() > before
    flow.conclude("store: every second answer wrong, at random")


def test_what_the_store_refuses_about_one_object_goes_to_the_dead_letters(scripted_flow):
    """And holds up nobody else; what is ambiguous is tried again before."""
    flow, stack = scripted_flow, scripted_flow.stack
    restart(stack.bridge, DEAD_LETTER_AFTER="2s")
    flow.dead_letters = {}
    answers = {
        "tooLarge": Answer(400, "EntityTooLarge"),
        "tooLong": Answer(400, "KeyTooLongError"),
        "tooMuch": Answer(400, "MetadataTooLarge"),
        "ambiguous": Answer(400, "InvalidArgument"),
    }

    def refused(name):
        return replace(picture(name), expectation=None, dead_letter="rejected_by_store")

    def count():
        return flow.bridge.dead_letters().get("rejected_by_store", 0)

    with stack.store.saying(lambda request: answers.get(request.key.split("_")[0])) as said:
        for number, _ in enumerate(flow.rounds(1, 40)):
            asked, before = said["InvalidArgument"], count()
            stack.publisher.send(*(refused(f"{name}_{number}") for name in answers))
            # Six refusals with others stored in between, after pauses of 1 to 16 s.
            wait_until(lambda: count() == before + len(answers), 120, "all are in the dead letters")
            assert said["InvalidArgument"] >= asked + 6
    flow.dead_letters["rejected_by_store"] = count()
    flow.conclude("store: 400s about single objects")
    restart(stack.bridge, DEAD_LETTER_AFTER=None)


@pytest.mark.parametrize("days, name", [(1, "ahead"), (-1, "behind")])
def test_the_clock_of_the_store_is_wrong_and_mended(scripted_flow, days, name):
    flow, store = scripted_flow, scripted_flow.stack.store

    def seen():
        return flow.bridge.metric("store_clock_offset_seconds")

    for _ in flow.rounds(1, 10):
        for offset in (days * DAY, 0):
            store.clock_offset = offset
            wait_until(lambda: abs(seen() - offset) < 60, 20, "the bridge has seen its clock")
            flow.wait_until_stored(20)
    flow.conclude(f"store: its clock a day {name}, then mended")


# The clock of the machine.


@pytest.mark.parametrize("days, name", [("+1d", "ahead"), ("-1d", "behind")])
def test_the_clock_of_the_daemon_is_wrong(lab, new_flow, days, name):
    libraries = glob.glob("/usr/lib/*/faketime/libfaketimeMT.so.1")
    assert libraries, "libfaketime is missing: scripts/install-deps test"
    stack = lab.stack(**QUICK, LD_PRELOAD=libraries[0], FAKETIME=days, DONT_FAKE_MONOTONIC="1")
    flow = new_flow(stack)
    for _ in flow.rounds(1, 1):
        said = flow.bridge.wait_for_log(re.compile(r"refused our clock.*offset_seconds=(-?\d+)"))
        off = int(said.group(1)) + (DAY if days == "+1d" else -DAY)
        assert abs(off) < 60
    flow.conclude(f"store: the daemon's clock a day {name}")
