//! Writes the effective configuration with its secrets masked, in a form that can be loaded again.

use super::model::{
    Attestations, Config, Credential, Entry, EventKind, Events, Format, Hook, IfInit, Mode, Newest, NewestBy,
    OnUnsupported, Origin, Patterns, Proof, Prune, Receiver, Recheck, TagSet, Tls, Wrap,
};
use super::secret::Secret;
use super::template::Template;
use super::written::Document;
use crate::mirror::duration;
use serde_json::json;
use std::time::Duration;

impl Config {
    /// Writes the configuration as YAML.
    pub fn to_yaml(&self) -> String {
        self.document().to_yaml()
    }

    /// Writes the configuration as JSON, indented, with a line feed at its end.
    pub fn to_json(&self) -> String {
        self.document().to_json()
    }

    fn document(&self) -> Document {
        let mut top = Writer::default();
        top.put("version", self.version);
        top.put("creds", list(&self.credentials, credential));
        let mut defaults = Writer::default();
        defaults.some("parallel", self.parallel);
        defaults.some("userAgent", self.user_agent.as_deref());
        defaults.flag("skipDockerConfig", self.skip_docker_config);
        top.nonempty("defaults", defaults.done());
        top.nonempty("events", events(&self.events));
        top.put("sync", list(&self.entries, entry));
        top.done()
    }
}

/// A mapping in the order in which it is written.
#[derive(Default)]
struct Writer(Vec<(String, Document)>);

impl Writer {
    fn put(&mut self, key: &str, value: impl Into<Document>) {
        self.0.push((key.into(), value.into()));
    }

    fn some(&mut self, key: &str, value: Option<impl Into<Document>>) {
        if let Some(value) = value {
            self.put(key, value);
        }
    }

    fn flag(&mut self, key: &str, value: bool) {
        if value {
            self.put(key, true);
        }
    }

    fn time(&mut self, key: &str, value: Option<Duration>) {
        self.some(key, value.map(duration::format));
    }

    fn nonempty(&mut self, key: &str, value: impl Into<Document>) {
        let value = value.into();
        if !value.is_empty() {
            self.put(key, value);
        }
    }

    fn done(self) -> Document {
        Document::Map(self.0)
    }
}

fn list<T>(items: &[T], write: impl Fn(&T) -> Document) -> Document {
    Document::List(items.iter().map(write).collect())
}

/// Returns text for a key with templates, escaping braces that the expansion produced.
fn literal(text: &str) -> String {
    text.replace("{{", "{{\"{{\"}}")
}

fn masked(secret: &Option<Secret>) -> Option<String> {
    secret.as_ref().map(Secret::to_string)
}

fn credential(credential: &Credential) -> Document {
    let mut fields = Writer::default();
    let text = |text: &Option<String>| text.as_deref().map(literal);
    fields.put("registry", literal(&credential.host));
    fields.some("hostname", credential.hostname.as_deref());
    fields.some("user", text(&credential.user));
    fields.some("pass", masked(&credential.pass));
    fields.some("token", masked(&credential.token));
    fields.some("credHelper", credential.cred_helper.as_deref());
    fields.time("credExpire", credential.cred_expire);
    fields.some("credHost", credential.cred_host.as_deref());
    let tls = match credential.tls {
        Tls::Enabled => "enabled",
        Tls::Insecure => "insecure",
        Tls::Disabled => "disabled",
    };
    fields.put("tls", tls);
    fields.some("regcert", text(&credential.regcert));
    fields.some("clientCert", text(&credential.client_cert));
    fields.some("clientKey", masked(&credential.client_key));
    fields.some("pathPrefix", credential.path_prefix.as_deref());
    fields.nonempty("mirrors", json!(credential.mirrors));
    fields.some("reqPerSec", credential.req_per_sec);
    fields.some("reqConcurrent", credential.req_concurrent);
    fields.done()
}

fn entry(entry: &Entry) -> Document {
    let mut fields = Writer::default();
    let template =
        |template: &Option<Template>| template.as_ref().map(|template| template.text().to_string());
    fields.put("source", literal(&entry.source));
    fields.put("target", literal(&entry.target));
    fields.put("type", entry.kind.name());
    fields.nonempty("tagSets", list(&entry.tag_sets, tag_set));
    fields.nonempty("repos", patterns(&entry.repos));
    fields.some("platform", entry.platform.as_deref());
    fields.nonempty("platforms", json!(entry.platforms));
    fields.time("interval", entry.interval);
    fields.some("schedule", entry.schedule.as_deref());
    fields.some("backup", template(&entry.backup));
    fields.some("targetTag", template(&entry.target_tag));
    fields.some("suffix", entry.suffix.as_deref());
    let mut limit = Writer::default();
    limit.some("min", entry.rate_limit.min);
    limit.put("retry", duration::format(entry.rate_limit.retry));
    fields.put("ratelimit", limit.done());
    fields.put("referrers", entry.referrers);
    fields.put("digestTags", entry.digest_tags);
    fields.put("mediaTypes", json!(entry.media_types));
    fields.put("fastCheck", entry.fast_check);
    fields.put("forceRecursive", entry.force_recursive);
    fields.put("includeExternal", entry.include_external);
    fields.put("wrap", wrap(&entry.wrap));
    fields.some("newest", entry.newest.map(newest));
    fields.time("minAge", entry.min_age);
    fields.some("prune", entry.prune.map(prune));
    fields.put("onUnsupported", on_unsupported(entry.on_unsupported));
    fields.put("recheck", recheck(entry.recheck));
    let mut hooks = Writer::default();
    for (key, items) in
        [("pre", &entry.hooks.pre), ("post", &entry.hooks.post), ("unchanged", &entry.hooks.unchanged)]
    {
        hooks.nonempty(key, list(items, hook));
    }
    hooks.time("timeout", entry.hooks.timeout);
    fields.nonempty("hooks", hooks.done());
    fields.done()
}

fn tag_set(set: &TagSet) -> Document {
    let mut fields = Writer::default();
    fields.nonempty("semverRange", json!(set.semver_range));
    fields.nonempty("allow", json!(set.allow));
    fields.nonempty("deny", json!(set.deny));
    fields.done()
}

fn patterns(patterns: &Patterns) -> Document {
    let mut fields = Writer::default();
    fields.nonempty("allow", json!(patterns.allow));
    fields.nonempty("deny", json!(patterns.deny));
    fields.done()
}

fn wrap(wrap: &Wrap) -> Document {
    let mut fields = Writer::default();
    let mode = match wrap.mode {
        Mode::Wrap => "wrap",
        Mode::Copy => "copy",
        Mode::Off => "off",
    };
    fields.put("mode", mode);
    fields.time("grace", wrap.grace);
    fields.put("group", wrap.group);
    fields.nonempty("rewrite", json!(wrap.rewrite));
    fields.nonempty("reaper", json!(wrap.reaper));
    fields.some("path", wrap.path.as_deref());
    fields.put("ifInit", if wrap.if_init == IfInit::Skip { "skip" } else { "wrap" });
    fields.put("attestations", if wrap.attestations == Attestations::Drop { "drop" } else { "keep" });
    fields.put("provenance", wrap.provenance);
    let format = match wrap.format {
        Format::Keep => "keep",
        Format::Oci => "oci",
        Format::Docker => "docker",
    };
    fields.put("format", format);
    fields.done()
}

fn newest(newest: Newest) -> Document {
    json!({ "count": newest.count, "by": if newest.by == NewestBy::Semver { "semver" } else { "created" } })
        .into()
}

fn prune(prune: Prune) -> Document {
    json!({ "keep": prune.keep, "only-ours": prune.only_ours }).into()
}

fn on_unsupported(what: OnUnsupported) -> &'static str {
    match what {
        OnUnsupported::Carry => "carry",
        OnUnsupported::Skip => "skip",
        OnUnsupported::Fail => "fail",
    }
}

fn recheck(recheck: Recheck) -> String {
    match recheck {
        Recheck::Always => "always".into(),
        Recheck::Never => "never".into(),
        Recheck::Every(time) => duration::format(time),
    }
}

fn hook(hook: &Hook) -> Document {
    let mut fields = Writer::default();
    match hook {
        Hook::Exec(words) => fields.put("exec", json!(words)),
        Hook::Http { url, headers } => {
            fields.put("http", masked_url(url.expose()));
            let masked = headers.iter().map(|(name, value)| (name.clone(), value.to_string().into()));
            fields.nonempty("headers", Document::Map(masked.collect()));
        }
    }
    fields.done()
}

/// Returns only the scheme and host of a URL, because the rest often contains a secret.
fn masked_url(url: &str) -> String {
    let (scheme, rest) = url.split_once("://").unwrap_or(("https", url));
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let (authority, path) = rest.split_at(end);
    let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
    let hidden = if path.len() > 1 { "/***" } else { path };
    format!("{scheme}://{host}{hidden}")
}

fn events(events: &Events) -> Document {
    let mut fields = Writer::default();
    fields.nonempty("receivers", list(&events.receivers, receiver));
    fields.nonempty("hosts", json!(events.hosts));
    fields.done()
}

fn receiver(receiver: &Receiver) -> Document {
    let mut fields = Writer::default();
    fields.put("kind", receiver.kind.name());
    fields.put("path", receiver.path.as_str());
    match &receiver.origin {
        Some(Origin::Env(name)) => fields.put("secret", json!({ "env": name })),
        Some(Origin::File(path)) => fields.put("secret", json!({ "file": path })),
        None => {}
    }
    match &receiver.proof {
        Proof::None => {}
        // Without a header, these senders would get a token in the path.
        Proof::Bearer(_) if matches!(receiver.kind, EventKind::DockerHub | EventKind::Quay) => {
            fields.put("tokenInPath", false);
        }
        Proof::Bearer(_) => {}
        Proof::Header { name, .. } => fields.put("header", name.as_str()),
        Proof::Hmac { header, .. } => {
            fields.put("header", header.as_str());
            fields.put("hmac", true);
        }
        Proof::Path(_) => fields.put("tokenInPath", true),
    }
    fields.done()
}
