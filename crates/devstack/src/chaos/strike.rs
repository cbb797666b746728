//! What is done, and undone.

use std::time::Duration;

use super::fault::{Blow, FILLED_AFTER, Fault};
use super::{Chaos, READY_MAX};
use crate::faults::Part;
use crate::process::Process;
use crate::workers::Kind;
use crate::{Error, http};

/// What is known of it when it is over.
#[derive(Debug, Default)]
pub(super) struct Done {
    /// How long each worker took to end in order.
    pub(super) drains: Vec<Duration>,
}

impl Chaos {
    /// Once this returns, everything is as it was.
    pub(super) async fn strike(&mut self, fault: Fault) -> Result<Done, Error> {
        let plan = self.plan;
        let mut drains = Vec::new();
        match fault.blow() {
            Blow::Ended(part) => {
                self.stack.end_at_once(part).await;
                tokio::time::sleep(plan.away).await;
                self.stack.start_again(part).await?;
            }
            Blow::Cut(part) => {
                self.stack.proxies(part).iter().for_each(|proxy| proxy.cut());
                tokio::time::sleep(plan.away).await;
                self.stack.proxies(part).iter().for_each(|proxy| proxy.flow());
            }
            Blow::Frozen(part) => {
                self.stack.proxies(part).iter().for_each(|proxy| proxy.freeze());
                tokio::time::sleep(plan.frozen).await;
                self.stack.proxies(part).iter().for_each(|proxy| proxy.flow());
            }
            Blow::Stranded(part) => {
                self.stack.proxies(part).iter().for_each(|proxy| proxy.strand());
            }
            Blow::DiskFull => {
                self.stack.fill_brokers_disk()?;
                tokio::time::sleep(plan.away + FILLED_AFTER).await;
                self.stack.empty_brokers_disk()?;
            }
            Blow::Refuses => {
                self.stack.refuse_database().await?;
                tokio::time::sleep(plan.away).await;
                self.stack.admit_to_database().await?;
            }
            Blow::Wiped => {
                self.stack.end_at_once(Part::Redis).await;
                self.stack.wipe_redis()?;
                tokio::time::sleep(plan.away).await;
                self.stack.start_again(Part::Redis).await?;
                // An operator's; until then the sale waits.
                self.until_ready(Kind::Stock).await?;
                self.load_show(&[]).await?;
            }
            Blow::Killed => self.kill_workers(plan.kills).await?,
            Blow::Added => {
                for kind in Kind::ALL {
                    self.stack.add(kind).await?;
                    tokio::time::sleep(plan.away / 2).await;
                    self.stack.remove(kind).await;
                }
            }
            Blow::Rolled => {
                for kind in Kind::ALL {
                    drains.push(self.stack.replace(kind).await?);
                    tokio::time::sleep(plan.away / 2).await;
                }
            }
        }
        Ok(Done { drains })
    }

    /// All of them side by side, each so often.
    async fn kill_workers(&mut self, kills: usize) -> Result<(), Error> {
        let this = &*self;
        let workers = this.stack.workers.as_ref().expect("all parts were started");
        let again = |kind| async move {
            let mut process = workers.get(kind).process.clone();
            for _ in 0..kills {
                process = this.kill(kind, &process).await?;
            }
            Ok::<_, Error>((kind, process))
        };
        let [order, stock, notify, dlq] = Kind::ALL.map(again);
        let (order, stock, notify, dlq) = tokio::try_join!(order, stock, notify, dlq)?;
        let workers = self.stack.workers.as_mut().expect("all parts were started");
        for (kind, process) in [order, stock, notify, dlq] {
            workers.get_mut(kind).process = process;
        }
        Ok(())
    }

    /// Kills a worker and starts it again; once this returns, it is ready.
    async fn kill(&self, kind: Kind, process: &Process) -> Result<Process, Error> {
        let process = process.start_again(&self.stack.paths, &self.stack.run).await?;
        let address = self.first_address(kind);
        process.ready(READY_MAX, || http::is_ok(&address, "/ready")).await?;
        Ok(process)
    }

    async fn until_ready(&self, kind: Kind) -> Result<(), Error> {
        let worker = self.stack.workers.as_ref().expect("all parts were started").get(kind);
        let address = self.first_address(kind);
        worker.process.ready(READY_MAX, || http::is_ok(&address, "/ready")).await
    }
}
