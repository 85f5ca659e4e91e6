"""The implementation of `scripts/bench-mirror`."""

import argparse
import statistics
import sys
import time
from collections import Counter

from images import Source, many
from servers import Front, Place, Registry, all_digests, cpu_seconds, measured

# The limits of the mirror, for any number of images.
MOST_MB = 48
MOST_SECONDS = 4  # of an unchanged pass over 1,000 images, with 25 ms before every request
CHANGED = 10
METHODS = ["HEAD", "GET", "POST", "PATCH", "PUT", "DELETE"]


def options():
    parser = argparse.ArgumentParser()
    parser.add_argument("--images", type=int, default=1000)
    parser.add_argument("--delay", default="0,25")
    parser.add_argument("--runs", type=int, default=1)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--reapify", required=True)
    parser.add_argument("--tools", required=True)
    given = parser.parse_args()
    given.delays = [int(ms) for ms in given.delay.split(",")]
    return given


class Round:
    """A series of runs into one initially empty registry."""

    def __init__(self, given, place, source, images, name, delay):
        self.given, self.place, self.images = given, place, images
        self.source, self.name, self.delay = source, name, delay
        self.target = Registry(place, name)
        self.front = Front(place, f"{given.tools}/front", [source, self.target])
        self.front.delay(delay)
        self.rows, self.wrong = {}, []

    def end(self):
        self.front.process.stdin.close()
        self.target.process.kill()

    def must(self, holds, message):
        if not holds:
            self.wrong.append(f"{self.delay} ms: {message}")

    def registries(self):
        """Returns the CPU seconds of both registries so far. If they are many, the registries take most of the time."""
        return sum(cpu_seconds(registry.process.pid) for registry in (self.source, self.target))

    def measure(self, name, command, expected=0):
        """Runs a program and adds a row. Returns its requests to the source and to the destination."""
        log = self.place.dir / "run.log"
        self.front.take()
        before = self.registries()
        code, *figures = measured(self.place, f"{self.given.tools}/measure", command, log)
        figures.append(self.registries() - before)
        counts = self.front.take()
        self.rows[name] = (figures, [by_method(one) for one in counts], code)
        if code != expected:
            tail = "\n".join(log.read_text(errors="replace").splitlines()[-20:])
            self.must(False, f"{name}: exit code {code}, not {expected}\n{tail}")
        return counts

    def mirror(self, name, command, expected=0):
        config = self.place.dir / "regsync.yml"
        source, target = self.front.hosts
        config.write_text(f"version: 1\nsync:\n  - source: {source}\n    target: {target}\n    type: registry\n")
        words = [self.given.reapify, "mirror", command, "--config", config]
        counts = self.measure(name, words, expected)
        peak = self.rows[name][0][2]
        self.must(peak <= MOST_MB, f"{name}: {peak:.1f} MB, more than {MOST_MB}")
        return counts

    def unchanged(self, name, command):
        """Checks the requests of a run with nothing to do."""
        source, target = self.mirror(name, command)
        only_looked(self, name, source, target)
        heads, asked = source[("HEAD", "manifest", "200")], sum(target.values())
        allowed = sum(image.requests for image in self.images)
        self.must(heads == len(self.images), f"{name}: {heads} HEADs of {len(self.images)} images")
        self.must(asked <= allowed, f"{name}: {asked} requests at the destination, more than {allowed}")
        return asked, allowed

    def run(self):
        self.mirror("first run", "once")
        self.compare()
        self.requests = self.unchanged("second run", "once")
        self.unchanged("check", "check")
        wrapped = [image for image in self.images if image.is_wrapped]
        changed = wrapped[:: max(1, len(wrapped) // CHANGED)][:CHANGED]
        moved = {image: image.moved() for image in changed}
        Source(self.source.host).push_all(moved.values())
        self.images = [moved.get(image, image) for image in self.images]
        before = all_digests(self.target.host)
        counts = self.mirror(f"check, {len(changed)} changed", "check", 8)
        only_looked(self, "check with changes", *counts, pulls=True)
        self.must(before == all_digests(self.target.host), "check changed the destination")
        self.mirror(f"{len(changed)} changed", "once")
        after = all_digests(self.target.host)
        differ = {name for name in after if before.get(name) != after[name]}
        expected = {(image.repository, image.tag) for image in changed}
        self.must(differ == expected, f"{len(differ)} images changed, not {len(expected)}: {sorted(differ ^ expected)[:5]}")
        if not self.given.quick:
            self.skopeo()

    def compare(self):
        """Checks that every image is present, and wrapped or unchanged according to its kind."""
        source, target = all_digests(self.source.host), all_digests(self.target.host)
        missing = [name for name in source if not target.get(name)]
        self.must(not missing, f"{len(missing)} images are missing: {missing[:5]}")
        for image in self.images:
            name = (image.repository, image.tag)
            is_new = source[name] != target.get(name)
            self.must(is_new == image.is_wrapped, f"{name}, {image.shape}: wrapped is {is_new}")

    def skopeo(self):
        source, target = self.front.hosts
        repositories = dict.fromkeys(image.repository for image in self.images)
        config = self.place.dir / "skopeo.yml"
        lines = [f'"{source}":', "  tls-verify: false", "  images:", *(f"    {name}: []" for name in repositories)]
        config.write_text("\n".join(lines) + "\n")
        more = ["--all", "--src", "yaml", "--dest", "docker", "--dest-tls-verify=false"]
        self.measure("skopeo sync", ["skopeo", "sync", *more, config, f"{target}/skopeo"])
        self.measure("skopeo sync again", ["skopeo", "sync", *more, config, f"{target}/skopeo"])


def only_looked(round, name, source, target, pulls=False):
    """Checks that a run wrote nothing, and read only lists and HEADs from the source."""
    listings = ("catalog", "tags")
    read = {what: n for what, n in source.items() if what[1] not in listings and what[0] != "HEAD"}
    round.must(pulls or not read, f"{name}: more than HEADs and listings of the source: {read}")
    written = {what: n for what, n in target.items() if what[0] not in ("HEAD", "GET")}
    round.must(not written, f"{name}: the destination was written: {written}")


def by_method(counts):
    methods, listings = Counter(), 0
    for (method, kind, _), count in counts.items():
        if kind in ("catalog", "tags"):
            listings += count
        else:
            methods[method] += count
    return listings, methods


def table(rounds):
    """Returns the medians of the runs, one row per program."""
    heads = "".join(f"{method:>7}" for method in METHODS)
    print(f"{'':54}{'source:':>9}{'':14}{'destination:':>15}")
    print(f"{'':22}{'s':>8}{'CPU s':>8}{'MB':>7}{'theirs s':>10}{'lists':>8}{'HEAD':>7}{'GET':>7}   {heads}  exit")
    for name in rounds[0].rows:
        rows = [one.rows[name] for one in rounds]
        seconds, cpu, peak, theirs = (statistics.median(row[0][i] for row in rows) for i in range(4))
        _, ((lists, source), (_, target)), code = rows[-1]
        asked = "".join(f"{target[method]:7}" for method in METHODS)
        print(f"{name:22}{seconds:8.2f}{cpu:8.2f}{peak:7.1f}{theirs:10.2f}{lists:8}{source['HEAD']:7}{source['GET']:7}   {asked}  {code:4}")
    asked, allowed = rounds[-1].requests
    print(f"second run: {asked} requests at the destination, {allowed} allowed")
    seconds = statistics.median(one.rows["second run"][0][0] for one in rounds)
    if rounds[0].delay == 25 and len(rounds[0].images) == 1000:
        print(f"second run: {seconds:.2f} s, wanted {MOST_SECONDS} s or less: {'ok' if seconds <= MOST_SECONDS else 'MISSED'}")
    print(flush=True)


def main():
    given = options()
    wrong = []
    with Place("bench-mirror") as place:
        source = Registry(place, "source")
        images = many(given.images)
        start = time.monotonic()
        Source(source.host).push_all(images)
        repositories = len({image.repository for image in images})
        print(f"{len(images)} images in {repositories} repositories, made in {time.monotonic() - start:.0f} s", file=sys.stderr)
        for delay in given.delays:
            rounds = []
            for run in range(given.runs):
                one = Round(given, place, source, images, f"target-{delay}-{run}", delay)
                one.run()
                one.end()
                images, wrong = one.images, wrong + one.wrong
                rounds.append(one)
            print(f"{len(images)} images, {delay} ms before every request, median of {given.runs}")
            table(rounds)
    for message in wrong:
        print(f"wrong: {message}", file=sys.stderr)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
