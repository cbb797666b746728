use std::ffi::OsString;
use std::fs;
use std::net::Ipv4Addr;
use std::path::Path;
use std::time::{Duration, Instant};

use rustix::fs::statvfs;
use tokio::net::TcpStream;

use super::{Context, remoting};
use crate::guard::Stop;
use crate::links::{BROKER_FRONT, Wiring};
use crate::process::{Process, Spec};
use crate::{Error, ports};

const READY_MAX: Duration = Duration::from_secs(60);
/// What the broker prints when all of it has been started.
const BOOTED: &str = "boot success";
const BROKER_NAME: &str = "broker-a";
/// The broker listens two below its port (for whoever has priority) and one above (for replicas).
const BROKER_PORTS: [i16; 3] = [-2, 0, 1];
/// The store works with memory that Java keeps to itself unless told.
const JAVA_OPENS: [&str; 3] = [
    "--add-exports=java.base/jdk.internal.ref=ALL-UNNAMED",
    "--add-opens=java.base/java.nio=ALL-UNNAMED",
    "--add-opens=java.base/sun.nio.ch=ALL-UNNAMED",
];
/// It has little to do, so a quick start counts: only the first compiler, the simplest collector.
const NAMESRV_OPTIONS: [&str; 4] =
    ["-Xms64m", "-Xmx128m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1"];
const BROKER_MEMORY: [&str; 3] = ["-Xms512m", "-Xmx512m", "-XX:MaxDirectMemorySize=512m"];
/// Of the commit log.
const LOG_FILE_BYTES: u64 = 64 * 1024 * 1024;
/// Of each queue: entries of 20 bytes.
const QUEUE_FILE_BYTES: u64 = 20 * 300_000;
/// Where parts are to fail. A full disk is felt by the next file of the log, which is to come soon. A
/// large send fits no file; that it goes in parts then is seen, too.
const SMALL_LOG_FILE_BYTES: u64 = 256 * 1024;
const SMALL_QUEUE_FILE_BYTES: u64 = 20 * 1_000;
/// Between the two: with it there is no next file of the log.
pub(crate) const FULL_DISK_BYTES: u64 = SMALL_LOG_FILE_BYTES / 2;
/// A developer's disk may be rather full: these are the most that the broker lets itself be told.
const DISK_LIMITS: [&str; 2] = [
    "-Drocketmq.broker.diskSpaceWarningLevelRatio=0.90",
    "-Drocketmq.broker.diskSpaceCleanForciblyRatio=0.85",
];
/// What the broker calls a full disk: above it no message is taken.
const DISK_PERCENT_MAX: u64 = 90;

#[derive(Debug)]
pub(super) struct RocketMq {
    pub(super) name_server: String,
    pub(super) broker_address: String,
    pub(super) namesrv: Process,
    pub(super) broker: Process,
}

/// The broker is started when the name server listens: it registers itself once at its start,
/// and then not again for ten seconds.
pub(super) async fn start(context: Context<'_>) -> Result<RocketMq, Error> {
    let since = Instant::now();
    check_disk(context.run.path())?;
    let name_port = ports::free()?;
    let name_server = format!("127.0.0.1:{name_port}");
    let namesrv = start_namesrv(context, name_port).await?;
    namesrv
        .ready(
            READY_MAX,
            || async move { TcpStream::connect(("127.0.0.1", name_port)).await.is_ok() },
        )
        .await?;
    let port = ports::free_beside(&BROKER_PORTS)?;
    let broker = start_broker(context, &name_server, port).await?;
    let broker_address = format!("127.0.0.1:{port}");
    broker.ready(READY_MAX, || is_registered(&name_server, &broker_address, broker.log())).await?;
    let address = format!("{name_server} (broker {broker_address})");
    context.ready("RocketMQ", &address, since);
    Ok(RocketMq { name_server, broker_address, namesrv, broker })
}

/// Whether the name server leads to the broker. A broker that is up and not known there has
/// looked for the name server a moment too early, and would try again in ten seconds: it is told
/// to do so now.
async fn is_registered(name_server: &str, broker: &str, log: &Path) -> bool {
    if remoting::knows_broker(name_server, BROKER_NAME).await.unwrap_or(false) {
        return true;
    }
    if fs::read_to_string(log).is_ok_and(|log| log.contains(BOOTED)) {
        // If it fails it is asked again.
        let _asked = remoting::register_now(broker).await;
    }
    false
}

async fn start_namesrv(context: Context<'_>, port: u16) -> Result<Process, Error> {
    let settings = format!("listenPort={port}\nbindAddress=127.0.0.1\n");
    let main = "org.apache.rocketmq.namesrv.NamesrvStartup";
    let options = NAMESRV_OPTIONS.as_slice();
    let spec = java(context, "namesrv", options, main, &settings)?;
    Process::start(spec, context.paths, context.run).await
}

async fn start_broker(context: Context<'_>, names: &str, port: u16) -> Result<Process, Error> {
    let store = context.run.path().join("broker").join("store");
    let store = store.display();
    let (told, log_file_bytes, queue_file_bytes) = match context.wiring {
        Wiring::Direct => (Ipv4Addr::LOCALHOST, LOG_FILE_BYTES, QUEUE_FILE_BYTES),
        Wiring::Proxied => (BROKER_FRONT, SMALL_LOG_FILE_BYTES, SMALL_QUEUE_FILE_BYTES),
    };
    let settings = format!(
        "brokerClusterName=DefaultCluster\n\
         brokerName={BROKER_NAME}\n\
         brokerId=0\n\
         brokerIP1={told}\n\
         bindAddress=127.0.0.1\n\
         listenPort={port}\n\
         namesrvAddr={names}\n\
         storePathRootDir={store}\n\
         storePathCommitLog={store}/commitlog\n\
         mappedFileSizeCommitLog={log_file_bytes}\n\
         mappedFileSizeConsumeQueue={queue_file_bytes}\n\
         maxTransferCountOnMessageInMemory=1024\n\
         maxTransferBytesOnMessageInMemory=1048576\n\
         diskMaxUsedSpaceRatio=98\n\
         cleanFileForciblyEnable=false\n\
         timerFlushIntervalMs=10000\n\
         timerGetMessageThreadNum=1\n\
         timerPutMessageThreadNum=1\n\
         serverSelectorThreads=1\n\
         serverWorkerThreads=1\n\
         sendMessageThreadPoolNums=1\n\
         pullMessageThreadPoolNums=1\n\
         putConsumeQueueDataByFileChannel=false\n\
         flushDiskType=ASYNC_FLUSH\n\
         autoCreateTopicEnable=false\n\
         autoCreateSubscriptionGroup=false\n"
    );
    let main = "org.apache.rocketmq.broker.BrokerStartup";
    let options = [BROKER_MEMORY.as_slice(), &DISK_LIMITS].concat();
    let spec = java(context, "broker", &options, main, &settings)?;
    Process::start(spec, context.paths, context.run).await
}

/// As the broker looks at it, every ten seconds: what is kept for the superuser does not count.
fn check_disk(path: &Path) -> Result<(), Error> {
    let what = || format!("look at the disk of {}", path.display());
    let disk = statvfs(path).map_err(|error| Error::io(what())(error.into()))?;
    let used = disk.f_blocks - disk.f_bfree;
    let percent = (used * 100).div_ceil((used + disk.f_bavail).max(1));
    if percent > DISK_PERCENT_MAX {
        let path = path.to_owned();
        return Err(Error::DiskFull { path, percent, limit: DISK_PERCENT_MAX });
    }
    Ok(())
}

/// A Java server with a directory and a settings file of its own.
fn java(
    context: Context<'_>,
    name: &str,
    options: &[&str],
    main: &str,
    settings: &str,
) -> Result<Spec, Error> {
    let home = context.run.path().join(name);
    let file = home.join("settings.conf");
    fs::create_dir_all(&home).map_err(Error::io(format!("make {}", home.display())))?;
    fs::write(&file, settings).map_err(Error::io(format!("write {}", file.display())))?;
    // It writes its own logs below its user's home.
    let mut user_home = OsString::from("-Duser.home=");
    user_home.push(context.run.path());
    let mut spec = Spec::new(name, &context.tools.java, &home)
        .arguments([user_home])
        .arguments(JAVA_OPENS)
        .arguments(options.iter().copied())
        .arguments([OsString::from("-cp"), context.tools.jars.join("*").into_os_string()])
        .arguments([OsString::from(main), OsString::from("-c"), file.into_os_string()]);
    spec.environment.push(("ROCKETMQ_HOME".to_owned(), home.into_os_string()));
    // What is acknowledged survives this, and an orderly end takes seconds.
    spec.stop = Stop::Kill;
    Ok(spec)
}
