//! The layout stage: glyphs → words and lines, in the order they are drawn. Stream order is the order
//! that the page's author wrote, and on contracts it is near-perfect (research/extraction.md, fact 1),
//! so nothing is moved: a line ends where the pen goes elsewhere. Whatever re-orders comes later (`order`)
//! and must first see that the order is broken.

use unicode_normalization::UnicodeNormalization;
use unicode_normalization::char::is_combining_mark;

use super::bidi;
use super::glyphs::Glyph;

/// A gap of more than this share of the font's size is a space (MuPDF's SPACE_DIST).
const WORD_GAP: f32 = 0.15;

/// A gap of more than this is no space between words but the way to the next column of a table.
const CELL_GAP: f32 = 1.5;

/// How far a glyph may stand above or below the baseline and still belong to the line: superscripts do.
const BASELINE_DRIFT: f32 = 0.5;

/// How far the pen may step back inside a line: kerning and overlapping accents do.
const STEP_BACK: f32 = 0.5;

/// The same character this near to itself is one that was printed twice to look bold.
const OVERPRINT: f32 = 0.15;

/// How far apart (in sizes) the middles of a letter and of its accent may be.
const ACCENT_NEAR: f32 = 0.3;

/// A line as drawn.
#[derive(Clone, Debug)]
pub(super) struct Line {
    /// Words separated by spaces, cells by tabs. No line end.
    pub(super) text: String,
    /// The extent on the page, in points: left, bottom, right, top. Bottom is a little under the
    /// baseline.
    pub(super) place: [f32; 4],
    /// Font size of most of it, in points.
    pub(super) size: f32,
    /// Where each cell starts, from left to right; one where there is no tab.
    pub(super) cells: Vec<f32>,
    /// Written from left to right along the page's lower edge.
    pub(super) upright: bool,
    /// Written downwards: a column of vertical text, or text that is turned to the right. Either way the
    /// next line stands to the left.
    pub(super) down: bool,
    /// A row of a ruled table; its cells may have several lines (line ends in the text).
    pub(super) row: bool,
    /// Of a row: the column that its first cell stands in, from 0.
    pub(super) first_column: usize,
}

impl Line {
    /// A line of one cell, written along the page's lower edge.
    pub(super) fn upright(text: String, place: [f32; 4], size: f32) -> Line {
        let cells = vec![place[0]];
        Line { text, place, size, cells, upright: true, down: false, row: false, first_column: 0 }
    }

    /// The baseline's height on the page; of a line that runs downwards its distance from the left edge,
    /// which shrinks from line to line as a height does.
    pub(super) fn baseline(&self) -> f32 {
        if self.down { self.place[0] + self.size } else { self.place[1] + DESCENT * self.size }
    }

    /// Where it starts and ends, in the direction in which it is written.
    pub(super) fn reach(&self) -> (f32, f32) {
        let [left, bottom, right, top] = self.place;
        if self.down { (-top, -bottom) } else { (left, right) }
    }

    /// A row with the cell `other` after it.
    pub(super) fn beside(mut self, other: Line) -> Line {
        let mut column = self.first_column + self.text.matches('\t').count();
        while column < other.first_column {
            self.text.push('\t');
            column += 1;
        }
        self.text.push_str(&other.text);
        self.place = around(self.place, other.place);
        self.cells.extend(other.cells);
        self
    }
}

/// The box around two boxes.
pub(super) fn around(a: [f32; 4], b: [f32; 4]) -> [f32; 4] {
    [a[0].min(b[0]), a[1].min(b[1]), a[2].max(b[2]), a[3].max(b[3])]
}

/// Descent and ascent of an ordinary font, in sizes.
const DESCENT: f32 = 0.2;
const ASCENT: f32 = 0.8;

/// The lines that `glyphs` form.
pub(super) fn lines(glyphs: &[Glyph]) -> Vec<Line> {
    let mut lines = Vec::new();
    let mut open: Option<OpenLine> = None;
    for glyph in glyphs {
        if let Some(line) = &mut open {
            match line.step(glyph) {
                Step::Overprint => continue,
                Step::Here { gap, composed } => {
                    line.push(glyph, gap, composed);
                    continue;
                }
                Step::Elsewhere => {}
            }
        }
        if let Some(done) = open.take() {
            lines.extend(done.close());
        }
        // A line does not start with a blank; many drawn at the page's rim would.
        if !glyph.text.is_whitespace() {
            open = Some(OpenLine::start(glyph));
        }
    }
    lines.extend(open.and_then(OpenLine::close));
    lines
}

/// The lines as plain text, for what is only reported.
pub(super) fn plain_text(lines: &[Line]) -> String {
    let texts: Vec<&str> = lines.iter().map(|line| line.text.as_str()).collect();
    texts.join("\n")
}

/// Where a glyph stands as seen from the line that is being written.
enum Step {
    /// Behind the last glyph, so many font sizes away, or one character with it.
    Here {
        gap: f32,
        composed: Option<char>,
    },
    /// On a glyph that is the same.
    Overprint,
    Elsewhere,
}

struct OpenLine {
    text: String,
    /// Where the line began, and its direction.
    origin: (f32, f32),
    direction: (f32, f32),
    /// The largest size so far: what small letters beside it are measured by.
    size: f32,
    /// Where the pen stands, along the direction from the origin.
    pen: f32,
    /// Each glyph's place along the direction, to find what is printed twice.
    glyphs: Vec<(f32, char)>,
    cells: Vec<f32>,
    /// Place and advance of the last glyph along the direction.
    last: (f32, f32),
    /// How far the line reaches back before its origin: text from right to left drawn in reading order.
    back: f32,
}

impl OpenLine {
    fn start(glyph: &Glyph) -> OpenLine {
        let mut line = OpenLine {
            text: String::new(),
            origin: (glyph.x, glyph.y),
            direction: (glyph.dx, glyph.dy),
            size: glyph.size,
            pen: 0.0,
            glyphs: Vec::new(),
            cells: vec![0.0],
            last: (0.0, glyph.advance),
            back: 0.0,
        };
        line.push(glyph, 0.0, None);
        line
    }

    /// Along and across the writing direction, from the origin, in points.
    fn position(&self, glyph: &Glyph) -> (f32, f32) {
        let (x, y) = (glyph.x - self.origin.0, glyph.y - self.origin.1);
        let (dx, dy) = self.direction;
        (x * dx + y * dy, y * dx - x * dy)
    }

    fn step(&self, glyph: &Glyph) -> Step {
        let (dx, dy) = self.direction;
        let (along, across) = self.position(glyph);
        let size = self.size.max(glyph.size);
        if glyph.dx * dx + glyph.dy * dy < 0.98 || across.abs() > BASELINE_DRIFT * size {
            return Step::Elsewhere;
        }
        if along < self.pen && self.is_printed_at(along, glyph, size) {
            return Step::Overprint;
        }
        let gap = (along - self.pen) / size;
        let composed = self.composed(glyph, along);
        if composed.is_some() {
            return Step::Here { gap: 0.0, composed };
        }
        if bidi::is_rtl(glyph.text) || (self.back < 0.0 && !glyph.text.is_alphanumeric()) {
            // Drawn in reading order, each glyph to the left of the one before.
            let back_gap = (self.last.0 - along - glyph.advance) / size;
            if along < self.last.0 && (-STEP_BACK..CELL_GAP).contains(&back_gap) {
                return Step::Here { gap: back_gap, composed };
            }
        }
        if gap < -STEP_BACK { Step::Elsewhere } else { Step::Here { gap, composed } }
    }

    /// Whether the same character already stands at `along`; a blank may stand on anything.
    fn is_printed_at(&self, along: f32, glyph: &Glyph, size: f32) -> bool {
        let near = OVERPRINT * size;
        let from = self.glyphs.partition_point(|&(at, _)| at < along - near);
        self.glyphs[from..]
            .iter()
            .take_while(|&&(at, _)| at <= along + near)
            .any(|&(_, c)| c == glyph.text && glyph.advance > near)
    }

    /// The last letter with `glyph` as its accent, or the last accent with `glyph` as its letter.
    fn composed(&self, glyph: &Glyph, along: f32) -> Option<char> {
        let last = self.text.chars().next_back()?;
        let (mark, letter) = match (combining(last), combining(glyph.text)) {
            (Some(mark), None) => (mark, glyph.text),
            (None, Some(mark)) => (mark, last),
            _ => return None,
        };
        let middle = |(along, advance): (f32, f32)| along + advance / 2.0;
        let apart = (middle(self.last) - middle((along, glyph.advance))).abs();
        if !letter.is_alphabetic() || apart > ACCENT_NEAR * self.size.max(glyph.size) {
            return None;
        }
        let letter = match letter {
            'ı' => 'i',
            'ȷ' => 'j',
            letter => letter,
        };
        let mut composed = [letter, mark].into_iter().nfc();
        let first = composed.next()?;
        composed.next().is_none().then_some(first)
    }

    fn push(&mut self, glyph: &Glyph, gap: f32, composed: Option<char>) {
        let (along, _) = self.position(glyph);
        if let Some(composed) = composed {
            self.text.pop();
            self.text.push(composed);
            self.pen = self.pen.max(along + glyph.advance);
            // Where both are the letter is the wider one.
            if glyph.advance >= self.last.1 {
                self.last = (along, glyph.advance);
            }
            return;
        }
        let blank = glyph.text.is_whitespace();
        if gap > CELL_GAP && !blank {
            let words = self.text.trim_end_matches(' ').len();
            self.text.truncate(words);
            self.text.push('\t');
            self.cells.push(along);
        } else if gap > WORD_GAP && !blank && !self.text.ends_with(char::is_whitespace) {
            self.text.push(' ');
        }
        match self.text.char_indices().next_back() {
            // The rest of a ligature comes in reading order, and the line will be turned as a whole.
            Some((at, last))
                if glyph.advance == 0.0
                    && self.back >= 0.0
                    && bidi::is_rtl(glyph.text)
                    && bidi::is_rtl(last)
                    && !is_combining_mark(glyph.text) =>
            {
                self.text.insert(at, glyph.text);
            }
            _ => self.text.push(glyph.text),
        }
        // Blanks are not remembered as the pen's way, so that cells set apart by many are seen.
        if !blank {
            self.glyphs
                .push((along.max(self.glyphs.last().map_or(along, |&(at, _)| at)), glyph.text));
            self.size = self.size.max(glyph.size);
        }
        self.pen = self.pen.max(along + glyph.advance);
        self.last = (along, glyph.advance);
        self.back = self.back.min(along);
    }

    fn close(mut self) -> Option<Line> {
        self.text.truncate(self.text.trim_end().len());
        if self.text.is_empty() {
            return None;
        }
        let (dx, dy) = self.direction;
        // Half a letter back is kerning.
        if self.back > -STEP_BACK * self.size
            && let Some(logical) = bidi::logical(&self.text)
        {
            self.text = logical;
        }
        let start = (self.origin.0 + dx * self.back, self.origin.1 + dy * self.back);
        let end = (self.origin.0 + dx * self.pen, self.origin.1 + dy * self.pen);
        let upright = dx > 0.98;
        let (left, right) = (start.0.min(end.0), start.0.max(end.0));
        let (low, high) = (start.1.min(end.1), start.1.max(end.1));
        let place = if upright {
            [left, low - DESCENT * self.size, right, high + ASCENT * self.size]
        } else {
            [left - self.size, low - self.size, right + self.size, high + self.size]
        };
        let origin = self.origin.0;
        for cell in &mut self.cells {
            *cell += origin;
        }
        Some(Line {
            text: self.text,
            place,
            size: self.size,
            cells: self.cells,
            upright,
            down: dy < -0.98,
            row: false,
            first_column: 0,
        })
    }
}

/// The combining form of an accent that fonts also have as a glyph of its own.
fn combining(accent: char) -> Option<char> {
    Some(match accent {
        '`' | '\u{2cb}' => '\u{300}',
        '\u{b4}' | '\u{2ca}' => '\u{301}',
        '\u{2c6}' => '\u{302}',
        '\u{2dc}' => '\u{303}',
        '\u{af}' | '\u{2c9}' => '\u{304}',
        '\u{2d8}' => '\u{306}',
        '\u{2d9}' => '\u{307}',
        '\u{a8}' => '\u{308}',
        '\u{2da}' => '\u{30a}',
        '\u{2dd}' => '\u{30b}',
        '\u{2c7}' => '\u{30c}',
        '\u{b8}' => '\u{327}',
        '\u{2db}' => '\u{328}',
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::super::glyphs::Layer;
    use super::*;

    /// Ten-point glyphs of half an em, from `x` on the baseline `y`.
    fn draw(glyphs: &mut Vec<Glyph>, text: &str, mut x: f32, y: f32) {
        for c in text.chars() {
            let at = Glyph {
                text: c,
                x,
                y,
                dx: 1.0,
                dy: 0.0,
                size: 10.0,
                advance: 5.0,
                layer: Layer::Visible,
            };
            glyphs.push(at);
            x += 5.0;
        }
    }

    fn texts(glyphs: &[Glyph]) -> Vec<String> {
        lines(glyphs).into_iter().map(|line| line.text).collect()
    }

    #[test]
    fn gaps_become_spaces_and_wide_gaps_cells() {
        let mut glyphs = Vec::new();
        draw(&mut glyphs, "net", 50.0, 700.0);
        draw(&mut glyphs, "sales", 67.5, 700.0);
        draw(&mut glyphs, "4,310", 200.0, 700.0);
        draw(&mut glyphs, "next", 50.0, 688.0);
        assert_eq!(texts(&glyphs), ["net sales\t4,310", "next"]);
    }

    #[test]
    fn a_raised_note_mark_stays_in_its_line() {
        let mut glyphs = Vec::new();
        draw(&mut glyphs, "fee", 50.0, 700.0);
        draw(&mut glyphs, "2", 65.0, 704.0);
        glyphs[3].size = 6.0;
        draw(&mut glyphs, "is", 72.0, 700.0);
        assert_eq!(texts(&glyphs), ["fee2 is"]);
    }

    #[test]
    fn letters_printed_twice_to_look_bold_are_read_once() {
        let mut glyphs = Vec::new();
        draw(&mut glyphs, "TOTAL", 50.0, 700.0);
        draw(&mut glyphs, "TOTAL", 50.4, 700.0);
        assert_eq!(texts(&glyphs), ["TOTAL"]);
        let mut doubled = Vec::new();
        draw(&mut doubled, "book", 50.0, 700.0);
        assert_eq!(texts(&doubled), ["book"], "a double letter is no second printing");
    }

    #[test]
    fn an_accent_drawn_over_its_letter_is_one_character() {
        let mut glyphs = Vec::new();
        draw(&mut glyphs, "Oguz", 50.0, 700.0);
        let breve = Glyph { text: '˘', x: 55.5, y: 700.0, advance: 4.0, ..glyphs[0] };
        let mut before = glyphs.clone();
        before.insert(1, breve);
        glyphs.insert(2, breve);
        assert_eq!(texts(&glyphs), ["Oğuz"], "after its letter");
        assert_eq!(texts(&before), ["Oğuz"], "before its letter");
        let mut apart = Vec::new();
        draw(&mut apart, "a´b", 50.0, 700.0);
        assert_eq!(texts(&apart), ["a´b"], "beside a letter");
    }

    #[test]
    fn hebrew_is_read_alike_however_it_was_drawn() {
        let mut as_it_looks = Vec::new();
        draw(&mut as_it_looks, "םלוע םולש", 50.0, 700.0);
        let mut as_it_reads = as_it_looks.clone();
        as_it_reads.reverse();
        assert_eq!(texts(&as_it_looks), ["שלום עולם"]);
        assert_eq!(texts(&as_it_reads), ["שלום עולם"]);
    }

    #[test]
    fn an_arabic_ligature_keeps_its_letters_in_order() {
        // "سلام" as it looks, with lam and alef drawn as one glyph.
        let mut glyphs = Vec::new();
        draw(&mut glyphs, "ملس", 50.0, 700.0);
        let alef = Glyph { text: 'ا', x: 60.0, advance: 0.0, ..glyphs[1] };
        glyphs.insert(2, alef);
        assert_eq!(texts(&glyphs), ["سلام"]);
    }

    #[test]
    fn text_that_runs_upwards_is_a_line_of_its_own() {
        let mut glyphs = Vec::new();
        draw(&mut glyphs, "body", 50.0, 700.0);
        let from = glyphs.len();
        draw(&mut glyphs, "DRAFT", 0.0, 0.0);
        for (step, glyph) in glyphs[from..].iter_mut().enumerate() {
            (glyph.x, glyph.y, glyph.dx, glyph.dy) = (20.0, 300.0 + 5.0 * step as f32, 0.0, 1.0);
        }
        assert_eq!(texts(&glyphs), ["body", "DRAFT"]);
        assert!(!lines(&glyphs)[1].upright);
    }
}
