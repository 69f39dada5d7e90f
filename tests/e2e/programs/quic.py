"""A QUIC server that says its name and echoes, and a client that checks it.

    quic.py serve NAME PORT CERT KEY
    quic.py ask PORT SERVER-NAME ROOT SECONDS      connects to 127.0.0.1:PORT, prints what it found in time
"""

import asyncio
import hashlib
import ssl
import sys

from aioquic.asyncio import QuicConnectionProtocol, connect, serve
from aioquic.quic.configuration import QuicConfiguration
from aioquic.quic.events import ConnectionTerminated, HandshakeCompleted

ALPN = ["echo"]


class Server(QuicConnectionProtocol):
    """Says in its console what it sees of connections."""

    def quic_event_received(self, event):
        if isinstance(event, HandshakeCompleted):
            print("handshake", event.alpn_protocol, flush=True)
        if isinstance(event, ConnectionTerminated):
            print("terminated", event.error_code, event.reason_phrase, flush=True)
        super().quic_event_received(event)


async def run_server(name, port, cert, key):
    configuration = QuicConfiguration(is_client=False, alpn_protocols=ALPN)
    configuration.load_cert_chain(cert, key)

    async def echo(reader, writer):
        writer.write(name.encode() + b"\n")
        while data := await reader.read(65536):
            writer.write(data)
        writer.write_eof()

    def handler(reader, writer):
        asyncio.ensure_future(echo(reader, writer))

    await serve("127.0.0.1", port, configuration=configuration, create_protocol=Server, stream_handler=handler)
    print("serving", flush=True)
    await asyncio.Future()


async def ask(port, name, root, seconds):
    configuration = QuicConfiguration(is_client=True, alpn_protocols=ALPN, server_name=name)
    configuration.load_verify_locations(root)
    configuration.verify_mode = ssl.CERT_REQUIRED
    async with asyncio.timeout(seconds):
        async with connect("127.0.0.1", port, configuration=configuration) as client:
            reader, writer = await client.create_stream()
            data = hashlib.shake_256(b"quic").digest(1 << 20)
            writer.write(data)
            writer.write_eof()
            print("server", (await reader.readline()).decode().strip())
            back = await reader.read()
            print("echo", len(back), back == data)
            # From now on a datagram carries the connection ID that the server chose, and no name.
            client.change_connection_id()
            reader, writer = await client.create_stream()
            writer.write(b"by another connection ID")
            writer.write_eof()
            print("again", (await reader.readline()).decode().strip(), (await reader.read()).decode())
            client.close(error_code=7, reason_phrase="done here")


if sys.argv[1] == "serve":
    asyncio.run(run_server(sys.argv[2], int(sys.argv[3]), *sys.argv[4:]))
else:
    asyncio.run(ask(int(sys.argv[2]), *sys.argv[3:5], int(sys.argv[5])))
