"""The node under test: started by a command line, ended by a signal, started again."""

import signal
import subprocess
import time

from .history import Broken
from .wire import Broker

API_VERSIONS = 18
START_SECONDS_MAX = 120
END_SECONDS_MAX = 60
# So many names fall on nearly every partition of the topic of the offsets.
GROUPS = 200


class Node:
    """One node; without a command line it is somebody else's and never ended."""

    def __init__(self, bootstrap, command, log):
        self.broker = Broker(bootstrap)
        self.command = command
        self.log = log
        self.process = None

    def start(self):
        """Returns when it answers."""
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen(self.command, stdout=log, stderr=log, stdin=subprocess.DEVNULL)
        deadline = time.monotonic() + START_SECONDS_MAX
        while not self._answers():
            if self.process.poll() is not None:
                raise Broken(f"the node has ended by itself, see {self.log}")
            if time.monotonic() > deadline:
                raise Broken(f"the node does not serve, see {self.log}")
            time.sleep(0.05)

    def await_coordinators(self):
        """A fresh node makes the topic of the offsets, whose partitions come one after another."""
        deadline = time.monotonic() + START_SECONDS_MAX
        for number in range(GROUPS):
            while not self.broker.has_coordinator(f"judge-{number}"):
                if time.monotonic() > deadline:
                    raise Broken("there is no coordinator")
                time.sleep(0.05)

    def _answers(self):
        try:
            return self.broker.ask(API_VERSIONS, 0, b"").take("h") == 0
        except (OSError, ConnectionError):
            return False

    def end(self, how=signal.SIGTERM):
        """Returns when it is gone."""
        if self.process is None:
            return
        if self.process.poll() is not None:
            raise Broken(f"the node has ended by itself with {self.process.returncode}, see {self.log}")
        self.process.send_signal(how)
        try:
            self.process.wait(END_SECONDS_MAX)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise Broken(f"the node does not end after {how.name}") from None
        finally:
            self.process = None
