//! JSON: an editor that splices, so that every byte outside an edit is kept, and strict views.
//!
//! JSON Pointers (RFC 6901) name the values. Every edit of a [`Document`] returns an [`Undo`] that reverts it byte
//! for byte; undos are applied in reverse order. An undo holds no offsets, so a document can be restored long after
//! it was edited and stored.

mod document;
mod pointer;
mod spelling;
mod text;
mod undo;
mod views;

pub use document::Document;
#[cfg(test)]
pub(crate) use document::work;
pub use pointer::child;
pub use spelling::View;
pub use text::{quote, to_json};
pub use undo::Undo;
pub use views::{Members, Object, optional_object};

#[cfg(test)]
mod tests {
    use super::document::work;
    use super::pointer::MAX_DEPTH;
    use super::{Document, Undo};

    fn doc(text: &str) -> Document {
        Document::new(text.as_bytes()).unwrap()
    }

    #[test]
    fn set_changes_only_the_value_it_names() {
        for (before, pointer, raw, after) in [
            ("{ \"a\" : 1e3 ,\n\"b\":\"\\u003c\" }", "/a", "2", "{ \"a\" : 2 ,\n\"b\":\"\\u003c\" }"),
            (r#"{"a":{"x":1} }"#, "/a/y", "2", r#"{"a":{"x":1,"y":2} }"#),
            (r#"{"a":null}"#, "/a/y/z", "2", r#"{"a":{"y":{"z":2}}}"#),
            (r#"{"a":{ }}"#, "/a/y", "2", r#"{"a":{"y":2}}"#),
            (r#"{"b":1}"#, "/a/y", "2", r#"{"b":1,"a":{"y":2}}"#),
            ("{}\n", "/a", "2", "{\"a\":2}\n"),
            (r#"{"l":[{"d":1},{"d":2}]}"#, "/l/1/d", "3", r#"{"l":[{"d":1},{"d":3}]}"#),
            (r#"{"a":{"x/y~":1}}"#, "/a/x~1y~0", "2", r#"{"a":{"x/y~":2}}"#),
            (r#"{"\u0061":1}"#, "/a", "2", r#"{"\u0061":2}"#),
        ] {
            let mut d = doc(before);
            let undo = d.set(pointer, raw).unwrap();
            assert_eq!(d.to_string(), after);
            d.undo(&undo).unwrap();
            assert_eq!(d.to_string(), before);
        }
    }

    #[test]
    fn push_adds_one_element() {
        for (before, after) in [
            (r#"{"l":[ 1 ]}"#, r#"{"l":[ 1,9 ]}"#),
            (r#"{"l":[ ]}"#, r#"{"l":[9]}"#),
            (r#"{"l":null}"#, r#"{"l":[9]}"#),
            (r#"{"m":0}"#, r#"{"m":0,"l":[9]}"#),
        ] {
            let mut d = doc(before);
            let undo = d.push("/l", "9").unwrap();
            assert_eq!(d.to_string(), after);
            d.undo(&undo).unwrap();
            assert_eq!(d.to_string(), before);
        }
    }

    #[test]
    fn removing_an_element_removes_its_comma() {
        for (i, after) in [(0, "[2, 3 ]"), (1, "[1, 3 ]"), (2, "[1, 2 ]")] {
            let mut d = doc("[1, 2, 3 ]");
            d.remove_elements("", &[i]).unwrap();
            assert_eq!(d.to_string(), after);
        }
        let mut d = doc("[ 1 ]");
        d.remove_elements("", &[0]).unwrap();
        assert_eq!(d.to_string(), "[  ]");
        assert!(d.remove_elements("", &[0]).is_err());
    }

    #[test]
    fn rejects_edits_of_ambiguous_or_unexpected_values() {
        for (text, pointer) in [
            (r#"{"a":1,"a":2}"#, "/a"),
            (r#"{"a":1,"\u0061":2}"#, "/a"),
            (r#"{"a":"x"}"#, "/a/b"),
            (r#"{"a":[]}"#, "/a/0"),
            ("{", "/a"),
            ("\u{feff}{}", "/a"),
        ] {
            let edited = Document::new(text.as_bytes()).and_then(|mut d| d.set(pointer, "1"));
            assert!(edited.is_err(), "{text}");
        }
        assert!(doc(r#"{"a":{}}"#).push("/a", "1").is_err());
        assert!(Document::new(b"\xff").is_err());
        // A duplicate key matters only in an object that an edit passes through.
        assert!(doc(r#"{"x":{"y":1,"y":2},"a":1}"#).set("/a", "1").is_ok());
        assert!(doc(r#"{"x":1,"x":2,"a":1}"#).set("/a", "1").is_err());
    }

    #[test]
    fn edits_parse_each_level_once() {
        let members: Vec<String> = (0..1000).map(|n| format!("\"k{n}\":{{\"x\":[{n}]}}")).collect();
        let text = format!("{{\"a\":{{{}}}}}", members.join(","));
        let mut d = doc(&text);
        let (parsed, undos) = work::during(|| {
            let edits = (0..1000).map(|n| d.set(&format!("/a/k{n}/x/0"), "\"new\"").unwrap());
            edits.collect::<Vec<Undo>>()
        });
        assert!(parsed < 5 * text.len(), "parsed {parsed} bytes of a text of {}", text.len());
        assert_eq!(d.get("/a/k7").unwrap().as_deref(), Some("{\"x\":[\"new\"]}"));
        let (parsed, ()) = work::during(|| undos.iter().rev().for_each(|undo| d.undo(undo).unwrap()));
        assert!(parsed < text.len(), "parsed {parsed} bytes of a text of {}", text.len());
        assert_eq!(d.to_string(), text);
    }

    #[test]
    fn limits_the_depth_of_pointers() {
        let mut d = doc("{}");
        assert!(d.set(&"/a".repeat(MAX_DEPTH), "1").is_ok());
        for pointer in ["/a".repeat(MAX_DEPTH + 1), "/a".repeat(1 << 20), "a".into()] {
            assert!(d.get(&pointer).is_err());
            assert!(d.set(&pointer, "1").is_err());
            assert!(d.undo(&Undo::Del(pointer)).is_err());
        }
    }

    #[test]
    fn inserts_only_valid_json_values() {
        let mut d = doc(r#"{"a":[1]}"#);
        for raw in ["", "1,2", "1,\"b\":2", "nul", "1}", "{\"a\":"] {
            assert!(d.set("/a", raw).is_err(), "{raw}");
            assert!(d.push("/a", raw).is_err(), "{raw}");
            assert!(d.undo(&Undo::Set("/a".into(), raw.into())).is_err(), "{raw}");
        }
        assert_eq!(d.to_string(), r#"{"a":[1]}"#);
    }

    #[test]
    fn several_elements_are_removed_at_once() {
        for (gone, after) in
            [(&[][..], "[ 1, 2,3 ]"), (&[0, 1], "[ 3 ]"), (&[2, 0], "[ 2 ]"), (&[2, 1, 0], "[  ]")]
        {
            let mut d = doc("[ 1, 2,3 ]");
            d.remove_elements("", gone).unwrap();
            assert_eq!(d.to_string(), after);
            d.push("", "9").unwrap();
        }
        assert!(doc("[1]").remove_elements("", &[1]).is_err());
        assert!(doc("{}").remove_elements("", &[0]).is_err());
    }

    #[test]
    fn limits_the_number_of_members() {
        let list = format!("[{}0]", "0,".repeat(1 << 19));
        let error = doc(&list).push("", "1").unwrap_err();
        assert!(error.to_string().contains("more than 524288 members"), "{error}");
    }

    #[test]
    fn deep_nesting_does_not_overflow_the_stack() {
        let text = format!("{{\"a\":{}{},\"b\":1}}", "[".repeat(200_000), "]".repeat(200_000));
        let mut d = doc(&text);
        d.set("/b", "2").unwrap();
        assert!(d.to_string().ends_with("\"b\":2}"));
    }
}
