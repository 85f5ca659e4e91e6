//! `reapify pod`

use super::interrupt::interruptible;
use super::options::{Format, Global, SourceOptions};
use super::output::{Console, json, result};
use super::places;
use super::pod_files::{self, Input};
use super::pod_images::{self, Looked};
use crate::error::{Error, Kind, Result};
use crate::pod::{
    Change, Deep, Ignore, Knowledge, Mapping, NoImages, NoReapers, Patch, Patched, Problem, Replaced, Report,
    Severity, Source, WordsOnly, examine, images, unified_diff,
};
use std::collections::HashMap;
use std::path::PathBuf;

#[derive(clap::Args)]
pub struct Args {
    /// Kubernetes documents in YAML or JSON: files, directories, or `-` for standard input
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// Inspect the images as well, each once
    #[arg(long)]
    images: bool,
    /// Exit with 8 if there is a finding other than a note
    #[arg(long, conflicts_with = "patch")]
    check: bool,
    /// Ignore these rules, separated by commas; may be repeated
    #[arg(long, value_name = "RULE")]
    ignore: Vec<String>,
    #[command(flatten)]
    patch: PatchOptions,
    /// Do not use the cache of layer contents in $XDG_CACHE_HOME/reapify
    #[arg(long)]
    no_cache: bool,
    #[command(flatten)]
    from: SourceOptions,
}

/// Options of `--patch`.
#[derive(clap::Args)]
struct PatchOptions {
    /// Print the documents with images replaced by wrapped ones; all other bytes are kept
    #[arg(long)]
    patch: bool,
    /// Replace image FROM by TO; without tags or digests, every image of the repository, keeping its tag; may be repeated
    #[arg(long, value_name = "FROM=TO", requires = "patch")]
    map: Vec<String>,
    /// Replace images as listed in this file: FROM=TO per line, or JSON as `wrap` prints it
    #[arg(long, value_name = "FILE", requires = "patch")]
    map_file: Vec<PathBuf>,
    /// Replace registry FROM, or this prefix of repository names, by TO; may be repeated
    #[arg(long, value_name = "FROM=TO", requires = "patch")]
    rewrite_registry: Vec<String>,
    /// Remove these fields, unless they seem to be needed
    #[arg(long, value_enum, value_name = "FIELD", value_delimiter = ',', requires = "patch")]
    drop: Vec<Dropped>,
    /// Print a unified diff
    #[arg(long, requires = "patch", conflicts_with = "in_place")]
    diff: bool,
    /// Change the files in place
    #[arg(long, requires = "patch")]
    in_place: bool,
}

/// A field that `--drop` removes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Dropped {
    /// `hostPID`
    HostPid,
    /// `shareProcessNamespace`
    SharedPidNamespace,
}

pub async fn run(global: &Global, args: Args, console: &Console) -> Result<()> {
    let ignore: Ignore = args.ignore.join(",").parse().map_err(|e: String| {
        Error::usage(format!("--ignore: {e}")).hint("docs/pod-rules.md lists the rules")
    })?;
    let mapping = args.patch.mapping()?;
    if args.images && args.from.given().takes_stdin() && args.files.iter().any(|f| f.as_os_str() == "-") {
        return Err(places::stdin_twice());
    }
    let inputs = pod_files::read(&args.files)?;
    let sources: Vec<Source<'_>> =
        inputs.iter().map(|input| Source::parse(&input.name, &input.bytes)).collect();
    if args.patch.patch {
        return patch(&args, &inputs, &sources, &mapping, console).await;
    }
    let report = match args.images {
        true => with_images(&args, &sources, &ignore, console).await?,
        false => {
            let knowledge = Knowledge { images: &NoImages, commands: &Deep::new(Default::default()) };
            examine(&sources, knowledge, &ignore)
        }
    };
    print(global, &args, &report, console)
}

/// Judges documents with their images, until no command leads to a file that has not been read.
async fn with_images(
    args: &Args,
    sources: &[Source<'_>],
    ignore: &Ignore,
    console: &Console,
) -> Result<Report> {
    let mut looked = look(args, images(sources), console).await?;
    for _ in 0..pod_images::MAX_ROUNDS {
        let facts = looked.facts();
        let deep = looked.judge();
        let report = examine(sources, Knowledge { images: &facts, commands: &deep }, ignore);
        let wants = deep.wants();
        if wants.is_empty() {
            return Ok(report);
        }
        interruptible(looked.read(wants), async || {}).await?;
    }
    let facts = looked.facts();
    Ok(examine(sources, Knowledge { images: &facts, commands: &WordsOnly }, ignore))
}

async fn look(args: &Args, names: Vec<String>, console: &Console) -> Result<Looked> {
    let looking = pod_images::look(&args.from, names, args.no_cache);
    let (looked, failures) = interruptible(looking, async || {}).await?;
    for failure in failures {
        console.note(&format!("warning: {failure}"));
    }
    Ok(looked)
}

fn print(global: &Global, args: &Args, report: &Report, console: &Console) -> Result<()> {
    let sarif = || report.to_sarif(env!("CARGO_PKG_VERSION"), env!("CARGO_PKG_HOMEPAGE"));
    match global.output {
        Format::Json => json(report.to_json().trim_end(), false)?,
        Format::Sarif => json(sarif().trim_end(), false)?,
        Format::Text => match report.to_text().trim_end() {
            "" => {}
            text => result(text, false)?,
        },
    }
    problems(&report.problems, console)?;
    let is_bad = |severity: Severity| severity != Severity::Note;
    let bad = report.findings.iter().filter(|finding| is_bad(finding.severity)).count();
    match args.check && bad > 0 {
        true => Err(Error::new(Kind::Check, format!("{bad} findings other than notes")).hint(
            "each finding says what to do; use --ignore RULE or the annotation reapify.io/ignore to ignore it",
        )),
        false => Ok(()),
    }
}

/// Reports what could not be read. Fails if any of it is more than a warning.
fn problems(problems: &[Problem], console: &Console) -> Result<()> {
    let (errors, warnings): (Vec<_>, Vec<_>) = problems.iter().partition(|problem| problem.is_error);
    for warning in warnings {
        console.note(&format!(
            "warning: {}:{}:{}: {}",
            warning.file, warning.place.line, warning.place.column, warning.message
        ));
    }
    let place = |p: &Problem| format!("{}:{}:{}: {}", p.file, p.place.line, p.place.column, p.message);
    let Some((last, others)) = errors.split_last() else { return Ok(()) };
    for other in others {
        console.error(&Error::unsupported(place(other)), None);
    }
    Err(Error::unsupported(place(last)))
}

impl PatchOptions {
    fn mapping(&self) -> Result<Mapping> {
        let mut mapping = Mapping::default();
        for text in &self.map {
            mapping.add(text).map_err(|e| Error::usage(format!("--map {text}: {e}")))?;
        }
        for text in &self.rewrite_registry {
            mapping
                .add_registry(text)
                .map_err(|e| Error::usage(format!("--rewrite-registry {text}: {e}")))?;
        }
        for file in &self.map_file {
            let failed = |e: String| Error::usage(format!("--map-file {}: {e}", file.display()));
            let text = std::fs::read_to_string(file).map_err(|e| failed(e.to_string()))?;
            mapping.add_file(&text).map_err(failed)?;
        }
        mapping.check().map_err(Error::usage)?;
        Ok(mapping)
    }
}

/// Patches all inputs, or none of them.
async fn patch(
    args: &Args,
    inputs: &[Input],
    sources: &[Source<'_>],
    mapping: &Mapping,
    console: &Console,
) -> Result<()> {
    let options = &args.patch;
    if options.in_place && inputs.iter().any(|input| input.path.is_none()) {
        return Err(Error::usage("--in-place: standard input cannot be changed in place")
            .hint("remove --in-place to print the result on standard output"));
    }
    let prefixes = match args.images {
        true => {
            let targets = images(sources).into_iter().map(|name| match mapping.replace(&name) {
                Replaced::By(target) => target,
                _ => name,
            });
            look(args, targets.collect(), console).await?.prefixes()
        }
        false => HashMap::new(),
    };
    let patch = Patch {
        mapping,
        reapers: if args.images { &prefixes } else { &NoReapers },
        drop_host_pid: options.drop.contains(&Dropped::HostPid),
        drop_shared: options.drop.contains(&Dropped::SharedPidNamespace),
    };
    let (mut patched, mut refused) = (Vec::new(), Vec::new());
    for source in sources {
        match source.patch(&patch) {
            Ok(done) => patched.push(done),
            Err(problems) => refused.extend(problems),
        }
    }
    problems(&refused, console)?;
    write(options, inputs, sources, &patched, console)
}

fn write(
    options: &PatchOptions,
    inputs: &[Input],
    sources: &[Source<'_>],
    patched: &[Patched],
    console: &Console,
) -> Result<()> {
    let mut output = String::new();
    for ((input, source), done) in inputs.iter().zip(sources).zip(patched) {
        for Change { place, what } in &done.changes {
            console.detail(&format!("{}:{}:{}: {what}", input.name, place.line, place.column));
        }
        match (&input.path, options.diff) {
            (_, true) => {
                output.push_str(&unified_diff(source.text, &done.text, input.name.trim_start_matches('/')))
            }
            (Some(path), _) if options.in_place => {
                if done.text != source.text {
                    pod_files::replace(path, &done.text)?;
                }
            }
            _ => {
                // Documents of several files are joined to one stream.
                if !output.is_empty() {
                    output.push_str(if output.ends_with('\n') { "---\n" } else { "\n---\n" });
                }
                output.push_str(&done.text);
            }
        }
    }
    super::output::raw(&output)
}
