//! The text properties that hide text, inherited through parent styles (ODF 1.3 part 3, 16.2), and the
//! list styles. Layout is nobody's business here.

use std::collections::HashMap;

use super::super::xml::Element;
use super::lists::ListStyle;

/// A chain of styles longer than this is a loop.
const PARENTS_MAX: usize = 32;

/// Letters lower than this, in points, are not read by anyone.
const POINTS_MIN: f32 = 2.0;

#[derive(Debug, Default)]
pub(super) struct Styles {
    /// By family and name.
    styles: HashMap<(String, String), Style>,
    pub(super) lists: HashMap<String, ListStyle>,
    /// The numbering of headings that stand in no list.
    pub(super) outline: ListStyle,
}

#[derive(Clone, Debug, Default)]
struct Style {
    parent: Option<String>,
    master: Option<String>,
    hidden: Option<bool>,
    size: Option<f32>,
    /// Of the font; none where it is automatic.
    colour: Option<Option<String>>,
    ground: Option<String>,
}

/// What one element's style says, after inheritance.
#[derive(Clone, Debug, Default)]
pub(super) struct Look {
    hidden: Option<bool>,
    size: Option<f32>,
    colour: Option<Option<String>>,
    has_ground: bool,
}

impl Look {
    /// This look with what `outer` says where this says nothing.
    pub(super) fn over(mut self, outer: &Look) -> Look {
        self.hidden = self.hidden.or(outer.hidden);
        self.size = self.size.or(outer.size);
        self.colour = self.colour.or_else(|| outer.colour.clone());
        self.has_ground |= outer.has_ground;
        self
    }

    /// Why a reader of the page does not see text that looks so.
    pub(super) fn why(&self, on_ground: bool) -> Option<&'static str> {
        let is_white = matches!(&self.colour, Some(Some(colour)) if is_white(colour));
        match () {
            () if self.hidden == Some(true) => Some("text:display none"),
            () if self.size.is_some_and(|size| size < POINTS_MIN) => Some("under 2 pt"),
            () if is_white && !on_ground && !self.has_ground => Some("white on white"),
            () => None,
        }
    }
}

fn is_white(colour: &str) -> bool {
    colour.eq_ignore_ascii_case("#ffffff")
}

impl Styles {
    /// The styles of `roots` (the common ones and the content's). Automatic styles of styles.xml are
    /// for headers and footers alone: `place` says for which of the two this is.
    pub(super) fn of(roots: [Option<&Element>; 2], place: &str) -> Styles {
        let mut styles = Styles::default();
        for (index, root) in roots.into_iter().enumerate() {
            for group in root.into_iter().flat_map(Element::elements) {
                let is_automatic = &*group.name == "automatic-styles";
                let applies = match &*group.name {
                    "styles" => true,
                    "automatic-styles" => (index == 1) == (place == "content"),
                    _ => false,
                };
                for style in group.elements().filter(|_| applies) {
                    styles.add(style, is_automatic);
                }
            }
        }
        styles
    }

    fn add(&mut self, style: &Element, is_automatic: bool) {
        let name = style.named("name").unwrap_or("").to_owned();
        match &*style.name {
            "list-style" => {
                self.lists.insert(name, ListStyle::of(style));
            }
            "outline-style" if !is_automatic => self.outline = ListStyle::of(style),
            "style" | "default-style" => {
                let family = style.named("family").unwrap_or("").to_owned();
                let key = (family, if &*style.name == "style" { name } else { String::new() });
                self.styles.insert(key, Style::of(style));
            }
            _ => {}
        }
    }

    /// What the style `name` of `family` says of its text.
    pub(super) fn look(&self, family: &str, name: Option<&str>) -> Look {
        let mut look = Look::default();
        for style in self.chain(family, name) {
            look.hidden = look.hidden.or(style.hidden);
            look.size = look.size.or(style.size);
            look.colour = look.colour.take().or_else(|| style.colour.clone());
            look.has_ground |=
                style.ground.as_deref().is_some_and(|g| g != "transparent" && !is_white(g));
        }
        look
    }

    /// The page style that a paragraph or table begins.
    pub(super) fn master<'a>(&'a self, family: &'a str, name: Option<&str>) -> Option<&'a str> {
        self.chain(family, name).find_map(|style| style.master.as_deref())
    }

    /// The style, its parents, nearest first, and the family's default.
    fn chain<'a>(
        &'a self,
        family: &'a str,
        name: Option<&str>,
    ) -> impl Iterator<Item = &'a Style> + use<'a> {
        let mut next = name.map(str::to_owned);
        let mut steps = 0;
        std::iter::from_fn(move || {
            let name = next.take()?;
            steps += 1;
            let style = self.styles.get(&(family.to_owned(), name.clone()));
            next = match style.and_then(|style| style.parent.clone()) {
                Some(parent) if steps < PARENTS_MAX => Some(parent),
                // The default style has no name and is the last.
                _ if !name.is_empty() => Some(String::new()),
                _ => None,
            };
            Some(style)
        })
        .flatten()
    }
}

impl Style {
    fn of(style: &Element) -> Style {
        let text = style.named_child("text-properties");
        let said = |name: &str| text.and_then(|text| text.named(name));
        let points = |size: &str| {
            let unit = size.find(|c: char| c.is_ascii_alphabetic() || c == '%')?;
            let number: f32 = size[..unit].trim().parse().ok()?;
            match &size[unit..] {
                "pt" => Some(number),
                "in" => Some(number * 72.0),
                "cm" => Some(number * 72.0 / 2.54),
                "mm" => Some(number * 72.0 / 25.4),
                _ => None,
            }
        };
        let automatic = said("use-window-font-color") == Some("true");
        let colour = match automatic {
            true => Some(None),
            false => said("color").map(|colour| Some(colour.to_owned())),
        };
        let grounds =
            style.elements().filter_map(|properties| properties.named("background-color"));
        Style {
            parent: style.named("parent-style-name").map(str::to_owned),
            master: style
                .named("master-page-name")
                .filter(|name| !name.is_empty())
                .map(str::to_owned),
            hidden: said("display").map(|display| display == "none"),
            size: said("font-size").and_then(points),
            colour,
            ground: grounds.last().map(str::to_owned),
        }
    }
}
