//! Names of destination tags, and which tags of a repository are results rather than sources.
//!
//! If an entry writes to the repository that it reads, its own results appear in the next tag list. They must
//! not be sources, or each pass would wrap the results of the last one: `1.0`, `1.0-reaped`,
//! `1.0-reaped-reaped`. A tag counts as a result by its name alone, whether or not its source tag still
//! exists. Results are removed before filters and `newest` see the tag list, because `1.0-reaped` is a
//! version like any other.

use super::select::is_tag;

/// A tag with which templates are rendered to find out their shape. It is unlikely to occur otherwise, and
/// the same in upper and lower case.
pub const PROBE: &str = "918273645546372819";

/// Appends a suffix such as `-reaped` to a tag. The error gives the reason if the result is not a tag.
pub fn append(tag: &str, suffix: &str) -> Result<String, String> {
    let target = format!("{tag}{suffix}");
    match is_tag(&target) {
        true => Ok(target),
        false if target.len() > 128 => {
            Err(format!("invalid tag {target:?}: it is longer than 128 characters"))
        }
        false => {
            Err(format!("invalid tag {target:?}: a tag may contain letters, digits, \"_\", \".\" and \"-\""))
        }
    }
}

/// The shape of the tags that an entry writes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Naming {
    /// The tag of the source, so that results replace their sources.
    Same,
    /// Text before and after the tag of the source.
    Around {
        /// The text before it.
        prefix: String,
        /// The text after it.
        suffix: String,
    },
    /// One fixed tag for every source.
    Fixed(String),
}

impl Naming {
    /// Checks the `suffix` of an entry; an empty one appends nothing.
    pub fn from_suffix(suffix: &str) -> Result<Self, String> {
        // A suffix that is valid after a letter is valid after a tag.
        append("t", suffix).map_err(|_| {
            format!("invalid suffix {suffix:?}: use at most 127 letters, digits, \"_\", \".\" and \"-\"")
        })?;
        Ok(Naming::around(String::new(), suffix.to_string()))
    }

    /// Finds the shape of a `targetTag` template from the text that it renders for the tag [`PROBE`]. The
    /// error says that the shape does not distinguish results from sources.
    pub fn from_probe(rendered: &str) -> Result<Self, String> {
        let (Some((prefix, _)), Some((_, suffix))) =
            (rendered.split_once(PROBE), rendered.rsplit_once(PROBE))
        else {
            return Ok(Naming::Fixed(rendered.to_string()));
        };
        match prefix.is_empty() && suffix.is_empty() && rendered != PROBE {
            true => Err(
                "invalid targetTag: it has no text around the tag that distinguishes results from sources"
                    .to_string(),
            ),
            false => Ok(Naming::around(prefix.to_string(), suffix.to_string())),
        }
    }

    fn around(prefix: String, suffix: String) -> Self {
        match prefix.is_empty() && suffix.is_empty() {
            true => Naming::Same,
            false => Naming::Around { prefix, suffix },
        }
    }

    /// Returns the source tag of a result; `None` if there is none, or if any tag may be.
    pub fn source<'t>(&self, result: &'t str) -> Option<&'t str> {
        match self {
            Naming::Same => Some(result),
            Naming::Fixed(_) => None,
            Naming::Around { prefix, suffix } => {
                result.strip_prefix(prefix.as_str()).and_then(|rest| rest.strip_suffix(suffix.as_str()))
            }
        }
    }

    /// Returns whether a tag is named like a result. Results that replace their sources cannot be recognized
    /// by name.
    pub fn is_result(&self, tag: &str) -> bool {
        match self {
            Naming::Same => false,
            Naming::Fixed(result) => tag == result,
            Naming::Around { prefix, suffix } => {
                let rest =
                    tag.strip_prefix(prefix.as_str()).and_then(|rest| rest.strip_suffix(suffix.as_str()));
                rest.is_some_and(|source| !source.is_empty())
            }
        }
    }
}

/// The shapes of the tags that entries write into the repository that they read.
///
/// It includes the shapes of all such entries; otherwise two entries with the suffixes `-a` and `-b` would
/// wrap each other's results forever.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct OwnResults {
    namings: Vec<Naming>,
}

impl OwnResults {
    /// Collects the shapes for one repository.
    pub fn new(namings: impl IntoIterator<Item = Naming>) -> Self {
        OwnResults { namings: namings.into_iter().collect() }
    }

    /// Returns whether a tag is a result, and therefore not a source.
    pub fn contains(&self, tag: &str) -> bool {
        self.namings.iter().any(|naming| naming.is_result(tag))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn suffix(suffix: &str) -> Naming {
        Naming::from_suffix(suffix).expect(suffix)
    }

    #[test]
    fn a_suffix_is_appended_to_the_tag() {
        assert_eq!(append("1.0", "-reaped"), Ok("1.0-reaped".to_string()));
        assert_eq!(append("1.0", ""), Ok("1.0".to_string()));
        let long = "a".repeat(122);
        assert!(append(&long, "-reaped").expect_err("too long").contains("longer than 128 characters"));
        assert!(append("1.0", "+reaped").expect_err("a plus").contains("a tag may contain"));
    }

    #[test]
    fn rejects_suffixes_that_are_invalid_in_tags() {
        for bad in ["+r", " r", "-r\n", "/x", ":x", "é", &"x".repeat(128)] {
            assert!(Naming::from_suffix(bad).is_err_and(|m| m.starts_with("invalid suffix \"")), "{bad}");
        }
        for good in ["-reaped", ".r", "_r", "r"] {
            assert!(Naming::from_suffix(good).is_ok(), "{good}");
        }
        assert_eq!(Naming::from_suffix(""), Ok(Naming::Same));
    }

    #[test]
    fn tags_that_end_in_the_suffix_are_results_even_if_their_source_is_gone() {
        let own = OwnResults::new([suffix("-reaped")]);
        for result in ["1.0-reaped", "latest-reaped", "1.0-reaped-reaped"] {
            assert!(own.contains(result), "{result}");
        }
        for source in ["1.0", "reaped", "1.0-reaped-alpine", "1.0_reaped", "-reaped"] {
            assert!(!own.contains(source), "{source}");
        }
    }

    #[test]
    fn entries_do_not_take_each_others_results_in_one_repository() {
        let own = OwnResults::new([suffix("-a"), suffix("-b")]);
        assert!(
            own.contains("1.0-a") && own.contains("1.0-b") && own.contains("1.0-a-b") && !own.contains("1.0")
        );
    }

    #[test]
    fn without_a_suffix_results_replace_their_sources() {
        assert!(!OwnResults::new([Naming::Same]).contains("1.0"));
        assert!(!OwnResults::default().contains("1.0-reaped"));
    }

    #[test]
    fn finds_the_shape_of_a_template() {
        let shape = |before: &str, after: &str| Naming::from_probe(&format!("{before}{PROBE}{after}"));
        let around =
            |prefix: &str, suffix: &str| Ok(Naming::Around { prefix: prefix.into(), suffix: suffix.into() });
        assert_eq!(shape("", ""), Ok(Naming::Same));
        assert_eq!(shape("r-", ""), around("r-", ""));
        assert_eq!(shape("", "-r"), around("", "-r"));
        assert_eq!(shape("r-", &format!("-{PROBE}-s")), around("r-", "-s"));
        assert_eq!(Naming::from_probe("stable"), Ok(Naming::Fixed("stable".into())));
        assert!(shape("", &format!("-{PROBE}")).is_err_and(|m| m.starts_with("invalid targetTag: ")));
    }

    #[test]
    fn a_fixed_tag_is_the_only_result() {
        let own = OwnResults::new([Naming::Fixed("stable".into())]);
        assert!(own.contains("stable") && !own.contains("1.0"));
    }

    proptest! {
        #[test]
        fn results_are_never_sources(tag in "[a-z0-9_][a-z0-9_.-]{0,20}", end in "[a-z0-9_.-]{1,10}") {
            let target = append(&tag, &end).expect("a tag");
            prop_assert!(OwnResults::new([suffix(&end)]).contains(&target));
        }
    }
}
