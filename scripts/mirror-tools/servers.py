"""Registries, proxies and programs that a script starts. They end with the script, however it ends."""

import contextlib
import ctypes
import http.client
import json
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor

REGISTRY = shutil.which("docker-registry") or "/usr/sbin/docker-registry"
PR_SET_PDEATHSIG = 1  # include/uapi/linux/prctl.h
LIBC = ctypes.CDLL(None)


def _die_with_parent():
    LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


class Place(contextlib.ExitStack):
    """A directory, in memory if possible, and its processes. Everything is removed at the end."""

    def __init__(self, name):
        super().__init__()
        memory = pathlib.Path("/dev/shm")
        base = memory if memory.is_dir() else None
        self.dir = pathlib.Path(tempfile.mkdtemp(prefix=f"reapify-{name}-", dir=base))
        self.callback(shutil.rmtree, self.dir, ignore_errors=True)

    def start(self, command, log=None, **more):
        """Starts a program that ends with the script."""
        output = open(self.dir / log, "ab") if log else subprocess.DEVNULL
        # The signal is sent when the *thread* that forked ends, so only the main thread starts programs.
        process = subprocess.Popen(
            [str(word) for word in command],
            **{"stdin": subprocess.DEVNULL, "stdout": output, "stderr": output} | more,
            preexec_fn=_die_with_parent,
        )
        self.callback(stop, process)
        return process


def stop(process):
    """Ends a process that this script started."""
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def wait_for(condition, what, seconds=30):
    """Waits until a condition is true."""
    until = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > until:
            raise SystemExit(f"{what}: not within {seconds} s")
        time.sleep(0.05)


def answers(host):
    try:
        socket.create_connection(host.rsplit(":", 1), 1).close()
        return True
    except OSError:
        return False


class Registry:
    """Debian's docker-registry, with plain HTTP on loopback."""

    def __init__(self, place, name, notify=None):
        self.host = f"127.0.0.1:{free_port()}"
        self.dir = place.dir / name
        self.dir.mkdir()
        config = [
            "version: 0.1",
            "log: { level: error, accesslog: { disabled: true } }",
            f"storage: {{ filesystem: {{ rootdirectory: {self.dir}/data, maxthreads: 500 }}, delete: {{ enabled: true }} }}",
            f"http: {{ addr: '{self.host}', secret: {name} }}",
        ]
        if notify:
            url, token = notify
            config.append(
                "notifications: { endpoints: [ { name: reapify, timeout: 3s, threshold: 3, backoff: 1s, "
                f"url: '{url}', headers: {{ Authorization: ['Bearer {token}'] }} }} ] }}"
            )
        file = self.dir / "config.yml"
        file.write_text("\n".join(config) + "\n")
        # Debian's registry needs 2 ms of CPU per request, much of it for garbage collection, which is reduced here.
        environment = os.environ | {"GOGC": "400"}
        self.process = place.start([REGISTRY, "serve", file], log=f"{name}.log", env=environment)
        wait_for(lambda: answers(self.host), "docker-registry")

    @property
    def files(self):
        """Returns the directory in which the registry stores."""
        return self.dir / "data/docker/registry/v2"


class Front:
    """The counting, delaying proxy in front of registries."""

    def __init__(self, place, program, registries):
        self.process = place.start(
            [program, *(registry.host for registry in registries)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=None,
            text=True,
            bufsize=1,
        )
        self.hosts = [self.process.stdout.readline().strip() for _ in registries]

    def delay(self, ms):
        """Sets the delay of every request."""
        self.process.stdin.write(f"delay {ms}\n")

    def take(self):
        """Returns the requests to each registry since the last call: {(method, kind, status): count}."""
        self.process.stdin.write("take\n")
        counts = [json.loads(self.process.stdout.readline()) for _ in self.hosts]
        return [{tuple(name.split(" ")): count for name, count in one.items()} for one in counts]


class Client:
    """One connection to a registry."""

    def __init__(self, host, timeout=60):
        self.host, self.timeout = host, timeout
        self.connection = None

    def send(self, method, path, body=None, headers=()):
        """Sends a request. Returns status, headers and body. Retries once if the connection was closed."""
        for attempt in (1, 2):
            if self.connection is None:
                self.connection = http.client.HTTPConnection(self.host, timeout=self.timeout)
            try:
                self.connection.request(method, path, body, dict(headers))
                answer = self.connection.getresponse()
                return answer.status, answer.headers, answer.read()
            except (http.client.HTTPException, OSError):
                self.connection.close()
                self.connection = None
                if attempt == 2:
                    raise

    def pages(self, path, field):
        """Returns a paginated list."""
        found = []
        while path:
            status, headers, body = self.send("GET", path)
            if status == 404:
                return found
            if status != 200:
                raise SystemExit(f"{self.host}{path}: {status}")
            found += json.loads(body)[field] or []
            link = headers.get("Link", "")
            path = link[link.find("<") + 1 : link.find(">")] if link else None
            if path and path.startswith("http"):
                path = "/" + path.split("/", 3)[3]
        return found

    def repositories(self):
        return self.pages("/v2/_catalog?n=1000", "repositories")

    def tags(self, repository):
        return self.pages(f"/v2/{repository}/tags/list", "tags")

    def digest(self, repository, name):
        """Returns the digest that a name refers to, if it exists."""
        status, headers, _ = self.send("HEAD", f"/v2/{repository}/manifests/{name}", headers=ACCEPT)
        return headers["Docker-Content-Digest"] if status == 200 else None


ACCEPT = {
    "Accept": ", ".join(
        [
            "application/vnd.oci.image.manifest.v1+json",
            "application/vnd.oci.image.index.v1+json",
            "application/vnd.docker.distribution.manifest.v2+json",
            "application/vnd.docker.distribution.manifest.list.v2+json",
        ]
    )
}


def all_digests(host):
    """Returns {(repository, tag): digest} of everything in a registry."""

    def of_one(repository):
        client = Client(host)
        return [((repository, tag), client.digest(repository, tag)) for tag in client.tags(repository)]

    with ThreadPoolExecutor(4) as pool:
        return dict(pair for pairs in pool.map(of_one, Client(host).repositories()) for pair in pairs)


def measured(place, measure, command, log):
    """Runs a program to its end. Returns its exit code, seconds, CPU seconds and peak memory in MB."""
    figures = place.dir / "figures"
    with open(log, "wb") as output:
        code = subprocess.call([str(measure), str(figures), *map(str, command)], stdout=output, stderr=output)
    seconds, cpu, peak = map(float, figures.read_text().split())
    return code, seconds, cpu, peak / 1024


def memory_and_descriptors(pid):
    """Returns the resident memory of a process in MB, and its open descriptors."""
    status = pathlib.Path(f"/proc/{pid}/status").read_text()
    rss = next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmRSS:"))
    return rss / 1024, len(os.listdir(f"/proc/{pid}/fd"))


def connections(pid):
    """Returns the TCP connections of a process, as lines of `/proc/net/tcp`."""
    sockets = set()
    for entry in pathlib.Path(f"/proc/{pid}/fd").iterdir():
        try:
            sockets.add(os.readlink(entry))
        except FileNotFoundError:
            continue
    rows = [line.split() for line in pathlib.Path(f"/proc/{pid}/net/tcp").read_text().splitlines()[1:]]
    # Field 2 is the remote address, all zeros for a listener; 9 is the inode.
    return [" ".join(row[:4]) for row in rows if f"socket:[{row[9]}]" in sockets and not row[2].endswith(":0000")]


def cpu_seconds(pid):
    """Returns the CPU time of a process so far."""
    # Field 2 is the program's name in parentheses; 14 and 15 are the ticks in user and kernel mode.
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
