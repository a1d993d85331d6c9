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
pub(super) const RECIPES: [Recipe; 6] = [
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
        sentence: "This one request. The path is written out, so that no other one fits.",
        policy: "# Put the id of your environment in the place of the zeros.\n\
                 environment := \"00000000-0000-0000-0000-000000000000\"\n\n\
                 allow if {\n\
                 \tinput.request.method == \"POST\"\n\
                 \tinput.request.path == [\"api\", \"environment\", environment, \"deploy\"]\n\
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
    use tokenward_verify::server::policy::Policy;

    use super::*;

    #[test]
    fn every_recipe_can_be_used_as_it_stands() {
        for recipe in RECIPES {
            assert!(
                Policy::compile(recipe.policy).is_ok(),
                "{}: {:?}",
                recipe.key,
                Policy::compile(recipe.policy).err()
            );
        }
    }
}
