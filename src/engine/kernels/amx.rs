//! AMX: 32 rows of activations by 16 rows of weights in tiles, for the K types that most models are made of.
//!
//! A weight times the scale of its part is an integer of 14 bits at most. Split into two signed bytes it
//! goes through the tile unit twice, and the 256 columns of a block come out as one exact integer, as the
//! specification has it. Other types, and rows that fill no two tiles, are the AVX-512 tier's.
//!
//! Sources: Intel 64 and IA-32 Architectures Software Developer's Manual, volume 1 chapter 18 and the
//! instructions' pages in volume 2; Linux, Documentation/arch/x86/xstate.rst.

use std::arch::asm;
use std::arch::x86_64::*;

use super::super::weights::{Matrix, PANEL, UNIT, bytes_per_32, planes};
use super::activations::{Activations, GROUP, IntRows, SUMS};
use super::ahead::Ahead;
use super::avx512::{
    Avx512Vnni, Units, load_f16, load_f32, load_i8, load_u8, load_u8_pairs, store_f32,
};
use super::block::Kind;

/// Evidence that this machine has tiles, that the kernel saves them, and the features of `Avx512Vnni`.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Amx {
    vnni: Avx512Vnni,
}

/// Rows of a tile.
const TILE: usize = 16;

/// Rows of activations in one block, two tiles. Fewer do not pay for the scaling of weights.
const ROWS: usize = 2 * TILE;

/// Linux, uapi/asm/prctl.h: asks that this process may use a part of the extended state.
const ARCH_REQ_XCOMP_PERM: libc::c_int = 0x1023;

/// The part that holds the tiles' contents.
const XFEATURE_XTILEDATA: libc::c_int = 18;

impl Amx {
    pub(super) fn detect() -> Option<Amx> {
        let vnni = Avx512Vnni::detect()?;
        // AMX-TILE and AMX-INT8.
        const TILES: u32 = 1 << 24 | 1 << 25;
        let has_tiles = __cpuid(0).eax >= 7 && __cpuid_count(7, 0).edx & TILES == TILES;
        // SAFETY: the call takes numbers and changes what this process may use, nothing else.
        let permitted = || unsafe {
            libc::syscall(libc::SYS_arch_prctl, ARCH_REQ_XCOMP_PERM, XFEATURE_XTILEDATA) == 0
        };
        (has_tiles && permitted()).then_some(Amx { vnni })
    }

    /// What this tier computes with where no tiles are used.
    pub(super) fn vnni(self) -> Avx512Vnni {
        self.vnni
    }

    pub(super) fn panel(
        self,
        w: &Matrix,
        panel: usize,
        x: &Activations,
        from: usize,
        acc: &mut [f32],
    ) {
        let rows = acc.len() / PANEL;
        let tiled = match w.kind() {
            Kind::Q4K | Kind::Q5K | Kind::Q6K => rows - rows % ROWS,
            _ => 0,
        };
        let (in_tiles, rest) = acc.split_at_mut(tiled * PANEL);
        if tiled > 0 {
            let in_tiles = in_tiles.as_chunks_mut().0;
            // SAFETY: `self` is the proof that the machine has the features and the tiles.
            unsafe {
                match w.kind() {
                    Kind::Q4K => run::<{ Kind::Q4K as u8 }>(w, panel, x, from, in_tiles),
                    Kind::Q5K => run::<{ Kind::Q5K as u8 }>(w, panel, x, from, in_tiles),
                    _ => run::<{ Kind::Q6K as u8 }>(w, panel, x, from, in_tiles),
                }
            }
        }
        if tiled < rows {
            self.vnni.panel(w, panel, x, from + tiled, rest);
        }
    }
}

/// Sets `acc`, whole blocks of rows, to rows `from..` of `x` times one panel.
///
/// # Safety
/// The machine has tiles, and this process may use them.
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni,fma")]
unsafe fn run<const KIND: u8>(
    w: &Matrix,
    panel: usize,
    x: &Activations,
    from: usize,
    acc: &mut [[f32; PANEL]],
) {
    let kind = Kind::ALL[KIND as usize];
    let (low_bits, high_bits) = planes(kind);
    let (m, x) = (x.rows(), x.by_256());
    acc.fill([0.0; PANEL]);
    let mut units = Units::new();
    let mut scaled = Scaled { low: [0; 64 * UNIT], high: [0; 64 * UNIT] };
    let mut sums = Sums([[[[0; TILE]; TILE]; 2]; 2]);
    // SAFETY: the caller vouches for tiles.
    unsafe { configure() };
    for group in 0..w.groups() {
        let packed = w.group(panel, group);
        assert!(packed.len() == 8 * bytes_per_32(kind));
        let (scales, rest) = packed[8 * (low_bits + high_bits) * UNIT..].split_at(512);
        let mut ahead = Ahead::new(packed, acc.len() / ROWS);
        units.set::<KIND>(packed);
        scaled.set::<KIND>(&units, scales);
        for (i, acc) in acc.as_chunks_mut::<ROWS>().0.iter_mut().enumerate() {
            ahead.step();
            let slot = group * m + from + i * ROWS;
            let q = &x.q[slot * GROUP..][..ROWS * GROUP];
            for h in 0..2 {
                // SAFETY: the tiles are configured; `q` is two tiles of rows.
                unsafe { multiply(q, &scaled, h, &mut sums) };
                add::<KIND>(&sums, scales, rest, x, slot, h, acc);
            }
        }
    }
    // SAFETY: as for `configure`.
    unsafe { asm!("tilerelease", options(nostack, preserves_flags)) };
}

/// The units of one group, each weight times its scale in two signed bytes: `high * 256 + low`.
#[repr(C, align(64))]
struct Scaled {
    low: [u8; 64 * UNIT],
    high: [u8; 64 * UNIT],
}

impl Scaled {
    #[inline]
    #[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni,fma")]
    fn set<const KIND: u8>(&mut self, units: &Units, scales: &[u8]) {
        let kind = Kind::ALL[KIND as usize];
        let offset = _mm512_set1_epi16(kind.offset() as i16);
        let even = _mm512_set1_epi16(0x00ff);
        let half = _mm512_set1_epi16(128);
        const ODD: u64 = 0xaaaa_aaaa_aaaa_aaaa;
        // Units of four columns that have one scale.
        let same = if kind == Kind::Q6K { 4 } else { 8 };
        for part in 0..64 / same {
            for h in 0..2 {
                let scale = match kind {
                    Kind::Q6K => load_i8(&scales[part * PANEL..], h),
                    _ => load_u8(&scales[part * PANEL..], h),
                };
                // In both halves of each lane.
                let low_half = _mm512_and_si512(scale, _mm512_set1_epi32(0xffff));
                let scale = _mm512_or_si512(low_half, _mm512_slli_epi32::<16>(scale));
                for unit in part * same..(part + 1) * same {
                    let at = unit * UNIT + h * 64;
                    let q = load(&units.0[at..]);
                    let q_even = _mm512_sub_epi16(_mm512_and_si512(q, even), offset);
                    let q_odd = _mm512_sub_epi16(_mm512_srli_epi16::<8>(q), offset);
                    let (p_even, p_odd) =
                        (_mm512_mullo_epi16(q_even, scale), _mm512_mullo_epi16(q_odd, scale));
                    let low = _mm512_mask_mov_epi8(p_even, ODD, _mm512_slli_epi16::<8>(p_odd));
                    // Rounded, since the low byte is signed.
                    let high_even = _mm512_srli_epi16::<8>(_mm512_add_epi16(p_even, half));
                    let high = _mm512_mask_mov_epi8(high_even, ODD, _mm512_add_epi16(p_odd, half));
                    store(&mut self.low[at..], low);
                    store(&mut self.high[at..], high);
                }
            }
        }
    }
}

/// For each of two tiles of activations, products with low bytes and with high bytes, `[activation][weight]`.
#[repr(C, align(64))]
struct Sums([[[[i32; TILE]; TILE]; 2]; 2]);

/// Palette 1 with all eight tiles of 16 rows by 64 bytes (LDTILECFG's page).
#[repr(C, align(64))]
struct Config {
    palette: u8,
    start_row: u8,
    reserved: [u8; 14],
    bytes_per_row: [u16; 16],
    rows: [u8; 16],
}

static CONFIG: Config = Config {
    palette: 1,
    start_row: 0,
    reserved: [0; 14],
    bytes_per_row: [64, 64, 64, 64, 64, 64, 64, 64, 0, 0, 0, 0, 0, 0, 0, 0],
    rows: [16, 16, 16, 16, 16, 16, 16, 16, 0, 0, 0, 0, 0, 0, 0, 0],
};

/// # Safety
/// The machine has tiles, and this process may use them.
unsafe fn configure() {
    // SAFETY: `CONFIG` is the 64 bytes that the instruction reads.
    unsafe {
        asm!("ldtilecfg [{}]", in(reg) &raw const CONFIG, options(nostack, preserves_flags, readonly));
    }
}

/// A quarter of a group: 64 columns, from byte `$columns` of a row and `$units` of the units on.
macro_rules! quarter {
    ($columns:literal, $units:literal) => {
        concat!(
            "tileloadd tmm4, [{x} + {row} + ",
            $columns,
            "]\n",
            "tileloadd tmm6, [{low} + {unit} + ",
            $units,
            "]\n",
            "tileloadd tmm7, [{high} + {unit} + ",
            $units,
            "]\n",
            "tdpbssd tmm0, tmm4, tmm6\n",
            "tdpbssd tmm1, tmm4, tmm7\n",
            "tileloadd tmm5, [{x2} + {row} + ",
            $columns,
            "]\n",
            "tdpbssd tmm2, tmm5, tmm6\n",
            "tdpbssd tmm3, tmm5, tmm7\n",
        )
    };
}

/// Products of two tiles of activations with half `h` of the panel.
///
/// # Safety
/// The tiles are configured as in `CONFIG`.
#[inline]
unsafe fn multiply(q: &[i8], scaled: &Scaled, h: usize, sums: &mut Sums) {
    assert!(q.len() == ROWS * GROUP && h < 2);
    let (low, high) = (&scaled.low[h * 64..], &scaled.high[h * 64..]);
    // SAFETY: four times 64 columns of twice 16 rows, 256 bytes apart; 64 units, 128 bytes apart; four tiles
    // of sums.
    unsafe {
        asm!(
            "tilezero tmm0",
            "tilezero tmm1",
            "tilezero tmm2",
            "tilezero tmm3",
            quarter!(0, 0),
            quarter!(64, 2048),
            quarter!(128, 4096),
            quarter!(192, 6144),
            "tilestored [{sums} + {line}], tmm0",
            "tilestored [{sums} + {line} + 1024], tmm1",
            "tilestored [{sums} + {line} + 2048], tmm2",
            "tilestored [{sums} + {line} + 3072], tmm3",
            x = in(reg) q.as_ptr(),
            x2 = in(reg) q[TILE * GROUP..].as_ptr(),
            row = in(reg) GROUP,
            low = in(reg) low.as_ptr(),
            high = in(reg) high.as_ptr(),
            unit = in(reg) UNIT,
            sums = in(reg) sums.0.as_mut_ptr(),
            line = in(reg) 4 * TILE,
            options(nostack, preserves_flags),
        );
    }
}

/// `acc[r] += dx[r] * (d * total - dmin * min_total)`, for half `h` of the panel.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni,fma")]
fn add<const KIND: u8>(
    sums: &Sums,
    scales: &[u8],
    rest: &[u8],
    x: &IntRows,
    slot: usize,
    h: usize,
    acc: &mut [[f32; PANEL]; ROWS],
) {
    let has_min = Kind::ALL[KIND as usize].has_min();
    let d = load_f16(rest, h);
    let mut dmin = _mm512_setzero_ps();
    let mut min = [_mm512_setzero_si512(); 4];
    if has_min {
        dmin = load_f16(&rest[64..], h);
        for (pair, min) in min.iter_mut().enumerate() {
            *min = load_u8_pairs(&scales[256 + pair * 2 * PANEL..], h);
        }
    }
    let dx = &x.d[slot..][..ROWS];
    let sum = x.sum[slot * SUMS..][..ROWS * SUMS].as_chunks::<SUMS>().0;
    for (r, acc) in acc.iter_mut().enumerate() {
        let [low, high] = [0, 1].map(|byte| &sums.0[r / TILE][byte][r % TILE]);
        let (low, high) = (load_i32(low), load_i32(high));
        let total = _mm512_add_epi32(low, _mm512_slli_epi32::<8>(high));
        let mut term = _mm512_mul_ps(d, _mm512_cvtepi32_ps(total));
        if has_min {
            let mut min_total = _mm512_setzero_si512();
            for (min, x) in min.iter().zip(sum[r][16..].as_chunks::<2>().0) {
                let pair = i32::from(x[0] as u16) | i32::from(x[1]) << 16;
                min_total = _mm512_dpwssd_epi32(min_total, *min, _mm512_set1_epi32(pair));
            }
            term = _mm512_fnmadd_ps(dmin, _mm512_cvtepi32_ps(min_total), term);
        }
        store_f32(acc, h, _mm512_fmadd_ps(_mm512_set1_ps(dx[r]), term, load_f32(acc, h)));
    }
}

#[inline]
#[target_feature(enable = "avx512f")]
fn load(bytes: &[u8]) -> __m512i {
    let bytes = &bytes[..64];
    // SAFETY: `bytes` is 64 bytes.
    unsafe { _mm512_loadu_si512(bytes.as_ptr().cast()) }
}

#[inline]
#[target_feature(enable = "avx512f")]
fn load_i32(line: &[i32; TILE]) -> __m512i {
    // SAFETY: `line` is 64 bytes.
    unsafe { _mm512_loadu_si512(line.as_ptr().cast()) }
}

#[inline]
#[target_feature(enable = "avx512f")]
fn store(bytes: &mut [u8], value: __m512i) {
    let bytes = &mut bytes[..64];
    // SAFETY: `bytes` is 64 bytes.
    unsafe { _mm512_storeu_si512(bytes.as_mut_ptr().cast(), value) }
}

#[cfg(test)]
impl Amx {
    /// The tier on a machine without tiles: its instructions are carried out by `amx_emulation`.
    pub(super) fn emulated() -> Option<Amx> {
        let vnni = Avx512Vnni::detect()?;
        super::amx_emulation::begin();
        Some(Amx { vnni })
    }
}
