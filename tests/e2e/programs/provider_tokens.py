"""Tokens of a provider, made by PyJWT, and forged in the ways that are known; with the provider's set of keys.

Arguments: the issuer, whom tokens are for. JSON on stdout."""

import base64
import hashlib
import hmac
import json
import sys
import time

import jwt
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature


def b64(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def unb64(text):
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def number(n, size=None):
    return b64(n.to_bytes(size or (n.bit_length() + 7) // 8, "big"))


def jwk(key, **more):
    public = key.public_key()
    if isinstance(public, rsa.RSAPublicKey):
        n = public.public_numbers()
        own = {"kty": "RSA", "n": number(n.n), "e": number(n.e)}
    elif isinstance(public, ec.EllipticCurvePublicKey):
        n = public.public_numbers()
        size = (public.curve.key_size + 7) // 8
        own = {"kty": "EC", "crv": f"P-{public.curve.key_size}", "x": number(n.x, size), "y": number(n.y, size)}
    else:
        own = {"kty": "OKP", "crv": "Ed25519", "x": b64(public.public_bytes_raw())}
    return {**own, **more}


def spki(key, encoding):
    return key.public_key().public_bytes(encoding, serialization.PublicFormat.SubjectPublicKeyInfo)


def raw(head, body, sign):
    """Signed as it is, whatever head and body say."""
    text = b64(head if isinstance(head, bytes) else head.encode()) + "." + b64(body if isinstance(body, bytes) else body.encode())
    return text + "." + b64(sign(text.encode()))


issuer, audience = sys.argv[1:3]
now = int(time.time())
keys = {
    "RS256": rsa.generate_private_key(public_exponent=65537, key_size=2048),
    "PS256": rsa.generate_private_key(public_exponent=65537, key_size=2048),
    "ES256": ec.generate_private_key(ec.SECP256R1()),
    "EdDSA": ed25519.Ed25519PrivateKey.generate(),
}
kids = {"RS256": "rsa", "PS256": "pss", "ES256": "ec", "EdDSA": "ed"}
weak = rsa.generate_private_key(public_exponent=65537, key_size=1024)
p384 = ec.generate_private_key(ec.SECP384R1())
enc = rsa.generate_private_key(public_exponent=65537, key_size=2048)
stranger = rsa.generate_private_key(public_exponent=65537, key_size=2048)
other = ec.generate_private_key(ec.SECP256R1())
oct = b"a secret that stands in a set of keys, for all to read"
published = [jwk(key, kid=kids[name], alg=name, use="sig") for name, key in keys.items()] + [
    jwk(weak, kid="weak"),
    {"kty": "RSA", "kid": "one", "n": jwk(stranger)["n"], "e": "AQ"},
    {"kty": "oct", "kid": "oct", "k": b64(oct), "alg": "HS256"},
    jwk(p384, kid="p384"),
    jwk(enc, kid="enc", use="enc"),
    {**jwk(other, kid="private"), "d": number(other.private_numbers().private_value, 32)},
]

claims = {"iss": issuer, "aud": audience, "sub": "ann", "exp": now + 600, "nbf": now - 5, "iat": now - 5}
claims |= {"level": 3, "email_verified": True, "groups": ["staff", "admin"]}
but = lambda **changed: {name: value for name, value in {**claims, **changed}.items() if value is not None}


def sign(body, algorithm="ES256", key=None, **head):
    head = {"kid": kids.get(algorithm), **head}
    head = {name: value for name, value in head.items() if value is not None}
    return jwt.encode(body, key or keys[algorithm], algorithm=algorithm, headers=head)


def es(text, key=keys["ES256"]):
    """A signature as a token has it."""
    from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

    r, s = decode_dss_signature(key.sign(text, ec.ECDSA(hashes.SHA256())))
    return r.to_bytes(32, "big") + s.to_bytes(32, "big")


def es_der(text):
    return keys["ES256"].sign(text, ec.ECDSA(hashes.SHA256()))


def hs(secret):
    return lambda text: hmac.new(secret, text, hashlib.sha256).digest()


valid = {f"{algorithm} by PyJWT": sign(claims, algorithm) for algorithm in keys}
valid["aud in a list"] = sign(but(aud=["other", audience]))
valid["no kid"] = sign(claims, kid=None)
valid["no nbf, no iat"] = sign(but(nbf=None, iat=None))
valid["an exp with a fraction"] = sign(but(exp=now + 600.5))

ec_head = json.dumps({"alg": "ES256", "kid": "ec"})
hs_head = lambda kid: json.dumps({"alg": "HS256", "kid": kid})
body_text = json.dumps(claims)
good = sign(claims)
head, body, signature = good.split(".")
ed_text, ed_signature = sign(claims, "EdDSA").rsplit(".", 1)
signature_bytes = unb64(signature)
order = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
pem = spki(keys["RS256"], serialization.Encoding.PEM)
der = spki(keys["RS256"], serialization.Encoding.DER)
rsa_jwk = published[0]
spare = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
last = spare[spare.index(signature[-1]) ^ 1]
nothing = lambda text: b""
rs512 = lambda text: keys["RS256"].sign(text, padding.PKCS1v15(), hashes.SHA512())
rs256_by = lambda key: lambda text: key.sign(text, padding.PKCS1v15(), hashes.SHA256())
unsigned = lambda alg: b64(json.dumps({"alg": alg, "typ": "JWT"}).encode()) + "." + body

forged = {
    **{f"alg {alg}": unsigned(alg) + "." for alg in ["none", "None", "NONE", "nOnE", " none", "none ", ""]},
    "alg none, with a signature": unsigned("none") + "." + signature,
    "alg none, kid of a key": b64(b'{"alg":"none","kid":"ec"}') + "." + body + ".",
    "alg null": b64(b'{"alg":null}') + "." + body + ".",
    "alg that is a list": raw('{"alg":["ES256"],"kid":"ec"}', body_text, es),
    "no alg": raw('{"kid":"ec"}', body_text, es),
    "HS256 with the PEM of the public key": raw(hs_head("rsa"), body_text, hs(pem)),
    "HS256 with the PEM without its last newline": raw(hs_head("rsa"), body_text, hs(pem.strip())),
    "HS256 with the DER of the public key": raw(hs_head("rsa"), body_text, hs(der)),
    "HS256 with the JWK of the public key": raw(hs_head("rsa"), body_text, hs(json.dumps(rsa_jwk).encode())),
    "HS256 with the modulus": raw(hs_head("rsa"), body_text, hs(rsa_jwk["n"].encode())),
    "HS256 with the oct of the set": raw(hs_head("oct"), body_text, hs(oct)),
    "HS256 with nothing": raw(hs_head("ec"), body_text, hs(b"")),
    "PS256 by a key of RS256": sign(claims, "PS256", keys["RS256"], kid="rsa"),
    "RS256 by a key of PS256": sign(claims, "RS256", keys["PS256"], kid="pss"),
    "RS512 by a key of RS256": raw('{"alg":"RS512","kid":"rsa"}', body_text, rs512),
    "RS256 said, RS512 signed": raw('{"alg":"RS256","kid":"rsa"}', body_text, rs512),
    "kid of another key": sign(claims, kid="ed"),
    "a kid nobody has": sign(claims, kid="nobody"),
    "a stranger's key under a kid of the set": sign(claims, "RS256", stranger, kid="rsa"),
    "another P-256 key": sign(claims, key=other),
    "a key whose private part is published": sign(claims, key=other, kid="private"),
    "a key for encryption": sign(claims, "RS256", enc, kid="enc"),
    "an RSA key of 1024 bits": raw('{"alg":"RS256","kid":"weak"}', body_text, rs256_by(weak)),
    "an exponent of 1": raw('{"alg":"RS256","kid":"one"}', body_text, lambda text: b"\x00" * 255 + b"\x01"),
    "another curve": jwt.encode(claims, p384, algorithm="ES384", headers={"kid": "p384"}),
    "an embedded jwk": sign(claims, key=other, kid=None, jwk=jwk(other)),
    "an embedded jwk with a kid of the set": sign(claims, key=other, jwk=jwk(other, kid="ec")),
    "a jku": sign(claims, key=other, kid="ec", jku="http://127.0.0.1:9/jwks"),
    "an x5u": sign(claims, key=other, x5u="https://127.0.0.1:9/chain.pem"),
    "an x5c": sign(claims, key=other, x5c=["MIIB"]),
    "crit": sign(claims, crit=["exp"]),
    "crit that is empty": sign(claims, crit=[]),
    "b64 false": raw('{"alg":"ES256","kid":"ec","b64":false}', body_text, es),
    "b64 false and crit": raw('{"alg":"ES256","kid":"ec","b64":false,"crit":["b64"]}', body_text, es),
    "a kid that is a path": sign(claims, key=other, kid="../../../../dev/null"),
    "a kid that is a query": sign(claims, key=other, kid="' UNION SELECT 'ec"),
    "a kid that is a URL": sign(claims, key=other, kid="http://127.0.0.1:9/key"),
    "a kid that is a command": sign(claims, key=other, kid="ec; cat /etc/passwd"),
    "a kid that is no text": raw('{"alg":"ES256","kid":["ec"]}', body_text, es),
    "a kid that is long": sign(claims, key=other, kid="x" * 4000),
    "a P-256 signature of zeros": f"{head}.{body}." + b64(bytes(64)),
    "r of zero": f"{head}.{body}." + b64(bytes(32) + signature_bytes[32:]),
    "s of zero": f"{head}.{body}." + b64(signature_bytes[:32] + bytes(32)),
    "r and s of the order": f"{head}.{body}." + b64(order.to_bytes(32, "big") * 2),
    "a P-256 signature in DER": raw(ec_head, body_text, es_der),
    "a P-256 signature with a byte more": f"{head}.{body}." + b64(signature_bytes + b"\0"),
    "a P-256 signature with a byte less": f"{head}.{body}." + b64(signature_bytes[:-1]),
    "an Ed25519 signature of zeros": ed_text + "." + b64(bytes(64)),
    "an Ed25519 signature of the identity": ed_text + "." + b64(b"\x01" + bytes(63)),
    "an Ed25519 signature with an s too large": ed_text + "." + b64(unb64(ed_signature)[:32] + b"\xff" * 32),
    "expired": sign(but(exp=now - 60)),
    "expired a second ago": sign(but(exp=now - 1)),
    "not yet": sign(but(nbf=now + 600)),
    "issued tomorrow": sign(but(iat=now + 86400)),
    "no exp": sign(but(exp=None)),
    "exp as a text": raw(ec_head, json.dumps(but(exp=str(now + 600))), es),
    "exp as a truth": raw(ec_head, json.dumps(but(exp=True)), es),
    "exp that overflows": raw(ec_head, body_text.replace(f'"exp": {now + 600}', '"exp": 1e400'), es),
    "exp beyond all time": raw(ec_head, json.dumps(but(exp=2**64)), es),
    "exp in milliseconds": raw(ec_head, json.dumps(but(exp=(now + 600) * 1000)), es),
    "exp below zero": raw(ec_head, json.dumps(but(exp=-1)), es),
    "nbf as a text": raw(ec_head, json.dumps(but(nbf="0")), es),
    "wrong aud": sign(but(aud="other")),
    "aud in another list": sign(but(aud=["other", "more"])),
    "aud that begins like ours": sign(but(aud=audience + "x")),
    "aud in capitals": sign(but(aud=audience.upper())),
    "aud inside a list in a list": raw(ec_head, json.dumps(but(aud=[[audience]])), es),
    "no aud": sign(but(aud=None)),
    "wrong iss": sign(but(iss="https://login.example.com")),
    "iss with a slash behind": sign(but(iss=issuer + "/")),
    "iss in a list": raw(ec_head, json.dumps(but(iss=[issuer])), es),
    "no iss": sign(but(iss=None)),
    "duplicate claims": raw(ec_head, body_text[:-1] + ', "sub": "root"}', es),
    "duplicate claims, one escaped": raw(ec_head, body_text[:-1] + ', "s\\u0075b": "root"}', es),
    "duplicate claims inside": raw(ec_head, body_text[:-1] + ', "x": {"a": 1, "a": 2}}', es),
    "duplicate alg": raw('{"alg":"none","alg":"ES256","kid":"ec"}', body_text, es),
    "duplicate kid": raw('{"alg":"ES256","kid":"x","kid":"ec"}', body_text, es),
    "a body that is a list": raw(ec_head, "[" + body_text + "]", es),
    "a body that is a text": raw(ec_head, json.dumps(body_text), es),
    "a body with more behind it": raw(ec_head, body_text + "{}", es),
    "a body that is no UTF-8": raw(ec_head, body_text.encode().replace(b"ann", b"\xff\xfe"), es),
    "a head that is no object": raw('"ES256"', body_text, es),
    "a token in a token": raw('{"alg":"ES256","kid":"ec","cty":"JWT"}', good, es),
    "claims that say they are a token": raw('{"alg":"ES256","kid":"ec","cty":"jwt"}', body_text, es),
    "the form of JWE": ".".join([b64(b'{"alg":"dir","enc":"A256GCM"}'), "", b64(bytes(12)), b64(b"x"), b64(bytes(16))]),
    "the form of JWE with a signature of ours": good + "." + signature + "." + signature,
    "truncated in its signature": good[:-6],
    "truncated in its body": f"{head}.{body[:-4]}.{signature}",
    "truncated in its head": f"{head[:-4]}.{body}.{signature}",
    "without a signature": f"{head}.{body}.",
    "without its dot": f"{head}.{body}",
    "without a body": f"{head}..{signature}",
    "without a head": f".{body}.{signature}",
    "with padding": good + "==",
    "with padding inside": f"{head}=.{body}.{signature}",
    "in plain base64": f"{head}.{body}." + base64.b64encode(b"\xfb\xff" + signature_bytes[2:]).decode().rstrip("="),
    "base64 that is another text of the same bytes": good[:-1] + last,
    "with a byte behind it": good + "A",
    "with a space in it": f"{head} .{body}.{signature}",
    "another body": f"{head}." + b64(json.dumps(but(sub="root")).encode()) + f".{signature}",
    "too long": sign(but(much="x" * 9000)),
    "deeply nested": raw(ec_head, body_text[:-1] + ', "x": ' + "[" * 1000 + "]" * 1000 + "}", es),
    "claims without end": sign(but(**{f"c{n}": n for n in range(200)})),
    "empty": "",
    "dots": "..",
    "many dots": "." * 100,
}


def es_of_p384(text):
    from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

    r, s = decode_dss_signature(p384.sign(text, ec.ECDSA(hashes.SHA256())))
    return r.to_bytes(48, "big") + s.to_bytes(48, "big")


forged["another curve that says ES256"] = raw('{"alg":"ES256","kid":"p384"}', body_text, es_of_p384)
next_key = ec.generate_private_key(ec.SECP256R1())
# Of a provider that gives its keys no names.
unnamed = [ec.generate_private_key(ec.SECP256R1()) for _ in range(2)]
json.dump(
    {
        "keys": published,
        "valid": valid,
        "forged": forged,
        "next": {"jwk": jwk(next_key, kid="next"), "token": sign(claims, key=next_key, kid="next")},
        "unnamed": [{"jwk": jwk(key), "token": sign(claims, key=key, kid=None)} for key in unnamed],
        "expires": sign(but(exp=now + 3)),
    },
    sys.stdout,
)
