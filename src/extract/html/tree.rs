//! HTML → a tree, as browsers build it (html5ever, WHATWG HTML 13.2). Only the tree: what is shown and
//! what is hidden is asked elsewhere.

use std::borrow::Cow;
use std::cell::{Cell, Ref, RefCell};

use html5ever::interface::{ElementFlags, NodeOrText, QuirksMode, TreeSink};
use html5ever::tendril::{StrTendril, TendrilSink};
use html5ever::tree_builder::TreeBuilderOpts;
use html5ever::{Attribute, ParseOpts, QualName, ns, parse_document};

use crate::base::Limits;

/// The root of every tree.
pub(super) const ROOT: usize = 0;

/// Text that is handed to the parser at once; the limits are looked at in between.
const FEED_BYTES: usize = 1024;

/// Nodes by number.
pub(super) struct Tree {
    nodes: Vec<Node>,
    /// Why what follows is not in the tree.
    pub(super) cut: Option<String>,
}

struct Node {
    parent: Option<usize>,
    children: Vec<usize>,
    depth: usize,
    kind: Kind,
}

pub(super) enum Kind {
    Element {
        name: QualName,
        attributes: Vec<Attribute>,
    },
    Text(String),
    /// The document, a comment, the contents of a template.
    Other,
}

impl Tree {
    /// Builds the tree of `text`; one that grows too deep or too large is cut there.
    pub(super) fn of(text: &str, limits: &Limits) -> Tree {
        let options = ParseOpts {
            // As in a browser: what stands in <noscript> is not shown.
            tree_builder: TreeBuilderOpts { scripting_enabled: true, ..Default::default() },
            ..Default::default()
        };
        let mut parser = parse_document(Growing::default(), options);
        let mut rest = text;
        let mut cut = None;
        while !rest.is_empty() {
            let mut end = rest.len().min(FEED_BYTES);
            while !rest.is_char_boundary(end) {
                end -= 1;
            }
            let (piece, after) = rest.split_at(end);
            rest = after;
            parser.process(StrTendril::from(piece));
            let sink = &parser.tokenizer.sink.sink;
            let (depth, nodes) = (sink.depth.get(), sink.nodes.borrow().len());
            if depth > limits.html_depth_max {
                cut = Some(format!(
                    "elements are nested deeper than {}: what follows is not read",
                    limits.html_depth_max
                ));
            } else if nodes > limits.html_nodes_max {
                cut = Some(format!(
                    "more than {} elements and texts: what follows is not read",
                    limits.html_nodes_max
                ));
            }
            if cut.is_some() {
                break;
            }
        }
        Tree { cut, ..parser.finish() }
    }

    pub(super) fn kind(&self, node: usize) -> &Kind {
        &self.nodes[node].kind
    }

    pub(super) fn children(&self, node: usize) -> &[usize] {
        &self.nodes[node].children
    }

    pub(super) fn parent(&self, node: usize) -> Option<usize> {
        self.nodes[node].parent
    }

    /// The local name of an element, empty for anything else.
    pub(super) fn name(&self, node: usize) -> &str {
        match &self.nodes[node].kind {
            Kind::Element { name, .. } => &name.local,
            _ => "",
        }
    }

    pub(super) fn is_html(&self, node: usize) -> bool {
        matches!(&self.nodes[node].kind, Kind::Element { name, .. } if name.ns == ns!(html))
    }

    pub(super) fn attribute(&self, node: usize, wanted: &str) -> Option<&str> {
        let Kind::Element { attributes, .. } = &self.nodes[node].kind else { return None };
        let found = attributes.iter().find(|attribute| &*attribute.name.local == wanted)?;
        Some(&found.value)
    }

    /// All text below, as it stands there.
    pub(super) fn text(&self, node: usize) -> String {
        let mut text = String::new();
        let mut open = vec![node];
        while let Some(node) = open.pop() {
            if let Kind::Text(piece) = &self.nodes[node].kind {
                text.push_str(piece);
            }
            open.extend(self.nodes[node].children.iter().rev());
        }
        text
    }

    /// All elements, in the order of the document.
    pub(super) fn elements(&self) -> impl Iterator<Item = usize> {
        let mut open = vec![ROOT];
        std::iter::from_fn(move || {
            loop {
                let node = open.pop()?;
                open.extend(self.nodes[node].children.iter().rev());
                if matches!(self.nodes[node].kind, Kind::Element { .. }) {
                    return Some(node);
                }
            }
        })
    }
}

/// The tree while html5ever builds it.
struct Growing {
    nodes: RefCell<Vec<Node>>,
    depth: Cell<usize>,
}

impl Default for Growing {
    fn default() -> Growing {
        let root = Node { parent: None, children: Vec::new(), depth: 0, kind: Kind::Other };
        Growing { nodes: RefCell::new(vec![root]), depth: Cell::new(0) }
    }
}

impl Growing {
    fn node(&self, kind: Kind) -> usize {
        let mut nodes = self.nodes.borrow_mut();
        nodes.push(Node { parent: None, children: Vec::new(), depth: 0, kind });
        nodes.len() - 1
    }

    /// Puts `child` below `parent` before the child number `at`, or last.
    fn insert(&self, parent: usize, at: Option<usize>, child: NodeOrText<usize>) {
        let mut nodes = self.nodes.borrow_mut();
        let at = at.unwrap_or(nodes[parent].children.len());
        let child = match child {
            NodeOrText::AppendNode(child) => child,
            NodeOrText::AppendText(text) => {
                let before = at.checked_sub(1).map(|before| nodes[parent].children[before]);
                if let Some(before) = before
                    && let Kind::Text(known) = &mut nodes[before].kind
                {
                    known.push_str(&text);
                    return;
                }
                let kind = Kind::Text(text.to_string());
                nodes.push(Node { parent: None, children: Vec::new(), depth: 0, kind });
                nodes.len() - 1
            }
        };
        let depth = nodes[parent].depth + 1;
        self.depth.set(self.depth.get().max(depth));
        nodes[child].depth = depth;
        nodes[child].parent = Some(parent);
        nodes[parent].children.insert(at, child);
    }

    /// The parent of a node and its place there, sought from the end, where the builder works.
    fn place(&self, node: usize) -> Option<(usize, usize)> {
        let nodes = self.nodes.borrow();
        let parent = nodes[node].parent?;
        let at = nodes[parent].children.iter().rposition(|child| *child == node)?;
        Some((parent, at))
    }
}

impl TreeSink for Growing {
    type Handle = usize;
    type Output = Tree;
    type ElemName<'a> = Ref<'a, QualName>;

    fn finish(self) -> Tree {
        Tree { nodes: self.nodes.into_inner(), cut: None }
    }

    fn parse_error(&self, _: Cow<'static, str>) {}

    fn get_document(&self) -> usize {
        ROOT
    }

    fn elem_name<'a>(&'a self, target: &'a usize) -> Ref<'a, QualName> {
        Ref::map(self.nodes.borrow(), |nodes| match &nodes[*target].kind {
            Kind::Element { name, .. } => name,
            _ => unreachable!("the builder asks elements only for their names"),
        })
    }

    fn create_element(&self, name: QualName, attributes: Vec<Attribute>, _: ElementFlags) -> usize {
        self.node(Kind::Element { name, attributes })
    }

    fn create_comment(&self, _: StrTendril) -> usize {
        self.node(Kind::Other)
    }

    fn create_pi(&self, _: StrTendril, _: StrTendril) -> usize {
        self.node(Kind::Other)
    }

    fn append(&self, parent: &usize, child: NodeOrText<usize>) {
        self.insert(*parent, None, child);
    }

    fn append_based_on_parent_node(
        &self,
        element: &usize,
        previous: &usize,
        child: NodeOrText<usize>,
    ) {
        match self.place(*element) {
            Some(_) => self.append_before_sibling(element, child),
            None => self.append(previous, child),
        }
    }

    fn append_doctype_to_document(&self, _: StrTendril, _: StrTendril, _: StrTendril) {}

    /// A template's contents are no part of the page: they hang below nothing.
    fn get_template_contents(&self, _: &usize) -> usize {
        self.node(Kind::Other)
    }

    fn same_node(&self, x: &usize, y: &usize) -> bool {
        x == y
    }

    fn set_quirks_mode(&self, _: QuirksMode) {}

    fn append_before_sibling(&self, sibling: &usize, child: NodeOrText<usize>) {
        if let NodeOrText::AppendNode(node) = &child {
            self.remove_from_parent(node);
        }
        if let Some((parent, at)) = self.place(*sibling) {
            self.insert(parent, Some(at), child);
        }
    }

    fn add_attrs_if_missing(&self, target: &usize, more: Vec<Attribute>) {
        if let Kind::Element { attributes, .. } = &mut self.nodes.borrow_mut()[*target].kind {
            for attribute in more {
                if !attributes.iter().any(|known| known.name == attribute.name) {
                    attributes.push(attribute);
                }
            }
        }
    }

    fn remove_from_parent(&self, target: &usize) {
        if let Some((parent, at)) = self.place(*target) {
            let mut nodes = self.nodes.borrow_mut();
            nodes[parent].children.remove(at);
            nodes[*target].parent = None;
        }
    }

    fn reparent_children(&self, node: &usize, parent: &usize) {
        let children = std::mem::take(&mut self.nodes.borrow_mut()[*node].children);
        for child in children {
            self.insert(*parent, None, NodeOrText::AppendNode(child));
        }
    }
}
