//! The text of progress lines, for a terminal of any width.

use crate::engine::{Active, Snapshot, Total};
use crate::plural::counted;
use std::time::Duration;

/// The number of hexadecimal digits of a digest to show.
const DIGITS: usize = 12;
/// The minimum width of a bar.
const NARROWEST_BAR: usize = 8;
/// The maximum width of a bar.
const WIDEST_BAR: usize = 40;

/// The progress of a run.
#[derive(Debug, Clone, Default)]
pub struct Facts {
    /// The blobs that are sent.
    pub blobs: Snapshot,
    /// The counts of images, if there are several.
    pub images: Option<Images>,
    /// The number of bytes read from registries.
    pub pulled: u64,
}

/// The counts of images.
#[derive(Debug, Clone, Copy, Default)]
pub struct Images {
    pub done: u64,
    pub failed: u64,
    /// The number of all images, if known.
    pub all: Option<u64>,
}

/// Returns the line of one blob.
pub fn blob(active: &Active, columns: usize) -> String {
    let hex: String = active.digest.hex().chars().take(DIGITS).collect();
    let rate = rate(active.sent, active.elapsed);
    let pace = pace(rate, active.size.saturating_sub(active.sent));
    let share = share(active.sent, active.size);
    let sizes = format!("{} of {}", size(active.sent), size(active.size));
    let long = format!("{hex}  {share:>3}%  {sizes}  {pace}");
    let room = columns.saturating_sub(long.len() + 3);
    if room >= NARROWEST_BAR {
        let bar = bar(active.sent, active.size, room.min(WIDEST_BAR));
        return format!("{hex} {bar} {share:>3}%  {sizes}  {pace}");
    }
    fitting(&[long, format!("{hex} {share:>3}% {pace}"), format!("{hex} {share:>3}%")], columns)
}

/// Returns the line for the whole run, with the rate of the last seconds.
pub fn total(facts: &Facts, rate: u64, columns: usize) -> String {
    let Snapshot { sent, known, .. } = &facts.blobs;
    let (images, short_images) = images(facts.images);
    let pace = pace(rate, known.bytes.saturating_sub(sent.bytes));
    if *known == Total::default() {
        let read = format!("{} read", size(facts.pulled));
        return fitting(&[join(&[&images, &read]), join(&[&short_images, &read])], columns);
    }
    let blobs = format!("{} of {}", sent.blobs, counted(known.blobs, "blob"));
    let bytes = format!("{} of {}", size(sent.bytes), size(known.bytes));
    let share = format!("{}%", share(sent.bytes, known.bytes));
    fitting(
        &[
            join(&[&images, &blobs, &bytes, &pace]),
            join(&[&short_images, &bytes, &pace]),
            join(&[&short_images, &share, &pace]),
            join(&[&short_images, &share]),
        ],
        columns,
    )
}

/// Returns the number of images as text, in a long and a short form.
fn images(images: Option<Images>) -> (String, String) {
    let Some(Images { done, failed, all }) = images else { return Default::default() };
    let failures = match failed {
        0 => String::new(),
        failed => format!(" ({failed} failed)"),
    };
    match all {
        Some(all) => {
            (format!("{done} of {}{failures}", counted(all, "image")), format!("{done}/{all}{failures}"))
        }
        None => (format!("{}{failures}", counted(done, "image")), format!("{done}{failures}")),
    }
}

fn join(parts: &[&str]) -> String {
    let parts: Vec<&str> = parts.iter().copied().filter(|part| !part.is_empty()).collect();
    parts.join(", ")
}

/// Returns the first text that fits, or the last one truncated.
fn fitting(texts: &[String], columns: usize) -> String {
    let is_fitting = |text: &&String| text.len() <= columns;
    match texts.iter().find(is_fitting) {
        Some(text) => text.clone(),
        None => texts.last().map(|text| text.chars().take(columns).collect()).unwrap_or_default(),
    }
}

fn bar(sent: u64, size: u64, width: usize) -> String {
    let inner = width.saturating_sub(2);
    let filled = inner * usize::try_from(share(sent, size)).unwrap_or(0) / 100;
    format!("[{}{}]", "=".repeat(filled), " ".repeat(inner - filled))
}

/// Returns the percentage, which is 100 only for all of it.
fn share(sent: u64, size: u64) -> u64 {
    let percent = u128::from(sent.min(size)) * 100 / u128::from(size.max(1));
    u64::try_from(percent).unwrap_or(100)
}

/// Returns the rate, and the remaining time at this rate.
fn pace(rate: u64, left: u64) -> String {
    let Some(seconds) = left.checked_div(rate) else { return format!("{}/s", size(rate)) };
    let time = match seconds {
        0..60 => format!("{} s", seconds + 1),
        60..3600 => format!("{} min", seconds.div_ceil(60)),
        _ => format!("{} h", seconds.div_ceil(3600)),
    };
    format!("{}/s, ETA {time}", size(rate))
}

/// Returns the rate in bytes per second.
pub fn rate(bytes: u64, elapsed: Duration) -> u64 {
    let milliseconds = elapsed.as_millis().max(1);
    u64::try_from(u128::from(bytes) * 1000 / milliseconds).unwrap_or(u64::MAX)
}

/// Returns a size in decimal units.
pub fn size(bytes: u64) -> String {
    let units = ["kB", "MB", "GB", "TB", "PB", "EB"];
    if bytes < 1000 {
        return format!("{bytes} B");
    }
    let mut tenths = bytes / 100;
    let mut unit = 0;
    while tenths >= 10_000 && unit + 1 < units.len() {
        tenths /= 1000;
        unit += 1;
    }
    format!("{}.{} {}", tenths / 10, tenths % 10, units[unit])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::image::Digest;

    fn active(sent: u64, size: u64) -> Active {
        Active { digest: Digest::sha256("layer"), size, sent, elapsed: Duration::from_secs(2) }
    }

    fn facts() -> Facts {
        let sent = Total { blobs: 3, bytes: 120_400_000 };
        let known = Total { blobs: 7, bytes: 480_000_000 };
        let blobs = Snapshot { active: vec![active(20_000_000, 80_000_000)], sent, known };
        Facts { blobs, images: None, pulled: 0 }
    }

    #[test]
    fn lines_fit_every_width() {
        let mut images = facts();
        images.images = Some(Images { done: 12, failed: 2, all: Some(1000) });
        for columns in 0..220 {
            for facts in [facts(), images.clone(), Facts::default()] {
                let line = total(&facts, 24_100_000, columns);
                assert!(line.len() <= columns, "{columns}: {line}");
            }
            for (sent, size) in [(0, 0), (20_000_000, 80_000_000), (u64::MAX, u64::MAX), (5, 1)] {
                let line = blob(&active(sent, size), columns);
                assert!(line.len() <= columns, "{columns}: {line}");
            }
        }
    }

    #[test]
    fn wide_and_narrow_terminals() {
        let hex = &Digest::sha256("layer").hex()[..12].to_owned();
        let one = active(20_000_000, 80_000_000);
        assert_eq!(blob(&one, 40), format!("{hex}  25% 10.0 MB/s, ETA 7 s"));
        assert_eq!(
            blob(&one, 80),
            format!("{hex} [====             ]  25%  20.0 MB of 80.0 MB  10.0 MB/s, ETA 7 s")
        );
        assert_eq!(
            blob(&one, 200),
            format!(
                "{hex} [=========                             ]  25%  20.0 MB of 80.0 MB  10.0 MB/s, ETA 7 s"
            )
        );
        assert_eq!(total(&facts(), 24_100_000, 40), "25%, 24.1 MB/s, ETA 15 s");
        assert_eq!(
            total(&facts(), 24_100_000, 80),
            "3 of 7 blobs, 120.4 MB of 480.0 MB, 24.1 MB/s, ETA 15 s"
        );
    }

    #[test]
    fn one_is_singular() {
        let known = Total { blobs: 1, bytes: 10 };
        let blobs = Snapshot { known, ..Snapshot::default() };
        let images = Some(Images { done: 0, failed: 0, all: Some(1) });
        assert_eq!(
            total(&Facts { blobs, images, pulled: 0 }, 0, 80),
            "0 of 1 image, 0 of 1 blob, 0 B of 10 B, 0 B/s"
        );
        let images = Some(Images { done: 1, failed: 0, all: None });
        assert_eq!(total(&Facts { images, ..Facts::default() }, 0, 80), "1 image, 0 B read");
    }

    #[test]
    fn several_images_come_first() {
        let mut facts = facts();
        facts.images = Some(Images { done: 12, failed: 2, all: Some(1000) });
        assert_eq!(
            total(&facts, 0, 80),
            "12 of 1000 images (2 failed), 3 of 7 blobs, 120.4 MB of 480.0 MB, 0 B/s"
        );
        assert_eq!(total(&facts, 0, 40), "12/1000 (2 failed), 25%, 0 B/s");
        let reading = Facts { pulled: 1_234_567, images: facts.images, ..Facts::default() };
        assert_eq!(total(&reading, 0, 80), "12 of 1000 images (2 failed), 1.2 MB read");
    }

    #[test]
    fn sizes_have_one_decimal() {
        for (bytes, text) in [
            (0, "0 B"),
            (999, "999 B"),
            (1000, "1.0 kB"),
            (999_999, "999.9 kB"),
            (1_000_000, "1.0 MB"),
            (u64::MAX, "18.4 EB"),
        ] {
            assert_eq!(size(bytes), text);
        }
    }
}
