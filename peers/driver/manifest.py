"""Who takes part, and in what: the one place to add a peer."""

from dataclasses import dataclass

SMALL = ["W1", "W2a", "W2b", "W3a", "W3b"]
BULK = ["W4a", "W4b", "W4c"]
FULL = SMALL + BULK + ["W5", "W6", "W8", "W8t", "W9"]
BOUNDED = ["W11"]
STREAMING = FULL + ["W7"]

WORKLOADS = {
    "W1": "sequential echo, 1 connection",
    "W1-pinned": "the same, server on cpu 0, client on cpu 1",
    "W1-onecore": "the same, both on cpu 1",
    "W2a": "1 connection, 64 in flight",
    "W2b": "1 connection, 256 in flight",
    "W3a": "64 connections × 1",
    "W3b": "64 connections × 16",
    "W4a": "64 KiB echo, both on cpu 1",
    "W4b": "1 MiB echo, both on cpu 1",
    "W4c": "16 MiB echo, both on cpu 1",
    "W5": "server memory per idle connection",
    "W6": "echo of 1000 records",
    "W7": "server stream of 1M × 32 bytes",
    "W8": "1 client shared by 8 threads",
    "W8t": "1 client shared by 8 tasks of one thread",
    "W9": "echo beside 4 sleeping calls",
    "W11": "overload: 16 connections, an action of 1 ms, 4 at a time",
}

# Processors for (server, client); workloads not named here run where the scheduler puts them. Bulk goes one at a
# time, so one core is all that it needs; left to the scheduler, a round runs on one core or on two as it happens,
# and on two every floor is two to ten times slower: wake-ups, and payloads in the other core's cache.
PINS = {"W1-pinned": ("0", "1"), "W1-onecore": ("1", "1"), **dict.fromkeys(BULK, ("1", "1"))}

# W5 takes seconds and hardly varies.
MOST_ROUNDS = {"W5": 3}

# System calls are counted in runs of their own, as the difference between two numbers of calls.
SYSCALL_RUNS = {"W1": (300, 1300), "W2b": (5000, 15000)}


@dataclass
class Peer:
    """One line of the benchmark; `command` starts in the build's output folder unless it is Python.

    A peer that polls without sleeping makes no sense on one core, nor does counting its system calls.
    """

    name: str
    package: str
    command: list
    workloads: list
    group: str = ""
    count_syscalls: bool = True
    wheel: str = ""
    polls: bool = False

    def runs(self, workload):
        """Whether this peer has the workload; pinned variants belong to W1."""
        return workload.split("-")[0] in self.workloads and not (self.polls and workload == "W1-onecore")


PEERS = [
    Peer("thread", "floors", ["floors", "thread"], SMALL + BULK + ["W5", "W6", "W7", "W9"], "floors"),
    Peer("epoll", "floors", ["floors", "epoll"], SMALL + ["W5"], "floors"),
    Peer("spin", "floors", ["floors", "spin"], ["W1"], "floors", False, polls=True),
    Peer("zerocopy", "floors", ["floors", "zerocopy"], BULK, "floors"),
    Peer("isock", "isock-peer", ["isock-peer"], STREAMING),
    Peer("isock-poll", "isock-peer", ["isock-peer", "poll"], ["W1"], "isock", False, polls=True),
    Peer("isock-bounded", "isock-peer", ["isock-peer", "bounded"], BOUNDED, "isock", False),
    Peer("isock-views", "isock-peer", ["isock-peer", "views"], ["W6"], "isock"),
    Peer("tarpc", "tarpc-peer", ["tarpc-peer"], FULL + BOUNDED),
    Peer("tonic", "tonic-peer", ["tonic-peer"], STREAMING + BOUNDED),
    # Its client stays on the thread that made it: no W8.
    Peer("capnp", "capnp-peer", ["capnp-peer"], [name for name in FULL if name != "W8"]),
    # Its messages end at 16 MiB, envelope included: no W4c.
    Peer("irpc", "irpc-peer", ["irpc-peer"], [name for name in STREAMING if name != "W4c"]),
    Peer("netaio", "", ["seeds/netaio_peer.py"], ["W1", "W2a"], "seeds", False, "netaio==0.0.9"),
    Peer("isocket", "", ["seeds/isocket_peer.py"], ["W1"], "seeds", False),
]


def select_peers(only):
    """The peers named by a comma-separated list of names and groups; all of them for an empty one."""
    wanted = {word for word in only.split(",") if word}
    unknown = wanted - {peer.name for peer in PEERS} - {peer.group for peer in PEERS}
    if unknown:
        raise SystemExit(f"no such peer: {', '.join(sorted(unknown))}")
    return [peer for peer in PEERS if not wanted or {peer.name, peer.group} & wanted]


def select_workloads(only):
    """The workloads named by a comma-separated list; `W1` brings its pinned variants."""
    wanted = {word for word in only.split(",") if word}
    unknown = wanted - set(WORKLOADS)
    if unknown:
        raise SystemExit(f"no such workload: {', '.join(sorted(unknown))}")
    return [name for name in WORKLOADS if not wanted or {name, name.split("-")[0]} & wanted]
