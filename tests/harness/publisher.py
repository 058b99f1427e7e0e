"""Sends messages over a connection of its own and knows which of them the broker took."""

import threading
import time

import paho.mqtt.client as paho

from harness.waiting import wait_until

_WINDOW = 100  # publishes that wait for the broker's acknowledgement at a time
# Mosquitto's own limit. It answers one more at QoS 2 by a PUBREC that says "quota exceeded", which
# 3.1.1 cannot tell from one that takes the message.
_ON_THE_WAY = 20


class Publisher:
    """Publishes at QoS 1; survives restarts of the broker and sends again what was not taken.

    What the broker acknowledged is told to the judge, since from then on it must be stored.
    """

    def __init__(self, broker, judge=None, version=paho.MQTTv311, username=None, password=None):
        self._judge = judge
        self._lock = threading.Condition()
        self._waiting = {}  # mid -> message
        self._early = set()  # acknowledged before publish() told us the mid
        self.published = 0
        self.acknowledged = 0
        options = {"client_id": f"publisher-{id(self):x}", "protocol": version}
        if version != paho.MQTTv5:
            options["clean_session"] = False
        self._client = paho.Client(**options)
        self._client.max_inflight_messages_set(_ON_THE_WAY)
        self._client.max_queued_messages_set(0)
        self._client.reconnect_delay_set(0.1, 1)
        if username:
            self._client.username_pw_set(username, password)
        self._client.on_publish = self._on_publish
        self._client.connect("127.0.0.1", broker.port, keepalive=60)
        self._client.loop_start()
        wait_until(self._client.is_connected, 10, "the publisher is connected", poll=0.01)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def publish(self, message, qos=1, retain=False):
        """Hands one message over; waits while too many are not acknowledged yet."""
        with self._lock:
            # Of course the broker may be away for as long as a test wants.
            assert self._lock.wait_for(lambda: len(self._waiting) < 2 * _WINDOW, 60)
        info = self._client.publish(message.topic, message.payload, qos=qos, retain=retain)
        with self._lock:
            self.published += 1
            if info.mid in self._early:
                self._early.remove(info.mid)
                self._take(message)
            else:
                self._waiting[info.mid] = message

    def publish_all(self, messages, per_second=None, qos=1, stop=None):
        """As fast as the broker takes them, or paced. `stop` is an event that ends it early."""
        start = time.monotonic()
        for number, message in enumerate(messages):
            if stop is not None and stop.is_set():
                return
            if per_second:
                time.sleep(max(0.0, start + number / per_second - time.monotonic()))
            self.publish(message, qos)

    def wait_until_acknowledged(self, within=30):
        """All of what was published has been taken by the broker."""
        with self._lock:
            done = self._lock.wait_for(lambda: not self._waiting, within)
            assert done, f"the broker did not acknowledge {len(self._waiting)} in {within} s"

    def send(self, *messages, qos=1, retain=False, within=30):
        """Publishes and waits until the broker has taken all of it."""
        for message in messages:
            self.publish(message, qos, retain)
        self.wait_until_acknowledged(within)

    def close(self):
        self._client.disconnect()
        self._client.loop_stop()

    def _on_publish(self, _client, _userdata, mid):
        with self._lock:
            if mid in self._waiting:
                self._take(self._waiting.pop(mid))
            else:
                self._early.add(mid)

    def _take(self, message):
        self.acknowledged += 1
        if self._judge is not None:
            self._judge.acknowledged(message)
        self._lock.notify_all()


class Stream:
    """Publishes in a thread of its own while the test breaks things."""

    def __init__(self, publisher, messages, per_second=None, qos=1):
        self._publisher = publisher
        self._stop = threading.Event()
        self._failure = None

        def run():
            try:
                publisher.publish_all(messages, per_second, qos, self._stop)
            except BaseException as failure:  # told by finish(), on the test's own thread
                self._failure = failure

        self._thread = threading.Thread(target=run, name="stream", daemon=True)
        self._thread.start()

    @property
    def running(self):
        return self._thread.is_alive()

    def finish(self, within=60):
        """Waits until all of it is published and acknowledged by the broker."""
        self._thread.join(within)
        assert not self.running, f"still publishing after {within} s"
        if self._failure:
            raise self._failure
        self._publisher.wait_until_acknowledged(within)

    def stop(self, within=30):
        """Ends it early; what was published counts."""
        self._stop.set()
        self.finish(within)
