//! A directory in which the commands of documents and examples run: reapify is on `PATH`, and registries on loopback
//! take the place of the example hosts.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde_json::json;

use super::docker::Docker;
use super::docker_registry::DockerRegistry;
use super::image::{Family, Image, digest, file, write_blob, write_index};
use super::refusal::files_below;
use super::run::{Outcome, tool};
use super::{program, project, scratch, zombies};

/// The directory, with the registries.
pub struct Stage {
    dir: tempfile::TempDir,
    hosts: Vec<(&'static str, DockerRegistry)>,
    /// The value of `DOCKER_HOST`.
    engine: Option<String>,
    /// Held while the engine is used: all stages give its images the same names.
    _turn: Option<MutexGuard<'static, ()>>,
}

/// The user and the password of `private.example`.
const LOGIN: (&str, &str) = ("robot", "password");

/// The files that commands read, beside the project's own.
const FILES: [(&str, &str); 6] = [
    ("password", "password"),
    ("Dockerfile", "FROM registry.example/app:1.4\nENV BUILT=1\n"),
    ("pod.yaml", POD),
    ("manifests/pod.yaml", POD),
    ("regsync.yml", REGSYNC),
    ("mychart.yaml", POD),
];

const POD: &str = "apiVersion: v1\nkind: Pod\nmetadata:\n  name: web\nspec:\n  shareProcessNamespace: true\n  containers:\n    \
                   - name: web\n      image: registry.example/app:1.4\n";

const REGSYNC: &str = "version: 1\nsync:\n  - source: registry.example/app\n    target: mirror.example/app\n    \
                       type: repository\n    tags: {allow: [\"1\\\\..\"]}\n";

/// Programs that need something that a test does not have. Each script takes the place of one, after the real one
/// where there is one.
const STAND_INS: [(&str, &str); 3] = [
    // The registries on loopback speak plain HTTP, which skopeo must be told.
    (
        "skopeo",
        "case $1 in login) set -- \"$@\" --tls-verify=false ;; \
         copy) set -- \"$@\" --src-tls-verify=false --dest-tls-verify=false ;; esac\nreal skopeo \"$@\"",
    ),
    // There is no cluster: documents are read to their end, and must be some.
    ("kubectl", "grep '^kind: ' >/dev/null"),
    // Without Helm's program, a document takes the place of a rendered chart.
    ("helm", "cat mychart.yaml"),
];

impl Stage {
    /// Starts the registries, with the images that documents name.
    pub fn new() -> Self {
        let hosts = vec![
            ("registry.example", DockerRegistry::start()),
            ("mirror.example", DockerRegistry::start()),
            ("private.example", DockerRegistry::with_user(LOGIN.0, LOGIN.1).start()),
            ("tls.example", super::docker_registry::Options::default().tls().start()),
        ];
        let stage = Self { dir: scratch(), hosts, engine: None, _turn: None };
        stage.write_files();
        stage.push_images();
        stage
    }

    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    fn registry(&self, host: &str) -> &DockerRegistry {
        let found = self.hosts.iter().find(|(name, _)| *name == host);
        &found.unwrap_or_else(|| panic!("no registry takes the place of {host}")).1
    }

    /// Replaces the example hosts by the addresses of the registries.
    pub fn localised(&self, text: &str) -> String {
        let replace =
            |text: String, (name, registry): &(&str, DockerRegistry)| text.replace(name, registry.host());
        self.hosts.iter().fold(text.to_owned(), replace)
    }

    /// Replaces the addresses of the registries by the example hosts.
    pub fn generalised(&self, text: &str) -> String {
        let replace =
            |text: String, (name, registry): &(&str, DockerRegistry)| text.replace(registry.host(), name);
        self.hosts.iter().fold(text.to_owned(), replace)
    }

    fn write_files(&self) {
        for (name, text) in FILES {
            self.write(name, &self.localised(text));
        }
        for dir in ["target", "home", "tmp", "bin"] {
            fs::create_dir_all(self.dir().join(dir)).expect("a directory");
        }
        for name in ["testdata", "action.yml"] {
            std::os::unix::fs::symlink(project(name), self.dir().join(name)).expect("a link");
        }
        for example in files_below(&project("examples")) {
            let name = example.strip_prefix(project("")).expect("a file of the project");
            let text = fs::read_to_string(&example).expect("a text");
            self.write(name.to_str().expect("UTF-8"), &self.localised(&text));
        }
        let authority = fs::read(self.registry("tls.example").authority()).expect("the certificate");
        fs::write(self.dir().join("ca.crt"), authority).expect("a file");
        std::os::unix::fs::symlink(env!("CARGO_BIN_EXE_reapify"), self.dir().join("bin/reapify"))
            .expect("a link");
        for (name, script) in STAND_INS {
            self.write_program(name, script);
        }
        // A checkout is run by cargo; what it would build is here already.
        self.write_program("cargo", "while [ \"$1\" != -- ]; do shift; done; shift; exec reapify \"$@\"");
    }

    /// Writes a file, with the directories above it.
    pub fn write(&self, name: &str, text: &str) {
        let path = self.dir().join(name);
        fs::create_dir_all(path.parent().expect("a directory")).expect("a directory");
        fs::write(path, text).expect("a file");
    }

    /// Writes a program that is found on `PATH`. Its script starts the system's program of the same name with `real`.
    pub fn write_program(&self, name: &str, script: &str) {
        let name = format!("bin/{name}");
        self.write(
            &name,
            &format!("#!/bin/bash\nset -eu\nreal() {{ PATH=${{PATH#*:}}; exec \"$@\"; }}\n{script}\n"),
        );
        fs::set_permissions(self.dir().join(name), fs::Permissions::from_mode(0o755)).expect("a mode");
    }

    /// Starts a Docker engine, which holds the images `app` and `localhost/app`.
    pub fn with_docker(mut self) -> Self {
        static TURN: Mutex<()> = Mutex::new(());
        self._turn = Some(TURN.lock().unwrap_or_else(PoisonError::into_inner));
        self.engine = Some(Docker::get().host());
        let app = self.registry("registry.example").name("app", "1.4").replace("docker://", "");
        self.bash(&format!(
            "docker pull --quiet {app} && docker tag {app} app && docker tag {app} localhost/app"
        ))
        .succeeds();
        self
    }

    fn push_images(&self) {
        let registry = self.registry("registry.example");
        for tag in ["1.4", "1.5", "3f2a1c"] {
            registry.push(&zombies(), "app", tag);
        }
        let layout = self.dir().join("images");
        registry.push(&usr(&layout.join("usr")), "usr", "1");
        registry.push(&multi(&layout.join("multi")), "multi", "1");
        let copy = |options: &[&str], name: &str| {
            let source = zombies();
            let all = [&["copy", "--quiet", "--dest-tls-verify=false"], options, &[&source, name]].concat();
            tool("skopeo", all).run().succeeds();
        };
        let creds = format!("--dest-creds={}:{}", LOGIN.0, LOGIN.1);
        copy(&[&creds], &self.registry("private.example").name("app", "1"));
        copy(&[], &self.registry("tls.example").name("app", "1"));
    }

    /// Runs a script in the directory, as continuous integration does: it ends with the first command that fails.
    pub fn bash(&self, script: &str) -> Outcome {
        let path =
            format!("{}:{}", self.dir().join("bin").display(), std::env::var("PATH").unwrap_or_default());
        let home = self.dir().join("home");
        tool("bash", ["--noprofile", "--norc", "-euo", "pipefail", "-c", script])
            .dir(self.dir())
            .env("PATH", path)
            .env("HOME", &home)
            .env("XDG_CACHE_HOME", home.join("cache"))
            .env("TMPDIR", self.dir().join("tmp"))
            .env("DOCKER_HOST", self.engine.as_deref().unwrap_or("unix:///no/engine/was/started"))
            // The other builder is a program of its own, which Debian's engine does not have.
            .env("DOCKER_BUILDKIT", "0")
            .within(Duration::from_secs(240))
            .run()
    }
}

/// Creates an image whose `/sbin` is a directory that holds `reaper` already.
fn usr(dir: &Path) -> String {
    let program = program();
    Image::small().layer(&[file("sbin/reaper", &program), file("app", &program)]).in_layout(dir, "1")
}

/// Creates an index of the sample for two platforms.
fn multi(dir: &Path) -> String {
    let image = |architecture: &str| {
        let config = format!(
            r#"{{"os":"linux","architecture":"{architecture}","config":{{"Entrypoint":["/zombies"]}},"rootfs":{{"type":"layers","diff_ids":[$DIFF_IDS]}}}}"#
        );
        Image::new().layer(&[file("zombies", &program())]).config(&config)
    };
    let children: Vec<_> = ["amd64", "arm64"]
        .map(|architecture| {
            let image = image(architecture);
            image.in_layout(dir, architecture);
            let mut child = image.descriptor();
            child["platform"] = json!({"os": "linux", "architecture": architecture});
            child
        })
        .into();
    let index = json!({"schemaVersion": 2, "mediaType": Family::Oci.index(), "manifests": children});
    let bytes = serde_json::to_vec(&index).expect("JSON");
    write_blob(dir, &bytes);
    write_index(dir, &[("1", Family::Oci.index(), &bytes)]);
    assert!(super::image::blob_path(dir, &digest(&bytes)).exists());
    format!("oci:{}:1", dir.display())
}
