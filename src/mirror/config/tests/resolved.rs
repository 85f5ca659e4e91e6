//! Defaults, duplicates, merge keys, and the resolved configuration.

use super::{World, config, entry, load, loaded, real};
use crate::mirror::config::{Hook, Recheck, Tls};
use std::time::Duration;

const MINUTE: Duration = Duration::from_secs(60);

#[test]
fn no_secret_shows_up_anywhere() {
    for (name, text) in real::files() {
        let loaded = load(&text, &name, &World::full()).unwrap();
        let (yaml, json, debug) = (loaded.config.to_yaml(), loaded.config.to_json(), format!("{loaded:?}"));
        for shown in [yaml, json, debug] {
            assert!(!shown.contains("hunter2"), "{name}: {shown}");
        }
    }
}

#[test]
fn the_resolved_configuration_loads_again_and_is_the_same() {
    for (name, text) in real::files() {
        let first = config(&text);
        let (yaml, json) = (first.to_yaml(), first.to_json());
        let again =
            load(&yaml, "again.yml", &World::full()).unwrap_or_else(|e| panic!("{name}: {e}\n{yaml}")).config;
        assert_eq!(again.to_yaml(), yaml, "{name}");
        assert_eq!(load(&json, "again.json", &World::full()).unwrap().config.to_json(), json, "{name}");
        let facts = |config: &crate::mirror::config::Config| {
            let of = |entry: &crate::mirror::config::Entry| {
                (
                    entry.source.clone(),
                    entry.target.clone(),
                    entry.kind,
                    entry.interval,
                    entry.wrap.clone(),
                    entry.rate_limit,
                )
            };
            config.entries.iter().map(of).collect::<Vec<_>>()
        };
        assert_eq!(facts(&again), facts(&first), "{name}");
    }
}

#[test]
fn an_entrys_own_value_goes_before_the_defaults() {
    let text = "
defaults:
  interval: 10m
  backup: old
  ratelimit: {min: 7, retry: 10m}
  referrers: true
  wrap: {grace: 5s, path: /init}
  newest: 3
  hooks: {pre: {exec: [a]}, post: {exec: [b]}, timeout: 9s}
sync:
- {source: a, target: b, type: image}
- source: a
  target: b
  type: image
  schedule: '@hourly'
  backup: new
  ratelimit: {retry: 20m}
  referrers: false
  wrap: {grace: 0.25}
  newest: 0
  hooks: {pre: {exec: [c]}}
";
    let entries = config(text).entries;
    let (plain, own) = (&entries[0], &entries[1]);
    assert_eq!((plain.interval, plain.schedule.as_deref()), (Some(10 * MINUTE), None));
    assert_eq!((own.interval, own.schedule.as_deref()), (None, Some("@hourly")));
    assert_eq!((plain.backup.as_ref().unwrap().text(), own.backup.as_ref().unwrap().text()), ("old", "new"));
    assert_eq!((plain.rate_limit.min, plain.rate_limit.retry), (Some(7), 10 * MINUTE));
    assert_eq!((own.rate_limit.min, own.rate_limit.retry), (Some(7), 20 * MINUTE));
    assert_eq!((plain.referrers, own.referrers), (true, false));
    assert_eq!((own.wrap.grace, own.wrap.path.as_deref()), (Some(Duration::from_millis(250)), Some("/init")));
    assert_eq!((plain.newest.unwrap().count, own.newest), (3, None));
    let program = |hooks: &[Hook]| match &hooks[0] {
        Hook::Exec(words) => words[0].clone(),
        other => panic!("{other:?}"),
    };
    assert_eq!((program(&own.hooks.pre), program(&own.hooks.post)), ("c".into(), "b".into()));
    assert_eq!(own.hooks.timeout, Some(Duration::from_secs(9)));
    assert_eq!(
        (own.place("schedule").line, own.place("backup").line, plain.place("backup").line),
        (15, 16, 4)
    );
    assert_eq!(own.place("platform").line, 12);
}

#[test]
fn suffix_and_target_tag_are_not_combined_with_defaults() {
    let text = "
defaults: {suffix: -reaped}
sync:
- {source: a, target: b, type: repository, targetTag: '{{ .Source.Tag }}-x'}
- {source: a, target: b, type: repository}
";
    let entries = config(text).entries;
    assert_eq!((entries[0].suffix.as_deref(), entries[0].target_tag.is_some()), (None, true));
    assert_eq!((entries[1].suffix.as_deref(), entries[1].target_tag.is_some()), (Some("-reaped"), false));
}

#[test]
fn the_defaults_are_those_of_regsync_where_it_has_any() {
    let entry = entry("");
    assert_eq!(entry.media_types.len(), 4);
    assert_eq!((entry.rate_limit.min, entry.rate_limit.retry), (None, 5 * MINUTE));
    assert!(entry.tag_sets.is_empty() && !entry.referrers && !entry.digest_tags && !entry.fast_check);
    assert_eq!((entry.interval, entry.schedule.clone(), entry.recheck), (None, None, Recheck::Never));
}

#[test]
fn zero_and_empty_values_count_as_absent() {
    let text = "
defaults: {interval: 1h, backup: b, mediaTypes: [m], parallel: 0}
sync: [{source: a, target: b, type: image, interval: 0s, backup: '', mediaTypes: [], tags: {}, schedule: ''}]
";
    let config = config(text);
    let entry = &config.entries[0];
    assert_eq!((entry.interval, config.parallel), (Some(60 * MINUTE), None));
    assert_eq!(
        (entry.backup.as_ref().unwrap().text(), entry.media_types.as_slice()),
        ("b", &["m".to_string()][..])
    );
    assert!(entry.tag_sets.is_empty());
    let note = "interval: 0s counts as absent, as in regsync, and does not override the schedule";
    assert_eq!(loaded(text).notes[0].text, note);
    assert_eq!(super::entry("interval: 0s").interval, None);
    assert_eq!(super::entry("interval: 0").interval, None);
    assert_eq!(super::entry("tagSets: [{}]").tag_sets.len(), 1);
}

#[test]
fn filters_without_effect_are_noted_and_dropped() {
    let loaded =
        loaded("sync: [{source: a, target: b, type: repository, repos: {allow: [c]}, tags: {allow: [d]}}]\n");
    assert_eq!(loaded.notes[0].text, "repos only affects entries of type registry");
    assert!(loaded.config.entries[0].repos.allow.is_empty());
    assert_eq!(loaded.config.entries[0].tag_sets.len(), 1);
}

#[test]
fn windows_line_ends_change_nothing() {
    for (_, text) in real::files() {
        assert_eq!(config(&text.replace('\n', "\r\n")), config(&text));
    }
}

#[test]
fn text_is_kept_as_written() {
    let entry = entry("tags: {allow: [3.10, 1e3, 0x10, true, 2024-01-02, 'null', !!str null, null, ~, ]}");
    let texts: Vec<_> = entry.tag_sets[0].allow.iter().map(|item| item.as_deref().unwrap_or("-")).collect();
    assert_eq!(texts, ["3.10", "1e3", "0x10", "true", "2024-01-02", "null", "null", "-", "-"]);
}

#[test]
fn duplicate_keys_are_noted_and_the_last_counts() {
    let loaded = loaded("sync:\n- source: a\n  source: c\n  target: b\n  type: image\n");
    assert_eq!(loaded.config.entries[0].source, "c");
    assert_eq!(
        loaded.notes[0].to_string(),
        "3:3: the key \"source\" appears twice in an entry of sync; the last one counts"
    );
}

#[test]
fn own_keys_take_precedence_over_merge_keys() {
    let text = "
x-a: &a {type: image, target: t.example/a, referrers: true}
x-b: &b {type: repository, backup: b}
sync:
- {source: s, target: own.example/t, <<: *a}
- {<<: [*a, *b], source: s}
- {<<: {<<: *b, target: inner.example/t}, source: s}
";
    let loaded = loaded(text);
    let note = "5:38: \"target\" keeps its own value; regsync would take the value of the merge key after it";
    assert_eq!(loaded.notes.iter().map(ToString::to_string).collect::<Vec<_>>(), [note]);
    let entries = loaded.config.entries;
    assert_eq!((entries[0].target.as_str(), entries[0].referrers), ("own.example/t", true));
    assert_eq!((entries[1].kind.name(), entries[1].backup.as_ref().unwrap().text()), ("image", "b"));
    assert_eq!((entries[2].kind.name(), entries[2].target.as_str()), ("repository", "inner.example/t"));
}

#[test]
fn own_keys_are_allowed_at_every_level() {
    let text = "
x-a: 1
creds: [{registry: r.example, x-b: {c: d}}]
defaults: {x-c: [1], ratelimit: {x-d: 1}}
sync: [{source: a, target: b, type: repository, x-e: 2, tags: {x-f: 3, allow: [z]}, wrap: {x-g: 4}}]
events: {x-h: 5, receivers: []}
";
    assert!(loaded(text).notes.is_empty());
}

#[test]
fn docker_hub_has_one_name_and_later_credentials_add_to_earlier_ones() {
    let text = "
creds:
- {registry: index.docker.io, user: a, pass: b, tls: insecure}
- {registry: docker.io, hostname: registry-1.docker.io, pass: c}
- {registry: 'http://plain.example:5000', pathPrefix: /x/y/}
- {registry: docker.io, credHelper: docker-credential-x, credExpire: 3600000000000}
sync: []
";
    let credentials = config(text).credentials;
    assert_eq!(credentials.len(), 2);
    assert_eq!((credentials[0].host.as_str(), &credentials[0].hostname), ("docker.io", &None));
    assert_eq!(
        (&credentials[0].user, &credentials[0].pass, credentials[0].tls),
        (&None, &None, Tls::Insecure)
    );
    assert_eq!(credentials[0].cred_helper.as_deref(), Some("docker-credential-x"));
    assert_eq!(credentials[0].cred_expire, Some(60 * MINUTE));
    assert_eq!((credentials[1].host.as_str(), credentials[1].tls), ("plain.example:5000", Tls::Disabled));
    assert_eq!(credentials[1].path_prefix.as_deref(), Some("x/y"));
}

#[test]
fn an_empty_file_is_a_configuration_that_mirrors_nothing() {
    for text in ["", "# nothing\n", "---\n", "sync:\n", "\u{feff}sync: []\n", "null\n"] {
        let loaded = loaded(text);
        assert!(loaded.config.entries.is_empty());
        assert!(loaded.notes[0].text.contains("nothing to mirror"));
    }
}

#[test]
fn urls_of_hooks_are_masked_behind_the_host() {
    let text = "sync: [{source: a, target: b, type: image, hooks: {post: {http: 'https://u:p@hooks.example/T0/B1?x=y'}}}]\n";
    let yaml = config(text).to_yaml();
    assert!(yaml.contains("http: \"https://hooks.example/***\""), "{yaml}");
}
