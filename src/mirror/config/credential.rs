//! Reads `creds`.

use super::fields::{Fields, Item, Reader, Result};
use super::keys::{CREDENTIAL, TLS};
use super::model::{Credential, Tls};
use super::secret::Secret;
use super::template_parts::{Context, Scope};
use crate::registry::speaks_plain_http;
use std::time::Duration;

/// The name of Docker Hub in references.
const DOCKER_HUB: &str = "docker.io";
/// Its other names.
const DOCKER_HUB_NAMES: [&str; 4] =
    ["docker.io", "index.docker.io", "registry-1.docker.io", "https://index.docker.io/v1/"];

/// Reads all credentials. Later items for the same registry add to earlier ones and replace their values.
pub(super) fn read(reader: &Reader<'_>, items: Vec<Item<'_, '_>>) -> Result<Vec<Credential>> {
    let mut credentials: Vec<Credential> = Vec::new();
    let mut by_host = std::collections::HashMap::new();
    for item in items {
        if item.is_null() {
            return Err(item.invalid("an item is empty"));
        }
        let Some((credential, has_tls)) = credential(&item.fields(&CREDENTIAL)?)? else { continue };
        match by_host.get(&credential.host).and_then(|index: &usize| credentials.get_mut(*index)) {
            Some(earlier) => {
                let text = format!(
                    "{} appears twice in creds; the later item adds to the earlier one",
                    credential.host
                );
                reader.note(credential.place, text);
                earlier.add(credential, has_tls);
            }
            None => {
                by_host.insert(credential.host.clone(), credentials.len());
                credentials.push(credential);
            }
        }
    }
    Ok(credentials)
}

/// Reads one credential, and whether it sets `tls`. Returns `None` if its registry expands to nothing, which
/// regsync ignores.
fn credential(fields: &Fields<'_, '_>) -> Result<Option<(Credential, bool)>> {
    let expanded = |key: &str| fields.expanded(key, Scope::Plain, &Context::default());
    let secret = |text: Option<String>| text.map(Secret::new);
    let Some(name) = expanded("registry")? else {
        let place = fields.place_of("registry");
        fields.reader.note(place, "a registry in creds has no name; its settings have no effect");
        return Ok(None);
    };
    let (host, is_http) = host(fields, &name)?;
    let hostname = fields.text("hostname")?.filter(|hostname| match host.as_str() {
        DOCKER_HUB => !is_hub(hostname),
        host => hostname != host,
    });
    let tls = fields.get("tls").map_or(Ok(None), |item| tls(&item))?;
    let has_tls = tls.is_some() || is_http;
    let regcert = expanded("regcert")?;
    // As for registries that the configuration does not name.
    let is_plain = regcert.is_none() && speaks_plain_http(hostname.as_deref().unwrap_or(&host));
    let credential = Credential {
        host,
        hostname,
        user: expanded("user")?,
        pass: secret(expanded("pass")?),
        token: secret(fields.text("token")?),
        cred_helper: fields.text("credHelper")?,
        cred_expire: fields
            .get("credExpire")
            .map(|item| expiry(&item))
            .transpose()?
            .filter(|time| !time.is_zero()),
        cred_host: fields.text("credHost")?,
        tls: tls.unwrap_or(if is_http || is_plain { Tls::Disabled } else { Tls::Enabled }),
        regcert,
        client_cert: expanded("clientCert")?,
        client_key: secret(expanded("clientKey")?),
        path_prefix: fields.text("pathPrefix")?.map(|prefix| prefix.trim_matches('/').into()),
        mirrors: fields.texts("mirrors")?,
        req_per_sec: fields
            .get("reqPerSec")
            .map(|item| item.number())
            .transpose()?
            .filter(|number| *number > 0.0),
        req_concurrent: fields
            .count("reqConcurrent")?
            .filter(|number| *number > 0)
            .map(|number| number as usize),
        place: fields.place,
    };
    Ok(Some((credential, has_tls)))
}

/// Reads `tls` case-insensitively; empty text counts as absent.
fn tls(item: &Item<'_, '_>) -> Result<Option<Tls>> {
    match item.text()?.to_ascii_lowercase().as_str() {
        "" => Ok(None),
        "enabled" => Ok(Some(Tls::Enabled)),
        "insecure" => Ok(Some(Tls::Insecure)),
        "disabled" => Ok(Some(Tls::Disabled)),
        // The error lists the words and suggests the most similar one.
        _ => item.choice(TLS, &[Tls::Enabled, Tls::Insecure, Tls::Disabled]).map(Some),
    }
}

/// Reads a duration; a plain number is in nanoseconds, as in regsync.
fn expiry(item: &Item<'_, '_>) -> Result<Duration> {
    match item.raw()?.parse::<u64>() {
        Ok(nanoseconds) => Ok(Duration::from_nanos(nanoseconds)),
        Err(_) => item.duration(),
    }
}

fn is_hub(name: &str) -> bool {
    DOCKER_HUB_NAMES.contains(&name)
}

/// Returns the registry's name in references, and whether it was written with `http://`.
fn host(fields: &Fields<'_, '_>, name: &str) -> Result<(String, bool)> {
    if is_hub(name) {
        return Ok((DOCKER_HUB.into(), false));
    }
    let (scheme, rest) = name.split_once("://").unwrap_or(("https", name));
    let invalid =
        |why: &str| fields.reader.error(fields.place_of("registry"), format!("invalid registry: {why}"));
    if !matches!(scheme, "http" | "https") {
        return Err(invalid("the host may only follow http:// or https://"));
    }
    let (host, path) = rest.split_once('/').unwrap_or((rest, ""));
    if host.is_empty() || host.contains(|c: char| c.is_whitespace() || matches!(c, '@' | '?' | '#')) {
        return Err(invalid("a host is expected, as in registry.example:5000"));
    }
    if !path.is_empty() {
        fields.reader.note(
            fields.place_of("registry"),
            format!("the registry {name} has a path; its settings apply to all of {host}"),
        );
    }
    Ok((host.into(), scheme == "http"))
}

impl Credential {
    /// Adds the values of a later item for the same registry.
    fn add(&mut self, later: Credential, has_tls: bool) {
        if later.cred_helper.is_none() && later.pass.is_some() {
            self.cred_helper = None;
            self.cred_expire = None;
        }
        if later.cred_helper.is_some()
            && later.user.is_none()
            && later.pass.is_none()
            && later.token.is_none()
        {
            (self.user, self.pass, self.token) = (None, None, None);
        }
        fn replace<T>(own: &mut Option<T>, later: Option<T>) {
            if later.is_some() {
                *own = later;
            }
        }
        replace(&mut self.hostname, later.hostname);
        replace(&mut self.user, later.user);
        replace(&mut self.pass, later.pass);
        replace(&mut self.token, later.token);
        replace(&mut self.cred_helper, later.cred_helper);
        replace(&mut self.cred_expire, later.cred_expire);
        replace(&mut self.cred_host, later.cred_host);
        replace(&mut self.regcert, later.regcert);
        replace(&mut self.client_cert, later.client_cert);
        replace(&mut self.client_key, later.client_key);
        replace(&mut self.path_prefix, later.path_prefix);
        replace(&mut self.req_per_sec, later.req_per_sec);
        replace(&mut self.req_concurrent, later.req_concurrent);
        if !later.mirrors.is_empty() {
            self.mirrors = later.mirrors;
        }
        if has_tls {
            self.tls = later.tls;
        }
    }
}
