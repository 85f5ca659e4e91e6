//! Properties that hold for every input: judging does not panic, and a patch makes only the intended changes.

use super::command::NoImages;
use super::examine::{Knowledge, examine};
use super::mapping::{Mapping, Replaced};
use super::parse::Source;
use super::patch::{Patch, Patched, Reapers};
use super::rule::Ignore;
use super::tree::View;
use super::words::WordsOnly;

/// States that every image has a reaper.
struct Everywhere;

impl Reapers for Everywhere {
    fn prefix(&self, _image: &str) -> Option<Vec<String>> {
        Some(vec!["/.reaper".into(), "--".into()])
    }
}

/// Judges and patches an input. Panics if anything except the intended values changes.
pub fn fuzz_pod(data: &[u8]) {
    let sources = [Source::parse("fuzz", data)];
    let knowledge = Knowledge { images: &NoImages, commands: &WordsOnly };
    let report = examine(&sources, knowledge, &Ignore::default());
    report.to_text();
    report.to_sarif("0", "https://example.com");
    serde_json::from_str::<serde_json::Value>(&report.to_json()).expect("the report is JSON");
    let mut mapping = Mapping::default();
    for registry in ["docker.io=r.test/hub", "quay.io=r.test/quay"] {
        mapping.add_registry(registry).expect("the map is valid");
    }
    let patch = Patch { mapping: &mapping, reapers: &Everywhere, drop_host_pid: true, drop_shared: true };
    let [source] = &sources;
    let Ok(patched) = source.patch(&patch) else { return };
    check(source, &patched, &patch);
}

fn check(source: &Source<'_>, patched: &Patched, patch: &Patch<'_>) {
    let again = Source::parse("fuzz", patched.text.as_bytes());
    assert!(again.problems.iter().all(|problem| !problem.is_error), "{:?}", again.problems);
    assert_eq!(source.documents.len(), again.documents.len());
    for (old, new) in source.documents.iter().zip(&again.documents) {
        let mut seen = 0;
        compare(old.root(), new.root(), patch.mapping, &mut seen);
    }
    let twice = again.patch(patch).expect("a patched text can be patched");
    assert_eq!(twice.text, patched.text, "the second patch changes nothing");
    if patched.changes.is_empty() {
        assert_eq!(patched.text, source.text);
    }
}

/// Compares two documents with all aliases expanded.
fn compare(old: View<'_>, new: View<'_>, mapping: &Mapping, seen: &mut usize) {
    *seen += 1;
    if old.is_mapping() {
        let new_entries = new.entries();
        let mut left = new_entries.iter();
        for (key, value) in old.entries() {
            let name = key.text().unwrap_or_default();
            let is_dropped =
                matches!(name, "hostPID" | "shareProcessNamespace") && value.truth() == Some(true);
            let Some((new_key, new_value)) = left.clone().next().filter(|(k, _)| k.text() == key.text())
            else {
                assert!(is_dropped, "the entry {name:?} is gone");
                continue;
            };
            left.next();
            assert_eq!(key.text(), new_key.text());
            compare_entry(name, value, *new_value, mapping, seen);
        }
        assert!(left.next().is_none(), "an entry was added");
    } else if old.is_sequence() {
        assert!(new.is_sequence());
        assert_eq!(old.items().count(), new.items().count());
        old.items().zip(new.items()).for_each(|(a, b)| compare(a, b, mapping, seen));
    } else {
        assert_eq!(old.text(), new.text());
        assert_eq!(old.is_null(), new.is_null());
        assert_eq!((old.truth(), old.number()), (new.truth(), new.number()));
    }
}

fn compare_entry(name: &str, old: View<'_>, new: View<'_>, mapping: &Mapping, seen: &mut usize) {
    match (name, old.text(), new.text()) {
        ("image", Some(a), Some(b)) if a != b => {
            assert_eq!(mapping.replace(a.trim()), Replaced::By(b.to_string()));
        }
        ("command", ..) if old.is_sequence() && new.items().count() == old.items().count() + 2 => {
            let front: Vec<_> = new.items().take(2).map(View::text).collect();
            assert_eq!(front, [Some("/.reaper"), Some("--")]);
            old.items().zip(new.items().skip(2)).for_each(|(a, b)| compare(a, b, mapping, seen));
        }
        _ => compare(old, new, mapping, seen),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::{Duration, Instant};

    /// A deterministic generator of random numbers without a dependency.
    struct Numbers(u64);

    impl Numbers {
        fn below(&mut self, end: usize) -> usize {
            self.0 ^= self.0 << 13;
            self.0 ^= self.0 >> 7;
            self.0 ^= self.0 << 17;
            (self.0 % end.max(1) as u64) as usize
        }
    }

    const PIECES: [&str; 46] = [
        "- ",
        ": ",
        "\n",
        "\r\n",
        "  ",
        "&a ",
        "*a",
        "<<: *a",
        "[",
        "]",
        "{",
        "}",
        ",",
        "#x",
        "'",
        "\"",
        "|\n",
        ">-\n",
        "---\n",
        "...\n",
        "!!str ",
        "? ",
        "image: nginx\n",
        "image: 'quay.io/a/b:1'",
        "command: [x]",
        "command:\n- x\n",
        "hostPID: true\n",
        "shareProcessNamespace: true",
        "hostPID: true, ",
        "containers:\n",
        "\u{feff}",
        "\t",
        "\0",
        "${X}",
        "{{ x }}",
        "~",
        "kind: Pod\n",
        "spec:\n",
        "apiVersion: v1\n",
        "\\",
        "\u{85}",
        "\u{2028}",
        "é",
        "%YAML 1.2\n",
        "- {name: a, image: nginx, command: [a, b]}\n",
        "\n\n",
    ];

    fn mutate(data: &mut Vec<u8>, other: &[u8], numbers: &mut Numbers) {
        for _ in 0..1 + numbers.below(4) {
            let at = numbers.below(data.len() + 1);
            let end = at + numbers.below((data.len() - at).min(40) + 1);
            match numbers.below(6) {
                0 => drop(data.drain(at..end)),
                1 | 2 => drop(data.splice(at..at, PIECES[numbers.below(PIECES.len())].bytes())),
                3 => {
                    let from = numbers.below(other.len());
                    let to = from + numbers.below((other.len() - from).min(80) + 1);
                    data.splice(at..end, other[from..to].iter().copied());
                }
                4 => {
                    let copy = data[at..end].to_vec();
                    data.splice(at..at, copy);
                }
                _ => {
                    if let Some(byte) = data.get_mut(at) {
                        *byte = numbers.below(256) as u8;
                    }
                }
            }
        }
    }

    #[test]
    fn judges_and_patches_mutated_documents() {
        let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata/pods");
        let mut paths: Vec<_> =
            std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
        paths.retain(|path| path.extension().is_some_and(|e| e != "expected"));
        paths.sort();
        let seeds: Vec<Vec<u8>> = paths.iter().map(|path| std::fs::read(path).unwrap()).collect();
        seeds.iter().for_each(|seed| fuzz_pod(seed));
        let seconds = std::env::var("FUZZ_SECONDS").ok().and_then(|s| s.parse().ok()).unwrap_or(2);
        let start = std::env::var("FUZZ_SEED").ok().and_then(|s| s.parse().ok()).unwrap_or(7);
        let mut numbers = Numbers(start);
        let until = Instant::now() + Duration::from_secs(seconds);
        let mut runs = 0;
        while Instant::now() < until {
            let mut data = seeds[numbers.below(seeds.len())].clone();
            let other = &seeds[numbers.below(seeds.len())];
            if data.len() > 4000 {
                continue;
            }
            mutate(&mut data, other, &mut numbers);
            let run = std::panic::catch_unwind(|| fuzz_pod(&data));
            assert!(run.is_ok(), "{}", String::from_utf8_lossy(&data));
            runs += 1;
        }
        println!("{runs} inputs");
    }

    fn time(text: &str) -> Duration {
        let start = Instant::now();
        fuzz_pod(text.as_bytes());
        start.elapsed()
    }

    const HEAD: &str = "apiVersion: v1\nkind: Pod\nmetadata: {name: p}\nspec:\n  containers:\n";

    /// Returns inputs that each grow with `n` in one dimension.
    fn large(n: usize) -> Vec<String> {
        let lines = |line: &dyn Fn(usize) -> String| (0..n).map(line).collect::<String>();
        let container = |rest: &str| format!("{HEAD}  - {{name: a, image: x, {rest}}}\n");
        let containers = lines(&|i| format!("  - {{name: c{i}, image: nginx, command: [sh, -c, x]}}\n"));
        let documents =
            lines(&|_| "---\nkind: Pod\nmetadata: {}\nspec: {containers: [{name: a, image: x}]}\n".into());
        let env = lines(&|i| format!("{{name: A{i}, value: x}}, "));
        let references = lines(&|i| format!("$(A{i})"));
        let mounts = lines(&|_| "{name: v, mountPath: /v}, ".into());
        let mut texts = vec![
            HEAD.to_string() + &containers,
            documents,
            lines(&|i| format!("k{i}: v\n")),
            lines(&|_| "a: [\n---\n".into()),
            container(&format!("command: [\"{references}\"], env: [{env}]")),
            container(&format!("command: [/v/x], volumeMounts: [{mounts}]")),
        ];
        for piece in ["[", "{", "- ", "? ", "a: ", "&a [", "!!x [", "'", "\"", "<<: ["] {
            texts.push(piece.repeat(10 * n));
        }
        for piece in ["(", "$(", "`", "{ ", "<<A ", "case a in b) ", "a;", "exec a;", "kill $("] {
            texts.push(container(&format!("command: [sh, -c, '{}']", piece.repeat(10 * n))));
        }
        texts
    }

    #[test]
    fn time_is_linear_in_the_size_of_the_input() {
        for (small, large) in large(500).iter().zip(large(4000)) {
            let (short, long) = (time(small), time(&large));
            let limit = 24 * short + Duration::from_millis(1500);
            assert!(long < limit, "{short:?} and {long:?}: {:?}", large.get(..120));
        }
    }
}
