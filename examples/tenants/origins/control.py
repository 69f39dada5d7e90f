"""Which tenants there are: 204 for those, 404 for others. Usage: control.py PORT"""

import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

TENANTS = {"acme", "globex"}


class Control(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        known = self.path.startswith("/tenants/") and self.path.removeprefix("/tenants/") in TENANTS
        self.send_response(204 if known else 404)
        if not known:
            self.send_header("content-length", "0")
        self.end_headers()

    def log_message(self, *_):
        pass


ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Control).serve_forever()
