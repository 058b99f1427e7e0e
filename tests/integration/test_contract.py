"""With the original's variables alone, its message becomes its object."""

import dataclasses

import paho.mqtt.client as paho
import pytest

from harness import volumes
from harness.messages import message_from_file, picture
from harness.programs import REPOSITORY

REAL_MESSAGE = REPOSITORY.parent / "shared" / "data" / "dummy_pic_mqtt_topic.json"
TOPIC = "ia/rawImage/2021-0156/00-1B-44-11-3A-B7"
ORIGINALS_VARIABLES = {
    "BROKER_URL", "BROKER_PORT", "TOPIC", "MINIO_URL", "MINIO_SECURE", "MINIO_ACCESS_KEY",
    "MINIO_SECRET_KEY", "BUCKET_NAME", "LOGGING_LEVEL",
}  # fmt: skip


@pytest.fixture
def original_message():
    if not REAL_MESSAGE.exists():
        return picture("0_1635351550897", TOPIC, size=120_348)
    message = message_from_file(REAL_MESSAGE, TOPIC)
    # The contract's own figures, so that a wrong reading of the file cannot hide.
    assert message.expectation.key == "0_1635351550897.jpg"
    assert len(message.expectation.body) == 120_348
    return message


def start_bridge(stack, **additional):
    """Nothing in its environment but PATH, HOME and the original's variables."""
    stack.broker.start()
    # The default spool directory must not be made on this machine: it sees another /var/lib.
    bridge = stack.new_bridge(
        "plain", volumes.instead_of("/var/lib", stack.folder / "var-lib"),
        SPOOL_DIR=None, STATUS_ADDRESS=None, LOGGING_LEVEL="DEBUG", **additional,
    )  # fmt: skip
    assert bridge.environment().keys() - {"PATH", "HOME"} == ORIGINALS_VARIABLES | additional.keys()
    bridge.launch()
    stack.broker.wait_for_subscription(stack.settings()["TOPIC"])
    return bridge


@pytest.mark.parametrize("version", [None, "3.1.1", "5"])
@pytest.mark.parametrize("qos", [0, 1, 2])
def test_the_originals_message_becomes_the_originals_object(
    new_stack, original_message, qos, version
):
    stack = new_stack()
    start_bridge(stack, **({"MQTT_VERSION": version} if version else {}))
    stack.publisher.send(original_message, qos=qos)
    stack.assert_exactly_stored()


@pytest.mark.parametrize("version", [paho.MQTTv31, paho.MQTTv311, paho.MQTTv5])
def test_cameras_of_every_protocol_version_are_understood(new_stack, version):
    stack = new_stack().start()
    stack.new_publisher(version=version).send(picture(), qos=1)
    stack.assert_exactly_stored()


def test_the_topics_of_both_message_models_are_served(new_stack):
    stack = new_stack(TOPIC="ia/#").start()
    stack.publisher.send(
        picture(topic="ia/rawImage/station1/camera1"),
        picture(topic="ia/factoryinsight/aachen/machine7/productImage"),
    )
    stack.assert_exactly_stored()


def test_the_same_id_again_replaces_the_object(new_stack):
    stack = new_stack().start()
    stack.publisher.send(picture("same"))
    stack.assert_exactly_stored()
    stack.publisher.send(picture("same"))
    stack.assert_exactly_stored()


@pytest.mark.parametrize(
    "start, content_type",
    [
        (b"\xff\xd8\xff\xe1", "image/jpeg"),
        (b"\x89PNG\r\n\x1a\n", "image/png"),
        (b"GIF89a", "image/gif"),
        (b"no picture at all", "application/octet-stream"),
    ],
)
def test_the_content_type_is_what_the_data_is(new_stack, start, content_type):
    stack = new_stack().start()
    message = picture(body=start + bytes(100))
    stack.publisher.send(
        dataclasses.replace(
            message,
            expectation=dataclasses.replace(message.expectation, content_type=content_type),
        )
    )
    stack.assert_exactly_stored()
