"""The implementation of `scripts/kill-mirror`."""

import argparse
import hashlib
import json
import random
import signal
import subprocess
import sys
import threading
import time

from images import Source, many
from servers import ACCEPT, Client, Front, Place, Registry, all_digests

# The signals, and the exit codes of a program that was ended by them.
SIGNALS = {signal.SIGKILL: -9, signal.SIGTERM: 143, signal.SIGINT: 130}
# The time limit for a program to end after a signal.
GRACE = 3
WATCHERS = 2


def options():
    parser = argparse.ArgumentParser()
    parser.add_argument("--times", type=int, default=50)
    parser.add_argument("--images", type=int, default=150)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(10_000))
    parser.add_argument("--reapify", required=True)
    parser.add_argument("--tools", required=True)
    return parser.parse_args()


class Watcher(threading.Thread):
    """Pulls every image of a registry repeatedly, and records errors."""

    def __init__(self, host, names, seed):
        super().__init__(daemon=True)
        self.client, self.names = Client(host), list(names)
        self.chance = random.Random(seed)
        self.allowed, self.there = {}, set()
        self.wrong, self.pulled, self.is_over = [], 0, False

    def run(self):
        try:
            while not self.is_over:
                self.chance.shuffle(self.names)
                for name in self.names:
                    if self.is_over:
                        return
                    self.pull(*name)
        except Exception as error:  # A watcher that has ended sees nothing.
            self.wrong.append(f"the watcher ended: {error!r}")

    def pull(self, repository, tag):
        # The tag may have moved between the request and its answer.
        before = self.allowed.get((repository, tag), set())
        status, headers, body = self.client.send("GET", f"/v2/{repository}/manifests/{tag}", headers=ACCEPT)
        name = f"{repository}:{tag}"
        if status == 404 and (repository, tag) not in self.there:
            return
        if status != 200:
            self.wrong.append(f"{name}: {status}")
            return
        self.there.add((repository, tag))
        digest = "sha256:" + hashlib.sha256(body).hexdigest()
        if digest not in before | self.allowed.get((repository, tag), set()):
            self.wrong.append(f"{name} is {digest}, neither the old image nor the new one")
        if digest != headers["Docker-Content-Digest"]:
            self.wrong.append(f"{name} is {digest}, called {headers['Docker-Content-Digest']}")
        self.parts(repository, name, json.loads(body))
        self.pulled += 1

    def parts(self, repository, name, manifest):
        for child in manifest.get("manifests", []):
            path = f"/v2/{repository}/manifests/{child['digest']}"
            status, _, body = self.client.send("GET", path, headers=ACCEPT)
            if status != 200 or len(body) != child["size"]:
                self.wrong.append(f"{name}: {status} for its manifest {child['digest']}")
            else:
                self.parts(repository, name, json.loads(body))
        for blob in [manifest["config"], *manifest["layers"]] if "config" in manifest else []:
            status, headers, _ = self.client.send("HEAD", f"/v2/{repository}/blobs/{blob['digest']}")
            if status != 200 or int(headers["Content-Length"]) != blob["size"]:
                self.wrong.append(f"{name}: {status} for its blob {blob['digest']}")


class Trial:
    """Two destinations of one source: one whose runs are killed, one whose runs are not."""

    def __init__(self, given, place):
        self.given, self.place, self.chance = given, place, random.Random(given.seed)
        self.source = Registry(place, "source")
        self.calm, self.killed = Registry(place, "calm"), Registry(place, "killed")
        self.front = Front(place, f"{given.tools}/front", [self.killed])
        self.front.delay(5)
        self.images = many(given.images, given.seed)
        self.wrong, self.kills, self.runs, self.rounds = [], 0, 0, 0
        self.took = 0  # by the last undisturbed run
        names = [(image.repository, image.tag) for image in self.images]
        self.watchers = [Watcher(self.killed.host, names, n) for n in range(WATCHERS)]

    def command(self, target):
        config = self.place.dir / f"{target.replace(':', '-')}.yml"
        config.write_text(f"version: 1\nsync:\n  - source: {self.source.host}\n    target: {target}\n    type: registry\n")
        return [self.given.reapify, "mirror", "once", "--config", config]

    def start(self, target):
        return self.place.start(self.command(target), log="run.log")

    def run(self):
        Source(self.source.host).push_all(self.images)
        for watcher in self.watchers:
            watcher.start()
        while self.kills < self.given.times and not self.broken():
            self.round()
        for watcher in self.watchers:
            watcher.is_over = True
            watcher.join(60)

    def round(self):
        """Changes images of the source, and mirrors until a run is not killed."""
        if self.rounds:
            moved = [image for image in self.images if self.chance.random() < 0.5]
            moved = {image: image.moved() for image in moved}
            Source(self.source.host).push_all(moved.values())
            self.images = [moved.get(image, image) for image in self.images]
        self.rounds += 1
        start, calm = time.monotonic(), self.start(self.calm.host)
        if calm.wait() != 0:
            self.wrong.append(f"round {self.rounds}: the undisturbed run ended with {calm.returncode}")
        self.took = time.monotonic() - start
        expected = all_digests(self.calm.host)
        for watcher in self.watchers:
            for name, digest in expected.items():
                watcher.allowed.setdefault(name, set()).add(digest)
        while self.kill(self.kills < self.given.times):
            pass
        self.compare(expected)
        for watcher in self.watchers:
            for name, digest in expected.items():
                watcher.allowed[name] = {digest}

    def kill(self, is_killed):
        """Starts a run and kills it, unless it has ended before. Returns whether it was killed."""
        run = self.start(self.front.hosts[0])
        self.runs += 1
        try:
            code = run.wait(self.chance.uniform(0, self.took) if is_killed else 600)
        except subprocess.TimeoutExpired:
            if is_killed:
                self.ended(run)
                return True
            self.wrong.append("a run did not end")
            run.kill()
            return False
        if code != 0:
            self.wrong.append(f"a run ended with {code}")
        return False

    def ended(self, run):
        which = self.chance.choice(list(SIGNALS))
        run.send_signal(which)
        self.kills += 1
        at = time.monotonic()
        try:
            code = run.wait(GRACE)
        except subprocess.TimeoutExpired:
            run.kill()
            self.wrong.append(f"a run did not end within {GRACE} s of {which.name}")
            return
        # A run may end by itself just before the signal arrives.
        if code not in (SIGNALS[which], 0):
            self.wrong.append(f"a run ended with {code} after {which.name}")
        print(f"  {which.name:8} ended within {time.monotonic() - at:.2f} s", flush=True)

    def broken(self):
        return self.wrong or any(watcher.wrong for watcher in self.watchers)

    def compare(self, expected):
        found = all_digests(self.killed.host)
        differ = [name for name in expected.keys() | found.keys() if expected.get(name) != found.get(name)]
        if differ:
            self.wrong.append(f"round {self.rounds}: {len(differ)} images differ: {sorted(differ)[:5]}")
        one, other = links(self.calm), links(self.killed)
        if one != other:
            self.wrong.append(f"round {self.rounds}: stored apart: {sorted(one ^ other)[:5]} and more, {len(one ^ other)} in all")
        # docker-registry keeps the directory of a cancelled upload.
        opened = len(list(self.killed.files.glob("repositories/**/_uploads/*/startedat")))
        pulled = sum(watcher.pulled for watcher in self.watchers)
        print(
            f"round {self.rounds}: {len(found)} images, {self.kills} of {self.runs} runs killed so far, "
            f"{pulled} pulls watched, {opened} uploads left open",
            flush=True,
        )


def links(registry):
    """Returns everything that a registry stores for its repositories, except uploads."""
    root = registry.files / "repositories"
    return {str(file.relative_to(root)) for file in root.rglob("link") if "_uploads" not in file.parts}


def main():
    given = options()
    print(f"--seed {given.seed}", flush=True)
    with Place("kill-mirror") as place:
        trial = Trial(given, place)
        trial.run()
        wrong = trial.wrong + [message for watcher in trial.watchers for message in watcher.wrong]
        for message in wrong[:50]:
            print(f"wrong: {message}", file=sys.stderr)
        if wrong:
            print((place.dir / "run.log").read_text(errors="replace")[-4000:], file=sys.stderr)
    pulled = sum(watcher.pulled for watcher in trial.watchers)
    print(f"{trial.kills} runs killed, {trial.rounds} rounds, {pulled} pulls: {len(wrong)} things wrong")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
