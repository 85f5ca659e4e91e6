use super::*;
use proptest::prelude::*;

const DAY: Duration = Duration::from_secs(86_400);

fn now() -> SystemTime {
    SystemTime::UNIX_EPOCH + DAY * 20_000
}

fn candidates<'t>(tags: &[&'t str]) -> Vec<Candidate<'t>> {
    tags.iter().map(|tag| Candidate { tag, names_prerelease: false }).collect()
}

fn newest(count: usize, by: By) -> Recency {
    Recency { newest: Some(Newest { count, by }), min_age: None }
}

fn taken<'t>(
    recency: Recency,
    candidates: &[Candidate<'t>],
    created: impl Fn(&str) -> Option<SystemTime>,
) -> Vec<&'t str> {
    let choices = recency.choose(candidates, created, now());
    choices.into_iter().filter(|(_, choice)| *choice == Choice::Taken).map(|(tag, _)| tag).collect()
}

fn unknown(_: &str) -> Option<SystemTime> {
    None
}

#[test]
fn without_rules_every_candidate_is_taken() {
    let tags = ["1.0", "1.0-rc1", "latest"];
    assert_eq!(taken(Recency::default(), &candidates(&tags), unknown), tags);
}

#[test]
fn the_newest_are_counted_among_versions_and_other_tags_stay() {
    let tags = ["latest", "1.9", "1.10", "1.2", "edge", "v2.0", "2024-q1x"];
    assert_eq!(taken(newest(2, By::Semver), &candidates(&tags), unknown), ["latest", "1.10", "edge", "v2.0"]);
    assert_eq!(taken(newest(0, By::Semver), &candidates(&tags), unknown), ["latest", "edge"]);
    assert_eq!(taken(newest(99, By::Semver), &candidates(&tags[..6]), unknown), tags[..6]);
}

#[test]
fn prereleases_count_only_where_a_filter_names_them() {
    let mut tags = candidates(&["1.0", "1.1", "1.2-rc1", "1.2-rc2"]);
    assert_eq!(taken(newest(2, By::Semver), &tags, unknown), ["1.0", "1.1"]);
    tags[3].names_prerelease = true;
    assert_eq!(taken(newest(2, By::Semver), &tags, unknown), ["1.1", "1.2-rc2"]);
    let choices = newest(2, By::Semver).choose(&tags, unknown, now());
    assert_eq!(choices[2].1.to_string(), "a prerelease that no filter names");
    assert_eq!(choices[0].1.to_string(), "not among the newest 2 by semver");
}

#[test]
fn equal_versions_are_ranked_by_their_tags() {
    let mut tags = ["1.0", "v1.0", "1.0.0", "1"];
    let first = taken(newest(1, By::Semver), &candidates(&tags), unknown);
    tags.reverse();
    assert_eq!(taken(newest(1, By::Semver), &candidates(&tags), unknown), first);
    assert_eq!(first, ["v1.0"]);
}

#[test]
fn by_created_ranks_by_time_and_unknown_times_last() {
    let created = |tag: &str| match tag {
        "1.8.20" => Some(now() - DAY),
        "1.9.0" => Some(now() - DAY * 30),
        "2.0.0" => Some(now() - DAY * 7),
        _ => None,
    };
    let tags = candidates(&["1.8.20", "1.9.0", "2.0.0", "3.0.0", "latest"]);
    assert_eq!(taken(newest(2, By::Created), &tags, created), ["1.8.20", "2.0.0", "latest"]);
    assert_eq!(taken(newest(3, By::Created), &tags, created), ["1.8.20", "1.9.0", "2.0.0", "latest"]);
    let choices = newest(3, By::Created).choose(&tags, created, now());
    assert_eq!(choices[3].1.to_string(), "not among the newest 3 by created");
}

#[test]
fn min_age_applies_before_newest() {
    let created = |tag: &str| match tag {
        "1.0" => Some(now() - DAY * 100),
        "1.1" => Some(now() - DAY * 3),
        "1.2" => Some(now() - DAY * 2),
        "1.3" => Some(now() + DAY),
        _ => None,
    };
    let tags = candidates(&["1.0", "1.1", "1.2", "1.3", "1.4"]);
    let min_age = Some(DAY * 3);
    assert_eq!(taken(Recency { newest: None, min_age }, &tags, created), ["1.0", "1.1"]);
    let one = Some(Newest { count: 1, by: By::Semver });
    assert_eq!(taken(Recency { newest: one, min_age }, &tags, created), ["1.1"]);
    let choices = Recency { newest: one, min_age }.choose(&tags, created, now());
    assert_eq!(choices[2].1, Choice::TooYoung(DAY * 3));
    assert_eq!(choices[3].1, Choice::TooYoung(DAY * 3));
    assert_eq!(choices[4].1, Choice::AgeUnknown);
}

#[test]
fn creation_times_are_needed_only_where_they_decide() {
    let [version, prerelease, other] = candidates(&["1.0", "1.0-rc1", "latest"])[..] else { unreachable!() };
    let needs = |recency: Recency| [version, prerelease, other].map(|c| recency.needs_created(&c));
    assert_eq!(needs(Recency::default()), [false, false, false]);
    assert_eq!(needs(newest(3, By::Semver)), [false, false, false]);
    assert_eq!(needs(newest(3, By::Created)), [true, false, false]);
    assert_eq!(needs(Recency { newest: None, min_age: Some(DAY) }), [true, true, true]);
}

proptest! {
    #[test]
    fn the_result_does_not_depend_on_the_order(
        tags in prop::collection::hash_set("v?[1-9](\\.[0-9]){0,2}(-rc[1-3])?|[a-c]", 0..12),
        count in 0usize..8,
        by_created in any::<bool>(),
    ) {
        let by = if by_created { By::Created } else { By::Semver };
        let created = |tag: &str| tag.contains('2').then(|| now() - DAY * tag.len() as u32);
        let mut tags: Vec<&str> = tags.iter().map(String::as_str).collect();
        tags.sort_unstable();
        let forward = taken(newest(count, by), &candidates(&tags), created);
        tags.reverse();
        let mut backward = taken(newest(count, by), &candidates(&tags), created);
        backward.reverse();
        prop_assert_eq!(&forward, &backward);
        prop_assert!(forward.iter().filter(|tag| Version::parse(tag).is_some()).count() <= count);
    }
}
