//! `verify` detects every difference between an image and its record, and reports the first one.

mod support;

use std::path::PathBuf;

use serde_json::Value;
use support::image::{
    Family, Image, blob_path, digest, file, layout_blob, layout_manifest, write_blob, write_index,
};
use support::index::{child, image_for, put_index};
use support::registry::Registry;
use support::run::{Outcome, reapify};
use support::tars::{DIRECTORY, FILE, Member, SYMLINK, gzip, tar_of, zstd};
use support::{in_parallel, scratch};

const CONFIG: &str = r#"{"architecture":"amd64","os":"linux","created":"2024-01-02T03:04:05Z","config":{"Entrypoint":["/app"],"Env":["A=b"]},"history":[{"created_by":"by hand"}],"rootfs":{"type":"layers","diff_ids":[$DIFF_IDS]}}"#;

/// The parts of a wrapped image, to be changed and assembled again.
struct Forgery {
    dir: tempfile::TempDir,
    manifest: String,
    config: String,
    source: Image,
}

impl Forgery {
    fn new() -> Self {
        let dir = scratch();
        let source = Image::new().layer(&[file("app", b"an app")]).config(CONFIG);
        let from = source.in_layout(&dir.path().join("source"), "v1");
        reapify(["wrap", &from, &format!("oci:{}:v1", dir.path().join("out").display())]).run().succeeds();
        let out = dir.path().join("out");
        let manifest = layout_manifest(&out, "v1");
        let parsed: Value = serde_json::from_slice(&manifest).unwrap();
        let config = layout_blob(&out, parsed["config"]["digest"].as_str().unwrap());
        Self {
            manifest: String::from_utf8(manifest).unwrap(),
            config: String::from_utf8(config).unwrap(),
            dir,
            source,
        }
    }

    fn out(&self) -> PathBuf {
        self.dir.path().join("out")
    }

    /// Returns the string at a pointer in the config.
    fn get(&self, pointer: &str) -> String {
        let config: Value = serde_json::from_str(&self.config).unwrap();
        config.pointer(pointer).and_then(Value::as_str).unwrap_or_else(|| panic!("{pointer}")).to_owned()
    }

    fn label(&self, name: &str) -> String {
        self.get(&format!("/config/Labels/io.reapify.{name}"))
    }

    fn in_config(mut self, from: &str, to: &str) -> Self {
        assert!(self.config.contains(from), "{from} in {}", self.config);
        self.config = self.config.replace(from, to);
        self
    }

    fn in_manifest(mut self, from: &str, to: &str) -> Self {
        assert!(self.manifest.contains(from), "{from} in {}", self.manifest);
        self.manifest = self.manifest.replace(from, to);
        self
    }

    /// Replaces the value of a label.
    fn relabelled(self, name: &str, value: &str) -> Self {
        let label = |value: &str| format!("\"io.reapify.{name}\":{}", serde_json::Value::from(value));
        let old = self.label(name);
        self.in_config(&label(&old), &label(value))
    }

    /// Replaces the layer, and everything that describes it.
    fn relayered(self, tar: &[u8]) -> Self {
        let blob = gzip(tar);
        write_blob(&self.out(), &blob);
        let (layer, diff_id) = (self.label("layer"), self.label("diff-id"));
        let old_size = layout_blob(&self.out(), &layer).len();
        self.in_config(&layer, &digest(&blob)).in_config(&diff_id, &digest(tar)).in_manifest(
            &format!("\"digest\":\"{layer}\",\"size\":{old_size}"),
            &format!("\"digest\":\"{}\",\"size\":{}", digest(&blob), blob.len()),
        )
    }

    /// Returns the tar of the layer, with other members first and another header for the program.
    fn layer_with(&self, members: &[Member], mode: u32, owner: u64, more: &[u8]) -> Vec<u8> {
        let layer = layout_blob(&self.out(), &self.label("layer"));
        let mut original = tar::Archive::new(flate2::read::GzDecoder::new(&layer[..]));
        let mut entry = original.entries().unwrap().next().unwrap().unwrap();
        let mut program = Vec::new();
        std::io::Read::read_to_end(&mut entry, &mut program).unwrap();
        program.extend_from_slice(more);
        let mut tar = tar::Builder::new(Vec::new());
        for (name, kind, _) in members {
            let mut header = tar::Header::new_ustar();
            header.set_path(name).unwrap();
            header.set_entry_type(*kind);
            header.set_mode(0o755);
            header.set_uid(0);
            header.set_gid(0);
            header.set_mtime(0);
            header.set_size(0);
            header.set_cksum();
            tar.append(&header, std::io::empty()).unwrap();
        }
        let mut header = tar::Header::new_ustar();
        header.set_path(".reaper").unwrap();
        header.set_mode(mode);
        header.set_uid(owner);
        header.set_gid(owner);
        header.set_mtime(0);
        header.set_size(program.len() as u64);
        header.set_cksum();
        tar.append(&header, &program[..]).unwrap();
        tar.into_inner().unwrap()
    }

    /// Replaces the source, and changes the record to match.
    fn resourced(self, from: &str, to: &str) -> Self {
        let old_config = String::from_utf8(self.source.config_bytes()).unwrap();
        let new_config = old_config.replace(from, to);
        let old_manifest = self.source.manifest_bytes();
        let link =
            |config: &str| format!("\"digest\":\"{}\",\"size\":{}", digest(config.as_bytes()), config.len());
        let new_manifest =
            String::from_utf8(old_manifest.clone()).unwrap().replace(&link(&old_config), &link(&new_config));
        let (old, new) = (digest(&old_manifest), digest(new_manifest.as_bytes()));
        self.in_config(from, to)
            .in_config(&digest(old_config.as_bytes()), &digest(new_config.as_bytes()))
            .in_config(
                &format!("[\\\"/config/size\\\",\\\"{}\\\"]", old_config.len()),
                &format!("[\\\"/config/size\\\",\\\"{}\\\"]", new_config.len()),
            )
            .in_config(&old, &new)
            .in_manifest(&old, &new)
    }

    /// Writes the image: the manifest refers to the config, and the tag to the manifest.
    fn written(mut self) -> Self {
        let parsed: Value = serde_json::from_str(&self.manifest).unwrap();
        let old = parsed["config"]["digest"].as_str().unwrap().to_owned();
        let size = parsed["config"]["size"].to_string();
        let config = self.config.clone().into_bytes();
        self.manifest = self.manifest.replace(&old, &digest(&config)).replacen(
            &format!("\"size\":{size}"),
            &format!("\"size\":{}", config.len()),
            1,
        );
        write_blob(&self.out(), &config);
        write_blob(&self.out(), self.manifest.as_bytes());
        write_index(&self.out(), &[("v1", Family::Oci.manifest(), self.manifest.as_bytes())]);
        self
    }

    fn verify(&self, options: &[&str]) -> Outcome {
        let name = format!("oci:{}:v1", self.out().display());
        reapify(["verify", &name]).args(options).run()
    }
}

#[test]
fn verifies_an_unmodified_image() {
    let honest = Forgery::new().written();
    let source = format!("oci:{}:v1", honest.dir.path().join("source").display());
    let outcome = honest.verify(&["--deep", "--source", &source, "--output", "json"]).succeeds().silently();
    let report = outcome.json();
    assert_eq!(report["source_digest"], honest.source.digest());
    assert_eq!(report["blobs_read"], 3, "two layers and the config");
    // The text is the same, byte for byte, for the same image, so that programs may cache it.
    let [image] = &report["platforms"].as_array().unwrap()[..] else { panic!("{report}") };
    let expected = format!(
        "{{\"blobs_read\":3,\"digest\":{},\"image\":{},\"platforms\":[{{\"digest\":{},\"platform\":\"linux/amd64\",\
         \"reaper\":\"{}\",\"reaper_is_built_in\":true,\"reaper_version\":{},\"reason\":null,\"source_digest\":{},\
         \"wrapped\":true}}],\"source_digest\":{}}}\n",
        report["digest"],
        report["image"],
        report["digest"],
        honest.label("reaper"),
        image["reaper_version"],
        report["source_digest"],
        report["source_digest"],
    );
    assert_eq!(String::from_utf8_lossy(&outcome.stdout), expected);
    // An assembled image without changes is valid.
    let forgery = Forgery::new();
    let same = forgery.layer_with(&[], 0o755, 0, b"");
    let layer = forgery.relayered(&same).written();
    // Only the compression differs, which changes the layer's digest.
    layer.verify(&[]).exits(6).says("the config differs").says("wrapping its source gives");
    Forgery::new().resourced("\"A=b\"", "\"A=c\"").written().verify(&["--deep"]).succeeds();
}

#[test]
fn reports_each_forgery() {
    type Change = fn(Forgery) -> Forgery;
    const OTHER: &str = "sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";
    let cases: [(&str, Change); 24] = [
        // Changes of the record.
        ("incomplete or has an unknown version", |f| f.relabelled("record", "2")),
        ("incomplete or has an unknown version", |f| f.relabelled("undo", "{}}")),
        ("incomplete or has an unknown version", |f| f.in_config("\"io.reapify.path\":\"/.reaper\",", "")),
        ("does not give the recorded source", |f| f.relabelled("source", OTHER)),
        ("does not give the recorded source", |f| f.relabelled("undo", r#"{"config":[],"manifest":[]}"#)),
        ("the reaper is sha256:", |f| f.relabelled("reaper", OTHER)),
        ("the last layer is sha256:", |f| f.relabelled("layer", OTHER)),
        ("the last diff_id is sha256:", |f| f.relabelled("diff-id", OTHER)),
        ("the recorded recipe", |f| f.relabelled("recipe", OTHER)),
        ("the entrypoint is", |f| f.relabelled("path", "/.other")),
        ("the entrypoint is", |f| f.relabelled("args", r#"["-g"]"#)),
        // Changes of the config.
        ("the entrypoint is [\"/app\"]", |f| f.in_config(r#"["/.reaper","--","/app"]"#, r#"["/app"]"#)),
        ("the entrypoint is", |f| f.in_config(r#"["/.reaper","--","#, r#"["/.reaper","-g","--","#)),
        ("the config differs at byte", |f| f.in_config("add /.reaper, a reaper", "add /.reaper, a kitten")),
        ("does not give the recorded source", |f| f.in_config("\"A=b\"", "\"A=c\"")),
        ("does not give the recorded source", |f| f.in_config("by hand", "by foot")),
        ("the last diff_id is", |f| {
            let id = f.label("diff-id");
            f.in_config(&format!("\"{id}\"]"), &format!("\"{OTHER}\"]"))
        }),
        // Changes of the manifest.
        ("the manifest differs at byte", |f| {
            f.in_manifest("\"io.reapify.recipe\":\"sha256:", "\"io.reapify.recipe\":\"sha512:")
        }),
        ("does not give the recorded source", |f| {
            f.in_manifest("{\"schemaVersion\":2,", "{\"schemaVersion\":2, ")
        }),
        // Changes of the layer, and of everything that describes it.
        ("it also contains /sbin", |f| {
            let tar = f.layer_with(&[("sbin", SYMLINK, b"")], 0o755, 0, b"");
            f.relayered(&tar)
        }),
        ("the config differs", |f| {
            let tar = f.layer_with(&[("etc/", DIRECTORY, b"")], 0o755, 0, b"");
            f.relayered(&tar)
        }),
        ("mode 4755 and owner 0:0", |f| {
            let tar = f.layer_with(&[], 0o4755, 0, b"");
            f.relayered(&tar)
        }),
        ("owner 7:7", |f| {
            let tar = f.layer_with(&[], 0o755, 7, b"");
            f.relayered(&tar)
        }),
        ("the reaper is sha256:", |f| {
            let tar = f.layer_with(&[], 0o755, 0, b"and a little more");
            f.relayered(&tar)
        }),
    ];
    in_parallel(cases, |(phrase, change)| {
        println!("{phrase}");
        let forgery = change(Forgery::new()).written();
        forgery.verify(&[]).exits(6).says(phrase).says("out:v1").prints("");
    });
}

#[test]
fn detects_a_reaper_for_another_machine() {
    let forgery = Forgery::new().resourced("\"amd64\"", "\"arm64\"").written();
    forgery.verify(&[]).exits(6).says("the reaper does not match the image").says("arm64");
}

/// An ARM image without a variant has the reaper of the oldest variant.
#[test]
fn verifies_an_image_without_a_variant() {
    for (machine, variant) in [("arm", ""), ("arm", "v8"), ("amd64", "v3"), ("arm64", "v8")] {
        let registry = Registry::start();
        let image = image_for("linux", machine, variant, Family::Oci);
        let (from, to) = (image.in_registry(&registry, "app", "v1"), registry.name("app", "reaped"));
        reapify(["wrap", &from, &to]).run().succeeds();
        reapify(["verify", &to, "--source", &from]).run().succeeds();
    }
}

#[test]
fn only_deep_reads_the_layers() {
    let whole = Forgery::new().written();
    let lowest = digest(&whole.source.blobs()[0]);
    let path = blob_path(&whole.out(), &lowest);
    let mut bytes = std::fs::read(&path).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    std::fs::write(&path, bytes).unwrap();
    whole.verify(&[]).succeeds();
    whole.verify(&["--deep"]).exits(6).says("digest mismatch").says(&lowest);
    std::fs::remove_file(&path).unwrap();
    whole.verify(&[]).succeeds();
    whole.verify(&["--deep"]).exits(3).says(&lowest);
    // The reaper's own layer is always read.
    let layer = whole.label("layer");
    std::fs::remove_file(blob_path(&whole.out(), &layer)).unwrap();
    whole.verify(&[]).exits(3).says(&layer);
}

#[test]
fn detects_a_wrong_source() {
    let image = Forgery::new().written();
    let elsewhere = image.dir.path().join("elsewhere");
    let other = Image::new().layer(&[file("app", b"another app")]).config(CONFIG).in_layout(&elsewhere, "v1");
    image.verify(&["--source", &other]).exits(6).says("not from the source").says(&image.source.digest());
    let missing = format!("oci:{}:v2", elsewhere.display());
    image.verify(&["--source", &missing]).exits(3).says("the source").says("v2");
    reapify(["verify", &other]).run().exits(6).says("not wrapped").says("no record");
}

#[test]
fn a_wrapped_source_must_have_the_same_original() {
    let index = Index::new();
    let (registry, name) = (&index.registry, |tag: &str| index.registry.name("app", tag));
    let verify =
        |image: &str, source: &str| reapify(["verify", &name(image), "--source", &name(source)]).run();
    verify("reaped", "reaped").succeeds();
    reapify(["wrap", "--group", &name("all"), &name("grouped")]).run().succeeds();
    verify("grouped", "reaped").succeeds();
    verify("reaped", "grouped").succeeds();
    // The same children in an index of its own.
    let mut other: Value = serde_json::from_slice(&registry.manifest("app", "all").unwrap().bytes).unwrap();
    other["annotations"] = serde_json::json!({"other": "index"});
    registry.put_manifest("app", "annotated", Family::Oci.index(), other.to_string().as_bytes());
    reapify(["wrap", &name("annotated"), &name("other-reaped")]).run().succeeds();
    for (image, source) in [("other-reaped", "reaped"), ("reaped", "other-reaped")] {
        verify(image, source).exits(6).says("not from the source");
    }
}

#[test]
fn an_index_with_a_child_that_wrap_cannot_rewrite_is_verified() {
    let tar = tar_of(&[("app", FILE, b"app")]);
    let layer = zstd(&tar);
    let zstd_manifest = format!(
        r#"{{"schemaVersion":2,"mediaType":"{}","config":{{"mediaType":"{}",$CONFIG}},"layers":[{{"mediaType":"application/vnd.oci.image.layer.v1.tar+zstd","digest":"{}","size":{}}}]}}"#,
        Family::Oci.manifest(),
        Family::Oci.config(),
        digest(&layer),
        layer.len()
    );
    let arm64 = CONFIG.replace("amd64", "arm64");
    let cases: [(&str, Image, &[&str]); 5] = [
        (
            "a duplicate label",
            {
                let labels = r#""config":{"Labels":{"a":"1","a":"2"},"#;
                Image::small().config(&arm64.replace(r#""config":{"#, labels))
            },
            &[],
        ),
        (
            "a duplicate key",
            {
                let twice = r#"{"architecture":"arm64","x":1,"x":2,"#;
                Image::small().config(&arm64.replace(r#"{"architecture":"arm64","#, twice))
            },
            &[],
        ),
        (
            "another format",
            Image::new().raw_layer(&layer, &digest(&tar)).config(&arm64).manifest(&zstd_manifest),
            &["--format", "docker"],
        ),
        (
            "a file at the path",
            Image::new().layer(&[file("app", b"app"), file("opt", b"file")]).config(&arm64),
            &["--path", "/opt"],
        ),
        ("its own path", Image::small().config(&arm64.replace("/app", "/opt")), &["--path", "/opt"]),
    ];
    for (what, bad, options) in cases {
        let registry = Registry::start();
        let good = Image::small();
        good.in_registry(&registry, "app", "good");
        bad.in_registry(&registry, "app", "bad");
        let children = [child(&good, "linux", "amd64"), child(&bad, "linux", "arm64")];
        put_index(&registry, "app", "v1", Family::Oci, &children);
        let (from, to) = (registry.name("app", "v1"), registry.name("app", "reaped"));
        let report = reapify(["wrap", "--output", "json", &from, &to]).args(options).run().succeeds().json();
        assert_eq!(report["platforms"][1]["action"], "skipped", "{what}: {report}");
        reapify(["verify", &to]).run().succeeds();
        reapify(["verify", &to, "--source", &from]).run().succeeds();
    }
}

/// An index in a registry that is changed after it was wrapped.
struct Index {
    registry: Registry,
    text: String,
}

impl Index {
    fn new() -> Self {
        let registry = Registry::start();
        let children: Vec<Value> = ["amd64", "arm64", "s390x"]
            .map(|architecture| {
                let image = image_for("linux", architecture, "", Family::Oci);
                image.in_registry(&registry, "app", architecture);
                child(&image, "linux", architecture)
            })
            .to_vec();
        put_index(&registry, "app", "all", Family::Oci, &children);
        put_index(&registry, "app", "other", Family::Oci, &children[1..]);
        reapify(["wrap", &registry.name("app", "all"), &registry.name("app", "reaped")]).run().succeeds();
        let text = registry.manifest("app", "reaped").unwrap().bytes.to_vec();
        Self { registry, text: String::from_utf8(text).unwrap() }
    }

    fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap()
    }

    fn verify(&self, text: &str) -> Outcome {
        self.registry.put_manifest("app", "forged", Family::Oci.index(), text.as_bytes());
        reapify(["verify", &self.registry.name("app", "forged")]).run()
    }
}

#[test]
fn verifies_an_index_with_all_its_children() {
    let index = Index::new();
    index.verify(&index.text).succeeds();
    let annotation =
        |name: &str| index.json()["annotations"][format!("io.reapify.{name}")].as_str().unwrap().to_owned();
    let zeros = format!("sha256:{}", "0".repeat(64));

    let with_children = |change: fn(&mut Vec<String>)| {
        let (head, rest) = index.text.split_once("\"manifests\": [\n").unwrap();
        let (list, tail) = rest.split_once("\n ]").unwrap();
        let mut children: Vec<String> = list.split(" ,\n").map(str::to_owned).collect();
        assert_eq!(children.len(), 3);
        change(&mut children);
        format!("{head}\"manifests\": [\n{}\n ]{tail}", children.join(" ,\n"))
    };
    assert_eq!(with_children(|_| {}), index.text);
    let untrue = [
        ("a missing child", with_children(|all| drop(all.remove(1)))),
        ("a duplicate child", with_children(|all| all.push(all[0].clone()))),
        ("another order", with_children(|all| all.swap(0, 2))),
        ("another platform", with_children(|all| all[1] = all[1].replace("arm64", "mips64"))),
        ("another source", index.text.replace(&annotation("source"), &zeros)),
        ("another field", index.text.replace("\"x-vendor\"", "\"x-seller\"")),
    ];
    for (what, text) in untrue {
        assert_ne!(text, index.text, "{what}");
        index.verify(&text).exits(6).says("the index records the source");
    }
    // An annotation is added after those of the record.
    let annotated = index.text.replacen("\"io.reapify.recipe\"", "\"io.reapify.recipe\":\"\",\"x\"", 1);
    index.verify(&annotated).exits(6).says("does not describe this index");
    // A child is replaced by its original.
    let plain = index.registry.manifest("app", "arm64").unwrap();
    let wrapped = index.json()["manifests"][1].clone();
    let size = |size: &str| format!("\"size\": {size}");
    let swapped = index.text.replace(wrapped["digest"].as_str().unwrap(), &plain.digest);
    let at = swapped.find(&plain.digest).unwrap();
    let sized =
        swapped[at..].replacen(&size(&wrapped["size"].to_string()), &size(&plain.bytes.len().to_string()), 1);
    index.verify(&format!("{}{sized}", &swapped[..at])).exits(6).says("linux/arm64 is not wrapped");

    let verify = |source: &str| {
        let names = [("app", "reaped"), ("app", source)].map(|(r, t)| index.registry.name(r, t));
        reapify(["verify", &names[0], "--source", &names[1]]).run()
    };
    verify("all").succeeds();
    verify("other").exits(6).says("not from the source");
    verify("amd64").exits(6).says("not from the source");
}
