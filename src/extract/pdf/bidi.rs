//! Text from right to left: a line that was drawn as it looks, from left to right, is turned into the order
//! in which it is read. What was drawn in reading order never comes here.

use unicode_normalization::UnicodeNormalization;
use unicode_normalization::char::is_combining_mark;

/// Hebrew, Arabic and their neighbours, with their presentation forms; but not their figures, which run from
/// left to right as all others.
pub(super) fn is_rtl(c: char) -> bool {
    !c.is_numeric()
        && matches!(c, '\u{590}'..='\u{8ff}' | '\u{fb1d}'..='\u{fdff}' | '\u{fe70}'..='\u{fefe}')
}

/// The line `drawn` in reading order; none where it holds nothing that runs from right to left.
pub(super) fn logical(drawn: &str) -> Option<String> {
    let rtl = drawn.chars().filter(|&c| is_rtl(c)).count();
    if rtl == 0 {
        return None;
    }
    let ltr = drawn.chars().filter(|&c| c.is_alphabetic() && !is_rtl(c)).count();
    let clusters = clusters(drawn);
    // A line that is mostly Latin runs from left to right, with islands in it; the other way round the
    // islands are Latin words and figures.
    let is_island: fn(char) -> bool = if ltr > rtl { is_rtl } else { is_ltr };
    let mut text = String::with_capacity(drawn.len());
    let mut pieces = islands(&clusters, is_island);
    if ltr <= rtl {
        pieces.reverse();
    }
    for (piece, island) in pieces {
        if island == (ltr > rtl) {
            text.extend(piece.iter().rev().map(|cluster| mirrored(cluster)));
        } else {
            text.extend(piece.iter().copied());
        }
    }
    // Presentation forms are shapes of letters, not letters.
    Some(text.nfkc().collect())
}

fn is_ltr(c: char) -> bool {
    c.is_alphanumeric() && !is_rtl(c)
}

/// Each character with the marks that belong to it.
fn clusters(text: &str) -> Vec<&str> {
    let mut starts: Vec<usize> =
        text.char_indices().filter(|&(_, c)| !is_combining_mark(c)).map(|(at, _)| at).collect();
    if starts.first() != Some(&0) {
        starts.insert(0, 0);
    }
    starts.push(text.len());
    starts.windows(2).map(|ends| &text[ends[0]..ends[1]]).collect()
}

/// Runs of what is and what is not an island; what stands between two parts of an island is of it.
fn islands<'a>(clusters: &'a [&'a str], is_island: fn(char) -> bool) -> Vec<(&'a [&'a str], bool)> {
    let inside = |cluster: &&str| cluster.chars().next().is_some_and(is_island);
    let strong = |cluster: &&str| cluster.chars().next().is_some_and(|c| is_rtl(c) || is_ltr(c));
    let is_word = |cluster: &str| cluster.chars().next().is_some_and(char::is_alphabetic);
    let is_blank = |cluster: &str| cluster.chars().all(char::is_whitespace);
    let next_part = |start: usize, end: usize| {
        let part = end + clusters[end..].iter().take_while(|cluster| !strong(cluster)).count();
        // Cells are read from the right one to the left one, as are two numbers with a blank between them.
        let between = &clusters[end..part];
        let numbers = !clusters[start..=part.min(clusters.len() - 1)].iter().any(|c| is_word(c));
        let apart = between.contains(&"\t") || (numbers && between.iter().any(|c| is_blank(c)));
        (!apart && clusters.get(part).is_some_and(inside)).then_some(part)
    };
    let mut pieces = Vec::new();
    let mut start = 0;
    while start < clusters.len() {
        let island = inside(&clusters[start]);
        let mut end = start + 1;
        while end < clusters.len() && inside(&clusters[end]) == island {
            end += 1;
        }
        // Across blanks and signs to the next part, unless something of the other kind comes first.
        while let Some(part) = next_part(start, end).filter(|_| island) {
            end = part + clusters[part..].iter().take_while(|cluster| inside(cluster)).count();
        }
        pieces.push((&clusters[start..end], island));
        start = end;
    }
    pieces
}

fn mirrored(cluster: &str) -> &str {
    match cluster {
        "(" => ")",
        ")" => "(",
        "[" => "]",
        "]" => "[",
        "<" => ">",
        ">" => "<",
        "«" => "»",
        "»" => "«",
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_read_as_it_runs() {
        // "שלום (עולם) 2024" as it looks from left to right.
        assert_eq!(logical("2024 (םלוע) םולש").as_deref(), Some("שלום (עולם) 2024"));
        assert_eq!(
            logical("the word םולש means peace").as_deref(),
            Some("the word שלום means peace")
        );
        assert_eq!(logical("Acme 12.5 םכסה").as_deref(), Some("הסכם Acme 12.5"));
        assert_eq!(logical("plain text"), None);
        // "14 april 1434" in Arabic: its figures run from left to right.
        let drawn =
            "\u{661}\u{664}\u{663}\u{664} \u{644}\u{64a}\u{631}\u{628}\u{625} \u{661}\u{664}";
        let read =
            "\u{661}\u{664} \u{625}\u{628}\u{631}\u{64a}\u{644} \u{661}\u{664}\u{663}\u{664}";
        assert_eq!(logical(drawn).as_deref(), Some(read));
        assert_eq!(logical("2024 12 םולש").as_deref(), Some("שלום 12 2024"));
        assert_eq!(logical("12 May\t5 םולש").as_deref(), Some("שלום 5\t12 May"));
    }
}
