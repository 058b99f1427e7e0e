"""Messages of the productImage model, and what each must become."""

import base64
import hashlib
import itertools
import json
import random
from dataclasses import dataclass, field

JPEG_START = b"\xff\xd8\xff\xe0\x00\x10JFIF\x00"

_numbers = itertools.count(1)


def encode_metadata(text):
    """Metadata as documented: bytes outside printable ASCII, the blank and % become %XX."""
    return "".join(
        chr(byte) if 0x21 <= byte <= 0x7E and byte != 0x25 else f"%{byte:02X}"
        for byte in text.encode()
    )


@dataclass(frozen=True)
class Expectation:
    """The object that a message must become."""

    key: str
    body: bytes = field(repr=False)
    metadata: dict
    content_type: str

    @property
    def sha256(self):
        return hashlib.sha256(self.body).hexdigest()

    @property
    def md5(self):
        return hashlib.md5(self.body).hexdigest()


@dataclass(frozen=True)
class Message:
    topic: str
    payload: bytes = field(repr=False)
    expectation: Expectation = None  # None: it must not become an object
    dead_letter: str = None  # the reason for which it must go to the dead letters


def picture_bytes(size=12_000, seed=None):
    """As incompressible as a JPEG, and with a JPEG's first bytes."""
    body = random.Random(seed).randbytes(max(0, size - len(JPEG_START)))
    return (JPEG_START + body)[:size]


def fields_of(image_id, body, timestamp_ms=1635351550897, height=800, width=1203, channels=3):
    """The document of a message, to be changed by tests of bad input."""
    return {
        "timestamp_ms": timestamp_ms,
        "image": {
            "image_id": image_id,
            "image_bytes": base64.b64encode(body).decode(),
            "image_height": height,
            "image_width": width,
            "image_channels": channels,
        },
    }


def expectation_of(topic, image_id, body, timestamp_ms=1635351550897, content_type=None):
    return Expectation(
        key=f"{image_id}.jpg",
        body=body,
        metadata={
            "timestamp_ms": str(timestamp_ms),
            "image_id": encode_metadata(image_id),
            "image_height": "800",
            "image_width": "1203",
            "image_channels": "3",
            "mqtt_topic": encode_metadata(topic),
        },
        content_type=content_type
        or ("image/jpeg" if body.startswith(b"\xff\xd8\xff") else "application/octet-stream"),
    )


def picture(image_id=None, topic="ia/rawImage/station1/camera1", size=12_000, body=None):
    """A good message with a picture of its own; without an id it gets one that is new."""
    number = next(_numbers)
    timestamp_ms = 1_700_000_000_000 + number
    if image_id is None:
        image_id = f"00-1B-44-11-3A-B7_{timestamp_ms}"
    if body is None:
        body = picture_bytes(size)
    document = fields_of(image_id, body, timestamp_ms)
    return Message(
        topic=topic,
        payload=json.dumps(document).encode(),
        expectation=expectation_of(topic, image_id, body, timestamp_ms),
    )


def pictures(count, **kind):
    return [picture(**kind) for _ in range(count)]


def undecodable(topic="ia/rawImage/station1/camera1"):
    """One of a kind that must go to the dead letters, each time for another reason."""
    number = next(_numbers)
    document = fields_of(f"undecodable-{number}", b"picture")
    reason = ("not_json", "missing_field", "wrong_type", "bad_base64")[number % 4]
    if reason == "missing_field":
        del document["timestamp_ms"]
    elif reason == "wrong_type":
        document["image"]["image_height"] = "tall"
    elif reason == "bad_base64":
        document["image"]["image_bytes"] = "no base64"
    text = json.dumps(document)
    payload = text.removesuffix("}") if reason == "not_json" else text
    return Message(topic=topic, payload=payload.encode(), dead_letter=reason)


def mixed_messages(dice):
    """Without end: pictures of several sizes, and one in eight that must be a dead letter."""
    while True:
        if dice.randrange(8) == 0:
            yield undecodable()
        else:
            yield picture(size=dice.randrange(4_000, 20_000))


def message_from_file(path, topic):
    """A message someone else made, and the object it must become."""
    payload = path.read_bytes()
    document = json.loads(payload)
    image = document["image"]
    body = base64.b64decode(image["image_bytes"], validate=True)
    height = image["image_height"] if "image_height" in image else image["image_heigth"]
    return Message(
        topic=topic,
        payload=payload,
        expectation=Expectation(
            key=f"{image['image_id']}.jpg",
            body=body,
            metadata={
                "timestamp_ms": str(document["timestamp_ms"]),
                "image_id": encode_metadata(image["image_id"]),
                "image_height": str(height),
                "image_width": str(image["image_width"]),
                "image_channels": str(image["image_channels"]),
                "mqtt_topic": encode_metadata(topic),
            },
            content_type="image/jpeg",
        ),
    )
