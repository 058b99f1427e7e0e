"""The harness: an attack needs the real daemon, broker and store."""

pytest_plugins = ["harness.fixtures"]
