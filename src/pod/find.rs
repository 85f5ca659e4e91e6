//! Finding of pod templates in documents by their fields, whatever kind of object contains them.

use super::parse::Source;
use super::spec::{ContainerKind, Pod, Switch, read_container};
use super::tree::{Document, View};

/// The annotation that disables rules.
pub(crate) const IGNORE: &str = "reapify.io/ignore";

/// Kinds that contain copies or measurements of pods, not pods that are run.
const NO_PODS: [&str; 4] = ["ControllerRevision", "PodMetrics", "PodMetricsList", "CustomResourceDefinition"];
/// API groups whose objects contain patterns of pods.
const PATTERNS: [&str; 4] = ["kyverno.io", "policies.kyverno.io", "gatekeeper.sh", "chainsaw.kyverno.io"];
/// Kinds that certainly contain pods, even if a container names no image, as in a Kustomize patch.
const WORKLOADS: [&str; 9] = [
    "Pod",
    "Deployment",
    "StatefulSet",
    "DaemonSet",
    "ReplicaSet",
    "ReplicationController",
    "Job",
    "CronJob",
    "PodTemplate",
];
/// Kinds of Argo Workflows: each template contains one container, which the engine starts through its own program.
const ARGO: [&str; 5] =
    ["Workflow", "WorkflowTemplate", "ClusterWorkflowTemplate", "CronWorkflow", "WorkflowEventBinding"];
/// Fields that only a pod's spec has.
const POD_FIELDS: [&str; 14] = [
    "volumes",
    "restartPolicy",
    "serviceAccountName",
    "serviceAccount",
    "nodeSelector",
    "hostPID",
    "hostNetwork",
    "shareProcessNamespace",
    "initContainers",
    "terminationGracePeriodSeconds",
    "imagePullSecrets",
    "dnsPolicy",
    "tolerations",
    "affinity",
];

/// Returns the pods of a source, in the order of the text.
pub(crate) fn pods<'d>(source: &'d Source<'_>) -> Vec<Pod<'d>> {
    let mut found = Vec::new();
    for (number, document) in source.documents.iter().enumerate() {
        let mut walk = Walk { file: source.name, number, found: &mut found, ignored: Vec::new() };
        walk.visit(document.root(), "", None);
    }
    found
}

/// Returns all objects of a document that have a kind and a name: the document's root, or the items of a list.
pub(crate) fn objects<'d>(document: &'d Document<'_>) -> Vec<View<'d>> {
    let root = document.root();
    if root.is_sequence() {
        return root.items().collect();
    }
    match root.get("items").filter(|_| text(root, "kind").is_some_and(|kind| kind.ends_with("List"))) {
        Some(items) => items.items().collect(),
        None => vec![root],
    }
}

/// The object to which a node belongs.
#[derive(Clone, Copy)]
struct Object<'d> {
    view: View<'d>,
    kind: &'d str,
}

impl<'d> Object<'d> {
    fn of(view: View<'d>) -> Option<Object<'d>> {
        let kind = text(view, "kind")?;
        let is_object =
            text(view, "apiVersion").is_some() || view.get("metadata").is_some_and(View::is_mapping);
        is_object.then_some(Object { view, kind })
    }

    fn group(self) -> &'d str {
        text(self.view, "apiVersion").and_then(|v| v.split_once('/')).map_or("", |(group, _)| group)
    }

    fn is_argo(self) -> bool {
        self.group() == "argoproj.io" && ARGO.contains(&self.kind)
    }

    /// Returns whether pods below the object are not its own.
    fn holds_no_pods(self) -> bool {
        let group = self.group();
        NO_PODS.contains(&self.kind)
            || PATTERNS.iter().any(|known| group == *known || group.ends_with(&format!(".{known}")))
    }

    fn name(self) -> String {
        let metadata = self.view.get("metadata");
        let name = metadata.and_then(|m| text(m, "name").or_else(|| text(m, "generateName")));
        match name {
            Some(name) => format!("{}/{name}", self.kind),
            None => self.kind.to_string(),
        }
    }

    fn namespace(self) -> Option<&'d str> {
        text(self.view.get("metadata")?, "namespace")
    }
}

fn text<'d>(view: View<'d>, key: &str) -> Option<&'d str> {
    view.get(key)?.text()
}

struct Walk<'w, 'd> {
    file: &'d str,
    number: usize,
    found: &'w mut Vec<Pod<'d>>,
    /// The annotations found on the way down.
    ignored: Vec<View<'d>>,
}

impl<'d> Walk<'_, 'd> {
    fn visit(&mut self, view: View<'d>, key: &str, object: Option<Object<'d>>) {
        if view.is_sequence() {
            for item in view.items() {
                self.visit(item, key, object);
            }
            return;
        }
        if !view.is_mapping() {
            return;
        }
        let own = Object::of(view);
        let object = own.or(object);
        if own.is_some_and(Object::holds_no_pods) {
            return;
        }
        let annotation = view.at(&["metadata", "annotations", IGNORE]);
        self.ignored.extend(annotation);
        match object {
            Some(object) if is_pod(view, key, object) => self.pod(view, object),
            _ => self.descend(view, own.is_some(), object),
        }
        if annotation.is_some() {
            self.ignored.pop();
        }
    }

    fn descend(&mut self, view: View<'d>, is_object: bool, object: Option<Object<'d>>) {
        if let Some(object) = object.filter(|object| object.is_argo() && !is_object) {
            self.argo_template(view, object);
        }
        for (key, value) in view.entries() {
            let Some(name) = key.text() else { continue };
            let is_skipped = is_object && matches!(name, "metadata" | "status");
            if !is_skipped {
                self.visit(value, name, object);
            }
        }
    }

    fn pod(&mut self, spec: View<'d>, object: Object<'d>) {
        let mut pod = Pod::read(self.file, object.name(), spec, object.is_argo());
        pod.document = self.number;
        pod.namespace = object.namespace();
        pod.ignored = self.ignored.clone();
        self.found.push(pod);
    }

    /// Reads a workflow template with one container, `container` or `script`.
    fn argo_template(&mut self, view: View<'d>, object: Object<'d>) {
        let named = text(view, "name");
        for field in ["container", "script"] {
            let container = view.get(field).filter(|c| c.is_mapping() && text(*c, "image").is_some());
            let (Some(container), Some(name)) = (container, named) else { continue };
            let name = text(container, "name").unwrap_or(name).to_string();
            self.found.push(Pod {
                file: self.file,
                document: self.number,
                object: object.name(),
                namespace: object.namespace(),
                spec: view,
                ignored: self.ignored.clone(),
                host_pid: Switch::Off,
                shared: Switch::Off,
                containers: vec![read_container(container, name, ContainerKind::Container, true)],
            });
        }
    }
}

/// Returns whether a mapping is the spec of a pod: it has containers, and the right key or fields.
fn is_pod(view: View<'_>, key: &str, object: Object<'_>) -> bool {
    let Some(containers) = view.get("containers") else { return false };
    if containers.items().next().is_none() || !containers.items().all(View::is_mapping) {
        return false;
    }
    let has_image = containers.items().any(|item| item.get("image").is_some_and(|i| !is_pattern(i)));
    let is_named = containers.items().all(|item| text(item, "name").is_some());
    let is_spec = key.to_ascii_lowercase().ends_with("spec");
    let is_workload = WORKLOADS.contains(&object.kind) && is_spec && is_named;
    let looks_like_one = is_spec || POD_FIELDS.iter().any(|field| view.entry(field).is_some());
    is_workload || (has_image && looks_like_one)
}

/// Returns whether an image is a wildcard of a policy, or not an image at all.
fn is_pattern(image: View<'_>) -> bool {
    image.text().is_some_and(|text| text.contains('*') || text.starts_with('!'))
}
