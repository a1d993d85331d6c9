//! Policies to begin with: what people mostly want a policy token for (contract §4.4).

/// One of them.
pub(super) struct Recipe {
    /// Its word in addresses.
    pub key: &'static str,
    /// What it is for.
    pub title: &'static str,
    /// What it allows.
    pub sentence: &'static str,
    /// The policy.
    pub policy: &'static str,
}

/// All of them; the first is what an empty editor begins with.
pub(super) const RECIPES: [Recipe; 7] = [
    Recipe {
        key: "read-environment",
        title: "Read one environment",
        sentence: "Everything about one environment, and nothing else of the organization.",
        policy: "# Put the id of your environment in the place of the zeros.\n\
                 environment := \"00000000-0000-0000-0000-000000000000\"\n\n\
                 allow if {\n\
                 \tinput.request.method in {\"GET\", \"HEAD\"}\n\
                 \tinput.resource.environment_id == environment\n\
                 }\n",
    },
    Recipe {
        key: "deploy-environment",
        title: "Deploy one environment",
        sentence: "It, and one application of it. The paths are written out, so that no other request fits.",
        policy: "# Put the ids of your environment and of an application in the place of the zeros.\n\
                 environment := \"00000000-0000-0000-0000-000000000000\"\n\
                 application := \"00000000-0000-0000-0000-000000000000\"\n\n\
                 allow if {\n\
                 \tinput.request.method == \"POST\"\n\
                 \tinput.request.path == [\"api\", \"environment\", environment, \"deploy\"]\n\
                 }\n\n\
                 allow if {\n\
                 \tinput.request.method == \"POST\"\n\
                 \tinput.request.path == [\"api\", \"application\", application, \"deploy\"]\n\
                 }\n",
    },
    Recipe {
        key: "change-project",
        title: "Change one project, delete nothing",
        sentence: "No DELETE. Some POST requests take things away as well: name those that you allow, if that matters.",
        policy: "# Put the id of your project in the place of the zeros.\n\
                 project := \"00000000-0000-0000-0000-000000000000\"\n\n\
                 allow if {\n\
                 \tinput.request.method != \"DELETE\"\n\
                 \tinput.resource.project_id == project\n\
                 }\n",
    },
    Recipe {
        key: "feature-variables",
        title: "Add variables of one kind",
        sentence: "Variables of one environment whose names begin with FEATURE_: the policy sees the body.",
        policy: "# Put the id of your environment in the place of the zeros.\n\
                 environment := \"00000000-0000-0000-0000-000000000000\"\n\n\
                 allow if {\n\
                 \tinput.request.method == \"POST\"\n\
                 \tinput.request.path == [\"api\", \"environment\", environment, \"environmentVariable\"]\n\
                 \tstartswith(input.request.body.key, \"FEATURE_\")\n\
                 }\n",
    },
    Recipe {
        key: "clone-in-project",
        title: "Clone and deploy in one project",
        sentence: "Any environment of one project, by the shape of the path.",
        policy: "# Put the id of your project in the place of the zeros.\n\
                 project := \"00000000-0000-0000-0000-000000000000\"\n\n\
                 allow if {\n\
                 \tinput.request.method == \"POST\"\n\
                 \tinput.resource.project_id == project\n\
                 \tcount(input.request.path) == 4\n\
                 \tinput.request.path[1] == \"environment\"\n\
                 \tinput.request.path[3] in {\"clone\", \"deploy\"}\n\
                 }\n",
    },
    Recipe {
        key: "work-in-environment",
        title: "Work in one environment",
        sentence: "Read it, change what is in it, and deploy it; delete nothing. Some POST requests take things away as well.",
        policy: "# Put the id of your environment in the place of the zeros.\n\
                 environment := \"00000000-0000-0000-0000-000000000000\"\n\n\
                 # Reads\n\
                 allow if {\n\
                 \tinput.request.method in {\"GET\", \"HEAD\"}\n\
                 \tinput.resource.environment_id == environment\n\
                 }\n\n\
                 # Changes what is in it\n\
                 allow if {\n\
                 \tinput.request.method in {\"POST\", \"PUT\", \"PATCH\"}\n\
                 \tinput.resource.environment_id == environment\n\
                 \tcount(input.request.path) > 3\n\
                 }\n\n\
                 # Deploys\n\
                 allow if {\n\
                 \tinput.request.method == \"POST\"\n\
                 \tinput.request.path == [\"api\", \"environment\", environment, \"deploy\"]\n\
                 }\n",
    },
    Recipe {
        key: "read-your-api",
        title: "Read one part of your API",
        sentence: "For requests that your gateway asks about; their paths do not begin with api.",
        policy: "# The first word of the paths that may be read.\n\
                 allow if {\n\
                 \tinput.request.method in {\"GET\", \"HEAD\"}\n\
                 \tinput.request.path[0] == \"invoices\"\n\
                 }\n",
    },
];

#[cfg(test)]
mod tests {
    use tokenward_core::{Time, Uuid};
    use tokenward_verify::server::policy::{Policy, PolicyInput, RequestBody, segments};

    use super::*;

    /// The id that stands in the recipes.
    const HERE: Uuid = Uuid::nil();
    const ELSEWHERE: Uuid = Uuid::from_u128(9);

    #[test]
    fn every_recipe_can_be_used_as_it_stands() {
        for recipe in RECIPES {
            let compiled = Policy::compile_new(recipe.policy).unwrap();
            assert!(compiled.is_ok(), "{}: {compiled:?}", recipe.key);
        }
    }

    #[test]
    fn every_recipe_allows_what_its_sentence_says_and_nothing_beside_it() {
        let of = |id: Uuid, rest: &str| format!("/environment/{id}{rest}");
        let cases = [
            ("read-environment", "GET", of(HERE, "/status"), HERE, "", true),
            ("read-environment", "HEAD", of(HERE, ""), HERE, "", true),
            ("read-environment", "POST", of(HERE, "/deploy"), HERE, "", false),
            ("read-environment", "GET", of(ELSEWHERE, ""), ELSEWHERE, "", false),
            ("deploy-environment", "POST", of(HERE, "/deploy"), HERE, "{}", true),
            ("deploy-environment", "GET", of(HERE, "/deploy"), HERE, "", false),
            ("deploy-environment", "POST", of(HERE, "/stop"), HERE, "", false),
            ("deploy-environment", "POST", of(HERE, "/deploy/now"), HERE, "", false),
            ("deploy-environment", "POST", of(ELSEWHERE, "/deploy"), ELSEWHERE, "", false),
            ("deploy-environment", "POST", format!("/application/{HERE}/deploy"), HERE, "", true),
            ("deploy-environment", "POST", format!("/application/{HERE}/stop"), HERE, "", false),
            ("deploy-environment", "POST", format!("/application/{ELSEWHERE}/deploy"), HERE, "", false),
            ("change-project", "PUT", format!("/project/{HERE}"), HERE, "{}", true),
            ("change-project", "DELETE", format!("/project/{HERE}"), HERE, "", false),
            ("change-project", "PUT", format!("/project/{ELSEWHERE}"), ELSEWHERE, "{}", false),
            ("feature-variables", "POST", of(HERE, "/environmentVariable"), HERE, r#"{"key":"FEATURE_A"}"#, true),
            ("feature-variables", "POST", of(HERE, "/environmentVariable"), HERE, r#"{"key":"SECRET"}"#, false),
            ("feature-variables", "POST", of(HERE, "/environmentVariable"), HERE, r#"{"key":7}"#, false),
            ("feature-variables", "POST", of(HERE, "/environmentVariable"), HERE, "", false),
            ("feature-variables", "POST", of(HERE, "/secret"), HERE, r#"{"key":"FEATURE_A"}"#, false),
            ("clone-in-project", "POST", of(ELSEWHERE, "/clone"), HERE, "{}", true),
            ("clone-in-project", "POST", of(ELSEWHERE, "/deploy"), HERE, "", true),
            ("clone-in-project", "POST", of(ELSEWHERE, "/stop"), HERE, "", false),
            ("clone-in-project", "POST", of(ELSEWHERE, "/service/deploy"), HERE, "", false),
            ("clone-in-project", "POST", of(HERE, "/clone"), ELSEWHERE, "{}", false),
            ("work-in-environment", "GET", of(HERE, "/status"), HERE, "", true),
            ("work-in-environment", "POST", of(HERE, "/environmentVariable"), HERE, r#"{"key":"A"}"#, true),
            ("work-in-environment", "POST", of(HERE, "/deploy"), HERE, "", true),
            ("work-in-environment", "DELETE", of(HERE, ""), HERE, "", false),
            ("work-in-environment", "DELETE", of(HERE, "/environmentVariable/1"), HERE, "", false),
            ("work-in-environment", "PUT", of(HERE, ""), HERE, "{}", false),
            ("work-in-environment", "GET", of(ELSEWHERE, ""), ELSEWHERE, "", false),
            ("work-in-environment", "POST", of(ELSEWHERE, "/deploy"), ELSEWHERE, "", false),
            ("read-your-api", "GET", "/invoices/7".to_owned(), HERE, "", true),
            ("read-your-api", "POST", "/invoices/7".to_owned(), HERE, "{}", false),
            ("read-your-api", "GET", "/orders".to_owned(), HERE, "", false),
        ];
        for recipe in RECIPES {
            for expected in [true, false] {
                assert!(cases.iter().any(|case| case.0 == recipe.key && case.5 == expected), "{}", recipe.key);
            }
        }
        for (key, method, path, place, body, expected) in cases {
            let recipe = RECIPES.iter().find(|recipe| recipe.key == key).unwrap();
            let policy = Policy::compile_new(recipe.policy).unwrap().unwrap();
            let said = policy.ask(&PolicyInput {
                method,
                path: &segments(&path, key != "read-your-api").unwrap(),
                body: RequestBody::Whole(body.as_bytes()),
                organization: Uuid::from_u128(1),
                project: Some(place),
                environment: Some(place),
                cluster: None,
                token: Uuid::from_u128(5),
                token_name: "ci",
                now: Time(0),
            });
            assert_eq!(said.is_allowed(), expected, "{key}: {method} {path} {body} says {said:?}");
        }
    }
}
