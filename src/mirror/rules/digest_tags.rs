//! Digest tags: tags such as `sha256-<hex>.sig` that hold signatures and other information about the image
//! with this digest.
//!
//! Filters treat them like any other tag. With `digestTags`, those of a copied image are copied along,
//! regardless of filters. As in regsync, every tag that starts with `<algorithm>-<hex>` belongs to a digest;
//! of longer digests only the first 64 digits count, as in the referrers tag schema of the OCI distribution
//! specification.

/// The number of digits of a digest that a tag contains.
const DIGITS: usize = 64;

/// The digest tags of a tag list, ready to be looked up by digest.
#[derive(Debug, Clone)]
pub struct DigestTags<'t> {
    sorted: Vec<&'t str>,
}

impl<'t> DigestTags<'t> {
    /// Finds the digest tags in a tag list.
    pub fn new(tags: impl IntoIterator<Item = &'t str>) -> Self {
        let mut sorted: Vec<&str> = tags.into_iter().filter(|tag| is_digest_tag(tag)).collect();
        sorted.sort_unstable();
        sorted.dedup();
        DigestTags { sorted }
    }

    /// Returns the tags that belong to a digest, which is written as `algorithm:hex`, in alphabetical order.
    pub fn of(&self, digest: &str) -> &[&'t str] {
        let (algorithm, hex) = digest.split_once(':').unwrap_or((digest, ""));
        let prefix = format!("{algorithm}-{}", hex.get(..DIGITS).unwrap_or(hex));
        let start = self.sorted.partition_point(|tag| *tag < prefix.as_str());
        let rest = self.sorted.get(start..).unwrap_or_default();
        let count = rest.partition_point(|tag| tag.starts_with(&prefix));
        rest.get(..count).unwrap_or_default()
    }
}

/// Returns whether a tag starts with the digest of an image: `sha256-` or `sha512-` and 64 hexadecimal
/// digits.
pub fn is_digest_tag(tag: &str) -> bool {
    let is_hex = |b: &u8| b.is_ascii_digit() || (b'a'..=b'f').contains(b);
    let hex = tag.strip_prefix("sha256-").or_else(|| tag.strip_prefix("sha512-")).unwrap_or_default();
    hex.bytes().take_while(is_hex).count() >= DIGITS
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEX: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

    #[test]
    fn tags_that_begin_with_a_digest_are_digest_tags() {
        for suffix in ["", ".sig", ".att", ".sbom", "-attestation"] {
            assert!(is_digest_tag(&format!("sha256-{HEX}{suffix}")), "{suffix}");
        }
        let short = &HEX[1..];
        for tag in [
            "latest",
            "sha256",
            "sha256-",
            "sha256-abc.sig",
            &format!("sha256-{short}.sig"),
            &format!("sha1-{HEX}"),
        ] {
            assert!(!is_digest_tag(tag), "{tag}");
        }
    }

    #[test]
    fn the_digest_tags_of_an_image_are_those_that_begin_with_its_digest() {
        let other = HEX.replace('0', "f");
        let tags = [
            format!("sha256-{HEX}.sig"),
            "1.0".into(),
            format!("sha256-{HEX}"),
            format!("sha256-{other}.sig"),
        ];
        let digest_tags = DigestTags::new(tags.iter().map(String::as_str));
        assert_eq!(digest_tags.of(&format!("sha256:{HEX}")), [&tags[2], &tags[0]]);
        assert_eq!(digest_tags.of(&format!("sha256:{other}")), [&tags[3]]);
        assert!(digest_tags.of(&format!("sha512:{HEX}{HEX}")).is_empty());
    }

    #[test]
    fn long_digests_are_matched_by_their_first_digits() {
        let tag = format!("sha512-{HEX}");
        assert_eq!(DigestTags::new([tag.as_str()]).of(&format!("sha512:{HEX}{HEX}")), [&tag]);
    }
}
