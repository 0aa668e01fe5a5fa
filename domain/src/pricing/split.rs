//! Splitting an amount in proportion, so that the parts add up to it.

use std::cmp::Reverse;

/// Splits `amount` over `weights` in proportion, exactly: every share is its exact proportion
/// rounded down, and the minor units that are then left over go one each to the shares that lost
/// most by that, the first of them if several lost the same (the largest remainder method). The
/// shares have the order of the weights.
///
/// Weights are not below zero; one that is counts as zero. If they add up to zero, nobody gets
/// anything, and the amount is not in the shares. A negative amount is split as its opposite.
pub fn split(amount: i64, weights: &[i64]) -> Vec<i64> {
    let weights: Vec<i128> = weights.iter().map(|weight| i128::from(*weight).max(0)).collect();
    let all: i128 = weights.iter().sum();
    if all == 0 {
        return vec![0; weights.len()];
    }
    let (sign, amount) = (i128::from(amount.signum()), i128::from(amount).abs());
    let exact = |weight: &i128| (amount * weight / all, amount * weight % all);
    let (mut shares, remainders): (Vec<i128>, Vec<i128>) = weights.iter().map(exact).unzip();

    let mut losers: Vec<usize> = (0..shares.len()).collect();
    losers.sort_by_key(|&loser| Reverse(remainders[loser]));
    let left_over = amount - shares.iter().sum::<i128>();
    for loser in losers.into_iter().zip(0..left_over).map(|(loser, _)| loser) {
        shares[loser] += 1;
    }
    // No share is larger than the amount, so all fit.
    shares.into_iter().map(|share| i64::try_from(sign * share).unwrap_or(i64::MAX)).collect()
}
