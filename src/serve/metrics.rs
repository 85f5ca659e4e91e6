//! Metrics of a mirror, for Prometheus.

use prometheus_client::encoding::prometheus_text;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::{Metric, Registry, Unit};
use std::collections::HashMap;
use std::fmt;
use std::sync::atomic::AtomicU64;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

/// The media type of [`Metrics::encode`].
pub const MEDIA_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

type Labels<const N: usize> = [(&'static str, String); N];
type Seconds = Gauge<f64, AtomicU64>;

/// The direction of a transfer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// From a source.
    Pulled,
    /// To a destination.
    Pushed,
}

/// The outcome of an event, or of a delivery that was refused as a whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// The image was queued.
    Queued,
    /// The image was in the queue already.
    Merged,
    /// The event affects no image of the configuration.
    Ignored,
    /// The queue was full.
    Refused,
    /// The sender did not authenticate.
    Denied,
    /// The body was invalid.
    Invalid,
}

impl Outcome {
    fn name(self) -> &'static str {
        match self {
            Outcome::Queued => "queued",
            Outcome::Merged => "merged",
            Outcome::Ignored => "ignored",
            Outcome::Refused => "refused",
            Outcome::Denied => "denied",
            Outcome::Invalid => "invalid",
        }
    }
}

/// The times at which an entry was added and last succeeded.
#[derive(Debug, Clone, Copy)]
struct Entry {
    since: SystemTime,
    success: Option<SystemTime>,
}

/// The metrics of a mirror.
pub struct Metrics {
    registry: Registry,
    images: Family<Labels<2>, Counter>,
    bytes: Family<Labels<1>, Counter>,
    requests: Family<Labels<1>, Counter>,
    errors: Family<Labels<1>, Counter>,
    rate_limit: Family<Labels<1>, Gauge>,
    events: Family<Labels<2>, Counter>,
    queue: Gauge,
    lag: Family<Labels<1>, Seconds>,
    success: Family<Labels<1>, Seconds>,
    entries: Mutex<HashMap<String, Entry>>,
}

impl fmt::Debug for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Metrics").field("entries", &self.entries).finish_non_exhaustive()
    }
}

impl Default for Metrics {
    fn default() -> Self {
        let mut registry = Registry::with_prefix("reapify_mirror");
        Metrics {
            images: added(&mut registry, "images", "Images processed"),
            bytes: with_unit(
                &mut registry,
                "transferred",
                "Bytes of manifests and blobs transferred",
                Unit::Bytes,
            ),
            requests: added(&mut registry, "requests", "Requests to registries"),
            errors: added(&mut registry, "request_errors", "Failed requests to registries"),
            rate_limit: added(
                &mut registry,
                "rate_limit_remaining",
                "Pulls left before the registry's rate limit is reached",
            ),
            events: added(&mut registry, "events", "Events received by webhook"),
            queue: added(&mut registry, "queue_length", "Images queued by events"),
            lag: with_unit(&mut registry, "lag", "Time since the last success of an entry", Unit::Seconds),
            success: with_unit(
                &mut registry,
                "last_success_timestamp",
                "Time of the last success of an entry",
                Unit::Seconds,
            ),
            entries: Mutex::default(),
            registry,
        }
    }
}

impl Metrics {
    /// Sets the entries of the configuration, loaded at `at`. The lags of removed entries are dropped. The
    /// lag of an entry that has never succeeded counts from when it was added.
    pub fn set_entries<'a>(&self, names: impl IntoIterator<Item = &'a str>, at: SystemTime) {
        let mut entries = self.lock();
        let mut old = std::mem::take(&mut *entries);
        let fresh = Entry { since: at, success: None };
        *entries =
            names.into_iter().map(|name| (name.to_owned(), old.remove(name).unwrap_or(fresh))).collect();
        for name in old.keys() {
            self.lag.remove(&entry(name));
            self.success.remove(&entry(name));
        }
    }

    /// Counts an image of an entry by its action: `wrapped`, `unchanged`, `failed` and so on.
    pub fn image(&self, entry: &str, action: &str) {
        self.images.get_or_create(&[("entry", entry.into()), ("action", action.into())]).inc();
    }

    /// Counts bytes of blobs and manifests.
    pub fn bytes(&self, direction: Direction, count: u64) {
        let name = match direction {
            Direction::Pulled => "pulled",
            Direction::Pushed => "pushed",
        };
        self.bytes.get_or_create(&[("direction", name.into())]).inc_by(count);
    }

    /// Counts requests to a host: those that were answered, and those that failed.
    pub fn requests(&self, host: &str, answered: u64, failed: u64) {
        let labels = [("host", host.to_owned())];
        self.requests.get_or_create(&labels).inc_by(answered + failed);
        // A counter that starts at zero shows the first error as an increase.
        self.errors.get_or_create(&labels).inc_by(failed);
    }

    /// Sets the number of pulls left before the rate limit of a host.
    pub fn rate_limit(&self, host: &str, left: u64) {
        self.rate_limit.get_or_create(&[("host", host.into())]).set(left.try_into().unwrap_or(i64::MAX));
    }

    /// Sets the time of the last success of an entry. Unknown entries are ignored.
    pub fn succeeded(&self, entry: &str, at: SystemTime) {
        if let Some(entry) = self.lock().get_mut(entry) {
            entry.success = entry.success.max(Some(at));
        }
    }

    /// Sets the length of the queue.
    pub fn queue(&self, length: usize) {
        self.queue.set(length.try_into().unwrap_or(i64::MAX));
    }

    /// Counts an event, or a delivery that was refused as a whole.
    pub fn event(&self, receiver: &str, outcome: Outcome) {
        self.events.get_or_create(&[("receiver", receiver.into()), ("outcome", outcome.name().into())]).inc();
    }

    /// Writes all metrics in Prometheus's text format, with lags as of `now`.
    pub fn encode(&self, now: SystemTime) -> String {
        let entries = self.lock();
        for (name, Entry { since, success }) in &*entries {
            let lag = now.duration_since(success.unwrap_or(*since)).unwrap_or_default();
            self.lag.get_or_create(&entry(name)).set(lag.as_secs_f64());
            if let Some(age) = success.and_then(|at| at.duration_since(SystemTime::UNIX_EPOCH).ok()) {
                self.success.get_or_create(&entry(name)).set(age.as_secs_f64());
            }
        }
        let mut text = String::new();
        // Writing to a string does not fail.
        let _ = prometheus_text::encode(&mut text, &self.registry);
        text
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, Entry>> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn entry(name: &str) -> Labels<1> {
    [("entry", name.to_owned())]
}

fn added<M: Metric + Clone + Default>(registry: &mut Registry, name: &str, help: &str) -> M {
    let metric = M::default();
    registry.register(name, help, metric.clone());
    metric
}

fn with_unit<M: Metric + Clone + Default>(registry: &mut Registry, name: &str, help: &str, unit: Unit) -> M {
    let metric = M::default();
    registry.register_with_unit(name, help, unit, metric.clone());
    metric
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn at(seconds: u64) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)
    }

    #[test]
    fn metrics_have_the_names_that_prometheus_expects() {
        let metrics = Metrics::default();
        metrics.set_entries(["hub", "never"], at(100));
        metrics.image("hub", "wrapped");
        metrics.image("hub", "wrapped");
        metrics.bytes(Direction::Pulled, 7);
        metrics.bytes(Direction::Pushed, 9);
        metrics.requests("docker.io", 1, 0);
        metrics.requests("docker.io", 0, 1);
        metrics.rate_limit("docker.io", 80);
        metrics.event("hub", Outcome::Merged);
        metrics.succeeded("hub", at(150));
        metrics.succeeded("hub", at(140));
        metrics.succeeded("unknown", at(150));
        metrics.queue(3);
        let text = metrics.encode(at(160));
        for line in [
            "# TYPE reapify_mirror_images_total counter",
            r#"reapify_mirror_images_total{entry="hub",action="wrapped"} 2"#,
            r#"reapify_mirror_transferred_bytes_total{direction="pulled"} 7"#,
            r#"reapify_mirror_transferred_bytes_total{direction="pushed"} 9"#,
            r#"reapify_mirror_requests_total{host="docker.io"} 2"#,
            r#"reapify_mirror_request_errors_total{host="docker.io"} 1"#,
            "# TYPE reapify_mirror_rate_limit_remaining gauge",
            r#"reapify_mirror_rate_limit_remaining{host="docker.io"} 80"#,
            r#"reapify_mirror_events_total{receiver="hub",outcome="merged"} 1"#,
            "reapify_mirror_queue_length 3",
            r#"reapify_mirror_lag_seconds{entry="hub"} 10.0"#,
            r#"reapify_mirror_lag_seconds{entry="never"} 60.0"#,
            r#"reapify_mirror_last_success_timestamp_seconds{entry="hub"} 150.0"#,
        ] {
            assert!(text.lines().any(|found| found == line), "{line} in\n{text}");
        }
        assert!(
            !text.contains(r#"last_success_timestamp_seconds{entry="never""#) && !text.contains("unknown")
        );
    }

    #[test]
    fn reloading_keeps_the_lag_of_remaining_entries() {
        let metrics = Metrics::default();
        metrics.set_entries(["stays", "goes"], at(0));
        metrics.succeeded("stays", at(10));
        metrics.succeeded("goes", at(10));
        metrics.encode(at(20));
        metrics.set_entries(["stays", "comes"], at(30));
        let text = metrics.encode(at(40));
        assert!(text.contains(r#"lag_seconds{entry="stays"} 30.0"#), "{text}");
        assert!(text.contains(r#"lag_seconds{entry="comes"} 10.0"#), "{text}");
        assert!(!text.contains("goes"), "{text}");
    }

    #[test]
    fn lag_is_never_negative() {
        let metrics = Metrics::default();
        metrics.set_entries(["a"], at(100));
        assert!(metrics.encode(at(50)).contains(r#"lag_seconds{entry="a"} 0.0"#));
    }

    #[test]
    fn names_are_escaped() {
        let metrics = Metrics::default();
        metrics.image("a\"b\\c\nd", "wrapped");
        assert!(metrics.encode(at(0)).contains(r#"{entry="a\"b\\c\nd",action="wrapped"} 1"#));
    }
}
