//! The glyph stage: content streams → glyphs in the order they are drawn, each with its character,
//! its place on the page as shown (points, y upwards) and whether a reader can see it. No layout.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use hayro_interpret::hayro_cmap::{CMapName, load_embedded};
use hayro_interpret::hayro_syntax::object::{Array, Dict};
use hayro_interpret::hayro_syntax::page::Page;
use hayro_interpret::kurbo::{Affine, Rect, Vec2};
use hayro_interpret::{
    Context, InterpreterCache, InterpreterSettings, InterpreterWarning, RenderContent,
    interpret_page,
};

use super::collections::Collections;
use super::collector::Collector;
use super::cover;

/// Whether a person who looks at the page sees a glyph, and why not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Layer {
    Visible,
    /// Text rendering mode 3, or 7 where nothing is painted through it.
    Invisible,
    /// Under an opaque picture that was drawn later.
    UnderPicture,
    Tiny,
    OffPage,
    Clipped,
    Transparent,
    /// In the colour of what lies under it.
    GroundColour,
    /// Under an opaque shape that was drawn later.
    Covered,
    /// In optional content that is switched off.
    SwitchedOff,
}

impl Layer {
    /// Every layer that is not seen, in the order of a record.
    pub(super) const HIDDEN: [Layer; 9] = [
        Layer::Invisible,
        Layer::Tiny,
        Layer::OffPage,
        Layer::Clipped,
        Layer::Transparent,
        Layer::GroundColour,
        Layer::Covered,
        Layer::UnderPicture,
        Layer::SwitchedOff,
    ];

    /// Why it is not seen.
    pub(super) fn why(self) -> &'static str {
        match self {
            Layer::Visible => "",
            Layer::Invisible => "invisible text mode",
            Layer::Tiny => "smaller than 2 points",
            Layer::OffPage => "outside of the page",
            Layer::Clipped => "clipped away",
            Layer::Transparent => "fully transparent",
            Layer::GroundColour => "in the colour of its ground",
            Layer::Covered => "covered by a shape",
            Layer::UnderPicture => "covered by a picture",
            Layer::SwitchedOff => "in a layer that is switched off",
        }
    }
}

/// One character at its place.
#[derive(Clone, Copy, Debug)]
pub(super) struct Glyph {
    pub(super) text: char,
    /// Where the pen stood.
    pub(super) x: f32,
    pub(super) y: f32,
    /// Unit vector of the writing direction.
    pub(super) dx: f32,
    pub(super) dy: f32,
    /// The font's size on the page, in points.
    pub(super) size: f32,
    /// How far the pen moves along the direction, in points. A glyph of several characters is several
    /// of these, all but the first without advance.
    pub(super) advance: f32,
    pub(super) layer: Layer,
}

/// How far (in sizes) a letter may stand from the end of the one before it in its word.
const WITHIN_WORD: f32 = 0.15;

impl Glyph {
    /// Whether it is in one word with `before`, which was drawn just before it.
    pub(super) fn goes_on(&self, before: &Glyph) -> bool {
        let x = before.x + before.dx * before.advance - self.x;
        let y = before.y + before.dy * before.advance - self.y;
        let apart = before.text.is_whitespace() || self.text.is_whitespace();
        !apart && x.hypot(y) < WITHIN_WORD * self.size
    }

    /// The part of it that must be seen for it to be read: between the pen's two places, from the
    /// baseline to about the height of an x.
    pub(super) fn core(&self) -> Rect {
        let pen = Vec2::new(self.x.into(), self.y.into());
        let along = Vec2::new(self.dx.into(), self.dy.into());
        let up = Vec2::new(-along.y, along.x) * f64::from(self.size);
        let step = along * f64::from(self.advance.max(0.2 * self.size));
        let (near, far) = (pen + 0.1 * step + 0.05 * up, pen + 0.9 * step + 0.45 * up);
        Rect::from_points(near.to_point(), far.to_point())
    }
}

/// What the content streams of one page draw.
pub(super) struct PageGlyphs {
    pub(super) height: f32,
    /// By the page's own content, in drawing order.
    pub(super) drawn: Vec<Glyph>,
    /// By its annotations.
    pub(super) annotations: Vec<Glyph>,
    /// Replacement texts that say something else than what is printed.
    pub(super) replaced: Vec<String>,
    /// Thin lines, as tables are ruled with.
    pub(super) rules: Vec<Rect>,
    pub(super) images: usize,
    /// Share of the page that images cover, 0 to 1.
    pub(super) image_cover: f32,
    /// Paths filled or stroked.
    pub(super) shapes: usize,
    /// Glyphs without a known character.
    pub(super) unmapped: usize,
    /// Fonts that could not be loaded.
    pub(super) fonts_failed: u32,
}

/// The glyphs of `page`.
///
/// # Errors
/// Why the page cannot be read: content missing or undecodable, or more than `text_bytes_max` of text.
pub(super) fn of_page<'a>(
    page: &Page<'a>,
    cache: &InterpreterCache<'a>,
    text_bytes_max: usize,
) -> Result<PageGlyphs, String> {
    if page.page_stream().is_none() && page.raw().contains_key("Contents") {
        return Err("its content is missing or cannot be decoded".to_owned());
    }
    let (width, height) = page.render_dimensions();
    let fonts_failed = Arc::new(AtomicU32::new(0));
    let mut collector = Collector::new(width, height, text_bytes_max);
    let draw = |collector: &mut Collector, content: RenderContent| {
        let counter = Arc::clone(&fonts_failed);
        let settings = InterpreterSettings {
            render_content: content,
            warning_sink: Arc::new(move |warning| {
                if matches!(warning, InterpreterWarning::UnsupportedFont) {
                    counter.fetch_add(1, Ordering::Relaxed);
                }
            }),
            cmap_resolver: Arc::new(cmap),
            ..InterpreterSettings::default()
        };
        let to_page = Affine::new(page.initial_transform(false).as_coeffs());
        let bounds = Rect::new(0.0, 0.0, width.into(), height.into());
        let mut context = Context::new(to_page, bounds, cache, page.xref(), settings);
        interpret_page(page, &mut context, collector);
    };
    draw(&mut collector, RenderContent::PAGE);
    if collector.unmapped > 0 {
        // Seldom needed, and not to be had from a glyph: what the page's own fonts say of their numbers.
        let collections = Collections::of_page(page);
        if !collections.is_empty() {
            collector = Collector::new(width, height, text_bytes_max);
            collector.collections = collections;
            draw(&mut collector, RenderContent::PAGE);
        }
    }
    let own = collector.glyphs.len();
    if draws_annotations(page) {
        draw(&mut collector, RenderContent::ANNOTATIONS);
    }
    if collector.text_bytes > text_bytes_max {
        return Err(format!("it holds more than {text_bytes_max} bytes of text"));
    }
    let mut drawn = collector.glyphs;
    cover::mend_cut_words(&mut drawn);
    cover::hide_covered(&mut drawn, &collector.canvas);
    let annotations = drawn.split_off(own);
    Ok(PageGlyphs {
        height,
        drawn: cover::without_doubles(drawn),
        annotations: cover::without_doubles(annotations),
        replaced: collector.replaced.hidden,
        rules: collector.canvas.rules,
        images: collector.images,
        image_cover: (collector.image_area / f64::from(width * height)).min(1.0) as f32,
        shapes: collector.shapes,
        unmapped: collector.unmapped,
        fonts_failed: fonts_failed.load(Ordering::Relaxed),
    })
}

/// The two identities as the Adobe character maps have them. Many a file names one as its ToUnicode, and hayro
/// would unpack all of its maps to find it.
const IDENTITY_H: &[u8] =
    b"/CIDSystemInfo 3 dict dup begin /Registry (Adobe) def /Ordering (Identity) def \
    /Supplement 0 def end def /CMapName /Identity-H def /WMode 0 def \
    1 begincidrange <0000> <ffff> 0 endcidrange";
const IDENTITY_V: &[u8] =
    b"/CIDSystemInfo 3 dict dup begin /Registry (Adobe) def /Ordering (Identity) def \
    /Supplement 0 def end def /CMapName /Identity-V def /WMode 1 def \
    1 begincidrange <0000> <ffff> 0 endcidrange";

fn cmap(name: CMapName<'_>) -> Option<&'static [u8]> {
    match name {
        CMapName::IdentityH => Some(IDENTITY_H),
        CMapName::IdentityV => Some(IDENTITY_V),
        other => load_embedded(other),
    }
}

/// Whether any annotation has an appearance.
fn draws_annotations(page: &Page<'_>) -> bool {
    let annotations = page.raw().get::<Array<'_>>("Annots");
    annotations.is_some_and(|list| list.iter::<Dict<'_>>().any(|dict| dict.contains_key("AP")))
}
