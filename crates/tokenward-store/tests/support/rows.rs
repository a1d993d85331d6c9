//! Rows for the tests of the store: short ways to make one of each.

#![allow(dead_code, unused_imports, unused_macros, reason = "each test crate uses its part")]
#![allow(clippy::expect_used, clippy::unwrap_used, reason = "support for tests")]

use tokenward_core::secret::Digest;
use tokenward_core::{Result, Uuid};
use tokenward_store::clusters::Cluster;
use tokenward_store::environments::Environment;
use tokenward_store::projects::Project;
use tokenward_store::tokens::NewToken;
use tokenward_store::variables::{Owner, Variable};
use tokenward_store::{accounts, clusters, environments, projects, tokens, variables};

use crate::engines::{Bed, Org};

/// One write: committed when it went well, else rolled back.
macro_rules! save {
    ($bed:expr, $tx:ident => $write:expr) => {{
        let mut $tx = $bed.store.begin().await.unwrap();
        let done = $write.await;
        if done.is_ok() {
            $tx.commit_unlogged().await.unwrap();
        }
        done
    }};
}
pub(crate) use save;

/// One read.
macro_rules! load {
    ($bed:expr, $($query:ident)::+ $(, $argument:expr)*) => {
        $($query)::+($bed.store.read().await.unwrap().conn() $(, $argument)*).await
    };
}
pub(crate) use load;

pub fn digest(number: u8) -> Digest {
    Digest([number; 32])
}

pub fn token(id: Uuid, role_id: Uuid, name: &str, number: u8) -> NewToken<'_> {
    NewToken {
        id,
        role_id,
        name,
        description: None,
        expires_at: None,
        digest: digest(number),
        pepper_version: 1,
        last_four: "wxyz",
    }
}

pub async fn new_token(bed: &Bed, org: &Org, name: &str, number: u8) -> Result<Uuid> {
    // Ids sort by the millisecond in which they were made.
    bed.wait(1_000);
    let (id, now) = (bed.store.new_id(), bed.store.now());
    save!(bed, tx => tokens::insert(&mut tx, &org.grant, &token(id, org.roles[1], name, number), now)).map(|()| id)
}

pub async fn new_project(bed: &Bed, org: &Org, name: &str) -> Result<Project> {
    bed.wait(1_000);
    let now = bed.store.now().0;
    let project = Project {
        id: bed.store.new_id(),
        name: name.into(),
        description: format!("{name} it is"),
        created_at: now,
        updated_at: now,
    };
    save!(bed, tx => projects::insert(&mut tx, &org.grant, &project)).map(|()| project)
}

pub async fn new_cluster(bed: &Bed, org: &Org, name: &str) -> Result<Cluster> {
    bed.wait(1_000);
    let now = bed.store.now().0;
    let cluster = Cluster {
        id: bed.store.new_id(),
        name: name.into(),
        region: "eu-west-3".into(),
        cloud_provider: "AWS".into(),
        body: r#"{"disk_size":20}"#.into(),
        created_at: now,
        updated_at: now,
    };
    save!(bed, tx => clusters::insert(&mut tx, &org.grant, &cluster)).map(|()| cluster)
}

pub async fn new_environment(bed: &Bed, org: &Org, project: &Project, cluster: &Cluster, name: &str) -> Result<Uuid> {
    bed.wait(1_000);
    let now = bed.store.now().0;
    let environment = Environment {
        id: bed.store.new_id(),
        project_id: project.id,
        project_name: project.name.clone(),
        cluster_id: cluster.id,
        cluster_name: cluster.name.clone(),
        cloud_provider: cluster.cloud_provider.clone(),
        name: name.into(),
        mode: "STAGING".into(),
        last_updated_by: "owner".into(),
        created_at: now,
        updated_at: now,
    };
    save!(bed, tx => environments::insert(&mut tx, &org.grant, &environment)).map(|()| environment.id)
}

pub async fn new_variable(bed: &Bed, org: &Org, owner: Owner, key: &str, parent: Option<Uuid>) -> Result<Uuid> {
    bed.wait(1_000);
    let now = bed.store.now().0;
    let variable = Variable {
        id: bed.store.new_id(),
        project_id: owner.project,
        environment_id: owner.environment,
        is_secret: false,
        key: key.into(),
        value: "a value".into(),
        variable_type: if parent.is_some() { "ALIAS" } else { "VALUE" }.into(),
        mount_path: None,
        description: None,
        parent_id: parent,
        created_at: now,
        updated_at: now,
    };
    save!(bed, tx => variables::insert(&mut tx, &org.grant, &variable)).map(|()| variable.id)
}

pub async fn new_account(bed: &Bed, email: &str) -> Result<Uuid> {
    let (id, now) = (bed.store.new_id(), bed.store.now());
    save!(bed, tx => accounts::insert(&mut tx, id, email, "Somebody", None, now)).map(|()| id)
}
