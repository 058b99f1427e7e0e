"""Refused objects, prefixes, keys and stores: what is refused stops nothing else, waits as long as it
takes, and is stored once the refusal ends."""

import contextlib
import itertools
import random
import re
import time
from dataclasses import dataclass, replace

import pytest

from harness import service
from harness.messages import picture
from harness.minio_users import MinioUser
from harness.nginx import Nginx
from harness.scripted_store import Answer, ScriptedStore
from harness.stack import Stack
from harness.waiting import TimedOut, stays_true, wait_until

MEBIBYTE = 1 << 20
OTHERS_WITHIN = 15  # seconds: "within seconds of their arrival", on a busy machine
STORED_WITHIN = 90  # seconds after the end of a refusal
FLOWS_AGAIN_WITHIN = 15  # seconds after the end of a refusal of everything; a promise of the project
PAGE = b"<html><head><title>No</title></head><body><center><h1>No</h1></center></body></html>"
DENIED = Answer(403, "AccessDenied")
KILLED = pytest.mark.parametrize("killed", [False, True], ids=["running", "killed"])


def pictures_under(prefix, count, size=12_000):
    return [picture(f"{prefix}{number}", size=size) for number in range(count)]


class Trial:
    """Of a stack whose store refuses some of what is sent, and never the others."""

    def __init__(self, stack):
        self.stack = stack
        self.bridge = stack.bridge
        if self.bridge.running:
            stack.start_afresh()
        else:
            stack.start()
        self._dead_letters = self.bridge.metric("dead_letters")

    def stored(self, messages):
        """How many of them."""
        etags = self.stack.bucket.etags()
        wanted = (message.expectation for message in messages)
        return sum(etags.get(each.key) == each.md5 for each in wanted)

    def send_refused(self, messages, refusals=3):
        """Returns once all of them wait, and the store has refused so many uploads."""
        waiting, refused = self.bridge.metric("spool_messages"), self._refused()
        self.stack.publisher.send(*messages)
        wait_until(lambda: self.bridge.metric("spool_messages") >= waiting + len(messages), 30,
                   "all that is refused is in the spool")  # fmt: skip
        self._wait_for_refusals(refused + refusals)

    def kill_bridge(self):
        """While uploads are refused; returns once the next life has met that too."""
        self.bridge.kill()
        self.bridge.start()
        self._wait_for_refusals(1)

    def assert_others_flow(self, messages):
        self.stack.publisher.send(*messages)
        wait_until(
            lambda: self.stored(messages) == len(messages),
            OTHERS_WITHIN,
            lambda: f"the others are stored: {self.stored(messages)} of {len(messages)}; "
            f"{self.bridge.status()['sentence']}",
            poll=0.2,
        )

    def conclude(self, dead_letters=0):
        """After the end of the refusal: each message is stored, as the last of its key."""
        self.bridge.wait_until_spool_is_empty(STORED_WITHIN)
        assert self.bridge.metric("dead_letters") == self._dead_letters + dead_letters
        self.stack.assert_exactly_stored()

    def _refused(self):
        """How many uploads."""
        stored = self.bridge.metric("uploads_total", result="stored")
        return self.bridge.total("uploads_total") - stored

    def _wait_for_refusals(self, count):
        wait_until(lambda: self._refused() >= count, 30,
                   lambda: f"{count} refusals: {self._refused()}")  # fmt: skip


@contextlib.contextmanager
def scripted_stack(folder, minio, **settings):
    """With a store of its own that says what it is told to."""
    point = service.checkpoint()
    with contextlib.closing(ScriptedStore().start()) as store:
        stack = Stack(folder, minio, store=store, **settings)
        stack.bucket.keep_versions()
        yield stack
        stack.close()
        service.end_since(point)


@pytest.fixture
def new_scripted(tmp_path, minio):
    """Makes one such stack."""
    with contextlib.ExitStack() as stays:
        yield lambda **settings: stays.enter_context(scripted_stack(tmp_path, minio, **settings))


@pytest.fixture(scope="module")
def shared_scripted(tmp_path_factory, minio):
    with scripted_stack(tmp_path_factory.mktemp("scripted"), minio, RETRY_MAX_DELAY="1s") as stack:
        yield stack.start()


def refusing(answer, prefix):
    """Says so to uploads of keys that begin so."""
    return lambda request: answer if request.key.startswith(prefix) else None


# Real refusals.


@KILLED
@pytest.mark.time_limit(240)
def test_a_proxy_with_a_limit_for_bodies(new_stack, shared_store, tmp_path, killed):
    nginx = Nginx(tmp_path / "nginx", shared_store.port).start()
    trial = Trial(new_stack(MINIO_URL=nginx.address))
    large = pictures_under("large/", 8, size=5 * MEBIBYTE)
    trial.send_refused(large)
    if killed:
        trial.kill_bridge()
    trial.assert_others_flow(pictures_under("small/", 40))
    assert trial.stored(large) == 0
    nginx.raise_body_limit("20m")
    trial.conclude()


@KILLED
@pytest.mark.time_limit(240)
def test_a_key_that_may_write_one_prefix_alone(new_stack, shared_store, killed):
    name, secret = f"camera-{killed}", "secret-of-the-camera"
    stack = new_stack(MINIO_ACCESS_KEY=name, MINIO_SECRET_KEY=secret)
    stack.bucket.create()

    def writes(objects):
        bucket = stack.bucket_name
        return [(["s3:GetBucketLocation"], [bucket]),
                (["s3:PutObject", "s3:GetObject"], [f"{bucket}/{objects}"])]  # fmt: skip

    user = MinioUser(shared_store, name, secret, *writes("cam1/*"))
    trial = Trial(stack)
    denied = pictures_under("cam2/", 200, size=100_000)
    trial.send_refused(denied)
    if killed:
        trial.kill_bridge()
    trial.assert_others_flow(pictures_under("cam1/", 200, size=100_000))
    assert trial.stored(denied) == 0
    user.may(*writes("*"))
    trial.conclude()


# Refusals of some objects, each in its own way. Those of one camera, or some of a camera's.

CAMERA, SOME = "cam2/", "cam1/refused-"
REFUSALS = [
    ("403 AccessDenied", DENIED, CAMERA),
    ("403 with the page of a firewall", Answer(403, body=PAGE), SOME),
    ("401 InvalidAccessKeyId", Answer(401, "InvalidAccessKeyId"), CAMERA),
    ("500 InternalError", Answer(500, "InternalError"), SOME),
    ("500 without a body", Answer(500, body=b""), SOME),
    ("501 NotImplemented", Answer(501, "NotImplemented"), SOME),
    ("502 with the page of a proxy", Answer(502, body=PAGE), CAMERA),
    ("503 SlowDown", Answer(503, "SlowDown"), CAMERA),
    ("507 XMinioStorageFull", Answer(507, "XMinioStorageFull"), SOME),
    ("400 InvalidRequest", Answer(400, "InvalidRequest"), SOME),
    ("400 with an unknown code", Answer(400, "NeverHeardOf"), SOME),
    ("400 quota", Answer(400, "XMinioAdminBucketQuotaExceeded"), CAMERA),
    ("404 NoSuchBucket", Answer(404, "NoSuchBucket"), SOME),
    ("404 with a page", Answer(404, body=PAGE), CAMERA),
    ("409 OperationAborted", Answer(409, "OperationAborted"), SOME),
    ("413 with the page of a proxy", Answer(413, body=PAGE), SOME),
    ("429 TooManyRequests", Answer(429, "TooManyRequests"), CAMERA),
    ("302 to a login", Answer(302, body=PAGE, headers=(("Location", "/login"),)), CAMERA),
    ("reset after the headers", Answer(manner="reset"), SOME),
]


@pytest.mark.parametrize("answer, refused", [row[1:] for row in REFUSALS],
                         ids=[row[0] for row in REFUSALS])  # fmt: skip
@pytest.mark.time_limit(240)
def test_some_are_refused_and_the_others_flow(shared_scripted, answer, refused):
    trial = Trial(shared_scripted)
    held_up = pictures_under(refused, 30, size=700_000)
    with shared_scripted.store.saying(refusing(answer, refused)):
        trial.send_refused(held_up)
        trial.assert_others_flow(pictures_under("cam1/", 40))
        assert trial.stored(held_up) == 0
    trial.conclude()


@pytest.mark.time_limit(240)
def test_one_of_two_gateways_does_not_know_the_key(new_scripted):
    stack = new_scripted(DEAD_LETTER_AFTER="1s", RETRY_MAX_DELAY="100ms")
    trial = Trial(stack)
    dice = random.Random(17)
    unknown = Answer(404, "XAdminUserNotFound")
    with stack.store.saying(lambda _: unknown if dice.random() < 0.5 else None, everything=True):
        stack.publisher.send(*pictures_under("cam1/", 300))
        stack.bridge.wait_until_acknowledged(300)
        stack.bridge.wait_until_spool_is_empty(180)
    assert stack.store.said["XAdminUserNotFound"] > 100
    trial.conclude()


# Refusals of everything. It takes half a minute to count requests, so all of them are tried at a time.

GROWN_AFTER = 5  # seconds, in which pauses grow
WATCHED = 30  # seconds
MOST_REQUESTS = 25  # meanwhile; pauses of up to 8 s with full jitter are 4 s in the mean


def no_bucket_can_be_made(request):
    return Answer(404, "NoSuchBucket") if request.key or request.method == "GET" else DENIED


# What is said, and whether to everything or to uploads alone.
OF_EVERYTHING = {
    "wrong secret key": (Answer(403, "SignatureDoesNotMatch"), True),
    "unknown access key": (Answer(403, "InvalidAccessKeyId"), True),
    "nothing allowed": (DENIED, True),
    "no upload allowed": (DENIED, False),
    "no bucket and none can be made": (no_bucket_can_be_made, True),
    "store full": (Answer(507, "XMinioStorageFull"), False),
    "store busy": (Answer(503, "SlowDown"), True),
    "page of a proxy": (Answer(413, body=PAGE), False),
}


@dataclass
class Seen:
    """Of a bridge that has everything refused for a while."""

    requests: int  # while WATCHED
    dead_letters: dict
    status: dict
    first_stored_after: float = float("inf")  # seconds from the end of the refusal
    late: str = ""  # what is not stored at last


@pytest.fixture(scope="module")
def seen(tmp_path_factory, minio):
    """name -> Seen"""
    with contextlib.ExitStack() as stays:
        stacks = {}
        for name in OF_EVERYTHING:
            folder = tmp_path_factory.mktemp("refused")
            stacks[name] = stays.enter_context(scripted_stack(folder, minio)).start()
            stacks[name].publisher.send(picture("cam1/before"))
            stacks[name].assert_exactly_stored()
        with contextlib.ExitStack() as refusals:
            for name, (said, everything) in OF_EVERYTHING.items():
                refusals.enter_context(stacks[name].store.saying(said, everything))
                for camera, size in (("cam1/", 12_000), ("cam2/", 2000), ("cam3/", 100_000)):
                    stacks[name].publisher.send(*pictures_under(camera, 20, size))
            begin = time.monotonic() + GROWN_AFTER
            stays_true(lambda: all(stack.bridge.running for stack in stacks.values()),
                       GROWN_AFTER + WATCHED, "all bridges live")  # fmt: skip
            found = {name: watched(stack, begin) for name, stack in stacks.items()}
        note_returns(stacks, found)
        yield found


def watched(stack, begin):
    arrivals = [request.arrived - begin for request in stack.store.requests]
    return Seen(
        requests=sum(0 <= arrival < WATCHED for arrival in arrivals),
        dead_letters=stack.bridge.dead_letters(),
        status=stack.bridge.status(),
    )


def note_returns(stacks, found):
    end = time.monotonic()
    away = dict(stacks)

    def all_are_back():
        for name, stack in list(away.items()):
            if len(stack.bucket.etags()) > 1:
                found[name].first_stored_after = time.monotonic() - end
                del away[name]
        return not away

    with contextlib.suppress(TimedOut):  # told by the test of its case
        wait_until(all_are_back, 2 * FLOWS_AGAIN_WITHIN, "all flow again")
    for name, stack in stacks.items():
        try:
            stack.judge.wait_until_all_stored(FLOWS_AGAIN_WITHIN)
        except TimedOut as late:
            found[name].late = str(late)


@pytest.mark.parametrize("name", OF_EVERYTHING)
@pytest.mark.time_limit(240)
def test_where_everything_is_refused_it_is_asked_seldom_and_kept(seen, name):
    assert 1 <= seen[name].requests <= MOST_REQUESTS
    assert seen[name].dead_letters == {}
    assert seen[name].first_stored_after <= FLOWS_AGAIN_WITHIN
    assert not seen[name].late


@pytest.mark.parametrize("name", OF_EVERYTHING)
@pytest.mark.time_limit(240)
def test_who_answers_is_not_called_unreachable(seen, name):
    status = seen[name].status
    assert status["state"] != "well"
    assert "unreachable" not in status["sentence"].lower()


@pytest.mark.time_limit(120)
def test_nothing_is_asked_before_the_time_that_the_store_names(new_scripted):
    stack = new_scripted(RETRY_MAX_DELAY="500ms")
    trial = Trial(stack)
    later = Answer(503, "SlowDown", headers=(("Retry-After", "3"),))
    with stack.store.saying(later, everything=True):
        stack.publisher.send(picture("cam1/first"))
        wait_until(lambda: stack.store.requests, 15, "the first request")
        stack.publisher.send(*pictures_under("cam2/", 20))
        wait_until(lambda: len(stack.store.requests) >= 4, 60, "it is tried again")
        arrivals = [request.arrived for request in stack.store.requests]
    pauses = [later - earlier for earlier, later in itertools.pairwise(arrivals)]
    # They are from arrival to arrival, as far as the store's threads are on time.
    assert min(pauses) > 2.9, [round(pause, 2) for pause in pauses]
    trial.conclude()


# One key, several messages.


@KILLED
@pytest.mark.parametrize(
    "choose",
    [refusing(DENIED, "cam2/"),
     lambda request: Answer(413, body=PAGE) if request.size > 100_000 else None],
    ids=["all of its prefix", "the first for its size"],
)  # fmt: skip
@pytest.mark.time_limit(240)
def test_the_last_of_a_key_stands_though_the_first_was_refused(shared_scripted, choose, killed):
    trial = Trial(shared_scripted)
    first, *later = [picture("cam2/a", size=size) for size in (300_000, 5000, 4000)]
    with shared_scripted.store.saying(choose):
        trial.send_refused([first])
        if killed:
            trial.kill_bridge()
        trial.send_refused(later, refusals=0)
        trial.assert_others_flow(pictures_under("cam1/", 40))
        if killed:
            trial.kill_bridge()
        assert first.expectation.key not in shared_scripted.bucket.etags(), "a later one overtook it"
    trial.conclude()


# One object that is at fault itself.


@pytest.mark.time_limit(240)
def test_only_what_is_at_fault_itself_becomes_a_dead_letter(new_scripted):
    stack = new_scripted(DEAD_LETTER_AFTER="1s", RETRY_MAX_DELAY="500ms")
    trial = Trial(stack)
    never = {
        "denied": DENIED,
        "too large": Answer(413, body=PAGE),
        "unknown user": Answer(404, "XAdminUserNotFound"),
        "quota": Answer(400, "XMinioAdminBucketQuotaExceeded"),
    }
    answers = {"at fault": Answer(400, "InvalidArgument")} | never
    asked = stack.store.said

    def choose(request):
        return answers.get(request.key.removesuffix(".jpg"))

    def each_is_tried_as_often():
        assert stack.bridge.total("dead_letters_total") <= 1, "one of the others became a dead letter"
        return all(asked[answer.name] >= 6 for answer in never.values())

    with stack.store.saying(choose):
        stream = stack.stream((picture(f"cam1/{number}") for number in itertools.count()), 10)
        at_fault = replace(picture("at fault"), expectation=None, dead_letter="rejected_by_store")
        stack.publisher.send(at_fault, *(picture(name) for name in never))
        wait_until(lambda: stack.bridge.dead_letters(), 120, "a dead letter")
        wait_until(each_is_tried_as_often, 120, lambda: f"each is tried again and again: {asked}")
        stream.stop()
    trial.conclude(dead_letters=1)
    assert asked["InvalidArgument"] >= 6
    assert stack.bridge.dead_letters() == {"rejected_by_store": 1}


# What is said about it.


@pytest.mark.parametrize(
    "answer, code", [(DENIED, "AccessDenied"), (Answer(413, body=PAGE), "413")], ids=["403", "413"]
)
@pytest.mark.time_limit(240)
def test_the_page_names_what_is_refused_while_others_flow(new_scripted, answer, code):
    stack = new_scripted()
    trial = Trial(stack)

    def state():
        return stack.bridge.status()["state"]

    def sentence():
        return stack.bridge.status()["sentence"]

    def names_it(text):
        return re.search(rf"\b{code}\b(?! pictures)|cam2/", text)

    with stack.store.saying(refusing(answer, "cam2/")):
        trial.send_refused(pictures_under("cam2/", 31))
        stream = stack.stream((picture(f"cam1/{number}") for number in itertools.count()), 5)
        wait_until(lambda: names_it(sentence()), 60, lambda: f"the page names it: {sentence()}")
        stays_true(lambda: state() != "well" and names_it(sentence()), 10, sentence)
        assert "unreachable" not in sentence().lower()
        stream.stop()
    trial.conclude()
    wait_until(lambda: state() == "well", STORED_WITHIN, sentence)
