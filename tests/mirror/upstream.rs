//! Sources with mirrors, pull limits and credential helpers.

use crate::support::image::{digest, file, noise};
use crate::support::mirror::{Config, image, lines, referrer};
use crate::support::registry::{Act, Asked, Auth, Bearer, Kind, Registry, Reply};
use crate::support::run::tool;
use std::collections::BTreeSet;

/// Returns a configuration with `app` of a registry as the source, and another registry as the mirror of that one.
fn mirrored(source: &Registry, mirror: &Registry, target: &Registry) -> Config {
    Config::new(&format!(
        "version: 1\ncreds:\n  - {{registry: '{0}', mirrors: ['{1}']}}\nsync:\n  - {{source: {0}/app, target: {2}/copy, type: repository}}\n",
        source.host(),
        mirror.host(),
        target.host()
    ))
}

fn is_blob(asked: &Asked, wanted: &str) -> bool {
    asked.method == "GET" && matches!(&asked.kind, Kind::Blob { digest, .. } if digest == wanted)
}

#[test]
fn damaged_blobs_of_a_mirror_are_read_from_the_upstream() {
    let (source, mirror) = (Registry::start(), Registry::start());
    let image = image("a").layer(&[file("large", &noise(1 << 20))]);
    for registry in [&source, &mirror] {
        image.in_registry(registry, "app", "v1");
    }
    let blobs: Vec<String> = image.blobs().iter().map(|blob| digest(blob)).collect();
    // The damage is in the last byte, which follows pieces that were passed on.
    let damaged: BTreeSet<String> = blobs.iter().cloned().chain([digest(&image.config_bytes())]).collect();
    let bad = damaged.clone();
    mirror.hook(move |asked| match &asked.kind {
        Kind::Blob { digest, .. } if asked.method == "GET" && bad.contains(digest) => Act::alter(|reply| {
            let mut body = reply.body.to_vec();
            *body.last_mut().unwrap() ^= 1;
            reply.body(body)
        }),
        _ => Act::Serve,
    });
    for options in [&[][..], &["--retries", "0"]] {
        let target = Registry::start();
        let config = mirrored(&source, &mirror, &target);
        mirror.clear_log();
        source.clear_log();
        config.run("once").args(options).run().succeeds();
        target.complete("copy", "v1");
        for blob in &damaged {
            let count = |registry: &Registry| registry.log().count(|entry| is_blob(&entry.asked, blob));
            assert!(count(&source) > 0, "{blob} {options:?}");
            // Downloads of an image that is tried again may have been cut short.
            assert!(count(&mirror) == 1 || !options.is_empty(), "{blob}: {:#?}", mirror.log().lines());
        }
    }
}

#[test]
fn a_credential_helper_that_hangs_holds_up_only_its_own_host() {
    let (slow, fast, target) = (Registry::start(), Registry::start(), Registry::start());
    for registry in [&slow, &fast] {
        image("a").in_registry(registry, "app", "v1");
        registry.set(|settings| settings.auth = Auth::Bearer(Bearer::new("ann", "s3cret")));
    }
    let (a, b, to) = (slow.host(), fast.host(), target.host());
    let config = Config::new(&format!(
        "version: 1\ncreds:\n  - {{registry: '{a}', credHelper: slow}}\n  - {{registry: '{b}', credHelper: fast}}\nsync:\n  - {{source: {a}/app, target: {to}/a, type: repository}}\n  - {{source: {b}/app, target: {to}/b, type: repository}}\n"
    ));
    let (programs, seen) = (config.file(""), config.file("seen"));
    let seen = seen.display();
    let answer = r#"echo '{"Username":"ann","Secret":"s3cret"}'"#;
    // The slow helper answers after the fast one was asked.
    for (name, script) in [
        (
            "slow",
            format!(
                "for n in $(seq 300); do if [ -e {seen} ]; then {answer}; exit; fi; sleep 0.1; done; exit 1"
            ),
        ),
        ("fast", format!("touch {seen}; {answer}")),
    ] {
        let path = programs.join(format!("docker-credential-{name}")).display().to_string();
        let script = format!("#!/bin/sh\n{script}\n");
        tool("install", ["-m", "755", "/dev/stdin", &path]).stdin(script).run().succeeds();
    }
    let path = format!("{}:{}", programs.display(), std::env::var("PATH").unwrap());
    let report = config.file("report");
    config.run("once").env("PATH", path).arg("--report").arg(&report).run().succeeds();
    assert_eq!(lines(&report).len(), 2);
}

#[test]
fn a_failure_after_an_image_was_copied_is_reported_with_the_image() {
    let (source, target) = (Registry::start(), Registry::start());
    let plain = image("a");
    plain.in_registry(&source, "app", "v1");
    let attached = referrer(&source, "app", &plain);
    let list = plain.digest().replace(':', "-");
    source.set(|settings| settings.referrers = true);
    target.set(|settings| settings.referrers = false);
    let told = Config::new("");
    let hook = format!("exec: [sh, -c, 'echo $REAPIFY_ACTION >> {}']", told.file("told").display());
    let more = format!(
        "    tags: {{allow: [v1]}}\n    wrap: {{mode: copy}}\n    referrers: true\n    hooks: {{post: [{{{hook}}}]}}\n"
    );
    let config = Config::between(&source, &target, &more);
    // The process might as well have been killed before the referrer was listed.
    let refused = list.clone();
    target.hook(move |asked| match &asked.kind {
        Kind::Manifest { reference, .. } if asked.method == "PUT" && *reference == refused => {
            Act::Answer(Reply::status(403))
        }
        _ => Act::Serve,
    });
    let report = config.file("report");
    config.run("once").arg("--report").arg(&report).run().exits(9).prints_some("the referrer");
    let line = &lines(&report)["copy/app:v1"];
    assert_eq!((&line["action"], &line["written"]), (&"failed".into(), &true.into()), "{line}");
    assert_eq!(line["digest"], plain.digest().as_str());
    assert_eq!(std::fs::read_to_string(told.file("told")).unwrap(), "copied\n");
    assert!(target.manifest("copy/app", &attached).is_some() && target.manifest("copy/app", &list).is_none());
    target.behave();
    assert_eq!(config.once()["copy/app:v1"]["action"], "unchanged");
    let listed = target.manifest("copy/app", &list).expect("the referrers tag");
    assert!(String::from_utf8_lossy(&listed.bytes).contains(&attached));
    target.clear_log();
    config.once();
    assert_eq!(target.log().count(|entry| entry.asked.method == "PUT"), 0, "{:#?}", target.log().lines());
}
