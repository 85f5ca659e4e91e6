//! `inspect`: what is read from an image, what is reported about it, and in which format.

mod support;

use serde_json::Value;
use support::image::{Image, file, noise, plain};
use support::registry::{Asked, Kind, Registry};
use support::run::{Run, reapify};
use support::scratch;

const SCHEMA: &str = include_str!("../docs/inspect.schema.json");

/// Returns the start of a static program for amd64.
fn elf() -> Vec<u8> {
    let mut head = b"\x7fELF\x02\x01\x01".to_vec();
    head.resize(16, 0);
    head.extend([2, 0, 62, 0]);
    head.resize(200, 0);
    head
}

/// Returns a config with these members in its `config`.
fn config(inner: &str) -> String {
    format!(
        r#"{{"architecture":"amd64","os":"linux","config":{{{inner}}},"rootfs":{{"type":"layers","diff_ids":[$DIFF_IDS]}}}}"#
    )
}

/// Runs `inspect` and returns its output, validated against the schema.
fn inspect(run: Run) -> Value {
    let report = run.args(["--output", "json"]).run().succeeds().json();
    let schema: Value = serde_json::from_str(SCHEMA).expect("JSON");
    let validator = jsonschema::validator_for(&schema).expect("a schema");
    let errors: Vec<String> = validator.iter_errors(&report).map(|error| error.to_string()).collect();
    assert!(errors.is_empty(), "{errors:#?}\n{report}");
    report["platforms"][0].clone()
}

/// Returns how many layers were read: all blobs except the config.
fn layers_read(registry: &Registry) -> usize {
    let is_blob = |asked: &Asked| asked.method == "GET" && matches!(asked.kind, Kind::Blob { .. });
    let blobs = registry.log().count(|entry| is_blob(&entry.asked));
    registry.clear_log();
    blobs.checked_sub(1).expect("the config was read")
}

const START: &str = "#!/bin/sh\nset -e\nif [ \"$1\" = app ]; then\n  chown app /data\nfi\nexec \"$@\"\n";

#[test]
fn reads_only_the_necessary_layers_and_each_once() {
    let registry = Registry::start();
    let (elf, big) = (elf(), noise(300_000));
    let base =
        Image::new().layer(&[plain("big", &big), file("bin/sh", &elf)]).layer(&[plain("middle", b"x")]);
    let cache = scratch();
    let cached =
        |tag: &str| reapify(["inspect", &registry.name("app", tag)]).env("XDG_CACHE_HOME", cache.path());
    let top = base.layer(&[file("app", &elf)]).config(&config(r#""Entrypoint":["/app"]"#));
    top.in_registry(&registry, "app", "top");
    registry.clear_log();
    for expected in [1, 0] {
        let report = inspect(cached("top"));
        assert_eq!((&report["way"], &report["pid1"]["layer"]), (&"service".into(), &2.into()));
        assert_eq!(layers_read(&registry), expected, "layers read");
    }
    inspect(cached("top").arg("--no-cache"));
    assert_eq!(layers_read(&registry), 1, "without the cache");
    inspect(cached("top").arg("--shallow"));
    assert_eq!(layers_read(&registry), 0, "the config suffices");

    // A program searched on PATH is missing only after all layers were read, each once.
    let whole = top.layer(&[file("usr/bin/start", START.as_bytes())]);
    let whole = whole.config(&config(r#""Entrypoint":["start"],"Cmd":["/app"]"#));
    whole.in_registry(&registry, "app", "whole");
    registry.clear_log();
    for expected in [3, 0] {
        let report = inspect(cached("whole"));
        assert_eq!((&report["way"], &report["holds"]), (&"script".into(), &"yes".into()), "{report}");
        // One layer is cached from the previous image.
        assert_eq!(layers_read(&registry), expected, "layers read");
    }
}

#[test]
fn evidence_names_file_line_and_layer() {
    let dir = scratch();
    let elf = elf();
    let image = Image::new()
        .layer(&[file("bin/sh", &elf), file("app", &elf)])
        .layer(&[file("start.sh", START.as_bytes())])
        .config(&config(r#""Entrypoint":["/start.sh"],"Cmd":["/app"]"#));
    let name = image.in_layout(dir.path(), "v1");
    let report = inspect(reapify(["inspect", &name]));
    assert_eq!(report["pid1"]["path"], "/app");
    let exec = report["evidence"].as_array().expect("a list").iter().find(|e| e["line"] == 6);
    let exec = exec.unwrap_or_else(|| panic!("no evidence from line 6: {report}"));
    assert_eq!((&exec["file"], &exec["layer"]), (&"/start.sh".into(), &1.into()));
    let text = reapify(["inspect", &name]).run().succeeds().text();
    assert!(text.contains("/start.sh:6: "), "{text}");
}

#[test]
fn reads_an_unmarked_script_when_it_is_started() {
    let registry = Registry::start();
    let elf = elf();
    let image = Image::new()
        .layer(&[file("bin/sh", &elf), file("app", &elf), plain("run", b"echo hello\nexec /app\n")])
        .config(&config(r#""Entrypoint":["/bin/sh","/run"]"#));
    image.in_registry(&registry, "app", "v1");
    let report = inspect(reapify(["inspect", "--no-cache", &registry.name("app", "v1")]));
    assert_eq!((&report["way"], &report["pid1"]["path"]), (&"script".into(), &"/app".into()), "{report}");
}

#[test]
fn unreadable_layers_make_the_answer_unknown() {
    let dir = scratch();
    let name = Image::new()
        .raw_layer(
            b"no tar at all",
            "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
        )
        .config(&config(r#""Entrypoint":["/app"]"#))
        .in_layout(dir.path(), "v1");
    let report = inspect(reapify(["inspect", &name]));
    assert_eq!((&report["orphans_reaped"], &report["pid1"]["kind"]), (&"unknown".into(), &"unknown".into()));
    assert!(report["evidence"].to_string().contains("cannot be read"), "{report}");
    let strict = reapify(["inspect", "--check=strict", &name]).run().exits(8);
    strict.says("it is unknown whether a reaper is needed in").never_says("without --check");
}

#[test]
fn prints_several_images_as_a_table_or_as_lines_of_json() {
    let dir = scratch();
    let elf = elf();
    let image = Image::new().layer(&[file("app", &elf)]).config(&config(r#""Entrypoint":["/app"]"#));
    let unwrapped = image.in_layout(&dir.path().join("plain"), "v1");
    let wrapped = format!("oci:{}:v1", dir.path().join("wrapped").display());
    reapify(["wrap", &unwrapped, &wrapped]).run().succeeds();
    let absent = format!("oci:{}", dir.path().join("absent").display());

    let table = reapify(["inspect", &unwrapped, &absent, &wrapped]).run().exits(3).says("absent");
    let rows: Vec<Vec<String>> =
        table.text().lines().map(|line| line.split_whitespace().map(String::from).collect()).collect();
    assert_eq!(rows.len(), 3, "{}", table.text());
    assert_eq!(rows[1][..3], [unwrapped.clone(), "linux/amd64".into(), "service".into()]);
    assert_eq!(rows[2][..4], [wrapped.clone(), "linux/amd64".into(), "init".into(), "yes".into()]);

    // Each error names its image, in the order of the images.
    let missing = format!("{absent}-too");
    let failed = reapify(["inspect", "--output", "json", &absent, &wrapped, &missing]).run().exits(3);
    let errors: Vec<Value> =
        failed.stderr().lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    assert_eq!(errors.iter().map(|error| &error["image"]).collect::<Vec<_>>(), [&absent, &missing]);

    let lines = reapify(["inspect", "--output", "json", &unwrapped, &wrapped]).run().succeeds().text();
    let images: Vec<Value> = lines.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    assert_eq!(images.iter().map(|image| &image["image"]).collect::<Vec<_>>(), [&unwrapped, &wrapped]);
    assert!(images[0]["platforms"][0]["wrapped"].is_null());
    assert!(images[1]["platforms"][0]["wrapped"]["digest"].is_string());
}

#[test]
fn rejects_credentials_for_images_on_several_hosts() {
    let (one, two) = (Registry::start(), Registry::start());
    let images = [one.name("app", "v1"), two.name("app", "v1")];
    reapify(["inspect", "--src-creds", "joe:s3cret"]).args(&images).run().exits(2).says("one host");
    assert!(one.log().is_empty() && two.log().is_empty());
}

#[test]
fn the_recommended_command_works() {
    let dir = scratch();
    let elf = elf();
    let image = Image::new().layer(&[file("app", &elf)]).config(&config(r#""Entrypoint":["/app"]"#));
    let name = image.in_layout(&dir.path().join("a b"), "v1");
    let report = inspect(reapify(["inspect", &name]));
    let command = report["recommendation"]["command"].as_str().unwrap_or_else(|| panic!("{report}"));
    let program = env!("CARGO_BIN_EXE_reapify");
    let command = command.replacen("reapify", program, 1);
    support::run::tool("sh", ["-c", &command]).run().succeeds();
    let wrapped = format!("oci:{}:v1-reaped", dir.path().join("a b").display());
    assert_eq!(inspect(reapify(["inspect", &wrapped]))["way"], "init");
}

#[test]
fn an_image_that_wrap_leaves_alone_has_the_reason() {
    let registry = Registry::start();
    let text = config(r#""Entrypoint":["/app"]"#);
    let cases = [
        ("windows", text.replace("linux", "windows"), "the image is not for Linux"),
        (
            "vax",
            text.replace("amd64", "vax"),
            "however, wrap does not change this image: there is no reaper for linux/vax",
        ),
    ];
    for (tag, config, why) in cases {
        Image::new().layer(&[file("app", &elf())]).config(&config).in_registry(&registry, "app", tag);
        registry.clear_log();
        let report = inspect(reapify(["inspect", &registry.name("app", tag)]));
        let advice = &report["recommendation"];
        assert_eq!(advice["action"], "leave", "{report}");
        assert!(advice["why"].as_str().expect("a reason").ends_with(why), "{report}");
        // Layers of another system say nothing about a PID 1.
        assert_eq!(layers_read(&registry), usize::from(tag == "vax"), "{tag}");
    }
}
