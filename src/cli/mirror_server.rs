//! `reapify mirror server`: runs passes by schedule, and mirrors images by webhook.

use super::interrupt;
use super::mirror_lines::Lines;
use super::mirror_setup::{Loaded, PassArgs, Setup};
use super::options::Global;
use super::output::Console;
use crate::error::{Error, Result};
use crate::mirror::config::{Events, Proof as Stated};
use crate::mirror::{Effort, Results, Rule, schedule};
use crate::serve::{Current, Limits, Metrics, Proof, Queue, Receiver, Server, Service, serve};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

/// The capacity of the queue: a delivery of a thousand events fits for each of ten entries.
const QUEUE: usize = 10_000;
/// The number of images from events that are mirrored at once.
const WORKERS: usize = 16;

#[derive(clap::Args)]
pub struct Args {
    /// Address of the HTTP listener for webhooks, metrics and health checks: /events, /metrics, /healthz, /readyz
    #[arg(long, value_name = "ADDRESS:PORT", value_parser = address)]
    listen: Option<SocketAddr>,
    /// Time to finish images from webhooks after SIGTERM
    #[arg(long, value_name = "SECONDS", default_value_t = 25)]
    drain: u64,
    #[command(flatten)]
    pass: PassArgs,
}

/// Runs the server until a signal ends it.
pub async fn run(global: &Global, args: Args, console: &Console) -> Result<()> {
    let drain = Duration::from_secs(args.drain);
    interrupt::allow(drain + Duration::from_secs(2));
    let setup = Setup {
        network: &args.pass.network,
        part: &args.pass.part,
        effort: Effort::Changed,
        recheck: false,
        rechecked: Default::default(),
        sinks: Default::default(),
    };
    let loaded = Loaded::read(args.pass.config.path(), console)?;
    note_idle(&loaded, &args, console);
    let receivers = receivers(&loaded.config.events)?;
    let lines = Arc::new(Mutex::new(Lines::open(&args.pass.files, global, false)?));
    let first = current(loaded, &setup);
    let workers = first.parallel.min(WORKERS);
    let (queue, metrics) = (Queue::new(QUEUE), Arc::new(Metrics::default()));
    let shared_lines = lines.clone();
    let report = move |line| shared_lines.lock().unwrap_or_else(PoisonError::into_inner).add(&line);
    let server = Arc::new(Server::new(first, setup.work()?, queue.clone(), metrics.clone(), report));
    let stop = CancellationToken::new();
    let service = Service::new(receivers, Limits::default(), server.clone(), queue.clone(), metrics);
    let service = Arc::new(service.map_err(Error::usage)?);
    let listening = match args.listen {
        Some(address) => {
            let listener = listen(address, console).await?;
            Some(tokio::spawn(serve(listener, service.clone(), stop.clone())))
        }
        None => None,
    };
    let running = tokio::spawn({
        let server = server.clone();
        async move { server.run(workers).await }
    });
    until_signal(&server, &service, &args, &setup, console).await?;
    console.note("stopping: finishing the images from webhooks");
    if timeout(drain, queue.drain()).await.is_err() {
        console.note("some images are left for the first pass after the next start");
    }
    stop.cancel();
    server.stop().await;
    running.abort();
    if let Some(listening) = listening {
        let _ = timeout(Duration::from_secs(1), listening).await;
    }
    let mut lines = lines.lock().unwrap_or_else(PoisonError::into_inner);
    console.note(&lines.summary.to_string());
    lines.close(true)
}

/// Reads an address. Without a host it is that of all interfaces.
fn address(text: &str) -> std::result::Result<SocketAddr, String> {
    let full = match text.rsplit_once(':') {
        Some(("", port)) => format!("0.0.0.0:{port}"),
        Some(("localhost", port)) => format!("127.0.0.1:{port}"),
        _ => text.to_owned(),
    };
    full.parse().map_err(|_| "an address and a port are expected, as in 127.0.0.1:8080 or :8080".into())
}

/// Notes the entries that run only once, because nothing starts them again.
fn note_idle(loaded: &Loaded, args: &Args, console: &Console) {
    let is_idle = |rule: &&Arc<Rule>| matches!(schedule(&rule.entry), Ok(None));
    let idle = loaded.rules.iter().filter(is_idle).count();
    if args.listen.is_none() && idle > 0 {
        let all = loaded.rules.len();
        console.note(&format!(
            "note: entries with neither an interval nor a schedule: {idle} of {all}; without --listen, only SIGHUP runs \
             them again"
        ));
    }
}

async fn listen(address: SocketAddr, console: &Console) -> Result<TcpListener> {
    let listener = TcpListener::bind(address).await.map_err(|e| {
        Error::other(format!("cannot listen on {address}: {e}")).hint("choose another address with --listen")
    })?;
    console.note(&format!("listening on http://{}", listener.local_addr().unwrap_or(address)));
    Ok(listener)
}

/// Reloads the configuration at each SIGHUP, until a signal ends the server.
async fn until_signal(
    server: &Arc<Server>,
    service: &Service,
    args: &Args,
    setup: &Setup<'_>,
    console: &Console,
) -> Result<()> {
    let mut hangup = signal(SignalKind::hangup())?;
    loop {
        tokio::select! {
            () = interrupt::signalled() => return Ok(()),
            _ = hangup.recv() => match again(service, args, console) {
                Ok(loaded) => {
                    note_idle(&loaded, args, console);
                    server.reload(current(loaded, setup));
                    console.note("the configuration was reloaded");
                }
                Err(error) => console.error(&error.context("the configuration was not reloaded"), None),
            },
        }
    }
}

/// Reloads the configuration and its senders of webhooks.
fn again(service: &Service, args: &Args, console: &Console) -> Result<Loaded> {
    let loaded = Loaded::read(args.pass.config.path(), console)?;
    service.set_receivers(receivers(&loaded.config.events)?).map_err(Error::usage)?;
    Ok(loaded)
}

fn current(loaded: Loaded, setup: &Setup<'_>) -> Current {
    Current {
        shared: Arc::new(setup.shared(&loaded.config, &Arc::default())),
        parallel: setup.parallel(&loaded.config),
        results: Arc::new(Results::new(&loaded.rules)),
        config: loaded.config,
        rules: loaded.rules,
    }
}

/// Returns the senders of webhooks that the configuration names.
fn receivers(events: &Events) -> Result<Vec<Receiver>> {
    let receiver = |stated: &crate::mirror::config::Receiver| {
        let proof = match &stated.proof {
            Stated::None => Ok(Proof::nothing()),
            Stated::Bearer(secret) => Proof::bearer(secret.expose()),
            Stated::Header { name, value } => Proof::header(name, value.expose()),
            Stated::Hmac { header, key } => Proof::signature(header, key.expose()),
            Stated::Path(secret) => Proof::path(secret.expose()),
        };
        let proof = proof.map_err(|e| {
            Error::usage(format!("invalid receiver {:?} on line {}: {e}", stated.path, stated.place.line))
        })?;
        Ok(Receiver { name: stated.path.clone(), kind: stated.kind, proof })
    };
    events.receivers.iter().map(receiver).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_may_lack_its_host() {
        for (text, expected) in [
            (":8080", "0.0.0.0:8080"),
            ("localhost:5921", "127.0.0.1:5921"),
            ("127.0.0.1:0", "127.0.0.1:0"),
            ("[::]:8080", "[::]:8080"),
        ] {
            assert_eq!(address(text).unwrap().to_string(), expected);
        }
        for text in ["8080", "", ":", "localhost", "registry.example:80"] {
            assert!(address(text).unwrap_err().contains("as in 127.0.0.1:8080"), "{text}");
        }
    }
}
