//! Checks of the results by programs of other authors.

mod support;

use serde_json::{Value, json};
use support::docker::Docker;
use support::docker_registry::DockerRegistry;
use support::engine::Engine;
use support::image::{Family, Image, layout_manifest};
use support::implementations::{self, Real};
use support::index::{child, image_for, put_index};
use support::podman::Podman;
use support::registry::Registry;
use support::run::{Outcome, reapify, tool};
use support::{scratch, zombies};

/// Copies an image with skopeo, which reads and verifies every blob.
fn skopeo_copies(name: &str) -> Outcome {
    let dir = scratch();
    let to = format!("dir:{}", dir.path().display());
    tool("skopeo", ["copy", "--all", "--src-tls-verify=false", name, &to]).run().succeeds()
}

#[test]
fn skopeo_accepts_results_of_every_source_and_destination() {
    for (n, registry) in implementations::each().enumerate() {
        every_source_and_destination(&registry, n == 0);
    }
}

/// Wraps between all transports, or only from and to this registry.
fn every_source_and_destination(registry: &Real, all: bool) {
    let dir = scratch();
    let at = |kind: &str, name: &str| format!("{kind}:{}", dir.path().join(name).display());
    let archive = at("oci-archive", "source.tar");
    let docker = at("docker-archive", "source-docker.tar");
    tool("skopeo", ["copy", "-q", &zombies(), &format!("{archive}:v1")]).run().succeeds();
    tool("skopeo", ["copy", "-q", &zombies(), &format!("{docker}:app:v1")]).run().succeeds();
    let sources = [
        zombies(),
        registry.push(&zombies(), "app", "v1"),
        format!("{archive}:v1"),
        format!("{docker}:app:v1"),
    ];
    for (i, source) in sources.iter().enumerate() {
        let kept = !source.starts_with("docker-archive");
        let destinations = [
            registry.name("out", &format!("v{i}")),
            at("oci", &format!("layout{i}")) + ":v1",
            at("oci-archive", &format!("out{i}.tar")) + ":v1",
            at("docker-archive", &format!("out{i}-docker.tar")) + ":app:v1",
        ];
        let is_here = |name: &str| name.contains(registry.host());
        for destination in destinations.iter().filter(|to| all || is_here(to) || is_here(source)) {
            let result = registry.reapify(["wrap", source, destination]).run().succeeds().digest();
            registry.is_whole(destination);
            if !destination.starts_with("docker-archive") {
                assert_eq!(registry.digest(destination), result, "{source} to {destination}");
            }
            registry.reapify(["verify", "--deep", destination]).run().succeeds();
            let back = at("oci", &format!("back{i}")) + ":v1";
            let restored = registry.reapify(["unwrap", destination, &back]).run().succeeds().digest();
            if kept && !destination.starts_with("docker-archive") {
                assert_eq!(restored, registry.digest(source), "{source} by {destination}");
            }
        }
    }
}

#[test]
fn pipes_work_between_all_transports() {
    for registry in implementations::each() {
        pipes_carry_archives(&registry);
    }
}

fn pipes_carry_archives(registry: &Real) {
    let dir = scratch();
    let at = |kind: &str, name: &str| format!("{kind}:{}", dir.path().join(name).display());
    let read = |name: &str| std::fs::read(dir.path().join(name)).unwrap();
    tool("skopeo", ["copy", "-q", &zombies(), &at("oci-archive", "in-oci.tar")]).run().succeeds();
    tool("skopeo", ["copy", "-q", &zombies(), &at("docker-archive", "in-docker.tar")]).run().succeeds();
    let sources = [
        (registry.push(&zombies(), "app", "v1"), Vec::new()),
        (zombies(), Vec::new()),
        ("oci-archive:-".to_owned(), read("in-oci.tar")),
        ("docker-archive:-".to_owned(), read("in-docker.tar")),
    ];
    for (i, (source, input)) in sources.iter().enumerate() {
        // A pipe gives the same result as a file.
        let file = source.replace("oci-archive:-", &at("oci-archive", "in-oci.tar"));
        let file = file.replace("docker-archive:-", &at("docker-archive", "in-docker.tar"));
        let expected =
            registry.reapify(["wrap", &file, &at("oci", &format!("expected{i}"))]).run().succeeds().digest();
        let wrap = |destination: &str, output: &str| {
            let args = ["wrap", "--output", output, source, destination];
            registry.reapify(args).stdin(input.clone()).run().succeeds()
        };
        for destination in [registry.name("out", &format!("v{i}")), at("oci", &format!("out{i}")) + ":v1"] {
            assert_eq!(wrap(&destination, "text").digest(), expected, "{source}");
            assert_eq!(registry.digest(&destination), expected);
        }
        for (kind, name) in [("oci-archive", "-:v1"), ("docker-archive", "-:app:v1")] {
            // The archive is on standard output, so the result is not.
            let outcome = wrap(&format!("{kind}:{name}"), "json");
            let report = outcome.stderr.lines().last().unwrap();
            let report: serde_json::Value = serde_json::from_str(report).unwrap();
            let out = at(kind, &format!("out{i}-{kind}.tar"));
            std::fs::write(dir.path().join(format!("out{i}-{kind}.tar")), &outcome.stdout).unwrap();
            registry.is_whole(&out);
            registry.reapify(["verify", &out]).run().succeeds();
            if kind == "oci-archive" {
                assert_eq!(report["digest"], expected, "{source}");
                assert_eq!(registry.digest(&out), expected, "{source}");
            }
        }
    }
    let archive = dir.path().join("out1-docker-archive.tar").display().to_string();
    let loaded = Docker::get().command(&["load", "--input", &archive]).run().succeeds();
    assert!(loaded.text().contains("app:v1"), "{loaded}");
    Docker::get().run_to_end(&[], "app:v1", &["1", "1", "3"]).exits(3);
}

#[test]
fn umoci_unpacks_the_result_with_the_reaper() {
    let dir = scratch();
    let layout = dir.path().join("layout");
    reapify(["wrap", &zombies(), &format!("oci:{}:v1", layout.display())]).run().succeeds();
    let bundle = dir.path().join("bundle");
    tool("umoci", ["unpack", "--image", &format!("{}:v1", layout.display()), &bundle.display().to_string()])
        .run()
        .succeeds();
    let reaper = dir.path().join("reaper");
    reapify(["reaper", "linux/amd64", "-o", &reaper.display().to_string()]).run().succeeds();
    let unpacked = bundle.join("rootfs/.reaper");
    assert_eq!(std::fs::read(&unpacked).unwrap(), std::fs::read(reaper).unwrap());
    let mode = std::os::unix::fs::PermissionsExt::mode(&std::fs::metadata(&unpacked).unwrap().permissions());
    assert_eq!(mode & 0o7777, 0o755);
    let spec: serde_json::Value =
        serde_json::from_slice(&std::fs::read(bundle.join("config.json")).unwrap()).unwrap();
    assert_eq!(spec["process"]["args"][0], "/.reaper");
}

#[test]
fn engines_pull_results_and_save_images_that_can_be_unwrapped() {
    let registry = DockerRegistry::start();
    let to = registry.name("app", "v1");
    reapify(["wrap", &zombies(), &to]).run().succeeds();
    let dir = scratch();
    let engines: [&dyn Engine; 2] = [Docker::get(), Podman::get()];
    for engine in engines {
        let name = engine.pull(&to);
        let file = dir.path().join(engine.name());
        engine.command(&["save", "--output", &file.display().to_string(), &name]).run().succeeds();
        let saved = format!("docker-archive:{}", file.display());
        let back = format!("oci:{}:{}", dir.path().join("back").display(), engine.name());
        reapify(["unwrap", &saved, &back]).run().succeeds().says("config and diff_ids are restored");
        let config =
            |name: &str| tool("skopeo", ["inspect", "--config", "--raw", name]).run().succeeds().stdout;
        assert_eq!(
            config(&back),
            config(&zombies()),
            "{}: the config is the original's, byte for byte",
            engine.name()
        );
    }
}

#[test]
fn interoperates_with_oci_client() {
    use oci_client::client::{ClientConfig, ClientProtocol, Config, ImageLayer};
    use oci_client::secrets::RegistryAuth;
    // The provider may already be installed.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let registry = DockerRegistry::start();
    let config = ClientConfig { protocol: ClientProtocol::Http, ..ClientConfig::default() };
    let client = oci_client::Client::new(config);
    let reference = |repository: &str| -> oci_client::Reference {
        format!("{}/{repository}:v1", registry.host()).parse().unwrap()
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let gzip = "application/vnd.oci.image.layer.v1.tar+gzip";

    let to = registry.name("ours", "v1");
    let pushed = reapify(["wrap", &zombies(), &to]).run().succeeds().digest();
    let pulled =
        runtime.block_on(client.pull(&reference("ours"), &RegistryAuth::Anonymous, vec![gzip])).unwrap();
    assert_eq!(pulled.digest.as_deref(), Some(pushed.as_str()));
    assert_eq!(pulled.layers.len(), 3);

    // oci-client pushes the same layers except the last; the result is then wrapped.
    let layers: Vec<ImageLayer> = pulled.layers[..2].to_vec();
    let original = tool("skopeo", ["inspect", "--config", "--raw", &zombies()]).run().succeeds().stdout;
    let config = Config::oci_v1(original, None);
    runtime
        .block_on(client.push(&reference("theirs"), &layers, config, &RegistryAuth::Anonymous, None))
        .unwrap();
    let wrapped = registry.name("theirs", "reaped");
    reapify(["wrap", &registry.name("theirs", "v1"), &wrapped]).run().succeeds();
    reapify(["verify", "--deep", &wrapped, "--source", &registry.name("theirs", "v1")]).run().succeeds();
    skopeo_copies(&wrapped);
}

/// Returns the media types of a manifest and of everything that it refers to.
fn media_types(manifest: &Value) -> Vec<&str> {
    let lists =
        ["layers", "manifests"].into_iter().flat_map(|key| manifest[key].as_array().into_iter().flatten());
    let descriptors = [manifest, &manifest["config"]].into_iter().chain(lists);
    descriptors.filter_map(|descriptor| descriptor["mediaType"].as_str()).collect()
}

#[test]
fn converts_docker_types_for_tools_that_require_oci_types() {
    let dir = scratch();
    let source = Image::small().family(Family::Docker);
    let from = source.in_layout(&dir.path().join("from"), "v1");
    let layout = dir.path().join("to");
    let to = format!("oci:{}:v1", layout.display());
    reapify(["wrap", &from, &to]).run().succeeds().says("--format oci");
    let wrap = ["wrap", "--output", "json", "--format", "oci", &from, &to];
    let first = reapify(wrap).run().succeeds().never_says("--format oci").json();
    let manifest: Value = serde_json::from_slice(&layout_manifest(&layout, "v1")).unwrap();
    assert!(media_types(&manifest).iter().all(|kind| kind.contains(".oci.")), "{manifest}");
    assert_eq!(manifest["annotations"]["io.reapify.source"], source.digest());
    skopeo_copies(&to);
    let bundle = dir.path().join("bundle").display().to_string();
    tool("umoci", ["unpack", "--rootless", "--image", &format!("{}:v1", layout.display()), &bundle])
        .run()
        .succeeds();
    reapify(["verify", &to, "--source", &from]).run().succeeds();
    // A second run, from the source and in place.
    let again = reapify(wrap).run().succeeds().json();
    assert_eq!((&again["action"], &again["digest"]), (&json!("unchanged"), &first["digest"]));
    let in_place = reapify(["wrap", "--output", "json", "--format", "oci", &to, &to]).run().succeeds().json();
    assert_eq!((&in_place["action"], &in_place["digest"]), (&json!("unchanged"), &first["digest"]));
    let back = format!("oci:{}:v1", dir.path().join("back").display());
    assert_eq!(reapify(["unwrap", &to, &back]).run().succeeds().digest(), source.digest());
}

#[test]
fn converts_oci_types_to_docker_types_and_back() {
    let dir = scratch();
    let from = zombies();
    let archive = format!("oci-archive:{}:v1", dir.path().join("to.tar").display());
    reapify(["wrap", "--format", "docker", &from, &archive]).run().succeeds().says("--format oci");
    let back = format!("oci:{}:v1", dir.path().join("back").display());
    let restored = reapify(["unwrap", &archive, &back]).run().succeeds().digest();
    let manifest = tool("skopeo", ["inspect", "--raw", &from]).run().succeeds();
    assert_eq!(restored, support::image::digest(&manifest.stdout));
    // The image already has that format: nothing is converted or recorded.
    let keep = reapify(["wrap", &from, &format!("oci:{}:a", dir.path().join("o").display())]).run();
    let oci = ["wrap", "--format", "oci", &from, &format!("oci:{}:b", dir.path().join("o").display())];
    assert_eq!(reapify(oci).run().succeeds().digest(), keep.succeeds().digest());
    let zstd = Image::small();
    let manifest = String::from_utf8(zstd.manifest_bytes()).unwrap().replace("tar+gzip", "tar+zstd");
    let zstd = zstd.manifest(&manifest);
    let from = zstd.in_layout(&dir.path().join("zstd"), "v1");
    let refused = format!("oci:{}:v1", dir.path().join("refused").display());
    reapify(["wrap", "--format", "docker", &from, &refused]).run().exits(5).says("zstd");
}

#[test]
fn converts_a_docker_list_to_an_index_and_back() {
    let registry = Registry::start();
    let images = ["amd64", "arm64"].map(|architecture| {
        let image = image_for("linux", architecture, "", Family::Docker);
        image.in_registry(&registry, "app", architecture);
        child(&image, "linux", architecture)
    });
    let list = put_index(&registry, "app", "all", Family::Docker, &images);
    let from = registry.name("app", "all");
    let dir = scratch();
    let layout = dir.path().join("to");
    let to = format!("oci:{}:v1", layout.display());
    let wrap = ["wrap", "--output", "json", "--format", "oci", &from, &to];
    let first = reapify(wrap).run().succeeds().json();
    let index: Value = serde_json::from_slice(&layout_manifest(&layout, "v1")).unwrap();
    assert!(media_types(&index).iter().all(|kind| kind.contains(".oci.")), "{index}");
    skopeo_copies(&to);
    reapify(["verify", &to, "--source", &from]).run().succeeds();
    let again = reapify(wrap).run().succeeds().json();
    assert_eq!((&again["action"], &again["digest"]), (&json!("unchanged"), &first["digest"]));
    let back = registry.name("back", "all");
    let restored = reapify(["unwrap", &to, &back]).run().succeeds().digest();
    assert_eq!(restored, support::image::digest(&list));
    // Wrapped again with its original types.
    let docker = registry.name("docker", "all");
    reapify(["wrap", "--format", "docker", &to, &docker]).run().succeeds();
    let restored = reapify(["unwrap", &docker, &registry.name("back", "docker")]).run().succeeds().digest();
    assert_eq!(restored, support::image::digest(&list));
}
