"""`results.tsv`: medians over rounds, one line per workload, peer and metric."""

import statistics
from collections import defaultdict

COLUMNS = ["workload", "peer", "metric", "median", "min", "max", "rounds"]


class Samples:
    """The numbers of all rounds so far."""

    def __init__(self):
        self._rounds = defaultdict(list)

    def add(self, workload, peer, metrics):
        """Adds one round of one cell."""
        for metric, value in metrics.items():
            self._rounds[workload, peer, metric].append(value)

    def write(self, file, notes):
        """Writes the table, and after it the notes as comment lines `# name: text`."""
        lines = ["\t".join(COLUMNS)]
        for key, values in self._rounds.items():
            numbers = [statistics.median(values), min(values), max(values)]
            lines.append("\t".join([*key, *(f"{number:.6g}" for number in numbers), str(len(values))]))
        lines += [f"# {name}: {text}" for name, text in notes.items()]
        file.write_text("\n".join(lines) + "\n")


class Results:
    """A table that was written."""

    def __init__(self, file):
        self.notes, self.medians = {}, {}
        header, *lines = file.read_text().splitlines()
        if header.split("\t") != COLUMNS:
            raise SystemExit(f"{file} has other columns than {' '.join(COLUMNS)}")
        for line in lines:
            if line.startswith("# "):
                name, _, text = line[2:].partition(": ")
                self.notes[name] = text
            else:
                workload, peer, metric, median, *_ = line.split("\t")
                self.medians[workload, peer, metric] = float(median)

    def get(self, workload, peer, metric):
        """The median, or None if that was not measured."""
        return self.medians.get((workload, peer, metric))

    def peers(self):
        """All peers in the order of their first line."""
        return list(dict.fromkeys(peer for _, peer, _ in self.medians))
