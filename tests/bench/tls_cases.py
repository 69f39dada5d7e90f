"""The handshakes of side-by-side: what they are, and how the load program runs one.

Peers have the configurations of the HTTP cases. Each handshake is TLS 1.3 and brings a ticket; the load
program (tests/bench/programs/handshakes.rs) looks at kind, version and group of each.
"""

import json
import subprocess

from programs_built import built  # beside this file

# Name: (kind, group, what it is).
CASES = {
    "tls-full": ("full", "x25519", "full handshake, X25519, P-256 certificate"),
    "tls-resumed": ("resumed", "x25519", "resumed handshake, X25519"),
    "tls-mlkem-full": ("full", "mlkem", "full handshake, X25519MLKEM768, P-256 certificate"),
    "tls-mlkem-resumed": ("resumed", "mlkem", "resumed handshake, X25519MLKEM768"),
}


def offered(peer, case):
    """Whether a peer can do a case at all: OpenSSL has ML-KEM since 3.5, and Debian's peers have 3.0."""
    return peer == "sluice" or (peer != "envoy" and CASES[case][1] == "x25519")


def program():
    """The load program; or what HANDSHAKES_BIN names."""
    return built("handshakes", "HANDSHAKES_BIN")


def load(case, port, host, seconds, core, cpu, clock):
    """Loads a peer: CPU time per handshake in µs, handshakes per second, share of a core; or what went wrong, as text."""
    kind, group, _ = CASES[case]
    command = ["taskset", "-c", str(core), program(), kind, str(port), str(seconds), host, group]
    before, begin = cpu(), clock()
    result = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    used, took = cpu() - before, clock() - begin
    if result.returncode != 0:
        return result.stdout
    count = json.loads(result.stdout.splitlines()[-1])["units"]
    return used / count * 1e6, count / took, used / took
