//! What is remembered of an answer, so that the server can say that nothing changed.

use serde::{Deserialize, Serialize};

use super::answer::Answer;
use super::url::Url;
use crate::hash::Id;

/// A file that was changed twice within its clock's second has one `Last-Modified`: only a time this long past is believed, in seconds.
const SETTLED: i64 = 60;

/// What a server said of content by which can be told later that it is byte for byte the same: a strong `ETag`, or a time that had settled
/// together with a size. Weak ones are not taken, since equal in meaning is not equal. Nor is a server asked whether something was modified
/// since a time: to many of them an older file in its place was not.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Known {
    /// Of what they were said: another server's words mean nothing here.
    resource: Id,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    etag: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    modified: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    size: Option<u64>,
}

impl Known {
    pub(super) fn of(answer: &Answer) -> Option<Self> {
        let etag = answer.etag.as_deref().filter(|etag| is_strong(etag)).map(ToOwned::to_owned);
        let time = |text: &Option<String>| text.as_deref().and_then(seconds);
        let is_settled = match (time(&answer.last_modified), time(&answer.date)) {
            (Some(modified), Some(date)) => date.saturating_sub(modified) >= SETTLED,
            _ => false,
        };
        let modified = answer.last_modified.clone().filter(|_| is_settled && answer.size.is_some());
        let size = answer.size.filter(|_| modified.is_some());
        (etag.is_some() || modified.is_some()).then(|| Self { resource: answer.from.resource(), etag, modified, size })
    }

    /// The condition to send to `url`: of another resource none.
    pub(super) fn condition(&self, url: &Url) -> Option<&str> {
        self.etag.as_deref().filter(|_| self.resource == url.resource())
    }

    /// Whether an answer is about the very same bytes.
    pub(super) fn is_of(&self, answer: &Answer) -> bool {
        let same_tag = || self.etag.is_some() && self.etag == answer.etag;
        let same_time = || self.modified.is_some() && self.modified == answer.last_modified && self.size == answer.size;
        // A server that gives tags says by them what changed; its times are not asked for beside them.
        self.resource == answer.from.resource() && if self.etag.is_some() { same_tag() } else { same_time() }
    }
}

fn is_strong(etag: &str) -> bool {
    etag.len() >= 2
        && etag.len() <= 1024
        && etag.starts_with('"')
        && etag.ends_with('"')
        && etag[1..etag.len() - 1].bytes().all(|b| b.is_ascii_graphic() && b != b'"')
}

/// Seconds since 1970 of a time as servers send it, `Sun, 06 Nov 1994 08:49:37 GMT`.
pub(super) fn seconds(text: &str) -> Option<i64> {
    const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let rest = text.trim().split_once(", ")?.1;
    let words: Vec<&str> = rest.split(' ').collect();
    let [day, month, year, time, "GMT"] = words[..] else { return None };
    let month = MONTHS.iter().position(|name| *name == month)? + 1;
    let number = |text: &str, digits: usize| {
        (text.len() == digits && text.bytes().all(|b| b.is_ascii_digit())).then(|| text.parse::<u32>().ok()).flatten()
    };
    let (day, year) = (number(day, 2)?, number(year, 4)?);
    let parts: Vec<u32> = time.split(':').map(|part| number(part, 2)).collect::<Option<_>>()?;
    let [hours, minutes, secs] = parts[..] else { return None };
    let text = format!("{year:04}-{month:02}-{day:02}T{hours:02}:{minutes:02}:{secs:02}Z");
    Some(crate::clock::Micros::parse(&text)?.0 / 1_000_000)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_times_of_servers_are_read() {
        assert_eq!(seconds("Sun, 06 Nov 1994 08:49:37 GMT"), Some(784_111_777));
        assert_eq!(seconds("Thu, 01 Jan 1970 00:00:00 GMT"), Some(0));
        for text in [
            "",
            "06 Nov 1994",
            "Sun, 6 Nov 1994 08:49:37 GMT",
            "Sun, 06 Nov 1994 08:49:37 CET",
            "Sun, 31 Feb 2000 00:00:00 GMT",
        ] {
            assert_eq!(seconds(text), None, "{text}");
        }
    }

    const THEN: &str = "Sun, 06 Nov 1994 08:49:37 GMT";
    const SOON: &str = "Sun, 06 Nov 1994 08:49:59 GMT";
    const LATER: &str = "Sun, 06 Nov 1994 08:50:37 GMT";

    fn answer(etag: Option<&str>, modified: Option<&str>, date: Option<&str>, size: Option<u64>) -> Answer {
        let own = |text: Option<&str>| text.map(ToOwned::to_owned);
        Answer {
            status: 200,
            from: Url::parse("https://h/a").unwrap(),
            redirects: 0,
            etag: own(etag),
            last_modified: own(modified),
            date: own(date),
            content_type: None,
            size,
        }
    }

    #[test]
    fn only_what_says_byte_for_byte_is_remembered() {
        let none = |etag, modified, date, size| assert_eq!(answer(etag, modified, date, size).known(), None);
        none(Some("W/\"a\""), None, None, Some(1));
        none(None, Some(THEN), Some(SOON), Some(1));
        none(None, Some(THEN), None, Some(1));
        none(None, Some(THEN), Some(LATER), None);
        for etag in ["", "\"", "a", "\"a\r\nx: y\"", "\"a\"b\""] {
            none(Some(etag), None, None, Some(1));
        }
    }

    #[test]
    fn an_answer_is_about_the_same_bytes_only_by_what_says_so_surely() {
        let url = Url::parse("https://h/a").unwrap();
        let tagged = answer(Some("\"a\""), Some(THEN), Some(LATER), Some(5));
        let known = tagged.known().unwrap();
        assert_eq!(known.condition(&url), Some("\"a\""));
        assert!(known.is_of(&tagged));
        assert!(!known.is_of(&answer(Some("\"b\""), Some(THEN), Some(LATER), Some(5))));
        assert!(!known.is_of(&answer(None, Some(THEN), Some(LATER), Some(5))), "a tag that is gone says nothing");
        let timed = answer(Some("W/\"a\""), Some(THEN), Some(LATER), Some(5));
        let known = timed.known().unwrap();
        assert_eq!(known.condition(&url), None);
        assert!(known.is_of(&timed));
        assert!(!known.is_of(&answer(None, Some(THEN), Some(LATER), Some(6))));
        assert!(
            !known.is_of(&answer(None, Some("Sun, 06 Nov 1994 08:49:36 GMT"), Some(LATER), Some(5))),
            "an older file is another"
        );
        let elsewhere = Answer { from: Url::parse("https://h/b").unwrap(), ..timed };
        assert!(!known.is_of(&elsewhere) && known.condition(&elsewhere.from).is_none());
    }
}
