//! Rules about shared process namespaces.

use super::finding::Findings;
use super::judge::{JudgedContainer, JudgedPod, Namespace};
use super::needed;
use super::rule::{Rule, Severity};
use super::spec::Switch;

/// Checks a pod's process namespace.
pub(crate) fn check(pod: &JudgedPod<'_, '_>, findings: &mut Findings<'_>) {
    if pod.pod.is_windows() {
        return;
    }
    if let Switch::On { key } = pod.pod.host_pid {
        const FACTS: &str = "hostPID: true: the node's init reaps orphans, but the pod sees every process of the node \
            with its arguments and environment, and /proc/PID/root opens other containers' files, protected by file \
            permissions alone";
        match &pod.needs_host {
            Some(why) => findings.add_as(
                Rule::HostPid,
                Severity::Note,
                key.place(),
                None,
                format!("{FACTS}; it seems to be needed: {why}"),
                "keep hostPID for this node agent, and keep the image and who may exec into it under control",
            ),
            None => findings.add(
                Rule::HostPid,
                key.place(),
                None,
                FACTS.to_string(),
                "remove hostPID and put a reaper into the images, for example with `reapify wrap`",
            ),
        }
    } else if let Switch::On { key } = pod.pod.shared {
        shared(pod, key.place(), findings);
    }
    for judged in pod.containers.iter().filter(|judged| judged.is_plain()) {
        pid1_image(judged, findings);
    }
}

fn shared(pod: &JudgedPod<'_, '_>, place: super::tree::Place, findings: &mut Findings<'_>) {
    let mut message = String::from(
        "shareProcessNamespace: true: the pause container reaps orphans, but no container is PID 1 any more, and \
         processes with their arguments and environment are visible to all containers of the pod",
    );
    if let Some(judged) = pod.containers.iter().find(|judged| needed::signals_pid1(&judged.container)) {
        let name = &judged.container.name;
        message.push_str(&format!(
            "; container {name} sends a signal to PID 1, which is the pause container here"
        ));
    }
    match &pod.needs_shared {
        Some(why) => findings.add_as(
            Rule::SharedPidNamespace,
            Severity::Note,
            place,
            None,
            format!("{message}; it seems to be needed: {why}"),
            "keep shareProcessNamespace for the container that signals or inspects others",
        ),
        None => findings.add(
            Rule::SharedPidNamespace,
            place,
            None,
            message,
            "remove shareProcessNamespace and put a reaper into the images, for example with `reapify wrap`",
        ),
    }
}

/// Reports an image that must be PID 1 but is not.
fn pid1_image(judged: &JudgedContainer<'_, '_>, findings: &mut Findings<'_>) {
    let place = match judged.namespace {
        Namespace::Node => "the node's process namespace",
        Namespace::Pod => "the pod's process namespace",
        _ => return,
    };
    let Some(reason) = insists(judged) else { return };
    let harm = match judged.namespace {
        Namespace::Node => "it may fail, or stop services of the node",
        _ => "it fails or misbehaves",
    };
    findings.add(
        Rule::Pid1ImageInSharedNamespace,
        judged.container.image_place(),
        Some(&judged.container.name),
        format!("{reason} must be PID 1, but is not in {place}: {harm}"),
        "give the pod its own process namespace, or use an image without this init",
    );
}

/// Returns the reason why a container must be PID 1, if there is one.
fn insists(judged: &JudgedContainer<'_, '_>) -> Option<String> {
    if let Some(init) = judged.judgement.init.as_ref().filter(|init| init.insists) {
        return Some(init.name.clone());
    }
    // A command in the pod replaces the program that the image would start.
    if judged.container.command.known().is_some() {
        return None;
    }
    if let Some(facts) = judged.facts {
        return facts.must_be_pid1.clone();
    }
    let image = &judged.container.image;
    let is_linuxserver =
        ["linuxserver/", "lscr.io/linuxserver/", "ghcr.io/linuxserver/", "docker.io/linuxserver/"]
            .iter()
            .any(|prefix| image.starts_with(prefix));
    is_linuxserver.then(|| "s6-overlay, which images of linuxserver.io start,".to_string())
}
