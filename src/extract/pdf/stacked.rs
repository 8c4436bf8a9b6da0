//! Vertical text that is drawn character by character with a font for horizontal text, as browsers do: each of its
//! characters would be a line. They are one column, which is a line that runs downwards.

use super::layout::{Line, around};

/// So many characters one under the other are no chance.
const COLUMN_MIN: usize = 4;

/// How far apart (in sizes) their baselines are, at least and at most.
const STEP_MIN: f32 = 0.7;
const STEP_MAX: f32 = 1.7;

/// How far apart (in sizes) their left edges are at most: punctuation is set aside.
const EDGE: f32 = 0.6;

/// `lines` with stacked characters as columns.
pub(super) fn columns(lines: Vec<Line>) -> Vec<Line> {
    if !lines.windows(2).any(|pair| is_under(&pair[0], &pair[1])) {
        return lines;
    }
    let mut joined = Vec::with_capacity(lines.len());
    for run in lines.chunk_by(|a, b| is_character(a) && is_character(b)) {
        let columns: Vec<&[Line]> = run.chunk_by(is_under).collect();
        if columns.iter().any(|column| column.len() >= COLUMN_MIN) {
            joined.extend(columns.into_iter().filter_map(column));
        } else {
            joined.extend_from_slice(run);
        }
    }
    joined
}

fn column(lines: &[Line]) -> Option<Line> {
    let place = lines.iter().map(|line| line.place).reduce(around)?;
    let text = lines.iter().map(|line| line.text.as_str()).collect();
    let size = lines.iter().map(|line| line.size).fold(0.0, f32::max);
    Some(Line { upright: false, down: true, ..Line::upright(text, place, size) })
}

fn is_under(above: &Line, line: &Line) -> bool {
    let step = (above.baseline() - line.baseline()) / above.size.max(line.size);
    let aside = (above.place[0] - line.place[0]).abs() / above.size.max(line.size);
    is_character(above)
        && is_character(line)
        && aside <= EDGE
        && (STEP_MIN..STEP_MAX).contains(&step)
}

/// Whether `line` is one character of Chinese, Japanese or Korean print.
fn is_character(line: &Line) -> bool {
    let mut text = line.text.chars();
    let is_wide = |c: char| {
        matches!(c, '\u{2e80}'..='\u{a4cf}' | '\u{ac00}'..='\u{d7af}' | '\u{f900}'..='\u{faff}'
            | '\u{fe30}'..='\u{fe4f}' | '\u{ff00}'..='\u{ffef}' | '\u{20000}'..='\u{3ffff}')
    };
    line.upright && !line.row && text.next().is_some_and(is_wide) && text.next().is_none()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn characters_one_under_the_other_are_a_column() {
        let at = |c: char, x: f32, y: f32| {
            Line::upright(c.to_string(), [x, y - 2.0, x + 10.0, y + 8.0], 10.0)
        };
        let mut lines: Vec<Line> = "甲は、乙に"
            .chars()
            .zip(0u8..)
            .map(|(c, n)| at(c, 300.0, 700.0 - 12.0 * f32::from(n)))
            .collect();
        lines.push(at('対', 280.0, 700.0));
        lines.push(at('し', 280.0, 688.0));
        let read = columns(lines);
        let texts: Vec<(&str, bool)> = read.iter().map(|line| (&*line.text, line.down)).collect();
        assert_eq!(texts, [("甲は、乙に", true), ("対し", true)]);
        let cells = vec![at('甲', 50.0, 700.0), at('乙', 50.0, 680.0), at('丙', 50.0, 660.0)];
        assert_eq!(columns(cells).len(), 3, "a list");
    }
}
