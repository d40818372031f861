//! Dates as AWS writes them.

use std::time::SystemTime;

/// The `x-amz-date` header: `20150830T123600Z`.
pub(crate) fn timestamp(now: SystemTime) -> String {
    const MONTHS: [&str; 12] =
        ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    // "Sun, 06 Nov 1994 08:49:37 GMT" has all parts, so no calendar code is needed here.
    let date = httpdate::fmt_http_date(now);
    let (day, month, year) = (&date[5..7], &date[8..11], &date[12..16]);
    let month = MONTHS.iter().position(|name| *name == month).map_or(0, |index| index + 1);
    format!("{year}{month:02}{day}T{}Z", date[17..25].replace(':', ""))
}

/// The same time as ISO 8601 writes it: `2015-08-30T12:36:00Z`.
pub(crate) fn iso_8601(now: SystemTime) -> String {
    let date = timestamp(now);
    let [year, month, day] = [&date[..4], &date[4..6], &date[6..8]];
    let [hour, minute, second] = [&date[9..11], &date[11..13], &date[13..15]];
    format!("{year}-{month}-{day}T{hour}:{minute}:{second}Z")
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, UNIX_EPOCH};

    use super::*;

    #[test]
    fn a_timestamp_is_compact_and_in_utc() {
        let at = |seconds| timestamp(UNIX_EPOCH + Duration::from_secs(seconds));
        assert_eq!(at(1_440_938_160), "20150830T123600Z");
        assert_eq!(at(1_709_164_799), "20240228T235959Z");
        assert_eq!(at(1_709_164_800), "20240229T000000Z");
    }

    #[test]
    fn an_iso_8601_date_is_the_same_time() {
        let now = UNIX_EPOCH + Duration::from_secs(1_440_938_160);
        assert_eq!(iso_8601(now), "2015-08-30T12:36:00Z");
    }
}
