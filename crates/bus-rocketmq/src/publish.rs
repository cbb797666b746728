//! Publishing: batches where RocketMQ takes them, several sends at once.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use common::bus::{BODY_MAX_BYTES, Destination, OutgoingMessage, PublishError};
use futures::{FutureExt as _, StreamExt as _};
use rocketmq_client_rust::{ClientError, DefaultMQProducer};
use rocketmq_model::result::{SendResult, SendStatus};

use crate::{Shared, errors, host, message};

mod batch;

/// What one batch may take on the wire: the broker's limit for a message holds for a batch.
const BATCH_MAX_BYTES: usize = BODY_MAX_BYTES - 64 * 1024;
/// The client keeps its own time-out; this one is for the case that it does not.
const TIMEOUT_GRACE: Duration = Duration::from_secs(2);

/// In a message's id, when the broker has not given it a place in its log.
const NO_PLACE: &str = "0000000000000000";

/// One send: the messages' places in the caller's list, all of one topic.
struct Send {
    topic: String,
    places: Vec<usize>,
}

/// Publishes all and answers for each, in order.
pub(crate) async fn publish(
    shared: &Shared,
    messages: Vec<OutgoingMessage>,
) -> Vec<Result<(), PublishError>> {
    let mut answers: Vec<Result<(), PublishError>> = vec![Ok(()); messages.len()];
    let mut sends = Vec::new();
    let mut batches: BTreeMap<String, Vec<usize>> = BTreeMap::new();
    for (place, message) in messages.iter().enumerate() {
        let topic = shared.names.destination(&message.destination);
        if let Err(refused) = message::check(message, &topic) {
            answers[place] = Err(refused);
        } else if matches!(message.destination, Destination::Topic(_)) && message.delay.is_none() {
            batches.entry(topic).or_default().push(place);
        } else {
            sends.push(Send { topic, places: vec![place] });
        }
    }
    for (topic, places) in batches {
        sends.extend(split(&messages, topic, places, shared.config.send_batch_max));
    }
    if sends.is_empty() {
        return answers;
    }
    let producer = match shared.producer().await {
        Ok(producer) => producer,
        Err(error) => {
            for place in sends.iter().flat_map(|send| &send.places) {
                answers[*place] = Err(PublishError::Away(errors::describe(&error)));
            }
            return answers;
        }
    };
    let outcomes = futures::stream::iter(sends)
        .map(|send| send_all(shared, &producer, &messages, send))
        .buffer_unordered(shared.config.sends_in_flight_max)
        .collect::<Vec<_>>();
    for (place, answer) in outcomes.await.into_iter().flatten() {
        answers[place] = answer;
    }
    answers
}

/// Splits the messages of one topic into sends that the broker takes.
fn split(
    messages: &[OutgoingMessage],
    topic: String,
    places: Vec<usize>,
    count_max: usize,
) -> Vec<Send> {
    let mut sends: Vec<Send> = Vec::new();
    let mut bytes = 0;
    for place in places {
        let size = message::wire_bytes(&messages[place]);
        match sends.last_mut() {
            Some(send) if send.places.len() < count_max && bytes + size <= BATCH_MAX_BYTES => {
                send.places.push(place);
                bytes += size;
            }
            _ => {
                sends.push(Send { topic: topic.clone(), places: vec![place] });
                bytes = size;
            }
        }
    }
    sends
}

/// Sends a batch; when the broker refuses it, its halves, and so on, so that only the culprit is
/// refused.
async fn send_all(
    shared: &Shared,
    producer: &DefaultMQProducer,
    messages: &[OutgoingMessage],
    send: Send,
) -> Vec<(usize, Result<(), PublishError>)> {
    let mut answers = Vec::with_capacity(send.places.len());
    let mut waiting = vec![send.places];
    while let Some(mut places) = waiting.pop() {
        let answer = send_once(shared, producer, messages, &send.topic, &places).await;
        if places.len() > 1 && matches!(answer, Err(PublishError::Refused(_))) {
            let second = places.split_off(places.len() / 2);
            waiting.extend([second, places]);
        } else {
            answers.extend(places.into_iter().map(|place| (place, answer.clone())));
        }
    }
    answers
}

async fn send_once(
    shared: &Shared,
    producer: &DefaultMQProducer,
    messages: &[OutgoingMessage],
    topic: &str,
    places: &[usize],
) -> Result<(), PublishError> {
    let timeout_ms = shared.config.send_timeout_ms;
    let sending = match places {
        [place] => {
            let single = message::to_wire(&messages[*place], topic.to_owned())?;
            producer.send_with_timeout(single, timeout_ms).boxed()
        }
        _ => {
            let several: Vec<_> = places.iter().map(|place| &messages[*place]).collect();
            producer.send_with_timeout(batch::of(&several, topic)?, timeout_ms).boxed()
        }
    };
    let limit = Duration::from_millis(timeout_ms) + TIMEOUT_GRACE;
    let sent = tokio::time::timeout(limit, sending).await;
    match sent {
        Err(_) => {
            shared.producer.suspect();
            Err(PublishError::Away(format!("no answer for {} ms", limit.as_millis())))
        }
        Ok(Err(error)) => Err(shared.explain(topic, &error).await),
        Ok(Ok(None)) => Err(PublishError::Away("sent, but not answered".to_owned())),
        Ok(Ok(Some(result))) => match result.send_status {
            SendStatus::SendOk if fits_no_file(places, &result) => {
                tracing::warn!(
                    topic,
                    messages = places.len(),
                    "a send of {} messages fits no file of the broker's log, so it goes in parts; \
                     set the broker's mappedFileSizeCommitLog to more than 4 MB",
                    places.len()
                );
                Err(PublishError::Refused("it fits no file of the broker's log".to_owned()))
            }
            SendStatus::SendOk => {
                shared.prove(topic);
                Ok(())
            }
            unsafe_status => Err(PublishError::Away(format!("stored, but {unsafe_status:?}"))),
        },
    }
}

/// Whether nothing of a send of several was stored, though the answer is OK: RocketMQ answers so to
/// one that is larger than a file of its log. Each message is named by an address and its place in
/// the log, the last 16 hexadecimal digits. Of such a send the last one has place 0, where only a
/// first one can be.
fn fits_no_file(places: &[usize], result: &SendResult) -> bool {
    let ids = result.offset_msg_id.as_deref().unwrap_or_default();
    places.len() > 1 && ids.ends_with(NO_PLACE)
}

impl Shared {
    async fn producer(&self) -> Result<Arc<DefaultMQProducer>, ClientError> {
        let renewed = self.producer.get(self.make_producer()).await?;
        if let Some(old) = renewed.replaced {
            self.tasks.spawn(async move {
                Box::pin(DefaultMQProducer::clone(&old).shutdown()).await;
            });
        }
        Ok(renewed.client)
    }

    async fn make_producer(&self) -> Result<DefaultMQProducer, ClientError> {
        let instance = format!("{}-{}", self.instance, uuid::Uuid::now_v7().simple());
        let mut builder = DefaultMQProducer::builder(self.host.runtime())
            .client_options(host::client_options(&self.config, &instance))
            .producer_group(self.names.group(&self.config.producer_group));
        if let Some(signer) = host::signer(&self.config) {
            builder = builder.rpc_hook(signer);
        }
        let mut producer = builder.build();
        Box::pin(producer.start()).await?;
        Ok(producer)
    }

    fn prove(&self, topic: &str) {
        let mut proven = self.proven_topics.lock().unwrap_or_else(PoisonError::into_inner);
        if !proven.contains(topic) {
            proven.insert(topic.to_owned());
        }
    }

    /// A missing topic is refused only when that can't be an outage: it never took a message, and
    /// another one does.
    async fn explain(&self, topic: &str, error: &ClientError) -> PublishError {
        let answer = errors::publish(error);
        let suspicious = {
            let proven = self.proven_topics.lock().unwrap_or_else(PoisonError::into_inner);
            !proven.is_empty() && !proven.contains(topic)
        };
        if suspicious
            && matches!(answer, PublishError::Away(_))
            && let Ok(admin) = self.admin().await
            && admin.lacks_topic(topic).await
        {
            return PublishError::Refused(format!("there is no topic {topic}"));
        }
        if errors::answer(error).is_none() {
            self.producer.suspect();
        }
        answer
    }
}
