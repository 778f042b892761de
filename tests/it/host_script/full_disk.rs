//! A disk that is full: what is queued, starts and ends meanwhile.

#![expect(clippy::disallowed_methods, reason = "tests write files as users do")]

use std::collections::BTreeSet;
use std::fs;

use super::world::{Batch, CAMPAIGN, VERSION, World, job, quoted, verdict};
use crate::support::{Disk, wait_until};

super::in_every_shell! {
    what_is_queued_stays_until_there_is_room a_start_that_finds_no_room_is_no_loss
}

fn what_is_queued_stays_until_there_is_room(world: &mut World) {
    let disk = world.sandbox.path().join("disk");
    let Some(small) = Disk::mount(&disk, "size=1m") else { return };
    world.root = disk.join("root");
    world.install(VERSION, "");
    let fill = "head -c 4000000 /dev/zero >>\"$DISK/fill\""
        .replace("$DISK", disk.to_str().expect("UTF-8"));
    let filler =
        job(format!("{fill} 2>/dev/null; : >full; while [ ! -e go ]; do sleep 0.02; done; exit 3"));
    let later = job("echo later >>count");
    world.hand_over(&Batch::new([filler.clone()]));
    world.wait_for("full");
    // What is handed over to a full disk is refused, not half taken.
    let batch = Batch::new([later.clone()]);
    let (text, hash) = world.text(&batch);
    let answer = world.ask_any("hand_over", &[CAMPAIGN, "none", &batch.name(), &hash, "1"], &text);
    // (The awk of busybox says nothing when it cannot write; then the hash tells.)
    assert!(!answer.framed || answer.body == "refused damaged .\n", "{}", answer.body);
    assert_eq!(world.records("open")[0]["verdict"], "running");
    fs::write(world.at("go"), "").expect("a file");
    let ends = world.drained();
    assert_eq!(verdict(&ends, &filler), "failed exit-code 3 none");
    assert_eq!(ends, world.ends());
    // In the queue before the disk was full: stays there, and starts when there is room.
    fs::remove_file(disk.join("fill")).expect("room");
    let paused = world.root.join("v2").join(CAMPAIGN).join("paused");
    fs::write(&paused, "").expect("a file");
    world.hand_over(&batch);
    world.sandbox.wait_quiet();
    fs::remove_file(&paused).expect("resumed");
    small.fill_but(0);
    world.kick();
    assert_eq!(world.records("queued").len(), 1);
    assert!(world.lines("count").is_empty());
    small.make_room();
    world.kick();
    assert_eq!(verdict(&world.drained(), &later), "succeeded ok 0 none");
}

/// However few files can be made when a job is to start: it waits, or says what could not be written.
fn a_start_that_finds_no_room_is_no_loss(world: &mut World) {
    let disk = world.sandbox.path().join("disk");
    let Some(_disk) = Disk::mount(&disk, "size=4m,nr_inodes=400") else { return };
    world.root = disk.join("root");
    world.install(VERSION, "");
    let fill = disk.join("fill");
    let mut ended = BTreeSet::new();
    for left in 0..6 {
        let filler = job(format!(
            "cd {} || exit; i=0; while true >$i; do i=$((i + 1)); done 2>/dev/null; \
             i=0; while [ $i -lt {left} ]; do rm $i; i=$((i + 1)); done",
            quoted(&fill.display().to_string())
        ));
        let next = job(format!("echo {left} >>count"));
        fs::create_dir(&fill).expect("a folder");
        world.hand_over(&Batch::new([filler.clone(), next.clone()]));
        // It waits for room, or it has ended in spite of it.
        let waits = || world.sandbox.processes().iter().any(|(_, line)| line == "sleep 1 ");
        wait_until("it was tried", || waits() || world.state(&next).contains("\nend "));
        fs::remove_dir_all(&fill).expect("room");
        let ends = world.drained();
        assert_eq!(verdict(&ends, &filler), "succeeded ok 0 none");
        let end = verdict(&ends, &next);
        assert!(
            ["succeeded ok 0 none", "failed exit-code 126 none"].contains(&end.as_str()),
            "{left}: {end}"
        );
        let ran = world.lines("count").contains(&left.to_string());
        assert_eq!(ran, end.starts_with("succeeded"), "{left}: {end}");
        ended.insert(end);
    }
    assert_eq!(ended.len(), 2, "{ended:?}");
}
