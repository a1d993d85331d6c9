//! Clusters, projects, environments, variables, and the answers kept for repeated requests.

use tokenward_core::event::ActorKind;
use tokenward_core::organization::{CloudProvider, VariableType};
use tokenward_core::permission::Management;
use tokenward_core::role::Mode;
use tokenward_core::time::{HOUR, MINUTE};
use tokenward_core::{Code, Uuid};
use tokenward_store::UnloggedTx;
use tokenward_store::clusters::{self, Cluster};
use tokenward_store::environments::{self, Environment};
use tokenward_store::idempotency::{self, Claim, Claimed, Room};
use tokenward_store::projects::{self, Project};
use tokenward_store::variables::{self, Owner, Variable};

use crate::world::{Organization, World, end, unique};

on_both_engines![
    a_cluster_is_written_read_changed_and_deleted,
    a_cluster_with_environments_stays_and_names_them,
    a_project_is_written_read_changed_and_deleted,
    a_project_name_is_taken_once_in_an_organization,
    names_from_before_they_were_folded_are_folded_once_the_oldest_first,
    an_environment_is_written_read_changed_and_deleted,
    an_environment_stands_in_one_organization,
    a_project_takes_its_environments_and_variables_with_it,
    a_variable_is_written_read_changed_and_deleted,
    an_environment_inherits_the_variables_of_its_project,
    a_key_is_taken_once_in_its_scope,
    a_variable_takes_its_aliases_with_it,
    a_foreign_resource_is_neither_seen_nor_changed,
    a_repeated_request_is_carried_out_once,
    a_change_spends_its_key_or_is_not_made,
    an_organization_has_so_many_keys_until_they_are_forgotten,
    answers_have_so_many_bytes_together,
    an_answer_that_is_not_kept_is_known_and_never_made_again,
    of_two_claims_at_once_one_wins,
    kept_answers_are_forgotten_after_an_hour_and_lost_requests_sooner,
];

pub fn cluster(world: &World, name: &str) -> Cluster {
    let now = world.clock.pass(1);
    Cluster {
        id: world.store.new_id(),
        name: name.to_owned(),
        region: "eu-west-3".to_owned(),
        cloud_provider: CloudProvider::Aws,
        body: "{\"a\":[1,null]}".to_owned(),
        created_at: now,
        updated_at: now,
    }
}

pub fn project(world: &World, name: &str) -> Project {
    let now = world.clock.pass(1);
    let id = world.store.new_id();
    Project { id, name: name.to_owned(), description: String::new(), created_at: now, updated_at: now }
}

/// A project with a cluster and an environment.
struct Place {
    project: Uuid,
    cluster: Uuid,
    environment: Uuid,
}

impl Place {
    async fn make(world: &World, of: &Organization, name: &str) -> Self {
        let (c, p) = (cluster(world, name), project(world, name));
        let e = environment(world, p.id, c.id, name);
        let mut tx = world.begin().await;
        clusters::insert(&mut tx, &of.may(Management::ClusterManage), &c).await.unwrap();
        projects::insert(&mut tx, &of.may(Management::ProjectCreate), &p).await.unwrap();
        environments::insert(&mut tx, &of.may(Management::EnvironmentManage), &e).await.unwrap();
        crate::world::end(tx).await.unwrap();
        Self { project: p.id, cluster: c.id, environment: e.id }
    }

    fn of_project(&self) -> Owner {
        Owner { project: self.project, environment: None }
    }

    fn of_environment(&self) -> Owner {
        Owner { project: self.project, environment: Some(self.environment) }
    }
}

fn environment(world: &World, project: Uuid, cluster: Uuid, name: &str) -> Environment {
    let now = world.clock.pass(1);
    Environment {
        id: world.store.new_id(),
        project_id: project,
        project_name: String::new(),
        cluster_id: cluster,
        cluster_name: String::new(),
        cloud_provider: CloudProvider::Gcp,
        name: name.to_owned(),
        mode: Mode::Staging,
        last_updated_by: "ada@acme.example".to_owned(),
        last_updated_by_kind: Some(ActorKind::User),
        last_updated_by_id: Some(Uuid::from_u128(7)),
        created_at: now,
        updated_at: now,
    }
}

fn variable(world: &World, owner: Owner, key: &str) -> Variable {
    let now = world.clock.pass(1);
    Variable {
        id: world.store.new_id(),
        project_id: owner.project,
        environment_id: owner.environment,
        is_secret: false,
        key: key.to_owned(),
        value: "v".to_owned(),
        variable_type: VariableType::Value,
        mount_path: None,
        description: None,
        parent_id: None,
        built_in_parent: None,
        created_at: now,
        updated_at: now,
    }
}

async fn insert_variable(world: &World, of: &Organization, variable: &Variable) {
    let mut tx = world.begin().await;
    variables::insert(&mut tx, &of.may(Management::VariableManage), variable).await.unwrap();
    crate::world::end(tx).await.unwrap();
}

async fn a_cluster_is_written_read_changed_and_deleted(world: World) {
    let acme = world.organization("Acme").await;
    let (mut c, second) = (cluster(&world, "b"), cluster(&world, "a"));
    let mut tx = world.begin().await;
    clusters::insert(&mut tx, &acme.may(Management::ClusterManage), &c).await.unwrap();
    clusters::insert(&mut tx, &acme.may(Management::ClusterManage), &second).await.unwrap();
    crate::world::end(tx).await.unwrap();
    let listed = clusters::list(world.reader().await.conn(), &acme.grant).await.unwrap();
    assert_eq!(format!("{listed:?}"), format!("{:?}", [&c, &second]));

    c.name = "new".to_owned();
    c.region = "r".to_owned();
    c.cloud_provider = CloudProvider::Gcp;
    c.body = "{}".to_owned();
    c.updated_at = c.updated_at.plus(1);
    let mut tx = world.begin().await;
    clusters::update(&mut tx, &acme.may(Management::ClusterManage), &c).await.unwrap();
    crate::world::end(tx).await.unwrap();
    let found = clusters::get(world.reader().await.conn(), &acme.grant, c.id).await.unwrap();
    assert_eq!(format!("{found:?}"), format!("{c:?}"));
    let mut places = clusters::places(world.reader().await.conn(), None).await.unwrap();
    places.sort();
    assert_eq!(places, [(c.id, acme.id, "new".to_owned()), (second.id, acme.id, "a".to_owned())]);

    let mut tx = world.begin().await;
    clusters::delete(&mut tx, &acme.may(Management::ClusterManage), c.id).await.unwrap();
    assert_eq!(
        clusters::delete(&mut tx, &acme.may(Management::ClusterManage), c.id).await.unwrap_err().code,
        Code::NotFound
    );
    crate::world::end(tx).await.unwrap();
    let gone = clusters::get(world.reader().await.conn(), &acme.grant, c.id).await;
    assert_eq!(gone.unwrap_err().code, Code::NotFound);
    let left = clusters::places(world.reader().await.conn(), Some(&[c.id, second.id])).await.unwrap();
    assert_eq!(left, [(second.id, acme.id, "a".to_owned())]);
}

async fn a_cluster_with_environments_stays_and_names_them(world: World) {
    let acme = world.organization("Acme").await;
    let place = Place::make(&world, &acme, "shop").await;
    let names = clusters::environments(world.reader().await.conn(), &acme.grant, place.cluster).await.unwrap();
    assert_eq!(names, ["shop"]);
    let mut tx = world.begin().await;
    assert_eq!(
        clusters::delete(&mut tx, &acme.may(Management::ClusterManage), place.cluster).await.unwrap_err().code,
        Code::Conflict
    );
    drop(tx);
    let mut tx = world.begin().await;
    environments::delete(&mut tx, &acme.may(Management::ProjectManage), place.environment).await.unwrap();
    clusters::delete(&mut tx, &acme.may(Management::ClusterManage), place.cluster).await.unwrap();
    crate::world::end(tx).await.unwrap();
}

async fn a_project_is_written_read_changed_and_deleted(world: World) {
    let acme = world.organization("Acme").await;
    let (mut p, second) = (project(&world, "b"), project(&world, "a"));
    let mut tx = world.begin().await;
    projects::insert(&mut tx, &acme.may(Management::ProjectCreate), &p).await.unwrap();
    projects::insert(&mut tx, &acme.may(Management::ProjectCreate), &second).await.unwrap();
    crate::world::end(tx).await.unwrap();
    let listed = projects::list(world.reader().await.conn(), &acme.grant).await.unwrap();
    assert_eq!(format!("{listed:?}"), format!("{:?}", [&p, &second]));

    p.name = "new".to_owned();
    p.description = "d".to_owned();
    p.updated_at = p.updated_at.plus(1);
    let mut tx = world.begin().await;
    projects::update(&mut tx, &acme.may(Management::ProjectManage), &p).await.unwrap();
    crate::world::end(tx).await.unwrap();
    let found = projects::get(world.reader().await.conn(), &acme.grant, p.id).await.unwrap();
    assert_eq!(format!("{found:?}"), format!("{p:?}"));
    let mut places = projects::places(world.reader().await.conn(), None).await.unwrap();
    places.sort();
    assert_eq!(places, [(p.id, acme.id, "new".to_owned()), (second.id, acme.id, "a".to_owned())]);

    let mut tx = world.begin().await;
    projects::delete(&mut tx, &acme.may(Management::ProjectManage), p.id).await.unwrap();
    assert_eq!(
        projects::delete(&mut tx, &acme.may(Management::ProjectManage), p.id).await.unwrap_err().code,
        Code::NotFound
    );
    crate::world::end(tx).await.unwrap();
    let left = projects::places(world.reader().await.conn(), Some(&[p.id, second.id])).await.unwrap();
    assert_eq!(left, [(second.id, acme.id, "a".to_owned())]);
}

async fn a_project_name_is_taken_once_in_an_organization(world: World) {
    let (acme, globex) = (world.organization("Acme").await, world.organization("Globex").await);
    let (first, second) = (project(&world, "shop"), project(&world, "other"));
    let mut tx = world.begin().await;
    projects::insert(&mut tx, &acme.may(Management::ProjectCreate), &first).await.unwrap();
    projects::insert(&mut tx, &acme.may(Management::ProjectCreate), &second).await.unwrap();
    projects::insert(&mut tx, &globex.may(Management::ProjectCreate), &project(&world, "shop")).await.unwrap();
    crate::world::end(tx).await.unwrap();
    let mut tx = world.begin().await;
    let again = projects::insert(&mut tx, &acme.may(Management::ProjectCreate), &project(&world, "shop")).await;
    assert_eq!(again.unwrap_err().code, Code::NameTaken);
    drop(tx);
    let mut tx = world.begin().await;
    let renamed = Project { name: "shop".to_owned(), ..second };
    assert_eq!(
        projects::update(&mut tx, &acme.may(Management::ProjectManage), &renamed).await.unwrap_err().code,
        Code::NameTaken
    );
}

async fn names_from_before_they_were_folded_are_folded_once_the_oldest_first(world: World) {
    let acme = world.organization("Acme").await;
    let (first, mut second) = (project(&world, "Shop"), project(&world, "other"));
    let mut tx = world.begin().await;
    for project in [&first, &second] {
        projects::insert(&mut tx, &acme.may(Management::ProjectCreate), project).await.unwrap();
    }
    crate::world::end(tx).await.unwrap();
    world.sql("UPDATE project SET name_fold = '', name = CASE name WHEN 'Shop' THEN name ELSE 'SHOP' END").await;
    second.name = "SHOP".into();
    world.open_again().await.close().await;
    let holder = async |name: &str| projects::holder(world.reader().await.conn(), &acme.grant, name).await.unwrap();
    assert_eq!(holder("sHOP").await, Some(first.id));
    // The other keeps its name as long as it likes, and takes any other.
    let update = async |name: &str| {
        let mut tx = world.begin().await;
        let renamed = Project { name: name.into(), ..second.clone() };
        projects::update(&mut tx, &acme.may(Management::ProjectManage), &renamed).await.map_err(|e| e.code)?;
        crate::world::end(tx).await.map(|_| ()).map_err(|e| e.code)
    };
    assert_eq!(update("SHOP").await, Ok(()));
    assert_eq!(update("shop").await, Err(Code::NameTaken));
    assert_eq!(update("Site").await, Ok(()));
    assert_eq!(holder("site").await, Some(second.id));
    assert_eq!(update("SHOP").await, Err(Code::NameTaken));
}

async fn an_environment_is_written_read_changed_and_deleted(world: World) {
    let acme = world.organization("Acme").await;
    let place = Place::make(&world, &acme, "shop").await;
    let mut e = environment(&world, place.project, place.cluster, "second");
    let mut tx = world.begin().await;
    environments::insert(&mut tx, &acme.may(Management::EnvironmentManage), &e).await.unwrap();
    crate::world::end(tx).await.unwrap();
    e.project_name = "shop".to_owned();
    e.cluster_name = "shop".to_owned();
    e.cloud_provider = CloudProvider::Aws;
    let found = environments::get(world.reader().await.conn(), &acme.grant, e.id).await.unwrap();
    assert_eq!(format!("{found:?}"), format!("{e:?}"));

    e.name = "new".to_owned();
    e.mode = Mode::Production;
    e.last_updated_by = "bob".to_owned();
    e.last_updated_by_kind = Some(ActorKind::Token);
    e.last_updated_by_id = Some(Uuid::from_u128(8));
    e.updated_at = e.updated_at.plus(1);
    let mut tx = world.begin().await;
    environments::update(&mut tx, &acme.may(Management::EnvironmentManage), &e).await.unwrap();
    crate::world::end(tx).await.unwrap();
    let mut reader = world.reader().await;
    let found = environments::get(reader.conn(), &acme.grant, e.id).await.unwrap();
    assert_eq!(format!("{found:?}"), format!("{e:?}"));
    let listed = environments::list(reader.conn(), &acme.grant, place.project).await.unwrap();
    assert_eq!(listed.iter().map(|e| e.name.as_str()).collect::<Vec<_>>(), ["shop", "new"]);
    assert!(environments::list(reader.conn(), &acme.grant, Uuid::from_u128(1)).await.unwrap().is_empty());
    let first = environments::page(reader.conn(), &acme.grant, None, 1).await.unwrap();
    assert_eq!(first[0].name, "shop");
    let rest = environments::page(reader.conn(), &acme.grant, Some(first[0].id), 9).await.unwrap();
    assert_eq!(rest.iter().map(|e| e.name.as_str()).collect::<Vec<_>>(), ["new"]);
    assert_eq!(environments::count(reader.conn(), &acme.grant, place.project).await.unwrap(), 2);
    assert_eq!(projects::count(reader.conn(), &acme.grant).await.unwrap(), 1);
    assert_eq!(clusters::count(reader.conn(), &acme.grant).await.unwrap(), 1);
    assert_eq!(clusters::page(reader.conn(), &acme.grant, Some(place.cluster), 9).await.unwrap().len(), 0);
    assert_eq!(clusters::page(reader.conn(), &acme.grant, None, 9).await.unwrap().len(), 1);
    let places = environments::places(reader.conn(), Some(&[e.id])).await.unwrap();
    let [p] = &places[..] else { panic!("{places:?}") };
    assert_eq!((p.id, p.organization_id, p.project_id), (e.id, acme.id, place.project));
    assert_eq!((p.cluster_id, p.mode.as_str()), (place.cluster, "PRODUCTION"));
    assert_eq!(environments::places(reader.conn(), None).await.unwrap().len(), 2);
    drop(reader);

    let mut tx = world.begin().await;
    let renamed = Environment { name: "shop".to_owned(), ..e.clone() };
    assert_eq!(
        environments::update(&mut tx, &acme.may(Management::EnvironmentManage), &renamed).await.unwrap_err().code,
        Code::NameTaken
    );
    drop(tx);
    let mut tx = world.begin().await;
    environments::delete(&mut tx, &acme.may(Management::ProjectManage), e.id).await.unwrap();
    assert_eq!(
        environments::delete(&mut tx, &acme.may(Management::ProjectManage), e.id).await.unwrap_err().code,
        Code::NotFound
    );
    crate::world::end(tx).await.unwrap();
}

async fn an_environment_stands_in_one_organization(world: World) {
    let (acme, globex) = (world.organization("Acme").await, world.organization("Globex").await);
    let own = Place::make(&world, &acme, "shop").await;
    let foreign = Place::make(&world, &globex, "shop").await;
    for (project, cluster) in [(foreign.project, own.cluster), (own.project, foreign.cluster)] {
        let e = environment(&world, project, cluster, "second");
        let mut tx = world.begin().await;
        assert_eq!(
            environments::insert(&mut tx, &acme.may(Management::EnvironmentManage), &e).await.unwrap_err().code,
            Code::Conflict
        );
    }
}

async fn a_project_takes_its_environments_and_variables_with_it(world: World) {
    let acme = world.organization("Acme").await;
    let place = Place::make(&world, &acme, "shop").await;
    let other = Place::make(&world, &acme, "other").await;
    for owner in [place.of_project(), place.of_environment(), other.of_project()] {
        insert_variable(&world, &acme, &variable(&world, owner, "KEY")).await;
    }
    let mut tx = world.begin().await;
    projects::delete(&mut tx, &acme.may(Management::ProjectManage), place.project).await.unwrap();
    crate::world::end(tx).await.unwrap();
    assert_eq!(world.number("SELECT count(*) FROM environment").await, 1);
    assert_eq!(world.number("SELECT count(*) FROM variable").await, 1);
    assert_eq!(world.number("SELECT count(*) FROM cluster").await, 2);
}

async fn a_variable_is_written_read_changed_and_deleted(world: World) {
    let acme = world.organization("Acme").await;
    let place = Place::make(&world, &acme, "shop").await;
    let owner = place.of_environment();
    let mut v = Variable {
        is_secret: true,
        mount_path: Some("/etc/x".to_owned()),
        description: Some(String::new()),
        ..variable(&world, owner, "KEY")
    };
    insert_variable(&world, &acme, &v).await;
    let found = variables::get(world.reader().await.conn(), &acme.grant, owner, v.id).await.unwrap();
    assert_eq!(format!("{found:?}"), format!("{v:?}"));

    v.key = "OTHER".to_owned();
    v.value = "w".to_owned();
    v.description = None;
    v.mount_path = None;
    v.updated_at = v.updated_at.plus(1);
    let mut tx = world.begin().await;
    variables::update(&mut tx, &acme.may(Management::VariableManage), &v).await.unwrap();
    crate::world::end(tx).await.unwrap();
    let found = variables::get(world.reader().await.conn(), &acme.grant, owner, v.id).await.unwrap();
    assert_eq!(format!("{found:?}"), format!("{v:?}"));

    // It belongs to its environment, not to the project above it.
    let above = variables::get(world.reader().await.conn(), &acme.grant, place.of_project(), v.id).await;
    assert_eq!(above.unwrap_err().code, Code::NotFound);
    let mut tx = world.begin().await;
    variables::delete(&mut tx, &acme.may(Management::VariableManage), v.id).await.unwrap();
    crate::world::end(tx).await.unwrap();
    let gone = variables::get(world.reader().await.conn(), &acme.grant, owner, v.id).await;
    assert_eq!(gone.unwrap_err().code, Code::NotFound);
}

async fn an_environment_inherits_the_variables_of_its_project(world: World) {
    let acme = world.organization("Acme").await;
    let place = Place::make(&world, &acme, "shop").await;
    for (owner, key) in [
        (place.of_environment(), "E1"),
        (place.of_project(), "P1"),
        (place.of_environment(), "E2"),
        (place.of_project(), "P2"),
    ] {
        insert_variable(&world, &acme, &variable(&world, owner, key)).await;
    }
    let keys = async |owner| {
        let listed = variables::list(world.reader().await.conn(), &acme.grant, owner).await.unwrap();
        listed.into_iter().map(|v| v.key).collect::<Vec<_>>()
    };
    assert_eq!(keys(place.of_environment()).await, ["P1", "P2", "E1", "E2"]);
    assert_eq!(keys(place.of_project()).await, ["P1", "P2"]);
    let elsewhere = Owner { environment: Some(Uuid::from_u128(1)), ..place.of_project() };
    assert_eq!(keys(elsewhere).await, ["P1", "P2"]);
}

async fn a_key_is_taken_once_in_its_scope(world: World) {
    let acme = world.organization("Acme").await;
    let place = Place::make(&world, &acme, "shop").await;
    // An override has the key of what it covers.
    for owner in [place.of_project(), place.of_environment()] {
        insert_variable(&world, &acme, &variable(&world, owner, "KEY")).await;
        let other = variable(&world, owner, "OTHER");
        insert_variable(&world, &acme, &other).await;
        let mut tx = world.begin().await;
        let again =
            variables::insert(&mut tx, &acme.may(Management::VariableManage), &variable(&world, owner, "KEY")).await;
        assert_eq!(again.unwrap_err().code, Code::NameTaken);
        drop(tx);
        let mut tx = world.begin().await;
        let renamed = Variable { key: "KEY".to_owned(), ..other };
        assert_eq!(
            variables::update(&mut tx, &acme.may(Management::VariableManage), &renamed).await.unwrap_err().code,
            Code::NameTaken
        );
    }
}

async fn a_variable_takes_its_aliases_with_it(world: World) {
    let acme = world.organization("Acme").await;
    let place = Place::make(&world, &acme, "shop").await;
    let v = variable(&world, place.of_project(), "KEY");
    insert_variable(&world, &acme, &v).await;
    let alias = Variable { parent_id: Some(v.id), ..variable(&world, place.of_environment(), "ALIAS") };
    insert_variable(&world, &acme, &alias).await;
    let mut tx = world.begin().await;
    variables::delete(&mut tx, &acme.may(Management::VariableManage), v.id).await.unwrap();
    crate::world::end(tx).await.unwrap();
    assert_eq!(world.number("SELECT count(*) FROM variable").await, 0);
}

async fn a_foreign_resource_is_neither_seen_nor_changed(world: World) {
    let (acme, globex) = (world.organization("Acme").await, world.organization("Globex").await);
    let place = Place::make(&world, &acme, "shop").await;
    let v = variable(&world, place.of_project(), "KEY");
    insert_variable(&world, &acme, &v).await;
    let grant = &globex.grant;

    let mut reader = world.reader().await;
    assert!(clusters::list(reader.conn(), grant).await.unwrap().is_empty());
    assert!(projects::list(reader.conn(), grant).await.unwrap().is_empty());
    assert!(environments::page(reader.conn(), grant, None, 9).await.unwrap().is_empty());
    assert!(environments::list(reader.conn(), grant, place.project).await.unwrap().is_empty());
    assert!(clusters::page(reader.conn(), grant, None, 9).await.unwrap().is_empty());
    assert!(variables::list(reader.conn(), grant, place.of_project()).await.unwrap().is_empty());
    assert!(clusters::environments(reader.conn(), grant, place.cluster).await.unwrap().is_empty());
    let not_found = [
        clusters::get(reader.conn(), grant, place.cluster).await.unwrap_err().code,
        projects::get(reader.conn(), grant, place.project).await.unwrap_err().code,
        environments::get(reader.conn(), grant, place.environment).await.unwrap_err().code,
        variables::get(reader.conn(), grant, place.of_project(), v.id).await.unwrap_err().code,
    ];
    assert_eq!(not_found, [Code::NotFound; 4]);
    let c = clusters::get(reader.conn(), &acme.grant, place.cluster).await.unwrap();
    let p = projects::get(reader.conn(), &acme.grant, place.project).await.unwrap();
    let e = environments::get(reader.conn(), &acme.grant, place.environment).await.unwrap();
    drop(reader);

    let mut tx = world.begin().await;
    clusters::update(
        &mut tx,
        &globex.may(Management::ClusterManage),
        &Cluster { name: "mine".to_owned(), ..c.clone() },
    )
    .await
    .unwrap();
    projects::update(
        &mut tx,
        &globex.may(Management::ProjectManage),
        &Project { name: "mine".to_owned(), ..p.clone() },
    )
    .await
    .unwrap();
    environments::update(
        &mut tx,
        &globex.may(Management::EnvironmentManage),
        &Environment { name: "mine".to_owned(), ..e.clone() },
    )
    .await
    .unwrap();
    variables::update(
        &mut tx,
        &globex.may(Management::VariableManage),
        &Variable { value: "mine".to_owned(), ..v.clone() },
    )
    .await
    .unwrap();
    variables::delete(&mut tx, &globex.may(Management::VariableManage), v.id).await.unwrap();
    let not_found = [
        clusters::delete(&mut tx, &globex.may(Management::ClusterManage), place.cluster).await.unwrap_err().code,
        projects::delete(&mut tx, &globex.may(Management::ProjectManage), place.project).await.unwrap_err().code,
        environments::delete(&mut tx, &globex.may(Management::ProjectManage), place.environment)
            .await
            .unwrap_err()
            .code,
    ];
    assert_eq!(not_found, [Code::NotFound; 3]);
    crate::world::end(tx).await.unwrap();

    let mut reader = world.reader().await;
    let unchanged = clusters::get(reader.conn(), &acme.grant, place.cluster).await.unwrap();
    assert_eq!(format!("{unchanged:?}"), format!("{c:?}"));
    let unchanged = projects::get(reader.conn(), &acme.grant, place.project).await.unwrap();
    assert_eq!(format!("{unchanged:?}"), format!("{p:?}"));
    let unchanged = environments::get(reader.conn(), &acme.grant, place.environment).await.unwrap();
    assert_eq!(format!("{unchanged:?}"), format!("{e:?}"));
    let unchanged = variables::get(reader.conn(), &acme.grant, place.of_project(), v.id).await.unwrap();
    assert_eq!(format!("{unchanged:?}"), format!("{v:?}"));
}

/// Claims a scope in a transaction of its own, for a holder of its own.
async fn claim(world: &World, claim: &Claim, request: &[u8; 32]) -> bool {
    claim_of(world, claim, request, world.store.new_id(), 1).await == Claimed::Mine
}

async fn claim_of(world: &World, claim: &Claim, request: &[u8; 32], holder: Uuid, most: u64) -> Claimed {
    claim_in(world, claim, request, holder, Room { answers: most, ..ROOM }).await
}

/// Enough for whoever is not about it.
const ROOM: Room = Room { answers: 10, answer_bytes: 1_000, bytes: 10_000 };

async fn claim_in(world: &World, claim: &Claim, request: &[u8; 32], holder: Uuid, room: Room) -> Claimed {
    let mut tx = world.store.begin_unlogged().await.unwrap();
    let claimed = idempotency::claim(&mut tx, claim, request, holder, room).await.unwrap();
    tx.commit().await.unwrap();
    claimed
}

/// Keeps an answer. Was there room?
async fn keep(world: &World, claim: &Claim, holder: Uuid, answer: &[u8]) -> bool {
    let mut tx = world.store.begin_unlogged().await.unwrap();
    let kept = idempotency::keep(&mut tx, claim, holder, answer, ROOM.bytes).await.unwrap();
    tx.commit().await.unwrap();
    kept
}

fn new_claim(world: &World) -> Claim {
    Claim { scope: unique(), id: world.store.new_id() }
}

async fn an_organization_has_so_many_keys_until_they_are_forgotten(world: World) {
    let (acme, globex) = (world.store.new_id(), world.store.new_id());
    let claim = async |holder| claim_of(&world, &new_claim(&world), &unique(), holder, 2).await;
    for _ in 0..2 {
        assert_eq!(claim(acme).await, Claimed::Mine);
    }
    assert_eq!(claim(acme).await, Claimed::Full);
    assert_eq!(claim(globex).await, Claimed::Mine, "everybody has keys of their own");
    world.clock.pass(HOUR);
    assert_eq!(claim(acme).await, Claimed::Mine);
}

async fn write(world: &World, write: impl AsyncFnOnce(&mut UnloggedTx)) {
    let mut tx = world.store.begin_unlogged().await.unwrap();
    write(&mut tx).await;
    tx.commit().await.unwrap();
}

async fn a_repeated_request_is_carried_out_once(world: World) {
    let (first, request) = (new_claim(&world), unique());
    let scope = first.scope;
    let again = || Claim { scope, id: world.store.new_id() };
    assert!(idempotency::get(world.reader().await.conn(), &scope).await.unwrap().is_none());
    assert!(claim(&world, &first, &request).await);
    assert!(!claim(&world, &again(), &unique()).await);
    let kept = idempotency::get(world.reader().await.conn(), &scope).await.unwrap().unwrap();
    assert_eq!((kept.request.as_slice(), kept.answer, kept.claim_id), (&request[..], None, Some(first.id)));
    // A fault of ours gives it back.
    write(&world, async |tx| idempotency::release(tx, &first).await.unwrap()).await;
    let second = again();
    assert!(claim(&world, &second, &request).await);
    assert!(keep(&world, &second, world.store.new_id(), b"answer").await);
    // An answer that is kept cannot be given back, and whoever had the key before changes nothing of it.
    write(&world, async |tx| idempotency::release(tx, &second).await.unwrap()).await;
    assert!(keep(&world, &first, world.store.new_id(), b"another").await);
    assert!(!claim(&world, &again(), &request).await);
    let kept = idempotency::get(world.reader().await.conn(), &scope).await.unwrap().unwrap();
    assert_eq!(kept.answer.as_deref(), Some(&b"answer"[..]));
}

async fn a_change_spends_its_key_or_is_not_made(world: World) {
    let (claimed, request) = (new_claim(&world), unique());
    assert!(claim(&world, &claimed, &request).await);
    let spend = async |claim: &Claim| {
        let mut tx = world.begin().await;
        idempotency::spend(&mut tx, claim).await?;
        end(tx).await
    };
    let position = spend(&claimed).await.unwrap();
    write(&world, async |tx| idempotency::release(tx, &claimed).await.unwrap()).await;
    world.clock.pass(HOUR - 1);
    assert!(!claim(&world, &Claim { id: world.store.new_id(), ..claimed.clone() }, &request).await);
    let kept = idempotency::get(world.reader().await.conn(), &claimed.scope).await.unwrap().unwrap();
    assert_eq!((kept.answer, kept.position), (None, Some(position.number)), "nobody carries it out again");
    // One whose claim ended while it worked.
    let slow = new_claim(&world);
    assert!(claim(&world, &slow, &request).await);
    world.clock.pass(2 * MINUTE);
    assert!(claim(&world, &Claim { id: world.store.new_id(), ..slow.clone() }, &request).await);
    assert_eq!(spend(&slow).await.unwrap_err().code, Code::Conflict);
}

async fn answers_have_so_many_bytes_together(world: World) {
    let (acme, globex, request) = (world.store.new_id(), world.store.new_id(), unique());
    let room = Room { answers: 10, answer_bytes: 4_000, bytes: ROOM.bytes };
    let claims: Vec<Claim> = (0..4).map(|_| new_claim(&world)).collect();
    // All of them at once: nothing is kept yet.
    for claim in &claims[..3] {
        assert_eq!(claim_in(&world, claim, &request, acme, room).await, Claimed::Mine);
    }
    assert!(keep(&world, &claims[0], acme, &[0xFF; 4_000]).await);
    assert!(keep(&world, &claims[1], acme, &[1; 4_000]).await);
    assert!(!keep(&world, &claims[2], acme, &[2; 4_000]).await, "what came at once is held to the sum, too");
    assert_eq!(claim_in(&world, &claims[3], &request, acme, room).await, Claimed::NoRoom);
    assert_eq!(claim_in(&world, &claims[3], &request, globex, room).await, Claimed::Mine, "of one holder");
    // Its own bytes do not count again, and an answer that is small enough is kept.
    assert_eq!(claim_in(&world, &claims[0], &request, acme, room).await, Claimed::Taken);
    assert!(keep(&world, &claims[0], acme, &[3; 4_000]).await && keep(&world, &claims[2], acme, &[4; 2_000]).await);
    let kept = idempotency::get(world.reader().await.conn(), &claims[0].scope).await.unwrap().unwrap();
    assert_eq!((kept.answer, kept.unkept), (Some(vec![3; 4_000]), None), "bytes as bytes");
    world.clock.pass(HOUR);
    assert_eq!(claim_in(&world, &claims[3], &request, acme, room).await, Claimed::Mine, "within the hour only");
}

async fn an_answer_that_is_not_kept_is_known_and_never_made_again(world: World) {
    let (large, request, holder) = (new_claim(&world), unique(), world.store.new_id());
    assert_eq!(claim_in(&world, &large, &request, holder, ROOM).await, Claimed::Mine);
    write(&world, async |tx| idempotency::pass_over(tx, &large, "a_limit").await.unwrap()).await;
    write(&world, async |tx| idempotency::release(tx, &large).await.unwrap()).await;
    world.clock.pass(2 * MINUTE);
    let again = Claim { id: world.store.new_id(), ..large.clone() };
    assert_eq!(claim_in(&world, &again, &request, holder, ROOM).await, Claimed::Taken);
    // Whoever had the key before, or an answer that is there, is not touched by it.
    write(&world, async |tx| idempotency::pass_over(tx, &again, "another").await.unwrap()).await;
    let kept = idempotency::get(world.reader().await.conn(), &large.scope).await.unwrap().unwrap();
    assert_eq!((kept.answer, kept.unkept.as_deref()), (None, Some("a_limit")));
}

async fn of_two_claims_at_once_one_wins(world: World) {
    for _ in 0..10 {
        let (one, request) = (new_claim(&world), unique());
        let other = Claim { id: world.store.new_id(), ..one.clone() };
        let (a, b) = tokio::join!(claim(&world, &one, &request), claim(&world, &other, &request));
        assert_ne!(a, b);
    }
}

async fn kept_answers_are_forgotten_after_an_hour_and_lost_requests_sooner(world: World) {
    let (answered, lost, request) = (new_claim(&world), new_claim(&world), unique());
    assert!(claim(&world, &answered, &request).await && claim(&world, &lost, &request).await);
    assert!(keep(&world, &answered, world.store.new_id(), b"answer").await);
    world.clock.pass(2 * MINUTE - 1);
    assert!(!claim(&world, &lost, &request).await);
    world.clock.pass(1);
    assert!(claim(&world, &lost, &request).await);
    assert!(!claim(&world, &answered, &request).await);
    world.clock.pass(HOUR - 2 * MINUTE);
    assert!(claim(&world, &answered, &request).await);
}
