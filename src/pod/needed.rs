//! Detection of pods that need the process namespace that they share, from their commands, images and names.

use super::programs::file_name;
use super::spec::{Container, Pod};

/// Programs that operate on other processes of the node.
const NODE_TOOLS: [&str; 3] = ["nsenter", "kube-bench", "kured"];

/// Agents that work on the node's processes, by the names of their images, containers or programs.
const NODE_AGENTS: [&str; 62] = [
    "node-exporter",
    "node_exporter",
    "process-exporter",
    "falco",
    "cadvisor",
    "kube-bench",
    "kured",
    "datadog-agent",
    "datadog/agent",
    "system-probe",
    "process-agent",
    "sysdig",
    "sysdig-agent",
    "tetragon",
    "tracee",
    "inspektor-gadget",
    "gadget",
    "parca-agent",
    "pyroscope-ebpf",
    "ebpf-profiler",
    "beyla",
    "ebpf-instrument",
    "ebpf-exporter",
    "vizier-pem",
    "node-problem-detector",
    "nvidia-driver",
    "container-toolkit",
    "k8s-mig-manager",
    "longhorn-manager",
    "longhorn-csi-plugin",
    "longhorn-instance-manager",
    "csi-rbdplugin",
    "csi-cephfsplugin",
    "cephcsi",
    "weave-kube",
    "scope",
    "kepler",
    "scaphandre",
    "newrelic-infrastructure",
    "infrastructure-bundle",
    "oneagent",
    "instana-agent",
    "auditbeat",
    "osquery",
    "enforcer",
    "twistlock-defender",
    "falcon-sensor",
    "falcon-node-sensor",
    "wazuh-agent",
    "lacework",
    "datacollector",
    "netdata",
    "coroot-node-agent",
    "gremlin",
    "chaos-daemon",
    "security-profiles-operator",
    "multus-daemon",
    "sriov-network-config-daemon",
    "machine-config-daemon",
    "tuned",
    "kata-deploy",
    "system-upgrade",
];

/// Programs that find processes by name, or examine them.
const BY_NAME: [&str; 5] = ["pkill", "killall", "pgrep", "pidof", "fuser"];
const TRACERS: [&str; 10] =
    ["gdb", "strace", "ltrace", "jcmd", "jstack", "jmap", "py-spy", "dlv", "perf", "bpftrace"];

/// Returns the reason why a pod needs `hostPID`, if one is recognised.
pub(crate) fn host_pid(pod: &Pod<'_>) -> Option<String> {
    pod.containers.iter().find_map(|container| {
        let name = &container.name;
        let words = all_words(container);
        let tool =
            words.iter().find_map(|w| programs(w).find(|p| NODE_TOOLS.contains(p)).map(str::to_string));
        if let Some(tool) = tool {
            return Some(format!("container {name} runs {tool}, which works on processes of the node"));
        }
        if words.iter().any(|word| ["/proc/1/", "/host/proc", "/hostproc"].iter().any(|p| word.contains(p))) {
            return Some(format!("container {name} works on /proc of the node"));
        }
        let agent = node_agent(container)?;
        Some(format!("container {name} looks like {agent}, an agent that watches processes of the node"))
    })
}

fn node_agent(container: &Container<'_>) -> Option<&'static str> {
    let image = container.image.split(['@']).next().unwrap_or_default();
    let program = container.command.known().and_then(|words| words.first()).map(|w| file_name(w));
    let names = [Some(image), Some(container.name.as_str()), program];
    NODE_AGENTS.into_iter().find(|agent| names.iter().flatten().any(|name| holds_name(name, agent)))
}

/// Returns whether a text contains a name as a complete part: `quay.io/prometheus/node-exporter:v1` contains
/// `node-exporter`.
fn holds_name(text: &str, name: &str) -> bool {
    let is_part = |c: Option<char>| c.is_none_or(|c| !c.is_ascii_alphanumeric());
    text.match_indices(name).any(|(at, _)| {
        is_part(text[..at].chars().next_back()) && is_part(text[at + name.len()..].chars().next())
    })
}

/// Returns the reason why a pod needs `shareProcessNamespace`, if one is recognised.
pub(crate) fn shared(pod: &Pod<'_>) -> Option<String> {
    let running = pod.containers.iter().filter(|c| c.is_long_running());
    let are_several = running.clone().count() > 1;
    running.into_iter().filter(|_| are_several).find_map(|container| {
        let name = &container.name;
        let words = own_words(container);
        let tool = words.iter().find_map(|word| {
            programs(word).find(|p| BY_NAME.contains(p) || TRACERS.contains(p)).map(str::to_string)
        });
        if let Some(tool) = tool {
            return Some(format!(
                "container {name} uses {tool}, which must see the other containers' processes"
            ));
        }
        let signals = words.iter().any(|w| {
            w.contains("reload-method=signal")
                || w.starts_with("--process-executable-name")
                || kills_found_process(w)
        });
        if signals || holds_name(&container.image, "nats-server-config-reloader") {
            return Some(format!("container {name} signals a process of another container"));
        }
        None
    })
}

/// Returns whether `kill … $(COMMAND)` looks up the id of another process.
fn kills_found_process(word: &str) -> bool {
    let after = word.match_indices("kill").map(|(at, _)| &word[at..]);
    after.into_iter().any(|rest| {
        let command = rest.split([';', '|', '\n']).next().unwrap_or_default();
        command.contains("$(") || command.contains('`')
    })
}

/// Returns whether a container's commands send a signal to PID 1.
pub(crate) fn signals_pid1(container: &Container<'_>) -> bool {
    let is_one = |words: &[&str]| words.first() == Some(&"kill") && words.last() == Some(&"1");
    let mut commands = vec![own_words(container)];
    commands.extend(container.exec_commands().into_iter().map(|(_, _, words)| words));
    commands.iter().any(|words| {
        let direct: Vec<&str> = words.iter().map(String::as_str).collect();
        is_one(&direct)
            || words.iter().filter(|w| w.contains("kill")).any(|text| {
                text.split([';', '&', '|', '\n', '(', ')'])
                    .any(|part| is_one(&part.split_whitespace().collect::<Vec<_>>()))
            })
    })
}

fn own_words(container: &Container<'_>) -> Vec<String> {
    [&container.command, &container.args].iter().filter_map(|w| w.known()).flatten().cloned().collect()
}

fn all_words(container: &Container<'_>) -> Vec<String> {
    let hooks = container.exec_commands().into_iter().flat_map(|(_, _, words)| words);
    own_words(container).into_iter().chain(hooks).collect()
}

/// Returns the names in a text that may be programs.
fn programs(text: &str) -> impl Iterator<Item = &str> {
    let ends = |c: char| c.is_whitespace() || ";&|()<>\"'`$={}".contains(c);
    text.split(ends).map(file_name).filter(|name| !name.is_empty())
}
