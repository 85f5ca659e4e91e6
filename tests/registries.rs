//! Peculiarities of registries and of what lies between: storage, proxies, stalls.

mod support;

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use support::docker_registry::{DockerRegistry, Options};
use support::image::{Image, file};
use support::registry::{Act, Auth, Bearer, Kind, Location, Registry, Reply};
use support::run::{Run, reapify, tool};
use support::{scratch, zombies};

fn source(registry: &Registry) -> String {
    Image::new().layer(&[file("a", b"content")]).in_registry(registry, "app", "v1")
}

fn wrap(from: &str, to: &str) -> Run {
    reapify(["wrap", "--output", "json", "--retries", "2", from, to])
}

#[test]
fn treats_404_and_403_as_a_missing_blob() {
    for status in [404, 403] {
        let (registry, other) = (Registry::start(), Registry::start());
        let from = source(&registry);
        other.hook(move |asked| match (&asked.kind, asked.method.as_str()) {
            (Kind::Blob { .. }, "HEAD") => Act::Answer(Reply::status(status)),
            _ => Act::Serve,
        });
        wrap(&from, &other.name("copy", "v1")).run().succeeds();
        other.complete("copy", "v1");
    }
}

#[test]
fn names_a_repository_that_must_be_created_first() {
    let (registry, other) = (Registry::start(), Registry::start());
    let from = source(&registry);
    other.hook(|asked| match asked.kind {
        Kind::StartUpload { .. } => Act::Answer(Reply::error(
            404,
            "NAME_UNKNOWN",
            "The repository with name 'copy' does not exist in the registry",
        )),
        _ => Act::Serve,
    });
    wrap(&from, &other.name("copy", "v1")).run().exits(3).says("copy").says("does not exist");
    assert!(other.manifest("copy", "v1").is_none());
}

#[test]
fn an_immutable_tag_with_the_same_result_is_success() {
    let registry = Registry::start();
    let from = source(&registry);
    let first = wrap(&from, &registry.name("copy", "v1")).run().succeeds().json();
    registry.hook(|asked| match asked.writes_manifest() {
        true => Act::Answer(Reply::error(409, "TAG_INVALID", "tag is immutable")),
        false => Act::Serve,
    });
    let second = wrap(&from, &registry.name("copy", "v1")).run().succeeds().json();
    assert_eq!((&second["digest"], &second["action"]), (&first["digest"], &"unchanged".into()));
}

#[test]
fn does_not_decompress_bodies_with_a_content_encoding() {
    let (registry, other) = (Registry::start(), Registry::start());
    let from = source(&registry);
    registry.hook(|asked| match matches!(asked.kind, Kind::Blob { .. }) && asked.is_read() {
        true => Act::alter(|reply| reply.header("content-encoding", "gzip")),
        false => Act::Serve,
    });
    wrap(&from, &other.name("copy", "v1")).run().succeeds();
    other.complete("copy", "v1");
    let encodings = registry.log().count(|entry| entry.asked.headers.contains_key("accept-encoding"));
    assert_eq!(encodings, 0, "digests refer to the transferred bytes");
}

#[test]
fn uploads_to_another_host_reveal_no_secret() {
    let (registry, other, storage) = (Registry::start(), Registry::start(), Registry::start());
    let from = source(&registry);
    other.set(|s| {
        s.auth = Auth::Basic { user: "ann".into(), password: "s3cret".into() };
        s.location = Location::On(storage.host());
    });
    // The storage does not know the upload: the request matters, not the response.
    wrap(&from, &other.name("copy", "v1"))
        .args(["--dest-creds", "ann:s3cret", "-vvv"])
        .run()
        .never_says("s3cret");
    let log = storage.log();
    assert!(log.count(|e| e.line().starts_with("PUT")) > 0, "{:#?}", log.lines());
    let said = log.everything_said().to_lowercase();
    assert!(!said.contains("authorization") && !said.contains("yw5uonmzy3jlda"), "{said}");
}

#[test]
fn parses_two_challenges_and_quoted_commas() {
    let registry = Registry::start();
    let from = source(&registry);
    registry.set(|s| s.auth = Auth::Bearer(Bearer::new("ann", "s3cret")));
    let realm = format!("http://{}/token", registry.host());
    registry.hook(move |_| {
        let challenge = format!(
            r#"Basic realm="a, b", Bearer realm="{realm}",service="test",scope="repository:app:pull,push""#
        );
        Act::alter(move |reply| match reply.status.as_u16() {
            401 => reply.header("www-authenticate", &challenge),
            _ => reply,
        })
    });
    let creds = ["--src-creds", "ann:s3cret", "--dest-creds", "ann:s3cret"];
    wrap(&from, &registry.name("copy", "v1")).args(creds).run().succeeds();
    registry.complete("copy", "v1");
}

#[test]
fn many_refusals_pass_or_end_with_exit_code_7() {
    let (registry, other) = (Registry::start(), Registry::start());
    let from = source(&registry);
    let two_of_five = |asked: &support::registry::Asked| match (asked.index * 7 + asked.index / 3) % 5 {
        0 | 1 => Act::Answer(Reply::status(429).header("retry-after", "0")),
        _ => Act::Serve,
    };
    registry.hook(two_of_five);
    other.hook(two_of_five);
    reapify(["wrap", "--retries", "12", &from, &other.name("copy", "v1")]).run().succeeds();
    other.complete("copy", "v1");
    registry.hook(|_| Act::Answer(Reply::status(429).header("retry-after", "0")));
    wrap(&from, &other.name("more", "v1")).run().exits(7).says("429");
    assert!(other.manifest("more", "v1").is_none());
}

#[test]
fn resumes_a_body_cut_at_any_byte() {
    let content: Vec<u8> = (0..4000u32).flat_map(|n| n.wrapping_mul(2_654_435_761).to_be_bytes()).collect();
    let registry = Registry::start();
    let from = Image::new().layer(&[file("a", &content)]).in_registry(&registry, "app", "v1");
    let whole = tool("skopeo", ["inspect", "--raw", "--tls-verify=false", &from]).run().succeeds().json();
    let size = whole["layers"][0]["size"].as_u64().and_then(|n| usize::try_from(n).ok()).expect("a size");
    let offsets = (0..size).step_by(size / 24).chain([1, 2, size - 2, size - 1]);
    for offset in offsets {
        let other = Registry::start();
        registry.behave();
        let once = std::sync::atomic::AtomicBool::new(true);
        let layer = whole["layers"][0]["digest"].as_str().expect("a digest").to_owned();
        registry.hook(move |asked| {
            let is_layer = matches!(&asked.kind, Kind::Blob { digest, .. } if *digest == layer);
            match is_layer && asked.is_read() && once.swap(false, Ordering::SeqCst) {
                true => Act::alter(move |reply| reply.cut_at(offset)),
                false => Act::Serve,
            }
        });
        let report = wrap(&from, &other.name("copy", "v1")).run().succeeds().json();
        assert_eq!(report["stats"]["retries"], 1, "cut at {offset}");
        other.complete("copy", "v1");
    }
}

#[test]
fn reaches_storage_with_a_private_authority() {
    let storage = Options::default().tls().start();
    let ca = storage.authority().display().to_string();
    let named = format!("{}={ca}", storage.host());
    reapify(["wrap", "--ca-file", &named, &zombies(), &storage.name("storage", "v1")]).run().succeeds();
    let registry = Registry::start();
    let dir = scratch();
    // The same image, whose blobs only the storage serves.
    let host = registry.host();
    let flags = ["--src-tls-verify=false"];
    let copy =
        ["copy", "--dest-tls-verify=false", &storage.name("storage", "v1"), &registry.name("app", "v1")];
    tool("skopeo", copy).args(flags).run().succeeds();
    let to = storage.host().to_owned();
    registry.hook(move |asked| match &asked.kind {
        Kind::Blob { digest, .. } if asked.is_read() => {
            let url = format!("https://{to}/v2/storage/blobs/{digest}");
            Act::Answer(Reply::status(307).header("location", &url))
        }
        _ => Act::Serve,
    });
    let to = format!("oci:{}:x", dir.path().display());
    let unwrap = |more: &[&str]| {
        reapify(["unwrap", "--retries", "0", "--plain-http", &host, &registry.name("app", "v1"), &to])
            .args(more)
    };
    unwrap(&[]).run().exits(7).says("certificate");
    unwrap(&["--insecure", storage.host()]).run().succeeds();
    unwrap(&["--ca-file", &ca]).run().succeeds();
}

/// Starts a proxy that forwards every CONNECT to `host`, and records the requests.
fn tunnel(host: &str) -> (String, std::sync::Arc<std::sync::Mutex<Vec<String>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("an address").to_string();
    let (asked, host) = (std::sync::Arc::new(std::sync::Mutex::new(Vec::new())), host.to_owned());
    let log = asked.clone();
    std::thread::spawn(move || {
        for mut client in listener.incoming().flatten() {
            let (host, log) = (host.clone(), log.clone());
            std::thread::spawn(move || {
                let mut head = Vec::new();
                let mut byte = [0];
                while !head.ends_with(b"\r\n\r\n") && client.read(&mut byte).is_ok_and(|n| n == 1) {
                    head.push(byte[0]);
                }
                log.lock().expect("no holder panics").push(String::from_utf8_lossy(&head).into_owned());
                let Ok(server) = TcpStream::connect(&host) else { return };
                let _ = client.write_all(b"HTTP/1.1 200 Connection established\r\n\r\n");
                let (Ok(mut up), Ok(mut to)) = (client.try_clone(), server.try_clone()) else { return };
                std::thread::spawn(move || std::io::copy(&mut up, &mut to));
                let (mut from, mut down) = (server, client);
                let _ = std::io::copy(&mut from, &mut down);
            });
        }
    });
    (address, asked)
}

#[test]
fn uses_proxies_of_the_environment_except_for_loopback() {
    // Plain HTTP: the registry accepts requests like a proxy.
    let registry = Registry::start();
    source(&registry);
    let from = "docker://registry.test/app:v1";
    let dir = scratch();
    let to = format!("oci:{}:x", dir.path().display());
    let proxy = format!("http://{}", registry.host());
    let plain = || reapify(["wrap", "--retries", "0", "--plain-http", "registry.test", from, &to]);
    plain().env("HTTP_PROXY", &proxy).env("http_proxy", &proxy).run().succeeds();
    let asked = registry.log().count(|entry| entry.asked.header("host") == "registry.test");
    assert!(asked > 0, "{:#?}", registry.log().lines());
    let without = plain().env("http_proxy", &proxy).env("NO_PROXY", "registry.test");
    without.run().exits(7).says("registry.test");
    // Loopback is never accessed through a proxy.
    let direct = reapify(["wrap", &registry.name("app", "v1"), &to]).env("http_proxy", "http://127.0.0.1:1");
    direct.run().succeeds();
    // TLS: through a tunnel, which sees no credentials for the registry.
    let registry = DockerRegistry::with_user("ann", "s3cret").tls().start();
    let ca = registry.authority().display().to_string();
    let port = registry.host().rsplit(':').next().expect("a port").to_owned();
    let (proxy, asked) = tunnel(registry.host());
    let to = format!("docker://registry.test:{port}/app:v1");
    reapify(["wrap", "--ca-file", &ca, "--dest-creds", "ann:s3cret", &zombies(), &to])
        .env("https_proxy", format!("http://bob:hunter2@{proxy}"))
        .run()
        .succeeds()
        .never_says("hunter2");
    let asked = asked.lock().expect("no holder panics").concat();
    assert!(asked.contains(&format!("CONNECT registry.test:{port}")), "{asked}");
    assert!(asked.contains("Ym9iOmh1bnRlcjI="), "the proxy's own credentials: {asked}");
    assert!(!asked.contains("YW5uOnMzY3JldA=="), "{asked}");
}

#[test]
fn waits_for_a_slow_response() {
    let registry = Registry::start();
    registry.set(|settings| settings.latency = Duration::from_millis(700));
    let from = source(&registry);
    let report = wrap(&from, &registry.name("copy", "v1")).run().succeeds().json();
    assert_eq!(report["stats"]["retries"], 0);
}

#[test]
fn cancels_sessions_that_are_still_being_opened() {
    let (registry, other) = (Registry::start(), Registry::start());
    let image = Image::new().layer(&[file("a", b"content")]).layer(&[file("b", b"more")]);
    let from = image.in_registry(&registry, "app", "v1");
    for blob in image.blobs().iter().skip(1) {
        registry.remove_blob("app", &support::image::digest(blob));
    }
    // The first fails at once, when no response to the others has arrived.
    let opened = AtomicU64::new(0);
    other.hook(move |asked| match asked.kind {
        Kind::StartUpload { .. } => {
            Act::Delay(Duration::from_millis(300 * opened.fetch_add(1, Ordering::SeqCst)))
        }
        _ => Act::Serve,
    });
    wrap(&from, &other.name("copy", "v1")).run().exits(3);
    assert!(other.log().count(|e| e.line().starts_with("POST")) > 0, "{:#?}", other.log().lines());
    assert_eq!(other.open_uploads(), 0, "{:#?}", other.log().lines());
}
