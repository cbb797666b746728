//! States that are guessed: right, wrong, and of no use.

use super::*;

impl World {
    /// The toy's counter `key` is `actual`; the aggregate believes it to be `guess`.
    async fn believing(key: &str, actual: Counter, guess: Counter) -> Self {
        let database = Database {
            counters: BTreeMap::from([(key.to_owned(), actual)]),
            guesses: HashMap::from([(key.to_owned(), guess)]),
            ..Database::default()
        };
        Self::new(MemoryOptions::default(), database).await
    }

    /// How many keys were looked up, load by load.
    fn loads(&self) -> Vec<usize> {
        self.database.lock().unwrap().loads.clone()
    }
}

fn counter(version: i64, sum: i64) -> Counter {
    Counter { version, sum }
}

#[tokio::test(start_paused = true)]
async fn what_is_guessed_right_is_not_looked_up() {
    let world = World::believing("a", counter(3, 10), counter(3, 10)).await;
    world.publish(&[("a", "5"), ("b", "1")]).await;
    world.pipeline.start(&world.tasks);
    world.until(|database| database.inbox.len() == 2).await;
    assert_eq!((world.sum("a"), world.sum("b")), (15, 1));
    assert_eq!(world.loads(), [1], "only the other one");
}

#[tokio::test(start_paused = true)]
async fn a_wrong_guess_is_looked_up_and_has_no_effect() {
    let world = World::believing("a", counter(3, 10), counter(2, 7)).await;
    world.publish(&[("a", "5")]).await;
    world.pipeline.start(&world.tasks);
    world.until(|database| database.inbox.len() == 1).await;
    assert_eq!(world.sum("a"), 15);
    assert_eq!(world.loads(), [0, 1]);
}

#[tokio::test(start_paused = true)]
async fn nothing_is_guessed_right_after_a_wrong_guess() {
    let world = World::believing("a", counter(3, 10), counter(2, 7)).await;
    world.database.lock().unwrap().guesses.insert("b".to_owned(), Counter::default());
    world.publish(&[("a", "5")]).await;
    world.pipeline.start(&world.tasks);
    world.until(|database| database.inbox.len() == 1).await;
    world.publish(&[("b", "1")]).await;
    world.until(|database| database.inbox.len() == 2).await;
    assert_eq!(world.loads(), [0, 1, 1]);
}

#[tokio::test(start_paused = true)]
async fn an_event_that_took_effect_has_no_other_on_a_guess() {
    let world = World::kind().await;
    let event = message("a", "5");
    world.bus.publish(vec![event.clone()]).await.remove(0).unwrap();
    world.pipeline.start(&world.tasks);
    world.until(|database| database.inbox.len() == 1).await;
    world.database.lock().unwrap().guesses.insert("a".to_owned(), counter(1, 5));
    world.bus.publish(vec![event, message("b", "1")]).await.remove(0).unwrap();
    world.until(|database| database.inbox.len() == 2).await;
    assert_eq!((world.sum("a"), world.sum("b")), (5, 1));
    assert_eq!(world.loads(), [1, 1, 2], "both are looked up, for both were written together");
}

#[tokio::test(start_paused = true)]
async fn what_can_not_be_decided_on_a_guess_is_decided_on_what_is_there() {
    let world = World::believing("a", counter(3, 10), counter(0, 0)).await;
    // On the guess it would come too early, and wait for its retry.
    world.publish(&[("a", "-1")]).await;
    world.pipeline.start(&world.tasks);
    world.until(|database| database.inbox.len() == 1).await;
    assert_eq!(world.sum("a"), 9);
    assert_eq!(world.loads(), [0, 1]);
    let again =
        |message: &OutgoingMessage| matches!(message.destination, Destination::Retry { .. });
    assert!(!world.bus.published().iter().any(again));
}

#[tokio::test(start_paused = true)]
async fn one_undecided_message_has_all_of_its_key_looked_up() {
    let world = World::believing("a", counter(3, 10), counter(3, 10)).await;
    world.publish(&[("a", "5"), ("a", "0")]).await;
    world.pipeline.start(&world.tasks);
    world.dead_letters(1).await;
    assert_eq!(world.sum("a"), 15);
    assert_eq!(world.loads(), [0, 1]);
}
