//! The common part of `wrap` and `unwrap`: everything except the task.

use super::archive;
use super::hints;
use super::interrupt::{self, interruptible};
use super::options::{Global, NetworkOptions, ReplaceOptions};
use super::output::{self, Console, DigestFile, DryRun, Outcome};
use super::places::{self, Logins};
use super::progress::Facts;
use crate::engine::report::Report;
use crate::engine::{BackupTag, Changes, Existing, Job, SharedState, Task};
use crate::error::{Error, Note, Remedy, Result};
use crate::image::Location;
use crate::image::media_type::Family;
use crate::places::{Places, Written, same};
use crate::stats::Stats;
use std::io::IsTerminal;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How to run a task.
#[derive(Clone, Copy, Default)]
pub struct Mode {
    pub dry_run: bool,
    pub provenance: bool,
    pub recheck: bool,
}

/// A task for one image or for several.
pub struct Transform<'a> {
    pub global: &'a Global,
    pub task: Task,
    pub mode: Mode,
    pub network: &'a NetworkOptions,
    pub logins: Logins,
    pub replace: &'a ReplaceOptions,
    pub shared_state: Arc<SharedState>,
}

/// The opened places of one image.
pub struct Opened {
    pub source: Location,
    pub destination: Location,
    pub job: Job,
    /// Whether the destination is an archive that exists.
    replaces_archive: bool,
    begun: Instant,
}

/// A completed task.
pub struct Done {
    source: Location,
    destination: Location,
    pub report: Report,
    /// What a dry run found.
    plan: Option<DryRun>,
    stats: Arc<Stats>,
    elapsed: Duration,
}

impl Transform<'_> {
    /// Opens the source and the destination of an image.
    pub async fn open(
        &self,
        places: &mut Places,
        (source, destination): (Location, Location),
        logins: Logins,
        stats: Arc<Stats>,
    ) -> Result<Opened> {
        let begun = Instant::now();
        let replaces_archive = archive::check(&destination, self.replace.force).map_err(|e| self.kept(e))?;
        // The destination is opened first, because some token servers grant only the first scope.
        let login = logins.destination;
        let place = Written { location: &destination, source: &source, login, force: self.replace.force };
        let sink = places.sink(&place, self.mode.dry_run).await.map_err(|e| self.kept(e))?;
        let existing = self.existing(places, &place).await?;
        let opened = places.source(&source, logins.source).await?;
        let job = Job {
            in_place: same(&source, &destination),
            provenance: self.mode.provenance,
            recheck: self.mode.recheck,
            referrers: self.mode.provenance || self.global.verbose > 0,
            existing,
            shared_state: self.shared_state.clone(),
            stats,
            ..Job::new(opened, sink, self.task.clone())
        };
        job.sink.inherit(job.source.names().await?);
        Ok(Opened { source, destination, job, replaces_archive, begun })
    }

    /// Fits the hint about an archive that exists: `--no-clobber` and `--force` exclude each other.
    fn kept(&self, error: Error) -> Error {
        match error.remedy() {
            Some(Remedy::ReplaceArchive) if self.replace.no_clobber => {
                error.hint("choose another name, or use --force in place of --no-clobber to replace it")
            }
            _ => error,
        }
    }

    async fn existing(&self, places: &mut Places, place: &Written<'_>) -> Result<Existing> {
        let Some(tag) = &self.replace.backup else {
            return Ok(if self.replace.no_clobber { Existing::Refuse } else { Existing::Replace });
        };
        let backup = place.location.with_tag(tag)?;
        if backup == *place.location {
            return Err(Error::usage(format!("--backup {tag}: the destination has this tag itself")));
        }
        if same(place.source, &backup) {
            return Err(Error::usage(format!("--backup {tag}: the source has this tag itself")));
        }
        let name = backup.to_string();
        let sink = places.sink(&Written { location: &backup, ..place.clone() }, false).await?;
        Ok(Existing::Keep(Arc::new(BackupTag { sink, name })))
    }

    /// Runs the task for an image.
    pub async fn run(&self, opened: &Opened) -> Result<Done> {
        let Opened { source, destination, job, begun, .. } = opened;
        let done = match self.mode.dry_run {
            true => job.dry_run().await.map(|(report, changes)| (report, Some(opened.plan(changes)))),
            false => job.run().await.map(|report| (report, None)),
        };
        let (mut report, plan) = done.map_err(|error| match error.remedy() {
            Some(Remedy::ReplaceImage) => error.context(destination),
            _ => error,
        })?;
        report.notes.extend(unseen(&report, destination));
        report.notes = report.notes.into_iter().map(hints::name_options).collect();
        Ok(Done {
            source: source.clone(),
            destination: destination.clone(),
            report,
            plan,
            stats: job.stats.clone(),
            elapsed: begun.elapsed(),
        })
    }

    /// Runs the task for one image from end to end.
    pub async fn one(
        &self,
        (source, destination): (Location, Location),
        digest_file: Option<&Path>,
        console: &Console,
    ) -> Result<()> {
        if destination.is_pipe() && !self.mode.dry_run && std::io::stdout().is_terminal() {
            return Err(Error::usage("standard output is a terminal, and the image would be written to it")
                .hint("redirect standard output to a file or a pipe"));
        }
        if destination.is_pipe() && !self.mode.dry_run {
            output::check_stdout()?;
        }
        let digest_file = DigestFile::open(digest_file.filter(|_| !self.mode.dry_run))?;
        let stats = Arc::new(Stats::default());
        interrupt::report_on(stats.clone());
        let progress = self.global.show({
            let (stats, shared_state) = (stats.clone(), self.shared_state.clone());
            move || Facts {
                blobs: shared_state.transfers().snapshot(),
                images: None,
                pulled: Stats::get(&stats.bytes_pulled),
            }
        });
        let mut places = Places::new(self.network.network(stats.clone())?);
        let opened = self.open(&mut places, (source, destination), self.logins.clone(), stats).await?;
        let done = interruptible(self.run(&opened), async || opened.job.sink.release().await).await;
        drop(progress);
        match done {
            Ok(done) => done.print(self.global, digest_file, console),
            Err(error) => {
                let error = places::explained(&places, error, &opened.source).await;
                Err(places::located(error, &opened.source, &[&opened.destination]))
            }
        }
    }
}

impl Opened {
    /// Adds to the changes of a dry run what happens to the present image.
    fn plan(&self, mut changes: Changes) -> DryRun {
        let mut would_keep_as = None;
        if let Some(write) = &mut changes.would_write {
            write.creates &= !self.replaces_archive;
            if let Existing::Keep(backup) = &self.job.existing
                && !write.creates
            {
                would_keep_as = Some(backup.name());
            }
        }
        DryRun { dry_run: true, would_keep_as, changes }
    }
}

impl Done {
    /// Returns everything to print about it.
    pub fn outcome(&self) -> Outcome<'_> {
        Outcome {
            source: &self.source,
            destination: &self.destination,
            report: &self.report,
            stats: &self.stats,
            elapsed: self.elapsed,
            plan: self.plan.as_ref(),
            is_listed: false,
        }
    }

    fn print(&self, global: &Global, digest_file: DigestFile, console: &Console) -> Result<()> {
        let outcome = self.outcome();
        outcome.print_notes(console);
        digest_file.write(&self.report.digest.to_string())?;
        outcome.print(global.output)?;
        self.report.failure.clone().map_or(Ok(()), Err)
    }
}

/// Returns a note about tools that cannot read the result at its destination.
fn unseen(report: &Report, destination: &Location) -> Option<Note> {
    let is_layout = matches!(destination, Location::Layout { .. } | Location::OciArchive { .. });
    (is_layout && report.family == Family::Docker).then(|| {
        Note::from("skopeo and umoci do not find images with Docker's media types in an OCI layout")
            .hint(Remedy::ConvertMediaTypes)
    })
}
