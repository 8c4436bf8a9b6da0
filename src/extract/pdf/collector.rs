//! The device that hayro draws on: takes glyphs, gives the canvas what is painted beside them, and
//! draws nothing.

use hayro_interpret::font::{Glyph as HayroGlyph, GlyphRun, PositionedGlyph};
use hayro_interpret::hayro_cmap::{BfString, WritingMode};
use hayro_interpret::hayro_syntax::object::Dict;
use hayro_interpret::kurbo::{Affine, BezPath, Point, Rect, Shape, Vec2};
use hayro_interpret::{
    BlendMode, ClipPath, Device, DrawMode, DrawProps, Image, ImageDrawProps, Paint, SoftMask,
};

use super::TINY_POINTS;
use super::canvas::{Canvas, Colour, Ink, closed, extent};
use super::collections::Collections;
use super::glyphs::{Glyph, Layer};
use super::private_use::standard;
use super::replaced::Replaced;
use super::tex;
use super::unmapped::FontMaps;
use crate::extract::page_builder::ligature;

/// Text less opaque than this shows nothing.
const FAINT: f32 = 0.02;

/// A thicker stroke (in points) is a band that text may stand on, not a line.
const BAND: f64 = 3.0;

pub(super) struct Collector {
    bounds: Rect,
    pub(super) canvas: Canvas,
    pub(super) glyphs: Vec<Glyph>,
    pub(super) text_bytes: usize,
    text_bytes_max: usize,
    pub(super) images: usize,
    pub(super) image_area: f64,
    pub(super) shapes: usize,
    pub(super) unmapped: usize,
    font_maps: FontMaps,
    pub(super) collections: Collections,
    pub(super) replaced: Replaced,
    known: Known,
    /// Of the run drawn last: glyphs, place of the first and last. Filled and stroked text comes as
    /// two runs.
    last_run: Option<(usize, [f64; 6], [f64; 6])>,
    /// Where the invisible glyphs begin that may be about to become a clip.
    unclipped: Option<usize>,
    /// For each clip that is the outline of text: the first of its glyphs.
    text_clips: Vec<Option<usize>>,
}

/// Characters and advances (in thousandths of an em) by the codes of one run, whose font is one: a line says
/// most of its letters more than once.
#[derive(Default)]
struct Known {
    of: Vec<(u32, char, f32)>,
}

/// Codes that are kept of a run; a text in more of them is rare.
const KNOWN_CODES: usize = 64;

impl Known {
    fn get(&self, code: u32) -> Option<(char, f32)> {
        let &(kept, text, advance) = self.of.get(code as usize % KNOWN_CODES)?;
        (kept == code).then_some((text, advance))
    }

    fn keep(&mut self, code: u32, text: char, advance: f32) {
        // No code of a font is the largest number.
        self.of.resize(KNOWN_CODES, (u32::MAX, ' ', 0.0));
        self.of[code as usize % KNOWN_CODES] = (code, text, advance);
    }
}

/// How the glyphs of one text matrix are written: the same for all of them but for where they stand.
#[derive(Clone, Copy)]
struct Pen {
    /// The linear part of the transform.
    linear: [f64; 4],
    /// Points of an em along the direction, and the font's size.
    em: f64,
    size: f64,
    /// Unit vector.
    direction: Vec2,
}

impl Pen {
    /// `natural` is text that is set at its natural width.
    fn new(linear: [f64; 4], vertical: bool, natural: bool) -> Pen {
        let [a, b, c, d] = linear;
        let (x_axis, y_axis) = (Vec2::new(a, b) * 1000.0, Vec2::new(c, d) * 1000.0);
        let size = y_axis.hypot();
        let em = if natural { size } else { x_axis.hypot() };
        let direction = if vertical { -y_axis } else { x_axis };
        Pen { linear, em, size, direction: direction / direction.hypot() }
    }
}

impl Collector {
    pub(super) fn new(width: f32, height: f32, text_bytes_max: usize) -> Collector {
        let bounds = Rect::new(0.0, 0.0, width.into(), height.into());
        Collector {
            bounds,
            canvas: Canvas::new(bounds),
            glyphs: Vec::new(),
            text_bytes: 0,
            text_bytes_max,
            images: 0,
            image_area: 0.0,
            shapes: 0,
            unmapped: 0,
            font_maps: FontMaps::default(),
            collections: Collections::default(),
            replaced: Replaced::default(),
            known: Known::default(),
            last_run: None,
            unclipped: None,
            text_clips: Vec::new(),
        }
    }

    fn push(&mut self, glyph: Glyph, text: &BfString) {
        match text {
            // A ligature is how its letters are drawn, and they are what a person searches for.
            BfString::Char(c) => match ligature(*c) {
                Some(letters) => self.push_chars(glyph, letters),
                None => self.push_char(glyph, *c),
            },
            BfString::String(string) => self.push_chars(glyph, string),
        }
    }

    fn push_chars(&mut self, mut glyph: Glyph, text: &str) {
        for c in text.chars() {
            self.push_char(glyph, c);
            glyph.x += glyph.dx * glyph.advance;
            glyph.y += glyph.dy * glyph.advance;
            glyph.advance = 0.0;
        }
    }

    fn push_char(&mut self, mut glyph: Glyph, c: char) {
        glyph.text = match c {
            '\t' | '\n' | '\r' | '\u{2028}' | '\u{2029}' => ' ',
            '\0' => {
                self.unmapped += 1;
                '\u{fffd}'
            }
            // The Greek question mark is canonically a semicolon, and fonts that draw both with one glyph
            // are read as if every semicolon were Greek.
            '\u{37e}' => ';',
            // So are the angle brackets of technical signs those of Chinese and Japanese print.
            '\u{2329}' => '\u{27e8}',
            '\u{232a}' => '\u{27e9}',
            c if c.is_control() => return,
            '\u{f600}'..='\u{f8ff}' => standard(c),
            c => c,
        };
        self.text_bytes += glyph.text.len_utf8();
        self.glyphs.push(glyph);
    }

    /// What `glyph` says, and its advance in thousandths of an em.
    fn text_and_width(&mut self, glyph: &HayroGlyph<'_>) -> (BfString, f32) {
        let code = glyph.char_code();
        if let Some((text, width)) = self.known.get(code) {
            return (BfString::Char(text), width);
        }
        let width = advance_width(glyph);
        let Some(text) = glyph.as_unicode() else { return (self.unnamed(glyph), width) };
        if let BfString::Char(c) = text {
            self.known.keep(code, c, width);
        }
        (text, width)
    }

    /// A glyph that carries no character.
    fn unnamed(&mut self, glyph: &HayroGlyph<'_>) -> BfString {
        if let HayroGlyph::Outline(outline) = glyph {
            if let Some(text) = self.collections.character(outline) {
                return text;
            }
            if let Some(c) = self.font_maps.character(outline) {
                return BfString::Char(c);
            }
            if let Some(text) = self.collections.of_tex(outline) {
                return text;
            }
            if outline.outline().elements().is_empty() {
                return BfString::Char(' ');
            }
        }
        if let HayroGlyph::Type3(glyph) = glyph
            && self.collections.is_numbered()
            && let Some(c) = tex::bitmap(glyph.char_code())
        {
            return BfString::Char(c);
        }
        self.unmapped += 1;
        BfString::Char('\u{fffd}')
    }

    fn layer(&mut self, glyph: &Glyph, mode: &DrawMode, ink: Ink) -> Layer {
        let at = Point::new(glyph.x.into(), glyph.y.into());
        // A glyph that hangs over the edge by its own size may still show.
        let seen = self.bounds.inflate(glyph.size.into(), glyph.size.into());
        if matches!(mode, DrawMode::Invisible) {
            Layer::Invisible
        } else if !seen.contains(at) {
            Layer::OffPage
        } else if self.canvas.clips_away(|| glyph.core()) {
            Layer::Clipped
        } else if glyph.size < TINY_POINTS && self.bounds.height() > 200.0 {
            // On a page the size of a stamp small text is in proportion.
            Layer::Tiny
        } else if ink.opacity * self.canvas.group().0 < FAINT {
            Layer::Transparent
        } else if ink.colour.is_some_and(|c| self.canvas.is_ground(c, || glyph.core().center())) {
            Layer::GroundColour
        } else {
            Layer::Visible
        }
    }

    /// Something is painted: text that clips it shows after all.
    fn show_through_text(&mut self) {
        for from in self.text_clips.iter_mut().filter_map(Option::take) {
            for glyph in self.glyphs[from..].iter_mut() {
                if glyph.layer != Layer::Invisible {
                    break;
                }
                glyph.layer = Layer::Visible;
            }
        }
    }

    /// The first glyph of the text whose outlines are `bounds`, if that is what it is.
    fn text_outline(&mut self, bounds: Rect) -> Option<usize> {
        let from = self.unclipped.take()?;
        let text = self.glyphs[from..].iter().filter(|glyph| glyph.layer == Layer::Invisible);
        let boxes = text.map(|glyph| glyph.core().inflate(glyph.size.into(), glyph.size.into()));
        boxes.reduce(|a, b| a.union(b)).filter(|text| text.contains_rect(bounds)).map(|_| from)
    }

    fn paint_path(&mut self, path: &BezPath, props: &DrawProps<'_>, mode: &DrawMode) {
        self.shapes += 1;
        self.show_through_text();
        let ink = ink(&props.paint, props.blend_mode, props.soft_mask.is_some());
        let drawn = self.glyphs.len();
        match mode {
            DrawMode::Stroke(stroke) => {
                let bounds = props.transform.transform_rect_bbox(path.bounding_box());
                let [a, b, c, d, _, _] = props.transform.as_coeffs();
                let width = f64::from(stroke.line_width) * (a * d - b * c).abs().sqrt();
                let straight = bounds.width().min(bounds.height()) < 0.1;
                if straight && width >= BAND {
                    self.canvas.paint(bounds.inflate(width / 2.0, width / 2.0), None, ink, drawn);
                } else if straight {
                    self.canvas.paint(bounds, None, ink, drawn);
                } else {
                    self.rule_along(props.transform * path.clone(), ink, drawn);
                }
            }
            _ => {
                // Before the path is copied: most of a drawing is too small to matter.
                let bounds = props.transform.transform_rect_bbox(path.control_box());
                if bounds.width() < 1.0 && bounds.height() < 1.0 {
                    return;
                }
                let path = closed(props.transform * path.clone());
                let (bounds, is_rect) = extent(&path);
                self.canvas.paint(bounds, (!is_rect).then_some(path), ink, drawn);
            }
        }
    }

    /// The edges of a stroked outline.
    fn rule_along(&mut self, path: BezPath, ink: Ink, drawn: usize) {
        for segment in path.segments() {
            let bounds = segment.bounding_box();
            if bounds.width().min(bounds.height()) < 0.1 {
                self.canvas.paint(bounds, None, ink, drawn);
            }
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
        let again = matches!(draw_mode, DrawMode::Stroke(_)) && self.last_run == Some(key);
        self.last_run = Some(key);
        let mut ink = ink(&props.paint, props.blend_mode, props.soft_mask.is_some());
        if matches!(**first, HayroGlyph::Type3(_)) {
            // It may bring its own colours.
            ink.colour = None;
        }
        if again {
            // The outline of what was filled just now may be what is seen of it.
            self.show_outlined(glyphs.len(), ink);
            return;
        }
        match draw_mode {
            DrawMode::Invisible => self.unclipped = self.unclipped.or(Some(self.glyphs.len())),
            _ => self.unclipped = None,
        }
        let vertical = matches!(run.writing_mode(), WritingMode::Vertical);
        // hayro stretches substitutes of missing fonts to the width that the PDF states; where any
        // glyph of the run is not stretched, the text is set at its natural width.
        let natural = glyphs.iter().any(|glyph| {
            let (x, y) = axes(props.transform * glyph.transform());
            (x.hypot() - y.hypot()).abs() <= 0.01 * y.hypot()
        });
        let type3_size = type3_size(&props, glyphs);
        self.known.of.clear();
        let mut pen: Option<Pen> = None;
        for glyph in glyphs {
            let [a, b, c, d, x, y] = (props.transform * glyph.transform()).as_coeffs();
            let linear = [a, b, c, d];
            let Pen { em, size, direction, .. } = match pen {
                Some(pen) if pen.linear == linear => pen,
                _ => *pen.insert(Pen::new(linear, vertical, natural)),
            };
            let size = type3_size.unwrap_or(size);
            let (text, width) = self.text_and_width(glyph);
            let advance = if vertical { size } else { f64::from(width) / 1000.0 * em };
            let numbers = [a, b, c, d, x, y, advance, direction.x, direction.y];
            if !numbers.iter().all(|number| number.is_finite()) {
                continue;
            }
            let mut glyph = Glyph {
                text: ' ',
                x: x as f32,
                y: y as f32,
                dx: direction.x as f32,
                dy: direction.y as f32,
                size: size as f32,
                advance: advance as f32,
                layer: Layer::Visible,
            };
            glyph.layer = self.layer(&glyph, draw_mode, ink);
            self.push(glyph, &text);
        }
    }

    fn draw_image(&mut self, image: Image<'a, '_>, props: ImageDrawProps<'a>) {
        self.images += 1;
        self.show_through_text();
        let pixels = Rect::new(0.0, 0.0, image.width().into(), image.height().into());
        let (place, is_rect) = extent(&(props.transform * pixels.to_path(0.1)));
        let seen = place.intersect(self.bounds);
        if seen.width() > 0.0 && seen.height() > 0.0 {
            self.image_area += seen.area();
        }
        let masked = match &image {
            Image::Stencil(_) => true,
            Image::Raster(raster) => {
                let dict = raster.stream().dict();
                ["SMask", "Mask", "SMaskInData"].iter().any(|key| dict.contains_key(key))
            }
        };
        let mixed = masked || !is_rect || props.soft_mask.is_some() || is_mixed(props.blend_mode);
        let ink = Ink { colour: None, opacity: 1.0, mixed, picture: true };
        self.canvas.paint(place, None, ink, self.glyphs.len());
    }

    fn draw_path(&mut self, path: &BezPath, props: DrawProps<'a>, mode: &DrawMode) {
        self.paint_path(path, &props, mode);
    }

    fn push_clip_path(&mut self, clip: &ClipPath) {
        let (bounds, is_rect) = extent(&clip.path);
        let text = if is_rect { None } else { self.text_outline(bounds) };
        self.text_clips.push(text);
        self.canvas.push_clip(bounds, is_rect);
    }

    fn push_clip_rect(&mut self, rect: &Rect) {
        self.text_clips.push(None);
        self.canvas.push_clip(*rect, true);
    }

    fn pop_clip(&mut self) {
        self.text_clips.pop();
        self.canvas.pop_clip();
    }

    fn push_transparency_group(
        &mut self,
        opacity: f32,
        mask: Option<SoftMask<'a>>,
        blend_mode: BlendMode,
    ) {
        self.canvas.push_group(opacity, mask.is_some() || is_mixed(blend_mode));
    }

    fn pop_transparency_group(&mut self) {
        self.canvas.pop_group();
    }

    fn begin_marked_content(&mut self, _: &[u8], properties: Option<&Dict<'_>>) {
        self.replaced.begin(properties, self.glyphs.len());
    }

    fn end_marked_content(&mut self) {
        self.replaced.end(&mut self.glyphs, &mut self.unmapped);
    }
}

impl Collector {
    /// Of the last `count` glyphs, those that only their fill hides are seen by an outline in `ink`.
    fn show_outlined(&mut self, count: usize, ink: Ink) {
        let from = self.glyphs.len().saturating_sub(count);
        for index in from..self.glyphs.len() {
            let glyph = self.glyphs[index];
            if matches!(glyph.layer, Layer::GroundColour | Layer::Transparent) {
                let mode = DrawMode::Stroke(Default::default());
                self.glyphs[index].layer = self.layer(&glyph, &mode, ink);
            }
        }
    }
}

fn ink(paint: &Paint<'_>, blend_mode: BlendMode, masked: bool) -> Ink {
    let (colour, opacity) = match paint {
        Paint::Color(colour) => {
            let [red, green, blue, opacity] = colour.to_rgba().components();
            let colour: Colour = [red, green, blue];
            (Some(colour), opacity)
        }
        Paint::Pattern(_) => (None, 1.0),
    };
    Ink { colour, opacity, mixed: masked || is_mixed(blend_mode), picture: false }
}

fn is_mixed(blend_mode: BlendMode) -> bool {
    blend_mode != BlendMode::Normal
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
