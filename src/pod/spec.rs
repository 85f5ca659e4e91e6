//! A pod as its document describes it: what matters for who becomes PID 1, and where each value stands.

use super::tree::{Place, View};
use std::collections::HashMap;

/// The longest word after references to variables were replaced.
const MAX_EXPANDED: usize = 1 << 20;
/// The longest name of a variable that references are resolved for.
const MAX_NAME: usize = 256;

/// A switch of a pod: `hostPID` or `shareProcessNamespace`.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Switch<'d> {
    Off,
    On {
        /// The key in the document.
        key: View<'d>,
    },
    /// A placeholder or another value that is no truth value.
    Unknown,
}

impl<'d> Switch<'d> {
    fn read(spec: View<'d>, name: &str) -> Switch<'d> {
        match spec.entry(name) {
            None => Switch::Off,
            Some((_, value)) if value.is_null() => Switch::Off,
            Some((key, value)) => match value.truth() {
                Some(true) => Switch::On { key },
                Some(false) => Switch::Off,
                None => Switch::Unknown,
            },
        }
    }

    pub fn is_on(self) -> bool {
        matches!(self, Switch::On { .. })
    }
}

/// What a container is within its pod.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum ContainerKind {
    /// A container of `containers`.
    Container,
    /// A container of `initContainers`; a sidecar too.
    Init,
    /// A container of `ephemeralContainers`.
    Ephemeral,
}

/// The words of `command` or `args`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Words {
    /// The field is absent, null or empty: the image decides.
    Absent,
    /// The words, with Kubernetes' references to variables replaced where their values are known.
    Known(Vec<String>),
    /// The field holds something other than a list of scalars.
    Unknown,
}

impl Words {
    pub fn known(&self) -> Option<&[String]> {
        match self {
            Words::Known(words) => Some(words),
            _ => None,
        }
    }
}

/// A variable of a container, with its value if the document gives it.
pub type Variable = (String, Option<String>);

/// A container of a pod.
#[derive(Debug, Clone)]
pub(crate) struct Container<'d> {
    pub view: View<'d>,
    pub name: String,
    pub kind: ContainerKind,
    /// An init container that is restarted always: it runs beside the others.
    pub is_sidecar: bool,
    /// The image, empty if the document names none.
    pub image: String,
    pub command: Words,
    pub args: Words,
    pub env: Vec<Variable>,
    /// Whether a workflow engine puts its own program in front of the command.
    pub has_launcher: bool,
    /// Whether the container joins another container's process namespace.
    pub has_target: bool,
}

impl<'d> Container<'d> {
    /// Whether the container runs as long as the pod does, so that zombies and slow stops matter.
    pub fn is_long_running(&self) -> bool {
        self.kind == ContainerKind::Container || self.is_sidecar
    }

    pub fn place(&self) -> Place {
        self.view.place()
    }

    /// Where the command is set, else where the container begins.
    pub fn command_place(&self) -> Place {
        ["command", "args"]
            .iter()
            .find_map(|name| self.view.entry(name))
            .map_or(self.place(), |(key, _)| key.place())
    }

    /// Where the image is named, else where the container begins.
    pub fn image_place(&self) -> Place {
        self.view.entry("image").map_or(self.place(), |(key, _)| key.place())
    }

    pub fn variable(&self, name: &str) -> Option<&str> {
        self.env.iter().rev().find(|(known, _)| known == name)?.1.as_deref()
    }

    /// The words of the hooks and probes that run a command, each with the path of the field.
    pub fn exec_commands(&self) -> Vec<(&'static str, View<'d>, Vec<String>)> {
        const FIELDS: [(&str, &[&str]); 5] = [
            ("livenessProbe", &["livenessProbe", "exec"]),
            ("readinessProbe", &["readinessProbe", "exec"]),
            ("startupProbe", &["startupProbe", "exec"]),
            ("preStop", &["lifecycle", "preStop", "exec"]),
            ("postStart", &["lifecycle", "postStart", "exec"]),
        ];
        let found = FIELDS.iter().filter_map(|(name, path)| {
            let exec = self.view.at(path)?;
            let (key, command) = exec.entry("command")?;
            Some((*name, key, scalars(command)?))
        });
        found.collect()
    }
}

/// The pod template of an object.
#[derive(Debug, Clone)]
pub(crate) struct Pod<'d> {
    pub file: &'d str,
    /// The number of the document in its source.
    pub document: usize,
    /// "Deployment/web".
    pub object: String,
    pub namespace: Option<&'d str>,
    pub spec: View<'d>,
    /// The values of `reapify.io/ignore` around the pod, from the object inwards.
    pub ignored: Vec<View<'d>>,
    pub host_pid: Switch<'d>,
    pub shared: Switch<'d>,
    pub containers: Vec<Container<'d>>,
}

impl<'d> Pod<'d> {
    /// Reads a pod's spec. `has_launcher`: a workflow engine starts the commands.
    pub fn read(file: &'d str, object: String, spec: View<'d>, has_launcher: bool) -> Pod<'d> {
        let lists = [
            ("initContainers", ContainerKind::Init),
            ("containers", ContainerKind::Container),
            ("ephemeralContainers", ContainerKind::Ephemeral),
        ];
        let mut containers = Vec::new();
        for (field, kind) in lists {
            let items = spec.get(field).into_iter().flat_map(View::items);
            let mappings = items.filter(|item| item.is_mapping()).enumerate();
            containers.extend(mappings.map(|(n, view)| {
                let name = view.get("name").and_then(View::text).map(str::to_string);
                read_container(view, name.unwrap_or_else(|| format!("{field}[{n}]")), kind, has_launcher)
            }));
        }
        Pod {
            file,
            document: 0,
            object,
            namespace: None,
            spec,
            ignored: Vec::new(),
            host_pid: Switch::read(spec, "hostPID"),
            shared: Switch::read(spec, "shareProcessNamespace"),
            containers,
        }
    }

    /// Whether the pod runs on Windows, where there is no PID 1.
    pub fn is_windows(&self) -> bool {
        let selected = self.spec.at(&["nodeSelector", "kubernetes.io/os"]);
        [self.spec.at(&["os", "name"]), selected].iter().flatten().any(|os| os.text() == Some("windows"))
    }

    /// `terminationGracePeriodSeconds`, 30 if absent; `None` if it is no number.
    pub fn grace_period(&self) -> Option<i64> {
        match self.spec.get("terminationGracePeriodSeconds") {
            None => Some(30),
            Some(value) => value.number(),
        }
    }
}

/// Reads one container.
pub(crate) fn read_container(
    view: View<'_>,
    name: String,
    kind: ContainerKind,
    has_launcher: bool,
) -> Container<'_> {
    let env = read_env(view);
    let values = env.iter().map(|(name, value)| (name.as_str(), value.as_deref())).collect();
    let (command, args) = (read_words(view, "command", &values), read_words(view, "args", &values));
    let restarts = view.get("restartPolicy").and_then(View::text) == Some("Always");
    Container {
        view,
        name,
        kind,
        is_sidecar: kind == ContainerKind::Init && restarts,
        image: view.get("image").and_then(View::text).unwrap_or_default().trim().to_string(),
        command,
        args,
        env,
        has_launcher,
        has_target: view.get("targetContainerName").is_some(),
    }
}

fn read_env(view: View<'_>) -> Vec<Variable> {
    let items = view.get("env").into_iter().flat_map(View::items);
    let named = items.filter_map(|item| Some((item, item.get("name")?.text()?.to_string())));
    named
        .map(|(item, name)| {
            let value = match (item.get("value"), item.get("valueFrom")) {
                (_, Some(_)) => None,
                (Some(value), None) => value.text().filter(|text| !has_placeholder(text)).map(str::to_string),
                (None, None) => Some(String::new()),
            };
            (name, value)
        })
        .collect()
}

fn scalars(list: View<'_>) -> Option<Vec<String>> {
    list.is_sequence().then(|| list.items().map(|item| item.text().map(str::to_string)).collect())?
}

fn read_words(view: View<'_>, field: &str, env: &HashMap<&str, Option<&str>>) -> Words {
    match view.get(field) {
        None => Words::Absent,
        Some(list) => match scalars(list) {
            None => Words::Unknown,
            Some(words) if words.is_empty() => Words::Absent,
            Some(words) => Words::Known(words.iter().map(|word| expand(word, env)).collect()),
        },
    }
}

/// A word with `$(NAME)` replaced by the value of the variable, as the kubelet does it. `$$` stands for one `$`; a
/// reference to an unknown variable stays as it is.
fn expand(word: &str, env: &HashMap<&str, Option<&str>>) -> String {
    let mut out = String::with_capacity(word.len());
    let mut rest = word;
    while let Some(at) = rest.find('$') {
        out.push_str(&rest[..at]);
        rest = &rest[at + 1..];
        if let Some(after) = rest.strip_prefix('$') {
            out.push('$');
            rest = after;
            continue;
        }
        let reference = rest.strip_prefix('(').and_then(reference);
        let value = reference.and_then(|(name, _)| *env.get(name)?);
        match (reference, value) {
            (Some((_, after)), Some(value)) if out.len() + value.len() <= MAX_EXPANDED => {
                out.push_str(value);
                rest = after;
            }
            _ => out.push('$'),
        }
    }
    out.push_str(rest);
    out
}

/// A variable's name up to the closing parenthesis, and the text behind it.
fn reference(inner: &str) -> Option<(&str, &str)> {
    let end = inner.bytes().take(MAX_NAME).position(|byte| byte == b')')?;
    inner.split_at_checked(end).map(|(name, rest)| (name, &rest[1..]))
}

/// Whether a text holds a placeholder that a template engine or a shell has yet to fill in.
pub(crate) fn has_placeholder(text: &str) -> bool {
    ["{{", "}}", "${", "{%", "$("].iter().any(|mark| text.contains(mark))
        || (text.starts_with('$') && text.len() > 1)
        || (text.starts_with("<<") || text.starts_with("@@"))
}
