//! Ctrl-C and SIGTERM. A thread of its own watches for them from the start of the program, so that a run ends
//! wherever it is: the run is told and may clean up, and is ended if it does not end by itself.

use super::options::Format;
use super::output::Console;
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

/// How long it may take to cancel open uploads.
const CLEANUP: Duration = Duration::from_millis(800);
/// How long a run may take to end by itself; it may hang in a system call.
const GRACE: Duration = Duration::from_millis(1300);
/// How long the last message may take: standard error may be a full pipe.
const LAST_WORDS: Duration = Duration::from_millis(200);

/// A signal that ends the program.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Signal {
    Interrupt,
    Terminate,
}

/// What the thread and the run share.
struct Shared {
    received: watch::Sender<Option<Signal>>,
    /// The run, for what it has to say at its end.
    run: Mutex<Option<Arc<Stats>>>,
    /// How many parts of the run clean up when a signal comes.
    cleaning: AtomicUsize,
    /// How long a run that ends by itself may take, in milliseconds; 0 if it is ended.
    allowed: AtomicU64,
}

static SHARED: LazyLock<Shared> = LazyLock::new(|| Shared {
    received: watch::Sender::new(None),
    run: Mutex::default(),
    cleaning: AtomicUsize::new(0),
    allowed: AtomicU64::new(0),
});

/// The form of the last message, once it is known.
static FORMAT: OnceLock<Format> = OnceLock::new();

/// Sets the form of the last message.
pub fn speaks(format: Format) {
    // Set once: there is one command line.
    let _ = FORMAT.set(format);
}

/// Starts to watch. Without the thread signals do what they do by default.
pub fn install() {
    let (ready, installed) = mpsc::channel();
    let thread = std::thread::Builder::new().name("signals".into()).spawn(move || watch(&ready));
    if thread.is_ok() {
        // An error means that the thread has ended, and with it what it would have done.
        let _ = installed.recv();
    }
}

/// Names the run whose end is told.
pub fn watches(stats: Arc<Stats>) {
    *SHARED.run.lock().unwrap_or_else(PoisonError::into_inner) = Some(stats);
}

fn watch(ready: &mpsc::Sender<()>) -> std::io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let mut interrupt = unix::signal(SignalKind::interrupt())?;
        let mut terminate = unix::signal(SignalKind::terminate())?;
        let _ = ready.send(());
        let mut next = async || {
            tokio::select! {
                _ = interrupt.recv() => Signal::Interrupt,
                _ = terminate.recv() => Signal::Terminate,
            }
        };
        let first = next().await;
        SHARED.received.send_replace(Some(first));
        let allowed = Duration::from_millis(SHARED.allowed.load(Ordering::SeqCst));
        end(timeout(GRACE.max(allowed), next()).await.unwrap_or(first))
    })
}

/// Ends the program without the run.
fn end(signal: Signal) -> ! {
    temporary::remove_all();
    let error = error(signal);
    let code = i32::from(error.kind().exit_code());
    let (said, saying) = mpsc::channel();
    std::thread::spawn(move || {
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

/// Lets a run end by itself when a signal comes, within a time. A second signal ends it at once.
pub fn allow(time: Duration) {
    SHARED.allowed.store(u64::try_from(time.as_millis()).unwrap_or(u64::MAX), Ordering::SeqCst);
}

/// Waits for a signal.
pub async fn signalled() {
    received().await;
}

/// Returns the error for a run that was ended.
fn error(signal: Signal) -> Error {
    let kind = match signal {
        Signal::Interrupt => Kind::Interrupted,
        Signal::Terminate => Kind::Terminated,
    };
    let run = SHARED.run.lock().unwrap_or_else(PoisonError::into_inner).clone();
    match run.map(|stats| stats.tag.state()) {
        None => Error::new(kind, "interrupted"),
        Some(TagState::Untouched) => Error::new(kind, "interrupted").hint("nothing was tagged; run it again"),
        Some(TagState::Moving(digest)) => Error::new(kind, "interrupted while the tag was being written")
            .hint(format!("the tag may already point to {digest}; run it again to be sure")),
        Some(TagState::Moved(digest)) => {
            Error::new(kind, format!("interrupted, but the tag already points to {digest}"))
                .hint("run it again to see the whole result")
        }
    }
}

/// Runs a whole command until it ends or a signal comes.
pub async fn until_signal<T>(work: impl Future<Output = Result<T>>) -> Result<T> {
    let signal = async {
        let signal = received().await;
        if SHARED.allowed.load(Ordering::SeqCst) > 0 {
            return std::future::pending().await;
        }
        if SHARED.cleaning.load(Ordering::SeqCst) > 0 {
            // The part that cleans up ends by itself; this is for one that does not.
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

/// Runs work until it ends or a signal comes; then it is dropped and `cleanup` is run, for a bounded time.
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

/// Held by a part of the run that cleans up.
struct Cleaning;

impl Drop for Cleaning {
    fn drop(&mut self) {
        SHARED.cleaning.fetch_sub(1, Ordering::SeqCst);
    }
}
