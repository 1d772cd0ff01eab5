//! On how few shoulders a sum rests: the Herfindahl-Hirschman index (DOMAIN 2.7).

use std::collections::BTreeMap;

/// The whole, in ten-thousandths.
pub const WHOLE: u32 = 10_000;
/// Sums are made smaller until their squares can be added without a wrap.
const SUM_BITS: u32 = 56;

/// How concentrated a sum is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Concentration<K> {
    /// Contributors with more than nothing.
    pub contributors: usize,
    /// The sum of the squared shares, in ten-thousandths: 10,000 for one contributor, 10,000 / n for n equal ones. Rounded.
    pub hhi: u32,
    /// Its inverse: as many equal contributors are as concentrated; in hundredths, rounded.
    pub effective_hundredths: u64,
    /// The largest contributors, with their shares in ten-thousandths, rounded down; of equals the smaller key first.
    pub top: Vec<(K, u32)>,
}

/// Bands of the index as competition authorities draw them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Band {
    /// Below 0.15.
    Low,
    /// 0.15 to 0.25.
    Moderate,
    /// Above 0.25.
    High,
}

impl Band {
    /// The band's name in output.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Low => "low",
            Self::Moderate => "moderate",
            Self::High => "high",
        }
    }
}

impl<K> Concentration<K> {
    /// Returns the band of the index.
    pub const fn band(&self) -> Band {
        match self.hhi {
            0..1_500 => Band::Low,
            1_500..=2_500 => Band::Moderate,
            _ => Band::High,
        }
    }

    /// Returns what is left without the `count` largest, in ten-thousandths.
    pub fn left_without(&self, count: usize) -> u32 {
        let gone: u32 = self.top.iter().take(count).map(|(_, share)| share).sum();
        WHOLE.saturating_sub(gone)
    }
}

/// Returns how concentrated the sum of `parts` is; nothing for a sum of nothing. At most `top` contributors are named.
///
/// Sums above 2^56 are rounded to 56 bits first: below any share that is shown.
pub fn concentration<K: Ord + Clone>(parts: &BTreeMap<K, u128>, top: usize) -> Option<Concentration<K>> {
    let sum = parts.values().fold(0_u128, |sum, part| sum.saturating_add(*part));
    let excess = (u128::BITS - sum.leading_zeros()).saturating_sub(SUM_BITS);
    let scaled: Vec<(&K, u128)> =
        parts.iter().map(|(key, part)| (key, part >> excess)).filter(|(_, part)| *part > 0).collect();
    let total: u128 = scaled.iter().map(|(_, part)| part).sum();
    if total == 0 {
        return None;
    }
    let squares: u128 = scaled.iter().map(|(_, part)| part * part).sum();
    let whole = total * total;
    let hhi = rounded(squares * u128::from(WHOLE), whole);
    let mut ranked: Vec<(K, u128)> = scaled.iter().map(|(key, part)| ((*key).clone(), *part)).collect();
    ranked.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
    ranked.truncate(top);
    let share = |part: u128| u32::try_from(part * u128::from(WHOLE) / total).unwrap_or(WHOLE);
    Some(Concentration {
        contributors: scaled.len(),
        hhi: u32::try_from(hhi).unwrap_or(WHOLE),
        effective_hundredths: u64::try_from(rounded(whole * 100, squares)).unwrap_or(u64::MAX),
        top: ranked.into_iter().map(|(key, part)| (key, share(part))).collect(),
    })
}

fn rounded(numerator: u128, denominator: u128) -> u128 {
    (numerator + denominator / 2) / denominator
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(parts: &[u128]) -> Option<Concentration<usize>> {
        concentration(&parts.iter().copied().enumerate().collect(), 3)
    }

    #[test]
    fn equal_contributors_count_as_many_as_they_are() {
        for n in 1..40_u32 {
            let parts = vec![7; n as usize];
            let found = of(&parts).expect("a sum");
            assert_eq!((found.contributors, found.effective_hundredths), (n as usize, u64::from(n) * 100));
            assert_eq!(found.hhi, (WHOLE + n / 2) / n);
        }
        assert_eq!(of(&[]), None);
        assert_eq!(of(&[0, 0]), None);
    }

    #[test]
    fn a_hand_computed_sum_has_its_index_its_band_and_what_is_left() {
        // 0.5² + 0.3² + 0.2² = 0.38.
        let found = of(&[30, 0, 50, 20]).expect("a sum");
        assert_eq!((found.contributors, found.hhi, found.effective_hundredths), (3, 3_800, 263));
        assert_eq!(found.top, [(2, 5_000), (0, 3_000), (3, 2_000)]);
        assert_eq!((found.left_without(1), found.left_without(2), found.left_without(9)), (5_000, 2_000, 0));
        assert_eq!(found.band(), Band::High);
        assert_eq!(of(&[1; 10]).expect("a sum").band(), Band::Low);
        assert_eq!(of(&[1; 5]).expect("a sum").band(), Band::Moderate);
    }

    #[test]
    fn the_largest_sums_do_not_wrap() {
        let found = of(&[u128::MAX, 1]).expect("a sum");
        assert_eq!((found.contributors, found.hhi), (1, WHOLE));
        let found = of(&[u128::from(u64::MAX); 4]).expect("a sum");
        assert_eq!((found.contributors, found.hhi), (4, 2_500));
    }
}
