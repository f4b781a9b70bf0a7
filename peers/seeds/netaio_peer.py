"""netaio as its documentation uses it: an asyncio server and client, no authentication, no cipher.

netaio finds the caller of a reply by its URI, so calls in flight together carry different ones.
"""

import asyncio
import logging
import time

import bench
from netaio import Body, Message, MessageType, TCPClient, TCPServer


def serve(announce):
    """Answers every request with its own content, until killed."""
    logging.disable()
    server = TCPServer(port=0, interface="127.0.0.1")

    @server.on(MessageType.REQUEST_URI)
    async def echo(message, _writer):
        body = Body.prepare(message.body.content, uri=message.body.uri)
        return Message.prepare(body, MessageType.RESPOND_URI)

    async def run():
        serving = asyncio.create_task(server.start())
        while not getattr(server, "server", None):
            await asyncio.sleep(0.01)
        announce(server.server.sockets[0].getsockname()[1])
        await serving

    asyncio.run(run())


def with_in_flight(callers):
    """A client with so many sequential callers on one connection."""

    async def run(address, quota):
        client = TCPClient(*address)
        await client.connect()
        await client.start_receive_loop()
        await asyncio.gather(*(call(client, caller, quota) for caller in range(callers)))
        await client.stop_receive_loop()
        await client.close()

    return lambda address, quota: asyncio.run(run(address, quota))


async def call(client, caller, quota):
    """One caller: call after call under its own URI."""
    number, uri = caller << 32, b"echo%d" % caller
    while quota.more():
        started = time.perf_counter()
        reply = await client.request(uri, content=bench.payload(number))
        bench.check(reply.body.content, number)
        quota.add(started)
        number += 1


if __name__ == "__main__":
    logging.disable()
    bench.main(serve, {"W1": with_in_flight(1), "W2a": with_in_flight(64)})
