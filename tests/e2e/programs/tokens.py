"""Tokens made by PyJWT, and forged in the ways that are known; with the keys that verify them. JSON on stdout."""

import base64
import hashlib
import hmac
import json
import sys
import time

import jwt
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature


def b64(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def unb64(text):
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def public(key):
    form = serialization.PublicFormat.SubjectPublicKeyInfo
    return key.public_key().public_bytes(serialization.Encoding.PEM, form).decode()


def raw(head, body, key):
    """Signed with HMAC, whatever head and body say."""
    text = b64(head.encode()) + "." + b64(body.encode())
    return text + "." + b64(hmac.new(key, text.encode(), hashlib.sha256).digest())


host = sys.argv[1]
now = int(time.time())
secret = "the shared key of these tests, 32+ bytes"
keys = {
    "RS256": rsa.generate_private_key(public_exponent=65537, key_size=2048),
    "ES256": ec.generate_private_key(ec.SECP256R1()),
    "EdDSA": ed25519.Ed25519PrivateKey.generate(),
}
keys["PS256"] = keys["RS256"]
pem = public(keys["RS256"]) + public(keys["ES256"]) + public(keys["EdDSA"])
claims = {"iss": "issuer", "aud": host, "sub": "ann", "exp": now + 600, "nbf": now - 5, "iat": now - 5}
but = lambda **other: {name: value for name, value in {**claims, **other}.items() if value is not None}
sign = lambda body, algorithm="HS256", **head: jwt.encode(
    body, secret if algorithm == "HS256" else keys[algorithm], algorithm=algorithm, headers=head or None
)

valid = {algorithm: sign(claims, algorithm) for algorithm in ["HS256", "RS256", "PS256", "ES256", "EdDSA"]}
valid["aud in a list"] = sign(but(aud=["other", host]))
valid["a kid that means nothing here"] = sign(claims, kid="7")
valid["no nbf"] = sign(but(nbf=None))

other = ec.generate_private_key(ec.SECP256R1())
stranger = rsa.generate_private_key(public_exponent=65537, key_size=2048)
jwk = json.loads(jwt.algorithms.ECAlgorithm.to_jwk(other.public_key()))
good = valid["HS256"]
head, body, signature = good.split(".")
es_text, es_signature = valid["ES256"].rsplit(".", 1)
r, s = (int.from_bytes(unb64(es_signature)[at : at + 32], "big") for at in (0, 32))
head_text, body_text = '{"alg":"HS256","typ":"JWT"}', json.dumps(claims)

forged = {
    "alg none": jwt.encode(claims, None, algorithm="none"),
    "alg None": b64(b'{"alg":"None"}') + "." + body + ".",
    "HS256 with the public key": raw(head_text, body_text, pem.encode()),
    "HS256 with the public key's first": raw(head_text, body_text, public(keys["RS256"]).encode()),
    "HS256 with a line of the public key": raw(head_text, body_text, pem.splitlines()[1].encode()),
    "HS256 with nothing": raw(head_text, body_text, b""),
    "HS512 with the right key": jwt.encode(claims, secret * 2, algorithm="HS512"),
    "RS512 with the right key": jwt.encode(claims, keys["RS256"], algorithm="RS512"),
    "another RSA key": jwt.encode(claims, stranger, algorithm="RS256"),
    "another P-256 key": jwt.encode(claims, other, algorithm="ES256"),
    "an embedded jwk": jwt.encode(claims, other, algorithm="ES256", headers={"jwk": jwk}),
    "a jku": jwt.encode(claims, other, algorithm="ES256", headers={"jku": "http://127.0.0.1/jwks"}),
    "a kid that is a path": raw('{"alg":"HS256","kid":"../../../../dev/null"}', body_text, b""),
    "a kid that is a query": raw('{"alg":"HS256","kid":"x\' UNION SELECT \'k"}', body_text, b"k"),
    "a P-256 signature of zeros": es_text + "." + b64(bytes(64)),
    "a P-256 signature in DER": es_text + "." + b64(encode_dss_signature(r, s)),
    "expired": sign(but(exp=now - 60)),
    "not yet": sign(but(nbf=now + 600)),
    "no exp": sign(but(exp=None)),
    "exp as a text": raw(head_text, json.dumps(but(exp=str(now + 600))), secret.encode()),
    "wrong aud": sign(but(aud="other.test")),
    "no aud": sign(but(aud=None)),
    "wrong iss": sign(but(iss="else")),
    "no iss": sign(but(iss=None)),
    "crit": sign(claims, crit=["exp"]),
    "duplicate claims": raw(head_text, body_text[:-1] + ', "sub": "root"}', secret.encode()),
    "duplicate alg": raw('{"alg":"none","alg":"HS256"}', body_text, secret.encode()),
    "a body that is a list": raw(head_text, "[" + body_text + "]", secret.encode()),
    "truncated": good[:-4],
    "without a signature": head + "." + body + ".",
    "with its signature twice": good + "." + signature,
    "with padding": good + "=",
    "another body": head + "." + b64(json.dumps(but(sub="root")).encode()) + "." + signature,
    "too long": sign(but(much="x" * 9000)),
    "empty": "",
}

json.dump({"secret": secret, "public": pem, "valid": valid, "forged": forged}, sys.stdout)
