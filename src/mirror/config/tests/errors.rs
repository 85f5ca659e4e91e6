//! Every kind of error, with its place and its suggestion.

use super::{Outside, World, error, load, loaded};
use std::time::{Duration, Instant};

#[test]
fn unknown_keys_are_errors_with_their_place_and_a_suggestion() {
    for (text, message, hint) in [
        (
            "sync:\n  - sorce: a\n",
            "2:5: unknown key \"sorce\" in an entry of sync",
            "did you mean \"source\"?",
        ),
        ("synk: []\n", "1:1: unknown key \"synk\" in the configuration", "did you mean \"sync\"?"),
        (
            "sync:\n- source: a\n  target: b\n  type: image\n  tags:\n    alow: [a]\n",
            "6:5: unknown key \"alow\" in tags",
            "did you mean \"allow\"?",
        ),
        (
            "creds:\n  - registry: a\n    pasword: x\n",
            "3:5: unknown key \"pasword\" in creds",
            "did you mean \"pass\"?",
        ),
        ("sync: [{from: a}]\n", "1:9: unknown key \"from\" in an entry of sync", "did you mean \"source\"?"),
        (
            "defaults: {rateLimit: {}}\n",
            "1:12: unknown key \"rateLimit\" in defaults",
            "did you mean \"ratelimit\"?",
        ),
        (
            "defaults:\n  source: a\n",
            "2:3: unknown key \"source\" in defaults",
            "\"source\" belongs in an entry of sync",
        ),
        ("zzzz: 1\n", "1:1: unknown key \"zzzz\" in the configuration", "start your own keys with x-"),
        (
            "defaults: {wrap: {if-init: wrap}}\n",
            "1:19: unknown key \"if-init\" in wrap",
            "did you mean \"ifInit\"?",
        ),
    ] {
        assert_eq!(error(text), (format!("regsync.yml:{message}"), Some(hint.into())), "{text}");
    }
}

#[test]
fn wrong_values_are_errors_that_say_what_is_expected() {
    let entry = |line: &str| format!("sync:\n- source: a\n  target: b.example/a\n  type: image\n  {line}\n");
    for (line, message) in [
        ("interval: 60", "invalid interval: the unit is missing after 60"),
        ("interval: 7d", "invalid interval: the unit \"d\" is unknown: use ns, us, ms, s, m or h"),
        ("interval: -1h", "invalid interval: the duration is negative"),
        ("referrers: yes", "invalid referrers: \"yes\" is neither true nor false"),
        ("ratelimit: {min: -1}", "invalid min: \"-1\" is not a whole number of zero or more"),
        ("ratelimit: {min: 010}", "invalid min: \"010\" is not a whole number of zero or more"),
        ("ratelimit: 5", "invalid value: ratelimit is a mapping"),
        ("tags: {allow: latest}", "invalid allow: it must be a list"),
        ("tags: [latest]", "invalid value: tags is a mapping"),
        ("tags: {allow: [[a]]}", "invalid allow: it must be a single value, not a list"),
        ("platforms: [null]", "invalid platforms: a value is missing"),
        ("onUnsupported: carri", "invalid onUnsupported: \"carri\" is not one of carry, skip, fail"),
        (
            "recheck: sometimes",
            "invalid recheck: use always, never or a duration; a duration is a number with a unit, as in 90s or 1h30m",
        ),
        (
            "prune: {keep: 3, only-ours: false}",
            "invalid only-ours: prune deletes only results whose record shows that reapify made them",
        ),
        ("prune: {keep: 0}", "invalid keep: at least one result must be kept"),
        ("suffix: a/b", "invalid suffix: it cannot end a tag"),
        ("suffix: -x\n  targetTag: y", "invalid suffix: targetTag already sets the tag"),
        ("prune: {}", "missing key \"keep\" in prune"),
        ("newest: {by: created}", "missing key \"count\" in newest"),
        ("newest: 1.5", "invalid newest: \"1.5\" is not a whole number of zero or more"),
        (
            "fastCheck: true\n  fastCopy: false",
            "invalid fastCopy: it is another name for fastCheck, which has a different value",
        ),
        ("wrap: {grace: soon}", "invalid grace: a duration is a number with a unit, as in 90s or 1h30m"),
        ("hooks: {pre: {exec: []}}", "invalid exec: it must name a program"),
        (
            "hooks: {pre: {exec: [a], http: 'http://x'}}",
            "invalid pre: a hook is either exec, http or type with params",
        ),
        (
            "hooks: {pre: {http: ftp://x}}",
            "invalid http: a URL is expected, as in https://hooks.example/mirror",
        ),
        ("hooks: {pre: {exec: [a], headers: {A: b}}}", "invalid pre: only http takes headers"),
        (
            "hooks: {pre: {http: 'http://x', headers: {\"a b\": c}}}",
            "invalid headers: \"a b\" is not a header name",
        ),
        ("platform: '{{ env \"P\" }}'", "invalid platform: templates are not expanded here"),
    ] {
        let (found, _) = error(&entry(line));
        let found = found.splitn(4, ':').nth(3).unwrap().trim().to_string();
        assert_eq!(found, message, "{line}");
    }
}

#[test]
fn missing_and_mistyped_values_are_errors_with_their_place() {
    for (text, message) in [
        ("sync:\n  - source: a\n    type: image\n", "2:5: missing key \"target\" in an entry of sync"),
        ("sync:\n  - source: a\n    target: b\n", "2:5: missing key \"type\" in an entry of sync"),
        ("sync:\n  - source: ''\n    target: b\n    type: image\n", "2:13: invalid source: it is empty"),
        ("sync:\n  -\n", "2:4: invalid sync: an item is empty"),
        ("sync: {source: a}\n", "1:7: invalid sync: it must be a list, not a mapping"),
        ("- a\n", "1:1: invalid value: the configuration is a mapping"),
        ("just text\n", "1:1: invalid value: the configuration is a mapping"),
        ("version: 2\n", "1:10: invalid version: 2 is not supported, only 1"),
        ("creds: [{user: a}]\n", "1:9: missing key \"registry\" in creds"),
        (
            "creds: [{registry: a, tls: off}]\n",
            "1:28: invalid tls: \"off\" is not one of enabled, insecure, disabled",
        ),
        (
            "creds: [{registry: 'ftp://a'}]\n",
            "1:20: invalid registry: the host may only follow http:// or https://",
        ),
        ("? [a]\n: b\n", "1:3: invalid key: it must be text"),
        ("<<: 3\n", "1:5: invalid merge key: it takes a mapping or a list of mappings"),
    ] {
        assert_eq!(error(text).0, format!("regsync.yml:{message}"), "{text}");
    }
    let (message, hint) = error("sync: [{source: a, target: b, type: imge}]\n");
    assert_eq!(message, "regsync.yml:1:37: invalid type: \"imge\" is not one of registry, repository, image");
    assert_eq!(hint.as_deref(), Some("did you mean \"image\"?"));
}

#[test]
fn unquoted_templates_get_a_hint() {
    let (message, hint) = error("sync:\n- source: {{ env \"X\" }}/a\n  target: b\n  type: image\n");
    assert!(message.starts_with("regsync.yml:2:"), "{message}");
    assert_eq!(hint.as_deref(), Some("put a value that starts with a template in single quotes"));
    let (message, hint) = error("sync:\n- target: {{ env }}\n  source: b\n  type: image\n");
    assert_eq!(message, "regsync.yml:2:11: invalid target: it must be a single value, not a mapping");
    assert!(hint.unwrap().contains("quotes"));
}

#[test]
fn rejects_receivers_without_a_valid_secret() {
    for (receiver, message) in [
        (
            "{kind: harbour}",
            "invalid kind: \"harbour\" is not one of distribution, harbor, gitlab, dockerhub, quay, plain",
        ),
        ("{kind: harbor, secret: plain-text}", "invalid secret: it must not be written in the configuration"),
        (
            "{kind: harbor, secret: {env: NOT_SET}}",
            "invalid secret: environment variable \"NOT_SET\" is not set",
        ),
        (
            "{kind: harbor, secret: {file: /nowhere}}",
            "invalid secret: file \"/nowhere\" cannot be read: no such file",
        ),
        ("{kind: harbor, secret: {}}", "invalid secret: it takes either env or file"),
        ("{kind: harbor, hmac: true}", "missing key \"secret\" in a receiver of events"),
        (
            "{kind: quay, tokenInPath: true, hmac: true, secret: {env: PROJECT}}",
            "invalid tokenInPath: header and hmac cannot be used with it",
        ),
        (
            "{kind: harbor, path: a/b}",
            "invalid path: use one segment of letters, digits, \"-\", \"_\" and \".\"",
        ),
        (
            "{kind: harbor, path: ..}",
            "invalid path: use one segment of letters, digits, \"-\", \"_\" and \".\"",
        ),
        (
            "{kind: harbor, header: 'a b', secret: {env: PROJECT}}",
            "invalid header: \"a b\" is not a header name",
        ),
        ("{kind: plain}, {kind: plain}", "invalid path: two receivers have the path \"plain\""),
    ] {
        let (found, _) = error(&format!("events: {{receivers: [{receiver}]}}\n"));
        assert!(found.ends_with(message), "{receiver}: {found}");
    }
}

/// Returns a chain of anchors of which each repeats the one before it.
fn laughs(levels: usize, item: &str) -> String {
    let mut text = format!("x-0: &x0 {item}\n");
    for level in 1..levels {
        let before = format!("*x{}", level - 1);
        text += &format!("x-{level}: &x{level} [{}]\n", vec![before; 9].join(", "));
    }
    text
}

#[test]
fn aliases_cannot_make_a_small_file_large() {
    let start = Instant::now();
    let bomb = laughs(12, "lol");
    // What is not read costs nothing.
    assert!(load(&bomb, "f", &World::default()).is_ok());
    let used = format!("{bomb}sync: *x11\n");
    assert!(load(&used, "f", &World::default()).is_err());
    // Many entries that share a long list.
    let tags = vec!["a"; 20_000].join(", ");
    let shared = format!("x-t: &t {{allow: [{tags}]}}\n");
    let entry = "- &e {source: a, target: b, type: image, tags: *t}\n";
    let many = format!("{shared}sync:\n{entry}{}", "- *e\n".repeat(20_000));
    let found = load(&many, "f", &World::default()).unwrap_err();
    assert!(found.message.contains("aliases expand to too much"), "{found}");
    // Merge keys that branch, and merge keys that nest.
    let mut merges = String::from("x-0: &m0 {x-a: 1}\n");
    for level in 1..60 {
        merges += &format!("x-{level}: &m{level} {{<<: [*m{0}, *m{0}, *m{0}]}}\n", level - 1);
    }
    assert!(load(&format!("{merges}<<: *m20\n"), "f", &World::default()).is_err());
    let found = load(&format!("{merges}<<: *m59\n"), "f", &World::default()).unwrap_err();
    assert!(
        found.message.contains("merge keys are nested too deeply") || found.message.contains("too much"),
        "{found}"
    );
    assert!(start.elapsed() < Duration::from_secs(60));
}

#[test]
fn templates_cannot_make_a_small_file_large() {
    let source = "a".repeat(100_000);
    let target = "{{ .Sync.Source }}".repeat(1_000);
    let text = format!("sync: [{{source: {source}, target: '{target}', type: image}}]\n");
    assert!(load(&text, "f", &World::default()).unwrap_err().message.contains("more than 1024 KiB"));
}

/// Deletes, doubles and replaces pieces of the real files.
#[test]
fn damaged_files_fail_or_round_trip() {
    let world = World::full();
    let mut seed = 0x9e37_79b9_7f4a_7c15u64;
    let mut random = |below: usize| {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        (seed % below.max(1) as u64) as usize
    };
    for (_, text) in super::real::files() {
        let chars: Vec<char> = text.chars().collect();
        for _ in 0..60 {
            let (at, length) = (random(chars.len()), random(12));
            let end = (at + length).min(chars.len());
            let piece = ["", "{{", "\"", "\t", ": ", "\n- ", "&a ", "*a", "}}", "[", "null"][random(11)];
            let damaged: String = chars[..at]
                .iter()
                .copied()
                .chain(piece.chars())
                .chain(chars[end..].iter().copied())
                .collect();
            if let Ok(loaded) = load(&damaged, "f", &world) {
                let yaml = loaded.config.to_yaml();
                let again = load(&yaml, "f", &world).unwrap_or_else(|e| panic!("{e}\n{damaged}\n{yaml}"));
                assert_eq!(again.config.to_yaml(), yaml, "{damaged}");
            }
        }
    }
}

#[test]
fn seven_thousand_entries_load_quickly() {
    let mut text = String::from("defaults: {backup: 'old-{{.Ref.Tag}}', interval: 1h}\nsync:\n");
    for n in 0..7_000 {
        text += &format!(
            "- source: docker.io/example-organisation/mirrored-image-{n}:v1.{n}.0\n  target: registry.example/mirror/example-image-{n}:v1.{n}.0\n  type: image\n"
        );
    }
    assert!(text.len() > 1_000_000 - 60_000);
    let start = Instant::now();
    assert_eq!(loaded(&text).config.entries.len(), 7_000);
    let limit = if cfg!(debug_assertions) { 3 } else { 1 };
    assert!(start.elapsed() < Duration::from_secs(limit), "{:?}", start.elapsed());
}

#[test]
fn the_test_environment_has_no_other_files() {
    assert!(World::full().file("/etc/passwd").is_err());
}
