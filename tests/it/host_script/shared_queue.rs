//! Several runners at one queue.

#![expect(clippy::disallowed_methods, reason = "tests write files as users do")]

use std::fs;

use super::world::{Batch, CAMPAIGN, VERSION, World, job};

super::in_every_shell! {
    runners_share_a_queue a_lease_holds_up_nobody what_several_remove_is_no_error
}

/// A runner that gives way after it has prepared an entry has worked for nothing: so each entry is prepared by one, as long
/// as all goes well.
fn runners_share_a_queue(world: &World) {
    let lost =
        "forget_try() { claimed_by_us || { echo lost >>\"$ROOT/lost\"; rm -rf \"$TRY\"; }; }\n";
    world.install(VERSION, lost);
    let jobs: Vec<_> = (0..80).map(|i| job(format!("echo {i} >>ran"))).collect();
    let mut batch = Batch::new(jobs);
    batch.slots = 4;
    let ends = world.run(&batch);
    assert!(ends.values().all(|end| end["state"] == "succeeded"), "{ends:#?}");
    let mut ran: Vec<u32> =
        world.lines("ran").iter().map(|line| line.parse().expect("a number")).collect();
    ran.sort_unstable();
    assert_eq!(ran, (0..80).collect::<Vec<_>>());
    // Where a runner is held up for long, another takes over. Without leases there were some 200.
    let lost = fs::read_to_string(world.root.join("lost")).unwrap_or_default().lines().count();
    assert!(lost < 30, "{lost} were prepared for nothing");
    let left = fs::read_dir(world.root.join("v2").join(CAMPAIGN).join("queue")).expect("a folder");
    let left: Vec<_> = left.map(|entry| entry.expect("an entry").file_name()).collect();
    assert!(left.iter().all(|name| name == ".lock"), "{left:?}");
}

/// Whoever has leased an entry may be dead, or alive and busy with other things, or nobody at all.
fn a_lease_holds_up_nobody(world: &World) {
    let paused = world.root.join("v2").join(CAMPAIGN).join("paused");
    fs::create_dir_all(paused.parent().expect("a parent")).expect("a folder");
    fs::write(&paused, "").expect("a file");
    let jobs: Vec<_> = (0..5).map(|i| job(format!("echo {i} >>ran"))).collect();
    let mut batch = Batch::new(jobs.clone());
    batch.slots = 2;
    world.hand_over(&batch);
    world.sandbox.wait_quiet();
    let queue = world.root.join("v2").join(CAMPAIGN).join("queue");
    let batches =
        fs::read_dir(&queue).expect("a folder").map(|entry| entry.expect("an entry").path());
    let batch =
        batches.into_iter().find(|path| path.join("c000000").exists()).expect("a hand-over");
    let words = |path: &str| fs::read_to_string(path).expect("a file of the kernel");
    let up = words("/proc/uptime").split(['.', ' ']).take(2).collect::<String>();
    let boot = words("/proc/sys/kernel/random/boot_id");
    let stat = words("/proc/self/stat");
    let start = stat.rsplit(") ").next().and_then(|rest| rest.split(' ').nth(19)).expect("a start");
    let living = format!("{}-{start}-{}", std::process::id(), &boot[..8]);
    let later = format!("{living} 99999999999");
    let texts = [
        format!("{living} {up}\n"),
        format!("999999-1-{} {up}\n", &boot[..8]),
        later,
        String::new(),
        "..".into(),
    ];
    for (job, text) in jobs.iter().zip(texts) {
        fs::write(batch.join(format!("lease.c000000.{}.1", job.id)), text).expect("a file");
    }
    fs::remove_file(paused).expect("resumed");
    world.ask("kick", &["2"], "");
    let ends = world.drained();
    assert!(ends.values().all(|end| end["state"] == "succeeded"), "{ends:#?}");
    let mut ran = world.lines("ran");
    ran.sort_unstable();
    assert_eq!(ran, ["0", "1", "2", "3", "4"]);
    assert_eq!(world.errors(), "");
}

/// A queue that is drained, a secret that is stale: each runner finds it, and none tells an error for what another has done.
fn what_several_remove_is_no_error(world: &World) {
    let together = "verb_kick() {
          mkdir -p \"$V/all/in\"
          i=0
          while [ $i -lt 200 ]; do
            : >\"$V/all/$i\"
            : >\"$V/all/in/$i\"
            i=$((i + 1))
          done
          for i in 1 2 3 4; do
            (remove \"$V/all\"/[0-9]* \"$V/all\" || echo failed) &
          done 2>&1
          wait
          ls -d \"$V/all\" 2>/dev/null || echo gone
        }\n";
    world.install(VERSION, together);
    assert_eq!(world.ask("kick", &[], ""), "gone\n");
}
