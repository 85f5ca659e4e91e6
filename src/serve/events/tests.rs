use super::*;
use proptest::prelude::*;

/// The digest of the samples.
const D: &str = "sha256:3f9a3f9a3f9a3f9a3f9a3f9a3f9a3f9a3f9a3f9a3f9a3f9a3f9a3f9a3f9a3f9a";

fn sample(name: &str) -> Vec<u8> {
    std::fs::read(format!("{}/testdata/events/{name}.json", env!("CARGO_MANIFEST_DIR"))).unwrap()
}

/// Names the pushes, with their digest in short; the others by their reason in brackets.
fn names(events: &[Event]) -> Vec<String> {
    let name = |event: &Event| match event {
        Event::Push(push) => {
            push.name()
                + &push.digest.as_ref().map(|digest| format!("@{}", &digest.hex()[..4])).unwrap_or_default()
        }
        Event::Ignored(why) => format!("({why})"),
    };
    events.iter().map(name).collect()
}

fn read(kind: Kind, body: &str) -> Vec<String> {
    names(&parse(kind, body.as_bytes()).unwrap())
}

#[test]
fn reads_samples_of_every_sender() {
    for (kind, file, expected) in [
        (Kind::Distribution, "distribution-push", vec!["registry:5000/team/app:1.4.0@3f9a"]),
        (Kind::Gitlab, "gitlab-push", vec!["registry.gitlab.example/group/project/app:main@3f9a"]),
        (Kind::Gitlab, "gitlab-rename", vec![r#"(not a push: "rename")"#]),
        (Kind::Harbor, "harbor-push", vec!["harbor.example:8443/shop/api:v2.1.0@3f9a"]),
        (Kind::Harbor, "harbor-cloudevents-push", vec!["harbor.example:8443/shop/api:v2.1.0@3f9a"]),
        (Kind::Harbor, "harbor-push-by-digest", vec!["(pushed without a tag)"]),
        (Kind::Harbor, "harbor-scan", vec![r#"(not a push: "SCANNING_COMPLETED")"#]),
        (Kind::Harbor, "harbor-replication", vec![r#"(not a push: "REPLICATION")"#]),
        (Kind::DockerHub, "dockerhub-push", vec!["docker.io/acme/tool:3.2"]),
        (Kind::Quay, "quay-push", vec!["quay.io/acme/web:latest", "quay.io/acme/web:5.0"]),
        (Kind::Quay, "quay-push-of-old", vec!["quay.io/acme/web:latest"]),
        (Kind::Quay, "quay-build", vec!["(not a push: no updated_tags)"]),
        (Kind::Plain, "plain", vec!["registry.example/team/app:1.4.0"]),
    ] {
        assert_eq!(names(&parse(kind, &sample(file)).unwrap()), expected, "{file}");
    }
}

#[test]
fn only_pushed_tags_of_an_envelope_count() {
    let events = parse(Kind::Distribution, &sample("distribution-mixed")).unwrap();
    assert_eq!(
        names(&events),
        [
            "(pushed without a tag)",
            r#"(not a push: "mount")"#,
            "(pushed without a tag)",
            r#"(not a push: "pull")"#,
            "registry:5000/team/app:1.4.0@3f9a",
            "registry:5000/team/app:latest@b07c",
            r#"(not a push: "delete")"#,
            r#"(not a push: "delete")"#,
        ]
    );
}

#[test]
fn a_push_has_the_facts_of_its_event() {
    let events = parse(Kind::Distribution, &sample("distribution-push")).unwrap();
    let Some(Event::Push(push)) = events.first() else { panic!("{events:?}") };
    assert_eq!(push.actor.as_deref(), Some("ci"));
    assert_eq!(push.user_agent.as_deref(), Some("containers/5.29.1 (github.com/containers/image)"));
    assert_eq!(push.media_type.as_deref(), Some("application/vnd.oci.image.manifest.v1+json"));
    assert_eq!(push.digest.as_ref().unwrap().to_string(), D);
    let Some(Event::Push(push)) = parse(Kind::Harbor, &sample("harbor-push")).unwrap().pop() else {
        panic!()
    };
    assert_eq!(push.actor.as_deref(), Some("robot$ci"));
}

#[test]
fn an_invalid_event_does_not_affect_others() {
    let good = r#"{"action":"push","target":{"repository":"a","tag":"1"}}"#;
    for (bad, why) in [
        ("7", "(invalid event: "),
        ("null", "(invalid event: "),
        (r#"{"action":7}"#, "(invalid event: "),
        (r#"{"action":"push"}"#, "(invalid event: "),
        (r#"{"action":"push","target":{"tag":["1"]}}"#, "(invalid event: "),
        (r#"{"action":"push","target":{"tag":"1"}}"#, "(invalid repository: "),
        (r#"{"action":"push","target":{"repository":"../a","tag":"1"}}"#, "(invalid repository: "),
        (r#"{"action":"push","target":{"repository":"a","tag":"1/2"}}"#, "(invalid tag: "),
        (
            r#"{"action":"push","target":{"repository":"a","tag":"1","digest":"sha256:12"}}"#,
            "(invalid digest: ",
        ),
        (
            r#"{"action":"push","target":{"repository":"a","tag":"1"},"request":{"host":"a/b"}}"#,
            "(invalid host: ",
        ),
        (r#"{"action":"push","target":{"repository":"a","tag":""}}"#, "(pushed without a tag)"),
        (r#"{"action":"PUSH","target":{"repository":"a","tag":"1"}}"#, "(not a push: \"PUSH\")"),
        ("{}", "(not a push: \"\")"),
    ] {
        let events = read(Kind::Distribution, &format!(r#"{{"events":[{good},{bad},{good}]}}"#));
        assert!(events.len() == 3 && events[1].starts_with(why), "{bad}: {events:?}");
        assert!(events[0] == "a:1" && events[2] == "a:1");
    }
}

#[test]
fn ignores_the_content_of_unused_fields() {
    let body = r#"{"events":[{"id":7,"timestamp":{},"action":"push","source":[],"actor":null,"x":[[[]]],"target":{"repository":"a","tag":"1","size":"big","url":null,"references":{}},
        "request":{"host":"","id":[]}}]}"#;
    assert_eq!(read(Kind::Distribution, body), ["a:1"]);
    // What is no push is ignored, whatever it is about.
    assert_eq!(
        read(Kind::Distribution, r#"{"events":[{"action":"pull","target":9}]}"#),
        [r#"(not a push: "pull")"#]
    );
}

#[test]
fn addresses_must_name_the_repository() {
    let harbor = |address: &str| {
        let resource = format!(r#"{{"tag":"1","resource_url":"{address}"}}"#);
        let data = format!(r#"{{"resources":[{resource}],"repository":{{"repo_full_name":"a/b"}}}}"#);
        read(Kind::Harbor, &format!(r#"{{"type":"PUSH_ARTIFACT","event_data":{data}}}"#)).remove(0)
    };
    assert_eq!(harbor("H.io/a/b:1"), "h.io/a/b:1");
    assert_eq!(harbor("h.io:80/a/b@sha256:12"), "h.io:80/a/b:1");
    assert_eq!(harbor(""), "a/b:1");
    for other in ["h.io/a/c:1", "h.io/a/bc:1", "h.io/x/a/b:1", "h.io", "http://h.io/a/b:1", "user@h.io/a/b:1"]
    {
        assert!(harbor(other).starts_with('('), "{other}");
    }
    let quay = r#"{"repository":"a/b","docker_url":"h.io/a/c","updated_tags":["1"]}"#;
    assert!(parse(Kind::Quay, quay.as_bytes()).is_err());
}

#[test]
fn a_plain_body_is_read_as_on_the_command_line() {
    for (image, expected) in [
        ("h.io/a", "h.io/a:latest"),
        ("busybox:1", "docker.io/library/busybox:1"),
        ("H.io:5000/a/b:1", "h.io:5000/a/b:1"),
        (&format!("h.io/a:1@{D}"), "h.io/a:1@3f9a"),
    ] {
        assert_eq!(read(Kind::Plain, &format!(r#"{{"image":"{image}","by":"hand"}}"#)), [expected]);
    }
    let error = parse(Kind::Plain, format!(r#"{{"image":"h.io/a@{D}"}}"#).as_bytes()).unwrap_err();
    assert!(error.to_string().contains("write REPOSITORY:TAG"), "{error}");
    for bad in ["", "A B", "h.io/", "https://h.io/a:1", "docker://h.io/a:1"] {
        let error = parse(Kind::Plain, format!(r#"{{"image":"{bad}"}}"#).as_bytes()).unwrap_err();
        assert!(error.to_string().starts_with("invalid body: "), "{bad}: {error}");
    }
}

#[test]
fn official_images_of_docker_hub_have_their_namespace() {
    let body = r#"{"push_data":{"tag":"1"},"repository":{"repo_name":"busybox"}}"#;
    assert_eq!(read(Kind::DockerHub, body), ["docker.io/library/busybox:1"]);
    assert_eq!(read(Kind::DockerHub, &body.replace(r#""1""#, "null")), ["(pushed without a tag)"]);
}

#[test]
fn rejects_bodies_of_another_kind() {
    let files = ["distribution-push", "harbor-push", "dockerhub-push", "quay-push", "plain"];
    let kinds = [Kind::Distribution, Kind::Harbor, Kind::DockerHub, Kind::Quay, Kind::Plain];
    for (at, kind) in kinds.into_iter().enumerate() {
        for (other, file) in files.into_iter().enumerate() {
            assert_eq!(parse(kind, &sample(file)).is_ok(), at == other, "{kind:?} of {file}");
        }
        let deep = "[".repeat(100_000);
        for body in [
            "",
            " ",
            "null",
            "[]",
            "{}",
            "{\"events\":{}}",
            "x",
            "\u{feff}{}",
            deep.as_str(),
            "{\"image\":7}",
        ] {
            assert!(parse(kind, body.as_bytes()).is_err(), "{kind:?} of {body:.20}");
        }
        assert!(parse(kind, b"{\"image\":\"\xff\"}").is_err());
    }
}

#[test]
fn the_number_of_events_is_bounded() {
    let tags = |count: usize| {
        format!(r#"{{"repository":"a","updated_tags":[{}]}}"#, vec![r#""1""#; count].join(","))
    };
    assert_eq!(read(Kind::Quay, &tags(MAX_EVENTS)).len(), MAX_EVENTS);
    let error = parse(Kind::Quay, tags(MAX_EVENTS + 1).as_bytes()).unwrap_err();
    assert_eq!(error.to_string(), "invalid body: more than 1000 events");
    let events = format!(r#"{{"events":[{}]}}"#, vec!["{}"; MAX_EVENTS + 1].join(","));
    assert!(parse(Kind::Distribution, events.as_bytes()).is_err());
}

#[test]
fn reasons_are_short() {
    let long = "é".repeat(10_000);
    let action = read(Kind::Distribution, &format!(r#"{{"events":[{{"action":"{long}"}}]}}"#));
    assert!(action[0].chars().count() < 310, "{action:?}");
    let error = parse(Kind::Plain, format!(r#"{{"image":{{"{long}":1}}}}"#).as_bytes()).unwrap_err();
    assert!(error.to_string().chars().count() < 330);
}

proptest! {
    /// Whatever is cut out of a sample or changed in it: no panic, and every push has valid names.
    #[test]
    fn damaged_samples_do_not_panic(
        file in prop::sample::select(vec!["distribution-mixed", "harbor-push", "dockerhub-push", "quay-push", "plain"]),
        at in any::<prop::sample::Index>(),
        length in 0usize..20,
        with in "[\"{}\\[\\]:,a0\\\\]{0,3}",
    ) {
        let mut body = sample(file);
        let start = at.index(body.len());
        let end = (start + length).min(body.len());
        body.splice(start..end, with.bytes());
        for (_, kind) in Kind::ALL {
            for event in parse(kind, &body).unwrap_or_default() {
                if let Event::Push(push) = event {
                    prop_assert!(check_repository(&push.repository).is_ok() && check_tag(&push.tag).is_ok());
                }
            }
        }
    }
}
