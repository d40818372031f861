//! proptest strategies for JSON text: valid, almost valid, and with the edge cases of a scan in blocks.

use proptest::{collection::vec, prelude::*, sample::select, string::string_regex};

/// A JSON string without its quotes, with all kinds of escapes and surrogates next to each other.
pub(crate) fn raw_string() -> impl Strategy<Value = String> {
    let pieces = [
        "a",
        "€",
        "😀",
        "/",
        " ",
        "true",
        "\u{7f}",
        r#"\""#,
        r"\\",
        r"\/",
        r"\b",
        r"\f",
        r"\n",
        r"\r",
        r"\t",
        r"\u0000",
        r"\u0022",
        r"\u005C",
        r"\u00e9",
        r"\uD83d\uDE00",
        r"\ud800",
        r"\udc00",
        r"\uffff",
    ];
    let run = (select(&["x", "é", r"\\", r#"\""#][..]), 0usize..150).prop_map(|(piece, n)| piece.repeat(n));
    let piece = prop_oneof![8 => select(pieces.to_vec()).prop_map(str::to_owned), 1 => run];
    vec(piece, 0..40).prop_map(|pieces| pieces.concat())
}

/// A JSON value, with white space in some places.
pub(crate) fn value() -> impl Strategy<Value = String> {
    let number = string_regex(r"-?(0|[1-9][0-9]{0,20})(\.[0-9]{1,9})?([eE][+-]?[0-9]{1,3})?");
    let leaf = prop_oneof![
        select(&["null", "true", "false", "{}", "[ ]", "\"\""][..]).prop_map(str::to_owned),
        number.expect("it is a regular expression"),
        raw_string().prop_map(|raw| format!("\"{raw}\"")),
    ];
    leaf.prop_recursive(5, 40, 8, |value| {
        let value = spaced(value);
        let entry = (space(), raw_string(), value.clone())
            .prop_map(|(s, key, value)| format!("{s}\"{key}\"{s}:{value}"));
        prop_oneof![
            vec(value, 1..8).prop_map(|items| format!("[{}]", items.join(","))),
            vec(entry, 1..8).prop_map(|entries| format!("{{{}}}", entries.join(","))),
        ]
    })
}

fn spaced(value: impl Strategy<Value = String> + 'static) -> BoxedStrategy<String> {
    (space(), value, space()).prop_map(|(before, value, after)| before + &value + &after).boxed()
}

fn space() -> impl Strategy<Value = String> {
    select(&["", "", "", " ", "\n", "\r\n\t  "][..]).prop_map(str::to_owned)
}

/// A JSON value, a JSON value with changes, or any text.
pub(crate) fn text() -> impl Strategy<Value = String> {
    let intact = spaced(value());
    let broken = (intact.clone(), vec(change(), 1..3)).prop_map(|(text, changes)| changed(&text, &changes));
    prop_oneof![4 => intact, 6 => broken, 1 => raw_string(), 1 => any::<String>()]
}

/// Where, how many characters are removed, and the text that is inserted.
pub(crate) type Change = (proptest::sample::Index, usize, &'static str);

pub(crate) fn change() -> impl Strategy<Value = Change> {
    let insertions = [
        "", "", "\"", "\\", "{", "}", "[", "]", ",", ":", "0", "1", "-", "+", ".", "e", "u", "t", "n", " ",
        "\n", "\u{1}", "\u{feff}", "é", "null",
    ];
    (any::<proptest::sample::Index>(), 0usize..3, select(insertions.to_vec()))
}

pub(crate) fn changed(text: &str, changes: &[Change]) -> String {
    let mut chars: Vec<char> = text.chars().collect();
    for (place, removed, inserted) in changes {
        let at = place.index(chars.len() + 1);
        let end = chars.len().min(at + removed);
        chars.splice(at..end, inserted.chars());
    }
    chars.into_iter().collect()
}
