//! Kubernetes objects, parsed strictly: fields that a type does not know are detected because they are lost in a
//! round trip.

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::batch::v1::CronJob;
use k8s_openapi::api::core::v1::{ConfigMap, PodSpec, PodTemplateSpec, Service};
use k8s_openapi::api::networking::v1::NetworkPolicy;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, ObjectMeta};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;

pub type Labels = BTreeMap<String, String>;

#[derive(Debug, Clone, PartialEq)]
pub enum Object {
    ConfigMap(Box<ConfigMap>),
    CronJob(Box<CronJob>),
    Deployment(Box<Deployment>),
    NetworkPolicy(Box<NetworkPolicy>),
    Service(Box<Service>),
    ServiceMonitor(Box<ServiceMonitor>),
}

/// The fields of the Prometheus Operator's resource that the manifests use.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ServiceMonitor {
    api_version: String,
    kind: String,
    pub metadata: ObjectMeta,
    pub spec: ServiceMonitorSpec,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ServiceMonitorSpec {
    pub selector: LabelSelector,
    pub endpoints: Vec<Endpoint>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Endpoint {
    pub port: String,
    pub path: String,
    pub interval: String,
}

/// Returns the documents of a text.
pub fn parse(text: &str) -> Vec<Object> {
    let documents = serde_yaml_ng::Deserializer::from_str(text)
        .map(|document| Value::deserialize(document).unwrap_or_else(|e| panic!("invalid YAML: {e}\n{text}")));
    documents.filter(|document| !document.is_null()).map(object).collect()
}

fn object(value: Value) -> Object {
    let version = value["apiVersion"].as_str().unwrap_or_default();
    match (version, value["kind"].as_str().unwrap_or_default()) {
        ("v1", "ConfigMap") => Object::ConfigMap(strict(&value)),
        ("batch/v1", "CronJob") => Object::CronJob(strict(&value)),
        ("apps/v1", "Deployment") => Object::Deployment(strict(&value)),
        ("networking.k8s.io/v1", "NetworkPolicy") => Object::NetworkPolicy(strict(&value)),
        ("v1", "Service") => Object::Service(strict(&value)),
        ("monitoring.coreos.com/v1", "ServiceMonitor") => Object::ServiceMonitor(strict(&value)),
        (version, kind) => panic!("{version} {kind} is not expected here"),
    }
}

fn strict<T: DeserializeOwned + Serialize>(value: &Value) -> Box<T> {
    let name = format!("{} {}", value["kind"], value["metadata"]["name"]);
    let object: T = serde_json::from_value(value.clone()).unwrap_or_else(|e| panic!("{name}: {e}"));
    let back = serde_json::to_value(&object).unwrap();
    assert_eq!(back, *value, "{name} has fields that its type does not know");
    Box::new(object)
}

impl Object {
    pub fn metadata(&self) -> &ObjectMeta {
        match self {
            Object::ConfigMap(object) => &object.metadata,
            Object::CronJob(object) => &object.metadata,
            Object::Deployment(object) => &object.metadata,
            Object::NetworkPolicy(object) => &object.metadata,
            Object::Service(object) => &object.metadata,
            Object::ServiceMonitor(object) => &object.metadata,
        }
    }

    pub fn kind(&self) -> &'static str {
        match self {
            Object::ConfigMap(_) => "ConfigMap",
            Object::CronJob(_) => "CronJob",
            Object::Deployment(_) => "Deployment",
            Object::NetworkPolicy(_) => "NetworkPolicy",
            Object::Service(_) => "Service",
            Object::ServiceMonitor(_) => "ServiceMonitor",
        }
    }

    pub fn name(&self) -> &str {
        self.metadata().name.as_deref().expect("every object has a name")
    }

    pub fn template(&self) -> Option<&PodTemplateSpec> {
        match self {
            Object::CronJob(job) => Some(&job.spec.as_ref()?.job_template.spec.as_ref()?.template),
            Object::Deployment(deployment) => Some(&deployment.spec.as_ref()?.template),
            _ => None,
        }
    }

    pub fn pod(&self) -> Option<&PodSpec> {
        self.template()?.spec.as_ref()
    }

    /// Returns the labels of the pods.
    pub fn pod_labels(&self) -> Option<&Labels> {
        self.template()?.metadata.as_ref()?.labels.as_ref()
    }
}

/// Returns whether a selector without expressions matches these labels.
pub fn selects(selector: &LabelSelector, labels: &Labels) -> bool {
    assert!(selector.match_expressions.is_none());
    selector.match_labels.iter().flatten().all(|(name, value)| labels.get(name) == Some(value))
}
