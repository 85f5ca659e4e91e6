"""A proxy in front of registries that disturbs requests at random.

Prints the address in front of each UPSTREAM, and obeys the lines of standard input: `rate R` sets the part of requests
that are harmed, `take` prints as JSON how often each kind of harm was done since the last time.
"""

import asyncio
import json
import random
import sys
from collections import Counter

STALL = 30  # seconds: more than the mirror is told to wait


class Proxy:
    def __init__(self):
        self.rate, self.done, self.chance = 0.0, Counter(), random.Random()
        # The loop keeps only weak references to tasks.
        self.tasks = set()

    def harm(self):
        """Chooses the fault for a request."""
        if self.chance.random() >= self.rate:
            return None
        kinds = ["429", "500", "503", "stalled", "reset", "cut answer", "cut request", "lost answer", "slow"]
        kind = self.chance.choice(kinds)
        self.done[kind] += 1
        return kind

    async def serve(self, upstream, reader, writer):
        """Serves one connection."""
        host, port = upstream.rsplit(":", 1)
        server, task = None, asyncio.current_task()
        self.tasks.add(task)
        try:
            while head := await read_head(reader):
                if server is None:
                    server = await asyncio.open_connection(host, int(port), limit=1 << 20)
                if not await self.exchange(head, reader, writer, *server):
                    break
        except (OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            pass
        finally:
            self.tasks.discard(task)
            for end in [writer, *(server or [])[1:]]:
                end.close()

    async def exchange(self, head, reader, writer, from_server, to_server):
        """Forwards one request, or disturbs it. Returns whether the connection stays open."""
        harm, body = self.harm(), await read_body(head, reader)
        if harm in ("429", "500", "503"):
            more = "Retry-After: 1\r\n" if harm == "429" else ""
            writer.write(f"HTTP/1.1 {harm} Harm\r\n{more}Content-Length: 0\r\n\r\n".encode())
            await writer.drain()
            return True
        if harm == "reset":
            return False
        if harm in ("stalled", "slow"):
            await asyncio.sleep(STALL if harm == "stalled" else self.chance.uniform(0.2, 2))
        to_server.write(head)
        if harm == "cut request" and body:
            to_server.write(body[: len(body) // 2])
            await to_server.drain()
            return False
        to_server.write(body)
        await to_server.drain()
        answer = await read_head(from_server)
        status = answer.split(b" ", 2)[1]
        is_empty = head.startswith(b"HEAD ") or status in (b"204", b"304")
        content = b"" if is_empty else await read_body(answer, from_server)
        if harm == "lost answer":
            return False
        if harm == "cut answer" and content:
            writer.write(answer + content[: len(content) // 2])
            await writer.drain()
            return False
        writer.write(answer + content)
        await writer.drain()
        return True


async def read_head(reader):
    """Returns a head with its empty line, or nothing at the end of the connection."""
    try:
        return await reader.readuntil(b"\r\n\r\n")
    except asyncio.IncompleteReadError:
        return b""


async def read_body(head, reader):
    """Returns a body as transferred."""
    headers = dict(
        (name.strip().lower(), value.strip())
        for name, _, value in (line.partition(b":") for line in head.split(b"\r\n")[1:])
    )
    if headers.get(b"transfer-encoding", b"").lower() == b"chunked":
        body = b""
        while True:
            line = await reader.readuntil(b"\r\n")
            size = int(line.split(b";")[0], 16)
            body += line + await reader.readexactly(size + 2)
            if size == 0:
                return body
    return await reader.readexactly(int(headers.get(b"content-length", 0)))


async def main():
    proxy = Proxy()
    for upstream in sys.argv[1:]:
        serve = lambda reader, writer, upstream=upstream: proxy.serve(upstream, reader, writer)
        server = await asyncio.start_server(serve, "127.0.0.1", 0, limit=1 << 20)
        print("%s:%d" % server.sockets[0].getsockname(), flush=True)
    loop = asyncio.get_running_loop()
    while line := await loop.run_in_executor(None, sys.stdin.readline):
        match line.split():
            case ["rate", rate]:
                proxy.rate = float(rate)
            case ["take"]:
                print(json.dumps(proxy.done), flush=True)
                proxy.done.clear()


if __name__ == "__main__":
    asyncio.run(main())
