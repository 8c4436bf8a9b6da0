//! What text recognition found on a page: tesseract's table of words → lines with places, and how sure it
//! was. The order is tesseract's, which is that of reading.

use super::layout::Line;
use super::picture;

/// Columns of the table (tesseract 3.05 and later): level page_num block_num par_num line_num word_num left top
/// width height conf text.
const COLUMNS: usize = 12;

/// The level of a word's row.
const WORD: &str = "5";

/// A gap of more than this (in sizes) is the way to the next cell, as between words that are drawn.
const CELL_GAP: f32 = 1.5;

/// A line this much higher than the page's usual one is set in larger letters; boxes of recognized lines
/// vary with the letters in them.
const LARGER: f32 = 1.35;
const SMALLER: f32 = 0.6;

/// Of a line's box from the descenders to the ascenders.
const BOX_OF_SIZE: f32 = 0.95;

/// A sign by itself with less confidence is taken for dust.
const DUST: f32 = 60.0;

/// Words nearer to each other (in points) say little of how far the page lies askew.
const ASKEW_OVER: f32 = 100.0;

/// What hangs below the baseline.
const DESCENDERS: &str = "gjpqyQ,;()[]{}|§";
const DESCENT: f32 = 0.2;

/// A page as recognized.
pub(super) struct Recognition {
    pub(super) lines: Vec<Line>,
    /// 0 to 100, the mean over the characters.
    pub(super) confidence: u8,
}

/// A word with its place in points, `y` upwards.
struct Word<'a> {
    text: &'a str,
    /// Left, bottom, right, top.
    place: [f32; 4],
    confidence: f32,
    /// Block, paragraph and line.
    line: [u32; 3],
}

/// Makes lines of `table`, which stands for a page of this size (in points). Rows that are none are passed
/// over.
pub(super) fn read(table: &str, (width, height): (f32, f32)) -> Recognition {
    let scale = picture::scale(width, height);
    let mut words: Vec<Word<'_>> =
        table.lines().filter_map(|row| word(row, scale, height)).collect();
    set_straight(&mut words);
    let sum = |of: fn(&Word<'_>) -> f32| words.iter().map(of).sum::<f32>();
    let characters = sum(|word| word.text.chars().count() as f32);
    let sure = sum(|word| word.confidence * word.text.chars().count() as f32);
    let confidence = if characters > 0.0 { (sure / characters).round() as u8 } else { 0 };
    let lines: Vec<&[Word<'_>]> = words.chunk_by(|a, b| a.line == b.line).collect();
    let mut heights: Vec<f32> = lines.iter().map(|words| size(words)).collect();
    heights.sort_by(f32::total_cmp);
    let usual = heights.get(heights.len() / 2).copied().unwrap_or(0.0);
    Recognition { lines: lines.into_iter().map(|words| line(words, usual)).collect(), confidence }
}

fn word(row: &str, scale: f32, height: f32) -> Option<Word<'_>> {
    let fields: Vec<&str> = row.splitn(COLUMNS, '\t').collect();
    let [level, _, block, paragraph, line, _, left, top, wide, high, confidence, text] = fields[..]
    else {
        return None;
    };
    let text = text.trim();
    let confidence: f32 = confidence.parse().ok()?;
    // What it is not sure to be a word at all has a confidence of -1.
    if level != WORD || text.is_empty() || !(0.0..=100.0).contains(&confidence) {
        return None;
    }
    if confidence < DUST && !text.contains(char::is_alphanumeric) {
        return None;
    }
    let points = |pixels: &str| Some(pixels.parse::<u32>().ok()? as f32 / scale);
    let (left, top, wide, high) = (points(left)?, points(top)?, points(wide)?, points(high)?);
    Some(Word {
        text,
        place: [left, height - top - high, left + wide, height - top],
        confidence,
        line: [block.parse().ok()?, paragraph.parse().ok()?, line.parse().ok()?],
    })
}

/// Turns the words of each line about its first one, by as much as the page lies askew, so that a line has one
/// baseline.
fn set_straight(words: &mut [Word<'_>]) {
    let slope = |words: &[Word<'_>]| {
        let (first, last) = (standing(words).next()?, standing(words).last()?);
        let across = last.0 - first.0;
        (across > ASKEW_OVER).then_some((last.1 - first.1) / across)
    };
    let mut slopes: Vec<f32> = words.chunk_by(|a, b| a.line == b.line).filter_map(slope).collect();
    slopes.sort_by(f32::total_cmp);
    let Some(&slope) = slopes.get(slopes.len() / 2) else { return };
    for line in words.chunk_by_mut(|a, b| a.line == b.line) {
        let left = line[0].place[0];
        for word in line {
            let climb = slope * (word.place[0] - left);
            word.place[1] -= climb;
            word.place[3] -= climb;
        }
    }
}

/// Where words stand that have no letter which hangs below the baseline: left and bottom.
fn standing<'a>(words: &'a [Word<'_>]) -> impl Iterator<Item = (f32, f32)> + 'a {
    let hangs = |word: &&Word<'_>| word.text.contains(|c| DESCENDERS.contains(c));
    words.iter().filter(move |word| !hangs(word)).map(|word| (word.place[0], word.place[1]))
}

/// The size of type that the boxes of a line's words speak for.
fn size(words: &[Word<'_>]) -> f32 {
    let top = words.iter().map(|word| word.place[3]).fold(f32::MIN, f32::max);
    (top - baseline(words)) / (BOX_OF_SIZE - DESCENT)
}

fn baseline(words: &[Word<'_>]) -> f32 {
    let mut bottoms: Vec<f32> = standing(words).map(|(_, bottom)| bottom).collect();
    bottoms.sort_by(f32::total_cmp);
    match bottoms.get(bottoms.len() / 2) {
        Some(&bottom) => bottom,
        None => {
            let [_, bottom, _, top] = words[0].place;
            bottom + DESCENT * (top - bottom)
        }
    }
}

/// One line; `usual` is the commonest size of the page.
fn line(words: &[Word<'_>], usual: f32) -> Line {
    let own = size(words);
    let size = if own > LARGER * usual || own < SMALLER * usual { own } else { usual };
    let mut text = String::new();
    let mut cells = vec![words[0].place[0]];
    let mut right = words[0].place[0];
    for (index, word) in words.iter().enumerate() {
        if index > 0 && word.place[0] - right > CELL_GAP * size {
            text.push('\t');
            cells.push(word.place[0]);
        } else if index > 0 {
            text.push(' ');
        }
        // A tab inside a word would be a cell.
        text.extend(word.text.chars().map(|c| if c.is_whitespace() { ' ' } else { c }));
        right = right.max(word.place[2]);
    }
    let baseline = baseline(words);
    let left = words.iter().map(|word| word.place[0]).fold(f32::MAX, f32::min);
    let place = [left, baseline - DESCENT * size, right, baseline + (1.0 - DESCENT) * size];
    Line { cells, ..Line::upright(text, place, size) }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An A4 page in points.
    const PAGE: (f32, f32) = (595.0, 842.0);

    #[test]
    fn words_of_a_line_are_joined_and_wide_gaps_part_cells() {
        // As tesseract 5.3 prints it; pixels at 300 dots an inch.
        let table = "level\tpage_num\tblock_num\tpar_num\tline_num\tword_num\tleft\ttop\twidth\theight\tconf\ttext\n\
            1\t1\t0\t0\t0\t0\t0\t0\t2479\t3508\t-1\t\n\
            4\t1\t1\t1\t1\t0\t250\t300\t900\t40\t-1\t\n\
            5\t1\t1\t1\t1\t1\t250\t300\t100\t30\t96.5\tTotal\n\
            5\t1\t1\t1\t1\t2\t360\t300\t90\t30\t90.0\tfees\n\
            5\t1\t1\t1\t1\t3\t900\t300\t120\t36\t60.0\t4,310\n\
            5\t1\t1\t1\t2\t1\t250\t350\t100\t30\t-1\t\n\
            5\t1\t1\t2\t1\t1\t250\t420\t100\t30\t95.0\tNext\n\
            nonsense\n";
        let Recognition { lines, confidence } = read(table, PAGE);
        let texts: Vec<&str> = lines.iter().map(|line| line.text.as_str()).collect();
        assert_eq!(texts, ["Total fees\t4,310", "Next"]);
        // (5 × 96.5 + 4 × 90 + 5 × 60 + 4 × 95) / 18
        assert_eq!(confidence, 85);
        let [left, _, right, _] = lines[0].place;
        assert!((left - 60.0).abs() < 0.1 && (right - 244.8).abs() < 0.1, "{:?}", lines[0]);
        assert!((lines[0].baseline() - (842.0 - 330.0 * 0.24)).abs() < 0.1, "{:?}", lines[0]);
        assert_eq!(lines[0].cells.len(), 2);
    }

    #[test]
    fn a_page_that_lies_askew_has_straight_lines_and_dust_is_no_text() {
        let word = |line: u32, left: u32, top: u32, confidence: u32, text: &str| {
            format!("5\t1\t1\t1\t{line}\t1\t{left}\t{top}\t120\t30\t{confidence}\t{text}\n")
        };
        // Every line sinks by ten pixels in a thousand.
        let table = word(1, 250, 300, 96, "The")
            + &word(1, 1250, 310, 95, "end")
            + &word(1, 1390, 305, 31, ".")
            + &word(2, 250, 350, 96, "at")
            + &word(2, 1750, 365, 96, "last")
            + &word(2, 2250, 370, 96, "of");
        let lines = read(&table, PAGE).lines;
        let texts: Vec<&str> = lines.iter().map(|line| line.text.as_str()).collect();
        assert_eq!(texts, ["The\tend", "at\tlast\tof"]);
        let step = lines[0].baseline() - lines[1].baseline();
        assert!((step - 50.0 * 0.24).abs() < 0.05, "{step}");
    }

    #[test]
    fn nothing_found_is_no_confidence() {
        for table in ["", "level\tpage_num\n", "5\t1\t1\t1\t1\t1\t0\t0\t9\t9\t-1\t \n"] {
            let found = read(table, PAGE);
            assert_eq!((found.lines.len(), found.confidence), (0, 0));
        }
    }
}
