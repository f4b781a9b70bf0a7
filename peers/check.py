#!/usr/bin/env python3
"""Says whether a run's floors are honest, then names every ratio that isock falls short of.

`check.py results.tsv [more.tsv ...]`: the first file is judged; W9 takes the best of all of them. Ends with a
status other than 0 if anything falls short or was not measured.
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent / "driver"))
from results import Results  # noqa: E402

RIVALS = ["tarpc", "tonic", "capnp", "irpc", "vox"]

# A floor that a framework comes close to was written badly, or measured on a busy machine.
HONEST = [
    ("W1", "thread", "tarpc", 1.6),
    ("W2a", "epoll", "tarpc", 10),
    ("W2b", "epoll", "tarpc", 14),
    ("W3b", "epoll", "tarpc", 8),
]

# Workload, who, against whom, at least; throughputs.
RATIOS = [
    ("W1", "isock", "thread", 0.95),
    ("W1-pinned", "isock", "thread", 0.95),
    ("W1", "isock-poll", "spin", 0.85),
    ("W2a", "isock", "epoll", 0.75),
    ("W2a", "isock", "tarpc", 8),
    ("W2b", "isock", "epoll", 0.6),
    ("W2b", "isock", "tarpc", 9),
    ("W3a", "isock", "epoll", 0.9),
    ("W3a", "isock", "tarpc", 1.6),
    ("W3b", "isock", "epoll", 0.55),
    ("W3b", "isock", "tarpc", 5),
    ("W4a", "isock", "zerocopy", 0.9),
    ("W4b", "isock", "zerocopy", 0.9),
    ("W4c", "isock", "zerocopy", 0.9),
    ("W6", "isock", "thread", 0.95),
    ("W6", "isock-views", "capnp", 1.0),
    ("W7", "isock", "tonic", 1.5),
    ("W8", "isock", "tarpc", 3),
]

MOST_BYTES_PER_CONNECTION = 1024
MOST_BYSTANDER_DELAY_US = 2000
LEAST_CPU_RATIO = 8
LEAST_SHARED_OVER_SEQUENTIAL = 2.5
LEAST_GOODPUT = 0.85


def main():
    if len(sys.argv) < 2:
        raise SystemExit(__doc__)
    runs = [Results(Path(file)) for file in sys.argv[1:]]
    results = runs[0]
    dishonest = [text for text, met in honest(results) if not met]
    print("the floors are honest" if not dishonest else "the floors are NOT honest, so this run doesn't count:")
    print_all(dishonest)
    judged = [*ratios(results), *above_rivals(results), *limits(results, runs)]
    short = [text for text, met in judged if not met]
    print(f"isock reaches {len(judged) - len(short)} of {len(judged)} ratios" + (", short of:" if short else ""))
    print_all(short)
    return 1 if dishonest or short else 0


def print_all(lines):
    for line in lines:
        print(f"  {line}")


def throughput(results, workload, peer):
    for metric in ("calls_per_s", "mb_per_s", "items_per_s"):
        value = results.get(workload, peer, metric)
        if value is not None:
            return value
    return None


def honest(results):
    return [at_least(*rule, results) for rule in HONEST]


def ratios(results):
    return [at_least(*rule, results) for rule in RATIOS]


def at_least(workload, who, whom, least, results):
    """What to say about one ratio, and whether it is met."""
    return judge(
        f"{workload} {who} ÷ {whom}",
        throughput(results, workload, who),
        throughput(results, workload, whom),
        least,
    )


def judge(name, ours, theirs, least):
    if ours is None or theirs is None:
        return f"{name}: not measured, at least {least} wanted", False
    return f"{name}: {ours / theirs:.2f}, at least {least} wanted", ours >= least * theirs


def above_rivals(results):
    """Bulk has to be above every rival that was measured, and one at least has to be."""
    for workload in ("W4a", "W4b", "W4c"):
        measured = [(throughput(results, workload, rival) or 0, rival) for rival in RIVALS]
        best, rival = max(measured)
        ours = throughput(results, workload, "isock")
        yield judge(f"{workload} isock ÷ best rival ({rival})", ours, best or None, 1)


def limits(results, runs):
    yield at_most(
        "W5 isock, bytes per idle connection",
        results.get("W5", "isock", "bytes_per_connection"),
        MOST_BYTES_PER_CONNECTION,
    )
    shared, sequential = (throughput(results, workload, "isock") for workload in ("W8", "W1"))
    yield judge("W8 isock ÷ W1 isock", shared, sequential, LEAST_SHARED_OVER_SEQUENTIAL)
    delays = [delay for delay in map(bystander_delay, runs) if delay is not None]
    yield at_most("W9 isock, µs added to p99", min(delays, default=None), MOST_BYSTANDER_DELAY_US)
    left = results.get("W11", "isock-bounded", "goodput_3x")
    yield judge("W11 isock-bounded, rate at three times the load ÷ best rate", left, 1, LEAST_GOODPUT)
    ours, theirs = (both_sides_cpu(results, peer) for peer in ("isock", "tarpc"))
    yield judge("W2b CPU per call, tarpc ÷ isock", theirs, ours, LEAST_CPU_RATIO)


def at_most(name, value, most):
    if value is None:
        return f"{name}: not measured, at most {most} wanted", False
    return f"{name}: {value:.0f}, at most {most} wanted", value <= most


def bystander_delay(results):
    beside, alone = (results.get("W9", "isock", metric) for metric in ("p99_us", "p99_alone_us"))
    return None if beside is None or alone is None else beside - alone


def both_sides_cpu(results, peer):
    sides = [results.get("W2b", peer, f"{side}_cpu_us") for side in ("client", "server")]
    return None if None in sides else sum(sides)


if __name__ == "__main__":
    sys.exit(main())
