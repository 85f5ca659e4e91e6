//! The same operations with registries by several authors: between repositories, within one, repeatedly, and back
//! again, over an unreliable connection, and with a process that is killed.

mod support;

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::time::Duration;

use serde_json::{Value, json};
use support::image::{Family, Image, write_blob, write_index};
use support::implementations::{Real, Step, each};
use support::index::image_for;
use support::run::reapify;
use support::{scratch, zombies};

/// Returns the digest of the wrapped sample image, which is the same everywhere.
fn result() -> String {
    let dir = scratch();
    reapify(["wrap", &zombies(), &format!("oci:{}:v1", dir.path().display())]).run().succeeds().digest()
}

#[track_caller]
fn wraps(registry: &Real, from: &str, to: &str) -> Value {
    let report = registry.reapify(["wrap", "--output", "json", from, to]).run().succeeds().json();
    assert_eq!(report["digest"], registry.digest(to), "{to}");
    registry.is_whole(to);
    report
}

#[test]
fn wraps_verifies_and_unwraps_an_image() {
    let result = result();
    for registry in each() {
        let from = registry.push(&zombies(), "app", "v1");
        let original = registry.digest(&from);
        // Within the repository, to another repository, from a layout, and in place.
        let beside = registry.name("app", "beside");
        assert_eq!(wraps(&registry, &from, &beside)["digest"], result);
        let copy = registry.name("copy", "v1");
        let report = wraps(&registry, &from, &copy);
        assert_eq!(report["digest"], result);
        assert_eq!(
            report["stats"]["blobs_mounted"],
            if registry.can(Step::Mount) { 2 } else { 0 },
            "{report}"
        );
        assert_eq!(wraps(&registry, &zombies(), &registry.name("new", "v1"))["digest"], result);
        registry.push(&zombies(), "place", "v1");
        let place = registry.name("place", "v1");
        assert_eq!(wraps(&registry, &place, &place)["digest"], result);

        // A second run has nothing to do.
        for (from, to) in [(&from, &copy), (&from, &beside), (&place, &place)] {
            let report = wraps(&registry, from, to);
            assert_eq!(
                (&report["action"], &report["written"]),
                (&json!("unchanged"), &json!(false)),
                "{report}"
            );
        }
        for to in [&beside, &copy, &place] {
            registry.reapify(["verify", "--deep", to, "--source", &from]).run().succeeds();
            let back = registry.name("back", "v1");
            let restored = registry.reapify(["unwrap", to, &back]).run().succeeds().digest();
            assert_eq!((restored, registry.digest(&back)), (original.clone(), original.clone()));
            registry.is_whole(&back);
        }
        let inspected = registry.reapify(["inspect", "--output", "json", &copy]).run().succeeds().json();
        assert_eq!(inspected["digest"], result, "{inspected}");
        registry.reapify(["inspect", &registry.name("copy", "v2")]).run().exits(3);
        registry.reapify(["inspect", &registry.name("nothing", "v1")]).run().exits(3);
    }
}

/// Returns an index of two images in a layout.
fn index(dir: &std::path::Path) -> String {
    let images = ["amd64", "arm64"].map(|machine| image_for("linux", machine, "", Family::Oci));
    for image in &images {
        image.blobs().iter().chain([&image.manifest_bytes()]).for_each(|blob| write_blob(dir, blob));
    }
    let media_type = Family::Oci.index();
    let children = images.each_ref().map(Image::descriptor);
    let index = json!({"schemaVersion": 2, "mediaType": media_type, "manifests": children}).to_string();
    write_blob(dir, index.as_bytes());
    write_index(dir, &[("v1", media_type, index.as_bytes())]);
    format!("oci:{}:v1", dir.display())
}

#[test]
fn wraps_verifies_and_unwraps_an_index() {
    for registry in each() {
        let dir = scratch();
        let source = index(dir.path());
        if !registry.can(Step::Index) {
            let refused =
                registry.reapify(["wrap", "--retries", "0", &source, &registry.name("index", "v1")]).run();
            assert_ne!(refused.code(), 0, "it can after all: {refused}");
            continue;
        }
        let from = registry.push(&source, "index", "v1");
        for to in [registry.name("index", "v2"), registry.name("other", "v1")] {
            wraps(&registry, &from, &to);
            assert_eq!(wraps(&registry, &from, &to)["action"], "unchanged");
            registry.reapify(["verify", "--deep", &to, "--source", &from]).run().succeeds();
            let back = registry.name("back", "v1");
            registry.reapify(["unwrap", &to, &back]).run().succeeds();
            assert_eq!(registry.digest(&back), registry.digest(&from));
        }
    }
}

#[test]
fn finds_a_statement_by_its_subject() {
    for registry in each() {
        let to = registry.name("app", "v1");
        let wrap = || {
            registry.reapify(["wrap", "--provenance", "--retries", "0", "--output", "json", &zombies(), &to])
        };
        if !registry.can(Step::Referrers) {
            // The image is written and the result is printed nevertheless.
            let outcome = wrap().run();
            assert_ne!(outcome.code(), 0, "{outcome}");
            assert_eq!(outcome.json()["digest"], registry.digest(&to));
            continue;
        }
        let inspected = || {
            let report = registry.reapify(["inspect", "--output", "json", &to]).run().succeeds().json();
            report["referrers"].clone()
        };
        let result = wrap().run().succeeds().json()["digest"].clone();
        assert_eq!(result, registry.digest(&to));
        let first = inspected();
        assert_eq!(first.as_array().map(Vec::len), Some(1), "{first}");
        // A second run writes the same statement, only once.
        wrap().run().succeeds();
        assert_eq!(inspected(), first);
    }
}

#[test]
fn concurrent_processes_that_write_the_same_image_all_succeed() {
    let result = result();
    for registry in each() {
        let from = registry.push(&zombies(), "app", "v1");
        for round in 0..5 {
            let to = registry.name(&format!("copy{round}"), "v1");
            std::thread::scope(|scope| {
                for _ in 0..6 {
                    scope.spawn(|| {
                        let outcome = registry.reapify(["wrap", &from, &to]).run().succeeds();
                        assert_eq!(outcome.digest(), result);
                    });
                }
            });
            assert_eq!(registry.digest(&to), result);
            registry.is_whole(&to);
        }
    }
}

/// Starts a proxy for a host that cuts each connection after a number of bytes, which grows with every cut.
fn unreliable(host: &str) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let host = host.to_owned();
    std::thread::spawn(move || {
        let mut limit = 300;
        for client in listener.incoming().flatten() {
            let server = TcpStream::connect(&host).unwrap();
            let (mut up, mut to_server) = (client.try_clone().unwrap(), server.try_clone().unwrap());
            std::thread::spawn(move || drop(std::io::copy(&mut up, &mut to_server)));
            let (mut from_server, mut down) = (server, client);
            let mut left = limit;
            limit = limit * 3 / 2;
            std::thread::spawn(move || {
                let mut piece = [0; 512];
                while let Ok(n @ 1..) = from_server.read(&mut piece) {
                    let n = n.min(left);
                    left -= n;
                    if down.write_all(&piece[..n]).is_err() || left == 0 {
                        break;
                    }
                }
                let _ = down.shutdown(Shutdown::Both);
                let _ = from_server.shutdown(Shutdown::Both);
            });
        }
    });
    address
}

#[test]
fn succeeds_through_a_proxy_that_cuts_connections() {
    let result = result();
    for registry in each() {
        registry.push(&zombies(), "app", "v1");
        let host = unreliable(registry.host());
        let name = |repository: &str| format!("docker://{host}/real/{repository}:v1");
        let wrap = registry.reapify(["wrap", "--jobs", "2", "--output", "json", &name("app"), &name("copy")]);
        let report = wrap
            .args(["--retries", "20"])
            .args(registry.credentials())
            .within(Duration::from_secs(120))
            .run()
            .succeeds()
            .json();
        assert_eq!(report["digest"], result);
        assert!(report["stats"]["retries"].as_u64() > Some(0), "{report}");
        registry.is_whole(&registry.name("copy", "v1"));
    }
}

#[test]
fn the_tag_is_old_or_new_if_killed_at_random_moments() {
    let new = result();
    for (n, registry) in each().enumerate() {
        let from = registry.push(&zombies(), "app", "v1");
        let old = registry.digest(&from);
        let to = |n: usize| registry.name(&format!("r{n}"), "v1");
        let mut state = 7u64;
        // Enough rounds to hit each moment with the first registry; the others differ in few.
        for round in 0..[120, 40, 40][n] {
            let to = to(round % 8);
            registry.push(&zombies(), &format!("r{}", round % 8), "v1");
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            let mut running = registry.reapify(["wrap", "-q", &from, &to]).start();
            std::thread::sleep(Duration::from_micros((state >> 33) % 60_000));
            running.kill();
            let _ = running.wait();
            let found = registry.digest(&to);
            assert!(found == old || found == new, "{found} is neither old nor new");
        }
        for n in 0..8 {
            registry.reapify(["wrap", "-q", &from, &to(n)]).run().succeeds();
            assert_eq!(registry.digest(&to(n)), new);
            registry.is_whole(&to(n));
        }
    }
}
