//! Judgement of pods, from their fields and from their containers' commands.

use super::command::{Answer, CommandJudgement, Commands, ImageFacts, Images, Question, Start};
use super::config_map::{ConfigMaps, ScriptFile};
use super::needed;
use super::spec::{Container, Pod, Switch, Words};
use serde::Serialize;

/// The way in which a container deals with orphans and signals.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Way {
    /// The service itself is PID 1.
    Service,
    /// A script replaces itself with the service.
    Script,
    /// An init is PID 1.
    Init,
    /// The pod shares the node's process namespace.
    HostPid,
    /// The containers of the pod share one process namespace.
    SharedPidNamespace,
    /// A shell remains as PID 1.
    None,
    /// Unknown.
    Unknown,
}

impl Way {
    /// Returns the name used in JSON.
    pub fn word(self) -> &'static str {
        match self {
            Way::Service => "service",
            Way::Script => "script",
            Way::Init => "init",
            Way::HostPid => "host-pid",
            Way::SharedPidNamespace => "shared-pid-namespace",
            Way::None => "none",
            Way::Unknown => "unknown",
        }
    }
}

/// The process namespace in which a container runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Namespace {
    /// Its own: the first process is PID 1.
    Own,
    /// The pod's.
    Pod,
    /// The node's.
    Node,
    /// That of another container.
    Joined,
    /// Any of the above, because a field contains a placeholder.
    Unknown,
    /// None of Linux: the pod runs on Windows.
    Foreign,
}

/// A container with the judgement of its command.
#[derive(Debug)]
pub(crate) struct JudgedContainer<'d, 'i> {
    pub container: Container<'d>,
    pub facts: Option<&'i ImageFacts>,
    pub files: Vec<ScriptFile<'d>>,
    pub judgement: CommandJudgement,
    pub namespace: Namespace,
}

impl JudgedContainer<'_, '_> {
    /// Returns the way in which the container deals with orphans and signals.
    pub fn way(&self) -> Way {
        match (self.namespace, self.judgement.start) {
            (Namespace::Node, _) => Way::HostPid,
            (Namespace::Pod, _) => Way::SharedPidNamespace,
            (Namespace::Joined | Namespace::Unknown | Namespace::Foreign, _) => Way::Unknown,
            (Namespace::Own, Start::Service) => Way::Service,
            (Namespace::Own, Start::Script) => Way::Script,
            (Namespace::Own, Start::Init) => Way::Init,
            (Namespace::Own, Start::None) => Way::None,
            (Namespace::Own, Start::Unknown) => Way::Unknown,
        }
    }

    /// Returns whether orphans are reaped.
    pub fn orphans_reaped(&self) -> Answer {
        match self.namespace {
            Namespace::Node | Namespace::Pod => Answer::Yes,
            Namespace::Own => self.judgement.orphans_reaped,
            Namespace::Unknown if self.judgement.orphans_reaped == Answer::Yes => Answer::Yes,
            Namespace::Joined | Namespace::Unknown | Namespace::Foreign => Answer::Unknown,
        }
    }

    /// Returns whether SIGTERM reaches the service.
    pub fn term_reaches_service(&self) -> Answer {
        let (as_pid1, elsewhere) = (self.judgement.term_as_pid1, self.judgement.term_elsewhere);
        match self.namespace {
            Namespace::Node | Namespace::Pod | Namespace::Joined => elsewhere,
            Namespace::Own => as_pid1,
            Namespace::Unknown if as_pid1 == elsewhere => as_pid1,
            Namespace::Unknown | Namespace::Foreign => Answer::Unknown,
        }
    }

    /// Returns whether findings about the start apply: no other program precedes the command.
    pub fn is_plain(&self) -> bool {
        !self.container.has_launcher && !self.container.has_target
    }
}

/// A pod with its judged containers.
#[derive(Debug)]
pub(crate) struct JudgedPod<'d, 'i> {
    pub pod: Pod<'d>,
    pub containers: Vec<JudgedContainer<'d, 'i>>,
    /// The reason why the pod needs the node's process namespace, if it does.
    pub needs_host: Option<String>,
    /// The reason why the pod needs a shared process namespace, if it does.
    pub needs_shared: Option<String>,
}

/// Judges the containers of a pod.
pub(crate) fn judge<'d, 'i>(
    mut pod: Pod<'d>,
    maps: &ConfigMaps<'d>,
    images: &'i dyn Images,
    commands: &dyn Commands,
) -> JudgedPod<'d, 'i> {
    let needs_host = if pod.host_pid.is_on() { needed::host_pid(&pod) } else { None };
    let needs_shared = if pod.shared.is_on() { needed::shared(&pod) } else { None };
    let containers = std::mem::take(&mut pod.containers);
    let judged = containers.into_iter().map(|container| {
        let namespace = namespace(&pod, &container);
        let facts = images.facts(&container.image);
        let files = maps.files(&pod, &container);
        let judgement = command(&container, facts, &files, commands);
        JudgedContainer { container, facts, files, judgement, namespace }
    });
    let containers = judged.collect();
    JudgedPod { pod, containers, needs_host, needs_shared }
}

fn namespace(pod: &Pod<'_>, container: &Container<'_>) -> Namespace {
    match (pod.host_pid, pod.shared) {
        _ if pod.is_windows() => Namespace::Foreign,
        (Switch::On { .. }, _) => Namespace::Node,
        (Switch::Unknown, _) | (_, Switch::Unknown) => Namespace::Unknown,
        (Switch::Off, Switch::On { .. }) => Namespace::Pod,
        (Switch::Off, Switch::Off) if container.has_target => Namespace::Joined,
        (Switch::Off, Switch::Off) => Namespace::Own,
    }
}

fn command(
    container: &Container<'_>,
    facts: Option<&ImageFacts>,
    files: &[ScriptFile<'_>],
    commands: &dyn Commands,
) -> CommandJudgement {
    let is_unknown = [&container.command, &container.args].iter().any(|words| **words == Words::Unknown);
    if is_unknown || container.has_launcher {
        return CommandJudgement::UNKNOWN;
    }
    commands.judge(&Question {
        facts,
        command: container.command.known(),
        args: container.args.known(),
        env: &container.env,
        files,
    })
}
