"""Visitors of the shop: visitors.py PORT PATH COUNT [COOKIE=VALUE …]

COUNT requests from 16 connections, each with a `uid` of its own unless one is given. Prints who answered how
many, how many failed (anything but 200), and how long the slowest of a hundred took.
"""

import collections
import http.client
import queue
import sys
import threading
import time

PORT, PATH, COUNT = int(sys.argv[1]), sys.argv[2], int(sys.argv[3])
given = "; ".join(sys.argv[4:])
todo = queue.SimpleQueue()
for number in range(COUNT):
    todo.put(number)
answers, failures, times = collections.Counter(), collections.Counter(), []
versions = {}


def visit():
    connection = http.client.HTTPConnection("127.0.0.1", PORT, timeout=20)
    while True:
        try:
            number = todo.get_nowait()
        except queue.Empty:
            return
        cookie = given if "uid=" in given else f"uid=visitor-{number}; {given}".rstrip("; ")
        begin = time.monotonic()
        try:
            connection.request("GET", PATH, headers={"Host": "shop.localhost", "Cookie": cookie})
            response = connection.getresponse()
            body = response.read().decode().strip()
            if response.status == 200:
                answers[body] += 1
                versions[number] = "next" if body == "next" else "stable"
            else:
                failures[response.status] += 1
        except (OSError, http.client.HTTPException) as error:
            failures[type(error).__name__] += 1
            connection.close()
        times.append(time.monotonic() - begin)


threads = [threading.Thread(target=visit) for _ in range(16)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
times.sort()
spread = ", ".join(f"{name} {count}" for name, count in sorted(answers.items()))
failed = f" {dict(failures)}" if failures else ""
print(f"{spread} - failed {sum(failures.values())}{failed} - p99 {times[len(times) * 99 // 100] * 1000:.0f} ms")
print("next:", " ".join(str(number) for number, version in sorted(versions.items()) if version == "next"), file=sys.stderr)
