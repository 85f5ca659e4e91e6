//! Random indexes: whatever they contain, a wrapped index can be verified, a second wrap changes nothing, and unwrap
//! restores every byte. A failure prints the seed that reproduces it.

mod support;

use std::collections::HashSet;
use std::path::Path;

use serde_json::{Value, json};
use support::dice::{Dice, seeds};
use support::image::{Family, Image, digest, file, layout_blob, layout_manifest, write_blob, write_index};
use support::index::image_for;
use support::registry::{Kind, Registry};
use support::run::reapify;
use support::{in_parallel, scratch};

/// The manifests created so far in a layout.
struct Forest<'a> {
    dice: Dice,
    dir: &'a Path,
    made: Vec<Value>,
    linux: usize,
}

const MACHINES: [&str; 7] = ["amd64", "arm64", "arm", "386", "s390x", "riscv64", "vax"];

impl Forest<'_> {
    fn descriptor(&mut self, media_type: &str, bytes: &[u8]) -> Value {
        write_blob(self.dir, bytes);
        let mut descriptor = json!({"mediaType": media_type, "digest": digest(bytes), "size": bytes.len()});
        if self.dice.below(4) == 0 {
            descriptor["annotations"] = json!({"note": self.dice.below(100).to_string()});
        }
        descriptor
    }

    fn image(&mut self) -> Value {
        let os = if self.dice.below(6) == 0 { "windows" } else { "linux" };
        let machine = *self.dice.of(&MACHINES);
        let family = *self.dice.of(&[Family::Oci, Family::Oci, Family::Docker]);
        let entrypoint = *self.dice.of(&["/app", "/app", "/app", "/sbin/tini"]);
        let image = image_for(os, machine, "", family);
        let config = String::from_utf8(image.config_bytes()).expect("a config").replace("/app", entrypoint);
        let image: Image = image.config(&config).layer(&[file("n", &[self.dice.below(3) as u8])]);
        // The config does not list the diff_id of the last layer yet.
        let ids = config.find("\"diff_ids\":[").expect("diff_ids") + "\"diff_ids\":[".len();
        let end = ids + config[ids..].find(']').expect("their end");
        let config = format!("{}$DIFF_IDS{}", &config[..ids], &config[end..]);
        let image = image.config(&config);
        image.blobs().iter().for_each(|blob| write_blob(self.dir, blob));
        let mut descriptor = self.descriptor(family.manifest(), &image.manifest_bytes());
        // Sometimes index and config disagree, or the index states nothing.
        match self.dice.below(10) {
            0 | 1 => {}
            2 if os == "linux" => {
                let other = *self.dice.of(&MACHINES);
                descriptor["platform"] = json!({"os": os, "architecture": other});
            }
            _ => descriptor["platform"] = json!({"os": os, "architecture": machine}),
        }
        let is_wrapped = os == "linux" && machine != "vax" && entrypoint == "/app";
        // Without a stated platform, an image for another system is read, and there is no reaper for it.
        self.linux += usize::from(is_wrapped);
        descriptor
    }

    fn artifact(&mut self) -> Value {
        let config = self.descriptor("application/vnd.oci.empty.v1+json", b"{}");
        let text = format!("statement {}", self.dice.below(5));
        let layer = self.descriptor("application/vnd.in-toto+json", text.as_bytes());
        let manifest = json!({
            "schemaVersion": 2, "mediaType": Family::Oci.manifest(), "artifactType": "application/vnd.in-toto+json",
            "config": config, "layers": [layer],
        });
        let mut descriptor = self.descriptor(Family::Oci.manifest(), manifest.to_string().as_bytes());
        // An attestation of an image, as BuildKit creates them, or one without a subject.
        if self.dice.below(2) == 0 && !self.made.is_empty() {
            let subject = self.dice.of(&self.made.clone())["digest"].clone();
            descriptor["platform"] = json!({"os": "unknown", "architecture": "unknown"});
            descriptor["annotations"] = json!({"vnd.docker.reference.type": "attestation-manifest", "vnd.docker.reference.digest": subject});
        }
        descriptor
    }

    fn index(&mut self, depth: usize) -> Value {
        let children: Vec<Value> = (0..self.dice.below(5)).map(|_| self.child(depth + 1)).collect();
        let mut index = json!({"schemaVersion": 2, "mediaType": Family::Oci.index(), "manifests": children});
        match self.dice.below(4) {
            0 => index["annotations"] = json!({"made": "by chance"}),
            1 => index["annotations"] = json!({}),
            2 => index["x-vendor"] = json!([1e3, null]),
            _ => {}
        }
        let text = match self.dice.below(2) {
            0 => serde_json::to_vec_pretty(&index).expect("JSON"),
            _ => serde_json::to_vec(&index).expect("JSON"),
        };
        self.descriptor(Family::Oci.index(), &text)
    }

    fn child(&mut self, depth: usize) -> Value {
        let child = match self.dice.below(12) {
            0 | 1 if !self.made.is_empty() => self.dice.of(&self.made.clone()).clone(),
            2 => self.artifact(),
            3 => self.descriptor("text/plain", b"what it is only its owner knows"),
            4 | 5 if depth < 4 => self.index(depth),
            _ => self.image(),
        };
        self.made.push(child.clone());
        child
    }
}

/// Returns everything to which a manifest refers, each digest once: digest, whether it is a manifest, media type.
fn below(root: &str, read: &dyn Fn(&str, bool) -> Vec<u8>) -> Vec<(String, bool, String)> {
    let mut found = vec![(root.to_owned(), true, Family::Oci.index().to_owned())];
    let mut seen = HashSet::from([root.to_owned()]);
    let mut next = 0;
    while let Some((name, is_manifest, _)) = found.get(next).cloned() {
        next += 1;
        let bytes = read(&name, is_manifest);
        if !is_manifest {
            continue;
        }
        let manifest: Value = serde_json::from_slice(&bytes).expect("a manifest");
        let children = manifest["manifests"].as_array().cloned().unwrap_or_default();
        let layers = manifest["layers"].as_array().cloned().unwrap_or_default();
        for descriptor in children.iter().chain(&layers).chain(manifest.get("config")) {
            let text = |field: &str| descriptor[field].as_str().expect("a string").to_owned();
            let kind = text("mediaType");
            let is_manifest =
                children.contains(descriptor) && (kind.contains("manifest") || kind.contains("index"));
            if seen.insert(text("digest")) {
                found.push((text("digest"), is_manifest, kind));
            }
        }
    }
    found
}

/// Checks that everything to which a manifest refers exists under its digest.
fn is_whole(dir: &Path, root: &str) -> Vec<(String, bool, String)> {
    below(root, &|name, _| layout_blob(dir, name))
}

/// Repeats the wrap in a registry, from one repository to another and in place: the result is always the same.
fn in_registry(dir: &Path, root: &str, result: &str, dice: &mut Dice) {
    let registry = Registry::start();
    // Registries reject some of these indexes, namely those with children that are not manifests.
    registry.set(|settings| settings.checks_references = false);
    for (name, is_manifest, kind) in is_whole(dir, root).into_iter().rev() {
        let bytes = layout_blob(dir, &name);
        match is_manifest {
            true => {
                drop(registry.put_manifest("app", if name == root { "v1" } else { &name }, &kind, &bytes))
            }
            false => drop(registry.put_blob("app", &bytes)),
        }
    }
    for (from, repository, tag) in [("app", "copy", "v1"), ("app", "app", "beside"), ("app", "app", "v1")] {
        let names = [registry.name(from, "v1"), registry.name(repository, tag)];
        let report = reapify(["wrap", "--attestations", "keep", "--output", "json"])
            .args(names)
            .run()
            .succeeds()
            .json();
        assert_eq!(report["digest"], result, "to {repository}:{tag}");
        assert_eq!(registry.manifest(repository, tag).expect("a result").digest, result);
        below(result, &|name, is_manifest| match is_manifest {
            true => registry.manifest(repository, name).expect("a manifest").bytes.to_vec(),
            false => registry.blob(repository, name).expect("a blob"),
        });
        assert_eq!(registry.open_uploads(), 0, "uploads that were opened are used or cancelled");
        // Nothing is read or written twice, however often it is referred to.
        let mut asked = HashSet::new();
        for entry in registry.log().entries {
            let what = match entry.asked.kind {
                Kind::Manifest { reference, .. } => reference,
                Kind::Blob { digest, .. } => digest,
                Kind::Upload { .. } if entry.asked.method == "PUT" => entry.asked.query["digest"].clone(),
                Kind::StartUpload { .. } => match entry.asked.query.get("mount") {
                    Some(digest) => digest.clone(),
                    None => continue,
                },
                _ => continue,
            };
            let request = format!("{} {} {what}", entry.asked.method, entry.asked.path.contains("/copy/"));
            // Layers that show the machine of a program are read for that, once per image, and then transferred.
            let is_look = entry.asked.method == "GET" && entry.asked.path.contains("/blobs/");
            assert!(asked.insert(request.clone()) || is_look, "{request}\n{:#?}", registry.log().lines());
        }
        registry.clear_log();
    }
    damaged(&registry, root, result, dice);
}

/// Removes or edits something at the destination: the next run repairs it, or fails.
fn damaged(registry: &Registry, root: &str, result: &str, dice: &mut Dice) {
    let read = |name: &str, is_manifest: bool| match is_manifest {
        true => registry.manifest("copy", name).map(|stored| stored.bytes.to_vec()),
        false => registry.blob("copy", name),
    };
    let all = below(result, &|name, is_manifest| read(name, is_manifest).expect("it was whole"));
    for _ in 0..3 {
        let (name, is_manifest, _) = dice.of(&all).clone();
        let options: &[&str] = match is_manifest {
            true if name == result => {
                // Another tool copies the source over the result.
                let source = registry.manifest("app", root).expect("the source");
                registry.put_manifest("copy", "v1", &source.media_type, &source.bytes);
                &[]
            }
            true => {
                registry.remove_manifest("copy", &name);
                &[]
            }
            false => {
                registry.remove_blob("copy", &name);
                &["--recheck"]
            }
        };
        let names = [registry.name("app", "v1"), registry.name("copy", "v1")];
        // In place, the source is what another tool or an earlier run left there.
        registry.put_manifest(
            "app",
            "v1",
            Family::Oci.index(),
            &registry.manifest("app", root).expect("a source").bytes,
        );
        let outcome = reapify(["wrap", "--attestations", "keep"]).args(options).args(names).run();
        if outcome.code() == 0 {
            assert_eq!(outcome.digest(), result);
            below(result, &|name, is_manifest| {
                read(name, is_manifest).expect("whole, or the command failed")
            });
        }
        // The source is complete: there is no reason to fail.
        outcome.succeeds();
    }
}

fn try_one(seed: u64) {
    println!("seed {seed}");
    let scratch = scratch();
    let dir = |name: &str| scratch.path().join(name);
    let name = |name: &str| format!("oci:{}:v1", dir(name).display());
    let mut forest = Forest { dice: Dice::new(seed), dir: &dir("source"), made: Vec::new(), linux: 0 };
    forest.index(0);
    let root = forest.index(0);
    let linux = forest.linux;
    let platform = format!("linux/{}", forest.dice.of(&MACHINES));
    let source = layout_blob(&dir("source"), root["digest"].as_str().expect("a digest"));
    write_index(&dir("source"), &[("v1", Family::Oci.index(), &source)]);

    let wrap = |from: &str, to: &str, options: &[&str]| {
        reapify(["wrap", "--output", "json"]).args(options).args([name(from), name(to)]).run()
    };
    let keep = ["--attestations", "keep"];
    let report = wrap("source", "out", &keep).succeeds().json();
    let wrapped = |report: &Value| {
        report["platforms"].as_array().expect("platforms").iter().filter(|p| p["action"] == "wrapped").count()
    };
    assert!(linux > 0 || wrapped(&report) == 0, "seed {seed}");
    let result = report["digest"].as_str().expect("a digest");
    is_whole(&dir("out"), result);
    in_registry(&dir("source"), &digest(&source), result, &mut Dice::new(seed));
    // An archive contains the same, each member once, because a duplicate would be rejected.
    let archive = format!("oci-archive:{}:v1", dir("out.tar").display());
    let archived = reapify(["wrap"]).args(keep).args([&name("source"), &archive]).run().succeeds();
    assert_eq!(archived.digest(), result, "seed {seed}");
    reapify(["wrap"]).args(keep).args([&archive, &name("unpacked")]).run().succeeds();
    is_whole(&dir("unpacked"), result);
    let again = wrap("out", "twice", &keep).succeeds().json();
    assert_eq!(again["digest"], result, "seed {seed}");
    assert_eq!(wrap("source", "out", &keep).succeeds().json()["digest"], result, "seed {seed}");
    if wrapped(&report) > 0 {
        reapify(["verify", "--deep", &name("out"), "--source", &name("source")]).run().succeeds();
        reapify(["unwrap", &name("out"), &name("back")]).run().succeeds();
        assert_eq!(layout_manifest(&dir("back"), "v1"), source, "seed {seed}");
        is_whole(&dir("back"), &digest(&source));
    } else {
        assert_eq!(result, digest(&source), "seed {seed}");
        reapify(["unwrap", &name("out"), &name("back")]).run().exits(5);
    }

    // Another reaper or other options give the same result as if they had been used first.
    let group = ["--group", "--attestations", "keep"];
    wrap("source", "group", &group).succeeds();
    assert_eq!(wrap("group", "upgraded", &keep).succeeds().json()["digest"], result, "seed {seed}");

    // Media types that were converted are restored, too.
    for format in ["oci", "docker"] {
        let (to, back) = (format.to_string(), format!("{format}-back"));
        let options = ["--format", format, "--attestations", "keep"];
        let report = wrap("source", &to, &options).succeeds().json();
        let result = report["digest"].as_str().expect("a digest");
        is_whole(&dir(&to), result);
        let again = wrap(&to, &format!("{to}-again"), &options).succeeds().json();
        assert_eq!(again["digest"], result, "seed {seed} {format}");
        if wrapped(&report) > 0 {
            reapify(["verify", &name(&to), "--source", &name("source")]).run().succeeds();
            reapify(["unwrap", &name(&to), &name(&back)]).run().succeeds();
            assert_eq!(layout_manifest(&dir(&back), "v1"), source, "seed {seed}");
            is_whole(&dir(&back), &digest(&source));
        }
    }

    // If children are dropped, the kept ones are those of the source, and remain so.
    let some = ["--platform", platform.as_str(), "--attestations", "keep"];
    for (to, options) in [("less", &[][..]), ("few", &some[..2]), ("some", &some)] {
        let outcome = wrap("source", to, options);
        if outcome.code() == 2 {
            outcome.says("no platform");
            continue;
        }
        // A platform that was requested but cannot be wrapped is an error.
        if outcome.code() == 5 && platform == "linux/vax" {
            outcome.says("no reaper for linux/vax");
            continue;
        }
        let report = outcome.succeeds().json();
        let result = report["digest"].as_str().expect("a digest");
        is_whole(&dir(to), result);
        // A second run has nothing to do, whether the source is wrapped or not.
        for (from, again) in [(to, "again"), ("out", "late")] {
            let report = wrap(from, &format!("{to}-{again}"), options).succeeds().json();
            assert_eq!(report["digest"], result, "seed {seed} {from} {options:?}");
        }
        if wrapped(&report) > 0 {
            reapify(["verify", &name(to), "--source", &name("source")]).run().succeeds();
            let back = format!("{to}-back");
            reapify(["unwrap", &name(to), &name(&back)]).run().succeeds();
            // Kept children are unchanged, except indexes that lost children.
            let is_index = |kind: &str| kind == Family::Oci.index();
            let root = digest(&layout_manifest(&dir(&back), "v1"));
            let restored = is_whole(&dir(&back), &root);
            let all = is_whole(&dir("source"), &digest(&source));
            let all: HashSet<String> = all.into_iter().map(|one| one.0).collect();
            for (name, _, kind) in restored.iter().filter(|one| !is_index(&one.2)) {
                assert!(all.contains(name), "seed {seed}: {name} {kind}");
            }
        }
    }
}

#[test]
fn wraps_verifies_and_unwraps_random_indexes() {
    in_parallel(seeds(45), try_one);
}
