//! Failures and interruptions at every moment: the destination's tag refers to the complete old image or the complete
//! new one, and the next run succeeds.

mod support;

use std::collections::BTreeSet;
use std::io::Write as _;
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::channel;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use support::image::{self, CONFIG, Family, Image, file, noise};
use support::refusal::files_below;
use support::registry::{Act, Auth, Bearer, Kind, Registry, Reply};
use support::run::{Outcome, Run, Running, reapify, tool};
use support::{in_parallel, scratch};

/// A registry with a source, and with an older image at the destination.
struct Arena {
    registry: Registry,
    from: String,
    to: String,
    old: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Shape {
    Image,
    Index,
}

const SHAPES: [Shape; 2] = [Shape::Image, Shape::Index];

fn image_for(architecture: &str) -> Image {
    let content = [file("app", architecture.as_bytes())];
    let image = Image::new().layer(&[file("base", b"base")]).layer(&content);
    image.config(&CONFIG.replace("amd64", architecture))
}

impl Arena {
    fn new(shape: Shape) -> Self {
        let registry = Registry::start();
        let old = Image::small();
        let to = old.in_registry(&registry, "copy", "v1");
        let images = ["amd64", "arm64"].map(image_for);
        let from = images[0].in_registry(&registry, "app", "v1");
        if shape == Shape::Index {
            images[1].in_registry(&registry, "app", "other");
            let children = images.each_ref().map(Image::descriptor);
            let media_type = Family::Oci.index();
            let index = json!({"schemaVersion": 2, "mediaType": media_type, "manifests": children});
            registry.put_manifest("app", "v1", media_type, index.to_string().as_bytes());
        }
        Self { registry, from, to, old: old.digest() }
    }

    /// One retry: enough for a single failure, and a quick end for a permanent one.
    fn wrap(&self) -> Run {
        reapify(["wrap", "--retries", "1", "--output", "json", &self.from, &self.to])
    }

    /// Returns the digest at the destination, after checking that the image is complete.
    fn found(&self) -> String {
        self.registry.complete("copy", "v1")
    }

    /// Runs the command again without faults.
    #[track_caller]
    fn rerun(&self, new: &str) {
        self.registry.behave();
        let report = self.wrap().run().succeeds().json();
        assert_eq!(report["digest"], new);
        assert_eq!(self.found(), new);
    }
}

/// Returns the result of an undisturbed run for this shape, and its number of requests.
fn undisturbed(shape: Shape) -> (String, usize) {
    let arena = Arena::new(shape);
    let report = arena.wrap().run().succeeds().json();
    let requests = arena.registry.log().len();
    assert_eq!(report["stats"]["requests"], requests, "it counts its own requests correctly");
    assert_eq!(arena.found(), report["digest"]);
    assert_ne!(report["digest"], arena.old);
    (arena.found(), requests)
}

/// Returns each shape with each request of its undisturbed run and that run's digest.
fn moments() -> Vec<(Shape, usize, String)> {
    let each = |shape| {
        let (new, requests) = undisturbed(shape);
        assert!(requests >= 8, "{shape:?} takes {requests} requests");
        (0..requests).map(move |index| (shape, index, new.clone()))
    };
    SHAPES.into_iter().flat_map(each).collect()
}

type Break = fn() -> Act;

/// The ways in which a request fails.
const BREAKS: [(&str, Break); 4] = [
    ("no answer", || Act::HangUp),
    ("half a request", || Act::HangUpAfter(100)),
    (DONE, || Act::ServeAndHangUp),
    ("an error", || Act::Answer(Reply::status(500))),
];

const DONE: &str = "done, but no answer";

#[test]
fn retries_any_single_failed_request() {
    in_parallel(moments(), |(shape, index, new)| {
        for (when, act) in BREAKS {
            let arena = Arena::new(shape);
            arena.registry.at(index, act());
            let report = arena.wrap().run().succeeds().json();
            assert_eq!(report["digest"], new, "{shape:?}, {when}, request {index}");
            assert_eq!(arena.found(), new, "{shape:?}, {when}, request {index}");
            assert!(report["stats"]["retries"].as_u64() >= Some(1), "{when}, request {index}: {report}");
            // If the response that opened a session is lost, only the registry knows the session.
            let log = arena.registry.log();
            let unheard = log.count(|entry| entry.status.is_none() && entry.asked.method == "POST");
            assert!(arena.registry.open_uploads() <= unheard, "{when}, request {index}: {:#?}", log.lines());
        }
    });
}

#[test]
fn the_tag_is_old_or_new_if_the_registry_fails_at_any_request() {
    in_parallel(moments(), |(shape, index, new)| {
        for (when, act) in BREAKS {
            let arena = Arena::new(shape);
            arena.registry.hook(move |asked| if asked.index < index { Act::Serve } else { act() });
            arena.wrap().run().exits(7);
            let found = arena.found();
            let written = found == new && when == DONE;
            assert!(found == arena.old || written, "{shape:?}, {when}, from request {index}: {found}");
            arena.rerun(&new);
        }
    });
}

#[test]
fn the_tag_is_old_or_new_if_killed_at_any_request() {
    in_parallel(moments(), |(shape, index, new)| {
        for obeyed in [false, true] {
            let arena = Arena::new(shape);
            let (sender, reached) = channel();
            let sender = Mutex::new(sender);
            // The last request may or may not be processed; later ones are not.
            arena.registry.hook(move |asked| match asked.index.cmp(&index) {
                std::cmp::Ordering::Less => Act::Serve,
                std::cmp::Ordering::Equal => {
                    // The test may have stopped waiting and fails by itself then.
                    let _ = sender.lock().expect("sending does not panic").send(());
                    if obeyed { Act::ServeAndHangUp } else { Act::Stall }
                }
                std::cmp::Ordering::Greater => Act::Stall,
            });
            let mut running = arena.wrap().start();
            let deadline = Duration::from_secs(60);
            reached
                .recv_timeout(deadline)
                .unwrap_or_else(|_| panic!("{shape:?}: request {index} never came"));
            running.kill();
            running.wait().exits(137);
            let found = arena.found();
            assert!(found == arena.old || (obeyed && found == new), "{shape:?}, request {index}: {found}");
            arena.rerun(&new);
        }
    });
}

/// Kills a copy out of a registry at each of its requests; `check` examines the result afterwards.
fn kill_while_reading(to: impl Fn(&Path) -> String + Sync, check: impl Fn(&Path) + Sync) {
    let arena = Arena::new(Shape::Image);
    let dir = scratch();
    let wrap = |arena: &Arena, dir: &Path| reapify(["wrap", "--force", "-q", &arena.from, &to(dir)]);
    wrap(&arena, dir.path()).run().succeeds();
    check(dir.path());
    let requests = arena.registry.log().len();
    assert!(requests >= 4, "manifest, config and two layers, not {requests}");
    in_parallel(0..requests, |index| {
        let arena = Arena::new(Shape::Image);
        // Half of a response, then silence: as much as can be half-written.
        arena.registry.hook(move |asked| match asked.index < index {
            true => Act::Serve,
            false => Act::alter(|reply| {
                let half = reply.body.len() / 2;
                reply.stall_at(half)
            }),
        });
        let dir = scratch();
        let mut running = wrap(&arena, dir.path()).start();
        support::eventually(Duration::from_secs(60), "the request arrives", || {
            let answered =
                arena.registry.log().entries.get(index).is_some_and(|entry| entry.status.is_some());
            if answered { Ok(()) } else { Err(format!("{:#?}", arena.registry.log().lines())) }
        });
        running.kill();
        running.wait().exits(137);
        for path in files_below(dir.path()) {
            let name = path.file_name().expect("a file has a name").to_string_lossy().into_owned();
            assert!(!["index.json", "archive.tar"].contains(&name.as_str()), "request {index}: {path:?}");
            if name.len() == 64 {
                let bytes = std::fs::read(&path).expect("a blob");
                assert_eq!(image::digest(&bytes), format!("sha256:{name}"), "request {index}: half a blob");
            }
        }
        arena.registry.behave();
        wrap(&arena, dir.path()).run().succeeds();
        check(dir.path());
    });
}

/// Checks with skopeo, which reads every blob and compares its digest.
#[track_caller]
fn is_whole(name: &str) {
    let dir = scratch();
    tool("skopeo", ["copy", name, &format!("dir:{}", dir.path().display())]).run().succeeds();
}

#[test]
fn a_layout_has_no_partial_image_if_killed_while_writing() {
    let name = |dir: &Path| format!("oci:{}:v1", dir.join("layout").display());
    kill_while_reading(name, |dir| is_whole(&name(dir)));
}

#[test]
fn an_archive_is_not_partial_if_killed_while_writing() {
    for (transport, tag) in [("oci-archive", "v1"), ("docker-archive", "app:v1")] {
        let name = move |dir: &Path| format!("{transport}:{}:{tag}", dir.join("archive.tar").display());
        kill_while_reading(name, move |dir| is_whole(&name(dir)));
    }
}

#[test]
fn a_layout_lists_only_complete_images_during_a_write() {
    let dir = scratch();
    let to = Image::small().in_layout(dir.path(), "v1");
    let arena = Arena::new(Shape::Image);
    let other = image_for("arm64").in_registry(&arena.registry, "other", "v1");
    arena.registry.set(|settings| settings.latency = Duration::from_millis(10));
    let done = AtomicBool::new(false);
    let seen = std::thread::scope(|scope| {
        let watch = scope.spawn(|| {
            let mut seen = BTreeSet::new();
            loop {
                // Check once more after the end, so that the result is checked too.
                let last = done.load(Ordering::SeqCst);
                let bytes = image::layout_manifest(dir.path(), "v1");
                seen.insert(image::digest(&bytes));
                let manifest: Value = serde_json::from_slice(&bytes).expect("a manifest");
                let layers = manifest["layers"].as_array().expect("layers");
                for descriptor in layers.iter().chain([&manifest["config"]]) {
                    image::layout_blob(dir.path(), descriptor["digest"].as_str().expect("a digest"));
                }
                if last {
                    break seen;
                }
            }
        });
        for from in [&arena.from, &other, &arena.from, &other] {
            reapify(["wrap", "-q", from, &to]).run().succeeds();
        }
        done.store(true, Ordering::SeqCst);
        watch.join().expect("every look found a whole image")
    });
    assert!(seen.len() >= 2, "it looked while images came: {seen:?}");
}

/// Ends a hanging run and returns its outcome.
#[track_caller]
fn end(mut running: Running, signal: &str) -> Outcome {
    let begun = Instant::now();
    running.signal(signal);
    let outcome = running.wait();
    let took = begun.elapsed();
    assert!(took < Duration::from_secs(2), "{outcome}\nit took {took:?} to end");
    outcome.exits(match signal {
        "HUP" => 129,
        "INT" => 130,
        _ => 143,
    })
}

/// Waits for a request that is not answered.
#[track_caller]
fn waits_for(registry: &Registry, line: &str) {
    support::eventually(Duration::from_secs(20), line, || {
        let lines = registry.log().lines();
        if lines.iter().any(|l| l.starts_with(line)) { Ok(()) } else { Err(format!("{lines:#?}")) }
    });
}

/// Waits until a run hangs, which has no other sign.
fn let_it_hang() {
    std::thread::sleep(Duration::from_millis(500));
}

const SIGNALS: [&str; 3] = ["INT", "TERM", "HUP"];

#[test]
fn a_signal_ends_a_run_waiting_for_a_server() {
    for signal in SIGNALS {
        let arena = Arena::new(Shape::Image);
        let user = Bearer::new("ann", "s3cret");
        arena.registry.set(|settings| settings.auth = Auth::Bearer(user));
        arena.registry.hook(|asked| if asked.kind == Kind::Token { Act::Stall } else { Act::Serve });
        let running = arena.wrap().start();
        waits_for(&arena.registry, "GET /token");
        end(running, signal).says("nothing was tagged");
        let arena = Arena::new(Shape::Image);
        arena.registry.hook(|_| Act::Stall);
        for command in ["inspect", "verify"] {
            arena.registry.clear_log();
            let running = reapify([command, &arena.from]).start();
            waits_for(&arena.registry, "GET /v2/app/manifests");
            end(running, signal);
        }
        // Between two attempts too.
        arena.registry.clear_log();
        arena.registry.hook(|_| Act::Answer(Reply::status(503).header("retry-after", "50")));
        let running = arena.wrap().start();
        waits_for(&arena.registry, "GET /v2/app/manifests");
        end(running, signal).says("nothing was tagged");
    }
}

#[test]
fn a_signal_ends_a_run_waiting_for_a_helper_and_the_helper() {
    let dir = scratch();
    let (program, pid) = (dir.path().join("docker-credential-slow"), dir.path().join("pid"));
    let script = format!("#!/bin/sh\necho $$ >'{}'\nexec sleep 1000\n", pid.display());
    tool("install", ["-m", "755", "/dev/stdin", &program.display().to_string()])
        .stdin(script)
        .run()
        .succeeds();
    let path = format!("{}:{}", dir.path().display(), std::env::var("PATH").unwrap_or_default());
    for signal in SIGNALS {
        let run = reapify(["inspect", "127.0.0.1:1/app:v1"]).env("PATH", &path);
        let running = run.home_file(".docker/config.json", r#"{"credsStore":"slow"}"#).start();
        let helper = support::eventually(Duration::from_secs(20), "the helper starts", || {
            let text = std::fs::read_to_string(&pid).map_err(|e| e.to_string())?;
            text.trim().parse::<u32>().map_err(|e| e.to_string())
        });
        end(running, signal);
        support::eventually(Duration::from_secs(5), "the helper ends", || {
            let state = std::fs::read_to_string(format!("/proc/{helper}/stat")).unwrap_or_default();
            if state.is_empty() || state.contains(") Z ") { Ok(()) } else { Err(state) }
        });
        std::fs::remove_file(&pid).expect("the helper wrote it");
    }
}

#[test]
fn a_signal_ends_a_run_waiting_for_a_lock() {
    for signal in SIGNALS {
        let dir = scratch();
        let to = Image::small().in_layout(dir.path(), "v1");
        let before = image::layout_manifest(dir.path(), "v1");
        let lock = std::fs::File::open(dir.path().join("oci-layout")).expect("a layout");
        lock.lock().expect("the lock is free");
        let arena = Arena::new(Shape::Image);
        let running = reapify(["wrap", &arena.from, &to]).start();
        let_it_hang();
        let outcome = end(running, signal);
        assert!(outcome.stderr.contains("tag"), "{outcome}");
        assert_eq!(image::layout_manifest(dir.path(), "v1"), before);
        for path in files_below(dir.path()) {
            assert!(!path.to_string_lossy().contains(".reapify-"), "{path:?} is left behind");
        }
    }
}

#[test]
fn a_signal_ends_a_run_waiting_for_a_file() {
    for signal in SIGNALS {
        let dir = scratch();
        let fifo = dir.path().join("archive.tar");
        tool("mkfifo", [&fifo]).run().succeeds();
        let from = format!("oci-archive:{}", fifo.display());
        let running = reapify(["inspect", &from]).start();
        let_it_hang();
        end(running, signal);
        // A writer that sends nothing.
        let to = format!("oci-archive:{}", dir.path().join("result.tar").display());
        let running = reapify(["wrap", &from, &to]).start();
        let writer = std::fs::OpenOptions::new().write(true).open(&fifo).expect("the run reads it");
        let_it_hang();
        end(running, signal).says("nothing was tagged");
        drop(writer);
        assert_eq!(files_below(dir.path()), std::slice::from_ref(&fifo), "temporary files are removed");
        let (stdin, writer) = std::io::pipe().expect("a pipe");
        let password = ["inspect", "127.0.0.1:1/app:v1", "--src-creds", "ann", "--src-password-stdin"];
        let running = reapify(password).pipe(0, stdin).start();
        let_it_hang();
        end(running, signal);
        drop(writer);
    }
}

#[test]
fn a_signal_ends_a_run_whose_output_is_not_read() {
    let dir = scratch();
    // More than a pipe holds, even compressed.
    let from = Image::new().layer(&[file("big", &noise(1 << 20))]).in_layout(dir.path(), "v1");
    for signal in SIGNALS {
        let (_reader, stdout) = std::io::pipe().expect("a pipe");
        let running = reapify(["wrap", &from, "oci-archive:-"]).pipe(1, stdout).start();
        let_it_hang();
        end(running, signal);
        // Not even the final message can be written.
        let (_reader, stdout) = std::io::pipe().expect("a pipe");
        let (_errors, mut stderr) = std::io::pipe().expect("a pipe");
        stderr.write_all(&[b' '; 64 << 10]).expect("room for as much as a pipe holds");
        let running = reapify(["wrap", &from, "oci-archive:-"]).pipe(1, stdout).pipe(2, stderr).start();
        let_it_hang();
        end(running, signal);
    }
}

#[test]
fn a_signal_cancels_uploads_and_a_second_one_ends_the_run_at_once() {
    for signal in SIGNALS {
        let arena = Arena::new(Shape::Image);
        arena.registry.hook(|asked| match (&asked.kind, asked.method.as_str()) {
            (Kind::Upload { .. }, "PUT" | "DELETE") => Act::Stall,
            _ => Act::Serve,
        });
        let running = arena.wrap().start();
        waits_for(&arena.registry, "PUT /v2/copy/blobs");
        end(running, signal).says("nothing was tagged");
        assert_eq!(arena.found(), arena.old);
        arena.registry.clear_log();
        let mut running = arena.wrap().start();
        waits_for(&arena.registry, "PUT /v2/copy/blobs");
        running.signal("INT");
        waits_for(&arena.registry, "DELETE /v2/copy/blobs");
        let begun = Instant::now();
        end(running, signal);
        assert!(begun.elapsed() < Duration::from_millis(600), "{:?}", begun.elapsed());
    }
}

#[test]
fn an_interrupted_run_reports_whether_the_tag_moved() {
    for signal in SIGNALS {
        let arena = Arena::new(Shape::Image);
        arena.registry.hook(|asked| match (&asked.kind, asked.method.as_str()) {
            (Kind::Manifest { .. }, "PUT") => Act::Delay(Duration::from_secs(600)),
            _ => Act::Serve,
        });
        let running = arena.wrap().start();
        waits_for(&arena.registry, "PUT /v2/copy/manifests/v1");
        let_it_hang();
        end(running, signal).says(&format!("may already refer to {}", arena.found())).never_says("nothing");
        assert_ne!(arena.found(), arena.old);
        // Optional requests follow after the tag.
        let arena = Arena::new(Shape::Image);
        arena.registry.hook(|asked| match &asked.kind {
            Kind::Referrers { .. } => Act::Stall,
            _ => Act::Serve,
        });
        let running = arena.wrap().arg("-v").start();
        waits_for(&arena.registry, "GET /v2/app/referrers");
        let outcome = end(running, signal);
        outcome.says(&format!("the tag already refers to {}", arena.found())).never_says("nothing");
        assert_ne!(arena.found(), arena.old);
    }
}
