"""Every kind of bad input, each between good messages that must arrive untouched."""

import base64
import errno
import json
import os
import tempfile
import urllib.parse

import pytest

from harness.messages import (
    Expectation,
    Message,
    encode_metadata,
    expectation_of,
    fields_of,
    picture,
    picture_bytes,
)
from harness.waiting import wait_until

TOPIC = "ia/rawImage/station1/camera1"
BODY = picture_bytes(600, seed=1)
MEBIBYTE = 1 << 20

TOP_FIELDS = ["timestamp_ms", "image"]
IMAGE_FIELDS = ["image_id", "image_bytes", "image_height", "image_width", "image_channels"]
INTEGER_FIELDS = ["timestamp_ms", "image_height", "image_width", "image_channels"]
TEXT_FIELDS = ["image_id", "image_bytes"]


def document(image_id="bad", /, **changes):
    """A message as text; changes replace fields by values or, given as bytes, by raw text."""
    fields = fields_of(image_id, BODY)
    raw = {}
    for name, value in changes.items():
        if isinstance(value, bytes):
            raw[f'"@{name}@"'] = value
            value = f"@{name}@"
        (fields["image"] if name in fields["image"] else fields)[name] = value
    text = json.dumps(fields).encode()
    for mark, value in raw.items():
        text = text.replace(mark.encode(), value)
    return text


def without(name):
    fields = fields_of("bad", BODY)
    del (fields["image"] if name in IMAGE_FIELDS else fields)[name]
    return json.dumps(fields).encode()


def with_base64(text):
    return document(image_bytes=text)


def cases_of_not_json():
    good = document()
    yield "one blank", b" "
    yield "plain text", b"hello"
    yield "a picture without JSON", BODY
    yield "cut in the middle", good[: len(good) // 2]
    yield "cut before the last brace", good[:-1]
    yield "trailing text", good + b"x"
    yield "trailing brace", good + b"}"
    yield "a second document", good + good
    yield "trailing NUL", good + b"\0"
    yield "a trailing comma", good[:-1] + b",}"
    yield "single quotes", good.replace(b'"', b"'")
    yield "nesting of 100,000", b"[" * 100_000 + b"]" * 100_000
    yield "an unclosed nesting", b'{"a":' * 50_000
    yield "a deep unknown field", good[:-1] + b',"x":' + b"[" * 5000 + b"]" * 5000 + b"}"
    yield "bad UTF-8 in a value", document(image_id=b'"a\xff"')
    yield "bad UTF-8 in a key", good[:-1] + b',"\xc3\x28":1}'
    yield "an overlong UTF-8 sequence", document(image_id=b'"\xc0\xaf"')
    yield "a surrogate in UTF-8", document(image_id=b'"\xed\xa0\x80"')
    yield "a raw control character", document(image_id=b'"a\nb"')
    yield "a number with a leading zero", document(image_height=b"0800")
    yield "NaN", document(image_height=b"NaN")
    yield "an unknown escape", document(image_id=b'"\\q"')


def cases_of_missing_fields():
    for name in TOP_FIELDS + IMAGE_FIELDS:
        yield f"without {name}", without(name)
    yield "an empty object", b"{}"
    yield "an empty image", json.dumps({"timestamp_ms": 1, "image": {}}).encode()
    yield "the image's fields outside", json.dumps(
        fields_of("bad", BODY)["image"] | {"timestamp_ms": 1}
    ).encode()
    yield "another case of the name", document().replace(b"image_id", b"Image_Id")


def cases_of_wrong_types():
    for name in INTEGER_FIELDS:
        for value in (b'"800"', b"true", b"null", b"1.5", b"1.0", b"1e3", b"[1]", b"{}"):
            yield f"{name} is {value.decode()}", document(**{name: value})
        for value in (b"18446744073709551616", b"-9223372036854775809", b"1" + b"0" * 400):
            yield f"{name} is {value[:22].decode()}", document(**{name: value})
    for name in TEXT_FIELDS:
        for value in (b"7", b"true", b"null", b'["a"]', b"{}"):
            yield f"{name} is {value.decode()}", document(**{name: value})
    for value in (b"null", b"[]", b'"a"', b"3"):
        yield f"image is {value.decode()}", document(image=value)
    for value in (b"[]", b"null", b"3", b'"a"', b"true", b"[{}]"):
        yield f"the document is {value.decode()}", value


def cases_of_bad_base64():
    yield "a character outside the alphabet", with_base64("AAA*")
    yield "the URL alphabet", with_base64("AA-_")
    yield "no padding", with_base64("QUI")
    yield "half the padding", with_base64("QQ=")
    yield "padding alone", with_base64("====")
    yield "padding in front", with_base64("=QUJ")
    yield "padding in the middle", with_base64("QQ==QUJD")
    yield "one character", with_base64("A")
    yield "a blank inside", with_base64("QUJD QUJD")
    yield "a blank at the end", with_base64("QUJD ")
    yield "a newline at the end", with_base64("QUJD\n")
    yield "a line break as MIME makes it", with_base64("QUJD\r\nQUJD")
    yield "non-ASCII", with_base64("QUJDü===")
    yield "a NUL", with_base64("QUJ\0")
    yield "a data URL", with_base64("data:image/jpeg;base64,QUJD")


def cases_of_bad_keys():
    yield "an empty id", ""
    yield "1,025 bytes with the extension", "/".join(["x" * 200] * 5)[:1000] + "/" + "y" * 20
    yield "a very long id", "/".join(["x" * 200] * 100)
    yield "a segment of 256 bytes", "x" * 252
    yield "a folder of 256 bytes", "x" * 256 + "/a"
    yield "a non-ASCII segment of over 255 bytes", "ü" * 127
    yield "CR LF and a header", "a\r\nx-amz-meta-forged: 1"
    yield "a newline", "a\nb"
    yield "a tab", "a\tb"
    yield "a NUL", "a\0b"
    yield "a NUL at the end", "a\0"
    yield "an escape character", "\x1b[31m"
    yield "a DEL", "a\x7f"
    yield "a leading slash", "/a"
    yield "two leading slashes", "//a"
    yield "a slash alone", "/"
    yield "an empty segment", "a//b"
    yield "a . segment", "a/./b"
    yield "a leading . segment", "./a"
    yield "a .. segment", "a/../b"
    yield "a leading .. segment", "../a"
    yield "a folder that MinIO rewrites", "a__XLDIR__/b"


@pytest.fixture
def stack(module_stack):
    """The module's running stack, with an empty bucket."""
    module_stack.start_afresh()
    return module_stack


NEVER_OBJECTS = [
    pytest.param(reason, payload, id=f"{reason}: {name}".replace("\0", "NUL"))
    for reason, cases in [
        ("not_json", cases_of_not_json()),
        ("missing_field", cases_of_missing_fields()),
        ("wrong_type", cases_of_wrong_types()),
        ("bad_base64", cases_of_bad_base64()),
        ("bad_key", ((name, document(image_id)) for name, image_id in cases_of_bad_keys())),
        ("too_large", [("one byte over the limit", document().ljust(MEBIBYTE + 1))]),
    ]
    for name, payload in cases
]


@pytest.mark.parametrize("reason, payload", NEVER_OBJECTS)
def test_what_can_never_become_an_object_goes_to_the_dead_letters(stack, reason, payload):
    before = stack.bridge.dead_letters()
    stack.publisher.send(picture(size=500), Message(TOPIC, payload), picture(size=500))
    wanted = before | {reason: before.get(reason, 0) + 1}
    wait_until(
        lambda: sum(stack.bridge.dead_letters().values()) == sum(wanted.values()),
        10,
        "one more dead letter",
    )
    assert stack.bridge.dead_letters() == wanted
    stack.assert_exactly_stored()


def stored(image_id, payload=None, body=BODY):
    """A message and the object it must become."""
    payload = payload or json.dumps(fields_of(image_id, body)).encode()
    return Message(TOPIC, payload, expectation_of(TOPIC, image_id, body))


def message_with_heigth():
    return document("heigth").replace(b"image_height", b"image_heigth")


def document_after(image_id, field):
    """A document with another field before its image_id."""
    return document(image_id).replace(b'"image_id"', field + b', "image_id"')


def reversed_document(image_id):
    fields = fields_of(image_id, BODY)
    image = dict(reversed(fields["image"].items()))
    return json.dumps({"image": image, "timestamp_ms": fields["timestamp_ms"]}).encode()


def expected_numbers(image_id, **numbers):
    expectation = expectation_of(TOPIC, image_id, BODY)
    metadata = expectation.metadata | numbers
    return Expectation(expectation.key, BODY, metadata, expectation.content_type)


LONG_ID = "/".join(["f" * 200] * 5)[:1000] + "/" + "g" * 19
BECOMES_AN_OBJECT = {
    "an empty image": stored("empty", body=b""),
    "the spelling image_heigth": stored("heigth", message_with_heigth()),
    "keys in another order": stored("order", reversed_document("order")),
    "unknown keys": stored("unknown", document("unknown")[:-1] + b',"x":{"y":[null,1.5,"z"]}}'),
    "white space around": stored("white", b" \r\n\t" + document("white") + b"\n\n"),
    "an escaped name": stored(
        "escaped", document("escaped").replace(b"image_id", b"image\\u005fid")
    ),
    "slashes escaped as PHP does": stored(
        "php",
        document("php", image_bytes=json.dumps(base64.b64encode(b"\xff" * 99).decode())
                 .replace("/", "\\/").encode()),
        body=b"\xff" * 99,
    ),
    "unused bits at the end of base64": stored(
        "bits", document("bits", image_bytes="QR=="), body=b"A"
    ),
    "a field twice": stored("twice", document_after("twice", b'"image_id": "first"')),
    "a wrong field before the right one": stored(
        "twice2", document_after("twice2", b'"image_id": 5')
    ),
    "a field twice, once escaped": stored(
        "twice3", document_after("twice3", b'"image\\u005fid": "first"')
    ),
    "the image twice": stored(
        "image-twice",
        document("image-twice").replace(b'"image":', b'"image": {"image_id": "x"}, "image":'),
    ),
    "exactly the largest message": stored("largest", document("largest").ljust(MEBIBYTE)),
    "a key of 1,024 bytes": stored(LONG_ID),
}  # fmt: skip



def longest_segment():
    """255 bytes, or what the file system holds: overlays take some for themselves, and MinIO with them."""
    with tempfile.TemporaryDirectory() as folder:
        for length in range(255, 200, -1):
            name = "x" * (length - len(".jpg")) + ".jpg"
            try:
                os.mkdir(os.path.join(folder, name))
                return name
            except OSError as error:
                if error.errno != errno.ENAMETOOLONG:
                    raise
    raise AssertionError("the file system holds no long names")


LONGEST_SEGMENT = longest_segment()

ODD_IDS = [
    "with blank", "a+b", "a=b", "50%", "a&b", "what?", "a%2Fb", "a%20b", "back\\slash", "füßchen",
    "日本語/写真", "😀", "e\u0301 is not \u00e9", "folder/picture", "a/b/c/d/e/f", "folder/", ".",
    "..", ".hidden", "a/..", "trailing.", "trailing ", " leading", "a;b,c:d@e$f!g*h'i(j)k",
    'q"<>|#{}[]^`', "~-_.",
    "x__XLDIR__", LONGEST_SEGMENT.removesuffix(".jpg"), "00-1B-44-11-3A-B7_1635351550897", "a:b", "no-break\u00a0space",
]  # fmt: skip


@pytest.mark.parametrize("name", BECOMES_AN_OBJECT)
def test_what_is_unusual_but_right_is_stored(stack, name):
    send_between_good_ones(stack, BECOMES_AN_OBJECT[name])


@pytest.mark.parametrize("image_id", ODD_IDS)
def test_an_odd_id_is_stored_under_exactly_that_key(stack, image_id):
    send_between_good_ones(stack, stored(image_id))


def send_between_good_ones(stack, message):
    before = stack.bridge.dead_letters()
    stack.publisher.send(picture(size=500), message, picture(size=500))
    stack.assert_exactly_stored()
    assert stack.bridge.dead_letters() == before


@pytest.mark.parametrize(
    "field, number",
    [
        ("timestamp_ms", "0"),
        ("timestamp_ms", "-1"),
        ("timestamp_ms", "9223372036854775807"),
        ("timestamp_ms", "-9223372036854775808"),
        ("image_height", "0"),
        ("image_width", "4294967296"),
        ("image_channels", "1"),
    ],
)
def test_a_whole_number_comes_out_as_it_went_in(stack, field, number):
    image_id = f"number-{field}-{number}"
    payload = document(image_id, **{field: number.encode()})
    expectation = expected_numbers(image_id, **{field: number})
    send_between_good_ones(stack, Message(TOPIC, payload, expectation))


@pytest.mark.parametrize(
    "topic",
    ["ia/with blank/50%", "ia/füß/日本", "ia//empty/", "ia/a=b&c?d", "ia/" + "x" * 1000],
    ids=lambda topic: topic[:20],
)
def test_the_topic_is_kept_in_the_metadata(stack, topic):
    send_between_good_ones(stack, picture(topic=topic, size=500))


@pytest.mark.parametrize(
    "topic",
    [
        "ia/" + "x" * 3000, "ia/" + "ü" * 1500, "ia/" + "/".join(["y" * 400] * 160),
        "ia/" + "z" * 65532,
    ],
    ids=["3,003 bytes", "3,003 bytes non-ASCII", "64,160 bytes", "65,535 bytes"],
)  # fmt: skip
def test_a_topic_too_long_for_the_metadata_is_cut_and_says_so(stack, topic):
    message = picture(topic=topic, size=500)
    key = message.expectation.key
    # The judge knows no cut topics: this one is compared here.
    stack.new_publisher(judged=False).send(message)
    found = wait_until(lambda: stack.bucket.read(key), 10, "it is stored")
    assert found.sha256 == message.expectation.sha256
    metadata = dict(found.metadata)
    cut = metadata.pop("mqtt_topic")
    assert metadata.pop("mqtt_topic_bytes") == str(len(topic.encode()))
    assert encode_metadata(topic).startswith(cut) and len(cut) > 1500
    assert encode_metadata(urllib.parse.unquote(cut, errors="strict")) == cut, "half a character"
    assert metadata == {
        name: value for name, value in message.expectation.metadata.items() if name != "mqtt_topic"
    }
    total = sum(len("x-amz-meta-" + name) + len(value) for name, value in found.metadata.items())
    assert total <= 2048


def test_an_id_too_long_for_the_metadata_is_told_by_the_key_alone(stack):
    image_id = "/".join(["ü" * 100] * 5)  # 1,004 bytes, and three times as many when encoded
    stack.new_publisher(judged=False).send(stored(image_id))
    key = f"{image_id}.jpg"
    found = wait_until(lambda: stack.bucket.read(key), 10, "it is stored")
    assert found.size == len(BODY)
    assert "image_id" not in found.metadata
    assert found.metadata["mqtt_topic"] == encode_metadata(TOPIC)


def test_nothing_of_the_bad_input_is_left_in_the_spool(stack):
    """Last in this file: after all of it, what came in is what went out."""
    stack.publisher.send(picture(), Message(TOPIC, b"bad"))
    stack.bridge.wait_until_spool_is_empty()
    stack.assert_exactly_stored()
    metrics = stack.bridge.metrics()
    received = metrics.sum("mqtt_to_blob_messages_received_total")
    stored_total = metrics.value("mqtt_to_blob_uploads_total", result="stored")
    assert received == stored_total + metrics.sum("mqtt_to_blob_dead_letters_total")
    assert metrics.sum("mqtt_to_blob_messages_acknowledged_total") == received
