#!/usr/bin/env python3
"""Makes the README's table from `results.tsv`: every workload, every peer, losing cells included.

    table.py results.tsv              prints it
    table.py results.tsv README.md    puts it between the two `<!-- peers: … -->` lines of that file
"""

import contextlib
import io
import re
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent / "driver"))
from check import RIVALS, honest, throughput  # noqa: E402
from load import MOST_OTHER_PERCENT  # noqa: E402
from manifest import WORKLOADS  # noqa: E402
from results import Results  # noqa: E402

# What stands in a cell: the metric, its unit, and what is added in brackets.
HEADLINE = [
    ("bytes_per_connection", "bytes", None),
    ("p99_alone_us", "p99 µs (without sleepers)", None),
    ("calls_per_s", "calls/s", "p50_us"),
    ("mb_per_s", "MB/s", None),
    ("items_per_s", "items/s", None),
    ("goodput_3x", "what is left of the best rate at three times the load", None),
]

# Further tables: a title, the workloads, and what to read for each side.
DETAILS = [
    ("CPU per call, client + server, µs", ["W1", "W2a", "W2b", "W3a", "W3b", "W6", "W8", "W8t"], "cpu_us"),
    ("System calls per call, client + server", ["W1", "W2b"], "syscalls"),
    ("Peak memory, client + server, MB", ["W1", "W2b", "W3b", "W4c", "W6"], "peak_kb"),
]


def main():
    if len(sys.argv) not in (2, 3):
        raise SystemExit(__doc__)
    text = io.StringIO()
    with contextlib.redirect_stdout(text):
        print_tables(Results(Path(sys.argv[1])))
    if len(sys.argv) == 2:
        print(text.getvalue(), end="")
    else:
        put(Path(sys.argv[2]), text.getvalue())


def put(page, table):
    """Replaces what stands between the two marks of the page."""
    old = page.read_text()
    begin, end = "<!-- peers: begin -->\n", "<!-- peers: end -->"
    new, count = re.subn(f"{begin}.*?{end}", lambda _: f"{begin}\n{table}\n{end}", old, flags=re.S)
    if count != 1:
        raise SystemExit(f"{page}: the marks {begin.strip()} and {end} are not there once")
    page.write_text(new)


def print_tables(results):
    peers = results.peers()
    measured = {workload for workload, _, _ in results.medians}
    notes = results.notes
    print(f"{notes.get('machine', '?')}; {notes.get('rustc', '?')}; {notes.get('date', '?')};", end=" ")
    print(f"`{notes.get('command', '?')}`. Medians over rounds; bold is the best of a row.\n")
    doubts = [*doubts_about(results)]
    if doubts:
        print(f"**This run does not count** as a proof of ratios: {'; '.join(doubts)}.\n")
    rows = [headline_row(results, workload, peers) for workload in WORKLOADS if workload in measured]
    print_table(["Workload", *peers], rows)
    for title, workloads, metric in DETAILS:
        rows = [[workload, *(both(results, workload, peer, metric) for peer in peers)] for workload in workloads]
        print(f"\n{title}:\n")
        print_table(["Workload", *peers], [row for row in rows if set(row[1:]) != {"–"}])
    lost = [text for workload in WORKLOADS for text in losses(results, workload)]
    print(f"\nWhere isock is behind a rival: {'; '.join(lost) if lost else 'nowhere'}.")


def doubts_about(results):
    """Why nobody should rely on this run."""
    yield from (text for text, met in honest(results) if not met)
    others = re.match(r"\d+", results.notes.get("other load", ""))
    if others is None:
        yield "how much of the machine others used is not known"
    elif int(others[0]) > MOST_OTHER_PERCENT:
        yield f"others used {others[0]} % of the machine, at most {MOST_OTHER_PERCENT} wanted"


def losses(results, workload):
    """The rivals that are ahead of the better one of isock's own peers."""
    peers = [*(peer for peer in results.peers() if peer.split("-")[0] == "isock"), *RIVALS]
    measured = {peer: score(results, workload, peer) for peer in peers}
    measured = {peer: value for peer, value in measured.items() if value is not None}
    ours = max((value for peer, value in measured.items() if peer not in RIVALS), default=None)
    ahead = [peer for peer in RIVALS if ours is not None and measured.get(peer, ours) > ours]
    if ahead:
        factors = ", ".join(f"{peer} {measured[peer] / ours:.2f}" for peer in ahead)
        yield f"{workload} ({factors} times as good)"


def score(results, workload, peer):
    """More is better."""
    value = throughput(results, workload, peer)
    if value is not None:
        return value
    for metric in ("bytes_per_connection", "p99_us"):
        cost = results.get(workload, peer, metric)
        if cost is not None:
            return 1 / max(cost, 1)
    return None


def print_table(header, rows):
    for row in [header, ["---"] * len(header), *rows]:
        print("| " + " | ".join(row) + " |")


def headline_row(results, workload, peers):
    metric, unit, bracket = headline(results, workload, peers)
    values = {peer: results.get(workload, peer, headline_metric(metric)) for peer in peers}
    known = [value for value in values.values() if value is not None]
    best = min(known) if metric in ("bytes_per_connection", "p99_alone_us") else max(known)
    cells = [cell(results, workload, peer, metric, bracket, values[peer] == best) for peer in peers]
    return [f"{workload} {WORKLOADS[workload]}, {unit}{' (p50 µs)' if bracket else ''}", *cells]


def headline(results, workload, peers):
    for metric, unit, bracket in HEADLINE:
        if any(results.get(workload, peer, metric) is not None for peer in peers):
            if bracket and workload.startswith("W2"):
                bracket = None
            return metric, unit, bracket
    raise SystemExit(f"{workload} has no metric that this table knows")


def headline_metric(metric):
    return "p99_us" if metric == "p99_alone_us" else metric


def cell(results, workload, peer, metric, bracket, best):
    value = results.get(workload, peer, headline_metric(metric))
    if value is None:
        return "–"
    extra = "p99_alone_us" if metric == "p99_alone_us" else bracket
    behind = results.get(workload, peer, extra) if extra else None
    text = short(value) + (f" ({short(behind)})" if behind is not None else "")
    return f"**{text}**" if best else text


def both(results, workload, peer, metric):
    sides = [results.get(workload, peer, f"{side}_{metric}") for side in ("client", "server")]
    if None in sides:
        return "–"
    return " + ".join(short(side / 1024 if metric == "peak_kb" else side) for side in sides)


def short(value):
    """Three digits and a unit."""
    for size, unit in ((1e6, "M"), (1e4, "k")):
        if value >= size:
            return f"{value * (1 if unit == 'M' else 1000) / 1e6:.3g}{unit}"
    return f"{value:.0f}" if value >= 100 else f"{value:.2g}"


if __name__ == "__main__":
    sys.exit(main())
