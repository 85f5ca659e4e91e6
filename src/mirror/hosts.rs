//! Registries as the configuration and the login files describe them, with one client per host and login.

use super::config::{Config, Credential, Tls};
use super::fallback::Faults;
use crate::credentials::{Credentials, Login, LoginSource, Store, helper};
use crate::error::{Error, Kind, Result};
use crate::image::Reference;
use crate::registry::{Authority, Client, Governors, HostOptions, Identity, Options, Pem};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::time::Instant;

/// The lifetime of a credential helper's answer, unless the configuration sets one.
const HELPER_LIFETIME: Duration = Duration::from_secs(3600);

/// The number of clients per host that are kept.
const CLIENTS: usize = 16;

/// The number of repositories per host whose logins are kept.
const LOGINS: usize = 10_000;

/// The age up to which a login is kept although the host denied something: looking it up again would not change it.
const RECENT: Duration = Duration::from_secs(60);

/// The key of a login that applies to all repositories of a host.
const ALL: &str = "";

/// The logins of one host, by repository.
type Logins = Arc<tokio::sync::Mutex<HashMap<String, (Login, Instant)>>>;

/// Opens clients for registries.
pub struct Hosts {
    options: Options,
    host_options: HostOptions,
    /// Where to find credentials that the configuration does not have.
    store: Option<Store>,
    /// Credentials by the registry's name in references.
    known: HashMap<String, Credential>,
    /// The logins by host. Each host has its own lock, so that a helper that hangs holds up no other host.
    logins: Mutex<HashMap<String, Logins>>,
    clients: Mutex<Vec<(String, Credentials, Arc<Client>)>>,
}

/// The clients for the images of one repository.
#[derive(Clone)]
pub struct Pair {
    /// The client for the source.
    pub source: Arc<Client>,
    /// The client for the destination.
    pub destination: Arc<Client>,
    /// Clients for registries to try before the source's own, each with the registry's name.
    pub mirrors: Vec<(String, Arc<Client>)>,
    /// What these registries failed to send, which is kept for a second try.
    pub faults: Faults,
}

impl Hosts {
    /// Creates an instance without clients. `host_options` and `store` are those of the command line.
    pub fn new(config: &Config, options: Options, host_options: HostOptions, store: Store) -> Self {
        let mut hosts = host_options;
        hosts.user_agent.clone_from(&config.user_agent);
        for credential in &config.credentials {
            add_options(&mut hosts, credential);
        }
        Hosts {
            options,
            host_options: hosts,
            store: (!config.skip_docker_config).then_some(store),
            known: config.credentials.iter().map(|c| (c.host.clone(), c.clone())).collect(),
            logins: Mutex::default(),
            clients: Mutex::default(),
        }
    }

    /// Returns the state shared by all requests to a host, by host.
    pub fn governors(&self) -> &Governors {
        &self.options.governors
    }

    /// Returns the name under which an image is requested: the configuration may set another host and a
    /// prefix for repositories.
    pub fn reach(&self, name: &Reference) -> Result<Reference> {
        let Some(known) = self.known.get(name.host()) else { return Ok(name.clone()) };
        let repository = match &known.path_prefix {
            Some(prefix) => format!("{prefix}/{}", name.repository()),
            None => name.repository().to_owned(),
        };
        let host = known.hostname.as_deref().unwrap_or(name.host());
        if host == name.host() && known.path_prefix.is_none() {
            return Ok(name.clone());
        }
        name.moved(host, &repository)
    }

    /// Returns the clients for a source repository and its destination.
    pub async fn pair(&self, source: &Reference, destination: &Reference) -> Result<Pair> {
        let (from, to) = (self.client(source).await?, self.client(destination).await?);
        let to_apart = Arc::new(to.fork());
        let from_apart = if Arc::ptr_eq(&from, &to) { to_apart.clone() } else { Arc::new(from.fork()) };
        let mut mirrors = Vec::new();
        for host in self.known.get(source.host()).map(|known| known.mirrors.as_slice()).unwrap_or_default() {
            let client = self.client(&source.moved(host, source.repository())?).await?;
            mirrors.push((host.clone(), Arc::new(client.fork())));
        }
        Ok(Pair { source: from_apart, destination: to_apart, mirrors, faults: Faults::default() })
    }

    /// Returns a client for a host, with the login for the repository.
    pub async fn client(&self, name: &Reference) -> Result<Arc<Client>> {
        let known = self.known.get(name.host());
        let login = self.login(name, known).await?;
        let host = known.and_then(|known| known.hostname.as_deref()).unwrap_or(name.host());
        let mut clients = self.clients.lock().unwrap_or_else(PoisonError::into_inner);
        let found = clients.iter().find(|(of, whose, _)| of == name.host() && *whose == login.credentials);
        if let Some((_, _, client)) = found {
            return Ok(client.clone());
        }
        let mut options = self.options.clone();
        if let Some(known) = known {
            options.jobs = known.req_concurrent.unwrap_or(options.jobs);
            options.per_second = known.req_per_sec.or(options.per_second);
        }
        let credentials = login.credentials.clone();
        let client = Arc::new(Client::new(host, login, &self.host_options, options)?);
        // Helpers may return new logins, after which clients with the old ones are useless.
        if clients.iter().filter(|(of, ..)| of == name.host()).count() >= CLIENTS
            && let Some(oldest) = clients.iter().position(|(of, ..)| of == name.host())
        {
            clients.remove(oldest);
        }
        clients.push((name.host().to_owned(), credentials, client.clone()));
        Ok(client)
    }

    async fn login(&self, name: &Reference, known: Option<&Credential>) -> Result<Login> {
        if let Some(known) = known {
            if let Some(login) = given(known) {
                return Ok(login);
            }
            if let Some(program) = &known.cred_helper {
                let lifetime = known.cred_expire.unwrap_or(HELPER_LIFETIME);
                return self.helper_login(program, known, lifetime).await;
            }
        }
        let Some(store) = &self.store else { return Ok(Login::default()) };
        let logins = self.logins_of(name.host());
        let mut logins = logins.lock().await;
        // A helper knows the host only.
        if let Some(login) =
            [name.repository(), ALL].iter().find_map(|key| fresh(&logins, key, HELPER_LIFETIME))
        {
            return Ok(login);
        }
        let login = store.lookup(name.host(), name.repository()).await?;
        let key = if matches!(login.source, LoginSource::Helper(..)) { ALL } else { name.repository() };
        if logins.len() > LOGINS {
            logins.clear();
        }
        logins.insert(key.to_owned(), (login.clone(), Instant::now()));
        Ok(login)
    }

    async fn helper_login(&self, program: &str, known: &Credential, lifetime: Duration) -> Result<Login> {
        let logins = self.logins_of(&known.host);
        let mut logins = logins.lock().await;
        if let Some(login) = fresh(&logins, ALL, lifetime) {
            return Ok(login);
        }
        let name = program.strip_prefix("docker-credential-").unwrap_or(program);
        let server = known.cred_host.as_deref().unwrap_or(&known.host);
        let credentials = helper::get(name, server).await?;
        let login = Login { credentials, source: LoginSource::Given("credHelper") };
        logins.insert(ALL.to_owned(), (login.clone(), Instant::now()));
        Ok(login)
    }

    fn logins_of(&self, host: &str) -> Logins {
        let mut all = self.logins.lock().unwrap_or_else(PoisonError::into_inner);
        all.entry(host.to_owned()).or_default().clone()
    }

    /// Drops the logins of hosts that may have denied something, because they may have been replaced since they were
    /// looked up.
    pub fn note(&self, error: &Error, names: &[&Reference]) {
        if error.kind() != Kind::Denied {
            return;
        }
        for name in names {
            // Logins that are locked are being looked up.
            if let Ok(mut logins) = self.logins_of(name.host()).try_lock() {
                logins.retain(|_, (_, at)| at.elapsed() < RECENT);
            }
        }
    }
}

/// Returns a login that is younger than `lifetime`.
fn fresh(logins: &HashMap<String, (Login, Instant)>, key: &str, lifetime: Duration) -> Option<Login> {
    logins.get(key).filter(|(_, at)| at.elapsed() < lifetime).map(|(login, _)| login.clone())
}

/// Returns the login that the configuration has.
fn given(known: &Credential) -> Option<Login> {
    let pass = known.pass.as_ref().map(|secret| secret.expose()).unwrap_or_default();
    let credentials = match (&known.token, &known.user) {
        (Some(token), _) => Credentials::Identity(token.expose().to_owned()),
        (None, Some(user)) => Credentials::basic(user.as_str(), pass),
        (None, None) => return None,
    };
    Some(Login::given("the configuration's creds", credentials))
}

fn add_options(hosts: &mut HostOptions, credential: &Credential) {
    let host = credential.hostname.as_ref().unwrap_or(&credential.host).clone();
    match credential.tls {
        Tls::Enabled => hosts.tls.push(host.clone()),
        Tls::Insecure => hosts.insecure.push(host.clone()),
        Tls::Disabled => hosts.plain_http.push(host.clone()),
    }
    if let Some(pem) = &credential.regcert {
        hosts.authorities.push(Authority { host: Some(host.clone()), pem: Pem::Text(pem.clone()) });
    }
    if let (Some(certificate), Some(key)) = (&credential.client_cert, &credential.client_key) {
        let identity =
            Identity { certificate: Pem::Text(certificate.clone()), key: Pem::Text(key.expose().to_owned()) };
        hosts.identities.push((host, identity));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mirror::config::{self, Outside};

    struct Nothing;

    impl Outside for Nothing {
        fn env(&self, _: &str) -> Option<String> {
            None
        }

        fn file(&self, _: &str) -> std::result::Result<String, String> {
            Err("no files".into())
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_login_is_looked_up_again_after_it_was_denied() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("auth.json");
        let write = |auth: &str| {
            std::fs::write(&file, format!(r#"{{"auths":{{"r.example":{{"auth":"{auth}"}}}}}}"#)).unwrap();
        };
        let config = config::load("version: 1\n", "", &Nothing).unwrap().config;
        let store = Store { authfile: Some(file.clone()) };
        let hosts = Hosts::new(&config, Options::default(), HostOptions::default(), store);
        let name: Reference = "r.example/app:v1".parse().unwrap();
        let login = async || hosts.login(&name, None).await.unwrap().credentials;
        let (old, new) = (Credentials::basic("ann", "old"), Credentials::basic("ann", "new"));
        write("YW5uOm9sZA==");
        assert_eq!(login().await, old);
        write("YW5uOm5ldw==");
        hosts.note(&Error::denied("no"), &[&name]);
        assert_eq!(login().await, old, "it is as new as a login can be");
        tokio::time::advance(RECENT).await;
        hosts.note(&Error::network("no"), &[&name]);
        assert_eq!(login().await, old);
        hosts.note(&Error::denied("no"), &[&name]);
        assert_eq!(login().await, new);
    }
}
