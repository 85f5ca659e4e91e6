//! Counts in sentences.

/// Returns a number with the thing that it counts, in the plural unless it is one: `1 image`, `2 images`.
pub fn counted(n: u64, what: &str) -> String {
    format!("{n} {what}{}", if n == 1 { "" } else { "s" })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_is_singular() {
        let of = |n: u64| counted(n, "image");
        assert_eq!([of(0), of(1), of(2)], ["0 images", "1 image", "2 images"]);
    }
}
