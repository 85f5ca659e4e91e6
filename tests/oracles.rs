//! Programs that are not ours say whether the result is an image.

mod support;

use support::docker::Docker;
use support::docker_registry::DockerRegistry;
use support::engine::Engine;
use support::implementations::{self, Real};
use support::podman::Podman;
use support::run::{Outcome, reapify, tool};
use support::{scratch, zombies};

/// skopeo reads every blob and checks it.
fn skopeo_copies(name: &str) -> Outcome {
    let dir = scratch();
    let to = format!("dir:{}", dir.path().display());
    tool("skopeo", ["copy", "--all", "--src-tls-verify=false", name, &to]).run().succeeds()
}

#[test]
fn every_source_and_destination_gives_an_image_that_skopeo_takes() {
    for (n, registry) in implementations::each().enumerate() {
        every_source_and_destination(&registry, n == 0);
    }
}

/// From and to everywhere, or only from and to this registry.
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
fn pipes_carry_archives_between_all_transports() {
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
        // What a file gives, a pipe gives too.
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
            // The archive is on standard output, so that the result is not.
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
fn umoci_unpacks_the_result_with_the_reaper_at_its_place() {
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
fn docker_and_podman_pull_what_was_pushed_and_save_what_can_be_unwrapped() {
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
fn oci_client_pulls_what_we_push_and_we_wrap_what_it_pushes() {
    use oci_client::client::{ClientConfig, ClientProtocol, Config, ImageLayer};
    use oci_client::secrets::RegistryAuth;
    // Whoever comes first installs it.
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

    // The same layers and config without the last: what oci-client makes of it, we wrap.
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
