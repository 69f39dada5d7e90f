"""An origin of the shop. Usage: origin.py NAME PORT

SIGUSR1 makes it answer 503 to everything but its check, or no longer; SIGUSR2 makes it take a second for each
answer, or no longer. `GET /seen` tells how many requests it has had.
"""

import signal
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

NAME, PORT = sys.argv[1], int(sys.argv[2])
state = {"broken": False, "slow": False}
seen = [0]
lock = threading.Lock()


class Origin(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def answer(self):
        self.rfile.read(int(self.headers.get("content-length") or 0))
        quiet = self.path in ("/healthz", "/seen")
        if not quiet:
            with lock:
                seen[0] += 1
            if state["slow"]:
                time.sleep(1)
        status = 503 if state["broken"] and not quiet else 200
        body = f"{seen[0]}\n" if self.path == "/seen" else f"{NAME}\n"
        head = f"HTTP/1.1 {status} {'OK' if status == 200 else 'broken'}\r\ncontent-type: text/plain\r\ncontent-length: {len(body)}\r\n\r\n"
        self.wfile.write((head + ("" if self.command == "HEAD" else body)).encode())

    do_GET = do_HEAD = do_POST = answer

    def log_message(self, *_):
        pass


class Server(ThreadingHTTPServer):
    request_queue_size = 128


def switch(what):
    state[what] = not state[what]


signal.signal(signal.SIGUSR1, lambda *_: switch("broken"))
signal.signal(signal.SIGUSR2, lambda *_: switch("slow"))
server = Server(("127.0.0.1", PORT), Origin)
print(NAME, "ready", flush=True)
server.serve_forever()
