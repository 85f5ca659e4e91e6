//! Unusual images that exist in practice, and their treatment: wrapped with only the necessary changes, copied
//! unchanged if they are one of many, or rejected with the reason.

mod support;

use std::path::Path;

use serde_json::{Value, json};
use sha2::{Digest as _, Sha512};
use support::changes::only_what_wrap_changes;
use support::image::{Family, digest, layout_blob, layout_manifest, write_blob, write_index};
use support::run::{Outcome, reapify};
use support::tars::{FILE, gzip, tar_of, zstd};
use support::{in_parallel, scratch};

/// The expected treatment of an image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    Wrapped,
    /// Rejected alone with this message and exit code 5; in an index, copied unchanged for this reason.
    Carried(&'static str, &'static str),
    /// Rejected with this message and exit code 5, in an index too.
    Refused(&'static str),
}
use Fate::{Carried, Refused, Wrapped};

struct Layer {
    media_type: String,
    digest: String,
    bytes: Vec<u8>,
    diff_id: String,
    /// Further members of the descriptor.
    extra: &'static str,
    is_absent: bool,
}

/// An image by its parts, any of which may be unusual.
struct Image {
    layers: Vec<Layer>,
    /// The members after `architecture` and `os`; `$DIFF_IDS` stands for the list of diff_ids.
    config: String,
    /// The `"mediaType":…` of the config descriptor with a following comma, or nothing.
    config_type: String,
    config_digest: fn(&[u8]) -> String,
    /// The members after `schemaVersion`.
    manifest_type: String,
    /// The members at the end.
    extra: String,
    no_layers: bool,
}

fn sha512(bytes: &[u8]) -> String {
    let hex: String = Sha512::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect();
    format!("sha512:{hex}")
}

const ROOTFS: &str = r#""rootfs":{"type":"layers","diff_ids":$DIFF_IDS}"#;

fn config(members: &str) -> String {
    format!("{members},{ROOTFS}")
}

fn image() -> Image {
    Image {
        layers: Vec::new(),
        config: config(r#""config":{"Entrypoint":["/app"],"Cmd":["x"]}"#),
        config_type: format!(r#""mediaType":"{}","#, Family::Oci.config()),
        config_digest: digest,
        manifest_type: format!(r#""mediaType":"{}","#, Family::Oci.manifest()),
        extra: String::new(),
        no_layers: false,
    }
    .layer(Family::Oci.layer(), gzip)
}

impl Image {
    fn layer(mut self, media_type: &str, store: fn(&[u8]) -> Vec<u8>) -> Self {
        let tar = tar_of(&[("file", FILE, self.layers.len().to_string().as_bytes())]);
        let bytes = store(&tar);
        self.layers.push(Layer {
            media_type: media_type.into(),
            digest: digest(&bytes),
            bytes,
            diff_id: digest(&tar),
            extra: "",
            is_absent: false,
        });
        self
    }

    fn with(mut self, change: impl FnOnce(&mut Self)) -> Self {
        change(&mut self);
        self
    }

    fn config(self, config: String) -> Self {
        self.with(|image| image.config = config)
    }

    fn docker(self) -> Self {
        self.with(|image| {
            image.manifest_type = format!(r#""mediaType":"{}","#, Family::Docker.manifest());
            image.config_type = format!(r#""mediaType":"{}","#, Family::Docker.config());
            image.layers.iter_mut().for_each(|layer| layer.media_type = Family::Docker.layer().into());
        })
    }

    fn config_bytes(&self) -> Vec<u8> {
        let ids: Vec<String> = self.layers.iter().map(|layer| format!("{:?}", layer.diff_id)).collect();
        let config = self.config.replace("$DIFF_IDS", &format!("[{}]", ids.join(",")));
        format!(r#"{{"architecture":"amd64","os":"linux",{config}}}"#).into_bytes()
    }

    fn manifest_bytes(&self) -> Vec<u8> {
        let config = self.config_bytes();
        let layer = |layer: &Layer| {
            let Layer { media_type, digest, bytes, extra, .. } = layer;
            format!(r#"{{"mediaType":"{media_type}","digest":"{digest}","size":{}{extra}}}"#, bytes.len())
        };
        let layers: Vec<String> = self.layers.iter().map(layer).collect();
        let layers =
            if self.no_layers { String::new() } else { format!(r#","layers":[{}]"#, layers.join(",")) };
        format!(
            r#"{{"schemaVersion":2,{}"config":{{{}"digest":"{}","size":{}}}{layers}{}}}"#,
            self.manifest_type,
            self.config_type,
            (self.config_digest)(&config),
            config.len(),
            self.extra
        )
        .into_bytes()
    }

    fn media_type(&self) -> &'static str {
        let is_docker = self.config_type.contains("docker");
        if is_docker { Family::Docker.manifest() } else { Family::Oci.manifest() }
    }

    fn write(&self, dir: &Path) {
        let config = self.config_bytes();
        put(dir, &(self.config_digest)(&config), &config);
        self.layers.iter().filter(|l| !l.is_absent).for_each(|layer| put(dir, &layer.digest, &layer.bytes));
        write_blob(dir, &self.manifest_bytes());
    }
}

fn put(dir: &Path, name: &str, bytes: &[u8]) {
    let path = dir.join("blobs").join(name.replace(':', "/"));
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, bytes).unwrap();
}

const EMPTY_TYPE: &str = r#""mediaType":"application/vnd.oci.empty.v1+json","#;

/// Returns the cases, each with a name.
fn cases() -> Vec<(&'static str, Image, Fate)> {
    let zstd_type = "application/vnd.oci.image.layer.v1.tar+zstd";
    let history = |entries: &str| image().config(config(&format!(r#""history":{entries}"#)));
    let inner = |text: &str| image().config(config(&format!(r#""config":{text}"#)));
    let typed = |config_type: &str| image().with(|i| i.config_type = config_type.into());
    let artifact = |config_type: &str, layer_type: &str| {
        image().with(|i| {
            i.config_type = format!(r#""mediaType":"{config_type}","#);
            i.layers[0].media_type = layer_type.into();
        })
    };
    let layerless = |ids: &str| {
        let rootfs = format!(r#""config":{{"Cmd":["x"]}},"rootfs":{{"type":"layers"{ids}}}"#);
        image().config(rootfs).with(|i| i.layers.clear())
    };
    let not_one = "not a container image but an artifact";
    vec![
        ("an environment without =", inner(r#"{"Env":["A","=x","B=c=d",""],"Cmd":["x"]}"#), Wrapped),
        ("no history", image(), Wrapped),
        ("history null", history("null"), Wrapped),
        ("history empty", history("[]"), Wrapped),
        ("history too long", history(r#"[{},{"created_by":"y"}]"#), Wrapped),
        ("history of empty layers", history(r#"[{"empty_layer":true}]"#), Wrapped),
        ("history that fits", history(r#"[ {"empty_layer":false} , {"empty_layer":true}]"#), Wrapped),
        ("history of something else", history(r#"["x"]"#), Refused("malformed")),
        (
            "one diff_id under two digests",
            image().layer(Family::Oci.layer(), gzip).with(|i| {
                let other = zstd(&tar_of(&[("file", FILE, b"0")]));
                let first = i.layers[0].diff_id.clone();
                let layer = &mut i.layers[1];
                (layer.digest, layer.bytes, layer.diff_id) = (digest(&other), other, first);
                layer.media_type = "application/vnd.oci.image.layer.v1.tar+zstd".into();
            }),
            Wrapped,
        ),
        (
            "one digest twice",
            image().layer(Family::Oci.layer(), gzip).with(|i| {
                let (digest, bytes, id) =
                    (i.layers[0].digest.clone(), i.layers[0].bytes.clone(), i.layers[0].diff_id.clone());
                let layer = &mut i.layers[1];
                (layer.digest, layer.bytes, layer.diff_id) = (digest, bytes, id);
            }),
            Wrapped,
        ),
        ("a config without a media type", typed(""), Wrapped),
        ("a config with an empty media type", typed(r#""mediaType":"","#), Wrapped),
        ("a config with an odd media type", typed(r#""mediaType":"application/octet-stream","#), Wrapped),
        ("zstd", image().layer(zstd_type, zstd), Wrapped),
        ("not compressed", image().layer("application/vnd.oci.image.layer.v1.tar", <[u8]>::to_vec), Wrapped),
        ("Docker's types", image().docker(), Wrapped),
        (
            "Docker's types with zstd",
            image().docker().layer("application/vnd.docker.image.rootfs.diff.tar.zstd", zstd),
            Wrapped,
        ),
        (
            "types of both families",
            image().with(|i| i.layers[0].media_type = Family::Docker.layer().into()),
            Wrapped,
        ),
        ("no media type", image().with(|i| i.manifest_type.clear()), Wrapped),
        ("no media type, Docker's config", image().docker().with(|i| i.manifest_type.clear()), Wrapped),
        (
            "a chart",
            artifact(
                "application/vnd.cncf.helm.config.v1+json",
                "application/vnd.cncf.helm.chart.content.v1.tar+gzip",
            ),
            Carried(not_one, "helm"),
        ),
        (
            "a signature",
            artifact(Family::Oci.config(), "application/vnd.dev.cosign.simplesigning.v1+json"),
            Carried(not_one, "simplesigning"),
        ),
        (
            "a WASM module",
            artifact("application/vnd.wasm.config.v0+json", "application/wasm"),
            Carried(not_one, "wasm"),
        ),
        (
            "an artifact by its artifactType",
            image().with(|i| {
                i.config_type = EMPTY_TYPE.into();
                i.extra = r#","artifactType":"application/vnd.example.sbom""#.into();
            }),
            Carried(not_one, "sbom"),
        ),
        (
            "encrypted layers",
            artifact(Family::Oci.config(), "application/vnd.oci.image.layer.v1.tar+gzip+encrypted"),
            Refused("encrypted"),
        ),
        (
            "a foreign layer that is not stored here",
            image().layer("application/vnd.docker.image.rootfs.foreign.diff.tar.gzip", gzip).with(|i| {
                i.layers[1].extra = r#","urls":["https://layers.example/1"]"#;
                i.layers[1].is_absent = true;
            }),
            Wrapped,
        ),
        ("no config", image().config(ROOTFS.into()), Wrapped),
        ("config null", inner("null"), Wrapped),
        ("config empty", inner("{ }"), Wrapped),
        ("Entrypoint null", inner(r#"{"Entrypoint":null,"Cmd":["x"]}"#), Wrapped),
        ("Entrypoint empty", inner(r#"{"Entrypoint":[ ],"Cmd":["x"]}"#), Wrapped),
        ("Entrypoint of one empty word", inner(r#"{"Entrypoint":[""],"Cmd":["x"]}"#), Wrapped),
        ("Labels null", inner(r#"{"Labels":null,"Cmd":["x"]}"#), Wrapped),
        ("no layers", layerless(r#","diff_ids":[]"#), Wrapped),
        ("no layers, diff_ids null", layerless(r#","diff_ids":null"#), Wrapped),
        ("no layers, no diff_ids", layerless(""), Wrapped),
        ("no list of layers", layerless("").with(|i| i.no_layers = true), Wrapped),
        (
            "a layer by sha512",
            image().with(|i| i.layers[0].digest = sha512(&i.layers[0].bytes)),
            Wrapped,
        ),
        ("a config by sha512", image().with(|i| i.config_digest = sha512), Wrapped),
        (
            "descriptors with more fields",
            image().with(|i| {
                i.layers[0].extra = r#","annotations":{"a":"b"},"artifactType":"x/y","data":"","x-vendor":[1e3]"#;
                i.extra = r#", "subject" : {"mediaType":"x/y","digest":"$X","size":1} ,"annotations" : { }, "x":1.10"#
                    .replace("$X", &digest(b""));
            }),
            Wrapped,
        ),
    ]
}

fn wrap(from: &str, to: &str) -> Outcome {
    reapify(["wrap", "--output", "json", from, to]).run()
}

#[test]
fn each_case_round_trips_or_is_rejected() {
    in_parallel(cases(), |(what, image, fate)| {
        println!("{what}");
        let dir = scratch();
        let name = |name: &str| format!("oci:{}:v1", dir.path().join(name).display());
        image.write(&dir.path().join("source"));
        write_index(&dir.path().join("source"), &[("v1", image.media_type(), &image.manifest_bytes())]);
        let outcome = wrap(&name("source"), &name("out"));
        if let Carried(why, _) | Refused(why) = fate {
            outcome.exits(5).says(why).says("hint: ").says("source");
            assert!(!dir.path().join("out/index.json").exists(), "{what}");
            return;
        }
        let report = outcome.succeeds().json();
        assert_eq!(report["action"], "wrapped", "{what}");
        let manifest = layout_manifest(&dir.path().join("out"), "v1");
        let parsed: Value = serde_json::from_slice(&manifest).unwrap();
        let config = layout_blob(&dir.path().join("out"), parsed["config"]["digest"].as_str().unwrap());
        only_what_wrap_changes((&image.manifest_bytes(), &image.config_bytes()), (&manifest, &config), what);
        let again = wrap(&name("out"), &name("twice")).succeeds().json();
        assert_eq!(
            (&again["digest"], again["action"].as_str()),
            (&report["digest"], Some("unchanged")),
            "{what}"
        );
        reapify(["verify", "--deep", &name("out"), "--source", &name("source")]).run().succeeds();
        reapify(["unwrap", &name("out"), &name("back")]).run().succeeds();
        assert_eq!(layout_manifest(&dir.path().join("back"), "v1"), image.manifest_bytes(), "{what}");
        let config = image.config_bytes();
        let back = dir.path().join("back/blobs").join((image.config_digest)(&config).replace(':', "/"));
        assert_eq!(std::fs::read(back).unwrap(), config, "{what}");
    });
}

/// An index of all cases, with sha512 children and children that are not manifests.
#[test]
fn an_index_of_all_cases_round_trips() {
    for name_of in [digest, sha512] {
        let dir = scratch();
        let source = dir.path().join("source");
        let name = |name: &str| format!("oci:{}:v1", dir.path().join(name).display());
        let cases: Vec<_> = cases().into_iter().filter(|case| !matches!(case.2, Refused(_))).collect();
        let mut children: Vec<Value> = Vec::new();
        for (_, image, _) in &cases {
            image.write(&source);
            let manifest = image.manifest_bytes();
            put(&source, &name_of(&manifest), &manifest);
            children.push(json!({
                "mediaType": image.media_type(), "digest": name_of(&manifest), "size": manifest.len(),
                "platform": {"os": "linux", "architecture": "amd64"},
            }));
        }
        let page = b"<html>what it is only its owner knows</html>";
        write_blob(&source, page);
        children.push(json!({"mediaType": "text/html", "digest": digest(page), "size": page.len()}));
        // The base layers of Windows are on their vendor's server and must not be requested.
        let windows =
            image().layer("application/vnd.docker.image.rootfs.foreign.diff.tar.gzip", gzip).with(|i| {
                i.layers[1].extra = r#","urls":["https://layers.example/1"]"#;
                i.layers[1].is_absent = true;
            });
        windows.write(&source);
        let manifest = windows.manifest_bytes();
        put(&source, &name_of(&manifest), &manifest);
        children.push(json!({
            "mediaType": windows.media_type(), "digest": name_of(&manifest), "size": manifest.len(),
            "platform": {"os": "windows", "architecture": "amd64", "os.version": "10.0.20348.1"},
        }));
        let index = json!({"schemaVersion": 2, "mediaType": Family::Oci.index(), "manifests": children});
        let index = serde_json::to_vec_pretty(&index).unwrap();
        write_blob(&source, &index);
        write_index(&source, &[("v1", Family::Oci.index(), &index)]);

        let outcome = wrap(&name("source"), &name("out"));
        let report = outcome.succeeds().json();
        let platforms = report["platforms"].as_array().unwrap();
        for ((what, _, fate), platform) in cases.iter().zip(platforms) {
            match fate {
                Carried(_, why) => {
                    assert_eq!(platform["action"], "skipped", "{what}");
                    let reason = platform["reason"].as_str().unwrap();
                    assert!(
                        reason.contains("not a container image") && reason.contains(why),
                        "{what}: {reason}"
                    );
                }
                _ => assert_eq!(platform["action"], "wrapped", "{what}"),
            }
        }
        let last = platforms.last().unwrap();
        assert_eq!(
            (last["action"].as_str(), last["reason"].as_str()),
            (Some("skipped"), Some("not a Linux image"))
        );
        let wrapped: Value = serde_json::from_slice(&layout_manifest(&dir.path().join("out"), "v1")).unwrap();
        for child in wrapped["manifests"].as_array().unwrap() {
            let stored = child["digest"].as_str().unwrap();
            let path = dir.path().join("out/blobs").join(stored.replace(':', "/"));
            let bytes = std::fs::read(path).unwrap();
            assert!([digest(&bytes), sha512(&bytes)].contains(&stored.to_owned()), "{stored}");
        }
        reapify(["verify", "--deep", &name("out"), "--source", &name("source")]).run().succeeds();
        let again = wrap(&name("out"), &name("twice")).succeeds().json();
        assert_eq!(again["digest"], report["digest"]);
        reapify(["unwrap", &name("out"), &name("back")]).run().succeeds();
        assert_eq!(layout_manifest(&dir.path().join("back"), "v1"), index);
        assert_eq!(
            reapify(["inspect", "--output", "json", &name("out")]).run().succeeds().json()["platforms"]
                .as_array()
                .unwrap()
                .iter()
                .filter(|p| p["wrapped"].is_object())
                .count(),
            cases.iter().filter(|case| case.2 == Wrapped).count()
        );
    }
}

/// By default, a malformed child does not prevent its siblings from being wrapped.
#[test]
fn wraps_an_index_with_a_malformed_child_and_names_it() {
    for (what, broken, fate) in cases() {
        let Refused(why) = fate else { continue };
        let dir = scratch();
        let source = dir.path().join("source");
        let name = |name: &str| format!("oci:{}:v1", dir.path().join(name).display());
        let mut children = Vec::new();
        for image in [&broken, &image()] {
            image.write(&source);
            let manifest = image.manifest_bytes();
            children.push(
                json!({"mediaType": image.media_type(), "digest": digest(&manifest), "size": manifest.len()}),
            );
        }
        let index =
            json!({"schemaVersion": 2, "mediaType": Family::Oci.index(), "manifests": children}).to_string();
        write_blob(&source, index.as_bytes());
        write_index(&source, &[("v1", Family::Oci.index(), index.as_bytes())]);
        let bad = digest(&broken.manifest_bytes());
        reapify(["wrap", "--strict", &name("source"), &name("strict")]).run().exits(5).says(why).says(&bad);
        assert!(!dir.path().join("strict/index.json").exists(), "{what}");

        let report = wrap(&name("source"), &name("out")).says(why).succeeds().json();
        assert_eq!(report["action"], "wrapped", "{what}");
        let images = report["platforms"].as_array().unwrap();
        assert_eq!(images[0]["action"], "skipped", "{what}");
        assert!(images[0]["reason"].as_str().unwrap().contains(why), "{what}: {report}");
        assert_eq!(
            (&images[0]["digest"], images[1]["action"].as_str()),
            (&bad.into(), Some("wrapped")),
            "{what}"
        );
        reapify(["verify", "--deep", &name("out"), "--source", &name("source")]).run().succeeds();
        reapify(["unwrap", &name("out"), &name("back")]).run().succeeds();
        assert_eq!(layout_manifest(&dir.path().join("back"), "v1"), index.as_bytes(), "{what}");
    }
}
