//! Shards: the part of a mirror's work that one of several processes does.
//!
//! Work is divided by a hash of its key, so processes need no coordination, on any machine and in any
//! version.

use sha2::{Digest, Sha256};

/// One of several shards, counted from 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shard {
    index: u64,
    count: u64,
}

/// How the work is divided.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ShardBy {
    /// By destination repository: one shard processes all tags of a repository, and moves the blobs that they
    /// share once.
    #[default]
    Repository,
    /// By destination repository and tag, for few repositories with many tags.
    Tag,
}

impl ShardBy {
    /// Returns the key of an image for [`Shard::owns`]. The repository includes its registry.
    pub fn key(self, repository: &str, tag: &str) -> String {
        match self {
            ShardBy::Repository => repository.to_string(),
            ShardBy::Tag => format!("{repository}:{tag}"),
        }
    }
}

impl Shard {
    /// Returns whether this is the first shard, which reports what concerns all of them.
    pub fn is_first(self) -> bool {
        self.index == 0
    }

    /// Parses `I/N`: shard I of N, counted from 0.
    pub fn parse(text: &str) -> Result<Self, String> {
        let parts = text.split_once('/').and_then(|(index, count)| Some((number(index)?, number(count)?)));
        let (index, count) = parts.ok_or_else(|| {
            format!("invalid shard {text:?}: write it as I/N, such as 0/4 for the first of four")
        })?;
        Shard::new(index, count).map_err(|why| format!("invalid shard {text:?}: {why}"))
    }

    /// Reads the shard from the values of `JOB_COMPLETION_INDEX`, which Kubernetes sets in the pods of an
    /// indexed Job, and `REAPIFY_SHARDS`, the Job's completions, which Kubernetes does not set. Returns
    /// `None` if neither is set. An empty value counts as not set.
    pub fn from_environment(index: Option<&str>, shards: Option<&str>) -> Result<Option<Self>, String> {
        let (index, shards) = match (index.filter(|v| !v.is_empty()), shards.filter(|v| !v.is_empty())) {
            (None, None) => return Ok(None),
            (Some(index), Some(shards)) => (index, shards),
            (Some(_), None) => {
                let fix = "set REAPIFY_SHARDS to the completions of the Job, or use --shard";
                return Err(format!(
                    "invalid shard: JOB_COMPLETION_INDEX is set, but REAPIFY_SHARDS is not; {fix}"
                ));
            }
            (None, Some(_)) => {
                let fix = "run it in an indexed Job (completionMode: Indexed), or use --shard";
                return Err(format!(
                    "invalid shard: REAPIFY_SHARDS is set, but JOB_COMPLETION_INDEX is not; {fix}"
                ));
            }
        };
        let named = |name, value| {
            number(value).ok_or_else(|| format!("invalid {name} {value:?}: it is not a number"))
        };
        let (index, count) = (named("JOB_COMPLETION_INDEX", index)?, named("REAPIFY_SHARDS", shards)?);
        let context = |why| {
            format!("invalid shard: JOB_COMPLETION_INDEX is {index} and REAPIFY_SHARDS is {count}: {why}")
        };
        Shard::new(index, count).map(Some).map_err(context)
    }

    fn new(index: u64, count: u64) -> Result<Self, String> {
        match (index, count) {
            (_, 0) => Err("there must be at least one shard".to_string()),
            (index, count) if index < count => Ok(Shard { index, count }),
            (_, count) => Err(format!("shards count from 0, so the last of {count} is {}", count - 1)),
        }
    }

    /// Returns whether the work with a key belongs to this shard. Of N shards, exactly one owns a key.
    pub fn owns(&self, key: &str) -> bool {
        hash(key) % self.count == self.index
    }
}

/// Returns the first eight bytes of the SHA-256 of a key, as a big-endian number. It must never change:
/// shards of different versions may run side by side.
pub fn hash(key: &str) -> u64 {
    Sha256::digest(key).iter().take(8).fold(0, |hash, byte| hash << 8 | u64::from(*byte))
}

fn number(text: &str) -> Option<u64> {
    let is_number = text.bytes().all(|b| b.is_ascii_digit());
    text.parse().ok().filter(|_| is_number)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn shards_count_from_zero() {
        assert_eq!(Shard::parse("0/1"), Ok(Shard { index: 0, count: 1 }));
        assert_eq!(Shard::parse("3/4"), Ok(Shard { index: 3, count: 4 }));
        for (text, why) in [
            ("", "write it as I/N"),
            ("3", "write it as I/N"),
            ("/", "write it as I/N"),
            ("1/", "write it as I/N"),
            ("/2", "write it as I/N"),
            ("a/2", "write it as I/N"),
            ("-1/2", "write it as I/N"),
            ("+1/2", "write it as I/N"),
            (" 1/2", "write it as I/N"),
            ("1/2/3", "write it as I/N"),
            ("1/99999999999999999999", "write it as I/N"),
            ("0/0", "at least one shard"),
            ("4/4", "the last of 4 is 3"),
        ] {
            let message = Shard::parse(text).expect_err(text);
            assert!(message.starts_with("invalid shard \"") && message.contains(why), "{text}: {message}");
        }
    }

    #[test]
    fn reads_the_shard_of_an_indexed_job() {
        let read = Shard::from_environment;
        assert_eq!(read(None, None), Ok(None));
        assert_eq!(read(Some(""), Some("")), Ok(None));
        assert_eq!(read(Some("2"), Some("8")), Ok(Some(Shard { index: 2, count: 8 })));
        let message = |index, shards| read(index, shards).expect_err("an error");
        assert!(message(Some("2"), None).contains("set REAPIFY_SHARDS to the completions"));
        assert!(message(None, Some("2")).contains("JOB_COMPLETION_INDEX is not; run it in an indexed Job"));
        assert_eq!(message(Some("x"), Some("2")), "invalid JOB_COMPLETION_INDEX \"x\": it is not a number");
        assert_eq!(message(Some("0"), Some("two")), "invalid REAPIFY_SHARDS \"two\": it is not a number");
        assert!(message(Some("8"), Some("8")).contains("is 8 and REAPIFY_SHARDS is 8: shards count from 0"));
        assert!(message(Some("0"), Some("0")).contains("at least one shard"));
    }

    #[test]
    fn hashes_never_change() {
        assert_eq!(hash(""), 0xe3b0_c442_98fc_1c14);
        assert_eq!(hash("registry.example/library/alpine"), 0xcc5a_f7d4_821a_5008);
        assert_eq!(hash("registry.example/library/alpine:3.20"), 0xff9c_9614_a58c_89df);
        assert_eq!(hash("registry.example:5000/a/b/c"), 0x3afc_ea2d_727e_89b8);
    }

    #[test]
    fn work_is_divided_by_repository_or_by_tag() {
        assert_eq!(ShardBy::Repository.key("r.example/a", "1"), "r.example/a");
        assert_eq!(ShardBy::Tag.key("r.example/a", "1"), "r.example/a:1");
    }

    #[test]
    fn shards_are_balanced() {
        for count in [2, 3, 4, 7, 16] {
            let mut owned = vec![0; count as usize];
            for repository in 0..8000 {
                let key = format!("registry.example/team-{}/image-{repository}", repository % 13);
                let owners = (0..count).filter(|index| Shard { index: *index, count }.owns(&key));
                owners.for_each(|index| owned[index as usize] += 1);
            }
            let fair = 8000 / count as i64;
            assert_eq!(owned.iter().sum::<i64>(), 8000);
            assert!(owned.iter().all(|n| (n - fair).abs() * 6 < fair), "{count}: {owned:?}");
        }
    }

    proptest! {
        #[test]
        fn exactly_one_shard_owns_a_key(key in ".*", count in 1u64..50) {
            let owners = (0..count).filter(|index| Shard { index: *index, count }.owns(&key));
            prop_assert_eq!(owners.count(), 1);
        }

        #[test]
        fn parsing_any_shard_does_not_panic(text in "[0-9/+-]{0,12}|.*") {
            let _ = Shard::parse(&text);
        }
    }
}
