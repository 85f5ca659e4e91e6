use super::*;

fn http(base: &str) -> Http {
    let timeouts = Timeouts {
        connect: Duration::from_secs(1),
        stall: Duration::from_secs(60),
        commit: Duration::from_secs(600),
    };
    let mut http =
        Http::new("r.example", &HostOptions::default(), timeouts, Arc::new(Governor::new(1)), Arc::default())
            .unwrap();
    http.base = base.parse().unwrap();
    http
}

#[test]
fn resolves_locations_to_own_and_foreign_origins() {
    for (base, location, expected) in [
        ("https://r.example/v2/", "/v2/x?a=b", Some("https://r.example/v2/x?a=b")),
        ("https://r.example/v2/", "http://r.example/v2/x", Some("https://r.example/v2/x")),
        ("https://r.example:5000/v2/", "https://r.example/v2/x", Some("https://r.example:5000/v2/x")),
        ("http://127.0.0.1:5000/v2/", "http://127.0.0.1/v2/x", Some("http://127.0.0.1:5000/v2/x")),
        ("http://127.0.0.1:5000/v2/", "https://127.0.0.1/v2/x", Some("https://127.0.0.1/v2/x")),
        ("https://r.example/v2/", "https://s.example/x", Some("https://s.example/x")),
        ("https://r.example/v2/", "https://r.example:8443/x", Some("https://r.example:8443/x")),
        ("https://r.example/v2/", "http://s.example/x", None),
        ("https://r.example/v2/", "ftp://r.example/x", None),
        ("http://r.example/v2/", "file:///etc/passwd", None),
    ] {
        let http = http(base);
        let location = HeaderValue::from_str(location).unwrap();
        let resolved = http.resolve(&base.parse().unwrap(), &location, "x").ok();
        assert_eq!(resolved.as_ref().map(Url::as_str), expected, "{base} {location:?}");
    }
}

#[test]
fn an_answer_has_to_keep_the_least_rate() {
    let seconds = Duration::from_secs;
    let mut pace = Pace::new(seconds(60));
    pace.check(seconds(59), 1).unwrap();
    assert!(pace.check(seconds(2), 1).is_err());
    let mut pace = Pace::new(seconds(60));
    for _ in 0..1000 {
        pace.check(seconds(1), 2048).unwrap();
    }
}

#[tokio::test]
async fn parts_of_streams_are_cut_anywhere() {
    for (from, len, expected) in [(0, 10, "0123456789"), (3, 4, "3456"), (4, 1, "4"), (9, 1, "9"), (0, 0, "")]
    {
        let pieces = ["01", "", "234", "56789"].map(|p| Ok(Bytes::from_static(p.as_bytes())));
        let stream: BlobStream = Box::pin(futures_util::stream::iter(pieces));
        let pieces: Vec<Bytes> = take(skip(stream, from), len).map(Result::unwrap).collect().await;
        assert_eq!(pieces.concat(), expected.as_bytes());
    }
}

#[tokio::test(start_paused = true)]
async fn waits_long_for_an_answer_but_not_for_a_body() {
    let seconds = Duration::from_secs;
    let progress = Progress::default();
    let never = std::future::pending::<()>;
    let begun = Instant::now();
    assert!(progress.watch(never(), seconds(60), seconds(600)).await.is_err());
    assert_eq!(begun.elapsed().as_secs(), 60);
    progress.is_sent.store(true, Ordering::Relaxed);
    assert!(progress.watch(never(), seconds(60), seconds(600)).await.is_err());
    assert_eq!(begun.elapsed().as_secs(), 660);
}
