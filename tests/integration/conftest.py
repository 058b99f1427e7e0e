"""The harness, and a stack for tests that leave it alone."""

import pytest
from harness import service
from harness.folders import remove_behind
from harness.scripted_store import ScriptedStore
from harness.stack import Stack

pytest_plugins = ["harness.fixtures"]


@pytest.fixture(scope="module")
def module_stack(tmp_path_factory, minio, shared_store):
    """A running stack that all tests of a module share."""
    point = service.checkpoint()
    stack = Stack(tmp_path_factory.mktemp("module"), minio, store=shared_store,
                  TOPIC="ia/#", MAX_MESSAGE_BYTES="1MiB")  # fmt: skip
    stack.start()
    yield stack
    stack.close()
    service.end_since(point)


@pytest.fixture
def store_ahead():
    """A store whose clock is three hours ahead of ours."""
    store = ScriptedStore().start()
    store.clock_offset = 3 * 3600
    yield store
    store.close()
