//! Whatever breaks at whatever moment: the destination's tag is the old image or the new one, whole (C6), and
//! the next run succeeds.

mod support;

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::channel;
use std::time::Duration;

use serde_json::{Value, json};
use support::image::{self, CONFIG, Family, Image, file};
use support::refusal::files_below;
use support::registry::{Act, Registry, Reply};
use support::run::{Run, reapify, tool};
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

    /// One retry: enough for what happens once, and the end soon for what does not.
    fn wrap(&self) -> Run {
        reapify(["wrap", "--retries", "1", "--output", "json", &self.from, &self.to])
    }

    /// The digest at the destination, whole.
    fn found(&self) -> String {
        self.registry.complete("copy", "v1")
    }

    /// Runs it again without faults.
    #[track_caller]
    fn rerun(&self, new: &str) {
        self.registry.behave();
        let report = self.wrap().run().succeeds().json();
        assert_eq!(report["digest"], new);
        assert_eq!(self.found(), new);
    }
}

/// What an undisturbed run makes of this shape, and how many requests it takes.
fn undisturbed(shape: Shape) -> (String, usize) {
    let arena = Arena::new(shape);
    let report = arena.wrap().run().succeeds().json();
    let requests = arena.registry.log().len();
    assert_eq!(report["stats"]["requests"], requests, "it counts its own requests right");
    assert_eq!(arena.found(), report["digest"]);
    assert_ne!(report["digest"], arena.old);
    (arena.found(), requests)
}

/// Each shape with each request of its undisturbed run, and the digest that run gives.
fn moments() -> Vec<(Shape, usize, String)> {
    let each = |shape| {
        let (new, requests) = undisturbed(shape);
        assert!(requests >= 8, "{shape:?} takes {requests} requests");
        (0..requests).map(move |index| (shape, index, new.clone()))
    };
    SHAPES.into_iter().flat_map(each).collect()
}

type Break = fn() -> Act;

/// The ways a request fails.
const BREAKS: [(&str, Break); 4] = [
    ("no answer", || Act::HangUp),
    ("half a request", || Act::HangUpAfter(100)),
    (DONE, || Act::ServeAndHangUp),
    ("an error", || Act::Answer(Reply::status(500))),
];

const DONE: &str = "done, but no answer";

#[test]
fn a_failure_of_any_one_request_is_made_good() {
    in_parallel(moments(), |(shape, index, new)| {
        for (when, act) in BREAKS {
            let arena = Arena::new(shape);
            arena.registry.at(index, act());
            let report = arena.wrap().run().succeeds().json();
            assert_eq!(report["digest"], new, "{shape:?}, {when}, request {index}");
            assert_eq!(arena.found(), new, "{shape:?}, {when}, request {index}");
            assert!(report["stats"]["retries"].as_u64() >= Some(1), "{when}, request {index}: {report}");
            // A session whose opening was never answered is known to the registry alone.
            let log = arena.registry.log();
            let unheard = log.count(|entry| entry.status.is_none() && entry.asked.method == "POST");
            assert!(arena.registry.open_uploads() <= unheard, "{when}, request {index}: {:#?}", log.lines());
        }
    });
}

#[test]
fn a_registry_that_goes_away_at_any_request_leaves_the_old_image_or_the_new() {
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
fn killed_at_any_request_it_leaves_the_old_image_or_the_new() {
    in_parallel(moments(), |(shape, index, new)| {
        for obeyed in [false, true] {
            let arena = Arena::new(shape);
            let (sender, reached) = channel();
            let sender = Mutex::new(sender);
            // The request it dies at is obeyed or not, and none that comes later is.
            arena.registry.hook(move |asked| match asked.index.cmp(&index) {
                std::cmp::Ordering::Less => Act::Serve,
                std::cmp::Ordering::Equal => {
                    // The test may have stopped waiting: it fails by itself then.
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

/// Kills a copy out of a registry at each of its requests; `check` looks at what is there afterwards.
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
        // Half of an answer, then silence: the most that can be half-written.
        arena.registry.hook(move |asked| match asked.index < index {
            true => Act::Serve,
            false => Act::alter(|reply| {
                let half = reply.body.len() / 2;
                reply.stall_at(half)
            }),
        });
        let dir = scratch();
        let mut running = wrap(&arena, dir.path()).start();
        support::eventually(Duration::from_secs(60), "the request comes", || {
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

/// skopeo reads every blob and compares its digest.
#[track_caller]
fn is_whole(name: &str) {
    let dir = scratch();
    tool("skopeo", ["copy", name, &format!("dir:{}", dir.path().display())]).run().succeeds();
}

#[test]
fn killed_while_writing_a_layout_it_leaves_no_half_image() {
    let name = |dir: &Path| format!("oci:{}:v1", dir.join("layout").display());
    kill_while_reading(name, |dir| is_whole(&name(dir)));
}

#[test]
fn killed_while_writing_an_archive_it_leaves_no_half_image() {
    for (transport, tag) in [("oci-archive", "v1"), ("docker-archive", "app:v1")] {
        let name = move |dir: &Path| format!("{transport}:{}:{tag}", dir.join("archive.tar").display());
        kill_while_reading(name, move |dir| is_whole(&name(dir)));
    }
}

#[test]
fn a_layout_names_whole_images_at_every_moment_of_a_write() {
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
                // One more look after the end: the result is looked at, too.
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
