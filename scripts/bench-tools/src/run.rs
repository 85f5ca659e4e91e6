//! Measures one run of one tool.

use crate::log::{Entry, depth};
use crate::place::Registry;
use crate::proxy::Proxy;
use crate::tools::{Job, Kit, Tool};
use std::fs;
use std::io::{Error, Result};
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// The registries, behind one proxy.
pub struct Bench {
    pub kit: Kit,
    pub proxy: Arc<Proxy>,
    pub registries: [Registry; 2],
    /// The proxy's addresses, one per registry.
    pub fronts: [String; 2],
}

/// The destination of the result.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Scenario {
    /// Another, empty repository of the same registry.
    S1,
    /// Another, empty registry.
    S2,
    /// The same as S1 again, with nothing to do.
    S3,
}

/// The cost of a run.
#[derive(Clone, Copy, Default)]
pub struct Cost {
    pub seconds: f64,
    pub cpu: f64,
    /// The peak memory of the largest process in MB.
    pub rss: f64,
    pub requests: f64,
    pub depth: f64,
    /// The size of all bodies in both directions.
    pub bytes: f64,
}

/// The repository for results, which is removed before each run.
const TARGET: &str = "out/image";

impl Bench {
    pub fn start(kit: Kit) -> Result<Self> {
        let registries = [Registry::start("from")?, Registry::start("to")?];
        let proxy = Arc::new(Proxy::default());
        let mut fronts = [String::new(), String::new()];
        for (front, registry) in fronts.iter_mut().zip(&registries) {
            *front = proxy.before(registry.host.clone())?.to_string();
        }
        Ok(Bench { kit, proxy, registries, fronts })
    }

    pub fn job(&self, image: &str, platforms: usize, scenario: Scenario, options: &str) -> Job {
        let to = &self.fronts[usize::from(scenario == Scenario::S2)];
        let options = options.split_whitespace().map(|o| format!(" {o}")).collect();
        let source = format!("{}/{image}:1", self.fronts[0]);
        Job { source, target: format!("{to}/{TARGET}:1"), platforms, options }
    }

    /// Returns the medians of several runs.
    pub fn median(
        &mut self,
        tool: &Tool,
        job: &Job,
        scenario: Scenario,
        delay: u64,
        runs: usize,
    ) -> Result<Cost> {
        self.forget(scenario)?;
        if scenario == Scenario::S3 {
            self.once(tool, job, 0)?;
        }
        let mut costs = Vec::new();
        for _ in 0..runs {
            if scenario != Scenario::S3 {
                self.forget(scenario)?;
            }
            costs.push(self.once(tool, job, delay)?);
        }
        let median = |of: fn(&Cost) -> f64| {
            let mut values: Vec<f64> = costs.iter().map(of).collect();
            values.sort_by(f64::total_cmp);
            values[values.len() / 2]
        };
        Ok(Cost {
            seconds: median(|c| c.seconds),
            cpu: median(|c| c.cpu),
            rss: median(|c| c.rss),
            requests: median(|c| c.requests),
            depth: median(|c| c.depth),
            bytes: median(|c| c.bytes),
        })
    }

    fn forget(&self, scenario: Scenario) -> Result<()> {
        match scenario {
            Scenario::S1 | Scenario::S3 => self.registries[0].clear(Some(TARGET)),
            Scenario::S2 => self.registries[1].clear(None),
        }
    }

    fn once(&mut self, tool: &Tool, job: &Job, delay: u64) -> Result<Cost> {
        self.kit.prepare(tool, job)?;
        self.proxy.delay.store(delay, Ordering::Relaxed);
        self.proxy.log.take();
        let daemon = self.kit.daemon(tool);
        let before = daemon.map(daemon_cost).transpose()?;
        let mut cost = Cost::default();
        for (i, mut step) in self.kit.steps(tool, job).into_iter().enumerate() {
            let output = step.output()?;
            if !output.status.success() {
                let text = String::from_utf8_lossy(&output.stderr);
                return Err(Error::other(format!("{}: step {} failed:\n{text}", tool.name, i + 1)));
            }
            let file = fs::read_to_string(self.kit.cost(i))?;
            let numbers: Vec<f64> = file.split_whitespace().filter_map(|n| n.parse().ok()).collect();
            let [seconds, cpu, peak] = numbers[..] else {
                return Err(Error::other(format!("invalid cost file: {file}")));
            };
            cost.seconds += seconds;
            cost.cpu += cpu;
            cost.rss = cost.rss.max(peak * 1024.0 / 1e6);
        }
        if let (Some(pid), Some((cpu, _))) = (daemon, before) {
            let after = daemon_cost(pid)?;
            cost.cpu += after.0 - cpu;
            cost.rss = cost.rss.max(after.1);
        }
        let log = self.proxy.log.take();
        self.proxy.delay.store(0, Ordering::Relaxed);
        self.show(&log);
        cost.requests = log.len() as f64;
        cost.depth = depth(&log) as f64;
        cost.bytes = log.iter().map(|e| e.up + e.down).sum::<u64>() as f64;
        Ok(cost)
    }

    /// Prints every request, if BENCH_LOG is set.
    fn show(&self, log: &[Entry]) {
        if std::env::var_os("BENCH_LOG").is_none() {
            return;
        }
        let Some(zero) = log.iter().map(|e| e.start).min() else { return };
        let mut entries: Vec<&Entry> = log.iter().collect();
        entries.sort_by_key(|e| e.start);
        for e in entries {
            let at = |t: std::time::Instant| t.duration_since(zero).as_secs_f64() * 1e3;
            eprintln!(
                "{:8.1} {:8.1} {} {} up {} down {}",
                at(e.start),
                at(e.end),
                e.status,
                e.request,
                e.up,
                e.down
            );
        }
    }
}

/// Returns the CPU seconds and peak RSS in MB of an engine with its helpers (proc(5)).
fn daemon_cost(pid: u32) -> Result<(f64, f64)> {
    const TICKS: f64 = 100.0;
    let mut parents = Vec::new();
    for entry in fs::read_dir("/proc")?.flatten() {
        let Some(id) = entry.file_name().to_str().and_then(|n| n.parse::<u32>().ok()) else { continue };
        // Processes may end at any time.
        let Ok(stat) = fs::read_to_string(entry.path().join("stat")) else { continue };
        let Some((_, rest)) = stat.rsplit_once(')') else { continue };
        let fields: Vec<f64> = rest.split_whitespace().skip(1).map(|f| f.parse().unwrap_or(0.0)).collect();
        parents.push((id, fields[0] as u32, fields[10..14].iter().sum::<f64>() / TICKS));
    }
    let mut family = vec![pid];
    let mut at = 0;
    while at < family.len() {
        let parent = family[at];
        family.extend(parents.iter().filter(|p| p.1 == parent).map(|p| p.0));
        at += 1;
    }
    let cpu = parents.iter().filter(|p| family.contains(&p.0)).map(|p| p.2).sum();
    let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
    let peak = status
        .lines()
        .find_map(|l| l.strip_prefix("VmHWM:")?.trim().strip_suffix(" kB")?.parse::<f64>().ok());
    Ok((cpu, peak.unwrap_or(0.0) * 1024.0 / 1e6))
}
