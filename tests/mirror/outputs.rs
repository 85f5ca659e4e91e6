//! What a pass prints and writes to files, and what hooks receive.

use crate::support::mirror::{Config, actions, image, lines};
use crate::support::registry::{Act, Kind, Registry, Reply};
use crate::support::run::{Outcome, reapify};
use serde_json::Value;

#[test]
fn reports_a_failure_in_a_line_of_its_own() {
    let (source, target) = (Registry::start(), Registry::start());
    for tag in ["a", "b", "c", "d"] {
        image(tag).in_registry(&source, "app", tag);
    }
    source.hook(|asked| match &asked.kind {
        Kind::Manifest { reference, .. } if reference == "b" => Act::Answer(Reply::status(403)),
        _ => Act::Serve,
    });
    let config = Config::between(&source, &target, "");
    let report = config.file("report");
    let outcome = config.run("once").args(["--output", "json", "--report"]).arg(&report).run().exits(9);
    outcome.says("1 of 4 images failed");
    let lines = lines(&report);
    let expected = [("a", "wrapped"), ("b", "failed"), ("c", "wrapped"), ("d", "wrapped")];
    let expected: Vec<(String, &str)> =
        expected.iter().map(|(tag, action)| (format!("copy/app:{tag}"), *action)).collect();
    let found: Vec<(String, &str)> =
        actions(&lines).into_iter().map(|(name, action)| (name.to_owned(), action)).collect();
    assert_eq!(found, expected);
    assert_eq!(lines["copy/app:b"]["code"], "denied");
    // One retry at the end, and no more.
    let looks = source
        .log()
        .count(|entry| matches!(&entry.asked.kind, Kind::Manifest { reference, .. } if reference == "b"));
    assert_eq!(looks, 2, "{:#?}", source.log().lines());

    source.behave();
    assert_eq!(config.once()["copy/app:b"]["action"], "wrapped");
}

#[test]
fn check_reports_what_would_change_and_changes_nothing() {
    let (source, target) = (Registry::start(), Registry::start());
    image("a").in_registry(&source, "app", "a");
    let config = Config::between(&source, &target, "");
    let check = config.run("check").run().exits(8).says("1 image would change").prints_some("would wrap");
    check.says("1 image, 1 would be wrapped;").never_says("nothing was written");
    assert!(target.repositories().is_empty());
    assert_eq!(source.log().count(|entry| entry.asked.method == "GET"), 1, "only the tags are read");
    let line = config.run("check").args(["--output", "json"]).run().exits(8).json();
    assert_eq!((&line["action"], &line["written"]), (&"wrapped".into(), &false.into()), "{line}");
    config.once();
    config.run("check").run().succeeds();
}

#[test]
fn a_check_that_fails_does_not_say_that_an_image_was_mirrored() {
    let (source, target) = (Registry::start(), Registry::start());
    for tag in ["a", "b"] {
        image(tag).in_registry(&source, "app", tag);
    }
    source.hook(|asked| match &asked.kind {
        Kind::Manifest { reference, .. } if reference == "b" => Act::Answer(Reply::status(403)),
        _ => Act::Serve,
    });
    let check = Config::between(&source, &target, "").run("check").run().exits(9);
    check
        .says("1 of 2 images could not be checked")
        .says("nothing was written")
        .never_says("skips what is done");
}

#[test]
fn hooks_receive_the_facts_about_an_image() {
    let (source, target) = (Registry::start(), Registry::start());
    image("a").in_registry(&source, "app", "a");
    let config = Config::new("");
    let told = config.file("told");
    let hook = |name: &str| {
        let script =
            format!("cat >> {0}; echo {name} $REAPIFY_ACTION $REAPIFY_DESTINATION >> {0}", told.display());
        format!("      {name}: [{{exec: [sh, -c, '{script}']}}]\n")
    };
    let hooks = format!("    hooks:\n{}{}{}", hook("pre"), hook("post"), hook("unchanged"));
    config.write(&format!(
        "version: 1\nsync:\n  - source: {}/app\n    target: {}/copy\n    type: repository\n{hooks}",
        source.host(),
        target.host()
    ));
    config.once();
    config.once();
    let text = std::fs::read_to_string(&told).unwrap();
    let destination = format!("{}/copy:a", target.host());
    for expected in [
        format!("pre pending {destination}"),
        format!("post wrapped {destination}"),
        format!("unchanged unchanged {destination}"),
    ] {
        assert!(text.contains(&expected), "{expected}: {text}");
    }
    // A failure after an image was written is reported, although the image is there.
    let after = hooks.replace(
        "post: [{exec: [sh, -c, 'cat >>",
        "post: [{exec: [sh, -c, 'seq 20000 >&2; echo the reason >&2; exit 4; cat >>",
    );
    assert_ne!(after, hooks);
    image("again").in_registry(&source, "app", "a");
    config.write(&format!(
        "version: 1\nsync:\n  - source: {}/app\n    target: {}/copy\n    type: repository\n{after}",
        source.host(),
        target.host()
    ));
    config.run("once").run().exits(9).prints_some("the post hook").prints_some("exit status: 4: the reason");
    let failing = hooks.replace("cat >>", "exit 3; cat >>");
    image("b").in_registry(&source, "app", "a");
    config.write(&format!(
        "version: 1\nsync:\n  - source: {}/app\n    target: {}/copy\n    type: repository\n{failing}",
        source.host(),
        target.host()
    ));
    let before = target.complete("copy", "a");
    config.run("once").run().exits(9).prints_some("the pre hook");
    assert_eq!(target.complete("copy", "a"), before);
}

#[test]
fn pod_accepts_the_map_file() {
    let (source, target) = (Registry::start(), Registry::start());
    image("a").in_registry(&source, "app", "a");
    let config = Config::between(&source, &target, "");
    let map = config.file("map");
    // A symbolic link, as in a checkout of a configuration, stays one.
    std::fs::write(config.file("target"), "").expect("a file");
    std::os::unix::fs::symlink("target", &map).expect("a link");
    config.run("once").arg("--map-file").arg(&map).run().succeeds();
    assert!(map.is_symlink());
    let pod = format!(
        "apiVersion: v1\nkind: Pod\nmetadata: {{name: x}}\nspec:\n  containers:\n    - name: x\n      image: {}/app:a\n",
        source.host()
    );
    let patched = reapify(["pod", "-", "--patch", "--map-file"]).arg(&map).stdin(pod).run().succeeds();
    assert!(patched.text().contains(&format!("{}/copy/app:a", target.host())), "{patched}");
}

#[test]
fn reports_errors_with_their_place() {
    let cases = [
        ("version: 1\nsync:\n  - sorce: a.example/x\n", "regsync.yml:3:5", "source"),
        ("version: 2\n", "regsync.yml:1:10", "version"),
        ("", "regsync.yml", "nothing to mirror"),
        ("version: 1\nsync: []\n", "regsync.yml", "nothing to mirror"),
        (
            "version: 1\nsync:\n  - {source: a.example/x, target: b.example/x, type: repository, schedule: 'x y'}\n",
            "regsync.yml:3:",
            "schedule",
        ),
        (
            "version: 1\nsync:\n  - {source: a.example/x, target: b.example/x, type: repository, tags: {allow: ['(']}}\n",
            "regsync.yml:3:",
            "pattern",
        ),
        (
            "version: 1\nsync:\n  - {source: 'a.example/x:1', target: b.example/x, type: repository}\n",
            "regsync.yml:3",
            "a repository has no tag",
        ),
    ];
    for (text, place, word) in cases {
        let config = Config::new(text);
        config.run("once").run().exits(2).says(place).says(word);
    }
    reapify(["mirror", "once", "-c", "/nowhere.yml"]).run().exits(2).says("/nowhere.yml");
}

#[test]
fn a_printed_configuration_loads_again_and_contains_no_secret() {
    let text = "version: 1\ncreds:\n  - {registry: a.example, user: ann, pass: hunter2}\nsync:\n  - {source: a.example/x, target: b.example/x, type: repository}\n";
    let config = Config::new(text);
    let shown = config.run("config").run().succeeds().never_says("hunter2").text();
    assert!(shown.contains("***"), "{shown}");
    Config::new(&shown).run("config").run().succeeds().prints(&shown);
    let schema: Outcome = reapify(["mirror", "schema"]).run().succeeds();
    let schema: Value = serde_json::from_str(&schema.text()).unwrap();
    let instance: Value = serde_yaml_ng::from_str(text).unwrap();
    assert!(jsonschema::is_valid(&schema, &instance));
}

#[test]
fn an_image_that_is_wrapped_already_is_copied_and_reported() {
    let (source, target) = (Registry::start(), Registry::start());
    image("a").in_registry(&source, "plain", "a");
    reapify(["wrap", &source.name("plain", "a"), &source.name("app", "a")]).run().succeeds();
    let plain = source.complete("app", "a");
    let config = Config::between(&source, &target, "");
    config.run("check").run().exits(8);
    let report = config.file("report");
    config.run("once").arg("--report").arg(&report).run().succeeds().prints_some("copied ");
    let line = &lines(&report)["copy/app:a"];
    assert_eq!((&line["action"], &line["written"]), (&"copied".into(), &true.into()), "{line}");
    assert_eq!(target.complete("copy/app", "a"), plain);
    config.run("check").run().succeeds();
    config.run("once").run().succeeds().prints("");
}

#[test]
fn a_pass_that_fails_leaves_the_previous_map() {
    let (source, target) = (Registry::start(), Registry::start());
    image("a").in_registry(&source, "app", "a");
    let config = Config::between(&source, &target, "");
    let map = config.file("map");
    let once = || config.run("once").arg("--map-file").arg(&map).run();
    once().succeeds();
    let first = std::fs::read_to_string(&map).unwrap();
    assert_eq!(first.lines().count(), 1);
    image("b").in_registry(&source, "app", "b");
    source.hook(|asked| match &asked.kind {
        Kind::Manifest { reference, .. } if reference == "a" => Act::Answer(Reply::status(403)),
        _ => Act::Serve,
    });
    once().exits(9);
    assert_eq!(std::fs::read_to_string(&map).unwrap(), first);
    source.behave();
    // A check does not know the digests of the results that are missing.
    image("c").in_registry(&source, "app", "c");
    config.run("check").arg("--map-file").arg(&map).run().exits(8);
    assert_eq!(std::fs::read_to_string(&map).unwrap(), first);
    once().succeeds();
    assert_eq!(std::fs::read_to_string(&map).unwrap().lines().count(), 3);
    let names = std::fs::read_dir(map.parent().unwrap()).unwrap().count();
    assert_eq!(names, 2, "no temporary file is left");
    config.run("once").args(["--map-file", "/dev/stdout", "--output", "json"]).run().succeeds();
}

#[test]
fn the_printed_configuration_says_how_a_registry_is_reached() {
    let registry = Registry::start();
    let host = registry.host();
    let config = |tls: &str| {
        Config::new(&format!(
            "version: 1\ncreds:\n  - {{registry: '{host}', user: ann, pass: x{tls}}}\nsync:\n  - {{source: '{host}/app:a', target: '{host}/copy:a', type: image}}\n"
        ))
    };
    image("a").in_registry(&registry, "app", "a");
    let plain = config("");
    plain.run("config").run().succeeds().prints_some("tls: disabled");
    plain.run("once").run().succeeds();
    let tls = config(", tls: enabled");
    tls.run("config").run().succeeds().prints_some("tls: enabled");
    tls.run("once").args(["--retries", "0"]).run().exits(9);
}
