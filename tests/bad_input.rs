//! Bad input: each with its own words and exit code, and nothing written.

mod support;

use support::image::{CONFIG, Family, Image, digest, file};
use support::registry::{Act, Kind, Registry, Reply};
use support::run::reapify;
use support::scratch;

#[track_caller]
fn refused(registry: &Registry, from: &str, args: &[&str], code: i32, phrase: &str) {
    let to = registry.name("out", "v1");
    reapify(["wrap", "--retries", "0", from, &to]).args(args).run().exits(code).says(phrase).says("hint:");
    assert!(registry.manifest("out", "v1").is_none(), "nothing is written");
    assert_eq!(registry.open_uploads(), 0, "no upload is left open");
    let dir = scratch();
    let layout = dir.path().join("layout");
    reapify(["wrap", "--retries", "0", from, &format!("oci:{}:v1", layout.display())])
        .args(args)
        .run()
        .exits(code);
    assert!(!layout.join("index.json").exists(), "nothing is written");
}

#[test]
fn images_that_are_missing_or_denied() {
    let registry = Registry::start();
    refused(&registry, &registry.name("none", "v1"), &[], 3, "404");
    let from = Image::small().in_registry(&registry, "app", "v1");
    registry.hook(|asked| match &asked.kind {
        Kind::Manifest { repository, .. } if repository == "app" => {
            Act::Answer(Reply::error(403, "DENIED", "no"))
        }
        _ => Act::Serve,
    });
    refused(&registry, &from, &[], 4, "403");
    let dir = scratch();
    let none = format!("oci:{}", dir.path().join("none").display());
    refused(&registry, &none, &[], 3, "no OCI layout");
    refused(&registry, &format!("docker-archive:{}/none.tar", dir.path().display()), &[], 3, "no such file");
}

#[test]
fn manifests_that_are_no_images() {
    let registry = Registry::start();
    let schema1 =
        r#"{"schemaVersion":1,"name":"app","tag":"v1","architecture":"amd64","fsLayers":[],"history":[]}"#;
    registry.put_manifest(
        "old",
        "v1",
        "application/vnd.docker.distribution.manifest.v1+prettyjws",
        schema1.as_bytes(),
    );
    refused(&registry, &registry.name("old", "v1"), &[], 5, "schema 1");
    let chart = Image::small().config("{}").manifest(
        r#"{"schemaVersion":2,"config":{"mediaType":"application/vnd.cncf.helm.config.v1+json",$CONFIG},"layers":[{"mediaType":"application/vnd.cncf.helm.chart.content.v1.tar+gzip","digest":"sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad","size":3}]}"#,
    );
    registry.set(|s| s.checks_references = false);
    refused(&registry, &chart.in_registry(&registry, "chart", "v1"), &[], 5, "artifact");
    let artifact = Image::small().manifest(
        r#"{"schemaVersion":2,"artifactType":"application/vnd.example","config":{"mediaType":"application/vnd.oci.empty.v1+json",$CONFIG},"layers":[$LAYERS]}"#,
    );
    refused(&registry, &artifact.in_registry(&registry, "artifact", "v1"), &[], 5, "application/vnd.example");
    let both = Image::small().manifest(
        r#"{"schemaVersion":2,"config":{"mediaType":"application/vnd.oci.image.config.v1+json",$CONFIG},"layers":[$LAYERS],"manifests":[]}"#,
    );
    refused(&registry, &both.in_registry(&registry, "both", "v1"), &[], 5, "ambiguous");
}

#[test]
fn configs_that_engines_would_not_start() {
    let registry = Registry::start();
    for (i, (from, to, phrase)) in [
        (r#"["serve"]"#, r#""serve""#, "Cmd is a string"),
        (r#""Cmd":["serve"]"#, r#""cmd":["serve"]"#, "engines read as"),
        (r#""Cmd":["serve"]"#, r#""Cmd":["serve"],"Cmd":["other"]"#, "duplicate"),
        (r#"[$DIFF_IDS]"#, "[]", "1 layers, but the config has 0 diff_ids"),
        (r#""amd64""#, r#""vax""#, "no reaper for linux/vax"),
        (r#""linux""#, r#""windows""#, "no reaper for windows/amd64"),
        (r#""os":"linux","#, "", "does not say"),
        ("}", "", "malformed"),
    ]
    .into_iter()
    .enumerate()
    {
        let text = match phrase {
            "malformed" => CONFIG.trim_end_matches('}').to_owned(),
            _ => CONFIG.replacen(from, to, 1),
        };
        let name = Image::small().config(&text).in_registry(&registry, &format!("app{i}"), "v1");
        refused(&registry, &name, &[], 5, phrase);
    }
}

#[test]
fn too_many_layers() {
    let registry = Registry::start();
    let mut image = Image::new();
    for i in 0..127 {
        image = image.layer(&[file(&format!("f{i}"), b"x")]);
    }
    refused(&registry, &image.in_registry(&registry, "app", "v1"), &[], 5, "127 layers");
}

#[test]
fn blobs_that_are_not_what_they_should_be() {
    let (registry, other) = (Registry::start(), Registry::start());
    let image = Image::small();
    let from = image.in_registry(&registry, "app", "v1");
    let layer = digest(&image.blobs()[0]);
    type Change = fn(Reply) -> Reply;
    let cases: [(Change, &str); 2] = [
        (
            |r| {
                let n = r.body.len();
                let b = vec![0; n];
                r.body(b)
            },
            "digest mismatch",
        ),
        (
            |r| {
                let b = r.body.slice(..r.body.len() / 2);
                r.body(b)
            },
            "size mismatch",
        ),
    ];
    for (change, phrase) in cases {
        registry.behave();
        let layer = layer.clone();
        registry.hook(move |asked| match &asked.kind {
            Kind::Blob { digest, .. } if *digest == layer && asked.is_read() => Act::alter(change),
            _ => Act::Serve,
        });
        reapify(["wrap", "--retries", "0", &from, &other.name("out", "v1")]).run().exits(6).says(phrase);
        assert!(other.manifest("out", "v1").is_none());
    }
    registry.behave();
    registry.remove_blob("app", &digest(&image.config_bytes()));
    refused(&registry, &from, &[], 3, "the image config");
}

#[test]
fn reapers_that_cannot_be_one() {
    let registry = Registry::start();
    let from = Image::small().in_registry(&registry, "app", "v1");
    let dir = scratch();
    let arm = dir.path().join("arm");
    reapify(["reaper", "linux/arm64", "-o", &arm.display().to_string()]).run().succeeds();
    let script = dir.path().join("script");
    std::fs::write(&script, "#!/bin/sh\nexec \"$@\"\n").unwrap();
    let dynamic = std::env::current_exe().unwrap();
    for (given, code, phrase) in [
        (format!("linux/amd64={}", dynamic.display()), 5, "dynamically linked"),
        (format!("linux/amd64={}", arm.display()), 5, "it is for linux/arm64"),
        (script.display().to_string(), 5, "not a Linux executable"),
        (dir.path().join("none").display().to_string(), 1, "none"),
    ] {
        let to = registry.name("out", "v1");
        reapify(["wrap", "--reaper", &given, &from, &to])
            .run()
            .exits(code)
            .says(phrase)
            .says(&given.rsplit('=').next().unwrap()[1..]);
        assert!(registry.manifest("out", "v1").is_none());
    }
}

#[test]
fn command_lines_that_make_no_sense() {
    let registry = Registry::start();
    let from = Image::small().in_registry(&registry, "app", "v1");
    let to = registry.name("out", "v1");
    let at_digest = format!("docker://{}/out@{}", registry.host(), Image::small().digest());
    for (args, phrase) in [
        (vec!["wrap", &from, &at_digest], "is a digest"),
        (vec!["wrap", "Upper/Case", &to], "invalid image reference"),
        (vec!["wrap", &from, "containers-storage:x"], "not a transport"),
        (vec!["wrap", &from], "required"),
        (vec!["wrap", "--path", "relative", &from, &to], "absolute"),
        (vec!["wrap", "--path", "/a/../b", &from, &to], "without"),
        (vec!["wrap", "--platform", "linux", &from, &to], "invalid platform"),
        (vec!["wrap", "--reaper-arg", "--nonsense", &from, &to], "--nonsense"),
        (vec!["wrap", "--reaper-arg", "program", &from, &to], "not only options"),
        (vec!["wrap", "--grace", "soon", &from, &to], "soon"),
        (vec!["wrap", "--rewrite", "TERM", &from, &to], "TERM"),
        (vec!["wrap", "--src-creds", "a:b", "--src-password-stdin", &from, &to], "password"),
        (vec!["wrap", "--upload", "chunks:x", &from, &to], "chunks"),
        (vec!["reaper", "linux/vax", "-o", "x"], "linux/amd64"),
        (vec!["nonsense"], "nonsense"),
    ] {
        reapify(&args).run().exits(2).says(phrase);
        assert!(registry.manifest("out", "v1").is_none(), "{args:?}");
    }
    let dir = scratch();
    let file = dir.path().join("there.tar");
    std::fs::write(&file, "precious").unwrap();
    reapify(["wrap", &from, &format!("oci-archive:{}", file.display())]).run().exits(2).says("--force");
    assert_eq!(std::fs::read(&file).unwrap(), b"precious");
}

#[test]
fn mixed_families_follow_the_manifest() {
    let registry = Registry::start();
    for family in [Family::Oci, Family::Docker] {
        let from = Image::small().family(family).in_registry(&registry, "app", "v1");
        reapify(["wrap", &from, &registry.name("out", "v1")]).run().succeeds();
        let stored = registry.manifest("out", "v1").unwrap();
        assert_eq!(stored.media_type, family.manifest());
        let text = String::from_utf8(stored.bytes.to_vec()).unwrap();
        assert_eq!(text.contains("vnd.docker"), family == Family::Docker);
        assert_eq!(text.contains("vnd.oci"), family == Family::Oci);
    }
}
