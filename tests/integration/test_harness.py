"""The harness itself, without the daemon: a judge that misses something would prove nothing."""

import dataclasses
import http.client
import re

import botocore.auth
import botocore.awsrequest
import botocore.credentials
import paho.mqtt.client as paho
import pytest

from harness.broker import Broker
from harness.dead_letters import DeadLetter
from harness.judge import Judge
from harness.messages import encode_metadata, picture, pictures, undecodable
from harness.metrics import Metrics
from harness.mqtt import PUBLISH
from harness.proxy import OldBrokerProxy
from harness.publisher import Publisher
from harness.scripted_store import Answer, ScriptedStore
from harness.waiting import TimedOut, wait_until
from harness.wire import TO_CLIENT, TO_SERVER, MqttWire, Witness


@pytest.fixture
def judged_bucket(shared_store):
    """Ten messages that are expected and stored as they should be."""
    bucket = shared_store.bucket(shared_store.new_bucket())
    bucket.create()
    judge = Judge(bucket)
    expectations = [message.expectation for message in pictures(10, size=2000)]
    for expectation in expectations:
        judge.expect(expectation)
        _store(bucket, expectation)
    return judge, bucket, expectations


def _store(bucket, expectation, key=None, **changed):
    expectation = dataclasses.replace(expectation, **changed)
    bucket.put(
        key or expectation.key, expectation.body, expectation.metadata, expectation.content_type
    )


def test_the_judge_is_content_with_what_is_right(judged_bucket):
    judge, _, _ = judged_bucket
    assert judge.verdict().is_good
    judge.assert_exactly_stored(within=1)


def test_the_judge_notices_a_missing_object(judged_bucket):
    judge, bucket, expectations = judged_bucket
    bucket.delete(expectations[3].key)
    verdict = judge.verdict()
    assert not verdict.is_good
    assert verdict.missing == [expectations[3].key]
    with pytest.raises(AssertionError, match="1 missing"):
        judge.assert_exactly_stored(within=0.3)


def test_the_judge_notices_what_is_wrong_with_the_dead_letters(judged_bucket):
    judge, _, _ = judged_bucket
    messages = [undecodable() for _ in range(5)]
    for message in messages:
        judge.acknowledged(message)
    letters = [DeadLetter(n, m.dead_letter, m.payload) for n, m in enumerate(messages)]
    assert judge.verdict_with_letters([*letters, letters[0]]).is_good
    assert judge.verdict_with_letters(letters).letters == len(messages)

    missing = judge.verdict_with_letters(letters[1:])
    assert not missing.is_good
    assert missing.missing_letters == [messages[0].payload]
    wrong_reason = dataclasses.replace(letters[0], reason="damaged")
    assert not judge.verdict_with_letters([wrong_reason, *letters[1:]]).is_good
    stranger = judge.verdict_with_letters([*letters, DeadLetter(9, "not_json", b"stranger")])
    assert stranger.unexpected_letters == [b"stranger"]
    assert not stranger.is_good


def test_the_judge_notices_a_bucket_that_is_missing(shared_store):
    judge = Judge(shared_store.bucket(shared_store.new_bucket()))
    message = picture()
    judge.acknowledged(message)
    assert judge.verdict().missing == [message.expectation.key]


def test_the_judge_notices_one_differing_byte(judged_bucket):
    judge, bucket, expectations = judged_bucket
    body = bytearray(expectations[4].body)
    body[1234] ^= 1
    _store(bucket, expectations[4], body=bytes(body))
    verdict = judge.verdict()
    assert not verdict.is_good
    assert list(verdict.differing) == [expectations[4].key]
    with pytest.raises(AssertionError, match="1 differing"):
        judge.assert_exactly_stored(within=0.3)


def test_the_judge_notices_a_cut_object(judged_bucket):
    judge, bucket, expectations = judged_bucket
    _store(bucket, expectations[5], body=expectations[5].body[:-1])
    assert list(judge.verdict().differing) == [expectations[5].key]


def test_the_judge_notices_an_unexpected_object(judged_bucket):
    judge, bucket, expectations = judged_bucket
    _store(bucket, expectations[0], key="stranger.jpg")
    verdict = judge.verdict()
    assert verdict.unexpected == ["stranger.jpg"]
    with pytest.raises(AssertionError, match="1 unexpected"):
        judge.assert_exactly_stored(within=1)


def test_what_is_allowed_may_be_missing_but_not_wrong(judged_bucket):
    judge, bucket, _ = judged_bucket
    absent, stored, wrong = pictures(3)
    for message in (absent, stored, wrong):
        judge.allow(message)
    _store(bucket, stored.expectation)
    assert judge.verdict().is_good
    _store(bucket, wrong.expectation, body=b"another")
    assert list(judge.verdict().differing) == [wrong.expectation.key]


def test_what_was_judged_before_may_come_again(judged_bucket):
    judge, bucket, expectations = judged_bucket
    judge.turn_page()
    bucket.delete(expectations[0].key)
    assert judge.verdict().is_good
    assert judge.expected_count == 0


@pytest.mark.parametrize("version, qos", [("3.1.1", 1), ("5", 1), ("5", 2)])
def test_the_witness_tells_what_was_acknowledged_and_no_more(tmp_path, shared_store, version, qos):
    """The client is killed before it acknowledges the last one."""
    broker = Broker(tmp_path / "broker").start()
    judge = Judge(shared_store.bucket(shared_store.new_bucket()))
    witness = Witness(judge)
    first, last = witness.watch(pictures(2))
    with MqttWire(broker.port) as wire, Publisher(broker) as publisher:
        wire.rules.append(witness)
        protocol = {"3.1.1": paho.MQTTv311, "5": paho.MQTTv5}[version]
        client = paho.Client("client", protocol=protocol)
        client.connect("127.0.0.1", wire.port)
        client.subscribe("ia/#", qos)
        client.loop_start()
        broker.wait_for_subscription("ia/#")
        publisher.send(first, qos=qos)
        wait_until(lambda: judge.expected_count == 1, 10, "the first one is acknowledged")
        wire.pause(TO_SERVER)
        publisher.send(last, qos=qos)
        wait_until(lambda: wire.passed[TO_CLIENT, PUBLISH] == 2, 10, "the last one has come")
        client.loop_stop()
        wire.cut()
    assert judge.verdict().missing == [first.expectation.key]
    broker.end()


@pytest.mark.parametrize("change", ["other value", "missing", "additional"])
def test_the_judge_notices_wrong_metadata(judged_bucket, change):
    judge, bucket, expectations = judged_bucket
    metadata = dict(expectations[6].metadata)
    if change == "other value":
        metadata["image_width"] = "1204"
    elif change == "missing":
        del metadata["mqtt_topic"]
    else:
        metadata["colour"] = "blue"
    _store(bucket, expectations[6], metadata=metadata)
    assert list(judge.verdict().wrong_metadata) == [expectations[6].key]
    with pytest.raises(AssertionError, match="1 wrong_metadata"):
        judge.assert_exactly_stored(within=1)


def test_the_judge_notices_a_wrong_content_type(judged_bucket):
    judge, bucket, expectations = judged_bucket
    _store(bucket, expectations[7], content_type="application/octet-stream")
    assert list(judge.verdict().wrong_content_type) == [expectations[7].key]


def test_the_judge_refuses_to_judge_nothing(shared_store):
    judge = Judge(shared_store.bucket(shared_store.new_bucket()))
    with pytest.raises(AssertionError, match="prove nothing"):
        judge.assert_exactly_stored(within=1)


def test_the_judge_lets_the_later_of_two_messages_with_one_key_win(shared_store):
    bucket = shared_store.bucket(shared_store.new_bucket())
    bucket.create()
    judge = Judge(bucket)
    earlier, later = picture("same", size=500), picture("same", size=500)
    judge.acknowledged(earlier)
    judge.acknowledged(later)
    _store(bucket, later.expectation)
    assert judge.verdict().is_good
    _store(bucket, earlier.expectation)
    assert list(judge.verdict().differing) == ["same.jpg"]


@pytest.mark.parametrize(
    "key", ["a b", "a+b=%&?c", "back\\slash", "földer/日本", "x" * 200, "a'(b)!*~", 'q"<>|#;,@$']
)
def test_the_store_client_keeps_every_key_as_it_is(shared_store, key):
    bucket = shared_store.bucket(shared_store.new_bucket())
    bucket.create()
    message = picture(key)
    judge = Judge(bucket)
    judge.acknowledged(message)
    _store(bucket, message.expectation)
    judge.assert_exactly_stored(within=1)


def test_metadata_is_encoded_as_documented():
    assert encode_metadata("ia/raw image/50%+ü") == "ia/raw%20image/50%25+%C3%BC"


def test_the_publisher_counts_only_what_the_broker_acknowledged(tmp_path):
    broker = Broker(tmp_path).start()
    taken = []
    try:
        with Publisher(broker, judge=_Recorder(taken)) as publisher:
            publisher.send(*pictures(20, size=100))
            assert (publisher.acknowledged, len(taken)) == (20, 20)
            broker.stop()
            late = picture(size=100)
            publisher.publish(late)
            with pytest.raises(AssertionError, match="did not acknowledge 1"):
                publisher.wait_until_acknowledged(within=0.5)
            assert late not in taken
            broker.start()
            publisher.wait_until_acknowledged(within=10)
            assert taken[-1] is late
    finally:
        broker.end()


class _Recorder:
    def __init__(self, taken):
        self.acknowledged = taken.append


def test_the_broker_keeps_a_session_over_a_restart(tmp_path):
    broker = Broker(tmp_path).start()
    try:
        received = []
        subscriber = paho.Client("subscriber", clean_session=False)
        subscriber.on_message = lambda client, userdata, message: received.append(message.payload)
        subscriber.connect("127.0.0.1", broker.port)
        subscriber.subscribe("ia/#", qos=1)
        subscriber.loop_start()
        broker.wait_for_subscription("ia/#")
        assert ("subscriber", 1, "ia/#") in broker.subscriptions()
        subscriber.disconnect()
        subscriber.loop_stop()
        messages = pictures(1500, size=100)
        with Publisher(broker) as publisher:
            publisher.send(*messages)
        assert broker.stop() == 0
        broker.start()
        subscriber.reconnect()
        subscriber.loop_start()
        wait_until(lambda: len(received) >= 1500, 10, lambda: f"all come: {len(received)}")
        assert received == [message.payload for message in messages]
        subscriber.disconnect()
        subscriber.loop_stop()
    finally:
        broker.end()


def _first_connection(port, version):
    """The CONNACK code of one attempt, or None where there was no answer."""
    codes = []
    client = paho.Client("probe", protocol=version)
    client.on_connect = lambda client, userdata, flags, code, *_: codes.append(
        getattr(code, "value", code)
    )
    client.on_disconnect = lambda *_: codes.append(None)
    client.connect("127.0.0.1", port)
    client.loop_start()
    wait_until(lambda: codes, 5, "an answer", poll=0.01)
    client.disconnect()
    client.loop_stop()
    return codes[0]


@pytest.mark.parametrize("answer", ["code", "close"])
def test_the_proxy_knows_nothing_newer_than_3_1_1(tmp_path, answer):
    broker = Broker(tmp_path).start()
    try:
        with OldBrokerProxy(broker, answer) as proxy:
            assert _first_connection(proxy.port, paho.MQTTv5) != 0
            assert _first_connection(proxy.port, paho.MQTTv311) == 0
            assert proxy.levels == [5, 4]
    finally:
        broker.end()


def test_a_service_can_be_killed_and_started_again_on_the_same_port(tmp_path):
    broker = Broker(tmp_path).start()
    try:
        first = broker.pid
        assert broker.kill() == -9
        assert not broker.running
        broker.start()
        assert broker.pid != first
    finally:
        broker.end()
    assert not broker.running


def test_a_wait_says_what_it_waited_for():
    with pytest.raises(TimedOut, match="not within 0.1 s: the moon"):
        wait_until(lambda: False, 0.1, "the moon")


def test_the_metrics_reader_refuses_what_prometheus_refuses():
    good = (
        "# HELP a_total Help.\n# TYPE a_total counter\n"
        'a_total{x="1",y="q\\"\\\\"} 3\na_total{x="2"} 4\n'
        "# HELP h_seconds Help.\n# TYPE h_seconds histogram\n"
        'h_seconds_bucket{le="0.1"} 1\nh_seconds_bucket{le="+Inf"} 2\n'
        "h_seconds_sum 3.5\nh_seconds_count 2\n"
    )
    metrics = Metrics(good)
    assert metrics.sum("a_total") == 7
    assert metrics.value("a_total", x="2") == 4
    assert metrics.value("h_seconds_count") == 2
    for wrong in (
        good[:-1],
        good.replace('le="+Inf"} 2', 'le="+Inf"} 0'),
        good.replace("# TYPE a_total counter\n", ""),
        good.replace('x="2"', 'x="1",y="q\\"\\\\"'),
        good.replace(" 4\n", " four\n"),
        good.replace('x="2"', "x=2"),
        good.replace("h_seconds_count 2", "h_seconds_count 3"),
    ):
        with pytest.raises((AssertionError, ValueError, KeyError)):
            Metrics(wrong)


def _signed_put(store, path, body=b"picture", sent=None, secret=None, unsigned=None):
    """(status, S3 error code) of a PUT as botocore signs it, with `sent` as its real body."""
    request = botocore.awsrequest.AWSRequest("PUT", f"http://{store.address}{path}", data=body)
    credentials = botocore.credentials.Credentials(store.access_key, secret or store.secret_key)
    botocore.auth.S3SigV4Auth(credentials, "s3", "us-east-1").add_auth(request)
    headers = dict(request.headers) | (unsigned or {})
    connection = http.client.HTTPConnection(store.address, timeout=5)
    try:
        connection.request("PUT", path, body if sent is None else sent, headers)
        answer = connection.getresponse()
        code = re.search(rb"<Code>(\w+)</Code>", answer.read())
        return answer.status, code.group(1).decode() if code else ""
    finally:
        connection.close()


def test_the_scripted_store_refuses_what_a_real_one_would():
    store = ScriptedStore().start()
    try:
        bucket = store.bucket("pictures")
        assert _signed_put(store, "/pictures/a.jpg") == (404, "NoSuchBucket")
        assert _signed_put(store, "/pictures", b"") == (200, "")
        assert _signed_put(store, "/pictures/a%20b.jpg") == (200, "")
        assert list(bucket.etags()) == ["a b.jpg"]
        assert bucket.read("a b.jpg").size == len(b"picture")

        wrong = "/pictures/wrong.jpg"
        assert _signed_put(store, wrong, secret="x") == (403, "SignatureDoesNotMatch")
        assert _signed_put(store, wrong, sent=b"pictura") == (400, "XAmzContentSHA256Mismatch")
        other_host = {"Host": "elsewhere"}
        assert _signed_put(store, wrong, unsigned=other_host) == (403, "SignatureDoesNotMatch")
        for day in (-86400, 86400, 16 * 60):
            store.clock_offset = day
            assert _signed_put(store, wrong) == (403, "RequestTimeTooSkewed")
        store.clock_offset = 14 * 60
        assert _signed_put(store, "/pictures/a%20b.jpg") == (200, "")
        assert list(bucket.etags()) == ["a b.jpg"]
        assert bucket.surplus_versions() == 1
    finally:
        store.close()


def test_the_scripted_store_says_what_it_is_told_to():
    store = ScriptedStore().start()
    try:
        _signed_put(store, "/pictures", b"")
        with store.saying(Answer(503, "SlowDown")) as said:
            assert _signed_put(store, "/pictures/a.jpg") == (503, "SlowDown")
        assert said["SlowDown"] == 1
        assert store.bucket("pictures").etags() == {}
        with store.saying(Answer(manner="none")), pytest.raises(http.client.RemoteDisconnected):
            _signed_put(store, "/pictures/lost.jpg")
        assert list(store.bucket("pictures").etags()) == ["lost.jpg"]
        with store.saying(Answer(manner="reset")), pytest.raises(ConnectionError):
            _signed_put(store, "/pictures/reset.jpg", bytes(32 << 20))
        with store.saying(Answer(403, "AccessDenied"), everything=True):
            assert _signed_put(store, "/more", b"") == (403, "AccessDenied")
        assert [(request.bucket, request.key) for request in store.requests] == [("more", "")]
        assert list(store.bucket("pictures").etags()) == ["lost.jpg"]
    finally:
        store.close()
