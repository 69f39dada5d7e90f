"""A client of `shop.Orders` through the gateway: client.py PORT ROOT [CALLS]

Calls every kind once, then CALLS times `Place` on one connection, and tells who answered how many.
"""

import collections
import concurrent.futures
import sys

import grpc
from google.protobuf.wrappers_pb2 import StringValue

PORT, ROOT = sys.argv[1:3]
CALLS = int(sys.argv[3]) if len(sys.argv) > 3 else 90
HOST = "orders.localhost"

with open(ROOT, "rb") as root:
    credentials = grpc.ssl_channel_credentials(root.read())
# The name is the gateway's; the address is this machine's, whatever the resolver thinks of .localhost.
options = [("grpc.ssl_target_name_override", HOST), ("grpc.default_authority", HOST), ("grpc.enable_retries", 0)]
channel = grpc.secure_channel(f"127.0.0.1:{PORT}", credentials, options=[*options, ("grpc.enable_http_proxy", 0)])


def method(kind, name):
    return getattr(channel, kind)(f"/shop.Orders/{name}", StringValue.SerializeToString, StringValue.FromString)


def thing(text):
    return StringValue(value=text)


place = method("unary_unary", "Place")
print("Place ", place(thing("a lamp"), timeout=10).value)
print("Follow", [step.value for step in method("unary_stream", "Follow")(thing("a lamp"), timeout=10)])
print("Pack  ", method("stream_unary", "Pack")(map(thing, ["a lamp", "a cable", "a bulb"]), timeout=10).value)
print("Talk  ", [answer.value.split(" ", 1)[1] for answer in method("stream_stream", "Talk")(map(thing, ["hello", "bye"]), timeout=10)])
try:
    place(thing(""), timeout=10)
except grpc.RpcError as error:
    print("error ", error.code().name, "-", error.details())

failed = 0
with concurrent.futures.ThreadPoolExecutor(16) as threads:
    calls = [threads.submit(place, thing("a bulb"), timeout=10) for _ in range(CALLS)]
    counts = collections.Counter()
    for call in calls:
        try:
            counts[call.result().value.rsplit(" ", 1)[1]] += 1
        except grpc.RpcError as error:
            failed += 1
            print("failed", error.code().name, "-", error.details())
print("spread", ", ".join(f"{name} {counts[name]}" for name in sorted(counts)), "- failed", failed)
