//! The glyph stage: content streams → glyphs in the order they are drawn, each with its character,
//! its place on the page as shown (points, y upwards) and whether a reader can see it. No layout.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use hayro_interpret::font::{Glyph as HayroGlyph, GlyphRun, PositionedGlyph};
use hayro_interpret::hayro_cmap::{BfString, WritingMode};
use hayro_interpret::hayro_syntax::object::{Array, Dict, Name};
use hayro_interpret::hayro_syntax::page::Page;
use hayro_interpret::kurbo::{Affine, BezPath, Point, Rect, Shape, Vec2};
use hayro_interpret::{
    BlendMode, ClipPath, Context, Device, DrawMode, DrawProps, Image, ImageDrawProps,
    InterpreterCache, InterpreterSettings, InterpreterWarning, RenderContent, SoftMask,
    interpret_page,
};

use super::TINY_POINTS;
use super::unmapped::FontMaps;

/// Whether a person who looks at the page sees a glyph, and why not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Layer {
    Visible,
    /// Text rendering mode 3 or 7.
    Invisible,
    Tiny,
    OffPage,
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

/// What the content streams of one page draw.
pub(super) struct PageGlyphs {
    pub(super) height: f32,
    /// By the page's own content, in drawing order.
    pub(super) drawn: Vec<Glyph>,
    /// By its annotations, of which only visible glyphs are kept.
    pub(super) annotations: Vec<Glyph>,
    /// Whether all annotations with an appearance are form fields.
    pub(super) only_widgets: bool,
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
            ..InterpreterSettings::default()
        };
        let to_page = Affine::new(page.initial_transform(false).as_coeffs());
        let bounds = Rect::new(0.0, 0.0, width.into(), height.into());
        let mut context = Context::new(to_page, bounds, cache, page.xref(), settings);
        interpret_page(page, &mut context, collector);
    };
    draw(&mut collector, RenderContent::PAGE);
    let drawn = std::mem::take(&mut collector.glyphs);
    let (with_appearance, widgets) = count_annotations(page);
    if with_appearance > 0 {
        draw(&mut collector, RenderContent::ANNOTATIONS);
    }
    let mut annotations = std::mem::take(&mut collector.glyphs);
    annotations.retain(|glyph| glyph.layer == Layer::Visible);
    if collector.text_bytes > text_bytes_max {
        return Err(format!("it holds more than {text_bytes_max} bytes of text"));
    }
    Ok(PageGlyphs {
        height,
        drawn,
        annotations,
        only_widgets: widgets == with_appearance,
        images: collector.images,
        image_cover: (collector.image_area / f64::from(width * height)).min(1.0) as f32,
        shapes: collector.shapes,
        unmapped: collector.unmapped,
        fonts_failed: fonts_failed.load(Ordering::Relaxed),
    })
}

/// Annotations that draw something, and how many of them are form fields.
fn count_annotations(page: &Page<'_>) -> (usize, usize) {
    let Some(annotations) = page.raw().get::<Array<'_>>("Annots") else { return (0, 0) };
    let (mut all, mut widgets) = (0, 0);
    for annotation in annotations.iter::<Dict<'_>>() {
        if annotation.contains_key("AP") {
            all += 1;
            let is_widget =
                annotation.get::<Name<'_>>("Subtype").is_some_and(|name| name.as_str() == "Widget");
            widgets += usize::from(is_widget);
        }
    }
    (all, widgets)
}

/// The device: takes glyphs, notes images, and draws nothing.
struct Collector {
    bounds: Rect,
    glyphs: Vec<Glyph>,
    text_bytes: usize,
    text_bytes_max: usize,
    images: usize,
    image_area: f64,
    shapes: usize,
    unmapped: usize,
    font_maps: FontMaps,
    /// Of the run drawn last: glyphs, place of the first and last. Filled and stroked text comes as
    /// two runs.
    last_run: Option<(usize, [f64; 6], [f64; 6])>,
}

impl Collector {
    fn new(width: f32, height: f32, text_bytes_max: usize) -> Collector {
        Collector {
            bounds: Rect::new(0.0, 0.0, width.into(), height.into()),
            glyphs: Vec::new(),
            text_bytes: 0,
            text_bytes_max,
            images: 0,
            image_area: 0.0,
            shapes: 0,
            unmapped: 0,
            font_maps: FontMaps::default(),
            last_run: None,
        }
    }

    fn push(&mut self, mut glyph: Glyph, text: &BfString) {
        match text {
            BfString::Char(c) => self.push_char(glyph, *c),
            BfString::String(string) => {
                for c in string.chars() {
                    self.push_char(glyph, c);
                    glyph.x += glyph.dx * glyph.advance;
                    glyph.y += glyph.dy * glyph.advance;
                    glyph.advance = 0.0;
                }
            }
        }
    }

    fn push_char(&mut self, mut glyph: Glyph, c: char) {
        glyph.text = match c {
            '\t' | '\n' | '\r' | '\u{2028}' | '\u{2029}' => ' ',
            '\0' => {
                self.unmapped += 1;
                '\u{fffd}'
            }
            c if c.is_control() => return,
            c => c,
        };
        self.text_bytes += glyph.text.len_utf8();
        self.glyphs.push(glyph);
    }

    fn character(&mut self, glyph: &HayroGlyph<'_>) -> BfString {
        if let Some(text) = glyph.as_unicode() {
            return text;
        }
        if let HayroGlyph::Outline(outline) = glyph {
            if let Some(c) = self.font_maps.character(outline) {
                return BfString::Char(c);
            }
            if outline.outline().elements().is_empty() {
                return BfString::Char(' ');
            }
        }
        self.unmapped += 1;
        BfString::Char('\u{fffd}')
    }

    fn layer(&self, at: Point, size: f32, mode: &DrawMode) -> Layer {
        // A glyph that hangs over the edge by its own size may still show.
        let seen = self.bounds.inflate(size.into(), size.into());
        if matches!(mode, DrawMode::Invisible) {
            Layer::Invisible
        } else if !seen.contains(at) {
            Layer::OffPage
        } else if size < TINY_POINTS && self.bounds.height() > 200.0 {
            // On a page the size of a stamp small text is in proportion.
            Layer::Tiny
        } else {
            Layer::Visible
        }
    }
}

impl<'a> Device<'a> for Collector {
    fn draw_glyph_run(
        &mut self,
        run: &GlyphRun<'_, 'a>,
        props: DrawProps<'a>,
        draw_mode: &DrawMode,
    ) {
        let glyphs = run.glyphs();
        let (Some(first), Some(last)) = (glyphs.first(), glyphs.last()) else { return };
        if self.text_bytes > self.text_bytes_max {
            return;
        }
        let key = (
            glyphs.len(),
            (props.transform * first.transform()).as_coeffs(),
            last.transform().as_coeffs(),
        );
        if matches!(draw_mode, DrawMode::Stroke(_)) && self.last_run == Some(key) {
            return;
        }
        self.last_run = Some(key);
        let vertical = matches!(run.writing_mode(), WritingMode::Vertical);
        // hayro stretches substitutes of missing fonts to the width that the PDF states; where any
        // glyph of the run is not stretched, the text is set at its natural width.
        let natural = glyphs.iter().any(|glyph| {
            let (x, y) = axes(props.transform * glyph.transform());
            (x.hypot() - y.hypot()).abs() <= 0.01 * y.hypot()
        });
        let type3_size = type3_size(&props, glyphs);
        for glyph in glyphs {
            let transform = props.transform * glyph.transform();
            let (x_axis, y_axis) = axes(transform);
            let em = if natural { y_axis.hypot() } else { x_axis.hypot() };
            let size = type3_size.unwrap_or(y_axis.hypot());
            let (direction, advance) = if vertical {
                (-y_axis, size)
            } else {
                (x_axis, f64::from(advance_width(glyph)) / 1000.0 * em)
            };
            let unit = direction / direction.hypot();
            let at = transform * Point::ZERO;
            if !(at.is_finite() && unit.is_finite() && advance.is_finite()) {
                continue;
            }
            let size = size as f32;
            let text = self.character(glyph);
            let glyph = Glyph {
                text: ' ',
                x: at.x as f32,
                y: at.y as f32,
                dx: unit.x as f32,
                dy: unit.y as f32,
                size,
                advance: advance as f32,
                layer: self.layer(at, size, draw_mode),
            };
            self.push(glyph, &text);
        }
    }

    fn draw_image(&mut self, image: Image<'a, '_>, props: ImageDrawProps<'a>) {
        self.images += 1;
        let pixels = Rect::new(0.0, 0.0, image.width().into(), image.height().into());
        let shown = (props.transform * pixels.to_path(0.1)).bounding_box();
        let shown = shown.intersect(self.bounds);
        if shown.width() > 0.0 && shown.height() > 0.0 {
            self.image_area += shown.area();
        }
    }

    fn draw_path(&mut self, _: &BezPath, _: DrawProps<'a>, _: &DrawMode) {
        self.shapes += 1;
    }

    fn draw_rect(&mut self, _: &Rect, _: DrawProps<'a>, _: &DrawMode) {
        self.shapes += 1;
    }

    fn push_clip_path(&mut self, _: &ClipPath) {}

    fn push_clip_rect(&mut self, _: &Rect) {}

    fn push_transparency_group(&mut self, _: f32, _: Option<SoftMask<'a>>, _: BlendMode) {}

    fn pop_clip(&mut self) {}

    fn pop_transparency_group(&mut self) {}
}

/// In thousandths of an em; 0 where unknown.
fn advance_width(glyph: &HayroGlyph<'_>) -> f32 {
    match glyph {
        HayroGlyph::Outline(outline) => outline.advance_width(),
        HayroGlyph::Type3(type3) => type3.advance_width(),
    }
    .unwrap_or(0.0)
}

/// A Type 3 font may be drawn in any unit, so its stated size says nothing: twice the mean advance
/// stands for it. None for other fonts.
fn type3_size(props: &DrawProps<'_>, glyphs: &[PositionedGlyph<'_>]) -> Option<f64> {
    if !matches!(**glyphs.first()?, HayroGlyph::Type3(_)) {
        return None;
    }
    let advances = glyphs.iter().map(|glyph| {
        let (x_axis, _) = axes(props.transform * glyph.transform());
        f64::from(advance_width(glyph)) / 1000.0 * x_axis.hypot()
    });
    let mean = advances.sum::<f64>() / glyphs.len() as f64;
    (mean > 0.0).then_some(2.0 * mean)
}

/// The font's em along and across the writing direction, on the page. Outlines have 1000 units an em.
fn axes(transform: Affine) -> (Vec2, Vec2) {
    let [a, b, c, d, _, _] = transform.as_coeffs();
    (Vec2::new(a, b) * 1000.0, Vec2::new(c, d) * 1000.0)
}
