//! Ruled tables: the grid that thin lines draw on a page, and the lines of text in its cells. A row of the
//! grid becomes one line whose cells keep their own lines together. Text outside of grids is the layout's.

use hayro_interpret::kurbo::{Point, Rect};

use super::glyphs::Glyph;
use super::layout::{self, Line};

/// How far apart (in points) two lines of a grid may end and still meet.
const NEAR: f64 = 2.5;

/// More thin lines than this are a drawing.
const RULES_MAX: usize = 4000;

/// Smaller rows and columns (in points) hold no text.
const CELL_MIN: f64 = 6.0;

/// So many letters of a table at least, and one in so many of all of them, are in a cell that their word does not
/// begin in, where it is none.
const OVER_MIN: usize = 3;
const OVER_SHARE: usize = 20;

/// A grid of rows and columns.
struct Grid {
    bounds: Rect,
    /// Edges of the columns from left to right, of the rows from top to bottom.
    columns: Vec<f64>,
    rows: Vec<f64>,
    /// The upright rules of this grid, which may leave cells joined.
    uprights: Vec<Rect>,
}

/// The cell of a grid: its number, row and column.
type Cell = (usize, usize, usize);

/// The lines that `glyphs` form on a page with these `rules`.
pub(super) fn lines(glyphs: &[Glyph], rules: &[Rect]) -> Vec<Line> {
    let grids = grids(rules);
    if grids.is_empty() {
        return layout::lines(glyphs);
    }
    let cell = |glyph: &Glyph| -> Option<Cell> {
        let at = glyph.core().center();
        let index = grids.iter().position(|grid| grid.bounds.contains(at))?;
        let (row, column) = grids[index].cell(at)?;
        Some((index, row, column))
    };
    let mut lines = Vec::new();
    let mut set: Vec<bool> = vec![false; grids.len()];
    let mut cells: Vec<Option<Cell>> = glyphs.iter().map(cell).collect();
    keep_words_whole(glyphs, &mut cells, grids.len());
    let mut start = 0;
    while start < glyphs.len() {
        let grid = cells[start].map(|(grid, _, _)| grid);
        let same = |cell: &Option<Cell>| cell.map(|(grid, _, _)| grid) == grid;
        let end = start + cells[start..].iter().take_while(|cell| same(cell)).count();
        match grid {
            None => lines.extend(layout::lines(&glyphs[start..end])),
            Some(index) if !set[index] => {
                set[index] = true;
                lines.extend(table(index, glyphs, &cells));
            }
            // The table stands where its first glyph does.
            Some(_) => {}
        }
        start = end;
    }
    lines
}

/// A word that runs over an edge is not cut by it: it stands where it begins. Where many do the rules are a
/// drawing and no table.
fn keep_words_whole(glyphs: &[Glyph], cells: &mut [Option<Cell>], grids: usize) {
    let mut held = vec![(0, 0); grids];
    for index in 1..glyphs.len() {
        let own = cells[index];
        if own != cells[index - 1] && glyphs[index].goes_on(&glyphs[index - 1]) {
            cells[index] = cells[index - 1];
        }
        if let Some((grid, ..)) = own {
            held[grid].0 += 1;
            held[grid].1 += usize::from(own != cells[index]);
        }
    }
    let is_drawing = |grid: usize| {
        let (all, over) = held[grid];
        over >= OVER_MIN && over * OVER_SHARE >= all
    };
    for cell in cells {
        *cell = cell.filter(|&(grid, ..)| !is_drawing(grid));
    }
}

/// The rows of grid `index`. With all its text in one column or one row it is no table.
fn table(index: usize, glyphs: &[Glyph], cells: &[Option<Cell>]) -> Vec<Line> {
    let mut inside: Vec<((usize, usize), &Glyph)> = cells
        .iter()
        .zip(glyphs)
        .filter_map(|(cell, glyph)| {
            cell.filter(|&(grid, _, _)| grid == index)
                .map(|(_, row, column)| ((row, column), glyph))
        })
        .collect();
    let distinct = |key: fn(&(usize, usize)) -> usize| {
        let seen = inside.iter().filter(|(_, glyph)| !glyph.text.is_whitespace());
        let mut keys: Vec<usize> = seen.map(|(cell, _)| key(cell)).collect();
        keys.sort_unstable();
        keys.dedup();
        keys.len()
    };
    if distinct(|cell| cell.0) < 2 || distinct(|cell| cell.1) < 2 {
        let glyphs: Vec<Glyph> = inside.into_iter().map(|(_, glyph)| *glyph).collect();
        return layout::lines(&glyphs);
    }
    // Stable, so that a cell keeps the order in which it was drawn.
    inside.sort_by_key(|(cell, _)| *cell);
    let mut rows = Vec::new();
    for row in inside.chunk_by(|(a, _), (b, _)| a.0 == b.0) {
        let mut line: Option<Line> = None;
        for cell in row.chunk_by(|(a, _), (b, _)| a == b) {
            let glyphs: Vec<Glyph> = cell.iter().map(|(_, glyph)| **glyph).collect();
            let parts = layout::lines(&glyphs);
            if let Some(text) = joined(parts, cell[0].0.1) {
                line = Some(match line {
                    None => text,
                    Some(before) => before.beside(text),
                });
            }
        }
        rows.extend(line);
    }
    rows
}

/// The lines of one cell as one, which stands in column `column`.
fn joined(parts: Vec<Line>, column: usize) -> Option<Line> {
    let mut parts = parts.into_iter();
    let mut cell = parts.next()?;
    // What is a gap inside of a cell is no cell.
    cell.text = cell.text.replace('\t', " ");
    for part in parts {
        cell.text.push('\n');
        cell.text.push_str(&part.text.replace('\t', " "));
        cell.place = layout::around(cell.place, part.place);
    }
    cell.cells.truncate(1);
    cell.row = true;
    // Cells without text keep their place.
    cell.first_column = column;
    Some(cell)
}

impl Grid {
    fn cell(&self, at: Point) -> Option<(usize, usize)> {
        let row = self.rows.windows(2).position(|edges| edges[1] <= at.y && at.y <= edges[0])?;
        let mut column =
            self.columns.windows(2).position(|edges| edges[0] <= at.x && at.x <= edges[1])?;
        // A cell that spans columns has no rule between them at its height.
        let is_parted = |x: f64| {
            let here = |rule: &&Rect| (rule.center().x - x).abs() <= NEAR;
            self.uprights.iter().filter(here).any(|rule| rule.y0 <= at.y && at.y <= rule.y1)
        };
        while column > 0 && !is_parted(self.columns[column]) {
            column -= 1;
        }
        Some((row, column))
    }
}

/// The grids that `rules` draw: those that meet, with at least two rows or two columns.
fn grids(rules: &[Rect]) -> Vec<Grid> {
    let is_flat = |rule: &&Rect| rule.width() >= rule.height();
    let uprights = rules.iter().filter(|rule| !is_flat(rule)).count();
    if uprights < 2 || rules.len() - uprights < 2 || rules.len() > RULES_MAX {
        return Vec::new();
    }
    groups(rules).into_iter().filter_map(grid).collect()
}

/// Rules that meet one another, directly or over others.
fn groups(rules: &[Rect]) -> Vec<Vec<Rect>> {
    let mut groups: Vec<(Rect, Vec<Rect>)> = Vec::new();
    for rule in rules {
        let reach = rule.inflate(NEAR, NEAR);
        let mut merged = (*rule, vec![*rule]);
        let mut kept = Vec::with_capacity(groups.len());
        for group in groups {
            if group.0.overlaps(reach) && group.1.iter().any(|other| other.overlaps(reach)) {
                merged.0 = merged.0.union(group.0);
                merged.1.extend(group.1);
            } else {
                kept.push(group);
            }
        }
        kept.push(merged);
        groups = kept;
    }
    groups.into_iter().map(|(_, rules)| rules).collect()
}

fn grid(rules: Vec<Rect>) -> Option<Grid> {
    let (flat, uprights): (Vec<Rect>, Vec<Rect>) =
        rules.into_iter().partition(|rule| rule.width() >= rule.height());
    let mut columns: Vec<f64> = uprights.iter().map(|rule| rule.center().x).collect();
    let mut rows: Vec<f64> = flat.iter().map(|rule| rule.center().y).collect();
    // A table may be open at its sides, where each of its rules goes all the way across, in pieces or in
    // one, and at its head and foot.
    let around = uprights.iter().chain(&flat).copied().reduce(|a, b| a.union(b))?;
    let goes_across = |&y: &f64| {
        let pieces = flat.iter().filter(|rule| (rule.center().y - y).abs() <= NEAR).copied();
        pieces
            .reduce(|a, b| a.union(b))
            .is_some_and(|rule| rule.x0 - around.x0 <= NEAR && around.x1 - rule.x1 <= NEAR)
    };
    let heights = edges(rows.iter().copied());
    if heights.len() >= 3 && heights.iter().all(goes_across) {
        columns.extend([around.x0, around.x1]);
        rows.extend([around.y0, around.y1]);
    }
    let columns = edges(columns.into_iter());
    let mut rows = edges(rows.into_iter());
    rows.reverse();
    if columns.len() < 3 || rows.len() < 3 {
        return None;
    }
    let bounds = Rect::new(columns[0], *rows.last()?, *columns.last()?, rows[0]);
    Some(Grid { bounds, columns, rows, uprights })
}

/// Distinct places in ascending order, those nearer than a cell taken as one.
fn edges(places: impl Iterator<Item = f64>) -> Vec<f64> {
    let mut places: Vec<f64> = places.collect();
    places.sort_by(f64::total_cmp);
    let mut edges: Vec<f64> = Vec::new();
    for place in places {
        if edges.last().is_none_or(|last| place - last >= CELL_MIN) {
            edges.push(place);
        }
    }
    edges
}
