"""Runs the benchmark: rounds over workloads, in each of them one peer after the other.

Interleaving lets a slow moment of the machine meet all peers alike; only ratios inside one run mean anything.
"""

import argparse
import datetime
import os
import platform
import shutil
import subprocess
import sys
import time
from pathlib import Path

import awake
import cell
from load import MOST_OTHER_PERCENT, OtherLoad
from manifest import MOST_ROUNDS, PINS, SYSCALL_RUNS, select_peers, select_workloads
from results import Samples


def main():
    options = parse_options()
    peers, workloads = select_peers(options.only), select_workloads(options.workload)
    if options.needs:
        print(*dict.fromkeys(getattr(peer, options.needs) for peer in peers if getattr(peer, options.needs)))
        return 0
    rounds, seconds = (3, 0.4) if options.quick else (9, 1.5)
    bench, others = Bench(peers, workloads), OtherLoad()
    with awake.processors(options.awake):
        bench.time_rounds(rounds, seconds)
    others = others.percent()
    bench.count_syscalls()
    bench.samples.write(Path(options.output), {**notes(options), "other load": f"{others:.0f} % of the machine"})
    if others > MOST_OTHER_PERCENT:
        print(f"others used {others:.0f} % of the machine meanwhile: repeat this when it is idle", file=sys.stderr)
    for failure in bench.failures:
        print(f"failed: {failure}", file=sys.stderr)
    print(f"wrote {options.output} after {time.monotonic() - bench.started:.0f} s")
    return 1 if bench.failures else 0


def parse_options():
    parser = argparse.ArgumentParser(prog="run.sh", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="3 short rounds instead of 9")
    parser.add_argument("--awake", action="store_true", help="keep idle processors from halting, see awake.py")
    parser.add_argument("--only", default="", metavar="A,B", help="peers and groups: floors, isock, seeds")
    parser.add_argument("--workload", default="", metavar="W1,W2a", help="W1 brings its pinned variants")
    parser.add_argument("--output", default=str(cell.HERE / "results.tsv"), metavar="FILE")
    parser.add_argument("--needs", choices=["package", "wheel"], help="only say what has to be built or installed")
    return parser.parse_args()


class Bench:
    """The cells of this run, their numbers and their failures."""

    def __init__(self, peers, workloads):
        self.cells = [(workload, peer) for workload in workloads for peer in peers if peer.runs(workload)]
        if os.cpu_count() < 2:
            self.cells = [(workload, peer) for workload, peer in self.cells if workload not in PINS]
        self.samples = Samples()
        self.failures = []
        self.absent = set()
        self.started = time.monotonic()

    def time_rounds(self, rounds, seconds):
        """The timed rounds."""
        for number in range(rounds):
            for workload, peer in self.cells:
                if number < MOST_ROUNDS.get(workload, rounds):
                    self._attempt(workload, peer, lambda: self._time(workload, peer, seconds))
            print(f"round {number + 1} of {rounds} done after {time.monotonic() - self.started:.0f} s", flush=True)

    def _time(self, workload, peer, seconds):
        # Idle connections take as long as they take; the rest ends soon after its limit.
        timeout = 120 if workload == "W5" else 30 + 4 * seconds
        return cell.run(peer, workload, f"{seconds}s", timeout, PINS.get(workload, (None, None)))

    def count_syscalls(self):
        """System calls per call, apart from the timing, since strace slows everything down."""
        if not shutil.which("strace"):
            print("strace is not installed: system calls are not counted")
            return
        for workload, peer in self.cells:
            if workload in SYSCALL_RUNS and peer.count_syscalls:
                self._attempt(workload, peer, lambda: syscalls_per_call(peer, workload))

    def _attempt(self, workload, peer, measure):
        """A cell that says `unsupported` is left out quietly; one that failed is not tried again."""
        if (workload, peer.name) in self.absent:
            return
        try:
            self.samples.add(workload, peer.name, measure())
        except cell.CellError as error:
            self.absent.add((workload, peer.name))
            if isinstance(error, cell.Unsupported):
                print(f"{workload} {peer.name}: unsupported, {error}")
            else:
                self.failures.append(f"{workload} {peer.name}: {error}")


def syscalls_per_call(peer, workload):
    """The difference between a long and a short run is free of what start and end cost."""
    few, many = SYSCALL_RUNS[workload]
    short, long = (cell.count_syscalls(peer, workload, calls, 60) for calls in (few, many))
    each = [(after - before) / (many - few) for before, after in zip(short, long)]
    return {"client_syscalls": each[0], "server_syscalls": each[1]}


def notes(options):
    """What a reader of the table needs to know about the run."""
    cpu = subprocess.run(["lscpu"], capture_output=True, text=True, check=False).stdout
    model = next((line.split(":")[1].strip() for line in cpu.splitlines() if line.startswith("Model name")), "?")
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    rustc = subprocess.run(["rustc", "--version"], capture_output=True, text=True, check=False).stdout.strip()
    return {
        "machine": f"{os.cpu_count()} × {model}, {memory:.0f} GiB, Linux {platform.release()}",
        "rustc": rustc,
        "date": datetime.date.today().isoformat(),
        "command": " ".join(["peers/run.sh", *sys.argv[1:]]),
        "idle processors": f"awake, {os.cpu_count()} spinners under SCHED_IDLE" if options.awake else "halt",
    }


if __name__ == "__main__":
    sys.exit(main())
