//! Faults and peculiarities of registries and token servers, with the requests that must be made and the outcome.

mod support;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};
use support::image::{Image, digest, file, noise};
use support::registry::{Act, Asked, Auth, Bearer, Kind, Log, Registry, Reply};
use support::run::{Outcome, Run, reapify};
use support::{in_parallel, scratch, zombies};

fn source(registry: &Registry) -> String {
    Image::new().layer(&[file("a", b"one")]).layer(&[file("b", b"two")]).in_registry(registry, "app", "v1")
}

fn wrap(from: &str, to: &str) -> Run {
    reapify(["wrap", "--output", "json", from, to])
}

/// Returns whether a request is for a blob or an upload and has a body.
fn sends_blob(asked: &Asked) -> bool {
    let length = asked.header("content-length").parse::<u64>().unwrap_or(0);
    matches!(asked.kind, Kind::Upload { .. }) && length > 0
}

fn count(log: &Log, method: &str, text: &str) -> usize {
    log.lines().iter().filter(|line| line.starts_with(method) && line.contains(text)).count()
}

/// Wraps from one registry to another, which misbehaves according to `hook`.
fn wrap_into(hook: impl Fn(&Asked) -> Act + Send + Sync + 'static, options: &[&str]) -> (Registry, Outcome) {
    let (registry, other) = (Registry::start(), Registry::start());
    let from = source(&registry);
    other.hook(hook);
    let outcome = wrap(&from, &other.name("copy", "v1")).args(options).run();
    (other, outcome)
}

/// Starts a registry whose token server grants what `grant` returns for the requested scopes; an error is a refusal.
fn with_tokens(grant: fn(&[&str]) -> Result<String, u16>) -> Registry {
    let registry = Registry::start();
    let host = registry.host();
    registry.hook(move |asked| {
        if asked.kind == Kind::Token {
            let scopes: Vec<&str> = asked.query.get("scope").map_or("", String::as_str).split(' ').collect();
            return Act::Answer(match grant(&scopes) {
                Ok(granted) => Reply::status(200).body(format!(r#"{{"token":"{granted}"}}"#)),
                Err(status) => Reply::status(status),
            });
        }
        let Some(repository) = asked.kind.repository() else { return Act::Serve };
        let action = if asked.is_read() { "pull" } else { "push" };
        let granted = asked.header("authorization").trim_start_matches("Bearer ").to_owned();
        let allows = |repository: &str, action: &str| {
            granted.split('|').any(|scope| {
                scope
                    .strip_prefix(&format!("repository:{repository}:"))
                    .is_some_and(|actions| actions.split(',').any(|a| a == action))
            })
        };
        let from = asked.query.get("from").map_or("", String::as_str);
        if allows(repository, action) && (from.is_empty() || allows(from, "pull")) {
            return Act::Serve;
        }
        let challenge = format!(r#"Bearer realm="http://{host}/token",service="s""#);
        Act::Answer(Reply::error(401, "UNAUTHORIZED", "no").header("www-authenticate", &challenge))
    });
    registry
}

#[test]
fn requests_less_from_token_servers_that_grant_less() {
    type Grant = fn(&[&str]) -> Result<String, u16>;
    fn alone(scopes: &[&str], status: u16) -> Result<String, u16> {
        if scopes.len() == 1 { Ok(scopes[0].to_owned()) } else { Err(status) }
    }
    let grants: Vec<(&str, Grant)> = vec![
        ("the first scope", |scopes| Ok(scopes[0].to_owned())),
        ("the last scope", |scopes| Ok(scopes[scopes.len() - 1].to_owned())),
        ("one scope, else 400", |scopes| alone(scopes, 400)),
        ("one scope, else 401", |scopes| alone(scopes, 401)),
        ("one scope, else 403", |scopes| alone(scopes, 403)),
        ("all scopes", |scopes| Ok(scopes.join("|"))),
    ];
    in_parallel(grants, |(what, grant)| {
        let registry = with_tokens(grant);
        let from = source(&registry);
        let report = wrap(&from, &registry.name("copy", "v1")).run().succeeds().json();
        registry.complete("copy", "v1");
        let mounted = report["stats"]["blobs_mounted"].as_u64();
        assert_eq!(mounted, Some(if what == "all scopes" { 2 } else { 0 }), "{what}");
        assert_eq!(report["stats"]["retries"], 0, "{what}");
    });
}

#[test]
fn waits_for_a_slow_commit() {
    let delay = |asked: &Asked| match sends_blob(asked) {
        true => Act::Delay(Duration::from_millis(2500)),
        false => Act::Serve,
    };
    let (other, outcome) = wrap_into(delay, &["--timeout", "1"]);
    let report = outcome.succeeds().json();
    assert_eq!((&report["stats"]["retries"], count(&other.log(), "PUT", "/blobs/")), (&0.into(), 4));
    assert!(report["stats"]["bytes_pushed"].as_u64() > Some(10_000), "{report}");
}

#[test]
fn checks_for_a_blob_before_repeating_a_slow_commit() {
    let slow = AtomicUsize::new(0);
    let delay = move |asked: &Asked| match sends_blob(asked) && slow.fetch_add(1, Ordering::SeqCst) == 0 {
        true => Act::Delay(Duration::from_secs(5)),
        false => Act::Serve,
    };
    let (other, outcome) = wrap_into(delay, &["--commit-timeout", "2"]);
    assert_eq!(outcome.succeeds().json()["stats"]["retries"], 1);
    assert_eq!(count(&other.log(), "PUT", "/blobs/"), 4, "{:#?}", other.log().lines());
}

#[test]
fn slow_or_interrupted_responses_end_at_a_deadline() {
    let drip: fn() -> Act = || Act::alter(|reply| reply.drip(Duration::from_millis(400)));
    let cut: fn() -> Act = || Act::alter(|reply| reply.cut_at(1));
    let is_manifest: fn(&Asked) -> bool = |asked| matches!(asked.kind, Kind::Manifest { .. });
    let is_blob: fn(&Asked) -> bool = |asked| matches!(asked.kind, Kind::Blob { .. });
    let cases = [
        ("drip", is_manifest, drip),
        ("cut", is_manifest, cut),
        ("drip", is_blob, drip),
        ("cut", is_blob, cut),
    ];
    in_parallel(cases, |(what, is_bad, act)| {
        let registry = Registry::start();
        let from = source(&registry);
        registry.hook(move |asked| if is_bad(asked) { act() } else { Act::Serve });
        let dir = scratch();
        let to = format!("oci:{}:v1", dir.path().display());
        let begun = Instant::now();
        wrap(&from, &to).args(["--timeout", "1"]).run().exits(7);
        assert!(begun.elapsed() < Duration::from_secs(60), "{what}: {:?}", begun.elapsed());
    });
}

#[test]
fn uploads_a_blob_that_cannot_be_mounted() {
    in_parallel([400, 404, 405, 409, 422, 500, 502, 503, 504], |status| {
        let registry = Registry::start();
        let from = source(&registry);
        registry.hook(move |asked| match asked.query.contains_key("mount") {
            true => Act::Answer(Reply::error(status, "UNKNOWN", "internal error")),
            false => Act::Serve,
        });
        let report = wrap(&from, &registry.name("copy", "v1")).run().succeeds().json();
        assert_eq!(report["stats"]["blobs_copied"], 4, "{status}");
        let mounts = registry.log().count(|entry| entry.asked.query.contains_key("mount"));
        assert!(mounts <= 4, "{status}: {mounts} mounts for two layers");
    });
}

#[test]
fn uploads_a_blob_whose_existence_cannot_be_checked() {
    in_parallel([400, 401, 403, 404, 405, 429, 500, 501, 503], |status| {
        let refuse = move |asked: &Asked| match (asked.method.as_str(), &asked.kind) {
            ("HEAD", Kind::Blob { .. }) => Act::Answer(Reply::status(status).header("retry-after", "0")),
            _ => Act::Serve,
        };
        let (other, outcome) = wrap_into(refuse, &[]);
        assert_eq!(outcome.succeeds().json()["stats"]["blobs_copied"], 4, "{status}");
        other.complete("copy", "v1");
    });
}

#[test]
fn a_refused_put_is_replaced_by_patch_for_the_whole_run() {
    let refusals = [
        (404, "BLOB_UNKNOWN"),
        (404, "BLOB_UPLOAD_UNKNOWN"),
        (400, "BLOB_UPLOAD_INVALID"),
        (405, "UNSUPPORTED"),
        (411, ""),
        (415, "UNSUPPORTED"),
        (501, ""),
    ];
    in_parallel(refusals, |(status, code)| {
        let refused = Arc::new(AtomicUsize::new(0));
        let counter = refused.clone();
        let refuse = move |asked: &Asked| match asked.method == "PUT" && sends_blob(asked) {
            true => {
                counter.fetch_add(1, Ordering::SeqCst);
                Act::Answer(Reply::error(status, code, "no"))
            }
            false => Act::Serve,
        };
        // With one request at a time, the second blob avoids the refused method; at most one more may have started.
        let registry = Registry::start();
        let files: Vec<String> = (0..16).map(|n| format!("file {n}")).collect();
        let image = files.iter().fold(Image::new(), |image, text| image.layer(&[file("f", text.as_bytes())]));
        let from = image.in_registry(&registry, "app", "v1");
        let other = Registry::start();
        other.hook(refuse);
        wrap(&from, &other.name("copy", "v1")).args(["--retries", "0", "--jobs", "1"]).run().succeeds();
        other.complete("copy", "v1");
        assert_eq!(other.open_uploads(), 0);
        let refused = refused.load(Ordering::SeqCst);
        assert!(refused <= 3, "{status} {code}: {refused} PUTs with a body for 18 blobs");
    });
}

#[test]
fn uploads_in_chunks_that_the_registry_accepts() {
    let registry = Registry::start();
    let from = Image::new().layer(&[file("big", &noise(3 << 20))]).in_registry(&registry, "app", "v1");
    for limit in [2 << 20, 300 << 10] {
        let other = Registry::start();
        other.set(|settings| settings.max_body = limit);
        wrap(&from, &other.name("copy", "v1")).args(["--retries", "0"]).run().succeeds();
        other.complete("copy", "v1");
    }
    let other = Registry::start();
    other.set(|settings| settings.max_body = 1000);
    wrap(&from, &other.name("copy", "v1")).run().exits(7).says("413").says("--upload");
}

#[test]
fn a_registry_cannot_demand_chunks_that_take_much_memory() {
    let (registry, other) = (Registry::start(), Registry::start());
    let layer = vec![0; 65 << 20];
    let from = Image::new().raw_layer(&layer, &digest(&layer)).in_registry(&registry, "app", "v1");
    other.set(|settings| settings.min_chunk = Some(1 << 40));
    let wrap = |way: &str| wrap(&from, &other.name("copy", "v1")).args(["--upload", way]).run();
    wrap("chunks:1").exits(5).says("demands chunks of at least 1099511627776 bytes");
    wrap("put").succeeds();
}

#[test]
fn respects_minimum_chunks_and_continues_after_partial_ones() {
    let registry = Registry::start();
    let from = Image::new().layer(&[file("big", &noise(5 << 20))]).in_registry(&registry, "app", "v1");
    let other = Registry::start();
    other.set(|settings| settings.min_chunk = Some(2 << 20));
    wrap(&from, &other.name("copy", "v1")).args(["--upload", "chunks:1"]).run().succeeds();
    other.complete("copy", "v1");
    let log = other.log();
    let patches: Vec<u64> =
        log.entries.iter().filter(|e| e.asked.method == "PATCH").map(|e| e.received).collect();
    assert_eq!(patches.iter().filter(|size| **size == 2 << 20).count(), 2, "{patches:?}");
    for way in ["patch", "chunks:1"] {
        let other = Registry::start();
        other.set(|settings| settings.takes_of_patch = 700_000);
        wrap(&from, &other.name("copy", "v1")).args(["--retries", "0", "--upload", way]).run().succeeds();
        other.complete("copy", "v1");
    }
}

#[test]
fn follows_method_preserving_redirects_with_the_body() {
    let cases = ["POST", "PATCH", "PUT"].into_iter().flat_map(|m| [(m, 307), (m, 308)]);
    in_parallel(cases, |(method, status)| {
        let (registry, other) = (Registry::start(), Registry::start());
        let from = source(&registry);
        other.hook(move |asked| {
            let is_old = asked.method == method && !asked.query.contains_key("moved");
            let separator = if asked.query_text.is_empty() { '?' } else { '&' };
            let query =
                if asked.query_text.is_empty() { String::new() } else { format!("?{}", asked.query_text) };
            match is_old {
                true => Act::Answer(
                    Reply::status(status)
                        .header("location", &format!("{}{query}{separator}moved=1", asked.path)),
                ),
                false => Act::Serve,
            }
        });
        let way = if method == "PATCH" { "patch" } else { "put" };
        let outcome = wrap(&from, &other.name("copy", "v1")).args(["--retries", "0", "--upload", way]).run();
        outcome.succeeds();
        other.complete("copy", "v1");
    });
}

#[test]
fn sends_a_blob_again_after_a_conflicting_upload() {
    let spoiled = AtomicUsize::new(0);
    let spoil = move |asked: &Asked| match sends_blob(asked) && spoiled.fetch_add(1, Ordering::SeqCst) == 0 {
        true => Act::Answer(Reply::error(400, "DIGEST_INVALID", "provided digest did not match")),
        false => Act::Serve,
    };
    let (other, outcome) = wrap_into(spoil, &[]);
    outcome.succeeds();
    other.complete("copy", "v1");
}

#[test]
fn recognises_immutable_tags_by_status_code_or_message() {
    let refusals = [
        (400, "TAG_INVALID", "no"),
        (400, "TAG_IMMUTABLE", "no"),
        (403, "DENIED", "tag is immutable"),
        (403, "DENIED", "the tag already exists and cannot be overwritten"),
        (409, "CONFLICT", "no"),
        (412, "PRECONDITION", "no"),
    ];
    in_parallel(refusals, |(status, code, words)| {
        let registry = Registry::start();
        let from = source(&registry);
        registry.hook(move |asked| match asked.writes_manifest() {
            true => Act::Answer(Reply::error(status, code, words)),
            false => Act::Serve,
        });
        wrap(&from, &registry.name("copy", "v1")).run().exits(4).says("the tag v1 is immutable");
    });
}

#[test]
fn does_not_move_a_tag_that_already_has_the_result() {
    let registry = Registry::start();
    let from = source(&registry);
    let digest = wrap(&from, &registry.name("done", "v1")).run().succeeds().json()["digest"].clone();
    let stored = registry.manifest("done", "v1").expect("a manifest");
    // Another process writes the same tag between our check and our PUT.
    let (other, outcome) = {
        let other = Registry::start();
        let shared = Arc::new(other);
        let hooked = shared.clone();
        shared.hook(move |asked| match (&asked.kind, asked.writes_manifest()) {
            (_, true) => Act::Answer(Reply::error(409, "CONFLICT", "tag exists")),
            (Kind::Manifest { .. }, false) if asked.method == "HEAD" => {
                Act::Answer(Reply::status(200).header("docker-content-digest", &stored.digest))
            }
            _ => Act::Serve,
        });
        let outcome = wrap(&from, &hooked.name("copy", "v1")).run();
        (hooked, outcome)
    };
    assert_eq!(outcome.succeeds().json()["digest"], digest);
    assert!(other.log().count(|entry| entry.asked.writes_manifest()) == 1);
}

#[test]
fn retry_after_delays_all_requests_to_the_host() {
    let registry = Registry::start();
    let mut image = Image::new();
    for layer in ["a", "b", "c", "d", "e", "f"] {
        image = image.layer(&[file(layer, layer.as_bytes())]);
    }
    let from = image.in_registry(&registry, "app", "v1");
    let other = Registry::start();
    let refused = AtomicUsize::new(0);
    other.hook(move |asked| match &asked.kind {
        Kind::StartUpload { .. } if refused.fetch_add(1, Ordering::SeqCst) == 3 => {
            Act::Answer(Reply::status(429).header("retry-after", "2"))
        }
        _ => Act::Serve,
    });
    wrap(&from, &other.name("copy", "v1")).args(["--jobs", "2"]).run().succeeds();
    let log = other.log();
    let refusal = log.entries.iter().find(|e| e.status.is_some_and(|s| s == 429)).expect("a refusal");
    let refused_at = refusal.ended.expect("an answer");
    let early = |entry: &&support::registry::Entry| {
        // The response may still be in transit when the next request is sent.
        entry.began > refused_at + Duration::from_millis(200)
            && entry.began < refused_at + Duration::from_millis(1800)
    };
    assert_eq!(log.entries.iter().filter(early).count(), 0, "{:#?}", log.lines());
}

#[test]
fn jobs_limit_downloads_and_uploads() {
    let mut image = Image::new();
    for layer in ["a", "b", "c", "d", "e", "f", "g", "h"] {
        image = image.layer(&[file(layer, layer.as_bytes())]);
    }
    for jobs in [1, 2, 4] {
        let (registry, other) = (Registry::start(), Registry::start());
        let from = image.in_registry(&registry, "app", "v1");
        for registry in [&registry, &other] {
            registry.set(|settings| settings.latency = Duration::from_millis(20));
        }
        wrap(&from, &other.name("copy", "v1")).args(["--jobs", &jobs.to_string()]).run().succeeds();
        let most = (registry.log().most_at_once(), other.log().most_at_once());
        assert!(most.0 <= jobs && most.1 <= jobs, "--jobs {jobs}: {most:?}");
    }
}

#[test]
fn tries_a_refused_connection_twice() {
    let begun = Instant::now();
    let outcome = reapify(["wrap", &zombies(), "127.0.0.1:1/copy:v1"]).run().exits(7).says("127.0.0.1:1");
    assert!(begun.elapsed() < Duration::from_secs(5), "{outcome}");
    let warnings = outcome.stderr.lines().filter(|line| line.contains("retrying")).count();
    assert_eq!(warnings, 1, "each cause is reported once: {outcome}");
}

#[test]
fn reads_all_pages_of_referrers() {
    let registry = Registry::start();
    source(&registry);
    registry.hook(|asked| {
        let Kind::Referrers { .. } = asked.kind else { return Act::Serve };
        let page = asked.query.get("page").map_or(1, |page| page.parse::<u32>().unwrap_or(1));
        let digest = format!("sha256:{page:064}");
        let body = format!(
            r#"{{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","manifests":[{{"mediaType":"application/vnd.oci.image.manifest.v1+json","digest":"{digest}","size":1,"artifactType":"application/x.page{page}"}}]}}"#
        );
        let reply = Reply::status(200).header("content-type", "application/vnd.oci.image.index.v1+json").body(body);
        let next = format!("<{}?page={}>; rel=\"next\"", asked.path, page + 1);
        Act::Answer(if page < 3 { reply.header("link", &next) } else { reply })
    });
    let outcome = reapify(["inspect", &registry.name("app", "v1")]).run().succeeds();
    for page in ["page1", "page2", "page3"] {
        assert!(String::from_utf8_lossy(&outcome.stdout).contains(page), "{outcome}");
    }
}

#[test]
fn does_not_overwrite_an_unreadable_list_of_referrers() {
    let registry = Registry::start();
    let from = source(&registry);
    registry.hook(|asked| match &asked.kind {
        Kind::Manifest { reference, .. } if reference.starts_with("sha256-") && asked.method == "GET" => {
            Act::Answer(Reply::status(200).body("not an index"))
        }
        _ => Act::Serve,
    });
    wrap(&from, &registry.name("copy", "v1")).args(["--provenance"]).run().exits(5);
    let log = registry.log();
    assert_eq!(
        log.count(|e| e.asked.writes_manifest() && e.asked.path.contains("/sha256-")),
        0,
        "{:#?}",
        log.lines()
    );
    registry.complete("copy", "v1");
}

#[test]
fn requests_a_challenge_from_the_root_once() {
    let registry = Registry::start();
    let from = Image::new().layer(&[file("app", b"program")]).in_registry(&registry, "app", "v1");
    let auths = [
        Auth::Basic { user: "joe".into(), password: "s3cret".into() },
        Auth::Bearer(Bearer::new("joe", "s3cret")),
    ];
    for auth in auths {
        let other = Registry::start();
        other.set(|settings| settings.auth = auth);
        other.hook(|asked| {
            let is_silent = !asked.headers.contains_key("authorization");
            match asked.kind {
                Kind::Ping | Kind::Token => Act::Serve,
                _ if is_silent => Act::Answer(Reply::error(401, "UNAUTHORIZED", "log in")),
                _ => Act::Serve,
            }
        });
        let to = other.name("copy", "v1");
        wrap(&from, &to).args(["--retries", "0", "--dest-creds", "joe:s3cret"]).run().succeeds();
        other.complete("copy", "v1");
        assert_eq!(other.log().count(|entry| entry.asked.kind == Kind::Ping), 1);
        // Without credentials, the run ends with an error.
        wrap(&from, &to).args(["--retries", "0"]).run().exits(4);
    }
}
