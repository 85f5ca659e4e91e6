//! The mirror: what a pass does, what it costs, and what it reports.

use crate::support::image::Family;
use crate::support::index::{attestation, child, image_for, put_index};
use crate::support::mirror::{Config, actions, image, lines, referrer};
use crate::support::registry::{Act, Auth, Bearer, Kind, Registry, Reply};
use crate::support::run::reapify;
use serde_json::Value;
use std::collections::BTreeMap;

/// Counts every request except those for tags and to token servers, as `METHOD kind`.
fn requests(registry: &Registry) -> BTreeMap<String, usize> {
    let mut counts = BTreeMap::new();
    for entry in registry.log().entries {
        let kind = match entry.asked.kind {
            Kind::Manifest { .. } => "manifest",
            Kind::Blob { .. } => "blob",
            Kind::Tags { .. } => "tags",
            Kind::Catalog => "catalog",
            _ => "other",
        };
        *counts.entry(format!("{} {kind}", entry.asked.method)).or_default() += 1;
    }
    counts
}

fn counted(list: &[(&str, usize)]) -> BTreeMap<String, usize> {
    list.iter().map(|(name, count)| (name.to_string(), *count)).collect()
}

/// Pushes images of every kind to `app`: an image, one with an init, an index with attestations, and one with
/// Docker's types.
fn shapes(registry: &Registry) {
    image("plain").in_registry(registry, "app", "plain");
    let init = r#"{"os":"linux","architecture":"amd64","config":{"Entrypoint":["/sbin/tini","--","/app"]},"rootfs":{"type":"layers","diff_ids":[$DIFF_IDS]}}"#;
    image("init").config(init).in_registry(registry, "app", "init");
    let (one, two) =
        (image_for("linux", "amd64", "", Family::Oci), image_for("linux", "arm64", "", Family::Oci));
    one.in_registry(registry, "app", "one");
    two.in_registry(registry, "app", "two");
    let statement = attestation(registry, "app", &one.digest());
    let children = [child(&one, "linux", "amd64"), child(&two, "linux", "arm64"), statement];
    put_index(registry, "app", "index", Family::Oci, &children);
    image("docker").family(Family::Docker).in_registry(registry, "app", "docker");
}

#[test]
fn a_pass_gives_the_results_of_wrap_and_the_next_one_changes_nothing() {
    let (source, target) = (Registry::start(), Registry::start());
    shapes(&source);
    let config = Config::between(&source, &target, "");
    let report = config.once();
    let wrapped = ["docker", "index", "one", "plain", "two"];
    for (name, line) in &report {
        let tag = name.strip_prefix("copy/app:").unwrap();
        let action = if wrapped.contains(&tag) { "wrapped" } else { "skipped" };
        assert_eq!(line["action"], action, "{line}");
        let alone = Registry::start();
        let from = source.name("app", tag);
        let made = reapify(["wrap", "--output", "json", &from, &alone.name("copy/app", tag)]).run();
        assert_eq!(made.succeeds().json()["digest"], line["digest"], "{name}");
        assert_eq!(target.complete("copy/app", tag), line["digest"].as_str().unwrap());
    }
    assert_eq!(report.len(), 6);
    assert_eq!((source.open_uploads(), target.open_uploads()), (0, 0));

    source.clear_log();
    target.clear_log();
    let report = config.once();
    assert!(report.values().all(|line| line["action"] == "unchanged" && line["written"] == false));
    assert_eq!(requests(&source), counted(&[("HEAD manifest", 6), ("GET tags", 1)]));
    // One GET per image, and the config if there are no annotations: Docker's types, and images with an init.
    assert_eq!(requests(&target), counted(&[("GET manifest", 6), ("GET blob", 2)]));

    image("changed").in_registry(&source, "app", "plain");
    source.clear_log();
    let report = config.once();
    let changed: Vec<_> = report.values().filter(|line| line["action"] != "unchanged").collect();
    assert_eq!(changed.len(), 1, "{changed:?}");
    assert_eq!((&changed[0]["action"], &changed[0]["written"]), (&"wrapped".into(), &true.into()));
    let read = source.log().count(|entry| entry.asked.method == "GET" && entry.asked.kind != Kind::Other);
    // The tags, the manifest, the config, and the layer that the destination lacks.
    assert_eq!(read, 4, "{:#?}", source.log().lines());
}

#[test]
fn transfers_a_shared_blob_once() {
    let (source, target) = (Registry::start(), Registry::start());
    for tag in 0..20 {
        image(&format!("app {tag}")).in_registry(&source, &format!("app/{}", tag % 4), &tag.to_string());
    }
    let entries: Vec<String> = (0..4)
        .map(|n| {
            let (source, target) = (source.host(), target.host());
            format!("  - {{source: {source}/app/{n}, target: {target}/copy/{n}, type: repository}}\n")
        })
        .collect();
    let config = Config::new(&format!("version: 1\nsync:\n{}", entries.join("")));
    config.once();
    let base = image("").blobs()[0].clone();
    let base = crate::support::image::digest(&base);
    let reads = source.log().count(|entry| {
        matches!(&entry.asked.kind, Kind::Blob { digest, .. } if *digest == base)
            && entry.asked.method == "GET"
    });
    assert_eq!(reads, 1, "the layer that all images share is read once");
    // 20 layers and 20 configs, the shared layer and the reaper are each uploaded once.
    let uploads = target.log().count(|entry| entry.asked.method == "PUT" && !entry.asked.writes_manifest());
    assert_eq!(uploads, 42, "{:#?}", target.log().lines());
    // Uploads are opened before they are known to be necessary, but not again for each image.
    let cancelled = target.log().count(|entry| entry.asked.method == "DELETE");
    assert!(cancelled <= 2, "{cancelled} uploads were opened in vain");
    for tag in 0..20 {
        target.complete(&format!("copy/{}", tag % 4), &tag.to_string());
    }
}

#[test]
fn copies_digest_tags_and_referrers_once() {
    let (source, target) = (Registry::start(), Registry::start());
    source.set(|settings| settings.referrers = true);
    let plain = image("a");
    plain.in_registry(&source, "app", "v1");
    let subject = plain.digest();
    let tag = format!("{}.custom", subject.replace(':', "-"));
    image("beside").in_registry(&source, "app", &tag);
    let name = referrer(&source, "app", &plain);
    let more = "    tags: {allow: [v1]}\n    wrap: {mode: copy}\n    digestTags: true\n    referrers: true\n";
    let config = Config::between(&source, &target, more);
    assert_eq!(config.once()["copy/app:v1"]["action"], "copied");
    for reference in ["v1", &tag, &name] {
        target.complete("copy/app", reference);
    }
    source.clear_log();
    target.clear_log();
    assert_eq!(config.once()["copy/app:v1"]["action"], "unchanged");
    let pulls = |entry: &crate::support::registry::Entry| {
        entry.asked.method == "GET" && matches!(entry.asked.kind, Kind::Manifest { .. } | Kind::Blob { .. })
    };
    assert_eq!(source.log().count(pulls), 0, "{:#?}", source.log().lines());
    assert_eq!(target.log().count(|entry| entry.asked.method == "PUT"), 0, "{:#?}", target.log().lines());
}

#[test]
fn wraps_images_in_place() {
    let registry = Registry::start();
    image("a").in_registry(&registry, "app", "a");
    let host = registry.host();
    let config = Config::new(&format!(
        "version: 1\nsync:\n  - {{source: {host}/app, target: {host}/app, type: repository}}\n"
    ));
    assert_eq!(config.once()["app:a"]["action"], "wrapped");
    let digest = registry.complete("app", "a");
    assert_eq!(config.once()["app:a"]["action"], "unchanged");
    assert_eq!(registry.complete("app", "a"), digest);
}

#[test]
fn images_that_cannot_be_wrapped_are_copied_skipped_or_failures() {
    let source = Registry::start();
    let text = r#"{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json","artifactType":"text/x","config":{"mediaType":"application/vnd.oci.empty.v1+json","digest":"sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a","size":2},"layers":[]}"#;
    source.put_blob("app", b"{}");
    source.put_manifest("app", "chart", Family::Oci.manifest(), text.as_bytes());
    for (choice, action, code, is_there) in
        [("carry", "skipped", 0, true), ("skip", "skipped", 0, false), ("fail", "failed", 9, false)]
    {
        let target = Registry::start();
        let config = Config::between(&source, &target, &format!("    onUnsupported: {choice}\n"));
        let report = config.file("report");
        config.run("once").arg("--report").arg(&report).run().exits(code);
        assert_eq!(lines(&report)["copy/app:chart"]["action"], action, "{choice}");
        assert_eq!(target.manifest("copy/app", "chart").is_some(), is_there, "{choice}");
        if is_there {
            target.complete("copy/app", "chart");
            assert_eq!(config.once()["copy/app:chart"]["action"], "unchanged");
        }
    }
}

#[test]
fn applies_the_modes_platforms_and_options_of_the_entry() {
    let (source, target) = (Registry::start(), Registry::start());
    shapes(&source);
    let (from, to) = (source.host(), target.host());
    let entry = |name: &str, more: &str| {
        format!("  - {{source: '{from}/app:index', target: '{to}/{name}:v1', type: image, {more}}}\n")
    };
    let config = Config::new(&format!(
        "version: 1\nsync:\n{}{}{}{}{}",
        entry("copied", "wrap: {mode: copy}"),
        entry("off", "wrap: {mode: off}"),
        entry("one", "platform: linux/arm64"),
        entry("short", "platforms: [linux/amd64]"),
        entry("options", "wrap: {grace: 2s, group: true, path: /reaper}"),
    ));
    let lines = config.once();
    let expected =
        [("copied:v1", "copied"), ("one:v1", "wrapped"), ("options:v1", "wrapped"), ("short:v1", "wrapped")];
    assert_eq!(actions(&lines), expected);
    let plain = source.manifest("app", "index").unwrap();
    assert_eq!(target.complete("copied", "v1"), plain.digest);
    let media_type = |name: &str| target.manifest(name, "v1").unwrap().media_type;
    assert_eq!(media_type("one"), Family::Oci.manifest());
    assert_eq!(media_type("short"), Family::Oci.index());
    let made = Registry::start();
    let options = ["--grace", "2", "--group", "--path", "/reaper", "--output", "json"];
    let wrap =
        reapify(["wrap"]).args(options).args([source.name("app", "index"), made.name("options", "v1")]);
    assert_eq!(wrap.run().succeeds().json()["digest"], lines["options:v1"]["digest"]);
    assert!(config.once().values().all(|line| line["action"] == "unchanged"));
}

#[test]
fn other_platforms_in_an_entry_replace_what_the_destination_has() {
    for family in [Family::Oci, Family::Docker] {
        let source = Registry::start();
        let images = ["amd64", "arm64"].map(|machine| image_for("linux", machine, "", family));
        images.iter().for_each(|image| drop(image.in_registry(&source, "app", "part")));
        let children: Vec<Value> =
            images.iter().zip(["amd64", "arm64"]).map(|(image, m)| child(image, "linux", m)).collect();
        put_index(&source, "app", "index", family, &children);
        let copy = "    wrap: {mode: copy}\n";
        for (before, more, media_type) in [
            (copy, "    wrap: {mode: copy}\n    platforms: [linux/amd64]\n", family.index()),
            (copy, "    wrap: {mode: copy}\n    platform: linux/amd64\n", family.manifest()),
            ("", "    platforms: [linux/amd64]\n", family.index()),
            ("", "    platform: linux/amd64\n", family.manifest()),
        ] {
            let target = Registry::start();
            let between = |more: &str| {
                Config::between(&source, &target, &format!("    tags: {{allow: [index]}}\n{more}"))
            };
            between(before).once();
            let all = target.complete("copy/app", "index");
            let config = between(more);
            config.run("check").run().exits(8);
            let line = &config.once()["copy/app:index"];
            assert!(line["written"] == true && line["digest"] != all.as_str(), "{family:?} {more}: {line}");
            assert_eq!(target.manifest("copy/app", "index").unwrap().media_type, media_type, "{more}");
            let part = target.complete("copy/app", "index");
            assert_eq!(config.once()["copy/app:index"]["action"], "unchanged", "{family:?} {more}");
            config.run("check").run().succeeds();
            assert_eq!(target.complete("copy/app", "index"), part);
        }
    }
}

#[test]
fn an_unchanged_docker_list_costs_three_requests() {
    let (source, target) = (Registry::start(), Registry::start());
    let machines = ["amd64", "arm64", "s390x", "ppc64le"];
    let images = machines.map(|machine| image_for("linux", machine, "", Family::Docker));
    images.iter().for_each(|image| drop(image.in_registry(&source, "app", "part")));
    let children: Vec<Value> =
        images.iter().zip(machines).map(|(image, m)| child(image, "linux", m)).collect();
    put_index(&source, "app", "list", Family::Docker, &children);
    let config = Config::between(&source, &target, "    tags: {allow: [list]}\n");
    assert_eq!(config.once()["copy/app:list"]["action"], "wrapped");
    let wrapped = target.complete("copy/app", "list");
    source.clear_log();
    target.clear_log();
    assert_eq!(config.once()["copy/app:list"]["action"], "unchanged");
    assert_eq!(requests(&source), counted(&[("HEAD manifest", 1), ("GET tags", 1)]));
    assert_eq!(requests(&target), counted(&[("GET manifest", 2), ("GET blob", 1)]));

    let (from, to) = (source.name("app", "list"), target.name("copy/app", "list"));
    reapify(["verify", &to, "--source", &from]).run().succeeds();
    reapify(["wrap", &from, &to]).run().succeeds().says("unchanged");
    assert_eq!(
        reapify(["unwrap", &to, &target.name("back", "list")]).run().succeeds().digest(),
        source.complete("app", "list")
    );
    // An image that somebody put in place of another is noticed, although the record stays.
    let other = image("other").family(Family::Docker);
    other.in_registry(&target, "copy/app", "other");
    let mut list: Value =
        serde_json::from_slice(&target.manifest("copy/app", "list").unwrap().bytes).unwrap();
    list["manifests"][2] = child(&other, "linux", "s390x");
    target.put_manifest("copy/app", "list", Family::Docker.index(), list.to_string().as_bytes());
    assert_eq!(config.once()["copy/app:list"]["action"], "wrapped");
    assert_eq!(target.complete("copy/app", "list"), wrapped);
}

#[test]
fn keeps_replaced_images_under_the_backup_name() {
    let (source, target) = (Registry::start(), Registry::start());
    image("old").in_registry(&source, "app", "v1");
    let config = Config::between(&source, &target, "    backup: '{{.Ref.Tag}}-old'\n");
    config.once();
    assert_eq!(target.tags("copy/app").len(), 1);
    let old = target.complete("copy/app", "v1");
    image("new").in_registry(&source, "app", "v1");
    config.once();
    assert_ne!(target.complete("copy/app", "v1"), old);
    assert_eq!(target.complete("copy/app", "v1-old"), old);
}

#[test]
fn mirrors_only_missing_images_if_requested() {
    let (source, target) = (Registry::start(), Registry::start());
    image("a").in_registry(&source, "app", "a");
    let config = Config::between(&source, &target, "");
    config.once();
    let first = target.complete("copy/app", "a");
    image("changed").in_registry(&source, "app", "a");
    image("b").in_registry(&source, "app", "b");
    config.run("once").arg("--missing").run().succeeds();
    assert_eq!(target.complete("copy/app", "a"), first);
    target.complete("copy/app", "b");
}

#[test]
fn a_recheck_restores_lost_blobs() {
    let (source, target) = (Registry::start(), Registry::start());
    image("a").in_registry(&source, "app", "a");
    let config = Config::between(&source, &target, "");
    config.once();
    let lost = crate::support::image::digest(&image("a").blobs()[1]);
    target.remove_blob("copy/app", &lost);
    assert_eq!(config.once()["copy/app:a"]["action"], "unchanged");
    config.run("once").arg("--recheck").run().succeeds().prints_some("repaired");
    target.complete("copy/app", "a");
}

#[test]
fn requests_tokens_for_one_repository() {
    let (source, target) = (Registry::start(), Registry::start());
    for n in 0..6 {
        image(&n.to_string()).in_registry(&source, &format!("team/app{n}"), "v1");
        image(&n.to_string()).in_registry(&source, &format!("team/app{n}"), "v2");
    }
    for registry in [&source, &target] {
        registry.set(|settings| settings.auth = Auth::Bearer(Bearer::new("ann", "s3cret")));
    }
    let (from, to) = (source.host(), target.host());
    let entries: Vec<String> = (0..6)
        .map(|n| format!("  - {{source: {from}/team/app{n}, target: {to}/copy/{n}, type: repository}}\n"))
        .collect();
    let creds: Vec<String> = [&from, &to]
        .iter()
        .map(|host| format!("  - {{registry: '{host}', user: ann, pass: s3cret}}\n"))
        .collect();
    let config = Config::new(&format!("version: 1\ncreds:\n{}sync:\n{}", creds.join(""), entries.join("")));
    let report = config.file("report");
    config.run("once").arg("--report").arg(&report).run().succeeds().never_says("s3cret");
    assert!(lines(&report).values().all(|line| line["action"] == "wrapped"));
    for (registry, most) in [(&source, 2), (&target, 3)] {
        let issued = registry.issued();
        for token in &issued {
            let names: std::collections::BTreeSet<&str> =
                token.asked.iter().filter_map(|scope| scope.split(':').nth(1)).collect();
            // A mount also names the repository from which it takes a blob.
            assert!(names.len() <= most, "{names:?}");
        }
    }
    assert!(source.issued().len() <= 7, "{} tokens for six repositories", source.issued().len());
}

#[test]
fn a_faulty_source_affects_only_its_own_images() {
    let (source, target) = (Registry::start(), Registry::start());
    let bad = ["busy", "cut", "garbage", "html", "lie", "stall"];
    for tag in bad.iter().chain(&["good", "better"]) {
        image(tag).in_registry(&source, &format!("app/{tag}"), "v1");
    }
    source.hook(|asked| {
        let is_read = asked.method == "GET" && matches!(asked.kind, Kind::Manifest { .. });
        match asked.kind.repository().and_then(|name| name.strip_prefix("app/")).filter(|_| is_read) {
            Some("busy") => Act::Answer(Reply::status(429).header("retry-after", "1")),
            Some("cut") => Act::alter(|reply| reply.cut_at(20)),
            Some("garbage") => Act::Answer(Reply::status(200).body("{\"schemaVersion\": 2, \"x\"")),
            Some("html") => Act::Answer(Reply::html(200)),
            Some("lie") => Act::alter(|reply| reply.body("{\"schemaVersion\":2}")),
            Some("stall") => Act::alter(|reply| reply.stall_at(5)),
            _ => Act::Serve,
        }
    });
    let config = Config::new(&format!(
        "version: 1\nsync:\n  - {{source: {}/app, target: {}/copy, type: registry}}\n",
        source.host(),
        target.host()
    ));
    let report = config.file("report");
    let run = config.run("once").args(["--retries", "1", "--timeout", "2", "--report"]).arg(&report);
    run.run().exits(9).says("6 of 8 images failed");
    for (name, line) in lines(&report) {
        let tag = name.strip_prefix("copy/").unwrap().strip_suffix(":v1").unwrap();
        let is_bad = bad.contains(&tag);
        assert_eq!(line["action"], if is_bad { "failed" } else { "wrapped" }, "{line}");
        assert_eq!(target.manifest(&format!("copy/{tag}"), "v1").is_none(), is_bad, "{tag}");
    }
    source.behave();
    config.run("once").run().succeeds();
    for tag in bad {
        target.complete(&format!("copy/{tag}"), "v1");
    }
}
