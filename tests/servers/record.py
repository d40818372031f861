"""A Perseus for other people's servers: it takes every record, and writes each message id that it has taken to a file.

`asgi` is for uvicorn, `wsgi` for gunicorn. The query of the URL says how it misbehaves:

    read_after=S    begins to read the body after S seconds
    answer_after=S  takes the records, and answers S seconds later
    verdicts        says in the reply that nothing failed
    die             ends the process instead, having taken nothing
"""

import asyncio
import json
import os
import time
from urllib.parse import parse_qs

# Each append is one write, so that several processes can share the file.
RECORD = os.open(os.environ["RECORD"], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)


def options(query):
    given = {name: values[0] for name, values in parse_qs(query, keep_blank_values=True).items()}
    if "die" in given:
        os._exit(1)
    return given


def seconds(given, name):
    return float(given.get(name, 0))


def take(body):
    ids = (record["messageId"] for record in json.loads(body)["records"])
    os.write(RECORD, "".join(f"{id}\n" for id in ids).encode())


def reply(given):
    return b'{"batchItemFailures":[]}' if "verdicts" in given else b""


async def asgi(scope, receive, send):
    if scope["type"] != "http":
        return
    given = options(scope["query_string"].decode())
    await asyncio.sleep(seconds(given, "read_after"))
    body = bytearray()
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            return
        body += message["body"]
        if not message.get("more_body"):
            break
    take(body)
    await asyncio.sleep(seconds(given, "answer_after"))
    headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(reply(given)))]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": reply(given)})


def wsgi(environ, start_response):
    given = options(environ["QUERY_STRING"])
    time.sleep(seconds(given, "read_after"))
    take(environ["wsgi.input"].read(int(environ["CONTENT_LENGTH"])))
    time.sleep(seconds(given, "answer_after"))
    headers = [("content-type", "application/json"), ("content-length", str(len(reply(given))))]
    start_response("200 OK", headers)
    return [reply(given)]
