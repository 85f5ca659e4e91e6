//! Ctrl-C, SIGTERM, and SIGHUP of a closed terminal. A separate thread watches for them from the start of the program,
//! so that a run ends in any state: the run is notified and may clean up, and is ended if it does not end by itself.

use super::options::Format;
use super::output::Console;
use super::password;
use super::stderr;
use crate::error::{Error, Kind, Result};
use crate::stats::{Stats, TagState};
use crate::temporary;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc;
use std::sync::{Arc, LazyLock, Mutex, OnceLock, PoisonError};
use std::time::Duration;
use tokio::signal::unix::{self, SignalKind};
use tokio::sync::watch;
use tokio::time::{sleep, timeout};

/// The time limit for cancelling open uploads.
const CLEANUP: Duration = Duration::from_millis(800);
/// The time limit for a run to end by itself; it may be blocked in a system call.
const GRACE: Duration = Duration::from_millis(1300);
/// The time limit for the last message: standard error may be a full pipe.
const LAST_WORDS: Duration = Duration::from_millis(200);

/// A signal that ends the program.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Signal {
    Interrupt,
    Terminate,
    HangUp,
}

/// State shared by the thread and the run.
struct Shared {
    received: watch::Sender<Option<Signal>>,
    /// The counters of the run, for the last message.
    run: Mutex<Option<Arc<Stats>>>,
    /// The number of parts of the run that clean up after a signal.
    cleaning: AtomicUsize,
    /// The time in milliseconds within which the run may end by itself; 0 if it is to be ended.
    allowed: AtomicU64,
}

static SHARED: LazyLock<Shared> = LazyLock::new(|| Shared {
    received: watch::Sender::new(None),
    run: Mutex::default(),
    cleaning: AtomicUsize::new(0),
    allowed: AtomicU64::new(0),
});

/// The format of the last message, once it is known.
static FORMAT: OnceLock<Format> = OnceLock::new();

/// Sets the format of the last message.
pub fn set_format(format: Format) {
    // Set only once, because there is one command line.
    let _ = FORMAT.set(format);
}

/// Starts to watch for signals. If that fails, they have their default effect.
pub fn install() {
    let (ready, installed) = mpsc::channel();
    let thread = std::thread::Builder::new().name("signals".into()).spawn(move || watch(&ready));
    if thread.is_ok() {
        // An error means that the thread has ended, and signals have their default effect.
        let _ = installed.recv();
    }
}

/// Sets the run to report on when it is interrupted.
pub fn report_on(stats: Arc<Stats>) {
    *SHARED.run.lock().unwrap_or_else(PoisonError::into_inner) = Some(stats);
}

fn watch(ready: &mpsc::Sender<()>) -> std::io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let mut interrupt = unix::signal(SignalKind::interrupt())?;
        let mut terminate = unix::signal(SignalKind::terminate())?;
        let mut hangup = if ignores_hangup() { None } else { Some(unix::signal(SignalKind::hangup())?) };
        let _ = ready.send(());
        let mut next = async || loop {
            let hung_up = async {
                match &mut hangup {
                    Some(hangup) => hangup.recv().await,
                    None => std::future::pending().await,
                }
            };
            return tokio::select! {
                _ = interrupt.recv() => Signal::Interrupt,
                _ = terminate.recv() => Signal::Terminate,
                // A run that ends by itself is a server, which reloads its configuration.
                _ = hung_up => match SHARED.allowed.load(Ordering::SeqCst) {
                    0 => Signal::HangUp,
                    _ => continue,
                },
            };
        };
        let first = next().await;
        SHARED.received.send_replace(Some(first));
        // A run that waits for a password does nothing else.
        if password::give_up() {
            end(first);
        }
        let allowed = Duration::from_millis(SHARED.allowed.load(Ordering::SeqCst));
        end(timeout(GRACE.max(allowed), next()).await.unwrap_or(first))
    })
}

/// Returns whether SIGHUP is not to be watched: it is ignored, as by nohup, or the system does not tell.
fn ignores_hangup() -> bool {
    const HANGUP: u64 = 1;
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let ignored = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    ignored.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).is_none_or(|mask| mask & HANGUP != 0)
}

/// Ends the program without waiting for the run.
fn end(signal: Signal) -> ! {
    password::give_up();
    temporary::remove_all();
    let error = error(signal);
    let code = i32::from(error.kind().exit_code());
    let (said, saying) = mpsc::channel();
    std::thread::spawn(move || {
        stderr::stop_drawing();
        let format = FORMAT.get().copied().unwrap_or_default();
        Console::new(0, false, format).error(&error, None);
        let _ = said.send(());
    });
    let _ = saying.recv_timeout(LAST_WORDS);
    std::process::exit(code)
}

async fn received() -> Signal {
    match SHARED.received.subscribe().wait_for(Option::is_some).await.map(|signal| *signal) {
        Ok(Some(signal)) => signal,
        // The sender is never dropped, and the predicate holds.
        _ => std::future::pending().await,
    }
}

/// Lets the run end by itself within a time after a signal. A second signal ends it at once.
pub fn allow(time: Duration) {
    SHARED.allowed.store(u64::try_from(time.as_millis()).unwrap_or(u64::MAX), Ordering::SeqCst);
}

/// Waits for a signal.
pub async fn signalled() {
    received().await;
}

/// Returns the error of an interrupted run.
fn error(signal: Signal) -> Error {
    let kind = match signal {
        Signal::Interrupt => Kind::Interrupted,
        Signal::Terminate => Kind::Terminated,
        Signal::HangUp => Kind::HungUp,
    };
    let run = SHARED.run.lock().unwrap_or_else(PoisonError::into_inner).clone();
    match run.map(|stats| stats.tag.state()) {
        None => Error::new(kind, "interrupted"),
        Some(TagState::Untouched) => {
            Error::new(kind, "interrupted").hint("nothing was tagged; run the command again")
        }
        Some(TagState::Moving(digest)) => Error::new(kind, "interrupted while the tag was being written")
            .hint(format!("the tag may already refer to {digest}; run the command again to be sure")),
        Some(TagState::Moved(digest)) => {
            Error::new(kind, format!("interrupted, but the tag already refers to {digest}"))
                .hint("run the command again to see the full result")
        }
    }
}

/// Runs a command until it ends or a signal arrives.
pub async fn until_signal<T>(work: impl Future<Output = Result<T>>) -> Result<T> {
    let signal = async {
        let signal = received().await;
        if SHARED.allowed.load(Ordering::SeqCst) > 0 {
            return std::future::pending().await;
        }
        if SHARED.cleaning.load(Ordering::SeqCst) > 0 {
            // Work with a cleanup ends by itself; this is for work without one.
            sleep(CLEANUP + Duration::from_millis(100)).await;
        }
        signal
    };
    tokio::select! {
        biased;
        outcome = work => outcome,
        signal = signal => Err(error(signal)),
    }
}

/// Runs work until it ends or a signal arrives. Then the work is dropped, and `cleanup` runs for a limited
/// time.
pub async fn interruptible<T>(
    work: impl Future<Output = Result<T>>,
    cleanup: impl AsyncFnOnce(),
) -> Result<T> {
    SHARED.cleaning.fetch_add(1, Ordering::SeqCst);
    let _cleaning = Cleaning;
    let signal = {
        tokio::pin!(work);
        tokio::select! {
            biased;
            outcome = &mut work => return outcome,
            signal = received() => signal,
        }
    };
    let _ = timeout(CLEANUP, cleanup()).await;
    Err(error(signal))
}

/// Marks a part of the run that cleans up, while it exists.
struct Cleaning;

impl Drop for Cleaning {
    fn drop(&mut self) {
        SHARED.cleaning.fetch_sub(1, Ordering::SeqCst);
    }
}
