"""Broker, store, bridge, publisher and judge, wired together."""

from harness.bridge import Bridge
from harness.broker import Broker
from harness.judge import Judge
from harness.publisher import Publisher, Stream
from harness.store import Store
from harness.waiting import Clockwork

TOPIC_FILTER = "ia/rawImage/#"


class Stack:
    """Made by the fixtures; each part is started by the test or by start()."""

    def __init__(
        self, folder, minio, store=None, persistent_broker=True, binary=None, **settings
    ):
        self.folder = folder
        self._binary = binary  # of the bridges, where it is not the one that is shipped
        self.broker = Broker(folder / "broker", persistent=persistent_broker)
        self.store = store or Store(folder / "store", minio)
        self.bucket_name = self.store.new_bucket()
        self.bucket = self.store.bucket(self.bucket_name)
        self.judge = Judge(self.bucket)
        self._settings = settings
        self._publishers = []
        self._publisher = None
        self.bridge = self.new_bridge("bridge")

    def settings(self, **changed):
        return {
            "BROKER_URL": "127.0.0.1",
            "BROKER_PORT": self.broker.port,
            "TOPIC": TOPIC_FILTER,
            "MINIO_URL": self.store.address,
            "MINIO_SECURE": "False",
            "MINIO_ACCESS_KEY": self.store.access_key,
            "MINIO_SECRET_KEY": self.store.secret_key,
            "BUCKET_NAME": self.bucket_name,
        } | self._settings | changed  # fmt: skip

    def new_bridge(self, name, wrapper=(), **changed):
        return Bridge(self.folder / name, self.settings(**changed), name, wrapper, self._binary)

    def start(self):
        """All three services; returns once the bridge is ready."""
        self.broker.start()
        if not self.store.running:
            self.store.start()
        self.bridge.start_subscribed()
        return self

    @property
    def publisher(self):
        """Connected at first use, since the broker must run by then."""
        if self._publisher is None:
            self._publisher = self.new_publisher()
        return self._publisher

    def new_publisher(self, judged=True, **options):
        """What is sent over one that is not judged is the test's own affair."""
        publisher = Publisher(self.broker, self.judge if judged else None, **options)
        self._publishers.append(publisher)
        return publisher

    def stream(self, messages, per_second=None, qos=1):
        return Stream(self.publisher, messages, per_second, qos)

    def kill_bridge_while(self, stream, every):
        """Kills the bridge and starts it again, every so many seconds, until all is published."""
        clock = Clockwork(every)
        while stream.running:
            clock.wait_for_tick()
            self.bridge.kill()
            self.bridge.launch()
        stream.finish()
        self.bridge.wait_until_subscribed()

    def start_afresh(self):
        """For tests that share a stack: an empty bucket, and nothing expected in it."""
        self.bridge.wait_until_spool_is_empty()
        self.bucket.empty()
        self.judge.forget()

    def assert_exactly_stored(self, within=20):
        self.judge.assert_exactly_stored(within)

    def close(self):
        for publisher in self._publishers:
            publisher.close()
