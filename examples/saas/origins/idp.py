"""An OpenID provider for the example: whoever types a name is that person. Usage: idp.py PORT CLIENT SECRET-FILE DIRECTORY

It keeps its key (made by openssl) in DIRECTORY, and codes in memory. Never put it before anything real.
"""

import base64
import hashlib
import html
import json
import os
import re
import secrets
import subprocess
import sys
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, unquote_plus, urlencode, urlsplit

PORT, CLIENT, SECRET_FILE, DIRECTORY = int(sys.argv[1]), sys.argv[2], sys.argv[3], sys.argv[4]
ISSUER = f"http://127.0.0.1:{PORT}"
KEY = os.path.join(DIRECTORY, "idp.key")
CODES = {}
LASTS = 60


# Where a browser may be sent: the example's hosts, and nothing that ends a header line.
OURS = re.compile(r"https://([a-z-]+\.)?localhost(:\d+)?/[!-~]*")


def base64url(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def openssl(*arguments, given=b""):
    return subprocess.run(["openssl", *arguments], input=given, stdout=subprocess.PIPE, check=True).stdout


if not os.path.exists(KEY):
    openssl("genpkey", "-quiet", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048", "-out", KEY)
    os.chmod(KEY, 0o600)
MODULUS = bytes.fromhex(openssl("rsa", "-in", KEY, "-noout", "-modulus").decode().strip().split("=")[1])
PUBLIC = {"kty": "RSA", "use": "sig", "alg": "RS256", "kid": base64url(hashlib.sha256(MODULUS).digest()[:8]),
          "n": base64url(MODULUS), "e": base64url((65537).to_bytes(3, "big"))}


def signed(claims):
    head = {"alg": "RS256", "typ": "JWT", "kid": PUBLIC["kid"]}
    text = ".".join(base64url(json.dumps(part).encode()) for part in (head, claims))
    return f"{text}.{base64url(openssl('dgst', '-sha256', '-sign', KEY, given=text.encode()))}"


class Provider(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        url = urlsplit(self.path)
        asked = {name: values[0] for name, values in parse_qs(url.query).items()}
        if url.path == "/.well-known/openid-configuration":
            self.json(200, {
                "issuer": ISSUER, "authorization_endpoint": f"{ISSUER}/authorize", "token_endpoint": f"{ISSUER}/token",
                "jwks_uri": f"{ISSUER}/jwks", "end_session_endpoint": f"{ISSUER}/logout",
                "response_types_supported": ["code"], "subject_types_supported": ["public"],
                "id_token_signing_alg_values_supported": ["RS256"], "code_challenge_methods_supported": ["S256"],
                "token_endpoint_auth_methods_supported": ["client_secret_basic"]})
        elif url.path == "/jwks":
            self.json(200, {"keys": [PUBLIC]})
        elif url.path == "/authorize" and asked.get("client_id") == CLIENT and OURS.fullmatch(asked.get("redirect_uri", "")):
            kept = "".join(f'<input type="hidden" name="{html.escape(name)}" value="{html.escape(value)}">'
                           for name, value in asked.items())
            self.page(f'<form method="post" action="/authorize">{kept}<label>Who are you? <input name="name" autofocus>'
                      '</label> <button>Go on</button></form>')
        elif url.path == "/logout":
            back = asked.get("post_logout_redirect_uri")
            self.redirect(back) if back and OURS.fullmatch(back) else self.page("You are logged out.")
        else:
            self.json(404, {"error": "not_found"})

    def do_POST(self):
        length = int(self.headers.get("content-length") or 0)
        asked = {name: values[0] for name, values in parse_qs(self.rfile.read(length).decode()).items()}
        if self.path == "/authorize" and asked.get("name") and OURS.fullmatch(asked.get("redirect_uri", "")):
            code = secrets.token_urlsafe(24)
            CODES[code] = (asked, time.time())
            answer = {"code": code, "state": asked.get("state", ""), "iss": ISSUER}
            self.redirect(f"{asked['redirect_uri']}?{urlencode(answer)}")
        elif self.path == "/token":
            self.token(asked)
        else:
            self.json(400, {"error": "invalid_request"})

    def token(self, asked):
        with open(SECRET_FILE, encoding="utf-8") as file:
            known = f"{CLIENT}:{file.read().strip()}"
        # Both parts are encoded as those of forms are (RFC 6749 section 2.3.1).
        said = base64.b64decode(self.headers.get("authorization", "").removeprefix("Basic ")).decode()
        if not secrets.compare_digest(unquote_plus(said).encode(), known.encode()):
            return self.json(401, {"error": "invalid_client"})
        given, when = CODES.pop(asked.get("code", ""), (None, 0))
        proof = base64url(hashlib.sha256(asked.get("code_verifier", "").encode()).digest())
        if not given or time.time() - when > LASTS or given["redirect_uri"] != asked.get("redirect_uri") \
                or given.get("code_challenge") != proof:
            return self.json(400, {"error": "invalid_grant"})
        now = int(time.time())
        name = given["name"].lower()
        return self.json(200, {
            "access_token": secrets.token_urlsafe(24), "token_type": "Bearer", "expires_in": 3600,
            "id_token": signed({"iss": ISSUER, "aud": CLIENT, "sub": name, "name": given["name"], "iat": now,
                                "exp": now + 3600, "nonce": given.get("nonce"),
                                "groups": ["staff"] if name == "ann" else []})})

    def json(self, status, value):
        self.answer(status, "application/json", json.dumps(value).encode())

    def page(self, text):
        self.answer(200, "text/html; charset=utf-8", f"<!doctype html><title>Who are you?</title>{text}".encode())

    def redirect(self, to):
        self.answer(303, "text/plain", b"", location=to)

    def answer(self, status, kind, body, **more):
        self.send_response(status)
        self.send_header("content-type", kind)
        self.send_header("content-length", str(len(body)))
        self.send_header("cache-control", "no-store")
        for name, value in more.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


ThreadingHTTPServer(("127.0.0.1", PORT), Provider).serve_forever()
