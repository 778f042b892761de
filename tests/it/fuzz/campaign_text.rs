//! The campaign file: every text ends in jobs, or in findings whose places lie in it.

use std::sync::Arc;

use proptest::prelude::*;
use proptest::sample::Index;
use solverpilot::campaign::Campaign;
use solverpilot::plan::expand;

use crate::campaign::files;
use crate::campaign::robustness::survives;
use crate::plan::support::FakeFiles;

super::forms!(any_text_ends_in_jobs_or_in_findings, 150);

fn run(cases: u32) {
    let mut texts: Vec<String> =
        files("tests/campaigns/valid").into_iter().map(|(_, text)| text).collect();
    texts.push(include_str!("../../../src/help/init.toml").to_owned());
    let inputs = (any::<Index>(), super::edits(), prop::collection::vec(any::<u8>(), 0..200));
    super::tried(file!(), cases, &inputs, |(which, edits, noise)| {
        let mut bytes = which.get(&texts).clone().into_bytes();
        super::edit(&mut bytes, &edits);
        for bytes in [&bytes, &noise] {
            let text = String::from_utf8_lossy(bytes);
            survives(&text);
            if let Ok((campaign, _)) = Campaign::parse("f", &text) {
                let files =
                    FakeFiles::default().with("data/a.cnf", "x").with("seeds.txt", "1\n2\n");
                // Files that are not there, a matrix without jobs: an error, in words.
                if let Err(error) = expand(Arc::new(campaign), &files) {
                    prop_assert!(!error.to_string().is_empty());
                }
            }
        }
        Ok(())
    });
}
