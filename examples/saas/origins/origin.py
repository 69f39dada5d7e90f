"""An origin for the example: says what reached it. Usage: origin.py NAME PORT"""

import json
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

NAME, PORT = sys.argv[1], int(sys.argv[2])


class Origin(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def answer(self):
        length = int(self.headers.get("content-length") or 0)
        received = len(self.rfile.read(length))
        seen = {"origin": NAME, "method": self.command, "path": self.path, "received": received}
        for name in ("host", "x-forwarded-for", "x-forwarded-proto", "x-api-version", "x-user", "x-owner"):
            if self.headers.get(name):
                seen[name] = self.headers[name]
        body = (json.dumps(seen) + "\n").encode()
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    do_GET = do_HEAD = do_POST = do_PUT = do_DELETE = answer

    def log_message(self, *_):
        pass


ThreadingHTTPServer(("127.0.0.1", PORT), Origin).serve_forever()
