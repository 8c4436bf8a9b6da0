//! The picture of a page, for text recognition: drawn by hayro, grey, at a size that depends on the page
//! only. What annotations add is left out: it is read from them.

use hayro::vello_cpu::color::palette::css::WHITE;
use hayro::{PixmapSettings, RenderCache, RenderSettings};
use hayro_interpret::hayro_syntax::page::Page;
use hayro_interpret::{InterpreterSettings, RenderContent};

use super::open;
use crate::base::limits::{OCR_DOTS_PER_INCH, OCR_PIXELS_MAX, OCR_SIDE_MAX};
use crate::extract::{Options, Refusal};

/// PDF points in an inch.
const POINTS_PER_INCH: f32 = 72.0;

/// Page `number` (from 1) of the PDF `bytes` as a binary grey map (PGM, `P5`); none where it has fewer.
///
/// # Errors
/// A `Refusal` where the file cannot be opened.
pub(in crate::extract) fn picture(
    bytes: &[u8],
    number: u32,
    options: &Options,
) -> Result<Option<Vec<u8>>, Refusal> {
    let pdf = open::open(bytes, options)?.output;
    Ok(pdf.pages().get((number as usize).wrapping_sub(1)).map(draw))
}

/// `page` as such a map.
pub(super) fn draw(page: &Page<'_>) -> Vec<u8> {
    let (width, height) = page.render_dimensions();
    let scale = scale(width, height);
    let content = InterpreterSettings {
        render_content: RenderContent::PAGE,
        ..InterpreterSettings::default()
    };
    let size = PixmapSettings { x_scale: scale, y_scale: scale, bg_color: WHITE };
    let drawn =
        hayro::render(page, &RenderCache::new(), &content, &RenderSettings::default(), &size);
    let mut map = format!("P5\n{} {}\n255\n", drawn.width(), drawn.height()).into_bytes();
    map.extend(drawn.data_as_u8_slice().chunks_exact(4).map(grey));
    map
}

/// Pixels of the picture for each point of a page of this size.
pub(super) fn scale(width: f32, height: f32) -> f32 {
    let (width, height) = (width.max(1.0), height.max(1.0));
    let by_area = (OCR_PIXELS_MAX / (width * height)).sqrt();
    (OCR_DOTS_PER_INCH / POINTS_PER_INCH).min(by_area).min(OCR_SIDE_MAX / width.max(height))
}

/// Luminance of an opaque pixel (ITU-R BT.601).
fn grey(pixel: &[u8]) -> u8 {
    let part = |index: usize, weight: u32| u32::from(pixel[index]) * weight;
    ((part(0, 77) + part(1, 150) + part(2, 29)) >> 8) as u8
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_is_drawn_at_300_dots_an_inch_unless_it_is_large() {
        assert!((scale(595.0, 842.0) * 72.0 - 300.0).abs() < 0.01);
        for (width, height) in [(14_400.0, 14_400.0), (100.0, 14_400.0), (0.0, 0.0)] {
            let scale = scale(width, height);
            assert!(scale * scale * width * height <= OCR_PIXELS_MAX * 1.01);
            assert!(scale > 0.0 && scale * f32::max(width, height) <= OCR_SIDE_MAX * 1.01);
        }
    }
}
