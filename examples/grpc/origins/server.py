"""A server of `shop.Orders`. Usage: server.py NAME PORT

    rpc Place  (StringValue) returns (StringValue);           one order, one receipt
    rpc Follow (StringValue) returns (stream StringValue);    what becomes of an order
    rpc Pack   (stream StringValue) returns (StringValue);    many things into one parcel
    rpc Talk   (stream StringValue) returns (stream StringValue);

Messages are protobuf's own StringValue, so that nothing has to be generated. SIGUSR1 makes it say NOT_SERVING.
"""

import concurrent.futures
import os
import signal
import sys

import grpc
from google.protobuf.wrappers_pb2 import StringValue
from grpc_health.v1 import health, health_pb2, health_pb2_grpc

NAME, PORT = sys.argv[1], int(sys.argv[2])


def place(request, context):
    if not request.value:
        context.abort(grpc.StatusCode.INVALID_ARGUMENT, "an order needs a thing")
    return StringValue(value=f"{request.value}: placed with {NAME}")


def follow(request, context):
    for step in ("packed", "sent", "delivered"):
        yield StringValue(value=f"{request.value}: {step}")


def pack(requests, context):
    return StringValue(value="a parcel with " + ", ".join(request.value for request in requests))


def talk(requests, context):
    for request in requests:
        yield StringValue(value=f"{NAME} heard: {request.value}")


METHODS = {
    "Place": (grpc.unary_unary_rpc_method_handler, place),
    "Follow": (grpc.unary_stream_rpc_method_handler, follow),
    "Pack": (grpc.stream_unary_rpc_method_handler, pack),
    "Talk": (grpc.stream_stream_rpc_method_handler, talk),
}
handlers = {name: kind(method, StringValue.FromString, StringValue.SerializeToString) for name, (kind, method) in METHODS.items()}

server = grpc.server(concurrent.futures.ThreadPoolExecutor(16), options=[("grpc.so_reuseport", 0)])
server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("shop.Orders", handlers),))
healths = health.HealthServicer()
healths.set("shop.Orders", health_pb2.HealthCheckResponse.SERVING)
health_pb2_grpc.add_HealthServicer_to_server(healths, server)
if server.add_insecure_port(f"127.0.0.1:{PORT}") != PORT:
    sys.exit(f"port {PORT} is taken")
server.start()
print(NAME, "ready", flush=True)
while True:
    # No handler of Python's: a signal is taken here, in turn.
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR1, signal.SIGTERM, signal.SIGINT})
    if signal.sigwait({signal.SIGUSR1, signal.SIGTERM, signal.SIGINT}) != signal.SIGUSR1:
        os._exit(0)
    healths.set("shop.Orders", health_pb2.HealthCheckResponse.NOT_SERVING)
    print(NAME, "says NOT_SERVING", flush=True)
