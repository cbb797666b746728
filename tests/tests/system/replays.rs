//! The broker forgets what every group has taken.

use std::fs;

use common::metric;
use devstack::faults::Part;
use devstack::workers::Kind;
use futures::future::join_all;

use crate::books::Books;
use crate::stage::Stage;

/// Once this returns, every group has taken all that was ever published once more, into the same
/// databases, and nothing has changed but the archive: what can't be read died again.
pub(crate) async fn change_nothing(stage: &mut Stage) {
    stage.until_quiet().await;
    let before = Books::read(stage).await.but_for("dlq.dead_letters");
    let stopped = Kind::ALL.map(|kind| stage.workers().get(kind).process.clone());
    join_all(stopped.iter().map(|process| process.stop())).await;
    stage.stack.end_at_once(Part::Broker).await;
    let config = stage.stack.run.path().join("broker/store/config");
    for file in ["consumerOffset.json", "consumerOffset.json.bak"] {
        fs::remove_file(config.join(file)).expect("the broker had noted the offsets");
    }
    stage.stack.start_again(Part::Broker).await.expect("it starts again");
    for (kind, process) in Kind::ALL.into_iter().zip(stopped) {
        let again = process.start_again(&stage.stack.paths, &stage.stack.run).await;
        let workers = stage.stack.workers.as_mut().expect("all parts were started");
        workers.get_mut(kind).process = again.expect("it starts again");
    }
    stage.until_ready().await;
    stage.until_quiet().await;
    let mut repeated = 0.0;
    for kind in [Kind::Order, Kind::Stock, Kind::Notify] {
        let count = stage.count(kind, metric::MESSAGES_REPEATED).await;
        assert!(count > 0.0, "nothing came to {kind:?} again");
        repeated += count;
    }
    before.assert_same(&Books::read(stage).await, "all messages from the first on");
    stage.operator(&["audit", "--wait-quiet", "30"]).await;
    stage.step(&format!("{repeated} messages came again"));
}
