//! Reads `events`: who may send webhooks to the server, and how each sender authenticates.
//!
//! ```yaml
//! events:
//!   receivers:
//!     - kind: distribution            # POST /events/distribution with "Authorization: Bearer SECRET"
//!       secret: {file: /run/secrets/events}
//!     - kind: gitlab
//!       path: lab                     # POST /events/lab
//!       header: X-Token               # "X-Token: SECRET"
//!       secret: {env: LAB_SECRET}
//!     - kind: plain
//!       hmac: true                    # "X-Hub-Signature-256: sha256=…" over the body
//!       secret: {env: CI_SECRET}
//!     - kind: dockerhub               # POST /events/dockerhub/SECRET: its senders have no headers
//!       secret: {env: HUB_SECRET}
//!   hosts:
//!     registry:5000: registry.example # the name that the registry gives itself, and its name in this file
//! ```
//!
//! Secrets are only taken from the environment or from files. A missing one is an error, because an empty
//! secret would let everyone in.

use super::fields::{Fields, Item, Reader, Result};
use super::keys;
use super::model::{EventKind, Events, Origin, Proof, Receiver};
use super::secret::Secret;
use super::wrapping::is_header;
use std::collections::{BTreeMap, HashSet};

/// The header of an HMAC, unless the file names another.
const HMAC_HEADER: &str = "X-Hub-Signature-256";
/// The maximum length of a path segment.
const MAX_SEGMENT: usize = 64;

/// Reads `events`.
pub(super) fn read(reader: &Reader<'_>, fields: &Fields<'_, '_>) -> Result<Events> {
    let (mut receivers, mut paths) = (Vec::new(), HashSet::new());
    for item in fields.list("receivers")? {
        let receiver = receiver(&item.fields(&keys::RECEIVER)?)?;
        if !paths.insert(receiver.path.clone()) {
            let message = format!("invalid path: two receivers have the path {:?}", receiver.path);
            return Err(reader.error(item.place, message).hint("give one of them another path"));
        }
        receivers.push(receiver);
    }
    let mut hosts = BTreeMap::new();
    for (inner, outer) in fields.get("hosts").map_or(Ok(Vec::new()), |item| item.pairs())? {
        hosts.insert(inner, host(&outer)?);
    }
    Ok(Events { receivers, hosts })
}

fn host(item: &Item<'_, '_>) -> Result<String> {
    let host = item.text()?;
    match host.is_empty() || host.contains(|c: char| c.is_whitespace() || c == '/') {
        true => Err(item.invalid("a host is expected, as in registry.example:5000")),
        false => Ok(host),
    }
}

fn receiver(fields: &Fields<'_, '_>) -> Result<Receiver> {
    let kinds = EventKind::ALL.map(|(_, kind)| kind);
    let kind = fields.choice("kind", keys::EVENT_KINDS, &kinds)?.unwrap_or(EventKind::Plain);
    let path = fields.text("path")?.unwrap_or_else(|| kind.name().into());
    if !is_segment(&path) {
        let message = "invalid path: use one segment of letters, digits, \"-\", \"_\" and \".\"";
        return Err(fields.reader.error(fields.place_of("path"), message));
    }
    let secret = fields.get("secret").map(|item| secret(&item)).transpose()?;
    let proof = proof(fields, kind, secret.as_ref().map(|(secret, _)| secret.clone()))?;
    if proof == Proof::None {
        let text = format!(
            "the receiver {path:?} has no secret: anyone who can reach the server can send events to it"
        );
        fields.reader.note(fields.place, text);
    }
    Ok(Receiver { kind, path, proof, origin: secret.map(|(_, origin)| origin), place: fields.place })
}

/// Returns whether a text is a valid path segment that does not lead out of its directory.
fn is_segment(text: &str) -> bool {
    (1..=MAX_SEGMENT).contains(&text.len())
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.'))
        && !text.bytes().all(|b| b == b'.')
}

fn secret(item: &Item<'_, '_>) -> Result<(Secret, Origin)> {
    if item.is_scalar() {
        let error = item.invalid("it must not be written in the configuration");
        return Err(error.hint("write {env: NAME} or {file: PATH}"));
    }
    let fields = item.fields(&keys::SECRET)?;
    let (value, origin) = match (fields.text("env")?, fields.text("file")?) {
        (Some(name), None) => {
            let value = item.reader.outside.env(&name);
            (
                value.ok_or_else(|| item.invalid(format!("environment variable {name:?} is not set")))?,
                Origin::Env(name),
            )
        }
        (None, Some(path)) => {
            let value = item.reader.outside.file(&path);
            let value = value.map_err(|e| item.invalid(format!("file {path:?} cannot be read: {e}")))?;
            (value, Origin::File(path))
        }
        _ => return Err(item.invalid("it takes either env or file")),
    };
    match value.trim() {
        "" => Err(item.invalid("it is empty")),
        value => Ok((Secret::new(value), origin)),
    }
}

fn proof(fields: &Fields<'_, '_>, kind: EventKind, secret: Option<Secret>) -> Result<Proof> {
    let header = fields.text("header")?;
    let hmac = fields.bool("hmac")?.unwrap_or(false);
    let in_path = fields.bool("tokenInPath")?;
    if let Some(name) = header.as_ref().filter(|name| !is_header(name)) {
        let message = format!("invalid header: {name:?} is not a header name");
        return Err(fields.reader.error(fields.place_of("header"), message));
    }
    let Some(secret) = secret else {
        return match header.is_some() || hmac || in_path == Some(true) {
            true => Err(fields.reader.error(fields.place, "missing key \"secret\" in a receiver of events")),
            false => Ok(Proof::None),
        };
    };
    let has_no_headers = matches!(kind, EventKind::DockerHub | EventKind::Quay);
    match (header, hmac, in_path) {
        (None, false, Some(true)) => path_proof(fields, secret),
        (None, false, None) if has_no_headers => path_proof(fields, secret),
        (_, _, Some(true)) => Err(fields.reader.error(
            fields.place_of("tokenInPath"),
            "invalid tokenInPath: header and hmac cannot be used with it",
        )),
        (header, true, _) => {
            Ok(Proof::Hmac { header: header.unwrap_or_else(|| HMAC_HEADER.into()), key: secret })
        }
        (Some(name), false, _) => Ok(Proof::Header { name, value: secret }),
        (None, false, _) => Ok(Proof::Bearer(secret)),
    }
}

fn path_proof(fields: &Fields<'_, '_>, secret: Secret) -> Result<Proof> {
    let fits =
        secret.expose().bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.' | b'~'));
    match fits {
        true => Ok(Proof::Path(secret)),
        false => Err(fields
            .reader
            .error(fields.place_of("secret"), "invalid secret: it cannot be part of a path")
            .hint("use letters, digits, \"-\", \"_\", \".\" and \"~\" only")),
    }
}

impl EventKind {
    /// All kinds with their words, in the order of the table of keys.
    pub const ALL: [(&'static str, EventKind); 6] = [
        ("distribution", EventKind::Distribution),
        ("harbor", EventKind::Harbor),
        ("gitlab", EventKind::Gitlab),
        ("dockerhub", EventKind::DockerHub),
        ("quay", EventKind::Quay),
        ("plain", EventKind::Plain),
    ];

    /// Returns the word for it in the file.
    pub fn name(self) -> &'static str {
        EventKind::ALL.iter().find(|(_, kind)| *kind == self).map_or("plain", |(name, _)| name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_words_for_kinds_are_those_of_the_table() {
        assert_eq!(EventKind::ALL.map(|(name, _)| name), keys::EVENT_KINDS);
    }
}
