//! One row of logits → one token that the answer's form allows, and by how much it won.
//! A function of the logits, the form and the seed: nothing else is looked at.

use super::math::exp_f64;
use super::request::Sampling;
use super::wide::wide;

/// Candidates that are tried before a whole mask is computed: the form nearly always allows one.
const CANDIDATES: usize = 8;

/// Logits that are looked at together: only where one of them is better than the last of the best are
/// they looked at one by one.
const LOOK: usize = 256;

/// Weights below e⁻⁴⁰ of the best one cannot be drawn with 53 random bits.
const LEAST_WEIGHT: f64 = -40.0;

/// What the sampler asks of an answer's form.
pub(super) trait Rules {
    fn allows(&mut self, token: u32) -> bool;
    /// Bit `id % 64` of word `id / 64`.
    fn mask(&mut self) -> &[u64];
}

/// What came of one row of logits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Pick {
    /// The token, and the difference of the two best allowed logits in thousandths. Where fewer than
    /// two of the best eight are allowed, the distance to the eighth: the true one is no smaller.
    Token { id: u32, margin_milli: i64 },
    /// The form allows no token.
    DeadEnd,
    /// A logit is NaN or infinite.
    Fault,
}

/// Room for the tokens that a draw is among; kept from row to row.
pub(super) type Drawable = Vec<(f64, u32)>;

/// Picks the token after row `drawn` (the number of tokens drawn before in this answer).
pub(super) fn pick(
    logits: &[f32],
    sampling: Sampling,
    drawn: u64,
    rules: &mut impl Rules,
    room: &mut Drawable,
) -> Pick {
    let Some(best) = Best::of(logits) else { return Pick::Fault };
    match sampling {
        Sampling::Greedy => greedy(logits, &best, rules),
        Sampling::Seeded { seed, temperature, top_p } => {
            draw(logits, uniform(seed, drawn), temperature, top_p, rules.mask(), room)
        }
    }
}

fn greedy(logits: &[f32], best: &Best, rules: &mut impl Rules) -> Pick {
    let best = best.tokens();
    let mut allowed = best.iter().filter(|&&(_, id)| rules.allows(id));
    if let Some(&(first, id)) = allowed.next() {
        let second = allowed.next().or(best.last());
        return Pick::Token { id, margin_milli: margin(first, second.map_or(first, |b| b.0)) };
    }
    match *Best::of_mask(logits, rules.mask()).tokens() {
        [] => Pick::DeadEnd,
        // The only token that may come.
        [(_, id)] => Pick::Token { id, margin_milli: i64::from(i32::MAX) },
        [(first, id), (second, _), ..] => Pick::Token { id, margin_milli: margin(first, second) },
    }
}

/// The best few logits, best first, among equals the smallest id first. −∞ is not among them: it is a
/// token that the model excludes.
struct Best {
    tokens: [(f32, u32); CANDIDATES],
    len: usize,
}

impl Best {
    const NONE: Best = Best { tokens: [(f32::NEG_INFINITY, 0); CANDIDATES], len: 0 };

    /// None where a logit is NaN or +∞.
    fn of(logits: &[f32]) -> Option<Best> {
        let mut best = Best::NONE;
        for (first, logits) in (0u32..).step_by(LOOK).zip(logits.chunks(LOOK)) {
            let (mut better, mut bad) = (0, 0);
            look(logits, best.least(), &mut better, &mut bad);
            if bad > 0 {
                return None;
            }
            if better > 0 {
                (first..).zip(logits).for_each(|(id, &logit)| best.offer(logit, id));
            }
        }
        Some(best)
    }

    fn of_mask(logits: &[f32], mask: &[u64]) -> Best {
        let mut best = Best::NONE;
        for (first, (logits, &word)) in (0u32..).step_by(64).zip(logits.chunks(64).zip(mask)) {
            let mut bits = word;
            while bits != 0 {
                let bit = bits.trailing_zeros();
                bits &= bits - 1;
                if let Some(&logit) = logits.get(bit as usize) {
                    best.offer(logit, first + bit);
                }
            }
        }
        best
    }

    fn tokens(&self) -> &[(f32, u32)] {
        &self.tokens[..self.len]
    }

    /// What a logit must exceed.
    fn least(&self) -> f32 {
        self.tokens[CANDIDATES - 1].0
    }

    /// Ids are offered in ascending order.
    fn offer(&mut self, logit: f32, id: u32) {
        if logit <= self.least() {
            return;
        }
        let at = self.tokens().partition_point(|&(other, _)| other >= logit);
        self.len = (self.len + 1).min(CANDIDATES);
        self.tokens[at..self.len].rotate_right(1);
        self.tokens[at] = (logit, id);
    }
}

wide! {
    /// Adds up how many of `logits` are above `bound`, and how many are NaN or +∞.
    fn look(logits: &[f32], bound: f32, better: &mut u32, bad: &mut u32) {
        for &logit in logits {
            *better += u32::from(logit > bound);
            *bad += u32::from(logit.is_nan() | (logit == f32::INFINITY));
        }
    }
}

fn is_set(mask: &[u64], id: u32) -> bool {
    mask.get(id as usize / 64).is_some_and(|word| word >> (id % 64) & 1 == 1)
}

fn margin(first: f32, second: f32) -> i64 {
    (f64::from(first) - f64::from(second)).mul_add(1000.0, 0.5).floor() as i64
}

/// Draws among the allowed tokens that together hold `top_p` of the weight, heaviest first.
fn draw(
    logits: &[f32],
    uniform: f64,
    temperature: f32,
    top_p: f32,
    mask: &[u64],
    tokens: &mut Drawable,
) -> Pick {
    let allowed = (0u32..).zip(logits).filter(|&(id, _)| is_set(mask, id));
    let max = allowed.clone().fold(f32::NEG_INFINITY, |max, (_, &logit)| max.max(logit));
    if max == f32::NEG_INFINITY {
        return Pick::DeadEnd;
    }
    let exponent = |logit: f32| (f64::from(logit) - f64::from(max)) / f64::from(temperature);
    let weighed = allowed.map(|(id, &logit)| (exponent(logit), id));
    tokens.clear();
    tokens.extend(weighed.filter(|&(exponent, _)| exponent > LEAST_WEIGHT));
    tokens.sort_unstable_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
    let second = tokens.get(1).map(|&(exponent, _)| exponent * f64::from(temperature));
    let margin_milli = second.map_or(i64::from(i32::MAX), |second| (-second * 1000.0) as i64);
    for (weight, _) in &mut *tokens {
        *weight = exp_f64(*weight);
    }
    let total: f64 = tokens.iter().map(|&(weight, _)| weight).sum();
    let mut kept = 0.0;
    let cut = tokens.iter().position(|&(weight, _)| {
        kept += weight;
        kept >= f64::from(top_p) * total
    });
    tokens.truncate(cut.map_or(tokens.len(), |last| last + 1));
    let target = uniform * tokens.iter().map(|&(weight, _)| weight).sum::<f64>();
    let mut sum = 0.0;
    let drawn = tokens.iter().find(|&&(weight, _)| {
        sum += weight;
        sum > target
    });
    let (_, id) = *drawn.or(tokens.last()).expect("the best token is always kept");
    Pick::Token { id, margin_milli }
}

/// A number in [0, 1): SplitMix64 (Steele, Lea and Flood, 2014) at place `drawn` of the seed's stream.
fn uniform(seed: u64, drawn: u64) -> f64 {
    let z = seed.wrapping_add((drawn + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15));
    let z = (z ^ z >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    ((z ^ z >> 31) >> 11) as f64 / (1u64 << 53) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Allows what its mask says.
    struct Mask(Vec<u64>);

    impl Rules for Mask {
        fn allows(&mut self, token: u32) -> bool {
            is_set(&self.0, token)
        }
        fn mask(&mut self) -> &[u64] {
            &self.0
        }
    }

    fn all() -> Mask {
        Mask(vec![u64::MAX; 4])
    }

    fn pick(logits: &[f32], sampling: Sampling, drawn: u64, rules: &mut Mask) -> Pick {
        super::pick(logits, sampling, drawn, rules, &mut Vec::new())
    }

    #[test]
    fn the_smallest_id_wins_among_equals() {
        let mut logits = [0.0f32; 200];
        logits[150] = 2.5;
        logits[77] = 2.5;
        logits[3] = 1.0;
        let pick = pick(&logits, Sampling::Greedy, 0, &mut all());
        assert_eq!(pick, Pick::Token { id: 77, margin_milli: 0 });
    }

    #[test]
    fn the_best_allowed_token_is_found_among_the_candidates_and_beyond_them() {
        let logits: Vec<f32> = (0..200).map(|i| i as f32 / 2.0).collect();
        // 199 and 198 are refused, 197 wins over 190 by 3.5.
        let mut near = Mask(vec![0, 0, 1 << (190 - 128), 1 << (197 - 192)]);
        let picked = pick(&logits, Sampling::Greedy, 0, &mut near);
        assert_eq!(picked, Pick::Token { id: 197, margin_milli: 2500 }, "190 is past the eighth");
        let mut far = Mask(vec![1 << 9 | 1 << 5, 0, 0, 0]);
        let picked = pick(&logits, Sampling::Greedy, 0, &mut far);
        assert_eq!(picked, Pick::Token { id: 9, margin_milli: 2000 });
        let mut none = Mask(vec![0; 4]);
        assert_eq!(pick(&logits, Sampling::Greedy, 0, &mut none), Pick::DeadEnd);
    }

    #[test]
    fn the_best_are_those_of_a_stable_sort() {
        let mut random = super::super::tiny::Random(3);
        for len in [1usize, 7, 8, 9, 255, 256, 257, 1000] {
            // Few different values, so that many are equal.
            let logits: Vec<f32> = (0..len).map(|_| (random.next() % 40) as f32 - 39.0).collect();
            let logits: Vec<f32> =
                logits.iter().map(|&x| if x < -30.0 { f32::NEG_INFINITY } else { x }).collect();
            let mut sorted: Vec<(f32, u32)> = logits.iter().copied().zip(0..).collect();
            sorted.retain(|token| token.0 != f32::NEG_INFINITY);
            sorted.sort_by(|a, b| b.0.total_cmp(&a.0));
            let first: Vec<_> = sorted.iter().copied().take(CANDIDATES).collect();
            assert_eq!(Best::of(&logits).unwrap().tokens(), first);
            let mask: Vec<u64> = (0..len.div_ceil(64)).map(|_| random.next()).collect();
            sorted.retain(|&(_, id)| is_set(&mask, id));
            sorted.truncate(CANDIDATES);
            assert_eq!(Best::of_mask(&logits, &mask).tokens(), sorted);
        }
    }

    #[test]
    fn bad_numbers_are_a_fault_and_no_choice() {
        for bad in [f32::NAN, f32::INFINITY] {
            let mut logits = [0.0f32; 64];
            logits[40] = bad;
            assert_eq!(pick(&logits, Sampling::Greedy, 0, &mut all()), Pick::Fault);
        }
    }

    #[test]
    fn a_seeded_draw_follows_the_weights_and_its_seed() {
        let mut logits = [f32::NEG_INFINITY; 64];
        // Weights 8 : 1 : 1.
        (logits[10], logits[20], logits[30]) = (8f32.ln(), 0.0, 0.0);
        let sampling = |seed| Sampling::Seeded { seed, temperature: 1.0, top_p: 1.0 };
        let id = |seed, drawn| match pick(&logits, sampling(seed), drawn, &mut all()) {
            Pick::Token { id, .. } => id,
            other => panic!("{other:?}"),
        };
        let count = |wanted| (0..10_000).filter(|&drawn| id(5, drawn) == wanted).count();
        let (ten, twenty, thirty) = (count(10), count(20), count(30));
        assert_eq!(ten + twenty + thirty, 10_000);
        assert!((7_800..8_200).contains(&ten) && (850..1_150).contains(&twenty), "{ten} {twenty}");
        assert!((0..50).all(|drawn| id(9, drawn) == id(9, drawn)));
        assert!((0..50).any(|drawn| id(9, drawn) != id(10, drawn)));
        let narrow = Sampling::Seeded { seed: 1, temperature: 1.0, top_p: 0.5 };
        for drawn in 0..100 {
            let pick = pick(&logits, narrow, drawn, &mut all());
            assert!(matches!(pick, Pick::Token { id: 10, .. }), "top-p keeps the best only");
        }
    }
}
