//! Cut off at any moment, the destination is the old image or the new one, and a rerun makes it the new one.

mod support;

use support::image::{Image, file};
use support::registry::{Act, Registry, Reply};
use support::run::reapify;

/// An old image at the destination, and another one to be wrapped over it.
fn scene() -> (Registry, String, String, [String; 2]) {
    let registry = Registry::start();
    let from = Image::small().layer(&[file("more", b"x")]).in_registry(&registry, "app", "v1");
    let old = Image::small();
    let new = reapify(["wrap", &from, &registry.name("probe", "v1")]).run().succeeds().digest();
    let to = old.in_registry(&registry, "copy", "v1");
    registry.clear_log();
    (registry, from, to, [old.digest(), new])
}

/// How many requests a run makes when nothing goes wrong.
fn requests() -> usize {
    let (registry, from, to, _) = scene();
    reapify(["wrap", &from, &to]).run().succeeds();
    registry.log().len()
}

type Fault = fn() -> Act;

#[test]
fn a_fault_at_any_request_leaves_the_tag_old_or_new() {
    let faults: [(&str, Fault); 4] = [
        ("no answer", || Act::HangUp),
        ("done, but no answer", || Act::ServeAndHangUp),
        ("half a body", || Act::HangUpAfter(10)),
        ("error", || Act::Answer(Reply::status(500))),
    ];
    for index in 0..requests() {
        for (what, fault) in faults {
            let (registry, from, to, [old, new]) = scene();
            registry.at(index, fault());
            let outcome = reapify(["wrap", "--retries", "0", &from, &to]).run();
            let found = registry.complete("copy", "v1");
            match outcome.code() {
                0 => assert_eq!(found, new, "{what} at {index}"),
                7 => assert!(
                    found == old || (found == new && what == "done, but no answer"),
                    "{what} at {index}: {found}"
                ),
                code => panic!("{what} at {index}: exit {code}\n{outcome}"),
            }
            // Retried, it succeeds; so does a second run.
            registry.behave();
            reapify(["wrap", &from, &to]).run().succeeds();
            assert_eq!(registry.complete("copy", "v1"), new, "{what} at {index}");
        }
    }
}

#[test]
fn a_fault_at_any_request_is_survived_with_a_retry() {
    for index in 0..requests() {
        for fault in [(|| Act::HangUp) as Fault, || Act::ServeAndHangUp] {
            let (registry, from, to, [_, new]) = scene();
            registry.at(index, fault());
            reapify(["wrap", "--retries", "2", &from, &to]).run().succeeds();
            assert_eq!(registry.complete("copy", "v1"), new, "at {index}");
            // A session whose opening was never answered is known to the registry alone.
            let unheard = registry.log().count(|e| e.status.is_none() && e.line().starts_with("POST"));
            assert!(registry.open_uploads() <= unheard, "at {index}: {:#?}", registry.log().lines());
        }
    }
}

#[test]
fn killed_at_any_request_the_tag_is_old_or_new() {
    for index in 0..requests() {
        let (registry, from, to, [old, new]) = scene();
        registry.at(index, Act::Stall);
        let mut running = reapify(["wrap", &from, &to]).start();
        support::eventually(std::time::Duration::from_secs(30), "the request that gets no answer", || {
            if registry.log().len() > index { Ok(()) } else { Err(format!("{:?}", registry.log().lines())) }
        });
        running.kill();
        let _ = running.wait();
        registry.behave();
        let found = registry.complete("copy", "v1");
        assert!(found == old || found == new, "killed at {index}: {found}");
        reapify(["wrap", &from, &to]).run().succeeds();
        assert_eq!(registry.complete("copy", "v1"), new);
    }
}
