//! Nobody hands out more than they have: more than a million random (actor, request) pairs, each accepted or
//! refused by the real code, against a small model of what roles may do that is written down a second time here.
//!
//! The model knows nothing of levels, patterns or bit sets: a role is the set of concrete things it may do in a
//! small world, with a project, a cluster, a noun and a verb that stand for all that may come later.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on must fail")]

use std::collections::{BTreeMap, BTreeSet};

use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};
use tokenward_core::caller::Caller;
use tokenward_core::decision::{Credential, Subject};
use tokenward_core::directory::{Directory, Resource};
use tokenward_core::event::By;
use tokenward_core::permission::Management;
use tokenward_core::role::{BuiltIn, ClusterLevel, EnvironmentLevel, Matrix, Mode, ProjectAccess, Role};
use tokenward_core::token::State;
use tokenward_core::{Time, Uuid};

/// How many roles the world has. Each acts on each: 1,100² = 1.2 million pairs, with one request each.
const ROLES: usize = 1_100;

const PROJECTS: [u128; 3] = [1, 2, 99];
const CLUSTERS: [u128; 3] = [11, 12, 98];
const PATTERNS: [&str; 6] = ["*", "*:read", "invoices:*", "invoices:read", "invoices:pay", "orders:read"];
const CONCRETE: [(&str, &str); 5] =
    [("invoices", "read"), ("invoices", "pay"), ("orders", "read"), ("later", "read"), ("later", "later")];

/// What a role is made of.
#[derive(Clone, Debug)]
enum Spec {
    BuiltIn(BuiltIn),
    Custom { permissions: Vec<&'static str>, matrix: Matrix },
}

/// Throws the dice of a fixed sequence, so that a failure can be seen again.
struct Dice(TestRunner);

impl Dice {
    fn new() -> Self {
        Self(TestRunner::new_with_rng(Config::default(), TestRng::deterministic_rng(RngAlgorithm::ChaCha)))
    }

    fn below(&mut self, n: usize) -> usize {
        use proptest::prelude::Rng as _;
        self.0.rng().next_u32() as usize % n
    }

    fn spec(&mut self) -> Spec {
        if self.below(3) == 0 {
            return Spec::BuiltIn(BuiltIn::ALL[self.below(6)]);
        }
        let mut permissions: Vec<&'static str> = PATTERNS.into_iter().filter(|_| self.below(3) == 0).collect();
        permissions
            .extend(["token:verify", "token:rotate-self", "event:read"].into_iter().filter(|_| self.below(3) == 0));
        let mut matrix = Matrix::default();
        for cluster in &CLUSTERS[..2] {
            let level = [ClusterLevel::Viewer, ClusterLevel::EnvCreator, ClusterLevel::Admin][self.below(3)];
            matrix.clusters.insert(Uuid::from_u128(*cluster), level);
        }
        for project in &PROJECTS[..2] {
            use EnvironmentLevel::{Deployer, Manager, NoAccess, Viewer};
            let is_admin = self.below(4) == 0;
            let levels = std::array::from_fn(|_| [NoAccess, Viewer, Deployer, Manager][self.below(4)]);
            matrix.projects.insert(Uuid::from_u128(*project), ProjectAccess { is_admin, levels });
        }
        Spec::Custom { permissions, matrix }
    }
}

/// The holders of each permission: o(wner) a(dmin) d(evops) b(illing) v(iewer) (veri)f(ier).
fn holders() -> BTreeMap<&'static str, &'static str> {
    [
        ("organization:read", "oadbvf"),
        ("organization:edit", "oa"),
        ("organization:delete", "o"),
        ("organization:transfer", "o"),
        ("billing:read", "oab"),
        ("billing:manage", "oab"),
        ("member:read", "oadbv"),
        ("member:manage", "oa"),
        ("role:manage", "oa"),
        ("policy:manage", "oa"),
        ("role:read", "oadv"),
        ("token:read", "oadv"),
        ("token:manage", "oad"),
        ("token:verify", "oadf"),
        ("token:rotate-self", "oad"),
        ("event:read", "oad"),
        ("api:read", "oadv"),
        ("api:manage", "oad"),
        ("cluster:read", "oadbv"),
        ("cluster:manage", "oad"),
        ("project:create", "oad"),
        ("project:read", "oadv"),
        ("environment:read", "oadv"),
        ("variable:read", "oadv"),
        ("project:manage", "oad"),
        ("environment:deploy", "oad"),
        ("environment:manage", "oad"),
        ("variable:manage", "oad"),
    ]
    .into()
}

/// Everything that a role may do, as sentences.
fn model(spec: &Spec) -> BTreeSet<String> {
    match spec {
        Spec::BuiltIn(role) => {
            let letter = ['o', 'a', 'd', 'b', 'v', 'f'][BuiltIn::ALL.iter().position(|r| r == role).unwrap()];
            let mut can: BTreeSet<String> = BTreeSet::new();
            for (permission, _) in holders().into_iter().filter(|(_, who)| who.contains(letter)) {
                can.insert(permission.to_owned());
                let noun = permission.split(':').next().unwrap();
                for cluster in CLUSTERS.iter().filter(|_| noun == "cluster") {
                    can.insert(format!("{permission} on cluster {cluster}"));
                }
                for project in PROJECTS.iter().filter(|_| matches!(noun, "project" | "environment" | "variable")) {
                    can.insert(format!("{permission} in project {project}"));
                    for (mode, cluster) in places() {
                        can.insert(format!("{permission} in project {project} {mode} on {cluster}"));
                    }
                }
            }
            for (noun, verb) in CONCRETE {
                if "oad".contains(letter) || (letter == 'v' && verb == "read") {
                    can.insert(format!("{noun}:{verb}"));
                }
            }
            can
        }
        Spec::Custom { permissions, matrix } => custom(permissions, matrix),
    }
}

fn places() -> impl Iterator<Item = (&'static str, u128)> {
    Mode::ALL.into_iter().flat_map(|mode| CLUSTERS.into_iter().map(move |cluster| (mode.as_str(), cluster)))
}

fn custom(permissions: &[&str], matrix: &Matrix) -> BTreeSet<String> {
    let mut can: BTreeSet<String> = ["organization:read".to_owned(), "cluster:read".to_owned()].into();
    for permission in permissions {
        match permission.split_once(':').unwrap_or(("*", "*")) {
            ("token" | "event", _) => {
                can.insert((*permission).to_owned());
            }
            (n, v) => {
                let fits = |(noun, verb): &&(&str, &str)| (n == "*" || n == *noun) && (v == "*" || v == *verb);
                can.extend(CONCRETE.iter().filter(fits).map(|(noun, verb)| format!("{noun}:{verb}")));
            }
        }
    }
    let cluster_level = |cluster: u128| match matrix.clusters.get(&Uuid::from_u128(cluster)) {
        Some(ClusterLevel::Admin) => 2,
        Some(ClusterLevel::EnvCreator) => 1,
        _ => 0,
    };
    for cluster in CLUSTERS {
        can.insert(format!("cluster:read on cluster {cluster}"));
        if cluster_level(cluster) == 2 {
            can.insert(format!("cluster:manage on cluster {cluster}"));
        }
    }
    for project in PROJECTS {
        let Some(access) = matrix.projects.get(&Uuid::from_u128(project)) else { continue };
        let level = |mode: Mode| if access.is_admin { 3 } else { access.levels[mode as usize] as usize };
        let all: Vec<usize> = Mode::ALL.into_iter().map(level).collect();
        let mut grant = |what: &str| can.insert(format!("{what} in project {project}"));
        if all.iter().any(|level| *level >= 1) {
            grant("project:read");
            grant("environment:read");
            grant("variable:read");
        }
        if all.iter().all(|level| *level == 3) {
            grant("variable:manage");
        }
        if access.is_admin {
            grant("project:manage");
        }
        for (mode, cluster) in places() {
            let level = level(Mode::parse(mode).unwrap());
            let mut here = |what: &str| {
                can.insert(format!("{what} in project {project} {mode} on {cluster}"));
            };
            if level >= 1 {
                ["project:read", "environment:read", "variable:read"].into_iter().for_each(&mut here);
            }
            if level >= 2 && cluster_level(cluster) >= 1 {
                here("environment:deploy");
            }
            if level >= 3 {
                ["environment:manage", "variable:manage"].into_iter().for_each(&mut here);
            }
            if access.is_admin {
                here("project:manage");
            }
        }
    }
    can
}

fn compile(id: Uuid, spec: &Spec) -> Role {
    match spec {
        Spec::BuiltIn(role) => Role::built_in(id, *role),
        Spec::Custom { permissions, matrix } => Role::custom(id, &id.to_string(), permissions, matrix.clone()).unwrap(),
    }
}

#[test]
fn what_results_never_exceeds_the_actor() {
    let mut dice = Dice::new();
    let organization = Uuid::from_u128(1_000);
    let mut directory = Directory::default();
    directory.put_organization(organization, "o");
    let mut roles = Vec::with_capacity(ROLES);
    for n in 0..ROLES {
        let spec = if n < 6 { Spec::BuiltIn(BuiltIn::ALL[n]) } else { dice.spec() };
        let role = compile(Uuid::from_u128(2_000 + n as u128), &spec);
        directory.put_role(organization, role.clone());
        roles.push((role, model(&spec)));
    }
    // Every sentence gets a number, so that a subset test is a few words.
    let sentences: BTreeSet<&String> = roles.iter().flat_map(|(_, can)| can).collect();
    let number: BTreeMap<&String, usize> = sentences.iter().enumerate().map(|(n, s)| (*s, n)).collect();
    let words = sentences.len().div_ceil(64);
    let bits: Vec<Vec<u64>> = roles
        .iter()
        .map(|(_, can)| {
            let mut set = vec![0; words];
            can.iter().for_each(|sentence| set[number[sentence] / 64] |= 1 << (number[sentence] % 64));
            set
        })
        .collect();
    // Making a token, a role, a member or an invitation: what is asked of the actor before anything is handed out.
    let requests = [Management::TokenManage, Management::RoleManage, Management::MemberManage];
    let (mut pairs, mut accepted, mut not_held, mut beyond) = (0u64, 0u64, 0u64, 0u64);
    for (actor, (role, can)) in roles.iter().enumerate() {
        let credential = Credential {
            id: Uuid::nil(),
            subject: Subject::Token(1),
            state: State::Active,
            not_before: None,
            expires_at: None,
            replaced: false,
            brownout: None,
        };
        let caller = Caller::token(credential, organization, role.id, By::operator());
        let grants =
            requests.map(|own| (own, caller.require(&directory, organization, own, Resource::default(), Time(0))));
        for (result, (handed_out, _)) in roles.iter().enumerate() {
            let (own, grant) = &grants[dice.below(3)];
            let real = grant.as_ref().is_ok_and(|grant| grant.covers(handed_out).is_ok());
            let holds = can.contains(own.as_str());
            let subset = bits[result].iter().zip(&bits[actor]).all(|(r, a)| r & !a == 0);
            assert_eq!(grant.is_ok(), holds, "{own} for {:?}", role.kind);
            assert!(!real || subset, "{:?} handed out {:?}", role, handed_out);
            pairs += 1;
            accepted += u64::from(real);
            not_held += u64::from(!holds);
            beyond += u64::from(holds && !real);
        }
    }
    // The pairs must reach every branch, or the test says nothing.
    assert!(
        pairs > 1_000_000 && accepted > 10_000 && not_held > 10_000 && beyond > 5_000,
        "{accepted} {not_held} {beyond}"
    );
}

#[test]
fn every_role_compares_with_every_other_as_the_model_says() {
    let mut dice = Dice::new();
    let specs: Vec<Spec> = (0..400).map(|n| if n < 6 { Spec::BuiltIn(BuiltIn::ALL[n]) } else { dice.spec() }).collect();
    let roles: Vec<(Role, BTreeSet<String>)> =
        specs.iter().enumerate().map(|(n, s)| (compile(Uuid::from_u128(n as u128), s), model(s))).collect();
    let mut subsets = 0;
    for (small, small_can) in &roles {
        for (large, large_can) in &roles {
            if small.beyond(large).is_none() {
                assert!(small_can.is_subset(large_can), "{small:?} within {large:?}");
                subsets += 1;
            }
        }
    }
    // Every role is within itself and within owner.
    assert!(subsets >= 800, "{subsets}");
}
