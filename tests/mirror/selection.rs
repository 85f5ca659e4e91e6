//! Which images an entry selects, prunes, and shares with other entries and shards.

use crate::support::mirror::{Config, actions, image, lines};
use crate::support::registry::{Act, Kind, Registry, Reply};
use crate::support::run::reapify;

#[test]
fn shards_process_every_image_exactly_once() {
    let (source, target) = (Registry::start(), Registry::start());
    for n in 0..12 {
        image(&n.to_string()).in_registry(&source, &format!("team/app{n}"), "v1");
    }
    let text = format!(
        "version: 1\nsync:\n  - {{source: {}, target: {}/copy, type: registry}}\n",
        source.host(),
        target.host()
    );
    let config = Config::new(&text);
    let mut done = Vec::new();
    for index in 0..4 {
        let report = config.file(&index.to_string());
        let run = config.run("once").arg("--report").arg(&report);
        match index % 2 {
            0 => run.arg(format!("--shard={index}/4")),
            _ => run.env("JOB_COMPLETION_INDEX", index.to_string()).env("REAPIFY_SHARDS", "4"),
        }
        .run()
        .succeeds();
        done.extend(lines(&report).into_keys());
    }
    done.sort();
    let mut expected: Vec<String> = (0..12).map(|n| format!("copy/team/app{n}:v1")).collect();
    expected.sort();
    assert_eq!(done, expected);
    config.run("once").env("JOB_COMPLETION_INDEX", "1").run().exits(2).says("REAPIFY_SHARDS");
}

#[test]
fn results_in_the_same_repository_are_not_sources() {
    let registry = Registry::start();
    for tag in ["1.0", "2.0"] {
        image(tag).in_registry(&registry, "app", tag);
    }
    let host = registry.host();
    let config = Config::new(&format!(
        "version: 1\nsync:\n  - {{source: {host}/app, target: {host}/app, type: repository, suffix: -reaped}}\n"
    ));
    for action in ["wrapped", "unchanged"] {
        let lines = config.once();
        let expected = [("app:1.0-reaped", action), ("app:2.0-reaped", action)];
        assert_eq!(actions(&lines), expected);
    }
    let tags: Vec<String> = registry.tags("app").into_keys().collect();
    assert_eq!(tags, ["1.0", "1.0-reaped", "2.0", "2.0-reaped"]);
}

#[test]
fn lists_tags_with_the_reason_for_their_exclusion() {
    let (source, target) = (Registry::start(), Registry::start());
    for tag in ["1.0.0", "1.1.0", "1.2.0", "2.0.0", "latest", "1.1.0-rc1"] {
        image(tag).in_registry(&source, "app", tag);
    }
    let more = "    newest: 2\n    tags:\n      semverRange: ['^1']\n      deny: ['1\\.2.*']\n";
    let config = Config::between(&source, &target, more);
    let outcome = config.run("tags").run().succeeds();
    let text = outcome.text();
    let line = |tag: &str| {
        let end = format!("/app:{tag}");
        let line = text.lines().find(|line| {
            line.split_once([' ', ':']).is_some() && line.contains(&format!("{end}:"))
                || line.contains(&format!("{end} "))
        });
        line.unwrap_or_else(|| panic!("{tag}: {text}")).to_owned()
    };
    for tag in ["1.0.0", "1.1.0"] {
        assert!(line(tag).contains(&format!("-> {}/copy/app:{tag}", target.host())), "{text}");
    }
    assert!(line("1.2.0").contains("deny pattern"), "{text}");
    assert!(line("2.0.0").contains("semver range"), "{text}");
    assert!(line("latest").contains("version"), "{text}");
    assert_eq!(config.once().len(), 2);
}

#[test]
fn selects_the_newest_by_the_creation_time_in_their_configs() {
    let (source, target) = (Registry::start(), Registry::start());
    for (tag, year) in [("1.0", 2021), ("2.0", 2024), ("3.0", 2023)] {
        let config = format!(
            r#"{{"created":"{year}-01-01T00:00:00Z","os":"linux","architecture":"amd64","config":{{"Cmd":["/app"]}},"rootfs":{{"type":"layers","diff_ids":[$DIFF_IDS]}}}}"#
        );
        image(tag).config(&config).in_registry(&source, "app", tag);
    }
    let config = Config::between(&source, &target, "    newest: {count: 2, by: created}\n");
    let lines = config.once();
    assert_eq!(actions(&lines), [("copy/app:2.0", "wrapped"), ("copy/app:3.0", "wrapped")]);
}

#[test]
fn prunes_results_that_are_no_longer_selected() {
    let (source, target) = (Registry::start(), Registry::start());
    for tag in ["1.0", "1.1", "1.2", "2.0"] {
        image(tag).in_registry(&source, "app", tag);
    }
    image("stranger").in_registry(&target, "copy/app", "0.1");
    Config::between(&source, &target, "").once();
    let rules = "    tags: {allow: ['2.*']}\n";
    Config::between(&source, &target, rules).once();
    assert_eq!(target.tags("copy/app").len(), 5, "nothing is deleted by default");
    let config = Config::between(&source, &target, &format!("{rules}    prune: {{keep: 1}}\n"));
    config.run("check").run().exits(8).prints_some("would prune");
    assert_eq!(target.tags("copy/app").len(), 5);
    let lines = config.once();
    let pruned: Vec<_> = actions(&lines).into_iter().filter(|(_, action)| *action == "pruned").collect();
    assert_eq!(pruned, [("copy/app:1.0", "pruned"), ("copy/app:1.1", "pruned")]);
    let tags: Vec<String> = target.tags("copy/app").into_keys().collect();
    assert_eq!(tags, ["0.1", "1.2", "2.0"]);
}

#[test]
fn does_not_prune_results_of_other_entries() {
    let (source, target) = (Registry::start(), Registry::start());
    for tag in ["1.0", "1.1", "2.0", "dev"] {
        image(tag).in_registry(&source, "app", tag);
    }
    let entry = |tags: &str, more: &str| {
        let (from, to) = (source.host(), target.host());
        format!(
            "  - {{source: {from}/app, target: {to}/copy, type: repository, tags: {{allow: ['{tags}']}}{more}}}\n"
        )
    };
    let config = Config::new("");
    let all = [entry("1.*", ""), entry("2.*", ", prune: {keep: 1}"), entry("dev", "")];
    config.write(&format!("version: 1\nsync:\n{}", all.join("")));
    for action in ["wrapped", "unchanged"] {
        let lines = config.once();
        assert!(lines.values().all(|line| line["action"] == action), "{lines:?}");
    }
    assert_eq!(target.tags("copy").len(), 4);
}

#[test]
fn a_source_without_tags_prunes_nothing() {
    let (source, target) = (Registry::start(), Registry::start());
    for tag in ["1.0", "1.1", "1.2"] {
        image(tag).in_registry(&source, "app", tag);
    }
    let config = Config::between(&source, &target, "    prune: {keep: 1}\n");
    config.once();
    source.hook(|asked| match asked.kind {
        Kind::Tags { .. } => Act::Answer(Reply::status(200).body("{\"name\":\"app\",\"tags\":null}")),
        _ => Act::Serve,
    });
    assert!(config.once().is_empty());
    assert_eq!(target.tags("copy/app").len(), 3);
}

#[test]
fn shards_give_the_same_results() {
    let (source, target) = (Registry::start(), Registry::start());
    for n in 0..10 {
        image(&n.to_string()).in_registry(&source, "app", &format!("1.{n}"));
    }
    Config::between(&source, &target, "").once();
    let rules = "    tags: {allow: ['1\\.[89]']}\n    prune: {keep: 2}\n";
    let config = Config::between(&source, &target, rules);
    for part in 0..3 {
        config.run("once").args([format!("--shard={part}/3"), "--shard-by=tag".into()]).run().succeeds();
    }
    let tags: Vec<String> = target.tags("copy/app").into_keys().collect();
    assert_eq!(tags, ["1.6", "1.7", "1.8", "1.9"]);
}

#[test]
fn reports_entries_with_the_same_destination() {
    let (source, target) = (Registry::start(), Registry::start());
    image("a").in_registry(&source, "one", "v1");
    image("b").in_registry(&source, "two", "v1");
    let entry = |name: &str| {
        format!(
            "  - {{source: {}/{name}, target: {}/copy, type: repository}}\n",
            source.host(),
            target.host()
        )
    };
    let config = Config::new(&format!("version: 1\nsync:\n{}{}", entry("two"), entry("one")));
    for _ in 0..2 {
        let outcome = config.run("once").args(["--output", "json"]).run().succeeds();
        assert!(outcome.text().contains("entry 1 has the same destination"), "{outcome}");
        let digest = target.complete("copy", "v1");
        let alone = Registry::start();
        let wrapped = reapify(["wrap", &source.name("two", "v1"), &alone.name("copy", "v1")]).run();
        assert_eq!(wrapped.succeeds().digest(), digest);
    }
}

#[test]
fn an_entry_for_one_image_lists_only_that_one() {
    let (source, target) = (Registry::start(), Registry::start());
    for tag in ["1.0", "2.0"] {
        image(tag).in_registry(&source, "app", tag);
    }
    let (from, to) = (source.name("app", "1.0"), target.name("copy", "1.0"));
    let (from, to) = (from.replace("docker://", ""), to.replace("docker://", ""));
    let config =
        Config::new(&format!("version: 1\nsync:\n  - {{source: '{from}', target: '{to}', type: image}}\n"));
    assert_eq!(config.run("tags").run().succeeds().text().trim_end(), format!("{from} -> {to}"));
}

#[test]
fn the_minimum_age_applies_to_single_images() {
    let (source, target) = (Registry::start(), Registry::start());
    let made = r#"{"created":"2021-01-01T00:00:00Z","os":"linux","architecture":"amd64","config":{"Cmd":["/app"]},"rootfs":{"type":"layers","diff_ids":[$DIFF_IDS]}}"#;
    image("a").config(made).in_registry(&source, "app", "1.0");
    let (from, to) = (source.host(), target.host());
    let write = |age: &str, tag: &str| {
        Config::new(&format!(
            "version: 1\nsync:\n  - {{source: '{from}/app:{tag}', target: '{to}/copy:1.0', type: image, minAge: {age}, newest: 3}}\n"
        ))
    };
    let young = write("500000h", "1.0");
    young.run("tags").run().succeeds().prints_some("younger than minAge 500000h");
    assert!(young.once().is_empty());
    young.run("check").run().succeeds().says("newest has no effect on an entry of type image");
    assert_eq!(write("24h", "1.0").once().len(), 1);
    target.complete("copy", "1.0");
    write("24h", "absent").run("once").run().exits(9).prints_some("app:absent");
}
