//! Reports as text for people and as JSON.

use super::finding::{ContainerReport, Finding, Report};
use super::parse::Problem;
use super::rule::Severity;
use crate::plural::counted;
use crate::unseen::is_unseen;
use serde::Serialize;
use std::fmt::Write;

#[derive(Serialize)]
struct JsonReport<'r> {
    containers: &'r [ContainerReport],
    findings: Vec<JsonFinding<'r>>,
    problems: Vec<JsonProblem<'r>>,
}

#[derive(Serialize)]
struct JsonProblem<'r> {
    severity: &'r str,
    file: &'r str,
    line: usize,
    column: usize,
    code: &'static str,
    message: &'r str,
}

impl<'r> JsonProblem<'r> {
    fn of(problem: &'r Problem) -> JsonProblem<'r> {
        JsonProblem {
            severity: if problem.is_error { "error" } else { "warning" },
            file: &problem.file,
            line: problem.place.line,
            column: problem.place.column,
            code: problem.kind.code(),
            message: &problem.message,
        }
    }
}

#[derive(Serialize)]
struct JsonFinding<'r> {
    rule: &'r str,
    severity: Severity,
    file: &'r str,
    line: usize,
    column: usize,
    object: &'r str,
    container: Option<&'r str>,
    message: &'r str,
    fix: &'r str,
}

impl<'r> JsonFinding<'r> {
    fn of(finding: &'r Finding) -> JsonFinding<'r> {
        JsonFinding {
            rule: finding.rule.id(),
            severity: finding.severity,
            file: &finding.file,
            line: finding.place.line,
            column: finding.place.column,
            object: &finding.object,
            container: finding.container.as_deref(),
            message: &finding.message,
            fix: &finding.fix,
        }
    }
}

impl Report {
    /// Returns the report as one JSON object: `containers`, `findings` and `problems`, as `docs/pod.schema.json` describes them.
    pub fn to_json(&self) -> String {
        let findings = self.findings.iter().map(JsonFinding::of).collect();
        let problems = self.problems.iter().map(JsonProblem::of).collect();
        let report = JsonReport { containers: &self.containers, findings, problems };
        // Serialization of strings, numbers and lists cannot fail.
        serde_json::to_string_pretty(&report).unwrap_or_default() + "\n"
    }

    /// Returns the report as text for people: the findings by file, then a line of counts.
    pub fn to_text(&self) -> String {
        let mut text = String::new();
        let mut file = None;
        for finding in &self.findings {
            if file.is_some_and(|file| file != &finding.file) {
                text.push('\n');
            }
            file = Some(&finding.file);
            write_finding(&mut text, finding);
        }
        if !self.findings.is_empty() {
            text.push('\n');
        }
        let count = |severity| self.findings.iter().filter(|f| f.severity == severity).count() as u64;
        let parts = [
            counted(self.containers.len() as u64, "container"),
            counted(count(Severity::Error), "error"),
            counted(count(Severity::Warning), "warning"),
            counted(count(Severity::Note), "note"),
        ];
        text.push_str(&parts.join(", "));
        text.push('\n');
        text
    }
}

fn write_finding(text: &mut String, finding: &Finding) {
    let Finding { rule, severity, file, place, object, message, fix, .. } = finding;
    let container = finding.container.as_ref().map(|name| format!("/{name}")).unwrap_or_default();
    let line = format!(
        "{file}:{}:{}: {severity}[{rule}] {object}{container}: {message}\n    fix: {fix}\n",
        place.line, place.column
    );
    // Names come from the input; characters that do not show must not reach a terminal.
    let shown = line.chars().map(|c| if is_unseen(c) && c != '\n' { '\u{fffd}' } else { c });
    // Writing to a string cannot fail.
    let _ = write!(text, "{}", shown.collect::<String>());
}
