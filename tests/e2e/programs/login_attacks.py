"""Attacks on logins: a browser without manners, and a provider that does what it is told. Argument: the attack. It
prints where the provider listens, reads the gateway's address, attacks, and prints `done`."""

import base64
import hashlib
import http.client
import json
import secrets
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, parse_qsl, quote, urlencode, urlsplit

import jwt
from cryptography.hazmat.primitives.asymmetric import rsa

from sealed import seal

KEY = "a key of the sessions of these tests, 32+ bytes"
SIGNS = rsa.generate_private_key(public_exponent=65537, key_size=2048)
# What the provider does differently.
MODE = {}
CODES = {}
ASKED = []
# The cookies that an origin was sent, by path.
TOLD = {}


def b64(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


class Provider(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def answer(self, body, status=200, kind="application/json"):
        body = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.send_response(status)
        self.send_header("content-type", kind)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self):
        if self.path.startswith("/told/"):
            TOLD[self.path] = self.headers.get_all("cookie")
            return self.answer({})
        _, name, path = self.path.split("/", 2)
        at = f"http://127.0.0.1:{self.server.server_port}/{name}"
        if path == ".well-known/openid-configuration":
            self.answer(
                {
                    "issuer": at,
                    "jwks_uri": f"{at}/jwks",
                    "authorization_endpoint": f"{at}/authorize?tenant=1",
                    "token_endpoint": f"{at}/token",
                    "userinfo_endpoint": f"{at}/userinfo",
                    "end_session_endpoint": f"{at}/end",
                    "token_endpoint_auth_methods_supported": ["client_secret_post" if name == "partner" else "client_secret_basic"],
                    "authorization_response_iss_parameter_supported": name == "corp",
                }
            )
        elif path == "jwks":
            jwk = json.loads(jwt.algorithms.RSAAlgorithm.to_jwk(SIGNS.public_key()))
            self.answer({"keys": [{**jwk, "kid": "1", "alg": "RS256", "use": "sig"}]})
        elif path == "userinfo":
            sub = self.headers["authorization"].removeprefix("Bearer access-")
            self.answer({"sub": MODE.get("userinfo_sub", sub), "email": MODE.get("email", f"{sub}@corp.test")})
        else:
            self.answer({}, 404)

    def do_POST(self):
        _, name, _ = self.path.split("/", 2)
        sent = self.rfile.read(int(self.headers["content-length"])).decode()
        form = dict(parse_qsl(sent))
        ASKED.append(form)
        if name == "partner":
            known = form.get("client_secret") == "s&cret: of a client"
        else:
            pair = base64.b64decode(self.headers["authorization"].removeprefix("Basic ")).decode()
            known = pair == f"{quote('shop', safe='')}:{quote('s&cret: of a client', safe='')}"
        if not known:
            return self.answer({"error": "invalid_client"}, 401)
        if "raw" in MODE:
            return self.answer(*MODE["raw"])
        if "slow" in MODE:
            MODE["slow"].wait(30)
        if form["grant_type"] == "refresh_token":
            if "refresh" in MODE:
                return self.answer(*MODE["refresh"])
            sub = form["refresh_token"].split("-")[1]
            return self.answer(self.tokens(name, MODE.get("refreshed", sub), None))
        grant = CODES.pop(form["code"], None)
        challenge = b64(hashlib.sha256(form["code_verifier"].encode()).digest())
        if grant is None or ("no_pkce" not in MODE and grant["code_challenge"] != challenge):
            return self.answer({"error": "invalid_grant", "error_description": "<script>alert(1)</script>"}, 400)
        if grant["redirect_uri"] != form["redirect_uri"]:
            return self.answer({"error": "invalid_grant"}, 400)
        self.answer(self.tokens(name, grant["sub"], grant["nonce"]))

    def tokens(self, name, sub, nonce):
        now = int(time.time())
        access = f"access-{sub}"
        at_hash = b64(hashlib.sha256(access.encode()).digest()[:16])
        claims = {
            "iss": f"http://127.0.0.1:{self.server.server_port}/{name}",
            "aud": "shop",
            "sub": sub,
            "iat": now,
            "exp": now + 300,
            "nonce": nonce,
            "at_hash": at_hash,
            **MODE.get("claims", {}),
        }
        claims = {name: value for name, value in claims.items() if value is not None}
        signed = MODE.get("token") or jwt.encode(claims, SIGNS, algorithm="RS256", headers={"kid": "1"})
        if callable(signed):
            signed = signed(claims)
        return {
            "id_token": signed,
            "access_token": access,
            "token_type": "Bearer",
            "expires_in": MODE.get("expires_in", 300),
            "refresh_token": f"refresh-{sub}-{secrets.token_hex(8)}",
        }


class Answer:
    def __init__(self, answer):
        self.status = answer.status
        self.headers = answer.headers
        self.text = answer.read().decode()
        self.location = answer.headers.get("location")
        self.set = answer.headers.get_all("set-cookie") or []

    def sessions(self):
        return [line for line in self.set if line.startswith("__Host-sid=") and not line.endswith("Max-Age=0")]


class Browser:
    """Keeps cookies and nothing else in mind."""

    def __init__(self, jar=None, host="a.test"):
        self.jar = dict(jar or {})
        self.host = host

    def ask(self, path, method="GET", cookies=None, **headers):
        connection = http.client.HTTPConnection("127.0.0.1", GATEWAY, timeout=60)
        line = cookies if cookies is not None else "; ".join(f"{name}={value}" for name, value in self.jar.items())
        sent = {"host": self.host, **{name.replace("_", "-"): value for name, value in headers.items()}}
        if line:
            sent["cookie"] = line
        connection.request(method, path, headers=sent)
        answer = Answer(connection.getresponse())
        connection.close()
        for line in answer.set:
            name, value = line.split(";")[0].split("=", 1)
            self.jar.pop(name, None)
            if not line.endswith("Max-Age=0"):
                self.jar[name] = value
        return answer

    def begin(self, path="/x?y=1"):
        answer = self.ask(path)
        expect(answer.status, 303)
        at = urlsplit(answer.location)
        flow = {name: values[0] for name, values in parse_qs(at.query).items()}
        expect([flow["tenant"], flow["response_type"], flow["code_challenge_method"]], ["1", "code", "S256"])
        return {**flow, "issuer": answer.location.split("/authorize")[0]}

    def back(self, flow, code=None, **other):
        sent = {"code": code or authorize(flow), "state": flow["state"], "iss": flow["issuer"], **other}
        sent = {name: value for name, value in sent.items() if value is not None}
        return self.ask(f"{urlsplit(flow['redirect_uri']).path}?{urlencode(sent)}")

    def log_in(self, path="/x?y=1"):
        flow = self.begin(path)
        answer = self.back(flow)
        expect([answer.status, answer.location], [303, path], answer.text)
        expect(len(answer.sessions()), 1 if "partner" not in path else 0)
        return flow


def authorize(flow, sub="ann"):
    code = secrets.token_hex(16)
    CODES[code] = {**flow, "sub": sub}
    return code


def expect(got, wanted, about=""):
    if got != wanted:
        raise SystemExit(f"{about} {got!r}, where {wanted!r} was expected")


def refused(answer, status, about=""):
    expect(answer.status, status, about)
    expect(answer.sessions(), [], about)


def login_csrf():
    attacker, victim = Browser(), Browser()
    flow = attacker.begin()
    code = authorize(flow, "mallory")
    refused(victim.back(flow, code), 400, "no login under way")
    own = victim.begin()
    refused(victim.back(flow, code), 400, "another login under way")
    refused(victim.back({**flow, "state": own["state"]}, code), 400, "the attacker's code with the victim's state")
    refused(victim.back({**flow, "state": own["state"][:8] + flow["state"][8:]}, code), 400, "a state of two")


def open_redirect():
    for path in ["//evil.test/x", "/x//evil.test", "/x?next=//evil.test", "/%2e%2e//evil.test", "/@evil.test", "/x?/\\evil.test"]:
        # A site that asks for a login everywhere.
        browser = Browser(host="b.test")
        answer = browser.ask(path)
        if answer.status == 400:
            continue
        flow = parse_qs(urlsplit(answer.location).query)
        flow = {**{name: values[0] for name, values in flow.items()}, "issuer": answer.location.split("/authorize")[0]}
        answer = browser.back(flow)
        expect(answer.status, 303, path)
        expect(answer.location[0] == "/" and answer.location[1:2] not in ["/", "\\"], True, f"{path} {answer.location}")
    # What stands beside the code says nothing.
    browser = Browser()
    flow = browser.begin("/x")
    expect(browser.back(flow, redirect="//evil.test", next="https://evil.test").location, "/x")


def state_replay():
    browser = Browser()
    flow = browser.begin()
    kept = dict(browser.jar)
    expect(browser.back(flow).status, 303)
    refused(Browser(kept).back(flow), 400, "the same state with its cookie and a fresh code")
    refused(browser.back(flow), 400, "without its cookie")


def code_injection():
    victim, attacker = Browser(), Browser()
    stolen = authorize(victim.begin())
    refused(attacker.back(attacker.begin(), stolen), 400, "PKCE")
    MODE["no_pkce"] = True
    stolen = authorize(victim.begin())
    refused(attacker.back(attacker.begin(), stolen), 403, "where the provider forgets PKCE, by the nonce")
    for query in ["code=a&code=b&state=c", "state=a&state=b&code=c", "code=%FF&state=a", "", "code=a"]:
        refused(attacker.ask(f"/login/corp?{query}"), 400, query)


def mix_up():
    for iss in ["http://127.0.0.1:1/corp", "https://evil.test", "", None]:
        browser = Browser()
        flow = browser.begin()
        count = len(ASKED)
        refused(browser.back(flow, iss=iss), 400, f"iss {iss}")
        expect(len(ASKED), count, "no code goes to the token endpoint")
    browser = Browser()
    flow = browser.begin("/partner/x")
    refused(browser.back({**flow, "redirect_uri": "http://a.test/login/corp"}), 400, "a login of one at the callback of the other")


def nonce():
    for claims in [{"nonce": "another"}, {"nonce": None}, {"nonce": ["a", "b"]}, {"nonce": ""}]:
        MODE["claims"] = claims
        browser = Browser()
        refused(browser.back(browser.begin()), 403, str(claims))


def forged_id_token():
    other = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    now = int(time.time())
    modes = [
        {"claims": {"aud": "another"}},
        {"claims": {"aud": ["shop", "another"]}},
        {"claims": {"aud": ["shop", "another"], "azp": "another"}},
        {"claims": {"azp": "another"}},
        {"claims": {"iss": "https://evil.test"}},
        {"claims": {"exp": now - 120}},
        {"claims": {"exp": None}},
        {"claims": {"iat": now + 3600}},
        {"claims": {"sub": None}},
        {"claims": {"sub": ""}},
        {"claims": {"at_hash": "AAAAAAAAAAAAAAAAAAAAAA"}},
        {"token": lambda claims: jwt.encode(claims, None, algorithm="none")},
        {"token": lambda claims: jwt.encode(claims, "shop's secret, which is of 32 bytes", algorithm="HS256")},
        {"token": lambda claims: jwt.encode(claims, other, algorithm="RS256", headers={"kid": "1"})},
        {"token": lambda claims: "no token"},
    ]
    for mode in modes:
        MODE.clear()
        MODE.update(mode)
        browser = Browser()
        refused(browser.back(browser.begin()), 403, str(mode))
    MODE.clear()
    MODE["claims"] = {"aud": ["shop", "another"], "azp": "shop"}
    Browser().log_in()


def cookie_tossing():
    browser = Browser()
    flow = browser.begin()
    name = next(name for name in browser.jar if "-login-" in name)
    tossed = f"{name}={browser.jar[name]}; {name}=tossed"
    path = f"/login/corp?{urlencode({'code': authorize(flow), 'state': flow['state'], 'iss': flow['issuer']})}"
    refused(Browser().ask(path, cookies=tossed), 400, "a second cookie of a login")
    browser.log_in()
    session = browser.jar["__Host-sid"]
    expect(Browser().ask("/x", cookies=f"__Host-sid={session}; __Host-sid=tossed").status, 400)
    expect(Browser().ask("/x", cookies=f"__Host-sid={session}; __Host-sid.1=tossed").status, 200, "no part of it")
    two = session.replace("1.", "2.", 1)
    expect(Browser().ask("/x", cookies=f"__Host-sid={two}; __Host-sid.1=a; __Host-sid.1=b").status, 400)


def oversize():
    MODE["email"] = "x" * 30_000
    browser = Browser()
    refused(browser.back(browser.begin()), 403, "claims that fit into no cookie")
    MODE["email"] = "x" * 6_000
    browser = Browser()
    answer = browser.back(browser.begin())
    expect(len(answer.sessions()), 1)
    parts = [name for name in browser.jar if name.startswith("__Host-sid")]
    expect(len(parts) in [2, 3, 4], True, str(parts))
    expect(all(len(line) < 4096 for line in answer.set), True)
    expect(browser.ask("/x").status, 200)
    cut = {name: value for name, value in browser.jar.items() if name != "__Host-sid.1"}
    expect(Browser(cut).ask("/x").status, 303, "without a part")
    MODE.clear()
    # A smaller session ends what was left of the larger one.
    fresh = Browser()
    flow = fresh.begin()
    both = Browser({**browser.jar, **fresh.jar})
    both.back(flow)
    expect([name for name in both.jar if name.startswith("__Host-sid")], ["__Host-sid"])
    for cookie in ["4." + "A" * 3800, "9.A", "x", "1." + "A" * 20000]:
        expect(Browser().ask("/x", cookies=f"__Host-sid={cookie}; __Host-sid.1={'A' * 3800}").status in [303, 431], True)


def of_another():
    browser = Browser()
    browser.log_in()
    session = browser.jar["__Host-sid"]
    expect(Browser().ask("/x", cookies=f"__Host-sid={session}").status, 200)
    expect(Browser(host="b.test").ask("/x", cookies=f"__Host-sid={session}").status, 303, "another site")
    expect(Browser().ask("/partner/x", cookies=f"__Host-partner={session}").status, 303, "another provider")
    flow = browser.begin("/partner/x")
    expect("/partner" in flow["issuer"], True)
    name = next(name for name in browser.jar if name.startswith("__Host-partner-login-"))
    stolen = {name.replace("partner", "sid"): browser.jar[name]}
    refused(Browser(stolen).back({**flow, "redirect_uri": "http://a.test/login/corp"}), 400, "a login of another provider")


def without_cookie():
    refused(Browser().ask("/login/corp?code=x&state=" + "A" * 43), 400)
    refused(Browser().ask("/login/corp"), 400)
    refused(Browser().ask("/login/corp?error=access_denied"), 400)


def error_answers():
    for error in ["<script>alert(1)</script>", "access_denied", "invalid_scope", "login_required"]:
        browser = Browser()
        flow = browser.begin()
        answer = browser.ask(
            "/login/corp?" + urlencode({"state": flow["state"], "iss": flow["issuer"], "error": error, "error_description": "<img src=x onerror=alert(1)>", "error_uri": "javascript:alert(1)"}),
            accept="text/html",
        )
        refused(answer, 403, error)
        expect(any(word in answer.text for word in ["<script>alert", "<img", "javascript:"]), False, answer.text)
    for status, body in [(400, b'{"error":"<script>alert(1)</script>"}'), (500, b"<script>alert(1)</script>"), (200, b"<script>"), (302, b"")]:
        MODE["raw"] = (body, status, "text/html")
        browser = Browser()
        answer = browser.back(browser.begin())
        refused(answer, 503, str(status))
        expect("<script>" in answer.text, False)


def tampered():
    browser = Browser()
    browser.log_in()
    session = browser.jar["__Host-sid"]
    for at in range(0, len(session), max(1, len(session) // 40)):
        other = "B" if session[at] != "B" else "C"
        changed = session[:at] + other + session[at + 1 :]
        expect(Browser({"__Host-sid": changed}).ask("/x").status, 303, str(at))
    flow = Browser().begin()
    browser = Browser()
    flow = browser.begin()
    name = next(name for name in browser.jar if "-login-" in name)
    browser.jar[name] = browser.jar[name][:-2] + "AA"
    refused(browser.back(flow), 400, "a changed login")


def sealed(held, host="a.test", issuer=None):
    return seal(KEY, held, host, issuer or f"http://127.0.0.1:{PORT}/corp")


def expired():
    now = int(time.time())
    held = {"s": "ann", "b": now - 100, "x": now + 100, "e": now + 100}
    status = lambda **other: Browser({"__Host-sid": sealed({**held, **other})}).ask("/x").status
    expect(status(), 200)
    expect(status(x=now - 1), 303, "nobody used it")
    expect(status(e=now - 1), 303, "its end")
    expect(status(z=1), 303, "what nobody wrote")
    # It is used: it goes on, to its end and no further.
    browser = Browser({"__Host-sid": sealed({**held, "x": now + 20, "e": now + 40, "i": 60})})
    answer = browser.ask("/x")
    expect([answer.status, len(answer.sessions())], [200, 1])
    left = int(answer.sessions()[0].rsplit("=", 1)[1])
    expect(38 <= left <= 40, True, str(left))
    expect(len(browser.ask("/x").sessions()), 0)


def refresh():
    now = int(time.time())
    held = {"s": "ann", "b": now, "x": now + 600, "e": now + 600, "r": {"t": "refresh-ann-1", "u": now - 1}}
    stale = lambda token: Browser({"__Host-sid": sealed({**held, "r": {"t": token, "u": now - 1}})})
    answer = stale("refresh-ann-1").ask("/x")
    expect([answer.status, len(answer.sessions())], [200, 1])
    # Twelve requests of one session ask once.
    ASKED.clear()
    cookie = sealed({**held, "r": {"t": "refresh-ann-2", "u": now - 1}})
    with ThreadPoolExecutor(12) as pool:
        statuses = list(pool.map(lambda _: Browser({"__Host-sid": cookie}).ask("/x").status, range(12)))
    expect([statuses, len(ASKED)], [[200] * 12, 1])
    MODE["refresh"] = ({"error": "invalid_grant"}, 400)
    browser = stale("refresh-ann-3")
    expect(browser.ask("/x").status, 303, "the provider ended it")
    expect("__Host-sid" in browser.jar, False, "and the browser forgets it")
    MODE["refresh"] = ({}, 500)
    expect(stale("refresh-ann-4").ask("/x").status, 503, "the provider cannot say")
    MODE.clear()
    MODE["refreshed"] = "mallory"
    expect(stale("refresh-ann-5").ask("/x").status, 303, "it speaks of somebody else")


def userinfo_of_another():
    MODE["userinfo_sub"] = "mallory"
    browser = Browser()
    refused(browser.back(browser.begin()), 403)


def provider_in_trouble():
    for raw in [({}, 500), (b"x" * 200_000, 200), (b"{", 200)]:
        MODE["raw"] = raw
        browser = Browser()
        refused(browser.back(browser.begin()), 503)
    MODE.clear()
    MODE["slow"] = threading.Event()
    browser = Browser()
    flow = browser.begin()
    before = time.monotonic()
    refused(browser.back(flow), 503, "too late")
    expect(time.monotonic() - before < 15, True)
    MODE["slow"].set()
    # One that was never there.
    expect(Browser().ask("/away/x").status, 503)


def caught():
    """A login in the place of an origin that cannot be asked, of one that nobody asked before it."""
    browser = Browser(host="c.test")
    answer = browser.back(browser.begin("/x"))
    expect([answer.status, answer.location, len(answer.sessions())], [303, "/x", 1], answer.text)


def to_origins():
    """Whoever has a session's cookie is let in as its owner: an origin that is asked, a service that decides, and the
    origin of a catch get the site's own cookies, and none of a login."""
    MODE["email"] = "x" * 6_000
    browser = Browser(host="d.test")
    browser.log_in("/told/asked")
    expect([TOLD.pop("/told/decides", None), browser.ask("/told/asked").status], [None, 200])
    held = [name for name in browser.jar if name.startswith("__Host-sid")]
    expect(len(held) > 1, True, str(held))
    browser.jar = {"theme": "dark", **browser.jar, "__Host-sid-login-AAAAAAAA": "x", "__Host-sid.4": "ours", "__Host-sidx": "y"}
    TOLD.clear()
    for path in ["/told/asked", "/told/gone/x"]:
        expect(browser.ask(path).status, 200, path)
    own = ["theme=dark; __Host-sid.4=ours; __Host-sidx=y"]
    expect(TOLD, {"/told/decides": own, "/told/asked": own, "/told/gone/x": own})
    # Where there are no others there is no header.
    del browser.jar["theme"], browser.jar["__Host-sid.4"], browser.jar["__Host-sidx"]
    expect([browser.ask("/told/asked").status, TOLD["/told/asked"]], [200, None])


def scripts():
    browser = Browser()
    for headers in [{"sec_fetch_mode": "cors"}, {"sec_fetch_mode": "no-cors"}, {"sec_fetch_mode": "websocket"}]:
        refused(browser.ask("/x", **headers), 401, str(headers))
    for method in ["POST", "PUT", "DELETE", "OPTIONS"]:
        refused(browser.ask("/x", method=method), 401, method)
    expect(browser.ask("/x", sec_fetch_mode="navigate").status, 303)
    expect(browser.ask("/x", method="HEAD").status, 303)
    expect(len([name for name in browser.jar if "-login-" in name]), 2)
    for _ in range(20):
        browser.ask("/x")
    expect(len([name for name in browser.jar if "-login-" in name]), 5, "logins under way")


def logout():
    browser = Browser()
    browser.log_in()
    foreign = browser.ask("/out", sec_fetch_mode="no-cors", sec_fetch_site="cross-site")
    expect([foreign.status, foreign.set], [403, []])
    expect(browser.ask("/x").status, 200)
    answer = browser.ask("/out")
    sent = parse_qs(urlsplit(answer.location).query)
    expect([answer.status, sent["post_logout_redirect_uri"], list(sent)[0]], [303, ["http://a.test/"], "id_token_hint"])
    expect("__Host-sid" in browser.jar, False)
    expect(browser.ask("/x").status, 303)


def logout_redirect():
    def leaves(query):
        browser = Browser()
        browser.log_in()
        sent = parse_qs(urlsplit(browser.ask(f"/out?{query}").location).query)
        expect("__Host-sid" in browser.jar, False, query)
        return sent["post_logout_redirect_uri"], sent.get("state")

    expect(leaves("return=%2Fbye%3Fa%3Db"), (["http://a.test/login/corp"], ["/bye?a=b"]))
    back = lambda state: Browser().ask(f"/login/corp?{urlencode({'state': state})}")
    expect([back("/bye?a=b").status, back("/bye?a=b").location], [303, "/bye?a=b"])
    elsewhere = ["//evil.test", "/\\evil.test", "\\\\evil.test", "https://evil.test/", "javascript:alert(1)", "/\t/evil.test", "/\r\nlocation:x"]
    for page in elsewhere:
        expect(leaves(urlencode({"return": page})), (["http://a.test/"], None), page)
        answer = back(page)
        expect([answer.status, answer.location] in [[303, "/"], [400, None]], True, f"{page}: {answer.status} {answer.location}")
    expect(leaves("return=/a&return=//evil.test"), (["http://a.test/"], None))
    # What stands beside a code is no page, and a login goes where it was begun.
    browser = Browser()
    flow = browser.begin()
    refused(browser.back({**flow, "state": "/bye"}), 400, "a code with the state of a logout")
    refused(Browser().ask("/login/corp?state=/bye&error=access_denied"), 400)


server = ThreadingHTTPServer(("127.0.0.1", 0), Provider)
PORT = server.server_port
threading.Thread(target=server.serve_forever, daemon=True).start()
print(f"listening {PORT}", flush=True)
GATEWAY = int(sys.stdin.readline())
globals()[sys.argv[1]]()
# What was broken is mended: whoever logs in properly gets in.
MODE.clear()
Browser().log_in()
print("done", flush=True)
