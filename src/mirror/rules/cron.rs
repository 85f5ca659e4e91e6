//! Cron expressions as the standard parser of Go's robfig/cron reads them, which regsync uses.
//!
//! An expression has five fields: minute, hour, day of the month, month, day of the week. A field is `*` or `?`, or a list
//! of numbers and ranges. Each item may have a step; `5/15` counts from 5 to the end. Months and days of the week have
//! English names, and Sunday is 0 but not 7. If both day fields are restricted, a day has to match only one of them.
//!
//! Where robfig/cron misses minutes or takes the wrong day, after a change of the clock by half an hour or at midnight, this
//! module follows the expression.

use jiff::Timestamp;
use jiff::civil::{Date, DateTime};
use jiff::tz::{AmbiguousOffset, TimeZone};

/// How many days ahead the next time may lie: 29 February can be eight years away.
const DAYS_AHEAD: usize = 9 * 366;

const MONTHS: [&str; 12] =
    ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"];
const WEEKDAYS: [&str; 7] = ["sun", "mon", "tue", "wed", "thu", "fri", "sat"];

/// The greatest number of days that a month has.
const MONTH_DAYS: [u32; 12] = [31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];

const MINUTE: Unit = Unit { name: "minute", least: 0, most: 59, names: &[] };
const HOUR: Unit = Unit { name: "hour", least: 0, most: 23, names: &[] };
const DAY: Unit = Unit { name: "day of the month", least: 1, most: 31, names: &[] };
const MONTH: Unit = Unit { name: "month", least: 1, most: 12, names: &MONTHS };
const WEEKDAY: Unit = Unit { name: "day of the week", least: 0, most: 6, names: &WEEKDAYS };

/// Points in time that repeat: all minutes whose local time matches a cron expression.
#[derive(Debug, Clone, PartialEq)]
pub struct Cron {
    minutes: Field,
    hours: Field,
    days: Field,
    months: Field,
    weekdays: Field,
    zone: TimeZone,
}

impl Cron {
    /// Parses the five fields of a cron expression in a time zone. The error gives the reason without
    /// repeating the expression.
    pub(super) fn parse(text: &str, zone: TimeZone) -> Result<Self, String> {
        let fields: Vec<&str> = text.split_whitespace().collect();
        let [minute, hour, day, month, weekday] = fields[..] else {
            let count = fields.len();
            return Err(format!(
                "it has {count} fields; write minute, hour, day of the month, month, day of the week"
            ));
        };
        let cron = Cron {
            minutes: Field::parse(minute, &MINUTE)?,
            hours: Field::parse(hour, &HOUR)?,
            days: Field::parse(day, &DAY)?,
            months: Field::parse(month, &MONTH)?,
            weekdays: Field::parse(weekday, &WEEKDAY)?,
            zone,
        };
        match cron.has_days() {
            true => Ok(cron),
            false => Err("none of its months has such a day".to_string()),
        }
    }

    /// Returns whether any day matches. Days of the week exist in every month.
    fn has_days(&self) -> bool {
        let has_day = |most: u32| (1..=most).any(|day| self.days.has(day));
        let has_month_day =
            (1..).zip(MONTH_DAYS).any(|(month, most)| self.months.has(month) && has_day(most));
        has_month_day || !(self.days.is_any || self.weekdays.is_any)
    }

    /// Returns the first matching time after `after`. Local times that a clock change skips do not count, and
    /// those that it repeats count twice, as in robfig/cron.
    pub(super) fn next(&self, after: Timestamp) -> Option<Timestamp> {
        let today = self.zone.to_datetime(after).date();
        let days = std::iter::successors(Some(today), |date| date.tomorrow().ok()).take(DAYS_AHEAD);
        days.filter(|date| self.matches(*date)).find_map(|date| self.first_on(date, after))
    }

    fn matches(&self, date: Date) -> bool {
        let day = self.days.has(u32::from(date.day().unsigned_abs()));
        let weekday = self.weekdays.has(u32::from(date.weekday().to_sunday_zero_offset().unsigned_abs()));
        let is_day = match self.days.is_any || self.weekdays.is_any {
            true => day && weekday,
            false => day || weekday,
        };
        self.months.has(u32::from(date.month().unsigned_abs())) && is_day
    }

    /// Returns the first matching time on a day. If an hour is repeated, the order of local times is not the
    /// order of times.
    fn first_on(&self, date: Date, after: Timestamp) -> Option<Timestamp> {
        let hours = (0..24).filter(|hour: &i8| self.hours.has(u32::from(hour.unsigned_abs())));
        let minutes = |hour| {
            let minutes = (0..60).filter(|minute: &i8| self.minutes.has(u32::from(minute.unsigned_abs())));
            minutes.map(move |minute| date.at(hour, minute, 0, 0))
        };
        let mut times =
            hours.flat_map(minutes).flat_map(|time| self.timestamps(time)).filter(|time| *time > after);
        match self.is_regular(date) {
            true => times.next(),
            false => times.min(),
        }
    }

    /// Returns whether a day has no clock change.
    fn is_regular(&self, date: Date) -> bool {
        let offset = |date: Date| {
            let start = self.zone.to_ambiguous_timestamp(date.at(0, 0, 0, 0));
            match start.offset() {
                AmbiguousOffset::Unambiguous { offset } => Some(offset),
                _ => None,
            }
        };
        let tomorrow = date.tomorrow().ok().and_then(offset);
        tomorrow.is_some() && offset(date) == tomorrow
    }

    /// Returns the times at which clocks show a local time: usually one, but none or two around a clock
    /// change.
    fn timestamps(&self, local: DateTime) -> impl Iterator<Item = Timestamp> {
        let (first, second) = match self.zone.to_ambiguous_timestamp(local).offset() {
            AmbiguousOffset::Unambiguous { offset } => (Some(offset), None),
            AmbiguousOffset::Gap { .. } => (None, None),
            AmbiguousOffset::Fold { before, after } => (Some(before), Some(after)),
        };
        let offsets = first.into_iter().chain(second);
        offsets.filter_map(move |offset| offset.to_timestamp(local).ok())
    }
}

/// The unit of a field.
struct Unit {
    name: &'static str,
    least: u32,
    most: u32,
    /// The names of its values, starting with the least.
    names: &'static [&'static str],
}

/// A set of numbers below 64.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Field {
    bits: u64,
    /// Whether the field is written as unrestricted.
    is_any: bool,
}

impl Field {
    fn parse(text: &str, unit: &Unit) -> Result<Self, String> {
        let mut field = Field::default();
        // Go ignores empty items.
        for item in text.split(',').filter(|item| !item.is_empty()) {
            let item = Field::item(item, unit)?;
            field = Field { bits: field.bits | item.bits, is_any: field.is_any || item.is_any };
        }
        match field.bits {
            0 => Err(format!("the {} {text:?} contains no value", unit.name)),
            _ => Ok(field),
        }
    }

    /// Parses `*`, a number or a range, with an optional step.
    fn item(text: &str, unit: &Unit) -> Result<Self, String> {
        let (range, step) = match text.split_once('/') {
            Some((range, step)) => (range, Some(unit.step(step)?)),
            None => (text, None),
        };
        let is_any = matches!(range, "*" | "?");
        let (first, last) = match range.split_once('-') {
            _ if is_any => (unit.least, unit.most),
            Some((first, last)) => (unit.value(first)?, unit.value(last)?),
            None if step.is_some() => (unit.value(range)?, unit.most),
            None => (unit.value(range)?, unit.value(range)?),
        };
        if first > last {
            return Err(format!("the {} {range:?} ends before it starts", unit.name));
        }
        let step = step.unwrap_or(1);
        let bits = (first..=last).step_by(step).fold(0, |bits, value| bits | 1 << value);
        Ok(Field { bits, is_any: is_any && step == 1 })
    }

    fn has(self, value: u32) -> bool {
        self.bits.checked_shr(value).is_some_and(|bits| bits & 1 == 1)
    }
}

impl Unit {
    fn value(&self, text: &str) -> Result<u32, String> {
        let is_text = |name: &&str| name.eq_ignore_ascii_case(text);
        let named = (self.least..).zip(self.names).find(|(_, name)| is_text(name));
        let value = named.map(|(value, _)| value).or_else(|| number(text));
        let range = || format!("{} to {}", self.least, self.most);
        match value {
            None => Err(format!("the {} {text:?} is not one of {}", self.name, range())),
            Some(value) if value < self.least || value > self.most => {
                let hint = if self.names.len() == 7 && value == 7 { "; Sunday is 0" } else { "" };
                Err(format!("the {} {value} is not within {}{hint}", self.name, range()))
            }
            Some(value) => Ok(value),
        }
    }

    fn step(&self, text: &str) -> Result<usize, String> {
        let step = number(text).filter(|step| *step > 0).and_then(|step| usize::try_from(step).ok());
        step.ok_or_else(|| format!("the step {text:?} of the {} is not a positive number", self.name))
    }
}

fn number(text: &str) -> Option<u32> {
    let is_number = text.bytes().all(|b| b.is_ascii_digit());
    text.parse().ok().filter(|_| is_number)
}
