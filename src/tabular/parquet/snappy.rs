//! Snappy's blocks, unpacked.

/// What is packed in a block of at most `most` bytes; `None` if it is none.
pub(super) fn unpacked(packed: &[u8], most: usize) -> Option<Vec<u8>> {
    let mut rest = packed;
    let mut length = 0usize;
    for shift in (0..35).step_by(7) {
        let (byte, more) = rest.split_first()?;
        rest = more;
        length |= usize::from(byte & 0x7f).checked_shl(shift)?;
        if byte & 0x80 == 0 {
            break;
        }
    }
    if length > most {
        return None;
    }
    let mut out: Vec<u8> = Vec::with_capacity(length);
    while let Some((tag, more)) = rest.split_first() {
        rest = more;
        let number = |rest: &mut &[u8], n: usize| -> Option<usize> {
            let (raw, more) = rest.split_at_checked(n)?;
            *rest = more;
            Some(raw.iter().rev().fold(0usize, |value, byte| value << 8 | usize::from(*byte)))
        };
        let (n, offset) = match tag & 3 {
            0 => {
                let n = match usize::from(tag >> 2) {
                    n @ 0..60 => n,
                    more => number(&mut rest, more - 59)?,
                };
                let (literal, more) = rest.split_at_checked(n.checked_add(1)?)?;
                out.extend_from_slice(literal);
                rest = more;
                continue;
            }
            1 => (4 + usize::from(tag >> 2 & 7), usize::from(tag >> 5) << 8 | number(&mut rest, 1)?),
            2 => (1 + usize::from(tag >> 2), number(&mut rest, 2)?),
            _ => (1 + usize::from(tag >> 2), number(&mut rest, 4)?),
        };
        let from = out.len().checked_sub(offset).filter(|_| offset > 0)?;
        if out.len() + n > length {
            return None;
        }
        // What is copied may be written by the copy itself.
        for at in from..from + n {
            let byte = out[at];
            out.push(byte);
        }
    }
    (out.len() == length).then_some(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn literals_and_copies_are_unpacked() {
        // `abc`, then 8 bytes from 3 before.
        assert_eq!(unpacked(&[11, 0b1000, b'a', b'b', b'c', 0b10001, 3], 64).unwrap(), b"abcabcabcab");
        assert_eq!(unpacked(&[0], 64).unwrap(), b"");
        for bad in [&[5, 0b1000, b'a'][..], &[11, 0b10001, 3], &[3, 0b1000, b'a', b'b', b'c', 0b10001, 3], &[]] {
            assert_eq!(unpacked(bad, 64), None);
        }
        assert_eq!(unpacked(&[0xff, 0xff, 0xff, 0xff, 0x0f], 64), None);
    }
}
