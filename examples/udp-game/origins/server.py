"""A game server: answers each datagram with its own name and the datagram.

    server.py NAME PORT
"""

import socket
import sys

name, port = sys.argv[1], int(sys.argv[2])
with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
    sock.bind(("127.0.0.1", port))
    print("ready", flush=True)
    while True:
        data, player = sock.recvfrom(2048)
        sock.sendto(b"pong" if data == b"ping" else name.encode() + b" " + data, player)
