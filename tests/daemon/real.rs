//! `docker-daemon:` with real engines: Docker in the stores that the installed version has, and podman's service.

use crate::support::docker::Docker;
use crate::support::docker_registry::DockerRegistry;
use crate::support::engine::Engine;
use crate::support::image::{Family, Image, digest, file, noise};
use crate::support::index::{child, image_for};
use crate::support::podman::Podman;
use crate::support::registry::Registry;
use crate::support::run::{Run, reapify, tool};
use crate::support::{program, scratch, zombies};
use serde_json::Value;

/// An engine, and what `DOCKER_HOST` is set to for it.
struct Under {
    engine: &'static dyn Engine,
    host: String,
}

impl Under {
    fn docker(engine: &'static Docker) -> Self {
        Under { engine, host: engine.host() }
    }

    fn podman() -> Self {
        Under { engine: Podman::get(), host: Podman::get().host() }
    }

    /// Every engine that is installed.
    fn all() -> Vec<Self> {
        let docker = [Some(Docker::get()), Docker::with_containerd()].into_iter().flatten().map(Self::docker);
        docker.chain([Self::podman()]).collect()
    }

    fn reapify(&self, args: &[&str]) -> Run {
        reapify(args).env("DOCKER_HOST", &self.host)
    }

    /// Loads an image with the engine's own command.
    fn load(&self, image: &str, name: &str) -> String {
        let dir = scratch();
        let archive = dir.path().join("image.tar").display().to_string();
        let to = format!("docker-archive:{archive}:{name}");
        tool("skopeo", ["copy", "-q", image, &to]).run().succeeds();
        self.engine.command(&["load", "-q", "-i", &archive]).run().succeeds();
        self.id(name)
    }

    /// The ID that the engine gives to an image.
    fn id(&self, name: &str) -> String {
        let id =
            self.engine.command(&["image", "inspect", "--format", "{{.Id}}", name]).run().succeeds().line();
        format!("sha256:{}", id.trim_start_matches("sha256:"))
    }

    fn entrypoint(&self, name: &str) -> String {
        let format = "{{json .Config.Entrypoint}}";
        self.engine.command(&["image", "inspect", "--format", format, name]).run().succeeds().line()
    }
}

fn action(report: &Value) -> (&str, bool) {
    (report["action"].as_str().unwrap(), report["written"].as_bool().unwrap())
}

#[test]
fn an_image_is_wrapped_run_verified_and_unwrapped_in_the_engine() {
    for under in Under::all() {
        let [before, after] = ["docker.io/library/story:v1", "docker.io/library/story:reaped"];
        let original = under.load(&zombies(), before);
        let (from, to) = ("docker-daemon:story:v1", "docker-daemon:story:reaped");
        under.reapify(&["inspect", "--check=strict", from]).run().exits(8);
        let wrap = |from: &str, to: &str| {
            under.reapify(&["wrap", "--output", "json", from, to]).run().succeeds().json()
        };
        let report = wrap(from, to);
        assert_eq!(action(&report), ("wrapped", true), "{report}");
        let reaped = under.id(after);
        assert_eq!(report["digest"], reaped, "the result goes by its ID: {report}");
        assert!(under.entrypoint(after).starts_with(r#"["/.reaper","--","/zombies""#));
        under.engine.run_to_end(&[], after, &["1", "1", "42"]).exits(42);
        under.reapify(&["inspect", "--check=strict", to]).run().succeeds();
        under.reapify(&["verify", to, "--source", from]).run().succeeds();
        // Again: nothing is sent, and the name stands for the same image.
        for (from, to) in [(from, to), (to, to)] {
            let report = wrap(from, to);
            assert_eq!(action(&report), ("unchanged", false), "{report}");
            assert_eq!(report["digest"], reaped, "{report}");
            assert_eq!(report["stats"]["bytes_pushed"], 0, "{report}");
        }
        assert_eq!(under.id(after), reaped);
        // In place, and back.
        let report = wrap(from, from);
        assert_eq!(action(&report), ("wrapped", true), "{report}");
        assert_eq!(under.id(before), reaped, "the same image as elsewhere");
        let report = under.reapify(&["unwrap", "--output", "json", from, from]).run().succeeds().json();
        assert_eq!(action(&report), ("unwrapped", true), "{report}");
        assert_eq!(under.id(before), original);
        under.engine.run_to_end(&[], before, &["1", "1", "7"]).exits(7);
    }
}

#[test]
fn what_docker_builds_is_wrapped_on_its_way_to_a_registry() {
    let under = Under::docker(Docker::get());
    let registry = DockerRegistry::start();
    let context = scratch();
    std::fs::write(context.path().join("zombies"), program()).unwrap();
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    std::fs::set_permissions(context.path().join("zombies"), mode).unwrap();
    let text = "FROM scratch\nCOPY zombies /zombies\nENTRYPOINT [\"/zombies\"]\nCMD [\"exit\", \"3\"]\n";
    std::fs::write(context.path().join("Dockerfile"), text).unwrap();
    let build = ["build", "--quiet", "--tag", "built", &context.path().display().to_string()];
    under.engine.command(&build).env("DOCKER_BUILDKIT", "0").run().succeeds();
    let to = registry.name("built", "1");
    under.reapify(&["wrap", "docker-daemon:built:latest", &to]).run().succeeds();
    let name = under.engine.pull(&to);
    assert_eq!(under.entrypoint(&name), r#"["/.reaper","--","/zombies"]"#);
    under.engine.run_to_end(&[], &name, &[]).exits(3);
    // The other way: from the registry into the engine, under another name.
    under.reapify(&["unwrap", &to, "docker-daemon:built:plain"]).run().succeeds();
    assert_eq!(under.entrypoint("built:plain"), r#"["/zombies"]"#);
}

#[test]
fn images_are_named_as_the_engine_names_them() {
    for under in Under::all() {
        let id = under.load(&zombies(), "docker.io/library/named:v1");
        let hex = id.trim_start_matches("sha256:");
        let result = format!("docker-daemon:named@{id}");
        let short = format!("docker-daemon:{}", &hex[..12]);
        let digests: Vec<Value> = [
            "docker-daemon:named:v1",
            "docker-daemon:docker.io/library/named:v1",
            &format!("docker-daemon:{id}"),
            &format!("docker-daemon:@{id}"),
            &format!("docker-daemon:{hex}"),
            &short,
            &result,
        ]
        .map(|name| {
            under.reapify(&["inspect", "--output", "json", name]).run().succeeds().json()["digest"].clone()
        })
        .to_vec();
        assert!(digests.iter().all(|digest| digest == &id), "{id}: {digests:?}");
        for name in ["docker-daemon:named:none", "docker-daemon:000000000000", "docker-daemon:other"] {
            under.reapify(&["inspect", name]).run().exits(3).says("no such image").says("docker images");
        }
        if under.engine.name() == "podman" {
            under.engine.command(&["tag", "docker.io/library/named:v1", "localhost/own:v1"]).run().succeeds();
            let inspect = under.reapify(&["inspect", "docker-daemon:own:v1"]);
            inspect.run().exits(3).says("the engine has docker-daemon:localhost/own:v1");
        }
        // The name goes along into an archive; an ID has none.
        let dir = scratch();
        for (name, tags) in [("docker-daemon:named:v1", r#"["named:v1"]"#), (&short, "[]")] {
            let archive = dir.path().join(tags.len().to_string()).display().to_string();
            under.reapify(&["wrap", name, &format!("docker-archive:{archive}")]).run().succeeds();
            let list = tool("tar", ["-xOf", &archive, "manifest.json"]).run().succeeds().json();
            let found = list[0]["RepoTags"].to_string().replace("docker.io/library/", "");
            assert_eq!(found, tags, "{name}");
        }
    }
}

#[test]
fn an_image_that_the_engine_pushes_can_be_verified_upgraded_and_unwrapped() {
    for under in Under::all() {
        let registry = DockerRegistry::start();
        let original = under.load(&zombies(), "docker.io/library/pushed:v1");
        let wrapped = format!("{}/pushed:v1", registry.host());
        let in_engine = format!("docker-daemon:{wrapped}");
        under.reapify(&["wrap", "docker-daemon:pushed:v1", &in_engine]).run().succeeds();
        let push = |format: &[&str], to: &str| {
            let is_podman = under.engine.name() == "podman";
            let options = if is_podman { [&["--tls-verify=false"], format].concat() } else { Vec::new() };
            let tag = ["tag", &wrapped, to];
            under.engine.command(&tag).run().succeeds();
            under.engine.command(&[&["push"], &options[..], &[to]].concat()).run().succeeds();
            is_podman
        };
        push(&["--format", "v2s2"], &wrapped);
        let encoded = format!("{}/pushed:oci", registry.host());
        if push(&["--format", "oci"], &encoded) {
            // The config has other bytes, so that nothing proves what it was.
            let to = registry.name("pushed", "again");
            let report = reapify(["wrap", "--output", "json", &encoded, &to]).run().succeeds().json();
            assert_eq!(report["action"], "skipped", "{report}");
            assert!(report["reason"].as_str().unwrap().contains("another program changed it"), "{report}");
            reapify(["verify", &encoded]).run().exits(6);
        }
        // reapify takes it from the engine to another tag, unchanged.
        let copied = registry.name("pushed", "copied");
        under.reapify(&["wrap", &in_engine, &copied]).run().succeeds();
        for from in [registry.name("pushed", "v1"), copied] {
            reapify(["verify", &from]).run().succeeds();
            let to = registry.name("pushed", "upgraded");
            let report =
                reapify(["wrap", "--grace", "5", "--output", "json", &from, &to]).run().succeeds().json();
            assert_eq!(action(&report), ("upgraded", true), "{report}");
            let back = under.reapify(&["unwrap", &from, "docker-daemon:back:v1"]).run().succeeds();
            if under.id("docker.io/library/back:v1") != original {
                panic!("{}: {back}", under.engine.name());
            }
        }
    }
}

#[test]
fn an_index_needs_a_platform() {
    let registry = Registry::start();
    let images = [("linux", "amd64"), ("linux", "arm64")].map(|(os, arch)| {
        let image = image_for(os, arch, "", Family::Oci);
        image.in_registry(&registry, "app", arch);
        child(&image, os, arch)
    });
    crate::support::index::put_index(&registry, "app", "index", Family::Oci, &images);
    let from = registry.name("app", "index");
    for under in Under::all() {
        let to = "docker-daemon:index:v1";
        let refused = under.reapify(&["wrap", &from, to]).run().exits(2);
        refused.says("single-platform").says("--platform: linux/amd64, linux/arm64");
        under.reapify(&["inspect", to]).run().exits(3);
        under.reapify(&["wrap", "--platform", "linux/arm64", &from, to]).run().succeeds();
        let format = "{{.Os}}/{{.Architecture}}";
        let inspect = ["image", "inspect", "--format", format, "docker.io/library/index:v1"];
        assert_eq!(under.engine.command(&inspect).run().succeeds().line(), "linux/arm64");
    }
}

#[test]
#[ignore = "Debian's engine is too old for this store: scripts/test-engines runs it with a newer one"]
fn original_manifests_survive_in_containerds_store() {
    let docker = Docker::with_containerd().expect("an engine with containerd's image store");
    let under = Under::docker(docker);
    let registry = DockerRegistry::start();
    // Files that no other image has: see below.
    let dir = scratch();
    let image = Image::new().layer(&[file("app", b"pulled"), file("more", b"unlike others")]);
    let from = registry.push(&image.in_layout(dir.path(), "v1"), "app", "v1");
    let pushed = reapify(["inspect", "--output", "json", &from]).run().succeeds().json()["digest"].clone();
    let name = under.engine.pull(&from);
    let pulled = format!("docker-daemon:{name}");
    let report = under.reapify(&["wrap", "--output", "json", &pulled, &pulled]).run().succeeds().json();
    assert_eq!(report["source_digest"], pushed, "the manifest is that of the registry");
    let in_registry = reapify(["wrap", &from, &registry.name("app", "reaped")]).run().succeeds().digest();
    assert_eq!(report["digest"], in_registry, "and the result is the same as there");
    let report = under.reapify(&["unwrap", "--output", "json", &pulled, &pulled]).run().succeeds().json();
    assert_eq!(report["digest"], pushed, "digest for digest");
    // An index of which the engine has pulled one image only.
    let images = [("linux", "amd64"), ("linux", "arm64")].map(|(os, arch)| {
        let dir = scratch();
        let image = image_for(os, arch, "", Family::Oci);
        registry.push(&image.in_layout(dir.path(), "v1"), "many", arch);
        child(&image, os, arch)
    });
    let index =
        serde_json::json!({"schemaVersion": 2, "mediaType": Family::Oci.index(), "manifests": images});
    let url = format!("http://{}/v2/many/manifests/index", registry.host());
    let header = format!("Content-Type: {}", Family::Oci.index());
    tool("curl", ["-sfX", "PUT", "-H", &header, "--data-binary", "@-", &url])
        .stdin(index.to_string())
        .run()
        .succeeds();
    let name = under.engine.pull(&registry.name("many", "index"));
    let (from, to) = (format!("docker-daemon:{name}"), registry.name("many", "reaped"));
    let report = under.reapify(&["wrap", "--output", "json", &from, &to]).run().succeeds().json();
    assert_eq!(report["platforms"][0]["platform"], "linux/amd64", "{report}");
    assert_eq!(report["source_digest"], images[0]["digest"], "{report}");
    // An index that the engine has all of.
    let (_dir, archive) = archive_of(&registry.name("many", "index"));
    under.engine.command(&["load", "-q", "-i", &archive]).run().succeeds();
    let to = registry.name("many", "whole");
    let wrap = ["wrap", "--output", "json", "docker-daemon:whole:1", &to];
    let report = under.reapify(&wrap).run().succeeds().json();
    let wrapped = crate::support::index::pairs(&[("linux/amd64", "wrapped"), ("linux/arm64", "wrapped")]);
    assert_eq!(crate::support::index::actions(&report), wrapped, "{report}");
    let in_place = ["wrap", "docker-daemon:whole:1", "docker-daemon:whole:1"];
    under.reapify(&in_place).run().exits(2).says("--platform: linux/amd64, linux/arm64");
    under.reapify(&in_place).args(["--platform", "linux/amd64"]).run().succeeds();
    // An image whose files the engine has from another one, so that it does not fetch the layers.
    let files = [file("app", b"loaded first"), file("more", b"and pulled later")];
    let image = Image::new().layer(&files);
    let dir = scratch();
    let from = image.in_layout(dir.path(), "v1");
    under.load(&from, "docker.io/library/loaded:v1");
    let name = under.engine.pull(&registry.push(&from, "lazy", "v1"));
    let refused = under.reapify(&["inspect", &format!("docker-daemon:{name}")]).run().exits(3);
    refused.says("without its layers").says("read the image from its registry");
}

/// Saves an index as an archive that Docker loads as `whole:1`.
fn archive_of(index: &str) -> (tempfile::TempDir, String) {
    let dir = scratch();
    let archive = dir.path().join("index.tar").display().to_string();
    let to = format!("oci-archive:{archive}:docker.io/library/whole:1");
    tool("skopeo", ["copy", "-q", "--all", "--src-tls-verify=false", index, &to]).run().succeeds();
    (dir, archive)
}

#[test]
fn a_dry_run_writes_nothing() {
    for under in Under::all() {
        let id = under.load(&zombies(), "docker.io/library/dry:v1");
        let run =
            |to: &str| under.reapify(&["wrap", "--dry-run", "docker-daemon:dry:v1", to]).run().succeeds();
        run("docker-daemon:dry:reaped")
            .prints_some("would create docker-daemon:docker.io/library/dry:reaped");
        under.reapify(&["inspect", "docker-daemon:dry:reaped"]).run().exits(3);
        // The name is there, in place and as that of another image.
        let dir = scratch();
        let other = Image::small().in_layout(dir.path(), "v1");
        let other = under.load(&other, "docker.io/library/dry:other");
        for name in ["v1", "other"] {
            let to = format!("docker-daemon:dry:{name}");
            run(&to).prints_some(&format!("would replace docker-daemon:docker.io/library/dry:{name}"));
        }
        assert_eq!(under.id("docker.io/library/dry:other"), other);
        assert_eq!(under.id("docker.io/library/dry:v1"), id);
    }
}

#[test]
fn an_aborted_load_keeps_the_old_image() {
    let large = noise(24 << 20);
    let config = r#"{"os":"linux","architecture":"amd64","config":{"Entrypoint":["/zombies"]},"rootfs":{"type":"layers","diff_ids":[$DIFF_IDS]}}"#;
    let program = program();
    let image =
        Image::new().layer(&[file("zombies", &program)]).layer(&[file("large", &large)]).config(config);
    let (layout, spool) = (scratch(), scratch());
    let from = image.in_layout(layout.path(), "v1");
    for under in Under::all() {
        let name = "docker.io/library/killed:v1";
        let old = under.load(&zombies(), name);
        under.load(&from, "docker.io/library/large:v1");
        let start = || {
            let run = under.reapify(&["wrap", "docker-daemon:large:v1", "docker-daemon:killed:v1"]);
            run.env("TMPDIR", spool.path()).start()
        };
        for pause in [0, 20, 60, 120, 200, 300] {
            let mut running = start();
            std::thread::sleep(std::time::Duration::from_millis(pause));
            running.kill();
            running.wait();
            assert_eq!(std::fs::read_dir(spool.path()).unwrap().count(), 0, "nothing is left");
            // Either all of it had arrived, or the name is as it was.
            let now = under.id(name);
            if now != old {
                assert!(under.entrypoint(name).contains("/.reaper"));
                break;
            }
            under.engine.run_to_end(&[], name, &["1", "1", "5"]).exits(5);
        }
        start().wait().succeeds();
        under.engine.run_to_end(&[], name, &["exit", "6"]).exits(6);
    }
}

#[test]
fn a_tag_that_another_program_moves_is_not_overwritten_in_place() {
    let under = Under::docker(Docker::get());
    // The engine is asked for the tag through a relay that moves it before the image is complete.
    let first = under.load(&zombies(), "docker.io/library/raced:v1");
    let dir = scratch();
    let other = Image::small().in_layout(dir.path(), "v1");
    let second = under.load(&other, "docker.io/library/raced:other");
    assert_ne!(first, second);
    let relay = crate::support::fake_engine::Relay::start(&under.host, |asked| {
        if asked.ends_with("/get") {
            Docker::get().run(["tag", "raced:other", "raced:v1"]).run().succeeds();
        }
    });
    reapify(["wrap", "docker-daemon:raced:v1", "docker-daemon:raced:v1"])
        .env("DOCKER_HOST", relay.host())
        .run()
        .exits(7)
        .says("moved the tag")
        .says("run the command again");
    assert_eq!(under.id("docker.io/library/raced:v1"), second, "the other program's image stays");
}

#[test]
fn an_engine_behind_tls_is_found_by_variables_and_by_contexts() {
    let certificates = crate::support::docker::Certificates::new();
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let host = format!("tcp://127.0.0.1:{port}");
    let [ca, cert, key] = ["ca.pem", "server.pem", "server-key.pem"].map(|name| certificates.path(name));
    let tls = ["--tlsverify", "--tlscacert", &ca, "--tlscert", &cert, "--tlskey", &key, "--host", &host];
    let docker = Docker::start(crate::support::daemon::Daemon::directory(), &tls);
    let dir = scratch();
    let archive = dir.path().join("image.tar").display().to_string();
    tool("skopeo", ["copy", "-q", &zombies(), &format!("docker-archive:{archive}:app:v1")]).run().succeeds();
    docker.run(["load", "-q", "-i", &archive]).run().succeeds();
    let inspect = || reapify(["inspect", "docker-daemon:app:v1"]);
    let path = certificates.path("");
    let verified = || inspect().env("DOCKER_HOST", &host).env("DOCKER_TLS_VERIFY", "1");
    verified().env("DOCKER_CERT_PATH", &path).run().succeeds();
    inspect()
        .env("DOCKER_HOST", &host)
        .env("DOCKER_TLS", "1")
        .env("DOCKER_CERT_PATH", &path)
        .run()
        .succeeds();
    inspect().env("DOCKER_HOST", &host).run().exits(7).says("DOCKER_TLS_VERIFY=1");
    verified().run().exits(7).says("DOCKER_CERT_PATH");
    let other = crate::support::docker::Certificates::new();
    verified().env("DOCKER_CERT_PATH", other.path("")).run().exits(7).says("ca.pem");
    // A context, as `docker context create` writes it.
    let home = scratch();
    let config = home.path().display().to_string();
    let docker = format!(
        "host={host},ca={ca},cert={},key={}",
        certificates.path("cert.pem"),
        certificates.path("key.pem")
    );
    tool("docker", ["--config", &config, "context", "create", "far", "--docker", &docker]).run().succeeds();
    let context = || inspect().env("DOCKER_CONFIG", &config);
    context().env("DOCKER_CONTEXT", "far").run().succeeds();
    tool("docker", ["--config", &config, "context", "use", "far"]).run().succeeds();
    context().run().succeeds();
    context().env("DOCKER_CONTEXT", "none").run().exits(2).says("no Docker context \"none\"");
}

#[test]
fn engines_that_cannot_be_reached_are_named() {
    let dir = scratch();
    let socket = dir.path().join("socket");
    let host = format!("unix://{}", socket.display());
    let inspect = |host: &str| reapify(["inspect", "docker-daemon:app:v1"]).env("DOCKER_HOST", host);
    inspect(&host).run().exits(7).says(&host).says("no such socket").says("DOCKER_HOST");
    drop(std::os::unix::net::UnixListener::bind(&socket).unwrap());
    inspect(&host).run().exits(7).says(&host).says("refused").says("docker context use");
    inspect("tcp://127.0.0.1:1").run().exits(7).says("tcp://127.0.0.1:1").says("refused");
    inspect("ssh://root@host").run().exits(2).says("ssh -nNT -L");
    inspect("nonsense").run().exits(2).says("invalid Docker host");
    let to = format!("oci:{}", dir.path().join("layout").display());
    reapify(["wrap", "docker-daemon:app:v1", &to]).env("DOCKER_HOST", &host).run().exits(7);
    assert!(!dir.path().join("layout").exists());
    reapify(["wrap", &zombies(), "docker-daemon:app:v1"])
        .env("DOCKER_HOST", &host)
        .run()
        .exits(7)
        .says(&host);
}

#[test]
fn a_socket_of_another_user_is_denied() {
    use std::os::unix::fs::PermissionsExt;
    let dir = scratch();
    // Where an unprivileged user can run it.
    let copy = dir.path().join("reapify");
    std::fs::copy(env!("CARGO_BIN_EXE_reapify"), &copy).unwrap();
    for path in [dir.path(), &copy] {
        std::fs::set_permissions(path, PermissionsExt::from_mode(0o755)).unwrap();
    }
    let socket = dir.path().join("socket");
    let _listener = std::os::unix::net::UnixListener::bind(&socket).unwrap();
    std::fs::set_permissions(&socket, PermissionsExt::from_mode(0o600)).unwrap();
    let nobody = ["--reuid", "65534", "--regid", "65534", "--clear-groups", &copy.display().to_string()];
    tool("setpriv", nobody)
        .args(["inspect", "docker-daemon:app:v1"])
        .env("DOCKER_HOST", format!("unix://{}", socket.display()))
        .run()
        .exits(4)
        .says("denied")
        .says("docker, or root");
}

#[test]
fn a_full_disk_is_named_with_the_way_round_it() {
    let under = Under::docker(Docker::get());
    under.load(&zombies(), "docker.io/library/full:v1");
    let nowhere = scratch();
    let none = nowhere.path().join("none");
    let inspect = || under.reapify(&["inspect", "docker-daemon:full:v1"]);
    inspect().env("TMPDIR", &none).run().exits(1).says(&none.display().to_string()).says("TMPDIR");
    // A file system of 16 KiB, in a mount namespace of its own.
    let script = format!(
        "mount -t tmpfs -o size=16k tmpfs {0} && TMPDIR={0} DOCKER_HOST={1} exec {2} inspect docker-daemon:full:v1",
        nowhere.path().display(),
        under.host,
        env!("CARGO_BIN_EXE_reapify")
    );
    tool("unshare", ["--mount", "sh", "-c", &script]).run().exits(1).says("No space left").says("TMPDIR");
}

#[test]
fn the_tar_for_the_engine_is_an_oci_layout_with_dockers_list() {
    use crate::support::fake_engine::FakeEngine;
    use std::sync::{Arc, Mutex};
    let loaded: Arc<Mutex<Option<Vec<u8>>>> = Arc::default();
    let tar = loaded.clone();
    let engine = FakeEngine::start(move |exchange| match exchange.asked.as_str() {
        "POST /images/load" => {
            *tar.lock().unwrap() = exchange.body();
            exchange.answer(200, b"{\"stream\":\"Loaded image: app:v1\\n\"}\r\n");
        }
        _ => {
            // The ID of what was loaded, if anything was.
            let Some(tar) = tar.lock().unwrap().clone() else {
                return exchange.answer(404, br#"{"message":"No such image: app:v1"}"#);
            };
            let id = digest(&member(&tar, &config_of(&tar)));
            exchange.answer(200, format!(r#"{{"Id":"{id}","Size":1}}"#).as_bytes());
        }
    });
    let dir = scratch();
    let layout = format!("oci:{}", dir.path().join("layout").display());
    let expected = reapify(["wrap", &zombies(), &format!("{layout}:v1")]).run().succeeds().digest();
    reapify(["wrap", &zombies(), "docker-daemon:app:v1"]).env("DOCKER_HOST", engine.host()).run().succeeds();
    let tar = loaded.lock().unwrap().clone().expect("a whole tar");
    std::fs::write(dir.path().join("loaded.tar"), &tar).unwrap();
    let archive = |transport: &str| format!("{transport}:{}", dir.path().join("loaded.tar").display());
    // Two readers that know nothing of each other.
    let raw = tool("skopeo", ["inspect", "--raw", &archive("oci-archive")]).run().succeeds();
    assert_eq!(digest(&raw.stdout), expected);
    tool("skopeo", ["inspect", &archive("docker-archive")]).run().succeeds();
    let index: Value = serde_json::from_slice(&member(&tar, "index.json")).unwrap();
    let annotations = &index["manifests"][0]["annotations"];
    assert_eq!(annotations["io.containerd.image.name"], "docker.io/library/app:v1");
    assert_eq!(annotations["org.opencontainers.image.ref.name"], "v1");
}

/// A member of a tar.
fn member(tar: &[u8], name: &str) -> Vec<u8> {
    let mut tar = tar::Archive::new(tar);
    let found = tar.entries().unwrap().map(Result::unwrap).find(|e| e.path().unwrap().to_str() == Some(name));
    let mut bytes = Vec::new();
    std::io::Read::read_to_end(&mut found.expect("a member"), &mut bytes).unwrap();
    bytes
}

/// The member that holds the config, by `manifest.json`.
fn config_of(tar: &[u8]) -> String {
    let list: Value = serde_json::from_slice(&member(tar, "manifest.json")).unwrap();
    list[0]["Config"].as_str().unwrap().to_owned()
}
