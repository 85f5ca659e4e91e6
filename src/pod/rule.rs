//! The rules, their ids, and the choice of disabled rules.

use super::spec::Pod;
use super::tree::Place;
use std::fmt;
use std::str::FromStr;

/// A rule, which identifies the kind of a finding.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Rule {
    /// `command:` replaces the image's entrypoint and the init in it.
    CommandDropsInit,
    /// An init runs, but not as PID 1.
    InitNotPid1,
    /// The pod shares the node's process namespace.
    HostPid,
    /// The containers of the pod share one process namespace.
    SharedPidNamespace,
    /// An image that must be PID 1 runs in a shared namespace.
    Pid1ImageInSharedNamespace,
    /// A shell remains as PID 1 and ignores SIGTERM.
    ShellIgnoresTerm,
    /// Nothing reaps orphans.
    NoReaper,
    /// Probes and hooks leave orphans that nothing reaps.
    ExecProbeLeavesOrphans,
    /// The reaper's grace does not fit into the pod's grace period.
    GraceExceedsTermination,
    /// The start script comes from a ConfigMap.
    StartScriptInConfigmap,
}

impl Rule {
    /// All rules, in the order of the documentation.
    pub const ALL: [Rule; 10] = [
        Rule::CommandDropsInit,
        Rule::InitNotPid1,
        Rule::HostPid,
        Rule::SharedPidNamespace,
        Rule::Pid1ImageInSharedNamespace,
        Rule::ShellIgnoresTerm,
        Rule::NoReaper,
        Rule::ExecProbeLeavesOrphans,
        Rule::GraceExceedsTermination,
        Rule::StartScriptInConfigmap,
    ];

    /// Returns the id of the rule.
    pub fn id(self) -> &'static str {
        match self {
            Rule::CommandDropsInit => "command-drops-init",
            Rule::InitNotPid1 => "init-not-pid1",
            Rule::HostPid => "host-pid",
            Rule::SharedPidNamespace => "shared-pid-namespace",
            Rule::Pid1ImageInSharedNamespace => "pid1-image-in-shared-namespace",
            Rule::ShellIgnoresTerm => "shell-ignores-term",
            Rule::NoReaper => "no-reaper",
            Rule::ExecProbeLeavesOrphans => "exec-probe-leaves-orphans",
            Rule::GraceExceedsTermination => "grace-exceeds-termination",
            Rule::StartScriptInConfigmap => "start-script-in-configmap",
        }
    }

    /// Returns a sentence that describes the rule.
    pub fn summary(self) -> &'static str {
        match self {
            Rule::CommandDropsInit => {
                "The container's command replaces the entrypoint that starts the image's init."
            }
            Rule::InitNotPid1 => "An init runs, but not as PID 1, so orphans do not reach it.",
            Rule::HostPid => {
                "The pod shares the node's process namespace and sees every process of the node."
            }
            Rule::SharedPidNamespace => "The containers of the pod share one process namespace.",
            Rule::Pid1ImageInSharedNamespace => {
                "An image that must be PID 1 runs in a process namespace where it is not."
            }
            Rule::ShellIgnoresTerm => {
                "A shell stays as PID 1 and ignores SIGTERM, so stops take the whole grace period."
            }
            Rule::NoReaper => "PID 1 does not reap orphans, so they stay as zombies.",
            Rule::ExecProbeLeavesOrphans => {
                "Probes or hooks leave orphans in a container that does not reap them."
            }
            Rule::GraceExceedsTermination => {
                "The reaper's grace does not fit into the pod's termination grace period."
            }
            Rule::StartScriptInConfigmap => "The script that starts the container comes from a ConfigMap.",
        }
    }

    /// Returns the default severity of the rule.
    pub fn severity(self) -> Severity {
        match self {
            Rule::Pid1ImageInSharedNamespace => Severity::Error,
            _ => Severity::Warning,
        }
    }
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.id())
    }
}

impl FromStr for Rule {
    type Err = String;

    fn from_str(text: &str) -> Result<Rule, String> {
        let found = Rule::ALL.into_iter().find(|rule| rule.id() == text);
        found.ok_or_else(|| format!("invalid rule {text:?}: no rule has this id"))
    }
}

/// The severity of a finding.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Something is broken.
    Error,
    /// Something should be fixed.
    Warning,
    /// Something is worth knowing.
    Note,
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Severity::Error => "error",
            Severity::Warning => "warning",
            Severity::Note => "note",
        })
    }
}

/// The disabled rules.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Ignore {
    rules: Vec<Rule>,
}

impl Ignore {
    /// Returns whether a rule is disabled.
    pub fn has(&self, rule: Rule) -> bool {
        self.rules.contains(&rule)
    }

    /// Parses a list of ids; `*` and `all` mean every rule. Returns unknown ids separately.
    fn lenient(text: &str) -> (Ignore, Vec<String>) {
        let (mut rules, mut unknown) = (Vec::new(), Vec::new());
        for id in text.split([',', ' ', '\n']).map(str::trim).filter(|id| !id.is_empty()) {
            match (id, id.parse::<Rule>()) {
                ("*" | "all", _) => rules.extend(Rule::ALL),
                (_, Ok(rule)) => rules.push(rule),
                (_, Err(_)) => unknown.push(id.to_string()),
            }
        }
        rules.sort();
        rules.dedup();
        (Ignore { rules }, unknown)
    }

    /// Returns the rules that the annotations around a pod disable, and the unknown ids in them.
    pub(crate) fn of(pod: &Pod<'_>) -> (Ignore, Vec<(Place, String)>) {
        let (mut rules, mut unknown) = (Vec::new(), Vec::new());
        for view in &pod.ignored {
            let (ignore, names) = Ignore::lenient(view.text().unwrap_or_default());
            rules.extend(ignore.rules);
            unknown.extend(names.into_iter().map(|name| (view.place(), name)));
        }
        (Ignore { rules }, unknown)
    }
}

impl FromStr for Ignore {
    type Err = String;

    /// Parses a list of rule ids; an unknown one is an error.
    fn from_str(text: &str) -> Result<Ignore, String> {
        match Ignore::lenient(text) {
            (ignore, unknown) if unknown.is_empty() => Ok(ignore),
            (_, unknown) => Err(format!("invalid rule {:?}: no rule has this id", unknown[0])),
        }
    }
}
