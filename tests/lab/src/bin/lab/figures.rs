//! Readable quantities.

use std::time::Duration;

use lab::report::units;

/// Bytes with three digits or so.
#[expect(clippy::cast_precision_loss, reason = "a rounded figure is what is wanted")]
pub(crate) fn size(bytes: usize) -> String {
    const KIB: f64 = 1024.0;
    let exact = bytes as f64;
    match bytes {
        0..10_000 => format!("{} B", units::count(bytes as u64)),
        10_000..1_000_000 => format!("{:.1} KiB", exact / KIB),
        _ => format!("{:.2} MiB", exact / (KIB * KIB)),
    }
}

/// A span of time with the precision that tells something.
pub(crate) fn span(time: Duration) -> String {
    match time.as_millis() {
        0..10 => format!("{:.1} ms", time.as_secs_f64() * 1_000.0),
        millis @ 10..1_000 => format!("{millis} ms"),
        _ => format!("{:.2} s", time.as_secs_f64()),
    }
}

/// `1 message`, `2 messages`.
pub(crate) fn count(number: usize, noun: &str) -> String {
    format!("{} {noun}{}", units::count(number as u64), if number == 1 { "" } else { "s" })
}

/// The first `most` ids, shortened, and how many are left.
pub(crate) fn ids(ids: &[String], most: usize) -> String {
    let shown: Vec<&str> = ids.iter().take(most).map(|id| short(id)).collect();
    match ids.len().saturating_sub(most) {
        0 => shown.join(" "),
        left => format!("{} and {} more", shown.join(" "), units::count(left as u64)),
    }
}

/// The first group of a UUID, which tells messages apart well enough to the eye; any other id whole.
fn short(id: &str) -> &str {
    let is_uuid = id.len() == 36 && id.bytes().all(|byte| byte == b'-' || byte.is_ascii_hexdigit());
    if is_uuid { &id[..8] } else { id }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_readable() {
        assert_eq!(
            [size(7), size(9_999), size(20_480), size(2_097_152)],
            ["7 B", "9,999 B", "20.0 KiB", "2.00 MiB"]
        );
        let millis = |count| span(Duration::from_micros(count));
        assert_eq!([millis(1_250), millis(42_900), millis(29_512_000)], ["1.2 ms", "42 ms", "29.51 s"]);
        assert_eq!([count(1, "message"), count(1_000, "message")], ["1 message", "1,000 messages"]);
    }

    #[test]
    fn ids_are_shortened_and_cut() {
        let all = ["059f36b4-87a3-44ab-83d2-661975830a7d", "not-a-uuid", "c"].map(str::to_owned);
        assert_eq!(ids(&all, 3), "059f36b4 not-a-uuid c");
        assert_eq!(ids(&all, 1), "059f36b4 and 2 more");
    }
}
