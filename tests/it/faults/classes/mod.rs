//! The classes of faults: what each runs, and what it does meanwhile. A class ends with the oracle's findings.

mod cancel;
mod checkpoint;
mod cleaning;
mod clients;
mod clock;
mod connection;
mod disk;
mod extreme;
mod foreign;
mod garbage;
mod large;
mod machines;
mod memory;
mod network;
mod reboot;
mod root;
mod signals;
mod standing;
mod steps;

use fastrand::Rng;

use super::oracle::Finding;
use super::trial::{Shape, Trial};

pub(super) struct Class {
    pub(super) name: &'static str,
    /// What it runs; `None` where this machine cannot do it.
    pub(super) shape: fn(&mut Rng) -> Shape,
    pub(super) play: fn(&mut Trial) -> Vec<Finding>,
    /// Only in the long form: a trial takes minutes.
    pub(super) long: bool,
    /// Beside no other trial: it is all that a machine can bear, and more would only be a test of patience.
    pub(super) alone: bool,
}

const fn class(
    name: &'static str,
    shape: fn(&mut Rng) -> Shape,
    play: fn(&mut Trial) -> Vec<Finding>,
) -> Class {
    Class { name, shape, play, long: false, alone: false }
}

const fn long(
    name: &'static str,
    shape: fn(&mut Rng) -> Shape,
    play: fn(&mut Trial) -> Vec<Finding>,
) -> Class {
    Class { long: true, ..class(name, shape, play) }
}

pub(super) const ALL: &[Class] = &[
    class("signals", signals::shape, signals::play),
    class("hostile", signals::hostile, signals::play),
    class("moves", signals::moves, signals::play),
    class("steps", steps::shape, steps::play),
    class("clients", clients::shape, clients::play),
    class("connection", connection::shape, connection::play),
    class("network", network::shape, network::play),
    class("reboot", reboot::shape, reboot::play),
    class("checkpoint", checkpoint::shape, checkpoint::play),
    class("root", root::shape, root::play),
    class("cancel", cancel::shape, cancel::play),
    class("disk", disk::shape, disk::play),
    class("flood", disk::of_a_job, disk::by_a_job),
    class("memory", memory::shape, memory::play),
    class("clock", clock::shape, clock::play),
    class("cleaning", cleaning::shape, cleaning::play),
    class("garbage", garbage::shape, garbage::play),
    class("machines", machines::shape, machines::play),
    class("extreme", extreme::shape, extreme::play),
    class("foreign", foreign::shape, foreign::play),
    class("standing", standing::shape, standing::play),
    long("suspended", connection::shape, connection::suspended),
    Class { alone: true, ..long("hundred", large::hundred, signals::play) },
    long("thousand", large::thousand, signals::play),
];
