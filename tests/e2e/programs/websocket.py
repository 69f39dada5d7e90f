"""A WebSocket server that echoes, and a client that checks it; both with TLS.

    websocket.py serve PORT CERT KEY
    websocket.py ask PORT NAME ROOT      connects to 127.0.0.1:PORT as NAME, prints what it found
"""

import asyncio
import hashlib
import ssl
import sys

import websockets
from websockets.asyncio.client import connect
from websockets.asyncio.server import serve


async def echo(socket):
    try:
        while True:
            await socket.send(await socket.recv())
    except websockets.ConnectionClosed:
        # The client said why it leaves.
        print("closed", socket.close_code, socket.close_reason, flush=True)


async def run_server(port, cert, key):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(cert, key)
    async with serve(echo, "127.0.0.1", port, ssl=context, max_size=4 << 20) as server:
        print("serving", flush=True)
        await server.serve_forever()


async def ask(port, name, root):
    context = ssl.create_default_context(cafile=root)
    url = f"wss://{name}/chat"
    address = dict(host="127.0.0.1", port=port, server_hostname=name, proxy=None)
    async with connect(url, ssl=context, max_size=4 << 20, open_timeout=10, **address) as socket:
        await socket.send("grüße")
        print("text", await asyncio.wait_for(socket.recv(), 10))
        # Larger than any buffer between here and there.
        data = hashlib.shake_256(b"websocket").digest(2 << 20)
        await socket.send(data)
        back = await asyncio.wait_for(socket.recv(), 10)
        print("binary", len(back), back == data)
        await asyncio.wait_for(await socket.ping(b"are you there"), 10)
        print("pong")
        await socket.close(4001, "done here")
    print("version", websockets.__version__)


if sys.argv[1] == "serve":
    asyncio.run(run_server(int(sys.argv[2]), *sys.argv[3:]))
else:
    asyncio.run(ask(int(sys.argv[2]), *sys.argv[3:]))
