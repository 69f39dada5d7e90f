"""A gRPC server of another implementation: grpcio.

    grpc_server.py NAME PORT [CERT KEY]      serves `test.Peer` and the health protocol on 127.0.0.1:PORT

Messages are `google.protobuf.StringValue` and `BytesValue`, so that there is nothing to generate.
"""

import concurrent.futures
import json
import os
import sys
import threading
import time

import grpc
from google.protobuf.wrappers_pb2 import BytesValue, Int64Value, StringValue
from google.rpc import code_pb2, error_details_pb2, status_pb2
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_status import rpc_status

NAME, PORT = sys.argv[1], int(sys.argv[2])
LIMIT = 16 << 20


def say(*words):
    """One write a line: several threads speak."""
    os.write(1, (" ".join(str(word) for word in words) + "\n").encode())


def who(request, context):
    return StringValue(value=NAME)


def echo(request, context):
    return request


def seen(request, context):
    """What came in metadata; and sends some of its own, before and after the message."""
    context.send_initial_metadata((("x-initial", NAME), ("x-initial-bin", b"\x00\x01\xff")))
    context.set_trailing_metadata((("x-trailing", NAME), ("x-trailing-bin", b"\xfe\x00")))
    metadata = [[key, value if isinstance(value, str) else value.hex()] for key, value in context.invocation_metadata()]
    return StringValue(value=json.dumps(metadata))


def remaining(request, context):
    """How much of the caller's deadline is left, in milliseconds; 0 for none."""
    left = context.time_remaining()
    return Int64Value(value=0 if left is None or left > 1e6 else int(left * 1000))


def fails(request, context):
    """An error with details, as google.rpc.Status."""
    violation = error_details_pb2.BadRequest.FieldViolation(field="name", description="müßte anders heißen")
    detail = error_details_pb2.BadRequest(field_violations=[violation])
    status = status_pb2.Status(code=code_pb2.INVALID_ARGUMENT, message="so nicht: 100 %, grüße")
    status.details.add().Pack(detail)
    context.abort_with_status(rpc_status.to_status(status))


def fails_unavailable_once(request, context, state={}):
    """UNAVAILABLE for the first call with each word: what a retry is for."""
    if state.setdefault(request.value, 0) == 0:
        state[request.value] += 1
        context.abort(grpc.StatusCode.UNAVAILABLE, "not yet")
    return StringValue(value=NAME)


def hangs(request, context):
    """Until the caller has had enough; tells on the console how that was seen."""
    over = threading.Event()
    context.add_callback(over.set)
    say("hangs", request.value)
    over.wait(30)
    say("cancelled", request.value) if over.is_set() else say("forgotten", request.value)
    return StringValue(value="too late")


def counts(request, context):
    """1, 2, … as a stream; the trailers tell how many."""
    for number in range(request.value):
        yield Int64Value(value=number + 1)
    context.set_trailing_metadata((("x-count", str(request.value)),))


def drips(request, context):
    """A message now, and the next when the caller has gone."""
    over = threading.Event()

    def gone():
        # Here: a generator whose caller has gone is not resumed.
        say("cancelled", request.value)
        over.set()

    context.add_callback(gone)
    yield StringValue(value="first")
    if not over.wait(30):
        say("forgotten", request.value)


def sums(requests, context):
    return Int64Value(value=sum(request.value for request in requests))


def chats(requests, context):
    """Answers each message at once, before the next has come."""
    for request in requests:
        yield StringValue(value=f"{NAME}: {request.value}")


def turns(request, context):
    """Switches the health of a service: `SERVICE STATUS`."""
    service, status = request.value.rsplit(" ", 1)
    HEALTH.set(service.strip(), getattr(health_pb2.HealthCheckResponse, status))
    return request


UNARY, SERVER = grpc.unary_unary_rpc_method_handler, grpc.unary_stream_rpc_method_handler
CLIENT, BIDI = grpc.stream_unary_rpc_method_handler, grpc.stream_stream_rpc_method_handler
METHODS = {
    "Who": (UNARY, who, StringValue),
    "Echo": (UNARY, echo, BytesValue),
    "Seen": (UNARY, seen, StringValue),
    "Remaining": (UNARY, remaining, StringValue),
    "Fails": (UNARY, fails, StringValue),
    "UnavailableOnce": (UNARY, fails_unavailable_once, StringValue),
    "Hangs": (UNARY, hangs, StringValue),
    "Turns": (UNARY, turns, StringValue),
    "Counts": (SERVER, counts, Int64Value),
    "Drips": (SERVER, drips, StringValue),
    "Sums": (CLIENT, sums, Int64Value),
    "Chats": (BIDI, chats, StringValue),
}

HEALTH = health.HealthServicer()
handlers = {
    name: kind(method, request_deserializer=message.FromString, response_serializer=lambda m: m.SerializeToString())
    for name, (kind, method, message) in METHODS.items()
}
options = [("grpc.max_receive_message_length", LIMIT), ("grpc.max_send_message_length", LIMIT), ("grpc.so_reuseport", 0)]
server = grpc.server(concurrent.futures.ThreadPoolExecutor(64), options=options)
server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("test.Peer", handlers),))
health_pb2_grpc.add_HealthServicer_to_server(HEALTH, server)
HEALTH.set("test.Peer", health_pb2.HealthCheckResponse.SERVING)
if len(sys.argv) > 3:
    with open(sys.argv[3], "rb") as cert, open(sys.argv[4], "rb") as key:
        credentials = grpc.ssl_server_credentials([(key.read(), cert.read())])
    bound = server.add_secure_port(f"127.0.0.1:{PORT}", credentials)
else:
    bound = server.add_insecure_port(f"127.0.0.1:{PORT}")
assert bound == PORT, f"port {PORT} is taken"
server.start()
say("serving", NAME)
while True:
    time.sleep(3600)
