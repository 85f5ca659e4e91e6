//! Rules about probes, hooks and the time that stopping takes.

use super::command::{Answer, Commands, Question, Start};
use super::finding::Findings;
use super::judge::{JudgedContainer, JudgedPod, Namespace};
use super::programs::{self, file_name};
use super::rule::{Rule, Severity};
use super::shell;
use super::tree::Place;
use super::words::{WordsOnly, milliseconds};

/// The default grace of a reaper, in milliseconds.
const DEFAULT_GRACE: u64 = 3000;

/// Checks probes, hooks and grace periods.
pub(crate) fn check(pod: &JudgedPod<'_, '_>, findings: &mut Findings<'_>) {
    if pod.pod.is_windows() {
        return;
    }
    for judged in pod.containers.iter().filter(|judged| judged.is_plain()) {
        probes(judged, findings);
        if judged.container.is_long_running() {
            grace(pod, judged, findings);
        }
    }
}

fn probes(judged: &JudgedContainer<'_, '_>, findings: &mut Findings<'_>) {
    let reaped = match judged.orphans_reaped() {
        _ if judged.namespace != Namespace::Own => return,
        Answer::No => "does not reap them",
        Answer::Depends => "may not reap them",
        Answer::Yes | Answer::Unknown => return,
    };
    for (field, key, words) in judged.container.exec_commands() {
        let (severity, what) = match leaves_orphans(&words) {
            Answer::No => continue,
            Answer::Yes if judged.orphans_reaped() == Answer::No => {
                (Severity::Warning, "leaves children behind")
            }
            _ => (Severity::Note, "may leave children behind"),
        };
        findings.add_as(
            Rule::ExecProbeLeavesOrphans,
            severity,
            key.place(),
            Some(&judged.container.name),
            format!("{field} runs a command that {what} when its timeout expires, and PID 1 {reaped}"),
            "put a reaper into the image, for example with `reapify wrap`, or let the command `exec` its only program",
        );
    }
}

/// Returns whether a command leaves children when it is killed.
fn leaves_orphans(words: &[String]) -> Answer {
    let Some(program) = words.first() else { return Answer::No };
    let name = file_name(program);
    if programs::shell(program).is_none() {
        return if programs::is_leaf(name) { Answer::No } else { Answer::Depends };
    }
    let judged =
        WordsOnly.judge(&Question { facts: None, command: Some(words), args: None, env: &[], files: &[] });
    let text = words.iter().skip(1).find(|word| !word.starts_with('-'));
    let commands = text.map(|text| shell::commands(text)).unwrap_or_default();
    let is_external = |c: &shell::Command| {
        !c.is_compound && c.name().is_some_and(|w| !programs::is_builtin(&w.text) && w.text != "exec")
    };
    let external = commands.iter().filter(|c| is_external(c)).count();
    match judged.start {
        Start::Script | Start::Init | Start::Service if external <= 1 && commands.len() == 1 => Answer::No,
        _ if external == 0 && commands.iter().all(|c| !c.words.iter().any(|w| w.is_computed)) => Answer::No,
        _ => Answer::Yes,
    }
}

fn grace(pod: &JudgedPod<'_, '_>, judged: &JudgedContainer<'_, '_>, findings: &mut Findings<'_>) {
    let Some((grace, place, source)) = reaper_grace(judged) else { return };
    let Some(period) = pod.pod.grace_period().and_then(|p| u64::try_from(p).ok()) else { return };
    let hook = pre_stop(judged);
    let (total, period) = (grace.saturating_add(hook), period.saturating_mul(1000));
    if grace == 0 || total < period {
        return;
    }
    let severity = if total > period { Severity::Warning } else { Severity::Note };
    let hook = match hook {
        0 => String::new(),
        hook => format!(" after {} of preStop", seconds(hook)),
    };
    findings.add_as(
        Rule::GraceExceedsTermination,
        severity,
        place,
        Some(&judged.container.name),
        format!(
            "the reaper gives processes {} ({source}){hook}, but the pod is killed after {}",
            seconds(grace),
            seconds(period)
        ),
        "raise terminationGracePeriodSeconds above the sum of preStop and grace, or lower the grace",
    );
}

fn seconds(milliseconds: u64) -> String {
    match milliseconds % 1000 {
        0 => format!("{} s", milliseconds / 1000),
        rest => format!("{}.{:03} s", milliseconds / 1000, rest),
    }
}

/// Returns the grace of the container's reaper, with its place and origin; `None` without a reaper.
fn reaper_grace(judged: &JudgedContainer<'_, '_>) -> Option<(u64, Place, &'static str)> {
    let container = &judged.container;
    let reaper = judged.judgement.init.as_ref().filter(|init| init.is_reaper);
    if let Some(grace) = reaper.and_then(|init| init.grace_ms) {
        return Some((grace, container.command_place(), "-t"));
    }
    let variable = container.view.get("env").and_then(|env| {
        env.items().filter(|item| item.get("name").and_then(|n| n.text()) == Some("REAPER_GRACE")).last()
    });
    if let (Some(item), Some(value)) = (variable, container.variable("REAPER_GRACE")) {
        return Some((milliseconds(value)?, item.place(), "REAPER_GRACE"));
    }
    let is_wrapped =
        judged.facts.is_some_and(|facts| facts.is_wrapped) && judged.judgement.start == Start::Init;
    (reaper.is_some() || is_wrapped).then(|| (DEFAULT_GRACE, container.command_place(), "the default"))
}

/// Returns the minimum duration of the preStop hook, in milliseconds: its own `sleep`, and the sleeps in its command.
fn pre_stop(judged: &JudgedContainer<'_, '_>) -> u64 {
    let hook = judged.container.view.at(&["lifecycle", "preStop"]);
    let fixed = hook.and_then(|hook| hook.at(&["sleep", "seconds"])).and_then(|s| s.number());
    let fixed = fixed.and_then(|s| u64::try_from(s).ok()).unwrap_or_default().saturating_mul(1000);
    let hooks = judged.container.exec_commands();
    let words = hooks.iter().find(|(field, ..)| *field == "preStop").map(|(_, _, words)| words.as_slice());
    let slept = match words {
        Some([program, rest @ ..]) if file_name(program) == "sleep" => {
            sleep_time(rest.first().map(String::as_str))
        }
        Some([program, rest @ ..]) if programs::shell(program).is_some() => {
            let text = rest.iter().find(|word| !word.starts_with('-'));
            let commands = text.map(|text| shell::commands(text)).unwrap_or_default();
            let sleeps = commands.iter().filter(|c| c.depth == 0 && !c.is_in_subshell());
            sleeps
                .filter_map(|c| {
                    let at = usize::from(c.executes());
                    let name = file_name(&c.words.get(at)?.text);
                    (name == "sleep").then(|| sleep_time(c.words.get(at + 1).map(|w| w.text.as_str())))
                })
                .fold(0, u64::saturating_add)
        }
        _ => 0,
    };
    fixed.saturating_add(slept)
}

/// Returns the argument of `sleep`, in milliseconds.
fn sleep_time(text: Option<&str>) -> u64 {
    let text = text.unwrap_or_default();
    let (number, unit) = match text.strip_suffix(['s', 'm', 'h']) {
        Some(number) => (number, text.chars().next_back()),
        None => (text, None),
    };
    let factor = match unit {
        Some('m') => 60,
        Some('h') => 3600,
        _ => 1,
    };
    milliseconds(number).unwrap_or_default().saturating_mul(factor)
}
