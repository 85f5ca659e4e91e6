//! The command lines of the manifests, executed.

use super::configs::reapify;
use super::objects::Object;
use super::overlays;
use super::rules::container;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};

/// Returns the arguments of a container, with another configuration and a free port.
fn args(object: &Object, config: &Path) -> Vec<String> {
    let args = container(object.pod().unwrap()).args.clone().unwrap();
    let changed = args.into_iter().map(|arg| match arg.split_once('=') {
        Some(("--config", _)) => format!("--config={}", config.display()),
        Some(("--listen", _)) => "--listen=127.0.0.1:0".into(),
        _ => arg,
    });
    changed.collect()
}

/// Returns a configuration whose only entry is disabled.
fn empty() -> tempfile::NamedTempFile {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    let entry = "{source: a.example/x, target: b.example/x, type: repository, wrap: {mode: off}}";
    file.write_all(format!("version: 1\nsync: [{entry}]\n").as_bytes()).unwrap();
    file
}

#[test]
fn jobs_run_as_every_shard() {
    let config = empty();
    let mut runs = 0;
    for (_, objects) in overlays() {
        for object in objects.iter().filter(|object| object.kind() == "CronJob") {
            let variables = container(object.pod().unwrap()).env.as_deref().unwrap();
            let shards = variables.iter().find(|variable| variable.name == "REAPIFY_SHARDS").unwrap();
            let shards = shards.value.as_deref().unwrap();
            for index in 0..shards.parse::<u32>().unwrap() {
                let mut command = reapify();
                command.args(args(object, config.path()));
                command.env("REAPIFY_SHARDS", shards).env("JOB_COMPLETION_INDEX", index.to_string());
                let output = command.output().unwrap();
                assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
                runs += 1;
            }
        }
    }
    assert_eq!(runs, 8);
}

#[test]
fn a_job_ends_with_the_exit_code_of_an_invalid_configuration() {
    let (_, objects) = overlays().swap_remove(0);
    let mut config = tempfile::NamedTempFile::new().unwrap();
    config.write_all(b"sync: [{source: a}]\n").unwrap();
    for object in objects.iter().filter(|object| object.kind() == "CronJob") {
        let code = reapify().args(args(object, config.path())).output().unwrap().status.code().unwrap();
        let Object::CronJob(cronjob) = object else { unreachable!() };
        let job = cronjob.spec.as_ref().unwrap().job_template.spec.as_ref().unwrap();
        let rules = &job.pod_failure_policy.as_ref().unwrap().rules;
        let rule = rules.iter().find(|rule| rule.action == "FailJob").unwrap();
        assert_eq!(rule.on_exit_codes.as_ref().unwrap().values, [code]);
    }
}

/// A process that is killed when the test ends.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn the_server_answers_its_probes_and_stops_in_time() {
    let (_, objects) = overlays().pop().unwrap();
    let server = objects.iter().find(|object| object.kind() == "Deployment").unwrap();
    let config = empty();
    let mut command = reapify();
    command.args(args(server, config.path())).stdout(Stdio::null()).stderr(Stdio::piped());
    let mut running = Running(command.spawn().unwrap());
    let mut lines = BufReader::new(running.0.stderr.take().unwrap()).lines();
    let address = lines
        .find_map(|line| line.unwrap().strip_prefix("listening on http://").map(str::to_owned))
        .expect("the server prints its address");
    let probes = container(server.pod().unwrap());
    let probes = [&probes.readiness_probe, &probes.liveness_probe].map(|probe| probe.as_ref().unwrap());
    let probes = probes.map(|probe| probe.http_get.as_ref().unwrap().path.clone().unwrap());
    let metrics = objects.iter().find_map(|object| match object {
        Object::ServiceMonitor(monitor) => Some(monitor.spec.endpoints[0].path.clone()),
        _ => None,
    });
    for path in probes.into_iter().chain(metrics) {
        let mut stream = TcpStream::connect(&address).unwrap();
        write!(stream, "GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n").unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        assert!(answer.starts_with("HTTP/1.1 200 "), "{path}: {answer}");
    }
    let id = running.0.id().to_string();
    assert!(Command::new("kill").args(["-TERM", &id]).status().unwrap().success());
    let rest: Vec<String> = lines.map(Result::unwrap).collect();
    assert!(running.0.wait().unwrap().success(), "{rest:?}");
}

#[test]
fn our_own_pods_need_no_other_reaper() {
    for overlay in super::OVERLAYS {
        let mut command = reapify();
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), super::render::kustomize(overlay)).unwrap();
        command.args(["pod", "--check"]).arg(file.path());
        let output = command.output().unwrap();
        assert!(output.status.success(), "{overlay}: {}", String::from_utf8_lossy(&output.stdout));
    }
}
