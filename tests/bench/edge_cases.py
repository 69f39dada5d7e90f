"""What the edge adds to a request: the cases, and the files that they need.

Each case is a site of its own, with nothing in it but what is measured, so that the difference to the case
`plain` is its cost. nginx has the same where it can be said there: `limit_req`, `geo`, `map` and headers.
Tokens are made here, with a key of this run: signatures of ES256 by counting nonces, which is quick and gives
the key away, and is all right for nothing else.
"""

import base64
import hashlib
import hmac
import json

HOST = "bench.test"
NETWORKS = 100_000
RULES = 50
TOKENS = 20_000

# Name: (host, what it is, who can do it).
CASES = {
    "edge-plain": ("plain", "nothing but the pool", ("sluice", "nginx")),
    "edge-limit": ("limit", "a limit for each key (nginx: limit_req)", ("sluice", "nginx")),
    "edge-limit-on": ("limit-on", "a limit of bad answers for each key", ("sluice",)),
    "edge-session": ("session", "a session cookie (HS256)", ("sluice",)),
    "edge-es256": ("es256", "a JWT by ES256, the same again", ("sluice",)),
    "edge-es256-new": ("es256", f"a JWT by ES256, one of {TOKENS}", ("sluice",)),
    "edge-networks": ("networks", f"{NETWORKS} networks (nginx: geo)", ("sluice", "nginx")),
    "edge-cors": ("cors", "CORS for a list of origins (nginx: map)", ("sluice", "nginx")),
    "edge-headers": ("headers", f"{RULES} header rules", ("sluice", "nginx")),
}

# NIST P-256: its prime, its order, its base point.
P = 2**256 - 2**224 + 2**192 + 2**96 - 1
N = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
G = (
    0x6B17D1F2E12C4247F8BCE6E563A440F277037D812DEB33A0F4A13945D898C296,
    0x4FE342E2FE1A7F9B8EE7EB4A7C0F9E162BCE33576B315ECECBB6406837BF51F5,
)
SECRET_KEY = 0x5F3A9C7E1B2D4F60718293A4B5C6D7E8F90A1B2C3D4E5F60718293A4B5C6D7E8
SHARED_KEY = b"of the session cookies of a benchmark, and of nothing else"
SPKI = bytes.fromhex("3059301306072a8648ce3d020106082a8648ce3d03010703420004")
CLAIMS = {"iss": "sluice", "sub": "ann", "nbf": 1_600_000_000, "iat": 1_600_000_000, "exp": 4_000_000_000}


def add(a, b):
    """The sum of two points that are not each other's negative."""
    if a == b:
        slope = (3 * a[0] * a[0] - 3) * pow(2 * a[1], -1, P) % P
    else:
        slope = (b[1] - a[1]) * pow(b[0] - a[0], -1, P) % P
    x = (slope * slope - a[0] - b[0]) % P
    return x, (slope * (a[0] - x) - a[1]) % P


def times(number, point):
    """A multiple of a point."""
    result = None
    while number:
        if number & 1:
            result = point if result is None else add(result, point)
        point = add(point, point)
        number >>= 1
    return result


def text(data):
    """base64url without padding."""
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def signed_part(algorithm, claims):
    """The first two parts of a token."""
    parts = ({"alg": algorithm, "typ": "JWT"}, claims)
    return ".".join(text(json.dumps(part, separators=(",", ":")).encode()) for part in parts)


def hs256(host):
    """A session cookie's token for a host."""
    signed = signed_part("HS256", {**CLAIMS, "aud": host})
    return f"{signed}.{text(hmac.new(SHARED_KEY, signed.encode(), hashlib.sha256).digest())}"


def es256(host, count):
    """So many tokens for a host."""
    nonce = 0x7B1F5A9D3C2E4F6081A2B3C4D5E6F708192A3B4C5D6E7F8091A2B3C4D5E6F708
    point, tokens = times(nonce, G), []
    for number in range(count):
        signed = signed_part("ES256", {**CLAIMS, "aud": host, "jti": str(number)})
        z = int.from_bytes(hashlib.sha256(signed.encode()).digest(), "big")
        r = point[0] % N
        s = pow(nonce, -1, N) * (z + r * SECRET_KEY) % N
        tokens.append(f"{signed}.{text(r.to_bytes(32, 'big') + s.to_bytes(32, 'big'))}")
        nonce, point = nonce + 1, add(point, G)
    return tokens


def public_key():
    """The public key, in PEM."""
    x, y = times(SECRET_KEY, G)
    body = base64.b64encode(SPKI + x.to_bytes(32, "big") + y.to_bytes(32, "big")).decode()
    lines = "\n".join(body[at : at + 64] for at in range(0, len(body), 64))
    return f"-----BEGIN PUBLIC KEY-----\n{lines}\n-----END PUBLIC KEY-----\n"


def networks():
    """A hundred thousand networks, nested some of them, and one that this machine is in."""
    def at(base, length):
        return f"{base >> 24}.{base >> 16 & 255}.{base >> 8 & 255}.{base & 255}/{length}"

    yield "127.0.0.0/8"
    yield from (at((60 << 24) + number * 256, 24) for number in range(80_000))
    yield from (at((60 << 24) + number * 256 + 16, 28) for number in range(15_000))
    yield from (at((120 << 24) + number * 4096, 20) for number in range(NETWORKS - 95_001))


def host(case):
    """The host of a case."""
    return f"{CASES[case][0]}.{HOST}"


def prepare(directory):
    """Writes what configurations read: tokens, keys, networks."""
    secrets = directory / "secrets"
    secrets.mkdir(parents=True, exist_ok=True)
    (secrets / "session").write_bytes(SHARED_KEY + b"\n")
    (secrets / "public").write_text(public_key())
    for file in secrets.iterdir():
        file.chmod(0o600)
    nets = list(networks())
    (directory / "networks.csv").write_text("".join(f"{net},in\n" for net in nets))
    (directory / "networks.geo").write_text("".join(f"{net} 1;\n" for net in nets))


def rules(peer):
    """The header rules of a peer, as its configuration has them."""
    line = {
        "sluice": "    set response header x-rule-{n} = \"value {n}\"",
        "nginx": "            add_header X-Rule-{n} \"value {n}\";",
    }[peer]
    return "\n".join(line.format(n=n) for n in range(RULES))


def headers(case, tokens):
    """What a request of a case has beside its host, by name."""
    name = host(case)
    if case == "edge-session":
        return {"Cookie": f"sid={hs256(name)}"}
    if case.startswith("edge-es256"):
        return {"X-Token": tokens[0]}
    if case == "edge-cors":
        return {"Origin": "https://app.example.com"}
    return {}


def script(directory, tokens):
    """A script for wrk whose requests have one token after the other."""
    (directory / "tokens").write_text("\n".join(tokens) + "\n")
    path = directory / "tokens.lua"
    path.write_text(
        "local tokens, at = {}, 0\n"
        f"for line in io.lines('{directory}/tokens') do tokens[#tokens + 1] = line end\n"
        "function request()\n"
        "    at = at % #tokens + 1\n"
        "    wrk.headers['X-Token'] = tokens[at]\n"
        "    return wrk.format()\n"
        "end\n"
    )
    return path
