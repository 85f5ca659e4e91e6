//! Bytes are preserved, and equal inputs give equal results.

mod support;

use serde_json::Value;
use support::image::{Family, Image, digest, file, layout_blob, layout_manifest};
use support::registry::Registry;
use support::run::reapify;
use support::{project, scratch, zombies};

/// A config with everything that typed tools lose.
const ODD: &str = r#"{ "architecture" : "amd64" ,"os":"linux","x-vendor":{"n":1e3,"big":12345678901234567890123,"f":1.10},
  "created":"2024-01-02T03:04:05.123456789Z", "config": {"Entrypoint" : [ "/app" , "\u003cx\u003e" ],"Healthcheck":{"Test":["NONE"],
  "StartInterval":5000000000},"StopTimeout":30,"OnBuild":["RUN \u0026 true"],"Shell":["/bin/bash","-c"],"ArgsEscaped":true,
  "Labels":{"a\/b":"\u00e9"} },"moby.buildkit.buildinfo.v1":"e30=","os.features":["x"],
  "history":[{"created_by":"one"},{"created_by":"two","empty_layer":true}] ,
	"rootfs" : {"type":"layers","diff_ids":[$DIFF_IDS]} }
"#;

#[test]
fn changes_only_the_intended_bytes_of_a_config() {
    let dir = scratch();
    let source = Image::new().layer(&[file("app", b"x")]).config(ODD);
    let from = source.in_layout(&dir.path().join("a"), "v1");
    let to = dir.path().join("b");
    reapify(["wrap", &from, &format!("oci:{}:v1", to.display())]).run().succeeds();
    let manifest: Value = serde_json::from_slice(&layout_manifest(&to, "v1")).unwrap();
    let after = String::from_utf8(layout_blob(&to, manifest["config"]["digest"].as_str().unwrap())).unwrap();
    let before = String::from_utf8(source.config_bytes()).unwrap();

    // Removing by hand what wrap adds restores the source; nothing else changed.
    let added =
        serde_json::from_str::<Value>(&after).unwrap()["rootfs"]["diff_ids"][1].as_str().unwrap().to_owned();
    let labels = after.find(r#","io.reapify."#).expect("labels");
    let end = labels + after[labels..].find("} },").expect("the end of the labels");
    let history =
        after.find(r#",{"created":"2024-01-02T03:04:05.123456789Z","created_by":"reapify"#).expect("history");
    let history_end = history + after[history..].find('}').unwrap() + 1;
    let mut restored = after.clone();
    restored.replace_range(history..history_end, "");
    restored.replace_range(labels..end, "");
    let restored =
        restored.replace(r#"["/.reaper","--", "/app""#, r#"[ "/app""#).replace(&format!(",\"{added}\""), "");
    assert_eq!(restored, before);

    let back = dir.path().join("c");
    let digest =
        reapify(["unwrap", &format!("oci:{}:v1", to.display()), &format!("oci:{}:v1", back.display())])
            .run()
            .succeeds()
            .digest();
    assert_eq!(digest, source.digest());
    assert_eq!(layout_manifest(&back, "v1"), source.manifest_bytes());
}

/// Pinned: the same source, reaper and options give this digest on every machine, at any time.
#[test]
fn the_digest_is_the_same_on_every_machine() {
    let reaper = project("testdata/tiny-init").display().to_string();
    for _ in 0..2 {
        let dir = scratch();
        let to = format!("oci:{}:v1", dir.path().display());
        let result = reapify(["wrap", "--reaper", &reaper, "--if-init", "wrap", &zombies(), &to])
            .run()
            .succeeds()
            .digest();
        assert_eq!(result, "sha256:8cb90818b3d19d50ca3ce37f9b9074a413b169eb312df20a148c3fb2521c27f3");
    }
}

#[test]
fn reports_the_digest_on_standard_output_in_the_file_and_in_json() {
    let dir = scratch();
    let to = format!("oci:{}:v1", dir.path().join("a").display());
    let file = dir.path().join("digest");
    let outcome = reapify(["wrap", "--digest-file", &file.display().to_string(), &zombies(), &to])
        .run()
        .succeeds()
        .silently();
    let line = outcome.digest();
    assert_eq!(std::fs::read_to_string(&file).unwrap(), line);
    assert_eq!(digest(&layout_manifest(&dir.path().join("a"), "v1")), line);
    let json =
        reapify(["wrap", "--output", "json", "-q", &zombies(), &to]).run().succeeds().silently().json();
    let mut keys: Vec<&str> = json.as_object().unwrap().keys().map(String::as_str).collect();
    keys.sort_unstable();
    assert_eq!(
        keys,
        [
            "action",
            "destination",
            "digest",
            "notes",
            "platforms",
            "reason",
            "source",
            "source_digest",
            "stats",
            "warnings",
            "written"
        ]
    );
    let mut stats: Vec<&str> = json["stats"].as_object().unwrap().keys().map(String::as_str).collect();
    stats.sort_unstable();
    assert_eq!(
        stats,
        [
            "blobs_copied",
            "blobs_existing",
            "blobs_mounted",
            "bytes_pulled",
            "bytes_pushed",
            "elapsed_ms",
            "requests",
            "retries"
        ]
    );
    assert_eq!((json["digest"].as_str(), json["action"].as_str()), (Some(line.as_str()), Some("unchanged")));
}

#[test]
fn a_dry_run_lists_every_change_and_makes_none() {
    let dir = scratch();
    let to = format!("oci:{}:v1", dir.path().join("a").display());
    let dry = reapify(["wrap", "--dry-run", "--output", "json", &zombies(), &to]).run().succeeds().json();
    assert!(!dir.path().join("a").exists());
    let changes = dry["changes"].as_array().unwrap();
    let entrypoint = changes.iter().find(|c| c["pointer"] == "/config/Entrypoint").unwrap();
    assert!(entrypoint["after"].as_str().unwrap().starts_with(r#"["/.reaper","--","#));
    assert_eq!(changes.iter().filter(|c| c["blob"].is_string()).count(), 4);
    let done = reapify(["wrap", &zombies(), &to]).run().succeeds().digest();
    assert_eq!(dry["digest"], done);
    let none = reapify(["wrap", "--dry-run", &zombies(), &to]).run().succeeds();
    assert!(none.text().starts_with("nothing would change"), "{none}");
}

#[test]
fn records_and_unwraps_another_init() {
    let dir = scratch();
    let (to, back) = (
        format!("oci:{}:v1", dir.path().join("a").display()),
        format!("oci:{}:v1", dir.path().join("b").display()),
    );
    let tini = "linux/amd64=/usr/bin/tini-static";
    let wrap =
        || reapify(["wrap", "--reaper", tini, "--output", "json", &zombies(), &to]).run().succeeds().json();
    let first = wrap();
    assert_eq!(wrap()["digest"], first["digest"]);
    let inspected = reapify(["inspect", "--output", "json", &to]).run().succeeds().json();
    let reaper = &inspected["platforms"][0]["wrapped"];
    assert!(reaper["digest"].is_string() && reaper["version"].is_null(), "{reaper}");
    // Another reaper must be declared as expected.
    reapify(["verify", &to, "--source", &zombies()]).run().exits(6).says("--reaper");
    reapify(["verify", &to, "--source", &zombies(), "--reaper", tini]).run().succeeds();
    let restored = reapify(["unwrap", &to, &back]).run().succeeds().digest();
    assert_eq!(restored, first["source_digest"].as_str().unwrap());
    reapify(["inspect", "--check", &to]).run().succeeds();
    reapify(["inspect", "--check=strict", &back]).run().exits(8).says("linux/amd64");
}

#[test]
fn the_result_keeps_the_media_types_of_the_source() {
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
