"""Faults that begin and end, for tests that mix them."""

import signal

from harness.volumes import with_slow_disk


class Fault:
    """begin() and end() are called in turn, on the main thread. `part` is what it takes hold of: of
    one part there is one fault at a time."""

    def __init__(self, name, part):
        self.name = name
        self.part = part

    def begin(self):
        raise NotImplementedError

    def end(self):
        raise NotImplementedError


class Stopped(Fault):
    """Told to end, which takes some time, and started again."""

    def __init__(self, service):
        super().__init__(f"{service.name} stopped", service)

    def begin(self):
        self.part.stop()

    def end(self):
        self.part.start()


class Killed(Stopped):
    def __init__(self, service):
        super().__init__(service)
        self.name = f"{service.name} killed"

    def begin(self):
        self.part.kill()


class Frozen(Fault):
    """It is there and does nothing: its connections stay open, and the kernel accepts more."""

    def __init__(self, service):
        super().__init__(f"{service.name} frozen", service)

    def begin(self):
        self.part.send_signal(signal.SIGSTOP)

    def end(self):
        self.part.send_signal(signal.SIGCONT)


class OnSlowDisk(Fault):
    """The bridge, killed and started where each flush takes long."""

    def __init__(self, bridge, seconds=0.1):
        super().__init__(f"{bridge.name} on a slow disk", bridge)
        self._wrapper = with_slow_disk(seconds)

    def begin(self):
        self._start_under(self._wrapper)

    def end(self):
        self._start_under([])

    def _start_under(self, wrapper):
        self.part.kill()
        self.part.wrapper = wrapper
        self.part.start()


class Cut(Fault):
    """All connections over a wire end, twice."""

    def __init__(self, name, wire):
        super().__init__(f"connections to {name} cut", wire)

    def begin(self):
        self.part.cut()

    def end(self):
        self.part.cut()


class Silent(Fault):
    """A wire lets nothing through for a while."""

    def __init__(self, name, wire, *directions):
        super().__init__(f"network to {name} pauses {' '.join(directions)}".strip(), wire)
        self._directions = directions

    def begin(self):
        self.part.pause(*self._directions)

    def end(self):
        self.part.resume()
