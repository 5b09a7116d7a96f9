//! Numbers for people: sizes, durations, times, ids.

use prov::clock::Micros;

/// A size: `0 B`, `14 KiB`, `1.2 GiB`.
pub(crate) fn size(bytes: u64) -> String {
    const UNITS: [&str; 5] = ["KiB", "MiB", "GiB", "TiB", "PiB"];
    if bytes < 1024 {
        return format!("{bytes} B");
    }
    let mut unit = 0;
    // Tenths, rounded down: a size is never shown larger than it is.
    let mut tenths = u128::from(bytes) * 10 / 1024;
    while tenths >= 10_240 && unit + 1 < UNITS.len() {
        tenths /= 1024;
        unit += 1;
    }
    if tenths < 100 {
        format!("{}.{} {}", tenths / 10, tenths % 10, UNITS[unit])
    } else {
        format!("{} {}", tenths / 10, UNITS[unit])
    }
}

/// A duration: `3 ms`, `1.2 s`, `4m05s`, `2h13m`, `3d04h`.
pub(crate) fn duration(ms: u64) -> String {
    let seconds = ms / 1000;
    match seconds {
        0 => format!("{ms} ms"),
        1..10 => format!("{}.{} s", seconds, ms % 1000 / 100),
        10..60 => format!("{seconds} s"),
        60..3600 => format!("{}m{:02}s", seconds / 60, seconds % 60),
        3600..86_400 => format!("{}h{:02}m", seconds / 3600, seconds % 3600 / 60),
        _ => format!("{}d{:02}h", seconds / 86_400, seconds % 86_400 / 3600),
    }
}

/// A time: `2026-11-22 10:20:30 UTC`.
pub(crate) fn time(at: Micros) -> String {
    let text = at.rfc3339();
    match (text.get(..10), text.get(11..19)) {
        (Some(date), Some(clock)) if text.len() == 27 => format!("{date} {clock} UTC"),
        _ => text,
    }
}

/// How long ago it was: `just now`, `5 minutes ago`, `3 days ago`, else the date.
pub(crate) fn ago(at: Micros, now: Micros) -> String {
    let seconds = now.since(at) / 1_000_000;
    let counted = |n: u64, unit: &str| format!("{n} {unit}{} ago", if n == 1 { "" } else { "s" });
    match seconds {
        // A clock that runs ahead elsewhere is no reason to say "in 5 minutes".
        _ if at > now => time(at),
        0..10 => "just now".to_owned(),
        10..60 => counted(seconds, "second"),
        60..3600 => counted(seconds / 60, "minute"),
        3600..86_400 => counted(seconds / 3600, "hour"),
        86_400..1_209_600 => counted(seconds / 86_400, "day"),
        _ => time(at).get(..10).unwrap_or_default().to_owned(),
    }
}

/// `1 file`, `2 files`.
pub(crate) fn count(n: u64, noun: &str) -> String {
    format!("{n} {noun}{}", if n == 1 { "" } else { "s" })
}

/// The first characters of an id, at least 8 and as many as `unique` asks for.
pub(crate) fn short(id: &str, unique: usize) -> &str {
    id.get(..unique.max(8)).unwrap_or(id)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_have_two_figures_at_least() {
        assert_eq!(size(0), "0 B");
        assert_eq!(size(1023), "1023 B");
        assert_eq!(size(1024), "1.0 KiB");
        assert_eq!(size(14 * 1024 + 512), "14 KiB");
        assert_eq!(size(1024 * 1024 - 1), "1023 KiB");
        assert_eq!(size(1_288_490_189), "1.2 GiB");
        assert_eq!(size(u64::MAX), "16383 PiB");
    }

    #[test]
    fn durations_name_two_units() {
        assert_eq!(duration(3), "3 ms");
        assert_eq!(duration(1234), "1.2 s");
        assert_eq!(duration(59_999), "59 s");
        assert_eq!(duration(245_000), "4m05s");
        assert_eq!(duration(7_980_000), "2h13m");
        assert_eq!(duration(273_600_000), "3d04h");
    }

    #[test]
    fn times_are_relative_while_that_helps() {
        let now = Micros(1_795_342_830_000_000);
        assert_eq!(time(now), "2026-11-22 10:20:30 UTC");
        assert_eq!(ago(now, now), "just now");
        assert_eq!(ago(Micros(now.0 - 60_000_000), now), "1 minute ago");
        assert_eq!(ago(Micros(now.0 - 3 * 86_400_000_000), now), "3 days ago");
        assert_eq!(ago(Micros(now.0 - 30 * 86_400_000_000), now), "2026-10-23");
        assert_eq!(ago(Micros(now.0 + 1), now), "2026-11-22 10:20:30 UTC");
    }
}
