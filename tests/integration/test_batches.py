"""A backlog of small pictures goes to MinIO in batches, and each of them arrives as on its own."""

from functools import partial

import pytest

from harness.messages import picture, pictures
from harness.waiting import wait_until


def backlog(stack, messages):
    """Leaves them waiting in the spool, the store away."""
    stack.broker.start()
    stack.bridge.start_subscribed()
    stack.publisher.send(*messages)
    stack.bridge.wait_until_acknowledged(len(messages))


@pytest.fixture
def stack(new_stack):
    return new_stack(own_store=True)


def test_small_pictures_that_wait_go_in_batches(stack):
    backlog(stack, [*pictures(400, size=3000), *pictures(5, size=200_000), *pictures(100, size=900)])
    stack.store.start()
    stack.assert_exactly_stored(within=60)
    assert stack.bridge.metric("uploads_in_batches_total") >= 100
    assert stack.bridge.metric("uploads_total", result="stored") == 505
    assert not [key for key in stack.bucket.etags() if key.endswith(".tar")]


def test_without_batches_each_goes_alone(stack):
    stack.bridge.settings["UPLOAD_BATCHES"] = "False"
    backlog(stack, pictures(200, size=3000))
    stack.store.start()
    stack.assert_exactly_stored(within=60)
    assert stack.bridge.metric("uploads_in_batches_total") == 0


def test_the_same_picture_again_gets_its_new_metadata(stack):
    """Size and checksum do not tell it from the one that was there before."""
    body = b"\xff\xd8\xff" + bytes(1000)
    first = [picture(image_id=f"same-{n}", body=body) for n in range(200)]
    again = [picture(image_id=f"same-{n}", body=body) for n in range(200)]
    backlog(stack, first + again)
    stack.store.start()
    # The ETags, by which the judge waits, are right after the first of each pair already.
    stored = partial(stack.bridge.metric, "uploads_total", result="stored")
    wait_until(lambda: stored() == 400, 60, "all uploaded")
    stack.assert_exactly_stored()
    assert stack.bridge.metric("uploads_in_batches_total") > 0
