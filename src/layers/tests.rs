use super::*;
use crate::error::Result;
use crate::rewrite::paths::{self, Attributes, EntryKind, PathState};
use std::collections::BTreeSet;
use std::sync::Arc;

/// An entry of a layer in a test.
#[derive(Clone, Debug)]
enum Made<'a> {
    Dir(u32),
    Link(&'a str),
    Hard(&'a str),
    File(u32, &'a [u8]),
}
use Made::{Dir, File as Regular, Hard, Link};

const FILE: Made = Regular(0o644, b"text");

type Layer<'a> = &'a [(&'a str, Made<'a>)];

/// Returns a view of these layers, from highest to lowest.
fn view(layers: &[Layer], is_complete: bool) -> View {
    let mut view = View::default();
    for layer in layers {
        let mut builder = Builder::new(BTreeSet::new(), MAX_SIZE);
        for (name, made) in *layer {
            let (kind, hard_link, mode, mut content) = match made {
                Dir(mode) => {
                    let attributes = Attributes { mode: *mode, ..Attributes::IMPLIED };
                    (EntryKind::Directory(attributes), None, *mode, &b""[..])
                }
                Link(to) => (EntryKind::Link((*to).into()), None, 0o777, &b""[..]),
                Hard(to) => (EntryKind::Other, Some((*to).to_owned()), 0o644, &b""[..]),
                Regular(mode, content) => (EntryKind::Other, None, *mode, *content),
            };
            let size = content.len() as u64;
            builder.member(Member { name, kind, hard_link, mode, size, content: &mut content }).unwrap();
        }
        view.push(Arc::new(builder.finish()));
    }
    if is_complete {
        view.complete();
    }
    view
}

/// Reads plain files, links and whiteouts by their names with room for so many bytes. Returns the size of the index.
fn read<'n>(room: usize, names: impl IntoIterator<Item = (&'n str, Made<'n>)>) -> std::io::Result<usize> {
    let mut builder = Builder::new(BTreeSet::new(), room);
    for (name, made) in names {
        let (kind, hard_link) = match made {
            Link(to) => (EntryKind::Link(to.into()), None),
            Hard(to) => (EntryKind::Other, Some(to.to_owned())),
            _ => (EntryKind::Other, None),
        };
        let mut content = &b""[..];
        builder.member(Member { name, kind, hard_link, mode: 0o644, size: 0, content: &mut content })?;
    }
    Ok(builder.finish().size())
}

#[test]
fn rejects_names_that_linux_cannot_have() {
    let (deep, long) = ("a/".repeat(25_000) + "x", "n".repeat(5_000));
    let gone = format!(".wh.{long}");
    for (name, made) in
        [(deep.as_str(), FILE), (&long, FILE), (&gone, FILE), ("link", Link(&long)), ("twin", Hard(&long))]
    {
        let error = read(MAX_SIZE, [(name, made)]).unwrap_err();
        assert!(error.to_string().contains("longer than 4096 bytes"), "{error}");
        assert!(error.to_string().len() < 200, "{error}");
    }
    let long_enough = "a/".repeat(2_000) + "x";
    read(MAX_SIZE, [(long_enough.as_str(), FILE), ("link", Link(&long_enough))]).unwrap();
}

#[test]
fn everything_that_is_kept_counts() {
    let names: Vec<String> = (0..400).map(|at| format!("{at}{}", "n".repeat(3_000))).collect();
    let gone: Vec<String> = names.iter().map(|name| format!(".wh.{name}")).collect();
    let opaque: Vec<String> = names.iter().map(|name| format!("{name}/.wh..wh..opq")).collect();
    let above: Vec<String> = names.iter().map(|name| format!("{name}/x")).collect();
    let deep = "a/".repeat(2_000) + "x";
    let many: Vec<String> = (0..200_000).map(|at| at.to_string()).collect();
    fn all(names: &[String]) -> Vec<(&str, Made<'_>)> {
        names.iter().map(|name| (name.as_str(), FILE)).collect()
    }
    for (what, members) in [
        ("whiteouts", all(&gone)),
        ("opaque directories", all(&opaque)),
        ("directories", all(&above)),
        ("a deep directory", vec![(deep.as_str(), FILE)]),
        ("links", names.iter().map(|name| (name.as_str(), Link("x"))).collect()),
        ("targets", many.iter().take(400).map(|name| (name.as_str(), Link(&names[0]))).collect()),
        ("hard links", many.iter().take(400).map(|name| (name.as_str(), Hard(&names[0]))).collect()),
        ("plain files", all(&many)),
    ] {
        let error = read(1 << 20, members.iter().cloned()).unwrap_err();
        assert!(error.to_string().contains("too many"), "{what}: {error}");
        assert!(read(MAX_SIZE, members).unwrap() > 1 << 20, "{what}");
    }
}

/// Contents are not kept when only names have room, and hard links to a file share its content.
#[test]
fn contents_leave_room_for_names() {
    let text = [b"#!/bin/sh\n".as_slice(), &[b'x'; 100_000]].concat();
    let size = |room: usize| {
        let mut builder = Builder::new(["script".to_owned()].into(), room);
        for (name, hard_link) in [("script", None), ("twin", Some("script".to_owned()))] {
            let (kind, mut content) = (EntryKind::Other, &text[..]);
            let member = Member { name, kind, hard_link, mode: 0o755, size: 100_010, content: &mut content };
            builder.member(member).unwrap();
        }
        builder.finish().size()
    };
    assert!((100_000..110_000).contains(&size(MAX_SIZE)), "{}", size(MAX_SIZE));
    assert!(size(MAX_SIZE / 2) < 1_000, "{}", size(MAX_SIZE / 2));
}

#[test]
fn finds_deep_paths_below_many_layers() {
    let deep = "a/".repeat(2_000) + "x";
    let base: Layer = &[(&deep, FILE)];
    let empty: Layer = &[];
    let layers: Vec<Layer> = std::iter::repeat_n(empty, 20).chain([base]).collect();
    assert!(matches!(view(&layers, true).find(&deep), Found::Plain(_)));
}

/// Returns a short text for the entry that a path leads to.
fn found(view: &View, path: &str) -> String {
    match view.find(path) {
        Found::Deeper => "deeper".into(),
        Found::Absent => "absent".into(),
        Found::Directory => "directory".into(),
        Found::Plain(place) => format!("{}@{}", place.path, place.depth),
        Found::File(place, file) => match &file.head {
            Head::Bytes(bytes) => {
                format!("{}@{} {}", place.path, place.depth, String::from_utf8_lossy(bytes))
            }
            head => format!("{}@{} {head:?}", place.path, place.depth),
        },
    }
}

#[test]
fn follows_paths_through_layers_and_links() {
    let top: Layer = &[
        ("usr/bin/run", Regular(0o755, b"#!/bin/sh\n")),
        ("etc/.wh.gone", FILE),
        (".wh.old", FILE),
        ("opt/", Dir(0o755)),
        ("opt/.wh..wh..opq", FILE),
        ("opt/new", FILE),
        ("up", Link("../../usr/bin")),
        ("loop", Link("loop")),
        ("round", Link("a/b")),
        ("a/b", Link("../round")),
        ("file", FILE),
        ("twin", Hard("usr/bin/run")),
    ];
    let low: Layer = &[
        ("./bin", Link("usr/bin")),
        ("usr/bin/sh", Link("/usr/bin/dash")),
        ("usr/bin/dash", Regular(0o755, b"dash")),
        ("usr/bin/run", Regular(0o755, b"older")),
        ("etc/gone", FILE),
        ("etc/passwd", FILE),
        ("etc/start.sh", FILE),
        ("old/x", FILE),
        ("opt/lost", FILE),
        ("file/below", FILE),
        ("other", Hard("usr/bin/dash")),
    ];
    let view = view(&[top, low], true);
    for (path, expected) in [
        ("/usr/bin/run", "/usr/bin/run@0 #!/bin/sh\n"),
        ("/bin/run", "/usr/bin/run@0 #!/bin/sh\n"),
        ("/up/../bin//./run", "/usr/bin/run@0 #!/bin/sh\n"),
        ("bin/sh", "/usr/bin/dash@1 dash"),
        ("/up/sh", "/usr/bin/dash@1 dash"),
        ("/twin", "/twin@0 #!/bin/sh\n"),
        ("/other", "/other@1 dash"),
        ("/etc/gone", "absent"),
        ("/etc/passwd", "/etc/passwd@1"),
        ("/etc/start.sh", "/etc/start.sh@1 text"),
        ("/etc", "directory"),
        ("/", "directory"),
        ("/old/x", "absent"),
        ("/old", "absent"),
        ("/opt/lost", "absent"),
        ("/opt/new", "/opt/new@0"),
        ("/loop", "absent"),
        ("/round", "absent"),
        ("/file", "/file@0"),
        ("/file/below", "absent"),
        ("/nothing", "absent"),
    ] {
        assert_eq!(found(&view, path), expected, "{path}");
    }
}

#[test]
fn needs_lower_layers_only_if_higher_ones_are_inconclusive() {
    let top: Layer = &[
        ("app/run", Regular(0o755, b"#!/bin/sh\n")),
        ("srv/", Dir(0o755)),
        ("srv/.wh..wh..opq", FILE),
        (".wh.tmp", FILE),
    ];
    let view = view(&[top], false);
    for (path, expected) in [
        ("/app/run", "/app/run@0 #!/bin/sh\n"),
        ("/app/other", "deeper"),
        ("/bin/sh", "deeper"),
        ("/srv/x", "absent"),
        ("/tmp/x", "absent"),
        ("/app", "directory"),
    ] {
        assert_eq!(found(&view, path), expected, "{path}");
    }
}

#[test]
fn the_cache_preserves_an_index() {
    let files: Layer = &[
        ("bin/sh", Regular(0o755, b"\x7fELF and more")),
        ("bin/text", Regular(0o755, "grüß dich".as_bytes())),
        ("bin/data", Regular(0o755, b"\xff\xfe Tini is not running as PID 1")),
        ("plain", FILE),
        ("l", Link("bin")),
        ("d/", Dir(0o1777)),
        ("d/.wh.x", FILE),
    ];
    let index = LayerIndex::clone(&view(&[files], true).layers()[0]);
    let text = serde_json::to_string(&index).unwrap();
    assert_eq!(serde_json::from_str::<LayerIndex>(&text).unwrap(), index);
}

/// Returns the modes of the directories above a path, if a reaper can be placed there.
fn parents(path: &str, layers: &[Layer]) -> Result<Vec<u32>> {
    let view = view(layers, true);
    let path = path.parse().unwrap();
    let state = |path: &str| view.state(path).unwrap();
    let parents = crate::image::ImagePath::parents(&path)
        .map(|above| paths::parent(&above, state(above.in_layer())).map(|found| found.attributes.mode))
        .collect::<Result<Vec<u32>>>()?;
    paths::target(&path, &state(path.in_layer()), false).map(|()| parents)
}

#[test]
fn returns_parents_that_are_directories() {
    let ok: [(&str, &[Layer], &[u32]); 8] = [
        ("/.reaper", &[&[("etc/", Dir(0o700))]], &[]),
        ("/a/b/r", &[&[("a/", Dir(0o711)), ("./a/b", Dir(0o750))]], &[0o711, 0o750]),
        // The entry of a lower layer applies if a higher layer only implies the directory.
        ("/a/r", &[&[("a/x", FILE)], &[("a", Dir(0o700))]], &[0o700]),
        ("/a/r", &[&[("a/x", FILE)]], &[0o755]),
        ("/a/r", &[&[("a/x", FILE), (".wh.a", FILE)], &[("a", Dir(0o700))]], &[0o755]),
        ("/a/r", &[&[("a", Dir(0o711))], &[("a", Link("usr/sbin"))]], &[0o711]),
        // Lower layers are hidden by a whiteout of the file, by one of the directory, or by an opaque whiteout.
        ("/a/r", &[&[("a/.wh.r", FILE)], &[("a", Dir(0o700)), ("a/r", FILE)]], &[0o700]),
        ("/a/r", &[&[("a", Dir(0o711)), ("a/.wh..wh..opq", FILE)], &[("a/r", FILE)]], &[0o711]),
    ];
    for (path, layers, modes) in ok {
        assert_eq!(parents(path, layers).unwrap(), modes, "{path} {layers:?}");
    }
}

#[test]
fn rejects_paths_that_would_break_the_image() {
    let bad: [(&str, &[Layer], &str); 8] = [
        ("/sbin/r", &[&[("sbin", Link("usr/sbin"))]], "symbolic link to \"usr/sbin\""),
        ("/a/b/r", &[&[("a", FILE)], &[("a", Dir(1)), ("a/b", Dir(1))]], "/a is not a directory"),
        ("/a/r", &[&[("b", Dir(1))]], "/a does not exist"),
        ("/a/r", &[&[(".wh.a", FILE)], &[("a", Dir(1))]], "/a does not exist"),
        ("/a/r", &[&[(".wh..wh..opq", FILE)], &[("a", Dir(1))]], "/a does not exist"),
        ("/r", &[&[], &[("r", FILE)]], "already has a file /r"),
        ("/r", &[&[("r/x", FILE)]], "/r is a directory"),
        ("/a/r", &[&[("a", Dir(1)), ("a/r", Dir(1))]], "/a/r is a directory"),
    ];
    for (path, layers, why) in bad {
        let error = parents(path, layers).unwrap_err();
        assert!(error.to_string().contains(why), "{path}: {error}");
    }
    assert!(paths::target(&"/r".parse().unwrap(), &PathState::File, true).is_ok());
}
