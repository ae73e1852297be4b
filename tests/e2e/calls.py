# SPDX-License-Identifier: MIT
"""Counts the calls that libvirt in a process sends to its daemon, by libvirt's own log."""

import re
import time

from gateway import PATIENCE


def traced(file):
    """The environment variables that make libvirt log its calls to a file."""
    return {"LIBVIRT_LOG_OUTPUTS": f"1:file:{file}", "LIBVIRT_LOG_FILTERS": "1:rpc.netclient"}


class Calls:
    """Counts the calls that reach libvirtd, without those of the keepalive protocol."""

    def __init__(self, file):
        self.file, self.read, self.counted = file, 0, 0

    def count(self):
        """The number so far. Reads only what is new: with many calls the file becomes large."""
        if self.file.exists():
            with self.file.open("rb") as log:
                log.seek(self.read)
                lines = log.read().rpartition(b"\n")[0]
            self.read += len(lines)
            self.counted += len(re.findall(rb"RPC_CLIENT_MSG_TX_QUEUE: .*type=0", lines))
        return self.counted

    def during(self, work):
        before = self.count()
        work()
        return self.count() - before

    def least(self, work, enough):
        """The least number of calls during work(), which is repeated until it is no more than
        enough.

        virtgate's own sweep reads all VMs every 10 s, and its calls may fall into a repetition.
        """
        end, least = time.monotonic() + 30 * PATIENCE, float("inf")
        while least > enough and time.monotonic() < end:
            least = min(least, self.during(work))
        return least
