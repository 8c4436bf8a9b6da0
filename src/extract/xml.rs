//! One XML part as a tree of elements, known by namespace and local name and never by prefix. Streams
//! the input; depth is limited, document type declarations are refused, entities are the five of XML.

use std::collections::HashSet;
use std::rc::Rc;

use quick_xml::events::{BytesRef, BytesStart, Event};
use quick_xml::name::{Namespace, ResolveResult};
use quick_xml::{NsReader, XmlVersion};

use super::Refusal;
use crate::base::Limits;

/// The namespaces that are told apart; strict and transitional ones are the same here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ns {
    /// WordprocessingML.
    Word,
    /// SpreadsheetML.
    Sheet,
    /// Attributes that point to a relationship (`r:id`).
    Relation,
    /// A package's relationship parts.
    Package,
    /// Markup compatibility.
    Compatibility,
    /// Office Math.
    Math,
    /// DrawingML.
    Drawing,
    /// PresentationML.
    Presentation,
    /// OpenDocument: the text namespace, and all others of it.
    OdfText,
    Odf,
    /// None: most attributes of everything but WordprocessingML.
    Bare,
    Other,
}

impl Ns {
    fn of(uri: &str) -> Ns {
        match uri {
            "http://schemas.openxmlformats.org/wordprocessingml/2006/main"
            | "http://purl.oclc.org/ooxml/wordprocessingml/main" => Ns::Word,
            "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
            | "http://purl.oclc.org/ooxml/spreadsheetml/main" => Ns::Sheet,
            "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
            | "http://purl.oclc.org/ooxml/officeDocument/relationships" => Ns::Relation,
            "http://schemas.openxmlformats.org/package/2006/relationships" => Ns::Package,
            "http://schemas.openxmlformats.org/markup-compatibility/2006" => Ns::Compatibility,
            "http://schemas.openxmlformats.org/officeDocument/2006/math"
            | "http://purl.oclc.org/ooxml/officeDocument/math" => Ns::Math,
            "http://schemas.openxmlformats.org/drawingml/2006/main"
            | "http://purl.oclc.org/ooxml/drawingml/main" => Ns::Drawing,
            "http://schemas.openxmlformats.org/presentationml/2006/main"
            | "http://purl.oclc.org/ooxml/presentationml/main" => Ns::Presentation,
            "urn:oasis:names:tc:opendocument:xmlns:text:1.0" => Ns::OdfText,
            uri if uri.starts_with("urn:oasis:names:tc:opendocument:xmlns:") => Ns::Odf,
            _ => Ns::Other,
        }
    }
}

#[derive(Debug)]
pub(super) struct Element {
    pub(super) ns: Ns,
    pub(super) name: Rc<str>,
    attributes: Vec<(Ns, Rc<str>, String)>,
    pub(super) children: Vec<Node>,
}

#[derive(Debug)]
pub(super) enum Node {
    Element(Element),
    Text(String),
}

impl Element {
    /// Whether this is the element `name` of WordprocessingML.
    pub(super) fn is_word(&self, name: &str) -> bool {
        self.ns == Ns::Word && &*self.name == name
    }

    /// The value of an attribute. An attribute without prefix is taken for one of its element's
    /// namespace, as some writers leave the prefix out.
    pub(super) fn attribute(&self, ns: Ns, name: &str) -> Option<&str> {
        let find = |wanted: Ns| {
            self.attributes.iter().find(|(ns, other, _)| *ns == wanted && &**other == name)
        };
        find(ns).or_else(|| find(Ns::Bare)).map(|(_, _, value)| value.as_str())
    }

    /// The value of the first attribute called `name` in any namespace: in OpenDocument the names of
    /// an element's attributes differ without their prefixes, too.
    pub(super) fn named(&self, name: &str) -> Option<&str> {
        let mut attributes = self.attributes.iter();
        attributes.find(|(_, other, _)| &**other == name).map(|(_, _, value)| value.as_str())
    }

    /// The first child called `name` in any namespace.
    pub(super) fn named_child(&self, name: &str) -> Option<&Element> {
        self.elements().find(|element| &*element.name == name)
    }

    /// The text of this element and of all below.
    pub(super) fn deep_text(&self) -> String {
        let mut text = String::new();
        for node in &self.children {
            match node {
                Node::Text(piece) => text.push_str(piece),
                Node::Element(element) => text.push_str(&element.deep_text()),
            }
        }
        text
    }

    /// The attribute `name` of WordprocessingML.
    pub(super) fn word(&self, name: &str) -> Option<&str> {
        self.attribute(Ns::Word, name)
    }

    pub(super) fn elements(&self) -> impl Iterator<Item = &Element> {
        self.children.iter().filter_map(|node| match node {
            Node::Element(element) => Some(element),
            Node::Text(_) => None,
        })
    }

    /// The first child `name` of WordprocessingML.
    pub(super) fn child(&self, name: &str) -> Option<&Element> {
        self.elements().find(|element| element.is_word(name))
    }

    /// `w:val` of the first child `name`.
    pub(super) fn child_val(&self, name: &str) -> Option<&str> {
        self.child(name)?.word("val")
    }

    /// The text directly inside.
    pub(super) fn text(&self) -> String {
        let texts = self.children.iter().filter_map(|node| match node {
            Node::Text(text) => Some(text.as_str()),
            Node::Element(_) => None,
        });
        texts.collect()
    }

    /// Whether some element below satisfies `test`.
    pub(super) fn holds(&self, test: &dyn Fn(&Element) -> bool) -> bool {
        self.elements().any(|element| test(element) || element.holds(test))
    }
}

/// A tree, and what was wrong with the text it came from: a part that breaks off is read that far.
pub(super) struct Parsed {
    pub(super) root: Element,
    pub(super) damage: Option<String>,
}

/// Reads the part `name`.
///
/// # Errors
/// `Limit` for elements nested too deep, `Damaged` for a document type declaration and for what has
/// no root element.
pub(super) fn parse(name: &str, bytes: &[u8], limits: &Limits) -> Result<Parsed, Refusal> {
    let text = decode(bytes);
    let mut reader = NsReader::from_str(&text);
    reader.config_mut().check_end_names = false;
    let mut tree = Tree { names: HashSet::new(), open: Vec::new(), root: None };
    let mut damage = None;
    loop {
        match reader.read_event() {
            Ok(Event::Start(start)) => {
                if tree.open.len() >= limits.xml_depth_max {
                    return Err(Refusal::limit(format!(
                        "{name}: XML elements nested deeper than {}; no Office program writes this",
                        limits.xml_depth_max
                    )));
                }
                let element = tree.element(&reader, &start);
                tree.open.push(element);
            }
            Ok(Event::Empty(start)) => {
                let element = tree.element(&reader, &start);
                tree.close(element);
            }
            Ok(Event::End(_)) => {
                if let Some(element) = tree.open.pop() {
                    tree.close(element);
                }
            }
            Ok(Event::Text(text)) => tree.text(&text.xml10_content()),
            Ok(Event::CData(text)) => tree.text(&text.xml10_content()),
            Ok(Event::GeneralRef(reference)) => {
                tree.text(referenced(&reference).encode_utf8(&mut [0; 4]));
            }
            Ok(Event::DocType(_)) => {
                return Err(Refusal::damaged(format!(
                    "{name}: a document type declaration, which Office files never hold"
                )));
            }
            Ok(Event::Eof) => break,
            Ok(_) => {}
            Err(error) => {
                damage =
                    Some(format!("{name} breaks off at byte {}: {error}", reader.error_position()));
                break;
            }
        }
    }
    if damage.is_none() && !tree.open.is_empty() {
        damage =
            Some(format!("{name} breaks off inside <{}>", tree.open[tree.open.len() - 1].name));
    }
    while let Some(element) = tree.open.pop() {
        tree.close(element);
    }
    match tree.root {
        Some(root) => Ok(Parsed { root, damage }),
        None => Err(Refusal::damaged(format!("{name}: no XML in it"))),
    }
}

/// XML parts are UTF-8 or UTF-16 (ECMA-376 part 2, 6.1.2).
fn decode(bytes: &[u8]) -> String {
    match encoding_rs::Encoding::for_bom(bytes) {
        Some((encoding, bom)) => encoding.decode_without_bom_handling(&bytes[bom..]).0.into_owned(),
        None if bytes.starts_with(b"<\0") => encoding_rs::UTF_16LE.decode(bytes).0.into_owned(),
        None => String::from_utf8_lossy(bytes).into_owned(),
    }
}

/// The tree while it is built.
struct Tree {
    /// Element and attribute names, each kept once.
    names: HashSet<Rc<str>>,
    open: Vec<Element>,
    root: Option<Element>,
}

impl Tree {
    fn intern(&mut self, name: &str) -> Rc<str> {
        if let Some(known) = self.names.get(name) {
            return known.clone();
        }
        let name: Rc<str> = name.into();
        self.names.insert(name.clone());
        name
    }

    fn element(&mut self, reader: &NsReader<&[u8]>, start: &BytesStart<'_>) -> Element {
        let resolver = reader.resolver();
        let (ns, local) = resolver.resolve_element(start.name());
        let ns = namespace(&ns);
        let name = self.intern(local.as_ref());
        let mut attributes = Vec::new();
        for attribute in start.attributes().with_checks(false).flatten() {
            let (ns, local) = resolver.resolve_attribute(attribute.key);
            let local = local.as_ref();
            // Revision save ids: half of a Word file's attributes, and never asked for.
            if local.starts_with("rsid") || attribute.key.as_namespace_binding().is_some() {
                continue;
            }
            let ns = namespace(&ns);
            let value = attribute
                .normalized_value(XmlVersion::Implicit1_0)
                .map_or_else(|_| attribute.value.clone().into_owned(), |value| value.into_owned());
            attributes.push((ns, self.intern(local), value));
        }
        attributes.shrink_to_fit();
        Element { ns, name, attributes, children: Vec::new() }
    }

    fn close(&mut self, element: Element) {
        match self.open.last_mut() {
            Some(parent) => parent.children.push(Node::Element(element)),
            None => {
                self.root.get_or_insert(element);
            }
        }
    }

    fn text(&mut self, text: &str) {
        let Some(parent) = self.open.last_mut() else { return };
        match parent.children.last_mut() {
            Some(Node::Text(before)) => before.push_str(text),
            _ => parent.children.push(Node::Text(text.to_owned())),
        }
    }
}

fn namespace(resolved: &ResolveResult<'_>) -> Ns {
    match resolved {
        ResolveResult::Bound(Namespace(uri)) => Ns::of(uri),
        ResolveResult::Unbound => Ns::Bare,
        ResolveResult::Unknown(_) => Ns::Other,
    }
}

/// The character that a reference stands for (XML 1.0, 4.1 and 4.6): by number, or one of the five names
/// that need no declaration. Others have one in a document type, which is refused; they become U+FFFD.
pub(super) fn referenced(reference: &BytesRef<'_>) -> char {
    if let Ok(Some(by_number)) = reference.resolve_char_ref() {
        return by_number;
    }
    match &*reference.xml10_content() {
        "amp" => '&',
        "lt" => '<',
        "gt" => '>',
        "quot" => '"',
        "apos" => '\'',
        _ => char::REPLACEMENT_CHARACTER,
    }
}
