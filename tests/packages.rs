//! The files of a release: what they contain, and that they are installed, used and removed.

mod support;

use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::time::Duration;

use serde_json::Value;
use support::docker::Docker;
use support::docker_registry::DockerRegistry;
use support::engine::Engine;
use support::podman::Podman;
use support::run::{reapify, tool};
use support::{project, scratch, zombies};

const VERSION: &str = env!("CARGO_PKG_VERSION");

/// The release of the program under test, packed once.
struct Release {
    dir: tempfile::TempDir,
}

impl Release {
    fn get() -> &'static Self {
        static RELEASE: OnceLock<Release> = OnceLock::new();
        RELEASE.get_or_init(|| {
            let dir = scratch();
            let release = Self { dir };
            // The debug information of a test build is ten times as large as the program.
            let program = release.program();
            let strip = ["--strip-all", "-o", text(&program), env!("CARGO_BIN_EXE_reapify")];
            tool("strip", strip).run().succeeds();
            let (script, files) = (project("scripts/release"), release.file(""));
            // A weak compression is a quick one. Packing asks cargo, which waits while others use its cache.
            tool(text(&script), ["--no-build", text(&program), text(&files)])
                .env("DPKG_DEB_COMPRESSOR_LEVEL", "0")
                .within(Duration::from_secs(600))
                .run()
                .succeeds();
            release
        })
    }

    /// The program that was packed.
    fn program(&self) -> PathBuf {
        self.dir.path().join("program")
    }

    fn file(&self, name: &str) -> PathBuf {
        self.dir.path().join("files").join(name)
    }

    /// The only file of the release whose name ends like this.
    fn ending(&self, end: &str) -> PathBuf {
        let entries = std::fs::read_dir(self.file("")).unwrap().map(|entry| entry.unwrap().path());
        let mut found = entries.filter(|path| text(path).ends_with(end));
        let file = found.next().unwrap_or_else(|| panic!("a file {end}"));
        assert_eq!(found.next(), None);
        file
    }
}

fn text(path: &Path) -> &str {
    path.to_str().expect("a path in UTF-8")
}

/// The regular files below a directory, by their paths in it.
fn files(dir: &Path) -> Vec<String> {
    let found = tool("find", [text(dir), "-type", "f", "-printf", "%P\n"]).run().succeeds();
    let mut files: Vec<String> = found.text().lines().map(String::from).collect();
    files.sort();
    files
}

#[test]
fn the_digests_are_those_of_the_files() {
    let release = Release::get();
    tool("sha256sum", ["--check", "--strict", "SHA256SUMS"]).dir(release.file("")).run().succeeds();
    let listed = std::fs::read_to_string(release.file("SHA256SUMS")).unwrap();
    assert_eq!(listed.lines().count(), files(&release.file("")).len() - 1, "{listed}");
}

#[test]
fn the_archive_contains_the_program_and_all_that_accompanies_it() {
    let release = Release::get();
    let dir = scratch();
    tool("tar", ["-xzf", text(&release.ending(".tar.gz")), "-C", text(dir.path()), "--strip-components=1"])
        .run()
        .succeeds();
    let program = std::fs::read(dir.path().join("reapify")).unwrap();
    assert!(program == std::fs::read(release.program()).unwrap());
    let found = files(dir.path());
    for name in [
        "CHANGELOG.md",
        "LICENSE",
        "README.md",
        "completions/_reapify",
        "completions/reapify.bash",
        "completions/reapify.fish",
        "docs/reaper.md",
        "man/man1/reapify-mirror-once.1",
        "man/man1/reapify.1",
    ] {
        assert!(found.iter().any(|file| file == name), "{name} of {found:#?}");
    }
    let notices = std::fs::read_to_string(dir.path().join("THIRD-PARTY-NOTICES")).unwrap();
    for part in
        ["\ntokio 1.", "\nring 0.", "The Rust standard library", "musl libc", "Permission is hereby granted"]
    {
        assert!(notices.contains(part), "{part}");
    }
}

#[test]
fn the_debian_package_is_installed_used_and_purged() {
    let release = Release::get();
    let root = scratch();
    let at = |path: &str| root.path().join(path);
    std::fs::create_dir_all(at("var/lib/dpkg/info")).unwrap();
    std::fs::create_dir_all(at("var/lib/dpkg/updates")).unwrap();
    std::fs::create_dir_all(at("var/log")).unwrap();
    std::fs::write(at("var/lib/dpkg/status"), "").unwrap();
    let dpkg = |args: &[&str]| {
        let place = format!("--root={}", root.path().display());
        tool("dpkg", [place.as_str()]).args(args.iter().copied()).run()
    };
    dpkg(&["--install", text(&release.ending(".deb"))]).succeeds();
    dpkg(&["--verify", "reapify"]).succeeds();

    let version = tool(text(&at("usr/bin/reapify")), ["--version"]).run().succeeds();
    assert!(version.text().starts_with(&format!("reapify {VERSION}")), "{version}");
    let pages = at("usr/share/man");
    let page = tool("man", ["--manpath", text(&pages), "reapify"])
        .env("MANPAGER", "cat")
        .env("MANWIDTH", "100")
        .run()
        .succeeds();
    assert!(page.text().contains("NAME") && page.text().contains("reapify"), "{page}");
    let completions = at("usr/share/bash-completion/completions/reapify");
    let script = format!("source {} && complete -p reapify", completions.display());
    tool("bash", ["-c", &script]).run().succeeds();
    for path in [
        "usr/share/zsh/vendor-completions/_reapify",
        "usr/share/fish/vendor_completions.d/reapify.fish",
        "usr/share/doc/reapify/copyright",
        "usr/share/doc/reapify/THIRD-PARTY-NOTICES.gz",
    ] {
        assert!(at(path).is_file(), "{path}");
    }

    dpkg(&["--purge", "reapify"]).succeeds();
    let left = files(root.path());
    assert!(left.iter().all(|file| file.starts_with("var/")), "{left:#?}");
    assert!(!left.iter().any(|file| file.contains("info/reapify")), "{left:#?}");
}

#[test]
fn the_bill_of_materials_names_the_program_and_every_crate() {
    let release = Release::get();
    let bill: Value = serde_json::from_slice(&std::fs::read(release.ending(".cdx.json")).unwrap()).unwrap();
    assert_eq!(bill["bomFormat"], "CycloneDX");
    let digest = tool("sha256sum", [text(&release.program())]).run().succeeds();
    let recorded = bill["metadata"]["component"]["hashes"][0]["content"].as_str().unwrap();
    assert!(digest.text().starts_with(recorded), "{digest}");

    let components = bill["components"].as_array().unwrap();
    let crates: Vec<&Value> = components.iter().filter(|one| one["purl"].is_string()).collect();
    for one in &crates {
        let (expression, hash) = (&one["licenses"][0]["expression"], &one["hashes"][0]["content"]);
        assert!(expression.as_str().is_some_and(|text| !text.is_empty()), "{one}");
        // Only the crate beside the program comes from no registry.
        assert!(
            one["name"] == "reapify-reaper" || hash.as_str().is_some_and(|hash| hash.len() == 64),
            "{one}"
        );
    }
    let has = |name: &str| crates.iter().any(|one| one["name"] == name);
    assert!(has("tokio") && has("reapify-reaper"), "what the program uses");
    assert!(!has("proptest") && !has("rcgen"), "what only the tests use is not in the program");

    let known: Vec<&str> = components
        .iter()
        .chain([&bill["metadata"]["component"]])
        .map(|one| one["bom-ref"].as_str().unwrap())
        .collect();
    for edge in bill["dependencies"].as_array().unwrap() {
        for name in edge["dependsOn"].as_array().unwrap().iter().chain([&edge["ref"]]) {
            assert!(known.contains(&name.as_str().unwrap()), "{name}");
        }
    }
}

/// The image in a registry, to be pulled by engines; and a registry that asks for a password, with the sample in it.
struct Image {
    /// Serves the image until the test ends.
    _registry: DockerRegistry,
    name: String,
    private: DockerRegistry,
    sample: String,
}

/// The entry for `someone:secret` in a credential file.
const SECRET: &str = "c29tZW9uZTpzZWNyZXQ=";

impl Image {
    fn get() -> &'static Self {
        static IMAGE: OnceLock<Image> = OnceLock::new();
        IMAGE.get_or_init(|| {
            let registry = DockerRegistry::start();
            let archive = format!("oci-archive:{}:{VERSION}", Release::get().ending(".oci.tar").display());
            let name = registry.name("reapify", VERSION);
            // It is wrapped already, and is copied as it is.
            let copied = reapify(["wrap", "--output", "json", &archive, &name]).run().succeeds().json();
            assert_eq!(copied["action"], "unchanged");
            assert_eq!(copied["digest"], copied["source_digest"]);
            let private = DockerRegistry::with_user("someone", "secret").start();
            let sample = private.name("zombies", "1");
            let credentials = Self::credentials(&private);
            reapify(["wrap", "--quiet", &zombies(), &sample])
                .home_file(".docker/config.json", &credentials)
                .run()
                .succeeds();
            Image { _registry: registry, name, private, sample }
        })
    }

    fn credentials(registry: &DockerRegistry) -> String {
        format!(r#"{{"auths":{{"{}":{{"auth":"{SECRET}"}}}}}}"#, registry.host())
    }
}

fn the_image_works<E: Engine>(engine: &E) {
    let image = Image::get();
    let name = engine.pull(&image.name);
    let version = engine.run_to_end(&[], &name, &["--version"]).exits(0);
    assert!(version.text().starts_with(&format!("reapify {VERSION}")), "{version}");

    let dir = scratch();
    let file = dir.path().join("config.json");
    std::fs::write(&file, Image::credentials(&image.private)).unwrap();
    let mount = format!("--volume={}:/home/reapify/.docker/config.json:ro", file.display());
    let run = |options: &[&str]| {
        let args = ["inspect", &image.sample, "--shallow"];
        engine.command(&[&["run", "--rm", "--network", "host"], options, &[&name], &args].concat()).run()
    };
    let hardened = ["--read-only", "--cap-drop=ALL", "--security-opt=no-new-privileges"];
    run(&[&hardened[..], &[&mount]].concat()).exits(0);
    run(&hardened).exits(4);
}

#[test]
fn the_image_runs_in_docker_with_a_mounted_credential_file() {
    the_image_works(Docker::get());
}

#[test]
fn the_image_runs_in_podman_with_a_mounted_credential_file() {
    the_image_works(Podman::get());
}

#[test]
fn the_image_is_wrapped_by_itself_and_not_run_as_root() {
    let archive = format!("oci-archive:{}:{VERSION}", Release::get().ending(".oci.tar").display());
    reapify(["verify", &archive]).run().succeeds();
    let config = tool("skopeo", ["inspect", "--config", &archive]).run().succeeds().json();
    assert_eq!(config["config"]["User"], "65532:65532");
    assert_eq!(config["config"]["Entrypoint"][0], "/.reaper");
    let layers = config["rootfs"]["diff_ids"].as_array().unwrap();
    assert_eq!(layers.len(), 2, "one layer of reapify's, and the reaper's");
}
