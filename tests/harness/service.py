"""A process under test's control: started, stopped, killed and started again on the same data."""

import os
import signal
import subprocess
import threading

from harness.waiting import wait_until

# Every service that this process started and that may still run; see end_all().
_started = []
# In order of creation, for the report of a failed test; see logs_since().
_all = []


class Service:
    """Base of Broker, Store and Bridge. Its log is one file over all its lives."""

    def __init__(self, name, folder):
        self.name = name
        self.folder = folder
        self.folder.mkdir(parents=True, exist_ok=True)
        self.log_path = folder / f"{name}.log"
        self.process = None
        _all.append(self)

    # What a subclass says about itself.

    def command(self):
        raise NotImplementedError

    def environment(self):
        return {"PATH": os.environ.get("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")}

    def is_up(self):
        """Whether it answers; asked until it does, after start()."""
        raise NotImplementedError

    # Life.

    @property
    def pid(self):
        return self.process.pid

    @property
    def running(self):
        return self.process is not None and self.process.poll() is None

    def launch(self):
        """Starts the process and does not wait for it to answer."""
        assert not self.running, f"{self.name} runs already"
        # The kernel ends the child when the thread that started it ends, so that nothing is left
        # over even if pytest itself is killed.
        assert threading.current_thread() is threading.main_thread(), "services start on main"
        with open(self.log_path, "ab") as log:
            self.process = subprocess.Popen(
                ["setpriv", "--pdeathsig", "KILL", "--", *map(str, self.command())],
                env=self.environment(),
                cwd=self.folder,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        _started.append(self)
        return self

    def start(self, within=20):
        """Starts the process and waits until it answers."""
        self.launch()

        def answers():
            assert self.running, f"{self.name} ended with {self.process.returncode}:\n{self.tail()}"
            return self.is_up()

        wait_until(answers, within, lambda: f"{self.name} is up:\n{self.tail()}", poll=0.02)
        return self

    def send_signal(self, number):
        self.process.send_signal(number)

    def wait_for_exit(self, within):
        try:
            return self.process.wait(within)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"{self.name} still runs after {within} s:\n{self.tail()}")

    def stop(self, number=signal.SIGTERM, within=15):
        """Asks it to end, and returns its exit code."""
        self.send_signal(number)
        return self.wait_for_exit(within)

    def kill(self):
        """As a crash: nothing is written, nothing is said."""
        if self.running:
            self.send_signal(signal.SIGKILL)
        return self.process.wait(10)

    def end(self):
        """For teardown: quick, and never fails."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()

    # Log.

    def log_text(self):
        return self.log_path.read_text(errors="replace") if self.log_path.exists() else ""

    def log_lines(self):
        return self.log_text().splitlines()

    def tail(self, lines=60):
        return "\n".join(self.log_lines()[-lines:])

    def mark(self):
        """The present end of the log, for said_since()."""
        return self.log_path.stat().st_size if self.log_path.exists() else 0

    def said_since(self, mark):
        with open(self.log_path, "rb") as log:
            log.seek(mark)
            return log.read().decode(errors="replace")

    def wait_for_log(self, pattern, within=10, since=0):
        """Waits for a line that holds the compiled pattern, and returns the match."""
        return wait_until(
            lambda: pattern.search(self.said_since(since)),
            within,
            lambda: f"{self.name} says {pattern.pattern!r}:\n{self.tail(30)}",
        )


def end_all():
    """Ends by its pid whatever was started here, newest first."""
    while _started:
        _started.pop().end()


def checkpoint():
    """Names the services made so far, for services_since() and end_since()."""
    return len(_all)


def services_since(point):
    return _all[point:]


def end_since(point):
    """Ends the services made after the checkpoint, newest first."""
    for service in reversed(_all[point:]):
        service.end()
        if service in _started:
            _started.remove(service)
