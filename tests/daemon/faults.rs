//! Engines that fail: each fault has its own words and exit code, and nothing is tagged.

use crate::support::fake_engine::{Exchange, FakeEngine};
use crate::support::image::digest;
use crate::support::run::{Outcome, Run, reapify, tool};
use crate::support::{scratch, zombies};

/// What `docker save` gives for the sample, and its ID.
fn saved() -> (Vec<u8>, String) {
    let dir = scratch();
    let archive = dir.path().join("saved.tar");
    let to = format!("docker-archive:{}:app:v1", archive.display());
    tool("skopeo", ["copy", "-q", &zombies(), &to]).run().succeeds();
    let config = tool("skopeo", ["inspect", "--config", "--raw", &zombies()]).run().succeeds();
    (std::fs::read(archive).unwrap(), digest(&config.stdout))
}

const SAVED: &str = "GET /images/docker.io/library/app:v1/json";

/// Answers what is asked about the image, and leaves the rest to `get`.
fn with_get(get: impl Fn(&mut Exchange, &[u8]) + Send + Sync + 'static) -> FakeEngine {
    let (tar, id) = saved();
    FakeEngine::start(move |exchange| match exchange.asked.as_str() {
        SAVED => exchange.answer(200, format!(r#"{{"Id":"{id}","Size":2000}}"#).as_bytes()),
        asked if asked == format!("GET /images/{id}/get") => get(exchange, &tar),
        _ => exchange.answer(404, br#"{"message":"not asked for in this test"}"#),
    })
}

/// Wraps an image of the engine into a layout, which must not come to be unless that succeeds.
fn read_from(engine: &FakeEngine, options: &[&str]) -> Outcome {
    let (dir, spool) = (scratch(), scratch());
    let layout = dir.path().join("layout");
    let outcome = reapify(["wrap", "docker-daemon:app:v1", &format!("oci:{}:v1", layout.display())])
        .args(options)
        .env("DOCKER_HOST", engine.host())
        .env("TMPDIR", spool.path())
        .run();
    assert_eq!(layout.join("index.json").exists(), outcome.code() == 0, "{outcome}");
    assert_eq!(std::fs::read_dir(spool.path()).unwrap().count(), 0, "nothing is left: {outcome}");
    outcome
}

#[test]
fn reads_a_saved_image() {
    let engine = with_get(|exchange, tar| exchange.answer(200, tar));
    read_from(&engine, &[]).succeeds();
    assert_eq!(engine.asked().len(), 2, "{:?}", engine.asked());
}

#[test]
fn rejects_invalid_answers_about_an_image() {
    for (status, body, code, said) in [
        (404, &br#"{"message":"No such image: app:v1"}"#[..], 3, "no such image"),
        (404, b"404 page not found", 7, "is not a docker engine"),
        (200, b"<html>", 7, "is not a docker engine"),
        (200, b"{}", 7, "is not a docker engine"),
        (200, br#"{"Id":"nonsense"}"#, 7, "is not a docker engine"),
        (500, br#"{"message":"the disk is on fire"}"#, 7, "the disk is on fire"),
        (403, br#"{"message":"authorization denied by plugin"}"#, 4, "denied by plugin"),
        (502, b"<html>", 7, "502"),
    ] {
        let engine = FakeEngine::start(move |exchange| exchange.answer(status, body));
        read_from(&engine, &[]).exits(code).says(said).says(&engine.host());
    }
}

#[test]
fn an_image_that_does_not_arrive_whole_is_refused() {
    type Get = Box<dyn Fn(&mut Exchange, &[u8]) + Send + Sync>;
    let head = |exchange: &mut Exchange, len: usize| {
        exchange.send(format!("HTTP/1.1 200 OK\r\nContent-Length: {len}\r\n\r\n").as_bytes());
    };
    let wait = || std::thread::sleep(std::time::Duration::from_secs(20));
    let cases: Vec<(Get, &[&str], i32, &str)> = vec![
        (
            Box::new(|exchange, _| exchange.answer(500, br#"{"message":"no space left"}"#)),
            &[],
            7,
            "no space left",
        ),
        (
            Box::new(move |exchange, tar| {
                head(exchange, tar.len());
                exchange.send(&tar[..tar.len() / 2]);
            }),
            &[],
            7,
            "the docker engine at",
        ),
        (Box::new(|exchange, tar| exchange.answer(200, &tar[..tar.len() / 2])), &[], 5, "truncated"),
        (Box::new(|exchange, _| exchange.answer(200, b"")), &[], 5, "empty"),
        (Box::new(|exchange, _| exchange.answer(200, &[b'x'; 5000])), &[], 5, "malformed"),
        (
            Box::new(move |exchange, tar| {
                head(exchange, tar.len());
                exchange.send(&tar[..1000]);
                wait();
            }),
            &["--timeout", "1"],
            7,
            "no answer for 1 s",
        ),
        (Box::new(move |_, _| wait()), &["--commit-timeout", "1"], 7, "no answer for 1 s"),
        (
            Box::new(|exchange, tar| {
                // A byte of a layer: the member that comes first.
                let mut tar = tar.to_vec();
                tar[600] ^= 1;
                exchange.answer(200, &tar);
            }),
            &[],
            6,
            "mismatch",
        ),
    ];
    for (get, options, code, said) in cases {
        let engine = with_get(get);
        read_from(&engine, options).exits(code).says(said);
    }
}

#[test]
fn rejects_an_image_that_was_not_asked_for() {
    let (tar, _) = saved();
    let id = digest(b"another");
    let engine = FakeEngine::start(move |exchange| match exchange.asked.as_str() {
        SAVED => exchange.answer(200, format!(r#"{{"Id":"{id}","Size":2000}}"#).as_bytes()),
        _ => exchange.answer(200, &tar),
    });
    read_from(&engine, &[]).exits(3).says("no such image");
}

/// Wraps the sample into the engine.
fn write_to(engine: &FakeEngine) -> Run {
    reapify(["wrap", "--timeout", "2", "--commit-timeout", "2", &zombies(), "docker-daemon:app:v1"])
        .env("DOCKER_HOST", engine.host())
}

/// An engine that lacks the image, and does this when it is to load one.
fn loading(load: impl Fn(&mut Exchange) + Send + Sync + 'static) -> FakeEngine {
    FakeEngine::start(move |exchange| match exchange.asked.as_str() {
        "POST /images/load" => load(exchange),
        _ => exchange.answer(404, br#"{"message":"No such image: app:v1"}"#),
    })
}

#[test]
fn an_error_in_the_answer_to_a_load_is_found_whatever_the_status() {
    let progress = "{\"status\":\"Loading layer\",\"id\":\"1\"}\r\n";
    let error = "{\"errorDetail\":{\"message\":\"no space left\"},\"error\":\"no space left\"}\r\n";
    for (status, body, said) in [
        (200, error.to_owned(), "no space left"),
        (200, format!("{progress}{error}"), "no space left"),
        (500, r#"{"message":"unexpected EOF"}"#.to_owned(), "unexpected EOF"),
        (200, "<html>".to_owned(), "not JSON"),
    ] {
        let engine = loading(move |exchange| {
            exchange.body();
            exchange.answer(status, body.as_bytes());
        });
        write_to(&engine).run().exits(7).says(said).says(&engine.host());
    }
    // Before it has read any of the image.
    let engine = loading(move |exchange| exchange.answer(500, br#"{"message":"read-only store"}"#));
    write_to(&engine).run().exits(7).says(&engine.host());
}

#[test]
fn an_engine_that_breaks_off_or_falls_silent_is_an_error() {
    let wait = || std::thread::sleep(std::time::Duration::from_secs(20));
    let cut = loading(|_| {});
    write_to(&cut).run().exits(7).says(&cut.host());
    let deaf = loading(move |_| wait());
    write_to(&deaf).run().exits(7).says("no data sent or received for 2 s").says(&deaf.host());
    let silent = loading(move |exchange| {
        exchange.body();
        wait();
    });
    write_to(&silent).run().exits(7).says("no data sent or received for 2 s");
}

#[test]
fn fails_if_the_name_refers_to_another_image_after_loading() {
    let ok = |exchange: &mut Exchange| {
        exchange.body();
        exchange.answer(200, b"{\"stream\":\"Loaded image: app:v1\\n\"}\r\n");
    };
    let engine = loading(ok);
    write_to(&engine).run().exits(6).says("no image");
    let other = digest(b"another image");
    let id = other.clone();
    let engine = FakeEngine::start(move |exchange| match exchange.asked.as_str() {
        "POST /images/load" => ok(exchange),
        _ => exchange.answer(200, format!(r#"{{"Id":"{id}"}}"#).as_bytes()),
    });
    write_to(&engine).run().exits(6).says(&other);
}

#[test]
fn a_source_that_fails_leaves_the_engine_with_half_a_tar() {
    let ended: std::sync::Arc<std::sync::Mutex<Vec<bool>>> = std::sync::Arc::default();
    let log = ended.clone();
    let engine = loading(move |exchange| {
        let is_whole = exchange.body().is_some();
        log.lock().unwrap().push(is_whole);
        exchange.answer(500, br#"{"message":"unexpected EOF"}"#);
    });
    // A layer that is not what its digest says.
    let dir = scratch();
    let image = crate::support::image::Image::small();
    let from = image.in_layout(dir.path(), "v1");
    let layer = crate::support::image::blob_path(dir.path(), &digest(&image.blobs()[0]));
    let mut bytes = std::fs::read(&layer).unwrap();
    let last = bytes.len() - 1;
    bytes[last] ^= 1;
    std::fs::write(&layer, bytes).unwrap();
    reapify(["wrap", &from, "docker-daemon:app:v1"])
        .env("DOCKER_HOST", engine.host())
        .run()
        .exits(6)
        .says("mismatch");
    crate::support::eventually(std::time::Duration::from_secs(10), "the end of the load", || {
        let ended = ended.lock().unwrap();
        if ended[..] == [false] { Ok(()) } else { Err(format!("{ended:?}")) }
    });
}
