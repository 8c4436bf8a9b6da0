//! A document's tables as answers: found by their rows, ranked by the words of their heading and of their
//! first rows and column. Header and rows are the document's own cells; the model only says which table it is.

use std::ops::Range;

use serde_json::{Value, json};

use super::candidates::Candidate;
use super::clauses::phrases_in;
use super::lexical::{squeeze, words};
use crate::chunk::Chunk;
use crate::extract::{Document, Role};
use crate::jobs::Field;

/// Bytes of the text before a table that may be its heading.
const HEADING_BYTES: usize = 200;
/// Bytes of a table that the model is shown.
const SHOWN_BYTES: usize = 1500;
/// Rows below which a table is a line with tabs in it.
const ROWS_MIN: usize = 2;

/// A run of rows, over as many pages as it takes.
struct Table {
    heading: String,
    header: Vec<String>,
    rows: Vec<Vec<String>>,
    /// In the model layer of the page that it begins on, up to that page's last row of it.
    page: u32,
    model: Range<u32>,
}

/// The tables that may answer `field`: those that hold its phrases, or all where it has none.
pub(super) fn candidates(field: &Field, document: &Document, chunks: &[Chunk]) -> Vec<Candidate> {
    let mut found = Vec::new();
    for table in tables(document) {
        let mut known = words(&table.heading);
        known.extend(table.header.iter().flat_map(|cell| words(cell)));
        known.extend(table.rows.iter().filter_map(|row| row.first()).flat_map(|cell| words(cell)));
        let held = phrases_in(&known, &field.phrases);
        if held == 0 && !field.phrases.is_empty() {
            continue;
        }
        if let Some((chunk, quote)) = place(&table, chunks) {
            let text = &chunks[chunk].text[quote.clone()];
            let shown = &text[..text.floor_char_boundary(SHOWN_BYTES)];
            found.push(Candidate {
                chunk,
                quote,
                shown: format!("{}\n{shown}", table.heading),
                score: held as u64,
                value: Some(value(&table)),
            });
        }
    }
    found
}

fn value(table: &Table) -> Value {
    json!({ "header": table.header, "rows": table.rows })
}

/// The chunk in which a table begins, and what of it stands there without a gap.
fn place(table: &Table, chunks: &[Chunk]) -> Option<(usize, Range<usize>)> {
    chunks.iter().enumerate().find_map(|(index, chunk)| {
        let begins = |piece: &&crate::chunk::Piece| {
            let model = piece.model_start..piece.model_start + piece.chunk.len() as u32;
            piece.page == table.page
                && piece.chunk.start >= chunk.repeated
                && model.contains(&table.model.start)
        };
        let piece = chunk.pieces.iter().find(begins)?;
        let start = piece.chunk.start + (table.model.start - piece.model_start) as usize;
        let end = start + table.model.len();
        Some((index, start..end.min(piece.chunk.end)))
    })
}

fn tables(document: &Document) -> Vec<Table> {
    let mut tables: Vec<Table> = Vec::new();
    // Whether the last block that is part of the text was a row of the last table.
    let mut goes_on = false;
    for page in &document.pages {
        let mut heading = String::new();
        for block in &page.blocks {
            let text = page.verbatim_of(block);
            let cells: Vec<String> = text.split('\t').map(squeeze).collect();
            match (block.role, tables.last_mut().filter(|_| goes_on)) {
                (Role::PageHeader | Role::PageFooter, _) => continue,
                (Role::TableHeader, Some(table)) if table.header == cells => {}
                (Role::TableRow, Some(table)) => {
                    if table.page == page.number {
                        table.model.end = block.model.end;
                    }
                    table.rows.push(cells);
                }
                (role @ (Role::TableHeader | Role::TableRow), _) => {
                    let is_header = role == Role::TableHeader;
                    let (header, rows) =
                        if is_header { (cells, vec![]) } else { (vec![], vec![cells]) };
                    let heading = heading.clone();
                    let (page, model) = (page.number, block.model.clone());
                    tables.push(Table { heading, header, rows, page, model });
                    goes_on = true;
                }
                _ => {
                    heading = text[..text.floor_char_boundary(HEADING_BYTES)].to_owned();
                    goes_on = false;
                }
            }
        }
    }
    for table in &mut tables {
        head(table);
    }
    tables.retain(|table| table.rows.len() + usize::from(!table.header.is_empty()) >= ROWS_MIN);
    tables
}

/// Takes the first row for the header where it has words only and what comes below has figures.
fn head(table: &mut Table) {
    let figures =
        |row: &Vec<String>| row.iter().any(|cell| cell.contains(|c: char| c.is_ascii_digit()));
    let named = |row: &Vec<String>| row.len() > 1 && row.iter().all(|cell| !cell.is_empty());
    let is_header = |row: &Vec<String>| named(row) && !figures(row);
    if table.header.is_empty()
        && table.rows.first().is_some_and(is_header)
        && table.rows[1..].iter().any(figures)
    {
        table.header = table.rows.remove(0);
    }
}
