//! The requests on the wire, and how registries respond to them.

mod support;

use std::time::Duration;
use support::image::{File, Image, file, noise};
use support::registry::{Act, Auth, Bearer, Kind, Location, Registry, Reply};
use support::run::{Outcome, Run, reapify};
use support::scratch;

/// Pushes an image of `n` layers to `app:v1`.
fn source(registry: &Registry, n: usize) -> String {
    let mut image = Image::new();
    for i in 0..n {
        let path = format!("file{i}");
        let files: [File; 1] = [file(&path, b"content")];
        image = image.layer(&files);
    }
    image.in_registry(registry, "app", "v1")
}

fn wrap(from: &str, to: &str) -> Run {
    reapify(["wrap", "--output", "json", "--retries", "2", from, to])
}

/// Wraps to `copy:v1`, and checks that the result is complete.
fn wraps(registry: &Registry, from: &str) -> Outcome {
    let outcome = wrap(from, &registry.name("copy", "v1")).run().succeeds();
    registry.complete("copy", "v1");
    assert_eq!(registry.open_uploads(), 0, "no upload is left open");
    outcome
}

#[test]
fn takes_the_fewest_requests_and_round_trips() {
    let registry = Registry::start();
    registry.set(|settings| settings.latency = Duration::from_millis(250));
    let from = source(&registry, 10);
    // The number of requests and their depth: to another repository, within the same one, in place (where the tag is
    // checked again before it moves), and if up to date.
    for (repository, tag, requests, depth) in
        [("copy", "v1", 18, 4), ("app", "v2", 8, 4), ("app", "v1", 8, 5), ("copy", "v1", 2, 1)]
    {
        if (repository, tag, requests) == ("copy", "v1", 2) {
            reapify(["unwrap", &registry.name("app", "v1"), &registry.name("app", "v1")]).run().succeeds();
        }
        registry.clear_log();
        wrap(&from, &registry.name(repository, tag)).run().succeeds();
        let log = registry.log();
        assert_eq!(log.len(), requests, "{repository}:{tag} {:#?}", log.lines());
        assert!(log.depth() <= depth, "{repository}:{tag} depth {} {:#?}", log.depth(), log.lines());
    }
}

#[test]
fn uploads_a_blob_whose_mount_is_refused() {
    for status in [202, 401, 403, 404, 405] {
        let registry = Registry::start();
        let from = source(&registry, 2);
        if status == 202 {
            registry.set(|settings| settings.mounts = false);
        } else {
            registry.hook(move |asked| match asked.query.contains_key("mount") {
                true => Act::Answer(Reply::error(status, "DENIED", "project not found")),
                false => Act::Serve,
            });
        }
        let report = wraps(&registry, &from).json();
        assert_eq!(
            (&report["stats"]["blobs_mounted"], &report["stats"]["blobs_copied"]),
            (&0.into(), &4.into()),
            "{status}"
        );
        if status == 202 {
            // The session that the refused mount opened is used: there are two more for new blobs, none for the
            // layers.
            let opened =
                registry.log().count(|e| e.line().starts_with("POST") && !e.line().contains("mount"));
            assert_eq!(opened, 2, "{:#?}", registry.log().lines());
        }
    }
}

#[test]
fn does_not_send_existing_blobs() {
    let (one, other) = (Registry::start(), Registry::start());
    let from = source(&one, 3);
    let first = wrap(&from, &other.name("copy", "v1")).run().succeeds().json();
    assert_eq!(first["stats"]["blobs_copied"], 5);
    let second = wrap(&from, &other.name("copy", "v2")).arg("--group").run().succeeds().json();
    assert_eq!(
        (&second["stats"]["blobs_existing"], &second["stats"]["blobs_copied"]),
        (&3.into(), &2.into())
    );
}

#[test]
fn follows_locations_without_sending_secrets_elsewhere() {
    let storage = Registry::start();
    let registry = Registry::start();
    registry.set(|s| s.auth = Auth::Basic { user: "ann".into(), password: "s3cret".into() });
    let from = source(&registry, 2);
    for location in [Location::Relative, Location::Absolute] {
        registry.set(|settings| settings.location = location);
        reapify(["wrap", "--src-creds", "ann:s3cret", "--dest-creds", "ann:s3cret", "--group"])
            .args([&from, &registry.name("copy", "v1")])
            .run()
            .succeeds();
        reapify(["wrap", "--src-creds", "ann:s3cret", "--dest-creds", "ann:s3cret"])
            .args([&from, &registry.name("copy", "v1")])
            .run()
            .succeeds();
    }
    // Blobs are served by another host, without the password.
    registry.redirect_blobs_to(&storage);
    let dir = scratch();
    let to = format!("oci:{}:x", dir.path().display());
    reapify(["wrap", "-vv", "--src-creds", "ann:s3cret", &from, &to]).run().succeeds().never_says("s3cret");
    assert!(!storage.log().is_empty(), "blobs were read from the storage");
    let said = storage.log().everything_said().to_lowercase();
    assert!(!said.contains("authorization"), "{said}");
}

#[test]
fn waits_as_long_as_busy_registries_request() {
    let registry = Registry::start();
    let from = source(&registry, 2);
    for refusal in [
        Reply::status(429).header("retry-after", "0"),
        Reply::status(429),
        Reply::status(503).header("retry-after", "1"),
        Reply::status(500),
        Reply::html(502),
    ] {
        for index in 0..8 {
            registry.behave();
            registry.clear_log();
            registry.at(index, Act::Answer(refusal.clone()));
            let to = format!("copy{index}");
            let report = wrap(&from, &registry.name(&to, "v1")).run().succeeds().json();
            assert_eq!(report["stats"]["retries"].as_u64(), Some(u64::from(report["action"] == "wrapped")));
            registry.complete(&to, "v1");
        }
        for index in 0..8 {
            reapify([
                "unwrap",
                &registry.name(&format!("copy{index}"), "v1"),
                &registry.name(&format!("copy{index}"), "v1"),
            ])
            .run()
            .succeeds();
        }
    }
}

#[test]
fn a_registry_that_stays_down_gives_exit_code_7_and_no_tag() {
    let registry = Registry::start();
    let from = source(&registry, 2);
    registry.hook(|asked| match asked.kind {
        Kind::Upload { .. } => Act::Answer(Reply::status(503).header("retry-after", "0")),
        _ => Act::Serve,
    });
    wrap(&from, &registry.name("copy", "v1")).run().exits(7).says("gave up after 3 attempts").says("503");
    assert!(registry.manifest("copy", "v1").is_none());
}

#[test]
fn does_not_repeat_a_put_that_was_committed() {
    let registry = Registry::start();
    let from = source(&registry, 1);
    let once = std::sync::atomic::AtomicBool::new(true);
    registry.hook(move |asked| match asked.kind {
        Kind::Upload { .. } if once.swap(false, std::sync::atomic::Ordering::SeqCst) => Act::ServeAndHangUp,
        _ => Act::Serve,
    });
    wraps(&registry, &from);
    let log = registry.log();
    assert_eq!(log.count(|e| e.line().starts_with("PUT /v2/copy/blobs")), 2, "{:#?}", log.lines());
    assert_eq!(log.count(|e| e.line().starts_with("HEAD")), 1, "{:#?}", log.lines());
}

#[test]
fn resumes_an_interrupted_download() {
    for ranges in [true, false] {
        let (registry, other) = (Registry::start(), Registry::start());
        registry.set(|settings| settings.ranges = ranges);
        let content = noise(300_000);
        let image = Image::new().layer(&[file("big", &content)]);
        let from = image.in_registry(&registry, "app", "v1");
        let broken = std::sync::atomic::AtomicUsize::new(0);
        registry.hook(move |asked| {
            let is_layer = matches!(asked.kind, Kind::Blob { .. }) && asked.is_read();
            match is_layer && broken.fetch_add(1, std::sync::atomic::Ordering::SeqCst) < 3 {
                true => Act::alter(|reply| reply.cut_at(100_000)),
                false => Act::Serve,
            }
        });
        let report = wrap(&from, &other.name("copy", "v1")).run().succeeds().json();
        other.complete("copy", "v1");
        assert!(report["stats"]["retries"].as_u64() >= Some(1));
        let ranged = registry.log().count(|e| e.asked.header("range").starts_with("bytes=")) > 0;
        assert!(ranged, "it asks for the rest");
    }
}

#[test]
fn detects_truncated_and_wrong_bodies() {
    type Change = fn(Reply) -> Reply;
    let cases: Vec<(&str, Change, i32)> = vec![
        (
            "shorter than declared",
            |r| {
                let b = r.body.slice(..r.body.len() - 1);
                r.body(b)
            },
            6,
        ),
        (
            "longer than declared",
            |r| {
                let b = [&r.body[..], b"x"].concat();
                r.body(b)
            },
            6,
        ),
        (
            "other bytes",
            |r| {
                let b = vec![b'x'; r.body.len()];
                r.body(b)
            },
            6,
        ),
        ("a web page", |_| Reply::html(200), 6),
    ];
    for (what, change, code) in cases {
        let (registry, other) = (Registry::start(), Registry::start());
        let from = source(&registry, 1);
        registry.hook(move |asked| match matches!(asked.kind, Kind::Blob { .. }) && asked.is_read() {
            true => Act::alter(change),
            false => Act::Serve,
        });
        let outcome = wrap(&from, &other.name("copy", "v1")).run();
        assert_eq!(outcome.code(), code, "{what}: {}", outcome.text());
        assert!(other.manifest("copy", "v1").is_none(), "{what}");
        assert_eq!(other.open_uploads(), 0, "{what}: uploads are cancelled");
    }
}

#[test]
fn rejects_a_web_page_or_a_wrong_digest_for_a_manifest() {
    let registry = Registry::start();
    let from = source(&registry, 1);
    for (change, code, phrase) in [
        ((|_| Reply::html(200)) as fn(Reply) -> Reply, 7, "web page"),
        (
            |r| {
                r.header(
                    "docker-content-digest",
                    "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
                )
            },
            6,
            "digest",
        ),
        (|r| r.body("{"), 6, "digest"),
        (|r| r.without_header("docker-content-digest").body("{"), 5, "malformed"),
    ] {
        registry.behave();
        registry.hook(move |asked| match &asked.kind {
            Kind::Manifest { repository, .. } if repository == "app" => Act::alter(change),
            _ => Act::Serve,
        });
        wrap(&from, &registry.name("copy", "v1")).run().exits(code).says(phrase);
        assert!(registry.manifest("copy", "v1").is_none());
    }
}

#[test]
fn accepts_registries_that_omit_headers() {
    let registry = Registry::start();
    registry.set(|settings| settings.content_digest = false);
    let from = source(&registry, 2);
    registry.hook(|asked| match asked.writes_manifest() {
        true => Act::alter(|reply| reply.without_header("location").without_header("docker-content-digest")),
        false => Act::Serve,
    });
    wraps(&registry, &from);
}

#[test]
fn one_token_covers_all_scopes_with_the_destination_first() {
    let registry = Registry::start();
    let from = source(&registry, 5);
    registry.set(|s| s.auth = Auth::Bearer(Bearer::new("ann", "s3cret")));
    let home = r#"{"auths":{"HOST":{"auth":"YW5uOnMzY3JldA=="}}}"#.replace("HOST", &registry.host());
    wrap(&from, &registry.name("copy", "v1")).home_file(".docker/config.json", &home).run().succeeds();
    registry.complete("copy", "v1");
    let tokens: Vec<String> = registry.log().lines().into_iter().filter(|l| l.contains("/token")).collect();
    assert_eq!(tokens.len(), 1, "{tokens:#?}");
    let line = &tokens[0];
    let place = |s: &str| line.find(s).unwrap_or_else(|| panic!("{s} in {line}"));
    assert!(place("copy") < place("app"), "{line}");
    assert!(line.contains("push"), "{line}");
    // Two 401s at the start, one token, and the same requests as without authentication.
    assert!(registry.log().len() <= 13 + 3, "{:#?}", registry.log().lines());
}

#[test]
fn renews_a_token_that_expires_at_any_moment() {
    for index in 0..20 {
        let (registry, other) = (Registry::start(), Registry::start());
        let from = source(&registry, 2);
        for server in [&registry, &other] {
            let bearer = Bearer {
                says_access_token: index % 2 == 0,
                says_expires_in: None,
                ..Bearer::new("ann", "s3cret")
            };
            server.set(|s| s.auth = Auth::Bearer(bearer));
            let challenge = format!(r#"Bearer realm="http://{}/token",service="test""#, server.host());
            let refusal = Reply::error(401, "UNAUTHORIZED", "expired").header("www-authenticate", &challenge);
            // The first responses are 401 anyway; each request is repeated once.
            server.hook(move |asked| {
                match asked.index == index && asked.headers.contains_key("authorization") {
                    true if asked.kind != Kind::Token => Act::Answer(refusal.clone()),
                    _ => Act::Serve,
                }
            });
        }
        reapify(["wrap", "--src-creds", "ann:s3cret", "--dest-creds", "ann:s3cret", "--retries", "0"])
            .args([&from, &other.name("copy", "v1")])
            .run()
            .succeeds();
        other.complete("copy", "v1");
    }
}

#[test]
fn exchanges_identity_tokens_for_access_tokens() {
    let registry = Registry::start();
    let from = source(&registry, 1);
    let bearer = Bearer { identity_token: Some("1d".into()), ..Bearer::new("ann", "s3cret") };
    registry.set(|s| s.auth = Auth::Bearer(bearer));
    let home = r#"{"auths":{"HOST":{"identitytoken":"1d"}}}"#.replace("HOST", &registry.host());
    wrap(&from, &registry.name("copy", "v1")).home_file(".docker/config.json", &home).run().succeeds();
}

#[test]
fn wrong_credentials_give_exit_code_4_and_are_never_shown() {
    let registry = Registry::start();
    let from = source(&registry, 1);
    for auth in [
        Auth::Basic { user: "ann".into(), password: "s3cret".into() },
        Auth::Bearer(Bearer::new("ann", "s3cret")),
    ] {
        registry.set(|s| s.auth = auth);
        for credentials in [vec![], vec!["--src-creds", "ann:wr0ng", "--dest-creds", "ann:wr0ng"]] {
            let outcome =
                reapify(["wrap", "-vvv"]).args(credentials).args([&from, &registry.name("copy", "v1")]).run();
            outcome.exits(4).never_says("wr0ng").never_says("d3IwbmcK").says("docker login");
        }
        reapify(["wrap", "-vvv", "--src-creds", "ann:s3cret", "--dest-creds", "ann:s3cret"])
            .args([&from, &registry.name("copy", "v1")])
            .run()
            .succeeds()
            .never_says("s3cret")
            .never_says("YW5uOnMzY3JldA");
    }
}

#[test]
fn uses_another_upload_method_if_the_registry_requires_it() {
    let (registry, other) = (Registry::start(), Registry::start());
    let content = noise(3_500_000);
    let from = Image::new().layer(&[file("big", &content)]).in_registry(&registry, "app", "v1");
    // If PUT with a body is refused, one PATCH is used, and for the next blobs from the start.
    other.hook(|asked| {
        let has_body = asked.header("content-length") != "0";
        match asked.kind {
            Kind::Upload { .. } if asked.method == "PUT" && has_body => Act::Answer(Reply::status(405)),
            _ => Act::Serve,
        }
    });
    wrap(&from, &other.name("copy", "v1")).run().succeeds();
    other.complete("copy", "v1");
    assert_eq!(other.open_uploads(), 0);
    other.behave();
    other.clear_log();
    wrap(&from, &other.name("chunked", "v1")).args(["--upload", "chunks:1"]).run().succeeds();
    other.complete("chunked", "v1");
    assert!(other.log().count(|e| e.line().starts_with("PATCH")) >= 6, "{:#?}", other.log().lines());
}

#[test]
fn reports_an_immutable_tag() {
    let registry = Registry::start();
    let from = source(&registry, 1);
    registry.hook(|asked| match asked.writes_manifest() {
        true => Act::Answer(Reply::error(409, "TAG_INVALID", "tag is immutable")),
        false => Act::Serve,
    });
    wrap(&from, &registry.name("copy", "v1")).run().exits(4).says("the tag v1 is immutable");
}

#[test]
fn an_interrupt_cancels_open_uploads() {
    let registry = Registry::start();
    let from = source(&registry, 2);
    registry.hook(|asked| match (&asked.kind, asked.method.as_str()) {
        (Kind::Upload { .. }, "PUT") => Act::Stall,
        _ => Act::Serve,
    });
    for (signal, code) in [("INT", 130), ("TERM", 143)] {
        registry.clear_log();
        let mut running = wrap(&from, &registry.name("copy", "v1")).start();
        // Both bodies are in transit: the responses that opened their uploads have been read.
        support::eventually(Duration::from_secs(20), "uploads are under way", || {
            match registry.log().count(|e| e.line().starts_with("PUT /v2/copy/blobs")) {
                2 => Ok(()),
                n => Err(n.to_string()),
            }
        });
        running.signal(signal);
        running.wait().exits(code).says("nothing was tagged");
        assert_eq!(registry.open_uploads(), 0);
        assert!(registry.manifest("copy", "v1").is_none());
    }
}
