//! Weight matrices as the kernels read them: panels of 32 output rows, groups of 256 input columns.
//!
//! One layout serves every instruction tier. Within a group the unit is 128 bytes: four columns of 32
//! rows (`[32][4]`), which is two AVX-512 registers of VPDPBUSD's operand, four of AVX2's, and two rows of
//! an AMX tile. Bits of `q` are packed across units, so that unpacking is shifts and masks of whole
//! vectors; a weight takes as many bits as in the file (Q4_K and Q5_K 0.125 more, Q3_K too: their 6-bit
//! scales lie in bytes here).

use std::cell::RefCell;
use std::fmt;
use std::io;
use std::sync::{Mutex, PoisonError};

use super::kernels::Pool;
use super::kernels::activations::GROUP;
use super::kernels::block::{Form, Kind, read_32, read_256};
use super::kernels::pages::ask_for_large;
use half::f16;

/// Output rows in one panel.
pub(super) const PANEL: usize = 32;

/// Bytes of one unit: four columns of a panel.
pub(super) const UNIT: usize = 4 * PANEL;

/// A weight matrix [rows, cols] = [n, k], packed.
pub struct Matrix {
    kind: Kind,
    n: usize,
    k: usize,
    /// [panels][panel bytes], 64-byte aligned; rows past n are zero.
    packed: Aligned,
}

/// Why bytes are no matrix.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PackError {
    /// The row length is no multiple of the type's block length.
    Ragged { kind: Kind, k: usize },
    /// The bytes are more or fewer than n rows of k take.
    Size { kind: Kind, n: usize, k: usize, bytes: usize },
    /// They could not be had.
    Read(String),
}

impl fmt::Display for PackError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            PackError::Ragged { kind, k } => {
                let block = kind.block_len();
                write!(f, "rows of {k} weights are no whole blocks of {block} ({kind:?})")
            }
            PackError::Size { kind, n, k, bytes } => {
                write!(f, "{bytes} bytes are not {n} rows of {k} weights ({kind:?})")
            }
            PackError::Read(message) => f.write_str(message),
        }
    }
}

impl std::error::Error for PackError {}

impl Matrix {
    /// Packs a tensor of `n` rows of `k` weights from its bytes in a GGUF file.
    pub fn pack(
        pool: &Pool,
        kind: Kind,
        bytes: &[u8],
        n: usize,
        k: usize,
    ) -> Result<Matrix, PackError> {
        if row_bytes(kind, k)?.checked_mul(n) != Some(bytes.len()) {
            return Err(PackError::Size { kind, n, k, bytes: bytes.len() });
        }
        Matrix::read(pool, kind, (n, k), &|from, out| {
            out.copy_from_slice(&bytes[from..][..out.len()]);
            Ok(())
        })
    }

    /// Packs a tensor of `n` rows of `k` weights. `read` fills a buffer with the tensor's bytes from
    /// an offset on; it is called on all threads, for a panel at a time, so that no tensor ever lies
    /// in memory twice.
    pub fn read(
        pool: &Pool,
        kind: Kind,
        (n, k): (usize, usize),
        read: &(dyn Fn(usize, &mut [u8]) -> io::Result<()> + Sync),
    ) -> Result<Matrix, PackError> {
        let row_bytes = row_bytes(kind, k)?;
        if n == 0 {
            return Err(PackError::Size { kind, n, k, bytes: 0 });
        }
        let panel_bytes = panel_bytes(kind, k);
        let mut packed = Aligned::zeroed(n.div_ceil(PANEL) * panel_bytes);
        let failed = Mutex::new(None);
        pool.run_chunks(packed.bytes_mut(), panel_bytes, &|panel, out| {
            STORED.with_borrow_mut(|stored| {
                let rows = PANEL.min(n - panel * PANEL);
                stored.resize(stored.len().max(rows * row_bytes), 0);
                let stored = &mut stored[..rows * row_bytes];
                match read(panel * PANEL * row_bytes, stored) {
                    Ok(()) => pack_panel(kind, stored, row_bytes, out),
                    Err(error) => {
                        *failed.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
                    }
                }
            });
        });
        match failed.into_inner().unwrap_or_else(PoisonError::into_inner) {
            Some(error) => Err(PackError::Read(error.to_string())),
            None => Ok(Matrix { kind, n, k, packed }),
        }
    }

    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// Output rows, n.
    pub fn rows(&self) -> usize {
        self.n
    }

    /// Input columns, k.
    pub fn cols(&self) -> usize {
        self.k
    }

    /// Bytes held in memory.
    #[cfg(test)]
    pub fn bytes(&self) -> usize {
        self.packed.bytes().len()
    }

    /// Row `i` as ggml dequantizes it, for embeddings.
    pub fn row_f32(&self, i: usize, out: &mut [f32]) {
        assert!(i < self.n && out.len() == self.k, "row {i} of {} in {}", self.n, out.len());
        let (panel, row) = (self.panel(i / PANEL), i % PANEL);
        if self.kind.form() == Form::Float {
            let size = self.kind.block_bytes();
            for (j, out) in out.iter_mut().enumerate() {
                let at = (j * PANEL + row) * size;
                *out = super::kernels::block::read_float(self.kind, &panel[at..at + size]);
            }
            return;
        }
        let mut tile = Tile::new();
        for (g, out) in out.chunks_mut(GROUP).enumerate() {
            unpack(self.kind, self.group(i / PANEL, g), &mut tile);
            tile.row(self.kind, row, out);
        }
    }

    /// Panels, each of `PANEL` rows.
    pub(super) fn panels(&self) -> usize {
        self.n.div_ceil(PANEL)
    }

    /// Groups of columns, the last perhaps shorter.
    pub(super) fn groups(&self) -> usize {
        self.k.div_ceil(GROUP)
    }

    pub(super) fn panel(&self, panel: usize) -> &[u8] {
        let size = panel_bytes(self.kind, self.k);
        &self.packed.bytes()[panel * size..][..size]
    }

    /// One group of one panel of a type with blocks.
    pub(super) fn group(&self, panel: usize, group: usize) -> &[u8] {
        let per_32 = bytes_per_32(self.kind);
        let from = group * (GROUP / 32) * per_32;
        let blocks = (GROUP / 32).min(self.k / 32 - group * (GROUP / 32));
        &self.panel(panel)[from..from + blocks * per_32]
    }
}

thread_local! {
    /// One panel as the file has it; grows once.
    static STORED: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// Bytes of a row in a GGUF file.
fn row_bytes(kind: Kind, k: usize) -> Result<usize, PackError> {
    let block = kind.block_len();
    match k > 0 && k.is_multiple_of(block) {
        true => Ok(k / block * kind.block_bytes()),
        false => Err(PackError::Ragged { kind, k }),
    }
}

/// One group of one panel, unpacked: what the inner loops read.
#[repr(C, align(64))]
pub(super) struct Tile {
    /// [64 units][32 rows][4 columns], unsigned.
    pub q: [u8; 64 * UNIT],
    /// K types: the scale of each 16 columns.
    pub scale: [[i32; PANEL]; 16],
    /// K types: the minima of two times 16 columns.
    pub min: [[[i16; 2]; PANEL]; 8],
    /// Block scales; K types use the first only.
    pub d: [[f32; PANEL]; 8],
    /// Block minima (legacy) or the scale of `min`, negated (K types, the first only).
    pub m: [[f32; PANEL]; 8],
}

impl Tile {
    pub(super) fn new() -> Tile {
        Tile {
            q: [0; 64 * UNIT],
            scale: [[0; PANEL]; 16],
            min: [[[0; 2]; PANEL]; 8],
            d: [[0.0; PANEL]; 8],
            m: [[0.0; PANEL]; 8],
        }
    }

    /// Weights of one row, in ggml's order of operations.
    fn row(&self, kind: Kind, row: usize, out: &mut [f32]) {
        for (j, out) in out.iter_mut().enumerate() {
            let q = (self.q[j / 4 * UNIT + row * 4 + j % 4] as i32 - kind.offset()) as f32;
            *out = if kind.form() == Form::By256 {
                let scale = self.d[0][row] * self.scale[j / 16][row] as f32;
                let min = -self.m[0][row] * self.min[j / 32][row][j / 16 % 2] as f32;
                if kind.has_min() { scale * q - min } else { scale * q }
            } else if kind.has_min() {
                self.d[j / 32][row] * q + self.m[j / 32][row]
            } else {
                self.d[j / 32][row] * q
            };
        }
    }
}

/// Bytes that 32 columns of a panel take, K types on the average of 256.
pub(super) const fn bytes_per_32(kind: Kind) -> usize {
    match kind {
        Kind::F32 => 32 * PANEL * 4,
        Kind::F16 | Kind::Bf16 => 32 * PANEL * 2,
        Kind::Q4_0 => 512 + 64,
        Kind::Q4_1 => 512 + 128,
        Kind::Q5_0 => 512 + 128 + 64,
        Kind::Q5_1 => 512 + 128 + 128,
        Kind::Q8_0 => 1024 + 64,
        Kind::Q2K => (2048 + 512 + 128) / 8,
        Kind::Q3K => (2048 + 1024 + 512 + 64) / 8,
        Kind::Q4K => (4096 + 512 + 128) / 8,
        Kind::Q5K => (4096 + 1024 + 512 + 128) / 8,
        Kind::Q6K => (4096 + 2048 + 512 + 64) / 8,
    }
}

fn panel_bytes(kind: Kind, k: usize) -> usize {
    match kind.form() {
        Form::Float => k * PANEL * kind.block_bytes(),
        _ => k / 32 * bytes_per_32(kind),
    }
}

/// How the bits of `q` lie: low bits in planes of this width, then high bits.
pub(super) const fn planes(kind: Kind) -> (usize, usize) {
    match kind {
        Kind::Q2K => (2, 0),
        Kind::Q3K => (2, 1),
        Kind::Q4_0 | Kind::Q4_1 | Kind::Q4K => (4, 0),
        Kind::Q5_0 | Kind::Q5_1 | Kind::Q5K => (4, 1),
        Kind::Q6K => (4, 2),
        _ => (8, 0),
    }
}

/// Unpacks one group; `packed` holds as many 32-column blocks as the group has.
#[inline(always)]
pub(super) fn unpack(kind: Kind, packed: &[u8], tile: &mut Tile) {
    match kind {
        Kind::F32 | Kind::F16 | Kind::Bf16 => unreachable!("{kind:?} is never unpacked"),
        Kind::Q4_0 => unpack_32::<{ Kind::Q4_0 as u8 }>(packed, tile),
        Kind::Q4_1 => unpack_32::<{ Kind::Q4_1 as u8 }>(packed, tile),
        Kind::Q5_0 => unpack_32::<{ Kind::Q5_0 as u8 }>(packed, tile),
        Kind::Q5_1 => unpack_32::<{ Kind::Q5_1 as u8 }>(packed, tile),
        Kind::Q8_0 => unpack_32::<{ Kind::Q8_0 as u8 }>(packed, tile),
        Kind::Q2K => unpack_256::<{ Kind::Q2K as u8 }>(packed, tile),
        Kind::Q3K => unpack_256::<{ Kind::Q3K as u8 }>(packed, tile),
        Kind::Q4K => unpack_256::<{ Kind::Q4K as u8 }>(packed, tile),
        Kind::Q5K => unpack_256::<{ Kind::Q5K as u8 }>(packed, tile),
        Kind::Q6K => unpack_256::<{ Kind::Q6K as u8 }>(packed, tile),
    }
}

/// Per block of 32: eight units of `q`, d, and the minimum where the type has one.
#[inline(always)]
fn unpack_32<const KIND: u8>(packed: &[u8], tile: &mut Tile) {
    let kind = kind_of(KIND);
    let (low, high) = planes(kind);
    let (low, high) = (low * UNIT, high * UNIT);
    for (b, block) in packed.chunks_exact(bytes_per_32(kind)).enumerate() {
        unpack_bits::<KIND>(&block[..low], &block[low..low + high], &mut tile.q[b * 8 * UNIT..]);
        let rest = &block[low + high..];
        read_f16(&rest[..64], &mut tile.d[b]);
        if kind.has_min() {
            read_f16(&rest[64..128], &mut tile.m[b]);
        }
    }
}

/// 64 units of `q`, `[16][32]` scales, d, dmin. The types whose scales hold for 32 columns have `[8][32]` of
/// them, then minima of two times 32 columns `[4][32][2]`; Q2_K has both in the halves of one byte.
#[inline(always)]
fn unpack_256<const KIND: u8>(packed: &[u8], tile: &mut Tile) {
    let kind = kind_of(KIND);
    let (low, high) = planes(kind);
    let (low, high) = (low * 8 * UNIT, high * 8 * UNIT);
    unpack_bits::<KIND>(&packed[..low], &packed[low..low + high], &mut tile.q);
    let scales = &packed[low + high..][..512];
    let d = &packed[low + high + 512..];
    match kind {
        Kind::Q4K | Kind::Q5K => {
            let (scales, mins) = scales.split_at(256);
            for j in 0..8 {
                for row in 0..PANEL {
                    tile.scale[2 * j][row] = scales[j * PANEL + row] as i32;
                    tile.min[j][row] = [mins[(j / 2 * PANEL + row) * 2 + j % 2] as i16; 2];
                }
                tile.scale[2 * j + 1] = tile.scale[2 * j];
            }
        }
        Kind::Q2K => {
            for j in 0..16 {
                for row in 0..PANEL {
                    tile.scale[j][row] = (scales[j * PANEL + row] & 15) as i32;
                    tile.min[j / 2][row][j % 2] = (scales[j * PANEL + row] >> 4) as i16;
                }
            }
        }
        _ => {
            for j in 0..16 {
                for row in 0..PANEL {
                    tile.scale[j][row] = scales[j * PANEL + row] as i8 as i32;
                }
            }
        }
    }
    read_f16(&d[..64], &mut tile.d[0]);
    if kind.has_min() {
        read_f16(&d[64..128], &mut tile.m[0]);
        for m in &mut tile.m[0] {
            *m = -*m;
        }
    }
}

/// Low planes and high planes to one byte a weight.
#[inline(always)]
pub(super) fn unpack_bits<const KIND: u8>(low: &[u8], high: &[u8], q: &mut [u8]) {
    let (low_bits, high_bits) = planes(kind_of(KIND));
    let per_low = 8 / low_bits;
    let mask = ((1u16 << low_bits) - 1) as u8;
    for (low, q) in low.chunks_exact(UNIT).zip(q.chunks_exact_mut(UNIT * per_low)) {
        for (part, q) in q.chunks_exact_mut(UNIT).enumerate() {
            for (q, low) in q.iter_mut().zip(low) {
                *q = low >> (part * low_bits) & mask;
            }
        }
    }
    if high_bits == 0 {
        return;
    }
    let per_high = 8 / high_bits;
    let mask = ((1u16 << high_bits) - 1) as u8;
    for (high, q) in high.chunks_exact(UNIT).zip(q.chunks_exact_mut(UNIT * per_high)) {
        for (part, q) in q.chunks_exact_mut(UNIT).enumerate() {
            for (q, high) in q.iter_mut().zip(high) {
                *q |= (high >> (part * high_bits) & mask) << low_bits;
            }
        }
    }
}

#[inline(always)]
const fn kind_of(number: u8) -> Kind {
    Kind::ALL[number as usize]
}

/// 32 little-endian f16 to f32, exactly, without a branch a vector could not take.
#[inline(always)]
fn read_f16(bytes: &[u8], out: &mut [f32; PANEL]) {
    for (out, b) in out.iter_mut().zip(bytes.chunks_exact(2)) {
        *out = f16_to_f32(u16::from_le_bytes([b[0], b[1]]));
    }
}

/// Exact for every f16: the exponent is moved by a multiplication, which also normalizes subnormals.
#[inline(always)]
pub(super) fn f16_to_f32(h: u16) -> f32 {
    /// 2^112, the difference of the two exponent biases.
    const SCALE: f32 = f32::from_bits((127 + 112) << 23);
    let magnitude = (h as u32 & 0x7fff) << 13;
    let finite = (f32::from_bits(magnitude) * SCALE).to_bits();
    let special = magnitude | 0x7f80_0000;
    let bits = if magnitude >= 0x0f80_0000 { special } else { finite };
    f32::from_bits(bits | (h as u32 & 0x8000) << 16)
}

/// Packs up to 32 rows, `row_bytes` each, into one panel of zeros.
fn pack_panel(kind: Kind, rows: &[u8], row_bytes: usize, out: &mut [u8]) {
    match kind {
        Kind::F32 | Kind::F16 | Kind::Bf16 => {
            let size = kind.block_bytes();
            for (row, bytes) in rows.chunks(row_bytes).enumerate() {
                for (j, b) in bytes.chunks(size).enumerate() {
                    out[(j * PANEL + row) * size..][..size].copy_from_slice(b);
                }
            }
        }
        Kind::Q4_0 => pack_32::<{ Kind::Q4_0 as u8 }>(rows, row_bytes, out),
        Kind::Q4_1 => pack_32::<{ Kind::Q4_1 as u8 }>(rows, row_bytes, out),
        Kind::Q5_0 => pack_32::<{ Kind::Q5_0 as u8 }>(rows, row_bytes, out),
        Kind::Q5_1 => pack_32::<{ Kind::Q5_1 as u8 }>(rows, row_bytes, out),
        Kind::Q8_0 => pack_32::<{ Kind::Q8_0 as u8 }>(rows, row_bytes, out),
        Kind::Q2K => pack_256::<{ Kind::Q2K as u8 }>(rows, row_bytes, out),
        Kind::Q3K => pack_256::<{ Kind::Q3K as u8 }>(rows, row_bytes, out),
        Kind::Q4K => pack_256::<{ Kind::Q4K as u8 }>(rows, row_bytes, out),
        Kind::Q5K => pack_256::<{ Kind::Q5K as u8 }>(rows, row_bytes, out),
        Kind::Q6K => pack_256::<{ Kind::Q6K as u8 }>(rows, row_bytes, out),
    }
}

/// The inverse of `unpack_32`.
fn pack_32<const KIND: u8>(rows: &[u8], row_bytes: usize, out: &mut [u8]) {
    let kind = kind_of(KIND);
    let (low, high) = planes(kind);
    let (low, high) = (low * UNIT, high * UNIT);
    for (b, out) in out.chunks_exact_mut(bytes_per_32(kind)).enumerate() {
        let (bits, rest) = out.split_at_mut(low + high);
        for (row, bytes) in rows.chunks_exact(row_bytes).enumerate() {
            let size = kind.block_bytes();
            let block = read_32(kind, &bytes[b * size..][..size]);
            pack_bits::<KIND>(row, &block.q, bits.split_at_mut(low));
            put_f16(&mut rest[2 * row..], block.d);
            if kind.has_min() {
                put_f16(&mut rest[64 + 2 * row..], block.min);
            }
        }
    }
}

/// The inverse of `unpack_256`.
fn pack_256<const KIND: u8>(rows: &[u8], row_bytes: usize, out: &mut [u8]) {
    let kind = kind_of(KIND);
    let (low, high) = planes(kind);
    let (low, high) = (low * 8 * UNIT, high * 8 * UNIT);
    for (b, out) in out.chunks_exact_mut(8 * bytes_per_32(kind)).enumerate() {
        let (bits, rest) = out.split_at_mut(low + high);
        let (scales, d) = rest.split_at_mut(512);
        for (row, bytes) in rows.chunks_exact(row_bytes).enumerate() {
            let size = kind.block_bytes();
            let block = read_256(kind, &bytes[b * size..][..size]);
            pack_bits::<KIND>(row, &block.q, bits.split_at_mut(low));
            for j in 0..16 {
                match kind {
                    Kind::Q4K | Kind::Q5K => {
                        scales[j / 2 * PANEL + row] = block.scale[j] as u8;
                        scales[256 + (j / 4 * PANEL + row) * 2 + j / 2 % 2] = block.min[j];
                    }
                    Kind::Q2K => scales[j * PANEL + row] = block.scale[j] as u8 | block.min[j] << 4,
                    _ => scales[j * PANEL + row] = block.scale[j] as u8,
                }
            }
            put_f16(&mut d[2 * row..], block.d);
            if kind.has_min() {
                put_f16(&mut d[64 + 2 * row..], block.dmin);
            }
        }
    }
}

/// The inverse of `unpack_bits` for the weights of one row.
#[inline(always)]
fn pack_bits<const KIND: u8>(row: usize, q: &[u8], (low, high): (&mut [u8], &mut [u8])) {
    let (low_bits, high_bits) = planes(kind_of(KIND));
    pack_plane(row, q, (0, low_bits), low);
    if high_bits > 0 {
        pack_plane(row, q, (low_bits, high_bits), high);
    }
}

/// `bits` bits of every weight of one row, from bit `shift` on: four weights are a word of a unit.
#[inline(always)]
fn pack_plane(row: usize, q: &[u8], (shift, bits): (usize, usize), plane: &mut [u8]) {
    let mask = u32::from_le_bytes([((1u16 << bits) - 1) as u8; 4]);
    let per_byte = 8 / bits;
    for (q, unit) in q.chunks_exact(4 * per_byte).zip(plane.chunks_exact_mut(UNIT)) {
        let mut word = 0;
        for (part, q) in q.as_chunks::<4>().0.iter().enumerate() {
            word |= (u32::from_le_bytes(*q) >> shift & mask) << (part * bits);
        }
        unit[4 * row..][..4].copy_from_slice(&word.to_le_bytes());
    }
}

fn put_f16(out: &mut [u8], value: f32) {
    out[..2].copy_from_slice(&f16::from_f32(value).to_le_bytes());
}

/// A cache line.
const LINE: usize = 64;

/// Zeroed bytes that start on a cache line. The system makes the zeros as they are first touched, on the
/// thread that touches them; so no alignment is asked of the allocator, which would write them itself.
struct Aligned {
    bytes: Vec<u8>,
    start: usize,
    len: usize,
}

impl Aligned {
    fn zeroed(len: usize) -> Aligned {
        let bytes = vec![0; len + LINE];
        ask_for_large(&bytes);
        let start = bytes.as_ptr().align_offset(LINE).min(LINE);
        Aligned { bytes, start, len }
    }

    fn bytes(&self) -> &[u8] {
        &self.bytes[self.start..self.start + self.len]
    }

    fn bytes_mut(&mut self) -> &mut [u8] {
        &mut self.bytes[self.start..self.start + self.len]
    }
}
