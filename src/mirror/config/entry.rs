//! Reads `defaults` and the entries of `sync`, and merges the former into the latter.

use super::fields::{Fields, Item, Reader, Result};
use super::keys;
use super::model::{
    Entry, Kind, Newest, OnUnsupported, Patterns, Prune, RateLimit, Recheck, TagPlaces, TagSet,
};
use super::problem::Place;
use super::template::Template;
use super::template_parts::{Context, Scope, Sync};
use super::wrapping::{self, HookSettings, WrapSettings};
use crate::mirror::duration;
use std::collections::BTreeMap;
use std::time::Duration;

/// The minimum value of `ratelimit.retry`.
const MIN_RETRY: Duration = Duration::from_secs(300);
/// The maximum length of a suffix, which leaves one character for the tag.
const MAX_SUFFIX: usize = 127;
/// The media types that are mirrored by default, as in regsync.
const MEDIA_TYPES: [&str; 4] = [
    "application/vnd.docker.distribution.manifest.v2+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
    "application/vnd.oci.image.manifest.v1+json",
    "application/vnd.oci.image.index.v1+json",
];

/// The values of `defaults` or of an entry, before they are merged.
#[derive(Debug, Default)]
pub(super) struct Settings {
    backup: Option<Template>,
    target_tag: Option<Template>,
    suffix: Option<String>,
    interval: Option<Duration>,
    schedule: Option<String>,
    min: Option<u64>,
    retry: Option<Duration>,
    digest_tags: Option<bool>,
    referrers: Option<bool>,
    fast_check: Option<bool>,
    force_recursive: Option<bool>,
    include_external: Option<bool>,
    media_types: Vec<String>,
    hooks: HookSettings,
    wrap: WrapSettings,
    newest: Option<Option<Newest>>,
    min_age: Option<Duration>,
    prune: Option<Prune>,
    on_unsupported: Option<OnUnsupported>,
    recheck: Option<Recheck>,
    places: BTreeMap<&'static str, Place>,
}

/// The keys whose places are recorded.
const PLACED: [&str; 9] =
    ["source", "target", "platform", "platforms", "schedule", "backup", "targetTag", "suffix", "newest"];

impl Settings {
    pub fn read(fields: &Fields<'_, '_>) -> Result<Settings> {
        let (suffix, target_tag) = naming(fields)?;
        let limit = fields.get("ratelimit").map(|item| rate_limit(&item)).transpose()?.unwrap_or_default();
        let table = |key: &str| fields.get(key);
        let places = PLACED.iter().filter_map(|key| placed(fields, key)).collect();
        Ok(Settings {
            backup: template(fields, "backup", Scope::Image)?,
            target_tag,
            suffix,
            interval: fields.duration("interval")?.filter(|time| !time.is_zero()),
            schedule: fields.text("schedule")?,
            min: limit.0,
            retry: limit.1,
            digest_tags: fields.bool("digestTags")?,
            referrers: fields.bool("referrers")?,
            fast_check: fast_check(fields)?,
            force_recursive: fields.bool("forceRecursive")?,
            include_external: fields.bool("includeExternal")?,
            media_types: nullable_texts(fields, "mediaTypes")?
                .0
                .into_iter()
                .map(Option::unwrap_or_default)
                .collect(),
            hooks: match table("hooks") {
                Some(item) => HookSettings::read(&item.fields(&keys::HOOKS)?)?,
                None => HookSettings::default(),
            },
            wrap: match table("wrap") {
                Some(item) => WrapSettings::read(&item.fields(&keys::WRAP)?)?,
                None => WrapSettings::default(),
            },
            newest: table("newest").map(|item| wrapping::newest(&item)).transpose()?,
            min_age: fields.duration("minAge")?,
            prune: table("prune").map(|item| wrapping::prune(&item.fields(&keys::PRUNE)?)).transpose()?,
            on_unsupported: fields.choice(
                "onUnsupported",
                keys::ON_UNSUPPORTED,
                &[OnUnsupported::Carry, OnUnsupported::Skip, OnUnsupported::Fail],
            )?,
            recheck: table("recheck").map(|item| wrapping::recheck(&item)).transpose()?,
            places,
        })
    }

    /// Returns the approximate size of an entry that takes all values from here.
    fn size(&self) -> usize {
        let templates = [&self.backup, &self.target_tag].into_iter().flatten();
        let texts = templates.map(|t| t.text()).chain(self.suffix.as_deref()).chain(self.schedule.as_deref());
        let lists = self.media_types.iter().map(|text| text.len() + size_of::<String>());
        texts.map(str::len).sum::<usize>() + lists.sum::<usize>() + self.hooks.size() + self.wrap.size()
    }
}

fn placed(fields: &Fields<'_, '_>, key: &'static str) -> Option<(&'static str, Place)> {
    fields.get(key).map(|item| (key, item.place))
}

/// Reads a template that is rendered for each image; empty text counts as absent.
fn template(fields: &Fields<'_, '_>, key: &str, scope: Scope) -> Result<Option<Template>> {
    let template = fields.get(key).map(|item| item.template(scope)).transpose()?;
    Ok(template.filter(|template| !template.text().is_empty()))
}

/// Reads `suffix` or `targetTag`.
fn naming(fields: &Fields<'_, '_>) -> Result<(Option<String>, Option<Template>)> {
    let (suffix, target_tag) = (fields.text("suffix")?, template(fields, "targetTag", Scope::Tag)?);
    let is_tag = |text: &String| text.bytes().all(|b| b.is_ascii_alphanumeric() || b"_.-".contains(&b));
    let place = fields.place_of("suffix");
    match (&suffix, &target_tag) {
        (Some(suffix), _) if suffix.len() > MAX_SUFFIX || !is_tag(suffix) => {
            Err(fields.reader.error(place, "invalid suffix: it cannot end a tag"))
        }
        (Some(_), Some(_)) => {
            Err(fields.reader.error(place, "invalid suffix: targetTag already sets the tag"))
        }
        _ => Ok((suffix, target_tag)),
    }
}

fn fast_check(fields: &Fields<'_, '_>) -> Result<Option<bool>> {
    let (check, copy) = (fields.bool("fastCheck")?, fields.bool("fastCopy")?);
    if let (Some(check), Some(copy)) = (check, copy)
        && check != copy
    {
        let place = fields.place_of("fastCopy");
        return Err(fields.reader.error(
            place,
            "invalid fastCopy: it is another name for fastCheck, which has a different value",
        ));
    }
    Ok(check.or(copy))
}

/// Reads `ratelimit`.
fn rate_limit(item: &Item<'_, '_>) -> Result<(Option<u64>, Option<Duration>)> {
    let fields = item.fields(&keys::RATE_LIMIT)?;
    let retry = fields.duration("retry")?.filter(|time| !time.is_zero());
    if retry.is_some_and(|time| time < MIN_RETRY) {
        item.reader.note(fields.place_of("retry"), "ratelimit.retry is raised to 5m, the minimum");
    }
    Ok((fields.count("min")?.filter(|min| *min > 0), retry.map(|time| time.max(MIN_RETRY))))
}

/// The items of a list, in which null is `None`, and their places.
type Nullable = (Vec<Option<String>>, Vec<Place>);

fn nullable_texts(fields: &Fields<'_, '_>, key: &str) -> Result<Nullable> {
    let mut texts: Nullable = Default::default();
    for item in fields.list(key)? {
        texts.0.push(if item.is_null() { None } else { Some(item.text()?) });
        texts.1.push(item.place);
    }
    Ok(texts)
}

/// Reads all entries.
pub(super) fn read(reader: &Reader<'_>, items: Vec<Item<'_, '_>>, defaults: &Settings) -> Result<Vec<Entry>> {
    let mut entries = Vec::with_capacity(items.len());
    for (index, item) in items.into_iter().enumerate() {
        if item.is_null() {
            return Err(item.invalid("an item is empty"));
        }
        reader.charge(item.place, defaults.size() + size_of::<Entry>())?;
        entries.push(entry(&item.fields(&keys::ENTRY)?, index + 1, defaults)?);
    }
    Ok(entries)
}

/// Reads one entry and merges `defaults` into it.
fn entry(fields: &Fields<'_, '_>, position: usize, defaults: &Settings) -> Result<Entry> {
    let own = Settings::read(fields)?;
    let kinds = [Kind::Registry, Kind::Repository, Kind::Image];
    let kind = fields.choice("type", keys::KINDS, &kinds)?.unwrap_or(Kind::Image);
    let mut places = defaults.places.clone();
    places.extend(own.places.iter());
    places.insert("", fields.place);
    let backup = own.backup.or_else(|| defaults.backup.clone());
    let (interval, schedule) =
        together((own.interval, own.schedule), || (defaults.interval, defaults.schedule.clone()));
    note_zero_interval(fields, interval.is_some() || schedule.is_some())?;
    let (suffix, target_tag) =
        together((own.suffix, own.target_tag), || (defaults.suffix.clone(), defaults.target_tag.clone()));
    let platform = fields.text("platform")?;
    let (source, target) = names(fields, &platform, (interval, &schedule), &backup)?;
    let flag = |own: Option<bool>, default: Option<bool>| own.or(default).unwrap_or(false);
    note_idle_newest(fields, kind);
    Ok(Entry {
        position,
        line: fields.place.line,
        kind,
        source,
        target,
        tag_sets: tag_sets(fields, kind)?,
        repos: repos(fields, kind)?,
        platform,
        platforms: fields.texts("platforms")?,
        interval: if schedule.is_some() { None } else { interval },
        schedule,
        backup,
        target_tag,
        suffix,
        rate_limit: RateLimit {
            min: own.min.or(defaults.min),
            retry: own.retry.or(defaults.retry).unwrap_or(MIN_RETRY),
        },
        referrers: flag(own.referrers, defaults.referrers),
        digest_tags: flag(own.digest_tags, defaults.digest_tags),
        media_types: media_types(own.media_types, &defaults.media_types),
        fast_check: flag(own.fast_check, defaults.fast_check),
        force_recursive: flag(own.force_recursive, defaults.force_recursive),
        include_external: flag(own.include_external, defaults.include_external),
        wrap: own.wrap.over(&defaults.wrap),
        newest: own.newest.or(defaults.newest).flatten(),
        min_age: own.min_age.or(defaults.min_age).filter(|age| !age.is_zero()),
        prune: own.prune.or(defaults.prune),
        on_unsupported: own.on_unsupported.or(defaults.on_unsupported).unwrap_or_default(),
        recheck: own.recheck.or(defaults.recheck).unwrap_or_default(),
        hooks: own.hooks.over(&defaults.hooks),
        places,
    })
}

/// Returns two values from the same place: from the entry if it has either of them, otherwise from
/// `defaults`.
fn together<A, B>(
    own: (Option<A>, Option<B>),
    defaults: impl FnOnce() -> (Option<A>, Option<B>),
) -> (Option<A>, Option<B>) {
    match own {
        (None, None) => defaults(),
        own => own,
    }
}

fn note_zero_interval(fields: &Fields<'_, '_>, is_scheduled: bool) -> Result<()> {
    if let (Some(item), true) = (fields.get("interval"), is_scheduled)
        && item.duration()?.is_zero()
    {
        let text = "interval: 0s counts as absent, as in regsync, and does not override the schedule";
        fields.reader.note(item.place, text);
    }
    Ok(())
}

fn media_types(own: Vec<String>, defaults: &[String]) -> Vec<String> {
    match (own.is_empty(), defaults.is_empty()) {
        (false, _) => own,
        (true, false) => defaults.into(),
        (true, true) => MEDIA_TYPES.map(String::from).into(),
    }
}

/// Expands `source`, and then `target`, whose template sees the expanded source.
fn names(
    fields: &Fields<'_, '_>,
    platform: &Option<String>,
    (interval, schedule): (Option<Duration>, &Option<String>),
    backup: &Option<Template>,
) -> Result<(String, String)> {
    let raw = |key: &str| fields.get(key).map_or(Ok(""), |item| item.raw());
    let mut sync = Sync {
        source: raw("source")?.into(),
        target: raw("target")?.into(),
        kind: raw("type")?.into(),
        platform: platform.clone().unwrap_or_default(),
        interval: duration::go_text(interval.unwrap_or_default()),
        schedule: schedule.clone().unwrap_or_default(),
        backup: backup.as_ref().map(|template| template.text().into()).unwrap_or_default(),
    };
    for key in ["source", "target"] {
        let context = Context { reference: None, sync: Some(&sync) };
        let Some(name) = fields.expanded(key, Scope::Entry, &context)? else {
            return Err(fields.reader.error(fields.place_of(key), format!("invalid {key}: it is empty")));
        };
        match key {
            "source" => sync.source = name,
            _ => sync.target = name,
        }
    }
    Ok((sync.source, sync.target))
}

/// Reads `tagSets`, and `tags` as an additional set. An empty `tags` is ignored, and an entry for one image
/// has no sets.
fn tag_sets(fields: &Fields<'_, '_>, kind: Kind) -> Result<Vec<TagSet>> {
    let mut sets = Vec::new();
    for item in fields.list("tagSets")? {
        sets.push(match item.is_null() {
            true => TagSet::default(),
            false => tag_set(&item)?,
        });
    }
    if let Some(item) = fields.get("tags") {
        let set = tag_set(&item)?;
        if !(set.allow.is_empty() && set.deny.is_empty() && set.semver_range.is_empty()) {
            sets.push(set);
        }
    }
    if kind == Kind::Image && !sets.is_empty() {
        let place =
            if fields.get("tags").is_some() { fields.place_of("tags") } else { fields.place_of("tagSets") };
        fields.reader.note(
            place,
            "tags and tagSets have no effect on an entry of type image: its source names the tag",
        );
        sets.clear();
    }
    Ok(sets)
}

fn tag_set(item: &Item<'_, '_>) -> Result<TagSet> {
    let fields = item.fields(&keys::TAGS)?;
    let (allow, allow_places) = nullable_texts(&fields, "allow")?;
    let (deny, deny_places) = nullable_texts(&fields, "deny")?;
    let (semver_range, range_places) = nullable_texts(&fields, "semverRange")?;
    let places = TagPlaces { allow: allow_places, deny: deny_places, semver_range: range_places };
    Ok(TagSet { allow, deny, semver_range, places })
}

/// Notes `newest` on an entry for one image, which has no choice.
fn note_idle_newest(fields: &Fields<'_, '_>, kind: Kind) {
    if kind == Kind::Image && fields.get("newest").is_some() {
        let why = "newest has no effect on an entry of type image: its source names the tag";
        fields.reader.note(fields.place_of("newest"), why);
    }
}

/// Reads `repos`, which only entries of type registry have.
fn repos(fields: &Fields<'_, '_>, kind: Kind) -> Result<Patterns> {
    let Some(fields) = fields.table("repos", &keys::REPOS)? else { return Ok(Patterns::default()) };
    let (allow, allow_places) = nullable_texts(&fields, "allow")?;
    let (deny, deny_places) = nullable_texts(&fields, "deny")?;
    if kind != Kind::Registry {
        fields.reader.note(fields.place, "repos only affects entries of type registry");
        return Ok(Patterns::default());
    }
    Ok(Patterns { allow, deny, allow_places, deny_places })
}

impl Entry {
    /// Returns the entry as `.Sync` shows it to the templates of `backup` and `targetTag`.
    pub fn sync(&self) -> Sync {
        Sync {
            source: self.source.clone(),
            target: self.target.clone(),
            kind: self.kind.name().into(),
            platform: self.platform.clone().unwrap_or_default(),
            interval: duration::go_text(self.interval.unwrap_or_default()),
            schedule: self.schedule.clone().unwrap_or_default(),
            backup: self.backup.as_ref().map(|template| template.text().into()).unwrap_or_default(),
        }
    }
}

impl Kind {
    /// Returns the word for it in the file.
    pub fn name(self) -> &'static str {
        match self {
            Kind::Registry => "registry",
            Kind::Repository => "repository",
            Kind::Image => "image",
        }
    }
}
