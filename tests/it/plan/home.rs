//! The home of a job as a function: fixed, weighted, and moved by an edit of the hosts only where it must be.

use std::collections::BTreeMap;

use insta::assert_snapshot;
use proptest::prelude::*;
use solverpilot::ids::JobId;
use solverpilot::plan::home;

fn id(n: u32) -> JobId {
    JobId(blake3::hash(&n.to_le_bytes()).as_bytes()[..16].try_into().unwrap())
}

fn home_of(n: u32, hosts: &[(String, u32)]) -> &str {
    home(id(n), hosts.iter().map(|(name, slots)| (name.as_str(), *slots))).unwrap()
}

/// Every client of every version on every machine gives these.
#[test]
fn homes_are_fixed() {
    let hosts = [("local".to_owned(), 1), ("gpu-1".to_owned(), 2), ("gpu-2".to_owned(), 8)];
    let homes: Vec<&str> = (0..12).map(|n| home_of(n, &hosts)).collect();
    assert_snapshot!(homes.join(" "));
    assert_eq!(home(id(1), []), None);
    // The most slots that a file can say overflow nothing.
    let most = [("a".to_owned(), u32::MAX), ("b".to_owned(), 1)];
    assert!((0..1000).all(|n| home_of(n, &most) == "a"));
}

#[test]
fn shares_follow_the_slots() {
    const JOBS: u32 = 20_000;
    for slots in [vec![1, 1], vec![1, 2, 5], vec![100, 1, 27], vec![3; 12], vec![65, 1000]] {
        let hosts: Vec<(String, u32)> =
            slots.iter().enumerate().map(|(n, slots)| (format!("host-{n}"), *slots)).collect();
        let all: u32 = slots.iter().sum();
        let mut counts: BTreeMap<&str, u32> = BTreeMap::new();
        for n in 0..JOBS {
            *counts.entry(home_of(n, &hosts)).or_default() += 1;
        }
        for (name, slots) in &hosts {
            let share = f64::from(*slots) / f64::from(all);
            let expected = share * f64::from(JOBS);
            let spread = (expected * (1.0 - share)).sqrt();
            let count = f64::from(counts.get(name.as_str()).copied().unwrap_or(0));
            assert!((count - expected).abs() < 4.0 * spread, "{slots:?}: {name} has {count}");
        }
    }
}

fn some_hosts() -> impl Strategy<Value = Vec<(String, u32)>> {
    let slots = prop_oneof![1..5_u32, 1..300_u32];
    prop::collection::btree_map("[a-z0-9_][a-z0-9_-]{0,8}", slots, 1..7)
        .prop_map(|hosts| hosts.into_iter().collect())
}

proptest! {
    #[test]
    fn the_order_of_hosts_decides_nothing(hosts in some_hosts(), n: u32) {
        let mut turned = hosts.clone();
        turned.reverse();
        prop_assert_eq!(home_of(n, &hosts), home_of(n, &turned));
    }

    #[test]
    fn a_host_that_comes_or_goes_moves_only_its_own(
        hosts in some_hosts(),
        at: prop::sample::Index,
        slots in 1..50_u32,
    ) {
        let (name, old) = hosts[at.index(hosts.len())].clone();
        let without: Vec<_> = hosts.iter().filter(|(other, _)| *other != name).cloned().collect();
        let mut resized = hosts.clone();
        resized[at.index(hosts.len())].1 = slots;
        for n in 0..60 {
            let before = home_of(n, &hosts);
            if !without.is_empty() && before != name {
                prop_assert_eq!(home_of(n, &without), before);
            }
            let after = home_of(n, &resized);
            if after != before {
                // More slots only take, fewer only give.
                let by = if slots > old { after } else { before };
                prop_assert_eq!(by, name.as_str());
                prop_assert_ne!(slots, old);
            }
        }
    }
}
