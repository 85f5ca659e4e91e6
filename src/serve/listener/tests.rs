use super::*;
use crate::serve::events::Push;
use crate::serve::intake::{Route, Wanted};
use ring::hmac;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;

const SECRET: &str = "hunter2-and-more";

/// Covers all of `h.io`, except tags that end in `-rc`.
struct Config(AtomicBool);

impl Intake for Config {
    fn route(&self, push: &Push) -> Route {
        match push.host.as_deref() {
            Some("h.io") if push.tag.ends_with("-rc") => Route::Ignored("the tag is denied".into()),
            Some("h.io") => {
                let (source, key) = (format!("h.io/{}", push.repository), format!("mirror/{}", push.name()));
                let digest = push.digest.clone();
                Route::Wanted(vec![Wanted { key, entry: 0, source, tag: push.tag.clone(), digest }])
            }
            _ => Route::Wanted(Vec::new()),
        }
    }

    fn is_ready(&self) -> bool {
        self.0.load(Ordering::SeqCst)
    }
}

struct Server {
    address: SocketAddr,
    queue: Queue,
    config: Arc<Config>,
    stop: CancellationToken,
    serving: JoinHandle<()>,
}

fn receiver(name: &str, kind: Kind, proof: Proof) -> Receiver {
    Receiver { name: name.into(), kind, proof }
}

fn plain() -> Receiver {
    receiver("scripts", Kind::Plain, Proof::bearer(SECRET).unwrap())
}

async fn server(receivers: Vec<Receiver>, limits: Limits, capacity: usize) -> Server {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (queue, stop) = (Queue::new(capacity), CancellationToken::new());
    let config = Arc::new(Config(AtomicBool::new(true)));
    let service = Service::new(receivers, limits, config.clone(), queue.clone(), Arc::default()).unwrap();
    let serving = tokio::spawn(serve(listener, Arc::new(service), stop.clone()));
    Server { address, queue, config, stop, serving }
}

impl Server {
    async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.address).await.unwrap()
    }

    /// Sends bytes and reads until the server closes.
    async fn raw(&self, request: impl AsRef<[u8]>) -> String {
        let mut stream = self.connect().await;
        stream.write_all(request.as_ref()).await.unwrap();
        rest(&mut stream).await
    }

    async fn get(&self, path: &str) -> String {
        self.raw(format!("GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")).await
    }

    /// Posts a body with additional headers, each with its line break.
    async fn post(&self, path: &str, headers: &str, body: &[u8]) -> String {
        let length = body.len();
        let head = format!(
            "POST {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: {length}\r\n{headers}\r\n"
        );
        self.raw([head.as_bytes(), body].concat()).await
    }

    /// Posts an image to the plain receiver.
    async fn image(&self, image: &str) -> String {
        let body = format!(r#"{{"image":"{image}"}}"#);
        self.post("/events/scripts", &bearer(), body.as_bytes()).await
    }
}

fn signature(body: &[u8]) -> String {
    let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, SECRET.as_bytes()), body);
    let hex: String = tag.as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
    format!("X-Hub-Signature-256: sha256={hex}\r\n")
}

fn bearer() -> String {
    format!("Authorization: Bearer {SECRET}\r\n")
}

/// Returns the remaining bytes; a reset counts as the end.
async fn rest(stream: &mut TcpStream) -> String {
    let (mut all, mut buffer) = (Vec::new(), [0; 4096]);
    while let Ok(count @ 1..) = stream.read(&mut buffer).await {
        all.extend_from_slice(&buffer[..count]);
    }
    String::from_utf8(all).unwrap()
}

fn status(answer: &str) -> u16 {
    answer.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or_else(|| panic!("{answer:?}"))
}

fn body(answer: &str) -> &str {
    answer.split_once("\r\n\r\n").unwrap().1
}

fn short() -> Limits {
    let (short, long) = (Duration::from_millis(300), Duration::from_secs(20));
    Limits { header_time: short, body_time: short, age: long, grace: short, ..Limits::default() }
}

#[tokio::test]
async fn probes_and_metrics_are_answered() {
    let server = server(vec![plain()], Limits::default(), 10).await;
    assert_eq!(body(&server.get("/healthz").await), "ok\n");
    assert_eq!(body(&server.get("/readyz?verbose").await), "ok\n");
    server.image("h.io/a:1").await;
    let metrics = server.get("/metrics").await;
    assert!(metrics.contains("content-type: text/plain; version=0.0.4"), "{metrics}");
    assert!(metrics.contains("\nreapify_mirror_queue_length 1\n"), "{metrics}");
    assert!(
        metrics.contains(r#"reapify_mirror_events_total{receiver="scripts",outcome="queued"} 1"#),
        "{metrics}"
    );
    let head = server.raw("HEAD /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").await;
    assert_eq!((status(&head), body(&head)), (200, ""));
    server.config.0.store(false, Ordering::SeqCst);
    assert_eq!(status(&server.get("/readyz").await), 503);
    assert_eq!(status(&server.get("/healthz").await), 200);
}

#[tokio::test]
async fn authenticates_every_kind_of_sender() {
    let receivers = vec![
        receiver("distribution", Kind::Distribution, Proof::bearer(SECRET).unwrap()),
        receiver("gitlab", Kind::Gitlab, Proof::header("Authorization", SECRET).unwrap()),
        receiver("harbor", Kind::Harbor, Proof::header("Authorization", SECRET).unwrap()),
        receiver("hub", Kind::DockerHub, Proof::path(SECRET).unwrap()),
        receiver("quay", Kind::Quay, Proof::path(SECRET).unwrap()),
        receiver(
            "plain",
            Kind::Plain,
            Proof::signature(crate::serve::secret::SIGNATURE_HEADER, SECRET).unwrap(),
        ),
    ];
    let server = server(receivers, Limits::default(), 100).await;
    let raw = format!("Authorization: {SECRET}\r\n");
    for (name, file, headers, denied) in [
        ("distribution", "distribution-push", bearer(), 401),
        ("gitlab", "gitlab-push", raw.clone(), 403),
        ("harbor", "harbor-push", raw.clone(), 403),
        ("hub", "dockerhub-push", String::new(), 403),
        ("quay", "quay-push", String::new(), 403),
        ("plain", "plain", "signed".into(), 403),
    ] {
        let path = format!("{}/testdata/events/{file}.json", env!("CARGO_MANIFEST_DIR"));
        let sample = std::fs::read_to_string(path).unwrap();
        // The configuration of this test covers only one host.
        let sample = [
            "registry:5000",
            "registry.gitlab.example",
            "harbor.example:8443",
            "quay.io",
            "registry.example",
        ]
        .iter()
        .fold(sample, |sample, host| sample.replace(host, "h.io"));
        let headers = if headers == "signed" { signature(sample.as_bytes()) } else { headers };
        let token = if headers.is_empty() { format!("/{SECRET}") } else { String::new() };
        let good = server.post(&format!("/events/{name}{token}"), &headers, sample.as_bytes()).await;
        // Docker Hub's images are not in the configuration.
        assert_eq!(status(&good), if name == "hub" { 200 } else { 202 }, "{name}: {good}");
        let bad = server.post(&format!("/events/{name}"), "", sample.as_bytes()).await;
        assert_eq!(status(&bad), denied, "{name}: {bad}");
        assert_eq!(bad.contains("www-authenticate: Bearer\r\n"), denied == 401, "{bad}");
        assert!(!bad.contains(SECRET));
        let wrong = headers.replace(SECRET, "hunter3") + "X-Other: 1\r\n";
        let other = sample.replace("latest", "oldest").replace("1.4.0", "9.9.9").replace("h.io", "H.io");
        let path = format!("/events/{name}{}", token.replace(SECRET, "hunter3"));
        assert_eq!(status(&server.post(&path, &wrong, other.as_bytes()).await), denied, "{name}");
    }
    // Quay has two tags, and distribution's image is also that of the plain receiver.
    assert_eq!(server.queue.len(), 5);
    // A secret is valid only for its own receiver.
    assert_eq!(status(&server.post(&format!("/events/{SECRET}"), &bearer(), b"{}").await), 404);
    assert_eq!(status(&server.post(&format!("/events/plain/{SECRET}"), &bearer(), b"{}").await), 404);
}

#[tokio::test]
async fn a_single_receiver_needs_no_name() {
    let body = br#"{"image":"h.io/a:1"}"#;
    let one = server(vec![plain()], Limits::default(), 10).await;
    for (path, expected) in
        [("/events", 202), ("/events/scripts", 202), ("/events/other", 404), ("/events/", 404)]
    {
        assert_eq!(status(&one.post(path, &bearer(), body).await), expected, "{path}");
    }
    let hub = receiver("hub", Kind::Plain, Proof::path(SECRET).unwrap());
    let token = server(vec![hub.clone()], Limits::default(), 10).await;
    for (path, expected) in [
        (format!("/events/{SECRET}"), 202),
        (format!("/events/hub/{SECRET}"), 202),
        (format!("/events/{SECRET}/"), 404),
        (format!("/events/hub/{SECRET}/"), 403),
        (format!("/events/hub//{SECRET}"), 403),
        ("/events".into(), 403),
        ("/events/hub".into(), 403),
        ("/events/hub/".into(), 403),
        ("/events/wrong".into(), 403),
    ] {
        assert_eq!(status(&token.post(&path, "", body).await), expected, "{path}");
    }
    let two = server(vec![plain(), hub], Limits::default(), 10).await;
    assert_eq!(status(&two.post("/events", &bearer(), body).await), 404);
    assert_eq!(status(&two.post(&format!("/events/{SECRET}"), &bearer(), body).await), 404);
    let none = server(Vec::new(), Limits::default(), 10).await;
    assert_eq!(status(&none.post("/events", &bearer(), body).await), 404);
}

#[tokio::test]
async fn rejects_ambiguous_receivers() {
    let build = |receivers| {
        let config = Arc::new(Config(AtomicBool::new(true)));
        Service::new(receivers, Limits::default(), config, Queue::new(1), Arc::default()).map(|_| ())
    };
    let named = |name: &str, secret: &str| receiver(name, Kind::Plain, Proof::path(secret).unwrap());
    assert!(build(vec![named("a", "x"), named("b", "x")]).is_ok());
    assert!(build(vec![named("a", "x"), named("a", "y")]).unwrap_err().contains("used twice"));
    assert!(build(vec![named("a", "b"), named("b", "y")]).unwrap_err().contains("the name of a receiver"));
    for name in ["", "A", "a/b", "a b", "ä"] {
        assert!(build(vec![named(name, "x")]).is_err(), "{name}");
    }
}

#[tokio::test]
async fn a_delivery_is_answered_with_a_receipt() {
    let distribution = receiver("registry", Kind::Distribution, Proof::bearer(SECRET).unwrap());
    let server = server(vec![distribution], Limits::default(), 10).await;
    let event = |action: &str, tag: &str, host: &str| {
        let target = format!(r#"{{"repository":"team/app","tag":"{tag}"}}"#);
        format!(r#"{{"action":"{action}","target":{target},"request":{{"host":"{host}"}}}}"#)
    };
    let events = [
        event("push", "1", "h.io"),
        event("push", "1", "h.io"),
        event("push", "2-rc", "h.io"),
        event("push", "1", "evil.example"),
        event("pull", "1", "h.io"),
    ];
    let answer =
        server.post("/events", &bearer(), format!(r#"{{"events":[{}]}}"#, events.join(",")).as_bytes()).await;
    assert_eq!(status(&answer), 202);
    let receipt: serde_json::Value = serde_json::from_str(body(&answer)).unwrap();
    let ignored = serde_json::json!([
        {"image": "h.io/team/app:2-rc", "reason": "the tag is denied"},
        {"image": "evil.example/team/app:1", "reason": "no entry of the configuration covers it"},
        {"reason": "not a push: \"pull\""},
    ]);
    assert_eq!(receipt, serde_json::json!({"queued": 1, "merged": 1, "ignored": ignored}));
    let answer =
        server.post("/events", &bearer(), format!(r#"{{"events":[{}]}}"#, events[4]).as_bytes()).await;
    assert_eq!(status(&answer), 200);
    let work = server.queue.take().await.unwrap();
    assert_eq!((work.source.as_str(), work.tag.as_str()), ("h.io/team/app", "1"));
}

#[tokio::test]
async fn bad_requests_are_refused_with_their_status() {
    let server = server(vec![plain()], Limits { body: 1000, ..Limits::default() }, 10).await;
    for (path, expected) in
        [("/", 404), ("/event", 404), ("/metrics/", 404), ("/eventsx", 404), ("//metrics", 404)]
    {
        assert_eq!(status(&server.get(path).await), expected, "{path}");
    }
    for (method, path, allow) in [
        ("GET", "/events", "POST"),
        ("PUT", "/events/scripts", "POST"),
        ("POST", "/metrics", "GET, HEAD"),
        ("DELETE", "/healthz", "GET, HEAD"),
        ("BREW", "/readyz", "GET, HEAD"),
    ] {
        let request =
            format!("{method} {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 0\r\n\r\n");
        let answer = server.raw(request).await;
        assert_eq!(status(&answer), 405, "{method} {path}");
        assert!(answer.contains(&format!("allow: {allow}\r\n")), "{answer}");
    }
    let head = format!("POST /events HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{}", bearer());
    assert_eq!(status(&server.raw(format!("{head}\r\n")).await), 411);
    assert_eq!(status(&server.raw(format!("{head}Content-Length: 1001\r\n\r\n")).await), 413);
    assert_eq!(status(&server.raw(format!("{head}Content-Length: 99999999999999999999\r\n\r\n")).await), 400);
    let chunk = format!("3E9\r\n{}\r\n0\r\n\r\n", "x".repeat(1001));
    assert_eq!(status(&server.raw(format!("{head}Transfer-Encoding: chunked\r\n\r\n{chunk}")).await), 413);
    let chunk = "14\r\n{\"image\":\"h.io/a:1\"}\r\n0\r\n\r\n";
    assert_eq!(status(&server.raw(format!("{head}Transfer-Encoding: chunked\r\n\r\n{chunk}")).await), 202);
    for bad in ["", "x", "{}", "[1]", r#"{"image":""}"#, r#"{"image":"h.io/A:1"}"#] {
        let answer = server.post("/events", &bearer(), bad.as_bytes()).await;
        assert_eq!(status(&answer), 400, "{bad}");
        assert!(body(&answer).starts_with(r#"{"error":"invalid body: "#), "{answer}");
    }
    assert_eq!(status(&server.raw("nonsense\r\n\r\n").await), 400);
    let long = format!("GET /metrics HTTP/1.1\r\nHost: x\r\nX: {}\r\n\r\n", "y".repeat(100_000));
    let mut stream = server.connect().await;
    let _ = stream.write_all(long.as_bytes()).await;
    let answer = rest(&mut stream).await;
    assert!(answer.is_empty() || status(&answer) == 431, "{answer}");
    assert_eq!(status(&server.get("/healthz").await), 200);
}

#[tokio::test]
async fn a_client_that_sends_all_before_it_reads_gets_its_answer() {
    let server = server(vec![plain()], Limits::default(), 10).await;
    let body = vec![b'x'; 3 << 20];
    assert_eq!(status(&server.post("/events", &bearer(), &body).await), 413);
    assert_eq!(status(&server.post("/events", "Authorization: Bearer wrong\r\n", &body).await), 401);
    assert_eq!(status(&server.post("/nowhere", "", &body).await), 404);
    assert_eq!(status(&server.post("/metrics", "", &body).await), 405);
    assert_eq!(status(&server.post("/events", &(bearer() + "Expect: 100-continue\r\n"), b"").await), 400);
    let waits = "POST /events HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n";
    let answer = timeout(Duration::from_secs(5), server.raw(waits)).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 401 "), "{answer}");
}

#[tokio::test]
async fn a_full_queue_refuses_the_delivery_until_there_is_room() {
    let server = server(vec![plain()], Limits::default(), 2).await;
    assert_eq!(status(&server.image("h.io/a:1").await), 202);
    assert_eq!(status(&server.image("h.io/a:2").await), 202);
    let full = server.image("h.io/a:3").await;
    assert_eq!(status(&full), 503);
    assert!(full.contains("retry-after: 5\r\n"), "{full}");
    assert_eq!(body(&server.image("h.io/a:1").await), r#"{"queued":0,"merged":1,"ignored":[]}"#);
    drop(server.queue.take().await);
    assert_eq!(status(&server.image("h.io/a:3").await), 202);
}

#[tokio::test]
async fn five_hundred_pushes_at_once_are_all_queued() {
    let server = Arc::new(server(vec![plain()], Limits::default(), 1000).await);
    let worker = tokio::spawn({
        let queue = server.queue.clone();
        async move {
            let mut keys = HashSet::new();
            while let Some(work) = queue.take().await {
                keys.insert(work.key.clone());
                sleep(Duration::from_millis(1)).await;
            }
            keys.len()
        }
    });
    let posts: Vec<_> = (0..500)
        .map(|n| {
            let server = server.clone();
            tokio::spawn(async move { status(&server.image(&format!("h.io/app{}:{}", n % 50, n)).await) })
        })
        .collect();
    for post in posts {
        assert_eq!(post.await.unwrap(), 202);
    }
    server.queue.drain().await;
    assert_eq!(worker.await.unwrap(), 500);
}

#[tokio::test]
async fn one_connection_carries_many_deliveries() {
    let server = server(vec![plain()], Limits::default(), 10).await;
    let mut stream = server.connect().await;
    let mut seen = String::new();
    for n in 0..5 {
        let body = format!(r#"{{"image":"h.io/a:{n}"}}"#);
        let length = body.len();
        let head =
            format!("POST /events HTTP/1.1\r\nHost: x\r\nContent-Length: {length}\r\n{}\r\n", bearer());
        stream.write_all((head + &body).as_bytes()).await.unwrap();
        let mut buffer = [0; 4096];
        let count = stream.read(&mut buffer).await.unwrap();
        seen.push_str(std::str::from_utf8(&buffer[..count]).unwrap());
    }
    assert_eq!(seen.matches("202 Accepted").count(), 5);
    assert_eq!(server.queue.len(), 5);
}

#[tokio::test]
async fn disconnects_slow_clients() {
    let server = server(vec![plain()], short(), 10).await;
    let head = format!("POST /events HTTP/1.1\r\nHost: x\r\nContent-Length: 50\r\n{}\r\n", bearer());
    let whole = "GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n";
    for (begin, expected) in
        [("", 0), ("GET /healthz HT", 0), (&head, 408), (&format!("{head}{{"), 408), (whole, 200)]
    {
        let began = Instant::now();
        let mut stream = server.connect().await;
        stream.write_all(begin.as_bytes()).await.unwrap();
        let answer = timeout(Duration::from_secs(5), rest(&mut stream)).await.unwrap();
        let got = if answer.is_empty() { 0 } else { status(&answer) };
        // hyper may still respond that the head took too long.
        assert!(got == expected || (expected == 0 && got == 408), "{begin:?}: {answer}");
        assert!(began.elapsed() >= Duration::from_millis(250), "{begin:?} was cut at once");
    }
    // Bytes that trickle in do not extend the time.
    let mut stream = server.connect().await;
    let began = Instant::now();
    while stream.write_all(b"G").await.is_ok() && began.elapsed() < Duration::from_secs(5) {
        sleep(Duration::from_millis(20)).await;
    }
    assert!(began.elapsed() < Duration::from_secs(2), "{:?}", began.elapsed());
}

#[tokio::test]
async fn disconnects_clients_that_do_not_read() {
    let limits = Limits { age: Duration::from_millis(500), ..short() };
    let server = server(vec![plain()], Limits { connections: 1, ..limits }, 10).await;
    let mut stream = server.connect().await;
    let request = b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n".repeat(1000);
    let flood = tokio::spawn(async move { while stream.write_all(&request).await.is_ok() {} });
    sleep(Duration::from_millis(100)).await;
    // The only connection is in use until then.
    assert_eq!(status(&timeout(Duration::from_secs(5), server.get("/healthz")).await.unwrap()), 200);
    timeout(Duration::from_secs(5), flood).await.unwrap().unwrap();
}

#[tokio::test]
async fn connections_beyond_the_limit_wait_for_their_turn() {
    let server = server(vec![plain()], Limits { connections: 3, ..short() }, 10).await;
    let idle = [server.connect().await, server.connect().await, server.connect().await];
    let began = Instant::now();
    assert_eq!(status(&timeout(Duration::from_secs(5), server.get("/healthz")).await.unwrap()), 200);
    assert!(began.elapsed() >= Duration::from_millis(200));
    drop(idle);
}

#[tokio::test]
async fn shutting_down_finishes_current_requests() {
    let server =
        server(vec![plain()], Limits { grace: Duration::from_secs(5), ..Limits::default() }, 10).await;
    let mut idle = server.connect().await;
    idle.write_all(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
    let mut under_way = server.connect().await;
    let head = format!("POST /events HTTP/1.1\r\nHost: x\r\nContent-Length: 20\r\n{}\r\n", bearer());
    under_way.write_all(head.as_bytes()).await.unwrap();
    sleep(Duration::from_millis(100)).await;

    server.queue.close();
    assert_eq!(status(&server.get("/readyz").await), 503);
    assert_eq!(status(&server.get("/healthz").await), 200);
    assert_eq!(status(&server.get("/metrics").await), 200);
    let late = server.image("h.io/a:1").await;
    assert_eq!(status(&late), 503);
    assert!(late.contains("retry-after: 5\r\n"), "{late}");
    assert_eq!(status(&server.image("elsewhere.example/a:1").await), 503);

    server.stop.cancel();
    timeout(Duration::from_secs(1), rest(&mut idle)).await.unwrap();
    assert!(TcpStream::connect(server.address).await.is_err() && !server.serving.is_finished());
    under_way.write_all(br#"{"image":"h.io/a:1"}"#).await.unwrap();
    // It was accepted before the queue was closed, but finds it closed: the sender repeats it.
    assert_eq!(status(&rest(&mut under_way).await), 503);
    timeout(Duration::from_secs(1), server.serving).await.unwrap().unwrap();
}

#[tokio::test]
async fn shutting_down_does_not_wait_for_slow_clients() {
    let server = server(vec![plain()], Limits { body_time: Duration::from_secs(60), ..short() }, 10).await;
    let mut slow = server.connect().await;
    let head = format!("POST /events HTTP/1.1\r\nHost: x\r\nContent-Length: 20\r\n{}\r\n", bearer());
    slow.write_all(head.as_bytes()).await.unwrap();
    sleep(Duration::from_millis(100)).await;
    server.stop.cancel();
    timeout(Duration::from_secs(2), server.serving).await.unwrap().unwrap();
}
