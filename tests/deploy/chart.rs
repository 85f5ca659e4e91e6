//! The chart: it renders the same objects as the overlays, and keeps the rules for all values.

use super::objects::{Object, parse};
use super::{configs, overlays, render, rules};
use serde_json::{Value, json};

/// Returns the values with which the chart renders the same objects as an overlay.
fn values(overlay: &str, config: &str) -> Value {
    let secrets = json!({"registry": "reapify-mirror-registry", "events": "reapify-mirror-events"});
    match overlay {
        "cronjob" => json!({"config": config, "existingSecret": secrets, "cronjob": {"shards": 4}}),
        "server" => json!({"config": config, "existingSecret": secrets, "mode": "server"}),
        _ => json!({
            "config": config, "existingSecret": secrets, "mode": "server", "serviceMonitor": {"enabled": true},
        }),
    }
}

/// Returns an object without the fields that depend on the tool that rendered it.
fn plain(object: &Object) -> Value {
    let value = match object {
        Object::ConfigMap(object) => serde_json::to_value(object),
        Object::CronJob(object) => serde_json::to_value(object),
        Object::Deployment(object) => serde_json::to_value(object),
        Object::NetworkPolicy(object) => serde_json::to_value(object),
        Object::Service(object) => serde_json::to_value(object),
        Object::ServiceMonitor(object) => serde_json::to_value(object),
    };
    let mut value = value.unwrap();
    if object.kind() == "ConfigMap" {
        value["metadata"].as_object_mut().unwrap().remove("labels");
    }
    strip(&mut value);
    value
}

fn strip(value: &mut Value) {
    const MADE: [&str; 6] = [
        "app.kubernetes.io/instance",
        "app.kubernetes.io/version",
        "app.kubernetes.io/managed-by",
        "helm.sh/chart",
        "checksum/config",
        "imagePullPolicy",
    ];
    match value {
        Value::Object(fields) => {
            fields.retain(|name, _| !MADE.contains(&name.as_str()));
            fields.values_mut().for_each(strip);
            fields.retain(|name, value| {
                name != "annotations" || value.as_object().is_some_and(|o| !o.is_empty())
            });
        }
        Value::Array(items) => {
            items.iter_mut().for_each(strip);
            // The order of arguments is irrelevant.
            if items.iter().all(|item| item.as_str().is_some_and(|arg| arg.starts_with("--"))) {
                items.sort_by_key(ToString::to_string);
            }
            if items.first().is_some_and(|first| first == "mirror") {
                items.sort_by_key(|item| item.as_str().map(|arg| arg.strip_prefix("--").map(str::to_owned)));
            }
        }
        // Remove the hash of a ConfigMap's content.
        Value::String(text) => {
            if let Some(hash) = text.strip_prefix("reapify-mirror-")
                && hash.len() == 10
                && hash.chars().any(|c| c.is_ascii_digit())
            {
                *text = "reapify-mirror".into();
            }
        }
        _ => {}
    }
}

#[test]
fn the_chart_renders_the_objects_of_the_overlays() {
    for (overlay, objects) in overlays() {
        let config = objects.iter().find_map(configs::of).unwrap();
        let rendered = parse(&render::helm("reapify-mirror", &values(overlay, config)).unwrap());
        let by_name = |objects: &[Object]| {
            let mut all: Vec<_> = objects.iter().map(plain).collect();
            all.sort_by_key(|object| format!("{} {}", object["kind"], object["metadata"]["name"]));
            all
        };
        let (chart, kustomize) = (by_name(&rendered), by_name(&objects));
        assert_eq!(chart.len(), kustomize.len(), "{overlay}");
        for (one, other) in chart.iter().zip(&kustomize) {
            let pretty = |value| serde_json::to_string_pretty(value).unwrap();
            assert_eq!(pretty(one), pretty(other), "{overlay}");
        }
    }
}

#[test]
fn the_chart_keeps_the_rules_for_all_values() {
    let (registry, peer) = ("reapify-mirror-registry", json!([{"podSelector": {"matchLabels": {"a": "b"}}}]));
    let digest = format!("sha256:{}", "a".repeat(64));
    for values in [
        json!({}),
        json!({"cronjob": {"shards": 10_000, "recheckSchedule": "", "shardBy": "tag"}}),
        json!({"existingSecret": {"registry": registry}, "extraArgs": ["--parallel=16"]}),
        json!({"mode": "server"}),
        json!({"mode": "server", "server": {"drain": 300}, "service": {"type": "NodePort", "annotations": {"a": "b"}}}),
        json!({"mode": "server", "networkPolicy": {"ingressFrom": []}, "serviceMonitor": {"enabled": true, "from": []}}),
        json!({
            "mode": "server", "serviceMonitor": {"enabled": true, "from": peer, "labels": {"release": "watch"}},
            "podLabels": {"team": "images"}, "podAnnotations": {"note": "1.0"}, "nodeSelector": {"arch": "arm64"},
            "tolerations": [{"key": "images", "operator": "Exists"}], "priorityClassName": "low",
            "serviceAccountName": "mirror", "imagePullSecrets": [{"name": registry}], "runAsUser": 1000,
            "extraEnv": [{"name": "CRON_TZ", "value": "Etc/UTC"}],
            "affinity": {"nodeAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": []}},
        }),
    ] {
        for release in ["reapify-mirror", "a", "a-release-with-a-name-that-is-as-long-as-they-may-be1"] {
            let text = render::helm(release, &values).unwrap_or_else(|e| panic!("{values}: {e}"));
            let objects = parse(&text);
            rules::check(&values.to_string(), &objects);
            // The name of a CronJob must leave room for the suffixes of its Jobs and pods.
            let is_short = |object: &Object| object.kind() != "CronJob" || object.name().len() <= 52;
            assert!(objects.iter().all(is_short), "{release}");
        }
    }
    let pinned =
        render::helm("a", &json!({"image": {"repository": "mirror.example/reapify", "digest": digest}}))
            .unwrap();
    assert!(pinned.contains(&format!("image: \"mirror.example/reapify@{digest}\"")));
}

#[test]
fn two_releases_in_a_namespace_select_their_own_pods() {
    let release = |name| parse(&render::helm(name, &json!({"mode": "server"})).unwrap());
    let (one, other) = (release("one"), release("other"));
    let selected = |objects: &[Object]| {
        let find = |object: &Object| match object {
            Object::Service(service) => service.spec.as_ref()?.selector.clone(),
            _ => None,
        };
        objects.iter().find_map(find).unwrap()
    };
    let labels = other.iter().find_map(Object::pod_labels).unwrap();
    assert!(selected(&one).iter().any(|(name, value)| labels.get(name) != Some(value)));
    assert!(selected(&other).iter().all(|(name, value)| labels.get(name) == Some(value)));
}

#[test]
fn rejects_values_that_the_schema_does_not_allow() {
    for (values, part) in [
        (json!({"cronjob": {"shards": 0}}), "/cronjob/shards"),
        (json!({"mode": "both"}), "/mode"),
        (json!({"shards": 4}), "shards"),
        (json!({"runAsUser": 0}), "/runAsUser"),
        (json!({"image": {"repository": "a", "digest": "sha256:abc"}}), "/image/digest"),
        (json!({"config": {"version": 1}}), "/config"),
        (json!({"networkPolicy": {"egressPorts": []}}), "/networkPolicy/egressPorts"),
    ] {
        let error = render::helm("a", &values).expect_err("it has to be refused");
        assert!(error.contains(part), "{values}: {error}");
    }
}

#[test]
fn the_schema_describes_every_value_of_the_chart() {
    let chart = render::root().join("deploy/helm/reapify-mirror");
    let schema = std::fs::read_to_string(chart.join("values.schema.json")).unwrap();
    let schema: Value = serde_json::from_str(&schema).unwrap();
    let values: Value =
        serde_yaml_ng::from_str(&std::fs::read_to_string(chart.join("values.yaml")).unwrap()).unwrap();
    let validator = jsonschema::validator_for(&schema).unwrap();
    let errors: Vec<String> = validator.iter_errors(&values).map(|error| error.to_string()).collect();
    assert!(errors.is_empty(), "{errors:?}");
    let names =
        |value: &Value| value.as_object().unwrap().keys().cloned().collect::<std::collections::BTreeSet<_>>();
    let mut known = names(&schema["properties"]);
    known.remove("global");
    assert_eq!(known, names(&values));
    let about: Value =
        serde_yaml_ng::from_str(&std::fs::read_to_string(chart.join("Chart.yaml")).unwrap()).unwrap();
    assert_eq!(about["appVersion"], env!("CARGO_PKG_VERSION"));
}
