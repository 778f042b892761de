//! How many sessions an ssh server gives over one connection, found by opening them.

use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::sleep;

use super::error::HostError;
use super::ssh::{CHANNELS, Link};

/// How often channels are counted, and how long apart.
const ROUNDS: u32 = 3;
const PAUSE: Duration = Duration::from_millis(300);

/// How many of the channels that `sp` may use at once the server gives.
pub(super) async fn channels(link: &Arc<Link>) -> Result<usize, HostError> {
    let mut most = 0;
    for round in 0..ROUNDS {
        if round > 0 {
            // The server may still count a session that has just ended.
            sleep(PAUSE).await;
        }
        most = most.max(channels_now(link).await?);
        if most == CHANNELS {
            break;
        }
    }
    Ok(most)
}

async fn channels_now(link: &Arc<Link>) -> Result<usize, HostError> {
    let mut opening = JoinSet::new();
    for _ in 0..CHANNELS {
        let link = Arc::clone(link);
        opening.spawn(async move { link.start_beside(&["/bin/sh"]).await });
    }
    let mut open = Vec::new();
    while let Some(opened) = opening.join_next().await {
        match opened {
            Ok(Ok(started)) => open.extend(started),
            Ok(Err(error)) => return Err(error),
            Err(error) => std::panic::resume_unwind(error.into_panic()),
        }
    }
    Ok(open.len())
}
