//! Rules about the program that becomes PID 1.

use super::command::{Answer, Start};
use super::finding::Findings;
use super::judge::{JudgedContainer, JudgedPod, Namespace};
use super::rule::{Rule, Severity};

/// Checks how the containers of a pod start.
pub(crate) fn check(pod: &JudgedPod<'_, '_>, findings: &mut Findings<'_>) {
    if pod.pod.is_windows() {
        return;
    }
    for judged in pod.containers.iter().filter(|judged| judged.is_plain()) {
        init_not_pid1(judged, findings);
        if judged.namespace == Namespace::Own && judged.container.is_long_running() {
            command_drops_init(judged, findings);
            shell_ignores_term(judged, findings);
            no_reaper(judged, findings);
        }
        script_in_config_map(judged, findings);
    }
}

fn command_drops_init(judged: &JudgedContainer<'_, '_>, findings: &mut Findings<'_>) {
    let Some(init) = judged.facts.and_then(|facts| facts.init.as_ref()) else { return };
    if judged.container.command.known().is_none() || judged.judgement.start == Start::Init {
        return;
    }
    findings.add(
        Rule::CommandDropsInit,
        judged.container.command_place(),
        Some(&judged.container.name),
        format!(
            "`command` replaces the image's entrypoint, which starts {init}: without it orphans reach PID 1"
        ),
        &format!("set `args` instead, which keeps the entrypoint, or put {init} in front of the command"),
    );
}

fn init_not_pid1(judged: &JudgedContainer<'_, '_>, findings: &mut Findings<'_>) {
    let Some(init) = &judged.judgement.init else { return };
    if init.insists || init.is_subreaper || init.is_reaper {
        return;
    }
    let name = &init.name;
    let (severity, message, fix) = match (judged.namespace, init.is_first) {
        (Namespace::Unknown | Namespace::Joined | Namespace::Foreign, _)
        | (Namespace::Own, Answer::Yes | Answer::Unknown) => return,
        (Namespace::Own, Answer::Depends) => (
            Severity::Note,
            format!("whether {name} becomes PID 1 depends on the shell or on the script's branches"),
            format!("use `exec {name} …`, or start {name} without a shell"),
        ),
        (Namespace::Own, Answer::No) => (
            Severity::Warning,
            format!(
                "{name} is a child of the shell, which stays as PID 1: {name} receives neither orphans nor SIGTERM"
            ),
            format!("use `exec {name} …` as the last command, or start {name} without a shell"),
        ),
        // dumb-init forwards signals even if it is not PID 1.
        (Namespace::Node | Namespace::Pod, _) if name == "dumb-init" => return,
        (Namespace::Node | Namespace::Pod, _) => (
            Severity::Note,
            format!(
                "{name} is not PID 1 in a shared process namespace: it warns, and orphans do not reach it"
            ),
            format!("drop {name}, or let it register as a subreaper (tini: `-s` or TINI_SUBREAPER)"),
        ),
    };
    let container = &judged.container;
    findings.add_as(
        Rule::InitNotPid1,
        severity,
        container.command_place(),
        Some(&container.name),
        message,
        &fix,
    );
}

fn shell_ignores_term(judged: &JudgedContainer<'_, '_>, findings: &mut Findings<'_>) {
    let (severity, message) = match judged.judgement.shell_stays {
        Answer::Yes => (
            Severity::Warning,
            "a shell stays as PID 1 and ignores SIGTERM: the service does not receive it, and every stop takes the whole \
             grace period",
        ),
        Answer::Depends => (
            Severity::Note,
            "whether a shell stays as PID 1 and ignores SIGTERM depends on the shell or on the script's branches: \
             dash never replaces itself by the last command, bash and busybox may",
        ),
        Answer::No | Answer::Unknown => return,
    };
    let container = &judged.container;
    findings.add_as(
        Rule::ShellIgnoresTerm,
        severity,
        container.command_place(),
        Some(&container.name),
        message.to_string(),
        "put `exec` in front of the service, start it without a shell, or trap TERM and forward it",
    );
}

fn no_reaper(judged: &JudgedContainer<'_, '_>, findings: &mut Findings<'_>) {
    if judged.facts.is_none() || judged.orphans_reaped() != Answer::No {
        return;
    }
    let container = &judged.container;
    findings.add(
        Rule::NoReaper,
        container.image_place(),
        Some(&container.name),
        "PID 1 does not reap orphans: processes that lose their parent stay as zombies".to_string(),
        "put a reaper into the image, for example with `reapify wrap`",
    );
}

fn script_in_config_map(judged: &JudgedContainer<'_, '_>, findings: &mut Findings<'_>) {
    let Some((path, line)) = &judged.judgement.script else { return };
    let Some(file) = judged.files.iter().find(|file| file.path == *path) else { return };
    let source = format!("{path} comes from key {:?} of ConfigMap {:?}", file.key, file.config_map);
    let (severity, message) = match (file.origin, judged.judgement.start) {
        (None, _) => (
            Severity::Note,
            format!("the start script {source}, which is not in the input, so that it cannot be judged"),
        ),
        (Some((name, place)), start) => {
            let place = format!("{source} ({name}:{}), line {line}", place.line);
            match start {
                Start::Service | Start::Script | Start::Init => return,
                Start::None => (
                    Severity::Warning,
                    format!("the start script {place}, leaves a shell as the first process"),
                ),
                Start::Unknown => (
                    Severity::Note,
                    format!("the start script {place}, may leave a shell as the first process"),
                ),
            }
        }
    };
    findings.add_as(
        Rule::StartScriptInConfigmap,
        severity,
        judged.container.command_place(),
        Some(&judged.container.name),
        message,
        "end the script with `exec` and the service",
    );
}
