//! Rules for every set of objects that is deployed together.

use super::objects::{Object, selects};
use super::render::root;
use k8s_openapi::api::core::v1::{Container, PodSpec};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use std::collections::HashSet;

/// Checks every rule.
pub fn check(set: &str, objects: &[Object]) {
    let names: HashSet<_> = objects.iter().map(|object| (object.kind(), object.name())).collect();
    assert_eq!(names.len(), objects.len(), "{set}: duplicate object");
    let mut pods = 0;
    for object in objects {
        let Some(pod) = object.pod() else { continue };
        let place = format!("{set}: {} {}", object.kind(), object.name());
        pods += 1;
        restricted(&place, pod);
        volumes(&place, pod, objects);
        ports(&place, pod);
        policies(&place, object, objects);
        assert_eq!(pod.containers.len(), 1, "{place}");
    }
    assert!(pods > 0, "{set}: there is no pod");
    shards(objects);
    selectors(set, objects);
    drains(objects);
}

/// Returns the container of a pod, of which all ours have exactly one.
pub fn container(pod: &PodSpec) -> &Container {
    pod.containers.first().expect("a pod has a container")
}

/// Checks the Pod Security Standard "restricted", and more.
fn restricted(place: &str, pod: &PodSpec) {
    assert_eq!(pod.automount_service_account_token, Some(false), "{place}: no token of the service account");
    assert_eq!(pod.enable_service_links, Some(false), "{place}: no variables of services");
    for host in [pod.host_network, pod.host_pid, pod.host_ipc, pod.share_process_namespace] {
        assert_ne!(host, Some(true), "{place}: no namespaces of others");
    }
    assert!(pod.init_containers.is_none(), "{place}: init containers are not checked here");
    let context = pod.security_context.as_ref().expect(place);
    assert_eq!(context.run_as_non_root, Some(true), "{place}");
    assert!(
        context.run_as_user.is_some_and(|user| user > 0),
        "{place}: a numeric user, for images without one"
    );
    assert!(context.run_as_group.is_some_and(|group| group > 0), "{place}");
    assert!(
        context.fs_group.is_some_and(|group| group > 0),
        "{place}: files of Secrets belong to this group"
    );
    assert_eq!(context.seccomp_profile.as_ref().expect(place).type_, "RuntimeDefault", "{place}");
    for container in &pod.containers {
        let context = container.security_context.as_ref().expect(place);
        assert_eq!(context.allow_privilege_escalation, Some(false), "{place}");
        assert_eq!(context.read_only_root_filesystem, Some(true), "{place}");
        assert_eq!(context.run_as_user, None, "{place}: the pod sets it");
        assert_ne!(context.privileged, Some(true), "{place}");
        let capabilities = context.capabilities.as_ref().expect(place);
        assert_eq!(capabilities.drop.as_deref(), Some(&["ALL".to_owned()][..]), "{place}");
        assert_eq!(capabilities.add, None, "{place}");
        let resources = container.resources.as_ref().expect(place);
        let limits = resources.limits.as_ref().expect(place);
        assert_eq!(limits.get("memory"), Some(&Quantity("128Mi".into())), "{place}");
        assert!(resources.requests.as_ref().expect(place).contains_key("cpu"), "{place}");
        assert_eq!(container.command, None, "{place}: a command would replace a wrapped image's entrypoint");
        let version = format!("reapify:{}", env!("CARGO_PKG_VERSION"));
        assert_eq!(container.image.as_ref(), Some(&version), "{place}: the image of this version");
    }
}

/// Checks that volumes and mounts correspond, and that the volumes' sources exist.
fn volumes(place: &str, pod: &PodSpec, objects: &[Object]) {
    let readme = std::fs::read_to_string(root().join("deploy/README.md")).unwrap();
    let mounts = container(pod).volume_mounts.as_deref().unwrap_or_default();
    let volumes = pod.volumes.as_deref().unwrap_or_default();
    let mounted: HashSet<_> = mounts.iter().map(|mount| &mount.name).collect();
    let named: HashSet<_> = volumes.iter().map(|volume| &volume.name).collect();
    assert_eq!(mounted, named, "{place}");
    assert!(mounts.iter().all(|mount| mount.read_only == Some(true)), "{place}");
    for volume in volumes {
        let mode = match (&volume.secret, &volume.config_map) {
            (Some(secret), None) => {
                let name = secret.secret_name.as_ref().expect(place);
                let created = readme
                    .lines()
                    .any(|line| line.contains(" create secret ") && line.split(' ').any(|word| word == name));
                assert!(
                    created,
                    "{place}: deploy/README.md does not describe how to create the Secret {name}"
                );
                secret.default_mode
            }
            (None, Some(source)) => {
                let is_it = |object: &&Object| object.kind() == "ConfigMap" && object.name() == source.name;
                assert!(objects.iter().any(|object| is_it(&object)), "{place}: no ConfigMap {}", source.name);
                source.default_mode
            }
            _ => panic!("{place}: the volume {} is neither Secret nor ConfigMap", volume.name),
        };
        assert_eq!(mode, Some(0o440), "{place}: {} must be readable only by the group", volume.name);
    }
}

/// Checks that probes use ports that the container names.
fn ports(place: &str, pod: &PodSpec) {
    let container = container(pod);
    for probe in [&container.readiness_probe, &container.liveness_probe].into_iter().flatten() {
        let request = probe.http_get.as_ref().expect(place);
        assert!(has_port(pod, &request.port), "{place}: no port {:?}", request.port);
    }
}

fn has_port(pod: &PodSpec, port: &IntOrString) -> bool {
    let mut ports = container(pod).ports.iter().flatten();
    ports.any(|known| match port {
        IntOrString::String(name) => known.name.as_ref() == Some(name),
        IntOrString::Int(number) => known.container_port == *number,
    })
}

/// Checks that policies isolate every pod, and allow access to the pod's ports.
fn policies(place: &str, object: &Object, objects: &[Object]) {
    let labels = object.pod_labels().expect(place);
    let mut cut_off = HashSet::new();
    for policy in objects {
        let Object::NetworkPolicy(policy) = policy else { continue };
        let spec = policy.spec.as_ref().expect(place);
        if !spec.pod_selector.as_ref().is_none_or(|selector| selects(selector, labels)) {
            continue;
        }
        cut_off.extend(spec.policy_types.iter().flatten());
        for rule in spec.ingress.iter().flatten() {
            assert!(
                !rule.from.iter().flatten().collect::<Vec<_>>().is_empty(),
                "{place}: ingress is not restricted"
            );
            for port in rule.ports.iter().flatten() {
                assert!(has_port(object.pod().expect(place), port.port.as_ref().expect(place)), "{place}");
            }
        }
        for rule in spec.egress.iter().flatten() {
            assert!(
                rule.ports.as_ref().is_some_and(|ports| !ports.is_empty()),
                "{place}: egress ports are not restricted"
            );
        }
    }
    assert_eq!(cut_off, HashSet::from([&"Ingress".to_owned(), &"Egress".to_owned()]), "{place}");
}

/// Returns the number of shards of each CronJob, which must equal its completions, its parallelism and the variable.
pub fn shards(objects: &[Object]) -> Vec<i32> {
    let mut shards = Vec::new();
    for object in objects {
        let Object::CronJob(cronjob) = object else { continue };
        let name = object.name();
        let job = cronjob.spec.as_ref().unwrap().job_template.spec.as_ref().unwrap();
        let completions = job.completions.unwrap();
        assert_eq!(job.completion_mode.as_deref(), Some("Indexed"), "{name}");
        assert_eq!(job.parallelism, Some(completions), "{name}");
        let variables = container(object.pod().unwrap()).env.as_deref().unwrap_or_default();
        let told: Vec<_> = variables.iter().filter(|variable| variable.name == "REAPIFY_SHARDS").collect();
        assert_eq!(told.len(), 1, "{name}");
        assert_eq!(told[0].value, Some(completions.to_string()), "{name}");
        // Failure policies require this restart policy.
        assert_eq!(object.pod().unwrap().restart_policy.as_deref(), Some("Never"), "{name}");
        assert!(job.pod_failure_policy.is_some() && job.backoff_limit_per_index.is_some(), "{name}");
        shards.push(completions);
    }
    shards
}

/// Checks that selectors match the pods that they are for.
fn selectors(set: &str, objects: &[Object]) {
    let pods = || objects.iter().filter_map(|object| Some((object.pod()?, object.pod_labels()?)));
    for object in objects {
        let place = format!("{set}: {} {}", object.kind(), object.name());
        let spread = object.pod().and_then(|pod| pod.topology_spread_constraints.as_ref());
        for constraint in spread.into_iter().flatten() {
            let selector = constraint.label_selector.as_ref().expect(&place);
            assert!(selects(selector, object.pod_labels().expect(&place)), "{place}");
        }
        match object {
            Object::Deployment(deployment) => {
                let spec = deployment.spec.as_ref().expect(&place);
                assert!(selects(&spec.selector, object.pod_labels().expect(&place)), "{place}");
            }
            Object::Service(service) => {
                let spec = service.spec.as_ref().expect(&place);
                let selector = spec.selector.clone().expect(&place);
                let mut chosen =
                    pods().filter(|(_, labels)| selector.iter().all(|(k, v)| labels.get(k) == Some(v)));
                let (pod, _) = chosen.next().expect(&place);
                let ports = spec.ports.as_deref().expect(&place);
                assert!(
                    ports.iter().all(|port| has_port(pod, port.target_port.as_ref().expect(&place))),
                    "{place}"
                );
            }
            Object::NetworkPolicy(policy) => {
                let selector =
                    policy.spec.as_ref().and_then(|spec| spec.pod_selector.as_ref()).expect(&place);
                assert!(pods().any(|(_, labels)| selects(selector, labels)), "{place}: it matches no pod");
            }
            Object::ServiceMonitor(monitor) => monitored(&place, monitor, objects),
            Object::CronJob(_) | Object::ConfigMap(_) => {}
        }
    }
}

fn monitored(place: &str, monitor: &super::objects::ServiceMonitor, objects: &[Object]) {
    let service = objects.iter().find_map(|object| match object {
        Object::Service(service) if selects(&monitor.spec.selector, service.metadata.labels.as_ref()?) => {
            Some(service)
        }
        _ => None,
    });
    let ports = service.expect(place).spec.as_ref().and_then(|spec| spec.ports.as_deref()).expect(place);
    for endpoint in &monitor.spec.endpoints {
        assert!(ports.iter().any(|port| port.name.as_ref() == Some(&endpoint.port)), "{place}");
        assert_eq!(endpoint.path, "/metrics", "{place}");
    }
}

/// Checks that a pod is not killed before it has drained.
fn drains(objects: &[Object]) {
    for pod in objects.iter().filter_map(Object::pod) {
        let args = container(pod).args.as_deref().unwrap_or_default();
        let drain = args.iter().find_map(|arg| arg.strip_prefix("--drain=")?.parse::<i64>().ok());
        assert_eq!(drain.is_some(), args.iter().any(|arg| arg == "server"), "{args:?}");
        if let Some(drain) = drain {
            assert!(pod.termination_grace_period_seconds.unwrap_or(30) >= drain + 10, "{args:?}");
        }
    }
}
