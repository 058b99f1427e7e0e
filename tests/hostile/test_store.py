"""What stands at the store's address is not the store, or a store that means harm: nothing leaves the
spool without a proof that an S3 store has it, memory stays bounded, and it flows again afterwards."""

import contextlib
import hashlib
import itertools
import time

import pytest

from harness.impostor import Impostor, answer
from harness.messages import Message, pictures
from harness.waiting import TimedOut, wait_until

PICTURES = 50
QUICK = {"RETRY_MAX_DELAY": "100ms", "STORE_STALL_TIMEOUT": "1s", "STORE_CONNECT_TIMEOUT": "1s"}
LOCATION = b'<LocationConstraint xmlns="http://s3.amazonaws.com/doc/2006-03-01/"/>'
PAGE = b"<!DOCTYPE html><html><body>Welcome. Please log in.</body></html>"
ERROR = b"<?xml version='1.0'?><Error><Code>InternalError</Code><Message>We.</Message></Error>"


@pytest.fixture
def new_impostor(new_stack, shared_store):
    """A stack whose bridge takes the impostor for its store; the pictures wait in its spool."""
    with contextlib.ExitStack() as stays:

        def make(**settings):
            impostor = stays.enter_context(Impostor(shared_store.port))
            stack = new_stack(MINIO_URL=f"127.0.0.1:{impostor.port}", **QUICK | settings)
            return stack, impostor

        yield make


def begin(stack, count=PICTURES):
    stack.broker.start()
    stack.bridge.start_subscribed()
    stack.publisher.send(*pictures(count, size=2000))
    stack.bridge.wait_until_acknowledged(count)


def kept(stack):
    return stack.bridge.metric("spool_messages")


def etag(request):
    return f'"{request.md5}"'


# A PUT may be answered in each of these ways, and none of them says that the bytes are stored.
LIES = {
    "a page": lambda r: answer(200, PAGE, Content_Type="text/html"),
    "a page with nginx's ETag": lambda r: answer(200, PAGE, Server="nginx", ETag='"65f0a1b2-264"'),
    "an ETag of another object": lambda r: answer(ETag='"9dd4e461268c8034f5c8564e155c67a6"'),
    "a weak ETag": lambda r: answer(ETag="W/" + etag(r)),
    "a weak ETag of something else": lambda r: answer(ETag='W/"65f0a1b2-264"'),
    "an empty ETag": lambda r: answer(ETag='""'),
    "nothing as ETag": lambda r: answer(ETag=""),
    "two ETags": lambda r: answer(ETag=[etag(r), '"other"']),
    "no ETag": lambda r: answer(),
    "no content": lambda r: f"HTTP/1.1 204 No\r\nETag: {etag(r)}\r\n\r\n".encode(),
    "created": lambda r: answer(201, ETag=etag(r)),
    "accepted": lambda r: answer(202, ETag=etag(r)),
    "partial": lambda r: answer(206, ETag=etag(r)),
    "an error": lambda r: answer(200, ERROR, ETag=etag(r), Content_Type="application/xml"),
    "two lengths": lambda r: iter([answer(ETag=etag(r), Content_Length=[0, 5])]),
    "two other lengths": lambda r: iter([answer(ETag=etag(r), Content_Length=[5, 0])]),
    "a body without end": lambda r: endless(answer(ETag=etag(r), Content_Length=1 << 40)),
    "a body until the end": lambda r: endless(f"HTTP/1.1 200 OK\r\nETag: {etag(r)}\r\n\r\n".encode()),
    "compressed": lambda r: answer(200, b"\x1f\x8b", ETag=etag(r), Content_Encoding="gzip"),
    "half a head": lambda r: iter([answer(ETag=etag(r))[:-2]]),
    "its own headers back": lambda r: answer(**{n.replace("-", "_"): v for n, v in r.headers.items()
                                                if n.startswith("x-amz") or n == "content-type"}),
    "the checksum back": lambda r: answer(ETag='"65f0a1b2-264"', x_amz_checksum_sha256=checksum(r)),
    "the checksum back, and hex as ETag": lambda r: answer(
        ETag='"9dd4e461268c8034f5c8564e155c67a6"', Server="MinIO", x_amz_checksum_sha256=checksum(r)),
    "all headers back, and an ETag": lambda r: answer(ETag='"65f0a1b2-264"', **mirrored(r)),
    "all headers back, and the MD5": lambda r: answer(ETag=etag(r), **mirrored(r)),
    "the checksum of all, the MD5 of a part": lambda r: answer(
        ETag=f'"{hashlib.md5(r.body[:-1]).hexdigest()}"', x_amz_checksum_sha256=checksum(r)),
    "a page and the checksum back": lambda r: answer(
        200, PAGE, ETag='"65f0a1b2-264"', Content_Type="text/html", x_amz_checksum_sha256=checksum(r)),
    "a page and the MD5": lambda r: answer(200, PAGE, ETag=etag(r), Content_Type="text/html"),
    "from a cache": lambda r: answer(ETag=etag(r), Age="30"),
    "another checksum": lambda r: answer(ETag=etag(r), x_amz_checksum_sha256="A" * 43 + "="),
    "a redirect": lambda r: answer(302, PAGE, Location="https://login.example/", ETag=etag(r)),
}  # fmt: skip


def checksum(request):
    return request.headers.get("x-amz-checksum-sha256", "")


def mirrored(request):
    of_the_connection = ("content-length", "host")
    return {n.replace("-", "_"): v for n, v in request.headers.items() if n not in of_the_connection}


def endless(beginning, part=b"x" * 65536):
    return itertools.chain([beginning], itertools.repeat(part))


def lying_about(lie):
    """What says the right thing about the bucket, and lies about each object."""

    def says(request):
        if request.method == "GET":
            return answer(200, LOCATION)
        if request.method == "HEAD":
            return answer(200, ETag='"9dd4e461268c8034f5c8564e155c67a6"', Content_Length=2000)
        return lie(request)

    return says


def test_no_lie_about_an_upload_takes_a_picture_away(new_impostor):
    stack, impostor = new_impostor()
    with impostor.saying(lying_about(LIES["a page"])):
        begin(stack)
    for name, lie in LIES.items():
        with impostor.saying(lying_about(lie)):
            wait_until(lambda: impostor.uploads >= 3, 20, lambda: f"three lies: {name}\n{stack.bridge.tail()}")
            assert kept(stack) == PICTURES, name
    stack.assert_exactly_stored()
    assert stack.bridge.dead_letters() == {}


@pytest.mark.parametrize("echoes", [True, False], ids=["and the checksum", "alone"])
def test_who_keeps_heads_and_no_bodies_takes_nothing_away(new_impostor, echoes):
    stack, impostor = new_impostor()
    kept_heads = {}

    def says(request):
        fixed = {"ETag": '"9dd4e461268c8034f5c8564e155c67a6"'}
        if request.method == "HEAD":
            return answer(200, **fixed, **kept_heads.get(request.target, {}))
        if request.method == "GET":
            return answer(200, b"" if request.target in kept_heads else LOCATION)
        head = {n.replace("-", "_"): v for n, v in request.headers.items() if n.startswith("x-amz-meta-")}
        kept_heads[request.target] = head | {"Content_Length": len(request.body)}
        if echoes:
            fixed |= {"x_amz_checksum_sha256": checksum(request)}
        return answer(**fixed)

    with impostor.saying(says):
        begin(stack)
        wait_until(lambda: impostor.requests["HEAD"] >= 3, 20, lambda: f"it is asked\n{stack.bridge.tail()}")
        assert kept(stack) == PICTURES
    stack.assert_exactly_stored()
    assert stack.bridge.dead_letters() == {}


def test_a_captive_portal_is_sent_no_picture_until_the_store_answers_again(new_impostor):
    stack, impostor = new_impostor()
    # As nginx with `error_page 404 403 405 =200 /index.html`.
    portal = lambda request: answer(
        200, b"" if request.method == "HEAD" else PAGE, Server="nginx/1.22.1",
        Content_Type="text/html", ETag='"65f0a1b2-40"', Content_Length=len(PAGE))  # fmt: skip
    with impostor.saying(portal):
        begin(stack)
        wait_until(lambda: impostor.requests["GET"] >= 10, 20, "it is asked about the bucket")
        assert impostor.uploads == 0
        assert kept(stack) == PICTURES
        said = stack.bridge.log_text()
        assert "not_s3" in said and "everything is kept" in said
        assert "nginx/1.22.1" in said and "text/html" in said and "MINIO_URL" in said
        status = stack.bridge.status()["store"]
        assert status["state"] != "reachable", status
    stack.assert_exactly_stored(10)
    assert stack.bridge.dead_letters() == {}


def test_a_portal_that_comes_later_takes_nothing(new_impostor):
    stack, impostor = new_impostor()
    begin(stack)
    stack.assert_exactly_stored()
    with impostor.saying(lambda request: answer(200, PAGE, ETag='"65f0a1b2-40"', Content_Type="text/html")):
        stack.publisher.send(*pictures(PICTURES, size=2000))
        stack.bridge.wait_until_acknowledged(2 * PICTURES)
        wait_until(lambda: impostor.requests["GET"] >= 5, 20, "it is asked about the bucket")
        assert kept(stack) == PICTURES
    stack.assert_exactly_stored(10)


def test_a_portal_takes_no_dead_letter(new_impostor):
    stack, impostor = new_impostor(DEAD_LETTER_PREFIX="letters/")

    def stored():
        return [key for key in stack.bucket.etags() if key.startswith("letters/")]

    with impostor.saying(lying_about(LIES["an ETag of another object"])):
        stack.broker.start()
        stack.bridge.start_subscribed()
        stack.publisher.send(*(Message("ia/rawImage/x", b"no json %d" % number) for number in range(3)))
        wait_until(lambda: impostor.uploads >= 5, 20, "the letters are offered")
        assert stack.bridge.metric("dead_letters") == 3
    wait_until(lambda: stack.bridge.metric("dead_letters") == 0, 10, "the letters are stored")
    assert len(stored()) == 3


def test_lying_heads_confirm_no_batch(new_impostor):
    stack, impostor = new_impostor(UPLOAD_BATCHES=True, UPLOAD_LIVE_SHARE=0)
    archives = []
    heads = itertools.cycle([
        dict(ETag='"65f0a1b2-40"'), dict(ETag='W/"65f0a1b2-40"'), dict(ETag='""'), {},
        dict(ETag='"9dd4e461268c8034f5c8564e155c67a6"', Content_Type="image/jpeg"),
    ])  # fmt: skip

    def says(request):
        if request.method == "HEAD":
            return answer(200, Server="MinIO", Content_Length=2000, **next(heads))
        if request.method == "GET":
            return answer(200, LOCATION, Server="MinIO")
        if request.target.endswith(".tar"):
            archives.append(request.target)
            return answer(Server="MinIO", ETag='"9dd4e461268c8034f5c8564e155c67a6"')
        return answer(503, Server="MinIO")

    with impostor.saying(lambda request: answer(503)):
        begin(stack, 4 * PICTURES)
        assert stack.bridge.stop() == 0
    with impostor.saying(says):
        for _ in range(10):  # one that is refused alone before a batch is full stops all uploads
            stack.bridge.start_subscribed()
            with contextlib.suppress(TimedOut):
                wait_until(lambda: archives, 2, "a batch is sent")
                break
            stack.bridge.stop()
        wait_until(lambda: impostor.requests["HEAD"] >= 8, 20, "a batch is looked at")
        wait_until(lambda: impostor.uploads > len(archives) + 2, 20, "each goes alone")
        assert kept(stack) == 4 * PICTURES
    stack.assert_exactly_stored()


# Bytes without an end, wherever an answer can have them.

CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
FLOODS = {
    "headers": (b"HTTP/1.1 200 OK\r\n", b"X-Header: some value\r\n" * 3000),
    "one header": (b"HTTP/1.1 200 OK\r\nX: ", b"x" * 65536),
    "interim answers": (b"", b"HTTP/1.1 103 Early Hints\r\nLink: <x>\r\n\r\n" * 1500),
    "body": (b"HTTP/1.1 200 OK\r\nContent-Length: 1099511627776\r\n\r\n", b"x" * 65536),
    "body of a redirect": (b"HTTP/1.1 307 R\r\nLocation: /\r\nContent-Length: 1099511627776\r\n\r\n", b"x" * 65536),
    "body of an error": (b"HTTP/1.1 503 E\r\nContent-Length: 1099511627776\r\n\r\n", b"x" * 65536),
    "chunks": (CHUNKED, b"1\r\nx\r\n" * 10000),
    "chunk extension": (CHUNKED + b"1;", b"x" * 65536),
    "chunk extensions": (CHUNKED, (b"1;" + b"x" * 4000 + b"\r\nx\r\n") * 16),
    "trailers": (CHUNKED + b"0\r\n", b"X-Trailer: some value\r\n" * 3000),
    "one trailer": (CHUNKED + b"0\r\nX: ", b"x" * 65536),
}  # fmt: skip
_MEBIBYTE = 1 << 20


def cpu_seconds(bridge):
    fields = open(f"/proc/{bridge.pid}/stat").read().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / 100


def test_no_answer_without_an_end_takes_memory_or_time(new_impostor):
    stack, impostor = new_impostor()
    begin(stack)
    stack.assert_exactly_stored()
    idle = stack.bridge.private_bytes()
    stack.publisher.send(*pictures(20, size=2000))
    for name, (beginning, part) in FLOODS.items():
        with impostor.saying(lambda request: endless(beginning, part)):
            if name == "headers":
                stack.publisher.send(*pictures(20, size=2000))
            begun, used = time.monotonic(), cpu_seconds(stack.bridge)
            wait_until(lambda: sum(impostor.requests.values()) >= 4, 30, lambda: f"{name}\n{stack.bridge.tail()}")
            time.sleep(0.5)  # what is received meanwhile must not pile up
            share = (cpu_seconds(stack.bridge) - used) / (time.monotonic() - begun)
            assert stack.bridge.private_bytes() < idle + 32 * _MEBIBYTE, name
            assert share < 0.8, (name, share)
    stack.assert_exactly_stored()
    assert stack.bridge.dead_letters() == {}


def test_an_answer_that_drips_while_the_upload_stands_still_is_given_up(new_impostor):
    """The store reads no more of the picture and answers two bytes a second: to libcurl no stall."""
    stack, impostor = new_impostor()
    begin(stack, 1)
    stack.assert_exactly_stored()

    def drips(request):
        if request.method == "GET":
            yield answer(200, LOCATION)
            return
        yield b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n"
        while True:
            time.sleep(0.2)
            yield b"x"

    with impostor.saying(drips, reads_bodies=False):
        stack.publisher.send(*pictures(1, size=20_000_000))
        wait_until(lambda: impostor.uploads >= 2, 30, lambda: f"it comes again: {impostor.requests}")
    stack.assert_exactly_stored()
