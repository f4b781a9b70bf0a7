"""Keeps processors from halting while they have nothing to do.

A virtual processor that halts is given back to the hypervisor, and a wake-up has to wait until it is there again:
some 20 µs on some hosts, which then are most of what W1 measures, of every peer alike. One spinner for each
processor, of the lowest priority that there is (SCHED_IDLE), is pushed aside by any other thread at once.
"""

import contextlib
import os
import subprocess
import sys

import cell

SPIN = "while True: pass"


@contextlib.contextmanager
def processors(wanted):
    """Does nothing if that is not wanted. The spinners are waited for at the end, and so count as our own load."""
    spinners = [_spin_on(cpu) for cpu in sorted(os.sched_getaffinity(0))] if wanted else []
    try:
        yield
    finally:
        for spinner in spinners:
            spinner.kill()
            spinner.wait()


def _spin_on(cpu):
    def prepare():
        cell.die_with_parent()
        os.sched_setaffinity(0, {cpu})
        os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))

    return subprocess.Popen([sys.executable, "-c", SPIN], stdin=subprocess.DEVNULL, preexec_fn=prepare)
