//! Reading order where the drawing order is not it: two columns that were drawn line by line across the
//! page, and columns of vertical text that were not drawn from right to left. Every other order is kept, since on real documents the order of drawing is the better witness
//! (research/extraction.md, fact 1).

use super::layout::Line;

/// Fewer lines one under the other are no columns of text.
const LINES_MIN: usize = 6;

/// Mean characters of a line in a column of running text; the cells of a table are shorter.
const CHARS_MIN: usize = 22;

/// Of all characters, figures that running text has at most, in hundredths.
const FIGURES_MAX: usize = 15;

/// `lines` with columns one after the other that were drawn across, and vertical ones from right to left.
pub(super) fn by_columns(mut lines: Vec<Line>) -> Vec<Line> {
    for run in lines.chunk_by_mut(|a, b| a.down && b.down) {
        from_right_to_left(run);
    }
    let mut ordered = Vec::with_capacity(lines.len());
    let mut rest = lines.as_slice();
    while let Some(first) = rest.first() {
        match columns(rest) {
            Some((count, gutter)) => {
                let (left, right) = split(&rest[..count], gutter);
                ordered.extend(left);
                ordered.extend(right);
                rest = &rest[count..];
            }
            None => {
                ordered.push(first.clone());
                rest = &rest[1..];
            }
        }
    }
    ordered
}

/// Sorts lines that run downwards, tier by tier, where they are not drawn so.
fn from_right_to_left(lines: &mut [Line]) {
    let beside = |a: &Line, b: &Line| {
        let shared = a.place[3].min(b.place[3]) - a.place[1].max(b.place[1]);
        let shorter = (a.place[3] - a.place[1]).min(b.place[3] - b.place[1]);
        shared > 0.5 * shorter
    };
    let wrong = |pair: &[Line]| {
        beside(&pair[0], &pair[1]) && pair[1].baseline() > pair[0].baseline() + 0.5 * pair[1].size
    };
    if !lines.windows(2).any(wrong) {
        return;
    }
    // The tier of a line starts where the first line beside it that was drawn does.
    let tops: Vec<f32> = lines
        .iter()
        .map(|line| lines.iter().find(|other| beside(other, line)).unwrap_or(line).place[3])
        .collect();
    let mut order: Vec<usize> = (0..lines.len()).collect();
    order.sort_by(|&a, &b| {
        let (left, right) = (&lines[a], &lines[b]);
        tops[b].total_cmp(&tops[a]).then(right.baseline().total_cmp(&left.baseline()))
    });
    let sorted: Vec<Line> = order.into_iter().map(|index| lines[index].clone()).collect();
    lines.clone_from_slice(&sorted);
}

/// How many of the first lines run across two columns, and where the second column starts.
fn columns(lines: &[Line]) -> Option<(usize, f32)> {
    let first = lines.first()?;
    let gutter = *first.cells.get(1)?;
    let near = |a: f32, b: f32, size: f32| (a - b).abs() < 1.5 * size;
    let mut above = first.baseline() + first.size;
    let runs_across = |line: &&Line| {
        let below = line.upright && !line.row && line.baseline() < above;
        let step = above - line.baseline();
        above = line.baseline();
        let fits = match line.cells.as_slice() {
            [left, right] => {
                near(*left, first.cells[0], line.size) && near(*right, gutter, line.size)
            }
            // The other column has ended, or has a gap between paragraphs.
            [only] => *only > gutter - line.size || line.place[2] < gutter,
            _ => false,
        };
        below && step < 3.0 * line.size && fits
    };
    let count = lines.iter().take_while(runs_across).count();
    let both: Vec<&Line> = lines[..count].iter().filter(|line| line.cells.len() == 2).collect();
    if both.len() < LINES_MIN {
        return None;
    }
    let mut chars = [0, 0];
    let mut figures = 0;
    for line in &both {
        for (side, text) in line.text.splitn(2, '\t').enumerate() {
            chars[side] += text.chars().count();
            figures += text.chars().filter(char::is_ascii_digit).count();
        }
    }
    let long = chars.iter().all(|&chars| chars >= CHARS_MIN * both.len());
    let wordy = figures * 100 <= FIGURES_MAX * (chars[0] + chars[1]);
    (long && wordy).then_some((count, gutter))
}

/// The two columns of lines that run across them.
fn split(lines: &[Line], gutter: f32) -> (Vec<Line>, Vec<Line>) {
    let (mut left, mut right) = (Vec::new(), Vec::new());
    for line in lines {
        match line.text.split_once('\t') {
            Some((before, after)) => {
                let [from, low, to, high] = line.place;
                left.push(Line {
                    text: before.to_owned(),
                    place: [from, low, from.max(gutter - line.size), high],
                    cells: vec![line.cells[0]],
                    ..line.clone()
                });
                right.push(Line {
                    text: after.to_owned(),
                    place: [gutter, low, to, high],
                    cells: vec![line.cells[1]],
                    ..line.clone()
                });
            }
            None if line.place[0] > gutter - line.size => right.push(line.clone()),
            None => left.push(line.clone()),
        }
    }
    (left, right)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn across(text: &str, y: f32) -> Line {
        let line = Line::upright(text.to_owned(), [50.0, y - 2.0, 500.0, y + 8.0], 10.0);
        Line { cells: vec![50.0, 300.0], ..line }
    }

    #[test]
    fn columns_drawn_across_are_read_one_after_the_other_and_tables_as_rows() {
        let texts = |lines: Vec<Line>| -> Vec<String> {
            by_columns(lines).into_iter().map(|line| line.text).collect()
        };
        let words = |n: usize| format!("left column, its line {n}\tright column, its line {n}");
        let lines: Vec<Line> = (0..6).map(|n| across(&words(n), 700.0 - 12.0 * n as f32)).collect();
        let read = texts(lines);
        assert_eq!(read[..2], ["left column, its line 0", "left column, its line 1"]);
        assert_eq!(read[6], "right column, its line 0");
        let row = |n: usize| format!("Valves, second quarter\t{n},310,200.00 4,012,100.00");
        let rows: Vec<Line> = (0..6).map(|n| across(&row(n), 700.0 - 12.0 * n as f32)).collect();
        assert!(texts(rows).iter().all(|text| text.contains('\t')));
    }

    #[test]
    fn vertical_columns_are_read_from_right_to_left_and_tiers_from_top_to_bottom() {
        let column = |text: &str, x: f32, top: f32| Line {
            place: [x, top - 200.0, x + 20.0, top],
            upright: false,
            down: true,
            cells: vec![x],
            ..across(text, 0.0)
        };
        let read = |lines: &[Line]| -> String {
            by_columns(lines.to_vec()).into_iter().map(|line| line.text).collect()
        };
        let (a, b, c) =
            (column("a", 300.0, 700.0), column("b", 280.0, 700.0), column("c", 300.0, 450.0));
        assert_eq!(read(&[a.clone(), b.clone(), c.clone()]), "abc", "as drawn");
        assert_eq!(read(&[b, a, c]), "abc", "drawn from left to right");
    }
}
