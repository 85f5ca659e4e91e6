//! Files like those of public repositories, and what they must come to.

use super::{World, config, load};
use crate::mirror::config::{Config, Entry, Kind, Mode, NewestBy, Proof, Recheck, Scope, Template, Tls};
use std::path::Path;
use std::time::Duration;

/// Returns all files of `testdata/mirror`, by name.
pub fn files() -> Vec<(String, String)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata/mirror");
    let mut files: Vec<(String, String)> = std::fs::read_dir(folder)
        .unwrap()
        .map(|file| file.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "yml"))
        .map(|path| {
            (path.file_name().unwrap().to_string_lossy().into(), std::fs::read_to_string(&path).unwrap())
        })
        .collect();
    files.sort();
    files
}

fn real(name: &str) -> Config {
    let (_, text) = files().into_iter().find(|(file, _)| file == name).unwrap();
    config(&text)
}

fn notes(name: &str) -> Vec<String> {
    let (_, text) = files().into_iter().find(|(file, _)| file == name).unwrap();
    load(&text, name, &World::full()).unwrap().notes.iter().map(ToString::to_string).collect()
}

fn names(config: &Config) -> Vec<(&str, &str)> {
    config.entries.iter().map(|entry| (entry.source.as_str(), entry.target.as_str())).collect()
}

fn texts(items: &[Option<String>]) -> Vec<&str> {
    items.iter().map(|item| item.as_deref().unwrap_or("<null>")).collect()
}

#[test]
fn there_are_more_than_ten_files_and_all_load() {
    let files = files();
    assert!(files.len() > 10);
    for (name, text) in files {
        assert!(!config(&text).entries.is_empty(), "{name}");
    }
}

#[test]
fn a_generated_list_of_images() {
    let config = real("generated-images.yml");
    assert_eq!(config.user_agent.as_deref(), Some("example-artifact-mirror"));
    assert_eq!(config.credentials[0].host, "docker.io");
    assert_eq!(config.credentials[0].user.as_deref(), Some("robot"));
    assert_eq!(config.credentials[1].pass.as_ref().unwrap().expose(), "hunter2-stage");
    assert_eq!(names(&config)[2], ("acme/cloud-cli:2.9.14", "stage.example/mirror/acme-cloud-cli:2.9.14"));
    assert_eq!(config.entries[3].line, 23);
    assert_eq!(config.entries[3].position, 4);
    assert!(config.entries.iter().all(|entry| entry.kind == Kind::Image && entry.interval.is_none()));
    let note =
        "5:3: the key \"repoAuth\" of creds has no effect: tokens are scoped to each repository anyway";
    assert_eq!(notes("generated-images.yml"), [note]);
}

#[test]
fn lists_of_tags_with_nulls_and_numbers() {
    let config = real("tag-lists.yml");
    assert_eq!(config.credentials[0].host, "prime.example");
    assert_eq!(
        (config.credentials[0].req_per_sec, config.credentials[0].req_concurrent),
        (Some(50.0), Some(10))
    );
    assert_eq!(config.entries[0].target, "prime.example/charts/backup-operator");
    assert_eq!(config.entries[0].media_types.len(), 3);
    let set = &config.entries[1].tag_sets[0];
    assert_eq!(texts(&set.allow), ["<null>", "v0.1.1", "v0.1.5"]);
    assert_eq!(set.places.allow.iter().map(|place| place.line).collect::<Vec<_>>(), [28, 29, 30]);
    assert_eq!(texts(&config.entries[2].tag_sets[0].allow), ["1.8.15", "1.10", "2", "v1_20200514"]);
}

#[test]
fn tags_shared_by_an_anchor() {
    let config = real("shared-tags.yml");
    assert_eq!(config.parallel, Some(3));
    for entry in &config.entries {
        assert_eq!(texts(&entry.tag_sets[0].allow), ["latest", r"v\d+\.\d+\.\d+"]);
        assert_eq!(texts(&entry.tag_sets[0].deny), ["v0.*", r"v2\.[0-3]\.\d+", ".*-rc"]);
        assert_eq!((entry.rate_limit.min, entry.rate_limit.retry), (Some(80), Duration::from_secs(300)));
    }
    assert_eq!(notes("shared-tags.yml"), Vec::<String>::new());
}

#[test]
fn referrer_options_without_effect_are_noted() {
    let config = real("hardened.yml");
    let expected = ("docker.io/acme/hard-node", "central-docker.example/warehouse/quarantine/hard-node");
    assert_eq!(names(&config), [expected]);
    let entry = &config.entries[0];
    assert!(entry.referrers && entry.digest_tags && !entry.fast_check);
    assert_eq!(entry.interval, Some(Duration::from_secs(6 * 3600)));
    let notes = notes("hardened.yml");
    assert_eq!(notes.len(), 2);
    assert!(notes[0].contains("\"referrerSource\"") && notes[1].contains("\"referrerTarget\""));
}

#[test]
fn files_without_version_creds_and_defaults() {
    let config = real("tenants.yml");
    assert_eq!((config.version, config.credentials.len(), config.parallel), (1, 0, None));
    assert_eq!(names(&config)[1], ("hardened.example/node", "TENANT_2.example/runtime-node"));
    assert!(config.entries.iter().all(|entry| entry.tag_sets.is_empty()));
    let note = "8:7: tags and tagSets have no effect on an entry of type image: its source names the tag";
    assert_eq!(notes("tenants.yml"), [note]);
    let small = real("small.yml");
    assert_eq!(small.credentials[1].user, None);
    assert_eq!(small.entries.len(), 2);
}

#[test]
fn settings_of_a_registry_with_a_path_apply_to_its_host() {
    let config = real("two-accounts.yml");
    assert_eq!(config.credentials[1].host, "222222222222.dkr.north.example");
    assert_eq!(config.credentials[1].pass.as_ref().unwrap().expose(), "hunter2-two");
    let intervals: Vec<_> = config.entries.iter().map(|entry| entry.interval.unwrap().as_secs()).collect();
    assert_eq!(intervals, [3600, 5400]);
    assert_eq!(notes("two-accounts.yml").len(), 2);
}

#[test]
fn sources_by_digest() {
    let config = real("cloud.yml");
    assert!(config.entries[2].source.contains("@sha256:0123"));
    assert_eq!(config.entries[2].interval, Some(Duration::from_secs(86_400)));
    assert_eq!(config.entries[0].line, 17);
}

#[test]
fn names_from_the_environment() {
    let config = real("variables.yml");
    let expected = [
        ("debian:13.1", "target.example/library/debian:13.1"),
        ("quay.example/core/etcd:v3.6.1", "target.example/core/etcd:v3.6.1"),
        ("k8s.example/ingress/controller:v1.0.0", "target.example/ingress/controller:v1.0.0"),
    ];
    assert_eq!(names(&config), expected);
}

#[test]
fn merge_keys_schedules_and_backups() {
    let config = real("backups.yml");
    let [first, second, third]: [Entry; 3] = config.entries.clone().try_into().unwrap();
    assert_eq!((first.schedule.as_deref(), first.interval), (Some("15 3 * * *"), None));
    assert_eq!((second.kind, second.target.as_str()), (Kind::Repository, "registry.example:5000/hub/alpine"));
    assert_eq!(texts(&second.tag_sets[0].allow), ["3", "3.9", r"3.\d+"]);
    assert_eq!(second.interval, Some(Duration::from_secs(3600)));
    assert_eq!(
        (third.kind, third.target.as_str()),
        (Kind::Image, "registry.example:5000/hub/code.example/tools/tool:v1")
    );
    assert_eq!(second.backup.as_ref().map(Template::text), Some("bkup-{{.Ref.Tag}}"));
    assert_eq!(config.credentials[0].tls, Tls::Disabled);
    assert_eq!(config.credentials[1].pass.as_ref().unwrap().expose(), "hunter2-file");
    let notes = notes("backups.yml");
    assert_eq!(notes.len(), 3, "{notes:?}");
    assert!(
        notes[0].contains("\"scheme\"")
            && notes[1].contains("\"cacheCount\"")
            && notes[2].contains("\"cacheTime\"")
    );
}

#[test]
fn the_documentations_name_of_fast_check() {
    let config = real("offline.yml");
    assert!(config.entries[1].fast_check && !config.entries[0].fast_check && config.skip_docker_config);
    assert_eq!(config.credentials[0].tls, Tls::Insecure);
    assert!(config.credentials[0].regcert.as_deref().unwrap().ends_with("CERTIFICATE-----\n"));
}

#[test]
fn a_whole_registry_and_sets_of_tags() {
    let config = real("catalog.yml");
    let [whole, api]: [Entry; 2] = config.entries.clone().try_into().unwrap();
    assert_eq!((whole.kind, whole.schedule.as_deref()), (Kind::Registry, Some("@daily")));
    assert_eq!(texts(&whole.repos.allow), ["team-a/.*", "team-b/service"]);
    assert_eq!(texts(&whole.tag_sets[0].semver_range), [">=1.2.0 <2.0.0", "^3.12"]);
    assert_eq!(whole.platforms, ["linux/amd64", "linux/arm64"]);
    assert_eq!((api.interval, api.schedule.as_deref()), (Some(Duration::from_secs(1800)), None));
    assert_eq!(api.tag_sets.len(), 3);
    assert_eq!(texts(&api.tag_sets[2].deny), [".*-debug"]);
    assert_eq!((api.rate_limit.min, api.rate_limit.retry), (Some(20), Duration::from_secs(300)));
    assert_eq!(config.credentials[1].path_prefix.as_deref(), Some("proxy"));
    assert_eq!(config.credentials[0].cred_expire, Some(Duration::from_secs(3600)));
    assert!(notes("catalog.yml").iter().any(|note| note.contains("ratelimit.retry is raised to 5m")));
}

#[test]
fn the_keys_that_regsync_does_not_have() {
    let config = real("reapify.yml");
    let [postgres, redis]: [Entry; 2] = config.entries.clone().try_into().unwrap();
    assert_eq!((postgres.suffix.as_deref(), postgres.newest.unwrap().count), (Some("-reaped"), 3));
    assert_eq!((postgres.min_age, postgres.prune.unwrap().keep), (Some(Duration::from_secs(72 * 3600)), 5));
    assert_eq!(postgres.recheck, Recheck::Every(Duration::from_secs(86_400)));
    assert_eq!((postgres.wrap.grace, postgres.wrap.group), (Some(Duration::from_secs(3)), true));
    assert_eq!(
        (redis.wrap.mode, redis.wrap.grace, redis.wrap.group),
        (Mode::Copy, Some(Duration::from_secs(3)), false)
    );
    assert_eq!(redis.wrap.reaper, ["linux/arm64=/opt/reaper-arm64"]);
    assert_eq!((redis.newest.unwrap().by, redis.recheck), (NewestBy::Created, Recheck::Always));
    assert_eq!((redis.hooks.pre.len(), redis.hooks.post.len()), (2, 1));
    let paths: Vec<_> = config.events.receivers.iter().map(|receiver| receiver.path.as_str()).collect();
    assert_eq!(paths, ["distribution", "lab", "plain", "dockerhub"]);
    assert!(
        matches!(&config.events.receivers[1].proof, Proof::Header { name, value } if name == "X-Token" && value.expose() == "hunter2-lab")
    );
    assert!(
        matches!(&config.events.receivers[2].proof, Proof::Hmac { header, .. } if header == "X-Hub-Signature-256")
    );
    assert!(matches!(&config.events.receivers[3].proof, Proof::Path(_)));
    assert_eq!(config.events.hosts["registry:5000"], "registry.example");
    assert!(Template::parse("{{ .Ref.Tag }}", Scope::Image, &World::default()).is_ok());
}
