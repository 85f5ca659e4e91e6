//! Inspection of one image: its config, and its layers as far as the answer needs them.

use super::files::{FileFacts, Files, Found};
use super::judge::{Step, judge};
use super::layered::Layered;
use super::start::Start;
use super::verdict::{Action, Evidence, Recommendation, Verdict};
use crate::error::{Kind as ErrorKind, Result};
use crate::image::{Digest, ImageConfig, Platform, StatedPlatform};
use crate::layers::marks::{Mark, Marks};
use crate::layers::{self, Head, Layers, View};
use crate::read::machine;
use crate::reapers::Reapers;
use crate::rewrite::record::{Record, RecordState};
use crate::rewrite::{self, Decision, Image, Policy};
use std::collections::BTreeSet;
use std::sync::Arc;

/// The maximum number of times that files are requested from the layers. Each request answers a question about one
/// program or script; real images need fewer than ten.
const MAX_ROUNDS: usize = 64;

/// The findings about one image.
#[derive(Debug, Clone)]
pub struct Findings {
    /// The platform.
    pub platform: StatedPlatform,
    /// The digest by which the location knows the image.
    pub digest: Digest,
    /// The verdict on how it starts.
    pub verdict: Verdict,
    /// The reason why wrap would add no reaper, if it would not.
    pub refusal: Option<String>,
    /// The record, if it is valid.
    pub record: Option<Record>,
    /// The version of the reaper, if it is one of the built-in ones.
    pub reaper_version: Option<String>,
    /// The number of layers.
    pub layers: usize,
    /// `User`.
    pub user: Option<String>,
    /// `StopSignal`.
    pub stop_signal: Option<String>,
}

/// Inspects an image: its config, and, with `layers`, its layers as far as the answer needs them. `listed` is the
/// platform that an index states for the image.
pub async fn look(
    image: &Image,
    listed: Option<&StatedPlatform>,
    reapers: &Reapers,
    layers: Option<&mut Layers>,
) -> Result<Findings> {
    let config = &image.config;
    let record = match image.record() {
        RecordState::Valid(original) => Some(original.record),
        RecordState::Stale { .. } | RecordState::Absent => None,
    };
    let platform = machine::stated(image, listed);
    let start = start(config, platform.as_ref());
    let verdict = match layers {
        _ if platform.as_ref().is_some_and(|platform| platform.os != "linux") => elsewhere(&start)?,
        None => shallow(&start, record.as_ref())?,
        Some(layers) => match layered(&start, layers).await {
            // Engines could not unpack these layers either, or fetch them from elsewhere.
            Err(error) if error.kind() == ErrorKind::Unsupported => {
                let mut verdict = shallow(&start, record.as_ref())?;
                let what = format!("the layers cannot be read: {error}");
                verdict.evidence.push(Evidence { file: None, line: None, layer: None, what });
                verdict
            }
            verdict => {
                let mut verdict = verdict?;
                verdict.evidence.extend(program(&verdict, platform.as_ref(), layers.view()));
                verdict
            }
        },
    };
    let reaper_version =
        record.as_ref().and_then(|r| reapers.all().find(|known| known.digest == r.reaper)?.version());
    Ok(Findings {
        refusal: refusal(image, platform.as_ref(), reapers),
        platform: platform.map_or_else(|| config.platform.clone(), Into::into),
        digest: image.id().clone(),
        verdict,
        record,
        reaper_version,
        layers: config.diff_ids.len(),
        user: config.user.clone(),
        stop_signal: config.stop_signal.clone(),
    })
}

/// Returns the reason why wrap would not change an image, if it would not.
fn refusal(image: &Image, platform: Option<&Platform>, reapers: &Reapers) -> Option<String> {
    let Some(platform) = platform else { return Some("its platform is unknown".into()) };
    match rewrite::decide(image, platform, reapers, &Policy::default()) {
        Ok(Decision::Wrap(_) | Decision::Upgrade(..)) => None,
        Ok(Decision::Keep(_)) => Some("it is wrapped already".into()),
        Ok(Decision::Skip { reason, .. }) => Some(reason),
        Err(error) => Some(error.to_string()),
    }
}

/// Judges an image for another system than Linux, where PID 1 is a process like others.
fn elsewhere(start: &Start) -> Result<Verdict> {
    let why = "only Linux has a PID 1 that adopts orphans and that signals do not end by default";
    let evidence = vec![Evidence { file: None, line: None, layer: None, what: why.into() }];
    let recommendation = Recommendation { action: Action::Leave, why: "the image is not for Linux".into() };
    Ok(Verdict { evidence, recommendation, ..shallow(start, None)? })
}

/// Returns the parts of a config that determine how its image starts.
pub fn start(config: &ImageConfig, platform: Option<&Platform>) -> Start {
    Start {
        entrypoint: config.entrypoint.clone(),
        cmd: config.cmd.clone(),
        env: config.env.clone(),
        working_dir: Some(config.working_dir.clone()),
        user: config.user.clone(),
        stop_signal: config.stop_signal.clone(),
        architecture: platform.map(|platform| platform.architecture.clone()),
    }
}

/// Describes the program's headers, if they say more than the platform.
fn program(verdict: &Verdict, platform: Option<&Platform>, view: &View) -> Option<Evidence> {
    let path = verdict.pid1.path.as_deref()?;
    let layers::Found::File(_, file) = view.find(path) else { return None };
    let Head::Program { machine, loader } = &file.head else { return None };
    let linked = match loader {
        Some(loader) => format!("dynamically linked, started by {loader}"),
        None => "statically linked".into(),
    };
    let language = if file.marks.has(Mark::Go) { "a Go program, " } else { "" };
    let machine = match (machine, platform) {
        (Some(machine), Some(platform)) if *machine != platform.architecture => {
            format!(", for {machine}, although the image is for {platform}")
        }
        _ => String::new(),
    };
    let what = format!("{language}{linked}{machine}");
    Some(Evidence { file: Some(path.to_owned()), line: None, layer: verdict.pid1.layer, what })
}

/// Judges an image with the files of its layers.
pub async fn layered(start: &Start, layers: &mut Layers) -> Result<Verdict> {
    let mut asked = BTreeSet::new();
    for _ in 0..MAX_ROUNDS {
        let step = judge(start, &Layered::new(layers.view(), layers.len(), &asked))?;
        match step {
            Step::Done(verdict) => return Ok(*verdict),
            Step::Wants(paths) => {
                asked.extend(layers.fetch(paths.into_iter().collect()).await?);
            }
        }
    }
    shallow(start, None)
}

/// Judges an image by its config alone, and by the record in it.
fn shallow(start: &Start, record: Option<&Record>) -> Result<Verdict> {
    match judge(start, &RecordedReaper(record))? {
        Step::Done(verdict) => Ok(*verdict),
        Step::Wants(_) => unreachable!("no file is ever unread"),
    }
}

/// The only file that a record describes: the reaper.
struct RecordedReaper<'a>(Option<&'a Record>);

impl Files for RecordedReaper<'_> {
    fn find(&self, path: &str) -> Found {
        match self.0.filter(|record| record.path.as_str() == path) {
            None => Found::Unknown,
            Some(record) => {
                let mut marks = Marks::default();
                marks.insert(Mark::Reapify);
                Found::File(FileFacts {
                    path: record.path.to_string(),
                    layer: None,
                    is_executable: true,
                    size: 4,
                    is_read: true,
                    head: Arc::from(&b"\x7fELF"[..]),
                    marks,
                })
            }
        }
    }
}
