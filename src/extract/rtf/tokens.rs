//! RTF → control words, bytes and groups (RTF 1.9.1, "Conventions of an RTF reader").

/// One thing in an RTF file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Token<'a> {
    Open,
    Close,
    /// A control word and its number.
    Word(&'a str, Option<i32>),
    /// A control symbol such as `\~`.
    Symbol(u8),
    /// A character in the code page of its font.
    Byte(u8),
}

pub(super) struct Tokens<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Tokens<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Tokens<'a> {
        Tokens { bytes, at: 0 }
    }

    fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    fn control(&mut self) -> Option<Token<'a>> {
        let first = self.peek()?;
        if !first.is_ascii_alphabetic() {
            self.at += 1;
            return Some(match first {
                b'\'' => {
                    let digit = |at: usize| {
                        self.bytes
                            .get(at)
                            .and_then(|b| char::from(*b).to_digit(16))
                            .map(|d| d as u8)
                    };
                    match (digit(self.at), digit(self.at + 1)) {
                        (Some(high), Some(low)) => {
                            self.at += 2;
                            Token::Byte(high << 4 | low)
                        }
                        _ => Token::Symbol(b'\''),
                    }
                }
                b'\n' | b'\r' => Token::Word("par", None),
                other => Token::Symbol(other),
            });
        }
        let start = self.at;
        while self.peek().is_some_and(|b| b.is_ascii_alphabetic()) {
            self.at += 1;
        }
        // Only ASCII letters.
        let word = std::str::from_utf8(&self.bytes[start..self.at]).unwrap_or("");
        let number_start = self.at;
        let has_digit = |at: usize| self.bytes.get(at).is_some_and(u8::is_ascii_digit);
        if self.peek() == Some(b'-') && has_digit(self.at + 1) {
            self.at += 1;
        }
        while self.peek().is_some_and(|b| b.is_ascii_digit()) {
            self.at += 1;
        }
        let number = std::str::from_utf8(&self.bytes[number_start..self.at]).unwrap_or("");
        let number = (!number.is_empty()).then(|| number.parse().unwrap_or(0));
        if self.peek() == Some(b' ') {
            self.at += 1;
        }
        if word == "bin" {
            // So many raw bytes follow, whatever is in them; a wrong count ends at the end.
            let count = usize::try_from(number.unwrap_or(0)).unwrap_or(0);
            self.at = self.at.saturating_add(count).min(self.bytes.len());
        }
        Some(Token::Word(word, number))
    }
}

impl<'a> Iterator for Tokens<'a> {
    type Item = Token<'a>;

    fn next(&mut self) -> Option<Token<'a>> {
        loop {
            let byte = self.peek()?;
            self.at += 1;
            return Some(match byte {
                b'{' => Token::Open,
                b'}' => Token::Close,
                b'\\' => return self.control(),
                b'\r' | b'\n' | 0 => continue,
                other => Token::Byte(other),
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_numbers_and_bytes_are_told_apart() {
        let tokens: Vec<Token<'_>> =
            Tokens::new(b"{\\b0 x\\u-10\\'e9\\~\\bin3 }}}\\*\\zz\r\n}").collect();
        use Token::*;
        let expected = [
            Open,
            Word("b", Some(0)),
            Byte(b'x'),
            Word("u", Some(-10)),
            Byte(0xE9),
            Symbol(b'~'),
            Word("bin", Some(3)),
            Symbol(b'*'),
            Word("zz", None),
            Close,
        ];
        assert_eq!(tokens, expected);
        assert_eq!(Tokens::new(b"\\bin99999999999 x").count(), 2);
        assert_eq!(Tokens::new(b"\\").count(), 0);
    }
}
