"""The implementation of `scripts/soak-mirror`."""

import argparse
import json
import os
import random
import re
import signal
import statistics
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor

from images import Image, Source, many
from servers import Client, Place, Registry, all_digests, answers, connections, free_port, memory_and_descriptors, wait_for

FAULTS = os.path.join(os.path.dirname(__file__), "faults.py")
SECRET = "only-for-the-soak"
IMAGES, MOST_IMAGES = 100, 600
INTERVAL = 20  # seconds between the passes; the server adds up to 30
SETTLES = 180  # seconds within which everything is right after the last push
DRAIN = 10
IDLE = 120  # seconds within which connections are closed that are not needed
# The images for measuring the lag, pushed one after the other.
PROBE = Image("probe/app", "latest", "oci")


def options():
    parser = argparse.ArgumentParser()
    parser.add_argument("--minutes", type=float, default=30)
    parser.add_argument("--faults", type=float, default=0.02)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(10_000))
    parser.add_argument("--reapify", required=True)
    parser.add_argument("--tools", required=True)
    return parser.parse_args()


class Server:
    """`reapify mirror server`."""

    def __init__(self, place, given, address):
        self.place, self.given, self.address = place, given, address
        self.config = place.dir / "regsync.yml"
        self.process = None

    def start(self):
        command = [self.given.reapify, "mirror", "server", "--config", self.config, "--listen", self.address]
        command += ["--timeout", "5", "--drain", str(DRAIN)]
        environment = os.environ | {"SOAK_SECRET": SECRET}
        self.process = self.place.start(command, log="server.log", env=environment)
        wait_for(lambda: answers(self.address) or self.process.poll() is not None, "the server")

    def end(self, which):
        """Ends the server with a signal. Returns an error, if there was one."""
        self.process.send_signal(which)
        try:
            code = self.process.wait(DRAIN + 5)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            return f"the server did not end within {DRAIN + 5} s of {which.name}"
        expected = -9 if which == signal.SIGKILL else 0
        return None if code == expected else f"the server ended with {code} after {which.name}"

    def get(self, path):
        status, _, body = Client(self.address, timeout=10).send("GET", path)
        return status, body.decode()

    def figures(self):
        """Returns the longest lag of an entry and the length of the queue, from the server's metrics."""
        text = self.get("/metrics")[1]
        lags = re.findall(r"^reapify_mirror_lag_seconds\{.*\} (\S+)$", text, re.M)
        queue = re.findall(r"^reapify_mirror_queue_length (\d+)$", text, re.M)
        return max(map(float, lags)) if lags else None, int(queue[0])


class Soak:
    def __init__(self, given, place):
        self.given, self.place, self.chance = given, place, random.Random(given.seed)
        self.wrong, self.lags, self.samples = [], [], []
        self.counts = dict.fromkeys(["pushes", "reloads", "refused reloads", "TERM", "KILL"], 0)
        self.is_pushing, self.is_steady = True, False
        address = f"127.0.0.1:{free_port()}"
        notify = (f"http://{address}/events/distribution", SECRET)
        self.registry, self.target = Registry(place, "source", notify), Registry(place, "target", notify)
        hosts = [self.registry.host, self.target.host]
        self.faults = place.start(
            [sys.executable, FAULTS, *hosts], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=None, text=True, bufsize=1
        )
        self.fronts = [self.faults.stdout.readline().strip() for _ in hosts]
        self.source = Source(self.registry.host)
        self.server = Server(place, given, address)
        self.images = {}
        self.start = time.monotonic()

    def config(self, variant):
        """Returns a configuration, which means the same in every variant."""
        source, target = self.fronts
        entry = f"  - {{source: '{source}', target: '{target}/mirror', type: registry"
        halves = [entry + ", repos: {deny: ['team[0-4]/.*']}}", entry + ", repos: {allow: ['team[0-4]/.*']}}"]
        entries = halves if variant % 2 else [entry + "}"]
        lines = [
            "version: 1",
            f"defaults: {{interval: {INTERVAL}s, parallel: {8 + 8 * (variant % 3)}}}",
            "events:",
            "  receivers: [{kind: distribution, secret: {env: SOAK_SECRET}}]",
            f"  hosts: {{'{self.registry.host}': '{source}'}}",
            "sync:",
            *entries,
        ]
        return "\n".join(lines) + "\n"

    def run(self):
        self.source.push_all(self.images_by_name(many(IMAGES, self.given.seed)))
        self.server.config.write_text(self.config(0))
        self.server.start()
        self.set_rate(self.given.faults)
        seconds = self.given.minutes * 60
        threads = [threading.Thread(target=work, daemon=True) for work in (self.push_on, self.probe)]
        for thread in threads:
            thread.start()
        self.restarts(seconds / 3)
        self.steady(seconds - seconds / 3)
        self.is_pushing = False
        for thread in threads:
            thread.join(SETTLES)
        self.set_rate(0)
        self.settle()

    def images_by_name(self, images):
        self.images.update({(image.repository, image.tag): image for image in images})
        return images

    def set_rate(self, rate):
        self.faults.stdin.write(f"rate {rate}\n")

    def push_on(self):
        """Pushes new tags, moved tags, and bursts."""
        chance = random.Random(self.given.seed + 1)
        while self.is_pushing:
            count = 30 if chance.random() < 0.05 else 1
            images = [self.next(chance) for _ in range(count)]
            try:
                self.source.push_all(self.images_by_name(images), 2)
            except Exception as error:
                self.wrong.append(f"the source: {error!r}")
            self.counts["pushes"] += len(images)
            time.sleep(chance.expovariate(2))

    def next(self, chance):
        if len(self.images) < MOST_IMAGES and chance.random() < 0.3:
            shape = chance.choice(many(20)).shape
            return Image(f"team{chance.randrange(10)}/new{chance.randrange(5)}", f"2.{len(self.images)}.0", shape)
        return chance.choice(list(self.images.values())).moved()

    def probe(self):
        """Pushes one image after the other, and waits for each at the destination."""
        client, image, before = Client(self.target.host), PROBE, None
        while self.is_pushing:
            self.source.push(image)
            start = time.monotonic()
            while (now := client.digest(f"mirror/{image.repository}", image.tag)) == before:
                if time.monotonic() - start > SETTLES:
                    self.wrong.append(f"{image} did not arrive within {SETTLES} s")
                    return
                time.sleep(0.05)
            if self.is_steady:
                self.lags.append((time.monotonic(), time.monotonic() - start))
            image, before = image.moved(), now
            time.sleep(1)

    def restarts(self, seconds):
        """Ends and starts the server at random moments."""
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            time.sleep(self.chance.uniform(2, 15))
            self.alive()
            which = self.chance.choice([signal.SIGTERM, signal.SIGKILL])
            self.counts[which.name[3:]] += 1
            if problem := self.server.end(which):
                self.wrong.append(problem)
            time.sleep(self.chance.uniform(0, 2))
            self.server.start()

    def steady(self, seconds):
        """Lets the server run, with faults and reloads."""
        self.is_steady, start = True, time.monotonic()
        reload, faults, sample = start + 10, start + 20, start
        while (now := time.monotonic()) < start + seconds:
            if now >= reload:
                self.reload()
                reload = now + self.chance.uniform(10, 30)
            if now >= faults:
                is_storm = self.chance.random() < 0.3
                self.set_rate(self.given.faults * (15 if is_storm else 1))
                faults = now + (5 if is_storm else 20)
            if now >= sample and self.alive():
                lag, queue = self.server.figures()
                if lag is None:
                    self.wrong.append("the server has no entries")
                    break
                memory, descriptors = memory_and_descriptors(self.server.process.pid)
                self.samples.append((now - start, memory, descriptors, queue, lag))
                sample = now + max(1.0, seconds / 600)
            time.sleep(0.2)
        self.lags = [(at - start, lag) for at, lag in self.lags]
        self.is_steady, self.seconds = False, seconds

    def reload(self):
        is_valid = self.chance.random() < 0.6
        bad = ["version: 1\nsync: [\n", "version: 1\nsyncs: []\n", self.config(0).replace("registry}", "registri}")]
        valid = self.config(self.chance.randrange(6))
        bad.append(valid.rstrip()[:-1])
        self.server.config.write_text(valid if is_valid else self.chance.choice(bad))
        self.server.process.send_signal(signal.SIGHUP)
        self.counts["reloads" if is_valid else "refused reloads"] += 1
        time.sleep(0.5)
        if self.alive() and (status := self.server.get("/readyz")[0]) != 200:
            self.wrong.append(f"after a reload /readyz is {status}")
        self.server.config.write_text(valid)

    def alive(self):
        code = self.server.process.poll()
        if code is None:
            return True
        self.wrong.append(f"the server ended by itself with {code}")
        self.server.start()
        return False

    def settle(self):
        """Waits until every image of the source is at the destination, as `wrap` would write it."""
        with ThreadPoolExecutor(4) as pool:
            source = all_digests(self.registry.host)
            made = pool.map(lambda name: self.wrapped(name, source[name]), source)
            expected = dict(zip((f"mirror/{repository}:{tag}" for repository, tag in source), made))
        start = time.monotonic()
        while True:
            found = {f"{repository}:{tag}": digest for (repository, tag), digest in all_digests(self.target.host).items()}
            differ = [name for name in expected if found.get(name) != expected[name]]
            if not differ or time.monotonic() - start > SETTLES:
                break
            time.sleep(1)
        print(f"{len(expected)} images compared with wrap's, right {time.monotonic() - start:.0f} s after the last push")
        for name in differ[:20]:
            self.wrong.append(f"{name} is {found.get(name)}, wrap makes {expected[name]}")
        if extra := found.keys() - expected.keys():
            self.wrong.append(f"{len(extra)} images that nothing asked for: {sorted(extra)[:5]}")
        if self.alive():
            self.close()
            if problem := self.server.end(signal.SIGTERM):
                self.wrong.append(problem)

    def close(self):
        """Checks that all connections are closed when there are neither schedules nor events."""
        self.server.config.write_text(self.config(0).replace(f"interval: {INTERVAL}s, ", ""))
        self.server.process.send_signal(signal.SIGHUP)
        start = time.monotonic()
        while left := connections(self.server.process.pid):
            if time.monotonic() - start > IDLE:
                self.wrong.append(f"{len(left)} connections {IDLE} s after the last request: {left[:50]}")
                return
            time.sleep(1)
        print(f"no connection left {time.monotonic() - start:.0f} s after the last request")

    def wrapped(self, name, digest):
        """Returns the result of `wrap` for an image, or the image itself if it is carried over."""
        repository, tag = name
        source = f"{self.registry.host}/{repository}:{tag}"
        command = [self.given.reapify, "wrap", "--dry-run", "--output", "json", source, f"{self.target.host}/none:none"]
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode == 5 and name in self.images and self.images[name].shape == "artifact":
            return digest
        if done.returncode != 0:
            return f"an error: {done.stderr}"
        return json.loads(done.stdout)["digest"]

    def report(self):
        """Prints the samples in twelve parts, and checks that the last quarter is not worse than the second one."""
        print(f"{'s':>7}{'MB':>8}{'fds':>6}{'queue':>7}{'entry lag s':>13}{'push to result s':>18}")
        part = self.seconds / 12
        for n in range(12):
            self.row(n * part, (n + 1) * part)
        self.faults.stdin.write("take\n")
        print("faults:", ", ".join(f"{n} {kind}" for kind, n in json.loads(self.faults.stdout.readline()).items()))
        print("done:", ", ".join(f"{n} {what}" for what, n in self.counts.items()))
        quarter = self.seconds / 4
        early, late = ([median(rows, i) for i in range(4)] for rows in (self.within(n * quarter, (n + 1) * quarter) for n in (1, 3)))
        limits = [("memory, MB", 1.15, 4), ("descriptors", 2, 128), ("lag of entries, s", 2, 60), ("push to result, s", 2, 3)]
        for (what, factor, more), before, after in zip(limits, early, late):
            if after > before * factor + more:
                self.wrong.append(f"{what}: {before:.1f}, later {after:.1f}")

    def within(self, start, end):
        samples = [sample for sample in self.samples if start <= sample[0] < end]
        lags = [lag for at, lag in self.lags if start <= at < end]
        return [[s[1] for s in samples], [s[2] for s in samples], [s[4] for s in samples], lags, [s[3] for s in samples]]

    def row(self, start, end):
        memory, descriptors, entry, lags, queue = (
            (statistics.median(values), max(values)) if values else (0, 0) for values in self.within(start, end)
        )
        print(
            f"{end:7.0f}{memory[0]:8.1f}{descriptors[0]:6.0f}{queue[1]:7}{entry[0]:13.1f}"
            f"{lags[0]:9.1f} ≤{lags[1]:6.1f}"
        )


def median(rows, i):
    return statistics.median(rows[i]) if rows[i] else 0


def main():
    given = options()
    print(f"--seed {given.seed}", flush=True)
    with Place("soak-mirror") as place:
        soak = Soak(given, place)
        soak.run()
        soak.report()
        for message in soak.wrong[:50]:
            print(f"wrong: {message}", file=sys.stderr)
        if soak.wrong:
            print((place.dir / "server.log").read_text(errors="replace")[-4000:], file=sys.stderr)
            kept = f"/tmp/soak-mirror-{os.getpid()}.log"
            with open(kept, "wb") as copy:
                copy.write((place.dir / "server.log").read_bytes())
            print(f"the server's whole log: {kept}", file=sys.stderr)
    return 1 if soak.wrong else 0


if __name__ == "__main__":
    sys.exit(main())
