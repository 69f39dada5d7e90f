"""A token as an identity provider issues it (RFC 7519, HS256). Usage: identity.py KEYFILE WHO HOST"""

import base64
import hashlib
import hmac
import json
import sys
import time


def part(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=")


with open(sys.argv[1], "rb") as file:
    key = file.readline().rstrip(b"\r\n")
now = int(time.time())
claims = {"iss": "id.localhost", "aud": sys.argv[3], "sub": sys.argv[2], "iat": now, "exp": now + 3600}
signed = part(json.dumps({"alg": "HS256", "typ": "JWT"}).encode()) + b"." + part(json.dumps(claims).encode())
print((signed + b"." + part(hmac.new(key, signed, hashlib.sha256).digest())).decode())
