"""A WebSocket server and clients of it that were written by others: websockets, and h2 for HTTP/2.

    websocket_peer.py serve PORT [CERT KEY]
    websocket_peer.py talk URL PORT [ROOT]   many messages through 127.0.0.1:PORT
    websocket_peer.py codes URL PORT [ROOT]  close codes from both sides, subprotocols, pings
    websocket_peer.py talk2 PORT NAME [ROOT] many messages over HTTP/2: extended CONNECT, in the clear or with TLS
"""

import asyncio
import random
import ssl
import sys
import time
from urllib.parse import parse_qs, urlsplit

import h2.config
import h2.connection
import h2.events
import h2.settings
import websockets
from websockets.asyncio.client import connect
from websockets.asyncio.server import serve
from websockets.extensions.permessage_deflate import PerMessageDeflate
from websockets.frames import Opcode
from websockets.protocol import CLIENT, State
from websockets.protocol import Protocol

MAX = 4 << 20
COUNT = 10_000
# Messages that are on their way at once.
AHEAD = 64
PATIENCE = 60


def messages():
    """Of mixed sizes, the same in every run: (message, pieces it is sent in)."""
    dice = random.Random(6455)
    for n in range(COUNT):
        if n % 1000 == 999:
            size = 1 << 20
        elif n % 100 == 99:
            size = dice.randrange(60_000, 70_000)
        else:
            size = dice.choice([0, 1, 5, 125, 126, 127, 1000, 4096])
        data = dice.randbytes(size) if n % 2 else ("ü" * (size // 2))
        yield data, dice.choice([1, 1, 1, 2, 3]) if size > 3 else 1


def cut(data, pieces):
    step = -(-len(data) // pieces)
    return [data[i : i + step] for i in range(0, len(data), step)]


async def echo(socket):
    query = parse_qs(urlsplit(socket.request.path).query)
    print("opened", socket.request.path, socket.subprotocol, socket.request.headers.get("X-Forwarded-Proto"), flush=True)
    try:
        if "close" in query:
            await socket.close(int(query["close"][0]), "the server says so")
            return
        async for message in socket:
            await socket.send(message)
    except websockets.ConnectionClosed:
        pass
    finally:
        await socket.wait_closed()
        print("closed", socket.close_code, socket.close_reason, flush=True)


async def run_server(port, cert=None, key=None):
    settings = dict(select_subprotocol=lambda _, offered: "chat" if "chat" in offered else None)
    settings |= dict(max_size=MAX, ping_interval=None, max_queue=4)
    if cert:
        settings["ssl"] = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        settings["ssl"].load_cert_chain(cert, key)
    async with serve(echo, "127.0.0.1", port, **settings) as server:
        print("serving", flush=True)
        await server.serve_forever()


def to(url, port, root):
    address = dict(host="127.0.0.1", port=port, proxy=None, max_size=MAX, open_timeout=20, ping_interval=None)
    if root:
        address["ssl"] = ssl.create_default_context(cafile=root)
        address["server_hostname"] = urlsplit(url).hostname
    return address


async def talk(url, port, root=None):
    for compression in ["deflate", None]:
        async with connect(url, compression=compression, **to(url, int(port), root)) as socket:
            room = asyncio.Semaphore(AHEAD)

            async def send():
                for data, pieces in messages():
                    await room.acquire()
                    await socket.send(data if pieces == 1 else cut(data, pieces))

            sending = asyncio.create_task(send())
            right = 0
            for data, _ in messages():
                right += await asyncio.wait_for(socket.recv(), PATIENCE) == data
                room.release()
            await sending
            print("echoed", right, "of", COUNT, "compressed" if socket.protocol.extensions else "plain", flush=True)


async def codes(url, port, root=None):
    address = to(url, int(port), root)
    for code in [1000, 1001, 4000]:
        async with connect(url, **address) as socket:
            await socket.close(code, "the client says so")
        async with connect(f"{url}?close={code}", **address) as socket:
            try:
                await asyncio.wait_for(socket.recv(), PATIENCE)
            except websockets.ConnectionClosed as closed:
                print("server closed", closed.rcvd.code, closed.rcvd.reason, flush=True)
    async with connect(url, subprotocols=["log", "chat"], **address) as socket:
        print("subprotocol", socket.subprotocol, flush=True)
        waiter = await socket.ping(b"are you there")
        await asyncio.wait_for(waiter, PATIENCE)
        print("pong", flush=True)
        # The client vanishes without a word.
        socket.transport.abort()
    async with connect(url, **address) as socket:
        await socket.send("still there")
        print(await asyncio.wait_for(socket.recv(), PATIENCE), flush=True)


class Stream:
    """A WebSocket on a stream of HTTP/2 (RFC 8441)."""

    def __init__(self, reader, writer, name, secure):
        self.reader, self.writer, self.name, self.secure = reader, writer, name, secure
        self.http = h2.connection.H2Connection(h2.config.H2Configuration(client_side=True, header_encoding="utf-8"))
        self.websocket = Protocol(CLIENT, state=State.OPEN, max_size=MAX)
        self.answer = {}
        self.ended = False
        self.received = []
        self.waiting = bytearray()

    async def flush(self):
        self.writer.write(self.http.data_to_send())
        await self.writer.drain()

    async def step(self):
        data = await asyncio.wait_for(self.reader.read(65536), PATIENCE)
        if not data:
            raise EOFError("the connection ended")
        for event in self.http.receive_data(data):
            if isinstance(event, h2.events.ResponseReceived):
                self.answer = dict(event.headers)
            elif isinstance(event, h2.events.DataReceived):
                self.http.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
                self.websocket.receive_data(event.data)
            elif isinstance(event, h2.events.StreamEnded):
                self.ended = True
                self.websocket.receive_eof()
            elif isinstance(event, (h2.events.StreamReset, h2.events.ConnectionTerminated)):
                raise EOFError(str(event))
        self.received += self.websocket.events_received()
        self.pump()
        await self.flush()

    def pump(self):
        """What the windows let through goes out."""
        for piece in self.websocket.data_to_send():
            self.waiting += piece
        while self.waiting:
            window = min(self.http.local_flow_control_window(self.stream), self.http.max_outbound_frame_size)
            if window <= 0:
                return
            self.http.send_data(self.stream, bytes(self.waiting[:window]))
            del self.waiting[:window]

    async def open(self):
        self.http.initiate_connection()
        await self.flush()
        while not self.http.remote_settings.enable_connect_protocol:
            await self.step()
        self.stream = self.http.get_next_available_stream_id()
        offer = "permessage-deflate; server_no_context_takeover; client_no_context_takeover"
        self.http.send_headers(
            self.stream,
            [
                (":method", "CONNECT"),
                (":protocol", "websocket"),
                (":scheme", "https" if self.secure else "http"),
                (":path", "/chat"),
                (":authority", self.name),
                ("sec-websocket-version", "13"),
                ("sec-websocket-protocol", "log, chat"),
                ("sec-websocket-extensions", offer),
            ],
        )
        await self.flush()
        while not self.answer:
            await self.step()
        print("answer", self.answer[":status"], self.answer.get("sec-websocket-protocol"), flush=True)
        if "permessage-deflate" in self.answer.get("sec-websocket-extensions", ""):
            self.websocket.extensions = [PerMessageDeflate(True, True, 15, 15)]

    async def message(self):
        parts, kind = [], None
        while True:
            while not self.received:
                await self.step()
            frame = self.received.pop(0)
            if frame.opcode in (Opcode.TEXT, Opcode.BINARY):
                kind = frame.opcode
            elif frame.opcode is not Opcode.CONT:
                return frame
            parts.append(bytes(frame.data))
            if frame.fin:
                data = b"".join(parts)
                return data.decode() if kind is Opcode.TEXT else data


async def talk2(port, name, root=None):
    context = None
    if root:
        context = ssl.create_default_context(cafile=root)
        context.set_alpn_protocols(["h2"])
    where = dict(ssl=context, server_hostname=name) if root else {}
    reader, writer = await asyncio.open_connection("127.0.0.1", int(port), **where)
    stream = Stream(reader, writer, name, bool(root))
    await stream.open()
    coming, right, ahead = messages(), 0, []
    for data, pieces in messages():
        while len(ahead) < AHEAD:
            try:
                expected, pieces = next(coming)
            except StopIteration:
                break
            ahead.append(expected)
            text = isinstance(expected, str)
            parts = cut(expected.encode() if text else expected, pieces) if pieces > 1 else [expected.encode() if text else expected]
            send = stream.websocket.send_text if text else stream.websocket.send_binary
            send(parts[0], fin=len(parts) == 1)
            for at, part in enumerate(parts[1:], 2):
                stream.websocket.send_continuation(part, fin=at == len(parts))
            stream.pump()
        await stream.flush()
        right += await stream.message() == ahead.pop(0)
    print("echoed", right, "of", COUNT, "compressed" if stream.websocket.extensions else "plain", flush=True)
    stream.websocket.send_ping(b"are you there")
    stream.pump()
    await stream.flush()
    pong = await stream.message()
    print("pong", pong.opcode is Opcode.PONG and bytes(pong.data) == b"are you there", flush=True)
    stream.websocket.send_close(4000, "the client says so")
    stream.pump()
    await stream.flush()
    while not stream.ended:
        await stream.step()
    print("server closed", stream.websocket.close_code, stream.websocket.close_reason, flush=True)


if sys.argv[1] == "serve":
    asyncio.run(run_server(int(sys.argv[2]), *sys.argv[3:]))
else:
    begin = time.monotonic()
    asyncio.run({"talk": talk, "codes": codes, "talk2": talk2}[sys.argv[1]](*sys.argv[2:]))
    print("version", websockets.__version__, "in", round(time.monotonic() - begin, 1), "s", flush=True)
