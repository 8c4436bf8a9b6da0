//! What is painted on a page beside its text, as far as it decides whether text can be seen: clips, the
//! ground under a place, opaque areas drawn later, and the thin lines that rule tables. Knows boxes and
//! colours, no characters.

use hayro_interpret::kurbo::{BezPath, PathEl, Point, Rect, Shape};

/// Smaller areas (in points) hold and hide no readable glyph.
const AREA_MIN: f64 = 3.0;

/// Areas that are remembered of one page; a drawing with more is a picture, and on it all text is taken
/// as visible.
const AREAS_MAX: usize = 20_000;

/// Thinner (in points) is a line that rules a table or underlines.
const RULE_WIDTH_MAX: f64 = 2.5;

/// From this opacity on nothing is seen through.
const OPAQUE: f32 = 0.99;

/// How far two colours may be apart in their most different channel (0 to 1) for text in the one to be
/// unreadable on the other: a light grey watermark on white is still read.
const SAME_COLOUR: f32 = 0.05;

/// Red, green and blue from 0 to 1.
pub(super) type Colour = [f32; 3];

/// How something is painted.
#[derive(Clone, Copy)]
pub(super) struct Ink {
    /// None for patterns, shadings and pictures.
    pub(super) colour: Option<Colour>,
    /// 0 to 1; of what else lies around it (groups) the canvas knows itself.
    pub(super) opacity: f32,
    /// Blended with what is below, or masked.
    pub(super) mixed: bool,
    pub(super) picture: bool,
}

/// Something painted that covers more than a hairline.
pub(super) struct Area {
    pub(super) bounds: Rect,
    /// None where it fills its bounds.
    path: Option<BezPath>,
    /// None where the ground under text on it is not known.
    colour: Option<Colour>,
    opaque: bool,
    pub(super) picture: bool,
    /// Glyphs that were drawn before it.
    pub(super) drawn_before: usize,
}

impl Area {
    /// Whether all of `place` lies under it, where it is opaque.
    pub(super) fn covers(&self, place: Rect) -> bool {
        self.bounds.contains_rect(place) && self.contains(place.center())
    }

    fn contains(&self, at: Point) -> bool {
        self.bounds.contains(at) && self.path.as_ref().is_none_or(|path| path.contains(at))
    }
}

/// A clip, intersected with those around it.
struct Clip {
    bounds: Rect,
    is_rect: bool,
}

/// The painted page.
pub(super) struct Canvas {
    page: Rect,
    clips: Vec<Clip>,
    /// Opacity and whether mixed, each with those around it.
    groups: Vec<(f32, bool)>,
    areas: Vec<Area>,
    /// Thin filled or stroked lines.
    pub(super) rules: Vec<Rect>,
    /// The last colour asked for, and whether anything on the page is so coloured.
    asked: Option<(Colour, usize, bool)>,
}

impl Canvas {
    pub(super) fn new(page: Rect) -> Canvas {
        Canvas {
            page,
            clips: Vec::new(),
            groups: Vec::new(),
            areas: Vec::new(),
            rules: Vec::new(),
            asked: None,
        }
    }

    pub(super) fn push_clip(&mut self, bounds: Rect, is_rect: bool) {
        let (outer, outer_is_rect) = self.clip();
        let bounds = meet(outer, bounds);
        self.clips.push(Clip { bounds, is_rect: is_rect && outer_is_rect });
    }

    pub(super) fn pop_clip(&mut self) {
        self.clips.pop();
    }

    fn clip(&self) -> (Rect, bool) {
        self.clips.last().map_or((self.page, true), |clip| (clip.bounds, clip.is_rect))
    }

    pub(super) fn push_group(&mut self, opacity: f32, mixed: bool) {
        let (outer, outer_mixed) = self.group();
        self.groups.push((outer * opacity, outer_mixed || mixed));
    }

    pub(super) fn pop_group(&mut self) {
        self.groups.pop();
    }

    /// Opacity of everything painted now, and whether it is mixed with what is below.
    pub(super) fn group(&self) -> (f32, bool) {
        self.groups.last().copied().unwrap_or((1.0, false))
    }

    /// Whether the clip leaves nothing of `place`.
    pub(super) fn clips_away(&self, place: impl FnOnce() -> Rect) -> bool {
        let Some(clip) = self.clips.last() else { return false };
        is_empty(clip.bounds) || !clip.bounds.overlaps(place())
    }

    /// Remembers what is painted at `bounds` (of `path`, where it does not fill them).
    pub(super) fn paint(&mut self, bounds: Rect, path: Option<BezPath>, ink: Ink, drawn: usize) {
        let (clip, clip_is_rect) = self.clip();
        let bounds = meet(bounds, clip);
        if is_empty(bounds) || self.areas.len() >= AREAS_MAX {
            return;
        }
        let (width, height) = (bounds.width(), bounds.height());
        if width.min(height) < AREA_MIN {
            if width.min(height) < RULE_WIDTH_MAX && width.max(height) > 2.0 * AREA_MIN {
                self.rules.push(bounds);
            }
            return;
        }
        let (group_opacity, group_mixed) = self.group();
        let opacity = ink.opacity * group_opacity;
        let solid = opacity >= OPAQUE && !ink.mixed && !group_mixed && clip_is_rect;
        if opacity < 1.0 - OPAQUE {
            return;
        }
        self.areas.push(Area {
            bounds,
            path,
            colour: ink.colour.filter(|_| solid),
            opaque: solid && (ink.colour.is_some() || ink.picture),
            picture: ink.picture,
            drawn_before: drawn,
        });
    }

    /// Whether text in `colour` at `at` cannot be told from what lies below it.
    pub(super) fn is_ground(&mut self, colour: Colour, at: impl FnOnce() -> Point) -> bool {
        if self.areas.len() >= AREAS_MAX || !self.is_used(colour) {
            return false;
        }
        let at = at();
        let ground = self.areas.iter().rev().find(|area| area.contains(at));
        ground.map_or(Some([1.0; 3]), |area| area.colour).is_some_and(|ground| same(ground, colour))
    }

    /// Whether paper or any area has about this colour: black text asks for nothing more.
    fn is_used(&mut self, colour: Colour) -> bool {
        if let Some((asked, areas, used)) = self.asked
            && asked == colour
            && areas == self.areas.len()
        {
            return used;
        }
        let used = same([1.0; 3], colour)
            || self.areas.iter().any(|area| area.colour.is_some_and(|ground| same(ground, colour)));
        self.asked = Some((colour, self.areas.len(), used));
        used
    }

    /// The opaque areas that were drawn over glyphs, if any.
    pub(super) fn covers(&self) -> impl Iterator<Item = &Area> {
        let too_many = self.areas.len() >= AREAS_MAX;
        self.areas.iter().filter(move |area| !too_many && area.opaque && area.drawn_before > 0)
    }
}

/// Where both are; turned inside out where they do not meet.
fn meet(a: Rect, b: Rect) -> Rect {
    Rect::new(a.x0.max(b.x0), a.y0.max(b.y0), a.x1.min(b.x1), a.y1.min(b.y1))
}

fn is_empty(rect: Rect) -> bool {
    !(rect.x0 <= rect.x1 && rect.y0 <= rect.y1)
}

fn same(a: Colour, b: Colour) -> bool {
    a.iter().zip(b).all(|(a, b)| (a - b).abs() <= SAME_COLOUR)
}

/// `path` with every outline closed, as filling closes it.
pub(super) fn closed(path: BezPath) -> BezPath {
    let mut closed = BezPath::new();
    for element in path {
        if matches!(element, PathEl::MoveTo(_)) {
            close(&mut closed);
        }
        closed.push(element);
    }
    close(&mut closed);
    closed
}

fn close(path: &mut BezPath) {
    if !matches!(path.elements().last(), None | Some(PathEl::ClosePath | PathEl::MoveTo(_))) {
        path.close_path();
    }
}

/// The box around `path`, and whether the path fills it.
pub(super) fn extent(path: &BezPath) -> (Rect, bool) {
    let bounds = path.bounding_box();
    let is_rect = path.elements().len() <= 6
        && (path.area().abs() - bounds.area()).abs() <= 1e-3 * bounds.area();
    (bounds, is_rect)
}
