//! The data set that looks like half a year of an organization: it is what it says, and it can be looked at.

use std::time::Duration;

use tokenward_server::config::{Config, Flags};

use crate::demo_data::start;
use crate::support::{OWNER, PASSWORD, config};

#[tokio::test]
async fn the_demo_is_as_large_as_it_says() {
    let directory = tempfile::tempdir().unwrap();
    let config = config(directory.path());
    let (server, demo) = start(directory, config).await;
    let acme = &demo.acme;
    let count = async |path: &str| {
        let answer = server.get(path, &acme.owner).await.expect(200);
        answer["results"].as_array().unwrap().len()
    };
    assert_eq!(demo.tokens, 72, "six of them ended long ago");
    assert_eq!(count(&acme.path("apiToken?state=kept")).await, 66);
    for (what, expected) in [("member", 12), ("project", 40), ("customRole", 8), ("cluster", 4), ("api", 2)] {
        assert_eq!(count(&acme.path(what)).await, expected, "{what}");
    }
    assert_eq!(count("/organization").await, 3);
    for (name, routes) in [("shop", 50), ("platform", 480)] {
        let api = server.get(&acme.path(&format!("api/{name}")), &acme.owner).await.expect(200);
        assert_eq!(api["routes"].as_array().unwrap().len(), routes);
    }
    for filter in ["state=expired", "ends=false", "creatorLeft=true", "state=disabled"] {
        assert!(count(&acme.path(&format!("apiToken?{filter}"))).await > 0, "{filter}");
    }
    server.stop().await;
}

/// `scripts/demo`: keeps the server until the process is ended.
#[tokio::test]
#[ignore = "it runs until it is stopped"]
async fn serve() {
    let directory = tempfile::tempdir().unwrap();
    let listen = std::env::var("DEMO_LISTEN").unwrap_or_else(|_| "127.0.0.1:8080".to_owned());
    let flags = Flags::default().with("data_dir", directory.path().to_str()).with("listen", Some(&listen));
    let config = Config::load(None, &[], &flags.with("log", Some("warn"))).unwrap();
    let (server, demo) = start(directory, config).await;
    println!("\nThe demo is at {}/console/{}", server.url, demo.acme.id);
    println!("Sign in as {OWNER} with the password: {PASSWORD}");
    println!("It is gone when you stop it: press Ctrl-C.");
    loop {
        tokio::time::sleep(Duration::from_secs(3600)).await;
    }
}
