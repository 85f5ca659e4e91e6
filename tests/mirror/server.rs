//! The long-running mirror: webhooks, schedules, reloads, and shutdown.

use crate::support::image::{Family, Image, digest, file};
use crate::support::index::{child, image_for, put_index};
use crate::support::registry::{Act, Asked, Entry, Kind, Registry, Reply};
use crate::support::run::{Running, reapify};
use crate::support::{eventually, scratch};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::PathBuf;
use std::time::Duration;

const SOON: Duration = Duration::from_secs(30);

fn image(text: &str) -> Image {
    Image::new().layer(&[file("app", text.as_bytes())])
}

struct Server {
    running: Option<Running>,
    address: String,
    dir: tempfile::TempDir,
}

impl Server {
    /// Starts a server that mirrors `app` of one registry to `copy` of another, with a secret for events.
    fn start(source: &Registry, target: &Registry, more: &str) -> Self {
        let dir = scratch();
        let text = config(source, target, more);
        std::fs::write(dir.path().join("regsync.yml"), text).unwrap();
        let mut server = Server { running: None, address: free_address(), dir };
        server.restart();
        server
    }

    fn restart(&mut self) {
        let run =
            reapify(["mirror", "server", "--listen", &self.address, "-c"]).arg(self.file("regsync.yml"));
        let run = run.args(["--report"]).arg(self.file("report")).env("SECRET", "s3cret");
        self.running = Some(run.within(Duration::from_secs(300)).start());
        eventually(SOON, "the server listens", || self.get("/healthz").map(drop));
    }

    fn file(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn get(&self, path: &str) -> Result<String, String> {
        self.ask(&format!("GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n"))
    }

    /// Posts an event; returns the status.
    fn post(&self, body: &str, secret: &str) -> u16 {
        self.answer(body, secret).split(' ').nth(1).and_then(|code| code.parse().ok()).unwrap_or(0)
    }

    /// Posts an event; returns the whole answer.
    fn answer(&self, body: &str, secret: &str) -> String {
        let request = format!(
            "POST /events/plain HTTP/1.1\r\nhost: x\r\nconnection: close\r\nauthorization: Bearer {secret}\r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        );
        self.ask(&request).unwrap_or_default()
    }

    fn ask(&self, request: &str) -> Result<String, String> {
        let mut stream = TcpStream::connect(&self.address).map_err(|e| e.to_string())?;
        stream.set_read_timeout(Some(SOON)).unwrap();
        stream.write_all(request.as_bytes()).map_err(|e| e.to_string())?;
        let mut text = String::new();
        stream.read_to_string(&mut text).map_err(|e| e.to_string())?;
        Ok(text)
    }

    /// Ends the server with a signal, and checks its exit code.
    fn ends(&mut self, signal: &str, code: i32) {
        let mut running = self.running.take().unwrap();
        running.signal(signal);
        running.wait().exits(code);
    }

    fn metric(&self, name: &str) -> f64 {
        let text = self.get("/metrics").unwrap();
        let line = text.lines().find(|line| line.starts_with(name));
        let line = line.unwrap_or_else(|| panic!("{name}: {text}"));
        line.rsplit(' ').next().unwrap().parse().unwrap()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Some(running) = &mut self.running {
            running.kill();
        }
    }
}

fn config(source: &Registry, target: &Registry, more: &str) -> String {
    format!(
        "version: 1\nevents: {{receivers: [{{kind: plain, secret: {{env: SECRET}}}}]}}\nsync:\n  - source: {}/app\n    target: {}/copy\n    type: repository\n{more}",
        source.host(),
        target.host()
    )
}

/// Returns a loopback address that is currently free.
fn free_address() -> String {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().to_string()
}

/// Waits until a tag of the target is the wrapped image of the source's tag.
fn becomes(source: &Registry, target: &Registry, tag: &str) {
    let alone = Registry::start();
    let wrapped = reapify(["wrap", &source.name("app", tag), &alone.name("copy", tag)]).run().succeeds();
    let expected = wrapped.digest();
    eventually(SOON, tag, || match target.manifest("copy", tag) {
        Some(stored) if stored.digest == expected => Ok(()),
        other => Err(format!("{:?} and not {expected}", other.map(|stored| stored.digest))),
    });
    target.complete("copy", tag);
}

fn event(source: &Registry, tag: &str) -> String {
    format!("{{\"image\": \"{}/app:{tag}\"}}", source.host())
}

#[test]
fn mirrors_pushes_after_the_initial_pass() {
    let (source, target) = (Registry::start(), Registry::start());
    image("old").in_registry(&source, "app", "old");
    let mut server = Server::start(&source, &target, "");
    becomes(&source, &target, "old");
    image("new").in_registry(&source, "app", "new");
    assert_eq!(server.post(&event(&source, "new"), "wrong"), 401);
    assert_eq!(server.post("nonsense", "s3cret"), 400);
    assert!(target.manifest("copy", "new").is_none());
    assert_eq!(server.post(&event(&source, "new"), "s3cret"), 202);
    becomes(&source, &target, "new");
    // Images that no entry reads are not mirrored.
    for image in ["app2:x", "other/app:x"] {
        let body = format!("{{\"image\": \"{}/{image}\"}}", source.host());
        assert_eq!(server.post(&body, "s3cret"), 200, "{image}");
    }
    assert_eq!(server.post("{\"image\": \"169.254.169.254/app:x\"}", "s3cret"), 200);
    assert!(server.get("/readyz").unwrap().starts_with("HTTP/1.1 200"));
    eventually(SOON, "the figures", || {
        let text = server.get("/metrics").unwrap();
        let known = ["action=\"wrapped\"", "requests_total{host=", "last_success_timestamp"];
        known.iter().all(|part| text.contains(part)).then_some(()).ok_or(text)
    });
    assert!(server.metric("reapify_mirror_queue_length") < 1.0);
    server.ends("TERM", 0);
}

#[test]
fn waits_for_a_pushed_digest() {
    // A result with Docker's media types does not state its source.
    for family in [Family::Oci, Family::Docker] {
        let (source, target) = (Registry::start(), Registry::start());
        image("old").family(family).in_registry(&source, "app", "v1");
        let mut server = Server::start(&source, &target, "");
        becomes(&source, &target, "v1");
        let new = image("new").family(family);
        let stored = digest(&new.manifest_bytes());
        // The event arrives before the tag moves.
        let body = format!("{{\"image\": \"{}/app:v1@{stored}\"}}", source.host());
        assert_eq!(server.post(&body, "s3cret"), 202);
        std::thread::sleep(Duration::from_millis(300));
        new.in_registry(&source, "app", "v1");
        becomes(&source, &target, "v1");
        server.ends("TERM", 0);
    }
}

#[test]
fn a_late_event_does_not_restore_an_old_image() {
    let (source, target) = (Registry::start(), Registry::start());
    let old = digest(&image("old").manifest_bytes());
    image("old").in_registry(&source, "app", "v1");
    image("new").in_registry(&source, "app", "v1");
    let mut server = Server::start(&source, &target, "");
    becomes(&source, &target, "v1");
    let expected = target.complete("copy", "v1");
    let body = format!("{{\"image\": \"{}/app:v1@{old}\"}}", source.host());
    assert_eq!(server.post(&body, "s3cret"), 202);
    // If the tag is missing, the pushed digest is used.
    let lonely = image("lonely");
    let stored = lonely.manifest_bytes();
    lonely.blobs().iter().for_each(|blob| drop(source.put_blob("app", blob)));
    source.put_manifest("app", &digest(&stored), &lonely.media_type(), &stored);
    let body = format!("{{\"image\": \"{}/app:v2@{}\"}}", source.host(), digest(&stored));
    assert_eq!(server.post(&body, "s3cret"), 202);
    eventually(SOON, "the untagged image", || match target.manifest("copy", "v2") {
        Some(_) => Ok(()),
        None => Err("not there yet".into()),
    });
    eventually(SOON, "the queue is empty", || match server.metric("reapify_mirror_queue_length") {
        0.0 => Ok(()),
        left => Err(left.to_string()),
    });
    server.ends("TERM", 0);
    assert_eq!(target.complete("copy", "v1"), expected);
}

#[test]
fn accepted_events_are_processed_before_the_end_or_after_the_next_start() {
    let (source, target) = (Registry::start(), Registry::start());
    let mut server = Server::start(&source, &target, "");
    for n in 0..40 {
        image(&n.to_string()).in_registry(&source, "app", &n.to_string());
    }
    target.set(|settings| settings.latency = Duration::from_millis(20));
    for n in 0..40 {
        assert_eq!(server.post(&event(&source, &n.to_string()), "s3cret"), 202);
        if n == 20 {
            server.ends("TERM", 0);
            for done in 0..=20 {
                target.complete("copy", &done.to_string());
            }
            server.restart();
        }
    }
    server.running.as_mut().unwrap().kill();
    server.running.take().unwrap().wait();
    assert!(target.tags("copy").keys().all(|tag| !target.complete("copy", tag).is_empty()));
    server.restart();
    for n in 0..40 {
        becomes(&source, &target, &n.to_string());
    }
    server.ends("INT", 0);
}

#[test]
fn reloads_valid_configurations_and_ignores_invalid_ones() {
    let (source, target) = (Registry::start(), Registry::start());
    image("a").in_registry(&source, "app", "a");
    let mut server = Server::start(&source, &target, "    tags: {allow: [a]}\n");
    becomes(&source, &target, "a");
    image("b").in_registry(&source, "app", "b");
    let answer = server.answer(&event(&source, "b"), "s3cret");
    assert!(answer.contains("the tag is not selected: matches no allow pattern"), "{answer}");
    // A file that is being written is empty for a moment.
    for text in ["nonsense: 1\n", ""] {
        std::fs::write(server.file("regsync.yml"), text).unwrap();
        server.running.as_mut().unwrap().signal("HUP");
        std::thread::sleep(Duration::from_millis(300));
    }
    assert_eq!(server.post(&event(&source, "b"), "s3cret"), 200, "the old configuration is in effect");
    std::fs::write(server.file("regsync.yml"), config(&source, &target, "    tags: {allow: [b]}\n")).unwrap();
    server.running.as_mut().unwrap().signal("HUP");
    becomes(&source, &target, "b");
    server.ends("TERM", 0);
}

#[test]
fn a_reload_ends_the_wait_for_more_pulls() {
    let (source, target) = (Registry::start(), Registry::start());
    image("a").in_registry(&source, "app", "a");
    source.hook(|asked| match &asked.kind {
        Kind::Manifest { .. } => Act::alter(|reply| reply.header("ratelimit-remaining", "5;w=60")),
        _ => Act::Serve,
    });
    let mut server = Server::start(&source, &target, "    ratelimit: {min: 100, retry: 5m}\n");
    eventually(SOON, "the wait", || {
        let text = server.get("/metrics").unwrap();
        text.contains("rate_limit_remaining{").then_some(()).ok_or(text)
    });
    std::thread::sleep(Duration::from_millis(300));
    assert!(target.manifest("copy", "a").is_none());
    std::fs::write(server.file("regsync.yml"), config(&source, &target, "")).unwrap();
    server.running.as_mut().unwrap().signal("HUP");
    becomes(&source, &target, "a");
    server.ends("TERM", 0);
}

#[test]
fn uploads_of_images_from_before_a_reload_are_cancelled_at_the_end() {
    let (source, target) = (Registry::start(), Registry::start());
    image("a").in_registry(&source, "app", "a");
    // The upload never ends.
    target.hook(|asked| match asked.kind {
        Kind::Upload { .. } if asked.method == "PUT" || asked.method == "PATCH" => Act::Stall,
        _ => Act::Serve,
    });
    let mut server = Server::start(&source, &target, "");
    let is_uploading = |entry: &Entry| matches!(entry.asked.kind, Kind::Upload { .. });
    eventually(SOON, "an upload", || match target.log().count(is_uploading) {
        0 => Err("none".to_owned()),
        _ => Ok(()),
    });
    std::fs::write(server.file("regsync.yml"), config(&source, &target, "    interval: 1h\n")).unwrap();
    server.running.as_mut().unwrap().signal("HUP");
    std::thread::sleep(Duration::from_millis(500));
    assert!(target.open_uploads() > 0);
    server.ends("TERM", 0);
    assert_eq!(target.open_uploads(), 0, "{:#?}", target.log().lines());
}

#[test]
fn runs_entries_at_their_intervals() {
    let (source, target) = (Registry::start(), Registry::start());
    image("a").in_registry(&source, "app", "a");
    let mut server = Server::start(&source, &target, "    interval: 1s\n");
    becomes(&source, &target, "a");
    image("b").in_registry(&source, "app", "b");
    becomes(&source, &target, "b");
    server.ends("TERM", 0);
}

#[test]
fn what_became_of_an_image_is_remembered() {
    let (source, target) = (Registry::start(), Registry::start());
    let images = ["amd64", "arm64"].map(|machine| image_for("linux", machine, "", Family::Docker));
    images.iter().for_each(|image| drop(image.in_registry(&source, "app", "image")));
    let children: Vec<_> = images.iter().zip(["amd64", "arm64"]).map(|(i, m)| child(i, "linux", m)).collect();
    put_index(&source, "app", "list", Family::Docker, &children);
    // Neither the manifest of a single image nor a Docker list names the list that it was made from.
    for (more, expected) in [("    platform: linux/arm64\n", 1), ("", 1)] {
        let mut server = Server::start(
            &source,
            &target,
            &format!("    interval: 1s\n    tags: {{allow: [list]}}\n{more}"),
        );
        eventually(SOON, "the list is wrapped", || {
            target.manifest("copy", "list").map(drop).ok_or("absent".to_owned())
        });
        eventually(SOON, "a pass is reported", || match std::fs::read_to_string(server.file("report")) {
            Ok(report) if report.contains("copy:list") => Ok(()),
            other => Err(format!("{other:?}")),
        });
        source.clear_log();
        target.clear_log();
        let requests = |registry: &Registry, method: &str| {
            let log = registry.log();
            let is_it = |asked: &&Asked| {
                asked.method == method && matches!(asked.kind, Kind::Manifest { .. } | Kind::Blob { .. })
            };
            log.entries.iter().map(|entry| &entry.asked).filter(is_it).count()
        };
        let passes = eventually(SOON, "two more passes", || match requests(&source, "HEAD") {
            n if n >= 2 => Ok(n),
            n => Err(n.to_string()),
        });
        server.ends("TERM", 0);
        assert_eq!(requests(&source, "GET"), 0, "the source is not pulled");
        assert!(requests(&target, "GET") <= (passes + 1) * expected, "{} requests", requests(&target, "GET"));
    }
}

#[test]
fn failures_of_one_image_do_not_delay_others() {
    let (source, target) = (Registry::start(), Registry::start());
    image("a").in_registry(&source, "app", "a");
    image("bad").in_registry(&source, "app", "bad");
    source.hook(|asked| match &asked.kind {
        Kind::Manifest { reference, .. } if reference == "bad" => Act::Answer(Reply::html(200)),
        _ => Act::Serve,
    });
    let mut server = Server::start(&source, &target, "");
    becomes(&source, &target, "a");
    assert_eq!(server.post(&event(&source, "bad"), "s3cret"), 202);
    image("c").in_registry(&source, "app", "c");
    assert_eq!(server.post(&event(&source, "c"), "s3cret"), 202);
    becomes(&source, &target, "c");
    eventually(SOON, "the failure is counted", || {
        let text = server.get("/metrics").unwrap();
        text.contains("action=\"failed\"").then_some(()).ok_or(text)
    });
    server.ends("TERM", 0);
}

#[test]
fn entries_that_nothing_runs_again_are_noted() {
    let (source, target) = (Registry::start(), Registry::start());
    let dir = scratch();
    let file = dir.path().join("regsync.yml");
    std::fs::write(&file, config(&source, &target, "")).unwrap();
    let server = |options: &[&str]| {
        let run = reapify(["mirror", "server", "--drain", "0", "-c"]).arg(&file).args(options);
        let mut running = run.env("SECRET", "s3cret").start();
        eventually(SOON, "the first pass", || match source.log().entries.is_empty() {
            true => Err("no request".to_owned()),
            false => Ok(()),
        });
        source.clear_log();
        running.signal("TERM");
        running.wait().exits(0)
    };
    server(&[]).says("entries with neither an interval nor a schedule: 1 of 1;");
    server(&["--listen", "localhost:0"]).never_says("SIGHUP").says("127.0.0.1:");
    let bad = reapify(["mirror", "server", "--listen", "8080", "-c"]).arg(&file).run();
    bad.exits(2).says("as in 127.0.0.1:8080 or :8080");
}
