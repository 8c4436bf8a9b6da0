//! The layout stage: glyphs → words and lines, in the order they are drawn. Stream order is the order
//! that the page's author wrote, and on contracts it is near-perfect (research/extraction.md, fact 1),
//! so nothing is moved: a line ends where the pen goes elsewhere. Whatever re-orders comes later (`order`)
//! and must first see that the order is broken.

use unicode_normalization::char::is_combining_mark;

use super::bidi;
use super::composed::{Placed, composed};
use super::glyphs::{Glyph, Layer};
use crate::extract::docx::bullet;

/// A gap of more than this share of the font's size is a space (MuPDF's SPACE_DIST).
const WORD_GAP: f32 = 0.15;

/// A gap of more than this is no space between words but the way to the next column of a table.
const CELL_GAP: f32 = 1.5;

/// How far a glyph may stand above or below the baseline and still belong to the line: superscripts do.
const BASELINE_DRIFT: f32 = 0.5;

/// Text recognition that draws blanks spreads the letters of a word over its picture: up to so many letters for each
/// gap between two blanks are one word.
const SPREAD_LETTERS: usize = 2;

/// How far the tall signs of formulas (in sizes) may be drawn above the baseline of the line they are in: TeX hangs
/// them from their upper edge.
const SIGN_HANG: f32 = 1.8;

/// How far down (in sizes) they reach from there, at least.
const SIGN_DEPTH: f32 = 1.0;

/// How far below the baseline (in sizes) a quotation mark that opens is drawn as one that closes.
const QUOTE_DROP: f32 = 0.4;

/// How far (in sizes) such a sign may stand from the end of the line.
const SIGN_GAP: f32 = 1.0;

/// How far the pen may step back inside a line: kerning and overlapping accents do.
const STEP_BACK: f32 = 0.5;

/// How far (in sizes) the baselines of what stands one over the other are apart inside a line: a superscript and
/// the subscript under it, the two numbers of a fraction.
const STACKED: f32 = 0.45;

/// How far (in sizes) the pen steps back from the end of one to the start of the other.
const STACK_WIDTH: f32 = 3.0;

/// Small print in a line is at most this share of its size.
pub(super) const SCRIPT: f32 = 0.85;

/// How far apart (in sizes) the copies of a sign are that make a taller one.
const PIECE: f32 = 0.65;

/// What is so many times as large as what it stands beside is not set with it.
const LOGO: f32 = 2.5;

/// The same character this near to itself is one that was printed twice to look bold.
const OVERPRINT: f32 = 0.15;

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

    /// How far down it reaches: a tall sign at its end hangs from its upper edge.
    pub(super) fn bottom(&self) -> f32 {
        let hangs = self.text.ends_with(is_tall_sign);
        if hangs { self.place[1] - SIGN_DEPTH * self.size } else { self.place[1] }
    }

    /// Whether it is nothing but a tall sign, or a piece of one.
    pub(super) fn is_sign(&self) -> bool {
        let mut text = self.text.chars();
        text.next().is_some_and(is_tall_sign) && text.next().is_none()
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
    for (glyph, hangs) in glyphs.iter().zip(hanging(glyphs)) {
        if let Some(line) = &mut open {
            match line.step(glyph, hangs) {
                Step::Overprint => {
                    line.remember(glyph);
                    continue;
                }
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
        composed: Option<(char, Option<char>)>,
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
    /// Each glyph's place along and across the direction, to find what is printed twice.
    glyphs: Vec<(f32, f32, char)>,
    cells: Vec<f32>,
    /// Place and advance of the last glyph along the direction.
    last: (f32, f32),
    /// Place across the direction and size of the last glyph.
    level: (f32, f32),
    /// Whether the last character has an accent that stands behind it in the text.
    is_marked: bool,
    /// How far the line reaches back before its origin: text from right to left drawn in reading order.
    back: f32,
    /// Text that was recognized, and lies under its picture.
    recognized: bool,
    /// Whether blanks were drawn, and where a space stands for a mere gap.
    draws_blanks: bool,
    gaps: Vec<usize>,
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
            level: (0.0, glyph.size),
            is_marked: false,
            back: 0.0,
            recognized: matches!(glyph.layer, Layer::Invisible | Layer::UnderPicture),
            draws_blanks: false,
            gaps: Vec::new(),
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

    /// Where `glyph` stands, a sign that `hangs` down or none.
    fn step(&self, glyph: &Glyph, hangs: bool) -> Step {
        let (dx, dy) = self.direction;
        let (along, across) = self.position(glyph);
        let size = self.measure(glyph);
        let hangs = hangs && (0.0..SIGN_HANG * size).contains(&across);
        let is_quote = || self.is_lowered_quote(glyph.text, -across) || self.starts_below(across);
        let in_line = across.abs() <= BASELINE_DRIFT * size;
        if glyph.dx * dx + glyph.dy * dy < 0.98 || !(in_line || hangs || is_quote()) {
            return Step::Elsewhere;
        }
        if along < self.pen && self.is_printed_at((along, across), glyph, size) {
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
        if !in_line && !(-SIGN_GAP..SIGN_GAP).contains(&gap) {
            return Step::Elsewhere;
        }
        if gap < 0.0 && (across - self.level.0).abs() > STACKED * size {
            let small = self.level.1.max(glyph.size) <= SCRIPT * size;
            if gap > -STEP_BACK || (small && gap > -STACK_WIDTH) {
                return Step::Here { gap: STACKED, composed };
            }
        }
        if gap < -STEP_BACK { Step::Elsewhere } else { Step::Here { gap, composed } }
    }

    /// The size that distances to `glyph` are measured by: the larger of the two, but where one is so much larger that
    /// it is a logo or a letter over several lines.
    fn measure(&self, glyph: &Glyph) -> f32 {
        let (small, large) = (self.level.1.min(glyph.size), self.size.max(glyph.size));
        if large > LOGO * small && !self.is_initial_of(glyph) { small } else { large }
    }

    /// Whether the line is one large letter yet, which the word of `glyph` begins with.
    fn is_initial_of(&self, glyph: &Glyph) -> bool {
        self.glyphs.len() == 1 && self.size > LOGO * glyph.size && glyph.text.is_lowercase()
    }

    /// Whether `c`, drawn so far below the baseline, is the quotation mark that opens German speech: TeX lowers the
    /// one that closes English speech.
    fn is_lowered_quote(&self, c: char, below: f32) -> bool {
        opening(c).is_some() && (QUOTE_DROP..1.0).contains(&(below / self.size))
    }

    /// Whether the line holds nothing but that mark yet, and goes on so far above it.
    fn starts_below(&self, above: f32) -> bool {
        let mut text = self.text.chars();
        text.next().is_some_and(|c| text.next().is_none() && self.is_lowered_quote(c, above))
    }

    /// Whether the same character already stands at a place; a blank may stand on anything.
    fn is_printed_at(&self, (along, across): (f32, f32), glyph: &Glyph, size: f32) -> bool {
        let near = OVERPRINT * size;
        let apart = if is_piece(glyph.text) { PIECE * size } else { near };
        let from = self.glyphs.partition_point(|&(at, ..)| at < along - near);
        let mut here = self.glyphs[from..].iter().take_while(|&&(at, ..)| at <= along + near);
        here.any(|&(_, height, c)| {
            c == glyph.text && glyph.advance > near && (across - height).abs() <= apart
        })
    }

    fn remember(&mut self, glyph: &Glyph) {
        let (along, across) = self.position(glyph);
        let at = self.glyphs.last().map_or(along, |&(at, ..)| along.max(at));
        self.glyphs.push((at, across, glyph.text));
    }

    /// The last glyph with `glyph` over it or under it.
    fn composed(&self, glyph: &Glyph, along: f32) -> Option<(char, Option<char>)> {
        if self.is_marked {
            return None;
        }
        let text = self.text.chars().next_back()?;
        let last = Placed { text, along: self.last.0, advance: self.last.1 };
        let next = Placed { text: glyph.text, along, advance: glyph.advance };
        composed(last, next, self.size.max(glyph.size))
    }

    fn push(&mut self, glyph: &Glyph, gap: f32, composed: Option<(char, Option<char>)>) {
        let (along, mut across) = self.position(glyph);
        let mut text = glyph.text;
        // TeX puts a kern after a mark that it lowers; it is no space.
        let mut follows_lowered =
            self.text.ends_with(LOW_QUOTES) && -self.level.0 >= QUOTE_DROP * self.size;
        if self.is_lowered_quote(text, -across) {
            text = opening(text).unwrap_or(text);
        } else if self.starts_below(across) {
            follows_lowered = true;
            self.text = self.text.chars().filter_map(opening).collect();
            self.rise(across);
            across = 0.0;
        }
        if self.is_initial_of(glyph) {
            self.rise(across);
            (across, self.size) = (0.0, glyph.size);
        }
        self.is_marked = false;
        if let Some((composed, mark)) = composed {
            self.text.pop();
            if self.text.is_empty() {
                // An accent over a tall letter, before it: the letter says where the line is.
                self.rise(across);
            }
            self.text.push(composed);
            self.text.extend(mark);
            self.is_marked = mark.is_some();
            self.pen = self.pen.max(along + glyph.advance);
            // Where both are the letter is the wider one.
            if glyph.advance >= self.last.1 {
                self.last = (along, glyph.advance);
            }
            return;
        }
        let blank = text.is_whitespace();
        if gap > CELL_GAP && !blank {
            let words = self.text.trim_end_matches(' ').len();
            self.text.truncate(words);
            self.text.push('\t');
            self.cells.push(along);
        } else if gap > WORD_GAP
            && !blank
            && !follows_lowered
            && !self.text.ends_with(char::is_whitespace)
        {
            self.gaps.push(self.text.len());
            self.text.push(' ');
        }
        self.draws_blanks |= blank;
        match self.text.char_indices().next_back() {
            // The rest of a ligature comes in reading order, and the line will be turned as a whole.
            Some((at, last))
                if glyph.advance == 0.0
                    && self.back >= 0.0
                    && bidi::is_rtl(text)
                    && bidi::is_rtl(last)
                    && !is_combining_mark(text) =>
            {
                self.text.insert(at, text);
            }
            _ => self.text.push(text),
        }
        // Blanks are not remembered as the pen's way, so that cells set apart by many are seen.
        if !blank {
            self.remember(&Glyph { text, ..*glyph });
            self.size = self.size.max(glyph.size);
        }
        self.pen = self.pen.max(along + glyph.advance);
        self.last = (along, glyph.advance);
        self.level = (across, glyph.size);
        self.back = self.back.min(along);
    }

    /// Puts the baseline so far higher.
    fn rise(&mut self, by: f32) {
        let (dx, dy) = self.direction;
        self.origin = (self.origin.0 - dy * by, self.origin.1 + dx * by);
    }

    /// The text with the words closed up that were only spread.
    fn closed_up(&self) -> String {
        let is_gap = |at: usize, c: char| c == ' ' && self.gaps.binary_search(&at).is_ok();
        let mut text = String::with_capacity(self.text.len());
        let mut start = 0;
        while start < self.text.len() {
            let rest = self.text[start..].char_indices().map(|(at, c)| (start + at, c));
            let blank = rest.clone().find(|&(at, c)| c.is_whitespace() && !is_gap(at, c));
            let end = blank.map_or(self.text.len(), |(at, c)| at + c.len_utf8());
            let stretch = rest.take_while(|&(at, _)| at < end);
            let gaps = stretch.clone().filter(|&(at, c)| is_gap(at, c)).count();
            let letters = stretch.clone().filter(|(_, c)| !c.is_whitespace()).count();
            let is_spread = letters <= SPREAD_LETTERS * (gaps + 1);
            text.extend(stretch.filter(|&(at, c)| !(is_spread && is_gap(at, c))).map(|(_, c)| c));
            start = end;
        }
        text
    }

    /// A sign of a symbol font that the line begins with is a bullet.
    fn name_bullet(&mut self) {
        let mut text = self.text.chars();
        if let (Some(sign @ '\u{e000}'..='\u{f8ff}'), Some(' ' | '\t')) = (text.next(), text.next())
        {
            self.text.replace_range(..sign.len_utf8(), bullet(sign).encode_utf8(&mut [0; 4]));
        }
    }

    fn close(mut self) -> Option<Line> {
        self.text.truncate(self.text.trim_end().len());
        if self.text.is_empty() {
            return None;
        }
        if self.recognized && self.draws_blanks && !self.gaps.is_empty() {
            self.text = self.closed_up();
        }
        self.name_bullet();
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

/// Marks that open German speech.
const LOW_QUOTES: [char; 2] = ['„', '‚'];

/// The low mark that is drawn as the high one `c`.
fn opening(c: char) -> Option<char> {
    match c {
        '”' => Some('„'),
        '’' => Some('‚'),
        _ => None,
    }
}

/// Of each glyph whether it is a sign that hangs down from where it is drawn: no letter stands at that height behind
/// it. From the end on, so that many signs in a row are looked at once each.
fn hanging(glyphs: &[Glyph]) -> Vec<bool> {
    let mut hangs = vec![false; glyphs.len()];
    for at in (0..glyphs.len()).rev() {
        let goes_on = || glyphs.get(at + 1).is_some_and(|next| next.goes_on(&glyphs[at]));
        hangs[at] = is_tall_sign(glyphs[at].text) && (!goes_on() || hangs[at + 1]);
    }
    hangs
}

/// Signs of formulas that are drawn as tall as what they enclose or sum up.
fn is_tall_sign(c: char) -> bool {
    is_piece(c)
        || matches!(c, '⎛'..='⎮' | '∏'..='∑' | '√' | '∧'..='∳' | '⊎' | '⊓'..='⊙' | '⋀'..='⋃' | '⌈'..='⌋' | '⟦'..='⟯'
        | '⨀'..='⨆' | '(' | ')' | '[' | ']' | '{' | '}' | '|' | '‖' | '/')
}

/// Signs that are set together from copies of themselves, one over the other.
fn is_piece(c: char) -> bool {
    matches!(c, '∣' | '∥' | '⎜' | '⎟' | '⎢' | '⎥' | '⎪' | '⎮' | '⏐')
}

#[cfg(test)]
mod tests {
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
    fn a_sign_of_a_symbol_font_at_the_start_is_a_bullet() {
        let mut glyphs = Vec::new();
        draw(&mut glyphs, "\u{f095} fees", 50.0, 700.0);
        draw(&mut glyphs, "\u{f0fe} paid", 50.0, 688.0);
        assert_eq!(texts(&glyphs), ["• fees", "☑ paid"]);
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
    fn signs_of_two_glyphs_are_one_character() {
        for (first, second, x, read) in
            [('c', '©', 47.5, "©"), ('∼', '=', 50.0, "≅"), ('\u{338}', '=', 50.0, "≠")]
        {
            let mut glyphs = Vec::new();
            draw(&mut glyphs, &first.to_string(), 50.0, 700.0);
            draw(&mut glyphs, &second.to_string(), x, 700.0);
            glyphs[0].advance = if first == '\u{338}' { 0.0 } else { 5.0 };
            glyphs[1].advance = if second == '©' { 10.0 } else { 5.0 };
            assert_eq!(texts(&glyphs), [read]);
        }
    }

    #[test]
    fn a_formula_in_a_line_does_not_break_it() {
        let mut glyphs = Vec::new();
        draw(&mut glyphs, "is ", 50.0, 700.0);
        // TeX draws these down from the pen.
        draw(&mut glyphs, "√", 65.0, 708.0);
        draw(&mut glyphs, "a", 70.0, 700.0);
        draw(&mut glyphs, "+1", 75.0, 704.0);
        draw(&mut glyphs, "i", 75.0, 697.0);
        draw(&mut glyphs, "so", 88.0, 700.0);
        for script in &mut glyphs[5..8] {
            script.size = 7.0;
        }
        assert_eq!(texts(&glyphs), ["is √a+1 i so"]);
        let mut quotes = Vec::new();
        for (text, x, y) in
            [("”", 50.0, 694.4), ("a“ ", 57.0, 700.0), ("”", 72.0, 694.4), ("b", 79.0, 700.0)]
        {
            draw(&mut quotes, text, x, y);
        }
        assert_eq!(texts(&quotes), ["„a“ „b"]);
        let mut half = Vec::new();
        draw(&mut half, "1", 50.0, 700.0);
        draw(&mut half, "1", 55.0, 704.0);
        draw(&mut half, "2", 55.5, 697.0);
        assert_eq!(texts(&half), ["11 2"], "never a hundred and twelve");
    }

    #[test]
    fn a_logo_is_no_part_of_the_line_beside_it_and_an_initial_is() {
        let mut glyphs = Vec::new();
        draw(&mut glyphs, "our letter", 50.0, 700.0);
        draw(&mut glyphs, "Q", 102.0, 688.0);
        (glyphs[10].size, glyphs[10].advance) = (60.0, 40.0);
        draw(&mut glyphs, "Quay Partners", 146.0, 700.0);
        assert_eq!(texts(&glyphs), ["our letter", "Q", "Quay Partners"]);
        let mut initial = Vec::new();
        draw(&mut initial, "W", 50.0, 688.0);
        (initial[0].size, initial[0].advance) = (30.0, 25.0);
        draw(&mut initial, "e write to", 76.0, 700.0);
        draw(&mut initial, "you", 50.0, 676.0);
        assert_eq!(texts(&initial), ["We write to", "you"]);
    }

    #[test]
    fn signs_of_the_same_kind_in_a_fraction_are_two() {
        let mut glyphs = Vec::new();
        draw(&mut glyphs, "(", 45.0, 700.0);
        draw(&mut glyphs, "∂F", 50.0, 704.0);
        draw(&mut glyphs, "∂x", 50.0, 697.0);
        for script in &mut glyphs[1..5] {
            script.size = 7.0;
        }
        assert_eq!(texts(&glyphs), ["(∂F ∂x"]);
    }

    #[test]
    fn many_signs_that_hang_are_looked_at_once_each() {
        let mut glyphs = Vec::new();
        draw(&mut glyphs, "a", 50.0, 700.0);
        let signs = "(".repeat(200_000);
        draw(&mut glyphs, &signs, 55.0, 710.0);
        // Looking at all that follow each would take minutes.
        assert_eq!(texts(&glyphs), [format!("a{signs}")]);
    }

    #[test]
    fn letters_that_text_recognition_spread_are_words() {
        let spread = |glyphs: &mut Vec<Glyph>, text: &str, x: f32| {
            for (n, c) in text.chars().enumerate() {
                draw(glyphs, &c.to_string(), x + 7.0 * n as f32, 700.0);
            }
        };
        let mut glyphs = Vec::new();
        spread(&mut glyphs, "North ", 50.0);
        draw(&mut glyphs, "Buona Vista", 90.0, 700.0);
        draw(&mut glyphs, "east", 147.0, 700.0);
        assert_eq!(texts(&glyphs), ["N o r t h Buona Vista east"]);
        for glyph in &mut glyphs {
            glyph.layer = Layer::Invisible;
        }
        assert_eq!(texts(&glyphs), ["North Buona Vista east"]);
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
