//! The records of XLS ([MS-XLS], BIFF8) and XLSB ([MS-XLSB], BIFF12), and how numbers and texts stand in them.

/// Which of the two a record is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Biff {
    Eight,
    Twelve,
}

impl Biff {
    /// Rows and columns of a sheet; powers of two.
    pub(super) fn grid(self) -> (u32, u32) {
        match self {
            Biff::Eight => (1 << 16, 1 << 8),
            Biff::Twelve => (1 << 20, 1 << 14),
        }
    }

    /// Of the number of a row.
    pub(super) fn row_bytes(self) -> usize {
        match self {
            Biff::Eight => 2,
            Biff::Twelve => 4,
        }
    }
}

/// Records of an XLSB part: type and content ([MS-XLSB] 2.1.4).
pub(super) fn records12(part: &[u8]) -> impl Iterator<Item = (u16, &[u8])> {
    let mut at = 0;
    std::iter::from_fn(move || {
        let mut next = || {
            let byte = part.get(at).copied();
            at += 1;
            byte
        };
        let first = u16::from(next()?);
        let kind = if first & 0x80 != 0 { first & 0x7F | u16::from(next()?) << 7 } else { first };
        let mut length = 0usize;
        for shift in [0, 7, 14, 21] {
            let byte = next()?;
            length |= usize::from(byte & 0x7F) << shift;
            if byte & 0x80 == 0 {
                break;
            }
        }
        let content = part.get(at..at.checked_add(length)?)?;
        at += length;
        Some((kind, content))
    })
}

/// Records of an XLS stream from `at`: type and content ([MS-XLS] 2.1.4).
pub(super) fn records8(stream: &[u8], mut at: usize) -> impl Iterator<Item = (u16, &[u8])> {
    std::iter::from_fn(move || {
        let (kind, length) = (u16_at(stream, at)?, usize::from(u16_at(stream, at + 2)?));
        let content = stream.get(at + 4..at + 4 + length)?;
        at += 4 + length;
        Some((kind, content))
    })
}

/// Records of the sheet that begins at `start` of an XLS stream, to its end; not those of charts inside of it.
pub(super) fn sheet_records8(stream: &[u8], start: usize) -> impl Iterator<Item = (u16, &[u8])> {
    const BOF: u16 = 0x0809;
    const EOF: u16 = 0x000A;
    let mut depth = 0usize;
    let records = records8(stream, start).map_while(move |(kind, content)| {
        match kind {
            BOF => depth += 1,
            EOF => {
                depth = depth.saturating_sub(1);
                if depth == 0 {
                    return None;
                }
            }
            _ => {}
        }
        Some((depth <= 1).then_some((kind, content)))
    });
    records.flatten()
}

pub(super) fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    Bytes(bytes.get(at..)?).u16()
}

pub(super) fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    Bytes(bytes.get(at..)?).u32()
}

pub(super) fn utf16(bytes: &[u8]) -> String {
    let units: Vec<u16> = bytes.chunks_exact(2).map(|b| u16::from_le_bytes([b[0], b[1]])).collect();
    String::from_utf16_lossy(&units)
}

/// What is left of a record.
#[derive(Clone, Copy)]
pub(super) struct Bytes<'a>(pub(super) &'a [u8]);

impl<'a> Bytes<'a> {
    pub(super) fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(taken)
    }

    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        self.take(N)?.try_into().ok()
    }

    pub(super) fn u8(&mut self) -> Option<u8> {
        self.array().map(|[byte]: [u8; 1]| byte)
    }

    pub(super) fn u16(&mut self) -> Option<u16> {
        self.array().map(u16::from_le_bytes)
    }

    pub(super) fn u32(&mut self) -> Option<u32> {
        self.array().map(u32::from_le_bytes)
    }

    pub(super) fn f64(&mut self) -> Option<f64> {
        self.array().map(f64::from_le_bytes)
    }

    /// The number of a row.
    pub(super) fn row(&mut self, biff: Biff) -> Option<u32> {
        match biff {
            Biff::Eight => self.u16().map(u32::from),
            Biff::Twelve => self.u32(),
        }
    }

    /// `length` characters of BIFF8, of one byte or two ([MS-XLS] 2.5.296).
    pub(super) fn characters(&mut self, length: usize) -> Option<String> {
        match self.u8()? & 1 {
            0 => Some(self.take(length)?.iter().map(|b| char::from(*b)).collect()),
            _ => self.take(2 * length).map(utf16),
        }
    }

    /// A text of BIFF8 with two bytes of length before it ([MS-XLS] 2.5.294).
    pub(super) fn text8(&mut self) -> Option<String> {
        let length = usize::from(self.u16()?);
        self.characters(length)
    }

    /// A text of BIFF12 with four bytes of length before it ([MS-XLSB] 2.5.168).
    pub(super) fn text12(&mut self) -> Option<String> {
        let length = usize::try_from(self.u32()?).ok()?;
        self.take(length.checked_mul(2)?).map(utf16)
    }

    /// A text inside of a formula.
    pub(super) fn formula_text(&mut self, biff: Biff) -> Option<String> {
        match biff {
            Biff::Eight => {
                let length = usize::from(self.u8()?);
                self.characters(length)
            }
            Biff::Twelve => {
                let length = usize::from(self.u16()?);
                self.take(2 * length).map(utf16)
            }
        }
    }
}
