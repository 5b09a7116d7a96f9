//! Time and randomness: the two things that make one run of prov differ from another.
//!
//! Nothing else in the library reads the system clock or asks the system for random bytes.

use std::fmt;
use std::sync::Mutex;
use std::sync::atomic::{AtomicI64, Ordering};

use serde::{Deserialize, Serialize};

/// A moment in UTC: microseconds since 1970-01-01T00:00:00Z.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Micros(pub i64);

impl Micros {
    /// RFC 3339 in UTC with six digits of a second, e.g. `2026-11-22T10:20:30.123456Z`.
    pub fn rfc3339(self) -> String {
        match jiff::Timestamp::from_microsecond(self.0) {
            Ok(at) => at.strftime("%Y-%m-%dT%H:%M:%S.%6fZ").to_string(),
            Err(_) => format!("{}us", self.0),
        }
    }

    /// The compact form used at the front of run ids, e.g. `20261122T102030.123456Z`.
    pub fn compact(self) -> String {
        match jiff::Timestamp::from_microsecond(self.0) {
            Ok(at) => at.strftime("%Y%m%dT%H%M%S.%6fZ").to_string(),
            Err(_) => format!("{:020}", self.0),
        }
    }

    /// Parses an RFC 3339 time, or a date or date and time without zone, which counts as UTC.
    pub fn parse(text: &str) -> Option<Self> {
        if let Ok(at) = text.parse::<jiff::Timestamp>() {
            return Some(Self(at.as_microsecond()));
        }
        let civil = text.parse::<jiff::civil::DateTime>().ok()?;
        Some(Self(civil.to_zoned(jiff::tz::TimeZone::UTC).ok()?.timestamp().as_microsecond()))
    }

    /// Microseconds from `earlier` to this moment, 0 if it lies in the future.
    pub fn since(self, earlier: Micros) -> u64 {
        u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0)
    }
}

impl fmt::Display for Micros {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.rfc3339())
    }
}

impl fmt::Debug for Micros {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Milliseconds of a duration such as `30` (seconds), `250ms`, `90s`, `1h30m`, `2d`; `None` if it is none.
pub fn parse_duration_ms(text: &str) -> Option<u64> {
    if text.bytes().all(|b| b.is_ascii_digit()) && !text.is_empty() {
        return text.parse::<u64>().ok()?.checked_mul(1000);
    }
    let mut rest = text;
    let mut total: u64 = 0;
    while !rest.is_empty() {
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        let (number, after) = rest.split_at(digits);
        let letters = after.bytes().take_while(u8::is_ascii_alphabetic).count();
        let (unit, after) = after.split_at(letters);
        let ms: u64 = match unit {
            "ms" => 1,
            "s" => 1000,
            "m" | "min" => 60_000,
            "h" => 3_600_000,
            "d" => 86_400_000,
            "w" => 604_800_000,
            _ => return None,
        };
        total = number.parse::<u64>().ok()?.checked_mul(ms).and_then(|part| total.checked_add(part))?;
        rest = after;
    }
    (!text.is_empty()).then_some(total)
}

/// Tells the time.
pub trait Clock: Send + Sync + fmt::Debug {
    /// The current time.
    fn now(&self) -> Micros;
}

/// The machine's clock.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Micros {
        #[expect(clippy::disallowed_methods, reason = "the one place that reads the clock")]
        let now = std::time::SystemTime::now();
        let micros = match now.duration_since(std::time::UNIX_EPOCH) {
            Ok(after) => i64::try_from(after.as_micros()).unwrap_or(i64::MAX),
            Err(before) => -i64::try_from(before.duration().as_micros()).unwrap_or(i64::MAX),
        };
        Micros(micros)
    }
}

/// A clock for tests: starts where told and moves by a fixed step at every reading.
#[derive(Debug)]
pub struct StepClock {
    next: AtomicI64,
    step: i64,
}

impl StepClock {
    /// The first reading is `start`; each further one is `step` microseconds later.
    pub fn new(start: Micros, step: i64) -> Self {
        Self { next: AtomicI64::new(start.0), step }
    }
}

impl Clock for StepClock {
    fn now(&self) -> Micros {
        Micros(self.next.fetch_add(self.step, Ordering::Relaxed))
    }
}

/// Gives random bytes.
pub trait Random: Send + Sync + fmt::Debug {
    /// Fills `buffer`.
    fn fill(&self, buffer: &mut [u8]);
}

/// The system's random numbers.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemRandom;

impl Random for SystemRandom {
    fn fill(&self, buffer: &mut [u8]) {
        if getrandom::fill(buffer).is_err() {
            // No random source at all: a hash of what differs between processes keeps names unique.
            let seed = (std::process::id(), SystemClock.now().0, buffer.as_ptr() as usize);
            for (i, chunk) in buffer.chunks_mut(32).enumerate() {
                let block = crate::hash::blob(format!("{seed:?} {i}").as_bytes());
                chunk.copy_from_slice(&block.digest()[..chunk.len()]);
            }
        }
    }
}

/// Repeatable bytes from a seed, for tests.
#[derive(Debug)]
pub struct SeededRandom(Mutex<u64>);

impl SeededRandom {
    /// The same seed gives the same bytes in the same order.
    pub fn new(seed: u64) -> Self {
        Self(Mutex::new(seed))
    }
}

impl Random for SeededRandom {
    fn fill(&self, buffer: &mut [u8]) {
        let mut state = self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        for byte in buffer {
            // splitmix64
            *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
            let mut z = *state;
            z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            *byte = (z ^ (z >> 31)).to_le_bytes()[0];
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_utc_with_microseconds() {
        let at = Micros(1_795_342_830_123_456);
        assert_eq!(at.rfc3339(), "2026-11-22T10:20:30.123456Z");
        assert_eq!(at.compact(), "20261122T102030.123456Z");
        assert_eq!(Micros::parse(&at.rfc3339()), Some(at));
        assert_eq!(Micros::parse("2026-11-22").map(Micros::rfc3339).as_deref(), Some("2026-11-22T00:00:00.000000Z"));
        assert_eq!(Micros::parse("yesterday"), None);
    }
}
