"""The command line and the measuring of the Python peers; the same contract as the Rust ones (`kit`)."""

import os
import sys
import time
from pathlib import Path

PAYLOAD = 32


def main(serve, clients):
    """Runs `serve(announce)`, or the client of the workload: `clients[workload](address, quota)` counts calls."""
    role, *rest = sys.argv[1:]
    if role == "server":
        serve(lambda port: announce(Path(rest[0]), port))
        return
    workload, address_file, limit = rest
    if workload not in clients:
        print(f"unsupported {workload}")
        return
    address, pid = Path(address_file).read_text().split()
    host, port = address.split(":")
    Measured(int(pid), float(limit.removesuffix("s"))).run(clients[workload], (host, int(port)))


def announce(address_file, port):
    """Tells where this server listens; the file appears whole or not at all."""
    unfinished = address_file.with_suffix(".part")
    unfinished.write_text(f"127.0.0.1:{port} {os.getpid()}\n")
    unfinished.rename(address_file)


def payload(number):
    """The 32 bytes of one call; no two calls have the same."""
    return number.to_bytes(8, "little") * (PAYLOAD // 8)


def check(reply, number):
    """Ends the client if a reply has other content than its call."""
    if reply != payload(number):
        raise SystemExit(f"the reply to call {number} has other content: {reply!r}")


class Quota:
    """A time being used up, and how long each call in it took."""

    def __init__(self, seconds):
        self.ends = time.perf_counter() + seconds
        self.latencies = []

    def add(self, started):
        """Counts a call that has just ended."""
        self.latencies.append(time.perf_counter() - started)

    def more(self):
        """Whether there is time left."""
        return time.perf_counter() < self.ends


class Measured:
    """One timed stretch after a warm-up."""

    def __init__(self, server, seconds):
        self.server, self.seconds = server, seconds

    def run(self, client, address):
        """Calls `client` with a quota twice, and prints what the second time gave."""
        client(address, Quota(self.seconds / 5))
        before = self._clocks()
        quota = Quota(self.seconds)
        client(address, quota)
        elapsed, client_cpu, server_cpu = (now - then for now, then in zip(self._clocks(), before))
        calls, ordered = len(quota.latencies), sorted(quota.latencies)
        print(
            "result",
            f"calls_per_s={calls / elapsed:.4f}",
            f"p50_us={ordered[calls // 2] * 1e6:.4f}",
            f"p99_us={ordered[calls * 99 // 100] * 1e6:.4f}",
            f"client_cpu_us={client_cpu / calls * 1e6:.4f}",
            f"server_cpu_us={server_cpu / calls * 1e6:.4f}",
            f"client_peak_kb={_peak('self')}",
            f"server_peak_kb={_peak(self.server)}",
        )

    def _clocks(self):
        # The kernel's clock of another process's processor time: its inverted id, and 2 for "all threads".
        of_server = time.clock_gettime((~self.server << 3) | 2)
        return time.perf_counter(), time.process_time(), of_server


def _peak(pid):
    status = Path(f"/proc/{pid}/status").read_text()
    return next(line.split()[1] for line in status.splitlines() if line.startswith("VmHWM"))
