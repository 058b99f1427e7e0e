"""What the original service does with a message: Python's json, strict base64, its field rules."""

import base64
import hashlib
import json

INTEGER_FIELDS = ("image_height", "image_width", "image_channels")


class RefusedError(Exception):
    """The original logs the message and drops it."""


def object_of(payload):
    """The object that the original stores, as the corpus has it; raises RefusedError."""
    try:
        document = json.loads(payload)
    except (ValueError, RecursionError) as error:
        raise RefusedError(f"no JSON: {error}") from None
    timestamp_ms = field_of(document, "timestamp_ms", int)
    image = field_of(document, "image", dict)
    image_id = field_of(image, "image_id", str)
    text = field_of(image, "image_bytes", str)
    numbers = {name: field_of(image, name, int) for name in INTEGER_FIELDS}
    try:
        body = base64.b64decode(text, validate=True)
    except ValueError as error:
        raise RefusedError(f"no strict base64: {error}") from None
    try:
        image_id.encode()
    except UnicodeEncodeError as error:
        raise RefusedError(f"no key: {error}") from None
    return {
        "image_id": image_id,
        "sha256": hashlib.sha256(body).hexdigest(),
        "timestamp_ms": str(timestamp_ms),
    } | {name: str(number) for name, number in numbers.items()}


def field_of(document, name, kind):
    # A bool is an int to isinstance(), but not to the original.
    if type(document) is not dict or name not in document or type(document[name]) is not kind:
        raise RefusedError(f"{name} is no {kind.__name__}")
    return document[name]


def is_stored(payload):
    try:
        object_of(payload)
    except RefusedError:
        return False
    return True
