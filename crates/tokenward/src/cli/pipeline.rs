//! What a pipeline says of itself, by the variables of GitHub Actions, GitLab CI, CircleCI and Jenkins.

use std::collections::BTreeMap;

use tokenward_core::label;

/// A service that runs jobs: what it is called, and in which variables a job finds what it is.
struct System {
    name: &'static str,
    /// By the keys of the labels; where the first one is not said, this is none of its jobs.
    variables: [(&'static str, &'static str); 6],
}

const SYSTEMS: [System; 4] = [
    System {
        name: "github",
        variables: [
            ("job", "GITHUB_JOB"),
            ("run", "GITHUB_RUN_ID"),
            ("repository", "GITHUB_REPOSITORY"),
            ("commit", "GITHUB_SHA"),
            ("ref", "GITHUB_REF"),
            ("workflow", "GITHUB_WORKFLOW"),
        ],
    },
    System {
        name: "gitlab",
        variables: [
            ("job", "CI_JOB_NAME"),
            ("run", "CI_JOB_ID"),
            ("repository", "CI_PROJECT_PATH"),
            ("commit", "CI_COMMIT_SHA"),
            ("ref", "CI_COMMIT_REF_NAME"),
            ("workflow", "CI_PIPELINE_ID"),
        ],
    },
    System {
        name: "circleci",
        variables: [
            ("job", "CIRCLE_JOB"),
            ("run", "CIRCLE_BUILD_NUM"),
            ("repository", "CIRCLE_PROJECT_REPONAME"),
            ("commit", "CIRCLE_SHA1"),
            ("ref", "CIRCLE_BRANCH"),
            ("workflow", "CIRCLE_WORKFLOW_ID"),
        ],
    },
    System {
        name: "jenkins",
        variables: [
            ("job", "JOB_NAME"),
            ("run", "BUILD_NUMBER"),
            ("repository", "GIT_URL"),
            ("commit", "GIT_COMMIT"),
            ("ref", "GIT_BRANCH"),
            ("workflow", "STAGE_NAME"),
        ],
    },
];

/// The labels of a token that is made for a job: `ci`, and what is said of `job`, `run`, `repository`, `commit`, `ref` and `workflow`.
/// None outside of a pipeline.
pub fn labels(read: impl Fn(&str) -> Option<String>) -> BTreeMap<String, String> {
    let mut labels = BTreeMap::new();
    for System { name, variables } in SYSTEMS {
        let said = |variable: &str| read(variable).map(|text| plain(&text)).filter(|text| !text.is_empty());
        if said(variables[0].1).is_none() {
            continue;
        }
        labels.insert("ci".to_owned(), name.to_owned());
        labels.extend(variables.into_iter().filter_map(|(key, variable)| Some((key.to_owned(), said(variable)?))));
        break;
    }
    labels
}

/// The same in a sentence, for people.
pub fn sentence(labels: &BTreeMap<String, String>) -> Option<String> {
    let mut text = format!("job {}", labels.get("job")?);
    for (word, key) in [("run", "run"), ("of", "repository"), ("at", "commit")] {
        if let Some(value) = labels.get(key) {
            text += &format!(" {word} {value}");
        }
    }
    Some(text)
}

/// A text as a label can have it.
fn plain(text: &str) -> String {
    // An address can have a password in it.
    let text = text.rsplit_once('@').map_or(text, |(_, place)| place);
    let text: String = text.chars().filter(|c| !c.is_control()).map(|c| if c == ',' { ' ' } else { c }).collect();
    let text: String = text.trim().chars().take(label::VALUE_MAX).collect();
    text.trim_end().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        let labels = labels(|name| pairs.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned()));
        assert_eq!(label::check(&labels), Ok(()), "{labels:?}");
        labels
    }

    #[test]
    fn a_job_is_told_in_labels_and_in_a_sentence() {
        let github = of(&[
            ("CI", "true"),
            ("GITHUB_JOB", "deploy"),
            ("GITHUB_RUN_ID", "7"),
            ("GITHUB_REPOSITORY", "acme/shop"),
            ("GITHUB_SHA", "0a1b"),
            ("GITHUB_REF", "refs/heads/main"),
            ("GITHUB_WORKFLOW", "Release, and more"),
        ]);
        let all: Vec<String> = github.iter().map(|(key, value)| format!("{key}={value}")).collect();
        assert_eq!(
            all,
            [
                "ci=github",
                "commit=0a1b",
                "job=deploy",
                "ref=refs/heads/main",
                "repository=acme/shop",
                "run=7",
                "workflow=Release  and more"
            ]
        );
        assert_eq!(sentence(&github).as_deref(), Some("job deploy run 7 of acme/shop at 0a1b"));
        let gitlab = of(&[("CI_JOB_NAME", "deploy"), ("CI_JOB_ID", "9"), ("CI_COMMIT_REF_NAME", "")]);
        assert_eq!((gitlab["ci"].as_str(), gitlab.get("ref")), ("gitlab", None));
        assert_eq!(of(&[("CIRCLE_JOB", "deploy")])["ci"], "circleci");
    }

    #[test]
    fn outside_of_a_pipeline_there_are_none() {
        assert!(of(&[]).is_empty() && of(&[("CI", "true"), ("GITHUB_SHA", "0a1b")]).is_empty());
        assert_eq!(sentence(&of(&[])), None);
    }

    #[test]
    fn no_password_and_nothing_that_no_label_can_have() {
        let long = format!(" {} ", "é".repeat(200));
        let jenkins = of(&[
            ("JOB_NAME", "a\n\u{1b}[2J"),
            ("GIT_URL", "https://u:secret@git.acme.example/shop"),
            ("GIT_BRANCH", &long),
        ]);
        assert_eq!((jenkins["job"].as_str(), jenkins["repository"].as_str()), ("a[2J", "git.acme.example/shop"));
        assert_eq!(jenkins["ref"].chars().count(), label::VALUE_MAX);
    }
}
