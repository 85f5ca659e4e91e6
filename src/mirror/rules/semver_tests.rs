use super::*;
use proptest::prelude::*;

fn version(text: &str) -> Version {
    Version::parse(text).expect(text)
}

#[test]
fn tags_are_versions_or_not_as_in_regsync() {
    for tag in [
        "0",
        "1",
        "1.2",
        "1.2.3",
        "v1.2.3",
        "1.2.3.4.5",
        "10.0.17763.2114",
        "01.02",
        "20240131",
        "2024-01-31",
        "1.2.3-rc1",
        "1.2.3-",
        "1-alpine",
        "3.12-slim-bookworm",
        "1.2.3+build",
        "1.2.3-rc1+build.7",
        "1+",
        "9223372036854775807",
    ] {
        assert!(Version::parse(tag).is_some(), "{tag}");
    }
    for tag in [
        "",
        "v",
        "vv1",
        "V1.2",
        "latest",
        "1.",
        ".1",
        "1..2",
        "1.x",
        "1.2a",
        "1.2.3rc1",
        "alpine3.20",
        "-1",
        "+1",
        "-rc1",
        "1_0",
        "1 ",
        "sha256-0123",
        "9223372036854775808",
        "12345678901234567890",
        "1.12345678901234567890",
        "٣",
    ] {
        assert!(Version::parse(tag).is_none(), "{tag}");
    }
}

#[test]
fn missing_numbers_are_zero() {
    let v = version("v3.12-alpine3.20");
    assert_eq!((v.number(0), v.number(1), v.number(2), v.number(9)), (3, 12, 0, 0));
    assert_eq!(v.prerelease(), "alpine3.20");
    assert!(v.is_prerelease() && !version("1.2.3-").is_prerelease());
}

#[test]
fn versions_are_ordered_by_numbers_then_prereleases() {
    let ascending = [
        "0-rc1",
        "0",
        "0.0.1",
        "0.9",
        "1.0-0",
        "1.0-1",
        "1.0-2",
        "1.0-10",
        "1.0-10a",
        "1.0-Beta",
        "1.0-alpha",
        "1.0-alpha.1",
        "1.0-alpha.1.1",
        "1.0-alpha.2",
        "1.0-alpha.10",
        "1.0-alpha.beta",
        "1.0-alpha1",
        "1.0-alpha1-2",
        "1.0-alpha1a",
        "1.0-alpha2",
        "1.0-alpine",
        "1.0-beta",
        "1.0-rc",
        "1.0-rc.1",
        "1.0-rc1",
        "1.0-rc2",
        "1.0-rc2.1",
        "1.0-rc11",
        "1.0-rc9999999999999999999",
        "1.0-rc10000000000000000000",
        "1.0",
        "1.0.0.1",
        "1.0.1-rc1",
        "1.0.1",
        "1.2",
        "1.10",
        "2-rc1",
        "2",
        "10",
        "2024.1.31",
        "20240131",
    ];
    for (i, low) in ascending.iter().enumerate() {
        assert_eq!(version(low).cmp(&version(low)), Ordering::Equal);
        for high in &ascending[i + 1..] {
            assert!(version(low) < version(high), "{low} < {high}");
            assert!(version(high) > version(low), "{high} > {low}");
        }
    }
}

#[test]
fn equal_versions_may_be_written_differently() {
    for (a, b) in [
        ("1", "1.0.0"),
        ("v1.2", "1.2.0.0"),
        ("0", "0.0"),
        ("01.002", "1.2"),
        ("1.0+a", "1.0+b"),
        ("1-", "1"),
        ("1.0-rc01", "1.0-rc1"),
        ("1.0-rc.007", "1.0-rc.7"),
    ] {
        assert_eq!(version(a), version(b));
    }
}

/// Texts that are versions more often than not, with prereleases that share their beginnings.
fn any_version() -> impl Strategy<Value = Version> {
    let text = "v?[0-9]{1,2}(\\.[0-9]{1,2}){0,3}(-[ab]{0,2}[0-9]{0,2}(\\.?[ab]{0,2}[0-9]{0,2}){0,2})?";
    text.prop_map(|text| version(&text))
}

proptest! {
    #[test]
    fn parsing_any_version_does_not_panic(text in "[v0-9.+-]{0,30}|.*") {
        let _ = Version::parse(&text);
    }

    #[test]
    fn the_order_is_antisymmetric(a in any_version(), b in any_version()) {
        prop_assert_eq!(a.cmp(&b), b.cmp(&a).reverse());
        prop_assert_eq!(a == b, a.cmp(&b) == Ordering::Equal);
    }

    #[test]
    fn the_order_is_transitive(mut versions in prop::collection::vec(any_version(), 3)) {
        versions.sort();
        prop_assert!(versions[0] <= versions[2]);
        prop_assert_eq!(versions[0] == versions[2], versions[0] == versions[1] && versions[1] == versions[2]);
    }

    #[test]
    fn prereleases_come_before_their_release(release in "[0-9]{1,3}(\\.[0-9]{1,3}){0,2}", end in "[a-z0-9._-]{1,12}") {
        let prerelease = version(&format!("{release}-{end}"));
        prop_assert!(prerelease < version(&release));
    }
}
