//! The test registry itself: if it misreported requests, every other test would be worthless.

mod support;

use std::time::Duration;

use support::docker::Docker;
use support::docker_registry::DockerRegistry;
use support::engine::Engine;
use support::image::{Family, Image, digest};
use support::podman::Podman;
use support::registry::{Act, Auth, Bearer, Kind, Location, Registry, Reply};
use support::run::{Outcome, tool};
use support::{scratch, zombies};

/// Copies with skopeo, an independent client, from or to the in-process registry.
fn copy(source: &str, destination: &str) -> Outcome {
    let flags = ["copy", "--all", "--src-tls-verify=false", "--dest-tls-verify=false"];
    tool("skopeo", flags).args([source, destination]).run()
}

#[test]
fn skopeo_pushes_to_the_in_process_registry_and_pulls_the_same_bytes() {
    let registry = Registry::start();
    for location in [Location::Absolute, Location::Relative] {
        registry.set(|settings| settings.location = location);
        let there = registry.name("app", "latest");
        copy(&zombies(), &there).succeeds();
        registry.complete("app", "latest");
        let dir = scratch();
        copy(&there, &format!("oci:{}:latest", dir.path().display())).succeeds();
        assert_eq!(
            registry.manifest("app", "latest").map(|stored| stored.bytes.to_vec()),
            Some(support::image::layout_manifest(dir.path(), "latest"))
        );
    }
    assert_eq!(registry.open_uploads(), 0);
    let log = registry.log();
    assert!(log.lines().iter().any(|line| line.starts_with("PUT /v2/app/manifests/latest 201")), "{log:#?}");
    assert!(log.depth() > 3, "{:#?}", log.lines());
}

#[test]
fn skopeo_accepts_built_images_of_both_families() {
    let registry = Registry::start();
    for family in [Family::Oci, Family::Docker] {
        let image = Image::small().family(family);
        let name = image.in_registry(&registry, "app", "v1");
        let found = tool("skopeo", ["inspect", "--tls-verify=false", &name]).run().succeeds().json();
        assert_eq!(found["Digest"], image.digest());
    }
    let dir = scratch();
    let name = Image::small().in_layout(dir.path(), "v1");
    tool("skopeo", ["inspect", &name]).run().succeeds();
}

#[test]
fn requires_tokens_and_enforces_scopes() {
    let registry = Registry::start();
    Image::small().in_registry(&registry, "app", "v1");
    registry.set(|settings| settings.auth = Auth::Bearer(Bearer::new("ann", "secret")));
    let dir = scratch();
    let to = format!("oci:{}:v1", dir.path().display());
    let name = registry.name("app", "v1");
    assert_ne!(copy(&name, &to).code(), 0, "without a password");
    let flags = ["copy", "--src-tls-verify=false", "--src-creds", "ann:secret", &name, &to];
    tool("skopeo", flags).run().succeeds();
    let issued = registry.issued();
    let last = issued.last().expect("a token was issued");
    assert_eq!(last.user.as_deref(), Some("ann"));
    assert!(last.granted.contains("repository:app:pull"), "{issued:?}");
    assert!(!last.granted.contains("repository:app:push"), "{issued:?}");
    let flags = ["copy", "--dest-tls-verify=false", "--dest-creds", "ann:wrong", &to, &name];
    assert_ne!(tool("skopeo", flags).run().code(), 0, "with a wrong password");
}

/// Sends a raw request to the registry and returns everything until the connection closes.
fn ask(registry: &Registry, request: &str) -> String {
    use std::io::{Read, Write};
    let mut socket = std::net::TcpStream::connect(registry.host()).expect("the registry listens");
    socket.set_read_timeout(Some(Duration::from_secs(5))).expect("a timeout that is not zero");
    let request = format!("{request} HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n");
    socket.write_all(request.as_bytes()).expect("a request can be sent");
    let mut answer = Vec::new();
    // A closed connection is an answer too.
    let _ = socket.read_to_end(&mut answer);
    String::from_utf8_lossy(&answer).into_owned()
}

#[test]
fn simulates_the_requested_faults() {
    let registry = Registry::start();
    let blob = registry.put_blob("app", b"0123456789");
    let get = format!("GET /v2/app/blobs/{blob}");
    registry.at(1, Act::HangUp);
    registry.at(2, Act::Answer(Reply::html(200)));
    registry.at(3, Act::alter(|reply| reply.cut_at(4)));
    registry.at(4, Act::alter(|reply| reply.claim_length(99)));
    registry.at(5, Act::Answer(Reply::status(429).header("retry-after", "1")));
    registry.at(6, Act::alter(|reply| reply.body("9876543210")));
    assert!(ask(&registry, &get).ends_with("\r\n\r\n0123456789"));
    assert_eq!(ask(&registry, &get), "");
    assert!(ask(&registry, &get).contains("<!doctype html>"));
    let cut = ask(&registry, &get);
    assert!(cut.ends_with("\r\n\r\n0123") && cut.contains("content-length: 10"), "{cut}");
    let claimed = ask(&registry, &get);
    assert!(claimed.ends_with("0123456789") && claimed.contains("content-length: 99"), "{claimed}");
    let busy = ask(&registry, &get);
    assert!(busy.starts_with("HTTP/1.1 429") && busy.contains("retry-after: 1"), "{busy}");
    assert!(ask(&registry, &get).ends_with("9876543210"));
    assert!(ask(&registry, &get).ends_with("\r\n\r\n0123456789"), "each fault happens once");
    let statuses: Vec<String> = registry.log().lines();
    assert!(statuses[1].ends_with(" -") && statuses[5].ends_with(" 429"), "{statuses:?}");
}

#[test]
fn serves_ranges_of_blobs() {
    let registry = Registry::start();
    let blob = registry.put_blob("app", b"0123456789");
    let part = ask(&registry, &format!("GET /v2/app/blobs/{blob} HTTP/1.1\r\nRange: bytes=7-\r\nX: y"));
    assert!(part.starts_with("HTTP/1.1 206") && part.ends_with("\r\n\r\n789"), "{part}");
}

#[test]
fn redirects_blobs_to_another_host() {
    let (registry, storage) = (Registry::start(), Registry::start());
    let name = Image::small().in_registry(&registry, "app", "v1");
    registry.redirect_blobs_to(&storage);
    let dir = scratch();
    copy(&name, &format!("oci:{}:v1", dir.path().display())).succeeds();
    assert!(storage.log().count(|entry| matches!(entry.asked.kind, Kind::Blob { .. })) >= 1);
}

#[test]
fn the_real_registry_serves_over_tls_with_a_password() {
    let registry = DockerRegistry::with_user("ann", "secret").tls().start();
    let certificates = scratch();
    std::fs::copy(registry.authority(), certificates.path().join("ca.crt")).expect("a copy");
    let flags = ["copy", "--dest-creds", "ann:secret", "--dest-cert-dir"];
    let there = registry.name("app", "v1");
    let to = [certificates.path().to_str().expect("a plain path"), &zombies(), &there].map(str::to_owned);
    tool("skopeo", flags).args(to).run().succeeds();
    let flags = ["copy", "--dest-cert-dir", certificates.path().to_str().expect("a plain path")];
    assert_ne!(tool("skopeo", flags).args([zombies(), there]).run().code(), 0, "without the password");
}

#[test]
fn engines_run_the_sample() {
    let registry = DockerRegistry::start();
    let image = registry.push(&zombies(), "zombies", "latest");
    let engines: [&dyn Engine; 2] = [Docker::get(), Podman::get()];
    for engine in engines {
        let name = engine.pull(&image);
        let outcome = engine.run_to_end(&[], &name, &["1", "1", "7"]).exits(7);
        assert!(outcome.text().ends_with("supervisor: all is well\n"), "{}: {outcome}", engine.name());
    }
}

#[test]
fn digests_are_sha256() {
    let empty = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
    assert_eq!(digest(b""), empty);
}
