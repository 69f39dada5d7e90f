"""The L4 cases of side-by-side: what they are, and how the load program runs one.

Every byte and datagram is counted and compared by tests/bench/programs/l4-load, and its origin says on
stderr what it saw that it should not have.
"""

import json
import pathlib
import re
import subprocess

from programs_built import built  # beside this file

# Name: (which of the peer's ports, what is counted, CPU time's unit per it, what it is).
CASES = {
    "tcp-bulk-in": ("bulk", "GB", "s", "TCP, bulk from clients, 4 connections"),
    "tcp-bulk-out": ("bulk", "GB", "s", "TCP, bulk to clients, 4 connections"),
    "tcp-small": ("tcp", "round trip", "µs", "TCP, 64-byte messages back and forth, 64 connections"),
    "tcp-connect": ("tcp", "connection", "µs", "TCP, connect, one byte each way, close"),
    "pass-bulk-in": ("passbulk", "GB", "s", "TLS passed through by SNI, bulk from clients, 4 connections"),
    "pass-bulk-out": ("passbulk", "GB", "s", "TLS passed through by SNI, bulk to clients, 4 connections"),
    "pass-connect": ("https", "connection", "µs", "TLS passed through by SNI, connect with handshake, one byte each way, close"),
    "udp-small": ("udp", "datagram", "µs", "UDP, 64-byte datagrams back and forth, 64 flows"),
    "udp-burst-in": ("udp", "datagram", "µs", "UDP, bursts of 32 × 1200 bytes from clients, 2 flows"),
    "udp-burst-echo": ("udp", "datagram", "µs", "UDP, bursts of 32 × 1200 bytes and back, 2 flows"),
}


def offered(peer, case):
    """Whether a peer can do a case at all."""
    return peer != "haproxy" or not case.startswith("udp-")


def program():
    """The load program; or what L4_LOAD_BIN names."""
    return built("l4-load", "L4_LOAD_BIN")


def stream_module():
    """nginx loads the stream module where it is not built in."""
    text = subprocess.run(["nginx", "-V"], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True).stdout
    found = re.search(r"--modules-path=(\S+)", text)
    module = pathlib.Path(found.group(1) if found else "/usr/lib/nginx/modules") / "ngx_stream_module.so"
    return f"load_module {module};" if module.exists() else ""


def load(case, port, seconds, core, certificate, cpu, clock):
    """Loads a peer: CPU time per unit, units per second, share of a core; or what went wrong, as text."""
    _, unit, time_unit, _ = CASES[case]
    command = ["taskset", "-c", str(core), program(), case, str(port), str(seconds), str(certificate)]
    before, begin = cpu(), clock()
    result = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    used, took = cpu() - before, clock() - begin
    if result.returncode != 0:
        return result.stdout
    done = json.loads(result.stdout.splitlines()[-1])
    count = done["bytes"] / 1e9 if unit == "GB" else done["units"]
    if count == 0:
        return "nothing was done"
    return used / count * (1e6 if time_unit == "µs" else 1), count / took, used / took
