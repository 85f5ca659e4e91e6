//! A real registry that notifies the mirror of every push.

use crate::support::docker_registry::{DockerRegistry, Options};
use crate::support::image::{Image, file};
use crate::support::registry::Registry;
use crate::support::run::{Running, reapify};
use crate::support::{eventually, in_parallel, scratch};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

/// The number of images that are pushed in a burst.
const BURST: usize = 500;
const SOON: Duration = Duration::from_secs(120);

fn free_address() -> String {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().to_string()
}

/// Starts a registry that posts its notifications to an address.
fn notifying(address: &str) -> DockerRegistry {
    let endpoint = format!(
        "notifications:\n  endpoints:\n    - name: mirror\n      url: http://{address}/events/distribution\n      \
         headers: {{Authorization: [Bearer s3cret]}}\n      timeout: 5s\n      threshold: 3\n      backoff: 200ms\n"
    );
    Options::default().more(&endpoint).start()
}

fn start(address: &str, config: &std::path::Path) -> Running {
    let run = reapify(["mirror", "server", "--listen", address, "-c"]).arg(config);
    let running = run.env("SECRET", "s3cret").within(Duration::from_secs(400)).start();
    eventually(SOON, "the server listens", || {
        TcpStream::connect(address).map(drop).map_err(|e| e.to_string())
    });
    running
}

/// Sends one request over a new connection, because starting programs is too slow for hundreds. Returns the head of
/// the response.
fn ask(host: &str, request: &str, body: &[u8]) -> String {
    let mut stream = TcpStream::connect(host).expect("the registry listens");
    stream.set_read_timeout(Some(SOON)).unwrap();
    let head =
        format!("{request}host: {host}\r\nconnection: close\r\ncontent-length: {}\r\n\r\n", body.len());
    stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(body)).expect("the registry reads");
    let mut text = String::new();
    stream.read_to_string(&mut text).expect("the registry answers");
    text
}

fn put_manifest(host: &str, image: &Image, tag: &str) {
    let request = format!("PUT /v2/app/manifests/{tag} HTTP/1.1\r\ncontent-type: {}\r\n", image.media_type());
    let answer = ask(host, &request, &image.manifest_bytes());
    assert!(answer.starts_with("HTTP/1.1 201"), "{tag}: {answer}");
}

fn digest(host: &str, tag: &str) -> Option<String> {
    let accept = "accept: application/vnd.oci.image.manifest.v1+json\r\n";
    let head = ask(host, &format!("HEAD /v2/copy/manifests/{tag} HTTP/1.1\r\n{accept}"), b"");
    head.lines().find_map(|line| line.strip_prefix("Docker-Content-Digest: ")).map(|d| d.trim().to_owned())
}

#[test]
fn mirrors_every_push_of_a_burst_although_the_server_is_restarted() {
    let address = free_address();
    let registry = notifying(&address);
    let image = Image::new().layer(&[file("app", b"content")]);
    let dir = scratch();
    registry.push(&image.in_layout(dir.path(), "first"), "app", "first");
    let config = dir.path().join("regsync.yml");
    let host = registry.host();
    std::fs::write(
        &config,
        format!(
            "version: 1\nevents: {{receivers: [{{kind: distribution, secret: {{env: SECRET}}}}]}}\nsync:\n  - {{source: {host}/app, target: {host}/copy, type: repository}}\n"
        ),
    )
    .unwrap();
    let mut server = Some(start(&address, &config));
    let alone = Registry::start();
    let wrapped = reapify(["wrap", &registry.name("app", "first"), &alone.name("copy", "first")]).run();
    let expected = wrapped.succeeds().digest();
    let is_there = |tag: &str| match digest(host, tag) {
        Some(found) if found == expected => Ok(()),
        other => Err(format!("{tag}: {other:?}")),
    };
    eventually(SOON, "the pass at the start", || is_there("first"));

    let tags: Vec<String> = (0..BURST).map(|n| format!("t{n}")).collect();
    std::thread::scope(|scope| {
        let pushing = scope.spawn(|| {
            in_parallel(tags.chunks(BURST / 2), |half| {
                half.iter().for_each(|tag| put_manifest(host, &image, tag));
            })
        });
        for signal in ["TERM", "KILL"] {
            std::thread::sleep(Duration::from_millis(700));
            let mut running = server.take().expect("it was started");
            running.signal(signal);
            let _ended = running.wait();
            server = Some(start(&address, &config));
        }
        pushing.join().expect("every push succeeds");
    });
    // The pass of the last start finds the pushes that were announced before it; events announce the later ones.
    for tag in &tags {
        eventually(SOON, tag, || is_there(tag));
    }
    let mut running = server.take().expect("it was started");
    running.signal("TERM");
    running.wait().exits(0);
}
