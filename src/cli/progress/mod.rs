//! Progress on standard error: lines that are redrawn on a terminal, and periodic lines elsewhere.

mod text;

pub use text::Facts;
use text::Images;

use super::stderr;
use clap::ValueEnum;
use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use std::collections::VecDeque;
use std::io::IsTerminal;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// How to show progress.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Default)]
pub enum Mode {
    /// Lines that are redrawn, if standard error is a terminal; otherwise as `plain`
    #[default]
    Auto,
    /// A line of text every 30 s
    Plain,
    /// No progress
    None,
}

/// The time before progress is shown; most runs are finished by then.
const QUIET: Duration = Duration::from_secs(1);
/// The time between two drawings.
const FRAME: Duration = Duration::from_millis(200);
/// The time between two lines of text.
const LINE: Duration = Duration::from_secs(30);
/// The period over which the rate is measured.
const WINDOW: Duration = Duration::from_secs(5);
/// The maximum number of blobs with a line of their own.
const MOST_BLOBS: usize = 8;
/// The width of a terminal that does not report it.
const COLUMNS: u16 = 80;

/// Counts the images of a run.
#[derive(Debug, Default)]
pub struct Counts {
    done: AtomicU64,
    failed: AtomicU64,
}

impl Counts {
    /// Adds an image.
    pub fn add(&self, has_failed: bool) {
        self.done.fetch_add(1, Ordering::Relaxed);
        self.failed.fetch_add(u64::from(has_failed), Ordering::Relaxed);
    }

    /// Returns how many images failed.
    pub fn failed(&self) -> u64 {
        self.failed.load(Ordering::Relaxed)
    }

    /// Returns the counts, with the number of all images if that is known.
    pub fn images(&self, all: Option<u64>) -> Images {
        Images { done: self.done.load(Ordering::Relaxed), failed: self.failed(), all }
    }
}

/// Shows progress until it is dropped.
pub struct Progress {
    stop: Option<mpsc::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Progress {
    /// Starts to show the progress that `facts` returns.
    pub fn start(mode: Mode, facts: impl Fn() -> Facts + Send + 'static) -> Self {
        let draws = mode == Mode::Auto && is_capable();
        let (stop, stopped) = mpsc::channel();
        let show = move || match draws {
            true => draw(&stopped, facts),
            false => write(&stopped, facts),
        };
        // If the thread cannot be started, no progress is shown.
        let thread = (mode != Mode::None)
            .then(|| std::thread::Builder::new().name("progress".into()).spawn(show).ok())
            .flatten();
        Progress { stop: Some(stop), thread }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            // The thread ends at once, and has nothing to report.
            let _ = thread.join();
        }
    }
}

/// Returns whether standard error is a terminal that can move its cursor.
fn is_capable() -> bool {
    std::io::stderr().is_terminal() && std::env::var_os("TERM").is_none_or(|term| term != "dumb")
}

/// Waits for a time, and returns whether the run has ended.
fn has_ended(stopped: &mpsc::Receiver<()>, time: Duration) -> bool {
    stopped.recv_timeout(time) != Err(RecvTimeoutError::Timeout)
}

fn write(stopped: &mpsc::Receiver<()>, facts: impl Fn() -> Facts) {
    let mut pace = Pace::default();
    pace.add(&facts());
    while !has_ended(stopped, LINE) {
        let facts = facts();
        let rate = pace.add(&facts);
        stderr::say(&format!("progress: {}", text::total(&facts, rate, usize::MAX)));
    }
}

fn draw(stopped: &mpsc::Receiver<()>, facts: impl Fn() -> Facts) {
    let mut pace = Pace::default();
    pace.add(&facts());
    if has_ended(stopped, QUIET) {
        return;
    }
    let mut lines: Vec<ProgressBar> = Vec::new();
    loop {
        let facts = facts();
        let rate = pace.add(&facts);
        // The last column is not used, because some terminals wrap there.
        let columns = usize::from(columns().saturating_sub(1));
        let blobs = facts.blobs.active.iter().take(MOST_BLOBS).filter(|_| facts.images.is_none());
        let mut texts: Vec<String> = blobs.map(|active| text::blob(active, columns)).collect();
        texts.push(text::total(&facts, rate, columns));
        let may_draw = stderr::draw(|drawn| frame(drawn, &mut lines, texts));
        if !may_draw || has_ended(stopped, FRAME) {
            break;
        }
    }
    stderr::draw(|drawn| {
        lines.iter().for_each(ProgressBar::finish_and_clear);
        // Errors are ignored, because the lines are no longer needed.
        let _ = drawn.clear();
    });
}

/// Draws these texts as the progress lines.
fn frame(drawn: &MultiProgress, lines: &mut Vec<ProgressBar>, texts: Vec<String>) {
    while lines.len() > texts.len() {
        if let Some(line) = lines.pop() {
            line.finish_and_clear();
            drawn.remove(&line);
        }
    }
    for (position, text) in texts.into_iter().enumerate() {
        if lines.len() == position {
            let line = ProgressBar::new_spinner().with_style(style());
            lines.push(drawn.add(line));
        }
        lines[position].set_message(text);
        lines[position].tick();
    }
}

fn style() -> ProgressStyle {
    ProgressStyle::with_template("{msg}").unwrap_or_else(|_| ProgressStyle::default_spinner())
}

fn columns() -> u16 {
    match console::Term::stderr().size_checked() {
        Some((_, columns)) if columns > 0 => columns,
        _ => COLUMNS,
    }
}

/// The transfer rate of the last seconds.
#[derive(Default)]
struct Pace(VecDeque<(Instant, u64)>);

impl Pace {
    /// Adds a measurement, and returns bytes per second.
    fn add(&mut self, facts: &Facts) -> u64 {
        let now = Instant::now();
        self.0.push_back((now, facts.blobs.sent.bytes));
        while self.0.len() > 2 && self.0.front().is_some_and(|(at, _)| now - *at > WINDOW) {
            self.0.pop_front();
        }
        match self.0.front() {
            Some((at, bytes)) => text::rate(facts.blobs.sent.bytes.saturating_sub(*bytes), now - *at),
            None => 0,
        }
    }
}
