//! `reapify wrap --batch`: wraps a list of images, several at once. Each one succeeds or fails on its own.

use super::interrupt::interruptible;
use super::options::Format;
use super::output::{self, Console, Outcome};
use super::places::{self, Logins};
use super::progress::{Counts, Facts};
use super::suggest;
use super::transform::{Done, Transform};
use crate::engine::Sinks;
use crate::error::{Context, Error, Kind, Result};
use crate::image::Location;
use crate::image::json::to_json;
use crate::places::{Places, replaced};
use crate::plural::counted;
use crate::stats::Stats;
use futures_util::{StreamExt, stream};
use serde::Serialize;
use std::collections::{BTreeMap, HashMap};
use std::path::Path;
use std::sync::Arc;
use tokio::sync::Mutex;

/// One line of a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pair {
    source: Location,
    destination: Location,
}

/// A failed image, in JSON.
#[derive(Serialize)]
struct Failure<'a> {
    source: String,
    destination: String,
    action: &'static str,
    written: bool,
    /// The message of the error, as the outcomes of other images have it.
    reason: &'a str,
    error: &'a str,
    code: &'static str,
    hint: Option<&'a str>,
}

/// Reads a list: `SOURCE DESTINATION` per line. Blank lines and lines that begin with `#` are ignored.
///
/// # Errors
///
/// Returns an error that names the line if a line has no two names, or if two lines have the same destination.
pub fn parse(text: &str, name: &str) -> Result<Vec<Pair>> {
    let mut pairs = Vec::new();
    let mut lines: HashMap<String, usize> = HashMap::new();
    for (number, line) in (1..).zip(text.lines()) {
        let place = || format!("{name}:{number}");
        let words: Vec<&str> = line.split_whitespace().collect();
        let pair = match words[..] {
            [] => continue,
            [first, ..] if first.starts_with('#') => continue,
            [source, destination] => {
                let source = suggest::location(source).context(place)?;
                Pair { source, destination: suggest::destination(destination).context(place)? }
            }
            _ => {
                return Err(Error::usage(format!("{}: invalid line {line:?}", place()))
                    .hint("write the source and the destination, separated by a space"));
            }
        };
        if pair.source.is_pipe() || pair.destination.is_pipe() {
            return Err(Error::usage(format!("{}: a list cannot use standard input or output", place())));
        }
        if let Some(first) = lines.insert(replaced(&pair.destination), number) {
            let destination = &pair.destination;
            return Err(Error::usage(format!(
                "{}: line {first} also has the destination {destination}",
                place()
            )));
        }
        pairs.push(pair);
    }
    Ok(pairs)
}

/// Returns whether a list comes from standard input.
pub fn is_stdin(file: &Path) -> bool {
    file.as_os_str() == "-"
}

/// Reads a list from a file, or from standard input if the file is `-`.
pub fn read(file: &Path) -> Result<Vec<Pair>> {
    let name = file.display().to_string();
    let text = match is_stdin(file) {
        true => std::io::read_to_string(std::io::stdin()).context(|| "standard input")?,
        false => {
            std::fs::read_to_string(file).map_err(|e| Error::usage(format!("cannot read {name}: {e}")))?
        }
    };
    parse(&text, &name)
}

/// Runs the task for all images, `parallel` at once.
pub async fn run(
    transform: &Transform<'_>,
    pairs: Vec<Pair>,
    parallel: usize,
    console: &Console,
) -> Result<()> {
    let logins = &transform.logins;
    places::for_one_host(logins.source.as_ref(), pairs.iter().map(|pair| &pair.source))?;
    places::for_one_host(logins.destination.as_ref(), pairs.iter().map(|pair| &pair.destination))?;
    let (counts, sinks) = (Arc::new(Counts::default()), Sinks::default());
    let places = Mutex::new(Places::new(transform.network.network(Arc::default())?));
    let all = pairs.len() as u64;
    let progress = transform.global.show({
        let (counts, shared_state) = (counts.clone(), transform.shared_state.clone());
        move || Facts {
            blobs: shared_state.transfers().snapshot(),
            images: Some(counts.images(Some(all))),
            pulled: 0,
        }
    });
    let mut may_recover = false;
    let mut actions: BTreeMap<String, u64> = BTreeMap::new();
    let work = async {
        let one = async |pair: Pair| (one(transform, &places, &sinks, &pair).await, pair);
        let mut running = stream::iter(pairs.into_iter().map(one)).buffer_unordered(parallel.max(1));
        while let Some((outcome, pair)) = running.next().await {
            let failure = match outcome {
                Ok(done) => {
                    *actions.entry(done.report.action.to_string()).or_default() += 1;
                    let outcome = Outcome { is_listed: true, ..done.outcome() };
                    outcome.print_notes(&console.about(&pair.source.to_string()));
                    outcome.print(transform.global.output)?;
                    done.report.failure.clone()
                }
                Err(error) => Some(error),
            };
            counts.add(failure.is_some());
            if let Some(error) = failure {
                may_recover |= error.kind() == Kind::Network;
                fail(&pair, &error, transform.global.output, console)?;
            }
        }
        Ok(())
    };
    let outcome = interruptible(work, async || sinks.release().await).await;
    drop(progress);
    let failed = counts.failed();
    let done: Vec<String> = actions.iter().map(|(action, count)| format!(", {count} {action}")).collect();
    let failures = if failed > 0 { format!(", {failed} failed") } else { String::new() };
    console.note(&format!("{}{}{failures}", counted(all, "image"), done.concat()));
    outcome?;
    if failed == 0 { Ok(()) } else { Err(partial(failed, all, may_recover, transform.mode.dry_run)) }
}

/// Returns the error for a list of which some images failed. `may_recover` states that a second try may help.
fn partial(failed: u64, all: u64, may_recover: bool, dry_run: bool) -> Error {
    let hint = match (failed < all && !dry_run, may_recover) {
        (true, true) => "the other images are done; run the command again to retry the failed ones",
        (true, false) => "the other images are done; correct the errors, then run the command again",
        (false, true) => "run the command again to retry",
        (false, false) => "correct the errors, then run the command again",
    };
    Error::new(Kind::Partial, format!("{failed} of {} failed", counted(all, "image"))).hint(hint)
}

async fn one(transform: &Transform<'_>, places: &Mutex<Places>, sinks: &Sinks, pair: &Pair) -> Result<Done> {
    let (source, destination) = (pair.source.clone(), pair.destination.clone());
    let done = async {
        let stats = Arc::new(Stats::default());
        let (mut own, logins) = {
            let (mut shared, given) = (places.lock().await, transform.logins.clone());
            let logins = Logins {
                destination: shared.prepare(&destination, given.destination).await?,
                source: shared.prepare(&source, given.source).await?,
            };
            (shared.fork(stats.clone()), logins)
        };
        let opened = transform.open(&mut own, (source, destination), logins, stats).await?;
        let _guest = sinks.enter(opened.job.sink.clone());
        transform.run(&opened).await
    };
    match done.await {
        Ok(done) => Ok(done),
        Err(error) => {
            // A listing of tags must not hold up the other images.
            let own = places.lock().await.fork(Arc::default());
            let error = places::explained(&own, error, &pair.source).await;
            Err(places::located(error, &pair.source, &[&pair.destination]))
        }
    }
}

/// Prints why an image failed.
fn fail(pair: &Pair, error: &Error, format: Format, console: &Console) -> Result<()> {
    if format != Format::Json {
        console.error(error, None);
        return Ok(());
    }
    let hint = error.remedy().map(super::hints::hint);
    let message = error.to_string();
    output::json(
        &to_json(&Failure {
            source: pair.source.to_string(),
            destination: pair.destination.to_string(),
            action: "failed",
            written: false,
            reason: &message,
            error: &message,
            code: error.kind().code(),
            hint: hint.as_deref(),
        })?,
        false,
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_pairs_and_ignores_comments() {
        let pairs = parse("# images\n\nh.example/a:1  h.example/b:1\n\toci:x oci:y:1 \r\n", "list").unwrap();
        let names: Vec<String> =
            pairs.iter().map(|pair| format!("{} {}", pair.source, pair.destination)).collect();
        assert_eq!(names, ["h.example/a:1 h.example/b:1", "oci:x oci:y:1"]);
    }

    #[test]
    fn a_dry_run_does_not_say_that_images_are_done() {
        let hint = |dry_run: bool| partial(1, 2, false, dry_run).remedy().unwrap().to_string();
        assert_eq!(hint(false), "the other images are done; correct the errors, then run the command again");
        assert_eq!(hint(true), "correct the errors, then run the command again");
    }

    #[test]
    fn errors_name_the_line() {
        for (text, expected) in [
            ("h.example/a:1", "list:1: invalid line"),
            ("\nh.example/a:1 h.example/b:1 h.example/c:1", "list:2: invalid line"),
            ("h.example/a:1 h.example/UP:1", "list:1: "),
            ("h.example/a:1 h.example/b@sha256:12", "list:1: "),
            (
                "h.example/a:1 h.example/b:1\nh.example/c:1 docker://h.example/b:1",
                "list:2: line 1 also has the destination h.example/b:1",
            ),
            ("oci:x oci-archive:a.tar\noci:y oci-archive:./a.tar", "list:2: line 1 also has the destination"),
            ("oci:x oci-archive:a.tar:v1\noci:y docker-archive:a.tar", "list:2: line 1 also has"),
            ("oci:x oci:none/../z:1\noci:y oci:z:1", "list:2: line 1 also has"),
            ("docker-archive:- h.example/b:1", "standard input"),
        ] {
            let error = parse(text, "list").unwrap_err();
            assert_eq!(error.kind(), Kind::Usage, "{text}");
            assert!(error.to_string().contains(expected), "{error}");
        }
    }
}
