//! Peers that are gone without a word.

use std::time::Duration;

use lab::environment::Environment;
use tokio::net::{TcpSocket, TcpStream};

use crate::{
    network::isolate,
    origin::Kind::Uvicorn,
    proxy::NGINX,
    site::{Site, assert_says},
};

/// The environment was frozen, and a gateway has forgotten its connections. Others can be made.
#[tokio::test]
#[ignore = "needs servers: run by .ci/run"]
async fn half_open_connections_cost_a_retry() {
    let Some(network) = isolate() else { return };
    let site = Site::behind(NGINX, Uvicorn).await;
    let function = site.function(&[]).await;
    network.connect_from(40_000, 44_999);
    site.deliver_all(&function).await;
    network.lose(site.proxy().port, "40000-44999");
    network.connect_from(45_000, 49_999);
    site.deliver_all(&function).await;
}

/// No packet comes through any more.
#[tokio::test]
#[ignore = "needs servers: run by .ci/run"]
async fn a_black_hole_costs_nothing_but_time() {
    let Some(network) = isolate() else { return };
    let site = Site::behind(NGINX, Uvicorn).await;
    let function = site.function(&[]).await;
    site.deliver_all(&function).await;
    network.lose(site.proxy().port, "1024-65535");
    assert_eq!(site.deliver(&function, 500).await.acknowledged, 0);
    assert_says(&function, &["batch failed", "timed out"]);
    // The environment's first connection.
    let function = site.function(&[]).await;
    assert_eq!(site.deliver(&function, 500).await.acknowledged, 0);
    assert_says(&function, &["batch failed"]);
}

/// A server that does not accept: the kernel takes as many connections as there is room for, and is silent to others.
#[tokio::test]
#[ignore = "needs servers: run by .ci/run"]
async fn a_full_backlog_costs_nothing_but_time() {
    let site = Site::direct(Uvicorn, &[]).await;
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let listener = socket.listen(1).unwrap();
    let address = listener.local_addr().unwrap();
    let mut filling = Vec::new();
    while let Ok(Ok(stream)) =
        tokio::time::timeout(Duration::from_millis(200), TcpStream::connect(address)).await
    {
        filling.push(stream);
    }
    let function = Environment::builder(env!("CARGO_BIN_EXE_perseus-forwarder"))
        .timeout(Duration::from_secs(8))
        .env("PERSEUS_URL", format!("http://{address}/ingest"))
        .start()
        .await
        .unwrap();
    assert_eq!(site.deliver(&function, 500).await.acknowledged, 0);
    assert_says(&function, &["batch failed", "timed out"]);
}
