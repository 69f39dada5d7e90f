"""Players with addresses of their own: each opens three sockets and says hello; prints who answered.

    players.py PORT PLAYERS     a line a player: ADDRESS SERVER

Fails when the answers of one player come from different servers, or one is not answered within ten seconds.
"""

import socket
import sys
import time

gateway = ("127.0.0.1", int(sys.argv[1]))


def ask(address, text):
    """Asks until there is an answer: datagrams may get lost, and a server may have just died."""
    end = time.monotonic() + 10
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind((address, 0))
        # An answer from another address than the one that was asked is not received.
        sock.connect(gateway)
        sock.settimeout(0.25)
        while time.monotonic() < end:
            try:
                sock.send(text.encode())
                server, echoed = sock.recv(2048).decode().split(" ", 1)
            except (TimeoutError, ConnectionRefusedError):
                continue
            if echoed == text:
                return server
    sys.exit(f"players: {address} is not answered")


for player in range(int(sys.argv[2])):
    address = f"127.0.1.{player + 1}"
    servers = {ask(address, f"hello {number} from {address}") for number in range(3)}
    if len(servers) != 1:
        sys.exit(f"players: {address} plays on {sorted(servers)}")
    print(address, servers.pop())
