//! Shares: how many jobs at once each host may run when all of them together may run only so many.
//!
//! A share is fixed at the hand-over, since no host knows of the others. Which jobs a host gets is not decided here.

/// A host that wants a share.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Wish {
    /// Jobs at once that it can run.
    pub slots: u32,
    /// Jobs that it has or is to get.
    pub jobs: usize,
}

/// A share for each host, together never more than `most`; without `most` each has its slots. Slots go one by one to the
/// host that has the most jobs for each of its slots, the first of equal ones; what is left then to those that may get
/// jobs later.
pub fn shares(most: Option<u32>, wishes: &[Wish]) -> Vec<u32> {
    let Some(mut left) = most else { return wishes.iter().map(|wish| wish.slots).collect() };
    let mut shares = vec![0_u32; wishes.len()];
    while left > 0 {
        let open =
            wishes.iter().zip(&shares).enumerate().filter(|(_, (wish, share))| {
                **share < wish.slots && (**share as usize) < wish.jobs
            });
        // Of equal ones `max_by` takes the last.
        let next = open.rev().max_by(|(_, (a, has_a)), (_, (b, has_b))| {
            let per_slot = |jobs: usize, other: u32| jobs as u128 * (u128::from(other) + 1);
            per_slot(a.jobs, **has_b).cmp(&per_slot(b.jobs, **has_a))
        });
        let Some((next, _)) = next else { break };
        shares[next] += 1;
        left -= 1;
    }
    for (wish, share) in wishes.iter().zip(&mut shares) {
        let more = left.min(wish.slots - *share);
        *share += more;
        left -= more;
    }
    shares
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn of(most: Option<u32>, wishes: &[(u32, usize)]) -> Vec<u32> {
        let wishes: Vec<Wish> =
            wishes.iter().map(|(slots, jobs)| Wish { slots: *slots, jobs: *jobs }).collect();
        shares(most, &wishes)
    }

    #[test]
    fn by_jobs_for_each_slot() {
        assert_eq!(of(None, &[(2, 0), (3, 5)]), [2, 3]);
        assert_eq!(of(Some(1), &[(2, 5), (2, 5)]), [1, 0]);
        assert_eq!(of(Some(1), &[(2, 5), (2, 6)]), [0, 1]);
        assert_eq!(of(Some(3), &[(4, 20), (4, 10)]), [2, 1]);
        assert_eq!(of(Some(4), &[(1, 20), (4, 1)]), [1, 3]);
        assert_eq!(of(Some(2), &[(4, 1), (4, 0)]), [2, 0]);
        assert_eq!(of(Some(2), &[(1, 1), (4, 0)]), [1, 1]);
        assert_eq!(of(Some(9), &[]), [0; 0]);
    }

    proptest! {
        #[test]
        fn never_more_than_all_may(
            most in 0_u32..40,
            wishes in prop::collection::vec((1_u32..8, 0_usize..50), 0..6),
        ) {
            let got = of(Some(most), &wishes);
            let all: u32 = wishes.iter().map(|(slots, _)| slots).sum();
            prop_assert_eq!(got.iter().sum::<u32>(), most.min(all));
            for (share, (slots, _)) in got.iter().zip(&wishes) {
                prop_assert!(share <= slots);
            }
            // Nobody has two slots while another one with as many jobs has none.
            for ((a, (_, jobs)), (b, (_, others))) in
                got.iter().zip(&wishes).flat_map(|a| got.iter().zip(&wishes).map(move |b| (a, b)))
            {
                prop_assert!(!(*a == 0 && *jobs > 0 && jobs >= others && *b > 1), "{got:?}");
            }
        }
    }
}
