//! Reads the keys that regsync does not have or does not use: `wrap`, `newest`, `prune`, `recheck`, `hooks`.

use super::fields::{Fields, Item, Result};
use super::keys;
use super::model::{Attestations, Format, Hook, Hooks, IfInit, Mode, Newest, NewestBy, Prune, Recheck, Wrap};
use super::secret::Secret;
use super::template_parts::{Context, Scope};
use crate::mirror::duration;
use std::time::Duration;

/// The value of `wrap` in one place of the file, so that an entry's keys can override those of `defaults`.
#[derive(Debug, Clone, Default)]
pub(super) struct WrapSettings {
    mode: Option<Mode>,
    grace: Option<Duration>,
    group: Option<bool>,
    rewrite: Option<Vec<String>>,
    reaper: Option<Vec<String>>,
    path: Option<String>,
    if_init: Option<IfInit>,
    attestations: Option<Attestations>,
    provenance: Option<bool>,
    format: Option<Format>,
}

impl WrapSettings {
    pub fn read(fields: &Fields<'_, '_>) -> Result<Self> {
        let texts = |key: &str| match fields.get(key) {
            Some(item) if item.is_scalar() && key == "reaper" => item.text().map(|text| Some(vec![text])),
            Some(_) => fields.texts(key).map(Some),
            None => Ok(None),
        };
        Ok(WrapSettings {
            mode: fields.choice("mode", keys::MODES, &[Mode::Wrap, Mode::Copy, Mode::Off])?,
            grace: fields.get("grace").map(|item| grace(&item)).transpose()?,
            group: fields.bool("group")?,
            rewrite: texts("rewrite")?,
            reaper: texts("reaper")?,
            path: fields.text("path")?,
            if_init: fields.choice("ifInit", keys::IF_INIT, &[IfInit::Skip, IfInit::Wrap])?,
            attestations: fields.choice(
                "attestations",
                keys::ATTESTATIONS,
                &[Attestations::Drop, Attestations::Keep],
            )?,
            provenance: fields.bool("provenance")?,
            format: fields.choice("format", keys::FORMATS, &[Format::Keep, Format::Oci, Format::Docker])?,
        })
    }

    /// Returns the effective value: each key from here, otherwise from `defaults`, otherwise its default.
    pub fn over(self, defaults: &WrapSettings) -> Wrap {
        Wrap {
            mode: self.mode.or(defaults.mode).unwrap_or_default(),
            grace: self.grace.or(defaults.grace),
            group: self.group.or(defaults.group).unwrap_or_default(),
            rewrite: self.rewrite.or_else(|| defaults.rewrite.clone()).unwrap_or_default(),
            reaper: self.reaper.or_else(|| defaults.reaper.clone()).unwrap_or_default(),
            path: self.path.or_else(|| defaults.path.clone()),
            if_init: self.if_init.or(defaults.if_init).unwrap_or_default(),
            attestations: self.attestations.or(defaults.attestations).unwrap_or_default(),
            provenance: self.provenance.or(defaults.provenance).unwrap_or_default(),
            format: self.format.or(defaults.format).unwrap_or_default(),
        }
    }

    /// Returns the size of a copy in bytes.
    pub fn size(&self) -> usize {
        let lists = self.rewrite.iter().chain(&self.reaper).flatten();
        lists.chain(&self.path).map(|text| text.len() + size_of::<String>()).sum()
    }
}

/// Reads a duration; a plain number is in seconds, as in `--grace`.
fn grace(item: &Item<'_, '_>) -> Result<Duration> {
    let text = item.raw()?;
    match text.bytes().all(|b| b.is_ascii_digit() || b == b'.') {
        true => {
            let seconds = item.number()?;
            Duration::try_from_secs_f64(seconds).map_err(|_| item.invalid("the duration is too long"))
        }
        false => item.duration(),
    }
}

/// Reads `newest`: a number or a mapping; 0 means all tags.
pub(super) fn newest(item: &Item<'_, '_>) -> Result<Option<Newest>> {
    let (count, by) = match item.is_scalar() {
        true => (item.count()?, NewestBy::Semver),
        false => {
            let fields = item.fields(&keys::NEWEST)?;
            let by = fields.choice("by", keys::NEWEST_BY, &[NewestBy::Semver, NewestBy::Created])?;
            (fields.count("count")?.unwrap_or_default(), by.unwrap_or_default())
        }
    };
    if count > 0 && by == NewestBy::Created {
        let text = "newest by created reads a manifest and a config per tag, which count as pulls";
        item.reader.note(item.place, text);
    }
    Ok((count > 0).then_some(Newest { count: count as usize, by }))
}

/// Reads `prune`.
pub(super) fn prune(fields: &Fields<'_, '_>) -> Result<Prune> {
    if fields.bool("only-ours")? == Some(false) {
        let place = fields.place_of("only-ours");
        return Err(fields
            .reader
            .error(
                place,
                "invalid only-ours: prune deletes only results whose record shows that reapify made them",
            )
            .hint("remove the key, or set it to true"));
    }
    match fields.count("keep")? {
        Some(keep @ 1..) => Ok(Prune { keep: keep as usize, only_ours: true }),
        _ => Err(fields
            .reader
            .error(fields.place_of("keep"), "invalid keep: at least one result must be kept")),
    }
}

/// Reads `recheck`.
pub(super) fn recheck(item: &Item<'_, '_>) -> Result<Recheck> {
    match item.raw()? {
        "always" => Ok(Recheck::Always),
        "never" => Ok(Recheck::Never),
        text => match duration::parse(text) {
            Ok(Duration::ZERO) => Ok(Recheck::Always),
            Ok(time) => Ok(Recheck::Every(time)),
            Err(why) => Err(item.invalid(format!("use always, never or a duration; {why}"))),
        },
    }
}

/// The value of `hooks` in one place of the file.
#[derive(Debug, Clone, Default)]
pub(super) struct HookSettings {
    pre: Option<Vec<Hook>>,
    post: Option<Vec<Hook>>,
    unchanged: Option<Vec<Hook>>,
    timeout: Option<Duration>,
}

impl HookSettings {
    pub fn read(fields: &Fields<'_, '_>) -> Result<Self> {
        let hooks = |key: &str| fields.get(key).map(|item| hooks(&item)).transpose();
        Ok(HookSettings {
            pre: hooks("pre")?,
            post: hooks("post")?,
            unchanged: hooks("unchanged")?,
            timeout: fields.duration("timeout")?.filter(|time| !time.is_zero()),
        })
    }

    /// Returns the effective value: each key from here, otherwise from `defaults`.
    pub fn over(self, defaults: &HookSettings) -> Hooks {
        let pick = |own: Option<Vec<Hook>>, default: &Option<Vec<Hook>>| {
            own.or_else(|| default.clone()).unwrap_or_default()
        };
        Hooks {
            pre: pick(self.pre, &defaults.pre),
            post: pick(self.post, &defaults.post),
            unchanged: pick(self.unchanged, &defaults.unchanged),
            timeout: self.timeout.or(defaults.timeout),
        }
    }

    /// Returns the approximate size of a copy in bytes.
    pub fn size(&self) -> usize {
        let hooks = self.pre.iter().chain(&self.post).chain(&self.unchanged).flatten();
        hooks.map(Hook::size).sum()
    }
}

impl Hook {
    fn size(&self) -> usize {
        size_of::<Hook>()
            + match self {
                Hook::Exec(words) => words.iter().map(|word| word.len() + size_of::<String>()).sum(),
                Hook::Http { url, headers } => {
                    let headers = headers.iter().map(|(name, value)| name.len() + value.expose().len() + 48);
                    url.expose().len() + headers.sum::<usize>()
                }
            }
    }
}

fn hooks(item: &Item<'_, '_>) -> Result<Vec<Hook>> {
    match item.is_list() {
        true => item.list()?.into_iter().map(|item| hook(&item)).collect(),
        false => Ok(vec![hook(item)?]),
    }
}

/// Reads one hook: `exec: [program, argument]`, `http: URL`, or `type` and `params` as in regsync.
fn hook(item: &Item<'_, '_>) -> Result<Hook> {
    let fields = item.fields(&keys::HOOK)?;
    let kind = fields.choice("type", keys::HOOK_TYPES, keys::HOOK_TYPES)?;
    let (exec, http) = match (kind, fields.get("exec"), fields.get("http"), fields.get("params")) {
        (None, Some(exec), None, None) => (Some(exec), None),
        (None, None, Some(http), None) => (None, Some(http)),
        (Some("exec"), None, None, Some(params)) => (Some(params), None),
        (Some(_), None, None, Some(params)) => match params.list()?[..] {
            [url] => (None, Some(url)),
            _ => return Err(params.invalid("http takes one URL")),
        },
        (Some(_), None, None, None) => return Err(item.invalid("params is missing")),
        _ => return Err(item.invalid("a hook is either exec, http or type with params")),
    };
    let headers = fields.get("headers");
    match (exec, http) {
        (Some(exec), _) if headers.is_none() => {
            let words = exec
                .list()?
                .iter()
                .map(|word| word.raw().map(Into::into))
                .collect::<Result<Vec<String>>>()?;
            match words.first().is_some_and(|program| !program.is_empty()) {
                true => Ok(Hook::Exec(words)),
                false => Err(exec.invalid("it must name a program")),
            }
        }
        (None, Some(url)) => Ok(Hook::Http {
            url: Secret::new(web_address(&url)?),
            headers: headers.map_or(Ok(Vec::new()), |item| header_list(&item))?,
        }),
        (Some(_), _) => Err(item.invalid("only http takes headers")),
        (None, None) => Err(item.invalid("it has neither exec nor http")),
    }
}

fn web_address(item: &Item<'_, '_>) -> Result<String> {
    let url = item.expanded(Scope::Plain, &Context::default())?;
    let rest = url.strip_prefix("https://").or_else(|| url.strip_prefix("http://"));
    match rest.is_some_and(|rest| !rest.is_empty() && !rest.starts_with('/'))
        && !url.contains(char::is_whitespace)
    {
        true => Ok(url),
        false => Err(item.invalid("a URL is expected, as in https://hooks.example/mirror")),
    }
}

fn header_list(item: &Item<'_, '_>) -> Result<Vec<(String, Secret)>> {
    let mut headers = Vec::new();
    for (name, value) in item.pairs()? {
        if !is_header(&name) {
            return Err(value.invalid(format!("{name:?} is not a header name")));
        }
        let text = value.expanded(Scope::Plain, &Context::default())?;
        if text.contains(['\r', '\n', '\0']) {
            return Err(value.invalid(format!("the value of {name} has more than one line")));
        }
        headers.push((name, Secret::new(text)));
    }
    Ok(headers)
}

/// Returns whether a text is a valid name of an HTTP header.
pub(super) fn is_header(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b))
}
