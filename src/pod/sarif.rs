//! Reports as SARIF 2.1.0, for code scanning.

use super::finding::{Finding, Report};
use super::parse::Problem;
use super::rule::Rule;
use super::tree::Place;
use serde_json::{Value, json};

const SCHEMA: &str = "https://json.schemastore.org/sarif-2.1.0.json";

impl Report {
    /// Returns the report as SARIF 2.1.0. `version` and `home` are those of the program that writes it.
    pub fn to_sarif(&self, version: &str, home: &str) -> String {
        let rules: Vec<Value> = Rule::ALL.into_iter().map(|rule| describe(rule, home)).collect();
        let results: Vec<Value> = self.findings.iter().map(result).collect();
        let notifications: Vec<Value> = self.problems.iter().map(notification).collect();
        let is_complete = !self.problems.iter().any(|problem| problem.is_error);
        let log = json!({
            "$schema": SCHEMA,
            "version": "2.1.0",
            "runs": [{
                "tool": { "driver": {
                    "name": "reapify",
                    "version": version,
                    "informationUri": home,
                    "rules": rules,
                } },
                "invocations": [{
                    "executionSuccessful": is_complete,
                    "toolExecutionNotifications": notifications,
                }],
                "columnKind": "unicodeCodePoints",
                "results": results,
            }],
        });
        format!("{log:#}\n")
    }
}

fn describe(rule: Rule, home: &str) -> Value {
    json!({
        "id": rule.id(),
        "shortDescription": { "text": rule.summary() },
        "fullDescription": { "text": rule.summary() },
        "helpUri": format!("{home}/blob/main/docs/pod-rules.md#{}", rule.id()),
        "defaultConfiguration": { "level": rule.severity().to_string() },
    })
}

fn result(finding: &Finding) -> Value {
    let name = match &finding.container {
        Some(container) => format!("{}/{container}", finding.object),
        None => finding.object.clone(),
    };
    json!({
        "ruleId": finding.rule.id(),
        "ruleIndex": Rule::ALL.iter().position(|rule| *rule == finding.rule),
        "level": finding.severity.to_string(),
        "message": { "text": format!("{name}: {}. Fix: {}.", finding.message, finding.fix) },
        "locations": [{
            "physicalLocation": physical(&finding.file, finding.place),
            "logicalLocations": [{ "fullyQualifiedName": name, "kind": "resource" }],
        }],
    })
}

fn notification(problem: &Problem) -> Value {
    json!({
        "level": if problem.is_error { "error" } else { "warning" },
        "message": { "text": problem.message },
        "locations": [{ "physicalLocation": physical(&problem.file, problem.place) }],
    })
}

fn physical(file: &str, place: Place) -> Value {
    json!({
        "artifactLocation": { "uri": relative_uri(file) },
        "region": { "startLine": place.line, "startColumn": place.column },
    })
}

/// Returns a path as a relative reference: without a root, percent-encoded.
fn relative_uri(path: &str) -> String {
    let path = path.trim_start_matches("./").trim_start_matches('/');
    let mut uri = String::with_capacity(path.len());
    for byte in path.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' | b'/' => {
                uri.push(byte.into())
            }
            _ => uri.push_str(&format!("%{byte:02X}")),
        }
    }
    uri
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn makes_paths_relative_and_encodes_them() {
        assert_eq!(relative_uri("./a b/c.yaml"), "a%20b/c.yaml");
        assert_eq!(relative_uri("/srv/x:y.yaml"), "srv/x%3Ay.yaml");
    }
}
