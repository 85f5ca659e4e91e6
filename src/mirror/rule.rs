//! An entry of the configuration that is ready to run, with compiled filters and a typed task.

use super::config::{self, Context, Kind, Mode, OnUnsupported, Reference as Named};
use super::rules::newest::{By, Newest, Recency};
use super::rules::schedule::{Schedule, Zones};
use super::rules::select::{Filter, List, RepoFilter, RuleError, TagSet, Warning};
use super::rules::suffix::{Naming, PROBE};
use crate::engine::{Attestations, Copy, Task, Unsupported, Wrap};
use crate::error::{Context as _, Error, Result};
use crate::image::{ImagePath, Platform, Reference};
use crate::reapers::Reapers;
use crate::rewrite::{Format, IfInit, Policy};
use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

/// An entry that can be run.
pub struct Rule {
    /// The entry.
    pub entry: config::Entry,
    /// The filter for tags.
    pub filter: Arc<Filter>,
    /// The filter for the repositories of a registry.
    pub repositories: RepoFilter,
    /// The rules that depend on the age of tags.
    pub recency: Recency,
    /// The shape of the tags that the entry writes.
    pub naming: Naming,
    /// The task for each image.
    pub task: Task,
    /// The only platform to take.
    pub only: Option<Platform>,
    /// A hash that is the same for an entry with the same source, target and filter in another version of the
    /// configuration.
    pub identity: u64,
}

/// Reads the reapers that `wrap.reaper` names, each `[PLATFORM=]FILE`.
pub type ReadReapers<'a> = &'a dyn Fn(&[String]) -> Result<Reapers>;

impl Rule {
    /// Compiles the entries that are not disabled. Returns them with notes for their authors.
    pub fn all(
        config: &config::Config,
        file: &str,
        reapers: ReadReapers<'_>,
    ) -> Result<(Vec<Arc<Self>>, Vec<String>)> {
        let mut rules = Vec::new();
        let mut notes = Vec::new();
        // Thousands of entries often have the same filter, and a compiled one takes memory.
        let mut filters = HashMap::new();
        for entry in config.entries.iter().filter(|entry| entry.wrap.mode != Mode::Off) {
            let rule = Rule::new(entry.clone(), file, reapers, &mut filters, &mut notes);
            rules.push(Arc::new(rule.map_err(|e| match e.to_string().starts_with(file) {
                true => e,
                false => e.context(format!("{file}:{}", entry.line)),
            })?));
        }
        Ok((rules, notes))
    }

    fn new(
        entry: config::Entry,
        file: &str,
        reapers: ReadReapers<'_>,
        filters: &mut HashMap<String, (Arc<Filter>, Vec<Warning>)>,
        notes: &mut Vec<String>,
    ) -> Result<Self> {
        let sets: Vec<TagSet> = entry.tag_sets.iter().map(tag_set).collect();
        let key = format!("{sets:?}");
        let identity = identity(&entry, &key);
        let (filter, warnings) = match filters.get(&key) {
            Some(known) => known.clone(),
            None => {
                let (filter, warnings) = Filter::new(&sets).map_err(|e| bad_tag_rule(&entry, file, &e))?;
                filters.entry(key).or_insert((Arc::new(filter), warnings)).clone()
            }
        };
        notes.extend(warnings.iter().map(|w| tag_warning(&entry, file, w)));
        let (repositories, warnings) =
            RepoFilter::new(&entry.repos.allow, &entry.repos.deny).map_err(|e| {
                let place = place_in(&entry.repos, e.place.list, e.place.item);
                Error::usage(format!("{file}:{place}: {e}"))
            })?;
        notes.extend(warnings.iter().map(|w| {
            format!("{file}:{}: {}", place_in(&entry.repos, w.place.list, w.place.item), w.message)
        }));
        let platform = |text: &String| text.parse::<Platform>();
        let platforms: Vec<Platform> = entry.platforms.iter().map(platform).collect::<Result<_>>()?;
        let only = entry.platform.as_ref().map(platform).transpose()?;
        let task = match entry.wrap.mode {
            Mode::Copy => Task::Copy(Copy { platforms }),
            _ => Task::Wrap(wrap(&entry, platforms, reapers)?),
        };
        let newest = entry.newest.map(|newest| Newest {
            count: newest.count,
            by: match newest.by {
                config::NewestBy::Semver => By::Semver,
                config::NewestBy::Created => By::Created,
            },
        });
        let recency = Recency { newest, min_age: entry.min_age };
        schedule(&entry).map_err(|why| {
            let place = entry.place("schedule");
            Error::usage(format!("{file}:{}:{}: {why}", place.line, place.column))
        })?;
        let mut rule =
            Rule { entry, filter, repositories, recency, naming: Naming::Same, task, only, identity };
        rule.naming = rule.shape()?;
        rule.check_names()?;
        if (rule.entry.referrers || rule.entry.digest_tags) && rule.entry.wrap.mode == Mode::Wrap {
            notes.push(format!(
                "{file}:{}: referrers and digest tags describe bytes that wrap changes; they are copied only with \
                 wrap.mode: copy",
                rule.entry.line
            ));
        }
        Ok(rule)
    }

    /// Returns the shape of the tags that the entry writes.
    fn shape(&self) -> Result<Naming> {
        let naming = match (&self.entry.target_tag, &self.entry.suffix) {
            (Some(_), _) if self.entry.kind != Kind::Image => {
                let source: Reference = match self.entry.kind {
                    Kind::Registry => format!("{}/probe:{PROBE}", self.entry.source).parse()?,
                    _ => format!("{}:{PROBE}", self.entry.source).parse()?,
                };
                Naming::from_probe(&self.target_tag(&source)?)
            }
            _ if self.entry.kind == Kind::Image => return self.image_shape(),
            (None, Some(suffix)) => Naming::from_suffix(suffix),
            _ => Ok(Naming::Same),
        };
        naming.map_err(Error::usage)
    }

    /// Returns the shape for a single image, whose result is told from other tags of its repository by its
    /// name.
    fn image_shape(&self) -> Result<Naming> {
        let (source, destination) = (self.entry.source.parse::<Reference>()?, self.image_destination()?);
        let is_beside = source.repository_name() == destination.repository_name() && source != destination;
        Ok(match destination.tag().filter(|_| is_beside) {
            Some(tag) => Naming::Fixed(tag.to_owned()),
            None => Naming::Same,
        })
    }

    /// Checks that source and target match the entry's type.
    fn check_names(&self) -> Result<()> {
        match self.entry.kind {
            Kind::Image => {
                self.entry.source.parse::<Reference>()?;
                self.image_destination().map(drop)
            }
            Kind::Repository => {
                let source = self.source_repository(None)?;
                self.target_repository(&source).map(drop)
            }
            Kind::Registry => {
                let source = self.source_repository(Some("probe"))?;
                self.target_repository(&source).map(drop)
            }
        }
    }

    /// Returns the repository to read: the entry's own, or one of its registry.
    pub fn source_repository(&self, repository: Option<&str>) -> Result<Reference> {
        let name = match repository {
            Some(repository) => format!("{}/{repository}", self.entry.source),
            None => self.entry.source.clone(),
        };
        let parsed: Reference = name.parse()?;
        let is_bare = !name.contains('@') && !name.rsplit('/').next().is_some_and(|last| last.contains(':'));
        match is_bare {
            true => Ok(parsed),
            false => {
                Err(Error::usage(format!("invalid source {name:?}: a repository has no tag and no digest"))
                    .hint("use type: image for one image"))
            }
        }
    }

    /// Returns the repository that results of a source repository are written to.
    pub fn target_repository(&self, source: &Reference) -> Result<Reference> {
        match self.entry.kind {
            Kind::Registry => {
                let below = source.repository_name();
                let below = below.strip_prefix(&self.registry()).unwrap_or(source.repository());
                format!("{}/{}", self.entry.target, below.trim_start_matches('/')).parse()
            }
            _ => self.entry.target.parse(),
        }
    }

    /// Returns whether a tag of a repository may be a result of the entry.
    pub fn may_write(&self, target: &Reference, tag: &str) -> bool {
        let repository = target.repository_name();
        match self.entry.kind {
            Kind::Image => self
                .image_destination()
                .is_ok_and(|own| own.repository_name() == repository && own.tag() == Some(tag)),
            Kind::Repository => {
                let is_here =
                    self.entry.target.parse().is_ok_and(|own: Reference| own.repository_name() == repository);
                is_here && self.naming.source(tag).is_none_or(|tag| self.filter.verdict(tag).is_selected())
            }
            Kind::Registry => {
                let below = format!("{}/any", self.entry.target.trim_end_matches('/'));
                let below = below.parse::<Reference>().map(|name| name.repository_name()).unwrap_or_default();
                below.strip_suffix("any").is_some_and(|prefix| repository.starts_with(prefix))
                    && self.naming.source(tag).is_none_or(|tag| self.filter.verdict(tag).is_selected())
            }
        }
    }

    /// Returns whether a tag of a repository may be the name under which the entry keeps a replaced image.
    pub fn may_keep(&self, repository: &Reference, tag: &str) -> bool {
        self.backups(repository).is_some_and(|naming| naming.is_result(tag))
    }

    /// Returns the shape of the tags in a repository under which the entry keeps replaced images.
    pub fn backups(&self, repository: &Reference) -> Option<Naming> {
        self.entry.backup.as_ref()?;
        let target = match self.entry.kind {
            Kind::Registry => repository.clone(),
            Kind::Repository => self.entry.target.parse().ok()?,
            Kind::Image => self.image_destination().ok()?,
        };
        let probe = match self.entry.kind {
            Kind::Image => target,
            _ => target.with_tag(PROBE).ok()?,
        };
        let kept = self.backup(&probe).ok()??;
        // An entry for a registry may keep the images of any of its repositories in this one.
        let is_here = match self.entry.kind {
            Kind::Registry => kept.host() == repository.host(),
            _ => kept.repository_name() == repository.repository_name(),
        };
        Naming::from_probe(kept.tag()?).ok().filter(|_| is_here)
    }

    /// Returns the entry's registry, with the path prefix that its repositories share.
    fn registry(&self) -> String {
        self.entry.source.trim_end_matches('/').to_owned()
    }

    /// Returns the destination for a source.
    pub fn destination(&self, source: &Reference) -> Result<Reference> {
        if self.entry.kind == Kind::Image {
            return self.image_destination();
        }
        self.target_repository(source)?.with_tag(&self.target_tag(source)?)
    }

    fn image_destination(&self) -> Result<Reference> {
        let target: Reference = self.entry.target.parse()?;
        if target.digest().is_some() {
            return Err(Error::usage(format!("invalid target {target}: a digest follows from the content"))
                .hint("name the target by a tag"));
        }
        let source: Reference = self.entry.source.parse()?;
        let tag = match (&self.entry.target_tag, &self.entry.suffix) {
            (Some(_), _) => self.target_tag(&source)?,
            (None, Some(suffix)) => format!("{}{suffix}", target.tag().unwrap_or("latest")),
            (None, None) => return Ok(target),
        };
        target.with_tag(&tag)
    }

    /// Returns the destination tag for a source.
    fn target_tag(&self, source: &Reference) -> Result<String> {
        let tag = source.tag().unwrap_or("latest");
        match &self.entry.target_tag {
            Some(template) => {
                let sync = self.entry.sync();
                let named = named(source);
                let context = Context { reference: Some(&named), sync: Some(&sync) };
                template.render(&context).map_err(|why| Error::usage(format!("invalid targetTag: {why}")))
            }
            None => Ok(format!("{tag}{}", self.entry.suffix.as_deref().unwrap_or_default())),
        }
    }

    /// Returns the name under which a destination is kept before it is replaced.
    pub fn backup(&self, destination: &Reference) -> Result<Option<Reference>> {
        let Some(template) = &self.entry.backup else { return Ok(None) };
        let (sync, named) = (self.entry.sync(), named(destination));
        let context = Context { reference: Some(&named), sync: Some(&sync) };
        let name = template.render(&context).map_err(|why| Error::usage(format!("invalid backup: {why}")))?;
        // A name without `/` and `:` is a tag in the same repository.
        match name.contains(['/', ':']) {
            true => name.parse().map(Some),
            false => destination.with_tag(&name).map(Some),
        }
    }
}

/// Returns when the server runs an entry, if it has a schedule or an interval.
pub fn schedule(entry: &config::Entry) -> std::result::Result<Option<Schedule>, String> {
    let find = |name: &str| jiff::tz::TimeZone::get(name).ok();
    let zones = Zones { local: jiff::tz::TimeZone::system(), find: &find };
    Schedule::of_entry(entry.schedule.as_deref(), entry.interval, &zones)
}

/// Returns a reference in the form that templates use.
fn named(reference: &Reference) -> Named {
    Named {
        scheme: "reg".into(),
        reference: reference.to_string(),
        registry: reference.host().into(),
        repository: reference.repository().into(),
        tag: reference.tag().unwrap_or_default().into(),
        digest: reference.digest().map(ToString::to_string).unwrap_or_default(),
        path: String::new(),
        common_name: reference.to_string(),
    }
}

fn identity(entry: &config::Entry, filter: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    (&entry.source, &entry.target, filter).hash(&mut hasher);
    hasher.finish()
}

fn wrap(entry: &config::Entry, platforms: Vec<Platform>, reapers: ReadReapers<'_>) -> Result<Wrap> {
    let choices = &entry.wrap;
    let mut args = Vec::new();
    if let Some(grace) = choices.grace {
        args.extend(["-t".to_string(), grace.as_secs_f64().to_string()]);
    }
    if choices.group {
        args.push("-g".into());
    }
    for rewrite in &choices.rewrite {
        args.extend(["-r".to_string(), rewrite.clone()]);
    }
    if choices.reaper.is_empty() {
        reaper::parse(args.iter().map(|arg| arg.as_bytes()))
            .map_err(|e| Error::usage(format!("the reaper does not take these options: {e}")))?;
    }
    let path = choices.path.as_deref().unwrap_or(crate::rewrite::DEFAULT_PATH);
    Ok(Wrap {
        reapers: reapers(&choices.reaper)?,
        policy: Policy {
            path: ImagePath::of_program(path).context(|| "wrap.path")?,
            args,
            if_init: match choices.if_init {
                config::IfInit::Skip => IfInit::Skip,
                config::IfInit::Wrap => IfInit::Wrap,
            },
            format: match choices.format {
                config::Format::Keep => Format::Keep,
                config::Format::Oci => Format::Oci,
                config::Format::Docker => Format::Docker,
            },
        },
        attestations: match choices.attestations {
            config::Attestations::Drop => Attestations::Drop,
            config::Attestations::Keep => Attestations::Keep,
        },
        platforms,
        replace: false,
        strict: entry.on_unsupported == OnUnsupported::Fail,
        unsupported: match entry.on_unsupported {
            OnUnsupported::Carry => Unsupported::Carry,
            _ => Unsupported::Fail,
        },
    })
}

fn tag_set(set: &config::TagSet) -> TagSet {
    TagSet { allow: set.allow.clone(), deny: set.deny.clone(), semver_range: set.semver_range.clone() }
}

fn bad_tag_rule(entry: &config::Entry, file: &str, error: &RuleError) -> Error {
    let place = tag_place(entry, error.place.set, error.place.list, error.place.item);
    Error::usage(format!("{file}:{place}: {error}"))
}

fn tag_warning(entry: &config::Entry, file: &str, warning: &Warning) -> String {
    let place = tag_place(entry, warning.place.set, warning.place.list, warning.place.item);
    format!("{file}:{place}: {}", warning.message)
}

/// Returns the place of a rule for tags as `LINE:COLUMN`.
fn tag_place(entry: &config::Entry, set: usize, list: List, item: usize) -> String {
    let places = entry.tag_sets.get(set).map(|set| match list {
        List::Allow => &set.places.allow,
        List::Deny => &set.places.deny,
        List::SemverRange => &set.places.semver_range,
    });
    match places.and_then(|places| places.get(item)) {
        Some(place) => format!("{}:{}", place.line, place.column),
        None => entry.line.to_string(),
    }
}

fn place_in(patterns: &config::Patterns, list: List, item: usize) -> String {
    let places = if list == List::Allow { &patterns.allow_places } else { &patterns.deny_places };
    places.get(item).map_or_else(String::new, |place| format!("{}:{}", place.line, place.column))
}
