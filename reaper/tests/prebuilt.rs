//! Checks that the embedded programs are those in `prebuilt/MANIFEST`.

use reaper::MARKER_PREFIX;
use reaper::prebuilt::PREBUILT;

/// Returns the platform and the size of each program in `prebuilt/MANIFEST`.
fn manifest() -> Vec<(&'static str, usize)> {
    let lines =
        include_str!("../prebuilt/MANIFEST").lines().filter(|line| line.starts_with("linux-"));
    let mut lines: Vec<_> = lines
        .map(|line| {
            let mut words = line.split(' ');
            (words.next().unwrap(), words.next().unwrap().parse().unwrap())
        })
        .collect();
    lines.sort();
    lines
}

#[test]
fn every_program_of_the_manifest_is_embedded() {
    let embedded: Vec<_> = PREBUILT
        .iter()
        .map(|it| {
            let variant = it.variant.map(|variant| format!("-{variant}")).unwrap_or_default();
            (format!("linux-{}{variant}", it.architecture), it.program.len())
        })
        .collect();
    let listed: Vec<_> =
        manifest().into_iter().map(|(name, size)| (name.to_owned(), size)).collect();
    assert_eq!(embedded, listed);
}

#[test]
fn every_program_contains_the_marker() {
    let marker = MARKER_PREFIX.as_bytes();
    for it in PREBUILT {
        assert!(
            it.program.windows(marker.len()).any(|window| window == marker),
            "{}",
            it.architecture
        );
    }
}
