# SPDX-License-Identifier: MIT
"""The calls that a process's libvirt sends to a daemon, by what it writes down of them."""

import re
import time


def traced(file):
    """The variables that make it do so."""
    return {"LIBVIRT_LOG_OUTPUTS": f"1:file:{file}", "LIBVIRT_LOG_FILTERS": "1:rpc.netclient"}


class Calls:
    """Counts the calls that reach libvirtd, keepalive apart."""

    def __init__(self, file):
        self.file = file

    def count(self):
        text = self.file.read_text(errors="replace") if self.file.exists() else ""
        return len(re.findall(r"RPC_CLIENT_MSG_TX_QUEUE: .*type=0", text))

    def during(self, work):
        before = self.count()
        work()
        return self.count() - before

    def least(self, work, enough):
        """What work takes itself: of many times the least, for others may send calls beside it.

        virtgate's sweep reads all VMs every 10 s, so within 30 s there is a moment without.
        """
        end, least = time.monotonic() + 30, float("inf")
        while least > enough and time.monotonic() < end:
            least = min(least, self.during(work))
        return least
