//! Retries of failed operations: one policy, and one count of attempts per operation.

use crate::error::{Error, Result, Retry};
use std::hash::{BuildHasher, RandomState};
use std::time::Duration;
use tokio::time::Instant;

/// The longest pause that a registry's `Retry-After` can demand.
const MAX_PAUSE: Duration = Duration::from_secs(60);
/// The pause before the only retry of a failure that rarely passes: see [`Retry::Once`].
const SOON: Duration = Duration::from_millis(300);
/// The number of transferred bytes that resets the count of attempts. Smaller progress does not, so that a connection
/// that breaks after every byte eventually fails.
const PROGRESS: u64 = 1 << 20;

/// The limits for retrying a failed operation.
#[derive(Debug, Clone, Copy)]
pub struct Policy {
    /// The number of attempts after the first one.
    pub retries: u32,
    /// The pause before the second attempt; it doubles with each further one.
    pub backoff: Duration,
    /// The time after the first attempt, or after the last progress of a transfer, beyond which no attempt begins.
    pub total: Duration,
}

impl Policy {
    /// Starts an operation.
    pub fn start(self) -> Attempts {
        Attempts { policy: self, failed: 0, since: Instant::now(), moved: 0 }
    }

    /// Returns this policy with at most `retries` retries.
    pub fn at_most(self, retries: u32) -> Self {
        Policy { retries: self.retries.min(retries), ..self }
    }
}

/// The attempts of one operation, including its nested requests.
#[derive(Debug)]
pub struct Attempts {
    policy: Policy,
    failed: u32,
    since: Instant,
    /// The number of bytes transferred since the count was last reset.
    moved: u64,
}

impl Attempts {
    /// Records a failure. Returns the pause before the next attempt, or the error if this was the last one.
    pub fn after(&mut self, error: Error) -> Result<Duration> {
        let (retries, pause) = match error.retry() {
            None => return Err(error),
            Some(Retry::Once) => {
                (self.policy.retries.min(1), jittered(SOON.min(self.policy.backoff.saturating_mul(2))))
            }
            Some(Retry::Later { after: Some(after) }) => (self.policy.retries, after.min(MAX_PAUSE)),
            Some(Retry::Later { after: None }) => {
                let doubled = self.policy.backoff.saturating_mul(2u32.pow(self.failed.min(6)));
                (self.policy.retries, jittered(doubled))
            }
        };
        self.failed += 1;
        let is_late = self.since.elapsed().saturating_add(pause) > self.policy.total;
        if self.failed > retries || is_late {
            return Err(match self.failed {
                1 => error,
                attempts => error.context(format!("gave up after {attempts} attempts")),
            });
        }
        Ok(pause)
    }

    /// Records bytes that need not be transferred again.
    pub fn progress(&mut self, bytes: u64) {
        self.moved += bytes;
        if self.moved >= PROGRESS {
            (self.failed, self.moved, self.since) = (0, 0, Instant::now());
        }
    }
}

/// Returns a random duration between half of a pause and all of it, so that clients that failed together do not retry
/// together.
fn jittered(pause: Duration) -> Duration {
    let random = RandomState::new().hash_one(0u8) as f64 / u64::MAX as f64;
    pause.mul_f64(0.5 + random / 2.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    const POLICY: Policy =
        Policy { retries: 3, backoff: Duration::from_millis(250), total: Duration::from_secs(100) };

    fn failure(retry: Retry) -> Error {
        Error::network("x").retryable(retry)
    }

    #[tokio::test(start_paused = true)]
    async fn counts_attempts_by_kind_of_failure() {
        let later = Retry::Later { after: None };
        for (retry, pauses) in
            [(later, 3), (Retry::Once, 1), (Retry::Later { after: Some(Duration::from_secs(1)) }, 3)]
        {
            let mut attempts = POLICY.start();
            for _ in 0..pauses {
                assert!(attempts.after(failure(retry)).unwrap() <= Duration::from_secs(1));
            }
            let error = attempts.after(failure(retry)).unwrap_err();
            assert_eq!(error.to_string(), format!("gave up after {} attempts: x", pauses + 1));
        }
        assert_eq!(POLICY.start().after(Error::network("x")).unwrap_err().to_string(), "x");
    }

    #[tokio::test(start_paused = true)]
    async fn stops_after_the_total_time() {
        let mut attempts = POLICY.start();
        tokio::time::advance(Duration::from_secs(99)).await;
        let wait = Retry::Later { after: Some(Duration::from_secs(2)) };
        assert!(attempts.after(failure(wait)).is_err());
    }

    #[tokio::test(start_paused = true)]
    async fn resets_attempts_only_after_sufficient_progress() {
        let later = Retry::Later { after: None };
        let mut attempts = POLICY.start();
        for _ in 0..3 {
            attempts.after(failure(later)).unwrap();
            attempts.progress(1);
        }
        assert!(attempts.after(failure(later)).is_err());
        let mut attempts = POLICY.start();
        for _ in 0..100 {
            attempts.after(failure(later)).unwrap();
            attempts.progress(PROGRESS);
        }
    }

    #[test]
    fn limits_the_pause_that_a_registry_demands() {
        let day = Retry::Later { after: Some(Duration::from_secs(86_400)) };
        assert_eq!(POLICY.start().after(failure(day)).unwrap(), MAX_PAUSE);
    }
}
