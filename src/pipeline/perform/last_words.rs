//! The last thing that a process printed: what people want to see first when it failed.

/// How much of the line is kept.
const MOST: usize = 300;

/// Keeps the end of what was printed.
#[derive(Debug, Default)]
pub(in crate::pipeline) struct LastWords {
    end: Vec<u8>,
}

impl LastWords {
    /// Takes what was printed.
    pub(in crate::pipeline) fn push(&mut self, bytes: &[u8]) {
        self.end.extend_from_slice(&bytes[bytes.len().saturating_sub(16 * MOST)..]);
        let surplus = self.end.len().saturating_sub(16 * MOST);
        self.end.drain(..surplus);
    }

    /// The last line that is not blank, cut where it is long.
    pub(in crate::pipeline) fn line(&self) -> Option<String> {
        let line = self.end.trim_ascii_end().rsplit(|b| *b == b'\n').next().unwrap_or_default();
        let kept: String = crate::path::shown(line.trim_ascii()).chars().take(MOST).collect();
        (!kept.is_empty()).then_some(kept)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_line_is_kept_whatever_came_before() {
        let mut words = LastWords::default();
        assert_eq!(words.line(), None);
        words.push(&vec![b'x'; 100_000]);
        assert_eq!(words.line().unwrap().len(), MOST);
        words.push(b"\nlast one \r\n\n");
        assert_eq!(words.line().unwrap(), "last one");
        words.push(b"more");
        assert_eq!(words.line().unwrap(), "more");
    }
}
