//! Many jobs: a hundred at once, a thousand in a row.

use fastrand::Rng;

use crate::faults::trial::{Shape, usual};

pub(super) fn hundred(_rng: &mut Rng) -> Shape {
    Shape { jobs: 100..=100, nap: 50..=300, host: "slots = 100", ..usual(&[]) }
}

pub(super) fn thousand(_rng: &mut Rng) -> Shape {
    Shape {
        jobs: 1000..=1000,
        nap: 0..=2,
        ends: &["exit-0", "exit-0", "exit-0", "exit-3"],
        ..usual(&[])
    }
}
