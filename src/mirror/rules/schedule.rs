//! When an entry runs: `interval` and `schedule`, as regsync reads them.
//!
//! Cron expressions use the local time zone, as in regsync, or the zone that a leading `CRON_TZ=` or `TZ=`
//! names. Intervals count from the time given to [`Schedule::next`]. The caller keeps runs of one entry from
//! overlapping.

use super::cron::Cron;
use super::shard;
use crate::mirror::duration;
use jiff::Timestamp;
use jiff::tz::TimeZone;
use std::time::{Duration, SystemTime};

const SECOND: Duration = Duration::from_secs(1);

/// The names for schedules, and their cron expressions.
const NAMES: [(&str, &str); 7] = [
    ("@yearly", "0 0 1 1 *"),
    ("@annually", "0 0 1 1 *"),
    ("@monthly", "0 0 1 * *"),
    ("@weekly", "0 0 * * 0"),
    ("@daily", "0 0 * * *"),
    ("@midnight", "0 0 * * *"),
    ("@hourly", "0 * * * *"),
];

/// The time zones that schedules refer to.
pub struct Zones<'a> {
    /// The local time zone.
    pub local: TimeZone,
    /// Finds a time zone by its name, such as `Europe/Paris`.
    pub find: &'a dyn Fn(&str) -> Option<TimeZone>,
}

/// When an entry runs.
#[derive(Debug, Clone, PartialEq)]
pub struct Schedule {
    when: When,
}

#[derive(Debug, Clone, PartialEq)]
enum When {
    /// Runs a whole number of seconds after the last time, at least one.
    Every(Duration),
    Cron(Box<Cron>),
}

impl Schedule {
    /// Reads the `schedule` and `interval` of an entry. The schedule takes precedence; an interval of 0
    /// counts as absent. Returns `None` if both are absent.
    pub fn of_entry(
        schedule: Option<&str>,
        interval: Option<Duration>,
        zones: &Zones<'_>,
    ) -> Result<Option<Self>, String> {
        match (schedule.filter(|text| !text.is_empty()), interval.filter(|interval| !interval.is_zero())) {
            (Some(schedule), _) => Schedule::parse(schedule, zones).map(Some),
            (None, Some(interval)) => Ok(Some(Schedule::every(interval))),
            (None, None) => Ok(None),
        }
    }

    /// Parses a cron expression, a name such as `@daily`, or `@every` and a duration. The error is a complete message.
    pub fn parse(text: &str, zones: &Zones<'_>) -> Result<Self, String> {
        Schedule::read(text.trim(), zones).map_err(|why| format!("invalid schedule {text:?}: {why}"))
    }

    fn read(text: &str, zones: &Zones<'_>) -> Result<Self, String> {
        let zone = text.strip_prefix("CRON_TZ=").or_else(|| text.strip_prefix("TZ="));
        let (zone, text) = match zone.map(|rest| rest.split_once(char::is_whitespace)) {
            None => (zones.local.clone(), text),
            Some(None) => return Err("the schedule after the time zone is missing".to_string()),
            Some(Some((name, rest))) => (find_zone(name, zones)?, rest.trim()),
        };
        match text.strip_prefix("@every") {
            Some(every) if every.starts_with(char::is_whitespace) => {
                let every = every.trim();
                let every =
                    duration::parse(every).map_err(|why| format!("invalid duration {every:?}: {why}"))?;
                match every.is_zero() {
                    true => Err("the duration is zero".to_string()),
                    false => Ok(Schedule::every(every)),
                }
            }
            _ if text.starts_with('@') => named(text, zone),
            _ => Cron::parse(text, zone).map(Schedule::cron),
        }
    }

    /// Creates a schedule that repeats after an interval, which is truncated to whole seconds and is at least one second.
    pub fn every(interval: Duration) -> Self {
        let seconds = Duration::from_secs(interval.as_secs());
        Schedule { when: When::Every(seconds.max(SECOND)) }
    }

    fn cron(cron: Cron) -> Self {
        Schedule { when: When::Cron(Box::new(cron)) }
    }

    /// Returns the first time after `after`, in whole seconds, or `None` if there is none.
    pub fn next(&self, after: SystemTime) -> Option<SystemTime> {
        let after = Timestamp::try_from(after).ok()?;
        let next = match &self.when {
            When::Every(interval) => {
                let second = Timestamp::from_second(after.as_second()).ok()?;
                second.checked_add(*interval).ok()?
            }
            When::Cron(cron) => cron.next(after)?,
        };
        Some(next.into())
    }

    /// Returns how long to delay the run that is due at a time. The delay depends only on the key, and is
    /// less than `limit` and less than a tenth of the time to the next run. The next run is computed from
    /// `due`, without the delay.
    pub fn delay(&self, due: SystemTime, key: &str, limit: Duration) -> Duration {
        let gap = self.next(due).and_then(|next| next.duration_since(due).ok());
        jitter(key, gap.map_or(limit, |gap| limit.min(gap / 10)))
    }
}

/// Returns a delay below a limit that depends only on the key, so that entries with the same schedule do not
/// all start at once.
pub fn jitter(key: &str, limit: Duration) -> Duration {
    let fraction = f64::from((shard::hash(key) >> 32) as u32) / (f64::from(u32::MAX) + 1.0);
    limit.mul_f64(fraction)
}

/// Finds a time zone by its name, or by one of the two names that Go adds.
fn find_zone(name: &str, zones: &Zones<'_>) -> Result<TimeZone, String> {
    match name {
        "" | "UTC" => Ok(TimeZone::UTC),
        "Local" => Ok(zones.local.clone()),
        _ => (zones.find)(name).ok_or_else(|| format!("{name:?} is not a time zone")),
    }
}

fn named(name: &str, zone: TimeZone) -> Result<Schedule, String> {
    match NAMES.iter().find(|(known, _)| *known == name) {
        Some((_, text)) => Cron::parse(text, zone).map(Schedule::cron),
        None => {
            let names: Vec<&str> = NAMES.iter().map(|(name, _)| *name).collect();
            Err(format!("{name:?} is not one of {} and \"@every DURATION\"", names.join(", ")))
        }
    }
}

#[cfg(test)]
#[path = "schedule_tests.rs"]
mod tests;
