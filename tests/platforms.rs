//! An index of eight platforms, wrapped and then used by programs of other authors.

mod support;

use std::path::Path;

use serde_json::{Value, json};
use support::docker::Docker;
use support::docker_registry::DockerRegistry;
use support::engine::Engine;
use support::image::{self, Image, digest, file};
use support::podman::Podman;
use support::run::{reapify, tool};
use support::scratch;

/// The architecture, the variant, and QEMU's name for it.
const PLATFORMS: [(&str, &str, &str); 8] = [
    ("amd64", "", "x86_64"),
    ("386", "", "i386"),
    ("arm64", "v8", "aarch64"),
    ("arm", "v7", "arm"),
    ("arm", "v6", "arm"),
    ("ppc64le", "", "ppc64le"),
    ("s390x", "", "s390x"),
    ("riscv64", "", "riscv64"),
];

/// Returns an image with the sample's program, which only amd64 ever runs.
fn image_for(architecture: &str, variant: &str) -> Image {
    let variant = if variant.is_empty() { String::new() } else { format!(r#""variant":"{variant}","#) };
    let config = format!(
        r#"{{"architecture":"{architecture}",{variant}"os":"linux","config":{{"Entrypoint":["/zombies"],"Cmd":["exit","7"]}},"rootfs":{{"type":"layers","diff_ids":[$DIFF_IDS]}}}}"#
    );
    Image::new().layer(&[file("zombies", &support::program())]).config(&config)
}

/// Creates a layout with an index of all platforms.
fn index_in(dir: &Path) -> String {
    let media_type = "application/vnd.oci.image.index.v1+json";
    let child = |(architecture, variant, _): &(&str, &str, &str)| {
        let image = image_for(architecture, variant);
        image.in_layout(dir, "child");
        let mut descriptor = image.descriptor();
        descriptor["platform"] = json!({"architecture": architecture, "os": "linux"});
        if !variant.is_empty() {
            descriptor["platform"]["variant"] = (*variant).into();
        }
        descriptor
    };
    let children: Vec<Value> = PLATFORMS.iter().map(child).collect();
    let index = json!({"schemaVersion": 2, "mediaType": media_type, "manifests": children}).to_string();
    image::write_blob(dir, index.as_bytes());
    image::write_index(dir, &[("v1", media_type, index.as_bytes())]);
    format!("oci:{}:v1", dir.display())
}

#[test]
fn a_wrapped_index_runs_on_every_platform() {
    let registry = DockerRegistry::start();
    let dir = scratch();
    let to = registry.name("app", "v1");
    let from = index_in(&dir.path().join("source"));
    let report = reapify(["wrap", "--output", "json", &from, &to]).run().succeeds().json();
    let platforms = report["platforms"].as_array().unwrap();
    assert_eq!(platforms.iter().filter(|p| p["action"] == "wrapped").count(), PLATFORMS.len(), "{report}");

    let raw = tool("skopeo", ["inspect", "--raw", "--tls-verify=false", &to]).run().succeeds().stdout;
    assert_eq!(report["digest"], digest(&raw));
    let all = format!("oci:{}:v1", dir.path().join("all").display());
    tool("skopeo", ["copy", "-q", "--all", "--src-tls-verify=false", &to, &all]).run().succeeds();
    assert_eq!(image::layout_manifest(&dir.path().join("all"), "v1"), raw);

    let engines: [&dyn Engine; 2] = [Docker::get(), Podman::get()];
    for engine in engines {
        let name = engine.pull(&to);
        engine.run_to_end(&[], &name, &[]).exits(7);
    }

    for (architecture, variant, qemu) in PLATFORMS {
        let one = dir.path().join(format!("{architecture}{variant}"));
        let bundle = one.join("bundle");
        let layout = one.join("layout").display().to_string();
        let mut flags = vec!["--override-os", "linux", "--override-arch", architecture];
        if !variant.is_empty() {
            flags.extend(["--override-variant", variant]);
        }
        std::fs::create_dir(&one).unwrap();
        tool("skopeo", flags).args(["copy", "-q", &all, &format!("oci:{layout}:v1")]).run().succeeds();
        tool("umoci", ["unpack", "--image", &format!("{layout}:v1"), &bundle.display().to_string()])
            .run()
            .succeeds();
        let spec: Value =
            serde_json::from_slice(&std::fs::read(bundle.join("config.json")).unwrap()).unwrap();
        assert_eq!(spec["process"]["args"], json!(["/.reaper", "--", "/zombies", "exit", "7"]));
        // The reaper is the image's, the program that it starts is this machine's.
        let reaper = bundle.join("rootfs/.reaper").display().to_string();
        let outcome = tool(&format!("qemu-{qemu}-static"), [&reaper, "--", "sh", "-c", "exit 9"]).run();
        outcome.exits(9).silently();
    }
}
