//! `front UPSTREAM…`: a counting and delaying proxy in front of each registry. Prints one address per line, and
//! then obeys the lines of standard input until its end:
//!
//! - `delay MS`: delays every request from now on;
//! - `take`: prints one JSON object per registry and line, with the counts of `METHOD kind status` since the last call.

// The other program uses the rest of these modules.
#[allow(dead_code)]
#[path = "../http.rs"]
mod http;
#[allow(dead_code)]
#[path = "../log.rs"]
mod log;
#[path = "../proxy.rs"]
mod proxy;
#[path = "../sys.rs"]
mod sys;

use log::Entry;
use proxy::Proxy;
use std::collections::BTreeMap;
use std::io::{Error, Result, Write};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::Ordering;

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("front: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<()> {
    let mut out = std::io::stdout();
    let mut proxies = Vec::new();
    for upstream in std::env::args().skip(1) {
        let proxy = Arc::new(Proxy::default());
        writeln!(out, "{}", proxy.before(upstream)?)?;
        proxies.push(proxy);
    }
    for line in std::io::stdin().lines() {
        let line = line?;
        match line.split_once(' ').unwrap_or((&line, "")) {
            ("delay", ms) => {
                let ms = ms.parse().map_err(|_| Error::other("delay takes a number"))?;
                proxies.iter().for_each(|proxy| proxy.delay.store(ms, Ordering::Relaxed));
            }
            ("take", "") => {
                for proxy in &proxies {
                    writeln!(out, "{}", counts(&proxy.log.take()))?;
                }
            }
            _ => return Err(Error::other(format!("unknown command {line:?}"))),
        }
    }
    Ok(())
}

fn counts(entries: &[Entry]) -> String {
    let mut counts = BTreeMap::<String, usize>::new();
    for entry in entries {
        let (method, target) = entry.request.split_once(' ').unwrap_or_default();
        // Known words and digits, which JSON need not escape.
        let method = method.chars().filter(char::is_ascii_uppercase).collect::<String>();
        let status = entry.status.chars().filter(char::is_ascii_digit).collect::<String>();
        *counts.entry(format!("{method} {} {status}", kind(target))).or_default() += 1;
    }
    let pairs: Vec<String> = counts.iter().map(|(name, count)| format!("\"{name}\":{count}")).collect();
    format!("{{{}}}", pairs.join(","))
}

fn kind(target: &str) -> &'static str {
    let path = target.split('?').next().unwrap_or_default();
    match path {
        "/v2/" => "ping",
        "/v2/_catalog" => "catalog",
        _ if path.ends_with("/tags/list") => "tags",
        _ if path.contains("/blobs/uploads/") => "upload",
        _ if path.contains("/blobs/") => "blob",
        _ if path.contains("/manifests/") => "manifest",
        _ => "other",
    }
}
