"""One cell of one round: a fresh server and a fresh client, bounded in time, and what the client printed."""

import contextlib
import ctypes
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent.parent
START_TIMEOUT = 15
PR_SET_PDEATHSIG = 1


class CellError(Exception):
    """A cell that gave no numbers, and why."""


class Unsupported(CellError):
    """The peer says that it doesn't have this workload."""


def run(peer, workload, limit, timeout, pins=(None, None)):
    """Runs one cell and returns its numbers by metric."""
    command = _command(peer)
    with tempfile.TemporaryDirectory() as folder:
        address_file = Path(folder) / "address"
        with _serving(_pinned(pins[0], command), address_file):
            client = [*command, "client", workload.split("-")[0], str(address_file), limit]
            return _parse(_finish(_pinned(pins[1], client), timeout))


def count_syscalls(peer, workload, calls, timeout):
    """Runs one cell under strace and returns the system calls of (client, server)."""
    command = _command(peer)
    with tempfile.TemporaryDirectory() as folder:
        address_file, of_server, of_client = (Path(folder) / name for name in ("address", "server", "client"))
        with _serving(_traced(of_server, command), address_file):
            client = [*command, "client", workload, str(address_file), f"{calls}calls"]
            _parse(_finish(_traced(of_client, client), timeout))
        return _strace_total(of_client), _strace_total(of_server)


def _command(peer):
    program, *rest = peer.command
    if program.endswith(".py"):
        return [sys.executable, str(HERE / program), *rest]
    return [str(Path(os.environ["PEERS_BIN"]) / program), *rest]


def _pinned(cpu, command):
    return command if cpu is None else ["taskset", "-c", cpu, *command]


def _traced(output, command):
    return ["strace", "-f", "-c", "-qq", "-o", str(output), *command]


def die_with_parent():
    """Runs in the child: no server outlives a driver that is killed."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


@contextlib.contextmanager
def _serving(command, address_file):
    """A server from its announcement to its end; it is ended by the pid that it announced."""
    server = subprocess.Popen(
        [*command, "server", str(address_file)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        preexec_fn=die_with_parent,
    )
    try:
        yield _await_address(server, address_file)
    finally:
        _stop(server, address_file)


def _await_address(server, address_file):
    deadline = time.monotonic() + START_TIMEOUT
    while not address_file.exists():
        if server.poll() is not None:
            raise CellError(f"the server ended with {server.returncode} before it listened")
        if time.monotonic() > deadline:
            raise CellError(f"the server did not listen within {START_TIMEOUT} s")
        time.sleep(0.005)


def _stop(server, address_file):
    if server.poll() is None and address_file.exists():
        # Under strace this is the traced process, whose end lets strace write its summary.
        with contextlib.suppress(ProcessLookupError):
            os.kill(int(address_file.read_text().split()[1]), signal.SIGTERM)
        with contextlib.suppress(subprocess.TimeoutExpired):
            server.wait(3)
    if server.poll() is None:
        server.kill()
        server.wait()


def _finish(command, timeout):
    try:
        done = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=timeout,
            preexec_fn=die_with_parent,
            check=False,
        )
    except subprocess.TimeoutExpired as late:
        raise CellError(f"the client did not end within {timeout:.0f} s") from late
    if done.returncode != 0:
        last_words = done.stderr.strip().splitlines() or ["no message"]
        raise CellError(f"the client ended with {done.returncode}: {last_words[0]}")
    return done.stdout


def _parse(output):
    for line in output.splitlines():
        word, _, rest = line.partition(" ")
        if word == "unsupported":
            raise Unsupported(rest)
        if word == "result":
            pairs = (pair.split("=") for pair in rest.split())
            return {metric: float(value) for metric, value in pairs}
    raise CellError("the client printed no result")


def _strace_total(file):
    totals = [line.split() for line in file.read_text().splitlines() if line.endswith(" total")]
    if not totals:
        raise CellError("strace wrote no summary")
    return int(totals[0][3])
