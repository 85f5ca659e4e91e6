//! Finds the known word that was probably meant by a misspelt one.

/// The maximum length of a word to compare.
const LONGEST: usize = 40;

/// Returns the candidate with the fewest typing errors, if they are few for its length.
pub(super) fn nearest<'a>(word: &str, candidates: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    if word.chars().count() > LONGEST {
        return None;
    }
    let lower: Vec<char> = word.to_lowercase().chars().filter(|c| !matches!(c, '-' | '_')).collect();
    candidates
        .filter_map(|candidate| {
            let known: Vec<char> = candidate.to_lowercase().chars().filter(|c| *c != '-').collect();
            let errors = strsim::generic_damerau_levenshtein(&lower, &known);
            let most = (known.len().max(lower.len()) / 3).max(1);
            // If half of a short word is wrong, it is not recognizable.
            (errors <= most && errors * 2 < known.len()).then_some((errors, candidate))
        })
        .min_by_key(|(errors, _)| *errors)
        .map(|(_, candidate)| candidate)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn suggests_the_intended_word() {
        let known = ["source", "target", "type", "tags", "tagSets", "semverRange", "min-age"];
        for (word, meant) in [
            ("sorce", Some("source")),
            ("Source", Some("source")),
            ("soruce", Some("source")),
            ("tag_sets", Some("tagSets")),
            ("semver-range", Some("semverRange")),
            ("minAge", Some("min-age")),
            ("tpye", Some("type")),
            ("zebra", None),
            ("", None),
        ] {
            assert_eq!(nearest(word, known.into_iter()), meant, "{word}");
        }
        assert_eq!(nearest(&"x".repeat(1 << 20), known.into_iter()), None);
    }
}
