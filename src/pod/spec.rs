//! Pods as their documents describe them: the fields that determine what becomes PID 1, with their places.

use super::tree::{Place, View};
use std::collections::HashMap;

/// The maximum length of a word after expanding references to variables.
const MAX_EXPANDED: usize = 1 << 20;
/// The maximum length of a variable's name in references.
const MAX_NAME: usize = 256;

/// A boolean field of a pod: `hostPID` or `shareProcessNamespace`.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Switch<'d> {
    Off,
    On {
        /// The key in the document.
        key: View<'d>,
    },
    /// A placeholder or another value that is not a boolean.
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

/// The role of a container within its pod.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum ContainerKind {
    /// A container of `containers`.
    Container,
    /// A container of `initContainers`, including sidecars.
    Init,
    /// A container of `ephemeralContainers`.
    Ephemeral,
}

/// The words of `command` or `args`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Words {
    /// The field is absent, null or empty: the image determines the words.
    Absent,
    /// The words, with Kubernetes' references to variables expanded if their values are known.
    Known(Vec<String>),
    /// The field contains something other than a list of scalars.
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

/// A variable of a container, with its value if the document states it.
pub type Variable = (String, Option<String>);

/// A container of a pod.
#[derive(Debug, Clone)]
pub(crate) struct Container<'d> {
    pub view: View<'d>,
    pub name: String,
    pub kind: ContainerKind,
    /// Whether it is an init container that is always restarted, which runs beside the others.
    pub is_sidecar: bool,
    /// The image; empty if the document names none.
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
    /// Returns whether the container runs as long as the pod, so that zombies and slow stops matter.
    pub fn is_long_running(&self) -> bool {
        self.kind == ContainerKind::Container || self.is_sidecar
    }

    pub fn place(&self) -> Place {
        self.view.place()
    }

    /// Returns the place where the command is set, or else where the container starts.
    pub fn command_place(&self) -> Place {
        ["command", "args"]
            .iter()
            .find_map(|name| self.view.entry(name))
            .map_or(self.place(), |(key, _)| key.place())
    }

    /// Returns the place where the image is named, or else where the container starts.
    pub fn image_place(&self) -> Place {
        self.view.entry("image").map_or(self.place(), |(key, _)| key.place())
    }

    pub fn variable(&self, name: &str) -> Option<&str> {
        self.env.iter().rev().find(|(known, _)| known == name)?.1.as_deref()
    }

    /// Returns the commands of the hooks and probes, each with the path of its field.
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
    /// The object, such as "Deployment/web".
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
    /// Reads a pod's spec. `has_launcher` states that a workflow engine starts the commands.
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

    /// Returns whether the pod runs on Windows, where there is no PID 1.
    pub fn is_windows(&self) -> bool {
        let selected = self.spec.at(&["nodeSelector", "kubernetes.io/os"]);
        [self.spec.at(&["os", "name"]), selected].iter().flatten().any(|os| os.text() == Some("windows"))
    }

    /// Returns `terminationGracePeriodSeconds`, 30 if it is absent; `None` if it is not a number.
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

/// Returns a word with `$(NAME)` expanded, as the kubelet does. `$$` denotes a single `$`; references to unknown
/// variables are kept.
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

/// Returns a variable's name up to the closing parenthesis, and the text after it.
fn reference(inner: &str) -> Option<(&str, &str)> {
    let end = inner.bytes().take(MAX_NAME).position(|byte| byte == b')')?;
    inner.split_at_checked(end).map(|(name, rest)| (name, &rest[1..]))
}

/// Returns whether a text contains a placeholder for a template engine or a shell.
pub(crate) fn has_placeholder(text: &str) -> bool {
    ["{{", "}}", "${", "{%", "$("].iter().any(|mark| text.contains(mark))
        || (text.starts_with('$') && text.len() > 1)
        || (text.starts_with("<<") || text.starts_with("@@"))
}
