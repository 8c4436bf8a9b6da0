//! Text and Markdown → `Document`: paragraphs at blank lines, headings by their marks. The words are
//! untouched; what is guessed here is only a block's role.

use std::collections::BTreeMap;

use super::document::{Document, Role};
use super::labels::printed_label;
use super::pages::Pages;
use super::parts::Piece;
use super::{Refusal, RefusalKind, encoding};
use crate::base::{Format, Limits, Warned, Warning};

/// A page of a text without form feeds: a few printed pages, so that places in it stay small.
const PAGE_BYTES: usize = 64 * 1024;

/// A longer line is no heading.
const HEADING_CHARS_MAX: usize = 90;

pub(super) fn read(
    bytes: &[u8],
    format: Format,
    limits: &Limits,
) -> Result<Warned<Document>, Refusal> {
    let decoded = encoding::decode(bytes)?;
    if decoded.text.trim().is_empty() {
        return Err(Refusal::new(RefusalKind::Empty, "nothing but white space in the file"));
    }
    let mut warnings: Vec<Warning> = decoded.warning.into_iter().collect();
    let mut pages = Pages::new(1, format.word(), PAGE_BYTES, limits);
    for (index, leaf) in decoded.text.split('\u{C}').enumerate() {
        // pdftotext ends its last page with a form feed: no page follows it.
        if index > 0 && !leaf.trim().is_empty() {
            pages.new_page();
        }
        for piece in pieces(leaf, format == Format::Markdown) {
            pages.block(piece.role, &piece.text, piece.label);
        }
    }
    let properties = BTreeMap::from([("encoding".to_owned(), decoded.encoding.name().to_owned())]);
    let pages = pages.finish(&mut warnings);
    let document = Document { format, pages, properties, remarks: Vec::new() };
    Ok(Warned { output: document, warnings })
}

/// The blocks of a text.
pub(super) fn pieces(text: &str, markdown: bool) -> Vec<Piece> {
    let mut pieces = Vec::new();
    let mut paragraph: Vec<&str> = Vec::new();
    let mut fenced = false;
    let mut in_table = false;
    for line in text.split('\n') {
        let fence =
            markdown && ["```", "~~~"].iter().any(|fence| line.trim_start().starts_with(fence));
        fenced ^= fence;
        let heading = if fenced || fence { None } else { heading_line(line, markdown, &paragraph) };
        let row = markdown && !fenced && line.trim_start().starts_with('|');
        if row {
            end_paragraph(&mut paragraph, markdown, &mut pieces);
            table_line(line, &mut in_table, &mut pieces);
            continue;
        }
        in_table = false;
        if let Some(level) = heading {
            end_paragraph(&mut paragraph, markdown, &mut pieces);
            let label = printed_label(line.trim_start_matches(['#', ' ']));
            pieces.push(Piece { role: Role::Heading(level), text: line.to_owned(), label });
        } else if line.trim().is_empty() && !fenced {
            end_paragraph(&mut paragraph, markdown, &mut pieces);
        } else {
            if starts_item(line, markdown) && !fenced {
                end_paragraph(&mut paragraph, markdown, &mut pieces);
            }
            paragraph.push(line);
        }
    }
    end_paragraph(&mut paragraph, markdown, &mut pieces);
    pieces
}

fn end_paragraph(lines: &mut Vec<&str>, markdown: bool, pieces: &mut Vec<Piece>) {
    let Some(first) = lines.first() else { return };
    let text = lines.join("\n");
    // Markdown's second form: a line underlined with = or -.
    if let [title, under] = lines[..]
        && markdown
        && under.trim().len() >= 2
        && ["=", "-"].iter().any(|mark| under.trim().trim_matches(|c| mark.contains(c)).is_empty())
    {
        let level = if under.trim().starts_with('=') { 1 } else { 2 };
        pieces.push(Piece { role: Role::Heading(level), text, label: printed_label(title) });
    } else {
        let whole_heading = (lines.len() == 1 && !markdown).then(|| plain_heading(first)).flatten();
        let role = match whole_heading {
            Some(level) => Role::Heading(level),
            None if starts_item(first, markdown) => Role::ListItem,
            None => Role::Paragraph,
        };
        pieces.push(Piece { role, text, label: printed_label(first) });
    }
    lines.clear();
}

/// A heading that is one by its own line, whatever stands around it.
fn heading_line(line: &str, markdown: bool, before: &[&str]) -> Option<u8> {
    if markdown {
        let hashes = line.bytes().take_while(|b| *b == b'#').count();
        let is_heading = (1..=6).contains(&hashes) && line[hashes..].starts_with(' ');
        return is_heading.then_some(hashes as u8);
    }
    // In plain text a heading may be followed by its text without a blank line, but not preceded.
    (before.is_empty() && is_capitals(line)).then_some(1)
}

/// A paragraph of one line that reads like a heading: "4.2 Notice of Termination", "Article IV".
fn plain_heading(line: &str) -> Option<u8> {
    let line = line.trim();
    if is_capitals(line) {
        return Some(1);
    }
    let label = printed_label(line)?;
    let rest = line[label.len()..].trim_start_matches(['.', ')', ':', ' ', '\t']);
    let numbered = label.starts_with(|c: char| c.is_ascii_digit())
        || label.to_ascii_lowercase().starts_with(['a', 's', '§', 'c', 'e']) && label.contains(' ');
    let words = rest.split_whitespace().count();
    let is_title = words <= 10
        && line.chars().count() <= HEADING_CHARS_MAX
        && !rest.ends_with(['.', ';', ',', ':'])
        && (rest.is_empty() || rest.starts_with(char::is_uppercase));
    (numbered && is_title).then(|| 1 + label.matches('.').count().min(5) as u8)
}

/// Capital letters only, and words among them.
fn is_capitals(line: &str) -> bool {
    let line = line.trim();
    line.chars().filter(|c| c.is_uppercase()).count() >= 4
        && !line.chars().any(char::is_lowercase)
        && line.chars().count() <= HEADING_CHARS_MAX
        && !line.ends_with([',', ';'])
}

/// A line that starts a list item or a numbered clause.
fn starts_item(line: &str, markdown: bool) -> bool {
    let trimmed = line.trim_start();
    let mut chars = trimmed.chars();
    let bullet = matches!(chars.next(), Some('-' | '*' | '+' | '•' | '–' | '▪' | '◦'))
        && chars.next().is_some_and(char::is_whitespace);
    // A wrapped line may begin with "(a)" or "Section 4"; one that ends the number with a dot or
    // bracket at the margin is a clause.
    let clause = printed_label(trimmed).is_some_and(|label| {
        label.starts_with(|c: char| c.is_ascii_digit() || c == '(')
            && (markdown || line.len() - trimmed.len() <= 8)
    });
    bullet || clause
}

/// A row of a Markdown table, its cells parted by tabs; the line of dashes below the names is dropped.
fn table_line(line: &str, in_table: &mut bool, pieces: &mut Vec<Piece>) {
    let inner = line.trim().trim_start_matches('|');
    let inner = inner.strip_suffix('|').unwrap_or(inner);
    let cells: Vec<&str> = inner.split('|').map(str::trim).collect();
    if cells.iter().all(|cell| !cell.is_empty() && cell.trim_matches(['-', ':']).is_empty()) {
        return;
    }
    let role = if *in_table { Role::TableRow } else { Role::TableHeader };
    *in_table = true;
    pieces.push(Piece { role, text: cells.join("\t"), label: None });
}

#[cfg(test)]
mod tests {
    use super::*;

    fn roles(text: &str, format: Format) -> Vec<(Role, String)> {
        let read = read(text.as_bytes(), format, &Limits::default()).expect("text");
        let pages = read.output.pages.iter();
        let blocks = pages.flat_map(|page| page.blocks.iter().map(move |block| (page, block)));
        blocks
            .map(|(page, block)| {
                let text = &page.model[block.model.start as usize..block.model.end as usize];
                (block.role, text.to_owned())
            })
            .collect()
    }

    #[test]
    fn paragraphs_headings_and_items_of_plain_text_are_told_apart() {
        let text = "TRAVEL POLICY\n\n1. Scope\n\nThis policy binds\nall staff.\n\n(a) trains;\n(b) planes.\n";
        let found = roles(text, Format::Text);
        let expected = [
            (Role::Heading(1), "TRAVEL POLICY"),
            (Role::Heading(1), "1. Scope"),
            (Role::Paragraph, "This policy binds all staff."),
            (Role::ListItem, "(a) trains;"),
            (Role::ListItem, "(b) planes."),
        ];
        assert_eq!(found, expected.map(|(role, text)| (role, text.to_owned())));
    }

    #[test]
    fn markdown_marks_give_roles_and_a_fence_hides_them() {
        let text = "# Title\nText\n\n```\n# no heading\n```\n\n| a | b |\n|---|---|\n| 1 | 2 |\n";
        let found = roles(text, Format::Markdown);
        let roles: Vec<Role> = found.iter().map(|(role, _)| *role).collect();
        assert_eq!(
            roles,
            [Role::Heading(1), Role::Paragraph, Role::Paragraph, Role::TableHeader, Role::TableRow]
        );
        assert_eq!(found[3].1, "a | b");
    }

    #[test]
    fn form_feeds_part_pages_and_long_texts_are_cut() {
        let read = |text: &str| {
            read(text.as_bytes(), Format::Text, &Limits::default())
                .expect("text")
                .output
                .pages
                .len()
        };
        assert_eq!(read("one\u{C}two\u{C}"), 2);
        assert_eq!(read(&"Some words and a line end.\n\n".repeat(10_000)), 5);
        assert_eq!(read(&"word ".repeat(40_000)), 4);
    }
}
