//! Links from one page of a list to the next (RFC 8288).

/// Returns the target of `Link: <URL>; rel="next"`.
pub fn next_link(header: &str) -> Option<&str> {
    let mut rest = header;
    loop {
        let (_, after) = rest.split_once('<')?;
        let (target, after) = after.split_once('>')?;
        // A comma in a quoted parameter is rare, and only hides the parameters after it.
        let (parameters, others) = after.split_once(',').unwrap_or((after, ""));
        if parameters.split(';').any(is_next) {
            return Some(target);
        }
        rest = others;
    }
}

fn is_next(parameter: &str) -> bool {
    let value = parameter.trim().strip_prefix("rel=").map(|value| value.trim_matches('"'));
    value.is_some_and(|value| value.split(' ').any(|rel| rel.eq_ignore_ascii_case("next")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_the_next_link_among_others() {
        for (header, expected) in [
            (r#"</v2/x?n=1&last=a>; rel="next""#, Some("/v2/x?n=1&last=a")),
            (r#"</v2/x?last=a,b;c>; rel="next""#, Some("/v2/x?last=a,b;c")),
            (r#"<a>; rel=prev, <b>; rel=next"#, Some("b")),
            (r#"<b>; title="x"; rel="last next""#, Some("b")),
            (r#"<a>; rel="prev""#, None),
            ("a; rel=next", None),
            ("<a", None),
            ("", None),
        ] {
            assert_eq!(next_link(header), expected, "{header}");
        }
    }
}
