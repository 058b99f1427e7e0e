"""The status page and /status: what a stranger is told, who may see what, and who may act."""

import contextlib
import html
import json
import re
import time

import pytest
from harness.messages import Message, picture, pictures
from harness.scripted_store import Answer, ScriptedStore
from harness.waiting import wait_until

TOPIC = "ia/rawImage/a/b"
TOKEN = "the-token-of-this-test"
QUICK = {"RETRY_MAX_DELAY": "500ms", "STORE_CONNECT_TIMEOUT": "1s"}


def told(bridge, warning_id, within=20):
    """Waits until that warning is on the page, and returns (warning, document)."""

    def find():
        document = bridge.status()
        found = [each for each in document["warnings"] if each["id"] == warning_id]
        return (found[0], document) if found else None

    warning, document = wait_until(
        find, within, lambda: f"warning {warning_id}: {bridge.status()['warnings']}"
    )
    page = html.unescape(bridge.request("/")[2])
    # It goes on: a minute may pass between the two.
    for part in (warning["cause"], warning["remedy"]):
        assert without_numbers(part) in without_numbers(page)
    return warning, document


def without_numbers(text):
    return re.sub(r"[\d,.]+", "#", text)


def wait_until_well(bridge, within=20):
    wait_until(
        lambda: bridge.status()["state"] == "well", within, lambda: bridge.status()["sentence"]
    )


def test_all_is_well(new_stack):
    stack = new_stack().start()
    wait_until_well(stack.bridge)
    assert "no picture has come yet" in stack.bridge.status()["sentence"]
    stack.publisher.send(*pictures(5))
    stack.assert_exactly_stored()
    stack.bridge.wait_until_spool_is_empty()
    document = stack.bridge.status()
    assert document["state"] == "well", document["warnings"]
    assert document["sentence"].startswith("All is well: ")
    assert document["queue"]["accounts"]["stored"] == 5
    assert document["store"] | {"address": stack.store.address, "bucket": stack.bucket_name,
                                "state": "reachable"} == document["store"]  # fmt: skip
    assert document["broker"]["connected"] and document["broker"]["subscribed"]
    status, headers, page = stack.bridge.request("/")
    assert (status, headers["Content-Type"]) == (200, "text/html; charset=utf-8")
    assert "All is well: " in page and stack.bucket_name in page


def test_broker_down(new_stack):
    stack = new_stack(**QUICK).start()
    stack.broker.stop()
    warning, document = told(stack.bridge, "broker_unreachable")
    assert document["state"] == "trouble"
    assert document["sentence"].startswith("Broker unreachable for ")
    assert f"127.0.0.1:{stack.broker.port}" in warning["cause"]
    assert document["stages"] | {"broker": "trouble", "store": "well"} == document["stages"]
    stack.broker.start()
    wait_until_well(stack.bridge)


def test_broker_refuses_the_login(new_stack):
    stack = new_stack(**QUICK, MQTT_USERNAME="bridge", MQTT_PASSWORD="canary-password")
    stack.broker.allow_only("bridge", "another")
    stack.broker.start()
    stack.bridge.start()
    warning, document = told(stack.bridge, "broker_refuses_login")
    assert "MQTT_PASSWORD" in warning["remedy"]
    assert document["sentence"].startswith("Broker refuses our login for ")
    assert "canary" not in json.dumps(document) + stack.bridge.request("/")[2]


def test_store_down_then_a_wrong_key_then_well(new_stack):
    stack = new_stack(own_store=True, **QUICK).start()
    bridge = stack.bridge
    stack.publisher.send(*pictures(3))
    stack.assert_exactly_stored()
    stack.store.stop()
    stack.publisher.send(*pictures(40))
    warning, document = told(bridge, "store_unreachable")
    assert document["state"] == "trouble"
    assert "Nothing answers at " + stack.store.address in warning["cause"]
    wait_until(
        lambda: re.match(
            r"Store unreachable for \d+ s; 40 pictures \(\d+ kB\) are safe in the queue",
            bridge.status()["sentence"],
        ),
        10,
        lambda: bridge.status()["sentence"],
    )
    # Twenty seconds on, it is foretold; the sentence of the issue.
    wait_until(lambda: bridge.status()["forecast"]["full_in_seconds"], 25, "a forecast")
    assert "; at the present rate the queue is full in " in bridge.status()["sentence"]
    stack.store.lock_out()
    stack.store.start()
    warning, document = told(bridge, "store_refuses_key")
    assert document["sentence"].startswith("Store refuses our key for ")
    assert "MINIO_SECRET_KEY" in warning["remedy"]
    assert document["store"]["trouble"]["code"] == "SignatureDoesNotMatch"
    assert stack.store.secret_key not in json.dumps(document) + bridge.request("/")[2]
    stack.store.stop()
    stack.store.let_in()
    stack.store.start()
    stack.assert_exactly_stored()
    wait_until_well(bridge)


def test_a_full_queue(new_stack):
    stack = new_stack(own_store=True, SPOOL_MAX_BYTES="2MiB", **QUICK).start()
    stack.store.stop()
    stack.publisher.send(*pictures(200, size=20_000))
    warning, document = told(stack.bridge, "queue_full")
    assert "SPOOL_MAX_BYTES" in warning["cause"]
    assert "no new pictures are taken" in document["sentence"]
    assert document["queue"]["bound"] == "at_cap"
    assert document["queue"]["used_bytes"] <= 2 * 1024 * 1024
    assert document["stages"]["queue"] == "trouble"
    stack.store.start()
    stack.assert_exactly_stored(within=30)
    stack.bridge.wait_until_spool_is_empty()
    wait_until_well(stack.bridge)


def test_a_disk_with_nothing_to_spare(new_stack):
    stack = new_stack(SPOOL_MIN_FREE_BYTES="1000TiB", **QUICK)
    stack.broker.start()
    stack.bridge.start()
    stack.broker.wait_for_subscription("ia/rawImage/#")
    stack.publisher.publish(picture())
    warning, document = told(stack.bridge, "disk_full")
    assert "SPOOL_MIN_FREE_BYTES" in warning["cause"]
    assert str(stack.bridge.spool_dir) in warning["cause"]
    assert document["sentence"].startswith("Disk full for ")


def test_a_clock_that_is_wrong(new_stack, store_ahead):
    stack = new_stack(store=store_ahead, **QUICK).start()
    stack.publisher.send(picture())
    stack.assert_exactly_stored()
    warning, document = told(stack.bridge, "clock_wrong")
    assert warning["title"] in ("Our clock is 3 h behind the store's", "Our clock is 2 h 59 min behind the store's")
    assert "NTP" in warning["remedy"]
    assert document["state"] == "attention"
    assert abs(document["store"]["clock_offset_seconds"] - 3 * 3600) < 5


def test_a_clock_that_the_store_still_takes(new_stack):
    with contextlib.closing(ScriptedStore().start()) as store:
        store.clock_offset = -120
        stack = new_stack(store=store, **QUICK).start()
        stack.publisher.send(picture())
        warning, document = told(stack.bridge, "clock_wrong")
        assert warning["title"] in ("Our clock is 2 min ahead of the store's", "Our clock is 1 min 59 s ahead of the store's")
        assert document["state"] == "attention"


@pytest.fixture
def choosy(new_stack):
    """A stack whose store can be told what to refuse."""
    with contextlib.closing(ScriptedStore().start()) as store:
        yield new_stack(store=store, UPLOAD_BATCHES="False", **QUICK).start()


def camera(number, count, size=12_000):
    return [picture(f"cam{number}/{index}", size=size) for index in range(count)]


def test_a_prefix_that_is_refused_while_others_flow(choosy):
    stack, bridge = choosy, choosy.bridge
    denied = Answer(403, "AccessDenied")
    with stack.store.saying(lambda request: denied if request.key.startswith("cam2/") else None):
        for one, other in zip(camera(1, 31), camera(2, 31)):
            stack.publisher.send(one, other)
        wait_until(lambda: bridge.status()["store"]["refused_messages"] == 31, 20, "all are refused")
        stack.publisher.send(picture("cam1/last"))
        wait_until(lambda: bridge.status()["store"]["uploads"]["stored"] == 32, 10, "others flow")
        warning, document = told(bridge, "objects_refused")
        assert document["state"] == "attention"
        assert document["stages"] | {"store": "attention", "upload": "well"} == document["stages"]
        title = r"\d+ pictures under cam2/ are refused for \d+ s: AccessDenied"
        assert re.fullmatch(title, warning["title"]), warning["title"]
        assert warning["cause"].startswith("Others flow. ")
        assert f"s3:PutObject on arn:aws:s3:::{stack.bucket_name}/cam2/*" in warning["remedy"]
        assert re.search(title, document["sentence"])
        (refusal,) = [one for one in document["store"]["refusals"] if one["of"] == "prefix"]
        assert (refusal["prefix"], refusal["code"], refusal["http_status"]) == ("cam2/", "AccessDenied", 403)
        assert set(document["store"]["uploads"]["refused"]) == {"ambiguous"}
        metrics = bridge.metrics()
        assert metrics.sum("mqtt_to_blob_refused_messages") == 31
        assert metrics.value("mqtt_to_blob_refusal_oldest_age_seconds") > 0
        assert re.search(title, bridge.request("/")[2])
    stack.assert_exactly_stored()
    wait_until_well(bridge)
    assert bridge.metrics().value("mqtt_to_blob_refusal_oldest_age_seconds") == 0


def test_a_size_that_a_proxy_refuses_is_never_unreachable(choosy):
    stack, bridge = choosy, choosy.bridge
    page = Answer(413, body=b"<html><center>413 Request Entity Too Large</center><center>nginx</center></html>")
    seen = []
    with stack.store.saying(lambda request: page if request.key.startswith("large") else None):
        large = [picture(f"large_{number}", size=700_000) for number in range(8)]
        small = [picture(f"small_{number}") for number in range(40)]
        stack.publisher.send(*large, *small)
        wait_until(lambda: len(stack.bucket.etags()) == 40, 20, "the small ones are stored")

        def is_told():
            seen.append(bridge.status())
            return any(one["id"] == "objects_refused" for one in seen[-1]["warnings"])

        wait_until(is_told, 20, lambda: bridge.status()["sentence"])
        warning, _ = told(bridge, "objects_refused")
        assert re.search(r"are? refused for \d+ s: HTTP 413", warning["title"]), warning["title"]
        assert "client_max_body_size" in warning["remedy"]
        assert not any("nreachable" in json.dumps(document) for document in seen)
    stack.assert_exactly_stored()
    wait_until_well(bridge)


def test_a_slow_line(new_stack):
    stack = new_stack(UPLOAD_BANDWIDTH_LIMIT="20kB").start()
    stream = stack.stream((picture(size=20_000) for _ in range(1000)), per_second=5)
    warning, document = told(stack.bridge, "slow_line", within=40)
    stream.stop()
    assert document["state"] == "attention"
    assert document["sentence"].startswith("Pictures come faster than they leave; ")
    assert "UPLOAD_BANDWIDTH_LIMIT" in warning["remedy"]
    assert re.search(r"pictures a second come, .* leave \(\d+ kB a second\)", warning["cause"])


def test_bad_messages_are_told_and_shown_and_nothing_of_them_is_believed(new_stack):
    stack = new_stack(TOPIC="ia/#").start()
    evil = '<img src=x onerror=alert(1)>{{rows}}"\''
    topic = 'ia/<script>alert("topic")</script>'
    stack.publisher.send(Message(topic, evil.encode()), Message(TOPIC, b"\xff\xfe\x00binary"))
    wait_until(lambda: stack.bridge.metric("dead_letters") == 2, 10, "two dead letters")
    warning, document = told(stack.bridge, "dead_letters")
    assert warning["title"] == "2 messages could not become pictures"
    assert "not_json 2" in warning["cause"]
    newest, oldest = document["dead_letters"]["latest"]
    assert oldest["topic"] == topic and oldest["reason"] == "not_json"
    page = stack.bridge.request("/")[2]
    assert "<script>alert" not in page and "<img" not in page
    assert html.escape(topic, quote=False).split('"')[0] in page
    status, headers, body = stack.bridge.request(f"/dead-letters/{oldest['id']}")
    assert (status, headers["Content-Type"]) == (200, "application/json")
    assert json.loads(body)["text"] == evil
    binary = json.loads(stack.bridge.request(f"/dead-letters/{newest['id']}")[2])
    assert bytes.fromhex(binary["hex"]) == b"\xff\xfe\x00binary"


def test_a_large_payload_is_shown_in_part(new_stack):
    stack = new_stack().start()
    stack.publisher.send(Message(TOPIC, b"x" * 5_000_000))
    wait_until(lambda: stack.bridge.metric("dead_letters") == 1, 10, "a dead letter")
    (letter,) = stack.bridge.status()["dead_letters"]["latest"]
    shown = json.loads(stack.bridge.request(f"/dead-letters/{letter['id']}")[2])
    assert shown["payload_bytes"] == 5_000_000
    assert shown["shown_bytes"] == len(shown["text"]) == 16_384


def test_letters_are_replayed_and_dropped_with_the_token(new_stack):
    stack = new_stack(MAX_MESSAGE_BYTES="5kB")
    secret = stack.folder / "token"
    secret.write_text(TOKEN + "\n")
    stack.bridge = stack.new_bridge("bridge", STATUS_TOKEN_FILE=secret)
    bridge = stack.start().bridge
    good = picture(size=9_000)
    bad = Message(TOPIC, b"never a picture")
    stack.new_publisher(judged=False).send(good, bad)
    wait_until(lambda: bridge.metric("dead_letters") == 2, 10, "two dead letters")
    too_large, rubbish = sorted(
        (letter["id"] for letter in bridge.status()["dead_letters"]["latest"])
    )
    for token in ("", "wrong", TOKEN[:-1], TOKEN + "x"):
        assert bridge.act("drop", [too_large], token) == 401
    assert bridge.act("drop", [too_large], TOKEN, Origin="http://evil.example") == 403
    assert bridge.act("drop", [too_large], TOKEN, **{"Content-Type": "text/plain"}) == 415
    assert bridge.metric("dead_letters") == 2

    bridge.stop()
    stack.bridge = bridge = stack.new_bridge("bridge", STATUS_TOKEN=TOKEN, MAX_MESSAGE_BYTES=None)
    bridge.start_subscribed()
    assert bridge.act("replay", [too_large], TOKEN) == 200
    wait_until(lambda: stack.bucket.read(good.expectation.key), 10, "the picture is stored")
    assert stack.bucket.read(good.expectation.key).sha256 == good.expectation.sha256
    assert bridge.act("drop", [rubbish], TOKEN) == 200
    wait_until_well(bridge)
    assert bridge.status()["queue"]["accounts"]["dropped"] == 1
    assert bridge.log_text().count("dead letters were moved from the status page") == 2
    everything = bridge.log_text() + bridge.request("/")[2] + bridge.request("/metrics")[2]
    assert TOKEN not in everything + json.dumps(bridge.status())


def test_without_a_token_there_are_no_actions(new_stack):
    stack = new_stack().start()
    stack.publisher.send(Message(TOPIC, b"bad"))
    wait_until(lambda: stack.bridge.metric("dead_letters") == 1, 10, "a dead letter")
    for token in ("", "anything-that-is-long"):
        assert stack.bridge.act("drop", [1], token) == 404
    assert stack.bridge.metric("dead_letters") == 1
    assert stack.bridge.status()["access"] == {"actions": False, "content": "open"}


def test_the_last_pictures_are_shown_as_they_are(new_stack):
    stack = new_stack().start()
    sent = picture(size=30_000)
    stack.publisher.send(sent)
    stack.assert_exactly_stored()
    (shown,) = wait_until(lambda: stack.bridge.status()["pictures"], 10, "a picture")
    assert shown["key"] == sent.expectation.key
    status, headers, body = stack.bridge.request(f"/pictures/{shown['number']}", binary=True)
    assert (status, body) == (200, sent.expectation.body)
    assert headers["Content-Type"] == "image/jpeg"
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert stack.bridge.status_of("/pictures/99") == 404


def test_pictures_can_be_switched_off(new_stack):
    stack = new_stack(STATUS_THUMBNAILS="False").start()
    stack.publisher.send(picture())
    stack.assert_exactly_stored()
    stack.bridge.wait_until_spool_is_empty()
    assert stack.bridge.status()["pictures"] == []
    assert stack.bridge.status_of("/pictures/1") == 404


def test_beyond_the_loopback_content_is_for_those_with_the_token(new_stack):
    stack = new_stack()
    port = stack.bridge.status_port
    stack.bridge.settings["STATUS_ADDRESS"] = f"0.0.0.0:{port}"
    stack.start()
    bridge = stack.bridge
    stack.publisher.send(picture(), Message(TOPIC, b"bad"))
    stack.assert_exactly_stored()
    wait_until(lambda: bridge.metric("dead_letters") == 1, 10, "a dead letter")
    (letter,) = bridge.status()["dead_letters"]["latest"]
    path = f"/dead-letters/{letter['id']}"
    assert bridge.status_of(path) == 403
    assert bridge.status()["pictures"] == [], "by default none is kept there"
    assert bridge.status()["access"] == {"actions": False, "content": "closed"}
    bridge.stop()

    bridge.settings |= {"STATUS_TOKEN": TOKEN, "STATUS_THUMBNAILS": "True"}
    bridge.start_subscribed()
    stack.publisher.send(picture())
    stack.assert_exactly_stored()
    (shown,) = wait_until(lambda: bridge.status()["pictures"], 10, "a picture")
    bearer = {"Authorization": f"Bearer {TOKEN}"}
    for content in (path, f"/pictures/{shown['number']}"):
        assert bridge.status_of(content) == 401
        assert bridge.request(content, headers=bearer, binary=True)[0] == 200
    for open_path in ("/", "/status", "/livez", "/readyz", "/metrics"):
        assert bridge.status_of(open_path) == 200


def test_a_page_of_another_name_is_not_answered_on_the_loopback(new_stack):
    bridge = new_stack().bridge.start()
    for path, expected in (("/", 421), ("/status", 421), ("/dead-letters/1", 421), ("/livez", 200)):
        assert bridge.request(path, headers={"Host": "rebound.example.net"})[0] == expected


def test_an_idle_bridge_uses_no_processor_and_with_its_page_open_hardly_any(new_stack):
    bridge = new_stack().start().bridge

    def used():
        with open(f"/proc/{bridge.pid}/stat") as stat:
            fields = stat.read().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / 100  # seconds

    bridge.status()
    before = used()
    time.sleep(8)  # nobody looks, nothing comes
    alone = used() - before
    assert alone <= 0.05

    for _ in range(3):  # what a browser asks for in nine seconds
        bridge.status()
        bridge.request("/")
    assert used() - before - alone < 0.2


def test_pictures_under_one_key_are_counted_and_no_fault(new_stack):
    stack = new_stack().start()
    once = picture("frame")
    # One after the other: what counts is what the store had before.
    for message in [once, once, picture("other"), *[picture("frame") for _ in range(4)]]:
        stack.publisher.send(message)
        stack.bridge.wait_until_spool_is_empty()
    document = stack.bridge.status()
    assert document["state"] == "well", document["warnings"]
    assert document["store"]["overwritten"] == {
        "objects": 4, "recent_uploads": 6, "recent_keys": 2
    }  # fmt: skip
    assert stack.bridge.total("objects_overwritten_total") == 4
    assert "Pictures that replaced another under their key</th><td>4<" in stack.bridge.request("/")[2]
