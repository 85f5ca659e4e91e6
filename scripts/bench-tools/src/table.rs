//! The cases, their limits, and the table.

use crate::run::{Cost, Scenario};
use std::fmt::Write;

/// A row of the table for each tool.
pub struct Case {
    pub image: &'static str,
    pub scenario: Scenario,
    pub delay: u64,
    /// The limits for reapify.
    pub must: Must,
}

/// Upper limits; infinite if there is none.
#[derive(Clone, Copy)]
pub struct Must {
    pub seconds: f64,
    pub requests: f64,
    pub depth: f64,
    pub bytes: f64,
    pub cpu: f64,
    pub rss: f64,
    /// The time relative to another tool's in the same run.
    pub share: Option<(&'static str, f64)>,
}

const ANY: Must = Must {
    seconds: f64::INFINITY,
    requests: f64::INFINITY,
    depth: f64::INFINITY,
    bytes: f64::INFINITY,
    cpu: f64::INFINITY,
    rss: f64::INFINITY,
    share: None,
};

/// Returns the limits for N layers: N mounts, reads of two manifests and a config, two uploads with two requests each, and
/// a manifest.
const fn wire(seconds: f64, layers: usize, bytes: f64) -> Must {
    Must { seconds, requests: (layers + 8) as f64, depth: 4.0, bytes, ..ANY }
}

/// The bytes of S1: the reaper's layer, and manifest and config there and back.
pub const CASES: [Case; 10] = [
    Case { image: "small", scenario: Scenario::S1, delay: 25, must: wire(0.2, 1, 20e3) },
    Case { image: "typical", scenario: Scenario::S1, delay: 25, must: wire(0.2, 10, 25e3) },
    Case { image: "many", scenario: Scenario::S1, delay: 25, must: wire(0.6, 100, 80e3) },
    Case {
        image: "multi",
        scenario: Scenario::S1,
        delay: 25,
        // Both indexes; per platform a manifest, a config, five mounts, two uploads and a manifest; the index.
        must: Must { depth: f64::INFINITY, ..wire(0.6, 99 - 8, 200e3) },
    },
    Case {
        image: "typical",
        scenario: Scenario::S2,
        delay: 25,
        must: Must { seconds: 1.0, rss: 16.0, ..ANY },
    },
    Case {
        image: "typical",
        scenario: Scenario::S3,
        delay: 25,
        must: Must { seconds: 0.08, requests: 2.0, depth: 1.0, ..ANY },
    },
    Case { image: "typical", scenario: Scenario::S1, delay: 0, must: Must { cpu: 0.03, ..ANY } },
    Case {
        image: "typical",
        scenario: Scenario::S2,
        delay: 0,
        must: Must { seconds: 0.9, cpu: 0.4, rss: 16.0, ..ANY },
    },
    Case {
        image: "big",
        scenario: Scenario::S1,
        delay: 0,
        must: Must { seconds: 0.04, requests: 13.0, ..ANY },
    },
    Case {
        image: "big",
        scenario: Scenario::S2,
        delay: 0,
        must: Must { cpu: 2.2, rss: 16.0, share: Some(("crane", 1.0)), ..ANY },
    },
];

impl Case {
    pub fn scenario(&self) -> &'static str {
        match self.scenario {
            Scenario::S1 => "S1",
            Scenario::S2 => "S2",
            Scenario::S3 => "S3",
        }
    }

    /// Returns each limit with its verdict, as text: `≤ 18 requests`.
    fn verdicts(&self, costs: &[(&str, Cost)]) -> Vec<(String, bool)> {
        let ours = costs[0].1;
        let must = self.must;
        let mut bounds = vec![
            (ours.seconds, must.seconds, 1.0, " s"),
            (ours.requests, must.requests, 1.0, " requests"),
            (ours.depth, must.depth, 1.0, " deep"),
            (ours.bytes, must.bytes, 1e3, " kB"),
            (ours.cpu, must.cpu, 1.0, " s CPU"),
            (ours.rss, must.rss, 1.0, " MB"),
        ];
        let other = must.share.and_then(|(name, share)| Some((costs.iter().find(|c| c.0 == name)?.1, share)));
        let theirs = must.share.map(|(name, share)| format!(" s ({share} × {name})")).unwrap_or_default();
        if let Some((other, share)) = other {
            bounds.push((ours.seconds, other.seconds * share, 1.0, &theirs));
        }
        let bounded = bounds.into_iter().filter(|b| b.1.is_finite());
        bounded.map(|(is, most, unit, what)| (format!("≤ {}{what}", most / unit), is <= most)).collect()
    }
}

/// Returns the table as text.
pub fn text(results: &[(&Case, Vec<(&str, Cost)>)]) -> String {
    let mut out = format!(
        "{:<8}{:<4}{:>3}  {:<13}{:>7}{:>7}{:>10}{:>7}{:>10}{:>8}{:>7}{:>8}{:>7}  {}\n",
        "image", "to", "ms", "tool", "s", "×", "requests", "depth", "kB", "CPU s", "×", "RSS MB", "×", "must"
    );
    let mut missed = 0;
    for (case, costs) in results {
        let ours = costs[0].1;
        for (i, (tool, cost)) in costs.iter().enumerate() {
            let verdicts: Vec<String> = match i {
                0 => {
                    let verdicts = case.verdicts(costs).into_iter();
                    verdicts
                        .map(|(text, holds)| match holds {
                            true => format!("{text} pass"),
                            false => {
                                missed += 1;
                                format!("{text} MISS")
                            }
                        })
                        .collect()
                }
                _ => Vec::new(),
            };
            let line = writeln!(
                out,
                "{:<8}{:<4}{:>3}  {tool:<13}{:>7.3}{:>7.2}{:>10}{:>7}{:>10.1}{:>8.3}{:>7.1}{:>8.1}{:>7.2}  {}",
                case.image,
                case.scenario(),
                case.delay,
                cost.seconds,
                cost.seconds / ours.seconds,
                cost.requests,
                if case.delay > 0 { cost.depth.to_string() } else { "·".into() },
                cost.bytes / 1e3,
                cost.cpu,
                cost.cpu / ours.cpu,
                cost.rss,
                cost.rss / ours.rss,
                verdicts.join(", ")
            );
            line.unwrap_or_default();
        }
    }
    let _ = writeln!(
        out,
        "\nMedians; × is the ratio to reapify in this run; depth: requests that waited for one another. {missed} missed."
    );
    out
}

/// Returns the table as JSON.
pub fn json(results: &[(&Case, Vec<(&str, Cost)>)]) -> String {
    let mut rows = Vec::new();
    for (case, costs) in results {
        for (i, (tool, cost)) in costs.iter().enumerate() {
            let verdicts = if i == 0 { case.verdicts(costs) } else { Vec::new() };
            let must: Vec<String> = verdicts
                .iter()
                .map(|(text, holds)| format!(r#"{{"must":"{text}","pass":{holds}}}"#))
                .collect();
            rows.push(format!(
                r#"{{"image":"{}","scenario":"{}","delay_ms":{},"tool":"{tool}","seconds":{:.6},"requests":{},"depth":{},"bytes":{},"cpu_seconds":{:.6},"rss_mb":{:.3},"musts":[{}]}}"#,
                case.image,
                case.scenario(),
                case.delay,
                cost.seconds,
                cost.requests,
                cost.depth,
                cost.bytes,
                cost.cpu,
                cost.rss,
                must.join(",")
            ));
        }
    }
    format!("[{}]\n", rows.join(",\n"))
}
