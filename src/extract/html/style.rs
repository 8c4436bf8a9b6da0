//! The little of CSS that hides text: declarations of `<style>` rules and `style` attributes, matched and
//! inherited (CSS 2.1, chapters 5 and 6). Selectors that this does not understand (pseudo-classes,
//! attributes) and conditional `@` rules match nothing: what is in doubt is read.

use super::tree::Tree;

/// Declarations of one rule or attribute: property and value in lower case, and whether `!important`.
type Declarations = Vec<(String, String, bool)>;

/// The rules of all style sheets of a document.
#[derive(Debug, Default)]
pub(super) struct Sheet {
    rules: Vec<Rule>,
}

#[derive(Debug)]
struct Rule {
    /// From left to right, each with how it stands to the one before.
    selector: Vec<(Combinator, Compound)>,
    /// Ids, classes, names.
    specificity: (usize, usize, usize),
    declarations: Declarations,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Combinator {
    Descendant,
    Child,
}

/// `p.note#first`.
#[derive(Debug, Default)]
struct Compound {
    name: Option<String>,
    id: Option<String>,
    classes: Vec<String>,
}

/// Rules beyond this are not looked at: no page has so many, and each is tried on each element.
const RULES_MAX: usize = 4096;

/// Steps up the tree that matching one document may take, over all elements and rules: a hostile
/// sheet on a deep tree would take them without end.
pub(super) const STEPS_MAX: usize = 10_000_000;

impl Sheet {
    pub(super) fn add(&mut self, text: &str) {
        let text = without_comments(text);
        self.rules(&text, 0);
    }

    fn rules(&mut self, mut rest: &str, depth: usize) {
        while let Some(open) = rest.find('{') {
            let prelude = &rest[..open];
            let close = block_end(&rest[open..]);
            let inside = rest[open..open + close].trim_start_matches('{').trim_end_matches('}');
            rest = &rest[open + close..];
            // `@charset "utf-8"; p` holds a statement before the rule.
            let prelude = prelude.rsplit(';').next().unwrap_or(prelude).trim();
            let prelude = prelude.trim_start_matches("<!--").trim_start_matches("-->").trim();
            if let Some(at_rule) = prelude.strip_prefix('@') {
                let at_rule = at_rule.to_ascii_lowercase();
                let media = at_rule.strip_prefix("media").map(str::trim);
                let is_shown = |media: &str| {
                    media.split(',').any(|medium| matches!(medium.trim(), "" | "all" | "screen"))
                };
                if media.is_some_and(is_shown) && depth < 2 {
                    self.rules(inside, depth + 1);
                }
                continue;
            }
            let declarations = declarations(inside);
            if declarations.is_empty() {
                continue;
            }
            for selector in prelude.split(',') {
                if let Some((selector, specificity)) = selector_of(selector)
                    && self.rules.len() < RULES_MAX
                {
                    let declarations = declarations.clone();
                    self.rules.push(Rule { selector, specificity, declarations });
                }
            }
        }
    }

    /// The declarations that hold for an element, the strongest last. `steps` is what matching may
    /// still take.
    pub(super) fn of(&self, tree: &Tree, node: usize, steps: &mut usize) -> Vec<(String, String)> {
        let inline = tree.attribute(node, "style").map(declarations).unwrap_or_default();
        let mut found = Vec::new();
        for (order, rule) in self.rules.iter().enumerate() {
            if *steps > 0 && rule.matches(tree, node, steps) {
                for (property, value, important) in &rule.declarations {
                    let strength = (*important, false, rule.specificity, order);
                    found.push((strength, property.clone(), value.clone()));
                }
            }
        }
        for (property, value, important) in inline {
            found.push(((important, true, (0, 0, 0), 0), property, value));
        }
        found.sort_by_key(|(strength, _, _)| *strength);
        found.into_iter().map(|(_, property, value)| (property, value)).collect()
    }
}

impl Rule {
    fn matches(&self, tree: &Tree, node: usize, steps: &mut usize) -> bool {
        let mut compounds = self.selector.iter().rev();
        let Some(&(combinator, ref last)) = compounds.next() else { return false };
        let mut combinator = combinator;
        *steps = steps.saturating_sub(1);
        if !last.matches(tree, node) {
            return false;
        }
        let mut at = node;
        for (next, compound) in compounds {
            // The nearest ancestor that matches: enough for the selectors that pages are written with.
            loop {
                let Some(parent) = tree.parent(at) else { return false };
                *steps = steps.saturating_sub(1);
                at = parent;
                if compound.matches(tree, at) {
                    break;
                }
                if combinator == Combinator::Child || *steps == 0 {
                    return false;
                }
            }
            combinator = *next;
        }
        true
    }
}

impl Compound {
    fn matches(&self, tree: &Tree, node: usize) -> bool {
        let classes = tree.attribute(node, "class").unwrap_or("");
        self.name.as_deref().is_none_or(|name| tree.name(node) == name)
            && self.id.as_deref().is_none_or(|id| tree.attribute(node, "id") == Some(id))
            && self.classes.iter().all(|class| classes.split_ascii_whitespace().any(|c| c == class))
            && !tree.name(node).is_empty()
    }
}

type Selector = (Vec<(Combinator, Compound)>, (usize, usize, usize));

fn selector_of(text: &str) -> Option<Selector> {
    let text = text.trim();
    if text.is_empty() || text.contains([':', '[', '+', '~', '\\', '&', '(']) {
        return None;
    }
    let mut selector = Vec::new();
    let mut specificity = (0, 0, 0);
    let mut combinator = Combinator::Descendant;
    for word in text.replace('>', " > ").split_whitespace() {
        if word == ">" {
            combinator = Combinator::Child;
            continue;
        }
        let mut compound = Compound::default();
        let mut rest = word;
        while !rest.is_empty() {
            let mark = rest.as_bytes()[0];
            let body = rest.trim_start_matches(['.', '#']);
            let end = body.find(['.', '#']).unwrap_or(body.len());
            let (name, after) = body.split_at(end);
            if name.is_empty() || body.len() + 1 < rest.len() {
                return None;
            }
            match mark {
                b'.' => {
                    compound.classes.push(name.to_owned());
                    specificity.1 += 1;
                }
                b'#' => {
                    compound.id = Some(name.to_owned());
                    specificity.0 += 1;
                }
                _ if name == "*" => {}
                _ => {
                    compound.name = Some(name.to_ascii_lowercase());
                    specificity.2 += 1;
                }
            }
            rest = after;
        }
        selector.push((combinator, compound));
        combinator = Combinator::Descendant;
    }
    Some((selector, specificity))
}

/// Where the block that starts `text` ends, its closing brace included.
fn block_end(text: &str) -> usize {
    let (mut depth, mut quote) = (0usize, None);
    for (at, c) in text.char_indices() {
        match (quote, c) {
            (Some(open), _) if c == open || c == '\n' => quote = None,
            (Some(_), _) => {}
            (None, '"' | '\'') => quote = Some(c),
            (None, '{') => depth += 1,
            (None, '}') => {
                depth = depth.saturating_sub(1);
                if depth == 0 {
                    return at + 1;
                }
            }
            _ => {}
        }
    }
    text.len()
}

fn without_comments(text: &str) -> String {
    let mut clean = String::new();
    let mut rest = text;
    while let Some(start) = rest.find("/*") {
        clean.push_str(&rest[..start]);
        clean.push(' ');
        rest = rest[start + 2..].find("*/").map_or("", |end| &rest[start + 2 + end + 2..]);
    }
    clean + rest
}

/// `a: b; c: d !important`; semicolons in brackets and quotes part nothing.
fn declarations(text: &str) -> Declarations {
    let text = if text.contains("/*") { without_comments(text) } else { text.to_owned() };
    let (mut brackets, mut quote) = (0usize, None);
    let parts = text.split(|c| {
        match (quote, c) {
            (Some(open), _) if c == open => quote = None,
            (Some(_), _) => {}
            (None, '"' | '\'') => quote = Some(c),
            (None, '(') => brackets += 1,
            (None, ')') => brackets = brackets.saturating_sub(1),
            _ => {}
        }
        c == ';' && brackets == 0 && quote.is_none()
    });
    let declaration = |part: &str| {
        let (property, value) = part.split_once(':')?;
        let value = value.trim().to_ascii_lowercase();
        let (value, important) = match value.rsplit_once('!') {
            Some((value, word)) if word.trim() == "important" => (value.trim().to_owned(), true),
            _ => (value, false),
        };
        let property = property.trim().to_ascii_lowercase();
        (!property.is_empty() && !value.is_empty()).then_some((property, value, important))
    };
    parts.filter_map(declaration).collect()
}

/// A length in CSS pixels; of `em` and `%` by the size of the letters around.
pub(super) fn pixels(value: &str, em: f32) -> Option<f32> {
    let value = value.trim();
    let unit = value.find(|c: char| c.is_ascii_alphabetic() || c == '%').unwrap_or(value.len());
    let number: f32 = value[..unit].trim().parse().ok()?;
    let scale = match &value[unit..] {
        "px" => 1.0,
        "" if number == 0.0 => 1.0,
        "pt" => 96.0 / 72.0,
        "em" | "ex" | "ch" => em,
        "rem" => 16.0,
        "%" => em / 100.0,
        "in" => 96.0,
        "cm" => 96.0 / 2.54,
        "mm" => 96.0 / 25.4,
        "pc" => 16.0,
        _ => return None,
    };
    Some(number * scale)
}

/// Red, green, blue; `None` where the colour is not known, `Some(None)` where it is transparent.
pub(super) fn colour(value: &str) -> Option<Option<[u8; 3]>> {
    const NAMES: [(&str, [u8; 3]); 12] = [
        ("white", [255; 3]),
        ("black", [0; 3]),
        ("snow", [255, 250, 250]),
        ("ivory", [255, 255, 240]),
        ("ghostwhite", [248, 248, 255]),
        ("whitesmoke", [245, 245, 245]),
        ("red", [255, 0, 0]),
        ("blue", [0, 0, 255]),
        ("yellow", [255, 255, 0]),
        ("gray", [128; 3]),
        ("navy", [0, 0, 128]),
        ("green", [0, 128, 0]),
    ];
    let value = value.trim();
    if value == "transparent" {
        return Some(None);
    }
    if let Some((_, colour)) = NAMES.iter().find(|(name, _)| *name == value) {
        return Some(Some(*colour));
    }
    if let Some(hex) = value.strip_prefix('#').or(Some(value).filter(|value| value.len() == 6)) {
        let digits: Option<Vec<u8>> =
            hex.chars().map(|c| c.to_digit(16).map(|digit| digit as u8)).collect();
        return match digits?[..] {
            [r, g, b] => Some(Some([r * 17, g * 17, b * 17])),
            [r, g, b, a] => Some((a > 0).then_some([r * 17, g * 17, b * 17])),
            [a, b, c, d, e, f] => Some(Some([a * 16 + b, c * 16 + d, e * 16 + f])),
            [a, b, c, d, e, f, 0, 0] => Some(None).filter(|_| a | b | c | d | e | f < 16),
            [a, b, c, d, e, f, _, _] => Some(Some([a * 16 + b, c * 16 + d, e * 16 + f])),
            _ => None,
        };
    }
    let inside = value.strip_prefix("rgb")?.trim_start_matches('a').trim();
    let inside = inside.strip_prefix('(')?.strip_suffix(')')?;
    let numbers: Vec<f32> = inside
        .split([',', ' ', '/'])
        .filter(|part| !part.is_empty())
        .map(|part| match part.strip_suffix('%') {
            Some(percent) => percent.parse::<f32>().map(|percent| percent * 2.55),
            None => part.parse(),
        })
        .collect::<Result<_, _>>()
        .ok()?;
    let channel = |value: f32| value.clamp(0.0, 255.0).round() as u8;
    match numbers[..] {
        [_, _, _, 0.0] => Some(None),
        [r, g, b] | [r, g, b, _] => Some(Some([channel(r), channel(g), channel(b)])),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_comments_and_conditions_are_told_apart() {
        let mut sheet = Sheet::default();
        sheet.add(
            "/* p { x: y } */ @charset 'x'; @media print { p { display: none } } \
             @media screen { div > .a.b, #c p { color: RED !important; background: url(a;b) } } \
             @media only screen and (max-width: 480px) { p { display: none } } \
             a:hover { color: white } i { }",
        );
        assert_eq!(sheet.rules.len(), 2);
        assert_eq!(sheet.rules[0].specificity, (0, 2, 1));
        assert_eq!(sheet.rules[0].selector[1].0, Combinator::Child);
        assert_eq!(sheet.rules[1].specificity, (1, 0, 1));
        let expected = [("color", "red", true), ("background", "url(a;b)", false)];
        let expected = expected.map(|(a, b, c)| (a.to_owned(), b.to_owned(), c));
        assert_eq!(sheet.rules[0].declarations, expected);
    }

    #[test]
    fn lengths_and_colours_are_understood() {
        assert_eq!(pixels("1.5pt", 16.0), Some(2.0));
        assert_eq!(pixels("0", 16.0), Some(0.0));
        assert_eq!(pixels("-9999px", 16.0), Some(-9999.0));
        assert_eq!(pixels("auto", 16.0), None);
        for (text, expected) in [
            ("#fff", Some(Some([255; 3]))),
            ("fffffe", Some(Some([255, 255, 254]))),
            ("rgba(0, 0, 0, 0)", Some(None)),
            ("rgb(10 20 30 / 50%)", Some(Some([10, 20, 30]))),
            ("currentcolor", None),
            ("transparent", Some(None)),
        ] {
            assert_eq!(colour(text), expected, "{text}");
        }
    }
}
