"""Seals sessions as the gateway does: HKDF with SHA-256, AES-256-GCM."""

import base64
import json
import secrets
import struct

from cryptography.hazmat.primitives import hashes, hmac
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDFExpand


def seal(key, held, host, issuer, client="shop", cookie="__Host-sid"):
    use = b"sluice login 1"
    extract = hmac.HMAC(use, hashes.SHA256())
    extract.update(key.encode())
    salt = secrets.token_bytes(16)
    okm = HKDFExpand(hashes.SHA256(), 44, use + salt).derive(extract.finalize())
    fields = ["session", host, issuer, client, cookie]
    purpose = b"".join(struct.pack(">Q", len(field.encode())) + field.encode() for field in fields)
    body = AESGCM(okm[:32]).encrypt(okm[32:], json.dumps(held).encode(), purpose)
    return "1." + base64.urlsafe_b64encode(b"\x01" + salt + body).rstrip(b"=").decode()
