//! Lines → blocks: paragraphs, headings, table rows, running headers and footers. The order of the
//! lines is kept; only where one block ends and the next begins is decided here.

use std::collections::BTreeMap;

use super::layout::{Line, SCRIPT, around};
use crate::extract::Role;

/// A block as `PageBuilder` takes it.
pub(super) struct BlockText {
    pub(super) role: Role,
    pub(super) text: String,
    pub(super) label: Option<String>,
    pub(super) place: [f32; 4],
}

/// Share of the page's height at either end in which running headers and footers stand.
const FURNITURE_ZONE: f32 = 0.12;

/// Share in which a line that is a mere number of the page stands, where none is below it.
const NUMBER_ZONE: f32 = 0.2;

/// Digits of a page's number.
const PAGE_DIGITS_MAX: usize = 4;

/// Pages that must carry the same line, numbers aside, for it to be a running one.
const FURNITURE_PAGES: usize = 3;

/// Parts of one formula share at least so much of their height (in sizes of the smaller) ...
const ROW_SHARED: f32 = 0.1;

/// ... and the next begins at most so far before the last one's start or behind its end.
const ROW_BACK: f32 = 3.0;
const ROW_GAP: f32 = 2.0;

/// They are set in sizes that differ by at most this.
const ROW_SIZES: f32 = 0.4;

/// A longer line is never a heading, and a longer first word never a clause number.
const HEADING_CHARS_MAX: usize = 100;
const LABEL_CHARS_MAX: usize = 12;

/// The lines that stand at the head or foot of many pages, page numbers aside.
pub(super) struct Furniture {
    /// Whether at the head, and the text with every number replaced.
    seen: BTreeMap<(bool, String), usize>,
    needed: usize,
}

impl Furniture {
    /// Counts over all `pages`: their lines and heights.
    pub(super) fn find<'a>(pages: impl Iterator<Item = (&'a [Line], f32)>) -> Furniture {
        let mut seen = BTreeMap::new();
        let mut count = 0;
        for (lines, height) in pages {
            count += 1;
            let zones = Zones::of(lines, height);
            let mut here: Vec<_> = lines.iter().filter_map(|line| zones.key(line)).collect();
            here.sort();
            here.dedup();
            for key in here {
                *seen.entry(key).or_insert(0) += 1;
            }
        }
        // On two pages twice is always; on a long document a heading may recur by chance.
        Furniture { seen, needed: FURNITURE_PAGES.min(count).max(2).max(count / 10) }
    }

    /// `PageHeader` or `PageFooter` where `line` is a running one.
    pub(super) fn role(&self, line: &Line, zones: &Zones) -> Option<Role> {
        let key = zones.key(line)?;
        let role = if key.0 { Role::PageHeader } else { Role::PageFooter };
        (self.seen.get(&key).is_some_and(|&count| count >= self.needed)).then_some(role)
    }
}

/// Where on a page running lines stand.
pub(super) struct Zones {
    /// Headers stand above, footers below, and numbers of pages below.
    head: f32,
    foot: f32,
    number: f32,
}

impl Zones {
    /// Of a page with these `lines` and of this `height`.
    pub(super) fn of(lines: &[Line], height: f32) -> Zones {
        let lowest = lines.iter().min_by(|a, b| a.place[3].total_cmp(&b.place[3]));
        let lowest = lowest.map_or(0.0, |line| line.place[3]);
        Zones {
            head: height * (1.0 - FURNITURE_ZONE),
            foot: height * FURNITURE_ZONE,
            number: if lowest < height * NUMBER_ZONE { lowest } else { 0.0 },
        }
    }

    /// Whether `line` stands at the head, and its text with every number replaced; none for one that stands
    /// elsewhere.
    fn key(&self, line: &Line) -> Option<(bool, String)> {
        let at_head = line.place[1] > self.head;
        let is_number =
            || line.text.len() <= PAGE_DIGITS_MAX && line.text.bytes().all(|b| b.is_ascii_digit());
        let at_foot = line.place[3] < self.foot || (line.place[3] <= self.number && is_number());
        if !(at_head || at_foot) {
            return None;
        }
        let mut key = String::with_capacity(line.text.len());
        for c in line.text.chars() {
            if !c.is_ascii_digit() {
                key.push(c);
            } else if !key.ends_with('#') {
                key.push('#');
            }
        }
        Some((at_head, key))
    }
}

/// Groups `lines` in their order. `furniture` tells the running ones.
pub(super) fn group(lines: &[Line], furniture: impl Fn(&Line) -> Option<Role>) -> Vec<BlockText> {
    let page = PageMeasures::of(lines);
    let Rows { roles: rows, continued } = table_rows(lines);
    let mut blocks = Vec::new();
    let mut start = 0;
    while start < lines.len() {
        let running = furniture(&lines[start]);
        let role = running.or(rows[start]);
        let mut end = start + 1;
        while end < lines.len() && continued[end] && furniture(&lines[end]) == running {
            end += 1;
        }
        if end > start + 1 {
            blocks.push(block(&[joined_row(&lines[start..end])], role, &page));
            start = end;
            continue;
        }
        if rows[start].is_none() || running.is_some() {
            let mut row = start;
            while end < lines.len()
                && furniture(&lines[end]) == running
                && (running.is_some() || rows[end].is_none())
            {
                if !continues_row(&lines[row..end], &lines[end]) {
                    if page.breaks(&lines[start..row], &lines[row..end], &lines[end]) {
                        break;
                    }
                    row = end;
                }
                end += 1;
            }
        }
        blocks.push(block(&lines[start..end], role, &page));
        start = end;
    }
    blocks
}

fn block(lines: &[Line], role: Option<Role>, page: &PageMeasures) -> BlockText {
    let texts: Vec<&str> = lines.iter().map(|line| line.text.as_str()).collect();
    let text = texts.join("\n");
    let mut place = lines[0].place;
    for line in &lines[1..] {
        place = around(place, line.place);
    }
    let label = if role.is_none() { label(&text) } else { None };
    let role = role.or_else(|| page.heading(lines, &text)).unwrap_or(match &label {
        Some(label) if label.starts_with('(') || is_bullet(label) => Role::ListItem,
        _ => Role::Paragraph,
    });
    BlockText { role, text, label: label.filter(|label| !is_bullet(label)), place }
}

/// The font size of most characters of a page.
pub(super) fn usual_size(lines: &[Line]) -> f32 {
    PageMeasures::of(lines).size
}

/// What is usual on a page.
struct PageMeasures {
    /// The font size of most characters.
    size: f32,
    /// The commonest distance of two baselines, in sizes of the line's own font.
    leading: f32,
}

impl PageMeasures {
    fn of(lines: &[Line]) -> PageMeasures {
        let mut sizes: BTreeMap<i32, usize> = BTreeMap::new();
        let mut leadings: BTreeMap<i32, usize> = BTreeMap::new();
        for line in lines {
            *sizes.entry((line.size * 4.0) as i32).or_insert(0) += line.text.len();
        }
        for pair in lines.windows(2) {
            let step = (pair[0].baseline() - pair[1].baseline()) / pair[1].size;
            if (0.7..4.0).contains(&step) {
                *leadings.entry((step * 20.0).round() as i32).or_insert(0) += 1;
            }
        }
        // Of equally frequent ones the smallest: a wrong small leading splits, a wrong large one joins.
        let commonest = |counts: &BTreeMap<i32, usize>| {
            counts.iter().max_by_key(|&(&value, &count)| (count, -value)).map(|(&value, _)| value)
        };
        PageMeasures {
            size: commonest(&sizes).map_or(10.0, |quarter| quarter as f32 / 4.0),
            leading: commonest(&leadings).map_or(1.2, |twentieth| twentieth as f32 / 20.0),
        }
    }

    /// Whether `line` begins a new block after the lines `before` and those of `row`, which stand beside each other
    /// at its end.
    fn breaks(&self, before: &[Line], row: &[Line], line: &Line) -> bool {
        // Of a formula in it the part that is set as the text is.
        let Some(last) = row.iter().rev().max_by(|a, b| a.size.total_cmp(&b.size)) else {
            return true;
        };
        let step = last.baseline() - line.baseline();
        // Upwards, sideways or another direction: the next column, or something else altogether.
        if step <= 0.0 || last.upright != line.upright || last.down != line.down {
            return true;
        }
        let size = last.size.max(line.size);
        if step > (self.leading + 0.35).max(1.0) * size || last.size.min(line.size) < 0.85 * size {
            return true;
        }
        let ((from, to), (last_from, _)) = (line.reach(), row[0].reach());
        let last_to = row.iter().map(|part| part.reach().1).fold(f32::MIN, f32::max);
        let indent = from - last_from;
        if !before.is_empty() && indent > 1.0 * size {
            return true;
        }
        // A line that ends early, then a new clause or a line that does not hang under it.
        let right = before.iter().map(|line| line.reach().1).fold(last_to, f32::max);
        let ends_early = last_to < right.max(to) - 4.0 * size;
        let ends_sentence =
            row.last().is_some_and(|end| end.text.ends_with(['.', ':', ';', '!', '?']));
        (ends_sentence && (ends_early || indent < -0.5 * size) && starts_anew(&line.text))
            || (label(&line.text).is_some() && (ends_early || ends_sentence))
    }

    /// The level of the heading that `lines` are, if they are one.
    fn heading(&self, lines: &[Line], text: &str) -> Option<Role> {
        if lines.len() > 3 || text.chars().count() > HEADING_CHARS_MAX {
            return None;
        }
        if text.ends_with([',', ';']) || !text.chars().any(char::is_alphabetic) {
            return None;
        }
        let ratio = lines[0].size / self.size;
        let level = match ratio {
            r if r >= 1.6 => 1,
            r if r >= 1.3 => 2,
            r if r >= 1.12 => 3,
            _ => {
                let letters = text.chars().filter(|c| c.is_alphabetic()).count();
                let capitals = text.chars().filter(|c| c.is_uppercase()).count();
                let shouted = letters >= 4 && capitals == letters;
                return (shouted && lines.len() == 1).then_some(Role::Heading(4));
            }
        };
        Some(Role::Heading(level))
    }
}

/// Whether `line` stands beside `row`, a little higher or lower, as the parts of a formula do: limits under a sign,
/// what stands behind a fraction.
fn continues_row(row: &[Line], line: &Line) -> bool {
    let Some(last) = row.last() else { return false };
    let (small, size) = (last.size.min(line.size), last.size.max(line.size));
    let over_all =
        |of: fn(&Line) -> f32, pick: fn(f32, f32) -> f32| row.iter().map(of).reduce(pick);
    // Beside a tall sign stands a limit, or what it encloses.
    let hangs = line.size <= SCRIPT * last.size || row.iter().all(|part| part.is_sign());
    let bottom = over_all(if hangs { Line::bottom } else { |part| part.place[1] }, f32::min);
    let top = over_all(|part| part.place[3], f32::max);
    let right = over_all(|part| part.place[2], f32::max);
    let (Some(bottom), Some(top), Some(right)) = (bottom, top, right) else { return false };
    let lowest = if line.is_sign() { line.bottom() } else { line.place[1] };
    let shared = line.place[3].min(top) - lowest.max(bottom);
    let is_near =
        line.place[0] > last.place[0] - ROW_BACK * size && line.place[0] < right + ROW_GAP * size;
    let is_text = |line: &Line| line.upright && !line.row;
    // Closely set lines of text share height too, but stand one under the other.
    let width = |line: &Line| line.place[2] - line.place[0];
    let over = line.place[2].min(last.place[2]) - line.place[0].max(last.place[0]);
    let is_next = (last.baseline() - line.baseline()).abs() < size
        && small > SCRIPT * size
        && over > 0.5 * width(line).min(width(last));
    shared > ROW_SHARED * small
        && !is_next
        && small > ROW_SIZES * size
        && is_near
        && is_text(line)
        && is_text(last)
}

fn starts_anew(text: &str) -> bool {
    text.starts_with(|c: char| !c.is_lowercase())
}

/// The clause number or bullet that starts `text`: "4.2", "(a)", "IV.", "Section 3.1", "•".
fn label(text: &str) -> Option<String> {
    let mut words = text.split([' ', '\t', '\n', '\u{a0}']).filter(|word| !word.is_empty());
    let first = words.next()?;
    words.next()?;
    if first.chars().count() > LABEL_CHARS_MAX {
        return None;
    }
    if is_bullet(first) || is_enumerator(first) {
        return Some(first.trim_end_matches(['.', ':']).to_owned());
    }
    let is_word = ["section", "article", "clause", "exhibit", "schedule", "annex", "appendix"]
        .iter()
        .any(|word| first.eq_ignore_ascii_case(word));
    let number = text.split_whitespace().nth(1)?.trim_end_matches(['.', ':', ',', ')']);
    let is_number = !number.is_empty()
        && number.chars().count() <= LABEL_CHARS_MAX
        && number
            .chars()
            .all(|c| c.is_ascii_digit() || c.is_ascii_uppercase() || ".()".contains(c));
    (is_word && is_number).then(|| format!("{first} {number}"))
}

fn is_bullet(word: &str) -> bool {
    let mut chars = word.chars();
    matches!(
        (chars.next(), chars.next()),
        (Some('•' | '◦' | '▪' | '■' | '●' | '○' | '‣' | '–' | '➢' | '❖'), None)
    )
}

/// "1.", "1.2", "1.2.3.", "12)", "(a)", "(iv)", "(12)", "a.", "B)".
fn is_enumerator(word: &str) -> bool {
    if let Some(inner) = word.strip_prefix('(') {
        return inner
            .strip_suffix(')')
            .is_some_and(|inner| is_counter(inner) || (inner.len() <= 5 && is_roman(inner)));
    }
    let dotted = word.trim_end_matches(['.', ')']);
    if dotted.is_empty() {
        return false;
    }
    let parts: Vec<&str> = dotted.split('.').collect();
    let is_decimal =
        parts.iter().all(|p| (1..=3).contains(&p.len()) && p.chars().all(|c| c.is_ascii_digit()));
    // A bare "12" is a number; "12." and "1.2" count clauses.
    if is_decimal {
        return parts.len() > 1 || dotted.len() < word.len();
    }
    dotted.len() < word.len() && parts.len() == 1 && (is_counter(dotted) || is_roman(dotted))
}

/// One or two letters, or up to three digits.
fn is_counter(text: &str) -> bool {
    let is_letters = text.len() <= 2
        && text.chars().all(|c| c.is_ascii_alphabetic())
        && text.bytes().all(|b| b == text.as_bytes()[0]);
    let is_digits = text.len() <= 3 && text.chars().all(|c| c.is_ascii_digit());
    !text.is_empty() && (is_letters || is_digits)
}

fn is_roman(text: &str) -> bool {
    !text.is_empty() && text.len() <= 6 && text.chars().all(|c| "ivxlIVXL".contains(c))
}

/// What lines are in tables.
struct Rows {
    /// Of each line its role, if it is in a table.
    roles: Vec<Option<Role>>,
    /// Whether a line goes on with cells of the row before it.
    continued: Vec<bool>,
}

/// Tables by alignment: at least two lines one under the other whose cells start or end at the same
/// places, and lines between them that go on under a cell.
fn table_rows(lines: &[Line]) -> Rows {
    let mut roles = vec![None; lines.len()];
    let mut continued = vec![false; lines.len()];
    let mut start = 0;
    while start < lines.len() {
        let mut end = start + 1;
        if lines[start].row {
            while end < lines.len() && lines[end].row {
                end += 1;
            }
            roles[start..end].fill(Some(Role::TableRow));
            if end - start > 1 && is_header(&lines[start], &lines[start + 1..end]) {
                roles[start] = Some(Role::TableHeader);
            }
        } else if has_cells(&lines[start]) {
            let mut rows = vec![start];
            while end < lines.len() {
                let row = &lines[rows[rows.len() - 1]];
                if is_next_row(row, &lines[end - 1], &lines[end]) {
                    rows.push(end);
                } else if is_continuation(row, &lines[end - 1], &lines[end]) {
                    continued[end] = true;
                } else {
                    break;
                }
                end += 1;
            }
            if rows.len() > 1 {
                roles[start..end].fill(Some(Role::TableRow));
                let rest: Vec<&Line> = rows[1..].iter().map(|&row| &lines[row]).collect();
                if is_header(&lines[start], rest) {
                    roles[start] = Some(Role::TableHeader);
                }
            } else {
                continued[start..end].fill(false);
            }
        }
        start = end;
    }
    Rows { roles, continued }
}

/// Whether `line` goes on under cells of `row` that are not its first: closely below, at their places, and not
/// into the cell beside them, as a line of its own does.
fn is_continuation(row: &Line, above: &Line, line: &Line) -> bool {
    let step = above.baseline() - line.baseline();
    let near = |a: f32, b: f32| (a - b).abs() < 0.5 * line.size;
    let last = line.cells.last().copied().unwrap_or_default();
    let beside = row.cells.iter().find(|&&start| start > last + 0.5 * line.size);
    !line.row
        && beside.is_none_or(|&start| line.place[2] < start + 0.5 * line.size)
        && line.upright
        && (0.0..1.6 * line.size).contains(&step)
        && line.cells.iter().all(|&cell| row.cells[1..].iter().any(|&start| near(start, cell)))
}

/// A row with the lines that go on under its cells.
fn joined_row(lines: &[Line]) -> Line {
    let mut row = lines[0].clone();
    let mut cells: Vec<String> = row.text.split('\t').map(str::to_owned).collect();
    for line in &lines[1..] {
        for (text, &at) in line.text.split('\t').zip(&line.cells) {
            let apart = |cell: usize| (row.cells[cell] - at).abs();
            let nearest = (0..row.cells.len().min(cells.len()))
                .min_by(|&a, &b| apart(a).total_cmp(&apart(b)))
                .unwrap_or(0);
            cells[nearest].push('\n');
            cells[nearest].push_str(text);
        }
        row.place = around(row.place, line.place);
    }
    row.text = cells.join("\t");
    row
}

/// Whether tabs in `line` part cells. The one behind a clause number or bullet does not.
fn has_cells(line: &Line) -> bool {
    let Some((first, rest)) = line.text.split_once('\t') else { return false };
    let first = first.trim_end();
    let is_clause = (is_enumerator(first) || is_bullet(first))
        && rest.starts_with(|c: char| c.is_alphabetic() || "“\"‘'[(*".contains(c));
    !(is_clause && line.cells.len() == 2)
}

/// Whether `below` is a row like `row`, with nothing but `above`, or a gap, between them.
fn is_next_row(row: &Line, above: &Line, below: &Line) -> bool {
    let size = row.size.max(below.size);
    let step = above.baseline() - below.baseline();
    if below.row || !has_cells(below) || !(0.0..4.0 * size).contains(&step) {
        return false;
    }
    // The shorter row's cells must stand among the longer one's; right-aligned ones start elsewhere.
    let (few, many) = if row.cells.len() < below.cells.len() { (row, below) } else { (below, row) };
    let near = |a: f32, b: f32| (a - b).abs() < 1.5 * size;
    let aligned = few.cells.iter().filter(|&&a| many.cells.iter().any(|&b| near(a, b))).count();
    few.cells.len() == many.cells.len() && aligned > 0 || aligned == few.cells.len()
}

/// Names without figures, over rows with figures.
fn is_header<'a>(first: &Line, rest: impl IntoIterator<Item = &'a Line>) -> bool {
    let figures = |line: &Line| {
        let cells = line.text.split('\t').skip(1);
        cells
            .filter(|cell| cell.starts_with(|c: char| c.is_ascii_digit() || "$€£(-–".contains(c)))
            .count()
    };
    figures(first) == 0 && rest.into_iter().all(|row| figures(row) > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(text: &str, left: f32, right: f32, baseline: f32) -> Line {
        Line::upright(text.to_owned(), [left, baseline - 2.0, right, baseline + 8.0], 10.0)
    }

    fn texts(lines: &[Line]) -> Vec<(Role, String)> {
        group(lines, |_| None).into_iter().map(|block| (block.role, block.text)).collect()
    }

    #[test]
    fn a_paragraph_ends_at_a_gap_and_at_an_indent() {
        let lines = [
            line("The Supplier shall deliver the goods", 50.0, 500.0, 700.0),
            line("within ten days.", 50.0, 150.0, 688.0),
            line("The Customer shall pay them", 50.0, 500.0, 664.0),
            line("in time.", 50.0, 110.0, 652.0),
        ];
        let expected = [
            "The Supplier shall deliver the goods\nwithin ten days.",
            "The Customer shall pay them\nin time.",
        ];
        let found: Vec<String> = texts(&lines).into_iter().map(|(_, text)| text).collect();
        assert_eq!(found, expected);
    }

    #[test]
    fn clause_numbers_are_labels_and_plain_numbers_are_not() {
        for (text, expected) in [
            ("4.2 The Supplier", Some("4.2")),
            ("12. Governing law", Some("12")),
            ("(a) the fee", Some("(a)")),
            ("(iv) the term", Some("(iv)")),
            ("Section 3.1 Payment", Some("Section 3.1")),
            ("ARTICLE IV. Term", Some("ARTICLE IV")),
            ("12 months after", None),
            ("2024 was a good year", None),
            ("(the \"Customer\")", None),
            ("Article about law", None),
            ("1.", None),
        ] {
            assert_eq!(label(text).as_deref(), expected, "{text}");
        }
    }

    #[test]
    fn a_line_on_every_page_is_furniture_whatever_its_number() {
        let pages: Vec<Vec<Line>> = (1..=3)
            .map(|n| {
                vec![
                    line("Services Agreement", 50.0, 200.0, 800.0),
                    line(&format!("Clause {n} says"), 50.0, 200.0, 400.0),
                    line(&format!("Page {n} of 3"), 50.0, 200.0, 30.0),
                ]
            })
            .collect();
        let furniture = Furniture::find(pages.iter().map(|lines| (lines.as_slice(), 842.0)));
        let zones = Zones::of(&pages[1], 842.0);
        let roles: Vec<_> = pages[1].iter().map(|line| furniture.role(line, &zones)).collect();
        assert_eq!(roles, [Some(Role::PageHeader), None, Some(Role::PageFooter)]);
    }

    #[test]
    fn clauses_with_a_tab_behind_their_number_are_no_table() {
        let clause =
            |text: &str, y: f32| Line { cells: vec![50.0, 90.0], ..line(text, 50.0, 400.0, y) };
        let lines = [
            clause("(a)\tthe agreement;", 700.0),
            clause("(b)\tits schedules;", 686.0),
            clause("5.2\tIf the Customer fails", 672.0),
        ];
        let roles: Vec<Role> = texts(&lines).into_iter().map(|(role, _)| role).collect();
        assert_eq!(roles, [Role::ListItem, Role::ListItem, Role::Paragraph]);
    }

    #[test]
    fn a_cell_of_several_lines_stays_one_cell() {
        let row = |text: &str, cells: &[f32], y: f32| Line {
            cells: cells.to_vec(),
            ..line(text, cells[0], 350.0, y)
        };
        let columns = [50.0, 150.0, 300.0];
        let lines = [
            row("Item\tMeaning\tFee", &columns, 700.0),
            row("Transport\tfrom the port to\t4,310", &columns, 680.0),
            line("the warehouse", 150.0, 230.0, 668.0),
            row("Storage\tby the week\t210", &columns, 650.0),
            line("All figures in pounds.", 50.0, 180.0, 620.0),
        ];
        let expected = [
            (Role::TableHeader, "Item\tMeaning\tFee"),
            (Role::TableRow, "Transport\tfrom the port to\nthe warehouse\t4,310"),
            (Role::TableRow, "Storage\tby the week\t210"),
            (Role::Paragraph, "All figures in pounds."),
        ];
        let expected = expected.map(|(role, text)| (role, text.to_owned()));
        assert_eq!(texts(&lines), expected);
    }

    #[test]
    fn a_line_of_a_table_of_contents_does_not_go_on_with_the_chapter_over_it() {
        let chapter = |text: &str, y: f32| Line {
            cells: vec![50.0, 70.0, 340.0],
            ..line(text, 50.0, 345.0, y)
        };
        let lines = [
            chapter("2\tTerm\t4", 700.0),
            line("2.1 Renewal . . . . . . . . . 5", 70.0, 345.0, 688.0),
            chapter("3\tFees\t6", 670.0),
        ];
        let found: Vec<String> = texts(&lines).into_iter().map(|(_, text)| text).collect();
        assert_eq!(found, ["2\tTerm\t4\n2.1 Renewal . . . . . . . . . 5", "3\tFees\t6"]);
    }

    #[test]
    fn lines_with_aligned_cells_are_rows_under_their_header() {
        let row = |text: &str, y: f32| Line {
            cells: vec![50.0, 200.0, 300.0],
            ..line(text, 50.0, 350.0, y)
        };
        let lines = [
            row("Segment\tThis year\tLast year", 700.0),
            row("Valves\t4,310\t4,012", 686.0),
            row("Pumps\t2,210\t2,350", 672.0),
            line("All figures in thousands.", 50.0, 180.0, 650.0),
        ];
        let roles: Vec<Role> = texts(&lines).into_iter().map(|(role, _)| role).collect();
        let expected = [Role::TableHeader, Role::TableRow, Role::TableRow, Role::Paragraph];
        assert_eq!(roles, expected);
    }
}
