//! State that all clients of one host share, whatever their login: turns, pauses, and what was learned about the
//! host.

use super::quirks::Upload;
use reqwest::header::HeaderMap;
use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;

/// The maximum number of failure causes that are remembered as reported. An attacker could invent any number.
const MAX_REPORTED: usize = 1000;

/// A limiter of the requests to one host.
#[derive(Debug)]
pub struct Governor {
    requests: Arc<Semaphore>,
    /// The permits for downloads: one less than there are turns, because a download holds one while the upload that
    /// it feeds waits for another.
    downloads: Arc<Semaphore>,
    /// Whether a download also takes a turn for a request; not if there is only one turn.
    is_shared: bool,
    /// The minimum time between requests.
    spacing: Option<Duration>,
    sent: AtomicU64,
    failed: AtomicU64,
    state: Mutex<State>,
}

/// The remaining pulls that a registry allows (Docker Hub's `RateLimit-Limit` and `RateLimit-Remaining`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    /// The total number of pulls allowed, if it is stated.
    pub limit: Option<u64>,
    /// The number of pulls left.
    pub remaining: u64,
}

impl Rate {
    /// Parses the headers of a response: a number, with the window after a semicolon.
    pub fn read(headers: &HeaderMap) -> Option<Self> {
        let number = |name: &str| {
            let text = headers.get(name)?.to_str().ok()?;
            text.split([';', ',']).next()?.trim().parse().ok()
        };
        Some(Rate { limit: number("ratelimit-limit"), remaining: number("ratelimit-remaining")? })
    }
}

#[derive(Debug, Default)]
struct State {
    paused_until: Option<Instant>,
    /// The time at which the next request may be sent.
    next: Option<Instant>,
    rate: Option<Rate>,
    reported: HashSet<String>,
    upload: Option<Upload>,
}

/// A turn, released when it is dropped, which is after the last byte of a response.
#[derive(Debug)]
pub struct Turn(#[expect(dead_code, reason = "held for its drop")] Vec<OwnedSemaphorePermit>);

impl Governor {
    /// Creates a governor that allows `jobs` concurrent requests, and `per_second` new ones per second.
    pub fn new(jobs: usize, per_second: Option<f64>) -> Self {
        let jobs = jobs.max(1);
        Governor {
            requests: Arc::new(Semaphore::new(jobs)),
            downloads: Arc::new(Semaphore::new((jobs - 1).max(1))),
            is_shared: jobs > 1,
            spacing: per_second.and_then(|n| Duration::try_from_secs_f64(1.0 / n).ok()),
            sent: AtomicU64::new(0),
            failed: AtomicU64::new(0),
            state: Mutex::default(),
        }
    }

    /// Waits for a turn to send one request.
    pub async fn request(&self) -> Turn {
        let turn = acquire(&self.requests).await;
        self.pace().await;
        Turn(turn.into_iter().collect())
    }

    /// Waits for a turn to read one blob, with as many requests as that takes.
    pub async fn download(&self) -> Turn {
        let mut turns = Vec::from_iter(acquire(&self.downloads).await);
        if self.is_shared {
            turns.extend(acquire(&self.requests).await);
        }
        Turn(turns)
    }

    /// Waits until a request may be sent: no pause is in effect, and the rate limit allows it.
    pub async fn pace(&self) {
        self.ready().await;
        self.space().await;
    }

    /// Waits until no pause is in effect.
    pub async fn ready(&self) {
        loop {
            let until = self.lock().paused_until;
            match until.filter(|until| *until > Instant::now()) {
                Some(until) => tokio::time::sleep_until(until).await,
                None => return,
            }
        }
    }

    /// Waits until the rate limit allows the next request.
    async fn space(&self) {
        let Some(spacing) = self.spacing else { return };
        let at = {
            let mut state = self.lock();
            let at = state.next.unwrap_or_else(Instant::now).max(Instant::now());
            state.next = Some(at + spacing);
            at
        };
        tokio::time::sleep_until(at).await;
    }

    /// Counts a request; `is_answered` is false if the host failed.
    pub fn count(&self, is_answered: bool) {
        self.sent.fetch_add(1, Ordering::Relaxed);
        self.failed.fetch_add(u64::from(!is_answered), Ordering::Relaxed);
    }

    /// Returns how many requests were sent, and how many of them failed.
    pub fn counts(&self) -> (u64, u64) {
        (self.sent.load(Ordering::Relaxed), self.failed.load(Ordering::Relaxed))
    }

    /// Returns the remaining pulls, as the host last stated them.
    pub fn rate(&self) -> Option<Rate> {
        self.lock().rate
    }

    /// Stores the remaining pulls that the host stated.
    pub fn set_rate(&self, rate: Rate) {
        self.lock().rate = Some(rate);
    }

    /// Delays all requests, because the host is overloaded or limits its rate.
    pub fn pause(&self, pause: Duration) {
        let until = Instant::now() + pause;
        let mut state = self.lock();
        state.paused_until = state.paused_until.max(Some(until));
    }

    /// Returns whether a cause of failure is new; each is reported once.
    pub fn is_news(&self, cause: &str) -> bool {
        let mut state = self.lock();
        state.reported.len() < MAX_REPORTED && state.reported.insert(cause.to_owned())
    }

    /// Returns the upload method to use after the usual one was refused.
    pub fn upload(&self) -> Option<Upload> {
        self.lock().upload
    }

    /// Stores the upload method to use.
    pub fn set_upload(&self, upload: Upload) {
        self.lock().upload = Some(upload);
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn acquire(semaphore: &Arc<Semaphore>) -> Option<OwnedSemaphorePermit> {
    // Acquiring fails only if the semaphore is closed, which never happens.
    semaphore.clone().acquire_owned().await.ok()
}

/// The governors of a run, one per host.
#[derive(Debug, Default)]
pub struct Governors(Mutex<HashMap<String, Arc<Governor>>>);

impl Governors {
    /// Returns the governor of a host; the first client sets its limits.
    pub fn of(&self, host: &str, jobs: usize, per_second: Option<f64>) -> Arc<Governor> {
        let mut hosts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        hosts.entry(host.to_owned()).or_insert_with(|| Arc::new(Governor::new(jobs, per_second))).clone()
    }

    /// Returns every host so far, with its governor.
    pub fn all(&self) -> Vec<(String, Arc<Governor>)> {
        let hosts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        hosts.iter().map(|(host, governor)| (host.clone(), governor.clone())).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::FutureExt;

    #[tokio::test(start_paused = true)]
    async fn downloads_leave_a_turn_for_an_upload() {
        for jobs in [1, 2, 5] {
            let governor = Governor::new(jobs, None);
            let mut downloads = Vec::new();
            while let Some(turn) = governor.download().now_or_never() {
                downloads.push(turn);
            }
            assert_eq!(downloads.len(), (jobs - 1).max(1));
            let upload = governor.request().now_or_never();
            assert!(upload.is_some() && governor.request().now_or_never().is_none());
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_pause_delays_every_request() {
        let governor = Governor::new(5, None);
        governor.pause(Duration::from_secs(10));
        governor.pause(Duration::from_secs(3));
        let begun = Instant::now();
        let download = async {
            let turn = governor.download().await;
            // Each request of a download waits.
            governor.pace().await;
            turn
        };
        let turns = tokio::join!(governor.request(), download);
        assert_eq!(begun.elapsed().as_secs(), 10);
        drop(turns);
    }

    #[tokio::test(start_paused = true)]
    async fn requests_are_spaced() {
        let governor = Governor::new(5, Some(4.0));
        let begun = Instant::now();
        for _ in 0..9 {
            drop(governor.request().await);
        }
        assert_eq!(begun.elapsed().as_secs(), 2);
    }

    #[test]
    fn reads_rate_limits_with_and_without_a_window() {
        let rate = |pairs: &[(&'static str, &'static str)]| {
            let headers = pairs.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap()));
            Rate::read(&headers.collect())
        };
        let both = [("ratelimit-limit", "100;w=21600"), ("ratelimit-remaining", "76;w=21600")];
        assert_eq!(rate(&both), Some(Rate { limit: Some(100), remaining: 76 }));
        assert_eq!(rate(&[("ratelimit-remaining", " 5 ")]), Some(Rate { limit: None, remaining: 5 }));
        assert_eq!(rate(&[("ratelimit-remaining", "many")]), None);
        assert_eq!(rate(&[]), None);
    }
}
