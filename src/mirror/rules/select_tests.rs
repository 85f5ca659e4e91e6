use super::*;
use proptest::prelude::*;

fn texts(texts: &[&str]) -> Vec<Option<String>> {
    texts.iter().map(|text| Some(text.to_string())).collect()
}

fn set(semver_range: &[&str], allow: &[&str], deny: &[&str]) -> TagSet {
    TagSet { allow: texts(allow), deny: texts(deny), semver_range: texts(semver_range) }
}

fn filter(sets: &[TagSet]) -> Filter {
    Filter::new(sets).expect("a filter").0
}

/// Returns the tags that tag sets select.
fn selected<'t>(sets: &[TagSet], tags: &[&'t str]) -> Vec<&'t str> {
    let filter = filter(sets);
    tags.iter().copied().filter(|tag| filter.verdict(tag).is_selected()).collect()
}

const TAGS: [&str; 12] = [
    "1.0.0",
    "1.5.0",
    "1.5.0-rc1",
    "2.0.0",
    "2.0.0-alpine",
    "v2.1.0",
    "4.0.1",
    "latest",
    "edge",
    "3",
    "3.12",
    "2024-01-31",
];

#[test]
fn without_rules_all_tags_pass() {
    assert_eq!(selected(&[], &TAGS), TAGS);
    assert_eq!(selected(&[TagSet::default()], &TAGS), TAGS);
}

#[test]
fn a_set_applies_ranges_then_allow_then_deny() {
    let cases: &[(TagSet, &[&str])] = &[
        (
            set(&[">=1.0.0 <2.0.0", ">=4.0.0 <5"], &[], &[".*-rc.*"]),
            &["1.0.0", "1.5.0", "2.0.0-alpine", "4.0.1"],
        ),
        (set(&[">=2 <3"], &["v.*"], &[]), &["v2.1.0"]),
        (set(&[">=2 <3"], &["latest", "edge"], &[]), &[]),
        (set(&[], &["latest", "3", "3\\.\\d+"], &[]), &["latest", "3", "3.12"]),
        (set(&[], &["3.*"], &["3\\.12"]), &["3"]),
        (set(&[], &[], &["[^v].*"]), &["v2.1.0"]),
        (set(&[">=2024"], &[], &[]), &["2024-01-31"][..0]),
        (set(&[">=2024-01"], &[], &[]), &["2024-01-31"]),
    ];
    for (set, expected) in cases {
        assert_eq!(selected(std::slice::from_ref(set), &TAGS), *expected, "{set:?}");
    }
}

#[test]
fn a_tag_passes_if_it_passes_any_set() {
    let sets = [
        set(&[], &["latest", "edge"], &["edge"]),
        set(&[">=1 <2"], &[], &["1.0.0"]),
        set(&[], &["edge"], &[]),
    ];
    assert_eq!(selected(&sets, &TAGS), ["1.5.0", "1.5.0-rc1", "2.0.0-alpine", "latest", "edge"]);
}

#[test]
fn nulls_match_nothing() {
    let nulls = vec![None];
    assert_eq!(selected(&[TagSet { allow: nulls.clone(), ..TagSet::default() }], &TAGS), [""; 0]);
    assert_eq!(selected(&[TagSet { deny: nulls.clone(), ..TagSet::default() }], &TAGS), TAGS);
    let beside =
        TagSet { semver_range: vec![None, Some(">=4 <5".into()), Some(String::new())], ..TagSet::default() };
    assert_eq!(selected(&[beside], &TAGS), ["4.0.1"]);
    let (filter, warnings) =
        Filter::new(&[TagSet { semver_range: nulls, ..TagSet::default() }]).expect("a filter");
    assert!(!filter.verdict("1.0").is_selected());
    assert_eq!(warnings.len(), 1);
    assert!(warnings[0].message.contains("regsync ignores it"));
}

#[test]
fn verdicts_give_the_reason_for_a_refusal() {
    let sets = [set(&[">=1 <2", ">=4"], &[], &["1.5.*"]), set(&[], &["latest", "v.*"], &["v2.*"])];
    let two = filter(&sets);
    for (tag, why) in [
        ("1.0.0", "selected"),
        ("latest", "selected"),
        ("1.5.0", "denied by deny pattern \"1.5.*\" (set 1); matches no allow pattern (set 2)"),
        ("edge", "not a version, so outside every semver range (set 1); matches no allow pattern (set 2)"),
        (
            "v2.1.0",
            "outside the semver ranges \">=1 <2\", \">=4\" (set 1); denied by deny pattern \"v2.*\" (set 2)",
        ),
        ("", "not a valid name"),
        ("-x", "not a valid name"),
        ("a/b", "not a valid name"),
        ("a\nb", "not a valid name"),
        ("é", "not a valid name"),
    ] {
        assert_eq!(two.verdict(tag).to_string(), why, "{tag}");
    }
    let one = filter(&[set(&["^3.12"], &[], &[])]);
    assert_eq!(one.verdict("3.12-alpine").to_string(), "outside the semver range \"^3.12\"");
}

#[test]
fn verdicts_tell_whether_a_filter_names_a_prerelease() {
    let names = |sets: &[TagSet], tag: &str| match filter(sets).verdict(tag) {
        Verdict::Selected { names_prerelease } => names_prerelease,
        other => panic!("{tag} is not selected: {other}"),
    };
    assert!(!names(&[], "1.0-rc1"));
    assert!(!names(&[set(&[], &["1.*"], &[])], "1.0-rc1"));
    assert!(!names(&[set(&["<1"], &[], &[])], "1.0-rc1"));
    assert!(names(&[set(&[">=1.0-rc1"], &[], &[])], "1.0-rc1"));
    assert!(names(&[set(&[], &["\\d\\.\\d-rc\\d"], &[])], "1.0-rc1"));
    assert!(names(&[set(&[], &["1.*", ".*-rc\\d"], &[])], "1.0-rc1"));
    // A set that refuses the tag names nothing; another that selects it may.
    assert!(!names(&[set(&[], &[".*-rc\\d"], &["1.*"]), set(&[], &["1.*"], &[])], "1.0-rc1"));
    assert!(names(&[set(&[], &["1.*"], &[]), set(&[], &[".*-rc\\d"], &[])], "1.0-rc1"));
    assert!(!names(&[set(&[], &[], &[".*-rc\\d"])], "1.0-alpine"));
}

#[test]
fn reports_the_place_of_an_invalid_rule() {
    let error = |sets: &[TagSet]| Filter::new(sets).expect_err("an error");
    let bad = error(&[set(&[], &["a"], &[]), set(&[], &["b", "*"], &[])]);
    assert_eq!(bad.place, Place { set: 1, list: List::Allow, item: 1 });
    assert!(bad.to_string().starts_with("invalid allow pattern \"*\": \"*\" has nothing to repeat"), "{bad}");
    let bad = error(&[set(&[], &["a"], &["(b"])]);
    assert_eq!(bad.place, Place { set: 0, list: List::Deny, item: 0 });
    assert_eq!(bad.to_string(), "invalid deny pattern \"(b\": a \"(\" is not closed");
    let bad = error(&[set(&[">=1", "latest"], &[], &[])]);
    assert_eq!(bad.place, Place { set: 0, list: List::SemverRange, item: 1 });
    assert_eq!(bad.to_string(), "invalid semver range \"latest\": invalid version \"latest\"");
}

#[test]
fn alternations_warn_with_their_place() {
    let (_, warnings) = Filter::new(&[set(&[], &["a", "b|c"], &["d|e"])]).expect("a filter");
    let places: Vec<Place> = warnings.iter().map(|warning| warning.place).collect();
    assert_eq!(
        places,
        [Place { set: 0, list: List::Allow, item: 1 }, Place { set: 0, list: List::Deny, item: 0 }]
    );
    assert!(warnings[0].message.starts_with("allow pattern \"b|c\" has to match the whole name"));
}

#[test]
fn repositories_are_allowed_and_denied_by_name() {
    let (filter, warnings) =
        RepoFilter::new(&texts(&["team/.*", "base"]), &texts(&["team/old.*"])).expect("a filter");
    assert!(warnings.is_empty());
    assert!(filter.verdict("team/app").is_selected() && filter.verdict("base").is_selected());
    assert_eq!(filter.verdict("team/old-app").to_string(), "denied by deny pattern \"team/old.*\"");
    assert_eq!(filter.verdict("other").to_string(), "matches no allow pattern");
    for bad in ["", "team/a b", "team/é"] {
        assert_eq!(filter.verdict(bad), Verdict::Malformed, "{bad:?}");
    }
    assert!(RepoFilter::new(&[], &[]).expect("a filter").0.verdict("any/thing").is_selected());
    assert!(
        RepoFilter::new(&[], &texts(&["*"])).is_err_and(|e| e.message.starts_with("invalid deny pattern"))
    );
}

#[test]
fn digest_tags_are_tags_like_any_other() {
    let tag = format!("sha256-{}.sig", "0".repeat(64));
    assert!(filter(&[]).verdict(&tag).is_selected());
    assert!(!filter(&[set(&[], &["v.*"], &[])]).verdict(&tag).is_selected());
}

#[test]
fn a_hundred_thousand_tags_are_judged_quickly() {
    let sets = [
        set(&[">=1 <2", "^3.12"], &["v?\\d+\\.\\d+\\.\\d+", ".*-alpine"], &[".*-rc.*", ".*beta.*"]),
        set(&[], &["latest", "\\d+-slim", "nightly-\\d{8}"], &[]),
    ];
    let filter = filter(&sets);
    let start = std::time::Instant::now();
    let judge = |i: u32| filter.verdict(&format!("{}.{}.{}-build{}", i % 7, i % 90, i % 13, i)).is_selected();
    assert_eq!((0..100_000).filter(|i| judge(*i)).count(), 0);
    assert!(start.elapsed().as_secs() < 20, "{:?}", start.elapsed());
}

#[test]
fn tags_follow_the_grammar_of_the_specification() {
    for tag in ["a", "_", "A.b-c_", "1", &"a".repeat(128)] {
        assert!(is_tag(tag), "{tag}");
    }
    for tag in ["", ".a", "-a", "a:b", "a b", "a+b", &"a".repeat(129)] {
        assert!(!is_tag(tag), "{tag}");
    }
}

fn any_set() -> impl Strategy<Value = TagSet> {
    let pattern = prop::sample::select(vec!["1.*", "latest", ".*-rc\\d", "a|b", "[0-9.]+", "v.*"]);
    let range = prop::sample::select(vec![">=1", "^1.2", "<2", "~3.1", "1.0-rc1", ""]);
    let list =
        |item: BoxedStrategy<&'static str>| prop::collection::vec(prop::option::weighted(0.9, item), 0..3);
    let owned =
        |items: Vec<Option<&str>>| items.into_iter().map(|item| item.map(String::from)).collect::<Vec<_>>();
    (list(pattern.clone().boxed()), list(pattern.boxed()), list(range.boxed())).prop_map(
        move |(allow, deny, range)| TagSet {
            allow: owned(allow),
            deny: owned(deny),
            semver_range: owned(range),
        },
    )
}

proptest! {
    #[test]
    fn sets_are_alternatives(sets in prop::collection::vec(any_set(), 1..4), tag in "v?[1-3](\\.[0-3]){0,2}(-rc[1-3])?|latest|a|b") {
        let alone = sets.iter().any(|set| filter(std::slice::from_ref(set)).verdict(&tag).is_selected());
        prop_assert_eq!(filter(&sets).verdict(&tag).is_selected(), alone);
    }

    #[test]
    fn any_tag_gets_a_verdict(sets in prop::collection::vec(any_set(), 0..3), tag in ".*") {
        let _ = filter(&sets).verdict(&tag).to_string();
    }
}
