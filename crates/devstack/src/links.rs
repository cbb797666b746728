//! Proxies between the workers and what they use, so that connections can fail.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use crate::proxy::Proxy;
use crate::servers::Servers;
use crate::{Error, ports};

/// How the workers reach the servers, and buyers the workers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Wiring {
    #[default]
    Direct,
    /// Through [`Links`].
    Proxied,
}

/// The address that a broker behind a proxy tells its clients: that of the proxy, which has the
/// broker's port on another address of loopback.
pub(crate) const BROKER_FRONT: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 2);

/// The proxies of a stack.
#[derive(Debug)]
pub struct Links {
    pub postgres: Proxy,
    pub redis: Proxy,
    pub name_server: Proxy,
    pub broker: Proxy,
    /// In front of order-worker's API, as a load balancer is: buyers and the payment provider keep
    /// one address whoever serves it.
    pub orders: Proxy,
}

impl Links {
    /// Proxies that pass everything on; where orders go is said when order-worker is up.
    pub(crate) async fn start(servers: &Servers) -> Result<Self, Error> {
        let broker = loopback(port_of(&servers.broker_address));
        let front = SocketAddr::new(IpAddr::V4(BROKER_FRONT), broker.port());
        Ok(Self {
            postgres: beside(port_of_url(&servers.postgres_url)).await?,
            redis: beside(port_of(&servers.redis_url)).await?,
            name_server: beside(port_of(&servers.name_server)).await?,
            broker: Proxy::start(front, broker).await?,
            orders: beside(ports::free()?).await?,
        })
    }
}

/// A proxy to a port of this machine, on another one.
async fn beside(port: u16) -> Result<Proxy, Error> {
    Proxy::start(loopback(ports::free()?), loopback(port)).await
}

/// `127.0.0.1:<port>`.
pub(crate) fn loopback(port: u16) -> SocketAddr {
    SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), port)
}

/// The port at the end of an address.
pub(crate) fn port_of(address: &str) -> u16 {
    let port = address.rsplit(':').next().and_then(|port| port.parse().ok());
    port.expect("addresses here end with their port")
}

/// The port of `postgres://user@host:port/database`.
fn port_of_url(url: &str) -> u16 {
    port_of(url.rsplit_once('/').map_or(url, |(server, _)| server))
}
