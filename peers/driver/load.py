"""How much of the machine others used during a run: rounds on a busy machine mean little."""

import os
import resource
import time
from pathlib import Path

# A run that shared the machine with more than this means little.
MOST_OTHER_PERCENT = 5


class OtherLoad:
    """Starts to watch when it is made."""

    def __init__(self):
        self._started, self._busy, self._ours = time.monotonic(), _busy(), _ours()

    def percent(self):
        """The processor time of others since then, in percent of all processors."""
        elapsed = (time.monotonic() - self._started) * os.cpu_count()
        others = (_busy() - self._busy) - (_ours() - self._ours)
        return max(0.0, 100 * others / elapsed)


def _busy():
    """Seconds that all processors have spent on anything, time stolen by the host included."""
    user, nice, system, _idle, _wait, irq, softirq, steal, *_ = map(
        int, Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:]
    )
    return (user + nice + system + irq + softirq + steal) / os.sysconf("SC_CLK_TCK")


def _ours():
    usages = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(usage.ru_utime + usage.ru_stime for usage in usages)
