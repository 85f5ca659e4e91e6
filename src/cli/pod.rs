//! `reapify pod`

use super::interrupt::interruptible;
use super::options::{CREDS_HELP, Format, Global, SRC_CREDS_HELP, SourceOptions};
use super::output::{Console, json, result};
use super::places;
use super::pod_files::{self, Input};
use super::pod_images::{self, Looked};
use crate::error::{Error, Kind, Result};
use crate::plural::counted;
use crate::pod::{
    Change, Deep, Ignore, Knowledge, Mapping, NoImages, NoReapers, Patch, Patched, Problem, Replaced, Report,
    Severity, Source, Use, WordsOnly, examine, images, unified_diff, uses,
};
use std::collections::HashMap;
use std::path::PathBuf;

#[derive(clap::Args)]
#[command(mut_arg("creds", |arg| arg.help(CREDS_HELP)), mut_arg("src_creds", |arg| arg.help(SRC_CREDS_HELP)))]
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
        if global.output != Format::Text {
            return Err(Error::usage("--patch prints documents, which have no other form: remove --output"));
        }
        return patch(&args, &inputs, &sources, &mapping, console).await;
    }
    let report = match args.images {
        true => with_images(&args, &sources, &ignore).await?,
        false => {
            let knowledge = Knowledge { images: &NoImages, commands: &Deep::new(Default::default()) };
            examine(&sources, knowledge, &ignore)
        }
    };
    print(global, &args, &report, console)
}

/// Judges documents with their images, until no command leads to a file that has not been read.
async fn with_images(args: &Args, sources: &[Source<'_>], ignore: &Ignore) -> Result<Report> {
    // Whoever checks wants to know about every image.
    let (looked, unread) = look(args, uses(sources), args.check).await?;
    let mut report = judge(looked, sources, ignore).await?;
    report.problems.extend(unread);
    let file = |problem: &Problem| sources.iter().position(|source| source.name == problem.file);
    report.problems.sort_by_key(|problem| (file(problem), problem.place.line, problem.place.column));
    Ok(report)
}

async fn judge(mut looked: Looked, sources: &[Source<'_>], ignore: &Ignore) -> Result<Report> {
    for _ in 0..pod_images::MAX_ROUNDS {
        let facts = looked.facts();
        let deep = looked.judge();
        let report = examine(sources, Knowledge { images: &facts, commands: &deep }, ignore);
        let wants = deep.wants()?;
        if wants.is_empty() {
            return Ok(report);
        }
        interruptible(looked.read(wants), async || {}).await?;
    }
    let facts = looked.facts();
    Ok(examine(sources, Knowledge { images: &facts, commands: &WordsOnly }, ignore))
}

/// Inspects the images of containers, each once. Returns a problem for each container whose image could not be read.
async fn look(args: &Args, uses: Vec<Use>, is_error: bool) -> Result<(Looked, Vec<Problem>)> {
    let mut names: Vec<String> = Vec::new();
    for used in &uses {
        if !names.contains(&used.image) {
            names.push(used.image.clone());
        }
    }
    let looking = pod_images::look(&args.from, names, args.no_cache);
    let (looked, failures) = interruptible(looking, async || {}).await?;
    let unread = uses.iter().flat_map(|used| {
        let failed = failures.iter().filter(|(name, _)| *name == used.image);
        failed.map(|(_, error)| used.unread(error, is_error))
    });
    let unread = unread.collect();
    Ok((looked, unread))
}

fn print(global: &Global, args: &Args, report: &Report, console: &Console) -> Result<()> {
    let sarif = || report.to_sarif(env!("CARGO_PKG_VERSION"), env!("CARGO_PKG_REPOSITORY"));
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
    let bad = report.findings.iter().filter(|finding| is_bad(finding.severity)).count() as u64;
    match args.check && bad > 0 {
        true => Err(Error::new(Kind::Check, format!("{} other than notes", counted(bad, "finding"))).hint(
            "each finding says what to do; use --ignore RULE or the annotation reapify.io/ignore to ignore it",
        )),
        false => Ok(()),
    }
}

/// Reports what could not be read, in the order of the places. Fails if any of it is more than a warning.
fn problems(problems: &[Problem], console: &Console) -> Result<()> {
    let text = |p: &Problem| format!("{}:{}:{}: {}", p.file, p.place.line, p.place.column, p.message);
    let (errors, warnings): (Vec<_>, Vec<_>) = problems.iter().partition(|problem| problem.is_error);
    for warning in warnings {
        console.note(&format!("warning: {}", text(warning)));
    }
    let mut errors: Vec<Error> =
        errors.into_iter().map(|problem| Error::new(problem.kind, text(problem))).collect();
    // The caller prints the last one.
    let Some(last) = errors.pop() else { return Ok(()) };
    errors.iter().for_each(|other| console.error(other, None));
    Err(last)
}

/// An option that maps images, and what it adds to a mapping.
type Given<'a> = (String, Box<dyn Fn(&mut Mapping) -> Result<(), String> + 'a>);

impl PatchOptions {
    fn given(&self) -> Vec<Given<'_>> {
        let mut given: Vec<Given<'_>> = Vec::new();
        for text in &self.map {
            given.push((format!("--map {text}"), Box::new(|mapping| mapping.add(text))));
        }
        for text in &self.rewrite_registry {
            let option = format!("--rewrite-registry {text}");
            given.push((option, Box::new(|mapping| mapping.add_registry(text))));
        }
        for file in &self.map_file {
            let add = move |mapping: &mut Mapping| {
                mapping.add_file(&std::fs::read_to_string(file).map_err(|e| e.to_string())?)
            };
            given.push((format!("--map-file {}", file.display()), Box::new(add)));
        }
        given
    }

    fn mapping(&self) -> Result<Mapping> {
        let mut mapping = Mapping::default();
        for (option, add) in self.given() {
            add(&mut mapping).map_err(|e| Error::usage(format!("{option}: {e}")))?;
        }
        mapping.check().map_err(Error::usage)?;
        Ok(mapping)
    }

    /// Warns about options that apply to no image, and may be misspelt.
    fn warn_of_unused(&self, images: &[String], console: &Console) {
        for (option, add) in self.given() {
            let mut mapping = Mapping::default();
            if add(&mut mapping).is_ok()
                && images.iter().all(|image| mapping.replace(image) == Replaced::Kept)
            {
                console.note(&format!("warning: {option}: no image of the documents matches"));
            }
        }
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
    options.warn_of_unused(&images(sources), console);
    let prefixes = match args.images {
        true => prefixes(args, sources, mapping, console).await?,
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
    if patched.iter().all(|done| done.changes.is_empty()) {
        console.note("warning: nothing was patched");
    }
    write(options, inputs, sources, &patched, console)
}

/// Returns the words that start the reapers of the images in the patched documents. Fails if an image cannot be read,
/// because the command of its container might then lack the reaper.
async fn prefixes(
    args: &Args,
    sources: &[Source<'_>],
    mapping: &Mapping,
    console: &Console,
) -> Result<HashMap<String, Vec<String>>> {
    let mut uses = uses(sources);
    for used in &mut uses {
        if let Replaced::By(target) = mapping.replace(&used.image) {
            used.image = target;
        }
    }
    let (looked, unread) = look(args, uses, true).await?;
    problems(&unread, console)?;
    Ok(looked.prefixes())
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
