use std::sync::Arc;

use contracts::Channel;
use futures::FutureExt as _;

use super::written::Written;
use super::{count, timed};
use crate::channels::{self, NotDelivered};
use crate::domain::{Answer, Deliver, Outcome};
use crate::templates::Templates;

/// Delivers where nobody outside the process is needed for it, before the transaction that records
/// both the notification and its delivery. Should that not commit, it is delivered again.
pub struct AtOnce {
    templates: Templates,
    /// Those in the process.
    channels: Vec<(Channel, Arc<dyn channels::Channel>)>,
}

impl AtOnce {
    pub fn new(templates: Templates, channels: Vec<(Channel, Arc<dyn channels::Channel>)>) -> Self {
        let channels = channels.into_iter().filter(|(_, serves)| serves.is_in_process()).collect();
        Self { templates, channels }
    }

    /// `None` when it has to be delivered after the commit.
    pub(crate) fn deliver(&self, deliver: &Deliver) -> Option<Answer> {
        let Deliver { attempt, request, after } = deliver;
        if !after.is_zero() {
            return None;
        }
        let (name, channel) = self.channels.iter().find(|(name, _)| *name == request.channel)?;
        let outcome = match Written::new(&self.templates, request, None) {
            Err(reason) => Outcome::Never { reason },
            Ok(written) => {
                let letter = written.letter(request);
                match timed(*name, channel.deliver(&letter)).now_or_never()? {
                    Ok(()) => Outcome::Delivered,
                    Err(NotDelivered::Away { .. }) => return None,
                    Err(NotDelivered::Later { reason }) => Outcome::Later { reason },
                    Err(NotDelivered::Never { reason }) => Outcome::Never { reason },
                }
            }
        };
        count(*name, &outcome);
        Some(Answer { attempt: *attempt, outcome, request: request.clone() })
    }
}
