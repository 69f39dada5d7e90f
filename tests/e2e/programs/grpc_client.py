"""A gRPC client of another implementation: grpcio. Asserts what it sees and prints a line for each thing seen.

    grpc_client.py SCENE HOST PORT [ROOT]

HOST is the name of the site; with ROOT by TLS, trusting that root, without it in the clear. Lines on the
standard input are the other side's signals, where a scene says so.
"""

import collections
import concurrent.futures
import json
import sys
import time

import grpc
from google.protobuf.wrappers_pb2 import BytesValue, Int64Value, StringValue
from google.rpc import error_details_pb2
from grpc_status import rpc_status

SCENE, HOST, PORT = sys.argv[1:4]
LIMIT = 16 << 20
PATIENCE = 15


def say(*words):
    print(*words, flush=True)


def connect(**more):
    options = {
        "grpc.default_authority": HOST,
        "grpc.ssl_target_name_override": HOST,
        "grpc.max_receive_message_length": LIMIT,
        "grpc.max_send_message_length": LIMIT,
        # What is retried is retried by the gateway; each channel has a connection of its own.
        "grpc.enable_retries": 0,
        "grpc.use_local_subchannel_pool": 1,
        "grpc.enable_http_proxy": 0,
        **more,
    }
    if len(sys.argv) > 4:
        with open(sys.argv[4], "rb") as root:
            credentials = grpc.ssl_channel_credentials(root.read())
        return grpc.secure_channel(f"127.0.0.1:{PORT}", credentials, options=list(options.items()))
    return grpc.insecure_channel(f"127.0.0.1:{PORT}", options=list(options.items()))


class Peer:
    """The methods of `test.Peer` on a channel."""

    def __init__(self, channel):
        def method(kind, name, answer):
            return getattr(channel, kind)(
                f"/test.Peer/{name}", request_serializer=lambda m: m.SerializeToString(), response_deserializer=answer.FromString
            )

        for name in ("Who", "Seen", "Fails", "UnavailableOnce", "Hangs", "Turns", "Missing"):
            setattr(self, name.lower(), method("unary_unary", name, StringValue))
        self.echo = method("unary_unary", "Echo", BytesValue)
        self.remaining = method("unary_unary", "Remaining", Int64Value)
        self.counts = method("unary_stream", "Counts", Int64Value)
        self.drips = method("unary_stream", "Drips", StringValue)
        self.sums = method("stream_unary", "Sums", Int64Value)
        self.chats = method("stream_stream", "Chats", StringValue)


def fails(call):
    """The error of a call that must fail."""
    try:
        call()
    except grpc.RpcError as error:
        return error
    raise AssertionError("it succeeded")


def kinds(peer):
    """The four kinds, metadata, trailers, large messages, errors."""
    say("unary", peer.who(StringValue(), timeout=PATIENCE).value)

    numbers = peer.counts(Int64Value(value=1000), timeout=PATIENCE)
    assert [number.value for number in numbers] == list(range(1, 1001))
    say("server streaming 1000", dict(numbers.trailing_metadata())["x-count"])

    total = peer.sums((Int64Value(value=n) for n in range(1001)), timeout=PATIENCE)
    say("client streaming", total.value)

    # Each message waits for the answer to the one before: nothing is held back on the way.
    said = []

    def messages():
        for number in range(100):
            while len(said) < number:
                time.sleep(0.001)
            yield StringValue(value=f"message {number}")

    for answer in peer.chats(messages(), timeout=PATIENCE):
        said.append(answer.value)
    assert [text.split(": ")[1] for text in said] == [f"message {number}" for number in range(100)]
    say("bidirectional streaming", len(said), "from", len({text.split(": ")[0] for text in said}), "server")

    metadata = (("x-word", "grüße".encode("utf-8").hex()), ("x-raw-bin", bytes(range(256))), ("x-twice", "1"), ("x-twice", "2"))
    answer, call = peer.seen.with_call(StringValue(), metadata=metadata, timeout=PATIENCE)
    told = collections.defaultdict(list)
    for key, value in json.loads(answer.value):
        told[key].append(value)
    assert told["x-raw-bin"] == [bytes(range(256)).hex()], told
    assert told["x-twice"] in (["1", "2"], ["1, 2"], ["1,2"]), told
    assert told["x-forwarded-proto"] == ["https" if len(sys.argv) > 4 else "http"], told
    initial, trailing = dict(call.initial_metadata()), dict(call.trailing_metadata())
    assert initial["x-initial-bin"] == b"\x00\x01\xff" and trailing["x-trailing-bin"] == b"\xfe\x00"
    say("metadata", initial["x-initial"] == trailing["x-trailing"], told["user-agent"][0].split("/")[0])

    for size in (0, 1, 4 << 20):
        data = (b"0123456789abcdef" * (size // 16 + 1))[:size]
        assert peer.echo(BytesValue(value=data), timeout=PATIENCE).value == data
    say("messages of 0, 1 and", 4 << 20, "bytes")

    error = fails(lambda: peer.fails(StringValue(), timeout=PATIENCE))
    status = rpc_status.from_call(error)
    detail = error_details_pb2.BadRequest()
    status.details[0].Unpack(detail)
    say("error", error.code().name, error.details(), "|", detail.field_violations[0].description)
    error = fails(lambda: peer.missing(StringValue(), timeout=PATIENCE))
    say("error", error.code().name)


def deadlines(peer):
    """They reach the server, and end calls that it does not."""
    left = peer.remaining(StringValue(), timeout=7).value
    assert 5000 < left <= 7000, left
    say("deadline of 7 s reaches the server")
    assert peer.remaining(StringValue()).value in range(0, 60_001)
    begin = time.monotonic()
    error = fails(lambda: peer.hangs(StringValue(value="deadline"), timeout=0.5))
    took = time.monotonic() - begin
    assert 0.4 < took < 5, took
    say("deadline of 0.5 s ends in", error.code().name)


def gateways_deadline(peer):
    """A call without a deadline has the route's."""
    begin = time.monotonic()
    error = fails(lambda: peer.hangs(StringValue(value="late")))
    say("late", error.code().name, "after", round(time.monotonic() - begin), "s")


def cancels(peer):
    """A call that its caller gives up ends at the server, before and within the answer."""
    call = peer.hangs.future(StringValue(value="unary"))
    sys.stdin.readline()  # it has reached the server
    call.cancel()
    say("cancelled", call.code().name)
    stream = peer.drips(StringValue(value="stream"))
    assert next(stream).value == "first"
    stream.cancel()
    say("cancelled", stream.code().name)


def spread(peer, channels=1):
    """Calls of one connection, many at once: who answered how many."""
    with concurrent.futures.ThreadPoolExecutor(32) as threads:
        names = threads.map(lambda _: peer.who(StringValue(), timeout=PATIENCE).value, range(300))
        counts = collections.Counter(names)
    say("spread", json.dumps(dict(sorted(counts.items()))))


def dies(peer):
    """The server is killed under a stream, and nobody else is there."""
    stream = peer.chats(iter_forever(), timeout=PATIENCE)
    next(stream)
    say("streaming")
    sys.stdin.readline()  # it is dead
    error = fails(lambda: [None for _ in stream])
    say("stream", error.code().name)
    error = fails(lambda: peer.who(StringValue(), timeout=PATIENCE))
    say("unary", error.code().name, "|", error.details())


def iter_forever():
    """One message, and then nothing, without an end."""
    yield StringValue(value="hello")
    time.sleep(2 * PATIENCE)


def one(peer):
    """One call: who answered, or what went wrong."""
    try:
        say("who", peer.who(StringValue(), timeout=PATIENCE).value)
    except grpc.RpcError as error:
        say("who", error.code().name, "|", error.details())


def many(peer):
    """Calls while the other side changes servers: a line on the standard input ends them."""
    import threading

    over = threading.Event()
    threading.Thread(target=lambda: (sys.stdin.readline(), over.set()), daemon=True).start()
    counts, failed = collections.Counter(), collections.Counter()

    def calls(_):
        while not over.is_set():
            try:
                counts[peer.who(StringValue(), timeout=PATIENCE).value] += 1
            except grpc.RpcError as error:
                failed[f"{error.code().name} {error.details()}"] += 1
            if sum(counts.values()) == 50:
                say("under way")

    with concurrent.futures.ThreadPoolExecutor(4) as threads:
        list(threads.map(calls, range(4)))
    say("answered", json.dumps(dict(counts)))
    say("failed", sum(failed.values()), json.dumps(dict(failed)))


def turn(peer):
    """Switches a server's health, as the standard input says."""
    peer.turns(StringValue(value=sys.stdin.readline().strip()), timeout=PATIENCE)
    say("turned")


channel = connect()
scene = {f.__name__: f for f in (kinds, deadlines, gateways_deadline, cancels, spread, dies, one, many, turn)}[SCENE]
scene(Peer(channel))
say("done")
# Threads that still feed a stream are not waited for.
import os

os._exit(0)
