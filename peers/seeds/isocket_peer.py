"""What iSocket does, in a few lines: a connection per call, pickled messages, a thread per connection.

Each message goes out as a length and then a body, in two writes with Nagle's algorithm on, after a handshake
in which the client names the action. That is where its time goes. Pickle from a peer runs what the peer
likes: fit for this benchmark on loopback, for nothing else.
"""

import pickle
import socket
import threading
import time

import bench


def send(connection, message):
    """One message: its length, then itself."""
    body = pickle.dumps(message)
    connection.sendall(len(body).to_bytes(4, "big"))
    connection.sendall(body)


def receive(connection):
    """The next message."""
    length = int.from_bytes(connection.recv(4, socket.MSG_WAITALL), "big")
    return pickle.loads(connection.recv(length, socket.MSG_WAITALL))


ACTIONS = {"echo": lambda data: data}


def serve(announce):
    """Serves until killed."""
    listener = socket.create_server(("127.0.0.1", 0))
    announce(listener.getsockname()[1])
    while True:
        connection, _ = listener.accept()
        threading.Thread(target=serve_one, args=(connection,), daemon=True).start()


def serve_one(connection):
    """The server's half of one call."""
    with connection:
        action = ACTIONS[receive(connection)]
        send(connection, "ready")
        send(connection, action(receive(connection)))


def call(address, action, data):
    """The client's half of one call."""
    with socket.create_connection(address) as connection:
        send(connection, action)
        if receive(connection) != "ready":
            raise SystemExit("the server refused the action")
        send(connection, data)
        return receive(connection)


def sequential(address, quota):
    """W1."""
    number = 0
    while quota.more() or not quota.latencies:
        started = time.perf_counter()
        bench.check(call(address, "echo", bench.payload(number)), number)
        quota.add(started)
        number += 1


if __name__ == "__main__":
    bench.main(serve, {"W1": sequential})
