//! The typical use in real containers: zombies before the wrap, none afterwards, and no other difference.

mod support;

use std::sync::OnceLock;
use std::time::Duration;

use support::docker::Docker;
use support::docker_registry::DockerRegistry;
use support::engine::{Engine, Process};
use support::image::Image;
use support::podman::Podman;
use support::run::reapify;
use support::{scratch, zombies};

/// The sample in a registry, before and after the wrap.
struct Story {
    registry: DockerRegistry,
    before: String,
    after: String,
}

fn story() -> &'static Story {
    static STORY: OnceLock<Story> = OnceLock::new();
    STORY.get_or_init(|| {
        let registry = DockerRegistry::start();
        let before = registry.push(&zombies(), "zombies", "before");
        let after = registry.name("zombies", "after");
        reapify(["wrap", &before, &after]).run().succeeds();
        Story { registry, before, after }
    })
}

fn defunct(table: &[Process]) -> usize {
    table.iter().filter(|p| p.state == 'Z').count()
}

/// The zombies of three crashes with two helpers each.
const CORPSES: usize = 6;

fn tell<E: Engine>(engine: &E) {
    let (before, after) = (engine.pull(&story().before), engine.pull(&story().after));

    let old = engine.start(&[], &before, &[]);
    old.has_logged("supervisor: all is well");
    let table = old.processes("corpses under PID 1", |table| defunct(table) == CORPSES);
    assert!(
        table.iter().filter(|p| p.state == 'Z').all(|p| p.parent == 1 && p.name.contains("<defunct>")),
        "{table:#?}"
    );
    let logged = old.logs().text();
    old.stop(1);
    assert_eq!(old.exit_code(), 137, "a PID 1 without a handler ignores TERM and is killed");

    let new = engine.start(&[], &after, &[]);
    new.has_logged("supervisor: all is well");
    let table = new.processes("no corpse", |table| defunct(table) == 0);
    assert!(table.iter().any(|p| p.name == "supervisor" && p.pid != 1), "{table:#?}");
    assert_eq!(new.logs().text(), logged, "the same log");
    assert_eq!(new.logs().stderr, "", "the reaper prints nothing");
    new.stop(60);
    assert_eq!(new.exit_code(), 143, "TERM takes effect at once");
}

#[test]
fn wrap_removes_zombies_in_docker() {
    tell(Docker::get());
}

#[test]
fn wrap_removes_zombies_in_podman() {
    tell(Podman::get());
}

#[test]
fn stopping_takes_less_than_a_second() {
    fn check<E: Engine>(engine: &E) {
        let after = engine.pull(&story().after);
        let stop = || {
            let container = engine.start(&[], &after, &[]);
            container.has_logged("supervisor: all is well");
            container.stop(60)
        };
        // A stop can be slow on a busy machine, so measure the quickest of five.
        let times: Vec<Duration> = std::iter::repeat_with(stop).take(5).collect();
        assert!(times.iter().any(|took| *took < Duration::from_secs(1)), "{}: {times:?}", engine.name());
    }
    check(Docker::get());
    check(Podman::get());
}

/// Runs both images to their end, and compares their output and exit codes.
fn same_with<E: Engine>(engine: &E, options: &[&str], args: &[&str], code: i32) {
    let (before, after) = (engine.pull(&story().before), engine.pull(&story().after));
    let old = engine.run_to_end(options, &before, args).exits(code);
    let new = engine.run_to_end(options, &after, args).exits(code);
    let what = format!("{} {options:?} {args:?}", engine.name());
    assert_eq!(new.text(), old.text(), "{what}");
    assert_eq!(new.stderr, old.stderr, "{what}");
}

fn exit_codes_and_output_stay<E: Engine>(engine: &E) {
    // The arguments replace Cmd and keep the entrypoint: `supervise CRASHES HELPERS CODE`.
    same_with(engine, &[], &["1", "1", "42"], 42);
    same_with(engine, &["--entrypoint", "/zombies"], &["exit", "7"], 7);
    let unprivileged =
        ["--user", "1000:1000", "--read-only", "--cap-drop", "ALL", "--security-opt", "no-new-privileges"];
    same_with(engine, &unprivileged, &["1", "1", "0"], 0);
    same_with(engine, &["--pid=host"], &["1", "1", "9"], 9);
}

#[test]
fn exit_codes_and_output_are_unchanged_in_docker() {
    let engine = Docker::get();
    exit_codes_and_output_stay(engine);
    same_with(engine, &["--init"], &["1", "1", "5"], 5);
}

#[test]
fn exit_codes_and_output_are_unchanged_in_podman() {
    let engine = Podman::get();
    exit_codes_and_output_stay(engine);
    same_with(engine, &["--init"], &["1", "1", "5"], 5);
}

/// Creates an image that runs the sample's program with another entrypoint.
fn image(entrypoint: &str, extra: &str) -> String {
    let program = support::program();
    let config = format!(
        r#"{{"os":"linux","architecture":"amd64","config":{{"Env":["PATH=/bin"],{entrypoint}{extra}}},"rootfs":{{"type":"layers","diff_ids":[$DIFF_IDS]}}}}"#
    );
    let dir = scratch();
    let image = Image::new().layer(&[support::image::file("bin/zombies", &program)]).config(&config);
    let from = image.in_layout(dir.path(), "v1");
    let name = format!("case{}", image.digest().get(7..19).unwrap());
    let to = story().registry.name(&name, "v1");
    reapify(["wrap", "-q", &from, &to]).run().succeeds();
    to
}

#[test]
fn entrypoints_of_every_form_work_as_before() {
    let engine = Docker::get();
    for (entrypoint, extra, args, code, printed) in [
        // Looked up on PATH; relative to the working directory; only Cmd; arguments with spaces.
        (r#""Entrypoint":["zombies","args"],"#, r#""Cmd":["a b",""]"#, &[][..], 0, "a b\n\n"),
        (r#""Entrypoint":["./zombies","args","x"],"#, r#""WorkingDir":"/bin""#, &[], 0, "x\n"),
        ("", r#""Cmd":["zombies","args","cmd"]"#, &[], 0, "cmd\n"),
        ("", r#""Cmd":["zombies","args","cmd"]"#, &["zombies", "args", "other"], 0, "other\n"),
        (r#""Entrypoint":["zombies","raise"],"#, r#""Cmd":["11"]"#, &[], 139, ""),
        (r#""Entrypoint":["/none"],"#, r#""Cmd":[]"#, &[], 127, ""),
        (r#""Entrypoint":["/bin"],"#, r#""Cmd":[]"#, &[], 126, ""),
    ] {
        let name = engine.pull(&image(entrypoint, extra));
        let outcome = engine.run_to_end(&[], &name, args).exits(code);
        assert_eq!(outcome.text(), printed, "{entrypoint} {extra}");
    }
}

#[test]
fn reaps_its_own_orphans_in_another_containers_pid_namespace() {
    fn check<E: Engine>(engine: &E) {
        let after = engine.pull(&story().after);
        // PID 1 of the shared namespace does not reap.
        let host = engine.start(&["--entrypoint", "/zombies"], &after, &["sleep"]);
        let namespace = format!("--pid=container:{}", host.id);
        let guest = engine.start(&[&namespace], &after, &[]);
        guest.has_logged("supervisor: all is well");
        guest.processes("no corpse", |table| defunct(table) == 0);
        assert_eq!(guest.logs().stderr, "");
        guest.stop(60);
        assert_eq!(guest.exit_code(), 143);
    }
    check(Docker::get());
    check(Podman::get());
}

#[test]
fn works_in_a_pod_with_a_shared_process_namespace() {
    let engine = Podman::get();
    let after = engine.pull(&story().after);
    let pod = format!(
        "apiVersion: v1\nkind: Pod\nmetadata:\n  name: shared\nspec:\n  shareProcessNamespace: true\n  hostNetwork: true\n  \
         restartPolicy: Never\n  containers:\n  - name: app\n    image: {after}\n    imagePullPolicy: Never\n    args: [\"3\", \"2\"]\n"
    );
    let dir = scratch();
    let file = dir.path().join("pod.yaml");
    std::fs::write(&file, pod).unwrap();
    engine.command(&["kube", "play", &file.display().to_string()]).run().succeeds();
    let app = support::engine::Container { engine, id: "shared-app".into() };
    app.has_logged("supervisor: all is well");
    let table = app.processes("no corpse", |table| defunct(table) == 0);
    assert!(table.iter().any(|p| p.name == "supervisor"), "{table:#?}");
    assert!(table.iter().all(|p| p.name != ".reaper" || p.pid != 1), "PID 1 is the pod's: {table:#?}");
    assert_eq!(app.logs().stderr, "");
    app.stop(60);
    assert_eq!(app.exit_code(), 143);
}
