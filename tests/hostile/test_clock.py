"""Whoever answers in the store's place names a time. The bridge signs with no time that the store
could not read, and comes back to the right one as soon as the store itself answers."""

import email.utils
import itertools
import time

import pytest

from harness.impostor import Impostor, answer
from harness.messages import pictures
from harness.waiting import wait_until

HEALS_WITHIN = 10  # seconds after the store is back; a promise of the project
LOCATION = b"<LocationConstraint/>"

DATES = {
    "absent": None,
    "unparsable": "yesterday",
    "1970": "Thu, 01 Jan 1970 00:00:00 GMT",
    "2099": "Mon, 07 Dec 2099 00:00:00 GMT",
    "9999": "Fri, 31 Dec 9999 23:59:59 GMT",
    "10000": "Sat, 01 Jan 10000 00:00:00 GMT",
    "beyond": "Thu, 01 Jan 292277026596 00:00:00 GMT",
}


def error(code, message="scripted"):
    return f"<Error><Code>{code}</Code><Message>{message}</Message></Error>".encode()


def naming(date, believes):
    """Refuses our time and names another; one that `believes` takes what is signed with that."""
    headers = {} if date is None else {"Date": date}
    refusals = itertools.cycle([True, not believes])

    def says(request):
        if next(refusals):
            return answer(403, error("RequestTimeTooSkewed"), **headers)
        return answer(200, LOCATION if request.method == "GET" else b"", **headers)

    return says


@pytest.fixture
def clocked(new_stack, shared_store):
    with Impostor(shared_store.port) as impostor:
        yield new_stack(MINIO_URL=f"127.0.0.1:{impostor.port}"), impostor


def assert_heals(stack, stored):
    begun = time.monotonic()
    wait_until(lambda: stack.bridge.metric("uploads_total", result="stored") > stored, 3 * HEALS_WITHIN,
               lambda: f"pictures flow\n{stack.bridge.tail()}", poll=0.02)  # fmt: skip
    assert time.monotonic() - begun < HEALS_WITHIN


def test_no_foreign_time_outlasts_who_named_it(clocked):
    stack, impostor = clocked
    stack.broker.start()
    stack.bridge.start_subscribed()
    stack.publisher.send(*pictures(3))
    stack.assert_exactly_stored()
    begun = time.monotonic()
    for date, believes in itertools.product(DATES.values(), (False, True)):
        stored = stack.bridge.metric("uploads_total", result="stored")
        with impostor.saying(naming(date, believes)):
            stack.publisher.send(*pictures(3))
            wait_until(lambda: sum(impostor.requests.values()) >= 3, 30, lambda: f"it is named: {date}")
        assert_heals(stack, stored)
        stack.assert_exactly_stored()
    lines = stack.bridge.log_text().count("refused our clock")
    assert lines <= 4 * (1 + (time.monotonic() - begun) // 30), lines
    assert stack.bridge.dead_letters() == {}


# What a store says of a time that is not its own, MinIO aside, which the test above has.
REFUSALS = [
    (403, "RequestTimeTooSkewed"), (400, "MalformedDate"), (403, "AccessDenied"), (403, "RequestExpired"),
    (400, "AuthorizationHeaderMalformed"), (403, "SignatureDoesNotMatch"), (400, "InvalidArgument"),
    (400, "InvalidRequest"), (403, ""), (401, ""),
]  # fmt: skip


@pytest.mark.parametrize("dated", [True, False], ids=["with a Date", "without one"])
def test_every_refusal_that_may_come_from_the_clock_leads_back(clocked, dated):
    """Behind a peer that made us sign with another time, the store does not say what is wrong."""
    stack, impostor = clocked
    stack.broker.start()
    stack.bridge.start_subscribed()
    for status, code in REFUSALS:
        believed = []

        def insists(request):
            if not request.headers["x-amz-date"].startswith("2099"):
                return answer(403, error("RequestTimeTooSkewed"), Date=DATES["2099"])
            believed.append(request)
            return answer(200, LOCATION if request.method == "GET" else b"", Date=DATES["2099"])

        with impostor.saying(insists):
            stack.publisher.send(*pictures(1))
            wait_until(lambda: len(believed) >= 2, 60, "the time is taken: the next request has it too")
        stored = stack.bridge.metric("uploads_total", result="stored")
        refused = []

        def says(request):
            if request.headers["x-amz-date"].startswith("2099"):
                refused.append(request)
                date = {"Date": email.utils.formatdate(usegmt=True)} if dated else {}
                return answer(status, error(code) if code else b"", **date)
            if request.method == "GET":
                return answer(200, LOCATION)
            return answer(ETag=f'"{request.md5}"', x_amz_checksum_sha256=request.headers["x-amz-checksum-sha256"])

        with impostor.saying(says):
            assert_heals(stack, stored)
        assert refused, code
    stack.bridge.wait_until_spool_is_empty()
    assert stack.bridge.dead_letters() == {}
