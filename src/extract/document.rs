//! What a document is once it has been read: pages of blocks in two layers with the way between them.
//! Not how any format gets there; that is each reader's.

use std::collections::BTreeMap;
use std::ops::Range;

use serde::{Deserialize, Serialize};

use super::layers::OffsetMap;
use crate::base::{Format, Limits};

/// A document as read.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Document {
    pub format: Format,
    /// In reading order, numbered from 1 without gaps.
    pub pages: Vec<Page>,
    /// Title, author, producer and the like, as the file states them.
    pub properties: BTreeMap<String, String>,
    /// Tracked changes, comments and the like, as facts beside the text.
    pub remarks: Vec<Remark>,
}

impl Document {
    /// Whether text recognition was asked about any page.
    pub fn was_recognized(&self) -> bool {
        self.pages.iter().any(|page| page.facts.confidence.is_some())
    }

    /// What is wrong with a document that another process made, or nothing. A document that passes
    /// can be indexed by its own ranges.
    pub fn unsound(&self, limits: &Limits) -> Option<String> {
        if self.pages.len() > limits.pages_max {
            return Some(format!("{} pages, more than {}", self.pages.len(), limits.pages_max));
        }
        self.pages.iter().enumerate().find_map(|(index, page)| {
            let fault = if page.number as usize != index + 1 {
                "is misnumbered"
            } else if page.verbatim.len() > u32::MAX as usize
                || page.model.len() > u32::MAX as usize
            {
                "is too long"
            } else if !page.map.fits(&page.model, &page.verbatim) {
                "has layers that do not fit its map"
            } else if !page.blocks_are_ordered() {
                "has blocks outside its text"
            } else {
                return None;
            };
            Some(format!("page {} {fault}", index + 1))
        })
    }
}

impl Page {
    /// The text of one of its blocks in the verbatim layer.
    pub fn verbatim_of(&self, block: &Block) -> &str {
        let range = block.verbatim.start as usize..block.verbatim.end as usize;
        self.verbatim.get(range).unwrap_or_default()
    }

    /// The clause that the byte `at` of the verbatim layer belongs to.
    pub fn clause_at(&self, at: u32) -> Option<&str> {
        let index = self.blocks.partition_point(|block| block.verbatim.end <= at);
        self.blocks.get(index)?.clause.as_deref()
    }

    fn blocks_are_ordered(&self) -> bool {
        let (mut verbatim, mut model) = (0, 0);
        self.blocks.iter().all(|block| {
            let ordered = block.verbatim.start >= verbatim && block.model.start >= model;
            (verbatim, model) = (block.verbatim.end, block.model.end);
            let inside = |text: &str, range: &Range<u32>| {
                text.get(range.start as usize..range.end as usize).is_some()
            };
            ordered && inside(&self.verbatim, &block.verbatim) && inside(&self.model, &block.model)
        })
    }
}

/// A page of a PDF, a sheet of a workbook, or a part of a DOCX (body, footnotes, …).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Page {
    /// Counted from 1.
    pub number: u32,
    /// What a person calls it: the page label, the sheet's name, the part's name.
    pub label: String,
    pub state: PageState,
    /// The verbatim layer: what is printed, hyphens and ligatures kept.
    pub verbatim: String,
    /// The model layer: what the model reads, made from the verbatim layer.
    pub model: String,
    /// The exact way from the model layer back to the verbatim layer.
    pub map: OffsetMap,
    /// In reading order; their ranges ascend and do not overlap, in either layer.
    pub blocks: Vec<Block>,
    /// Text that a reader of the page does not see; in neither layer.
    pub hidden: Vec<Hidden>,
    #[serde(default)]
    pub facts: PageFacts,
    /// What `extract::picture` asked for; never leaves the process that drew it so.
    #[serde(skip)]
    pub picture: Option<Vec<u8>>,
}

/// How a page was read, where there is something to say of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PageFacts {
    /// Glyphs that have no known character.
    pub unmapped: u32,
    /// Share of the page that pictures cover, in hundredths.
    pub picture_percent: u8,
    pub origin: TextOrigin,
    /// The page is a picture of text, as far as can be told, and that text was not read.
    #[serde(default)]
    pub unread_picture: bool,
    /// How sure text recognition was, 0 to 100, the mean over its characters; 0 where it found none. None
    /// where it was not asked.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub confidence: Option<u8>,
}

/// Where a page's text comes from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TextOrigin {
    /// From the file, as it is shown.
    #[default]
    Print,
    /// From an unseen layer over a picture, which somebody else's text recognition made.
    OcrLayer,
    /// Recognized in the picture of the page.
    Ocr,
}

/// What became of a page.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PageState {
    Read,
    /// Nothing is on it.
    Empty,
    /// Only a picture is on it, and no text was found in the picture.
    ImageOnly,
    /// Not read, and why.
    Skipped(String),
}

/// A run of text with one role.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Block {
    pub role: Role,
    /// Bytes of the page's verbatim layer.
    pub verbatim: Range<u32>,
    /// Bytes of the page's model layer.
    pub model: Range<u32>,
    /// The computed or printed clause number ("4.2", "(a)") that starts the block's text, if any.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub label: Option<String>,
    /// The clause that the block belongs to, from the outermost number in ("4.2(a)(iii)").
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub clause: Option<String>,
    /// Left, bottom, right, top in PDF points, where known.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub place: Option<[f32; 4]>,
}

/// What a block is on its page.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    Paragraph,
    /// Level 1 is the highest.
    Heading(u8),
    ListItem,
    /// A row of a table, its cells separated by " | " (verbatim: by a tab).
    TableRow,
    /// The row that names the columns of the rows after it.
    TableHeader,
    PageHeader,
    PageFooter,
    Note,
    FormField,
    Annotation,
}

/// Text that is in the file and that a reader of the page does not see.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hidden {
    pub text: String,
    /// For instance "w:vanish", "hidden row 7", "invisible text mode".
    pub why: String,
}

/// A fact that stands beside the text.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Remark {
    pub kind: RemarkKind,
    pub page: u32,
    pub author: String,
    /// As the file states it.
    pub date: String,
    pub text: String,
    /// What a comment is about: the text it is attached to, or its cell.
    #[serde(skip_serializing_if = "String::is_empty", default)]
    pub anchor: String,
    /// The index, among its page's blocks, of the block that it stands in, where known.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub block: Option<u32>,
    /// The clause that it stands in ("4.2(a)"), where known.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub clause: Option<String>,
}

impl Remark {
    /// A remark on the first page.
    pub(super) fn new(kind: RemarkKind, author: &str, date: &str, text: &str) -> Remark {
        Remark {
            kind,
            page: 1,
            author: author.trim().to_owned(),
            date: date.trim().to_owned(),
            text: text.to_owned(),
            anchor: String::new(),
            block: None,
            clause: None,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RemarkKind {
    Insertion,
    Deletion,
    /// Text that now stands elsewhere.
    MovedAway,
    /// Text that stood elsewhere.
    MovedHere,
    Comment,
    /// What a cell computes.
    Formula,
    /// A cell's number that is displayed rounded.
    RawValue,
}

impl RemarkKind {
    /// Whether it was done to the document: by whom and when is for the record.
    pub fn is_review(self) -> bool {
        !matches!(self, RemarkKind::Formula | RemarkKind::RawValue)
    }
}
