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
            let errors = distance(&lower, &known);
            let most = (known.len().max(lower.len()) / 3).max(1);
            // If half of a short word is wrong, it is not recognizable.
            (errors <= most && errors * 2 < known.len()).then_some((errors, candidate))
        })
        .min_by_key(|(errors, _)| *errors)
        .map(|(_, candidate)| candidate)
}

/// Counts insertions, deletions, substitutions and swaps of neighbours.
fn distance(a: &[char], b: &[char]) -> usize {
    let mut before: Vec<usize> = vec![0; b.len() + 1];
    let mut last: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.iter().enumerate() {
        let mut row = vec![i + 1];
        for (j, y) in b.iter().enumerate() {
            // The rows have one cell more than `b` has letters, and `row` has j + 1 cells by now.
            let mut least = (last[j] + usize::from(x != y)).min(last[j + 1] + 1).min(row[j] + 1);
            if i > 0 && j > 0 && a[i - 1] == *y && *x == b[j - 1] {
                least = least.min(before[j - 1] + 1);
            }
            row.push(least);
        }
        before = std::mem::replace(&mut last, row);
    }
    last.last().copied().unwrap_or_default()
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
