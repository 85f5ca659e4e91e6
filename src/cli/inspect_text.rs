//! The text that `inspect` prints.

use crate::inspect::report::{PlatformReport, Report};
use crate::inspect::{Answer, Kind, Way, quote};
use crate::unseen::printable;

/// Formats one image, with one fact per line.
pub fn of(report: &Report) -> String {
    let name = report.image.strip_prefix("docker://").unwrap_or(&report.image);
    let mut lines = vec![printable(name), format!("  {:<9} {}", "digest", report.digest)];
    for image in &report.platforms {
        lines.push(String::new());
        let mut row = |name: &str, value: &str| lines.push(format!("  {name:<9} {}", printable(value)));
        row("platform", &image.platform);
        if report.platforms.len() > 1 {
            row("digest", &image.digest.to_string());
        }
        rows(image, &mut row);
    }
    lines.extend(report.referrers.iter().map(|r| format!("  {:<9} {}", "refers", printable(r))));
    lines.join("\n")
}

/// Adds the rows about one image: a name and a value each.
fn rows(image: &PlatformReport, row: &mut dyn FnMut(&str, &str)) {
    row("starts", &quote::command_line(&image.starts));
    row("PID 1", &pid1(image));
    row("way", &format!("{}, holds: {}", way(image), word(image.holds)));
    row(
        "orphans",
        match image.orphans_reaped {
            Answer::Yes => "are reaped",
            Answer::No => "stay as zombies",
            Answer::Depends => "are reaped in some cases",
            Answer::Unknown => "cannot tell whether they are reaped",
        },
    );
    let signal = image.stop_signal.as_deref().unwrap_or("SIGTERM");
    row(
        "stop",
        &match image.term_reaches_service {
            Answer::Yes => format!("{signal} reaches the service"),
            Answer::No => format!("{signal} does not reach the service"),
            Answer::Depends => format!("{signal} reaches the service in some cases"),
            Answer::Unknown => format!("cannot tell whether {signal} reaches the service"),
        },
    );
    for job in &image.background_jobs {
        let fate = if job.stays { "the service inherits" } else { "the script takes care of" };
        row("job", &format!("{}:{}: starts a job that {fate}", job.file, job.line));
    }
    if let Some(reaper) = &image.wrapped {
        let version = reaper.version.as_deref().unwrap_or("of another build");
        row("reaper", &format!("{version} {}", reaper.digest));
        row("wrapped", &format!("from {}", reaper.source_digest));
    }
    if !image.user.is_empty() {
        row("user", &image.user);
    }
    row("layers", &image.layers.to_string());
    for (at, evidence) in image.evidence.iter().enumerate() {
        row(if at == 0 { "because" } else { "" }, &evidence.line_for_people());
    }
    row("advice", &image.recommendation.why);
    if let Some(command) = &image.recommendation.command {
        row("", command);
    }
}

fn pid1(image: &PlatformReport) -> String {
    let pid1 = &image.pid1;
    if image.starts.is_empty() {
        return "the command given at run time".into();
    }
    if pid1.program.is_empty() {
        return "cannot tell".into();
    }
    let kind = match pid1.kind {
        Kind::Elf => "program",
        Kind::Script => "script",
        Kind::Shell => "shell",
        Kind::Unknown => "unknown kind",
    };
    let path = pid1.path.as_deref().map(|path| format!(", {path}")).unwrap_or_default();
    let layer =
        pid1.layer.map(|layer| format!(", layer {} of {}", layer + 1, image.layers)).unwrap_or_default();
    format!("{} ({kind}{path}{layer})", pid1.program)
}

fn way(image: &PlatformReport) -> String {
    match (image.way, &image.init) {
        (Way::Service, _) => "service: the service itself is PID 1".into(),
        (Way::Script, _) => "script: a start script replaces itself with the service".into(),
        (Way::Init, Some(init)) => format!("init: {}", init.name),
        (Way::Init, None) => "init".into(),
        (Way::None, _) => "none: a shell remains PID 1".into(),
        (Way::Unknown, _) => "cannot tell".into(),
    }
}

fn word(answer: Answer) -> &'static str {
    match answer {
        Answer::Yes => "yes",
        Answer::No => "no",
        Answer::Depends => "depends",
        Answer::Unknown => "cannot tell",
    }
}

/// Formats several images, with one row per platform.
pub fn table(reports: &[Report]) -> String {
    let head = ["IMAGE", "PLATFORM", "WAY", "HOLDS", "ORPHANS REAPED", "STOP ARRIVES", "ADVICE"];
    let mut rows = vec![head.map(String::from)];
    for report in reports {
        for image in &report.platforms {
            let way = serde_json::to_value(image.way).ok();
            let action = serde_json::to_value(image.recommendation.action).ok();
            let text = |value: Option<serde_json::Value>| {
                value.as_ref().and_then(serde_json::Value::as_str).unwrap_or_default().to_owned()
            };
            rows.push([
                printable(&report.image),
                image.platform.clone(),
                text(way),
                word(image.holds).into(),
                word(image.orphans_reaped).into(),
                word(image.term_reaches_service).into(),
                text(action),
            ]);
        }
    }
    let widths: Vec<usize> =
        (0..head.len()).map(|at| rows.iter().map(|row| row[at].chars().count()).max().unwrap_or(0)).collect();
    let line = |row: &[String; 7]| {
        let cells = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}"));
        cells.collect::<Vec<_>>().join("  ").trim_end().to_owned()
    };
    rows.iter().map(line).collect::<Vec<_>>().join("\n")
}
