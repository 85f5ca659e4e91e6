//! Lists of images, and what becomes of the images that are replaced.

mod support;

use serde_json::Value;
use std::time::{Duration, Instant};
use support::image::{Image, file};
use support::registry::{Act, Auth, Kind, Registry, Reply};
use support::run::{Outcome, reapify, tool};
use support::{scratch, zombies};

fn image(text: &str) -> Image {
    Image::new().layer(&[file("base", b"shared by all")]).layer(&[file("app", text.as_bytes())])
}

fn lines(outcome: &Outcome) -> Vec<Value> {
    outcome.text().lines().map(|line| serde_json::from_str(line).expect("a JSON object per line")).collect()
}

#[test]
fn wraps_a_list_and_goes_on_after_failures() {
    let registry = Registry::start();
    let names: Vec<String> = (0..12).map(|n| format!("v{n}")).collect();
    for name in &names {
        image(name).in_registry(&registry, "app", name);
    }
    let pair = |name: &String| format!("{} {}\n", registry.name("app", name), registry.name("copy", name));
    let mut list: String = names.iter().map(pair).collect();
    list.push_str(&format!(
        "# the last one does not exist\n{} {}\n",
        registry.name("app", "none"),
        registry.name("copy", "none")
    ));
    let outcome = reapify(["wrap", "--batch", "-", "--output", "json"]).stdin(list.as_str()).run().exits(9);
    let all = lines(&outcome);
    assert_eq!(all.len(), 13, "{outcome}");
    let failed: Vec<&Value> = all.iter().filter(|line| line["action"] == "failed").collect();
    assert_eq!((failed.len(), &failed[0]["code"]), (1, &Value::from("not-found")), "{outcome}");
    assert!(failed[0]["source"].as_str().unwrap().ends_with("app:none"));
    assert_eq!((&failed[0]["written"], &failed[0]["reason"]), (&Value::from(false), &failed[0]["error"]));
    outcome.says("13 images, 12 wrapped, 1 failed").says("the other images are done; correct the errors");
    for name in &names {
        let alone = reapify(["wrap", "--dry-run", &registry.name("app", name), &registry.name("x", "y")]);
        assert_eq!(
            registry.complete("copy", name),
            alone.run().succeeds().text().trim_end().rsplit('@').next().unwrap()
        );
    }
    // The second time the others are unchanged.
    let list: String = names.iter().map(pair).collect();
    reapify(["wrap", "--batch", "-"]).stdin(list).run().succeeds().says("12 images, 12 unchanged");
}

#[test]
fn lines_name_their_image() {
    let (registry, dir) = (Registry::start(), scratch());
    let list = dir.path().join("list");
    let destinations = [registry.name("a", "1"), registry.name("b", "1")];
    let text: String = destinations.iter().map(|to| format!("{} {to}\n", zombies())).collect();
    std::fs::write(&list, text).unwrap();
    let outcome = reapify(["wrap", "-v", "--batch"]).arg(&list).run().succeeds();
    let details: Vec<&str> = outcome.stderr().lines().filter(|line| line.contains(" requests (")).collect();
    assert_eq!(details.len(), 2);
    assert!(details.iter().all(|line| line.starts_with(&zombies())), "{outcome}");
    let results = outcome.text();
    assert!(
        destinations
            .iter()
            .all(|to| results.contains(&to.trim_start_matches("docker://").replace(":1", "@sha256:"))),
        "{outcome}"
    );
}

#[test]
fn changes_of_a_dry_run_name_their_image() {
    let registry = Registry::start();
    let list = format!("{} {}\n", zombies(), registry.name("a", "1"));
    let outcome = reapify(["wrap", "--dry-run", "--batch", "-"])
        .stdin(list)
        .run()
        .succeeds()
        .says("1 image, 1 wrapped");
    let text = outcome.text();
    let (result, changes) =
        text.lines().collect::<Vec<_>>().split_last().map(|(r, c)| (*r, c.to_vec())).unwrap();
    assert!(changes.len() > 1 && changes.iter().all(|line| line.starts_with(&zombies())), "{outcome}");
    assert!(result.contains("/a@sha256:"), "{outcome}");
}

#[test]
fn a_list_of_failures_has_a_hint_that_fits() {
    let registry = Registry::start();
    let list = format!("{} {}\n", registry.name("app", "none"), registry.name("a", "1"));
    let outcome = reapify(["wrap", "--batch", "-"]).stdin(list).run().exits(9);
    let outcome = outcome.says("1 image, 1 failed").says("1 of 1 image failed").says("correct the errors");
    outcome.never_says("the other images");
}

#[test]
fn nothing_is_written_if_the_list_is_invalid() {
    let registry = Registry::start();
    image("a").in_registry(&registry, "app", "a");
    let good = format!("{} {}\n", registry.name("app", "a"), registry.name("copy", "a"));
    for (bad, phrase) in [
        ("one".to_owned(), "-:2: invalid line"),
        (good.clone(), "line 1 also has the destination"),
        ("oci:x h.example/UPPER".to_owned(), "-:2: "),
        ("docker-archive:- oci:x:y".to_owned(), "standard input"),
    ] {
        reapify(["wrap", "--batch", "-"]).stdin(format!("{good}{bad}")).run().exits(2).says(phrase);
    }
    assert!(registry.tags("copy").is_empty());
    for option in ["--digest-file=x", "--backup=y"] {
        reapify(["wrap", "--batch", "-", option]).stdin(good.as_str()).run().exits(2);
    }
    reapify(["wrap", "--batch", "-", "oci:x", "oci:y"]).stdin(good.as_str()).run().exits(2);
    reapify(["wrap", "--parallel", "2", "oci:x", "oci:y"]).run().exits(2);
}

#[test]
fn all_images_of_a_list_get_a_password_from_standard_input() {
    let (registry, dir) = (Registry::start(), scratch());
    for tag in ["a", "b", "c"] {
        image(tag).in_registry(&registry, "app", tag);
    }
    registry.set(|settings| settings.auth = Auth::Basic { user: "ann".into(), password: "s3cret".into() });
    let lines = |to: &dyn Fn(&str) -> String| -> String {
        ["a", "b", "c"].map(|tag| format!("{} {}\n", registry.name("app", tag), to(tag))).concat()
    };
    let list = dir.path().join("list");
    let wrap = |text: String, options: &[&str]| {
        std::fs::write(&list, text).unwrap();
        reapify(["wrap", "--parallel", "1", "--batch"]).arg(&list).args(options).stdin("s3cret\n").run()
    };
    let layout = |tag: &str| format!("oci:{}:{tag}", dir.path().join("out").display());
    wrap(lines(&layout), &["--src-creds", "ann", "--src-password-stdin"]).succeeds();
    let copy = |tag: &str| registry.name("copy", tag);
    let both = ["--src-creds", "ann:s3cret", "--dest-creds", "ann", "--dest-password-stdin"];
    wrap(lines(&copy), &both).succeeds();
    assert!(registry.tags("copy").into_keys().eq(["a", "b", "c"]));
    // The list and the password cannot both come from standard input.
    for end in ["src", "dest"] {
        let options = [format!("--{end}-creds=ann"), format!("--{end}-password-stdin")];
        let run = reapify(["wrap", "--batch", "-"]).args(options).stdin(lines(&layout));
        run.run().exits(2).says("standard input can be read only once");
    }
}

/// The similar tags of a missing image are listed for a hint only, which is given up after five seconds.
#[test]
fn a_slow_hint_does_not_hold_up_other_images() {
    let registry = Registry::start();
    let names = ["v0", "v1", "v2", "v3"];
    for name in names {
        image(name).in_registry(&registry, "app", name);
    }
    registry.hook(|asked| match asked.kind {
        Kind::Tags { .. } => Act::Stall,
        _ => Act::Serve,
    });
    let pair = |name| format!("{} {}\n", registry.name("app", name), registry.name("copy", name));
    let list: String = ["none"].into_iter().chain(names).map(pair).collect();
    let run = reapify(["wrap", "--parallel", "2", "--batch", "-", "--output", "json"]).stdin(list);
    let all = lines(&run.run().exits(9));
    let actions: Vec<&Value> = all.iter().map(|line| &line["action"]).collect();
    assert_eq!(actions, ["wrapped", "wrapped", "wrapped", "wrapped", "failed"]);
}

#[test]
fn credentials_for_a_list_are_sent_to_one_host_only() {
    let (one, other) = (Registry::start(), Registry::start());
    for registry in [&one, &other] {
        image("a").in_registry(registry, "app", "a");
        registry.clear_log();
    }
    let lines = |from: [&Registry; 2], to: [&Registry; 2]| -> String {
        let line =
            |n: usize| format!("{} {}\n", from[n].name("app", "a"), to[n].name("copy", &n.to_string()));
        format!("{}{}", line(0), line(1))
    };
    for (option, list) in [
        ("--src-creds", lines([&one, &other], [&one, &one])),
        ("--dest-creds", lines([&one, &one], [&one, &other])),
        ("--creds", lines([&one, &one], [&one, &other])),
    ] {
        let run = reapify(["wrap", "--batch", "-", option, "ann:s3cret"]).stdin(list);
        run.run().exits(2).says("the credentials are for one host");
    }
    assert!(one.log().entries.is_empty() && other.log().entries.is_empty());
    let list = lines([&one, &one], [&other, &other]);
    reapify(["wrap", "--batch", "-", "--creds", "ann:s3cret"]).stdin(list).run().succeeds();
}

#[test]
fn an_interrupted_list_leaves_no_uploads() {
    let registry = Registry::start();
    for n in 0..6 {
        image(&n.to_string()).in_registry(&registry, "app", &format!("v{n}"));
    }
    registry.hook(|asked| match asked.kind {
        Kind::Manifest { .. } if asked.method == "PUT" => Act::Stall,
        _ => Act::Serve,
    });
    let list: String = (0..6)
        .map(|n| {
            format!(
                "{} {}\n",
                registry.name("app", &format!("v{n}")),
                registry.name("copy", &format!("v{n}"))
            )
        })
        .collect();
    let mut running = reapify(["wrap", "--batch", "-"]).stdin(list).start();
    support::eventually(std::time::Duration::from_secs(30), "a manifest is sent", || {
        match registry.log().entries.iter().any(|entry| entry.asked.method == "PUT") {
            true => Ok(()),
            false => Err("not yet".to_owned()),
        }
    });
    running.signal("INT");
    running.wait().exits(130);
    assert!(registry.tags("copy").is_empty());
}

#[test]
fn the_replaced_image_is_kept_under_another_tag() {
    let registry = Registry::start();
    let to = image("old").in_registry(&registry, "app", "v1");
    let old = registry.complete("app", "v1");
    let backup = |source: &str| reapify(["wrap", "--backup", "before", source, &to]).run().succeeds();
    // In place, and from another image.
    backup(&to).says("is kept as").says("app:before");
    assert_eq!(registry.complete("app", "before"), old);
    let wrapped = registry.complete("app", "v1");
    backup(&zombies()).says(&wrapped);
    assert_eq!(registry.complete("app", "before"), wrapped);
    let outcome = backup(&zombies());
    assert!(!outcome.stderr().contains("is kept as"), "nothing is replaced: {outcome}");
    assert_eq!(registry.complete("app", "before"), wrapped);
    // If the image cannot be kept, it is not replaced.
    let now = registry.complete("app", "v1");
    registry.hook(|asked| match &asked.kind {
        Kind::Manifest { .. } if asked.method == "PUT" && asked.path.ends_with("/before") => {
            Act::Answer(Reply::error(403, "DENIED", "this tag is immutable"))
        }
        _ => Act::Serve,
    });
    reapify(["wrap", "--group", "--backup", "before", &zombies(), &to])
        .run()
        .exits(4)
        .says("could not be kept");
    assert_eq!(registry.complete("app", "v1"), now);
    for (tag, phrase) in [("v1", "the destination has this tag itself"), ("bad tag", "tag")] {
        reapify(["wrap", "--backup", tag, &zombies(), &to]).run().exits(2).says(phrase);
    }
    // Nor is the source replaced.
    registry.behave();
    let source = image("source").in_registry(&registry, "app", "source");
    let kept = registry.complete("app", "source");
    for command in ["wrap", "unwrap"] {
        let run = reapify([command, "--backup", "source", &source, &to]);
        run.run().exits(2).says("the source has this tag itself");
        assert_eq!(
            (registry.complete("app", "source"), registry.complete("app", "v1")),
            (kept.clone(), now.clone())
        );
    }
}

#[test]
fn an_existing_image_is_not_replaced_without_leave() {
    let (registry, dir) = (Registry::start(), scratch());
    let layout = format!("oci:{}:v1", dir.path().join("out").display());
    image("old").in_registry(&registry, "app", "v1");
    for to in [registry.name("copy", "v1"), layout] {
        let wrap = |options: &[&str]| reapify(["wrap", "--no-clobber", &zombies(), &to]).args(options).run();
        let first = wrap(&[]).succeeds().text();
        assert_eq!(wrap(&[]).succeeds().text(), first, "the result itself may be there");
        let digest = first.rsplit_once('@').unwrap().1.trim();
        let name = to.trim_start_matches("docker://");
        let refusal = format!("{name}: the destination already refers to another image, {digest}");
        wrap(&["--group"]).exits(2).says("--no-clobber").says(&refusal);
        wrap(&["--group", "--dry-run"]).exits(2);
        assert_eq!(wrap(&[]).succeeds().text(), first);
    }
    let archive = format!("oci-archive:{}", dir.path().join("a.tar").display());
    let wrap = || reapify(["wrap", "--no-clobber", &zombies(), &archive]).run();
    wrap().succeeds();
    wrap().exits(2).says("exists").says("use --force in place of --no-clobber");
}

#[test]
fn similar_tags_are_suggested() {
    let registry = Registry::start();
    for tag in ["1.25.3", "1.26.0", "latest"] {
        image(tag).in_registry(&registry, "app", tag);
    }
    let missing = |tag: &str| reapify(["inspect", &registry.name("app", tag)]).run().exits(3);
    missing("1.25").says("1.25.3").never_says("latest");
    missing("lastest").says("similar tags: latest");
    missing("unrelated").never_says("similar");
    registry.set(|settings| settings.auth = Auth::Basic { user: "ann".into(), password: "x".into() });
    reapify(["inspect", &registry.name("app", "1.25")]).run().exits(4).never_says("similar");
}

#[test]
fn a_slow_archive_does_not_hold_up_other_images() {
    let dir = scratch();
    let at = |name: &str| dir.path().join(name);
    tool("skopeo", ["copy", "-q", &zombies(), &format!("oci-archive:{}:v1", at("whole").display())])
        .run()
        .succeeds();
    tool("mkfifo", [&at("pipe")]).run().succeeds();
    let list = format!(
        "oci-archive:{} oci:{}:v1\n{} oci:{}:v1\n",
        at("pipe").display(),
        at("slow").display(),
        zombies(),
        at("fast").display()
    );
    let running = reapify(["wrap", "--batch", "-"]).stdin(list).start();
    let deadline = Instant::now() + Duration::from_secs(30);
    while !at("fast/index.json").exists() {
        assert!(Instant::now() < deadline, "the second image waits for the first");
        std::thread::sleep(Duration::from_millis(10));
    }
    assert!(!at("slow").exists());
    std::fs::copy(at("whole"), at("pipe")).expect("the run reads the pipe");
    running.wait().succeeds().says("2 images, 2 wrapped");
    assert!(at("slow/index.json").exists());
}

#[test]
fn a_list_asks_a_credential_helper_once_for_each_end_of_an_image() {
    let (registry, dir) = (Registry::start(), scratch());
    let asked = dir.path().join("asked");
    let script = format!(
        "#!/bin/sh\ncat >/dev/null\necho >>'{}'\necho '{{\"Username\":\"ann\",\"Secret\":\"secret\"}}'\n",
        asked.display()
    );
    let helper = dir.path().join("docker-credential-keys").display().to_string();
    tool("install", ["-m", "755", "/dev/stdin", &helper]).stdin(script).run().succeeds();
    let mut list = String::new();
    for tag in ["v1", "v2"] {
        image(tag).in_registry(&registry, "app", tag);
        list.push_str(&format!("{} {}\n", registry.name("app", tag), registry.name("copy", tag)));
    }
    let config = format!(r#"{{"credHelpers": {{"{}": "keys"}}}}"#, registry.host());
    let path = format!("{}:{}", dir.path().display(), std::env::var("PATH").unwrap());
    let run = reapify(["wrap", "--batch", "-"]).env("PATH", path).home_file(".docker/config.json", &config);
    run.stdin(list).run().succeeds().says("2 images, 2 wrapped");
    assert_eq!(std::fs::read_to_string(&asked).unwrap().lines().count(), 4);
}
