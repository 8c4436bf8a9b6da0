//! The paragraph and character properties that shape text, inherited property by property through
//! `basedOn` (ECMA-376 part 1, 17.7). Fonts and spacing are nobody's business here.

use std::collections::HashMap;

use super::super::xml::Element;

/// A chain of styles longer than this is a loop.
const BASED_ON_MAX: usize = 32;

#[derive(Debug, Default)]
pub(super) struct Styles {
    by_id: HashMap<String, Style>,
    default_paragraph: Option<String>,
}

#[derive(Debug, Default)]
struct Style {
    based_on: Option<String>,
    /// In lower case; Word's own styles have fixed names in every language.
    name: String,
    outline_level: Option<u8>,
    numbering: NumberingRef,
    vanish: Option<bool>,
    shaded: bool,
}

/// The two halves of `w:numPr`; each is inherited on its own.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct NumberingRef {
    pub(super) num_id: Option<String>,
    pub(super) level: Option<u8>,
}

impl NumberingRef {
    /// What `w:numPr` below `properties` says.
    pub(super) fn of(properties: Option<&Element>) -> NumberingRef {
        let Some(num_pr) = properties.and_then(|properties| properties.child("numPr")) else {
            return NumberingRef::default();
        };
        NumberingRef {
            num_id: num_pr.child_val("numId").map(str::to_owned),
            level: num_pr.child_val("ilvl").and_then(|level| level.parse().ok()),
        }
    }
}

impl Styles {
    pub(super) fn of(root: &Element) -> Styles {
        let mut styles = Styles::default();
        for style in root.elements().filter(|element| element.is_word("style")) {
            let Some(id) = style.word("styleId") else { continue };
            let paragraph = style.child("pPr");
            let run = style.child("rPr");
            if style.word("type") == Some("paragraph") && style.word("default").is_some_and(is_on) {
                styles.default_paragraph.get_or_insert_with(|| id.to_owned());
            }
            let outline = paragraph.and_then(|properties| properties.child_val("outlineLvl"));
            let shaded = [paragraph, run].into_iter().flatten().any(is_shaded);
            styles.by_id.entry(id.to_owned()).or_insert(Style {
                based_on: style.child_val("basedOn").map(str::to_owned),
                name: style.child_val("name").unwrap_or("").to_lowercase(),
                outline_level: outline.and_then(|level| level.parse().ok()),
                numbering: NumberingRef::of(paragraph),
                vanish: toggle(run, "vanish"),
                shaded,
            });
        }
        styles
    }

    /// The style of a paragraph that names `id`, or none.
    fn paragraph_id<'a>(&'a self, id: Option<&'a str>) -> Option<&'a str> {
        id.filter(|id| self.by_id.contains_key(*id)).or(self.default_paragraph.as_deref())
    }

    /// The style and those it is based on, nearest first.
    fn chain<'a>(&'a self, id: Option<&'a str>) -> impl Iterator<Item = (&'a str, &'a Style)> {
        let mut next = id;
        std::iter::from_fn(move || {
            let id = next?;
            let (id, style) = self.by_id.get_key_value(id)?;
            next = style.based_on.as_deref();
            Some((id.as_str(), style))
        })
        .take(BASED_ON_MAX)
    }

    /// Heading level from 1, by outline level or by the style's built-in name.
    pub(super) fn heading(&self, id: Option<&str>, properties: Option<&Element>) -> Option<u8> {
        let direct = properties.and_then(|properties| properties.child_val("outlineLvl"));
        if let Some(level) = direct.and_then(|level| level.parse::<u8>().ok()) {
            return (level < 9).then_some(level + 1);
        }
        let (mut outline, mut named) = (None, None);
        for (_, style) in self.chain(self.paragraph_id(id)) {
            outline = outline.or(style.outline_level);
            named = named.or_else(|| match style.name.as_str() {
                "title" => Some(1),
                name => name.strip_prefix("heading ")?.trim().parse().ok(),
            });
        }
        match outline {
            Some(level) => (level < 9).then_some(level + 1),
            None => named,
        }
    }

    /// The numbering of a paragraph: its own, else its styles', each half for itself. `linked` says
    /// which level of a numbering a style is linked to (`w:lvl/w:pStyle`).
    pub(super) fn numbering(
        &self,
        id: Option<&str>,
        direct: NumberingRef,
        linked: impl Fn(&str, &str) -> Option<u8>,
    ) -> Option<(String, u8)> {
        let NumberingRef { mut num_id, level } = direct;
        let id = self.paragraph_id(id);
        for (_, style) in self.chain(id) {
            num_id = num_id.or_else(|| style.numbering.num_id.clone());
        }
        let num_id = num_id?;
        // A link counts only for a style that speaks of numbering itself.
        let of_style = |(id, style): (&str, &Style)| match &style.numbering {
            NumberingRef { level: Some(level), .. } => Some(*level),
            NumberingRef { num_id: Some(_), .. } => linked(&num_id, id),
            _ => None,
        };
        let level = level.or_else(|| self.chain(id).find_map(of_style)).unwrap_or(0);
        Some((num_id, level.min(8)))
    }

    /// The numbering that a numbering style (`w:numStyleLink`) stands for.
    pub(super) fn num_id(&self, id: &str) -> Option<&str> {
        self.by_id.get(id)?.numbering.num_id.as_deref()
    }

    /// Whether a run is hidden. A toggle: directly it decides; else paragraph and character style
    /// cancel each other out (17.7.3).
    pub(super) fn vanish(&self, paragraph: Option<&str>, run: Option<&Element>) -> bool {
        if let Some(direct) = toggle(run, "vanish") {
            return direct;
        }
        let style =
            |id: Option<&str>| self.chain(id).find_map(|(_, style)| style.vanish).unwrap_or(false);
        let character = run.and_then(|run| run.child_val("rStyle"));
        style(self.paragraph_id(paragraph)) != (character.is_some() && style(character))
    }

    /// Whether one of the styles gives the text a ground of its own, so that white on it is seen.
    pub(super) fn shaded(&self, paragraph: Option<&str>, run: Option<&Element>) -> bool {
        let character = run.and_then(|run| run.child_val("rStyle"));
        self.chain(self.paragraph_id(paragraph)).any(|(_, style)| style.shaded)
            || (character.is_some() && self.chain(character).any(|(_, style)| style.shaded))
    }
}

/// An on/off property; a bare element means on.
pub(super) fn toggle(properties: Option<&Element>, name: &str) -> Option<bool> {
    properties?.child(name).map(|element| element.word("val").is_none_or(is_on))
}

pub(super) fn is_on(value: &str) -> bool {
    !matches!(value, "0" | "false" | "off")
}

/// Shading or highlighting below run, paragraph or cell properties.
pub(super) fn is_shaded(properties: &Element) -> bool {
    let shading = properties.child("shd").is_some_and(|shading| {
        let plain = |value: Option<&str>| {
            value.is_none_or(|value| {
                matches!(value.to_ascii_lowercase().as_str(), "auto" | "ffffff" | "clear" | "nil")
            })
        };
        !plain(shading.word("fill"))
            || !plain(shading.word("val"))
            || shading.word("themeFill").is_some()
    });
    shading || properties.child_val("highlight").is_some_and(|colour| colour != "none")
}
