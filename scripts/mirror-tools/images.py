"""Creates small images of many kinds, the same in every run, and pushes them to a registry."""

import gzip
import hashlib
import io
import json
import random
import tarfile
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from servers import Client

OCI = {
    "manifest": "application/vnd.oci.image.manifest.v1+json",
    "index": "application/vnd.oci.image.index.v1+json",
    "config": "application/vnd.oci.image.config.v1+json",
    "layer": "application/vnd.oci.image.layer.v1.tar+gzip",
}
DOCKER = {
    "manifest": "application/vnd.docker.distribution.manifest.v2+json",
    "index": "application/vnd.docker.distribution.manifest.list.v2+json",
    "config": "application/vnd.docker.container.image.v1+json",
    "layer": "application/vnd.docker.image.rootfs.diff.tar.gzip",
}
PLATFORMS = ["amd64", "arm64", "s390x"]

# The shapes of twenty images, and what an unchanged one may cost at the destination: one request where annotations tell,
# the config, too, where they do not, and manifest and config of each child for a Docker list, whose records lie there.
SHAPES = (
    ["oci"] * 7 + ["docker"] * 4 + ["index2"] * 2 + ["index3", "list2", "list3", "attested", "attested3", "artifact", "init"]
)
REQUESTS = {"docker": 2, "list2": 3, "list3": 3, "init": 2, "dockerinit": 2}


@dataclass(frozen=True)
class Image:
    """An image of the source."""

    repository: str
    tag: str
    shape: str
    generation: int = 0

    @property
    def requests(self):
        """Returns the requests that it may cost at the destination while it is unchanged."""
        return REQUESTS.get(self.shape, 1)

    @property
    def is_wrapped(self):
        return self.shape not in ("artifact", "init", "dockerinit")

    def moved(self):
        """Returns the next image under this name."""
        return Image(self.repository, self.tag, self.shape, self.generation + 1)


def many(count, seed=1):
    """Returns images of all kinds, in repositories of 1 to 50 tags."""
    chance, images, number = random.Random(seed), [], 0
    while len(images) < count:
        size = min(chance.randint(1, 50), count - len(images))
        for tag in range(size):
            shape = SHAPES[len(images) % len(SHAPES)]
            if shape == "init" and chance.random() < 0.5:
                shape = "dockerinit"
            images.append(Image(f"team{number % 10}/app{number}", f"1.{tag}.0", shape))
        number += 1
    return images


def digest(data):
    return "sha256:" + hashlib.sha256(data).hexdigest()


def tar(name, content):
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        info = tarfile.TarInfo(name)
        info.size, info.mode = len(content), 0o755
        archive.addfile(info, io.BytesIO(content))
    return buffer.getvalue()


def layer_of(name, seed, size):
    """Returns a compressed layer of incompressible bytes, and its diff ID."""
    data = tar(name, random.Random(seed).randbytes(size))
    return gzip.compress(data, 1, mtime=0), digest(data)


BASES = [layer_of("usr/lib/base", f"base {n}", 20_000) for n in range(3)]


class Pusher:
    """Pushes images to a registry, over one connection."""

    def __init__(self, host, sent):
        self.client, self.sent = Client(host), sent

    def must(self, expected, method, path, body=None, headers=()):
        status, headers, body = self.client.send(method, path, body, headers)
        if status not in expected:
            raise RuntimeError(f"{method} {path}: {status} {body[:200]!r}")
        return status, headers

    def blob(self, repository, media, data):
        """Uploads a blob unless the repository has it. Returns its descriptor."""
        name = digest(data)
        descriptor = {"mediaType": media, "digest": name, "size": len(data)}
        if (repository, name) in self.sent:
            return descriptor
        mount = next((f"?mount={name}&from={origin}" for origin, blob in [self.sent.get(name, (None, None))] if origin), "")
        status, headers = self.must((201, 202), "POST", f"/v2/{repository}/blobs/uploads/{mount}")
        if status == 202:
            path = "/" + headers["Location"].split("/", 3)[3]
            path += ("&" if "?" in path else "?") + "digest=" + name
            self.must((201,), "PUT", path, data, {"Content-Type": "application/octet-stream"})
        self.sent[repository, name] = True
        self.sent.setdefault(name, (repository, name))
        return descriptor

    def manifest(self, repository, name, media, document):
        """Uploads a manifest. Returns its descriptor."""
        data = json.dumps(document, separators=(",", ":")).encode()
        target = name or digest(data)
        self.must((201,), "PUT", f"/v2/{repository}/manifests/{target}", data, {"Content-Type": media})
        return {"mediaType": media, "digest": digest(data), "size": len(data)}

    def one(self, image, name, kinds, architecture="amd64", entrypoint=("/app",)):
        """Pushes a single-platform image."""
        seed = f"{image.repository} {image.tag} {image.generation} {architecture}"
        layers = [BASES[hash_of(image.repository) % len(BASES)], layer_of("app", seed, 2000 + hash_of(seed) % 8000)]
        config = {
            "created": "2024-01-01T00:00:00Z",
            "architecture": architecture,
            "os": "linux",
            "config": {"Env": ["PATH=/usr/bin:/bin"], "Entrypoint": list(entrypoint), "Cmd": ["serve", seed]},
            "rootfs": {"type": "layers", "diff_ids": [diff for _, diff in layers]},
            "history": [{"created": "2024-01-01T00:00:00Z", "created_by": "COPY"} for _ in layers],
        }
        repository = image.repository
        blobs = [self.blob(repository, kinds["layer"], data) for data, _ in layers]
        config = self.blob(repository, kinds["config"], json.dumps(config).encode())
        document = {"schemaVersion": 2, "mediaType": kinds["manifest"], "config": config, "layers": blobs}
        return self.manifest(repository, name, kinds["manifest"], document)

    def index(self, image, kinds, platforms, is_attested):
        children = []
        for architecture in PLATFORMS[:platforms]:
            child = self.one(image, None, kinds, architecture)
            children.append(child | {"platform": {"architecture": architecture, "os": "linux"}})
        if is_attested:
            children += [self.attestation(image, child) for child in list(children)]
        document = {"schemaVersion": 2, "mediaType": kinds["index"], "manifests": children}
        return self.manifest(image.repository, image.tag, kinds["index"], document)

    def attestation(self, image, subject):
        statement = json.dumps({"_type": "https://in-toto.io/Statement/v0.1", "subject": [subject["digest"]]}).encode()
        layer = self.blob(image.repository, "application/vnd.in-toto+json", statement)
        config = {"architecture": "unknown", "os": "unknown", "rootfs": {"type": "layers", "diff_ids": [layer["digest"]]}}
        config = self.blob(image.repository, OCI["config"], json.dumps(config).encode())
        document = {"schemaVersion": 2, "mediaType": OCI["manifest"], "config": config, "layers": [layer]}
        return self.manifest(image.repository, None, OCI["manifest"], document) | {
            "platform": {"architecture": "unknown", "os": "unknown"},
            "annotations": {
                "vnd.docker.reference.type": "attestation-manifest",
                "vnd.docker.reference.digest": subject["digest"],
            },
        }

    def artifact(self, image):
        """Pushes a Helm chart."""
        text = f"{image.repository} {image.generation}"
        config = json.dumps({"name": text, "version": image.tag, "apiVersion": "v2"}).encode()
        config = self.blob(image.repository, "application/vnd.cncf.helm.config.v1+json", config)
        data, _ = layer_of("chart/Chart.yaml", text + image.tag, 500)
        layer = self.blob(image.repository, "application/vnd.cncf.helm.chart.content.v1.tar+gzip", data)
        document = {"schemaVersion": 2, "mediaType": OCI["manifest"], "config": config, "layers": [layer]}
        return self.manifest(image.repository, image.tag, OCI["manifest"], document)

    def push(self, image):
        """Pushes an image. Returns its digest."""
        init = ("/usr/bin/tini", "--", "/app")
        match image.shape:
            case "oci":
                made = self.one(image, image.tag, OCI)
            case "docker":
                made = self.one(image, image.tag, DOCKER)
            case "init":
                made = self.one(image, image.tag, OCI, entrypoint=init)
            case "dockerinit":
                made = self.one(image, image.tag, DOCKER, entrypoint=init)
            case "artifact":
                made = self.artifact(image)
            case "list2" | "list3":
                made = self.index(image, DOCKER, int(image.shape[-1]), False)
            case "index2" | "index3":
                made = self.index(image, OCI, int(image.shape[-1]), False)
            case "attested":
                made = self.index(image, OCI, 1, True)
            case "attested3":
                made = self.index(image, OCI, 3, True)
        return made["digest"]


def hash_of(text):
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:4], "big")


class Source:
    """A registry that images are pushed to."""

    def __init__(self, host):
        self.host, self.sent, self.local = host, {}, threading.local()

    def push(self, image):
        if not hasattr(self.local, "pusher"):
            self.local.pusher = Pusher(self.host, self.sent)
        return self.local.pusher.push(image)

    def push_all(self, images, workers=8):
        """Pushes images, repository by repository. Returns the digests in the order of the images."""
        by_repository = {}
        for image in images:
            by_repository.setdefault(image.repository, []).append(image)
        with ThreadPoolExecutor(workers) as pool:
            of_one = lambda some: [(image, self.push(image)) for image in some]
            pushed = dict(pair for pairs in pool.map(of_one, by_repository.values()) for pair in pairs)
        return [pushed[image] for image in images]
