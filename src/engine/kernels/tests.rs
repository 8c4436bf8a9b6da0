//! Every tier against the specification, by bits; and how fast they are.

use super::*;
use candle_core::quantized::GgmlDType;
use half::{bf16, f16};

pub(in crate::engine) fn ggml_type(kind: Kind) -> GgmlDType {
    match kind {
        Kind::F32 => GgmlDType::F32,
        Kind::F16 => GgmlDType::F16,
        Kind::Bf16 => GgmlDType::BF16,
        Kind::Q4_0 => GgmlDType::Q4_0,
        Kind::Q4_1 => GgmlDType::Q4_1,
        Kind::Q5_0 => GgmlDType::Q5_0,
        Kind::Q5_1 => GgmlDType::Q5_1,
        Kind::Q8_0 => GgmlDType::Q8_0,
        Kind::Q2K => GgmlDType::Q2K,
        Kind::Q3K => GgmlDType::Q3K,
        Kind::Q4K => GgmlDType::Q4K,
        Kind::Q5K => GgmlDType::Q5K,
        Kind::Q6K => GgmlDType::Q6K,
    }
}

/// xorshift64*: the same numbers everywhere.
pub(in crate::engine) struct Random(pub u64);

impl Random {
    pub(in crate::engine) fn bits(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    /// Below 1 in magnitude.
    pub(in crate::engine) fn float(&mut self) -> f32 {
        (self.bits() >> 40) as f32 / (1 << 23) as f32 - 1.0
    }
}

/// Random bytes of `count` weights, with scales of a sane size, every bit pattern of `q` possible.
pub(in crate::engine) fn random_bytes(kind: Kind, count: usize, seed: u64) -> Vec<u8> {
    weight_bytes(kind, count, seed, |random| (random.bits() >> 56) as u8)
}

/// Bytes of `count` weights from `fill`, but for random scales of a sane size.
fn weight_bytes(kind: Kind, count: usize, seed: u64, fill: impl Fn(&mut Random) -> u8) -> Vec<u8> {
    let mut random = Random(seed * 2 + 1);
    let mut bytes = Vec::new();
    for _ in 0..count / kind.block_len() {
        let mut block: Vec<u8> = (0..kind.block_bytes()).map(|_| fill(&mut random)).collect();
        let mut scale = |at: usize| {
            let value = f16::from_f32(random.float() * 0.01);
            block[at..at + 2].copy_from_slice(&value.to_le_bytes());
        };
        match kind {
            Kind::F32 => block = random.float().to_le_bytes().to_vec(),
            Kind::F16 => block = f16::from_f32(random.float()).to_le_bytes().to_vec(),
            Kind::Bf16 => block = bf16::from_f32(random.float()).to_le_bytes().to_vec(),
            Kind::Q4_0 | Kind::Q5_0 | Kind::Q8_0 => scale(0),
            Kind::Q4_1 | Kind::Q5_1 | Kind::Q4K | Kind::Q5K => {
                scale(0);
                scale(2);
            }
            Kind::Q2K => {
                scale(80);
                scale(82);
            }
            Kind::Q3K => scale(108),
            Kind::Q6K => scale(208),
        }
        bytes.extend(block);
    }
    bytes
}

/// Activations with the outliers that models have.
fn random_rows(count: usize, seed: u64) -> Vec<f32> {
    let mut random = Random(seed * 2 + 1);
    (0..count)
        .map(|i| random.float() * random.float() * if i % 97 == 0 { 40.0 } else { 1.0 })
        .collect()
}

/// Every tier of this machine, and tiles carried out by hand where it has none.
fn tiers() -> Vec<Tier> {
    let tiers = Tier::available().into_iter();
    #[cfg(target_arch = "x86_64")]
    let tiers = {
        let missing = (!Tier::best().has_tiles()).then(amx::Amx::emulated).flatten();
        tiers.chain(missing.map(|proof| Tier(Isa::Amx(proof))))
    };
    tiers.collect()
}

fn check(pool: &Pool, tier: Tier, kind: Kind, m: usize, n: usize, k: usize) {
    let bytes = random_bytes(kind, n * k, (n * k) as u64);
    let x = random_rows(m * k, (m + k) as u64);
    check_product(pool, tier, kind, &bytes, &x, k);
}

fn check_product(pool: &Pool, tier: Tier, kind: Kind, bytes: &[u8], x: &[f32], k: usize) {
    let (m, n) = (x.len() / k, bytes.len() / (k / kind.block_len() * kind.block_bytes()));
    let mut want = vec![0.0; m * n];
    scalar::matmul(kind, bytes, x, k, &mut want);
    let w = Matrix::pack(pool, kind, bytes, n, k).unwrap();
    let mut rows = Activations::new(tier);
    rows.set(pool, x, k, &[kind.form()]);
    let mut got = vec![f32::NAN; m * n];
    matmul(pool, &w, &rows, &mut got);
    for (i, (got, want)) in got.iter().zip(&want).enumerate() {
        let (r, c) = (i / n, i % n);
        assert_eq!(
            got.to_bits(),
            want.to_bits(),
            "{tier:?} {kind:?} m {m} n {n} k {k}: row {r} column {c}: {got} is not {want}"
        );
    }
}

#[test]
fn kinds_are_listed_in_their_order() {
    for (i, kind) in Kind::ALL.iter().enumerate() {
        assert_eq!(*kind as usize, i);
    }
}

#[test]
fn every_tier_gives_the_bits_of_the_specification() {
    let pool = Pool::new(2);
    for tier in tiers() {
        for kind in Kind::ALL {
            let unit = kind.block_len();
            // Register blocks, and from 32 rows on tiles, with rows that are over.
            for m in (1..=13).chain([31, 32, 33, 48, 63]) {
                check(&pool, tier, kind, m, 40, if unit == 256 { 512 } else { 9 * 32 });
            }
            for n in [1, 2, 7, 31, 32, 33, 63, 64, 65, 100] {
                check(&pool, tier, kind, 3, n, 256);
            }
            for k in [unit, 3 * unit, 8 * unit, 11 * unit] {
                check(&pool, tier, kind, 7, 33, k);
            }
            check(&pool, tier, kind, 515, 3, 256);
        }
    }
}

#[test]
fn no_sum_saturates_at_the_largest_weights_and_activations() {
    let (pool, n, k) = (Pool::new(2), 33, 512);
    let signs: [fn(usize) -> f32; 4] = [
        |_| 1.0,
        |_| -1.0,
        |i| if i % 2 == 0 { 1.0 } else { -1.0 },
        |i| if i % 4 < 2 { 1.0 } else { -1.0 },
    ];
    for kind in Kind::ALL.into_iter().filter(|kind| kind.form() != Form::Float) {
        for byte in [0x00, 0x7f, 0x80, 0xff] {
            let bytes = weight_bytes(kind, n * k, 1, |_| byte);
            for sign in signs {
                let x: Vec<f32> = (0..32 * k).map(sign).collect();
                for tier in tiers() {
                    // One register block, enough rows for unpacking first, and for tiles.
                    check_product(&pool, tier, kind, &bytes, &x[..3 * k], k);
                    check_product(&pool, tier, kind, &bytes, &x[..10 * k], k);
                    check_product(&pool, tier, kind, &bytes, &x, k);
                }
            }
        }
    }
}

#[test]
fn outputs_do_not_depend_on_threads() {
    let (n, k, m) = (200, 512, 9);
    let x = random_rows(m * k, 1);
    for kind in Kind::ALL {
        let bytes = random_bytes(kind, n * k, 5);
        let mut first: Option<Vec<u32>> = None;
        for threads in 1..=4 {
            let pool = Pool::new(threads);
            let w = Matrix::pack(&pool, kind, &bytes, n, k).unwrap();
            let mut rows = Activations::new(Tier::best());
            rows.set(&pool, &x, k, &[kind.form()]);
            let mut y = vec![0.0; m * n];
            matmul(&pool, &w, &rows, &mut y);
            let bits: Vec<u32> = y.iter().map(|v| v.to_bits()).collect();
            assert_eq!(*first.get_or_insert_with(|| bits.clone()), bits, "{kind:?} {threads}");
        }
    }
}

#[test]
fn activations_that_are_zero_tiny_or_not_finite_are_treated_alike_by_every_tier() {
    let pool = Pool::new(1);
    for kind in Kind::ALL {
        let k = 512;
        let bytes = random_bytes(kind, 40 * k, 9);
        let w = Matrix::pack(&pool, kind, &bytes, 40, k).unwrap();
        for value in [0.0, -0.0, 1e-38, 1e-44, 1e30, f32::INFINITY, f32::NAN] {
            let mut x = random_rows(k, 3);
            x[..256].fill(0.0);
            x[5] = value;
            let mut want = vec![0.0; 40];
            scalar::matmul(kind, &bytes, &x, k, &mut want);
            for tier in Tier::available() {
                let mut rows = Activations::new(tier);
                rows.set(&pool, &x, k, &[kind.form()]);
                let mut got = vec![0.0; 40];
                matmul(&pool, &w, &rows, &mut got);
                for (got, want) in got.iter().zip(&want) {
                    assert!(
                        got.to_bits() == want.to_bits() || got.is_nan() && want.is_nan(),
                        "{tier:?} {kind:?} {value}: {got} is not {want}"
                    );
                }
                if !value.is_finite() {
                    assert!(got.iter().any(|v| !v.is_finite()), "{tier:?} {kind:?} {value}");
                }
            }
        }
    }
}

#[test]
fn rows_come_back_as_the_file_has_them() {
    let pool = Pool::new(2);
    for kind in Kind::ALL {
        let (n, k) = (45, if kind.block_len() == 256 { 512 } else { 9 * 32 });
        let bytes = random_bytes(kind, n * k, 11);
        let w = Matrix::pack(&pool, kind, &bytes, n, k).unwrap();
        let device = candle_core::Device::Cpu;
        let tensor = candle_core::quantized::ggml_file::qtensor_from_ggml(
            ggml_type(kind),
            &bytes,
            vec![n, k],
            &device,
        );
        let tensor = tensor.unwrap().dequantize(&device).unwrap();
        let want: Vec<f32> = tensor.flatten_all().unwrap().to_vec1().unwrap();
        for i in [0, 1, 31, 32, 44] {
            let mut row = vec![0.0; k];
            w.row_f32(i, &mut row);
            for (j, (got, want)) in row.iter().zip(&want[i * k..]).enumerate() {
                assert_eq!(got.to_bits(), want.to_bits(), "{kind:?} row {i} column {j}");
            }
        }
    }
}

#[test]
fn a_matrix_of_the_wrong_size_is_refused() {
    let pool = Pool::new(1);
    assert!(Matrix::pack(&pool, Kind::Q4K, &[0; 144], 1, 128).is_err());
    assert!(Matrix::pack(&pool, Kind::Q4K, &[0; 143], 1, 256).is_err());
    assert!(Matrix::pack(&pool, Kind::Q8_0, &[0; 34], 0, 32).is_err());
}

#[test]
fn packed_weights_take_hardly_more_than_in_the_file() {
    let pool = Pool::new(1);
    for kind in Kind::ALL {
        let bytes = random_bytes(kind, 64 * 512, 1);
        let w = Matrix::pack(&pool, kind, &bytes, 64, 512).unwrap();
        assert!(w.bytes() * 100 <= bytes.len() * 104, "{kind:?}: {} {}", w.bytes(), bytes.len());
    }
}

/// Processor time of this process: neighbours on a shared machine do not count.
fn cpu_seconds() -> f64 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `time` is a timespec that the call may write.
    unsafe { libc::clock_gettime(libc::CLOCK_PROCESS_CPUTIME_ID, &mut time) };
    time.tv_sec as f64 + time.tv_nsec as f64 * 1e-9
}

/// G multiply-adds a second of VPDPBUSD on registers alone; 0 where there is none.
#[cfg(not(target_arch = "x86_64"))]
fn peak() -> f64 {
    0.0
}

#[cfg(target_arch = "x86_64")]
fn peak() -> f64 {
    use std::arch::x86_64::*;
    #[target_feature(enable = "avx512f,avx512vnni")]
    fn spin(turns: usize) -> i32 {
        let mut s = [_mm512_set1_epi32(turns as i32); 16];
        let (a, b) = (std::hint::black_box(s[0]), std::hint::black_box(s[1]));
        for _ in 0..turns {
            for s in &mut s {
                *s = _mm512_dpbusd_epi32(*s, a, b);
            }
        }
        s.iter().map(|s| _mm512_reduce_add_epi32(*s)).fold(0, i32::wrapping_add)
    }
    if Tier::named("avx512-vnni").is_none() {
        return 0.0;
    }
    let start = cpu_seconds();
    // SAFETY: the tier above was found on this machine.
    std::hint::black_box(unsafe { spin(20_000_000) });
    20_000_000.0 * 16.0 * 64.0 / (cpu_seconds() - start) / 1e9
}

/// `cargo test --release --lib kernels::tests::bench -- --ignored --nocapture`; BENCH_TIER names a tier,
/// BENCH_KINDS the types.
#[test]
#[ignore = "a measurement"]
fn bench() {
    let pool = Pool::new(1);
    let tier = std::env::var("BENCH_TIER").map_or(Tier::best(), |t| Tier::named(&t).unwrap());
    let kinds = std::env::var("BENCH_KINDS").unwrap_or("Q4K Q6K Q4_1 Q5_0 Q8_0".into());
    let shapes = [(1536, 1536), (8960, 1536), (1536, 8960)];
    println!("peak {:.0}", peak());
    println!("{tier:?}, one thread: G multiply-adds a second (GB of weights a second)");
    for kind in Kind::ALL.iter().filter(|kind| kinds.contains(&format!("{kind:?}"))) {
        for (n, k) in shapes {
            let bytes = random_bytes(*kind, n * k, 1);
            let w = Matrix::pack(&pool, *kind, &bytes, n, k).unwrap();
            // As many as leave the caches, so that decoding reads memory.
            let copies: Vec<Matrix> = (0..(100_000_000 / w.bytes()).min(24))
                .map(|_| Matrix::pack(&pool, *kind, &bytes, n, k).unwrap())
                .take(if std::env::var_os("BENCH_HOT").is_some() { 0 } else { 99 })
                .chain([w])
                .collect();
            print!("{kind:?} {n:>6} x {k:<5}");
            let rows = std::env::var("BENCH_M").unwrap_or("1 4 8 16 32 512".into());
            for m in rows.split(' ').map(|m| m.parse::<usize>().unwrap()) {
                let x = random_rows(m * k, 2);
                let mut y = vec![0.0; m * n];
                let mut best = f64::MAX;
                for _ in 0..4 {
                    let start = cpu_seconds();
                    let mut done = 0;
                    while done == 0 || cpu_seconds() - start < 0.03 {
                        for w in &copies {
                            let mut rows = Activations::new(tier);
                            rows.set(&pool, &x, k, &[kind.form()]);
                            matmul(&pool, w, &rows, &mut y);
                            done += 1;
                        }
                    }
                    best = best.min((cpu_seconds() - start) / done as f64);
                }
                let gmacs = (m * n * k) as f64 / best / 1e9;
                print!("  {m:>3}: {gmacs:>5.0} ({:>4.1})", copies[0].bytes() as f64 / best / 1e9);
            }
            println!();
        }
    }
}

#[test]
fn outputs_are_as_near_to_the_exact_product_as_candles() {
    let (m, n, k) = (8, 64, 2048);
    let pool = Pool::new(2);
    let device = candle_core::Device::Cpu;
    let x = random_rows(m * k, 21);
    for kind in Kind::ALL.into_iter().filter(|kind| kind.form() != Form::Float) {
        let bytes = random_bytes(kind, n * k, 22);
        let w = Matrix::pack(&pool, kind, &bytes, n, k).unwrap();
        let mut rows = Activations::new(Tier::best());
        rows.set(&pool, &x, k, &[kind.form()]);
        let mut ours = vec![0.0; m * n];
        matmul(&pool, &w, &rows, &mut ours);
        let tensor = candle_core::quantized::ggml_file::qtensor_from_ggml(
            ggml_type(kind),
            &bytes,
            vec![n, k],
            &device,
        );
        let tensor = std::sync::Arc::new(tensor.unwrap());
        let theirs = candle_core::quantized::QMatMul::QTensor(tensor);
        let input = candle_core::Tensor::from_slice(&x, (m, k), &device).unwrap();
        let theirs = candle_core::Module::forward(&theirs, &input).unwrap();
        let theirs: Vec<f32> = theirs.flatten_all().unwrap().to_vec1().unwrap();
        let mut row = vec![0.0; k];
        let (mut our_error, mut their_error) = (0.0, 0.0);
        for j in 0..n {
            w.row_f32(j, &mut row);
            for i in 0..m {
                let exact: f64 =
                    row.iter().zip(&x[i * k..]).map(|(w, x)| *w as f64 * *x as f64).sum();
                our_error += (ours[i * n + j] as f64 - exact).powi(2);
                their_error += (theirs[i * n + j] as f64 - exact).powi(2);
            }
        }
        let ratio = (our_error / their_error).sqrt();
        println!("{kind:?}: error {ratio:.3} of candle's");
        assert!(ratio < 1.05, "{kind:?}: {ratio}");
    }
}
