"""A client of HTTP/2 that goes on sending when it has its answer: h2, by others, over one clear connection.

    early_answer.py PORT PATH LENGTH   LENGTH of 0: none is said

Prints what it gets on its first stream, an event a line, and then the status of a second request on the connection.
"""

import socket
import sys

import h2.config
import h2.connection
import h2.events

PATIENCE = 60
# More than anybody throws away for a client.
MOST = 64 << 20


def head(path, length):
    fields = [(":method", "POST"), (":path", path), (":scheme", "http"), (":authority", "a.test")]
    fields.append(("content-type", "text/plain"))
    return fields + ([("content-length", str(length))] if length else [])


def main():
    port, path, length = int(sys.argv[1]), sys.argv[2], int(sys.argv[3])
    wire = socket.create_connection(("127.0.0.1", port), PATIENCE)
    peer = h2.connection.H2Connection(h2.config.H2Configuration(header_encoding="utf-8"))
    peer.initiate_connection()
    peer.send_headers(1, head(path, length))
    sent, reset = 0, False
    while not reset:
        room = min(peer.local_flow_control_window(1), peer.max_outbound_frame_size)
        if room > 0:
            assert sent < MOST, f"{sent} bytes are taken"
            peer.send_data(1, b"x" * room)
            sent += room
        wire.sendall(peer.data_to_send())
        wire.setblocking(room <= 0)
        wire.settimeout(PATIENCE if room <= 0 else 0)
        try:
            got = wire.recv(65536)
        except BlockingIOError:
            got = None
        wire.settimeout(PATIENCE)
        assert got != b"", "the connection ended"
        for event in peer.receive_data(got) if got else []:
            match event:
                case h2.events.ResponseReceived():
                    print("answer", dict(event.headers)[":status"])
                case h2.events.StreamEnded():
                    print("end")
                case h2.events.StreamReset():
                    print("reset", int(event.error_code))
                    reset = True
                case h2.events.ConnectionTerminated():
                    raise SystemExit(f"the connection is given up: {event.error_code}")
    peer.send_headers(3, head("/", 0)[:-1], end_stream=True)
    wire.sendall(peer.data_to_send())
    while got := wire.recv(65536):
        for event in peer.receive_data(got):
            if isinstance(event, h2.events.ResponseReceived) and event.stream_id == 3:
                print("then", dict(event.headers)[":status"])
                return


main()
