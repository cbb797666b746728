//! Questions and orders to the cluster: topology, lag, progress.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use common::bus::{BusError, Group, Mismatch, Topic, Topology, dead_letter_topic, retry_topic};
use futures::future::try_join_all;
use rocketmq_client_rust::{
    ClientError, ConsumerAdmin, DefaultMQAdminExt, OffsetAdmin, RouteAdmin, TopicAdmin,
};
use rocketmq_model::common::config::TopicConfig;
use rocketmq_model::common::message::message_queue::MessageQueue;
use rocketmq_protocol::protocol::body::broker_body::cluster_info::ClusterInfo;
use rocketmq_protocol::protocol::subscription::subscription_group_config::SubscriptionGroupConfig;
use tokio::sync::RwLock;

use crate::config::RocketConfig;
use crate::consume::Members;
use crate::names::Names;
use crate::{Shared, errors, host};

/// RocketMQ's number of the broker that takes writes.
const MASTER: u64 = 0;
/// Readable and writable, as RocketMQ counts permissions.
const PERM_READ_WRITE: u32 = 6;
/// Retries and dead letters are few.
const SPECIAL_TOPIC_QUEUES: u32 = 1;
/// Every broker has it.
const PROBE_TOPIC: &str = "SELF_TEST_TOPIC";

/// The cluster as an operator sees it.
pub(crate) struct Admin {
    /// Written to only to shut it down; a reader must not read again, a waiting writer goes first.
    client: RwLock<DefaultMQAdminExt>,
    lost: AtomicBool,
    config: RocketConfig,
    names: Names,
    /// Addresses of masters by broker name, as last seen.
    addresses: Mutex<HashMap<String, Arc<str>>>,
}

/// A topic as it must be on every master.
struct WantedTopic {
    name: String,
    queues: u32,
}

/// What a master has of something wanted.
enum Found {
    Fine,
    Wanting(String),
}

impl Admin {
    pub(crate) async fn start(shared: &Shared) -> Result<Self, BusError> {
        let config = shared.config.clone();
        let timeout = Duration::from_millis(config.request_timeout_ms);
        let group = format!("boxoffice-admin-{}", shared.instance);
        let runtime = shared.host.runtime();
        let mut client = match host::signer(&config) {
            Some(signer) => DefaultMQAdminExt::with_admin_ext_group_rpc_hook_and_timeout(
                runtime, group, signer, timeout,
            ),
            None => DefaultMQAdminExt::with_admin_ext_group_and_timeout(runtime, group, timeout),
        };
        let instance = format!("{}-admin-{}", shared.instance, uuid::Uuid::now_v7().simple());
        *client.client_config_mut() = host::client_config(&config, &instance);
        client.set_namesrv_addr(config.name_server.as_str());
        Box::pin(client.start()).await.map_err(|error| errors::away(&error))?;
        Ok(Self {
            client: RwLock::new(client),
            lost: AtomicBool::new(false),
            config,
            names: shared.names.clone(),
            addresses: Mutex::default(),
        })
    }

    pub(crate) async fn shutdown(&self) {
        Box::pin(self.client.write().await.shutdown()).await;
    }

    /// Whether a question stayed without an answer.
    pub(crate) fn is_lost(&self) -> bool {
        self.lost.load(Ordering::Relaxed)
    }

    /// Notes that nobody answered, when that is so.
    fn away(&self, error: &ClientError) -> BusError {
        if errors::answer(error).is_none() {
            self.lost.store(true, Ordering::Relaxed);
            self.addresses.lock().unwrap_or_else(PoisonError::into_inner).clear();
        }
        errors::away(error)
    }

    /// Creates what is missing on every master; what is there already is not made smaller.
    pub(crate) async fn create(&self, topology: &Topology) -> Result<(), BusError> {
        for master in self.masters().await? {
            for group in &topology.groups {
                if let Found::Wanting(_) = self.find_group(&master, group).await? {
                    self.create_group(&master, group).await?;
                }
            }
            for topic in self.wanted(topology) {
                if let Found::Wanting(_) = self.find_topic(&master, &topic).await? {
                    self.create_topic(&master, &topic).await?;
                }
            }
        }
        self.wait_for_routes(topology).await
    }

    pub(crate) async fn verify(&self, topology: &Topology) -> Result<Vec<Mismatch>, BusError> {
        let mut mismatches = Vec::new();
        let masters = self.masters().await?;
        for group in &topology.groups {
            for master in &masters {
                if let Found::Wanting(problem) = self.find_group(master, group).await? {
                    mismatches.push(Mismatch { problem, command: self.group_command(group) });
                    break;
                }
            }
        }
        for topic in self.wanted(topology) {
            for master in &masters {
                if let Found::Wanting(problem) = self.find_topic(master, &topic).await? {
                    mismatches.push(Mismatch { problem, command: self.topic_command(&topic) });
                    break;
                }
            }
        }
        Ok(mismatches)
    }

    pub(crate) async fn lag(&self, group: &str, topic: &str) -> Result<u64, BusError> {
        let topic = self.names.topic(topic);
        let masters = self.masters().await?;
        let client = self.client.read().await;
        let mut waiting = 0;
        for master in masters {
            let stats = client.examine_consume_stats(
                self.names.group(group).into(),
                Some(topic.as_str().into()),
                None,
                Some((&*master).into()),
                None,
            );
            let stats = Box::pin(stats).await.map_err(|error| self.away(&error))?;
            for (queue, offsets) in &stats.offset_table {
                if queue.topic_str() == topic {
                    let behind = offsets.get_broker_offset() - offsets.get_consumer_offset();
                    waiting += u64::try_from(behind).unwrap_or(0);
                }
            }
        }
        Ok(waiting)
    }

    /// Ok when a master answers.
    pub(crate) async fn probe(&self) -> Result<(), BusError> {
        let mut reason = BusError::Away("no broker has registered".to_owned());
        let masters = self.masters().await?;
        let client = self.client.read().await;
        for master in masters {
            let question = client.examine_topic_config((&*master).into(), PROBE_TOPIC.into());
            match Box::pin(question).await {
                Ok(_) => return Ok(()),
                Err(error) if errors::answer(&error).is_some() => return Ok(()),
                Err(error) => reason = self.away(&error),
            }
        }
        Err(reason)
    }

    /// Whether brokers are there, and none of them knows the topic.
    pub(crate) async fn lacks_topic(&self, topic: &str) -> bool {
        let Ok(masters) = self.masters().await else { return false };
        let client = self.client.read().await;
        let questions = masters
            .iter()
            .map(|master| Box::pin(client.examine_topic_config((&**master).into(), topic.into())));
        let answers = futures::future::join_all(questions).await;
        answers.iter().all(|answer| matches!(answer, Err(error) if errors::is_missing_topic(error)))
    }

    /// Whether the topic can be pulled from right now.
    pub(crate) async fn has_route(&self, topic: &str) -> Result<(), String> {
        let client = self.client.read().await;
        let question = Box::pin(client.examine_topic_route_info(topic.into()));
        match question.await {
            Ok(Some(route)) if !route.broker_datas.is_empty() => Ok(()),
            Ok(_) => Err(format!("no route to the topic {topic}")),
            Err(error) => Err(format!("no route to the topic {topic}: {}", self.away(&error))),
        }
    }

    /// Stores in the broker how far the group has come with a queue.
    pub(crate) async fn commit(
        &self,
        group: &str,
        queue: &MessageQueue,
        offset: i64,
    ) -> Result<(), BusError> {
        let address = self.address(queue.broker_name().as_str()).await?;
        let offset = u64::try_from(offset).unwrap_or(0);
        let client = self.client.read().await;
        let order =
            client.update_consume_offset((&*address).into(), group.into(), queue.clone(), offset);
        Box::pin(order).await.map_err(|error| self.away(&error))
    }

    /// Who consumes for the group right now; `None` when nobody does.
    pub(crate) async fn members(&self, group: &str) -> Result<Option<Members>, BusError> {
        let master = self.any_master().await?;
        let client = self.client.read().await;
        let question =
            client.examine_consumer_connection_info(group.into(), Some((&*master).into()));
        match Box::pin(question).await {
            Ok(answer) => {
                let members = answer.get_connection_set().iter();
                Ok(Some(members.map(|member| member.get_client_id().to_string()).collect()))
            }
            Err(error) if errors::is_group_offline(&error) => Ok(None),
            Err(error) => Err(self.away(&error)),
        }
    }

    async fn any_master(&self) -> Result<Arc<str>, BusError> {
        let known = {
            let addresses = self.addresses.lock().unwrap_or_else(PoisonError::into_inner);
            addresses.values().next().cloned()
        };
        match known {
            Some(master) => Ok(master),
            None => {
                let no_master = || BusError::Away("no broker has registered".to_owned());
                self.masters().await?.into_iter().next().ok_or_else(no_master)
            }
        }
    }

    async fn address(&self, broker: &str) -> Result<Arc<str>, BusError> {
        let known = |this: &Self| {
            let addresses = this.addresses.lock().unwrap_or_else(PoisonError::into_inner);
            addresses.get(broker).cloned()
        };
        if let Some(address) = known(self) {
            return Ok(address);
        }
        self.masters().await?;
        known(self).ok_or_else(|| BusError::Away(format!("the broker {broker} has no master")))
    }

    /// The addresses of the cluster's masters; none registered is an outage.
    async fn masters(&self) -> Result<Vec<Arc<str>>, BusError> {
        let client = self.client.read().await;
        let info = Box::pin(client.examine_broker_cluster_info());
        let info = info.await.map_err(|error| self.away(&error))?;
        let masters = masters_of(&info, &self.config.cluster);
        if masters.is_empty() {
            let cluster = &self.config.cluster;
            return Err(BusError::Away(format!("no broker of {cluster} has registered")));
        }
        let mut addresses = self.addresses.lock().unwrap_or_else(PoisonError::into_inner);
        addresses.clone_from(&masters);
        Ok(masters.into_values().collect())
    }

    fn wanted(&self, topology: &Topology) -> Vec<WantedTopic> {
        let plain = |topic: &Topic| WantedTopic {
            name: self.names.topic(&topic.name),
            queues: topic.queues,
        };
        let special = |group: &Group| {
            let group = self.names.group(&group.name);
            [retry_topic(&group), dead_letter_topic(&group)]
                .map(|name| WantedTopic { name, queues: SPECIAL_TOPIC_QUEUES })
        };
        let topics = topology.topics.iter().map(plain);
        topics.chain(topology.groups.iter().flat_map(special)).collect()
    }

    async fn find_topic(&self, master: &str, wanted: &WantedTopic) -> Result<Found, BusError> {
        let client = self.client.read().await;
        let name = &wanted.name;
        let question = client.examine_topic_config(master.into(), name.as_str().into());
        let found = match Box::pin(question).await {
            Ok(found) => found,
            Err(error) if errors::is_missing_topic(&error) => {
                return Ok(Found::Wanting(format!("topic {name} is missing")));
            }
            Err(error) => return Err(self.away(&error)),
        };
        let queues = found.read_queue_nums.min(found.write_queue_nums);
        if queues < wanted.queues {
            let want = wanted.queues;
            return Ok(Found::Wanting(format!("topic {name} has {queues} queues, not {want}")));
        }
        if found.perm != PERM_READ_WRITE {
            return Ok(Found::Wanting(format!("topic {name} can't be read and written")));
        }
        Ok(Found::Fine)
    }

    async fn find_group(&self, master: &str, wanted: &Group) -> Result<Found, BusError> {
        let client = self.client.read().await;
        let name = self.names.group(&wanted.name);
        let question =
            client.examine_subscription_group_config(master.into(), name.as_str().into());
        match Box::pin(question).await {
            Ok(found) if found.retry_max_times() < attempts(wanted) => {
                let (has, want) = (found.retry_max_times(), wanted.broker_attempts_max);
                Ok(Found::Wanting(format!("group {name} allows {has} attempts, not {want}")))
            }
            Ok(_) => Ok(Found::Fine),
            Err(error) if errors::is_missing_group(&error) => {
                Ok(Found::Wanting(format!("group {name} is missing")))
            }
            Err(error) => Err(self.away(&error)),
        }
    }

    async fn create_topic(&self, master: &str, topic: &WantedTopic) -> Result<(), BusError> {
        let client = self.client.read().await;
        let config = TopicConfig::with_perm(
            topic.name.as_str(),
            topic.queues,
            topic.queues,
            PERM_READ_WRITE,
        );
        let order = Box::pin(client.create_and_update_topic_config(master.into(), config));
        order.await.map_err(|error| errors::order(&error))
    }

    async fn create_group(&self, master: &str, group: &Group) -> Result<(), BusError> {
        let client = self.client.read().await;
        let mut config = SubscriptionGroupConfig::new(self.names.group(&group.name).into());
        config.set_retry_max_times(attempts(group));
        let order = client.create_and_update_subscription_group_config(master.into(), config);
        Box::pin(order).await.map_err(|error| errors::order(&error))
    }

    /// Brokers tell the name server a moment later.
    async fn wait_for_routes(&self, topology: &Topology) -> Result<(), BusError> {
        const ATTEMPTS: u32 = 50;
        const PAUSE: Duration = Duration::from_millis(100);
        let waits = self.wanted(topology).into_iter().map(|topic| async move {
            let mut missing = String::new();
            for _ in 0..ATTEMPTS {
                match self.has_route(&topic.name).await {
                    Ok(()) => return Ok(()),
                    Err(problem) => missing = problem,
                }
                tokio::time::sleep(PAUSE).await;
            }
            Err(BusError::Away(missing))
        });
        try_join_all(waits).await.map(drop)
    }

    fn topic_command(&self, topic: &WantedTopic) -> String {
        let RocketConfig { name_server, cluster, .. } = &self.config;
        let WantedTopic { name, queues } = topic;
        format!(
            "mqadmin updateTopic -n '{name_server}' -c {cluster} -t {name} -r {queues} -w {queues} \
             -p {PERM_READ_WRITE}"
        )
    }

    fn group_command(&self, group: &Group) -> String {
        let RocketConfig { name_server, cluster, .. } = &self.config;
        let (name, attempts) = (self.names.group(&group.name), attempts(group));
        format!("mqadmin updateSubGroup -n '{name_server}' -c {cluster} -g {name} -r {attempts}")
    }
}

fn attempts(group: &Group) -> i32 {
    i32::try_from(group.broker_attempts_max).unwrap_or(i32::MAX)
}

fn masters_of(info: &ClusterInfo, cluster: &str) -> HashMap<String, Arc<str>> {
    let brokers = info.broker_addr_table.iter().flatten();
    brokers
        .filter(|(_, data)| data.cluster() == cluster)
        .filter_map(|(name, data)| {
            let address = data.broker_addrs().get(&MASTER)?;
            Some((name.to_string(), Arc::from(address.as_str())))
        })
        .collect()
}
